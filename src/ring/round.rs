//! Items in flight.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rayon::prelude::*;

use super::batch::{PIECE_BYTES, Packed, Piece, RingBatch};
use super::error::RingError;
use super::item::{Outcome, RingItem, RingItemBytes, RingItemError, RingResults, RingStats};
use crate::narrow::narrow;
use crate::parallel::{self, share_out};
use crate::scan::sort::MANY;
use crate::scan::{Scan, Sink};
use crate::shaders::layout::{self, Hit};
use crate::vulkan::deadline::Deadline;
use crate::vulkan::device::Device;
use crate::vulkan::timeline::Milestone;
use crate::{BackendError, Match, ResidentRulePipeline, ScanError, ScanScratch, ScanStats};

/// Items that were published, to be collected by
/// [`MegakernelSession::collect_into`](super::MegakernelSession::collect_into).
///
/// Dropping it drops what comes of them.
///
/// # Examples
///
/// Threads that share a session hold it up no longer than it takes to publish and to collect:
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
/// use std::sync::Mutex;
/// use vkscan::{RingItem, RingResults};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d+"])?;
/// # let config = MegakernelSessionConfig::default();
/// # let Some(session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// let session = Mutex::new(session);
/// let items = [RingItem::new(7, b"1 22")];
/// let published = session.lock().unwrap().publish(&items)?;
/// published.wait()?; // others may publish meanwhile
/// assert!(published.is_ready());
/// let mut results = RingResults::default();
/// session.lock().unwrap().collect_into(published, &mut results)?;
/// assert_eq!(results.match_count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "what comes of the items is dropped with it"]
#[derive(Debug)]
pub struct RingPublished<'a> {
    pub(super) round: RoundId,
    pub(super) items: &'a [RingItem<'a>],
}

/// A batch that was published, to be collected by
/// [`MegakernelSession::collect_batch`](super::MegakernelSession::collect_batch).
#[must_use = "what comes of the items is dropped with it"]
#[derive(Debug)]
pub struct RingPublishedBatch {
    pub(super) round: RoundId,
}

impl RingPublished<'_> {
    /// Whether all that has been submitted for the items so far has run, so that collecting them takes no longer than it
    /// takes to fetch the matches; but for the few rounds that go on then, or were held up by a fault of the device.
    pub fn is_ready(&self) -> bool {
        self.round.0.is_over()
    }

    /// Waits until it [is ready](RingPublished::is_ready), without the session, which others can use meanwhile.
    ///
    /// # Errors
    ///
    /// A device that has not answered in time: it can be waited for again. Of other faults collecting tells.
    pub fn wait(&self) -> Result<(), RingError> {
        self.round.0.wait()
    }
}

impl RingPublishedBatch {
    /// As [`RingPublished::is_ready`].
    pub fn is_ready(&self) -> bool {
        self.round.0.is_over()
    }

    /// As [`RingPublished::wait`].
    ///
    /// # Errors
    ///
    /// As [`RingPublished::wait`].
    pub fn wait(&self) -> Result<(), RingError> {
        self.round.0.wait()
    }
}

/// Names a round, and is there as long as somebody may ask for it.
#[derive(Clone, Debug)]
pub(super) struct RoundId(Arc<Awaited>);

/// What is reached when the parts of a round have run. Nothing once somebody has waited for that, or nobody will.
#[derive(Debug, Default)]
struct Awaited(Mutex<Vec<Milestone>>);

impl Awaited {
    fn lock(&self) -> MutexGuard<'_, Vec<Milestone>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.lock().iter().all(Milestone::is_over)
    }

    /// Waits for one after the other, and keeps nobody from the list meanwhile.
    fn wait(&self) -> Result<(), RingError> {
        let mut index = 0;
        loop {
            let Some(one) = self.lock().get(index).cloned() else { return Ok(()) };
            match one.wait() {
                // Who collects makes the session anew.
                Ok(()) | Err(BackendError::DeviceLost { .. }) => index += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A run of slots that was published together.
pub(super) struct Round {
    /// Shared with who may ask for the results.
    name: Arc<Awaited>,
    /// Items, whatever is wrong with them.
    pub(super) len: usize,
    /// Slots that it holds until it has been waited for.
    pub(super) held: Vec<Held>,
    pub(super) parts: Vec<Part>,
    /// Of each tenant, how many parts there are up to its own; 0 if it has none.
    part_of: Vec<usize>,
    /// What is wrong with items that take no slot, by their places.
    pub(super) faults: Vec<(u32, u64, RingItemError)>,
    /// What has come of the items, once that is known before somebody asks.
    pub(super) results: RingResults,
    pub(super) stats: RingStats,
    pub(super) state: State,
    /// Whether its batch goes back to who published it.
    pub(super) is_lent: bool,
}

/// A run of a tenant's slots.
pub(super) struct Held {
    pub(super) tenant: u32,
    pub(super) first: u32,
    pub(super) count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    InFlight,
    /// Its results are there.
    Drained,
    /// The device did not answer.
    Failed,
    /// The device was lost before.
    Lost,
    /// Somebody has its results.
    Collected,
}

/// The items of a round that are of one tenant.
pub(super) struct Part {
    pub(super) batch: RingBatch,
    /// Where the items are among those of the round, unless they are all of them.
    pub(super) places: Option<Vec<u32>>,
    /// Whether some are on the device already.
    pub(super) has_resident: bool,
    /// Most matches of an item, whatever it asks for.
    pub(super) most_matches: u32,
    /// None if there is nothing to scan.
    pub(super) scan: Option<Scan>,
    pub(super) stats: ScanStats,
}

/// Which items a session takes.
#[derive(Default)]
pub(super) struct Admission {
    /// Whether each tenant has rules.
    pub(super) tenants: Vec<bool>,
    pub(super) device: Option<Arc<Device>>,
    /// Most bytes of an item.
    pub(super) capacity: usize,
}

impl Admission {
    /// What is wrong with an item before anybody looks at its bytes.
    fn fault(&self, item: &RingItem) -> Option<RingItemError> {
        if self.tenants.get(item.tenant as usize) != Some(&true) {
            return Some(RingItemError::NoPipeline { tenant: item.tenant });
        }
        if let RingItemBytes::Resident { haystack, range } = &item.bytes {
            if self.device.as_ref().is_some_and(|device| !haystack.is_on(device)) {
                return Some(RingItemError::WrongBackend);
            }
            if item.bytes.len().is_none() {
                return Some(RingItemError::OutOfRange {
                    range: range.clone(),
                    len: haystack.len(),
                });
            }
        }
        let (bytes, capacity) = (item.bytes.len().unwrap_or(0), self.capacity);
        (bytes > capacity).then_some(RingItemError::TooLarge { bytes, capacity })
    }
}

impl Round {
    /// Makes room for as many items as fit a round, each tenant's in memory of its own, which `lend` gives.
    pub(super) fn reserve(
        &mut self,
        items: &[RingItem],
        admission: &Admission,
        mut lend: impl FnMut(u32) -> Result<RingBatch, RingError>,
    ) -> Result<(), RingError> {
        let began = Instant::now();
        self.faults.clear();
        self.parts.clear();
        self.len = 0;
        self.part_of.clear();
        self.part_of.resize(admission.tenants.len(), 0);
        for (place, item) in items.iter().enumerate() {
            if let Some(error) = admission.fault(item) {
                self.faults.push((narrow(place), item.id, error));
            } else {
                let part_of = &mut self.part_of[item.tenant as usize];
                if *part_of == 0 {
                    self.parts.push(Part::new(lend(item.tenant)?));
                    *part_of = self.parts.len();
                }
                let part = &mut self.parts[*part_of - 1];
                if !part.batch.reserve(item.id, item.bytes.len().unwrap_or(0), item.max_matches) {
                    break;
                }
                part.place_last(place);
                part.has_resident |= matches!(item.bytes, RingItemBytes::Resident { .. });
            }
            self.len += 1;
        }
        self.stats.packing += began.elapsed();
        Ok(())
    }

    pub(super) fn new() -> Round {
        Round {
            name: Arc::default(),
            len: 0,
            held: Vec::new(),
            parts: Vec::new(),
            part_of: Vec::new(),
            faults: Vec::new(),
            results: RingResults::default(),
            stats: RingStats { rounds: 1, ..RingStats::default() },
            state: State::InFlight,
            is_lent: false,
        }
    }

    /// Begins with other items, in the same memory.
    pub(super) fn renew(&mut self) {
        if Arc::strong_count(&self.name) > 1 {
            self.name = Arc::default();
        }
        self.parts.clear();
        self.faults.clear();
        self.results.clear();
        self.len = 0;
        self.let_go();
        self.stats = RingStats { rounds: 1, ..RingStats::default() };
        self.state = State::InFlight;
        self.is_lent = false;
    }

    pub(super) fn id(&self) -> RoundId {
        RoundId(self.name.clone())
    }

    pub(super) fn is(&self, id: &RoundId) -> bool {
        Arc::ptr_eq(&self.name, &id.0)
    }

    /// Whether nobody will ask for its results any more.
    pub(super) fn is_forgotten(&self) -> bool {
        self.state == State::Collected || Arc::strong_count(&self.name) == 1
    }

    /// Whether its items have to be scanned again.
    pub(super) fn is_to_be_repeated(&self) -> bool {
        matches!(self.state, State::Failed | State::Lost)
    }

    /// Drops what it has of a device.
    pub(super) fn forget_all(&mut self) {
        self.parts.clear();
        self.let_go();
    }

    /// Takes note of a part that has been begun.
    pub(super) fn hold(&mut self, held: Held, scan: Option<Milestone>) {
        self.held.push(held);
        self.name.lock().extend(scan);
    }

    /// Leaves its slots to others: nothing of it is in flight.
    pub(super) fn let_go(&mut self) {
        self.held.clear();
        self.name.lock().clear();
    }

    /// Waits for what is in flight, and drops what comes of it.
    pub(super) fn abandon(
        &mut self,
        residents: &[Option<ResidentRulePipeline>],
        deadline: Deadline,
    ) {
        for part in &mut self.parts {
            let resident = residents[part.batch.tenant as usize].as_ref();
            if let (Some(scan), Some(resident)) = (part.scan.take(), resident) {
                resident.abandon(scan, deadline);
            }
        }
        self.name.lock().clear();
    }

    /// Fills the room made for items with their bytes, and does something else meanwhile. Of items on the device it
    /// only takes note.
    pub(super) fn fill<R>(&mut self, items: &[RingItem], meanwhile: impl FnOnce() -> R) -> R {
        /// Bytes up to which one thread is sooner done.
        const LITTLE: usize = 512 << 10;

        for part in self.parts.iter_mut().filter(|part| part.has_resident) {
            let Part { batch, places, .. } = part;
            batch.set_resident(|index| &items[place(places, index)].bytes);
        }
        let len: usize = self.parts.iter().map(|part| part.batch.packed_len()).sum();
        let count = len.div_ceil(PIECE_BYTES) + self.parts.len();
        let pieces = self.parts.iter_mut().flat_map(|Part { batch, places, .. }| {
            let places = &*places;
            batch.pieces().map(move |piece| (piece, places))
        });
        let fill = |(piece, places): (Piece, &Option<Vec<u32>>)| {
            piece.fill(|index| &items[place(places, index)].bytes);
        };
        let mut filled_since = Instant::now();
        let meanwhile = || {
            let done = meanwhile();
            filled_since = Instant::now();
            done
        };
        let done = if len <= LITTLE {
            let done = meanwhile();
            pieces.for_each(fill);
            done
        } else {
            share_out(pieces, count, fill, meanwhile)
        };
        self.stats.packing += filled_since.elapsed();
        done
    }

    /// Waits for the device, and appends what has come of each item.
    pub(super) fn drain(
        &mut self,
        residents: &[Option<ResidentRulePipeline>],
        deadline: Deadline,
        scratch: &mut RingScratch,
        results: &mut RingResults,
    ) -> Result<(), ScanError> {
        let first = results.items.len();
        results.items.resize(first + self.len, Outcome::default());
        for part in &mut self.parts {
            if let Some(resident) = &residents[part.batch.tenant as usize] {
                part.finish(resident, deadline, scratch)?;
            }
            let began = Instant::now();
            let matches = &mut results.matches;
            part.deal_out(scratch, matches, &mut results.items[first..]);
            self.stats.decoding += began.elapsed();
            self.stats.scan += part.stats;
        }
        for (place, id, error) in self.faults.drain(..) {
            let outcome = &mut results.items[first + place as usize];
            (outcome.id, outcome.error) = (id, Some(Box::new(error)));
        }
        results.stats += self.stats;
        Ok(())
    }
}

/// Host memory that rounds reuse.
#[derive(Default)]
pub(super) struct RingScratch {
    scan: ScanScratch,
    /// Of each item, matches found.
    counts: Vec<u64>,
    /// With the item that each is of.
    found: Vec<(u32, Match)>,
    /// Of each slot; none if nothing was scanned.
    states: Vec<u32>,
    /// Items that were not counted to their end.
    cut: Vec<u32>,
}

impl Part {
    pub(super) fn new(batch: RingBatch) -> Part {
        let stats = ScanStats::default();
        Part { batch, places: None, has_resident: false, most_matches: 0, scan: None, stats }
    }

    /// Takes note of where the last item is among those of the round.
    pub(super) fn place_last(&mut self, place: usize) {
        let last = self.batch.len() - 1;
        if self.places.is_none() && place != last {
            self.places = Some((0..narrow(last)).collect());
        }
        if let Some(places) = &mut self.places {
            places.push(narrow(place));
        }
    }

    /// Waits for the device. What it has found is in `scratch` then.
    fn finish(
        &mut self,
        resident: &ResidentRulePipeline,
        deadline: Deadline,
        scratch: &mut RingScratch,
    ) -> Result<(), ScanError> {
        let RingScratch { scan, counts, found, states, cut } = scratch;
        found.clear();
        states.clear();
        cut.clear();
        counts.clear();
        counts.resize(self.batch.len(), 0);
        let Some(own) = self.scan.take() else { return Ok(()) };
        let (items, most_matches) = (&self.batch.items[..], self.most_matches);
        let mut sink = Items { items, most_matches, counts, found, cut };
        resident.finish_packed(own, deadline, &mut sink, scan, &mut self.stats, states)
    }

    /// Appends the matches, item by item, and sets what has come of the items.
    fn deal_out(
        &self,
        scratch: &mut RingScratch,
        matches: &mut Vec<Match>,
        outcomes: &mut [Outcome],
    ) {
        let RingScratch { counts, found, states, cut, .. } = scratch;
        // In parts of a scan, and by patterns within each.
        if found.len() < MANY {
            found.sort_unstable();
        } else {
            parallel::pool().install(|| found.par_sort_unstable());
        }
        let mut rest = &found[..];
        for (index, item) in self.batch.items.iter().enumerate() {
            let outcome = &mut outcomes[place(&self.places, index)];
            outcome.id = item.id;
            let first = matches.len();
            let max_matches = item.max_matches.min(self.most_matches);
            let is_over = counts[index] > u64::from(max_matches);
            let is_done = states.get(index).is_none_or(|&state| state == layout::SLOT_DONE);
            while let Some(((of, found), behind)) = rest.split_first()
                && *of as usize == index
            {
                if !is_over && is_done {
                    let [start, end] = [found.start, found.end].map(|at| at - item.begin);
                    matches.push(Match { start, end, ..*found });
                }
                rest = behind;
            }
            outcome.matches = first..matches.len();
            if !is_done {
                outcome.error = Some(Box::new(RingItemError::Faulted));
            } else if is_over {
                let (found, at_least) = (counts[index], cut.contains(&narrow(index)));
                let error = RingItemError::TooManyMatches { found, at_least, max_matches };
                outcome.error = Some(Box::new(error));
            }
        }
    }
}

/// The place of a part's item among those of the round.
fn place(places: &Option<Vec<u32>>, index: usize) -> usize {
    places.as_ref().map_or(index, |places| places[index] as usize)
}

/// Takes the matches of packed items, and finds whose they are.
struct Items<'s> {
    items: &'s [Packed],
    most_matches: u32,
    counts: &'s mut [u64],
    found: &'s mut Vec<(u32, Match)>,
    cut: &'s mut Vec<u32>,
}

impl Items<'_> {
    /// The item that a byte lies in.
    fn item_at(&self, at: u32) -> usize {
        self.items.partition_point(|item| item.begin <= at) - 1
    }

    fn is_over(&self, index: usize) -> bool {
        self.counts[index] > self.items[index].max_matches.min(self.most_matches).into()
    }

    /// Where to go on: an item that has too many matches already is over.
    fn next_start(&mut self, at: u32) -> u32 {
        let index = self.item_at(at);
        let end = self.items[index].end;
        if at < end && self.is_over(index) {
            self.cut.push(narrow(index));
            return end;
        }
        at
    }
}

impl Sink for Items<'_> {
    fn take(&mut self, found: &[Hit], next_start: u32) -> Result<u32, ScanError> {
        for &Hit { pattern_id, start, end } in found {
            let index = self.item_at(start);
            self.counts[index] += 1;
            if !self.is_over(index) {
                self.found.push((narrow(index), Match { pattern_id, start, end }));
            }
        }
        Ok(self.next_start(next_start))
    }

    fn take_too_many(&mut self, starts: Range<u32>, found: u32, _: bool) -> Result<u32, ScanError> {
        let index = self.item_at(starts.start);
        self.counts[index] += u64::from(found);
        Ok(self.next_start(starts.start))
    }
}
