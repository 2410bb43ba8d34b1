//! Sessions of every kind on one device from many threads at once, for as long as `VKSCAN_SOAK_SECONDS` says (10 without
//! it): made, scanned with, made to fail, dropped and freed. Whatever is not meant to fail is exact, and nothing is left.
//! With the variable, for a run of its own, the process may not grow either.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::faults::{self, Failed, Flow, PATTERNS, TEXT};
use crate::{
    Backend, BackendOptions, ResidentHaystack, RingError, RingItem, RulePipeline, ScanError,
    ScanScratch, Validation,
};

const THREADS: usize = 8;

/// Of what threads do.
const KINDS: usize = 7;

/// How much more memory the process may have at its end than after a fifth of the time: allocators and drivers keep some
/// for each thread, and what grows with every session comes to far more.
const MOST_GROWTH: usize = 24 << 20;

#[test]
fn nothing_is_left_of_many_sessions() {
    let asked = std::env::var("VKSCAN_SOAK_SECONDS").ok().map(|text| text.parse().unwrap());
    let seconds = asked.unwrap_or(10);
    let all = Duration::from_secs(seconds);
    // The layer's own memory grows with every object that was ever there: 160 KiB with each of these rounds.
    let options = BackendOptions { validation: Validation::Off, ..BackendOptions::default() };
    let backend = Backend::new(&options).unwrap();
    // The backend keeps the pipelines that are made the first time.
    (0..KINDS).for_each(|step| do_one(&backend, step));
    let there_was = (backend.device().live_objects(), backend.allocated_bytes());
    let rounds = AtomicUsize::new(0);
    let clock = Instant::now();
    let soak = |until: Duration| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (backend, rounds) = (&backend, &rounds);
                scope.spawn(move || {
                    for step in thread.. {
                        do_one(backend, step);
                        rounds.fetch_add(1, Ordering::Relaxed);
                        if clock.elapsed() >= until {
                            break;
                        }
                    }
                });
            }
        });
        backend.device().wait_idle();
        assert_eq!((backend.device().live_objects(), backend.allocated_bytes()), there_was);
        assert_eq!(backend.held_back(), crate::HeldBack::default());
        resident_bytes()
    };
    let warm = soak(all / 5);
    let last = soak(all);
    let mib = |bytes: Option<usize>| bytes.map_or(f64::NAN, |bytes| bytes as f64 / 1048576.0);
    println!(
        "{} rounds of {THREADS} threads in {:.0} s; {:.1} MiB of the process after a fifth of them, {:.1} at the end",
        rounds.into_inner(),
        clock.elapsed().as_secs_f64(),
        mib(warm),
        mib(last),
    );
    // Else other tests of this process are under way, which take memory of their own.
    if asked.is_some() {
        assert!(last <= warm.map(|bytes| bytes + MOST_GROWTH), "the process grows");
    }
}

fn do_one(backend: &Backend, step: usize) {
    match step % KINDS {
        0 => run(&faults::Resident, backend),
        1 => run(&faults::Streamed, backend),
        2 => run(&faults::Tickets, backend),
        3 => run(&faults::Ring, backend),
        4 => too_much(backend),
        5 => leave_in_flight(backend).unwrap(),
        _ => leave_published(backend).unwrap(),
    }
}

fn run(flow: &impl Flow, backend: &Backend) {
    let mut session = flow.begin(backend).unwrap();
    for _ in 0..3 {
        flow.go_on(backend, &mut session).unwrap();
    }
    flow.end(backend, session).unwrap();
}

/// More than a session has room for, and then what it has.
fn too_much(backend: &Backend) {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(backend, TEXT.len(), 2).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    for _ in 0..3 {
        let mut scan = |haystack: &[u8]| {
            session.scan_into(backend, haystack, &mut matches, &mut scratch).map(|_| matches.len())
        };
        assert!(matches!(scan(TEXT), Err(ScanError::TooManyMatches { .. })));
        assert!(matches!(scan(&[0; 1000]), Err(ScanError::HaystackTooLarge { .. })));
        assert_eq!(scan(b"foobar and foobar").unwrap(), 2);
    }
    session.free(backend).unwrap();
}

/// Tickets, haystacks and a session that are dropped while the device may be at them.
fn leave_in_flight(backend: &Backend) -> Failed {
    let session = faults::prepare(backend, TEXT.len(), 2)?;
    let resident = ResidentHaystack::new(backend, TEXT)?;
    let mut staged = session.staging(backend, TEXT.len())?;
    staged.copy_from_slice(TEXT);
    let tickets = [session.submit(backend, &staged)?, session.submit(backend, &resident)?];
    drop(tickets);
    Ok(())
}

/// A ring session that goes with a round that nobody has collected.
fn leave_published(backend: &Backend) -> Result<(), RingError> {
    let mut session = faults::Ring.begin(backend)?;
    let items = [RingItem::new(1, TEXT)];
    let _published = session.publish(&items)?;
    drop(session);
    Ok(())
}

/// What the process has in memory, where the system says so.
fn resident_bytes() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}
