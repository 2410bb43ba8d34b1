//! How findings are printed.
//!
//! | file | story |
//! |---|---|
//! | `text.rs` | lines for people |
//! | `json.rs` | one object a line |
//! | `sarif.rs` | one document, in SARIF 2.1.0 |
//! | `baseline.rs` | findings that are known already |

mod baseline;
mod json;
mod sarif;
mod text;

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use vkscan::{RulePipeline, StreamMatch};

use crate::args::{Color, ResultArgs, ResultFormat};
use crate::around::Text;
use crate::findings::{Finding, Judge, Wanted};
use crate::inputs::Input;
use crate::rules::Rules;
use crate::terminal;
use baseline::{Baseline, Known};

/// What a secret is replaced by.
const REDACTED: &[u8] = b"REDACTED";

/// Prints the findings of one input after the other, those of a window in the order of their offsets.
pub struct Output<'a> {
    args: &'a ResultArgs,
    rules: &'a Rules,
    judge: Judge<'a>,
    form: Form,
    to: Target<'a>,
    known: Option<Baseline>,
    /// What there is to be written down as known.
    found: Option<Baseline>,
    path: PathBuf,
    /// Matches that were found and not looked at.
    pending: Vec<StreamMatch>,
    /// Findings that are not printed.
    ready: Vec<Finding>,
    /// Findings of this input, and all that were printed.
    of_input: u64,
    printed: u64,
    /// What has kept anything from being printed.
    broken: Option<io::Error>,
}

enum Form {
    Text {
        has_color: bool,
    },
    /// Only what was found.
    Only,
    /// How many there are of each input.
    Counts,
    /// In which inputs there are any.
    Names,
    Json,
    Sarif(sarif::Document),
}

/// Where it is printed to.
enum Target<'a> {
    Stdout,
    File { path: &'a Path, file: BufWriter<File> },
}

/// A file that results cannot be written to, or not be read from.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct ResultsError {
    path: String,
    reason: String,
}

impl ResultsError {
    fn new(path: &Path, reason: impl ToString) -> ResultsError {
        ResultsError { path: terminal::path(path), reason: reason.to_string() }
    }
}

impl<'a> Output<'a> {
    pub fn new(
        args: &'a ResultArgs,
        rules: &'a Rules,
        pipeline: &'a RulePipeline,
    ) -> Result<Output<'a>, ResultsError> {
        let to = match &args.output {
            None => Target::Stdout,
            Some(path) => {
                let file = File::create(path).map_err(|reason| ResultsError::new(path, reason))?;
                Target::File { path, file: BufWriter::new(file) }
            }
        };
        let form = match args.format() {
            ResultFormat::Text if args.count => Form::Counts,
            ResultFormat::Text if args.files_with_matches => Form::Names,
            ResultFormat::Text if args.only_matching => Form::Only,
            ResultFormat::Text => Form::Text { has_color: has_color(args.color, &to) },
            ResultFormat::Json => Form::Json,
            ResultFormat::Sarif => Form::Sarif(sarif::Document::default()),
        };
        let lines = match form {
            Form::Text { .. } => args.lines_around(),
            Form::Sarif(_) => Some([0, 0]),
            _ => None,
        };
        let wanted = Wanted { groups: matches!(form, Form::Json), lines };
        Ok(Output {
            args,
            rules,
            judge: Judge::new(rules, pipeline, wanted),
            form,
            to,
            known: args.baseline.as_deref().map(Baseline::read).transpose()?,
            found: args.write_baseline.is_some().then(Baseline::default),
            path: PathBuf::new(),
            pending: Vec::new(),
            ready: Vec::new(),
            of_input: 0,
            printed: 0,
            broken: None,
        })
    }

    /// Begins with an input.
    pub fn begin(&mut self, input: &Input) {
        self.path = input.path().to_owned();
        self.of_input = 0;
        self.judge.begin(match input {
            Input::Stdin => None,
            Input::File { path, .. } => Some(path),
        });
    }

    /// Takes note of what has come of an input that is read once.
    pub fn look_through(&mut self, bytes: &[u8]) {
        self.judge.look_through(bytes);
    }

    /// Takes a match; [`Output::flush`] prints it.
    pub fn push(&mut self, found: StreamMatch) {
        self.pending.push(found);
    }

    /// Prints which of the matches so far are findings. After an error in reading, the others are no less so.
    pub fn flush(&mut self, text: &dyn Text) -> io::Result<()> {
        self.look_at_pending(text)?;
        self.print()
    }

    /// Ends an input.
    pub fn end(&mut self, text: &dyn Text) -> io::Result<()> {
        let looked_at = self.look_at_pending(text);
        self.ready.extend(self.judge.end());
        self.print()?;
        if matches!(self.form, Form::Counts) && self.of_input > 0 {
            let line = text::count(&self.path, self.of_input);
            self.write(line.as_bytes())?;
        }
        looked_at
    }

    /// Prints the findings of an input that is there as a whole.
    pub fn whole(
        &mut self,
        input: &Input,
        bytes: &[u8],
        matches: impl Iterator<Item = StreamMatch>,
    ) -> io::Result<()> {
        self.begin(input);
        self.pending.extend(matches);
        self.end(&bytes)
    }

    /// Prints which files are findings as a whole.
    pub fn paths<'i>(&mut self, inputs: impl Iterator<Item = &'i Input>) -> io::Result<()> {
        for input in inputs {
            if let Input::File { path, .. } = input {
                self.ready = self.judge.of_path(path);
                if !self.ready.is_empty() {
                    self.begin(input);
                    self.print()?;
                }
            }
        }
        Ok(())
    }

    /// Ends all, and says how many findings were printed.
    pub fn finish(&mut self) -> Result<u64, Box<dyn Error>> {
        if let Form::Sarif(document) = &mut self.form {
            let text = std::mem::take(document).finish(self.rules);
            self.write(text.as_bytes())?;
        }
        if let Target::File { path, file } = &mut self.to {
            file.flush().map_err(|reason| ResultsError::new(path, reason))?;
        }
        if let (Some(path), Some(found)) = (&self.args.write_baseline, &self.found) {
            found.write(path)?;
        }
        Ok(self.printed)
    }

    fn look_at_pending(&mut self, text: &dyn Text) -> io::Result<()> {
        self.pending.sort_unstable_by_key(|found| (found.start, found.end, found.pattern_id));
        for found in self.pending.drain(..) {
            self.ready.extend(self.judge.judge(found, text)?);
        }
        Ok(())
    }

    fn print(&mut self) -> io::Result<()> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let mut findings = std::mem::take(&mut self.ready);
        findings.sort_by_key(|finding| (finding.start, finding.end, finding.rule));
        let mut lines = Vec::new();
        for mut finding in findings.drain(..) {
            let secret = &finding.text[finding.secret.clone()];
            let known = Known::new(self.rules.name(finding.rule), secret, &self.path);
            if let Some(found) = &mut self.found {
                found.insert(known.clone());
            }
            if self.known.as_ref().is_some_and(|baseline| baseline.contains(&known)) {
                continue;
            }
            let is_first = self.of_input == 0;
            self.of_input += 1;
            self.printed += 1;
            if self.args.redact {
                finding.redact();
            }
            match &mut self.form {
                Form::Text { has_color } => {
                    text::finding(&mut lines, self.rules, &self.path, &finding, *has_color);
                }
                Form::Only => text::only(&mut lines, &finding),
                Form::Names if is_first => text::name(&mut lines, &self.path),
                Form::Counts | Form::Names => {}
                Form::Json => {
                    let line = json::finding(self.rules, &self.path, &finding);
                    lines.extend_from_slice(line.as_bytes());
                }
                Form::Sarif(document) => document.push(self.rules, &self.path, &finding, &known),
            }
        }
        // Its memory is used again.
        self.ready = findings;
        self.write(&lines)
    }

    /// Fails if anything could not be printed, once.
    pub fn check(&mut self) -> io::Result<()> {
        self.broken.take().map_or(Ok(()), Err)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match &mut self.to {
            Target::Stdout => terminal::print(|| {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }),
            Target::File { path, file } => file
                .write_all(bytes)
                .map_err(|reason| io::Error::other(ResultsError::new(path, reason))),
        };
        written.map_err(|error| {
            let again = io::Error::new(error.kind(), error.to_string());
            self.broken = Some(error);
            again
        })
    }
}

/// Whether there is somebody to see colours, and nobody who does not want any: <https://no-color.org>.
fn has_color(asked: Color, to: &Target) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match (asked, to) {
        (Color::Always, _) => true,
        (Color::Never, _) | (Color::Auto, Target::File { .. }) => false,
        (Color::Auto, Target::Stdout) => io::stdout().is_terminal() && !is_set("NO_COLOR"),
    }
}

impl Finding {
    /// Replaces the secret wherever it is.
    fn redact(&mut self) {
        let secret = self.text[self.secret.clone()].to_vec();
        for line in &mut self.lines {
            line.text = without(&line.text, &secret);
        }
        // They are of the text that it was.
        self.groups.clear();
        self.text.splice(self.secret.clone(), REDACTED.iter().copied());
        self.secret.end = self.secret.start + REDACTED.len();
    }
}

/// A line without a secret, nor what of it the line has.
fn without(line: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut redacted = line.to_vec();
    // It may go over several lines.
    for part in secret.split(|&byte| byte == b'\n').filter(|part| !part.is_empty()) {
        let mut rest = std::mem::take(&mut redacted);
        while let Some(at) = memchr::memmem::find(&rest, part) {
            redacted.extend_from_slice(&rest[..at]);
            redacted.extend_from_slice(REDACTED);
            rest.drain(..at + part.len());
        }
        redacted.extend(rest);
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_secret_is_left() {
        assert_eq!(without(b"a=1234; b=1234", b"1234"), b"a=REDACTED; b=REDACTED");
        assert_eq!(without(b"x 12", b"12\n34"), b"x REDACTED");
        assert_eq!(without(b"34 y", b"12\n34"), b"REDACTED y");
        assert_eq!(without(b"x", b""), b"x");
    }
}
