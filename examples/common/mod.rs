//! A Vulkan program with a device of its own, as any other is: what the examples put a scanner into.

// Not every example uses all of it.
#![allow(dead_code)]

use std::error::Error;
use std::ffi::{CStr, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ash::vk::Handle as _;
use ash::{ext, vk};
use vkscan::{Backend, RawBuffer, RawDevice, RawQueue};

/// The program's Vulkan objects. It submits to its queue under a lock, for that is shared.
pub struct Program {
    pub entry: ash::Entry,
    pub instance: ash::Instance,
    pub physical: vk::PhysicalDevice,
    pub device: ash::Device,
    pub queue: vk::Queue,
    pub family: u32,
    pub queue_lock: Arc<Mutex<()>>,
    pub device_extensions: Vec<&'static CStr>,
    messenger: Option<(ext::debug_utils::Instance, vk::DebugUtilsMessengerEXT)>,
    /// What validation layers say.
    messages: Box<Mutex<Vec<String>>>,
}

impl Program {
    /// Makes a device, under core and synchronisation validation where `VKSCAN_VALIDATION` is 1.
    pub fn new() -> Result<Program, Box<dyn Error>> {
        let validates = std::env::var_os("VKSCAN_VALIDATION").is_some_and(|value| value == "1");
        let messages: Box<Mutex<Vec<String>>> = Box::default();
        // SAFETY: the system's loader; and every pointer outlives the calls that it is given to.
        unsafe {
            let entry = ash::Entry::load()?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
            let layers = [c"VK_LAYER_KHRONOS_validation".as_ptr()];
            let extensions =
                [ext::debug_utils::NAME.as_ptr(), ext::validation_features::NAME.as_ptr()];
            let checks = [vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION];
            let mut checks =
                vk::ValidationFeaturesEXT::default().enabled_validation_features(&checks);
            let mut info = vk::InstanceCreateInfo::default().application_info(&application);
            if validates {
                info = info
                    .enabled_layer_names(&layers)
                    .enabled_extension_names(&extensions)
                    .push_next(&mut checks);
            }
            let instance = entry.create_instance(&info, None)?;
            let messenger = validates
                .then(|| {
                    let utils = ext::debug_utils::Instance::new(&entry, &instance);
                    let info = messenger_info(&messages);
                    let messenger = utils.create_debug_utils_messenger(&info, None)?;
                    Ok::<_, vk::Result>((utils, messenger))
                })
                .transpose()?;

            // The first device that can run vkscan, and what it has to be made with for that.
            let get_proc = entry.static_fn().get_instance_proc_addr as *const c_void;
            let required = |physical: vk::PhysicalDevice| {
                let [instance, physical] =
                    [instance.handle().as_raw(), physical.as_raw()].map(|raw| raw as *mut c_void);
                Backend::required_features(get_proc, instance, physical)
            };
            let physical = instance.enumerate_physical_devices()?;
            let physical = physical.into_iter().find(|&physical| required(physical).is_ok());
            let physical = physical.ok_or("no device can run vkscan")?;
            let required = required(physical)?;
            assert_eq!(required.needed.features, ["timelineSemaphore"]);
            let device_extensions = required.optional.device_extensions;
            let names: Vec<_> = device_extensions.iter().map(|name| name.as_ptr()).collect();

            let families = instance.get_physical_device_queue_family_properties(physical);
            let computes = |family: &vk::QueueFamilyProperties| {
                family.queue_flags.contains(vk::QueueFlags::COMPUTE)
            };
            let family = families.iter().position(computes).ok_or("no queue for compute")?;
            let family = u32::try_from(family)?;
            let queues = [vk::DeviceQueueCreateInfo::default()
                .queue_family_index(family)
                .queue_priorities(&[1.0])];
            let mut features =
                vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&names)
                .push_next(&mut features);
            let device = instance.create_device(physical, &info, None)?;
            let queue = device.get_device_queue(family, 0);
            let queue_lock = Arc::default();
            Ok(Program {
                entry,
                instance,
                physical,
                device,
                queue,
                family,
                queue_lock,
                device_extensions,
                messenger,
                messages,
            })
        }
    }

    /// What vkscan has to know of the device. It is alive, and its queue locked, as `Backend::from_raw` asks for.
    pub fn raw_device(&self) -> RawDevice {
        let handles = [
            self.instance.handle().as_raw(),
            self.physical.as_raw(),
            self.device.handle().as_raw(),
        ];
        let [instance, physical, device] = handles.map(|handle| handle as *mut c_void);
        let get_proc = self.entry.static_fn().get_instance_proc_addr as *const c_void;
        let extensions: &[&'static CStr] =
            if self.messenger.is_some() { &[ext::debug_utils::NAME] } else { &[] };
        RawDevice::new(get_proc, instance, physical, device, RawQueue::new(self.family, 0))
            .timeline_semaphore(true)
            .instance_extensions(extensions.to_vec())
            .device_extensions(self.device_extensions.clone())
            .queue_lock(Some(self.queue_lock.clone()))
    }

    /// A buffer that the host reads and writes, too.
    pub fn buffer(&self, size: u64, usage: vk::BufferUsageFlags) -> Result<Memory, vk::Result> {
        use vk::MemoryPropertyFlags as Property;
        let info = vk::BufferCreateInfo::default().size(size).usage(usage);
        // SAFETY: the device is alive, and the memory as the buffer asks for it.
        unsafe {
            let buffer = self.device.create_buffer(&info, None)?;
            let needs = self.device.get_buffer_memory_requirements(buffer);
            let types = self.instance.get_physical_device_memory_properties(self.physical);
            let wanted = Property::HOST_VISIBLE | Property::HOST_COHERENT;
            let fits = |(index, memory_type): &(usize, &vk::MemoryType)| {
                needs.memory_type_bits >> index & 1 != 0
                    && memory_type.property_flags.contains(wanted)
            };
            let fitting = types.memory_types_as_slice().iter().enumerate().filter(fits);
            // The host reads what is cached much faster.
            let is_uncached = |(_, memory_type): &(usize, &vk::MemoryType)| {
                !memory_type.property_flags.contains(Property::HOST_CACHED)
            };
            let found = fitting.min_by_key(is_uncached);
            let (index, _) = found.ok_or(vk::Result::ERROR_OUT_OF_HOST_MEMORY)?;
            let info = vk::MemoryAllocateInfo::default()
                .allocation_size(needs.size)
                .memory_type_index(index as u32);
            let memory = self.device.allocate_memory(&info, None)?;
            self.device.bind_buffer_memory(buffer, memory, 0)?;
            let mapped =
                self.device.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty())?;
            let mapped = mapped.cast();
            Ok(Memory { device: self.device.clone(), buffer, memory, mapped, size, usage })
        }
    }

    /// A command buffer that `body` records into, to be executed as often as needed.
    pub fn record<E: From<vk::Result>>(
        &self,
        body: impl FnOnce(vk::CommandBuffer) -> Result<(), E>,
    ) -> Result<Recorded, E> {
        let info = vk::CommandPoolCreateInfo::default().queue_family_index(self.family);
        // SAFETY: the device is alive, and pool, fence and commands are nobody else's.
        let mut recorded = unsafe {
            let pool = self.device.create_command_pool(&info, None)?;
            let (fence, commands) = Default::default();
            let mut recorded = Recorded { device: self.device.clone(), pool, fence, commands };
            recorded.fence = self.device.create_fence(&vk::FenceCreateInfo::default(), None)?;
            let info =
                vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
            recorded.commands = self.device.allocate_command_buffers(&info)?[0];
            recorded
        };
        recorded.again(body)?;
        Ok(recorded)
    }

    /// Executes recorded commands, and waits until they have run. Says how long it waited.
    pub fn execute(&self, recorded: &Recorded) -> Result<Duration, vk::Result> {
        let commands = [recorded.commands];
        let submits = [vk::SubmitInfo::default().command_buffers(&commands)];
        let fences = [recorded.fence];
        // SAFETY: the commands are recorded and not executed elsewhere, and nor is their fence in use; the queue is locked.
        unsafe {
            self.device.reset_fences(&fences)?;
            let locked = self.queue_lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.device.queue_submit(self.queue, &submits, recorded.fence)?;
            drop(locked);
            let began = Instant::now();
            self.device.wait_for_fences(&fences, true, u64::MAX)?;
            Ok(began.elapsed())
        }
    }

    /// What validation layers have said so far.
    pub fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Destroys everything, and fails if validation layers have said anything.
    pub fn end(self) -> Result<(), Box<dyn Error>> {
        // SAFETY: nothing that was made from the device is left; its owners have seen to that.
        unsafe {
            self.device.destroy_device(None);
            if let Some((utils, messenger)) = &self.messenger {
                utils.destroy_debug_utils_messenger(*messenger, None);
            }
            // With the last instance the loader unloads drivers, which NVIDIA's does not survive.
            if self.messenger.is_some() {
                self.instance.destroy_instance(None);
            }
        }
        let messages = self.messages();
        if messages.is_empty() { Ok(()) } else { Err(messages.join("\n").into()) }
    }
}

/// A buffer with its memory, which is mapped.
pub struct Memory {
    device: ash::Device,
    pub buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    mapped: *mut u8,
    pub size: u64,
    usage: vk::BufferUsageFlags,
}

impl Memory {
    /// What vkscan has to know of it.
    pub fn raw(&self) -> RawBuffer {
        // SAFETY: it was made so, from the device that the program has given to vkscan; and it is kept until nothing uses it.
        unsafe { RawBuffer::new(self.buffer.as_raw(), self.size, self.usage.as_raw()) }
    }

    /// Writes bytes at an offset. The device is not at them.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.size as usize);
        // SAFETY: the range was checked, and the device does not use it at the moment.
        unsafe { self.mapped.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Reads words at an offset of whole words. The device is not at them.
    pub fn words(&self, offset: usize, count: usize) -> Vec<u32> {
        assert!(offset.is_multiple_of(4) && offset + 4 * count <= self.size as usize);
        // SAFETY: the range was checked and is aligned, and the device does not use it at the moment.
        unsafe { std::slice::from_raw_parts(self.mapped.add(offset).cast(), count) }.to_vec()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the program has waited for whatever used it.
        unsafe {
            self.device.destroy_buffer(self.buffer, None);
            self.device.free_memory(self.memory, None);
        }
    }
}

/// Recorded commands, with their pool, and what is waited for when they have been submitted.
pub struct Recorded {
    device: ash::Device,
    pool: vk::CommandPool,
    fence: vk::Fence,
    commands: vk::CommandBuffer,
}

impl Recorded {
    /// Records anew. They are not being executed.
    pub fn again<E: From<vk::Result>>(
        &mut self,
        body: impl FnOnce(vk::CommandBuffer) -> Result<(), E>,
    ) -> Result<(), E> {
        // SAFETY: pool and commands are nobody else's, and whatever executed them has been waited for.
        unsafe {
            self.device.reset_command_pool(self.pool, vk::CommandPoolResetFlags::empty())?;
            let begin = vk::CommandBufferBeginInfo::default();
            self.device.begin_command_buffer(self.commands, &begin)?;
            body(self.commands)?;
            Ok(self.device.end_command_buffer(self.commands)?)
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // SAFETY: the program has waited for whatever executed them.
        unsafe {
            self.device.destroy_fence(self.fence, None);
            self.device.destroy_command_pool(self.pool, None);
        }
    }
}

fn messenger_info(messages: &Mutex<Vec<String>>) -> vk::DebugUtilsMessengerCreateInfoEXT<'static> {
    use vk::DebugUtilsMessageSeverityFlagsEXT as Severity;
    use vk::DebugUtilsMessageTypeFlagsEXT as Type;
    vk::DebugUtilsMessengerCreateInfoEXT::default()
        .message_severity(Severity::ERROR | Severity::WARNING)
        .message_type(Type::VALIDATION | Type::PERFORMANCE)
        .pfn_user_callback(Some(on_message))
        .user_data(std::ptr::from_ref(messages).cast_mut().cast())
}

unsafe extern "system" fn on_message(
    _: vk::DebugUtilsMessageSeverityFlagsEXT,
    _: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    messages: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: the layer passes valid data, and the messages that `messenger_info` was given; these outlive the messenger.
    let (messages, text) =
        unsafe { (&*messages.cast::<Mutex<Vec<String>>>(), CStr::from_ptr((*data).p_message)) };
    let text = text.to_string_lossy().into_owned();
    messages.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    vk::FALSE
}
