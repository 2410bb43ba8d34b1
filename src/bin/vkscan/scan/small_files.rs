//! Small files, many at a time: read by several threads straight into staging memory, and scanned through a ring
//! session while the next ones are read.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::panic::resume_unwind;

use rayon::prelude::*;
use vkscan::{
    Backend, MegakernelSession, MegakernelSessionConfig, RingBatch, RingError, RingPublishedBatch,
    RingResults, RulePipeline, Tuning,
};

use crate::args::ScanArgs;
use crate::inputs::{Input, Loaded};

/// Bytes of all files of a round, at most, and how many files.
pub const ROUND_BYTES: usize = 16 << 20;
pub const ROUND_FILES: usize = 1 << 12;

pub const ROUNDS_IN_FLIGHT: usize = 4;

/// Bytes that a file takes beside its own, at most: one that tells that there are no more, and what it is packed with.
pub const EACH: usize = 8;

/// Scans small files together.
pub struct SmallFiles {
    session: MegakernelSession,
    /// Longest file.
    most_bytes: usize,
    rounds_in_flight: usize,
    results: RingResults,
    /// How many of the files were handed on.
    done: usize,
}

/// What has come of some files.
pub struct Round<'r> {
    pub inputs: &'r [Input],
    pub read: Vec<io::Result<Loaded>>,
    pub batch: &'r RingBatch,
    pub results: &'r RingResults,
}

/// Files whose scan is in flight: so many from `first` on.
struct InFlight {
    published: RingPublishedBatch,
    first: usize,
    read: Vec<io::Result<Loaded>>,
}

/// Files that were read, so many from `first` on.
struct Filled {
    batch: RingBatch,
    first: usize,
    read: Vec<io::Result<Loaded>>,
}

impl Filled {
    /// Reads files from `first` on, as many as fit.
    fn read(mut batch: RingBatch, inputs: &[Input], first: usize) -> Filled {
        let mut reserve = |input: &&Input| {
            // A byte more, to see that there is none.
            let room = input.bytes().unwrap_or(0) as usize + 1;
            batch.len() < ROUND_FILES && batch.reserve(0, room, u32::MAX)
        };
        let count = inputs[first..].iter().take_while(&mut reserve).count();
        let files = inputs[first..first + count].par_iter().zip(batch.parts());
        let read: Vec<_> = files.map(|(input, place)| input.load(place)).collect();
        for (index, read) in read.iter().enumerate() {
            let len = if let Ok(Loaded::Whole { len, .. }) = read { *len } else { 0 };
            batch.truncate(index, len);
        }
        Filled { batch, first, read }
    }
}

impl SmallFiles {
    /// None if there are none and none come, or the device cannot scan them together.
    pub fn prepare(
        args: &ScanArgs,
        pipeline: &RulePipeline,
        backend: &Backend,
        tuning: Option<Tuning>,
        inputs: &[Input],
        more_come: bool,
    ) -> Result<Option<SmallFiles>, RingError> {
        let round_bytes = ROUND_BYTES.min(args.window_bytes as usize);
        let most_bytes = round_bytes / 2 - EACH;
        let small =
            inputs.iter().filter_map(Input::bytes).filter(|&bytes| bytes <= most_bytes as u64);
        let count = small.clone().count();
        let bytes: usize = match more_come {
            true => round_bytes * ROUNDS_IN_FLIGHT,
            false => small.map(|bytes| bytes as usize + EACH).sum(),
        };
        // Matches longer than a bound are for windows to leave out.
        if bytes == 0 || args.max_scan_bytes != u32::MAX {
            return Ok(None);
        }
        let rounds_in_flight =
            if bytes <= round_bytes && count <= ROUND_FILES { 1 } else { ROUNDS_IN_FLIGHT };
        let config = MegakernelSessionConfig::default()
            .slot_count((ROUND_FILES * rounds_in_flight) as u32)
            .round_bytes(bytes.clamp(2 * EACH, round_bytes))
            .rounds_in_flight(rounds_in_flight)
            .tuning(tuning)
            .max_matches(u32::try_from(args.max_matches).unwrap_or(u32::MAX));
        let session = match MegakernelSession::new(backend, pipeline, config) {
            Err(error) if !backend.is_lost() => {
                tracing::info!("small files are scanned one by one: {error}");
                None
            }
            made => made?,
        };
        let (results, done) = (RingResults::default(), 0);
        let made = |session| SmallFiles { session, most_bytes, rounds_in_flight, results, done };
        Ok(session.map(made))
    }

    /// Whether a file was found to be small.
    pub fn takes(&self, input: &Input) -> bool {
        input.bytes().is_some_and(|bytes| bytes <= self.most_bytes as u64)
    }

    /// Scans files, all of them small, and hands on what has come of them, in their order: while the next ones are read.
    pub fn scan(
        &mut self,
        inputs: &[Input],
        mut on_round: impl FnMut(Round) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut in_flight: VecDeque<InFlight> = VecDeque::new();
        let mut ahead: Option<Filled> = None;
        let mut next = 0;
        self.done = 0;
        loop {
            if ahead.is_none() && in_flight.len() < self.rounds_in_flight && next < inputs.len() {
                let filled = Filled::read(self.session.lend(0)?, inputs, next);
                next += filled.read.len();
                ahead = Some(filled);
            }
            if in_flight.len() < self.rounds_in_flight
                && let Some(filled) = ahead.take()
            {
                let first = filled.first;
                match self.publish(filled)? {
                    Some(round) => in_flight.push_back(round),
                    None => (in_flight, next) = (VecDeque::new(), self.done.min(first)),
                }
                continue;
            }
            let Some(InFlight { published, first, read }) = in_flight.pop_front() else { break };
            match self.session.collect_batch(published, &mut self.results) {
                Ok(batch) => {
                    let lent = match ahead.is_none() && next < inputs.len() {
                        true => Some(self.session.lend(0)?),
                        false => None,
                    };
                    let count = read.len();
                    let files = &inputs[first..first + count];
                    let round =
                        Round { inputs: files, read, batch: &batch, results: &self.results };
                    let told = std::thread::scope(|scope| {
                        let reading = lent
                            .map(|batch| scope.spawn(move || Filled::read(batch, inputs, next)));
                        let told = on_round(round);
                        let read = reading.map(|thread| {
                            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
                        });
                        if let Some(filled) = read {
                            next += filled.read.len();
                            ahead = Some(filled);
                        }
                        told
                    });
                    self.session.give_back(batch);
                    self.done = first + count;
                    told?;
                }
                // So are those behind: all are read again.
                Err(RingError::BatchLost) => {
                    in_flight.clear();
                    ahead = None;
                    next = first;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How many of the files were handed on, before something else than a lost device kept the others from it.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Submits the scan of files. None if they went with a lost device, after which they can be read again.
    fn publish(&mut self, filled: Filled) -> Result<Option<InFlight>, RingError> {
        let Filled { batch, first, read } = filled;
        match self.session.publish_batch(batch) {
            Ok(published) => Ok(Some(InFlight { published, first, read })),
            Err(failed) => match failed.error {
                RingError::BatchLost => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Gives the device back.
    pub fn free(mut self) -> Result<(), RingError> {
        self.session.shutdown()
    }
}
