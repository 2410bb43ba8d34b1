//! What it costs to look for a split: candidates, and how far they are walked.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::frequency::byte_probability;
use super::parts::UNBOUNDED;
use super::walk_cost::{self, Direction, Walk};
use crate::shaders::layout;

/// What it costs to look for so many grams that are so frequent, each of which begins a walk of so many
/// bytes. A gram costs what others are taken for it in the bitmap.
pub(crate) fn cost(frequency: f64, gram_count: usize, walked: f64) -> f64 {
    /// A candidate costs about as much as so many bytes of a walk.
    pub(crate) const OF_CANDIDATE: f64 = 10.0;
    pub(crate) const OF_GRAM: f64 = 1e-5;
    frequency * (OF_CANDIDATE + walked) + OF_GRAM * gram_count as f64
}

/// Walks over the parts of a rule.
pub(crate) struct Walks {
    forwards: Vec<Walk>,
    backwards: Vec<Walk>,
    /// Least length of each part.
    least: Vec<usize>,
    /// Whether it repeats without end what hardly any byte ends, and what none ends that is frequent in text.
    runs_on: Vec<bool>,
    pub(crate) is_endless: Vec<bool>,
}

impl Walks {
    pub(crate) fn of(parts: &[Hir]) -> Walks {
        let walks = |direction| parts.iter().map(|part| Walk::of(part, direction)).collect();
        let least = |part: &Hir| part.properties().minimum_len().unwrap_or(UNBOUNDED);
        Walks {
            forwards: walks(Direction::Forwards),
            backwards: walks(Direction::Backwards),
            least: parts.iter().map(least).collect(),
            runs_on: parts.iter().map(|part| repeats(part, &is_wide)).collect(),
            is_endless: parts.iter().map(|part| repeats(part, &is_endless)).collect(),
        }
    }

    /// Bytes that are walked for a candidate where the rule is split before part `at`, and what is looked for
    /// ends so many bytes into the suffix.
    pub(crate) fn of_candidate(&self, at: usize, prefix: [usize; 2], known_end: usize) -> f64 {
        /// A prefix without bounds is longer, once in a while, than is walked; then a scan begins again, and
        /// verifies such rules from every start. Where hardly any byte ends it, that is to be expected.
        const OF_LONG: f64 = 1000.0;
        const OF_ENDLESS: f64 = 64e6;
        /// Long walks forwards share what is behind them.
        const OF_SUFFIX: f64 = 256.0;

        let mut length = 0_usize;
        let suffix = self.forwards[at..].iter().zip(&self.least[at..]).map(|(walk, least)| {
            let known = known_end.saturating_sub(length).min(*least);
            length = length.saturating_add(*least);
            walk.known(known as f64 / (*least).max(1) as f64)
        });
        if prefix[0] == prefix[1] {
            // Walked from the prefix's start.
            let walk = Walk::over(self.forwards[..at].iter().copied().chain(suffix));
            return walk.bytes.min(OF_SUFFIX);
        }
        let suffix = Walk::over(suffix);
        let suffix_bytes = suffix.bytes.min(OF_SUFFIX);
        let reverse_prefix = Walk::over(self.backwards[..at].iter().rev().copied());
        let of_long = match prefix[1] {
            UNBOUNDED if self.runs_on[..at].contains(&true) => OF_ENDLESS,
            UNBOUNDED => OF_LONG,
            _ => 0.0,
        };
        suffix_bytes + suffix.chance() * (reverse_prefix.bytes + of_long)
    }
}

/// Whether hardly any byte is not in the class.
pub(crate) fn is_wide(class: &Class) -> bool {
    /// Of the 128 of ASCII.
    pub(crate) const NEARLY_ALL: usize = 100;

    let holds = walk_cost::holds(class);
    (0..128).filter(|&byte| holds(byte)).count() >= NEARLY_ALL
}

/// Whether typical text goes on in the class for longer than prefixes are walked over at little cost.
pub(crate) fn is_endless(class: &Class) -> bool {
    let holds = walk_cost::holds(class);
    let ends: f64 = (0..=255).filter(|&byte| !holds(byte)).map(byte_probability).sum();
    ends * f64::from(layout::PREFIX_STEPS) < 1.0
}

/// Whether something repeats such a class without end.
pub(crate) fn repeats(hir: &Hir, is_such: &impl Fn(&Class) -> bool) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            let is_class = matches!(repetition.sub.kind(), HirKind::Class(class) if is_such(class));
            (repetition.max.is_none() && is_class) || repeats(&repetition.sub, is_such)
        }
        HirKind::Capture(capture) => repeats(&capture.sub, is_such),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => {
            subs.iter().any(|sub| repeats(sub, is_such))
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => false,
    }
}
