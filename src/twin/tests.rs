//! Whole scans by the twins, against the oracle: what is wrong here is wrong before any device.

use proptest::prelude::*;

use super::*;
use crate::rules::tables::pack;
use crate::shaders::layout;
use crate::{Match, MatchKind, PipelineOptions, RulePipeline};

/// Sizes that make everything stop and go on as often as possible.
pub(super) fn tight(haystack: &[u8], pass_count: usize) -> ScanParams {
    ScanParams {
        haystack_len: haystack.len() as u32,
        end_start: haystack.len() as u32,
        is_final: 1,
        max_scan: u32::MAX,
        hit_capacity: 1 << 16,
        hit_stop: 1 << 20,
        queue_capacity: 4,
        start_walkers: 3,
        nfa_walkers: 2,
        pass_count: pass_count as u32,
        step_budget: 7,
        nfa_step_budget: 7,
        chunk_log2: 8,
        prefilter_end: haystack.len() as u32,
        prefilter_workgroup: 64,
        prefilter_turns: 4,
        candidate_capacity: 1 << 14,
        start_capacity: 1 << 14,
        most_pieces: 40,
        ..ScanParams::default()
    }
}

fn scan(
    rules: &RulePipeline,
    haystack: &[u8],
    [max_scan, use_prefilter]: [u32; 2],
    is_direct: bool,
    pass_bytes: u64,
) -> Vec<Match> {
    let tight = tight(haystack, 1);
    let params = ScanParams { max_scan, use_prefilter, is_direct: is_direct.into(), ..tight };
    scan_with(rules, haystack, params, pass_bytes).expect("nothing overflows")
}

/// As a session scans. An error has the `RETRY_*` bits of what it would do over.
pub(super) fn scan_with(
    rules: &RulePipeline,
    haystack: &[u8],
    params: ScanParams,
    pass_bytes: u64,
) -> Result<Vec<Match>, u32> {
    let kind = rules.options().match_kind;
    let mut matches = Vec::new();
    if haystack.is_empty() {
        return Ok(matches);
    }
    let passes = pack::pack(rules.rules(), kind, pass_bytes, pack::Grams::of_bitmap(11)).unwrap();
    let mut control = Control::default();
    for (index, tables) in passes.iter().enumerate() {
        let pass_count = passes.len() as u32;
        let params = ScanParams { pass: index as u32, pass_count, ..params };
        let mut buffers = Buffers::new(kind, tables.clone(), haystack, &params);
        buffers.control = control;
        if params.use_prefilter == layout::PREFILTER_NONE {
            let stage = if index == 0 { layout::SCHEDULE_BEGIN } else { layout::SCHEDULE_ROUND };
            schedule(&mut buffers, &ScanParams { stage, ..params });
        } else {
            gram_prefilter(&mut buffers, &params);
            if buffers.header().has_class_windows != 0 {
                class_prefilter(&mut buffers, &params);
            }
            confirm(&mut buffers, &params);
            schedule(&mut buffers, &ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params });
        }
        while buffers.control.pass == params.pass {
            assert!(buffers.control.rounds < MOST_ROUNDS, "the scan does not end");
            if buffers.control.compose_summaries_x > 0 {
                chunk_summaries(&mut buffers, &params);
                compose_summaries(&mut buffers, &params);
            }
            verify_dfa(&mut buffers, &params);
            verify_nfa(&mut buffers, &params);
            schedule(&mut buffers, &params);
            if buffers.control.pass == params.pass {
                // As where a submission ends and the next begins.
                buffers.control.verify_dfa_x = 0;
                schedule(&mut buffers, &params);
                if params.use_prefilter != layout::PREFILTER_NONE {
                    schedule(
                        &mut buffers,
                        &ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params },
                    );
                }
            }
        }
        let last = ScanParams { pass_count: index as u32 + 1, ..params };
        let (header, hits) = select_all(&mut buffers, &last);
        match header.selected {
            layout::SELECTED_ALL => {}
            // The host has the scan done again, too.
            layout::SELECTED_UNTOLD => {
                let params = ScanParams { is_direct: 0, ..params };
                return scan_with(rules, haystack, params, pass_bytes);
            }
            _ => return Err(header.retry_reasons),
        }
        matches.extend(hits.iter().map(|hit| Match {
            pattern_id: hit.pattern_id,
            start: hit.start,
            end: hit.end,
        }));
        control = Control { selected: layout::SELECTED_NONE, ..buffers.control };
    }
    matches.sort_unstable();
    Ok(matches)
}

/// Selects the matches of a scan that is over, as often as hits leave starts open.
fn select_all(buffers: &mut Buffers, params: &ScanParams) -> (ReadbackHeader, Vec<Hit>) {
    let of_open_starts = params.of_open_starts();
    loop {
        let (header, matches) = select(buffers, params).expect("nothing has been selected");
        let (header, matches) = match header.selected {
            layout::SELECTED_MANY => select_from_many(buffers, params),
            _ => (header, matches),
        };
        if header.selected != layout::SELECTED_OPEN {
            return (header, matches);
        }
        schedule(buffers, &ScanParams { stage: layout::SCHEDULE_SELECTED, ..of_open_starts });
        for _ in 0..MOST_ROUNDS {
            if buffers.control.pass >= params.pass_count {
                break;
            }
            verify_dfa(buffers, &of_open_starts);
            verify_nfa(buffers, &of_open_starts);
            schedule(buffers, &of_open_starts);
        }
    }
}

/// Sorts many hits and selects from them.
pub(super) fn select_from_many(
    buffers: &mut Buffers,
    params: &ScanParams,
) -> (ReadbackHeader, Vec<Hit>) {
    for digit in 0..buffers.digits(params) {
        let params = ScanParams { stage: digit, ..*params };
        count_digits(buffers, &params);
        sum_digits(buffers, &params);
        move_hits(buffers, &params);
    }
    link_tiles(buffers, params);
    enter_tiles(buffers, params);
    select_tiles(buffers, params);
    write_matches(buffers, params)
}

/// What no scan of a test takes.
const MOST_ROUNDS: u32 = 1 << 24;

fn check(patterns: &[&str], haystack: &[u8], pass_bytes: u64) {
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        // With a DFA that decides most walks, and with hardly any.
        for dfa_budget in [32 << 10, 0] {
            for unicode in [crate::UnicodePolicy::WhenNeeded, crate::UnicodePolicy::Always] {
                let options = PipelineOptions {
                    match_kind,
                    dfa_budget,
                    unicode,
                    ..PipelineOptions::default()
                };
                let rules = RulePipeline::with_options(patterns, options).unwrap();
                for max_scan in [u32::MAX, 3, 1, 0] {
                    let expected = rules.reference_scan_bounded(haystack, max_scan);
                    for prefilter in
                        [layout::PREFILTER_NONE, layout::PREFILTER_BOUNDED, layout::PREFILTER_ALL]
                    {
                        let is_direct = match_kind == MatchKind::LeftmostFirst
                            && max_scan == u32::MAX
                            && prefilter == layout::PREFILTER_ALL;
                        let found =
                            scan(&rules, haystack, [max_scan, prefilter], is_direct, pass_bytes);
                        assert_eq!(
                            found, expected,
                            "{patterns:?}, {match_kind:?}, budget {dfa_budget}, {unicode:?}, \
                             at most {max_scan}, prefilter {prefilter}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn curated_patterns() {
    let haystack = b"abcabc foo_bar\r\nfood foo\n\xC3\xA9t\xC3\xA9 \xFFaaab\xE2\x82\xAC x1-22-333";
    check(
        &[
            "abc",
            "a+",
            "a+?b",
            r"\bfoo\b",
            r"\w+",
            r"(?m)^\w+$",
            r"(?mR)^.*$",
            r"[a-z]{2,3}",
            r"(?s).+?o",
            "(?i)FOO|bar|",
            r"\b{start}f|o\b{end}",
            r"\Aabc|333\z|^$",
            r"(?:b||a)+c",
            r"(a|ab)(c|bcd)*",
            r"\d+(?:-\d+)+",
            r"\Bo\B",
            r"(?u:\w+)",
            r"(?u)\b\w\B",
            r"\p{L}{2,}",
            r"(?:(?:a?b?)*c)+",
            r"(?:\b|a)*b",
            r"(?:a|(?:\b|e)x?|d)*o",
            r"[^\n]{5,9}o",
            r"\xFFa{3}",
        ],
        haystack,
        // Several passes.
        900 << 10,
    );
}

#[test]
fn escape_at_the_longest_match() {
    // The byte after the match decides whether it is one, and only the NFA can tell.
    check(&[r"[ab](?u:\b)"], b"a\xC3", 64 << 20);
}

#[test]
fn anchored_rules_are_looked_at_where_the_haystack_starts() {
    check(&["^[^a]"], b"b", 64 << 20);
}

#[test]
fn rules_that_match_at_the_end_are_looked_at_there() {
    let patterns = ["[ab]{3}$", "a*$", r"\bb+$", r"(?s)x.*a$|b$", "(?:a|b)$|aa$", r"b\z", "[^x]+$"];
    let rules = RulePipeline::new(&patterns).unwrap();
    let is_at_end = |split: &crate::rules::Split| split.anchor == Some(crate::rules::Anchor::End);
    for rule in rules.rules() {
        assert!(rule.splits.iter().all(is_at_end) && rule.splits.len() == 1, "{}", rule.pattern);
    }
    let long = [&b"x"[..], &b"ab".repeat(400)].concat();
    for haystack in [&b""[..], b"a", b"b", b"xaab", b"aabx", b"xbb bba", &long] {
        check(&patterns, haystack, 64 << 20);
    }
}

/// Of starts in a run the first decides about the others.
#[test]
fn starts_are_left_to_the_first_of_their_run() {
    let patterns =
        [".*ab", "(?s).*(?:aa|ba).{1,3}b", "[ab]+b", r"\w+", "(?s).+b.{3}[ab]", r"[ab]{3,}b\b"];
    let rules = RulePipeline::new(&patterns).unwrap();
    assert!(rules.rules().iter().all(|rule| rule.front.is_some()));
    for haystack in
        [&b"ab"[..], b"xab\nab ab", b"aabab\nba\n\nxxabaabbab ab", &b"aab ab\nb".repeat(20)]
    {
        check(&patterns, haystack, 64 << 20);
    }
}

/// Rules whose DFAs are too large, with counts let go not: of two walks that leave a DFA one comes to a match.
pub(super) const COUNTED: [&str; 3] =
    ["a[ab]{0,12}?b[ab]{20}c", "(?:[ab]|b[ab]{20}d){1,60}?cd?", r"(?s)\bx.*?b.{22}[cd]{9}"];

pub(super) fn counted_haystack() -> Vec<u8> {
    let mut haystack = Vec::new();
    for round in 0..24_usize {
        let letters = (0..24).map(|at: usize| b"ab"[(at * round / 3 + at / 5) % 2]);
        haystack.extend(letters);
        haystack.extend_from_slice([&b"c"[..], b"cd ", b" x", b"cccccccccc"][round % 4]);
    }
    haystack
}

#[test]
fn counts_are_let_go_before_the_nfa_walks() {
    let rules = RulePipeline::new(&COUNTED).unwrap();
    let is_relaxed =
        |rule: &crate::rules::Rule| rule.relaxed.as_ref().is_some_and(|dfa| !dfa.escapes());
    for rule in rules.rules() {
        assert!(rule.dfa.escapes() && is_relaxed(rule), "{}", rule.pattern);
    }
    let haystack = counted_haystack();
    assert!(rules.reference_scan(&haystack).len() > 12);
    check(&COUNTED, &haystack, 64 << 20);
}

fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "b",
        "ab",
        "[ab]",
        "[^a]",
        ".",
        r"\b",
        r"\B",
        "^",
        "$",
        "(?m:^)",
        "(?m:$)",
        "(?R-s:$)",
        "",
        r"\w",
        r"\W",
        r"(?u:\b)",
        r"(?u:\w)",
        r"(?u:\B)",
        r"\b{end-half}",
        "é",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (
                inner,
                prop::sample::select(vec![
                    "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}"
                ])
            )
                .prop_map(|(sub, repeat)| format!("(?:{sub}){repeat}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn generated_patterns(
        patterns in prop::collection::vec(pattern(), 1..4),
        haystack in prop::collection::vec(prop::sample::select(&b"aab \n\r\xC3\xA9_"[..]), 0..24),
    ) {
        // Nested repeats may exceed what a regex may take; that is no matter here.
        prop_assume!(RulePipeline::new(&patterns).is_ok());
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        check(&patterns, &haystack, 64 << 20);
    }
}

/// Prefixes that overlap each other and the matches before them: the least start of a suffix is not always the
/// one that counts, and two suffixes may share a start.
#[test]
fn prefixes_that_overlap() {
    let patterns = [
        "[ab]{0,3}?abcd[ab]?",
        "[abcd]{0,9}abcd(?:ab|a)",
        "(?:a|ab)*?abcd.",
        "[a-d]*abcd[a-d]{0,4}?d",
        "(?:ab|b){0,2}abcd|[ab]*bcd[ab]+",
        "a[a-d ]{0,20}abcd",
    ];
    let of_kind = |match_kind| {
        let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
        RulePipeline::with_options(&patterns, options).unwrap()
    };
    let pipelines = [MatchKind::LeftmostFirst, MatchKind::All].map(of_kind);
    let exact = pipelines[0].rules().iter().flat_map(|rule| &rule.splits);
    assert!(exact.filter(|split| split.is_exact).count() > 4);
    let pieces = vec!["a", "b", "ab", "abcd", "abcd", "cd", "d", " "];
    let haystacks = prop::collection::vec(prop::sample::select(pieces), 0..12);
    let config = ProptestConfig::with_cases(200);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let checked = runner.run(&haystacks, |pieces| {
        let haystack = pieces.concat().into_bytes();
        for rules in &pipelines {
            let is_direct = rules.options().match_kind == MatchKind::LeftmostFirst;
            let found =
                scan(rules, &haystack, [u32::MAX, layout::PREFILTER_ALL], is_direct, u64::MAX);
            prop_assert_eq!(found, rules.reference_scan(&haystack));
        }
        Ok(())
    });
    checked.unwrap();
}

/// What `docs/ARCHITECTURE.md` tells of one rule.
#[test]
fn one_rule_all_the_way() {
    let haystack = b"x = 1\nmy.adafruit_key = \"aio_1\"\nAdaFruit\t= 2\nadafruit: no\nfruity\n";
    assert_eq!(haystack.len(), 65);
    let rules = RulePipeline::new(&[r"[\w.-]{0,50}?(?i:adafruit)[ \t]{0,20}="]).unwrap();
    let split = &rules.rules()[0].splits[0];
    assert_eq!((split.prefix, split.is_exact), ([0, 50], true));
    let grams = [&split.grams[..], split.other_grams.as_deref().unwrap()].concat();
    let grams: Vec<_> = grams.iter().map(|gram| (gram.bytes, gram.offset - 1)).collect();
    assert_eq!(grams, [(*b"frui", 3), (*b"ruit", 4)]);
    let rows = |dfa: &crate::rules::automata::partial_dfa::PartialDfa| {
        (dfa.entries.len() / dfa.stride as usize, 1 + *dfa.classes.iter().max().unwrap())
    };
    assert_eq!(rules.rules()[0].nfa.nodes.len(), 81);
    assert_eq!(rows(&rules.rules()[0].dfa), (454, 11));
    assert_eq!(rows(split.suffix.as_ref().unwrap()), (31, 10));
    assert_eq!(rows(split.reverse_prefix.as_ref().unwrap()), (52, 2));

    let kind = rules.options().match_kind;
    let pass =
        pack::pack(rules.rules(), kind, u64::MAX, pack::Grams::of_bitmap(11)).unwrap().remove(0);
    let is_direct = 1;
    let use_prefilter = layout::PREFILTER_ALL;
    let params = ScanParams { use_prefilter, is_direct, ..tight(haystack, 1) };
    let mut buffers = Buffers::new(kind, pass, haystack, &params);
    gram_prefilter(&mut buffers, &params);
    let count = buffers.control.candidate_count as usize;
    let mut candidates: Vec<_> = buffers.candidates[..count].iter().map(|of| of.at).collect();
    candidates.sort_unstable();
    assert_eq!(candidates, [9, 32, 45]);
    confirm(&mut buffers, &params);
    assert_eq!(buffers.control.start_count, 0);
    schedule(&mut buffers, &ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params });
    let (header, hits) = select(&mut buffers, &params).unwrap();
    assert_eq!((header.pass, header.hit_count, header.retry_reasons), (1, 1, 0));
    let hit = |hit: &crate::shaders::layout::Hit| (hit.pattern_id, hit.start, hit.end);
    assert_eq!(hits.iter().map(hit).collect::<Vec<_>>(), [(0, 32, 42)]);
}
