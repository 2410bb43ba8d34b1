//! Real rule sets over real data: leftmost-first against regex-automata without literal optimisations, which lose
//! matches of some real rules, and all matches against the oracle.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use common::{cpu_time, data, gpu, options, plain_matches, plain_regexes, planted, say, unpack};
use vkscan::{Match, MatchKind, RulePipeline};

/// How much of a haystack is scanned for all matches; where there are very many, and how much before the first of them.
const ALL_BYTES: usize = 16 << 10;
const DENSE_BYTES: usize = 512;
const BEFORE: usize = 100;

/// A rule set and its haystack.
struct Real {
    rules: &'static str,
    haystack: Haystack,
    bytes: usize,
}

enum Haystack {
    /// Sources with known secrets planted in them.
    Planted,
    Packed(&'static str),
}

use Haystack::{Packed, Planted};

#[test]
fn gitleaks() {
    Real { rules: "gitleaks", haystack: Planted, bytes: 1 << 20 }.check();
}

#[test]
fn nosey_parker() {
    Real { rules: "noseyparker", haystack: Planted, bytes: 1 << 20 }.check();
}

#[test]
fn keyhog() {
    Real { rules: "keyhog", haystack: Planted, bytes: 1 << 20 }.check();
}

#[test]
fn snort() {
    let haystack = Packed("pcap-payloads-16M.bin");
    Real { rules: "automatazoo-snort.bench", haystack, bytes: 256 << 10 }.check();
}

#[test]
fn kingfisher() {
    for haystack in [Packed("api-json-16M.txt"), Packed("pcap-payloads-16M.bin")] {
        Real { rules: "kingfisher", haystack, bytes: 1 << 20 }.check();
    }
}

#[test]
fn core_rule_set() {
    for haystack in [Packed("api-json-16M.txt"), Packed("pcap-payloads-16M.bin")] {
        // Of a MiB more than a million matches would take a CPU driver minutes.
        Real { rules: "coreruleset", haystack, bytes: 128 << 10 }.check();
    }
}

#[test]
fn emerging_threats() {
    for haystack in [Packed("api-json-16M.txt"), Packed("pcap-payloads-16M.bin")] {
        Real { rules: "et-open-2025-partial-pcre.bench", haystack, bytes: 1 << 20 }.check();
    }
}

#[test]
fn dictionary() {
    let haystack = Packed("linux-src-128M.txt");
    Real { rules: "rebar-dictionary-length-15", haystack, bytes: 1 << 20 }.check();
}

#[test]
fn protomata() {
    let haystack = Packed("uniprot-1M.txt");
    Real { rules: "anmlzoo-protomata", haystack, bytes: 64 << 10 }.check();
}

#[test]
fn yara() {
    let haystack = Packed("pcap-payloads-16M.bin");
    Real { rules: "yara-signature-base-hex", haystack, bytes: 256 << 10 }.check();
}

impl Real {
    fn check(&self) {
        let Real { rules: name, bytes, .. } = *self;
        let unchecked = format!("{name} over {bytes} bytes is");
        let Some(file) = data(&format!("rules/{name}.regex"), &unchecked) else { return };
        let Some(haystack) = self.haystack.read(bytes, &unchecked) else { return };
        let text = fs::read_to_string(file).unwrap();
        let patterns: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();

        let expected = plain_matches(&plain_regexes(&patterns), &haystack);
        let before = cpu_time();
        let rules = RulePipeline::new(&patterns).unwrap();
        let compiled = cpu_time() - before;
        say(&format!("{name}: {compiled:.1?} of processor time to compile"));
        self.compare("leftmost-first", &rules, &haystack, &expected);

        // Where most is found there is most to tell.
        let all_bytes = if expected.len() > bytes / 4 { DENSE_BYTES } else { ALL_BYTES };
        let fits = |found: &&Match| (found.end - found.start) as usize + BEFORE <= all_bytes;
        let mut starts: Vec<usize> =
            expected.iter().filter(fits).map(|found| found.start as usize).collect();
        starts.sort_unstable();
        let end = |first: usize| first + all_bytes - BEFORE;
        let count = |at: usize| starts.partition_point(|&start| start < end(starts[at])) - at;
        let first = (0..starts.len()).max_by_key(|&at| count(at)).expect("there are matches");
        let start = starts[first].saturating_sub(BEFORE);
        let haystack = &haystack[start..haystack.len().min(start + all_bytes)];
        let rules = RulePipeline::with_options(&patterns, options(MatchKind::All)).unwrap();
        self.compare("all", &rules, haystack, &rules.reference_scan(haystack));
    }

    fn compare(&self, kind: &str, rules: &RulePipeline, haystack: &[u8], expected: &[Match]) {
        let clock = Instant::now();
        let gpu = gpu();
        let found = gpu.scan(rules, &[haystack], expected.len() + 1).remove(0);
        say(&format!(
            "{}, {kind}: {} rules over {} bytes give {} matches of {} rules in {:.1} s",
            self.rules,
            rules.patterns().len(),
            haystack.len(),
            found.len(),
            found.iter().map(|found| found.pattern_id).collect::<BTreeSet<_>>().len(),
            clock.elapsed().as_secs_f32(),
        ));
        let [found, expected]: [BTreeSet<&Match>; 2] =
            [found.iter().collect(), expected.iter().collect()];
        let pattern = |found: &&Match| rules.patterns().nth(found.pattern_id as usize).unwrap();
        let show = |of: &BTreeSet<&Match>, but: &BTreeSet<&Match>| {
            let some = of.difference(but).take(10);
            some.map(|found| format!("\n  {found:?} of {}", pattern(found))).collect::<String>()
        };
        let (missing, extra) = (show(&expected, &found), show(&found, &expected));
        assert!(found == expected, "missing:{missing}\nextra:{extra}");
        assert!(!found.is_empty(), "a haystack without matches shows little");
    }
}

impl Haystack {
    fn read(&self, len: usize, unchecked: &str) -> Option<Vec<u8>> {
        match self {
            Packed(name) => Some(unpack(&data(&format!("haystacks/{name}.xz"), unchecked)?, len)),
            Planted => planted(&data("haystacks/make_planted.py", unchecked)?, len),
        }
    }
}
