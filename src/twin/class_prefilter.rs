//! The twin of `shaders/class_prefilter.comp`.

use super::Buffers;
use super::gram_prefilter::push_candidates;
use crate::shaders::layout::{self, ScanParams};

pub(crate) fn class_prefilter(buffers: &mut Buffers, params: &ScanParams) {
    let header = *buffers.header();
    for at in params.prefilter_first..params.prefilter_end {
        let mut class_window = 0;
        for index in at..at + layout::CLASS_WINDOW_BYTES {
            let byte = buffers.haystack.get(index as usize).copied().unwrap_or(buffers.past_end);
            class_window = class_window << layout::CLASS_WINDOW_CLASS_BITS
                | buffers.class_of(header.byte_classes, byte);
        }
        if buffers.word(header.class_windows + (class_window >> 5)) >> (class_window & 31) & 1 == 0
        {
            continue;
        }
        let list = buffers.word(header.class_window_lists + class_window);
        if !push_candidates(buffers, params, list, at) {
            return;
        }
    }
}
