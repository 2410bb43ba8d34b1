//! What a trace tells: all that scans do, on one clock, and what is left of it in the file that the command writes.

mod common;
#[path = "../examples/common/mod.rs"]
mod program;

use std::collections::BTreeMap;
use std::time::Duration;

use program::Program;
use vkscan::{
    Backend, BackendOptions, DeviceKind, MegakernelSession, MegakernelSessionConfig, RingItem,
    RulePipeline, ScanScratch, ScanStats, StageTimes, Trace, TraceCounter, TraceEvent, TraceSpan,
    TraceTrack,
};

const PATTERNS: [&str; 3] = [r"\bghp_[0-9a-z]{9}\b", r"[^\n]{9,30}o\b", "(?:ab|a)*?x"];

fn text(bytes: usize) -> Vec<u8> {
    let line = b"ghp_0123abcde is a key, and this goes on until the o ababax\n";
    line.iter().copied().cycle().take(bytes).collect()
}

fn split(events: Vec<TraceEvent>) -> (Vec<TraceSpan>, Vec<TraceCounter>) {
    let (mut spans, mut counters) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            TraceEvent::Span(span) => spans.push(span),
            TraceEvent::Counter(counter) => counters.push(counter),
            _ => {}
        }
    }
    (spans, counters)
}

/// How far the device's clock may be off the host's: on a CPU they are one.
fn tolerance(backend: &Backend) -> Duration {
    match backend.device_info().kind {
        DeviceKind::Cpu => Duration::from_micros(5),
        _ => Duration::from_micros(50),
    }
}

fn is_of_device(span: &TraceSpan) -> bool {
    matches!(span.track, TraceTrack::Kernels { .. } | TraceTrack::Copies { .. })
}

/// Asserts that what belongs to a scan is within it, and that of two spans of a track one is within the other or they are
/// apart. Says how many scans there are.
fn check_nesting(spans: &[TraceSpan], tolerance: Duration) -> usize {
    let is_scan = |span: &&TraceSpan| matches!(span.track, TraceTrack::Scans { .. });
    let scans: BTreeMap<_, _> =
        spans.iter().filter(is_scan).map(|span| (span.scan, span)).collect();
    assert_eq!(scans.len(), spans.iter().filter(is_scan).count(), "each has a number of its own");
    for span in spans.iter().filter(|span| span.scan.is_some()) {
        let scan = scans[&span.scan];
        let slack = if is_of_device(span) { tolerance } else { Duration::ZERO };
        assert!(span.begin <= span.end, "{span:?}");
        assert!(
            span.begin + slack >= scan.begin && span.end <= scan.end + slack,
            "{span:?} {scan:?}"
        );
    }
    let mut by_track: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for span in spans {
        by_track.entry(span.track).or_default().push(span);
    }
    for own in by_track.values_mut() {
        own.sort_by_key(|span| (span.begin, std::cmp::Reverse(span.end)));
        let mut around: Vec<&TraceSpan> = Vec::new();
        for span in own.iter() {
            around.retain(|outer| outer.end > span.begin);
            assert!(around.iter().all(|outer| span.end <= outer.end), "{span:?} in {around:?}");
            around.push(span);
        }
    }
    scans.len()
}

/// Time by stage, of the queue for kernels.
fn stage_times(spans: &[TraceSpan]) -> StageTimes {
    let mut times = StageTimes::default();
    for span in spans.iter().filter(|span| matches!(span.track, TraceTrack::Kernels { .. })) {
        let stage = match span.name {
            "upload" => &mut times.upload,
            "prefilter" => &mut times.prefilter,
            "confirm" => &mut times.confirm,
            "verify DFA" => &mut times.verify_dfa,
            "verify NFA" => &mut times.verify_nfa,
            "select" => &mut times.select,
            other => panic!("{other} is no stage"),
        };
        *stage += span.end - span.begin;
    }
    times
}

fn last(counters: &[TraceCounter], name: &str) -> u64 {
    let own = counters.iter().filter(|counter| counter.name == name);
    own.map(|counter| counter.value).next_back().expect("it was counted")
}

#[test]
fn scans_nest_and_add_up_on_one_clock() {
    let trace = Trace::new();
    let backend = Backend::new(&BackendOptions::default().trace(Some(trace.clone()))).unwrap();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(&backend, 1 << 20, 1 << 16).unwrap();
    assert_eq!(trace.take(), [], "nothing has been scanned");
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let mut total = ScanStats::default();
    for bytes in [100, 10_000, 1 << 20] {
        let text = text(bytes);
        total += session.scan_into(&backend, &text, &mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(&text));
    }
    let (spans, counters) = split(trace.take());
    assert_eq!(trace.take(), [], "it was taken");

    assert_eq!(check_nesting(&spans, tolerance(&backend)), 3);
    assert_eq!(stage_times(&spans), total.device.expect("stages are timed"));
    assert!(spans.iter().all(|span| !span.is_estimated), "both clocks are known");
    for name in ["submit", "copy", "wait", "read back", "scan"] {
        assert!(spans.iter().filter(|span| span.name == name).count() >= 3, "{name}");
    }
    let waited: Duration =
        spans.iter().filter(|span| span.name == "wait").map(|span| span.end - span.begin).sum();
    assert!(waited >= total.wait, "{waited:?}");

    assert_eq!(last(&counters, "scans in flight"), 0);
    assert_eq!(last(&counters, "bytes up"), total.bytes_up);
    assert_eq!(last(&counters, "bytes down"), total.bytes_down);
    assert!(counters.is_sorted_by_key(|counter| counter.at));
    session.free(&backend).unwrap();
}

#[test]
fn scans_in_flight_are_on_lanes_of_their_own() {
    let trace = Trace::new();
    let backend = Backend::new(&BackendOptions::default().trace(Some(trace.clone()))).unwrap();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(&backend, 1 << 16, 1 << 16).unwrap();
    let text = text(1 << 16);
    let count = session.scans_in_flight();
    let tickets: Vec<_> = (0..count).map(|_| session.submit(&backend, &text).unwrap()).collect();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let mut rest = tickets.into_iter();
    // Of one nobody asks what it finds.
    drop(rest.next_back());
    for ticket in rest {
        ticket.wait_into(&mut matches, &mut scratch).unwrap();
        assert_eq!(matches, rules.reference_scan(&text));
    }
    let (spans, counters) = split(trace.take());
    let in_flight = counters.iter().filter(|counter| counter.name == "scans in flight");
    assert_eq!(in_flight.map(|counter| counter.value).max(), Some(count as u64));
    assert_eq!(last(&counters, "scans in flight"), 0);
    let lanes: Vec<_> =
        spans.iter().filter(|span| span.name == "scan").map(|span| span.track).collect();
    assert_eq!(lanes.len(), count);
    assert!(lanes.iter().enumerate().all(|(index, lane)| !lanes[..index].contains(lane)));
    check_nesting(&spans, tolerance(&backend));
    session.free(&backend).unwrap();
}

#[test]
fn who_waits_for_a_lane_is_not_on_it_yet() {
    let trace = Trace::new();
    let backend = Backend::new(&BackendOptions::default().trace(Some(trace.clone()))).unwrap();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(&backend, 1 << 16, 1 << 16).unwrap();
    let text = text(1 << 16);
    let threads = 2 * session.scans_in_flight();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
                session.scan_into(&backend, &text, &mut matches, &mut scratch).unwrap();
            });
        }
    });
    let (spans, _) = split(trace.take());
    assert_eq!(check_nesting(&spans, tolerance(&backend)), threads);
    session.free(&backend).unwrap();
}

#[test]
fn rounds_of_a_ring_session_are_scans() {
    let trace = Trace::new();
    let backend = Backend::new(&BackendOptions::default().trace(Some(trace.clone()))).unwrap();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let config = MegakernelSessionConfig::default().slot_count(64).round_bytes(1 << 14);
    let session = MegakernelSession::new(&backend, &rules, config).unwrap();
    let mut session = session.expect("the device can run it");
    let text = text(200);
    let items: Vec<_> = (0..300).map(|id| RingItem::new(id, &text)).collect();
    let expected = rules.reference_scan(&text);
    for item in session.submit_scan(&items).unwrap() {
        assert_eq!(item.matches.unwrap(), expected);
    }
    let (spans, counters) = split(trace.take());
    assert!(check_nesting(&spans, tolerance(&backend)) > 1, "there are several rounds");
    assert!(spans.iter().any(is_of_device));
    assert_eq!(last(&counters, "scans in flight"), 0);
    session.shutdown().unwrap();
}

#[test]
fn without_calibrated_timestamps_times_are_estimated_and_say_so() {
    // A device of the caller's that tells of no extensions.
    let program = Program::new().unwrap();
    let trace = Trace::new();
    let raw = program.raw_device().device_extensions(Vec::new()).trace(Some(trace.clone()));
    // SAFETY: `program` outlives the backend and all that is made from it, and tells the truth about its device.
    let backend = unsafe { Backend::from_raw(raw) }.unwrap();
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let session = rules.prepare_resident(&backend, 1 << 20, 1 << 16).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    session.scan_into(&backend, &text(1 << 20), &mut matches, &mut scratch).unwrap();
    let (spans, _) = split(trace.take());
    assert!(spans.iter().any(is_of_device));
    assert!(spans.iter().all(|span| span.is_estimated == is_of_device(span)));
    // The device cannot have been at it before it was asked to, nor after that was known.
    assert_eq!(check_nesting(&spans, Duration::from_micros(50)), 1);
    session.free(&backend).unwrap();
    drop(backend);
    program.end().unwrap();
}

#[test]
fn programs_note_spans_of_their_own() {
    let trace = Trace::new();
    let began = std::time::Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    trace.note("reading", began);
    let other = trace.clone();
    std::thread::spawn(move || other.note("elsewhere", began)).join().unwrap();
    let (spans, _) = split(trace.take());
    let [reading, elsewhere] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(
        (reading.name, reading.scan, reading.begin),
        ("reading", None, began - trace.epoch())
    );
    assert!(reading.end - reading.begin >= Duration::from_millis(2));
    assert_ne!(reading.track, elsewhere.track, "threads are told apart");
}
