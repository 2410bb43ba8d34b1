//! Rules that begin with runs, and rules that match at the haystack's end: on whole haystacks, in parts, and in windows.

use super::*;

/// The same numbers every time (D. H. Lehmer's generator).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0 * 48_271 % 0x7FFF_FFFF;
        self.0 as usize % limit
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn pattern(numbers: &mut Numbers) -> String {
    let front =
        numbers.one_of(&["(?s).*", "(?s).+", ".*", "[ab]+", "[ab ]*", "[ab]{2,}", ".*?", ""]);
    let mut pattern = front.to_owned();
    for _ in 0..1 + numbers.below(4) {
        pattern +=
            numbers.one_of(&["a", "b", "ab", "[ab]{0,3}?", "(?:a|bb)", r"\b", "b{2}", "[ab]*"]);
    }
    pattern + numbers.one_of(&["", "", "b", "$"])
}

fn haystack(numbers: &mut Numbers) -> Vec<u8> {
    let words: [&[u8]; 6] = [b"a", b"b", b"ab", b"aabb", b" ", b"\n"];
    // Some have long runs.
    let words = &words[..4 + numbers.below(3)];
    (0..numbers.below(300)).flat_map(|_| numbers.one_of(words).to_vec()).collect()
}

#[test]
fn runs_and_ends_are_what_the_oracle_says() {
    let backend = TestBackend::new();
    let mut numbers = Numbers(1);
    let [mut fronts, mut ends, mut found] = [0, 0, 0];
    for (round, kind) in KINDS.into_iter().cycle().enumerate().take(16) {
        let patterns: Vec<String> = (0..12).map(|_| pattern(&mut numbers)).collect();
        let dfa_budget = numbers.one_of(&[64, 32 << 10]);
        let options =
            PipelineOptions { match_kind: kind, dfa_budget, ..PipelineOptions::default() };
        let rules = RulePipeline::with_options(&patterns, options).unwrap();
        fronts += rules.rules().iter().filter(|rule| rule.front.is_some()).count();
        let is_at_end = |split: &Split| split.anchor == Some(Anchor::End);
        ends += rules.rules().iter().filter(|rule| rule.splits.iter().any(is_at_end)).count();
        let info = backend.device_info();
        for tuning in [Tuning::for_device(info), Tuning::cramped(info)] {
            // Room for few hits makes parts, which end in the middle of runs and matches.
            let room = 4000;
            let session = prepare(&rules, &backend, &self::options(1200, room), &tuning).unwrap();
            let windows = prepare(&rules, &backend, &self::options(400, room), &tuning).unwrap();
            for _ in 0..4 {
                let mut haystack = haystack(&mut numbers);
                if kind == MatchKind::All {
                    haystack.truncate(20);
                }
                let expected = rules.reference_scan(&haystack);
                found += expected.len();
                let matches = scan(&session, &backend, &haystack);
                assert_eq!(matches, expected, "{round}: {patterns:?} {haystack:?}");
                let mut matches = Vec::new();
                let mut scratch = ScanScratch::default();
                let most = 1 + numbers.below(9) as u32;
                session
                    .scan_bounded_into(&backend, &haystack, most, &mut matches, &mut scratch)
                    .unwrap();
                let bounded = rules.reference_scan_bounded(&haystack, most);
                assert_eq!(matches, bounded, "{round}: {patterns:?} {haystack:?} {most}");
                // A match may be longer than a window: that is an error.
                if let Ok(matches) = scan_windows(&windows, &backend, &haystack) {
                    assert_eq!(matches, expected, "{round}: {patterns:?} {haystack:?}");
                }
            }
        }
    }
    assert!(fronts > 50 && ends > 10 && found > 1000, "{fronts} {ends} {found}");
}
