//! Where haystacks may be: in the caller's memory, in staging memory, and on the device.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vkscan::{Haystack, ImportedHaystack, ResidentHaystack, StagedHaystack};

use crate::backend::{self, vkscan_backend};
use crate::border::{self, HandleOut, Out, sized};
use crate::imported::vkscan_imported_haystack;
use crate::objects::vkscan_raw_buffer;
use crate::session::{self, vkscan_session};
use crate::status::{Failure, free, get, run, vkscan_status};

/// Staging memory lent by a session, to read a file or a socket straight into: a scan of it saves a copy.
pub struct vkscan_staged_haystack {
    memory: Mutex<Arc<StagedHaystack>>,
}

/// A haystack in device memory, to be scanned by any session of its backend, as often as needed.
pub struct vkscan_resident_haystack {
    pub(crate) haystack: Arc<ResidentHaystack>,
}

/// A haystack, wherever it is: in what is not NULL of the three handles; or else in `len` bytes at `bytes`. All that is
/// not needed is zero, as in `vkscan_haystack haystack = {.struct_size = sizeof haystack, .resident = resident};`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_haystack {
    /// sizeof(vkscan_haystack).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// In memory of the caller's.
    pub bytes: *const u8,
    /// Bytes there.
    pub len: usize,
    /// In staging memory.
    pub staged: *const vkscan_staged_haystack,
    /// On the device.
    pub resident: *const vkscan_resident_haystack,
    /// In memory of the caller's that the device copies from by itself.
    pub imported: *const vkscan_imported_haystack,
}

sized!(vkscan_haystack);

/// A haystack, and a share in it where it is ours.
pub(crate) enum Source<'a> {
    Bytes(&'a [u8]),
    Staged(Arc<StagedHaystack>),
    Resident(Arc<ResidentHaystack>),
    Imported(Arc<ImportedHaystack>),
}

/// The haystack that C speaks of.
///
/// # Safety
///
/// `haystack` is null or points to as many bytes as the struct says it has, whose handles are alive, and whose bytes
/// are there as long as the result is used.
pub(crate) unsafe fn source<'a>(haystack: *const vkscan_haystack) -> Result<Source<'a>, Failure> {
    // SAFETY: as the caller promises.
    let (haystack, bytes, staged, resident, imported) = unsafe {
        let haystack = border::read(haystack, "haystack")?;
        (
            haystack,
            border::slice(haystack.bytes, haystack.len, "haystack.bytes")?,
            haystack.staged.as_ref(),
            haystack.resident.as_ref(),
            haystack.imported.as_ref(),
        )
    };
    border::unused(haystack.reserved, "haystack.reserved", border::ZERO)?;
    let is_bytes = haystack.len > 0 || !haystack.bytes.is_null();
    match (is_bytes, staged, resident, imported) {
        (_, None, None, None) => Ok(Source::Bytes(bytes)),
        (false, Some(staged), None, None) => Ok(Source::Staged(staged.lock().clone())),
        (false, None, Some(resident), None) => Ok(Source::Resident(resident.share())),
        (false, None, None, Some(imported)) => Ok(Source::Imported(imported.haystack.clone())),
        _ => Err(Failure::argument("`haystack` is in more than one place: set the others to zero")),
    }
}

impl Source<'_> {
    pub(crate) fn haystack(&self) -> Haystack<'_> {
        match self {
            Source::Bytes(bytes) => Haystack::Bytes(bytes),
            Source::Staged(staged) => Haystack::Staged(staged),
            Source::Resident(resident) => Haystack::Resident(resident),
            Source::Imported(imported) => Haystack::Imported(imported),
        }
    }
}

impl vkscan_resident_haystack {
    /// A share in the haystack.
    pub(crate) fn share(&self) -> Arc<ResidentHaystack> {
        self.haystack.clone()
    }
}

impl vkscan_staged_haystack {
    fn lock(&self) -> MutexGuard<'_, Arc<StagedHaystack>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the memory, which nobody scans at the moment.
    fn change<T>(&self, change: impl FnOnce(&mut StagedHaystack) -> T) -> Result<T, Failure> {
        let mut memory = self.lock();
        let busy = "the staging memory is being scanned: wait for its ticket, or free that";
        Arc::get_mut(&mut memory).map(change).ok_or_else(|| Failure::new(vkscan_status::Busy, busy))
    }
}

/// Lends staging memory for a haystack of `len` bytes, which hold anything at first. It goes back with
/// vkscan_staged_haystack_free, and is kept to be lent again; vkscan_session_trim frees what is not lent.
///
/// It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more bytes than the session's capacity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_staging(
    session: Option<&vkscan_session>,
    len: usize,
    staged: *mut *mut vkscan_staged_haystack,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(staged, "staged") }?;
        let session = session::of(session)?;
        let memory = session.resident.staging(&session.backend, len)?;
        let memory = Mutex::new(Arc::new(memory));
        to.set(vkscan_staged_haystack { memory });
        Ok(())
    })
}

/// Gives the memory, to be written to until it is scanned or freed; after a scan it is asked for again. Reading it back
/// is slow on many devices. Of no bytes there may be no address that means anything.
///
/// It fails with VKSCAN_STATUS_BUSY while it is scanned, which is until a ticket for it has been waited for or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_staged_haystack_data(
    staged: Option<&vkscan_staged_haystack>,
    data: *mut *mut u8,
) -> vkscan_status {
    run(|| {
        let staged = staged_of(staged)?;
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::new(data, "data") }?;
        to.set(staged.change(|memory| memory.as_mut_ptr())?);
        Ok(())
    })
}

/// Bytes that a scan of it looks at; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_staged_haystack_len(staged: Option<&vkscan_staged_haystack>) -> usize {
    get(0, || Ok(staged_of(staged)?.lock().len()))
}

/// Makes it shorter, for good: what is behind `len` is not scanned. Where it is shorter already, it stays as it is.
///
/// It fails with VKSCAN_STATUS_BUSY while it is scanned.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_staged_haystack_truncate(
    staged: Option<&vkscan_staged_haystack>,
    len: usize,
) -> vkscan_status {
    run(|| staged_of(staged)?.change(|memory| memory.truncate(len)))
}

/// Gives staging memory back to its session. Where a ticket still scans it, it goes back with that.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_staged_haystack_free(staged: Option<Box<vkscan_staged_haystack>>) {
    free(staged);
}

/// Moves a haystack to the device. `haystack` is not needed any more then. It is freed with
/// vkscan_resident_haystack_free.
///
/// It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more than VKSCAN_MAX_HAYSTACK_BYTES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_resident_haystack_new(
    backend: Option<&vkscan_backend>,
    haystack: *const u8,
    len: usize,
    resident: *mut *mut vkscan_resident_haystack,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, haystack) = unsafe {
            (HandleOut::new(resident, "resident")?, border::slice(haystack, len, "haystack")?)
        };
        let backend = backend::of(backend)?;
        let haystack = Arc::new(ResidentHaystack::new(backend, haystack)?);
        to.set(vkscan_resident_haystack { haystack });
        Ok(())
    })
}

/// Makes a haystack of `len` bytes in a buffer of the caller's, from `offset` on, to be scanned where it lies. The
/// buffer has the bytes rounded up to whole 16 ones. The caller sees to it that what it holds has been written, as by
/// the semaphores of vkscan_submit_haystack, that it stays as it is while it is scanned, and that it outlives the
/// haystack and all tickets for it. It is freed with vkscan_resident_haystack_free.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for a null buffer, one that was made without
/// VK_BUFFER_USAGE_STORAGE_BUFFER_BIT or VK_BUFFER_USAGE_TRANSFER_SRC_BIT, one that does not have the bytes, or an
/// offset that is no multiple of `storage_buffer_alignment` of vkscan_device_info; and with
/// VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more than VKSCAN_MAX_HAYSTACK_BYTES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_resident_haystack_from_raw(
    backend: Option<&vkscan_backend>,
    buffer: *const vkscan_raw_buffer,
    offset: u64,
    len: usize,
    resident: *mut *mut vkscan_resident_haystack,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, buffer) = unsafe {
            let to = HandleOut::new(resident, "resident")?;
            (to, border::value(buffer, "buffer")?.get("buffer")?)
        };
        let backend = backend::of(backend)?;
        let haystack = Arc::new(ResidentHaystack::from_raw(backend, buffer, offset, len)?);
        to.set(vkscan_resident_haystack { haystack });
        Ok(())
    })
}

/// Bytes; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_resident_haystack_len(
    resident: Option<&vkscan_resident_haystack>,
) -> usize {
    get(0, || Ok(resident.ok_or_else(|| Failure::null("resident"))?.haystack.len()))
}

/// Frees a haystack on the device. Where a ticket still scans it, it goes with that.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_resident_haystack_free(resident: Option<Box<vkscan_resident_haystack>>) {
    free(resident);
}

fn staged_of(staged: Option<&vkscan_staged_haystack>) -> Result<&vkscan_staged_haystack, Failure> {
    staged.ok_or_else(|| Failure::null("staged"))
}
