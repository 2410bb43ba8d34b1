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
// invocations it looks them up in the hash table. Most are not there. Those that are, are queued again, and as soon as there
// are as many of these, each split that has the gram, and whose confirm mask is met, gets a candidate. Splits that match at
// the start of the haystack only, or of a packed item, get theirs where the prefilter's range begins.
// Loops: the turns, with at most PREFILTER_BYTES survivors each; look-ups and postings, which count down from
// PREFILTER_STEPS. CPU twin: src/twin/gram_prefilter.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"
#include "lockstep.glsl"
#include "candidates.glsl"
#include "survivors.glsl"

layout(constant_id = SPEC_BITMAP_WORDS) const uint BITMAP_WORDS = 2048;
// As PassHeader::gram_stride.
layout(constant_id = SPEC_GRAM_STRIDE) const uint GRAM_STRIDE = 1;

layout(local_size_x = 256, local_size_x_id = SPEC_PREFILTER_WORKGROUP) in;

shared uint bitmap[BITMAP_WORDS];
// Survivors that are grams of rules: where they are, and their slots of the hash table.
shared uvec2 grams[2u * PREFILTER_LANES];

// Workgroups that one's place goes on by in each turn.
const uint TURN_STEP = 389u;
const uint NO_SLOT = 0xFFFFFFFFu;

// Of the pass's bitmap.
uint salt;
// What leaves the bits of a hash that choose a word of the bitmap.
uint word_shift = 31u - uint(findMSB(BITMAP_WORDS - 1u));

// How many grams are in this subgroup's part.
uint queued_grams = 0u;

// Four bytes with ASCII letters in lower case.
uint lower_case(uint bytes) {
    uint low = bytes & 0x7F7F7F7Fu;
    // Bit 7 of each byte: at least 'A', more than 'Z'.
    uint upper = (low + 0x3F3F3F3Fu) & ~(low + 0x25252525u) & ~bytes & 0x80808080u;
    return bytes | upper >> 2;
}

// The gram that begins at `at`.
uint gram_at(uint at) {
    return lower_case(bytes_at(at, 4u).x);
}

// The slot of a gram in the hash table; NO_SLOT if it has none.
uint slot_of(uint gram) {
    uint mask = (1u << tables.header.gram_table_log2) - 1u;
    uint slot = (gram * GRAM_HASH) >> (32u - tables.header.gram_table_log2);
    for (; steps_left != 0u; --steps_left) {
        uint found = tables.words[tables.header.gram_table + slot];
        if (found == gram) {
            return slot;
        }
        if (found == NO_GRAM) {
            return NO_SLOT;
        }
        slot = (slot + 1u) & mask;
    }
    return NO_SLOT;
}

// What leads from a slot to its gram's postings.
uvec2 list_of(uint slot) {
    uint at = tables.header.gram_lists + slot * GRAM_LIST_WORDS;
    return uvec2(tables.words[at], tables.words[at + 1u]);
}

// Whether the bytes from `at` on are of the kinds that a confirm mask asks for.
bool meets_kinds(uint confirm_mask, uint at) {
    uvec2 bytes = bytes_at(at, CONFIRM_KIND_BYTES);
    bytes = uvec2(lower_case(bytes.x), lower_case(bytes.y));
    bool meets = true;
    for (uint byte = 0u; byte < CONFIRM_KIND_BYTES; ++byte) {
        uint value = bytes[byte >> 2] >> (byte & 3u) * 8u & 0xFFu;
        uint kind = tables.words[tables.header.byte_kinds + (value >> 3)] >> (value & 7u) * 4u & 0xFu;
        meets = meets && (confirm_mask >> (byte * BYTE_KINDS + kind) & 1u) != 0u;
    }
    return meets;
}

// Whether what a confirm mask of a gram at `at` asks for is there. Where the haystack goes on elsewhere, it may be there.
bool meets_mask(uint confirm_mask, uint at) {
    uint distance = confirm_mask >> CONFIRM_BITS;
    uint place = at + distance;
    if (distance == CONFIRM_KINDS_BEFORE || distance == CONFIRM_KINDS_BEHIND) {
        uint first = distance == CONFIRM_KINDS_BEHIND ? at + 4u : at - CONFIRM_KIND_BYTES;
        // Before the first byte wraps, and is past the end too.
        bool is_there = max(first, first + CONFIRM_KIND_BYTES) <= haystack_len();
        return !is_there || meets_kinds(confirm_mask, first);
    }
    if (confirm_mask == CONFIRM_ANY || place - CONFIRM_ZERO + 4u > haystack_len()) {
        return place >= CONFIRM_ZERO || confirm_mask == CONFIRM_ANY;
    }
    uint bit = (gram_at(place - CONFIRM_ZERO) * GRAM_HASH) >> GRAM_BIT;
    return bit >= CONFIRM_BITS || (confirm_mask >> bit & 1u) != 0u;
}

// Of the grams that are handed on, the one that a posting belongs to: the first whose postings do not end before.
uint gram_of(uint index) {
    uint low = 0u;
    uint high = lanes - 1u;
    while (low < high) {
        uint middle = (low + high) / 2u;
        if (survivors[own_queue + lanes + middle] > index) {
            high = middle;
        } else {
            low = middle + 1u;
        }
    }
    return low;
}

// Hands on the suffixes of `count` queued grams from `first` on, one for each invocation of the subgroup, where their
// confirm mask is met. Postings are dealt out evenly, however they are spread over the grams.
void push_grams(uint first, uint count) {
    uvec2 own = uvec2(0u);
    uvec2 own_list = uvec2(0u);
    uint postings = 0u;
    if (lane < count) {
        own = grams[own_queue + first + lane];
        own_list = list_of(own.y);
        postings = (own_list.x & GRAM_ONLY_POSTING) != 0u ? 1u : tables.words[own_list.x];
    }
    postings = min(postings, steps_left);
    steps_left -= postings;
    uint all = subgroupAdd(postings);
    bool has_lists = all != count;
    if (has_lists) {
        survivors[own_queue + lanes + lane] = subgroupInclusiveAdd(postings);
        sync_subgroup();
    }
    for (uint base = 0u; base < all; base += lanes) {
        uint index = base + lane;
        uint at = own.x;
        uint posting = own_list.x;
        uint confirm_mask = own_list.y;
        if (has_lists) {
            uint of = gram_of(min(index, all - 1u));
            uvec2 gram = grams[own_queue + first + of];
            uvec2 list = list_of(gram.y);
            at = gram.x;
            posting = list.x;
            confirm_mask = list.y;
            if ((posting & GRAM_ONLY_POSTING) == 0u) {
                uint before = of == 0u ? 0u : survivors[own_queue + lanes + of - 1u];
                uint pair = posting + 1u + 2u * (min(index, all - 1u) - before);
                posting = tables.words[pair];
                confirm_mask = tables.words[pair + 1u];
            }
        }
        push_together(index < all && is_possible(posting, at) && meets_mask(confirm_mask, at), posting, at);
    }
    sync_subgroup();
}

// Looks up `count` survivors from `first` on, one for each invocation of the subgroup, and queues those that are grams of
// rules. Hands on as many of these as there are invocations whenever there are.
void look_up(uint first, uint count) {
    uint at = 0u;
    uint slot = NO_SLOT;
    sync_subgroup();
    if (lane < count) {
        at = survivors[own_queue + first + lane];
        slot = slot_of(gram_at(at));
    }
    uvec4 ballot = subgroupBallot(slot != NO_SLOT);
    if (slot != NO_SLOT) {
        grams[own_queue + queued_grams + subgroupBallotExclusiveBitCount(ballot)] = uvec2(at, slot);
    }
    queued_grams += subgroupBallotBitCount(ballot);
    sync_subgroup();
    if (queued_grams >= lanes) {
        queued_grams -= lanes;
        push_grams(queued_grams, lanes);
    }
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
    uvec4 unit = clamped_unit_at(at);
    uint next = clamped_unit_at(at + PREFILTER_BYTES).x;
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

// Where in a turn this workgroup's bytes begin. Workgroups take turns all over the haystack, each time in another order:
// survivors come in clusters, now and then at regular distances, and are shared that way.
uint turn_place(uint turn) {
    uint group = (gl_WorkGroupID.x + turn * TURN_STEP) % gl_NumWorkGroups.x;
    return group * params.prefilter_workgroup * PREFILTER_BYTES;
}

// Hands on the splits whose suffixes are at the start of the haystack only, or of each packed item, and at its end, if the
// range looked through has that.
void push_anchored() {
    bool has_starts = params.prefilter_first + 1u == max(params.first_start, 1u);
    bool has_ends = params.is_final != 0u && prefilter_end() == haystack_len();
    uint width = gl_NumWorkGroups.x * params.prefilter_workgroup;
    uint count = !has_starts && !has_ends ? 0u : PACKED == 1u ? params.slot_count : 1u;
    for (uint index = gl_GlobalInvocationID.x; index < count && steps_left != 0u; index += width) {
        uint start = 0u;
        uint end = haystack_len();
        if (PACKED == 1u) {
            Slot slot = ring.slots[slot_place(index)];
            start = slot.begin;
            end = is_claimed(slot) ? slot.end : start;
        }
        steps_left -= 1u;
        // Nothing is not matched.
        if (start == end) {
            continue;
        }
        if (has_starts && start >= params.first_start && start < end_start()) {
            push_candidates(tables.header.at_start, start);
        }
        if (has_ends && end > params.first_start) {
            push_candidates(tables.header.at_end, end - 1u);
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
    push_anchored();
    enter_subgroup();
    uint turn_bytes = gl_NumWorkGroups.x * params.prefilter_workgroup * PREFILTER_BYTES;
    uint begin = params.prefilter_first & ~(PREFILTER_BYTES - 1u);
    for (uint turn = 0u; turn < params.prefilter_turns; turn += 2u * GRAM_STRIDE) {
        uint first = begin + turn * turn_bytes + turn_place(turn) + gl_LocalInvocationID.x * PREFILTER_BYTES;
        uint tests = test_unit(0u, first);
        tests = test_unit(tests, first + turn_bytes);
        if (GRAM_STRIDE != 1u) {
            tests = test_unit(tests, first + 2u * turn_bytes);
            tests = test_unit(tests, first + 3u * turn_bytes);
        }
        uint last = first + (2u * GRAM_STRIDE - 1u) * turn_bytes + PREFILTER_BYTES - 1u;
        queue_survivors(tests, first, last, turn_bytes);
    }
    look_up(0u, queued);
    push_grams(0u, queued_grams);
    flag_overflow();
}
