//! What memory a device has, and what of it is used for what.

use std::ffi::{CString, c_char};

use vkscan::MemoryReport;

use crate::backend::{self, VKSCAN_UNKNOWN, c_text, vkscan_backend};
use crate::border::{HandleOut, SizedOut, element, sized};
use crate::status::{Failure, free, get, run, vkscan_status};

/// The memory of a device at a moment.
pub struct vkscan_memory_report {
    report: MemoryReport,
    purposes: Vec<CString>,
}

/// Buffers for one purpose on one heap.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_memory_use {
    /// sizeof(vkscan_memory_use).
    pub struct_size: u32,
    /// Index of the heap.
    pub heap: u32,
    /// What the buffers are for, such as "tables" or "staging". It is valid as long as the report.
    pub purpose: *const c_char,
    /// Number of buffers.
    pub buffers: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// A heap of a device.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_memory_heap {
    /// sizeof(vkscan_memory_heap).
    pub struct_size: u32,
    /// 1 if it is the device's own, or else 0.
    pub device_local: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes of it that this process can expect to be able to use at the moment, or VKSCAN_UNKNOWN.
    pub budget: u64,
    /// Bytes of it that this process uses, by whomever, or VKSCAN_UNKNOWN.
    pub process_usage: u64,
}

sized!(vkscan_memory_use, vkscan_memory_heap);

/// Tells what memory the device has at the moment, and what of it sessions and haystacks have. The report is freed with
/// vkscan_memory_report_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_memory_report(
    backend: Option<&vkscan_backend>,
    report: *mut *mut vkscan_memory_report,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(report, "report") }?;
        let report = backend::of(backend)?.memory_report()?;
        let purposes = report.uses.iter().map(|one| c_text(&one.purpose)).collect();
        to.set(vkscan_memory_report { report, purposes });
        Ok(())
    })
}

/// Number of uses in a report; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_memory_report_use_count(report: Option<&vkscan_memory_report>) -> usize {
    get(0, || Ok(of(report)?.purposes.len()))
}

/// Tells of the use at `index` of a report, from 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_memory_report_use(
    report: Option<&vkscan_memory_report>,
    index: usize,
    one: *mut vkscan_memory_use,
) -> vkscan_status {
    run(|| {
        let vkscan_memory_report { report, purposes } = of(report)?;
        // SAFETY: as the header asks of the caller.
        let to = unsafe { SizedOut::new(one, "one") }?;
        let one = element(&report.uses, index, "uses")?;
        let purpose = purposes[index].as_ptr();
        to.set(vkscan_memory_use {
            struct_size: 0,
            heap: one.heap,
            purpose,
            buffers: one.buffers,
            bytes: one.bytes,
        });
        Ok(())
    })
}

/// Number of the device's heaps; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_memory_report_heap_count(report: Option<&vkscan_memory_report>) -> usize {
    get(0, || Ok(of(report)?.report.heaps.len()))
}

/// Tells of the heap at `index`, from 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_memory_report_heap(
    report: Option<&vkscan_memory_report>,
    index: usize,
    heap: *mut vkscan_memory_heap,
) -> vkscan_status {
    run(|| {
        let report = &of(report)?.report;
        // SAFETY: as the header asks of the caller.
        let to = unsafe { SizedOut::new(heap, "heap") }?;
        let heap = element(&report.heaps, index, "heaps")?;
        to.set(vkscan_memory_heap {
            struct_size: 0,
            device_local: heap.device_local.into(),
            size: heap.size,
            budget: heap.budget.unwrap_or(VKSCAN_UNKNOWN),
            process_usage: heap.process_usage.unwrap_or(VKSCAN_UNKNOWN),
        });
        Ok(())
    })
}

/// Bytes of the blocks that buffers lie in, with what is free of them; VKSCAN_UNKNOWN where memory comes from the
/// caller's allocator, and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_memory_report_block_bytes(report: Option<&vkscan_memory_report>) -> u64 {
    get(VKSCAN_UNKNOWN, || Ok(of(report)?.report.block_bytes.unwrap_or(VKSCAN_UNKNOWN)))
}

/// Frees a report, and the texts that were asked of it.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_memory_report_free(report: Option<Box<vkscan_memory_report>>) {
    free(report);
}

fn of(report: Option<&vkscan_memory_report>) -> Result<&vkscan_memory_report, Failure> {
    report.ok_or_else(|| Failure::null("report"))
}
