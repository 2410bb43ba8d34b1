//! What the differential tests share: where their data lies, and how a suite of cases meets an engine.
//!
//! A suite turns its file into [`Case`]s once, and says by name what it has to skip. An [`Engine`] answers
//! them, so that another engine costs one adapter and no case.
//!
//! | variable | meaning |
//! |---|---|
//! | `VKSCAN_DATA` | the folder of the peers' data; `../shared/data` without it |
//! | `VKSCAN_REQUIRE_DATA=1` | a missing file fails its test instead of being reported |
//! | `VKSCAN_FULL=1` | full sizes where the default run takes slices to stay short |

// Every test binary compiles this module, and none uses all of it.
#![allow(dead_code)]

pub mod dialect;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use vkscan::{Match, MatchKind, PipelineOptions, RulePipeline};

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
        say(&report);
        let shown = failures.len().min(400);
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

/// The matches of one pattern.
pub fn spans(matches: &[Match], pattern_id: u32) -> Vec<Span> {
    let of_pattern = matches.iter().filter(|found| found.pattern_id == pattern_id);
    of_pattern.map(|found| (found.start as usize, found.end as usize)).collect()
}

/// Options for one match kind.
pub fn options(match_kind: MatchKind) -> PipelineOptions {
    PipelineOptions { match_kind, ..PipelineOptions::default() }
}
