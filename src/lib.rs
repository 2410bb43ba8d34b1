//! Scans bytes for thousands of regular expressions at once on raw Vulkan compute.

mod matches;
mod rules;
pub(crate) mod scan;
pub mod shaders;
#[cfg(test)]
mod twin;
mod vulkan;

pub use matches::{Match, MatchKind};
pub use rules::{BuildError, PipelineOptions, RulePipeline, UnicodePolicy};
pub use scan::{
    MAX_HAYSTACK_BYTES, ResidentRulePipeline, ScanError, ScanScratch, ScanStats, SessionOptions,
    StageTimes, StreamMatch,
};
pub use vulkan::{
    Backend, BackendError, BackendOptions, DeviceInfo, DeviceKind, DeviceSelector, DeviceUuid,
    Memory, QueueFamily, Validation, ValidationLog,
};
