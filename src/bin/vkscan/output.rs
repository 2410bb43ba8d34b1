//! How a match is printed.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use vkscan::StreamMatch;

use crate::args::Format;
use crate::rules_file::RulesFile;
use crate::terminal;

/// Prints matches to standard output, those of a window in the order of their offsets.
pub struct Output<'a> {
    format: Format,
    rules: &'a RulesFile,
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
    pub fn new(format: Format, rules: &'a RulesFile) -> Output<'a> {
        Output { format, rules, pending: Vec::new(), printed: 0 }
    }

    /// Takes a match with its bytes; [`Output::flush`] prints it.
    pub fn push(&mut self, path: &Path, found: StreamMatch, bytes: &[u8]) {
        let StreamMatch { pattern_id, start, end } = found;
        let line = match self.format {
            Format::Text => {
                let path = terminal::path(path);
                let rule = self.rules.shown_name(pattern_id);
                let text = terminal::cut(bytes, terminal::TEXT_CHARS);
                format!("{path}:{start}-{end}: {rule}: {text}\n")
            }
            Format::Json => {
                let os = path.as_os_str();
                let path_bytes = os.to_str().is_none().then_some(os.as_encoded_bytes());
                let path = os.to_string_lossy();
                let rule = self.rules.name(pattern_id);
                let record = Record { path, path_bytes, pattern: pattern_id, rule, start, end };
                terminal::json(&record)
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
        terminal::print(|| {
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
