//! The byte classes of class windows: as few as the kernel tells apart, chosen so that class windows are rare.
//!
//! Bytes that no set of any class window tells apart are one class to begin with; classes are joined, two at a time
//! where that costs least, until there are [`ByteClasses::COUNT`]. What a join costs is counted over the class windows,
//! so it is for few classes and class windows only: where there are more of either, classes are joined by an estimate
//! first, and the cost is counted over some of the class windows. Both choose byte classes, and no choice of them loses a match.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::rules::Rule;
use crate::rules::automata::position_nfa::{ByteSet, contains, insert};
use crate::rules::prefilter::frequency::{Model, class_window_probability, models};
use crate::rules::prefilter::gram::{CLASS_WINDOW, ClassWindow};
use crate::rules::prefilter::reaches::Buckets;
use crate::shaders::layout;

/// The four classes of bytes that a pass's class windows are told by.
pub(crate) struct ByteClasses {
    pub(crate) of_byte: [u8; 256],
}

/// Classes that are joined by counting what it costs: a set of them is 16 bits.
const MOST_COUNTED: usize = 16;
/// Class windows that it is counted over, and sets that the estimate is made of.
const MOST_CLASS_WINDOWS: usize = 256;
const MOST_SETS: usize = 256;

impl ByteClasses {
    pub(crate) const COUNT: usize = 1 << layout::CLASS_WINDOW_CLASS_BITS;

    /// Divides the bytes so that class windows are rare. Rules whose class windows are not, for want of byte classes, are
    /// no longer `prefiltered`.
    pub(crate) fn of(rules: &[Rule], prefiltered: &mut [bool]) -> ByteClasses {
        /// Rules beyond which four byte classes cannot be enough.
        const MOST_RULES: usize = 32;
        /// Class windows for each byte beyond which looking for them does not pay.
        const MOST_FREQUENT: f64 = 1e-2;
        /// Rows of byte classes that a rule's class windows may be, all together.
        const MOST_ROWS: usize = 1 << 17;

        let of_rule = |rule: &Rule| -> Vec<ClassWindow> {
            rule.splits.iter().flat_map(|split| &split.class_windows).copied().collect()
        };
        let class_windows: Vec<(usize, Vec<ClassWindow>)> =
            rules.iter().map(of_rule).enumerate().filter(|(_, found)| !found.is_empty()).collect();
        let mut classes = ByteClasses { of_byte: [0; 256] };
        let all: Vec<&ClassWindow> = class_windows.iter().flat_map(|(_, found)| found).collect();
        let is_few = class_windows.len() <= MOST_RULES;
        if !class_windows.is_empty() && is_few {
            classes = ByteClasses::least_frequent(&evenly(&all, MOST_CLASS_WINDOWS));
        }
        // What no bucket has is not looked for in the lists.
        let of_buckets = LazyCell::new(|| Buckets::of(all.iter().copied()).frequency());
        for (rule, class_windows) in &class_windows {
            let rows: usize = class_windows.iter().map(|found| classes.row_count(found)).sum();
            let is_rare = classes.frequency(class_windows) <= MOST_FREQUENT
                || is_few && *of_buckets <= MOST_FREQUENT;
            prefiltered[*rule] = rows <= MOST_ROWS && is_rare;
        }
        classes
    }

    fn least_frequent(class_windows: &[&ClassWindow]) -> ByteClasses {
        let sets: BTreeSet<ByteSet> = class_windows.iter().flat_map(|found| found.sets).collect();
        let sets: Vec<ByteSet> = sets.into_iter().collect();
        let mut classes = Classes::told_by(&sets);
        if classes.bytes.len() > MOST_COUNTED {
            classes.join_alike(&evenly(&sets, MOST_SETS));
        }
        classes.join_rarely(class_windows);
        classes.classes()
    }

    /// Which classes the bytes of a set are of.
    fn in_set(&self, set: &ByteSet) -> [bool; ByteClasses::COUNT] {
        let mut found = [false; ByteClasses::COUNT];
        for byte in (0..=255).filter(|&byte| contains(set, byte)) {
            found[usize::from(self.of_byte[usize::from(byte)])] = true;
        }
        found
    }

    /// How often typical data has what these classes cannot tell from one of the class windows.
    fn frequency(&self, class_windows: &[ClassWindow]) -> f64 {
        let mut of_class = [ByteSet::default(); ByteClasses::COUNT];
        for byte in 0..=255_u8 {
            insert(&mut of_class[usize::from(self.of_byte[usize::from(byte)])], byte);
        }
        let widened = |set: &ByteSet| -> ByteSet {
            let found =
                of_class.iter().filter(|class| class.iter().zip(set).any(|(a, b)| a & b != 0));
            found.fold(ByteSet::default(), |all, class| {
                std::array::from_fn(|at| all[at] | class[at])
            })
        };
        let joined = class_windows.iter().map(|found| found.sets.map(|set| widened(&set)));
        joined.map(|sets| class_window_probability(sets.iter())).sum()
    }

    /// How many rows of byte classes a class window may be.
    fn row_count(&self, class_window: &ClassWindow) -> usize {
        let classes = |set| self.in_set(set).into_iter().filter(|is_found| *is_found).count();
        class_window.sets.iter().map(classes).product()
    }

    /// The numbers of all rows of byte classes that a class window may be.
    pub(crate) fn spell(&self, class_window: &ClassWindow) -> Vec<u32> {
        class_window.sets.iter().fold(vec![0], |rows, set| {
            let found = self.in_set(set);
            let classes = (0..).zip(found).filter(|(_, is_found)| *is_found);
            classes
                .flat_map(|(class, _)| {
                    rows.iter().map(move |row| row << layout::CLASS_WINDOW_CLASS_BITS | class)
                })
                .collect()
        })
    }
}

/// The bytes, divided.
struct Classes {
    bytes: Vec<ByteSet>,
}

impl Classes {
    /// Bytes are in one class if no set tells them apart.
    fn told_by(sets: &[ByteSet]) -> Classes {
        let mut bytes: Vec<ByteSet> = Vec::new();
        let mut known: HashMap<Vec<bool>, usize> = HashMap::new();
        for byte in 0..=255_u8 {
            let key = sets.iter().map(|set| contains(set, byte)).collect();
            let class = *known.entry(key).or_insert_with(|| {
                bytes.push(ByteSet::default());
                bytes.len() - 1
            });
            insert(&mut bytes[class], byte);
        }
        Classes { bytes }
    }

    fn join(&mut self, one: usize, other: usize) {
        let joined = self.bytes.remove(other);
        self.bytes[one].iter_mut().zip(joined).for_each(|(all, bytes)| *all |= bytes);
    }

    /// Joins classes until costs can be counted: those first that sets tell apart which grow least by it, in
    /// proportion.
    fn join_alike(&mut self, sets: &[ByteSet]) {
        let [text, binaries] = models();
        let probability = |set: &ByteSet| text.probability_of(set) + binaries.probability_of(set);
        let of_sets: Vec<f64> = sets.iter().map(|set| probability(set).max(1e-9)).collect();
        let meets = |bytes: &ByteSet| -> Vec<bool> {
            sets.iter().map(|set| set.iter().zip(bytes).any(|(a, b)| a & b != 0)).collect()
        };
        let mut met: Vec<Vec<bool>> = self.bytes.iter().map(meets).collect();
        let mut of_classes: Vec<f64> = self.bytes.iter().map(probability).collect();
        while self.bytes.len() > MOST_COUNTED {
            // The rarest class, so that each join looks at as many pairs as there are classes.
            let by_frequency =
                |one: &usize, other: &usize| of_classes[*one].total_cmp(&of_classes[*other]);
            let rarest = (0..self.bytes.len()).min_by(by_frequency).expect("there are classes");
            let growth = |other: usize| -> f64 {
                let of_set = |(at, of_set): (usize, &f64)| match [met[rarest][at], met[other][at]] {
                    [true, false] => of_classes[other] / of_set,
                    [false, true] => of_classes[rarest] / of_set,
                    _ => 0.0,
                };
                of_sets.iter().enumerate().map(of_set).sum()
            };
            let others = (0..self.bytes.len()).filter(|&other| other != rarest);
            let (_, other) = others
                .map(|other| (growth(other), other))
                .min_by(|one, other| one.0.total_cmp(&other.0))
                .expect("there are many classes");
            let (one, other) = (rarest.min(other), rarest.max(other));
            self.join(one, other);
            let gone = met.remove(other);
            met[one].iter_mut().zip(gone).for_each(|(met, gone)| *met |= gone);
            of_classes[one] += of_classes.remove(other);
        }
    }

    /// Joins classes until they are as few as the kernel tells apart, where that makes the class windows least frequent.
    fn join_rarely(&mut self, class_windows: &[&ClassWindow]) {
        while self.bytes.len() > ByteClasses::COUNT {
            let counted = Counted::new(&self.bytes, class_windows);
            let count = self.bytes.len();
            let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other)));
            let costs = pairs.map(|(one, other)| (counted.cost_of_joining(one, other), one, other));
            let best = costs.min_by(|one, other| one.0.total_cmp(&other.0));
            let (_, one, other) = best.expect("more than four classes make pairs");
            self.join(one, other);
        }
    }

    fn classes(&self) -> ByteClasses {
        let mut classes = ByteClasses { of_byte: [0; 256] };
        for (class, bytes) in (0_u8..).zip(&self.bytes) {
            for byte in (0..=255).filter(|&byte| contains(bytes, byte)) {
                classes.of_byte[usize::from(byte)] = class;
            }
        }
        classes
    }
}

/// Class windows as sets of classes, each with how many there are, and what makes their frequency.
struct Counted {
    class_windows: BTreeMap<[u16; CLASS_WINDOW], u32>,
    models: [OfClasses; 2],
}

/// What a model has of sets of classes.
struct OfClasses {
    model: &'static Model,
    /// How often a byte is in a set of the first eight classes, and in one of the others.
    halves: [Vec<f64>; 2],
    /// The class that has the byte which comes in runs.
    run: u16,
}

impl OfClasses {
    fn new(model: &'static Model, classes: &[ByteSet]) -> OfClasses {
        let of_class = |at: usize| classes.get(at).map_or(0.0, |class| model.probability_of(class));
        let half = |first: usize| -> Vec<f64> {
            let held = |set: usize| (0..8).filter(move |at| set >> at & 1 == 1);
            (0..256).map(|set| held(set).map(|at| of_class(first + at)).sum()).collect()
        };
        let (byte, _) = model.run;
        let run = classes.iter().position(|class| contains(class, byte));
        OfClasses {
            model,
            halves: [half(0), half(8)],
            run: 1 << run.expect("every byte is in a class"),
        }
    }

    fn frequency(&self, sets: &[u16; CLASS_WINDOW]) -> f64 {
        let of_set = |set: &u16| {
            let [low, high] = set.to_le_bytes();
            self.halves[0][usize::from(low)] + self.halves[1][usize::from(high)]
        };
        let is_run = sets.iter().all(|set| set & self.run != 0);
        self.model.with_runs(sets.iter().map(of_set).product(), is_run)
    }
}

impl Counted {
    fn new(classes: &[ByteSet], class_windows: &[&ClassWindow]) -> Counted {
        let in_set = |set: ByteSet| {
            let meets = |class: &ByteSet| class.iter().zip(set).any(|(a, b)| a & b != 0);
            let classes = classes.iter().enumerate().filter(|(_, class)| meets(class));
            classes.fold(0_u16, |all, (at, _)| all | 1 << at)
        };
        let mut counts = BTreeMap::new();
        for found in class_windows {
            *counts.entry(found.sets.map(in_set)).or_insert(0) += 1;
        }
        Counted {
            class_windows: counts,
            models: models().map(|model| OfClasses::new(model, classes)),
        }
    }

    /// How often typical data has what cannot be told from one of the class windows, once two classes are one.
    fn cost_of_joining(&self, one: usize, other: usize) -> f64 {
        let both = 1_u16 << one | 1 << other;
        let join = |set: u16| if set & both != 0 { set | both } else { set };
        let of_window = |(sets, count): (&[u16; CLASS_WINDOW], &u32)| {
            let sets = sets.map(join);
            let frequency: f64 = self.models.iter().map(|model| model.frequency(&sets)).sum();
            f64::from(*count) * frequency
        };
        self.class_windows.iter().map(of_window).sum()
    }
}

/// So many of them, evenly spread; all if they are no more.
fn evenly<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    all.iter().copied().step_by(all.len().div_ceil(most).max(1)).collect()
}
