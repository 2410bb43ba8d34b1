//! A rule with its counts let go: whether it can match at all, where its own DFA is too large to tell.
//!
//! Counts are what makes a DFA large: in `key.{0,200}?token` a thread counts from every `key` on. Without
//! them the rule matches wherever it did, and elsewhere, and mostly has a small DFA. A walk that leaves the
//! rule's own goes over that one first, and seldom comes to a match, so that the NFA need not walk.

use regex_syntax::hir::{Hir, HirKind, Repetition};

/// Counts up to this are kept.
const FEW: u32 = 8;

/// None if there is nothing to let go.
pub(super) fn loosened(hir: &Hir) -> Option<Hir> {
    let mut is_loose = false;
    let loosened = loosen(hir, &mut is_loose);
    is_loose.then_some(loosened)
}

fn loosen(hir: &Hir, is_loose: &mut bool) -> Hir {
    let mut all = |subs: &[Hir]| subs.iter().map(|sub| loosen(sub, is_loose)).collect();
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
        HirKind::Capture(capture) => loosen(&capture.sub, is_loose),
        HirKind::Concat(subs) => Hir::concat(all(subs)),
        HirKind::Alternation(subs) => Hir::alternation(all(subs)),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(loosen(&repetition.sub, is_loose));
            let Repetition { min, max, .. } = *repetition;
            let is_counted = max.unwrap_or(min) > FEW;
            *is_loose |= is_counted;
            let (min, max) = if is_counted { (min.min(1), None) } else { (min, max) };
            Hir::repetition(Repetition { min, max, sub, ..repetition.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_large_counts_alone() {
        let loosened =
            |pattern| loosened(&regex_syntax::parse(pattern).unwrap()).map(|hir| hir.to_string());
        assert_eq!(loosened("a{2,8}(b|c+)"), None);
        let same = |pattern: &str| Some(regex_syntax::parse(pattern).unwrap().to_string());
        assert_eq!(loosened("(a{9}b){0,100}?c{12,}"), same("(?:a+b)*?c+"));
    }
}
