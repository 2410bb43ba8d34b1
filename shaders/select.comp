#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Selects the matches of a scan among few hits, or has many divided by patterns.
//
// Reads Control, the tables' head and the hits; writes the matches where the hits were, and the readback buffer. One
// workgroup. A scan that is over, and that the host has seen to be all of its haystack, is selected from, unless hits leave
// open which of them count: then these are read back, and the header says so (SELECTED_*). Hits that are too many for
// shared memory are left, and grids set for the kernels that divide them. Loops: patterns and groups by invocations; the
// others are those of include/selection.glsl. CPU twin: src/twin/select.rs.

#include "bindings.glsl"
#include "groups.glsl"
#include "readback.glsl"

layout(local_size_x = SELECT_LANES) in;

#include "selection.glsl"

shared uint match_count;

// What is left to other workgroups; nothing, where there is no work for them.
void divide(uint found) {
    control.divided = found;
    control.hits_x = min((found + SELECT_LANES * 4u - 1u) / (SELECT_LANES * 4u), MOST_HIT_GROUPS);
    control.group_hits_x = found == 0u ? 0u : 1u;
    control.select_groups_x = found == 0u ? 0u : group_count(found);
    control.collect_matches_x = min(control.select_groups_x, MOST_HIT_GROUPS);
    control.hits_y = control.group_hits_y = control.select_groups_y = control.collect_matches_y = 1u;
    control.hits_z = control.group_hits_z = control.select_groups_z = control.collect_matches_z = 1u;
}

void end_with(bool is_done, uint selected, uint matches) {
    if (lane() == 0u) {
        write_header(is_done, count, selected, matches);
        divide(selected == SELECTED_MANY ? count : 0u);
    }
}

void main() {
    count = hits.count;
    are_few = true;
    bool is_done = is_over(tables.header);
    if (!is_done || run_retry_reasons() != 0u || count > params.hit_capacity) {
        end_with(is_done, SELECTED_NONE, 0u);
        return;
    }
    if (count > SELECT_LANES) {
        bool has_room = count <= tables.header.most_selected
            && spare_at(count) + 2u * count <= candidates.suffixes_then_starts.length();
        for (uint place = lane(); has_room && place < records_at(count); place += SELECT_LANES) {
            candidates.suffixes_then_starts[place] = Candidate(0u, 0u);
        }
        end_with(true, has_room ? SELECTED_MANY : SELECTED_NONE, 0u);
        return;
    }
    if (count == 0u) {
        end_with(true, SELECTED_ALL, 0u);
        return;
    }
    begin_selection();
    uint index = lane();
    Found own = Found(NONE, NONE, NONE, NONE);
    if (index < count) {
        own = hit(index);
    }
    sort_few(own);
    if (!select_sorted()) {
        if (index < count) {
            read_back_hit(index);
        }
        end_with(true, SELECTED_OPEN, 0u);
        return;
    }
    bool is_match = index < count && is_selected(index);
    uint place = sum_before(is_match ? 1u : 0u);
    if (is_match) {
        Found found = sorted(index);
        uint words[3] = uint[3](found.pattern_id, known(index, START), found.end);
        for (uint word = 0u; word < 3u; ++word) {
            hits.words[place * 3u + word] = words[word];
            readback.words[place * 3u + word] = words[word];
        }
    }
    if (index == count - 1u) {
        match_count = place + (is_match ? 1u : 0u);
    }
    barrier();
    end_with(true, SELECTED_ALL, match_count);
    if (index == 0u) {
        hits.count = match_count;
    }
}
