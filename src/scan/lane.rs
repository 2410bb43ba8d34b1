//! A lane: what one scan in flight needs of its own.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ash::vk;
use bytemuck::{bytes_of, pod_read_unaligned};

use super::kernels::Kernels;
use super::stats::{ScanStats, StageTimes};
use super::tuning::Tuning;
use crate::BackendError;
use crate::shaders::layout::{
    self, Candidate, Control, Hit, NfaWalker, QueueItem, ReadbackHeader, ScanParams, StartWalker,
};
use crate::vulkan::command::{Commands, Recorder};
use crate::vulkan::device::Device;
use crate::vulkan::memory::{Buffer, Location};
use crate::vulkan::pipeline::{Binding, ComputePipeline, DescriptorSet};
use crate::vulkan::query::Timestamps;
use crate::vulkan::staging::StagingSpan;
use crate::vulkan::timeline::Timeline;

/// Sizes of a lane's buffers, alike for all lanes of a session.
#[derive(Clone, Debug)]
pub(crate) struct LaneShape {
    /// Bytes, whole units of the filter.
    pub(crate) haystack_bytes: u64,
    /// Storage buffers that the haystack is bound as.
    pub(crate) segments: u32,
    pub(crate) hit_capacity: u32,
    pub(crate) start_walkers: u32,
    pub(crate) nfa_walkers: u32,
    pub(crate) nfa_scratch_words: u32,
    pub(crate) queue_capacity: u32,
    pub(crate) candidate_capacity: u32,
    pub(crate) item_capacity: u32,
    pub(crate) filter_groups: u32,
    pub(crate) step_budget: u32,
    pub(crate) rounds: [u32; 2],
}

impl LaneShape {
    /// The part of the parameters that is the same for every scan.
    pub(crate) fn params(&self, pass_count: u32) -> ScanParams {
        ScanParams {
            hit_capacity: self.hit_capacity,
            queue_capacity: self.queue_capacity,
            candidate_capacity: self.candidate_capacity,
            item_capacity: self.item_capacity,
            start_walkers: self.start_walkers,
            nfa_walkers: self.nfa_walkers,
            step_budget: self.step_budget,
            pass_count,
            ..ScanParams::default()
        }
    }

    /// Turns of a workgroup of the filter over so many bytes.
    pub(crate) fn filter_turns(&self, bytes: u32) -> u32 {
        /// More would keep a device too long with too little.
        const MOST: u32 = 64;
        let turns = bytes.div_ceil(layout::FILTER_WORKGROUP * layout::FILTER_BYTES);
        turns.div_ceil(self.filter_groups).clamp(1, MOST)
    }

    /// Sizes a lane for rules that need `nfa_words` of scratch for a walker, or no NFA at all, and that can
    /// have `most_walks` under way at once.
    pub(crate) fn new(
        tuning: &Tuning,
        haystack_bytes: u64,
        segments: u32,
        hit_capacity: u32,
        nfa_words: u32,
        most_walks: u64,
    ) -> LaneShape {
        let nfa_walkers = match nfa_words {
            0 => 0,
            words => (tuning.nfa_scratch_bytes / (u64::from(words) * 4))
                .min(tuning.nfa_walkers.into())
                .min(most_walks)
                .max(1) as u32,
        };
        let queue_capacity =
            most_walks.next_power_of_two().min(tuning.queue_capacity.into()) as u32;
        let starts = haystack_bytes.next_multiple_of(u64::from(layout::WORKGROUP));
        let candidates = haystack_bytes
            .div_ceil(tuning.bytes_per_candidate.into())
            .clamp(LEAST_CANDIDATES, MOST_CANDIDATES) as u32;
        LaneShape {
            haystack_bytes,
            segments,
            hit_capacity,
            start_walkers: starts.min(u64::from(tuning.start_walkers)) as u32,
            nfa_walkers,
            nfa_scratch_words: nfa_words * nfa_walkers,
            queue_capacity: if nfa_walkers == 0 { 1 } else { queue_capacity },
            candidate_capacity: candidates,
            item_capacity: (candidates / 4).max(LEAST_CANDIDATES as u32),
            filter_groups: tuning.filter_groups,
            step_budget: tuning.step_budget,
            rounds: tuning.rounds,
        }
    }
}

/// Candidate tails that there is room for. For candidate starts, of which there are fewer, there is a
/// fourth of it.
const LEAST_CANDIDATES: u64 = 1 << 10;
const MOST_CANDIDATES: u64 = 1 << 23;

pub(crate) struct Lane {
    device: Arc<Device>,
    resources: Resources,
    rounds: [u32; 2],
    /// The buffers that only kernels use.
    others: [Buffer; 5],
    timeline: Arc<Timeline>,
    /// The timeline's value once all submissions have run.
    submitted: u64,
    upload: Commands,
    begin: Recording,
    resume: Recording,
    nanoseconds: Vec<u64>,
    /// The haystack of a scan whose end has not been seen: the device may be reading it still.
    pub(super) staged: Option<StagingSpan>,
}

/// What commands name.
struct Resources {
    kernels: Arc<Kernels>,
    /// One for each pass.
    sets: Vec<Arc<DescriptorSet>>,
    haystack: Buffer,
    hits: Buffer,
    control: Buffer,
    readback: Buffer,
    readback_groups: u32,
    timestamps: Option<Arc<Timestamps>>,
}

/// Commands that serve again as long as parameters stay the same.
struct Recording {
    commands: Commands,
    /// What they were recorded for, the pass they begin with included.
    params: Option<ScanParams>,
    /// What ended at each timestamp.
    stages: Vec<Stage>,
}

impl Recording {
    fn new(device: &Arc<Device>, name: &str) -> Result<Recording, BackendError> {
        Ok(Recording { commands: Commands::new(device, name)?, params: None, stages: Vec::new() })
    }
}

/// What ended at a timestamp.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Begin,
    Upload,
    Filter,
    Tails,
    Starts,
    Nfa,
    Readback,
}

/// How a run ended.
pub(crate) struct Outcome {
    /// Hits counted. If they are more than the lane holds, none are there to read.
    pub(crate) hit_count: u32,
    /// `layout::OVERFLOW_*` bits: nothing was found out if there are any.
    pub(crate) overflowed: u32,
}

impl Lane {
    pub(crate) fn new(
        device: &Arc<Device>,
        kernels: &Arc<Kernels>,
        tables: &[Buffer],
        shape: &LaneShape,
        name: &str,
    ) -> Result<Lane, BackendError> {
        let storage = vk::BufferUsageFlags::STORAGE_BUFFER;
        let local = |what: &str, bytes: u64, usage| {
            let name = format!("{name}/{what}");
            Buffer::new(device, &name, bytes.max(16), Location::DeviceLocal, storage | usage)
        };
        let records = |count: u32, words: usize| u64::from(count) * words as u64 * 4;
        let none = vk::BufferUsageFlags::empty();
        let copied = vk::BufferUsageFlags::TRANSFER_DST;

        let haystack = local("haystack", shape.haystack_bytes, copied)?;
        let hits = local("hits", 4 + records(shape.hit_capacity, Hit::WORDS), copied)?;
        let grids = vk::BufferUsageFlags::INDIRECT_BUFFER;
        let control = local("control", Control::WORDS as u64 * 4, copied | grids)?;
        let starts =
            local("start walkers", records(shape.start_walkers, StartWalker::WORDS), copied)?;
        let queue = local("queue", records(shape.queue_capacity, QueueItem::WORDS), none)?;
        let candidates = shape.candidate_capacity + shape.item_capacity;
        let candidates = local("candidates", records(candidates, Candidate::WORDS), none)?;
        let nfa = local("nfa walkers", records(shape.nfa_walkers, NfaWalker::WORDS), copied)?;
        let scratch = local("scratch", records(shape.nfa_scratch_words, 1), copied)?;
        let readback_bytes =
            (ReadbackHeader::WORDS * 4) as u64 + records(shape.hit_capacity, Hit::WORDS);
        let readback = Buffer::new(
            device,
            &format!("{name}/readback"),
            readback_bytes,
            Location::Readback,
            storage,
        )?;

        let sets = tables
            .iter()
            .map(|tables| {
                let plain = [
                    (layout::BINDING_TABLES, tables),
                    (layout::BINDING_HITS, &hits),
                    (layout::BINDING_CONTROL, &control),
                    (layout::BINDING_START_WALKERS, &starts),
                    (layout::BINDING_QUEUE, &queue),
                    (layout::BINDING_NFA_WALKERS, &nfa),
                    (layout::BINDING_SCRATCH, &scratch),
                    (layout::BINDING_READBACK, &readback),
                    (layout::BINDING_CANDIDATES, &candidates),
                ];
                let mut bindings: Vec<Binding> = plain
                    .into_iter()
                    .map(|(binding, buffer)| Binding {
                        binding,
                        array_index: 0,
                        buffer,
                        offset: 0,
                        range: buffer.size(),
                    })
                    .collect();
                bindings.extend((0..layout::MAX_SEGMENTS).map(|index| {
                    let (offset, range) = segment(shape, &haystack, index);
                    let binding = layout::BINDING_HAYSTACK;
                    Binding { binding, array_index: index, buffer: &haystack, offset, range }
                }));
                DescriptorSet::new(device, &format!("{name}/set"), &kernels.set_layout, &bindings)
            })
            .collect::<Result<Vec<_>, _>>()?;

        let rounds = shape.rounds[0].max(shape.rounds[1]) * tables.len() as u32;
        let mut lane = Lane {
            device: device.clone(),
            resources: Resources {
                kernels: kernels.clone(),
                sets,
                haystack,
                hits,
                control,
                readback,
                readback_groups: readback_groups(shape),
                timestamps: Timestamps::new(
                    device,
                    name,
                    3 + 2 * rounds + 2 * tables.len() as u32,
                )?,
            },
            rounds: shape.rounds,
            others: [starts, nfa, scratch, queue, candidates],
            timeline: Timeline::new(device, name)?,
            submitted: 0,
            upload: Commands::new(device, &format!("{name}/upload"))?,
            begin: Recording::new(device, &format!("{name}/begin"))?,
            resume: Recording::new(device, &format!("{name}/resume"))?,
            nanoseconds: Vec::new(),
            staged: None,
        };
        lane.clear()?;
        Ok(lane)
    }

    /// Zeroes what kernels rely on across scans: generations and stamps.
    fn clear(&mut self) -> Result<(), BackendError> {
        let [starts, nfa, scratch, ..] = &self.others;
        let cleared = [&self.resources.control, starts, nfa, scratch];
        self.upload.record(|to| {
            for buffer in cleared {
                to.fill_buffer(buffer, 0, buffer.size(), 0);
            }
            to.transfer_to_compute();
        })?;
        self.submitted = self.device.submit(&mut [&mut self.upload], &self.timeline)?;
        self.timeline.wait(self.submitted, self.device.wait_timeout())
    }

    /// Waits for an earlier scan that timed out, if there was one, and gives its staging memory back.
    pub(crate) fn settle(&mut self) -> Result<(), BackendError> {
        self.timeline.wait(self.submitted, self.device.wait_timeout())?;
        self.staged = None;
        Ok(())
    }

    /// Runs a scan over what `params` names, of the haystack in `span` or, without one, of the haystack
    /// that is on the device already. Its preparation began at `since`.
    pub(crate) fn run(
        &mut self,
        span: Option<StagingSpan>,
        params: ScanParams,
        since: Instant,
        stats: &mut ScanStats,
    ) -> Result<Outcome, BackendError> {
        self.staged = span;
        self.record_upload(stats)?;
        self.resources.record_scan(&mut self.begin, params, self.rounds[0], true)?;
        stats.bytes_up += 4;
        stats.uploads += 1;
        let mut commands = [&mut self.upload, &mut self.begin.commands];
        self.submitted = self.device.submit(&mut commands, &self.timeline)?;
        stats.enqueue += since.elapsed();
        let mut header = self.finish(stats, |lane| &lane.begin.stages)?;
        while header.pass < params.pass_count {
            let since = Instant::now();
            let params = ScanParams { pass: header.pass, ..params };
            self.resources.record_scan(&mut self.resume, params, self.rounds[1], false)?;
            let mut commands = [&mut self.resume.commands];
            self.submitted = self.device.submit(&mut commands, &self.timeline)?;
            stats.enqueue += since.elapsed();
            header = self.finish(stats, |lane| &lane.resume.stages)?;
        }
        stats.rounds += header.rounds;
        Ok(Outcome { hit_count: header.hit_count, overflowed: header.overflowed })
    }

    /// Waits for the last submission, whose timestamps end `stages`, and says how far the scan has come.
    fn finish(
        &mut self,
        stats: &mut ScanStats,
        stages: fn(&Lane) -> &[Stage],
    ) -> Result<ReadbackHeader, BackendError> {
        let waiting = Instant::now();
        self.settle()?;
        stats.wait += waiting.elapsed();
        stats.submissions += 1;
        if let Some(timestamps) = &self.resources.timestamps {
            let mut nanoseconds = std::mem::take(&mut self.nanoseconds);
            nanoseconds.resize(stages(self).len(), 0);
            timestamps.read(&mut nanoseconds)?;
            *stats.device.get_or_insert_default() += stage_times(stages(self), &nanoseconds);
            self.nanoseconds = nanoseconds;
        }
        let readback = &self.resources.readback;
        let head = 0..(ReadbackHeader::WORDS * 4) as u64;
        readback.invalidate(head.clone())?;
        stats.bytes_down += head.end;
        Ok(pod_read_unaligned(readback.mapped(head)))
    }

    /// The hits of the last run, which counted `count` and no more than the lane holds.
    pub(crate) fn hits(&self, count: u32, stats: &mut ScanStats) -> Result<&[Hit], BackendError> {
        let head = (ReadbackHeader::WORDS * 4) as u64;
        let bytes = u64::from(count) * (Hit::WORDS * 4) as u64;
        let range = head..head + bytes;
        let readback = &self.resources.readback;
        readback.invalidate(range.clone())?;
        stats.bytes_down += bytes;
        Ok(bytemuck::cast_slice(readback.mapped(range)))
    }

    /// Records the upload of the staged haystack, if there is one.
    fn record_upload(&mut self, stats: &mut ScanStats) -> Result<(), BackendError> {
        let region = match &self.staged {
            Some(span) => {
                span.flush()?;
                let size = span.len() as u64;
                stats.bytes_up += size;
                stats.uploads += 1;
                Some((span, vk::BufferCopy { src_offset: span.offset(), dst_offset: 0, size }))
            }
            None => None,
        };
        let Resources { haystack, timestamps, .. } = &self.resources;
        self.upload.record(|to| {
            mark_begin(to, timestamps.as_ref());
            if let Some((span, region)) = region {
                to.label_begin(c"upload");
                to.copy_buffer(span.buffer(), haystack, &[region]);
                to.transfer_to_compute();
                to.label_end();
            }
        })
    }

    /// Frees everything, and says what went wrong first.
    pub(crate) fn free(self) -> Result<(), BackendError> {
        let Lane { resources, others, upload, begin, resume, .. } = self;
        let Resources { sets, haystack, hits, control, readback, .. } = resources;
        drop((upload, begin, resume, sets));
        let buffers = [haystack, hits, control, readback].into_iter().chain(others);
        buffers.map(Buffer::destroy).fold(Ok(()), Result::and)
    }
}

/// Offset and length of the part of the haystack that is bound at `index` of the array. Elements that no
/// kernel indexes are bound to the first part.
fn segment(shape: &LaneShape, haystack: &Buffer, index: u32) -> (u64, u64) {
    if shape.segments == 1 {
        return (0, haystack.size());
    }
    let segment = 1_u64 << layout::SEGMENT_SHIFT;
    let index = if index < shape.segments { u64::from(index) } else { 0 };
    let offset = index * segment;
    (offset, segment.min(haystack.size() - offset))
}

/// Enough workgroups that the copying loop stays far below 65,535 turns for any hit buffer.
fn readback_groups(shape: &LaneShape) -> u32 {
    const MOST: u32 = 1024;
    (u64::from(shape.hit_capacity) * Hit::WORDS as u64)
        .div_ceil(u64::from(layout::WORKGROUP) * 4)
        .clamp(1, u64::from(MOST)) as u32
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
            Stage::Filter => times.filter += passed,
            Stage::Tails => times.tails += passed,
            Stage::Starts => times.starts += passed,
            Stage::Nfa => times.nfa += passed,
            Stage::Readback => times.readback += passed,
        }
    }
    times
}

impl Resources {
    /// Records a scan from `params.pass` on, with so many rounds for each pass: what a round does not
    /// finish the next one does, and rounds of a pass that is done cost next to nothing.
    fn record_scan(
        &self,
        recording: &mut Recording,
        params: ScanParams,
        rounds: u32,
        begins: bool,
    ) -> Result<(), BackendError> {
        if recording.params == Some(params) {
            return Ok(());
        }
        recording.params = None;
        let stages = &mut recording.stages;
        stages.clear();
        stages.push(Stage::Begin);
        recording.commands.record(|to| {
            let mut mark = |to: &mut Recorder, ended| {
                if let Some(timestamps) = &self.timestamps {
                    let end = vk::PipelineStageFlags::BOTTOM_OF_PIPE;
                    to.write_timestamp(timestamps, stages.len() as u32, end);
                }
                stages.push(ended);
            };
            if begins {
                // The first mark was set before the upload.
                to.update_buffer(&self.hits, 0, bytes_of(&0_u32));
                to.transfer_to_compute();
                mark(to, Stage::Upload);
            } else {
                mark_begin(to, self.timestamps.as_ref());
            }
            let stage = if begins { layout::ADVANCE_BEGIN } else { layout::ADVANCE_ROUND };
            self.advance(to, ScanParams { stage, ..params });
            for pass in params.pass..params.pass_count {
                let params = ScanParams { pass, ..params };
                if params.use_filter != layout::FILTER_NONE {
                    let grid = layout::CONTROL_FILTER_GRID;
                    self.walk(to, c"filter", &self.kernels.filter, params, grid);
                    let grid = layout::CONTROL_SEQUENCES_GRID;
                    self.walk(to, c"sequences", &self.kernels.sequences, params, grid);
                    self.advance(to, ScanParams { stage: layout::ADVANCE_FILTER, ..params });
                    mark(to, Stage::Filter);
                    let grid = layout::CONTROL_TAILS_GRID;
                    self.walk(to, c"tails", &self.kernels.tails, params, grid);
                    self.advance(to, ScanParams { stage: layout::ADVANCE_TAILS, ..params });
                    mark(to, Stage::Tails);
                }
                for round in 0..rounds {
                    let grid = layout::CONTROL_STARTS_GRID;
                    self.walk(to, c"starts", &self.kernels.starts, params, grid);
                    mark(to, Stage::Starts);
                    if params.nfa_walkers > 0 {
                        let grid = layout::CONTROL_NFA_GRID;
                        self.walk(to, c"nfa", &self.kernels.nfa, params, grid);
                    }
                    let next = if round + 1 < rounds { pass } else { pass + 1 };
                    self.advance(to, ScanParams { pass: next, ..params });
                    mark(to, Stage::Nfa);
                }
            }
            to.label_begin(c"readback");
            to.bind(&self.kernels.readback, &self.sets[0]);
            to.push_constants(bytes_of(&params));
            to.dispatch(self.readback_groups);
            to.compute_to_host();
            to.label_end();
            mark(to, Stage::Readback);
        })?;
        recording.params = Some(params);
        Ok(())
    }

    /// Records the kernel that decides what comes next, which belongs to `params.pass`.
    fn advance(&self, to: &mut Recorder, params: ScanParams) {
        to.label_begin(c"advance");
        // After the last pass any tables serve.
        let pass = params.pass.min(params.pass_count - 1);
        to.bind(&self.kernels.advance, &self.sets[pass as usize]);
        to.push_constants(bytes_of(&params));
        to.dispatch(1);
        to.compute_to_indirect();
        to.label_end();
    }

    /// Records a kernel whose grid `advance` has set.
    fn walk(
        &self,
        to: &mut Recorder,
        label: &CStr,
        kernel: &Arc<ComputePipeline>,
        params: ScanParams,
        grid: u32,
    ) {
        to.label_begin(label);
        to.bind(kernel, &self.sets[params.pass as usize]);
        to.push_constants(bytes_of(&params));
        to.dispatch_indirect(&self.control, grid.into());
        to.compute_to_compute();
        to.label_end();
    }
}
