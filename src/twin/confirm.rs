//! The twin of `shaders/confirm.comp`.

use super::{Buffers, Text};
use crate::shaders::layout::{self, Candidate, Hit, ScanParams, SplitRecord};

pub(crate) fn confirm(buffers: &mut Buffers, params: &ScanParams) {
    if buffers.control.pass != params.pass || buffers.control.prefiltered != 0 {
        return;
    }
    let count = buffers.control.candidate_count.min(params.candidate_capacity);
    (0..count).for_each(|id| invocation(buffers, params, id));
}

#[derive(PartialEq)]
enum Verdict {
    NoMatch,
    MayMatch,
    Match { end: u32 },
}

fn walk(
    buffers: &Buffers,
    params: &ScanParams,
    text: Text,
    split: &SplitRecord,
    start: u32,
    steps: u32,
    to_the_end: bool,
) -> Verdict {
    let end_class = split.stride - 1;
    let dfa = [split.classes, split.first_entry, split.stride];
    let mut row = buffers.first_row(text, dfa, start);
    let mut verdict = Verdict::NoMatch;
    for at in start..start + steps {
        let at_end = at == text.end;
        if row == layout::ROW_DEAD {
            return verdict;
        }
        if row == layout::ROW_ESCAPE || (at_end && params.is_final == 0) {
            return Verdict::MayMatch;
        }
        let class =
            if at_end { end_class } else { buffers.class_of(split.classes, buffers.byte(at)) };
        let entry = buffers.dfa_entry(split.first_entry, split.stride, row, class);
        row = entry >> 1;
        if row != layout::ROW_ESCAPE && entry & layout::ENTRY_MATCH != 0 {
            verdict = Verdict::Match { end: at };
            if !to_the_end {
                return verdict;
            }
        }
        if at_end && row != layout::ROW_ESCAPE {
            return verdict;
        }
    }
    Verdict::MayMatch
}

fn push_start(buffers: &mut Buffers, params: &ScanParams, of: u32, at: u32) -> bool {
    if at < params.first_start || at >= params.end_start {
        return true;
    }
    let index = buffers.control.start_count;
    buffers.control.start_count += 1;
    if index < params.start_capacity {
        buffers.candidates[(params.candidate_capacity + index) as usize] = Candidate { of, at };
    }
    index < params.start_capacity
}

fn push_all_starts(
    buffers: &mut Buffers,
    params: &ScanParams,
    text: Text,
    split: &SplitRecord,
    suffix: u32,
) {
    let first = suffix - split.prefix_max.min(suffix - text.begin);
    for start in first..=suffix - split.prefix_min {
        if !push_start(buffers, params, split.rule, start) {
            return;
        }
    }
}

/// Whether a walk may go on for so many pieces. A candidate has an invocation to itself here.
fn pays_for(
    buffers: &mut Buffers,
    params: &ScanParams,
    pieces_left: &mut u32,
    pieces: u32,
) -> bool {
    let taken = &mut buffers.control.pieces;
    let most = (params.haystack_len / layout::PIECE_STEPS).max(params.most_pieces);
    let pays = *pieces_left >= pieces && *taken < most;
    if pays {
        *pieces_left -= pieces;
        *taken += pieces;
    }
    pays
}

fn walk_back(
    buffers: &mut Buffers,
    params: &ScanParams,
    text: Text,
    split: &SplitRecord,
    suffix: u32,
    is_direct: bool,
    verdict: Verdict,
) {
    let end_class = split.reverse_prefix_stride - 1;
    let entry_of = |buffers: &Buffers, row, class| {
        buffers.dfa_entry(split.reverse_prefix_first_entry, split.reverse_prefix_stride, row, class)
    };
    let pieces_left = &mut { params.most_pieces };
    let mut exact_end = match verdict {
        Verdict::Match { end } if is_direct => Some(end),
        _ => None,
    };
    let mut row = entry_of(buffers, 0, end_class) >> 1;
    let mut at = suffix;
    let mut least = None;
    let mut starts = 0;
    while row != layout::ROW_DEAD {
        let beyond = (suffix - at).checked_sub(layout::PREFIX_STEPS);
        if beyond.is_some_and(|beyond| beyond.is_multiple_of(layout::PIECE_STEPS)) {
            let of_suffix = layout::LONG_SUFFIX_STEPS / layout::PIECE_STEPS;
            if beyond == Some(0)
                && is_direct
                && exact_end.is_none()
                && pays_for(buffers, params, pieces_left, of_suffix)
            {
                let steps = layout::LONG_SUFFIX_STEPS;
                match walk(buffers, params, text, split, suffix, steps, true) {
                    Verdict::NoMatch => return,
                    Verdict::MayMatch => {}
                    Verdict::Match { end } => exact_end = Some(end),
                }
            }
            let pieces = if exact_end.is_some() { 1 } else { 4 };
            let is_worth_it = suffix - at < layout::LONG_PREFIX_STEPS
                && (exact_end.is_some() || starts <= layout::LONG_PREFIX_STARTS);
            if !is_worth_it || !pays_for(buffers, params, pieces_left, pieces) {
                break;
            }
        }
        let class = if at == text.begin {
            end_class
        } else {
            buffers.class_of(split.reverse_prefix_classes, buffers.byte(at - 1))
        };
        let entry = entry_of(buffers, row, class);
        row = entry >> 1;
        if entry & layout::ENTRY_MATCH != 0 {
            least = if at < params.end_start { Some(at) } else { least };
            starts += 1;
            if exact_end.is_none() && !push_start(buffers, params, split.rule, at) {
                return;
            }
        }
        if at <= params.first_start.max(text.begin) {
            row = layout::ROW_DEAD;
        } else {
            at -= 1;
        }
    }
    if row != layout::ROW_DEAD {
        match split.prefix_max {
            layout::UNBOUNDED => {
                if !buffers.list_rule(params, split.rule) {
                    buffers.control.retry_reasons |= layout::RETRY_PREFIXES;
                }
            }
            _ => push_all_starts(buffers, params, text, split, suffix),
        }
    } else if let (Some(start), Some(end)) = (least, exact_end)
        && start < end
    {
        let pattern_id = buffers.rule(split.rule).pattern_id;
        let report = match split.report & layout::REPORT_AT_END {
            0 => suffix | (split.report - 1) << layout::REPORT_SHIFT,
            _ => layout::NO_SUFFIX,
        };
        buffers.emit_report(params, Hit { pattern_id, start, end }, report);
    }
}

fn invocation(buffers: &mut Buffers, params: &ScanParams, id: u32) {
    let candidate = buffers.candidates[id as usize];
    let split: SplitRecord = buffers.record(buffers.header().splits, candidate.of);
    let suffix = candidate.at + u32::from(split.report & layout::REPORT_AT_END != 0);
    let Some(text) = buffers.text(params, candidate.at) else { return };
    if suffix - text.begin < split.prefix_min {
        return;
    }
    if split.prefix_min == split.prefix_max {
        let start = suffix - split.prefix_min;
        if !(params.first_start..params.end_start).contains(&start) {
            return;
        }
        let to_the_end = params.is_direct != 0;
        match walk(buffers, params, text, &split, start, layout::SUFFIX_STEPS, to_the_end) {
            Verdict::NoMatch => {}
            Verdict::Match { end } if params.is_direct != 0 => {
                let pattern_id = buffers.rule(split.rule).pattern_id;
                if end > start {
                    buffers.emit(params, Hit { pattern_id, start, end });
                }
            }
            _ => {
                push_start(buffers, params, split.rule, start);
            }
        }
        return;
    }
    let is_direct = params.is_direct != 0 && split.report & !layout::REPORT_AT_END != 0;
    let verdict = walk(buffers, params, text, &split, suffix, layout::SUFFIX_STEPS, is_direct);
    if verdict == Verdict::NoMatch {
        return;
    }
    if split.reverse_prefix_stride != 0 {
        walk_back(buffers, params, text, &split, suffix, is_direct, verdict);
        return;
    }
    push_all_starts(buffers, params, text, &split, suffix);
}
