use std::sync::atomic::{AtomicUsize, Ordering};

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
    let options = SessionOptions::new(1 << 10, 20).scans_in_flight(Some(2));
    let backends = backends.iter().map(|backend| Backend::clone(backend)).collect();
    DevicePool::new(rules, backends, &options).unwrap()
}

/// Scans all, and compares what is told with the oracle: each once, and all that there are but for `untold`.
fn check(
    pool: &mut DevicePool,
    rules: &RulePipeline,
    haystacks: &[Vec<u8>],
    order: PoolOrder,
    mut meanwhile: impl FnMut(usize),
) -> (Vec<u64>, Result<PoolReport, ScanError>) {
    let mut told = Vec::new();
    let report = pool.scan(bytes(haystacks), order, |number, matches| {
        let expected = rules.reference_scan(&haystacks[number as usize]);
        assert_eq!(matches.unwrap(), expected, "{number}");
        told.push(number);
        meanwhile(told.len());
    });
    let mut once = told.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), told.len(), "each is told once");
    (told, report)
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
    assert!(pool.scan([], PoolOrder::AsGiven, |_, _| panic!("there is nothing")).is_ok());
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
    }
    // It stays out.
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
fn a_device_that_does_not_answer_holds_up_no_other() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let haystacks = haystacks();
    let mut pool = pool(&rules, &backends);
    let hold = Hold::new(backends[0].device());
    let (told, report) = check(&mut pool, &rules, &haystacks, PoolOrder::AsGiven, |_| ());
    assert_eq!(told.len(), haystacks.len());
    let devices = report.unwrap().devices;
    assert!(matches!(devices[0].fault, Some(BackendError::Timeout { .. })), "{devices:?}");
    assert_eq!([devices[0].haystacks, devices[1].haystacks], [0, haystacks.len() as u64]);
    // It takes part again once it answers.
    drop(hold);
    let (_, report) = check(&mut pool, &rules, &haystacks, PoolOrder::AsGiven, |_| ());
    assert!(report.unwrap().devices.iter().all(|one| one.fault.is_none()));
    pool.free().unwrap();
}

#[test]
fn what_is_wrong_with_one_is_its_own() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let mut pool = pool(&rules, &backends);
    let haystacks = [b"key".to_vec(), vec![b'-'; 2 << 10], b"key ".repeat(30), b"cafe".to_vec()];
    let mut told = Vec::new();
    let report = pool.scan(bytes(&haystacks), PoolOrder::AsGiven, |number, matches| {
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
    let scanned = pool.scan([&b"key"[..]], PoolOrder::AsGiven, |_, _| panic!("there is none"));
    assert!(matches!(scanned, Err(ScanError::Backend(BackendError::NoDevice))));
    assert!(pool.scan([], PoolOrder::AsGiven, |_, _| ()).is_ok());
}

#[test]
fn a_panic_of_the_callers_leaves_nobody_waiting() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let haystacks = haystacks();
    let mut pool = pool(&rules, &backends);
    let count = AtomicUsize::new(0);
    let scanned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.scan(bytes(&haystacks), PoolOrder::AsGiven, |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            panic!("the caller's");
        })
    }));
    assert!(scanned.is_err() && count.into_inner() == 1);
    let (told, _) = check(&mut pool, &rules, &haystacks, PoolOrder::AsGiven, |_| ());
    assert_eq!(told.len(), haystacks.len());
    pool.free().unwrap();
}
