//! A device that the caller owns, and raw handles at the border: pointers for dispatchable objects and `u64` for the
//! others, so that the caller's Vulkan bindings are their own business.

use std::ffi::{CStr, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ash::vk;
use ash::vk::Handle as _;

use super::BackendOptions;
use super::allocator::MemoryAllocator;
use super::error::{BackendError, Result};
use crate::Trace;
use crate::setters::setters;

/// A Vulkan device that the caller made and goes on owning, for [`Backend::from_raw`](crate::Backend::from_raw). All
/// pointers are Vulkan's handles.
///
/// # Examples
///
/// A whole program, in which `ash` makes the device, is `examples/shared_queue.rs`.
///
/// ```no_run
/// use std::ffi::c_void;
/// use std::sync::{Arc, Mutex};
/// use vkscan::{Backend, BackendError, RawDevice, RawQueue};
///
/// # let get_instance_proc_addr: *const c_void = std::ptr::null();
/// # let [instance, physical_device, device]: [*mut c_void; 3] = [std::ptr::null_mut(); 3];
/// // The queue is the program's, too: whoever submits holds the lock.
/// let queue_lock = Arc::new(Mutex::new(()));
/// let raw = RawDevice::new(get_instance_proc_addr, instance, physical_device, device, RawQueue::new(0, 0))
///     .timeline_semaphore(true)
///     .queue_lock(Some(queue_lock.clone()))
///     .on_drop(Some(Box::new(|| println!("the device may go now"))));
/// // SAFETY: all handles are alive until `on_drop` is called, and the rest of what `Backend::from_raw` asks for holds.
/// let backend = unsafe { Backend::from_raw(raw) }?;
/// # Ok::<(), BackendError>(())
/// ```
#[non_exhaustive]
pub struct RawDevice {
    /// `vkGetInstanceProcAddr` of the loader that the instance was made with.
    pub get_instance_proc_addr: *const c_void,
    /// The `VkInstance`, made for Vulkan 1.2 or later.
    pub instance: *mut c_void,
    /// The `VkPhysicalDevice`.
    pub physical_device: *mut c_void,
    /// The `VkDevice`.
    pub device: *mut c_void,
    /// The queue that kernels run on.
    pub compute_queue: RawQueue,
    /// A queue for copies beside kernels, if there is one.
    pub transfer_queue: Option<RawQueue>,
    /// What others who use the same queues hold meanwhile; none if nobody else uses them, or the queues were made with
    /// `VK_KHR_internally_synchronized_queues`.
    pub queue_lock: Option<Arc<dyn QueueLock>>,
    /// Whether the feature `timelineSemaphore` was enabled. It is needed.
    pub timeline_semaphore: bool,
    /// Extensions that were enabled on the instance.
    pub instance_extensions: Vec<&'static CStr>,
    /// Extensions that were enabled on the device.
    pub device_extensions: Vec<&'static CStr>,
    /// A `VkPipelineCache` that pipelines are made with; 0 for none.
    pub pipeline_cache: u64,
    /// What all memory comes from, but that of an `ExternalBuffer`; none for blocks of our own.
    pub allocator: Option<Arc<dyn MemoryAllocator>>,
    /// Bytes that all buffers may have together.
    pub memory_limit: Option<u64>,
    /// As [`BackendOptions::wait_timeout`].
    pub wait_timeout: Duration,
    /// As [`BackendOptions::trace`]. Copies on a queue for transfers are left out: they take the feature hostQueryReset.
    pub trace: Option<Trace>,
    /// Called when nothing of ours is left on the device, from whichever thread drops the last of it. It is not called if the
    /// device has not answered by then, for it may still be at what is left.
    pub on_drop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

setters!(RawDevice {
    transfer_queue: Option<RawQueue>,
    queue_lock: Option<Arc<dyn QueueLock>>,
    timeline_semaphore: bool,
    instance_extensions: Vec<&'static CStr>,
    device_extensions: Vec<&'static CStr>,
    pipeline_cache: u64,
    allocator: Option<Arc<dyn MemoryAllocator>>,
    memory_limit: Option<u64>,
    wait_timeout: Duration,
    trace: Option<Trace>,
    on_drop: Option<Box<dyn FnOnce() + Send + Sync>>,
});

impl RawDevice {
    /// What there is no default for.
    pub fn new(
        get_instance_proc_addr: *const c_void,
        instance: *mut c_void,
        physical_device: *mut c_void,
        device: *mut c_void,
        compute_queue: RawQueue,
    ) -> RawDevice {
        RawDevice {
            get_instance_proc_addr,
            instance,
            physical_device,
            device,
            compute_queue,
            transfer_queue: None,
            queue_lock: None,
            timeline_semaphore: false,
            instance_extensions: Vec::new(),
            device_extensions: Vec::new(),
            pipeline_cache: 0,
            allocator: None,
            memory_limit: None,
            wait_timeout: BackendOptions::default().wait_timeout,
            trace: None,
            on_drop: None,
        }
    }
}

/// Fails if a handle is null.
pub(super) fn refuse_null(handle: *const c_void, what: &str) -> Result<()> {
    if handle.is_null() { Err(BackendError::invalid(what, "it is null")) } else { Ok(()) }
}

/// A queue of a device, as `vkGetDeviceQueue` gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawQueue {
    /// Index of its family.
    pub family: u32,
    /// Its index in the family.
    pub index: u32,
}

impl RawQueue {
    /// The queue at an index of a family.
    pub fn new(family: u32, index: u32) -> RawQueue {
        RawQueue { family, index }
    }
}

/// Keeps others from a queue that is being submitted to, as Vulkan asks (*Threading Behavior*).
///
/// A `Mutex<()>` is one, for all queues at once.
pub trait QueueLock: Send + Sync {
    /// Calls `during` once, while nobody else uses the queue.
    fn hold(&self, queue: RawQueue, during: &mut dyn FnMut());
}

impl QueueLock for Mutex<()> {
    fn hold(&self, _: RawQueue, during: &mut dyn FnMut()) {
        let _held = self.lock().unwrap_or_else(PoisonError::into_inner);
        during();
    }
}

/// A semaphore of the caller's, and what it is to reach: for
/// [`ResidentRulePipeline::submit_with_semaphores`](crate::ResidentRulePipeline::submit_with_semaphores).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawSemaphore {
    semaphore: u64,
    value: u64,
}

impl RawSemaphore {
    /// A timeline semaphore, at a value.
    ///
    /// # Safety
    ///
    /// The `VkSemaphore` is of the device that it will be used on, or null, and outlives that use. Where it is waited for, the
    /// value will be reached; where it is signalled, the value is greater than any that it has reached or will be signalled
    /// with before.
    pub unsafe fn timeline(semaphore: u64, value: u64) -> RawSemaphore {
        RawSemaphore { semaphore, value }
    }

    /// A binary semaphore, to be used once.
    ///
    /// # Safety
    ///
    /// The `VkSemaphore` is of the device that it will be used on, or null, and outlives that use. Where it is waited for, what
    /// signals it has been submitted; where it is signalled, it is not signalled then.
    pub unsafe fn binary(semaphore: u64) -> RawSemaphore {
        RawSemaphore { semaphore, value: 0 }
    }

    /// The `VkSemaphore`.
    pub fn handle(&self) -> u64 {
        self.semaphore
    }

    /// The value of a timeline semaphore; 0 for a binary one.
    pub fn value(&self) -> u64 {
        self.value
    }
}

/// A buffer of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawBuffer {
    buffer: u64,
    size: u64,
    usage: u32,
}

impl RawBuffer {
    /// A `VkBuffer` that was made with so many bytes, and with these `VkBufferUsageFlags`.
    ///
    /// # Safety
    ///
    /// It is a buffer of the device that it will be used on, or null, was made so, is bound to memory, and is shared with or
    /// owned by the family of the queue that it is used on. It outlives its use: that of what was made with it, and the
    /// execution of commands that were recorded with it.
    pub unsafe fn new(buffer: u64, size: u64, usage: u32) -> RawBuffer {
        RawBuffer { buffer, size, usage }
    }

    /// The `VkBuffer`.
    pub fn handle(&self) -> u64 {
        self.buffer
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it was made for all of that.
    pub(crate) fn is_for(&self, usage: vk::BufferUsageFlags) -> bool {
        vk::BufferUsageFlags::from_raw(self.usage).contains(usage)
    }

    /// Fails if it is null, lacks a usage, or does not have the range.
    pub(crate) fn check(
        &self,
        what: &str,
        usage: vk::BufferUsageFlags,
        offset: u64,
        bytes: u64,
    ) -> Result<()> {
        let size = self.size;
        let reason = if self.buffer == 0 {
            "it is null".to_owned()
        } else if !self.is_for(usage) {
            format!("it was made without {:?}", usage & !vk::BufferUsageFlags::from_raw(self.usage))
        } else if offset.checked_add(bytes).is_none_or(|end| end > size) {
            format!("{bytes} bytes from {offset} on are asked for, and it has {size}")
        } else {
            return Ok(());
        };
        Err(BackendError::invalid(what, reason))
    }
}

/// A command buffer of the caller's, to be recorded into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawCommandBuffer(*mut c_void);

impl RawCommandBuffer {
    /// A `VkCommandBuffer`.
    ///
    /// # Safety
    ///
    /// - It is of the device that will record into it, or null; its pool is for the family of the backend's compute queue, and
    ///   nobody else uses it or its pool while something is recorded.
    /// - It is in the recording state, outside of a render pass.
    /// - What is recorded is executed only while what it was recorded with is there, and never twice at once: not with
    ///   `VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT`, and on one queue, the backend's for kernels.
    pub unsafe fn new(commands: *mut c_void) -> RawCommandBuffer {
        RawCommandBuffer(commands)
    }

    /// The `VkCommandBuffer`, if it is not null.
    pub(super) fn handle(self) -> Result<vk::CommandBuffer> {
        refuse_null(self.0, "the command buffer")?;
        Ok(vk::CommandBuffer::from_raw(self.0 as u64))
    }
}

/// One half of a barrier, as the caller records it: raw `VkPipelineStageFlags` and `VkAccessFlags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawScope {
    /// Stages.
    pub stages: u32,
    /// Accesses.
    pub access: u32,
}

/// The raw handles of a [`Backend`](crate::Backend), whoever made them. They are alive as long as it is, and are not to be
/// destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawHandles {
    /// The `VkInstance`.
    pub instance: *mut c_void,
    /// The `VkPhysicalDevice`.
    pub physical_device: *mut c_void,
    /// The `VkDevice`.
    pub device: *mut c_void,
    /// The queue that kernels run on. Sharing it takes a lock: [`RawDevice::queue_lock`].
    pub compute_queue: RawQueue,
    /// The queue for copies, if that is another one.
    pub transfer_queue: Option<RawQueue>,
}

/// What a device has to be made with so that vkscan can use it, and what it may be made with besides:
/// [`Backend::required_features`](crate::Backend::required_features).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RequiredFeatures {
    /// Version of Vulkan that the instance has to be made for, at least.
    pub api_version: (u32, u32),
    /// Without these [`Backend::from_raw`](crate::Backend::from_raw) fails.
    pub needed: Features,
    /// With these there is more that can be done. All of them are there.
    pub optional: Features,
}

/// Names of features and extensions, as the specification has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Features {
    /// Features, such as `timelineSemaphore`.
    pub features: Vec<&'static str>,
    /// Device extensions.
    pub device_extensions: Vec<&'static CStr>,
    /// Instance extensions.
    pub instance_extensions: Vec<&'static CStr>,
}
