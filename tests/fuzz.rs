//! The fuzz targets of `fuzz/`, from seeds: each for some seconds, with a case for every seed. `fuzz/src/seeds.rs` says
//! how to run them for longer, and how to repeat a case.

#![cfg(unix)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::sync::{Mutex, MutexGuard, PoisonError};

use vkscan::{MatchKind, PipelineOptions};

/// What takes long is told by the process' CPU time, so nothing else may run meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(name: &str, target: fn(&[u8]) -> usize) {
    let _alone = alone();
    fuzz::seeds::run(name, target);
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

#[cfg(feature = "cli")]
#[test]
fn rule_files() {
    run("rule files", |bytes| fuzz::rule_files::run(bytes, env!("CARGO_BIN_EXE_vkscan").as_ref()));
}

#[test]
fn ring_calls() {
    run("ring calls", fuzz::ring_calls::run);
}

/// Small cases that once went wrong.
#[test]
fn kept_cases() {
    let _alone = alone();
    let cases: [(&str, &[u8]); 1] = [
        // What a match cut off in one DFA state was gone on from in the next.
        (r"(?:$|x\d|){2}", b"b x  o x1x2"),
    ];
    for (pattern, haystack) in cases {
        for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
            let options = PipelineOptions::default().match_kind(match_kind);
            let check = match match_kind {
                MatchKind::LeftmostFirst => fuzz::matches::check,
                MatchKind::All => fuzz::all_matches::check,
            };
            let haystacks = vec![haystack.to_vec()];
            let case = fuzz::matches::Case { options, patterns: vec![pattern.into()], haystacks };
            assert!(check(&case) > 0, "{case:?}");
        }
    }
}
