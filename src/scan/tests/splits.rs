//! Rules whose prefixes and suffixes leave something open, or are long.

use super::*;

/// Where the least start of a suffix is not the one that counts, or two suffixes tell different ends of one
/// start, a few starts are scanned again; or all of them, if they are many.
#[test]
fn what_suffixes_cannot_tell_is_verified_again() {
    let backend = TestBackend::new();
    let patterns = [
        "(?:[ab]|cd){0,3}?abcd[ab]?",
        "(?:[a-d]|dd){0,9}abcd(?:ab|a)",
        "(?:[a-d]|da)*abcd[a-d]{0,4}?d",
    ];
    let rules = rules(MatchKind::LeftmostFirst, &patterns);
    let hard = b"abcabcdabcdabcd abababcdabcd aabcdabcdab ";
    let mut few = vec![b' '; 60_000];
    few[20_000..20_000 + hard.len()].copy_from_slice(hard);
    let many = hard.repeat(400);
    let session = rules.prepare_resident(&backend, few.len(), 10_000).unwrap();
    let mut matches = Vec::new();
    for (haystack, submissions) in [(&few, 2..10), (&many, 3..60)] {
        let scratch = &mut ScanScratch::default();
        let stats = session.scan_into(&backend, haystack, &mut matches, scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(haystack));
        assert!(submissions.contains(&stats.submissions), "{stats:?}");
    }
}

/// Prefixes that prefer their first suffix, and go on behind it: what a match leaves of them begins at its end.
#[test]
fn lazy_prefixes_that_cross_suffixes() {
    let backend = TestBackend::new();
    let patterns = [
        "x[a-z]*?abcd",
        "a[a-z ]{0,30}?abcd[ab]?",
        "(?:x|yx)[a-xz]*?(?:abcd|bcda)[a-d]{0,3}?d",
        "y(?:[a-z]|  )*?abcd",
        "x[a-z]{2,2000}?abcd",
    ];
    let rules = rules(MatchKind::LeftmostFirst, &patterns);
    for Rule { pattern, splits, .. } in rules.rules() {
        let exact = splits.iter().all(|split| split.is_exact && split.run.is_none());
        assert!(exact, "{pattern}: {splits:?}");
    }
    let session = rules.prepare_resident(&backend, 60_000, 10_000).unwrap();
    let check =
        |haystack: &[u8]| scan(&session, &backend, haystack) == rules.reference_scan(haystack);
    assert!(check(b"xqqabcdxqqabcd"));
    // Beyond what counts as long.
    assert!(check(&[b"x", &b"q".repeat(1500)[..], b"abcdxqqabcd"].concat()));
    let long = "q".repeat(700);
    let pieces = ["x", "x", "y", "a", "q", "abcd", "abcd", "abcda", "d", " ", "  ", &long];
    let pieces = pieces.map(str::to_owned).to_vec();
    let haystacks = prop::collection::vec(prop::sample::select(pieces), 0..24);
    let config = ProptestConfig::with_cases(150);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let checked = runner.run(&haystacks, |pieces| {
        prop_assert!(check(pieces.concat().as_bytes()));
        Ok(())
    });
    checked.unwrap();
}

/// Prefixes that are runs of one class leave nothing open that takes another submission.
#[test]
fn what_runs_leave_open_is_told_by_their_suffixes() {
    let backend = TestBackend::new();
    let patterns = [
        "[ab]{0,9}?abcd[ab]?",
        "[a-d]{0,20}abcd(?:ab|a)",
        "[a-d]*abcd[a-d]{0,4}?d",
        "[a-d]{0,7}?abcd(?: [ab]{4})?",
        "[ab-d ]{0,9}(?:abcd|bcda)[a-d]{0,9}",
    ];
    let rules = rules(MatchKind::LeftmostFirst, &patterns);
    for Rule { pattern, splits, .. } in rules.rules() {
        let runs: Vec<_> = splits.iter().map(|split| split.run).collect();
        assert!(matches!(runs[..], [Some(_)]), "{pattern}: {runs:?}");
    }
    let session = rules.prepare_resident(&backend, 60_000, 10_000).unwrap();
    let pieces = vec!["a", "b", "ab", "abcd", "abcd", "abcda", "cd", "d", " ", "  "];
    let haystacks = prop::collection::vec(prop::sample::select(pieces), 0..18);
    let config = ProptestConfig::with_cases(300);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let checked = runner.run(&haystacks, |pieces| {
        let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
        let haystack = pieces.concat().into_bytes();
        let stats = session.scan_into(&backend, &haystack, &mut matches, &mut scratch).unwrap();
        prop_assert_eq!(&matches, &rules.reference_scan(&haystack));
        prop_assert!(stats.submissions <= 1, "{:?}", stats);
        Ok(())
    });
    checked.unwrap();
}

/// Rules whose prefixes turn out long are verified from every start in a second run; the others are not.
#[test]
fn long_prefixes_cost_a_second_run() {
    let backend = TestBackend::new();
    for kind in KINDS {
        let count = if kind == MatchKind::All { 1500 } else { 20_000 };
        let haystack = [b"y", &b"x".repeat(count)[..], b"5-22 abc9-22 abcd"].concat();
        let rules = rules(kind, &[r"[xy][a-z]*\d-22", "abcd", "[a-wyz]*9-22"]);
        let session = rules.prepare_resident(&backend, haystack.len(), 2000).unwrap();
        let (mut matches, mut scratch) = Default::default();
        for scan in 0..3 {
            let stats = session.scan_into(&backend, &haystack, &mut matches, &mut scratch).unwrap();
            assert_eq!(matches, rules.reference_scan(&haystack), "{kind:?}, scan {scan}");
            assert!((2..5).contains(&stats.submissions), "{stats:?}");
        }
    }
}

/// Prefixes that are long, but bounded, are no reason to begin again.
#[test]
fn long_bounded_prefixes() {
    let backend = TestBackend::new();
    let haystack =
        [&b"x".repeat(1500)[..], b"key= abc", &b"y".repeat(900), b"key="].concat().repeat(4);
    for kind in KINDS {
        let rules = rules(kind, &["[a-z]{1000}[a-z]{0,100}key=", "abc|y{3}key"]);
        let expected = rules.reference_scan(&haystack);
        let bytes = |rules: &[Rule]| {
            pack::pack(rules, MatchKind::LeftmostFirst, u64::MAX, pack::Grams::of_bitmap(10))
                .unwrap()[0]
                .bytes()
        };
        let least = rules.rules().chunks(1).map(bytes).max().unwrap();
        for (capacity, pass_bytes) in
            [(haystack.len(), u64::MAX), (haystack.len(), least), (6000, u64::MAX)]
        {
            let device = Tuning::for_device(backend.device_info());
            let tuning =
                Tuning { pass_bytes: pass_bytes.min(device.pass_bytes), bitmap_log2: 10, ..device };
            let options = options(capacity, 2000);
            let session = prepare(&rules, &backend, &options, &tuning).unwrap();
            let found = if capacity < haystack.len() {
                scan_windows(&session, &backend, &haystack).unwrap()
            } else {
                scan(&session, &backend, &haystack)
            };
            assert!(
                found == expected,
                "{kind:?}, {capacity}: {} of {}",
                found.len(),
                expected.len()
            );
        }
    }
}

/// A report whose starts are behind what covers it, in more passes than one: nothing is verified again there, and the part is
/// done again without direct hits. It went on for ever.
#[test]
fn what_reports_leave_open_in_several_passes_is_done_again() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["(?:a+|(?:bc)+)*;", ".*;", "(?:[abc]{7})+?1"]);
    let runs = ["abc".repeat(355), "a1".into(), "ba".repeat(319), "1bb".into(), "c b".repeat(122)];
    let haystack = runs.concat() + "c ;";
    let expected = rules.reference_scan(haystack.as_bytes());
    let options = options(haystack.len(), expected.len());
    let tight = Tuning::cramped(backend.device_info());
    let bytes = |rules: &[Rule]| {
        let grams = pack::Grams::of_bitmap(tight.bitmap_log2);
        pack::pack(rules, MatchKind::LeftmostFirst, u64::MAX, grams).unwrap()[0].bytes()
    };
    let pass_bytes = rules.rules().chunks(1).map(bytes).max().unwrap();
    let session = prepare(&rules, &backend, &options, &Tuning { pass_bytes, ..tight }).unwrap();
    assert_eq!(session.pass_count(), 3);
    assert_eq!(scan(&session, &backend, haystack.as_bytes()), expected);
}
