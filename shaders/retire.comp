#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require

// Retires the slots of packed items once the matches of all of them are known.
//
// Reads Control and the hit counter; reads and writes the ring's slots and the tenant's tally; writes what has become of
// each slot into memory that the host reads, behind the hits and their tails. Grid: an invocation for each slot. A run
// that found nothing out, or that starts were left out of, retires none. CPU twin: src/twin/retire.rs.

#include "bindings.glsl"

layout(local_size_x = 256, local_size_x_id = 7) in;

layout(set = 0, binding = BINDING_READBACK) writeonly buffer Readback {
    ReadbackHeader header;
    uint words[];
} readback;

// Adds to the bytes, which 32 bits do not hold.
void add_bytes(uint bytes) {
    uint before = atomicAdd(ring.tallies[params.tenant].bytes_low, bytes);
    if (before + bytes < before) {
        atomicAdd(ring.tallies[params.tenant].bytes_high, 1u);
    }
}

void main() {
    bool is_whole = params.end_start == params.haystack_len && hits.count <= params.hit_capacity;
    if (!is_over(tables.header) || run_overflows() != 0u || !is_whole) {
        return;
    }
    uint index = gl_GlobalInvocationID.x;
    bool is_done = false;
    uint bytes = 0u;
    if (index < params.slot_count) {
        uint place = slot_place(index);
        Slot slot = ring.slots[place];
        if (slot.state == SLOT_CLAIMED) {
            ring.slots[place].state = SLOT_DONE;
            is_done = true;
            bytes = slot.end - slot.begin;
        }
        uint state = slot.state == SLOT_CLAIMED ? SLOT_DONE : slot.state;
        readback.words[params.hit_capacity * 4u + index] = state;
    }
    uint items = subgroupAdd(is_done ? 1u : 0u);
    uint all_bytes = subgroupAdd(bytes);
    if (subgroupElect()) {
        atomicAdd(ring.tallies[params.tenant].items, items);
        add_bytes(all_bytes);
    }
    if (index == 0u) {
        atomicAdd(ring.tallies[params.tenant].hits, hits.count);
    }
}
