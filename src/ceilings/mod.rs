//! What a device and its host can do at best: what the figures of scans are compared with.

mod measure;

use std::time::Duration;

use crate::{Backend, BackendError};
use measure::Measure;

/// What a device and its host can do at best, measured on them. Rates are bytes a second.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, Ceilings};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// let ceilings = Ceilings::measure(&backend)?;
/// println!("kernels read at {:.0} GB/s at most", ceilings.device_read / 1e9);
/// for (bytes, rate) in &ceilings.copies_up {
///     println!("{bytes} bytes are copied up at {:.1} GB/s", rate / 1e9);
/// }
/// # Ok::<(), vkscan::BackendError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ceilings {
    /// A kernel that reads the device's own memory, 16 bytes at a time.
    pub device_read: f64,
    /// The same kernel, reading host memory in place.
    pub host_read: f64,
    /// Copies from host memory to device memory by their bytes, from the submission of each until a thread that sleeps meanwhile
    /// has been woken up.
    pub copies_up: Vec<(usize, f64)>,
    /// Copies the other way.
    pub copies_down: Vec<(usize, f64)>,
    /// Copies of ordinary memory to memory that the device reads, by so many threads.
    pub host_copies: Vec<(usize, f64)>,
    /// A submission of no work, until a thread that sleeps meanwhile has been woken up.
    pub empty_submission: Duration,
    /// A step from word to word within 4 MiB of device memory, each of which says where the next one is: what a byte takes on an
    /// automaton whose next row is not at hand.
    pub walk_step: Duration,
}

impl Ceilings {
    /// Measures all of them, which takes some seconds, up to 260 MiB of device memory and 780 MiB of the host's: less on a CPU
    /// driver, or where the device has not got it. The kernels' results are checked.
    ///
    /// # Errors
    ///
    /// A queue without timestamps, lack of memory, a wrong result, or a fault of the device.
    pub fn measure(backend: &Backend) -> Result<Ceilings, BackendError> {
        let measure = Measure::new(backend)?;
        Ok(Ceilings {
            device_read: measure.device_read()?,
            host_read: measure.host_read()?,
            copies_up: measure.copies(measure::Way::Up)?,
            copies_down: measure.copies(measure::Way::Down)?,
            host_copies: measure.host_copies(),
            empty_submission: measure.empty_submission()?,
            walk_step: measure.walk_step()?,
        })
    }
}
