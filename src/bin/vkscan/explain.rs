//! `vkscan explain`.

use std::error::Error;
use std::io::{self, Write};

use serde_json::json;
use vkscan::{Anchor, MatchKind, RuleBound, RulePlan};

use crate::Status;
use crate::args::{ExplainArgs, Format};
use crate::rules::Rules;
use crate::terminal;

pub fn run(args: &ExplainArgs) -> Result<Status, Box<dyn Error>> {
    let rules = Rules::read(&args.rules)?;
    let compiled = rules.compile(MatchKind::default())?;
    let mut stdout = io::stdout().lock();
    if args.dump {
        let dumps = (0..).map_while(|pattern_id| compiled.dump(pattern_id));
        for dump in dumps {
            stdout.write_all(dump.as_bytes())?;
        }
        return Ok(Status::Found);
    }
    let mut plans = compiled.explain();
    // What costs most first: rules without a factor, then those with the commonest ones.
    plans.sort_by(|one, other| cost(other).total_cmp(&cost(one)));
    for plan in &plans {
        match args.format {
            Format::Text => print_text(&mut stdout, &rules.shown_name(plan.pattern_id), plan)?,
            Format::Json => {
                let line = terminal::json(&to_json(rules.name(plan.pattern_id), plan));
                stdout.write_all(line.as_bytes())?;
            }
        }
    }
    Ok(Status::Found)
}

fn cost(plan: &RulePlan) -> f64 {
    plan.factor.as_ref().map_or(f64::INFINITY, |factor| factor.expected_per_mib)
}

fn print_text(to: &mut impl Write, name: &str, plan: &RulePlan) -> io::Result<()> {
    writeln!(to, "{}: {}", plan.pattern_id, name)?;
    match &plan.factor {
        None => writeln!(to, "    no factor: every start is verified")?,
        Some(factor) => {
            let shown = factor.grams.iter().take(4).map(|gram| gram.escape_ascii().to_string());
            let shown = shown.collect::<Vec<_>>().join(" ");
            let more = if factor.grams.len() > 4 { " ..." } else { "" };
            let what = match (factor.anchor, factor.grams.len()) {
                (Some(Anchor::Start), _) => "the start of the haystack".to_owned(),
                (Some(Anchor::End), _) => "the end of the haystack".to_owned(),
                (None, 0) => "eight byte classes in a row".to_owned(),
                (None, count) => format!("{count} grams ({shown}{more})"),
            };
            let starts = match factor.most_starts {
                Some(most) => format!("up to {most} starts each"),
                None => "any number of starts each".to_owned(),
            };
            writeln!(
                to,
                "    {what}, {:.1} candidates a MiB of text, {starts}",
                factor.expected_per_mib,
            )?;
        }
    }
    match plan.nfa_nodes {
        None => writeln!(to, "    DFA of {} bytes", plan.dfa_bytes)?,
        Some(nodes) => {
            writeln!(to, "    DFA of {} bytes, then NFA of {nodes} nodes", plan.dfa_bytes)?;
        }
    }
    plan.bounds.iter().try_for_each(|bound| writeln!(to, "    bound: {}", describe(*bound)))
}

fn describe(bound: RuleBound) -> &'static str {
    match bound {
        RuleBound::Search => "the search for a factor was given up; there may be a better one",
        RuleBound::TableTime => "its DFA takes too long to build as a whole",
        RuleBound::TableBytes => {
            "its DFA, too large or with a Unicode look-around, is not built as a whole"
        }
        _ => "one that this command does not know",
    }
}

fn to_json(name: &str, plan: &RulePlan) -> serde_json::Value {
    json!({
        "pattern": plan.pattern_id,
        "rule": name,
        "factor": plan.factor.as_ref().map(|factor| json!({
            "anchor": factor.anchor.map(|anchor| match anchor {
                Anchor::Start => "start",
                Anchor::End => "end",
            }),
            "grams": factor.grams.len(),
            "expected_per_mib": factor.expected_per_mib,
            "most_starts": factor.most_starts,
        })),
        "dfa_bytes": plan.dfa_bytes,
        "nfa_nodes": plan.nfa_nodes,
        "bounds": plan.bounds.iter().map(|bound| describe(*bound)).collect::<Vec<_>>(),
    })
}
