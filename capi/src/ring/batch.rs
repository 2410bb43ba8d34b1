//! Lent memory that items are read straight into.

use std::mem::replace;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vkscan::{RingBatch, RingNotPublished, RingSession};

use super::ticket::vkscan_ring_ticket;
use super::{Ring, item, vkscan_ring};
use crate::border::{HandleOut, Out};
use crate::status::{Failure, free, get, run, vkscan_status};

/// Staging memory lent by a ring, for items of one tenant: what is read straight into it needs no packing. It holds a
/// share in its ring.
pub struct vkscan_ring_batch {
    place: Arc<Place>,
    ring: Arc<Ring>,
}

/// Where a batch is, as its handle and its ticket know.
pub(super) struct Place(Mutex<At>);

enum At {
    Here(RingBatch),
    Published,
    /// It went with its ticket, or with a lost device.
    Lost,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, At> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a batch that has been waited for be filled again; or lent again, if nobody has its handle any more.
    pub(super) fn come_back(self: &Arc<Self>, batch: RingBatch, session: &mut RingSession) {
        if Arc::strong_count(self) == 1 {
            session.give_back(batch);
        } else {
            *self.lock() = At::Here(batch);
        }
    }

    /// Has it be gone.
    pub(super) fn lose(&self) {
        *self.lock() = At::Lost;
    }

    /// Takes the batch away, to publish it.
    fn take(&self) -> Result<RingBatch, Failure> {
        let mut at = self.lock();
        match replace(&mut *at, At::Published) {
            At::Here(batch) => Ok(batch),
            elsewhere => {
                *at = elsewhere;
                Err(at.failure())
            }
        }
    }

    /// Does something with the batch, if it is here.
    fn with<T>(
        &self,
        then: impl FnOnce(&mut RingBatch) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match &mut *self.lock() {
            At::Here(batch) => then(batch),
            elsewhere => Err(elsewhere.failure()),
        }
    }
}

impl At {
    /// Why it cannot be used.
    fn failure(&self) -> Failure {
        match self {
            At::Lost => Failure::new(
                vkscan_status::BatchLost,
                "the batch's memory went with its ticket, or with the device: free it, and lend another one",
            ),
            _ => {
                Failure::new(vkscan_status::Busy, "the batch is being scanned: wait for its ticket")
            }
        }
    }
}

impl Drop for vkscan_ring_batch {
    fn drop(&mut self) {
        let at = replace(&mut *self.place.lock(), At::Published);
        if let At::Here(batch) = at {
            self.ring.lock().give_back(batch);
        }
    }
}

/// Lends memory for items of a tenant, from 0: as many as its slots, and as `round_bytes` of vkscan_ring_options hold.
/// It goes back with vkscan_ring_batch_free, and is kept to be lent again; vkscan_ring_trim frees what is not lent.
///
/// It fails with VKSCAN_STATUS_NO_RULES and VKSCAN_STATUS_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_lend(
    ring: Option<&vkscan_ring>,
    tenant: u32,
    batch: *mut *mut vkscan_ring_batch,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(batch, "batch") }?;
        let ring = super::of(ring)?;
        let lent = ring.lock().lend(tenant)?;
        let place = Arc::new(Place(Mutex::new(At::Here(lent))));
        to.set(vkscan_ring_batch { place, ring: ring.clone() });
        Ok(())
    })
}

/// Makes room for an item of `len` bytes and of at most `max_matches` matches; 0 for as many as its tenant may have.
/// `bytes` gets where they are: they hold anything at first, and may be written to by any thread, until the batch is
/// published or cleared; when its ticket has been waited for they are there again. Reading them is slow on many
/// devices. Of no bytes there may be no address that means anything.
///
/// It fails with VKSCAN_STATUS_RING_FULL where there is no more room in the batch, with VKSCAN_STATUS_BUSY while it is
/// scanned, and with VKSCAN_STATUS_BATCH_LOST.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_batch_reserve(
    batch: Option<&vkscan_ring_batch>,
    id: u64,
    len: usize,
    max_matches: u32,
    bytes: *mut *mut u8,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::new(bytes, "bytes") }?;
        of(batch)?.place.with(|batch| {
            if !batch.reserve(id, len, item::max_matches(max_matches)) {
                let count = batch.len();
                let message = format!(
                    "the batch has {count} items and no room for one of {len} bytes: publish it first"
                );
                return Err(Failure::new(vkscan_status::RingFull, message));
            }
            to.set(batch.bytes_mut(batch.len() - 1).as_mut_ptr());
            Ok(())
        })
    })
}

/// Makes the item at `index`, from 0, shorter: what is behind `len` is not scanned. Where it is shorter already, it
/// stays as it is.
///
/// It fails with VKSCAN_STATUS_BUSY while the batch is scanned, and with VKSCAN_STATUS_BATCH_LOST.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_batch_truncate(
    batch: Option<&vkscan_ring_batch>,
    index: usize,
    len: usize,
) -> vkscan_status {
    run(|| {
        of(batch)?.place.with(|batch| {
            let count = batch.len();
            if index >= count {
                return Err(Failure::argument(format!(
                    "`index` is {index}, and there are {count} items"
                )));
            }
            batch.truncate(index, len);
            Ok(())
        })
    })
}

/// Items that there is room for; 0 for NULL, and while they are scanned.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_batch_count(batch: Option<&vkscan_ring_batch>) -> usize {
    get(0, || of(batch)?.place.with(|batch| Ok(batch.len())))
}

/// Forgets all items, so that others take their place.
///
/// It fails with VKSCAN_STATUS_BUSY while they are scanned, and with VKSCAN_STATUS_BATCH_LOST.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_batch_clear(batch: Option<&vkscan_ring_batch>) -> vkscan_status {
    run(|| {
        of(batch)?.place.with(|batch| {
            batch.clear();
            Ok(())
        })
    })
}

/// Publishes what is in a batch, as vkscan_ring_publish does. Until the ticket has been waited for, the batch cannot be
/// used; then it has the same items still, and others once it is cleared. It may be freed meanwhile.
///
/// It fails with VKSCAN_STATUS_RING_FULL and VKSCAN_STATUS_CLOSED, and the batch is as it was then; with
/// VKSCAN_STATUS_BUSY while it is scanned already; and with VKSCAN_STATUS_BATCH_LOST where it went with a lost device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_batch_publish(
    batch: Option<&vkscan_ring_batch>,
    ticket: *mut *mut vkscan_ring_ticket,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(ticket, "ticket") }?;
        let vkscan_ring_batch { place, ring } = of(batch)?;
        let taken = place.take()?;
        let published = ring.lock().publish_batch(taken).map_err(|refused| {
            let RingNotPublished { error, batch } = *refused;
            *place.lock() = batch.map_or(At::Lost, At::Here);
            error
        })?;
        to.set(vkscan_ring_ticket::of_batch(ring, published, place.clone()));
        Ok(())
    })
}

/// Gives a batch's memory back to its ring. Where a ticket still scans it, it goes back with that.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_batch_free(batch: Option<Box<vkscan_ring_batch>>) {
    free(batch);
}

fn of(batch: Option<&vkscan_ring_batch>) -> Result<&vkscan_ring_batch, Failure> {
    batch.ok_or_else(|| Failure::null("batch"))
}
