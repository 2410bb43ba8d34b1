//! The workloads in `workloads.toml`, beside the competition.
//!
//! Every result is compared with the digest that is recorded of the right matches, and only then timed.
//! Numbers go to `results.json`, and from there to tables (`tables.md`) and plots.
//!
//! | variable | meaning |
//! |---|---|
//! | `VKSCAN_DATA` | the folder of rules and haystacks; `../shared/data` without it |
//! | `VKSCAN_HYPERSCAN` | the program that runs Hyperscan, which is left out without it |
//! | `VKSCAN_HYPERSCAN_ITEMS` | the same for many small haystacks |
//! | `VKSCAN_DEVICE` | the device, as for the command |

#[path = "../common/data.rs"]
mod data;
#[path = "../common/exit.rs"]
mod exit;
mod hyperscan;
mod items;
mod measure;
#[path = "../common/numbers.rs"]
mod numbers;
mod plots;
mod regex_crate;
mod results;
#[path = "../common/run.rs"]
mod run;
#[path = "../common/stages.rs"]
mod stages;
mod tables;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use vkscan::{Backend, BackendOptions, Trace};

use exit::exit_code;
use hyperscan::Hyperscan;
use measure::{Measured, Stop, measure};
use results::{Peers, Results, Row};
use run::Run;
use workload::{Data, Kind, Plan, Workload, digest};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Runs the workloads, beside the competition, and writes tables and plots.
#[derive(Parser)]
struct Options {
    /// Only workloads of which the name, as the tables have it, contains this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Print the digests of the right matches, found slowly, instead of measuring.
    #[arg(long)]
    record: bool,
    /// Where results, tables and plots go.
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    out: PathBuf,
    /// Have what host and device do written down meanwhile, as `vkscan scan --trace` does, to see what that costs.
    #[arg(long)]
    trace: bool,
    /// Write tables and plots of these results, without measuring.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "record"])]
    render: Option<PathBuf>,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn wants(&self, workload: &impl std::fmt::Display) -> bool {
        self.only.as_ref().is_none_or(|only| workload.to_string().contains(only))
    }
}

fn main() -> ExitCode {
    exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let results = match &options.render {
        Some(file) => Results::read(file)?,
        None if options.record => return record(options),
        None => measure_all(options)?,
    };
    render(&results, &options.out)?;
    match results.failures().as_slice() {
        [] => Ok(()),
        failures => Err(failures.join("\n").into()),
    }
}

/// Sizes and then workloads; whatever goes wrong with one is said in its row.
fn measure_all(options: &Options) -> Result<Results> {
    std::fs::create_dir_all(&options.out)?;
    let plan = Plan::read()?;
    let trace = options.trace.then(Trace::new);
    let backend = Backend::new(&BackendOptions::default().trace(trace))?;
    let mut data = Data::default();
    let only = options.only.as_ref().map_or(String::new(), |name| format!(" -- --only '{name}'"));
    let traced = if options.trace { " -- --trace" } else { "" };
    let mut results = Results {
        run: Run::new(&backend, format!("cargo bench --bench workloads{only}{traced}"))?,
        ceiling: plan.ceiling,
        workloads: Vec::new(),
        items: Vec::new(),
        sweep: Vec::new(),
    };
    for workload in plan.sweep.workloads().filter(|workload| options.wants(workload)) {
        let row = vkscan_row(&backend, &mut data, &workload);
        let is_slow = matches!(row.stopped, Some(Stop::Slow { .. }));
        results.sweep.push(row);
        results.write(&options.out)?;
        if is_slow {
            break;
        }
    }
    for items in plan.items.iter().filter(|items| options.wants(items)) {
        eprintln!("{items}");
        let workload = items.workload();
        let haystack = data.haystack(&workload)?;
        let mut row = items::row(&backend, items, &*data.pipeline(&workload)?, &haystack);
        let patterns = data.patterns(&workload)?;
        row.hyperscan = Some(Hyperscan::measure_items(&patterns, &haystack, items.bytes));
        results.items.push(row);
        results.write(&options.out)?;
    }
    for workload in plan.workloads.iter().filter(|workload| options.wants(workload)) {
        let mut row = vkscan_row(&backend, &mut data, workload);
        match peers(&mut data, workload) {
            Ok(peers) => row.peers = Some(peers),
            Err(error) => _ = row.stopped.get_or_insert(Stop::Failed(error.to_string())),
        }
        results.workloads.push(row);
        results.write(&options.out)?;
    }
    Ok(results)
}

fn vkscan_row(backend: &Backend, data: &mut Data, workload: &Workload) -> Row {
    eprintln!("{workload}");
    let mut measured = || -> Result<_> {
        let haystack = data.haystack(workload)?;
        Ok(measure(backend, &*data.pipeline(workload)?, workload, &haystack))
    };
    let (Measured { scans, flights, empty_seconds }, stopped) = measured()
        .unwrap_or_else(|error| (Measured::default(), Some(Stop::Failed(error.to_string()))));
    Row { workload: workload.clone(), scans, flights, empty_seconds, stopped, peers: None }
}

fn peers(data: &mut Data, workload: &Workload) -> Result<Peers> {
    let patterns = data.patterns(workload)?;
    let haystack = data.haystack(workload)?;
    Ok(Peers {
        hyperscan: Hyperscan::measure(&patterns, &haystack),
        regex: regex_crate::rate(&patterns, &haystack)?,
    })
}

fn render(results: &Results, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut tables = String::new();
    tables::write(results, &mut tables)?;
    print!("{tables}");
    std::fs::write(folder.join("tables.md"), tables)?;
    plots::write(results, folder)
}

fn record(options: &Options) -> Result<()> {
    let plan = Plan::read()?;
    let mut data = Data::default();
    let workloads = plan.workloads.iter().cloned().chain(plan.sweep.workloads());
    for workload in workloads.filter(|workload| options.wants(workload)) {
        let haystack = data.haystack(&workload)?;
        let matches = match workload.kind {
            Kind::LeftmostFirst => regex_crate::find_all(&data.patterns(&workload)?, &haystack)?,
            Kind::All => data.pipeline(&workload)?.reference_scan(&haystack),
        };
        println!("{workload}: {}, {} matches", digest(&matches), matches.len());
    }
    for items in plan.items.iter().filter(|items| options.wants(items)) {
        let workload = items.workload();
        let haystack = data.haystack(&workload)?;
        let matches = items::find_all(items, &data.patterns(&workload)?, &haystack)?;
        println!("{items}: {}, {} matches", digest(&matches), matches.len());
    }
    Ok(())
}
