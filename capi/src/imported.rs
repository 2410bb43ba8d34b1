//! Haystacks in memory of the caller's that the device copies from by itself.

use std::ffi::c_void;
use std::sync::Arc;

use vkscan::ImportedHaystack;

use crate::backend::{self, vkscan_backend};
use crate::border::{self, HandleOut};
use crate::raw::UserData;
use crate::status::{Failure, free, get, run, vkscan_status};

/// A haystack in host memory that the device copies from by itself: no copy by the host comes before. It can be scanned
/// by any session of its backend, as often as needed.
pub struct vkscan_imported_haystack {
    pub(crate) haystack: Arc<ImportedHaystack>,
}

/// Is told that memory is not read any more and may go, by whichever thread lets go of it last. It returns, and calls
/// no function of vkscan's.
pub type vkscan_release_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Releases memory of the caller's when it is dropped.
struct Release {
    release: unsafe extern "C" fn(*mut c_void),
    user_data: UserData,
}

impl Drop for Release {
    fn drop(&mut self) {
        // SAFETY: the caller's function gets the caller's data, once.
        unsafe { (self.release)(self.user_data.pointer()) };
    }
}

/// Memory of the caller's, and what is to be called when nobody reads it any more.
struct Owner {
    bytes: &'static [u8],
    _release: Release,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

/// Imports `len` bytes at `haystack`, at whatever address. That takes a while, for their pages are pinned, and pays for
/// memory that is scanned more than once, or is large, such as a file mapping. The bytes stay where and as they are
/// until `release` is called with `user_data`, which is called exactly once, also where this fails, and then as a rule
/// before this returns. Only if the device has not answered by the time that nothing else of vkscan's is left on it, it
/// is never called, for the device may read then what it likes. The haystack is freed with
/// vkscan_imported_haystack_free.
///
/// It fails with VKSCAN_STATUS_UNSUPPORTED for a device without VK_EXT_external_memory_host, or one of the caller's
/// that was made without; with VKSCAN_STATUS_INVALID_HANDLE where the driver does not take this memory; and with
/// VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more than VKSCAN_MAX_HAYSTACK_BYTES, or VKSCAN_STATUS_LIMIT_EXCEEDED for more
/// than the device imports at once. `release` must not be NULL: then it fails, and nothing is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_imported_haystack_new(
    backend: Option<&vkscan_backend>,
    haystack: *const u8,
    len: usize,
    release: vkscan_release_fn,
    user_data: *mut c_void,
    imported: *mut *mut vkscan_imported_haystack,
) -> vkscan_status {
    run(|| {
        let release = release.ok_or_else(|| Failure::null("release"));
        // From here on, whatever fails releases the memory.
        let release = release.map(|release| Release { release, user_data: UserData(user_data) });
        // SAFETY: as the header asks of the caller; the bytes stay until they are released.
        let (to, bytes) = unsafe {
            (HandleOut::new(imported, "imported")?, border::slice(haystack, len, "haystack")?)
        };
        let owner = Owner { bytes, _release: release? };
        let haystack = Arc::new(ImportedHaystack::new(backend::of(backend)?, owner)?);
        to.set(vkscan_imported_haystack { haystack });
        Ok(())
    })
}

/// Bytes; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_imported_haystack_len(
    imported: Option<&vkscan_imported_haystack>,
) -> usize {
    get(0, || Ok(imported.ok_or_else(|| Failure::null("imported"))?.haystack.len()))
}

/// Frees an imported haystack. Its memory is released when no ticket scans it any more and the device is done with it.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_imported_haystack_free(imported: Option<Box<vkscan_imported_haystack>>) {
    free(imported);
}
