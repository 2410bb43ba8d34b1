//! Hard haystacks, at every doubling of their length: what twice the bytes take.
//!
//! `cargo bench --bench doublings` prints a table for each case, from 256 bytes on to `--bytes`, or to where a scan takes longer
//! than `--seconds`. Time is the process's on a CPU device, and what passes on a GPU; the least of a few scans behind a first one, which
//! makes pipelines. Beside it are the matches, which are compared with the oracle's at the first doublings.

#[path = "common/clock.rs"]
mod clock;
#[path = "common/data.rs"]
#[allow(dead_code, reason = "workloads and sweep use more of it")]
mod data;
#[path = "common/exit.rs"]
mod exit;
#[path = "common/numbers.rs"]
mod numbers;

use std::process::ExitCode;

use clap::Parser;
use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};

use clock::now;
use exit::exit_code;
use numbers::{significant, size, time};

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const FIRST: usize = 256;
/// Up to so many bytes the oracle says what the matches are.
const CHECKED: usize = 1024;
const SCANS: usize = 5;
const MOST_MATCHES: usize = 1 << 22;

/// Scans hard haystacks at every doubling of their length.
#[derive(Parser)]
struct Options {
    /// Bytes of the longest haystacks.
    #[arg(long, value_name = "N", default_value_t = 4 << 20)]
    bytes: usize,
    /// Seconds of a scan behind which a case goes no further.
    #[arg(long, value_name = "S", default_value_t = 4.0)]
    seconds: f64,
    /// Only cases of which the name contains this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Where a case's rules are from.
enum Rules {
    These(&'static [&'static str]),
    /// A set of rules in the data folder.
    Set(&'static str),
}

struct Case {
    name: &'static str,
    rules: Rules,
    haystack: fn(usize) -> Vec<u8>,
}

const GITLEAKS: Rules = Rules::Set("gitleaks");

const CASES: &[Case] = &[
    Case {
        name: "an endless front, words",
        rules: Rules::These(&["(?s).*(?:fox|client).{3,30}secret"]),
        haystack: |len| words(&["fox ", "client ", "secret ", "= ", "key "], len),
    },
    Case {
        name: "counts in counts, words",
        rules: Rules::These(&[r"(?i)(?:[^'\x22]{2,19}|id[^\n]){2,9}[ -~]{0,49}\b"]),
        haystack: |len| words(&["id", " ", "ab", "'", "\n", "xyz "], len),
    },
    Case {
        name: "a Unicode look in a loop, words",
        rules: Rules::These(&[r"(?:\p{Greek}|[^'\x22]|(?u:\b))+"]),
        haystack: |len| words(&["ab", " ", "é", "c'", "key "], len),
    },
    Case {
        name: "matches that wait for longer ones",
        rules: Rules::These(&[r"(?s)(?:.+_key\b{end}|[a-z])(?u:\b)"]),
        haystack: |len| words(&["a ", "b ", "é "], len),
    },
    Case {
        name: "gaps that nothing breaks",
        rules: Rules::These(&["(?s)key.*?mid.*?left.*?right.*?end;"]),
        haystack: |len| words(&["key ", "mid ", "left ", "right "], len),
    },
    Case {
        name: "gaps that all breaks",
        rules: Rules::These(&["key[^ ]*?mid[^ ]*?left[^ ]*end;"]),
        haystack: |len| words(&["key ", "mid ", "left ", "end; "], len),
    },
    Case {
        name: "nested gaps",
        rules: Rules::These(&["(?s)(?:key.*?(?:mid.*?left)+.*?)+end;"]),
        haystack: |len| words(&["key ", "mid ", "left ", "end"], len),
    },
    Case {
        name: "As before one B",
        rules: Rules::These(&["A+B", "A.*C", "(?:A|AA)*C"]),
        haystack: |len| [&vec![b'A'; len - 1][..], b"B"].concat(),
    },
    Case {
        name: "one rule's flood beside others",
        rules: Rules::These(&[
            "aaaa",
            "[a-z]{0,9}efgh",
            "(?i)[a-z]{0,20}key=[a-z]{3}",
            "zq[a-z]+x",
        ]),
        haystack: |len| vec![b'a'; len],
    },
    Case { name: "gitleaks, one letter", rules: GITLEAKS, haystack: |len| vec![b'a'; len] },
    Case {
        name: "gitleaks, hexadecimal digits",
        rules: GITLEAKS,
        haystack: |len| letters(b"0123456789abcdef", len),
    },
    Case {
        name: "gitleaks, base64",
        rules: GITLEAKS,
        haystack: |len| {
            letters(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", len)
        },
    },
    Case {
        name: "gitleaks, minified code",
        rules: GITLEAKS,
        haystack: |len| {
            words(
                &[
                    "function(",
                    "var ",
                    "a",
                    "b0",
                    "return ",
                    "){",
                    "}",
                    ";",
                    ",",
                    "=",
                    "this.",
                    "key",
                    "&&",
                    "||",
                    "!0",
                    "new ",
                    "\"token\"",
                    ":",
                    "?",
                    "[0]",
                ],
                len,
            )
        },
    },
    Case {
        name: "gitleaks, one line of words",
        rules: GITLEAKS,
        haystack: |len| words(&["the ", "quick ", "key= ", "1234 ", "token ", "over "], len),
    },
];

/// The same numbers every time (D. H. Lehmer's generator).
fn numbers_below(limit: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1_u64), |number| Some(number * 48_271 % 0x7FFF_FFFF))
        .map(move |number| number as usize % limit)
}

fn words(words: &[&str], len: usize) -> Vec<u8> {
    numbers_below(words.len()).flat_map(|word| words[word].bytes()).take(len).collect()
}

fn letters(letters: &[u8], len: usize) -> Vec<u8> {
    numbers_below(letters.len()).map(|letter| letters[letter]).take(len).collect()
}

fn main() -> ExitCode {
    exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result {
    let backend = Backend::new(&BackendOptions::default())?;
    let info = backend.device_info();
    println!("{}, {} {}.", info.name, info.driver_name, info.driver_info);
    let is_wanted =
        |case: &&Case| options.only.as_ref().is_none_or(|only| case.name.contains(only));
    for case in CASES.iter().filter(is_wanted) {
        println!("\n### {}\n", case.name);
        let rules: Vec<String> = match case.rules {
            Rules::These(rules) => rules.iter().map(|&rule| rule.to_owned()).collect(),
            Rules::Set(set) => data::patterns(set)?,
        };
        println!("| bytes | time | times that of half | matches |\n|---|---|---|---|");
        measure(options, &backend, &RulePipeline::new(&rules)?, case.haystack)?;
    }
    Ok(())
}

fn measure(
    options: &Options,
    backend: &Backend,
    rules: &RulePipeline,
    haystack: fn(usize) -> Vec<u8>,
) -> Result {
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let mut before: Option<f64> = None;
    let mut bytes = FIRST;
    while bytes <= options.bytes {
        let haystack = haystack(bytes);
        let session = rules.prepare_resident(backend, bytes, MOST_MATCHES)?;
        session.scan_into(backend, &haystack, &mut matches, &mut scratch)?;
        if bytes <= CHECKED && matches != rules.reference_scan(&haystack) {
            return Err(format!("wrong matches in {bytes} bytes").into());
        }
        let mut least = f64::MAX;
        for _ in 0..SCANS {
            let since = now(backend)?;
            session.scan_into(backend, &haystack, &mut matches, &mut scratch)?;
            least = least.min((now(backend)? - since).as_secs_f64());
            if least > 0.1 * options.seconds {
                break;
            }
        }
        session.free(backend)?;
        let times = before.map_or(String::new(), |before| significant(least / before));
        println!("| {} | {} | {times} | {} |", size(bytes), time(least), matches.len());
        if least > options.seconds {
            println!("\nNo further: a scan takes longer than {} s.", options.seconds);
            break;
        }
        before = Some(least);
        bytes *= 2;
    }
    Ok(())
}
