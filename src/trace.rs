//! What happened when: spans of host and device, and counters, on one clock.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Takes note of what scans do and when, on the host and on the device, on one clock that begins when this is made.
///
/// A backend that is opened with one ([`BackendOptions::trace`](crate::BackendOptions), [`RawDevice::trace`](crate::RawDevice))
/// has every scan write to it, until it is dropped; but for scans in recordings, which others submit, and for those of nothing.
/// What is noted is kept until somebody takes it ([`Trace::take`]). Clones are handles to the same trace. The device's clock is put onto the
/// host's by `VK_KHR_calibrated_timestamps` or `VK_EXT_calibrated_timestamps`; where a device has neither, times of its
/// stages are estimated, and say so ([`TraceSpan::is_estimated`]).
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch, Trace, TraceEvent, TraceTrack};
///
/// let trace = Trace::new();
/// let backend = Backend::new(&BackendOptions::default().trace(Some(trace.clone())))?;
/// let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// session.scan_into(&backend, b"b aa", &mut Vec::new(), &mut ScanScratch::default())?;
/// for event in trace.take() {
///     if let TraceEvent::Span(span) = event
///         && let TraceTrack::Kernels { lane } = span.track
///     {
///         println!("lane {lane}: {} from {:?} to {:?}", span.name, span.begin, span.end);
///     }
/// }
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trace(Arc<Log>);

#[derive(Debug)]
struct Log {
    epoch: Instant,
    events: Mutex<Vec<TraceEvent>>,
    lanes: AtomicU32,
    scans: AtomicU64,
    in_flight: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
}

/// Something that a [`Trace`] has taken note of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TraceEvent {
    /// Something that took time.
    Span(TraceSpan),
    /// A number that has changed.
    Counter(TraceCounter),
}

/// Something that took time. Times count from when the [`Trace`] was made.
///
/// Of two spans of one track, one is within the other, or they are apart.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TraceSpan {
    /// Where it was.
    pub track: TraceTrack,
    /// What it was: `scan`, `submit`, `copy`, `wait`, `read back`, a stage as in [`StageTimes`](crate::StageTimes), or what the
    /// program has noted.
    pub name: &'static str,
    /// The scan that it was part of, by a number that no other scan of the trace has; none of what the program has noted.
    pub scan: Option<u64>,
    /// When it began.
    pub begin: Duration,
    /// When it ended.
    pub end: Duration,
    /// Bytes that were copied, where it was a copy; of a scan, those of its haystack.
    pub bytes: Option<u64>,
    /// Whether times are estimated, for the device cannot tell its clock from the host's.
    pub is_estimated: bool,
}

/// A number that has changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TraceCounter {
    /// `scans in flight`, `bytes up` or `bytes down`, of which the latter two only grow: by what scans moved that somebody has
    /// waited for.
    pub name: &'static str,
    /// When, counted from when the [`Trace`] was made.
    pub at: Duration,
    /// What it is from then on.
    pub value: u64,
}

/// Where a span was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TraceTrack {
    /// A thread of the program, by a number.
    Thread {
        /// Threads are numbered as they are first seen.
        number: u64,
    },
    /// Scans, each from its submission until its matches are there, by the host's clock. Those that are in flight at a time
    /// are on a lane each, of which a session has [`scans_in_flight`](crate::ResidentRulePipeline::scans_in_flight).
    Scans {
        /// Lanes are numbered as sessions are made.
        lane: u32,
    },
    /// The queue that kernels run on.
    Kernels {
        /// That of the scan.
        lane: u32,
    },
    /// The queue that haystacks are copied by where the device has one for that.
    Copies {
        /// That of the scan.
        lane: u32,
    },
}

impl Trace {
    /// An empty one, whose clock begins now.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Trace {
        Trace(Arc::new(Log {
            epoch: Instant::now(),
            events: Mutex::default(),
            lanes: AtomicU32::new(0),
            scans: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
        }))
    }

    /// Takes what has been noted since the last time. Spans are noted when they have ended; those of a device, when somebody
    /// has waited for it.
    pub fn take(&self) -> Vec<TraceEvent> {
        std::mem::take(&mut *self.events())
    }

    /// When it was made.
    pub fn epoch(&self) -> Instant {
        self.0.epoch
    }

    /// Takes note of something of the program's own that the calling thread has done since `began`.
    pub fn note(&self, name: &'static str, began: Instant) {
        self.by_thread(name, None, began, None);
    }

    pub(crate) fn new_lane(&self) -> u32 {
        self.0.lanes.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn span(&self, span: TraceSpan) {
        self.events().push(TraceEvent::Span(span));
    }

    /// Notes something that the calling thread has done since `began`.
    pub(crate) fn by_thread(
        &self,
        name: &'static str,
        scan: Option<u64>,
        began: Instant,
        bytes: Option<u64>,
    ) {
        let track = TraceTrack::Thread { number: thread_number() };
        let (begin, end) = (self.since_epoch(began), self.since_epoch(Instant::now()));
        self.span(TraceSpan { track, name, scan, begin, end, bytes, is_estimated: false });
    }

    /// A scan begins, which gets a number.
    pub(crate) fn begin_scan(&self) -> u64 {
        self.count("scans in flight", &self.0.in_flight, |count| count + 1);
        self.0.scans.fetch_add(1, Ordering::Relaxed)
    }

    /// A scan is over that has moved so many bytes to the device and from it.
    pub(crate) fn end_scan(&self, bytes_up: u64, bytes_down: u64) {
        self.count("bytes up", &self.0.bytes_up, |bytes| bytes + bytes_up);
        self.count("bytes down", &self.0.bytes_down, |bytes| bytes + bytes_down);
        self.count("scans in flight", &self.0.in_flight, |count| count - 1);
    }

    fn count(&self, name: &'static str, counter: &AtomicU64, change: impl Fn(u64) -> u64) {
        // Under the lock, so that values are noted in their order.
        let mut events = self.events();
        let value = change(counter.load(Ordering::Relaxed));
        counter.store(value, Ordering::Relaxed);
        let at = self.since_epoch(Instant::now());
        events.push(TraceEvent::Counter(TraceCounter { name, at, value }));
    }

    pub(crate) fn since_epoch(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.0.epoch)
    }

    fn events(&self) -> MutexGuard<'_, Vec<TraceEvent>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calling thread's number.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local!(static NUMBER: Cell<Option<u64>> = const { Cell::new(None) });
    NUMBER.with(|number| {
        let known = number.get().unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed));
        number.set(Some(known));
        known
    })
}
