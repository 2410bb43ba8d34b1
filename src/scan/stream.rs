//! Haystacks larger than the session, in overlapping windows.
//!
//! A window is scanned as a haystack that goes on elsewhere: a walk that comes to its end is *undecided*,
//! because more bytes could make a match, or another one. All starts before the first undecided one are
//! done with, and the next window begins there, a few bytes early for what look-arounds see behind them.
//! So the result is exact for every rule, whatever its length, as long as no single walk is longer than
//! a window; and if one is, that is an error and not a guess.
//!
//! Where a reader has nothing more for now, what has come is a window that ends early.

use std::io::{ErrorKind, Read};

use super::session::{Range, ResidentRulePipeline, ScanScratch};
use super::ticket::{Ticket, Undecided};
use super::{ScanError, ScanStats, StreamError};
use crate::narrow::narrow;
use crate::shaders::layout;
use crate::{Backend, Match};

/// Bytes that look-arounds may see before or after a position.
pub(crate) const CONTEXT: usize = layout::UTF8_MAX as usize;

/// The capacity from which on each window is done with some starts, if they are decided.
const LEAST_WINDOW: usize = 2 * CONTEXT + 1;

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

impl From<&Match> for StreamMatch {
    fn from(&Match { pattern_id, start, end }: &Match) -> StreamMatch {
        StreamMatch { pattern_id, start: start.into(), end: end.into() }
    }
}

impl ResidentRulePipeline {
    /// Scans all that `reader` gives, however long, in windows of the session's capacity, with matches of
    /// at most `max_scan_bytes` bytes. Calls `on_match` with every match and its bytes: sorted within a
    /// window, and windows in order.
    ///
    /// Matches are told when a window is full. A reader that has nothing more for now can have what came before told at
    /// once, as far as nothing that follows can change it: it fails with [`ErrorKind::WouldBlock`], and is asked again
    /// then. A match that ends with the last byte waits for the one behind it. To wait is for the reader: where it fails
    /// so twice without a byte in between, that is its error.
    ///
    /// [`ResidentRulePipeline::max_matches`] bounds the matches of one window.
    ///
    /// # Errors
    ///
    /// As [`ResidentRulePipeline::scan_into`]; what the reader fails with; and
    /// [`ScanError::Undecided`] if a rule cannot be decided within a window. The matches that `on_match`
    /// was called with until then are exactly those that start before [`StreamError::scanned`]; what the reader gave
    /// before it failed is scanned as far as it decides.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
    /// use vkscan::StreamMatch;
    ///
    /// # let backend = Backend::new(&BackendOptions::default())?;
    /// // Windows of 64 bytes, for a stream of some thousand.
    /// let session = RulePipeline::new(&["b[0-9]+"])?.prepare_resident(&backend, 64, 10)?;
    /// let stream = [&[b'a'; 5000][..], b"b123 ", &[b'c'; 5000]].concat();
    /// let (mut all, mut scratch) = (Vec::new(), ScanScratch::default());
    /// session.scan_reader(&backend, &mut &stream[..], 10, &mut scratch, |found, bytes| {
    ///     assert_eq!(bytes, b"b123");
    ///     all.push(found);
    /// })?;
    /// assert_eq!(all, [StreamMatch { pattern_id: 0, start: 5000, end: 5004 }]);
    /// # Ok::<(), vkscan::ScanError>(())
    /// ```
    pub fn scan_reader(
        &self,
        backend: &Backend,
        reader: &mut impl Read,
        max_scan_bytes: u32,
        scratch: &mut ScanScratch,
        on_match: impl FnMut(StreamMatch, &[u8]),
    ) -> Result<ScanStats, StreamError> {
        let mut window = std::mem::take(&mut scratch.window);
        window.clear();
        scratch.carried.clear();
        let mut stream = Stream {
            session: self,
            backend,
            max_scan_bytes,
            scratch,
            on_match,
            window,
            base: 0,
            first_start: 0,
            matches: Vec::new(),
            stats: ScanStats::default(),
        };
        let scanned = stream.scan_all(reader);
        let Stream { window, base, first_start, stats, .. } = stream;
        scratch.window = window;
        let scanned_to = base + first_start as u64;
        scanned.map(|()| stats).map_err(|error| StreamError { error, scanned: scanned_to })
    }
}

/// A scan of what a reader gives.
struct Stream<'a, F> {
    session: &'a ResidentRulePipeline,
    backend: &'a Backend,
    max_scan_bytes: u32,
    scratch: &'a mut ScanScratch,
    on_match: F,
    /// What has been read and is not done with.
    window: Vec<u8>,
    /// Where the window begins in the stream.
    base: u64,
    /// Starts before this one, in the window, are done with.
    first_start: usize,
    matches: Vec<Match>,
    stats: ScanStats,
}

impl<F: FnMut(StreamMatch, &[u8])> Stream<'_, F> {
    fn scan_all(&mut self, reader: &mut impl Read) -> Result<(), ScanError> {
        // Whether bytes have come since the reader last had none.
        let mut has_come = false;
        loop {
            // One byte more than fits tells a stream that ends here from one that goes on.
            let known = self.window.len();
            let wanted = self.session.haystack_capacity() + 1 - known;
            let read = reader.by_ref().take(wanted as u64).read_to_end(&mut self.window);
            has_come |= self.window.len() > known;
            match read {
                Ok(read) if read < wanted => {
                    self.scan_to(self.window.len(), true)?;
                    return Ok(());
                }
                Ok(_) => self.scan_full()?,
                Err(error) => {
                    self.scan_partial()?;
                    if error.kind() != ErrorKind::WouldBlock || !has_come {
                        return Err(ScanError::Read(error));
                    }
                    has_come = false;
                }
            }
            let dropped = self.first_start.saturating_sub(CONTEXT);
            self.window.drain(..dropped);
            self.base += dropped as u64;
            self.first_start -= dropped;
        }
    }

    /// Scans a window that is full.
    fn scan_full(&mut self) -> Result<(), ScanError> {
        let capacity = self.session.haystack_capacity();
        let first_start = self.first_start;
        let margin = CONTEXT.max(self.session.margin());
        let undecided = self.scan_to(capacity.saturating_sub(margin), false)?;
        match undecided {
            _ if self.first_start > first_start => Ok(()),
            None => Err(ScanError::WindowTooSmall { capacity, least: LEAST_WINDOW }),
            Some(Undecided { pattern_id, .. }) => {
                let start = self.base + first_start as u64;
                Err(ScanError::Undecided { pattern_id, start, capacity })
            }
        }
    }

    /// Scans a window that has room left, as far as it decides: the last starts, whose grams may be behind its end, one
    /// by one, but for the last of all: starts are told by two bytes.
    fn scan_partial(&mut self) -> Result<(), ScanError> {
        let reach = self.session.reach.unwrap_or(0) as usize;
        let len = self.window.len();
        if self.scan_to(len.saturating_sub(reach), false)?.is_none() {
            self.scan_to(len.saturating_sub(1), false)?;
        }
        Ok(())
    }

    /// Scans the starts before `end_start`, up to the first one that is undecided, if any is.
    fn scan_to(
        &mut self,
        end_start: usize,
        is_final: bool,
    ) -> Result<Option<Undecided>, ScanError> {
        let end_start = end_start.max(self.first_start);
        let haystack = &self.window[..self.window.len().min(self.session.haystack_capacity())];
        let range = Range {
            first_start: narrow(self.first_start),
            end_start: narrow(end_start),
            is_final,
            max_scan_bytes: self.max_scan_bytes,
            base: self.base,
            slots: None,
        };
        let carried = &self.scratch.carried;
        let ticket =
            Ticket::begin(self.session, self.backend, haystack.into(), range, carried, &[])?;
        let (scanned, undecided) = ticket.finish(&mut self.matches, self.scratch)?;
        self.stats += scanned;
        for found in &self.matches {
            let at = StreamMatch {
                pattern_id: found.pattern_id,
                start: self.base + u64::from(found.start),
                end: self.base + u64::from(found.end),
            };
            (self.on_match)(at, &haystack[found.start as usize..found.end as usize]);
        }
        self.first_start = undecided.map_or(end_start, |undecided| undecided.start as usize);
        Ok(undecided)
    }
}
