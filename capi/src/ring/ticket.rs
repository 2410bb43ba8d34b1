//! Items that were published, and what has come of them.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::mem::replace;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vkscan::{
    RingError, RingItem, RingItemError, RingPublished, RingPublishedBatch, RingResults, RingStats,
};

use super::Ring;
use super::batch::Place;
use super::item::Items;
use crate::backend::c_text;
use crate::border::{SizedOut, matches_of, peek, sized, vkscan_match};
use crate::session::{nanoseconds, vkscan_scan_stats};
use crate::status::{Failure, free, get, run, vkscan_status};

/// Items that were published together. It holds a share in its ring.
pub struct vkscan_ring_ticket {
    state: Mutex<State>,
    /// Goes after what is in flight.
    ring: Arc<Ring>,
}

enum State {
    InFlight(InFlight),
    Found(Box<Found>),
    Failed,
}

/// What was published, and what it borrows, which goes after it.
enum InFlight {
    Items { published: RingPublished<'static>, items: Items },
    Batch { published: RingPublishedBatch, place: Arc<Place> },
}

/// What has come of items.
struct Found {
    results: RingResults,
    /// What is wrong with items, by their places.
    texts: BTreeMap<usize, CString>,
}

/// What has come of one item.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_ring_result {
    /// sizeof(vkscan_ring_result).
    pub struct_size: u32,
    /// A vkscan_status: VKSCAN_STATUS_OK, or why the item has no matches to show. Those of the others stand.
    /// - VKSCAN_STATUS_TOO_MANY_MATCHES: there are more than the item or its tenant may have.
    /// - VKSCAN_STATUS_HAYSTACK_TOO_LARGE: it does not fit a round.
    /// - VKSCAN_STATUS_NO_RULES: its tenant has none.
    /// - VKSCAN_STATUS_INVALID_ARGUMENT: it does not lie in its haystack on the device.
    /// - VKSCAN_STATUS_WRONG_BACKEND: that is on another device than the ring.
    /// - VKSCAN_STATUS_ITEM_FAULTED: the device has not looked at it. Publish it again.
    pub status: i32,
    /// What the caller gave as `id`.
    pub id: u64,
    /// The same as a text; NULL if nothing is wrong. It is valid until the ticket is freed.
    pub message: *const c_char,
    /// `match_count` matches, sorted, whose offsets count from the item's first byte; NULL if there are none. They are
    /// valid until the ticket is freed.
    pub matches: *const vkscan_match,
    /// Their number.
    pub match_count: usize,
    /// The same, or how many were counted where they are too many.
    pub found: u64,
    /// 1 if the rest of the item was not counted then, or else 0.
    pub at_least: u32,
    /// 0.
    pub reserved: u32,
}

/// What it took to scan items; times are in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_ring_stats {
    /// sizeof(vkscan_ring_stats).
    pub struct_size: u32,
    /// Rounds that were published.
    pub rounds: u32,
    /// 1 if the device was lost meanwhile, and the items scanned on another, or else 0.
    pub recovered: u32,
    /// 0.
    pub reserved: u32,
    /// Packing items and writing their slots.
    pub packing_ns: u64,
    /// Dividing matches among their items.
    pub decoding_ns: u64,
}

sized!(vkscan_ring_result, vkscan_ring_stats);

impl InFlight {
    fn is_ready(&self) -> bool {
        match self {
            InFlight::Items { published, .. } => published.is_ready(),
            InFlight::Batch { published, .. } => published.is_ready(),
        }
    }

    /// Waits without the ring, which others can use meanwhile.
    fn wait(&self) -> Result<(), RingError> {
        match self {
            InFlight::Items { published, .. } => published.wait(),
            InFlight::Batch { published, .. } => published.wait(),
        }
    }

    fn collect(self, ring: &Ring) -> Result<Box<Found>, RingError> {
        let mut results = ring.take_results();
        match self {
            InFlight::Items { published, items } => {
                ring.lock().collect_into(published, &mut results)?;
                drop(items);
            }
            InFlight::Batch { published, place } => {
                let mut session = ring.lock();
                let batch = session.collect_batch(published, &mut results);
                place.come_back(batch.inspect_err(|_| place.lose())?, &mut session);
            }
        }
        Ok(Box::new(Found::new(results)))
    }
}

impl Found {
    fn new(results: RingResults) -> Found {
        let is_wrong = |(index, result): (usize, vkscan::RingItemResult)| {
            Some((index, c_text(&result.matches.err()?.to_string())))
        };
        let texts = results.iter().enumerate().filter_map(is_wrong).collect();
        Found { results, texts }
    }
}

impl vkscan_ring_ticket {
    fn new(ring: &Arc<Ring>, state: State) -> vkscan_ring_ticket {
        vkscan_ring_ticket { state: Mutex::new(state), ring: ring.clone() }
    }

    pub(super) fn publish(ring: &Arc<Ring>, items: Items) -> Result<vkscan_ring_ticket, RingError> {
        // SAFETY: the items are behind a pointer of their own that is held for longer than what is published.
        let borrowed = unsafe { &*ptr::from_ref::<[RingItem<'static>]>(&items) };
        let published = ring.lock().publish(borrowed)?;
        Ok(Self::new(ring, State::InFlight(InFlight::Items { published, items })))
    }

    /// Of a batch that has been published.
    pub(super) fn of_batch(
        ring: &Arc<Ring>,
        published: RingPublishedBatch,
        place: Arc<Place>,
    ) -> vkscan_ring_ticket {
        Self::new(ring, State::InFlight(InFlight::Batch { published, place }))
    }

    /// Of items that are done.
    pub(super) fn found(ring: &Arc<Ring>, results: RingResults) -> vkscan_ring_ticket {
        Self::new(ring, State::Found(Box::new(Found::new(results))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is nothing to wait for. While another thread waits there is.
    fn is_ready(&self) -> bool {
        peek(&self.state).is_some_and(|state| match &*state {
            State::InFlight(in_flight) => in_flight.is_ready(),
            _ => true,
        })
    }

    fn wait(&self) -> Result<(), Failure> {
        let mut state = self.lock();
        if let State::InFlight(in_flight) = &*state {
            in_flight.wait()?;
        }
        *state = match replace(&mut *state, State::Failed) {
            State::InFlight(in_flight) => State::Found(in_flight.collect(&self.ring)?),
            known => known,
        };
        match &*state {
            State::Found(_) => Ok(()),
            _ => Err(Failure::argument(
                "the ticket's scan has failed before: free it, and publish again",
            )),
        }
    }

    /// Does something with what has been found.
    fn with_found<T>(&self, then: impl FnOnce(&Found) -> Result<T, Failure>) -> Result<T, Failure> {
        match &*self.lock() {
            State::Found(found) => then(found),
            State::InFlight(_) => {
                Err(Failure::new(vkscan_status::Busy, "the ticket has not been waited for"))
            }
            State::Failed => {
                Err(Failure::argument("the ticket's scan has failed: free it, and publish again"))
            }
        }
    }
}

impl Drop for vkscan_ring_ticket {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        match replace(state, State::Failed) {
            State::Found(found) => self.ring.spare().push(found.results),
            State::InFlight(InFlight::Batch { place, .. }) => place.lose(),
            _ => {}
        }
    }
}

/// Whether all that has been submitted for the items so far has run, so that waiting for them takes no longer than it
/// takes to fetch the matches; but for the few that go on then, or were held up by a fault of the device. It never
/// waits itself. While another thread waits for the ticket it is not, and of NULL it is not.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_ticket_is_ready(ticket: Option<&vkscan_ring_ticket>) -> bool {
    get(false, || Ok(of(ticket)?.is_ready()))
}

/// Waits until what has come of all items is known. The ticket keeps it until it is freed: it can be waited for again.
/// Meanwhile other threads can use the ring.
///
/// It fails with VKSCAN_STATUS_TIMEOUT where the device has not answered, and as a rule it can be waited for again
/// then; for a batch with VKSCAN_STATUS_BATCH_LOST; and after the loss of the device, unless the ring could be made
/// anew and the items be scanned again.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_ticket_wait(ticket: Option<&vkscan_ring_ticket>) -> vkscan_status {
    run(|| of(ticket)?.wait())
}

/// Number of items; 0 for NULL, and until they have been waited for.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_ticket_count(ticket: Option<&vkscan_ring_ticket>) -> usize {
    get(0, || of(ticket)?.with_found(|found| Ok(found.results.len())))
}

/// Tells what has come of the item at `index`, from 0, in the order in which they were published.
///
/// It fails with VKSCAN_STATUS_BUSY where the ticket has not been waited for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_ticket_result(
    ticket: Option<&vkscan_ring_ticket>,
    index: usize,
    result: *mut vkscan_ring_result,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { SizedOut::new(result, "result") }?;
        of(ticket)?.with_found(|Found { results, texts }| {
            let result = results.get(index).ok_or_else(|| {
                let count = results.len();
                Failure::argument(format!("`index` is {index}, and there are {count} items"))
            })?;
            let matches = result.matches.unwrap_or_default();
            let (status, found, at_least) = match result.matches {
                Ok(matches) => (vkscan_status::Ok, matches.len() as u64, false),
                Err(&RingItemError::TooManyMatches { found, at_least, .. }) => {
                    (vkscan_status::TooManyMatches, found, at_least)
                }
                Err(error) => (error.into(), 0, false),
            };
            to.set(vkscan_ring_result {
                struct_size: 0,
                status: status as i32,
                id: result.id,
                message: texts.get(&index).map_or(ptr::null(), |text| text.as_ptr()),
                matches: matches_of(matches),
                match_count: matches.len(),
                found,
                at_least: at_least.into(),
                reserved: 0,
            });
            Ok(())
        })
    })
}

/// Tells what it took: `stats` of the ring, and `scan`, which may be NULL, of all its scans together.
///
/// It fails with VKSCAN_STATUS_BUSY where the ticket has not been waited for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ring_ticket_stats(
    ticket: Option<&vkscan_ring_ticket>,
    stats: *mut vkscan_ring_stats,
    scan: *mut vkscan_scan_stats,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, to_scan) =
            unsafe { (SizedOut::new(stats, "stats")?, SizedOut::optional(scan, "scan")?) };
        of(ticket)?.with_found(|found| {
            let RingStats { rounds, recovered, packing, decoding, scan, .. } =
                found.results.stats();
            to.set(vkscan_ring_stats {
                struct_size: 0,
                rounds,
                recovered: recovered.into(),
                reserved: 0,
                packing_ns: nanoseconds(packing),
                decoding_ns: nanoseconds(decoding),
            });
            if let Some(to) = to_scan {
                to.set((&scan).into());
            }
            Ok(())
        })
    })
}

/// Frees a ticket, whether it has been waited for or not, and what was asked of it. What its scan finds is dropped, and
/// so is the memory of a batch that was not waited for.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ring_ticket_free(ticket: Option<Box<vkscan_ring_ticket>>) {
    free(ticket);
}

fn of(ticket: Option<&vkscan_ring_ticket>) -> Result<&vkscan_ring_ticket, Failure> {
    ticket.ok_or_else(|| Failure::null("ticket"))
}
