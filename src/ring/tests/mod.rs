//! Ring sessions against resident ones and the oracle, and with everything that can go wrong.

use super::*;
use crate::scan::tuning::Tuning;
use crate::vulkan::testing::{Hold, TestBackend};
use crate::{
    Backend, BackendError, Match, MatchKind, PipelineOptions, ResidentHaystack, RulePipeline,
    ScanError, UnicodePolicy,
};

mod rounds;

fn rules(match_kind: MatchKind, patterns: &[&str]) -> RulePipeline {
    let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
    RulePipeline::with_options(patterns, options).unwrap()
}

fn session(
    backend: &Backend,
    rules: &RulePipeline,
    config: MegakernelSessionConfig,
) -> MegakernelSession {
    MegakernelSession::new(backend, rules, config).unwrap().expect("the device can run it")
}

fn small() -> MegakernelSessionConfig {
    MegakernelSessionConfig {
        slot_count: 64,
        workgroup_size_x: 64,
        round_bytes: 1 << 12,
        observable_slots: 4,
        max_matches: 1000,
        ..MegakernelSessionConfig::default()
    }
}

/// Rules that look at the ends of an item, behind them and far ahead; that match across whatever lies between two
/// items; with prefixes of any length and without anything to look for.
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

fn work<'a>(items: &'a [Vec<u8>]) -> Vec<RingItem<'a>> {
    (0..).zip(items).map(|(id, bytes)| RingItem::new(id * 3, bytes)).collect()
}

fn check(rules: &RulePipeline, items: &[Vec<u8>], results: &RingResults) {
    assert_eq!(results.len(), items.len());
    for ((index, item), result) in items.iter().enumerate().zip(results.iter()) {
        assert_eq!(result.id, index as u64 * 3);
        let text = item.escape_ascii().to_string();
        let expected = rules.reference_scan(item);
        if expected.len() > small().max_matches as usize {
            let Err(RingItemError::TooManyMatches { found, .. }) = result.matches else {
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
                let tuning = Some(tuning(backend.device_info()));
                let made = MegakernelSession::new(&backend, &rules, small().tuning(tuning));
                let mut session = made.unwrap().unwrap();
                let mut results = RingResults::default();
                session.submit_scan_into(&work, &mut results).unwrap();
                check(&rules, &items, &results);
                assert!(results.match_count() > 100 && results.stats().rounds > 4);
                assert_eq!(session.observe(RingObservable::Items), Some(items.len() as u64));
                let bytes: usize = items.iter().map(Vec::len).sum();
                assert_eq!(session.observe(RingObservable::Bytes), Some(bytes as u64));
                assert!(
                    session.observe(RingObservable::Hits) >= Some(results.match_count() as u64)
                );
                assert_eq!(session.observe(RingObservable::Faults), Some(0));
                session.shutdown().unwrap();
            }
        }
    }
    assert_eq!(backend.allocated_bytes(), 0);
}

fn texts<'a>(items: &[&'a str]) -> Vec<RingItem<'a>> {
    (0..).zip(items).map(|(id, item)| RingItem::new(id, item.as_bytes())).collect()
}

/// An item's matches as (pattern, start, end), or why there are none.
type Shown = Result<Vec<(u32, u32, u32)>, RingItemError>;

fn shown(results: &[RingItemMatches]) -> Vec<Shown> {
    let of_one = |result: &RingItemMatches| {
        let matches = result.matches.clone()?;
        Ok(matches.iter().map(|found| (found.pattern_id, found.start, found.end)).collect())
    };
    results.iter().map(of_one).collect()
}

#[test]
fn slots_wrap_around() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a+"]);
    let mut session = session(&backend, &rules, small());
    assert_eq!((session.slot_count(), session.next_slot()), (64, 0));
    let mut published = 0;
    for count in [40, 40, 1, 64, 0, 63, 200, 129] {
        let bytes: Vec<Vec<u8>> = (0..count).map(|len| b"a".repeat(len)).collect();
        let results = session.submit_scan(&work(&bytes)).unwrap();
        let expected = |len| if len == 0 { vec![] } else { vec![(0, 0, len)] };
        let expected: Vec<_> = (0..count as u32).map(|len| Ok(expected(len))).collect();
        assert_eq!(shown(&results), expected);
        published += count as u32;
        assert_eq!(session.next_slot(), published % 64);
    }
    session.shutdown().unwrap();
    assert_eq!(session.next_slot(), 0);
}

#[test]
fn what_is_wrong_with_an_item_is_its_own_error() {
    let backend = TestBackend::new();
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let rules = rules(match_kind, &["a", "b+"]);
        let config = MegakernelSessionConfig { tenant_count: 2, max_matches: 3, ..small() };
        let mut session = session(&backend, &rules, config);
        let large = "b".repeat(4096);
        let flood = "a ".repeat(1500);
        let mut items = texts(&["a", "a a a", "a a a a", &large, "a", &flood, "bc", "a a a", "ab"]);
        items[4].tenant = 1;
        items[6].tenant = 9;
        items[7].max_matches = 2;
        // The rest of an item of which too many matches are found at once is not counted where all matches are.
        let flooded = 1500;
        let too_many = |found, at_least, max_matches| {
            Err(RingItemError::TooManyMatches { found, at_least, max_matches })
        };
        let expected = [
            Err(RingItemError::Faulted),
            Ok(vec![(0, 0, 1), (0, 2, 3), (0, 4, 5)]),
            too_many(4, false, 3),
            Err(RingItemError::TooLarge { bytes: 4096, capacity: 4095 }),
            Err(RingItemError::NoPipeline { tenant: 1 }),
            too_many(flooded, match_kind == MatchKind::All, 3),
            Err(RingItemError::NoPipeline { tenant: 9 }),
            too_many(3, false, 2),
            Err(RingItemError::Faulted),
        ];
        // Slots of items that are at fault by themselves are not counted: the flood is the fourth.
        session.live_mut().stale = vec![0, 5];
        let mut found = shown(&session.submit_scan(&items).unwrap());
        if let Err(RingItemError::TooManyMatches {
            found: found @ 4..1500, at_least: true, ..
        }) = &mut found[5]
        {
            *found = flooded;
        }
        assert_eq!(found, expected);
        assert_eq!(session.observe(RingObservable::Faults), Some(2));
        assert_eq!(session.observe_tenant(0, RingObservable::Items), Some(4));
        assert_eq!(session.observe_tenant(1, RingObservable::Items), Some(0));
        let again = session.submit_scan(&items[8..]).unwrap();
        assert_eq!(shown(&again), [Ok(vec![(0, 0, 1), (1, 1, 2)])]);
        session.shutdown().unwrap();
    }
    assert_eq!(backend.allocated_bytes(), 0);
}

/// More matches from one start than there is room for are that item's alone, and the next item is looked at.
#[test]
fn a_flood_from_one_start_leaves_the_others_alone() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::All, &["(?s)x.*", "a"]);
    let tuning = Some(Tuning::cramped(backend.device_info()));
    let config = MegakernelSessionConfig { max_matches: 20, tuning, ..small() };
    let made = MegakernelSession::new(&backend, &rules, config);
    let mut session = made.unwrap().unwrap();
    let flood = format!("a{}xaaa", "x".repeat(200));
    let results = session.submit_scan(&texts(&["aa", &flood, "a xa", &flood])).unwrap();
    let [one, two, three, four] = &shown(&results)[..] else { panic!("four items") };
    assert_eq!(one, &Ok(vec![(1, 0, 1), (1, 1, 2)]));
    assert_eq!(three, &Ok(vec![(0, 2, 3), (0, 2, 4), (1, 0, 1), (1, 3, 4)]));
    for flooded in [two, four] {
        let Err(RingItemError::TooManyMatches { found: 21.., max_matches: 20, .. }) = flooded
        else {
            panic!("{flooded:?}");
        };
    }
    session.shutdown().unwrap();
}

#[test]
fn tenants_have_rules_and_slots_of_their_own() {
    let backend = TestBackend::new();
    let config = MegakernelSessionConfig { tenant_count: 2, rounds_in_flight: 2, ..small() };
    let mut session = session(&backend, &rules(MatchKind::LeftmostFirst, &["a"]), config);
    session.set_tenant(1, &rules(MatchKind::All, &["b", "ab?"]), 2).unwrap();
    let mut items = texts(&["ab", "ab", "b", "abab", "ab"]);
    (items[1].tenant, items[3].tenant) = (1, 1);
    let results = session.submit_scan(&items).unwrap();
    let a = || Ok(vec![(0, 0, 1)]);
    let too_many =
        |at_least| Err(RingItemError::TooManyMatches { found: 3, at_least, max_matches: 2 });
    assert_eq!(shown(&results), [a(), too_many(false), Ok(vec![]), too_many(true), a()]);
    assert_eq!(session.observe_tenant(0, RingObservable::Items), Some(3));
    assert_eq!(session.observe_tenant(1, RingObservable::Items), Some(2));
    assert_eq!(session.observe_tenant(2, RingObservable::Items), None);

    // One takes all that it may, and the other does not notice.
    let many = vec![RingItem::new(0, b"a"); 32];
    let crowd = session.publish(&many).unwrap();
    let full = session.publish(&many[..1]).unwrap_err();
    assert!(matches!(full, RingError::Full { what: "slots", tenant: 0 }), "{full}");
    let too_many = session.publish(&vec![RingItem::new(0, b"a"); 33]).unwrap_err();
    assert!(matches!(too_many, RingError::TooMany { items: 33, fit: 32 }), "{too_many}");
    let other = [RingItem { tenant: 1, ..RingItem::new(5, b"b") }];
    assert_eq!(shown(&session.submit_scan(&other).unwrap()), [Ok(vec![(0, 0, 1)])]);
    let mut results = RingResults::default();
    session.collect_into(crowd, &mut results).unwrap();
    assert!(results.len() == 32 && results.iter().all(|item| item.matches.unwrap().len() == 1));

    // Other rules take the place of those before, once these are through.
    let before = session.publish(&other).unwrap();
    session.set_tenant(1, &rules(MatchKind::LeftmostFirst, &["x"]), 2).unwrap();
    session.collect_into(before, &mut results).unwrap();
    assert_eq!(results.get(0).unwrap().matches.unwrap().len(), 1);
    assert_eq!(shown(&session.submit_scan(&other).unwrap()), [Ok(vec![])]);
    session.shutdown().unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
}

#[test]
fn rounds_are_published_and_collected_in_any_order() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a+"]);
    let config = MegakernelSessionConfig { rounds_in_flight: 3, ..small() };
    let mut session = session(&backend, &rules, config);
    let items = [texts(&["a", "b"]), texts(&["aa"]), texts(&["", "aaa", "a"]), texts(&["x"])];
    let mut results = RingResults::default();
    let mut collect = |session: &mut MegakernelSession, round| {
        session.collect_into(round, &mut results).unwrap();
        results.iter().map(|item| item.matches.unwrap().len()).collect::<Vec<_>>()
    };
    let [one, two, three] = [0, 1, 2].map(|index| session.publish(&items[index]).unwrap());
    let full = session.publish(&items[3]).unwrap_err();
    assert!(matches!(full, RingError::Full { what: "rounds", tenant: 0 }), "{full}");
    assert_eq!(collect(&mut session, two), [1]);
    let four = session.publish(&items[3]).unwrap();
    // Others' rounds make room for these, and are not lost.
    assert_eq!(session.submit_scan(&items[2]).unwrap().len(), 3);
    session.flush().unwrap();
    assert_eq!(session.observe(RingObservable::Items), Some(10));
    assert_eq!(collect(&mut session, four), [0]);
    assert_eq!(collect(&mut session, three), [0, 1, 1]);
    assert_eq!(collect(&mut session, one), [1, 0]);

    // What is dropped makes room, too, with slots or rounds.
    for _ in 0..9 {
        drop(session.publish(&items[0]).unwrap());
    }
    let foreign = RingPublished { round: round::Round::new().id(), items: &items[0] };
    let unknown = session.collect_into(foreign, &mut RingResults::default()).unwrap_err();
    assert!(matches!(unknown, RingError::UnknownRound), "{unknown}");

    // What was published before a session is closed can be collected behind.
    let last = session.publish(&items[0]).unwrap();
    session.shutdown().unwrap();
    assert_eq!(collect(&mut session, last), [1, 0]);
    let closed = [
        session.publish(&items[0]).unwrap_err(),
        session.submit_scan(&items[0]).unwrap_err(),
        session.set_tenant(0, &rules, 1).unwrap_err(),
        session.lend(0).unwrap_err(),
    ];
    assert!(closed.iter().all(|error| matches!(error, RingError::Closed)), "{closed:?}");
    session.shutdown().unwrap();
    assert!(session.backend().is_none());
    assert_eq!(backend.allocated_bytes(), 0);
}

#[test]
fn items_are_read_into_lent_memory() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a+$"]);
    let config = MegakernelSessionConfig { slot_count: 64, round_bytes: 1 << 10, ..small() };
    let mut session = session(&backend, &rules, config);
    let mut batch = session.lend(0).unwrap();
    for round in 0..3 {
        batch.clear();
        let lens = [3, 0, 500, 480];
        for (id, len) in (0..).zip(lens) {
            assert!(batch.reserve(id, len, u32::MAX));
        }
        assert!(!batch.reserve(9, 200, u32::MAX), "it is full");
        batch.parts().into_iter().for_each(|part| part.fill(b'a'));
        batch.truncate(2, 7);
        let published = session.publish_batch(batch).unwrap();
        let mut results = RingResults::default();
        batch = session.collect_batch(published, &mut results).unwrap();
        let found: Vec<_> = results.iter().map(|item| (item.id, item.matches.unwrap())).collect();
        let whole = |end| vec![Match { pattern_id: 0, start: 0, end }];
        assert_eq!(found, [(0, &whole(3)[..]), (1, &[]), (2, &whole(7)), (3, &whole(480))]);
        assert_eq!((batch.len(), batch.bytes(2)), (4, &b"aaaaaaa"[..]), "round {round}");
    }
    session.give_back(batch);
    let error = session.lend(1).unwrap_err();
    assert!(matches!(error, RingError::NoPipeline { tenant: 1 }), "{error}");
    session.shutdown().unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
}

#[test]
fn items_may_be_on_the_device_already() {
    let backend = TestBackend::new();
    let other = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["^a+", "b$"]);
    let mut session = session(&backend, &rules, small());
    let text = [&b"xaaab"[..], &b"a".repeat(1000), b"b"].concat();
    let resident = ResidentHaystack::new(&backend, &text).unwrap();
    let foreign = ResidentHaystack::new(&other, b"a").unwrap();
    let item = |haystack, range| RingItem {
        bytes: RingItemBytes::Resident { haystack, range },
        ..RingItem::new(0, b"")
    };
    let items = [
        item(&resident, 0..5),
        item(&resident, 1..5),
        RingItem::new(0, b"ab"),
        item(&resident, 3..3),
        item(&resident, 5..1006),
        item(&resident, 1000..1007),
        item(&foreign, 0..1),
    ];
    let expected = [
        Ok(vec![(1, 4, 5)]),
        Ok(vec![(0, 0, 3), (1, 3, 4)]),
        Ok(vec![(0, 0, 1), (1, 1, 2)]),
        Ok(vec![]),
        Ok(vec![(0, 0, 1000), (1, 1000, 1001)]),
        Err(RingItemError::OutOfRange { range: 1000..1007, len: 1006 }),
        Err(RingItemError::WrongBackend),
    ];
    assert_eq!(shown(&session.submit_scan(&items).unwrap()), expected);
    drop((resident, foreign));
    session.shutdown().unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
}

fn is_loss<T>(result: Result<T, RingError>) -> bool {
    let lost = |error: &RingError| {
        matches!(error, RingError::Scan(ScanError::Backend(BackendError::DeviceLost { .. })))
    };
    result.err().as_ref().is_some_and(lost)
}

#[test]
fn a_lost_device_of_the_callers_is_not_replaced() {
    let backend = TestBackend::new();
    let callers = backend.as_callers();
    let rules = rules(MatchKind::LeftmostFirst, &["a+"]);
    let mut session = session(&callers, &rules, small());
    let mut results = RingResults::default();
    session.submit_scan_into(&texts(&["a", "b"]), &mut results).unwrap();
    callers.device().inject_lost();
    let error = session.submit_scan_into(&texts(&["a"]), &mut results).unwrap_err();
    let is_callers = |error: &RingError| {
        matches!(error, RingError::Scan(ScanError::Backend(BackendError::CallersDevice { .. })))
    };
    assert!(is_callers(&error), "{error}");
    drop(session);
    assert_eq!(callers.allocated_bytes(), 0);
}

#[test]
fn a_lost_device_is_replaced_once() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a+"]);
    let items = [texts(&["a", "b"]), texts(&["aa"]), texts(&["aaa", ""])];
    // While nothing is in flight; while rounds are, of which one is collected; and with some in lent memory.
    for case in 0..3 {
        let mut session = session(&backend.reopen().unwrap(), &rules, small());
        let first = session.backend().unwrap().clone();
        let mut results = RingResults::default();
        session.submit_scan_into(&items[0], &mut results).unwrap();
        assert!(!results.stats().recovered);
        let one = (case > 0).then(|| session.publish(&items[0]).unwrap());
        let two = (case > 0).then(|| session.publish(&items[1]).unwrap());
        let lent = (case == 2).then(|| {
            let mut batch = session.lend(0).unwrap();
            assert!(batch.reserve(0, 4, 9));
            batch.parts()[0].copy_from_slice(b"aaaa");
            session.publish_batch(batch).unwrap()
        });
        if let Some(one) = one {
            session.collect_into(one, &mut results).unwrap();
            assert!(!results.stats().recovered);
        }
        first.device().inject_lost();
        if let Some(lent) = lent {
            let error = session.collect_batch(lent, &mut results).unwrap_err();
            assert!(matches!(error, RingError::BatchLost), "{error}");
        }
        session.submit_scan_into(&items[2], &mut results).unwrap();
        assert_eq!(results.stats().recovered, case != 2, "{case}");
        assert_eq!(results.get(0).unwrap().matches.unwrap().len(), 1);
        if let Some(two) = two {
            session.collect_into(two, &mut results).unwrap();
            assert!(results.stats().recovered, "{case}");
            assert_eq!(results.iter().map(|item| item.matches.unwrap().len()).sum::<usize>(), 1);
        }
        let second = session.backend().unwrap().clone();
        assert!(!second.is_lost() && first.is_lost());
        // Items that were scanned again count again.
        let all = if case == 0 { 4 } else { 7 };
        assert!(session.observe(RingObservable::Items) >= Some(all), "{case}");

        let waiting = session.publish(&items[0]).unwrap();
        second.device().inject_lost();
        assert!(is_loss(session.submit_scan(&items[0])));
        assert!(is_loss(session.collect_into(waiting, &mut results)));
        assert!(results.is_empty());
        let closed = session.submit_scan(&items[0]).unwrap_err();
        assert!(matches!(closed, RingError::Scan(_)), "{closed}");
        drop(session);
        for backend in [first, second] {
            assert_eq!(backend.validation_messages(), [""; 0]);
            assert_eq!(backend.allocated_bytes(), 0, "{case}");
        }
    }
}

#[test]
fn what_no_session_can_be_is_refused() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a"]);
    let refused = |change: fn(&mut MegakernelSessionConfig)| {
        let mut config = small();
        change(&mut config);
        match MegakernelSession::new(&backend, &rules, config) {
            Err(error @ RingError::Limit { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let errors = [
        refused(|config| config.slot_count = 0),
        refused(|config| config.slot_count = u32::MAX),
        refused(|config| config.workgroup_size_x = 0),
        refused(|config| config.tenant_count = 0),
        refused(|config| config.tenant_count = 65),
        refused(|config| config.observable_slots = 5),
        refused(|config| config.round_bytes = 0),
        refused(|config| config.round_bytes = usize::MAX),
        refused(|config| config.rounds_in_flight = 0),
    ];
    assert_eq!(errors[5], "observable_slots of 5 is not within 0 to 4: choose one that is");
    let config = MegakernelSessionConfig { workgroup_size_x: 1 << 19, ..small() };
    assert!(MegakernelSession::new(&backend, &rules, config).unwrap().is_none());
    let config = MegakernelSessionConfig { slot_count: 65, observable_slots: 1, ..small() };
    let mut session = session(&backend, &rules, config);
    assert_eq!(session.slot_count(), 128);
    assert_eq!(session.observe(RingObservable::Items), Some(0));
    assert_eq!(session.observe(RingObservable::Bytes), None);
    let error = session.set_tenant(1, &rules, 1).unwrap_err();
    assert!(matches!(error, RingError::Limit { what: "tenant", .. }), "{error}");
    // Without rules there is nothing to find, and no item is at fault.
    session.set_tenant(0, &RulePipeline::new::<&str>(&[]).unwrap(), 1).unwrap();
    assert_eq!(shown(&session.submit_scan(&texts(&["a", ""])).unwrap()), [Ok(vec![]), Ok(vec![])]);
    assert_eq!(shown(&session.submit_scan(&[]).unwrap()), []);
    session.shutdown().unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
}
