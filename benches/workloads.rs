//! The workloads in `workloads.toml`: each result is compared with the recorded one, and only then timed.
//!
//! Prints a Markdown table: medians in GB/s (1e9 bytes) by where the haystack is, with the floor that is
//! asked for where there is one, and the time by stage of a scan on the device.
//!
//! | option | meaning |
//! |---|---|
//! | `-- --record` | find the digests with the `regex` crate instead, slowly, and print them |
//! | `-- NAME` | only workloads of which the rules' name contains this |
//! | `VKSCAN_DATA` | the folder of rules and haystacks; `../shared/data` without it |

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use regex::bytes::{Regex, RegexBuilder};
use vkscan::{
    Backend, BackendOptions, Haystack, Match, ResidentHaystack, ResidentRulePipeline, RulePipeline,
    ScanScratch, ScanStats,
};

const MAX_MATCHES: usize = 1 << 21;

struct Workload {
    rules: String,
    haystack: String,
    bytes: usize,
    digest: String,
    /// From ordinary memory, staging memory and device memory.
    floors: [Option<f64>; 3],
}

fn workloads() -> Vec<Workload> {
    let table: toml::Table = include_str!("workloads.toml").parse().expect("valid TOML");
    let list = table["workload"].as_array().expect("a list of workloads");
    list.iter()
        .map(|workload| {
            let text = |key: &str| workload[key].as_str().expect("a string").to_owned();
            let floor = |key: &str| workload.get("floor").and_then(|floor| floor[key].as_float());
            Workload {
                rules: text("rules"),
                haystack: text("haystack"),
                bytes: workload["bytes"].as_integer().expect("a number") as usize,
                digest: text("digest"),
                floors: ["bytes", "staged", "device"].map(floor),
            }
        })
        .collect()
}

fn data(name: &str) -> PathBuf {
    let folder = std::env::var_os("VKSCAN_DATA").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into(),
        PathBuf::from,
    );
    folder.join(name)
}

fn haystack(name: &str, bytes: usize) -> Vec<u8> {
    let packed = std::fs::File::open(data(&format!("haystacks/{name}.xz"))).expect("a haystack");
    let mut unpacked = Vec::new();
    let mut reader = xz4rust::XzReader::new(packed).take(bytes as u64);
    reader.read_to_end(&mut unpacked).expect("a packed haystack");
    unpacked.iter().copied().cycle().take(bytes).collect()
}

/// 64-bit FNV-1a over the count and the words of all matches, sorted.
fn digest(matches: &[Match]) -> String {
    let words = matches.iter().flat_map(|found| [found.pattern_id, found.start, found.end]);
    let hash = std::iter::once(matches.len() as u32)
        .chain(words)
        .flat_map(u32::to_le_bytes)
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
    format!("{hash:016x}")
}

fn find_all(patterns: &[&str], haystack: &[u8]) -> Vec<Match> {
    let of_rule = |(id, pattern): (usize, &&str)| -> Vec<Match> {
        let bytes = RegexBuilder::new(pattern).unicode(false).build();
        let regex = bytes.or_else(|_| Regex::new(pattern)).expect("a valid rule");
        let found = regex.find_iter(haystack).filter(|found| !found.is_empty());
        let matches = found.map(|found| Match {
            pattern_id: id as u32,
            start: found.start() as u32,
            end: found.end() as u32,
        });
        matches.collect()
    };
    let mut matches: Vec<Match> = patterns.par_iter().enumerate().flat_map(of_rule).collect();
    matches.sort_unstable();
    matches
}

/// The median of scans of half a second, once warm, and the stages of the quickest.
fn measure(
    session: &ResidentRulePipeline,
    backend: &Backend,
    haystack: Haystack,
) -> (Duration, ScanStats, Vec<Match>) {
    const WARM: Duration = Duration::from_millis(300);
    const LONG_ENOUGH: Duration = Duration::from_millis(800);

    let mut matches = Vec::new();
    let mut scratch = ScanScratch::default();
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < 3 || began.elapsed() < LONG_ENOUGH {
        let before = Instant::now();
        let scanned = session.scan_into(backend, haystack, &mut matches, &mut scratch);
        let passed = before.elapsed();
        let stats = scanned.expect("a scan");
        if began.elapsed() > WARM {
            times.push((passed, stats));
        }
    }
    times.sort_by_key(|(passed, _)| *passed);
    (times[times.len() / 2].0, times[0].1, matches)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let records = arguments.iter().any(|argument| argument == "--record");
    let wanted = arguments.iter().find(|argument| !argument.starts_with("--"));
    let chosen = workloads()
        .into_iter()
        .filter(|workload| wanted.is_none_or(|wanted| workload.rules.contains(wanted.as_str())));
    let backend =
        (!records).then(|| Backend::new(&BackendOptions::default()).expect("a device to measure"));
    if let Some(backend) = &backend {
        let info = backend.device_info();
        println!("{}, {} {}\n", info.name, info.driver_name, info.driver_info);
        println!(
            "| rules x haystack, bytes | matches | ordinary memory | staging | device | call | stages |"
        );
        println!("|---|---|---|---|---|---|---|");
    }
    for workload in chosen {
        let Workload { rules: name, haystack: haystack_name, bytes, .. } = &workload;
        let text = std::fs::read_to_string(data(&format!("rules/{name}.regex"))).expect("rules");
        let patterns: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let haystack = haystack(haystack_name, *bytes);
        let Some(backend) = &backend else {
            println!("{name} {bytes}: {}", digest(&find_all(&patterns, &haystack)));
            continue;
        };
        let rules = RulePipeline::new(&patterns).expect("valid rules");
        let session = rules.prepare_resident(backend, *bytes, MAX_MATCHES).expect("a session");
        let mut staged = session.staging(backend, *bytes).expect("staging memory");
        staged.copy_from_slice(&haystack);
        let resident = ResidentHaystack::new(backend, &haystack).expect("room on the device");
        let sources: [Haystack; 3] = [(&haystack).into(), (&staged).into(), (&resident).into()];
        let mut cells = Vec::new();
        let mut call = Duration::ZERO;
        let mut stages = String::new();
        let mut count = 0;
        for (source, floor) in sources.into_iter().zip(workload.floors) {
            let (median, stats, matches) = measure(&session, backend, source);
            assert_eq!(digest(&matches), workload.digest, "{name} over {bytes} bytes");
            count = matches.len();
            let rate = *bytes as f64 / median.as_secs_f64() / 1e9;
            let floor = floor.map_or(String::new(), |floor| format!(" of {floor}"));
            cells.push(format!("{rate:.2}{floor}"));
            if cells.len() == 1 {
                call = median;
            }
            let device = stats.device.unwrap_or_default();
            stages = format!(
                "filter {:?}, tails {:?}, starts {:?}, NFA {:?}, {} submissions",
                device.filter, device.tails, device.starts, device.nfa, stats.submissions
            );
        }
        let cells = cells.join(" | ");
        println!(
            "| {name} x {haystack_name}, {bytes} | {count} | {cells} | {call:.1?} | {stages} |"
        );
        drop((staged, resident));
        session.free(backend).expect("nothing left behind");
    }
}
