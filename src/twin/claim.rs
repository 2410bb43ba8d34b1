//! The twin of `shaders/claim.comp`.

use super::{Buffers, filter, slot_place};
use crate::shaders::layout::{self, ScanParams, Slot};

pub(crate) fn claim(buffers: &mut Buffers, params: &ScanParams) {
    for index in 0..params.slot_count {
        let place = slot_place(params, index);
        let slot = buffers.slots[place];
        if !is_good(params, slot) {
            buffers.tallies[params.tenant as usize].faults +=
                u32::from(slot.state != layout::SLOT_FAULTED);
            buffers.slots[place].state = layout::SLOT_FAULTED;
            continue;
        }
        if slot.state == layout::SLOT_PUBLISHED {
            buffers.slots[place].state = layout::SLOT_CLAIMED;
        }
        if params.use_filter != layout::FILTER_NONE {
            let anchored = buffers.header().anchored;
            filter::hand_on(buffers, params, anchored, slot.begin);
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
