#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Selects matches from many sorted hits, tile by tile.
//
// Reads Control, sorted hits, links and tiles; writes what is selected, and how many that is, in links and tiles
// (layout/selection.glsl). Where hits leave open which of them count, starts are listed to be verified again, and
// reports changed to what they tell beside these. Grid: Control::tiles_*, workgroups that take tiles in turns. Loops: a
// tile's hits by invocations, and those of include/chains.glsl. CPU twin: src/twin/select_many.rs.

#include "bindings.glsl"
#include "hits.glsl"
#include "tiles.glsl"

layout(local_size_x = 64, local_size_x_id = SPEC_SELECT_LANES) in;

#include "chains.glsl"

shared uint match_count;

void select_chains(uint tile, uint first, uint size) {
    begin_chains();
    for (uint index = lane(); index < size; index += SELECT_LANES) {
        uint next = selection.words[link_at(first + index)] - first;
        ahead[index] = next < size ? next : SELECT_NONE;
    }
    select_firsts(first, size);
    barrier();
    if (lane() == 0u && entry_of(tile) - first < size) {
        uint start;
        selected_from(entered_from(tile), start);
        starts[entry_of(tile) - first] = start;
    }
    follow_chains(first, size);
    open_reports(first, size, entered_from(tile));
}

void main() {
    for (uint tile = gl_WorkGroupID.x; tile < tile_count(); tile += gl_NumWorkGroups.x) {
        uint first = tile * SELECT_TILE;
        uint size = tile_size(tile);
        if (MATCH_ALL == 1u) {
            select_distinct(first, size);
        } else {
            select_chains(tile, first, size);
        }
        if (lane() == 0u) {
            match_count = 0u;
        }
        barrier();
        uint own = 0u;
        for (uint index = lane(); index < size; index += SELECT_LANES) {
            bool is_match = starts[index] != SELECT_NONE && sorted(first + index).suffix != CARRIED;
            selection.words[link_at(first + index) + 1u] = is_match ? starts[index] : SELECT_NONE;
            own += is_match ? 1u : 0u;
        }
        atomicAdd(match_count, own);
        barrier();
        if (lane() == 0u) {
            selection.words[tile_at(tile) + 4u] = match_count;
        }
        barrier();
    }
}
