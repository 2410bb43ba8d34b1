//! The twins of `shaders/count_hits.comp`, `group_hits.comp`, `scatter_hits.comp`, `select_groups.comp` and
//! `collect_matches.comp`, which select among many hits, divided by patterns. Places are those of
//! `shaders/include/groups.glsl`.

use std::ops::Range;

use super::Buffers;
use super::select::{Found, select_among};
use crate::shaders::layout::{self, Candidate, Hit, ReadbackHeader, ScanParams};

fn group_hits_of(count: u32) -> u32 {
    (layout::SELECT_LANES / 2).max(count.div_ceil(layout::MOST_GROUPS))
}

pub(super) fn group_count(count: u32) -> u32 {
    count.div_ceil(group_hits_of(count))
}

/// Where groups, results and records begin among the candidates, and where all of them end.
pub(super) struct Places {
    pub(super) groups: usize,
    pub(super) results: usize,
    pub(super) records: usize,
    pub(super) end: usize,
}

impl Buffers {
    pub(super) fn places(&self, count: u32) -> Places {
        let groups = self.header().pattern_count as usize;
        let results = groups + group_count(count) as usize;
        let records = results + group_count(count) as usize;
        Places { groups, results, records, end: records + 4 * count as usize }
    }

    fn record_of_hit(&self, at: usize) -> Found {
        let [first, second] = [self.candidates[at], self.candidates[at + 1]];
        let hit = Hit { pattern_id: first.of, start: first.at, end: second.of };
        Found::new(hit, second.at)
    }

    fn set_record(&mut self, at: usize, hit: Hit, suffix: u32) {
        self.candidates[at] = Candidate { of: hit.pattern_id, at: hit.start };
        self.candidates[at + 1] = Candidate { of: hit.end, at: suffix };
    }
}

pub(crate) fn count_hits(buffers: &mut Buffers, _: &ScanParams) {
    for index in 0..buffers.control.divided as usize {
        let pattern = buffers.hits[index].pattern_id as usize;
        buffers.candidates[pattern].of += 1;
    }
}

pub(crate) fn group_hits(buffers: &mut Buffers, _: &ScanParams) {
    let count = buffers.control.divided;
    let Places { groups, .. } = buffers.places(count);
    let mut place = 0;
    let mut group: Option<usize> = None;
    for pattern in 0..groups {
        let hit_count = buffers.candidates[pattern].of;
        buffers.candidates[pattern].at = place;
        let own = groups + (place / group_hits_of(count)) as usize;
        if hit_count > 0 && group != Some(own) {
            if let Some(before) = group.replace(own) {
                buffers.candidates[before].at = place;
            }
            buffers.candidates[own].of = place;
        }
        place += hit_count;
    }
    if let Some(last) = group {
        buffers.candidates[last].at = place;
    }
}

pub(crate) fn scatter_hits(buffers: &mut Buffers, _: &ScanParams) {
    let count = buffers.control.divided;
    let records = buffers.places(count).records;
    for index in 0..count as usize {
        let (hit, suffix) = (buffers.hits[index], buffers.hit_suffixes[index]);
        let place = &mut buffers.candidates[hit.pattern_id as usize].at;
        let at = records + 2 * *place as usize;
        *place += 1;
        buffers.set_record(at, hit, suffix);
    }
}

pub(crate) fn select_groups(buffers: &mut Buffers, params: &ScanParams) {
    let count = buffers.control.divided;
    let Places { groups, results, records, .. } = buffers.places(count);
    for group in 0..group_count(count) as usize {
        let Candidate { of: first, at: end } = buffers.candidates[groups + group];
        let of_index = |index: u32| records + 2 * index as usize;
        let mut found: Vec<Found> =
            (first..end).map(|index| buffers.record_of_hit(of_index(index))).collect();
        let matches = select_among(&mut found, buffers.match_kind, params.end_start);
        buffers.candidates[results + group] = match &matches {
            Some(matches) => Candidate { of: matches.len() as u32, at: 0 },
            None => Candidate { of: 0, at: 1 },
        };
        for (index, hit) in (first..).zip(matches.unwrap_or_default()) {
            buffers.set_record(of_index(index), hit, 0);
        }
    }
}

/// The head and, as that says, the matches, which are where the hits were then, too, or the hits.
pub(crate) fn collect_matches(
    buffers: &mut Buffers,
    params: &ScanParams,
) -> (ReadbackHeader, Vec<Hit>) {
    let count = buffers.control.divided;
    let header =
        ReadbackHeader { selected: layout::SELECTED_OPEN, ..buffers.readback_header(params) };
    let Places { groups, results, records, .. } = buffers.places(count);
    let of_groups: Range<usize> = 0..group_count(count) as usize;
    if of_groups.clone().any(|group| buffers.candidates[results + group].at != 0) {
        return (header, buffers.hits[..count as usize].to_vec());
    }
    let of_group = |group: usize| {
        let first = records + 2 * buffers.candidates[groups + group].of as usize;
        let matches = buffers.candidates[results + group].of as usize;
        (0..matches).map(move |index| first + 2 * index)
    };
    let records = of_groups.flat_map(of_group);
    let matches: Vec<Hit> = records.map(|at| buffers.record_of_hit(at).hit).collect();
    buffers.hits[..matches.len()].copy_from_slice(&matches);
    buffers.hit_count = matches.len() as u32;
    let (selected, match_count) = (layout::SELECTED_ALL, buffers.hit_count);
    (ReadbackHeader { selected, match_count, ..header }, matches)
}
