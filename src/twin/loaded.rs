//! Tables from bytes to which something was done, scanned with by the twins: whatever is accepted keeps to its tables,
//! for here nothing outside of them goes unnoticed, and comes to an end.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use source::Source;

use super::tests::{scan_with, tight};
use crate::rules::automata::partial_dfa::PartialDfa;
use crate::rules::{Rule, Run};
use crate::shaders::layout::{self, ScanParams};
use crate::{BuildError, MatchKind, RulePipeline};

#[path = "../../fuzz/src/generate.rs"]
mod generate;
#[path = "../../fuzz/src/seeds.rs"]
mod seeds;
#[path = "../../fuzz/src/source.rs"]
mod source;

#[test]
fn damaged_tables_are_refused_or_harmless() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
    seeds::run("damaged tables", |bytes| pool.install(|| run(bytes)));
}

/// Says of how many scans with what was accepted.
fn run(bytes: &[u8]) -> usize {
    let source = &mut Source::new(bytes);
    let match_kind = source.one_of(&[MatchKind::LeftmostFirst, MatchKind::All]);
    let options = generate::options(source, match_kind);
    let patterns = source.list(1..=3, generate::pattern);
    let Ok(mut rules) = RulePipeline::with_options(&patterns, options) else { return 0 };
    let haystacks = source.list(1..=3, |source| generate::haystack(source, &patterns, 400));
    for _ in 0..source.within(1..=4) {
        damage(source, rules.rules_mut());
    }
    let read = match RulePipeline::from_bytes(&rules.to_bytes()) {
        Ok(read) => read,
        Err(BuildError::Malformed { .. }) => return 0,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(read, rules);
    let before = cpu_time();
    for haystack in &haystacks {
        for use_prefilter in
            [layout::PREFILTER_NONE, layout::PREFILTER_BOUNDED, layout::PREFILTER_ALL]
        {
            let is_direct =
                match_kind == MatchKind::LeftmostFirst && use_prefilter == layout::PREFILTER_ALL;
            let params = ScanParams {
                use_prefilter,
                is_direct: is_direct.into(),
                step_budget: 1000,
                nfa_step_budget: 1000,
                queue_capacity: 64,
                ..tight(haystack, 1)
            };
            if let Ok(matches) = scan_with(&read, haystack, params, u64::MAX) {
                let len = haystack.len() as u32;
                for found in &matches {
                    assert!(found.start < found.end && found.end <= len, "{patterns:?}: {found:?}");
                }
            }
        }
    }
    let taken = cpu_time() - before;
    assert!(taken < Duration::from_secs(10), "{patterns:?} over {haystacks:?} takes {taken:?}");
    haystacks.len()
}

/// What this thread has taken.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Does something to a rule that may leave it as a compiler could have made it.
fn damage(source: &mut Source, rules: &mut [Rule]) {
    let other = source.within(0..=rules.len() - 1);
    let other = rules[other].clone();
    let index = source.within(0..=rules.len() - 1);
    let rule = &mut rules[index];
    match source.within(0..=9) {
        0 | 1 => damage_nfa(source, rule),
        2 => rule.nfa = other.nfa,
        3..6 => {
            if let Some(dfa) = any_dfa(source, rule) {
                damage_dfa(source, dfa);
            }
        }
        6 => {
            // A DFA in the place of another.
            let mut other = other;
            let from = any_dfa(source, &mut other).cloned();
            if let (Some(to), Some(from)) = (any_dfa(source, rule), from) {
                *to = from;
            }
        }
        _ => damage_splits(source, rule),
    }
}

fn damage_nfa(source: &mut Source, rule: &mut Rule) {
    let nfa = &mut rule.nfa;
    let node = source.within(0..=nfa.nodes.len() - 1);
    let count = nfa.nodes.len();
    match source.within(0..=4) {
        0 => {
            let kind = source.within(0..=21) as u32;
            nfa.nodes[node].kind = kind;
            nfa.nodes[node].operand = if kind >= layout::NODE_START { u32::from(b'\n') } else { 0 };
        }
        1 if !nfa.edges.is_empty() => {
            let edge = source.within(0..=nfa.edges.len() - 1);
            nfa.edges[edge] = if source.once_in(4) {
                layout::EDGE_MATCH
            } else {
                source.within(1..=count) as u32
            };
        }
        2 if node + 1 < count => {
            // The next one gets an edge of this one's.
            let edges_end =
                nfa.nodes[node].edges_end.saturating_sub(1).max(nfa.nodes[node].edges_begin);
            nfa.nodes[node].edges_end = edges_end;
            nfa.nodes[node + 1].edges_begin = edges_end;
        }
        3 if !nfa.sets.is_empty() => {
            let set = source.within(0..=nfa.sets.len() - 1);
            nfa.sets[set][source.within(0..=7)] ^= 1 << source.within(0..=31);
        }
        _ => {
            // Edges to everything, from the last node.
            let last = nfa.nodes.last_mut().expect("there is a jump");
            nfa.edges.extend((1..count as u32).take(200));
            last.edges_end = nfa.edges.len() as u32;
        }
    }
}

fn any_dfa<'r>(source: &mut Source, rule: &'r mut Rule) -> Option<&'r mut PartialDfa> {
    let of_splits =
        rule.splits.iter_mut().flat_map(|split| [&mut split.suffix, &mut split.reverse_prefix]);
    let mut all: Vec<&mut PartialDfa> =
        [&mut rule.relaxed].into_iter().chain(of_splits).flatten().chain([&mut rule.dfa]).collect();
    let index = source.within(0..=all.len() - 1);
    Some(all.swap_remove(index))
}

fn damage_dfa(source: &mut Source, dfa: &mut PartialDfa) {
    let rows = dfa.entries.len() / dfa.stride as usize;
    for _ in 0..source.within(1..=6) {
        let at = source.within(0..=dfa.entries.len() - 1);
        let row = match source.within(0..=4) {
            0 => layout::ROW_DEAD,
            1 => layout::ROW_ESCAPE,
            // Also one too many.
            _ => source.within(0..=rows) as u32,
        };
        dfa.entries[at] = (row << 1) as u16 | u16::from(source.once_in(3));
    }
    if source.once_in(8) {
        let byte = source.byte();
        dfa.classes[usize::from(byte)] = source.within(0..=dfa.stride as usize) as u8;
    }
}

fn damage_splits(source: &mut Source, rule: &mut Rule) {
    if rule.splits.is_empty() {
        rule.relaxed = None;
        return;
    }
    let index = source.within(0..=rule.splits.len() - 1);
    let split = &mut rule.splits[index];
    match source.within(0..=11) {
        0 => split.prefix[source.within(0..=1)] = source.within(0..=600) as u32,
        1 => {
            let length = source.one_of(&[0, 1, 40, 1 << 30, 1 << 31, layout::UNBOUNDED]);
            split.prefix = [length, source.one_of(&[length, layout::UNBOUNDED])];
        }
        2 => split.suffix = None,
        3 => split.reverse_prefix = None,
        4 => (split.is_exact, split.run) = (!split.is_exact, None),
        5 => split.run = source.one_of(&[None, Some(Run::Lazy), Some(Run::Greedy)]),
        6 => split.other_grams = None,
        7 if !split.grams.is_empty() => {
            let at = source.within(0..=split.grams.len() - 1);
            split.grams[at].offset = source.within(0..=130) as u8;
        }
        8 if !split.grams.is_empty() => {
            let at = source.within(0..=split.grams.len() - 1);
            split.grams[at].bytes[source.within(0..=3)] = source.byte();
            split.grams[at].confirm_mask ^= 1 << source.within(0..=31);
        }
        9 if !split.class_windows.is_empty() => {
            let at = source.within(0..=split.class_windows.len() - 1);
            split.class_windows[at].offset = source.within(0..=130) as u8;
            split.class_windows[at].sets[source.within(0..=7)][source.within(0..=7)] = u32::MAX;
        }
        10 => {
            let copy = split.clone();
            rule.splits.push(copy);
        }
        _ => {
            rule.splits.remove(index);
        }
    }
}
