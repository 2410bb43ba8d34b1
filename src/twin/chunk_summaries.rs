//! The twin of `shaders/chunk_summaries.comp`.

use super::{Buffers, rule_of_track, segment_count};
use crate::MatchKind;
use crate::shaders::layout::{self, Control, ScanParams, TrackSegment};

pub(crate) fn chunk_summaries(buffers: &mut Buffers, params: &ScanParams) {
    let Control { pass, made, made_count, .. } = buffers.control;
    if pass != params.pass {
        return;
    }
    for &track in &made[..made_count as usize] {
        for segment in 0..segment_count(params) {
            let at = (track * segment_count(params) + segment) as usize;
            buffers.tracks[at] = walk(buffers, params, track, segment);
        }
    }
}

fn walk(buffers: &Buffers, params: &ScanParams, track: u32, segment: u32) -> TrackSegment {
    let name = buffers.control.tracks[track as usize];
    let rule = buffers.rule(rule_of_track(name));
    let named = (name - 1) & ((1 << layout::TRACK_ROW_BITS) - 1);
    let is_lost = |row| row == layout::ROW_DEAD || row == layout::ROW_ESCAPE;
    let begin = segment << params.segment_log2;
    let end = begin + (1 << params.segment_log2);
    let [mut first, mut row, mut last] = [named, named, 0];
    for at in begin.saturating_sub(layout::TRACK_WARM_UP)..end {
        if at == begin {
            row = if is_lost(row) { named } else { row };
            first = row;
        }
        if !is_lost(row) {
            let (next, matches) = buffers.step(&rule, row, at);
            row = next;
            last = if at >= begin && matches { at } else { last };
        }
    }
    let is_inside = buffers.text(params, begin).is_some_and(|text| end <= text.end);
    let is_known = is_inside
        && row != layout::ROW_ESCAPE
        && (buffers.match_kind != MatchKind::All || last == 0);
    let first = if is_known { first } else { layout::SEGMENT_NO_ROW };
    TrackSegment { rows: first | row << layout::SEGMENT_ROW_BITS, stop: segment + 1, last }
}
