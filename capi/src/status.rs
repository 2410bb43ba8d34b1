//! What a call came to, and why: a status for programs, a text for people. No panic leaves the library.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use vkscan::{BackendError, BuildError, RingError, RingItemError, ScanError, StreamError};

/// What a call came to. Numbers stay what they are; later versions may have more.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum vkscan_status {
    /// All went well.
    Ok = 0,
    /// An argument cannot be: a null pointer, a size, a choice that there is not. vkscan_last_error() names it.
    InvalidArgument = 1,
    /// A text is not UTF-8.
    InvalidUtf8 = 2,
    /// The caller's array is too small. The number that is needed has been stored.
    BufferTooSmall = 3,
    /// It is being scanned: wait for its ticket first.
    Busy = 4,
    /// A fault of the library's own. What the call was to do is not done.
    Panic = 5,
    /// A fault that this version has no status for.
    Other = 6,

    /// A pattern is not a regular expression that the `regex` crate accepts.
    Syntax = 20,
    /// A pattern compiles to more than `size_limit` bytes.
    PatternTooLarge = 21,
    /// Bytes are no rules that this version wrote, or they were damaged.
    Malformed = 22,

    /// There is no Vulkan loader, or it is older than Vulkan 1.2.
    LoaderMissing = 40,
    /// The loader cannot read the manifest of a driver or a layer.
    LoaderFailed = 41,
    /// No driver offers a device.
    NoDevice = 42,
    /// No device fits the selector.
    DeviceNotFound = 43,
    /// The device cannot run vkscan.
    UnsupportedDevice = 44,
    /// Validation was asked for and cannot be had.
    ValidationMissing = 45,
    /// Memory of the host or of the device ran out.
    OutOfMemory = 46,
    /// More was asked for than there can be, or than a limit of the caller's allows.
    LimitExceeded = 47,
    /// The device did not answer in time.
    Timeout = 48,
    /// What was freed is still in use. Nothing has leaked: it is given back when that is over.
    StillInUse = 49,
    /// A handle, a queue or memory of the caller's cannot be used.
    InvalidHandle = 50,
    /// The call takes a device that vkscan opened itself.
    CallersDevice = 51,
    /// The device is gone: free all that was made from it and open another one.
    DeviceLost = 52,
    /// Any other Vulkan call that failed.
    Vulkan = 53,
    /// The device lacks what the call takes, or was made without it.
    Unsupported = 54,
    /// RenderDoc is not in the process, or does not know the device.
    RenderDocMissing = 55,
    /// A capture did not come about.
    CaptureFailed = 56,
    /// What the driver has made of kernels could not be kept.
    PipelineCache = 57,

    /// The haystack does not fit the session.
    HaystackTooLarge = 60,
    /// There are more matches than the session was prepared for.
    TooManyMatches = 61,
    /// One pattern's tables are larger than a buffer of this device may be.
    RuleTooLarge = 62,
    /// A pattern cannot be decided within a window of the stream.
    Undecided = 63,
    /// Tickets hold all scans that the session takes at a time.
    AllInFlight = 64,
    /// What was given belongs to another backend than the session.
    WrongBackend = 65,
    /// The session's windows are too small for a stream.
    WindowTooSmall = 66,
    /// The read callback failed.
    Read = 67,
    /// A tuning profile is none, was measured on something else, or the device cannot do it.
    Tuning = 68,

    /// The ring session has been shut down, or could not be made anew after the loss of its device.
    Closed = 80,
    /// There is no room left: in a ring while what is in flight takes it, or in a batch.
    RingFull = 81,
    /// Items do not fit a round, however empty the ring is.
    TooManyItems = 82,
    /// Items that a fault of the device has held up are to be waited for first.
    Uncollected = 83,
    /// The memory of a batch is gone.
    BatchLost = 84,
    /// The tenant has no rules.
    NoRules = 85,
    /// The device found an item's slot at fault, and has not looked at the item.
    ItemFaulted = 86,
}

impl vkscan_status {
    const ALL: [(vkscan_status, &CStr); 44] = {
        use vkscan_status::*;
        [
            (Ok, c"all went well"),
            (InvalidArgument, c"an argument cannot be"),
            (InvalidUtf8, c"a text is not UTF-8"),
            (BufferTooSmall, c"the array is too small"),
            (Busy, c"it is being scanned"),
            (Panic, c"a fault of the library"),
            (Other, c"a fault without a status of its own"),
            (Syntax, c"a pattern is no regular expression"),
            (PatternTooLarge, c"a pattern is too large"),
            (Malformed, c"the bytes are no compiled rules of this version"),
            (LoaderMissing, c"no usable Vulkan loader"),
            (LoaderFailed, c"the Vulkan loader cannot read a manifest"),
            (NoDevice, c"no Vulkan device"),
            (DeviceNotFound, c"no Vulkan device fits the selector"),
            (UnsupportedDevice, c"the device cannot be used"),
            (ValidationMissing, c"validation cannot be had"),
            (OutOfMemory, c"out of memory"),
            (LimitExceeded, c"more than a limit allows"),
            (Timeout, c"the device has not answered in time"),
            (StillInUse, c"what was freed is still in use"),
            (InvalidHandle, c"a handle of the caller's cannot be used"),
            (CallersDevice, c"the device is the caller's"),
            (DeviceLost, c"the Vulkan device is lost"),
            (Vulkan, c"a Vulkan call failed"),
            (Unsupported, c"the device lacks what the call takes"),
            (RenderDocMissing, c"nothing can be captured without RenderDoc"),
            (CaptureFailed, c"no capture was made"),
            (PipelineCache, c"the pipeline cache was not written"),
            (HaystackTooLarge, c"the haystack does not fit the session"),
            (TooManyMatches, c"more matches than the session holds"),
            (RuleTooLarge, c"a pattern's tables do not fit the device"),
            (Undecided, c"a pattern is undecided within a window"),
            (AllInFlight, c"tickets hold all scans of the session"),
            (WrongBackend, c"it belongs to another backend"),
            (WindowTooSmall, c"the windows are too small for a stream"),
            (Read, c"the stream could not be read"),
            (Tuning, c"the tuning profile cannot be used"),
            (Closed, c"the ring session has been shut down"),
            (RingFull, c"there is no room left"),
            (TooManyItems, c"the items do not fit a round"),
            (Uncollected, c"items are to be waited for first"),
            (BatchLost, c"the memory of the batch is gone"),
            (NoRules, c"the tenant has no rules"),
            (ItemFaulted, c"the item's slot was at fault"),
        ]
    };
}

/// What a status stands for, in a few words; of a number that is none, so too. It is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_status_message(status: i32) -> *const c_char {
    let known = vkscan_status::ALL.iter().find(|(known, _)| *known as i32 == status);
    known.map_or(c"not a status of vkscan", |(_, message)| message).as_ptr()
}

/// Why the last call on this thread that failed did so: what was wrong and what to do. It is empty if none did, and
/// valid until the next call on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Why a call fails.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: vkscan_status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: vkscan_status, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }

    /// An argument that cannot be.
    pub(crate) fn argument(message: impl Into<String>) -> Failure {
        Failure::new(vkscan_status::InvalidArgument, message)
    }

    /// An argument that is null and must not be.
    pub(crate) fn null(name: &str) -> Failure {
        Failure::argument(format!("`{name}` is null"))
    }
}

/// Runs what a function is to do, and tells what it came to.
pub(crate) fn run(body: impl FnOnce() -> Result<(), Failure>) -> vkscan_status {
    catch(body).err().unwrap_or(vkscan_status::Ok)
}

/// Runs what a function is to return, which is `otherwise` where that fails.
pub(crate) fn get<T>(otherwise: T, body: impl FnOnce() -> Result<T, Failure>) -> T {
    catch(body).unwrap_or(otherwise)
}

/// Frees what a handle stands for.
pub(crate) fn free<T>(handle: Option<Box<T>>) {
    get((), || {
        drop(handle);
        Ok(())
    });
}

/// Keeps panics in, and the text of a failure for whoever asks.
fn catch<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, vkscan_status> {
    // What a panic left half done is as good as any value of its type: locks that it poisoned are taken all the same.
    let caught = catch_unwind(AssertUnwindSafe(body));
    let result = caught.unwrap_or_else(|panic| {
        let text = text_of(panic.as_ref());
        // What was thrown may itself panic when it is dropped.
        std::mem::forget(panic);
        Err(Failure::new(
            vkscan_status::Panic,
            format!("a fault of vkscan, please report it: {text}"),
        ))
    });
    result.map_err(|Failure { status, message }| {
        let text = CString::new(message.replace('\0', "\\0")).unwrap_or_default();
        // A thread that is about to end may have no such text any more.
        let _ = LAST_ERROR.try_with(|last| last.replace(text));
        status
    })
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        let status = match error {
            BuildError::Syntax { .. } => vkscan_status::Syntax,
            BuildError::TooLarge { .. } => vkscan_status::PatternTooLarge,
            BuildError::Malformed { .. } => vkscan_status::Malformed,
            _ => vkscan_status::Other,
        };
        Failure::new(status, error.to_string())
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Failure {
        let status = match error {
            BackendError::LoaderMissing { .. } => vkscan_status::LoaderMissing,
            BackendError::LoaderFailed { .. } => vkscan_status::LoaderFailed,
            BackendError::NoDevice => vkscan_status::NoDevice,
            BackendError::DeviceNotFound { .. } => vkscan_status::DeviceNotFound,
            BackendError::UnsupportedDevice { .. } => vkscan_status::UnsupportedDevice,
            BackendError::ValidationMissing { .. } => vkscan_status::ValidationMissing,
            BackendError::OutOfMemory { .. } => vkscan_status::OutOfMemory,
            BackendError::LimitExceeded { .. } => vkscan_status::LimitExceeded,
            BackendError::Timeout { .. } => vkscan_status::Timeout,
            BackendError::StillInUse { .. } => vkscan_status::StillInUse,
            BackendError::InvalidHandle { .. } => vkscan_status::InvalidHandle,
            BackendError::CallersDevice { .. } => vkscan_status::CallersDevice,
            BackendError::DeviceLost { .. } => vkscan_status::DeviceLost,
            BackendError::Vulkan { .. } => vkscan_status::Vulkan,
            BackendError::Unsupported { .. } => vkscan_status::Unsupported,
            BackendError::RenderDocMissing { .. } => vkscan_status::RenderDocMissing,
            BackendError::CaptureFailed { .. } => vkscan_status::CaptureFailed,
            BackendError::PipelineCache { .. } => vkscan_status::PipelineCache,
            _ => vkscan_status::Other,
        };
        Failure::new(status, error.to_string())
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Failure {
        let status = match error {
            ScanError::Backend(error) => return error.into(),
            ScanError::Rules(error) => return error.into(),
            ScanError::HaystackTooLarge { .. } => vkscan_status::HaystackTooLarge,
            ScanError::TooManyMatches { .. } => vkscan_status::TooManyMatches,
            ScanError::Limit { .. } => vkscan_status::LimitExceeded,
            ScanError::RuleTooLarge { .. } => vkscan_status::RuleTooLarge,
            ScanError::Undecided { .. } => vkscan_status::Undecided,
            ScanError::AllInFlight { .. } => vkscan_status::AllInFlight,
            ScanError::WrongBackend => vkscan_status::WrongBackend,
            ScanError::WindowTooSmall { .. } => vkscan_status::WindowTooSmall,
            ScanError::Read(_) => vkscan_status::Read,
            ScanError::Tuning(_) => vkscan_status::Tuning,
            _ => vkscan_status::Other,
        };
        Failure::new(status, error.to_string())
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Failure {
        let message = error.to_string();
        Failure { message, ..error.error.into() }
    }
}

impl From<RingError> for Failure {
    fn from(error: RingError) -> Failure {
        let status = match error {
            RingError::Scan(error) => return error.into(),
            RingError::Closed => vkscan_status::Closed,
            RingError::Full { .. } => vkscan_status::RingFull,
            RingError::TooMany { .. } => vkscan_status::TooManyItems,
            RingError::Limit { .. } => vkscan_status::InvalidArgument,
            RingError::Uncollected => vkscan_status::Uncollected,
            RingError::BatchLost | RingError::ForeignBatch => vkscan_status::BatchLost,
            RingError::NoPipeline { .. } => vkscan_status::NoRules,
            _ => vkscan_status::Other,
        };
        Failure::new(status, error.to_string())
    }
}

impl From<&RingItemError> for vkscan_status {
    fn from(error: &RingItemError) -> vkscan_status {
        match error {
            RingItemError::TooManyMatches { .. } => vkscan_status::TooManyMatches,
            RingItemError::TooLarge { .. } => vkscan_status::HaystackTooLarge,
            RingItemError::NoPipeline { .. } => vkscan_status::NoRules,
            RingItemError::OutOfRange { .. } => vkscan_status::InvalidArgument,
            RingItemError::WrongBackend => vkscan_status::WrongBackend,
            RingItemError::Faulted => vkscan_status::ItemFaulted,
            _ => vkscan_status::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_error() -> String {
        // SAFETY: the text is this thread's, and no other call comes in between.
        unsafe { CStr::from_ptr(vkscan_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_is_a_status_with_its_text() {
        assert_eq!(run(|| panic!("at {}", 7)), vkscan_status::Panic);
        assert_eq!(last_error(), "a fault of vkscan, please report it: at 7");
        assert_eq!(get(3, || std::panic::panic_any(1)), 3);
        assert!(last_error().ends_with("no text"));
        // What goes well leaves the text.
        assert_eq!(run(|| Ok(())), vkscan_status::Ok);
        assert!(last_error().ends_with("no text"));
    }

    #[test]
    fn a_text_with_a_zero_byte_is_whole() {
        let failure = Failure::argument("a\0b");
        assert_eq!(run(|| Err(failure)), vkscan_status::InvalidArgument);
        assert_eq!(last_error(), "a\\0b");
    }

    #[test]
    fn every_status_has_a_text_of_its_own() {
        let all = vkscan_status::ALL;
        for (index, (status, text)) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|(other, words)| other != status && words != text));
        }
    }
}
