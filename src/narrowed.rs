//! Devices that tests do not have: what lavapipe can stand in for is as exact, and the others are refused by name.
//!
//! It cannot for other kinds of devices, whose kernels go on for longer than it lets them; nor for subgroups that are
//! really larger than its own.

use crate::vulkan::layer;
use crate::vulkan::narrowing::{SUITABLE, UNSUITABLE};
use crate::vulkan::testing::TestBackend;
use crate::{
    Backend, BackendError, Haystack, MatchKind, MegakernelSession, MegakernelSessionConfig,
    PipelineOptions, ResidentHaystack, RingItem, RulePipeline, ScanScratch, SessionOptions,
    Validation,
};

/// With and without rare bytes, with long walks, and in need of the NFA.
const PATTERNS: [&str; 8] = [
    r"\bghp_[0-9a-z]{9}\b",
    r"(?i)key\s*[:=]\s*\S+",
    r"[ab]+c",
    r"(?m)^\w+ ",
    r"[^\n]{9,30}o",
    r"(?u)\b\w{3}\b",
    r"[a-d]{0,7}?abcd(?: [ab]{4})?",
    r"(?:ab|a)*?x",
];

fn haystack() -> Vec<u8> {
    let lines: [&[u8]; 6] = [
        b"abc foo_bar key = secret ghp_0123abcde\n",
        b"aabbc abcd abab xyz KEY:v\n",
        b"\xC3\xA9t\xC3\xA9 the o\n",
        b"ababababababababababababababababx\n",
        b"\0\xFF\xC3 a c\n",
        b"nothing here but text that goes on until the o\n",
    ];
    (0..16_usize).flat_map(|index| lines[index * index % 7 % 6]).copied().collect()
}

/// Whether sessions of all sorts find what the oracle finds.
fn check(backend: &Backend, name: &str) {
    let haystack = haystack();
    let dfa_budget = PipelineOptions::default().dfa_budget;
    for (match_kind, dfa_budget) in [(MatchKind::LeftmostFirst, dfa_budget), (MatchKind::All, 0)] {
        let options = PipelineOptions { match_kind, dfa_budget, ..Default::default() };
        let rules = RulePipeline::with_options(&PATTERNS, options).unwrap();
        let expected = rules.reference_scan(&haystack);
        assert!(expected.len() > 30);
        let what = format!("{name}, {match_kind:?}, DFAs of {dfa_budget} bytes");
        let options = SessionOptions::new(haystack.len(), expected.len()).scans_in_flight(Some(1));
        let session = rules.prepare_resident_with(backend, &options).unwrap();
        let mut staged = session.staging(backend, haystack.len()).unwrap();
        staged.copy_from_slice(&haystack);
        let resident = ResidentHaystack::new(backend, &haystack).unwrap();
        let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
        let sources: [Haystack; 3] = [(&haystack).into(), (&staged).into(), (&resident).into()];
        for source in sources {
            let stats = session.scan_into(backend, source, &mut matches, &mut scratch).unwrap();
            assert!(matches == expected, "{what}, {source:?}");
            let has_times = backend.device_info().timestamp_valid_bits() > 0;
            assert_eq!(stats.device.is_some(), has_times);
        }
        drop((staged, resident));
        session.free(backend).unwrap();
        if dfa_budget > 0 {
            check_ring(backend, &rules, &haystack, &what);
        }
    }
    assert_eq!(backend.allocated_bytes(), 0);
}

fn check_ring(backend: &Backend, rules: &RulePipeline, haystack: &[u8], what: &str) {
    let config = MegakernelSessionConfig {
        slot_count: 64,
        workgroup_size_x: 64,
        round_bytes: 1 << 13,
        max_matches: 1000,
        ..MegakernelSessionConfig::default()
    };
    let session = MegakernelSession::new(backend, rules, config);
    let mut session = session.unwrap().expect("the device can run it");
    let items: Vec<&[u8]> = haystack.chunks(61).collect();
    let work: Vec<RingItem> = (0..).zip(&items).map(|(id, item)| RingItem::new(id, item)).collect();
    for (result, item) in session.submit_scan(&work).unwrap().into_iter().zip(items) {
        assert!(result.matches == Ok(rules.reference_scan(item)), "{what}, {}", result.id);
    }
    session.shutdown().unwrap();
}

#[test]
fn narrow_devices_are_as_exact() {
    let _layer = layer::lock();
    for narrowing in SUITABLE {
        layer::narrow(Some(narrowing));
        let backend = TestBackend::layered(Validation::On);
        check(&backend, narrowing.name);
        drop(backend);
        layer::narrow(None);
    }
    assert_eq!(layer::counts(), (0, 0));
}

#[test]
fn devices_that_will_not_do_are_refused_by_name() {
    let _layer = layer::lock();
    for (narrowing, reason) in UNSUITABLE {
        layer::narrow(Some(narrowing));
        let refused = Backend::new(&TestBackend::layered_options(Validation::Off));
        layer::narrow(None);
        match refused {
            Err(BackendError::UnsupportedDevice { device, missing }) => {
                assert!(device.contains("llvmpipe") && missing.contains(reason), "{missing}");
            }
            other => panic!("{}: {other:?}", narrowing.name),
        }
    }
    assert_eq!(layer::counts(), (0, 0));
}
