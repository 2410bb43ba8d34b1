#version 460
#extension GL_GOOGLE_include_directive : require

// Counts the hits of each pattern.
//
// Reads Control and the hits; writes counts in the candidates' place (include/groups.glsl). Grid: Control::hits_*. Loop: hits
// by invocations, of which there are a fourth as many, up to MOST_HIT_GROUPS workgroups. CPU twin: src/twin/divide.rs.

#include "bindings.glsl"
#include "groups.glsl"

layout(local_size_x = SELECT_LANES) in;

void main() {
    uint width = gl_NumWorkGroups.x * SELECT_LANES;
    for (uint index = gl_GlobalInvocationID.x; index < control.divided; index += width) {
        atomicAdd(candidates.suffixes_then_starts[hits.words[index * 3u]].of, 1u);
    }
}
