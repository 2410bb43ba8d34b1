//! The twin of `shaders/tails.comp`.

use super::Buffers;
use crate::shaders::layout::{self, BranchRecord, QueueItem, ScanParams};

pub(crate) fn tails(buffers: &mut Buffers, params: &ScanParams) {
    let count = buffers.control.candidate_count.min(params.candidate_capacity);
    (0..count).for_each(|id| invocation(buffers, params, id));
}

fn may_match(buffers: &Buffers, params: &ScanParams, branch: &BranchRecord, start: u32) -> bool {
    let end_class = branch.stride - 1;
    let before = match start {
        0 => end_class,
        start => buffers.class_of(branch.classes, buffers.byte(start - 1)),
    };
    let mut row = buffers.dfa_entry(branch.first_entry, 0, before) >> 1;
    for at in start..start + layout::TAIL_STEPS {
        let at_end = at == params.haystack_len;
        if row == layout::ROW_DEAD {
            return false;
        }
        if row == layout::ROW_ESCAPE || (at_end && params.is_final == 0) {
            return true;
        }
        let class =
            if at_end { end_class } else { buffers.class_of(branch.classes, buffers.byte(at)) };
        let entry = buffers.dfa_entry(branch.first_entry, row, class);
        row = entry >> 1;
        if entry & layout::ENTRY_MATCH != 0 {
            return true;
        }
        if at_end {
            return row == layout::ROW_ESCAPE;
        }
    }
    true
}

fn invocation(buffers: &mut Buffers, params: &ScanParams, id: u32) {
    let candidate = buffers.queue[(params.queue_capacity + id) as usize];
    let branch: BranchRecord = buffers.record(buffers.header().branches, candidate.rule);
    let tail = candidate.start;
    if tail < branch.front_min || !may_match(buffers, params, &branch, tail) {
        return;
    }
    let first = tail.saturating_sub(branch.front_max).max(params.first_start);
    let end = (tail - branch.front_min + 1).min(params.end_start);
    for start in first..end {
        let index = buffers.control.item_count;
        buffers.control.item_count += 1;
        if index < params.candidate_capacity {
            let first_item = params.queue_capacity + params.candidate_capacity;
            buffers.queue[(first_item + index) as usize] =
                QueueItem { rule: branch.rule, start, from: 0 };
        }
    }
}
