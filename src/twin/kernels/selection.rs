//! Selection among hits that are made up, of patterns whose matches are known: many patterns at once, each a case of its own.

use super::*;

/// A pattern by what its starts match, and hits that tell of it.
#[derive(Clone, Debug, Default)]
struct Meaning {
    /// The end of the preferred match from each start.
    ends: Vec<Option<u32>>,
    hits: Vec<(Hit, u32)>,
    /// Starts before this one have been looked at before, and a match that starts there has this end.
    first_start: u32,
    carried: Option<u32>,
}

/// Numbers that look random, by one that they begin with.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x5851_F42D_4C95_7F2D);
        ((self.0 >> 33) % u64::from(limit.max(1))) as u32
    }

    fn once_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }
}

impl Meaning {
    fn new(random: &mut Random) -> Meaning {
        let starts = random.one_of(&[6, 30, 30, 200]);
        let first_start = if random.once_in(3) { random.below(starts) } else { 0 };
        let meaning =
            Meaning { first_start, ends: vec![None; starts as usize], ..Meaning::default() };
        let mut meaning = match random.below(8) {
            0 | 1 => meaning.of_starts(random),
            2..=4 => meaning.of_suffixes(random),
            kind => meaning.of_run(random, kind % 2 == 0),
        };
        if first_start > 0 && random.once_in(2) {
            let end = first_start + 1 + random.below(starts - first_start);
            meaning.carried = Some(end);
            meaning.hits.push((Meaning::hit(0, end), layout::CARRIED));
        }
        meaning
    }

    fn starts(&self) -> std::ops::Range<u32> {
        self.first_start..self.ends.len() as u32
    }

    fn hit(start: u32, end: u32) -> Hit {
        Hit { pattern_id: 0, start, end }
    }

    /// As if all hits told of starts that have been verified, as they do where all matches are wanted.
    fn verified(mut self) -> Meaning {
        self.hits.retain(|(_, word)| *word != layout::CARRIED);
        self.hits.iter_mut().for_each(|(_, word)| *word = layout::NO_SUFFIX);
        self
    }

    /// Says that a start has been verified, once or more.
    fn verify(&mut self, random: &mut Random, start: u32) {
        if let Some(end) = self.ends[start as usize] {
            let times = 1 + usize::from(random.once_in(6));
            self.hits.extend(vec![(Meaning::hit(start, end), layout::NO_SUFFIX); times]);
        }
    }

    /// Says so of some starts.
    fn verify_some(&mut self, random: &mut Random, seldom: u32) {
        for start in self.starts() {
            if random.once_in(seldom) {
                self.verify(random, start);
            }
        }
    }

    /// All of whose starts have been verified: matches overlap, lie within each other and follow upon each other.
    fn of_starts(mut self, random: &mut Random) -> Meaning {
        let [longest, seldom] = [random.one_of(&[1, 3, 12, 300]), random.one_of(&[1, 2, 9])];
        for start in self.starts() {
            let end = start + 1 + random.below(longest);
            self.ends[start as usize] = random.once_in(seldom).then_some(end);
        }
        self.verify_some(random, 1);
        self
    }

    /// Whose starts lead to suffixes, and prefer any of these; each suffix is reported with the least start that leads to it.
    fn of_suffixes(mut self, random: &mut Random) -> Meaning {
        let seldom = random.one_of(&[3, 6, 12]);
        let count = random.one_of(&[1, 3, 12]);
        let mut suffixes: Vec<u32> =
            (0..count).map(|_| random.below(self.ends.len() as u32)).collect();
        suffixes.sort_unstable();
        suffixes.dedup();
        let ends: Vec<u32> = suffixes.iter().map(|suffix| suffix + 1 + random.below(9)).collect();
        let mut least = vec![None; suffixes.len()];
        for start in self.starts() {
            // None is far from its start.
            let is_near = |suffix: u32| (start..start + 40).contains(&suffix);
            let leads = (0..suffixes.len()).filter(|&at| is_near(suffixes[at]));
            let reached: Vec<usize> = leads.filter(|_| random.once_in(seldom)).collect();
            reached.iter().for_each(|&at| least[at] = least[at].or(Some(start)));
            if !reached.is_empty() {
                self.ends[start as usize] = Some(ends[random.one_of(&reached)]);
            }
        }
        for ((suffix, end), least) in suffixes.iter().zip(ends).zip(least) {
            let report = suffix | layout::REPORT_LEAST << layout::REPORT_SHIFT;
            self.hits.extend(least.map(|start| (Meaning::hit(start, end), report)));
        }
        self.verify_some(random, 10);
        self
    }

    /// Whose prefix is a run of bytes of one class, from which the first suffix is preferred, or the last; some starts have
    /// been verified, or none.
    fn of_run(mut self, random: &mut Random, is_lazy: bool) -> Meaning {
        let [most, seldom] = [random.one_of(&[0, 3, 12, 100]), random.one_of(&[3, 20])];
        let is_in_class: Vec<bool> = self.ends.iter().map(|_| !random.once_in(seldom)).collect();
        let leads = |start: u32, suffix: u32| {
            start <= suffix
                && suffix - start <= most
                && is_in_class[start as usize..suffix as usize].iter().all(|&is| is)
        };
        let seldom = random.one_of(&[2, 5, 20]);
        let suffixes: Vec<u32> = self.starts().filter(|_| random.once_in(seldom)).collect();
        let longest = random.one_of(&[1, 20]);
        let ends: Vec<u32> =
            suffixes.iter().map(|suffix| suffix + 1 + random.below(longest)).collect();
        for start in self.starts() {
            let mut reached = (0..suffixes.len()).filter(|&at| leads(start, suffixes[at]));
            let at = if is_lazy { reached.next() } else { reached.next_back() };
            self.ends[start as usize] = at.map(|at| ends[at]);
        }
        let report = if is_lazy { layout::REPORT_LAZY } else { layout::REPORT_GREEDY };
        for (&suffix, &end) in suffixes.iter().zip(&ends) {
            let least = (self.first_start..=suffix).find(|&start| leads(start, suffix));
            let report = suffix | report << layout::REPORT_SHIFT;
            let hit = Meaning::hit(least.expect("the suffix leads to itself"), end);
            self.hits.extend(vec![(hit, report); 1 + random.below(2) as usize]);
        }
        if random.once_in(3) {
            self.verify_some(random, 4);
        }
        self
    }

    /// The leftmost-first matches.
    fn matches(&self, pattern_id: u32) -> Vec<Hit> {
        let mut matches = Vec::new();
        let mut at = self.carried.unwrap_or(self.first_start);
        while let Some((start, end)) = (at..self.ends.len() as u32)
            .find_map(|start| self.ends[start as usize].map(|end| (start, end)))
        {
            matches.push(Hit { pattern_id, start, end });
            at = end;
        }
        matches
    }
}

fn params() -> ScanParams {
    ScanParams {
        haystack_len: 1000,
        end_start: 1000,
        is_final: 1,
        hit_capacity: 20_000,
        pass_count: 1,
        candidate_capacity: 8,
        start_capacity: layout::MOST_VERIFIED_AGAIN,
        start_walkers: 1,
        queue_capacity: 1,
        ..ScanParams::default()
    }
}

/// Buffers with the hits of patterns, in any order, as they are where a scan is over.
fn buffers(tables: &Pass, kind: MatchKind, patterns: &[Meaning]) -> Buffers {
    let mut found: Vec<(Hit, u32)> = (0..)
        .zip(patterns)
        .flat_map(|(pattern_id, meaning)| {
            meaning.hits.iter().map(move |&(hit, word)| (Hit { pattern_id, ..hit }, word))
        })
        .collect();
    // What is carried is there first.
    found.sort_by_key(|(_, word)| *word != layout::CARRIED);
    let carried = found.partition_point(|(_, word)| *word == layout::CARRIED);
    let others = &mut found[carried..];
    let mut random = Random(others.len() as u64);
    for index in (1..others.len()).rev() {
        others.swap(index, random.below(index as u32 + 1) as usize);
    }
    let mut buffers = Buffers::new(kind, tables.clone(), &[b'a'; 1000], &params());
    for (at, (hit, word)) in found.iter().enumerate() {
        (buffers.hits[at], buffers.hit_suffixes[at]) = (*hit, *word);
    }
    buffers.hit_count = found.len() as u32;
    buffers.control.pass = 1;
    buffers
}

/// Verifies the starts that hits have left open, as the kernels do that walk.
fn verify_again(state: &mut Buffers, params: &ScanParams, patterns: &[Meaning]) {
    state.control.verified_again += 1;
    state.control.selected = layout::SELECTED_NONE;
    for index in 0..std::mem::take(&mut state.control.start_count) {
        let start = state.candidates[(params.candidate_capacity + index) as usize];
        if let Some(end) = patterns[start.of as usize].ends[start.at as usize] {
            state.emit(params, Hit { pattern_id: start.of, start: start.at, end });
        }
    }
}

/// What `selects` comes to from the hits of patterns, and how often starts were verified again.
fn selected(
    state: &mut Buffers,
    params: &ScanParams,
    patterns: &[Meaning],
    selects: impl Fn(&mut Buffers, &ScanParams) -> ReadbackHeader,
) -> (Vec<Hit>, u32) {
    loop {
        let header = selects(state, params);
        match header.selected {
            layout::SELECTED_OPEN => verify_again(state, params, patterns),
            layout::SELECTED_ALL => {
                return (state.hits[..header.match_count as usize].to_vec(), header.verified_again);
            }
            other => panic!("{other}: {header:?}"),
        }
    }
}

fn by_twin(state: &mut Buffers, params: &ScanParams) -> ReadbackHeader {
    let (header, _) = select(state, params).expect("nothing has been selected");
    match header.selected {
        layout::SELECTED_MANY => tests::select_from_many(state, params).0,
        _ => header,
    }
}

fn tables(match_kind: MatchKind, pattern_count: u32) -> Pass {
    let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
    let mut tables = tables_of(&RulePipeline::with_options(&["abcd"], options).unwrap());
    tables.header.pattern_count = pattern_count;
    tables
}

/// 10,000 patterns, each alone.
#[test]
fn what_is_selected_is_what_patterns_mean() {
    let tables = tables(MatchKind::LeftmostFirst, 1);
    let mut again = [0; layout::MOST_AGAIN as usize + 1];
    for seed in 0..10_000 {
        let patterns = [Meaning::new(&mut Random(seed))];
        let mut state = buffers(&tables, MatchKind::LeftmostFirst, &patterns);
        let (matches, times) = selected(&mut state, &params(), &patterns, by_twin);
        assert_eq!(matches, patterns[0].matches(0), "{seed}: {:?}", patterns[0]);
        again[times as usize] += 1;
    }
    // Many leave something open, and some several times.
    assert!(again[1] > 500 && again[2] > 10, "{again:?}");
    assert_eq!(again[8..], [0; 9]);
}

/// Patterns in scans of few and of many.
#[test]
fn kernels_select_what_patterns_mean() {
    let backend = TestBackend::new();
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let tables = tables(match_kind, 100);
        let kernels = kernels_of(&backend, match_kind, &tables, false);
        let mut counts = [0; 2];
        for seed in 0..40 {
            let mut random = Random(seed);
            let count = random.one_of(&[1, 2, 5, 100]);
            let patterns = (0..count).map(|_| Meaning::new(&mut random));
            let patterns: Vec<Meaning> = match match_kind {
                MatchKind::LeftmostFirst => patterns.collect(),
                MatchKind::All => patterns.map(Meaning::verified).collect(),
            };
            let mut expected: Vec<Hit> = match match_kind {
                MatchKind::LeftmostFirst => {
                    (0..).zip(&patterns).flat_map(|(id, of)| of.matches(id)).collect()
                }
                MatchKind::All => (0..)
                    .zip(&patterns)
                    .flat_map(|(id, of)| {
                        of.hits.iter().map(move |(hit, _)| Hit { pattern_id: id, ..*hit })
                    })
                    .collect(),
            };
            expected.sort_unstable_by_key(|hit| (hit.pattern_id, hit.start, hit.end));
            expected.dedup();
            let mut state = buffers(&tables, match_kind, &patterns);
            counts[usize::from(state.hit_count > SELECT_TILE)] += 1;
            let by_kernels = |state: &mut Buffers, params: &ScanParams| {
                compare_select(&backend, &kernels, state, params)
            };
            let (matches, _) = selected(&mut state, &params(), &patterns, by_kernels);
            assert_eq!(matches, expected, "{seed}");
        }
        assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
    }
}

/// One pattern with hits of many tiles, each of which reaches into the next ones, or over all.
#[test]
fn long_chains_are_selected() {
    let backend = TestBackend::new();
    let tables = tables_of(&RulePipeline::new(&["abcd"]).unwrap());
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let tile = SELECT_TILE;
    let chains = [(2000, 3), (2000, 1), (2000, 6000), (2000, 2 * tile + 1), (tile + 1, 2)];
    let few = [(tile, 2), (2, 1), (1, 1), (0, 1)];
    // Sorted by three digits, and by five.
    let lens = [20_000, 1 << 30];
    for ((count, len), haystack_len) in
        chains.into_iter().chain(few).flat_map(|chain| lens.map(|len| (chain, len)))
    {
        let hit = |start: u32| (Hit { pattern_id: 0, start, end: start + len }, layout::NO_SUFFIX);
        let meaning = Meaning { hits: (0..count).map(hit).collect(), ..Meaning::default() };
        let mut state = buffers(&tables, MatchKind::LeftmostFirst, &[meaning]);
        let params = ScanParams { haystack_len, end_start: haystack_len, ..params() };
        let header = compare_select(&backend, &kernels, &mut state, &params);
        assert_eq!(header.selected, layout::SELECTED_ALL);
        assert_eq!(header.match_count, count.div_ceil(len));
    }
}

/// Long runs, of which a match from one tile prefers a suffix of another.
#[test]
fn runs_are_selected_across_tiles() {
    let backend = TestBackend::new();
    let tables = tables_of(&RulePipeline::new(&["abcd"]).unwrap());
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    for (report, every) in [
        (layout::REPORT_GREEDY, 1),
        (layout::REPORT_GREEDY, 3),
        (layout::REPORT_LAZY, 2),
        (layout::REPORT_LEAST, 2),
    ] {
        let ends = 3 * SELECT_TILE * every;
        let suffixes = (0..ends).step_by(every as usize);
        // Each run is as long as several tiles.
        let run = ends / 2 + 1;
        let hit = |suffix: u32| {
            let hit = Hit { pattern_id: 0, start: suffix / run * run, end: suffix + 1 };
            (hit, suffix | report << layout::REPORT_SHIFT)
        };
        let end = |start: u32| match report {
            layout::REPORT_GREEDY => {
                let last = (start / run * run + run).min(ends);
                (start..last).rev().find(|suffix| suffix % every == 0).map(|suffix| suffix + 1)
            }
            _ => Some(start.next_multiple_of(every) + 1),
        };
        let end =
            |start: u32| end(start).filter(|&end| (end - 1) / run == start / run && end <= ends);
        let meaning = Meaning {
            ends: (0..ends).map(end).collect(),
            hits: suffixes.map(hit).collect(),
            ..Meaning::default()
        };
        let expected = meaning.matches(0);
        let patterns = [meaning];
        let mut state = buffers(&tables, MatchKind::LeftmostFirst, &patterns);
        let by_kernels = |state: &mut Buffers, params: &ScanParams| {
            compare_select(&backend, &kernels, state, params)
        };
        let (matches, again) = selected(&mut state, &params(), &patterns, by_kernels);
        assert_eq!(matches, expected, "{report} {every}");
        assert_eq!(again > 0, report == layout::REPORT_LEAST);
    }
}

/// What is not over, or found nothing out, is left as it is; and what leaves too much open, or too often, is told so.
#[test]
fn what_cannot_be_selected_from_is_left() {
    let backend = TestBackend::new();
    let tables = tables_of(&RulePipeline::new(&["abcd"]).unwrap());
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let hit = |start: u32| (Hit { pattern_id: 0, start, end: start + 1 }, layout::NO_SUFFIX);
    let meaning = Meaning { hits: (0..60).map(hit).collect(), ..Meaning::default() };
    let whole = buffers(&tables, MatchKind::LeftmostFirst, &[meaning]);
    let select = |params: ScanParams, state: &mut Buffers| {
        compare_select(&backend, &kernels, state, &params).selected
    };
    let few = ScanParams { hit_capacity: 59, ..params() };
    let mut state = Buffers {
        hit_suffixes: whole.hit_suffixes[..59].to_vec(),
        hits: whole.hits[..59].to_vec(),
        ..whole.clone()
    };
    assert_eq!(select(few, &mut state), layout::SELECTED_NONE);
    let mut state = whole.clone();
    state.control.pass = 0;
    assert_eq!(select(params(), &mut state), layout::SELECTED_NONE);
    let mut state = whole.clone();
    state.control.retry_reasons = layout::RETRY_LISTED;
    assert_eq!(select(params(), &mut state), layout::SELECTED_NONE);

    // A match over all but the last of the suffix's starts, alone and in many tiles.
    for others in [0, 2 * SELECT_TILE] {
        let report = (Meaning::hit(1, 700), 600 | layout::REPORT_LEAST << layout::REPORT_SHIFT);
        let cover = (Meaning::hit(0, 200), layout::NO_SUFFIX);
        let others = (0..others).map(|at| (Meaning::hit(0, 200 + at), layout::NO_SUFFIX));
        let meaning = Meaning {
            hits: [cover, report].into_iter().chain(others).collect(),
            ..Meaning::default()
        };
        let whole = buffers(&tables, MatchKind::LeftmostFirst, &[meaning]);
        assert_eq!(select(params(), &mut whole.clone()), layout::SELECTED_OPEN);
        let cramped = ScanParams { start_capacity: 100, ..params() };
        assert_eq!(select(cramped, &mut whole.clone()), layout::SELECTED_UNTOLD);
        let passes = ScanParams { pass_count: 2, ..params() };
        let mut state = whole.clone();
        state.control.pass = 2;
        assert_eq!(select(passes, &mut state), layout::SELECTED_UNTOLD);
        let mut state = whole.clone();
        state.control.verified_again = layout::MOST_AGAIN;
        assert_eq!(select(params(), &mut state), layout::SELECTED_UNTOLD);
    }
}

/// What has been selected from stays as it is, and leaves other kernels nothing to do.
#[test]
fn nothing_is_selected_from_twice() {
    let backend = TestBackend::new();
    let tables = tables_of(&RulePipeline::new(&["abcd"]).unwrap());
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let hit = |start: u32| (Hit { pattern_id: 0, start, end: start + 1 }, layout::NO_SUFFIX);
    let meaning = Meaning { hits: (0..2 * SELECT_TILE).map(hit).collect(), ..Meaning::default() };
    let mut state = buffers(&tables, MatchKind::LeftmostFirst, &[meaning]);
    compare_select(&backend, &kernels, &mut state, &params());
    assert!(state.control.tiles_x > 0);
    let device = OnDevice::new(&backend, &state);
    device.run(&kernels, &kernels.select, &params(), [1, 1]);
    assert_eq!(select(&mut state, &params()), None);
    let theirs = device.read(&state);
    assert_eq!((theirs.control, theirs.hits), (state.control, state.hits.clone()));
    assert!(device.bytes(layout::BINDING_READBACK).iter().all(|&byte| byte == 0xEE));
    assert_eq!(state.control.tiles_x, 0);
}

/// What hits have left open is verified before anything is selected from them again.
#[test]
fn nothing_is_selected_from_what_is_open() {
    let backend = TestBackend::new();
    let tables = tables_of(&RulePipeline::new(&["abcd"]).unwrap());
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let hit = (Hit { pattern_id: 0, start: 1, end: 2 }, layout::NO_SUFFIX);
    let meaning = Meaning { hits: vec![hit], ..Meaning::default() };
    let mut state = buffers(&tables, MatchKind::LeftmostFirst, &[meaning]);
    state.control.selected = layout::SELECTED_OPEN;
    let device = OnDevice::new(&backend, &state);
    device.run(&kernels, &kernels.select, &params(), [1, 1]);
    assert_eq!(select(&mut state, &params()), None);
    let theirs = device.read(&state);
    assert_eq!((theirs.control, theirs.hits), (state.control, state.hits.clone()));
    assert_eq!(state.control.selected, layout::SELECTED_OPEN);
}
