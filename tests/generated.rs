//! Generated rules and haystacks, and haystacks of the sizes where something changes.

mod common;
#[path = "common/strategies.rs"]
mod strategies;

use std::cell::Cell;
use std::ops::RangeInclusive;

use common::{gpu, plain_matches, plain_regexes, regex_matches, regexes, say};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use strategies::{crowded_haystack, cut_pattern, haystack, pattern};
use vkscan::{MatchKind, PipelineOptions, RulePipeline, ScanScratch, UnicodePolicy};

/// Several rules and several haystacks, because preparing a session is what takes time.
#[derive(Clone, Debug)]
struct Generated {
    options: PipelineOptions,
    patterns: Vec<String>,
    haystacks: Vec<Vec<u8>>,
    max_scan_bytes: u32,
}

#[test]
fn generated_rules_match_as_the_oracle_says() {
    let gpu = gpu();
    // Kept cases are run before new ones.
    let kept = FileFailurePersistence::Direct("tests/generated.regressions");
    let config =
        ProptestConfig { failure_persistence: Some(Box::new(kept)), ..ProptestConfig::default() };
    let found = Cell::new(0);
    let outcome = TestRunner::new(config).run(&generated(), |case| {
        found.set(found.get() + check(&gpu, &case)?);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    say(&format!("generated rules: {} matches", found.get()));
    assert!(found.get() > 0);
}

/// Rules that are looked for by rare bytes, with all kinds of things before and behind these, over haystacks full of such
/// bytes: what suffixes tell, and what they leave open.
#[test]
fn generated_rules_with_rare_bytes() {
    let gpu = gpu();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let found = Cell::new(0);
    let haystacks = vec(crowded_haystack(), 4..12);
    let outcome = TestRunner::new(config).run(&(vec(cut_pattern(), 1..6), haystacks), |case| {
        let (patterns, haystacks) = case;
        let rules = RulePipeline::new(&patterns).unwrap();
        let regexes = plain_regexes(&rules.patterns().collect::<Vec<_>>());
        let longest = haystacks.iter().map(Vec::len).max().unwrap();
        let session = rules.prepare_resident(&gpu.backend, longest, 1 << 21).unwrap();
        let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
        for haystack in &haystacks {
            let expected = plain_matches(&regexes, haystack);
            session.scan_into(&gpu.backend, haystack, &mut matches, &mut scratch).unwrap();
            prop_assert_eq!(&matches, &expected, "haystack \"{}\"", haystack.escape_ascii());
            found.set(found.get() + matches.len());
        }
        session.free(&gpu.backend).unwrap();
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    say(&format!("generated rules with rare bytes: {} matches", found.get()));
    assert!(found.get() > 1000);
}

/// Cases that once failed, as they shrank. A seed in the file of kept cases means another case as soon as
/// the strategies change, so they move here.
#[test]
fn kept_cases() {
    let gpu = gpu();
    let cases = [
        // regex-automata's full DFA panics here.
        Generated {
            options: PipelineOptions::default().line_terminator(b'b'),
            patterns: vec![r"a(?:c|\B)".into()],
            haystacks: vec![b"ab".into()],
            max_scan_bytes: u32::MAX,
        },
        // A walker of `verify_nfa` that takes many walks in a round: lavapipe's limit on loop turns cut its loops.
        Generated {
            options: PipelineOptions::default()
                .match_kind(MatchKind::All)
                .unicode(UnicodePolicy::Always)
                .dfa_budget(0),
            patterns: vec!["[^a]{2,}".into(); 16],
            haystacks: vec!["cδ\u{212a}".repeat(10).into_bytes()],
            max_scan_bytes: u32::MAX,
        },
        // The regex crate finds a match in the first.
        Generated {
            options: PipelineOptions::default(),
            patterns: vec!["x*key.+?b".into()],
            haystacks: vec![b"keybkey".into(), b"keyabkey".into()],
            max_scan_bytes: u32::MAX,
        },
        // Nested repetitions that match nothing in very many ways: choosing factors took minutes.
        Generated {
            options: PipelineOptions::default(),
            patterns: [r"(?:(?:(?:(?-u:\w)|\b)){1,4}?){3,}", r"(?:(?:(?:\b{12}){12}){12}){12}"]
                .map(String::from)
                .to_vec(),
            haystacks: vec![b"ab".into()],
            max_scan_bytes: u32::MAX,
        },
    ];
    for case in cases {
        let found = check(&gpu, &case).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert!(found > 0, "{case:?} finds nothing");
    }
}

fn check(gpu: &common::Gpu, case: &Generated) -> Result<usize, TestCaseError> {
    let rules = RulePipeline::with_options(&case.patterns, case.options.clone())
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let longest = case.haystacks.iter().map(Vec::len).max().unwrap();
    let mut found = 0;
    let session = rules.prepare_resident(&gpu.backend, longest, 1 << 21).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    for haystack in &case.haystacks {
        let expected = rules.reference_scan_bounded(haystack, case.max_scan_bytes);
        session
            .scan_bounded_into(
                &gpu.backend,
                haystack,
                case.max_scan_bytes,
                &mut matches,
                &mut scratch,
            )
            .unwrap();
        prop_assert_eq!(&matches, &expected, "haystack \"{}\"", haystack.escape_ascii());
        found += matches.len();
    }
    session.free(&gpu.backend).unwrap();
    Ok(found)
}

fn generated() -> impl Strategy<Value = Generated> {
    let match_kind = prop_oneof![Just(MatchKind::All), Just(MatchKind::LeftmostFirst)];
    let unicode = prop_oneof![Just(UnicodePolicy::WhenNeeded), Just(UnicodePolicy::Always)];
    let line_terminator = prop_oneof![4 => Just(b'\n'), 1 => Just(b'b'), 1 => Just(b'\0')];
    // No DFA at all, one of a few states, the usual.
    let dfa_budget = prop_oneof![Just(0), 64_usize..1024, Just(32 << 10)];
    let flags = any::<[bool; 5]>();
    let options = (match_kind, unicode, line_terminator, dfa_budget, flags).prop_map(
        |(match_kind, unicode, line_terminator, dfa_budget, flags)| {
            let [case_insensitive, multi_line, dot_matches_new_line, crlf, swap_greed] = flags;
            PipelineOptions::default()
                .match_kind(match_kind)
                .unicode(unicode)
                .line_terminator(line_terminator)
                .dfa_budget(dfa_budget)
                .case_insensitive(case_insensitive)
                .multi_line(multi_line)
                .dot_matches_new_line(dot_matches_new_line)
                .crlf(crlf && line_terminator == b'\n')
                .swap_greed(swap_greed)
        },
    );
    let max_scan_bytes = prop_oneof![2 => Just(u32::MAX), 1 => 0_u32..12];
    (options, vec(pattern(), 1..24), vec(haystack(), 1..6), max_scan_bytes).prop_map(
        |(options, mut patterns, haystacks, max_scan_bytes)| {
            if options.line_terminator != b'\n' {
                // The lazy DFA of regex-automata mixes the two up: with `b` for a line terminator
                // `(?mR:$)|.(?m:$)` finds `c` in "c\n".
                patterns.iter_mut().for_each(|pattern| *pattern = pattern.replace("(?mR:", "(?m:"));
            }
            Generated { options, patterns, haystacks, max_scan_bytes }
        },
    )
}

/// Rules whose matches do not overlap, so that both match kinds find the same.
const PLANTED: [&str; 6] =
    [r"KEY-[0-9]{4}", r"(?-u:\b)EDGE(?-u:\b)", r"\AK", r"7777\z", "[A-F]{2}[0-9]{38}", "(?m)^=.=$"];

/// Lower-case text of `len` bytes with matches at its edges, around each offset, and here and there.
fn planted(len: usize, around: &[usize]) -> Vec<u8> {
    let line = b"the quick brown fox jumps over the lazy dog, and so on to the end of the line\n";
    let mut haystack = line.repeat(len.div_ceil(line.len()));
    haystack.truncate(len);
    let texts: [&[u8]; 4] =
        [b"KEY-7777", b" EDGE ", b"AB01234567890123456789012345678901234567", b"\n=\xff=\n"];
    let mut plant = |at: usize, text: &[u8]| {
        let text = &text[..text.len().min(len - at)];
        haystack[at..at + text.len()].copy_from_slice(text);
    };
    // A prime step reaches all alignments.
    for (count, at) in (0..len).step_by(20_011).enumerate() {
        plant(at, texts[count % texts.len()]);
    }
    for &offset in around.iter().filter(|&&offset| offset < len) {
        for (count, text) in texts.iter().enumerate() {
            // Across the offset, then up to it, then from it on, each some way from the others.
            let at = (offset + count * 1_000 - text.len() / 2).min(len);
            plant(at, text);
        }
        plant(offset, texts[0]);
        plant(offset - texts[0].len(), texts[0]);
    }
    plant(0, texts[0]);
    plant(len.saturating_sub(texts[0].len()), texts[0]);
    haystack
}

fn check_size(len: usize, around: &[usize], least: RangeInclusive<usize>) {
    let haystack = planted(len, around);
    let expected = regex_matches(&regexes(&PLANTED), &haystack);
    assert!(least.contains(&expected.len()), "{len} bytes have {} matches", expected.len());
    let gpu = gpu();
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let clock = std::time::Instant::now();
        let rules = RulePipeline::with_options(&PLANTED, common::options(match_kind)).unwrap();
        let found = gpu.scan(&rules, &[&haystack], expected.len().max(1)).remove(0);
        assert!(found == expected, "{len} bytes, {match_kind:?}");
        let seconds = clock.elapsed().as_secs_f32();
        say(&format!("{len} bytes, {match_kind:?}: {} matches in {seconds:.1} s", found.len()));
    }
}

#[test]
fn small_haystacks() {
    check_size(0, &[], 0..=0);
    check_size(1, &[], 1..=1);
    check_size(3, &[], 1..=1);
    for len in [65_535, 65_536, 65_537] {
        check_size(len, &[256, 32_768, 65_535], 10..=100);
    }
}

#[test]
fn a_haystack_of_300_mib() {
    const MIB: usize = 1 << 20;
    check_size(300 * MIB, &[65_536, 16 * MIB, 128 * MIB, 256 * MIB], 10_000..=20_000);
}
