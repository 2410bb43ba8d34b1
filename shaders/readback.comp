#version 460
#extension GL_GOOGLE_include_directive : require

// Writes the outcome of a scan, and of the hits those that there are, into memory that the host reads.
//
// Reads Control and the hits; writes the readback buffer. Grid: at most READBACK_GROUPS workgroups; each
// invocation copies every grid's-width-th word, and no more words than fit the loop's bound: the host
// gives a grid that is wide enough. Hits are copied only once the scan is done, and only if all of them
// fit. CPU twin: src/twin/readback.rs.

#include "bindings.glsl"

layout(local_size_x = WORKGROUP) in;

layout(set = 0, binding = BINDING_READBACK) writeonly buffer Readback {
    ReadbackHeader header;
    uint words[];
} readback;

void main() {
    uint id = gl_GlobalInvocationID.x;
    uint count = hits.count;
    if (id == 0u) {
        readback.header = ReadbackHeader(control.pass, count, control.rounds, control.overflowed);
    }
    if (control.pass < params.pass_count || count > params.hit_capacity) {
        return;
    }
    uint width = gl_NumWorkGroups.x * WORKGROUP;
    for (uint word = id; word < count * 3u; word += width) {
        readback.words[word] = hits.words[word];
    }
}
