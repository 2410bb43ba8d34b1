//! The time that a scan takes.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use vkscan::{Backend, DeviceKind};

use crate::Result;

/// A clock: of what the process does on a CPU device, where others may run as well, and of what passes on a GPU.
pub fn now(backend: &Backend) -> Result<Duration> {
    static SINCE: LazyLock<Instant> = LazyLock::new(Instant::now);

    #[cfg(unix)]
    if backend.device_info().kind == DeviceKind::Cpu {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        return Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?));
    }
    Ok(SINCE.elapsed())
}
