//! Several devices: files, and windows of large ones, go to whichever device is free.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::ProgressBar;
use rayon::prelude::*;
use vkscan::{
    Backend, DevicePool, Match, MegakernelSessionConfig, PoolOrder, PoolReport, RingError,
    RingItem, RingItemError, RingPool, ScanError, SessionOptions, WindowSource,
};

use super::small_files::{EACH, ROUND_BYTES, ROUND_FILES, ROUNDS_IN_FLIGHT};
use super::windows::InputError;
use super::{Scan, window_bytes};
use crate::around::Text;
use crate::inputs::{Content, Input, Loaded, Opened};

/// How an input is scanned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// With many others.
    Small,
    /// As one haystack.
    Whole,
    /// In windows.
    Windows,
    /// As it comes, on one device.
    Stream,
    /// As what is in it.
    Packed,
}

/// Scans all inputs on several devices.
pub(super) fn scan(scan: &mut Scan, inputs: Vec<Input>) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let args = scan.args;
    let small_bytes = ROUND_BYTES.min(args.window_bytes as usize) / 2 - EACH;
    // Matches longer than a bound are for windows to leave out.
    let has_rings = args.max_scan_bytes == u32::MAX;
    let is_small = |bytes: u64| has_rings && bytes <= small_bytes as u64;
    let others = inputs.iter().filter(|input| !input.bytes().is_some_and(is_small));
    scan.window_bytes = window_bytes(args, others, scan.more_come);
    let most = scan.window_bytes as u64;
    let way = |input: &Input| match input.bytes() {
        _ if input.is_packed() => Way::Packed,
        Some(bytes) if is_small(bytes) => Way::Small,
        Some(bytes) if bytes < most => Way::Whole,
        Some(_) => Way::Windows,
        None => Way::Stream,
    };
    let by_way = |mut inputs: Vec<Input>| {
        if args.sort.is_none() {
            inputs.sort_by_key(way);
        }
        inputs
    };
    let inputs = by_way(inputs);
    let has_small = has_rings && scan.more_come;
    let has_small = has_small || inputs.iter().any(|input| way(input) == Way::Small);
    let mut pools = Pools::prepare(scan, has_small)?;
    scan.prepared(begin)?;
    let begin = Instant::now();
    let mut all = |scan: &mut Scan, inputs: &[Input]| -> Result<(), Box<dyn Error>> {
        for group in inputs.chunk_by(|one, next| way(one) == way(next)) {
            match way(&group[0]) {
                Way::Small => pools.small(scan, group)?,
                Way::Whole => pools.whole(scan, group)?,
                Way::Windows => group.iter().try_for_each(|input| pools.windows(scan, input))?,
                Way::Stream | Way::Packed => {
                    group.iter().try_for_each(|input| scan.input(input))?;
                }
            }
        }
        Ok(())
    };
    for group in inputs.chunk_by(|one, next| way(one) == way(next)) {
        match way(&group[0]) {
            Way::Packed => scan.packed(group, |scan, inputs| all(scan, &by_way(inputs)))?,
            _ => all(scan, group)?,
        }
    }
    scan.of_history(|scan, inputs| all(scan, &by_way(inputs)))?;
    scan.summary.scanned = begin.elapsed();
    let Pools { sessions, rings, report } = pools;
    scan.summary.shares = report.devices;
    for share in &scan.summary.shares {
        scan.summary.stats += share.stats;
    }
    let rings = rings.map_or(Ok(()), RingPool::free);
    let freed = sessions.free().map_err(Box::from).and(rings.map_err(Box::from));
    freed.or_else(|error: Box<dyn Error>| {
        // What was taken out may still not answer. All was scanned without it.
        let was_told = scan.summary.shares.iter().any(|share| share.fault.is_some());
        if was_told { Ok(()) } else { Err(error) }
    })
}

/// Sessions on all devices.
struct Pools {
    sessions: DevicePool,
    /// None without small files, or where a device cannot scan them together.
    rings: Option<RingPool>,
    /// What they have done so far.
    report: PoolReport,
}

/// A file that has been read, and how.
struct Read<'i> {
    input: &'i Input,
    read: io::Result<Loaded>,
    memory: Vec<u8>,
}

impl Read<'_> {
    fn new(input: &Input) -> Read<'_> {
        // A byte more tells that there is none.
        let mut memory = vec![0; input.bytes().unwrap_or(0) as usize + 1];
        Read { input, read: input.load(&mut memory), memory }
    }
}

/// Reads files by several threads.
fn load_all(inputs: &[Input]) -> Vec<Read<'_>> {
    inputs.par_iter().map(Read::new).collect()
}

impl AsRef<[u8]> for Read<'_> {
    /// What is to be scanned.
    fn as_ref(&self) -> &[u8] {
        match self.read {
            Ok(Loaded::Whole { len, .. }) => &self.memory[..len],
            _ => &[],
        }
    }
}

impl Pools {
    fn prepare(scan: &Scan, has_small: bool) -> Result<Pools, Box<dyn Error>> {
        let Scan { args, pipeline, backends, tuning, window_bytes, .. } = *scan;
        let options = SessionOptions::new(window_bytes, args.max_matches).tuning(tuning);
        let sessions = DevicePool::new(pipeline, backends.to_vec(), &options)?;
        let config = MegakernelSessionConfig::default()
            .slot_count((ROUND_FILES * ROUNDS_IN_FLIGHT) as u32)
            .round_bytes(ROUND_BYTES.min(args.window_bytes as usize))
            .rounds_in_flight(ROUNDS_IN_FLIGHT)
            .tuning(tuning)
            .max_matches(u32::try_from(args.max_matches).unwrap_or(u32::MAX));
        let rings = match has_small {
            true => match RingPool::new(pipeline, backends, config) {
                Err(error) if !backends.iter().any(Backend::is_lost) => {
                    tracing::info!("small files are scanned one by one: {error}");
                    None
                }
                made => made?,
            },
            false => None,
        };
        Ok(Pools { sessions, rings, report: PoolReport::default() })
    }

    /// Adds up what each device has done, and says which were taken out.
    fn add(&mut self, report: PoolReport) {
        for (index, share) in report.devices.iter().enumerate() {
            let before = self.report.devices.get(index);
            let is_out = before.is_some_and(|before| before.fault.is_some());
            let had_recovered = before.is_some_and(|before| before.recovered);
            match &share.fault {
                Some(fault) if !is_out => {
                    tracing::warn!("{} was taken out, and the others go on: {fault}", share.device);
                }
                None if share.recovered && !had_recovered => {
                    tracing::warn!("{} was lost, and is used again", share.device);
                }
                _ => {}
            }
        }
        if self.report.devices.is_empty() {
            self.report = report;
        } else {
            self.report += report;
        }
    }

    /// Scans files one by one.
    fn one_by_one(&mut self, scan: &mut Scan, inputs: &[Input]) -> Result<(), Box<dyn Error>> {
        let most = scan.window_bytes as u64;
        let fits = |input: &Input| input.bytes().is_some_and(|bytes| bytes < most);
        for group in inputs.chunk_by(|one, next| fits(one) == fits(next)) {
            if fits(&group[0]) {
                self.whole(scan, group)?;
            } else {
                group.iter().try_for_each(|input| self.windows(scan, input))?;
            }
        }
        Ok(())
    }

    /// Scans small files, some of which are read while those before them are scanned.
    fn small(&mut self, scan: &mut Scan, inputs: &[Input]) -> Result<(), Box<dyn Error>> {
        /// Bytes for each device that are read ahead.
        const AHEAD: u64 = 64 << 20;

        let Some(mut rings) = self.rings.take() else { return self.one_by_one(scan, inputs) };
        let most = AHEAD * scan.backends.len() as u64;
        let mut parts = parts(inputs, most).into_iter().peekable();
        let mut loaded = parts.peek().map(|part| load_all(part));
        while let (Some(part), Some(files)) = (parts.next(), loaded.take()) {
            let mut found: Vec<Option<Result<Vec<Match>, RingItemError>>> = Vec::new();
            found.resize_with(files.len(), || None);
            let scanned = std::thread::scope(|scope| {
                let ahead = parts.peek().map(|next| scope.spawn(|| load_all(next)));
                let items = (0..).zip(&files).map(|(id, file)| RingItem::new(id, file.as_ref()));
                let scanned = rings.scan(items, PoolOrder::AsFinished, |result| {
                    let matches = result.matches.map(<[Match]>::to_vec).map_err(Clone::clone);
                    found[result.id as usize] = Some(matches);
                });
                loaded = ahead.map(|ahead| ahead.join().expect("reading does not panic"));
                scanned
            });
            match scanned {
                Ok(report) => self.add(report),
                Err(RingError::Scan(ScanError::Backend(fault)))
                    if scan.backends.iter().all(Backend::is_lost) =>
                {
                    return Err(fault.into());
                }
                Err(error) => {
                    tracing::info!("small files are scanned one by one: {error}");
                    drop(files);
                    self.one_by_one(scan, part)?;
                    continue;
                }
            }
            let found: Vec<Result<Vec<Match>, RingItemError>> =
                found.into_iter().map(|found| found.expect("each item is told")).collect();
            let of = files
                .iter()
                .zip(&found)
                .map(|(file, found)| (file.input, &file.read, file.as_ref(), found.as_deref()));
            let judged = scan.judge(of.collect());
            for ((Read { input, read, memory }, found), judged) in
                files.into_iter().zip(&found).zip(judged)
            {
                let len = if let Ok(Loaded::Whole { len, .. }) = read { len } else { 0 };
                scan.small_file(input, read, &memory[..len], found.as_deref(), judged)?;
            }
        }
        self.rings = Some(rings);
        Ok(())
    }

    /// Scans files that fit a window, each by itself.
    fn whole(&mut self, scan: &mut Scan, inputs: &[Input]) -> Result<(), Box<dyn Error>> {
        let order = match scan.args.sort {
            Some(_) => PoolOrder::AsGiven,
            None => PoolOrder::AsFinished,
        };
        let is_over = AtomicBool::new(false);
        let files = inputs.iter().take_while(|_| !is_over.load(Ordering::Relaxed)).map(Read::new);
        let mut printed = Ok(());
        let report =
            self.sessions.scan(files, scan.args.max_scan_bytes, order, |_, file, matches| {
                if printed.is_ok() {
                    printed = one(scan, file, matches);
                    is_over.store(printed.is_err(), Ordering::Relaxed);
                }
            });
        printed?;
        self.add(report?);
        Ok(())
    }

    /// Scans a file in windows, which all devices look through.
    fn windows(&mut self, scan: &mut Scan, input: &Input) -> Result<(), Box<dyn Error>> {
        let scanned = self.try_windows(scan, input);
        scan.output.get_mut().check()?;
        scanned.or_else(|error| scan.failed(input, error))
    }

    fn try_windows(&mut self, scan: &mut Scan, input: &Input) -> Result<(), InputError> {
        let Some(opened) = input.open_text()? else {
            scan.bar.inc(input.bytes().unwrap_or(0));
            return Ok(scan.binary(input)?);
        };
        let content = match opened {
            Opened::Whole(content) if input.others.is_empty() => content,
            // From the start, on one device.
            _ => return scan.try_input(input),
        };
        // Not the size when it was found: it may have grown.
        let bytes = content.len()?;
        let before = scan.bar.position();
        let opened =
            Windowed { content, bytes, bar: &scan.bar, before, is_over: AtomicBool::new(false) };
        let output = scan.output.get_mut();
        output.begin(&input.origin);
        let mut printed = Ok(());
        let report = self.sessions.scan_large(&opened, scan.args.max_scan_bytes, |matches| {
            if printed.is_ok() {
                matches.iter().for_each(|found| output.push(*found));
                printed = output.flush(&opened.content);
                opened.is_over.store(printed.is_err(), Ordering::Relaxed);
            }
        });
        let Windowed { content, .. } = opened;
        let scanned = match report {
            Ok(report) => {
                self.add(report);
                Ok(())
            }
            // It is why no more was read.
            Err(_) if printed.is_err() => Ok(()),
            Err(error) => scan.in_larger_windows(input, &content, error.into()),
        };
        let ended = scan.output.get_mut().end(&content);
        scanned?;
        printed.and(ended)?;
        scan.summary.inputs += 1;
        Ok(())
    }
}

/// Prints what has come of a file that was scanned as one haystack.
fn one(
    scan: &mut Scan,
    file: Read,
    matches: Result<&[Match], ScanError>,
) -> Result<(), Box<dyn Error>> {
    match (&file.read, matches) {
        (&Ok(Loaded::Whole { is_utf16, .. }), Ok(matches)) => {
            scan.summary.inputs += 1;
            let output = scan.output.get_mut();
            let judged = output.judging().whole(file.input, file.as_ref(), is_utf16, matches);
            output.tell(file.input, judged)?;
        }
        (Ok(Loaded::Whole { .. }), Err(error)) => scan.failed(file.input, error.into())?,
        (Ok(Loaded::Grown), _) => return scan.input(file.input),
        (Ok(Loaded::Binary), _) => scan.binary(file.input)?,
        (Err(_), _) => {
            let Err(error) = file.read else { unreachable!("it was an error") };
            scan.failed(file.input, error.into())?;
        }
    }
    scan.bar.inc(file.input.bytes().unwrap_or(0));
    Ok(())
}

/// Inputs in runs of at most so many bytes, or of one.
fn parts(mut inputs: &[Input], most: u64) -> Vec<&[Input]> {
    let mut parts = Vec::new();
    while !inputs.is_empty() {
        let mut bytes = 0;
        let fits = |input: &&Input| {
            bytes += input.bytes().unwrap_or(0);
            bytes <= most
        };
        let count = inputs.iter().take_while(fits).count().max(1);
        let (part, rest) = inputs.split_at(count);
        parts.push(part);
        inputs = rest;
    }
    parts
}

/// A file as long as it was when it was opened.
struct Windowed<'b, 'i> {
    content: Content<'i>,
    bytes: u64,
    bar: &'b ProgressBar,
    /// Where that was.
    before: u64,
    /// Whether nobody will look at what is found any more.
    is_over: AtomicBool,
}

impl WindowSource for Windowed<'_, '_> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(io::Error::other("what is found cannot be printed"));
        }
        let bytes = self.content.read(range.clone())?;
        self.bar.set_position(self.bar.position().max(self.before + range.end));
        Ok(bytes)
    }
}
