#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_vote : require

// Finds the grams that a match could contain.
//
// Reads the haystack, from params.filter_first up to params.filter_end, and the tables; writes candidate
// tails and counts them in Control. Grid: params.filter_workgroup invocations in a workgroup, and a workgroup
// for as many bytes as they look at in params.filter_turns turns (for passes but the first,
// Control::filter_*). The gram of every byte, or of every other one, is tested against a bitmap in shared
// memory. Survivors are queued there, for each subgroup on its own; as soon as there is one for each of its
// invocations it looks them up in the hash table, where each branch that has the gram gets a candidate.
// Branches that match at the start of the haystack only get theirs from the first invocation. Loops: the
// turns, with at most FILTER_BYTES survivors each; look-ups and candidates, which count down from
// FILTER_STEPS. CPU twin: src/twin/filter.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"
#include "candidates.glsl"

layout(constant_id = 2) const uint BITMAP_WORDS = 2048;
// As PassHeader::gram_stride.
layout(constant_id = 4) const uint GRAM_STRIDE = 1;

layout(local_size_x = 256, local_size_x_id = 3) in;

shared uint bitmap[BITMAP_WORDS];
// Where they are.
shared uint survivors[FILTER_SURVIVORS];

// This subgroup's part of the queue, and how many are in it.
uint own_queue;
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

// A gram's items and their witnesses: `count` pairs of words at `first`, or only this item.
struct Items {
    uint count;
    uint first;
    uint only;
    uint only_witness;
};

// What the gram at `at` may belong to.
Items look_up(uint at) {
    uint gram = gram_at(at);
    uint mask = (1u << tables.header.gram_table_log2) - 1u;
    uint slot = (gram * GRAM_HASH) >> (32u - tables.header.gram_table_log2);
    for (; steps_left != 0u; --steps_left) {
        uint at = tables.header.gram_table + slot * GRAM_SLOT_WORDS;
        uint found = tables.words[at];
        uint list = tables.words[at + 1u];
        uint witness = tables.words[at + 2u];
        if (list == 0u) {
            break;
        }
        if (found == gram) {
            bool is_only = (list & GRAM_ONLY_ITEM) != 0u;
            return Items(is_only ? 1u : tables.words[list], list + 1u, is_only ? list : 0u, witness);
        }
        slot = (slot + 1u) & mask;
    }
    return Items(0u, 0u, 0u, 0u);
}

uint item_at(Items items, uint index) {
    return items.only != 0u ? items.only : tables.words[items.first + 2u * index];
}

// Whether there is a witness for a gram at `at`. Where the haystack goes on elsewhere, it may be there.
bool has_witness(uint witness, uint at) {
    uint place = at + (witness >> WITNESS_BITS);
    if (witness == WITNESS_ANY || place - WITNESS_ZERO + 4u > params.haystack_len) {
        return place >= WITNESS_ZERO || witness == WITNESS_ANY;
    }
    uint bit = (gram_at(place - WITNESS_ZERO) * GRAM_HASH) >> GRAM_BIT;
    return bit >= WITNESS_BITS || (witness >> bit & 1u) != 0u;
}

bool passes(Items items, uint index, uint at) {
    uint witness = items.only != 0u ? items.only_witness : tables.words[items.first + 2u * index + 1u];
    return is_possible(item_at(items, index), at) && has_witness(witness, at);
}

// Looks up `count` survivors from `first` on, one for each invocation of the subgroup, and hands on the tails
// that have a witness: each invocation up to 32 at a time, and all of them at once.
void look_up_survivors(uint first, uint count) {
    uint at = lane < count ? survivors[own_queue + first + lane] : 0u;
    Items items = Items(0u, 0u, 0u, 0u);
    if (lane < count) {
        items = look_up(at);
    }
    uint next = 0u;
    while (subgroupAny(next < items.count && steps_left != 0u)) {
        uint passing = 0u;
        uint end = min(items.count, next + min(32u, steps_left));
        for (uint index = next; index < end; ++index) {
            passing |= passes(items, index, at) ? 1u << (index - next) : 0u;
        }
        steps_left -= end - next;
        uint own = uint(bitCount(passing));
        uint before = subgroupExclusiveAdd(own);
        uint all = subgroupAdd(own);
        uint place = 0u;
        if (subgroupElect() && all != 0u) {
            place = atomicAdd(control.candidate_count, all);
        }
        place = subgroupBroadcastFirst(place) + before;
        while (passing != 0u) {
            uint index = uint(findLSB(passing));
            passing &= passing - 1u;
            write_candidate(place, item_at(items, next + index), at);
            place += 1u;
        }
        next = end;
    }
}

// Folds four bytes as the bitmap does.
uint fold(uint bytes) {
    return bytes | (bytes >> 1 & GRAM_FOLD);
}

// A folded gram survives if the highest bit is set.
uint test(uint gram) {
    uint hash = gram * GRAM_HASH;
    uint word = bitmap[hash >> GRAM_WORD_BIT & (BITMAP_WORDS - 1u)];
    return word << (hash >> GRAM_BIT) & word << ((hash * GRAM_REHASH) >> GRAM_BIT);
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

// Queues the survivors of a turn, and looks up as many as there are invocations whenever there are.
void queue_survivors(uint tests, uint at) {
    while (subgroupAny(tests != 0u)) {
        int last = findMSB(tests);
        uint survivor = at + (FILTER_BYTES - GRAM_STRIDE) - uint(last) * GRAM_STRIDE;
        bool survives = tests != 0u && is_inside(survivor);
        uvec4 ballot = subgroupBallot(survives);
        if (survives) {
            survivors[own_queue + queued + subgroupBallotExclusiveBitCount(ballot)] = survivor;
        }
        tests &= ~(1u << (last & 31));
        queued += subgroupBallotBitCount(ballot);
        subgroupBarrier();
        if (queued >= lanes) {
            queued -= lanes;
            look_up_survivors(queued, lanes);
            subgroupBarrier();
        }
    }
}

void main() {
    uint local = gl_LocalInvocationID.x;
    for (uint word = local; word < BITMAP_WORDS; word += gl_WorkGroupSize.x) {
        bitmap[word] = tables.words[tables.header.bitmap + word];
    }
    barrier();
    if (gl_GlobalInvocationID.x == 0u && params.first_start == 0u && params.filter_first == 0u) {
        hand_on(tables.header.anchored, 0u);
    }
    uvec4 all = subgroupBallot(true);
    lanes = subgroupBallotBitCount(all);
    lane = subgroupBallotExclusiveBitCount(all);
    own_queue = gl_SubgroupID * (FILTER_SURVIVORS / gl_NumSubgroups);
    uint last_unit = (params.haystack_len - 1u) & ~(FILTER_BYTES - 1u);
    uint turn_bytes = gl_WorkGroupSize.x * FILTER_BYTES;
    uint at = (params.filter_first & ~(FILTER_BYTES - 1u))
        + gl_WorkGroupID.x * turn_bytes * params.filter_turns + local * FILTER_BYTES;
    for (uint turn = 0u; turn < params.filter_turns; ++turn) {
        // A subgroup stays together, so past the end the last unit is looked at in vain.
        uvec4 unit = unit_at(min(at, last_unit));
        uint next = unit_at(min(at + FILTER_BYTES, last_unit)).x;
        uvec4 folded = uvec4(fold(unit.x), fold(unit.y), fold(unit.z), fold(unit.w));
        uint tests = test_word(0u, folded.x, folded.y);
        tests = test_word(tests, folded.y, folded.z);
        tests = test_word(tests, folded.z, folded.w);
        tests = test_word(tests, folded.w, fold(next));
        queue_survivors(tests, at);
        at += turn_bytes;
    }
    look_up_survivors(0u, queued);
    own_up();
}
