//! Timestamps: when, on the device's own clock, it got to each stage.

use std::sync::Arc;
use std::time::Instant;

use ash::vk;

use super::clock::Clock;
use super::device::{Device, DeviceRef, QueueRole};
use super::error::Result;

/// A row of timestamps that commands write.
pub(crate) struct Timestamps {
    device: DeviceRef,
    raw: vk::QueryPool,
    count: u32,
    clock: Clock,
}

impl Timestamps {
    /// `None` where the queue has no timestamps.
    pub(crate) fn new(
        device: &Arc<Device>,
        role: QueueRole,
        name: &str,
        count: u32,
    ) -> Result<Option<Arc<Timestamps>>> {
        let family = device.queue_family(role);
        let Some(clock) = Clock::of_family(device.info(), family) else { return Ok(None) };
        let info = vk::QueryPoolCreateInfo::default()
            .query_type(vk::QueryType::TIMESTAMP)
            .query_count(count);
        let raw = device.call("vkCreateQueryPool", || {
            // SAFETY: `info` is complete.
            unsafe { device.raw().create_query_pool(&info, None) }
        })?;
        device.names().set(raw, name);
        Ok(Some(Arc::new(Timestamps { device: DeviceRef::new(device), raw, count, clock })))
    }

    /// Fills `nanoseconds` with the time from the first timestamp to each, itself included, and says what that first one is.
    /// The commands that write that many, at least one, have been waited for.
    pub(crate) fn read(&self, nanoseconds: &mut [u64]) -> Result<Tick> {
        assert!((1..=self.count as usize).contains(&nanoseconds.len()));
        self.device.call("vkGetQueryPoolResults", || {
            // SAFETY: that many queries exist, and each gets 64 bits.
            unsafe {
                self.device.raw().get_query_pool_results(
                    self.raw,
                    0,
                    nanoseconds,
                    vk::QueryResultFlags::TYPE_64,
                )
            }
        })?;
        let first = nanoseconds[0];
        let (mut last, half_wrap) = (0, self.clock.half_wrap());
        for ticks in nanoseconds {
            // Marks of no work may be out of order by a tick, which is nearly all of a wrap then.
            let passed = self.clock.nanoseconds(first, *ticks);
            last = if passed > half_wrap { last } else { passed.max(last) };
            *ticks = last;
        }
        Ok(Tick(first))
    }

    /// When a tick of the last seconds was on the host's clock; `None` where the device cannot tell.
    pub(crate) fn host_time(&self, tick: Tick) -> Result<Option<Instant>> {
        self.device.host_time(&self.clock, tick.0)
    }

    /// Readies them to be written again, by commands that cannot do that themselves. None of these is running.
    pub(crate) fn reset(&self) {
        assert!(self.device.has_host_query_reset());
        // SAFETY: the feature is on, and no commands that write to the queries are running.
        unsafe { self.device.raw().reset_query_pool(self.raw, 0, self.count) };
    }

    pub(super) fn raw(&self) -> vk::QueryPool {
        self.raw
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

/// A reading of the device's clock.
#[derive(Clone, Copy)]
pub(crate) struct Tick(u64);

impl Drop for Timestamps {
    fn drop(&mut self) {
        // SAFETY: commands that write to it hold it, so none is left.
        unsafe { self.device.raw().destroy_query_pool(self.raw, None) };
    }
}
