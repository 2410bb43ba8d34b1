//! vkscan on a device that another program owns: nothing of the program's is harmed, nothing is left behind, and wrong use
//! is refused.

mod common;
#[path = "../examples/common/mod.rs"]
mod program;

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ash::vk;
use ash::vk::Handle as _;
use program::Program;
use vkscan::{
    Backend, BackendError, ImportedHaystack, Match, Memory, MemoryAllocator, MemoryRange,
    MemoryRequest, QueueLock, RawDevice, RawQueue, RawSemaphore, ResidentHaystack, RulePipeline,
    ScanError, ScanScratch, SessionOptions,
};

const PATTERNS: [&str; 3] = [r"\bfoobar\b", "[ab]{0,3}abcd", r"xyzkey[a-f]*\d{2,}"];
const TEXT: &[u8] = b"foobar ababcd xyzkeyab12 -- foobar bar ababcdabcd xyzkey c, foobarfoo foobar";

fn program() -> Program {
    Program::new().expect("a device")
}

fn backend(raw: RawDevice) -> Result<Backend, BackendError> {
    // SAFETY: the tests' programs outlive what is made from them; where they lie about their device, it is refused.
    unsafe { Backend::from_raw(raw) }
}

/// Scans, and frees what that took.
fn scan(backend: &Backend, rules: &RulePipeline) -> Result<(), ScanError> {
    let session = rules.prepare_resident(backend, TEXT.len(), 100)?;
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    session.scan_into(backend, TEXT, &mut matches, &mut scratch)?;
    assert_eq!(matches, rules.reference_scan(TEXT));
    session.free(backend)
}

#[test]
fn a_thousand_sessions_on_a_shared_device_leave_nothing() {
    const BACKENDS: usize = 10;
    const SESSIONS: usize = 100;

    let program = program();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut usage = Vec::new();
    for round in 0..BACKENDS {
        let on_drop = {
            let dropped = dropped.clone();
            Box::new(move || {
                dropped.fetch_add(1, Ordering::Relaxed);
            })
        };
        let backend = backend(program.raw_device().on_drop(Some(on_drop))).unwrap();
        for _ in 0..SESSIONS {
            scan(&backend, &rules).unwrap();
            assert_eq!(backend.allocated_bytes(), 0);
        }
        let report = backend.memory_report().unwrap();
        assert!(report.uses.is_empty(), "{report:?}");
        usage.push(report.heaps.iter().filter_map(|heap| heap.process_usage).sum::<u64>());
        assert_eq!(dropped.load(Ordering::Relaxed), round);
        drop(backend);
        assert_eq!(dropped.load(Ordering::Relaxed), round + 1);
    }
    common::say(&format!("bytes of all heaps in use after each {SESSIONS} sessions: {usage:?}"));
    // Objects that are left when the device goes are validation messages.
    program.end().unwrap();
}

#[test]
fn handles_are_those_of_the_program() {
    let program = program();
    let backend = backend(program.raw_device()).unwrap();
    let handles = backend.raw_handles();
    let device = program.device.handle().as_raw() as *mut c_void;
    assert_eq!(handles.device, device);
    assert_eq!(handles.instance, program.instance.handle().as_raw() as *mut c_void);
    assert_eq!(handles.physical_device, program.physical.as_raw() as *mut c_void);
    assert_eq!(handles.compute_queue, RawQueue::new(program.family, 0));
    assert_eq!(handles.transfer_queue, None);
    drop(backend);
    program.end().unwrap();
}

#[test]
fn several_backends_share_a_queue() {
    let program = program();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = [(); 2].map(|()| backend(program.raw_device()).unwrap());
    std::thread::scope(|scope| {
        for backend in &backends {
            scope.spawn(|| (0..50).for_each(|_| scan(backend, &rules).unwrap()));
        }
    });
    drop(backends);
    program.end().unwrap();
}

#[test]
fn a_pipeline_cache_of_the_programs_stays_the_programs() {
    let program = program();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let info = vk::PipelineCacheCreateInfo::default();
    // SAFETY: the device is the program's, and outlives the cache.
    let cache = unsafe { program.device.create_pipeline_cache(&info, None) }.unwrap();
    let backend = backend(program.raw_device().pipeline_cache(cache.as_raw())).unwrap();
    scan(&backend, &rules).unwrap();
    let error = backend.save_pipeline_cache().unwrap_err();
    assert!(matches!(error, BackendError::CallersDevice { .. }), "{error}");
    drop(backend);
    // SAFETY: as above; nobody else uses it any more.
    unsafe {
        program.device.get_pipeline_cache_data(cache).unwrap();
        program.device.destroy_pipeline_cache(cache, None);
    }
    program.end().unwrap();
}

#[test]
fn a_device_of_the_programs_is_not_opened_anew() {
    let program = program();
    let backend = backend(program.raw_device()).unwrap();
    let error = backend.reopen().unwrap_err();
    assert!(matches!(error, BackendError::CallersDevice { .. }), "{error}");
    drop(backend);
    program.end().unwrap();
}

/// What is wrong with a device, in the words of the error.
fn refusal(raw: RawDevice) -> String {
    match backend(raw) {
        Err(BackendError::InvalidHandle { what, reason }) => format!("{what}: {reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_can_be_told_to_be_wrong_is_refused() {
    let program = program();
    let raw = || program.raw_device();
    let null = std::ptr::null_mut();
    let mut nulls = [raw(), raw(), raw(), raw()];
    nulls[0].get_instance_proc_addr = null;
    nulls[1].instance = null;
    nulls[2].physical_device = null;
    nulls[3].device = null;
    let names = ["get_instance_proc_addr", "instance", "physical_device", "device"];
    for (raw, name) in nulls.into_iter().zip(names) {
        assert_eq!(refusal(raw), format!("{name}: it is null"));
    }
    // SAFETY: what is null is refused.
    let error = unsafe { Backend::required_features(null, null, null) }.unwrap_err();
    assert!(error.to_string().contains("get_instance_proc_addr"), "{error}");

    let without = refusal(raw().timeline_semaphore(false));
    assert!(without.contains("timelineSemaphore"), "{without}");
    for (queue, word) in
        [(RawQueue::new(99, 0), "families"), (RawQueue::new(program.family, 99), "queues")]
    {
        let reason = refusal(raw().transfer_queue(Some(queue)));
        assert!(reason.starts_with("transfer_queue") && reason.contains(word), "{reason}");
        let mut raw = raw();
        raw.compute_queue = queue;
        let reason = refusal(raw);
        assert!(reason.starts_with("compute_queue") && reason.contains(word), "{reason}");
    }
    // The same queue for both is one queue.
    let both = raw().transfer_queue(Some(RawQueue::new(program.family, 0)));
    let backend = backend(both).unwrap();
    assert_eq!(backend.raw_handles().transfer_queue, None);
    drop(backend);
    program.end().unwrap();
}

/// Bytes from an offset of a vector on, which is marked when it is dropped.
struct Part {
    bytes: Vec<u8>,
    offset: usize,
    len: usize,
    dropped: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.offset..][..self.len]
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn host_memory_is_scanned_where_it_lies() {
    let program = program();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backend = backend(program.raw_device()).unwrap();
    let Some(alignment) = backend.device_info().host_import_alignment else {
        return common::not_run("the device does not import host memory");
    };
    let alignment = alignment as usize;
    const LARGEST: usize = 9 << 20;
    let session = rules.prepare_resident(&backend, LARGEST, 1 << 20).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut count = 0;
    // Odd offsets and lengths, and those that end where a page does; and one that goes up in slices.
    let small = [0, 1, 3, 63, TEXT.len(), alignment - 7, alignment, 3 * alignment + 5];
    let places = [0, 1, 7, 4095].into_iter().flat_map(|offset| small.map(|len| (offset, len)));
    for (offset, len) in places.chain([(13, LARGEST)]) {
        let bytes: Vec<u8> = TEXT.iter().copied().cycle().take(offset + len).collect();
        let part = Part { bytes, offset, len, dropped: dropped.clone() };
        let text = part.as_ref().to_vec();
        let imported = ImportedHaystack::new(&backend, part).unwrap();
        for _ in 0..2 {
            session.scan_into(&backend, &imported, &mut matches, &mut scratch).unwrap();
            assert_eq!(matches, rules.reference_scan(&text), "{len} bytes from {offset} on");
        }
        // Let go of when nothing reads it, so that it may be gone the next moment.
        drop(imported);
        count += 1;
        assert_eq!(dropped.load(Ordering::Relaxed), count);
    }
    // A file, mapped for reading alone, and for writing, too.
    let text = TEXT.repeat(1000);
    let expected = rules.reference_scan(&text);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &text).unwrap();
    // SAFETY: nobody else has the file.
    let (read_only, shared) =
        unsafe { (memmap2::Mmap::map(&file), memmap2::MmapMut::map_mut(&file)) };
    let mappings = [
        ImportedHaystack::new(&backend, read_only.unwrap()),
        ImportedHaystack::new(&backend, shared.unwrap()),
    ];
    for (imported, what) in mappings.into_iter().zip(["for reading", "for writing"]) {
        match imported {
            Ok(imported) => {
                session.scan_into(&backend, &imported, &mut matches, &mut scratch).unwrap();
                assert_eq!(matches, expected, "{what}");
            }
            Err(ScanError::Backend(BackendError::OutOfMemory { memory: Memory::Host, .. })) => {
                common::not_run(&format!("the driver pins no file that is mapped {what}"));
            }
            Err(error) => panic!("{error}"),
        }
    }
    session.free(&backend).unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
    drop(backend);
    program.end().unwrap();
}

#[test]
fn without_its_extension_host_memory_is_not_imported() {
    let program = program();
    let backend = backend(program.raw_device().device_extensions(Vec::new())).unwrap();
    let error = ImportedHaystack::new(&backend, TEXT.to_vec()).unwrap_err();
    assert!(matches!(error, ScanError::Backend(BackendError::Unsupported { .. })), "{error}");
    // There is nothing to import.
    assert!(ImportedHaystack::new(&backend, Vec::new()).unwrap().is_empty());
    drop(backend);
    program.end().unwrap();
}

/// A semaphore of the program's; a timeline, if it is to have values.
fn semaphore(program: &Program, kind: vk::SemaphoreType) -> vk::Semaphore {
    let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(kind);
    let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
    // SAFETY: timelines are enabled.
    unsafe { program.device.create_semaphore(&info, None) }.unwrap()
}

#[test]
fn scans_wait_for_semaphores_and_signal_them() {
    let program = program();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backend = backend(program.raw_device()).unwrap();
    let session = rules.prepare_resident(&backend, TEXT.len(), 100).unwrap();
    let haystack = ResidentHaystack::new(&backend, TEXT).unwrap();
    let begin = semaphore(&program, vk::SemaphoreType::TIMELINE);
    let over = semaphore(&program, vk::SemaphoreType::TIMELINE);
    let link = semaphore(&program, vk::SemaphoreType::BINARY);
    // SAFETY: they are alive until the end of the test, and each is signalled once.
    let at = |semaphore: vk::Semaphore, value| unsafe {
        RawSemaphore::timeline(semaphore.as_raw(), value)
    };
    // SAFETY: as above.
    let linked = || unsafe { RawSemaphore::binary(link.as_raw()) };
    let value_of = |semaphore| {
        // SAFETY: it is alive.
        unsafe { program.device.get_semaphore_counter_value(semaphore) }.unwrap()
    };
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    for round in 1..=3 {
        let waits = [at(begin, round)];
        // The second scan waits for the first by a binary semaphore, which is signalled once that is over.
        let first = session
            .submit_with_semaphores(
                &backend,
                &haystack,
                u32::MAX,
                &waits,
                &[linked(), at(over, 2 * round - 1)],
            )
            .unwrap();
        let timeline = first.timeline().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(!first.is_ready(), "the scan has not waited");
        let signal = vk::SemaphoreSignalInfo::default().semaphore(begin).value(round);
        // SAFETY: the value rises.
        unsafe { program.device.signal_semaphore(&signal) }.unwrap();
        let (semaphores, values) = ([vk::Semaphore::from_raw(timeline.0)], [timeline.1]);
        let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: the session is there.
        unsafe { program.device.wait_semaphores(&wait, u64::MAX) }.unwrap();
        assert!(first.is_ready());
        assert_eq!(value_of(over), 2 * round - 2, "only the host knows that the scan is over");
        if round < 3 {
            first.wait_into(&mut matches, &mut scratch).unwrap();
            assert_eq!(matches, rules.reference_scan(TEXT));
        } else {
            // A scan that nobody waits for is over when its ticket is.
            drop(first);
        }
        let second = session
            .submit_with_semaphores(&backend, TEXT, u32::MAX, &[linked()], &[at(over, 2 * round)])
            .unwrap();
        second.wait_into(&mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(TEXT));
        let (semaphores, values) = ([over], [2 * round]);
        let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: both are alive.
        unsafe { program.device.wait_semaphores(&wait, u64::MAX) }.unwrap();
    }
    // SAFETY: it is null, which is what is refused.
    let null = unsafe { RawSemaphore::binary(0) };
    for (waits, signals) in [(&[null][..], &[][..]), (&[], &[null])] {
        let error =
            session.submit_with_semaphores(&backend, TEXT, u32::MAX, waits, signals).unwrap_err();
        assert!(error.to_string().contains("null"), "{error}");
    }
    // What is refused does not wait: a semaphore that is never signalled holds up nothing.
    let other = self::backend(program.raw_device()).unwrap();
    let elsewhere = ResidentHaystack::new(&other, TEXT).unwrap();
    let never = [at(begin, 1000)];
    let refused = [
        session.submit_with_semaphores(&backend, &elsewhere, u32::MAX, &never, &[]).map(drop),
        session.submit_with_semaphores(&backend, &TEXT.repeat(9), u32::MAX, &never, &[]).map(drop),
    ];
    assert!(matches!(
        refused,
        [Err(ScanError::WrongBackend), Err(ScanError::HaystackTooLarge { .. })]
    ));
    session.scan_into(&backend, TEXT, &mut matches, &mut scratch).unwrap();
    drop((elsewhere, other));
    drop(haystack);
    session.free(&backend).unwrap();
    drop(backend);
    for semaphore in [begin, over, link] {
        // SAFETY: nothing that is submitted uses it any more: the last of it was waited for.
        unsafe { program.device.destroy_semaphore(semaphore, None) };
    }
    program.end().unwrap();
}

/// A lock that forgets what it was to do.
struct Forgetful;

impl QueueLock for Forgetful {
    fn hold(&self, _: RawQueue, _: &mut dyn FnMut()) {}
}

#[test]
fn a_lock_that_does_not_call_is_an_error() {
    let program = program();
    let backend = backend(program.raw_device().queue_lock(Some(Arc::new(Forgetful)))).unwrap();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let error = scan(&backend, &rules).unwrap_err().to_string();
    assert!(error.contains("queue lock"), "{error}");
    assert_eq!(backend.allocated_bytes(), 0);
    drop(backend);
    program.end().unwrap();
}

/// Allocates for each buffer on its own.
struct Dedicated {
    device: ash::Device,
    host_visible: Vec<bool>,
    bytes: AtomicU64,
    live: Mutex<Vec<u64>>,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Null,
    Unaligned,
    Unmapped,
    Full,
}

impl Dedicated {
    fn new(program: &Program, fault: Fault) -> Arc<Dedicated> {
        // SAFETY: the physical device is of that instance.
        let memory =
            unsafe { program.instance.get_physical_device_memory_properties(program.physical) };
        let is_visible = |memory_type: &vk::MemoryType| {
            memory_type.property_flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE)
        };
        Arc::new(Dedicated {
            device: program.device.clone(),
            host_visible: memory.memory_types_as_slice().iter().map(is_visible).collect(),
            bytes: AtomicU64::new(0),
            live: Mutex::default(),
            fault,
        })
    }
}

// SAFETY: each range is an allocation of its own, mapped as a whole where it can be; unless it is told to be at fault.
unsafe impl MemoryAllocator for Dedicated {
    fn allocate(&self, request: &MemoryRequest<'_>) -> Option<MemoryRange> {
        if self.fault == Fault::Full {
            return None;
        }
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(request.size)
            .memory_type_index(request.memory_type);
        // SAFETY: the device is alive; the type is one of its.
        let memory = unsafe { self.device.allocate_memory(&info, None) }.ok()?;
        let flags = vk::MemoryMapFlags::empty();
        let is_mapped =
            self.host_visible[request.memory_type as usize] && self.fault != Fault::Unmapped;
        let mapped = match is_mapped {
            // SAFETY: the memory is host-visible and not mapped.
            true => unsafe { self.device.map_memory(memory, 0, vk::WHOLE_SIZE, flags) }.ok()?,
            false => std::ptr::null_mut(),
        };
        self.bytes.fetch_add(request.size, Ordering::Relaxed);
        self.live.lock().unwrap().push(memory.as_raw());
        Some(MemoryRange {
            memory: if self.fault == Fault::Null { 0 } else { memory.as_raw() },
            offset: u64::from(self.fault == Fault::Unaligned),
            mapped,
            token: memory.as_raw(),
        })
    }

    fn free(&self, range: MemoryRange) {
        self.live.lock().unwrap().retain(|&memory| memory != range.token);
        // SAFETY: nothing is bound to it any more.
        unsafe { self.device.free_memory(vk::DeviceMemory::from_raw(range.token), None) };
    }
}

#[test]
fn memory_comes_from_the_programs_allocator() {
    let program = program();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let allocator = Dedicated::new(&program, Fault::None);
    let backend = backend(program.raw_device().allocator(Some(allocator.clone()))).unwrap();
    scan(&backend, &rules).unwrap();
    assert_eq!(backend.memory_report().unwrap().block_bytes, None);
    assert!(allocator.bytes.load(Ordering::Relaxed) > 0);
    assert!(allocator.live.lock().unwrap().is_empty());
    drop(backend);
    assert_eq!(Arc::strong_count(&allocator), 1);
    program.end().unwrap();
}

#[test]
fn memory_that_is_not_as_asked_is_refused() {
    let program = program();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let faults = [
        (Fault::Null, "null VkDeviceMemory"),
        (Fault::Unaligned, "no multiple of"),
        (Fault::Unmapped, "not mapped"),
        (Fault::Full, "out of"),
    ];
    for (fault, word) in faults {
        let allocator = Dedicated::new(&program, fault);
        let backend = backend(program.raw_device().allocator(Some(allocator.clone()))).unwrap();
        let error = scan(&backend, &rules).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert_eq!(backend.allocated_bytes(), 0);
        assert!(allocator.live.lock().unwrap().is_empty());
    }
    program.end().unwrap();
}

#[test]
fn sessions_take_what_was_planned() {
    let program = program();
    let backend = backend(program.raw_device()).unwrap();
    let cases: [(&[&str], _); 4] = [
        (&PATTERNS, SessionOptions::new(1 << 16, 1000)),
        (
            &["(?s)a.{0,300}b|[^x]{3,40}y", r"\d+"],
            SessionOptions::new(1, 0).scans_in_flight(Some(3)),
        ),
        (&["a+"], SessionOptions::new(70 << 20, 100_000)),
        (&[], SessionOptions::new(1 << 16, 1000)),
    ];
    for (patterns, options) in cases {
        let rules = RulePipeline::new(patterns).unwrap();
        let plan = rules.plan_resident(backend.device_info(), &options).unwrap();
        for _ in 0..2 {
            let session = plan.prepare(&backend).unwrap();
            let uses = backend.memory_report().unwrap().uses;
            let uses: Vec<_> =
                uses.iter().map(|one| (&one.purpose[..], one.buffers, one.bytes)).collect();
            let planned = plan.memory();
            let planned: Vec<_> =
                planned.iter().map(|one| (one.purpose, one.buffers, one.bytes)).collect();
            assert_eq!(planned, uses, "{patterns:?}");
            assert_eq!(plan.bytes(), backend.allocated_bytes());
            session.warm_up(&backend).unwrap();
            assert_eq!(plan.bytes(), backend.allocated_bytes());
            session.free(&backend).unwrap();
        }
    }
    let mut other = backend.device_info().clone();
    other.driver_info.push('!');
    let rules = RulePipeline::new(&["a"]).unwrap();
    let plan = rules.plan_resident(&other, &SessionOptions::new(16, 1)).unwrap();
    assert!(matches!(plan.prepare(&backend), Err(ScanError::WrongBackend)));
    drop(backend);
    program.end().unwrap();
}

#[test]
fn a_memory_limit_refuses_before_anything_is_allocated() {
    let program = program();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let allocator = Dedicated::new(&program, Fault::None);
    let raw = || program.raw_device().allocator(Some(allocator.clone()));
    let needed = {
        let backend = backend(raw()).unwrap();
        let session = rules.prepare_resident(&backend, 1 << 20, 100).unwrap();
        let bytes = backend.allocated_bytes();
        let uses = backend.memory_report().unwrap().uses;
        assert_eq!(uses.iter().map(|one| one.bytes).sum::<u64>(), bytes);
        session.free(&backend).unwrap();
        bytes
    };
    let backend = backend(raw().memory_limit(Some(needed - 1))).unwrap();
    let refused = rules.prepare_resident(&backend, 1 << 20, 100).map(drop).unwrap_err();
    let is_limit = |error: &ScanError| matches!(error, ScanError::Backend(BackendError::LimitExceeded { limit, .. }) if *limit == needed - 1);
    assert!(is_limit(&refused), "{refused}");
    assert_eq!(backend.allocated_bytes(), 0);
    assert!(allocator.live.lock().unwrap().is_empty());
    // What fits goes on working.
    let session = rules.prepare_resident(&backend, 1 << 10, 100).unwrap();
    let mut matches = vec![Match { pattern_id: 9, start: 9, end: 9 }];
    session.scan_into(&backend, TEXT, &mut matches, &mut ScanScratch::default()).unwrap();
    assert_eq!(matches, rules.reference_scan(TEXT));
    session.free(&backend).unwrap();
    drop(backend);
    program.end().unwrap();
}
