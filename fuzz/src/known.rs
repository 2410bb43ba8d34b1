//! What is known to take too long, and is left out until it no longer does.

use vkscan::{RulePipeline, RulePlan};

use super::seeds::say;

/// What is left out, and why.
const KNOWN: [(&str, fn(&RulePlan) -> bool); 1] = [(
    "a walk on an NFA begins with a stamp for each of its nodes: `.{49,100}?(?u:\\w){43,74}?` over 300 bytes takes 9 s",
    |plan| plan.nfa_nodes.is_some_and(|nodes| nodes > 4096),
)];

/// Whether a rule is left out. Says so.
pub fn is_left_out(rule: &RulePipeline) -> bool {
    let plan = &rule.explain()[0];
    let known = KNOWN.iter().find(|(_, is_such)| is_such(plan));
    if let Some((why, _)) = known {
        say(&format!("left out {:?}: {why}", rule.patterns().next().unwrap_or_default()));
    }
    known.is_some()
}
