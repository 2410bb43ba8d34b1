//! The logical device: its queues, one allocator, and the one place every Vulkan result goes through.

pub(super) mod stage_marks;

use std::ffi::CStr;
use std::mem::{ManuallyDrop, forget, take};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ash::prelude::VkResult;
use ash::vk::Handle as _;
use ash::{ext, vk};
use gpu_allocator::vulkan::{Allocator, AllocatorCreateDesc};
use gpu_allocator::{AllocationSizes, AllocatorDebugSettings};

use super::allocator::{HostImport, MemoryAllocator, MemorySource};
use super::clock::{Calibration, Clock};
use super::deadline::Deadline;
use super::debug::Names;
use super::diagnostics;
use super::error::{BackendError, Result};
use super::graveyard::{Graveyard, HeldBack, Work};
use super::info::{DeviceInfo, QueueFamily};
use super::instance::Instance;
use super::loss::{self, Timelines};
use super::raw::{QueueLock, RawDevice, RawQueue};
use super::report::Ledger;
use super::{BackendOptions, Validation};
use crate::Trace;
use crate::narrow::narrow;
use stage_marks::StageMarks;

#[cfg(test)]
mod injected;

// Blocks that small buffers are carved from; larger buffers get an allocation of their own. A
// session has a handful of small buffers, so bigger blocks would only sit idle.
const DEVICE_BLOCK_BYTES: u64 = 32 << 20;
const HOST_BLOCK_BYTES: u64 = 8 << 20;

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueRole {
    Compute,
    /// Copies beside kernels; the same queue as theirs where the device has no other.
    Transfer,
}

/// An open device. What is made from it holds the [`Core`], so that objects may outlive it; commands hold the device
/// itself, for what they leave behind while it is still at them.
pub(crate) struct Device {
    core: Arc<Core>,
    graveyard: Graveyard,
}

/// All of a device that objects made from it need.
pub(crate) struct Core {
    raw: ash::Device,
    physical: vk::PhysicalDevice,
    /// By role; one if both roles share it.
    queues: Vec<Queue>,
    /// Those of the queues, each once.
    queue_families: Vec<u32>,
    /// What the caller's own use of the queues is kept away by.
    queue_lock: Option<Arc<dyn QueueLock>>,
    /// The caller's; null for none.
    pipeline_cache: vk::PipelineCache,
    /// What it was made with of what is optional.
    extensions: Vec<&'static CStr>,
    has_host_query_reset: bool,
    host_import: Option<HostImport>,
    /// Where the device's clock is on the host's, where that can be told and a trace asks for it.
    calibration: Option<Calibration>,
    trace: Option<Trace>,
    memory: ManuallyDrop<MemorySource>,
    memory_properties: vk::PhysicalDeviceMemoryProperties,
    ledger: Ledger,
    info: DeviceInfo,
    wait_timeout: Duration,
    names: Names,
    timelines: Timelines,
    stage_marks: StageMarks,
    lost: AtomicBool,
    /// Submissions of ours so far, and whether others may submit commands of ours.
    submissions: AtomicU64,
    is_shared: AtomicBool,
    /// What is known of how it was lost.
    loss: Mutex<String>,
    live_objects: AtomicUsize,
    owner: Owner,
    #[cfg(test)]
    free_faults: AtomicUsize,
    #[cfg(test)]
    pub(super) test_waits: super::testing::Waits,
    instance: Arc<Instance>,
}

struct Queue {
    raw: Mutex<vk::Queue>,
    place: RawQueue,
}

/// Whose the device is.
enum Owner {
    Vkscan,
    /// With what is called when nothing of ours is left.
    Caller(Option<Box<dyn FnOnce() + Send + Sync>>),
}

/// What a device is assembled from, whoever made it.
struct Parts {
    instance: Arc<Instance>,
    physical: vk::PhysicalDevice,
    raw: ash::Device,
    info: DeviceInfo,
    wait_timeout: Duration,
    memory_limit: Option<u64>,
    trace: Option<Trace>,
    queues: Vec<RawQueue>,
    queue_lock: Option<Arc<dyn QueueLock>>,
    pipeline_cache: vk::PipelineCache,
    allocator: Option<Arc<dyn MemoryAllocator>>,
    /// What it was made with of what is optional, and there.
    extensions: Vec<&'static CStr>,
    has_host_query_reset: bool,
    owner: Owner,
}

impl Device {
    /// Opens `physical`, which `info` describes and finds suitable.
    pub(super) fn new(
        instance: Arc<Instance>,
        physical: vk::PhysicalDevice,
        info: DeviceInfo,
        options: &BackendOptions,
    ) -> Result<Arc<Device>> {
        let vulkan = instance.raw();
        let family = info.compute_family().expect("a suitable device has one");
        let family: u32 = narrow(family);

        let queue_families: Vec<u32> =
            std::iter::once(family).chain(info.transfer_family().map(narrow)).collect();

        let priorities = [1.0];
        let create_queue = |&family: &u32| {
            vk::DeviceQueueCreateInfo::default()
                .queue_family_index(family)
                .queue_priorities(&priorities)
        };
        let queues: Vec<_> = queue_families.iter().map(create_queue).collect();
        let has_host_query_reset = info.has_host_query_reset;
        let mut v12_features = vk::PhysicalDeviceVulkan12Features::default()
            .timeline_semaphore(true)
            .host_query_reset(has_host_query_reset);
        let robust = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
        let is_robust = instance.validation() == Validation::RobustAccess;
        let mut extensions = info.wanted_extensions();
        extensions.extend(diagnostics::wanted(&info.diagnostics, options));
        let names: Vec<_> = extensions
            .iter()
            .copied()
            .chain(is_robust.then_some(ext::robustness2::NAME))
            .map(CStr::as_ptr)
            .collect();
        let mut robust2 =
            vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
        let mut create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut v12_features);
        let mut features = diagnostics::Features::default();
        create = features.chain(create, &extensions);
        if is_robust {
            create = create.enabled_features(&robust).push_next(&mut robust2);
        }
        // SAFETY: the family exists and the feature is there: `info` was found suitable. What makes access robust is
        // refused where it is not there.
        let raw =
            unsafe { vulkan.create_device(physical, &create, None) }.map_err(
                |result| match result {
                    vk::Result::ERROR_EXTENSION_NOT_PRESENT
                    | vk::Result::ERROR_FEATURE_NOT_PRESENT
                        if is_robust =>
                    {
                        BackendError::ValidationMissing {
                            reason: format!("{} has no VK_EXT_robustness2", info.name),
                        }
                    }
                    result => BackendError::from_vk("vkCreateDevice", result),
                },
            )?;
        let queues = queue_families.iter().map(|&family| RawQueue::new(family, 0)).collect();
        Ok(Device::assemble(Parts {
            instance,
            physical,
            raw,
            info,
            wait_timeout: options.wait_timeout,
            memory_limit: options.memory_limit,
            trace: options.trace.clone(),
            queues,
            queue_lock: None,
            pipeline_cache: vk::PipelineCache::null(),
            allocator: None,
            extensions,
            has_host_query_reset,
            owner: Owner::Vkscan,
        }))
    }

    /// Takes a device of the caller's, of a physical device that `info` describes and finds suitable.
    ///
    /// # Safety
    ///
    /// As for [`Backend::from_raw`](crate::Backend::from_raw).
    pub(super) unsafe fn of_caller(
        instance: Arc<Instance>,
        physical: vk::PhysicalDevice,
        info: DeviceInfo,
        raw: RawDevice,
    ) -> Result<Arc<Device>> {
        let compute =
            check_queue(&info, "compute_queue", raw.compute_queue, |family| family.compute)?;
        let transfer = raw
            .transfer_queue
            .map(|queue| check_queue(&info, "transfer_queue", queue, |family| family.transfer))
            .transpose()?
            .filter(|&queue| queue != compute);
        if !raw.timeline_semaphore {
            let reason = "the feature timelineSemaphore, which is needed, was not enabled";
            return Err(BackendError::invalid("the device", reason));
        }
        let handle = vk::Device::from_raw(raw.device as u64);
        // SAFETY: the device is the caller's, alive, and of this instance.
        let loaded = unsafe { ash::Device::load(instance.raw().fp_v1_0(), handle) };
        let info = info.with_queues(compute.family, transfer.map(|queue| queue.family));
        let mut extensions = raw.device_extensions;
        extensions.retain(|name| info.extensions.contains(name));
        Ok(Device::assemble(Parts {
            instance,
            physical,
            raw: loaded,
            info,
            wait_timeout: raw.wait_timeout,
            memory_limit: raw.memory_limit,
            trace: raw.trace,
            queues: std::iter::once(compute).chain(transfer).collect(),
            queue_lock: raw.queue_lock,
            pipeline_cache: vk::PipelineCache::from_raw(raw.pipeline_cache),
            allocator: raw.allocator,
            extensions,
            // What the caller has enabled beside what is needed nobody tells.
            has_host_query_reset: false,
            owner: Owner::Caller(raw.on_drop),
        }))
    }

    fn assemble(parts: Parts) -> Arc<Device> {
        let Parts { instance, physical, raw, info, .. } = parts;
        let vulkan = instance.raw();
        let pool = || {
            let allocator = Allocator::new(&AllocatorCreateDesc {
                instance: vulkan.clone(),
                device: raw.clone(),
                physical_device: physical,
                debug_settings: AllocatorDebugSettings::default(),
                buffer_device_address: false,
                allocation_sizes: AllocationSizes::new(DEVICE_BLOCK_BYTES, HOST_BLOCK_BYTES),
            });
            Box::new(Mutex::new(allocator.expect("the physical device is not null")))
        };
        let memory = match parts.allocator {
            Some(allocator) => MemorySource::Caller(allocator),
            None => MemorySource::Pool(pool()),
        };
        // SAFETY: `physical` comes from this instance.
        let memory_properties = unsafe { vulkan.get_physical_device_memory_properties(physical) };
        let names = Names::new(
            instance.has_debug_utils().then(|| ext::debug_utils::Device::new(vulkan, &raw)),
        );
        // SAFETY: the device was made with these queues.
        let raw_queue =
            |&RawQueue { family, index }: &RawQueue| unsafe { raw.get_device_queue(family, index) };
        let raw_queues: Vec<vk::Queue> = parts.queues.iter().map(raw_queue).collect();
        if matches!(parts.owner, Owner::Vkscan) {
            names.set(raw.handle(), "device");
            for (queue, name) in raw_queues.iter().zip(["compute queue", "transfer queue"]) {
                names.set(*queue, name);
            }
        }
        let imports_host_memory = parts.extensions.contains(&ext::external_memory_host::NAME);
        let host_import =
            info.host_import_alignment.filter(|_| imports_host_memory).map(|alignment| {
                HostImport {
                    functions: ext::external_memory_host::Device::new(vulkan, &raw),
                    alignment,
                    refused: AtomicBool::new(false),
                }
            });
        let calibrate = |_: &Trace| Calibration::new(&instance, physical, &raw, &parts.extensions);
        let calibration = parts.trace.as_ref().and_then(calibrate);
        let queue = |(raw, place)| Queue { raw: Mutex::new(raw), place };
        let mut queue_families: Vec<u32> = parts.queues.iter().map(|queue| queue.family).collect();
        queue_families.dedup();
        let core = Core {
            raw,
            physical,
            queues: raw_queues.into_iter().zip(parts.queues).map(queue).collect(),
            queue_families,
            queue_lock: parts.queue_lock,
            pipeline_cache: parts.pipeline_cache,
            extensions: parts.extensions,
            has_host_query_reset: parts.has_host_query_reset,
            host_import,
            calibration,
            trace: parts.trace,
            memory: ManuallyDrop::new(memory),
            memory_properties,
            ledger: Ledger::new(parts.memory_limit),
            info,
            wait_timeout: parts.wait_timeout,
            names,
            timelines: Timelines::default(),
            stage_marks: StageMarks::default(),
            lost: AtomicBool::new(false),
            submissions: AtomicU64::new(0),
            is_shared: AtomicBool::new(matches!(parts.owner, Owner::Caller(_))),
            loss: Mutex::default(),
            live_objects: AtomicUsize::new(0),
            owner: parts.owner,
            #[cfg(test)]
            free_faults: AtomicUsize::new(0),
            #[cfg(test)]
            test_waits: Default::default(),
            instance,
        };
        Arc::new(Device { core: Arc::new(core), graveyard: Graveyard::default() })
    }

    /// Has the device write down which stages it begins and ends.
    pub(super) fn mark_stages(self: &Arc<Device>) -> Result<()> {
        self.stage_marks.begin(self)
    }

    /// Vulkan objects made from this device and not given back yet.
    #[cfg(test)]
    pub(crate) fn live_objects(&self) -> usize {
        self.sweep();
        self.core.live_objects.load(Ordering::Relaxed)
    }

    /// Bytes of all buffers not given back yet.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.sweep();
        self.core.ledger.bytes()
    }

    /// What it still holds of what was dropped while it was at it.
    pub(crate) fn held_back(&self) -> HeldBack {
        self.sweep();
        self.graveyard.held_back()
    }

    /// Gives back what was dropped while the device was at it, and is not by now.
    pub(crate) fn sweep(&self) {
        self.graveyard.sweep(Duration::ZERO.into());
    }

    /// As [`Device::held_back`], as it is before anything is given back.
    #[cfg(test)]
    pub(crate) fn is_holding_back(&self) -> bool {
        self.graveyard.held_back() != HeldBack::default()
    }

    /// Keeps work until the device is done with it.
    pub(super) fn bury(&self, work: Work) {
        self.graveyard.bury(work);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stage_marks.end();
        // Nobody is left who could try again later.
        self.graveyard.sweep(self.deadline());
        let HeldBack { bytes, objects } = self.graveyard.held_back();
        let rest = take(&mut self.graveyard).into_rest();
        if !rest.is_empty() {
            tracing::error!(
                device = self.info.name,
                bytes,
                objects,
                "leaking what a device holds that does not answer"
            );
            // It may still write to it: better leaked than reused.
            forget(rest);
        }
    }
}

impl Deref for Device {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Core {
    pub(crate) fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// How long a call waits that begins to wait now.
    pub(crate) fn deadline(&self) -> Deadline {
        #[cfg(test)]
        if let Some(patience) = self.test_waits.patience() {
            return patience.into();
        }
        self.wait_timeout.into()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Submissions so far; none where others may submit commands of ours.
    pub(super) fn submissions(&self) -> Option<u64> {
        let is_shared = self.is_shared.load(Ordering::Relaxed);
        (!is_shared).then(|| self.submissions.load(Ordering::Relaxed))
    }

    pub(super) fn count_submission(&self) {
        self.submissions.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that commands are handed out for others to submit.
    pub(super) fn share(&self) {
        self.is_shared.store(true, Ordering::Relaxed);
    }

    /// Fails if the device has been lost.
    pub(crate) fn alive(&self) -> Result<()> {
        if self.is_lost() { Err(self.loss()) } else { Ok(()) }
    }

    /// The error of a device that has been lost.
    pub(super) fn loss(&self) -> BackendError {
        let report = self.loss.lock().unwrap_or_else(PoisonError::into_inner).clone();
        BackendError::DeviceLost { report }
    }

    /// Makes one Vulkan call, named as in the specification. All fallible calls on the device go
    /// through here: a lost device stays lost, and no call is made on it any more.
    pub(super) fn call<T>(
        &self,
        name: &'static str,
        call: impl FnOnce() -> VkResult<T>,
    ) -> Result<T> {
        self.alive()?;
        call().map_err(|result| match result {
            vk::Result::ERROR_DEVICE_LOST => self.lose(name),
            result => BackendError::from_vk(name, result),
        })
    }

    /// Remembers that the device is lost, with all that is known of it.
    pub(super) fn lose(&self, call: &'static str) -> BackendError {
        let mut loss = self.loss.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !self.is_lost();
        if is_new {
            *loss = format!("{call} says so; {}", self.timelines.describe(&self.raw));
            if let Some(stages) = self.stage_marks.describe() {
                *loss += &format!("; {stages}");
            }
            if self.has(ext::device_fault::NAME)
                && let Some(fault) = loss::fault(self.instance.raw(), &self.raw)
            {
                *loss += &format!("; the driver says: {fault}");
            }
            self.lost.store(true, Ordering::Release);
        }
        drop(loss);
        let error = self.loss();
        // Whoever is told may look at the backend.
        if is_new {
            tracing::error!(device = self.info.name, "{error}");
        }
        error
    }

    pub(super) fn stage_marks(&self) -> &StageMarks {
        &self.stage_marks
    }

    /// All timelines there are.
    pub(super) fn timelines(&self) -> &Timelines {
        &self.timelines
    }

    pub(super) fn raw(&self) -> &ash::Device {
        &self.raw
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Does something on a queue, while nobody else uses it.
    pub(super) fn on_queue<T>(
        &self,
        role: QueueRole,
        body: impl FnOnce(vk::Queue) -> T,
    ) -> Result<T> {
        let Queue { raw, place } = &self.queues[self.index_of(role)];
        let own = || raw.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lock) = &self.queue_lock else { return Ok(body(*own())) };
        let (mut body, mut done) = (Some(body), None);
        // No lock of ours is held while the caller's code runs.
        lock.hold(*place, &mut || {
            if let Some(body) = body.take() {
                done = Some(body(*own()));
            }
        });
        let reason = "it did not call what it was given";
        done.ok_or_else(|| BackendError::invalid("the caller's queue lock", reason))
    }

    pub(super) fn queue_family(&self, role: QueueRole) -> u32 {
        self.queues[self.index_of(role)].place.family
    }

    /// The queues' places, by role; one if both roles share it.
    pub(super) fn queue_places(&self) -> impl Iterator<Item = RawQueue> {
        self.queues.iter().map(|queue| queue.place)
    }

    pub(super) fn physical(&self) -> vk::PhysicalDevice {
        self.physical
    }

    /// Whether it was made with an extension that is optional.
    pub(super) fn has(&self, extension: &CStr) -> bool {
        self.extensions.contains(&extension)
    }

    /// Whether the host can ready timestamps to be written again.
    pub(crate) fn has_host_query_reset(&self) -> bool {
        self.has_host_query_reset
    }

    /// When its clock was at `ticks`, seconds ago at most, on the host's clock; `None` if it cannot tell.
    pub(super) fn host_time(&self, clock: &Clock, ticks: u64) -> Result<Option<Instant>> {
        let Some(calibration) = &self.calibration else { return Ok(None) };
        let reading = match calibration.last() {
            Some(reading) => Ok(reading),
            None => self.call("vkGetCalibratedTimestamps", || calibration.read()),
        };
        match reading {
            Ok(reading) => Ok(Some(clock.host_time(ticks, &reading))),
            Err(error @ BackendError::DeviceLost { .. }) => Err(error),
            Err(error) => {
                // What has been scanned is none the worse for it.
                tracing::warn!(%error, "the device's clock could not be read: times in the trace are estimated");
                Ok(None)
            }
        }
    }

    /// What is told of scans.
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// What imports host memory, where that can be done.
    pub(super) fn host_import(&self) -> Option<&HostImport> {
        self.host_import.as_ref()
    }

    /// The caller's, which pipelines are made with; null for none.
    pub(super) fn pipeline_cache(&self) -> vk::PipelineCache {
        self.pipeline_cache
    }

    /// The families of all queues, each once.
    pub(super) fn queue_families(&self) -> &[u32] {
        &self.queue_families
    }

    /// Whether transfers have a queue of their own.
    pub(crate) fn has_transfer_queue(&self) -> bool {
        self.queues.len() > 1
    }

    fn index_of(&self, role: QueueRole) -> usize {
        usize::from(role == QueueRole::Transfer && self.has_transfer_queue())
    }

    pub(super) fn memory(&self) -> &MemorySource {
        &self.memory
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn memory_properties(&self) -> &vk::PhysicalDeviceMemoryProperties {
        &self.memory_properties
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: every object made from the device holds an `Arc<Core>`, so all of them are gone,
        // and command buffers do not go before they have run. The allocator frees its blocks while
        // the device still exists; nothing uses either afterwards.
        unsafe { ManuallyDrop::drop(&mut self.memory) };
        match &mut self.owner {
            // SAFETY: as above.
            Owner::Vkscan => unsafe { self.raw.destroy_device(None) },
            Owner::Caller(on_drop) => {
                if let Some(on_drop) = on_drop.take() {
                    on_drop();
                }
            }
        }
    }
}

/// A share in the device, held by every object made from it, and counted: what is still counted
/// when everything should be gone has leaked.
pub(super) struct DeviceRef(Arc<Core>);

impl DeviceRef {
    pub(super) fn new(device: &Arc<Device>) -> DeviceRef {
        DeviceRef::of(&device.core)
    }

    fn of(core: &Arc<Core>) -> DeviceRef {
        core.live_objects.fetch_add(1, Ordering::Relaxed);
        DeviceRef(core.clone())
    }
}

impl Clone for DeviceRef {
    fn clone(&self) -> DeviceRef {
        DeviceRef::of(&self.0)
    }
}

impl Drop for DeviceRef {
    fn drop(&mut self) {
        self.0.live_objects.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for DeviceRef {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.0
    }
}

/// A queue of the caller's, if its family is there, has as many queues and can do what it is for.
fn check_queue(
    info: &DeviceInfo,
    what: &str,
    queue: RawQueue,
    can: impl Fn(&QueueFamily) -> bool,
) -> Result<RawQueue> {
    let RawQueue { family, index } = queue;
    let found = info.queue_families.get(family as usize);
    let reason = match found {
        None => format!("the device has {} queue families, no {family}", info.queue_families.len()),
        Some(found) if index >= found.count => {
            format!("family {family} has {} queues, no {index}", found.count)
        }
        Some(found) if !can(found) => format!("family {family} cannot do that: {found:?}"),
        Some(_) => return Ok(queue),
    };
    Err(BackendError::invalid(what, reason))
}
