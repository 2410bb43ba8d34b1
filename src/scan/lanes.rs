//! The lanes of a session: which are free, and who waits for one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::ScanError;
use super::lane::Lane;
use crate::vulkan::deadline::Deadline;
use crate::vulkan::device::Device;

#[derive(Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    /// Those that were returned last are last.
    free: Vec<Lane>,
    count: usize,
    /// How many of those that are not free tickets hold that nobody waits for.
    ticketed: usize,
}

impl Lanes {
    pub(super) fn new(free: Vec<Lane>) -> Lanes {
        let state = State { count: free.len(), free, ticketed: 0 };
        Lanes { state: Mutex::new(state), returned: Condvar::new() }
    }

    /// Waits for a lane. Scans end, if only by their own time-out, but tickets need not.
    pub(super) fn take(&self, device: &Device, deadline: Deadline) -> Result<Lane, ScanError> {
        let mut patience = deadline;
        let mut state = self.lock();
        loop {
            if let Some(lane) = state.take_free() {
                return Ok(lane);
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

    pub(super) fn give_back(&self, mut lane: Lane) {
        let mut state = self.lock();
        lane.let_go();
        state.free.push(lane);
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

    /// Has free lanes let go of what they need no more.
    pub(super) fn let_go(&self) {
        self.lock().free.iter_mut().for_each(Lane::let_go);
    }

    /// Waits for what still runs on free lanes.
    pub(super) fn settle(&self, deadline: Deadline) {
        for lane in &mut self.lock().free {
            if let Err(error) = lane.settle(deadline) {
                tracing::debug!(%error, "what ran on a lane did not end");
            }
        }
    }

    /// Takes all that are free.
    pub(super) fn take_all(&self) -> Vec<Lane> {
        std::mem::take(&mut self.lock().free)
    }

    /// Leaves every lane as a scan does that has timed out: its staging memory is still taken.
    #[cfg(test)]
    pub(super) fn strand_staging(&self) {
        for lane in &mut self.lock().free {
            lane.staged = Some(lane.acquire_staging(lane.staging_capacity()).unwrap());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One on which nothing runs, the warmest of them; or else the one on which something has been running for longest.
    fn take_free(&mut self) -> Option<Lane> {
        match self.free.iter().rposition(Lane::is_ready) {
            Some(index) => Some(self.free.remove(index)),
            None if self.free.is_empty() => None,
            None => Some(self.free.remove(0)),
        }
    }
}
