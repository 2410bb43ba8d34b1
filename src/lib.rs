//! Scans bytes for thousands of regular expressions at once on raw Vulkan compute.

pub mod rules;
pub mod scan;
pub mod shaders;
pub mod vulkan;
