//! Counters that the device keeps, and that the host may read while work is in flight.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::shaders::layout::{self, Tally};
use crate::vulkan::shared::SharedBuffer;

/// What a ring session's device counts, in the order in which
/// [`MegakernelSessionConfig::observable_slots`](super::MegakernelSessionConfig::observable_slots) makes it readable. Counters never
/// go down.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSession, MegakernelSessionConfig, RulePipeline};
/// use vkscan::{RingItem, RingObservable};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d+"])?;
/// let config = MegakernelSessionConfig::default().observable_slots(2); // the first two of these
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// session.submit_scan(&[RingItem::new(0, b"1 22"), RingItem::new(1, b"333")])?;
/// assert_eq!(session.observe(RingObservable::Items), Some(2));
/// assert_eq!(session.observe(RingObservable::Bytes), Some(7));
/// assert_eq!(session.observe(RingObservable::Hits), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingObservable {
    /// Items whose matches are known.
    Items,
    /// Bytes of these.
    Bytes,
    /// Hits that the device has found: what matches are selected among. Where a round is scanned in parts, or a part once
    /// more, those that it found then count again.
    Hits,
    /// Slots that were found at fault.
    Faults,
}

impl RingObservable {
    pub(super) const COUNT: u32 = layout::TALLY_COUNTERS;
    pub(super) const ALL: [RingObservable; RingObservable::COUNT as usize] = [
        RingObservable::Items,
        RingObservable::Bytes,
        RingObservable::Hits,
        RingObservable::Faults,
    ];

    /// Its place in [`Tally`].
    fn counter(self) -> u32 {
        match self {
            RingObservable::Items => layout::TALLY_ITEMS,
            RingObservable::Bytes => layout::TALLY_BYTES,
            RingObservable::Hits => layout::TALLY_HITS,
            RingObservable::Faults => layout::TALLY_FAULTS,
        }
    }

    /// As a tenant's counter is right now; between two additions to its words it may look less.
    pub(super) fn read(self, ring: &SharedBuffer, tenant: u32) -> u64 {
        let word = |of_words: usize| {
            let at = tenant as usize * size_of::<Tally>() + of_words;
            u64::from(ring.load((at + self.counter() as usize * size_of::<u32>()) as u64))
        };
        loop {
            let high = word(offset_of!(Tally, high));
            let low = word(offset_of!(Tally, low));
            if word(offset_of!(Tally, high)) == high {
                return high << 32 | low;
            }
        }
    }

    pub(super) fn is_readable(self, observable_slots: u32) -> bool {
        self.counter() < observable_slots
    }
}

/// A tenant's counters, whatever becomes of devices.
#[derive(Default)]
pub(super) struct Counters {
    /// What they came to on a device that was lost.
    before: [u64; RingObservable::COUNT as usize],
    /// The most that has been seen.
    seen: [AtomicU64; RingObservable::COUNT as usize],
}

impl Counters {
    /// A counter, of which the device tells `now`.
    pub(super) fn read(&self, what: RingObservable, now: u64) -> u64 {
        let index = what.counter() as usize;
        let now = self.before[index] + now;
        self.seen[index].fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Goes on with another device.
    pub(super) fn begin_anew(&mut self) {
        for (before, seen) in self.before.iter_mut().zip(&mut self.seen) {
            *before = *seen.get_mut();
        }
    }
}
