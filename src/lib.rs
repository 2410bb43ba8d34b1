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
//! # Where things are
//!
//! | folder | story |
//! |---|---|
//! | `src/rules` | from regex text to tables; nothing there knows about Vulkan |
//! | `src/vulkan` | from a loader to a device, its memory and its commands; nothing there knows about regexes, and all `unsafe` is there |
//! | `src/scan` | one scan, from haystack to matches |
//! | `src/ring` | many small haystacks in one scan |
//! | `shaders` | the kernels; `shaders/include/layout/` is the one definition of every layout, from which the build makes the host's twin |
//! | `src/twin` | every kernel again, on the CPU, for the tests |
//! | `tests`, `fuzz`, `benches` | how we know it is right and fast |

// Matches were lost to a number that was cut off. Tests may cut.
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

#[cfg(test)]
mod faults;
mod matches;
mod narrow;
#[cfg(test)]
mod narrowed;
mod parallel;
mod ring;
mod rules;
mod scan;
mod setters;
// Sizes and offsets, which the build script made constants of 32 bits of.
#[cfg_attr(not(test), allow(clippy::cast_possible_truncation))]
#[doc(hidden)]
pub mod shaders;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod twin;
mod vulkan;

// What the fuzz targets have in common with tests of what is private here.
#[cfg(test)]
extern crate self as vkscan;

pub use matches::{Match, MatchKind};
pub use ring::{
    MegakernelSession, MegakernelSessionConfig, RingBatch, RingError, RingItem, RingItemBytes,
    RingItemError, RingItemMatches, RingItemResult, RingNotPublished, RingObservable,
    RingPublished, RingPublishedBatch, RingResults, RingSession, RingStats,
};
pub use rules::{
    BuildError, Factor, PipelineOptions, RuleBound, RulePipeline, RulePlan, UnicodePolicy,
};
pub use scan::{
    Haystack, MAX_HAYSTACK_BYTES, ResidentHaystack, ResidentRulePipeline, ScanError, ScanScratch,
    ScanStats, SessionOptions, StageTimes, StagedHaystack, StreamError, StreamMatch, Ticket,
};
pub use vulkan::{
    Backend, BackendError, BackendOptions, DeviceInfo, DeviceKind, DeviceSelector, DeviceUuid,
    HeldBack, Memory, NotAUuid, QueueFamily, Validation, ValidationLog,
};

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
