//! The twin of `shaders/compose_summaries.comp`.

use super::{Buffers, chunk_count, compose_parts, rule_of_summary};
use crate::shaders::layout::{self, ChunkSummary, Control, ScanParams};

pub(crate) fn compose_summaries(buffers: &mut Buffers, params: &ScanParams) {
    let Control { pass, summaries, summary_count, .. } = buffers.control;
    let count = chunk_count(params);
    if pass != params.pass {
        return;
    }
    let rule = |summary: u32| rule_of_summary(summaries[summary as usize]);
    let share = count.div_ceil(compose_parts(params)).max(1);
    for chunk in (0..count).rev() {
        let end = (chunk / share * share + share).min(count);
        for summary in 0..summary_count {
            let at = |summary, chunk| (summary * count + chunk) as usize;
            let own = buffers.summaries[at(summary, chunk)];
            let row = own.rows >> layout::CHUNK_ROW_BITS;
            if own.stop >= end || row == layout::ROW_DEAD {
                continue;
            }
            let behind = |other: u32| buffers.summaries[at(other, own.stop)];
            let joins = |&other: &u32| {
                rule(other) == rule(summary) && behind(other).rows & layout::CHUNK_BEGIN_ROW == row
            };
            // In the order of the list.
            if let Some(other) = (0..summary_count).rev().find(joins) {
                let ChunkSummary { rows, stop, last } = behind(other);
                let rows = own.rows & layout::CHUNK_BEGIN_ROW | rows & !layout::CHUNK_BEGIN_ROW;
                buffers.summaries[at(summary, chunk)] =
                    ChunkSummary { rows, stop, last: own.last.max(last) };
            }
        }
    }
}
