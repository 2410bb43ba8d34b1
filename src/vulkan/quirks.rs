//! Work-arounds for drivers, each with its reason.

use std::sync::atomic::{AtomicBool, Ordering};

use ash::vk;

const NVIDIA: u32 = 0x10DE;

/// Turns of loops, in total, after which lavapipe (Mesa 22.3.6) ends the loops of all invocations that run together,
/// whichever of them take those, and says nothing. It counts a function that returns early as a loop of one turn, and
/// the loops of code paths that are not taken.
#[cfg(test)]
pub(crate) const LAVAPIPE_LOOP_TURNS: u32 = 65_535;

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
