//! What validation layers say, and the names that tools such as RenderDoc and Nsight show.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::fmt::{self, Display, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use ash::{ext, vk};

/// Errors and warnings of the validation layers, in the order they came.
///
/// A handle: it outlives the backend it was taken from, so it also shows what is reported while the
/// device and the instance are destroyed.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// let log = backend.validation_log();
/// drop(backend);
/// assert!(log.messages().is_empty(), "{:?}", log.messages());
/// # Ok::<(), vkscan::BackendError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ValidationLog(Arc<Mutex<Vec<String>>>);

impl ValidationLog {
    /// The messages so far.
    pub fn messages(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Describes a messenger that writes to this log. General messages are left out: they are the
    /// loader's, about other people's drivers.
    ///
    /// The messenger points at this log's messages, so a handle to the log must outlive it.
    pub(super) fn messenger(&self) -> vk::DebugUtilsMessengerCreateInfoEXT<'static> {
        vk::DebugUtilsMessengerCreateInfoEXT::default()
            .message_severity(
                vk::DebugUtilsMessageSeverityFlagsEXT::ERROR
                    | vk::DebugUtilsMessageSeverityFlagsEXT::WARNING,
            )
            .message_type(
                vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION
                    | vk::DebugUtilsMessageTypeFlagsEXT::PERFORMANCE,
            )
            .pfn_user_callback(Some(on_message))
            .user_data(Arc::as_ptr(&self.0).cast_mut().cast::<c_void>())
    }
}

/// Called by the layers, on whichever thread made the offending call.
unsafe extern "system" fn on_message(
    severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _types: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    log: *mut c_void,
) -> vk::Bool32 {
    // A panic must not unwind into the driver.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: `log` is the pointer given to `messenger`, whose contract keeps the log alive.
        let log = unsafe { &*log.cast::<Mutex<Vec<String>>>() };
        // SAFETY: the layer passes valid callback data for the duration of the call; its message is
        // null or a C string.
        let message = unsafe {
            match data.as_ref() {
                Some(data) if !data.p_message.is_null() => {
                    CStr::from_ptr(data.p_message).to_string_lossy().into_owned()
                }
                _ => "message without text".to_owned(),
            }
        };
        log.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        if severity.contains(vk::DebugUtilsMessageSeverityFlagsEXT::ERROR) {
            tracing::error!("Vulkan validation: {message}");
        } else {
            tracing::warn!("Vulkan validation: {message}");
        }
    });
    // Anything else would abort the call that the message is about.
    vk::FALSE
}

/// Object names and command buffer labels; does nothing, and asks for no text, where `VK_EXT_debug_utils` is absent.
pub(super) struct Names {
    debug_utils: Option<ext::debug_utils::Device>,
    /// How many objects were given each name.
    given: Mutex<HashMap<String, usize>>,
}

impl Names {
    pub(super) fn new(debug_utils: Option<ext::debug_utils::Device>) -> Names {
        Names { debug_utils, given: Mutex::default() }
    }

    /// Names an object `vkscan/<what>`; the second one of that name `vkscan/<what> #2`, and so on. A name that cannot be set
    /// is not worth an error.
    pub(super) fn set(&self, object: impl vk::Handle, what: impl Display) {
        let Some(debug_utils) = &self.debug_utils else { return };
        let mut name = format!("vkscan/{what}");
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let count = given.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count > 1 {
            name += &format!(" #{count}");
        }
        drop(given);
        let Ok(name) = CString::new(name) else { return };
        let info =
            vk::DebugUtilsObjectNameInfoEXT::default().object_handle(object).object_name(&name);
        // SAFETY: the caller has just created the object and does not share it yet.
        let _ = unsafe { debug_utils.set_debug_utils_object_name(&info) };
    }

    pub(super) fn begin(&self, commands: vk::CommandBuffer, label: fmt::Arguments) {
        if let Some(debug_utils) = &self.debug_utils {
            let text = Text::new(label);
            let label = vk::DebugUtilsLabelEXT::default().label_name(text.as_c_str());
            // SAFETY: the caller is recording `commands`.
            unsafe { debug_utils.cmd_begin_debug_utils_label(commands, &label) };
        }
    }

    pub(super) fn end(&self, commands: vk::CommandBuffer) {
        if let Some(debug_utils) = &self.debug_utils {
            // SAFETY: the caller is recording `commands` and has begun a label in it.
            unsafe { debug_utils.cmd_end_debug_utils_label(commands) };
        }
    }
}

/// Bytes of a label, with the one that ends it. What is longer is cut off.
const LABEL_BYTES: usize = 128;

/// The text of a label. Nothing is allocated for it: warm scans have labels, too.
struct Text {
    bytes: [u8; LABEL_BYTES],
    len: usize,
}

impl Text {
    fn new(label: fmt::Arguments) -> Text {
        let mut text = Text { bytes: [0; LABEL_BYTES], len: 0 };
        // Writing to it does not fail.
        let _ = text.write_fmt(label);
        text
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).expect("the last byte is always zero")
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..LABEL_BYTES - 1];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_too_long_are_cut_off() {
        let text = |label: fmt::Arguments| Text::new(label).as_c_str().to_str().unwrap().to_owned();
        assert_eq!(text(format_args!("upload {} bytes", 7)), "upload 7 bytes");
        let long = "x".repeat(200);
        assert_eq!(text(format_args!("{long}")), long[..LABEL_BYTES - 1]);
        assert_eq!(text(format_args!("{}{long}", "y".repeat(127))), "y".repeat(127));
    }
}
