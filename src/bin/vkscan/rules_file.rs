//! From a file of rules to a pipeline.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use vkscan::{BuildError, MatchKind, PipelineOptions, RulePipeline};

use crate::args::{RulesArgs, RulesFormat};
use crate::{errors, rules_format, terminal};

/// The rules of one file, in order of their pattern ids.
pub struct RulesFile {
    path: PathBuf,
    size_limit: usize,
    rules: Vec<Rule>,
}

struct Rule {
    /// None if it is called by its pattern.
    name: Option<String>,
    pattern: String,
    /// The line it stands on, counted from 1.
    line: usize,
}

impl Rule {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.pattern)
    }
}

/// What is wrong with a rules file, and where: one line for each fault.
#[derive(Debug, thiserror::Error)]
#[error("{}", faults.join("\n"))]
pub struct RulesError {
    faults: Vec<String>,
}

/// Fields of gitleaks' form that say nothing about what matches, at any level.
const METADATA: [&str; 4] = ["title", "description", "tags", "minVersion"];

impl RulesFile {
    pub fn read(args: &RulesArgs) -> Result<RulesFile, RulesError> {
        let path = &*args.rules;
        let text = read_text(path)?;
        let format = args.rules_format.map_or_else(|| rules_format::of(path, &text), Ok);
        let rules = match format {
            Ok(RulesFormat::Toml) => toml_rules(path, &text)?,
            Ok(RulesFormat::Lines) => line_rules(path, &text)?,
            Err(other) => {
                let reason = format!(
                    "this looks like {other}, which is not read: give one regular expression a line, or TOML \
                     with [[rules]] of `id` and `regex`; --rules-format lines takes it for lines all the same"
                );
                return Err(error(path, None, reason));
            }
        };
        if rules.is_empty() {
            return Err(error(path, None, "there is no regular expression in it"));
        }
        Ok(RulesFile { path: path.to_owned(), size_limit: args.size_limit, rules })
    }

    pub fn compile(&self, match_kind: MatchKind) -> Result<RulePipeline, RulesError> {
        let patterns: Vec<&str> = self.rules.iter().map(|rule| rule.pattern.as_str()).collect();
        let options = PipelineOptions::default().match_kind(match_kind).size_limit(self.size_limit);
        let message = match patterns.len() {
            1 => "compiling 1 rule".to_owned(),
            count => format!("compiling {count} rules"),
        };
        let compiled = terminal::working(message, || RulePipeline::compile(&patterns, options));
        compiled.map_err(|errors| RulesError {
            faults: errors.iter().map(|error| self.fault(error)).collect(),
        })
    }

    fn fault(&self, error: &BuildError) -> String {
        let rule = match error {
            BuildError::Syntax { index, .. } | BuildError::TooLarge { index, .. } => {
                self.rules.get(*index)
            }
            _ => None,
        };
        let reason = match rule {
            Some(Rule { name: Some(name), .. }) => {
                format!("rule {} {}", shown(name), errors::build(error))
            }
            // The error shows as much of the pattern as it takes.
            Some(_) => format!("the rule {}", errors::build(error)),
            None => errors::build(error),
        };
        fault(&self.path, rule.map(|rule| rule.line), reason)
    }

    /// The rules' texts.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.pattern)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// The name of a pattern's rule.
    pub fn name(&self, pattern_id: u32) -> &str {
        self.rules[pattern_id as usize].name()
    }

    /// The same as it is shown to people.
    pub fn shown_name(&self, pattern_id: u32) -> String {
        shown(self.name(pattern_id))
    }
}

fn shown(name: &str) -> String {
    terminal::cut(name.as_bytes(), terminal::TEXT_CHARS)
}

/// The name of a rule that goes by a blank one.
fn name_by_index(index: usize) -> String {
    format!("#{index}")
}

/// One regular expression a line, as `rg -f` reads them: nothing is trimmed but the line's end, `#` is no
/// comment, and empty lines are skipped. A rule without a name is called by its text.
fn line_rules(path: &Path, text: &str) -> Result<Vec<Rule>, RulesError> {
    let ids_path = path.with_extension("ids");
    let ids = match read_text(&ids_path) {
        Ok(_) if ids_path == path => None,
        Ok(ids) => Some(ids),
        Err(_) if !ids_path.exists() => None,
        Err(error) => return Err(error),
    };
    let patterns = lines(path, text)?;
    let names = ids.as_deref().map(|ids| lines(&ids_path, ids)).transpose()?;
    if let Some(names) = &names
        && names.len() != patterns.len()
    {
        let reason = format!(
            "{} lines cannot name the {} lines of {}",
            names.len(),
            patterns.len(),
            terminal::path(path)
        );
        return Err(error(&ids_path, None, reason));
    }
    let mut rules = Vec::new();
    for (index, &pattern) in patterns.iter().enumerate() {
        let name = names.as_ref().map(|names| names[index]).filter(|name| !name.is_empty());
        let name = name.map(|name| match name.trim() {
            "" => name_by_index(rules.len()),
            _ => name.to_owned(),
        });
        if !pattern.is_empty() {
            rules.push(Rule { name, pattern: pattern.to_owned(), line: index + 1 });
        }
    }
    Ok(rules)
}

/// The lines of a text, whichever of the three usual ways they end.
fn lines<'t>(path: &Path, text: &'t str) -> Result<Vec<&'t str>, RulesError> {
    let lines: Vec<&str> = match text.contains('\n') {
        true => text.lines().collect(),
        false => text.split_terminator('\r').collect(),
    };
    let stray = [
        (
            '\r',
            "a carriage return inside a line, where others end in line feeds: write \\r for one",
        ),
        ('\u{feff}', "a byte order mark behind the start: remove it, or write \\x{feff} for one"),
        ('\0', "a NUL byte, as of UTF-16: save the file as UTF-8, or write \\x00 for one"),
    ];
    for (index, line) in lines.iter().enumerate() {
        for (char, what) in stray {
            if line.contains(char) {
                return Err(error(path, Some(index + 1), format!("there is {what}")));
            }
        }
    }
    Ok(lines)
}

#[derive(Deserialize)]
struct TomlFile {
    #[serde(default)]
    rules: Vec<Spanned<TomlRule>>,
}

#[derive(Deserialize)]
struct TomlRule {
    id: Option<Spanned<toml::Value>>,
    regex: Option<Spanned<String>>,
}

/// The rules of gitleaks' form. What it may hold besides names and regular expressions, and would have
/// changed the matches, is named in a warning.
fn toml_rules(path: &Path, text: &str) -> Result<Vec<Rule>, RulesError> {
    let line_at = |offset: usize| text[..offset].matches('\n').count() + 1;
    let malformed = |reason: toml::de::Error| {
        error(path, reason.span().map(|span| line_at(span.start)), reason.message())
    };
    let file: TomlFile = toml::from_str(text).map_err(malformed)?;
    warn_of_other_fields(path, &toml::from_str(text).map_err(malformed)?);

    let mut rules = Vec::new();
    for rule in file.rules {
        let line = line_at(rule.span().start);
        let TomlRule { id, regex } = rule.into_inner();
        let name = match id {
            None => None,
            Some(id) => match id.get_ref() {
                toml::Value::String(id) if id.trim().is_empty() => Some(name_by_index(rules.len())),
                toml::Value::String(id) => Some(id.clone()),
                toml::Value::Integer(id) => Some(id.to_string()),
                other => {
                    let reason = format!("the id is a {}: put it in quotes", other.type_str());
                    return Err(error(path, Some(line_at(id.span().start)), reason));
                }
            },
        };
        if let Some(regex) = regex {
            let line = line_at(regex.span().start);
            rules.push(Rule { name, pattern: regex.into_inner(), line });
        } else {
            let name = name.as_deref().map_or_else(|| "without an id".to_owned(), shown);
            let path = terminal::path(path);
            tracing::warn!("{path}:{line}: rule {name} has no regex and is skipped");
        }
    }
    Ok(rules)
}

/// Names every field that is not honoured, once. `keywords` is among them: gitleaks runs a rule only over
/// what contains one of them, and there are rules that rely on it.
fn warn_of_other_fields(path: &Path, file: &toml::Table) {
    let other = |key: &&String, known: &[&str]| {
        !known.contains(&key.as_str()) && !METADATA.contains(&key.as_str())
    };
    let mut fields: Vec<String> =
        file.keys().filter(|key| other(key, &["rules"])).cloned().collect();

    let rules = file.get("rules").and_then(toml::Value::as_array).into_iter().flatten();
    let mut counts = BTreeMap::<_, usize>::new();
    for key in rules.filter_map(toml::Value::as_table).flat_map(toml::Table::keys) {
        *counts.entry(key).or_default() += 1;
    }
    counts.retain(|key, _| other(key, &["id", "regex"]));
    fields.extend(counts.into_iter().map(|(key, count)| match count {
        1 => format!("{key} of 1 rule"),
        count => format!("{key} of {count} rules"),
    }));

    if !fields.is_empty() {
        let fields = terminal::shown(fields.join(", ").as_bytes());
        tracing::warn!("{}: not honoured: {fields}", terminal::path(path));
    }
}

/// The text of a file, without a byte order mark.
fn read_text(path: &Path) -> Result<String, RulesError> {
    let bytes = fs::read(path).map_err(|reason| error(path, None, reason))?;
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes[..] {
        return Err(error(path, None, "this is UTF-16: save it as UTF-8"));
    }
    let mut text = String::from_utf8(bytes).map_err(|reason| {
        let before = &reason.as_bytes()[..reason.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        error(path, Some(line), "the line is not UTF-8; write other bytes as \\xNN under (?-u)")
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

fn error(path: &Path, line: Option<usize>, reason: impl fmt::Display) -> RulesError {
    RulesError { faults: vec![fault(path, line, reason)] }
}

/// One line, whatever the reason quotes.
fn fault(path: &Path, line: Option<usize>, reason: impl fmt::Display) -> String {
    let place = line.map(|line| format!(":{line}")).unwrap_or_default();
    let reason = terminal::shown(reason.to_string().as_bytes());
    format!("{}{place}: {reason}", terminal::path(path))
}
