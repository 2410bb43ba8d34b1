//! One rule: a pattern with its automata, and what compiling it may cost.

use regex_syntax::hir::Hir;

use super::automata::partial_dfa::PartialDfa;
use super::automata::position_nfa::{ByteSet, PositionNfa};
use super::automata::relaxed;
use super::effort::{Efforts, Spent};
use super::error::BuildError;
use super::front::front;
use super::options::{PipelineOptions, Room, compiler, parse};
use super::split::{Split, choose_splits};

/// One compiled pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) pattern: String,
    pub(crate) nfa: PositionNfa,
    pub(crate) dfa: PartialDfa,
    /// Tells most walks that leave `dfa` that no match follows.
    pub(crate) relaxed: Option<PartialDfa>,
    /// Where to look for matches; none if that is everywhere.
    pub(crate) splits: Vec<Split>,
    /// The class of a run that it begins with, if only the first of a run's starts need be verified.
    pub(crate) front: Option<ByteSet>,
    pub(crate) spent: Spent,
}

impl Rule {
    /// The rule, and the bytes that its tables might yet make use of.
    pub(super) fn new(
        index: usize,
        pattern: &str,
        options: &PipelineOptions,
        room: Room,
    ) -> Result<(Rule, usize), BuildError> {
        let hir = parse(pattern, options).map_err(|reason| BuildError::Syntax {
            index,
            pattern: pattern.to_owned(),
            reason,
        })?;
        if is_always_empty(&hir) {
            tracing::warn!(index, pattern, "left out, for it can only match nothing at all");
        }
        let hir = without_empty(hir);
        let thompson = compiler(options).build_from_hir(&hir).map_err(|error| {
            let pattern = pattern.to_owned();
            match error.size_limit() {
                Some(limit) => BuildError::TooLarge { index, pattern, limit },
                None => BuildError::Syntax { index, pattern, reason: error.to_string() },
            }
        })?;
        let nfa = PositionNfa::new(&thompson);
        let efforts = Efforts::new();
        let splits = choose_splits(&hir, options, room, &efforts).unwrap_or_default();
        // Where a prefix has but one length, candidates are walked on the rule's own DFA.
        let is_suffix = |split: &Split| split.suffix.is_none() && split.anchor.is_none();
        let budget = match splits.iter().any(is_suffix) {
            true => options.suffix_budget(room),
            false => options.budget(),
        };
        let dfa = PartialDfa::new(&nfa, options.match_kind, budget, &efforts.tables);
        let relaxed =
            || relaxed::dfa(&hir, compiler(options), options.suffix_budget(room), &efforts.tables);
        let relaxed = dfa.escapes().then(relaxed).flatten();
        let spent = efforts.spent();
        tracing::debug!(
            index,
            pattern,
            splits = splits.len(),
            nfa_nodes = nfa.nodes.len(),
            ?dfa,
            ?relaxed,
            ?spent,
            "a rule is compiled"
        );
        let front = front(&hir);
        let rule = Rule { pattern: pattern.to_owned(), nfa, dfa, relaxed, splits, front, spent };
        Ok((rule, efforts.tables.forgone()))
    }

    /// What walks from a match's start are on.
    pub(super) fn dfas(&self) -> impl Iterator<Item = &PartialDfa> {
        [&self.dfa].into_iter().chain(&self.relaxed)
    }
}

/// Whether a pattern matches no bytes, wherever it matches: no scan reports that.
fn is_always_empty(hir: &Hir) -> bool {
    hir.properties().maximum_len() == Some(0)
}

/// A pattern that never matches in the place of one that always matches nothing.
pub(super) fn without_empty(hir: Hir) -> Hir {
    if is_always_empty(&hir) { Hir::fail() } else { hir }
}
