//! What the devices of a pool do: each has lanes, which take jobs from one queue, so that a device is at several at a time.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::queue::{Closing, Next, Numbered, Queue};
use super::{PoolOrder, PoolReport, PoolShare};
use crate::{Backend, BackendError, RingError, ScanError, ScanStats};

/// A device, as far as lanes go.
pub(super) struct Lanes<'p> {
    pub(super) name: &'p str,
    /// None if it is gone for good.
    pub(super) backend: Option<&'p Backend>,
    pub(super) count: usize,
}

/// What a lane does at a time.
pub(super) trait Job: Send {
    /// Haystacks, and their bytes.
    fn size(&self) -> [u64; 2];
}

/// What comes of a job.
pub(super) trait Done: Send {
    fn stats(&self) -> ScanStats;

    /// Whether the device was lost meanwhile, and is there again.
    fn has_recovered(&self) -> bool {
        false
    }
}

/// What may be wrong with a job, or with the device that did it.
pub(super) trait Fault: From<BackendError> + Send {
    fn of_device(&self) -> Option<&BackendError>;
}

impl Fault for ScanError {
    fn of_device(&self) -> Option<&BackendError> {
        match self {
            ScanError::Backend(fault) => Some(fault),
            _ => None,
        }
    }
}

impl Fault for RingError {
    fn of_device(&self) -> Option<&BackendError> {
        match self {
            RingError::Scan(error) => error.of_device(),
            // Another lane has seen its device lost for good, or what that has not answered for holds all slots.
            RingError::Closed | RingError::Full { .. } | RingError::UnknownRound => {
                Some(&BackendError::NoDevice)
            }
            _ => None,
        }
    }
}

/// A job, and what came of it.
struct Ended<J, D, E> {
    job: Numbered<J>,
    done: Result<D, E>,
}

/// What the lanes of a device have done, and why there are no more.
struct Device {
    share: PoolShare,
    began: Option<Instant>,
}

/// Has the lanes of all devices do all jobs, and calls `on_done` with what came of each, until it fails. `begin` makes what
/// a lane of a device, which has that index, does its jobs with.
pub(super) fn run<J: Job, D: Done, E: Fault, L: FnMut(&J) -> Result<D, E>>(
    lanes: &[Lanes],
    jobs: impl Iterator<Item = J> + Send,
    order: PoolOrder,
    begin: impl Fn(usize) -> L + Sync,
    mut on_done: impl FnMut(u64, J, Result<D, E>) -> Result<(), E>,
) -> Result<PoolReport, E> {
    /// Times what is in flight that devices may be ahead.
    const AHEAD: u64 = 4;

    let in_flight = lanes.iter().map(|lanes| lanes.count as u64).sum::<u64>();
    let mut jobs = jobs.fuse();
    let first = [jobs.next(), jobs.next()];
    let is_single = first[1].is_none();
    let queue = Queue::new(first.into_iter().flatten().chain(jobs), AHEAD * in_flight);
    let devices: Vec<_> = lanes.iter().map(|lanes| Mutex::new(Device::new(lanes))).collect();
    let (to, from) = channel();
    if is_single {
        // It takes no other thread.
        for (index, device) in devices.iter().enumerate() {
            work(device, &queue, begin(index), &to);
        }
    }
    let told = std::thread::scope(|scope| {
        // Whatever ends this, such as a panic of the caller's: nobody is left waiting.
        let closing = Closing(&queue);
        let mut threads = Vec::new();
        for (index, (lanes, device)) in lanes.iter().zip(&devices).enumerate() {
            for _ in 0..if is_single { 0 } else { lanes.count } {
                let (to, queue, begin) = (to.clone(), &queue, &begin);
                threads.push(scope.spawn(move || work(device, queue, begin(index), &to)));
            }
        }
        drop(to);
        let told = tell(&from, order, &queue, &mut on_done);
        drop(closing);
        for thread in threads {
            // Only what the caller gave panics: the iterator, and what haystacks are read with.
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        told
    });
    told?;
    let share =
        |device: Mutex<Device>| device.into_inner().unwrap_or_else(PoisonError::into_inner).share;
    let report = PoolReport { devices: devices.into_iter().map(share).collect() };
    if queue.has_left() {
        let fault = report.devices.iter().filter_map(|device| device.fault.clone()).next_back();
        return Err(fault.unwrap_or(BackendError::NoDevice).into());
    }
    Ok(report)
}

impl Device {
    fn new(lanes: &Lanes) -> Device {
        let share = PoolShare {
            device: lanes.name.to_owned(),
            haystacks: 0,
            bytes: 0,
            busy: Duration::ZERO,
            fault: match lanes.backend {
                Some(backend) => backend.device().alive().err(),
                None => Some(BackendError::NoDevice),
            },
            recovered: false,
            stats: ScanStats::default(),
        };
        Device { share, began: None }
    }
}

fn lock(device: &Mutex<Device>) -> MutexGuard<'_, Device> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what the queue gives, one job after the other, until there is nothing left or the device is at fault.
fn work<J: Job, D: Done, E: Fault>(
    device: &Mutex<Device>,
    queue: &Queue<impl Iterator<Item = J>>,
    mut scan: impl FnMut(&J) -> Result<D, E>,
    to: &Sender<Ended<J, D, E>>,
) {
    while lock(device).share.fault.is_none() {
        let mut job = match queue.next() {
            Next::Item(job) => job,
            Next::Later => {
                queue.wait();
                continue;
            }
            Next::End => break,
        };
        if lock(device).share.fault.is_some() {
            // Another lane had it before, perhaps.
            queue.give_back(job);
            break;
        }
        lock(device).began.get_or_insert_with(Instant::now);
        // If what the caller gave panics, nobody waits for it.
        let closing = Closing(queue);
        let done = scan(&job.item);
        let [haystacks, bytes] = job.item.size();
        std::mem::forget(closing);
        if let Some(fault) = done.as_ref().err().and_then(Fault::of_device) {
            let is_slow = matches!(fault, BackendError::Timeout { .. });
            // What two devices do not answer for is not their fault.
            if !is_slow || !job.was_slow {
                lock(device).share.fault.get_or_insert_with(|| fault.clone());
                job.was_slow = is_slow;
                queue.give_back(job);
                break;
            }
        }
        if let Ok(done) = &done {
            let Device { share, began } = &mut *lock(device);
            share.haystacks += haystacks;
            share.bytes += bytes;
            share.busy = began.map_or(Duration::ZERO, |began| began.elapsed());
            share.stats += done.stats();
            share.recovered |= done.has_recovered();
        }
        // Nobody may be left to hear it.
        let _ = to.send(Ended { job, done });
        queue.done();
    }
}

/// Tells what has been done, as it comes or as jobs were given, until that fails.
fn tell<J, D, E>(
    from: &Receiver<Ended<J, D, E>>,
    order: PoolOrder,
    queue: &Queue<impl Iterator<Item = J>>,
    on_done: &mut impl FnMut(u64, J, Result<D, E>) -> Result<(), E>,
) -> Result<(), E> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for Ended { job: Numbered { number, item, .. }, done } in from {
        if order == PoolOrder::AsFinished {
            on_done(number, item, done)?;
            next += 1;
            queue.pass_on(next);
            continue;
        }
        early.insert(number, (item, done));
        while let Some((item, done)) = early.remove(&next) {
            on_done(next, item, done)?;
            next += 1;
            queue.pass_on(next);
        }
    }
    Ok(())
}
