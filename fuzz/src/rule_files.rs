//! Files of rules, in whatever format, read by the command: it says how rules are looked for, or what is wrong, and never
//! panics.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use vkscan::RulePipeline;

use super::generate;
use super::source::Source;

/// Says whether there were rules. `command` is vkscan's own.
pub fn run(bytes: &[u8], command: &OsStr) -> usize {
    let source = &mut Source::new(bytes);
    let patterns = source.list(0..=4, generate::pattern);
    let (extension, mut file) = file(source, &patterns);
    damage(source, &mut file);
    check(command, extension, &file)
}

pub fn check(command: &OsStr, extension: &str, file: &[u8]) -> usize {
    let path = std::env::temp_dir().join(format!("vkscan-fuzz-{}.{extension}", std::process::id()));
    fs::write(&path, file).unwrap();
    let output = Command::new(command)
        .args(["explain", "--no-cache", "--rules"])
        .arg(&path)
        .output()
        .unwrap();
    fs::remove_file(&path).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let what = format!("{extension} \"{}\": {}, {said}", file.escape_ascii(), output.status);
    assert!(!said.contains("panicked"), "{what}");
    match output.status.code() {
        Some(0) => {
            // What is plain lines in whatever reading has to compile as such.
            let text = String::from_utf8_lossy(file);
            let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
            let has_fields = ["toml", "yml"].contains(&extension);
            let is_compiled = has_fields || RulePipeline::new(&lines).is_ok();
            assert!(
                is_compiled || file.starts_with(b"\xEF\xBB\xBF") || file.contains(&b'\r'),
                "{what}"
            );
            1
        }
        Some(2) => {
            assert!(!said.trim().is_empty(), "{what}");
            0
        }
        _ => panic!("{what}"),
    }
}

fn file(source: &mut Source, patterns: &[String]) -> (&'static str, Vec<u8>) {
    let end = source.one_of(&["\n", "\n", "\r\n", "\r"]);
    let quoted = |pattern: &String| format!("{pattern:?}");
    let rules = patterns.iter().enumerate();
    match source.within(0..=7) {
        0..3 => ("regex", patterns.join(end).into_bytes()),
        3 | 4 => {
            let rule = |(id, pattern): (usize, &String)| {
                format!("[[rules]]{end}id = \"rule-{id}\"{end}regex = '''{pattern}'''{end}")
            };
            ("toml", rules.map(rule).collect::<String>().into_bytes())
        }
        5 => {
            let rule = |(id, pattern): (usize, &String)| {
                format!("  - id: rule-{id}{end}    pattern: {}{end}", quoted(pattern))
            };
            ("yml", format!("rules:{end}{}", rules.map(rule).collect::<String>()).into_bytes())
        }
        6 => {
            let rule = |(id, pattern): (usize, &String)| format!("{id}:/{pattern}/s{end}");
            ("txt", rules.map(rule).collect::<String>().into_bytes())
        }
        _ => {
            let patterns: Vec<String> = patterns.iter().map(quoted).collect();
            ("json", format!("{{\"rules\": [{}]}}", patterns.join(",")).into_bytes())
        }
    }
}

fn damage(source: &mut Source, file: &mut Vec<u8>) {
    match source.within(0..=9) {
        0 => {
            file.splice(0..0, *b"\xEF\xBB\xBF");
        }
        1 => {
            let text = String::from_utf8_lossy(file).into_owned();
            *file = [0xFF, 0xFE]
                .into_iter()
                .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
                .collect();
        }
        2 => file.truncate(source.within(0..=file.len())),
        3 | 4 => {
            for _ in 0..source.within(1..=4) {
                let at = source.within(0..=file.len());
                let byte = source.byte();
                file.insert(at, byte);
            }
        }
        _ => {}
    }
}
