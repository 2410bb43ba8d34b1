//! Work-arounds for drivers, each with its reason.

use std::sync::atomic::{AtomicBool, Ordering};

use ash::vk;

const NVIDIA: u32 = 0x10DE;

/// Whether an instance that could be destroyed has to be left alone.
///
/// With the last instance the loader unloads the drivers. NVIDIA's (seen with 580.159.04 on Linux) loads
/// libEGL, whose thread-exit destructors stay registered when it is gone: a thread that used Vulkan and
/// ends later jumps into unmapped memory. So the first instance of a process to reach its end is kept, and
/// the driver stays loaded.
pub(super) fn keeps_instance(devices: &[vk::PhysicalDeviceProperties]) -> bool {
    static KEPT: AtomicBool = AtomicBool::new(false);

    devices.iter().any(|device| device.vendor_id == NVIDIA) && !KEPT.swap(true, Ordering::Relaxed)
}
