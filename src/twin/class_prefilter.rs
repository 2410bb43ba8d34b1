//! The twin of `shaders/class_prefilter.comp`.

use super::Buffers;
use super::gram_prefilter::hand_on;
use crate::shaders::layout::{self, ScanParams};

pub(crate) fn class_prefilter(buffers: &mut Buffers, params: &ScanParams) {
    let header = *buffers.header();
    for at in params.prefilter_first..params.prefilter_end {
        let mut sequence = 0;
        for index in at..at + layout::SEQUENCE_BYTES {
            let byte = buffers.haystack.get(index as usize).copied().unwrap_or(buffers.past_end);
            sequence =
                sequence << layout::SEQUENCE_LETTER_BITS | buffers.class_of(header.letters, byte);
        }
        if buffers.word(header.sequences + (sequence >> 5)) >> (sequence & 31) & 1 == 0 {
            continue;
        }
        let list = buffers.word(header.sequence_lists + sequence);
        if !hand_on(buffers, params, list, at) {
            return;
        }
    }
}
