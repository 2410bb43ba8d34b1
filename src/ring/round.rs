//! Items in flight.

use std::sync::{Arc, Weak};

use super::batch::{Packed, RingBatch};
use super::item::{ItemError, RingResults, WorkItem};
use crate::matches::Picked;
use crate::scan::{Scan, Sink};
use crate::shaders::layout;
use crate::{Match, ResidentRulePipeline, ScanError, ScanScratch, ScanStats};

/// Items that were published, to be collected by
/// [`MegakernelSession::collect_into`](super::MegakernelSession::collect_into).
///
/// Dropping it drops what comes of them.
#[must_use = "what comes of the items is dropped with it"]
#[derive(Debug)]
pub struct Published<'a> {
    pub(super) round: RoundId,
    pub(super) items: &'a [WorkItem<'a>],
}

/// A batch that was published, to be collected by
/// [`MegakernelSession::collect_batch`](super::MegakernelSession::collect_batch).
#[must_use = "what comes of the items is dropped with it"]
#[derive(Debug)]
pub struct PublishedBatch {
    pub(super) round: RoundId,
}

/// Names a round, and is there as long as somebody may ask for it.
#[derive(Clone, Debug)]
pub(super) struct RoundId(Arc<()>);

/// A run of slots that was published together.
pub(super) struct Round {
    name: Weak<()>,
    /// Slots that it holds, until all before it are done with, too.
    pub(super) slots: u32,
    pub(super) parts: Vec<Part>,
    pub(super) results: RingResults,
    pub(super) state: State,
    /// Whether its batch goes back to who published it.
    pub(super) is_lent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    InFlight,
    /// Its results are there.
    Drained,
    /// The device was lost before.
    Lost,
    /// Somebody has its results.
    Collected,
}

/// The items of a round that are of one tenant.
pub(super) struct Part {
    pub(super) batch: RingBatch,
    /// Where the items are among those of the round.
    pub(super) places: Vec<u32>,
    /// None if there is nothing to scan.
    pub(super) scan: Option<Scan>,
    pub(super) stats: ScanStats,
}

impl Round {
    pub(super) fn new(results: RingResults) -> (Round, RoundId) {
        let id = RoundId(Arc::new(()));
        let name = Arc::downgrade(&id.0);
        let (parts, state) = (Vec::new(), State::InFlight);
        let round = Round { name, slots: 0, parts, results, state, is_lent: false };
        (round, id)
    }

    pub(super) fn is(&self, id: &RoundId) -> bool {
        self.name.as_ptr() == Arc::as_ptr(&id.0)
    }

    /// Whether nobody will ask for its results any more.
    pub(super) fn is_forgotten(&self) -> bool {
        self.state == State::Collected || self.name.strong_count() == 0
    }

    /// Slots in flight that are of a tenant.
    pub(super) fn slots_of(&self, tenant: u32) -> u32 {
        let parts = self.parts.iter().filter(|part| part.batch.tenant == tenant);
        parts.map(|part| part.batch.len() as u32).sum()
    }
}

impl Part {
    /// Waits for the device, and leaves every item's matches in `results`.
    pub(super) fn drain(
        &mut self,
        resident: &ResidentRulePipeline,
        results: &mut RingResults,
        scratch: &mut ScanScratch,
    ) -> Result<(), ScanError> {
        let Some(scan) = self.scan.take() else { return Ok(()) };
        let mut sink = Items::new(&self.batch.items);
        let mut states = Vec::new();
        resident.finish_packed(scan, &mut sink, scratch, &mut self.stats, &mut states)?;
        sink.deal_out(&states, &self.places, results);
        results.stats.scan += self.stats;
        Ok(())
    }
}

/// Takes the matches of packed items, and divides them among these.
struct Items<'b> {
    items: &'b [Packed],
    counts: Vec<Count>,
    /// With the item that each is of.
    found: Vec<(u32, Match)>,
    is_sorted: bool,
}

#[derive(Clone, Copy, Default)]
struct Count {
    found: u64,
    at_least: bool,
}

impl<'b> Items<'b> {
    fn new(items: &'b [Packed]) -> Items<'b> {
        let counts = vec![Count::default(); items.len()];
        Items { items, counts, found: Vec::new(), is_sorted: true }
    }

    /// The item that a byte lies in.
    fn item_at(&self, at: u32) -> usize {
        self.items.partition_point(|item| item.begin <= at) - 1
    }

    fn is_over(&self, index: usize) -> bool {
        self.counts[index].found > self.items[index].max_matches.into()
    }

    /// Where to go on: an item that has too many matches already is over.
    fn next_start(&mut self, at: u32) -> u32 {
        let index = self.item_at(at);
        let end = self.items[index].end;
        if at < end && self.is_over(index) {
            self.counts[index].at_least = true;
            return end;
        }
        at
    }

    /// Appends the matches to those of `results`, item by item.
    fn deal_out(mut self, states: &[u32], places: &[u32], results: &mut RingResults) {
        let first = results.matches.len();
        let is_good = |index: usize| {
            states[index] == layout::SLOT_DONE
                && self.counts[index].found <= self.items[index].max_matches.into()
        };
        let mut end = first;
        for (index, &place) in places.iter().enumerate() {
            let outcome = &mut results.items[place as usize];
            let Count { found, at_least } = self.counts[index];
            let max_matches = self.items[index].max_matches;
            outcome.matches = end..end;
            if is_good(index) {
                end += found as usize;
                outcome.matches.end = end;
            } else if states[index] != layout::SLOT_DONE {
                outcome.error = Some(Box::new(ItemError::Faulted));
            } else {
                let error = ItemError::TooManyMatches { found, at_least, max_matches };
                outcome.error = Some(Box::new(error));
            }
        }
        self.found.retain(|(item, _)| is_good(*item as usize));
        if !self.is_sorted {
            self.found.sort_unstable();
        }
        // Of each item they are in order: from here on `start` is where its next one goes.
        let mut next: Vec<usize> =
            places.iter().map(|&place| results.items[place as usize].matches.start).collect();
        results.matches.resize(end, Match { pattern_id: 0, start: 0, end: 0 });
        for (item, found) in self.found {
            let to = &mut next[item as usize];
            let begin = self.items[item as usize].begin;
            results.matches[*to] =
                Match { start: found.start - begin, end: found.end - begin, ..found };
            *to += 1;
        }
    }
}

impl Sink for Items<'_> {
    fn take(&mut self, picked: &Picked, next_start: u32) -> Result<u32, ScanError> {
        self.is_sorted = self.found.is_empty();
        for found in picked.iter() {
            let index = self.item_at(found.start);
            self.counts[index].found += 1;
            if !self.is_over(index) {
                self.found.push((index as u32, *found));
            }
        }
        Ok(self.next_start(next_start))
    }

    fn take_too_many(&mut self, start: u32, found: u32, _: bool) -> Result<u32, ScanError> {
        let index = self.item_at(start);
        self.counts[index].found += u64::from(found);
        Ok(self.next_start(start))
    }
}
