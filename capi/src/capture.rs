//! Captures for RenderDoc.

use std::ffi::{CString, c_char};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use vkscan::Capture;

use crate::backend::{self, c_text, vkscan_backend};
use crate::border::{self, HandleOut, Out};
use crate::status::{Failure, free, run, vkscan_status};

/// A capture of what happens on a device.
pub struct vkscan_capture {
    /// None once it has ended.
    capture: Mutex<Option<Capture>>,
    /// Where its file is.
    path: OnceLock<CString>,
}

/// Begins to capture all that happens on the device, by whomever, for RenderDoc to show. The file will be in
/// `directory`, which is made if it is not there. The capture ends with vkscan_capture_end, and is freed with
/// vkscan_capture_free. docs/PROFILING.md says how RenderDoc is attached.
///
/// It fails with VKSCAN_STATUS_RENDER_DOC_MISSING where RenderDoc is not in the process, or does not know the device;
/// with VKSCAN_STATUS_CAPTURE_FAILED while another capture is under way in the process, or where the directory cannot be
/// made; and with VKSCAN_STATUS_INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_capture(
    backend: Option<&vkscan_backend>,
    directory: *const c_char,
    capture: *mut *mut vkscan_capture,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, directory) =
            unsafe { (HandleOut::new(capture, "capture")?, border::text(directory, "directory")?) };
        let directory = directory.ok_or_else(|| Failure::null("directory"))?;
        let capture = backend::of(backend)?.capture(Path::new(directory))?;
        to.set(vkscan_capture { capture: Mutex::new(Some(capture)), path: OnceLock::new() });
        Ok(())
    })
}

/// Ends a capture. `path` gets where its file is, valid until the capture is freed.
///
/// It fails with VKSCAN_STATUS_CAPTURE_FAILED where nothing was submitted to the device meanwhile, or RenderDoc could not
/// write the file, and with VKSCAN_STATUS_INVALID_ARGUMENT where it has ended before. There is no file then. It fails with
/// VKSCAN_STATUS_INVALID_UTF8 where the path cannot be told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_capture_end(
    capture: Option<&vkscan_capture>,
    path: *mut *const c_char,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::new(path, "path") }?;
        let vkscan_capture { capture, path } = capture.ok_or_else(|| Failure::null("capture"))?;
        let mut capture = border::peek(capture)
            .ok_or_else(|| Failure::new(vkscan_status::Busy, "another thread ends the capture"))?;
        let capture =
            capture.take().ok_or_else(|| Failure::argument("the capture has ended before"))?;
        let file = capture.end()?;
        let file = file.to_str().ok_or_else(|| {
            let text =
                format!("the path {} is not UTF-8, but the capture is there", file.display());
            Failure::new(vkscan_status::InvalidUtf8, text)
        })?;
        to.set(path.get_or_init(|| c_text(file)).as_ptr());
        Ok(())
    })
}

/// Frees a capture. One that has not ended is discarded.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_capture_free(capture: Option<Box<vkscan_capture>>) {
    free(capture);
}
