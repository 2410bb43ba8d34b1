//! Which matches are findings, and where these are.
//!
//! Most are told at once. What waits: in what is read once, a match whose lines have not come as a whole, if they have a say in
//! it; one of a rule whose keywords were not seen yet; and one that depends on what other rules find, until its line, or all of
//! the input, was looked through.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use vkscan::{Captures, Match, MatchKind, RulePipeline, StreamMatch};

use crate::around::{self, Decoded, Line, Place, Position, Text};
use crate::inputs::{Commit, Input, Origin};
use crate::rules::filter::{Filter, Lines, Precedence, Required};
use crate::rules::keywords::Seen;
use crate::rules::{Candidate, Rules, Source};

/// Bytes before and behind a match that tell its groups.
const CONTEXT: u64 = 4;

/// Findings of one input that may wait, and what they may wait for.
const MOST_HELD: usize = 1 << 22;

/// A finding.
#[derive(Clone)]
pub struct Finding {
    pub rule: u32,
    /// Where it is in the input: of text in UTF-16, before that was decoded.
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
    /// Of its lines, where it is in a history, which tells versions of them apart.
    pub line_digest: u64,
    /// Whether it is none because of its commit: from there on it is known.
    pub is_allowed: bool,
    has_keyword: bool,
}

/// A group of the rule's pattern.
#[derive(Clone)]
pub struct Group {
    pub name: Option<String>,
    /// Within the finding's text; none if it took no part.
    pub range: Option<Range<usize>>,
    /// Where it is in the input.
    pub at: Range<u64>,
}

/// What is to be told of findings.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    pub groups: bool,
    /// Lines before and behind, if any are.
    pub lines: Option<[usize; 2]>,
}

/// What matches are judged by, by any number of threads.
#[derive(Clone)]
pub struct Judging<'r>(Arc<By<'r>>);

struct By<'r> {
    rules: &'r Rules,
    pipeline: &'r RulePipeline,
    wanted: Wanted,
    /// Whether there is a rule that yields to others.
    has_generic: bool,
    /// Rules that others require.
    required: HashSet<u32>,
}

/// Judges the matches of one input after the other.
pub struct Judge<'r> {
    by: Arc<By<'r>>,
    input: OfInput,
}

/// What an input that is there as a whole is judged to have.
#[derive(Default)]
pub struct Judged {
    pub findings: Vec<Finding>,
    /// What has kept the rest from being judged.
    pub error: Option<io::Error>,
}

/// What is known of an input.
#[derive(Default)]
struct OfInput {
    path: Option<String>,
    commit: Option<Arc<Commit>>,
    is_in_history: bool,
    /// Rules that look for nothing here, and those that do, as far as that was asked.
    left_out: HashMap<u32, bool>,
    seen: Seen,
    position: Position,
    /// The lines that were looked at last.
    lines: Option<Rc<OfLines>>,
    /// How many keywords were not seen yet when findings were settled last.
    unseen: usize,
    held: Vec<Finding>,
    others: Others,
}

/// Lines of matches.
struct OfLines {
    /// Where they are.
    range: Range<u64>,
    lines: Lines,
    /// What is shown of them, and of those around them, if it is.
    shown: Vec<Line>,
}

/// What findings may depend on.
#[derive(Default)]
struct Others {
    /// The secrets that specific rules find, by line.
    specific: HashMap<u64, HashSet<Vec<u8>>>,
    /// Where rules that others require find something, by line and column.
    required: BTreeMap<u32, BTreeSet<(u64, u64)>>,
    /// Those of these that take the file as a whole.
    whole: BTreeSet<u32>,
}

impl<'r> Judging<'r> {
    pub fn new(rules: &'r Rules, pipeline: &'r RulePipeline, wanted: Wanted) -> Judging<'r> {
        let is_generic = |filter: &Filter| filter.precedence == Precedence::Generic;
        let of_rule = rules.iter().flat_map(|(_, rule)| &rule.filter.required);
        Judging(Arc::new(By {
            rules,
            pipeline,
            wanted,
            has_generic: rules.iter().any(|(_, rule)| is_generic(&rule.filter)),
            required: of_rule.map(|required| required.rule).collect(),
        }))
    }

    pub fn judge(&self) -> Judge<'r> {
        Judge { by: self.0.clone(), input: OfInput::default() }
    }

    /// Judges the matches in an input that is there as a whole, which may be decoded from UTF-16: in each place that it is in.
    pub fn whole(
        &self,
        input: &Input,
        bytes: &[u8],
        is_utf16: bool,
        matches: &[Match],
    ) -> Vec<Judged> {
        if matches.is_empty() {
            return Vec::new();
        }
        let mut matches = matches.to_vec();
        matches.sort_unstable_by_key(|found| (found.start, found.end, found.pattern_id));
        let mut judge = self.judge();
        let decoded = Decoded(bytes);
        let text: &dyn Text = if is_utf16 { &decoded } else { &bytes };
        let in_place = |origin: &Origin| {
            let mut judged = Judged::default();
            judge.begin(origin);
            for found in &matches {
                match judge.judge(found.into(), text) {
                    Ok(finding) => judged.findings.extend(finding),
                    Err(error) => {
                        judged.error = Some(error);
                        break;
                    }
                }
            }
            judged.findings.extend(judge.settle(true));
            judged
        };
        input.origins().map(in_place).collect()
    }

    /// What a file as a whole is found to be.
    pub fn of_path(&self, origin: &Origin) -> Vec<Finding> {
        let Some(path) = origin.rules_path() else { return Vec::new() };
        let of = |commit| self.0.rules_of_path(Source { path: Some(&path), commit });
        let told = of(None).filter(|&id| !self.0.rules.get(id).filter.is_hidden);
        let mut told: Vec<Finding> = told.map(Finding::whole).collect();
        if let (Some(id), false) = (origin.commit_id(), told.is_empty()) {
            let taken: HashSet<u32> = of(Some(id)).collect();
            for finding in &mut told {
                finding.is_allowed = !taken.contains(&finding.rule);
            }
        }
        told
    }

    /// Makes ready what tells the groups of these rules' matches, all at once.
    pub fn prepare(&self, rules: &HashSet<u32>) {
        if self.0.has_preferred_matches() {
            let has_groups = |rule: &&u32| self.0.rules.get(**rule).has_groups;
            let rules: Vec<u32> = rules.iter().filter(has_groups).copied().collect();
            self.0.pipeline.prepare_captures(&rules);
        }
    }
}

impl By<'_> {
    /// Rules about paths alone that take this one.
    fn rules_of_path(&self, source: Source) -> impl Iterator<Item = u32> {
        let candidate = Candidate { source, text: b"", secret: b"" };
        let takes = move |filter: &Filter| {
            !filter.leaves_out(source)
                && filter.passes(&candidate)
                && filter.passes_lines(&candidate, &Lines::new(Vec::new()))
        };
        let taken = self.rules.of_paths().filter(move |(_, rule)| takes(&rule.filter));
        taken.map(|(id, _)| id)
    }

    /// Whether matches are those that patterns prefer, which have groups.
    fn has_preferred_matches(&self) -> bool {
        self.pipeline.options().match_kind == MatchKind::LeftmostFirst
    }
}

impl Judge<'_> {
    /// Begins with an input.
    pub fn begin(&mut self, origin: &Origin) {
        let path = origin.rules_path();
        let commit = origin.commit.clone();
        let mut others = Others::default();
        if let Some(path) = &path
            && !self.by.required.is_empty()
        {
            let source = Source { path: Some(path), commit: origin.commit_id() };
            let taken = self.by.rules_of_path(source);
            others.whole = taken.filter(|rule| self.by.required.contains(rule)).collect();
        }
        let seen = self.by.rules.keywords().none_seen();
        let is_in_history = origin.turn.is_some();
        self.input = OfInput { path, commit, is_in_history, seen, others, ..OfInput::default() };
    }

    /// Takes note of what has come of an input that is read once.
    pub fn look_through(&mut self, bytes: &[u8]) {
        self.input.seen.look_through(self.by.rules.keywords(), bytes);
    }

    /// Whether keywords were seen since findings were settled last, and there are findings that may wait for them.
    pub fn has_news(&self) -> bool {
        !self.input.held.is_empty() && self.input.seen.left() < self.input.unseen
    }

    /// Whether all that has a say in a match has come.
    pub fn is_ready(&self, found: &StreamMatch, text: &dyn Text) -> io::Result<bool> {
        let Some(lines_end) = text.lines_end() else { return Ok(true) };
        let behind = self.by.wanted.lines.map_or(0, |[_, behind]| behind);
        let looks = behind > 0
            || self.by.wanted.lines.is_some()
            || self.by.rules.get(found.pattern_id).filter.looks_at_lines();
        if !looks || lines_end < found.end {
            return Ok(!looks);
        }
        let feeds = match behind {
            0 => 1,
            _ => {
                let block = text.read(found.end - 1..lines_end)?;
                memchr::memchr_iter(b'\n', &block).take(behind + 1).count()
            }
        };
        Ok(feeds > behind)
    }

    /// A match as a finding, if it is one for certain.
    pub fn judge(&mut self, found: StreamMatch, text: &dyn Text) -> io::Result<Option<Finding>> {
        let StreamMatch { pattern_id, start, end } = found;
        let rule = self.by.rules.get(pattern_id);
        let filter = &rule.filter;
        let path = self.input.path.clone();
        let source = Source { path: path.as_deref(), commit: None };
        let left_out = &mut self.input.left_out;
        if *left_out.entry(pattern_id).or_insert_with(|| filter.leaves_out(source)) {
            return Ok(None);
        }
        let from = start.saturating_sub(CONTEXT).max(text.known_from().offset().min(start));
        let around = text.read(from..end.saturating_add(CONTEXT))?;
        let within = (start - from) as usize..(end - from) as usize;
        let bytes = around.get(within.clone()).ok_or_else(changed)?;
        let groups = match rule.has_groups && self.by.has_preferred_matches() {
            true => {
                let [start, end] = [within.start, within.end].map(|at| at as u32);
                let found = Match { pattern_id, start, end };
                let groups = self.by.pipeline.captures(&around, &found);
                // What is there is not what was scanned.
                Some(groups.map_err(|_| changed())?)
            }
            false => None,
        };
        let secret = filter.secret.of(within.clone(), || groups.clone());
        let secret_text = &around[secret.clone()];
        let commit = self.input.commit.clone();
        let candidate = Candidate { source, text: bytes, secret: secret_text };
        let commit = commit.as_ref().map(|commit| commit.id.as_str());
        let commit = commit.filter(|_| filter.looks_at_commits());
        let in_commit = Candidate { source: Source { commit, ..source }, ..candidate };
        let mut is_allowed =
            commit.is_some() && (filter.leaves_out(in_commit.source) || !filter.passes(&in_commit));
        if !filter.passes(&candidate) {
            return Ok(None);
        }
        self.input.position.go_to(text, start)?;
        let begin = self.input.position;
        let place = begin.place();
        if filter.looks_at_lines() {
            let of = self.lines(text, start..end)?;
            if !filter.passes_lines(&candidate, &of.lines) {
                return Ok(None);
            }
            is_allowed |= commit.is_some() && !filter.passes_lines(&in_commit, &of.lines);
        }
        let has_keyword = self.has_keyword(filter, bytes, text)?;
        if self.by.required.contains(&pattern_id) {
            self.input.others.require(pattern_id, place)?;
        }
        if filter.is_hidden || (!has_keyword && text.is_whole()) {
            return Ok(None);
        }
        let shift = |range: Range<usize>| range.start - within.start..range.end - within.start;
        let mut last = begin;
        last.advance(&bytes[..bytes.len() - 1]);
        let mut last = last.place();
        // It is of the code point that it ends.
        last.character -= u64::from(bytes[bytes.len() - 1] & 0xC0 == 0x80);
        let secret = shift(secret);
        // Where a part of the match is in the input.
        let at = |range: &Range<usize>| {
            begin.encoded_behind(&bytes[..range.start])..begin.encoded_behind(&bytes[..range.end])
        };
        let finding = Finding {
            rule: pattern_id,
            start: begin.encoded(),
            end: begin.encoded_behind(bytes),
            places: Some([place, last]),
            text: bytes.to_vec(),
            secret_at: at(&secret),
            secret,
            groups: match groups.filter(|_| self.by.wanted.groups) {
                Some(groups) => all_groups(&groups, shift, at),
                None => Vec::new(),
            },
            lines: match self.by.wanted.lines {
                Some(_) => self.lines(text, start..end)?.shown.clone(),
                None => Vec::new(),
            },
            line_digest: match self.input.is_in_history {
                true => self.lines(text, start..end)?.lines.digest(),
                false => 0,
            },
            is_allowed,
            has_keyword,
        };
        let is_certain = has_keyword && filter.required.is_empty();
        if is_certain && self.by.has_generic && filter.precedence == Precedence::Specific {
            self.input.others.tell(&finding, place);
        }
        if is_certain && filter.precedence != Precedence::Generic {
            return Ok(Some(finding));
        }
        if self.input.held.len() == MOST_HELD {
            return Err(too_many());
        }
        self.input.held.push(finding);
        Ok(None)
    }

    /// The lines of a match, which begins where the input was looked at last.
    fn lines(&mut self, text: &dyn Text, range: Range<u64>) -> io::Result<Rc<OfLines>> {
        let OfInput { position, lines, .. } = &mut self.input;
        if let Some(of) = lines
            && of.range.start == position.line_start()
            && range.end <= of.range.end
        {
            return Ok(of.clone());
        }
        let (own, end) = position.lines(text, range)?;
        let mut shown = Vec::new();
        if let Some([before, behind]) = self.by.wanted.lines {
            shown = position.lines_before(text, before)?;
            let mut number = position.place().line;
            for line in own.split(|&byte| byte == b'\n') {
                shown.push(Line::new(number, line));
                number += 1;
            }
            shown.extend(around::lines_behind(text, end, number, behind)?);
        }
        let range = position.line_start()..end;
        let of = Rc::new(OfLines { range, lines: Lines::new(own), shown });
        Ok(lines.insert(of).clone())
    }

    /// Whether one of a rule's keywords was seen.
    fn has_keyword(&mut self, filter: &Filter, bytes: &[u8], text: &dyn Text) -> io::Result<bool> {
        let ids = &filter.keyword_ids;
        let seen = &mut self.input.seen;
        if ids.is_empty() || seen.has_any(ids) || self.by.rules.keywords().has_any(ids, bytes) {
            return Ok(true);
        }
        look_through_all(seen, self.by.rules, text)?;
        Ok(seen.has_any(ids))
    }

    /// What else is a finding: of lines before the last match's, or of all of the input if it is over.
    pub fn settle(&mut self, is_over: bool) -> Vec<Finding> {
        self.input.unseen = self.input.seen.left();
        let line = if is_over { u64::MAX } else { self.input.position.place().line };
        let is_generic = |finding: &Finding| {
            self.by.rules.get(finding.rule).filter.precedence == Precedence::Generic
        };
        let held = std::mem::take(&mut self.input.held);
        let (generic, others): (Vec<Finding>, Vec<Finding>) =
            held.into_iter().partition(is_generic);
        let (mut settled, mut left) = (Vec::new(), Vec::new());
        // Those first that generic ones may yield to.
        for finding in others {
            let filter = &self.by.rules.get(finding.rule).filter;
            let has_come =
                filter.required.is_empty() && self.input.seen.has_any(&filter.keyword_ids);
            if !is_over && !has_come {
                left.push(finding);
            } else if self.stands(&finding) {
                if let (true, Some([place, _])) = (self.by.has_generic, finding.places) {
                    self.input.others.tell(&finding, place);
                }
                settled.push(finding);
            }
        }
        let doubtful: HashSet<u64> = left.iter().filter_map(Finding::line).collect();
        let mut by_line: BTreeMap<u64, Vec<Finding>> = BTreeMap::new();
        for finding in generic {
            let of_line = finding.line().unwrap_or(0);
            let waits = of_line >= line || doubtful.contains(&of_line);
            let is_simple =
                self.by.rules.get(finding.rule).filter.required.is_empty() && finding.has_keyword;
            if !is_over && (waits || !is_simple) {
                left.push(finding);
            } else if self.stands(&finding) {
                by_line.entry(of_line).or_default().push(finding);
            }
        }
        for (line, generic) in by_line {
            settled.extend(self.input.others.without_known(line, generic));
        }
        let waiting: HashSet<u64> = left.iter().filter_map(Finding::line).collect();
        self.input.others.specific.retain(|of, _| *of >= line || waiting.contains(of));
        self.input.held = left;
        settled
    }

    /// Whether what a finding waited for has come.
    fn stands(&self, finding: &Finding) -> bool {
        let filter = &self.by.rules.get(finding.rule).filter;
        let Some([place, _]) = finding.places else { return true };
        let has_keyword = finding.has_keyword || self.input.seen.has_any(&filter.keyword_ids);
        has_keyword
            && filter.required.iter().all(|required| self.input.others.has_near(place, required))
    }
}

impl Others {
    /// Takes note of what a specific rule has found.
    fn tell(&mut self, finding: &Finding, place: Place) {
        let secret = finding.text[finding.secret.clone()].to_vec();
        self.specific.entry(place.line).or_default().insert(secret);
    }

    /// Takes note of where a rule that others require has found something.
    fn require(&mut self, rule: u32, place: Place) -> io::Result<()> {
        let places = self.required.entry(rule).or_default();
        places.insert((place.line, place.column));
        if places.len() > MOST_HELD { Err(too_many()) } else { Ok(()) }
    }

    /// Findings of generic rules in a line whose secrets no specific rule has found there, too, or more of them.
    fn without_known(&self, line: u64, generic: Vec<Finding>) -> Vec<Finding> {
        let Some(specific) = self.specific.get(&line) else { return generic };
        let secrets = generic.iter().map(|finding| &finding.text[finding.secret.clone()]);
        let search =
            AhoCorasick::new(secrets).expect("they are fewer and shorter than is possible");
        let mut is_known = vec![false; generic.len()];
        for secret in specific {
            for found in search.find_overlapping_iter(secret) {
                is_known[found.pattern().as_usize()] = true;
            }
        }
        let known = is_known.into_iter();
        generic
            .into_iter()
            .zip(known)
            .filter(|(_, is_known)| !is_known)
            .map(|(finding, _)| finding)
            .collect()
    }

    /// Whether a rule has found something near enough.
    fn has_near(&self, place: Place, required: &Required) -> bool {
        let Required { rule, within_lines, within_columns, .. } = required;
        if self.whole.contains(rule) {
            return true;
        }
        let Some(places) = self.required.get(rule) else { return false };
        let range = |at: u64, within: Option<u64>| {
            let within = within.unwrap_or(u64::MAX);
            (at.saturating_sub(within), at.saturating_add(within))
        };
        let (first, last) = range(place.line, *within_lines);
        let columns = range(place.column, *within_columns);
        // From line to line, to where the columns begin in each.
        let mut from = (first, columns.0);
        while let Some(&(line, column)) = places.range(from..=(last, u64::MAX)).next() {
            if (columns.0..=columns.1).contains(&column) {
                return true;
            }
            from = match column < columns.0 {
                true => (line, columns.0),
                false if line == last => return false,
                false => (line + 1, columns.0),
            };
        }
        false
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

fn all_groups(
    groups: &Captures,
    shift: impl Fn(Range<usize>) -> Range<usize>,
    at: impl Fn(&Range<usize>) -> Range<u64>,
) -> Vec<Group> {
    let named = groups.names().zip(groups.iter()).skip(1);
    let of = |(name, range): (Option<&str>, Option<Range<usize>>)| {
        let range = range.map(&shift);
        let at = range.as_ref().map(&at).unwrap_or_default();
        Group { name: name.map(str::to_owned), range, at }
    };
    named.map(of).collect()
}

/// What comes of a file that is not what it was when it was scanned.
fn changed() -> io::Error {
    io::Error::other("it was changed while it was scanned")
}

fn too_many() -> io::Error {
    io::Error::other(format!(
        "more than {MOST_HELD} findings wait for what other rules find, or for keywords: give less at a time"
    ))
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
            line_digest: 0,
            is_allowed: false,
            has_keyword: true,
        }
    }

    /// The line that it begins in.
    fn line(&self) -> Option<u64> {
        self.places.map(|[begin, _]| begin.line)
    }
}
