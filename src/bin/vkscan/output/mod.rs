//! How findings are printed.
//!
//! | file | story |
//! |---|---|
//! | `text.rs` | lines for people |
//! | `json.rs` | one object a line |
//! | `sarif.rs` | one document, in SARIF 2.1.0 |
//! | `baseline.rs` | findings that are known already |
//! | `first_seen.rs` | in a history, which findings are new |

mod baseline;
mod first_seen;
mod json;
mod sarif;
mod text;

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use vkscan::{RulePipeline, StreamMatch};

use crate::args::{Color, ResultArgs, ResultFormat};
use crate::around::Text;
use crate::findings::{Finding, Judge, Judged, Judging, Wanted};
use crate::inputs::history::History;
use crate::inputs::{Input, Origin};
use crate::rules::Rules;
use crate::terminal;
use baseline::{Baseline, Known};
use first_seen::FirstSeen;

/// What a secret is replaced by.
const REDACTED: &[u8] = b"REDACTED";

/// Prints the findings of one input after the other, those of a window in the order of their offsets.
pub struct Output<'a> {
    args: &'a ResultArgs,
    rules: &'a Rules,
    judging: Judging<'a>,
    /// Of what is read once, or in windows.
    judge: Judge<'a>,
    form: Form,
    to: Target<'a>,
    known: Option<Baseline>,
    /// What there is to be written down as known.
    found: Option<Baseline>,
    origin: Origin,
    /// What files as a whole are found to be.
    whole: HashMap<PathBuf, Whole>,
    /// What is new, in a history.
    first_seen: Option<FirstSeen<'a>>,
    /// Matches that were found and not looked at.
    pending: Vec<StreamMatch>,
    /// Findings that are not printed.
    ready: Vec<Finding>,
    /// Findings of this input, and all that were printed.
    of_input: u64,
    printed: u64,
    /// What has kept anything from being printed.
    broken: Option<io::Error>,
    /// Whether nobody reads what is printed, and all goes on for what is to be kept.
    is_closed: bool,
}

/// What a file as a whole is found to be.
struct Whole {
    /// Where it is, first.
    origin: Origin,
    findings: Vec<Finding>,
    is_told: bool,
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
        history: Option<&'a History>,
    ) -> Result<Output<'a>, ResultsError> {
        // Before it is written to, if it is the same file.
        let known = args.baseline.as_deref().map(Baseline::read).transpose()?;
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
            _ => None,
        };
        let wanted = Wanted { groups: matches!(form, Form::Json), lines };
        let judging = Judging::new(rules, pipeline, wanted);
        Ok(Output {
            args,
            rules,
            judge: judging.judge(),
            judging,
            form,
            to,
            known,
            found: args.write_baseline.is_some().then(Baseline::default),
            origin: Origin::of_path(PathBuf::new()),
            whole: HashMap::new(),
            first_seen: history.map(FirstSeen::new),
            pending: Vec::new(),
            ready: Vec::new(),
            of_input: 0,
            printed: 0,
            broken: None,
            is_closed: false,
        })
    }

    /// Begins with an input.
    pub fn begin(&mut self, origin: &Origin) {
        self.origin.clone_from(origin);
        self.of_input = 0;
        self.pending.clear();
        self.ready = self.take_whole(origin);
        self.judge.begin(origin);
    }

    /// What a file as a whole is found to be, if that was not told.
    fn take_whole(&mut self, origin: &Origin) -> Vec<Finding> {
        if self.first_seen.is_some() {
            return self.judging.of_path(origin);
        }
        let Some(whole) = self.whole.get_mut(&origin.path) else { return Vec::new() };
        let was_told = std::mem::replace(&mut whole.is_told, true);
        if was_told { Vec::new() } else { whole.findings.clone() }
    }

    /// Takes note of what has come of an input that is read once.
    pub fn look_through(&mut self, bytes: &[u8]) {
        self.judge.look_through(bytes);
    }

    /// Takes a match; [`Output::flush`] prints it.
    pub fn push(&mut self, found: StreamMatch) {
        self.pending.push(found);
    }

    /// Prints which of the matches so far are findings, as far as that is certain.
    pub fn flush(&mut self, text: &dyn Text) -> io::Result<()> {
        let had_pending = !self.pending.is_empty();
        let looked_at = self.look_at_pending(text);
        if had_pending || self.judge.has_news() {
            self.ready.extend(self.judge.settle(false));
        }
        self.print()?;
        looked_at
    }

    /// Ends an input. What was found is no less true after an error in reading the rest.
    pub fn end(&mut self, text: &dyn Text) -> io::Result<()> {
        let looked_at = self.look_at_pending(text);
        self.ready.extend(self.judge.settle(true));
        self.print()?;
        self.print_count()?;
        looked_at
    }

    /// What inputs that are there as a whole are judged by.
    pub fn judging(&self) -> Judging<'a> {
        self.judging.clone()
    }

    /// Prints what an input that is there as a whole was judged to have, in each place that it is in; without matches nothing was.
    pub fn tell(&mut self, input: &Input, judged: Vec<Judged>) -> io::Result<()> {
        let mut judged = judged.into_iter();
        for origin in input.origins() {
            let mut whole = self.take_whole(origin);
            let Judged { findings, error } = judged.next().unwrap_or_default();
            // As most have none.
            if whole.is_empty() && findings.is_empty() && error.is_none() {
                continue;
            }
            whole.extend(findings);
            self.origin.clone_from(origin);
            self.of_input = 0;
            self.ready = whole;
            self.print()?;
            self.print_count()?;
            error.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Prints what there is to tell of an input that is not looked into.
    pub fn skipped(&mut self, input: &Input) -> io::Result<()> {
        self.tell(input, Vec::new())
    }

    /// Takes note of which files are findings as a whole.
    pub fn look_at_paths<'i>(&mut self, inputs: impl ParallelIterator<Item = &'i Input>) {
        if self.rules.of_paths().next().is_none() || self.first_seen.is_some() {
            return;
        }
        let of = |input: &'i Input| {
            let findings = self.judging.of_path(&input.origin);
            (!findings.is_empty()).then_some((&input.origin, findings))
        };
        for (origin, findings) in inputs.filter_map(of).collect::<Vec<_>>() {
            let whole = || Whole { origin: origin.clone(), findings, is_told: false };
            self.whole.entry(origin.path.clone()).or_insert_with(whole);
        }
    }

    /// Ends all, and says how many findings were printed.
    pub fn finish(&mut self) -> Result<u64, Box<dyn Error>> {
        // Of inputs that were left out.
        let untold = self.whole.values().filter(|whole| !whole.is_told);
        let mut rest: Vec<Origin> = untold.map(|whole| whole.origin.clone()).collect();
        rest.sort_by(|one, next| one.path.cmp(&next.path));
        for origin in rest {
            self.begin(&origin);
            self.end(&&b""[..])?;
        }
        self.catch_up(None)?;
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
        let mut pending = std::mem::take(&mut self.pending);
        self.judging.prepare(&pending.iter().map(|found| found.pattern_id).collect());
        pending.sort_unstable_by_key(|found| (found.start, found.end, found.pattern_id));
        let mut rest = pending.into_iter();
        while let Some(found) = rest.next() {
            if !self.judge.is_ready(&found, text)? {
                // In order: those behind it wait, too.
                self.pending = [found].into_iter().chain(rest).collect();
                break;
            }
            self.ready.extend(self.judge.judge(found, text)?);
        }
        Ok(())
    }

    /// Prints what is new in a history, of all that comes before an input, or of all.
    pub fn catch_up(&mut self, next: Option<&Input>) -> io::Result<()> {
        let turns = next.iter().flat_map(|input| input.origins()).filter_map(|origin| origin.turn);
        let next = turns.map(|turn| turn.order).min();
        let Some(mut first_seen) = self.first_seen.take() else { return Ok(()) };
        for (origin, findings) in first_seen.take(next) {
            (self.origin, self.ready, self.of_input) = (origin, findings, 0);
            self.print()?;
            self.print_count()?;
        }
        self.first_seen = Some(first_seen);
        Ok(())
    }

    /// What has kept findings of a history from being known for what they are.
    pub fn take_faults(&mut self) -> Vec<String> {
        self.first_seen.as_mut().map(FirstSeen::take_faults).unwrap_or_default()
    }

    fn print_count(&mut self) -> io::Result<()> {
        if !matches!(self.form, Form::Counts) || self.of_input == 0 {
            return Ok(());
        }
        let line = text::count(&self.origin, self.of_input);
        self.write(line.as_bytes())
    }

    fn print(&mut self) -> io::Result<()> {
        if self.ready.is_empty() {
            return Ok(());
        }
        if let Some(first_seen) = &mut self.first_seen {
            first_seen.hold(&self.origin, std::mem::take(&mut self.ready));
            return Ok(());
        }
        let mut findings = std::mem::take(&mut self.ready);
        findings.sort_by_key(|finding| (finding.start, finding.end, finding.rule));
        let mut lines = Vec::new();
        let asks_for_digests =
            self.found.is_some() || self.known.is_some() || matches!(self.form, Form::Sarif(_));
        for mut finding in findings.drain(..) {
            let known = asks_for_digests.then(|| {
                Known::new(
                    self.rules.name(finding.rule),
                    identity(&finding, &self.origin.path),
                    &self.origin.path,
                )
            });
            if let (Some(found), Some(known)) = (&mut self.found, &known) {
                found.insert(known.clone());
            }
            if let (Some(baseline), Some(known)) = (&self.known, &known)
                && baseline.contains(known)
            {
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
                    text::finding(&mut lines, self.rules, &self.origin, &finding, *has_color);
                }
                Form::Only => text::only(&mut lines, &self.origin, &finding),
                Form::Names if is_first => text::name(&mut lines, &self.origin),
                Form::Counts | Form::Names => {}
                Form::Json => {
                    let line = json::finding(self.rules, &self.origin, &finding);
                    lines.extend_from_slice(line.as_bytes());
                }
                Form::Sarif(document) => {
                    let digest = known.as_ref().map_or("", Known::secret_sha256);
                    document.push(self.rules, &self.origin, &finding, digest);
                }
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
        if self.is_closed {
            return Ok(());
        }
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
        // Who has seen enough has asked for the rest to be kept all the same.
        self.is_closed = self.found.is_some()
            && written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if self.is_closed {
            return Ok(());
        }
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

/// What makes a finding of a rule's the same as another: the secret, or else the match, or the file.
fn identity<'f>(finding: &'f Finding, path: &'f Path) -> &'f [u8] {
    let secret = &finding.text[finding.secret.clone()];
    match (finding.places, secret) {
        (None, _) => path.as_os_str().as_encoded_bytes(),
        (Some(_), []) => &finding.text,
        (Some(_), secret) => secret,
    }
}

impl Finding {
    /// Replaces the secret wherever it is in the match; all of that where a rule's secret is nothing.
    fn redact(&mut self) {
        if self.places.is_none() {
            return;
        }
        let Range { start, end } = match self.secret.is_empty() {
            true => 0..self.text.len(),
            false => self.secret.clone(),
        };
        let secret = self.text[start..end].to_vec();
        let mut text = without(&self.text[..start], &secret);
        self.secret = text.len()..text.len() + REDACTED.len();
        text.extend_from_slice(REDACTED);
        text.extend(without(&self.text[end..], &secret));
        self.text = text;
        // They are of the text that it was.
        self.groups.clear();
    }
}

/// A text without a secret.
fn without(text: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut redacted = Vec::with_capacity(text.len());
    let mut at = 0;
    for found in memchr::memmem::find_iter(text, secret) {
        redacted.extend_from_slice(&text[at..found]);
        redacted.extend_from_slice(REDACTED);
        at = found + secret.len();
    }
    redacted.extend_from_slice(&text[at..]);
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_left() {
        assert_eq!(without(b"a=1234; b=1234", b"1234"), b"a=REDACTED; b=REDACTED");
        assert_eq!(without(b"aaaaa", b"aa"), b"REDACTEDREDACTEDa");
        assert_eq!(without(b"x", b"ED"), b"x");
    }
}
