//! A program on vulkano puts a scanner onto its device, and both use one queue.

use std::error::Error;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use vkscan::{Backend, Match, QueueLock, RawDevice, RawQueue, RulePipeline, ScanScratch};
use vulkano::device::physical::PhysicalDevice;
use vulkano::device::{
    Device, DeviceCreateInfo, DeviceExtensions, DeviceFeatures, Queue, QueueCreateInfo,
};
use vulkano::instance::debug::{
    DebugUtilsMessageSeverity, DebugUtilsMessageType, DebugUtilsMessenger,
    DebugUtilsMessengerCallback, DebugUtilsMessengerCallbackData, DebugUtilsMessengerCreateInfo,
};
use vulkano::instance::{Instance, InstanceCreateInfo, InstanceExtensions};
use vulkano::library::VulkanLibrary;
use vulkano::{Version, VulkanObject};

/// vulkano's own lock of a queue.
struct OwnLock(Arc<Queue>);

impl QueueLock for OwnLock {
    fn hold(&self, _: RawQueue, during: &mut dyn FnMut()) {
        self.0.with(|_locked| during());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let library = VulkanLibrary::new()?;
    let validates = std::env::var_os("VKSCAN_VALIDATION").is_some_and(|value| value == "1");
    let info = InstanceCreateInfo {
        max_api_version: Some(Version::V1_2),
        enabled_layers: validates
            .then(|| "VK_LAYER_KHRONOS_validation".to_owned())
            .into_iter()
            .collect(),
        enabled_extensions: InstanceExtensions {
            ext_debug_utils: validates,
            ..InstanceExtensions::empty()
        },
        ..Default::default()
    };
    let instance = Instance::new(library, info)?;
    let messages = Arc::new(Mutex::new(Vec::new()));
    let _messenger = validates.then(|| messenger(&instance, messages.clone())).transpose()?;
    let get_proc = get_instance_proc_addr(&instance).ok_or("the loader does not name itself")?;

    // The first device that can run vkscan, made as that asks for.
    let required = |physical: &PhysicalDevice| {
        let handles = [raw(instance.as_ref()), raw(physical)];
        // SAFETY: the handles are alive and belong together.
        unsafe { Backend::required_features(get_proc, handles[0], handles[1]) }.ok()
    };
    let devices: Vec<_> = instance.enumerate_physical_devices()?.collect();
    // Layers that are older than vulkano do not know all that it has just asked devices for.
    messages.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let found = devices.into_iter().find_map(|physical| Some((required(&physical)?, physical)));
    let (required, physical) = found.ok_or("no device can run vkscan")?;
    let names = required.optional.device_extensions.iter().filter_map(|name| name.to_str().ok());
    let enabled_extensions: DeviceExtensions = names.collect();
    let enabled_features = DeviceFeatures { timeline_semaphore: true, ..DeviceFeatures::empty() };
    let family = physical
        .queue_family_properties()
        .iter()
        .position(|family| family.queue_flags.contains(vulkano::device::QueueFlags::COMPUTE))
        .ok_or("no queue for compute")?;
    let queue_family_index = u32::try_from(family)?;
    let queue_create_infos = vec![QueueCreateInfo { queue_family_index, ..Default::default() }];
    let info = DeviceCreateInfo {
        queue_create_infos,
        enabled_extensions,
        enabled_features,
        ..Default::default()
    };
    let (device, mut queues) = Device::new(physical.clone(), info)?;
    let queue = queues.next().ok_or("a queue was asked for")?;

    let raw_device = RawDevice::new(
        get_proc,
        raw(instance.as_ref()),
        raw(physical.as_ref()),
        raw(device.as_ref()),
        RawQueue::new(queue.queue_family_index(), queue.queue_index()),
    )
    .timeline_semaphore(true)
    .device_extensions(required.optional.device_extensions)
    .queue_lock(Some(Arc::new(OwnLock(queue.clone()))));
    // SAFETY: instance and device outlive the backend and all that is made from it, and vulkano locks the queue.
    let backend = unsafe { Backend::from_raw(raw_device) }?;

    let rules = RulePipeline::new(&[r"\bghp_[0-9A-Za-z]{36}\b", r"(?i)password\s*=\s*\S+"])?;
    let session = rules.prepare_resident(&backend, 1 << 16, 100)?;
    thread::scope(|scope| {
        // The program goes on using its queue meanwhile.
        let own =
            scope.spawn(|| (0..100).try_for_each(|_| queue.with(|mut queue| queue.wait_idle())));
        let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
        for _ in 0..100 {
            session.scan_into(&backend, b"Password = hunter2\n", &mut matches, &mut scratch)?;
            assert_eq!(matches, [Match { pattern_id: 1, start: 0, end: 18 }]);
        }
        own.join().expect("it does not panic")?;
        Ok::<(), Box<dyn Error>>(())
    })?;
    println!("100 scans on vulkano's device, beside its own use of the queue");
    session.free(&backend)?;
    drop((backend, queue, device));
    let messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    if messages.is_empty() { Ok(()) } else { Err(messages.join("\n").into()) }
}

/// Collects what validation layers say.
fn messenger(
    instance: &Arc<Instance>,
    messages: Arc<Mutex<Vec<String>>>,
) -> Result<DebugUtilsMessenger, Box<dyn Error>> {
    let keep = move |_: DebugUtilsMessageSeverity,
                     _: DebugUtilsMessageType,
                     data: DebugUtilsMessengerCallbackData<'_>| {
        messages.lock().unwrap_or_else(PoisonError::into_inner).push(data.message.to_owned());
    };
    // SAFETY: it calls nothing of Vulkan's.
    let callback = unsafe { DebugUtilsMessengerCallback::new(keep) };
    let info = DebugUtilsMessengerCreateInfo {
        message_type: DebugUtilsMessageType::VALIDATION,
        ..DebugUtilsMessengerCreateInfo::user_callback(callback)
    };
    Ok(DebugUtilsMessenger::new(instance.clone(), info)?)
}

/// A dispatchable handle of vulkano's.
fn raw<O: VulkanObject>(object: &O) -> *mut c_void
where
    O::Handle: vulkano::Handle,
{
    use vulkano::Handle as _;
    object.handle().as_raw() as usize as *mut c_void
}

/// The loader's function, which tells of itself.
fn get_instance_proc_addr(instance: &Instance) -> Option<*const c_void> {
    let loader = instance.library();
    // SAFETY: the instance is alive, and the name ends.
    let found = unsafe {
        loader.get_instance_proc_addr(instance.handle(), c"vkGetInstanceProcAddr".as_ptr())
    };
    found.map(|function| function as *const c_void)
}
