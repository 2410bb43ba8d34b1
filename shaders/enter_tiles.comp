#version 460
#extension GL_GOOGLE_include_directive : require

// Follows the chains that leave a tile through those behind it.
//
// Reads Control, sorted hits and links; reads and writes tiles (layout/selection.glsl). Grid: Control::enter_tiles_*, an
// invocation for each tile, which follows the chain of the last pattern that begins there, up to the tile where the next one
// begins. Loops: tiles, and those of a search among hits. CPU twin: src/twin/select_many.rs.

#include "bindings.glsl"
#include "hits.glsl"
#include "tiles.glsl"

layout(local_size_x = WORKGROUP) in;

void main() {
    uint tile = gl_GlobalInvocationID.x;
    uint tiles = tile_count();
    if (tile >= tiles || left_from(tile) == SELECT_NONE) {
        return;
    }
    uint from = left_from(tile);
    uint next = left_to(tile);
    for (tile += 1u; tile < tiles; ++tile) {
        selection.words[tile_at(tile)] = next;
        selection.words[tile_at(tile) + 1u] = from;
        if (left_from(tile) != SELECT_NONE) {
            return;
        }
        if (next / SELECT_TILE == tile) {
            uint last = selection.words[link_at(next) + 1u];
            from = last * 2u;
            next = selection.words[link_at(last)];
        }
    }
}
