//! Which of a rule's matches are findings.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;
use regex_automata::meta::Regex;
use vkscan::Captures;

use super::allowlist::{Allowlist, Target};

/// What a rule asks for besides its pattern. By default nothing.
#[derive(Default)]
pub struct Filter {
    /// Words one of which has to be where it is looked for, if there are any.
    pub keywords: Vec<String>,
    /// The same, by their numbers among all rules'.
    pub keyword_ids: Vec<usize>,
    /// Of where it is looked for.
    pub path: Option<Regex>,
    pub secret: Secret,
    pub entropy: Option<LeastEntropy>,
    pub allowlists: Vec<Arc<Allowlist>>,
    /// Rules that have to find something, too.
    pub required: Vec<Required>,
    /// Whether it is there for other rules alone.
    pub is_hidden: bool,
    pub precedence: Precedence,
    /// Whether `gitleaks:allow` in its lines makes it none.
    pub heeds_comments: bool,
}

/// What of a match is the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secret {
    #[default]
    Match,
    /// A group, if it took part.
    Group(usize),
    /// The first group that is not empty, or the match.
    FirstGroup,
    /// The first group if it took part, or the match.
    GroupOrMatch,
}

/// A bound below which a secret is no secret, in bits each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeastEntropy {
    /// The least that is too little for one.
    pub above: f64,
    pub of: EntropyOf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntropyOf {
    /// Code points, of which there are taken to be as many as bytes.
    CodePoints,
    Bytes,
}

/// A rule that has to find something near.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    pub name: String,
    /// Which rule that is.
    pub rule: u32,
    pub within_lines: Option<u64>,
    pub within_columns: Option<u64>,
}

/// Which finding stands, where one secret has two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precedence {
    #[default]
    None,
    /// Where no specific rule finds what it does.
    Generic,
    Specific,
}

/// Where something is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source<'s> {
    /// With slashes; none of standard input.
    pub path: Option<&'s str>,
    pub commit: Option<&'s str>,
}

/// What may be a finding.
#[derive(Clone, Copy)]
pub struct Candidate<'c> {
    pub source: Source<'c>,
    pub text: &'c [u8],
    pub secret: &'c [u8],
}

/// The lines that a match is in, of which there is more to tell than once.
pub struct Lines {
    text: Vec<u8>,
    /// Whether they have what makes their findings none.
    is_marked: OnceCell<bool>,
    digest: OnceCell<u64>,
    /// Which regular expressions match them, by where these are.
    verdicts: RefCell<HashMap<*const Regex, bool>>,
}

impl Lines {
    pub fn new(text: Vec<u8>) -> Lines {
        let (is_marked, digest) = (OnceCell::new(), OnceCell::new());
        Lines { text, is_marked, digest, verdicts: RefCell::default() }
    }

    /// What tells them from others.
    pub fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&self.text);
            hasher.finish()
        })
    }

    fn is_marked(&self) -> bool {
        const COMMENT: &[u8] = b"gitleaks:allow";
        *self.is_marked.get_or_init(|| memmem::find(&self.text, COMMENT).is_some())
    }

    pub(super) fn are_matched_by(&self, regex: &Regex) -> bool {
        let matches = || !self.text.is_empty() && regex.is_match(&self.text);
        *self.verdicts.borrow_mut().entry(regex).or_insert_with(matches)
    }
}

impl Secret {
    /// Where it is, given the match and, if they are asked for, its groups.
    pub fn of(
        self,
        found: Range<usize>,
        groups: impl FnOnce() -> Option<Captures>,
    ) -> Range<usize> {
        if self == Secret::Match {
            return found;
        }
        let Some(groups) = groups() else { return found };
        match self {
            Secret::Match => found,
            // One that took no part is empty.
            Secret::Group(group) => groups.get(group).unwrap_or(found.start..found.start),
            Secret::GroupOrMatch => groups.get(1).unwrap_or(found),
            Secret::FirstGroup => {
                let some = groups.iter().skip(1).flatten().find(|group| !group.is_empty());
                some.unwrap_or(found)
            }
        }
    }
}

impl Filter {
    /// Whether the rule looks here at all.
    pub fn takes(&self, source: Source) -> bool {
        let has_path = |path: &Regex| source.path.is_some_and(|text| path.is_match(text));
        self.path.as_ref().is_none_or(has_path)
    }

    /// Whether the rule looks for nothing here, whatever there is.
    pub fn leaves_out(&self, source: Source) -> bool {
        !self.takes(source) || self.allowlists.iter().any(|list| list.allows_source(source))
    }

    /// Whether the lines of a match have a say in it.
    pub fn looks_at_lines(&self) -> bool {
        self.heeds_comments || self.allowlists.iter().any(|list| list.target == Target::Line)
    }

    /// Whether a match is a finding, as far as the match itself tells, and where it is does not leave it out.
    pub fn passes(&self, candidate: &Candidate) -> bool {
        let mut lists = self.allowlists.iter().filter(|list| list.target != Target::Line);
        self.entropy.is_none_or(|least| least.of.entropy(candidate.secret) > least.above)
            && !lists.any(|list| list.allows(candidate, None))
    }

    /// Whether commits have a say in it.
    pub fn looks_at_commits(&self) -> bool {
        self.allowlists.iter().any(|list| !list.commits.is_empty())
    }

    /// Whether it is, as far as its lines tell.
    pub fn passes_lines(&self, candidate: &Candidate, lines: &Lines) -> bool {
        let mut lists = self.allowlists.iter().filter(|list| list.target == Target::Line);
        let is_marked = self.heeds_comments && lines.is_marked();
        !is_marked && !lists.any(|list| list.allows(candidate, Some(lines)))
    }
}

impl EntropyOf {
    /// Shannon's, in bits each: C. E. Shannon, *A Mathematical Theory of Communication*, 1948, section 6.
    pub fn entropy(self, text: &[u8]) -> f64 {
        let mut counts = HashMap::<u32, u32>::new();
        let mut count = |of: u32| *counts.entry(of).or_default() += 1;
        match self {
            EntropyOf::Bytes => text.iter().for_each(|&byte| count(byte.into())),
            EntropyOf::CodePoints => {
                for chunk in text.utf8_chunks() {
                    chunk.valid().chars().for_each(|char| count(char.into()));
                    chunk.invalid().iter().for_each(|_| count(char::REPLACEMENT_CHARACTER.into()));
                }
            }
        }
        let shares = counts.into_values().map(|count| f64::from(count) / text.len() as f64);
        // In one order, for one sum.
        let mut terms: Vec<f64> = shares.map(|share| -share * share.log2()).collect();
        terms.sort_by(f64::total_cmp);
        terms.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::allowlist::any_of;

    #[test]
    fn entropy_is_shannons() {
        for (text, bits) in [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("abcdefgh", 3.0)] {
            for of in [EntropyOf::Bytes, EntropyOf::CodePoints] {
                assert!((of.entropy(text.as_bytes()) - bits).abs() < 1e-12, "{text}");
            }
        }
        // Two bytes of one kind each, against one code point of two bytes.
        assert!((EntropyOf::Bytes.entropy("é".as_bytes()) - 1.0).abs() < 1e-12);
        assert!((EntropyOf::CodePoints.entropy("é".as_bytes()) - 0.5).abs() < 1e-12);
        assert!((EntropyOf::CodePoints.entropy(b"\xff\xfe") - 0.0).abs() < 1e-12);
    }

    #[test]
    fn each_condition_counts() {
        let pass = |filter: &Filter, path, secret: &[u8], lines: &[u8]| {
            let source = Source { path, commit: None };
            let candidate = Candidate { source, text: secret, secret };
            !filter.leaves_out(source)
                && filter.passes(&candidate)
                && filter.passes_lines(&candidate, &Lines::new(lines.to_vec()))
        };
        assert!(pass(&Filter::default(), None, b"", b"x gitleaks:allow"));
        let of_path = Filter { path: Some(any_of(&["^a/"]).unwrap()), ..Filter::default() };
        assert!(pass(&of_path, Some("a/b"), b"", b"") && !pass(&of_path, None, b"", b""));
        let least = LeastEntropy { above: 1.0, of: EntropyOf::Bytes };
        let random = Filter { entropy: Some(least), ..Filter::default() };
        assert!(pass(&random, None, b"abc", b"") && !pass(&random, None, b"ab", b""));
        let heeding = Filter { heeds_comments: true, ..Filter::default() };
        assert!(heeding.looks_at_lines() && pass(&heeding, None, b"", b"gitleaks: allow"));
        assert!(!pass(&heeding, None, b"", b"x // gitleaks:allow"));
    }
}
