#version 460
#extension GL_GOOGLE_include_directive : require
#include "layout.glsl"

layout(local_size_x = WORKGROUP) in;
layout(constant_id = 0) const uint SEGMENTS = 1;

layout(set = 0, binding = 0, std430) readonly buffer Haystack { uvec4 words[]; } haystack[8];
layout(set = 0, binding = 3, std430) buffer Items { Item items[]; };
layout(push_constant) uniform Push { AdvanceParams params; };

void main() {
    if (gl_GlobalInvocationID.x >= params.count) {
        return;
    }
    uint at = params.first + gl_GlobalInvocationID.x;
    items[at].value += SEGMENTS + haystack[at >> 29].words[at].x;
}
