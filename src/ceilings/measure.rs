//! How ceilings are measured: each several times, of which the median counts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ash::vk;
use bytemuck::{bytes_of, cast_slice};

use crate::narrow::narrow;
use crate::shaders::{self, Kernel, layout};
use crate::vulkan::allocator::MemoryLocation;
use crate::vulkan::command::{Commands, Recorder};
use crate::vulkan::copy::{ParallelCopy, Stores};
use crate::vulkan::device::{Device, QueueRole};
use crate::vulkan::memory::Buffer;
use crate::vulkan::pipeline::{Binding, DescriptorSet, KernelDesc, SetLayout};
use crate::vulkan::query::Timestamps;
use crate::vulkan::staging::MappedBuffer;
use crate::vulkan::timeline::Timeline;
use crate::{Backend, BackendError, DeviceKind};

/// Of odd number, so that there is one in the middle.
const TURNS: usize = 9;

/// Bytes that are walked in: more than a core's own cache, and less than that of a GPU.
const WALKED_BYTES: usize = 4 << 20;

/// Turns of a loop that every driver goes (`quirks::LAVAPIPE_LOOP_TURNS`).
const STEPS: u32 = 50_000;

#[derive(Clone, Copy)]
pub(super) enum Way {
    Up,
    Down,
}

pub(super) struct Measure<'a> {
    backend: &'a Backend,
    device: &'a Arc<Device>,
    layout: Arc<SetLayout>,
    timeline: Arc<Timeline>,
    timestamps: Arc<Timestamps>,
    /// Words whose sum is known, as much as there is room for on either side.
    words: Vec<u32>,
    on_device: Buffer,
    on_host: Buffer,
    /// A word for each invocation.
    sums: Buffer,
}

impl<'a> Measure<'a> {
    pub(super) fn new(backend: &'a Backend) -> Result<Measure<'a>, BackendError> {
        let device = backend.device();
        let info = device.info();
        let timestamps = Timestamps::new(device, QueueRole::Compute, "ceilings", 2)?;
        let timestamps = timestamps.ok_or_else(|| {
            BackendError::invalid(
                "the device",
                "its queue has no timestamps, which ceilings are measured by",
            )
        })?;
        let most = match info.kind {
            DeviceKind::Cpu => 32 << 20,
            _ => 256 << 20,
        };
        let bytes = info.max_storage_buffer_range.min(info.device_local_bytes / 8).min(most);
        let bytes = 1 << bytes.ilog2();
        let words =
            (0..narrow::<_, u32>(bytes / 4)).map(|word| word.wrapping_mul(layout::GRAM_HASH));
        let words: Vec<u32> = words.collect();
        let bindings = [
            (layout::BINDING_TABLES, 1),
            (layout::BINDING_SELECTION, 1),
            (layout::BINDING_HAYSTACK, layout::MAX_SEGMENTS),
        ];
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST;
        let buffer = |what: &str, bytes: u64, location| {
            Buffer::new(device, &format!("ceilings/{what}"), bytes, location, usage)
        };
        let most_groups = groups(info.kind).iter().max().copied().unwrap_or(1);
        let invocations = u64::from(most_groups * shaders::MEASURE_READ.local_size[0]);
        let measure = Measure {
            backend,
            device,
            layout: SetLayout::new(device, "ceilings", &bindings)?,
            timeline: Timeline::new(device, "ceilings")?,
            timestamps,
            words,
            on_device: buffer("on the device", bytes, MemoryLocation::DeviceLocal)?,
            on_host: buffer("on the host", bytes, MemoryLocation::Upload)?,
            sums: buffer("sums", 4 * invocations, MemoryLocation::Readback)?,
        };
        measure.write(&measure.words)?;
        let region = vk::BufferCopy::default().size(bytes);
        measure.submit(|to| {
            to.copy_buffer(&measure.on_host, &measure.on_device, &[region]);
            to.transfer_to_compute();
        })?;
        Ok(measure)
    }

    pub(super) fn device_read(&self) -> Result<f64, BackendError> {
        self.read(&self.on_device)
    }

    pub(super) fn host_read(&self) -> Result<f64, BackendError> {
        self.read(&self.on_host)
    }

    /// Bytes a second that a kernel reads of a buffer with `words`.
    fn read(&self, buffer: &Buffer) -> Result<f64, BackendError> {
        let params = layout::ScanParams {
            haystack_len: narrow(buffer.size()),
            ..layout::ScanParams::default()
        };
        let sum = |words: &[u32]| words.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word));
        let expected = sum(&self.words);
        let mut best = Duration::MAX;
        for &groups in groups(self.device.info().kind) {
            let time = self.time_kernel(&shaders::MEASURE_READ, buffer, params, groups)?;
            let invocations = groups * shaders::MEASURE_READ.local_size[0];
            self.check("what was read", sum(&self.sums()?[..invocations as usize]), expected)?;
            best = best.min(time);
        }
        Ok(rate(self.words.len() * 4, best))
    }

    pub(super) fn walk_step(&self) -> Result<Duration, BackendError> {
        // Each word leads to the next of a permutation with one cycle, by S. Sattolo, "An algorithm to generate a random
        // cyclic permutation", 1986; with Knuth's multiplier as the generator.
        let count = narrow::<_, u32>(WALKED_BYTES.min(narrow(self.on_host.size())) / 4);
        let mut next: Vec<u32> = (0..count).collect();
        let mut random = 1_u64;
        for at in (1..count).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let other = (random >> 33) % u64::from(at);
            next.swap(at as usize, narrow(other));
        }
        let header = size_of::<layout::PassHeader>() as u64;
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
        let bytes = header + 4 * u64::from(count);
        let walked =
            Buffer::new(self.device, "ceilings/walked", bytes, MemoryLocation::DeviceLocal, usage)?;
        self.write(&next)?;
        let region =
            vk::BufferCopy { src_offset: 0, dst_offset: header, size: 4 * u64::from(count) };
        self.submit(|to| {
            to.copy_buffer(&self.on_host, &walked, &[region]);
            to.transfer_to_compute();
        })?;
        self.write(&self.words[..count as usize])?;

        let params = layout::ScanParams { step_budget: STEPS, ..layout::ScanParams::default() };
        let time = self.time_kernel(&shaders::MEASURE_WALK, &walked, params, 1)?;
        let end = (0..STEPS).fold(0, |at: u32, _| next[at as usize]);
        self.check("where a walk has come to", self.sums()?[0], end)?;
        Ok(time / STEPS)
    }

    /// Copies from a small size on, four times as large each, on the queue that copies large haystacks.
    pub(super) fn copies(&self, way: Way) -> Result<Vec<(usize, f64)>, BackendError> {
        let usage = vk::BufferUsageFlags::TRANSFER_DST;
        let down = match way {
            Way::Up => None,
            Way::Down => {
                let (name, size) = ("ceilings/copied down", self.on_device.size());
                Some(Buffer::new(self.device, name, size, MemoryLocation::Readback, usage)?)
            }
        };
        let (from, to) = match &down {
            None => (&self.on_host, &self.on_device),
            Some(down) => (&self.on_device, down),
        };
        // A timeline is one queue's.
        let timeline = Timeline::new(self.device, "ceilings/copies")?;
        let mut rates = Vec::new();
        let mut bytes: u64 = 64 << 10;
        while bytes <= from.size() {
            let region = vk::BufferCopy::default().size(bytes);
            let mut commands =
                Commands::for_queue(self.device, QueueRole::Transfer, "ceilings/copies")?;
            commands.record(|commands| {
                commands.copy_buffer(from, to, &[region]);
                commands.transfer_to_host();
            })?;
            let time = median(|| {
                let began = Instant::now();
                let value = self.device.submit(&mut [&mut commands], &timeline)?;
                timeline.wait_asleep(value, self.device.deadline())?;
                Ok(began.elapsed())
            })?;
            rates.push((narrow(bytes), rate(narrow(bytes), time)));
            bytes *= 4;
        }
        if let (Some(down), Some(&(bytes, _))) = (&down, rates.last()) {
            let last = bytes as u64 - 4..bytes as u64;
            down.invalidate(last.clone())?;
            let copied: &[u32] = cast_slice(down.mapped(last));
            self.check("what was copied down", copied[0], self.words[bytes / 4 - 1])?;
        }
        Ok(rates)
    }

    /// Copies of ordinary memory by 1, 2, 4 ... threads, up to as many as there are, in whichever way is fastest.
    pub(super) fn host_copies(&self) -> Vec<(usize, f64)> {
        /// What several threads share well.
        const PIECE: usize = 128 << 10;

        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let from: &[u8] = cast_slice(&self.words);
        let threads = std::iter::successors(Some(1), |threads| Some(threads * 2));
        let time_of = |threads: usize, piece: usize, stores: Stores| {
            let Ok(time) = median(|| {
                let began = Instant::now();
                let mut to = self.on_host();
                let copy = ParallelCopy::new(from, &mut to, piece, stores);
                std::thread::scope(|scope| {
                    for _ in 1..threads {
                        scope.spawn(|| while copy.copy_next().is_some() {});
                    }
                    while copy.copy_next().is_some() {}
                });
                Ok::<_, Infallible>(began.elapsed())
            });
            time
        };
        let rate_of = |threads: usize| {
            // One call goes past the caches by itself, where it is for much.
            let stretch = from.len().div_ceil(threads);
            let ways =
                [(PIECE, Stores::Cached), (PIECE, Stores::Streaming), (stretch, Stores::Cached)];
            let times = ways.map(|(piece, stores)| time_of(threads, piece, stores));
            (threads, rate(from.len(), times.into_iter().min().expect("there are ways")))
        };
        threads.take_while(|&threads| threads <= most).map(rate_of).collect()
    }

    pub(super) fn empty_submission(&self) -> Result<Duration, BackendError> {
        let mut times = self.backend.time_empty_submissions(10 * TURNS)?;
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    /// How long a kernel takes on the device.
    fn time_kernel<'b>(
        &'b self,
        kernel: &Kernel,
        read: &'b Buffer,
        params: layout::ScanParams,
        groups: u32,
    ) -> Result<Duration, BackendError> {
        let kernel = KernelDesc {
            name: kernel.name,
            words: kernel.words,
            layout: &self.layout,
            push_constant_bytes: kernel.push_constant_bytes,
            specialization: &[],
        };
        let pipeline = self.backend.pipelines().get(self.device, &kernel)?;
        let segments =
            (0..layout::MAX_SEGMENTS).map(|index| (layout::BINDING_HAYSTACK, index, read));
        let others =
            [(layout::BINDING_TABLES, 0, read), (layout::BINDING_SELECTION, 0, &self.sums)];
        let bind = |(binding, array_index, buffer): (u32, u32, &'b Buffer)| Binding {
            binding,
            array_index,
            buffer,
            offset: 0,
            range: buffer.size(),
        };
        let bindings: Vec<Binding> = others.into_iter().chain(segments).map(bind).collect();
        let set = DescriptorSet::new(self.device, "ceilings", &self.layout, &bindings)?;
        let stage = vk::PipelineStageFlags::BOTTOM_OF_PIPE;
        let mut commands = self.record(|to| {
            to.reset_timestamps(&self.timestamps);
            to.bind(&pipeline, &set);
            to.push_constants(bytes_of(&params));
            to.write_timestamp(&self.timestamps, 0, stage);
            to.dispatch([groups, 1]);
            to.write_timestamp(&self.timestamps, 1, stage);
            to.compute_to_host();
        })?;
        median(|| {
            self.run(&mut commands)?;
            let mut nanoseconds = [0; 2];
            self.timestamps.read(&mut nanoseconds)?;
            Ok(Duration::from_nanos(nanoseconds[1]))
        })
    }

    /// Host memory that the device reads, while it does not.
    fn on_host(&self) -> MappedBuffer {
        MappedBuffer::of(&self.on_host).expect("upload memory is mapped")
    }

    /// Writes words to the front of it.
    fn write(&self, words: &[u32]) -> Result<(), BackendError> {
        let bytes: &[u8] = cast_slice(words);
        self.on_host()[..bytes.len()].copy_from_slice(bytes);
        self.on_host.flush(0..bytes.len() as u64)
    }

    fn sums(&self) -> Result<&[u32], BackendError> {
        let all = 0..self.sums.size();
        self.sums.invalidate(all.clone())?;
        Ok(cast_slice(self.sums.mapped(all)))
    }

    fn check(&self, what: &str, found: u32, expected: u32) -> Result<(), BackendError> {
        match found == expected {
            true => Ok(()),
            false => Err(BackendError::invalid(
                what,
                "it is not what it should be: the driver is at fault, or the device",
            )),
        }
    }

    fn submit(&self, body: impl FnOnce(&mut Recorder)) -> Result<(), BackendError> {
        let mut commands = self.record(body)?;
        self.run(&mut commands)
    }

    fn record(&self, body: impl FnOnce(&mut Recorder)) -> Result<Commands, BackendError> {
        let mut commands = Commands::new(self.device, "ceilings")?;
        commands.record(body)?;
        Ok(commands)
    }

    fn run(&self, commands: &mut Commands) -> Result<(), BackendError> {
        let value = self.device.submit(&mut [commands], &self.timeline)?;
        self.timeline.wait(value, self.device.deadline())
    }
}

/// Numbers of workgroups that read: which is the fastest depends on the device.
fn groups(kind: DeviceKind) -> &'static [u32] {
    match kind {
        DeviceKind::Cpu => &[64],
        _ => &[512, 1024, 2048, 4096, 8192],
    }
}

fn median<E>(mut time: impl FnMut() -> Result<Duration, E>) -> Result<Duration, E> {
    // The first pays for what is done once.
    time()?;
    let mut times = (0..TURNS).map(|_| time()).collect::<Result<Vec<_>, E>>()?;
    times.sort_unstable();
    Ok(times[TURNS / 2])
}

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64().max(1e-9)
}
