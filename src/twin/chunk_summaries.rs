//! The twin of `shaders/chunk_summaries.comp`.

use super::{Buffers, chunk_count, rule_of_summary};
use crate::MatchKind;
use crate::shaders::layout::{self, ChunkSummary, Control, ScanParams};

pub(crate) fn chunk_summaries(buffers: &mut Buffers, params: &ScanParams) {
    let Control { pass, made, made_count, .. } = buffers.control;
    if pass != params.pass {
        return;
    }
    for &summary in &made[..made_count as usize] {
        for chunk in 0..chunk_count(params) {
            let at = (summary * chunk_count(params) + chunk) as usize;
            buffers.summaries[at] = walk(buffers, params, summary, chunk);
        }
    }
}

fn walk(buffers: &Buffers, params: &ScanParams, summary: u32, chunk: u32) -> ChunkSummary {
    let name = buffers.control.summaries[summary as usize];
    let rule = buffers.rule(rule_of_summary(name));
    let named = (name - 1) & ((1 << layout::SUMMARY_ROW_BITS) - 1);
    let is_lost = |row| row == layout::ROW_DEAD || row == layout::ROW_ESCAPE;
    let begin = chunk << params.chunk_log2;
    let end = begin + (1 << params.chunk_log2);
    let [mut first, mut row, mut last] = [named, named, 0];
    for at in begin.saturating_sub(layout::SUMMARY_WARM_UP)..end {
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
    let first = if is_known { first } else { layout::CHUNK_NO_ROW };
    ChunkSummary { rows: first | row << layout::CHUNK_ROW_BITS, stop: chunk + 1, last }
}
