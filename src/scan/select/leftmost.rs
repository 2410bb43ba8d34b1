//! Leftmost-first selection.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::prelude::*;

use super::sort::MANY;
use super::{AmbiguousRange, Selected, SuffixReport, Undecided, borders, of_pattern};
use crate::Match;
use crate::narrow::narrow;
use crate::parallel::pool;
use crate::rules::Run;

/// Selects leftmost-first matches out of the preferred match of every start.
///
/// `find_iter` looks for the least start at or after the end of its last match. So, for each pattern, the
/// matches that count are: the first one, then the first one that starts at or after its end.
/// Starts come in ascending order over all calls; a selection runs on from one call to the next.
#[derive(Debug, Default)]
pub(crate) struct LeftmostSelector {
    /// The haystack that is being looked through: selections from earlier ones do not count.
    haystack: u64,
    /// By pattern, as far as any has matched.
    patterns: Vec<LastSelected>,
}

/// What has been selected of a pattern. Atomic, as threads share the list, though none of its members.
#[derive(Debug, Default)]
struct LastSelected {
    haystack: AtomicU64,
    /// Where its last match ended.
    end: AtomicU64,
}

impl LeftmostSelector {
    /// Begins with another haystack.
    pub(crate) fn clear(&mut self) {
        self.haystack += 1;
    }

    /// Where the next match of a pattern may start.
    fn free(&self, pattern_id: u32) -> u64 {
        let last = self.patterns.get(pattern_id as usize);
        let own = last.filter(|last| last.haystack.load(Relaxed) == self.haystack);
        own.map_or(0, |last| last.end.load(Relaxed))
    }

    /// The first of `undecided`, sorted starts of patterns, that no match covers: what lies before it is
    /// final. A start inside a match of its pattern does not count, decided or not. `candidates` are
    /// sorted, and none of them counts before it has been selected.
    pub(crate) fn first_undecided<'a>(
        &self,
        candidates: &[Match],
        undecided: &'a [Undecided],
        base: u64,
    ) -> Option<&'a Undecided> {
        let mut candidates = candidates.iter().peekable();
        let mut pattern = None;
        let mut free = 0;
        undecided
            .iter()
            .filter(|undecided| {
                let Undecided { pattern_id, start } = **undecided;
                if pattern != Some(pattern_id) {
                    pattern = Some(pattern_id);
                    free = self.free(pattern_id);
                }
                let before = |candidate: &&Match| {
                    (candidate.pattern_id, candidate.start) < (pattern_id, start)
                };
                while let Some(candidate) = candidates.next_if(before) {
                    if candidate.pattern_id == pattern_id
                        && base + u64::from(candidate.start) >= free
                    {
                        free = base + u64::from(candidate.end);
                    }
                }
                base + u64::from(start) >= free
            })
            .min_by_key(|undecided| undecided.start)
    }

    /// Whether `candidates`, sorted, hold all that counts, or leave nothing open but what is `reverified`. As
    /// [`ambiguous_ranges`](LeftmostSelector::ambiguous_ranges).
    pub(crate) fn is_unambiguous(
        &self,
        candidates: &[Match],
        dropped: &[Match],
        base: u64,
        is_direct: impl Fn(u32) -> bool + Copy + Sync,
        reverified: &[AmbiguousRange],
    ) -> bool {
        let is_unambiguous = |piece: &[Match]| {
            self.ambiguous_ranges(piece, dropped, base, is_direct)
                .all(|range| reverified.contains(&range))
        };
        if candidates.len() < MANY {
            return is_unambiguous(candidates);
        }
        let borders = borders(candidates);
        let is_unambiguous = |border: &[usize]| is_unambiguous(&candidates[border[0]..border[1]]);
        pool().install(|| borders.par_windows(2).all(is_unambiguous))
    }

    /// The ranges of starts of which `candidates`, sorted, may not hold all that counts, where suffixes have
    /// been reported with their least start alone: one start has two ends, or a start that is covered would
    /// have later ones that are not. `is_direct` tells the patterns that this may be so of.
    ///
    /// Candidates in such a range give way to the preferred match of each start there. What they told is not lost: those
    /// that have been `dropped`, sorted, still tell that beyond the match that covers their start there may be another.
    pub(crate) fn ambiguous_ranges(
        &self,
        candidates: &[Match],
        dropped: &[Match],
        base: u64,
        is_direct: impl Fn(u32) -> bool,
    ) -> impl Iterator<Item = AmbiguousRange> {
        let of_patterns = candidates.chunk_by(|one, next| one.pattern_id == next.pattern_id);
        let of_direct = of_patterns.filter(move |of_one| is_direct(of_one[0].pattern_id));
        of_direct.flat_map(move |of_one| {
            let pattern_id = of_one[0].pattern_id;
            let mut dropped = dropped[of_pattern(dropped, pattern_id)].iter().peekable();
            let mut candidates = of_one.iter().peekable();
            let mut last = None;
            let mut free = self.free(pattern_id);
            let mut next = move || {
                let next_start = candidates.peek().map(|next| next.start);
                let comes_next = |found: &&Match| next_start.is_none_or(|next| next > found.start);
                if let Some(Match { start, end, .. }) = dropped.next_if(comes_next) {
                    let from = free.max(base + u64::from(*start));
                    return Some(
                        (base + u64::from(*end) > from).then(|| [narrow(from - base), *end]),
                    );
                }
                let candidate = candidates.next()?;
                let Match { start, end, .. } = *candidate;
                let before = last.replace(candidate).filter(|before| before.start == start);
                Some(if let Some(before) = before {
                    (before.end != end).then_some([start, start + 1])
                } else if base + u64::from(start) >= free {
                    free = base + u64::from(end);
                    None
                } else {
                    (base + u64::from(end) > free).then(|| [narrow(free - base), end])
                })
            };
            let range = move |starts| AmbiguousRange { pattern_id, starts };
            std::iter::from_fn(move || next().map(|starts| starts.map(range))).flatten()
        })
    }

    /// Appends the matches that count of one pattern whose prefix is a run of bytes of one class, or of none, from
    /// all that its suffixes `reports`, in the order of the suffixes, as far as they start before `end_start`.
    ///
    /// Such a prefix that leads from a start to a suffix leads there from every start between, too, and the least
    /// starts ascend with the suffixes. So the next match begins at the least start of the first suffix behind the
    /// last match, or at that match's end; and of the suffixes that this start leads to, the prefix prefers the
    /// first, or the last.
    pub(crate) fn select_run(
        &self,
        reports: &[SuffixReport],
        run: Run,
        [base, end_start]: [u64; 2],
        matches: &mut Vec<Match>,
    ) {
        let Some(&SuffixReport { pattern_id, .. }) = reports.first() else { return };
        let mut free = self.free(pattern_id).saturating_sub(base);
        let mut rest = reports;
        loop {
            let is_behind = |report: &SuffixReport| u64::from(report.suffix) >= free;
            let Some(at) = rest.iter().position(is_behind) else { return };
            rest = &rest[at..];
            let first = &rest[0];
            let start = u64::from(first.start).max(free);
            if start >= end_start {
                return;
            }
            let start = narrow(start);
            let reached = rest.iter().take_while(|report| report.start <= start);
            let preferred = match run {
                Run::Lazy => first,
                Run::Greedy => reached.last().expect("the first one, at least"),
            };
            matches.push(Match { pattern_id, start, end: preferred.end });
            // Beyond the suffix, whatever tables tell.
            free = u64::from(preferred.end.max(preferred.suffix + 1));
        }
    }

    /// Selects those of `candidates`, sorted, that are selected of their pattern. `base` is the offset of
    /// the haystack that their offsets count from.
    pub(crate) fn select<'a>(&mut self, candidates: &'a mut [Match], base: u64) -> Selected<'a> {
        let patterns = candidates.last().map_or(0, |last| last.pattern_id as usize + 1);
        if self.patterns.len() < patterns {
            self.patterns.resize_with(patterns, LastSelected::default);
        }
        let selector = &*self;
        Selected::new(candidates, || |candidate: &Match| selector.goes_on(candidate, base))
    }

    /// Whether a candidate is the next one that is selected; if so, it is.
    fn goes_on(&self, candidate: &Match, base: u64) -> bool {
        let is_next = base + u64::from(candidate.start) >= self.free(candidate.pattern_id);
        if is_next {
            let last = &self.patterns[candidate.pattern_id as usize];
            last.haystack.store(self.haystack, Relaxed);
            last.end.store(base + u64::from(candidate.end), Relaxed);
        }
        is_next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::{distinct, remove_held};
    use super::*;

    /// Candidates of one call, sorted: some there twice, some starts with two ends.
    fn candidates(patterns: u32, starts: u32, count: usize) -> impl Strategy<Value = Vec<Match>> {
        let candidate = (0..patterns, 0..starts, 1_u32..9).prop_map(|(pattern_id, start, len)| {
            let end = start + len;
            Match { pattern_id, start, end }
        });
        prop::collection::vec(candidate, 0..200).prop_map(move |few| {
            // As many as it takes, further on or of further patterns.
            let copies = count / few.len().max(1);
            let copy = |nth: usize| {
                let shift = nth as u32 / 2 * starts;
                few.iter().map(move |&Match { pattern_id, start, end }| Match {
                    pattern_id: pattern_id + nth as u32 % 2 * patterns,
                    start: start + shift,
                    end: end + shift,
                })
            };
            let mut candidates: Vec<_> = (0..=copies).flat_map(copy).collect();
            candidates.sort_unstable();
            candidates
        })
    }

    fn calls() -> impl Strategy<Value = Vec<Vec<Match>>> {
        let sizes = prop::sample::select(vec![0, 1000, MANY - 100, MANY + 100, 3 * MANY]);
        let call = (1_u32..40, 1_u32..100, sizes);
        let call =
            call.prop_flat_map(|(patterns, starts, count)| candidates(patterns, starts, count));
        prop::collection::vec(call, 1..5)
    }

    /// By definition: one after the other, from where the pattern's last match ended.
    fn select(ends: &mut HashMap<u32, u64>, candidates: &[Match], base: u64) -> Vec<Match> {
        let mut selected = candidates.to_vec();
        selected.retain(|candidate| {
            let end = ends.entry(candidate.pattern_id).or_default();
            let is_next = base + u64::from(candidate.start) >= *end;
            if is_next {
                *end = base + u64::from(candidate.end);
            }
            is_next
        });
        selected
    }

    /// By definition: all that the candidates of one pattern leave open.
    fn ambiguous_ranges(
        ends: &HashMap<u32, u64>,
        candidates: &[Match],
        base: u64,
    ) -> Vec<AmbiguousRange> {
        let mut ambiguous = Vec::new();
        let mut ends = ends.clone();
        let mut candidates = candidates.to_vec();
        candidates.dedup();
        for (index, &Match { pattern_id, start, end }) in candidates.iter().enumerate() {
            let free = ends.entry(pattern_id).or_default();
            let [from, to] = [start, end].map(|at| base + u64::from(at));
            let before = index.checked_sub(1).map(|before| candidates[before]);
            if before.is_some_and(|before| (before.pattern_id, before.start) == (pattern_id, start))
            {
                ambiguous.push(AmbiguousRange { pattern_id, starts: [start, start + 1] });
            } else if from >= *free {
                *free = to;
            } else if to > *free {
                ambiguous.push(AmbiguousRange { pattern_id, starts: [(*free - base) as u32, end] });
            }
        }
        ambiguous
    }

    proptest! {
        /// Against the meaning of a run in front of suffixes: from each start in turn, to the first or the last suffix.
        #[test]
        fn picks_what_runs_prefer(
            is_in_class in prop::collection::vec(prop::bool::weighted(0.8), 60),
            suffixes in prop::collection::btree_map(0_usize..60, 1_u32..20, 0..20),
            most in 0_usize..12,
            is_lazy in prop::bool::ANY,
            [free, base] in [0_usize..30, 0_usize..9],
            [first_start, end_start] in [0_usize..20, 30_usize..70],
        ) {
            let leads = |start: usize, suffix: usize| {
                start <= suffix && suffix - start <= most && is_in_class[start..suffix].iter().all(|&is| is)
            };
            let mut reports = Vec::new();
            for (&suffix, &len) in &suffixes {
                let start = (first_start..end_start.min(suffix + 1)).find(|&start| leads(start, suffix));
                let report_of = |start| {
                    let [suffix, start] = [suffix, start].map(|at| at as u32);
                    SuffixReport { pattern_id: 0, suffix, start, end: suffix + len }
                };
                // Some grams lead to the same suffix.
                reports.extend(start.into_iter().flat_map(|start| vec![report_of(start); 1 + suffix % 2]));
            }
            let mut expected = Vec::new();
            let mut at = first_start.max(free.saturating_sub(base));
            while at < end_start {
                let mut ends = suffixes.iter().filter(|(suffix, _)| leads(at, **suffix));
                let preferred = if is_lazy { ends.next() } else { ends.next_back() };
                match preferred {
                    Some((&suffix, &len)) => {
                        let end = suffix as u32 + len;
                        expected.push(Match { pattern_id: 0, start: at as u32, end });
                        at = end as usize;
                    }
                    None => at += 1,
                }
            }
            let mut selector = LeftmostSelector::default();
            selector.clear();
            selector.patterns.push(LastSelected::default());
            selector.patterns[0].haystack.store(selector.haystack, Relaxed);
            selector.patterns[0].end.store(free as u64, Relaxed);
            let run = if is_lazy { Run::Lazy } else { Run::Greedy };
            let mut selected = Vec::new();
            selector.select_run(&reports, run, [base as u64, end_start as u64], &mut selected);
            prop_assert_eq!(selected, expected);
        }
    }

    /// `x[a-z]*?abcd` over `xqqabcdxqqabcd`: the second suffix's least start is that of the first match, beyond which it tells
    /// of another.
    #[test]
    fn what_was_dropped_tells_of_more() {
        let found = |start, end| Match { pattern_id: 3, start, end };
        let range = |first, end| AmbiguousRange { pattern_id: 3, starts: [first, end] };
        let mut selector = LeftmostSelector::default();
        selector.clear();
        let (mut candidates, mut dropped) = (vec![found(0, 7), found(0, 14)], Vec::new());
        let open = |candidates: &[Match], dropped: &[Match]| -> Vec<AmbiguousRange> {
            selector.ambiguous_ranges(candidates, dropped, 0, |_| true).collect()
        };
        assert_eq!(open(&candidates, &dropped), [range(0, 1)]);
        remove_held(&mut candidates, &mut dropped, &[range(0, 1)]);
        candidates.push(found(0, 7));
        assert_eq!(open(&candidates, &dropped), [range(7, 14)]);
    }

    proptest! {
        /// Against the meaning: suffixes that many starts lead to, of which each start prefers any, are told with the least of
        /// them; and what that leaves open is verified start by start.
        #[test]
        fn verifying_again_finds_what_counts(
            suffixes in prop::collection::btree_map(0_usize..40, 1_u32..9, 0..12),
            leads in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.3), 40), 40),
            preferences in prop::collection::vec(any::<prop::sample::Index>(), 40),
        ) {
            let of_start = |start: usize| -> Vec<u32> {
                let reached = suffixes.iter().filter(|(suffix, _)| start <= **suffix && leads[start][**suffix]);
                reached.map(|(&suffix, &len)| suffix as u32 + len).collect()
            };
            let verified = |start: usize| {
                let ends = of_start(start);
                let end = (!ends.is_empty()).then(|| ends[preferences[start].index(ends.len())]);
                end.map(|end| Match { pattern_id: 0, start: start as u32, end })
            };
            let reports = suffixes.iter().filter_map(|(&suffix, &len)| {
                let start = (0..=suffix).find(|&start| leads[start][suffix])? as u32;
                Some(Match { pattern_id: 0, start, end: suffix as u32 + len })
            });
            let mut candidates: Vec<Match> = reports.collect();
            candidates.sort_unstable();
            let mut selector = LeftmostSelector::default();
            selector.clear();
            let (mut dropped, mut reverified) = (Vec::new(), Vec::new());
            while !selector.is_unambiguous(&candidates, &dropped, 0, |_| true, &reverified) {
                let mut open: Vec<_> = selector.ambiguous_ranges(&candidates, &dropped, 0, |_| true).collect();
                open.retain(|range| !reverified.contains(range));
                remove_held(&mut candidates, &mut dropped, &open);
                let starts = open.iter().flat_map(|range| range.starts[0]..range.starts[1].min(40));
                candidates.extend(starts.filter_map(|start| verified(start as usize)));
                candidates.sort_unstable();
                reverified.extend(open);
                prop_assert!(reverified.len() < 100);
            }
            let mut found = Vec::new();
            selector.select(&mut candidates, 0).append_to(&mut found);
            let mut expected = Vec::new();
            let mut at = 0;
            while let Some(next) = (at..40).find_map(verified) {
                at = next.end as usize;
                expected.push(next);
            }
            prop_assert_eq!(found, expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn picks_what_counts(
            haystacks in prop::collection::vec((calls(), 0_u32..300), 1..3),
            direct in any::<u8>(),
        ) {
            let mut selector = LeftmostSelector::default();
            let is_direct = |pattern_id: u32| direct >> (pattern_id % 8) & 1 == 1;
            for (calls, step) in haystacks {
                selector.clear();
                let mut ends = HashMap::new();
                let mut base = 0;
                for mut candidates in calls {
                    let mut expected = ambiguous_ranges(&ends, &candidates, base);
                    expected.retain(|range| is_direct(range.pattern_id));
                    let found: Vec<_> = selector.ambiguous_ranges(&candidates, &[], base, is_direct).collect();
                    prop_assert!(found == expected);
                    let is_unambiguous = selector.is_unambiguous(&candidates, &[], base, is_direct, &[]);
                    prop_assert_eq!(is_unambiguous, expected.is_empty());
                    if expected.len() < 100 {
                        prop_assert!(selector.is_unambiguous(&candidates, &[], base, is_direct, &expected));
                        let (mut rest, mut dropped) = (candidates.clone(), Vec::new());
                        remove_held(&mut rest, &mut dropped, &expected);
                        let is_held = |found: &Match| expected.iter().any(|range| range.holds(found));
                        let (mut held, naive): (Vec<_>, _) =
                            candidates.iter().partition(|found| is_held(found));
                        held.dedup();
                        prop_assert!(rest == naive && dropped == held);
                    }

                    let mut all = candidates.clone();
                    let selected = distinct(&mut all);
                    let mut matches = Vec::new();
                    selected.append_to(&mut matches);
                    let mut expected = candidates.clone();
                    expected.dedup();
                    prop_assert!(matches == expected);

                    let expected = select(&mut ends, &candidates, base);
                    let selected = selector.select(&mut candidates, base);
                    prop_assert_eq!(selected.len(), expected.len());
                    selected.append_to(&mut matches);
                    prop_assert!(matches[matches.len() - expected.len()..] == expected);
                    base += u64::from(step);
                }
            }
        }
    }
}
