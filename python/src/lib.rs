//! The Python interface of vkscan: the module `vkscan._vkscan`, which `vkscan/__init__.py` makes a package of. Comments
//! on what Python sees are for those who write Python; `vkscan/_vkscan.pyi` has the types.
//!
//! | file | story |
//! |---|---|
//! | `scanner.rs` | `Scanner`: rules, a device, and scans |
//! | `compiled.rs` | rules with the options of their scans, and the sessions that scan for them |
//! | `shared.rs` | one session a process for all that was pickled alike; and processes that were forked |
//! | `rows.rs` | what is scanned: Arrow arrays, `bytes`, buffers, and lists |
//! | `matches.rs` | what comes of it |
//! | `arrow.rs` | the Arrow C data interface |
//! | `told.rs` | devices and rules, told |
//! | `error.rs` | exceptions |

#![warn(missing_docs)]

mod arrow;
mod compiled;
mod error;
mod matches;
mod rows;
mod scanner;
mod shared;
mod told;

use pyo3::prelude::*;

/// Scans bytes for thousands of regular expressions at once on raw Vulkan compute.
#[pymodule]
mod _vkscan {
    #[pymodule_export]
    use super::matches::{ChunkedMatches, Matches};
    #[pymodule_export]
    use super::scanner::{Scanner, restore};
    #[pymodule_export]
    use super::told::devices;
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name that Python modules have for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
