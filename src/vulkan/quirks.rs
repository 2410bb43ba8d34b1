//! Work-arounds for drivers, each with its reason.

#[cfg(unix)]
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use ash::vk;

const NVIDIA: u32 = 0x10DE;

/// Turns of loops, in total, after which lavapipe (Mesa 22.3.6) ends the loops of all invocations that run together,
/// whichever of them take those, and says nothing. It counts a function that returns early as a loop of one turn, and
/// the loops of code paths that are not taken.
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

/// What a driver may do that refuses a second import of host memory. NVIDIA's (580.159.04 on Linux) refuses what it cannot pin
/// for writing, such as a mapping that is read-only, and then whatever it is offered, as long as the device lives.
pub(super) const STOPS_IMPORTING: &str = "importing host memory (the driver has refused some before, and NVIDIA's takes none \
                                          after that: open the device again, or scan byte slices)";

/// Gives a file descriptor to a driver by a call that takes it where it succeeds. Otherwise it is closed here, as Vulkan has
/// it; unless the driver has done so: lavapipe (Mesa 22.3.6 and 25.0.7) closes what it refuses, and somebody else may have
/// opened another file by that number since.
#[cfg(unix)]
pub(super) fn give_fd<T, E>(
    driver_name: &str,
    fd: OwnedFd,
    take: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let number = fd.as_raw_fd();
    let file = || {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::metadata(format!("/proc/self/fd/{number}")).ok()?;
        Some((found.dev(), found.ino()))
    };
    let before = (driver_name == "llvmpipe").then(file);
    let taken = take();
    if taken.is_ok() || before.is_some_and(|before| file() != before) {
        let _ = fd.into_raw_fd();
    }
    taken
}
