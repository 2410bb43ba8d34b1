#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_vote : require

// Looks the survivors of the filter up, and hands on the tails that they may belong to.
//
// Reads survivors, the tables and the haystack; writes candidate tails and counts them in Control. Grid: each
// invocation takes every grid's-width-th survivor, and the host gives a grid wide enough that these are
// GRAMS_MOST at most. Each branch of which a survivor is a gram, and that has its witness, gets a candidate.
// Branches that match at the start of the haystack only get theirs from the first invocation. Loops:
// GRAMS_MOST; look-ups and items, which count down from FILTER_STEPS. CPU twin: src/twin/grams.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"
#include "candidates.glsl"
#include "grams.glsl"

layout(local_size_x = WORKGROUP) in;

// A gram's items and their witnesses: `count` pairs of words at `first`, or only this item.
struct Items {
    uint count;
    uint first;
    uint only;
    uint only_witness;
};

// What a gram may belong to.
Items look_up(uint gram) {
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

// Hands on the tails of a survivor that have a witness: each invocation of the subgroup up to 32 at a time, and
// all of them at once.
void look_at(Candidate survivor, Items items) {
    uint next = 0u;
    while (subgroupAny(next < items.count && steps_left != 0u)) {
        uint passing = 0u;
        uint end = min(items.count, next + min(32u, steps_left));
        for (uint index = next; index < end; ++index) {
            passing |= passes(items, index, survivor.at) ? 1u << (index - next) : 0u;
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
            write_candidate(place, item_at(items, next + index), survivor.at);
            place += 1u;
        }
        next = end;
    }
}

void main() {
    if (control.pass != params.pass || control.filtered != 0u) {
        return;
    }
    if (gl_GlobalInvocationID.x == 0u && params.first_start == 0u) {
        hand_on(tables.header.anchored, 0u);
    }
    uint count = min(control.survivor_count, params.survivor_capacity);
    uint width = gl_NumWorkGroups.x * WORKGROUP;
    // A workgroup stays together.
    for (uint first = gl_WorkGroupID.x * WORKGROUP; first < count; first += width) {
        uint index = first + gl_LocalInvocationID.x;
        Candidate survivor = Candidate(0u, 0u);
        Items items = Items(0u, 0u, 0u, 0u);
        if (index < count) {
            survivor = candidates.of_all_kinds[index];
            items = look_up(survivor.of);
        }
        look_at(survivor, items);
    }
    own_up();
}
