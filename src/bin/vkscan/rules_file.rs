//! From a file of rules to a pipeline.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use vkscan::{BuildError, PipelineOptions, RulePipeline};

/// The rules of one file, in order of their pattern ids.
pub struct RulesFile {
    path: PathBuf,
    rules: Vec<Rule>,
}

struct Rule {
    name: String,
    pattern: String,
    /// The line it stands on, counted from 1.
    line: usize,
}

/// What is wrong with a rules file, and where.
#[derive(Debug, thiserror::Error)]
pub struct RulesError {
    path: PathBuf,
    line: Option<usize>,
    reason: String,
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.reason)
    }
}

/// Fields of gitleaks' form that say nothing about what matches, at any level.
const METADATA: [&str; 4] = ["title", "description", "tags", "minVersion"];

impl RulesFile {
    /// Reads TOML from a file with that extension, and one regular expression a line from any other.
    pub fn read(path: &Path) -> Result<RulesFile, RulesError> {
        let text = read_text(path)?;
        let is_toml =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        let rules = if is_toml { toml_rules(path, &text)? } else { line_rules(path, &text)? };
        if rules.is_empty() {
            return Err(error(path, None, "there is no regular expression in it"));
        }
        Ok(RulesFile { path: path.to_owned(), rules })
    }

    pub fn compile(&self, options: PipelineOptions) -> Result<RulePipeline, RulesError> {
        let patterns: Vec<&str> = self.rules.iter().map(|rule| rule.pattern.as_str()).collect();
        RulePipeline::with_options(&patterns, options).map_err(|reason| {
            let rule = match reason {
                BuildError::Syntax { index, .. } | BuildError::TooLarge { index, .. } => {
                    self.rules.get(index)
                }
                _ => None,
            };
            error(&self.path, rule.map(|rule| rule.line), reason)
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// The name of a pattern's rule.
    pub fn name(&self, pattern_id: u32) -> &str {
        &self.rules[pattern_id as usize].name
    }
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
    let mut names = ids.as_deref().unwrap_or_default().lines();
    if ids.is_some() && names.clone().count() != text.lines().count() {
        let [names, lines] = [names.count(), text.lines().count()];
        let reason = format!("{names} lines cannot name the {lines} lines of {}", path.display());
        return Err(error(&ids_path, None, reason));
    }
    let rules = text.lines().enumerate().filter_map(|(index, pattern)| {
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or(pattern);
        let rule = Rule { name: name.to_owned(), pattern: pattern.to_owned(), line: index + 1 };
        (!pattern.is_empty()).then_some(rule)
    });
    Ok(rules.collect())
}

#[derive(Deserialize)]
struct TomlFile {
    #[serde(default)]
    rules: Vec<Spanned<TomlRule>>,
}

#[derive(Deserialize)]
struct TomlRule {
    id: Option<String>,
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
        if let Some(regex) = regex {
            let line = line_at(regex.span().start);
            let pattern = regex.into_inner();
            rules.push(Rule { name: id.unwrap_or_else(|| pattern.clone()), pattern, line });
        } else {
            let name = id.as_deref().unwrap_or("without an id");
            tracing::warn!("{}:{line}: rule {name} has no regex and is skipped", path.display());
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
        tracing::warn!("{}: not honoured: {}", path.display(), fields.join(", "));
    }
}

fn read_text(path: &Path) -> Result<String, RulesError> {
    let bytes = fs::read(path).map_err(|reason: io::Error| error(path, None, reason))?;
    String::from_utf8(bytes).map_err(|reason| {
        let before = &reason.as_bytes()[..reason.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        error(path, Some(line), "the line is not UTF-8; write other bytes as \\xNN under (?-u)")
    })
}

fn error(path: &Path, line: Option<usize>, reason: impl ToString) -> RulesError {
    RulesError { path: path.to_owned(), line, reason: reason.to_string() }
}
