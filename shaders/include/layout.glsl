// What host and kernels both know: push constants, buffer records and limits. The build script turns
// this file into the Rust module `shaders::layout`, so it keeps to a small part of GLSL: structs of
// `uint` and `uint name[N]`, and `const uint`.
#ifndef LAYOUT_GLSL
#define LAYOUT_GLSL

// Invocations in a workgroup.
const uint WORKGROUP = 64u;
const uint HALF_WORKGROUP = (WORKGROUP - 32u) | 0x0u; // Just to try out an expression.

// Push constants of `advance`.
struct AdvanceParams {
    uint first; // The first word to advance.
    uint count;
    // Not used by anything.
    uint spare[2];
};

// One record in the buffer.
struct Item {
    uint value;
    uint tag[3];
};

#endif
