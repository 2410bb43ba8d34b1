//! Secret scanners' rules with texts that each must match or must not.

#[macro_use]
mod common;

use std::fs;

use common::{Case, Engine, Expected, Suite, View, options};
use regex::Regex;
use regex::bytes::RegexBuilder;
use serde_json::Value;
use vkscan::MatchKind;

on_every_engine!(run);

fn run(engine: &mut dyn Engine) {
    let Some(file) = common::data("suites/secrets-examples.jsonl", "2,016 cases are") else {
        return;
    };
    let mut suite = Suite::new("secrets");
    for line in fs::read_to_string(file).unwrap().lines() {
        suite.add(case(&serde_json::from_str(line).unwrap()));
    }
    suite.run(engine, 2003);
}

fn case(row: &Value) -> Result<Case, String> {
    let field = |name: &str| row[name].as_str().unwrap_or_default();
    // Hyperscan's comments, which the `regex` crate does not know.
    let pattern = Regex::new(r"\(\?#[^)]*\)").unwrap().replace_all(field("regex"), "");
    let build = |unicode| RegexBuilder::new(&pattern).unicode(unicode).build();
    let regex = build(false).or_else(|_| build(true)).map_err(|error| {
        let error = error.to_string();
        error.lines().rfind(|line| line.starts_with("error")).unwrap_or("error").to_owned()
    })?;
    // The file says whether there is a match, the `regex` crate where.
    let found = regex.find_iter(field("text").as_bytes());
    let spans: Vec<_> = found.map(|found| (found.start(), found.end())).collect();
    if spans.is_empty() == row["match"].as_bool().unwrap() {
        return Err("the regex crate does not agree".into());
    }
    Ok(Case {
        name: format!("{} {}", field("src"), field("rule")),
        pattern: pattern.into_owned(),
        options: options(MatchKind::LeftmostFirst),
        haystack: field("text").into(),
        expected: Expected::Matches { view: View::Spans, spans },
    })
}
