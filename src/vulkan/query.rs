//! Timestamps: when, on the device's own clock, it got to each stage.

use std::sync::Arc;

use ash::vk;

use super::device::{Device, DeviceRef};
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
        name: &str,
        count: u32,
    ) -> Result<Option<Arc<Timestamps>>> {
        let clock = Clock {
            valid_bits: device.info().timestamp_valid_bits(),
            period_ns: device.info().timestamp_period_ns,
        };
        if clock.valid_bits == 0 {
            return Ok(None);
        }
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

    /// Fills `nanoseconds` with the time from the first timestamp to each, itself included. The
    /// commands that write that many have been waited for.
    pub(crate) fn read(&self, nanoseconds: &mut [u64]) -> Result<()> {
        assert!(nanoseconds.len() <= self.count as usize);
        if nanoseconds.is_empty() {
            return Ok(());
        }
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
        for ticks in nanoseconds {
            *ticks = self.clock.nanoseconds(first, *ticks);
        }
        Ok(())
    }

    pub(super) fn raw(&self) -> vk::QueryPool {
        self.raw
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

impl Drop for Timestamps {
    fn drop(&mut self) {
        // SAFETY: commands that write to it hold it, so none is left.
        unsafe { self.device.raw().destroy_query_pool(self.raw, None) };
    }
}

/// How to read the device's clock.
struct Clock {
    valid_bits: u32,
    period_ns: f32,
}

impl Clock {
    /// Nanoseconds from tick `from` to tick `to`, across one wrap of the counter.
    fn nanoseconds(&self, from: u64, to: u64) -> u64 {
        let mask = u64::MAX >> (64 - self.valid_bits);
        let ticks = to.wrapping_sub(from) & mask;
        // Saturates, after centuries.
        #[expect(clippy::cast_possible_truncation)]
        let nanoseconds = (ticks as f64 * f64::from(self.period_ns)).round() as u64;
        nanoseconds
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn ticks_are_masked_scaled_and_wrap() {
        let clock = |valid_bits, period_ns| Clock { valid_bits, period_ns };
        assert_eq!(clock(64, 1.0).nanoseconds(5, 12), 7);
        assert_eq!(clock(64, 1.0).nanoseconds(u64::MAX - 1, 3), 5);
        assert_eq!(clock(36, 40.0).nanoseconds(10, 12), 80);
        assert_eq!(clock(36, 40.0).nanoseconds((1 << 36) - 1, 1), 80);
        // Bits above the valid ones are undefined.
        assert_eq!(clock(36, 1.0).nanoseconds(7, (0xABC << 36) | 9), 2);
        assert_eq!(clock(64, 2.5).nanoseconds(0, 3), 8);
    }
}
