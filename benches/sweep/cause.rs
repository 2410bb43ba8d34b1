//! How a rule is looked for, which is why it is fast or slow.

use vkscan::{Anchor, Factor, RulePlan};

use crate::numbers::significant;
use crate::rules::Rule;

/// Grams that are shown.
const SHOWN: usize = 3;

/// Of several rules, how the one is looked for that most of typical data has to be looked at for.
pub fn looked_for(rules: &[Rule], plans: &[RulePlan]) -> String {
    let expected = |plan: &RulePlan| {
        plan.factor.as_ref().map_or(f64::INFINITY, |factor| factor.expected_per_mib)
    };
    let dearest = plans.iter().max_by(|a, b| expected(a).total_cmp(&expected(b)));
    let Some(plan) = dearest else { return String::new() };
    let name = match rules {
        [_] => String::new(),
        _ => rules[plan.pattern_id as usize].name() + ": ",
    };
    let mut parts = vec![plan.factor.as_ref().map_or("every start".to_owned(), factor)];
    parts.push(format!("DFA of {} bytes", plan.dfa_bytes));
    parts.extend(plan.nfa_nodes.map(|nodes| format!("NFA of {nodes} nodes")));
    parts.extend(plan.bounds.iter().map(|bound| format!("bounded: {bound:?}")));
    name + &parts.join(", ")
}

fn factor(factor: &Factor) -> String {
    match factor.anchor {
        Some(Anchor::Start) => return "where the haystack begins".to_owned(),
        Some(Anchor::End) => return "where the haystack ends".to_owned(),
        None => {}
    }
    let grams = factor.grams.iter().take(SHOWN);
    let mut grams: Vec<String> = grams
        .map(|gram| format!("`{}`", gram.escape_ascii().to_string().replace('`', "\\x60")))
        .collect();
    match factor.grams.len().checked_sub(SHOWN) {
        _ if grams.is_empty() => grams.push("class windows".to_owned()),
        Some(more @ 1..) => grams.push(format!("and {more} more")),
        _ => {}
    }
    let starts = match factor.most_starts {
        Some(1) => String::new(),
        Some(most) => format!(", {most} starts each"),
        None => ", starts anywhere before".to_owned(),
    };
    format!("{}, {} a MiB expected{starts}", grams.join(" "), significant(factor.expected_per_mib))
}
