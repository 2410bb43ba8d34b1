//! Hard haystacks take time in proportion: twice the bytes take at most 2.2 times the time.

mod common;

use std::time::{Duration, Instant};

use common::{cpu_time, gpu, plain_matches, plain_regexes, say};
use vkscan::{Backend, DeviceKind, Match, RulePipeline, ScanScratch};

/// Rules, a haystack that is hard on them, and what they match there.
struct Case {
    name: &'static str,
    rules: &'static [&'static str],
    haystack: fn(usize) -> Vec<u8>,
    /// Of the smaller haystack.
    bytes: usize,
    expected: fn(usize) -> Vec<Match>,
}

/// What twice the bytes may take.
const MOST_TIMES: f64 = 2.2;

/// Times that a case is measured before its ratio counts, for what else the machine does only adds to it.
const TRIES: usize = 8;

/// What others leave of caches and memory may be little for seconds on end. So a case whose ratio is too large is
/// measured again after all others, this often at most.
const ROUNDS: usize = 4;

fn repeated(piece: &str, len: usize) -> Vec<u8> {
    piece.as_bytes().iter().copied().cycle().take(len).collect()
}

fn none(_: usize) -> Vec<Match> {
    Vec::new()
}

const COUNTS_IN_COUNTS: &[&str] = &[r"(?i)(?:[^'\x22]{2,19}|id[^\n]){2,9}[ -~]{0,49}\b"];

fn counted(len: usize) -> Vec<u8> {
    repeated("id ab' xyz\n(12) ", len)
}

const ENDLESS_FRONTS: &[&str] =
    &["(?s).*?(?:fox|client).{3,30}secret", r"(?s)fox.*?key(?u:\b).*secret(?u:\B)"];

fn endless(len: usize) -> Vec<u8> {
    repeated("fox client key é secret fox ", len)
}

/// A match of so many bytes at every so many of them.
fn every(step: u32, bytes: u32, len: usize) -> Vec<Match> {
    let starts = (0..len as u32 / step).map(|index| step * index);
    starts.map(|start| Match { pattern_id: 0, start, end: start + bytes }).collect()
}

/// What the regex crate finds.
fn found(rules: &[&str], haystack: &[u8]) -> Vec<Match> {
    plain_matches(&plain_regexes(rules), haystack)
}

fn all_of_it(len: usize) -> Vec<Match> {
    vec![Match { pattern_id: 0, start: 0, end: len as u32 }]
}

const CASES: &[Case] = &[
    Case {
        name: "a long run",
        rules: &["[a-z]+"],
        haystack: |len| repeated("a", len),
        bytes: 64 << 10,
        expected: all_of_it,
    },
    Case {
        name: "a keyword flood",
        rules: &[
            r#"(?i)[\w.-]{0,50}?(?:passw(?:or)?d)[ \t\w.-]{0,20}[\s'"]{0,3}(?:=|>|:)['"= ]{0,5}[\w.=-]{10,150}"#,
        ],
        haystack: |len| repeated("password", len),
        bytes: 512 << 10,
        expected: none,
    },
    Case {
        name: "suffixes of anything",
        rules: &["key.*"],
        haystack: |len| repeated("key", len),
        bytes: 64 << 10,
        expected: all_of_it,
    },
    Case {
        name: "suffixes that come to nothing",
        rules: &["key.*;", "(?s)key.*?;"],
        haystack: |len| repeated("key ", len),
        bytes: 64 << 10,
        expected: none,
    },
    Case {
        name: "prefixes of anything",
        rules: &[".*key"],
        haystack: |len| repeated("key", len),
        bytes: 64 << 10,
        expected: |len| vec![Match { pattern_id: 0, start: 0, end: (len / 3 * 3) as u32 }],
    },
    Case {
        name: "two ways to go on",
        rules: &["(a|aa)*b"],
        haystack: |len| repeated("a", len),
        bytes: 64 << 10,
        expected: none,
    },
    Case {
        name: "nested repeats",
        rules: &["(?:(?:a*)*)*b", "(?:(?:a+)+)+b", "(?:(?:a{1,9}){1,9}){1,9}b"],
        haystack: |len| repeated("a", len),
        bytes: 32 << 10,
        expected: none,
    },
    Case {
        name: "rows that take turns",
        rules: &["(?:abc)+d", "(?:ab?c?){3}*x"],
        haystack: |len| repeated("abc", len),
        bytes: 64 << 10,
        expected: none,
    },
    Case {
        name: "one walk, rows that take turns",
        rules: &["KEY=(?:[abc]{31})+;", "KEY=(?:[abc]{65})+;"],
        haystack: |len| [b"KEY=", &repeated("abc", len - 4)[..]].concat(),
        bytes: 512 << 10,
        expected: none,
    },
    Case {
        name: "quotes",
        rules: &[r#""(?:[^"\\]|\\.)*";"#, r"'[^']*'='"],
        haystack: |len| repeated(r#"\"' "#, len),
        bytes: 64 << 10,
        expected: none,
    },
    Case {
        name: "blocks without an end",
        rules: &["(?s)-----BEGIN.*-----END", r"<(\w+)[^>]*>"],
        haystack: |len| repeated("-----BEGIN <a ", len),
        bytes: 64 << 10,
        expected: none,
    },
    Case {
        name: "words that are no addresses",
        rules: &[r"(?-u)[\w.+]+@(?:\w+\.)+com\b"],
        haystack: |len| repeated("a@b.", len),
        bytes: 1 << 20,
        expected: none,
    },
    Case {
        name: "counts that come to nothing",
        rules: &["(?s)key.*?mid.{0,200}?(?:left|right).{0,200}?(?:left|right).{0,200}?[0-9]{4}"],
        haystack: |len| repeated("key mid left right ", len),
        bytes: 64 << 10,
        expected: none,
    },
    Case {
        name: "a Unicode look in a loop",
        rules: &[r"(?:\p{Greek}|[^'\x22]|(?u:\b))+"],
        haystack: |len| repeated("ab é ", len),
        bytes: 6 << 10,
        expected: all_of_it,
    },
    Case {
        name: "counts in counts",
        rules: COUNTS_IN_COUNTS,
        haystack: counted,
        bytes: 4 << 10,
        expected: |len| found(COUNTS_IN_COUNTS, &counted(len)),
    },
    Case {
        name: "endless fronts before counts and Unicode looks",
        rules: ENDLESS_FRONTS,
        haystack: endless,
        bytes: 4 << 10,
        expected: |len| found(ENDLESS_FRONTS, &endless(len)),
    },
    Case {
        name: "matches that wait for longer ones",
        rules: &[r"(?s)(?:.+_key\b{end}|[a-z])(?u:\b)"],
        haystack: |len| repeated("a é ", len),
        bytes: 10 << 10,
        expected: |len| every(5, 1, len),
    },
    Case {
        name: "lines of one byte",
        rules: &[r"(?m)^(?:[a-z]\n)+$;", r"(?:\s*[a-z]\s*)+="],
        haystack: |len| repeated("a\n", len),
        bytes: 64 << 10,
        expected: none,
    },
    Case {
        name: "a match from every byte over all the next ones",
        rules: &["[ab]{50}"],
        haystack: |len| repeated("ab", len),
        bytes: 256 << 10,
        expected: |len| every(50, 50, len),
    },
];

#[test]
fn twice_the_bytes_take_twice_the_time() {
    let gpu = gpu();
    let mut cases: Vec<_> = CASES.iter().map(|case| (case, [Duration::MAX; 2])).collect();
    for _ in 0..ROUNDS {
        cases.retain_mut(|(case, least)| {
            let ratio = measure(&gpu.backend, case, least);
            say(&format!("{}: {:.1?}, twice the bytes {ratio:.2} times that", case.name, least[0]));
            ratio > MOST_TIMES
        });
    }
    let failures: Vec<_> = cases.iter().map(|(case, least)| (case.name, least)).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Measures a case until what twice the bytes take by `least` is little enough, and returns it.
fn measure(backend: &Backend, case: &Case, least: &mut [Duration; 2]) -> f64 {
    // What a CPU has to do for others does not count.
    let begin = Instant::now();
    let is_cpu = backend.device_info().kind == DeviceKind::Cpu;
    let now = || if is_cpu { cpu_time() } else { begin.elapsed() };
    let rules = RulePipeline::new(case.rules).unwrap();
    let sizes = [case.bytes, 2 * case.bytes];
    let sessions = sizes.map(|bytes| rules.prepare_resident(backend, bytes, 1 << 18).unwrap());
    let haystacks = sizes.map(case.haystack);
    let mut scratch = ScanScratch::default();
    let mut matches = Vec::new();
    // What a scan comes to is recorded ahead of the next one, and a CPU device compiles kernels meanwhile.
    for (session, haystack) in sessions.iter().zip(&haystacks) {
        session.scan_into(backend, &haystack[..], &mut matches, &mut scratch).unwrap();
    }
    let mut ratio = f64::MAX;
    for _ in 0..TRIES {
        for ((session, haystack), least) in sessions.iter().zip(&haystacks).zip(&mut *least) {
            let since = now();
            session.scan_into(backend, &haystack[..], &mut matches, &mut scratch).unwrap();
            *least = (now() - since).min(*least);
            assert_eq!(matches, (case.expected)(haystack.len()), "{}", case.name);
        }
        ratio = least[1].as_secs_f64() / least[0].as_secs_f64();
        if ratio <= MOST_TIMES {
            break;
        }
    }
    for session in sessions {
        session.free(backend).unwrap();
    }
    ratio
}
