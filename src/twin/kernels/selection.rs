//! Selection among hits that are made up: many patterns at once, each a case of its own.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::Match;
use crate::scan::select::LeftmostSelector;

/// What a pattern's hits tell.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Starts that were verified.
    Verified,
    Least,
    Lazy,
    Greedy,
    /// Reports, and starts that were verified.
    Mixed,
}

/// A hit with its word in the hit buffer.
type Found = (Hit, u32);

/// Hits of one pattern that overlap, lie within each other and follow upon each other.
fn hits() -> impl Strategy<Value = Vec<Found>> {
    use Kind::{Greedy, Lazy, Least, Mixed, Verified};

    let kinds = prop::sample::select(vec![Verified, Verified, Least, Lazy, Greedy, Mixed]);
    let spread = prop::sample::select(vec![10_u32, 40, 400]);
    let most = prop::sample::select(vec![1_usize, 4, 30, 200]);
    (kinds, spread, most).prop_flat_map(|(kind, spread, most)| {
        let hit = (0..spread, 0..12_u32, 0..20_u32);
        prop::collection::vec(hit, 1..=most).prop_map(move |mut hits| {
            hits.sort_unstable();
            let mut least = 0;
            let found = hits.into_iter().map(|(suffix, before, long)| {
                let start = suffix.saturating_sub(before);
                // A run's least starts ascend with the suffixes.
                least = start.max(least).min(suffix);
                let is_start = match kind {
                    Verified => true,
                    Mixed => long % 2 == 0,
                    Least | Lazy | Greedy => false,
                };
                let [at, start, suffix] = match kind {
                    _ if is_start => [start, start, layout::NO_SUFFIX],
                    Least | Verified => [suffix, start, suffix],
                    Lazy => [suffix, least, suffix | layout::REPORT_LAZY << layout::REPORT_SHIFT],
                    Greedy | Mixed => {
                        [suffix, least, suffix | layout::REPORT_GREEDY << layout::REPORT_SHIFT]
                    }
                };
                // A start has one end, and so has a suffix.
                let hash = at.wrapping_mul(0x9E37_79B1);
                let end = at + 1 + hash % 12 * if hash >> 16 & 15 == 0 { 20 } else { 1 };
                (Hit { pattern_id: 0, start, end }, suffix)
            });
            found.collect()
        })
    })
}

fn params() -> ScanParams {
    ScanParams {
        haystack_len: 1000,
        end_start: 1000,
        hit_capacity: 20_000,
        pass_count: 1,
        candidate_capacity: 40_000,
        start_capacity: 40_000,
        start_walkers: 1,
        queue_capacity: 1,
        ..ScanParams::default()
    }
}

/// Buffers with the hits of patterns, a part of each in turn, as they are where a scan is over.
fn buffers(tables: &Pass, kind: MatchKind, patterns: &[Vec<Found>]) -> Buffers {
    let mut found: Vec<Found> = (0..)
        .zip(patterns)
        .flat_map(|(pattern_id, hits)| {
            hits.iter().map(move |&(hit, suffix)| (Hit { pattern_id, ..hit }, suffix))
        })
        .collect();
    let mut place = 0_usize;
    for index in (1..found.len()).rev() {
        place = place.wrapping_mul(31).wrapping_add(index ^ 0x55);
        found.swap(index, place % (index + 1));
    }
    let mut buffers = Buffers::new(kind, tables.clone(), &[b'a'; 1000], &params());
    for (at, (hit, suffix)) in found.iter().enumerate() {
        (buffers.hits[at], buffers.hit_suffixes[at]) = (*hit, *suffix);
    }
    buffers.hit_count = found.len() as u32;
    buffers.control.pass = 1;
    buffers
}

/// What the host selects, unless hits leave it open.
fn selected_by_host(patterns: &[Vec<Found>]) -> Option<Vec<Hit>> {
    let mut selector = LeftmostSelector::default();
    selector.clear();
    let candidates = (0..).zip(patterns).flat_map(|(pattern_id, hits)| {
        hits.iter().map(move |(hit, _)| Match { pattern_id, start: hit.start, end: hit.end })
    });
    let mut candidates: Vec<Match> = candidates.collect();
    candidates.sort_unstable();
    let has_reports = |pattern_id: u32| {
        patterns[pattern_id as usize].iter().any(|(_, suffix)| *suffix != layout::NO_SUFFIX)
    };
    if !selector.is_unambiguous(&candidates, &[], 0, has_reports, &[]) {
        return None;
    }
    let selected = selector.select(&mut candidates, 0);
    let to_hit =
        |found: &Match| Hit { pattern_id: found.pattern_id, start: found.start, end: found.end };
    Some(selected.iter().map(to_hit).collect())
}

/// 12,800 patterns, in scans of one and of many.
#[test]
fn kernel_twin_and_host_select_the_same() {
    let backend = TestBackend::new();
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
        let mut tables = tables_of(&RulePipeline::with_options(&["abcd"], options).unwrap());
        tables.header.pattern_count = 100;
        let kernels = kernels_of(&backend, match_kind, &tables, false);
        let mut runner = TestRunner::new(ProptestConfig::with_cases(128));
        let several = prop::collection::vec(hits(), 100);
        let counts = [const { Cell::new(0) }; 4];
        let run = runner.run(&several, |patterns| {
            let alone = |hits: &Vec<Found>| {
                let mut state = buffers(&tables, match_kind, std::slice::from_ref(hits));
                let (header, matches) = select(&mut state, &params());
                (header.selected == layout::SELECTED_ALL).then_some(matches)
            };
            let by_twin: Vec<Option<Vec<Hit>>> = patterns.iter().map(alone).collect();
            for (hits, by_twin) in patterns.iter().zip(&by_twin) {
                let by_host = selected_by_host(std::slice::from_ref(hits));
                if match_kind == MatchKind::LeftmostFirst && by_host.is_some() {
                    // Its suffixes tell more than the host asks for, but of mixed reports.
                    let is_mixed = by_twin.is_none();
                    prop_assert!(is_mixed || *by_twin == by_host, "{hits:?}");
                    prop_assert!(
                        !is_mixed || hits.iter().any(|(_, suffix)| *suffix == layout::NO_SUFFIX)
                    );
                }
            }
            let open = by_twin.iter().position(Option::is_none);
            let closed: Vec<Vec<Found>> = patterns
                .iter()
                .zip(&by_twin)
                .filter(|(_, by_twin)| by_twin.is_some())
                .map(|(hits, _)| hits.clone())
                .collect();
            // All that are not open, a few of them, and one that is open among others.
            for of in [
                &closed[..],
                &closed[..closed.len().min(5)],
                &patterns[..open.map_or(0, |at| at + 1)],
            ] {
                let mut state = buffers(&tables, match_kind, of);
                let header = compare_select(&backend, &kernels, &mut state, &params());
                let count = &counts[header.selected as usize];
                count.set(count.get() + 1);
            }
            Ok(())
        });
        if let Err(error) = run {
            // Whole, it would be too long to read.
            panic!("{}", error.to_string().chars().take(2000).collect::<String>());
        }
        let [none, open, many, all] = counts.map(Cell::into_inner);
        assert_eq!([none, many], [0, 0]);
        assert!(all >= 256);
        assert_eq!(open > 100, match_kind == MatchKind::LeftmostFirst, "{open} runs are open");
    }
}

/// One pattern with as many hits as a workgroup takes, each of which reaches into the next ones, or over all.
#[test]
fn long_chains_are_selected() {
    let backend = TestBackend::new();
    let tables = tables_of(&RulePipeline::new(&["abcd"]).unwrap());
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let chains = [(5000, 3), (5000, 1), (5000, 6000), (257, 2), (256, 2), (2, 1), (0, 1)];
    // Sorted by an even number of digits, and by an odd one.
    let lens = [20_000, 1 << 20];
    for ((count, len), haystack_len) in
        chains.into_iter().flat_map(|chain| lens.map(|len| (chain, len)))
    {
        let hit = |start: u32| (Hit { pattern_id: 0, start, end: start + len }, layout::NO_SUFFIX);
        let patterns = [(0..count).map(hit).collect()];
        let mut state = buffers(&tables, MatchKind::LeftmostFirst, &patterns);
        let params = ScanParams { haystack_len, end_start: haystack_len, ..params() };
        let header = compare_select(&backend, &kernels, &mut state, &params);
        assert_eq!(header.selected, layout::SELECTED_ALL);
        assert_eq!(header.match_count, count.div_ceil(len));
    }
}

/// More hits than there is room for to sort them are left as they are, and so is what is not over, or found nothing out.
#[test]
fn what_cannot_be_selected_from_is_left() {
    let backend = TestBackend::new();
    let tables = tables_of(&RulePipeline::new(&["abcd"]).unwrap());
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let hit = |start: u32| (Hit { pattern_id: 0, start, end: start + 1 }, layout::NO_SUFFIX);
    let patterns = [(0..100).map(hit).collect()];
    let whole = buffers(&tables, MatchKind::LeftmostFirst, &patterns);
    let selected_from = |params: ScanParams, state: &mut Buffers| {
        compare_select(&backend, &kernels, state, &params).selected == layout::SELECTED_ALL
    };
    let many = [(0..=layout::SELECT_LANES).map(hit).collect()];
    let many = buffers(&tables, MatchKind::LeftmostFirst, &many);
    let room = many.places(layout::SELECT_LANES + 1).end;
    let with_room =
        |room: usize| Buffers { candidates: many.candidates[..room].to_vec(), ..many.clone() };
    assert!(selected_from(params(), &mut with_room(room)));
    assert!(!selected_from(params(), &mut with_room(room - 1)));
    let with_limit = |most_selected: u32| {
        let mut state = many.clone();
        state.tables.header.most_selected = most_selected;
        state
    };
    assert!(selected_from(params(), &mut with_limit(layout::SELECT_LANES + 1)));
    assert!(!selected_from(params(), &mut with_limit(layout::SELECT_LANES)));
    let few = ScanParams { hit_capacity: 99, ..params() };
    let mut state = Buffers {
        hit_suffixes: whole.hit_suffixes[..99].to_vec(),
        hits: whole.hits[..99].to_vec(),
        ..whole.clone()
    };
    assert!(!selected_from(few, &mut state));
    let mut state = whole.clone();
    state.control.pass = 0;
    assert!(!selected_from(params(), &mut state));
    let mut state = whole.clone();
    state.control.retry_reasons = layout::RETRY_LISTED;
    assert!(!selected_from(params(), &mut state));
}
