//! What is scanned, and what has come of it.

use std::ops::Range;
use std::time::Duration;

use crate::{Match, ResidentHaystack, ScanStats};

/// A small haystack: its matches are exactly those that a scan of its bytes alone has.
#[derive(Clone, Debug)]
pub struct RingItem<'a> {
    /// The caller's own; it comes back with the result.
    pub id: u64,
    /// Whose rules it is scanned with, from 0.
    pub tenant: u32,
    /// Most matches of this item, if that is fewer than its tenant's.
    pub max_matches: u32,
    pub bytes: RingItemBytes<'a>,
}

/// Where an item's bytes are.
#[derive(Clone, Debug)]
pub enum RingItemBytes<'a> {
    /// In ordinary memory.
    Host(&'a [u8]),
    /// On the device of the session already, where they are copied from.
    Resident { haystack: &'a ResidentHaystack, range: Range<usize> },
}

impl<'a> RingItem<'a> {
    /// An item of the first tenant, with as many matches as that has.
    pub fn new(id: u64, bytes: &'a [u8]) -> RingItem<'a> {
        RingItem { id, tenant: 0, max_matches: u32::MAX, bytes: RingItemBytes::Host(bytes) }
    }
}

impl RingItemBytes<'_> {
    /// Bytes; none if a range is not inside its haystack.
    pub(super) fn len(&self) -> Option<usize> {
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingItemError {
    /// There are more matches than the item, its tenant or the session may have.
    #[error(
        "there are {}{found} matches and the item may have {max_matches}: allow more",
        if *.at_least { "at least " } else { "" }
    )]
    TooManyMatches {
        found: u64,
        /// Whether the rest of the item was not counted.
        at_least: bool,
        max_matches: u32,
    },
    /// The item does not fit a round.
    #[error(
        "the item has {bytes} bytes and a round takes {capacity}: make the session's rounds larger, or scan it through a \
         resident session"
    )]
    TooLarge { bytes: usize, capacity: usize },
    /// The tenant has no rules.
    #[error("tenant {tenant} has no pipeline: give it one with `set_tenant`")]
    NoPipeline { tenant: u32 },
    /// The range does not lie in its haystack.
    #[error("bytes {}..{} are not inside the resident haystack, which has {len}", range.start, range.end)]
    OutOfRange { range: Range<usize>, len: usize },
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
    pub id: u64,
    /// Sorted; offsets count from the item's first byte.
    pub matches: Result<&'r [Match], &'r RingItemError>,
}

/// What has come of one item, on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingItemMatches {
    pub id: u64,
    /// As in [`RingItemResult`].
    pub matches: Result<Vec<Match>, RingItemError>,
}

/// What has come of items, in their order. It can be used again and again, and then nothing is
/// allocated once that is warm, but for what threads take that share out rounds of over 512 KiB.
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

/// What it took.
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
