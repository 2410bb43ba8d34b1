//! Ring sessions: many small haystacks in one submission, each with its own matches.
//!
//! | file | story |
//! |---|---|
//! | `item.rs` | small haystacks, wherever they are |
//! | `ticket.rs` | items that were published, and what has come of them |
//! | `batch.rs` | lent memory that items are read straight into |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vkscan::{MegakernelSessionConfig, RingError, RingObservable, RingResults, RingSession};

use crate::backend::{self, vkscan_backend};
use crate::border::{self, HandleOut, Out, sized};
use crate::rules::{self, vkscan_rules};
use crate::status::{Failure, get, run, vkscan_status};
use item::{Items, vkscan_ring_item};
use ticket::vkscan_ring_ticket;

pub mod batch;
pub mod item;
pub mod ticket;

/// Stands for all tenants together.
pub const VKSCAN_ALL_TENANTS: u32 = u32::MAX;

/// A ring session: rules that are resident on a device, and a ring of slots there, into which many small haystacks are
/// published together. Any number of threads may publish at a time.
///
/// Should a device that vkscan opened itself be lost, the ring makes itself anew once on the same physical device, and
/// items that were not waited for are scanned again.
pub struct vkscan_ring {
    ring: Arc<Ring>,
}

/// What a ring, its tickets and its batches share.
pub(crate) struct Ring {
    session: Mutex<RingSession>,
    /// Host memory of tickets that were freed.
    spare: Mutex<Vec<RingResults>>,
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, RingSession> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<RingResults>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Results that an earlier ticket has used, if there are any.
    fn take_results(&self) -> RingResults {
        self.spare().pop().unwrap_or_default()
    }
}

/// What a ring session is made for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_ring_options {
    /// sizeof(vkscan_ring_options).
    pub struct_size: u32,
    /// Items that may be in flight, of all tenants together: from 1 to 2^20, rounded up to a multiple of
    /// `workgroup_size_x`; by default 256.
    pub slot_count: u32,
    /// Invocations of a workgroup that claims slots: from 1 to 2^20; by default 256.
    pub workgroup_size_x: u32,
    /// Tenants, each of which has an even share of the slots for itself: from 1 to 64, as far as there are so many
    /// slots; by default 1.
    pub tenant_count: u32,
    /// How many of the counters of vkscan_ring_counter can be read, the first ones first: from 0, the default, to 4.
    pub observable_slots: u32,
    /// Rounds of each tenant that may be in flight: from 1 to 256; by default 4. What is published together is a round.
    pub rounds_in_flight: u32,
    /// Most matches of an item of the first tenant; by default 65536.
    pub max_matches: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes of a tenant's items in one round, with up to 4 behind each, and so of the largest item: from 16 to
    /// VKSCAN_MAX_HAYSTACK_BYTES; by default 16 MiB. Each round in flight takes device memory and staging memory of
    /// that size.
    pub round_bytes: usize,
}

sized!(vkscan_ring_options);

/// What a ring's device counts. Counters never go down.
#[repr(C)]
pub enum vkscan_ring_counter {
    /// Items whose matches are known.
    Items = 0,
    /// Bytes of these.
    Bytes = 1,
    /// Hits that the device has found: what matches are selected among. Where a round is scanned in parts, or a part
    /// once more, those that it found then count again.
    Hits = 2,
    /// Slots that were found at fault.
    Faults = 3,
}

/// Fills in defaults. `size` is sizeof(vkscan_ring_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_options_init(
    options: *mut vkscan_ring_options,
    size: usize,
) -> vkscan_status {
    // SAFETY: as the header asks of the caller.
    run(|| unsafe { border::init(options, size, default_options()) })
}

fn default_options() -> vkscan_ring_options {
    let config = MegakernelSessionConfig::default();
    vkscan_ring_options {
        struct_size: 0,
        slot_count: config.slot_count,
        workgroup_size_x: config.workgroup_size_x,
        tenant_count: config.tenant_count,
        observable_slots: config.observable_slots,
        rounds_in_flight: u32::try_from(config.rounds_in_flight).unwrap_or(u32::MAX),
        max_matches: config.max_matches,
        reserved: 0,
        round_bytes: config.round_bytes,
    }
}

fn from_c(options: &vkscan_ring_options) -> Result<MegakernelSessionConfig, Failure> {
    border::unused(
        options.reserved,
        "reserved",
        "fill the options by vkscan_ring_options_init first",
    )?;
    Ok(MegakernelSessionConfig::default()
        .slot_count(options.slot_count)
        .workgroup_size_x(options.workgroup_size_x)
        .tenant_count(options.tenant_count)
        .observable_slots(options.observable_slots)
        .rounds_in_flight(options.rounds_in_flight as usize)
        .max_matches(options.max_matches)
        .round_bytes(options.round_bytes))
}

/// Makes the tables of `rules` resident for the first tenant, and a ring of slots; NULL stands for the default
/// options. The ring is freed with vkscan_ring_free; it holds a share in the backend, and needs the rules no
/// more.
///
/// It fails with VKSCAN_STATUS_INVALID_ARGUMENT for options that no device can have, with
/// VKSCAN_STATUS_UNSUPPORTED where this one cannot have it, for its workgroups, their number or a buffer's size, and
/// vkscan_session_prepare, for one haystack at a time, is what is left; and as that does where the rules are at fault.
/// Nothing is left behind then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_open(
    backend: Option<&vkscan_backend>,
    rules: Option<&vkscan_rules>,
    options: *const vkscan_ring_options,
    ring: *mut *mut vkscan_ring,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, options) = unsafe {
            let to = HandleOut::new(ring, "ring")?;
            (to, border::read_or(options, "options", default_options())?)
        };
        let (backend, rules) = (backend::of(backend)?, rules::of(rules)?);
        let session = RingSession::new(backend, rules, from_c(&options)?)?.ok_or_else(|| {
            let message = "the device has no workgroups as large as `workgroup_size_x`, or not as many as the slots \
                           take, or no buffer for these: choose fewer, or scan one haystack at a time";
            Failure::new(vkscan_status::Unsupported, message)
        })?;
        let ring = Ring { session: Mutex::new(session), spare: Mutex::default() };
        to.set(vkscan_ring { ring: Arc::new(ring) });
        Ok(())
    })
}

/// Gives a tenant, from 0, its rules, which are made resident beside those of the others, and the most matches that an
/// item of it may have. What it had before is freed, once what is in flight has been waited for. The rules are not
/// needed any more.
///
/// It fails with VKSCAN_STATUS_INVALID_ARGUMENT where there is no such tenant, with VKSCAN_STATUS_CLOSED, as
/// vkscan_session_prepare does where the rules are at fault, and with VKSCAN_STATUS_UNCOLLECTED while items that a
/// fault of the device has held up are still to be waited for.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_set_tenant(
    ring: Option<&vkscan_ring>,
    tenant: u32,
    rules: Option<&vkscan_rules>,
    max_matches: u32,
) -> vkscan_status {
    run(|| Ok(of(ring)?.lock().set_tenant(tenant, rules::of(rules)?, max_matches)?))
}

/// Scans `count` items, in as many rounds as they take, and waits until all of them are done. Threads that use the ring
/// meanwhile wait; vkscan_ring_publish is for several at a time. The ticket has been waited for: what has come of the
/// items, in their order, gives vkscan_ring_ticket_result. It is freed with vkscan_ring_ticket_free; the items are not
/// needed any more.
///
/// It fails with VKSCAN_STATUS_CLOSED. What is wrong with one item says its result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_scan(
    ring: Option<&vkscan_ring>,
    items: *const vkscan_ring_item,
    count: usize,
    ticket: *mut *mut vkscan_ring_ticket,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, items) =
            unsafe { (HandleOut::new(ticket, "ticket")?, Items::read(items, count)?) };
        let ring = of(ring)?;
        let mut results = ring.take_results();
        ring.lock().submit_scan_into(&items, &mut results)?;
        to.set(vkscan_ring_ticket::found(ring, results));
        Ok(())
    })
}

/// Publishes `count` items, which make one round, and returns without waiting for their scan. Further ones may be
/// published, by whichever thread, as many as there are slots for and rounds in flight. The ticket is freed with
/// vkscan_ring_ticket_free. The array is not needed any more, but the bytes of the items must stay as they are until
/// the ticket has been waited for or freed. Haystacks of vkscan's may be freed meanwhile.
///
/// It fails with VKSCAN_STATUS_RING_FULL where what is in flight leaves no room, and then waiting for a ticket makes
/// some, or vkscan_ring_flush; with VKSCAN_STATUS_TOO_MANY_ITEMS where an empty ring would not have room, and then
/// `fit`, which may be NULL, gets how many of the first ones it has room for; and with VKSCAN_STATUS_CLOSED. What is
/// wrong with one item says its result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_publish(
    ring: Option<&vkscan_ring>,
    items: *const vkscan_ring_item,
    count: usize,
    ticket: *mut *mut vkscan_ring_ticket,
    fit: *mut usize,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, items, to_fit) = unsafe {
            let to = HandleOut::new(ticket, "ticket")?;
            (to, Items::read(items, count)?, Out::optional(fit, "fit")?)
        };
        let ticket = vkscan_ring_ticket::publish(of(ring)?, items).inspect_err(|error| {
            if let (RingError::TooMany { fit, .. }, Some(to)) = (error, to_fit) {
                to.set(*fit);
            }
        })?;
        to.set(ticket);
        Ok(())
    })
}

/// Waits for all that was published. What has come of it is kept for its tickets, and its slots are free.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_flush(ring: Option<&vkscan_ring>) -> vkscan_status {
    run(|| Ok(of(ring)?.lock().flush()?))
}

/// Frees memory that is only kept to be used again: lent memory that has come back, and what rounds and tickets leave.
/// `freed_bytes`, which may be NULL, gets the bytes of staging memory that were given back.
///
/// It fails with VKSCAN_STATUS_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_trim(
    ring: Option<&vkscan_ring>,
    freed_bytes: *mut u64,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::optional(freed_bytes, "freed_bytes") }?;
        let ring = of(ring)?;
        ring.spare().clear();
        let bytes = ring.lock().trim()?;
        if let Some(to) = to {
            to.set(bytes);
        }
        Ok(())
    })
}

/// Slots of the ring; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_slot_count(ring: Option<&vkscan_ring>) -> u32 {
    get(0, || Ok(of(ring)?.lock().slot_count()))
}

/// The slot that the first tenant's next item is published in, among those that it has; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_next_slot(ring: Option<&vkscan_ring>) -> u32 {
    get(0, || Ok(of(ring)?.lock().next_slot()))
}

/// Gives the backend that the ring is on, to be freed with vkscan_backend_free: another one than it was opened with,
/// once that was lost. Haystacks on the device are made from it.
///
/// It fails with VKSCAN_STATUS_CLOSED, also where what was lost could not be made anew.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_backend(
    ring: Option<&vkscan_ring>,
    backend: *mut *mut vkscan_backend,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(backend, "backend") }?;
        let backend = of(ring)?.lock().backend().cloned();
        to.set(vkscan_backend::new(backend.ok_or(RingError::Closed)?));
        Ok(())
    })
}

/// Reads a counter, which is a vkscan_ring_counter, of a tenant, from 0, or of all (VKSCAN_ALL_TENANTS), as it is right
/// now, also while work is in flight.
///
/// It fails with VKSCAN_STATUS_INVALID_ARGUMENT where there is no such tenant, or where `observable_slots` of
/// vkscan_ring_options does not make that counter readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_observe(
    ring: Option<&vkscan_ring>,
    tenant: u32,
    counter: u32,
    value: *mut u64,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::new(value, "value") }?;
        let session = of(ring)?.lock();
        let what = match counter {
            0 => RingObservable::Items,
            1 => RingObservable::Bytes,
            2 => RingObservable::Hits,
            3 => RingObservable::Faults,
            other => {
                return Err(Failure::argument(format!(
                    "`counter` {other} is no vkscan_ring_counter"
                )));
            }
        };
        let value = match tenant {
            VKSCAN_ALL_TENANTS => session.observe(what),
            tenant => session.observe_tenant(tenant, what),
        };
        to.set(value.ok_or_else(|| {
            Failure::argument(format!(
                "there is no tenant {tenant}, or counter {counter} is not readable: `observable_slots` has to be more"
            ))
        })?);
        Ok(())
    })
}

/// Waits for all that was published, and frees what the ring holds on device and host, but for memory that is lent.
/// Tickets of what was published before can be waited for still; nothing can be published any more, and nothing be
/// scanned again. A ring that has been shut down stays so.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_shutdown(ring: Option<&vkscan_ring>) -> vkscan_status {
    run(|| Ok(of(ring)?.lock().shutdown()?))
}

/// Shuts a ring down, unless that has been done, and frees it. It is gone whatever comes back; NULL is ignored.
///
/// It fails with VKSCAN_STATUS_STILL_IN_USE where tickets or batches are left that were not freed, and the ring goes
/// with the last of them; or where the device has not answered in time and still holds something, which it gives back
/// once it has (vkscan_backend_held_back). Any other status is the first fault; what can be freed is freed all the
/// same.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_free(ring: Option<Box<vkscan_ring>>) -> vkscan_status {
    run(|| {
        let Some(ring) = ring else { return Ok(()) };
        let Some(ring) = Arc::into_inner(ring.ring) else {
            let message =
                "tickets or batches of the ring are left: it is freed with the last of them";
            return Err(Failure::new(vkscan_status::StillInUse, message));
        };
        Ok(ring.lock().shutdown()?)
    })
}

/// The ring of a handle.
fn of(ring: Option<&vkscan_ring>) -> Result<&Arc<Ring>, Failure> {
    Ok(&ring.ok_or_else(|| Failure::null("ring"))?.ring)
}
