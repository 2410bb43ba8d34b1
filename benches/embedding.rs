//! What an embedded scanner costs its program: host time of a scan, and memory that is imported beside memory that is copied.
//!
//! `cargo bench --bench embedding` prints tables; with `-- --check` it does everything once. Host time is what a thread
//! does itself: to submit and to decode, or to record, without what it waits. Every result is compared with the CPU oracle's
//! before anything is timed.

#[path = "../examples/common/mod.rs"]
mod common;
mod embedded;

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ash::vk;
use ash::vk::Handle as _;
use clap::Parser;
use common::Program;
use embedded::{MAX_MATCHES, PATTERNS, shown, text};
use memmap2::{Mmap, MmapMut, MmapOptions};
use vkscan::{
    Backend, BackendError, Haystack, ImportedHaystack, Match, RawCommandBuffer, RecordOptions,
    RecordedState, RecordingOptions, ResidentRulePipeline, RulePipeline, ScanError, ScanScratch,
    hits_bytes, read_hits,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;
type Imported = std::result::Result<ImportedHaystack, ScanError>;

#[derive(Parser)]
struct Args {
    /// Do everything once, to see that it is right.
    #[arg(long)]
    check: bool,
    /// Bytes of the haystack that is imported.
    #[arg(long, default_value_t = 256 << 20)]
    import_bytes: usize,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result {
    let args = Args::parse();
    let program = Program::new()?;
    // SAFETY: `program` outlives the backend and all that is made from it, and tells the truth about its device.
    let backend = unsafe { Backend::from_raw(program.raw_device()) }?;
    let info = backend.device_info();
    println!("{}, {} {}", info.name, info.driver_name, info.driver_info);
    let turns = if args.check { 1 } else { 2000 };
    println!(
        "\n| host time of a scan | submit | decode | wall | record | fixed work | execute | read | wall |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for bytes in [1 << 10, 64 << 10, 1 << 20] {
        host_time(&program, &backend, bytes, turns)?;
    }
    let import_bytes = if args.check { 1 << 20 } else { args.import_bytes };
    imports(&backend, import_bytes, if args.check { 1 } else { 9 })?;
    drop(backend);
    program.end()
}

/// Scans in calls of ours, and in a command buffer of the program's that is recorded once.
fn host_time(program: &Program, backend: &Backend, bytes: usize, turns: usize) -> Result {
    let rules = RulePipeline::new(&PATTERNS)?;
    let session = rules.prepare_resident(backend, bytes, MAX_MATCHES as usize)?;
    let text = text(bytes);
    let expected = rules.reference_scan(&text);
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let [mut submit, mut decode, mut wall] = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..turns {
        let began = Instant::now();
        let stats = session.scan_into(backend, &text, &mut matches, &mut scratch)?;
        wall.push(began.elapsed());
        submit.push(stats.enqueue);
        decode.push(stats.wall.saturating_sub(stats.enqueue + stats.wait));
        assert_eq!(matches, expected);
    }

    let size = bytes.next_multiple_of(16) as u64;
    let haystack = program.buffer(size, vk::BufferUsageFlags::STORAGE_BUFFER)?;
    let hits = program.buffer(hits_bytes(MAX_MATCHES), vk::BufferUsageFlags::STORAGE_BUFFER)?;
    haystack.write(0, &text);
    let mut recording = session.recording(backend, &RecordingOptions::default())?;
    let [mut record, mut work] = [Vec::new(), Vec::new()];
    let mut recorded = program.record(|_| Ok::<(), Box<dyn Error>>(()))?;
    for _ in 0..turns {
        recording.clear();
        work.push(fixed_work());
        recorded.again(|commands| {
            // SAFETY: nobody else has it, and it is executed by `execute` alone, which waits.
            let raw = unsafe { RawCommandBuffer::new(commands.as_raw() as *mut _) };
            let (haystack, hits) = ((haystack.raw(), 0, bytes), (hits.raw(), 0, MAX_MATCHES));
            let began = Instant::now();
            session.record(&mut recording, raw, haystack, hits, &RecordOptions::default())?;
            record.push(began.elapsed());
            Ok::<(), Box<dyn Error>>(())
        })?;
    }
    let [mut execute, mut read, mut recorded_wall] = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..turns {
        let began = Instant::now();
        let waited = program.execute(&recorded)?;
        let executed = Instant::now();
        let words = hits.words(0, hits.size as usize / 4);
        let found = read_hits(&words, MAX_MATCHES);
        read.push(executed.elapsed());
        execute.push((executed - began).saturating_sub(waited));
        recorded_wall.push(began.elapsed());
        assert_eq!(found, (RecordedState::Complete, expected.clone()));
    }
    let columns = [submit, decode, wall, record, work, execute, read, recorded_wall]
        .map(|times| shown(&times));
    println!("| {} KiB | {} |", bytes >> 10, columns.join(" | "));
    drop((recorded, haystack, hits, recording));
    Ok(session.free(backend)?)
}

/// How long work takes that is always the same, and like a driver's: many small steps and decisions. What it takes more tells
/// how much slower than usual the core is at the moment.
fn fixed_work() -> Duration {
    let began = Instant::now();
    let text: String = (0..100_u64).map(|index| (black_box(index) * 7919).to_string()).collect();
    black_box(text);
    began.elapsed()
}

/// One haystack in ordinary memory, in staging memory, and imported.
fn imports(backend: &Backend, bytes: usize, turns: usize) -> Result {
    if backend.device_info().host_import_alignment.is_none() {
        println!("\nNOT RUN: the device does not import host memory");
        return Ok(());
    }
    let rules = RulePipeline::new(&PATTERNS)?;
    let text = text(bytes);
    let expected = rules.reference_scan(&text);
    let session = rules.prepare_resident(backend, bytes, expected.len() + 1)?;
    println!("\n| {} MiB | GB/s |\n|---|---|", bytes >> 20);
    let rate = |name: &str, haystack: Haystack| {
        let gigabytes = bytes as f64 / 1e9;
        let seconds = median(&session, backend, haystack, &expected, turns)?;
        println!("| {name} | {:.2} |", gigabytes / seconds);
        Ok::<(), Box<dyn Error>>(())
    };
    rate("ordinary memory", Haystack::from(&text))?;
    let mut staged = session.staging(backend, bytes)?;
    staged.copy_from_slice(&text);
    rate("staging memory", Haystack::from(&staged))?;
    drop(staged);
    let mut pages = MmapMut::map_anon(bytes)?;
    pages.copy_from_slice(&text);
    let began = Instant::now();
    let imported = ImportedHaystack::new(backend, pages)?;
    let took = began.elapsed();
    rate("imported, whole pages", Haystack::from(&imported))?;
    drop(imported);
    // What is imported is at any address: behind one byte, it begins in the middle of a word.
    struct Behind(Vec<u8>);
    impl AsRef<[u8]> for Behind {
        fn as_ref(&self) -> &[u8] {
            &self.0[1..]
        }
    }
    let imported = ImportedHaystack::new(backend, Behind([b" ", &text[..]].concat()))?;
    rate("imported, at an odd address", Haystack::from(&imported))?;
    drop(imported);
    let mapped = |name: &str, folder: &Path, import: &dyn Fn(&File) -> Result<Imported>| {
        let mut file = tempfile::tempfile_in(folder)?;
        file.write_all(&text)?;
        let began = Instant::now();
        match import(&file)? {
            Ok(imported) => {
                let name = format!("{name} (imported in {:.1?})", began.elapsed());
                rate(&name, Haystack::from(&imported))?;
            }
            // Whether it can be pinned is the driver's matter.
            Err(ScanError::Backend(
                BackendError::OutOfMemory { .. } | BackendError::InvalidHandle { .. },
            )) => println!("| {name} | refused |"),
            Err(error) => return Err(error.into()),
        }
        Ok::<(), Box<dyn Error>>(())
    };
    let folder = std::env::temp_dir();
    // SAFETY: nobody else has the files.
    unsafe {
        mapped("a file, privately and writable", &folder, &|file| {
            Ok(ImportedHaystack::new(backend, MmapOptions::new().map_copy(file)?))
        })?;
        let in_memory = Path::new("/dev/shm");
        if in_memory.is_dir() {
            mapped("a file in memory (tmpfs)", in_memory, &|file| {
                Ok(ImportedHaystack::new(backend, MmapMut::map_mut(file)?))
            })?;
        }
        // Last, for what comes after a refusal may be refused too.
        mapped("a file, for reading", &folder, &|file| {
            Ok(ImportedHaystack::new(backend, Mmap::map(file)?))
        })?;
    }
    println!("\nImporting whole pages takes {took:.1?}.");
    Ok(session.free(backend)?)
}

/// Seconds of a scan, of several.
fn median(
    session: &ResidentRulePipeline,
    backend: &Backend,
    haystack: Haystack,
    expected: &[Match],
    turns: usize,
) -> Result<f64> {
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    session.scan_into(backend, haystack, &mut matches, &mut scratch)?;
    assert_eq!(matches, expected);
    let mut times = Vec::new();
    for _ in 0..turns {
        let began = Instant::now();
        session.scan_into(backend, haystack, &mut matches, &mut scratch)?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[turns / 2].as_secs_f64())
}
