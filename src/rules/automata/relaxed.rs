//! A rule with its counts let go: whether it can match at all, where its own DFA is too large to tell.
//!
//! Counts are what makes a DFA large: in `key.{0,200}?token` every `key` has a thread that counts on its own.
//! Without them the rule matches wherever it did, and elsewhere, and mostly has a small DFA. A walk that leaves
//! the rule's own goes over that one first, and seldom comes to a match, so that the NFA need not walk.
//!
//! What had a bound keeps one, if a coarse one, so that walks come to an end where the rule's do: at every
//! multiple of [`layout::COUNTER_STEP_BYTES`] a walk takes a counter step, which what was counted survives only so many of.

use regex_automata::nfa::thompson::{Compiler, Config, NFA, State, WhichCaptures};
use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

use crate::narrow::narrow;
use crate::rules::automata::partial_dfa::{Budget, CounterSteps, PartialDfa};
use crate::rules::automata::position_nfa::{Node, PositionNfa};
use crate::rules::effort::Effort;
use crate::shaders::layout;

/// Counts up to this are kept.
const FEW: u32 = 8;

/// Copies of nodes, at most.
const MOST_COPIES: usize = 1 << 16;

/// The DFA of a rule with its counts let go. None if it has none, or is too large.
pub(crate) fn dfa(
    hir: &Hir,
    mut compiler: Compiler,
    budget: Budget,
    effort: &Effort,
) -> Option<PartialDfa> {
    let mut relaxer = Relaxer { is_relaxed: false, runs: Vec::new() };
    let hir = relaxer.relax(hir, Place::Open { times: 1 });
    if !relaxer.is_relaxed {
        return None;
    }
    compiler.configure(Config::new().which_captures(WhichCaptures::All));
    let thompson = compiler.build_from_hir(&hir).ok()?;
    let (nfa, states) = PositionNfa::with_states(&thompson);
    let of_states = runs_of(&thompson)?;
    let of_nodes: Vec<usize> = states.iter().map(|&state| of_states[state]).collect();
    // A counter step before each byte; and where there are look-arounds, one before what waits for them behind the last.
    let waiting = usize::from(nfa.has_looks());
    let steps_of = |bytes: &usize| (bytes + waiting).div_ceil(layout::COUNTER_STEP_BYTES as usize);
    let counter_steps: Vec<usize> =
        [0].into_iter().chain(relaxer.runs.iter().map(steps_of)).collect();
    let copies =
        of_nodes.iter().try_fold(0_usize, |sum, &run| sum.checked_add(counter_steps[run]))?;
    if copies > MOST_COPIES {
        return None;
    }
    let (nfa, counter_steps) = with_ages(&nfa, &of_nodes, &counter_steps);
    Some(PartialDfa::with_counter_steps(&nfa, counter_steps, budget, effort))
}

struct Relaxer {
    is_relaxed: bool,
    /// Most bytes of what was counted, in one run; in the pattern it is the capture group with the index, plus 1.
    runs: Vec<usize>,
}

/// Where a part of a rule is.
#[derive(Clone, Copy)]
enum Place {
    /// Outside of runs, and so often in a row.
    Open { times: usize },
    /// In a run, where nothing is counted any more.
    Run,
    /// In a loop without a bound, where there is no telling one run from the next.
    Loop,
}

impl Relaxer {
    fn relax(&mut self, hir: &Hir, place: Place) -> Hir {
        let mut all = |subs: &[Hir]| subs.iter().map(|sub| self.relax(sub, place)).collect();
        match hir.kind() {
            HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => {
                hir.clone()
            }
            HirKind::Capture(capture) => self.relax(&capture.sub, place),
            HirKind::Concat(subs) => Hir::concat(all(subs)),
            HirKind::Alternation(subs) => Hir::alternation(all(subs)),
            HirKind::Repetition(repetition) => self.relax_repetition(repetition, place),
        }
    }

    fn relax_repetition(&mut self, repetition: &Repetition, place: Place) -> Hir {
        let Repetition { min, max, ref sub, .. } = *repetition;
        let is_counted = max.unwrap_or(min) > FEW;
        let mut with = |is_let_go, place| {
            let (min, max) = if is_let_go { (min.min(1), None) } else { (min, max) };
            let sub = Box::new(self.relax(sub, place));
            Hir::repetition(Repetition { min, max, sub, ..repetition.clone() })
        };
        let times = match place {
            Place::Open { times } => times,
            Place::Run => return with(is_counted, Place::Run),
            Place::Loop => return with(false, Place::Loop),
        };
        let Some(most) = max else {
            let relaxed = with(is_counted, Place::Loop);
            self.is_relaxed |= is_counted;
            return relaxed;
        };
        let times = times.saturating_mul(most as usize);
        match sub.properties().maximum_len().filter(|_| is_counted) {
            Some(length) => {
                let sub = Box::new(with(true, Place::Run));
                self.is_relaxed = true;
                self.runs.push(length.saturating_mul(times));
                Hir::capture(Capture { index: narrow::<_, u32>(self.runs.len()), name: None, sub })
            }
            None => with(false, Place::Open { times }),
        }
    }
}

/// By state the capture group that it is in; 0 if in none. None if it is in several.
fn runs_of(nfa: &NFA) -> Option<Vec<usize>> {
    let mut runs = vec![None; nfa.states().len()];
    let mut open = vec![(nfa.start_anchored(), 0)];
    while let Some((id, run)) = open.pop() {
        match runs[id.as_usize()].replace(run) {
            None => {}
            Some(before) if before == run => continue,
            Some(_) => return None,
        }
        let mut follow = |next, run| open.push((next, run));
        match nfa.state(id) {
            State::ByteRange { trans } => follow(trans.next, run),
            State::Sparse(sparse) => {
                sparse.transitions.iter().for_each(|trans| follow(trans.next, run));
            }
            State::Dense(dense) => {
                dense.transitions.iter().for_each(|&next| follow(next, run));
            }
            State::Look { next, .. } => follow(*next, run),
            State::Union { alternates } => alternates.iter().for_each(|&next| follow(next, run)),
            State::BinaryUnion { alt1, alt2 } => {
                follow(*alt1, run);
                follow(*alt2, run);
            }
            // The whole pattern is group 0.
            State::Capture { next, slot, .. } => {
                follow(*next, if slot.as_usize() % 2 == 0 { slot.as_usize() / 2 } else { 0 });
            }
            State::Fail | State::Match { .. } => {}
        }
    }
    Some(runs.into_iter().map(|run| run.unwrap_or(0)).collect())
}

/// Gives every node as many copies as its run has counter steps, each of them a counter step older than the one before; and says
/// what nodes become at a counter step. A run begins in the nodes themselves, and ends where the last copy gets older.
fn with_ages(
    nfa: &PositionNfa,
    runs: &[usize],
    counter_steps: &[usize],
) -> (PositionNfa, CounterSteps) {
    let count = nfa.nodes.len();
    // Of each node, the first of its copies.
    let mut copies = Vec::with_capacity(count);
    let mut end = count;
    for &run in runs {
        copies.push(end);
        end += counter_steps[run];
    }
    let aged = |node: usize, age: usize| if age == 0 { node } else { copies[node] + age - 1 };
    let mut nodes = vec![nfa.nodes[0]; end];
    let mut edges = Vec::new();
    let mut next: Vec<u32> = (0..narrow(end)).collect();
    let mut youngest = next.clone();
    for node in 0..count {
        let run = runs[node];
        for age in 0..=counter_steps[run] {
            let own = aged(node, age);
            let edges_begin = narrow::<_, u32>(edges.len());
            edges.extend(nfa.edges_of(narrow(node)).iter().map(
                |&edge| match runs.get(edge as usize) {
                    Some(&other) if other == run => narrow(aged(edge as usize, age)),
                    _ => edge,
                },
            ));
            let edges_end = narrow::<_, u32>(edges.len());
            nodes[own] = Node { edges_begin, edges_end, ..nfa.nodes[node] };
            youngest[own] = narrow(node);
            if run != 0 {
                next[own] = if age < counter_steps[run] {
                    narrow(aged(node, age + 1))
                } else {
                    CounterSteps::GONE
                };
            }
        }
    }
    (PositionNfa { nodes, edges, sets: nfa.sets.clone() }, CounterSteps { next, youngest })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PipelineOptions;
    use crate::rules::options::{compiler, parse};
    use crate::rules::oracle;

    fn relaxed(pattern: &str) -> Option<(String, Vec<usize>)> {
        let mut relaxer = Relaxer { is_relaxed: false, runs: Vec::new() };
        let hir = regex_syntax::parse(pattern).unwrap();
        let hir = relaxer.relax(&hir, Place::Open { times: 1 });
        relaxer.is_relaxed.then(|| (hir.to_string(), relaxer.runs))
    }

    #[test]
    fn lets_go_of_large_counts() {
        assert_eq!(relaxed("a{2,8}(b|c+)"), None);
        assert_eq!(relaxed("(?:a{0,9}b)*"), None);
        let cases = [
            ("(a{9}b){0,100}?c{12,}", "((?:a+b)*?)c+", vec![1000]),
            ("(?:x.{2,100}){3}[a-c]{30}?", "(?:x(.+)){3}([a-c]+?)", vec![1200, 30]),
        ];
        for (pattern, expected, runs) in cases {
            let expected = regex_syntax::parse(expected).unwrap().to_string();
            assert_eq!(relaxed(pattern), Some((expected, runs)));
        }
    }

    fn all_of_dfa(hir: &Hir, options: &PipelineOptions) -> Option<PartialDfa> {
        let budget = Budget { least: 1 << 16, most: 1 << 16 };
        dfa(hir, compiler(options), budget, &Effort::new(u64::MAX))
    }

    #[test]
    fn gives_up_on_too_many_copies() {
        let options = PipelineOptions::default();
        let hir = parse("(?:(?:(?:(?:(?:a{9}){8}){8}){8}){8}){4}", &options).unwrap();
        assert!(all_of_dfa(&hir, &options).is_none());
    }

    /// Where a walk from `start` matches, up to where it leaves the DFA.
    fn walk(dfa: &PartialDfa, haystack: &[u8], start: usize) -> (Vec<usize>, usize) {
        let row_of = |entry| crate::rules::automata::partial_dfa::target(entry);
        let class = |at: usize| match haystack.get(at) {
            Some(&byte) => dfa.classes[usize::from(byte)].into(),
            None => dfa.stride - 1,
        };
        let before = start.checked_sub(1).map_or(dfa.stride - 1, class);
        let mut row = row_of(dfa.entry(0, before));
        let mut ends = Vec::new();
        for at in start..=haystack.len() {
            if at.is_multiple_of(layout::COUNTER_STEP_BYTES as usize) {
                row = row_of(dfa.entry(row, dfa.stride - 2));
            }
            if row == layout::ROW_DEAD {
                break;
            }
            let entry = if row == layout::ROW_ESCAPE { 0 } else { dfa.entry(row, class(at)) };
            if row == layout::ROW_ESCAPE || row_of(entry) == layout::ROW_ESCAPE {
                return (ends, at);
            }
            if crate::rules::automata::partial_dfa::is_match(entry) {
                ends.push(at);
            }
            row = row_of(entry);
            if row == layout::ROW_DEAD {
                break;
            }
        }
        (ends, usize::MAX)
    }

    fn check(pattern: &str, haystack: &[u8], starts: impl Iterator<Item = usize>) -> usize {
        let options = PipelineOptions::default();
        let hir = parse(pattern, &options).unwrap();
        let Some(dfa) = all_of_dfa(&hir, &options) else { return 0 };
        let mut count = 0;
        for start in starts {
            let (found, left_at) = walk(&dfa, haystack, start);
            let ends = oracle::ends_from(&hir, haystack, start);
            for end in ends.into_iter().filter(|&end| end < left_at) {
                assert!(found.contains(&end), "{pattern:?} at {start}..{end}: {found:?}");
                count += 1;
            }
        }
        count
    }

    /// A counter step before what waits behind a run's last byte is judged.
    #[test]
    fn runs_end_after_their_last_counter_step() {
        let haystack = [&[b'-'; 256][..], b"y", &[b'a'; 128], b"z"].concat();
        assert_eq!(check(r"(?s)y(?:.(?:\b|\B)){128}z", &haystack, 256..257), 1);
        let haystack = [&[b'-'; 255][..], b"y", &[b'a'; 128], b"z"].concat();
        assert_eq!(check(r"(?s)y(?:.(?:\b|\B)){128}z", &haystack, 255..256), 1);
        assert_eq!(check("(?s)y.{128}(?:z|b?c|d|e+|f|g|h|i|j|k|l)", &haystack, 255..256), 1);
    }

    fn pattern() -> impl Strategy<Value = String> {
        let leaves =
            vec!["a", "b", "[ab]", ".", "[^x]", r"(?:.(?:\b|\B))", "(?:a|.x?)", "(?m:$|.)"];
        let counts = vec!["{9}", "{0,20}?", "{10,140}", "{0,257}", "{12,}", "{2,3}", "*", "+?"];
        let leaf = prop::sample::select(leaves).prop_map(str::to_owned);
        let part = leaf.prop_recursive(3, 8, 3, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.concat()),
                prop::collection::vec(inner.clone(), 2..3)
                    .prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (inner, prop::sample::select(counts.clone()))
                    .prop_map(|(sub, count)| format!("(?:{sub}){count}")),
            ]
        });
        let counts = vec!["{9,127}", "{127}", "{128}?", "{129}", "{0,128}", "{0,256}?", "{256}"];
        (
            part.clone(),
            part,
            prop::sample::select(counts),
            prop::sample::select(vec!["", "x", "a|b"]),
        )
            .prop_map(|(prefix, sub, count, suffix)| {
                format!("(?s)(?:{prefix})?(?:{sub}){count}(?:{suffix})")
            })
    }

    #[test]
    fn matches_wherever_the_rule_does() {
        let haystacks = prop::collection::vec(prop::sample::select(&b"aaaaaaab\nx"[..]), 300..420);
        let config =
            ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let checked_ends = std::cell::Cell::new(0);
        let checked =
            runner.run(&(pattern(), haystacks, 0_usize..130), |(pattern, haystack, start)| {
                // What takes too long to compile or to judge by definition is no matter here.
                let hir = regex_syntax::parse(&pattern).ok();
                let size = hir.and_then(|hir| hir.properties().maximum_len());
                prop_assume!(size.is_some_and(|size| size < 3000));
                let count = check(&pattern, &haystack, start..start + 2);
                checked_ends.set(checked_ends.get() + count);
                Ok(())
            });
        checked.unwrap();
        assert!(checked_ends.get() > 1000, "{} ends", checked_ends.get());
    }
}
