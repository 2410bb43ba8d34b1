//! What is scanned, and what has come of it.

use std::ops::Range;
use std::time::Duration;

use crate::{Match, ResidentHaystack, ScanStats};

/// A small haystack: its matches are exactly those that a scan of its bytes alone has.
///
/// # Examples
///
/// ```
/// use vkscan::RingItem;
///
/// let lines = b"one 2\nthree".split(|&byte| byte == b'\n');
/// let items: Vec<RingItem> = (0..).zip(lines).map(|(id, line)| RingItem::new(id, line)).collect();
/// // For the second tenant's rules, and a failure where there are more than ten matches.
/// let item = RingItem { tenant: 1, max_matches: 10, ..items[1].clone() };
/// assert_eq!(item.id, 1);
/// ```
#[derive(Clone, Debug)]
pub struct RingItem<'a> {
    /// The caller's own; it comes back with the result.
    pub id: u64,
    /// Whose rules it is scanned with, from 0.
    pub tenant: u32,
    /// Most matches of this item, if that is fewer than its tenant's.
    pub max_matches: u32,
    /// What is scanned. It has to fit a round: it may have 1 to 4 bytes fewer than
    /// [`MegakernelSessionConfig::round_bytes`](super::MegakernelSessionConfig).
    pub bytes: RingItemBytes<'a>,
}

/// Where an item's bytes are.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
/// use vkscan::{ResidentHaystack, RingItem, RingItemBytes};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"^\w+"])?;
/// # let config = MegakernelSessionConfig::default();
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// let haystack = ResidentHaystack::new(&backend, b"one two three")?;
/// // The part that begins with `two` is copied on the device.
/// let bytes = RingItemBytes::Resident { haystack: &haystack, range: 4..13 };
/// let item = RingItem { bytes, ..RingItem::new(0, b"") };
/// let results = session.submit_scan(&[item])?;
/// assert_eq!(results[0].matches.as_ref().unwrap()[0].end, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum RingItemBytes<'a> {
    /// In ordinary memory.
    Host(&'a [u8]),
    /// On the device of the session already, where they are copied from.
    Resident {
        /// What they are a part of, on the session's own backend.
        haystack: &'a ResidentHaystack,
        /// Which of its bytes. Outside of it is [`RingItemError::OutOfRange`].
        range: Range<usize>,
    },
}

impl<'a> RingItem<'a> {
    /// An item of the first tenant, with as many matches as that has.
    pub fn new(id: u64, bytes: &'a [u8]) -> RingItem<'a> {
        RingItem { id, tenant: 0, max_matches: u32::MAX, bytes: RingItemBytes::Host(bytes) }
    }
}

impl RingItemBytes<'_> {
    /// Bytes; none if a range is not inside its haystack.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            RingItemBytes::Host(bytes) => Some(bytes.len()),
            RingItemBytes::Resident { haystack, range } => {
                let is_inside = range.start <= range.end && range.end <= haystack.len();
                is_inside.then_some(range.len())
            }
        }
    }
}

/// Why an item has no matches to show. Those of the others stand.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
/// use vkscan::{RingItem, RingItemError};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d"])?;
/// # let config = MegakernelSessionConfig::default();
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// let few = RingItem { max_matches: 2, ..RingItem::new(0, b"1 2 3") };
/// for result in session.submit_scan(&[few, RingItem::new(1, b"1 2 3")])? {
///     match result.matches {
///         Ok(matches) => assert_eq!((result.id, matches.len()), (1, 3)),
///         Err(RingItemError::TooManyMatches { found, .. }) => assert_eq!((result.id, found), (0, 3)),
///         Err(error) => println!("{}: {error}", result.id),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingItemError {
    /// There are more matches than the item or its tenant may have.
    #[error(
        "there are {}{found} matches and the item may have {max_matches}: allow more",
        if *.at_least { "at least " } else { "" }
    )]
    TooManyMatches {
        /// Matches counted in the item.
        found: u64,
        /// Whether the rest of the item was not counted.
        at_least: bool,
        /// The lesser of what the item asks for and what its tenant may have.
        max_matches: u32,
    },
    /// The item does not fit a round.
    #[error(
        "the item has {bytes} bytes and a round takes {capacity}: make the session's rounds larger, or scan it through a \
         resident session"
    )]
    TooLarge {
        /// Length of the item.
        bytes: usize,
        /// Most bytes of an item: 1 to 4 fewer than the session's `round_bytes`, for the gap behind it.
        capacity: usize,
    },
    /// The tenant has no rules.
    #[error("tenant {tenant} has no pipeline: give it one with `set_tenant`")]
    NoPipeline {
        /// The item's [`RingItem::tenant`].
        tenant: u32,
    },
    /// The range does not lie in its haystack.
    #[error("bytes {}..{} are not inside the resident haystack, which has {len}", range.start, range.end)]
    OutOfRange {
        /// Bytes that the item asks for.
        range: Range<usize>,
        /// Length of the haystack, in bytes.
        len: usize,
    },
    /// The haystack is on another device than the session.
    #[error("the resident haystack belongs to another backend than the session")]
    WrongBackend,
    /// The device found the item's slot stale, or damaged, and has not looked at its bytes.
    #[error("the item's slot was at fault when the device came to it: submit it again")]
    Faulted,
}

/// What has come of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingItemResult<'r> {
    /// What the caller gave as [`RingItem::id`].
    pub id: u64,
    /// Sorted; offsets count from the item's first byte.
    pub matches: Result<&'r [Match], &'r RingItemError>,
}

/// What has come of one item, on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingItemMatches {
    /// What the caller gave as [`RingItem::id`].
    pub id: u64,
    /// As in [`RingItemResult`].
    pub matches: Result<Vec<Match>, RingItemError>,
}

/// What has come of items, in their order. It can be used again and again, and then nothing is
/// allocated once that is warm, but for what threads take that share out rounds of over 512 KiB.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
/// use vkscan::{RingItem, RingResults};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d+"])?;
/// # let config = MegakernelSessionConfig::default();
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// let mut results = RingResults::default();
/// assert!(results.is_empty());
/// let items = [RingItem::new(7, b"1 22"), RingItem::new(8, b"none")];
/// session.submit_scan_into(&items, &mut results)?;
/// assert_eq!((results.len(), results.match_count()), (2, 2));
/// for result in results.iter() {
///     println!("{}: {:?}", result.id, result.matches);
/// }
/// assert_eq!(results.get(1).map(|result| (result.id, result.matches)), Some((8, Ok(&[][..]))));
/// println!("{:?} of {} rounds went into packing", results.stats().packing, results.stats().rounds);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct RingResults {
    pub(super) matches: Vec<Match>,
    pub(super) items: Vec<Outcome>,
    pub(super) stats: RingStats,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) id: u64,
    /// Where its matches are.
    pub(super) matches: Range<usize>,
    pub(super) error: Option<Box<RingItemError>>,
}

/// What it took. `+=` sums rounds up.
///
/// # Examples
///
/// ```
/// use vkscan::{RingResults, RingStats};
///
/// let mut total = RingStats::default();
/// let results = RingResults::default(); // of a scan, and then another
/// total += results.stats();
/// println!("{} rounds, {:?} on the device", total.rounds, total.scan.device.map(|times| times.total()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// Runs of slots that were published.
    pub rounds: u32,
    /// Whether the device was lost meanwhile, and the items scanned on another.
    pub recovered: bool,
    /// Packing items and writing their slots.
    pub packing: Duration,
    /// Dividing matches among their items.
    pub decoding: Duration,
    /// Of all scans together.
    pub scan: ScanStats,
}

impl RingResults {
    /// Items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Matches of all items together.
    pub fn match_count(&self) -> usize {
        self.matches.len()
    }

    /// What it took.
    pub fn stats(&self) -> RingStats {
        self.stats
    }

    /// The result of an item, by its place among those that were submitted.
    pub fn get(&self, index: usize) -> Option<RingItemResult<'_>> {
        self.items.get(index).map(|outcome| self.result(outcome))
    }

    /// In the order in which items were submitted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RingItemResult<'_>> {
        self.items.iter().map(|outcome| self.result(outcome))
    }

    fn result<'r>(&'r self, outcome: &'r Outcome) -> RingItemResult<'r> {
        let matches = match &outcome.error {
            Some(error) => Err(&**error),
            None => Ok(&self.matches[outcome.matches.clone()]),
        };
        RingItemResult { id: outcome.id, matches }
    }

    pub(super) fn clear(&mut self) {
        self.matches.clear();
        self.items.clear();
        self.stats = RingStats::default();
    }

    /// Appends those of another round, and leaves that empty.
    pub(super) fn append(&mut self, other: &mut RingResults) {
        let first = self.matches.len();
        self.matches.append(&mut other.matches);
        self.items.extend(other.items.drain(..).map(|mut outcome| {
            outcome.matches = outcome.matches.start + first..outcome.matches.end + first;
            outcome
        }));
        self.stats += other.stats;
        other.clear();
    }
}

impl std::ops::AddAssign for RingStats {
    fn add_assign(&mut self, other: RingStats) {
        self.rounds += other.rounds;
        self.recovered |= other.recovered;
        self.packing += other.packing;
        self.decoding += other.decoding;
        self.scan += other.scan;
    }
}
