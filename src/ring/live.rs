//! What a ring session has on the device.

use std::sync::Arc;

use super::batch::RingBatch;
use super::config::MegakernelSessionConfig;
use super::error::RingError;
use super::round::{Held, Part};
use super::tally::RingObservable;
use crate::narrow::narrow;
use crate::scan::{self, RingShape, SessionPlan, Slots};
use crate::shaders::layout::{self, Slot, Tally};
use crate::vulkan::deadline::Deadline;
use crate::vulkan::shared::SharedBuffer;
use crate::{Backend, Haystack, ResidentRulePipeline, RulePipeline, ScanError, SessionOptions};

/// The ring, and the tables of its tenants.
pub(super) struct Live {
    /// Tells what it lent from what others did.
    id: Arc<()>,
    pub(super) backend: Backend,
    config: MegakernelSessionConfig,
    ring: SharedBuffer,
    /// Of each tenant that has rules.
    pub(super) residents: Vec<Option<ResidentRulePipeline>>,
    /// Of each tenant, where among its slots the next item is published.
    next: Vec<u32>,
    epoch: u32,
    slots: Vec<Slot>,
    /// Places of items in the next part that is published, whose slots are stale.
    #[cfg(test)]
    pub(super) stale: Vec<usize>,
}

impl Live {
    /// A ring without tenants; none where the device cannot have it.
    pub(super) fn new(
        config: MegakernelSessionConfig,
        backend: Backend,
    ) -> Result<Option<Live>, RingError> {
        let info = backend.device_info();
        let bytes = slot_offset(config.slot_count);
        let groups = config.share().div_ceil(config.workgroup_size_x);
        for (what, asked, most) in [
            ("workgroup", config.workgroup_size_x.into(), info.max_workgroup_invocations.into()),
            ("number of workgroups", groups.into(), info.max_workgroups_x.into()),
            ("buffer", bytes, info.max_storage_buffer_range),
        ] {
            if asked > most {
                tracing::debug!(asked, most, "the device has no {what} that large");
                return Ok(None);
            }
        }
        Ok(Some(Live {
            id: Arc::new(()),
            ring: SharedBuffer::new(backend.device(), "ring", bytes)?,
            residents: (0..config.tenant_count).map(|_| None).collect(),
            next: vec![0; config.tenant_count as usize],
            epoch: 0,
            slots: Vec::new(),
            backend,
            config,
            #[cfg(test)]
            stale: Vec::new(),
        }))
    }

    /// Makes a tenant's tables resident.
    pub(super) fn prepare(
        &self,
        tenant: u32,
        pipeline: &RulePipeline,
        max_matches: u32,
    ) -> Result<ResidentRulePipeline, RingError> {
        let options = SessionOptions {
            haystack_capacity_bytes: self.config.round_bytes,
            max_matches: max_matches as usize,
            scans_in_flight: Some(self.config.rounds_in_flight),
            tuning: self.config.tuning,
        };
        let share = self.config.share();
        let ring = RingShape {
            first: tenant * share,
            slots: share,
            workgroup: self.config.workgroup_size_x,
        };
        let info = self.backend.device_info();
        let plan = SessionPlan::new(pipeline, info, &options, Some(ring))?;
        Ok(ResidentRulePipeline::of_plan(&plan, &self.backend, Some(self.ring.buffer()))?)
    }

    pub(super) fn resident(&self, tenant: u32) -> Result<&ResidentRulePipeline, RingError> {
        let resident = self.residents.get(tenant as usize).and_then(Option::as_ref);
        resident.ok_or(RingError::NoPipeline { tenant })
    }

    /// Lends staging memory.
    pub(super) fn lend(&self, tenant: u32) -> Result<RingBatch, RingError> {
        let resident = self.resident(tenant)?;
        let memory = resident.staging(&self.backend, self.config.round_bytes)?;
        Ok(RingBatch::new(tenant, memory, self.config.share() as usize, self.id.clone()))
    }

    /// Whether a batch's memory was lent here.
    pub(super) fn has_lent(&self, batch: &RingBatch) -> bool {
        Arc::ptr_eq(&self.id, &batch.lender)
    }

    /// Where a tenant's next item is published.
    pub(super) fn next_slot(&self, tenant: u32) -> u32 {
        self.next[tenant as usize]
    }

    /// Slots from a tenant's next one on, up to the first that is held.
    pub(super) fn room<'h>(&self, tenant: u32, held: impl Iterator<Item = &'h Held>) -> u32 {
        let (next, share) = (self.next_slot(tenant), self.config.share());
        let ahead = |held: &Held| (held.first + share - next) % share;
        held.filter(|held| held.tenant == tenant && held.count > 0)
            .map(ahead)
            .min()
            .unwrap_or(share)
    }

    /// Writes slots for the items of a part, and submits their scan. Says which slots they hold.
    pub(super) fn publish(
        &mut self,
        part: &mut Part,
        deadline: Deadline,
    ) -> Result<Held, RingError> {
        let tenant = part.batch.tenant;
        let (first, count) = (self.next_slot(tenant), narrow(part.batch.len()));
        self.backend.device().alive()?;
        self.resident(tenant)?;
        part.batch.close();
        self.epoch = self.epoch.wrapping_add(1);
        let slots = Slots { first, count, epoch: self.epoch, tenant };
        self.write(slots, &part.batch);
        let resident = self.resident(tenant)?;
        if count > 0 && resident.has_rules() {
            let haystack = Haystack::Staged(&part.batch.memory);
            let range = scan::Range {
                first_start: 0,
                end_start: narrow(haystack.len()),
                is_final: true,
                max_scan_bytes: u32::MAX,
                base: 0,
                slots: Some(slots),
            };
            let scan =
                resident.submit_scan(haystack, range, &[], &[], deadline, &mut part.stats)?;
            part.scan = Some(scan);
        }
        self.next[tenant as usize] = (first + count) % self.config.share();
        Ok(Held { tenant, first, count })
    }

    fn write(&mut self, slots: Slots, batch: &RingBatch) {
        self.slots.clear();
        self.slots.extend(batch.items.iter().map(|item| Slot {
            state: layout::SLOT_PUBLISHED,
            epoch: slots.epoch,
            tenant: slots.tenant,
            begin: item.begin,
            end: item.end,
        }));
        #[cfg(test)]
        self.stale.drain(..).for_each(|index| self.slots[index].epoch = slots.epoch - 1);
        // The run goes on at the beginning of the tenant's slots.
        let share = self.config.share();
        let until_end = (share - slots.first).min(slots.count);
        let (to_end, from_begin) = self.slots.split_at(until_end as usize);
        let own = slots.tenant * share;
        self.ring.write(slot_offset(own + slots.first), to_end);
        self.ring.write(slot_offset(own), from_begin);
    }

    /// A tenant's counter, as the device has it.
    pub(super) fn read(&self, what: RingObservable, tenant: u32) -> u64 {
        what.read(&self.ring, tenant)
    }

    /// Frees lent memory that nobody has at the moment. Says how many bytes.
    pub(super) fn trim(&self) -> Result<u64, RingError> {
        let trimmed = self.residents.iter().flatten().map(ResidentRulePipeline::trim);
        Ok(trimmed.sum::<Result<u64, ScanError>>()?)
    }

    pub(super) fn free(self, deadline: Deadline) -> Result<(), RingError> {
        let Live { backend, ring, residents, .. } = self;
        let mut watched = vec![ring.buffer().watch()];
        let residents = residents.into_iter().flatten();
        let freed = residents.map(|resident| resident.free_by(deadline, &mut watched));
        let freed = freed.fold(Ok(()), Result::and).and(ring.destroy());
        Ok(freed.and(scan::all_given_back(backend.device(), &watched))?)
    }
}

/// Byte offset of a slot in the ring's buffer.
fn slot_offset(slot: u32) -> u64 {
    let tallies = layout::MOST_TENANTS as usize * size_of::<Tally>();
    (tallies + slot as usize * size_of::<Slot>()) as u64
}
