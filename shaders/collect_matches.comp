#version 460
#extension GL_GOOGLE_include_directive : require

// Writes the matches of all groups, one group after the other.
//
// Reads Control, the tables' head, records and results (include/groups.glsl); writes the matches where the hits were, and the
// readback buffer. Grid: Control::collect_matches_*, workgroups that have as many groups each. If one of them leaves
// anything open, the hits are read back instead, and the header says so. Loops: groups by invocations, and the words of
// the matches of its groups, or hits by invocations. CPU twin: src/twin/divide.rs.

#include "bindings.glsl"
#include "groups.glsl"
#include "readback.glsl"

layout(local_size_x = SELECT_LANES) in;

// Matches of the groups before, and of all; and whether any leaves something open.
shared uint before;
shared uint all;
shared uint is_open;

void main() {
    uint lane = gl_LocalInvocationID.x;
    if (lane == 0u) {
        before = 0u;
        all = 0u;
        is_open = 0u;
    }
    barrier();
    uint found = control.divided;
    uint groups = group_count(found);
    uint share = (groups + gl_NumWorkGroups.x - 1u) / gl_NumWorkGroups.x;
    uint begin = min(gl_WorkGroupID.x * share, groups);
    uint end = min(begin + share, groups);
    uint own_before = 0u;
    uint own_all = 0u;
    for (uint group = lane; group < groups; group += SELECT_LANES) {
        Candidate result = candidates.suffixes_then_starts[results_at(found) + group];
        own_all += result.of;
        own_before += group < begin ? result.of : 0u;
        if (result.at != 0u) {
            is_open = 1u;
        }
    }
    atomicAdd(before, own_before);
    atomicAdd(all, own_all);
    barrier();
    if (gl_WorkGroupID.x == 0u && lane == 0u) {
        write_header(true, found, is_open == 1u ? SELECTED_OPEN : SELECTED_ALL, is_open == 1u ? 0u : all);
        hits.count = is_open == 1u ? found : all;
    }
    if (is_open == 1u) {
        uint width = gl_NumWorkGroups.x * SELECT_LANES;
        for (uint index = gl_GlobalInvocationID.x; index < found; index += width) {
            read_back_hit(index);
        }
        return;
    }
    uint to = before * 3u;
    for (uint group = begin; group < end; ++group) {
        uint first = candidates.suffixes_then_starts[groups_at() + group].of;
        uint words = candidates.suffixes_then_starts[results_at(found) + group].of * 3u;
        uint records = records_at(found) + 2u * first;
        for (uint word = lane; word < words; word += SELECT_LANES) {
            Candidate pair = candidates.suffixes_then_starts[records + word / 3u * 2u + (word % 3u == 2u ? 1u : 0u)];
            uint value = word % 3u == 1u ? pair.at : pair.of;
            hits.words[to + word] = value;
            readback.words[to + word] = value;
        }
        to += words;
    }
}
