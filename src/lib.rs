//! Scans bytes for thousands of regular expressions at once on raw Vulkan compute.

mod matches;
pub mod rules;
pub mod scan;
pub mod shaders;
#[cfg(test)]
mod twin;
pub mod vulkan;

pub use matches::{Match, MatchKind};
pub use rules::{BuildError, PipelineOptions, RulePipeline, UnicodePolicy};
