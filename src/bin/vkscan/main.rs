//! The `vkscan` command: scans files for many regular expressions at once on a Vulkan device.
//!
//! | file | story |
//! |---|---|
//! | `args.rs` | what can be asked |
//! | `rules_file.rs` | from a file of rules to a pipeline |
//! | `inputs.rs` | which files are scanned |
//! | `scan.rs` | `vkscan scan`: every input through one resident session |
//! | `output.rs` | how a match is printed |
//! | `summary.rs` | what `--stats` tells |
//! | `explain.rs` | `vkscan explain` |
//! | `devices.rs` | `vkscan devices` |

mod args;
mod devices;
mod explain;
mod inputs;
mod output;
mod rules_file;
mod scan;
mod small_files;
mod summary;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Args, Command};

/// The exit statuses of grep.
#[derive(Clone, Copy)]
enum Status {
    Found = 0,
    NothingFound = 1,
    Failed = 2,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(status as u8)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(args.verbose);
    let status = match &args.command {
        Command::Scan(args) => scan::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Devices(args) => devices::run(args),
    };
    status
        .unwrap_or_else(|error| {
            // Whoever read the output has seen enough.
            if is_broken_pipe(error.as_ref()) {
                return Status::Found;
            }
            report(&error);
            Status::Failed
        })
        .into()
}

fn report(error: &impl std::fmt::Display) {
    eprintln!("vkscan: {error}");
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Warnings by default, more with `-v`; `RUST_LOG` has the last word.
fn log_to_stderr(verbose: u8) {
    let level =
        ["warn", "vkscan=info", "vkscan=debug", "vkscan=trace"][usize::from(verbose.min(3))];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
}
