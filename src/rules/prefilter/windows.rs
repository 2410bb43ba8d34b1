//! Where in the strings that a suffix begins with it is best looked for: the rarest grams, or class windows.

use std::collections::HashSet;

use super::alphabet::{Alphabet, Path};
use super::cost::cost;
use super::frequency::{ByteSetModel, independent_probability};
use super::gram::{CLASS_WINDOW, GRAM, MOST_GRAMS};
use super::parts::{SUFFIX_BYTES, Shape, paths};
use crate::rules::effort::Effort;
use crate::shaders::layout;

/// Where a gram may lie: a literal among alternatives is one string, however long it is.
const MOST_OFFSET: usize = layout::GRAM_MOST_OFFSET as usize;

/// Grams of one string, at most.
const MOST_WINDOW_GRAMS: usize = 1 << 12;

/// Candidates for each byte of typical data beyond which looking for grams does not pay, unless there is nothing else to look
/// for: then any that are less than every other byte's are better than to verify all starts.
const MOST_FREQUENT: f64 = 5e-2;
const LESS_THAN_ALL: f64 = 0.5;

/// Where the grams lie in each string that a suffix may begin with; or the class windows, if there are no grams.
pub(crate) struct Windows {
    pub(crate) of_paths: Vec<OfPath>,
    pub(crate) gram_count: usize,
    pub(crate) frequency: f64,
}

impl Windows {
    /// The least bytes of a suffix that end with what is looked for.
    pub(crate) fn end(&self) -> usize {
        let bytes = if self.gram_count == 0 { CLASS_WINDOW } else { GRAM - 1 };
        self.of_paths.iter().map(|of_path| of_path.offset + bytes).min().unwrap_or(0)
    }
}

pub(crate) struct OfPath {
    pub(crate) path: Path,
    /// Where its gram lies, as [`Gram::offset`] counts; or its class window, from the suffix's start.
    pub(crate) offset: usize,
    /// Where its other gram lies, if there is one.
    pub(crate) other: Option<usize>,
}

/// The rarest grams that what `parts` match has to begin with; none if they are too many or too common.
pub(crate) fn windows(
    parts: &[Shape],
    alphabet: &mut Alphabet,
    effort: &Effort,
) -> Option<Windows> {
    rarest_grams(parts, alphabet, effort, MOST_FREQUENT)
}

/// As [`windows`], of which typical data, or one kind of it, may well be full.
pub(crate) fn frequent_windows(
    parts: &[Shape],
    alphabet: &mut Alphabet,
    effort: &Effort,
) -> Option<Windows> {
    rarest_grams(parts, alphabet, effort, LESS_THAN_ALL)
}

fn rarest_grams(
    parts: &[Shape],
    alphabet: &mut Alphabet,
    effort: &Effort,
    most_frequent: f64,
) -> Option<Windows> {
    SUFFIX_BYTES.into_iter().find_map(|bytes| {
        let mut windows = Windows { of_paths: Vec::new(), gram_count: 0, frequency: 0.0 };
        // Paths often share a window.
        let mut known = HashSet::new();
        for path in paths(parts, bytes, effort)? {
            if !effort.spend(path.len()) {
                return None;
            }
            let padded = padded(&path);
            // The start of the haystack has no byte before it, and a byte behind is a poor one.
            let last = (path.len() + 1).saturating_sub(GRAM).clamp(1, MOST_OFFSET);
            let Window { offset, count, frequency } =
                rarest_window(&padded, alphabet, |offset| (1..=last).contains(&offset))?;
            let is_other = |at: usize| at <= MOST_OFFSET && at % 2 != offset % 2;
            let other = rarest_window(&padded, alphabet, is_other)
                .filter(|other| other.frequency <= most_frequent)
                .map(|other| other.offset);
            let window_at = |offset: usize| padded[offset..offset + GRAM].to_vec();
            if known.insert((window_at(offset), None)) {
                windows.gram_count += count;
            }
            if known.insert((window_at(offset), Some(offset))) {
                windows.frequency += frequency;
            }
            windows.of_paths.push(OfPath { path, offset, other });
            if windows.gram_count > MOST_GRAMS || windows.frequency > most_frequent {
                return None;
            }
        }
        Some(windows)
    })
}

/// As [`windows`], for class windows.
pub(crate) fn best_class_windows(
    parts: &[Shape],
    alphabet: &mut Alphabet,
    effort: &Effort,
) -> Option<Windows> {
    let mut windows = Windows { of_paths: Vec::new(), gram_count: 0, frequency: 0.0 };
    let mut known = HashSet::new();
    for path in paths(parts, SUFFIX_BYTES[0], effort)? {
        if !effort.spend(path.len() * CLASS_WINDOW) {
            return None;
        }
        let models: Vec<&ByteSetModel> = alphabet.models_of(&path).collect();
        let probability =
            |at: usize| independent_probability(models.iter().copied().skip(at).take(CLASS_WINDOW));
        let offsets = 0..=path.len().saturating_sub(CLASS_WINDOW).min(MOST_OFFSET - 1);
        let offset = offsets.min_by(|a, b| probability(*a).total_cmp(&probability(*b)))?;
        let window: Path = path.iter().skip(offset).take(CLASS_WINDOW).copied().collect();
        if known.insert((window, offset)) {
            windows.frequency += probability(offset);
            windows.of_paths.push(OfPath { path, offset, other: None });
        }
    }
    (windows.frequency <= MOST_FREQUENT).then_some(windows)
}

/// Four bytes in a row of a padded string: where, how many grams they make, and how often typical data has
/// them.
struct Window {
    offset: usize,
    count: usize,
    frequency: f64,
}

/// A string with any byte before and behind it.
fn padded(path: &[u16]) -> Path {
    let any = [Alphabet::ANY];
    any.into_iter().chain(path.iter().copied()).chain(any).collect()
}

/// The window of which typical data has fewest, among those at places that will do.
fn rarest_window(
    padded: &[u16],
    alphabet: &mut Alphabet,
    will_do: impl Fn(usize) -> bool,
) -> Option<Window> {
    let windows = padded.windows(GRAM).enumerate().filter(|(offset, _)| will_do(*offset));
    windows
        .map(|(offset, window)| {
            let (count, frequency) = alphabet.cost(window);
            Window { offset, count, frequency }
        })
        .filter(|window| (1..=MOST_WINDOW_GRAMS).contains(&window.count))
        .min_by(|one, other| {
            let cost = |window: &Window| cost(window.frequency, window.count, 0.0);
            cost(one).total_cmp(&cost(other))
        })
}
