//! Inputs that are not small: as one haystack each where they fit windows, and else window by window.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, Read};

use indicatif::ProgressBar;
use vkscan::{
    Backend, BackendError, MAX_HAYSTACK_BYTES, ResidentRulePipeline, RulePipeline, ScanError,
    SessionOptions, StagedHaystack, StreamError, Ticket, Tuning,
};

use super::{Scan, report_input};
use crate::args::ScanArgs;
use crate::around::{Recent, Text};
use crate::errors;
use crate::inputs::{Content, Input, Loaded, Once, Opened, Origin};
use crate::output::Output;

fn prepare(
    args: &ScanArgs,
    pipeline: &RulePipeline,
    backend: &Backend,
    tuning: Option<Tuning>,
    window_bytes: usize,
) -> Result<ResidentRulePipeline, ScanError> {
    let options = SessionOptions::new(window_bytes, args.max_matches).tuning(tuning);
    pipeline.prepare_resident_with(backend, &options)
}

/// An input whose scan is in flight, or why it is not.
enum Submitted<'s> {
    Ticket {
        ticket: Box<Ticket<'s>>,
        is_utf16: bool,
    },
    Binary,
    /// There was more to read than when it was found.
    Grown,
}

impl Scan<'_> {
    pub(super) fn prepare_windows(&mut self) -> Result<(), ScanError> {
        // Of several devices, one that is there.
        if self.backend.is_lost()
            && let Some(other) = self.backends.iter().find(|other| !other.is_lost())
        {
            (self.backend, self.session) = (other, None);
        }
        if self.session.is_none() {
            let session =
                prepare(self.args, self.pipeline, self.backend, self.tuning, self.window_bytes)?;
            self.session = Some(session);
        }
        Ok(())
    }

    /// The session that windows are scanned through.
    fn session(&self) -> &ResidentRulePipeline {
        self.session.as_ref().expect("prepared before there is anything for it")
    }

    /// Whether a file was found to fit a window as a whole.
    fn fits(&self, input: &Input) -> bool {
        let most = self.session().haystack_capacity() as u64;
        input.bytes().is_some_and(|bytes| bytes < most)
    }

    /// Scans inputs that are not small, as many at a time as fit windows.
    pub(super) fn large(&mut self, inputs: &[Input]) -> Result<(), Box<dyn Error>> {
        self.prepare_windows()?;
        let mut rest = inputs;
        while !rest.is_empty() {
            let fits = |input: &&Input| self.fits(input);
            let most = self.session().scans_in_flight();
            let count = rest.iter().take(most).take_while(fits).count();
            if count == 0 {
                self.input(&rest[0])?;
            } else {
                self.files(&rest[..count])?;
            }
            rest = &rest[count.max(1)..];
        }
        Ok(())
    }

    /// Scans files that fit: each is read straight into staging memory while those before it are looked through.
    fn files(&mut self, inputs: &[Input]) -> Result<(), Box<dyn Error>> {
        let Scan { args, backend, session, scratch, output, summary, .. } = self;
        let session = session.as_ref().expect("prepared by `large`");
        let mut staged: Vec<Option<StagedHaystack>> = inputs.iter().map(|_| None).collect();
        let mut loaded = Vec::with_capacity(inputs.len());
        for (input, staged) in inputs.iter().zip(&mut staged) {
            loaded.push(load(session, backend, args.max_scan_bytes, input, staged));
        }
        let mut outcomes = Vec::with_capacity(inputs.len());
        let mut matches = Vec::new();
        for (input, loaded) in inputs.iter().zip(loaded) {
            let mut printed = Ok(());
            let outcome = loaded.and_then(|(bytes, submitted)| {
                let (ticket, is_utf16) = match submitted {
                    Submitted::Ticket { ticket, is_utf16 } => (ticket, is_utf16),
                    Submitted::Binary => {
                        summary.skipped_binary += 1;
                        printed = output.get_mut().skipped(input);
                        return Ok(true);
                    }
                    Submitted::Grown => return Ok(false),
                };
                summary.stats += ticket.wait_into(&mut matches, scratch)?;
                summary.inputs += 1;
                let judged = output.get_mut().judging().whole(input, bytes, is_utf16, &matches);
                printed = output.get_mut().tell(input, judged);
                Ok(true)
            });
            printed?;
            if !matches!(outcome, Ok(false)) {
                self.bar.inc(input.bytes().unwrap_or(0));
            }
            outcomes.push(outcome);
        }
        drop(staged);
        for (input, outcome) in inputs.iter().zip(outcomes) {
            match outcome {
                Ok(true) => {}
                Ok(false) => self.input(input)?,
                Err(error) => self.failed(input, error.into())?,
            }
        }
        Ok(())
    }

    /// Reports what is wrong with an input; fails if no other could fare better.
    pub(super) fn failed(
        &mut self,
        input: &Input,
        error: InputError,
    ) -> Result<(), Box<dyn Error>> {
        if let ScanError::Backend(BackendError::DeviceLost { .. }) = error.0.error {
            return Err(error.0.error.into());
        }
        self.summary.failed += 1;
        report_input(input, &errors::stream(&error.0, self.rules));
        Ok(())
    }

    /// Scans one input. Reports what is wrong with it alone; fails if no other could fare better.
    pub(super) fn input(&mut self, input: &Input) -> Result<(), Box<dyn Error>> {
        self.prepare_windows()?;
        let scanned = self.try_input(input);
        // Where printing is what failed, it fails here again.
        self.output.get_mut().check()?;
        scanned.or_else(|error| self.failed(input, error))
    }

    pub(super) fn try_input(&mut self, input: &Input) -> Result<(), InputError> {
        match input.open_text()? {
            None => {
                self.bar.inc(input.bytes().unwrap_or(0));
                Ok(self.binary(input)?)
            }
            Some(Opened::Whole(content)) => self.content(input, &content),
            Some(Opened::Once(once)) => {
                self.once(&input.origin, once)?;
                for origin in &input.others {
                    if let Some(Opened::Once(once)) = input.open_text()? {
                        self.once(origin, once)?;
                    }
                }
                self.summary.inputs += 1;
                Ok(())
            }
        }
    }

    /// Scans what is read once.
    fn once(&mut self, origin: &Origin, once: Once) -> Result<(), InputError> {
        let Once { reader, is_utf16, is_terminal } = once;
        if is_terminal {
            tracing::warn!("reading {origin}, which is a terminal");
        }
        self.prepare_windows()?;
        self.output.get_mut().begin(origin);
        let mut recent = Recent::new(self.session().haystack_capacity(), is_utf16);
        let scanned = self.reader(reader, &mut recent, 0);
        // What was found is no less true if the rest could not be scanned.
        recent.end();
        let ended = self.output.get_mut().end(&recent);
        scanned?;
        Ok(ended?)
    }

    /// Scans what can be read at any place and, where a rule cannot be decided within a window, once more in larger ones; in a
    /// history as often as there are places that it is in.
    fn content(&mut self, input: &Input, content: &Content) -> Result<(), InputError> {
        for origin in input.origins() {
            self.output.get_mut().begin(origin);
            let scanned = match self.reader(content.reader()?, &mut &*content, 0) {
                Err(error) => self.in_larger_windows(input, content, error),
                Ok(()) => Ok(()),
            };
            let ended = self.output.get_mut().end(content);
            scanned?;
            ended?;
        }
        self.summary.inputs += 1;
        Ok(())
    }

    /// Scans a file once more in larger windows, where a rule could not be decided within one.
    pub(super) fn in_larger_windows(
        &mut self,
        input: &Input,
        content: &Content,
        error: InputError,
    ) -> Result<(), InputError> {
        let InputError(StreamError { error: ScanError::Undecided { start, .. }, .. }) = error
        else {
            return Err(error);
        };
        // Not the size when it was found: it may have grown.
        let bytes = content.len()?;
        let larger = usize::try_from(bytes).unwrap_or(usize::MAX).min(MAX_HAYSTACK_BYTES);
        if larger <= self.window_bytes {
            return Err(error);
        }
        self.prepare_windows()?;
        let path = &input.origin;
        match prepare(self.args, self.pipeline, self.backend, self.tuning, larger) {
            Ok(session) => {
                tracing::info!("{path}: once more in windows of {larger} bytes");
                if let Some(before) = self.session.replace(session) {
                    before.free(self.backend)?;
                }
                // All matches before the one that could not be told are printed.
                self.reader(content.reader()?, &mut &*content, start)
            }
            Err(refused) => {
                let refused = errors::scan(&refused, self.rules);
                tracing::warn!("{path}: no windows of {larger} bytes: {refused}");
                Err(error)
            }
        }
    }

    /// Scans all that a reader gives and prints what is found at or after an offset.
    fn reader(
        &mut self,
        reader: impl Read,
        text: &mut impl Followed,
        from: u64,
    ) -> Result<(), InputError> {
        let output = &self.output;
        let mut reader = Watched { reader, text, output, bar: &self.bar };
        let session = self.session.as_ref().expect("prepared by `input`");
        self.summary.stats += session.scan_reader(
            self.backend,
            &mut reader,
            self.args.max_scan_bytes,
            &mut self.scratch,
            |found, _| {
                if found.start >= from {
                    output.borrow_mut().push(found);
                }
            },
        )?;
        Ok(())
    }
}

/// What keeps an input from being scanned, and from where on.
pub(super) struct InputError(StreamError);

impl From<StreamError> for InputError {
    fn from(error: StreamError) -> InputError {
        InputError(error)
    }
}

impl From<ScanError> for InputError {
    fn from(error: ScanError) -> InputError {
        InputError(StreamError { error, scanned: 0 })
    }
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> InputError {
        ScanError::Read(error).into()
    }
}

/// Reads a file into staging memory and submits its scan. Gives the bytes, too.
fn load<'s>(
    session: &'s ResidentRulePipeline,
    backend: &Backend,
    max_scan_bytes: u32,
    input: &Input,
    staged: &'s mut Option<StagedHaystack>,
) -> Result<(&'s [u8], Submitted<'s>), ScanError> {
    let Some(bytes) = input.bytes() else { return Ok((&[], Submitted::Grown)) };
    // A byte more, to see that there is none.
    let staged = staged.insert(session.staging(backend, bytes as usize + 1)?);
    let (len, is_utf16) = match input.load(staged)? {
        Loaded::Whole { len, is_utf16 } => (len, is_utf16),
        Loaded::Binary => return Ok((&[], Submitted::Binary)),
        Loaded::Grown => return Ok((&[], Submitted::Grown)),
    };
    staged.truncate(len);
    let ticket = session.submit_bounded(backend, &*staged, max_scan_bytes)?;
    Ok((staged, Submitted::Ticket { ticket: Box::new(ticket), is_utf16 }))
}

/// What is read, to be looked at again.
trait Followed: Text {
    /// Takes note of what was read.
    fn follow(&mut self, _output: &RefCell<Output>, _bytes: &[u8]) {}
}

impl Followed for &Content<'_> {}

impl Followed for Recent {
    fn follow(&mut self, output: &RefCell<Output>, bytes: &[u8]) {
        self.push(bytes);
        output.borrow_mut().look_through(bytes);
    }
}

/// A reader whose progress shows, and that has the matches of one window printed before the next is read:
/// there may be no end to it.
struct Watched<'a, 'rules, R, T> {
    reader: R,
    text: &'a mut T,
    output: &'a RefCell<Output<'rules>>,
    bar: &'a ProgressBar,
}

impl<R: Read, T: Followed> Read for Watched<'_, '_, R, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.borrow_mut().flush(self.text)?;
        let bytes = self.reader.read(buffer)?;
        self.text.follow(self.output, &buffer[..bytes]);
        self.bar.inc(bytes as u64);
        Ok(bytes)
    }
}
