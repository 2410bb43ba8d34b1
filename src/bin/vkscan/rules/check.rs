//! `vkscan rules check`: whether rules find what they say they find.

use std::error::Error;
use std::io::{self, Write};

use vkscan::{Match, MatchKind, RulePipeline};

use super::filter::Lines;
use super::{Candidate, Rule, Rules, Source};
use crate::Status;
use crate::args::RulesArgs;
use crate::terminal;

pub fn run(args: &RulesArgs) -> Result<Status, Box<dyn Error>> {
    let rules = Rules::read(args)?;
    let pipeline = rules.compile(MatchKind::default())?;
    let (mut examples, mut wrong, mut plain) = (0, 0, 0);
    let mut stdout = io::stdout().lock();
    for (id, rule) in rules.iter() {
        if rule.examples.is_empty() && rule.negative_examples.is_empty() {
            continue;
        }
        // By itself, for others would be looked for in vain.
        let pattern = pipeline.patterns().nth(id as usize).unwrap_or_default();
        let alone = RulePipeline::with_options(&[pattern], pipeline.options().clone())?;
        let expected = rule.examples.iter().map(|text| (text, true));
        for (text, is_found) in
            expected.chain(rule.negative_examples.iter().map(|text| (text, false)))
        {
            examples += 1;
            let what = match (outcome(rule, &alone, text.as_bytes()), is_found) {
                (Outcome::Found, true) | (Outcome::NoMatch | Outcome::NoFinding, false) => continue,
                (Outcome::NoFinding, true) => {
                    plain += 1;
                    "matches its example, whose entropy is too little for a finding"
                }
                (Outcome::NoMatch, true) => {
                    wrong += 1;
                    "does not match its example"
                }
                (Outcome::Found, false) => {
                    wrong += 1;
                    "finds what it is not to find"
                }
            };
            let text = terminal::cut(text.as_bytes(), terminal::TEXT_CHARS);
            writeln!(stdout, "{}: rule {} {what}: {text}", rule.origin.file, rules.shown_name(id))?;
        }
    }
    let count = rules.len();
    writeln!(
        stdout,
        "{count} rules, {examples} examples: {wrong} wrong, {plain} of too little entropy"
    )?;
    Ok(if wrong == 0 { Status::Found } else { Status::Failed })
}

/// What comes of a rule in a text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    NoMatch,
    /// Matches, and none of them a finding.
    NoFinding,
    Found,
}

/// On the CPU, with a pipeline of the rule by itself.
fn outcome(rule: &Rule, alone: &RulePipeline, text: &[u8]) -> Outcome {
    let of = |found: Match| {
        let range = found.start as usize..found.end as usize;
        let secret = rule.filter.secret.of(range.clone(), || alone.captures(text, &found).ok());
        let source = Source::default();
        let candidate = Candidate { source, text: &text[range], secret: &text[secret] };
        let lines = Lines::new(text.to_vec());
        let passes = !rule.filter.leaves_out(candidate.source)
            && rule.filter.passes(&candidate)
            && rule.filter.passes_lines(&candidate, &lines);
        if passes { Outcome::Found } else { Outcome::NoFinding }
    };
    let outcomes = alone.reference_scan(text).into_iter().map(of);
    outcomes.max().unwrap_or(Outcome::NoMatch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::filter::Secret;

    #[test]
    fn the_secret_is_what_the_rule_says() {
        let pipeline = RulePipeline::new(&["(a)?(b*)(c)"]).unwrap();
        let of = |secret: Secret, text: &[u8]| {
            let found = pipeline.reference_scan(text)[0];
            secret.of(found.start as usize..found.end as usize, || {
                pipeline.captures(text, &found).ok()
            })
        };
        assert_eq!(of(Secret::Match, b"bbc"), 0..3);
        assert_eq!(of(Secret::FirstGroup, b"bbc"), 0..2);
        assert_eq!(of(Secret::FirstGroup, b"c"), 0..1);
        assert_eq!(of(Secret::GroupOrMatch, b"bbc"), 0..3);
        assert_eq!(of(Secret::GroupOrMatch, b"abbc"), 0..1);
        assert_eq!(of(Secret::Group(3), b"abbc"), 3..4);
        assert_eq!(of(Secret::Group(1), b"bc"), 0..0);
    }
}
