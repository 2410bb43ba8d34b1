//! What is looked for at every byte: grams, or class windows where a rule has no rare grams.
//!
//! Grams are compared with ASCII letters in lower case, so that a letter in either case is one gram.

use crate::rules::automata::position_nfa::ByteSet;
use crate::shaders::layout;

/// Bytes of a gram.
pub(crate) const GRAM: usize = 4;

/// Grams of a split, at most.
pub(crate) const MOST_GRAMS: usize = 1 << 14;

/// Four bytes, letters in lower case, and where they lie, counted from the byte before the suffix's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gram {
    pub(crate) bytes: [u8; GRAM],
    pub(crate) offset: u8,
    /// What has to be near it, as a word: see [`crate::rules::prefilter::confirm`].
    pub(crate) confirm_mask: u32,
}

/// Bytes of a class window.
pub(crate) const CLASS_WINDOW: usize = layout::CLASS_WINDOW_BYTES as usize;

/// A byte of each of these sets in a row, and where they lie from the suffix's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassWindow {
    pub(crate) sets: [ByteSet; CLASS_WINDOW],
    pub(crate) offset: u8,
}

/// Calls `visit` with all strings of one byte of each of these.
pub(crate) fn for_each_gram(
    [first, second, third, fourth]: [&[u8]; GRAM],
    mut visit: impl FnMut([u8; GRAM]),
) {
    for &a in first {
        for &b in second {
            for &c in third {
                fourth.iter().for_each(|&d| visit([a, b, c, d]));
            }
        }
    }
}
