#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Links many sorted hits: which one is selected behind each, and where its tile's chain ends.
//
// Reads Control and sorted hits; writes links and tiles (layout/selection.glsl). Grid: Control::tiles_*, workgroups that take
// tiles in turns. Loops: a tile's hits by invocations, once for each jump, of which there are the bits of SELECT_TILE; and
// those of include/chains.glsl. CPU twin: src/twin/select_many.rs.

#include "bindings.glsl"
#include "hits.glsl"
#include "tiles.glsl"

layout(local_size_x = 64, local_size_x_id = SPEC_SELECT_LANES) in;

#include "chains.glsl"

// The last hit of the tile that is the first of its pattern, with 1 added.
shared uint last_first;

// Finds where each hit's chain in the tile ends, in the place of starts.
void find_ends(uint size) {
    bool goes_on = true;
    for (uint turn = 0u; goes_on; ++turn) {
        uint ends[SHARE];
        for (uint item = 0u; item < SHARE; ++item) {
            uint index = item * SELECT_LANES + lane();
            bool leads = index < size && ahead[index] != SELECT_NONE;
            ends[item] = index < size ? starts[leads ? ahead[index] : index] : 0u;
        }
        barrier();
        for (uint item = 0u; item < SHARE; ++item) {
            uint index = item * SELECT_LANES + lane();
            if (index < size) {
                starts[index] = ends[item];
            }
        }
        goes_on = jump(size, turn);
    }
}

void main() {
    for (uint tile = gl_WorkGroupID.x; tile < tile_count(); tile += gl_NumWorkGroups.x) {
        uint first = tile * SELECT_TILE;
        uint size = tile_size(tile);
        begin_chains();
        if (lane() == 0u) {
            last_first = 0u;
        }
        barrier();
        for (uint index = lane(); index < size; index += SELECT_LANES) {
            uint next = next_of(first + index);
            selection.words[link_at(first + index)] = next;
            ahead[index] = next - first < size ? next - first : SELECT_NONE;
            starts[index] = index;
            if (is_first(first + index, sorted(first + index))) {
                atomicMax(last_first, index + 1u);
            }
        }
        barrier();
        find_ends(size);
        for (uint index = lane(); index < size; index += SELECT_LANES) {
            selection.words[link_at(first + index) + 1u] = first + starts[index];
        }
        if (lane() == 0u) {
            uint left = SELECT_NONE;
            uint to = SELECT_NONE;
            if (last_first != 0u) {
                left = (first + last_first - 1u) * 2u | FROM_FIRST;
                uint start;
                to = selected_from(left, start);
                if (to - first < size) {
                    left = (first + starts[to - first]) * 2u;
                    to = next_of(left / 2u);
                }
            }
            selection.words[tile_at(tile)] = SELECT_NONE;
            selection.words[tile_at(tile) + 1u] = SELECT_NONE;
            selection.words[tile_at(tile) + 2u] = left;
            selection.words[tile_at(tile) + 3u] = to;
        }
        barrier();
    }
}
