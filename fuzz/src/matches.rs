//! Rules over haystacks, on the device and by the Pike VM. That one has no prefilters, with which the `regex` crate finds
//! what is not there, or not what is.

use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::util::look::LookMatcher;
use regex_automata::util::syntax;
use vkscan::{Match, MatchKind, PipelineOptions, RulePipeline, ScanScratch, UnicodePolicy};

use super::source::Source;
use super::watchdog::watch;
use super::{assert_valid, backend, generate};

#[derive(Debug)]
pub struct Case {
    pub options: PipelineOptions,
    pub patterns: Vec<String>,
    pub haystacks: Vec<Vec<u8>>,
}

/// Says how many matches there are.
pub fn run(bytes: &[u8]) -> usize {
    check(&case(bytes))
}

pub fn case(bytes: &[u8]) -> Case {
    let source = &mut Source::new(bytes);
    let options = generate::options(source, MatchKind::LeftmostFirst);
    let patterns = source.list(1..=6, generate::pattern);
    let haystacks = source.list(1..=5, |source| generate::haystack(source, &patterns, 3000));
    Case { options, patterns, haystacks }
}

pub fn check(case: &Case) -> usize {
    let vms = |patterns: &[String]| -> Vec<PikeVM> {
        patterns.iter().map(|pattern| pike_vm(pattern, &case.options)).collect()
    };
    on_device(case, |patterns| {
        let vms = vms(patterns);
        move |haystack: &[u8]| {
            let mut matches = Vec::new();
            for (pattern_id, vm) in (0..).zip(&vms) {
                let cache = &mut vm.create_cache();
                let found = vm.find_iter(cache, haystack);
                matches.extend(found.filter(|found| !found.is_empty()).map(|found| Match {
                    pattern_id,
                    start: found.start() as u32,
                    end: found.end() as u32,
                }));
            }
            matches
        }
    })
}

/// Compares what the device finds with what is `expected` of those patterns that compile.
pub fn on_device<F: Fn(&[u8]) -> Vec<Match>>(
    case: &Case,
    expected: impl FnOnce(&[String]) -> F,
) -> usize {
    let Case { options, patterns, haystacks } = case;
    let compile = |patterns: &[String]| {
        let what = || format!("to compile {patterns:?} with {options:?}");
        watch(what, || RulePipeline::with_options(patterns, options.clone()))
    };
    let mut patterns = patterns.clone();
    patterns.retain(|pattern| compile(std::slice::from_ref(pattern)).is_ok());
    let rules = compile(&patterns).unwrap();
    let longest = haystacks.iter().map(Vec::len).max().unwrap_or(0);
    // Walks that leave their DFAs share nothing, as the README says of limits: they take the square of a haystack.
    let has_long_walks = rules.explain().iter().any(|plan| plan.nfa_nodes.is_some());
    let longest = if has_long_walks { longest.min(600) } else { longest };
    let what = || format!("to prepare {patterns:?} with {options:?}");
    let session = watch(what, || rules.prepare_resident(backend(), longest, 1 << 20)).unwrap();
    let expected = expected(&patterns);
    let (mut matches, mut scratch, mut count) = (Vec::new(), ScanScratch::default(), 0);
    for haystack in haystacks {
        let haystack = &haystack[..haystack.len().min(longest)];
        let what = || format!("{patterns:?} with {options:?} over \"{}\"", haystack.escape_ascii());
        let scanned = watch(
            || format!("to scan {}", what()),
            || session.scan_into(backend(), haystack, &mut matches, &mut scratch),
        );
        scanned.unwrap_or_else(|error| panic!("{}: {error}", what()));
        let expected = expected(haystack);
        assert!(
            matches == expected,
            "{}: {:?} are missing, {:?} are too many",
            what(),
            difference(&expected, &matches),
            difference(&matches, &expected),
        );
        count += matches.len();
    }
    session.free(backend()).unwrap();
    assert_valid();
    count
}

fn difference(these: &[Match], those: &[Match]) -> Vec<Match> {
    these.iter().filter(|found| those.binary_search(found).is_err()).take(5).copied().collect()
}

/// A pattern by the definition of the `regex` crate.
pub fn pike_vm(pattern: &str, options: &PipelineOptions) -> PikeVM {
    let build = |unicode| {
        let syntax = syntax::Config::new()
            .utf8(false)
            .unicode(unicode)
            .case_insensitive(options.case_insensitive)
            .multi_line(options.multi_line)
            .dot_matches_new_line(options.dot_matches_new_line)
            .crlf(options.crlf)
            .ignore_whitespace(options.ignore_whitespace)
            .swap_greed(options.swap_greed)
            .line_terminator(options.line_terminator);
        let mut looks = LookMatcher::new();
        looks.set_line_terminator(options.line_terminator);
        let kind = match options.match_kind {
            MatchKind::All => regex_automata::MatchKind::All,
            MatchKind::LeftmostFirst => regex_automata::MatchKind::LeftmostFirst,
        };
        PikeVM::builder()
            .configure(PikeVM::config().match_kind(kind))
            .syntax(syntax)
            .thompson(thompson::Config::new().utf8(false).look_matcher(looks))
            .build(pattern)
            .map_err(|error| error.to_string())
    };
    let built = match options.unicode {
        UnicodePolicy::Never => build(false),
        UnicodePolicy::Always => build(true),
        UnicodePolicy::WhenNeeded => build(false).or_else(|_| build(true)),
    };
    built.unwrap_or_else(|error| panic!("{pattern:?} compiles with {options:?}: {error}"))
}
