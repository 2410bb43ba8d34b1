//! Several devices that scan for the same rules, fed by one queue.
//!
//! | file | story |
//! |---|---|
//! | `mod.rs` | the pool, and what its devices have done |
//! | `ring.rs` | the same for many small haystacks, several in each dispatch |
//! | `windows.rs` | a haystack that is larger than a session takes, in windows |
//! | `lanes.rs` | what each device does |
//! | `queue.rs` | what is still to be done |

mod lanes;
mod queue;
mod ring;
mod windows;

#[cfg(test)]
mod tests;

pub use ring::RingPool;
pub use windows::WindowSource;

use std::ops::AddAssign;
use std::time::Duration;

use crate::scan::session::{Carried, Range, ScanScratch};
use crate::scan::ticket::{Ticket, Undecided};
use crate::{
    Backend, BackendError, Match, ResidentRulePipeline, RulePipeline, ScanError, ScanStats,
    SessionOptions, StreamError, StreamMatch,
};
use lanes::{Job, Lanes};
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
/// let mut counts = Vec::new();
/// let report = pool.scan(["1 2", "none", "345"], u32::MAX, PoolOrder::AsGiven, |_, haystack, matches| {
///     counts.push((haystack, matches.map(<[_]>::len).ok()));
/// })?;
/// assert_eq!(counts, [("1 2", Some(2)), ("none", Some(0)), ("345", Some(1))]);
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
#[derive(Clone, Debug, Default)]
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
    /// Haystacks, or windows of one, or items, that it has scanned.
    pub haystacks: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// From the submission of the first of them to the end of the last.
    pub busy: Duration,
    /// Why it was taken out, if it was.
    pub fault: Option<BackendError>,
    /// Whether it was lost, and its ring session has made itself anew and gone on.
    pub recovered: bool,
    /// Of its scans together.
    pub stats: ScanStats,
}

/// Sums up what the same devices have done.
impl AddAssign for PoolReport {
    fn add_assign(&mut self, other: PoolReport) {
        for (share, other) in self.devices.iter_mut().zip(other.devices) {
            share.haystacks += other.haystacks;
            share.bytes += other.bytes;
            share.busy += other.busy;
            share.fault = other.fault.or(share.fault.take());
            share.recovered |= other.recovered;
            share.stats += other.stats;
        }
    }
}

/// A haystack to be scanned.
struct Whole<H>(H);

impl<H: AsRef<[u8]> + Send> Job for Whole<H> {
    fn size(&self) -> [u64; 2] {
        [1, self.0.as_ref().len() as u64]
    }
}

/// What was found, and where more of the haystack is needed.
struct Done {
    matches: Vec<Match>,
    undecided: Option<Undecided>,
    carried: Vec<Carried>,
    stats: ScanStats,
}

impl lanes::Done for Done {
    fn stats(&self) -> ScanStats {
        self.stats
    }
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

    /// Scans all haystacks, which are numbered from 0 on, with matches of at most `max_scan_bytes` bytes, and calls `on_result`
    /// with each and what came of it: its matches, sorted, or what was wrong with it alone, such as too many matches. Each is
    /// told once.
    ///
    /// `haystacks` are asked for one at a time, when a device is free, by threads of the pool's but for the first two; the
    /// iterator is not to wait for results. No more are asked for than four times what is in flight ahead of those that were told, or in order before the
    /// first that was not.
    ///
    /// # Errors
    ///
    /// The fault of one of the devices ([`BackendError::DeviceLost`], for one) where all are at fault, or
    /// [`BackendError::NoDevice`] where there never was one, with haystacks left to be scanned; one more is asked for to tell.
    /// What was told before is right. A haystack that takes a second device, too, longer than
    /// [`BackendOptions::wait_timeout`](crate::BackendOptions::wait_timeout) is told with that fault.
    pub fn scan<I>(
        &mut self,
        haystacks: I,
        max_scan_bytes: u32,
        order: PoolOrder,
        mut on_result: impl FnMut(u64, I::Item, Result<&[Match], ScanError>),
    ) -> Result<PoolReport, ScanError>
    where
        I: IntoIterator<IntoIter: Send, Item: AsRef<[u8]> + Send>,
    {
        let begin = |index: usize| {
            let member: &Member = &self.members[index];
            let mut scratch = ScanScratch::default();
            move |Whole(haystack): &Whole<I::Item>| {
                let haystack = haystack.as_ref();
                // What is longer than any session takes is refused as such.
                let len = u32::try_from(haystack.len()).unwrap_or(u32::MAX);
                member.scan(haystack, Range::whole(len, max_scan_bytes), &[], &mut scratch)
            }
        };
        let jobs = haystacks.into_iter().map(Whole);
        lanes::run(&self.lanes(), jobs, order, begin, |number, Whole(haystack), done| {
            match done {
                Ok(done) => on_result(number, haystack, Ok(&done.matches)),
                Err(error) => on_result(number, haystack, Err(error)),
            }
            Ok(())
        })
    }

    /// Scans one haystack of any length, in memory or wherever a [`WindowSource`] has it, in windows of the sessions' capacity
    /// that all devices look through at a time, with matches of at most `max_scan_bytes` bytes. Calls `on_matches` with those of
    /// one window after the other, or of a part of one: sorted, and all starts before those that follow.
    ///
    /// [`ResidentRulePipeline::max_matches`] bounds the matches of one window.
    ///
    /// # Errors
    ///
    /// As [`DevicePool::scan`], and as [`ResidentRulePipeline::scan_reader`]. The matches that
    /// `on_matches` was called with until then are exactly those that start before [`StreamError::scanned`].
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
    /// pool.scan_large(&haystack[..], u32::MAX, |matches| {
    ///     found.extend(matches.iter().map(|one| (one.start, one.end)));
    /// })?;
    /// assert_eq!(found, [(5000, 5004)]);
    /// # pool.free()?;
    /// # Ok::<(), vkscan::ScanError>(())
    /// ```
    pub fn scan_large<S: WindowSource + ?Sized>(
        &mut self,
        haystack: &S,
        max_scan_bytes: u32,
        mut on_matches: impl FnMut(&[StreamMatch]),
    ) -> Result<PoolReport, StreamError> {
        let of_stream = |error| StreamError { error, scanned: 0 };
        let first = self.members.first().ok_or_else(|| of_stream(BackendError::NoDevice.into()))?;
        let windows =
            Windows::new(haystack.bytes(), &first.session, max_scan_bytes).map_err(of_stream)?;
        let mut chain = Chain::new(haystack, windows.clone());
        let begin = |index: usize| {
            let member: &Member = &self.members[index];
            let mut scratch = ScanScratch::default();
            move |window: &windows::Window| {
                let bytes = window.read(haystack)?;
                member.scan(&bytes, window.range, &[], &mut scratch)
            }
        };
        let report = lanes::run(&self.lanes(), windows, PoolOrder::AsGiven, begin, |_, _, done| {
            chain.add(done, &self.members, &mut on_matches)
        });
        report.map_err(|error| StreamError { error, scanned: chain.scanned() })
    }

    fn lanes(&self) -> Vec<Lanes<'_>> {
        let members = self.members.iter();
        let of_member = members.map(|Member { backend, session }| Lanes {
            name: &backend.device_info().name,
            backend: Some(backend),
            count: session.scans_in_flight(),
        });
        of_member.collect()
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
    /// Scans a range of starts, but for those in what is `carried`.
    fn scan(
        &self,
        haystack: &[u8],
        range: Range,
        carried: &[Carried],
        scratch: &mut ScanScratch,
    ) -> Result<Done, ScanError> {
        let haystack = haystack.into();
        let ticket = Ticket::begin(&self.session, &self.backend, haystack, range, carried, &[])?;
        scratch.carried.clear();
        scratch.carried.extend_from_slice(carried);
        let mut matches = Vec::new();
        let (stats, undecided) = ticket.finish(&mut matches, scratch)?;
        Ok(Done { matches, undecided, carried: scratch.carried.clone(), stats })
    }
}
