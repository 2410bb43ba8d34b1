//! How a pipeline looks for each of its rules, for those who write rules.

use super::prefilter::gram::GRAM;
use super::{Anchor, Rule, RulePipeline, Spent, Split};

/// How one rule is looked for and verified.
///
/// # Examples
///
/// ```
/// let rules = vkscan::RulePipeline::new(&[r"\bAKIA[0-9A-Z]{16}\b"])?;
/// for plan in rules.explain() {
///     let candidates = plan.factor.map(|factor| factor.expected_per_mib);
///     println!("rule {}: {candidates:?} candidates a MiB", plan.pattern_id);
///     println!("{} bytes of DFA, {:?} nodes of NFA", plan.dfa_bytes, plan.nfa_nodes);
///     assert!(plan.bounds.is_empty());
/// }
/// # Ok::<(), vkscan::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RulePlan {
    /// The pattern's index in the list that the pipeline was built from.
    pub pattern_id: u32,
    /// What a match must contain; none if every start has to be verified.
    pub factor: Option<Factor>,
    /// Bytes of the rule's DFA, with that of the rule without its counts, if there is one.
    pub dfa_bytes: usize,
    /// Whether some walks have to be finished by the NFA, and how many nodes that has.
    pub nfa_nodes: Option<usize>,
    /// What bounds of compile time and memory the rule came to. It is slower to scan than it might be, and as exact.
    pub bounds: Vec<RuleBound>,
}

/// A bound that a rule came to when it was compiled.
///
/// # Examples
///
/// ```
/// use vkscan::{PipelineOptions, RuleBound, RulePipeline};
///
/// let options = PipelineOptions::default().dfa_budget(64);
/// let rules = RulePipeline::with_options(&["[a-z]{200}"], options)?;
/// assert_eq!(rules.explain()[0].bounds, [RuleBound::TableBytes]);
/// # Ok::<(), vkscan::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleBound {
    /// The search for what every match must contain was given up before its end: there may be something rarer.
    Search,
    /// Its DFAs would have taken too long to build: more walks are finished by the NFA.
    TableTime,
    /// Its DFA does not fit [`PipelineOptions::dfa_budget`](crate::PipelineOptions), or has a Unicode look-around, of
    /// which a DFA sees too little: some walks are finished by the NFA.
    TableBytes,
}

/// What every match of a rule contains.
///
/// # Examples
///
/// ```
/// let rules = vkscan::RulePipeline::new(&["[a-z]{0,9}?zebra[0-9]"])?;
/// let factor = rules.explain().remove(0).factor.expect("every match has `zebra`");
/// assert!(factor.grams.iter().all(|gram| b"zebra".windows(4).any(|window| window == gram)));
/// assert!(factor.expected_per_mib < 100.0);
/// assert_eq!(factor.most_starts, Some(10));
/// # Ok::<(), vkscan::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Factor {
    /// Where all matches begin, or end, if that is one place in a haystack: then there is nothing else to look for.
    pub anchor: Option<Anchor>,
    /// Four-byte strings, one of which a match contains, with ASCII letters in lower case. None if it is
    /// class windows of byte classes instead (which are looked for if no more than 32 rules of a pass need
    /// them, and they are rare), or an anchor.
    pub grams: Vec<[u8; GRAM]>,
    /// How many of a mebibyte's bytes begin one of them, in typical data.
    pub expected_per_mib: f64,
    /// Most starts that one of them makes candidates; none if a match may begin anywhere before it.
    pub most_starts: Option<u32>,
}

impl RulePipeline {
    /// How each rule is looked for and verified, in order of pattern ids.
    ///
    /// # Examples
    ///
    /// ```
    /// let rules = vkscan::RulePipeline::new(&["[a-z]{0,9}?zebra[0-9]", "[a-z]+"])?;
    /// let plan = rules.explain();
    /// assert_eq!(plan[0].factor.as_ref().unwrap().most_starts, Some(10));
    /// assert!(plan[1].factor.is_none());
    /// # Ok::<(), vkscan::BuildError>(())
    /// ```
    pub fn explain(&self) -> Vec<RulePlan> {
        let rules = (0..).zip(self.rules());
        rules
            .map(|(pattern_id, rule)| {
                let factor = (!rule.splits.is_empty()).then(|| factor(&rule.splits));
                RulePlan {
                    pattern_id,
                    factor,
                    dfa_bytes: rule.dfas().map(|dfa| dfa.entries.len() * size_of::<u16>()).sum(),
                    nfa_nodes: rule.dfa.escapes().then_some(rule.nfa.nodes.len()),
                    bounds: bounds(rule),
                }
            })
            .collect()
    }
}

fn bounds(rule: &Rule) -> Vec<RuleBound> {
    let Spent { search, tables } = rule.spent;
    let is_cut = rule.dfa.escapes() && !tables;
    let met = [
        (search, RuleBound::Search),
        (tables, RuleBound::TableTime),
        (is_cut, RuleBound::TableBytes),
    ];
    met.into_iter().filter_map(|(is_met, bound)| is_met.then_some(bound)).collect()
}

fn factor(splits: &[Split]) -> Factor {
    let mut grams: Vec<[u8; GRAM]> =
        splits.iter().flat_map(|split| &split.grams).map(|gram| gram.bytes).collect();
    grams.sort_unstable();
    grams.dedup();
    let frequency: f64 = splits.iter().map(|split| split.frequency).sum();
    let is_bounded = !splits.iter().any(Split::is_unbounded);
    let starts = splits.iter().map(|split| (split.prefix[1] - split.prefix[0]).saturating_add(1));
    Factor {
        anchor: splits.iter().find_map(|split| split.anchor),
        grams,
        expected_per_mib: frequency * f64::from(1 << 20),
        most_starts: if is_bounded { starts.max() } else { None },
    }
}
