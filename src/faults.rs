//! Every Vulkan call fails once, with each result that it may fail with. Whatever is under way then ends in the error that
//! stands for the result, or goes on and is exact; nothing is left behind; and afterwards the same session is exact, or the
//! device is lost and every call says so.
//!
//! Calls fail in a layer between vkscan and the loader (`src/vulkan/layer.rs`), and never get to the driver. Sessions are
//! not validated meanwhile: the driver's objects are counted instead.

use std::collections::BTreeMap;
use std::fmt::Write as _;
#[cfg(unix)]
use std::io::{Write as _, stderr};
use std::sync::LazyLock;

use ash::vk;
use vk::Result as R;

use crate::scan::tuning::Tuning;
use crate::vulkan::layer::{self, Hook};
use crate::vulkan::testing::TestBackend;
#[cfg(unix)]
use crate::vulkan::testing::sharing;
use crate::{
    Backend, BackendError, ImportedHaystack, Match, MegakernelSession, MegakernelSessionConfig,
    Memory, RecordingOptions, ResidentHaystack, RingError, RingItem, RulePipeline, ScanError,
    ScanScratch, SessionOptions, Validation,
};

/// With rare bytes, for tables that are packed in no time.
pub(crate) const PATTERNS: [&str; 3] = [r"\bfoobar\b", "[ab]{0,3}abcd", r"xyzkey[a-f]*\d{2,}"];
pub(crate) const TEXT: &[u8] =
    b"foobar ababcd xyzkeyab12 -- foobar bar ababcdabcd xyzkey c, foobarfoo foobar";

pub(crate) type Failed<T = ()> = Result<T, RingError>;

/// Something that is done on a device, and what is done with it.
pub(crate) trait Flow {
    type Session;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session>;

    /// Fails, or is exact.
    fn go_on(&self, backend: &Backend, session: &mut Self::Session) -> Failed;

    fn end(&self, backend: &Backend, session: Self::Session) -> Failed;
}

/// What has come of the calls of a function that failed with one result.
#[derive(Default)]
struct Row {
    failed: usize,
    errors: usize,
    went_on: usize,
    leaks: usize,
    not_recovered: usize,
    wrong: Vec<String>,
}

type Table = BTreeMap<(&'static str, String), Row>;

fn rules() -> &'static RulePipeline {
    static RULES: LazyLock<RulePipeline> = LazyLock::new(|| RulePipeline::new(&PATTERNS).unwrap());
    &RULES
}

/// What there is to find in all of the text, in short matches of it, and in its pieces.
struct Expected {
    whole: Vec<Match>,
    short: Vec<Match>,
    pieces: Vec<Vec<Match>>,
}

fn expected() -> &'static Expected {
    static EXPECTED: LazyLock<Expected> = LazyLock::new(|| Expected {
        whole: rules().reference_scan(TEXT),
        short: rules().reference_scan_bounded(TEXT, SHORT),
        pieces: TEXT.chunks(PIECE).map(|piece| rules().reference_scan(piece)).collect(),
    });
    &EXPECTED
}

const SHORT: u32 = 40;
const PIECE: usize = 25;

pub(crate) fn prepare(
    backend: &Backend,
    capacity: usize,
    frames: usize,
) -> Failed<crate::ResidentRulePipeline> {
    let options = SessionOptions::new(capacity, 1000).scans_in_flight(Some(frames));
    Ok(rules().prepare_resident_cramped(backend, &options)?)
}

pub(crate) struct Resident;

impl Flow for Resident {
    type Session = crate::ResidentRulePipeline;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        prepare(backend, TEXT.len(), 1)
    }

    fn go_on(&self, backend: &Backend, session: &mut Self::Session) -> Failed {
        let mut matches = Vec::new();
        session.scan_into(backend, TEXT, &mut matches, &mut ScanScratch::default())?;
        assert_eq!(matches, expected().whole);
        Ok(())
    }

    fn end(&self, backend: &Backend, session: Self::Session) -> Failed {
        Ok(session.free(backend)?)
    }
}

pub(crate) struct Streamed;

impl Flow for Streamed {
    type Session = crate::ResidentRulePipeline;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        prepare(backend, 48, 1)
    }

    fn go_on(&self, backend: &Backend, session: &mut Self::Session) -> Failed {
        let mut matches = Vec::new();
        let reader = &mut &TEXT[..];
        let mut scratch = ScanScratch::default();
        session
            .scan_reader(backend, reader, SHORT, &mut scratch, |found, _| {
                let [start, end] = [found.start as u32, found.end as u32];
                matches.push(Match { pattern_id: found.pattern_id, start, end });
            })
            .map_err(ScanError::from)?;
        matches.sort_unstable();
        assert_eq!(matches, expected().short);
        Ok(())
    }

    fn end(&self, _: &Backend, session: Self::Session) -> Failed {
        drop(session);
        Ok(())
    }
}

/// Two scans in flight, of haystacks in lent memory and on the device, and one of a haystack that is imported.
pub(crate) struct Tickets;

impl Flow for Tickets {
    type Session = crate::ResidentRulePipeline;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        prepare(backend, TEXT.len(), 2)
    }

    fn go_on(&self, backend: &Backend, session: &mut Self::Session) -> Failed {
        let resident = ResidentHaystack::new(backend, TEXT)?;
        let imported = ImportedHaystack::new(backend, TEXT.to_vec())?;
        let mut staged = session.staging(backend, TEXT.len())?;
        staged.copy_from_slice(TEXT);
        let tickets = [session.submit(backend, &staged)?, session.submit(backend, &resident)?];
        let mut matches = Vec::new();
        for ticket in tickets {
            ticket.wait_into(&mut matches, &mut ScanScratch::default())?;
            assert_eq!(matches, expected().whole);
        }
        session.scan_into(backend, &imported, &mut matches, &mut ScanScratch::default())?;
        assert_eq!(matches, expected().whole);
        drop((staged, imported));
        session.trim()?;
        Ok(())
    }

    fn end(&self, backend: &Backend, session: Self::Session) -> Failed {
        Ok(session.free(backend)?)
    }
}

/// Scans with more hits than one workgroup selects from: the first takes several submissions, and later ones one.
pub(crate) struct ManyHits;

const COPIES: usize = 30;

impl Flow for ManyHits {
    type Session = crate::ResidentRulePipeline;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        prepare(backend, COPIES * TEXT.len(), 1)
    }

    fn go_on(&self, backend: &Backend, session: &mut Self::Session) -> Failed {
        static MATCHES: LazyLock<Vec<Match>> =
            LazyLock::new(|| rules().reference_scan(&TEXT.repeat(COPIES)));

        let mut matches = vec![MATCHES[0]];
        for _ in 0..2 {
            let text = TEXT.repeat(COPIES);
            let mut scratch = ScanScratch::default();
            let scanned = session.scan_into(backend, &text[..], &mut matches, &mut scratch);
            if let Err(error) = scanned {
                assert_eq!(matches, []);
                return Err(error.into());
            }
            assert_eq!(matches, *MATCHES);
        }
        Ok(())
    }

    fn end(&self, backend: &Backend, session: Self::Session) -> Failed {
        Ok(session.free(backend)?)
    }
}

/// What scans are recorded with.
pub(crate) struct Recordings;

impl Flow for Recordings {
    type Session = crate::ResidentRulePipeline;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        prepare(backend, TEXT.len(), 1)
    }

    fn go_on(&self, backend: &Backend, session: &mut Self::Session) -> Failed {
        let options = RecordingOptions::default().recordings(2).copied_bytes(TEXT.len());
        session.recording(backend, &options)?;
        Ok(())
    }

    fn end(&self, backend: &Backend, session: Self::Session) -> Failed {
        Ok(session.free(backend)?)
    }
}

/// Kernels that no session has had before.
struct Kernels;

impl Flow for Kernels {
    type Session = crate::ResidentRulePipeline;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        // With several threads the nth call is not always the same.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        pool.install(|| prepare(&backend.with_no_pipelines(), 16, 1))
    }

    fn go_on(&self, _: &Backend, _: &mut Self::Session) -> Failed {
        Ok(())
    }

    fn end(&self, backend: &Backend, session: Self::Session) -> Failed {
        Ok(session.free(backend)?)
    }
}

/// A haystack that is too large for the blocks of memory that there are already.
struct Large;

impl Flow for Large {
    type Session = ResidentHaystack;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        Ok(ResidentHaystack::new(backend, &vec![b' '; 33 << 20])?)
    }

    fn go_on(&self, _: &Backend, _: &mut Self::Session) -> Failed {
        Ok(())
    }

    fn end(&self, _: &Backend, session: Self::Session) -> Failed {
        drop(session);
        Ok(())
    }
}

pub(crate) struct Ring;

impl Flow for Ring {
    type Session = MegakernelSession;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        let config = MegakernelSessionConfig {
            slot_count: 8,
            workgroup_size_x: 8,
            round_bytes: 256,
            max_matches: 100,
            rounds_in_flight: 2,
            tuning: Some(Tuning::cramped(backend.device_info())),
            ..MegakernelSessionConfig::default()
        };
        let session = MegakernelSession::new(backend, rules(), config)?;
        Ok(session.expect("the device can run it"))
    }

    fn go_on(&self, _: &Backend, session: &mut Self::Session) -> Failed {
        let pieces = (0..).zip(TEXT.chunks(PIECE));
        let items: Vec<RingItem> = pieces.map(|(id, bytes)| RingItem::new(id, bytes)).collect();
        let expected = &expected().pieces;
        for (found, expected) in session.submit_scan(&items)?.iter().zip(expected) {
            assert_eq!(found.matches.as_ref().unwrap(), expected);
        }
        let rounds = [session.publish(&items)?, session.publish(&items[1..])?];
        let mut results = crate::RingResults::default();
        for (skipped, round) in rounds.into_iter().enumerate() {
            session.collect_into(round, &mut results)?;
            for (found, expected) in results.iter().zip(&expected[skipped..]) {
                assert_eq!(found.matches.unwrap(), expected);
            }
        }
        Ok(())
    }

    fn end(&self, _: &Backend, mut session: Self::Session) -> Failed {
        session.shutdown()
    }
}

/// A haystack in memory that is exported and imported again and, where the device has that, scans in the order of a
/// semaphore likewise.
#[cfg(unix)]
struct Shared {
    has_semaphores: bool,
}

#[cfg(unix)]
impl Flow for Shared {
    type Session = crate::ResidentRulePipeline;

    fn begin(&self, backend: &Backend) -> Failed<Self::Session> {
        prepare(backend, TEXT.len(), 2)
    }

    fn go_on(&self, backend: &Backend, session: &mut Self::Session) -> Failed {
        let buffer = sharing::buffer(backend, TEXT).map_err(ScanError::from)?;
        let haystack = ResidentHaystack::from_external(&buffer, 0, TEXT.len())?;
        let semaphores = self.has_semaphores.then(|| sharing::semaphore(backend)).transpose();
        let semaphores = semaphores.map_err(ScanError::from)?;
        let ends: Vec<_> = semaphores.iter().flatten().map(|(_, raw)| [*raw]).collect();
        let ends: [&[_]; 2] = match &ends[..] {
            [signal, wait] => [signal, wait],
            _ => [&[], &[]],
        };
        let mut matches = Vec::new();
        let mut scan = |waits, signals| {
            let ticket =
                session.submit_with_semaphores(backend, &haystack, u32::MAX, waits, signals)?;
            ticket.wait_into(&mut matches, &mut ScanScratch::default())?;
            assert_eq!(matches, expected().whole);
            Ok::<(), ScanError>(())
        };
        let scanned = scan(&[], ends[0]).and_then(|()| scan(ends[1], &[]));
        // The semaphores may be in use.
        backend.device().wait_idle();
        Ok(scanned?)
    }

    fn end(&self, backend: &Backend, session: Self::Session) -> Failed {
        Ok(session.free(backend)?)
    }
}

/// Whether an error is the one that stands for what a call failed with.
fn stands_for(error: &BackendError, function: &'static str, result: R) -> bool {
    let is_allocation = ["vkAllocateMemory", "vkMapMemory"].contains(&function);
    match (result, error) {
        // What was freed could not be waited for.
        (_, BackendError::StillInUse { .. }) => function == "vkWaitSemaphores",
        // The loader answers those that have no device yet.
        (_, &BackendError::LoaderFailed { call, result: told }) => {
            call == function && told == result
        }
        (R::ERROR_OUT_OF_HOST_MEMORY | R::ERROR_MEMORY_MAP_FAILED, error) => {
            matches!(error, BackendError::OutOfMemory { memory: Memory::Host, .. })
        }
        // Memory that the device reads from the host's is the host's.
        (R::ERROR_OUT_OF_DEVICE_MEMORY, BackendError::OutOfMemory { memory, .. }) => {
            *memory == Memory::Device || is_allocation
        }
        (R::ERROR_DEVICE_LOST, error) => matches!(error, BackendError::DeviceLost { .. }),
        (R::TIMEOUT, error) => matches!(error, BackendError::Timeout { .. }),
        (R::ERROR_INVALID_EXTERNAL_HANDLE, error) => {
            matches!(error, BackendError::InvalidHandle { .. })
        }
        (R::ERROR_INCOMPATIBLE_DRIVER, error) => *error == BackendError::NoDevice,
        (R::ERROR_INITIALIZATION_FAILED, BackendError::NoDevice) => {
            function == "vkEnumeratePhysicalDevices"
        }
        (result, error) => *error == BackendError::Vulkan { call: function, result },
    }
}

fn backend_error(error: &RingError) -> Option<&BackendError> {
    match error {
        RingError::Scan(ScanError::Backend(error)) => Some(error),
        _ => None,
    }
}

/// What there is of a device: its objects and bytes, and what the driver has created.
fn there_is(backend: &Backend) -> (usize, u64, isize) {
    backend.device().wait_idle();
    let device = backend.device();
    (device.live_objects(), device.allocated_bytes(), layer::counts().0)
}

/// Does it all once, with a failure or without, and says what went wrong.
fn attempt<F: Flow>(flow: &F, backend: &Backend, row: &mut Row) -> Failed {
    let mut session = flow.begin(backend)?;
    let gone_on = flow.go_on(backend, &mut session);
    if gone_on.is_err() {
        let again = flow.go_on(backend, &mut session);
        let is_right = match (&again, backend.is_lost()) {
            (Ok(()), false) => true,
            (Err(error), true) => {
                matches!(backend_error(error), Some(BackendError::DeviceLost { .. }))
            }
            _ => false,
        };
        if !is_right {
            row.not_recovered += 1;
            row.wrong.push(format!("{again:?} afterwards"));
        }
    }
    let ended = flow.end(backend, session);
    gone_on.and(ended)
}

fn take_note(row: &mut Row, hook: &Hook, result: R, done: &Failed) {
    row.failed += 1;
    match done {
        Ok(()) => row.went_on += 1,
        Err(error)
            if backend_error(error).is_some_and(|error| stands_for(error, hook.name, result)) =>
        {
            row.errors += 1;
        }
        Err(error) => row.wrong.push(format!("{error:?}")),
    }
}

fn print(table: &Table) {
    let mut text = format!(
        "{:<40} {:<28} {:>6} {:>6} {:>7} {:>5} {:>13}\n",
        "function", "result", "failed", "errors", "went on", "leaks", "not recovered"
    );
    let mut all = [0; 5];
    for ((function, result), row) in table {
        let Row { failed, errors, went_on, leaks, not_recovered, .. } = *row;
        let counts = [failed, errors, went_on, leaks, not_recovered];
        if failed > 0 {
            add_line(&mut text, [function, result], counts);
        }
        all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
    }
    add_line(&mut text, ["all", ""], all);
    println!("{text}");
    let [failed, errors, went_on, leaks, not_recovered] = all;
    assert_eq!(failed, errors + went_on);
    assert_eq!([leaks, not_recovered], [0, 0]);
}

fn add_line(text: &mut String, [function, result]: [&str; 2], counts: [usize; 5]) {
    let [failed, errors, went_on, leaks, not_recovered] = counts;
    writeln!(
        text,
        "{function:<40} {result:<28} {failed:>6} {errors:>6} {went_on:>7} {leaks:>5} {not_recovered:>13}"
    )
    .unwrap();
}

/// That the calls of these functions were failed.
fn assert_failed(table: &Table, functions: &[&str]) {
    for name in functions {
        let failed: usize = table
            .iter()
            .filter(|((function, _), _)| function == name)
            .map(|(_, row)| row.failed)
            .sum();
        assert!(failed > 0, "{name} was never failed");
    }
}

/// Fails every call of a flow once, of these functions or, where none are named, of all.
fn fail_every_call(flow: &impl Flow, functions: &[&str]) -> Table {
    let _layer = layer::lock();
    let before = layer::counts();
    let backend = TestBackend::layered(Validation::Off);
    let mut table = Table::new();
    for hook in layer::hooks().filter(|hook| functions.is_empty() || functions.contains(&hook.name))
    {
        for &result in hook.failures {
            let row = table.entry((hook.name, format!("{result:?}"))).or_default();
            fail_every_call_with(flow, &backend, hook, result, row);
        }
    }
    drop(backend);
    assert_eq!(layer::counts(), before, "objects and memory of the driver's");
    print(&table);
    table
}

fn fail_every_call_with(
    flow: &impl Flow,
    backend: &Backend,
    hook: &'static Hook,
    result: R,
    row: &mut Row,
) {
    // Pipelines stay with the backend.
    attempt(flow, backend, row).unwrap();
    let before = there_is(backend);
    for nth in 1.. {
        layer::fail(hook.name, result, nth);
        let done = attempt(flow, backend, row);
        let has_failed = layer::stop_failing();
        backend.device().undo_lost();
        if has_failed {
            take_note(row, hook, result, &done);
        } else if let Err(error) = &done {
            row.wrong.push(format!("{error} without a failed call"));
        }
        let left = there_is(backend);
        if left != before {
            row.leaks += 1;
            row.wrong.push(format!("{left:?} is left of {before:?}, after {done:?}"));
        }
        if let Some(wrong) = row.wrong.first() {
            panic!("call {nth} of {} fails with {result:?}: {wrong}", hook.name);
        }
        if !has_failed {
            break;
        }
    }
}

/// What every session calls.
const OF_ALL: [&str; 16] = [
    "vkAllocateCommandBuffers",
    "vkAllocateDescriptorSets",
    "vkBeginCommandBuffer",
    "vkBindBufferMemory",
    "vkCreateBuffer",
    "vkCreateCommandPool",
    "vkCreateDescriptorPool",
    "vkCreateDescriptorSetLayout",
    "vkCreateQueryPool",
    "vkCreateSemaphore",
    "vkEndCommandBuffer",
    "vkGetQueryPoolResults",
    "vkGetSemaphoreCounterValue",
    "vkQueueSubmit",
    "vkResetCommandPool",
    "vkWaitSemaphores",
];

#[test]
fn resident_sessions_outlive_every_failed_call() {
    assert_failed(&fail_every_call(&Resident, &[]), &OF_ALL);
}

#[test]
fn a_scan_of_many_hits_is_whole_or_nothing() {
    let functions = [
        "vkBeginCommandBuffer",
        "vkEndCommandBuffer",
        "vkGetQueryPoolResults",
        "vkGetSemaphoreCounterValue",
        "vkQueueSubmit",
        "vkResetCommandPool",
    ];
    assert_failed(&fail_every_call(&ManyHits, &functions), &functions);
}

#[test]
fn recordings_are_made_or_not() {
    let functions = OF_ALL.into_iter().filter(|&name| name != "vkGetQueryPoolResults");
    assert_failed(&fail_every_call(&Recordings, &[]), &functions.collect::<Vec<_>>());
}

#[test]
fn streams_outlive_every_failed_call() {
    assert_failed(&fail_every_call(&Streamed, &[]), &OF_ALL);
}

#[test]
fn tickets_outlive_every_failed_call() {
    assert_failed(&fail_every_call(&Tickets, &[]), &OF_ALL);
}

#[test]
fn ring_sessions_outlive_every_failed_call() {
    assert_failed(&fail_every_call(&Ring, &[]), &OF_ALL);
}

#[test]
fn memory_is_there_or_not() {
    let functions = ["vkAllocateMemory", "vkMapMemory"];
    assert_failed(&fail_every_call(&Large, &functions), &functions);
}

#[cfg(unix)]
#[test]
fn memory_and_semaphores_are_shared_or_not() {
    let not_run = |error| match error {
        Err(BackendError::Unsupported { what, needed }) => {
            // Not captured.
            let _ = writeln!(stderr(), "NOT RUN: {what} takes {needed}, which the device lacks");
            true
        }
        other => other.map(|()| false).unwrap(),
    };
    let backend = TestBackend::new();
    if not_run(sharing::buffer(&backend, TEXT).map(drop)) {
        return;
    }
    let has_semaphores = !not_run(sharing::semaphore(&backend).map(drop));
    drop(backend);
    let mut functions = vec![
        "vkAllocateMemory",
        "vkBindBufferMemory",
        "vkCreateBuffer",
        "vkGetMemoryFdKHR",
        "vkQueueSubmit",
    ];
    if has_semaphores {
        functions.extend(["vkCreateSemaphore", "vkGetSemaphoreFdKHR", "vkImportSemaphoreFdKHR"]);
    }
    assert_failed(&fail_every_call(&Shared { has_semaphores }, &functions), &functions);
}

#[test]
fn kernels_are_made_or_not() {
    let functions = [
        "vkCreateComputePipelines",
        "vkCreateDescriptorSetLayout",
        "vkCreatePipelineLayout",
        "vkCreateShaderModule",
    ];
    assert_failed(&fail_every_call(&Kernels, &functions), &functions);
}

#[test]
fn opening_a_device_fails_with_what_failed() {
    let _layer = layer::lock();
    let folder = tempfile::tempdir().unwrap();
    let options = TestBackend::layered_options(Validation::On)
        .pipeline_cache(Some(folder.path().join("pipelines")));
    let mut table = Table::new();
    let before = layer::counts();
    for hook in layer::hooks() {
        for &result in hook.failures {
            for nth in 1.. {
                layer::fail(hook.name, result, nth);
                let opened = Backend::new(&options);
                let listed =
                    opened.as_ref().err().is_none_or(|_| Backend::devices(&options).is_ok());
                let opened = opened.map(drop).map_err(RingError::from);
                let has_failed = layer::stop_failing();
                let row = table.entry((hook.name, format!("{result:?}"))).or_default();
                if has_failed {
                    take_note(row, hook, result, &opened);
                } else {
                    opened.unwrap();
                }
                row.leaks += usize::from(layer::counts() != before);
                row.not_recovered += usize::from(!listed);
                assert!(row.wrong.is_empty(), "call {nth} of {}: {:?}", hook.name, row.wrong);
                if !has_failed {
                    break;
                }
            }
        }
    }
    print(&table);
    assert_failed(
        &table,
        &[
            "vkCreateDevice",
            "vkCreateInstance",
            "vkCreatePipelineCache",
            "vkEnumerateDeviceExtensionProperties",
            "vkEnumerateInstanceExtensionProperties",
            "vkEnumerateInstanceVersion",
            "vkEnumeratePhysicalDevices",
            "vkGetPipelineCacheData",
        ],
    );
}
