//! The twin of `shaders/filter.comp`.

use super::Buffers;
use crate::shaders::layout::{self, QueueItem, ScanParams};

pub(crate) fn filter(buffers: &mut Buffers, params: &ScanParams) {
    let end = (params.end_start + params.reach).min(params.haystack_len);
    for at in params.first_start..end {
        // What lies past the end is whatever the device's buffer holds there.
        let byte = |index: u32| {
            let at = (at + index) as usize;
            buffers.haystack.get(at).copied().unwrap_or(buffers.past_end)
        };
        let gram = u32::from_le_bytes([0, 1, 2, 3].map(byte)) | layout::GRAM_FOLD;
        let hash = gram.wrapping_mul(layout::GRAM_HASH);
        let bit = hash >> (32 - layout::BITMAP_LOG2);
        let word = buffers.word(buffers.header().bitmap + (bit >> 5));
        if word >> (bit & 31) & 1 == 1 && !look_up(buffers, params, gram, at) {
            return;
        }
    }
}

fn look_up(buffers: &mut Buffers, params: &ScanParams, gram: u32, at: u32) -> bool {
    let log2 = buffers.header().gram_table_log2;
    let mut slot = gram.wrapping_mul(layout::GRAM_HASH) >> (32 - log2);
    loop {
        let entry = buffers.header().gram_table + slot * 2;
        let list = buffers.word(entry + 1);
        if list == 0 {
            return true;
        }
        if buffers.word(entry) == gram {
            for index in 1..=buffers.word(list) {
                let item = buffers.word(list + index);
                let offset = item >> layout::GRAM_OFFSET_SHIFT;
                if offset <= at {
                    let count = buffers.control.candidate_count;
                    buffers.control.candidate_count += 1;
                    if count >= params.candidate_capacity {
                        return false;
                    }
                    let rule = item & ((1 << layout::GRAM_OFFSET_SHIFT) - 1);
                    buffers.queue[(params.queue_capacity + count) as usize] =
                        QueueItem { rule, start: at - offset, from: 0 };
                }
            }
            return true;
        }
        slot = (slot + 1) & ((1 << log2) - 1);
    }
}
