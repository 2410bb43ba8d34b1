//! The twin of `shaders/filter.comp`.

use super::Buffers;
use crate::rules::pass;
use crate::shaders::layout::{Candidate, ScanParams};

pub(crate) fn filter(buffers: &mut Buffers, params: &ScanParams) {
    let header = *buffers.header();
    let first = params.filter_first.next_multiple_of(header.gram_stride);
    for at in (first..params.filter_end).step_by(header.gram_stride as usize) {
        // What lies past the end is whatever the device's buffer holds there.
        let byte = |index: u32| {
            let at = (at + index) as usize;
            *buffers.haystack.get(at).unwrap_or(&buffers.past_end)
        };
        let bytes = [0, 1, 2, 3].map(byte);
        let (word, bits) = pass::bitmap_bits(u32::from_le_bytes(bytes), header.bitmap_log2);
        if buffers.word(header.bitmap + word) & bits != bits {
            continue;
        }
        let gram = u32::from_le_bytes(bytes.map(|byte| byte.to_ascii_lowercase()));
        let count = buffers.control.survivor_count;
        buffers.control.survivor_count += 1;
        if count >= params.survivor_capacity {
            return;
        }
        buffers.candidates[count as usize] = Candidate { of: gram, at };
    }
}
