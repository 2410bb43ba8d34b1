//! The C interface of vkscan. `capi/include/vkscan.h` is made of it, so comments here are for those who write C; what
//! holds for all functions is said once, at the header's beginning (`cbindgen.toml`).
//!
//! | file | story |
//! |---|---|
//! | `status.rs` | what a call came to; no panic leaves the library |
//! | `border.rs` | pointers, lengths and structs, looked at before they are used |
//! | `backend.rs` | devices |
//! | `raw.rs` | devices that the caller owns: handles, a lock, an allocator |
//! | `objects.rs` | buffers, semaphores and barriers that the caller owns |
//! | `memory.rs` | what memory is used for |
//! | `validation.rs` | what validation layers say |
//! | `capture.rs` | captures for RenderDoc |
//! | `rules.rs` | patterns to tables |
//! | `session.rs` | sessions and scans |
//! | `plan.rs` | sessions that are worked out before they are made |
//! | `ticket.rs` | scans in flight |
//! | `record.rs` | scans in command buffers of the caller's |
//! | `haystack.rs` | staging memory, and haystacks on the device |
//! | `imported.rs` | haystacks that the device copies from by itself |
//! | `external.rs` | memory and semaphores that others share |
//! | `stream.rs` | haystacks of any length |
//! | `ring/` | many small haystacks at a time |

// Types have the names that they have in C.
#![allow(non_camel_case_types)]
// What callers have to see to is said once, in the header.
#![allow(clippy::missing_safety_doc)]
#![warn(missing_docs)]

pub mod backend;
pub mod border;
pub mod capture;
#[cfg(unix)]
pub mod external;
pub mod haystack;
pub mod imported;
pub mod memory;
pub mod objects;
pub mod plan;
pub mod raw;
pub mod record;
pub mod ring;
pub mod rules;
pub mod session;
pub mod status;
pub mod stream;
pub mod ticket;
pub mod validation;

use std::ffi::{CStr, c_char};

/// Any thread may use any handle, which in C nothing else makes sure of.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<backend::vkscan_backend>();
    is_shared::<backend::vkscan_device_list>();
    is_shared::<capture::vkscan_capture>();
    #[cfg(unix)]
    is_shared::<external::vkscan_external_buffer>();
    #[cfg(unix)]
    is_shared::<external::vkscan_external_semaphore>();
    is_shared::<haystack::vkscan_resident_haystack>();
    is_shared::<haystack::vkscan_staged_haystack>();
    is_shared::<imported::vkscan_imported_haystack>();
    is_shared::<memory::vkscan_memory_report>();
    is_shared::<plan::vkscan_session_plan>();
    is_shared::<raw::vkscan_required_features>();
    is_shared::<record::vkscan_recording>();
    is_shared::<ring::vkscan_ring>();
    is_shared::<ring::batch::vkscan_ring_batch>();
    is_shared::<ring::ticket::vkscan_ring_ticket>();
    is_shared::<rules::vkscan_rules>();
    is_shared::<session::vkscan_session>();
    is_shared::<ticket::vkscan_ticket>();
    is_shared::<validation::vkscan_validation_log>();
};

/// Number of the binary interface that this header describes. Libraries of the same number may be exchanged for later
/// ones; it is the number in the shared library's name, too.
pub const VKSCAN_ABI_VERSION: u32 = 0;

/// Number of the library's binary interface, to be compared with VKSCAN_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_abi_version() -> u32 {
    VKSCAN_ABI_VERSION
}

/// The library's version, such as "0.1.0". It is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version has no zero byte"),
        };
    VERSION.as_ptr()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_shared_library_is_named_by_its_interface() {
        assert_eq!(env!("CARGO_PKG_VERSION_MAJOR"), super::VKSCAN_ABI_VERSION.to_string());
    }
}
