//! Rounds that begin again, wait, come back, and outlive a device.

use super::*;
use crate::{BackendOptions, Trace, TraceEvent, TraceTrack};

#[test]
fn tables_may_take_several_passes() {
    let backend = TestBackend::new();
    let mut patterns: Vec<String> = PATTERNS.map(str::to_owned).into();
    // What matches at an item's start only is in the last pass, too.
    patterns.extend((0..200).map(|rule| format!("q{rule}[a-z]{{3}}[0-9]+")));
    patterns.extend(["\\Afoo", "\\Aab+"].map(str::to_owned));
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let items = items();
    // Tables in several buffers, so that a scan takes several passes.
    let device = Tuning::for_device(backend.device_info());
    let several_passes = Some(Tuning { pass_bytes: 700 << 10, ..device });
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let rules = rules(match_kind, &patterns);
        let made = MegakernelSession::new(&backend, &rules, small().tuning(several_passes));
        let mut session = made.unwrap().unwrap();
        assert!(session.live_mut().resident(0).unwrap().pass_count() > 1);
        let mut results = RingResults::default();
        session.submit_scan_into(&work(&items), &mut results).unwrap();
        check(&rules, &items, &results);
        let last = patterns.len() as u32 - 1;
        let of_last = |found: &&Match| found.pattern_id == last;
        let found = results.iter().flat_map(|item| item.matches.unwrap_or(&[])).find(of_last);
        assert!(found.is_some_and(|found| found.start == 0));
        session.shutdown().unwrap();
    }
}

/// Rules that are all looked for by their grams, so that a round may end with its suffixes; and whose prefixes turn out long,
/// so that it is done again.
#[test]
fn rounds_end_early_or_begin_again() {
    let backend = TestBackend::new();
    let patterns = [r"[a-z]*\d-22", "abcd", r"\Afoobar"];
    let long = [&b"x".repeat(1500)[..], b"5-22 abcd"].concat();
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let rules = rules(match_kind, &patterns);
        let mut session =
            session(&backend, &rules, MegakernelSessionConfig { max_matches: 2000, ..small() });
        for items in [
            vec![b"nothing".to_vec(), Vec::new(), b"abc".to_vec()],
            vec![b"foobar abcd".to_vec(), b"a1-22".to_vec(), b" foobar".to_vec(), b"-22".to_vec()],
            vec![
                b"abcd".to_vec(),
                long.clone(),
                b"x5-22".to_vec(),
                b"x".repeat(1200),
                b"5-22".to_vec(),
            ],
        ] {
            let results = session.submit_scan(&work(&items)).unwrap();
            for (item, result) in items.iter().zip(results) {
                assert_eq!(result.matches, Ok(rules.reference_scan(item)), "{match_kind:?}");
            }
        }
        session.shutdown().unwrap();
    }
}

#[test]
fn batches_that_came_back_can_be_added_to() {
    let backend = TestBackend::new();
    let mut session = session(&backend, &rules(MatchKind::LeftmostFirst, &["a+"]), small());
    let mut batch = session.lend(0).unwrap();
    let mut results = RingResults::default();
    for count in 1..5 {
        assert!(batch.reserve(count, 3, u32::MAX));
        batch.parts().into_iter().for_each(|part| part.fill(b'a'));
        let published = session.publish_batch(batch).unwrap();
        batch = session.collect_batch(published, &mut results).unwrap();
        assert_eq!(results.match_count(), count as usize);
        assert_eq!(batch.bytes(count as usize - 1), b"aaa");
    }
    // Nothing is something, too; and others' memory is not this session's.
    batch.clear();
    let published = session.publish_batch(batch).unwrap();
    batch = session.collect_batch(published, &mut results).unwrap();
    assert!(results.is_empty());
    let mut other = self::session(&backend, &rules(MatchKind::LeftmostFirst, &["a"]), small());
    let RingNotPublished { error, batch } = *other.publish_batch(batch).unwrap_err();
    assert!(matches!(error, RingError::ForeignBatch), "{error}");
    session.give_back(batch.unwrap());
    other.shutdown().unwrap();
    session.shutdown().unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
}

/// Rounds of several tenants that are lost as a whole, whether somebody waits for them or not.
#[test]
fn tenants_outlive_a_lost_device() {
    let backend = TestBackend::new();
    let [a, b] = ["a", "b"].map(|pattern| rules(MatchKind::LeftmostFirst, &[pattern]));
    let mut items = texts(&["ab", "ab", "b"]);
    items[1].tenant = 1;
    for case in 0..3 {
        let config = MegakernelSessionConfig { tenant_count: 2, rounds_in_flight: 1, ..small() };
        let mut session = session(&backend.reopen().unwrap(), &a, config);
        session.set_tenant(1, &b, 10).unwrap();
        let published = session.publish(&items).unwrap();
        session.backend().unwrap().device().inject_lost();
        let mut results = RingResults::default();
        match case {
            0 => drop(published),
            1 => {
                session.flush().unwrap();
                drop(published);
            }
            _ => {
                let error = session.set_tenant(1, &a, 10).unwrap_err();
                assert!(matches!(error, RingError::Uncollected), "{error}");
                session.collect_into(published, &mut results).unwrap();
                assert!(results.stats().recovered);
                assert_eq!(results.match_count(), 2);
                session.set_tenant(1, &b, 10).unwrap();
            }
        }
        for _ in 0..3 {
            let found = shown(&session.submit_scan(&items).unwrap());
            assert_eq!(found, [Ok(vec![(0, 0, 1)]), Ok(vec![(0, 1, 2)]), Ok(vec![])]);
        }
        let backend = session.backend().unwrap().clone();
        let items = session.observe(RingObservable::Items);
        session.shutdown().unwrap();
        assert_eq!(session.observe(RingObservable::Items), items);
        assert_eq!(backend.allocated_bytes(), 0);
        assert_eq!(backend.validation_messages(), [""; 0]);
    }
}

#[test]
fn a_session_that_is_shut_down_with_its_device_says_what_was_lost() {
    let backend = TestBackend::new();
    let own = backend.reopen().unwrap();
    let mut session = session(&own, &rules(MatchKind::LeftmostFirst, &["a"]), small());
    let items = texts(&["a"]);
    let kept = session.publish(&items).unwrap();
    session.flush().unwrap();
    let lost = session.publish(&items).unwrap();
    own.device().inject_lost();
    assert!(is_loss(session.shutdown()));
    let mut results = RingResults::default();
    session.collect_into(kept, &mut results).unwrap();
    assert_eq!(results.match_count(), 1);
    let error = session.collect_into(lost, &mut results).unwrap_err();
    assert!(matches!(error, RingError::Closed), "{error}");
    assert!(results.is_empty());
    drop(session);
    assert_eq!(own.allocated_bytes(), 0);
}

/// Items of two tenants, of which one has no room: neither is scanned twice.
#[test]
fn a_round_waits_for_room_as_a_whole() {
    let backend = TestBackend::new();
    let config = MegakernelSessionConfig { tenant_count: 2, rounds_in_flight: 1, ..small() };
    let rules = rules(MatchKind::LeftmostFirst, &["a"]);
    let mut session = session(&backend, &rules, config);
    session.set_tenant(1, &rules, 10).unwrap();
    let mut items = texts(&["a", "a"]);
    items[1].tenant = 1;
    let held = session.publish(&items[1..]).unwrap();
    let found = shown(&session.submit_scan(&items).unwrap());
    assert_eq!(found, [Ok(vec![(0, 0, 1)]), Ok(vec![(0, 0, 1)])]);
    assert_eq!(session.observe_tenant(0, RingObservable::Items), Some(1));
    assert_eq!(session.observe_tenant(1, RingObservable::Items), Some(2));
    let mut results = RingResults::default();
    session.collect_into(held, &mut results).unwrap();
    assert_eq!(results.match_count(), 1);

    // A batch that nobody asks for any more is not kept.
    let mut batch = session.lend(0).unwrap();
    assert!(batch.reserve(0, 1, 1));
    drop(session.publish_batch(batch).unwrap());
    session.shutdown().unwrap();
    assert_eq!(backend.allocated_bytes(), 0);
}

/// Rounds are filled for a device that is lost while those before them are waited for.
#[test]
fn many_rounds_outlive_a_lost_device() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &PATTERNS);
    let items = items();
    let work = work(&items);
    let mut session = session(&backend.reopen().unwrap(), &rules, small());
    let mut results = RingResults::default();
    let waiting = session.publish(&work[..3]).unwrap();
    session.backend().unwrap().device().inject_lost();
    session.submit_scan_into(&work, &mut results).unwrap();
    check(&rules, &items, &results);
    assert!(results.stats().recovered);
    session.collect_into(waiting, &mut results).unwrap();
    check(&rules, &items[..3], &results);
    let own = session.backend().unwrap().clone();
    session.shutdown().unwrap();
    assert_eq!(own.allocated_bytes(), 0);
}

/// A device that does not answer costs every call one time-out, whatever is in flight, and nothing else.
#[test]
fn a_ring_goes_on_when_the_device_answers() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a+"]);
    let config = MegakernelSessionConfig { tenant_count: 2, ..small() };
    let mut items = texts(&["a", "baa", "a a"]);
    items[1].tenant = 1;
    let timed_out = |error: RingError| {
        let is_timeout =
            matches!(error, RingError::Scan(ScanError::Backend(BackendError::Timeout { .. })));
        assert!(is_timeout, "{error}");
    };
    let mut results = RingResults::default();
    for case in 0..4 {
        let mut session = session(&backend, &rules, config);
        session.set_tenant(1, &rules, 10).unwrap();
        let expected = shown(&session.submit_scan(&items).unwrap());
        let before = backend.allocated_bytes();
        let hold = Hold::new(backend.device());
        let one = session.publish(&items).unwrap();
        let two = session.publish(&items).unwrap();
        match case {
            0 => {
                timed_out(session.flush().unwrap_err());
                assert_eq!(hold.patiences(), 1);
                timed_out(session.submit_scan(&items).unwrap_err());
                assert_eq!(hold.patiences(), 1);
                let error = session.set_tenant(1, &rules, 10).unwrap_err();
                assert!(matches!(error, RingError::Uncollected), "{error}");
                drop((one, two));
            }
            1 => {
                timed_out(session.collect_into(one, &mut results).unwrap_err());
                assert_eq!(hold.patiences(), 1);
                drop(two);
                timed_out(session.publish(&items).map(drop).unwrap_err());
                assert_eq!(hold.patiences(), 1);
            }
            2 => {
                timed_out(session.shutdown().unwrap_err());
                assert_eq!(hold.patiences(), 1);
                assert!(backend.held_back().bytes > 0);
            }
            _ => {
                drop(session);
                assert_eq!(hold.patiences(), 1);
                assert!(backend.held_back().bytes > 0);
                drop(hold);
                assert_eq!(backend.allocated_bytes(), 0);
                continue;
            }
        }
        drop(hold);
        if case == 2 {
            assert_eq!(backend.allocated_bytes(), 0);
            continue;
        }
        for _ in 0..3 {
            assert_eq!(shown(&session.submit_scan(&items).unwrap()), expected, "{case}");
        }
        session.trim().unwrap();
        assert!(backend.allocated_bytes() <= before);
        session.shutdown().unwrap();
        assert_eq!(backend.allocated_bytes(), 0);
    }
}

#[test]
fn lent_memory_is_trimmed() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a+"]);
    let mut session = session(&backend, &rules, small());
    let before = backend.allocated_bytes();
    let items = texts(&["a", "baa", "a a"]);
    let expected = shown(&session.submit_scan(&items).unwrap());
    let [one, two] = [(); 2].map(|()| session.lend(0).unwrap());
    let lent = backend.allocated_bytes() - before;
    session.give_back(one);
    assert_eq!(session.trim().unwrap(), lent / 2);
    assert_eq!(session.trim().unwrap(), 0);
    session.give_back(two);
    assert_eq!(shown(&session.submit_scan(&items).unwrap()), expected);
    assert_eq!(session.trim().unwrap(), lent / 2);
    assert_eq!(backend.allocated_bytes(), before);
    session.shutdown().unwrap();
    assert!(matches!(session.trim(), Err(RingError::Closed)));
    assert_eq!(backend.allocated_bytes(), 0);
}

/// Who waits for a round needs no session for that, whatever becomes of the round.
#[test]
fn rounds_are_waited_for_without_their_session() {
    let backend = TestBackend::new();
    let rules = rules(MatchKind::LeftmostFirst, &["a+"]);
    let config = MegakernelSessionConfig { tenant_count: 2, ..small() };
    let mut session = session(&backend.reopen().unwrap(), &rules, config);
    session.set_tenant(1, &rules, 10).unwrap();
    let mut items = texts(&["a", "baa", "a a"]);
    items[1].tenant = 1;
    let mut results = RingResults::default();
    let expected = shown(&session.submit_scan(&items).unwrap());

    // While the device does not answer, and when it does.
    let first = session.backend().unwrap().clone();
    let hold = Hold::new(first.device());
    let [one, two] = [(); 2].map(|()| session.publish(&items).unwrap());
    assert!(!one.is_ready());
    let late = one.wait().unwrap_err();
    assert!(matches!(late, RingError::Scan(ScanError::Backend(BackendError::Timeout { .. }))));
    hold.release_during(|| one.wait().unwrap());
    assert!(one.is_ready());
    drop(hold);
    session.collect_into(one, &mut results).unwrap();
    assert_eq!(results.iter().map(|item| item.matches.unwrap().len()).sum::<usize>(), 4);

    // Once somebody else has waited for it, and with nothing to scan.
    session.flush().unwrap();
    assert!(two.is_ready());
    two.wait().unwrap();
    let nothing = session.publish(&[]).unwrap();
    assert!(nothing.is_ready());
    nothing.wait().unwrap();
    session.collect_into(nothing, &mut results).unwrap();
    assert!(results.is_empty());
    let mut batch = session.lend(0).unwrap();
    assert!(batch.reserve(0, 2, 9));
    batch.bytes_mut(0).copy_from_slice(b"aa");
    let batch = session.publish_batch(batch).unwrap();
    batch.wait().unwrap();
    assert!(batch.is_ready());
    let batch = session.collect_batch(batch, &mut results).unwrap();
    assert_eq!(results.match_count(), 1);
    session.give_back(batch);

    // After the loss of the device there is nothing to wait for, and all to be scanned again.
    let lost = session.publish(&items).unwrap();
    let forgotten = session.publish(&items).unwrap();
    first.device().inject_lost();
    assert!(lost.is_ready());
    lost.wait().unwrap();
    session.collect_into(lost, &mut results).unwrap();
    assert!(results.stats().recovered);
    assert_eq!(shown(&session.submit_scan(&items).unwrap()), expected);

    // They hold nothing of the device when the session is gone.
    let second = session.backend().unwrap().clone();
    let last = session.publish(&items).unwrap();
    drop(session);
    for round in [&two, &forgotten, &last] {
        assert!(round.is_ready());
        round.wait().unwrap();
    }
    let left = second.device().live_objects();
    drop((two, forgotten, last));
    assert_eq!(second.device().live_objects(), left);
    for backend in [first, second] {
        assert_eq!(backend.allocated_bytes(), 0);
    }
}

/// What a lost device was at is over, for whoever looks at a trace.
#[test]
fn scans_of_a_lost_device_are_over_in_a_trace() {
    let trace = Trace::new();
    let backend = Backend::new(&BackendOptions::default().trace(Some(trace.clone()))).unwrap();
    let rules = rules(MatchKind::LeftmostFirst, &PATTERNS);
    let items = items();
    let work = work(&items);
    let mut session = session(&backend, &rules, small());
    let mut results = RingResults::default();
    let waiting = [0, 1].map(|first| session.publish(&work[first..first + 2]).unwrap());
    session.backend().unwrap().device().inject_lost();
    session.submit_scan_into(&work, &mut results).unwrap();
    assert!(results.stats().recovered);
    for one in waiting {
        session.collect_into(one, &mut results).unwrap();
    }
    session.shutdown().unwrap();
    let (mut scans, mut parts, mut in_flight) = (Vec::new(), Vec::new(), Vec::new());
    for event in trace.take() {
        match event {
            TraceEvent::Span(span) if matches!(span.track, TraceTrack::Scans { .. }) => {
                scans.push(span.scan);
            }
            TraceEvent::Span(span) => parts.push(span.scan),
            TraceEvent::Counter(counter) if counter.name == "scans in flight" => {
                in_flight.push(counter.value);
            }
            TraceEvent::Counter(_) => {}
        }
    }
    assert!(parts.iter().all(|scan| scans.contains(scan)), "{parts:?} of {scans:?}");
    assert!(in_flight.iter().max() >= Some(&2) && in_flight.last() == Some(&0), "{in_flight:?}");
}
