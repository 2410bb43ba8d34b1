//! A haystack larger than sessions are prepared for, in windows that several devices look through at a time.
//!
//! Each window is scanned as if no match of the one before reached into it. That one is usually right; where a match does reach
//! in, and something was found inside of it by the same rule, the window is scanned again behind that match, as a stream is
//! (`scan/stream.rs`). So are starts that a window could not decide.

use super::{Done, Job, Member};
use crate::narrow::narrow;
use crate::scan::session::{Carried, Range, ScanScratch};
use crate::scan::stream::CONTEXT;
use crate::scan::ticket::Ticket;
use crate::{BackendError, ResidentRulePipeline, ScanError, StreamMatch};

/// Where windows begin and end, by the capacity of a session.
#[derive(Clone)]
pub(super) struct Windows<'h> {
    haystack: &'h [u8],
    capacity: usize,
    /// Bytes at a window's end whose starts are left to the next one.
    margin: usize,
    max_scan_bytes: u32,
    /// Where the next one begins.
    next: usize,
}

impl<'h> Windows<'h> {
    /// All windows of a haystack, of a session that takes some starts at a time.
    pub(super) fn new(
        haystack: &'h [u8],
        session: &ResidentRulePipeline,
        max_scan_bytes: u32,
    ) -> Result<Windows<'h>, ScanError> {
        let capacity = session.haystack_capacity();
        let margin = CONTEXT.max(session.margin());
        let least = CONTEXT + margin + 1;
        if capacity < least && haystack.len() > capacity {
            return Err(ScanError::WindowTooSmall { capacity, least });
        }
        Ok(Windows { haystack, capacity, margin, max_scan_bytes, next: 0 })
    }

    /// The window of the starts from `begin` on, as far as it goes, and where that is.
    pub(super) fn at(&self, begin: usize) -> (Job<'h>, usize) {
        let first = begin.saturating_sub(CONTEXT);
        let last = self.haystack.len().min(first + self.capacity);
        let is_final = last == self.haystack.len();
        let end = if is_final { last } else { last - self.margin };
        let range = Range {
            first_start: narrow(begin - first),
            end_start: narrow(end - first),
            is_final,
            max_scan_bytes: self.max_scan_bytes,
            base: first as u64,
            slots: None,
        };
        (Job { haystack: &self.haystack[first..last], range }, end)
    }
}

impl<'h> Iterator for Windows<'h> {
    type Item = Job<'h>;

    fn next(&mut self) -> Option<Job<'h>> {
        if self.next >= self.haystack.len() {
            return None;
        }
        let (job, end) = self.at(self.next);
        self.next = end;
        Some(job)
    }
}

/// Puts the windows of a haystack together, in their order.
pub(super) struct Chain<'h> {
    /// As they were dealt out.
    windows: Windows<'h>,
    /// Starts before this one are done with.
    scanned: usize,
    /// What reaches beyond it.
    carried: Vec<Carried>,
}

impl<'h> Chain<'h> {
    pub(super) fn new(windows: Windows<'h>) -> Chain<'h> {
        Chain { windows, scanned: 0, carried: Vec::new() }
    }

    /// All starts before this one are done with, and told.
    pub(super) fn scanned(&self) -> u64 {
        self.scanned as u64
    }

    /// Tells the matches of the next window, which was scanned by itself.
    pub(super) fn add(
        &mut self,
        alone: Result<Done, ScanError>,
        members: &[Member],
        on_match: &mut impl FnMut(StreamMatch),
    ) -> Result<(), ScanError> {
        let (Job { range, .. }, end) = self.windows.at(self.scanned);
        if let Some(done) = self.if_right(alone, range.base)? {
            tell(&done, range.base, on_match);
            self.scanned = match done.undecided {
                Some(undecided) => narrow::<_, usize>(range.base) + undecided.start as usize,
                None => end,
            };
            self.carried.retain(|carried| carried.end > self.scanned as u64);
            self.carried.extend(done.carried);
        }
        while self.scanned < end {
            self.scan_on(end, members, on_match)?;
        }
        Ok(())
    }

    /// What a window by itself has come to, unless something that reaches into it changes that.
    fn if_right(
        &self,
        alone: Result<Done, ScanError>,
        base: u64,
    ) -> Result<Option<Done>, ScanError> {
        let done = match alone {
            Ok(done) => done,
            // There may be fewer matches than it found.
            Err(_) if !self.carried.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_inside = |carried: &Carried, pattern_id: u32, start: u32| {
            carried.pattern_id == pattern_id && base + u64::from(start) < carried.end
        };
        let changes = |carried: &Carried| {
            let found = &mut done.matches.iter();
            found.any(|found| is_inside(carried, found.pattern_id, found.start))
                || done.undecided.is_some_and(|one| is_inside(carried, one.pattern_id, one.start))
        };
        let is_right = !self.carried.iter().any(changes);
        Ok(is_right.then_some(done))
    }

    /// Scans starts that are open, up to `end`, or as many of them as a window holds, on a device that can.
    fn scan_on(
        &mut self,
        end: usize,
        members: &[Member],
        on_match: &mut impl FnMut(StreamMatch),
    ) -> Result<(), ScanError> {
        let (Job { haystack, mut range }, reach) = self.windows.at(self.scanned);
        let end = end.min(reach);
        range.end_start = narrow(end as u64 - range.base);
        let scan = |Member { session, backend }: &Member| {
            let mut scratch = ScanScratch::default();
            scratch.carried.clone_from(&self.carried);
            let carried = &self.carried;
            let ticket = Ticket::begin(session, backend, haystack.into(), range, carried, &[])?;
            let mut matches = Vec::new();
            let (_, undecided) = ticket.finish(&mut matches, &mut scratch)?;
            Ok(Done { matches, undecided, carried: scratch.carried })
        };
        let mut scanned = Err(BackendError::NoDevice.into());
        for member in members.iter().filter(|member| !member.backend.is_lost()) {
            scanned = scan(member);
            if !matches!(scanned, Err(ScanError::Backend(_))) {
                break;
            }
        }
        let done = scanned?;
        let next = match done.undecided {
            Some(undecided) if undecided.start > range.first_start => {
                narrow::<_, usize>(range.base) + undecided.start as usize
            }
            Some(undecided) => {
                let (pattern_id, capacity) = (undecided.pattern_id, self.windows.capacity);
                let start = range.base + u64::from(undecided.start);
                return Err(ScanError::Undecided { pattern_id, start, capacity });
            }
            None => end,
        };
        tell(&done, range.base, on_match);
        (self.scanned, self.carried) = (next, done.carried);
        Ok(())
    }
}

fn tell(done: &Done, base: u64, on_match: &mut impl FnMut(StreamMatch)) {
    for found in &done.matches {
        on_match(StreamMatch {
            pattern_id: found.pattern_id,
            start: base + u64::from(found.start),
            end: base + u64::from(found.end),
        });
    }
}
