//! Which of the hits that a scan has found count.
//!
//! | file | story |
//! |---|---|
//! | `leftmost.rs` | leftmost-first matches: the first one of a pattern, then the first one behind it |
//! | `ambiguous.rs` | what hits leave open, so that starts have to be verified again |
//! | `sort.rs` | hits in order |

mod ambiguous;
mod leftmost;
pub(crate) mod sort;

use std::ops::Range;

use rayon::prelude::*;

pub(crate) use ambiguous::{AmbiguousRange, SuffixReport, remove_held};
pub(crate) use leftmost::LeftmostSelector;

use crate::Match;
use crate::parallel::pool;
use sort::MANY;

/// Pieces that threads take of very many matches, in whole patterns.
const PIECES: usize = 64;

/// A start from which a pattern may match or not: the haystack went on where its walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Undecided {
    pub(crate) pattern_id: u32,
    pub(crate) start: u32,
}

/// Where those of a pattern lie among sorted matches.
pub(crate) fn of_pattern(matches: &[Match], pattern_id: u32) -> Range<usize> {
    let first = matches.partition_point(|found| found.pattern_id < pattern_id);
    let behind = matches.partition_point(|found| found.pattern_id <= pattern_id);
    first..behind
}

/// The matches that count, in order, where candidates lay.
pub(crate) struct Selected<'a> {
    pieces: [&'a [Match]; PIECES],
}

impl<'a> Selected<'a> {
    /// Leaves to `counts`, which gets the sorted candidates of a pattern in order, which of them count.
    fn new<F: FnMut(&Match) -> bool>(
        candidates: &'a mut [Match],
        counts: impl Fn() -> F + Sync,
    ) -> Selected<'a> {
        let is_many = candidates.len() >= MANY;
        let borders = borders(candidates);
        let mut rest = candidates;
        let mut pieces: [_; PIECES] = std::array::from_fn(|index| {
            let len = borders[index + 1] - borders[index];
            rest.split_off_mut(..len).expect("borders ascend")
        });
        let select = |piece: &mut &mut [Match]| {
            let kept = keep(piece, counts());
            *piece = &mut std::mem::take(piece)[..kept];
        };
        if is_many {
            pool().install(|| pieces.par_iter_mut().for_each(select));
        } else {
            pieces.iter_mut().for_each(select);
        }
        Selected { pieces: pieces.map(|piece| &*piece) }
    }

    /// All of them.
    pub(crate) fn all(matches: &'a [Match]) -> Selected<'a> {
        let mut pieces = [&matches[..0]; PIECES];
        pieces[0] = matches;
        Selected { pieces }
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Match> {
        self.pieces.iter().copied().flatten()
    }

    pub(crate) fn append_to(&self, matches: &mut Vec<Match>) {
        for piece in self.pieces {
            sort::append(matches, piece, |found| *found);
        }
    }
}

/// Where pieces of sorted candidates begin and end. Few candidates are all in the first.
fn borders(candidates: &[Match]) -> [usize; PIECES + 1] {
    let count = candidates.len();
    let size = if count < MANY { count } else { count.div_ceil(PIECES) };
    std::array::from_fn(|index| {
        let (before, after) = candidates.split_at(count.min(index * size));
        let goes_on =
            |found: &Match| before.last().is_some_and(|last| last.pattern_id == found.pattern_id);
        before.len() + after.partition_point(goes_on)
    })
}

/// Moves the matches that count to the front, and says how many those are.
fn keep(matches: &mut [Match], mut counts: impl FnMut(&Match) -> bool) -> usize {
    let mut kept = 0;
    for index in 0..matches.len() {
        let found = matches[index];
        matches[kept] = found;
        kept += usize::from(counts(&found));
    }
    kept
}

/// Of sorted candidates each one once: a start that two of them led to was verified twice.
pub(crate) fn distinct(candidates: &mut [Match]) -> Selected<'_> {
    Selected::new(candidates, || {
        let mut last = None;
        move |candidate| last.replace(*candidate) != Some(*candidate)
    })
}
