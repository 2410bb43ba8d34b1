#version 460
#extension GL_GOOGLE_include_directive : require

// Claims the slots of packed items, and finds those that are at fault.
//
// Reads and writes the ring's slots and the tenant's tally. Grid: a workgroup for as many slots as it has invocations,
// which it claims with one addition to Control::claimed. A slot that is not of this epoch and tenant, or whose item does
// not lie in the haystack, is at fault, and its bytes are not looked at; but one of a later epoch has been published anew
// since nobody waits for this scan any more. No loops. CPU twin: src/twin/claim.rs.

#include "bindings.glsl"

layout(local_size_x = 256, local_size_x_id = SPEC_SLOT_WORKGROUP) in;

shared uint first;

// Whether a slot can be claimed, or has been by an earlier run over the same items.
bool is_good(Slot slot) {
    bool is_published = slot.state == SLOT_PUBLISHED || slot.state == SLOT_CLAIMED || slot.state == SLOT_DONE;
    bool is_inside = slot.begin <= slot.end && slot.end < params.haystack_len;
    return is_published && is_inside && slot.epoch == params.epoch && slot.tenant == params.tenant;
}

void main() {
    if (gl_LocalInvocationID.x == 0u) {
        first = atomicAdd(control.claimed, gl_WorkGroupSize.x);
    }
    barrier();
    uint index = first + gl_LocalInvocationID.x;
    if (index >= params.slot_count) {
        return;
    }
    uint place = slot_place(index);
    Slot slot = ring.slots[place];
    if (is_good(slot)) {
        if (slot.state == SLOT_PUBLISHED) {
            ring.slots[place].state = SLOT_CLAIMED;
        }
    } else if (slot.state != SLOT_FAULTED && int(slot.epoch - params.epoch) <= 0) {
        ring.slots[place].state = SLOT_FAULTED;
        tally(TALLY_FAULTS, 1u);
    }
}
