//! The twin of `shaders/retire.comp`.

use super::{Buffers, slot_place};
use crate::shaders::layout::{self, ScanParams, Slot};

/// What has become of each slot, if the scan is over.
pub(crate) fn retire(buffers: &mut Buffers, params: &ScanParams) -> Option<Vec<u32>> {
    let is_whole =
        params.end_start == params.haystack_len && buffers.hit_count <= params.hit_capacity;
    if !buffers.is_over(params) || buffers.run_overflows(params) != 0 || !is_whole {
        return None;
    }
    let Buffers { slots, tallies, hit_count, .. } = buffers;
    let tally = &mut tallies[params.tenant as usize];
    tally.hits += *hit_count;
    let retired = (0..params.slot_count).map(|index| {
        let Slot { state, begin, end, .. } = &mut slots[slot_place(params, index)];
        if *state == layout::SLOT_CLAIMED {
            *state = layout::SLOT_DONE;
            tally.items += 1;
            let [low, high] = [tally.bytes_low, tally.bytes_high].map(u64::from);
            let bytes = (high << 32 | low) + u64::from(*end - *begin);
            [tally.bytes_low, tally.bytes_high] = [bytes as u32, (bytes >> 32) as u32];
        }
        *state
    });
    Some(retired.collect())
}
