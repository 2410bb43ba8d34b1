//! The twin of `shaders/gram_prefilter.comp`.

use super::{Buffers, is_claimed, slot_place};
use crate::rules::tables::pack;
use crate::shaders::layout::{self, Candidate, ScanParams, SplitRecord};

pub(crate) fn gram_prefilter(buffers: &mut Buffers, params: &ScanParams) {
    let header = *buffers.header();
    let slots = (0..params.slot_count).map(|index| buffers.slots[slot_place(params, index)]);
    let claimed = slots.filter(|slot| is_claimed(params, *slot));
    let texts: Vec<[u32; 2]> = match params.ring_slots {
        0 => vec![[0, params.haystack_len]],
        _ => claimed.map(|slot| [slot.begin, slot.end]).collect(),
    };
    let has_starts = params.prefilter_first + 1 == params.first_start.max(1);
    let has_ends = params.is_final != 0 && params.prefilter_end == params.haystack_len;
    for [start, end] in texts.into_iter().filter(|[start, end]| start < end) {
        let range = params.first_start..params.end_start;
        let starts = has_starts && range.contains(&start);
        let ends = has_ends && end > params.first_start;
        if starts && !push_candidates(buffers, params, header.at_start, start)
            || ends && !push_candidates(buffers, params, header.at_end, end - 1)
        {
            return;
        }
    }
    let first = params.prefilter_first.next_multiple_of(header.gram_stride);
    for at in (first..params.prefilter_end).step_by(header.gram_stride as usize) {
        // What lies past the end is whatever the device's buffer holds there.
        let byte = |index: u32| {
            let at = (at + index) as usize;
            *buffers.haystack.get(at).unwrap_or(&buffers.past_end)
        };
        let bytes = [0, 1, 2, 3].map(byte);
        let (word, bits) = pack::bitmap_bits(u32::from_le_bytes(bytes), &header);
        let gram = u32::from_le_bytes(bytes.map(|byte| byte.to_ascii_lowercase()));
        if buffers.word(header.bitmap + word) & bits == bits && !look_up(buffers, params, gram, at)
        {
            return;
        }
    }
}

fn look_up(buffers: &mut Buffers, params: &ScanParams, gram: u32, at: u32) -> bool {
    let header = *buffers.header();
    let log2 = header.gram_table_log2;
    let mut slot = gram.wrapping_mul(layout::GRAM_HASH) >> (32 - log2);
    loop {
        let found = buffers.word(header.gram_table + slot);
        if found == layout::NO_GRAM {
            return true;
        }
        if found == gram {
            let place = header.gram_lists + slot * layout::GRAM_LIST_WORDS;
            let [list, confirm_mask] = [0, 1].map(|word| buffers.word(place + word));
            if list & layout::GRAM_ONLY_POSTING != 0 {
                return !meets_mask(buffers, params, confirm_mask, at)
                    || push_candidate(buffers, params, list, at);
            }
            return (0..buffers.word(list)).all(|index| {
                let [posting, confirm_mask] =
                    [1, 2].map(|word| buffers.word(list + 2 * index + word));
                !meets_mask(buffers, params, confirm_mask, at)
                    || push_candidate(buffers, params, posting, at)
            });
        }
        slot = (slot + 1) & ((1 << log2) - 1);
    }
}

fn meets_mask(buffers: &Buffers, params: &ScanParams, confirm_mask: u32, at: u32) -> bool {
    if confirm_mask == layout::CONFIRM_ANY {
        return true;
    }
    let distance = confirm_mask >> layout::CONFIRM_BITS;
    if [layout::CONFIRM_KINDS_BEFORE, layout::CONFIRM_KINDS_BEHIND].contains(&distance) {
        let first = match distance {
            layout::CONFIRM_KINDS_BEHIND => Some(at + 4),
            _ => at.checked_sub(layout::CONFIRM_KIND_BYTES),
        };
        let Some(first) =
            first.filter(|first| first + layout::CONFIRM_KIND_BYTES <= params.haystack_len)
        else {
            return true;
        };
        return (0..layout::CONFIRM_KIND_BYTES).all(|place| {
            let byte = u32::from(buffers.byte(first + place).to_ascii_lowercase());
            let kinds = buffers.word(buffers.header().byte_kinds + byte / 8);
            let kind = kinds >> (4 * (byte % 8)) & 0xF;
            confirm_mask >> (place * layout::BYTE_KINDS + kind) & 1 == 1
        });
    }
    let place = at + distance;
    let Some(place) = place.checked_sub(layout::CONFIRM_ZERO) else { return false };
    if place + 4 > params.haystack_len {
        return true;
    }
    let bytes = [0, 1, 2, 3].map(|index| buffers.byte(place + index).to_ascii_lowercase());
    let hash = u32::from_le_bytes(bytes).wrapping_mul(layout::GRAM_HASH);
    let bit = hash >> layout::GRAM_BIT;
    bit >= layout::CONFIRM_BITS || confirm_mask >> bit & 1 == 1
}

/// The twin of the function in `shaders/include/candidates.glsl`.
pub(super) fn push_candidates(
    buffers: &mut Buffers,
    params: &ScanParams,
    list: u32,
    at: u32,
) -> bool {
    (1..=buffers.word(list)).all(|index| {
        let posting = buffers.word(list + index);
        push_candidate(buffers, params, posting, at)
    })
}

fn push_candidate(buffers: &mut Buffers, params: &ScanParams, posting: u32, at: u32) -> bool {
    let offset = posting >> layout::GRAM_OFFSET_SHIFT & layout::GRAM_MOST_OFFSET;
    let of = posting & ((1 << layout::GRAM_OFFSET_SHIFT) - 1);
    let split: SplitRecord = buffers.record(buffers.header().splits, of);
    let is_left_out = match params.use_prefilter {
        layout::PREFILTER_BOUNDED => split.prefix_max == layout::UNBOUNDED,
        _ => params.has_listed != 0 && buffers.is_listed(split.rule),
    };
    if offset > at + 1 || is_left_out {
        return true;
    }
    let count = buffers.control.candidate_count;
    buffers.control.candidate_count += 1;
    if count >= params.candidate_capacity {
        return false;
    }
    buffers.candidates[count as usize] = Candidate { of, at: at + 1 - offset };
    true
}
