#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Writes the matches selected from many hits, tile by tile; or the hits, if they leave anything open.
//
// Reads Control, sorted hits, links and tiles (layout/selection.glsl); writes the matches, or hits, where the hits were, and
// the readback buffer. Grid: Control::write_matches_*, workgroups that have as many tiles each. Loops: tiles by invocations,
// and a tile's hits. CPU twin: src/twin/select_many.rs.

#include "bindings.glsl"
#include "hits.glsl"
#include "tiles.glsl"
#include "readback.glsl"

layout(local_size_x = 64, local_size_x_id = SPEC_SELECT_LANES) in;

#include "scan.glsl"

// Matches of all tiles before this workgroup's, and of all.
shared uint before;
shared uint all;
// Those of a round, word by word.
shared uint words[3u * SELECT_LANES];
shared uint round_matches;

void count_matches(uint begin) {
    if (lane() == 0u) {
        before = 0u;
        all = 0u;
    }
    barrier();
    uint own_before = 0u;
    uint own_all = 0u;
    for (uint tile = lane(); tile < tile_count(); tile += SELECT_LANES) {
        own_all += matches_of(tile);
        own_before += tile < begin ? matches_of(tile) : 0u;
    }
    atomicAdd(before, own_before);
    atomicAdd(all, own_all);
    barrier();
}

// Writes the matches of a tile, and says how many there are.
uint write_tile(uint tile, uint to) {
    uint first = tile * SELECT_TILE;
    uint written = 0u;
    for (uint round = 0u; round < tile_size(tile); round += SELECT_LANES) {
        uint index = first + round + lane();
        uint start = SELECT_NONE;
        if (round + lane() < tile_size(tile)) {
            start = selection.words[link_at(index) + 1u];
        }
        uint place = sum_before(start != SELECT_NONE ? 1u : 0u);
        if (start != SELECT_NONE) {
            Found found = sorted(index);
            words[place * 3u] = found.pattern_id;
            words[place * 3u + 1u] = start;
            words[place * 3u + 2u] = found.end;
        }
        if (lane() == SELECT_LANES - 1u) {
            round_matches = place + (start != SELECT_NONE ? 1u : 0u);
        }
        barrier();
        for (uint word = lane(); word < round_matches * 3u; word += SELECT_LANES) {
            hits.words[(to + written) * 3u + word] = words[word];
            write_word((to + written) * 3u + word, words[word]);
        }
        written += round_matches;
        barrier();
    }
    return written;
}

void main() {
    uint share = (tile_count() + gl_NumWorkGroups.x - 1u) / gl_NumWorkGroups.x;
    uint begin = min(gl_WorkGroupID.x * share, tile_count());
    uint end = min(begin + share, tile_count());
    uint selected = selected_of(control.opened);
    bool is_open = selected != SELECTED_ALL;
    count_matches(begin);
    if (gl_WorkGroupID.x == 0u && lane() == 0u) {
        write_header(true, 0u, count, selected, is_open ? 0u : all);
        control.selected = selected;
        tally_matches(is_open ? 0u : all);
        hits.count = is_open ? count : all;
    }
    if (is_open) {
        for (uint index = begin * SELECT_TILE + lane(); index < min(end * SELECT_TILE, count); index += SELECT_LANES) {
            set_hit(index, record(index));
        }
        return;
    }
    uint to = before;
    for (uint tile = begin; tile < end; ++tile) {
        to += write_tile(tile, to);
    }
}
