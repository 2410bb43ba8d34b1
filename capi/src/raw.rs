//! Devices that the caller made and goes on owning: what they need, and how they come in and out.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vkscan::{
    Backend, Features, MemoryAllocator, MemoryLocation, MemoryRange, MemoryRequest, QueueLock,
    RawDevice, RawQueue, RequiredFeatures,
};

use crate::backend::{self, c_text, default_timeout_ms, some_limit, vkscan_backend};
use crate::border::{self, HandleOut, Out, SizedOut, sized};
use crate::status::{Failure, free, run, vkscan_status};

/// A queue of a device, as vkGetDeviceQueue gets it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_raw_queue {
    /// Index of its family.
    pub family: u32,
    /// Its index in the family.
    pub index: u32,
}

/// Takes or gives back the lock of a queue, which whoever uses that queue holds.
pub type vkscan_queue_lock_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, queue: vkscan_raw_queue)>;

/// Where a buffer's memory lies, and what for.
#[repr(C)]
pub enum vkscan_memory_location {
    /// Fastest for kernels; the host cannot be sure to see it.
    DeviceLocal = 0,
    /// As fast for kernels, and mapped where all of the device's memory is within the host's reach.
    DeviceLocalMapped = 1,
    /// Host memory that the device reads.
    Upload = 2,
    /// Host memory that the device writes.
    Readback = 3,
    /// Little memory that both write to and read at any time.
    Shared = 4,
    /// Another place, of a later version.
    Other = 5,
}

/// What is asked of a caller's allocator.
#[repr(C)]
pub struct vkscan_memory_request {
    /// sizeof(vkscan_memory_request), as the library knows it.
    pub struct_size: u32,
    /// A vkscan_memory_location; the memory type is one that serves it.
    pub location: u32,
    /// What the memory is for. The text is valid until the call returns.
    pub name: *const c_char,
    /// Bytes.
    pub size: u64,
    /// What its offset has to be a multiple of, in bytes; a power of two.
    pub alignment: u64,
    /// The index of a memory type of the physical device.
    pub memory_type: u32,
    /// 0.
    pub reserved: u32,
}

/// A range of a VkDeviceMemory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_memory_range {
    /// The VkDeviceMemory.
    pub memory: u64,
    /// Where the range begins in it, in bytes.
    pub offset: u64,
    /// Where the host finds the range's first byte; NULL where the memory is not host-visible.
    pub mapped: *mut c_void,
    /// Whatever its allocator knows it by.
    pub token: u64,
}

/// Allocates a range of memory, and returns 1; or returns 0 where that type has no room left: another may be asked for
/// next. The range, all zero before the call,
/// - is of memory allocated from the device, of the type that was asked for, and not for one resource alone
///   (VkMemoryDedicatedAllocateInfo);
/// - has at least as many bytes as were asked for, from an offset that is aligned as was asked;
/// - is mapped for as long as it lives where its type is host-visible, and is then where `mapped` says;
/// - is nobody else's until it is freed.
///
/// Several threads may call it at a time.
pub type vkscan_allocate_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        request: *const vkscan_memory_request,
        range: *mut vkscan_memory_range,
    ) -> i32,
>;

/// Takes back what the allocator gave: nothing is bound to it any more. Several threads may call it at a time.
pub type vkscan_free_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, range: *const vkscan_memory_range)>;

/// Is told that nothing of vkscan's is left on a device, by whichever thread frees the last of it.
pub type vkscan_on_drop_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// A Vulkan device that the caller made and goes on owning. Dispatchable handles are pointers, the others numbers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_raw_device {
    /// sizeof(vkscan_raw_device).
    pub struct_size: u32,
    /// 1 if the feature timelineSemaphore was enabled, which is needed; by default 0.
    pub timeline_semaphore: u32,
    /// vkGetInstanceProcAddr of the loader that the instance was made with.
    pub get_instance_proc_addr: *const c_void,
    /// The VkInstance, made for Vulkan 1.2 or later.
    pub instance: *mut c_void,
    /// The VkPhysicalDevice.
    pub physical_device: *mut c_void,
    /// The VkDevice.
    pub device: *mut c_void,
    /// The queue that kernels run on.
    pub compute_queue: vkscan_raw_queue,
    /// A queue for copies beside kernels, if `has_transfer_queue` is 1.
    pub transfer_queue: vkscan_raw_queue,
    /// 1 if there is a queue for copies; by default 0.
    pub has_transfer_queue: u32,
    /// 0.
    pub reserved: u32,
    /// Names of the extensions that were enabled on the instance; those that vkscan_backend_required_features does not
    /// name need not be among them.
    pub instance_extensions: *const *const c_char,
    /// Their number.
    pub instance_extension_count: usize,
    /// Names of the extensions that were enabled on the device, likewise.
    pub device_extensions: *const *const c_char,
    /// Their number.
    pub device_extension_count: usize,
    /// A VkPipelineCache that pipelines are made with; 0, the default, for none.
    pub pipeline_cache: u64,
    /// Bytes that all buffers may have together; 0, the default, is as many as there is memory for.
    pub memory_limit: u64,
    /// As in vkscan_backend_options.
    pub wait_timeout_ms: u64,
    /// Called before a queue is used; NULL, with `queue_unlock`, if nobody else uses the queues.
    pub queue_lock: vkscan_queue_lock_fn,
    /// Called after a queue was used, by the same thread.
    pub queue_unlock: vkscan_queue_lock_fn,
    /// For these two.
    pub queue_lock_user_data: *mut c_void,
    /// Where all memory comes from; NULL, with `free`, for blocks of vkscan's own.
    pub allocate: vkscan_allocate_fn,
    /// Takes memory back.
    pub free: vkscan_free_fn,
    /// For these two.
    pub allocator_user_data: *mut c_void,
    /// Called when nothing of vkscan's is left on the device, or NULL. It is not called if the device has not answered
    /// by then, for it may still be at what is left, nor if the backend could not be made.
    pub on_drop: vkscan_on_drop_fn,
    /// For that one.
    pub on_drop_user_data: *mut c_void,
}

/// The raw handles of a backend, whoever made them. They are alive as long as it is, and are not to be destroyed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_raw_handles {
    /// sizeof(vkscan_raw_handles).
    pub struct_size: u32,
    /// 1 if copies have a queue of their own, or else 0.
    pub has_transfer_queue: u32,
    /// The VkInstance.
    pub instance: *mut c_void,
    /// The VkPhysicalDevice.
    pub physical_device: *mut c_void,
    /// The VkDevice.
    pub device: *mut c_void,
    /// The queue that kernels run on. Sharing it takes a lock: `queue_lock` of vkscan_raw_device.
    pub compute_queue: vkscan_raw_queue,
    /// The queue for copies, if that is another one.
    pub transfer_queue: vkscan_raw_queue,
}

/// Names of features and extensions, as Vulkan's specification has them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_features {
    /// sizeof(vkscan_features).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Features, such as "timelineSemaphore".
    pub features: *const *const c_char,
    /// Their number.
    pub feature_count: usize,
    /// Device extensions.
    pub device_extensions: *const *const c_char,
    /// Their number.
    pub device_extension_count: usize,
    /// Instance extensions.
    pub instance_extensions: *const *const c_char,
    /// Their number.
    pub instance_extension_count: usize,
}

sized!(vkscan_raw_device, vkscan_raw_handles, vkscan_features);

/// What a device has to be made with so that vkscan can use it, and what it may be made with besides.
pub struct vkscan_required_features {
    api_version: (u32, u32),
    needed: Names,
    optional: Names,
}

struct Names {
    features: List,
    device_extensions: List,
    instance_extensions: List,
}

/// Texts as C has them.
struct List {
    pointers: Vec<*const c_char>,
    _texts: Vec<CString>,
}

// SAFETY: the pointers are to texts of its own, which nothing changes.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

impl List {
    fn new(texts: Vec<CString>) -> List {
        // What a `CString` points to stays when that is moved.
        List { pointers: texts.iter().map(|text| text.as_ptr()).collect(), _texts: texts }
    }
}

impl Names {
    fn new(names: &Features) -> Names {
        let owned =
            |names: &[&CStr]| List::new(names.iter().map(|&name| name.to_owned()).collect());
        Names {
            features: List::new(names.features.iter().map(|name| c_text(name)).collect()),
            device_extensions: owned(&names.device_extensions),
            instance_extensions: owned(&names.instance_extensions),
        }
    }

    fn describe(&self) -> vkscan_features {
        let Names { features, device_extensions, instance_extensions } = self;
        vkscan_features {
            struct_size: 0,
            reserved: 0,
            features: features.pointers.as_ptr(),
            feature_count: features.pointers.len(),
            device_extensions: device_extensions.pointers.as_ptr(),
            device_extension_count: device_extensions.pointers.len(),
            instance_extensions: instance_extensions.pointers.as_ptr(),
            instance_extension_count: instance_extensions.pointers.len(),
        }
    }
}

/// What a caller's functions are called with.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

impl UserData {
    /// As a whole, so that closures take it so.
    pub(crate) fn pointer(self) -> *mut c_void {
        self.0
    }
}

// SAFETY: it only goes back to the caller's functions, which any thread may call.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

/// A caller's lock of queues.
struct Lock {
    lock: unsafe extern "C" fn(*mut c_void, vkscan_raw_queue),
    unlock: unsafe extern "C" fn(*mut c_void, vkscan_raw_queue),
    user_data: UserData,
}

impl QueueLock for Lock {
    fn hold(&self, queue: RawQueue, during: &mut dyn FnMut()) {
        /// Unlocks, even if what is done meanwhile panics.
        struct Held<'a>(&'a Lock, vkscan_raw_queue);

        impl Drop for Held<'_> {
            fn drop(&mut self) {
                // SAFETY: the caller's function gets the caller's data.
                unsafe { (self.0.unlock)(self.0.user_data.pointer(), self.1) };
            }
        }

        let queue = to_c(queue);
        // SAFETY: the caller's function gets the caller's data.
        unsafe { (self.lock)(self.user_data.pointer(), queue) };
        let _held = Held(self, queue);
        during();
    }
}

/// A caller's allocator.
struct Allocator {
    allocate: unsafe extern "C" fn(
        *mut c_void,
        *const vkscan_memory_request,
        *mut vkscan_memory_range,
    ) -> i32,
    free: unsafe extern "C" fn(*mut c_void, *const vkscan_memory_range),
    user_data: UserData,
}

// SAFETY: `vkscan_allocate_fn` asks of the caller what the trait does.
unsafe impl MemoryAllocator for Allocator {
    fn allocate(&self, request: &MemoryRequest<'_>) -> Option<MemoryRange> {
        let name = c_text(request.name);
        let location = match request.location {
            MemoryLocation::DeviceLocal => vkscan_memory_location::DeviceLocal,
            MemoryLocation::DeviceLocalMapped => vkscan_memory_location::DeviceLocalMapped,
            MemoryLocation::Upload => vkscan_memory_location::Upload,
            MemoryLocation::Readback => vkscan_memory_location::Readback,
            MemoryLocation::Shared => vkscan_memory_location::Shared,
            _ => vkscan_memory_location::Other,
        };
        let request = vkscan_memory_request {
            struct_size: size_of::<vkscan_memory_request>() as u32,
            location: location as u32,
            name: name.as_ptr(),
            size: request.size,
            alignment: request.alignment,
            memory_type: request.memory_type,
            reserved: 0,
        };
        let mut range =
            vkscan_memory_range { memory: 0, offset: 0, mapped: ptr::null_mut(), token: 0 };
        // SAFETY: both live until it returns, and the caller's function gets the caller's data.
        let is_there = unsafe {
            (self.allocate)(self.user_data.pointer(), &raw const request, &raw mut range)
        };
        let vkscan_memory_range { memory, offset, mapped, token } = range;
        (is_there != 0).then_some(MemoryRange { memory, offset, mapped, token })
    }

    fn free(&self, range: MemoryRange) {
        let MemoryRange { memory, offset, mapped, token } = range;
        let range = vkscan_memory_range { memory, offset, mapped, token };
        // SAFETY: the range lives until it returns, and the caller's function gets the caller's data.
        unsafe { (self.free)(self.user_data.pointer(), &raw const range) };
    }
}

fn to_c(queue: RawQueue) -> vkscan_raw_queue {
    vkscan_raw_queue { family: queue.family, index: queue.index }
}

fn from_c(queue: vkscan_raw_queue) -> RawQueue {
    RawQueue::new(queue.family, queue.index)
}

/// Names that stay for good, each once.
///
/// # Safety
///
/// `names` is null or points to `count` texts that end with a zero byte.
unsafe fn names(
    names: *const *const c_char,
    count: usize,
    of: &str,
) -> Result<Vec<&'static CStr>, Failure> {
    static KNOWN: Mutex<BTreeSet<&'static CStr>> = Mutex::new(BTreeSet::new());

    // SAFETY: as the caller promises.
    let names = unsafe { border::slice(names, count, of) }?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut keep = |&name: &*const c_char| {
        if name.is_null() {
            return Err(Failure::null(of));
        }
        // SAFETY: as the caller promises.
        let name = unsafe { CStr::from_ptr(name) };
        if let Some(name) = known.get(name) {
            return Ok(*name);
        }
        let name: &'static CStr = Box::leak(name.to_owned().into_boxed_c_str());
        known.insert(name);
        Ok(name)
    };
    names.iter().map(&mut keep).collect()
}

/// Two functions that are there both or not at all.
fn both<A, B>(one: Option<A>, other: Option<B>, names: &str) -> Result<Option<(A, B)>, Failure> {
    match (one, other) {
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (None, None) => Ok(None),
        _ => Err(Failure::argument(format!("one of {names} is null and the other is not"))),
    }
}

/// Fills in defaults, and zeros for what there is none for. `size` is sizeof(vkscan_raw_device).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_raw_device_init(
    raw: *mut vkscan_raw_device,
    size: usize,
) -> vkscan_status {
    let none = vkscan_raw_queue { family: 0, index: 0 };
    let defaults = vkscan_raw_device {
        struct_size: 0,
        timeline_semaphore: 0,
        get_instance_proc_addr: ptr::null(),
        instance: ptr::null_mut(),
        physical_device: ptr::null_mut(),
        device: ptr::null_mut(),
        compute_queue: none,
        transfer_queue: none,
        has_transfer_queue: 0,
        reserved: 0,
        instance_extensions: ptr::null(),
        instance_extension_count: 0,
        device_extensions: ptr::null(),
        device_extension_count: 0,
        pipeline_cache: 0,
        memory_limit: 0,
        wait_timeout_ms: default_timeout_ms(),
        queue_lock: None,
        queue_unlock: None,
        queue_lock_user_data: ptr::null_mut(),
        allocate: None,
        free: None,
        allocator_user_data: ptr::null_mut(),
        on_drop: None,
        on_drop_user_data: ptr::null_mut(),
    };
    // SAFETY: as the header asks of the caller.
    run(|| unsafe { border::init(raw, size, defaults) })
}

/// Uses a device that the caller made and goes on owning. Nothing of the caller's is destroyed, and validation is as
/// the caller set it up. The backend is freed with vkscan_backend_free. The caller sees to all of this:
/// - All handles are valid, belong together, and outlive the backend and everything made from it, which is until
///   `on_drop` is called.
/// - The device was made with the queues, features and extensions that `raw` names, the queues without
///   VK_DEVICE_QUEUE_CREATE_PROTECTED_BIT; and the instance with the extensions.
/// - While a queue is used by anyone else, the lock is held, by vkDeviceWaitIdle, too; so is it by other backends on
///   the same queue.
/// - The pipeline cache was made without VK_PIPELINE_CACHE_CREATE_EXTERNALLY_SYNCHRONIZED_BIT.
/// - Functions may be called by any thread until `on_drop` is called. They return, and call no function of vkscan's.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for a null handle, an instance made for less than Vulkan 1.2, a device
/// made without what is needed, or a queue that is not there or cannot do what it is for; and with
/// VKSCAN_STATUS_UNSUPPORTED_DEVICE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_from_raw(
    raw: *const vkscan_raw_device,
    backend: *mut *mut vkscan_backend,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, raw) = unsafe { (HandleOut::new(backend, "backend")?, border::read(raw, "raw")?) };
        let instead = "fill the struct by vkscan_raw_device_init first";
        border::unused(raw.reserved, "reserved", instead)?;
        // SAFETY: as the header asks of the caller.
        let (instance_extensions, device_extensions) = unsafe {
            (
                names(
                    raw.instance_extensions,
                    raw.instance_extension_count,
                    "instance_extensions",
                )?,
                names(raw.device_extensions, raw.device_extension_count, "device_extensions")?,
            )
        };
        let lock = both(raw.queue_lock, raw.queue_unlock, "`queue_lock` and `queue_unlock`")?;
        let lock = lock.map(|(lock, unlock)| -> Arc<dyn QueueLock> {
            Arc::new(Lock { lock, unlock, user_data: UserData(raw.queue_lock_user_data) })
        });
        let allocator = both(raw.allocate, raw.free, "`allocate` and `free`")?;
        let allocator = allocator.map(|(allocate, free)| -> Arc<dyn MemoryAllocator> {
            Arc::new(Allocator { allocate, free, user_data: UserData(raw.allocator_user_data) })
        });
        let user_data = UserData(raw.on_drop_user_data);
        let on_drop = raw.on_drop.map(|on_drop| -> Box<dyn FnOnce() + Send + Sync> {
            Box::new(move || {
                // SAFETY: the caller's function gets the caller's data.
                unsafe { on_drop(user_data.pointer()) };
            })
        });
        let device = RawDevice::new(
            raw.get_instance_proc_addr,
            raw.instance,
            raw.physical_device,
            raw.device,
            from_c(raw.compute_queue),
        )
        .transfer_queue((raw.has_transfer_queue != 0).then(|| from_c(raw.transfer_queue)))
        .queue_lock(lock)
        .timeline_semaphore(raw.timeline_semaphore != 0)
        .instance_extensions(instance_extensions)
        .device_extensions(device_extensions)
        .pipeline_cache(raw.pipeline_cache)
        .allocator(allocator)
        .memory_limit(some_limit(raw.memory_limit))
        .wait_timeout(Duration::from_millis(raw.wait_timeout_ms))
        .on_drop(on_drop);
        // SAFETY: as the header asks of the caller.
        to.set(vkscan_backend::new(unsafe { Backend::from_raw(device) }?));
        Ok(())
    })
}

/// Gives the raw handles of instance and device, whoever made them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_raw_handles(
    backend: Option<&vkscan_backend>,
    handles: *mut vkscan_raw_handles,
) -> vkscan_status {
    run(|| {
        let backend = backend::of(backend)?;
        // SAFETY: as the header asks of the caller.
        let to = unsafe { SizedOut::new(handles, "handles") }?;
        let handles = backend.raw_handles();
        to.set(vkscan_raw_handles {
            struct_size: 0,
            has_transfer_queue: handles.transfer_queue.is_some().into(),
            instance: handles.instance,
            physical_device: handles.physical_device,
            device: handles.device,
            compute_queue: to_c(handles.compute_queue),
            transfer_queue: to_c(handles.transfer_queue.unwrap_or(RawQueue::new(0, 0))),
        });
        Ok(())
    })
}

/// Tells what a device has to be made with for vkscan_backend_from_raw, and what it may be made with besides.
/// `get_instance_proc_addr` is vkGetInstanceProcAddr of the loader that made the VkInstance `instance`, and
/// `physical_device` one of its VkPhysicalDevices. What is told is freed with vkscan_required_features_free.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for a null handle, a device that is not of the instance, or an instance
/// made for less than Vulkan 1.2; and with VKSCAN_STATUS_UNSUPPORTED_DEVICE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_required_features(
    get_instance_proc_addr: *const c_void,
    instance: *mut c_void,
    physical_device: *mut c_void,
    required: *mut *mut vkscan_required_features,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, features) = unsafe {
            let to = HandleOut::new(required, "required")?;
            (to, Backend::required_features(get_instance_proc_addr, instance, physical_device)?)
        };
        let RequiredFeatures { api_version, needed, optional, .. } = features;
        let (needed, optional) = (Names::new(&needed), Names::new(&optional));
        to.set(vkscan_required_features { api_version, needed, optional });
        Ok(())
    })
}

/// Gives the version of Vulkan that the instance has to be made for, at least; what the device has to be made with; and
/// what else is of use, all of which is there. Names are valid until `required` is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_required_features_get(
    required: Option<&vkscan_required_features>,
    api_version_major: *mut u32,
    api_version_minor: *mut u32,
    needed: *mut vkscan_features,
    optional: *mut vkscan_features,
) -> vkscan_status {
    run(|| {
        let required = required.ok_or_else(|| Failure::null("required"))?;
        // SAFETY: as the header asks of the caller.
        let (major, minor, needed, optional) = unsafe {
            (
                Out::new(api_version_major, "api_version_major")?,
                Out::new(api_version_minor, "api_version_minor")?,
                SizedOut::new(needed, "needed")?,
                SizedOut::new(optional, "optional")?,
            )
        };
        major.set(required.api_version.0);
        minor.set(required.api_version.1);
        needed.set(required.needed.describe());
        optional.set(required.optional.describe());
        Ok(())
    })
}

/// Frees what was told, and its names.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_required_features_free(required: Option<Box<vkscan_required_features>>) {
    free(required);
}
