//! Fuzz targets: functions of bytes that panic where something is wrong.
//!
//! The bytes are all that is chosen, so that whatever chooses them, libFuzzer or a seed, may look for what goes wrong and
//! make it smaller. `tests/fuzz.rs` includes this file, and runs every target from seeds; `cargo fuzz run <target>`
//! runs one under libFuzzer.
//!
//! | file | target |
//! |---|---|
//! | `rule_text.rs` | whatever text: rules, or a typed error, as the `regex` crate has it |
//! | `matches.rs` | rules over haystacks, on the device and by the Pike VM, which looks for no literals |
//! | `all_matches.rs` | all matches, and every span asked for on its own |
//! | `tables.rs` | tables from bytes |
//! | `rule_files.rs` | files of rules, in whatever format, read by the command |
//! | `ring_calls.rs` | calls of a ring session in any order |
//!
//! What is common to them: `source.rs` makes choices of bytes, `generate.rs` rules and haystacks of choices, `seeds.rs`
//! bytes of seeds, and `watchdog.rs` ends what takes too long.

// Whoever includes this does not use all of it.
#![allow(dead_code)]

pub mod all_matches;
pub mod generate;
pub mod matches;
pub mod ring_calls;
pub mod rule_files;
pub mod rule_text;
pub mod seeds;
pub mod source;
pub mod tables;
pub mod watchdog;

use std::sync::OnceLock;

use vkscan::{Backend, BackendOptions};

/// The device that everything runs on.
fn backend() -> &'static Backend {
    static BACKEND: OnceLock<Backend> = OnceLock::new();
    BACKEND.get_or_init(|| Backend::new(&BackendOptions::default()).unwrap())
}

/// Panics if the validation layers had anything to say.
fn assert_valid() {
    let messages = backend().validation_log().messages();
    assert!(messages.is_empty(), "validation says: {}", messages.join("\n"));
}
