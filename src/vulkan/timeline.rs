//! Timeline semaphores: how the host learns that the device got somewhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ash::vk;
use ash::vk::Handle as _;

use super::deadline::Deadline;
use super::device::{Device, DeviceRef};
use super::error::{BackendError, Result};
use super::loss::Progress;
use super::raw::RawSemaphore;

/// How long to look again and again before going to sleep: as long as a small scan takes. Waking a sleeping
/// thread up takes as long as that, on a virtual machine more.
const SPIN: Duration = Duration::from_micros(200);

/// A counter that each submission raises by one when it is done.
pub(crate) struct Timeline {
    device: DeviceRef,
    progress: Arc<Progress>,
}

impl Timeline {
    pub(crate) fn new(device: &Arc<Device>, name: &str) -> Result<Arc<Timeline>> {
        let mut kind = vk::SemaphoreTypeCreateInfo::default()
            .semaphore_type(vk::SemaphoreType::TIMELINE)
            .initial_value(0);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        let raw = device.call("vkCreateSemaphore", || {
            // SAFETY: the feature timelineSemaphore is on.
            unsafe { device.raw().create_semaphore(&info, None) }
        })?;
        device.names().set(raw, format_args!("{name} timeline"));
        let progress = Arc::new(Progress::new(name, raw));
        device.timelines().enter(&progress);
        Ok(Arc::new(Timeline { device: DeviceRef::new(device), progress }))
    }

    /// Waits until the device has reached `value`.
    pub(crate) fn wait(&self, value: u64, deadline: impl Into<Deadline>) -> Result<()> {
        let deadline = deadline.into();
        self.device.alive()?;
        if self.progress.seen.load(Ordering::Acquire) >= value {
            return Ok(());
        }
        let start = Instant::now();
        let spin = deadline.left().min(SPIN);
        while start.elapsed() < spin {
            if self.completed()? >= value {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        self.wait_asleep(value, deadline)
    }

    /// Whether the device has reached `value`, as far as that can be said without waiting.
    pub(crate) fn has_reached(&self, value: u64) -> bool {
        self.progress.seen.load(Ordering::Acquire) >= value
            || self.completed().is_ok_and(|now| now >= value)
    }

    /// Waits until the device has reached `value`, asleep.
    pub(crate) fn wait_asleep(&self, value: u64, deadline: Deadline) -> Result<()> {
        let waited = self.device.call("vkWaitSemaphores", || self.wait_raw(value, deadline.left()));
        match waited {
            Ok(()) => Ok(()),
            Err(BackendError::Vulkan { result: vk::Result::TIMEOUT, .. }) => {
                Err(BackendError::Timeout {
                    waited: deadline.waited(),
                    what: format!("{} to reach {value}", self.progress.name),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The highest value the device has reached so far.
    pub(crate) fn completed(&self) -> Result<u64> {
        let value = self.device.call("vkGetSemaphoreCounterValue", || {
            // SAFETY: the semaphore is a timeline of this device.
            unsafe { self.device.raw().get_semaphore_counter_value(self.raw()) }
        })?;
        self.progress.seen.fetch_max(value, Ordering::AcqRel);
        Ok(value)
    }

    /// Waits whatever state the backend is in: for those that must not go before the device is done.
    pub(super) fn wait_raw(&self, value: u64, timeout: Duration) -> ash::prelude::VkResult<()> {
        if self.progress.seen.load(Ordering::Acquire) >= value {
            return Ok(());
        }
        let (semaphores, values) = ([self.raw()], [value]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: the semaphore is a timeline of this device.
        let waited = unsafe { self.device.raw().wait_semaphores(&info, nanoseconds) };
        #[cfg(test)]
        if waited == Err(vk::Result::TIMEOUT) {
            self.device.count_wait_in_vain(timeout);
        }
        waited?;
        self.progress.seen.fetch_max(value, Ordering::AcqRel);
        Ok(())
    }

    /// The semaphore, for others to wait for.
    pub(crate) fn at(&self, value: u64) -> RawSemaphore {
        // SAFETY: it is ours and outlives its use, as a frame does; and the value is one that a submission signals.
        unsafe { RawSemaphore::timeline(self.raw().as_raw(), value) }
    }

    pub(super) fn raw(&self) -> vk::Semaphore {
        self.progress.semaphore
    }

    /// How far its submissions have come. What a value is seen of is not asked for again.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }
}

/// A value of a timeline, to be waited for by whoever has it.
#[derive(Clone)]
pub(crate) struct Milestone {
    timeline: Arc<Timeline>,
    value: u64,
}

impl Milestone {
    pub(crate) fn new(timeline: &Arc<Timeline>, value: u64) -> Milestone {
        Milestone { timeline: timeline.clone(), value }
    }

    /// Whether there is nothing to wait for: it is reached, or never will be, for the device is lost.
    pub(crate) fn is_over(&self) -> bool {
        self.timeline.has_reached(self.value) || self.timeline.device.is_lost()
    }

    /// Waits until the device has reached it, as long as a call waits.
    pub(crate) fn wait(&self) -> Result<()> {
        self.timeline.wait(self.value, self.timeline.device.deadline())
    }
}

impl std::fmt::Debug for Milestone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.timeline.progress.name, self.value)
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.device.timelines().leave(&self.progress);
        // SAFETY: command buffers hold the timeline that their last submission signals until it has.
        unsafe { self.device.raw().destroy_semaphore(self.raw(), None) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestBackend;
    use super::*;

    #[test]
    fn waiting_for_what_nobody_signals_times_out() {
        let backend = TestBackend::new();
        let timeline = Timeline::new(backend.device(), "test timeline").unwrap();
        assert_eq!(timeline.completed(), Ok(0));
        timeline.wait(0, Duration::ZERO).unwrap();
        let error = timeline.wait(1, Duration::from_millis(10)).unwrap_err();
        let BackendError::Timeout { waited, ref what } = error else { panic!("{error}") };
        assert!(waited >= Duration::from_millis(10), "{waited:?}");
        assert!(what.contains("test timeline"), "{what}");
    }

    #[test]
    fn a_lost_device_stays_lost() {
        let backend = TestBackend::new();
        let device = backend.device();
        let timeline = Timeline::new(device, "timeline").unwrap();
        assert!(!backend.is_lost());
        device.inject_lost();
        let lost = || device.loss();
        for _ in 0..2 {
            assert!(backend.is_lost());
            assert_eq!(timeline.completed(), Err(lost()));
            assert_eq!(timeline.wait(0, Duration::ZERO), Err(lost()));
            assert_eq!(Timeline::new(device, "another").err(), Some(lost()));
        }
        drop(timeline);
        assert_eq!(device.live_objects(), 0);
    }
}
