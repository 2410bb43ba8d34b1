//! The backend that tests run on, and tests of the layer as a whole.

use std::ffi::c_void;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ash::vk;

use super::device::{Device, DeviceRef};
use super::timeline::Timeline;
use super::{Backend, BackendOptions, RawDevice, Validation, layer};

/// A backend under core and synchronisation validation. When it is dropped, any message that the
/// layers ever gave fails the test, those of the device's and the instance's end included.
pub(crate) struct TestBackend(Option<Backend>);

impl TestBackend {
    pub(crate) fn new() -> TestBackend {
        TestBackend::open(&TestBackend::options())
    }

    /// One whose calls go through the layer for tests.
    pub(crate) fn layered(validation: Validation) -> TestBackend {
        TestBackend::open(&TestBackend::layered_options(validation))
    }

    pub(super) fn options() -> BackendOptions {
        BackendOptions {
            // With more than the core and synchronisation checks where the environment asks for it.
            validation: match Validation::FromEnvironment.resolved() {
                Ok(Validation::Off) => Validation::On,
                other => other.unwrap(),
            },
            // It guards against hanging, and no machine is that slow.
            wait_timeout: Duration::from_secs(600),
            ..BackendOptions::default()
        }
    }

    pub(crate) fn layered_options(validation: Validation) -> BackendOptions {
        let loader_path = Some(layer::PATH.into());
        BackendOptions { validation, loader_path, ..TestBackend::options() }
    }

    pub(super) fn open(options: &BackendOptions) -> TestBackend {
        match Backend::new(options) {
            Ok(backend) => TestBackend(Some(backend)),
            Err(error) => panic!("tests need a Vulkan device and the validation layer: {error}"),
        }
    }

    /// Does what is to time out.
    pub(crate) fn impatiently<T>(&self, what: impl FnOnce() -> T) -> T {
        self.device().test_waits.set_patience(Some(PATIENCE));
        let done = what();
        self.device().test_waits.set_patience(None);
        done
    }

    /// The same device as one of the caller's, which is not to be used at the same time.
    pub(crate) fn as_callers(&self) -> Backend {
        let handles = self.raw_handles();
        // SAFETY: the loader that the device was opened with, which stays open; its handles are alive as long as `self`.
        unsafe {
            let entry = std::mem::ManuallyDrop::new(ash::Entry::load().unwrap());
            let raw = RawDevice::new(
                entry.static_fn().get_instance_proc_addr as *const c_void,
                handles.instance,
                handles.physical_device,
                handles.device,
                handles.compute_queue,
            );
            Backend::from_raw(raw.timeline_semaphore(true)).unwrap()
        }
    }

    /// Hands the backend over, with nobody to look at its messages.
    pub(crate) fn into_inner(mut self) -> Backend {
        self.0.take().expect("only dropping takes it")
    }
}

impl Deref for TestBackend {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        self.0.as_ref().expect("only dropping takes it")
    }
}

impl Drop for TestBackend {
    fn drop(&mut self) {
        let Some(backend) = self.0.take() else { return };
        let log = backend.validation_log();
        drop(backend);
        let messages = log.messages();
        if !messages.is_empty() && !std::thread::panicking() {
            panic!("validation messages:\n{}", messages.join("\n"));
        }
    }
}

/// What a device shares with itself.
#[cfg(unix)]
pub(crate) mod sharing {
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt as _;

    use super::super::staging::StagingBuffer;
    use super::super::{
        Backend, BackendError, ExternalBuffer, ExternalSemaphore, MemoryHandle, RawSemaphore,
        SemaphoreHandle,
    };

    /// A buffer that holds `bytes`, exported and imported again. No file descriptor is left, whatever fails.
    pub(crate) fn buffer(backend: &Backend, bytes: &[u8]) -> Result<ExternalBuffer, BackendError> {
        let buffer = ExternalBuffer::new(backend, MemoryHandle::OpaqueFd, bytes.len() as u64)?;
        let staging = StagingBuffer::new(backend.device(), "staging", buffer.buffer().size())?;
        staging.upload("fill", &[bytes], buffer.buffer())?;
        let fd = buffer.export_fd()?;
        let before = same_files(&fd);
        // SAFETY: it is what the buffer says, of the same device.
        let import = || unsafe {
            ExternalBuffer::import(backend, fd.try_clone().unwrap(), &buffer.memory())
        };
        drop(import());
        // What drivers of devices do with theirs is not known, nor whether others have some of that file.
        if backend.device_info().driver_name == "llvmpipe" {
            assert_eq!(same_files(&fd), before);
        }
        import()
    }

    /// A binary semaphore, exported and imported again: to signal by one, and to wait for by the other.
    pub(crate) fn semaphore(
        backend: &Backend,
    ) -> Result<[(ExternalSemaphore, RawSemaphore); 2], BackendError> {
        let binary = SemaphoreHandle::OpaqueBinary;
        let one = ExternalSemaphore::new(backend, binary)?;
        // SAFETY: it is what it was exported as, by the same device; and is used while it is there, to signal it first.
        unsafe {
            let fd = one.export_fd()?.expect("an opaque one is never without");
            let other = ExternalSemaphore::import(backend, binary, fd)?;
            Ok([one, other].map(|semaphore| {
                let raw = RawSemaphore::binary(semaphore.handle());
                (semaphore, raw)
            }))
        }
    }

    /// How many file descriptors of this process are of the same file.
    fn same_files(fd: &OwnedFd) -> usize {
        let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let file = fs::File::from(fd.try_clone().unwrap());
        let wanted = of(file.metadata().unwrap());
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter(|one| fs::metadata(one.path()).is_ok_and(|one| of(one) == wanted)).count()
    }
}

/// Holds up all that is submitted to a device from now on, until it is dropped: the device does not answer. Calls lose
/// their patience soon meanwhile.
pub(crate) struct Hold {
    device: DeviceRef,
    timeline: Arc<Timeline>,
}

impl Hold {
    pub(crate) fn new(device: &Arc<Device>) -> Hold {
        let timeline = Timeline::new(device, "hold").unwrap();
        device.hold_up(&timeline);
        device.test_waits.set_patience(Some(PATIENCE));
        device.test_waits.in_vain_ns.store(0, Ordering::Relaxed);
        Hold { device: DeviceRef::new(device), timeline }
    }

    /// How often the patience of a call calls have waited in vain since this began or was asked last, rounded up.
    pub(crate) fn patiences(&self) -> u64 {
        let in_vain = self.device.test_waits.in_vain_ns.swap(0, Ordering::Relaxed);
        in_vain.div_ceil(PATIENCE.as_nanos() as u64)
    }

    /// Objects that are alive, but for those of its own.
    pub(crate) fn objects(&self) -> usize {
        self.device.own_objects() - 2
    }

    /// Has calls wait for the device in earnest, and lets it go on a little later, whatever happens meanwhile.
    pub(crate) fn release_during<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.device.test_waits.set_patience(None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(PATIENCE);
                self.release();
            });
            meanwhile()
        })
    }

    fn release(&self) {
        self.device.test_waits.set_patience(None);
        if self.timeline.has_reached(1) {
            return;
        }
        let info = vk::SemaphoreSignalInfo::default().semaphore(self.timeline.raw()).value(1);
        // SAFETY: it is a timeline, which nobody else signals.
        unsafe { self.device.raw().signal_semaphore(&info) }.unwrap();
        self.device.wait_idle();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

/// How long calls wait while a device is held up. Nothing but what times out depends on it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(60);

/// What tests set and learn about waiting.
#[derive(Default)]
pub(super) struct Waits {
    /// 0 for the backend's own.
    patience_ns: AtomicU64,
    in_vain_ns: AtomicU64,
}

impl Waits {
    pub(super) fn patience(&self) -> Option<Duration> {
        let patience = self.patience_ns.load(Ordering::Relaxed);
        (patience > 0).then(|| Duration::from_nanos(patience))
    }

    pub(super) fn set_patience(&self, patience: Option<Duration>) {
        let patience = patience.map_or(0, |patience| patience.as_nanos() as u64);
        self.patience_ns.store(patience, Ordering::Relaxed);
    }

    pub(super) fn count_in_vain(&self, waited: Duration) {
        self.in_vain_ns.fetch_add(waited.as_nanos() as u64, Ordering::Relaxed);
    }
}

mod tests {
    use super::super::allocator::MemoryLocation;
    use super::super::command::{Commands, Scope};
    use super::super::device::QueueRole;
    use super::super::memory::Buffer;
    use super::super::pipeline::{Binding, ComputePipeline, DescriptorSet, KernelDesc, SetLayout};
    use super::super::query::Timestamps;
    use super::super::staging::StagingBuffer;
    use super::super::{BackendError, DeviceSelector, KernelStatistics};
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(600);

    fn buffer(device: &Arc<Device>, name: &str, size: u64, location: MemoryLocation) -> Buffer {
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST
            | vk::BufferUsageFlags::INDIRECT_BUFFER;
        Buffer::new(device, name, size, location, usage).unwrap()
    }

    fn region(src_offset: u64, dst_offset: u64, size: u64) -> vk::BufferCopy {
        vk::BufferCopy { src_offset, dst_offset, size }
    }

    fn read(buffer: &Buffer) -> Vec<u8> {
        buffer.invalidate(0..buffer.size()).unwrap();
        buffer.mapped(0..buffer.size()).to_vec()
    }

    #[test]
    fn a_missing_loader_says_what_to_install() {
        let options = BackendOptions {
            loader_path: Some("/nonexistent/libvulkan.so".into()),
            ..BackendOptions::default()
        };
        for error in
            [Backend::new(&options).err().unwrap(), Backend::devices(&options).err().unwrap()]
        {
            assert!(matches!(error, BackendError::LoaderMissing { .. }));
            let text = error.to_string();
            assert!(text.contains("/nonexistent/libvulkan.so"), "{text}");
            assert!(text.contains("apt install libvulkan1"), "{text}");
        }
    }

    #[test]
    fn the_listing_shows_the_device_that_new_opens() {
        let backend = TestBackend::new();
        let devices = Backend::devices(&BackendOptions::default()).unwrap();
        let picked: Vec<_> = devices.iter().filter(|d| d.preference.is_some()).collect();
        assert_eq!(picked.len(), 1);
        assert_eq!(picked[0].uuid, backend.device_info().uuid);
        assert_eq!(picked[0].unsuitable, None);

        let by_uuid = BackendOptions {
            device: Some(DeviceSelector::Uuid(picked[0].uuid)),
            ..BackendOptions::default()
        };
        let same = Backend::new(&by_uuid).unwrap();
        assert_eq!(same.device_info().name, picked[0].name);
    }

    #[test]
    fn a_device_that_is_not_there_lists_those_that_are() {
        let options = BackendOptions {
            device: Some(DeviceSelector::Name("no such device".to_owned())),
            ..BackendOptions::default()
        };
        let error = Backend::new(&options).err().unwrap().to_string();
        for device in Backend::devices(&options).unwrap() {
            assert!(error.contains(&device.name), "{error}");
            assert_eq!(device.preference, None);
        }
    }

    #[test]
    fn bytes_go_up_and_come_back_again_and_again() {
        let backend = TestBackend::new();
        let device = backend.device();
        let ring = StagingBuffer::new(device, "ring", 4096).unwrap();
        let tables = buffer(device, "tables", 4096, MemoryLocation::DeviceLocal);
        let back = buffer(device, "readback", 1024, MemoryLocation::Readback);
        let timeline = Timeline::new(device, "timeline").unwrap();
        let mut down = Commands::new(device, "down").unwrap();
        down.record(|to| {
            to.transfer_to_transfer();
            to.copy_buffer(&tables, &back, &[region(64, 0, 1024)]);
            to.transfer_to_host();
        })
        .unwrap();
        let mut up = Commands::new(device, "up").unwrap();
        for round in 1..=5u8 {
            let mut span = ring.acquire(1024, TIMEOUT).unwrap();
            for (at, byte) in span.iter_mut().enumerate() {
                *byte = at as u8 ^ round;
            }
            span.flush().unwrap();
            let expected = span.to_vec();
            up.record(|to| {
                to.label_begin(format_args!("upload"));
                to.copy_buffer(span.buffer(), &tables, &[region(span.offset(), 64, 1024)]);
                to.label_end();
            })
            .unwrap();
            let value = device.submit(&mut [&mut up, &mut down], &timeline).unwrap();
            assert_eq!(value, u64::from(round));
            timeline.wait(value, TIMEOUT).unwrap();
            assert_eq!(timeline.completed(), Ok(value));
            assert_eq!(read(&back), expected);
        }
        drop((ring, tables, back, timeline, down, up));
        assert_eq!((device.live_objects(), device.allocated_bytes()), (0, 0));
    }

    #[test]
    fn updates_and_fills_arrive() {
        let backend = TestBackend::new();
        let device = backend.device();
        let back = buffer(device, "readback", 16, MemoryLocation::Readback);
        let timeline = Timeline::new(device, "timeline").unwrap();
        let mut commands = Commands::new(device, "test").unwrap();
        commands
            .record(|to| {
                to.fill_buffer(&back, 0, 16, 0xABCD_0123);
                to.transfer_to_transfer();
                to.update_buffer(&back, 4, &[1, 2, 3, 4]);
                to.transfer_to_host();
            })
            .unwrap();
        let value = device.submit(&mut [&mut commands], &timeline).unwrap();
        timeline.wait(value, TIMEOUT).unwrap();
        let word = 0xABCD_0123u32.to_ne_bytes();
        assert_eq!(read(&back), [word, [1, 2, 3, 4], word, word].concat());
    }

    /// Multiplies `from` by a constant into the second of two buffers:
    ///
    /// ```glsl
    /// #version 450
    /// layout(local_size_x = 64) in;
    /// layout(constant_id = 1) const uint FACTOR = 1;
    /// layout(push_constant) uniform Push { uint count; } push;
    /// layout(set = 0, binding = 0) readonly buffer From { uint from[]; };
    /// layout(set = 0, binding = 1) buffer To { uint to[]; } slots[2];
    /// void main() {
    ///     uint i = gl_GlobalInvocationID.x;
    ///     if (i < push.count) slots[1].to[i] = from[i] * FACTOR;
    /// }
    /// ```
    #[rustfmt::skip]
    const MULTIPLY: &[u32] = &[
        0x7230203, 0x10500, 0x8000b, 0x33, 0, 0x20011, 1, 0x6000b, 1, 0x4c534c47,
        0x6474732e, 0x3035342e, 0, 0x3000e, 0, 1, 0x9000f, 5, 4, 0x6e69616d, 0, 0xb, 0x13,
        0x22, 0x28, 0x60010, 4, 0x11, 0x40, 1, 1, 0x40047, 0xb, 0xb, 0x1c, 0x50048, 0x11, 0,
        0x23, 0, 0x30047, 0x11, 2, 0x40047, 0x1d, 6, 4, 0x50048, 0x1e, 0, 0x23, 0, 0x30047,
        0x1e, 2, 0x40047, 0x22, 0x22, 0, 0x40047, 0x22, 0x21, 1, 0x40047, 0x25, 6, 4,
        0x40048, 0x26, 0, 0x18, 0x50048, 0x26, 0, 0x23, 0, 0x30047, 0x26, 2, 0x40047, 0x28,
        0x22, 0, 0x40047, 0x28, 0x21, 0, 0x40047, 0x2d, 1, 1, 0x40047, 0x32, 0xb, 0x19,
        0x20013, 2, 0x30021, 3, 2, 0x40015, 6, 0x20, 0, 0x40017, 9, 6, 3, 0x40020, 0xa, 1,
        9, 0x4003b, 0xa, 0xb, 1, 0x4002b, 6, 0xc, 0, 0x40020, 0xd, 1, 6, 0x3001e, 0x11, 6,
        0x40020, 0x12, 9, 0x11, 0x4003b, 0x12, 0x13, 9, 0x40015, 0x14, 0x20, 1, 0x4002b,
        0x14, 0x15, 0, 0x40020, 0x16, 9, 6, 0x20014, 0x19, 0x3001d, 0x1d, 6, 0x3001e, 0x1e,
        0x1d, 0x4002b, 6, 0x1f, 2, 0x4001c, 0x20, 0x1e, 0x1f, 0x40020, 0x21, 0xc, 0x20,
        0x4003b, 0x21, 0x22, 0xc, 0x4002b, 0x14, 0x23, 1, 0x3001d, 0x25, 6, 0x3001e, 0x26,
        0x25, 0x40020, 0x27, 0xc, 0x26, 0x4003b, 0x27, 0x28, 0xc, 0x40020, 0x2a, 0xc, 6,
        0x40032, 6, 0x2d, 1, 0x4002b, 6, 0x30, 0x40, 0x4002b, 6, 0x31, 1, 0x6002c, 9, 0x32,
        0x30, 0x31, 0x31, 0x50036, 2, 4, 0, 3, 0x200f8, 5, 0x50041, 0xd, 0xe, 0xb, 0xc,
        0x4003d, 6, 0xf, 0xe, 0x50041, 0x16, 0x17, 0x13, 0x15, 0x4003d, 6, 0x18, 0x17,
        0x500b0, 0x19, 0x1a, 0xf, 0x18, 0x300f7, 0x1c, 0, 0x400fa, 0x1a, 0x1b, 0x1c,
        0x200f8, 0x1b, 0x60041, 0x2a, 0x2b, 0x28, 0x15, 0xf, 0x4003d, 6, 0x2c, 0x2b,
        0x50084, 6, 0x2e, 0x2c, 0x2d, 0x70041, 0x2a, 0x2f, 0x22, 0x23, 0x15, 0xf, 0x3003e,
        0x2f, 0x2e, 0x200f9, 0x1c, 0x200f8, 0x1c, 0x100fd, 0x10038,
    ];

    struct Multiply {
        pipeline: Arc<ComputePipeline>,
        set: Arc<DescriptorSet>,
        from: Buffer,
        to: Buffer,
    }

    impl Multiply {
        fn new(device: &Arc<Device>, factor: u32) -> Multiply {
            let layout = SetLayout::new(device, "multiply", &[(0, 1), (1, 2)]).unwrap();
            let pipeline = ComputePipeline::new(
                device,
                vk::PipelineCache::null(),
                KernelStatistics::Off,
                &KernelDesc {
                    name: "multiply",
                    words: MULTIPLY,
                    layout: &layout,
                    push_constant_bytes: 4,
                    specialization: &[(1, factor)],
                },
            )
            .unwrap();
            let from = buffer(device, "from", 1024, MemoryLocation::DeviceLocal);
            let to = buffer(device, "to", 1024, MemoryLocation::Readback);
            let bind = |binding, array_index, buffer| Binding {
                binding,
                array_index,
                buffer,
                offset: 0,
                range: 1024,
            };
            let bindings = [bind(0, 0, &from), bind(1, 0, &from), bind(1, 1, &to)];
            let set = DescriptorSet::new(device, "multiply", &layout, &bindings).unwrap();
            Multiply { pipeline, set, from, to }
        }
    }

    #[test]
    fn kernels_run_directly_and_indirectly() {
        let backend = TestBackend::new();
        let device = backend.device();
        for indirect in [false, true] {
            let kernel = Multiply::new(device, 3);
            let grid = buffer(device, "grid", 12, MemoryLocation::DeviceLocal);
            let timeline = Timeline::new(device, "timeline").unwrap();
            let mut commands = Commands::new(device, "test").unwrap();
            commands
                .record(|to| {
                    to.fill_buffer(&kernel.from, 0, 1024, 14);
                    to.fill_buffer(&kernel.to, 0, 1024, 0);
                    to.update_buffer(&grid, 0, bytemuck::cast_slice(&[2u32, 1, 1]));
                    to.transfer_to_compute();
                    to.barrier(Scope::TRANSFER, Scope::INDIRECT_AND_COMPUTE);
                    to.bind(&kernel.pipeline, &kernel.set);
                    to.push_constants(&100u32.to_ne_bytes());
                    if indirect {
                        to.dispatch_indirect(&grid, 0);
                    } else {
                        to.dispatch([2, 1]);
                    }
                    to.compute_to_host();
                })
                .unwrap();
            let to = kernel.to.clone();
            // The commands hold what they need.
            drop((kernel, grid));
            let value = device.submit(&mut [&mut commands], &timeline).unwrap();
            timeline.wait(value, TIMEOUT).unwrap();
            let bytes = read(&to);
            let words: &[u32] = bytemuck::cast_slice(&bytes);
            assert_eq!(words, [[42; 100].as_slice(), &[0; 156]].concat());
            drop((to, commands, timeline));
            assert_eq!((device.live_objects(), device.allocated_bytes()), (0, 0));
        }
    }

    #[test]
    fn timestamps_rise() {
        let backend = TestBackend::new();
        let device = backend.device();
        let Some(timestamps) = Timestamps::new(device, QueueRole::Compute, "stages", 3).unwrap()
        else {
            assert_eq!(device.info().timestamp_valid_bits(), 0);
            return;
        };
        let kernel = Multiply::new(device, 1);
        let timeline = Timeline::new(device, "timeline").unwrap();
        let mut commands = Commands::new(device, "test").unwrap();
        commands
            .record(|to| {
                to.reset_timestamps(&timestamps);
                to.write_timestamp(&timestamps, 0, vk::PipelineStageFlags::TOP_OF_PIPE);
                to.fill_buffer(&kernel.from, 0, 1024, 1);
                to.write_timestamp(&timestamps, 1, vk::PipelineStageFlags::TRANSFER);
                to.transfer_to_compute();
                to.bind(&kernel.pipeline, &kernel.set);
                to.push_constants(&256u32.to_ne_bytes());
                to.dispatch([4, 1]);
                to.write_timestamp(&timestamps, 2, vk::PipelineStageFlags::BOTTOM_OF_PIPE);
            })
            .unwrap();
        let value = device.submit(&mut [&mut commands], &timeline).unwrap();
        timeline.wait(value, TIMEOUT).unwrap();
        let mut times = [0; 3];
        timestamps.read(&mut times).unwrap();
        assert!(times[0] == 0 && times.is_sorted(), "{times:?}");
        let a_minute = 60_000_000_000;
        assert!((1..a_minute).contains(&times[2]), "{times:?}");
    }

    #[test]
    fn what_commands_name_stays_until_they_have_run() {
        let backend = TestBackend::new();
        let device = backend.device();
        let back = buffer(device, "readback", 1 << 24, MemoryLocation::Readback);
        let timeline = Timeline::new(device, "timeline").unwrap();
        let mut commands = Commands::new(device, "test").unwrap();
        let fill = |word| {
            let back = back.clone();
            move |to: &mut super::super::command::Recorder| {
                to.fill_buffer(&back, 0, back.size(), word);
                to.transfer_to_host();
            }
        };
        commands.record(fill(1)).unwrap();
        device.submit(&mut [&mut commands], &timeline).unwrap();
        // Neither resubmitting nor recording anew touches commands that still run.
        device.submit(&mut [&mut commands], &timeline).unwrap();
        commands.record(fill(0x0202_0202)).unwrap();
        let value = device.submit(&mut [&mut commands], &timeline).unwrap();
        drop(commands);
        timeline.wait(value, TIMEOUT).unwrap();
        assert!(read(&back).iter().all(|&byte| byte == 2));
    }

    #[test]
    fn many_threads_share_one_queue_and_one_timeline() {
        let backend = TestBackend::new();
        let device = backend.device();
        let timeline = Timeline::new(device, "timeline").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8u32 {
                let timeline = &timeline;
                scope.spawn(move || {
                    let back = buffer(device, "readback", 4, MemoryLocation::Readback);
                    let mut commands = Commands::new(device, "test").unwrap();
                    for round in 0..50 {
                        let word = thread << 16 | round;
                        commands
                            .record(|to| {
                                to.fill_buffer(&back, 0, 4, word);
                                to.transfer_to_host();
                            })
                            .unwrap();
                        let value = device.submit(&mut [&mut commands], timeline).unwrap();
                        timeline.wait(value, TIMEOUT).unwrap();
                        assert_eq!(read(&back), word.to_ne_bytes());
                    }
                });
            }
        });
        assert_eq!(timeline.completed(), Ok(400));
    }

    #[test]
    fn a_lost_device_refuses_everything_and_leaks_nothing() {
        let backend = TestBackend::new();
        let device = backend.device();
        let ring = StagingBuffer::new(device, "ring", 1024).unwrap();
        let back = buffer(device, "readback", 4, MemoryLocation::Readback);
        let timeline = Timeline::new(device, "timeline").unwrap();
        let mut commands = Commands::new(device, "test").unwrap();
        commands.record(|to| to.fill_buffer(&back, 0, 4, 1)).unwrap();
        let value = device.submit(&mut [&mut commands], &timeline).unwrap();
        device.inject_lost();
        for _ in 0..2 {
            let lost = Some(device.loss());
            let usage = vk::BufferUsageFlags::TRANSFER_DST;
            let another = Buffer::new(device, "another", 4, MemoryLocation::Upload, usage);
            assert_eq!(another.err(), lost);
            assert_eq!(ring.acquire(1, TIMEOUT).err(), lost);
            assert_eq!(timeline.wait(value, TIMEOUT).err(), lost);
            assert_eq!(commands.record(|_| ()).err(), lost);
            assert_eq!(device.submit(&mut [&mut commands], &timeline).err(), lost);
        }
        drop((ring, timeline, commands));
        back.destroy().unwrap();
        assert_eq!((device.live_objects(), device.allocated_bytes()), (0, 0));
    }

    #[test]
    fn objects_may_outlive_the_backend() {
        let backend = TestBackend::new();
        let log = backend.validation_log();
        let back = buffer(backend.device(), "readback", 4, MemoryLocation::Readback);
        drop(backend);
        back.destroy().unwrap();
        assert_eq!(log.messages(), [""; 0]);
    }

    #[test]
    fn more_bindings_than_the_device_has_are_refused() {
        let backend = TestBackend::new();
        let device = backend.device();
        let limit = device.info().max_storage_buffers;
        let Some(asked) = limit.checked_add(1) else {
            return;
        };
        let error = SetLayout::new(device, "wide", &[(0, 1), (1, asked - 1)]);
        let error = error.err().unwrap().to_string();
        assert!(error.contains(&asked.to_string()), "{error}");
    }

    /// A mistake that core validation knows.
    fn create_empty_buffer(device: &Device) {
        let empty = vk::BufferCreateInfo::default().usage(vk::BufferUsageFlags::TRANSFER_DST);
        // SAFETY: none: a size of 0 is the mistake. Layers and drivers get through it.
        if let Ok(raw) = unsafe { device.raw().create_buffer(&empty, None) } {
            // SAFETY: it was just made.
            unsafe { device.raw().destroy_buffer(raw, None) };
        }
    }

    #[test]
    #[should_panic(expected = "VUID-VkBufferCreateInfo-size-00912")]
    fn a_message_fails_the_test_that_caused_it() {
        create_empty_buffer(TestBackend::new().device());
    }

    /// The canary: if these mistakes go unnoticed, so would any other.
    #[test]
    fn validation_catches_a_planted_hazard_and_a_planted_core_error() {
        // Taken out of the helper, which would rightly fail this test.
        let backend = TestBackend::new().into_inner();
        let device = backend.device();
        let from = buffer(device, "from", 64, MemoryLocation::DeviceLocal);
        let to = buffer(device, "to", 64, MemoryLocation::DeviceLocal);
        let mut commands = Commands::new(device, "canary").unwrap();
        commands
            .record(|recorder| {
                recorder.copy_buffer(&from, &to, &[region(0, 0, 32)]);
                recorder.transfer_to_transfer();
                recorder.copy_buffer(&from, &to, &[region(0, 16, 32)]);
            })
            .unwrap();
        assert_eq!(backend.validation_messages(), [""; 0], "with its barrier");

        commands
            .record(|recorder| {
                recorder.copy_buffer(&from, &to, &[region(0, 0, 32)]);
                recorder.copy_buffer(&from, &to, &[region(0, 16, 32)]);
            })
            .unwrap();
        let messages = backend.validation_messages().join("\n");
        assert!(messages.contains("SYNC-HAZARD-WRITE-AFTER-WRITE"), "{messages}");
        assert!(messages.contains("vkscan/"), "objects are named: {messages}");

        create_empty_buffer(device);
        let messages = backend.validation_messages().join("\n");
        assert!(messages.contains("VUID-VkBufferCreateInfo-size-00912"), "{messages}");
    }
}
