//! Rules that begin with a run of bytes, as `.*foo` does: which of their starts decide about all others.
//!
//! Where a match may begin at a byte of such a run, one may begin at every byte of the run before, for the front takes what
//! lies between. So if the run's first start does not match, none of the run does. And if it matches, and all bytes of the rule
//! are in the run's class, that match ends in the run; behind it there is none, for a greedy front would have gone on to it. What
//! is verified from every start need be verified from the first of each run alone. A lazy front ends soon, as often as not, and
//! leaves matches behind: its starts are walked side by side.

use regex_syntax::hir::{Hir, HirKind};

use super::automata::position_nfa::{ByteSet, insert};
use super::prefilter::alphabet::byte_set;

/// The class of the run that a rule begins with, if that is greedy, has no end, and all other bytes of the rule are in it. None
/// if the rule may match nothing: where a start does so, the next one counts.
pub(super) fn front(hir: &Hir) -> Option<ByteSet> {
    let run = first(hir)?;
    let is_empty = hir.properties().minimum_len() == Some(0);
    (is_within(hir, &run) && !is_empty).then_some(run)
}

/// The class that a rule begins with as many of as there are.
fn first(hir: &Hir) -> Option<ByteSet> {
    match hir.kind() {
        HirKind::Concat(subs) => first(subs.first()?),
        HirKind::Capture(capture) => first(&capture.sub),
        HirKind::Repetition(repetition) if repetition.max.is_none() && repetition.greedy => {
            of_byte(&repetition.sub)
        }
        _ => None,
    }
}

fn of_byte(hir: &Hir) -> Option<ByteSet> {
    match hir.kind() {
        HirKind::Class(class) => byte_set(class),
        HirKind::Capture(capture) => of_byte(&capture.sub),
        HirKind::Literal(literal) => match literal.0[..] {
            [byte] => {
                let mut set = ByteSet::default();
                insert(&mut set, byte);
                Some(set)
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_within(hir: &Hir, run: &ByteSet) -> bool {
    let holds = |set: ByteSet| set.iter().zip(run).all(|(bytes, run)| bytes & !run == 0);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Class(class) => byte_set(class).is_some_and(holds),
        HirKind::Literal(literal) => {
            let mut set = ByteSet::default();
            literal.0.iter().for_each(|&byte| insert(&mut set, byte));
            holds(set)
        }
        HirKind::Capture(capture) => is_within(&capture.sub, run),
        HirKind::Repetition(repetition) => is_within(&repetition.sub, run),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => {
            subs.iter().all(|sub| is_within(sub, run))
        }
    }
}

#[cfg(test)]
mod tests {
    use regex_syntax::ParserBuilder;

    use super::*;

    #[test]
    fn tells_runs_that_matches_do_not_leave() {
        let has_front = |pattern| {
            let hir = ParserBuilder::new().utf8(false).unicode(false).build().parse(pattern);
            front(&hir.unwrap()).is_some()
        };
        for pattern in [r".*\.exe", r"(?s).+a\nb$", r"([^x]{2,})(?:a|b\b)*", r"\w+", "a*a"] {
            assert!(has_front(pattern), "{pattern}");
        }
        for pattern in
            [".*\n", r"\b.*a", "a?.*", "(?:ab)*b", "[a-z]{0,9}a", r"\w+-", "a*|b", ".*?a*"]
        {
            assert!(!has_front(pattern), "{pattern}");
        }
    }
}
