//! The twin of `shaders/sequences.comp`.

use super::Buffers;
use crate::shaders::layout::{self, Candidate, ScanParams};

pub(crate) fn sequences(buffers: &mut Buffers, params: &ScanParams) {
    let header = *buffers.header();
    for at in params.filter_first..params.filter_end {
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
        for index in 1..=buffers.word(list) {
            let item = buffers.word(list + index);
            let offset = item >> layout::GRAM_OFFSET_SHIFT;
            if offset <= at {
                let count = buffers.control.candidate_count;
                buffers.control.candidate_count += 1;
                if count >= params.candidate_capacity {
                    return;
                }
                let of = item & ((1 << layout::GRAM_OFFSET_SHIFT) - 1);
                buffers.candidates[count as usize] = Candidate { of, at: at - offset };
            }
        }
    }
}
