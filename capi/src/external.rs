//! Memory and semaphores that others share by file descriptors. There are none on Windows.

use std::os::fd::{BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;

use vkscan::{
    ExternalBuffer, ExternalMemory, ExternalSemaphore, MemoryHandle, ResidentHaystack,
    SemaphoreHandle,
};

use crate::backend::{self, vkscan_backend};
use crate::border::{self, HandleOut, Out, SizedOut, sized};
use crate::haystack::vkscan_resident_haystack;
use crate::objects::vkscan_raw_buffer;
use crate::status::{Failure, free, get, run, vkscan_status};

/// How a file descriptor stands for memory.
#[repr(C)]
pub enum vkscan_memory_handle {
    /// As Vulkan devices of the same `uuid` and `driver_uuid` know it among themselves, and CUDA on the same device:
    /// VK_KHR_external_memory_fd.
    OpaqueFd = 0,
    /// A Linux dma-buf, which other devices and drivers know, too: VK_EXT_external_memory_dma_buf.
    DmaBuf = 1,
}

/// What semaphore it is, and how a file descriptor stands for it: VK_KHR_external_semaphore_fd.
#[repr(C)]
pub enum vkscan_semaphore_handle {
    /// A binary one, as Vulkan devices of the same `uuid` and `driver_uuid` know it among themselves, and CUDA on the
    /// same device.
    OpaqueBinary = 0,
    /// A timeline, likewise. It begins at 0.
    OpaqueTimeline = 1,
    /// A binary one, of which each signal is a Linux sync file of its own, which other devices and drivers know, too.
    SyncFd = 2,
}

/// Stands for a memory type that is not known.
pub const VKSCAN_UNKNOWN_MEMORY_TYPE: u32 = u32::MAX;

/// What whoever imports memory has to know of it beside its file descriptor, and which part of it is meant.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_external_memory {
    /// sizeof(vkscan_external_memory).
    pub struct_size: u32,
    /// A vkscan_memory_handle: what the file descriptor is.
    pub handle: u32,
    /// Bytes of all of it, as it was allocated.
    pub allocation_bytes: u64,
    /// Where the buffer begins in it, in bytes.
    pub offset: u64,
    /// Bytes of the buffer.
    pub bytes: u64,
    /// Index of the memory type that it was allocated of. VKSCAN_UNKNOWN_MEMORY_TYPE where it has none, because it is no
    /// Vulkan device that it was allocated by, or another one.
    pub memory_type: u32,
    /// 0.
    pub reserved: u32,
}

sized!(vkscan_external_memory);

/// A buffer in device memory that others share: another device, another process, CUDA. They write haystacks there
/// (vkscan_resident_haystack_from_external), or read hits (vkscan_recording_record).
///
/// Who may use it when is theirs to agree on, by semaphores such as a vkscan_external_semaphore, or by waiting. Each
/// submission of a scan takes the memory over from VK_QUEUE_FAMILY_EXTERNAL, or of a dma-buf from
/// VK_QUEUE_FAMILY_FOREIGN_EXT where the device has that, and hands it back; so does whoever else uses it by Vulkan,
/// commands of a recording included.
pub struct vkscan_external_buffer {
    buffer: ExternalBuffer,
}

/// A semaphore that others share, for vkscan_submit_haystack. It has to outlive its use: what waits for it has done so
/// when its scan is over; what signals it has run when a later scan of the same backend is over, for they are on one
/// queue.
pub struct vkscan_external_semaphore {
    semaphore: ExternalSemaphore,
}

fn memory_handle(handle: u32) -> Result<MemoryHandle, Failure> {
    match handle {
        0 => Ok(MemoryHandle::OpaqueFd),
        1 => Ok(MemoryHandle::DmaBuf),
        other => Err(Failure::argument(format!("`handle` {other} is no vkscan_memory_handle"))),
    }
}

fn semaphore_handle(handle: u32) -> Result<SemaphoreHandle, Failure> {
    match handle {
        0 => Ok(SemaphoreHandle::OpaqueBinary),
        1 => Ok(SemaphoreHandle::OpaqueTimeline),
        2 => Ok(SemaphoreHandle::SyncFd),
        other => Err(Failure::argument(format!("`handle` {other} is no vkscan_semaphore_handle"))),
    }
}

fn from_c(memory: &vkscan_external_memory) -> Result<ExternalMemory, Failure> {
    border::unused(memory.reserved, "memory.reserved", border::ZERO)?;
    let handle = memory_handle(memory.handle)?;
    let is_known = memory.memory_type != VKSCAN_UNKNOWN_MEMORY_TYPE;
    Ok(ExternalMemory::new(handle, memory.allocation_bytes)
        .memory_type(is_known.then_some(memory.memory_type))
        .offset(memory.offset)
        .bytes(memory.bytes))
}

/// Imports by a duplicate of a caller's file descriptor, and closes that once it has been imported: until then it stays
/// the caller's.
///
/// # Safety
///
/// The file descriptor is open and the caller's, or there is none of that number.
unsafe fn import<T>(
    fd: RawFd,
    import: impl FnOnce(OwnedFd) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let not_open = |reason: &str| {
        let text = format!("the file descriptor {fd} cannot be used: {reason}");
        Failure::new(vkscan_status::InvalidHandle, text)
    };
    if fd < 0 {
        return Err(not_open("it is none"));
    }
    // SAFETY: as the caller promises; if it is not open, duplicating it says so.
    let duplicate = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
    let made = import(duplicate.map_err(|error| not_open(&error.to_string()))?)?;
    // SAFETY: it is open, and this function's now.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(made)
}

/// Makes a buffer of `bytes` bytes, rounded up to whole 16 ones, whose memory others can import. `handle` is a
/// vkscan_memory_handle. What it holds is undefined. It is freed with vkscan_external_buffer_free.
///
/// It fails with VKSCAN_STATUS_UNSUPPORTED for a device that does not export memory so, or one of the caller's that was
/// made without the extension; with VKSCAN_STATUS_INVALID_HANDLE for no bytes; and with VKSCAN_STATUS_LIMIT_EXCEEDED
/// for more than one allocation or the backend's limit has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_external_buffer_new(
    backend: Option<&vkscan_backend>,
    handle: u32,
    bytes: u64,
    buffer: *mut *mut vkscan_external_buffer,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(buffer, "buffer") }?;
        let handle = memory_handle(handle)?;
        let buffer = ExternalBuffer::new(backend::of(backend)?, handle, bytes)?;
        to.set(vkscan_external_buffer { buffer });
        Ok(())
    })
}

/// Makes a buffer of memory that others have exported, which stays as it is. The file descriptor is vkscan's if this
/// succeeds, and stays the caller's if it fails. The buffer is freed with vkscan_external_buffer_free.
///
/// The file descriptor is what `memory` says it is, of memory that was not allocated for one resource alone
/// (VkMemoryDedicatedAllocateInfo). What an opaque one stands for was allocated on a device with the same `uuid` and
/// `driver_uuid` of vkscan_device_info, with that size, and by Vulkan of that memory type.
///
/// It fails with VKSCAN_STATUS_UNSUPPORTED for a device that does not import memory so, or one of the caller's that was
/// made without the extension; and with VKSCAN_STATUS_INVALID_HANDLE for a part of no bytes, one that the memory does
/// not have, an offset that buffers cannot begin at, a memory type that they cannot be in, what is no open file
/// descriptor, or what the driver does not know as such memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_external_buffer_import(
    backend: Option<&vkscan_backend>,
    fd: i32,
    memory: *const vkscan_external_memory,
    buffer: *mut *mut vkscan_external_buffer,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, memory) =
            unsafe { (HandleOut::new(buffer, "buffer")?, border::read(memory, "memory")?) };
        let (backend, memory) = (backend::of(backend)?, from_c(&memory)?);
        // SAFETY: as the header asks of the caller.
        let buffer = unsafe { import(fd, |fd| Ok(ExternalBuffer::import(backend, fd, &memory)?)) }?;
        to.set(vkscan_external_buffer { buffer });
        Ok(())
    })
}

/// Makes a file descriptor for the memory, which the caller closes or hands on, for others to import with what
/// vkscan_external_buffer_memory says. The memory lives as long as anybody has it.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for a buffer whose memory was imported.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_external_buffer_export(
    buffer: Option<&vkscan_external_buffer>,
    fd: *mut i32,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::new(fd, "fd") }?;
        to.set(-1);
        to.set(buffer_of(buffer)?.export_fd()?.into_raw_fd());
        Ok(())
    })
}

/// Tells what whoever imports the memory has to know, beside `uuid` and `driver_uuid` of vkscan_device_info.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_external_buffer_memory(
    buffer: Option<&vkscan_external_buffer>,
    memory: *mut vkscan_external_memory,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { SizedOut::new(memory, "memory") }?;
        let memory = buffer_of(buffer)?.memory();
        let handle = match memory.handle {
            MemoryHandle::DmaBuf => vkscan_memory_handle::DmaBuf,
            _ => vkscan_memory_handle::OpaqueFd,
        };
        to.set(vkscan_external_memory {
            struct_size: 0,
            handle: handle as u32,
            allocation_bytes: memory.allocation_bytes,
            offset: memory.offset,
            bytes: memory.bytes,
            memory_type: memory.memory_type.unwrap_or(VKSCAN_UNKNOWN_MEMORY_TYPE),
            reserved: 0,
        });
        Ok(())
    })
}

/// Tells the VkBuffer, its size and its usage, which is that of a storage buffer and of transfers both ways: for
/// commands of the program's, and for recordings. It goes with the last of the external buffer and the haystacks in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_external_buffer_raw(
    buffer: Option<&vkscan_external_buffer>,
    raw: *mut vkscan_raw_buffer,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::new(raw, "raw") }?;
        let (buffer, size, usage) = buffer_of(buffer)?.raw_buffer();
        to.set(vkscan_raw_buffer { buffer, size, usage, reserved: 0 });
        Ok(())
    })
}

/// Frees a buffer. Its memory goes with the last of the haystacks in it, and with the last of those who share it.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_external_buffer_free(buffer: Option<Box<vkscan_external_buffer>>) {
    free(buffer);
}

/// Makes a haystack of `len` bytes in memory that others share, from `offset` on, to be scanned where it lies. The
/// buffer has the bytes rounded up to whole 16 ones. They have to be written before they are scanned, and to stay as
/// they are meanwhile, as for vkscan_resident_haystack_from_raw. It is freed with vkscan_resident_haystack_free.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for a buffer that does not have the bytes, or an offset that is no
/// multiple of `storage_buffer_alignment` of vkscan_device_info; and with VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more than
/// VKSCAN_MAX_HAYSTACK_BYTES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_resident_haystack_from_external(
    buffer: Option<&vkscan_external_buffer>,
    offset: u64,
    len: usize,
    resident: *mut *mut vkscan_resident_haystack,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(resident, "resident") }?;
        let haystack = ResidentHaystack::from_external(buffer_of(buffer)?, offset, len)?;
        to.set(vkscan_resident_haystack { haystack: Arc::new(haystack) });
        Ok(())
    })
}

/// Makes a semaphore that others can import. `handle` is a vkscan_semaphore_handle. It is freed with
/// vkscan_external_semaphore_free.
///
/// It fails with VKSCAN_STATUS_UNSUPPORTED for a device that does not export such semaphores, or one of the caller's
/// that was made without the extension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_external_semaphore_new(
    backend: Option<&vkscan_backend>,
    handle: u32,
    semaphore: *mut *mut vkscan_external_semaphore,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(semaphore, "semaphore") }?;
        let handle = semaphore_handle(handle)?;
        let semaphore = ExternalSemaphore::new(backend::of(backend)?, handle)?;
        to.set(vkscan_external_semaphore { semaphore });
        Ok(())
    })
}

/// Makes a semaphore of one that others have exported. The file descriptor is vkscan's if this succeeds, and stays the
/// caller's if it fails. A VKSCAN_SEMAPHORE_HANDLE_SYNC_FD can be waited for once: it stands for one signal. The
/// semaphore is freed with vkscan_external_semaphore_free.
///
/// The file descriptor is what `handle`, a vkscan_semaphore_handle, says it is, and an opaque one was exported on a
/// device with the same `uuid` and `driver_uuid` of vkscan_device_info.
///
/// It fails with VKSCAN_STATUS_UNSUPPORTED for a device that does not import such semaphores, or one of the caller's
/// that was made without the extension; and with VKSCAN_STATUS_INVALID_HANDLE for what is no open file descriptor, or
/// what the driver does not know as such a semaphore.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_external_semaphore_import(
    backend: Option<&vkscan_backend>,
    handle: u32,
    fd: i32,
    semaphore: *mut *mut vkscan_external_semaphore,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(semaphore, "semaphore") }?;
        let (backend, handle) = (backend::of(backend)?, semaphore_handle(handle)?);
        // SAFETY: as the header asks of the caller.
        let semaphore =
            unsafe { import(fd, |fd| Ok(ExternalSemaphore::import(backend, handle, fd)?)) }?;
        to.set(vkscan_external_semaphore { semaphore });
        Ok(())
    })
}

/// Makes a file descriptor for others to import, which the caller closes or hands on. It is -1 for a
/// VKSCAN_SEMAPHORE_HANDLE_SYNC_FD that is signalled already.
///
/// That of a VKSCAN_SEMAPHORE_HANDLE_SYNC_FD is for the signal that was submitted last, and takes it from the semaphore,
/// as waiting for it does: one has been submitted, and nothing that waits for it. A scan's signals are submitted when its
/// ticket has been waited for or freed.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for a semaphore that was imported.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_external_semaphore_export(
    semaphore: Option<&vkscan_external_semaphore>,
    fd: *mut i32,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::new(fd, "fd") }?;
        to.set(-1);
        // SAFETY: as the header asks of the caller.
        let fd = unsafe { semaphore_of(semaphore)?.export_fd() }?;
        to.set(fd.map_or(-1, OwnedFd::into_raw_fd));
        Ok(())
    })
}

/// The VkSemaphore, for vkscan_raw_semaphore; 0 for NULL. It goes with the external one, which is freed once nothing
/// uses it any more.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_external_semaphore_raw(
    semaphore: Option<&vkscan_external_semaphore>,
) -> u64 {
    get(0, || Ok(semaphore_of(semaphore)?.handle()))
}

/// Frees a semaphore, which nothing that was submitted uses any more.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_external_semaphore_free(
    semaphore: Option<Box<vkscan_external_semaphore>>,
) {
    free(semaphore);
}

fn buffer_of(buffer: Option<&vkscan_external_buffer>) -> Result<&ExternalBuffer, Failure> {
    Ok(&buffer.ok_or_else(|| Failure::null("buffer"))?.buffer)
}

fn semaphore_of(
    semaphore: Option<&vkscan_external_semaphore>,
) -> Result<&ExternalSemaphore, Failure> {
    Ok(&semaphore.ok_or_else(|| Failure::null("semaphore"))?.semaphore)
}
