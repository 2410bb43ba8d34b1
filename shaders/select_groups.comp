#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Sorts the hits of a group of patterns, and selects the matches among them.
//
// Reads Control and the tables' head; reads and writes the records of its group, and writes its result (include/groups.glsl).
// Grid: Control::select_groups_*, a workgroup for each group. Few hits are sorted and selected in shared memory. Many are
// sorted by radix, least digit first: each subgroup has a part of the hits, counts its digits and moves its hits behind those
// that other subgroups count of the digit before. Loops: hits by invocations or by subgroups, once for each digit, of
// which there are so many as bits of a pattern and two places have; the counters by invocations; and those of
// include/selection.glsl. CPU twin: src/twin/divide.rs.

#define CANDIDATES_ACCESS coherent
#include "bindings.glsl"
#include "groups.glsl"

layout(local_size_x = SELECT_LANES) in;

#include "selection.glsl"

shared uint round_matches;

uint bits(uint value) {
    return uint(findMSB(value) + 1);
}

// A digit of the match's end; or of pattern and position, this in the lowest bits.
uint digit(Found found, bool of_end, uint position_bits, uint shift) {
    uint value;
    if (of_end) {
        value = found.end >> shift;
    } else if (shift >= position_bits) {
        value = found.pattern_id >> shift - position_bits;
    } else {
        value = position(found) >> shift | found.pattern_id << position_bits - shift;
    }
    return value & SELECT_DIGITS - 1u;
}

// Sorts by one digit; what is alike in it keeps its order. Shared memory has how often each digit comes in each subgroup's
// part, digit by digit.
void sort_by(uint from, uint to, bool of_end, uint position_bits, uint shift) {
    const uint words = SELECT_DIGITS * SELECT_SUBGROUPS;
    for (uint word = lane(); word < words; word += SELECT_LANES) {
        small[word] = 0u;
    }
    barrier();
    uint share = (count + gl_NumSubgroups - 1u) / gl_NumSubgroups;
    uint begin = min(gl_SubgroupID * share, count);
    uint end = min(begin + share, count);
    for (uint index = begin + gl_SubgroupInvocationID; index < end; index += lanes()) {
        uint place = digit(record(from, index), of_end, position_bits, shift) * SELECT_SUBGROUPS + gl_SubgroupID;
        atomicAdd(small[place], 1u);
    }
    barrier();
    const uint each = (words + SELECT_LANES - 1u) / SELECT_LANES;
    uint first = min(lane() * each, words);
    uint sum = 0u;
    for (uint word = first; word < min(first + each, words); ++word) {
        sum += small[word];
    }
    sum = sum_before(sum);
    for (uint word = first; word < min(first + each, words); ++word) {
        uint own = small[word];
        small[word] = sum;
        sum += own;
    }
    barrier();
    for (uint round = begin; round < end; round += lanes()) {
        uint index = round + gl_SubgroupInvocationID;
        bool is_hit = index < end;
        Found found = Found(0u, 0u, 0u, 0u);
        uint own = 0u;
        if (is_hit) {
            found = record(from, index);
            own = digit(found, of_end, position_bits, shift);
        }
        // Those of the same digit.
        uvec4 alike = subgroupBallot(is_hit);
        for (uint bit = 1u; bit < SELECT_DIGITS; bit <<= 1) {
            uvec4 has = subgroupBallot((own & bit) != 0u);
            alike &= (own & bit) != 0u ? has : ~has;
        }
        uint place = own * SELECT_SUBGROUPS + gl_SubgroupID;
        uint base = small[place];
        uint before = subgroupBallotBitCount(alike & gl_SubgroupLtMask);
        subgroupBarrier();
        if (is_hit && before == 0u) {
            small[place] = base + subgroupBallotBitCount(alike);
        }
        subgroupBarrier();
        if (is_hit) {
            set_record(to, base + before, found);
        }
    }
    memoryBarrierBuffer();
    barrier();
}

void sort_many(uint spare) {
    uint position_bits = bits(params.haystack_len);
    uint end_bits = MATCH_ALL == 1u ? position_bits : 0u;
    uint all_bits = end_bits + position_bits + bits(tables.header.pattern_count);
    for (uint shift = 0u; shift < all_bits;) {
        bool of_end = shift < end_bits;
        sort_by(sorted_at, spare, of_end, position_bits, of_end ? shift : shift - end_bits);
        shift = of_end ? min(shift + SELECT_DIGIT_BITS, end_bits) : shift + SELECT_DIGIT_BITS;
        uint from = sorted_at;
        sorted_at = spare;
        spare = from;
    }
    known_at = spare;
}

void main() {
    uint found = control.divided;
    Candidate group = candidates.suffixes_then_starts[groups_at() + gl_WorkGroupID.x];
    uint result = results_at(found) + gl_WorkGroupID.x;
    count = group.at - group.of;
    if (count == 0u) {
        return;
    }
    begin_selection();
    uint records = records_at(found) + 2u * group.of;
    are_few = count <= SELECT_LANES;
    if (are_few) {
        Found own = Found(NONE, NONE, NONE, NONE);
        if (lane() < count) {
            own = record(records, lane());
        }
        sort_few(own);
    } else {
        sorted_at = records;
        sort_many(spare_at(found) + 2u * group.of);
    }
    bool is_closed = select_sorted();
    // No match goes behind its hit's place, so that what is yet to be looked at stays.
    uint match_count = 0u;
    for (uint round = 0u; is_closed && round < count; round += SELECT_LANES) {
        uint index = round + lane();
        bool is_match = index < count && is_selected(index);
        Found own = Found(0u, 0u, 0u, 0u);
        if (is_match) {
            own = sorted(index);
            own.start = known(index, START);
        }
        uint place = sum_before(is_match ? 1u : 0u);
        if (lane() == SELECT_LANES - 1u) {
            round_matches = place + (is_match ? 1u : 0u);
        }
        memoryBarrierBuffer();
        barrier();
        if (is_match) {
            set_record(records, match_count + place, own);
        }
        match_count += round_matches;
        memoryBarrierBuffer();
        barrier();
    }
    if (lane() == 0u) {
        candidates.suffixes_then_starts[result] = Candidate(match_count, is_closed ? 0u : 1u);
    }
}
