//! What there is once a process: the sessions of scanners that were pickled alike, and the process's claim to Vulkan.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pyo3::prelude::*;
use vkscan::RulePipeline;

use crate::compiled::{Compiled, Options};
use crate::error::{self, DeviceError};

/// The process that uses Vulkan, or compiles rules with threads of its own; 0 before.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Refuses a process that was forked from one that has come here: drivers, and threads, do not survive that.
pub fn refuse_forked() -> PyResult<()> {
    // The first to come owns it.
    let _ = OWNER.compare_exchange(0, process::id(), Ordering::Relaxed, Ordering::Relaxed);
    if !is_forked() {
        return Ok(());
    }
    Err(DeviceError::new_err(
        "this process was forked from one that has used vkscan, and Vulkan drivers do not survive that: start processes \
         by multiprocessing's `spawn` or `forkserver`, or use vkscan in the children alone",
    ))
}

/// Whether what is open is another process's.
pub fn is_forked() -> bool {
    let owner = OWNER.load(Ordering::Relaxed);
    owner != 0 && owner != process::id()
}

static SHARED: Mutex<Shared> = Mutex::new(Shared { all: Vec::new(), last: None });

struct Shared {
    all: Vec<Weak<Compiled>>,
    /// What was unpickled last: a worker that unpickles a scanner for each batch, and drops it, finds it open.
    last: Option<Arc<Compiled>>,
}

/// What was pickled here is not made again here.
pub fn share(compiled: &Arc<Compiled>) {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let one = Arc::downgrade(compiled);
    shared.all.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&one));
    shared.all.push(one);
}

/// The sessions for pickled rules and options, made where there are none. Tells whether they were made. Python is not
/// attached.
pub fn restore(bytes: &[u8], options: &Options) -> PyResult<(Arc<Compiled>, bool)> {
    refuse_forked()?;
    // Others that unpickle the same wait for it.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same = |one: &Arc<Compiled>| one.options == *options && one.bytes() == bytes;
    let found = shared.all.iter().filter_map(Weak::upgrade).find(is_same);
    let (compiled, is_made) = match found {
        Some(found) => (found, false),
        None => {
            let rules = RulePipeline::from_bytes(bytes);
            let rules = rules.map_err(|error| error::of_rules(&[error]))?;
            (Arc::new(Compiled::new(rules, options.clone())?), true)
        }
    };
    if is_made {
        shared.all.retain(|other| other.strong_count() > 0);
        shared.all.push(Arc::downgrade(&compiled));
    }
    shared.last = Some(compiled.clone());
    Ok((compiled, is_made))
}
