//! How a match is printed.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use indicatif::ProgressBar;
use serde::Serialize;
use vkscan::StreamMatch;

use crate::args::Format;
use crate::rules_file::RulesFile;

/// Characters of a match's text that are printed.
const TEXT_CHARS: usize = 200;

/// Prints matches to standard output, those of a window in the order of their offsets.
pub struct Output<'a> {
    format: Format,
    rules: &'a RulesFile,
    /// The progress bar on the same terminal makes room for what is printed.
    bar: ProgressBar,
    /// Matches found but not yet printed, with their lines.
    pending: Vec<(u64, u64, u32, String)>,
    printed: u64,
}

/// One line of `--format json`.
#[derive(Serialize)]
struct Record<'a> {
    path: Cow<'a, str>,
    /// The path as it is, where it is not UTF-8 and `path` only comes near it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<&'a [u8]>,
    pattern: u32,
    rule: &'a str,
    start: u64,
    end: u64,
}

impl<'a> Output<'a> {
    pub fn new(format: Format, rules: &'a RulesFile, bar: ProgressBar) -> Output<'a> {
        Output { format, rules, bar, pending: Vec::new(), printed: 0 }
    }

    /// Takes a match with its bytes; [`Output::flush`] prints it.
    pub fn push(&mut self, path: &Path, found: StreamMatch, bytes: &[u8]) {
        let StreamMatch { pattern_id, start, end } = found;
        let rule = self.rules.name(pattern_id);
        let line = match self.format {
            Format::Text => {
                let path = escaped(path.as_os_str().as_encoded_bytes(), usize::MAX);
                let rule = escaped(rule.as_bytes(), TEXT_CHARS);
                let text = escaped(bytes, TEXT_CHARS);
                format!("{path}:{start}-{end}: {rule}: {text}\n")
            }
            Format::Json => {
                let os = path.as_os_str();
                let path_bytes = os.to_str().is_none().then_some(os.as_encoded_bytes());
                let path = os.to_string_lossy();
                let record = Record { path, path_bytes, pattern: pattern_id, rule, start, end };
                let mut line = serde_json::to_string(&record).expect("a record is plain data");
                line.push('\n');
                line
            }
        };
        self.pending.push((start, end, pattern_id, line));
    }

    /// Prints what is pending; what cannot be printed stays so.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.pending.sort_unstable();
        self.bar.suspend(|| {
            let mut stdout = io::BufWriter::new(io::stdout().lock());
            for (_, _, _, line) in &self.pending {
                stdout.write_all(line.as_bytes())?;
            }
            stdout.flush()
        })?;
        self.printed += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Matches printed so far.
    pub fn printed(&self) -> u64 {
        self.printed
    }
}

/// Bytes as one line that is safe to show on a terminal: invalid UTF-8, control characters and whatever
/// else does not print become escapes. Cut after `limit` characters.
fn escaped(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    let mut left = limit;
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if left == 0 {
                return text + "…";
            }
            left -= 1;
            match char {
                '\'' | '"' | '\\' => text.push(char),
                char => text.extend(char.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            if left == 0 {
                return text + "…";
            }
            left -= 1;
            text.extend(byte.escape_ascii().map(char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_does_not_print_is_escaped() {
        let text = "a\"b'\\c\r\n\t\0\x1b[31m\u{202e}é".as_bytes();
        assert_eq!(escaped(text, 99), r#"a"b'\c\r\n\t\0\u{1b}[31m\u{202e}é"#);
        assert_eq!(escaped(b"\xff\xe2\x82.", 99), r"\xff\xe2\x82.");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(escaped(b"abc", 3), "abc");
        assert_eq!(escaped("äbcd".as_bytes(), 3), "äbc…");
        assert_eq!(escaped(b"\xff\xff", 1), "\\xff…");
    }
}
