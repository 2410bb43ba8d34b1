#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require

// Retires the slots of packed items once the matches of all of them are known.
//
// Reads the tables' head, Control and the hit counter; reads and writes the ring's slots and the tenant's tally; writes what has become of
// each slot into memory that the host reads, behind the hits and their suffixes. Grid: an invocation for each slot. A run
// that found nothing out, or that starts were left out of, retires none. No loops. CPU twin: src/twin/retire.rs.

#include "bindings.glsl"
#include "readback.glsl"

layout(local_size_x = 256, local_size_x_id = SPEC_SLOT_WORKGROUP) in;

void main() {
    if (!is_over(tables.header) || run_retry_reasons() != 0u || hits.count > params.hit_capacity) {
        return;
    }
    uint index = gl_GlobalInvocationID.x;
    if (index == 0u) {
        tally(TALLY_HITS, hits.count);
    }
    if (params.end_start != params.haystack_len) {
        return;
    }
    bool is_done = false;
    uint bytes = 0u;
    if (index < params.slot_count) {
        uint place = slot_place(index);
        Slot slot = ring.slots[place];
        bool is_own = is_claimed(slot);
        if (is_own && slot.state == SLOT_CLAIMED) {
            ring.slots[place].state = SLOT_DONE;
            is_done = true;
            bytes = slot.end - slot.begin;
        }
        readback.words[params.hit_capacity * 4u + index] = is_own ? SLOT_DONE : SLOT_FAULTED;
    }
    uint items = subgroupAdd(is_done ? 1u : 0u);
    bytes = subgroupAdd(bytes);
    if (subgroupElect()) {
        tally(TALLY_ITEMS, items);
        tally(TALLY_BYTES, bytes);
    }
}
