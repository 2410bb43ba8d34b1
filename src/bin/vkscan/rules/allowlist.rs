//! What is no finding after all: gitleaks' allowlists.

use std::collections::HashSet;

use aho_corasick::AhoCorasick;
use regex_automata::meta::{self, Regex};

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
        let is_decided = !self.all || !is_about_texts;
        is_decided && self.allows(&Candidate { source, text: b"", secret: b"", lines: b"" })
    }

    pub fn allows(&self, candidate: &Candidate) -> bool {
        let Candidate { source, text, secret, lines } = *candidate;
        let target = match self.target {
            Target::Secret => secret,
            Target::Match => text,
            Target::Line => lines,
        };
        let commit = source.commit.map(str::to_ascii_lowercase);
        let has_commit = commit.is_some_and(|commit| self.commits.contains(&commit));
        let checks = [
            (!self.commits.is_empty()).then_some(has_commit),
            self.paths.as_ref().map(|paths| source.path.is_some_and(|path| paths.is_match(path))),
            self.regexes.as_ref().map(|regexes| !target.is_empty() && regexes.is_match(target)),
            self.stopwords.as_ref().map(|words| !secret.is_empty() && words.is_match(secret)),
        ];
        let mut checks = checks.into_iter().flatten();
        if self.all { checks.all(|holds| holds) } else { checks.any(|holds| holds) }
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
        let candidate = |commit, path, secret, lines| Candidate {
            source: Source { path, commit },
            text: b"text",
            secret,
            lines,
        };
        let all = candidate(Some("ABC"), Some("xa"), b"tSTOP", b"");
        for (candidate, any_holds, all_hold) in [
            (candidate(None, None, b"a", b"t"), false, false),
            (candidate(Some("abd"), Some("Y"), b"", b""), false, false),
            (candidate(Some("ABC"), None, b"a", b""), true, false),
            (candidate(None, Some("/y"), b"a", b""), true, false),
            (candidate(None, None, b"t", b""), true, false),
            (candidate(None, None, b"a sTop", b""), true, false),
            (all, true, true),
        ] {
            assert_eq!(list(false, Target::Secret).allows(&candidate), any_holds);
            assert_eq!(list(true, Target::Secret).allows(&candidate), all_hold);
        }
        assert!(list(false, Target::Match).allows(&candidate(None, None, b"a", b"")));
        assert!(list(false, Target::Line).allows(&candidate(None, None, b"a", b"t")));
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
        let candidate = Candidate { source, text: b"", secret: b"", lines: b"" };
        assert!(list.allows(&candidate));
        list.commits.insert("abc".to_owned());
        assert!(!list.allows(&candidate));
    }
}
