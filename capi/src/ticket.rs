//! Scans in flight: submitted by one call, and waited for by another.

use std::mem::replace;
use std::sync::{Arc, Mutex, PoisonError};

use vkscan::{Haystack, Match, RawSemaphore, ResidentRulePipeline, ScanStats, Ticket};

use crate::border::{HandleOut, Out, peek, vkscan_match};
use crate::haystack::{self, Source, vkscan_haystack};
use crate::objects::{semaphores, vkscan_raw_semaphore};
use crate::session::{self, Results, Scratch, Session, vkscan_scan_stats, vkscan_session};
use crate::status::{Failure, free, get, run, vkscan_status};

/// A scan that has been submitted. It holds a share in its session and in a haystack of vkscan's.
pub struct vkscan_ticket {
    state: Mutex<State>,
    /// What is reached when there is nothing to wait for any more.
    timeline: vkscan_raw_semaphore,
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
        waits: &[RawSemaphore],
        signals: &[RawSemaphore],
    ) -> Result<vkscan_ticket, Failure> {
        let session = session::of(session)?.clone();
        session.check_len(source.haystack().len())?;
        // SAFETY: the session is behind an `Arc` that the ticket holds for longer than the scan.
        let resident = unsafe { &*std::ptr::from_ref::<ResidentRulePipeline>(&session.resident) };
        // SAFETY: a haystack of ours is behind an `Arc` that is held, in `source`, for longer than the scan, and one of
        // the caller's stays, as the caller promises.
        let haystack =
            unsafe { std::mem::transmute::<Haystack<'_>, Haystack<'static>>(source.haystack()) };
        let ticket = resident.submit_with_semaphores(
            &session.backend,
            haystack,
            max_scan_bytes,
            waits,
            signals,
        )?;
        let timeline = ticket.timeline().map_or(vkscan_raw_semaphore::NONE, Into::into);
        Ok(vkscan_ticket {
            state: Mutex::new(State::InFlight(Box::new(InFlight { ticket, source }))),
            timeline,
            session,
        })
    }

    /// Whether there is nothing to wait for. While another thread waits there is.
    fn is_ready(&self) -> bool {
        peek(&self.state).is_some_and(|state| match &*state {
            State::InFlight(in_flight) => in_flight.ticket.is_ready(),
            _ => true,
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

/// Submits a scan of a haystack, wherever it is, and returns as soon as that is on its way. Until it is waited for with
/// vkscan_ticket_wait, further ones can be submitted, as many as the session takes at a time; where as many are in
/// flight already, this waits until one of them is over. The ticket is freed with vkscan_ticket_free. Bytes of the
/// caller's must stay as they are until the ticket has been waited for or freed. Haystacks of vkscan's may be freed
/// meanwhile, and staging memory must not be written to.
///
/// The scan keeps the order of semaphores of the caller's: it begins once all of the `wait_count` ones at `waits` are
/// reached, and when it is over all of the `signal_count` ones at `signals` are signalled, whether it failed or not.
/// Then the device no longer reads the haystack. The arrays may be NULL where there are none, and are not needed any
/// more when this returns.
///
/// A scan is over when vkscan_ticket_wait has returned or the ticket has been freed: only the host knows whether it has
/// to go on. So nothing that this thread waits for before that may wait for `signals`. vkscan_ticket_timeline is for
/// that.
///
/// It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE and VKSCAN_STATUS_WRONG_BACKEND, with VKSCAN_STATUS_INVALID_HANDLE
/// for a null semaphore, and with VKSCAN_STATUS_ALL_IN_FLIGHT where tickets that nobody waits for hold the session for
/// as long as a call waits. Nothing is signalled then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_submit_haystack(
    session: Option<&vkscan_session>,
    haystack: *const vkscan_haystack,
    max_scan_bytes: u32,
    waits: *const vkscan_raw_semaphore,
    wait_count: usize,
    signals: *const vkscan_raw_semaphore,
    signal_count: usize,
    ticket: *mut *mut vkscan_ticket,
) -> vkscan_status {
    // SAFETY: as the header asks of the caller.
    run(|| unsafe {
        let to = HandleOut::new(ticket, "ticket")?;
        let waits = semaphores(waits, wait_count, "waits")?;
        let signals = semaphores(signals, signal_count, "signals")?;
        let source = haystack::source(haystack)?;
        to.set(vkscan_ticket::submit(session, source, max_scan_bytes, &waits, &signals)?);
        Ok(())
    })
}

/// Whether all that has been submitted for the scan so far has run, so that waiting for it takes no longer than it
/// takes to fetch the matches; but for the few scans that go on then. It never waits itself. While another thread waits
/// for the ticket it is not, and of NULL it is not.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_ticket_is_ready(ticket: Option<&vkscan_ticket>) -> bool {
    get(false, || Ok(ticket.ok_or_else(|| Failure::null("ticket"))?.is_ready()))
}

/// Gives the timeline semaphore and the value that it reaches when vkscan_ticket_is_ready says so, to wait for among
/// others on the same device. Both are 0 where there was nothing to submit, as for a haystack of no bytes. The
/// semaphore is the session's, and there until the ticket is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_ticket_timeline(
    ticket: Option<&vkscan_ticket>,
    semaphore: *mut vkscan_raw_semaphore,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::new(semaphore, "semaphore") }?;
        to.set(ticket.ok_or_else(|| Failure::null("ticket"))?.timeline);
        Ok(())
    })
}

/// Waits for a scan's end, and gives its matches as vkscan_scan_haystack does. The ticket keeps them until it is freed: where
/// `matches` was too small, it can be waited for again. `stats` may be NULL.
///
/// It fails as vkscan_scan_haystack does. After another failure than VKSCAN_STATUS_BUFFER_TOO_SMALL, what was found is lost.
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
