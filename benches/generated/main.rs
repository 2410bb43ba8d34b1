//! Generated rules by themselves, each over a haystack made of its own words: whether any takes long, and which take longest.
//!
//! The matches over a first part are compared with the CPU oracle's. Time is the process's on a CPU device, where others may run
//! as well, and what passes on a GPU; of a scan behind the first one, which makes pipelines.

#[path = "../common/clock.rs"]
mod clock;
#[path = "../common/exit.rs"]
mod exit;
#[path = "../common/numbers.rs"]
mod numbers;
mod patterns;
#[path = "../common/run.rs"]
mod run;
#[path = "../common/stages.rs"]
mod stages;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch, ScanStats};

use clock::now;
use exit::exit_code;
use numbers::{significant, size, time};
use patterns::{Numbers, haystack, pattern};
use run::Run;
use stages::stages;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Seconds that no rule should take over 4 KiB, on a CPU.
const ASKED: f64 = 1.0;
/// Bytes of which the matches are compared: the oracle may take the square of them.
const CHECKED: usize = 512;
const MOST_MATCHES: usize = 1 << 20;
const SLOWEST: usize = 10;

/// Scans for generated rules, each over a haystack made of its own words, and lists the slowest.
#[derive(Parser)]
struct Options {
    /// How many rules to scan for.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    rules: usize,
    /// What they are generated from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Bytes of each haystack.
    #[arg(long, value_name = "N", default_value_t = 4 << 10)]
    bytes: usize,
    /// Where `generated.md` goes.
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    out: PathBuf,
    /// A few rules, to see that it is right; nothing is written.
    #[arg(long, conflicts_with = "rules")]
    check: bool,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A rule, and what a scan for it came to.
struct Measured {
    pattern: String,
    seconds: f64,
    matches: usize,
    stats: ScanStats,
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.check {
        options.rules = 60;
    }
    exit_code(run(&options))
}

fn run(options: &Options) -> Result {
    let backend = Backend::new(&BackendOptions::default())?;
    let mut numbers = Numbers::new(options.seed);
    let mut all = Vec::new();
    while all.len() < options.rules {
        let pattern = pattern(&mut numbers);
        let Some(haystack) = haystack(&pattern, options.bytes, &mut numbers) else { continue };
        // Not all patterns are rules.
        let Ok(rules) = RulePipeline::new(&[&pattern]) else { continue };
        all.push(measure(&backend, &rules, pattern, &haystack)?);
        if all.len() % 200 == 0 {
            eprintln!("{} done", all.len());
        }
    }
    all.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    let command = format!(
        "cargo bench --bench generated -- --rules {} --seed {} --bytes {}",
        options.rules, options.seed, options.bytes
    );
    let report = report(&Run::new(&backend, command)?, options.bytes, &all)?;
    print!("{report}");
    if !options.check {
        std::fs::create_dir_all(&options.out)?;
        std::fs::write(options.out.join("generated.md"), report)?;
    }
    Ok(())
}

fn measure(
    backend: &Backend,
    rules: &RulePipeline,
    pattern: String,
    haystack: &[u8],
) -> Result<Measured> {
    let session = rules.prepare_resident(backend, haystack.len(), MOST_MATCHES)?;
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let first = &haystack[..haystack.len().min(CHECKED)];
    session.scan_into(backend, first, &mut matches, &mut scratch)?;
    if matches != rules.reference_scan(first) {
        return Err(format!("{pattern}: wrong matches in \"{}\"", first.escape_ascii()).into());
    }
    session.scan_into(backend, haystack, &mut matches, &mut scratch)?;
    let since = now(backend)?;
    let stats = session.scan_into(backend, haystack, &mut matches, &mut scratch)?;
    let seconds = (now(backend)? - since).as_secs_f64();
    session.free(backend)?;
    Ok(Measured { pattern, seconds, matches: matches.len(), stats })
}

fn report(run: &Run, bytes: usize, slowest_first: &[Measured]) -> Result<String> {
    let mut to = String::new();
    writeln!(to, "{}, {}, {} host cores, {}.\n", run.device, run.driver, run.host_cores, run.date)?;
    writeln!(to, "```sh\n{}\n```\n", run.command)?;
    let over = slowest_first.iter().filter(|of| of.seconds > ASKED).count();
    let at = |share: usize| {
        slowest_first.get(slowest_first.len() * share / 1000).map_or(0.0, |of| of.seconds)
    };
    writeln!(
        to,
        "{} generated rules alone, each over {} of its own words; their matches in the first {CHECKED} bytes are the oracle's. {over} \
         took more than {ASKED} s; 999 of 1,000 took {} at most, 99 of 100 {}, half of them {}. The slowest:\n",
        slowest_first.len(),
        size(bytes),
        time(at(1)),
        time(at(10)),
        time(at(500)),
    )?;
    writeln!(
        to,
        "| rule | time | matches | submissions | rounds | most of it, ms |\n|---|---|---|---|---|---|"
    )?;
    for of in slowest_first.iter().take(SLOWEST) {
        let stages = stages(of.stats.wall, &of.stats);
        let most = stages.iter().max_by(|one, other| one.seconds.total_cmp(&other.seconds));
        let most =
            most.map(|stage| format!("{}: {}", stage.name, significant(1e3 * stage.seconds)));
        writeln!(
            to,
            "| `{}` | {} | {} | {} | {} | {} |",
            of.pattern.replace('|', "\\|"),
            time(of.seconds),
            of.matches,
            of.stats.submissions,
            of.stats.rounds,
            most.unwrap_or_default(),
        )?;
    }
    Ok(to)
}
