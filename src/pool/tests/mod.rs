use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

mod rings;

use super::*;
use crate::vulkan::testing::{Hold, TestBackend};

const PATTERNS: [&str; 3] = ["needle[0-9]+", r"\bkey\b", "[a-f]{4}"];

/// Haystacks of different lengths, most of which have matches.
fn haystacks() -> Vec<Vec<u8>> {
    let one = |index: usize| {
        let text = format!("a key, needle{index} {} cafe", "-".repeat(index * 37 % 900));
        text.into_bytes()
    };
    (0..60).map(one).collect()
}

fn bytes(haystacks: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> + Send {
    haystacks.iter().map(Vec::as_slice)
}

/// Several devices, each of which is the only one that there is.
fn backends<const N: usize>() -> [TestBackend; N] {
    std::array::from_fn(|_| TestBackend::new())
}

fn pool(rules: &RulePipeline, backends: &[TestBackend]) -> DevicePool {
    pool_for(rules, backends, [1 << 10, 20], 2)
}

/// With a capacity, so many matches at most, and so many scans in flight on each device.
fn pool_for(
    rules: &RulePipeline,
    backends: &[TestBackend],
    [capacity, max_matches]: [usize; 2],
    in_flight: usize,
) -> DevicePool {
    let options = SessionOptions::new(capacity, max_matches).scans_in_flight(Some(in_flight));
    let backends = backends.iter().map(|backend| Backend::clone(backend)).collect();
    DevicePool::new(rules, backends, &options).unwrap()
}

/// Scans all, and compares what is told with the oracle: each once.
fn check(
    pool: &mut DevicePool,
    rules: &RulePipeline,
    haystacks: &[Vec<u8>],
    order: PoolOrder,
    mut meanwhile: impl FnMut(usize),
) -> (Vec<u64>, Result<PoolReport, ScanError>) {
    let mut told = Vec::new();
    let report = pool.scan(bytes(haystacks), u32::MAX, order, |number, _, matches| {
        let expected = rules.reference_scan(&haystacks[number as usize]);
        assert_eq!(matches.unwrap(), expected, "{number}");
        told.push(number);
        meanwhile(told.len());
    });
    assert_once(&told);
    (told, report)
}

fn assert_once(told: &[u64]) {
    let mut once = told.to_vec();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), told.len(), "each is told once");
}

#[test]
fn every_haystack_is_scanned_once_on_some_device() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<3>();
    let haystacks = haystacks();
    let mut pool = pool(&rules, &backends);
    for order in [PoolOrder::AsGiven, PoolOrder::AsFinished] {
        let (told, report) = check(&mut pool, &rules, &haystacks, order, |_| ());
        let devices = report.unwrap().devices;
        assert!(told.len() == haystacks.len());
        assert!(order == PoolOrder::AsFinished || told.is_sorted());
        assert_eq!(devices.iter().map(|one| one.haystacks).sum::<u64>(), told.len() as u64);
        let all = haystacks.iter().map(|one| one.len() as u64).sum::<u64>();
        assert_eq!(devices.iter().map(|one| one.bytes).sum::<u64>(), all);
        assert!(devices.iter().all(|one| one.fault.is_none()));
    }
    assert!(
        pool.scan([b""; 0], u32::MAX, PoolOrder::AsGiven, |_, _, _| panic!("there is nothing"))
            .is_ok()
    );
    pool.free().unwrap();
    assert!(backends.iter().all(|backend| backend.allocated_bytes() == 0));
}

#[test]
fn what_a_lost_device_had_is_scanned_by_the_others() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<3>();
    let haystacks = haystacks();
    let mut pool = pool(&rules, &backends);
    for order in [PoolOrder::AsGiven, PoolOrder::AsFinished] {
        let (told, report) = check(&mut pool, &rules, &haystacks, order, |count| {
            if count == 10 {
                backends[1].device().inject_lost();
            }
        });
        assert!(told.len() == haystacks.len());
        let devices = report.unwrap().devices;
        let is_lost: Vec<bool> = devices.iter().map(|one| one.fault.is_some()).collect();
        assert_eq!(is_lost, [false, true, false]);
        assert!(devices[1].haystacks < 60 / 2);
        backends[1].device().undo_lost();
    }
    // It stays out.
    backends[1].device().inject_lost();
    let (_, report) = check(&mut pool, &rules, &haystacks, PoolOrder::AsGiven, |_| ());
    assert_eq!(report.unwrap().devices[1].haystacks, 0);
    // With the last one goes what is left.
    let (told, report) = check(&mut pool, &rules, &haystacks, PoolOrder::AsFinished, |count| {
        if count == 5 {
            backends[0].device().inject_lost();
            backends[2].device().inject_lost();
        }
    });
    assert!((5..haystacks.len()).contains(&told.len()));
    assert!(matches!(report, Err(ScanError::Backend(BackendError::DeviceLost { .. }))));
    backends.iter().for_each(|backend| backend.device().undo_lost());
    pool.free().unwrap();
}

#[test]
fn what_a_device_does_not_answer_for_is_scanned_by_another() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let haystacks = haystacks();
    let mut pool = pool(&rules, &backends);
    // Each in its turn, so that both take part again once they answer.
    for held_up in [0, 1, 0] {
        let hold = Hold::new(backends[held_up].device());
        let (told, report) = check(&mut pool, &rules, &haystacks, PoolOrder::AsGiven, |_| ());
        assert_eq!(told.len(), haystacks.len());
        let devices = report.unwrap().devices;
        let fault = &devices[held_up].fault;
        assert!(matches!(fault, Some(BackendError::Timeout { .. })), "{devices:?}");
        let scanned = [held_up, 1 - held_up].map(|one| devices[one].haystacks);
        assert_eq!(scanned, [0, haystacks.len() as u64]);
        drop(hold);
        backends[held_up].device().wait_idle();
    }
    pool.free().unwrap();
}

#[test]
fn what_two_devices_do_not_answer_for_is_an_error_of_its_own() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let mut pool = pool(&rules, &backends);
    let holds = backends.each_ref().map(|backend| Hold::new(backend.device()));
    let mut told = Vec::new();
    let scanned = pool.scan(
        [&b"key"[..], b"key", b"key"],
        u32::MAX,
        PoolOrder::AsFinished,
        |number, _, matches| {
            told.push((number, matches.unwrap_err().to_string()));
        },
    );
    // With the second device goes the scan, and what is left is nobody's fault.
    assert!(matches!(scanned, Err(ScanError::Backend(BackendError::Timeout { .. }))));
    assert!(
        told.len() <= 1 && told.iter().all(|(_, error)| error.contains("timed out")),
        "{told:?}"
    );
    drop(holds);
    backends.iter().for_each(|backend| backend.device().wait_idle());
    let (told, _) = check(&mut pool, &rules, &haystacks(), PoolOrder::AsFinished, |_| ());
    assert_eq!(told.len(), 60);
    pool.free().unwrap();
}

#[test]
fn no_more_is_asked_for_than_can_be_told() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let haystacks = haystacks();
    let mut pool = pool(&rules, &backends);
    for order in [PoolOrder::AsGiven, PoolOrder::AsFinished] {
        let asked = AtomicUsize::new(0);
        let counted = bytes(&haystacks).inspect(|_| {
            asked.fetch_add(1, Ordering::Relaxed);
        });
        let mut told = 0;
        pool.scan(counted, u32::MAX, order, |_, _, matches| {
            matches.unwrap();
            std::thread::sleep(Duration::from_millis(2));
            told += 1;
            // Two devices with two scans in flight each, four times.
            assert!(asked.load(Ordering::Relaxed) <= told + 16, "{order:?}");
        })
        .unwrap();
        assert_eq!(told, haystacks.len());
    }
    pool.free().unwrap();
}

#[test]
fn what_is_wrong_with_one_is_its_own() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let mut pool = pool(&rules, &backends);
    let haystacks = [b"key".to_vec(), vec![b'-'; 2 << 10], b"key ".repeat(30), b"cafe".to_vec()];
    let mut told = Vec::new();
    let report =
        pool.scan(bytes(&haystacks), u32::MAX, PoolOrder::AsGiven, |number, _, matches| {
            told.push((number, matches.map(<[Match]>::len).map_err(|error| error.to_string())));
        });
    assert!(report.is_ok());
    let [(0, Ok(1)), (1, Err(too_large)), (2, Err(too_many)), (3, Ok(1))] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(too_large.contains("2048 bytes") && too_many.contains("30 matches"), "{told:?}");
    pool.free().unwrap();
}

#[test]
fn without_a_device_nothing_is_scanned() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let mut pool = DevicePool::new(&rules, Vec::new(), &SessionOptions::new(1, 1)).unwrap();
    let scanned =
        pool.scan([&b"key"[..]], u32::MAX, PoolOrder::AsGiven, |_, _, _| panic!("there is none"));
    assert!(matches!(scanned, Err(ScanError::Backend(BackendError::NoDevice))));
    assert!(pool.scan([b""; 0], u32::MAX, PoolOrder::AsGiven, |_, _, _| ()).is_ok());
}

#[test]
fn panics_of_the_callers_leave_nobody_waiting() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let haystacks = haystacks();
    let mut pool = pool(&rules, &backends);
    for order in [PoolOrder::AsGiven, PoolOrder::AsFinished] {
        let count = AtomicUsize::new(0);
        let scanned = catch_unwind(AssertUnwindSafe(|| {
            pool.scan(bytes(&haystacks), u32::MAX, order, |_, _, _| {
                count.fetch_add(1, Ordering::Relaxed);
                panic!("the caller's");
            })
        }));
        assert!(scanned.is_err() && count.into_inner() == 1);
        // What was asked for before keeps its number.
        let scanned = catch_unwind(AssertUnwindSafe(|| {
            let broken = (0..60).map(|index| {
                assert!(index != 30, "the caller's");
                &haystacks[index][..]
            });
            pool.scan(broken, u32::MAX, order, |number, _, matches| {
                let expected = rules.reference_scan(&haystacks[number as usize]);
                assert_eq!(matches.unwrap(), expected);
            })
        }));
        let panic = scanned.unwrap_err();
        assert!(panic.downcast_ref::<&str>().is_some_and(|text| text.contains("the caller's")));
        let (told, _) = check(&mut pool, &rules, &haystacks, order, |_| ());
        assert_eq!(told.len(), haystacks.len());
    }
    pool.free().unwrap();
}

/// Haystacks that are read by what the caller gave.
struct Source<'h> {
    bytes: &'h [u8],
    /// What is read from here on is too short, or panics.
    broken_from: u64,
    panics: bool,
}

impl WindowSource for Source<'_> {
    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, range: std::ops::Range<u64>) -> std::io::Result<std::borrow::Cow<'_, [u8]>> {
        let is_broken = range.end > self.broken_from;
        assert!(!(is_broken && self.panics), "the caller's");
        let end = if is_broken { range.end - 1 } else { range.end };
        Ok(self.bytes[range.start as usize..end as usize].into())
    }
}

#[test]
fn what_windows_are_read_with_may_fail() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let mut pool = pool_for(&rules, &backends, [128, 100], 2);
    let haystack = large(5, 4000);
    for broken_from in [0, 2000, haystack.len() as u64 - 1] {
        let source = Source { bytes: &haystack, broken_from, panics: false };
        let error = pool.scan_large(&source, u32::MAX, |_| ()).unwrap_err();
        assert!(matches!(error.error, ScanError::Read(_)), "{error}");
        let source = Source { panics: true, ..source };
        let scan = || pool.scan_large(&source, u32::MAX, |_| ());
        assert!(catch_unwind(AssertUnwindSafe(scan)).is_err());
    }
    let source = Source { bytes: &haystack, broken_from: u64::MAX, panics: true };
    let mut count = 0;
    pool.scan_large(&source, u32::MAX, |some| count += some.len()).unwrap();
    assert_eq!(count, rules.reference_scan(&haystack).len());
    pool.free().unwrap();
}

#[test]
fn a_device_may_be_there_twice() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backend = TestBackend::new();
    let options = SessionOptions::new(1 << 10, 20).scans_in_flight(Some(1));
    let twice = vec![Backend::clone(&backend), Backend::clone(&backend)];
    let mut pool = DevicePool::new(&rules, twice, &options).unwrap();
    let (told, _) = check(&mut pool, &rules, &haystacks(), PoolOrder::AsGiven, |_| ());
    assert_eq!(told.len(), 60);
    pool.free().unwrap();
}

/// Text in which matches end, begin and go on at every place of a window.
fn large(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = |limit: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let words = ["needle7", "key", "cafe", "xaaaab", "ab", "a", "b", "xy", "-", " "];
    let mut text = Vec::new();
    while text.len() < bytes {
        text.extend(words[next(words.len() as u64) as usize].bytes());
    }
    text
}

/// Rules whose matches overlap those of others, and are as long as they like within a window.
const LONG: [&str; 6] =
    ["needle[0-9]+", r"\bkey\b", "[a-f]{4}", "x.{0,40}b", "a+b?|ab.{3,9}a", "(?s)b.{2,30}?y"];

#[test]
fn a_large_haystack_is_scanned_in_windows_as_a_stream_is() {
    let backends = backends::<3>();
    for match_kind in [crate::MatchKind::LeftmostFirst, crate::MatchKind::All] {
        let options = crate::PipelineOptions { match_kind, ..Default::default() };
        let rules = RulePipeline::with_options(&LONG, options).unwrap();
        for (seed, capacity) in [(1, 100), (2, 128), (3, 257)] {
            let haystack = large(seed, 4000);
            let mut pool = pool_for(&rules, &backends, [capacity, 2000], 2);
            let mut found = Vec::new();
            let report = pool
                .scan_large(&haystack[..], u32::MAX, |some| found.extend_from_slice(some))
                .unwrap();
            assert!(report.devices.iter().map(|one| one.haystacks).sum::<u64>() > 10);
            found.sort_unstable();
            let expected = rules.reference_scan(&haystack).into_iter().map(|one| StreamMatch {
                pattern_id: one.pattern_id,
                start: one.start.into(),
                end: one.end.into(),
            });
            let expected: Vec<StreamMatch> = expected.collect();
            assert!(expected.len() > 100);
            let differs = found.iter().zip(&expected).find(|(one, other)| one != other);
            assert!(
                found == expected,
                "{match_kind:?}, windows of {capacity}: {} of {}, {differs:?}",
                found.len(),
                expected.len()
            );
            // And where it is no longer than a window.
            let short = &haystack[..capacity];
            let mut count = 0;
            pool.scan_large(short, 7, |some| count += some.len()).unwrap();
            assert_eq!(count, rules.reference_scan_bounded(short, 7).len());
            pool.free().unwrap();
        }
    }
}

#[test]
fn a_large_haystack_survives_the_loss_of_a_device() {
    let rules = RulePipeline::new(&LONG).unwrap();
    let backends = backends::<2>();
    let mut pool = pool_for(&rules, &backends, [128, 1000], 2);
    let haystack = large(4, 6000);
    let mut found = Vec::new();
    let report = pool.scan_large(&haystack[..], u32::MAX, |some| {
        let before = found.len();
        found.extend(some.iter().map(|one| (one.pattern_id, one.start)));
        if before < 50 && found.len() >= 50 {
            backends[0].device().inject_lost();
        }
    });
    found.sort_unstable();
    let expected = rules.reference_scan(&haystack);
    let expected: Vec<(u32, u64)> =
        expected.iter().map(|one| (one.pattern_id, one.start.into())).collect();
    assert!(found == expected);
    assert!(report.unwrap().devices[0].fault.is_some());
    // What is told before there is no device left is all that there is before.
    let mut found = Vec::new();
    let error = pool
        .scan_large(&haystack[..], u32::MAX, |some| {
            found.extend(some.iter().map(|one| (one.pattern_id, one.start)));
            if found.len() >= 50 {
                backends[1].device().inject_lost();
            }
        })
        .unwrap_err();
    assert!(matches!(error.error, ScanError::Backend(_)), "{error}");
    found.sort_unstable();
    let before: Vec<(u32, u64)> =
        expected.into_iter().filter(|(_, start)| *start < error.scanned).collect();
    assert!(found == before && error.scanned < haystack.len() as u64);
    backends.iter().for_each(|backend| backend.device().undo_lost());
    pool.free().unwrap();
}

#[test]
fn what_windows_cannot_hold_is_an_error() {
    let rules = RulePipeline::new(&["x[^y]*y", "a"]).unwrap();
    let backends = backends::<2>();
    let haystack = [&b"a ".repeat(40)[..], b"x", &b"-".repeat(300), b"y a"].concat();
    let mut pool = pool_for(&rules, &backends, [64, 100], 1);
    let mut count = 0;
    let error = pool.scan_large(&haystack[..], u32::MAX, |some| count += some.len()).unwrap_err();
    assert!(matches!(error.error, ScanError::Undecided { pattern_id: 0, start: 80, capacity: 64 }));
    assert!(error.scanned == 80 && count == 40, "{error:?}");
    pool.free().unwrap();
    let mut pool = pool_for(&rules, &backends, [8, 100], 1);
    let error = pool.scan_large(&haystack[..], u32::MAX, |_| ()).unwrap_err();
    assert!(matches!(error.error, ScanError::WindowTooSmall { capacity: 8, .. }), "{error:?}");
    pool.free().unwrap();
}
