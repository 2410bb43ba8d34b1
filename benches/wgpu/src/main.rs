//! What the layer below a scan costs: host time of a scan by vkscan, and of the same kernels on the same buffers through wgpu.
//!
//! `cargo run --release` prints a table; with `-- --check` it does everything once. Both begin with bytes in ordinary memory
//! and end with matches there, which are compared with the CPU oracle's every time. Host time is what the thread does itself,
//! without what it waits: for wgpu without all of `Device::poll`.

mod captured;
#[path = "../../../examples/common/mod.rs"]
mod common;
#[path = "../../embedded/mod.rs"]
mod embedded;
mod frozen;
mod through_wgpu;

use std::error::Error;
use std::time::{Duration, Instant};

use ash::vk;
use ash::vk::Handle as _;
use clap::Parser;
use common::Program;
use embedded::{MAX_MATCHES, PATTERNS, percentile, shown, text};
use through_wgpu::{Gpu, Scan};
use vkscan::{
    Backend, RawCommandBuffer, RecordOptions, RecordedState, RecordingOptions,
    ResidentRulePipeline, RulePipeline, ScanScratch, hits_bytes, read_hits,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Scans until nothing about one changes any more.
const WARM_UP: usize = 10;

#[derive(Parser)]
struct Args {
    /// Do everything once, to see that it is right.
    #[arg(long)]
    check: bool,
}

fn main() -> Result {
    let args = Args::parse();
    let program = Program::new()?;
    let gpu = Gpu::new(&program)?;
    // SAFETY: `program` outlives the backends and all that is made from them, and tells the truth about its device. The
    // functions that watch one of them do what the driver does.
    let [watched, backend] = unsafe {
        [Backend::from_raw(captured::raw_device(&program)), Backend::from_raw(program.raw_device())]
    };
    let (watched, backend) = (watched?, backend?);
    let info = backend.device_info();
    println!("{}, {} {}", info.name, info.driver_name, info.driver_info);
    println!("\n| haystack | scanned by | host time | of wgpu's | wall | of wgpu's |");
    println!("|---|---|---|---|---|---|");
    for bytes in [1 << 10, 64 << 10, 1 << 20] {
        let turns = if args.check { 1 } else { 2000 };
        compare(&program, &gpu, &watched, &backend, bytes, turns)?;
    }
    drop((watched, backend, gpu));
    program.end()
}

/// What scans take, one after the other.
#[derive(Default)]
struct Times {
    host: Vec<Duration>,
    wall: Vec<Duration>,
}

impl Times {
    /// Times a scan, which says how long it has waited.
    fn of(&mut self, scan: impl FnOnce() -> Result<Duration>) -> Result {
        let began = Instant::now();
        let waited = scan()?;
        let wall = began.elapsed();
        self.wall.push(wall);
        self.host.push(wall.saturating_sub(waited));
        Ok(())
    }
}

/// Scans of so many bytes in calls of vkscan's, in a command buffer that it has recorded once, and through wgpu, by turns.
fn compare(
    program: &Program,
    gpu: &Gpu,
    watched: &Backend,
    backend: &Backend,
    bytes: usize,
    turns: usize,
) -> Result {
    let rules = RulePipeline::new(&PATTERNS)?;
    let text = text(bytes);
    let expected = rules.reference_scan(&text);
    let through_wgpu = {
        let session = rules.prepare_resident(watched, bytes, MAX_MATCHES as usize)?;
        let commands = warm_scan(&session, watched, &text)?;
        let scan = Scan::new(gpu, program, &commands, MAX_MATCHES)?;
        session.free(watched)?;
        scan
    };
    let session = rules.prepare_resident(backend, bytes, MAX_MATCHES as usize)?;
    let mut recording = session.recording(backend, &RecordingOptions::default())?;
    let haystack = program.buffer(bytes as u64, vk::BufferUsageFlags::STORAGE_BUFFER)?;
    let hits = program.buffer(hits_bytes(MAX_MATCHES), vk::BufferUsageFlags::STORAGE_BUFFER)?;
    let recorded = program.record(|commands| {
        // SAFETY: nobody else has it, and it is executed by `execute` alone, which waits.
        let raw = unsafe { RawCommandBuffer::new(commands.as_raw() as *mut _) };
        let (haystack, hits) = ((haystack.raw(), 0, bytes), (hits.raw(), 0, MAX_MATCHES));
        session.record(&mut recording, raw, haystack, hits, &RecordOptions::default())?;
        Ok::<(), Box<dyn Error>>(())
    })?;

    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let mut times: [Times; 3] = Default::default();
    for turn in 0..WARM_UP + turns {
        if turn == WARM_UP {
            times = Default::default();
        }
        let [by_call, by_recording, by_wgpu] = &mut times;
        by_call.of(|| Ok(session.scan_into(backend, &text, &mut matches, &mut scratch)?.wait))?;
        assert_eq!(matches, expected);
        by_recording.of(|| {
            haystack.write(0, &text);
            let waited = program.execute(&recorded)?;
            let words = hits.words(0, hits.size as usize / 4);
            let (state, found) = read_hits(&words, MAX_MATCHES);
            assert_eq!(state, RecordedState::Complete);
            matches = found;
            Ok(waited)
        })?;
        assert_eq!(matches, expected);
        by_wgpu.of(|| through_wgpu.scan(&text, &mut matches))?;
        assert_eq!(matches, expected);
    }
    let [.., of_wgpu] = &times;
    let share =
        |ours: &[Duration], wgpus: &[Duration]| percentile(ours, 50) / percentile(wgpus, 50);
    for (name, times) in
        ["vkscan, `scan_into`", "vkscan, recorded once", "wgpu 30"].iter().zip(&times)
    {
        println!(
            "| {} KiB | {name} | {} | {:.2} | {} | {:.2} |",
            bytes >> 10,
            shown(&times.host),
            share(&times.host, &of_wgpu.host),
            shown(&times.wall),
            share(&times.wall, &of_wgpu.wall),
        );
    }
    drop((recorded, haystack, hits, recording));
    Ok(session.free(backend)?)
}

/// What a scan submits, once nothing about it changes any more.
fn warm_scan(
    session: &ResidentRulePipeline,
    watched: &Backend,
    text: &[u8],
) -> Result<Vec<captured::Command>> {
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    for _ in 0..WARM_UP {
        session.scan_into(watched, text, &mut matches, &mut scratch)?;
    }
    captured::submitted(|| {
        let stats = session.scan_into(watched, text, &mut matches, &mut scratch)?;
        if stats.submissions == 1 { Ok(()) } else { Err("a warm scan is one submission".into()) }
    })
}
