//! The byte sets of a rule, by number, and what is known of each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use regex_syntax::hir::Class;

use super::frequency::{ByteSetModel, window_probability};
use crate::rules::automata::position_nfa::{ByteSet, insert};

/// A string of byte sets, by their numbers in an alphabet.
pub(crate) type Path = Vec<u16>;

/// The byte sets of a rule, and what is known of each, and of each four in a row.
pub(crate) struct Alphabet {
    pub(crate) models: Vec<ByteSetModel>,
    numbers: HashMap<ByteSet, u16>,
    /// How many grams four in a row make, and how often typical data has them.
    costs: HashMap<Path, (usize, f64)>,
}

impl Alphabet {
    /// Of the set of all bytes.
    pub(crate) const ANY: u16 = 0;

    pub(crate) fn new() -> Alphabet {
        let mut alphabet =
            Alphabet { models: Vec::new(), numbers: HashMap::new(), costs: HashMap::new() };
        alphabet.number(ANY);
        alphabet
    }

    /// None if there are more sets than numbers.
    pub(crate) fn number(&mut self, set: ByteSet) -> Option<u16> {
        match self.numbers.entry(set) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) => {
                let number = u16::try_from(self.models.len()).ok()?;
                self.models.push(ByteSetModel::new(set));
                Some(*entry.insert(number))
            }
        }
    }

    pub(crate) fn models_of<'a>(
        &'a self,
        path: &'a [u16],
    ) -> impl Iterator<Item = &'a ByteSetModel> {
        path.iter().map(|&number| &self.models[usize::from(number)])
    }

    pub(crate) fn cost(&mut self, window: &[u16]) -> (usize, f64) {
        if let Some(cost) = self.costs.get(window) {
            return *cost;
        }
        let models: Vec<&ByteSetModel> = self.models_of(window).collect();
        let count = models.iter().map(|model| model.folded.len()).product::<usize>();
        let cost = (count, window_probability(&models));
        self.costs.insert(window.to_vec(), cost);
        cost
    }
}

/// Every byte.
pub(crate) const ANY: ByteSet = [u32::MAX; 8];

/// The bytes in these ranges, whose ends are in them.
pub(crate) fn set_of(ranges: &[[u8; 2]]) -> ByteSet {
    let mut set = [0; 8];
    for byte in ranges.iter().flat_map(|[first, last]| *first..=*last) {
        insert(&mut set, byte);
    }
    set
}

/// The bytes of a class; none if it has characters of several bytes.
pub(crate) fn byte_set(class: &Class) -> Option<ByteSet> {
    match class {
        Class::Bytes(class) => {
            let ranges: Vec<_> =
                class.ranges().iter().map(|range| [range.start(), range.end()]).collect();
            Some(set_of(&ranges))
        }
        Class::Unicode(class) => class.to_byte_class().filter(|_| class.is_ascii()).map(|class| {
            let ranges: Vec<_> =
                class.ranges().iter().map(|range| [range.start(), range.end()]).collect();
            set_of(&ranges)
        }),
    }
}
