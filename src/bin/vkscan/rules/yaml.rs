//! Rules in YAML, as Nosey Parker (<https://github.com/praetorian-inc/noseyparker>) and Kingfisher
//! (<https://github.com/mongodb/kingfisher>) have them. What is read is honoured, and a field that is not read is an error.
//!
//! What is about asking services whether a secret is valid, as Kingfisher does, is none of a scan's business: `validation`,
//! `depends_on_rule` and `prevalidated`.

use regex_automata::meta::Regex;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::filter::{EntropyOf, LeastEntropy, Secret};
use super::{Origin, Rule, RulesError, Text, name_by_index, shown};
use crate::args::Confidence;
use crate::terminal;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what describes a rule is taken note of, or it would be an error")]
struct FileRule {
    id: Option<String>,
    name: Option<String>,
    pattern: String,
    description: Option<String>,
    #[serde(default)]
    examples: Vec<String>,
    /// By either name, as Nosey Parker's own rules have both.
    #[serde(default, alias = "non_examples")]
    negative_examples: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    min_entropy: f64,
    confidence: Option<Confidence>,
    visible: Option<bool>,
    validation: Option<IgnoredAny>,
    depends_on_rule: Option<IgnoredAny>,
    prevalidated: Option<IgnoredAny>,
}

/// The rules of a file that are as likely right as is asked for.
pub fn rules(file: &Text, least: Confidence) -> Result<Vec<Rule>, RulesError> {
    let parsed: File = yaml_serde::from_str(&file.text).map_err(|reason| {
        let line = reason.location().map(|location| location.line());
        file.error(line, reason)
    })?;
    let comment = Regex::new(r"\(\?#[^)]*\)").expect("the pattern is well-formed");
    let mut rules: Vec<Rule> = Vec::new();
    let mut left_out = 0;
    for (index, rule) in parsed.rules.into_iter().enumerate() {
        if rule.confidence.unwrap_or(Confidence::Medium) < least {
            left_out += 1;
            continue;
        }
        let is_named = |name: &String| !name.trim().is_empty();
        let name = rule.id.filter(is_named).unwrap_or_else(|| name_by_index(index));
        // YAML's values do not say where they stand.
        let origin = Origin { file: terminal::path(file.path).into(), line: None };
        if rules.iter().any(|other| other.name() == name) {
            return Err(file.error(None, format!("there are two rules {}", shown(&name))));
        }
        if !rule.min_entropy.is_finite() {
            return Err(
                file.error(None, format!("min_entropy of rule {} is no number", shown(&name)))
            );
        }
        let mut read = Rule::new(Some(name), Some(without(&comment, &rule.pattern)), origin);
        read.description = rule.description.or(rule.name).filter(is_named);
        read.tags = rule.categories;
        read.examples = rule.examples;
        read.negative_examples = rule.negative_examples;
        read.filter.secret = Secret::GroupOrMatch;
        read.filter.is_hidden = rule.visible == Some(false);
        let least = LeastEntropy { above: rule.min_entropy, of: EntropyOf::Bytes };
        read.filter.entropy = (rule.min_entropy != 0.0).then_some(least);
        rules.push(read);
    }
    if left_out > 0 {
        tracing::warn!(
            "{}: {left_out} rules of less confidence are left out: --confidence low takes them",
            terminal::path(file.path)
        );
    }
    Ok(rules)
}

/// A pattern without comments in parentheses, which the `regex` crate does not know.
fn without(comment: &Regex, pattern: &str) -> String {
    let mut rest = String::new();
    let mut at = 0;
    for found in comment.find_iter(pattern) {
        rest.push_str(&pattern[at..found.start()]);
        at = found.end();
    }
    rest + &pattern[at..]
}
