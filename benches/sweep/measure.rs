//! How fast the device is, once it has found the right matches.

use std::time::{Duration, Instant};

use vkscan::{
    Backend, Haystack, Match, ResidentHaystack, ResidentRulePipeline, ScanError, ScanScratch,
    ScanStats, SessionOptions,
};

use crate::Result;
use crate::cause::looked_for;
use crate::data::{tiled, unpacked};
use crate::expected::{Expected, Work, caught};
use crate::results::{Entry, Scan};
use crate::rules::Rule;
use crate::stages::stages;

/// Scans after the first one, the median of which counts.
const OFTEN_ENOUGH: usize = 9;
const LONG_ENOUGH: Duration = Duration::from_millis(25);
/// A scan that takes longer is not repeated.
const PATIENCE: Duration = Duration::from_millis(100);
/// Where the whole haystack would take longer, its first bytes will do.
const TOO_LONG: Duration = Duration::from_secs(5);

/// Room for matches of a prefix, and of the whole haystack one for eight bytes.
const LEAST_MATCHES: usize = 1 << 20;

/// A haystack in host memory and on the device.
pub struct Loaded {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    resident: ResidentHaystack,
}

impl Loaded {
    pub fn new(backend: &Backend, name: &'static str, bytes: usize) -> Result<Loaded> {
        let bytes = tiled(&unpacked(name, bytes)?, bytes);
        let resident = ResidentHaystack::new(backend, &bytes)?;
        Ok(Loaded { name, bytes, resident })
    }
}

/// Scans all haystacks. Whatever goes wrong is said where a scan would be.
pub fn measure(
    backend: &Backend,
    haystacks: &[Loaded],
    rules: Vec<Rule>,
    work: Result<Work, String>,
) -> Entry {
    let mut entry = Entry { rules, ..Entry::default() };
    let scanned = work.and_then(|work| {
        entry.looked_for = looked_for(&entry.rules, &work.plans);
        entry.compile_seconds = work.compiled_in.as_secs_f64();
        caught(|| {
            let began = Instant::now();
            let mut timer = Timer::new(backend, &work, haystacks)?;
            entry.prepare_seconds = began.elapsed().as_secs_f64();
            let each = haystacks.iter().zip(&work.expected);
            let scans = each.map(|(haystack, expected)| caught(|| timer.time(haystack, expected)));
            let scans = scans.collect();
            timer.session.free(backend)?;
            Ok(scans)
        })
    });
    entry.scans =
        scanned.unwrap_or_else(|why| haystacks.iter().map(|_| Err(why.clone())).collect());
    entry
}

struct Timer<'a> {
    backend: &'a Backend,
    session: ResidentRulePipeline,
    matches: Vec<Match>,
    scratch: ScanScratch,
}

type Sample = (Duration, ScanStats);

impl<'a> Timer<'a> {
    fn new(
        backend: &'a Backend,
        work: &Work,
        haystacks: &[Loaded],
    ) -> Result<Timer<'a>, ScanError> {
        let longest = haystacks.iter().map(|haystack| haystack.bytes.len()).max().unwrap_or(0);
        let options = SessionOptions::new(longest, (longest / 8).max(LEAST_MATCHES));
        let options = options.scans_in_flight(Some(1));
        let session = work.pipeline.prepare_resident_with(backend, &options)?;
        Ok(Timer { backend, session, matches: Vec::new(), scratch: ScanScratch::default() })
    }

    fn time(&mut self, haystack: &Loaded, expected: &Expected) -> Result<Scan> {
        let mut scan = Scan {
            checked_bytes: expected.bytes,
            bytes: haystack.bytes.len(),
            candidates_per_mib: expected.candidates_per_mib,
            ..Scan::default()
        };
        let prefix = self.scan(haystack.bytes[..expected.bytes].into())?;
        self.compare(&expected.matches)?;
        let times = scan.bytes as f64 / expected.bytes as f64;
        let mut samples = vec![prefix];
        if prefix.0.mul_f64(times) > TOO_LONG {
            scan.bytes = expected.bytes;
        } else {
            match self.scan((&haystack.resident).into()) {
                Err(ScanError::TooManyMatches { found, .. }) => {
                    return Ok(Scan { matches: found, ..scan });
                }
                first => samples = vec![first?],
            }
            let found = self.matches.clone();
            self.repeat(&mut samples, (&haystack.resident).into())?;
            self.compare(&found)?;
        }
        samples.sort_by_key(|(passed, _)| *passed);
        let (passed, stats) = samples[samples.len() / 2];
        Ok(Scan {
            matches: self.matches.len() as u64,
            seconds: Some(passed.as_secs_f64()),
            repetitions: samples.len(),
            submissions: stats.submissions,
            stages: stages(passed, &stats),
            ..scan
        })
    }

    /// Takes samples instead of the first one, unless that took too long.
    fn repeat(&mut self, samples: &mut Vec<Sample>, haystack: Haystack) -> Result<(), ScanError> {
        if samples[0].0 > PATIENCE {
            return Ok(());
        }
        samples.clear();
        let began = Instant::now();
        while samples.is_empty() || samples.len() < OFTEN_ENOUGH && began.elapsed() < LONG_ENOUGH {
            samples.push(self.scan(haystack)?);
        }
        Ok(())
    }

    fn scan(&mut self, haystack: Haystack) -> Result<Sample, ScanError> {
        let scanned =
            self.session.scan_into(self.backend, haystack, &mut self.matches, &mut self.scratch)?;
        Ok((scanned.wall, scanned))
    }

    /// Fails at the first match that is not what is right, or was found before.
    fn compare(&self, right: &[Match]) -> Result<()> {
        if self.matches == right {
            return Ok(());
        }
        let found = self.matches.iter().map(Some).chain([None]);
        let right = right.iter().map(Some).chain([None]);
        let first = found.zip(right).find(|(found, right)| found != right);
        let (found, right) = first.unwrap_or_default();
        Err(format!("found {found:?} first where {right:?} is right").into())
    }
}
