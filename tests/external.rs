//! Memory and semaphores that go from one device to another by file descriptors: what the one writes the other scans, wrong
//! use is refused, and nothing is left open.
#![cfg(unix)]

mod common;
#[path = "../examples/common/mod.rs"]
mod program;

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ash::vk::Handle as _;
use ash::{khr, vk};
use program::Program;
use vkscan::{
    Backend, BackendError, BackendOptions, ExternalBuffer, ExternalMemory, ExternalSemaphore,
    Match, MegakernelSession, MegakernelSessionConfig, MemoryHandle, RawBuffer, RawCommandBuffer,
    RawSemaphore, RecordOptions, RecordedState, RecordingOptions, ResidentHaystack, RingItem,
    RingItemBytes, RulePipeline, ScanError, ScanScratch, SemaphoreHandle, hits_bytes, read_hits,
};

const PATTERNS: [&str; 3] = [r"\bfoobar\b", "[ab]{0,3}abcd", r"xyzkey[a-f]*\d{2,}"];
const TEXT: &[u8] = b"foobar ababcd xyzkeyab12 -- foobar bar ababcdabcd xyzkey c, foobarfoo foobar";

/// One test at a time, for some count what the process has open.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A program with a device of its own, and a backend on that.
struct Side {
    program: Program,
    backend: Backend,
}

impl Side {
    fn new() -> Side {
        let program = Program::new().expect("a device");
        // SAFETY: the program outlives the backend: `end`.
        let backend = unsafe { Backend::from_raw(program.raw_device()) }.unwrap();
        Side { program, backend }
    }

    fn import(&self, fd: OwnedFd, memory: &ExternalMemory) -> Result<ExternalBuffer, BackendError> {
        // SAFETY: the descriptors are what the tests say, or such that drivers know that they are not.
        unsafe { ExternalBuffer::import(&self.backend, fd, memory) }
    }

    /// Writes bytes to a buffer that others share, by the device.
    fn write(&self, to: &ExternalBuffer, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let size = bytes.len().next_multiple_of(4) as u64;
        let from = self.program.buffer(size, vk::BufferUsageFlags::TRANSFER_SRC).unwrap();
        from.write(0, bytes);
        let (to, device) = (vk::Buffer::from_raw(to.raw_buffer().0), &self.program.device);
        let regions = [vk::BufferCopy { dst_offset: offset, size, ..Default::default() }];
        self.execute(|commands| {
            // SAFETY: recording; the buffers are there and as large as that.
            unsafe { device.cmd_copy_buffer(commands, from.buffer, to, &regions) };
            self.hand_over(commands, to, [self.program.family, vk::QUEUE_FAMILY_EXTERNAL]);
        });
    }

    /// Reads words of a buffer that others share.
    fn read(&self, from: &ExternalBuffer, count: usize) -> Vec<u32> {
        let size = 4 * count as u64;
        let to = self.program.buffer(size, vk::BufferUsageFlags::TRANSFER_DST).unwrap();
        let (from, device) = (vk::Buffer::from_raw(from.raw_buffer().0), &self.program.device);
        let regions = [vk::BufferCopy { size, ..Default::default() }];
        self.execute(|commands| {
            self.hand_over(commands, from, [vk::QUEUE_FAMILY_EXTERNAL, self.program.family]);
            // SAFETY: as above.
            unsafe { device.cmd_copy_buffer(commands, from, to.buffer, &regions) };
        });
        to.words(0, count)
    }

    fn execute(&self, record: impl FnOnce(vk::CommandBuffer)) {
        let recorded = self.program.record(|commands| {
            record(commands);
            Ok::<(), vk::Result>(())
        });
        self.program.execute(&recorded.unwrap()).unwrap();
    }

    /// From one queue family to another.
    fn hand_over(&self, commands: vk::CommandBuffer, buffer: vk::Buffer, [from, to]: [u32; 2]) {
        let barriers = [vk::BufferMemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::MEMORY_WRITE)
            .dst_access_mask(vk::AccessFlags::MEMORY_READ)
            .src_queue_family_index(from)
            .dst_queue_family_index(to)
            .buffer(buffer)
            .size(vk::WHOLE_SIZE)];
        let stages = vk::PipelineStageFlags::ALL_COMMANDS;
        let flags = vk::DependencyFlags::empty();
        // SAFETY: recording, outside of a render pass.
        unsafe {
            let device = &self.program.device;
            device.cmd_pipeline_barrier(commands, stages, stages, flags, &[], &barriers, &[]);
        }
    }

    fn end(self) {
        assert_eq!(self.backend.allocated_bytes(), 0);
        drop(self.backend);
        self.program.end().unwrap();
    }
}

/// A buffer on one side, and the same on the other; none where the device does not have that.
fn shared(from: &Side, to: &Side, bytes: u64) -> Option<[ExternalBuffer; 2]> {
    shared_by(MemoryHandle::OpaqueFd, from, to, bytes)
}

fn shared_by(
    handle: MemoryHandle,
    from: &Side,
    to: &Side,
    bytes: u64,
) -> Option<[ExternalBuffer; 2]> {
    let buffer = told(ExternalBuffer::new(&from.backend, handle, bytes))?;
    let same = told(to.import(buffer.export_fd().unwrap(), &buffer.memory()))?;
    Some([buffer, same])
}

/// What there is; or says that it is not, and so what is not tested.
fn told<T>(made: Result<T, BackendError>) -> Option<T> {
    match made {
        Err(BackendError::Unsupported { what, needed }) => {
            // Of a device that is asked for nothing more: no data is missing.
            common::say(&format!("NOT RUN: {what} takes {needed}, which the device lacks"));
            None
        }
        made => Some(made.unwrap()),
    }
}

fn text(len: usize) -> Vec<u8> {
    TEXT.iter().copied().cycle().take(len).collect()
}

#[test]
fn bytes_that_one_device_writes_another_scans() {
    let _alone = alone();
    for handle in [MemoryHandle::OpaqueFd, MemoryHandle::DmaBuf] {
        write_and_scan(handle);
    }
}

fn write_and_scan(handle: MemoryHandle) {
    const LARGEST: usize = 3 << 20;
    let (a, b) = (Side::new(), Side::new());
    let Some([ours, theirs]) = shared_by(handle, &a, &b, LARGEST as u64 + 256) else { return };
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(&b.backend, LARGEST, 1 << 20).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let mut check = |haystack: &ResidentHaystack, text: &[u8]| {
        session.scan_into(&b.backend, haystack, &mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(text));
    };
    // The same buffer again and again, from several places on, with other bytes each time.
    for (offset, len) in
        [(0, TEXT.len()), (256, 1000), (0, LARGEST), (256, LARGEST), (0, 1), (0, 0)]
    {
        let text = text(len);
        a.write(&ours, offset, &text);
        let haystack = ResidentHaystack::from_external(&theirs, offset, len).unwrap();
        for _ in 0..2 {
            check(&haystack, &text);
        }
        let other: Vec<u8> = text.iter().rev().copied().collect();
        a.write(&ours, offset, &other);
        check(&haystack, &other);
    }
    // Two haystacks in one buffer, in turn; and one that outlives the buffer.
    a.write(&ours, 0, &text(1256));
    let places = [(0, 200), (256, 1000)];
    let haystacks =
        places.map(|(offset, len)| ResidentHaystack::from_external(&theirs, offset, len).unwrap());
    drop((ours, theirs));
    for _ in 0..2 {
        for (haystack, (offset, len)) in haystacks.iter().zip(places) {
            check(haystack, &text(1256)[offset as usize..][..len]);
        }
    }
    drop(haystacks);
    session.free(&b.backend).unwrap();
    a.end();
    b.end();
}

#[test]
fn hits_that_one_device_finds_another_reads() {
    let _alone = alone();
    let (a, b) = (Side::new(), Side::new());
    const ROOM: u32 = 100;
    let Some([text, same_text]) = shared(&a, &b, TEXT.len() as u64) else { return };
    // The hits' memory is the finder's, or the reader's.
    for is_finders in [false, true] {
        let (from, to) = if is_finders { (&b, &a) } else { (&a, &b) };
        let [one, other] = shared(from, to, hits_bytes(ROOM)).unwrap();
        let (found, read) = if is_finders { (&one, &other) } else { (&other, &one) };
        let rules = RulePipeline::new(&PATTERNS).unwrap();
        let session = rules.prepare_resident(&b.backend, 1 << 10, ROOM as usize).unwrap();
        let mut recording = session.recording(&b.backend, &RecordingOptions::default()).unwrap();
        a.write(&text, 0, TEXT);
        let raw = |buffer: &ExternalBuffer| {
            let (handle, size, usage) = buffer.raw_buffer();
            // SAFETY: it was made so, and is there until the commands have run.
            unsafe { RawBuffer::new(handle, size, usage) }
        };
        let family = b.program.family;
        b.execute(|commands| {
            let handle = |buffer: &ExternalBuffer| vk::Buffer::from_raw(buffer.raw_buffer().0);
            b.hand_over(commands, handle(&same_text), [vk::QUEUE_FAMILY_EXTERNAL, family]);
            // SAFETY: it is recorded by this thread, and executed alone, before what it names goes.
            let into = unsafe { RawCommandBuffer::new(commands.as_raw() as *mut _) };
            let (haystack, hits) = ((raw(&same_text), 0, TEXT.len()), (raw(found), 0, ROOM));
            let options = RecordOptions::default();
            session.record(&mut recording, into, haystack, hits, &options).unwrap();
            b.hand_over(commands, handle(found), [family, vk::QUEUE_FAMILY_EXTERNAL]);
        });
        let words = a.read(read, hits_bytes(ROOM) as usize / 4);
        let (state, matches) = read_hits(&words, ROOM);
        assert_eq!((state, matches), (RecordedState::Complete, rules.reference_scan(TEXT)));
        drop(recording);
        session.free(&b.backend).unwrap();
    }
    drop((text, same_text));
    a.end();
    b.end();
}

/// Memory that the program exports itself, with the type that it is of, and what is bound to it.
struct Exported {
    memory: vk::DeviceMemory,
    memory_type: u32,
    bytes: u64,
}

impl Exported {
    fn new(program: &Program, bytes: u64) -> Exported {
        let kind = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(kind);
        let info = vk::BufferCreateInfo::default()
            .size(bytes)
            .usage(vk::BufferUsageFlags::STORAGE_BUFFER)
            .push_next(&mut external);
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(kind);
        // SAFETY: the device is alive; the extension is enabled, or the caller has seen that it is not.
        unsafe {
            let buffer = program.device.create_buffer(&info, None).unwrap();
            let needs = program.device.get_buffer_memory_requirements(buffer);
            program.device.destroy_buffer(buffer, None);
            let memory_type = needs.memory_type_bits.trailing_zeros();
            let info = vk::MemoryAllocateInfo::default()
                .allocation_size(needs.size)
                .memory_type_index(memory_type)
                .push_next(&mut export);
            let memory = program.device.allocate_memory(&info, None).unwrap();
            Exported { memory, memory_type, bytes: needs.size }
        }
    }

    fn fd(&self, program: &Program) -> OwnedFd {
        let functions = khr::external_memory_fd::Device::new(&program.instance, &program.device);
        let info = vk::MemoryGetFdInfoKHR::default()
            .memory(self.memory)
            .handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        // SAFETY: the memory was allocated for that; the descriptor is nobody else's.
        unsafe { std::os::fd::FromRawFd::from_raw_fd(functions.get_memory_fd(&info).unwrap()) }
    }

    fn memory(&self) -> ExternalMemory {
        ExternalMemory::new(MemoryHandle::OpaqueFd, self.bytes).memory_type(Some(self.memory_type))
    }

    fn free(self, program: &Program) {
        // SAFETY: nothing of the program's is bound to it.
        unsafe { program.device.free_memory(self.memory, None) };
    }
}

/// Whether memory goes by opaque file descriptors.
fn has_opaque(side: &Side) -> bool {
    told(ExternalBuffer::new(&side.backend, MemoryHandle::OpaqueFd, 16)).is_some()
}

#[test]
fn a_part_of_a_programs_memory_is_scanned_where_it_lies() {
    let _alone = alone();
    let (a, b) = (Side::new(), Side::new());
    if !has_opaque(&a) {
        return;
    }
    let exported = Exported::new(&a.program, 1 << 20);
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(&b.backend, 1 << 16, 10_000).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    // SAFETY: the physical device is of that instance.
    let types =
        unsafe { a.program.instance.get_physical_device_memory_properties(a.program.physical) };
    let known = Some(exported.memory_type);
    // Where there is one type alone, it need not be known.
    let unknown = known.filter(|_| types.memory_type_count > 1);
    // Written through one import of all, and read through others of parts.
    let whole = a.import(exported.fd(&a.program), &exported.memory()).unwrap();
    for (offset, len, memory_type) in
        [(0, 1 << 16, known), (1 << 16, 4000, unknown), (3 << 16, 1 << 16, unknown)]
    {
        let text = text(len);
        a.write(&whole, offset, &text);
        let part = exported.memory().memory_type(memory_type).offset(offset).bytes(len as u64);
        let imported = b.import(exported.fd(&a.program), &part).unwrap();
        assert_eq!(imported.memory().memory_type, Some(exported.memory_type));
        let haystack = ResidentHaystack::from_external(&imported, 0, len).unwrap();
        session.scan_into(&b.backend, &haystack, &mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(&text), "{part:?}");
    }
    // What was imported stays when whoever exported it is gone.
    let rest = b.import(exported.fd(&a.program), &exported.memory()).unwrap();
    a.write(&whole, 0, TEXT);
    drop(whole);
    exported.free(&a.program);
    a.end();
    let haystack = ResidentHaystack::from_external(&rest, 0, TEXT.len()).unwrap();
    session.scan_into(&b.backend, &haystack, &mut matches, &mut scratch).unwrap();
    assert_eq!(matches, rules.reference_scan(TEXT));
    drop((haystack, rest));
    session.free(&b.backend).unwrap();
    b.end();
}

/// What of a thing cannot be, in the words of the error.
fn invalid<T: std::fmt::Debug>(made: Result<T, BackendError>) -> String {
    match made {
        Err(BackendError::InvalidHandle { what, reason }) => format!("{what}: {reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_use_is_refused_and_closes_the_descriptor() {
    let _alone = alone();
    let side = Side::new();
    if !has_opaque(&side) {
        return;
    }
    let buffer = ExternalBuffer::new(&side.backend, MemoryHandle::OpaqueFd, 1 << 16).unwrap();
    let memory = buffer.memory();
    let open = open_files();
    let wrong = [
        (memory.bytes(0), "of no bytes"),
        (memory.bytes((1 << 16) + 1), "it has"),
        (memory.offset(1 << 16), "it has"),
        (memory.offset(u64::MAX), "it has"),
        (memory.offset(1).bytes(16), "multiples of"),
        (memory.memory_type(Some(31)), "memory type"),
        (memory.memory_type(Some(u32::MAX)), "memory type"),
    ];
    for (memory, words) in wrong {
        let reason = invalid(side.import(buffer.export_fd().unwrap(), &memory));
        assert!(reason.starts_with("the external memory") && reason.contains(words), "{reason}");
    }
    let huge = memory.bytes(u64::MAX);
    let error = side.import(buffer.export_fd().unwrap(), &huge).unwrap_err();
    assert!(matches!(error, BackendError::LimitExceeded { .. }), "{error}");
    for bytes in [0, u64::MAX] {
        let error = ExternalBuffer::new(&side.backend, MemoryHandle::OpaqueFd, bytes).unwrap_err();
        let words = if bytes == 0 { "of no bytes" } else { "the limit is" };
        assert!(error.to_string().contains(words), "{error}");
    }
    // lavapipe looks at what it is given; others need not.
    if side.backend.device_info().driver_name == "llvmpipe" {
        let null = || fs::File::open("/dev/null").unwrap().into();
        let reason = invalid(side.import(null(), &memory));
        assert!(reason.starts_with("the file descriptor"), "{reason}");
        let no_dma_buf = side.import(null(), &ExternalMemory::new(MemoryHandle::DmaBuf, 4096));
        let error = no_dma_buf.unwrap_err();
        assert!(
            matches!(error, BackendError::Unsupported { .. } | BackendError::InvalidHandle { .. }),
            "{error}"
        );
        let larger = ExternalMemory::new(MemoryHandle::OpaqueFd, 1 << 20);
        side.import(buffer.export_fd().unwrap(), &larger).unwrap_err();
    }
    assert_eq!(open_files(), open);

    let imported = side.import(buffer.export_fd().unwrap(), &memory).unwrap();
    assert!(invalid(imported.export_fd()).contains("was imported"));
    let haystack = |offset, len| match ResidentHaystack::from_external(&imported, offset, len) {
        Err(ScanError::Backend(error)) => invalid::<()>(Err(error)),
        other => format!("{other:?}"),
    };
    assert!(haystack(0, (1 << 16) + 1).contains("are asked for"));
    assert!(haystack(1 << 16, 1).contains("are asked for"));
    assert!(haystack(u64::MAX, 1).contains("are asked for"));
    assert!(haystack(0, usize::MAX).contains("HaystackTooLarge"));
    if side.backend.device_info().storage_buffer_alignment > 1 {
        assert!(haystack(1, 1).contains("multiple of"));
    }
    // On another device it is no haystack.
    let other = Side::new();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(&other.backend, 100, 10).unwrap();
    let haystack = ResidentHaystack::from_external(&imported, 0, 100).unwrap();
    let mut matches: Vec<Match> = Vec::new();
    let scanned =
        session.scan_into(&other.backend, &haystack, &mut matches, &mut ScanScratch::default());
    assert!(matches!(scanned, Err(ScanError::WrongBackend)));
    drop((haystack, imported, buffer));
    session.free(&other.backend).unwrap();
    other.end();
    side.end();
}

#[test]
fn without_their_extensions_nothing_is_shared() {
    let _alone = alone();
    let program = Program::new().expect("a device");
    let raw = program.raw_device().device_extensions(Vec::new());
    // SAFETY: the program outlives the backend.
    let backend = unsafe { Backend::from_raw(raw) }.unwrap();
    let fd = || OwnedFd::from(fs::File::open("/dev/null").unwrap());
    let open = open_files();
    for handle in [MemoryHandle::OpaqueFd, MemoryHandle::DmaBuf] {
        let memory = ExternalMemory::new(handle, 4096);
        // SAFETY: it is not looked at.
        let imported = unsafe { ExternalBuffer::import(&backend, fd(), &memory) };
        for error in [imported, ExternalBuffer::new(&backend, handle, 4096)].map(Result::unwrap_err)
        {
            assert!(matches!(error, BackendError::Unsupported { .. }), "{error}");
            assert!(error.to_string().contains("VK_KHR_external_memory_fd"), "{error}");
        }
    }
    use SemaphoreHandle::{OpaqueBinary, OpaqueTimeline, SyncFd};
    for handle in [OpaqueBinary, OpaqueTimeline, SyncFd] {
        // SAFETY: as above.
        let imported = unsafe { ExternalSemaphore::import(&backend, handle, fd()) };
        for error in [imported, ExternalSemaphore::new(&backend, handle)].map(Result::unwrap_err) {
            assert!(matches!(error, BackendError::Unsupported { .. }), "{error}");
            assert!(error.to_string().contains("VK_KHR_external_semaphore_fd"), "{error}");
        }
    }
    assert_eq!(open_files(), open);
    drop(backend);
    program.end().unwrap();
}

/// What a device has it is opened with, and what it does not have is said to be missing.
#[test]
fn a_device_of_vkscans_own_shares_what_it_can() {
    let _alone = alone();
    let backend = Backend::new(&BackendOptions::default()).unwrap();
    assert_ne!(backend.device_info().driver_uuid, Default::default());
    for handle in [MemoryHandle::OpaqueFd, MemoryHandle::DmaBuf] {
        let Some(buffer) = told(ExternalBuffer::new(&backend, handle, 1000)) else { continue };
        assert_eq!((buffer.memory().bytes, buffer.memory().offset), (1008, 0));
        // It is memory of ours, in plain sight.
        let uses = backend.memory_report().unwrap().uses;
        assert_eq!((&uses[0].purpose[..], uses[0].bytes), ("external buffer", 1008));
        let other = backend.reopen().unwrap();
        // SAFETY: it is what the buffer says, of the same physical device.
        let imported = unsafe {
            ExternalBuffer::import(&other, buffer.export_fd().unwrap(), &buffer.memory())
        };
        if told(imported).is_some() {
            assert_eq!(other.allocated_bytes(), 0, "what is imported is others'");
        }
    }
    assert_eq!(backend.allocated_bytes(), 0);
    let limited = Backend::new(&BackendOptions::default().memory_limit(Some(1 << 10))).unwrap();
    let refused = ExternalBuffer::new(&limited, MemoryHandle::OpaqueFd, 1 << 11).unwrap_err();
    assert!(
        matches!(
            refused,
            BackendError::LimitExceeded { limit: 1024, .. } | BackendError::Unsupported { .. }
        ),
        "{refused}"
    );
    drop(limited);
    let log = backend.validation_log();
    drop(backend);
    assert_eq!(log.messages(), [""; 0]);
}

#[test]
fn items_of_a_ring_session_may_lie_in_shared_memory() {
    let _alone = alone();
    let (a, b) = (Side::new(), Side::new());
    let Some([ours, theirs]) = shared(&a, &b, TEXT.len() as u64) else { return };
    a.write(&ours, 0, TEXT);
    let haystack = ResidentHaystack::from_external(&theirs, 0, TEXT.len()).unwrap();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let config = MegakernelSessionConfig::default();
    let Some(mut session) = MegakernelSession::new(&b.backend, &rules, config).unwrap() else {
        return common::say("NOT RUN: the device has no ring sessions");
    };
    let items = [0..TEXT.len(), 7..40].map(|range| RingItem {
        bytes: RingItemBytes::Resident { haystack: &haystack, range },
        ..RingItem::new(0, b"")
    });
    let found = session.submit_scan(&items).unwrap();
    for (found, text) in found.iter().zip([TEXT, &TEXT[7..40]]) {
        assert_eq!(*found.matches.as_ref().unwrap(), rules.reference_scan(text));
    }
    session.shutdown().unwrap();
    drop((haystack, ours, theirs));
    a.end();
    b.end();
}

#[test]
fn a_thousand_rounds_leave_nothing_open() {
    const ROUNDS: usize = 1000;

    let _alone = alone();
    let (a, b) = (Side::new(), Side::new());
    let Some(pair) = shared(&a, &b, 64) else { return };
    a.write(&pair[0], 0, &TEXT[..64]);
    drop(pair);
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(&b.backend, 64, 10).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let mut after = Vec::new();
    for round in 0..ROUNDS {
        let [ours, theirs] = shared(&a, &b, 64).unwrap();
        if round % 10 == 0 {
            a.write(&ours, 0, &TEXT[..64]);
            let haystack = ResidentHaystack::from_external(&theirs, 0, 64).unwrap();
            session.scan_into(&b.backend, &haystack, &mut matches, &mut scratch).unwrap();
            assert_eq!(matches, rules.reference_scan(&TEXT[..64]));
        }
        drop((ours, theirs));
        if round == 10 || round == ROUNDS - 1 {
            after.push(open_files());
        }
        assert_eq!(a.backend.allocated_bytes(), 0);
    }
    assert_eq!(after[0], after[1], "open files after a few rounds, and after all");
    session.free(&b.backend).unwrap();
    a.end();
    b.end();
}

/// A semaphore on one side, and the same on the other.
fn shared_semaphore(
    from: &Side,
    to: &Side,
    handle: SemaphoreHandle,
) -> Option<[ExternalSemaphore; 2]> {
    let one = told(ExternalSemaphore::new(&from.backend, handle))?;
    // SAFETY: it is opaque, and the devices are the same.
    unsafe {
        let fd = one.export_fd().unwrap().expect("an opaque one is never without");
        Some([one, ExternalSemaphore::import(&to.backend, handle, fd).unwrap()])
    }
}

/// Waits until all that was submitted to a program's device has run, so that its semaphores may go.
fn settle(side: &Side) {
    let _locked = side.program.queue_lock.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: nobody else uses the queue meanwhile.
    unsafe { side.program.device.device_wait_idle() }.unwrap();
}

#[test]
fn scans_on_one_device_wait_for_those_on_another() {
    let _alone = alone();
    let (a, b) = (Side::new(), Side::new());
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let sessions =
        [&a, &b].map(|side| rules.prepare_resident(&side.backend, TEXT.len(), 100).unwrap());
    let scan = |at: usize, waits: &[RawSemaphore], signals: &[RawSemaphore]| {
        let side = [&a, &b][at];
        let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
        sessions[at]
            .submit_with_semaphores(&side.backend, TEXT, u32::MAX, waits, signals)
            .unwrap()
            .wait_into(&mut matches, &mut scratch)
            .unwrap();
        assert_eq!(matches, rules.reference_scan(TEXT));
    };
    if let Some([ours, theirs]) = shared_semaphore(&a, &b, SemaphoreHandle::OpaqueBinary) {
        // SAFETY: they are there until the test's end, and are waited for once what signals them has been submitted.
        let [ours_raw, theirs_raw] =
            [&ours, &theirs].map(|one| unsafe { RawSemaphore::binary(one.handle()) });
        for _ in 0..3 {
            scan(0, &[], &[ours_raw]);
            scan(1, &[theirs_raw], &[]);
        }
        // SAFETY: it is opaque.
        assert!(invalid(unsafe { theirs.export_fd() }).contains("was imported"));
        settle(&a);
        settle(&b);
    }
    if let Some([ours, theirs]) = shared_semaphore(&a, &b, SemaphoreHandle::OpaqueTimeline) {
        // SAFETY: as above; the values rise.
        let at =
            |one: &ExternalSemaphore, value| unsafe { RawSemaphore::timeline(one.handle(), value) };
        for round in 1..=3 {
            // The second waits for what is signalled only when it has been submitted.
            let ticket = sessions[1].submit_with_semaphores(
                &b.backend,
                TEXT,
                u32::MAX,
                &[at(&theirs, round)],
                &[],
            );
            let ticket = ticket.unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!ticket.is_ready(), "the scan has not waited");
            scan(0, &[], &[at(&ours, round)]);
            let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
            ticket.wait_into(&mut matches, &mut scratch).unwrap();
            assert_eq!(matches, rules.reference_scan(TEXT));
        }
        settle(&a);
        settle(&b);
    }
    if let Some(ours) = told(ExternalSemaphore::new(&a.backend, SemaphoreHandle::SyncFd)) {
        for _ in 0..3 {
            // SAFETY: as above; each signal is exported once it was submitted, and waited for once.
            scan(0, &[], &[unsafe { RawSemaphore::binary(ours.handle()) }]);
            // SAFETY: as above.
            unsafe {
                let Some(fd) = ours.export_fd().unwrap() else { continue };
                let theirs = ExternalSemaphore::import(&b.backend, SemaphoreHandle::SyncFd, fd);
                let Some(theirs) = told(theirs) else { break };
                scan(1, &[RawSemaphore::binary(theirs.handle())], &[]);
                settle(&b);
            }
        }
        settle(&a);
    }
    for (session, side) in sessions.into_iter().zip([&a, &b]) {
        session.free(&side.backend).unwrap();
    }
    a.end();
    b.end();
}

#[test]
fn a_thousand_semaphores_leave_nothing_open() {
    let _alone = alone();
    let (a, b) = (Side::new(), Side::new());
    let mut after = Vec::new();
    for handle in [SemaphoreHandle::OpaqueBinary, SemaphoreHandle::OpaqueTimeline] {
        for round in 0..500 {
            if shared_semaphore(&a, &b, handle).is_none() {
                break;
            }
            if round == 10 || round == 499 {
                after.push(open_files());
            }
        }
    }
    assert!(after.windows(2).all(|pair| pair[0] == pair[1]), "{after:?}");
    a.end();
    b.end();
}
