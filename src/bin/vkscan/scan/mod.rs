//! `vkscan scan`: what is small through a ring session, and the rest through a resident one; or through pools of these, where
//! there are several devices.

mod ahead;
mod pooled;
mod small_files;
mod windows;

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use rayon::prelude::*;
use vkscan::{
    Backend, BackendError, DeviceSelector, LaidOutTables, Match, ResidentRulePipeline, RingError,
    RingItemError, RulePipeline, ScanScratch, ScanStats, Trace, Tuning,
};

use crate::Status;
use crate::args::{Kind, ScanArgs};
use crate::errors;
use crate::findings::Judged;
use crate::inputs::feed::{self, Fed, Feed};
use crate::inputs::history::History;
use crate::inputs::walk::{self, Found, OwnFiles};
use crate::inputs::{Input, Loaded, packed};
use crate::kept;
use crate::output::Output;
use crate::profiles::{self, Chosen};
use crate::rules::{Rules, RulesError};
use crate::summary::Summary;
use crate::terminal::{self, report};
use crate::trace::TraceFile;
use small_files::{Round, SmallFiles};

pub fn run(args: &'static ScanArgs) -> Result<Status, Box<dyn Error>> {
    let trace = args.trace.as_ref().map(|_| Trace::new());
    let reads_stdin = args.git.is_none()
        && (args.paths.is_empty() || args.paths.iter().any(|path| path == Path::new("-")));
    if reads_stdin && args.rules.rules.iter().any(|path| path == Path::new("-")) {
        return Err(
            "standard input is either rules or what is scanned: name files for one of them".into(),
        );
    }
    let history = history(args)?;
    // Whatever is wrong with rules is not kept waiting for it.
    let finding = thread::spawn({
        let trace = trace.clone();
        move || {
            let begin = Instant::now();
            let found = walk::find(args);
            note(trace.as_ref(), "find inputs", begin);
            found
        }
    });
    let rules = Rules::read(&args.rules)?;
    if args.match_kind == Kind::All && rules.has_secrets() {
        let reason = "--match-kind all has no groups, and some of the rules say that a secret is one: leave it out";
        return Err(reason.into());
    }
    let ready = get_ready(args, trace.as_ref(), &rules, finding)?;
    let trace_file = args.trace.as_deref().map(TraceFile::create).transpose()?;
    let scanned = scan(args, trace.as_ref(), &rules, ready, history.as_ref());
    let status = scanned.map_err(|error| {
        match error.is::<io::Error>() {
            // The caller tells what it means.
            true => error,
            false => errors::describe(error.as_ref(), &rules).into(),
        }
    });
    // What was done before anything failed is there to look at.
    let written = match (trace_file, trace) {
        (Some(file), Some(trace)) => file.write(&trace),
        _ => Ok(()),
    };
    match (status, written) {
        (Ok(status), written) => written.map(|()| status).map_err(Into::into),
        (Err(error), written) => {
            if let Err(other) = written {
                report(&other);
            }
            Err(error)
        }
    }
}

/// The history that is asked for.
fn history(args: &ScanArgs) -> Result<Option<History>, Box<dyn Error>> {
    let Some(range) = &args.git else { return Ok(None) };
    let path = match &args.paths[..] {
        [] => Path::new("."),
        [path] => path,
        _ => return Err("--git is about one repository at a time".into()),
    };
    let unpack_bytes = args.search_zip.then_some(args.max_decoded_bytes);
    Ok(Some(History::open(path, range.as_deref(), unpack_bytes)?))
}

fn note(trace: Option<&Trace>, name: &'static str, began: Instant) {
    if let Some(trace) = trace {
        trace.note(name, began);
    }
}

/// What a scan takes, and how long that took.
struct Ready {
    pipeline: RulePipeline,
    /// Kept until sessions have taken them.
    tables: Vec<LaidOutTables>,
    compiled: Duration,
    backends: Result<Vec<Backend>, BackendError>,
    opened: Duration,
    inputs: Vec<Input>,
    /// Whether rules leave them out.
    left_out: Vec<bool>,
    /// Inputs that could not be looked at, and why.
    faults: Vec<String>,
}

/// Compiles rules while devices are opened and inputs looked for; after that, if what is wrong with the rules is to be said first.
fn get_ready(
    args: &'static ScanArgs,
    trace: Option<&Trace>,
    rules: &Rules,
    finding: JoinHandle<Found>,
) -> Result<Ready, RulesError> {
    let compile = || {
        let begin = Instant::now();
        let pipeline = rules.compile(args.match_kind.into());
        note(trace, "compile rules", begin);
        pipeline.map(|pipeline| (pipeline, begin.elapsed()))
    };
    let open = || {
        let trace = trace.cloned();
        thread::spawn(move || {
            let begin = Instant::now();
            let backends = open(args, trace.as_ref());
            note(trace.as_ref(), "open device", begin);
            (backends, begin.elapsed())
        })
    };
    let is_sound = rules.all_parse();
    let early = if is_sound { None } else { Some(compile()?) };
    let opening = open();
    let compiled = early.map_or_else(compile, Ok).map(|(pipeline, compiled)| {
        let begin = Instant::now();
        let tables = ahead::lay_out(args, &pipeline);
        note(trace, "lay out tables", begin);
        (pipeline, compiled, tables)
    });
    let Found { inputs, faults } = finding.join().unwrap_or_else(|panic| resume_unwind(panic));
    let left_out = are_left_out(&inputs, rules);
    // Nothing ends in the middle of it.
    let (backends, opened) = opening.join().unwrap_or_else(|panic| resume_unwind(panic));
    let (pipeline, compiled, tables) = compiled?;
    Ok(Ready { pipeline, tables, compiled, backends, opened, inputs, left_out, faults })
}

fn scan(
    args: &ScanArgs,
    trace: Option<&Trace>,
    rules: &Rules,
    ready: Ready,
    history: Option<&History>,
) -> Result<Status, Box<dyn Error>> {
    let Ready { pipeline, tables, compiled, backends, opened, .. } = ready;
    let Ready { mut inputs, left_out, faults, .. } = ready;
    faults.iter().for_each(report);
    let pipeline = &pipeline;
    let backends = backends?;
    let mut output = Output::new(&args.results, rules, pipeline, history)?;
    let found = inputs.len();
    let own_files = OwnFiles::of(args, rules);
    let are_own: Vec<bool> = inputs.iter().map(|input| own_files.have(input)).collect();
    let others = inputs.par_iter().zip(&are_own).filter(|(_, is_own)| !**is_own);
    output.look_at_paths(others.map(|(input, _)| input));
    let mut are_out = are_own.into_iter().zip(left_out).map(|(own, left_out)| own || left_out);
    inputs.retain(|_| are_out.next() == Some(false));
    let left_out = (found - inputs.len()) as u64;
    if found == 0 && history.is_none() {
        tracing::warn!("there is no file to scan; --hidden and --no-ignore may show more");
    }
    if backends.len() > 1 && args.capture.is_some() {
        return Err("--capture is of one device: name it with --device".into());
    }
    let Chosen { tuning, from } = profiles::choose_for(&args.profile, &backends)?;
    ahead::remember(args, &backends, tuning);
    let mut scan = Scan {
        args,
        trace,
        rules,
        pipeline,
        backends: &backends,
        backend: &backends[0],
        tuning,
        session: None,
        window_bytes: 0,
        scratch: ScanScratch::default(),
        output: RefCell::new(output),
        _tables: tables,
        history,
        more_come: history.is_some() || inputs.iter().any(Input::is_packed),
        bar: ProgressBar::hidden(),
        summary: Summary {
            compiled,
            opened,
            tuned_by: from,
            left_out,
            failed: faults.len() as u64,
            ..Summary::default()
        },
    };
    scan.bar = progress_bar(&inputs, scan.more_come);
    match &backends[..] {
        [_] => scan.all(inputs)?,
        _ => pooled::scan(&mut scan, inputs)?,
    }
    scan.finish()
}

/// Whether no rule looks into inputs.
fn are_left_out(inputs: &[Input], rules: &Rules) -> Vec<bool> {
    inputs.par_iter().map(|input| input.is_left_out(rules)).collect()
}

/// Opens all devices that are asked for.
fn open(args: &ScanArgs, trace: Option<&Trace>) -> Result<Vec<Backend>, BackendError> {
    let mut selectors = args.devices.selectors()?;
    if selectors.is_empty() {
        // What keeps any from being opened.
        selectors.push(None);
    }
    let options = |device: Option<DeviceSelector>| {
        let file = args.open.pipeline_cache.clone().or_else(|| kept_kernels(args, device.as_ref()));
        args.open.backend_options(device).pipeline_cache(file).trace(trace.cloned())
    };
    selectors.into_iter().map(|device| Backend::new(&options(device))).collect()
}

/// Where what the driver makes of kernels is kept, by how the device is asked for.
fn kept_kernels(args: &ScanArgs, device: Option<&DeviceSelector>) -> Option<PathBuf> {
    if args.rules.no_cache {
        return None;
    }
    let name = kept::of_device(device);
    let folder = kept::folder().ok()?;
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join(format!("kernels-{name}.bin")))
}

/// As much as is allowed, but no more than the largest input takes: a session's capacity costs device
/// memory.
fn window_bytes<'i>(
    args: &ScanArgs,
    inputs: impl Iterator<Item = &'i Input>,
    more_come: bool,
) -> usize {
    /// Small files cost little, and may have grown or give no size at all.
    const LEAST: usize = 64 << 10;

    let largest = inputs.map(|input| input.bytes().unwrap_or(u64::MAX)).max().unwrap_or(0);
    let largest = if more_come { u64::MAX } else { largest };
    let most = args.window_bytes as usize;
    // A byte more tells that there is none.
    usize::try_from(largest).unwrap_or(most).saturating_add(1).max(LEAST).min(most)
}

fn progress_bar(inputs: &[Input], more_come: bool) -> ProgressBar {
    match inputs.iter().map(Input::bytes).sum::<Option<u64>>() {
        Some(bytes) if !more_come => terminal::progress(
            ProgressBar::new(bytes),
            "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
        ),
        _ => terminal::progress(
            ProgressBar::new_spinner(),
            "{spinner} {decimal_bytes} {decimal_bytes_per_sec}",
        ),
    }
}

struct Scan<'a> {
    args: &'a ScanArgs,
    trace: Option<&'a Trace>,
    rules: &'a Rules,
    pipeline: &'a RulePipeline,
    backends: &'a [Backend],
    /// Which of them scans what one device does alone.
    backend: &'a Backend,
    tuning: Option<Tuning>,
    /// Made when it is needed.
    session: Option<ResidentRulePipeline>,
    window_bytes: usize,
    scratch: ScanScratch,
    output: RefCell<Output<'a>>,
    /// What sessions take that are prepared.
    _tables: Vec<LaidOutTables>,
    history: Option<&'a History>,
    /// Whether there is more to scan than the inputs that were found.
    more_come: bool,
    bar: ProgressBar,
    summary: Summary,
}

/// What has come of a small file: how it was read, what it has, and what was found there.
type FoundIn<'f> =
    (&'f Input, &'f io::Result<Loaded>, &'f [u8], Result<&'f [Match], &'f RingItemError>);

/// How an input is scanned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// With many others.
    Small,
    /// By itself.
    Large,
    /// As what is in it.
    Packed,
}

impl Scan<'_> {
    /// Scans all inputs on one device.
    fn all(&mut self, mut inputs: Vec<Input>) -> Result<(), Box<dyn Error>> {
        let begin = Instant::now();
        let Scan { args, pipeline, backend, tuning, more_come, .. } = *self;
        let mut small_files =
            SmallFiles::prepare(args, pipeline, backend, tuning, &inputs, more_come)?;
        let way = |input: &Input| match &small_files {
            _ if input.is_packed() => Way::Packed,
            Some(files) if files.takes(input) => Way::Small,
            _ => Way::Large,
        };
        if args.sort.is_none() {
            inputs.sort_by_key(way);
        }
        // In turns, if they have to be scanned in order.
        let groups = inputs.chunk_by(|one, next| way(one) == way(next));
        let groups: Vec<(Way, &[Input])> = groups.map(|group| (way(&group[0]), group)).collect();
        let is_large = |(way, _): &&(Way, &[Input])| *way == Way::Large;
        let large = groups.iter().filter(is_large).flat_map(|(_, group)| *group);
        self.window_bytes = window_bytes(args, large.clone(), more_come);
        if large.count() > 0 {
            self.prepare_windows()?;
        }
        self.prepared(begin)?;
        // What is made for scans is not in it.
        let directory = args.capture.as_deref();
        let capture = directory.map(|directory| backend.capture(directory)).transpose()?;
        let begin = Instant::now();
        for (way, group) in groups {
            match (way, &mut small_files) {
                (Way::Packed, _) => {
                    self.packed(group, |scan, fed| scan.small_and_large(&mut small_files, fed))?
                }
                (Way::Small, Some(files)) => self.small(files, group)?,
                _ => self.large(group)?,
            }
        }
        self.of_history(|scan, fed| scan.small_and_large(&mut small_files, fed))?;
        self.summary.scanned = begin.elapsed();
        if let Some(capture) = capture {
            terminal::say(&format!("captured to {}\n", terminal::path(&capture.end()?)));
        }
        Ok(small_files.map_or(Ok(()), SmallFiles::free)?)
    }

    /// Scans what is in packed files.
    fn packed(
        &mut self,
        inputs: &[Input],
        scan: impl FnMut(&mut Self, Vec<Input>) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let (most, in_order) = (self.args.max_decoded_bytes, self.args.sort.is_some());
        self.fed(|feed| packed::unpack(inputs, most, in_order, feed), scan)
    }

    /// Scans the history that is asked for, if any is.
    fn of_history(
        &mut self,
        scan: impl FnMut(&mut Self, Vec<Input>) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let Some(history) = self.history else { return Ok(()) };
        self.fed(|feed| history.read(feed), scan)
    }

    /// Scans what another thread reads out of something else.
    fn fed(
        &mut self,
        read: impl FnOnce(Feed) + Send,
        mut scan: impl FnMut(&mut Self, Vec<Input>) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let tells_paths = self.rules.of_paths().next().is_some();
        let (feed, fed) = feed::feed(!self.args.binary, tells_paths);
        thread::scope(|scope| {
            scope.spawn(move || read(feed));
            // What is left of it goes when this ends, so that nobody waits for it to be taken.
            fed.into_iter().try_for_each(|fed| match fed {
                Fed::Inputs(mut inputs) => {
                    let (found, output) = (inputs.len(), self.output.get_mut());
                    output.catch_up(inputs.first())?;
                    output.look_at_paths(inputs.par_iter());
                    let mut left_out = are_left_out(&inputs, self.rules).into_iter();
                    inputs.retain(|_| left_out.next() == Some(false));
                    self.summary.left_out += (found - inputs.len()) as u64;
                    scan(self, inputs)
                }
                Fed::Failed(error) => {
                    self.summary.failed += 1;
                    report(&error);
                    Ok(())
                }
            })
        })
    }

    /// Scans inputs on one device.
    fn small_and_large(
        &mut self,
        small_files: &mut Option<SmallFiles>,
        mut inputs: Vec<Input>,
    ) -> Result<(), Box<dyn Error>> {
        let is_small = |input: &Input| small_files.as_ref().is_some_and(|files| files.takes(input));
        if self.args.sort.is_none() {
            inputs.sort_by_key(|input| !is_small(input));
        }
        let groups = inputs.chunk_by(|one, next| is_small(one) == is_small(next));
        let groups: Vec<(bool, &[Input])> =
            groups.map(|group| (is_small(&group[0]), group)).collect();
        for (is_small, group) in groups {
            match small_files {
                Some(files) if is_small => self.small(files, group)?,
                _ => self.large(group)?,
            }
        }
        Ok(())
    }

    /// Takes note of what it took until scans could begin.
    fn prepared(&mut self, begin: Instant) -> Result<(), BackendError> {
        self.summary.prepared = begin.elapsed();
        if self.args.stats {
            for backend in self.backends {
                self.summary.kernels_made +=
                    backend.kernels()?.iter().map(|kernel| kernel.made_in).sum::<Duration>();
            }
        }
        note(self.trace, "prepare session", begin);
        Ok(())
    }

    /// Scans files that are small.
    fn small(&mut self, files: &mut SmallFiles, inputs: &[Input]) -> Result<(), Box<dyn Error>> {
        let mut stats = ScanStats::default();
        let scanned = files.scan(inputs, |round| {
            stats += round.results.stats().scan;
            self.round(round)
        });
        self.summary.stats += stats;
        match scanned {
            Err(error) if error.is::<RingError>() && !self.backend.is_lost() => {
                tracing::info!("small files are scanned one by one: {error}");
                self.large(&inputs[files.done()..])
            }
            scanned => scanned,
        }
    }

    /// Prints what has come of small files.
    fn round(&mut self, round: Round) -> Result<(), Box<dyn Error>> {
        let Round { inputs, read, batch, results } = round;
        let found = (inputs.iter().zip(&read).zip(results.iter()).enumerate()).map(
            |(index, ((input, read), result))| (input, read, batch.bytes(index), result.matches),
        );
        let judged = self.judge(found.collect());
        let found = inputs.iter().zip(read).zip(results.iter()).zip(judged).enumerate();
        for (index, (((input, read), result), judged)) in found {
            self.small_file(input, read, batch.bytes(index), result.matches, judged)?;
        }
        Ok(())
    }

    /// Judges what was found in small files, by several threads.
    fn judge(&mut self, found: Vec<FoundIn>) -> Vec<Vec<Judged>> {
        let judging = self.output.get_mut().judging();
        let of = |found: &FoundIn| match *found {
            (input, Ok(Loaded::Whole { is_utf16, .. }), bytes, Ok(matches)) => {
                judging.whole(input, bytes, *is_utf16, matches)
            }
            _ => Vec::new(),
        };
        found.par_iter().map(of).collect()
    }

    /// Prints what has come of a small file.
    fn small_file(
        &mut self,
        input: &Input,
        read: io::Result<Loaded>,
        bytes: &[u8],
        matches: Result<&[Match], &RingItemError>,
        judged: Vec<Judged>,
    ) -> Result<(), Box<dyn Error>> {
        match (read, matches) {
            (Err(error), _) => self.failed(input, error.into())?,
            (Ok(Loaded::Grown), _) => return self.input(input),
            (Ok(Loaded::Binary), _) => self.binary(input)?,
            (Ok(Loaded::Whole { .. }), Ok(_)) => {
                self.summary.inputs += 1;
                self.output.get_mut().tell(input, judged)?;
            }
            (Ok(Loaded::Whole { .. }), Err(error)) => {
                self.summary.failed += 1;
                report_input(input, &errors::item(error, bytes.len()));
            }
        }
        self.bar.inc(input.bytes().unwrap_or(0));
        Ok(())
    }

    /// Passes over an input that is binary.
    fn binary(&mut self, input: &Input) -> io::Result<()> {
        self.summary.skipped_binary += 1;
        self.output.get_mut().skipped(input)
    }

    /// Gives the device back and says how it went.
    fn finish(mut self) -> Result<Status, Box<dyn Error>> {
        self.bar.finish_and_clear();
        self.summary.window_bytes = self.window_bytes;
        self.summary.matches = self.output.get_mut().finish()?;
        for fault in self.output.get_mut().take_faults() {
            self.summary.failed += 1;
            report(&fault);
        }
        self.session.map_or(Ok(()), |session| session.free(self.backend))?;
        if self.args.stats {
            terminal::say(&self.summary.describe(self.rules, self.backends));
        }
        Ok(match (self.summary.failed, self.summary.matches) {
            (1.., _) => Status::Failed,
            (0, 1..) => Status::Found,
            (0, 0) => Status::NothingFound,
        })
    }
}

fn report_input(input: &Input, error: &str) {
    report(&format_args!("{}: {error}", input.origin));
}
