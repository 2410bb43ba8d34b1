//! Ring sessions against resident ones and the oracle, and with everything that can go wrong.

use std::time::Duration;

use super::*;
use crate::scan::tuning::Tuning;
use crate::vulkan::testing::TestBackend;
use crate::{
    Backend, BackendError, Match, MatchKind, PipelineOptions, ResidentHaystack, RulePipeline,
    ScanError, UnicodePolicy,
};

fn rules(match_kind: MatchKind, patterns: &[&str]) -> RulePipeline {
    let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
    RulePipeline::with_options(patterns, options).unwrap()
}

fn session(backend: &Backend, rules: &RulePipeline, config: MegakernelConfig) -> MegakernelSession {
    MegakernelSession::new(backend, rules, config).unwrap().expect("the device can run it")
}

fn small() -> MegakernelConfig {
    MegakernelConfig {
        slot_count: 64,
        workgroup_size_x: 64,
        round_bytes: 1 << 12,
        observable_slots: 4,
        max_matches: 1000,
        ..MegakernelConfig::default()
    }
}

/// Rules that look at the ends of an item, behind them and far ahead; that match across whatever lies between two
/// items; with fronts of any length and without anything to look for.
const PATTERNS: [&str; 12] = [
    r"^\w+",
    r"\w+$",
    r"\bfoo\b",
    r"(?s)foo.*bar",
    r"(?s).{3}x",
    r"[ab]+c",
    r"\A\x00",
    r"\x00+\z",
    r"(?m)^[a-f]{2,5}$",
    r"(?u:\b)bar(?u:\b)",
    r"[\w.-]{0,9}?key[ =]+[a-f0-9]{4,8}\b",
    r"(?:ab|a)*?x",
];

/// Items that end in the middle of what would match if the next one followed, and of all small lengths.
fn items() -> Vec<Vec<u8>> {
    let pieces: [&[u8]; 12] = [
        b"foo",
        b"bar",
        b"",
        b"\0",
        b"abab",
        b"x",
        b"key = abcd",
        b"ef01",
        b"\n",
        b"aac",
        b" ",
        b"\xC3",
    ];
    let mut items = vec![Vec::new()];
    for one in pieces {
        items.push(one.to_vec());
        for two in pieces {
            items.push([one, two].concat());
            items.push([two, b" ", one, b"\n", two].concat());
        }
    }
    items.push(b"ab".repeat(50));
    items.push([b"foo".to_vec(), b" .".repeat(900), b"bar".to_vec()].concat());
    items
}

fn work<'a>(items: &'a [Vec<u8>]) -> Vec<WorkItem<'a>> {
    (0..).zip(items).map(|(id, bytes)| WorkItem::new(id * 3, bytes)).collect()
}

fn check(rules: &RulePipeline, items: &[Vec<u8>], results: &RingResults) {
    assert_eq!(results.len(), items.len());
    for ((index, item), result) in items.iter().enumerate().zip(results.iter()) {
        assert_eq!(result.id, index as u64 * 3);
        let text = item.escape_ascii().to_string();
        let expected = rules.reference_scan(item);
        if expected.len() > small().max_matches as usize {
            let Err(ItemError::TooManyMatches { found, .. }) = result.matches else {
                panic!("{index}: {} of {} matches", result.matches.unwrap().len(), expected.len());
            };
            assert!((small().max_matches.into()..=expected.len() as u64).contains(found));
            continue;
        }
        assert_eq!(result.matches, Ok(&expected[..]), "{index}: \"{text}\"");
    }
}

#[test]
fn items_match_as_they_do_alone() {
    let backend = TestBackend::new();
    let items = items();
    let work = work(&items);
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        for (dfa_budget, unicode) in [
            (32 << 10, UnicodePolicy::WhenNeeded),
            (0, UnicodePolicy::WhenNeeded),
            (0, UnicodePolicy::Always),
        ] {
            let options = PipelineOptions { match_kind, dfa_budget, unicode, ..Default::default() };
            let rules = RulePipeline::with_options(&PATTERNS, options).unwrap();
            for tuning in [Tuning::for_device, Tuning::cramped] {
                let made = MegakernelSession::with_tuning(&backend, &rules, small(), tuning);
                let mut session = made.unwrap().unwrap();
                let mut results = RingResults::default();
                session.submit_scan_into(&work, &mut results).unwrap();
                check(&rules, &items, &results);
                assert!(results.match_count() > 100 && results.stats().rounds > 4);
                assert_eq!(session.observe(Observable::Items), Some(items.len() as u64));
                let bytes: usize = items.iter().map(Vec::len).sum();
                assert_eq!(session.observe(Observable::Bytes), Some(bytes as u64));
                assert!(session.observe(Observable::Hits) >= Some(results.match_count() as u64));
                assert_eq!(session.observe(Observable::Faults), Some(0));
                session.shutdown().unwrap();
            }
        }
    }
    assert_eq!(backend.allocated_bytes(), 0);
}
