//! What can go wrong below the scanner, and what to do about it.

use std::time::Duration;

use ash::vk;

/// A fault of the Vulkan side: loader, device, memory, time.
///
/// Every message says what was wrong, which limit applied and what to do.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendError, BackendOptions};
///
/// let options = BackendOptions::default().device(Some("no such device".parse()?));
/// match Backend::new(&options) {
///     Err(BackendError::DeviceNotFound { available, .. }) => println!("there are {available:?}"),
///     Err(error) => return Err(error.into()),
///     Ok(backend) => println!("{backend:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The Vulkan loader could not be opened, or is older than Vulkan 1.2.
    #[error(
        "no usable Vulkan loader: {reason}; install one of version 1.2 or later \
         (Debian, Ubuntu: `apt install libvulkan1 mesa-vulkan-drivers`; elsewhere: the GPU \
         vendor's driver)"
    )]
    LoaderMissing {
        /// What the dynamic linker or the loader said.
        reason: String,
    },

    /// The loader gave up before it came to a device: it says the same of a damaged manifest and of no memory.
    #[error(
        "the Vulkan loader cannot read the manifest (a JSON file) of a driver or a layer, or the host is \
         short of memory ({call}: {result:?}); VK_LOADER_DEBUG=all shows which file: mend or remove it, \
         or name the right ones in VK_DRIVER_FILES"
    )]
    LoaderFailed {
        /// The Vulkan command.
        call: &'static str,
        /// What it returned.
        result: vk::Result,
    },

    /// The loader works, but no driver offers a device.
    #[error(
        "no Vulkan device: no installed driver offers one; install the GPU vendor's driver, or \
         Mesa's CPU driver (Debian, Ubuntu: `apt install mesa-vulkan-drivers`); VK_LOADER_DEBUG=all \
         shows which were tried"
    )]
    NoDevice,

    /// No device fits the selector.
    #[error(
        "no Vulkan device fits {selector}; there are: {}; select one by index, part of its name \
         or UUID",
        available.join(", ")
    )]
    DeviceNotFound {
        /// What was asked for.
        selector: String,
        /// `index: name` of every device there is.
        available: Vec<String>,
    },

    /// The device cannot run the kernels.
    #[error("{device} cannot be used: {missing}; update its driver or select another device")]
    UnsupportedDevice {
        /// The device's name.
        device: String,
        /// Every requirement it does not meet.
        missing: String,
    },

    /// Validation was asked for and cannot be had. Going on without it would be a lie.
    #[error(
        "validation was asked for, but {reason}; install the Khronos validation layer (Debian, \
         Ubuntu: `apt install vulkan-validationlayers`) if that is missing, or ask for less"
    )]
    ValidationMissing {
        /// What is absent, or what `VKSCAN_VALIDATION` says and may not.
        reason: String,
    },

    /// An allocation failed. Nothing of it is left behind.
    #[error(
        "out of {memory} memory: {} for {what}; free other users of it or ask for less",
        asked(bytes)
    )]
    OutOfMemory {
        /// Which memory ran out.
        memory: Memory,
        /// Bytes asked for; `None` where the driver allocates for itself and does not say.
        bytes: Option<u64>,
        /// What the memory was for.
        what: String,
    },

    /// A request beyond what the device, or a buffer made earlier, can ever hold.
    #[error("{what} asks for {asked}, the limit is {limit}; split it or raise the limit")]
    LimitExceeded {
        /// What was asked, with its unit.
        what: String,
        /// How much was asked.
        asked: u64,
        /// How much there can be.
        limit: u64,
    },

    /// Something did not finish in time. It may still finish later.
    #[error(
        "timed out after {waited:?} waiting for {what}; allow more time (`wait_timeout`), or give \
         the device less work at once"
    )]
    Timeout {
        /// How long the call waited.
        waited: Duration,
        /// What it waited for.
        what: String,
    },

    /// What was freed is still in use. Nothing has leaked: it is given back once the device has answered, by any later call
    /// on this backend or, at the latest, when that is dropped.
    #[error(
        "the device has not answered in time and still holds {bytes} bytes of what was freed: they are given back by a \
         later call, once it has (`Backend::held_back` tells what is left)"
    )]
    StillInUse {
        /// Bytes of buffers.
        bytes: u64,
    },

    /// Something of the caller's that cannot be used: a handle, a queue, a buffer, memory.
    #[error("{what} cannot be used: {reason}")]
    InvalidHandle {
        /// What it is.
        what: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },

    /// The device lacks what this takes, or was made without it.
    #[error("{what} takes {needed}, which the device does not have, or was made without")]
    Unsupported {
        /// What was to be done.
        what: &'static str,
        /// The extension.
        needed: &'static str,
    },

    /// What the driver has made of kernels could not be kept. Scans do not depend on it.
    #[error("the pipeline cache was not written: {reason}")]
    PipelineCache {
        /// The file, and what is wrong with it.
        reason: String,
    },

    /// What can be done with a device of vkscan's own alone.
    #[error(
        "{what} takes a device that vkscan opened itself, and this one is the caller's: make a new device, and a \
         backend from that"
    )]
    CallersDevice {
        /// What was to be done.
        what: &'static str,
    },

    /// RenderDoc is not in this process, or not as it has to be, so that nothing can be captured.
    #[error("nothing can be captured: {reason}")]
    RenderDocMissing {
        /// What is missing, and how to have it.
        reason: &'static str,
    },

    /// A capture that did not come about. Nothing of it is left behind.
    #[error("no capture was made: {reason}")]
    CaptureFailed {
        /// Why not.
        reason: String,
    },

    /// The device is gone (driver reset, hang, removal). Every later call on this backend says so.
    #[error(
        "the Vulkan device is lost ({report}); drop everything made from this backend and create a new one"
    )]
    DeviceLost {
        /// Which call said so, what was under way then, and what the driver says, as far as that is known.
        report: String,
    },

    /// Any other Vulkan call that failed.
    #[error("{call} failed: {result}; this is unexpected: run with VKSCAN_VALIDATION=1 to see why")]
    Vulkan {
        /// The Vulkan command.
        call: &'static str,
        /// What it returned.
        result: vk::Result,
    },
}

/// The two places memory can run out in.
///
/// # Examples
///
/// ```
/// assert_eq!(vkscan::Memory::Device.to_string(), "device");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Memory of the host, device-visible or not.
    Host,
    /// Memory of the device.
    Device,
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Memory::Host => "host",
            Memory::Device => "device",
        })
    }
}

pub(crate) type Result<T, E = BackendError> = std::result::Result<T, E>;

impl BackendError {
    /// The error of something of the caller's that cannot be used.
    pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<String>) -> BackendError {
        BackendError::InvalidHandle { what: what.into(), reason: reason.into() }
    }

    /// The same, unless a driver says that it does not know what was handed to it from elsewhere.
    pub(super) fn of_external(self, what: &str, reason: &str) -> BackendError {
        match self {
            BackendError::Vulkan { result: vk::Result::ERROR_INVALID_EXTERNAL_HANDLE, .. } => {
                BackendError::invalid(what, reason)
            }
            error => error,
        }
    }

    /// The error a failed Vulkan command stands for.
    pub(super) fn from_vk(call: &'static str, result: vk::Result) -> BackendError {
        let out_of =
            |memory| BackendError::OutOfMemory { memory, bytes: None, what: call.to_owned() };
        match result {
            vk::Result::ERROR_DEVICE_LOST => {
                BackendError::DeviceLost { report: format!("{call} says so") }
            }
            vk::Result::ERROR_OUT_OF_HOST_MEMORY => out_of(Memory::Host),
            vk::Result::ERROR_OUT_OF_DEVICE_MEMORY => out_of(Memory::Device),
            result => BackendError::Vulkan { call, result },
        }
    }
}

fn asked(bytes: &Option<u64>) -> String {
    match bytes {
        Some(bytes) => format!("{bytes} bytes asked"),
        None => "the driver's own allocation".to_owned(),
    }
}
