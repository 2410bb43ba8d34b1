//! Haystacks larger than the session, in overlapping windows.
//!
//! A window is scanned as a haystack that goes on elsewhere: a walk that comes to its end is *undecided*,
//! because more bytes could make a match, or another one. All starts before the first undecided one are
//! done with, and the next window begins there, a few bytes early for what look-arounds see behind them.
//! So the result is exact for every rule, whatever its length, as long as no single walk is longer than
//! a window; and if one is, that is an error and not a guess.

use std::io::Read;

use super::session::{Range, ResidentRulePipeline, ScanScratch};
use super::ticket::Ticket;
use super::{ScanError, ScanStats};
use crate::matches::Undecided;
use crate::narrow::narrow;
use crate::shaders::layout;
use crate::{Backend, Match};

/// Bytes that look-arounds may see before or after a position.
const CONTEXT: usize = layout::UTF8_MAX as usize;

/// A match in a stream: as [`Match`](crate::Match), with offsets that count from where the reader began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamMatch {
    /// The pattern's index in the list that the pipeline was built from.
    pub pattern_id: u32,
    /// Offset of the first byte.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
}

impl ResidentRulePipeline {
    /// Scans all that `reader` gives, however long, in windows of the session's capacity, with matches of
    /// at most `max_scan_bytes` bytes. Calls `on_match` with every match and its bytes: sorted within a
    /// window, and windows in order.
    ///
    /// [`ResidentRulePipeline::max_matches`] bounds the matches of one window.
    ///
    /// # Errors
    ///
    /// As [`ResidentRulePipeline::scan_into`]; what the reader fails with; and
    /// [`ScanError::Undecided`] if a rule cannot be decided within a window. The matches that `on_match`
    /// was called with until then are right, and where a rule is undecided at `start` they are exactly those
    /// that start before it.
    pub fn scan_reader(
        &self,
        backend: &Backend,
        reader: &mut impl Read,
        max_scan_bytes: u32,
        scratch: &mut ScanScratch,
        mut on_match: impl FnMut(StreamMatch, &[u8]),
    ) -> Result<ScanStats, ScanError> {
        let capacity = self.haystack_capacity();
        let mut window = std::mem::take(&mut scratch.window);
        window.clear();
        scratch.chains.clear();
        let mut matches: Vec<Match> = Vec::new();
        let mut stats = ScanStats::default();
        let mut base = 0_u64;
        let mut first_start = 0;
        loop {
            // One byte more than fits tells a stream that ends here from one that goes on.
            let wanted = capacity + 1 - window.len();
            let read = reader.by_ref().take(wanted as u64).read_to_end(&mut window)?;
            let is_final = read < wanted;
            let haystack = &window[..window.len().min(capacity)];
            let end_start = if is_final {
                haystack.len()
            } else {
                haystack.len().saturating_sub(CONTEXT.max(self.margin())).max(first_start)
            };
            let range = Range {
                first_start: narrow(first_start),
                end_start: narrow(end_start),
                is_final,
                max_scan_bytes,
                base,
                slots: None,
            };
            let ticket = Ticket::begin(self, backend, haystack.into(), range)?;
            let (scanned, undecided) = ticket.finish(&mut matches, scratch)?;
            stats += scanned;
            for found in &matches {
                let at = StreamMatch {
                    pattern_id: found.pattern_id,
                    start: base + u64::from(found.start),
                    end: base + u64::from(found.end),
                };
                on_match(at, &haystack[found.start as usize..found.end as usize]);
            }
            if is_final {
                window.clear();
                scratch.window = window;
                return Ok(stats);
            }
            let next_start = match undecided {
                None if end_start == first_start => {
                    return Err(ScanError::HaystackTooLarge { bytes: window.len(), capacity });
                }
                None => end_start,
                Some(Undecided { pattern_id, start }) if start as usize == first_start => {
                    let start = base + u64::from(start);
                    return Err(ScanError::Undecided { pattern_id, start, capacity });
                }
                Some(Undecided { start, .. }) => start as usize,
            };
            let dropped = next_start.saturating_sub(CONTEXT);
            window.drain(..dropped);
            base += dropped as u64;
            first_start = next_start - dropped;
        }
    }
}
