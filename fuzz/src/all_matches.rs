//! All matches on the device, and one by one: of every span it is asked whether the pattern matches it.

use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::{Anchored, Input};
use vkscan::{Match, MatchKind};

use super::generate;
use super::matches::{Case, on_device, pike_vm};
use super::source::Source;

/// Says how many matches there are.
pub fn run(bytes: &[u8]) -> usize {
    check(&case(bytes))
}

pub fn case(bytes: &[u8]) -> Case {
    let source = &mut Source::new(bytes);
    let options = generate::options(source, MatchKind::All);
    let patterns = source.list(1..=5, generate::pattern);
    let longest = source.within(8..=160);
    let haystacks = source.list(1..=6, |source| generate::haystack(source, &patterns, longest));
    Case { options, patterns, haystacks }
}

pub fn check(case: &Case) -> usize {
    on_device(case, |patterns| {
        let vms: Vec<PikeVM> =
            patterns.iter().map(|pattern| pike_vm(pattern, &case.options)).collect();
        move |haystack: &[u8]| {
            let mut matches = Vec::new();
            for (pattern_id, vm) in (0..).zip(&vms) {
                let cache = &mut vm.create_cache();
                for start in 0..haystack.len() {
                    // The longest match that ends at or before `most` is the next one that is asked for.
                    let mut most = haystack.len();
                    let mut ends = Vec::new();
                    while most > start {
                        let input = Input::new(haystack).range(start..most).anchored(Anchored::Yes);
                        let Some(found) = vm.find(cache, input) else { break };
                        ends.extend((found.end() > start).then_some(found.end()));
                        most = found.end().saturating_sub(1);
                    }
                    matches.extend(ends.into_iter().rev().map(|end| Match {
                        pattern_id,
                        start: start as u32,
                        end: end as u32,
                    }));
                }
            }
            matches
        }
    })
}
