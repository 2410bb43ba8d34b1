//! A warm session allocates nothing on the host: checked by counting this process's allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use vkscan::{
    Backend, BackendOptions, MatchKind, MegakernelSession, MegakernelSessionConfig,
    PipelineOptions, RingItem, RingResults, RulePipeline, ScanScratch,
};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Whose allocations are counted.
static COUNTED: Mutex<()> = Mutex::new(());

#[test]
fn a_warm_scan_allocates_nothing() {
    let _counted = COUNTED.lock();
    let backend = Backend::new(&BackendOptions::default()).unwrap();
    let haystack = b"one 2 three 44 five ".repeat(50);
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let options = PipelineOptions::default().match_kind(match_kind);
        let rules = RulePipeline::with_options(&[r"\d+", r"[a-z]{3,5}"], options).unwrap();
        let session = rules.prepare_resident(&backend, haystack.len(), 10_000).unwrap();
        let mut matches = Vec::new();
        let mut scratch = ScanScratch::default();
        // Every frame in turn, with the longest haystack.
        for _ in 0..8 {
            session.scan_into(&backend, &haystack, &mut matches, &mut scratch).unwrap();
            assert_eq!(matches, rules.reference_scan(&haystack));
        }
        for length in [haystack.len(), 100, 7, haystack.len() - 1] {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            session.scan_into(&backend, &haystack[..length], &mut matches, &mut scratch).unwrap();
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(allocations, 0, "{match_kind:?}, {length} bytes");
        }
        session.free(&backend).unwrap();
    }
}

#[test]
fn a_warm_ring_allocates_nothing() {
    let _counted = COUNTED.lock();
    let backend = Backend::new(&BackendOptions::default()).unwrap();
    let rules = RulePipeline::new(&[r"\d+", r"[a-z]{3,5}"]).unwrap();
    let config = MegakernelSessionConfig::default().tenant_count(2);
    let mut session = MegakernelSession::new(&backend, &rules, config).unwrap().unwrap();
    let bytes = b"one 2 three 44 five ".repeat(50);
    // More than fit a round.
    let items: Vec<RingItem> =
        (0..500).map(|id| RingItem::new(id, &bytes[..id as usize])).collect();
    let mut results = RingResults::default();
    // In rounds of every size.
    for count in [500, 99, 7].repeat(8) {
        session.submit_scan_into(&items[..count], &mut results).unwrap();
    }
    for count in [500, 7, 99] {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        session.submit_scan_into(&items[..count], &mut results).unwrap();
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(allocations, 0, "{count} items");
        for (item, result) in items.iter().zip(results.iter()) {
            assert_eq!(result.matches, Ok(&rules.reference_scan(&bytes[..item.id as usize])[..]));
        }
    }
    session.shutdown().unwrap();
}
