#version 460
#extension GL_GOOGLE_include_directive : require

// Writes the outcome of a scan, and of the hits those that there are, into memory that the host reads.
//
// Reads Control, the tables' head and the hits; writes the readback buffer. Grid: each invocation copies every
// grid's-width-th word, and no more words than fit the loop's bound: the host gives a grid that is wide
// enough. Hits are copied only once the scan is done, and only if all of them fit. In the place of a
// `schedule` after the suffixes of the only pass, which may have left nothing to do, it sees to that itself.
// CPU twin: src/twin/readback.rs.

#include "bindings.glsl"
#include "readback.glsl"

layout(local_size_x = WORKGROUP) in;

void main() {
    uint id = gl_GlobalInvocationID.x;
    uint count = hits.count;
    bool is_done = is_over(tables.header);
    if (id == 0u) {
        write_header(is_done, count, SELECTED_NONE, 0u);
    }
    if (!is_done || count > params.hit_capacity) {
        return;
    }
    uint width = gl_NumWorkGroups.x * WORKGROUP;
    for (uint word = id; word < count * 3u; word += width) {
        readback.words[word] = hits.words[word];
    }
    uint suffixes = params.hit_capacity * 3u;
    for (uint word = id; params.is_direct != 0u && word < count; word += width) {
        readback.words[suffixes + word] = hits.words[suffixes + word];
    }
}
