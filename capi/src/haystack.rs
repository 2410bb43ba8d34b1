//! Where haystacks may be besides the caller's memory: in staging memory, and on the device.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vkscan::{Haystack, ResidentHaystack, StagedHaystack};

use crate::backend::{self, vkscan_backend};
use crate::border::{self, HandleOut, Out};
use crate::session::{self, vkscan_session};
use crate::status::{Failure, free, get, run, vkscan_status};

/// Staging memory lent by a session, to read a file or a socket straight into: a scan of it saves a copy.
pub struct vkscan_staged_haystack {
    memory: Mutex<Arc<StagedHaystack>>,
}

/// A haystack in device memory, to be scanned by any session of its backend, as often as needed.
pub struct vkscan_resident_haystack {
    haystack: Arc<ResidentHaystack>,
}

/// A haystack, and a share in it where it is ours.
pub(crate) enum Source<'a> {
    Bytes(&'a [u8]),
    Staged(Arc<StagedHaystack>),
    Resident(Arc<ResidentHaystack>),
}

impl Source<'_> {
    pub(crate) fn haystack(&self) -> Haystack<'_> {
        match self {
            Source::Bytes(bytes) => Haystack::Bytes(bytes),
            Source::Staged(staged) => Haystack::Staged(staged),
            Source::Resident(resident) => Haystack::Resident(resident),
        }
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

/// A share in staging memory, to scan it.
pub(crate) fn staged_source(
    staged: Option<&vkscan_staged_haystack>,
) -> Result<Source<'static>, Failure> {
    Ok(Source::Staged(staged_of(staged)?.lock().clone()))
}

/// A share in a haystack on the device, to scan it.
pub(crate) fn resident_source(
    resident: Option<&vkscan_resident_haystack>,
) -> Result<Source<'static>, Failure> {
    Ok(Source::Resident(resident.ok_or_else(|| Failure::null("resident"))?.haystack.clone()))
}
