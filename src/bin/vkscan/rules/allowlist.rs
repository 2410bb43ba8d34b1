//! What is no finding after all: gitleaks' allowlists.

use std::collections::HashSet;

use aho_corasick::AhoCorasick;
use regex_automata::meta::{self, Regex};

use super::filter::Lines;
use super::{Candidate, Source, parse};

/// Checks, one or all of which have to hold.
pub struct Allowlist {
    /// Whether all that there are have to hold.
    pub all: bool,
    /// In lower case.
    pub commits: HashSet<String>,
    pub paths: Option<Regex>,
    pub regexes: Option<Regex>,
    pub target: Target,
    pub stopwords: Option<AhoCorasick>,
}

/// What regular expressions are matched with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    #[default]
    Secret,
    Match,
    /// The lines that it is in.
    Line,
}

impl Allowlist {
    /// Whether all that is found here is allowed, whatever it is.
    pub fn allows_source(&self, source: Source) -> bool {
        let is_about_texts = self.regexes.is_some() || self.stopwords.is_some();
        match self.all {
            true => !is_about_texts && self.holds(self.of_source(source)),
            false => self.holds(self.of_source(source)),
        }
    }

    /// Whether a match is no finding, where not all that is found is allowed; `lines` are those that it is in, for lists that look
    /// at them.
    pub fn allows(&self, candidate: &Candidate, lines: Option<&Lines>) -> bool {
        let of_texts = self.of_texts(candidate, lines);
        match self.all {
            true => self.holds(self.of_source(candidate.source).chain(of_texts)),
            false => self.holds(of_texts),
        }
    }

    fn holds(&self, mut checks: impl Iterator<Item = bool>) -> bool {
        if self.all { checks.all(|holds| holds) } else { checks.any(|holds| holds) }
    }

    /// The checks that there are of where something is. None is made before it is asked for.
    fn of_source<'c>(&'c self, source: Source<'c>) -> impl Iterator<Item = bool> + 'c {
        let has_commits = (!self.commits.is_empty()).then_some(&self.commits);
        let commits = has_commits.into_iter().map(move |commits| {
            source.commit.is_some_and(|commit| commits.contains(&commit.to_ascii_lowercase()))
        });
        let has = move |paths: &Regex| source.path.is_some_and(|path| paths.is_match(path));
        commits.chain(self.paths.iter().map(has))
    }

    /// The checks that there are of what is found.
    fn of_texts<'c>(
        &'c self,
        candidate: &Candidate<'c>,
        lines: Option<&'c Lines>,
    ) -> impl Iterator<Item = bool> + 'c {
        let Candidate { text, secret, .. } = *candidate;
        let has = move |regexes: &Regex| match (self.target, lines) {
            (Target::Secret, _) => !secret.is_empty() && regexes.is_match(secret),
            (Target::Match, _) => !text.is_empty() && regexes.is_match(text),
            (Target::Line, lines) => lines.is_some_and(|lines| lines.are_matched_by(regexes)),
        };
        let has_word = move |words: &AhoCorasick| !secret.is_empty() && words.is_match(secret);
        self.stopwords.iter().map(has_word).chain(self.regexes.iter().map(has))
    }
}

/// One that matches where any of these does: of bytes, or of code points where it takes them, as the rules are.
pub fn any_of(patterns: &[impl AsRef<str>]) -> Result<Regex, String> {
    let hirs = patterns.iter().map(|pattern| parse(pattern.as_ref()));
    let hirs = hirs.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    // A match may be of invalid UTF-8, and be empty within a code point.
    let config = meta::Config::new().utf8_empty(false);
    meta::Builder::new()
        .configure(config)
        .build_many_from_hir(&hirs)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_check_or_all_of_them() {
        let list = |all, target| Allowlist {
            all,
            commits: HashSet::from(["abc".to_owned()]),
            paths: Some(any_of(&["(?i)^X", "y$"]).unwrap()),
            regexes: Some(any_of(&["t+"]).unwrap()),
            target,
            stopwords: Some(
                AhoCorasick::builder().ascii_case_insensitive(true).build(["stop"]).unwrap(),
            ),
        };
        let candidate = |commit, path, secret| Candidate {
            source: Source { path, commit },
            text: b"text",
            secret,
        };
        for (candidate, any_holds, all_hold) in [
            (candidate(None, None, b"a"), false, false),
            (candidate(Some("abd"), Some("Y"), b""), false, false),
            (candidate(Some("ABC"), None, b"a"), true, false),
            (candidate(None, Some("/y"), b"a"), true, false),
            (candidate(None, None, b"t"), true, false),
            (candidate(None, None, b"a sTop"), true, false),
            (candidate(Some("ABC"), Some("xa"), b"tSTOP"), true, true),
        ] {
            for (all, holds) in [(false, any_holds), (true, all_hold)] {
                let list = list(all, Target::Secret);
                let of_source = list.allows_source(candidate.source);
                assert_eq!(of_source || list.allows(&candidate, None), holds);
            }
        }
        let plain = candidate(None, None, b"a");
        assert!(list(false, Target::Match).allows(&plain, None));
        let by_line = list(false, Target::Line);
        for (text, is_allowed) in [("x t", true), ("x", false), ("", false)] {
            let lines = Lines::new(text.into());
            assert_eq!([(); 2].map(|()| by_line.allows(&plain, Some(&lines))), [is_allowed; 2]);
        }
        assert!(any_of(&["a", "("]).is_err());
    }

    #[test]
    fn what_is_not_there_holds_and_fails_nothing() {
        let mut list = Allowlist {
            all: true,
            commits: HashSet::new(),
            paths: Some(any_of(&["x"]).unwrap()),
            regexes: None,
            target: Target::Secret,
            stopwords: None,
        };
        let source = Source { path: Some("x"), commit: None };
        let candidate = Candidate { source, text: b"", secret: b"" };
        assert!(list.allows(&candidate, None) && list.allows_source(source));
        list.commits.insert("abc".to_owned());
        assert!(!list.allows(&candidate, None) && !list.allows_source(source));
    }
}
