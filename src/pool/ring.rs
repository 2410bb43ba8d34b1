//! Many small haystacks on several devices, many in each dispatch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lanes::{self, Job, Lanes};
use super::{PoolOrder, PoolReport};
use crate::ring::{packed_len, place};
use crate::{
    Backend, MegakernelSession, MegakernelSessionConfig, RingError, RingItem, RingItemResult,
    RingResults, RulePipeline, ScanStats,
};

/// Rules that are resident on several devices, each of which has a [`MegakernelSession`] of its own, of tables that were
/// compiled once. Small haystacks are packed into rounds, and rounds go to whichever device is free.
///
/// A session whose device is lost makes itself anew once, and says so. When it is lost again, it is taken out, and what it had
/// is scanned by the others; so is one that does not answer in time or has another fault, until the next scan.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, MegakernelSessionConfig, PoolOrder, RingItem, RingPool, RulePipeline};
///
/// let backends = vec![Backend::new(&BackendOptions::default())?];
/// let rules = RulePipeline::new(&["[0-9]+"])?;
/// let config = MegakernelSessionConfig::default().slot_count(1 << 10);
/// let Some(mut pool) = RingPool::new(&rules, &backends, config)? else {
///     return Ok(()); // why is traced; a `DevicePool` scans one haystack at a time
/// };
/// let lines = ["1 2", "none", "345"];
/// let items = (0..).zip(lines).map(|(id, line)| RingItem::new(id, line.as_bytes()));
/// let mut counts = Vec::new();
/// let report = pool.scan(items, PoolOrder::AsGiven, |result| {
///     counts.push((result.id, result.matches.map(<[_]>::len).ok()));
/// })?;
/// assert_eq!(counts, [(0, Some(2)), (1, Some(0)), (2, Some(1))]);
/// assert_eq!(report.devices[0].haystacks, 3);
/// pool.free()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RingPool {
    members: Vec<Member>,
    config: MegakernelSessionConfig,
    /// Results of rounds that have been told, whose memory is used again.
    spare: Mutex<Vec<RingResults>>,
}

/// A device of a pool.
struct Member {
    device: String,
    session: Mutex<MegakernelSession>,
}

/// Items of one round, and their bytes.
struct Round<'i> {
    items: Vec<RingItem<'i>>,
    bytes: u64,
}

impl Job for Round<'_> {
    fn size(&self) -> [u64; 2] {
        [self.items.len() as u64, self.bytes]
    }
}

impl lanes::Done for RingResults {
    fn stats(&self) -> ScanStats {
        self.stats().scan
    }

    fn has_recovered(&self) -> bool {
        self.stats().recovered
    }
}

impl RingPool {
    /// Makes the tables and a ring of slots resident on each of the devices, which may be of different kinds. Each takes the
    /// memory of a session with this configuration.
    ///
    /// `None` where one of them cannot run it, as [`MegakernelSession::new`].
    ///
    /// # Errors
    ///
    /// As [`MegakernelSession::new`], on any of them.
    pub fn new(
        rules: &RulePipeline,
        backends: &[Backend],
        config: MegakernelSessionConfig,
    ) -> Result<Option<RingPool>, RingError> {
        let config = config.checked()?;
        let mut members = Vec::with_capacity(backends.len());
        for backend in backends {
            let Some(session) = MegakernelSession::new(backend, rules, config)? else {
                return Ok(None);
            };
            let (device, session) = (backend.device_info().name.clone(), Mutex::new(session));
            members.push(Member { device, session });
        }
        let spare = Mutex::default();
        Ok(Some(RingPool { members, config, spare }))
    }

    /// Scans all items, which are in ordinary memory, and calls `on_result` with what has come of each, as
    /// [`MegakernelSession::submit_scan`] gives it. Each is told once.
    ///
    /// `items` are asked for when a device is free, by threads of the pool's but for the first ones; the iterator is not to wait
    /// for results. No more rounds of them are put together than four times what is in flight ahead of what was told.
    ///
    /// # Errors
    ///
    /// The fault of one of the devices where all are at fault, with items left to be scanned; one more is asked for to tell. What
    /// was told before is right. Items that take a second device, too, longer than
    /// [`BackendOptions::wait_timeout`](crate::BackendOptions::wait_timeout) end the scan with that fault.
    pub fn scan<'i, I>(
        &mut self,
        items: I,
        order: PoolOrder,
        mut on_result: impl FnMut(RingItemResult),
    ) -> Result<PoolReport, RingError>
    where
        I: IntoIterator<Item = RingItem<'i>, IntoIter: Send>,
    {
        let members = &self.members;
        let backends: Vec<Option<Backend>> = self.backends().collect();
        let count = self.config.rounds_in_flight;
        let lanes = members.iter().zip(&backends);
        let lanes: Vec<Lanes> = lanes
            .map(|(member, backend)| Lanes {
                name: &member.device,
                backend: backend.as_ref(),
                count,
            })
            .collect();
        let (spare, spare_rounds) = (&self.spare, Mutex::default());
        let (items, config) = (items.into_iter().fuse(), self.config);
        let rounds = Rounds { items, next: None, config, spare: &spare_rounds };
        let begin = |index: usize| {
            let member: &Member = &members[index];
            move |round: &Round| {
                let mut results = lock(spare).pop().unwrap_or_default();
                member.scan(&round.items, &mut results)?;
                Ok(results)
            }
        };
        lanes::run(&lanes, rounds, order, begin, |_, round, results| {
            let results = results?;
            results.iter().for_each(&mut on_result);
            let mut spare = lock(spare);
            if spare.len() < members.len() * count {
                spare.push(results);
            }
            lock(&spare_rounds).push(round.items);
            Ok(())
        })
    }

    /// The devices that the sessions are on now, in the order in which they were given: not that one, once it was lost. None for
    /// a session that could not be made anew.
    pub fn backends(&self) -> impl ExactSizeIterator<Item = Option<Backend>> {
        self.members.iter().map(|member| member.lock().backend().cloned())
    }

    /// Gives all devices' memory back.
    ///
    /// # Errors
    ///
    /// The first fault of a device that is not lost. What can be freed is freed all the same.
    pub fn free(self) -> Result<(), RingError> {
        let mut freed = Ok(());
        for Member { session, .. } in self.members {
            let mut session = session.into_inner().unwrap_or_else(PoisonError::into_inner);
            let is_lost = session.backend().is_none_or(Backend::is_lost);
            let result = session.shutdown();
            if freed.is_ok() && !is_lost {
                freed = result;
            }
        }
        freed
    }
}

impl Member {
    fn lock(&self) -> MutexGuard<'_, MegakernelSession> {
        lock(&self.session)
    }

    /// Scans the items of a round, while other lanes have theirs in flight.
    fn scan(&self, items: &[RingItem], results: &mut RingResults) -> Result<(), RingError> {
        // What others have published is left to them: nothing but slots is waited for.
        let lent = self.lock().lend_round(items)?;
        let reserved = lent.fill()?;
        let mut session = self.lock();
        // Rounds may end in another order than they began.
        while session.is_full_for(&reserved) {
            session.drain_oldest()?;
        }
        let published = session.publish_reserved(reserved)?;
        drop(session);
        published.wait()?;
        self.lock().collect_into(published, results)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Items by rounds, as many in each as a lane's share of the ring takes.
struct Rounds<'s, 'i, I> {
    items: I,
    /// What did not fit the round before.
    next: Option<RingItem<'i>>,
    config: MegakernelSessionConfig,
    /// Memory of rounds that have been told.
    spare: &'s Mutex<Vec<Vec<RingItem<'i>>>>,
}

impl<'i, I: Iterator<Item = RingItem<'i>>> Iterator for Rounds<'_, 'i, I> {
    type Item = Round<'i>;

    fn next(&mut self) -> Option<Round<'i>> {
        let most = (self.config.share() as usize / self.config.rounds_in_flight).max(1);
        let mut items = lock(self.spare).pop().unwrap_or_else(|| Vec::with_capacity(most));
        items.clear();
        let (mut bytes, mut end) = (0, None);
        while items.len() < most
            && let Some(item) = self.next.take().or_else(|| self.items.next())
        {
            let len = item.bytes.len().unwrap_or(0);
            // What is too large takes no room, for it is not scanned.
            if len <= self.config.most_bytes() {
                let behind = place(end, len).end;
                if packed_len(behind) > self.config.round_bytes {
                    self.next = Some(item);
                    break;
                }
                end = Some(behind);
            }
            bytes += len as u64;
            items.push(item);
        }
        (!items.is_empty()).then_some(Round { items, bytes })
    }
}
