//! Several devices that scan for the same rules, fed by one queue.
//!
//! | file | story |
//! |---|---|
//! | `mod.rs` | the pool, and what each of its devices does |
//! | `queue.rs` | what is still to be scanned |

mod queue;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::{
    Backend, BackendError, Match, ResidentRulePipeline, RulePipeline, ScanError, ScanScratch,
    SessionOptions, Ticket,
};
use queue::{Next, Numbered, Queue};

/// Rules that are resident on several devices: each has a session of its own, of tables that were compiled once. Haystacks go to
/// whichever device is free, so that each gets as much as it can do.
///
/// A device that is lost is taken out, and what it had is scanned by the others; so is one that does not answer in time or has
/// another fault, until the next scan.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, DevicePool, DeviceSelector, PoolOrder, RulePipeline, SessionOptions};
///
/// let options = BackendOptions::default();
/// let devices = Backend::devices(&options)?;
/// let usable = devices.iter().filter(|device| device.unsuitable.is_none());
/// let backends = usable
///     .map(|device| Backend::new(&options.clone().device(Some(DeviceSelector::Uuid(device.uuid)))))
///     .collect::<Result<Vec<_>, _>>()?;
/// let rules = RulePipeline::new(&["[0-9]+"])?;
/// let mut pool = DevicePool::new(&rules, backends, &SessionOptions::new(1 << 16, 100))?;
/// let haystacks = ["1 2", "none", "345"];
/// let mut counts = Vec::new();
/// let report = pool.scan(haystacks.iter().map(|text| text.as_bytes()), PoolOrder::AsGiven, |number, matches| {
///     counts.push((number, matches.map(<[_]>::len).unwrap_or_default()));
/// })?;
/// assert_eq!(counts, [(0, 2), (1, 0), (2, 1)]);
/// assert_eq!(report.devices.iter().map(|device| device.haystacks).sum::<u64>(), 3);
/// pool.free()?;
/// # Ok::<(), vkscan::ScanError>(())
/// ```
pub struct DevicePool {
    members: Vec<Member>,
}

/// A device of a pool.
struct Member {
    backend: Backend,
    session: ResidentRulePipeline,
}

/// In which order a pool tells what it has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolOrder {
    /// As scans end.
    AsFinished,
    /// As haystacks were given. Devices do not get further ahead of the slowest scan than four times what they have in flight.
    AsGiven,
}

/// What came of the scans of a pool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolReport {
    /// Each device, in the order in which the pool was given them.
    pub devices: Vec<PoolShare>,
}

/// What one device of a pool has done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolShare {
    /// The device's name.
    pub device: String,
    /// Haystacks that it has scanned, and their bytes.
    pub haystacks: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// From its first haystack to its last one.
    pub busy: Duration,
    /// Why it was taken out, if it was.
    pub fault: Option<BackendError>,
}

/// What came of one haystack.
struct Found {
    number: u64,
    matches: Result<Vec<Match>, ScanError>,
}

impl DevicePool {
    /// Makes the tables resident on each of the devices, which may be of different kinds. Each takes the memory of a session
    /// with these options.
    ///
    /// # Errors
    ///
    /// As [`RulePipeline::prepare_resident_with`], on any of them.
    pub fn new(
        rules: &RulePipeline,
        backends: Vec<Backend>,
        options: &SessionOptions,
    ) -> Result<DevicePool, ScanError> {
        let member = |backend: Backend| {
            let session = rules.prepare_resident_with(&backend, options)?;
            Ok(Member { backend, session })
        };
        Ok(DevicePool {
            members: backends.into_iter().map(member).collect::<Result<_, ScanError>>()?,
        })
    }

    /// The devices, those that are lost included.
    pub fn backends(&self) -> impl ExactSizeIterator<Item = &Backend> {
        self.members.iter().map(|member| &member.backend)
    }

    /// Scans all haystacks, which are numbered from 0 on, and calls `on_result` with what came of each: its matches, sorted, or
    /// what was wrong with it alone, such as too many matches. Each is told once.
    ///
    /// `haystacks` are asked for one at a time, when a device is free, by threads of the pool's.
    ///
    /// # Errors
    ///
    /// The fault of the last of the devices ([`BackendError::DeviceLost`], for one), or [`BackendError::NoDevice`] where there never
    /// was one, with haystacks left to be scanned. What was told before is right.
    pub fn scan<'h, I>(
        &mut self,
        haystacks: I,
        order: PoolOrder,
        mut on_result: impl FnMut(u64, Result<&[Match], ScanError>),
    ) -> Result<PoolReport, ScanError>
    where
        I: IntoIterator<Item = &'h [u8]>,
        I::IntoIter: Send,
    {
        /// Times what is in flight that devices may be ahead.
        const AHEAD: u64 = 4;

        let in_flight = self.members.iter().map(|member| member.session.scans_in_flight() as u64);
        let most = match order {
            PoolOrder::AsFinished => u64::MAX,
            PoolOrder::AsGiven => AHEAD * in_flight.sum::<u64>(),
        };
        let queue = Queue::new(haystacks.into_iter(), most);
        let (to, from) = channel();
        let devices = std::thread::scope(|scope| {
            let begin = |member| {
                let (to, queue) = (to.clone(), &queue);
                scope.spawn(move || Member::work(member, queue, &to))
            };
            let threads: Vec<_> = self.members.iter().map(begin).collect();
            drop(to);
            // Whatever ends this, such as a panic in `on_result`: nobody is left waiting.
            let closing = Closing(&queue);
            tell(&from, order, &queue, &mut on_result);
            drop(closing);
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
        });
        let report = PoolReport { devices };
        if queue.has_left() {
            let fault = report.devices.iter().filter_map(|device| device.fault.clone()).next_back();
            return Err(fault.unwrap_or(BackendError::NoDevice).into());
        }
        Ok(report)
    }

    /// Gives all devices' memory back.
    ///
    /// # Errors
    ///
    /// The first fault of a device that is not lost. What can be freed is freed all the same.
    pub fn free(self) -> Result<(), ScanError> {
        let mut freed = Ok(());
        for Member { backend, session, .. } in self.members {
            let result = session.free(&backend);
            if freed.is_ok() && !backend.is_lost() {
                freed = result;
            }
        }
        freed
    }
}

impl Member {
    /// Scans what the queue gives, several at a time, until there is nothing left or the device is at fault.
    fn work<'h, I: Iterator<Item = &'h [u8]>>(
        &self,
        queue: &Queue<I>,
        to: &Sender<Found>,
    ) -> PoolShare {
        let began = Instant::now();
        let mut share = PoolShare {
            device: self.backend.device_info().name.clone(),
            haystacks: 0,
            bytes: 0,
            busy: Duration::ZERO,
            fault: self.backend.device().alive().err(),
        };
        let mut scratch = ScanScratch::default();
        let mut in_flight: VecDeque<(Numbered<&[u8]>, Ticket)> = VecDeque::new();
        while share.fault.is_none() {
            let has_room = in_flight.len() < self.session.scans_in_flight();
            let next = if has_room { queue.next() } else { Next::Later };
            let (scanned, result) = match (next, in_flight.is_empty()) {
                (Next::Item(item), _) => match self.session.submit(&self.backend, item.item) {
                    Ok(ticket) => {
                        in_flight.push_back((item, ticket));
                        continue;
                    }
                    Err(error) => (item, Err(error)),
                },
                (Next::Later, true) => {
                    queue.wait();
                    continue;
                }
                (Next::End, true) => break,
                (_, false) => {
                    let (item, ticket) = in_flight.pop_front().expect("something is in flight");
                    let mut matches = Vec::new();
                    (item, ticket.wait_into(&mut matches, &mut scratch).map(|_| matches))
                }
            };
            if let Err(ScanError::Backend(fault)) = result {
                share.fault = Some(fault);
                let rest = in_flight.drain(..).map(|(item, _)| item);
                queue.give_back([scanned].into_iter().chain(rest));
                break;
            }
            share.haystacks += 1;
            share.bytes += scanned.item.len() as u64;
            share.busy = began.elapsed();
            // Nobody may be left to hear it.
            let _ = to.send(Found { number: scanned.number, matches: result });
            queue.done();
        }
        share
    }
}

/// Tells what has been found, as it comes or as haystacks were given.
fn tell<I: Iterator>(
    from: &Receiver<Found>,
    order: PoolOrder,
    queue: &Queue<I>,
    on_result: &mut impl FnMut(u64, Result<&[Match], ScanError>),
) {
    let mut early = BTreeMap::new();
    let mut next = 0;
    let mut tell = |number, matches: Result<Vec<Match>, ScanError>| match matches {
        Ok(matches) => on_result(number, Ok(&matches)),
        Err(error) => on_result(number, Err(error)),
    };
    for Found { number, matches } in from {
        if order == PoolOrder::AsFinished {
            tell(number, matches);
            continue;
        }
        early.insert(number, matches);
        while let Some(matches) = early.remove(&next) {
            tell(next, matches);
            next += 1;
        }
        queue.pass_on(next);
    }
    // Where devices were lost with haystacks that nobody scanned, others behind them were.
    early.into_iter().for_each(|(number, matches)| tell(number, matches));
}

/// Closes a queue when it goes.
struct Closing<'q, I: Iterator>(&'q Queue<I>);

impl<I: Iterator> Drop for Closing<'_, I> {
    fn drop(&mut self) {
        self.0.close();
    }
}
