//! The session's contract, on a device under validation.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::tuning::Tuning;
use super::*;
use crate::vulkan::testing::TestBackend;
use crate::{BackendError, MatchKind, PipelineOptions};

fn rules(kind: MatchKind, patterns: &[&str]) -> RulePipeline {
    let options = PipelineOptions { match_kind: kind, ..PipelineOptions::default() };
    RulePipeline::with_options(patterns, options).unwrap()
}

const TEXT: &[u8] = b"abc foo_bar 12-34 aaab\nfood \xC3\xA9t\xC3\xA9 foo";
const PATTERNS: &[&str] =
    &["a+b?", r"\bfoo\b", r"\w+", r"(?m)^\w+", r"\d+-\d+", r"[^\n]{9,30}o", r"(?u)\b\w{3}\b"];

#[test]
fn finds_what_the_oracle_finds() {
    let backend = TestBackend::new();
    for kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let rules = rules(kind, PATTERNS);
        assert_eq!(rules.scan(&backend, TEXT).unwrap(), rules.reference_scan(TEXT), "{kind:?}");
    }
}
