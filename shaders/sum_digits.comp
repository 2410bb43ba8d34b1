#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Sums up how often a digit comes in the tiles before each one, and in all of them.
//
// Reads Control; reads and writes counts (layout/selection.glsl). Grid: Control::sum_digits_*, a workgroup for each digit.
// Loop: tiles by invocations. CPU twin: src/twin/sort_hits.rs.

#include "bindings.glsl"
#include "hits.glsl"

layout(local_size_x = 64, local_size_x_id = SPEC_SELECT_LANES) in;

#include "scan.glsl"

shared uint round_sum;

void main() {
    uint digit = gl_WorkGroupID.x;
    uint before = 0u;
    for (uint round = 0u; round < tile_count(); round += SELECT_LANES) {
        uint tile = round + lane();
        uint own = 0u;
        if (tile < tile_count()) {
            own = selection.words[counts_at(digit) + tile];
        }
        uint sum = sum_before(own);
        if (tile < tile_count()) {
            selection.words[counts_at(digit) + tile] = before + sum;
        }
        if (lane() == SELECT_LANES - 1u) {
            round_sum = sum + own;
        }
        barrier();
        before += round_sum;
    }
    if (lane() == 0u) {
        selection.words[sum_at(digit)] = before;
    }
}
