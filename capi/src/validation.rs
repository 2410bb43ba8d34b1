//! What validation layers say.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vkscan::ValidationLog;

use crate::backend::{self, c_text, vkscan_backend};
use crate::border::{HandleOut, element};
use crate::status::{Failure, free, get, run, vkscan_status};

/// Errors and warnings of the validation layers, in the order they came. It may outlive its backend, and then has what
/// was said while that was closed.
pub struct vkscan_validation_log {
    log: ValidationLog,
    /// The messages that C has been told of.
    texts: Mutex<Vec<CString>>,
}

impl vkscan_validation_log {
    /// All messages so far. What has been told stays where it is.
    fn texts(&self) -> MutexGuard<'_, Vec<CString>> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = texts.len();
        texts.extend(self.log.messages().iter().skip(known).map(|text| c_text(text)));
        texts
    }
}

/// Gives the log of a backend, to be freed with vkscan_validation_log_free. It stays empty without validation, and
/// where the device is the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_validation_log(
    backend: Option<&vkscan_backend>,
    log: *mut *mut vkscan_validation_log,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(log, "log") }?;
        let log = backend::of(backend)?.validation_log();
        to.set(vkscan_validation_log { log, texts: Mutex::default() });
        Ok(())
    })
}

/// Number of messages so far; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_validation_log_count(log: Option<&vkscan_validation_log>) -> usize {
    get(0, || Ok(of(log)?.texts().len()))
}

/// The message at `index`, from 0, valid until the log is freed; NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_validation_log_message(
    log: Option<&vkscan_validation_log>,
    index: usize,
) -> *const c_char {
    get(ptr::null(), || Ok(element(&of(log)?.texts(), index, "messages")?.as_ptr()))
}

/// Frees a log, and the messages that were asked of it.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_validation_log_free(log: Option<Box<vkscan_validation_log>>) {
    free(log);
}

fn of(log: Option<&vkscan_validation_log>) -> Result<&vkscan_validation_log, Failure> {
    log.ok_or_else(|| Failure::null("log"))
}
