//! Many small haystacks through a ring session, under real rules: each as it is on its own, by `scan_into` and by the
//! `regex` crate.

mod common;

use std::fs;
use std::time::Instant;

use common::{data, gpu, options, planted, regex_matches, regexes, say};
use vkscan::{
    Match, MatchKind, MegakernelSession, MegakernelSessionConfig, RingItem, RingItemResult,
    RingResults, RulePipeline, ScanScratch, SessionOptions,
};

const ITEMS: usize = 20_000;
const LONGEST: usize = 100_000;

#[test]
fn gitleaks() {
    check("gitleaks");
}

#[test]
fn nosey_parker() {
    check("noseyparker");
}

#[test]
fn keyhog() {
    check("keyhog");
}

fn check(name: &str) {
    let unchecked = format!("{ITEMS} items under {name} are");
    let Some(file) = data(&format!("rules/{name}.regex"), &unchecked) else { return };
    let Some(script) = data("haystacks/make_planted.py", &unchecked) else { return };
    let Some(text) = planted(&script, 4 << 20) else { return };
    let rules = fs::read_to_string(file).unwrap();
    let patterns: Vec<&str> = rules.lines().filter(|line| !line.is_empty()).collect();
    let regexes = regexes(&patterns);
    let secrets = regex_matches(&regexes, &text[..1 << 20]);
    let items = items(&text, &secrets);
    let gpu = gpu();
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let clock = Instant::now();
        let rules = RulePipeline::with_options(&patterns, options(match_kind)).unwrap();
        // In slots of one workgroup, which come round and round; and in few rounds.
        let one_workgroup = MegakernelSessionConfig::default()
            .slot_count(64)
            .workgroup_size_x(64)
            .round_bytes(2 * LONGEST);
        let many_slots = MegakernelSessionConfig::default().slot_count(1 << 14);
        let work: Vec<RingItem> =
            (0..).zip(&items).map(|(id, item)| RingItem::new(id, item)).collect();
        let results = [one_workgroup, many_slots].map(|config| {
            let made = MegakernelSession::new(&gpu.backend, &rules, config).unwrap();
            let mut session = made.expect("the device can run it");
            let mut results = RingResults::default();
            session.submit_scan_into(&work, &mut results).unwrap();
            session.shutdown().unwrap();
            results
        });
        let [one, other] = &results;
        assert!(one.stats().rounds > 500 && other.stats().rounds < 20);
        assert!(one.iter().eq(other.iter()), "{name}, {match_kind:?}");

        let options = SessionOptions::new(LONGEST, 1 << 20).scans_in_flight(Some(1));
        let session = rules.prepare_resident_with(&gpu.backend, &options).unwrap();
        let (mut alone, mut scratch) = (Vec::new(), ScanScratch::default());
        for (item, result) in items.iter().zip(one.iter()) {
            session.scan_into(&gpu.backend, item, &mut alone, &mut scratch).unwrap();
            compare(name, item, result, &alone);
            if match_kind == MatchKind::LeftmostFirst {
                compare(name, item, result, &regex_matches(&regexes, item));
            }
        }
        session.free(&gpu.backend).unwrap();
        say(&format!(
            "{name}, {match_kind:?}: {ITEMS} items of {} bytes have {} matches, in {} and {} rounds, in {:.1} s",
            items.iter().map(|item| item.len()).sum::<usize>(),
            one.match_count(),
            one.stats().rounds,
            other.stats().rounds,
            clock.elapsed().as_secs_f32(),
        ));
        assert!(one.match_count() > 100);
    }
}

fn compare(name: &str, item: &[u8], result: RingItemResult, expected: &[Match]) {
    let found = result.matches;
    assert!(
        found == Ok(expected),
        "{name}, item {}: {found:?} and not {expected:?} in \"{}\"",
        result.id,
        item.escape_ascii(),
    );
}

/// Pieces of the text, most of them short, and of secrets that are cut in two, of which the halves come one after the
/// other.
fn items<'t>(text: &'t [u8], secrets: &[Match]) -> Vec<&'t [u8]> {
    // Marsaglia's xorshift, 2003.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let mut items: Vec<&[u8]> = vec![&[], &text[..1], &text[..LONGEST]];
    while items.len() < ITEMS {
        if items.len().is_multiple_of(5) {
            let secret = secrets[below(secrets.len())];
            let [start, end] = [secret.start, secret.end].map(|at| at as usize);
            let cut = start + below(end - start + 1);
            let behind = end + below(20);
            items.extend([&text[start.saturating_sub(below(20))..cut], &text[cut..behind]]);
            continue;
        }
        let most = match below(1000) {
            0 => LONGEST,
            1..50 => 2000,
            _ => 300,
        };
        let begin = below(text.len() - LONGEST);
        items.push(&text[begin..begin + below(most + 1)]);
    }
    items.truncate(ITEMS);
    items
}
