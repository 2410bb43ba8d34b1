//! Hyperscan's cases: every end of every match.

#[macro_use]
mod common;

use std::error::Error as _;
use std::fs;

use common::dialect::{Dialect, Translated};
use common::{Case, Engine, Expected, Suite, View, options};
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use serde_json::Value;
use vkscan::{MatchKind, UnicodePolicy};

on_every_engine!(run);

fn run(engine: &mut dyn Engine) {
    let Some(file) = common::data("suites/hscollider.jsonl", "12,218 cases are") else { return };
    let text = fs::read_to_string(file).unwrap();
    let mut suite = Suite::new("Hyperscan");
    let mut dropped = 0;
    for line in text.lines() {
        suite.add(case(&serde_json::from_str(line).unwrap(), &mut dropped));
    }
    suite.note = format!("{dropped} ends, of empty matches alone, are not expected");
    suite.run(engine, 11_299);
}

/// Counts the ends that it drops because only empty matches have them.
fn case(row: &Value, dropped: &mut usize) -> Result<Case, String> {
    let bytes = |field: &str| base64(row[field].as_str().unwrap());
    let (pattern, haystack) = (bytes("re_b64"), bytes("data_b64"));
    let mut pattern = &pattern[..];
    let mut dialect = Dialect { utf8: false, properties: false, caseless: false };
    let mut inline = String::new();
    let mut view = View::Ends;
    for flag in row["flags"].as_str().unwrap().chars() {
        dialect.caseless |= flag == 'i';
        match flag {
            'i' | 's' | 'm' => inline.push(flag),
            '8' => dialect.utf8 = true,
            'W' => dialect.properties = true,
            // At most one match of a pattern.
            'H' => view = View::FirstEnd,
            // Empty matches are allowed; starts are asked for; a prefilter may do; order does not matter.
            'V' | 'L' | 'P' | 'O' => {}
            flag => return Err(format!("flag {flag}")),
        }
    }
    for (verb, utf8, properties) in
        [("(*UTF8)", true, false), ("(*UTF)", true, false), ("(*UCP)", false, true)].repeat(2)
    {
        if let Some(rest) = pattern.strip_prefix(verb.as_bytes()) {
            pattern = rest;
            dialect.utf8 |= utf8;
            dialect.properties |= properties;
        }
    }
    if dialect.utf8 && std::str::from_utf8(&haystack).is_err() {
        return Err("data is not UTF-8".into());
    }
    let translated = dialect.translate(pattern)?;
    if translated.properties && !dialect.utf8 && !haystack.is_ascii() {
        return Err("properties of bytes as Latin-1".into());
    }
    if translated.properties {
        unicode_differs(&translated, &haystack)?;
    }
    let multi_line = inline.contains('m');
    if haystack.ends_with(b"\n")
        && (translated.before_final_newline || translated.dollar && !multi_line)
    {
        return Err("$ before a final newline".into());
    }
    let mut pattern = translated.pattern.clone();
    if !inline.is_empty() {
        pattern.insert_str(0, &format!("(?{inline})"));
    }
    let unicode = dialect.utf8 || translated.properties;
    let automaton = automaton(&pattern, unicode)?;
    let ends = row["ends"].as_array().unwrap().iter().map(|end| end.as_u64().unwrap() as usize);
    let (empty, ends): (Vec<usize>, Vec<usize>) =
        ends.partition(|&end| only_empty(&automaton, &haystack, end));
    *dropped += empty.len();
    let spans = ends.into_iter().map(|end| (end, end)).collect();
    let unicode = if unicode { UnicodePolicy::Always } else { UnicodePolicy::Never };
    Ok(Case {
        name: format!("{} {}", row["suite"].as_str().unwrap(), row["id"]),
        pattern,
        options: options(MatchKind::All).unicode(unicode),
        haystack,
        expected: Expected::Matches { view, spans },
    })
}

/// Says where Unicode's data is newer than Hyperscan's, or where Hyperscan defines something else.
fn unicode_differs(translated: &Translated, haystack: &[u8]) -> Result<(), String> {
    const DIFFERENCES: [(&str, &str, &str); 4] = [
        ("", r"[\p{Assigned}--\p{Age=6.0}]", "code points newer than Unicode 6.0"),
        // Mongolian vowel separator, Canadian syllabics chi sign, Arabic-Indic digits.
        ("", r"[\x{180e}\x{166d}\x{660}-\x{669}]", "code points reclassified since Unicode 6.0"),
        ("Common", r"[\p{Cn}\p{Co}]", "unassigned code points are Common to PCRE"),
        (r"\b", r"[\w--[\p{L}\p{N}_]]", "more code points are of words than to PCRE"),
    ];
    for (of, code_points, what) in DIFFERENCES {
        let concerned = match of {
            r"\b" => translated.word_boundary,
            of => translated.pattern.contains(of),
        };
        if concerned && Regex::new(code_points).unwrap().is_match(haystack) {
            return Err(what.into());
        }
    }
    Ok(())
}

/// What tells empty matches from others, or why the pattern is none of the `regex` crate's.
fn automaton(pattern: &str, unicode: bool) -> Result<Regex, String> {
    let syntax = syntax::Config::new().utf8(false).unicode(unicode);
    let config = Regex::config().match_kind(regex_automata::MatchKind::All).utf8_empty(false);
    Regex::builder().syntax(syntax).configure(config).build(pattern).map_err(|error| {
        let error = error.source().map_or(error.to_string(), ToString::to_string);
        error.lines().last().unwrap_or_default().into()
    })
}

/// Whether empty matches are all that ends at `end`.
fn only_empty(regex: &Regex, haystack: &[u8], end: usize) -> bool {
    let ends_from = |start: usize| {
        // Of all matches from here the search finds the longest, and the range ends at `end`.
        let input = Input::new(haystack).range(start..end).anchored(Anchored::Yes);
        regex.find(input).is_some_and(|found| found.end() == end)
    };
    ends_from(end) && !(0..end).any(ends_from)
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("no base 64: {text}"),
    };
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0, |bits, &byte| bits << 6 | u32::from(digit(byte)));
        let bits = bits << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    text.trim_end_matches('=').as_bytes().chunks(4).flat_map(group).collect()
}
