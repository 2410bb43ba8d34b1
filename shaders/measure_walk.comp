#version 460
#extension GL_GOOGLE_include_directive : require

// Walks from word to word, each of which says where the next one is: what a step takes is a floor for a step of an automaton
// whose tables lie so far away (src/ceilings).
//
// Reads the tables, params.step_budget words of them; writes where it has come to into the first word of selection. Grid: one
// workgroup, of which one invocation does something. Loop: params.step_budget. CPU twin: src/twin/ceilings.rs.

#include "bindings.glsl"
#include "hits.glsl"

layout(local_size_x = 1) in;

void main() {
    uint at = 0u;
    for (uint step = 0u; step < params.step_budget; step += 1u) {
        at = tables.words[at];
    }
    selection.words[0] = at;
}
