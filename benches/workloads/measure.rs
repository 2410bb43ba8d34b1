//! How fast vkscan is, once it has found the right matches.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vkscan::{
    Backend, Haystack, Match, ResidentHaystack, ResidentRulePipeline, RulePipeline, ScanError,
    ScanScratch, ScanStats, SessionOptions, StagedHaystack, Ticket,
};

use crate::numbers::size;
use crate::stages::{Stage, stages};
use crate::workload::{SOURCES, Source, Workload, digest};

/// Scans in device memory first, which keep the device so busy that it raises its clock, and then some like
/// those that are timed.
const CLOCK_UP: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(50);
const LONG_ENOUGH: Duration = Duration::from_millis(250);
const OFTEN_ENOUGH: usize = 5;

/// Scans that are in flight together, where throughput is all that counts.
pub const IN_FLIGHT: usize = 4;

/// A scan that takes longer is not worth repeating.
const TOO_LONG: Duration = Duration::from_secs(5);

/// The median of many scans.
#[derive(Serialize, Deserialize)]
pub struct Scan {
    pub source: Source,
    pub matches: usize,
    pub repetitions: usize,
    pub seconds: f64,
    /// Where these went: by stage on the device, and the rest of the call.
    pub stages: Vec<Stage>,
    pub submissions: u32,
}

/// Many scans, [`IN_FLIGHT`] of them at a time.
#[derive(Serialize, Deserialize)]
pub struct Flight {
    pub source: Source,
    /// Of all of them, by their number.
    pub seconds: f64,
}

/// Why a workload was not measured to its end.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    #[error("{} took {seconds:.1} s: not repeated", size(*bytes))]
    Slow { bytes: usize, seconds: f64 },
    #[error("FAILED: the matches' digest is {found}, and {recorded} was recorded")]
    Mismatch { found: String, recorded: String },
    #[error("FAILED: {0}")]
    Failed(String),
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Source::Ordinary => "ordinary memory",
            Source::Staged => "staging memory",
            Source::Device => "device memory",
        }
    }
}

impl Stop {
    pub fn is_failure(&self) -> bool {
        !matches!(self, Stop::Slow { .. })
    }
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Stop {
        Stop::Failed(error.to_string())
    }
}

/// Scans from everywhere, one by one and several in flight.
#[derive(Default)]
pub struct Measured {
    pub scans: Vec<Scan>,
    pub flights: Vec<Flight>,
    /// An empty submission, in the same minute.
    pub empty_seconds: Option<f64>,
}

/// Measures as far as that goes.
pub fn measure(
    backend: &Backend,
    rules: &RulePipeline,
    workload: &Workload,
    haystack: &[u8],
) -> (Measured, Option<Stop>) {
    let mut measured = Measured::default();
    let stopped = measure_into(&mut measured, backend, rules, workload, haystack).err();
    (measured, stopped)
}

fn measure_into(
    measured: &mut Measured,
    backend: &Backend,
    rules: &RulePipeline,
    workload: &Workload,
    haystack: &[u8],
) -> Result<(), Stop> {
    let options =
        SessionOptions::new(haystack.len(), workload.max_matches).scans_in_flight(Some(IN_FLIGHT));
    let session = rules.prepare_resident_with(backend, &options)?;
    let mut timer = Timer {
        backend,
        session: &session,
        recorded: &workload.digest,
        matches: Vec::new(),
        scratch: ScanScratch::default(),
    };
    timer.approach(haystack)?;
    let stage = |_| {
        let mut staged = session.staging(backend, haystack.len())?;
        staged.copy_from_slice(haystack);
        Ok(staged)
    };
    let staged = (0..IN_FLIGHT).map(stage).collect::<Result<Vec<StagedHaystack>, Stop>>()?;
    let resident = ResidentHaystack::new(backend, haystack)?;
    measured.empty_seconds = Some(timer.time_empty()?);
    for (source, haystack) in SOURCES.into_iter().zip([
        Haystack::from(haystack),
        Haystack::from(&staged[0]),
        Haystack::from(&resident),
    ]) {
        measured.scans.push(timer.time(source, haystack, &resident)?);
    }
    let ordinary = [Haystack::from(haystack); IN_FLIGHT];
    let staged_each: Vec<Haystack> = staged.iter().map(Haystack::from).collect();
    for (source, haystacks) in [(Source::Ordinary, &ordinary[..]), (Source::Staged, &staged_each)] {
        measured.flights.push(timer.time_in_flight(source, haystacks)?);
    }
    drop((staged, resident));
    Ok(session.free(backend)?)
}

struct Timer<'a> {
    backend: &'a Backend,
    session: &'a ResidentRulePipeline,
    recorded: &'a str,
    matches: Vec<Match>,
    scratch: ScanScratch,
}

impl Timer<'_> {
    /// Scans ever more of the haystack, to find out early what would take too long.
    fn approach(&mut self, haystack: &[u8]) -> Result<(), Stop> {
        for share in [64, 16, 4] {
            let part = &haystack[..haystack.len() / share];
            let (passed, _) = self.scan(part.into())?;
            within_patience(part.len(), passed)?;
        }
        Ok(())
    }

    fn time(
        &mut self,
        source: Source,
        haystack: Haystack,
        resident: &ResidentHaystack,
    ) -> Result<Scan, Stop> {
        let (passed, _) = self.scan(haystack)?;
        self.check()?;
        within_patience(haystack.len(), passed)?;
        for (haystack, period) in [(resident.into(), CLOCK_UP), (haystack, WARM_UP)] {
            let began = Instant::now();
            while began.elapsed() < period {
                self.scan(haystack)?;
            }
        }
        let mut samples = Vec::new();
        let began = Instant::now();
        while samples.len() < OFTEN_ENOUGH || began.elapsed() < LONG_ENOUGH {
            samples.push(self.scan(haystack)?);
        }
        self.check()?;
        samples.sort_by_key(|(passed, _)| *passed);
        let (passed, stats) = samples[samples.len() / 2];
        Ok(Scan {
            source,
            matches: self.matches.len(),
            repetitions: samples.len(),
            seconds: passed.as_secs_f64(),
            stages: stages(passed, &stats),
            submissions: stats.submissions,
        })
    }

    /// The median of empty submissions.
    fn time_empty(&self) -> Result<f64, Stop> {
        const COUNT: usize = 1001;

        let mut times = self.backend.time_empty_submissions(COUNT).map_err(ScanError::from)?;
        times.sort_unstable();
        Ok(times[COUNT / 2].as_secs_f64())
    }

    /// Takes turns with haystacks that are the same.
    fn time_in_flight(&mut self, source: Source, haystacks: &[Haystack]) -> Result<Flight, Stop> {
        let mut tickets: VecDeque<Ticket> = VecDeque::new();
        let mut count = 0;
        let began = Instant::now();
        for haystack in haystacks.iter().cycle() {
            if count >= OFTEN_ENOUGH && began.elapsed() > LONG_ENOUGH {
                break;
            }
            if tickets.len() == IN_FLIGHT
                && let Some(ticket) = tickets.pop_front()
            {
                ticket.wait_into(&mut self.matches, &mut self.scratch)?;
            }
            tickets.push_back(self.session.submit(self.backend, *haystack)?);
            count += 1;
        }
        for ticket in tickets {
            ticket.wait_into(&mut self.matches, &mut self.scratch)?;
        }
        let seconds = began.elapsed().as_secs_f64() / count as f64;
        self.check()?;
        Ok(Flight { source, seconds })
    }

    fn scan(&mut self, haystack: Haystack) -> Result<(Duration, ScanStats), Stop> {
        let before = Instant::now();
        let scanned =
            self.session.scan_into(self.backend, haystack, &mut self.matches, &mut self.scratch);
        let passed = before.elapsed();
        Ok((passed, scanned?))
    }

    fn check(&self) -> Result<(), Stop> {
        let found = digest(&self.matches);
        if found == self.recorded {
            return Ok(());
        }
        Err(Stop::Mismatch { found, recorded: self.recorded.to_owned() })
    }
}

fn within_patience(bytes: usize, passed: Duration) -> Result<(), Stop> {
    if passed <= TOO_LONG {
        return Ok(());
    }
    Err(Stop::Slow { bytes, seconds: passed.as_secs_f64() })
}
