//! Rules that are searched for: which these are, and what they match.

use regex::bytes::{Regex, RegexBuilder};

use super::cases::whole;
use super::selection::Random;
use super::*;

/// Rules whose walks on NFAs are long, or that match nothing now and then.
const PATTERNS: [&str; 8] = [
    r"(?:(?u:\b)|[^o])+",
    r"(?s)a.*(?u:\b)z",
    r"(?:\b|a)*b",
    "(?:a|)(?:b|c){0,9}?",
    r"(?:b||a)+c|(?u:é\B)",
    "[^ ]{0,800}o",
    r"(?:fo*?|o{2,9}d??)",
    r"(?m)^.{3,20}(?:$|\B)",
];

const HAYSTACK: &[u8] =
    b"abcabc foo_bar\r\nfood foo\n\xC3\xA9t\xC3\xA9 \xFFaaab x1-22-333 \xF0\x9F\x98\x80z";

fn rules_of(patterns: &[&str]) -> RulePipeline {
    let options = PipelineOptions { dfa_budget: 0, ..PipelineOptions::default() };
    let rules = RulePipeline::with_options(patterns, options).unwrap();
    assert!(rules.rules().iter().all(|rule| rule.dfa.escapes()), "none else has an NFA");
    rules
}

/// What a rule matches from `from` on, and before `end`.
fn found_from(pattern: &str, rule: u32, haystack: &[u8], from: u32, end: u32) -> Vec<Hit> {
    let regex: Regex = RegexBuilder::new(pattern).unicode(false).build().unwrap();
    let mut hits = Vec::new();
    let mut at = from as usize;
    while let Some(found) = regex.find_at(haystack, at).filter(|found| found.start() < end as usize)
    {
        if found.is_empty() {
            at = found.end() + 1;
        } else {
            at = found.end();
            let [start, end] = [found.start() as u32, found.end() as u32];
            hits.push(Hit { pattern_id: rule, start, end });
        }
        if at > haystack.len() {
            break;
        }
    }
    hits
}

/// Some rules are searched for, and the others verified from every start, as before.
#[test]
fn searches_find_what_is_behind_what_earlier_parts_cover() {
    let backend = TestBackend::new();
    let tables = tables_of(&rules_of(&PATTERNS));
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let part = ScanParams { first_start: 9, end_start: 33, ..whole(HAYSTACK) };
    let crumbs = ScanParams { nfa_step_budget: 37, queue_capacity: 2, ..part };
    for params in [whole(HAYSTACK), part, crumbs] {
        let searched: Vec<u32> = vec![7, 0, 3, 1, 2, 4, 5];
        let mut state = used_buffers(MatchKind::LeftmostFirst, &tables, HAYSTACK, &params);
        for (place, rule) in state.control.searched.iter_mut().zip(&searched) {
            *place = rule + 1;
        }
        let carried = [(1, 12), (3, 20), (5, 8)];
        for (place, (pattern_id, end)) in carried.into_iter().enumerate() {
            state.hits[place] = Hit { pattern_id, start: 0, end };
            state.hit_suffixes[place] = layout::CARRIED;
        }
        state.control.carried = carried.len() as u32;
        state.hit_count = state.control.carried;
        let begin = ScanParams { stage: layout::SCHEDULE_BEGIN, ..params };
        compare(&backend, &kernels, &mut state, &begin, "schedule");
        while state.control.pass == 0 {
            compare(&backend, &kernels, &mut state, &params, "verify_dfa");
            compare_nfa(&backend, &kernels, &mut state, &params);
            compare(&backend, &kernels, &mut state, &params, "schedule");
        }
        let mut found = 0;
        for rule in searched {
            let carried = carried.into_iter().find(|&(of, _)| of == rule);
            let from = carried.map_or(0, |(_, end)| end).max(params.first_start);
            let pattern = PATTERNS[rule as usize];
            let expected = found_from(pattern, rule, HAYSTACK, from, params.end_start);
            let hits = state.hits[..state.hit_count as usize].iter().skip(3);
            let mut hits: Vec<Hit> = hits.filter(|hit| hit.pattern_id == rule).copied().collect();
            hits.sort_unstable_by_key(|hit| hit.start);
            assert_eq!(hits, expected, "{pattern}");
            found += hits.len();
        }
        assert!(found > 10, "{found}");
        let of_others = state.hits[..state.hit_count as usize].iter();
        let of_others: Vec<Hit> = of_others.filter(|hit| hit.pattern_id == 6).copied().collect();
        let [first, end] = [params.first_start, params.end_start];
        let first = found_from(PATTERNS[6], 6, HAYSTACK, first, end);
        assert!(first.iter().all(|hit| of_others.contains(hit)), "{of_others:?}");
    }
}

/// Matches that wait for longer ones which come to nothing, and threads that are many and come to nothing: the search goes on with the
/// positions that lead to a match alone.
#[test]
fn long_searches_have_live_sets() {
    let backend = TestBackend::new();
    let patterns = [
        r"(?s).+_key|[a-z]",
        r"(?s)(?:a.{0,300}(?:\bx|$)q|[a-z ]+?)\b",
        r"(?s)(?:.*q|.*(?:aq|b{2}q){2}|b|c.{0,99}q)\B",
        r"(?m)(?:(?:.*\n)*q|[^x]{3,30}(?:x$|\n))",
        r"(?s)(?:(?:[ab]{1,30}[a-c]|.){1,20}.*(?:(?u:\b)q|_key)|\w)",
        r"(?:(?:[^q]{2,40}a){2,}q|b(?:a|\b)+)",
    ];
    let mut haystack = Vec::new();
    let mut random = Random(1);
    while haystack.len() < 1300 {
        let words: [&[u8]; 8] = [b"a", b"b", b"ab ", b"c_", b"x", b"x\n", b"ba", b"z"];
        haystack.extend_from_slice(random.one_of(&words));
    }
    let tables = tables_of(&rules_of(&patterns));
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let from_within = ScanParams { first_start: 100, end_start: 1250, ..whole(&haystack) };
    let crumbs = ScanParams { nfa_step_budget: 300, ..from_within };
    let mut live = 0;
    for params in [whole(&haystack), crumbs] {
        for rule in 0..patterns.len() as u32 {
            let mut state = used_buffers(MatchKind::LeftmostFirst, &tables, &haystack, &params);
            state.control.searched[0] = rule + 1;
            let begin = ScanParams { stage: layout::SCHEDULE_BEGIN, ..params };
            schedule(&mut state, &begin);
            let walkers = compare_nfa(&backend, &kernels, &mut state, &params);
            let mut hits = state.hits[..state.hit_count as usize].to_vec();
            hits.sort_unstable_by_key(|hit| hit.start);
            let pattern = patterns[rule as usize];
            let [first, end] = [params.first_start, params.end_start];
            let expected = found_from(pattern, rule, &haystack, first, end);
            assert_eq!(hits, expected, "{pattern}");
            assert!(!expected.is_empty(), "{pattern}");
            live += u32::from(walkers[0].block_log2 != 0);
        }
    }
    assert!(live > 6, "{live} of 12 have live sets");
}

/// Rules are searched for once the scan's walks on NFAs have taken more steps than that, if walkers are at them, and a search
/// finds what the scan is for.
#[test]
fn rules_that_walkers_are_held_up_by_are_searched_for() {
    let backend = TestBackend::new();
    let tables = tables_of(&rules_of(&PATTERNS));
    let kernels = kernels_of(&backend, MatchKind::LeftmostFirst, &tables, false);
    let held_up = ScanParams { stage: layout::SCHEDULE_ROUND, ..whole(HAYSTACK) };
    let least = layout::SEARCH_LEAST_KILOSTEPS;
    let much = [least - 1, 1024];
    let little = [least - 1, 1023];
    let prefilter = |use_prefilter| ScanParams { use_prefilter, ..held_up };
    let of_bytes = |haystack_len| ScanParams { haystack_len, ..held_up };
    let windows = ScanParams { is_final: 0, ..held_up };
    let bounded = ScanParams { max_scan: 100, ..held_up };
    let passes = ScanParams { pass_count: 2, ..held_up };
    let full = ScanParams { hit_stop: 0, ..held_up };
    let cases = [
        (held_up, much, vec![3, 1]),
        (prefilter(layout::PREFILTER_ALL), much, vec![3, 1]),
        (prefilter(layout::PREFILTER_BOUNDED), much, vec![]),
        (ScanParams { nfa_walkers: 1, ..held_up }, much, vec![3]),
        (held_up, little, vec![]),
        (of_bytes(1024 * least / SEARCH_AFTER - 1), much, vec![3, 1]),
        (of_bytes(1024 * least / SEARCH_AFTER), much, vec![]),
        // No haystack is too long.
        (of_bytes(1 << 30), [SEARCH_AFTER << 20, 1024], vec![3, 1]),
        (of_bytes(1 << 30), [(SEARCH_AFTER << 20) - 1, 1024], vec![]),
        (windows, much, vec![]),
        (bounded, much, vec![]),
        (passes, much, vec![]),
        (full, much, vec![]),
    ];
    for (params, [kilosteps, steps], expected) in cases {
        let mut state = used_buffers(MatchKind::LeftmostFirst, &tables, HAYSTACK, &params);
        state.hit_count = 1;
        let control = &mut state.control;
        control.verify_dfa_x = 1;
        control.unfinished = 1;
        (control.nfa_kilosteps, control.nfa_steps) = (kilosteps, steps);
        for (place, rule, count) in [(0, 2, 30), (1, 6, 2), (2, 0, 8)] {
            control.held_up[place] = rule + 1;
            control.held_up_count[place] = count.min(params.nfa_walkers);
        }
        compare(&backend, &kernels, &mut state, &params, "schedule");
        let Control { searched, retry_reasons, pass, .. } = state.control;
        let of_places = searched.iter().copied().filter(|&rule| rule != 0);
        assert_eq!(of_places.collect::<Vec<_>>(), expected, "{params:?}");
        let ends = !expected.is_empty();
        assert_eq!(retry_reasons, if ends { layout::RETRY_LISTED } else { 0 });
        let is_over = ends || params.hit_stop == 0;
        assert_eq!(pass, if is_over { params.pass_count } else { 0 });
    }
}
