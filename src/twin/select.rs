//! The twin of `shaders/select.comp`.

use super::Buffers;
use crate::MatchKind;
use crate::shaders::layout::{self, Hit, ReadbackHeader, ScanParams};

/// A hit, and what its suffix says.
#[derive(Clone, Copy)]
struct Found {
    hit: Hit,
    report: u32,
    suffix: u32,
}

impl Found {
    fn is_run(&self) -> bool {
        [layout::REPORT_LAZY, layout::REPORT_GREEDY].contains(&self.report)
    }

    /// What the hits of a pattern are sorted by.
    fn position(&self) -> u32 {
        if self.is_run() { self.suffix } else { self.hit.start }
    }

    /// Where the next match may start.
    fn behind(&self) -> u32 {
        if self.is_run() { self.hit.end.max(self.suffix + 1) } else { self.hit.end }
    }
}

/// The head and, if it says so, the matches, which are where the hits were then, too.
pub(crate) fn select(buffers: &mut Buffers, params: &ScanParams) -> (ReadbackHeader, Vec<Hit>) {
    let is_over = buffers.is_over(params);
    let header = ReadbackHeader {
        pass: if is_over { params.pass_count } else { buffers.control.pass },
        hit_count: buffers.hit_count,
        rounds: buffers.control.rounds,
        retry_reasons: buffers.run_retry_reasons(params),
        ..ReadbackHeader::default()
    };
    if buffers.hit_count == 0 {
        return (ReadbackHeader { selected: layout::SELECTED_ALL, ..header }, Vec::new());
    }
    let room = ((params.candidate_capacity + params.start_capacity) / 4).min(layout::MOST_SELECTED);
    if !is_over || header.retry_reasons != 0 || buffers.hit_count > room.min(params.hit_capacity) {
        return (header, Vec::new());
    }
    let count = buffers.hit_count as usize;
    let mut found: Vec<Found> = buffers.hits[..count]
        .iter()
        .zip(&buffers.hit_suffixes)
        .map(|(&hit, suffix)| Found {
            hit,
            report: suffix >> layout::REPORT_SHIFT,
            suffix: suffix & ((1 << layout::REPORT_SHIFT) - 1),
        })
        .collect();
    found.sort_by_key(|found| (found.hit.pattern_id, found.position(), found.hit.end));
    let matches = match buffers.match_kind {
        MatchKind::All => {
            let mut hits: Vec<Hit> = found.iter().map(|found| found.hit).collect();
            hits.dedup();
            hits
        }
        MatchKind::LeftmostFirst => {
            let of_patterns = found.chunk_by(|one, next| one.hit.pattern_id == next.hit.pattern_id);
            let mut matches = Vec::new();
            for of_one in of_patterns {
                let Some(selected) = select_of_pattern(of_one, params.end_start) else {
                    return (
                        ReadbackHeader { selected: layout::SELECTED_OPEN, ..header },
                        Vec::new(),
                    );
                };
                matches.extend(selected);
            }
            matches
        }
    };
    buffers.hits[..matches.len()].copy_from_slice(&matches);
    buffers.hit_count = matches.len() as u32;
    let header =
        ReadbackHeader { selected: layout::SELECTED_ALL, match_count: buffers.hit_count, ..header };
    (header, matches)
}

/// The matches of a pattern, unless its sorted hits leave open which those are.
fn select_of_pattern(found: &[Found], end_start: u32) -> Option<Vec<Hit>> {
    for pair in found.windows(2) {
        let [one, next] = [pair[0], pair[1]];
        let are_alike = one.hit.start == next.hit.start && one.hit.end != next.hit.end;
        if one.is_run() != next.is_run() || !one.is_run() && are_alike {
            return None;
        }
    }
    let mut matches = Vec::new();
    let mut free = 0;
    let mut rest = found;
    while let Some((first, behind)) = rest.split_first() {
        let start = first.hit.start.max(free);
        if first.position() < free {
            if first.report == layout::REPORT_LEAST && first.suffix >= free {
                return None;
            }
            rest = behind;
        } else if start >= end_start {
            break;
        } else {
            let is_greedy = first.report == layout::REPORT_GREEDY;
            let reached = rest.iter().take_while(|found| is_greedy && found.hit.start <= start);
            let preferred = reached.last().unwrap_or(first);
            matches.push(Hit { start, end: preferred.hit.end, ..first.hit });
            free = preferred.behind();
            rest = behind;
        }
    }
    Some(matches)
}
