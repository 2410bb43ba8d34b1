//! Several devices of one host: how much more they do than one of them.
//!
//! `cargo bench --bench pool` scans one large haystack, whole haystacks of 64 MiB and many small items, from ordinary memory, on the
//! first device, the first two, and so on; with `-- --device 0,0` on those that are named. All of them have to find what one session
//! finds. CPUs count where there is nothing else.

#[path = "common/data.rs"]
#[allow(dead_code, reason = "workloads and sweep use more of it")]
mod data;
#[path = "common/exit.rs"]
mod exit;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use vkscan::{
    Backend, BackendOptions, DeviceKind, DevicePool, DeviceSelector, MegakernelSession,
    MegakernelSessionConfig, PoolOrder, PoolReport, RingItem, RingPool, RulePipeline, ScanScratch,
    SessionOptions, StreamMatch,
};

use exit::exit_code;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Bytes of a whole haystack, and of a window of a large one.
const WHOLE: usize = 64 << 20;
const WINDOW: usize = 16 << 20;
const MOST_MATCHES: usize = 1 << 20;

/// Bytes of small items.
const ITEM_BYTES: [usize; 2] = [200, 4 << 10];

/// Scans on one device, and on more and more of them.
#[derive(Parser)]
struct Options {
    /// MiB of the large haystack.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    mib: usize,
    /// Small items, of each length.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    items: usize,
    /// Rules, by the name of their file.
    #[arg(long, value_name = "NAME", default_value = "gitleaks")]
    rules: String,
    /// The devices, with commas between them; without it all that are no CPUs, if there are any.
    #[arg(long, value_name = "SELECTORS", value_delimiter = ',')]
    device: Vec<DeviceSelector>,
    /// Scans of each kind behind a first one, of which the median counts.
    #[arg(long, value_name = "N", default_value_t = 5)]
    scans: usize,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result {
    let backends = devices(options)?;
    for backend in &backends {
        let info = backend.device_info();
        println!("{}, {} {}", info.name, info.driver_name, info.driver_info);
    }
    let rules = RulePipeline::new(&data::patterns(&options.rules)?)?;
    let bytes = (options.mib << 20).max(options.items * ITEM_BYTES[1]);
    let haystack = data::tiled(&data::unpacked("linux-src-128M.txt", bytes)?, bytes);
    println!("\n{} rules of {}\n", rules.patterns().len(), options.rules);
    println!("| what | matches | one session, GB/s | devices | GB/s | times one device | shares |");
    println!("|---|---|---|---|---|---|---|");
    large(options, &backends, &rules, &haystack[..options.mib << 20])?;
    whole(options, &backends, &rules, &haystack[..options.mib << 20])?;
    for bytes in ITEM_BYTES {
        items(options, &backends, &rules, &haystack[..options.items * bytes], bytes)?;
    }
    Ok(())
}

fn devices(options: &Options) -> Result<Vec<Backend>> {
    let mut selectors = options.device.clone();
    if selectors.is_empty() {
        let all = Backend::devices(&BackendOptions::default())?;
        let usable: Vec<_> = all.iter().filter(|device| device.unsuitable.is_none()).collect();
        let has_others = usable.iter().any(|device| device.kind != DeviceKind::Cpu);
        let taken = usable.iter().filter(|device| !has_others || device.kind != DeviceKind::Cpu);
        selectors = taken.map(|device| DeviceSelector::Uuid(device.uuid)).collect();
    }
    let open = |one: DeviceSelector| Backend::new(&BackendOptions::default().device(Some(one)));
    Ok(selectors.into_iter().map(open).collect::<Result<_, _>>()?)
}

/// What was found, in any order, and how many these are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest {
    sum: u64,
    matches: u64,
}

impl Digest {
    fn add(&mut self, found: impl Hash) {
        let mut hasher = DefaultHasher::new();
        found.hash(&mut hasher);
        self.sum = self.sum.wrapping_add(hasher.finish());
        self.matches += 1;
    }
}

/// Median of some scans behind a first one, all of which find the same.
fn measure(scans: usize, mut scan: impl FnMut() -> Result<Digest>) -> Result<(Digest, Duration)> {
    let found = scan()?;
    let mut times = Vec::new();
    for _ in 0..scans {
        let began = Instant::now();
        let again = scan()?;
        times.push(began.elapsed());
        if again != found {
            return Err(format!("a scan found {again:?}, and the one before {found:?}").into());
        }
    }
    times.sort_unstable();
    Ok((found, times[times.len() / 2]))
}

/// Measures pools of the first device, of the first two, and so on, and prints a line for each.
fn pools(
    what: &str,
    bytes: usize,
    backends: &[Backend],
    (right, alone): (Digest, Duration),
    mut scan: impl FnMut(&[Backend], &mut Vec<PoolReport>) -> Result<(Digest, Duration)>,
) -> Result {
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e9;
    let mut of_one = None;
    for count in 1..=backends.len() {
        let mut reports = Vec::new();
        let (found, time) = scan(&backends[..count], &mut reports)?;
        if found != right {
            return Err(format!("{what}: {count} devices found {found:?}, not {right:?}").into());
        }
        let of_one = *of_one.get_or_insert(time);
        let last = reports.pop().expect("something was scanned");
        let all: u64 = last.devices.iter().map(|share| share.bytes).sum();
        let shares = last.devices.iter();
        let shares =
            shares.map(|share| format!("{:.0} %", 100.0 * share.bytes as f64 / all as f64));
        println!(
            "| {what} | {} | {:.1} | {count} | {:.1} | {:.2} | {} |",
            right.matches,
            rate(alone),
            rate(time),
            of_one.as_secs_f64() / time.as_secs_f64(),
            shares.collect::<Vec<_>>().join(", "),
        );
    }
    Ok(())
}

fn large(options: &Options, backends: &[Backend], rules: &RulePipeline, haystack: &[u8]) -> Result {
    let of_session = SessionOptions::new(WINDOW, MOST_MATCHES);
    let session = rules.prepare_resident_with(&backends[0], &of_session)?;
    let mut scratch = ScanScratch::default();
    let add =
        |digest: &mut Digest, one: StreamMatch| digest.add((one.pattern_id, one.start, one.end));
    let alone = measure(1, || {
        let (mut digest, mut reader) = (Digest::default(), haystack);
        let on_match = |one, _: &[u8]| add(&mut digest, one);
        session.scan_reader(&backends[0], &mut reader, u32::MAX, &mut scratch, on_match)?;
        Ok(digest)
    })?;
    session.free(&backends[0])?;
    let what = format!("one haystack of {} MiB", haystack.len() >> 20);
    pools(&what, haystack.len(), backends, alone, |backends, reports| {
        let mut pool = DevicePool::new(rules, backends.to_vec(), &of_session)?;
        let measured = measure(options.scans, || {
            let mut digest = Digest::default();
            let report = pool.scan_large(haystack, u32::MAX, |matches| {
                matches.iter().for_each(|one| add(&mut digest, *one));
            })?;
            reports.push(report);
            Ok(digest)
        })?;
        pool.free()?;
        Ok(measured)
    })
}

fn whole(options: &Options, backends: &[Backend], rules: &RulePipeline, haystack: &[u8]) -> Result {
    let of_session = SessionOptions::new(WHOLE, MOST_MATCHES);
    let session = rules.prepare_resident_with(&backends[0], &of_session)?;
    let mut scratch = ScanScratch::default();
    let mut matches = Vec::new();
    let add = |digest: &mut Digest, number: u64, matches: &[vkscan::Match]| {
        matches.iter().for_each(|one| digest.add((number, one.pattern_id, one.start, one.end)));
    };
    let alone = measure(options.scans, || {
        let mut digest = Digest::default();
        for (number, haystack) in (0..).zip(haystack.chunks(WHOLE)) {
            session.scan_into(&backends[0], haystack, &mut matches, &mut scratch)?;
            add(&mut digest, number, &matches);
        }
        Ok(digest)
    })?;
    session.free(&backends[0])?;
    let what = format!("{} haystacks of {} MiB", haystack.len().div_ceil(WHOLE), WHOLE >> 20);
    pools(&what, haystack.len(), backends, alone, |backends, reports| {
        let mut pool = DevicePool::new(rules, backends.to_vec(), &of_session)?;
        let measured = measure(options.scans, || {
            let (mut digest, mut failed) = (Digest::default(), Ok(()));
            let report = pool.scan(
                haystack.chunks(WHOLE),
                u32::MAX,
                PoolOrder::AsFinished,
                |number, _, matches| match matches {
                    Ok(matches) => add(&mut digest, number, matches),
                    Err(error) => failed = Err(error),
                },
            )?;
            failed?;
            reports.push(report);
            Ok(digest)
        })?;
        pool.free()?;
        Ok(measured)
    })
}

fn items(
    options: &Options,
    backends: &[Backend],
    rules: &RulePipeline,
    haystack: &[u8],
    bytes: usize,
) -> Result {
    let config = MegakernelSessionConfig::default().slot_count(1 << 18);
    let items: Vec<RingItem> =
        (0..).zip(haystack.chunks(bytes)).map(|(id, bytes)| RingItem::new(id, bytes)).collect();
    let missing = "the device cannot run ring sessions";
    let mut session = MegakernelSession::new(&backends[0], rules, config)?.ok_or(missing)?;
    let mut results = vkscan::RingResults::default();
    let add = |digest: &mut Digest, result: vkscan::RingItemResult| -> Result {
        for one in result.matches.map_err(Clone::clone)? {
            digest.add((result.id, one.pattern_id, one.start, one.end));
        }
        Ok(())
    };
    let alone = measure(options.scans, || {
        let mut digest = Digest::default();
        session.submit_scan_into(&items, &mut results)?;
        results.iter().try_for_each(|result| add(&mut digest, result))?;
        Ok(digest)
    })?;
    session.shutdown()?;
    let what = format!("{} items of {bytes} bytes", items.len());
    pools(&what, haystack.len(), backends, alone, |backends, reports| {
        let mut pool = RingPool::new(rules, backends, config)?.ok_or(missing)?;
        let measured = measure(options.scans, || {
            let (mut digest, mut failed) = (Digest::default(), Ok(()));
            let report = pool.scan(items.iter().cloned(), PoolOrder::AsFinished, |result| {
                if failed.is_ok() {
                    failed = add(&mut digest, result);
                }
            })?;
            failed?;
            reports.push(report);
            Ok(digest)
        })?;
        pool.free()?;
        Ok(measured)
    })
}
