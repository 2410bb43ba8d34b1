//! Small haystacks on several devices.

use super::*;
use crate::{MegakernelSessionConfig, RingError, RingItem, RingItemError, RingPool};

/// Rounds of a few items, several of which are in flight.
fn small() -> MegakernelSessionConfig {
    MegakernelSessionConfig::default()
        .slot_count(16)
        .workgroup_size_x(4)
        .round_bytes(2 << 10)
        .rounds_in_flight(2)
        .max_matches(10)
}

fn ring_pool(rules: &RulePipeline, backends: &[TestBackend]) -> RingPool {
    let backends: Vec<Backend> = backends.iter().map(|one| Backend::clone(one)).collect();
    RingPool::new(rules, &backends, small()).unwrap().expect("lavapipe can")
}

fn items(haystacks: &[Vec<u8>]) -> impl Iterator<Item = RingItem<'_>> + Send {
    (100..).zip(haystacks).map(|(id, bytes)| RingItem::new(id, bytes))
}

/// Scans all, and compares what is told with the oracle: each once.
fn check_items(
    pool: &mut RingPool,
    rules: &RulePipeline,
    haystacks: &[Vec<u8>],
    order: PoolOrder,
    mut meanwhile: impl FnMut(usize),
) -> (Vec<u64>, Result<PoolReport, RingError>) {
    let mut told = Vec::new();
    let report = pool.scan(items(haystacks), order, |result| {
        let expected = rules.reference_scan(&haystacks[result.id as usize - 100]);
        assert_eq!(result.matches.unwrap(), expected, "{}", result.id);
        told.push(result.id);
        meanwhile(told.len());
    });
    assert_once(&told);
    (told, report)
}

#[test]
fn every_item_is_scanned_once_on_some_device() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<3>();
    let haystacks = haystacks();
    let mut pool = ring_pool(&rules, &backends);
    for order in [PoolOrder::AsGiven, PoolOrder::AsFinished] {
        let (told, report) = check_items(&mut pool, &rules, &haystacks, order, |_| ());
        let devices = report.unwrap().devices;
        assert_eq!(told.len(), haystacks.len());
        assert!(order == PoolOrder::AsFinished || told.is_sorted());
        assert_eq!(devices.iter().map(|one| one.haystacks).sum::<u64>(), told.len() as u64);
        let all = haystacks.iter().map(|one| one.len() as u64).sum::<u64>();
        assert_eq!(devices.iter().map(|one| one.bytes).sum::<u64>(), all);
        assert!(devices.iter().all(|one| one.fault.is_none() && !one.recovered));
    }
    assert!(pool.scan([], PoolOrder::AsGiven, |_| panic!("there is nothing")).is_ok());
    pool.free().unwrap();
    assert!(backends.iter().all(|backend| backend.allocated_bytes() == 0));
}

#[test]
fn a_lost_ring_makes_itself_anew_and_then_leaves_its_items_to_the_others() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let haystacks = haystacks();
    let mut pool = ring_pool(&rules, &backends);
    let lose = |pool: &mut RingPool, haystacks: &[Vec<u8>]| {
        let lost = pool.backends().nth(1).flatten().unwrap();
        let (told, report) = check_items(pool, &rules, haystacks, PoolOrder::AsGiven, |count| {
            if count == 10 {
                lost.device().inject_lost();
            }
        });
        assert!(told.len() == haystacks.len() && told.is_sorted());
        let devices = report.unwrap().devices;
        assert!(devices[0].fault.is_none() && !devices[0].recovered);
        (devices[1].recovered, devices[1].fault.is_some())
    };
    // Enough of them that both devices have some after the loss.
    let many = [&haystacks[..]; 3].concat();
    assert_eq!(lose(&mut pool, &many), (true, false));
    assert_eq!(lose(&mut pool, &many), (false, true));
    // It stays out, and with the last one goes what is left.
    let other = pool.backends().next().flatten().unwrap();
    let mut losses = 0;
    let (told, report) = check_items(&mut pool, &rules, &many, PoolOrder::AsFinished, |count| {
        if count % 10 == 5 && losses < 2 {
            losses += 1;
            other.device().inject_lost();
        }
    });
    // The first device makes itself anew, too, on a device that nothing has happened to.
    assert_eq!(told.len(), many.len());
    let devices = report.unwrap().devices;
    assert!(devices[0].recovered && devices[1].haystacks == 0 && devices[1].fault.is_some());
    backends.iter().for_each(|backend| backend.device().undo_lost());
    pool.free().unwrap();
}

#[test]
fn what_is_wrong_with_an_item_is_its_own() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<2>();
    let mut pool = ring_pool(&rules, &backends);
    let haystacks =
        [b"key".to_vec(), vec![b'-'; 2 << 10], b"key ".repeat(30), b"".to_vec(), b"cafe".to_vec()];
    let mut told = Vec::new();
    pool.scan(items(&haystacks), PoolOrder::AsGiven, |result| {
        told.push((result.id, result.matches.map(<[Match]>::len).map_err(RingItemError::clone)));
    })
    .unwrap();
    let [
        (100, Ok(1)),
        (101, Err(RingItemError::TooLarge { .. })),
        (102, Err(RingItemError::TooManyMatches { found: 30, .. })),
        (103, Ok(0)),
        (104, Ok(1)),
    ] = told[..]
    else {
        panic!("{told:?}")
    };
    pool.free().unwrap();
}

#[test]
fn without_a_device_no_item_is_scanned() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let mut pool = RingPool::new(&rules, &[], small()).unwrap().unwrap();
    let scanned =
        pool.scan([RingItem::new(0, b"key")], PoolOrder::AsGiven, |_| panic!("there is none"));
    assert!(matches!(scanned, Err(RingError::Scan(ScanError::Backend(BackendError::NoDevice)))));
}

#[test]
fn rounds_are_filled_and_hold_what_they_may() {
    let rules = RulePipeline::new(&PATTERNS).unwrap();
    let backends = backends::<1>();
    let mut pool = ring_pool(&rules, &backends);
    // Lengths up to what fits, by themselves, in pairs, and in numbers that fill all slots of a lane.
    let most = small().most_bytes();
    let half = most / 2;
    let lens =
        [most - 1, most, most + 1, half, half, half + 1, half + 1, 0, 0, 0, 0, 0, 0, 0, 7, half];
    let haystacks: Vec<Vec<u8>> = lens.iter().map(|&len| vec![b'-'; len]).collect();
    let mut told = Vec::new();
    pool.scan(items(&haystacks), PoolOrder::AsGiven, |result| {
        told.push(result.matches.is_ok());
    })
    .unwrap();
    let fits: Vec<bool> = lens.iter().map(|&len| len <= most).collect();
    assert!(told == fits && fits.iter().filter(|fits| !**fits).count() == 1, "{told:?}");
    pool.free().unwrap();
}
