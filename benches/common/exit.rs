//! How a benchmark ends.

use std::process::ExitCode;

use crate::Result;

/// Says what went wrong, if anything did.
pub fn exit_code(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
