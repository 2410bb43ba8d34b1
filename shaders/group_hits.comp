#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Tells where the hits of each pattern will lie, and which patterns make a group.
//
// Reads Control, the tables' head and counts; writes places and groups, which are empty at first, in the candidates' place
// (include/groups.glsl). One workgroup. Loops: patterns by invocations. CPU twin: src/twin/divide.rs.

#include "bindings.glsl"
#include "groups.glsl"

layout(local_size_x = SELECT_LANES) in;

#include "scan.glsl"

void main() {
    uint count = control.divided;
    uint pattern_count = tables.header.pattern_count;
    uint share = (pattern_count + SELECT_LANES - 1u) / SELECT_LANES;
    uint begin = min(lane() * share, pattern_count);
    uint end = min(begin + share, pattern_count);
    uint own = 0u;
    for (uint pattern = begin; pattern < end; ++pattern) {
        own += candidates.suffixes_then_starts[pattern].of;
    }
    uint place = sum_before(own);
    // Where the last pattern that has hits begins, with 1 added.
    uint last = 0u;
    uint next = place;
    for (uint pattern = begin; pattern < end; ++pattern) {
        uint hit_count = candidates.suffixes_then_starts[pattern].of;
        last = hit_count == 0u ? last : next + 1u;
        next += hit_count;
    }
    last = greatest_before(uvec2(last, 0u)).x;
    for (uint pattern = begin; pattern < end; ++pattern) {
        uint hit_count = candidates.suffixes_then_starts[pattern].of;
        candidates.suffixes_then_starts[pattern].at = place;
        if (hit_count == 0u) {
            continue;
        }
        uint group = place / group_hits(count);
        uint group_before = (max(last, 1u) - 1u) / group_hits(count);
        if (last == 0u || group_before != group) {
            candidates.suffixes_then_starts[groups_at() + group].of = place;
        }
        if (last != 0u && group_before != group) {
            candidates.suffixes_then_starts[groups_at() + group_before].at = place;
        }
        last = place + 1u;
        place += hit_count;
    }
    if (lane() == SELECT_LANES - 1u) {
        candidates.suffixes_then_starts[groups_at() + (max(last, 1u) - 1u) / group_hits(count)].at = count;
    }
}
