//! What candidates leave open: ranges of starts of which all hits have to be seen.

use crate::Match;

/// A range of starts, up to and without the second, of which all hits of a pattern have to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AmbiguousRange {
    pub(crate) pattern_id: u32,
    pub(crate) starts: [u32; 2],
}

impl AmbiguousRange {
    pub(super) fn holds(&self, candidate: &Match) -> bool {
        let [first, end] = self.starts;
        candidate.pattern_id == self.pattern_id && (first..end).contains(&candidate.start)
    }
}

/// A match that a suffix told of, and the least start from which its prefix leads to the suffix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SuffixReport {
    pub(crate) pattern_id: u32,
    pub(crate) suffix: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Moves the `candidates`, sorted, that lie in one of `ranges`, which are in the order of their patterns, to `dropped`,
/// which is sorted then.
pub(crate) fn remove_held(
    candidates: &mut Vec<Match>,
    dropped: &mut Vec<Match>,
    mut ranges: &[AmbiguousRange],
) {
    candidates.retain(|candidate| {
        while let [range, rest @ ..] = ranges
            && range.pattern_id < candidate.pattern_id
        {
            ranges = rest;
        }
        let mut own = ranges.iter().take_while(|range| range.pattern_id == candidate.pattern_id);
        let is_held = own.any(|range| range.holds(candidate));
        if is_held {
            dropped.push(*candidate);
        }
        !is_held
    });
    dropped.sort_unstable();
    dropped.dedup();
}
