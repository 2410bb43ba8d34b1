//! Scans in flight: submitted by one call, and waited for by another.

use std::mem::replace;
use std::sync::{Arc, Mutex, PoisonError};

use vkscan::{Haystack, Match, ResidentRulePipeline, ScanStats, Ticket};

use crate::border::{self, HandleOut, vkscan_match};
use crate::haystack::{
    Source, resident_source, staged_source, vkscan_resident_haystack, vkscan_staged_haystack,
};
use crate::session::{self, Results, Scratch, Session, vkscan_scan_stats, vkscan_session};
use crate::status::{Failure, free, run, vkscan_status};

/// A scan that has been submitted. It holds a share in its session and in a haystack of vkscan's.
pub struct vkscan_ticket {
    state: Mutex<State>,
    /// Goes after the scan, which borrows it.
    session: Arc<Session>,
}

enum State {
    InFlight(Box<InFlight>),
    Found { matches: Vec<Match>, stats: ScanStats },
    Failed,
}

/// A scan, and what it borrows, which goes after it.
struct InFlight {
    ticket: Ticket<'static>,
    source: Source<'static>,
}

impl vkscan_ticket {
    /// Submits a scan.
    ///
    /// # Safety
    ///
    /// Bytes that are the caller's stay until the scan is waited for or dropped.
    unsafe fn submit(
        session: Option<&vkscan_session>,
        source: Source<'static>,
        max_scan_bytes: u32,
    ) -> Result<vkscan_ticket, Failure> {
        let session = session::of(session)?.clone();
        session.check_len(source.haystack().len())?;
        // SAFETY: the session is behind an `Arc` that the ticket holds for longer than the scan.
        let resident = unsafe { &*std::ptr::from_ref::<ResidentRulePipeline>(&session.resident) };
        // SAFETY: a haystack of ours is behind an `Arc` that is held, in `source`, for longer than the scan, and one of
        // the caller's stays, as the caller promises.
        let haystack =
            unsafe { std::mem::transmute::<Haystack<'_>, Haystack<'static>>(source.haystack()) };
        let ticket = resident.submit_bounded(&session.backend, haystack, max_scan_bytes)?;
        Ok(vkscan_ticket {
            state: Mutex::new(State::InFlight(Box::new(InFlight { ticket, source }))),
            session,
        })
    }

    fn wait(&self, to: &Results) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match replace(&mut *state, State::Failed) {
            State::InFlight(in_flight) => {
                let InFlight { ticket, source } = *in_flight;
                let mut matches = Vec::new();
                let waited = self.session.with_scratch(|Scratch { scratch, .. }| {
                    ticket.wait_into(&mut matches, scratch)
                });
                drop(source);
                let stats = waited.map_err(|error| to.fail(error))?;
                State::Found { matches, stats }
            }
            known => known,
        };
        match &*state {
            State::Found { matches, stats } => to.give(stats, matches),
            _ => Err(Failure::argument(
                "the ticket's scan has failed before: free it, and submit again",
            )),
        }
    }
}

/// Submits a scan, as vkscan_scan does, and returns as soon as the haystack is on its way. Until it is waited for with
/// vkscan_ticket_wait, further ones can be submitted, as many as the session takes at a time; where as many are in
/// flight already, this waits until one of them is over. The ticket is freed with vkscan_ticket_free, and `haystack`
/// must stay as it is until the ticket has been waited for or freed.
///
/// It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE, and with VKSCAN_STATUS_ALL_IN_FLIGHT where tickets that nobody waits
/// for hold the session for as long as a call waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_submit(
    session: Option<&vkscan_session>,
    haystack: *const u8,
    len: usize,
    max_scan_bytes: u32,
    ticket: *mut *mut vkscan_ticket,
) -> vkscan_status {
    // SAFETY: as the header asks of the caller.
    run(|| unsafe {
        let to = HandleOut::new(ticket, "ticket")?;
        let source = Source::Bytes(border::slice(haystack, len, "haystack")?);
        to.set(vkscan_ticket::submit(session, source, max_scan_bytes)?);
        Ok(())
    })
}

/// As vkscan_submit, of staging memory. That may be freed meanwhile, and must not be written to.
///
/// It fails with VKSCAN_STATUS_WRONG_BACKEND, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_submit_staged(
    session: Option<&vkscan_session>,
    haystack: Option<&vkscan_staged_haystack>,
    max_scan_bytes: u32,
    ticket: *mut *mut vkscan_ticket,
) -> vkscan_status {
    // SAFETY: as the header asks of the caller.
    run(|| unsafe {
        let to = HandleOut::new(ticket, "ticket")?;
        to.set(vkscan_ticket::submit(session, staged_source(haystack)?, max_scan_bytes)?);
        Ok(())
    })
}

/// As vkscan_submit, of a haystack on the device. That may be freed meanwhile.
///
/// It fails with VKSCAN_STATUS_WRONG_BACKEND, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_submit_resident(
    session: Option<&vkscan_session>,
    haystack: Option<&vkscan_resident_haystack>,
    max_scan_bytes: u32,
    ticket: *mut *mut vkscan_ticket,
) -> vkscan_status {
    // SAFETY: as the header asks of the caller.
    run(|| unsafe {
        let to = HandleOut::new(ticket, "ticket")?;
        to.set(vkscan_ticket::submit(session, resident_source(haystack)?, max_scan_bytes)?);
        Ok(())
    })
}

/// Waits for a scan's end, and gives its matches as vkscan_scan does. The ticket keeps them until it is freed: where
/// `matches` was too small, it can be waited for again. `stats` may be NULL.
///
/// It fails as vkscan_scan does. After another failure than VKSCAN_STATUS_BUFFER_TOO_SMALL, what was found is lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ticket_wait(
    ticket: Option<&vkscan_ticket>,
    matches: *mut vkscan_match,
    capacity: usize,
    count: *mut usize,
    stats: *mut vkscan_scan_stats,
) -> vkscan_status {
    run(|| {
        let ticket = ticket.ok_or_else(|| Failure::null("ticket"))?;
        // SAFETY: as the header asks of the caller.
        ticket.wait(&unsafe { Results::new(matches, capacity, count, stats) }?)
    })
}

/// Frees a ticket, whether it has been waited for or not. What its scan finds is dropped.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ticket_free(ticket: Option<Box<vkscan_ticket>>) {
    free(ticket);
}
