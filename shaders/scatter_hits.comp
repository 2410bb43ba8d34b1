#version 460
#extension GL_GOOGLE_include_directive : require

// Moves hits to where those of their pattern lie, in any order.
//
// Reads Control and the hits; writes records, and places, in the candidates' place (include/groups.glsl). Grid:
// Control::hits_*. Loop: as in count_hits.comp. CPU twin: src/twin/divide.rs.

#include "bindings.glsl"
#include "groups.glsl"

layout(local_size_x = SELECT_LANES) in;

void main() {
    uint width = gl_NumWorkGroups.x * SELECT_LANES;
    for (uint index = gl_GlobalInvocationID.x; index < control.divided; index += width) {
        Found found = hit(index);
        uint place = atomicAdd(candidates.suffixes_then_starts[found.pattern_id].at, 1u);
        set_record(records_at(control.divided), place, found);
    }
}
