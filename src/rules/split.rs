//! Where a rule is looked for: its splits, and how they are chosen.

use regex_automata::nfa::thompson;
use regex_syntax::hir::{Hir, HirKind, Look};

use super::automata::partial_dfa::PartialDfa;
use super::automata::position_nfa::PositionNfa;
use super::effort::Effort;
use super::effort::Efforts;
use super::options::Room;
use super::options::{PipelineOptions, compiler};
use super::prefilter::gram::{ClassWindow, Gram};
use super::prefilter::split_candidates::{self, SplitCandidates, SplitHir};
use crate::MatchKind;
use crate::shaders::layout;

/// One alternative of a rule: a prefix, and a suffix that begins with one of few grams or class windows, or, if
/// there are none, where the haystack begins or ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split {
    /// Least and greatest length of the prefix, in bytes; [`layout::UNBOUNDED`] if there is no greatest.
    pub(crate) prefix: [u32; 2],
    pub(crate) grams: Vec<Gram>,
    /// Grams at an odd distance from those, if there are any: of both, every other byte has one.
    pub(crate) other_grams: Option<Vec<Gram>>,
    pub(crate) class_windows: Vec<ClassWindow>,
    /// Expected candidates for each byte of typical data.
    pub(crate) frequency: f64,
    /// Tells most candidates of which the suffix cannot match. None where the prefix has but one length: the
    /// rule's own DFA tells then.
    pub(crate) suffix: Option<PartialDfa>,
    /// Tells, walking backwards from the suffix, where the prefix may begin. None where that is in one place
    /// only, or this is no cheaper than trying all.
    pub(crate) reverse_prefix: Option<PartialDfa>,
    /// Whether `reverse_prefix` is exact, so that it and `suffix` tell a match without the rule's own automata.
    pub(crate) is_exact: bool,
    /// Where the prefix is a run of bytes of one class, or of none: which of several suffixes behind a start it prefers.
    pub(crate) run: Option<Run>,
    /// Where the suffix is, if that is one place in a haystack: then there is nothing to look for.
    pub(crate) anchor: Option<Anchor>,
}

/// A place that every haystack has once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Where it begins.
    Start,
    /// Where it ends.
    End,
}

/// What a run of bytes prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// To end with the first suffix.
    Lazy,
    /// To end with the last one.
    Greedy,
}

impl Split {
    /// What matches where the haystack begins, or ends, and nowhere else.
    pub(super) fn anchored(anchor: Anchor) -> Split {
        Split {
            prefix: [0; 2],
            grams: Vec::new(),
            other_grams: Some(Vec::new()),
            class_windows: Vec::new(),
            frequency: 0.0,
            suffix: None,
            reverse_prefix: None,
            is_exact: false,
            run: None,
            anchor: Some(anchor),
        }
    }

    pub(crate) fn is_unbounded(&self) -> bool {
        self.prefix[1] == layout::UNBOUNDED
    }
}

/// Splits every alternative of a rule where it costs least, among the places where automata can tell what
/// prefix and suffix may be; none if there is no such place.
pub(super) fn choose_splits(
    hir: &Hir,
    options: &PipelineOptions,
    room: Room,
    efforts: &Efforts,
) -> Option<Vec<Split>> {
    /// Automata are not cheap to try.
    const MOST_TRIED: usize = 4;

    let best_of = |candidates: SplitCandidates| {
        let ranked = || candidates.iter().enumerate();
        let others = ranked().skip(MOST_TRIED).filter(|(_, candidate)| !candidate.is_unbounded());
        let mut tried = ranked().take(MOST_TRIED).chain(others.take(1));
        tried.find_map(|(rank, candidate)| {
            let split = Split::new(candidates.split(candidate), options, room, &efforts.tables);
            let next = candidates.iter().nth(rank + 1);
            match &split {
                Some(_) => tracing::debug!(
                    rank,
                    of = candidates.iter().count(),
                    chosen = %candidate,
                    preferred_to = next.map(tracing::field::display),
                    "a split is chosen by its cost"
                ),
                None => tracing::debug!(rank, rejected = %candidate, "its automata are too large"),
            }
            split
        })
    };
    type Factors = fn(&Hir, &Effort) -> Option<Vec<SplitCandidates>>;
    let by = |factors: Factors| -> Option<Vec<Split>> {
        factors(hir, &efforts.search)?.into_iter().map(best_of).collect()
    };
    // What never matches is looked for where that costs least.
    let is_never = hir.properties().minimum_len().is_none();
    if is_never || hir.properties().look_set_prefix().contains(Look::Start) {
        return Some(vec![Split::anchored(Anchor::Start)]);
    }
    let at_end =
        || Some(vec![Split::new(split_candidates::at_end(hir)?, options, room, &efforts.tables)?]);
    // A prefix that is bounded costs next to nothing there, and another one may go back for long.
    let is_bounded = |split: &Vec<Split>| !split[0].is_unbounded();
    at_end()
        .filter(is_bounded)
        .or_else(|| by(split_candidates::factors))
        .or_else(at_end)
        .or_else(|| by(split_candidates::by_class_windows))
        .or_else(|| by(split_candidates::by_frequent_grams))
}

impl Split {
    /// None if suffix or prefix take too large an automaton, though the rule does not.
    fn new(
        hirs: SplitHir,
        options: &PipelineOptions,
        room: Room,
        effort: &Effort,
    ) -> Option<Split> {
        let prefix = hirs.prefix.map(|length| u32::try_from(length).unwrap_or(layout::UNBOUNDED));
        let is_at_end = hirs.grams.is_empty() && hirs.class_windows.is_empty();
        let mut split = Split {
            prefix,
            grams: hirs.grams,
            other_grams: hirs.other_grams,
            class_windows: hirs.class_windows.into_iter().collect(),
            frequency: hirs.frequency,
            suffix: None,
            reverse_prefix: None,
            is_exact: false,
            run: None,
            anchor: is_at_end.then_some(Anchor::End),
        };
        if prefix[0] == prefix[1] {
            return Some(split);
        }
        let dfa = |compiler: &thompson::Compiler, hir, kind, budget| {
            let nfa = PositionNfa::new(&compiler.build_from_hir(hir).ok()?);
            Some(PartialDfa::new(&nfa, kind, budget, effort))
        };
        let mut backwards = compiler(options);
        backwards.configure(thompson::Config::new().reverse(true));
        // Where the prefix may begin is all that counts, and that takes no order of preference.
        let reverse_prefix = dfa(&backwards, &hirs.prefix_hir, MatchKind::All, options.budget());
        split.reverse_prefix = reverse_prefix.filter(|dfa| !dfa.escapes());
        if split.reverse_prefix.is_none() && split.is_unbounded() {
            return None;
        }
        split.is_exact = hirs.prefix_is_exact && split.reverse_prefix.is_some();
        split.run = if split.is_exact { run(&hirs.prefix_hir) } else { None };
        split.suffix = Some(dfa(
            &compiler(options),
            &hirs.suffix,
            options.match_kind,
            options.suffix_budget(room),
        )?);
        Some(split)
    }
}

/// Which suffix a prefix prefers; none if it is more than a run.
fn run(prefix: &Hir) -> Option<Run> {
    let HirKind::Repetition(repetition) = prefix.kind() else { return None };
    let of_byte = repetition.sub.properties();
    let is_byte = [of_byte.minimum_len(), of_byte.maximum_len()] == [Some(1); 2];
    (is_byte && repetition.min == 0).then_some(if repetition.greedy {
        Run::Greedy
    } else {
        Run::Lazy
    })
}
