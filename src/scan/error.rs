//! What can go wrong between preparing a session and freeing it.

use crate::{BackendError, BuildError};

/// Why a session could not be prepared, or a scan gave no matches.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The haystack does not fit the session.
    #[error(
        "the haystack has {bytes} bytes and the session takes {capacity}: prepare a larger session, or scan \
         it with `scan_reader`"
    )]
    HaystackTooLarge { bytes: usize, capacity: usize },
    /// There are more matches than the session holds.
    #[error(
        "there are {}{found} matches and the session holds {max_matches}: prepare it for more",
        if *.at_least { "at least " } else { "" }
    )]
    TooManyMatches {
        found: u64,
        /// Whether the scan was given up before it had counted them all.
        at_least: bool,
        max_matches: usize,
    },
    /// A session cannot be made that large on any device, or on this one.
    #[error("{what} of {asked} is more than {limit}, the most {whose}: ask for {limit} or less")]
    Limit { what: &'static str, asked: u64, limit: u64, whose: &'static str },
    /// One pattern's tables alone are larger than a buffer of this device may be.
    #[error(
        "the tables of pattern {pattern_id} take {bytes} bytes and this device binds {limit} at most: shrink \
         its repeats"
    )]
    RuleTooLarge { pattern_id: u32, bytes: u64, limit: u64 },
    /// From `start` on, whether and where the pattern matches takes more bytes to tell than the session
    /// holds. Offsets count from the reader's start.
    #[error(
        "pattern {pattern_id} is still undecided {capacity} bytes after offset {start}: prepare a session \
         with a larger capacity, or bound its matches with `max_scan_bytes`"
    )]
    Undecided { pattern_id: u32, start: u64, capacity: usize },
    /// As many scans as the session takes at a time are in flight, as tickets that nobody waits for.
    #[error(
        "tickets hold all {scans_in_flight} scans that the session takes at a time: wait for one of them, or \
         prepare the session with more `scans_in_flight`"
    )]
    AllInFlight { scans_in_flight: usize },
    /// The session was prepared on another backend.
    #[error("the session belongs to another backend than the one given")]
    WrongBackend,
    /// The session's windows hold no more than what look-arounds see.
    #[error(
        "windows of {capacity} bytes are too small for a stream: prepare a session for {least} or more"
    )]
    WindowTooSmall { capacity: usize, least: usize },
    /// The reader failed.
    #[error("the haystack could not be read: {0}")]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    Rules(#[from] BuildError),
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why a stream was not scanned to its end, and how far it was.
#[derive(Debug, thiserror::Error)]
#[error("{error}; what starts at offset {scanned} or behind was not scanned")]
pub struct StreamError {
    pub error: ScanError,
    /// Offset of the first start that was not scanned, counted from where the reader began.
    pub scanned: u64,
}

impl From<StreamError> for ScanError {
    fn from(error: StreamError) -> ScanError {
        error.error
    }
}
