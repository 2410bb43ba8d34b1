//! The ring session.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::batch::{self, RingBatch};
use super::config::{MegakernelSessionConfig, within};
use super::error::{RingError, RingNotPublished};
use super::item::{
    RingItem, RingItemBytes, RingItemError, RingItemMatches, RingResults, RingStats,
};
use super::live::Live;
use super::round::{
    Held, Part, RingPublished, RingPublishedBatch, RingScratch, Round, RoundId, State,
};
use super::tally::{Counters, RingObservable};
use crate::narrow::narrow;
use crate::scan::tuning::Tuning;
use crate::vulkan::deadline::Deadline;
use crate::{Backend, DeviceInfo, RulePipeline};

/// Scans many small haystacks together: it keeps a ring of slots resident, into which items are published, and every
/// item gets its own matches back, exactly those that a scan of its bytes alone would have.
///
/// ```
/// use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline, RingItem};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// let rules = RulePipeline::new(&[r"^\w+", r"\d+$"])?;
/// let config = MegakernelSessionConfig::default();
/// let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else {
///     return Ok(()); // this device scans one haystack at a time
/// };
/// let items = [RingItem::new(7, b"one 2"), RingItem::new(8, b"three")];
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
/// Should the device be lost, the session makes itself anew once on the same physical device, scans items again that
/// were not collected, and says so ([`RingStats::recovered`]). What was in lent memory, or on the device, is gone, and
/// the batch or the item says so. A second loss is an error.
///
/// [publish]: MegakernelSession::publish
/// [collect]: MegakernelSession::collect_into
pub struct MegakernelSession {
    config: MegakernelSessionConfig,
    /// None once it has been shut down, or the device is lost for good.
    live: Option<Live>,
    tenants: Vec<Option<Tenant>>,
    counters: Vec<Counters>,
    /// In the order in which they were published.
    rounds: VecDeque<Round>,
    /// Whether the device has been lost before.
    has_recovered: bool,
    spare_batches: Vec<RingBatch>,
    spare_rounds: Vec<Round>,
    /// Until when the call that is under way waits for the device.
    deadline: Deadline,
    /// Of each tenant its part of the round that is being packed, and one more; 0 while there is none.
    part_of: Vec<usize>,
    /// Rounds of one call, and which of its items they hold.
    under_way: VecDeque<(RoundId, Range<usize>)>,
    scratch: RingScratch,
    tuning: fn(&DeviceInfo) -> Tuning,
}

#[derive(Clone)]
struct Tenant {
    pipeline: Arc<RulePipeline>,
    max_matches: u32,
}

/// [`MegakernelSession`] in the words of everything else about the ring.
pub type RingSession = MegakernelSession;

impl MegakernelSession {
    /// Makes the tables of `pipeline` resident for the first tenant, and a ring of slots.
    ///
    /// `None` where the device cannot run it: it has no workgroups that large, or that many, or no buffer that large.
    /// Why is traced at debug level. Each haystack can be scanned by a
    /// [`ResidentRulePipeline`](crate::ResidentRulePipeline) then.
    ///
    /// # Errors
    ///
    /// A configuration that no device can have, lack of memory, or a fault of the device.
    pub fn new(
        backend: &Backend,
        pipeline: &RulePipeline,
        config: MegakernelSessionConfig,
    ) -> Result<Option<MegakernelSession>, RingError> {
        MegakernelSession::with_tuning(backend, pipeline, config, Tuning::for_device)
    }

    pub(crate) fn with_tuning(
        backend: &Backend,
        pipeline: &RulePipeline,
        config: MegakernelSessionConfig,
        tuning: fn(&DeviceInfo) -> Tuning,
    ) -> Result<Option<MegakernelSession>, RingError> {
        let config = config.checked()?;
        let Some(live) = Live::new(config, backend.clone(), tuning)? else { return Ok(None) };
        let mut session = MegakernelSession {
            config,
            live: Some(live),
            tenants: (0..config.tenant_count).map(|_| None).collect(),
            counters: (0..config.tenant_count).map(|_| Counters::default()).collect(),
            rounds: VecDeque::new(),
            has_recovered: false,
            spare_batches: Vec::new(),
            spare_rounds: Vec::new(),
            deadline: backend.device().deadline(),
            part_of: Vec::new(),
            under_way: VecDeque::new(),
            scratch: RingScratch::default(),
            tuning,
        };
        session.set_tenant(0, pipeline, config.max_matches)?;
        Ok(Some(session))
    }

    /// Gives a tenant its rules, which are made resident beside those of the others, and the most matches that an item
    /// of it may have. What it had before is freed, once what is in flight has been waited for.
    ///
    /// # Errors
    ///
    /// No such tenant, a session that has been shut down, lack of memory, or a fault of the device; and
    /// [`RingError::Uncollected`] while items that went with a lost device wait to be scanned again.
    pub fn set_tenant(
        &mut self,
        tenant: u32,
        pipeline: &RulePipeline,
        max_matches: u32,
    ) -> Result<(), RingError> {
        let most = u64::from(self.config.tenant_count) - 1;
        within("tenant", tenant.into(), [0, most])?;
        self.flush()?;
        // Other rules would find something else.
        if self.rounds.iter().any(|round| round.is_to_be_repeated() && !round.is_forgotten()) {
            return Err(RingError::Uncollected);
        }
        let made = Tenant { pipeline: Arc::new(pipeline.clone()), max_matches };
        let resident = self.despite_loss(|session| {
            session.live()?.prepare(tenant, &made.pipeline, made.max_matches)
        })?;
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

    /// The slot that the first tenant's next item is published in, among those that it has.
    pub fn next_slot(&self) -> u32 {
        self.live.as_ref().map_or(0, |live| live.next_slot(0))
    }

    /// The backend that the session is on: not the one that it was made with, once that was lost. `None` after
    /// [`MegakernelSession::shutdown`], or where what was lost could not be made anew.
    pub fn backend(&self) -> Option<&Backend> {
        self.live.as_ref().map(|live| &live.backend)
    }

    /// A counter of all tenants together, as it is right now; `None` unless
    /// [`MegakernelSessionConfig::observable_slots`] makes it readable.
    pub fn observe(&self, what: RingObservable) -> Option<u64> {
        (0..self.config.tenant_count).map(|tenant| self.observe_tenant(tenant, what)).sum()
    }

    /// As [`MegakernelSession::observe`], for one tenant.
    pub fn observe_tenant(&self, tenant: u32, what: RingObservable) -> Option<u64> {
        let is_readable = what.is_readable(self.config.observable_slots);
        (tenant < self.config.tenant_count && is_readable).then(|| self.count(tenant, what))
    }

    /// Scans items, in as many rounds as they take, and gives what has come of each, in their order.
    ///
    /// # Errors
    ///
    /// A session that has been shut down, or a fault of the device. What is wrong with one item is its own error.
    pub fn submit_scan(&mut self, items: &[RingItem]) -> Result<Vec<RingItemMatches>, RingError> {
        let mut results = RingResults::default();
        let submitted = self.submit_scan_into(items, &mut results);
        let own = |result: super::RingItemResult| RingItemMatches {
            id: result.id,
            matches: result.matches.map(<[_]>::to_vec).map_err(Clone::clone),
        };
        submitted.map(|()| results.iter().map(own).collect())
    }

    /// As [`MegakernelSession::submit_scan`], into results that can be used again. They are empty after an error.
    pub fn submit_scan_into(
        &mut self,
        items: &[RingItem],
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        results.clear();
        self.begin_call();
        let had_recovered = self.has_recovered;
        let mut under_way = std::mem::take(&mut self.under_way);
        let scanned = self.scan_all(items, &mut under_way, results);
        under_way.clear();
        self.under_way = under_way;
        results.stats.recovered |= self.has_recovered && !had_recovered;
        if scanned.is_err() {
            results.clear();
        }
        scanned
    }

    /// Publishes items in a run of slots and submits their scan, without waiting for it. Several rounds may be in
    /// flight, as many as there are slots for, and [`MegakernelSessionConfig::rounds_in_flight`].
    ///
    /// # Errors
    ///
    /// [`RingError::Full`] if what is in flight leaves no room, [`RingError::TooMany`] if items would not fit an empty
    /// ring, a session that has been shut down, or a fault of the device. What is wrong with one item is its own error.
    pub fn publish<'a>(
        &mut self,
        items: &'a [RingItem<'a>],
    ) -> Result<RingPublished<'a>, RingError> {
        self.live()?;
        self.begin_call();
        let fit = self.fitting(items);
        if fit < items.len() {
            return Err(RingError::TooMany { items: items.len(), fit });
        }
        let had_recovered = self.has_recovered;
        self.forget()?;
        let mut round = self.round();
        let begun = self.despite_loss(|session| session.reserve(items, &mut round));
        let begun = begun.and_then(|()| {
            round.parts.iter().try_for_each(|part| self.check_room(part))?;
            round.fill(items, || ());
            self.begin(items, &mut round)
        });
        if let Err(error) = begun {
            self.retire(round);
            return Err(error);
        }
        round.stats.recovered = self.has_recovered && !had_recovered;
        let id = round.id();
        self.rounds.push_back(round);
        Ok(RingPublished { round: id, items })
    }

    /// Waits for what was published, and gives what has come of each item, in their order. Results are empty after an
    /// error.
    ///
    /// # Errors
    ///
    /// A round of another session, or a fault of the device.
    pub fn collect_into(
        &mut self,
        published: RingPublished,
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        results.clear();
        self.begin_call();
        let collected = self.finish_round(&published.round, published.items, results);
        if collected.is_err() {
            results.clear();
        }
        collected
    }

    /// Lends staging memory that a tenant's items can be read straight into: as many as its slots, and as
    /// [`MegakernelSessionConfig::round_bytes`] hold.
    ///
    /// # Errors
    ///
    /// A tenant without rules, a session that has been shut down, lack of memory, or a fault of the device.
    pub fn lend(&mut self, tenant: u32) -> Result<RingBatch, RingError> {
        self.begin_call();
        self.despite_loss(|session| session.lend_once(tenant))
    }

    /// Gives lent memory back, to be lent again.
    pub fn give_back(&mut self, mut batch: RingBatch) {
        batch.clear();
        if self.live.as_ref().is_some_and(|live| live.has_lent(&batch)) {
            self.spare_batches.push(batch);
        }
    }

    /// Frees lent memory that has come back, and what rounds that are not in flight keep for the next ones: otherwise it is
    /// kept to be used again. Says how many bytes of memory that the device reads were given back.
    ///
    /// # Errors
    ///
    /// A session that has been shut down, or a fault of the driver's; everything that can be freed is freed all the same.
    pub fn trim(&mut self) -> Result<u64, RingError> {
        self.spare_batches.clear();
        self.spare_rounds.clear();
        self.live()?.trim()
    }

    /// As [`MegakernelSession::publish`], for items that are in lent memory already. After an error the batch is there
    /// again, unless the device was lost.
    ///
    /// # Errors
    ///
    /// As [`MegakernelSession::publish`], with what is left of the batch. After the loss of the device that is none
    /// ([`RingError::BatchLost`]), or nothing that can be published ([`RingError::ForeignBatch`]), and the session goes on
    /// where it can: read the items again.
    pub fn publish_batch(
        &mut self,
        batch: RingBatch,
    ) -> Result<RingPublishedBatch, Box<RingNotPublished>> {
        self.begin_call();
        if let Err(error) = self.forget() {
            return Err(Box::new(RingNotPublished { error, batch: Some(batch) }));
        }
        let begun = match &self.live {
            Some(live) if live.has_lent(&batch) => Ok(()),
            Some(_) => Err(RingError::ForeignBatch),
            None => Err(RingError::Closed),
        };
        let mut round = self.round();
        round.is_lent = true;
        round.len = batch.len();
        round.parts.push(Part::new(batch));
        match begun.and_then(|()| self.begin_parts(&mut round)) {
            Ok(()) => {
                let id = round.id();
                self.rounds.push_back(round);
                Ok(RingPublishedBatch { round: id })
            }
            Err(error) if error.is_loss() => {
                drop(round);
                let error = self.recover(error).err().unwrap_or(RingError::BatchLost);
                Err(Box::new(RingNotPublished { error, batch: None }))
            }
            Err(error) => {
                let batch = round.parts.pop().map(|part| part.batch);
                self.retire(round);
                Err(Box::new(RingNotPublished { error, batch }))
            }
        }
    }

    /// Waits for a batch, gives what has come of each item, in their order, and the batch back.
    ///
    /// # Errors
    ///
    /// A round of another session, or a fault of the device: after its loss what the batch held is gone
    /// ([`RingError::BatchLost`]), and the session goes on where it can.
    pub fn collect_batch(
        &mut self,
        published: RingPublishedBatch,
        results: &mut RingResults,
    ) -> Result<RingBatch, RingError> {
        results.clear();
        self.begin_call();
        let index = self.index_of(&published.round)?;
        if self.rounds[index].state == State::InFlight {
            self.drain(index).or_else(|error| self.recover_from(error))?;
        }
        let round = &mut self.rounds[index];
        let state = std::mem::replace(&mut round.state, State::Collected);
        let part = round.parts.pop();
        std::mem::swap(results, &mut round.results);
        self.retire_rounds();
        match (state, part) {
            (State::Drained, Some(part)) => Ok(part.batch),
            _ => Err(RingError::BatchLost),
        }
    }

    /// Waits for all that was published and is not collected. What has come of it is kept for who collects it.
    ///
    /// # Errors
    ///
    /// A fault of the device. After its loss, items are scanned again when they are collected.
    pub fn flush(&mut self) -> Result<(), RingError> {
        self.begin_call();
        let mut flushed = Ok(());
        for index in 0..self.rounds.len() {
            if self.rounds[index].state == State::InFlight {
                let drained = self.drain(index).or_else(|error| self.recover_from(error));
                flushed = flushed.and(drained);
            }
        }
        self.retire_rounds();
        flushed
    }

    /// Waits for all that was published, empties the ring and frees what the session holds on device and host, but for
    /// memory that is lent. What has come of items that were published can be collected still; nothing can be published
    /// any more, and nothing be scanned again.
    ///
    /// # Errors
    ///
    /// The first fault; everything that can be freed is freed all the same.
    pub fn shutdown(&mut self) -> Result<(), RingError> {
        self.begin_call();
        let mut ended = Ok(());
        for index in 0..self.rounds.len() {
            if self.rounds[index].state == State::InFlight {
                ended = ended.and(self.drain(index));
            }
        }
        self.see_counters();
        self.rounds
            .iter_mut()
            .filter(|round| round.is_to_be_repeated())
            .for_each(Round::forget_all);
        self.retire_rounds();
        self.spare_batches.clear();
        self.spare_rounds.clear();
        let deadline = self.deadline;
        ended.and(self.live.take().map_or(Ok(()), |live| live.free(deadline)))
    }

    #[cfg(test)]
    pub(super) fn live_mut(&mut self) -> &mut Live {
        self.live.as_mut().unwrap()
    }

    /// From now on a call waits for the device, at most so long altogether unless it answers.
    fn begin_call(&mut self) {
        if let Some(live) = &self.live {
            self.deadline = live.backend.device().deadline();
        }
    }

    fn live(&self) -> Result<&Live, RingError> {
        self.live.as_ref().ok_or(RingError::Closed)
    }

    /// A tenant's counter.
    fn count(&self, tenant: u32, what: RingObservable) -> u64 {
        let now = self.live.as_ref().map_or(0, |live| live.read(what, tenant));
        self.counters[tenant as usize].read(what, now)
    }

    /// Takes note of what the counters have come to, for when the device is gone.
    fn see_counters(&self) {
        for tenant in 0..self.config.tenant_count {
            for what in RingObservable::ALL {
                self.count(tenant, what);
            }
        }
    }

    fn scan_all(
        &mut self,
        items: &[RingItem],
        under_way: &mut VecDeque<(RoundId, Range<usize>)>,
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        self.live()?;
        // Where there are several rounds, they overlap.
        let rounds = self.config.rounds_in_flight;
        let most = match self.config.share() as usize {
            share if items.len() <= share => items.len(),
            share => (share / rounds).max(1),
        };
        let mut next = 0;
        let mut filled: Option<(Round, Range<usize>)> = None;
        loop {
            // A round is filled while those before it are begun and waited for.
            let mut filling = None;
            if next < items.len() {
                let mut round = self.round();
                let some = &items[next..items.len().min(next + most)];
                self.despite_loss(|session| session.reserve(some, &mut round))?;
                let range = next..next + round.len;
                next = range.end;
                filling = Some((round, range));
            }
            let mut go_on = || match filled.take() {
                Some((round, range)) => self.begin_next(items, round, range, under_way, results),
                None => Ok(()),
            };
            match &mut filling {
                Some((round, range)) => {
                    round.fill(&items[range.clone()], go_on)?;
                }
                None => go_on()?,
            }
            if filling.is_none() {
                break;
            }
            filled = filling;
        }
        while let Some((oldest, range)) = under_way.pop_front() {
            self.finish_round(&oldest, &items[range], results)?;
        }
        Ok(())
    }

    /// Begins a round that has been filled, as soon as those before it leave room.
    fn begin_next(
        &mut self,
        items: &[RingItem],
        mut round: Round,
        range: Range<usize>,
        under_way: &mut VecDeque<(RoundId, Range<usize>)>,
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        self.forget()?;
        while under_way.len() >= self.config.rounds_in_flight
            && let Some((oldest, range)) = under_way.pop_front()
        {
            self.finish_round(&oldest, &items[range], results)?;
        }
        while let Err(error) = self.begin(&items[range.clone()], &mut round) {
            match (error, under_way.pop_front()) {
                (RingError::Full { .. }, Some((oldest, range))) => {
                    self.finish_round(&oldest, &items[range], results)?;
                }
                // Others hold the slots: what has come of theirs waits for them.
                (RingError::Full { .. }, None) => self.drain_oldest()?,
                (error, _) => {
                    self.retire(round);
                    return Err(error);
                }
            }
        }
        under_way.push_back((round.id(), range));
        self.rounds.push_back(round);
        Ok(())
    }

    /// Begins a round that has been filled, or fills it again where its memory went with a lost device.
    fn begin(&mut self, items: &[RingItem], round: &mut Round) -> Result<(), RingError> {
        self.despite_loss(|session| {
            let live = session.live()?;
            if !round.parts.iter().all(|part| live.has_lent(&part.batch)) {
                session.reserve(items, round)?;
                round.fill(items, || ());
            }
            let began = Instant::now();
            let begun = session.begin_parts(round);
            round.stats.packing += began.elapsed();
            begun
        })
    }

    /// How many of the first items fit one round of an empty ring.
    fn fitting(&self, items: &[RingItem]) -> usize {
        let mut room = vec![(self.config.share(), None); self.tenants.len()];
        let mut fits = |item: &RingItem| {
            // What is wrong with an item takes no room.
            if self.fault(item).is_some() {
                return true;
            }
            let (slots, end) = &mut room[item.tenant as usize];
            let place = batch::place(*end, item.bytes.len().unwrap_or(0));
            let fits = *slots > 0 && batch::packed_len(place.end) <= self.config.round_bytes;
            if fits {
                *slots -= 1;
                *end = Some(place.end);
            }
            fits
        };
        items.iter().position(|item| !fits(item)).unwrap_or(items.len())
    }

    /// What is wrong with an item before anybody looks at its bytes.
    fn fault(&self, item: &RingItem) -> Option<RingItemError> {
        if self.tenants.get(item.tenant as usize).is_none_or(Option::is_none) {
            return Some(RingItemError::NoPipeline { tenant: item.tenant });
        }
        if let RingItemBytes::Resident { haystack, range } = &item.bytes {
            let device = self.live.as_ref().map(|live| live.backend.device());
            if device.is_some_and(|device| !haystack.is_on(device)) {
                return Some(RingItemError::WrongBackend);
            }
            if item.bytes.len().is_none() {
                return Some(RingItemError::OutOfRange {
                    range: range.clone(),
                    len: haystack.len(),
                });
            }
        }
        let (bytes, capacity) = (item.bytes.len().unwrap_or(0), self.config.most_bytes());
        (bytes > capacity).then_some(RingItemError::TooLarge { bytes, capacity })
    }

    fn round(&mut self) -> Round {
        let mut round = self.spare_rounds.pop().unwrap_or_else(Round::new);
        round.renew();
        round
    }

    fn lend_once(&mut self, tenant: u32) -> Result<RingBatch, RingError> {
        self.live()?.resident(tenant)?;
        match self.spare_batches.iter().position(|batch| batch.tenant == tenant) {
            Some(index) => Ok(self.spare_batches.swap_remove(index)),
            None => self.live()?.lend(tenant),
        }
    }

    /// Makes room for as many items as fit a round, each tenant's in memory of its own.
    fn reserve(&mut self, items: &[RingItem], round: &mut Round) -> Result<(), RingError> {
        let began = Instant::now();
        round.faults.clear();
        round.parts.clear();
        round.len = 0;
        self.part_of.clear();
        self.part_of.resize(self.tenants.len(), 0);
        for (place, item) in items.iter().enumerate() {
            if let Some(error) = self.fault(item) {
                round.faults.push((narrow(place), item.id, error));
            } else {
                if self.part_of[item.tenant as usize] == 0 {
                    round.parts.push(Part::new(self.lend_once(item.tenant)?));
                    self.part_of[item.tenant as usize] = round.parts.len();
                }
                let part = &mut round.parts[self.part_of[item.tenant as usize] - 1];
                if !part.batch.reserve(item.id, item.bytes.len().unwrap_or(0), item.max_matches) {
                    break;
                }
                part.place_last(place);
                part.has_resident |= matches!(item.bytes, RingItemBytes::Resident { .. });
            }
            round.len += 1;
        }
        round.stats.packing += began.elapsed();
        Ok(())
    }

    /// Whether there is room for a part beside what is in flight of its tenant.
    fn check_room(&self, part: &Part) -> Result<(), RingError> {
        let tenant = part.batch.tenant;
        let held = self.rounds.iter().flat_map(|round| &round.held);
        if narrow::<_, u32>(part.batch.len()) > self.live()?.room(tenant, held.clone()) {
            return Err(RingError::Full { what: "slots", tenant });
        }
        let is_own = |held: &&Held| held.tenant == tenant;
        if held.filter(is_own).count() >= self.config.rounds_in_flight {
            return Err(RingError::Full { what: "rounds", tenant });
        }
        Ok(())
    }

    /// Writes slots for the items of every part, and submits their scans.
    fn begin_parts(&mut self, round: &mut Round) -> Result<(), RingError> {
        round.held.clear();
        round.state = State::InFlight;
        round.parts.iter().try_for_each(|part| self.check_room(part))?;
        for index in 0..round.parts.len() {
            let part = &mut round.parts[index];
            let own = self.tenants[part.batch.tenant as usize].as_ref();
            part.most_matches = own.map_or(0, |own| own.max_matches);
            let live = self.live.as_mut().ok_or(RingError::Closed)?;
            match live.publish(part, self.deadline) {
                Ok(held) => round.held.push(held),
                Err(error) => {
                    self.abandon(round);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits for what is in flight of a round, and drops what comes of it.
    fn abandon(&self, round: &mut Round) {
        if let Some(live) = &self.live {
            round.abandon(&live.residents, self.deadline);
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
        let MegakernelSession { rounds, live, scratch, deadline, .. } = self;
        let live = live.as_ref().ok_or(RingError::Closed)?;
        let round = &mut rounds[index];
        let [items, matches] = [results.items.len(), results.matches.len()];
        let drained = round.drain(&live.residents, *deadline, scratch, results);
        round.held.clear();
        if let Err(error) = drained {
            results.items.truncate(items);
            results.matches.truncate(matches);
            round.abandon(&live.residents, *deadline);
            round.state = State::Failed;
            return Err(error.into());
        }
        round.state = State::Drained;
        *deadline = live.backend.device().deadline();
        while !self.rounds[index].is_lent
            && let Some(part) = self.rounds[index].parts.pop()
        {
            self.give_back(part.batch);
        }
        Ok(())
    }

    /// Waits for rounds that nobody will ask for.
    fn forget(&mut self) -> Result<(), RingError> {
        let is_forgotten = |round: &Round| round.state == State::InFlight && round.is_forgotten();
        while let Some(index) = self.rounds.iter().position(is_forgotten) {
            self.drain(index).or_else(|error| self.recover_from(error))?;
        }
        self.retire_rounds();
        Ok(())
    }

    fn drain_oldest(&mut self) -> Result<(), RingError> {
        let oldest = self.rounds.iter().position(|round| round.state == State::InFlight);
        let oldest = oldest.ok_or(RingError::UnknownRound)?;
        self.drain(oldest).or_else(|error| self.recover_from(error))
    }

    /// Waits for a round, or scans it again where the device was lost, and appends its results.
    fn finish_round(
        &mut self,
        id: &RoundId,
        items: &[RingItem],
        results: &mut RingResults,
    ) -> Result<(), RingError> {
        let mut index = self.index_of(id)?;
        if self.rounds[index].state == State::Drained {
            results.append(&mut self.rounds[index].results);
        }
        if self.rounds[index].state == State::InFlight {
            self.drain_into(index, results).or_else(|error| self.recover_from(error))?;
        }
        // A loss while it is scanned again is the first one at most once.
        while self.rounds[index].is_to_be_repeated() {
            let mut round = self.rounds.remove(index).ok_or(RingError::UnknownRound)?;
            let recovered = round.state == State::Lost;
            round.stats = RingStats { rounds: 1, ..RingStats::default() };
            self.despite_loss(|session| session.reserve(items, &mut round))?;
            round.fill(items, || ());
            while let Err(error) = self.begin(items, &mut round) {
                match error {
                    RingError::Full { .. } => self.drain_oldest()?,
                    error => return Err(error),
                }
            }
            round.stats.recovered |= recovered;
            self.rounds.push_back(round);
            index = self.rounds.len() - 1;
            self.drain_into(index, results).or_else(|error| self.recover_from(error))?;
        }
        self.rounds[index].state = State::Collected;
        self.retire_rounds();
        Ok(())
    }

    /// Keeps what rounds leave that nobody will ask for any more.
    fn retire_rounds(&mut self) {
        let is_over = |round: &Round| round.state != State::InFlight && round.is_forgotten();
        while let Some(index) = self.rounds.iter().position(is_over) {
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
        // Beside those in flight there are one that is filled and one that has been.
        if self.spare_rounds.len() < self.config.rounds_in_flight + 2 {
            self.spare_rounds.push(round);
        }
    }

    /// Does something, and once more if the device was lost and the session could be made anew.
    fn despite_loss<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, RingError>,
    ) -> Result<T, RingError> {
        attempt(self).or_else(|error| {
            self.recover_from(error)?;
            attempt(self)
        })
    }

    /// Makes the session anew after the loss of the device, once; an error that is none comes back.
    fn recover_from(&mut self, error: RingError) -> Result<(), RingError> {
        if error.is_loss() { self.recover(error) } else { Err(error) }
    }

    /// Makes the session anew on the same physical device, once. What is in flight has to be scanned again.
    fn recover(&mut self, lost: RingError) -> Result<(), RingError> {
        if self.has_recovered {
            return Err(lost);
        }
        self.see_counters();
        self.counters.iter_mut().for_each(Counters::begin_anew);
        let Some(live) = self.live.take() else { return Err(lost) };
        self.has_recovered = true;
        for round in &mut self.rounds {
            if matches!(round.state, State::InFlight | State::Failed) {
                round.state = State::Lost;
                round.forget_all();
            }
        }
        self.spare_batches.clear();
        // First of all what takes memory goes.
        let before = live.backend.clone();
        if let Err(error) = live.free(self.deadline) {
            tracing::debug!(%error, "what was on the lost device could not be freed");
        }
        let backend = before.reopen().map_err(|error| {
            tracing::error!(%error, "the lost device cannot be opened again");
            lost
        })?;
        let made = Live::new(self.config, backend, self.tuning)?;
        let mut made = made.ok_or(RingError::Closed)?;
        for (tenant, own) in (0..).zip(&self.tenants) {
            if let Some(Tenant { pipeline, max_matches }) = own {
                let resident = made.prepare(tenant, pipeline, *max_matches)?;
                made.residents[tenant as usize] = Some(resident);
            }
        }
        self.live = Some(made);
        self.begin_call();
        tracing::warn!("the device was lost: the ring session has been made anew");
        Ok(())
    }
}

impl Drop for MegakernelSession {
    fn drop(&mut self) {
        self.begin_call();
        let Some(live) = self.live.take() else { return };
        for round in &mut self.rounds {
            round.abandon(&live.residents, self.deadline);
        }
        if let Err(error) = live.free(self.deadline) {
            tracing::warn!(%error, "a ring session was dropped");
        }
    }
}

impl std::fmt::Debug for MegakernelSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MegakernelSession")
            .field("config", &self.config)
            .field("rounds", &self.rounds.len())
            .finish_non_exhaustive()
    }
}
