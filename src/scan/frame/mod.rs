//! A frame: what one scan in flight needs of its own.
//!
//! | file | story |
//! |---|---|
//! | `shape.rs` | how large its buffers are, and how much work a dispatch takes |
//! | `pipelines.rs` | the kernels |
//! | `resources.rs` | its buffers |
//! | `bindings.rs` | its descriptor sets |
//! | `replay.rs` | commands that are recorded once, and marks that time stages |
//! | `passes.rs` | what is recorded: kernels, round by round |
//! | `upload.rs` | how a haystack comes to the device |
//! | `append.rs` | the same for command buffers of the caller's |
//! | `submit.rs` | a scan from its submission to the header of what it found |
//! | `traced.rs` | what is told of it where somebody wants a trace |

mod append;
mod bindings;
mod passes;
pub(crate) mod pipelines;
mod replay;
mod resources;
mod shape;
mod submit;
mod traced;
mod upload;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ash::vk;
use bytemuck::cast_slice;

use crate::narrow::narrow;
use crate::scan::haystack::Users;
use crate::scan::stats::ScanStats;
use crate::shaders::layout::{self, Hit, ReadbackHeader};
use crate::vulkan::allocator::MemoryLocation;
use crate::vulkan::command::Commands;
use crate::vulkan::deadline::Deadline;
use crate::vulkan::device::{Device, QueueRole};
use crate::vulkan::memory::{Buffer, Span, WatchedBuffer};
use crate::vulkan::pipeline::DescriptorSet;
use crate::vulkan::query::Timestamps;
use crate::vulkan::staging::{MappedBuffer, StagingBuffer, StagingSpan};
use crate::vulkan::timeline::{Milestone, Timeline};
use crate::{BackendError, RawSemaphore};
use bindings::descriptor_sets;
use replay::{Forecast, MOST_AGAIN_AHEAD, MOST_ROUNDS_AHEAD, Replay, Stage, mark_begin};
use resources::Resources;
use traced::Traced;

pub(crate) use append::{Appended, Appender};
pub(crate) use resources::Common;
pub(crate) use shape::FrameShape;
pub(crate) use upload::Source;

pub(crate) struct Frame {
    device: Arc<Device>,
    /// Staging memory, for one haystack at a time.
    staging_buffer: Arc<StagingBuffer>,
    resources: Resources,
    /// The buffers that kernels use, and nobody reads back.
    others: [Buffer; 7],
    timeline: Arc<Timeline>,
    /// The timeline's value once all submissions have run.
    submitted: u64,
    /// The timeline's value once the scan may begin, if it has to wait for that.
    held_until: Option<u64>,
    /// What the transfer queue has uploaded, and its value once all of that has run.
    uploads: Arc<Timeline>,
    transferred: u64,
    /// Until when to wait for what is submitted next.
    deadline: Deadline,
    /// The haystack's memory, where the host can write to it.
    window: Option<MappedBuffer>,
    open: Commands,
    copy: Commands,
    whole: Replay,
    start: Replay,
    slices: Vec<Slice>,
    /// Bytes of each slice that have been copied to staging memory.
    copied: Vec<AtomicUsize>,
    rest: Replay,
    resume: Replay,
    end: Replay,
    forecast: Forecast,
    /// What the next submission begins with, should it go on: `layout::SCHEDULE_*`.
    resumes_at: u32,
    /// As in [`Outcome`].
    is_judged: bool,
    /// What ended at each timestamp since `open`.
    stages: Vec<Stage>,
    nanoseconds: Vec<u64>,
    /// What a trace is told, if there is one.
    traced: Option<Traced>,
    /// The haystack of a scan whose end has not been seen: the device may be reading it still.
    pub(super) staged: Option<StagingSpan>,
}

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
    prefilter: Replay,
}

/// A haystack on the device.
struct Resident {
    /// It is in that, or is that.
    buffer: Buffer,
    /// One for each pass.
    sets: Vec<Arc<DescriptorSet>>,
    /// There as long as somebody may want to scan it again.
    users: Weak<Users>,
}

/// How a run ended.
pub(crate) struct Outcome {
    /// Hits counted. If they are more than the frame holds, nothing was selected from them.
    pub(crate) hit_count: u32,
    /// `layout::RETRY_*` bits: nothing was found out if there are any.
    pub(crate) retry_reasons: u32,
    /// Whether the device has looked at what is to be done again, as it does where its run had rounds.
    pub(crate) is_judged: bool,
    /// The number of the matches; none if hits left open too much to tell which of them count.
    pub(crate) match_count: Option<u32>,
}

impl Frame {
    pub(crate) fn new(
        common: &Common,
        staging_buffer: Arc<StagingBuffer>,
        name: &str,
    ) -> Result<Frame, BackendError> {
        let Common { device, tables, shape, .. } = *common;
        let bytes = shape.buffer_bytes();
        let storage = vk::BufferUsageFlags::STORAGE_BUFFER;
        let haystack = Buffer::new(
            device,
            &format!("{name}/haystack"),
            bytes.haystack,
            MemoryLocation::DeviceLocalMapped,
            storage | vk::BufferUsageFlags::TRANSFER_DST,
        )?;
        let readback = Buffer::new(
            device,
            &format!("{name}/readback"),
            bytes.readback,
            MemoryLocation::Readback,
            storage,
        )?;
        let rounds = shape.rounds[0].max(shape.rounds[1]).max(MOST_ROUNDS_AHEAD);
        let rounds = rounds * narrow::<_, u32>(tables.len());
        let slice_count = shape.haystack_bytes.div_ceil(shape.slice_bytes.into());
        let slice_count: u32 = narrow(slice_count.clamp(1, MOST_SLICES as u64));
        let of_selection = 1 + MOST_AGAIN_AHEAD * (2 * shape.rounds[0] + 1);
        let passes: u32 = narrow(tables.len());
        let marks = 5 + 2 * rounds + 2 * passes + 2 * slice_count + of_selection;
        let slice = |index: u32| {
            let name = |what: &str| format!("{name}/slice {index}/{what}");
            Ok(Slice {
                copy: Commands::new(device, &name("copy"))?,
                transfer: Commands::for_queue(device, QueueRole::Transfer, &name("transfer"))?,
                prefilter: Replay::new(device, &name("prefilter"))?,
            })
        };
        let window = MappedBuffer::of(&haystack);
        let timestamps = format!("{name} timestamps");
        let timestamps = Timestamps::new(device, QueueRole::Compute, &timestamps, marks)?;
        let (mut resources, others) = Resources::new(common, haystack, readback, timestamps, name)?;
        let haystack = Span::whole(&resources.haystack);
        resources.own_sets = descriptor_sets(device, &resources, haystack)?;
        let mut frame = Frame {
            device: device.clone(),
            staging_buffer,
            resources,
            others,
            timeline: Timeline::new(device, name)?,
            submitted: 0,
            held_until: None,
            uploads: Timeline::new(device, &format!("{name}/uploads"))?,
            transferred: 0,
            deadline: device.deadline(),
            window,
            open: Commands::new(device, &format!("{name}/open"))?,
            copy: Commands::new(device, &format!("{name}/copy"))?,
            whole: Replay::new(device, &format!("{name}/whole"))?,
            copied: (0..slice_count).map(|_| AtomicUsize::new(0)).collect(),
            start: Replay::new(device, &format!("{name}/start"))?,
            slices: (0..slice_count).map(slice).collect::<Result<_, BackendError>>()?,
            rest: Replay::new(device, &format!("{name}/rest"))?,
            resume: Replay::new(device, &format!("{name}/resume"))?,
            end: Replay::new(device, &format!("{name}/end"))?,
            forecast: Forecast::default(),
            resumes_at: layout::SCHEDULE_ROUND,
            is_judged: false,
            stages: Vec::new(),
            nanoseconds: Vec::new(),
            traced: Traced::new(device, name, slice_count as usize)?,
            staged: None,
        };
        frame.clear()?;
        Ok(frame)
    }

    /// Zeroes what kernels rely on across scans.
    fn clear(&mut self) -> Result<(), BackendError> {
        let Frame { resources, others, start, .. } = self;
        start.commands.record(|to| resources.record_clear(to, others))?;
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

    /// Tells the trace that a scan begins, which has been prepared since `began`.
    pub(super) fn begin_traced(&mut self, began: Instant, bytes: usize) {
        if let Some(traced) = &mut self.traced {
            traced.begin_scan(began, bytes);
        }
    }

    /// Tells the trace that the scan is over.
    pub(super) fn end_traced(&mut self, stats: &ScanStats) {
        if let Some(traced) = &mut self.traced {
            traced.end_scan(stats);
        }
    }

    /// Tells the trace what the calling thread has done for the scan since `began`, with so many bytes, if it copied any.
    pub(super) fn trace(&self, name: &'static str, began: Instant, bytes: Option<u64>) {
        if let Some(traced) = &self.traced {
            traced.by_thread(name, began, bytes);
        }
    }

    /// Has what is submitted from now on wait for semaphores of the caller's.
    pub(super) fn wait_for(&mut self, waits: &[RawSemaphore]) -> Result<(), BackendError> {
        self.held_until = match waits {
            [] => None,
            waits => {
                self.submitted = self.device.submit_waits(waits, &self.timeline)?;
                Some(self.submitted)
            }
        };
        Ok(())
    }

    /// What is reached once all that was submitted has run.
    pub(super) fn timeline(&self) -> (u64, u64) {
        let reached = self.timeline.at(self.submitted);
        (reached.handle(), reached.value())
    }

    /// The same, for who waits by the host.
    pub(super) fn milestone(&self) -> Milestone {
        Milestone::new(&self.timeline, self.submitted)
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
    fn recordings(&mut self) -> impl Iterator<Item = &mut Replay> {
        let prefilters = self.slices.iter_mut().map(|slice| &mut slice.prefilter);
        let Frame { whole, start, rest, resume, end, .. } = self;
        let others = [whole, start, rest, resume, end];
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

    /// Sees to it that kernels find the haystack where it is.
    fn bind(&mut self, source: &Source) -> Result<(), BackendError> {
        let resources = &mut self.resources;
        let before = resources.is_resident;
        let mut is_new = false;
        match source {
            Source::AsBefore => {}
            Source::Host { .. } | Source::Staged { .. } => resources.is_resident = false,
            Source::Resident(haystack) => {
                let users = haystack.users();
                let is_known = |resident: &Resident| resident.users.ptr_eq(&users);
                if !resources.resident.as_ref().is_some_and(is_known) {
                    let sets = descriptor_sets(&self.device, resources, haystack.span())?;
                    let buffer = haystack.buffer().clone();
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

    /// The matches of the last run, which had so many.
    pub(crate) fn matches(
        &self,
        count: u32,
        stats: &mut ScanStats,
    ) -> Result<&[Hit], BackendError> {
        let words = u64::from(count) * Hit::WORDS as u64;
        Ok(cast_slice(self.behind_header(0, words, stats)?))
    }

    /// What has become of the last run's slots, if it was the last one over their items.
    pub(crate) fn slot_states(
        &self,
        count: u32,
        stats: &mut ScanStats,
    ) -> Result<&[u32], BackendError> {
        let skip = u64::from(self.resources.shape.hit_capacity) * Hit::WORDS as u64;
        self.behind_header(skip, count.into(), stats)
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
            end,
            staged,
            ..
        } = self;
        let Resources {
            haystack, hits, control, readback, own_sets, resident, tables, bound, ..
        } = resources;
        watched.push(staging_buffer.watch());
        let own = [&haystack, &hits, &control, &readback].into_iter().chain(&others);
        watched.extend(own.map(Buffer::watch));
        drop((open, copy, whole, start, slices, rest, resume, end));
        drop((window, own_sets, resident, tables, bound, staged));
        let buffers = [haystack, hits, control, readback].into_iter().chain(others);
        buffers.map(Buffer::destroy).fold(staging_buffer.destroy(), Result::and)
    }
}
