//! The fuzz targets of `fuzz/`, from seeds: each for some seconds, with a case for every seed.
//!
//! | variable | meaning |
//! |---|---|
//! | `VKSCAN_FUZZ_SECONDS` | how long each target runs; 20 without it |
//! | `VKSCAN_FUZZ_SEED` | the first seed; what a failure says makes it the first case |

#![cfg(unix)]

mod common;
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::say;

/// Runs a target on the bytes of one seed after the other.
fn run(name: &str, target: fn(&[u8]) -> usize) {
    // What takes long is told by the process' CPU time, so nothing else may run meanwhile.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);

    let number = |variable: &str| {
        let value = std::env::var(variable).ok()?;
        Some(value.parse::<u64>().unwrap_or_else(|error| panic!("{variable}={value}: {error}")))
    };
    let seconds = Duration::from_secs(number("VKSCAN_FUZZ_SECONDS").unwrap_or(20));
    let first = number("VKSCAN_FUZZ_SEED").unwrap_or(1);
    let clock = Instant::now();
    let (mut cases, mut found, mut slowest) = (0, 0, (Duration::ZERO, 0));
    while cases == 0 || clock.elapsed() < seconds {
        let seed = first + cases;
        let begun = fuzz::watchdog::cpu_time();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            fuzz::watchdog::at_seed(seed);
            target(&bytes_of(seed))
        }));
        slowest = slowest.max((fuzz::watchdog::cpu_time() - begun, seed));
        found += outcome.unwrap_or_else(|reason| {
            say(&format!("{name}: after {cases} cases, VKSCAN_FUZZ_SEED={seed} fails"));
            std::panic::resume_unwind(reason)
        });
        cases += 1;
    }
    say(&format!(
        "{name}: {cases} cases from seed {first} on in {:.0} s, {found} compared, 0 disagreements; seed {} took {:.1} s of CPU",
        clock.elapsed().as_secs_f32(),
        slowest.1,
        slowest.0.as_secs_f32(),
    ));
    assert!(found > 0, "{name} compares nothing");
}

fn bytes_of(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let len = 32 + fuzz::generate::next(&mut state) % 2000;
    (0..len).map(|_| fuzz::generate::next(&mut state) as u8).collect()
}

#[test]
fn rule_text() {
    run("rule text", fuzz::rule_text::run);
}

#[test]
fn matches() {
    run("matches", fuzz::matches::run);
}

#[test]
fn all_matches() {
    run("all matches", fuzz::all_matches::run);
}

#[test]
fn tables() {
    run("tables", fuzz::tables::run);
}

#[test]
fn ring_calls() {
    run("ring calls", fuzz::ring_calls::run);
}
