//! How long scans take with a tuning, beside the same scans with the defaults.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use vkscan::{
    Backend, BackendOptions, Haystack, Match, ResidentHaystack, ResidentRulePipeline, RulePipeline,
    ScanError, ScanScratch, SessionOptions, StagedHaystack, Ticket, Tuning,
};

use super::search::{Bench, Fault, HOPELESS};
use crate::args::HaystackMemory;

/// What begins the reason why a point is out of the question that finds something else than there is.
pub const WRONG: &str = "WRONG";

/// Work that is measured at a time takes so long at least: less would be mostly noise.
const LEAST: Duration = Duration::from_millis(4);
const MOST_TURNS: u32 = 64;

pub struct DeviceBench<'a> {
    rules: &'a RulePipeline,
    haystack: &'a [u8],
    expected: Vec<Match>,
    memory: HaystackMemory,
    in_flight: usize,
    options: BackendOptions,
    backend: Backend,
    /// With the defaults; none after the device was lost.
    defaults: Option<Prepared>,
    /// How often what is in flight at a time is scanned for one measurement.
    turns: u32,
    began: Instant,
    time: Duration,
}

/// A session, and the haystack where it is scanned from.
struct Prepared {
    session: ResidentRulePipeline,
    staged: Option<StagedHaystack>,
    resident: Option<ResidentHaystack>,
    /// Of each scan that is in flight at a time.
    matches: Vec<Vec<Match>>,
    scratch: ScanScratch,
}

/// What is scanned, and how.
pub struct Work<'a> {
    pub rules: &'a RulePipeline,
    pub haystack: &'a [u8],
    /// All matches, by the CPU oracle.
    pub expected: Vec<Match>,
    pub memory: HaystackMemory,
    pub in_flight: usize,
    /// How long to measure.
    pub time: Duration,
}

impl<'a> DeviceBench<'a> {
    /// Checks the defaults.
    pub fn new(work: Work<'a>, backend: Backend, options: BackendOptions) -> Result<Self, String> {
        let Work { rules, haystack, expected, memory, in_flight, time } = work;
        let mut bench = DeviceBench {
            rules,
            haystack,
            expected,
            memory,
            in_flight,
            options,
            backend,
            defaults: None,
            turns: 1,
            began: Instant::now(),
            time,
        };
        bench.prepare_defaults()?;
        Ok(bench)
    }

    /// How long a scan takes with the defaults. From then on time is spent.
    pub fn of_defaults(&mut self) -> Result<Duration, String> {
        let mut prepared = self.defaults.take().expect("prepared by `new`");
        let mut times = Vec::new();
        for _ in 0..9 {
            times.push(self.time(&mut prepared)?);
        }
        self.defaults = Some(prepared);
        times.sort_unstable();
        self.began = Instant::now();
        let scans = u64::from(self.turns) * self.in_flight as u64;
        Ok(times[times.len() / 2].div_f64(scans as f64))
    }

    fn prepare_defaults(&mut self) -> Result<(), String> {
        let tuning = Tuning::for_device(self.backend.device_info());
        let mut prepared = self.prepare(&tuning)?;
        self.turns = 1;
        let once = self.time(&mut prepared)?;
        let turns = LEAST.div_duration_f64(once.max(Duration::from_nanos(1)));
        self.turns = (turns.ceil() as u32).clamp(1, MOST_TURNS);
        self.defaults = Some(prepared);
        Ok(())
    }

    /// A session that has been seen to find what there is.
    fn prepare(&self, tuning: &Tuning) -> Result<Prepared, String> {
        let failed = |error: ScanError| error.to_string();
        let options = SessionOptions::new(self.haystack.len(), self.expected.len().max(1));
        let options = options.tuning(Some(*tuning));
        let session = self.rules.prepare_resident_with(&self.backend, &options).map_err(failed)?;
        let (mut staged, mut resident) = (None, None);
        match self.memory {
            HaystackMemory::Ordinary => {}
            HaystackMemory::Staging => {
                let mut memory =
                    session.staging(&self.backend, self.haystack.len()).map_err(failed)?;
                memory.copy_from_slice(self.haystack);
                staged = Some(memory);
            }
            HaystackMemory::Device => {
                resident =
                    Some(ResidentHaystack::new(&self.backend, self.haystack).map_err(failed)?);
            }
        }
        let scratch = ScanScratch::default();
        let matches = vec![Vec::new(); self.in_flight];
        let mut prepared = Prepared { session, staged, resident, matches, scratch };
        // The second one goes by what the first one came to.
        for _ in 0..2 {
            self.scan(&mut prepared)?;
        }
        Ok(prepared)
    }

    /// Scans of as many haystacks as are to be in flight, and how long they took. What was found is looked at each time.
    fn scan(&self, prepared: &mut Prepared) -> Result<Duration, String> {
        let Prepared { session, staged, resident, matches, scratch } = prepared;
        let haystack = match (staged, resident) {
            (Some(staged), _) => Haystack::from(&*staged),
            (_, Some(resident)) => Haystack::from(&*resident),
            _ => Haystack::from(self.haystack),
        };
        let begin = Instant::now();
        let mut scans = || -> Result<(), ScanError> {
            let mut tickets: VecDeque<Ticket> = VecDeque::new();
            let mut results = matches.iter_mut();
            let mut wait = |ticket: Ticket| {
                let result = results.next().expect("one for each scan");
                ticket.wait_into(result, scratch).map(|_| ())
            };
            for _ in 0..self.in_flight {
                if tickets.len() == session.scans_in_flight()
                    && let Some(first) = tickets.pop_front()
                {
                    wait(first)?;
                }
                tickets.push_back(session.submit(&self.backend, haystack)?);
            }
            tickets.into_iter().try_for_each(wait)
        };
        scans().map_err(|error| error.to_string())?;
        let time = begin.elapsed();
        matches.iter().try_for_each(|found| check(found, &self.expected))?;
        Ok(time)
    }

    /// How long work takes that is the same for all tunings.
    fn time(&self, prepared: &mut Prepared) -> Result<Duration, String> {
        (0..self.turns).map(|_| self.scan(prepared)).sum()
    }

    fn measure(&mut self, tuning: &Tuning, count: usize) -> Result<Vec<f64>, Fault> {
        if self.defaults.is_none() {
            let opened = Backend::new(&self.options);
            self.backend = opened.map_err(|error| Fault::Bench(error.to_string()))?;
            self.prepare_defaults().map_err(Fault::Bench)?;
        }
        let mut defaults = self.defaults.take().expect("prepared right above");
        let measured = self.prepare(tuning).map_err(Fault::Point).and_then(|mut prepared| {
            // In turns, and each first as often: what drifts meanwhile is the same for both.
            let mut ratio = |turn: usize| {
                let mut own = || self.time(&mut prepared).map_err(Fault::Point);
                let own_first = turn.is_multiple_of(2).then(&mut own).transpose()?;
                let of_defaults = match self.time(&mut defaults) {
                    // It may be the point's doing.
                    Err(reason) if self.backend.is_lost() => return Err(Fault::Point(reason)),
                    timed => timed.map_err(Fault::Bench)?,
                };
                let own = own_first.map_or_else(own, Ok)?;
                Ok(own.div_duration_f64(of_defaults))
            };
            let mut ratios = Vec::new();
            for turn in 0..count {
                ratios.push(ratio(turn)?);
                if ratios[0] > HOPELESS {
                    break;
                }
            }
            Ok(ratios)
        });
        if !self.backend.is_lost() {
            self.defaults = Some(defaults);
        }
        measured
    }
}

impl Bench for DeviceBench<'_> {
    fn ratios(&mut self, tuning: &Tuning, count: usize) -> Result<Vec<f64>, Fault> {
        self.measure(tuning, count)
    }

    fn spent(&self) -> f64 {
        self.began.elapsed().div_duration_f64(self.time)
    }
}

/// Whether a scan has found what there is, and if not, the first thing that is amiss.
fn check(found: &[Match], expected: &[Match]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let same = found.iter().zip(expected).take_while(|(one, other)| one == other).count();
    let shown = |matches: &[Match]| match matches.get(same) {
        Some(found) => format!("rule {} at {}..{}", found.pattern_id, found.start, found.end),
        None => "nothing".to_owned(),
    };
    Err(format!(
        "{WRONG}: {} matches of {}, and the first that is amiss is {} where there is {}",
        found.len(),
        expected.len(),
        shown(found),
        shown(expected)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_amiss_is_told() {
        let right = [1, 5, 9].map(|start| Match { pattern_id: 7, start, end: start + 2 });
        assert_eq!(check(&right, &right), Ok(()));
        let mut wrong = right;
        wrong[1].end += 1;
        for (found, told) in [
            (
                &wrong[..],
                "3 matches of 3, and the first that is amiss is rule 7 at 5..8 where there is rule 7 at 5..7",
            ),
            (
                &right[..2],
                "2 matches of 3, and the first that is amiss is nothing where there is rule 7 at 9..11",
            ),
        ] {
            assert!(check(found, &right).unwrap_err().contains(told));
        }
    }
}
