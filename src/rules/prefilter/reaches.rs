//! Class windows as the reach of every byte, for a look at each byte that is cheaper than one at its class window.
//!
//! Shift-And (R. Baeza-Yates, G. Gonnet, "A New Approach to Text Searching", 1992) keeps a bit for each place of a
//! class window, and for every byte a mask, its *reach*: the places that it may have. A step for each byte shifts the bits
//! by one place and takes those that the reach has. There is room for four class windows; where there are more they
//! share *buckets*, each of which asks at every place for any byte that one of its class windows has there. What
//! Hyperscan's FDR and Teddy call a bucket is the same, of literals.

use std::collections::BTreeSet;

use crate::rules::automata::position_nfa::{ByteSet, contains};
use crate::rules::prefilter::frequency::class_window_probability;
use crate::rules::prefilter::gram::{CLASS_WINDOW, ClassWindow};
use crate::shaders::layout;

type Sets = [ByteSet; CLASS_WINDOW];

/// Class windows by the buckets that they share, so that these are rare, as far as taking one after the other leads to that.
pub(crate) struct Buckets([(Sets, f64); layout::CLASS_WINDOW_BUCKETS as usize]);

impl Buckets {
    pub(crate) fn of<'a>(class_windows: impl Iterator<Item = &'a ClassWindow>) -> Buckets {
        let known: BTreeSet<Sets> = class_windows.map(|found| found.sets).collect();
        let mut class_windows: Vec<(f64, Sets)> =
            known.into_iter().map(|sets| (frequency(&sets), sets)).collect();
        // The most frequent ones have a bucket of their own as long as there are any.
        class_windows.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut buckets =
            [([ByteSet::default(); CLASS_WINDOW], 0.0); layout::CLASS_WINDOW_BUCKETS as usize];
        for (_, sets) in class_windows {
            if buckets.iter().any(|(bucket, _)| join(bucket, &sets) == *bucket) {
                continue;
            }
            let joined = buckets.map(|(bucket, before)| {
                let joined = join(&bucket, &sets);
                let after = frequency(&joined);
                (after - before, joined, after)
            });
            let best = (0..).zip(joined).min_by(|(_, one), (_, other)| one.0.total_cmp(&other.0));
            let (bucket, (_, joined, after)) = best.expect("there are buckets");
            let bucket: usize = bucket;
            buckets[bucket] = (joined, after);
        }
        Buckets(buckets)
    }

    /// How often typical data has what a bucket asks for.
    pub(crate) fn frequency(&self) -> f64 {
        self.0.iter().map(|(_, frequency)| frequency).sum()
    }

    /// The reach of every byte.
    pub(crate) fn reaches(&self) -> [u32; 256] {
        let mut reaches = [0; 256];
        for (byte, reach) in (0..=255).zip(&mut reaches) {
            for (bucket, (sets, _)) in (0..).zip(&self.0) {
                // Bytes are taken from the last to the first.
                for (place, set) in (0..layout::CLASS_WINDOW_BYTES).rev().zip(sets) {
                    *reach |= u32::from(contains(set, byte))
                        << (bucket * layout::CLASS_WINDOW_BYTES + place);
                }
            }
        }
        reaches
    }
}

fn frequency(sets: &Sets) -> f64 {
    class_window_probability(sets.iter())
}

fn join(one: &Sets, other: &Sets) -> Sets {
    std::array::from_fn(|place| std::array::from_fn(|word| one[place][word] | other[place][word]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::automata::position_nfa::insert;

    /// Whether some bucket's class window begins with these bytes, as the kernel finds out.
    fn is_found(reaches: &[u32; 256], bytes: &[u8; CLASS_WINDOW]) -> bool {
        let step = |places: u32, byte: &u8| (places << 1 | 0x0101_0101) & reaches[*byte as usize];
        bytes.iter().rev().fold(0, step) & 0x8080_8080 != 0
    }

    proptest! {
        #[test]
        fn no_class_window_is_lost(
            bytes in prop::collection::vec(prop::collection::vec(any::<[u8; CLASS_WINDOW]>(), 1..4), 1..12),
        ) {
            let window = |bytes: &Vec<[u8; CLASS_WINDOW]>| {
                let mut sets = [ByteSet::default(); CLASS_WINDOW];
                for row in bytes {
                    sets.iter_mut().zip(row).for_each(|(set, byte)| insert(set, *byte));
                }
                ClassWindow { sets, offset: 0 }
            };
            let class_windows: Vec<ClassWindow> = bytes.iter().map(window).collect();
            let reaches = Buckets::of(class_windows.iter()).reaches();
            for row in bytes.iter().flatten() {
                prop_assert!(is_found(&reaches, row));
            }
        }
    }

    #[test]
    fn few_class_windows_are_told_exactly() {
        let window = |text: &[u8; CLASS_WINDOW]| {
            let sets = text.map(|byte| {
                let mut set = ByteSet::default();
                insert(&mut set, byte);
                set
            });
            ClassWindow { sets, offset: 0 }
        };
        let texts = [b"abcdefgh", b"12345678", b"--------", b"hgfedcba"];
        let reaches = Buckets::of(texts.map(window).iter()).reaches();
        assert!(texts.iter().all(|text| is_found(&reaches, text)));
        assert!(!is_found(&reaches, b"abcdefg8"));
        assert!(!is_found(&reaches, b"1234defgh".first_chunk().unwrap()));
    }
}
