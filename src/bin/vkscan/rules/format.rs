//! Which format a file of rules is in, by its content as well as by its name: whatever is taken for lines of regular
//! expressions and is none would find nothing, and say so.

use std::path::Path;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde_json::Value;

use crate::args::RulesFormat;

/// Other formats, by the extensions of their files.
const NAMED: [(&str, &str); 10] = [
    ("yaml", "YAML"),
    ("yml", "YAML"),
    ("json", "JSON"),
    ("jsonl", "JSON"),
    ("csv", "CSV"),
    ("tsv", "CSV"),
    ("xml", "XML"),
    ("yar", "YARA"),
    ("yara", "YARA"),
    ("hs", "Hyperscan's `id:/regex/flags`"),
];

/// The format of a file; or which other one it looks like, that is none of rules here.
pub fn of(path: &Path, text: &str) -> Result<RulesFormat, &'static str> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if extension == "toml" || is_toml(text) {
        return Ok(RulesFormat::Toml);
    }
    if is_yaml_rules(text) {
        return Ok(RulesFormat::Yaml);
    }
    let by_name = NAMED.iter().find(|(of, _)| *of == extension).map(|&(_, what)| what);
    by_name.or_else(|| other(text)).map_or(Ok(RulesFormat::Lines), Err)
}

/// Whether there are `[[rules]]`, even if it is no TOML for another reason. It is a regular expression, too, but nobody's.
fn is_toml(text: &str) -> bool {
    let has_rules = |table: toml::Table| {
        let rules = table.get("rules").and_then(toml::Value::as_array);
        rules.is_some_and(|rules| rules.iter().any(toml::Value::is_table))
    };
    matches(r"(?m)^\s*\[\[\s*rules\s*\]\]\s*(?:#.*)?$", text)
        || toml::from_str(text).is_ok_and(has_rules)
}

/// Whether there is a list of `rules`, each with a pattern, even if it is no YAML for another reason. Each of the lines is a
/// regular expression, too, but all of them are nobody's.
fn is_yaml_rules(text: &str) -> bool {
    matches(r"(?m)^rules:\s*(?:#.*)?\n(?:\s*(?:#.*)?\n)*\s*-(?:\s|$)", text)
        && matches(r"(?m)^\s*(?:- +|\s)pattern:(?:\s|$)", text)
}

/// Which other format a text looks like. What an ordinary list of regular expressions may look like does not count:
/// it takes several lines, all or most of them of a form that few expressions have.
fn other(text: &str) -> Option<&'static str> {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let lines: Vec<&str> = text.lines().filter(is_code).collect();
    let first = *lines.first()?;
    let most = |pattern| {
        let regex = regex(pattern);
        2 * lines.iter().filter(|line| regex.is_match(*line)).count() > lines.len()
    };
    let all = |least: usize, pattern| {
        let regex = regex(pattern);
        lines.len() >= least && lines.iter().all(|line| regex.is_match(*line))
    };
    let is_yaml = || {
        // Mappings in a list or a mapping, one of which tells what it is for.
        all(2, r"^(?:\s|- |-$|[A-Za-z_][\w -]*:(?:\s|$)|---|\.\.\.$|%YAML|[\])}])")
            && matches(r"(?m)^(?:\s+|\s*- )[\w-]+:(?:\s|$)", text)
            && matches(
                r"(?m)^\s*(?:- )?(?:id|name|rules?|patterns?|regex(?:p|es)?|re|expression|signatures?):(?:\s|$)",
                text,
            )
            && matches(r"(?m)^\s*(?:- +)?[\w-]+:\s*(?:[|>][+-]?)?\s*$|^\s*- [\w-]+: ", text)
    };
    let is_csv = || {
        // A header that says which column is the expression; or names in front of every line.
        let header = r#"^(?i)(?:FIELD SEP)*"?(?:regex(?:p|es)?|re|patterns?|expression)"?(?:SEP FIELD)*\s*$"#
            .replace(' ', "")
            .replace("FIELD", r#"(?:[\w-]+|"[\w -]+")"#)
            .replace("SEP", r"[,;\t] ?");
        (all(2, r"[,;\t]") && matches(&header, first))
            || all(3, r#"^(?:"(?:[^"]|"")*"|[\w.-]+)[,;\t]"#)
    };
    if is_json(text, &lines) {
        Some("JSON")
    } else if most(r"^\d+:/.*/[A-Za-z0-9]*(?:\{.*\})?\s*$") {
        Some("Hyperscan's `id:/regex/flags`")
    } else if most(r"^(?:alert|log|pass|drop|reject|sdrop)\s+\S+\s.*(?:->|<>).*\(.*;\s*\)\s*$") {
        Some("rules of Snort or Suricata")
    } else if matches(r"^\s*<\?xml\s[^>]*\?>", first) {
        Some("XML")
    } else if matches(r"(?m)^\s*(?:(?:private|global)\s+)*rule\s+\w+", text)
        && matches(r"(?m)^\s*condition\s*:", text)
    {
        Some("YARA")
    } else if is_yaml() || all(2, r"^(?:- |---\s*$)") {
        Some("YAML")
    } else if is_csv() {
        Some("CSV")
    } else if toml::from_str(text).is_ok_and(has_tables) {
        Some("TOML without `[[rules]]`")
    } else {
        None
    }
}

/// A list of strings in one line is a class of characters, too.
fn is_json(text: &str, lines: &[&str]) -> bool {
    let is_object = |line: &&str| serde_json::from_str(line).is_ok_and(|of: Value| of.is_object());
    let is_one = serde_json::from_str(text).is_ok_and(|value: Value| match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(Value::is_object) || lines.len() > 1,
        _ => false,
    });
    // None of these is a regular expression, and JSON that is not quite right begins so.
    is_one || ["{", "[", "[{"].contains(&lines[0].trim()) || lines.iter().all(is_object)
}

/// Whether there is a table in an array of tables, and anything in it.
fn has_tables(table: toml::Table) -> bool {
    let is_filled = |value: &toml::Value| value.as_table().is_some_and(|table| !table.is_empty());
    table.values().filter_map(toml::Value::as_array).any(|array| array.iter().any(is_filled))
}

fn matches(pattern: &str, text: &str) -> bool {
    regex(pattern).is_match(text)
}

/// Of bytes: Unicode's classes take longer to build than the rest of the command.
fn regex(pattern: &str) -> Regex {
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    Regex::builder().syntax(syntax).build(pattern).expect("the pattern is well-formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Result<RulesFormat, &'static str> {
        super::of(Path::new(name), text)
    }

    #[test]
    fn other_formats_are_told_by_content() {
        let toml = "title = 'x'\n[[rules]]\nid = 'x'\nregex = '''a'''\n";
        for text in [
            toml,
            "rules = [{ id = 'x', regex = 'a' }]\n",
            "  [[ rules ]] # all of them\nregex = a\n",
        ] {
            assert_eq!(of("rules.toml.bak", text), Ok(RulesFormat::Toml), "{text}");
        }
        for (what, text) in [
            ("YAML", "rules:\n- name: Sample\n  id: s.1\n  regex: |\n    (?x)\n    a\n"),
            ("YAML", "# c\n---\nrules:\n  - id: x\n    regex: 'a'\n"),
            ("YAML", "- id: x\n  regex: a\n- id: y\n  regex: b\n"),
            ("YAML", "- id: x\n  regex: a\n"),
            ("YAML", "rules:\n  x:\n    regex: a\n"),
            ("YAML", "patterns:\n  - a+\n  - b+\n  - name: x\n"),
            ("YAML", "- a+\n- b+\n"),
            ("JSON", "{\"x\": \"a\"}\n"),
            ("JSON", "[{\"id\":\"x\",\"regex\":\"a\"}]"),
            ("JSON", "[\n  \"a+\",\n  \"b+\"\n]\n"),
            ("JSON", "{\"regex\":\"a\"}\n{\"regex\":\"b\"}\n"),
            ("JSON", "{\n  \"x\": \"a\", // not quite\n}\n"),
            ("CSV", "id,regex\nx,a+\n"),
            ("CSV", "\"name\";\"pattern\";\"flags\"\r\n\"x\";\"a\";\"i\"\r\n"),
            ("CSV", "regex\tname\na\tx\n"),
            ("CSV", "x,a+\ny,b+\nz,\"c{1,2}\"\n"),
            ("Hyperscan", "1:/a+b/\n"),
            ("Hyperscan", "# sigs\n1:/a/is\n2:/b:/c/H{min_offset=3}\n3:/d\n4:/e/\n"),
            ("rules of Snort", "alert tcp any any -> any 80 (msg:\"x\"; pcre:\"/a/i\"; sid:1;)\n"),
            ("YARA", "rule x {\n  strings:\n    $a = /a/\n  condition:\n    $a\n}\n"),
            ("XML", "<?xml version=\"1.0\"?>\n<rules/>\n"),
            ("TOML without", "[[signatures]]\nname = 'x'\nregex = 'a'\n"),
        ] {
            for text in [text.to_owned(), text.replace('\n', "\r\n")] {
                let found = of("63", &text).unwrap_err();
                assert!(found.starts_with(what), "{found} for {text:?}");
            }
        }
        for text in ["rules:\n- id: s.1\n  pattern: a\n", "# c\nrules:\n  - pattern: 'a'\n"] {
            assert_eq!(of("rules", text), Ok(RulesFormat::Yaml), "{text}");
        }
        assert_eq!(of("x.YML", "a\n"), Err("YAML"));
        assert_eq!(of("x.toml", "a\n"), Ok(RulesFormat::Toml));
    }

    /// Each of them and all of them together, and what is like another format in some.
    #[test]
    fn ordinary_lists_are_lines() {
        let patterns = [
            "password: .*",
            "id: \\d+",
            "name: [a-z]+",
            "pattern: x",
            "- [a-z]+",
            "-----BEGIN [A-Z ]*PRIVATE KEY-----",
            "---",
            "[0-9]",
            "[1,2]",
            "[\"abc\"]",
            "[rules]",
            "[[:alpha:]]+",
            "[[a-z]&&[^b]]",
            "key = \"[^\"]+\"",
            "# comment",
            "{{[a-z]+}}",
            "\\{\"id\": ?\"[^\"]+\"\\}",
            "foo,bar",
            "a{1,2},b",
            "\"name\",\"[^\"]+\"",
            "/etc/passwd",
            "/api/v1/",
            "80:/foo",
            "https?://[^/]+/",
            "<?xml",
            "<script[^>]*>",
            "rule [0-9]+",
            "alert tcp",
            " leading",
            "\\s+rules:",
            "(?x) a # b",
            "null",
            "true",
            "1",
            "\"quoted\"",
            "a = 1",
            "a.b = 'c'",
            "regex",
            "regex, or pattern",
            "regex,or",
            "rules:",
        ];
        for pattern in patterns {
            for text in [pattern.to_owned(), format!("{pattern}\n")] {
                assert_eq!(of("rules.regex", &text), Ok(RulesFormat::Lines), "{pattern}");
            }
            for other in patterns {
                let text = format!("{pattern}\n\n{other}\n[a-z]+\n");
                assert_eq!(of("rules", &text), Ok(RulesFormat::Lines), "{text}");
            }
        }
        assert_eq!(of("rules", &patterns.join("\n")), Ok(RulesFormat::Lines));
        assert_eq!(of("rules", ""), Ok(RulesFormat::Lines));
    }
}
