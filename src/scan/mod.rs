//! One scan, from haystack to matches.
//!
//! | file | story |
//! |---|---|
//! | `tables.rs` | how tables are laid out for a device |
//! | `plan.rs` | what a session will be, worked out on the host |
//! | `session.rs` | tables made resident once, and scans through them from any thread |
//! | `request.rs` | what a caller asks of it |
//! | `ticket.rs` | scans in flight, at once or in parts |
//! | `record.rs` | scans that are recorded for others to submit |
//! | `haystack.rs` | where a haystack may be |
//! | `frame/` | the buffers and commands of one scan in flight |
//! | `frames.rs` | who has a frame, and who waits for one |
//! | `stream.rs` | haystacks larger than the session, in windows |
//! | `tuning` | how much work goes into one dispatch |
//! | `sort.rs` | matches in order, where they come in parts |
//! | `stats.rs` | what a scan moved and how long it took |
//! | `error.rs` | why a scan found nothing out |

mod error;
pub(crate) mod frame;
mod frames;
mod haystack;
mod plan;
mod record;
mod request;
pub(crate) mod session;
pub(crate) mod sort;
mod stats;
pub(crate) mod stream;
mod tables;
pub(crate) mod ticket;
pub(crate) mod tuning;

#[cfg(test)]
mod held_up;
#[cfg(test)]
mod tests;

pub use error::{ScanError, StreamError};
pub(crate) use haystack::ResidentPart;
pub use haystack::{Haystack, ImportedHaystack, ResidentHaystack, StagedHaystack};
pub(crate) use plan::RingShape;
pub use plan::{MAX_HAYSTACK_BYTES, PlannedMemory, SessionPlan};
pub use record::{
    RecordOptions, RecordedScan, RecordedState, Recording, RecordingOptions, hits_bytes, read_hits,
};
pub(crate) use session::{Range, Slots, all_given_back};
pub use session::{ResidentRulePipeline, ScanScratch};
pub use stats::{ScanStats, StageTimes};
pub use stream::StreamMatch;
pub use ticket::Ticket;
pub(crate) use ticket::{Scan, Sink};
pub use tuning::{Tuning, TuningError, TuningParameter, TuningProfile};

use crate::narrow::narrow;
use crate::setters::setters;
use crate::{Backend, Match, RulePipeline};

/// What a session is prepared for.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline};
/// use vkscan::SessionOptions;
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// let options = SessionOptions::new(1 << 20, 1000).scans_in_flight(Some(8));
/// // For smaller haystacks with more matches, from as many threads.
/// let options = options.haystack_capacity_bytes(1 << 16).max_matches(10_000);
/// let session = RulePipeline::new(&[r"\d+"])?.prepare_resident_with(&backend, &options)?;
/// assert_eq!(session.scans_in_flight(), 8);
/// # session.free(&backend)?;
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionOptions {
    /// Longest haystack, in bytes; at most [`MAX_HAYSTACK_BYTES`].
    pub haystack_capacity_bytes: usize,
    /// Most matches that a scan may have.
    pub max_matches: usize,
    /// Scans that may be under way at the same time; further ones wait for one to be over. Each takes device memory for a
    /// haystack and its hits, and staging memory for a haystack. By default 4 for haystacks of up to
    /// 4 MiB, 2 up to 64 MiB, and 1 for larger ones.
    pub scans_in_flight: Option<usize>,
    /// How much work goes into one dispatch; by default [`Tuning::for_device`].
    pub tuning: Option<Tuning>,
}

impl SessionOptions {
    /// For haystacks of up to so many bytes that have up to so many matches.
    pub fn new(haystack_capacity_bytes: usize, max_matches: usize) -> SessionOptions {
        SessionOptions { haystack_capacity_bytes, max_matches, scans_in_flight: None, tuning: None }
    }
}

setters!(SessionOptions {
    haystack_capacity_bytes: usize,
    max_matches: usize,
    scans_in_flight: Option<usize>,
    tuning: Option<Tuning>,
});

impl RulePipeline {
    /// Moves the tables to the device and makes all that scans need, so that a scan allocates nothing.
    ///
    /// # Errors
    ///
    /// Limits of the device, lack of memory, or a fault of the device. Nothing is left behind then.
    pub fn prepare_resident(
        &self,
        backend: &Backend,
        haystack_capacity_bytes: usize,
        max_matches: usize,
    ) -> Result<ResidentRulePipeline, ScanError> {
        let options = SessionOptions::new(haystack_capacity_bytes, max_matches);
        self.prepare_resident_with(backend, &options)
    }

    /// As [`RulePipeline::prepare_resident`], with all options.
    pub fn prepare_resident_with(
        &self,
        backend: &Backend,
        options: &SessionOptions,
    ) -> Result<ResidentRulePipeline, ScanError> {
        self.plan_resident(backend.device_info(), options)?.prepare(backend)
    }

    /// As [`RulePipeline::prepare_resident_with`], with buffers and budgets so small that all of them run out: the
    /// exactness tests' own.
    #[doc(hidden)]
    pub fn prepare_resident_cramped(
        &self,
        backend: &Backend,
        options: &SessionOptions,
    ) -> Result<ResidentRulePipeline, ScanError> {
        let cramped = Tuning::cramped(backend.device_info());
        self.prepare_resident_with(backend, &options.tuning(Some(cramped)))
    }

    /// Scans one haystack with buffers made for it alone. For more than one, prepare a session.
    ///
    /// # Errors
    ///
    /// As [`RulePipeline::prepare_resident`] and [`ResidentRulePipeline::scan_into`], except that the room
    /// for matches grows as needed, up to what the device can bind.
    pub fn scan(&self, backend: &Backend, haystack: &[u8]) -> Result<Vec<Match>, ScanError> {
        self.scan_bounded(backend, haystack, u32::MAX)
    }

    /// As [`RulePipeline::scan`], with matches of at most `max_scan_bytes` bytes.
    pub fn scan_bounded(
        &self,
        backend: &Backend,
        haystack: &[u8],
        max_scan_bytes: u32,
    ) -> Result<Vec<Match>, ScanError> {
        /// Room for matches at first.
        const USUALLY_ENOUGH: usize = 1 << 14;

        let mut options =
            SessionOptions::new(haystack.len(), USUALLY_ENOUGH).scans_in_flight(Some(1));
        let mut matches = Vec::new();
        loop {
            let session = self.prepare_resident_with(backend, &options)?;
            let mut scratch = ScanScratch::default();
            let scanned = session.scan_bounded_into(
                backend,
                haystack,
                max_scan_bytes,
                &mut matches,
                &mut scratch,
            );
            session.free(backend)?;
            match scanned {
                Ok(_) => return Ok(matches),
                Err(ScanError::TooManyMatches { found, .. }) => {
                    options.max_matches = narrow(found);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
