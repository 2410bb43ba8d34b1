//! The ring session.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::ring::batch::RingBatch;
use crate::ring::config::{MegakernelSessionConfig, within};
use crate::ring::error::{RingError, RingNotPublished};
use crate::ring::item::{RingItem, RingItemMatches, RingResults};
use crate::ring::live::Live;
use crate::ring::round::{
    Admission, Part, RingPublished, RingPublishedBatch, RingScratch, Round, RoundId, State,
};
use crate::ring::tally::{Counters, RingObservable};
use crate::vulkan::deadline::Deadline;
use crate::{Backend, RulePipeline};

mod under_way;

/// Scans many small haystacks together: it keeps a ring of slots resident, into which items are published, and every
/// item gets its own matches back, exactly those that a scan of its bytes alone would have.
///
/// To have several rounds in flight, so that one is packed while those before it are scanned, [publish] items
/// and [collect] what has come of them later.
///
/// Should the device be lost, the session makes itself anew once on the same physical device, scans items
/// again that were not collected, and says so ([`RingStats::recovered`](crate::RingStats::recovered)). What
/// was in lent memory, or on the device, is gone, and the batch or the item says so. A second loss is an
/// error.
///
/// [publish]: MegakernelSession::publish
/// [collect]: MegakernelSession::collect_into
///
/// # Examples
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
/// Several rounds in flight, and memory that is used again:
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
/// use vkscan::{RingItem, RingResults};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d+"])?;
/// # let config = MegakernelSessionConfig::default();
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// assert_eq!(session.slot_count(), 256);
/// assert!(session.backend().is_some());
/// let (one, two) = ([RingItem::new(1, b"1 2")], [RingItem::new(2, b"3")]);
/// let first = session.publish(&one)?;
/// let second = session.publish(&two)?;
/// assert_eq!(session.next_slot(), 2);
/// let mut results = RingResults::default();
/// session.collect_into(first, &mut results)?;
/// assert_eq!(results.match_count(), 2);
/// session.flush()?; // waits, and keeps what comes of the second
/// session.collect_into(second, &mut results)?;
/// assert_eq!(results.match_count(), 1);
/// session.submit_scan_into(&two, &mut results)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Items written straight to staging memory:
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d+"])?;
/// # let config = MegakernelSessionConfig::default();
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// # let mut results = vkscan::RingResults::default();
/// let mut batch = session.lend(0)?;
/// assert!(batch.reserve(1, 4, 100)); // an item 1 of 4 bytes
/// batch.parts()[0].copy_from_slice(b"1 22");
/// let published = session.publish_batch(batch)?;
/// let batch = session.collect_batch(published, &mut results)?;
/// assert_eq!(results.match_count(), 2);
/// session.give_back(batch);
/// assert!(session.trim()? > 0); // bytes that would have been lent again
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Its memory is used again.
    admission: Admission,
    /// Rounds of one call, and which of its items they hold.
    under_way: VecDeque<(RoundId, Range<usize>)>,
    scratch: RingScratch,
}

#[derive(Clone)]
struct Tenant {
    pipeline: Arc<RulePipeline>,
    max_matches: u32,
}

/// [`MegakernelSession`] in the words of everything else about the ring.
pub type RingSession = MegakernelSession;

/// Items for which there is room in staging memory, where they are once they have been filled in.
pub(crate) struct Reserved<'a> {
    round: Round,
    items: &'a [RingItem<'a>],
    /// Whether the session had been made anew before.
    had_recovered: bool,
}

impl Reserved<'_> {
    /// Copies the items to staging memory. Nobody needs the session for it.
    fn fill(&mut self) {
        self.round.fill(self.items, || ());
    }

    fn check_fit(&self) -> Result<(), RingError> {
        let (items, fit) = (self.items.len(), self.round.len);
        if fit == items { Ok(()) } else { Err(RingError::TooMany { items, fit }) }
    }
}

/// Items of the first tenant's, and the memory that they are to be in.
pub(crate) struct Lent<'a> {
    reserved: Reserved<'a>,
    admission: Admission,
    batch: RingBatch,
}

impl<'a> Lent<'a> {
    /// Packs the items, and copies them to staging memory. Nobody needs the session for it.
    pub(crate) fn fill(self) -> Result<Reserved<'a>, RingError> {
        let Lent { mut reserved, admission, batch } = self;
        let mut batch = Some(batch);
        let lend = |_| batch.take().ok_or(RingError::BatchLost);
        reserved.round.reserve(reserved.items, &admission, lend)?;
        reserved.check_fit()?;
        reserved.fill();
        Ok(reserved)
    }
}

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
        let config = config.checked()?;
        let Some(live) = Live::new(config, backend.clone())? else { return Ok(None) };
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
            admission: Admission::default(),
            under_way: VecDeque::new(),
            scratch: RingScratch::default(),
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, MegakernelSession, RulePipeline};
    /// use vkscan::{RingItem, RingObservable};
    ///
    /// # let backend = Backend::new(&BackendOptions::default())?;
    /// # let rules = RulePipeline::new(&[r"\d+"])?;
    /// let config = MegakernelSessionConfig::default().tenant_count(2).observable_slots(1);
    /// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
    /// session.set_tenant(1, &RulePipeline::new(&["[a-z]"])?, 100)?;
    /// let items = [RingItem { tenant: 1, ..RingItem::new(0, b"abc") }, RingItem::new(1, b"22")];
    /// let counts = session.submit_scan(&items)?.into_iter().map(|item| item.matches.map(|all| all.len()));
    /// assert!(counts.eq([Ok(3), Ok(1)]));
    /// assert_eq!(session.observe_tenant(1, RingObservable::Items), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let mut reserved = self.begin_round(items)?;
        let made_room = self.despite_loss(|session| session.reserve(items, &mut reserved.round));
        if let Err(error) = made_room.and_then(|()| reserved.check_fit()) {
            self.retire(reserved.round);
            return Err(error);
        }
        if let Err(error) = reserved.round.parts.iter().try_for_each(|part| self.check_room(part)) {
            self.retire(reserved.round);
            return Err(error);
        }
        reserved.fill();
        self.publish_reserved(reserved)
    }

    /// A round for items that there is no room for yet.
    fn begin_round<'a>(&mut self, items: &'a [RingItem<'a>]) -> Result<Reserved<'a>, RingError> {
        self.live()?;
        self.begin_call();
        let had_recovered = self.has_recovered;
        self.forget()?;
        Ok(Reserved { round: self.round(), items, had_recovered })
    }

    /// What a round of the first tenant's items takes: memory, for as many as fit.
    pub(crate) fn lend_round<'a>(
        &mut self,
        items: &'a [RingItem<'a>],
    ) -> Result<Lent<'a>, RingError> {
        let reserved = self.begin_round(items)?;
        let batch = self.despite_loss(|session| session.lend_once(0))?;
        let mut admission = Admission::default();
        self.admit(&mut admission);
        admission.tenants.truncate(1);
        Ok(Lent { reserved, admission, batch })
    }

    /// Whether what is in flight leaves no room for a round, so far.
    pub(crate) fn is_full_for(&self, reserved: &Reserved) -> bool {
        let is_full = |part| matches!(self.check_room(part), Err(RingError::Full { .. }));
        reserved.round.parts.iter().any(is_full)
    }

    /// As [`MegakernelSession::publish`], for items that are where there was room for them.
    pub(crate) fn publish_reserved<'a>(
        &mut self,
        reserved: Reserved<'a>,
    ) -> Result<RingPublished<'a>, RingError> {
        let Reserved { mut round, items, had_recovered } = reserved;
        self.begin_call();
        if let Err(error) = self.begin(items, &mut round) {
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
