#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require

// Counts how often each digit comes in each tile of many hits.
//
// Reads Control, the tables' head and the hits, which are in the hit buffer and in the selection buffer in turns; writes counts
// (layout/selection.glsl). Grid: Control::tiles_*, workgroups that take tiles in turns. Loops: digits and a tile's hits by
// invocations, for each tile in turn. CPU twin: src/twin/sort_hits.rs.

#include "bindings.glsl"
#include "hits.glsl"
#include "digits.glsl"

layout(local_size_x = 64, local_size_x_id = SPEC_SELECT_LANES) in;

shared uint counts[DIGITS];

void main() {
    uint lane = gl_LocalInvocationID.x;
    for (uint tile = gl_WorkGroupID.x; tile < tile_count(); tile += gl_NumWorkGroups.x) {
        for (uint digit = lane; digit < DIGITS; digit += SELECT_LANES) {
            counts[digit] = 0u;
        }
        barrier();
        uint end = min((tile + 1u) * SELECT_TILE, control.many);
        for (uint index = tile * SELECT_TILE + lane; index < end; index += SELECT_LANES) {
            atomicAdd(counts[digit_of(unsorted(index))], 1u);
        }
        barrier();
        for (uint digit = lane; digit < DIGITS; digit += SELECT_LANES) {
            selection.words[counts_at(digit) + tile] = counts[digit];
        }
        barrier();
    }
}
