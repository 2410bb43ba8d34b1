//! What memory a device has, and what of it is ours: for what, and on which heap.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{BackendError, Result};

/// The memory of a device, and what vkscan has of it: [`Backend::memory_report`](crate::Backend::memory_report).
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, MemoryHeap, MemoryUse, RulePipeline};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// let report = backend.memory_report()?;
/// for MemoryUse { purpose, heap, buffers, bytes, .. } in &report.uses {
///     println!("{purpose}: {bytes} bytes in {buffers} buffers on heap {heap}");
/// }
/// for MemoryHeap { index, size, budget, .. } in &report.heaps {
///     let budget = budget.map_or("not reported".to_owned(), |bytes| format!("{bytes} bytes"));
///     println!("heap {index}: {size} bytes, of which this process should use no more than: {budget}");
/// }
/// let bytes: u64 = report.uses.iter().map(|one| one.bytes).sum();
/// assert_eq!(bytes, backend.allocated_bytes());
/// session.free(&backend)?;
/// assert!(backend.memory_report()?.uses.is_empty());
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// All buffers of ours, by what they are for and by heap.
    pub uses: Vec<MemoryUse>,
    /// The device's heaps, by index.
    pub heaps: Vec<MemoryHeap>,
    /// Bytes of the blocks that buffers lie in, with what is free of them; none where the memory is an allocator's of the
    /// caller.
    pub block_bytes: Option<u64>,
}

/// Buffers for one purpose on one heap.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// What the buffers are for, such as `tables` or `staging`.
    pub purpose: String,
    /// Index of the heap.
    pub heap: u32,
    /// Number of buffers.
    pub buffers: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// A heap of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryHeap {
    /// Its index.
    pub index: u32,
    /// Whether it is the device's own.
    pub device_local: bool,
    /// Bytes.
    pub size: u64,
    /// Bytes of it that this process can expect to be able to use at the moment; none where the device does not have
    /// `VK_EXT_memory_budget`.
    pub budget: Option<u64>,
    /// Bytes of it that this process uses, by whomever; none where the device does not say.
    pub process_usage: Option<u64>,
}

/// Keeps count of buffers.
pub(super) struct Ledger {
    /// Bytes of all buffers, at most.
    limit: Option<u64>,
    bytes: AtomicU64,
    uses: Mutex<BTreeMap<(String, u32), Use>>,
}

#[derive(Default)]
struct Use {
    buffers: u64,
    bytes: u64,
}

impl Ledger {
    pub(super) fn new(limit: Option<u64>) -> Ledger {
        Ledger { limit, bytes: AtomicU64::new(0), uses: Mutex::default() }
    }

    /// Bytes of all buffers.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts the bytes of a buffer that is to be made, if they are within the limit.
    pub(super) fn reserve(&self, size: u64, name: &str) -> Result<()> {
        let limit = self.limit.unwrap_or(u64::MAX);
        let add = |bytes: u64| bytes.checked_add(size).filter(|&sum| sum <= limit);
        let added = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        added.map(drop).map_err(|bytes| BackendError::LimitExceeded {
            what: format!("memory for all buffers (bytes, with {name} of {size})"),
            asked: bytes.saturating_add(size),
            limit,
        })
    }

    pub(super) fn release(&self, size: u64) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }

    /// Notes a buffer that has memory.
    pub(super) fn enter(&self, name: &str, heap: u32, size: u64) {
        let mut uses = self.lock();
        let one = uses.entry((purpose_of(name).to_owned(), heap)).or_default();
        one.buffers += 1;
        one.bytes += size;
    }

    pub(super) fn leave(&self, name: &str, heap: u32, size: u64) {
        let mut uses = self.lock();
        let key = (purpose_of(name).to_owned(), heap);
        if let Some(one) = uses.get_mut(&key) {
            one.buffers -= 1;
            one.bytes -= size;
            if one.buffers == 0 {
                uses.remove(&key);
            }
        }
    }

    pub(super) fn uses(&self) -> Vec<MemoryUse> {
        let of = |((purpose, heap), one): (&(String, u32), &Use)| MemoryUse {
            purpose: purpose.clone(),
            heap: *heap,
            buffers: one.buffers,
            bytes: one.bytes,
        };
        self.lock().iter().map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, u32), Use>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Buffers are named by their owners and then by what they are for, as `frame 0/staging`.
fn purpose_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
