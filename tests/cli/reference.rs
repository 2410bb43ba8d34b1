//! What gitleaks' rule files say, worked out once more, and slowly: by the `regex` crate, one file and one rule at a time.

use std::collections::BTreeMap;

use regex::bytes::{Regex, RegexBuilder};
use toml::{Table, Value};

/// A finding, as far as it says what and where: rule, start, end and secret.
pub type Found = (String, u64, u64, Vec<u8>);

fn texts<'t>(table: &'t Table, key: &str) -> Vec<&'t str> {
    let list = table.get(key).and_then(Value::as_array).into_iter().flatten();
    list.map(|value| value.as_str().expect("it is a text")).collect()
}

fn text<'t>(table: &'t Table, key: &str) -> &'t str {
    table.get(key).and_then(Value::as_str).unwrap_or("")
}

fn tables<'t>(table: &'t Table, key: &str) -> Vec<&'t Table> {
    match table.get(key) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_table).collect(),
        Some(Value::Table(one)) => vec![one],
        _ => Vec::new(),
    }
}

/// Braces that repeat nothing are themselves in Go.
fn regex(pattern: &str) -> Regex {
    let repetition = regex::Regex::new(r"^\{[0-9]+(,[0-9]*)?\}").unwrap();
    let mut rust = String::new();
    let mut is_escaped = false;
    for (at, char) in pattern.char_indices() {
        if char == '{' && !is_escaped && !repetition.is_match(&pattern[at..]) {
            rust.push('\\');
        }
        rust.push(char);
        is_escaped = char == '\\' && !is_escaped;
    }
    RegexBuilder::new(&rust).unicode(false).size_limit(100 << 20).build().unwrap()
}

struct List {
    all: bool,
    paths: Vec<Regex>,
    regexes: Vec<Regex>,
    target: String,
    stopwords: Vec<String>,
    has_commits: bool,
}

impl List {
    fn new(table: &Table) -> List {
        List {
            all: ["and", "&&"].contains(&&*text(table, "condition").to_lowercase()),
            paths: texts(table, "paths").into_iter().map(regex).collect(),
            regexes: texts(table, "regexes").into_iter().map(regex).collect(),
            target: text(table, "regexTarget").to_owned(),
            stopwords: texts(table, "stopwords").iter().map(|word| word.to_lowercase()).collect(),
            has_commits: table.contains_key("commits"),
        }
    }

    fn allows(&self, path: &str, line: &[u8], whole: &[u8], secret: &[u8]) -> bool {
        let target = match &*self.target {
            "line" => line,
            "match" => whole,
            _ => secret,
        };
        let lower = String::from_utf8_lossy(secret).to_lowercase();
        let mut checks = Vec::new();
        if self.has_commits {
            checks.push(false);
        }
        if !self.paths.is_empty() {
            checks.push(self.paths.iter().any(|regex| regex.is_match(path.as_bytes())));
        }
        if !self.regexes.is_empty() {
            checks.push(self.regexes.iter().any(|regex| regex.is_match(target)));
        }
        if !self.stopwords.is_empty() {
            checks.push(self.stopwords.iter().any(|word| lower.contains(&**word)));
        }
        if self.all { checks.iter().all(|&check| check) } else { checks.contains(&true) }
    }
}

fn entropy(text: &[u8]) -> f64 {
    let mut counts = BTreeMap::<char, f64>::new();
    String::from_utf8_lossy(text).chars().for_each(|char| *counts.entry(char).or_default() += 1.0);
    let len = text.len() as f64;
    counts.values().map(|count| -(count / len) * (count / len).log2()).sum()
}

/// A rule of a file.
struct Rule {
    id: String,
    regex: Option<Regex>,
    path: Option<Regex>,
    group: usize,
    entropy: f64,
    keywords: Vec<String>,
    lists: Vec<List>,
}

/// All rules of a file, which extends no other.
pub struct Rules {
    rules: Vec<Rule>,
    global: Vec<List>,
}

impl Rules {
    pub fn new(file: &str) -> Rules {
        let file: Table = toml::from_str(file).unwrap();
        let rules = tables(&file, "rules").into_iter().map(|table| Rule {
            id: text(table, "id").to_owned(),
            regex: table.get("regex").map(|pattern| regex(pattern.as_str().unwrap())),
            path: table.get("path").map(|pattern| regex(pattern.as_str().unwrap())),
            group: table.get("secretGroup").map_or(0, |group| group.as_integer().unwrap() as usize),
            entropy: table.get("entropy").map_or(0.0, |bits| {
                bits.as_float().unwrap_or_else(|| bits.as_integer().unwrap() as f64)
            }),
            keywords: texts(table, "keywords").iter().map(|word| word.to_lowercase()).collect(),
            lists: tables(table, "allowlists").into_iter().map(List::new).collect(),
        });
        let global = [tables(&file, "allowlist"), tables(&file, "allowlists")].concat();
        Rules { rules: rules.collect(), global: global.into_iter().map(List::new).collect() }
    }

    /// What is found in a file, sorted.
    pub fn find(&self, path: &str, bytes: &[u8]) -> Vec<Found> {
        let lower = String::from_utf8_lossy(bytes).to_lowercase();
        let mut found: Vec<(Found, usize)> = Vec::new();
        for rule in &self.rules {
            let is_elsewhere =
                rule.path.as_ref().is_some_and(|regex| !regex.is_match(path.as_bytes()));
            let has_keyword = rule.keywords.is_empty()
                || rule.keywords.iter().any(|word| lower.contains(&**word));
            let lists = || self.global.iter().chain(&rule.lists);
            if is_elsewhere || !has_keyword {
                continue;
            }
            let Some(regex) = &rule.regex else {
                if !lists().any(|list| list.allows(path, b"", b"", b"")) {
                    found.push(((rule.id.clone(), 0, 0, Vec::new()), 0));
                }
                continue;
            };
            for groups in regex.captures_iter(bytes) {
                let whole = groups.get(0).unwrap();
                if whole.is_empty() {
                    continue;
                }
                let first = || {
                    let mut some =
                        groups.iter().skip(1).flatten().filter(|group| !group.is_empty());
                    some.next().map_or(whole.as_bytes(), |group| group.as_bytes())
                };
                let secret = match rule.group {
                    0 => first(),
                    group => groups.get(group).map_or(&[][..], |group| group.as_bytes()),
                };
                let line_start =
                    bytes[..whole.start()].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
                let line_end = bytes[whole.end()..].iter().position(|&b| b == b'\n');
                let line_end = line_end.map_or(bytes.len(), |at| whole.end() + at);
                let line = &bytes[line_start..line_end];
                let is_marked = String::from_utf8_lossy(line).contains("gitleaks:allow");
                let too_plain = rule.entropy != 0.0 && entropy(secret) <= rule.entropy;
                let is_allowed =
                    lists().any(|list| list.allows(path, line, whole.as_bytes(), secret));
                if !is_marked && !too_plain && !is_allowed {
                    let number = bytes[..whole.start()].iter().filter(|&&b| b == b'\n').count();
                    let place = (whole.start() as u64, whole.end() as u64);
                    found.push(((rule.id.clone(), place.0, place.1, secret.to_vec()), number));
                }
            }
        }
        // A generic rule yields to another that finds the same in the same line.
        let is_generic = |found: &Found| found.0.to_lowercase().contains("generic");
        let yields = |(one, line): &(Found, usize)| {
            is_generic(one)
                && found.iter().any(|(other, other_line)| {
                    let (part, whole) = (&*one.3, &*other.3);
                    let has =
                        part.is_empty() || whole.windows(part.len()).any(|window| window == part);
                    line == other_line && !is_generic(other) && other.0 != one.0 && has
                })
        };
        let mut left: Vec<Found> =
            found.iter().filter(|found| !yields(found)).map(|(found, _)| found.clone()).collect();
        left.sort();
        left
    }
}
