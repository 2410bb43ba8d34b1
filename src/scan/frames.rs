//! The frames of a session: which are free, and who waits for one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::ScanError;
use super::frame::Frame;
use super::haystack::User;
use super::stats::ScanStats;
use crate::vulkan::deadline::Deadline;
use crate::vulkan::device::Device;

#[derive(Default)]
pub(super) struct Frames {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    /// Those that were returned last are last.
    free: Vec<Frame>,
    count: usize,
    /// How many of those that are not free tickets hold that nobody waits for.
    ticketed: usize,
}

impl User for Frames {
    /// Has free frames let go of what they need no more.
    fn let_go(&self) {
        self.lock().free.iter_mut().for_each(Frame::let_go);
    }
}

impl Frames {
    pub(super) fn new(free: Vec<Frame>) -> Frames {
        let state = State { count: free.len(), free, ticketed: 0 };
        Frames { state: Mutex::new(state), returned: Condvar::new() }
    }

    /// Waits for a frame. Scans end, if only by their own time-out, but tickets need not.
    pub(super) fn take(&self, device: &Device, deadline: Deadline) -> Result<Frame, ScanError> {
        let mut patience = deadline;
        let mut state = self.lock();
        loop {
            if let Some(frame) = state.take_free() {
                return Ok(frame);
            }
            let waited = self.returned.wait_timeout(state, patience.left());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if patience.left().is_zero() {
                if state.ticketed == state.count {
                    return Err(ScanError::AllInFlight { scans_in_flight: state.count });
                }
                patience = device.deadline();
            }
        }
    }

    pub(super) fn give_back(&self, mut frame: Frame) {
        // Of a scan that nobody has waited for.
        frame.end_traced(&ScanStats::default());
        let mut state = self.lock();
        frame.let_go();
        state.free.push(frame);
        drop(state);
        self.returned.notify_one();
    }

    /// Counts a ticket that nobody waits for or, with `false`, that somebody does by now.
    pub(super) fn count_ticket(&self, is_idle: bool) {
        let mut state = self.lock();
        if is_idle {
            state.ticketed += 1;
        } else {
            state.ticketed -= 1;
        }
    }

    /// Waits for what still runs on free frames.
    pub(super) fn wait_idle(&self, deadline: Deadline) {
        for frame in &mut self.lock().free {
            if let Err(error) = frame.wait_idle(deadline) {
                tracing::debug!(%error, "what ran on a frame did not end");
            }
        }
    }

    /// Takes all that are free.
    pub(super) fn take_all(&self) -> Vec<Frame> {
        std::mem::take(&mut self.lock().free)
    }

    /// Leaves every frame as a scan does that has timed out: its staging memory is still taken.
    #[cfg(test)]
    pub(super) fn strand_staging(&self) {
        for frame in &mut self.lock().free {
            frame.staged = Some(frame.acquire_staging(frame.staging_capacity()).unwrap());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One on which nothing runs, the warmest of them; or else the one on which something has been running for longest.
    fn take_free(&mut self) -> Option<Frame> {
        match self.free.iter().rposition(Frame::is_ready) {
            Some(index) => Some(self.free.remove(index)),
            None if self.free.is_empty() => None,
            None => Some(self.free.remove(0)),
        }
    }
}
