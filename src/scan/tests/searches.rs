//! Rules that are searched for: on whole haystacks, in parts, beside others, and where a search is not what the scan asks for.

use super::fronts::Numbers;
use super::*;

/// Rules whose walks on the NFA are long, wherever they begin.
const LONG: [&str; 9] = [
    r"(?:\p{Greek}|[^x]|(?u:\b))+",
    r"(?s).*?(?:fox|key).{3,30}secret",
    r"(?s)key(?u:\b).*(?:fox|secret)(?u:\b)",
    r"(?i)(?:[^'x]{2,19}|id[^\n]){2,9}[ -~]{0,49}\b",
    r"(?:(?u:\w)| ){40,}?é",
    r"(?:[a-z]+(?u:\b)[ é\n]*){3,}|x",
    r"(?m)^(?:(?:fox|key|é)(?u:\b)\s?)+$",
    r"(?:(?:a|)(?u:\b)|[^x]{9,80})*secret",
    r"(?:.{2,40}key){2}(?u:\b)",
];

/// Words in an order that never comes again.
fn haystack(words: &[&str], len: usize) -> Vec<u8> {
    let mut numbers = Numbers(1);
    let mut haystack = Vec::new();
    while haystack.len() < len {
        haystack.extend_from_slice(numbers.one_of(words).as_bytes());
    }
    haystack
}

#[test]
fn searches_are_what_the_oracle_says() {
    let backend = TestBackend::new();
    let mut found = 0;
    let words = ["fox ", "key ", "secret ", "é", "id\n", "x", "a ", "key", "ab é\n"];
    for dfa_budget in [64, 32 << 10] {
        let options = PipelineOptions { dfa_budget, ..PipelineOptions::default() };
        // Others are looked for by rare bytes, and have matches at the same places.
        let patterns = [&LONG[..], &["secret", "[a-z]+key", r"\bid$"]].concat();
        let rules = RulePipeline::with_options(&patterns, options).unwrap();
        let info = backend.device_info();
        for tuning in [Tuning::for_device(info), Tuning::cramped(info)] {
            let session = prepare(&rules, &backend, &options_of(700), &tuning).unwrap();
            let windows = prepare(&rules, &backend, &options_of(300), &tuning).unwrap();
            for (words, len) in [(&words[..], 500), (&words[..5], 700), (&words[..3], 300)] {
                let haystack = haystack(words, len);
                let expected = rules.reference_scan(&haystack);
                found += expected.len();
                assert_eq!(scan(&session, &backend, &haystack), expected, "{dfa_budget} {len}");
                // A match may be longer than a window: that is an error.
                if let Ok(matches) = scan_windows(&windows, &backend, &haystack) {
                    assert_eq!(matches, expected, "{dfa_budget} {len}");
                }
                let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
                session
                    .scan_bounded_into(&backend, &haystack, 60, &mut matches, &mut scratch)
                    .unwrap();
                assert_eq!(matches, rules.reference_scan_bounded(&haystack, 60));
            }
        }
    }
    assert!(found > 500, "{found}");
}

fn options_of(haystack_capacity_bytes: usize) -> SessionOptions {
    options(haystack_capacity_bytes, 4000)
}
