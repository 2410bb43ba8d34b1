//! The logical device: its queues, one allocator, and the one place every Vulkan result goes through.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ash::prelude::VkResult;
use ash::{ext, vk};
use gpu_allocator::vulkan::{Allocator, AllocatorCreateDesc};
use gpu_allocator::{AllocationSizes, AllocatorDebugSettings};

use super::debug::Names;
use super::error::{BackendError, Result};
use super::info::DeviceInfo;
use super::instance::Instance;

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

pub(crate) struct Device {
    raw: ash::Device,
    /// By role; one if both roles share it.
    queues: Vec<Mutex<vk::Queue>>,
    queue_families: Vec<u32>,
    allocator: ManuallyDrop<Mutex<Allocator>>,
    memory_properties: vk::PhysicalDeviceMemoryProperties,
    info: DeviceInfo,
    wait_timeout: Duration,
    names: Names,
    lost: AtomicBool,
    live_objects: AtomicUsize,
    allocated_bytes: AtomicU64,
    #[cfg(test)]
    free_faults: AtomicUsize,
    instance: Arc<Instance>,
}

impl Device {
    /// Opens `physical`, which `info` describes and finds suitable.
    pub(super) fn new(
        instance: Arc<Instance>,
        physical: vk::PhysicalDevice,
        info: DeviceInfo,
        wait_timeout: Duration,
    ) -> Result<Arc<Device>> {
        let vulkan = instance.raw();
        let family = info.compute_family().expect("a suitable device has one") as u32;

        let queue_families: Vec<u32> = std::iter::once(family)
            .chain(info.transfer_family().map(|family| family as u32))
            .collect();

        let priorities = [1.0];
        let create_queue = |&family: &u32| {
            vk::DeviceQueueCreateInfo::default()
                .queue_family_index(family)
                .queue_priorities(&priorities)
        };
        let queues: Vec<_> = queue_families.iter().map(create_queue).collect();
        let mut v12_features =
            vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
        let create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .push_next(&mut v12_features);
        // SAFETY: the family exists and the feature is there: `info` was found suitable.
        let raw = unsafe { vulkan.create_device(physical, &create, None) }
            .map_err(|result| BackendError::from_vk("vkCreateDevice", result))?;
        // SAFETY: each family was created with one queue.
        let queue = |&family: &u32| unsafe { raw.get_device_queue(family, 0) };
        let queues: Vec<vk::Queue> = queue_families.iter().map(queue).collect();

        let allocator = Allocator::new(&AllocatorCreateDesc {
            instance: vulkan.clone(),
            device: raw.clone(),
            physical_device: physical,
            debug_settings: AllocatorDebugSettings::default(),
            buffer_device_address: false,
            allocation_sizes: AllocationSizes::new(DEVICE_BLOCK_BYTES, HOST_BLOCK_BYTES),
        })
        .expect("the physical device is not null");
        // SAFETY: `physical` comes from this instance.
        let memory = unsafe { vulkan.get_physical_device_memory_properties(physical) };

        let names = Names::new(
            instance.has_debug_utils().then(|| ext::debug_utils::Device::new(vulkan, &raw)),
        );
        names.set(raw.handle(), "device");
        for (queue, name) in queues.iter().zip(["compute queue", "transfer queue"]) {
            names.set(*queue, name);
        }
        Ok(Arc::new(Device {
            raw,
            queues: queues.into_iter().map(Mutex::new).collect(),
            queue_families,
            allocator: ManuallyDrop::new(Mutex::new(allocator)),
            memory_properties: memory,
            info,
            wait_timeout,
            names,
            lost: AtomicBool::new(false),
            live_objects: AtomicUsize::new(0),
            allocated_bytes: AtomicU64::new(0),
            #[cfg(test)]
            free_faults: AtomicUsize::new(0),
            instance,
        }))
    }

    pub(crate) fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// How long to wait for the device before giving up.
    pub(crate) fn wait_timeout(&self) -> Duration {
        self.wait_timeout
    }

    /// Vulkan objects made from this device and not dropped yet.
    #[cfg(test)]
    pub(crate) fn live_objects(&self) -> usize {
        self.live_objects.load(Ordering::Relaxed)
    }

    /// Bytes of all buffers not dropped yet.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Makes this backend behave as if the driver had reported the device lost. Nothing runs on a lost device, so
    /// what is running comes to its end first.
    #[cfg(test)]
    pub(crate) fn inject_lost(&self) {
        let lock = |queue| Mutex::lock(queue).unwrap_or_else(PoisonError::into_inner);
        let _queues: Vec<_> = self.queues.iter().map(lock).collect();
        // SAFETY: nobody else uses the queues meanwhile.
        unsafe { self.raw.device_wait_idle() }.unwrap();
        self.lost.store(true, Ordering::Release);
    }

    /// Makes the next `count` buffers that are freed report a fault. They are freed all the same.
    #[cfg(test)]
    pub(crate) fn inject_free_faults(&self, count: usize) {
        self.free_faults.store(count, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn injected_free_fault(&self) -> Result<()> {
        let spend = |left: usize| left.checked_sub(1);
        match self.free_faults.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend) {
            Ok(left) => Err(BackendError::Vulkan {
                call: "vkFreeMemory",
                result: vk::Result::from_raw(-1000 - left as i32),
            }),
            Err(_) => Ok(()),
        }
    }

    /// Fails if the device has been lost.
    pub(crate) fn alive(&self) -> Result<()> {
        if self.is_lost() {
            return Err(BackendError::DeviceLost);
        }
        Ok(())
    }

    /// Makes one Vulkan call, named as in the specification. All fallible calls on the device go
    /// through here: a lost device stays lost, and no call is made on it any more.
    pub(super) fn call<T>(
        &self,
        name: &'static str,
        call: impl FnOnce() -> VkResult<T>,
    ) -> Result<T> {
        self.alive()?;
        call().map_err(|result| {
            let error = BackendError::from_vk(name, result);
            if error == BackendError::DeviceLost {
                self.lose(name);
            }
            error
        })
    }

    /// Remembers that the device is lost.
    pub(super) fn lose(&self, call: &'static str) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            tracing::error!(device = self.info.name, call, "the Vulkan device is lost");
        }
    }

    pub(super) fn raw(&self) -> &ash::Device {
        &self.raw
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    pub(super) fn queue(&self, role: QueueRole) -> MutexGuard<'_, vk::Queue> {
        self.queues[self.index_of(role)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn queue_family(&self, role: QueueRole) -> u32 {
        self.queue_families[self.index_of(role)]
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

    pub(super) fn allocator(&self) -> MutexGuard<'_, Allocator> {
        self.allocator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory_properties(&self) -> &vk::PhysicalDeviceMemoryProperties {
        &self.memory_properties
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn count_bytes(&self) -> &AtomicU64 {
        &self.allocated_bytes
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: every object made from the device holds an `Arc<Device>`, so all of them are gone,
        // and command buffers do not go before they have run. The allocator frees its blocks while
        // the device still exists; nothing uses either afterwards.
        unsafe {
            ManuallyDrop::drop(&mut self.allocator);
            self.raw.destroy_device(None);
        }
    }
}

/// A share in the device, held by every object made from it, and counted: what is still counted
/// when everything should be gone has leaked.
pub(super) struct DeviceRef(Arc<Device>);

impl DeviceRef {
    pub(super) fn new(device: &Arc<Device>) -> DeviceRef {
        device.live_objects.fetch_add(1, Ordering::Relaxed);
        DeviceRef(device.clone())
    }
}

impl Drop for DeviceRef {
    fn drop(&mut self) {
        self.0.live_objects.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for DeviceRef {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.0
    }
}
