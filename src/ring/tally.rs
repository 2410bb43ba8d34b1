//! Counters that the device keeps, and that the host may read while work is in flight.

use std::mem::offset_of;

use crate::shaders::layout::Tally;
use crate::vulkan::shared::SharedBuffer;

/// What a ring session's device counts, in the order in which
/// [`MegakernelConfig::observable_slots`](super::MegakernelConfig::observable_slots) makes it readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observable {
    /// Items whose matches are known.
    Items,
    /// Bytes of these.
    Bytes,
    /// Hits of these: what matches are picked among, so at least as many as there are matches.
    Hits,
    /// Slots that were found at fault.
    Faults,
}

impl Observable {
    pub(super) const COUNT: u32 = 4;

    /// As a tenant's counter is right now.
    pub(super) fn read(self, ring: &SharedBuffer, tenant: u32) -> u64 {
        let at = u64::from(tenant) * size_of::<Tally>() as u64;
        let word = |offset: usize| u64::from(ring.load(at + offset as u64));
        match self {
            Observable::Items => word(offset_of!(Tally, items)),
            Observable::Hits => word(offset_of!(Tally, hits)),
            Observable::Faults => word(offset_of!(Tally, faults)),
            Observable::Bytes => loop {
                let high = word(offset_of!(Tally, bytes_high));
                let low = word(offset_of!(Tally, bytes_low));
                if word(offset_of!(Tally, bytes_high)) == high {
                    break high << 32 | low;
                }
            },
        }
    }

    pub(super) fn is_readable(self, observable_slots: u32) -> bool {
        (self as u32) < observable_slots
    }
}
