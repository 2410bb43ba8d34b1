//! The twin of `shaders/claim.comp`.

use super::{Buffers, slot_place};
use crate::shaders::layout::{self, ScanParams, Slot};

pub(crate) fn claim(buffers: &mut Buffers, params: &ScanParams) {
    for index in 0..params.slot_count {
        let place = slot_place(params, index);
        let slot = buffers.slots[place];
        if is_good(params, slot) {
            if slot.state == layout::SLOT_PUBLISHED {
                buffers.slots[place].state = layout::SLOT_CLAIMED;
            }
        } else if slot.state != layout::SLOT_FAULTED
            && slot.epoch.wrapping_sub(params.epoch).cast_signed() <= 0
        {
            buffers.slots[place].state = layout::SLOT_FAULTED;
            buffers.tally(params, layout::TALLY_FAULTS, 1);
        }
    }
    buffers.control.claimed = params.slot_count;
}

fn is_good(params: &ScanParams, slot: Slot) -> bool {
    let states = [layout::SLOT_PUBLISHED, layout::SLOT_CLAIMED, layout::SLOT_DONE];
    let is_inside = slot.begin <= slot.end && slot.end < params.haystack_len;
    let is_own = slot.epoch == params.epoch && slot.tenant == params.tenant;
    states.contains(&slot.state) && is_inside && is_own
}
