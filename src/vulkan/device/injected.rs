//! What tests have a device do that real ones do rarely: hold up, be lost, fail to free.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ash::vk;

use super::{Core, QueueRole};
use crate::vulkan::error::{BackendError, Result};
use crate::vulkan::timeline::Timeline;

impl Core {
    /// Objects that are alive, whoever holds them.
    pub(in crate::vulkan) fn own_objects(&self) -> usize {
        self.live_objects.load(Ordering::Relaxed)
    }

    pub(in crate::vulkan) fn count_wait_in_vain(&self, waited: Duration) {
        self.test_waits.count_in_vain(waited);
    }

    /// Puts a submission into every queue that holds up all that follow until the timeline reaches 1.
    pub(in crate::vulkan) fn hold_up(&self, timeline: &Timeline) {
        let (semaphores, values) = ([timeline.raw()], [1]);
        let mut wait = vk::TimelineSemaphoreSubmitInfo::default().wait_semaphore_values(&values);
        let submits = [vk::SubmitInfo::default()
            .wait_semaphores(&semaphores)
            .wait_dst_stage_mask(&[vk::PipelineStageFlags::ALL_COMMANDS])
            .push_next(&mut wait)];
        for role in [QueueRole::Compute, QueueRole::Transfer] {
            // SAFETY: the queue is locked, and the timeline outlives the wait: `Hold` sees to that.
            let submit =
                |queue| unsafe { self.raw.queue_submit(queue, &submits, vk::Fence::null()) };
            if role == QueueRole::Compute || self.has_transfer_queue() {
                self.on_queue(role, submit).unwrap().unwrap();
            }
        }
    }

    /// Waits until nothing runs.
    pub(crate) fn wait_idle(&self) {
        let lock = |raw| Mutex::lock(raw).unwrap_or_else(PoisonError::into_inner);
        let _queues: Vec<_> = self.queues.iter().map(|queue| lock(&queue.raw)).collect();
        // SAFETY: nobody else uses the queues meanwhile.
        unsafe { self.raw.device_wait_idle() }.unwrap();
    }

    /// Makes this backend behave as if the driver had reported the device lost. Nothing runs on a lost device, so
    /// what is running comes to its end first.
    pub(crate) fn inject_lost(&self) {
        self.wait_idle();
        self.lost.store(true, Ordering::Release);
    }

    /// Takes the loss back: the driver has lost nothing.
    pub(crate) fn undo_lost(&self) {
        self.lost.store(false, Ordering::Release);
    }

    /// Makes the next `count` buffers that are freed report a fault. They are freed all the same.
    pub(crate) fn inject_free_faults(&self, count: usize) {
        self.free_faults.store(count, Ordering::Relaxed);
    }

    pub(in crate::vulkan) fn injected_free_fault(&self) -> Result<()> {
        let spend = |left: usize| left.checked_sub(1);
        match self.free_faults.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend) {
            Ok(left) => Err(BackendError::Vulkan {
                call: "vkFreeMemory",
                result: vk::Result::from_raw(-1000 - left as i32),
            }),
            Err(_) => Ok(()),
        }
    }
}
