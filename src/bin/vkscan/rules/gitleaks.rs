//! Rules in gitleaks' form: <https://github.com/gitleaks/gitleaks#configuration>. Keys count in upper and lower case, as they do
//! there. What is read is honoured, and a key that is not read is an error.

use std::collections::HashSet;
use std::env;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::allowlist::{Allowlist, Target, any_of};
use super::filter::{EntropyOf, LeastEntropy, Precedence, Required, Secret};
use super::{Rule, RulesError, Text, go, name_by_index, parse, shown};
use crate::terminal;

/// Where the rules are that `useDefault` is for, beside what is said on the command line.
const DEFAULT_RULES: &str = "VKSCAN_GITLEAKS_RULES";

/// What a file says. Fields that are not read say nothing about what is found.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
#[expect(dead_code, reason = "what describes a file is taken note of, or it would be an error")]
struct File {
    title: Option<String>,
    description: Option<String>,
    /// Of gitleaks, which this is not.
    minversion: Option<String>,
    extend: Option<Spanned<Extend>>,
    #[serde(default)]
    rules: Vec<Spanned<FileRule>>,
    /// The older form of one.
    allowlist: Option<Spanned<FileAllowlist>>,
    #[serde(default)]
    allowlists: Vec<Spanned<FileAllowlist>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
struct Extend {
    path: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    usedefault: bool,
    #[serde(default)]
    disabledrules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
struct FileRule {
    id: Option<Spanned<toml::Value>>,
    description: Option<String>,
    regex: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    secretgroup: Option<Spanned<usize>>,
    entropy: Option<Spanned<f64>>,
    #[serde(default)]
    keywords: Vec<Spanned<String>>,
    #[serde(default)]
    tags: Vec<String>,
    allowlist: Option<Spanned<FileAllowlist>>,
    #[serde(default)]
    allowlists: Vec<Spanned<FileAllowlist>>,
    #[serde(default)]
    required: Vec<Spanned<FileRequired>>,
    #[serde(default)]
    skipreport: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
#[expect(dead_code, reason = "what describes a list is taken note of, or it would be an error")]
struct FileAllowlist {
    /// Of a file's lists alone: the rules that it is for, if not for all.
    #[serde(default)]
    targetrules: Vec<Spanned<String>>,
    description: Option<String>,
    condition: Option<Spanned<String>>,
    #[serde(default)]
    commits: Vec<String>,
    #[serde(default)]
    paths: Vec<Spanned<String>>,
    regextarget: Option<Spanned<String>>,
    #[serde(default)]
    regexes: Vec<Spanned<String>>,
    #[serde(default)]
    stopwords: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
struct FileRequired {
    id: Spanned<String>,
    withinlines: Option<u64>,
    withincolumns: Option<u64>,
}

/// Rules, with what is for all of them apart: files that extend these have more of both.
struct Config {
    rules: Vec<Rule>,
    allowlists: Vec<Arc<Allowlist>>,
}

/// The rules of a file, and of those that it extends.
pub fn rules(file: &Text, default_rules: Option<&Path>) -> Result<Vec<Rule>, RulesError> {
    let Config { mut rules, allowlists } =
        Reader { default_rules, extended: Vec::new() }.config(file)?;
    for rule in &mut rules {
        rule.filter.allowlists.splice(..0, allowlists.iter().cloned());
        let name = rule.name.as_deref().map_or("without an id".to_owned(), shown);
        let error = |reason: String| file.error(rule.origin.line, format!("rule {name} {reason}"));
        if let (Secret::Group(group), Some(pattern)) = (rule.filter.secret, &rule.pattern)
            && let Ok(hir) = parse(pattern)
        {
            let groups = hir.properties().explicit_captures_len();
            if group > groups {
                return Err(error(format!(
                    "has secretGroup = {group}, and a regex of {groups} groups"
                )));
            }
        }
        if rule.pattern.is_none() && !rule.filter.keywords.is_empty() {
            return Err(error("is about paths alone, and has keywords".to_owned()));
        }
        if rule.pattern.is_none() && rule.filter.path.is_none() {
            return Err(error("has neither a regex nor a path".to_owned()));
        }
    }
    Ok(rules)
}

struct Reader<'d> {
    default_rules: Option<&'d Path>,
    /// Files that are being extended.
    extended: Vec<PathBuf>,
}

impl Reader<'_> {
    fn config(&mut self, file: &Text) -> Result<Config, RulesError> {
        let parsed: File = from_toml(file)?;
        let mut rules = Vec::new();
        for rule in parsed.rules {
            rules.push(read_rule(file, rule, rules.len())?);
        }
        for (index, rule) in rules.iter().enumerate() {
            let is_same = |other: &Rule| rule.name.is_some() && other.name == rule.name;
            if rules[..index].iter().any(is_same) {
                let reason = format!("there is a rule {} before it", shown(rule.name()));
                return Err(file.error(rule.origin.line, reason));
            }
        }
        let mut config = Config { rules, allowlists: Vec::new() };
        let mut targeted = Vec::new();
        let old = parsed.allowlist.into_iter();
        for list in old.chain(parsed.allowlists) {
            let line = file.line_at(list.span().start);
            let mut list = list.into_inner();
            let target_rules = mem::take(&mut list.targetrules);
            let list = Arc::new(read_allowlist(file, line, list)?);
            match target_rules.is_empty() {
                true => config.allowlists.push(list),
                false => targeted.extend(target_rules.into_iter().map(|rule| (rule, list.clone()))),
            }
        }
        if let Some(extend) = parsed.extend {
            self.extend(file, &mut config, extend)?;
        }
        for (target, list) in targeted {
            let line = file.line_at(target.span().start);
            let name = target.into_inner();
            let rule = config.rules.iter_mut().find(|rule| rule.name() == name);
            let unknown = || {
                file.error(Some(line), format!("there is no rule {} for this list", shown(&name)))
            };
            rule.ok_or_else(unknown)?.filter.allowlists.push(list);
        }
        let names: Vec<String> = config.rules.iter().map(|rule| rule.name().to_owned()).collect();
        for rule in &config.rules {
            if let Some(other) =
                rule.filter.required.iter().find(|other| !names.contains(&other.name))
            {
                let reason = format!(
                    "rule {} requires a rule {} that is not there",
                    shown(rule.name()),
                    shown(&other.name)
                );
                return Err(file.error(rule.origin.line, reason));
            }
        }
        Ok(config)
    }

    /// Adds what a file extends: its own values come before those that it extends.
    fn extend(
        &mut self,
        file: &Text,
        config: &mut Config,
        extend: Spanned<Extend>,
    ) -> Result<(), RulesError> {
        let line = file.line_at(extend.span().start);
        let error = |reason: String| file.error(Some(line), reason);
        let Extend { path, url, usedefault, disabledrules } = extend.into_inner();
        if url.is_some() {
            return Err(error(
                "extend.url is not read: save the file, and name it by extend.path".to_owned(),
            ));
        }
        let path = match (path, usedefault) {
            (Some(_), true) => {
                return Err(error("extend has path and useDefault: give one of them".to_owned()));
            }
            (Some(path), false) => beside(file, path),
            (None, true) => self.default_path().map_err(error)?,
            (None, false) if disabledrules.is_empty() => return Ok(()),
            (None, false) => {
                return Err(error(
                    "extend.disabledRules has no rules to leave out: give path or useDefault"
                        .to_owned(),
                ));
            }
        };
        let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
        if self.extended.contains(&whole) {
            return Err(error(format!("{} extends itself", terminal::path(&path))));
        }
        self.extended.push(whole);
        let base = self.config(&Text::read(&path)?)?;
        self.extended.pop();
        for id in &disabledrules {
            if !base.rules.iter().any(|rule| rule.name() == id) {
                tracing::warn!(
                    "{}: there is no rule {} in {} to be left out",
                    terminal::path(file.path),
                    shown(id),
                    terminal::path(&path)
                );
            }
        }
        for rule in base.rules {
            if disabledrules.iter().any(|id| id == rule.name()) {
                continue;
            }
            let is_same = |own: &&mut Rule| own.is_named && rule.is_named && own.name == rule.name;
            match config.rules.iter_mut().find(is_same) {
                Some(own) => merge(own, rule),
                None => config.rules.push(rule),
            }
        }
        config.allowlists.extend(base.allowlists);
        Ok(())
    }

    /// Where the rules are that gitleaks comes with.
    fn default_path(&self) -> Result<PathBuf, String> {
        let named = self.default_rules.map(Path::to_owned);
        let named = named.or_else(|| env::var_os(DEFAULT_RULES).map(PathBuf::from));
        let kept = dirs::config_dir().map(|folder| folder.join("vkscan").join("gitleaks.toml"));
        named.or_else(|| kept.clone().filter(|path| path.is_file())).ok_or_else(|| {
            let kept = kept.map_or_else(String::new, |path| format!(", or save it as {}", terminal::path(&path)));
            format!(
                "extend.useDefault takes the rules that gitleaks comes with: name the file, which is config/gitleaks.toml of \
                 https://github.com/gitleaks/gitleaks, with --default-rules or by {DEFAULT_RULES}{kept}"
            )
        })
    }
}

/// A file that another names: from where the command runs, as for gitleaks, or else from beside the other one.
fn beside(file: &Text, path: PathBuf) -> PathBuf {
    let other = file.path.parent().map(|folder| folder.join(&path));
    other.filter(|other| !path.exists() && other.exists()).unwrap_or(path)
}

/// Completes a rule by the one that it extends.
fn merge(own: &mut Rule, mut base: Rule) {
    let filter = &mut base.filter;
    let mut of_own = mem::take(&mut own.filter);
    filter.keywords.append(&mut of_own.keywords);
    filter.allowlists.append(&mut of_own.allowlists);
    filter.required.append(&mut of_own.required);
    filter.path = of_own.path.or(filter.path.take());
    filter.entropy = of_own.entropy.or(filter.entropy);
    if of_own.secret != Secret::FirstGroup {
        filter.secret = of_own.secret;
    }
    filter.is_hidden |= of_own.is_hidden;
    base.tags.append(&mut own.tags);
    base.description = own.description.take().or(base.description);
    if own.pattern.is_some() {
        base.pattern = own.pattern.take();
        base.origin = own.origin.clone();
    }
    *own = base;
}

fn read_rule(file: &Text, rule: Spanned<FileRule>, index: usize) -> Result<Rule, RulesError> {
    let line = file.line_at(rule.span().start);
    let rule = rule.into_inner();
    let mut is_blank = false;
    let name = match rule.id {
        None => None,
        Some(id) => match id.get_ref() {
            toml::Value::String(id) if id.trim().is_empty() => {
                is_blank = true;
                Some(name_by_index(index))
            }
            toml::Value::String(id) => Some(id.clone()),
            toml::Value::Integer(id) => Some(id.to_string()),
            other => {
                let reason = format!("the id is a {}: put it in quotes", other.type_str());
                return Err(file.error(Some(file.line_at(id.span().start)), reason));
            }
        },
    };
    let line = rule.regex.as_ref().map_or(line, |regex| file.line_at(regex.span().start));
    // An empty one is as good as none.
    let pattern = rule.regex.map(Spanned::into_inner).filter(|regex| !regex.is_empty());
    let pattern = pattern.map(|regex| go::to_rust(&regex));
    let is_generic = name.as_deref().is_some_and(|name| name.to_lowercase().contains("generic"));
    let is_named = name.is_some() && !is_blank;
    let mut read = Rule::new(name, pattern, file.origin(line));
    read.is_named = is_named;
    read.description = rule.description.filter(|text| !text.is_empty());
    read.tags = rule.tags;

    let filter = &mut read.filter;
    filter.heeds_comments = true;
    filter.is_hidden = rule.skipreport;
    filter.precedence = if is_generic { Precedence::Generic } else { Precedence::Specific };
    filter.secret = match rule.secretgroup {
        Some(group) if *group.get_ref() > 0 => Secret::Group(group.into_inner()),
        _ => Secret::FirstGroup,
    };
    filter.entropy = match rule.entropy {
        Some(bits) if !bits.get_ref().is_finite() => {
            return Err(
                file.error(Some(file.line_at(bits.span().start)), "entropy is no number of bits")
            );
        }
        Some(bits) if *bits.get_ref() != 0.0 => {
            Some(LeastEntropy { above: bits.into_inner(), of: EntropyOf::CodePoints })
        }
        _ => None,
    };
    if let Some(path) = rule.path.filter(|path| !path.get_ref().is_empty()) {
        filter.path = Some(regexes(file, "path", &[path])?);
    }
    filter.keywords = words(file, "keyword", rule.keywords)?;
    filter.required = rule
        .required
        .into_iter()
        .map(|required| {
            let FileRequired { id, withinlines, withincolumns } = required.into_inner();
            Required {
                name: id.into_inner(),
                rule: 0,
                within_lines: withinlines,
                within_columns: withincolumns,
            }
        })
        .collect();
    for list in rule.allowlist.into_iter().chain(rule.allowlists) {
        let line = file.line_at(list.span().start);
        filter.allowlists.push(Arc::new(read_allowlist(file, line, list.into_inner())?));
    }
    Ok(read)
}

fn read_allowlist(file: &Text, line: usize, list: FileAllowlist) -> Result<Allowlist, RulesError> {
    if let Some(target) = list.targetrules.first() {
        let line = file.line_at(target.span().start);
        return Err(file.error(
            Some(line),
            "unknown field `targetrules` of a rule's list: it is for lists of the file",
        ));
    }
    let of = |value: &Option<Spanned<String>>| {
        let text = value.as_ref().map_or("", |value| value.get_ref()).to_ascii_lowercase();
        (text, value.as_ref().map_or(line, |value| file.line_at(value.span().start)))
    };
    let (condition, at) = of(&list.condition);
    let all = match &*condition {
        "and" | "&&" => true,
        "" | "or" | "||" => false,
        _ => return Err(file.error(Some(at), "condition is `and` or `or`")),
    };
    let (target, at) = of(&list.regextarget);
    let target = match &*target {
        "" | "secret" => Target::Secret,
        "match" => Target::Match,
        "line" => Target::Line,
        _ => return Err(file.error(Some(at), "regexTarget is `secret`, `match` or `line`")),
    };
    let some = |what, patterns: Vec<Spanned<String>>| match patterns.is_empty() {
        true => Ok(None),
        false => regexes(file, what, &patterns).map(Some),
    };
    let stopwords = words(file, "stopword", list.stopwords)?;
    let stopwords = (!stopwords.is_empty()).then(|| {
        let builder = AhoCorasick::builder().ascii_case_insensitive(true).build(&stopwords);
        builder.expect("they are fewer and shorter than is possible")
    });
    let commits = list.commits.iter().map(|commit| commit.trim().to_ascii_lowercase()).collect();
    let read = Allowlist {
        all,
        commits,
        paths: some("path", list.paths)?,
        regexes: some("regex", list.regexes)?,
        target,
        stopwords,
    };
    if read.commits.is_empty()
        && read.paths.is_none()
        && read.regexes.is_none()
        && read.stopwords.is_none()
    {
        return Err(
            file.error(Some(line), "this allowlist has no commits, paths, regexes or stopwords")
        );
    }
    Ok(read)
}

/// Words that are looked for, none of which is empty.
fn words(file: &Text, what: &str, words: Vec<Spanned<String>>) -> Result<Vec<String>, RulesError> {
    let word = |word: Spanned<String>| match word.get_ref().is_empty() {
        true => {
            Err(file.error(Some(file.line_at(word.span().start)), format!("a {what} is empty")))
        }
        false => Ok(word.into_inner()),
    };
    words.into_iter().map(word).collect()
}

/// One regular expression for several.
fn regexes(
    file: &Text,
    what: &str,
    patterns: &[Spanned<String>],
) -> Result<regex_automata::meta::Regex, RulesError> {
    let rust: Vec<String> = patterns.iter().map(|pattern| go::to_rust(pattern.get_ref())).collect();
    for (pattern, rust) in patterns.iter().zip(&rust) {
        if let Err(error) = parse(rust) {
            let line = file.line_at(pattern.span().start);
            let reason = match *error {
                regex_syntax::Error::Parse(error) => error.kind().to_string(),
                regex_syntax::Error::Translate(error) => error.kind().to_string(),
                error => error.to_string(),
            };
            return Err(file.error(
                Some(line),
                format!("a {what} does not parse: {reason}: {}", shown(pattern.get_ref())),
            ));
        }
    }
    any_of(&rust).map_err(|reason| {
        let line = patterns.first().map(|pattern| file.line_at(pattern.span().start));
        file.error(line, format!("a {what} does not compile: {reason}"))
    })
}

fn from_toml<'t, T: Deserialize<'t>>(file: &'t Text) -> Result<T, RulesError> {
    let malformed = |reason: toml::de::Error| {
        let line = reason.span().map(|span| file.line_at(span.start));
        file.error(line, reason.message())
    };
    let mut table = DeTable::parse(&file.text).map_err(malformed)?;
    lower_keys(file, table.get_mut())?;
    T::deserialize(Deserializer::from(table)).map_err(malformed)
}

/// Has all keys in lower case.
fn lower_keys(file: &Text, table: &mut DeTable) -> Result<(), RulesError> {
    let mut keys = HashSet::new();
    for (mut key, mut value) in mem::take(table) {
        lower_values(file, value.get_mut())?;
        let lower = key.get_ref().to_ascii_lowercase();
        let line = file.line_at(key.span().start);
        if !keys.insert(lower.clone()) {
            return Err(
                file.error(Some(line), format!("there are two of {}", shown(key.get_ref())))
            );
        }
        *key.get_mut() = lower.into();
        table.insert(key, value);
    }
    Ok(())
}

fn lower_values(file: &Text, value: &mut DeValue) -> Result<(), RulesError> {
    match value {
        DeValue::Table(table) => lower_keys(file, table),
        DeValue::Array(array) => {
            array.iter_mut().try_for_each(|value| lower_values(file, value.get_mut()))
        }
        _ => Ok(()),
    }
}
