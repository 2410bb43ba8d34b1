//! Rounds under way: filled, begun, waited for, and begun again on another device.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use crate::BackendError;
use crate::narrow::narrow;
use crate::ring::batch::RingBatch;
use crate::ring::error::RingError;
use crate::ring::item::{RingItem, RingResults, RingStats};
use crate::ring::live::Live;
use crate::ring::round::{Admission, Held, Part, Round, RoundId, State};
use crate::ring::tally::Counters;
use crate::scan::Scan;

use super::{MegakernelSession, Tenant};

impl MegakernelSession {
    pub(super) fn scan_all(
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
    pub(super) fn begin(&mut self, items: &[RingItem], round: &mut Round) -> Result<(), RingError> {
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

    /// Writes down which items it takes now.
    pub(super) fn admit(&self, admission: &mut Admission) {
        admission.tenants.clear();
        admission.tenants.extend(self.tenants.iter().map(Option::is_some));
        admission.device = self.live.as_ref().map(|live| live.backend.device().clone());
        admission.capacity = self.config.most_bytes();
    }

    pub(super) fn round(&mut self) -> Round {
        let mut round = self.spare_rounds.pop().unwrap_or_else(Round::new);
        round.renew();
        round
    }

    pub(super) fn lend_once(&mut self, tenant: u32) -> Result<RingBatch, RingError> {
        self.live()?.resident(tenant)?;
        match self.spare_batches.iter().position(|batch| batch.tenant == tenant) {
            Some(index) => Ok(self.spare_batches.swap_remove(index)),
            None => self.live()?.lend(tenant),
        }
    }

    /// Makes room for as many items as fit a round, each tenant's in memory of its own.
    pub(super) fn reserve(
        &mut self,
        items: &[RingItem],
        round: &mut Round,
    ) -> Result<(), RingError> {
        let mut admission = std::mem::take(&mut self.admission);
        self.admit(&mut admission);
        let reserved = round.reserve(items, &admission, |tenant| self.lend_once(tenant));
        // A session that was shut down holds on to no device.
        admission.device = None;
        self.admission = admission;
        reserved
    }

    /// Whether there is room for a part beside what is in flight of its tenant.
    pub(super) fn check_room(&self, part: &Part) -> Result<(), RingError> {
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
    pub(super) fn begin_parts(&mut self, round: &mut Round) -> Result<(), RingError> {
        round.let_go();
        round.state = State::InFlight;
        round.parts.iter().try_for_each(|part| self.check_room(part))?;
        for index in 0..round.parts.len() {
            let part = &mut round.parts[index];
            let own = self.tenants[part.batch.tenant as usize].as_ref();
            part.most_matches = own.map_or(0, |own| own.max_matches);
            let live = self.live.as_mut().ok_or(RingError::Closed)?;
            match live.publish(part, self.deadline) {
                Ok(held) => {
                    let scan = part.scan.as_ref().map(Scan::milestone);
                    round.hold(held, scan);
                }
                Err(error) => {
                    self.abandon(round);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits for what is in flight of a round, and drops what comes of it.
    pub(super) fn abandon(&self, round: &mut Round) {
        if let Some(live) = &self.live {
            round.abandon(&live.residents, self.deadline);
        }
    }

    pub(super) fn index_of(&self, id: &RoundId) -> Result<usize, RingError> {
        let index = self.rounds.iter().position(|round| round.is(id));
        index.ok_or(RingError::UnknownRound)
    }

    /// Waits for a round that is in flight. Its results are there then.
    pub(super) fn drain(&mut self, index: usize) -> Result<(), RingError> {
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
        round.let_go();
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
    pub(super) fn forget(&mut self) -> Result<(), RingError> {
        let is_forgotten = |round: &Round| round.state == State::InFlight && round.is_forgotten();
        while let Some(index) = self.rounds.iter().position(is_forgotten) {
            self.drain(index).or_else(|error| self.recover_from(error))?;
        }
        self.retire_rounds();
        Ok(())
    }

    pub(crate) fn drain_oldest(&mut self) -> Result<(), RingError> {
        let oldest = self.rounds.iter().position(|round| round.state == State::InFlight);
        let oldest = oldest.ok_or(RingError::UnknownRound)?;
        self.drain(oldest).or_else(|error| self.recover_from(error))
    }

    /// Waits for a round, or scans it again where the device was lost, and appends its results.
    pub(super) fn finish_round(
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
    pub(super) fn retire_rounds(&mut self) {
        let is_over = |round: &Round| round.state != State::InFlight && round.is_forgotten();
        while let Some(index) = self.rounds.iter().position(is_over) {
            if let Some(round) = self.rounds.remove(index) {
                self.retire(round);
            }
        }
    }

    /// Keeps what a round leaves for the next one.
    pub(super) fn retire(&mut self, mut round: Round) {
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
    pub(super) fn despite_loss<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, RingError>,
    ) -> Result<T, RingError> {
        attempt(self).or_else(|error| {
            self.recover_from(error)?;
            attempt(self)
        })
    }

    /// Makes the session anew after the loss of the device, once; an error that is none comes back.
    pub(super) fn recover_from(&mut self, error: RingError) -> Result<(), RingError> {
        if error.is_loss() { self.recover(error) } else { Err(error) }
    }

    /// Makes the session anew on the same physical device, once. What is in flight has to be scanned again.
    pub(super) fn recover(&mut self, lost: RingError) -> Result<(), RingError> {
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
            match error {
                BackendError::CallersDevice { .. } => error.into(),
                _ => lost,
            }
        })?;
        let made = Live::new(self.config, backend)?;
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
