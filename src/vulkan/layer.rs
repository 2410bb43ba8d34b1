//! A layer for tests between vkscan and the loader: it fails calls, counts what is created and destroyed, narrows what
//! devices say of themselves, and notes what objects and commands are called (`told.rs`). gpu-allocator's calls go through it, too.

use std::ffi::{CStr, c_char, c_void};
use std::mem::transmute;
use std::path::Path;
use std::sync::atomic::{AtomicIsize, AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ash::vk;
use vk::{Handle, Result as R};

use super::narrowing::{self, Narrowing};
use super::pretence;
use super::told;

/// The path of the loader that has the layer.
pub(crate) const PATH: &str = "vkscan's own, for tests";

/// A function that the layer has its own of.
pub(crate) struct Hook {
    pub(crate) name: &'static str,
    /// What it can fail with, by the specification.
    pub(crate) failures: &'static [R],
    own: Function,
    real: AtomicPtr<c_void>,
}

type Function = unsafe extern "system" fn();

impl Hook {
    const fn new(name: &'static str, failures: &'static [R], own: Function) -> Hook {
        Hook { name, failures, own, real: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The function that a call goes on to.
    ///
    /// # Safety
    ///
    /// `F` is the type that the specification gives the function.
    pub(super) unsafe fn real<F: Copy>(&self) -> F {
        let real = self.real.load(Ordering::Relaxed);
        assert!(!real.is_null() && size_of::<F>() == size_of_val(&real), "{}", self.name);
        // SAFETY: a function pointer of that type.
        unsafe { std::mem::transmute_copy(&real) }
    }
}

/// The call that is to fail.
struct Plan {
    name: &'static str,
    result: R,
    /// Calls until then, itself included; 0 once it has failed.
    left: usize,
}

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);
static NARROWING: Mutex<Option<&'static Narrowing>> = Mutex::new(None);
/// Objects created and not destroyed, without memory; and allocations.
static OBJECTS: AtomicIsize = AtomicIsize::new(0);
static ALLOCATIONS: AtomicIsize = AtomicIsize::new(0);
static DEVICES: Mutex<Vec<vk::Device>> = Mutex::new(Vec::new());

/// Keeps others from the layer.
pub(crate) fn lock() -> MutexGuard<'static, ()> {
    static USERS: Mutex<()> = Mutex::new(());
    get(&USERS)
}

pub(super) fn get<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, fails the `nth` call of a function, counted from 1.
pub(crate) fn fail(name: &'static str, result: R, nth: usize) {
    *get(&PLAN) = Some(Plan { name, result, left: nth });
}

/// Fails no more calls. Says whether one was failed.
pub(crate) fn stop_failing() -> bool {
    get(&PLAN).take().is_some_and(|plan| plan.left == 0)
}

/// Objects that were created and not destroyed, and allocations.
pub(crate) fn counts() -> (isize, isize) {
    (OBJECTS.load(Ordering::Relaxed), ALLOCATIONS.load(Ordering::Relaxed))
}

/// All functions that may fail.
pub(crate) fn hooks() -> impl Iterator<Item = &'static Hook> {
    [fallible::ALL, special::ALL].into_iter().flatten().copied()
}

/// From now on, instances show their devices as narrow as that.
pub(crate) fn narrow(narrowing: Option<&'static Narrowing>) {
    *get(&NARROWING) = narrowing;
}

fn narrowing() -> Option<&'static Narrowing> {
    *get(&NARROWING)
}

/// The system's loader, through the layer.
pub(super) fn entry(path: &Path) -> Option<ash::Entry> {
    (path == Path::new(PATH)).then(|| {
        let static_fn = ash::StaticFn { get_instance_proc_addr };
        // SAFETY: it gives what the loader gives, or functions of the same types.
        unsafe { ash::Entry::from_static_fn(static_fn) }
    })
}

fn loader() -> &'static ash::Entry {
    static LOADER: OnceLock<ash::Entry> = OnceLock::new();
    // SAFETY: as sound as the system's loader is, and never closed.
    LOADER.get_or_init(|| unsafe { ash::Entry::load() }.expect("tests need a Vulkan loader"))
}

unsafe extern "system" fn get_instance_proc_addr(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: the caller's promises are those that the loader asks for.
    let real = unsafe { (loader().static_fn().get_instance_proc_addr)(instance, name) };
    // SAFETY: as above.
    unsafe { own(name, real) }
}

unsafe extern "system" fn get_device_proc_addr(
    device: vk::Device,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    let mut devices = get(&DEVICES);
    if !devices.contains(&device) {
        devices.push(device);
    }
    drop(devices);
    // SAFETY: the caller's promise.
    if let Some(pretended) = pretence::function(unsafe { CStr::from_ptr(name) }) {
        return Some(pretended);
    }
    // SAFETY: that is the function's type, and the caller's promises are those that it asks for.
    let real = unsafe {
        let get: vk::PFN_vkGetDeviceProcAddr = special::vkGetDeviceProcAddr.real();
        get(device, name)
    };
    // SAFETY: as above.
    unsafe { own(name, real) }
}

/// The layer's own function of that name, if it has one and there is a real one.
///
/// # Safety
///
/// `name` is a C string.
unsafe fn own(name: *const c_char, real: vk::PFN_vkVoidFunction) -> vk::PFN_vkVoidFunction {
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_str().ok()?;
    let hooks = [fallible::ALL, destroying::ALL, special::ALL];
    match hooks.into_iter().flatten().find(|hook| hook.name == name) {
        Some(hook) => {
            hook.real.store(real? as *mut c_void, Ordering::Relaxed);
            Some(hook.own)
        }
        None => real,
    }
}

/// What a call is to fail with, if it is.
fn failure(hook: &Hook) -> Option<R> {
    let mut plan = get(&PLAN);
    let planned = plan.as_mut().filter(|plan| plan.name == hook.name && plan.left > 0)?;
    planned.left -= 1;
    if planned.left > 0 {
        return None;
    }
    let result = planned.result;
    drop(plan);
    if result == R::ERROR_DEVICE_LOST && hook.name != "vkCreateDevice" {
        wait_idle();
    }
    Some(result)
}

/// Devices that are said to be lost run nothing.
fn wait_idle() {
    for &device in &*get(&DEVICES) {
        // SAFETY: that is the function's type, and tests with the layer use devices from one thread.
        unsafe {
            let wait: vk::PFN_vkDeviceWaitIdle = fallible::vkDeviceWaitIdle.real();
            wait(device).result().unwrap();
        }
    }
}

type Allocator = *const vk::AllocationCallbacks<'static>;

/// Functions that may fail, with what, and by how much a call that succeeds changes the number of objects.
macro_rules! fallible {
    ($($name:ident($($arg:ident: $type:ty),*) $failures:ident $objects:literal;)*) => {
        #[allow(non_snake_case, non_upper_case_globals)]
        pub(crate) mod fallible {
            use super::*;

            // SAFETY: never called as what it is cast to, but as what it is.
            $(pub(super) static $name: Hook = Hook::new(stringify!($name), $failures, unsafe {
                transmute::<unsafe extern "system" fn($($type),*) -> R, Function>(own::$name)
            });)*

            pub(crate) static ALL: &[&Hook] = &[$(&$name),*];

            mod own {
                use super::*;

                $(pub(super) unsafe extern "system" fn $name($($arg: $type),*) -> R {
                    if let Some(result) = failure(&super::$name) {
                        return result;
                    }
                    // SAFETY: that is the function's type, and the caller's promises are those that it asks for.
                    let result = unsafe {
                        let real: unsafe extern "system" fn($($type),*) -> R = super::$name.real();
                        real($($arg),*)
                    };
                    if result == R::SUCCESS {
                        OBJECTS.fetch_add($objects, Ordering::Relaxed);
                    }
                    result
                })*
            }
        }
    };
}

const NONE: &[R] = &[];
const HOST: &[R] = &[R::ERROR_OUT_OF_HOST_MEMORY];
const MEMORY: &[R] = &[R::ERROR_OUT_OF_HOST_MEMORY, R::ERROR_OUT_OF_DEVICE_MEMORY];
const DEVICE_MEMORY: &[R] = &[R::ERROR_OUT_OF_DEVICE_MEMORY];
const MAPPING: &[R] =
    &[R::ERROR_OUT_OF_HOST_MEMORY, R::ERROR_OUT_OF_DEVICE_MEMORY, R::ERROR_MEMORY_MAP_FAILED];
const POOL: &[R] =
    &[R::ERROR_OUT_OF_HOST_MEMORY, R::ERROR_OUT_OF_DEVICE_MEMORY, R::ERROR_FRAGMENTATION];
const SETS: &[R] = &[
    R::ERROR_OUT_OF_HOST_MEMORY,
    R::ERROR_OUT_OF_DEVICE_MEMORY,
    R::ERROR_FRAGMENTED_POOL,
    R::ERROR_OUT_OF_POOL_MEMORY,
];
const HANDLES: &[R] = &[R::ERROR_TOO_MANY_OBJECTS, R::ERROR_OUT_OF_HOST_MEMORY];
const IMPORTS: &[R] = &[R::ERROR_OUT_OF_HOST_MEMORY, R::ERROR_INVALID_EXTERNAL_HANDLE];
const LOSS: &[R] =
    &[R::ERROR_OUT_OF_HOST_MEMORY, R::ERROR_OUT_OF_DEVICE_MEMORY, R::ERROR_DEVICE_LOST];
const WAIT: &[R] =
    &[R::TIMEOUT, R::ERROR_OUT_OF_HOST_MEMORY, R::ERROR_OUT_OF_DEVICE_MEMORY, R::ERROR_DEVICE_LOST];
const QUERY: &[R] = &[
    R::NOT_READY,
    R::ERROR_OUT_OF_HOST_MEMORY,
    R::ERROR_OUT_OF_DEVICE_MEMORY,
    R::ERROR_DEVICE_LOST,
];
const EXTENSIONS: &[R] =
    &[R::ERROR_OUT_OF_HOST_MEMORY, R::ERROR_OUT_OF_DEVICE_MEMORY, R::ERROR_LAYER_NOT_PRESENT];
const INSTANCE: &[R] = &[
    R::ERROR_OUT_OF_HOST_MEMORY,
    R::ERROR_OUT_OF_DEVICE_MEMORY,
    R::ERROR_INITIALIZATION_FAILED,
    R::ERROR_LAYER_NOT_PRESENT,
    R::ERROR_EXTENSION_NOT_PRESENT,
    R::ERROR_INCOMPATIBLE_DRIVER,
];
const ENUMERATION: &[R] =
    &[R::ERROR_OUT_OF_HOST_MEMORY, R::ERROR_OUT_OF_DEVICE_MEMORY, R::ERROR_INITIALIZATION_FAILED];
const CREATION: &[R] = &[
    R::ERROR_OUT_OF_HOST_MEMORY,
    R::ERROR_OUT_OF_DEVICE_MEMORY,
    R::ERROR_INITIALIZATION_FAILED,
    R::ERROR_EXTENSION_NOT_PRESENT,
    R::ERROR_FEATURE_NOT_PRESENT,
    R::ERROR_TOO_MANY_OBJECTS,
    R::ERROR_DEVICE_LOST,
];

#[rustfmt::skip]
fallible! {
    vkEnumerateInstanceVersion(version: *mut u32) HOST 0;
    vkEnumerateInstanceExtensionProperties(layer: *const c_char, count: *mut u32, to: *mut c_void) EXTENSIONS 0;
    vkCreateInstance(info: *const c_void, allocator: Allocator, to: *mut vk::Instance) INSTANCE 1;
    vkEnumeratePhysicalDevices(instance: vk::Instance, count: *mut u32, to: *mut c_void) ENUMERATION 0;
    vkEnumerateInstanceLayerProperties(count: *mut u32, to: *mut c_void) MEMORY 0;
    vkCreateDebugUtilsMessengerEXT(instance: vk::Instance, info: *const c_void, allocator: Allocator, to: *mut c_void) HOST 0;
    vkDeviceWaitIdle(device: vk::Device) NONE 0;
    vkCreateBuffer(device: vk::Device, info: *const c_void, allocator: Allocator, to: *mut vk::Buffer) MEMORY 1;
    vkBindBufferMemory(device: vk::Device, buffer: vk::Buffer, memory: vk::DeviceMemory, offset: u64) MEMORY 0;
    vkMapMemory(device: vk::Device, memory: vk::DeviceMemory, offset: u64, size: u64, flags: vk::MemoryMapFlags,
        to: *mut *mut c_void) MAPPING 0;
    vkFlushMappedMemoryRanges(device: vk::Device, count: u32, ranges: *const c_void) MEMORY 0;
    vkInvalidateMappedMemoryRanges(device: vk::Device, count: u32, ranges: *const c_void) MEMORY 0;
    vkCreateCommandPool(device: vk::Device, info: *const c_void, allocator: Allocator, to: *mut vk::CommandPool) MEMORY 1;
    vkAllocateCommandBuffers(device: vk::Device, info: *const c_void, to: *mut c_void) MEMORY 0;
    vkResetCommandPool(device: vk::Device, pool: vk::CommandPool, flags: vk::CommandPoolResetFlags) DEVICE_MEMORY 0;
    vkBeginCommandBuffer(commands: vk::CommandBuffer, info: *const c_void) MEMORY 0;
    vkEndCommandBuffer(commands: vk::CommandBuffer) MEMORY 0;
    vkQueueSubmit(queue: vk::Queue, count: u32, submits: *const c_void, fence: vk::Fence) LOSS 0;
    vkCreateSemaphore(device: vk::Device, info: *const c_void, allocator: Allocator, to: *mut vk::Semaphore) MEMORY 1;
    vkWaitSemaphores(device: vk::Device, info: *const c_void, timeout: u64) WAIT 0;
    vkCreateDescriptorSetLayout(device: vk::Device, info: *const c_void, allocator: Allocator,
        to: *mut vk::DescriptorSetLayout) MEMORY 1;
    vkCreatePipelineLayout(device: vk::Device, info: *const c_void, allocator: Allocator, to: *mut vk::PipelineLayout)
        MEMORY 1;
    vkCreateShaderModule(device: vk::Device, info: *const c_void, allocator: Allocator, to: *mut vk::ShaderModule) MEMORY 1;
    vkCreatePipelineCache(device: vk::Device, info: *const c_void, allocator: Allocator, to: *mut vk::PipelineCache) MEMORY 1;
    vkGetPipelineCacheData(device: vk::Device, cache: vk::PipelineCache, size: *mut usize, to: *mut c_void) MEMORY 0;
    vkCreateComputePipelines(device: vk::Device, cache: vk::PipelineCache, count: u32, infos: *const c_void,
        allocator: Allocator, to: *mut vk::Pipeline) MEMORY 1;
    vkCreateDescriptorPool(device: vk::Device, info: *const c_void, allocator: Allocator, to: *mut vk::DescriptorPool)
        POOL 1;
    vkAllocateDescriptorSets(device: vk::Device, info: *const c_void, to: *mut c_void) SETS 0;
    vkCreateQueryPool(device: vk::Device, info: *const c_void, allocator: Allocator, to: *mut vk::QueryPool) MEMORY 1;
    vkGetQueryPoolResults(device: vk::Device, pool: vk::QueryPool, first: u32, count: u32, size: usize, to: *mut c_void,
        stride: u64, flags: vk::QueryResultFlags) QUERY 0;
    vkGetMemoryFdKHR(device: vk::Device, info: *const c_void, to: *mut i32) HANDLES 0;
    vkGetMemoryFdPropertiesKHR(device: vk::Device, kind: vk::ExternalMemoryHandleTypeFlags, fd: i32, to: *mut c_void) IMPORTS 0;
    vkGetSemaphoreFdKHR(device: vk::Device, info: *const c_void, to: *mut i32) HANDLES 0;
    vkImportSemaphoreFdKHR(device: vk::Device, info: *const c_void) IMPORTS 0;
}

macro_rules! destroying {
    ($($name:ident($object:ty);)*) => {
        #[allow(non_snake_case, non_upper_case_globals)]
        mod destroying {
            use super::*;

            type Destroy<T> = unsafe extern "system" fn(vk::Device, T, Allocator);

            // SAFETY: never called as what it is cast to, but as what it is.
            $(pub(super) static $name: Hook = Hook::new(stringify!($name), NONE, unsafe {
                transmute::<Destroy<$object>, Function>(own::$name)
            });)*

            pub(super) static ALL: &[&Hook] = &[$(&$name),*];

            mod own {
                use super::*;

                $(pub(super) unsafe extern "system" fn $name(
                    device: vk::Device,
                    object: $object,
                    allocator: Allocator,
                ) {
                    if !object.is_null() {
                        OBJECTS.fetch_sub(1, Ordering::Relaxed);
                    }
                    // SAFETY: that is the function's type, and the caller's promises are those that it asks for.
                    unsafe {
                        let real: Destroy<$object> = super::$name.real();
                        real(device, object, allocator)
                    }
                })*
            }
        }
    };
}

destroying! {
    vkDestroyBuffer(vk::Buffer);
    vkDestroyCommandPool(vk::CommandPool);
    vkDestroySemaphore(vk::Semaphore);
    vkDestroyDescriptorSetLayout(vk::DescriptorSetLayout);
    vkDestroyPipelineLayout(vk::PipelineLayout);
    vkDestroyShaderModule(vk::ShaderModule);
    vkDestroyPipeline(vk::Pipeline);
    vkDestroyPipelineCache(vk::PipelineCache);
    vkDestroyDescriptorPool(vk::DescriptorPool);
    vkDestroyQueryPool(vk::QueryPool);
}

/// Functions that the layer does more in than to fail them or to count.
#[allow(non_snake_case, non_upper_case_globals)]
pub(crate) mod special {
    use super::*;

    macro_rules! hooks {
        ($($name:ident: $type:ty = $own:expr, $failures:ident;)*) => {
            // SAFETY: never called as what it is cast to, but as what it is.
            $(pub(crate) static $name: Hook = Hook::new(stringify!($name), $failures, unsafe {
                transmute::<$type, Function>($own)
            });)*

            pub(crate) static ALL: &[&Hook] = &[$(&$name),*];
        };
    }

    hooks! {
        vkGetDeviceProcAddr: vk::PFN_vkGetDeviceProcAddr = get_device_proc_addr, NONE;
        vkEnumerateDeviceExtensionProperties:
            vk::PFN_vkEnumerateDeviceExtensionProperties = device_extensions, EXTENSIONS;
        vkCreateDevice: vk::PFN_vkCreateDevice = create_device, CREATION;
        vkDestroyDevice: vk::PFN_vkDestroyDevice = destroy_device, NONE;
        vkDestroyInstance: vk::PFN_vkDestroyInstance = destroy_instance, NONE;
        vkAllocateMemory: vk::PFN_vkAllocateMemory = allocate_memory, MEMORY;
        vkFreeMemory: vk::PFN_vkFreeMemory = free_memory, NONE;
        vkGetSemaphoreCounterValue: vk::PFN_vkGetSemaphoreCounterValue = counter_value, LOSS;
        vkGetPhysicalDeviceProperties: vk::PFN_vkGetPhysicalDeviceProperties = properties, NONE;
        vkGetPhysicalDeviceProperties2: vk::PFN_vkGetPhysicalDeviceProperties2 = properties2, NONE;
        vkGetPhysicalDeviceFeatures2: vk::PFN_vkGetPhysicalDeviceFeatures2 = features2, NONE;
        vkGetPhysicalDeviceQueueFamilyProperties:
            vk::PFN_vkGetPhysicalDeviceQueueFamilyProperties = queue_families, NONE;
        vkGetPhysicalDeviceMemoryProperties: vk::PFN_vkGetPhysicalDeviceMemoryProperties =
            memory_properties, NONE;
        vkGetPhysicalDeviceMemoryProperties2: vk::PFN_vkGetPhysicalDeviceMemoryProperties2 =
            memory_properties2, NONE;
        vkGetBufferMemoryRequirements: vk::PFN_vkGetBufferMemoryRequirements =
            buffer_memory_requirements, NONE;
        vkSetDebugUtilsObjectNameEXT: vk::PFN_vkSetDebugUtilsObjectNameEXT = told::set_object_name, NONE;
        vkCmdBeginDebugUtilsLabelEXT: vk::PFN_vkCmdBeginDebugUtilsLabelEXT = told::begin_label, NONE;
        vkCmdEndDebugUtilsLabelEXT: vk::PFN_vkCmdEndDebugUtilsLabelEXT = told::end_label, NONE;
    }

    unsafe extern "system" fn device_extensions(
        device: vk::PhysicalDevice,
        layer: *const c_char,
        count: *mut u32,
        to: *mut vk::ExtensionProperties,
    ) -> R {
        if let Some(result) = failure(&vkEnumerateDeviceExtensionProperties) {
            return result;
        }
        let pretended: &[&CStr] = if pretence::pretends() { &pretence::EXTENSIONS } else { &[] };
        // SAFETY: the function's type, and the caller's promises; likewise in all that follow. What is pretended comes last.
        unsafe {
            let real: vk::PFN_vkEnumerateDeviceExtensionProperties =
                vkEnumerateDeviceExtensionProperties.real();
            let result = real(device, layer, count, to);
            for name in pretended.iter().filter(|_| result == R::SUCCESS) {
                if let Some(to) = to.add(*count as usize).as_mut().filter(|_| !to.is_null()) {
                    let name = name.to_bytes().iter().map(|&byte| byte as c_char);
                    to.extension_name.fill(0);
                    to.extension_name.iter_mut().zip(name).for_each(|(to, char)| *to = char);
                }
                *count += 1;
            }
            result
        }
    }

    unsafe extern "system" fn create_device(
        physical: vk::PhysicalDevice,
        info: *const vk::DeviceCreateInfo<'_>,
        allocator: *const vk::AllocationCallbacks<'_>,
        to: *mut vk::Device,
    ) -> R {
        if let Some(result) = failure(&vkCreateDevice) {
            return result;
        }
        // SAFETY: as above.
        let result = unsafe {
            let mut info = *info;
            let count = info.enabled_extension_count as usize;
            let mut names = match count {
                0 => Vec::new(),
                _ => std::slice::from_raw_parts(info.pp_enabled_extension_names, count).to_vec(),
            };
            if pretence::pretends() {
                names.retain(|&name| !pretence::EXTENSIONS.contains(&CStr::from_ptr(name)));
                info.p_next = pretence::without_features(info.p_next);
            }
            info = info.enabled_extension_names(&names);
            vkCreateDevice.real::<vk::PFN_vkCreateDevice>()(physical, &info, allocator, to)
        };
        if result == R::SUCCESS {
            OBJECTS.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    unsafe extern "system" fn destroy_device(
        device: vk::Device,
        allocator: *const vk::AllocationCallbacks<'_>,
    ) {
        OBJECTS.fetch_sub(1, Ordering::Relaxed);
        get(&DEVICES).retain(|&other| other != device);
        // SAFETY: as above.
        unsafe { vkDestroyDevice.real::<vk::PFN_vkDestroyDevice>()(device, allocator) }
    }

    unsafe extern "system" fn destroy_instance(
        instance: vk::Instance,
        allocator: *const vk::AllocationCallbacks<'_>,
    ) {
        OBJECTS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { vkDestroyInstance.real::<vk::PFN_vkDestroyInstance>()(instance, allocator) }
    }

    unsafe extern "system" fn allocate_memory(
        device: vk::Device,
        info: *const vk::MemoryAllocateInfo<'_>,
        allocator: *const vk::AllocationCallbacks<'_>,
        to: *mut vk::DeviceMemory,
    ) -> R {
        if let Some(result) = failure(&vkAllocateMemory) {
            return result;
        }
        // SAFETY: as above.
        let mut info = unsafe { *info };
        if narrowing().is_some_and(|narrowing| !narrowing.memory.is_empty()) {
            info.memory_type_index = narrowing::REAL_MEMORY_TYPE;
        }
        // SAFETY: as above.
        let result = unsafe {
            vkAllocateMemory.real::<vk::PFN_vkAllocateMemory>()(device, &info, allocator, to)
        };
        if result == R::SUCCESS {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    unsafe extern "system" fn free_memory(
        device: vk::Device,
        memory: vk::DeviceMemory,
        allocator: *const vk::AllocationCallbacks<'_>,
    ) {
        if !memory.is_null() {
            ALLOCATIONS.fetch_sub(1, Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { vkFreeMemory.real::<vk::PFN_vkFreeMemory>()(device, memory, allocator) }
    }

    /// How often it is called depends on how fast the device is. So that the nth call is always the same, the device is done
    /// before it is asked where that is to fail, and is never done where another function is.
    unsafe extern "system" fn counter_value(
        device: vk::Device,
        semaphore: vk::Semaphore,
        to: *mut u64,
    ) -> R {
        match get(&PLAN).as_ref().map(|plan| plan.name == vkGetSemaphoreCounterValue.name) {
            Some(true) => wait_idle(),
            Some(false) => {
                // SAFETY: as above.
                unsafe { *to = 0 };
                return R::SUCCESS;
            }
            None => {}
        }
        if let Some(result) = failure(&vkGetSemaphoreCounterValue) {
            return result;
        }
        // SAFETY: as above.
        unsafe {
            let real: vk::PFN_vkGetSemaphoreCounterValue = vkGetSemaphoreCounterValue.real();
            real(device, semaphore, to)
        }
    }

    unsafe extern "system" fn properties(
        device: vk::PhysicalDevice,
        to: *mut vk::PhysicalDeviceProperties,
    ) {
        // SAFETY: as above.
        unsafe {
            vkGetPhysicalDeviceProperties.real::<vk::PFN_vkGetPhysicalDeviceProperties>()(
                device, to,
            );
            if let Some(narrowing) = narrowing() {
                (narrowing.properties)(&mut *to);
            }
        }
    }

    unsafe extern "system" fn properties2(
        device: vk::PhysicalDevice,
        to: *mut vk::PhysicalDeviceProperties2<'_>,
    ) {
        // SAFETY: as above; what is chained says of itself what it is.
        unsafe {
            vkGetPhysicalDeviceProperties2.real::<vk::PFN_vkGetPhysicalDeviceProperties2>()(
                device, to,
            );
            let Some(narrowing) = narrowing() else { return };
            (narrowing.properties)(&mut (*to).properties);
            let mut next = (*to).p_next.cast::<vk::BaseOutStructure<'_>>();
            while let Some(one) = next.as_mut() {
                if one.s_type == vk::StructureType::PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES {
                    let v11: *mut vk::PhysicalDeviceVulkan11Properties<'_> = next.cast();
                    (narrowing.v11)(&mut *v11);
                }
                next = one.p_next;
            }
        }
    }

    unsafe extern "system" fn features2(
        device: vk::PhysicalDevice,
        to: *mut vk::PhysicalDeviceFeatures2<'_>,
    ) {
        // SAFETY: as above; what is chained says of itself what it is.
        unsafe {
            vkGetPhysicalDeviceFeatures2.real::<vk::PFN_vkGetPhysicalDeviceFeatures2>()(device, to);
            let mut next = (*to).p_next.cast::<vk::BaseOutStructure<'_>>();
            while let Some(one) = next.as_mut() {
                if pretence::pretends() {
                    pretence::set_features(next);
                }
                if let Some(narrowing) = narrowing()
                    && one.s_type == vk::StructureType::PHYSICAL_DEVICE_VULKAN_1_2_FEATURES
                {
                    let v12: *mut vk::PhysicalDeviceVulkan12Features<'_> = next.cast();
                    (narrowing.v12)(&mut *v12);
                }
                next = one.p_next;
            }
        }
    }

    unsafe extern "system" fn queue_families(
        device: vk::PhysicalDevice,
        count: *mut u32,
        to: *mut vk::QueueFamilyProperties,
    ) {
        // SAFETY: as above; the real one writes as many as it says.
        unsafe {
            let real: vk::PFN_vkGetPhysicalDeviceQueueFamilyProperties =
                vkGetPhysicalDeviceQueueFamilyProperties.real();
            real(device, count, to);
            if let (Some(narrowing), false) = (narrowing(), to.is_null()) {
                let families = std::slice::from_raw_parts_mut(to, *count as usize);
                families.iter_mut().for_each(narrowing.family);
            }
        }
    }

    unsafe extern "system" fn memory_properties(
        device: vk::PhysicalDevice,
        to: *mut vk::PhysicalDeviceMemoryProperties,
    ) {
        // SAFETY: as above.
        unsafe {
            let real: vk::PFN_vkGetPhysicalDeviceMemoryProperties =
                vkGetPhysicalDeviceMemoryProperties.real();
            real(device, to);
            if let Some(narrowing) = narrowing() {
                narrowing.narrow_memory(&mut *to);
            }
        }
    }

    unsafe extern "system" fn memory_properties2(
        device: vk::PhysicalDevice,
        to: *mut vk::PhysicalDeviceMemoryProperties2<'_>,
    ) {
        // SAFETY: as above.
        unsafe {
            let real: vk::PFN_vkGetPhysicalDeviceMemoryProperties2 =
                vkGetPhysicalDeviceMemoryProperties2.real();
            real(device, to);
            if let Some(narrowing) = narrowing() {
                narrowing.narrow_memory(&mut (*to).memory_properties);
            }
        }
    }

    unsafe extern "system" fn buffer_memory_requirements(
        device: vk::Device,
        buffer: vk::Buffer,
        to: *mut vk::MemoryRequirements,
    ) {
        // SAFETY: as above.
        unsafe {
            let real: vk::PFN_vkGetBufferMemoryRequirements = vkGetBufferMemoryRequirements.real();
            real(device, buffer, to);
            if let Some(narrowing) = narrowing()
                && !narrowing.memory.is_empty()
            {
                (*to).memory_type_bits = (1 << narrowing.memory.len()) - 1;
            }
        }
    }
}
