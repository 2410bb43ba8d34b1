//! What a frame tells a trace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::replay::Stage;
use crate::narrow::narrow;
use crate::scan::stats::ScanStats;
use crate::vulkan::device::{Device, QueueRole};
use crate::vulkan::query::{Tick, Timestamps};
use crate::{BackendError, Trace, TraceSpan, TraceTrack};

pub(super) struct Traced {
    trace: Trace,
    lane: u32,
    /// The scan that runs on the frame, if one does.
    scan: Option<TracedScan>,
    /// When each copy of the transfer queue began and ended, two each; none where nobody can tell.
    copies: Option<Arc<Timestamps>>,
    /// Bytes of each copy that was submitted since the last were told of.
    copied: Vec<u64>,
    submitted: Instant,
    nanoseconds: Vec<u64>,
}

struct TracedScan {
    number: u64,
    began: Instant,
    bytes: u64,
}

impl Traced {
    /// `None` where nobody asks for a trace.
    pub(super) fn new(
        device: &Arc<Device>,
        name: &str,
        copies: usize,
    ) -> Result<Option<Traced>, BackendError> {
        let Some(trace) = device.trace() else { return Ok(None) };
        let timestamps = match device.has_transfer_queue() && device.has_host_query_reset() {
            true => {
                let name = format!("{name} transfer timestamps");
                Timestamps::new(device, QueueRole::Transfer, &name, narrow(2 * copies))?
            }
            false => None,
        };
        Ok(Some(Traced {
            trace: trace.clone(),
            lane: trace.new_lane(),
            scan: None,
            copies: timestamps,
            copied: Vec::new(),
            submitted: Instant::now(),
            nanoseconds: Vec::new(),
        }))
    }

    pub(super) fn begin_scan(&mut self, began: Instant, bytes: usize) {
        let number = self.trace.begin_scan();
        self.scan = Some(TracedScan { number, began, bytes: bytes as u64 });
        self.copied.clear();
    }

    /// The scan is over, or nobody asks any more what comes of it.
    pub(super) fn end_scan(&mut self, stats: &ScanStats) {
        let Some(TracedScan { number: scan, began, bytes }) = self.scan.take() else { return };
        let track = TraceTrack::Scans { lane: self.lane };
        self.trace.span(TraceSpan {
            track,
            name: "scan",
            scan: Some(scan),
            begin: self.trace.since_epoch(began),
            end: self.trace.since_epoch(Instant::now()),
            bytes: Some(bytes),
            is_estimated: false,
        });
        self.trace.end_scan(stats.bytes_up, stats.bytes_down);
    }

    /// Tells what the calling thread has done since `began`.
    pub(super) fn by_thread(&self, name: &'static str, began: Instant, bytes: Option<u64>) {
        self.trace.by_thread(name, self.number(), began, bytes);
    }

    /// Takes note of a submission that is about to be made.
    pub(super) fn submits(&mut self) {
        self.submitted = Instant::now();
    }

    /// Where a copy that is about to be submitted writes when it begins and, behind that, when it ends.
    pub(super) fn copies(&mut self, bytes: u64) -> Option<(&Arc<Timestamps>, u32)> {
        let timestamps = self.copies.as_ref()?;
        if self.copied.is_empty() {
            timestamps.reset();
        }
        let first = narrow::<_, u32>(2 * self.copied.len());
        self.copied.push(bytes);
        Some((timestamps, first))
    }

    /// Tells of stages that have run, with the time from the first of their timestamps, which is `first`, to each; and of what
    /// was copied for them.
    pub(super) fn ran(
        &mut self,
        timestamps: &Timestamps,
        first: Tick,
        stages: &[Stage],
        nanoseconds: &[u64],
    ) -> Result<(), BackendError> {
        let track = TraceTrack::Kernels { lane: self.lane };
        let total = Duration::from_nanos(nanoseconds.last().copied().unwrap_or(0));
        let known = timestamps.host_time(first)?;
        // Between when it was submitted and now it has been somewhere.
        let estimate =
            || self.submitted.max(Instant::now().checked_sub(total).unwrap_or(self.submitted));
        let (is_estimated, first) = (known.is_none(), known.unwrap_or_else(estimate));
        for (stage, pair) in stages[1..].iter().zip(nanoseconds.windows(2)) {
            if pair[1] > pair[0] {
                self.stage(track, stage.name(), first, pair, None, is_estimated);
            }
        }
        self.copied()
    }

    /// Tells of copies.
    fn copied(&mut self) -> Result<(), BackendError> {
        let Some(timestamps) = self.copies.clone() else { return Ok(()) };
        if self.copied.is_empty() {
            return Ok(());
        }
        let mut nanoseconds = std::mem::take(&mut self.nanoseconds);
        nanoseconds.resize(2 * self.copied.len(), 0);
        let first = timestamps.read(&mut nanoseconds)?;
        let known = timestamps.host_time(first)?;
        let track = TraceTrack::Copies { lane: self.lane };
        for (pair, &bytes) in nanoseconds.chunks(2).zip(&self.copied) {
            let first = known.unwrap_or(self.submitted);
            self.stage(track, "upload", first, pair, Some(bytes), known.is_none());
        }
        self.nanoseconds = nanoseconds;
        self.copied.clear();
        Ok(())
    }

    fn stage(
        &self,
        track: TraceTrack,
        name: &'static str,
        first: Instant,
        nanoseconds: &[u64],
        bytes: Option<u64>,
        is_estimated: bool,
    ) {
        let at = |nanoseconds| self.trace.since_epoch(first + Duration::from_nanos(nanoseconds));
        let (begin, end) = (at(nanoseconds[0]), at(nanoseconds[1]));
        let scan = self.number();
        self.trace.span(TraceSpan { track, name, scan, begin, end, bytes, is_estimated });
    }

    fn number(&self) -> Option<u64> {
        self.scan.as_ref().map(|scan| scan.number)
    }
}

impl Drop for Traced {
    /// The frame goes with a lost device, or its session, whatever it was at.
    fn drop(&mut self) {
        self.end_scan(&ScanStats::default());
    }
}
