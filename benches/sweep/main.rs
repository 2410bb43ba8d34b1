//! Every nth rule of all sets alone, and random dozens of them together, over several haystacks on the device: how fast
//! each is, and why the slowest are.
//!
//! The matches over a part that the CPU oracle manages are compared with its own, and only then a rule is timed.
//! Numbers go to `sweep.json`, and from there to `sweep.md`.
//!
//! | variable | meaning |
//! |---|---|
//! | `VKSCAN_DATA` | the folder of rules and haystacks; `../shared/data` without it |
//! | `VKSCAN_DEVICE` | the device, as for the command |

mod cause;
#[path = "../common/data.rs"]
mod data;
#[path = "../common/exit.rs"]
mod exit;
mod expected;
mod measure;
#[path = "../common/numbers.rs"]
mod numbers;
mod results;
mod rules;
#[path = "../common/run.rs"]
mod run;
#[path = "../common/stages.rs"]
mod stages;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::Parser;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use vkscan::{Backend, BackendOptions};

use exit::exit_code;
use expected::Work;
use measure::{Loaded, measure};
use results::{Entry, Results};
use rules::Rule;
use run::Run;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const HAYSTACKS: [&str; 4] =
    ["linux-src-128M.txt", "logs-mixed.txt", "pcap-payloads-16M.bin", "api-json-16M.txt"];

/// Scans for single rules of all sets, and for random dozens of them, and lists the slowest.
#[derive(Parser)]
struct Options {
    /// How many rules to scan for alone, evenly over all sets.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rules: usize,
    /// How many dozens of rules to scan for together.
    #[arg(long, value_name = "N", default_value_t = 50)]
    together: usize,
    /// Only rules of which the set and the id, as the tables have them, contain this; all of those, alone.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Bytes of each haystack, which is repeated as often as needed.
    #[arg(long, value_name = "N", default_value_t = 16 << 20)]
    bytes: usize,
    /// Only haystacks of which the name contains this.
    #[arg(long, value_name = "HAYSTACK")]
    only: Option<String>,
    /// Where `sweep.json` and `sweep.md` go.
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    out: PathBuf,
    /// A few rules over a few bytes, to see that it is right; nothing is written.
    #[arg(long, conflicts_with_all = ["rules", "together", "rule", "bytes"])]
    check: bool,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.check {
        (options.rules, options.together, options.bytes) = (24, 2, 64 << 10);
    }
    exit_code(run(&options))
}

fn run(options: &Options) -> Result<()> {
    let backend = Backend::new(&BackendOptions::default())?;
    let haystacks = haystacks(options, &backend)?;
    let rules = rules::all()?;
    let (alone, together) = match &options.rule {
        Some(name) => (rules::named(&rules, name), Vec::new()),
        None => (
            rules::every_nth(&rules, options.rules),
            rules::random_dozens(&rules, options.together),
        ),
    };
    let results = Results {
        run: Run::new(&backend, command())?,
        bytes: options.bytes,
        haystacks: haystacks.iter().map(|haystack| haystack.name.to_owned()).collect(),
        alone: sweep(&backend, &haystacks, alone)?,
        together: sweep(&backend, &haystacks, together)?,
    };
    let mut tables = String::new();
    tables::write(&results, &mut tables)?;
    print!("{tables}");
    if !options.check {
        results.write(&options.out)?;
        std::fs::write(options.out.join("sweep.md"), tables)?;
    }
    match results.failures().as_slice() {
        [] => Ok(()),
        failures => Err(failures.join("\n").into()),
    }
}

fn haystacks(options: &Options, backend: &Backend) -> Result<Vec<Loaded>> {
    let is_wanted = |name: &&str| options.only.as_ref().is_none_or(|only| name.contains(only));
    let load = |name| Loaded::new(backend, name, options.bytes);
    HAYSTACKS.into_iter().filter(is_wanted).map(load).collect()
}

/// What to type for the same once more.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let dashes = if arguments.is_empty() { "" } else { " -- " };
    format!("cargo bench --bench sweep{dashes}{}", arguments.join(" "))
}

/// Half of the threads compile rules and find what is right, while this one has the device scan.
fn sweep(backend: &Backend, haystacks: &[Loaded], tasks: Vec<Vec<Rule>>) -> Result<Vec<Entry>> {
    let threads = (std::thread::available_parallelism()?.get() / 2).max(1);
    let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
    let (sender, receiver) = mpsc::sync_channel(4 * threads);
    let mut entries = Vec::new();
    pool.in_place_scope(|scope| {
        scope.spawn(|_| {
            tasks.into_par_iter().enumerate().for_each(move |(index, rules)| {
                let work = Work::new(&rules, haystacks);
                sender.send((index, rules, work)).expect("all of it is received");
            });
        });
        for (index, rules, work) in receiver {
            entries.push((index, measure(backend, haystacks, rules, work)));
            if entries.len() % 100 == 0 {
                eprintln!("{} done", entries.len());
            }
        }
    });
    entries.sort_by_key(|(index, _)| *index);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}
