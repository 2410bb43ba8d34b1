//! One JSON object a line.

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;

use crate::findings::{Finding, Group};
use crate::inputs::{Commit, Origin};
use crate::rules::Rules;
use crate::terminal;

#[derive(Serialize)]
struct Record<'a> {
    path: Cow<'a, str>,
    /// The path as it is, where it is not UTF-8 and `path` only comes near it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<&'a [u8]>,
    #[serde(flatten)]
    commit: Option<InCommit<'a>>,
    pattern: u32,
    rule: &'a str,
    #[serde(flatten)]
    at: Option<At<'a>>,
}

/// The commit that something is in first.
#[derive(Serialize)]
struct InCommit<'a> {
    commit: &'a str,
    author: &'a str,
    email: &'a str,
    date: &'a str,
}

/// All but what a file as a whole has.
#[derive(Serialize)]
struct At<'a> {
    start: u64,
    end: u64,
    line: u64,
    column: u64,
    /// Of the last byte.
    end_line: u64,
    end_column: u64,
    #[serde(flatten)]
    text: Bytes<'a>,
    secret: Part<'a>,
    groups: Vec<Option<Part<'a>>>,
}

/// A group, or the secret.
#[derive(Serialize)]
struct Part<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    start: u64,
    end: u64,
    #[serde(flatten)]
    text: Bytes<'a>,
}

#[derive(Serialize)]
struct Bytes<'a> {
    text: Cow<'a, str>,
    /// As they are, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<&'a [u8]>,
}

impl<'a> Bytes<'a> {
    fn new(bytes: &'a [u8]) -> Bytes<'a> {
        let text = String::from_utf8_lossy(bytes);
        let is_same = matches!(text, Cow::Borrowed(_));
        Bytes { text, bytes: (!is_same).then_some(bytes) }
    }
}

impl<'a> Part<'a> {
    fn new(name: Option<&'a str>, at: Range<u64>, text: &'a [u8]) -> Part<'a> {
        Part { name, start: at.start, end: at.end, text: Bytes::new(text) }
    }

    fn of_group(group: &'a Group, text: &'a [u8]) -> Option<Part<'a>> {
        let range = group.range.clone()?;
        Some(Part::new(group.name.as_deref(), group.at.clone(), &text[range]))
    }
}

pub fn finding(rules: &Rules, origin: &Origin, finding: &Finding) -> String {
    let os = origin.path.as_os_str();
    let path_bytes = os.to_str().is_none().then_some(os.as_encoded_bytes());
    let Finding { rule, start, end, places, text, secret, secret_at, groups, .. } = finding;
    let at = places.map(|[begin, last]| At {
        start: *start,
        end: *end,
        line: begin.line,
        column: begin.column,
        end_line: last.line,
        end_column: last.column,
        text: Bytes::new(text),
        secret: Part::new(None, secret_at.clone(), &text[secret.clone()]),
        groups: groups.iter().map(|group| Part::of_group(group, text)).collect(),
    });
    let path = os.to_string_lossy();
    let commit = origin.commit.as_deref().map(|Commit { id, author, email, date }| InCommit {
        commit: id,
        author,
        email,
        date,
    });
    terminal::json(&Record {
        path,
        path_bytes,
        commit,
        pattern: *rule,
        rule: rules.name(*rule),
        at,
    })
}
