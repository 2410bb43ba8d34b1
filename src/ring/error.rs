//! What can go wrong with a ring session as a whole.

use super::batch::RingBatch;
use crate::{BackendError, ScanError};

/// Why items were not published, or nothing has come of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// The session has been shut down.
    #[error("the ring session has been shut down: make another one")]
    Closed,
    /// What is in flight leaves no room.
    #[error(
        "{what} of tenant {tenant} are all in flight: collect a round that was published before"
    )]
    Full { what: &'static str, tenant: u32 },
    /// Items do not fit a round, however empty the ring is.
    #[error(
        "{items} items are too many for one round, which takes {fit} of them: publish fewer at a time, or leave that to \
         `submit_scan`"
    )]
    TooMany { items: usize, fit: usize },
    /// A session cannot be made so.
    #[error("{what} of {asked} is not within {least} to {most}: choose one that is")]
    Limit { what: &'static str, asked: u64, least: u64, most: u64 },
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
    NoPipeline { tenant: u32 },
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// Why a batch was not published.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RingNotPublished {
    pub error: RingError,
    /// What was not published; none if it went with a lost device.
    pub batch: Option<RingBatch>,
}

impl RingError {
    /// Whether the device was lost.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self, RingError::Scan(ScanError::Backend(BackendError::DeviceLost)))
    }
}

impl From<BackendError> for RingError {
    fn from(error: BackendError) -> RingError {
        RingError::Scan(error.into())
    }
}
