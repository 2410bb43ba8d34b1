//! A frame: what one scan in flight needs of its own.

use std::ffi::CStr;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ash::vk;
use bytemuck::{bytes_of, cast_slice, pod_read_unaligned};

use super::haystack::{ResidentHaystack, ResidentPart, Users};
use super::kernels::Kernels;
use super::stats::{ScanStats, StageTimes};
use super::tuning::Tuning;
use crate::BackendError;
use crate::narrow::narrow;
use crate::parallel::pool;
use crate::shaders::layout::{
    self, Candidate, ChunkSummary, Control, Hit, NfaWalker, ReadbackHeader, ScanParams,
    StartWalker, Task,
};
use crate::vulkan::command::{Commands, Recorder, Scope};
use crate::vulkan::copy::{ParallelCopy, copy_with_help};
use crate::vulkan::deadline::Deadline;
use crate::vulkan::device::{Device, QueueRole};
use crate::vulkan::memory::{Buffer, Location, WatchedBuffer};
use crate::vulkan::pipeline::{Binding, ComputePipeline, DescriptorSet};
use crate::vulkan::query::Timestamps;
use crate::vulkan::staging::{MappedBuffer, StagingBuffer, StagingSpan};
use crate::vulkan::timeline::Timeline;

/// Sizes of a frame's buffers, alike for all frames of a session.
#[derive(Clone, Debug)]
pub(crate) struct FrameShape {
    /// Bytes, whole units of the prefilter.
    pub(crate) haystack_bytes: u64,
    /// Storage buffers that the haystack is bound as.
    pub(crate) segments: u32,
    pub(crate) hit_capacity: u32,
    pub(crate) start_walkers: u32,
    pub(crate) nfa_walkers: u32,
    pub(crate) nfa_scratch_words: u32,
    pub(crate) queue_capacity: u32,
    pub(crate) candidate_capacity: u32,
    pub(crate) start_capacity: u32,
    pub(crate) gram_prefilter_groups: u32,
    pub(crate) prefilter_workgroup: u32,
    pub(crate) confirm_groups: u32,
    pub(crate) most_pieces: u32,
    /// Whether the first pass looks for class windows.
    pub(crate) has_class_windows: bool,
    /// Whether the only pass has nothing to verify from every start, if all rules are looked for by their
    /// grams, so that the suffixes may well leave nothing to do.
    pub(crate) may_end_early: bool,
    /// A haystack is uploaded in slices of so many bytes, or a multiple of it, and those before are looked
    /// through meanwhile.
    pub(crate) slice_bytes: u32,
    /// Bytes up to which the host writes a haystack to the device's memory itself, where it can.
    pub(crate) direct_bytes: u32,
    pub(crate) step_budget: u32,
    pub(crate) nfa_step_budget: u32,
    pub(crate) rounds: [u32; 2],
    /// Bytes of a chunk, as a power of two.
    pub(crate) chunk_log2: u32,
    /// The first slot of the ring that is the session's, and how many those are; 0 where haystacks are not made of
    /// packed items.
    pub(crate) ring_slots: [u32; 2],
}

impl FrameShape {
    /// The part of the parameters that is the same for every scan.
    pub(crate) fn params(&self, pass_count: u32) -> ScanParams {
        ScanParams {
            hit_capacity: self.hit_capacity,
            queue_capacity: self.queue_capacity,
            candidate_capacity: self.candidate_capacity,
            start_capacity: self.start_capacity,
            start_walkers: self.start_walkers,
            nfa_walkers: self.nfa_walkers,
            prefilter_workgroup: self.prefilter_workgroup,
            step_budget: self.step_budget,
            nfa_step_budget: self.nfa_step_budget,
            most_pieces: self.most_pieces,
            pass_count,
            ring_first: self.ring_slots[0],
            ring_slots: self.ring_slots[1],
            ..ScanParams::default()
        }
    }

    /// Turns of a workgroup of the prefilter over so many bytes.
    pub(crate) fn prefilter_turns(&self, bytes: u32) -> u32 {
        /// More would keep a device too long with too little.
        const MOST: u32 = 64;
        let turns = bytes.div_ceil(self.prefilter_workgroup * layout::PREFILTER_BYTES);
        let turns =
            turns.div_ceil(self.gram_prefilter_groups).next_multiple_of(layout::PREFILTER_TURNS);
        turns.clamp(layout::PREFILTER_TURNS, MOST)
    }

    /// Sizes a frame for rules that need `nfa_words` of scratch for a walker, or no NFA at all, and that can
    /// have `most_walks` under way at once.
    pub(crate) fn new(
        tuning: &Tuning,
        haystack_bytes: u64,
        segments: u32,
        hit_capacity: u32,
        nfa_words: u32,
        most_walks: u64,
    ) -> FrameShape {
        let nfa_walkers = match nfa_words {
            0 => 0,
            words => narrow(
                (tuning.nfa_scratch_bytes / (u64::from(words) * 4))
                    .min(tuning.nfa_walkers.into())
                    .min(most_walks)
                    .max(1),
            ),
        };
        let queue_capacity =
            narrow(most_walks.next_power_of_two().min(tuning.queue_capacity.into()));
        let starts = haystack_bytes.next_multiple_of(u64::from(layout::WORKGROUP));
        let candidates = haystack_bytes.div_ceil(tuning.bytes_per_candidate.into());
        let candidates = narrow(candidates.clamp(tuning.least_candidates.into(), MOST_CANDIDATES));
        FrameShape {
            haystack_bytes,
            segments,
            hit_capacity,
            start_walkers: narrow(starts.min(u64::from(tuning.start_walkers))),
            nfa_walkers,
            nfa_scratch_words: nfa_words * nfa_walkers,
            queue_capacity: if nfa_walkers == 0 { 1 } else { queue_capacity },
            candidate_capacity: candidates,
            start_capacity: (candidates / 4).max(tuning.least_candidates),
            gram_prefilter_groups: tuning.gram_prefilter_groups,
            prefilter_workgroup: tuning.prefilter_workgroup,
            confirm_groups: confirm_groups(tuning, candidates),
            most_pieces: tuning.most_pieces,
            has_class_windows: false,
            may_end_early: false,
            slice_bytes: tuning.slice_bytes,
            direct_bytes: tuning.direct_bytes,
            step_budget: tuning.step_budget,
            nfa_step_budget: tuning.nfa_step_budget,
            rounds: tuning.rounds,
            chunk_log2: chunk_log2(haystack_bytes),
            ring_slots: [0; 2],
        }
    }

    /// Bytes of all summaries.
    fn summary_bytes(&self) -> u64 {
        let chunks = (self.haystack_bytes >> self.chunk_log2) * u64::from(layout::MOST_SUMMARIES);
        chunks * size_of::<ChunkSummary>() as u64
    }
}

/// The shortest chunks whose summaries take no more memory than the haystack, within what every device
/// binds as one buffer.
fn chunk_log2(haystack_bytes: u64) -> u32 {
    const SHORTEST: u32 = 8;
    const FEW_BYTES: u64 = 32 << 20;
    const MOST_BYTES: u64 = 128 << 20;

    let of_byte = u64::from(layout::MOST_SUMMARIES) * size_of::<ChunkSummary>() as u64;
    let most_bytes = haystack_bytes.clamp(FEW_BYTES, MOST_BYTES);
    let shortest = (haystack_bytes * of_byte).div_ceil(most_bytes).next_power_of_two();
    shortest.ilog2().max(SHORTEST)
}

/// One candidate for an invocation as far as that makes no more workgroups than a device wants.
fn confirm_groups(tuning: &Tuning, candidates: u32) -> u32 {
    let all = candidates.div_ceil(layout::WORKGROUP);
    all.min(tuning.confirm_groups).max(all.div_ceil(tuning.confirm_most))
}

/// Candidate suffixes that there is room for, at most.
const MOST_CANDIDATES: u64 = 1 << 23;

pub(crate) struct Frame {
    device: Arc<Device>,
    /// Staging memory, for one haystack at a time.
    staging_buffer: Arc<StagingBuffer>,
    resources: Resources,
    /// The buffers that only kernels use.
    others: [Buffer; 6],
    timeline: Arc<Timeline>,
    /// The timeline's value once all submissions have run.
    submitted: u64,
    /// What the transfer queue has uploaded, and its value once all of that has run.
    uploads: Arc<Timeline>,
    transferred: u64,
    /// Until when to wait for what is submitted next.
    deadline: Deadline,
    /// The haystack's memory, where the host can write to it.
    window: Option<MappedBuffer>,
    open: Commands,
    copy: Commands,
    whole: Recording,
    start: Recording,
    slices: Vec<Slice>,
    /// Bytes of each slice that have been copied to staging memory.
    copied: Vec<AtomicUsize>,
    rest: Recording,
    resume: Recording,
    /// What the next submission begins with, should it go on: `layout::SCHEDULE_*`.
    resumes_at: u32,
    /// What ended at each timestamp since `open`.
    stages: Vec<Stage>,
    nanoseconds: Vec<u64>,
    /// The haystack of a scan whose end has not been seen: the device may be reading it still.
    pub(super) staged: Option<StagingSpan>,
}

/// Words of a hit, with its suffix.
pub(super) const HIT_WORDS: usize = Hit::WORDS + 1;

/// The candidates among the buffers that only kernels use.
const CANDIDATES: usize = 4;

/// Slices of a haystack, at most, and as how many of the smallest it is not cut.
const MOST_SLICES: usize = 16;
const CUT: usize = 4;

/// Bytes that a thread copies to staging memory before it looks for more.
const COPY_PIECE: usize = 128 << 10;

/// A part of the haystack, on its way.
struct Slice {
    /// Copies on the queue of the kernels, and on that of the transfers.
    copy: Commands,
    transfer: Commands,
    prefilter: Recording,
}

/// What commands name.
struct Resources {
    kernels: Arc<Kernels>,
    tables: Vec<Buffer>,
    shape: FrameShape,
    /// One for each pass, with the frame's own haystack, or with the resident one that was scanned last.
    own_sets: Vec<Arc<DescriptorSet>>,
    resident: Option<Resident>,
    is_resident: bool,
    haystack: Buffer,
    /// All that is bound, but the haystack.
    bound: Vec<(u32, Buffer)>,
    hits: Buffer,
    control: Buffer,
    readback: Buffer,
    readback_groups: u32,
    timestamps: Option<Arc<Timestamps>>,
}

/// A haystack on the device.
struct Resident {
    buffer: Buffer,
    /// One for each pass.
    sets: Vec<Arc<DescriptorSet>>,
    /// There as long as somebody may want to scan it again.
    users: Weak<Users>,
}

/// Commands that serve again as long as parameters stay the same.
struct Recording {
    commands: Commands,
    /// What they were recorded for.
    key: Option<Key>,
    /// What ended at each timestamp.
    stages: Vec<Stage>,
}

#[derive(Clone, Copy, PartialEq)]
struct Key {
    /// With the pass they begin with.
    params: ScanParams,
    first_timestamp: u32,
    /// Whether the haystack is that of the run before.
    is_same: bool,
}

impl Key {
    fn new(params: ScanParams, first_timestamp: u32) -> Key {
        Key { params, first_timestamp, is_same: false }
    }
}

impl Recording {
    fn new(device: &Arc<Device>, name: &str) -> Result<Recording, BackendError> {
        Ok(Recording { commands: Commands::new(device, name)?, key: None, stages: Vec::new() })
    }

    /// Records anew if it was for something else.
    fn record(
        &mut self,
        key: Key,
        timestamps: Option<&Arc<Timestamps>>,
        body: impl FnOnce(&mut Recorder, &mut Marks),
    ) -> Result<(), BackendError> {
        if self.key == Some(key) {
            return Ok(());
        }
        self.key = None;
        self.stages.clear();
        let mut marks = Marks { timestamps, first: key.first_timestamp, stages: &mut self.stages };
        self.commands.record(|to| body(to, &mut marks))?;
        self.key = Some(key);
        Ok(())
    }
}

/// Writes timestamps.
struct Marks<'a> {
    timestamps: Option<&'a Arc<Timestamps>>,
    first: u32,
    stages: &'a mut Vec<Stage>,
}

impl Marks<'_> {
    fn mark(&mut self, to: &mut Recorder, ended: Stage) {
        if let Some(timestamps) = self.timestamps {
            let index = self.first + narrow::<_, u32>(self.stages.len());
            to.write_timestamp(timestamps, index, vk::PipelineStageFlags::BOTTOM_OF_PIPE);
        }
        self.stages.push(ended);
    }
}

/// How far the first of the passes has come whose commands are recorded.
#[derive(Clone, Copy, PartialEq)]
enum FirstPass {
    Whole,
    Prefiltered,
    /// Anywhere: an earlier submission ended in it.
    Resumed,
}

/// Where a haystack is.
pub(crate) enum Source<'a> {
    /// In the caller's memory; it goes to the device through the span, or without one where it is taken
    /// directly.
    Host { bytes: &'a [u8], span: Option<StagingSpan> },
    /// In upload memory.
    Staged {
        buffer: &'a Buffer,
        len: usize,
        /// What is copied over it from elsewhere on the device.
        resident: &'a [ResidentPart],
    },
    /// In device memory of its own.
    Resident(&'a ResidentHaystack),
    /// Where the run before had it.
    AsBefore,
}

/// A haystack's way to the device.
struct Upload<'a> {
    /// Staging memory, and where in it.
    buffer: Buffer,
    offset: u64,
    len: usize,
    /// What has to be copied to it first.
    bytes: Option<&'a [u8]>,
    /// What is copied over it on the device.
    resident: &'a [ResidentPart],
}

impl Upload<'_> {
    /// What to copy for a part that staging memory holds. The device copies whole words.
    fn region(&self, part: Range<usize>) -> Result<vk::BufferCopy, BackendError> {
        let size = (part.len() as u64).next_multiple_of(4);
        let src_offset = self.offset + part.start as u64;
        self.buffer.flush(src_offset..src_offset + size)?;
        Ok(vk::BufferCopy { src_offset, dst_offset: part.start as u64, size })
    }
}

/// What ended at a timestamp.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Begin,
    Upload,
    Prefilter,
    Confirm,
    VerifyDfa,
    VerifyNfa,
    Readback,
}

/// How a run ended.
pub(crate) struct Outcome {
    /// Hits counted. If they are more than the frame holds, none are there to read.
    pub(crate) hit_count: u32,
    /// `layout::RETRY_*` bits: nothing was found out if there are any.
    pub(crate) retry_reasons: u32,
}

impl Frame {
    pub(crate) fn new(
        device: &Arc<Device>,
        kernels: &Arc<Kernels>,
        tables: &[Buffer],
        shape: &FrameShape,
        slots: Option<&Buffer>,
        staging_buffer: Arc<StagingBuffer>,
        name: &str,
    ) -> Result<Frame, BackendError> {
        let storage = vk::BufferUsageFlags::STORAGE_BUFFER;
        let local = |what: &str, bytes: u64, usage| {
            let name = format!("{name}/{what}");
            Buffer::new(device, &name, bytes.max(16), Location::DeviceLocal, storage | usage)
        };
        let records = |count: u32, words: usize| u64::from(count) * words as u64 * 4;
        let none = vk::BufferUsageFlags::empty();
        let copied = vk::BufferUsageFlags::TRANSFER_DST;

        let haystack = Buffer::new(
            device,
            &format!("{name}/haystack"),
            shape.haystack_bytes.max(16),
            Location::DeviceLocalMapped,
            storage | copied,
        )?;
        let hits = local("hits", 4 + records(shape.hit_capacity, HIT_WORDS), copied)?;
        let grids = vk::BufferUsageFlags::INDIRECT_BUFFER;
        let control = local("control", Control::WORDS as u64 * 4, copied | grids)?;
        let starts =
            local("start walkers", records(shape.start_walkers, StartWalker::WORDS), copied)?;
        let queue = local("queue", records(shape.queue_capacity, Task::WORDS), none)?;
        let candidates = shape.candidate_capacity + shape.start_capacity;
        let candidates = local("candidates", records(candidates, Candidate::WORDS), copied)?;
        let summaries = local("summaries", shape.summary_bytes(), none)?;
        let nfa = local("nfa walkers", records(shape.nfa_walkers, NfaWalker::WORDS), copied)?;
        let scratch = local("scratch", records(shape.nfa_scratch_words, 1), copied)?;
        let readback_bytes =
            (ReadbackHeader::WORDS * 4) as u64 + records(shape.hit_capacity, HIT_WORDS);
        let readback_bytes = readback_bytes + records(shape.ring_slots[1], 1);
        let readback = Buffer::new(
            device,
            &format!("{name}/readback"),
            readback_bytes,
            Location::Readback,
            storage,
        )?;

        let bound = [
            (layout::BINDING_HITS, &hits),
            (layout::BINDING_CONTROL, &control),
            (layout::BINDING_START_WALKERS, &starts),
            (layout::BINDING_QUEUE, &queue),
            (layout::BINDING_NFA_WALKERS, &nfa),
            (layout::BINDING_SCRATCH, &scratch),
            (layout::BINDING_READBACK, &readback),
            (layout::BINDING_CANDIDATES, &candidates),
            (layout::BINDING_SUMMARIES, &summaries),
            // Without slots no kernel looks there.
            (layout::BINDING_RING, slots.unwrap_or(&control)),
        ];
        let bound = bound.map(|(binding, buffer)| (binding, buffer.clone())).to_vec();
        let own_sets = descriptor_sets(device, kernels, tables, &bound, shape, &haystack)?;
        let rounds = shape.rounds[0].max(shape.rounds[1]) * narrow::<_, u32>(tables.len());
        let slice_count = shape.haystack_bytes.div_ceil(shape.slice_bytes.into());
        let slice_count: u32 = narrow(slice_count.clamp(1, MOST_SLICES as u64));
        let marks = 3 + 2 * rounds + 2 * narrow::<_, u32>(tables.len()) + 2 * slice_count;
        let slice = |index: u32| {
            let name = |what: &str| format!("{name}/slice {index}/{what}");
            Ok(Slice {
                copy: Commands::new(device, &name("copy"))?,
                transfer: Commands::for_queue(device, QueueRole::Transfer, &name("transfer"))?,
                prefilter: Recording::new(device, &name("prefilter"))?,
            })
        };
        let window = MappedBuffer::of(&haystack);
        let mut frame = Frame {
            device: device.clone(),
            staging_buffer,
            resources: Resources {
                kernels: kernels.clone(),
                tables: tables.to_vec(),
                shape: shape.clone(),
                own_sets,
                resident: None,
                is_resident: false,
                haystack,
                bound,
                hits,
                control,
                readback,
                readback_groups: readback_groups(shape),
                timestamps: Timestamps::new(device, name, marks)?,
            },
            others: [starts, nfa, scratch, queue, candidates, summaries],
            timeline: Timeline::new(device, name)?,
            submitted: 0,
            uploads: Timeline::new(device, &format!("{name}/uploads"))?,
            transferred: 0,
            deadline: device.deadline(),
            window,
            open: Commands::new(device, &format!("{name}/open"))?,
            copy: Commands::new(device, &format!("{name}/copy"))?,
            whole: Recording::new(device, &format!("{name}/whole"))?,
            copied: (0..slice_count).map(|_| AtomicUsize::new(0)).collect(),
            start: Recording::new(device, &format!("{name}/start"))?,
            slices: (0..slice_count).map(slice).collect::<Result<_, BackendError>>()?,
            rest: Recording::new(device, &format!("{name}/rest"))?,
            resume: Recording::new(device, &format!("{name}/resume"))?,
            resumes_at: layout::SCHEDULE_ROUND,
            stages: Vec::new(),
            nanoseconds: Vec::new(),
            staged: None,
        };
        frame.clear()?;
        Ok(frame)
    }

    /// Zeroes what kernels rely on across scans: generations and stamps.
    fn clear(&mut self) -> Result<(), BackendError> {
        let [starts, nfa, scratch, ..] = &self.others;
        let cleared = [&self.resources.control, starts, nfa, scratch];
        self.start.commands.record(|to| {
            for buffer in cleared {
                to.fill_buffer(buffer, 0, buffer.size(), 0);
            }
            to.transfer_to_compute();
        })?;
        self.submitted = self.device.submit(&mut [&mut self.start.commands], &self.timeline)?;
        self.timeline.wait(self.submitted, self.device.deadline())?;
        let timestamps = self.resources.timestamps.as_ref();
        self.open.record(|to| mark_begin(to, timestamps))
    }

    /// Waits for an earlier scan that timed out, if there was one, and gives its staging memory back.
    pub(crate) fn wait_idle(&mut self, deadline: Deadline) -> Result<(), BackendError> {
        self.uploads.wait(self.transferred, deadline)?;
        self.timeline.wait(self.submitted, deadline)?;
        self.staged = None;
        self.forget_copies();
        Ok(())
    }

    /// Whether nothing runs on it.
    pub(super) fn is_ready(&self) -> bool {
        self.uploads.has_reached(self.transferred) && self.timeline.has_reached(self.submitted)
    }

    /// Lets go of what is others' and, if it was dropped meanwhile, of the haystack that was scanned last; unless that is
    /// being scanned still.
    pub(super) fn let_go(&mut self) {
        let is_dropped = |resident: &Resident| resident.users.strong_count() == 0;
        if !self.is_ready() {
            return;
        }
        self.forget_copies();
        if self.resources.resident.as_ref().is_some_and(is_dropped) {
            self.resources.resident = None;
            self.resources.is_resident = false;
            self.forget_recordings();
            self.recordings().for_each(|recording| recording.commands.forget());
        }
    }

    /// Copies name memory that is others', and are recorded for each scan anyway.
    fn forget_copies(&mut self) {
        self.copy.forget();
        for Slice { copy, transfer, .. } in &mut self.slices {
            copy.forget();
            transfer.forget();
        }
    }

    /// What names the haystack.
    fn recordings(&mut self) -> impl Iterator<Item = &mut Recording> {
        let prefilters = self.slices.iter_mut().map(|slice| &mut slice.prefilter);
        let others = [&mut self.whole, &mut self.start, &mut self.rest, &mut self.resume];
        prefilters.chain(others)
    }

    /// Sees to it that they are recorded anew.
    fn forget_recordings(&mut self) {
        self.recordings().for_each(|recording| recording.key = None);
    }

    /// Staging memory for a haystack. There is room, once what was scanned before has ended.
    pub(super) fn acquire_staging(&self, bytes: u64) -> Result<StagingSpan, BackendError> {
        self.staging_buffer.acquire(bytes, Duration::ZERO)
    }

    #[cfg(test)]
    pub(super) fn staging_capacity(&self) -> u64 {
        self.staging_buffer.capacity()
    }

    /// Whether a haystack of so many bytes in the caller's memory is written to the device's right away.
    pub(crate) fn takes_directly(&self, bytes: usize) -> bool {
        self.window.is_some() && bytes as u64 <= u64::from(self.resources.shape.direct_bytes)
    }

    /// Submits a scan over what `params` names of the haystack in `source`. Its preparation began at `since`.
    pub(crate) fn begin(
        &mut self,
        source: Source,
        params: ScanParams,
        since: Instant,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        self.bind(&source)?;
        self.stages.clear();
        self.stages.push(Stage::Begin);
        let rounds = self.resources.first_rounds(params);
        self.resumes_at =
            if rounds == 0 { layout::SCHEDULE_CONFIRMED } else { layout::SCHEDULE_ROUND };
        let mut upload = None;
        let is_same = matches!(source, Source::AsBefore);
        match source {
            Source::Host { bytes, span: None } => {
                let window = self.window.as_mut().expect("asked for by `takes_directly`");
                copy_bytes(bytes, window);
                let size = (bytes.len() as u64).next_multiple_of(4);
                window.buffer().flush(0..size)?;
                stats.bytes_up += size;
                stats.uploads += 1;
            }
            Source::Host { bytes, span: Some(mut span) } => {
                span[bytes.len()..].fill(0);
                let (buffer, offset) = (span.buffer().clone(), span.offset());
                self.staged = Some(span);
                let (len, bytes) = (bytes.len(), Some(bytes));
                upload = Some(Upload { buffer, offset, len, bytes, resident: &[] });
            }
            Source::Staged { buffer, len, resident } => {
                let buffer = buffer.clone();
                upload = Some(Upload { buffer, offset: 0, len, bytes: None, resident });
            }
            Source::Resident(_) | Source::AsBefore => {}
        }
        match upload {
            Some(upload) if self.is_cut(&upload) => {
                self.begin_in_chunks(upload, params, rounds, stats)?;
            }
            upload => self.begin_whole(upload, is_same, params, rounds, stats)?,
        }
        stats.bytes_up += 4;
        stats.uploads += 1;
        stats.enqueue += since.elapsed();
        Ok(())
    }

    /// Whether a haystack goes up in slices. What is copied over it has to wait for all of it.
    fn is_cut(&self, upload: &Upload) -> bool {
        let is_large = upload.len > CUT * self.resources.shape.slice_bytes as usize;
        is_large && upload.resident.is_empty()
    }

    /// Uploads the haystack, if there is anything to upload, and scans it in one submission.
    fn begin_whole(
        &mut self,
        upload: Option<Upload>,
        is_same: bool,
        params: ScanParams,
        rounds: u32,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        let Frame { device, resources, open, copy, whole, stages, staged, .. } = self;
        let marks = resources.timestamps.clone();
        let is_prefiltered = params.use_prefilter != layout::PREFILTER_NONE;
        let key = Key { is_same, ..Key::new(params, 1) };
        whole.record(key, marks.as_ref(), |to, marks| {
            resources.record_start(to, params, is_same);
            if is_prefiltered {
                resources.record_prefilter(to, marks, params);
            }
            resources.record_rest(to, marks, params, rounds, is_prefiltered);
        })?;
        stages.extend_from_slice(&whole.stages);
        let first = match &upload {
            None => open,
            Some(upload) => {
                if let (Some(span), Some(bytes)) = (staged, upload.bytes) {
                    copy_bytes(bytes, span);
                }
                let region = upload.region(0..upload.len)?;
                stats.bytes_up += region.size;
                stats.uploads += 1;
                copy.record(|to| {
                    mark_begin(to, marks.as_ref());
                    resources.record_upload(to, upload, region);
                    to.transfer_to_compute();
                })?;
                copy
            }
        };
        self.submitted = device.submit(&mut [first, &mut whole.commands], &self.timeline)?;
        Ok(())
    }

    /// Uploads the haystack in slices, each while the prefilter looks through the ones before.
    fn begin_in_chunks(
        &mut self,
        upload: Upload,
        params: ScanParams,
        rounds: u32,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        stats.uploads += 1;
        let slice_bytes = self.resources.shape.slice_bytes as usize;
        let Some(bytes) = upload.bytes else {
            // All is there: as few slices as will keep the last one short.
            let mut begin = 0;
            for index in 0.. {
                let rest = upload.len - begin;
                let is_cut = rest > CUT * slice_bytes && index + 1 < MOST_SLICES;
                let size = if is_cut { rest / 2 } else { rest };
                let part = begin..begin + size.next_multiple_of(slice_bytes).min(rest);
                begin = part.end;
                self.submit_slice(&upload, index, part, params, rounds, stats)?;
                if begin == upload.len {
                    break;
                }
            }
            return Ok(());
        };
        let size = upload.len.div_ceil(MOST_SLICES).next_multiple_of(slice_bytes);
        let piece_bytes = if size.is_multiple_of(COPY_PIECE) { COPY_PIECE } else { slice_bytes };
        let mut span = self.staged.take().expect("taken by `begin`");
        let copy = ParallelCopy::new(bytes, &mut span, piece_bytes);
        let counts = std::mem::take(&mut self.copied);
        counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        let copy_piece = || {
            let piece = copy.copy_next();
            let count = |piece: &Range<usize>| {
                counts[piece.start / size].fetch_add(piece.len(), Ordering::Release);
            };
            piece.inspect(count)
        };
        let submitted = pool().in_place_scope(|scope| {
            for _ in 1..pool().current_num_threads().min(copy.piece_count()) {
                scope.spawn(|_| while copy_piece().is_some() {});
            }
            (0..upload.len.div_ceil(size)).try_for_each(|index| {
                let part = index * size..upload.len.min((index + 1) * size);
                while counts[index].load(Ordering::Acquire) < part.len() {
                    if copy_piece().is_none() {
                        std::thread::yield_now();
                    }
                }
                self.submit_slice(&upload, index, part, params, rounds, stats)
            })
        });
        self.copied = counts;
        self.staged = Some(span);
        submitted
    }

    /// Submits the copy of a part that is in staging memory, the prefilter for what can be looked through then
    /// and, with the last part, all that follows.
    fn submit_slice(
        &mut self,
        upload: &Upload,
        index: usize,
        part: Range<usize>,
        params: ScanParams,
        rounds: u32,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        let Frame { device, resources, slices, open, start, rest, stages, .. } = self;
        let [is_first, is_last] = [index == 0, part.end == upload.len];
        let slice = &mut slices[index];
        let marks = resources.timestamps.clone();
        let is_prefiltered = params.use_prefilter != layout::PREFILTER_NONE;
        let by_transfer_queue = device.has_transfer_queue();
        let mut commands: [Option<&mut Commands>; 5] = Default::default();
        if is_first {
            start.record(Key::new(params, 0), None, |to, _| {
                resources.record_start(to, params, false);
            })?;
            commands[0] = Some(open);
            commands[2] = Some(&mut start.commands);
        }
        let region = upload.region(part.clone())?;
        stats.bytes_up += region.size;
        let copy = if by_transfer_queue { &mut slice.transfer } else { &mut slice.copy };
        copy.record(|to| {
            resources.record_upload(to, upload, region);
            if !by_transfer_queue {
                to.transfer_to_compute();
            }
        })?;
        let mut uploaded = None;
        if by_transfer_queue {
            self.transferred = device.submit(&mut [copy], &self.uploads)?;
            uploaded = Some((&self.uploads, self.transferred));
        } else {
            commands[1] = Some(copy);
        }
        let range = resources.slice_params(params, part, is_first, is_last);
        // Where nothing is prefiltered, nothing can be done before all of it is there.
        if is_prefiltered && range.prefilter_first < range.prefilter_end {
            let key = Key::new(range, narrow(stages.len()));
            slice.prefilter.record(key, marks.as_ref(), |to, marks| {
                resources.record_prefilter(to, marks, range);
            })?;
            stages.extend_from_slice(&slice.prefilter.stages);
            commands[3] = Some(&mut slice.prefilter.commands);
        }
        if is_last {
            rest.record(Key::new(params, narrow(stages.len())), marks.as_ref(), |to, marks| {
                resources.record_rest(to, marks, params, rounds, is_prefiltered);
            })?;
            stages.extend_from_slice(&rest.stages);
            commands[4] = Some(&mut rest.commands);
        }
        if commands.iter().any(Option::is_some) {
            let commands = commands.into_iter().flatten();
            self.submitted = device.submit_after(uploaded, commands, &self.timeline)?;
        }
        Ok(())
    }

    /// Sees to it that kernels find the haystack where it is.
    fn bind(&mut self, source: &Source) -> Result<(), BackendError> {
        let resources = &mut self.resources;
        let before = resources.is_resident;
        let mut is_new = false;
        match source {
            Source::AsBefore => {}
            Source::Host { .. } | Source::Staged { .. } => resources.is_resident = false,
            Source::Resident(haystack) => {
                let buffer = haystack.buffer();
                let is_known = |resident: &Resident| resident.buffer.is(buffer);
                if !resources.resident.as_ref().is_some_and(is_known) {
                    let Resources { kernels, tables, bound, shape, .. } = &*resources;
                    let sets =
                        descriptor_sets(&self.device, kernels, tables, bound, shape, buffer)?;
                    let (buffer, users) = (buffer.clone(), haystack.users());
                    resources.resident = Some(Resident { buffer, sets, users });
                    is_new = true;
                }
                resources.is_resident = true;
            }
        }
        if is_new || before != resources.is_resident {
            // What was recorded names other sets.
            self.forget_recordings();
        }
        Ok(())
    }

    /// Verifies starts of rules of the only pass, each exactly, in the haystack of the run before, whose
    /// parameters these are.
    pub(crate) fn verify(
        &mut self,
        starts: &[Candidate],
        params: ScanParams,
        stats: &mut ScanStats,
    ) -> Result<Outcome, BackendError> {
        let since = Instant::now();
        // No start but these, and nothing to look for.
        let params = ScanParams {
            first_start: 0,
            end_start: 0,
            prefilter_first: 0,
            prefilter_end: 0,
            use_prefilter: layout::PREFILTER_ALL,
            has_listed: 0,
            ..params
        };
        let Frame { device, resources, open, start, rest, stages, .. } = self;
        let candidates = &self.others[CANDIDATES];
        let marks = resources.timestamps.clone();
        start.key = None;
        start.commands.record(|to| {
            let first_start = u64::from(params.candidate_capacity) * size_of::<Candidate>() as u64;
            to.update_buffer(candidates, first_start, cast_slice(starts));
            resources.reset(to, true);
            to.barrier(Scope::TRANSFER, Scope::TRANSFER);
            let count: u32 = narrow(starts.len());
            let start_count = offset_of!(Control, start_count) as u64;
            to.update_buffer(&resources.control, start_count, bytes_of(&count));
            to.transfer_to_compute();
            resources.schedule(to, ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params });
        })?;
        self.resumes_at = layout::SCHEDULE_ROUND;
        let rounds = resources.shape.rounds[0];
        rest.record(Key::new(params, 1), marks.as_ref(), |to, marks| {
            resources.record_rounds(to, marks, params, rounds, FirstPass::Prefiltered);
            resources.record_readback(to, marks, params);
        })?;
        stages.clear();
        stages.push(Stage::Begin);
        stages.extend_from_slice(&rest.stages);
        let mut commands = [open, &mut start.commands, &mut rest.commands];
        self.submitted = device.submit(&mut commands, &self.timeline)?;
        stats.bytes_up += 8 + size_of_val(starts) as u64;
        stats.uploads += 3;
        stats.enqueue += since.elapsed();
        self.finish(params, stats)
    }

    /// Waits for what was begun with the same parameters, and goes on until it is done.
    pub(crate) fn finish(
        &mut self,
        params: ScanParams,
        stats: &mut ScanStats,
    ) -> Result<Outcome, BackendError> {
        let mut header = self.header(stats)?;
        while header.pass < params.pass_count {
            let since = Instant::now();
            let params = ScanParams { pass: header.pass, stage: self.resumes_at, ..params };
            self.resumes_at = layout::SCHEDULE_ROUND;
            let Frame { device, resources, open, resume, stages, .. } = self;
            let marks = resources.timestamps.clone();
            stages.clear();
            stages.push(Stage::Begin);
            let rounds = resources.shape.rounds[1];
            resume.record(Key::new(params, 1), marks.as_ref(), |to, marks| {
                resources.record_resume(to, marks, params, rounds);
            })?;
            stages.extend_from_slice(&resume.stages);
            let mut commands = [open, &mut resume.commands];
            self.submitted = device.submit(&mut commands, &self.timeline)?;
            stats.enqueue += since.elapsed();
            header = self.header(stats)?;
        }
        stats.rounds += header.rounds;
        Ok(Outcome { hit_count: header.hit_count, retry_reasons: header.retry_reasons })
    }

    /// Waits for the last submission, and says how far the scan has come.
    fn header(&mut self, stats: &mut ScanStats) -> Result<ReadbackHeader, BackendError> {
        let waiting = Instant::now();
        self.wait_idle(self.deadline)?;
        self.deadline = self.device.deadline();
        stats.wait += waiting.elapsed();
        stats.submissions += 1;
        if let Some(timestamps) = &self.resources.timestamps {
            self.nanoseconds.resize(self.stages.len(), 0);
            timestamps.read(&mut self.nanoseconds)?;
            *stats.device.get_or_insert_default() += stage_times(&self.stages, &self.nanoseconds);
        }
        let readback = &self.resources.readback;
        let head = 0..(ReadbackHeader::WORDS * 4) as u64;
        readback.invalidate(head.clone())?;
        stats.bytes_down += head.end;
        Ok(pod_read_unaligned(readback.mapped(head)))
    }

    /// The hits of the last run, which counted `count` and no more than the frame holds.
    pub(crate) fn hits(&self, count: u32, stats: &mut ScanStats) -> Result<&[Hit], BackendError> {
        let words = u64::from(count) * Hit::WORDS as u64;
        Ok(cast_slice(self.behind_header(0, words, stats)?))
    }

    /// The suffixes that told of these hits, if the last run was direct; [`layout::NO_SUFFIX`] for the others.
    pub(crate) fn suffixes(
        &self,
        count: u32,
        stats: &mut ScanStats,
    ) -> Result<&[u32], BackendError> {
        self.behind_header(self.hit_words(Hit::WORDS), count.into(), stats)
    }

    /// What has become of the last run's slots, if it was the last one over their items.
    pub(crate) fn slot_states(
        &self,
        count: u32,
        stats: &mut ScanStats,
    ) -> Result<&[u32], BackendError> {
        self.behind_header(self.hit_words(HIT_WORDS), count.into(), stats)
    }

    /// The words that as many hits as the frame holds take, at `each` words a hit.
    fn hit_words(&self, each: usize) -> u64 {
        u64::from(self.resources.shape.hit_capacity) * each as u64
    }

    /// What the last run left in `words` words of the readback buffer, the first of them `skip` words
    /// behind its header.
    fn behind_header(
        &self,
        skip: u64,
        words: u64,
        stats: &mut ScanStats,
    ) -> Result<&[u32], BackendError> {
        let begin = (ReadbackHeader::WORDS as u64 + skip) * 4;
        let range = begin..begin + words * 4;
        let readback = &self.resources.readback;
        readback.invalidate(range.clone())?;
        stats.bytes_down += words * 4;
        Ok(cast_slice(readback.mapped(range)))
    }

    /// Waits for the next submission until then, and for each after it as long as the device is given.
    pub(crate) fn wait_until(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// Frees everything, and says what went wrong first. What the device still holds is in `watched` then.
    pub(super) fn free(self, watched: &mut Vec<WatchedBuffer>) -> Result<(), BackendError> {
        let Frame {
            staging_buffer,
            resources,
            others,
            window,
            open,
            copy,
            whole,
            start,
            slices,
            rest,
            resume,
            staged,
            ..
        } = self;
        let Resources {
            haystack, hits, control, readback, own_sets, resident, tables, bound, ..
        } = resources;
        watched.push(staging_buffer.watch());
        let own = [&haystack, &hits, &control, &readback].into_iter().chain(&others);
        watched.extend(own.map(Buffer::watch));
        drop((open, copy, whole, start, slices, rest, resume));
        drop((window, own_sets, resident, tables, bound, staged));
        let buffers = [haystack, hits, control, readback].into_iter().chain(others);
        buffers.map(Buffer::destroy).fold(staging_buffer.destroy(), Result::and)
    }
}

/// A descriptor set for each pass's tables.
fn descriptor_sets(
    device: &Arc<Device>,
    kernels: &Kernels,
    tables: &[Buffer],
    bound: &[(u32, Buffer)],
    shape: &FrameShape,
    haystack: &Buffer,
) -> Result<Vec<Arc<DescriptorSet>>, BackendError> {
    let of_pass = |tables: &Buffer| {
        let plain = bound.iter().map(|(binding, buffer)| (*binding, buffer));
        let mut bindings: Vec<Binding> = std::iter::once((layout::BINDING_TABLES, tables))
            .chain(plain)
            .map(|(binding, buffer)| Binding {
                binding,
                array_index: 0,
                buffer,
                offset: 0,
                range: buffer.size(),
            })
            .collect();
        bindings.extend((0..layout::MAX_SEGMENTS).map(|index| {
            let (offset, range) = segment(shape, haystack, index);
            let binding = layout::BINDING_HAYSTACK;
            Binding { binding, array_index: index, buffer: haystack, offset, range }
        }));
        DescriptorSet::new(device, "frame", &kernels.set_layout, &bindings)
    };
    tables.iter().map(of_pass).collect()
}

/// Offset and length of the part of the haystack that is bound at `index` of the array. Elements that no
/// kernel indexes are bound to the first part.
fn segment(shape: &FrameShape, haystack: &Buffer, index: u32) -> (u64, u64) {
    if shape.segments == 1 {
        return (0, haystack.size());
    }
    let segment = 1_u64 << layout::SEGMENT_SHIFT;
    let offset = u64::from(index) * segment;
    let offset = if offset < haystack.size() { offset } else { 0 };
    (offset, segment.min(haystack.size() - offset))
}

/// Enough workgroups that the copying loop stays far below 65,535 turns for any hit buffer.
fn readback_groups(shape: &FrameShape) -> u32 {
    const MOST: u32 = 1024;
    let words = u64::from(shape.hit_capacity) * HIT_WORDS as u64;
    narrow(words.div_ceil(u64::from(layout::WORKGROUP) * 4).clamp(1, u64::from(MOST)))
}

fn mark_begin(to: &mut Recorder, timestamps: Option<&Arc<Timestamps>>) {
    if let Some(timestamps) = timestamps {
        to.reset_timestamps(timestamps);
        to.write_timestamp(timestamps, 0, vk::PipelineStageFlags::TOP_OF_PIPE);
    }
}

/// Adds up what passed before each timestamp.
fn stage_times(stages: &[Stage], nanoseconds: &[u64]) -> StageTimes {
    let mut times = StageTimes::default();
    for (stage, pair) in stages[1..].iter().zip(nanoseconds.windows(2)) {
        // The clock's wrap is taken care of, but two marks of no work may be out of order by a tick.
        let passed = Duration::from_nanos(pair[1].saturating_sub(pair[0]));
        match stage {
            Stage::Begin => {}
            Stage::Upload => times.upload += passed,
            Stage::Prefilter => times.prefilter += passed,
            Stage::Confirm => times.confirm += passed,
            Stage::VerifyDfa => times.verify_dfa += passed,
            Stage::VerifyNfa => times.verify_nfa += passed,
            Stage::Readback => times.readback += passed,
        }
    }
    times
}

/// Copies to the front of mapped memory, with several threads where it is much.
fn copy_bytes(from: &[u8], to: &mut [u8]) {
    /// Below this a thread alone is done sooner.
    const LITTLE: usize = 512 << 10;
    /// More than these are awake too late, or in each other's way.
    const HELPERS: usize = 3;
    const PIECE: usize = 64 << 10;

    if from.len() < LITTLE {
        to[..from.len()].copy_from_slice(from);
    } else {
        copy_with_help(from, to, PIECE, |helper| {
            for _ in 0..HELPERS {
                let helper = helper.clone();
                pool().spawn(move || helper.help());
            }
        });
    }
}

impl Resources {
    fn sets(&self) -> &[Arc<DescriptorSet>] {
        match &self.resident {
            Some(Resident { sets, .. }) if self.is_resident => sets,
            _ => &self.own_sets,
        }
    }

    /// What of the prefilter's range can be looked through once the bytes in `part` are there, and all before.
    fn slice_params(
        &self,
        params: ScanParams,
        part: Range<usize>,
        is_first: bool,
        is_last: bool,
    ) -> ScanParams {
        // A look at a unit reads the one behind it too.
        let unit = layout::PREFILTER_BYTES;
        let begin = if is_first { 0 } else { narrow::<_, u32>(part.start) - unit };
        let end = if is_last { u32::MAX } else { narrow::<_, u32>(part.end) - unit };
        let prefilter_first = params.prefilter_first.max(begin);
        let prefilter_end = params.prefilter_end.min(end);
        let prefilter_turns =
            self.shape.prefilter_turns(prefilter_end.saturating_sub(prefilter_first));
        ScanParams { prefilter_first, prefilter_end, prefilter_turns, ..params }
    }

    /// Rounds in a scan's first submission. Where little is looked through, the suffixes seldom leave anything to
    /// do, and a submission more is cheaper than kernels that find nothing.
    fn first_rounds(&self, params: ScanParams) -> u32 {
        /// Bytes.
        const LITTLE: u32 = 1 << 20;

        let is_little = params.prefilter_end - params.prefilter_first <= LITTLE;
        let is_prefiltered = params.use_prefilter == layout::PREFILTER_ALL;
        if self.shape.may_end_early && is_prefiltered && is_little {
            0
        } else {
            self.shape.rounds[0]
        }
    }

    /// Zeroes the counters of hits and all of Control but the generation and, where the haystack is the same,
    /// what has been found out about it, which is then of the only pass.
    fn reset(&self, to: &mut Recorder, is_same: bool) {
        let keeps = is_same && self.tables.len() == 1;
        let begin = offset_of!(Control, pass) as u64;
        let end = if keeps { offset_of!(Control, listed) as u64 } else { self.control.size() };
        to.fill_buffer(&self.hits, 0, 4, 0);
        to.fill_buffer(&self.control, begin, end - begin, 0);
    }

    fn record_upload(&self, to: &mut Recorder, upload: &Upload, region: vk::BufferCopy) {
        to.label_begin(c"upload");
        to.copy_buffer(&upload.buffer, &self.haystack, &[region]);
        if !upload.resident.is_empty() {
            to.transfer_to_transfer();
        }
        for part in upload.resident {
            to.copy_buffer(&part.buffer, &self.haystack, &[part.region]);
        }
        to.label_end();
    }

    fn record_start(&self, to: &mut Recorder, params: ScanParams, is_same: bool) {
        self.reset(to, is_same);
        to.transfer_to_compute();
        if let Some(slots) = &self.kernels.slots {
            self.visit_slots(to, c"claim", &slots.claim, params);
            to.compute_to_compute();
        }
        if params.use_prefilter == layout::PREFILTER_NONE {
            self.schedule(to, ScanParams { stage: layout::SCHEDULE_BEGIN, ..params });
        }
    }

    /// Records the first pass's prefilter over a part of its range.
    fn record_prefilter(&self, to: &mut Recorder, marks: &mut Marks, params: ScanParams) {
        marks.mark(to, Stage::Upload);
        let of_classes = self
            .shape
            .has_class_windows
            .then_some((c"class_prefilter", &self.kernels.class_prefilter));
        let prefilter = Some((c"gram_prefilter", &self.kernels.gram_prefilter));
        for (label, kernel) in prefilter.into_iter().chain(of_classes) {
            to.label_begin(label);
            to.bind(kernel, &self.sets()[0]);
            to.push_constants(bytes_of(&params));
            to.dispatch([params.gram_prefilter_groups(), 1]);
            to.label_end();
        }
        to.compute_to_compute();
        marks.mark(to, Stage::Prefilter);
    }

    /// Records all that comes once the haystack is there and, where it `is_prefiltered`, the first pass's prefilter
    /// has looked through it.
    fn record_rest(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        is_prefiltered: bool,
    ) {
        if !is_prefiltered {
            marks.mark(to, Stage::Upload);
        }
        let first = if is_prefiltered { FirstPass::Prefiltered } else { FirstPass::Whole };
        self.record_passes(to, marks, params, rounds, first);
    }

    fn record_resume(&self, to: &mut Recorder, marks: &mut Marks, params: ScanParams, rounds: u32) {
        self.schedule(to, params);
        let params = ScanParams { stage: layout::SCHEDULE_ROUND, ..params };
        self.record_passes(to, marks, params, rounds, FirstPass::Resumed);
    }

    /// Records a scan from `params.pass` on, with so many rounds for each pass: what a round does not
    /// finish the next one does, and rounds of a pass that is done cost next to nothing. Without any rounds
    /// it is for the next submission to judge the only pass's suffixes.
    fn record_passes(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        first: FirstPass,
    ) {
        for pass in params.pass..params.pass_count {
            let first = if pass == params.pass { first } else { FirstPass::Whole };
            let params = ScanParams { pass, ..params };
            if params.use_prefilter != layout::PREFILTER_NONE {
                if first != FirstPass::Prefiltered {
                    let grid = layout::CONTROL_GRAM_PREFILTER_GRID;
                    self.walk(to, c"gram_prefilter", &self.kernels.gram_prefilter, params, grid);
                    let grid = layout::CONTROL_CLASS_PREFILTER_GRID;
                    self.walk(to, c"class_prefilter", &self.kernels.class_prefilter, params, grid);
                    marks.mark(to, Stage::Prefilter);
                }
                self.record_confirm(to, params);
                let params = ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params };
                if rounds == 0 {
                    marks.mark(to, Stage::Confirm);
                    self.record_readback(to, marks, params);
                    return;
                }
                self.schedule(to, params);
                marks.mark(to, Stage::Confirm);
            }
            self.record_rounds(to, marks, params, rounds, first);
        }
        self.record_readback(to, marks, params);
    }

    fn record_confirm(&self, to: &mut Recorder, params: ScanParams) {
        to.label_begin(c"confirm");
        to.bind(&self.kernels.confirm, &self.sets()[params.pass as usize]);
        to.push_constants(bytes_of(&params));
        to.dispatch([self.shape.confirm_groups, 1]);
        to.compute_to_compute();
        to.label_end();
    }

    /// Records rounds of the pass that `params` names.
    fn record_rounds(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        first: FirstPass,
    ) {
        for round in 0..rounds {
            // Before its first round a pass has no long walks.
            let may_share = params.chunk_log2 != 0;
            if may_share && (round > 0 || first == FirstPass::Resumed) {
                let grid = layout::CONTROL_CHUNK_SUMMARIES_GRID;
                self.walk(to, c"chunk_summaries", &self.kernels.chunk_summaries, params, grid);
                let grid = layout::CONTROL_COMPOSE_SUMMARIES_GRID;
                self.walk(to, c"compose_summaries", &self.kernels.compose_summaries, params, grid);
            }
            let grid = layout::CONTROL_VERIFY_DFA_GRID;
            self.walk(to, c"verify_dfa", &self.kernels.verify_dfa, params, grid);
            marks.mark(to, Stage::VerifyDfa);
            if params.nfa_walkers > 0 {
                let grid = layout::CONTROL_VERIFY_NFA_GRID;
                self.walk(to, c"verify_nfa", &self.kernels.verify_nfa, params, grid);
            }
            let pass = if round + 1 < rounds { params.pass } else { params.pass + 1 };
            self.schedule(to, ScanParams { pass, ..params });
            marks.mark(to, Stage::VerifyNfa);
        }
    }

    fn record_readback(&self, to: &mut Recorder, marks: &mut Marks, params: ScanParams) {
        to.label_begin(c"readback");
        to.bind(&self.kernels.readback, &self.sets()[0]);
        to.push_constants(bytes_of(&params));
        to.dispatch([self.readback_groups, 1]);
        to.label_end();
        if let Some(slots) = &self.kernels.slots {
            self.visit_slots(to, c"retire", &slots.retire, params);
        }
        to.compute_to_host();
        marks.mark(to, Stage::Readback);
    }

    /// Records a kernel that looks at each slot of packed items.
    fn visit_slots(
        &self,
        to: &mut Recorder,
        label: &CStr,
        kernel: &Arc<ComputePipeline>,
        params: ScanParams,
    ) {
        let workgroup = self.kernels.slots.as_ref().map_or(1, |slots| slots.workgroup);
        to.label_begin(label);
        to.bind(kernel, &self.sets()[0]);
        to.push_constants(bytes_of(&params));
        to.dispatch([params.slot_count.div_ceil(workgroup), 1]);
        to.label_end();
    }

    /// Records the kernel that decides what comes next, which belongs to `params.pass`.
    fn schedule(&self, to: &mut Recorder, params: ScanParams) {
        to.label_begin(c"schedule");
        // After the last pass any tables serve.
        let pass = params.pass.min(params.pass_count - 1);
        to.bind(&self.kernels.schedule, &self.sets()[pass as usize]);
        to.push_constants(bytes_of(&params));
        to.dispatch([1, 1]);
        to.compute_to_indirect();
        to.label_end();
    }

    /// Records a kernel whose grid `schedule` has set.
    fn walk(
        &self,
        to: &mut Recorder,
        label: &CStr,
        kernel: &Arc<ComputePipeline>,
        params: ScanParams,
        grid: u32,
    ) {
        to.label_begin(label);
        to.bind(kernel, &self.sets()[params.pass as usize]);
        to.push_constants(bytes_of(&params));
        to.dispatch_indirect(&self.control, grid.into());
        to.compute_to_compute();
        to.label_end();
    }
}
