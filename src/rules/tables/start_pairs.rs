//! The first two bytes of a rule's matches, as its DFA tells them.

use crate::rules::automata::partial_dfa::{self, PartialDfa};
use crate::shaders::layout;

/// Which pairs of first bytes may begin a match of a rule, by byte class.
pub(crate) struct StartPairs<'a> {
    dfa: &'a PartialDfa,
    /// A row for every class of the first byte, a column for every class of the second and the end.
    alive: Vec<Vec<bool>>,
}

impl StartPairs<'_> {
    pub(crate) fn of(dfa: &PartialDfa) -> StartPairs<'_> {
        let class_count = dfa.stride - 1;
        let mut initial: Vec<u32> =
            (0..dfa.stride).map(|before| partial_dfa::target(dfa.entry(0, before))).collect();
        initial.sort_unstable();
        initial.dedup();
        initial.retain(|&row| row != layout::ROW_DEAD);
        let alive = (0..class_count)
            .map(|first| {
                let mut row = vec![false; dfa.stride as usize];
                for &start in &initial {
                    match partial_dfa::target(dfa.entry(start, first)) {
                        layout::ROW_DEAD => {}
                        layout::ROW_ESCAPE => row.fill(true),
                        next => {
                            for second in 0..dfa.stride {
                                let entry = dfa.entry(next, second);
                                row[second as usize] |= partial_dfa::is_match(entry)
                                    || partial_dfa::target(entry) != layout::ROW_DEAD;
                            }
                        }
                    }
                }
                row
            })
            .collect();
        StartPairs { dfa, alive }
    }

    pub(crate) fn row(&self, first: u8) -> &[bool] {
        &self.alive[usize::from(self.dfa.classes[usize::from(first)])]
    }

    pub(crate) fn column(&self, second: usize) -> usize {
        self.dfa.classes.get(second).map_or(self.dfa.stride as usize - 1, |&class| class.into())
    }

    pub(crate) fn pair_count(&self) -> usize {
        let mut width = vec![0_usize; self.dfa.stride as usize];
        (0..layout::PAIR_COLUMNS as usize).for_each(|second| width[self.column(second)] += 1);
        let rows = self.alive.iter().map(|row| {
            row.iter().zip(&width).filter(|(alive, _)| **alive).map(|(_, width)| width).sum()
        });
        let by_class: Vec<usize> = rows.collect();
        (0..=255_u8).map(|first| by_class[usize::from(self.dfa.classes[usize::from(first)])]).sum()
    }
}
