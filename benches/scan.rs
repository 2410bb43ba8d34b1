//! Real rules over real haystacks: end to end, on the device's own clock, and beside the `regex` crate.
//!
//! Names read `rules/haystack/size/what`. `end_to_end` is a call of `scan_into`, from bytes in ordinary
//! memory to sorted matches; `device` is the time between the first and last timestamp of its
//! submissions; `regex` is `find_iter` of each rule in turn, on one core. Every result is compared with the
//! `regex` crate's before anything is timed.
//!
//! | variable | meaning |
//! |---|---|
//! | `VKSCAN_DATA` | the folder of rules and haystacks; `../shared/data` without it |
//! | `VKSCAN_BENCH_BYTES` | bytes of each haystack, 1 MiB without it |
//! | `VKSCAN_DEVICE` | the device, as for the command |

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use regex::bytes::{Regex, RegexBuilder};
use vkscan::{Backend, BackendOptions, Match, RulePipeline, ScanScratch};

const WORKLOADS: [(&str, &str); 5] = [
    ("gitleaks", "linux-src-128M.txt"),
    ("noseyparker", "linux-src-128M.txt"),
    ("keyhog", "linux-src-128M.txt"),
    ("rebar-dictionary-length-15", "linux-src-128M.txt"),
    ("automatazoo-snort.bench", "pcap-payloads-16M.bin"),
];

const MAX_MATCHES: usize = 1 << 20;

fn data(name: &str) -> PathBuf {
    let folder = std::env::var_os("VKSCAN_DATA").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into(),
        PathBuf::from,
    );
    folder.join(name)
}

/// The first `length` bytes of a haystack, which is kept packed.
fn haystack(name: &str, length: usize) -> std::io::Result<Vec<u8>> {
    let packed = File::open(data(&format!("haystacks/{name}.xz")))?;
    let mut bytes = Vec::new();
    xz4rust::XzReader::new(packed).take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn regexes(patterns: &[&str]) -> Vec<Regex> {
    let bytes = |pattern: &&str| RegexBuilder::new(pattern).unicode(false).build();
    patterns.iter().map(|p| bytes(p).or_else(|_| Regex::new(p)).expect("a valid rule")).collect()
}

fn find_all(regexes: &[Regex], haystack: &[u8]) -> Vec<Match> {
    let mut matches = Vec::new();
    for (id, regex) in regexes.iter().enumerate() {
        matches.extend(regex.find_iter(haystack).filter(|found| !found.is_empty()).map(|found| {
            let [start, end] = [found.start() as u32, found.end() as u32];
            Match { pattern_id: id as u32, start, end }
        }));
    }
    matches
}

fn scan(criterion: &mut Criterion) {
    let length = std::env::var("VKSCAN_BENCH_BYTES")
        .map_or(1 << 20, |bytes| bytes.parse().expect("VKSCAN_BENCH_BYTES is a number"));
    let backend = Backend::new(&BackendOptions::default()).expect("a device to measure");
    println!("device: {:?}", backend.device_info());
    for (name, haystack_name) in WORKLOADS {
        let text = std::fs::read_to_string(data(&format!("rules/{name}.regex")));
        let (Ok(text), Ok(haystack)) = (text, haystack(haystack_name, length)) else {
            println!("NOT RUN: {name} over {haystack_name}, which are not in {:?}", data(""));
            continue;
        };
        let patterns: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let rules = RulePipeline::new(&patterns).expect("valid rules");
        let session = rules
            .prepare_resident(&backend, haystack.len(), MAX_MATCHES)
            .expect("room for the session");
        let mut matches = Vec::new();
        let mut scratch = ScanScratch::default();
        let regexes = regexes(&patterns);
        session.scan_into(&backend, &haystack, &mut matches, &mut scratch).expect("a scan");
        assert_eq!(matches, find_all(&regexes, &haystack), "{name}");

        let stem = haystack_name.split('.').next().expect("a name");
        let mut group = criterion.benchmark_group(format!("{name}/{stem}/{}", haystack.len()));
        group.throughput(Throughput::Bytes(haystack.len() as u64));
        group.sample_size(10).warm_up_time(Duration::from_millis(500));
        group.measurement_time(Duration::from_secs(3));
        group.bench_function("end_to_end", |bencher| {
            bencher.iter(|| {
                let scanned = session.scan_into(&backend, &haystack, &mut matches, &mut scratch);
                scanned.expect("a scan")
            });
        });
        if backend.device_info().timestamp_valid_bits() > 0 {
            group.bench_function("device", |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut total = Duration::ZERO;
                    for _ in 0..iterations {
                        let scanned =
                            session.scan_into(&backend, &haystack, &mut matches, &mut scratch);
                        total += scanned.expect("a scan").device.expect("timestamps").total();
                    }
                    total
                });
            });
        }
        group.bench_function("regex", |bencher| bencher.iter(|| find_all(&regexes, &haystack)));
        group.finish();
        session.free(&backend).expect("nothing left behind");
    }
}

criterion_group!(benches, scan);
criterion_main!(benches);
