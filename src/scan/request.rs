//! What a caller asks of a session: a scan now, or one to be waited for.

use super::ScanError;
use super::haystack::Haystack;
use super::session::{Range, ResidentRulePipeline, ScanScratch};
use super::stats::ScanStats;
use super::ticket::Ticket;
use crate::narrow::narrow;
use crate::{Backend, BackendError, Match, RawSemaphore};

impl ResidentRulePipeline {
    /// Finds all matches in `haystack`, sorted; what `matches` held before is dropped.
    ///
    /// # Errors
    ///
    /// A haystack over capacity, more matches than [`ResidentRulePipeline::max_matches`], another backend
    /// than the session's, tickets that hold all its frames ([`ScanError::AllInFlight`]), or a fault of the
    /// device. `matches` is empty then, and except after the loss of the device the session goes on working.
    pub fn scan_into<'h>(
        &self,
        backend: &Backend,
        haystack: impl Into<Haystack<'h>>,
        matches: &mut Vec<Match>,
        scratch: &mut ScanScratch,
    ) -> Result<ScanStats, ScanError> {
        self.scan_bounded_into(backend, haystack, u32::MAX, matches, scratch)
    }

    /// As [`ResidentRulePipeline::scan_into`], with matches of at most `max_scan_bytes` bytes. A
    /// leftmost-first match is then the most preferred one of those.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vkscan::{Backend, BackendOptions, Match, RulePipeline, ScanScratch};
    /// # let backend = Backend::new(&BackendOptions::default())?;
    /// # let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    /// let session = RulePipeline::new(&["ab|abcd|abc"])?.prepare_resident(&backend, 1 << 16, 100)?;
    /// session.scan_bounded_into(&backend, b"abcd", 3, &mut matches, &mut scratch)?;
    /// assert_eq!(matches, [Match { pattern_id: 0, start: 0, end: 2 }]);
    /// # Ok::<(), vkscan::ScanError>(())
    /// ```
    pub fn scan_bounded_into<'h>(
        &self,
        backend: &Backend,
        haystack: impl Into<Haystack<'h>>,
        max_scan_bytes: u32,
        matches: &mut Vec<Match>,
        scratch: &mut ScanScratch,
    ) -> Result<ScanStats, ScanError> {
        matches.clear();
        let haystack: Haystack = haystack.into();
        self.submit_bounded(backend, haystack, max_scan_bytes)?.wait_into(matches, scratch)
    }

    /// Submits a scan of `haystack`, to be waited for by [`Ticket::wait_into`]. Until then other haystacks can be
    /// submitted, as many as the session takes at a time ([`SessionOptions::scans_in_flight`](crate::SessionOptions::scans_in_flight)): one is copied
    /// while those before it are looked through. [`ResidentRulePipeline::scan_into`] is the two in one.
    ///
    /// Where as many are in flight already, this waits until one of them is over.
    ///
    /// # Errors
    ///
    /// A haystack over capacity, another backend than the session's, or a fault of the device; and
    /// [`ScanError::AllInFlight`] if after
    /// [`BackendOptions::wait_timeout`](crate::BackendOptions::wait_timeout) all are still held by tickets
    /// that nobody waits for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
    /// # let backend = Backend::new(&BackendOptions::default())?;
    /// let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 20, 1000)?;
    /// let first = session.submit(&backend, b"aa b")?;
    /// let second = session.submit_bounded(&backend, b"b aaa", 2)?;
    /// let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    /// for (ticket, count) in [(first, 1), (second, 2)] {
    ///     ticket.wait_into(&mut matches, &mut scratch)?;
    ///     assert_eq!(matches.len(), count);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit<'a>(
        &'a self,
        backend: &Backend,
        haystack: impl Into<Haystack<'a>>,
    ) -> Result<Ticket<'a>, ScanError> {
        self.submit_bounded(backend, haystack, u32::MAX)
    }

    /// As [`ResidentRulePipeline::submit`], with matches of at most `max_scan_bytes` bytes.
    pub fn submit_bounded<'a>(
        &'a self,
        backend: &Backend,
        haystack: impl Into<Haystack<'a>>,
        max_scan_bytes: u32,
    ) -> Result<Ticket<'a>, ScanError> {
        self.submit_after(backend, haystack.into(), max_scan_bytes, &[])
    }

    fn submit_after<'a>(
        &'a self,
        backend: &Backend,
        haystack: Haystack<'a>,
        max_scan_bytes: u32,
        waits: &[RawSemaphore],
    ) -> Result<Ticket<'a>, ScanError> {
        self.check(backend, haystack.len())?;
        let range = Range::whole(narrow(haystack.len()), max_scan_bytes);
        Ticket::begin(self, backend, haystack, range, &[], waits)
    }

    /// As [`ResidentRulePipeline::submit_bounded`], in the order that semaphores of the caller's keep: the scan begins once
    /// all of `waits` are reached, and when it is over all of `signals` are signalled, whether it failed or not. Then the
    /// device no longer reads the haystack.
    ///
    /// A scan is over when [`Ticket::wait_into`] has returned or the ticket has been dropped: only the host knows whether it
    /// has to go on. So nothing that this thread waits for before that may wait for `signals`. [`Ticket::timeline`] is for
    /// that.
    ///
    /// # Errors
    ///
    /// As for [`ResidentRulePipeline::submit`], and a null semaphore. Nothing is signalled then; and nothing waits, unless it is
    /// a fault of the device.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vkscan::{Backend, BackendOptions, RawSemaphore, ResidentHaystack, RulePipeline, ScanScratch};
    /// # let backend = Backend::new(&BackendOptions::default())?;
    /// let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 20, 1000)?;
    /// let haystack = ResidentHaystack::new(&backend, b"aa b a")?;
    /// // Semaphores of the program's, by way of `RawSemaphore::timeline`: whoever fills the haystack signals the first.
    /// let (filled, over): (Vec<RawSemaphore>, Vec<RawSemaphore>) = Default::default();
    /// let ticket = session.submit_with_semaphores(&backend, &haystack, u32::MAX, &filled, &over)?;
    /// let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    /// ticket.wait_into(&mut matches, &mut scratch)?;
    /// assert_eq!(matches.len(), 2);
    /// # Ok::<(), vkscan::ScanError>(())
    /// ```
    pub fn submit_with_semaphores<'a>(
        &'a self,
        backend: &Backend,
        haystack: impl Into<Haystack<'a>>,
        max_scan_bytes: u32,
        waits: &[RawSemaphore],
        signals: &[RawSemaphore],
    ) -> Result<Ticket<'a>, ScanError> {
        if let Some(one) = waits.iter().chain(signals).find(|one| one.handle() == 0) {
            return Err(BackendError::invalid(format!("{one:?}"), "the semaphore is null").into());
        }
        let ticket = self.submit_after(backend, haystack.into(), max_scan_bytes, waits)?;
        Ok(ticket.signalling(signals))
    }
}
