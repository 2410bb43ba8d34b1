#version 460
#extension GL_GOOGLE_include_directive : require

// Reads all of a buffer: how fast that goes is a ceiling for whatever looks at every byte (src/ceilings).
//
// Reads the haystack's first segment, params.haystack_len bytes, 16 at a time; writes the sum of what each invocation has read
// to a word of selection. Grid: any. Loops: units by invocations. CPU twin: src/twin/ceilings.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4

#include "bindings.glsl"
#include "hits.glsl"

layout(local_size_x = 256) in;

void main() {
    uint units = params.haystack_len >> HAYSTACK_UNIT_LOG2;
    uint invocations = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    // Four at a time, so that none waits for another.
    uvec4 sums = uvec4(0u);
    uint at = gl_GlobalInvocationID.x;
    for (; at + 3u * invocations < units; at += 4u * invocations) {
        sums += haystack[0].words[at] + haystack[0].words[at + invocations]
            + haystack[0].words[at + 2u * invocations] + haystack[0].words[at + 3u * invocations];
    }
    for (; at < units; at += invocations) {
        sums += haystack[0].words[at];
    }
    uint sum = sums.x + sums.y + sums.z + sums.w;
    selection.words[gl_GlobalInvocationID.x] = sum;
}
