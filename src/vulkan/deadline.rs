//! How long a call waits.

use std::time::{Duration, Instant};

/// Until when to wait, for all that a call waits for one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    since: Instant,
    patience: Duration,
}

impl Deadline {
    /// What is left; zero once it has passed.
    pub(crate) fn left(&self) -> Duration {
        self.patience.saturating_sub(self.since.elapsed())
    }

    /// How long the call has been waiting.
    pub(super) fn waited(&self) -> Duration {
        self.since.elapsed()
    }
}

impl From<Duration> for Deadline {
    /// So long from now on.
    fn from(patience: Duration) -> Deadline {
        Deadline { since: Instant::now(), patience }
    }
}
