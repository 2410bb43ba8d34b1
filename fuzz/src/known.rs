//! What is known to take too long, and is left out until it no longer does.

use vkscan::{RulePipeline, RulePlan};

use super::seeds::say;

struct Known {
    why: &'static str,
    is_such: fn(&RulePlan) -> bool,
}

const KNOWN: [Known; 1] = [Known {
    why: "a walk on an NFA begins with a stamp for each of its nodes: with no DFA, \
          `.{49,100}?(?u:\\w){43,74}?` over 300 bytes takes 9 s",
    is_such: |plan| plan.nfa_nodes.is_some_and(|nodes| nodes > 4096),
}];

/// Whether there are rules among these that are left out. Says so.
pub fn is_left_out(rules: &RulePipeline) -> bool {
    let plans = rules.explain();
    let known = KNOWN.iter().find(|known| plans.iter().any(known.is_such));
    if let Some(Known { why, .. }) = known {
        say(&format!("left out {:?}: {why}", rules.patterns().collect::<Vec<_>>()));
    }
    known.is_some()
}
