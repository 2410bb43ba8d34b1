//! Sessions that are worked out on the host before anything is made on a device.

use std::ffi::{CString, c_char};

use vkscan::{DeviceInfo, PlannedMemory, SessionPlan};

use crate::backend::{self, c_text, vkscan_backend, vkscan_device_list};
use crate::border::{HandleOut, SizedOut, element, sized};
use crate::rules::{self, vkscan_rules};
use crate::session::{read_options, vkscan_session, vkscan_session_options};
use crate::status::{Failure, free, get, run, vkscan_status};

/// A session that has been worked out for a device, and is yet to be made there, as often as wanted.
pub struct vkscan_session_plan {
    plan: SessionPlan,
    memory: Vec<PlannedMemory>,
    purposes: Vec<CString>,
}

/// Buffers for one purpose that a session will have.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_planned_memory {
    /// sizeof(vkscan_planned_memory).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// What the buffers are for, as a vkscan_memory_use says it. It is valid as long as the plan.
    pub purpose: *const c_char,
    /// Number of buffers.
    pub buffers: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

sized!(vkscan_planned_memory);

/// Works out a session for the device at `index` of `list`, from 0: nothing is opened or made there. The plan is freed
/// with vkscan_session_plan_free, and needs neither rules nor list any more.
///
/// It fails as vkscan_session_prepare does where a limit is at fault.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_plan_new(
    list: Option<&vkscan_device_list>,
    index: usize,
    rules: Option<&vkscan_rules>,
    options: *const vkscan_session_options,
    plan: *mut *mut vkscan_session_plan,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(plan, "plan") }?;
        // SAFETY: as the header asks of the caller.
        to.set(unsafe { work_out(backend::device(list, index)?, rules, options) }?);
        Ok(())
    })
}

/// As vkscan_session_plan_new, for the device of a backend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_plan_for_backend(
    backend: Option<&vkscan_backend>,
    rules: Option<&vkscan_rules>,
    options: *const vkscan_session_options,
    plan: *mut *mut vkscan_session_plan,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(plan, "plan") }?;
        // SAFETY: as the header asks of the caller.
        to.set(unsafe { work_out(backend::of(backend)?.device_info(), rules, options) }?);
        Ok(())
    })
}

/// Works out a session.
///
/// # Safety
///
/// `options` is null or points to as many bytes as the struct says it has, and its text ends with a zero byte.
unsafe fn work_out(
    device: &DeviceInfo,
    rules: Option<&vkscan_rules>,
    options: *const vkscan_session_options,
) -> Result<vkscan_session_plan, Failure> {
    // SAFETY: as the caller promises.
    let options = unsafe { read_options(options, device) }?;
    let plan = rules::of(rules)?.plan_resident(device, &options)?;
    let memory = plan.memory();
    let purposes = memory.iter().map(|one| c_text(one.purpose)).collect();
    Ok(vkscan_session_plan { plan, memory, purposes })
}

/// Bytes of all buffers that the session will have: what vkscan_backend_allocated_bytes says then, if nothing else is
/// there; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_plan_bytes(plan: Option<&vkscan_session_plan>) -> u64 {
    get(0, || Ok(of(plan)?.plan.bytes()))
}

/// Number of purposes that the session will have buffers for; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_plan_memory_count(plan: Option<&vkscan_session_plan>) -> usize {
    get(0, || Ok(of(plan)?.memory.len()))
}

/// Tells of the buffers for the purpose at `index`, from 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_plan_memory(
    plan: Option<&vkscan_session_plan>,
    index: usize,
    one: *mut vkscan_planned_memory,
) -> vkscan_status {
    run(|| {
        let vkscan_session_plan { memory, purposes, .. } = of(plan)?;
        // SAFETY: as the header asks of the caller.
        let to = unsafe { SizedOut::new(one, "one") }?;
        let one = element(memory, index, "purposes")?;
        to.set(vkscan_planned_memory {
            struct_size: 0,
            reserved: 0,
            purpose: purposes[index].as_ptr(),
            buffers: one.buffers,
            bytes: one.bytes,
        });
        Ok(())
    })
}

/// Makes the session that was planned, as vkscan_session_prepare does.
///
/// It fails as that does, and with VKSCAN_STATUS_WRONG_BACKEND where the backend's device or driver is another one than
/// was planned for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_plan_prepare(
    plan: Option<&vkscan_session_plan>,
    backend: Option<&vkscan_backend>,
    session: *mut *mut vkscan_session,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(session, "session") }?;
        let backend = backend::of(backend)?;
        to.set(vkscan_session::new(of(plan)?.plan.prepare(backend)?, backend));
        Ok(())
    })
}

/// Frees a plan, and the texts that were asked of it. Sessions that were made of it go on working.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_plan_free(plan: Option<Box<vkscan_session_plan>>) {
    free(plan);
}

fn of(plan: Option<&vkscan_session_plan>) -> Result<&vkscan_session_plan, Failure> {
    plan.ok_or_else(|| Failure::null("plan"))
}
