//! The ring session.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::batch::{RingBatch, packed_bytes};
use super::error::RingError;
use super::item::{ItemBytes, ItemError, ItemMatches, RingResults, RingStats, WorkItem};
use super::round::{Part, Published, PublishedBatch, RingScratch, Round, RoundId, State};
use super::tally::Observable;
use crate::scan::tuning::Tuning;
use crate::scan::{self, RingShape, Slots};
use crate::shaders::layout::{self, Slot, Tally};
use crate::vulkan::shared::SharedBuffer;
use crate::{
    Backend, Haystack, MAX_HAYSTACK_BYTES, ResidentRulePipeline, RulePipeline, ScanError,
    SessionOptions,
};

/// What a ring session is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MegakernelConfig {
    /// Items that may be in flight, of all tenants together: rounded up to a multiple of `workgroup_size_x`. At most
    /// 2^20.
    pub slot_count: u32,
    /// Invocations of a workgroup that claims slots.
    pub workgroup_size_x: u32,
    /// Tenants, which share the slots evenly. At most 64.
    pub tenant_count: u32,
    /// How many of the counters that [`Observable`] lists can be read, the first ones first: up to 4.
    pub observable_slots: u32,
    /// Bytes of a tenant's items in one round, with the gaps between them, and so of the largest item: up to
    /// [`MAX_HAYSTACK_BYTES`]. Each round in flight takes device memory and staging memory of that size.
    pub round_bytes: usize,
    /// Rounds of each tenant that may be in flight.
    pub rounds_in_flight: usize,
    /// Most matches of an item of the first tenant.
    pub max_matches: u32,
}

impl Default for MegakernelConfig {
    fn default() -> MegakernelConfig {
        MegakernelConfig {
            slot_count: 256,
            workgroup_size_x: 256,
            tenant_count: 1,
            observable_slots: 0,
            round_bytes: 16 << 20,
            rounds_in_flight: 4,
            max_matches: 1 << 16,
        }
    }
}

/// Scans many small haystacks together: it keeps a ring of slots resident, into which items are published, and every
/// item gets its own matches back, exactly those that a scan of its bytes alone would have.
///
/// ```
/// use vkscan::{Backend, BackendOptions, MegakernelConfig, MegakernelSession, RulePipeline, WorkItem};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// let rules = RulePipeline::new(&[r"^\w+", r"\d+$"])?;
/// let config = MegakernelConfig::default();
/// let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else {
///     return Ok(()); // this device scans one haystack at a time
/// };
/// let items = [WorkItem::new(7, b"one 2"), WorkItem::new(8, b"three")];
/// for result in session.submit_scan(&items)? {
///     println!("{}: {:?}", result.id, result.matches?);
/// }
/// session.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// To have several rounds in flight, so that one is packed while those before it are scanned, [publish] items and
/// [collect] what has come of them later.
///
/// Should the device be lost, the session makes itself anew once on the same physical device, scans again what was not
/// collected, and says so ([`RingStats::recovered`](super::RingStats::recovered)). A second loss is an error.
///
/// [publish]: MegakernelSession::publish
/// [collect]: MegakernelSession::collect_into
pub struct MegakernelSession {
    config: MegakernelConfig,
    /// None once it has been shut down.
    live: Option<Live>,
    tenants: Vec<Option<Tenant>>,
    /// In the order of their slots.
    rounds: VecDeque<Round>,
    next_slot: u32,
    epoch: u32,
    /// Whether the device has been lost before.
    has_recovered: bool,
    spare_batches: Vec<RingBatch>,
    spare_rounds: Vec<Round>,
    /// Of each tenant its part of the round that is being packed, and one more; 0 while there is none.
    part_of: Vec<usize>,
    /// Rounds of one call, and which of its items they hold.
    under_way: VecDeque<(RoundId, Range<usize>)>,
    slots: Vec<Slot>,
    scratch: RingScratch,
    tuning: fn(&crate::DeviceInfo) -> Tuning,
    /// Places of items in the next part that is published, whose slots are stale.
    #[cfg(test)]
    pub(super) stale: Vec<usize>,
}

/// What is on the device.
struct Live {
    /// Tells what it lent from what others did.
    id: Arc<()>,
    backend: Backend,
    ring: SharedBuffer,
    /// Of each tenant that has rules.
    residents: Vec<Option<ResidentRulePipeline>>,
}

struct Tenant {
    pipeline: Arc<RulePipeline>,
    max_matches: u32,
    /// What the counters came to on a device that was lost.
    tallies: [u64; Observable::COUNT as usize],
}

/// Most slots of a ring.
const MOST_SLOTS: u32 = 1 << 20;

impl MegakernelSession {
    /// Makes the tables of `pipeline` resident for the first tenant, and a ring of slots.
    ///
    /// `None` where the device cannot run it: it has no workgroups that large, or no buffer that large. Why is traced at
    /// debug level. Each haystack can be scanned by a [`ResidentRulePipeline`] then.
    ///
    /// # Errors
    ///
    /// A configuration that no device can have, lack of memory, or a fault of the device.
    pub fn new(
        backend: &Backend,
        pipeline: &RulePipeline,
        config: MegakernelConfig,
    ) -> Result<Option<MegakernelSession>, RingError> {
        MegakernelSession::with_tuning(backend, pipeline, config, Tuning::for_device)
    }

    pub(super) fn with_tuning(
        backend: &Backend,
        pipeline: &RulePipeline,
        config: MegakernelConfig,
        tuning: fn(&crate::DeviceInfo) -> Tuning,
    ) -> Result<Option<MegakernelSession>, RingError> {
        let config = checked(config)?;
        let info = backend.device_info();
        if config.workgroup_size_x > info.max_workgroup_invocations {
            let most = info.max_workgroup_invocations;
            tracing::debug!(asked = config.workgroup_size_x, most, "no workgroups that large");
            return Ok(None);
        }
        if ring_bytes(&config) > info.max_storage_buffer_range {
            tracing::debug!(bytes = ring_bytes(&config), "no buffer that large");
            return Ok(None);
        }
        let mut session = MegakernelSession {
            config,
            live: None,
            tenants: (0..config.tenant_count).map(|_| None).collect(),
            rounds: VecDeque::new(),
            next_slot: 0,
            epoch: 0,
            has_recovered: false,
            spare_batches: Vec::new(),
            spare_rounds: Vec::new(),
            part_of: Vec::new(),
            under_way: VecDeque::new(),
            slots: Vec::new(),
            scratch: RingScratch::default(),
            tuning,
            #[cfg(test)]
            stale: Vec::new(),
        };
        session.live = Some(session.live_on(backend.clone())?);
        session.set_tenant(0, pipeline, config.max_matches)?;
        Ok(Some(session))
    }

    /// Gives a tenant its rules, which are made resident beside those of the others, and the most matches that an item
    /// of it may have. What it had before is freed, once what is in flight has been waited for.
    ///
    /// # Errors
    ///
    /// No such tenant, a session that has been shut down, lack of memory, or a fault of the device.
    pub fn set_tenant(
        &mut self,
        tenant: u32,
        pipeline: &RulePipeline,
        max_matches: u32,
    ) -> Result<(), RingError> {
        let most = u64::from(self.config.tenant_count) - 1;
        within("tenant", tenant.into(), [0, most])?;
        self.flush()?;
        let made = Tenant {
            pipeline: Arc::new(pipeline.clone()),
            max_matches,
            tallies: Default::default(),
        };
        let live = self.live.as_ref().ok_or(RingError::Closed)?;
        let resident = self.resident_on(live, &made)?;
        self.spare_batches.retain(|batch| batch.tenant != tenant);
        let live = self.live.as_mut().ok_or(RingError::Closed)?;
        let before = live.residents[tenant as usize].replace(resident);
        self.tenants[tenant as usize] = Some(made);
        Ok(before.map_or(Ok(()), |before| before.free(&live.backend))?)
    }

    /// Slots of the ring.
    pub fn slot_count(&self) -> u32 {
        self.config.slot_count
    }

    /// The slot that the next item is published in.
    pub fn next_slot(&self) -> u32 {
        self.next_slot
    }

    /// The backend that the session is on: not the one that it was made with, once that was lost. `None` after
    /// [`MegakernelSession::shutdown`].
    pub fn backend(&self) -> Option<&Backend> {
        self.live.as_ref().map(|live| &live.backend)
    }

    /// A counter of all tenants together, as it is right now; `None` unless
    /// [`MegakernelConfig::observable_slots`] makes it readable.
    pub fn observe(&self, what: Observable) -> Option<u64> {
        (0..self.config.tenant_count).map(|tenant| self.observe_tenant(tenant, what)).sum()
    }

    /// As [`MegakernelSession::observe`], for one tenant.
    pub fn observe_tenant(&self, tenant: u32, what: Observable) -> Option<u64> {
        if tenant >= self.config.tenant_count || !what.is_readable(self.config.observable_slots) {
            return None;
        }
        let before = self.tenants[tenant as usize].as_ref();
        let before = before.map_or(0, |own| own.tallies[what as usize]);
        Some(before + self.live.as_ref().map_or(0, |live| what.read(&live.ring, tenant)))
    }

    /// Scans items, in as many rounds as they take, and gives what has come of each, in their order.
    ///
    /// # Errors
    ///
    /// A session that has been shut down, or a fault of the device. What is wrong with one item is its own error.
    pub fn submit_scan(&mut self, items: &[WorkItem]) -> Result<Vec<ItemMatches>, RingError> {
        let mut results = RingResults::default();
        let submitted = self.submit_scan_into(items, &mut results);
        let own = |result: super::ItemResult| ItemMatches {
            id: result.id,
            matches: result.matches.map(<[_]>::to_vec).map_err(Clone::clone),
        };
        submitted.map(|()| results.iter().map(own).collect())
    }

    /// As [`MegakernelSession::submit_scan`], into results that can be used again. They are empty after an error.
    pub fn submit_scan_into(
        &mut self,
        items: &[WorkItem],
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        results.clear();
        let mut under_way = std::mem::take(&mut self.under_way);
        let scanned = self.scan_all(items, &mut under_way, results);
        under_way.clear();
        self.under_way = under_way;
        if scanned.is_err() {
            results.clear();
        }
        scanned
    }

    fn scan_all(
        &mut self,
        items: &[WorkItem],
        under_way: &mut VecDeque<(RoundId, Range<usize>)>,
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        if self.live.is_none() {
            return Err(RingError::Closed);
        }
        // Where there are several rounds, they overlap.
        let rounds = self.config.rounds_in_flight;
        let most = match self.share() as usize {
            share if items.len() <= share => items.len(),
            share => (share / rounds).max(1),
        };
        let mut next = 0;
        while next < items.len() {
            if under_way.len() == rounds
                && let Some((oldest, range)) = under_way.pop_front()
            {
                self.finish_round(&oldest, &items[range], results)?;
            }
            match self.publish_some(&items[next..items.len().min(next + most)]) {
                Ok((round, len)) => {
                    under_way.push_back((round, next..next + len));
                    next += len;
                }
                Err(RingError::Full { .. }) => match under_way.pop_front() {
                    Some((oldest, range)) => self.finish_round(&oldest, &items[range], results)?,
                    // Others hold the slots: what has come of theirs waits for them.
                    None => self.drain_oldest()?,
                },
                Err(error) => return Err(error),
            }
        }
        while let Some((oldest, range)) = under_way.pop_front() {
            self.finish_round(&oldest, &items[range], results)?;
        }
        Ok(())
    }

    /// Publishes items in a run of slots and submits their scan, without waiting for it. Several rounds may be in
    /// flight, as many as there are slots for, and [`MegakernelConfig::rounds_in_flight`].
    ///
    /// # Errors
    ///
    /// [`RingError::Full`] if what is in flight leaves no room, [`RingError::TooMany`] if items would not fit an empty
    /// ring, a session that has been shut down, or a fault of the device. What is wrong with one item is its own error.
    pub fn publish<'a>(&mut self, items: &'a [WorkItem<'a>]) -> Result<Published<'a>, RingError> {
        let fit = self.fitting(items);
        if fit < items.len() {
            return Err(RingError::TooMany { items: items.len(), fit });
        }
        let (round, _) = self.publish_some(items)?;
        Ok(Published { round, items })
    }

    /// Publishes as many of the first items as fit a round, and says how many that are.
    fn publish_some(&mut self, items: &[WorkItem]) -> Result<(RoundId, usize), RingError> {
        self.forget()?;
        let mut round = self.round();
        let published = match self.begin_items(items, &mut round) {
            Err(error) if error.is_loss() => {
                self.recover(error)?;
                round.stats.recovered = true;
                self.begin_items(items, &mut round)
            }
            published => published,
        };
        if let Err(error) = published {
            self.retire(round);
            return Err(error);
        }
        let published = (round.id(), round.len);
        self.rounds.push_back(round);
        Ok(published)
    }

    /// Waits for what was published, and gives what has come of each item, in their order. Results are empty after an
    /// error.
    ///
    /// # Errors
    ///
    /// A round of another session, or a fault of the device.
    pub fn collect_into(
        &mut self,
        published: Published,
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        results.clear();
        let collected = self.finish_round(&published.round, published.items, results);
        if collected.is_err() {
            results.clear();
        }
        collected
    }

    /// Lends staging memory that a tenant's items can be read straight into. It holds as many items as a round may have
    /// beside others in flight.
    ///
    /// # Errors
    ///
    /// A tenant without rules, a session that has been shut down, lack of memory, or a fault of the device.
    pub fn lend(&mut self, tenant: u32) -> Result<RingBatch, RingError> {
        let live = self.live.as_ref().ok_or(RingError::Closed)?;
        let resident = live.residents.get(tenant as usize).and_then(Option::as_ref);
        let resident = resident.ok_or(RingError::NoPipeline { tenant })?;
        let known = self.spare_batches.iter().position(|batch| batch.tenant == tenant);
        if let Some(index) = known {
            return Ok(self.spare_batches.swap_remove(index));
        }
        let memory = resident.staging(&live.backend, self.config.round_bytes)?;
        Ok(RingBatch::new(tenant, memory, self.share() as usize, live.id.clone()))
    }

    /// As [`MegakernelSession::publish`], for items that are in lent memory already. After an error the batch is there
    /// again, unless the device was lost.
    ///
    /// # Errors
    ///
    /// As [`MegakernelSession::publish`], with what is left of the batch. After the loss of the device that is none, and
    /// the session goes on where it can: read the items again.
    pub fn publish_batch(
        &mut self,
        batch: RingBatch,
    ) -> Result<PublishedBatch, (RingError, Option<RingBatch>)> {
        if let Err(error) = self.forget() {
            return Err((error, Some(batch)));
        }
        let mut round = self.round();
        round.is_lent = true;
        round.len = batch.len();
        round.parts.push(Part::new(batch));
        let is_own = round.parts.iter().all(|part| self.has_lent(&part.batch));
        let begun = match self.live.is_some() {
            true if is_own => self.begin_parts(&mut round),
            true => Err(RingError::ForeignBatch),
            false => Err(RingError::Closed),
        };
        match begun {
            Ok(()) => {
                let id = round.id();
                self.rounds.push_back(round);
                Ok(PublishedBatch { round: id })
            }
            Err(error) if error.is_loss() => {
                drop(round);
                Err(match self.recover(error) {
                    // What the memory held went with the device.
                    Ok(()) => (RingError::BatchLost, None),
                    Err(error) => (error, None),
                })
            }
            Err(error) => {
                let batch = round.parts.pop().map(|part| part.batch);
                self.retire(round);
                Err((error, batch))
            }
        }
    }

    /// Waits for a batch, gives what has come of each item, in their order, and the batch back.
    ///
    /// # Errors
    ///
    /// A round of another session, or a fault of the device: after its loss what the batch held is gone, and the
    /// session goes on where it can.
    pub fn collect_batch(
        &mut self,
        published: PublishedBatch,
        results: &mut RingResults,
    ) -> Result<RingBatch, RingError> {
        results.clear();
        let index = self.index_of(&published.round)?;
        if self.rounds[index].state == State::InFlight {
            self.drain(index).or_else(|error| self.recover_from(error))?;
        }
        let round = &mut self.rounds[index];
        let state = std::mem::replace(&mut round.state, State::Collected);
        let part = round.parts.pop();
        std::mem::swap(results, &mut round.results);
        self.give_back_slots();
        match (state, part) {
            (State::Drained, Some(part)) => Ok(part.batch),
            _ => Err(RingError::BatchLost),
        }
    }

    /// Whether a batch's memory is of this session, as it is now.
    fn has_lent(&self, batch: &RingBatch) -> bool {
        self.live.as_ref().is_some_and(|live| Arc::ptr_eq(&live.id, &batch.lender))
    }

    /// Gives lent memory back, to be lent again.
    pub fn give_back(&mut self, mut batch: RingBatch) {
        batch.clear();
        if self.has_lent(&batch) {
            self.spare_batches.push(batch);
        }
    }

    /// Waits for all that was published and is not collected. What has come of it is kept for who collects it.
    ///
    /// # Errors
    ///
    /// A fault of the device. After its loss, items are scanned again when they are collected.
    pub fn flush(&mut self) -> Result<(), RingError> {
        for index in 0..self.rounds.len() {
            if self.rounds[index].state == State::InFlight {
                self.drain(index).or_else(|error| self.recover_from(error))?;
            }
        }
        self.give_back_slots();
        Ok(())
    }

    /// Waits for all that was published, empties the ring and frees what the session holds on device and host. What has
    /// come of items that were published can be collected still; nothing can be published any more.
    ///
    /// # Errors
    ///
    /// The first fault; everything that can be freed is freed all the same.
    pub fn shutdown(&mut self) -> Result<(), RingError> {
        let flushed = self.flush();
        self.next_slot = 0;
        self.spare_batches.clear();
        // Batches hold staging memory.
        let parts = self.rounds.iter_mut().flat_map(|round| &mut round.parts);
        parts.for_each(|part| part.scan = None);
        for round in &mut self.rounds {
            round.slots = 0;
        }
        let freed = self.live.take().map_or(Ok(()), Live::free);
        flushed.and(freed)
    }

    #[cfg(test)]
    pub(super) fn rounds_in_flight(&self) -> usize {
        self.rounds.iter().filter(|round| round.state == State::InFlight).count()
    }

    /// Slots that a tenant may have in flight.
    fn share(&self) -> u32 {
        self.config.slot_count / self.config.tenant_count
    }

    /// A tenant's rules, if it has any.
    fn tenant(&self, tenant: u32) -> Option<&Tenant> {
        self.tenants.get(tenant as usize)?.as_ref()
    }

    /// How many of the first items fit one round of an empty ring.
    fn fitting(&self, items: &[WorkItem]) -> usize {
        let mut room = vec![(self.share(), self.config.round_bytes); self.tenants.len()];
        let fits = |item: &WorkItem| {
            // What is wrong with an item takes no room.
            if self.fault(item).is_some() {
                return true;
            }
            let (slots, bytes) = &mut room[item.tenant as usize];
            let packed = packed_bytes(item.bytes.len().unwrap_or(0));
            let fits = *slots > 0 && packed <= *bytes;
            if fits {
                *slots -= 1;
                *bytes -= packed;
            }
            fits
        };
        items
            .iter()
            .position({
                let mut fits = fits;
                move |item| !fits(item)
            })
            .unwrap_or(items.len())
    }

    /// What is wrong with an item before anybody looks at its bytes.
    fn fault(&self, item: &WorkItem) -> Option<ItemError> {
        if self.tenant(item.tenant).is_none() {
            return Some(ItemError::NoPipeline { tenant: item.tenant });
        }
        if let ItemBytes::Resident { haystack, range } = &item.bytes {
            let device = self.live.as_ref().map(|live| live.backend.device());
            if device.is_some_and(|device| !haystack.is_on(device)) {
                return Some(ItemError::WrongBackend);
            }
            if item.bytes.len().is_none() {
                return Some(ItemError::OutOfRange { range: range.clone(), len: haystack.len() });
            }
        }
        let capacity = self.config.round_bytes;
        let bytes = item.bytes.len().unwrap_or(0);
        (bytes >= capacity || packed_bytes(bytes) > capacity).then_some(ItemError::TooLarge {
            bytes,
            capacity: capacity - layout::ITEM_GAP as usize,
        })
    }

    fn round(&mut self) -> Round {
        let mut round = self.spare_rounds.pop().unwrap_or_else(Round::new);
        round.renew();
        round
    }

    /// Packs as many items as fit, each tenant's into memory of its own, and submits their scans.
    fn begin_items(&mut self, items: &[WorkItem], round: &mut Round) -> Result<(), RingError> {
        if self.live.is_none() {
            return Err(RingError::Closed);
        }
        let began = Instant::now();
        round.faults.clear();
        round.parts.clear();
        round.len = self.reserve(items, round)?;
        for index in 0..round.parts.len() {
            let [tenant, count] = {
                let batch = &round.parts[index].batch;
                [batch.tenant, batch.len() as u32]
            };
            self.check_room(tenant, count, &round.parts[..index])?;
        }
        for part in &mut round.parts {
            let places = part.places.take();
            let place = |index| places.as_ref().map_or(index, |places| places[index] as usize);
            part.batch.fill(part.has_resident, |index| &items[place(index)].bytes);
            part.places = places;
        }
        let begun = self.begin_parts(round);
        round.stats.packing += began.elapsed();
        begun
    }

    /// Makes room for as many items as fit, and says how many that are.
    fn reserve(&mut self, items: &[WorkItem], round: &mut Round) -> Result<usize, RingError> {
        self.part_of.clear();
        self.part_of.resize(self.tenants.len(), 0);
        for (place, item) in items.iter().enumerate() {
            if let Some(error) = self.fault(item) {
                round.faults.push((place as u32, item.id, error));
                continue;
            }
            if self.part_of[item.tenant as usize] == 0 {
                round.parts.push(Part::new(self.lend(item.tenant)?));
                self.part_of[item.tenant as usize] = round.parts.len();
            }
            let part = &mut round.parts[self.part_of[item.tenant as usize] - 1];
            if !part.batch.reserve(item.id, item.bytes.len().unwrap_or(0), item.max_matches) {
                return Ok(place);
            }
            part.place_last(place);
            part.has_resident |= matches!(item.bytes, ItemBytes::Resident { .. });
        }
        Ok(items.len())
    }

    /// Whether there is room for so many items of a tenant beside what is in flight.
    fn check_room(&self, tenant: u32, count: u32, own: &[Part]) -> Result<(), RingError> {
        let held: u32 = self.rounds.iter().map(|round| round.slots).sum();
        let held = held + own.iter().map(|part| part.batch.len() as u32).sum::<u32>();
        let is_in_flight = |round: &&Round| round.state == State::InFlight;
        let in_flight = self.rounds.iter().filter(is_in_flight);
        let of_tenant = in_flight.map(|round| round.slots_of(tenant)).filter(|slots| *slots > 0);
        let share = self.share() - of_tenant.clone().sum::<u32>();
        if count > share || held + count > self.config.slot_count {
            return Err(RingError::Full { what: "slots", tenant });
        }
        if of_tenant.count() >= self.config.rounds_in_flight {
            return Err(RingError::Full { what: "rounds", tenant });
        }
        Ok(())
    }

    /// Writes slots for the items of every part, and submits their scans.
    fn begin_parts(&mut self, round: &mut Round) -> Result<(), RingError> {
        let mut parts = std::mem::take(&mut round.parts);
        let mut begun = Ok(());
        for index in 0..parts.len() {
            let (before, rest) = parts.split_at_mut(index);
            let count = rest[0].batch.len() as u32;
            begun = self.check_room(rest[0].batch.tenant, count, before);
            begun = begun.and_then(|()| self.begin_part(&mut rest[0]));
            round.slots += count;
            if begun.is_err() {
                break;
            }
        }
        round.parts = parts;
        if begun.is_err() {
            self.abandon(round);
            round.slots = 0;
        }
        round.state = State::InFlight;
        begun
    }

    fn begin_part(&mut self, part: &mut Part) -> Result<(), RingError> {
        let live = self.live.as_ref().ok_or(RingError::Closed)?;
        let RingBatch { tenant, items, .. } = &mut part.batch;
        let resident = live.residents[*tenant as usize].as_ref();
        let (Some(resident), Some(own)) = (resident, &self.tenants[*tenant as usize]) else {
            return Err(RingError::NoPipeline { tenant: *tenant });
        };
        for item in &mut *items {
            item.max_matches = item.max_matches.min(own.max_matches);
        }
        let (first, count) = (self.next_slot, items.len() as u32);
        if count == 0 {
            return Ok(());
        }
        live.backend.device().alive()?;
        self.epoch = self.epoch.wrapping_add(1);
        let slots = Slots { first, count, epoch: self.epoch, tenant: *tenant };
        self.slots.clear();
        self.slots.extend(items.iter().map(|item| Slot {
            state: layout::SLOT_PUBLISHED,
            epoch: slots.epoch,
            tenant: slots.tenant,
            begin: item.begin,
            end: item.end,
        }));
        #[cfg(test)]
        self.stale.drain(..).for_each(|index| self.slots[index].epoch = slots.epoch - 1);
        // The run goes on at the ring's beginning.
        let until_end = (self.config.slot_count - first).min(count);
        let (to_end, from_begin) = self.slots.split_at(until_end as usize);
        live.ring.write(slot_offset(first), to_end);
        live.ring.write(slot_offset(0), from_begin);
        self.next_slot = (first + count) % self.config.slot_count;
        part.batch.close();
        if resident.has_rules() {
            let haystack = Haystack::Staged(&part.batch.memory);
            let range = scan::Range {
                first_start: 0,
                end_start: haystack.len() as u32,
                is_final: true,
                max_scan_bytes: u32::MAX,
                base: 0,
                slots: Some(slots),
            };
            part.scan = Some(resident.submit_scan(haystack, range, &mut part.stats)?);
        }
        Ok(())
    }

    /// Waits for what is in flight of a round, and drops what comes of it.
    fn abandon(&self, round: &mut Round) {
        for part in &mut round.parts {
            let resident =
                self.live.as_ref().map(|live| &live.residents[part.batch.tenant as usize]);
            if let (Some(scan), Some(Some(resident))) = (part.scan.take(), resident) {
                resident.abandon(scan);
            }
        }
    }

    fn index_of(&self, id: &RoundId) -> Result<usize, RingError> {
        let index = self.rounds.iter().position(|round| round.is(id));
        index.ok_or(RingError::UnknownRound)
    }

    /// Waits for a round that is in flight. Its results are there then.
    fn drain(&mut self, index: usize) -> Result<(), RingError> {
        let mut results = std::mem::take(&mut self.rounds[index].results);
        self.drain_into(index, &mut results)?;
        self.rounds[index].results = results;
        Ok(())
    }

    /// Waits for a round that is in flight, and appends its results.
    fn drain_into(&mut self, index: usize, results: &mut RingResults) -> Result<(), RingError> {
        let MegakernelSession { rounds, live, scratch, .. } = self;
        let live = live.as_ref().ok_or(RingError::Closed)?;
        let round = &mut rounds[index];
        let [items, matches] = [results.items.len(), results.matches.len()];
        if let Err(error) = round.drain(&live.residents, scratch, results) {
            results.items.truncate(items);
            results.matches.truncate(matches);
            round.state = State::Lost;
            return Err(error.into());
        }
        round.state = State::Drained;
        if !round.is_lent {
            self.keep_batches(index);
        }
        Ok(())
    }

    /// Waits for rounds that nobody will ask for.
    fn forget(&mut self) -> Result<(), RingError> {
        let is_forgotten = |round: &Round| round.state == State::InFlight && round.is_forgotten();
        while let Some(index) = self.rounds.iter().position(is_forgotten) {
            self.drain(index).or_else(|error| self.recover_from(error))?;
        }
        self.give_back_slots();
        Ok(())
    }

    /// Keeps the memory of a round that has been drained for the next ones.
    fn keep_batches(&mut self, index: usize) {
        while let Some(part) = self.rounds[index].parts.pop() {
            self.give_back(part.batch);
        }
    }

    fn drain_oldest(&mut self) -> Result<(), RingError> {
        let oldest = self.rounds.iter().position(|round| round.state == State::InFlight);
        let oldest = oldest.ok_or(RingError::UnknownRound)?;
        self.drain(oldest).or_else(|error| self.recover_from(error))?;
        self.give_back_slots();
        Ok(())
    }

    /// Waits for a round, or scans it again where the device was lost, and appends its results.
    fn finish_round(
        &mut self,
        id: &RoundId,
        items: &[WorkItem],
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        let mut index = self.index_of(id)?;
        if self.rounds[index].state == State::InFlight {
            self.drain_into(index, results).or_else(|error| self.recover_from(error))?;
        } else if self.rounds[index].state == State::Drained {
            results.append(&mut self.rounds[index].results);
        }
        if self.rounds[index].state == State::Lost {
            // Behind all others, for its slots are new.
            let mut round = self.rounds.remove(index).ok_or(RingError::UnknownRound)?;
            round.stats = RingStats { rounds: 1, recovered: true, ..RingStats::default() };
            while let Err(error) = self.begin_items(items, &mut round) {
                match error {
                    RingError::Full { .. } => self.drain_oldest()?,
                    error => return Err(error),
                }
            }
            self.rounds.push_back(round);
            index = self.rounds.len() - 1;
            self.drain_into(index, results)?;
        }
        self.rounds[index].state = State::Collected;
        self.give_back_slots();
        Ok(())
    }

    /// Gives back the slots of the oldest rounds, as far as these are done with.
    fn give_back_slots(&mut self) {
        for round in &mut self.rounds {
            if round.state == State::InFlight {
                break;
            }
            round.slots = 0;
        }
        while let Some(index) = self.rounds.iter().position(|round| {
            round.state != State::InFlight && round.slots == 0 && round.is_forgotten()
        }) {
            if let Some(round) = self.rounds.remove(index) {
                self.retire(round);
            }
        }
    }

    /// Keeps what a round leaves for the next one.
    fn retire(&mut self, mut round: Round) {
        self.abandon(&mut round);
        while let Some(part) = round.parts.pop() {
            self.give_back(part.batch);
        }
        if self.spare_rounds.len() < self.config.rounds_in_flight {
            self.spare_rounds.push(round);
        }
    }

    /// Makes the session anew after the loss of the device, once; an error that is none comes back.
    fn recover_from(&mut self, error: RingError) -> Result<(), RingError> {
        if error.is_loss() { self.recover(error) } else { Err(error) }
    }

    /// Makes the session anew on the same physical device, once. What is in flight has to be scanned again.
    fn recover(&mut self, lost: RingError) -> Result<(), RingError> {
        if std::mem::replace(&mut self.has_recovered, true) {
            return Err(lost);
        }
        let Some(live) = &self.live else { return Err(lost) };
        for tenant in 0..self.config.tenant_count {
            if let Some(own) = &mut self.tenants[tenant as usize] {
                use Observable::*;
                for what in [Items, Bytes, Hits, Faults] {
                    own.tallies[what as usize] += what.read(&live.ring, tenant);
                }
            }
        }
        let backend = match live.backend.reopen() {
            Ok(backend) => backend,
            Err(error) => {
                tracing::error!(%error, "the lost device cannot be opened again");
                return Err(lost);
            }
        };
        let mut made = self.live_on(backend)?;
        for (tenant, own) in self.tenants.iter().enumerate() {
            if let Some(own) = own {
                made.residents[tenant] = Some(self.resident_on(&made, own)?);
            }
        }
        self.spare_batches.clear();
        for round in &mut self.rounds {
            if round.state == State::InFlight {
                round.state = State::Lost;
                round.parts.clear();
            }
            round.slots = 0;
        }
        self.next_slot = 0;
        self.live = Some(made);
        tracing::warn!("the device was lost: the ring session has been made anew");
        Ok(())
    }

    /// A ring without tenants.
    fn live_on(&self, backend: Backend) -> Result<Live, RingError> {
        let ring = SharedBuffer::new(backend.device(), "ring", ring_bytes(&self.config))?;
        let residents = (0..self.config.tenant_count).map(|_| None).collect();
        Ok(Live { id: Arc::new(()), backend, ring, residents })
    }

    fn resident_on(&self, live: &Live, own: &Tenant) -> Result<ResidentRulePipeline, RingError> {
        let options = SessionOptions {
            haystack_capacity_bytes: self.config.round_bytes,
            max_matches: own.max_matches as usize,
            scans_in_flight: Some(self.config.rounds_in_flight),
        };
        let ring = RingShape {
            buffer: live.ring.buffer(),
            slots: self.config.slot_count,
            workgroup: self.config.workgroup_size_x,
        };
        let tuning = (self.tuning)(live.backend.device_info());
        Ok(ResidentRulePipeline::with_ring(
            &own.pipeline,
            &live.backend,
            &options,
            &tuning,
            Some(ring),
        )?)
    }
}

impl Live {
    fn free(self) -> Result<(), RingError> {
        let Live { backend, ring, residents, .. } = self;
        let residents = residents.into_iter().flatten();
        let freed = residents.map(|resident| resident.free(&backend)).fold(Ok(()), Result::and);
        Ok(freed.and(ring.destroy().map_err(ScanError::from))?)
    }
}

impl std::fmt::Debug for MegakernelSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MegakernelSession")
            .field("config", &self.config)
            .field("next_slot", &self.next_slot)
            .field("rounds", &self.rounds.len())
            .finish_non_exhaustive()
    }
}

/// Byte offset of a slot in the ring's buffer.
fn slot_offset(slot: u32) -> u64 {
    let tallies = layout::MOST_TENANTS as usize * size_of::<Tally>();
    (tallies + slot as usize * size_of::<Slot>()) as u64
}

fn ring_bytes(config: &MegakernelConfig) -> u64 {
    slot_offset(config.slot_count)
}

/// The configuration with its slots rounded up.
fn checked(config: MegakernelConfig) -> Result<MegakernelConfig, RingError> {
    let MegakernelConfig { slot_count, workgroup_size_x, tenant_count, .. } = config;
    within("workgroup_size_x", workgroup_size_x.into(), [1, MOST_SLOTS.into()])?;
    within("slot_count", slot_count.into(), [1, MOST_SLOTS.into()])?;
    let slot_count = slot_count.next_multiple_of(workgroup_size_x);
    let most_tenants = slot_count.min(layout::MOST_TENANTS);
    within("tenant_count", tenant_count.into(), [1, most_tenants.into()])?;
    within("observable_slots", config.observable_slots.into(), [0, Observable::COUNT.into()])?;
    within("round_bytes", config.round_bytes as u64, [16, MAX_HAYSTACK_BYTES as u64])?;
    within("rounds_in_flight", config.rounds_in_flight as u64, [1, 256])?;
    Ok(MegakernelConfig { slot_count, ..config })
}

fn within(what: &'static str, asked: u64, [least, most]: [u64; 2]) -> Result<(), RingError> {
    if (least..=most).contains(&asked) {
        return Ok(());
    }
    Err(RingError::Limit { what, asked, least, most })
}
