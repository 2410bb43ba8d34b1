//! Which points of the space are measured: successive halving (Jamieson and Talwalkar, Non-stochastic Best Arm Identification
//! and Hyperparameter Optimization, AISTATS 2016), first among single changes of the defaults, then among combinations of what
//! was good.

use fastrand::Rng;
use vkscan::{DeviceInfo, Tuning};

use super::record::{Point, Record, Tried, tuning};
use super::statistics::{self, Interval};

/// Of the points of a rung one in so many goes on to the next one, where each is measured so many times as often.
const HALVING: usize = 3;
/// Measurements of a point on the first rung, and on the last one.
const FIRST_RUNG: usize = 3;
const LAST_RUNG: usize = FIRST_RUNG * HALVING * HALVING;
/// Points of a round of combinations.
const COMBINATIONS: usize = HALVING * HALVING * HALVING;
/// Measurements that decide whether a point is better than another.
const DECIDES: usize = 31;
/// Where a single value takes so many times as long as the defaults, those beyond it are not tried.
const GIVE_UP: f64 = 1.05;
/// What takes so many times as long as the defaults, the first time, is not measured again.
pub const HOPELESS: f64 = 1.5;
/// When single values have taken their part of what there is to spend, and combinations theirs. The rest is for what decides,
/// and for the landscape.
const SINGLES: f64 = 0.45;
const COMBINED: f64 = 0.65;
/// Points that may become the winner.
const FINALISTS: usize = 4;

/// Why there are no measurements of a point.
#[derive(Debug)]
pub enum Fault {
    /// It is out of the question: what it finds is wrong, or it fails.
    Point(String),
    /// Nothing can be measured any more.
    Bench(String),
}

/// What measures points.
pub trait Bench {
    /// How long a tuning takes, so many times, in multiples of what the defaults take right before or after; once if that is
    /// [`HOPELESS`].
    fn ratios(&mut self, tuning: &Tuning, count: usize) -> Result<Vec<f64>, Fault>;

    /// How much of what there is to spend has been spent: 1 is all.
    fn spent(&self) -> f64;
}

pub struct Search<'a, B> {
    pub bench: B,
    pub defaults: Tuning,
    pub info: &'a DeviceInfo,
    pub record: Record,
    /// Called where something has been measured.
    pub measured: &'a mut dyn FnMut(&Record),
    pub rng: Rng,
}

/// What a search has come to.
pub struct Outcome {
    /// The best point, and how long it takes in multiples of the defaults: none where none is better for certain.
    pub winner: Option<(Point, Interval)>,
    /// The two parameters that matter most.
    pub landscape: Option<[&'static str; 2]>,
}

impl<B: Bench> Search<'_, B> {
    /// Searches until about all has been spent.
    pub fn run(&mut self) -> Result<Outcome, String> {
        for distance in 1.. {
            let points = self.singles(distance);
            if points.is_empty() || self.bench.spent() >= SINGLES {
                break;
            }
            self.halve(points, SINGLES)?;
        }
        while self.bench.spent() < COMBINED {
            let points = self.combinations();
            if points.is_empty() {
                break;
            }
            self.halve(points, COMBINED)?;
        }
        let winner = self.winner()?;
        let landscape = self.landscape()?;
        Ok(Outcome { winner, landscape })
    }

    fn can_do(&self, point: &Point) -> bool {
        tuning(&self.defaults, point).is_ok_and(|tuning| tuning.check(self.info).is_ok())
    }

    /// Every parameter alone, so many values away from its default on both sides, unless the value before was bad already.
    fn singles(&self, distance: usize) -> Vec<Point> {
        let single = |name: &str, value: u64| Point::from([(name.to_owned(), value)]);
        let is_bad = |name: &str, value: u64| {
            let tried = self.record.of_point(&single(name, value));
            tried.is_some_and(|tried| tried.refused.is_some() || tried.interval().median > GIVE_UP)
        };
        let mut points = Vec::new();
        for parameter in Tuning::parameters() {
            let name = parameter.name();
            let own = self.defaults.get(name).expect("a parameter of ours");
            let (lower, higher): (Vec<u64>, Vec<u64>) = parameter
                .values()
                .into_iter()
                .filter(|value| *value != own)
                .partition(|value| *value < own);
            for side in [lower.into_iter().rev().collect(), higher] {
                let is_open = distance == 1
                    || side.get(distance - 2).is_some_and(|nearer| !is_bad(name, *nearer));
                points.extend(
                    side.get(distance - 1).filter(|_| is_open).map(|value| single(name, *value)),
                );
            }
        }
        points.retain(|point| self.can_do(point));
        points
    }

    /// Points that have yet to be tried: what is best so far with changes, most of which were good alone.
    fn combinations(&mut self) -> Vec<Point> {
        /// Of ten changes so many are of those that were good.
        const GOOD_OF_TEN: u32 = 7;
        const TRIES: usize = 20 * COMBINATIONS;

        let singles = |tried: &&Tried| tried.point.len() == 1;
        let values = |tried: &Tried| tried.point.clone().into_iter();
        let all: Vec<(String, u64)> =
            self.record.tried.iter().filter(singles).flat_map(values).collect();
        let best = self.record.best(FIRST_RUNG * HALVING);
        let good: Vec<(String, u64)> =
            best.iter().copied().filter(singles).flat_map(values).collect();
        let roots: Vec<Point> =
            best.iter().take(HALVING).map(|tried| tried.point.clone()).collect();
        let mut found: Vec<Point> = Vec::new();
        for _ in 0..TRIES {
            let mut point = match self.rng.choice(&roots) {
                Some(root) if self.rng.bool() => root.clone(),
                _ => Point::new(),
            };
            for _ in 0..self.rng.usize(1..=4) {
                let from = match self.rng.u32(0..10) < GOOD_OF_TEN && !good.is_empty() {
                    true => &good,
                    false => &all,
                };
                point.extend(self.rng.choice(from).cloned());
            }
            let is_new = self.record.of_point(&point).is_none() && !found.contains(&point);
            if is_new && self.can_do(&point) {
                found.push(point);
            }
            if found.len() == COMBINATIONS {
                break;
            }
        }
        found
    }

    /// Measures points, and of the best ones more and more often.
    fn halve(&mut self, mut points: Vec<Point>, until: f64) -> Result<(), String> {
        let mut samples = FIRST_RUNG;
        while samples <= LAST_RUNG && !points.is_empty() {
            let mut places = Vec::new();
            for point in &points {
                if self.bench.spent() >= until {
                    return Ok(());
                }
                places.push(self.measure(point, samples)?);
            }
            places.retain(|place| self.record.tried[*place].refused.is_none());
            let median = |place: &usize| self.record.tried[*place].interval().median;
            places.sort_by(|one, other| median(one).total_cmp(&median(other)));
            places.truncate(points.len().div_ceil(HALVING));
            points = places.iter().map(|place| self.record.tried[*place].point.clone()).collect();
            samples *= HALVING;
        }
        Ok(())
    }

    /// Measures a point until there are so many samples of it, and says where it is.
    fn measure(&mut self, point: &Point, samples: usize) -> Result<usize, String> {
        let place = self.record.place(point);
        let tried = &self.record.tried[place];
        let missing = samples.saturating_sub(tried.ratios.len());
        let is_hopeless = tried.ratios.first().is_some_and(|ratio| *ratio > HOPELESS);
        if missing > 0
            && !is_hopeless
            && tried.refused.is_none()
            && let Some(ratios) = self.fresh(point, missing)?
        {
            self.record.tried[place].ratios.extend(ratios);
            (self.measured)(&self.record);
        }
        Ok(place)
    }

    /// New samples of a point; none where it is out of the question, which is taken note of.
    fn fresh(&mut self, point: &Point, count: usize) -> Result<Option<Vec<f64>>, String> {
        let tuning = tuning(&self.defaults, point).map_err(|error| error.to_string())?;
        match self.bench.ratios(&tuning, count) {
            Ok(ratios) => Ok(Some(ratios)),
            Err(Fault::Bench(reason)) => Err(reason),
            Err(Fault::Point(reason)) => {
                let place = self.record.place(point);
                self.record.tried[place].refused = Some(reason);
                (self.measured)(&self.record);
                Ok(None)
            }
        }
    }

    /// The best point, without those of its changes that make no certain difference, and how long it takes. What decides are
    /// measurements that had no part in choosing what is decided about: the best of many is partly the luckiest.
    fn winner(&mut self) -> Result<Option<(Point, Interval)>, String> {
        let finalists: Vec<Point> = self
            .record
            .best(FIRST_RUNG * HALVING)
            .iter()
            .take(FINALISTS)
            .map(|tried| tried.point.clone())
            .collect();
        let mut best: Option<(Point, Interval)> = None;
        for point in finalists {
            if let Some(interval) = self.decide(&point)?
                && best.as_ref().is_none_or(|(_, best)| interval.median < best.median)
            {
                best = Some((point, interval));
            }
        }
        let Some((mut winner, best)) = best else { return Ok(None) };
        for name in winner.clone().into_keys() {
            let mut simpler = winner.clone();
            simpler.remove(&name);
            if !simpler.is_empty()
                && let Some(interval) = self.decide(&simpler)?
                && interval.low <= best.high
            {
                winner = simpler;
            }
        }
        Ok(self.decide(&winner)?.map(|interval| (winner, interval)))
    }

    /// How long a point takes, if that is less than the defaults for certain.
    fn decide(&mut self, point: &Point) -> Result<Option<Interval>, String> {
        if !self.can_do(point) {
            return Ok(None);
        }
        let interval = self.fresh(point, DECIDES)?.map(|ratios| statistics::median(&ratios));
        Ok(interval.filter(|interval| interval.high < 1.0))
    }

    /// The two parameters whose values, alone, made most of a difference, all pairs of which are measured as far as there is time.
    fn landscape(&mut self) -> Result<Option<[&'static str; 2]>, String> {
        let spread = |name: &str| {
            let of_it = self.record.tried.iter().filter(|tried| {
                tried.point.len() == 1 && tried.point.contains_key(name) && tried.refused.is_none()
            });
            let medians = of_it.map(|tried| tried.interval().median.ln().abs());
            medians.filter(|spread| spread.is_finite()).fold(0.0, f64::max)
        };
        let mut names: Vec<(&'static str, f64)> = Tuning::parameters()
            .iter()
            .map(|parameter| (parameter.name(), spread(parameter.name())))
            .filter(|(_, spread)| *spread > 0.0)
            .collect();
        names.sort_by(|one, other| other.1.total_cmp(&one.1));
        let &[(first, _), (second, _), ..] = &names[..] else { return Ok(None) };
        for point in self.grid([first, second]) {
            if self.bench.spent() >= 1.0 {
                break;
            }
            self.measure(&point, FIRST_RUNG)?;
        }
        Ok(Some([first, second]))
    }

    /// All pairs of values of two parameters that the device can do, the defaults among them. A default is no change.
    pub fn grid(&self, names: [&str; 2]) -> Vec<Point> {
        let [first, second] = names.map(|name| {
            let parameter = Tuning::parameters().iter().find(|one| one.name() == name);
            let mut values = parameter.map_or(Vec::new(), |parameter| parameter.values());
            values.extend(self.defaults.get(name));
            values.sort_unstable();
            values.dedup();
            values
        });
        let pairs = first.iter().flat_map(|one| second.iter().map(move |other| [*one, *other]));
        let points = pairs.map(|values| {
            let changed = names.into_iter().zip(values);
            let changed = changed.filter(|(name, value)| self.defaults.get(name) != Some(*value));
            changed.map(|(name, value)| (name.to_owned(), value)).collect()
        });
        points.filter(|point| self.can_do(point)).collect()
    }
}

#[cfg(test)]
mod tests {
    use vkscan::{Backend, BackendOptions, TuningProfile};

    use super::*;

    /// A device on which some parameters matter, that measures with noise.
    struct Made<'a> {
        rng: Rng,
        cost: &'a dyn Fn(&Tuning) -> Result<f64, Fault>,
        asked: usize,
    }

    /// Measurements that there are to spend.
    const MEASUREMENTS: f64 = 3000.0;

    impl Bench for Made<'_> {
        fn ratios(&mut self, tuning: &Tuning, count: usize) -> Result<Vec<f64>, Fault> {
            let cost = (self.cost)(tuning)?;
            self.asked += count;
            Ok((0..count).map(|_| cost * (0.97 + 0.06 * self.rng.f64())).collect())
        }

        fn spent(&self) -> f64 {
            self.asked as f64 / MEASUREMENTS
        }
    }

    type Cost<'a> = &'a dyn Fn(&Tuning) -> Result<f64, Fault>;

    fn searched(cost: Cost, record: Option<Record>) -> (Result<Outcome, String>, Record) {
        let backend = Backend::new(&BackendOptions::default()).unwrap();
        let info = backend.device_info();
        let defaults = Tuning::for_device(info);
        let of = TuningProfile::new(info, &defaults, "made up".to_owned());
        let mut search = Search {
            bench: Made { rng: Rng::with_seed(1), cost, asked: 0 },
            defaults,
            info,
            record: record.unwrap_or_else(|| Record::new(of)),
            measured: &mut |_| {},
            rng: Rng::with_seed(2),
        };
        let outcome = search.run();
        (outcome, search.record)
    }

    fn value(tuning: &Tuning, name: &str) -> u64 {
        tuning.get(name).unwrap()
    }

    #[test]
    fn what_is_better_is_found_and_nothing_else_is_changed() {
        let cost = |tuning: &Tuning| {
            let slices = if value(tuning, "slice_bytes") == 1 << 18 { 0.9 } else { 1.0 };
            let tile = if value(tuning, "select_tile") == 512 { 0.8 } else { 1.0 };
            Ok(slices * tile)
        };
        let (outcome, record) = searched(&cost, None);
        let Outcome { winner, landscape } = outcome.unwrap();
        let (point, interval) = winner.unwrap();
        let best = [("select_tile".to_owned(), 512), ("slice_bytes".to_owned(), 1 << 18)].into();
        assert_eq!(point, best);
        assert!(
            interval.low < 0.72 && 0.72 < interval.high && interval.high < 0.75,
            "{interval:?}"
        );
        assert_eq!(landscape, Some(["select_tile", "slice_bytes"]));
        // What is known is not measured again: there is more for what is new.
        let known = record.tried.len();
        let (again, record) = searched(&cost, Some(record));
        assert_eq!(again.unwrap().winner.unwrap().0, best);
        assert!(record.tried.len() > known + COMBINATIONS);
    }

    #[test]
    fn noise_wins_nothing() {
        let (outcome, record) = searched(&|_| Ok(1.0), None);
        assert!(outcome.unwrap().winner.is_none() && record.tried.len() > 50);
    }

    /// However fast it is: what is wrong does not win, and is not measured again.
    #[test]
    fn what_is_wrong_is_out_of_the_question() {
        let cost = |tuning: &Tuning| match value(tuning, "select_tile") {
            512 => Err(Fault::Point("3 matches of 4".to_owned())),
            _ if value(tuning, "slice_bytes") == 1 << 18 => Ok(0.9),
            _ => Ok(1.0),
        };
        let (outcome, record) = searched(&cost, None);
        assert_eq!(
            outcome.unwrap().winner.unwrap().0,
            [("slice_bytes".to_owned(), 1 << 18)].into()
        );
        let wrong: Vec<&Tried> = record
            .tried
            .iter()
            .filter(|tried| tried.point.get("select_tile") == Some(&512))
            .collect();
        assert!(!wrong.is_empty());
        for tried in wrong {
            assert!(tried.ratios.is_empty() && tried.refused.as_deref() == Some("3 matches of 4"));
        }
    }

    /// What is faster for certain does not lose to a part of it that is not.
    #[test]
    fn what_is_faster_together_stays_together() {
        let cost = |tuning: &Tuning| {
            let [slices, tile] =
                [value(tuning, "slice_bytes") == 1 << 18, value(tuning, "select_tile") == 512];
            Ok(match (slices, tile) {
                (true, true) => 0.8,
                (true, false) | (false, true) => 0.995,
                _ => 1.0,
            })
        };
        let (outcome, _) = searched(&cost, None);
        if let Some((point, _)) = outcome.unwrap().winner {
            assert_eq!(point.len(), 2, "{point:?}");
        }
    }

    #[test]
    fn without_a_bench_nothing_is_said_of_a_point() {
        let asked = std::cell::Cell::new(0);
        let cost = |_: &Tuning| {
            asked.set(asked.get() + 1);
            if asked.get() > 10 {
                Err(Fault::Bench("the device is gone".to_owned()))
            } else {
                Ok(1.0)
            }
        };
        let (outcome, record) = searched(&cost, None);
        assert_eq!(outcome.err().as_deref(), Some("the device is gone"));
        assert!(asked.get() == 11 && record.tried.iter().all(|tried| tried.refused.is_none()));
    }

    /// Of all points that are asked for, none is one that the device cannot do, and every parameter is tried that has another
    /// value that it can.
    #[test]
    fn restrictions_hold() {
        let backend = Backend::new(&BackendOptions::default()).unwrap();
        let info = backend.device_info().clone();
        let defaults = Tuning::for_device(&info);
        let cost = |tuning: &Tuning| {
            tuning.check(&info).unwrap();
            Ok(1.0 / value(tuning, "step_budget") as f64 * value(tuning, "select_lanes") as f64)
        };
        let (outcome, record) = searched(&cost, None);
        assert!(outcome.is_ok());
        for parameter in Tuning::parameters() {
            let name = parameter.name();
            assert!(parameter.values().is_sorted(), "{name}");
            let own = value(&defaults, name);
            let near = |value: &u64| {
                let mut tuning = defaults;
                tuning.set(name, *value).unwrap();
                *value != own && tuning.check(&info).is_ok()
            };
            let values = parameter.values();
            let below = values.iter().rfind(|value| **value < own);
            let above = values.iter().find(|value| **value > own);
            let can_try = below.into_iter().chain(above).any(near);
            let was_tried = record.tried.iter().any(|tried| tried.point.contains_key(name));
            assert_eq!(was_tried, can_try, "{name}");
        }
    }
}
