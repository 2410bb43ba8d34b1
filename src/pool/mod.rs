//! Several devices that scan for the same rules, fed by one queue.
//!
//! | file | story |
//! |---|---|
//! | `mod.rs` | the pool, and what each of its devices does |
//! | `queue.rs` | what is still to be scanned |
//! | `windows.rs` | a haystack that is larger than a session takes, in windows |

mod queue;
mod windows;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::scan::session::{Carried, Range, ScanScratch};
use crate::scan::ticket::{Ticket, Undecided};
use crate::{
    Backend, BackendError, Match, ResidentRulePipeline, RulePipeline, ScanError, SessionOptions,
    StreamError, StreamMatch,
};
use queue::{Closing, Next, Numbered, Queue};
use windows::{Chain, Windows};

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
///     counts.push((number, matches.map(<[_]>::len).ok()));
/// })?;
/// assert_eq!(counts, [(0, Some(2)), (1, Some(0)), (2, Some(1))]);
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
    /// As haystacks were given.
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
    /// Haystacks, or windows of one, that it has scanned.
    pub haystacks: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// From the submission of the first of them to the end of the last.
    pub busy: Duration,
    /// Why it was taken out, if it was.
    pub fault: Option<BackendError>,
}

/// What a device scans at a time.
struct Job<'h> {
    haystack: &'h [u8],
    range: Range,
}

/// What came of it.
struct Found {
    number: u64,
    done: Result<Done, ScanError>,
}

/// What was found, and where more of the haystack is needed.
struct Done {
    matches: Vec<Match>,
    undecided: Option<Undecided>,
    carried: Vec<Carried>,
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
    /// `haystacks` are asked for one at a time, when a device is free, by threads of the pool's; the iterator is not to wait for
    /// results. No more are asked for than four times what is in flight ahead of those that were told, or in order before the
    /// first that was not.
    ///
    /// # Errors
    ///
    /// The fault of one of the devices ([`BackendError::DeviceLost`], for one) where all are at fault, or
    /// [`BackendError::NoDevice`] where there never was one, with haystacks left to be scanned; one more is asked for to tell.
    /// What was told before is right. A haystack that takes a second device, too, longer than
    /// [`BackendOptions::wait_timeout`](crate::BackendOptions::wait_timeout) is told with that fault.
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
        let whole = |haystack: &'h [u8]| {
            // What is longer than any session takes is refused as such.
            let len = u32::try_from(haystack.len()).unwrap_or(u32::MAX);
            Job { haystack, range: Range::whole(len, u32::MAX) }
        };
        self.run(haystacks.into_iter().map(whole), order, |number, done| {
            match done {
                Ok(done) => on_result(number, Ok(&done.matches)),
                Err(error) => on_result(number, Err(error)),
            }
            Ok(())
        })
    }

    /// Scans one haystack of any length, in windows of the sessions' capacity that all devices look through at a time, with
    /// matches of at most `max_scan_bytes` bytes. Calls `on_match` with every match: sorted within a window, and windows in order.
    ///
    /// [`ResidentRulePipeline::max_matches`] bounds the matches of one window.
    ///
    /// # Errors
    ///
    /// As [`DevicePool::scan`], and as [`ResidentRulePipeline::scan_reader`] but for what is about its reader. The matches that
    /// `on_match` was called with until then are exactly those that start before [`StreamError::scanned`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use vkscan::{Backend, BackendOptions, DevicePool, RulePipeline, SessionOptions};
    /// # let backends = vec![Backend::new(&BackendOptions::default())?];
    /// let rules = RulePipeline::new(&["b[0-9]+"])?;
    /// let mut pool = DevicePool::new(&rules, backends, &SessionOptions::new(64, 10))?;
    /// let haystack = [&[b'a'; 5000][..], b"b123 ", &[b'c'; 5000]].concat();
    /// let mut found = Vec::new();
    /// pool.scan_large(&haystack, u32::MAX, |one| found.push((one.start, one.end)))?;
    /// assert_eq!(found, [(5000, 5004)]);
    /// # pool.free()?;
    /// # Ok::<(), vkscan::ScanError>(())
    /// ```
    pub fn scan_large(
        &mut self,
        haystack: &[u8],
        max_scan_bytes: u32,
        mut on_match: impl FnMut(StreamMatch),
    ) -> Result<PoolReport, StreamError> {
        let of_stream = |error| StreamError { error, scanned: 0 };
        let first = self.members.first().ok_or_else(|| of_stream(BackendError::NoDevice.into()))?;
        let windows = Windows::new(haystack, &first.session, max_scan_bytes).map_err(of_stream)?;
        let mut chain = Chain::new(windows.clone());
        let report = self.run(windows, PoolOrder::AsGiven, |_, done| {
            chain.add(done, &self.members, &mut on_match)
        });
        report.map_err(|error| StreamError { error, scanned: chain.scanned() })
    }

    /// Has the devices do all jobs, and calls `on_done` with what came of each, until it fails.
    fn run<'h>(
        &self,
        jobs: impl Iterator<Item = Job<'h>> + Send,
        order: PoolOrder,
        mut on_done: impl FnMut(u64, Result<Done, ScanError>) -> Result<(), ScanError>,
    ) -> Result<PoolReport, ScanError> {
        /// Times what is in flight that devices may be ahead.
        const AHEAD: u64 = 4;

        let in_flight = self.members.iter().map(|member| member.session.scans_in_flight() as u64);
        let most = AHEAD * in_flight.sum::<u64>();
        let queue = Queue::new(jobs, most);
        let (to, from) = channel();
        let (told, devices) = std::thread::scope(|scope| {
            // Whatever ends this, such as a panic of the caller's: nobody is left waiting.
            let closing = Closing(&queue);
            let begin = |member| {
                let (to, queue) = (to.clone(), &queue);
                scope.spawn(move || Member::work(member, queue, &to))
            };
            let threads: Vec<_> = self.members.iter().map(begin).collect();
            drop(to);
            let told = tell(&from, order, &queue, &mut on_done);
            drop(closing);
            // Only what the caller gave panics: the iterator.
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            (told, ended.collect())
        });
        told?;
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
    fn work<'h, I: Iterator<Item = Job<'h>>>(
        &self,
        queue: &Queue<I>,
        to: &Sender<Found>,
    ) -> PoolShare {
        let mut began = None;
        let mut share = PoolShare {
            device: self.backend.device_info().name.clone(),
            haystacks: 0,
            bytes: 0,
            busy: Duration::ZERO,
            fault: self.backend.device().alive().err(),
        };
        let mut scratch = ScanScratch::default();
        let mut in_flight: VecDeque<(Numbered<Job>, Ticket)> = VecDeque::new();
        while share.fault.is_none() {
            let has_room = in_flight.len() < self.session.scans_in_flight();
            let next = if has_room { queue.next() } else { Next::Later };
            let (scanned, done) = match (next, in_flight.is_empty()) {
                (Next::Item(job), _) => {
                    began.get_or_insert_with(Instant::now);
                    let Job { haystack, range } = job.item;
                    let haystack = haystack.into();
                    match Ticket::begin(&self.session, &self.backend, haystack, range, &[], &[]) {
                        Ok(ticket) => {
                            in_flight.push_back((job, ticket));
                            continue;
                        }
                        Err(error) => (job, Err(error)),
                    }
                }
                (Next::Later, true) => {
                    queue.wait();
                    continue;
                }
                (Next::End, true) => break,
                (_, false) => {
                    let (job, ticket) = in_flight.pop_front().expect("something is in flight");
                    let mut matches = Vec::new();
                    scratch.carried.clear();
                    let done = ticket.finish(&mut matches, &mut scratch).map(|(_, undecided)| {
                        Done { matches, undecided, carried: scratch.carried.clone() }
                    });
                    (job, done)
                }
            };
            if let Err(ScanError::Backend(fault)) = &done {
                share.fault = Some(fault.clone());
                let mut rest: Vec<_> = in_flight.drain(..).map(|(job, _)| job).collect();
                let is_slow = matches!(fault, BackendError::Timeout { .. });
                if !is_slow || !scanned.was_slow {
                    rest.insert(0, Numbered { was_slow: is_slow, ..scanned });
                    queue.give_back(rest);
                    break;
                }
                // It is not the devices' fault.
                queue.give_back(rest);
            }
            if done.is_ok() {
                share.haystacks += 1;
                share.bytes += scanned.item.haystack.len() as u64;
                share.busy = began.map_or(Duration::ZERO, |began: Instant| began.elapsed());
            }
            // Nobody may be left to hear it.
            let _ = to.send(Found { number: scanned.number, done });
            queue.done();
        }
        share
    }
}

/// Tells what has been done, as it comes or as jobs were given, until that fails.
fn tell<I: Iterator>(
    from: &Receiver<Found>,
    order: PoolOrder,
    queue: &Queue<I>,
    on_done: &mut impl FnMut(u64, Result<Done, ScanError>) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for Found { number, done } in from {
        if order == PoolOrder::AsFinished {
            on_done(number, done)?;
            next += 1;
            queue.pass_on(next);
            continue;
        }
        early.insert(number, done);
        while let Some(done) = early.remove(&next) {
            on_done(next, done)?;
            next += 1;
            queue.pass_on(next);
        }
    }
    Ok(())
}
