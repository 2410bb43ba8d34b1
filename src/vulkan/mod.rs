//! Raw Vulkan: loader, device, memory, commands. It knows nothing about regular expressions.
//!
//! One concept a file. All of the crate's `unsafe` is here, behind functions that are safe to call
//! because of three rules:
//!
//! - Every object holds a share in the device, and the device a share in the instance, so owners go
//!   before what they own whatever is dropped first.
//! - `Commands` hold everything recorded into them and, dropped before the device has run them, leave it to
//!   the device, which gives it back once it has: so nothing is freed or reused under a running kernel.
//! - Every fallible call goes through `Core::call`: once the device is lost, no further
//!   call is made and every function says so.

pub(crate) mod allocator;
mod cache_file;
mod capture;
mod clock;
pub(crate) mod command;
pub(crate) mod copy;
pub(crate) mod deadline;
mod debug;
pub(crate) mod device;
mod diagnostics;
mod error;
#[cfg(unix)]
mod external_memory;
#[cfg(unix)]
mod external_semaphore;
mod graveyard;
pub(crate) mod import;
mod info;
mod instance;
mod kernel_report;
mod loss;
pub(crate) mod memory;
pub(crate) mod pipeline;
pub(crate) mod query;
pub(crate) mod quirks;
mod raw;
mod report;
mod select;
pub(crate) mod shared;
pub(crate) mod staging;
pub(crate) mod timeline;

#[cfg(test)]
pub(crate) mod layer;
#[cfg(test)]
pub(crate) mod narrowing;
#[cfg(test)]
pub(crate) mod pretence;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod told;

use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ash::vk::Handle as _;
use ash::{ext, vk};

pub use allocator::{MemoryAllocator, MemoryLocation, MemoryRange, MemoryRequest};
pub use capture::Capture;
pub use debug::ValidationLog;
pub use error::{BackendError, Memory};
#[cfg(unix)]
pub use external_memory::{ExternalBuffer, ExternalMemory, MemoryHandle};
#[cfg(unix)]
pub use external_semaphore::{ExternalSemaphore, SemaphoreHandle};
pub use graveyard::HeldBack;
pub use info::{DeviceInfo, DeviceKind, DeviceUuid, NotAUuid, QueueFamily};
pub use kernel_report::{
    KernelExecutable, KernelReport, KernelRepresentation, KernelStatistic, KernelStatisticValue,
};
pub use raw::{
    Features, QueueLock, RawBuffer, RawCommandBuffer, RawDevice, RawHandles, RawQueue, RawScope,
    RawSemaphore, RequiredFeatures,
};
pub use report::{MemoryHeap, MemoryReport, MemoryUse};
pub use select::DeviceSelector;

use crate::Trace;
use crate::narrow::narrow;
use crate::setters::setters;
use cache_file::CacheFile;
use command::Commands;
use device::Device;
use instance::Instance;
use pipeline::PipelineCache;
use timeline::Timeline;

/// How to open a device. The default picks the best one, without validation, unless the environment variables
/// `VKSCAN_DEVICE` and `VKSCAN_VALIDATION` say otherwise.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vkscan::{Backend, BackendOptions, DeviceSelector, KernelStatistics, Validation};
///
/// let devices = Backend::devices(&BackendOptions::default())?;
/// let preferred = devices.iter().find(|device| device.preference.is_some());
/// let options = BackendOptions::default()
///     .device(preferred.map(|device| DeviceSelector::Uuid(device.uuid)))
///     .validation(Validation::FromEnvironment)
///     .wait_timeout(Duration::from_secs(120))
///     .loader_path(None)
///     .memory_limit(Some(4 << 30))
///     .pipeline_cache(None)
///     .kernel_statistics(KernelStatistics::Off)
///     .stage_marks(false);
/// let backend = Backend::new(&options)?;
/// # Ok::<(), vkscan::BackendError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackendOptions {
    /// Which device; `None` takes the environment variable `VKSCAN_DEVICE`, and without that the
    /// preferred device: discrete, integrated, virtual, CPU, other; within a kind the one with the
    /// larger device-local heap.
    pub device: Option<DeviceSelector>,
    /// Whether to run under the validation layers.
    pub validation: Validation,
    /// How long a call waits for a device that does not answer before it fails with [`BackendError::Timeout`]: once for
    /// all that it waits for, and anew whenever a submission of it has ended. By default it is 60 seconds.
    pub wait_timeout: Duration,
    /// The Vulkan loader's library; `None` takes the system's.
    pub loader_path: Option<PathBuf>,
    /// What is told of every scan: when it was where, on the host and on the device. `None`, the default, costs nothing.
    pub trace: Option<Trace>,
    /// Bytes that all buffers may have together: what would be more is refused before it is allocated, with
    /// [`BackendError::LimitExceeded`]. `None`, the default, is as many as there is memory for.
    pub memory_limit: Option<u64>,
    /// A file for what the driver has made of kernels, so that another process does not wait for that: it is read when the
    /// device is opened, and written when the last handle of the backend is dropped and there is anything new
    /// ([`Backend::save_pipeline_cache`] does it before). It is made if it is not there. What cannot be used is ignored with a
    /// warning, and replaced: a file of another device, driver or version, or one that is damaged. What is no such file
    /// at all is left as it is. The driver trusts what it reads, so that nobody else should be able to write there.
    /// `None`, the default, is no file.
    pub pipeline_cache: Option<PathBuf>,
    /// What drivers are asked to tell of the kernels that they make ([`Backend::kernels`]). By default it is nothing, for that
    /// takes time and memory.
    pub kernel_statistics: KernelStatistics,
    /// Have the device write down which stages of a scan it begins and ends, so that the error of a lost device says where it
    /// was, as far as that came to the host before. Nothing overlaps then, and scans take longer. By default it does not.
    pub stage_marks: bool,
}

setters!(BackendOptions {
    device: Option<DeviceSelector>,
    validation: Validation,
    wait_timeout: Duration,
    loader_path: Option<PathBuf>,
    trace: Option<Trace>,
    memory_limit: Option<u64>,
    pipeline_cache: Option<PathBuf>,
    kernel_statistics: KernelStatistics,
    stage_marks: bool,
});

impl Default for BackendOptions {
    fn default() -> BackendOptions {
        BackendOptions {
            device: None,
            validation: Validation::default(),
            wait_timeout: Duration::from_secs(60),
            loader_path: None,
            trace: None,
            memory_limit: None,
            pipeline_cache: None,
            kernel_statistics: KernelStatistics::default(),
            stage_marks: false,
        }
    }
}

/// Whether to run under the Khronos validation layer: its core checks and its synchronisation
/// checks. That is slow, and meant for tests. Opening a device fails where something asked for is missing.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendError, BackendOptions, Validation};
///
/// match Backend::new(&BackendOptions::default().validation(Validation::On)) {
///     Ok(backend) => assert!(backend.validation_messages().is_empty()),
///     Err(BackendError::ValidationMissing { reason }) => println!("not validated: {reason}"),
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), BackendError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// As the environment variable `VKSCAN_VALIDATION` says: `0`, as without it, is off, `1` on, and `robust-access` as
    /// [`Validation::RobustAccess`].
    #[default]
    FromEnvironment,
    /// Off.
    Off,
    /// On.
    On,
    /// On, and what kernels read outside of buffers is zero and what they write there is lost (`robustBufferAccess2` of
    /// `VK_EXT_robustness2`): a scan that finds anything else than without it has to be looked into.
    RobustAccess,
}

impl Validation {
    fn resolved(self) -> Result<Validation, BackendError> {
        if self != Validation::FromEnvironment {
            return Ok(self);
        }
        match environment("VKSCAN_VALIDATION").as_deref() {
            None | Some("0") => Ok(Validation::Off),
            Some("1") => Ok(Validation::On),
            Some("robust-access") => Ok(Validation::RobustAccess),
            Some(other) => Err(BackendError::ValidationMissing {
                reason: format!("VKSCAN_VALIDATION={other} is none of 0, 1 and robust-access"),
            }),
        }
    }
}

/// What drivers are asked to tell of the kernels that they make: [`BackendOptions::kernel_statistics`].
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, KernelStatistics};
///
/// let options = BackendOptions::default().kernel_statistics(KernelStatistics::Statistics);
/// let backend = Backend::new(&options)?;
/// assert_eq!(backend.kernels()?, [], "none has been made yet");
/// # Ok::<(), vkscan::BackendError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KernelStatistics {
    /// Nothing.
    #[default]
    Off,
    /// How long they took to make, and numbers, such as registers.
    Statistics,
    /// The same, and what they were compiled to, such as the device's machine code.
    Representations,
}

/// An open device. Cloning it is cheap and gives another handle to the same device.
///
/// Sessions hold the device themselves, so it does not matter which is dropped first.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, HeldBack, RulePipeline};
///
/// let options = BackendOptions::default();
/// for device in Backend::devices(&options)? {
///     println!("{}: {} ({:?})", device.index, device.name, device.preference);
/// }
/// let backend = Backend::new(&options)?;
/// println!("on {}", backend.device_info().name);
///
/// let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// assert!(backend.allocated_bytes() > 0);
/// session.free(&backend)?;
/// assert_eq!((backend.allocated_bytes(), backend.held_back()), (0, HeldBack::default()));
///
/// // The way on, if it were lost.
/// assert!(!backend.is_lost());
/// let anew = backend.reopen()?;
/// assert_eq!(anew.device_info().uuid, backend.device_info().uuid);
///
/// let log = backend.validation_log();
/// drop(backend);
/// assert!(log.messages().is_empty());
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Clone)]
pub struct Backend {
    device: Arc<Device>,
    pipelines: Arc<PipelineCache>,
    /// What the device was opened with; none if it is the caller's.
    options: Option<Arc<BackendOptions>>,
}

impl Backend {
    /// Opens the device that the options select.
    ///
    /// # Errors
    ///
    /// No loader, no device, none that fits the selector or can run vkscan, validation asked for but
    /// missing, out of memory, or any other Vulkan call that fails.
    pub fn new(options: &BackendOptions) -> Result<Backend, BackendError> {
        let instance = options.instance()?;
        let physical = instance.physical_devices()?;
        let mut devices = info::describe_all(&instance, &physical)?;
        let choice = select::choose(&devices, options.selector().as_ref())?;
        let physical = physical[choice.position];
        let mut info = devices.swap_remove(choice.position);
        info.preference = Some(choice.reason);
        if info.kind == DeviceKind::Cpu {
            tracing::warn!(device = info.name, "scanning on a CPU Vulkan driver: exact, but slow");
        }
        let device = Device::new(instance, physical, info, options)?;
        if options.stage_marks {
            device.mark_stages()?;
        }
        let file = options.pipeline_cache.as_deref();
        let file = file.map(|path| CacheFile::open(&device, path)).transpose()?;
        let pipelines = Arc::new(PipelineCache::new(file, options.kernel_statistics));
        Ok(Backend { device, pipelines, options: Some(Arc::new(options.clone())) })
    }

    /// Uses a device that the caller made and goes on owning. Nothing of the caller's is destroyed, and validation is as the
    /// caller set it up: [`Backend::validation_messages`] stays empty.
    ///
    /// # Errors
    ///
    /// A null handle, an instance made for less than Vulkan 1.2, a device that lacks what vkscan needs or was made without
    /// it, or a queue whose family is not there, has fewer queues or cannot do what it is for.
    ///
    /// # Safety
    ///
    /// - All handles are valid, belong together, and outlive the backend and everything made from it, which is until
    ///   [`RawDevice::on_drop`] is called.
    /// - The device was made with the queues, features and extensions that `raw` names, the queues without
    ///   `VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT`; and the instance with the extensions.
    /// - While a queue is used by anyone else, [`RawDevice::queue_lock`] is held, by `vkDeviceWaitIdle`, too; so is it by other
    ///   backends on the same queue.
    /// - The pipeline cache was made without `VK_PIPELINE_CACHE_CREATE_EXTERNALLY_SYNCHRONIZED_BIT`.
    /// - Objects that [`Backend::raw_handles`] tells of are not destroyed, nor waited for in place of vkscan.
    pub unsafe fn from_raw(raw: RawDevice) -> Result<Backend, BackendError> {
        let has_debug_utils = raw.instance_extensions.contains(&ext::debug_utils::NAME);
        let (get_proc, instance) = (raw.get_instance_proc_addr, raw.instance);
        // SAFETY: as the caller promises.
        let (instance, physical, info) =
            unsafe { of_caller(get_proc, instance, raw.physical_device, has_debug_utils)? };
        raw::refuse_null(raw.device, "device")?;
        // SAFETY: as the caller promises.
        let device = unsafe { Device::of_caller(instance, physical, info, raw)? };
        Ok(Backend { device, pipelines: Arc::default(), options: None })
    }

    /// What a device has to be made with for [`Backend::from_raw`], and what it may be made with besides.
    ///
    /// # Errors
    ///
    /// A null handle, an instance made for less than Vulkan 1.2, a device that cannot run vkscan, or a Vulkan call that
    /// fails.
    ///
    /// # Safety
    ///
    /// `get_instance_proc_addr` is `vkGetInstanceProcAddr` of the loader that made `instance`, and `physical_device` one of
    /// the instance's.
    pub unsafe fn required_features(
        get_instance_proc_addr: *const c_void,
        instance: *mut c_void,
        physical_device: *mut c_void,
    ) -> Result<RequiredFeatures, BackendError> {
        // SAFETY: as the caller promises.
        let (_, _, info) =
            unsafe { of_caller(get_instance_proc_addr, instance, physical_device, false)? };
        let needed = Features { features: vec!["timelineSemaphore"], ..Features::default() };
        let optional = Features {
            device_extensions: info.wanted_extensions(),
            instance_extensions: vec![ext::debug_utils::NAME],
            ..Features::default()
        };
        Ok(RequiredFeatures { api_version: (1, 2), needed, optional })
    }

    /// The raw handles of instance and device, whoever made them.
    pub fn raw_handles(&self) -> RawHandles {
        let mut queues = self.device.queue_places();
        let pointer = |handle: u64| narrow::<_, usize>(handle) as *mut c_void;
        RawHandles {
            instance: pointer(self.device.instance().raw().handle().as_raw()),
            physical_device: pointer(self.device.physical().as_raw()),
            device: pointer(self.device.raw().handle().as_raw()),
            compute_queue: queues.next().expect("a device has a queue for kernels"),
            transfer_queue: queues.next(),
        }
    }

    /// Opens the same physical device anew, with the same options: what was lost stays lost.
    ///
    /// # Errors
    ///
    /// As [`Backend::new`]. A device that is gone for good is not replaced by another, and one of the caller's
    /// ([`Backend::from_raw`]) is not opened anew.
    pub fn reopen(&self) -> Result<Backend, BackendError> {
        let Some(options) = &self.options else {
            return Err(BackendError::CallersDevice { what: "opening a device anew" });
        };
        let device = Some(DeviceSelector::Uuid(self.device_info().uuid));
        Backend::new(&BackendOptions { device, ..(**options).clone() })
    }

    /// Writes what the driver has made of kernels so far to [`BackendOptions::pipeline_cache`], unless the file has it already.
    /// Of several processes that write at a time the last one's is kept, and whoever reads gets a whole one.
    ///
    /// # Errors
    ///
    /// [`BackendError::PipelineCache`] if no file was named, or it cannot be written; a device of the caller's, whose pipeline
    /// cache is the caller's, too; out of memory, a lost device, or a Vulkan call that fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use vkscan::{Backend, BackendOptions, RulePipeline};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let file = folder.path().join("pipelines");
    /// let backend = Backend::new(&BackendOptions::default().pipeline_cache(Some(file.clone())))?;
    /// RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
    /// backend.save_pipeline_cache()?;
    /// assert!(file.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save_pipeline_cache(&self) -> Result<(), BackendError> {
        match (self.pipelines.file(), &self.options) {
            (Some(file), _) => file.save(),
            (None, Some(_)) => Err(BackendError::PipelineCache {
                reason: "no file was named for it (`BackendOptions::pipeline_cache`)".to_owned(),
            }),
            (None, None) => {
                Err(BackendError::CallersDevice { what: "a pipeline cache of vkscan's own" })
            }
        }
    }

    /// Lists all devices, usable or not, in the loader's order. The one that [`Backend::new`] would
    /// open with the same options says so in [`DeviceInfo::preference`].
    ///
    /// # Errors
    ///
    /// No loader, no driver, validation asked for but missing, or a Vulkan call that fails. A
    /// selector that fits nothing is no error here.
    pub fn devices(options: &BackendOptions) -> Result<Vec<DeviceInfo>, BackendError> {
        let instance = options.instance()?;
        let mut devices = info::describe_all(&instance, &instance.physical_devices()?)?;
        if let Ok(choice) = select::choose(&devices, options.selector().as_ref()) {
            devices[choice.position].preference = Some(choice.reason);
        }
        Ok(devices)
    }

    /// The open device. The memory budget is that of the moment it was opened.
    pub fn device_info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// Errors and warnings of the validation layers so far; empty without validation.
    pub fn validation_messages(&self) -> Vec<String> {
        self.validation_log().messages()
    }

    /// The same as a handle that may outlive the backend, and so sees its end.
    pub fn validation_log(&self) -> ValidationLog {
        self.device.instance().log().clone()
    }

    /// Whether the device has been lost. It stays so: create a new backend.
    pub fn is_lost(&self) -> bool {
        self.device.is_lost()
    }

    /// Bytes of all buffers that sessions on this device hold at the moment.
    pub fn allocated_bytes(&self) -> u64 {
        self.device.allocated_bytes()
    }

    /// What memory the device has at the moment, and what of it sessions have, for what.
    ///
    /// # Errors
    ///
    /// A lost device, or a Vulkan call that fails.
    pub fn memory_report(&self) -> Result<MemoryReport, BackendError> {
        let device = &self.device;
        device.alive()?;
        device.sweep();
        Ok(MemoryReport {
            uses: device.ledger().uses(),
            heaps: info::heaps(device.instance(), device.physical())?,
            block_bytes: device.memory().block_bytes(),
        })
    }

    /// The kernels that were made for sessions so far, by name, each as often as it was specialised. What drivers tell of them
    /// takes [`BackendOptions::kernel_statistics`].
    ///
    /// # Errors
    ///
    /// Out of memory, a lost device, or a Vulkan call that fails.
    pub fn kernels(&self) -> Result<Vec<KernelReport>, BackendError> {
        let statistics = self.pipelines.statistics();
        let all = self.pipelines.all();
        all.iter().map(|made| kernel_report::of(&self.device, made, statistics)).collect()
    }

    /// What the device still holds of sessions, haystacks and scans that were dropped or freed while it was at them: they
    /// are given back once it has answered, by any later call.
    pub fn held_back(&self) -> HeldBack {
        self.device.held_back()
    }

    /// How long each of `count` submissions of no work takes, from the call until a thread that sleeps meanwhile has been
    /// woken up: what this machine asks of a program for any use of the device, to compare a small scan with.
    ///
    /// # Errors
    ///
    /// Out of memory, a lost device, a time-out, or a Vulkan call that fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use vkscan::{Backend, BackendOptions};
    ///
    /// let backend = Backend::new(&BackendOptions::default())?;
    /// let mut times = backend.time_empty_submissions(9)?;
    /// times.sort();
    /// println!("an empty submission takes {:?}", times[4]);
    /// # Ok::<(), vkscan::BackendError>(())
    /// ```
    pub fn time_empty_submissions(&self, count: usize) -> Result<Vec<Duration>, BackendError> {
        let mut commands = Commands::new(&self.device, "empty")?;
        commands.record(|_| ())?;
        let timeline = Timeline::new(&self.device, "empty")?;
        let mut submit = || {
            let start = Instant::now();
            let value = self.device.submit(&mut [&mut commands], &timeline)?;
            timeline.wait_asleep(value, self.device.deadline())?;
            Ok(start.elapsed())
        };
        (0..count).map(|_| submit()).collect()
    }

    /// A handle for which all pipelines are yet to be made.
    #[cfg(test)]
    pub(crate) fn with_no_pipelines(&self) -> Backend {
        Backend { pipelines: Arc::default(), ..self.clone() }
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub(crate) fn pipelines(&self) -> &PipelineCache {
        &self.pipelines
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend")
            .field("device", &self.device_info().name)
            .field("lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

impl BackendOptions {
    fn instance(&self) -> Result<Arc<Instance>, BackendError> {
        Instance::new(self.loader_path.as_deref(), self.validation.resolved()?)
    }

    fn selector(&self) -> Option<DeviceSelector> {
        let from_environment = || {
            let Ok(selector) = environment("VKSCAN_DEVICE")?.parse();
            Some(selector)
        };
        self.device.clone().or_else(from_environment)
    }
}

/// An instance of the caller's and a physical device of it, if that can run vkscan.
///
/// # Safety
///
/// As for [`Backend::required_features`]. `has_debug_utils` says whether the instance was made with VK_EXT_debug_utils.
unsafe fn of_caller(
    get_instance_proc_addr: *const c_void,
    instance: *mut c_void,
    physical_device: *mut c_void,
    has_debug_utils: bool,
) -> Result<(Arc<Instance>, vk::PhysicalDevice, DeviceInfo), BackendError> {
    raw::refuse_null(get_instance_proc_addr, "get_instance_proc_addr")?;
    raw::refuse_null(instance, "instance")?;
    raw::refuse_null(physical_device, "physical_device")?;
    // SAFETY: as the caller promises, and neither is null.
    let instance =
        unsafe { Instance::of_caller(get_instance_proc_addr, instance, has_debug_utils)? };
    let physical = vk::PhysicalDevice::from_raw(physical_device as u64);
    let index = instance.physical_devices()?.iter().position(|&other| other == physical);
    let not_there = || BackendError::invalid("physical_device", "it is not of that instance");
    let info = info::describe(&instance, physical, index.ok_or_else(not_there)?)?;
    match info.unsuitable {
        Some(missing) => Err(BackendError::UnsupportedDevice { device: info.name, missing }),
        None => Ok((instance, physical, info)),
    }
}

/// The variable's value, if it is set and not empty.
fn environment(variable: &str) -> Option<String> {
    let value = std::env::var_os(variable)?;
    (!value.is_empty()).then(|| value.to_string_lossy().into_owned())
}
