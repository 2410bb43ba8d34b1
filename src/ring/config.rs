//! What a ring session is made for.

use super::error::RingError;
use super::tally::RingObservable;
use crate::setters::setters;
use crate::shaders::layout;
use crate::{MAX_HAYSTACK_BYTES, Tuning};

/// What a ring session is made for.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline};
/// use vkscan::{MegakernelSession, MegakernelSessionConfig};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d+"])?;
/// let config = MegakernelSessionConfig::default()
///     .slot_count(100)
///     .workgroup_size_x(64)
///     .tenant_count(2)
///     .observable_slots(4)
///     .round_bytes(1 << 20)
///     .rounds_in_flight(2)
///     .max_matches(1000);
/// if let Some(session) = MegakernelSession::new(&backend, &rules, config)? {
///     assert_eq!(session.slot_count(), 128);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MegakernelSessionConfig {
    /// Items that may be in flight, of all tenants together: from 1 to 2^20, rounded up to a multiple of
    /// `workgroup_size_x`.
    pub slot_count: u32,
    /// Invocations of a workgroup that claims slots: from 1 to 2^20. For more than the device's
    /// [`max_workgroup_invocations`](crate::DeviceInfo) no session is made.
    pub workgroup_size_x: u32,
    /// Tenants, each of which has an even share of the slots for itself: from 1 to 64, as far as there are
    /// so many slots.
    pub tenant_count: u32,
    /// How many of the counters that [`RingObservable`] lists can be read, the first ones first: from 0 to 4.
    pub observable_slots: u32,
    /// Bytes of a tenant's items in one round, with the gaps behind them, and so of the largest item: from 16
    /// to [`MAX_HAYSTACK_BYTES`]. Each round in flight takes device memory and staging memory of that size.
    pub round_bytes: usize,
    /// Rounds of each tenant that may be in flight: from 1 to 256.
    pub rounds_in_flight: usize,
    /// Most matches of an item of the first tenant.
    pub max_matches: u32,
    /// How much work goes into one dispatch; by default [`Tuning::for_device`].
    pub tuning: Option<Tuning>,
}

setters!(MegakernelSessionConfig {
    slot_count: u32,
    workgroup_size_x: u32,
    tenant_count: u32,
    observable_slots: u32,
    round_bytes: usize,
    rounds_in_flight: usize,
    max_matches: u32,
    tuning: Option<Tuning>,
});

impl Default for MegakernelSessionConfig {
    fn default() -> MegakernelSessionConfig {
        MegakernelSessionConfig {
            slot_count: 256,
            workgroup_size_x: 256,
            tenant_count: 1,
            observable_slots: 0,
            round_bytes: 16 << 20,
            rounds_in_flight: 4,
            tuning: None,
            max_matches: 1 << 16,
        }
    }
}

/// Most slots of a ring.
const MOST_SLOTS: u32 = 1 << 20;

impl MegakernelSessionConfig {
    /// The same with its slots rounded up.
    pub(crate) fn checked(self) -> Result<MegakernelSessionConfig, RingError> {
        let MegakernelSessionConfig { slot_count, workgroup_size_x, tenant_count, .. } = self;
        within("workgroup_size_x", workgroup_size_x.into(), [1, MOST_SLOTS.into()])?;
        within("slot_count", slot_count.into(), [1, MOST_SLOTS.into()])?;
        let slot_count = slot_count.next_multiple_of(workgroup_size_x);
        within("slot_count, rounded up,", slot_count.into(), [1, MOST_SLOTS.into()])?;
        let most_tenants = slot_count.min(layout::MOST_TENANTS);
        within("tenant_count", tenant_count.into(), [1, most_tenants.into()])?;
        within(
            "observable_slots",
            self.observable_slots.into(),
            [0, RingObservable::COUNT.into()],
        )?;
        within("round_bytes", self.round_bytes as u64, [16, MAX_HAYSTACK_BYTES as u64])?;
        within("rounds_in_flight", self.rounds_in_flight as u64, [1, 256])?;
        Ok(MegakernelSessionConfig { slot_count, ..self })
    }

    /// Slots that each tenant has.
    pub(crate) fn share(&self) -> u32 {
        self.slot_count / self.tenant_count
    }

    /// Bytes of the longest item.
    pub(crate) fn most_bytes(&self) -> usize {
        let whole = self.round_bytes - self.round_bytes % layout::ITEM_ALIGNMENT as usize;
        whole - layout::ITEM_GAP as usize
    }
}

pub(super) fn within(
    what: &'static str,
    asked: u64,
    [least, most]: [u64; 2],
) -> Result<(), RingError> {
    if (least..=most).contains(&asked) {
        return Ok(());
    }
    Err(RingError::Limit { what, asked, least, most })
}
