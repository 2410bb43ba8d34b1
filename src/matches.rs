//! Matches, and which of them a scan reports.

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
    /// For each pattern on its own, the non-empty matches that `regex::bytes::Regex::find_iter` yields: leftmost
    /// first, preferring earlier alternatives and greedy repeats, without overlaps.
    #[default]
    LeftmostFirst,
}
