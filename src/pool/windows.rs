//! A haystack larger than sessions are prepared for, in windows that several devices look through at a time.
//!
//! Each window is scanned as if no match of the one before reached into it. That one is usually right; where a match does reach
//! in, and something was found inside of it by the same rule, the window is scanned again behind that match, as a stream is
//! (`scan/stream.rs`). So are starts that a window could not decide.

use std::borrow::Cow;
use std::io;
use std::ops::Range as Bytes;

use super::lanes::Job;
use super::{Done, Member};
use crate::narrow::narrow;
use crate::scan::session::{Carried, Range, ScanScratch};
use crate::scan::stream::CONTEXT;
use crate::{BackendError, ResidentRulePipeline, ScanError, StreamMatch};

/// Where a haystack is that [`DevicePool::scan_large`](super::DevicePool::scan_large) looks through: bytes in memory, or
/// something that can be read at any place by several threads at once, such as a file.
///
/// # Examples
///
/// ```
/// use std::borrow::Cow;
/// use std::fs::File;
/// use std::io;
/// use std::ops::Range;
///
/// use vkscan::WindowSource;
///
/// /// A file as long as it was when it was opened.
/// struct Opened {
///     file: File,
///     bytes: u64,
/// }
///
/// # #[cfg(unix)]
/// impl WindowSource for Opened {
///     fn bytes(&self) -> u64 {
///         self.bytes
///     }
///
///     fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
///         use std::os::unix::fs::FileExt;
///
///         let mut bytes = vec![0; (range.end - range.start) as usize];
///         self.file.read_exact_at(&mut bytes, range.start)?;
///         Ok(bytes.into())
///     }
/// }
/// ```
pub trait WindowSource: Sync {
    /// Length, in bytes; always the same.
    fn bytes(&self) -> u64;

    /// The bytes of a range, which is within these: no more of them than the capacity of the sessions. They may be read more
    /// than once.
    ///
    /// # Errors
    ///
    /// What keeps them from being read, which is the error of the scan then.
    fn read(&self, range: Bytes<u64>) -> io::Result<Cow<'_, [u8]>>;
}

impl WindowSource for [u8] {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, range: Bytes<u64>) -> io::Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(&self[narrow(range.start)..narrow(range.end)]))
    }
}

/// Starts that are looked at together, and the bytes that this takes.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) range: Range,
    last: u64,
}

impl Window {
    /// Its bytes.
    pub(super) fn read<'h>(
        &self,
        haystack: &'h (impl WindowSource + ?Sized),
    ) -> io::Result<Cow<'h, [u8]>> {
        let bytes = haystack.read(self.range.base..self.last)?;
        match bytes.len() as u64 == self.last - self.range.base {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Behind the last start.
    fn end(&self) -> u64 {
        self.range.base + u64::from(self.range.end_start)
    }
}

impl Job for Window {
    fn size(&self) -> [u64; 2] {
        [1, self.last - self.range.base]
    }
}

/// Where windows begin and end, by the capacity of a session.
#[derive(Clone)]
pub(super) struct Windows {
    /// Of the haystack.
    bytes: u64,
    capacity: usize,
    /// Bytes at a window's end whose starts are left to the next one.
    margin: u64,
    max_scan_bytes: u32,
    /// Where the next one begins.
    next: u64,
}

impl Windows {
    /// All windows of a haystack, of a session that takes some starts at a time.
    pub(super) fn new(
        bytes: u64,
        session: &ResidentRulePipeline,
        max_scan_bytes: u32,
    ) -> Result<Windows, ScanError> {
        let capacity = session.haystack_capacity();
        let margin = CONTEXT.max(session.margin());
        let least = CONTEXT + margin + 1;
        if capacity < least && bytes > capacity as u64 {
            return Err(ScanError::WindowTooSmall { capacity, least });
        }
        Ok(Windows { bytes, capacity, margin: margin as u64, max_scan_bytes, next: 0 })
    }

    /// The window of the starts from `begin` on, as far as it goes.
    fn at(&self, begin: u64) -> Window {
        let first = begin.saturating_sub(CONTEXT as u64);
        let last = self.bytes.min(first + self.capacity as u64);
        let is_final = last == self.bytes;
        let end = if is_final { last } else { last - self.margin };
        let range = Range {
            first_start: narrow(begin - first),
            end_start: narrow(end - first),
            is_final,
            max_scan_bytes: self.max_scan_bytes,
            base: first,
            slots: None,
        };
        Window { range, last }
    }
}

impl Iterator for Windows {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        if self.next >= self.bytes {
            return None;
        }
        let window = self.at(self.next);
        self.next = window.end();
        Some(window)
    }
}

/// Puts the windows of a haystack together, in their order.
pub(super) struct Chain<'h, S: ?Sized> {
    haystack: &'h S,
    /// As they were dealt out.
    windows: Windows,
    /// Starts before this one are done with.
    scanned: u64,
    /// What reaches beyond it.
    carried: Vec<Carried>,
    /// The device that answered last.
    member: usize,
}

impl<'h, S: WindowSource + ?Sized> Chain<'h, S> {
    pub(super) fn new(haystack: &'h S, windows: Windows) -> Chain<'h, S> {
        Chain { haystack, windows, scanned: 0, carried: Vec::new(), member: 0 }
    }

    /// All starts before this one are done with, and told.
    pub(super) fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Tells the matches of the next window, which was scanned by itself.
    pub(super) fn add(
        &mut self,
        alone: Result<Done, ScanError>,
        members: &[Member],
        on_matches: &mut impl FnMut(&[StreamMatch]),
    ) -> Result<(), ScanError> {
        let window = self.windows.at(self.scanned);
        let (range, end) = (window.range, window.end());
        if let Some(done) = self.if_right(alone, range.base)? {
            tell(&done, range.base, on_matches);
            self.scanned = match done.undecided {
                Some(undecided) => range.base + u64::from(undecided.start),
                None => end,
            };
            self.carried.retain(|carried| carried.end > self.scanned);
            self.carried.extend(done.carried);
        }
        while self.scanned < end {
            self.scan_on(end, members, on_matches)?;
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
        end: u64,
        members: &[Member],
        on_matches: &mut impl FnMut(&[StreamMatch]),
    ) -> Result<(), ScanError> {
        let mut window = self.windows.at(self.scanned);
        let end = end.min(window.end());
        window.range.end_start = narrow(end - window.range.base);
        let (range, bytes) = (window.range, window.read(self.haystack)?);
        let mut scanned = Err(BackendError::NoDevice.into());
        for _ in 0..members.len() {
            let member = &members[self.member];
            if !member.backend.is_lost() {
                scanned = member.scan(&bytes, range, &self.carried, &mut ScanScratch::default());
                if !matches!(scanned, Err(ScanError::Backend(_))) {
                    break;
                }
            }
            self.member = (self.member + 1) % members.len();
        }
        let done = scanned?;
        let next = match done.undecided {
            Some(undecided) if undecided.start > range.first_start => {
                range.base + u64::from(undecided.start)
            }
            Some(undecided) => {
                let (pattern_id, capacity) = (undecided.pattern_id, self.windows.capacity);
                let start = range.base + u64::from(undecided.start);
                return Err(ScanError::Undecided { pattern_id, start, capacity });
            }
            None => end,
        };
        tell(&done, range.base, on_matches);
        (self.scanned, self.carried) = (next, done.carried);
        Ok(())
    }
}

fn tell(done: &Done, base: u64, on_matches: &mut impl FnMut(&[StreamMatch])) {
    let matches = done.matches.iter().map(|found| StreamMatch {
        pattern_id: found.pattern_id,
        start: base + u64::from(found.start),
        end: base + u64::from(found.end),
    });
    on_matches(&matches.collect::<Vec<_>>());
}
