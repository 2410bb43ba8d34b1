//! `vkscan scan`: small files through a ring session, and the others through a resident one; or through pools of these, where
//! there are several devices.

mod pooled;
mod small_files;

use std::cell::RefCell;
use std::error::Error;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use rayon::prelude::*;
use vkscan::{
    Backend, BackendError, DeviceSelector, MAX_HAYSTACK_BYTES, Match, ResidentRulePipeline,
    RingError, RingItemError, RulePipeline, ScanError, ScanScratch, ScanStats, SessionOptions,
    StagedHaystack, StreamError, Ticket, Trace, Tuning,
};

use crate::Status;
use crate::args::{Kind, ScanArgs};
use crate::around::{Recent, Text};
use crate::errors;
use crate::inputs::{self, Input, Live, OwnFiles};
use crate::kept;
use crate::output::Output;
use crate::profiles::{self, Chosen};
use crate::rules::{Rules, RulesError};
use crate::summary::Summary;
use crate::terminal::{self, report};
use crate::trace::TraceFile;
use small_files::{FileRead, Round, SmallFiles};

pub fn run(args: &ScanArgs) -> Result<Status, Box<dyn Error>> {
    let trace = args.trace.as_ref().map(|_| Trace::new());
    let reads_stdin = args.paths.is_empty() || args.paths.iter().any(|path| path == Path::new("-"));
    if reads_stdin && args.rules.rules.iter().any(|path| path == Path::new("-")) {
        return Err(
            "standard input is either rules or what is scanned: name files for one of them".into(),
        );
    }
    let rules = Rules::read(&args.rules)?;
    if args.match_kind == Kind::All && rules.has_secrets() {
        let reason = "--match-kind all has no groups, and some of the rules say that a secret is one: leave it out";
        return Err(reason.into());
    }
    let ready = get_ready(args, trace.as_ref(), &rules)?;
    let trace_file = args.trace.as_deref().map(TraceFile::create).transpose()?;
    let status = scan(args, trace.as_ref(), &rules, ready).map_err(|error| {
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

fn note(trace: Option<&Trace>, name: &'static str, began: Instant) {
    if let Some(trace) = trace {
        trace.note(name, began);
    }
}

/// What a scan takes, and how long that took.
struct Ready {
    pipeline: RulePipeline,
    compiled: Duration,
    backends: Result<Vec<Backend>, BackendError>,
    opened: Duration,
    inputs: Vec<Input>,
    /// Inputs that could not be looked at.
    failed: u64,
}

/// Compiles rules while devices are opened and inputs looked for; after that, if what is wrong with the rules is to be said first.
fn get_ready(args: &ScanArgs, trace: Option<&Trace>, rules: &Rules) -> Result<Ready, RulesError> {
    let compile = || {
        let begin = Instant::now();
        let pipeline = rules.compile(args.match_kind.into());
        note(trace, "compile rules", begin);
        pipeline.map(|pipeline| (pipeline, begin.elapsed()))
    };
    let open = || {
        let begin = Instant::now();
        let backends = open(args, trace);
        note(trace, "open device", begin);
        (backends, begin.elapsed())
    };
    let is_sound = rules.all_parse();
    let early = if is_sound { None } else { Some(compile()?) };
    let (compiled, opened, found) = std::thread::scope(|scope| {
        let opening = scope.spawn(open);
        let finding = scope.spawn(|| inputs::find(args));
        let compiled = early.map_or_else(compile, Ok);
        let opened = opening.join().unwrap_or_else(|panic| resume_unwind(panic));
        let found = finding.join().unwrap_or_else(|panic| resume_unwind(panic));
        (compiled, opened, found)
    });
    let (pipeline, compiled) = compiled?;
    let ((backends, opened), (inputs, failed)) = (opened, found);
    Ok(Ready { pipeline, compiled, backends, opened, inputs, failed })
}

fn scan(
    args: &ScanArgs,
    trace: Option<&Trace>,
    rules: &Rules,
    ready: Ready,
) -> Result<Status, Box<dyn Error>> {
    let Ready { pipeline, compiled, backends, opened, inputs, failed } = ready;
    let pipeline = &pipeline;
    let backends = backends?;
    let mut output = Output::new(&args.results, rules, pipeline)?;
    let found = inputs.len();
    let own_files = OwnFiles::of(args, rules);
    let inputs: Vec<Input> = inputs.into_iter().filter(|input| !own_files.have(input)).collect();
    output.look_at_paths(inputs.iter());
    let inputs: Vec<Input> =
        inputs.into_par_iter().filter(|input| !input.is_left_out(rules)).collect();
    let left_out = (found - inputs.len()) as u64;
    if found == 0 {
        tracing::warn!("there is no file to scan; --hidden and --no-ignore may show more");
    }
    if backends.len() > 1 && args.capture.is_some() {
        return Err("--capture is of one device: name it with --device".into());
    }
    let Chosen { tuning, from } = profiles::choose_for(&args.profile, &backends)?;
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
        bar: progress_bar(&inputs),
        summary: Summary {
            compiled,
            opened,
            tuned_by: from,
            left_out,
            failed,
            ..Summary::default()
        },
    };
    match &backends[..] {
        [_] => scan.all(inputs)?,
        _ => pooled::scan(&mut scan, inputs)?,
    }
    scan.finish()
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
    let of_environment = || std::env::var("VKSCAN_DEVICE").unwrap_or_else(|_| "default".to_owned());
    let name = device.map_or_else(of_environment, DeviceSelector::to_string);
    let name = name.replace(|char: char| !char.is_ascii_alphanumeric(), "-");
    let folder = kept::folder().ok()?;
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join(format!("kernels-{name}.bin")))
}

/// As much as is allowed, but no more than the largest input takes: a session's capacity costs device
/// memory.
fn window_bytes<'i>(args: &ScanArgs, inputs: impl Iterator<Item = &'i Input>) -> usize {
    /// Small files cost little, and may have grown or give no size at all.
    const LEAST: usize = 64 << 10;

    let largest = inputs.map(|input| input.bytes().unwrap_or(u64::MAX)).max().unwrap_or(0);
    let most = args.window_bytes as usize;
    // A byte more tells that there is none.
    usize::try_from(largest).unwrap_or(most).saturating_add(1).max(LEAST).min(most)
}

fn prepare(
    args: &ScanArgs,
    pipeline: &RulePipeline,
    backend: &Backend,
    tuning: Option<Tuning>,
    window_bytes: usize,
) -> Result<ResidentRulePipeline, ScanError> {
    let options = SessionOptions::new(window_bytes, args.max_matches).tuning(tuning);
    pipeline.prepare_resident_with(backend, &options)
}

fn progress_bar(inputs: &[Input]) -> ProgressBar {
    match inputs.iter().map(Input::bytes).sum::<Option<u64>>() {
        Some(bytes) => terminal::progress(
            ProgressBar::new(bytes),
            "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
        ),
        None => terminal::progress(
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
    bar: ProgressBar,
    summary: Summary,
}

/// A file whose scan is in flight, or why it is not.
enum Loaded<'s> {
    Submitted(Box<Ticket<'s>>),
    Binary,
    /// There was more to read than when it was found.
    Grown,
}

impl Scan<'_> {
    /// Scans all inputs on one device.
    fn all(&mut self, mut inputs: Vec<Input>) -> Result<(), Box<dyn Error>> {
        let begin = Instant::now();
        let Scan { args, pipeline, backend, tuning, .. } = *self;
        let mut small_files = SmallFiles::prepare(args, pipeline, backend, tuning, &inputs)?;
        let is_small = |input: &Input| small_files.as_ref().is_some_and(|files| files.takes(input));
        if args.sort.is_none() {
            inputs.sort_by_key(|input| !is_small(input));
        }
        // In turns, if they have to be scanned in order.
        let groups = inputs.chunk_by(|one, next| is_small(one) == is_small(next));
        let groups: Vec<(bool, &[Input])> =
            groups.map(|group| (is_small(&group[0]), group)).collect();
        let large = groups.iter().filter(|(is_small, _)| !is_small).flat_map(|(_, group)| *group);
        self.window_bytes = window_bytes(args, large.clone());
        if large.count() > 0 {
            self.prepare_windows()?;
        }
        self.prepared(begin)?;
        // What is made for scans is not in it.
        let directory = args.capture.as_deref();
        let capture = directory.map(|directory| backend.capture(directory)).transpose()?;
        let begin = Instant::now();
        for (is_small, group) in groups {
            match &mut small_files {
                Some(files) if is_small => self.small(files, group)?,
                _ => self.large(group)?,
            }
        }
        self.summary.scanned = begin.elapsed();
        if let Some(capture) = capture {
            terminal::say(&format!("captured to {}\n", terminal::path(&capture.end()?)));
        }
        Ok(small_files.map_or(Ok(()), SmallFiles::free)?)
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

    fn prepare_windows(&mut self) -> Result<(), ScanError> {
        // Of several devices, one that is there.
        if self.backend.is_lost()
            && let Some(other) = self.backends.iter().find(|other| !other.is_lost())
        {
            (self.backend, self.session) = (other, None);
        }
        if self.session.is_none() {
            let session =
                prepare(self.args, self.pipeline, self.backend, self.tuning, self.window_bytes)?;
            self.session = Some(session);
        }
        Ok(())
    }

    /// The session that windows are scanned through.
    fn session(&self) -> &ResidentRulePipeline {
        self.session.as_ref().expect("prepared before there is anything for it")
    }

    /// Whether a file was found to fit a window as a whole.
    fn fits(&self, input: &Input) -> bool {
        let most = self.session().haystack_capacity() as u64;
        input.bytes().is_some_and(|bytes| bytes < most)
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
        for (index, ((input, read), result)) in
            inputs.iter().zip(read).zip(results.iter()).enumerate()
        {
            self.small_file(input, read, batch.bytes(index), result.matches)?;
        }
        Ok(())
    }

    /// Prints what has come of a small file.
    fn small_file(
        &mut self,
        input: &Input,
        read: io::Result<FileRead>,
        bytes: &[u8],
        matches: Result<&[Match], &RingItemError>,
    ) -> Result<(), Box<dyn Error>> {
        match (read, matches) {
            (Err(error), _) => self.failed(input, error.into())?,
            (Ok(FileRead::Grown), _) => return self.input(input),
            (Ok(FileRead::Binary), _) => {
                self.summary.skipped_binary += 1;
                self.output.get_mut().skipped(input)?;
            }
            (Ok(FileRead::Whole(_)), Ok(matches)) => {
                self.summary.inputs += 1;
                self.print(input, bytes, matches)?;
            }
            (Ok(FileRead::Whole(_)), Err(error)) => {
                self.summary.failed += 1;
                report_input(input, &errors::item(error, bytes.len()));
            }
        }
        self.bar.inc(input.bytes().unwrap_or(0));
        Ok(())
    }

    /// Prints the matches of an input that is there as a whole.
    fn print(&mut self, input: &Input, bytes: &[u8], matches: &[Match]) -> io::Result<()> {
        self.output.get_mut().whole(input, bytes, matches)
    }

    /// Scans inputs that are not small, as many at a time as fit windows.
    fn large(&mut self, inputs: &[Input]) -> Result<(), Box<dyn Error>> {
        self.prepare_windows()?;
        let mut rest = inputs;
        while !rest.is_empty() {
            let fits = |input: &&Input| self.fits(input);
            let most = self.session().scans_in_flight();
            let count = rest.iter().take(most).take_while(fits).count();
            if count == 0 {
                self.input(&rest[0])?;
            } else {
                self.files(&rest[..count])?;
            }
            rest = &rest[count.max(1)..];
        }
        Ok(())
    }

    /// Scans files that fit: each is read straight into staging memory while those before it are looked through.
    fn files(&mut self, inputs: &[Input]) -> Result<(), Box<dyn Error>> {
        let Scan { args, backend, session, scratch, output, summary, .. } = self;
        let session = session.as_ref().expect("prepared by `large`");
        let mut staged: Vec<Option<StagedHaystack>> = inputs.iter().map(|_| None).collect();
        let mut loaded = Vec::with_capacity(inputs.len());
        for (input, staged) in inputs.iter().zip(&mut staged) {
            loaded.push(load(session, backend, args.max_scan_bytes, input, staged));
        }
        let mut outcomes = Vec::with_capacity(inputs.len());
        let mut matches = Vec::new();
        for (input, loaded) in inputs.iter().zip(loaded) {
            let mut printed = Ok(());
            let outcome = loaded.and_then(|(bytes, loaded)| {
                let ticket = match loaded {
                    Loaded::Submitted(ticket) => ticket,
                    Loaded::Binary => {
                        summary.skipped_binary += 1;
                        printed = output.get_mut().skipped(input);
                        return Ok(true);
                    }
                    Loaded::Grown => return Ok(false),
                };
                summary.stats += ticket.wait_into(&mut matches, scratch)?;
                summary.inputs += 1;
                printed = output.get_mut().whole(input, bytes, &matches);
                Ok(true)
            });
            printed?;
            if !matches!(outcome, Ok(false)) {
                self.bar.inc(input.bytes().unwrap_or(0));
            }
            outcomes.push(outcome);
        }
        drop(staged);
        for (input, outcome) in inputs.iter().zip(outcomes) {
            match outcome {
                Ok(true) => {}
                Ok(false) => self.input(input)?,
                Err(error) => self.failed(input, error.into())?,
            }
        }
        Ok(())
    }

    /// Reports what is wrong with an input; fails if no other could fare better.
    fn failed(&mut self, input: &Input, error: InputError) -> Result<(), Box<dyn Error>> {
        if let ScanError::Backend(BackendError::DeviceLost { .. }) = error.0.error {
            return Err(error.0.error.into());
        }
        self.summary.failed += 1;
        report_input(input, &errors::stream(&error.0, self.rules));
        Ok(())
    }

    /// Scans one input. Reports what is wrong with it alone; fails if no other could fare better.
    fn input(&mut self, input: &Input) -> Result<(), Box<dyn Error>> {
        self.prepare_windows()?;
        let scanned = self.try_input(input);
        // Where printing is what failed, it fails here again.
        self.output.get_mut().check()?;
        scanned.or_else(|error| self.failed(input, error))
    }

    fn try_input(&mut self, input: &Input) -> Result<(), InputError> {
        let Some(file) = inputs::open_text(input)? else {
            self.bar.inc(input.bytes().unwrap_or(0));
            self.summary.skipped_binary += 1;
            self.output.get_mut().skipped(input)?;
            return Ok(());
        };
        self.output.get_mut().begin(input);
        if input.bytes().is_some() {
            self.file(input, &file)?;
        } else {
            if file.is_terminal() {
                tracing::warn!("reading {}, which is a terminal", terminal::path(input.path()));
            }
            let mut recent = Recent::new(self.session().haystack_capacity());
            let scanned = self.reader(Live::new(file), &mut recent, 0);
            // What was found is no less true if the rest could not be scanned.
            recent.end();
            let ended = self.output.get_mut().end(&recent);
            scanned?;
            ended?;
        }
        self.summary.inputs += 1;
        Ok(())
    }

    /// Scans a file and, where a rule cannot be decided within a window, once more in larger ones.
    fn file(&mut self, input: &Input, file: &File) -> Result<(), InputError> {
        let scanned = match self.reader(file, &mut &*file, 0) {
            Err(error) => self.in_larger_windows(input, file, error),
            Ok(()) => Ok(()),
        };
        let ended = self.output.get_mut().end(file);
        scanned?;
        Ok(ended?)
    }

    /// Scans a file once more in larger windows, where a rule could not be decided within one.
    fn in_larger_windows(
        &mut self,
        input: &Input,
        mut file: &File,
        error: InputError,
    ) -> Result<(), InputError> {
        let InputError(StreamError { error: ScanError::Undecided { start, .. }, .. }) = error
        else {
            return Err(error);
        };
        // Not the size when it was found: it may have grown.
        let bytes = file.metadata()?.len();
        let larger = usize::try_from(bytes).unwrap_or(usize::MAX).min(MAX_HAYSTACK_BYTES);
        if larger <= self.window_bytes {
            return Err(error);
        }
        self.prepare_windows()?;
        let path = terminal::path(input.path());
        match prepare(self.args, self.pipeline, self.backend, self.tuning, larger) {
            Ok(session) => {
                tracing::info!("{path}: once more in windows of {larger} bytes");
                if let Some(before) = self.session.replace(session) {
                    before.free(self.backend)?;
                }
                file.rewind()?;
                // All matches before the one that could not be told are printed.
                self.reader(file, &mut &*file, start)
            }
            Err(refused) => {
                let refused = errors::scan(&refused, self.rules);
                tracing::warn!("{path}: no windows of {larger} bytes: {refused}");
                Err(error)
            }
        }
    }

    /// Scans all that a reader gives and prints what is found at or after an offset.
    fn reader(
        &mut self,
        reader: impl Read,
        text: &mut impl Followed,
        from: u64,
    ) -> Result<(), InputError> {
        let output = &self.output;
        let mut reader = Watched { reader, text, output, bar: &self.bar };
        let session = self.session.as_ref().expect("prepared by `input`");
        self.summary.stats += session.scan_reader(
            self.backend,
            &mut reader,
            self.args.max_scan_bytes,
            &mut self.scratch,
            |found, _| {
                if found.start >= from {
                    output.borrow_mut().push(found);
                }
            },
        )?;
        Ok(())
    }

    /// Gives the device back and says how it went.
    fn finish(mut self) -> Result<Status, Box<dyn Error>> {
        self.bar.finish_and_clear();
        self.summary.window_bytes = self.window_bytes;
        self.summary.matches = self.output.get_mut().finish()?;
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

/// What keeps an input from being scanned, and from where on.
struct InputError(StreamError);

impl From<StreamError> for InputError {
    fn from(error: StreamError) -> InputError {
        InputError(error)
    }
}

impl From<ScanError> for InputError {
    fn from(error: ScanError) -> InputError {
        InputError(StreamError { error, scanned: 0 })
    }
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> InputError {
        ScanError::Read(error).into()
    }
}

fn report_input(input: &Input, error: &str) {
    report(&format_args!("{}: {error}", terminal::path(input.path())));
}

/// Reads a file into staging memory and submits its scan. Gives the bytes, too.
fn load<'s>(
    session: &'s ResidentRulePipeline,
    backend: &Backend,
    max_scan_bytes: u32,
    input: &Input,
    staged: &'s mut Option<StagedHaystack>,
) -> Result<(&'s [u8], Loaded<'s>), ScanError> {
    let Some(bytes) = input.bytes() else { return Ok((&[], Loaded::Grown)) };
    let Some(mut file) = inputs::open_text(input)? else {
        return Ok((&[], Loaded::Binary));
    };
    // A byte more, to see that there is none.
    let staged = staged.insert(session.staging(backend, bytes as usize + 1)?);
    let len = inputs::read(&mut file, staged)?;
    if len == staged.len() {
        return Ok((&[], Loaded::Grown));
    }
    staged.truncate(len);
    let ticket = session.submit_bounded(backend, &*staged, max_scan_bytes)?;
    Ok((staged, Loaded::Submitted(Box::new(ticket))))
}

/// What is read, to be looked at again.
trait Followed: Text {
    /// Takes note of what was read.
    fn follow(&mut self, _output: &RefCell<Output>, _bytes: &[u8]) {}
}

impl Followed for &File {}

impl Followed for Recent {
    fn follow(&mut self, output: &RefCell<Output>, bytes: &[u8]) {
        self.push(bytes);
        output.borrow_mut().look_through(bytes);
    }
}

/// A reader whose progress shows, and that has the matches of one window printed before the next is read:
/// there may be no end to it.
struct Watched<'a, 'rules, R, T> {
    reader: R,
    text: &'a mut T,
    output: &'a RefCell<Output<'rules>>,
    bar: &'a ProgressBar,
}

impl<R: Read, T: Followed> Read for Watched<'_, '_, R, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.borrow_mut().flush(self.text)?;
        let bytes = self.reader.read(buffer)?;
        self.text.follow(self.output, &buffer[..bytes]);
        self.bar.inc(bytes as u64);
        Ok(bytes)
    }
}
