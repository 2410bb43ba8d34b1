//! Captures: RenderDoc, where it is attached, writes to a file all that happens on a backend between two calls.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ash::vk::Handle as _;
use libloading::Library;

use super::Backend;
use super::error::{BackendError, Result};

/// A capture that is under way ([`Backend::capture`]), until [`Capture::end`]. Dropping it discards what was captured.
#[must_use = "dropping it discards what was captured"]
pub struct Capture {
    backend: Backend,
    renderdoc: RenderDoc,
    /// What its path begins with, and what others' begin with.
    path: CString,
    path_of_others: CString,
    /// Submissions before it, where all of them are ours.
    submissions_before: Option<u64>,
    is_over: bool,
    _turn: Turn,
}

impl Backend {
    /// Begins to capture all that happens on the device, by whomever, for RenderDoc to show: every command with its label,
    /// every buffer as it is after each, and the kernels. The file will be in `directory`, which is made if it is not there.
    ///
    /// RenderDoc has to be attached already. It is in the process from the start if `ENABLE_VULKAN_RENDERDOC_CAPTURE=1` is
    /// set, or if the program is started from RenderDoc or by `renderdoccmd capture`; nothing is loaded here. The file holds
    /// the content of all buffers that are used, so that captures should be small: of one scan of a small haystack.
    ///
    /// # Errors
    ///
    /// No RenderDoc in the process, or none that knows the device, as on all systems but Linux
    /// ([`BackendError::RenderDocMissing`]); a capture that is under way on any backend of the process, or a directory that
    /// cannot be made ([`BackendError::CaptureFailed`]); a lost device.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::path::Path;
    /// use vkscan::{Backend, BackendError, BackendOptions, RulePipeline, ScanScratch};
    ///
    /// let backend = Backend::new(&BackendOptions::default())?;
    /// let session = RulePipeline::new(&[r"\d+"])?.prepare_resident(&backend, 1 << 16, 100)?;
    /// let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    /// match backend.capture(Path::new("captures")) {
    ///     Ok(capture) => {
    ///         session.scan_into(&backend, b"one 2 three 44", &mut matches, &mut scratch)?;
    ///         println!("captured to {}", capture.end()?.display());
    ///     }
    ///     Err(error @ BackendError::RenderDocMissing { .. }) => println!("{error}"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok::<(), vkscan::ScanError>(())
    /// ```
    pub fn capture(&self, directory: &Path) -> Result<Capture> {
        self.device.alive()?;
        let library = loaded_library()?;
        let turn = Turn::take().ok_or_else(under_way)?;
        let renderdoc = RenderDoc::new(library)?;
        if renderdoc.is_capturing() {
            return Err(under_way());
        }
        let directory = fs::create_dir_all(directory)
            .and_then(|()| fs::canonicalize(directory))
            .map_err(|error| failed(format!("the directory {}: {error}", directory.display())))?;
        // RenderDoc would overwrite what other processes have left.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let path = directory.join(format!("vkscan-{now}-{}", std::process::id()));
        let path = CString::new(path.into_os_string().into_encoded_bytes())
            .map_err(|_| failed("the directory has a zero byte in its name"))?;
        let mut capture = Capture {
            backend: self.clone(),
            path_of_others: renderdoc.path(),
            renderdoc,
            path,
            submissions_before: self.device.submissions(),
            is_over: false,
            _turn: turn,
        };
        capture.renderdoc.set_path(&capture.path);
        capture.renderdoc.start(device_pointer(self));
        if !capture.renderdoc.is_capturing() {
            capture.is_over = true;
            return Err(BackendError::RenderDocMissing {
                reason: "RenderDoc is in this process and does not know the device: its layer has to be enabled when the \
                         instance is made",
            });
        }
        Ok(capture)
    }
}

impl Capture {
    /// Ends the capture and gives its file's path, an absolute one. What was submitted before has run then.
    ///
    /// # Errors
    ///
    /// A capture in which nothing was submitted, or that RenderDoc cannot write ([`BackendError::CaptureFailed`]); a device
    /// that was lost meanwhile. There is no file then.
    pub fn end(mut self) -> Result<PathBuf> {
        let device = &self.backend.device;
        device.alive()?;
        // Elsewhere others may have submitted commands, of which nothing is known.
        if self.submissions_before.is_some() && self.submissions_before == device.submissions() {
            return Err(failed("nothing was submitted to the device, so that it would be empty"));
        }
        self.finish().ok_or_else(|| {
            let path = self.path.to_string_lossy();
            failed(format!(
                "RenderDoc could not write {path}*.rdc; its log, in /tmp/RenderDoc, may say why"
            ))
        })
    }

    /// Has the file written, and says where it is if there is anything in it.
    fn finish(&mut self) -> Option<PathBuf> {
        self.is_over = true;
        let has_ended = self.renderdoc.end(device_pointer(&self.backend));
        let path = self.renderdoc.newest(&self.path).filter(|_| has_ended)?;
        fs::metadata(&path).is_ok_and(|file| file.len() > 0).then_some(path)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // `DiscardFrameCapture` of RenderDoc 1.24 goes through a null pointer with Vulkan: it is written all the same.
        if !self.is_over
            && let Some(path) = self.finish()
        {
            let _ = fs::remove_file(path);
        }
        self.renderdoc.set_path(&self.path_of_others);
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("path", &self.path).finish_non_exhaustive()
    }
}

fn failed(reason: impl Into<String>) -> BackendError {
    BackendError::CaptureFailed { reason: reason.into() }
}

fn under_way() -> BackendError {
    failed("another one is under way: end that first")
}

/// What RenderDoc knows a backend's device by.
fn device_pointer(backend: &Backend) -> *mut c_void {
    let instance = backend.device.instance().raw().handle().as_raw() as *const *mut c_void;
    // SAFETY: a `VkInstance` points to an object of the loader's, which begins with a pointer to its table of functions; the
    // backend keeps it alive.
    unsafe { *instance }
}

/// Kept by the only capture that there may be: all of a process has one path for them.
struct Turn;

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

impl Turn {
    fn take() -> Option<Turn> {
        (!IS_TAKEN.swap(true, Ordering::AcqRel)).then(|| Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Release);
    }
}

/// The interface of the RenderDoc that is in this process.
struct RenderDoc {
    functions: &'static Functions,
    /// Keeps them where they are.
    _library: Library,
}

/// `RENDERDOC_API_1_1_2` of `renderdoc_app.h`, as far as it is used; later versions only add to it.
#[repr(C)]
struct Functions {
    /// From GetAPIVersion to UnloadCrashHandler.
    _settings: [usize; 11],
    set_capture_file_path_template: unsafe extern "C" fn(*const c_char),
    get_capture_file_path_template: unsafe extern "C" fn() -> *const c_char,
    get_num_captures: unsafe extern "C" fn() -> u32,
    /// Index, path, its bytes with the one that ends it, and when it was made; 1 if there is such a capture.
    get_capture: unsafe extern "C" fn(u32, *mut c_char, *mut u32, *mut u64) -> u32,
    /// TriggerCapture, IsTargetControlConnected, LaunchReplayUI and SetActiveWindow.
    _window: [usize; 4],
    start_frame_capture: unsafe extern "C" fn(*mut c_void, *mut c_void),
    is_frame_capturing: unsafe extern "C" fn() -> u32,
    end_frame_capture: unsafe extern "C" fn(*mut c_void, *mut c_void) -> u32,
}

/// What RenderDoc calls version 1.1.2, that of its first release by which these functions have their names.
const VERSION: i32 = 10_102;

/// What nothing is shown in.
const NO_WINDOW: *mut c_void = ptr::null_mut();

impl RenderDoc {
    /// Not from several threads at once: `Turn`.
    fn new(library: Library) -> Result<RenderDoc> {
        let functions = || {
            // SAFETY: that is the function's type in `renderdoc_app.h`.
            let get = unsafe {
                library.get::<unsafe extern "C" fn(i32, *mut *const Functions) -> i32>(
                    b"RENDERDOC_GetAPI\0",
                )
            };
            let mut functions = ptr::null();
            // SAFETY: nobody else of ours calls it now, and it writes one pointer.
            let is_known = unsafe { get.ok()?(VERSION, &mut functions) } == 1;
            // SAFETY: where it knows the version it gives a table of that layout or a longer one, which stays as long as the
            // library; `RenderDoc` keeps that, and nothing else uses the table.
            unsafe { functions.as_ref() }.filter(|_| is_known)
        };
        let functions = functions().ok_or(BackendError::RenderDocMissing {
            reason: "the RenderDoc in this process is older than version 1.1.2 of its interface: install a newer one",
        })?;
        Ok(RenderDoc { functions, _library: library })
    }

    fn path(&self) -> CString {
        // SAFETY: it gives a C string, which stays as it is until the path is set anew.
        unsafe { CStr::from_ptr((self.functions.get_capture_file_path_template)()) }.to_owned()
    }

    fn set_path(&self, path: &CStr) {
        // SAFETY: it copies the C string.
        unsafe { (self.functions.set_capture_file_path_template)(path.as_ptr()) };
    }

    /// Does nothing if no such device is known.
    fn start(&self, device: *mut c_void) {
        // SAFETY: the device is alive; RenderDoc keeps queues from being used meanwhile.
        unsafe { (self.functions.start_frame_capture)(device, NO_WINDOW) };
    }

    fn is_capturing(&self) -> bool {
        // SAFETY: no preconditions.
        unsafe { (self.functions.is_frame_capturing)() == 1 }
    }

    /// Says whether there is a capture now.
    fn end(&self, device: *mut c_void) -> bool {
        // SAFETY: as for `start`.
        unsafe { (self.functions.end_frame_capture)(device, NO_WINDOW) == 1 }
    }

    /// The path of the newest capture of this process whose path begins so.
    fn newest(&self, begin: &CStr) -> Option<PathBuf> {
        // SAFETY: no preconditions.
        let count = unsafe { (self.functions.get_num_captures)() };
        let mut paths = (0..count).rev().filter_map(|index| self.capture(index));
        let path = paths.find(|path| path.starts_with(begin.to_bytes()))?;
        // SAFETY: what it begins with came from a path of this system, and there is nothing but ASCII behind that.
        Some(unsafe { std::ffi::OsString::from_encoded_bytes_unchecked(path) }.into())
    }

    /// The path of a capture.
    fn capture(&self, index: u32) -> Option<Vec<u8>> {
        let get = self.functions.get_capture;
        let mut len = 0;
        // SAFETY: without room for the path it writes its length alone.
        let is_there = unsafe { get(index, ptr::null_mut(), &mut len, ptr::null_mut()) };
        let mut path = vec![0_u8; len as usize];
        if is_there == 1 && len > 0 {
            // SAFETY: there is room for as many bytes as it just said: a capture's path stays what it is.
            unsafe { get(index, path.as_mut_ptr().cast(), &mut len, ptr::null_mut()) };
        }
        path.pop().map(|_| path)
    }
}

/// RenderDoc's library, if this process has loaded it; it is not loaded for this.
#[cfg(target_os = "linux")]
fn loaded_library() -> Result<Library> {
    use libloading::os::unix;

    /// Of `dlfcn.h`.
    const RTLD_NOLOAD: i32 = 4;
    let flags = unix::RTLD_NOW | RTLD_NOLOAD;
    // SAFETY: nothing is loaded, so that nothing is run.
    let found = unsafe { unix::Library::open(Some("librenderdoc.so"), flags) };
    found.map(Library::from).map_err(|_| BackendError::RenderDocMissing {
        reason: "RenderDoc is not attached: install it (Debian, Ubuntu: `apt install renderdoccmd`) and set \
                 ENABLE_VULKAN_RENDERDOC_CAPTURE=1, or start the program from RenderDoc or by `renderdoccmd capture`",
    })
}

#[cfg(not(target_os = "linux"))]
fn loaded_library() -> Result<Library> {
    Err(BackendError::RenderDocMissing { reason: "that is done on Linux alone so far" })
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestBackend;
    use super::*;

    /// `tests/capture.rs` has it attached.
    #[test]
    fn without_renderdoc_an_error_says_how_to_attach_it() {
        let backend = TestBackend::new();
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("captures");
        let error = backend.capture(&directory).err().unwrap();
        assert!(matches!(error, BackendError::RenderDocMissing { .. }), "{error}");
        let text = error.to_string();
        for part in ["ENABLE_VULKAN_RENDERDOC_CAPTURE=1", "renderdoccmd capture", "apt install"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!directory.exists());
        assert!(Turn::take().is_some(), "it is no capture");
    }
}
