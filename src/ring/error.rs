//! What can go wrong with a ring session as a whole.

use super::batch::RingBatch;
use crate::{BackendError, ScanError};

/// Why items were not published, or nothing has come of them.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
/// use vkscan::{RingError, RingItem};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d"])?;
/// let config = MegakernelSessionConfig::default().slot_count(8).workgroup_size_x(8);
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// let items: Vec<RingItem> = (0..20).map(|id| RingItem::new(id, b"1 2 3")).collect();
/// // `publish` makes one round of its items; `submit_scan` makes as many as it takes.
/// assert!(matches!(session.publish(&items), Err(RingError::TooMany { items: 20, fit: 8 })));
/// assert_eq!(session.submit_scan(&items)?.len(), 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// The session has been shut down, or could not be made anew after the loss of its device.
    #[error("the ring session has been shut down: make another one")]
    Closed,
    /// What is in flight leaves no room.
    #[error(
        "{what} of tenant {tenant} are all in flight: collect a round that was published before"
    )]
    Full {
        /// What there are none left of: `slots` or `rounds`.
        what: &'static str,
        /// Whose share is used up, from 0. Other tenants may have room.
        tenant: u32,
    },
    /// Items do not fit a round, however empty the ring is.
    #[error(
        "{items} items are too many for one round, which takes {fit} of them: publish fewer at a time, or leave that to \
         `submit_scan`"
    )]
    TooMany {
        /// How many were to be published.
        items: usize,
        /// How many of the first ones would fit an empty ring together.
        fit: usize,
    },
    /// A session cannot be made so.
    #[error("{what} of {asked} is not within {least} to {most}: choose one that is")]
    Limit {
        /// The field of [`MegakernelSessionConfig`](super::MegakernelSessionConfig), or `tenant` where there
        /// is no such tenant.
        what: &'static str,
        /// The value given, in the field's unit.
        asked: u64,
        /// The least that is allowed.
        least: u64,
        /// The most that is allowed.
        most: u64,
    },
    /// The session does not know the round: it was published through another, or is there no more.
    #[error("the round was not published through this session, or has been collected")]
    UnknownRound,
    /// Items that a fault of the device has kept from being scanned wait for that, with the rules that they were published
    /// for.
    #[error(
        "items that a fault of the device has kept from being scanned are still to be collected: do that first"
    )]
    Uncollected,
    /// What a batch held went with the device.
    #[error(
        "the device was lost, or did not answer, before the batch's matches were known: read its items again"
    )]
    BatchLost,
    /// A batch of another session, or of this one before its device was lost.
    #[error(
        "the batch was not lent by this session, or before its device was lost: lend another one"
    )]
    ForeignBatch,
    /// A tenant without rules, or beyond their number.
    #[error("tenant {tenant} has no pipeline: give it one with `set_tenant`")]
    NoPipeline {
        /// The number that was given, from 0.
        tenant: u32,
    },
    /// A tenant's rules could not be made resident, or a round was not scanned. Faults of the device are
    /// [`ScanError::Backend`] in here.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// Why a batch was not published.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
/// use vkscan::RingError;
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d"])?;
/// # let config = MegakernelSessionConfig::default();
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// let batch = session.lend(0)?;
/// session.shutdown()?;
/// let refused = session.publish_batch(batch).unwrap_err();
/// assert!(matches!(refused.error, RingError::Closed));
/// assert!(refused.batch.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RingNotPublished {
    /// What kept it from being published.
    pub error: RingError,
    /// What was not published; none if it went with a lost device.
    pub batch: Option<RingBatch>,
}

impl RingError {
    /// Whether the device was lost.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self, RingError::Scan(ScanError::Backend(BackendError::DeviceLost { .. })))
    }
}

impl From<BackendError> for RingError {
    fn from(error: BackendError) -> RingError {
        RingError::Scan(error.into())
    }
}
