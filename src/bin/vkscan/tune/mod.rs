//! `vkscan tune`: measures which tuning is best for a device and a set of rules.
//!
//! | file | story |
//! |---|---|
//! | `search.rs` | which points are measured, and which of them wins |
//! | `measure.rs` | how long a scan takes there |
//! | `statistics.rs` | what can be said of times that vary |
//! | `record.rs` | what is kept from one run to the next |
//! | `words.rs` | what is scanned where no haystack is given |
//! | `landscape.rs` | the picture |

mod landscape;
mod measure;
mod record;
mod search;
mod statistics;
mod words;

use std::error::Error;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;
use vkscan::{Backend, DeviceInfo, MatchKind, RulePipeline, Tuning, TuningProfile};

use crate::Status;
use crate::args::{Format, TuneArgs};
use crate::errors;
use crate::kept;
use crate::profiles;
use crate::rules::Rules;
use crate::terminal;
use landscape::Field;
use measure::{DeviceBench, Work};
use record::{Point, Record};
use search::{Outcome, Search};
use statistics::Interval;

pub fn run(args: &TuneArgs) -> Result<Status, Box<dyn Error>> {
    let rules = Rules::read(&args.rules)?;
    let pipeline = rules.compile(MatchKind::default())?;
    let haystack = haystack(args, &rules)?;
    let options = args.open.backend_options(args.device.device.clone());
    let backend = Backend::new(&options).map_err(|error| errors::backend(&error))?;
    let info = backend.device_info().clone();
    let defaults = Tuning::for_device(&info);
    let work = describe(args, &pipeline, &haystack);
    let record_path = match &args.results {
        Some(path) => path.clone(),
        None => kept::folder()?.join(format!("tune-{}-{:016x}.json", info.uuid, hash(&work))),
    };
    let of = TuningProfile::new(&info, &defaults, work.clone());
    let record = Record::open(&record_path, of);

    let expected = terminal::working("looking for what there is to find".to_owned(), || {
        pipeline.reference_scan(&haystack)
    });
    let matches = expected.len();
    let bench = Work {
        rules: &pipeline,
        haystack: &haystack,
        expected,
        memory: args.memory,
        in_flight: args.in_flight.into(),
        time: Duration::from_secs(args.seconds),
    };
    let mut bench = DeviceBench::new(bench, backend, options)?;
    let of_defaults = bench.of_defaults()?;

    let bar = terminal::progress(ProgressBar::no_length(), "{spinner} {elapsed} {msg}");
    let mut measured = |record: &Record| {
        bar.set_message(progress(record));
        bar.tick();
        if let Err(error) = record.write(&record_path) {
            tracing::warn!("what was measured is not kept ({record_path:?}): {error}");
        }
    };
    let rng = Rng::with_seed(record.tried.len() as u64);
    let mut search = Search { bench, defaults, info: &info, record, measured: &mut measured, rng };
    let outcome = search.run();
    bar.finish_and_clear();
    let outcome = outcome?;

    let path = match &args.out {
        Some(path) => path.clone(),
        None => profiles::path(&info)?,
    };
    if let Some((point, interval)) = &outcome.winner {
        kept::folder_of(&path).map_err(|error| format!("{}: {error}", terminal::path(&path)))?;
        let note = format!("{} as fast for {work}", speedup(interval));
        let tuning = record::tuning(&defaults, point)?;
        TuningProfile::new(&info, &tuning, note).write(&path).map_err(|error| error.to_string())?;
    }
    let report = Report {
        args,
        info: &info,
        work,
        bytes: haystack.len(),
        matches,
        of_defaults,
        outcome: &outcome,
    };
    report.print(&search.record, &path)?;
    if let Some(folder) = &args.render {
        draw(folder, &report, &search)?;
    }
    let is_wrong = |reason: &String| reason.starts_with(measure::WRONG);
    if search.record.tried.iter().filter_map(|tried| tried.refused.as_ref()).any(is_wrong) {
        let error = "with some parameters not all was found that there is: that is a fault of vkscan's, or of the driver";
        return Err(error.into());
    }
    Ok(Status::Found)
}

/// What is scanned, as a profile's note names it.
fn describe(args: &TuneArgs, pipeline: &RulePipeline, haystack: &[u8]) -> String {
    let name = |path: &Path| {
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let rules = args.rules.rules.iter().map(|path| name(path)).collect::<Vec<_>>().join(", ");
    let of = args.haystack.as_deref().map_or("words".to_owned(), name);
    // What they were compiled to has part in the options, too.
    let [of_rules, of_haystack] = [hash(pipeline.to_bytes()), hash(haystack)];
    let bytes = haystack.len();
    let flights = match args.in_flight {
        1 => String::new(),
        count => format!(", {count} in flight"),
    };
    format!(
        "{rules} ({of_rules:016x}) over {bytes} bytes of {of} ({of_haystack:016x}) from {} memory{flights}",
        args.memory
    )
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn haystack(args: &TuneArgs, rules: &Rules) -> Result<Vec<u8>, String> {
    let bytes = args.bytes as usize;
    let Some(path) = &args.haystack else {
        return Ok(words::haystack(rules.patterns(), bytes));
    };
    let mut haystack = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(bytes as u64).read_to_end(&mut haystack))
        .map_err(|error| format!("{}: {error}", terminal::path(path)))?;
    match read {
        0 => Err(format!("{}: there is nothing in it to scan", terminal::path(path))),
        _ => Ok(haystack),
    }
}

fn progress(record: &Record) -> String {
    let refused = record.tried.iter().filter(|tried| tried.refused.is_some()).count();
    let best = record.best(9).first().map_or(String::new(), |best| {
        format!(", the best takes {:.3} of the defaults' time", best.interval().median)
    });
    format!("{} points tried, {refused} refused{best}", record.tried.len())
}

/// How many times as fast, with the bounds of that.
fn speedup(interval: &Interval) -> String {
    let Interval { low, median, high } = interval;
    format!("{:.3} times ({:.3} to {:.3})", 1.0 / median, 1.0 / high, 1.0 / low)
}

struct Report<'a> {
    args: &'a TuneArgs,
    info: &'a DeviceInfo,
    work: String,
    bytes: usize,
    matches: usize,
    of_defaults: Duration,
    outcome: &'a Outcome,
}

impl Report<'_> {
    fn print(&self, record: &Record, path: &Path) -> io::Result<()> {
        let refused: Vec<(&Point, &str)> = record
            .tried
            .iter()
            .filter_map(|tried| Some((&tried.point, tried.refused.as_deref()?)))
            .collect();
        let mut stdout = io::stdout().lock();
        if let Format::Json = self.args.format {
            let winner = self.outcome.winner.as_ref().map(|(point, interval)| {
                let Interval { low, median, high } = interval;
                json!({
                    "values": point, "time": median, "time_low": low, "time_high": high, "profile": path,
                })
            });
            let refused: Vec<_> = refused
                .iter()
                .map(|(point, reason)| json!({ "values": point, "reason": reason }))
                .collect();
            let object = json!({
                "device": self.info.name,
                "work": self.work,
                "matches": self.matches,
                "defaults_ns": self.of_defaults.as_nanos() as u64,
                "tried": record.tried.len(),
                "refused": refused,
                "winner": winner,
                "landscape": self.outcome.landscape,
            });
            return stdout.write_all(terminal::json(&object).as_bytes());
        }
        writeln!(
            stdout,
            "{}: {}, {} matches\ndefaults  {:.3?} a scan\ntried     {} points, of which {} are out of the question",
            self.info.name,
            self.work,
            self.matches,
            self.of_defaults,
            record.tried.len(),
            refused.len()
        )?;
        for (point, reason) in refused {
            writeln!(stdout, "          {}: {reason}", shown(point))?;
        }
        match &self.outcome.winner {
            None => {
                writeln!(stdout, "winner    none: nothing was faster than the defaults for certain")
            }
            Some((point, interval)) => writeln!(
                stdout,
                "winner    {}\n          {} as fast, with 95 % confidence\nprofile   {}",
                shown(point),
                speedup(interval),
                terminal::path(path)
            ),
        }
    }
}

fn shown(point: &Point) -> String {
    let values: Vec<String> = point.iter().map(|(name, value)| format!("{name} {value}")).collect();
    values.join(", ")
}

fn draw<B: search::Bench>(
    folder: &PathBuf,
    report: &Report,
    search: &Search<B>,
) -> Result<(), Box<dyn Error>> {
    let Some(names) = report.outcome.landscape else {
        tracing::warn!("there is no landscape to draw: no two parameters made a difference");
        return Ok(());
    };
    let value = |point: &Point, name: &str| {
        point.get(name).copied().or(search.defaults.get(name)).expect("a parameter of ours")
    };
    let field = |point: &Point| {
        let tried = search.record.of_point(point).filter(|tried| !tried.ratios.is_empty());
        let ratio = match point.is_empty() {
            true => Some(1.0),
            false => tried.map(|tried| tried.interval().median),
        };
        Field { values: names.map(|name| value(point, name)), ratio }
    };
    let fields: Vec<Field> = search.grid(names).iter().map(field).collect();
    std::fs::create_dir_all(folder)?;
    let file = folder.join("landscape.svg");
    let title = format!("{}, {}", report.info.name, HumanBytes(report.bytes as u64));
    let defaults = names.map(|name| value(&Point::new(), name));
    landscape::draw(&file, &title, names, defaults, &fields)?;
    terminal::say(&format!("drawn to {}\n", terminal::path(&file)));
    Ok(())
}
