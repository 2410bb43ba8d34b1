//! Calls of a ring session in any order, of which every item gets what its rules find in it alone, or its own error.

use vkscan::{
    Match, MatchKind, MegakernelSession, MegakernelSessionConfig, PipelineOptions, RingBatch,
    RingError, RingItem, RingItemBytes, RingItemError, RingObservable, RingPublished,
    RingPublishedBatch, RingResults, RulePipeline,
};

use super::source::Source;
use super::watchdog::watch;
use super::{assert_valid, backend, generate};

/// What has to come of an item.
#[derive(Clone, Debug)]
struct Expected {
    id: u64,
    matches: Result<Vec<Match>, RingItemError>,
}

/// Rules, and the most matches of an item.
struct Tenant {
    rules: RulePipeline,
    max_matches: u32,
}

impl Tenant {
    fn any(source: &mut Source) -> Tenant {
        const PATTERNS: [&str; 12] = [
            "a+",
            r"^\w+",
            r"\w+$",
            "(?s)foo.*bar",
            "[ab]+c",
            r"\A\x00",
            r"\x00+\z",
            r"(?u:\b)bar(?u:\b)",
            "abcd[0-9]*",
            "[a-z]{0,9}?zqxj.",
            "(?m)^.$",
            "[^a]{2,}",
        ];
        let patterns = source.list(1..=4, |source| source.one_of(&PATTERNS));
        let match_kind = source.one_of(&[MatchKind::LeftmostFirst, MatchKind::All]);
        let options = PipelineOptions::default().match_kind(match_kind);
        let rules = RulePipeline::with_options(&patterns, options).unwrap();
        Tenant { rules, max_matches: source.one_of(&[1 << 14, 1 << 14, 40, 1, 0]) }
    }

    fn expected(&self, bytes: &[u8], max_matches: u32) -> Result<Vec<Match>, RingItemError> {
        let matches = self.rules.reference_scan(bytes);
        let max_matches = max_matches.min(self.max_matches);
        if matches.len() <= max_matches as usize {
            return Ok(matches);
        }
        Err(RingItemError::TooManyMatches {
            found: matches.len() as u64,
            at_least: false,
            max_matches,
        })
    }
}

/// What is in flight, and what has to come of it.
enum Flight<'a> {
    Items(RingPublished<'a>, Vec<Expected>),
    Batch(RingPublishedBatch, Vec<Expected>),
}

/// Says how many items were compared.
pub fn run(bytes: &[u8]) -> usize {
    let source = &mut Source::new(bytes);
    let config = MegakernelSessionConfig::default()
        .slot_count(source.one_of(&[8, 64, 3]))
        .workgroup_size_x(source.one_of(&[1, 4, 64]))
        .tenant_count(source.within(1..=3) as u32)
        .observable_slots(source.within(0..=4) as u32)
        .round_bytes(source.one_of(&[1 << 10, 64, 1 << 13]))
        .rounds_in_flight(source.within(1..=3))
        .max_matches(0);
    let longest = config.round_bytes + 8;
    let words: Vec<String> =
        ["a", "b", "foo", "bar", "abcd", "zqxj1", r"\x00", "é", r"\n"].map(String::from).into();
    let items: Vec<Vec<u8>> =
        source.list(1..=12, |source| generate::haystack(source, &words, longest));
    let rounds: Vec<Vec<RingItem>> = source.list(1..=12, |source| {
        source.list(0..=6, |source| RingItem {
            id: source.within(0..=1000) as u64,
            // One more than there are.
            tenant: source.within(0..=config.tenant_count as usize) as u32,
            max_matches: source.one_of(&[u32::MAX, u32::MAX, 1, 0]),
            bytes: RingItemBytes::Host(&items[source.within(0..=items.len() - 1)]),
        })
    });
    let first = Tenant::any(source);
    let config = config.max_matches(first.max_matches);
    let what = || format!("to make a ring session: {config:?}");
    let session = watch(what, || MegakernelSession::new(backend(), &first.rules, config));
    let mut tenants: Vec<Option<Tenant>> = vec![Some(first)];
    tenants.resize_with(config.tenant_count as usize, || None);
    let session = match session {
        Ok(session) => session.expect("the device can run it"),
        Err(RingError::Limit { .. }) => return 0,
        Err(other) => panic!("{config:?}: {other}"),
    };
    let mut ring = Ring {
        config,
        session,
        tenants,
        in_flight: Vec::new(),
        lent: Vec::new(),
        is_open: true,
        calls: Vec::new(),
        compared: 0,
    };
    let mut left = rounds.as_slice();
    for _ in 0..source.within(1..=30) {
        watch(
            || format!("a call of a ring session of {config:?}"),
            || ring.call(source, &items, &mut left),
        );
    }
    watch(|| format!("to end a ring session of {config:?}"), || ring.end());
    assert_valid();
    ring.compared
}

/// An item in lent memory.
struct Packed {
    id: u64,
    tenant: u32,
    max_matches: u32,
    bytes: Vec<u8>,
}

impl Packed {
    fn item(&self) -> RingItem<'_> {
        let Packed { id, tenant, max_matches, ref bytes } = *self;
        RingItem { id, tenant, max_matches, bytes: RingItemBytes::Host(bytes) }
    }
}

struct Ring<'a> {
    config: MegakernelSessionConfig,
    session: MegakernelSession,
    tenants: Vec<Option<Tenant>>,
    in_flight: Vec<Flight<'a>>,
    lent: Vec<(RingBatch, Vec<Packed>)>,
    is_open: bool,
    /// What was called, for who reads of a failure.
    calls: Vec<String>,
    compared: usize,
}

impl<'a> Ring<'a> {
    fn call(&mut self, source: &mut Source, items: &[Vec<u8>], left: &mut &'a [Vec<RingItem<'a>>]) {
        match source.within(0..=15) {
            0..4 => {
                let Some((round, rest)) = left.split_first() else { return };
                *left = rest;
                self.publish(round);
            }
            4..7 if !self.in_flight.is_empty() => {
                let index = source.within(0..=self.in_flight.len() - 1);
                let flight = self.in_flight.remove(index);
                self.collect(flight);
            }
            7 => {
                let Some((round, rest)) = left.split_first() else { return };
                *left = rest;
                self.submit(round);
            }
            8 | 9 => self.lend(source, items),
            10 if !self.lent.is_empty() => self.publish_batch(source),
            11 => {
                let tenant = source.within(0..=self.tenants.len()) as u32;
                self.set_tenant(tenant, Tenant::any(source));
            }
            12 => {
                self.calls.push("flush".into());
                self.session.flush().unwrap_or_else(|error| panic!("{:?}: {error}", self.calls));
            }
            13 if !self.in_flight.is_empty() => {
                self.calls.push("drop what was published".into());
                let index = source.within(0..=self.in_flight.len() - 1);
                drop(self.in_flight.remove(index));
            }
            14 if !self.lent.is_empty() => {
                self.calls.push("give back".into());
                let (batch, _) = self.lent.remove(0);
                self.session.give_back(batch);
            }
            15 if source.once_in(6) => {
                self.calls.push("shut down".into());
                self.session.shutdown().unwrap();
                self.is_open = false;
            }
            _ => {
                let items = self.session.observe(RingObservable::Items);
                assert_eq!(items.is_some(), self.config.observable_slots > 0);
                assert_eq!(self.session.backend().is_some(), self.is_open);
                assert!(self.session.next_slot() < self.session.slot_count());
            }
        }
    }

    fn end(&mut self) {
        while let Some(flight) = self.in_flight.pop() {
            self.collect(flight);
        }
        self.session.shutdown().unwrap();
        self.session.shutdown().unwrap();
    }

    fn expected(&self, item: &RingItem) -> Expected {
        let RingItemBytes::Host(bytes) = item.bytes else { panic!("all are in host memory") };
        let most = self.config.round_bytes - self.config.round_bytes % 4 - 1;
        let tenant = self.tenants.get(item.tenant as usize).and_then(Option::as_ref);
        let matches = match tenant {
            None => Err(RingItemError::NoPipeline { tenant: item.tenant }),
            Some(_) if bytes.len() > most => {
                Err(RingItemError::TooLarge { bytes: bytes.len(), capacity: most })
            }
            Some(tenant) => tenant.expected(bytes, item.max_matches),
        };
        Expected { id: item.id, matches }
    }

    fn publish(&mut self, round: &'a [RingItem<'a>]) {
        self.calls.push(format!("publish {} items", round.len()));
        match self.session.publish(round) {
            Ok(published) => {
                assert!(self.is_open, "{:?}", self.calls);
                let expected = round.iter().map(|item| self.expected(item)).collect();
                self.in_flight.push(Flight::Items(published, expected));
            }
            Err(error) => self.assert_refused(&error, !round.is_empty()),
        }
    }

    fn submit(&mut self, round: &[RingItem]) {
        self.calls.push(format!("submit {} items", round.len()));
        let mut results = RingResults::default();
        let expected: Vec<Expected> = round.iter().map(|item| self.expected(item)).collect();
        match self.session.submit_scan_into(round, &mut results) {
            Ok(()) => {
                assert!(self.is_open, "{:?}", self.calls);
                self.compare(&results, &expected);
            }
            Err(error) => {
                assert!(results.is_empty());
                self.assert_refused(&error, true);
            }
        }
    }

    fn set_tenant(&mut self, tenant: u32, rules: Tenant) {
        self.calls.push(format!(
            "set tenant {tenant} to {:?}",
            rules.rules.patterns().collect::<Vec<_>>()
        ));
        match self.session.set_tenant(tenant, &rules.rules, rules.max_matches) {
            Ok(()) => {
                assert!(self.is_open, "{:?}", self.calls);
                self.tenants[tenant as usize] = Some(rules);
            }
            Err(RingError::Limit { .. }) => assert!(tenant as usize >= self.tenants.len()),
            Err(RingError::Closed) => assert!(!self.is_open),
            Err(other) => panic!("{:?}: {other}", self.calls),
        }
    }

    fn lend(&mut self, source: &mut Source, items: &[Vec<u8>]) {
        let tenant = source.within(0..=self.tenants.len()) as u32;
        self.calls.push(format!("lend to tenant {tenant}"));
        let has_rules = self.tenants.get(tenant as usize).is_some_and(Option::is_some);
        let mut batch = match self.session.lend(tenant) {
            Ok(batch) => batch,
            Err(RingError::NoPipeline { .. }) => return assert!(!has_rules),
            Err(RingError::Closed) => return assert!(!self.is_open),
            Err(other) => panic!("{:?}: {other}", self.calls),
        };
        let mut packed = Vec::new();
        for id in 0..source.within(0..=5) as u64 {
            let bytes = &items[source.within(0..=items.len() - 1)];
            let max_matches = source.one_of(&[u32::MAX, u32::MAX, 2]);
            if batch.reserve(id, bytes.len(), max_matches) {
                packed.push(Packed { id, tenant, max_matches, bytes: bytes.clone() });
            }
        }
        for (part, item) in batch.parts().into_iter().zip(&packed) {
            part.copy_from_slice(&item.bytes);
        }
        if !packed.is_empty() && source.once_in(3) {
            let index = source.within(0..=packed.len() - 1);
            let bytes = &mut packed[index].bytes;
            bytes.truncate(source.within(0..=bytes.len()));
            batch.truncate(index, bytes.len());
        }
        self.lent.push((batch, packed));
    }

    fn publish_batch(&mut self, source: &mut Source) {
        self.calls.push("publish a batch".into());
        let index = source.within(0..=self.lent.len() - 1);
        let (batch, packed) = self.lent.remove(index);
        match self.session.publish_batch(batch) {
            Ok(published) => {
                assert!(self.is_open, "{:?}", self.calls);
                // By the rules that the tenant has now.
                let expected = packed.iter().map(|item| self.expected(&item.item()));
                self.in_flight.push(Flight::Batch(published, expected.collect()));
            }
            Err(refused) => {
                self.assert_refused(&refused.error, true);
                self.lent.push((refused.batch.expect("the device is there"), packed));
            }
        }
    }

    fn collect(&mut self, flight: Flight) {
        let mut results = RingResults::default();
        match flight {
            Flight::Items(published, expected) => {
                self.calls.push("collect".into());
                let collected = self.session.collect_into(published, &mut results);
                collected.unwrap_or_else(|error| panic!("{:?}: {error}", self.calls));
                self.compare(&results, &expected);
            }
            Flight::Batch(published, expected) => {
                self.calls.push("collect a batch".into());
                let collected = self.session.collect_batch(published, &mut results);
                let batch = collected.unwrap_or_else(|error| panic!("{:?}: {error}", self.calls));
                assert_eq!(batch.len(), expected.len());
                self.compare(&results, &expected);
                self.session.give_back(batch);
            }
        }
    }

    fn assert_refused(&self, error: &RingError, may_be_full: bool) {
        match error {
            RingError::Closed => assert!(!self.is_open, "{:?}", self.calls),
            RingError::Full { .. } | RingError::TooMany { .. } => {
                assert!(self.is_open && may_be_full, "{:?}: {error}", self.calls);
            }
            other => panic!("{:?}: {other}", self.calls),
        }
    }

    fn compare(&mut self, results: &RingResults, expected: &[Expected]) {
        assert_eq!(results.len(), expected.len(), "{:?}", self.calls);
        for (result, expected) in results.iter().zip(expected) {
            let found = result.matches.map(<[_]>::to_vec).map_err(Clone::clone);
            let is_right = match (&found, &expected.matches) {
                // It may have given up counting.
                (
                    Err(RingItemError::TooManyMatches { found, at_least, max_matches }),
                    Err(RingItemError::TooManyMatches { found: all, max_matches: most, .. }),
                ) => max_matches == most && (found == all || *at_least && found <= all),
                (found, expected) => found == expected,
            };
            assert!(
                is_right && result.id == expected.id,
                "{:?}: item {} has {found:?}, not {expected:?}, in {:?}",
                self.calls,
                result.id,
                self.config,
            );
            self.compared += 1;
        }
    }
}
