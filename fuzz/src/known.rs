//! What is known to take too long, and is left out until it no longer does.

use vkscan::{RulePipeline, RulePlan};

use super::seeds::say;

/// What is left out, and why.
const KNOWN: [(&str, fn(&RulePlan) -> bool); 1] = [(
    "a walk on an NFA begins with a stamp for each of its nodes: `.{49,100}?(?u:\\w){43,74}?` over 300 bytes takes 9 s",
    |plan| plan.nfa_nodes.is_some_and(|nodes| nodes > 4096),
)];

/// Whether there are rules among these that are left out. Says so.
pub fn is_left_out(rules: &RulePipeline) -> bool {
    let plans = rules.explain();
    let known = KNOWN.iter().find(|(_, is_such)| plans.iter().any(is_such));
    if let Some((why, _)) = known {
        say(&format!("left out {:?}: {why}", rules.patterns().collect::<Vec<_>>()));
    }
    known.is_some()
}
