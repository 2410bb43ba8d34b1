//! The twin of `shaders/tails.comp`.

use super::Buffers;
use crate::shaders::layout::{self, BranchRecord, Candidate, ScanParams};

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

fn hand_on(buffers: &mut Buffers, params: &ScanParams, of: u32, at: u32) -> bool {
    if at < params.first_start || at >= params.end_start {
        return true;
    }
    let index = buffers.control.item_count;
    buffers.control.item_count += 1;
    if index < params.item_capacity {
        buffers.candidates[(params.candidate_capacity + index) as usize] = Candidate { of, at };
    }
    index < params.item_capacity
}

fn walk_back(buffers: &mut Buffers, params: &ScanParams, branch: &BranchRecord, tail: u32) {
    let end_class = branch.back_stride - 1;
    let mut row = buffers.dfa_entry(branch.back_first_entry, 0, end_class) >> 1;
    let mut at = tail;
    for _ in 0..layout::FRONT_STEPS {
        if row == layout::ROW_DEAD {
            return;
        }
        let class = match at {
            0 => end_class,
            at => buffers.class_of(branch.back_classes, buffers.byte(at - 1)),
        };
        let entry = buffers.dfa_entry(branch.back_first_entry, row, class);
        if entry & layout::ENTRY_MATCH != 0 && !hand_on(buffers, params, branch.rule, at) {
            return;
        }
        row = entry >> 1;
        if at <= params.first_start {
            return;
        }
        at -= 1;
    }
    if row != layout::ROW_DEAD {
        buffers.control.overflowed |= layout::OVERFLOW_FRONTS;
    }
}

fn invocation(buffers: &mut Buffers, params: &ScanParams, id: u32) {
    let candidate = buffers.candidates[id as usize];
    let branch: BranchRecord = buffers.record(buffers.header().branches, candidate.of);
    let tail = candidate.at;
    if tail < branch.front_min {
        return;
    }
    if branch.front_min == branch.front_max {
        let start = tail - branch.front_min;
        let is_inside = (params.first_start..params.end_start).contains(&start);
        if is_inside && may_match(buffers, params, &branch, start) {
            hand_on(buffers, params, branch.rule, start);
        }
    } else if may_match(buffers, params, &branch, tail) {
        if branch.back_stride != 0 {
            walk_back(buffers, params, &branch, tail);
            return;
        }
        for start in tail.saturating_sub(branch.front_max)..=tail - branch.front_min {
            if !hand_on(buffers, params, branch.rule, start) {
                return;
            }
        }
    }
}
