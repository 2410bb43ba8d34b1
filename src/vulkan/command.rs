//! Command buffers: recorded once, submitted as often as needed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ash::vk;
use ash::vk::Handle as _;

use super::device::stage_marks::Mark;
use super::device::{Core, Device, DeviceRef, QueueRole};
use super::error::Result;
use super::graveyard::{Kept, Pending, Work};
use super::memory::Buffer;
use super::pipeline::{ComputePipeline, DescriptorSet};
use super::query::Timestamps;
use super::raw::{RawCommandBuffer, RawScope, RawSemaphore};
use super::timeline::Timeline;

/// Command buffers in one submission, so that submitting allocates nothing.
const MAX_SUBMITTED: usize = 8;

/// Bytes of push constants that a kernel has at most: as every device takes.
const MAX_PUSHED: usize = 128;

/// A primary command buffer with a pool of its own. It holds on to everything that was recorded
/// into it, and leaves that to the device when it is dropped before the device has run it.
pub(crate) struct Commands {
    device: Arc<Device>,
    name: Arc<str>,
    role: QueueRole,
    raw: vk::CommandBuffer,
    work: Work,
    recorded: bool,
}

impl Commands {
    pub(crate) fn new(device: &Arc<Device>, name: &str) -> Result<Commands> {
        Commands::for_queue(device, QueueRole::Compute, name)
    }

    pub(crate) fn for_queue(device: &Arc<Device>, role: QueueRole, name: &str) -> Result<Commands> {
        device.sweep();
        let info =
            vk::CommandPoolCreateInfo::default().queue_family_index(device.queue_family(role));
        let pool = device.call("vkCreateCommandPool", || {
            // SAFETY: the device has a queue of that family.
            unsafe { device.raw().create_command_pool(&info, None) }
        })?;
        device.names().set(pool, format_args!("{name} pool"));
        // From here on, dropping it cleans up.
        let work = Work { device: DeviceRef::new(device), pool, kept: Vec::new(), pending: None };
        let device = device.clone();
        let raw = vk::CommandBuffer::null();
        let (name, recorded) = (Arc::from(name), false);
        let mut commands = Commands { device: device.clone(), name, role, raw, work, recorded };
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        commands.raw = device.call("vkAllocateCommandBuffers", || {
            // SAFETY: the pool exists, and no other thread sees it.
            unsafe { device.raw().allocate_command_buffers(&info) }
        })?[0];
        device.names().set(commands.raw, &commands.name);
        Ok(commands)
    }

    /// Records anew, after waiting for the last submission to have run.
    ///
    /// Arguments that Vulkan forbids (out of range, unaligned, over a limit in `DeviceInfo`) panic:
    /// they are mistakes of the caller, not conditions of the device.
    pub(crate) fn record(&mut self, body: impl FnOnce(&mut Recorder)) -> Result<()> {
        self.wait_idle()?;
        self.clear();
        let device = &self.device;
        device.sweep();
        device.call("vkResetCommandPool", || {
            let flags = vk::CommandPoolResetFlags::empty();
            // SAFETY: the command buffer is not pending: `wait_idle`. `&mut self` keeps others out.
            unsafe { device.raw().reset_command_pool(self.work.pool, flags) }
        })?;
        device.call("vkBeginCommandBuffer", || {
            // SAFETY: the pool was just reset, so the command buffer is in its initial state.
            unsafe {
                device.raw().begin_command_buffer(self.raw, &vk::CommandBufferBeginInfo::default())
            }
        })?;
        body(&mut Recorder::new(&self.device, self.role, self.raw, &mut self.work.kept));
        let device = &self.device;
        device.call("vkEndCommandBuffer", || {
            // SAFETY: recording was begun above.
            unsafe { device.raw().end_command_buffer(self.raw) }
        })?;
        self.recorded = true;
        Ok(())
    }

    /// Lets go of everything that was recorded, where the device has run it: it is to be recorded anew.
    pub(crate) fn forget(&mut self) {
        if self.work.ends_by(Duration::ZERO.into()) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.recorded = false;
        self.work.kept.clear();
    }

    /// Waits until the last submission, if any, has run.
    fn wait_idle(&mut self) -> Result<()> {
        if let Some(Pending { timeline, value, .. }) = &self.work.pending {
            timeline.wait(*value, self.device.deadline())?;
            self.work.pending = None;
        }
        Ok(())
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        // A lost device ends what it runs, or says at once that it never will.
        let is_lost = self.device.is_lost();
        let patience = if is_lost { self.device.deadline() } else { Duration::ZERO.into() };
        if !self.work.ends_by(patience) {
            self.device.bury(self.work.take());
        }
    }
}

impl Device {
    /// Submits recorded commands, to run one after the other. Returns the value that `timeline`
    /// reaches when the last of them is done. Commands that are still running are waited for first.
    ///
    /// There is no barrier between command buffers beyond those recorded in them. A timeline belongs to
    /// one queue.
    pub(crate) fn submit(
        &self,
        commands: &mut [&mut Commands],
        timeline: &Arc<Timeline>,
    ) -> Result<u64> {
        self.submit_after(None, commands.iter_mut().map(|commands| &mut **commands), timeline)
    }

    /// As [`Device::submit`], once another timeline has reached a value.
    pub(crate) fn submit_after<'c>(
        &self,
        after: Option<(&Arc<Timeline>, u64)>,
        commands: impl Iterator<Item = &'c mut Commands>,
        timeline: &Arc<Timeline>,
    ) -> Result<u64> {
        self.sweep();
        let mut submitted: [Option<&mut Commands>; MAX_SUBMITTED] = Default::default();
        let mut buffers = [vk::CommandBuffer::null(); MAX_SUBMITTED];
        let mut count = 0;
        for commands in commands {
            assert!(commands.recorded, "submitted before it was recorded");
            commands.wait_idle()?;
            buffers[count] = commands.raw;
            submitted[count] = Some(commands);
            count += 1;
        }
        let role = submitted[0].as_ref().expect("something to submit").role;
        assert!(submitted.iter().flatten().all(|commands| commands.role == role));
        let semaphores = [timeline.raw()];

        let waits = [after.map_or(vk::Semaphore::null(), |(timeline, _)| timeline.raw())];
        let wait_values = [after.map_or(0, |(_, value)| value)];
        let stages = [vk::PipelineStageFlags::ALL_COMMANDS];
        let wait_count = usize::from(after.is_some());
        // Values must be signalled in order, so they are given out under the queue's lock.
        let value = self.on_queue(role, |queue| {
            let value = timeline.progress().submitted.load(Ordering::Relaxed) + 1;
            let values = [value];
            let mut signal = vk::TimelineSemaphoreSubmitInfo::default()
                .wait_semaphore_values(&wait_values[..wait_count])
                .signal_semaphore_values(&values);
            let submits = [vk::SubmitInfo::default()
                .wait_semaphores(&waits[..wait_count])
                .wait_dst_stage_mask(&stages[..wait_count])
                .command_buffers(&buffers[..count])
                .signal_semaphores(&semaphores)
                .push_next(&mut signal)];
            self.call("vkQueueSubmit", || {
                // SAFETY: the command buffers are recorded and not pending, and are kept, with all they
                // name, until they have run. The queue is locked.
                unsafe { self.raw().queue_submit(queue, &submits, vk::Fence::null()) }
            })?;
            let last = submitted.iter().flatten().last().map(|commands| commands.name.clone());
            timeline.progress().submit(value, last);
            self.count_submission();
            Ok(value)
        })??;
        for commands in submitted.into_iter().flatten() {
            let _waited = after.map(|(timeline, _)| timeline.clone());
            commands.work.pending = Some(Pending { timeline: timeline.clone(), value, _waited });
        }
        Ok(value)
    }
}

impl Device {
    /// Has what is submitted to the queue of kernels from now on wait for semaphores. Returns the value that `timeline`
    /// reaches when all of them are reached, for what is submitted elsewhere.
    pub(crate) fn submit_waits(
        &self,
        waits: &[RawSemaphore],
        timeline: &Arc<Timeline>,
    ) -> Result<u64> {
        self.on_queue(QueueRole::Compute, |queue| {
            let value = timeline.progress().submitted.load(Ordering::Relaxed) + 1;
            self.submit_semaphores(queue, waits, &[timeline.at(value)])?;
            timeline.progress().submit(value, None);
            Ok(value)
        })?
    }

    /// Has semaphores signalled once all that was submitted to the queue of kernels so far has run.
    pub(crate) fn submit_signals(&self, signals: &[RawSemaphore]) -> Result<()> {
        self.on_queue(QueueRole::Compute, |queue| self.submit_semaphores(queue, &[], signals))?
    }

    fn submit_semaphores(
        &self,
        queue: vk::Queue,
        waits: &[RawSemaphore],
        signals: &[RawSemaphore],
    ) -> Result<()> {
        let split = |semaphores: &[RawSemaphore]| -> (Vec<vk::Semaphore>, Vec<u64>) {
            semaphores
                .iter()
                .map(|one| (vk::Semaphore::from_raw(one.handle()), one.value()))
                .unzip()
        };
        let ((waits, wait_values), (signals, signal_values)) = (split(waits), split(signals));
        let stages = vec![vk::PipelineStageFlags::ALL_COMMANDS; waits.len()];
        let mut values = vk::TimelineSemaphoreSubmitInfo::default()
            .wait_semaphore_values(&wait_values)
            .signal_semaphore_values(&signal_values);
        let submits = [vk::SubmitInfo::default()
            .wait_semaphores(&waits)
            .wait_dst_stage_mask(&stages)
            .signal_semaphores(&signals)
            .push_next(&mut values)];
        self.call("vkQueueSubmit", || {
            // SAFETY: whoever made a `RawSemaphore` has promised what Vulkan asks of it, and null ones are refused where
            // scans are submitted. The queue is locked: it comes from `on_queue`.
            unsafe { self.raw().queue_submit(queue, &submits, vk::Fence::null()) }
        })
    }
}

/// What commands of the caller's name.
#[derive(Default)]
pub(crate) struct Keep(Vec<Kept>);

impl Keep {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A command buffer being recorded.
pub(crate) struct Recorder<'a> {
    device: &'a Core,
    /// For which queue.
    role: QueueRole,
    raw: vk::CommandBuffer,
    kept: &'a mut Vec<Kept>,
    pipeline: Option<Arc<ComputePipeline>>,
    /// What is bound, and pushed, for pipelines of the same layout.
    set: Option<Arc<DescriptorSet>>,
    pushed: Option<[u8; MAX_PUSHED]>,
    /// Numbers of the labelled sections that are open, where stages are marked.
    open_stages: Vec<u32>,
}

impl<'a> Recorder<'a> {
    /// Of a command buffer in which nothing is bound yet.
    fn new(
        device: &'a Core,
        role: QueueRole,
        raw: vk::CommandBuffer,
        kept: &'a mut Vec<Kept>,
    ) -> Recorder<'a> {
        let open_stages = Vec::new();
        Recorder { device, role, raw, kept, pipeline: None, set: None, pushed: None, open_stages }
    }

    /// Records into a command buffer of the caller's. What commands name is `kept`, until the caller lets go of it.
    pub(crate) fn for_caller(
        device: &'a Device,
        commands: RawCommandBuffer,
        kept: &'a mut Keep,
    ) -> Result<Recorder<'a>> {
        device.alive()?;
        device.share();
        Ok(Recorder::new(device, QueueRole::Compute, commands.handle()?, &mut kept.0))
    }

    /// Opens a labelled section, as profilers show it. The label is not put together where nobody sees it.
    pub(crate) fn label_begin(&mut self, label: fmt::Arguments) {
        self.device.names().begin(self.raw, label);
        if let Some(stage) = self.device.stage_marks().enter(label) {
            self.open_stages.push(stage);
            self.mark(Mark::Begun, stage);
        }
    }

    pub(crate) fn label_end(&mut self) {
        if let Some(stage) = self.open_stages.pop() {
            self.mark(Mark::Ended, stage);
        }
        self.device.names().end(self.raw);
    }

    /// Writes the number of a stage where the host finds it, between all that comes before and all that comes after.
    fn mark(&mut self, mark: Mark, stage: u32) {
        if let Some((words, offset)) = self.device.stage_marks().place(self.role, mark) {
            self.barrier(Scope::ALL, Scope::ALL);
            self.fill_buffer(&words, offset, 4, stage);
            self.barrier(Scope::ALL, Scope::OTHERS);
        }
    }

    /// Copies regions, none of them empty, from one buffer to another.
    pub(crate) fn copy_buffer(&mut self, from: &Buffer, to: &Buffer, regions: &[vk::BufferCopy]) {
        for region in regions {
            assert!(region.size > 0, "Vulkan has no empty copies");
            from.check(&(region.src_offset..region.src_offset + region.size));
            to.check(&(region.dst_offset..region.dst_offset + region.size));
        }
        self.keep(Kept::Buffer(from.clone()));
        self.keep(Kept::Buffer(to.clone()));
        // SAFETY: recording; the regions lie inside the buffers, which are kept.
        unsafe {
            self.device.raw().cmd_copy_buffer(self.raw, from.raw(), to.raw(), regions);
        }
    }

    /// Writes `bytes`, which become part of the command buffer: 4 to 65,536, whole words.
    pub(crate) fn update_buffer(&mut self, buffer: &Buffer, offset: u64, bytes: &[u8]) {
        assert!((4..=65_536).contains(&bytes.len()) && bytes.len().is_multiple_of(4));
        assert!(offset.is_multiple_of(4));
        buffer.check(&(offset..offset + bytes.len() as u64));
        self.keep(Kept::Buffer(buffer.clone()));
        // SAFETY: recording; size and offset are as Vulkan asks, and the buffer is kept.
        unsafe {
            self.device.raw().cmd_update_buffer(self.raw, buffer.raw(), offset, bytes);
        }
    }

    /// Writes `word` to `bytes` bytes, whole words and at least one.
    pub(crate) fn fill_buffer(&mut self, buffer: &Buffer, offset: u64, bytes: u64, word: u32) {
        assert!(offset.is_multiple_of(4) && bytes.is_multiple_of(4) && bytes > 0);
        buffer.check(&(offset..offset + bytes));
        self.keep(Kept::Buffer(buffer.clone()));
        // SAFETY: recording; size and offset are as Vulkan asks, and the buffer is kept.
        unsafe {
            self.device.raw().cmd_fill_buffer(self.raw, buffer.raw(), offset, bytes, word);
        }
    }

    /// Binds a kernel and its buffers for the dispatches that follow. What is bound already stays, where the layouts of both
    /// kernels are compatible (*Pipeline Layout Compatibility*).
    pub(crate) fn bind(&mut self, pipeline: &Arc<ComputePipeline>, set: &Arc<DescriptorSet>) {
        let compute = vk::PipelineBindPoint::COMPUTE;
        let before = self.pipeline.take();
        if !before.as_ref().is_some_and(|before| before.has_layout_of(pipeline)) {
            self.set = None;
            self.pushed = None;
        }
        if !before.is_some_and(|before| Arc::ptr_eq(&before, pipeline)) {
            self.keep(Kept::Pipeline(pipeline.clone()));
            // SAFETY: recording; the pipeline is kept.
            unsafe { self.device.raw().cmd_bind_pipeline(self.raw, compute, pipeline.raw()) };
        }
        self.pipeline = Some(pipeline.clone());
        if self.set.as_ref().is_some_and(|bound| Arc::ptr_eq(bound, set)) {
            return;
        }
        self.keep(Kept::Set(set.clone()));
        let (layout, sets) = (pipeline.layout(), [set.raw()]);
        // SAFETY: recording; the set is kept, and of the pipeline's layout.
        unsafe {
            self.device.raw().cmd_bind_descriptor_sets(self.raw, compute, layout, 0, &sets, &[]);
        }
        self.set = Some(set.clone());
    }

    /// Sets all push constants of the bound kernel, if it has any.
    pub(crate) fn push_constants(&mut self, bytes: &[u8]) {
        let pipeline = self.pipeline.as_ref().expect("a kernel is bound");
        if pipeline.push_constant_bytes() == 0 {
            return;
        }
        assert_eq!(bytes.len(), pipeline.push_constant_bytes() as usize);
        if self.pushed.is_some_and(|pushed| pushed[..bytes.len()] == *bytes) {
            return;
        }
        // SAFETY: recording; the bytes are exactly the range of the pipeline's layout.
        unsafe {
            self.device.raw().cmd_push_constants(
                self.raw,
                pipeline.layout(),
                vk::ShaderStageFlags::COMPUTE,
                0,
                bytes,
            );
        }
        let mut pushed = [0; MAX_PUSHED];
        pushed[..bytes.len()].copy_from_slice(bytes);
        self.pushed = Some(pushed);
    }

    /// Runs a grid of so many workgroups of the bound kernel: in a row, up to the device's `max_workgroups_x`, and
    /// rows, up to the 65,535 that every device has.
    pub(crate) fn dispatch(&mut self, [x, y]: [u32; 2]) {
        assert!(self.pipeline.is_some(), "a kernel is bound");
        assert!(x <= self.device.info().max_workgroups_x && y <= 65_535);
        // SAFETY: recording; kernel and buffers are bound, and the grid is within limits.
        unsafe { self.device.raw().cmd_dispatch(self.raw, x, y, 1) };
    }

    /// Runs as many workgroups as the three words at `offset` say; whoever writes them keeps within
    /// the device's limits.
    pub(crate) fn dispatch_indirect(&mut self, buffer: &Buffer, offset: u64) {
        assert!(self.pipeline.is_some(), "a kernel is bound");
        assert!(offset.is_multiple_of(4));
        buffer.check(&(offset..offset + 12));
        self.keep(Kept::Buffer(buffer.clone()));
        // SAFETY: recording; kernel and buffers are bound, and the words lie inside the buffer,
        // which is kept.
        unsafe {
            self.device.raw().cmd_dispatch_indirect(self.raw, buffer.raw(), offset);
        }
    }

    /// What follows in `to` sees what came before in `from`, on all buffers.
    pub(crate) fn barrier(&mut self, from: Scope, to: Scope) {
        let barrier =
            vk::MemoryBarrier::default().src_access_mask(from.access).dst_access_mask(to.access);
        // SAFETY: recording, outside a render pass.
        unsafe {
            self.device.raw().cmd_pipeline_barrier(
                self.raw,
                from.stage,
                to.stage,
                vk::DependencyFlags::empty(),
                &[barrier],
                &[],
                &[],
            );
        }
    }

    /// Takes a buffer over from others who share its memory, if there are any: what follows in `to` sees what they have written
    /// by now, and it is this device's alone until it is handed back (*Queue Family Ownership Transfer*).
    pub(crate) fn take_over(&mut self, buffer: &Buffer, to: Scope) {
        if let Some(outside) = buffer.outside() {
            let barrier = vk::BufferMemoryBarrier::default()
                .src_queue_family_index(outside)
                .dst_queue_family_index(self.own_family())
                .dst_access_mask(to.access);
            self.transfer(buffer, vk::PipelineStageFlags::ALL_COMMANDS, barrier, to.stage);
        }
    }

    /// Hands a buffer back to others who share its memory, once all that came before in `from` is done with it.
    pub(crate) fn hand_back(&mut self, buffer: &Buffer, from: Scope) {
        if let Some(outside) = buffer.outside() {
            let barrier = vk::BufferMemoryBarrier::default()
                .src_queue_family_index(self.own_family())
                .dst_queue_family_index(outside)
                .src_access_mask(from.access);
            self.transfer(buffer, from.stage, barrier, vk::PipelineStageFlags::ALL_COMMANDS);
        }
    }

    /// The family that stands for the device's queues: the only one, or as many as buffers are shared between.
    fn own_family(&self) -> u32 {
        match self.device.queue_families() {
            &[family] => family,
            _ => vk::QUEUE_FAMILY_IGNORED,
        }
    }

    fn transfer(
        &mut self,
        buffer: &Buffer,
        from: vk::PipelineStageFlags,
        barrier: vk::BufferMemoryBarrier,
        to: vk::PipelineStageFlags,
    ) {
        self.keep(Kept::Buffer(buffer.clone()));
        let barriers = [barrier.buffer(buffer.raw()).size(vk::WHOLE_SIZE)];
        // SAFETY: recording, outside a render pass; the buffer is kept.
        unsafe {
            self.device.raw().cmd_pipeline_barrier(
                self.raw,
                from,
                to,
                vk::DependencyFlags::empty(),
                &[],
                &barriers,
                &[],
            );
        }
    }

    pub(crate) fn transfer_to_compute(&mut self) {
        self.barrier(Scope::TRANSFER, Scope::COMPUTE);
    }

    pub(crate) fn transfer_to_transfer(&mut self) {
        self.barrier(Scope::TRANSFER, Scope::TRANSFER);
    }

    pub(crate) fn transfer_to_host(&mut self) {
        self.barrier(Scope::TRANSFER, Scope::HOST);
    }

    pub(crate) fn compute_to_compute(&mut self) {
        self.barrier(Scope::COMPUTE, Scope::COMPUTE);
    }

    /// Also orders what the kernels that follow read and write themselves.
    pub(crate) fn compute_to_indirect(&mut self) {
        self.barrier(Scope::COMPUTE, Scope::INDIRECT_AND_COMPUTE);
    }

    pub(crate) fn compute_to_host(&mut self) {
        self.barrier(Scope::COMPUTE, Scope::HOST);
    }

    /// Must come before the timestamps are written, in the same command buffer or an earlier one.
    pub(crate) fn reset_timestamps(&mut self, timestamps: &Arc<Timestamps>) {
        self.keep(Kept::Timestamps(timestamps.clone()));
        // SAFETY: recording, outside a render pass; the queries are kept.
        unsafe {
            self.device.raw().cmd_reset_query_pool(
                self.raw,
                timestamps.raw(),
                0,
                timestamps.count(),
            );
        }
    }

    /// Notes when everything so far has passed `stage`.
    pub(crate) fn write_timestamp(
        &mut self,
        timestamps: &Arc<Timestamps>,
        index: u32,
        stage: vk::PipelineStageFlags,
    ) {
        assert!(index < timestamps.count());
        self.keep(Kept::Timestamps(timestamps.clone()));
        // SAFETY: recording; the query exists and is kept, and the family has timestamps, or there
        // would be no `Timestamps`.
        unsafe {
            self.device.raw().cmd_write_timestamp(self.raw, stage, timestamps.raw(), index);
        }
    }

    fn keep(&mut self, object: Kept) {
        if !self.kept.iter().any(|kept| kept.is(&object)) {
            self.kept.push(object);
        }
    }
}

/// One side of a barrier: who, doing what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) stage: vk::PipelineStageFlags,
    pub(crate) access: vk::AccessFlags,
}

impl Scope {
    pub(crate) const TRANSFER: Scope = Scope {
        stage: vk::PipelineStageFlags::TRANSFER,
        access: vk::AccessFlags::from_raw(
            vk::AccessFlags::TRANSFER_READ.as_raw() | vk::AccessFlags::TRANSFER_WRITE.as_raw(),
        ),
    };
    pub(crate) const COMPUTE: Scope = Scope {
        stage: vk::PipelineStageFlags::COMPUTE_SHADER,
        access: vk::AccessFlags::from_raw(
            vk::AccessFlags::SHADER_READ.as_raw() | vk::AccessFlags::SHADER_WRITE.as_raw(),
        ),
    };
    pub(crate) const INDIRECT_AND_COMPUTE: Scope = Scope {
        stage: vk::PipelineStageFlags::from_raw(
            vk::PipelineStageFlags::DRAW_INDIRECT.as_raw()
                | vk::PipelineStageFlags::COMPUTE_SHADER.as_raw(),
        ),
        access: vk::AccessFlags::from_raw(
            vk::AccessFlags::INDIRECT_COMMAND_READ.as_raw()
                | vk::AccessFlags::SHADER_READ.as_raw()
                | vk::AccessFlags::SHADER_WRITE.as_raw(),
        ),
    };
    /// All that a recording does.
    pub(crate) const ALL_OF_SCAN: Scope = Scope {
        stage: vk::PipelineStageFlags::from_raw(
            vk::PipelineStageFlags::TRANSFER.as_raw()
                | vk::PipelineStageFlags::DRAW_INDIRECT.as_raw()
                | vk::PipelineStageFlags::COMPUTE_SHADER.as_raw(),
        ),
        access: vk::AccessFlags::from_raw(
            Scope::TRANSFER.access.as_raw() | Scope::INDIRECT_AND_COMPUTE.access.as_raw(),
        ),
    };
    /// All that a queue does.
    pub(crate) const ALL: Scope = Scope {
        stage: vk::PipelineStageFlags::ALL_COMMANDS,
        access: vk::AccessFlags::from_raw(
            vk::AccessFlags::MEMORY_READ.as_raw() | vk::AccessFlags::MEMORY_WRITE.as_raw(),
        ),
    };
    /// Whatever others do on the device and the host.
    pub(crate) const OTHERS: Scope = Scope {
        stage: vk::PipelineStageFlags::from_raw(
            vk::PipelineStageFlags::ALL_COMMANDS.as_raw() | vk::PipelineStageFlags::HOST.as_raw(),
        ),
        access: vk::AccessFlags::from_raw(
            vk::AccessFlags::MEMORY_READ.as_raw() | vk::AccessFlags::MEMORY_WRITE.as_raw(),
        ),
    };
    pub(crate) const HOST: Scope =
        Scope { stage: vk::PipelineStageFlags::HOST, access: vk::AccessFlags::HOST_READ };
}

impl From<Scope> for RawScope {
    fn from(Scope { stage, access }: Scope) -> RawScope {
        RawScope { stages: stage.as_raw(), access: access.as_raw() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::allocator::MemoryLocation;
    use super::super::error::BackendError;
    use super::super::graveyard::HeldBack;
    use super::super::testing::{Hold, TestBackend};
    use super::*;

    #[test]
    fn commands_that_do_not_finish_time_out_and_leave_their_memory_to_the_device() {
        let backend = TestBackend::new();
        let device = backend.device();
        let usage = vk::BufferUsageFlags::TRANSFER_DST;
        let buffer = Buffer::new(device, "buffer", 4, MemoryLocation::Readback, usage).unwrap();
        let timeline = Timeline::new(device, "timeline").unwrap();
        let mut commands = Commands::new(device, "held up").unwrap();
        commands.record(|to| to.fill_buffer(&buffer, 0, 4, 1)).unwrap();
        let hold = Hold::new(device);
        device.submit(&mut [&mut commands], &timeline).unwrap();

        let timed_out = |result| matches!(result, Err(BackendError::Timeout { .. }));
        assert!(timed_out(commands.record(|_| ()).map(|()| 0)));
        assert!(timed_out(device.submit(&mut [&mut commands], &timeline)));
        drop((commands, timeline));
        buffer.destroy().unwrap();
        let held_back = backend.held_back();
        assert_eq!((held_back.bytes, held_back.objects), (4, 2));
        assert_eq!(device.allocated_bytes(), 4);
        drop(hold);
        assert_eq!(backend.held_back(), HeldBack::default());
        assert_eq!((device.live_objects(), device.allocated_bytes()), (0, 0));
    }
}
