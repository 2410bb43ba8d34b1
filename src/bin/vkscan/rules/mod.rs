//! From what is asked for to rules, and from these to a pipeline.
//!
//! | file | story |
//! |---|---|
//! | `format.rs` | which format a file of rules is in |
//! | `lines.rs` | one regular expression a line |
//! | `gitleaks.rs` | TOML, as gitleaks has it |
//! | `go.rs` | regular expressions of Go's, in the `regex` crate's dialect |
//! | `yaml.rs` | YAML, as Nosey Parker and Kingfisher have it |
//! | `filter.rs` | which of a rule's matches are findings |
//! | `allowlist.rs` | what is no finding after all |
//! | `keywords.rs` | words without which a rule finds nothing |
//! | `compiled.rs` | compiled rules, kept from one run to the next |
//! | `check.rs` | `vkscan rules check` |

mod allowlist;
pub mod check;
mod compiled;
pub mod filter;
mod format;
mod gitleaks;
mod go;
pub mod keywords;
mod lines;
mod yaml;

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::WalkBuilder;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use vkscan::{BuildError, MatchKind, PipelineOptions, RulePipeline};

use crate::args::{RulesArgs, RulesFormat};
use crate::{errors, terminal};
pub use filter::{Candidate, Filter, Secret, Source};
use keywords::Keywords;

/// All rules that are asked for. Those with a pattern come first, in order of their pattern ids; behind them those that are
/// about paths alone.
pub struct Rules {
    rules: Vec<Rule>,
    patterns: usize,
    size_limit: usize,
    /// Whether what they are compiled to is kept.
    keeps: bool,
    all_parse: bool,
    own_files: Vec<PathBuf>,
    /// Where they are from, as it is shown.
    from: String,
    keywords: Keywords,
}

pub struct Rule {
    /// None if it is called by its pattern.
    name: Option<String>,
    /// Whether its author has called it so.
    is_named: bool,
    /// None if it is about paths alone.
    pattern: Option<String>,
    origin: Origin,
    pub description: Option<String>,
    pub tags: Vec<String>,
    /// Which of the files it is from, with those that this one extends.
    set: usize,
    /// Whether its pattern has groups.
    pub has_groups: bool,
    pub filter: Filter,
    /// What it has to find, and what not.
    examples: Vec<String>,
    negative_examples: Vec<String>,
}

/// Where a rule stands.
#[derive(Clone)]
struct Origin {
    file: Arc<str>,
    /// Counted from 1; none on the command line.
    line: Option<usize>,
}

impl Rule {
    /// One without anything but a pattern.
    fn new(name: Option<String>, pattern: Option<String>, origin: Origin) -> Rule {
        Rule {
            is_named: name.is_some(),
            name,
            pattern,
            origin,
            description: None,
            tags: Vec::new(),
            set: 0,
            has_groups: false,
            filter: Filter::default(),
            examples: Vec::new(),
            negative_examples: Vec::new(),
        }
    }

    fn name(&self) -> &str {
        self.name.as_deref().or(self.pattern.as_deref()).unwrap_or_default()
    }
}

/// What is wrong with rules, and where: one line for each fault.
#[derive(Debug, thiserror::Error)]
#[error("{}", faults.join("\n"))]
pub struct RulesError {
    faults: Vec<String>,
}

/// A file of rules that was read.
struct Text<'p> {
    path: &'p Path,
    text: String,
    /// Where its lines end.
    line_feeds: Vec<usize>,
}

impl Rules {
    pub fn read(args: &RulesArgs) -> Result<Rules, RulesError> {
        let mut rules = Vec::new();
        let mut own_files = Vec::new();
        for (set, path) in files(&args.rules)?.iter().enumerate() {
            let (format, read) = read_file(path, args)?;
            // As for gitleaks; its rules have examples of what they find.
            if format == RulesFormat::Toml {
                own_files.push(path.clone());
            }
            rules.extend(read.into_iter().map(|rule| Rule { set, ..rule }));
        }
        for pattern in &args.regexps {
            let origin = Origin { file: "-e".into(), line: None };
            rules.push(Rule::new(None, Some(pattern.clone()), origin));
        }
        if rules.is_empty() {
            let reason =
                "there are no rules: give files with --rules, or regular expressions with -e";
            return Err(RulesError { faults: vec![reason.to_owned()] });
        }
        // A stable sort.
        rules.sort_by_key(|rule| rule.pattern.is_none());
        let mut all_parse = true;
        for rule in &mut rules {
            let Some(pattern) = &rule.pattern else { continue };
            match parse(pattern) {
                Ok(hir) => rule.has_groups = hir.properties().explicit_captures_len() > 0,
                // Compiling tells what is wrong with it.
                Err(_) => all_parse = false,
            }
        }
        resolve_required(&mut rules);
        let keywords = Keywords::new(rules.iter_mut().map(|rule| &mut rule.filter));
        Ok(Rules {
            patterns: rules.iter().filter(|rule| rule.pattern.is_some()).count(),
            rules,
            size_limit: args.size_limit,
            keeps: !args.no_cache,
            all_parse,
            own_files,
            from: described(args),
            keywords,
        })
    }

    pub fn compile(&self, match_kind: MatchKind) -> Result<RulePipeline, RulesError> {
        let patterns: Vec<&str> = self.patterns().collect();
        let options = PipelineOptions::default().match_kind(match_kind).size_limit(self.size_limit);
        let message = match patterns.len() {
            1 => "compiling 1 rule".to_owned(),
            count => format!("compiling {count} rules"),
        };
        let compiled = terminal::working(message, || match self.keeps {
            true => compiled::compile(&patterns, &options),
            false => RulePipeline::compile(&patterns, options),
        });
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
        let Some(rule) = rule else { return errors::build(error) };
        let reason = match &rule.name {
            Some(name) => format!("rule {} {}", shown(name), errors::build(error)),
            // The error shows as much of the pattern as it takes.
            None => format!("the rule {}", errors::build(error)),
        };
        fault(&rule.origin.file, rule.origin.line, reason)
    }

    /// Whether a rule tells more of its matches than where they are.
    pub fn has_secrets(&self) -> bool {
        self.rules.iter().any(|rule| rule.has_groups && rule.filter.secret != Secret::Match)
    }

    /// Files that are about scans, and not to be scanned.
    pub fn own_files(&self) -> &[PathBuf] {
        &self.own_files
    }

    /// Whether all patterns are regular expressions.
    pub fn all_parse(&self) -> bool {
        self.all_parse
    }

    /// The texts of all rules that have one.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| rule.pattern.as_deref())
    }

    /// All rules, in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Rule)> {
        (0..).zip(&self.rules)
    }

    /// Whether none of them looks for anything in what comes from there.
    pub fn leave_out(&self, source: Source) -> bool {
        self.rules.iter().all(|rule| rule.filter.leaves_out(source))
    }

    /// Those about paths alone.
    pub fn of_paths(&self) -> impl Iterator<Item = (u32, &Rule)> {
        self.iter().skip(self.patterns)
    }

    pub fn get(&self, id: u32) -> &Rule {
        &self.rules[id as usize]
    }

    /// Where they are from, as it is shown to people.
    pub fn from(&self) -> &str {
        &self.from
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn keywords(&self) -> &Keywords {
        &self.keywords
    }

    /// The name of a rule.
    pub fn name(&self, id: u32) -> &str {
        self.get(id).name()
    }

    /// The same as it is shown to people.
    pub fn shown_name(&self, id: u32) -> String {
        shown(self.name(id))
    }
}

/// Has rules that require others know which these are.
fn resolve_required(rules: &mut [Rule]) {
    let names: Vec<(String, usize)> =
        rules.iter().map(|rule| (rule.name().to_owned(), rule.set)).collect();
    for rule in rules {
        for required in &mut rule.filter.required {
            let is_it = |(name, set): &(String, usize)| *name == required.name && *set == rule.set;
            let index = names.iter().position(is_it).expect("whoever read the file has seen it");
            required.rule = u32::try_from(index).expect("rules have 32-bit ids");
        }
    }
}

fn described(args: &RulesArgs) -> String {
    let mut from: Vec<String> = args.rules.iter().map(|path| terminal::path(path)).collect();
    if !args.regexps.is_empty() {
        from.push("-e".to_owned());
    }
    from.join(", ")
}

/// All files that are named, and those in folders, by path.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, RulesError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        let mut walk = WalkBuilder::new(path);
        walk.standard_filters(false).hidden(true).follow_links(true);
        for entry in walk.sort_by_file_path(Path::cmp).build() {
            let entry = entry.map_err(|reason| error(path, None, reason))?;
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            // They name the rules of the file beside them.
            if is_file && entry.path().extension().is_none_or(|of| of != "ids") {
                files.push(entry.into_path());
            }
        }
        if files.len() == before {
            return Err(error(path, None, "there is no file in this folder"));
        }
    }
    Ok(files)
}

fn read_file(path: &Path, args: &RulesArgs) -> Result<(RulesFormat, Vec<Rule>), RulesError> {
    let file = Text::read(path)?;
    let format = args.rules_format.map_or_else(|| format::of(path, &file.text), Ok);
    let format = match format {
        Ok(format) => format,
        Err(other) => {
            let reason = format!(
                "this looks like {other}, which is not read: give one regular expression a line, TOML with [[rules]] of `id` and \
                 `regex`, or YAML with `rules` of `id` and `pattern`; --rules-format lines takes it for lines all the same"
            );
            return Err(error(path, None, reason));
        }
    };
    let rules = match format {
        RulesFormat::Lines => lines::rules(&file)?,
        RulesFormat::Toml => gitleaks::rules(&file, args.default_rules.as_deref())?,
        RulesFormat::Yaml => yaml::rules(&file, args.confidence)?,
    };
    match rules.is_empty() {
        true => Err(error(path, None, "there is no rule in it")),
        false => Ok((format, rules)),
    }
}

/// The syntax tree of a pattern, about bytes or, where it has to be, about code points, as pipelines take it.
fn parse(pattern: &str) -> Result<Hir, Box<regex_syntax::Error>> {
    let parse = |unicode| {
        let parser = ParserBuilder::new().utf8(false).unicode(unicode).build().parse(pattern);
        parser.map_err(Box::new)
    };
    parse(false).or_else(|_| parse(true))
}

impl Text<'_> {
    fn read(path: &Path) -> Result<Text<'_>, RulesError> {
        let text = read_text(path)?;
        let line_feeds = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        Ok(Text { path, text, line_feeds })
    }

    /// Where a rule stands.
    fn origin(&self, line: usize) -> Origin {
        Origin { file: terminal::path(self.path).into(), line: Some(line) }
    }

    /// The line, counted from 1, of a byte.
    fn line_at(&self, offset: usize) -> usize {
        self.line_feeds.partition_point(|&feed| feed < offset) + 1
    }

    fn error(&self, line: Option<usize>, reason: impl fmt::Display) -> RulesError {
        error(self.path, line, reason)
    }
}

fn shown(name: &str) -> String {
    terminal::cut(name.as_bytes(), terminal::TEXT_CHARS)
}

/// The name of a rule that goes by a blank one.
fn name_by_index(index: usize) -> String {
    format!("#{index}")
}

/// The text of a file, or of standard input, without a byte order mark.
fn read_text(path: &Path) -> Result<String, RulesError> {
    let bytes = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
        false => fs::read(path),
    };
    let bytes = bytes.map_err(|reason| error(path, None, reason))?;
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
    RulesError { faults: vec![fault(&terminal::path(path), line, reason)] }
}

/// One line, whatever the reason quotes.
fn fault(file: &str, line: Option<usize>, reason: impl fmt::Display) -> String {
    let place = line.map(|line| format!(":{line}")).unwrap_or_default();
    let reason = terminal::shown(reason.to_string().trim().as_bytes());
    format!("{file}{place}: {reason}")
}
