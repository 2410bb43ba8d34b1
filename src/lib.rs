//! Scans bytes for thousands of regular expressions at once on raw Vulkan compute.
//!
//! Rules are compiled once to automaton tables ([`RulePipeline`]), moved once to a device's own memory
//! ([`RulePipeline::prepare_resident`]), and then every scan moves only the haystack and a 4-byte counter
//! ([`ResidentRulePipeline::scan_into`]):
//!
//! ```
//! use vkscan::{Backend, BackendOptions, Match, RulePipeline, ScanScratch};
//!
//! let backend = Backend::new(&BackendOptions::default())?;
//! let rules = RulePipeline::new(&[r"\bAKIA[0-9A-Z]{16}\b", r"(?i)password\s*=\s*\S+"])?;
//! let session = rules.prepare_resident(&backend, 1 << 20, 1000)?;
//!
//! let mut matches = Vec::new();
//! let mut scratch = ScanScratch::default();
//! let stats = session.scan_into(&backend, b"Password = hunter2\n", &mut matches, &mut scratch)?;
//! assert_eq!(matches, [Match { pattern_id: 1, start: 0, end: 18 }]);
//! assert_eq!(stats.bytes_up, 20 + 4);
//! session.free(&backend)?;
//! # Ok::<(), vkscan::ScanError>(())
//! ```
//!
//! A scan gives exactly the right matches ([`MatchKind`] says which those are) or an error that says what
//! to do. [`RulePipeline::reference_scan`] finds the same matches by definition, on the CPU.
//!
//! # The parts
//!
//! - Compile rules: [`RulePipeline`], as [`PipelineOptions`] say ([`MatchKind`], [`UnicodePolicy`]). A
//!   [`RulePlan`] tells how a rule is looked for ([`Factor`]), and why it may be slow ([`RuleBound`]).
//! - Choose a device: [`Backend`], as [`BackendOptions`] say ([`DeviceSelector`], [`Validation`]).
//!   [`Backend::devices`] lists each as a [`DeviceInfo`] ([`DeviceKind`], [`DeviceUuid`], [`QueueFamily`]).
//! - See what a driver makes of kernels, as [`KernelStatistics`] ask for: a [`KernelReport`] has each [`KernelExecutable`]
//!   with every [`KernelStatistic`] ([`KernelStatisticValue`]) and [`KernelRepresentation`].
//! - Or use one that the program has already: a [`RawDevice`] for [`Backend::from_raw`], with a [`RawQueue`] or two,
//!   a [`QueueLock`] and a [`MemoryAllocator`] ([`MemoryRequest`], [`MemoryRange`], [`MemoryLocation`]), made as
//!   [`RequiredFeatures`] say ([`Features`]). [`RawHandles`] lead back.
//! - Share memory and semaphores with another device, process or interface, by file descriptors: an `ExternalBuffer`
//!   (`ResidentHaystack::from_external`) and an `ExternalSemaphore`, as `ExternalMemory`, `MemoryHandle` and
//!   `SemaphoreHandle` say; on Unix.
//! - Plan before anything is made: a [`SessionPlan`] tells each [`PlannedMemory`], and is made into a session elsewhere.
//! - Scan: [`ResidentRulePipeline`], made for [`SessionOptions`], from any thread with a [`ScanScratch`] of
//!   its own. Each [`Match`] is a pattern and a range of bytes. A [`Haystack`] is one of four:
//!   - in ordinary memory: a byte slice, for [`ResidentRulePipeline::scan_into`];
//!   - in staging memory: a [`StagedHaystack`], to read a file straight into, which saves a copy;
//!   - in memory that the device copies from itself: an [`ImportedHaystack`], such as a file mapping;
//!   - on the device: a [`ResidentHaystack`], to be scanned more than once.
//! - Several in flight: [`ResidentRulePipeline::submit`] gives a [`Ticket`], to be waited for later. It may wait for a
//!   [`RawSemaphore`] of the program's, and signal one.
//! - Record instead of submit: a [`Recording`] of a session, made as [`RecordingOptions`] say, puts scans into a
//!   [`RawCommandBuffer`] ([`RecordOptions`], [`RecordedScan`]), from one [`RawBuffer`] to another ([`hits_bytes`],
//!   [`read_hits`], [`RecordedState`]), between barriers ([`RawScope`]).
//! - Streams: [`ResidentRulePipeline::scan_reader`] takes any length, and tells each [`StreamMatch`].
//! - Many small haystacks: [`MegakernelSession`], or [`RingSession`], made for a [`MegakernelSessionConfig`].
//!   - What goes in: [`RingItem`] ([`RingItemBytes`]), or a [`RingBatch`] of staging memory.
//!   - What is in flight: [`RingPublished`], [`RingPublishedBatch`].
//!   - What comes out: [`RingItemMatches`], or [`RingResults`] of [`RingItemResult`]s, to be used again.
//! - Several devices: a [`DevicePool`] scans on whichever is free, in a [`PoolOrder`], and tells each one's [`PoolShare`]
//!   ([`PoolReport`]); what is larger than a session it takes from a [`WindowSource`]. A [`RingPool`] does the same for many
//!   small haystacks.
//! - Parameters: a [`Tuning`] of a session has every [`TuningParameter`], and a [`TuningProfile`] keeps what was measured to be
//!   good.
//! - Statistics: [`ScanStats`] of a scan, [`StageTimes`] of its stages, [`RingStats`] of items, and
//!   [`RingObservable`] counters while these are in flight. [`HeldBack`] is what the device still uses of
//!   things that were dropped, [`ValidationLog`] what validation layers say. A [`Trace`] has a [`TraceEvent`] for all that
//!   host and device did, on one clock: each a [`TraceSpan`] on its [`TraceTrack`], or a [`TraceCounter`]. A [`MemoryReport`] tells each
//!   [`MemoryUse`] and [`MemoryHeap`]. A [`Capture`] is for RenderDoc to show what happens on the device.
//! - [`Ceilings`] are what a device and its host can do at best, to compare such figures with.
//! - Errors: [`BuildError`] of rules, [`BackendError`] of the device ([`Memory`]), [`ScanError`] of a scan, [`TuningError`],
//!   [`StreamError`] of a stream, [`RingError`] of a ring session, [`RingNotPublished`] of a batch,
//!   [`RingItemError`] of an item, [`NotAUuid`] of a text.
//! - Limits: [`MAX_HAYSTACK_BYTES`] for a haystack, and what [`SessionOptions`] or a
//!   [`MegakernelSessionConfig`] ask for; [`PipelineOptions::size_limit`] for a rule;
//!   [`BackendOptions::wait_timeout`] for a call. A [`DeviceInfo`] has the device's own. Rules may be any
//!   number, and a stream any length.
//!
//! # Where things are
//!
//! | folder | story |
//! |---|---|
//! | `src/rules` | from regex text to tables; nothing there knows about Vulkan |
//! | `src/vulkan` | from a loader to a device, its memory and its commands; nothing there knows about regexes, and all `unsafe` is there |
//! | `src/ceilings` | what a device can do at best |
//! | `src/scan` | one scan, from haystack to matches |
//! | `src/ring` | many small haystacks in one scan |
//! | `src/pool` | several devices |
//! | `src/bin/vkscan` | the command |
//! | `shaders` | the kernels; `shaders/include/layout/` is the one definition of every layout, from which the build makes the host's twin |
//! | `src/twin` | every kernel again, on the CPU, for the tests |
//! | `tests`, `fuzz`, `benches` | how we know it is right and fast |

// Matches were lost to a number that was cut off. Tests may cut.
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![warn(missing_docs)]

mod ceilings;
#[cfg(test)]
mod faults;
mod matches;
#[cfg(test)]
mod named;
mod narrow;
#[cfg(test)]
mod narrowed;
mod parallel;
mod pool;
mod ring;
mod rules;
mod scan;
mod setters;
// Sizes and offsets, which the build script made constants of 32 bits of.
#[cfg_attr(not(test), allow(clippy::cast_possible_truncation))]
#[allow(missing_docs)]
#[doc(hidden)]
pub mod shaders;
#[cfg(test)]
mod soak;
mod trace;
#[cfg(test)]
mod twin;
mod vulkan;

// What the fuzz targets have in common with tests of what is private here.
#[cfg(test)]
extern crate self as vkscan;

pub use ceilings::Ceilings;
pub use matches::{Match, MatchKind};
pub use pool::{DevicePool, PoolOrder, PoolReport, PoolShare, RingPool, WindowSource};
pub use ring::{
    MegakernelSession, MegakernelSessionConfig, RingBatch, RingError, RingItem, RingItemBytes,
    RingItemError, RingItemMatches, RingItemResult, RingNotPublished, RingObservable,
    RingPublished, RingPublishedBatch, RingResults, RingSession, RingStats,
};
pub use rules::{
    Anchor, BuildError, Captures, CapturesError, Factor, LaidOutTables, PipelineOptions, RuleBound,
    RulePipeline, RulePlan, TableLayout, UnicodePolicy,
};
pub use scan::{
    Haystack, ImportedHaystack, MAX_HAYSTACK_BYTES, PlannedMemory, RecordOptions, RecordedScan,
    RecordedState, Recording, RecordingOptions, ResidentHaystack, ResidentRulePipeline, ScanError,
    ScanScratch, ScanStats, SessionOptions, SessionPlan, StageTimes, StagedHaystack, StreamError,
    StreamMatch, Ticket, Tuning, TuningError, TuningParameter, TuningProfile, hits_bytes,
    read_hits,
};
pub use trace::{Trace, TraceCounter, TraceEvent, TraceSpan, TraceTrack};
pub use vulkan::{
    Backend, BackendError, BackendOptions, Capture, DeviceInfo, DeviceKind, DeviceSelector,
    DeviceUuid, Features, HeldBack, KernelExecutable, KernelReport, KernelRepresentation,
    KernelStatistic, KernelStatisticValue, KernelStatistics, Memory, MemoryAllocator, MemoryHeap,
    MemoryLocation, MemoryRange, MemoryReport, MemoryRequest, MemoryUse, NotAUuid, QueueFamily,
    QueueLock, RawBuffer, RawCommandBuffer, RawDevice, RawHandles, RawQueue, RawScope,
    RawSemaphore, RequiredFeatures, Validation, ValidationLog,
};
#[cfg(unix)]
pub use vulkan::{
    ExternalBuffer, ExternalMemory, ExternalSemaphore, MemoryHandle, SemaphoreHandle,
};

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples for programs that embed vkscan, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/EMBEDDING.md")]
struct Embedding;

/// The example for programs with a tuning profile, compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../docs/PROFILING.md")]
struct Profiling;
