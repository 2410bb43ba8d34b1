//! The letters that sequences are spelt in: as few as the kernel tells apart, chosen so that sequences are rare.

use std::collections::{BTreeSet, HashMap};

use super::Rule;
use super::factor::Sequence;
use super::frequency::sequence_probability;
use super::nfa::{ByteSet, contains};
use crate::shaders::layout;

/// The four classes of bytes that a pass's sequences are told by.
pub(super) struct Letters {
    pub(super) of_byte: [u8; 256],
}

impl Letters {
    const COUNT: usize = 1 << layout::SEQUENCE_LETTER_BITS;

    /// Divides the bytes so that sequences are rare. Rules whose sequences are not, for want of letters, are
    /// no longer `filtered`.
    pub(super) fn of(rules: &[Rule], filtered: &mut [bool]) -> Letters {
        /// Rules beyond which four letters cannot be enough.
        const MOST_RULES: usize = 32;
        /// Sequences for each byte beyond which looking for them does not pay.
        const MOST_FREQUENT: f64 = 1e-2;

        let of_rule = |rule: &Rule| -> Vec<Sequence> {
            rule.branches.iter().flat_map(|branch| &branch.sequences).copied().collect()
        };
        let sequences: Vec<(usize, Vec<Sequence>)> =
            rules.iter().map(of_rule).enumerate().filter(|(_, found)| !found.is_empty()).collect();
        let mut letters = Letters { of_byte: [0; 256] };
        if sequences.len() <= MOST_RULES {
            letters = Letters::least_frequent(&sequences);
        }
        for (rule, sequences) in &sequences {
            filtered[*rule] = letters.frequency(sequences) <= MOST_FREQUENT;
        }
        letters
    }

    /// Tells all bytes apart that any set does, and then joins classes where it costs least.
    fn least_frequent(sequences: &[(usize, Vec<Sequence>)]) -> Letters {
        let mut letters = Letters { of_byte: [0; 256] };
        let mut renamed: HashMap<Vec<bool>, u8> = HashMap::new();
        let sets: BTreeSet<_> =
            sequences.iter().flat_map(|(_, found)| found).flat_map(|found| found.sets).collect();
        for byte in 0..=255_u8 {
            let key = sets.iter().map(|set| contains(set, byte)).collect();
            let next = renamed.len() as u8;
            letters.of_byte[usize::from(byte)] = *renamed.entry(key).or_insert(next);
        }
        let mut count = renamed.len() as u8;
        while usize::from(count) > Letters::COUNT {
            let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
            let joined = pairs.map(|(a, b)| {
                let join = |letter: u8| match letter {
                    letter if letter == b => a,
                    letter if letter > b => letter - 1,
                    letter => letter,
                };
                Letters { of_byte: letters.of_byte.map(join) }
            });
            let cost = |letters: &Letters| -> f64 {
                sequences.iter().map(|(_, found)| letters.frequency(found)).sum()
            };
            let costs = joined.map(|letters| (cost(&letters), letters));
            let best = costs.min_by(|one, other| one.0.total_cmp(&other.0));
            letters = best.expect("more than four classes make pairs").1;
            count -= 1;
        }
        letters
    }

    /// Which letters the bytes of a set have.
    fn in_set(&self, set: &ByteSet) -> [bool; 256] {
        let mut found = [false; 256];
        for byte in (0..=255).filter(|&byte| contains(set, byte)) {
            found[usize::from(self.of_byte[usize::from(byte)])] = true;
        }
        found
    }

    /// How often typical data has what these letters cannot tell from one of the sequences.
    fn frequency(&self, sequences: &[Sequence]) -> f64 {
        let mut of_letter = [ByteSet::default(); 256];
        for byte in 0..=255_u8 {
            let set = &mut of_letter[usize::from(self.of_byte[usize::from(byte)])];
            set[usize::from(byte >> 5)] |= 1 << (byte & 31);
        }
        let widened = |set: &ByteSet| -> ByteSet {
            let found =
                of_letter.iter().filter(|letter| letter.iter().zip(set).any(|(a, b)| a & b != 0));
            found.fold(ByteSet::default(), |all, letter| {
                std::array::from_fn(|at| all[at] | letter[at])
            })
        };
        let joined = sequences.iter().map(|found| found.sets.map(|set| widened(&set)));
        joined.map(|sets| sequence_probability(sets.iter())).sum()
    }

    /// The numbers of all rows of letters that a sequence may be.
    pub(super) fn spell(&self, sequence: &Sequence) -> Vec<u32> {
        sequence.sets.iter().fold(vec![0], |rows, set| {
            let found = self.in_set(set);
            let letters = (0..Letters::COUNT as u32).filter(|&letter| found[letter as usize]);
            letters
                .flat_map(|letter| {
                    rows.iter().map(move |row| row << layout::SEQUENCE_LETTER_BITS | letter)
                })
                .collect()
        })
    }
}
