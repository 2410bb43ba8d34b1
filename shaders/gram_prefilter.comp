#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_vote : require

// Finds the grams that a match could contain.
//
// Reads the haystack, from params.prefilter_first up to params.prefilter_end, and the tables; writes candidate
// suffixes and counts them in Control. Grid: params.prefilter_workgroup invocations in a workgroup, and a workgroup
// for as many bytes as they look at in params.prefilter_turns turns (for passes that a run does not begin
// with, Control::gram_prefilter_*). The gram of every byte, or of every other one, is tested against a bitmap in shared
// memory. Survivors are queued there, for each subgroup on its own; as soon as there is one for each of its
// invocations it looks them up in the hash table, where each split that has the gram, and whose confirm mask is met, gets a
// candidate. Splits that match at the start of the haystack only, or of a packed item, get theirs where the prefilter's
// range begins.
// Loops: the turns, with at most PREFILTER_BYTES survivors each; look-ups and postings, which count down from
// PREFILTER_STEPS. CPU twin: src/twin/gram_prefilter.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"
#include "candidates.glsl"

layout(constant_id = SPEC_BITMAP_WORDS) const uint BITMAP_WORDS = 2048;
// As PassHeader::gram_stride.
layout(constant_id = SPEC_GRAM_STRIDE) const uint GRAM_STRIDE = 1;

layout(local_size_x = 256, local_size_x_id = SPEC_PREFILTER_WORKGROUP) in;

shared uint bitmap[BITMAP_WORDS];
// Where they are.
shared uint survivors[2u * PREFILTER_LANES];
// What has been looked up of each: how many postings it and those before it have, where it is, its first posting or
// the only one, and that one's confirm mask.
shared uvec4 looked_up[PREFILTER_LANES];

// Of the pass's bitmap.
uint salt;
// What leaves the bits of a hash that choose a word of the bitmap.
uint word_shift = 31u - uint(findMSB(BITMAP_WORDS - 1u));

// This subgroup's parts of these, and how many are in the queue.
uint own_queue;
uint own_lanes;
uint queued = 0u;
// Invocations of this subgroup, and this one's place among them.
uint lanes;
uint lane;

// Four bytes with ASCII letters in lower case.
uint lower_case(uint bytes) {
    uint low = bytes & 0x7F7F7F7Fu;
    // Bit 7 of each byte: at least 'A', more than 'Z'.
    uint upper = (low + 0x3F3F3F3Fu) & ~(low + 0x25252525u) & ~bytes & 0x80808080u;
    return bytes | upper >> 2;
}

// The word at `at`, a multiple of four. What lies past the end makes candidates too many, never too few: a
// gram that a match contains ends before it, or is taken with whatever follows.
uint word_at(uint at) {
    uint last = (params.haystack_len - 1u) & ~3u;
    return unit_at(min(at, last))[(min(at, last) >> 2) & 3u];
}

// The gram that begins at `at`.
uint gram_at(uint at) {
    uint shift = (at & 3u) * 8u;
    uint low = word_at(at & ~3u);
    uint gram = shift == 0u ? low : low >> shift | word_at((at & ~3u) + 4u) << (32u - shift);
    return lower_case(gram);
}

// The slot of a gram in the hash table, as an offset in the tables; 0 if it has none.
uint slot_of(uint gram) {
    uint mask = (1u << tables.header.gram_table_log2) - 1u;
    uint slot = (gram * GRAM_HASH) >> (32u - tables.header.gram_table_log2);
    for (; steps_left != 0u; --steps_left) {
        uint at = tables.header.gram_table + slot * GRAM_SLOT_WORDS;
        uint found = tables.words[at];
        uint list = tables.words[at + 1u];
        if (list == 0u) {
            return 0u;
        }
        if (found == gram) {
            return at;
        }
        slot = (slot + 1u) & mask;
    }
    return 0u;
}

// Whether what a confirm mask of a gram at `at` asks for is there. Where the haystack goes on elsewhere, it may be there.
bool meets_mask(uint confirm_mask, uint at) {
    uint place = at + (confirm_mask >> CONFIRM_BITS);
    if (confirm_mask == CONFIRM_ANY || place - CONFIRM_ZERO + 4u > params.haystack_len) {
        return place >= CONFIRM_ZERO || confirm_mask == CONFIRM_ANY;
    }
    uint bit = (gram_at(place - CONFIRM_ZERO) * GRAM_HASH) >> GRAM_BIT;
    return bit >= CONFIRM_BITS || (confirm_mask >> bit & 1u) != 0u;
}

// Looks up `count` survivors from `first` on, one for each invocation of the subgroup. Says how many postings all
// of them have.
uint look_up(uint first, uint count) {
    uint at = 0u;
    uint postings = 0u;
    uint list = 0u;
    uint confirm_mask = 0u;
    if (lane < count) {
        at = survivors[own_queue + first + lane];
        uint slot = slot_of(gram_at(at));
        if (slot != 0u) {
            list = tables.words[slot + 1u];
            confirm_mask = tables.words[slot + 2u];
            postings = (list & GRAM_ONLY_POSTING) != 0u ? 1u : tables.words[list];
        }
    }
    postings = min(postings, steps_left);
    steps_left -= postings;
    looked_up[own_lanes + lane] = uvec4(subgroupInclusiveAdd(postings), at, list, confirm_mask);
    subgroupBarrier();
    return subgroupAdd(postings);
}

// Hands on the suffixes of survivors whose confirm mask is met. Their postings are dealt out evenly, however they are
// spread over the survivors.
void push_survivors(uint first, uint count) {
    uint all = look_up(first, count);
    for (uint base = 0u; base < all; base += lanes) {
        uint index = base + lane;
        // The survivor that this posting belongs to: the first one that does not end before.
        uint low = 0u;
        uint high = lanes - 1u;
        while (low < high) {
            uint middle = (low + high) / 2u;
            if (looked_up[own_lanes + middle].x > index) {
                high = middle;
            } else {
                low = middle + 1u;
            }
        }
        uvec4 survivor = looked_up[own_lanes + low];
        uint posting = survivor.z;
        uint confirm_mask = survivor.w;
        if ((posting & GRAM_ONLY_POSTING) == 0u) {
            uint before = low == 0u ? 0u : looked_up[own_lanes + low - 1u].x;
            uint pair = posting + 1u + 2u * (min(index, all - 1u) - before);
            posting = tables.words[pair];
            confirm_mask = tables.words[pair + 1u];
        }
        bool passes = index < all && is_possible(posting, survivor.y) && meets_mask(confirm_mask, survivor.y);
        uvec4 ballot = subgroupBallot(passes);
        uint passing = subgroupBallotBitCount(ballot);
        if (passing != 0u) {
            uint place = 0u;
            if (subgroupElect()) {
                place = atomicAdd(control.candidate_count, passing);
            }
            place = subgroupBroadcastFirst(place) + subgroupBallotExclusiveBitCount(ballot);
            if (passes) {
                write_candidate(place, posting, survivor.y);
            }
        }
    }
    subgroupBarrier();
}

// Folds four bytes as the bitmap does.
uint fold(uint bytes) {
    return bytes | (bytes >> 1 & GRAM_FOLD);
}

// A folded gram survives if the highest bit is set.
uint test(uint gram) {
    uint hash = gram * GRAM_HASH + salt;
    uint word = bitmap[hash >> word_shift];
    return word << ((hash * GRAM_FIRST_REHASH) >> GRAM_BIT) & word << ((hash * GRAM_SECOND_REHASH) >> GRAM_BIT);
}

// Appends the tests of the grams that begin in `word` to those before.
uint test_word(uint tests, uint word, uint next) {
    tests = tests << 1 | test(word) >> 31;
    if (GRAM_STRIDE == 1u) {
        tests = tests << 1 | test(word >> 8 | next << 24) >> 31;
    }
    tests = tests << 1 | test(word >> 16 | next << 16) >> 31;
    if (GRAM_STRIDE == 1u) {
        tests = tests << 1 | test(word >> 24 | next << 8) >> 31;
    }
    return tests;
}

// Appends the tests of the grams that begin in the unit at `at`. A subgroup stays together, so past the end the
// last unit is looked at in vain.
uint test_unit(uint tests, uint at) {
    uint last_unit = (params.haystack_len - 1u) & ~(PREFILTER_BYTES - 1u);
    uvec4 unit = unit_at(min(at, last_unit));
    uint next = unit_at(min(at + PREFILTER_BYTES, last_unit)).x;
    uvec4 folded = uvec4(fold(unit.x), fold(unit.y), fold(unit.z), fold(unit.w));
    tests = test_word(tests, folded.x, folded.y);
    tests = test_word(tests, folded.y, folded.z);
    tests = test_word(tests, folded.z, folded.w);
    return test_word(tests, folded.w, fold(next));
}

// Where the gram of a test of several turns begins, of which the first is at `at`.
uint survivor_at(uint tests, uint at, uint turn_bytes) {
    uint stride = GRAM_STRIDE;
    uint unit_tests = PREFILTER_BYTES / stride;
    uint index = 31u - uint(findMSB(tests));
    return at + index / unit_tests * turn_bytes + index % unit_tests * stride;
}

// Queues the survivors of as many turns as make 32 tests, the first of them at `at`, and hands on as many as
// there are invocations whenever there are.
void queue_survivors(uint tests, uint at, uint turn_bytes) {
    if (!subgroupAny(tests != 0u)) {
        return;
    }
    uint own = uint(bitCount(tests));
    uint place = queued + subgroupExclusiveAdd(own);
    uint all = subgroupAdd(own);
    uint stride = GRAM_STRIDE;
    uint last = at + (2u * stride - 1u) * turn_bytes + PREFILTER_BYTES - 1u;
    bool is_inner = subgroupAll(is_inside(at) && is_inside(last));
    if (is_inner && queued + all <= 2u * lanes) {
        for (; tests != 0u; tests &= ~(1u << findMSB(tests))) {
            survivors[own_queue + place] = survivor_at(tests, at, turn_bytes);
            place += 1u;
        }
        queued += all;
        subgroupBarrier();
        if (queued >= lanes) {
            queued -= lanes;
            push_survivors(queued, lanes);
        }
        return;
    }
    // There are many, or some are out of range: one of each invocation at a time.
    while (subgroupAny(tests != 0u)) {
        uint survivor = survivor_at(tests, at, turn_bytes);
        bool survives = tests != 0u && is_inside(survivor);
        uvec4 ballot = subgroupBallot(survives);
        if (survives) {
            survivors[own_queue + queued + subgroupBallotExclusiveBitCount(ballot)] = survivor;
        }
        tests &= tests == 0u ? 0u : ~(1u << findMSB(tests));
        queued += subgroupBallotBitCount(ballot);
        subgroupBarrier();
        if (queued >= lanes) {
            queued -= lanes;
            push_survivors(queued, lanes);
        }
    }
}

// Hands on the splits that match at the start of the haystack only, or of each packed item.
void push_anchored() {
    uint width = gl_NumWorkGroups.x * params.prefilter_workgroup;
    uint count = PACKED == 1u ? params.slot_count : 1u;
    for (uint index = gl_GlobalInvocationID.x; index < count && steps_left != 0u; index += width) {
        uint start = 0u;
        bool is_start = true;
        if (PACKED == 1u) {
            Slot slot = ring.slots[slot_place(index)];
            start = slot.begin;
            is_start = is_claimed(slot);
        }
        steps_left -= 1u;
        if (is_start && start >= params.first_start && start < params.end_start) {
            push_candidates(tables.header.anchored, start);
        }
    }
}

// Loads the bitmap. Four words at a time wait for memory together.
void load_bitmap() {
    uint from = tables.header.bitmap;
    for (uint word = gl_LocalInvocationID.x; word < BITMAP_WORDS; word += 4u * params.prefilter_workgroup) {
        uvec4 at = word + params.prefilter_workgroup * uvec4(0u, 1u, 2u, 3u);
        at = min(at, uvec4(BITMAP_WORDS - 1u));
        uvec4 loaded = uvec4(tables.words[from + at.x], tables.words[from + at.y],
                             tables.words[from + at.z], tables.words[from + at.w]);
        bitmap[at.x] = loaded.x;
        bitmap[at.y] = loaded.y;
        bitmap[at.z] = loaded.z;
        bitmap[at.w] = loaded.w;
    }
    barrier();
}

void main() {
    load_bitmap();
    salt = tables.header.gram_salt;
    if (params.prefilter_first + 1u == max(params.first_start, 1u)) {
        push_anchored();
    }
    uvec4 all = subgroupBallot(true);
    lanes = subgroupBallotBitCount(all);
    lane = subgroupBallotExclusiveBitCount(all);
    own_lanes = gl_SubgroupID * (PREFILTER_LANES / gl_NumSubgroups);
    own_queue = 2u * own_lanes;
    // Workgroups take turns all over the haystack: survivors come in clusters, and are shared that way.
    uint turn_bytes = gl_NumWorkGroups.x * params.prefilter_workgroup * PREFILTER_BYTES;
    uint at = (params.prefilter_first & ~(PREFILTER_BYTES - 1u))
        + (gl_WorkGroupID.x * params.prefilter_workgroup + gl_LocalInvocationID.x) * PREFILTER_BYTES;
    for (uint turn = 0u; turn < params.prefilter_turns; turn += 2u) {
        uint first = at;
        uint tests = test_unit(0u, at);
        tests = test_unit(tests, at + turn_bytes);
        at += 2u * turn_bytes;
        if (GRAM_STRIDE != 1u) {
            tests = test_unit(tests, at);
            tests = test_unit(tests, at + turn_bytes);
            at += 2u * turn_bytes;
            turn += 2u;
        }
        queue_survivors(tests, first, turn_bytes);
    }
    push_survivors(0u, queued);
    flag_overflow();
}
