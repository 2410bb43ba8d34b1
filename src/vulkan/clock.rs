//! The device's clock: how to read it, and where it is on the host's.

use std::ffi::CStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ash::prelude::VkResult;
use ash::{ext, khr, vk};

use super::info::DeviceInfo;
use super::instance::Instance;

/// How to read the clock that a queue family's timestamps are of.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) valid_bits: u32,
    pub(super) period_ns: f32,
}

impl Clock {
    /// `None` where the family has no timestamps.
    pub(super) fn of_family(info: &DeviceInfo, family: u32) -> Option<Clock> {
        let valid_bits = info.queue_families[family as usize].timestamp_valid_bits;
        (valid_bits > 0).then_some(Clock { valid_bits, period_ns: info.timestamp_period_ns })
    }

    /// Nanoseconds from tick `from` to tick `to`, across one wrap of the counter.
    pub(super) fn nanoseconds(&self, from: u64, to: u64) -> u64 {
        let mask = u64::MAX >> (64 - self.valid_bits);
        let ticks = to.wrapping_sub(from) & mask;
        // Saturates, after centuries.
        #[expect(clippy::cast_possible_truncation)]
        let nanoseconds = (ticks as f64 * f64::from(self.period_ns)).round() as u64;
        nanoseconds
    }

    /// Nanoseconds until half of the counter's values are through.
    pub(super) fn half_wrap(&self) -> u64 {
        self.nanoseconds(0, u64::MAX >> (65 - self.valid_bits))
    }

    /// The host's time at tick `ticks`, which is less than half a wrap of the counter from `at`.
    pub(super) fn host_time(&self, ticks: u64, at: &Reading) -> Instant {
        let half = u64::MAX >> (65 - self.valid_bits);
        let mask = u64::MAX >> (64 - self.valid_bits);
        match ticks.wrapping_sub(at.ticks) & mask {
            after if after <= half => {
                at.time + Duration::from_nanos(self.nanoseconds(at.ticks, ticks))
            }
            _ => {
                let before = Duration::from_nanos(self.nanoseconds(ticks, at.ticks));
                at.time.checked_sub(before).unwrap_or(at.time)
            }
        }
    }
}

/// Both clocks at once.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    ticks: u64,
    time: Instant,
}

/// Reads the device's clock and the host's at once, where the device can.
pub(super) struct Calibration {
    functions: Functions,
    last: Mutex<Option<Reading>>,
}

/// Of one extension under two names.
enum Functions {
    Khr(khr::calibrated_timestamps::Device),
    Ext(ext::calibrated_timestamps::Device),
}

/// The clock of [`Instant`], where it is known.
const HOST_CLOCK: Option<vk::TimeDomainKHR> = match cfg!(target_os = "linux") {
    true => Some(vk::TimeDomainKHR::CLOCK_MONOTONIC),
    false => None,
};

/// How long a reading serves: clocks go apart by some microseconds in a second.
const SERVES: Duration = Duration::from_millis(50);

impl Calibration {
    /// `None` unless the device was made with the extension that does it, under either name, and can read the host's clock.
    pub(super) fn new(
        instance: &Instance,
        physical: vk::PhysicalDevice,
        raw: &ash::Device,
        extensions: &[&CStr],
    ) -> Option<Calibration> {
        let (entry, vulkan) = (instance.entry(), instance.raw());
        let has = |name: &CStr| extensions.contains(&name);
        // SAFETY: the device, which `physical` became, has the extension that each function is of.
        let (domains, functions) = unsafe {
            if has(khr::calibrated_timestamps::NAME) {
                let of_instance = khr::calibrated_timestamps::Instance::new(entry, vulkan);
                let domains = of_instance.get_physical_device_calibrateable_time_domains(physical);
                let functions = khr::calibrated_timestamps::Device::new(vulkan, raw);
                (domains, Functions::Khr(functions))
            } else if has(ext::calibrated_timestamps::NAME) {
                let of_instance = ext::calibrated_timestamps::Instance::new(entry, vulkan);
                let domains = of_instance.get_physical_device_calibrateable_time_domains(physical);
                let functions = ext::calibrated_timestamps::Device::new(vulkan, raw);
                (domains, Functions::Ext(functions))
            } else {
                return None;
            }
        };
        let domains = domains.ok()?;
        let knows = |domain| domains.contains(&domain);
        let knows_both = knows(vk::TimeDomainKHR::DEVICE) && HOST_CLOCK.is_some_and(knows);
        knows_both.then(|| Calibration { functions, last: Mutex::default() })
    }

    /// The last reading, if it still serves.
    pub(super) fn last(&self) -> Option<Reading> {
        self.lock().filter(|reading| reading.time.elapsed() < SERVES)
    }

    /// Reads both clocks, several times, and takes the reading in which they are the least apart.
    pub(super) fn read(&self) -> VkResult<Reading> {
        const TRIES: usize = 3;

        let mut readings = (0..TRIES).map(|_| self.read_once()).collect::<VkResult<Vec<_>>>()?;
        readings.sort_by_key(|(deviation, _)| *deviation);
        let (_, reading) = readings[0];
        *self.lock() = Some(reading);
        Ok(reading)
    }

    /// With how far the clocks may be apart, in nanoseconds.
    fn read_once(&self) -> VkResult<(u64, Reading)> {
        let of = |domain| vk::CalibratedTimestampInfoKHR::default().time_domain(domain);
        let infos = [vk::TimeDomainKHR::DEVICE, vk::TimeDomainKHR::CLOCK_MONOTONIC].map(of);
        // SAFETY: the device knows both clocks: `new` has seen to that. It is alive: its owner has this.
        let (read, deviation) = unsafe {
            match &self.functions {
                Functions::Khr(functions) => functions.get_calibrated_timestamps(&infos),
                Functions::Ext(functions) => functions.get_calibrated_timestamps(&infos),
            }
        }?;
        let (time, apart) = instant_of(read[1]);
        Ok((deviation.saturating_add(apart), Reading { ticks: read[0], time }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reading>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the host's clock was at so many nanoseconds, not long ago; and by how many that may be off.
#[cfg(target_os = "linux")]
fn instant_of(nanoseconds: u64) -> (Instant, u64) {
    let before = Instant::now();
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let apart = before.elapsed();
    let since_boot = Duration::try_from(time).unwrap_or_default();
    let ago = since_boot.saturating_sub(Duration::from_nanos(nanoseconds));
    let instant = before.checked_sub(ago).unwrap_or(before);
    (instant, u64::try_from(apart.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(not(target_os = "linux"))]
fn instant_of(_: u64) -> (Instant, u64) {
    unreachable!("there is no `HOST_CLOCK`")
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn ticks_before_and_after_a_reading_are_times_before_and_after_it() {
        let now = Instant::now() + Duration::from_secs(1);
        for (valid_bits, ticks) in [(64, 1000), (36, 3), (36, (1 << 36) - 2)] {
            let clock = Clock { valid_bits, period_ns: 10.0 };
            let reading = Reading { ticks, time: now };
            let mask = u64::MAX >> (64 - valid_bits);
            let at = |ticks: u64| clock.host_time(ticks & mask, &reading);
            assert_eq!(at(ticks), now);
            assert_eq!(at(ticks.wrapping_add(5)), now + Duration::from_nanos(50));
            assert_eq!(at(ticks.wrapping_sub(7)), now - Duration::from_nanos(70));
        }
    }
}
