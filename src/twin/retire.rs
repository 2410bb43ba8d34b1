//! The twin of `shaders/include/retire.glsl`.

use super::{Buffers, is_claimed, slot_place};
use crate::shaders::layout::{self, ScanParams};

/// What has become of each slot, if the scan is over.
pub(crate) fn retire(buffers: &mut Buffers, params: &ScanParams) -> Option<Vec<u32>> {
    let is_known = buffers.is_over(params)
        && buffers.run_retry_reasons(params) == 0
        && buffers.hit_count <= params.hit_capacity;
    if !is_known || params.end_start != params.haystack_len {
        return None;
    }
    let retire = |index| {
        let place = slot_place(params, index);
        let slot = buffers.slots[place];
        if !is_claimed(params, slot) {
            return layout::SLOT_FAULTED;
        }
        if slot.state == layout::SLOT_CLAIMED {
            buffers.slots[place].state = layout::SLOT_DONE;
            buffers.tally(params, layout::TALLY_ITEMS, 1);
            buffers.tally(params, layout::TALLY_BYTES, slot.end - slot.begin);
        }
        layout::SLOT_DONE
    };
    Some((0..params.slot_count).map(retire).collect())
}
