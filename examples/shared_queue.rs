//! A Vulkan program puts a scanner onto its own device, and both submit to one queue, each from a thread of its own.

mod common;

use std::error::Error;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ash::vk;
use common::Program;
use vkscan::{Backend, Match, RulePipeline, ScanError, ScanScratch};

/// Times that each does its work.
const TURNS: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    static IS_DROPPED: AtomicBool = AtomicBool::new(false);

    let program = Program::new()?;
    let raw = program.raw_device();
    let raw = raw.on_drop(Some(Box::new(|| IS_DROPPED.store(true, Ordering::Relaxed))));
    // SAFETY: `program` outlives the backend and all that is made from it, tells the truth about its device, and holds
    // the lock of the queue whenever it uses that.
    let backend = unsafe { Backend::from_raw(raw) }?;

    let rules = RulePipeline::new(&[r"\bghp_[0-9A-Za-z]{36}\b", r"(?i)password\s*=\s*\S+"])?;
    let session = rules.prepare_resident(&backend, 1 << 16, 100)?;
    let scan = || {
        let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
        for turn in 0..TURNS {
            let text = format!("{}Password = hunter2\n", " ".repeat(turn));
            session.scan_into(&backend, text.as_bytes(), &mut matches, &mut scratch)?;
            let start = turn as u32;
            assert_eq!(matches, [Match { pattern_id: 1, start, end: start + 18 }]);
        }
        Ok::<(), ScanError>(())
    };
    thread::scope(|scope| {
        let scanner = scope.spawn(scan);
        for _ in 0..TURNS {
            submit_nothing(&program)?;
        }
        scanner.join().expect("it does not panic")?;
        Ok::<(), Box<dyn Error>>(())
    })?;
    println!("{TURNS} scans and {TURNS} submissions of the program's own shared a queue");

    session.free(&backend)?;
    assert!(!IS_DROPPED.load(Ordering::Relaxed));
    drop(backend);
    assert!(IS_DROPPED.load(Ordering::Relaxed), "the device is the program's again");
    program.end()
}

/// Submits work of the program's own, and waits for it.
fn submit_nothing(program: &Program) -> Result<(), vk::Result> {
    // SAFETY: the queue is locked meanwhile, and the fence waited for before it goes.
    unsafe {
        let fence = program.device.create_fence(&vk::FenceCreateInfo::default(), None)?;
        let locked = program.queue_lock.lock().unwrap_or_else(PoisonError::into_inner);
        program.device.queue_submit(program.queue, &[], fence)?;
        drop(locked);
        program.device.wait_for_fences(&[fence], true, u64::MAX)?;
        program.device.destroy_fence(fence, None);
    }
    Ok(())
}
