#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Moves many hits to where they belong by a digit; those that have the same one keep their order.
//
// Radix sort by counting (D. Merrill, A. Grimshaw, "High Performance and Scalable Radix Sorting", 2011). Reads Control, the
// tables' head, the hits, which are in the hit buffer and in the selection buffer in turns, and sums of counts; writes
// the hits where they were not (layout/selection.glsl). Grid: Control::tiles_*, workgroups that take tiles in turns.
// Each subgroup has a part of the tile, and COUNTER_SUBGROUPS of them count at a time. Loops: digits, counters and a
// tile's hits by invocations, for each tile in turn. CPU twin: src/twin/sort_hits.rs.

#include "bindings.glsl"
#include "lockstep.glsl"
#include "hits.glsl"
#include "digits.glsl"

layout(local_size_x = 64, local_size_x_id = SPEC_SELECT_LANES) in;

#include "scan.glsl"

// Where the next hit of each digit goes; and how many of the subgroups before have it, two of 16 bits to a word.
shared uint places[DIGITS];
shared uint counters[DIGITS * COUNTER_SUBGROUPS / 2u];

uint counter_at(uint digit, uint subgroup) {
    return digit * (COUNTER_SUBGROUPS / 2u) + subgroup / 2u;
}

void move_to(uint to, Found found) {
    if (params.stage % 2u == 0u) {
        set_record(to, found);
    } else {
        set_hit(to, found);
    }
}

// Where each digit's hits begin, of all tiles.
void begin_digits(uint tile) {
    uint before = 0u;
    for (uint round = 0u; round < DIGITS; round += SELECT_LANES) {
        uint digit = round + lane();
        uint own = 0u;
        if (digit < DIGITS) {
            own = selection.words[sum_at(digit)];
        }
        uint sum = sum_before(own);
        if (digit < DIGITS) {
            places[digit] = before + sum + selection.words[counts_at(digit) + tile];
        }
        if (lane() == SELECT_LANES - 1u) {
            counters[0] = sum + own;
        }
        barrier();
        before += counters[0];
        barrier();
    }
}

// Moves the hits of so many subgroups from `first` on, each from `begin` to `end`.
void move_part(uint first, uint begin, uint end) {
    bool is_own = gl_SubgroupID >= first && gl_SubgroupID < first + COUNTER_SUBGROUPS;
    uint subgroup = gl_SubgroupID - first;
    uint shift = subgroup % 2u * 16u;
    for (uint counter = lane(); counter < DIGITS * COUNTER_SUBGROUPS / 2u; counter += SELECT_LANES) {
        counters[counter] = 0u;
    }
    barrier();
    for (uint index = begin + gl_SubgroupInvocationID; is_own && index < end; index += lanes()) {
        atomicAdd(counters[counter_at(digit_of(unsorted(index)), subgroup)], 1u << shift);
    }
    barrier();
    for (uint digit = lane(); digit < DIGITS; digit += SELECT_LANES) {
        uint sum = 0u;
        for (uint pair = 0u; pair < COUNTER_SUBGROUPS / 2u; ++pair) {
            uint both = counters[counter_at(digit, 2u * pair)];
            uint low = sum;
            sum += both & 0xFFFFu;
            counters[counter_at(digit, 2u * pair)] = low | sum << 16;
            sum += both >> 16;
        }
    }
    barrier();
    for (uint round = begin; is_own && round < end; round += lanes()) {
        uint index = round + gl_SubgroupInvocationID;
        bool is_hit = index < end;
        Found found = Found(0u, 0u, 0u, 0u);
        uint digit = 0u;
        if (is_hit) {
            found = unsorted(index);
            digit = digit_of(found);
        }
        // Those of the same digit.
        uvec4 alike = subgroupBallot(is_hit);
        for (uint bit = 1u; bit < DIGITS; bit <<= 1) {
            uvec4 has = subgroupBallot((digit & bit) != 0u);
            alike &= (digit & bit) != 0u ? has : ~has;
        }
        uint counter = counter_at(digit, subgroup);
        uint base = counters[counter] >> shift & 0xFFFFu;
        uint before = subgroupBallotBitCount(alike & gl_SubgroupLtMask);
        sync_subgroup();
        if (is_hit && before == 0u) {
            atomicAdd(counters[counter], subgroupBallotBitCount(alike) << shift);
        }
        sync_subgroup();
        if (is_hit) {
            move_to(places[digit] + base + before, found);
        }
    }
    barrier();
}

void main() {
    for (uint tile = gl_WorkGroupID.x; tile < tile_count(); tile += gl_NumWorkGroups.x) {
        begin_digits(tile);
        uint end = min((tile + 1u) * SELECT_TILE, control.many);
        uint share = (SELECT_TILE + gl_NumSubgroups - 1u) / gl_NumSubgroups;
        uint begin = min(tile * SELECT_TILE + gl_SubgroupID * share, end);
        for (uint first = 0u; first < gl_NumSubgroups; first += COUNTER_SUBGROUPS) {
            if (first > 0u) {
                // Behind those of the subgroups before: the last one's counters are where their hits end.
                for (uint digit = lane(); digit < DIGITS; digit += SELECT_LANES) {
                    places[digit] += counters[counter_at(digit, COUNTER_SUBGROUPS - 1u)] >> 16;
                }
                barrier();
            }
            move_part(first, begin, min(begin + share, end));
        }
    }
}
