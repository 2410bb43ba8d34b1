//! The `vkscan` command: scans files for many regular expressions at once on a Vulkan device.
//!
//! | file | story |
//! |---|---|
//! | `args.rs` | what can be asked |
//! | `rules/` | from files of rules to a pipeline, and which matches are findings |
//! | `inputs/` | what is scanned: files, what is in archives, a git repository's history |
//! | `scan/` | `vkscan scan`: small files through a ring session, and the others through a resident one |
//! | `around.rs` | the lines that matches are in |
//! | `findings.rs` | which matches are findings, and where |
//! | `output/` | how findings are printed |
//! | `summary.rs` | what `--stats` tells |
//! | `trace.rs` | what `--trace` writes |
//! | `explain.rs` | `vkscan explain` |
//! | `devices.rs` | `vkscan devices` |
//! | `ceilings.rs` | `vkscan ceilings` |
//! | `kernels.rs` | `vkscan kernels` |
//! | `tune` | `vkscan tune` |
//! | `profiles.rs` | which tuning sessions go by |
//! | `kept.rs` | files that are kept from one run to the next |
//! | `errors.rs` | errors of the library in the command's words |
//! | `terminal.rs` | messages, progress, and names that are safe to show |

mod args;
mod around;
mod ceilings;
mod devices;
mod errors;
mod explain;
mod findings;
mod inputs;
mod kept;
mod kernels;
mod output;
mod profiles;
mod rules;
mod scan;
mod summary;
mod terminal;
mod trace;
mod tune;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, RulesCommand};
use output::ResultsError;

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
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(help) => return show(&help).unwrap_or_else(|error| fail(&error)).into(),
    };
    terminal::log(args.verbose);
    // Threads may still look at them when all ends.
    let args: &'static Args = Box::leak(Box::new(args));
    let status = match &args.command {
        Command::Scan(args) => scan::run(args),
        Command::Rules(args) => match &args.command {
            RulesCommand::Check(args) => rules::check::run(args),
        },
        Command::Explain(args) => explain::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Ceilings(args) => ceilings::run(args),
        Command::Kernels(args) => kernels::run(args),
        Command::Tune(args) => tune::run(args),
    };
    status.unwrap_or_else(|error| fail(error.as_ref())).into()
}

/// Help, or what is wrong with the arguments.
fn show(help: &clap::Error) -> io::Result<Status> {
    if help.use_stderr() {
        // It quotes arguments, which may be names of files.
        let is_plain = |argument: OsString| {
            let bytes = argument.as_encoded_bytes();
            terminal::shown(bytes).as_bytes() == bytes
        };
        if env::args_os().all(is_plain) {
            let _ = help.print();
        } else {
            let lines = help.render().to_string();
            let lines = lines.lines().map(|line| terminal::shown(line.as_bytes()) + "\n");
            terminal::say(&lines.collect::<String>());
        }
        return Ok(Status::Failed);
    }
    help.print()?;
    Ok(Status::Found)
}

/// Reports what has ended the command, unless whoever read its output has seen enough. All input and output errors that
/// come here are of standard output.
fn fail(error: &(dyn Error + 'static)) -> Status {
    match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Status::Found,
        Some(error) if error.get_ref().is_some_and(|error| error.is::<ResultsError>()) => {
            terminal::report(&error);
        }
        Some(error) => terminal::report(&format_args!("standard output: {error}")),
        None => terminal::report(&error),
    }
    Status::Failed
}
