//! The resident session.

use std::sync::Arc;

use ash::vk;
use bytemuck::{bytes_of, cast_slice};

use super::ScanError;
use super::frame::pipelines::{Kernels, Specialisation};
use super::frame::{Common, Frame, FrameShape};
use super::frames::Frames;
use super::haystack::{StagedHaystack, StagingPool, User as _};
use super::plan::SessionPlan;
use crate::narrow::narrow;
use crate::rules::tables::pack::Pass;
use crate::shaders::layout::Hit;
use crate::vulkan::allocator::MemoryLocation;
use crate::vulkan::deadline::Deadline;
use crate::vulkan::device::Device;
use crate::vulkan::memory::{Buffer, WatchedBuffer};
use crate::vulkan::staging::StagingBuffer;
use crate::{Backend, BackendError, Match, MatchKind};

/// A pipeline whose tables are resident on a device, ready to scan.
///
/// It can be shared: many threads may scan through one session at the same time, as many at once as it
/// has frames ([`SessionOptions::scans_in_flight`](crate::SessionOptions)), and each gets exactly its own matches. Dropping it
/// frees everything, once what runs has ended or [`BackendOptions::wait_timeout`](crate::BackendOptions::wait_timeout) has
/// passed; [`ResidentRulePipeline::free`] does the same and reports what goes wrong.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline};
/// use std::thread;
/// use vkscan::{ScanError, ScanScratch};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// let session = RulePipeline::new(&[r"\d+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// assert_eq!((session.haystack_capacity(), session.max_matches()), (1 << 16, 100));
/// println!("{} bytes of tables, {} scans at once", session.table_bytes(), session.scans_in_flight());
///
/// let scan = |haystack: &[u8]| {
///     let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
///     session.scan_into(&backend, haystack, &mut matches, &mut scratch)?;
///     Ok::<_, ScanError>(matches.len())
/// };
/// thread::scope(|scope| {
///     let threads = [&b"1 22"[..], b"333"].map(|haystack| scope.spawn(move || scan(haystack)));
///     let [two, one] = threads.map(|thread| thread.join().expect("it does not panic"));
///     assert_eq!((two?, one?), (2, 1));
///     Ok::<_, ScanError>(())
/// })?;
///
/// // Memory that was lent and has come back is kept for the next one.
/// drop(session.staging(&backend, 1000)?);
/// assert!(session.trim()? >= 1000);
/// session.free(&backend)?;
/// # Ok::<(), ScanError>(())
/// ```
pub struct ResidentRulePipeline {
    device: Arc<Device>,
    pub(super) match_kind: MatchKind,
    haystack_capacity: usize,
    pub(super) max_matches: usize,
    pub(super) pass_count: u32,
    /// Bytes from a match's start within which what its rule is looked for by lies, if its prefixes are bounded; none if no
    /// rule is looked for so.
    pub(super) reach: Option<u32>,
    /// Whether there are rules whose prefixes are not bounded.
    pub(super) has_long: bool,
    pub(super) shape: FrameShape,
    /// What the kernels are specialised by.
    specialisation: Specialisation,
    tables: Vec<Buffer>,
    staging: Arc<StagingPool>,
    pub(super) frames: Arc<Frames>,
    frame_count: usize,
}

/// Host memory that scans reuse, so that none of them allocates once warm. One for each thread.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline};
/// use vkscan::ScanScratch;
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
/// for haystack in [b"aa b", b"b aa"] {
///     session.scan_into(&backend, haystack, &mut matches, &mut scratch)?;
///     assert_eq!(matches.len(), 1);
/// }
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Debug, Default)]
pub struct ScanScratch {
    pub(super) spare: Vec<Match>,
    /// Matches of a window that are decided.
    pub(super) decided: Vec<Hit>,
    pub(crate) carried: Vec<Carried>,
    pub(super) window: Vec<u8>,
}

/// The last match of a pattern that has been found, which reaches beyond the starts that have been looked at. A start in it
/// does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) pattern_id: u32,
    /// Where it ends in what matches are selected over.
    pub(crate) end: u64,
}

/// What to scan of a haystack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) first_start: u32,
    pub(crate) end_start: u32,
    pub(crate) is_final: bool,
    pub(crate) max_scan_bytes: u32,
    /// The haystack's offset in what its matches are selected over.
    pub(crate) base: u64,
    /// Of the items that the haystack is made of, if it is.
    pub(crate) slots: Option<Slots>,
}

impl Range {
    /// All starts of a haystack that ends with its `len` bytes.
    pub(crate) fn whole(len: u32, max_scan_bytes: u32) -> Range {
        let (is_final, base) = (true, 0);
        Range { first_start: 0, end_start: len, is_final, max_scan_bytes, base, slots: None }
    }
}

/// A run of the ring's slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) epoch: u32,
    pub(crate) tenant: u32,
}

impl SessionPlan {
    /// Makes the session: moves the tables to the device and makes all that scans need.
    ///
    /// # Errors
    ///
    /// A backend on another device, or with another driver, than was planned for ([`ScanError::WrongBackend`]), lack of memory,
    /// or a fault of the device. Nothing is left behind then.
    pub fn prepare(&self, backend: &Backend) -> Result<ResidentRulePipeline, ScanError> {
        if !self.is_for(backend) {
            return Err(ScanError::WrongBackend);
        }
        ResidentRulePipeline::of_plan(self, backend, None)
    }
}

impl ResidentRulePipeline {
    /// Makes what was planned; where haystacks are made of packed items, with the ring's buffer.
    pub(crate) fn of_plan(
        plan: &SessionPlan,
        backend: &Backend,
        ring: Option<&Buffer>,
    ) -> Result<ResidentRulePipeline, ScanError> {
        let device = backend.device();
        device.alive()?;
        let mut session = ResidentRulePipeline {
            device: device.clone(),
            match_kind: plan.shape.match_kind,
            haystack_capacity: plan.haystack_capacity,
            max_matches: plan.max_matches,
            pass_count: narrow(plan.passes.len()),
            reach: plan.reach,
            has_long: plan.has_long,
            shape: plan.shape.clone(),
            specialisation: plan.specialisation,
            tables: Vec::new(),
            staging: Arc::default(),
            frames: Arc::default(),
            frame_count: plan.frame_count,
        };
        if plan.passes.is_empty() {
            return Ok(session);
        }
        let kernels = Arc::new(Kernels::new(backend, plan.specialisation)?);
        // One for each frame: whatever scans are in flight, none keeps another from its own.
        let staging = |index: usize| {
            StagingBuffer::new(device, &format!("frame {index}/staging"), plan.staging_bytes)
        };
        let staging_buffers =
            (0..session.frame_count).map(staging).collect::<Result<Vec<_>, _>>()?;
        session.tables = plan
            .passes
            .iter()
            .enumerate()
            .map(|(index, pass)| upload_tables(device, &staging_buffers[0], index, pass))
            .collect::<Result<_, _>>()?;
        let common = Common {
            device,
            kernels: &kernels,
            tables: &session.tables,
            shape: &session.shape,
            ring,
        };
        let free = (0..)
            .zip(staging_buffers)
            .map(|(index, staging)| {
                let name = format!("frame {index}");
                Frame::new(&common, staging, &name)
            })
            .collect::<Result<_, _>>()?;
        session.frames = Arc::new(Frames::new(free));
        tracing::debug!(
            rules = plan.shape.pattern_count,
            passes = session.pass_count,
            table_bytes = session.table_bytes(),
            frames = session.frame_count,
            "session prepared"
        );
        Ok(session)
    }

    /// Pays what a first scan costs beyond later ones, on all that scans in flight have for their own: by a scan of one byte on
    /// each. Nobody else scans with the session meanwhile.
    ///
    /// # Errors
    ///
    /// As for [`ResidentRulePipeline::scan_into`].
    pub fn warm_up(&self, backend: &Backend) -> Result<(), ScanError> {
        let tickets: Vec<_> =
            (0..self.frame_count).map(|_| self.submit(backend, b"\0")).collect::<Result<_, _>>()?;
        let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
        tickets.into_iter().try_for_each(|ticket| {
            ticket.wait_into(&mut matches, &mut scratch)?;
            Ok(())
        })
    }

    /// Most matches that a scan may have.
    pub fn max_matches(&self) -> usize {
        self.max_matches
    }

    /// Scans that may be in flight.
    pub fn scans_in_flight(&self) -> usize {
        self.frame_count
    }

    /// Longest haystack, in bytes.
    pub fn haystack_capacity(&self) -> usize {
        self.haystack_capacity
    }

    /// Bytes of tables on the device.
    pub fn table_bytes(&self) -> u64 {
        self.tables.iter().map(Buffer::size).sum()
    }

    /// Lends staging memory for a haystack of `bytes` bytes, which hold anything at first. A scan of it saves
    /// the copy that one of a byte slice begins with.
    ///
    /// # Errors
    ///
    /// More bytes than [`ResidentRulePipeline::haystack_capacity`], another backend than the session's, lack
    /// of memory, or a fault of the device.
    pub fn staging(&self, backend: &Backend, bytes: usize) -> Result<StagedHaystack, ScanError> {
        self.check(backend, bytes)?;
        Ok(self.staging.lend(backend, self.shape.haystack_bytes, bytes)?)
    }

    /// Whether so many bytes can be scanned, on that backend.
    pub(super) fn check(&self, backend: &Backend, bytes: usize) -> Result<(), ScanError> {
        if !Arc::ptr_eq(backend.device(), &self.device) {
            return Err(ScanError::WrongBackend);
        }
        self.device.alive()?;
        if bytes > self.haystack_capacity {
            return Err(ScanError::HaystackTooLarge { bytes, capacity: self.haystack_capacity });
        }
        Ok(())
    }

    /// Bytes before a window's end whose starts are left to the next window.
    pub(crate) fn margin(&self) -> usize {
        let reach = self.reach.unwrap_or(0) as usize;
        // In small windows the prefilter would leave too little.
        if reach <= self.haystack_capacity / 4 { reach } else { 0 }
    }

    pub(super) fn tables(&self) -> &[Buffer] {
        &self.tables
    }

    /// What kernels are specialised by that others submit.
    pub(super) fn recorded_specialisation(&self) -> Specialisation {
        Specialisation { is_recorded: true, ..self.specialisation }
    }

    pub(super) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Whether there is anything to look for.
    pub(crate) fn has_rules(&self) -> bool {
        !self.tables.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn pass_count(&self) -> u32 {
        self.pass_count
    }

    #[cfg(test)]
    pub(super) fn strand_staging(&self) {
        self.frames.strand_staging();
    }

    /// Frees staging memory that [`ResidentRulePipeline::staging`] has lent and that is not lent at the moment, which is kept
    /// to be lent again otherwise. Says how many bytes were given back: what a scan that nobody waited for still reads is
    /// not among them, and follows when that has ended.
    ///
    /// # Errors
    ///
    /// A fault of the driver's; everything that can be freed is freed all the same.
    pub fn trim(&self) -> Result<u64, ScanError> {
        self.frames.let_go();
        let mut watched = Vec::new();
        let size = self.staging.free(&mut watched)?;
        self.device.sweep();
        Ok(size - watched.iter().map(WatchedBuffer::bytes).sum::<u64>())
    }

    /// Frees all that the session holds, on device and host.
    ///
    /// # Errors
    ///
    /// The first fault; everything that can be freed is freed all the same. If the device does not answer in time, it keeps
    /// what it is still at, which is given back later ([`BackendError::StillInUse`]). Another backend than the session's is
    /// an error too, and frees the session nevertheless.
    pub fn free(self, backend: &Backend) -> Result<(), ScanError> {
        let device = self.device.clone();
        let mut watched = Vec::new();
        self.free_by(device.deadline(), &mut watched)?;
        all_given_back(&device, &watched)?;
        if Arc::ptr_eq(backend.device(), &device) { Ok(()) } else { Err(ScanError::WrongBackend) }
    }

    /// Frees all that it holds. What the device still holds is in `watched` then.
    pub(crate) fn free_by(
        mut self,
        deadline: Deadline,
        watched: &mut Vec<WatchedBuffer>,
    ) -> Result<(), BackendError> {
        self.frames.wait_idle(deadline);
        let tables = std::mem::take(&mut self.tables);
        watched.extend(tables.iter().map(Buffer::watch));
        let frames = self.frames.take_all().into_iter();
        let frames = frames.map(|frame| frame.free(watched)).fold(Ok(()), Result::and);
        let tables = tables.into_iter().map(Buffer::destroy).fold(Ok(()), Result::and);
        frames.and(self.staging.free(watched).map(drop)).and(tables)
    }
}

impl Drop for ResidentRulePipeline {
    fn drop(&mut self) {
        self.frames.wait_idle(self.device.deadline());
    }
}

/// Whether the device holds nothing of what was to be freed.
pub(crate) fn all_given_back(
    device: &Device,
    watched: &[WatchedBuffer],
) -> Result<(), BackendError> {
    device.sweep();
    match watched.iter().map(WatchedBuffer::bytes).sum() {
        0 => Ok(()),
        bytes => Err(BackendError::StillInUse { bytes }),
    }
}

impl std::fmt::Debug for ResidentRulePipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResidentRulePipeline")
            .field("match_kind", &self.match_kind)
            .field("haystack_capacity", &self.haystack_capacity)
            .field("max_matches", &self.max_matches)
            .field("table_bytes", &self.table_bytes())
            .finish_non_exhaustive()
    }
}

/// Moves the tables of a pass to device memory, through as much staging memory as there is.
fn upload_tables(
    device: &Arc<Device>,
    staging: &Arc<StagingBuffer>,
    index: usize,
    pass: &Pass,
) -> Result<Buffer, BackendError> {
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
    let name = format!("pass {index}/tables");
    let buffer = Buffer::new(device, &name, pass.bytes(), MemoryLocation::DeviceLocal, usage)?;
    let parts = [bytes_of(&pass.header), cast_slice(&pass.words)];
    staging.upload(&format!("upload {name}"), &parts, &buffer)?;
    Ok(buffer)
}
