//! The `regex` crate's own suite.

#[macro_use]
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Case, Engine, Expected, Span, Suite, View};
use regex_test::{MatchKind as Kind, RegexTest, RegexTests, SearchKind};
use toml::Value;
use vkscan::{MatchKind, PipelineOptions, UnicodePolicy};

on_every_engine!(run);

fn run(engine: &mut dyn Engine) {
    let Some(folder) = common::data("suites/rust-regex-testdata", "1,203 cases are") else {
        return;
    };
    let mut suite = Suite::new("rust-regex");
    let mut files = Vec::new();
    toml_files(&folder, &mut files);
    for file in files {
        // `regex_test` reads everything but keeps what it expects to itself.
        let table: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
        let mut tests = RegexTests::new();
        tests.load(&file).unwrap();
        let tables = table["test"].as_array().unwrap();
        assert_eq!(tests.iter().count(), tables.len());
        for (test, table) in tests.iter().zip(tables) {
            let expected = table["matches"].as_array().unwrap().iter().map(expected).collect();
            cases(test, expected).into_iter().for_each(|case| suite.add(case));
        }
    }
    suite.run(engine, 1143);
}

fn toml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            toml_files(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "toml") {
            files.push(entry);
        }
    }
}

/// The pattern and the span of one expected match, in any of the four forms it may have.
fn expected(value: &Value) -> (usize, Span) {
    let offset = |value: &Value| value.as_integer().unwrap() as usize;
    match value {
        Value::Table(table) => {
            let span = table.get("span").or_else(|| table.get("spans")).unwrap();
            (offset(&table["id"]), expected(span).1)
        }
        Value::Array(values) if values[0].is_array() => expected(&values[0]),
        Value::Array(values) => (0, (offset(&values[0]), offset(&values[1]))),
        _ => panic!("no match: {value}"),
    }
}

/// A test as cases of one pattern each, which is how a pipeline matches them.
fn cases(test: &RegexTest, expected: Vec<(usize, Span)>) -> Vec<Result<Case, String>> {
    if test.group() == "regex-lite" {
        return vec![Err("regex-lite, which differs on purpose".into())];
    }
    let match_kind = match (test.match_kind(), test.search_kind()) {
        (Kind::LeftmostFirst, SearchKind::Leftmost) => MatchKind::LeftmostFirst,
        (Kind::All, SearchKind::Overlapping) => MatchKind::All,
        (kind, search) => return vec![Err(format!("{search:?} search for {kind:?}"))],
    };
    let bounds = test.bounds();
    if (bounds.start, bounds.end) != (0, test.haystack().len()) {
        return vec![Err("searches part of the haystack".into())];
    }
    let patterns = test.regexes();
    if match_kind == MatchKind::LeftmostFirst && patterns.len() > 1 {
        return vec![Err("patterns compete for one match".into())];
    }
    if patterns.is_empty() {
        return vec![Err("no pattern".into())];
    }
    let options = PipelineOptions::default()
        .match_kind(match_kind)
        .unicode(if test.unicode() { UnicodePolicy::Always } else { UnicodePolicy::Never })
        .case_insensitive(test.case_insensitive())
        .line_terminator(test.line_terminator());
    let of_pattern = |(id, pattern): (usize, &String)| {
        let all: Vec<Span> =
            expected.iter().filter(|found| found.0 == id).map(|found| found.1).collect();
        let limit = match match_kind {
            // How many matches an anchored search finds is known only from `\A` on.
            MatchKind::LeftmostFirst if test.anchored() => Some(1),
            _ => test.match_limit(),
        };
        assert!(limit.is_none() || match_kind == MatchKind::LeftmostFirst, "matches come sorted");
        if limit.is_some_and(|limit| limit < all.len()) {
            return Err("anchored search that goes on after its first match".into());
        }
        let view = match all.last() {
            Some(last) if limit == Some(all.len()) => View::UpTo(last.0),
            _ => View::Spans,
        };
        let pattern = match test.anchored() {
            true => format!(r"\A(?:{pattern})"),
            false => pattern.clone(),
        };
        let mut spans: Vec<Span> = all.into_iter().filter(|span| span.0 < span.1).collect();
        spans.sort_unstable();
        Ok(Case {
            name: test.full_name().into(),
            pattern,
            options: options.clone(),
            haystack: test.haystack().into(),
            expected: match test.compiles() {
                true => Expected::Matches { view, spans },
                false => Expected::Refused,
            },
        })
    };
    patterns.iter().enumerate().map(of_pattern).collect()
}
