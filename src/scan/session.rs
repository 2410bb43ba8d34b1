//! The resident session.

use std::sync::Arc;

use ash::vk;
use bytemuck::{bytes_of, cast_slice};

use super::frame::pipelines::{Kernels, Specialisation};
use super::frame::{Frame, FrameShape};
use super::frames::Frames;
use super::haystack::{StagedHaystack, StagingPool, User as _};
use super::tuning::Tuning;
use super::{ScanError, SessionOptions};
use crate::narrow::narrow;
use crate::rules::Split;
use crate::rules::tables::pack::{self, Pass};
use crate::shaders::layout::{self, Hit, ReadbackHeader};
use crate::vulkan::allocator::MemoryLocation;
use crate::vulkan::deadline::Deadline;
use crate::vulkan::device::Device;
use crate::vulkan::memory::{Buffer, WatchedBuffer};
use crate::vulkan::staging::StagingBuffer;
use crate::{Backend, BackendError, Match, MatchKind, RulePipeline};

/// Longest haystack that a session can be prepared for: 1 GiB.
pub const MAX_HAYSTACK_BYTES: usize = layout::MAX_HAYSTACK_BYTES as usize;

/// Most scans in flight: more frames would only take memory.
const MOST_FRAMES: usize = 256;

/// Least staging memory of a frame, in bytes: tables go up through it, too.
const LEAST_STAGING: u64 = 1 << 20;

/// A pipeline whose tables are resident on a device, ready to scan.
///
/// It can be shared: many threads may scan through one session at the same time, as many at once as it
/// has frames ([`SessionOptions::scans_in_flight`]), and each gets exactly its own matches. Dropping it
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
    pub(super) carried: Vec<Carried>,
    pub(super) window: Vec<u8>,
}

/// The last match of a pattern that has been found, which reaches beyond the starts that have been looked at. A start in it
/// does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(super) pattern_id: u32,
    /// Where it ends in what matches are selected over.
    pub(super) end: u64,
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

/// A run of the ring's slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) epoch: u32,
    pub(crate) tenant: u32,
}

/// The ring that a session's haystacks have their slots in, if they are made of packed items.
#[derive(Clone, Copy)]
pub(crate) struct RingShape<'a> {
    pub(crate) buffer: &'a Buffer,
    /// The slots that are this session's: the first one, and how many.
    pub(crate) first: u32,
    pub(crate) slots: u32,
    /// Invocations of a workgroup that looks at slots.
    pub(crate) workgroup: u32,
}

impl ResidentRulePipeline {
    pub(super) fn new(
        pipeline: &RulePipeline,
        backend: &Backend,
        options: &SessionOptions,
        tuning: &Tuning,
    ) -> Result<ResidentRulePipeline, ScanError> {
        ResidentRulePipeline::with_ring(pipeline, backend, options, tuning, None)
    }

    /// Makes a session whose haystacks, where there is a ring, are made of packed items.
    pub(crate) fn with_ring(
        pipeline: &RulePipeline,
        backend: &Backend,
        options: &SessionOptions,
        tuning: &Tuning,
        ring: Option<RingShape>,
    ) -> Result<ResidentRulePipeline, ScanError> {
        let device = backend.device();
        device.alive()?;
        let info = device.info();
        let match_kind = pipeline.options().match_kind;
        let SessionOptions { haystack_capacity_bytes, max_matches, .. } = *options;
        limit(
            "haystack capacity",
            haystack_capacity_bytes,
            MAX_HAYSTACK_BYTES,
            "vkscan scans at once",
        )?;

        // Leftmost-first matches are selected among the preferred matches of all starts, which may be many
        // more. A single start has one for each rule at most, and so many are carried from the part before; they
        // have to fit.
        let candidates = match match_kind {
            MatchKind::All => max_matches.saturating_add(pipeline.rules().len()),
            MatchKind::LeftmostFirst => max_matches
                .saturating_mul(2)
                .max(tuning.candidate_hits as usize)
                .max(pipeline.rules().len().saturating_mul(2)),
        };
        let range = info.max_storage_buffer_range.min(info.max_allocation_bytes);
        // Behind the hits that are read back is a word for each slot.
        let slots = ring.map_or(0, |ring| u64::from(ring.slots));
        let read_back = range.saturating_sub(size_of::<ReadbackHeader>() as u64 + 4 * slots);
        let most_hits =
            FrameShape::most_hits(tuning, range).min(read_back / size_of::<Hit>() as u64);
        let most_hits = usize::try_from(most_hits).unwrap_or(usize::MAX);
        limit("match capacity", max_matches, most_hits, "this device binds in one buffer")?;
        let hit_capacity = narrow(candidates.clamp(1, most_hits));

        limit(
            "number of patterns",
            pipeline.rules().len(),
            layout::MOST_PATTERNS as usize,
            "vkscan sorts matches by",
        )?;
        let passes =
            pack::pack(pipeline.rules(), match_kind, tuning.pass_bytes, tuning.bitmap_log2);
        let passes = passes.map_err(|pack::RuleTooLarge { pattern_id, bytes }| {
            ScanError::RuleTooLarge { pattern_id, bytes, limit: tuning.pass_bytes }
        })?;
        let nfa_words = passes.first().map_or(0, Pass::walker_words);
        // The prefilter reads whole units.
        let unit = u64::from(layout::PREFILTER_BYTES);
        let haystack_bytes = (haystack_capacity_bytes.max(1) as u64).next_multiple_of(unit);
        let segments = if haystack_bytes <= info.max_storage_buffer_range {
            1
        } else {
            narrow(haystack_bytes.div_ceil(1 << layout::SEGMENT_SHIFT))
        };
        let most_walks = haystack_bytes.saturating_mul(pipeline.rules().len() as u64);
        let shape =
            FrameShape::new(tuning, haystack_bytes, segments, hit_capacity, nfa_words, most_walks);
        // However many passes there are, a submission stays about as long.
        let pass_count: u32 = narrow(passes.len());
        let rounds = tuning.rounds.map(|rounds| rounds.div_ceil(pass_count.max(1)));
        let has_class_windows =
            passes.first().is_some_and(|pass| pass.header.has_class_windows != 0);
        let may_end_early = matches!(&passes[..], [pass] if pass.header.has_rest == 0);
        let ring_slots = ring.map_or([0; 2], |ring| [ring.first, ring.slots]);
        let shape = FrameShape {
            rounds,
            has_class_windows,
            may_end_early,
            ring_slots,
            pattern_count: narrow(pipeline.rules().len()),
            match_kind,
            ..shape
        };
        let frame_count =
            options.scans_in_flight.unwrap_or_else(|| default_frames(haystack_bytes)).max(1);
        limit("number of scans in flight", frame_count, MOST_FRAMES, "a session has frames for")?;

        let specialisation = Specialisation {
            segments,
            match_kind,
            bitmap_log2: tuning.bitmap_log2,
            prefilter_workgroup: tuning.prefilter_workgroup,
            gram_stride: passes.first().map_or(1, |pass| pass.header.gram_stride),
            nfa_lanes: tuning.nfa_lanes,
            select_lanes: tuning.select_lanes,
            select_tile: tuning.select_tile,
            slot_workgroup: ring.map(|ring| ring.workgroup),
            is_recorded: false,
        };
        let mut session = ResidentRulePipeline {
            device: device.clone(),
            match_kind,
            haystack_capacity: haystack_capacity_bytes,
            max_matches,
            pass_count,
            reach: pack::reach(pipeline.rules()),
            has_long: pipeline
                .rules()
                .iter()
                .flat_map(|rule| &rule.splits)
                .any(Split::is_unbounded),
            shape,
            specialisation,
            tables: Vec::new(),
            staging: Arc::default(),
            frames: Arc::default(),
            frame_count,
        };
        if passes.is_empty() {
            return Ok(session);
        }
        let kernels = Arc::new(Kernels::new(backend, specialisation)?);
        // One for each frame: whatever scans are in flight, none keeps another from its own.
        let staging = |index: usize| {
            let name = format!("frame {index}/staging");
            // Packed items are in memory of their own.
            let bytes = if ring.is_some() { 0 } else { haystack_bytes };
            StagingBuffer::new(device, &name, bytes.max(LEAST_STAGING))
        };
        let staging_buffers =
            (0..session.frame_count).map(staging).collect::<Result<Vec<_>, _>>()?;
        session.tables = passes
            .iter()
            .map(|pass| upload_tables(device, &staging_buffers[0], pass))
            .collect::<Result<_, _>>()?;
        let slots = ring.map(|ring| ring.buffer);
        let free = (0..)
            .zip(staging_buffers)
            .map(|(index, staging)| {
                let name = format!("frame {index}");
                Frame::new(device, &kernels, &session.tables, &session.shape, slots, staging, &name)
            })
            .collect::<Result<_, _>>()?;
        session.frames = Arc::new(Frames::new(free));
        tracing::debug!(
            rules = pipeline.rules().len(),
            passes = session.pass_count,
            table_bytes = session.table_bytes(),
            frames = session.frame_count,
            "session prepared"
        );
        Ok(session)
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
    pub(super) fn margin(&self) -> usize {
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

fn limit(
    what: &'static str,
    asked: usize,
    limit: usize,
    whose: &'static str,
) -> Result<(), ScanError> {
    if asked > limit {
        return Err(ScanError::Limit { what, asked: asked as u64, limit: limit as u64, whose });
    }
    Ok(())
}

/// Small sessions can afford to have several scans under way.
fn default_frames(haystack_bytes: u64) -> usize {
    const MIB: u64 = 1 << 20;
    if haystack_bytes <= 4 * MIB {
        4
    } else if haystack_bytes <= 64 * MIB {
        2
    } else {
        1
    }
}

/// Moves the tables of a pass to device memory, through as much staging memory as there is.
fn upload_tables(
    device: &Arc<Device>,
    staging: &Arc<StagingBuffer>,
    pass: &Pass,
) -> Result<Buffer, BackendError> {
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
    let buffer = Buffer::new(device, "tables", pass.bytes(), MemoryLocation::DeviceLocal, usage)?;
    staging.upload(
        c"upload tables",
        &[bytes_of(&pass.header), cast_slice(&pass.words)],
        &buffer,
    )?;
    Ok(buffer)
}
