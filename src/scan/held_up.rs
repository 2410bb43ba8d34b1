//! Sessions on a device that does not answer for a while: calls time out once, nothing leaks, and all goes on afterwards.

use std::sync::Arc;

use super::*;
use crate::vulkan::testing::{Hold, TestBackend};
use crate::{BackendError, HeldBack};

const TEXT: &[u8] = b"abc foo_bar 12-34 aaab\nfood";

fn rules() -> RulePipeline {
    RulePipeline::new(&["a+b?", r"\bfoo\b", r"\d+-\d+"]).unwrap()
}

fn session(backend: &Backend, scans_in_flight: usize) -> ResidentRulePipeline {
    let options = SessionOptions::new(1000, 100).scans_in_flight(Some(scans_in_flight));
    rules().prepare_resident_with(backend, &options).unwrap()
}

fn scan<'h>(
    session: &ResidentRulePipeline,
    backend: &Backend,
    haystack: impl Into<Haystack<'h>>,
) -> Result<Vec<Match>, ScanError> {
    let mut matches = Vec::new();
    session.scan_into(backend, haystack, &mut matches, &mut ScanScratch::default())?;
    Ok(matches)
}

fn is_timeout(error: &ScanError) -> bool {
    matches!(error, ScanError::Backend(BackendError::Timeout { .. }))
}

/// Pipelines stay with the backend, and are no concern of a session's end.
fn with_pipelines() -> (TestBackend, usize) {
    let backend = TestBackend::new();
    rules().scan(&backend, TEXT).unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
    let objects = backend.device().live_objects();
    (backend, objects)
}

#[test]
fn a_session_that_is_freed_or_dropped_is_given_back_when_the_device_answers() {
    let (backend, objects) = with_pipelines();
    for is_freed in [true, false] {
        let session = session(&backend, 3);
        let allocated = backend.allocated_bytes();
        let hold = Hold::new(backend.device());
        for _ in 0..3 {
            drop(session.submit(&backend, TEXT).unwrap());
        }
        if is_freed {
            let error = session.free(&backend).unwrap_err();
            let ScanError::Backend(BackendError::StillInUse { bytes }) = error else {
                panic!("{error}");
            };
            assert!(bytes > 0 && bytes <= allocated, "{bytes} of {allocated}");
            // Staging memory that no commands name is given back at once, and nothing else is allocated.
            assert_eq!(bytes, backend.allocated_bytes());
            assert_eq!(bytes, backend.held_back().bytes);
            assert!(error.to_string().contains(&bytes.to_string()), "{error}");
        } else {
            drop(session);
        }
        assert_eq!(hold.patiences(), 1, "once for all frames and commands");
        let HeldBack { bytes, objects: held } = backend.held_back();
        assert!(bytes > 0 && held > 0);
        drop(hold);
        assert_eq!(backend.held_back(), HeldBack::default());
        assert_eq!((backend.allocated_bytes(), backend.device().live_objects()), (0, objects));
    }
}

/// Whatever call comes next gives back what was held.
#[test]
fn any_later_call_gives_back() {
    let (backend, _) = with_pipelines();
    let other = session(&backend, 1);
    let calls: [(&str, &dyn Fn()); 3] = [
        ("scan", &|| drop(scan(&other, &backend, TEXT).unwrap())),
        ("upload", &|| drop(ResidentHaystack::new(&backend, TEXT).unwrap())),
        ("lend", &|| drop(other.staging(&backend, 10).unwrap())),
    ];
    for (name, call) in calls {
        let session = session(&backend, 1);
        let hold = Hold::new(backend.device());
        drop(session.submit(&backend, TEXT).unwrap());
        session.free(&backend).unwrap_err();
        drop(hold);
        assert!(backend.device().is_holding_back());
        call();
        assert!(!backend.device().is_holding_back(), "{name}");
    }
}

#[test]
fn what_fails_meanwhile_leaves_nothing_behind() {
    let (backend, objects) = with_pipelines();
    let hold = Hold::new(backend.device());
    let timeouts = [
        rules().prepare_resident(&backend, 1000, 100).map(drop),
        ResidentHaystack::new(&backend, &[b'a'; 100_000]).map(drop),
        rules().scan(&backend, TEXT).map(drop),
    ];
    for timeout in timeouts {
        assert!(is_timeout(&timeout.unwrap_err()));
    }
    assert_eq!(hold.patiences(), 3, "once for each call");
    assert!(backend.held_back().bytes > 0);
    drop(hold);
    assert_eq!((backend.allocated_bytes(), backend.device().live_objects()), (0, objects));
}

#[test]
fn a_session_goes_on_when_the_device_answers() {
    let (backend, objects) = with_pipelines();
    let session = session(&backend, 3);
    let expected = scan(&session, &backend, TEXT).unwrap();
    let hold = Hold::new(backend.device());
    let text = TEXT.repeat(8);
    let calls: [&dyn Fn() -> Result<(), ScanError>; 3] = [
        &|| scan(&session, &backend, TEXT).map(drop),
        &|| {
            let mut scratch = ScanScratch::default();
            let reader = &mut &text[..];
            let scanned = session.scan_reader(&backend, reader, u32::MAX, &mut scratch, |_, _| ());
            scanned.map(drop).map_err(ScanError::from)
        },
        &|| {
            let mut matches = Vec::new();
            let ticket = session.submit(&backend, TEXT)?;
            ticket.wait_into(&mut matches, &mut ScanScratch::default()).map(drop)
        },
    ];
    for call in calls {
        // It takes a frame on which nothing runs, and does not wait for the others.
        assert!(is_timeout(&call().unwrap_err()));
        assert_eq!(hold.patiences(), 1);
    }
    // There is no other frame left.
    assert!(is_timeout(&session.submit(&backend, TEXT).unwrap_err()));
    assert_eq!(hold.patiences(), 1);
    drop(hold);
    for _ in 0..4 {
        assert_eq!(scan(&session, &backend, TEXT).unwrap(), expected);
    }
    session.free(&backend).unwrap();
    assert_eq!((backend.allocated_bytes(), backend.device().live_objects()), (0, objects));
}

#[test]
fn frames_on_which_nothing_runs_are_taken_first() {
    let (backend, _) = with_pipelines();
    let session = session(&backend, 2);
    let hold = Hold::new(backend.device());
    assert!(is_timeout(&scan(&session, &backend, TEXT).unwrap_err()));
    assert_eq!(hold.patiences(), 1);
    let ticket = session.submit(&backend, TEXT).unwrap();
    assert_eq!(hold.patiences(), 0, "it need not wait for the other frame");
    drop(hold);
    let mut matches = Vec::new();
    ticket.wait_into(&mut matches, &mut ScanScratch::default()).unwrap();
    assert_eq!(matches, rules().reference_scan(TEXT));
}

#[test]
fn the_last_handle_waits_for_the_device() {
    let backend = TestBackend::new();
    let session = session(&backend, 2);
    let hold = Hold::new(backend.device());
    drop(session.submit(&backend, TEXT).unwrap());
    session.free(&backend).unwrap_err();
    let objects = hold.objects();
    assert!(objects > 0);
    // Validation would tell of anything that outlives the device.
    hold.release_during(|| drop(backend));
    assert_eq!(hold.objects(), 0);
}

#[test]
fn the_last_handle_leaks_what_the_device_never_gives_back() {
    let backend = TestBackend::new();
    let session = session(&backend, 2);
    let hold = Hold::new(backend.device());
    drop(session.submit(&backend, TEXT).unwrap());
    session.free(&backend).unwrap_err();
    let objects = hold.objects();
    hold.patiences();
    drop(backend);
    assert_eq!(hold.patiences(), 1);
    assert!((1..=objects).contains(&hold.objects()));
}

#[test]
fn a_dropped_haystack_is_given_back_at_once() {
    let (backend, _) = with_pipelines();
    let [one, two] = [session(&backend, 2), session(&backend, 1)];
    let before = backend.allocated_bytes();
    let expected = rules().reference_scan(TEXT);
    for round in 0..3 {
        let haystack = ResidentHaystack::new(&backend, TEXT).unwrap();
        assert!(backend.allocated_bytes() > before);
        for session in [&one, &two, &one] {
            assert_eq!(scan(session, &backend, &haystack).unwrap(), expected);
        }
        let tickets = [one.submit(&backend, &haystack), one.submit(&backend, &haystack)];
        for ticket in tickets {
            let mut matches = Vec::new();
            ticket.unwrap().wait_into(&mut matches, &mut ScanScratch::default()).unwrap();
            assert_eq!(matches, expected);
        }
        drop(haystack);
        assert_eq!(backend.allocated_bytes(), before, "{round}");
        assert_eq!(scan(&one, &backend, TEXT).unwrap(), expected);
    }
    // While it is scanned, it stays until that has ended.
    let haystack = ResidentHaystack::new(&backend, TEXT).unwrap();
    let hold = Hold::new(backend.device());
    drop(one.submit(&backend, &haystack).unwrap());
    drop(haystack);
    assert!(backend.allocated_bytes() > before);
    drop(hold);
    for _ in 0..2 {
        assert_eq!(scan(&one, &backend, TEXT).unwrap(), expected);
    }
    assert_eq!(backend.allocated_bytes(), before);
}

#[test]
fn lent_memory_is_trimmed() {
    let (backend, _) = with_pipelines();
    let session = session(&backend, 1);
    let before = backend.allocated_bytes();
    assert_eq!(session.trim().unwrap(), 0);
    let lend = || {
        let mut lent = session.staging(&backend, TEXT.len()).unwrap();
        lent.copy_from_slice(TEXT);
        lent
    };
    let lent = [lend(), lend(), lend()];
    let each = (backend.allocated_bytes() - before) / 3;
    for lent in &lent {
        assert_eq!(scan(&session, &backend, lent).unwrap(), rules().reference_scan(TEXT));
    }
    let [kept, others @ ..] = lent;
    drop(others);
    assert_eq!(backend.allocated_bytes(), before + 3 * each);
    assert_eq!(session.trim().unwrap(), 2 * each);
    assert_eq!(backend.allocated_bytes(), before + each);
    assert_eq!(scan(&session, &backend, &kept).unwrap(), rules().reference_scan(TEXT));

    // What is still read is not given back, and not counted.
    let hold = Hold::new(backend.device());
    drop(session.submit(&backend, &kept).unwrap());
    drop(kept);
    assert_eq!(session.trim().unwrap(), 0);
    assert_eq!(backend.allocated_bytes(), before + each);
    drop(hold);
    assert_eq!(scan(&session, &backend, TEXT).unwrap(), rules().reference_scan(TEXT));
    assert_eq!(backend.allocated_bytes(), before);
    assert_eq!(session.trim().unwrap(), 0);
}

/// Threads that wait for each other's frames do not wait for one another's patience.
#[test]
fn threads_time_out_together() {
    let (backend, _) = with_pipelines();
    let session = Arc::new(session(&backend, 2));
    let hold = Hold::new(backend.device());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert!(is_timeout(&scan(&session, &backend, TEXT).unwrap_err())));
        }
    });
    drop(hold);
    assert_eq!(scan(&session, &backend, TEXT).unwrap(), rules().reference_scan(TEXT));
}
