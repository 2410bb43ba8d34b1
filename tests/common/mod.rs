//! What the differential tests share: where their data lies, and how a suite of cases meets an engine.
//!
//! A suite turns its file into [`Case`]s once, and says by name what it has to skip. An [`Engine`] answers
//! them, so that another engine costs one adapter and no case.
//!
//! | variable | meaning |
//! |---|---|
//! | `VKSCAN_DATA` | the folder of the peers' data; `../shared/data` without it |
//! | `VKSCAN_REQUIRE_DATA=1` | a missing file fails its test instead of being reported |

// Every test binary compiles this module, and none uses all of it.
#![allow(dead_code, unused_macros)]

pub mod dialect;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::meta;
use regex_automata::util::syntax;
use vkscan::{
    Backend, BackendOptions, Match, MatchKind, PipelineOptions, RulePipeline, ScanScratch,
    SessionOptions, ValidationLog,
};

/// A test of a suite for each engine. Another engine is a line here.
macro_rules! on_every_engine {
    ($run:path) => {
        #[test]
        fn on_the_oracle() {
            $run(&mut common::Oracle);
        }

        #[test]
        fn on_the_device() {
            $run(&mut common::gpu());
        }

        #[test]
        fn on_the_device_without_dfas() {
            $run(&mut common::gpu().without_dfas());
        }

        #[test]
        fn on_the_device_with_too_little_room() {
            $run(&mut common::gpu().cramped());
        }
    };
}

/// Half-open byte offsets.
pub type Span = (usize, usize);

/// Whether an environment variable is set to anything but nothing or `0`.
pub fn flag(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Says something past the test harness, which swallows what a passing test prints.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Processor time that this process has taken, all its threads together.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().expect("below a second"))
}

/// The path of a data file. Where it is missing this says how much goes unchecked.
pub fn data(name: &str, unchecked: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("VKSCAN_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    not_run(&format!("{} is missing, {unchecked} not checked", path.display()));
    None
}

/// Reports a test that cannot run here, and fails it where `VKSCAN_REQUIRE_DATA` says so.
pub fn not_run(why: &str) {
    assert!(!flag("VKSCAN_REQUIRE_DATA"), "VKSCAN_REQUIRE_DATA is set: {why}");
    say(&format!("NOT RUN: {why}"));
}

/// The first `len` bytes that an xz file unpacks to.
pub fn unpack(path: &Path, len: usize) -> Vec<u8> {
    let file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    xz4rust::XzReader::new(file).take(len as u64).read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), len, "{} is shorter than that", path.display());
    bytes
}

/// What the data's own script makes of the first `len` bytes.
pub fn planted(script: &Path, len: usize) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (out, index) = (folder.path().join("planted"), folder.path().join("index"));
    let mut python = Command::new("python3");
    python.arg(script).args([&out, &index]).arg(len.to_string());
    match python.output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => {
            not_run(&format!("python3, which plants the secrets: {error}"));
            return None;
        }
    }
    Some(fs::read(out).unwrap())
}

/// Each pattern of bytes, or of code points where it needs them.
pub fn regexes(patterns: &[&str]) -> Vec<Regex> {
    let build = |pattern: &&str| {
        let build = |unicode| RegexBuilder::new(pattern).unicode(unicode).build();
        build(false).or_else(|_| build(true)).unwrap()
    };
    patterns.iter().map(build).collect()
}

/// What `find_iter` finds for each pattern on its own.
pub fn regex_matches(regexes: &[Regex], haystack: &[u8]) -> Vec<Match> {
    matches_at(regexes.iter().map(|regex| regex.find_iter(haystack).map(|found| found.range())))
}

/// Where matches of each pattern are that are not empty.
fn matches_at(spans: impl Iterator<Item = impl Iterator<Item = Range<usize>>>) -> Vec<Match> {
    let mut matches = Vec::new();
    for (pattern_id, spans) in (0..).zip(spans) {
        let spans = spans.filter(|span| !span.is_empty());
        matches.extend(spans.map(|span| Match {
            pattern_id,
            start: span.start as u32,
            end: span.end as u32,
        }));
    }
    matches
}

/// As [`regexes`], without literal optimisations: with these, regex-automata 0.4.18 says that
/// `x*key.+?b` is in `keybkey`.
pub fn plain_regexes(patterns: &[&str]) -> Vec<meta::Regex> {
    let config = meta::Config::new().auto_prefilter(false).utf8_empty(false);
    let build = |pattern: &&str| {
        let build = |unicode| {
            let syntax = syntax::Config::new().unicode(unicode).utf8(false);
            meta::Regex::builder().configure(config.clone()).syntax(syntax).build(pattern).ok()
        };
        build(false).or_else(|| build(true)).unwrap()
    };
    patterns.iter().map(build).collect()
}

/// What these find for each pattern on its own.
pub fn plain_matches(regexes: &[meta::Regex], haystack: &[u8]) -> Vec<Match> {
    matches_at(regexes.iter().map(|regex| regex.find_iter(haystack).map(|found| found.range())))
}

/// One question to an engine, and what the answer has to be.
pub struct Case {
    pub name: String,
    pub pattern: String,
    pub options: PipelineOptions,
    pub haystack: Vec<u8>,
    pub expected: Expected,
}

pub enum Expected {
    /// The pattern is an error.
    Refused,
    /// What the view shows of the matches.
    Matches { view: View, spans: Vec<Span> },
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { name, pattern, options, haystack, .. } = self;
        let haystack = haystack.escape_ascii();
        write!(f, "{name}: {pattern:?} in \"{haystack}\"")?;
        write!(f, " ({:?}, Unicode {:?})", options.match_kind, options.unicode)
    }
}

/// Which part of an answer a case speaks of. Matches are sorted by start and end.
#[derive(Clone, Copy, Debug)]
pub enum View {
    /// All of it.
    Spans,
    /// Matches that start at or before an offset: all that is known about where a peer stopped there.
    UpTo(usize),
    /// The longest match of the leftmost start, then the next one after it, up to an offset.
    LeftmostLongest(usize),
    /// Matches of the whole haystack.
    Whole,
    /// Every end, once, as an empty span.
    Ends,
    /// The least end.
    FirstEnd,
}

impl View {
    fn of(self, mut spans: Vec<Span>, haystack: &[u8]) -> Vec<Span> {
        match self {
            View::Spans => {}
            View::UpTo(last) => spans.retain(|span| span.0 <= last),
            View::LeftmostLongest(last) => {
                let longest: BTreeMap<usize, usize> = spans.drain(..).collect();
                let mut free = 0;
                for (start, end) in longest {
                    if (free..=last).contains(&start) {
                        spans.push((start, end));
                        free = end;
                    }
                }
            }
            View::Whole => spans.retain(|&span| span == (0, haystack.len())),
            View::Ends | View::FirstEnd => {
                let ends: BTreeSet<usize> = spans.iter().map(|span| span.1).collect();
                spans = ends.into_iter().map(|end| (end, end)).collect();
                if matches!(self, View::FirstEnd) {
                    spans.truncate(1);
                }
            }
        }
        spans
    }
}

/// A peer's suite: the cases that apply, and how many do not, by reason.
#[derive(Default)]
pub struct Suite {
    pub name: &'static str,
    pub cases: Vec<Case>,
    pub skipped: BTreeMap<String, usize>,
    /// What else the report has to say.
    pub note: String,
}

impl Suite {
    pub fn new(name: &'static str) -> Suite {
        Suite { name, ..Suite::default() }
    }

    /// Takes a case, or the reason why it does not apply.
    pub fn add(&mut self, case: Result<Case, String>) {
        match case {
            Ok(case) => self.cases.push(case),
            Err(reason) => *self.skipped.entry(reason).or_default() += 1,
        }
    }

    /// Asks an engine every case, prints the outcome, and fails on any wrong answer or on fewer than
    /// `floor` right ones.
    pub fn run(&self, engine: &mut dyn Engine, floor: usize) {
        let clock = Instant::now();
        let (mut askable, mut passed, mut failures) = (Vec::new(), 0, Vec::new());
        let mut built = HashMap::new();
        for case in &self.cases {
            let key = (&case.pattern, format!("{:?}", case.options));
            let refusal: &Option<String> = built.entry(key).or_insert_with(|| {
                let built = RulePipeline::with_options(&[&case.pattern], case.options.clone());
                built.err().map(|error| error.to_string())
            });
            match (&case.expected, refusal) {
                (Expected::Refused, Some(_)) => passed += 1,
                (Expected::Refused, None) => failures.push(format!("{case} compiles")),
                (Expected::Matches { .. }, Some(error)) => {
                    failures.push(format!("{case}: {error}"))
                }
                (Expected::Matches { view, spans }, None) => askable.push((case, view, spans)),
            }
        }
        let cases: Vec<&Case> = askable.iter().map(|&(case, ..)| case).collect();
        let answers = engine.answer(&cases);
        assert_eq!(answers.len(), cases.len());
        for ((case, view, spans), answer) in askable.into_iter().zip(answers) {
            let seen = view.of(answer, &case.haystack);
            if &seen == spans {
                passed += 1;
            } else {
                failures.push(format!(
                    "{case}: {view:?} is {spans:?}, {} found {seen:?}",
                    engine.name(),
                ));
            }
        }
        let skipped: usize = self.skipped.values().sum();
        let mut report = format!(
            "{} on {}: {passed} passed, {skipped} skipped, {} failed in {:.1} s",
            self.name,
            engine.name(),
            failures.len(),
            clock.elapsed().as_secs_f32(),
        );
        for (reason, count) in &self.skipped {
            report += &format!("\n  {count:6} skipped: {reason}");
        }
        if !self.note.is_empty() {
            report += &format!("\n  {}", self.note);
        }
        say(&report);
        let shown = failures.len().min(20);
        assert!(failures.is_empty(), "{report}\n{}", failures[..shown].join("\n"));
        assert!(passed >= floor, "{report}\nonce {floor} passed");
    }
}

/// Something that finds matches.
pub trait Engine {
    fn name(&self) -> &str;

    /// The matches of each case, sorted.
    fn answer(&mut self, cases: &[&Case]) -> Vec<Vec<Span>>;
}

/// The CPU oracle.
pub struct Oracle;

impl Engine for Oracle {
    fn name(&self) -> &str {
        "the oracle"
    }

    fn answer(&mut self, cases: &[&Case]) -> Vec<Vec<Span>> {
        let answer = |case: &&Case| {
            let rules = RulePipeline::with_options(&[&case.pattern], case.options.clone()).unwrap();
            spans(&rules.reference_scan(&case.haystack), 0)
        };
        cases.iter().map(answer).collect()
    }
}

/// A device that fails its test if the validation layers had anything to say.
pub struct Gpu {
    pub backend: Backend,
    log: ValidationLog,
    name: String,
    dfa_budget: usize,
    is_cramped: bool,
}

/// Opens the device, with validation where `VKSCAN_VALIDATION` asks for it.
pub fn gpu() -> Gpu {
    let backend = Backend::new(&BackendOptions::default()).unwrap();
    let log = backend.validation_log();
    let name = backend.device_info().name.clone();
    Gpu { backend, log, name, dfa_budget: PipelineOptions::default().dfa_budget, is_cramped: false }
}

impl Gpu {
    /// Another engine: without DFAs, every walk is the NFA kernel's.
    pub fn without_dfas(self) -> Gpu {
        let mut gpu = self;
        gpu.name += ", without DFAs";
        gpu.dfa_budget = 0;
        gpu
    }

    /// Another engine: the prefilter's scratch and all else overflows, and slices of a haystack end within matches.
    pub fn cramped(self) -> Gpu {
        let mut gpu = self;
        gpu.name += ", with too little room";
        gpu.is_cramped = true;
        gpu
    }

    /// Prepares a session and scans each haystack.
    pub fn scan(
        &self,
        rules: &RulePipeline,
        haystacks: &[&[u8]],
        max_matches: usize,
    ) -> Vec<Vec<Match>> {
        let capacity = haystacks.iter().map(|haystack| haystack.len()).max().unwrap_or(0);
        let options = SessionOptions::new(capacity, max_matches).scans_in_flight(Some(1));
        let prepared = match self.is_cramped {
            true => rules.prepare_resident_cramped(&self.backend, &options),
            false => rules.prepare_resident_with(&self.backend, &options),
        };
        let session = prepared.unwrap();
        let mut scratch = ScanScratch::default();
        let scan = |haystack: &&[u8]| {
            let mut matches = Vec::new();
            session.scan_into(&self.backend, haystack, &mut matches, &mut scratch).unwrap();
            matches
        };
        let matches = haystacks.iter().map(scan).collect();
        session.free(&self.backend).unwrap();
        matches
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        let messages = self.log.messages();
        if !std::thread::panicking() {
            assert!(messages.is_empty(), "validation says: {}", messages.join("\n"));
        }
    }
}

impl Engine for Gpu {
    fn name(&self) -> &str {
        &self.name
    }

    /// Asks cases of the same options together, so that a session serves many of them: it holds all their
    /// patterns, and each haystack is scanned once for all of those.
    fn answer(&mut self, cases: &[&Case]) -> Vec<Vec<Span>> {
        /// Room for spans in a session. What a batch may find at most has to fit.
        const MOST_SPANS: usize = 1 << 21;
        const MOST_PATTERNS: usize = 256;

        let mut order: Vec<usize> = (0..cases.len()).collect();
        let options = |index: usize| format!("{:?}", cases[index].options);
        // Long haystacks take much room, so they come together.
        order.sort_by_cached_key(|&index| (options(index), cases[index].haystack.len()));
        let mut answers = vec![Vec::new(); cases.len()];
        for group in order.chunk_by(|&a, &b| cases[a].options == cases[b].options) {
            let mut rest = group;
            while !rest.is_empty() {
                let mut patterns: Vec<&str> = Vec::new();
                let mut ids: HashMap<&str, u32> = HashMap::new();
                let (mut room, mut taken) = (1, 0);
                for Case { pattern, haystack, .. } in rest.iter().map(|&index| cases[index]) {
                    let is_new = !ids.contains_key(&**pattern);
                    let count = patterns.len() + usize::from(is_new);
                    let room_then = count * haystack.len() * (haystack.len() + 1) / 2;
                    if taken > 0 && (room_then > MOST_SPANS || count > MOST_PATTERNS) {
                        break;
                    }
                    if is_new {
                        ids.insert(pattern, patterns.len() as u32);
                        patterns.push(pattern);
                    }
                    room = room_then.max(1);
                    taken += 1;
                }
                let batch;
                (batch, rest) = rest.split_at(taken);
                let options = cases[batch[0]].options.clone().dfa_budget(self.dfa_budget);
                let rules = RulePipeline::with_options(&patterns, options).unwrap();
                let haystacks: BTreeSet<&[u8]> =
                    batch.iter().map(|&index| &*cases[index].haystack).collect();
                let haystacks: Vec<&[u8]> = haystacks.into_iter().collect();
                let found = self.scan(&rules, &haystacks, room);
                for &index in batch {
                    let place = haystacks.binary_search(&&*cases[index].haystack).unwrap();
                    answers[index] = spans(&found[place], ids[&*cases[index].pattern]);
                }
            }
        }
        answers
    }
}

/// The matches of one pattern.
pub fn spans(matches: &[Match], pattern_id: u32) -> Vec<Span> {
    let of_pattern = matches.iter().filter(|found| found.pattern_id == pattern_id);
    of_pattern.map(|found| (found.start as usize, found.end as usize)).collect()
}

/// Options for one match kind.
pub fn options(match_kind: MatchKind) -> PipelineOptions {
    PipelineOptions::default().match_kind(match_kind)
}
