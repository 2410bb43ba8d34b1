//! Which matches are findings, and where these are.
//!
//! Most are told at once. What waits for the end of its input: a match of a rule whose keywords were not seen yet, where what
//! is behind is not known, and one that depends on what other rules find.

use std::io;
use std::ops::Range;
use std::path::Path;

use vkscan::{Captures, Match, RulePipeline, StreamMatch};

use crate::around::{Line, Place, Position, Text};
use crate::rules::filter::{Precedence, Required};
use crate::rules::keywords::Seen;
use crate::rules::{Candidate, Rules, Source};

/// Bytes before and behind a match that tell its groups.
const CONTEXT: u64 = 4;

/// A finding.
pub struct Finding {
    pub rule: u32,
    pub start: u64,
    pub end: u64,
    /// Where it begins, and where its last byte is; none of a file as a whole.
    pub places: Option<[Place; 2]>,
    pub text: Vec<u8>,
    /// Within the text, which may have something else in its place.
    pub secret: Range<usize>,
    /// Where it is in the input.
    pub secret_at: Range<u64>,
    /// All but the match itself, in order.
    pub groups: Vec<Group>,
    /// Its own lines, and those around them.
    pub lines: Vec<Line>,
    has_keyword: bool,
}

/// A group of the rule's pattern.
pub struct Group {
    pub name: Option<String>,
    /// Within the finding's text; none if it took no part.
    pub range: Option<Range<usize>>,
}

/// What is to be told of findings.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    pub groups: bool,
    /// Lines before and behind, if any are.
    pub lines: Option<[usize; 2]>,
}

/// Judges the matches of one input after the other.
pub struct Judge<'r> {
    rules: &'r Rules,
    pipeline: &'r RulePipeline,
    wanted: Wanted,
    /// Whether a rule depends on others.
    has_dependents: bool,
    input: OfInput,
}

/// What is known of an input.
#[derive(Default)]
struct OfInput {
    path: Option<String>,
    seen: Seen,
    position: Position,
    held: Vec<Finding>,
    /// What other rules may depend on.
    others: Vec<Other>,
}

/// What a rule has found.
struct Other {
    rule: u32,
    place: Place,
    secret: Vec<u8>,
    has_keyword: bool,
}

impl<'r> Judge<'r> {
    pub fn new(rules: &'r Rules, pipeline: &'r RulePipeline, wanted: Wanted) -> Judge<'r> {
        let has_dependents = rules.iter().any(|(_, rule)| rule.filter.looks_at_others());
        Judge { rules, pipeline, wanted, has_dependents, input: OfInput::default() }
    }

    /// Begins with an input; standard input has no path.
    pub fn begin(&mut self, path: Option<&Path>) {
        let path = path.map(slashed);
        self.input =
            OfInput { path, seen: self.rules.keywords().none_seen(), ..OfInput::default() };
    }

    /// Takes note of what has come of an input that is read once.
    pub fn look_through(&mut self, bytes: &[u8]) {
        self.input.seen.look_through(self.rules.keywords(), bytes);
    }

    /// Files as a whole that are findings.
    pub fn of_path(&self, path: &Path) -> Vec<Finding> {
        let path = slashed(path);
        let source = Source { path: Some(&path), commit: None };
        let candidate = Candidate { source, text: b"", secret: b"", lines: b"" };
        let of_paths = self.rules.of_paths();
        let found =
            of_paths.filter(|(_, rule)| !rule.filter.is_hidden && rule.filter.passes(&candidate));
        found.map(|(rule, _)| Finding::whole(rule)).collect()
    }

    /// A match as a finding, if it is one for certain.
    pub fn judge(&mut self, found: StreamMatch, text: &dyn Text) -> io::Result<Option<Finding>> {
        let StreamMatch { pattern_id, start, end } = found;
        let rule = self.rules.get(pattern_id);
        let filter = &rule.filter;
        let from = start.saturating_sub(CONTEXT);
        let around = text.read(from..end.saturating_add(CONTEXT))?;
        let within = (start - from) as usize..(end - from) as usize;
        let bytes = around.get(within.clone()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let groups = || -> Option<Captures> {
            let [start, end] = [within.start, within.end].map(|at| at as u32);
            self.pipeline.captures(&around, &Match { pattern_id, start, end }).ok()
        };
        let groups = rule.has_groups.then(groups).flatten();
        let secret = filter.secret.of(within.clone(), || groups.clone());
        let position = &mut self.input.position;
        position.go_to(text, start)?;
        let place = position.place();
        let lines = match filter.looks_at_lines() {
            true => position.lines(text, start..end)?,
            false => Vec::new(),
        };
        let source = Source { path: self.input.path.as_deref(), commit: None };
        let secret_text = &around[secret.clone()];
        if !filter.passes(&Candidate { source, text: bytes, secret: secret_text, lines: &lines }) {
            return Ok(None);
        }
        let ids = &filter.keyword_ids;
        let keywords = self.rules.keywords();
        let has_keyword = ids.is_empty() || keywords.has_any(ids, bytes) || {
            look_through_all(&mut self.input.seen, self.rules, text)?;
            self.input.seen.has_any(ids)
        };
        if self.has_dependents {
            let secret = secret_text.to_vec();
            self.input.others.push(Other { rule: pattern_id, place, secret, has_keyword });
        }
        if filter.is_hidden || (!has_keyword && text.is_whole()) {
            return Ok(None);
        }
        let shift = |range: Range<usize>| range.start - within.start..range.end - within.start;
        let mut last = self.input.position;
        last.advance(&bytes[..bytes.len() - 1]);
        let finding = Finding {
            rule: pattern_id,
            start,
            end,
            places: Some([place, last.place()]),
            text: bytes.to_vec(),
            secret_at: from + secret.start as u64..from + secret.end as u64,
            secret: shift(secret),
            groups: match groups.filter(|_| self.wanted.groups) {
                Some(groups) => all_groups(&groups, shift),
                None => Vec::new(),
            },
            lines: match self.wanted.lines {
                Some(around) => lines_around(&self.input.position, text, start..end, around)?,
                None => Vec::new(),
            },
            has_keyword,
        };
        if !has_keyword || filter.looks_at_others() {
            self.input.held.push(finding);
            return Ok(None);
        }
        Ok(Some(finding))
    }

    /// What else is a finding, now that all of the input is known.
    pub fn end(&mut self) -> Vec<Finding> {
        let OfInput { held, others, seen, .. } = std::mem::take(&mut self.input);
        let has_keyword =
            |rule: u32, had: bool| had || seen.has_any(&self.rules.get(rule).filter.keyword_ids);
        let stands = |finding: &Finding| {
            let filter = &self.rules.get(finding.rule).filter;
            let Some([place, _]) = finding.places else { return true };
            let yields_to = |other: &Other| {
                let of_other = &self.rules.get(other.rule).filter;
                of_other.precedence == Precedence::Specific
                    && !of_other.is_hidden
                    && other.place.line == place.line
                    && contains(&other.secret, &finding.text[finding.secret.clone()])
                    && has_keyword(other.rule, other.has_keyword)
            };
            let is_near = |required: &Required| {
                others.iter().any(|other| {
                    other.rule == required.rule && is_within(place, other.place, required)
                })
            };
            has_keyword(finding.rule, finding.has_keyword)
                && !(filter.precedence == Precedence::Generic && others.iter().any(yields_to))
                && filter.required.iter().all(is_near)
        };
        held.into_iter().filter(stands).collect()
    }
}

/// A path as rules look at it: with slashes, without the dot that it may begin with.
pub fn slashed(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path).to_string_lossy();
    if cfg!(windows) { path.replace('\\', "/") } else { path.into_owned() }
}

/// Looks through all of a text that can be read again, once.
fn look_through_all(seen: &mut Seen, rules: &Rules, text: &dyn Text) -> io::Result<()> {
    const BLOCK: u64 = 1 << 20;

    if !text.is_whole() || seen.bytes() > 0 {
        return Ok(());
    }
    loop {
        let block = text.read(seen.bytes()..seen.bytes() + BLOCK)?;
        if block.is_empty() {
            return Ok(());
        }
        seen.look_through(rules.keywords(), &block);
    }
}

fn all_groups(groups: &Captures, shift: impl Fn(Range<usize>) -> Range<usize>) -> Vec<Group> {
    let named = groups.names().zip(groups.iter()).skip(1);
    let of = |(name, range): (Option<&str>, Option<Range<usize>>)| Group {
        name: name.map(str::to_owned),
        range: range.map(&shift),
    };
    named.map(of).collect()
}

/// The lines that a match is in, and some before and behind them.
fn lines_around(
    begin: &Position,
    text: &dyn Text,
    range: Range<u64>,
    [before, behind]: [usize; 2],
) -> io::Result<Vec<Line>> {
    let own = begin.lines(text, range)?;
    let first = begin.place();
    let mut lines = begin.lines_before(text, before)?;
    let mut end = *begin;
    let line_end = begin.line_start() + own.len() as u64 - u64::from(own.last() == Some(&b'\n'));
    end.go_to(text, line_end)?;
    let own = own.strip_suffix(b"\n").unwrap_or(&own).split(|&byte| byte == b'\n');
    lines
        .extend((first.line..).zip(own).map(|(number, line)| Line { number, text: line.to_vec() }));
    lines.extend(end.lines_behind(text, line_end, behind)?);
    Ok(lines)
}

fn is_within(one: Place, other: Place, required: &Required) -> bool {
    required.within_lines.is_none_or(|most| one.line.abs_diff(other.line) <= most)
        && required.within_columns.is_none_or(|most| one.column.abs_diff(other.column) <= most)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

impl Finding {
    /// A file as a whole.
    fn whole(rule: u32) -> Finding {
        Finding {
            rule,
            start: 0,
            end: 0,
            places: None,
            text: Vec::new(),
            secret: 0..0,
            secret_at: 0..0,
            groups: Vec::new(),
            lines: Vec::new(),
            has_keyword: true,
        }
    }
}
