//! The twin of `shaders/select.comp`.

use super::Buffers;
use super::divide::group_count;
use crate::MatchKind;
use crate::shaders::layout::{self, Candidate, Hit, ReadbackHeader, ScanParams};

/// A hit, and what its suffix says.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) hit: Hit,
    report: u32,
    suffix: u32,
}

impl Found {
    pub(super) fn new(hit: Hit, suffix: u32) -> Found {
        Found { hit, report: suffix >> layout::REPORT_SHIFT, suffix: suffix & layout::SUFFIX_MASK }
    }

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

/// The head and, as that says, the matches, which are where the hits were then, too, or the hits, or nothing.
pub(crate) fn select(buffers: &mut Buffers, params: &ScanParams) -> (ReadbackHeader, Vec<Hit>) {
    let header = buffers.readback_header(params);
    let count = buffers.hit_count;
    if !buffers.is_over(params) || header.retry_reasons != 0 || count > params.hit_capacity {
        divide(buffers, 0);
        return (header, Vec::new());
    }
    if count > layout::SELECT_LANES {
        let has_room = count <= buffers.header().most_selected
            && buffers.places(count).end <= buffers.candidates.len();
        if has_room {
            let records = buffers.places(count).records;
            buffers.candidates[..records].fill(Candidate::default());
        }
        divide(buffers, if has_room { count } else { 0 });
        let selected = if has_room { layout::SELECTED_MANY } else { layout::SELECTED_NONE };
        return (ReadbackHeader { selected, ..header }, Vec::new());
    }
    divide(buffers, 0);
    let mut found: Vec<Found> = (0..count)
        .map(|index| {
            let index = index as usize;
            Found::new(buffers.hits[index], buffers.hit_suffixes[index])
        })
        .collect();
    let Some(matches) = select_among(&mut found, buffers.match_kind, params.end_start) else {
        let hits = buffers.hits[..count as usize].to_vec();
        return (ReadbackHeader { selected: layout::SELECTED_OPEN, ..header }, hits);
    };
    buffers.hits[..matches.len()].copy_from_slice(&matches);
    buffers.hit_count = matches.len() as u32;
    let (selected, match_count) = (layout::SELECTED_ALL, buffers.hit_count);
    (ReadbackHeader { selected, match_count, ..header }, matches)
}

/// Leaves so many hits to other workgroups.
fn divide(buffers: &mut Buffers, count: u32) {
    let groups = group_count(count);
    let control = &mut buffers.control;
    control.divided = count;
    control.hits_x = count.div_ceil(layout::SELECT_LANES * 4).min(layout::MOST_HIT_GROUPS);
    control.group_hits_x = u32::from(count != 0);
    control.select_groups_x = groups;
    control.collect_matches_x = groups.min(layout::MOST_HIT_GROUPS);
    [control.hits_y, control.hits_z] = [1; 2];
    [control.group_hits_y, control.group_hits_z] = [1; 2];
    [control.select_groups_y, control.select_groups_z] = [1; 2];
    [control.collect_matches_y, control.collect_matches_z] = [1; 2];
}

/// The matches among hits, unless these leave open which they are. Sorts the hits.
pub(super) fn select_among(
    found: &mut [Found],
    match_kind: MatchKind,
    end_start: u32,
) -> Option<Vec<Hit>> {
    found.sort_by_key(|found| (found.hit.pattern_id, found.position(), found.hit.end));
    match match_kind {
        MatchKind::All => {
            let mut hits: Vec<Hit> = found.iter().map(|found| found.hit).collect();
            hits.dedup();
            Some(hits)
        }
        MatchKind::LeftmostFirst => {
            let of_patterns = found.chunk_by(|one, next| one.hit.pattern_id == next.hit.pattern_id);
            let selected: Option<Vec<Vec<Hit>>> =
                of_patterns.map(|of_one| select_of_pattern(of_one, end_start)).collect();
            selected.map(|matches| matches.concat())
        }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// Against the meaning: each start prefers any of the suffixes that it leads to, and a suffix is reported with the least
        /// start that leads to it. Some starts are verified besides. What that does not leave open is right.
        #[test]
        fn reports_tell_or_leave_open(
            lens in prop::collection::btree_map(0_usize..40, 1_u32..9, 0..12),
            leads in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.15), 40), 40),
            preferences in prop::collection::vec(any::<prop::sample::Index>(), 40),
            verified in prop::collection::vec(prop::bool::weighted(0.1), 40),
        ) {
            let of_start = |start: usize| -> Option<Hit> {
                let reached = lens.iter().filter(|(suffix, _)| start <= **suffix && leads[start][**suffix]);
                let reached: Vec<u32> = reached.map(|(suffix, len)| *suffix as u32 + len).collect();
                let end = (!reached.is_empty()).then(|| *preferences[start].get(&reached));
                end.map(|end| Hit { pattern_id: 0, start: start as u32, end })
            };
            let mut found = Vec::new();
            for (&suffix, len) in &lens {
                let least = (0..=suffix).find(|&start| leads[start][suffix]);
                found.extend(least.map(|start| {
                    let hit = Hit { pattern_id: 0, start: start as u32, end: suffix as u32 + len };
                    Found::new(hit, suffix as u32 | layout::REPORT_LEAST << layout::REPORT_SHIFT)
                }));
            }
            let starts = (0..40).filter(|&start| verified[start]);
            found.extend(starts.filter_map(of_start).map(|hit| Found::new(hit, layout::NO_SUFFIX)));
            let mut expected = Vec::new();
            let mut at = 0;
            while let Some(next) = (at..40).find_map(of_start) {
                at = next.end as usize;
                expected.push(next);
            }
            if let Some(selected) = select_among(&mut found, MatchKind::LeftmostFirst, 1000) {
                prop_assert_eq!(selected, expected);
            }
        }
    }
}
