//! The session's contract, on a device under validation.

use std::io::{self, ErrorKind, Read};

use proptest::prelude::*;

use super::tuning::Tuning;
use super::*;
use crate::rules::tables::pack;
use crate::rules::{Anchor, Rule, Split};
use crate::vulkan::testing::TestBackend;
use crate::{BackendError, MatchKind, PipelineOptions};

mod fronts;
mod searches;
mod splits;
mod streams;

use streams::scan_windows;

const KINDS: [MatchKind; 2] = [MatchKind::LeftmostFirst, MatchKind::All];

const TEXT: &[u8] = b"abc foo_bar 12-34 aaab\nfood \xC3\xA9t\xC3\xA9 foo";
const PATTERNS: &[&str] =
    &["a+b?", r"\bfoo\b", r"\w+", r"(?m)^\w+", r"\d+-\d+", r"[^\n]{9,30}o", r"(?u)\b\w{3}\b"];

fn rules(kind: MatchKind, patterns: &[&str]) -> RulePipeline {
    let options = PipelineOptions { match_kind: kind, ..PipelineOptions::default() };
    RulePipeline::with_options(patterns, options).unwrap()
}

fn options(haystack_capacity_bytes: usize, max_matches: usize) -> SessionOptions {
    SessionOptions::new(haystack_capacity_bytes, max_matches).scans_in_flight(Some(1))
}

/// A session with a tuning of the test's.
fn prepare(
    rules: &RulePipeline,
    backend: &Backend,
    options: &SessionOptions,
    tuning: &Tuning,
) -> Result<ResidentRulePipeline, ScanError> {
    rules.prepare_resident_with(backend, &options.tuning(Some(*tuning)))
}

fn scan(session: &ResidentRulePipeline, backend: &Backend, haystack: &[u8]) -> Vec<Match> {
    let mut matches = Vec::new();
    session.scan_into(backend, haystack, &mut matches, &mut ScanScratch::default()).unwrap();
    matches
}

#[test]
fn finds_what_the_oracle_finds() {
    let backend = TestBackend::new();
    for kind in KINDS {
        let rules = rules(kind, PATTERNS);
        assert_eq!(rules.scan(&backend, TEXT).unwrap(), rules.reference_scan(TEXT), "{kind:?}");
        for max_scan_bytes in [0, 1, 3, 7] {
            let expected = rules.reference_scan_bounded(TEXT, max_scan_bytes);
            let found = rules.scan_bounded(&backend, TEXT, max_scan_bytes).unwrap();
            assert_eq!(found, expected, "{kind:?}, at most {max_scan_bytes}");
        }
    }
}

#[test]
fn no_limit_inside_shows_through() {
    let backend = TestBackend::new();
    let haystack = TEXT.repeat(9);
    for kind in KINDS {
        let rules = rules(kind, PATTERNS);
        let expected = rules.reference_scan(&haystack);
        // Every rule in a pass of its own, or nearly so.
        let least_pass = pack::pack(rules.rules(), kind, u64::MAX, pack::Grams::of_bitmap(10));
        let least_pass = least_pass.unwrap()[0].bytes();
        for pass_bytes in [least_pass, least_pass - 1000] {
            let tuning = Tuning { pass_bytes, ..Tuning::cramped(backend.device_info()) };
            let options = options(haystack.len(), expected.len());
            let session = prepare(&rules, &backend, &options, &tuning).unwrap();
            let mut matches = Vec::new();
            let mut scratch = ScanScratch::default();
            let stats = session.scan_into(&backend, &haystack, &mut matches, &mut scratch).unwrap();
            assert_eq!(matches, expected, "{kind:?}");
            assert!(stats.submissions > 1 && stats.rounds > 2, "{stats:?}");
            session.free(&backend).unwrap();
        }
    }
}

#[test]
fn a_scan_moves_the_haystack_and_a_counter() {
    let backend = TestBackend::new();
    for kind in KINDS {
        let rules = rules(kind, PATTERNS);
        let before = backend.allocated_bytes();
        let session = rules.prepare_resident(&backend, 1000, 1000).unwrap();
        let resident = backend.allocated_bytes();
        assert!(session.table_bytes() > 0 && resident > before + session.table_bytes());
        let mut matches = Vec::new();
        let mut scratch = ScanScratch::default();
        for length in [TEXT.len(), 5, 4, 1, TEXT.len()] {
            let haystack = &TEXT[..length];
            let stats = session.scan_into(&backend, haystack, &mut matches, &mut scratch).unwrap();
            assert_eq!(matches, rules.reference_scan(haystack));
            assert_eq!(stats.bytes_up, length.next_multiple_of(4) as u64 + 4);
            assert_eq!((stats.uploads, stats.submissions), (2, 1));
            let read_back = 28 * u64::from(stats.submissions) + 12 * matches.len() as u64;
            assert_eq!(stats.bytes_down, read_back);
            assert!(stats.wall >= stats.enqueue + stats.wait, "{stats:?}");
            if backend.device_info().timestamp_valid_bits() > 0 {
                assert!(stats.device.unwrap().verify_dfa.as_nanos() > 0);
            }
            assert_eq!(backend.allocated_bytes(), resident, "a scan allocates nothing");
        }
        session.free(&backend).unwrap();
        assert_eq!(backend.allocated_bytes(), before);
    }
}

/// What a scan comes to is recorded ahead of the next one.
#[test]
fn a_scan_is_one_submission_where_the_one_before_was_like_it() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["[ab]", "x[a-z]*?abcd"]);
    let tuning =
        Tuning { first_rounds: 8, later_rounds: 8, ..Tuning::for_device(backend.device_info()) };
    let options = options(100_000, 100_000);
    let session = prepare(&rules, &backend, &options, &tuning).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let [few, many] = [b"ab ".to_vec(), b"ab ".repeat(5000)];
    let [few_open, many_open] = [&few, &many].map(|text| [b"xqqabcdxqqabcd ", &text[..]].concat());
    let scans: [(&[u8], u32); 11] = [
        (&few, 1),
        (&many, 2),
        (&many, 1),
        (&few, 1),
        (&many, 2),
        (&few_open, 2),
        (&few_open, 1),
        (&few, 1),
        (&many_open, 3),
        (&many_open, 1),
        (&few_open, 1),
    ];
    for (index, (haystack, submissions)) in scans.into_iter().enumerate() {
        let stats = session.scan_into(&backend, haystack, &mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(haystack), "scan {index}");
        assert_eq!(stats.submissions, submissions, "scan {index}: {stats:?}");
        let read_back = 28 * u64::from(submissions) + 12 * matches.len() as u64;
        assert_eq!(stats.bytes_down, read_back, "scan {index}: {stats:?}");
    }
}

#[test]
fn stale_hits_are_never_seen() {
    let backend = TestBackend::new();
    for kind in KINDS {
        let rules = rules(kind, &["[a-z]"]);
        let session = rules.prepare_resident_cramped(&backend, &options(64, 64)).unwrap();
        assert_eq!(scan(&session, &backend, &[b'a'; 64]).len(), 64);
        assert_eq!(scan(&session, &backend, &[b' '; 64]), []);
        assert_eq!(scan(&session, &backend, b"  z"), [Match { pattern_id: 0, start: 2, end: 3 }]);
    }
}

#[test]
fn limits_are_errors_that_name_both_numbers() {
    let backend = TestBackend::new();
    for kind in KINDS {
        let rules = rules(kind, &["[ab]"]);
        let session = rules.prepare_resident_cramped(&backend, &options(100, 10)).unwrap();
        assert_eq!((session.haystack_capacity(), session.max_matches()), (100, 10));
        let mut matches = vec![Match { pattern_id: 9, start: 9, end: 10 }];
        let mut scratch = ScanScratch::default();
        let mut fails = |haystack: &[u8]| {
            let scanned = session.scan_into(&backend, haystack, &mut matches, &mut scratch);
            assert!(matches.is_empty(), "a failed scan leaves no matches");
            scanned.unwrap_err()
        };

        let error = fails(&[b' '; 101]);
        assert!(
            matches!(error, ScanError::HaystackTooLarge { bytes: 101, capacity: 100 }),
            "{error:?}"
        );
        assert!(error.to_string().contains("101") && error.to_string().contains("100"));

        let error = fails(b"abababababa");
        assert!(
            matches!(
                error,
                ScanError::TooManyMatches { found: 11, at_least: false, max_matches: 10 }
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains("11") && error.to_string().contains("10"));

        // The session goes on, and the cap itself is no error.
        assert_eq!(scan(&session, &backend, b"ababababab").len(), 10);
    }
    // Of parts that are prefiltered, too, all is counted.
    for kind in KINDS {
        let rules = rules(kind, &["abcd[a-z]?"]);
        let session = rules.prepare_resident(&backend, 20_000, 10).unwrap();
        let haystack = b"abcd".repeat(5000);
        let all = rules.reference_scan(&haystack).len() as u64;
        let mut matches = Vec::new();
        let scanned =
            session.scan_into(&backend, &haystack, &mut matches, &mut ScanScratch::default());
        let error = scanned.unwrap_err();
        assert!(
            matches!(error, ScanError::TooManyMatches { found, at_least: false, .. } if found == all),
            "{error:?}, where there are {all}"
        );
    }
    let rules = rules(MatchKind::All, &["a"]);
    let error = rules.prepare_resident(&backend, MAX_HAYSTACK_BYTES + 1, 1).unwrap_err();
    assert!(matches!(error, ScanError::Limit { limit: 0x4000_0000, .. }), "{error:?}");
    let error = rules.prepare_resident(&backend, 1, usize::MAX).unwrap_err();
    assert!(matches!(error, ScanError::Limit { .. }), "{error:?}");
    let tiny = Tuning { pass_bytes: 1000, ..Tuning::cramped(backend.device_info()) };
    let error = prepare(&rules, &backend, &options(1, 1), &tiny).unwrap_err();
    assert!(
        matches!(error, ScanError::RuleTooLarge { pattern_id: 0, limit: 1000, .. }),
        "{error:?}"
    );
}

/// Overlapping matches are quadratic in a run: the scan stops counting them at some point.
#[test]
fn a_flood_of_matches_is_given_up() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, &["a+"]);
    let session = rules.prepare_resident(&backend, 1 << 17, 100).unwrap();
    let mut matches = Vec::new();
    let flood = vec![b'a'; 1 << 17];
    let error =
        session.scan_into(&backend, &flood, &mut matches, &mut ScanScratch::default()).unwrap_err();
    let ScanError::TooManyMatches { found, at_least: true, max_matches: 100 } = error else {
        panic!("{error:?}");
    };
    assert!(found > 100 + (1 << 24) && found < 1 << 26, "{found}");
    assert_eq!(scan(&session, &backend, b"aa").len(), 3);
}

#[test]
fn nothing_to_scan() {
    let backend = TestBackend::new();
    for kind in KINDS {
        let none = rules(kind, &[]);
        assert_eq!(none.scan(&backend, TEXT).unwrap(), []);
        let rules = rules(kind, &["a*", "^$"]);
        assert_eq!(rules.scan(&backend, b"").unwrap(), []);
        let session = rules.prepare_resident(&backend, 0, 0).unwrap();
        assert_eq!(scan(&session, &backend, b""), []);
    }
}

#[test]
fn free_and_drop_leave_nothing_behind() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, PATTERNS);
    // Pipelines stay with the backend.
    rules.scan(&backend, TEXT).unwrap();
    let device = backend.device();
    let before = (device.allocated_bytes(), device.live_objects());
    let session = rules.prepare_resident(&backend, 100, 100).unwrap();
    assert_ne!((device.allocated_bytes(), device.live_objects()), before);
    session.free(&backend).unwrap();
    assert_eq!((device.allocated_bytes(), device.live_objects()), before);
    drop(rules.prepare_resident(&backend, 100, 100).unwrap());
    assert_eq!((device.allocated_bytes(), device.live_objects()), before);

    let other = TestBackend::new();
    let session = rules.prepare_resident(&backend, 100, 100).unwrap();
    let mut matches = Vec::new();
    let error =
        session.scan_into(&other, TEXT, &mut matches, &mut ScanScratch::default()).unwrap_err();
    assert!(matches!(error, ScanError::WrongBackend), "{error:?}");
    assert!(matches!(session.free(&other).unwrap_err(), ScanError::WrongBackend));
    assert_eq!((device.allocated_bytes(), device.live_objects()), before);
}

#[test]
fn a_lost_device_says_so_every_time_and_leaves_nothing_behind() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, PATTERNS);
    let session = rules.prepare_resident(&backend, 100, 1000).unwrap();
    scan(&session, &backend, TEXT);
    backend.device().inject_lost();
    let lost = |error: ScanError| {
        assert!(matches!(error, ScanError::Backend(BackendError::DeviceLost { .. })), "{error:?}");
    };
    let mut matches = vec![Match { pattern_id: 0, start: 0, end: 1 }];
    for _ in 0..2 {
        let mut scratch = ScanScratch::default();
        lost(session.scan_into(&backend, TEXT, &mut matches, &mut scratch).unwrap_err());
        assert!(matches.is_empty());
    }
    lost(rules.prepare_resident(&backend, 100, 100).unwrap_err());
    // Freeing makes no call that a lost device could fail.
    session.free(&backend).unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
}

#[test]
fn eight_threads_share_a_session() {
    const SCANS: usize = 1000;

    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, PATTERNS);
    let options = SessionOptions::new(100, 100).scans_in_flight(Some(3));
    let session = rules.prepare_resident_with(&backend, &options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let (session, rules, backend) = (&session, &rules, &*backend);
            scope.spawn(move || {
                let mut matches = Vec::new();
                let mut scratch = ScanScratch::default();
                for scan in (thread..SCANS).step_by(8) {
                    let mut haystack = TEXT.to_vec();
                    haystack.rotate_left(scan % TEXT.len());
                    haystack.truncate(1 + scan * 7 % TEXT.len());
                    session.scan_into(backend, &haystack, &mut matches, &mut scratch).unwrap();
                    assert_eq!(matches, rules.reference_scan(&haystack), "scan {scan}");
                }
            });
        }
    });
    session.free(&backend).unwrap();
}

/// Haystacks of all sources are in flight together, and each ticket gives what the oracle finds in its own,
/// whatever the order they are waited for in.
#[test]
fn tickets_give_their_own_matches() {
    let backend = TestBackend::new();
    for kind in KINDS {
        let rules = rules(kind, PATTERNS);
        let haystacks: Vec<Vec<u8>> =
            (0..4).map(|index| TEXT.repeat(1 + 9 * index)[index..].to_vec()).collect();
        let capacity = haystacks.iter().map(Vec::len).max().unwrap();
        let options = SessionOptions { scans_in_flight: Some(4), ..options(capacity, 10_000) };
        // Small enough that scans go on in rounds and parts, while others are in flight.
        for tuning in
            [Tuning::for_device(backend.device_info()), Tuning::cramped(backend.device_info())]
        {
            let session = prepare(&rules, &backend, &options, &tuning).unwrap();
            let mut staged = session.staging(&backend, haystacks[1].len()).unwrap();
            staged.copy_from_slice(&haystacks[1]);
            let resident = ResidentHaystack::new(&backend, &haystacks[2]).unwrap();
            let mut scratch = ScanScratch::default();
            let mut matches = Vec::new();
            for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
                let submitted = [
                    session.submit(&backend, &haystacks[0]),
                    session.submit(&backend, &staged),
                    session.submit(&backend, &resident),
                    session.submit(&backend, &haystacks[3]),
                ];
                let mut tickets = submitted.map(|ticket| Some(ticket.unwrap()));
                for index in order {
                    let ticket = tickets[index].take().unwrap();
                    ticket.wait_into(&mut matches, &mut scratch).unwrap();
                    assert_eq!(matches, rules.reference_scan(&haystacks[index]), "{index}");
                }
            }
            drop((staged, resident));
            session.free(&backend).unwrap();
        }
    }
}

/// Each has staging memory of its own, whatever order tickets are waited for or dropped in, and however long
/// haystacks are.
#[test]
fn tickets_keep_no_staging_memory_from_each_other() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a+"]);
    let options = SessionOptions { scans_in_flight: Some(2), ..options(2 << 20, 10) };
    let session = rules.prepare_resident_with(&backend, &options).unwrap();
    let mut haystack = vec![b' '; 2 << 20];
    haystack[1_999_999] = b'a';
    let found = [Match { pattern_id: 0, start: 1_999_999, end: 2_000_000 }];
    let mut matches = Vec::new();
    let mut scratch = ScanScratch::default();
    let first = session.submit(&backend, &haystack).unwrap();
    let second = session.submit(&backend, &haystack).unwrap();
    drop(first);
    second.wait_into(&mut matches, &mut scratch).unwrap();
    for len in [2 << 20, 2_000_000] {
        let first = session.submit(&backend, &haystack[..len]).unwrap();
        let second = session.submit(&backend, &haystack).unwrap();
        second.wait_into(&mut matches, &mut scratch).unwrap();
        assert_eq!(matches, found);
        let third = session.submit(&backend, &haystack).unwrap();
        for ticket in [third, first] {
            ticket.wait_into(&mut matches, &mut scratch).unwrap();
            assert_eq!(matches, found);
        }
        assert_eq!(scan(&session, &backend, &haystack), found);
    }
    session.free(&backend).unwrap();
}

/// On sets of positions a match may leave more than it cuts off. What is left then need not be decided.
#[test]
fn what_a_match_cuts_off_need_not_be_decided() {
    let backend = TestBackend::new();
    let options = PipelineOptions { dfa_budget: 0, ..PipelineOptions::default() };
    let rules = RulePipeline::with_options(&[r"(?:a|ab)(?:b|[^\n]*z)"], options).unwrap();
    let session = rules.prepare_resident(&backend, 64, 10).unwrap();
    let haystack = [&b"ab"[..], &[b'x'; 200]].concat();
    assert_eq!(
        scan_windows(&session, &backend, &haystack).unwrap(),
        rules.reference_scan(&haystack)
    );
}

#[test]
fn tickets_that_nobody_waits_for_are_told_of() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, &["a"]);
    let options = SessionOptions { scans_in_flight: Some(2), ..options(2 << 20, 10) };
    let session = rules.prepare_resident_with(&backend, &options).unwrap();
    let haystack = vec![b' '; 2 << 20];
    let first = session.submit(&backend, &haystack).unwrap();
    let second = session.submit(&backend, b"ba").unwrap();
    let (mut matches, mut scratch) =
        (vec![Match { pattern_id: 0, start: 0, end: 1 }], ScanScratch::default());
    let scanned =
        backend.impatiently(|| session.scan_into(&backend, b"a", &mut matches, &mut scratch));
    assert!(matches!(scanned, Err(ScanError::AllInFlight { scans_in_flight: 2 })), "{scanned:?}");
    assert_eq!(matches, []);
    // What a dropped ticket held is there for others, and theirs are not mixed up with its matches.
    drop(first);
    assert_eq!(scan(&session, &backend, b"a a").len(), 2);
    second.wait_into(&mut matches, &mut scratch).unwrap();
    assert_eq!(matches, [Match { pattern_id: 0, start: 1, end: 2 }]);
    drop(session.submit(&backend, &haystack).unwrap());
    session.free(&backend).unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Walks so long that they share summaries find what walks find that go alone.
    #[test]
    fn long_walks_are_exact(
        patterns in prop::collection::vec(prop::sample::select(LOOPS), 1..6),
        runs in prop::collection::vec(
            (prop::sample::select(PIECES), 100_usize..400, prop::sample::select(ENDS)),
            1..5,
        ),
        all in any::<bool>(),
        is_split in any::<bool>(),
    ) {
        let backend = TestBackend::new();
        let rules = rules(KINDS[usize::from(all)], &patterns);
        let run = |(piece, count, end): &(&str, usize, &str)| piece.repeat(*count) + end;
        let haystack = runs.iter().map(run).collect::<String>();
        let expected = rules.reference_scan(haystack.as_bytes());
        // No more room for matches than they need, so that some are looked for in parts.
        let options = options(haystack.len(), expected.len().max(1));
        let tight = Tuning::cramped(backend.device_info());
        let bytes = |rules: &[Rule]| {
            let packed = pack::pack(rules, MatchKind::LeftmostFirst, u64::MAX, pack::Grams::of_bitmap(tight.bitmap_log2));
            packed.unwrap()[0].bytes()
        };
        let pass_bytes = match is_split {
            true => rules.rules().chunks(1).map(bytes).max().unwrap(),
            false => tight.pass_bytes,
        };
        let tuning = Tuning { pass_bytes, ..tight };
        let session = prepare(&rules, &backend, &options, &tuning).unwrap();
        let found = scan(&session, &backend, haystack.as_bytes());
        prop_assert!(found == expected, "{} of {} matches", found.len(), expected.len());
    }
}

/// Summaries are made when the next submission begins, and there is more to come before they are walked.
#[test]
fn summaries_are_walked_before_they_are_used() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, &["(?:abc)+(?:1|;)", "(?:a+|(?:bc)+)*;", "(?u)[a-zé]+1"]);
    let runs = ["abc".repeat(236), "ab".repeat(275), "1b".into(), "\\\"".repeat(236), "\n".into()];
    let haystack = runs.concat() + &"é".repeat(373) + ";";
    let expected = rules.reference_scan(haystack.as_bytes());
    let options = options(haystack.len(), expected.len());
    let session = rules.prepare_resident_cramped(&backend, &options).unwrap();
    assert_eq!(scan(&session, &backend, haystack.as_bytes()), expected);
}

/// Rules whose walks go on for long, and what makes them do so or end them.
const LOOPS: &[&str] = &[
    "[a-z]+",
    "[a-z]*[0-9]",
    "(a|aa)*b",
    "(?:abc)+(?:1|;)",
    "(?:[abc]{7})+?1",
    "a.*?1",
    ".*;",
    "(?s).*a1|b+",
    r#""(?:[^"\\]|\\.)*""#,
    r"(?-u)\b[a-z]+\b",
    "(?u)[a-zé]+1",
    "(?:a+|(?:bc)+)*;",
];
const PIECES: &[&str] = &["a", "abc", "ab", "bc ", "\"a", "\\\"", "é"];
const ENDS: &[&str] = &["", "1", ";", "\"", "\n", "a1b"];

/// What a scan that timed out leaves behind does not keep the next one from its staging memory.
#[test]
fn a_session_goes_on_after_a_time_out() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, &["a"]);
    let session = rules.prepare_resident_cramped(&backend, &options(2 << 20, 10)).unwrap();
    session.strand_staging();
    assert_eq!(scan(&session, &backend, &vec![b' '; 2 << 20]), []);
    assert_eq!(scan(&session, &backend, b"a").len(), 1);
}

#[test]
fn free_frees_all_and_reports_the_first_fault() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, PATTERNS);
    let session = rules.prepare_resident(&backend, 100, 100).unwrap();
    backend.device().inject_free_faults(3);
    let error = session.free(&backend).unwrap_err().to_string();
    // Faults count down: this is the first of the three.
    assert!(error.contains("-1003"), "{error}");
    assert_eq!(backend.allocated_bytes(), 0);
    rules.prepare_resident(&backend, 100, 100).unwrap().free(&backend).unwrap();
}

#[test]
fn undecided_starts_take_no_room_from_matches() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, &["abcdefgh", "abcdefgi"]);
    let session = rules.prepare_resident_cramped(&backend, &options(20, 1)).unwrap();
    let mut haystack = vec![b' '; 14];
    haystack.extend_from_slice(b"abcdefgi    ");
    assert_eq!(scan_windows(&session, &backend, &haystack).unwrap().len(), 1);
}

#[test]
fn what_a_match_covers_need_not_be_decided() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["(?s)ab|b.*z", "x[^y]*y"]);
    let session = rules.prepare_resident(&backend, 32, 100).unwrap();
    let mut haystack = b"ab x12345y ab".to_vec();
    haystack.extend([b' '; 100]);
    let found = scan_windows(&session, &backend, &haystack).unwrap();
    assert_eq!(found, rules.reference_scan(&haystack));
}

#[test]
fn rules_with_thousands_of_positions() {
    let backend = TestBackend::new();
    let haystack = [b"b".as_slice(), &b"a".repeat(70), b"c", &b"x".repeat(3000), b"y"].concat();
    for kind in KINDS {
        let rules = rules(kind, &["(?:a?){20000}c", "[^b]{2500}y"]);
        let expected = rules.reference_scan_bounded(&haystack, 2600);
        assert!(expected.len() > 1);
        assert_eq!(rules.scan_bounded(&backend, &haystack, 2600).unwrap(), expected, "{kind:?}");
    }
}

/// Grams where there are rules that have them, and every start for the others: a flood of candidates makes
/// a scan slower and changes nothing else.
#[test]
fn a_candidate_flood_is_prefiltered_in_parts() {
    let backend = TestBackend::new();
    let mut rare = vec![b' '; 100_000];
    rare[70_000..70_006].copy_from_slice(b"foobar");
    let flood = b"fooba foobar-".repeat(3000);
    // So many rules that none has a large share.
    let mut patterns = vec![r"\bfoobar\b", "(?:[a-z]{0,9}?)fooba[r ]", "[a-z]*oobar-", "[0-9]-"];
    let others: Vec<String> = (1..=16).map(|least| format!("[a-z]{{{least},20}}?fooba")).collect();
    patterns.extend(others.iter().map(String::as_str));
    for kind in KINDS {
        let rules = rules(kind, &patterns);
        let tuning =
            Tuning { bytes_per_candidate: u32::MAX, ..Tuning::for_device(backend.device_info()) };
        let options = options(rare.len(), 100_000);
        let session = prepare(&rules, &backend, &options, &tuning).unwrap();
        let mut matches = Vec::new();
        let mut scratch = ScanScratch::default();
        let stats = session.scan_into(&backend, &rare, &mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(&rare));
        // Suffixes tell leftmost-first matches right away; the ends of all matches take a round of walks.
        let expected = if kind == MatchKind::All { (2, 1) } else { (1, 0) };
        assert_eq!((stats.submissions, stats.rounds), expected);
        let stats = session.scan_into(&backend, &flood, &mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(&flood));
        assert!(stats.submissions > 3, "{stats:?}");
    }
}

/// A rule that has too many candidates is verified from every start, and the others are looked for as ever.
#[test]
fn a_flood_is_its_own_rules() {
    let backend = TestBackend::new();
    let keys: Vec<String> = (0..50).map(|key| format!("[a-z]{{0,30}}key{key:02}x")).collect();
    let flood = ["aaaa".repeat(5000), "aakey07xaaaakey49x".to_owned()].concat().into_bytes();
    for kind in KINDS {
        let mut patterns = vec!["aaaa"];
        patterns.extend(keys.iter().map(String::as_str));
        let rules = rules(kind, &patterns);
        let tuning =
            Tuning { bytes_per_candidate: u32::MAX, ..Tuning::for_device(backend.device_info()) };
        let options = options(flood.len(), 100_000);
        let session = prepare(&rules, &backend, &options, &tuning).unwrap();
        let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
        let stats = session.scan_into(&backend, &flood, &mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(&flood));
        // One that finds out that there are too many, perhaps one that finds out whose they are, and the scan itself,
        // of which matches may turn out to be many.
        assert!(stats.submissions <= 5, "{stats:?}");
    }
}

/// Wherever the haystack is, and wherever it is cut on its way: with edges inside matches and grams, a
/// session finds the same, in any order of scans.
#[test]
fn it_does_not_matter_where_a_haystack_is() {
    let backend = TestBackend::new();
    let haystack = TEXT.repeat(24);
    for kind in KINDS {
        let rules = rules(kind, PATTERNS);
        for [slice_bytes, direct_bytes] in [[32, 0], [48, 100], [64, 0], [1 << 20, 0], [64, 1000]] {
            let tuning =
                Tuning { slice_bytes, direct_bytes, ..Tuning::for_device(backend.device_info()) };
            let options = options(haystack.len(), 100_000);
            let session = prepare(&rules, &backend, &options, &tuning).unwrap();
            let mut staged = session.staging(&backend, haystack.len()).unwrap();
            staged.copy_from_slice(&haystack);
            let whole = ResidentHaystack::new(&backend, &haystack).unwrap();
            // Some are a byte longer than as many slices as there may be.
            for len in [haystack.len(), 33, 31, 1, 0, 49, 513, 769, haystack.len() - 1] {
                let expected = rules.reference_scan(&haystack[..len]);
                let resident = ResidentHaystack::new(&backend, &haystack[..len]).unwrap();
                let mut piece = session.staging(&backend, haystack.len()).unwrap();
                piece.copy_from_slice(&haystack);
                piece.truncate(len);
                let sources: [Haystack; 4] = [
                    (&resident).into(),
                    haystack[..len].into(),
                    (&piece).into(),
                    (&resident).into(),
                ];
                for source in sources {
                    let mut matches = Vec::new();
                    let scratch = &mut ScanScratch::default();
                    session.scan_into(&backend, source, &mut matches, scratch).unwrap();
                    assert_eq!(matches, expected, "{kind:?}, {len} bytes, {source:?}");
                    session.scan_into(&backend, &whole, &mut matches, scratch).unwrap();
                    assert_eq!(matches, rules.reference_scan(&haystack));
                }
            }
            session.free(&backend).unwrap();
        }
    }
}

#[test]
fn a_haystack_of_another_backend_is_refused() {
    let [backend, other] = [TestBackend::new(), TestBackend::new()];
    let session = rules(KINDS[0], &["a"]).prepare_resident(&backend, 10, 10).unwrap();
    let far = rules(KINDS[0], &["a"]).prepare_resident(&other, 10, 10).unwrap();
    let resident = ResidentHaystack::new(&other, b"aaa").unwrap();
    let staged = far.staging(&other, 3).unwrap();
    let mut matches = Vec::new();
    for haystack in [Haystack::from(&resident), Haystack::from(&staged)] {
        let scanned =
            session.scan_into(&backend, haystack, &mut matches, &mut ScanScratch::default());
        assert!(matches!(scanned, Err(ScanError::WrongBackend)), "{scanned:?}");
    }
    assert!(matches!(session.staging(&other, 3), Err(ScanError::WrongBackend)));
    assert!(matches!(session.staging(&backend, 11), Err(ScanError::HaystackTooLarge { .. })));
    assert_eq!(scan(&session, &backend, b"aba").len(), 2);
}
