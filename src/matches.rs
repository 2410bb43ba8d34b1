//! Matches, and which of them a scan reports.

use std::collections::HashMap;

/// A match of one pattern: the half-open byte range `start..end` of the haystack. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Match {
    /// The pattern's index in the list that the pipeline was built from.
    pub pattern_id: u32,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

/// Which matches of a pattern a scan reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MatchKind {
    /// Every non-empty range that the pattern matches, overlapping ones included.
    All,
    /// For each pattern on its own, the non-empty items of `regex::bytes::Regex::find_iter`: leftmost
    /// first, preferring earlier alternatives and greedy repeats, without overlaps.
    #[default]
    LeftmostFirst,
}

/// A start from which a pattern may match or not: the haystack went on where its walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Undecided {
    pub(crate) pattern_id: u32,
    pub(crate) start: u32,
}

/// A range of starts, up to and without the second, of which all hits of a pattern have to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsettled {
    pub(crate) pattern_id: u32,
    pub(crate) starts: [u32; 2],
}

impl Unsettled {
    pub(crate) fn holds(&self, candidate: &Match) -> bool {
        let [first, end] = self.starts;
        candidate.pattern_id == self.pattern_id && (first..end).contains(&candidate.start)
    }
}

/// Picks leftmost-first matches out of the preferred match of every start.
///
/// `find_iter` looks for the least start at or after the end of its last match. So, for each pattern, the
/// matches that count form a chain: the first one, then the first one that starts at or after its end.
/// Starts come in ascending order over all calls; a chain runs on from one call to the next.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    /// Where the last match of a pattern ended.
    ends: HashMap<u32, u64>,
}

impl Chains {
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
    }

    /// The first of `undecided`, sorted starts of patterns, that no match covers: what lies before it is
    /// settled. A start inside a match of its pattern does not count, decided or not. `candidates` are
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
                    free = self.ends.get(&pattern_id).copied().unwrap_or(0);
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

    /// The first range of starts of which `candidates`, sorted and each there once, may not hold all that
    /// counts, where tails have been reported with their least start alone: one start has two ends, or a
    /// start that is covered would have later ones that are not. `is_direct` tells the patterns that this may
    /// be so of, and `settled` which ranges hold all.
    pub(crate) fn first_unsettled(
        &self,
        candidates: &[Match],
        base: u64,
        is_direct: impl Fn(u32) -> bool,
        settled: &[Unsettled],
    ) -> Option<Unsettled> {
        let mut pattern = None;
        let mut last = None;
        let mut free = 0;
        candidates.iter().find_map(|&Match { pattern_id, start, end }| {
            if pattern != Some(pattern_id) {
                pattern = Some(pattern_id);
                last = None;
                free = self.ends.get(&pattern_id).copied().unwrap_or(0);
            }
            let has_two_ends = last.replace(start) == Some(start);
            let ends_later = base + u64::from(end) > free;
            let is_free = base + u64::from(start) >= free;
            let starts = if has_two_ends {
                [start, start + 1]
            } else if !is_free && ends_later {
                [(free - base) as u32, end]
            } else {
                if is_free {
                    free = base + u64::from(end);
                }
                return None;
            };
            let found = Unsettled { pattern_id, starts };
            (is_direct(pattern_id) && !settled.contains(&found)).then_some(found)
        })
    }

    /// Drops those of `candidates`, sorted, that are no part of their pattern's chain. `base` is the offset
    /// of the haystack that their offsets count from.
    pub(crate) fn select(&mut self, candidates: &mut Vec<Match>, base: u64) {
        candidates.retain(|candidate| {
            let free = self.ends.entry(candidate.pattern_id).or_insert(0);
            let is_next = base + u64::from(candidate.start) >= *free;
            if is_next {
                *free = base + u64::from(candidate.end);
            }
            is_next
        });
    }
}
