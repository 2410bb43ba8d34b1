//! RE2's basic search tests.
//!
//! The file alternates `strings` and `regexps` blocks of Go string literals. Under each regexp stands one
//! line for each string, with four answers: the leftmost-first match of the whole string, the one found
//! anywhere, and the same two for leftmost-longest. An answer is `-` or the spans of all groups.

#[macro_use]
mod common;

use std::fs;

use common::dialect::Dialect;
use common::{Case, Engine, Expected, Oracle, Span, Suite, View, options};
use vkscan::{MatchKind, UnicodePolicy};

/// Perl classes are ASCII, everything else is code points.
const RE2: Dialect = Dialect { utf8: true, properties: false, caseless: false };

on_every_engine!(run);

#[test]
#[should_panic(expected = "2 passed, 0 skipped, 1 failed")]
fn a_wrong_answer_fails() {
    let mut suite = Suite::new("canary");
    cases("right", "a+", "xaay", "-;1-3;-;1-3", &mut suite);
    suite.cases[2].haystack.pop();
    suite.cases[2].haystack.push(b'a');
    suite.run(&mut Oracle, 0);
}

fn run(engine: &mut dyn Engine) {
    let Some(file) = common::data("suites/re2-search.txt", "5,664 cases are") else { return };
    let text = fs::read_to_string(file).unwrap();
    let mut suite = Suite::new("RE2");
    let mut lines = text.trim_end().split('\n').enumerate().skip_while(|line| line.1 != "strings");
    let (mut strings, mut in_strings) = (Vec::new(), false);
    while let Some((number, line)) = lines.next() {
        match line {
            "strings" => (strings, in_strings) = (Vec::new(), true),
            "regexps" => in_strings = false,
            literal if in_strings => strings.push(unquote(literal)),
            regexp => {
                for string in &strings {
                    let (_, answers) = lines.next().expect("an answer for each string");
                    let place = format!("line {}", number + 1);
                    cases(&place, &unquote(regexp), string, answers, &mut suite);
                }
            }
        }
    }
    suite.run(engine, 5664);
}

/// A Go string literal, as these files use it, is a JSON one but for control characters as they are.
fn unquote(literal: &str) -> String {
    let escaped = |byte: u8| (char::from(byte).into(), format!("\\u{byte:04x}"));
    let controls: Vec<(String, String)> = (0..0x20).map(escaped).collect();
    let json = controls.iter().fold(literal.to_owned(), |text, (from, to)| text.replace(from, to));
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{literal}: {error}"))
}

fn cases(place: &str, regexp: &str, string: &str, answers: &str, suite: &mut Suite) {
    let [whole, first, whole_longest, longest] = answers
        .split(';')
        .map(span)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| panic!("{place}: {answers}"));
    assert_eq!(whole, whole_longest, "{place}: there is one whole string");
    // A search stops after its first match, so nothing is known about starts after it.
    let last = |answer: Option<Span>| answer.map_or(usize::MAX, |span| span.0);
    for (match_kind, view, answer) in [
        (MatchKind::All, View::Whole, whole),
        (MatchKind::LeftmostFirst, View::UpTo(last(first)), first),
        (MatchKind::All, View::LeftmostLongest(last(longest)), longest),
    ] {
        let spans = answer.into_iter().filter(|span| span.0 < span.1).collect();
        suite.add(RE2.translate(regexp.as_bytes()).map(|translated| Case {
            name: place.into(),
            pattern: translated.pattern,
            options: options(match_kind).unicode(UnicodePolicy::Always),
            haystack: string.into(),
            expected: Expected::Matches { view, spans },
        }));
    }
}

/// The first span of an answer, which is that of the whole match.
fn span(answer: &str) -> Option<Span> {
    let (start, end) = answer.split(' ').next()?.split_once('-')?;
    Some((start.parse().ok()?, end.parse().ok()?))
}
