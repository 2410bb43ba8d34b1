//! The fuzz targets of `fuzz/`, from seeds: each for some seconds, with a case for every seed. `fuzz/src/seeds.rs` says
//! how to run them for longer, and how to repeat a case.

#![cfg(unix)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::sync::{Mutex, PoisonError};

use vkscan::{MatchKind, PipelineOptions};

fn run(name: &str, target: fn(&[u8]) -> usize) {
    // What takes long is told by the process' CPU time, so nothing else may run meanwhile.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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

#[test]
fn ring_calls() {
    run("ring calls", fuzz::ring_calls::run);
}

/// Small cases that once went wrong.
#[test]
fn kept_cases() {
    let cases: [(&str, &[u8]); 1] = [
        // What a match cut off in one DFA state was gone on from in the next.
        (r"(?:$|x\d|){2}", b"b x  o x1x2"),
    ];
    for (pattern, haystack) in cases {
        for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
            let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
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
