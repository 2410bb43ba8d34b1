//! Matches, and which of them a scan reports.

/// A match of one pattern: the half-open byte range `start..end` of the haystack. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Match {
    /// The pattern's index in the list that the pipeline was built from.
    pub pattern_id: u32,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

/// Which matches of a pattern a scan reports.
///
/// # Examples
///
/// ```
/// use vkscan::{MatchKind, PipelineOptions, RulePipeline};
///
/// let rules = RulePipeline::new(&["a+"])?;
/// assert_eq!(rules.reference_scan(b"aa").len(), 1); // 0..2
///
/// let options = PipelineOptions::default().match_kind(MatchKind::All);
/// let rules = RulePipeline::with_options(&["a+"], options)?;
/// assert_eq!(rules.reference_scan(b"aa").len(), 3); // 0..1, 0..2 and 1..2
/// # Ok::<(), vkscan::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MatchKind {
    /// Every non-empty range that the pattern matches, overlapping ones included.
    All,
    /// For each pattern on its own, the non-empty matches that `regex::bytes::Regex::find_iter` yields: leftmost
    /// first, preferring earlier alternatives and greedy repeats, without overlaps.
    #[default]
    LeftmostFirst,
}
