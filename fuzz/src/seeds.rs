//! Targets on the bytes of one seed after the other.
//!
//! | variable | meaning |
//! |---|---|
//! | `VKSCAN_FUZZ_SECONDS` | how long each target runs; 20 without it |
//! | `VKSCAN_FUZZ_SEED` | the first seed; what a failure says makes it the first case |

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::generate;

static SEED: AtomicU64 = AtomicU64::new(0);

/// The seed that the case under way comes from, if it does from any.
#[allow(dead_code)]
pub fn current() -> u64 {
    SEED.load(Ordering::Relaxed)
}

/// Runs a target, and says of how many cases, and whether it had anything to compare.
pub fn run(name: &str, mut target: impl FnMut(&[u8]) -> usize) {
    let number = |variable: &str| {
        let value = std::env::var(variable).ok()?;
        Some(value.parse::<u64>().unwrap_or_else(|error| panic!("{variable}={value}: {error}")))
    };
    let seconds = Duration::from_secs(number("VKSCAN_FUZZ_SECONDS").unwrap_or(20));
    let first = number("VKSCAN_FUZZ_SEED").unwrap_or(1);
    let clock = Instant::now();
    let (mut cases, mut found) = (0, 0);
    while cases == 0 || clock.elapsed() < seconds {
        let seed = first + cases;
        SEED.store(seed, Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&bytes_of(seed))));
        found += outcome.unwrap_or_else(|reason| {
            say(&format!("{name}: after {cases} cases, VKSCAN_FUZZ_SEED={seed} fails"));
            std::panic::resume_unwind(reason)
        });
        cases += 1;
    }
    let seconds = clock.elapsed().as_secs_f32();
    say(&format!(
        "{name}: {cases} cases from seed {first} on in {seconds:.0} s, {found} compared, 0 disagreements"
    ));
    assert!(found > 0, "{name} compares nothing");
}

/// Says something past the test harness, which swallows what a passing test prints.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

pub fn bytes_of(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let len = 32 + generate::next(&mut state) % 2000;
    (0..len).map(|_| generate::next(&mut state) as u8).collect()
}
