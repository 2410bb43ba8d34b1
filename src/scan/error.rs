//! What can go wrong between preparing a session and freeing it.

use super::tuning::TuningError;
use crate::{BackendError, BuildError};

/// Why a session could not be prepared, or a scan gave no matches.
///
/// # Examples
///
/// A session with too little room says how much there should be:
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
/// use vkscan::ScanError;
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// let rules = RulePipeline::new(&["[0-9]"])?;
/// let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
/// let mut max_matches = 1;
/// loop {
///     let session = rules.prepare_resident(&backend, 1 << 16, max_matches)?;
///     match session.scan_into(&backend, b"1 2 3", &mut matches, &mut scratch) {
///         Ok(_) => break,
///         Err(ScanError::TooManyMatches { found, .. }) => max_matches = usize::try_from(found)?,
///         Err(error) => return Err(error.into()),
///     }
/// }
/// assert_eq!((matches.len(), max_matches), (3, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The haystack does not fit the session.
    #[error(
        "the haystack has {bytes} bytes and the session takes {capacity}: prepare a larger session, or scan \
         it with `scan_reader`"
    )]
    HaystackTooLarge {
        /// Length of the haystack, or of the staging memory that was asked for.
        bytes: usize,
        /// Most bytes that the session takes at once; for a resident haystack
        /// [`MAX_HAYSTACK_BYTES`](crate::MAX_HAYSTACK_BYTES).
        capacity: usize,
    },
    /// There are more matches than the session holds.
    #[error(
        "there are {}{found} matches and the session holds {max_matches}: prepare it for more",
        if *.at_least { "at least " } else { "" }
    )]
    TooManyMatches {
        /// Matches counted: what to prepare a session for at least.
        found: u64,
        /// Whether the scan was given up before it had counted them all.
        at_least: bool,
        /// What the session was prepared for: [`SessionOptions::max_matches`](crate::SessionOptions).
        max_matches: usize,
    },
    /// A session cannot be made that large on any device, or on this one.
    #[error("{what} of {asked} is more than {limit}, the most {whose}: ask for {limit} or less")]
    Limit {
        /// `haystack capacity`, `match capacity` or `number of scans in flight`.
        what: &'static str,
        /// Bytes, matches or scans that the options ask for.
        asked: u64,
        /// The most that can be asked for, in the same unit.
        limit: u64,
        /// Whose limit it is, in words that follow `the most`: `this device binds in one buffer`.
        whose: &'static str,
    },
    /// One pattern's tables alone are larger than a buffer of this device may be.
    #[error(
        "the tables of pattern {pattern_id} take {bytes} bytes and this device binds {limit} at most: shrink \
         its repeats"
    )]
    RuleTooLarge {
        /// Index in the list that the pipeline was built from.
        pattern_id: u32,
        /// Bytes of one buffer that holds the pattern's tables and no other's.
        bytes: u64,
        /// Most bytes that a buffer of tables may have: the lesser of what the device binds and what it
        /// allocates at once.
        limit: u64,
    },
    /// From `start` on, whether and where the pattern matches takes more bytes to tell than the session
    /// holds. Offsets count from the reader's start.
    #[error(
        "pattern {pattern_id} is still undecided {capacity} bytes after offset {start}: prepare a session \
         with a larger capacity, or bound its matches with `max_scan_bytes`"
    )]
    Undecided {
        /// Index in the list that the pipeline was built from.
        pattern_id: u32,
        /// Offset of the first byte of what may be a match. All matches that start before it have been told.
        start: u64,
        /// Bytes of one window: the session's haystack capacity.
        capacity: usize,
    },
    /// As many scans as the session takes at a time are in flight, as tickets that nobody waits for.
    #[error(
        "tickets hold all {scans_in_flight} scans that the session takes at a time: wait for one of them, or \
         prepare the session with more `scans_in_flight`"
    )]
    AllInFlight {
        /// What the session was prepared for: [`SessionOptions::scans_in_flight`](crate::SessionOptions), or
        /// its default.
        scans_in_flight: usize,
    },
    /// The session was prepared on another backend.
    #[error("the session belongs to another backend than the one given")]
    WrongBackend,
    /// The session's windows hold no more than what look-arounds see.
    #[error(
        "windows of {capacity} bytes are too small for a stream: prepare a session for {least} or more"
    )]
    WindowTooSmall {
        /// Bytes of one window: the session's haystack capacity.
        capacity: usize,
        /// The capacity from which on streams can be scanned, in bytes.
        least: usize,
    },
    /// The options' tuning does not do on this device.
    #[error(transparent)]
    Tuning(#[from] TuningError),
    /// The reader failed.
    #[error("the haystack could not be read: {0}")]
    Read(#[from] std::io::Error),
    /// Rules could not be compiled. No call of this crate fails so: it is for `?` in functions that compile
    /// rules and scan with them.
    #[error(transparent)]
    Rules(#[from] BuildError),
    /// A fault of the device, or lack of memory. After [`BackendError::DeviceLost`] nothing that was made
    /// from the backend is of use any more: open another one.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why a stream was not scanned to its end, and how far it was.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
/// use std::io::Read;
/// use vkscan::{ScanError, StreamError};
///
/// /// Fails as soon as it is read.
/// struct Broken;
///
/// impl Read for Broken {
///     fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
///         Err(std::io::ErrorKind::ConnectionReset.into())
///     }
/// }
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// let session = RulePipeline::new(&["[0-9]"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// let (mut found, mut scratch) = (0, ScanScratch::default());
/// let mut reader = b"1 2 3 ".chain(Broken);
/// let scanned = session.scan_reader(&backend, &mut reader, u32::MAX, &mut scratch, |_, _| found += 1);
/// let StreamError { error, scanned, .. } = scanned.unwrap_err();
/// assert!(matches!(error, ScanError::Read(_)));
/// println!("{found} matches start in the first {scanned} bytes");
/// # Ok::<(), ScanError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{error}; what starts at offset {scanned} or behind was not scanned")]
pub struct StreamError {
    /// What went wrong: with the reader ([`ScanError::Read`]), or with the scan of a window.
    pub error: ScanError,
    /// Offset of the first start that was not scanned, counted from where the reader began.
    pub scanned: u64,
}

impl From<StreamError> for ScanError {
    fn from(error: StreamError) -> ScanError {
        error.error
    }
}
