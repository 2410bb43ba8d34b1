//! Hyperscan over the same rules and the same haystack, data-parallel in blocks of 256 KiB.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Result;

const BLOCK_KIB: usize = 256;

/// A haystack of fewer blocks leaves threads idle.
const MOST_THREADS: usize = 16;

/// For a run with ends, which floors depend on, and for one with spans, which takes over a minute to compile
/// some rules.
const PATIENCE: [Duration; 2] = [Duration::from_secs(40), Duration::from_secs(20)];

/// Rates, or why there are none.
#[derive(Serialize, Deserialize)]
pub struct Hyperscan {
    /// With end offsets alone.
    pub ends: Result<Rates, String>,
    /// With start and end offsets.
    pub spans: Result<Rates, String>,
}

#[derive(Serialize, Deserialize)]
pub struct Rates {
    /// Rules that it does not take.
    pub refused: usize,
    /// GB/s by number of threads.
    pub gbps: BTreeMap<usize, f64>,
    /// Whether it was ended before it had run with all of them.
    pub is_cut: bool,
}

impl Hyperscan {
    pub fn measure(patterns: &[String], haystack: &[u8]) -> Hyperscan {
        let run = |spans| {
            if haystack.len() < MOST_THREADS * (BLOCK_KIB << 10) {
                return Err("too small".to_owned());
            }
            run("VKSCAN_HYPERSCAN", patterns, haystack, BLOCK_KIB, spans)
                .map_err(|error| error.to_string())
        };
        Hyperscan { ends: run(false), spans: run(true) }
    }

    /// Over each item of so many bytes on its own.
    pub fn measure_items(patterns: &[String], haystack: &[u8], item_bytes: usize) -> Hyperscan {
        let run = |spans| {
            run("VKSCAN_HYPERSCAN_ITEMS", patterns, haystack, item_bytes, spans)
                .map_err(|error| error.to_string())
        };
        Hyperscan { ends: run(false), spans: run(true) }
    }
}

impl Rates {
    /// GB/s with 16 threads.
    pub fn with_most_threads(&self) -> Option<f64> {
        self.gbps.get(&MOST_THREADS).copied()
    }
}

/// Runs the program that a variable names, with rules, haystack, the size of what is scanned at once, and whether
/// spans are wanted.
fn run(
    variable: &str,
    patterns: &[String],
    haystack: &[u8],
    size: usize,
    spans: bool,
) -> Result<Rates> {
    let program = std::env::var_os(variable).ok_or("not run")?;
    let folder = tempfile::tempdir()?;
    let files = ["rules.regex", "haystack"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], patterns.join("\n"))?;
    std::fs::write(&files[1], haystack)?;
    let spans = usize::from(spans);
    let mut command = Command::new(program);
    command.args(files).args([size, spans].map(|number| number.to_string()));
    let (output, is_cut) = output_within(PATIENCE[spans], &mut command)?;
    match parse(&output) {
        Some((refused, gbps)) => Ok(Rates { refused, gbps, is_cut }),
        None if is_cut => Err(format!("over {} s", PATIENCE[spans].as_secs()).into()),
        None => Err(format!("failed: {}", output.trim()).into()),
    }
}

/// What a program has written when it ends, or when it has to be ended.
fn output_within(patience: Duration, command: &mut Command) -> std::io::Result<(String, bool)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let began = Instant::now();
    let is_cut = loop {
        let has_ended = child.try_wait()?.is_some();
        if has_ended || began.elapsed() > patience {
            break !has_ended;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    child.kill()?;
    let output = child.wait_with_output()?.stdout;
    Ok((String::from_utf8_lossy(&output).into_owned(), is_cut))
}

/// Reads `..., 69 refused, ...` and then `16 threads: 5.52 GB/s, ...` for each number of threads.
fn parse(output: &str) -> Option<(usize, BTreeMap<usize, f64>)> {
    let refused = output.split(", ").find_map(|part| part.strip_suffix(" refused"))?;
    let rate = |line: &str| {
        let (threads, rest) = line.trim().split_once(" threads: ")?;
        let (gbps, _) = rest.split_once(" GB/s")?;
        Some((threads.parse().ok()?, gbps.parse().ok()?))
    };
    Some((refused.parse().ok()?, output.lines().filter_map(rate).collect()))
}
