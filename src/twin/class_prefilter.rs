//! The twin of `shaders/class_prefilter.comp`.

use super::Buffers;
use super::gram_prefilter::push_candidates;
use crate::shaders::layout::{self, ScanParams};

/// Of a reach, each bucket's bit that is its first place.
const FIRST_PLACES: u32 = 0x8080_8080;

pub(crate) fn class_prefilter(buffers: &mut Buffers, params: &ScanParams) {
    let header = *buffers.header();
    for at in params.prefilter_first..params.prefilter_end {
        let [mut class_window, mut met] = [0, u32::MAX];
        for place in 0..layout::CLASS_WINDOW_BYTES {
            let at = (at + place) as usize;
            let byte = buffers.haystack.get(at).copied().unwrap_or(buffers.past_end);
            class_window = class_window << layout::CLASS_WINDOW_CLASS_BITS
                | buffers.class_of(header.byte_classes, byte);
            // The last place is lowest.
            met &= buffers.word(header.class_reaches + u32::from(byte)) << place;
        }
        let list = buffers.word(header.class_window_lists + class_window);
        if met & FIRST_PLACES != 0 && list != 0 && !push_candidates(buffers, params, list, at) {
            return;
        }
    }
}
