//! What one scan of vkscan's is: kernels, the buffers that they are bound to, and grids. Functions that stand between vkscan
//! and the driver take note of it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, c_char, c_void};
use std::mem::transmute;
use std::slice;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use ash::vk;
use vkscan::RawDevice;
use vkscan::shaders::{self, Kernel};

use crate::common::Program;

/// What a scan submits, but for timestamps and for how its haystack gets to the device, which is each side's own affair.
#[derive(Clone)]
pub enum Command {
    /// Zeroes a range.
    Clear(Range),
    Dispatch(Dispatch),
    /// A dispatch whose grid kernels before it have written.
    Scheduled,
}

#[derive(Clone)]
pub struct Dispatch {
    pub kernel: Specialised,
    pub bound: Bound,
    pub constants: Vec<u8>,
    pub groups: [u32; 3],
}

/// By binding; of an array its first element, for short haystacks are in one segment.
pub type Bound = BTreeMap<u32, Range>;

/// A range of a buffer, and the bytes of all of it.
#[derive(Clone, Copy)]
pub struct Range {
    pub buffer: vk::Buffer,
    pub buffer_bytes: u64,
    pub offset: u64,
    pub size: u64,
}

/// A kernel, and (id, value) of what it is specialised by.
#[derive(Clone)]
pub struct Specialised {
    pub kernel: &'static Kernel,
    pub values: Vec<(u32, u32)>,
}

/// The program's device, for vkscan to use it while it is watched.
pub fn raw_device(program: &Program) -> RawDevice {
    let real = Real {
        get_instance_proc_addr: program.entry.static_fn().get_instance_proc_addr,
        get_device_proc_addr: program.instance.fp_v1_0().get_device_proc_addr,
        device: program.device.clone(),
    };
    assert!(REAL.set(real).is_ok(), "one device is watched");
    let mut raw = program.raw_device();
    raw.get_instance_proc_addr = get_instance_proc_addr as *const c_void;
    raw
}

/// What is submitted `during` a call.
pub fn submitted<E>(during: impl FnOnce() -> Result<(), E>) -> Result<Vec<Command>, E> {
    seen().submitted.clear();
    during()?;
    let seen = seen();
    let recordings = seen.submitted.iter().filter_map(|commands| seen.recordings.get(commands));
    Ok(recordings.flat_map(|recording| recording.commands.iter().cloned()).collect())
}

/// What calls go on to.
struct Real {
    get_instance_proc_addr: vk::PFN_vkGetInstanceProcAddr,
    get_device_proc_addr: vk::PFN_vkGetDeviceProcAddr,
    device: ash::Device,
}

static REAL: OnceLock<Real> = OnceLock::new();

fn real() -> &'static Real {
    REAL.get().expect("set before vkscan is told of a device")
}

fn device() -> &'static ash::DeviceFnV1_0 {
    real().device.fp_v1_0()
}

#[derive(Default)]
struct Seen {
    buffers: HashMap<vk::Buffer, u64>,
    modules: HashMap<vk::ShaderModule, &'static Kernel>,
    pipelines: HashMap<vk::Pipeline, Specialised>,
    sets: HashMap<vk::DescriptorSet, Bound>,
    recordings: HashMap<vk::CommandBuffer, Recording>,
    submitted: Vec<vk::CommandBuffer>,
}

/// Commands, and what is bound for the next of them.
#[derive(Default)]
struct Recording {
    kernel: Option<Specialised>,
    bound: Bound,
    constants: Vec<u8>,
    commands: Vec<Command>,
}

impl Seen {
    fn range(&self, buffer: vk::Buffer, offset: u64, size: u64) -> Range {
        Range { buffer, buffer_bytes: self.buffers[&buffer], offset, size }
    }

    fn recording(&mut self, commands: vk::CommandBuffer) -> &mut Recording {
        self.recordings.entry(commands).or_default()
    }
}

fn seen() -> MutexGuard<'static, Seen> {
    static SEEN: LazyLock<Mutex<Seen>> = LazyLock::new(Mutex::default);
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "system" fn get_instance_proc_addr(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: names are C strings, here and below, and calls go on as they come.
    unsafe {
        if CStr::from_ptr(name) == c"vkGetDeviceProcAddr" {
            return transmute::<vk::PFN_vkGetDeviceProcAddr, vk::PFN_vkVoidFunction>(
                get_device_proc_addr,
            );
        }
        (real().get_instance_proc_addr)(instance, name)
    }
}

/// Functions of the device that take note of what is asked for, and then ask the driver for it.
macro_rules! noted {
    ($($name:literal $function:ident: $pointer:ty, ($($arg:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        unsafe extern "system" fn get_device_proc_addr(
            of: vk::Device,
            name: *const c_char,
        ) -> vk::PFN_vkVoidFunction {
            // SAFETY: as above; and a function is of the type that Vulkan gives to that name.
            unsafe {
                match CStr::from_ptr(name).to_bytes() {
                    $($name => transmute::<$pointer, vk::PFN_vkVoidFunction>($function),)*
                    _ => (real().get_device_proc_addr)(of, name),
                }
            }
        }

        $(unsafe extern "system" fn $function($($arg: $type),*) $(-> $result)? {
            // SAFETY: what vkscan passes is valid, as Vulkan asks.
            unsafe { $body }
        })*
    };
}

noted! {
    b"vkCreateBuffer" create_buffer: vk::PFN_vkCreateBuffer, (
        of: vk::Device,
        info: *const vk::BufferCreateInfo<'_>,
        allocator: *const vk::AllocationCallbacks<'_>,
        buffer: *mut vk::Buffer
    ) -> vk::Result {
        // What is in it is going to be read.
        let info = (*info).usage((*info).usage | vk::BufferUsageFlags::TRANSFER_SRC);
        let result = (device().create_buffer)(of, &info, allocator, buffer);
        if result == vk::Result::SUCCESS {
            seen().buffers.insert(*buffer, info.size);
        }
        result
    }

    b"vkCreateShaderModule" create_shader_module: vk::PFN_vkCreateShaderModule, (
        of: vk::Device,
        info: *const vk::ShaderModuleCreateInfo<'_>,
        allocator: *const vk::AllocationCallbacks<'_>,
        module: *mut vk::ShaderModule
    ) -> vk::Result {
        let result = (device().create_shader_module)(of, info, allocator, module);
        if result == vk::Result::SUCCESS {
            let words = slice::from_raw_parts((*info).p_code, (*info).code_size / 4);
            let kernel = shaders::ALL.iter().find(|kernel| kernel.words == words);
            seen().modules.insert(*module, kernel.expect("a kernel of vkscan's"));
        }
        result
    }

    b"vkCreateComputePipelines" create_compute_pipelines: vk::PFN_vkCreateComputePipelines, (
        of: vk::Device,
        cache: vk::PipelineCache,
        count: u32,
        infos: *const vk::ComputePipelineCreateInfo<'_>,
        allocator: *const vk::AllocationCallbacks<'_>,
        pipelines: *mut vk::Pipeline
    ) -> vk::Result {
        let result =
            (device().create_compute_pipelines)(of, cache, count, infos, allocator, pipelines);
        if result == vk::Result::SUCCESS {
            for index in 0..count as usize {
                let stage = (*infos.add(index)).stage;
                let values = specialisation(&*stage.p_specialization_info);
                let mut seen = seen();
                let kernel = Specialised { kernel: seen.modules[&stage.module], values };
                seen.pipelines.insert(*pipelines.add(index), kernel);
            }
        }
        result
    }

    b"vkUpdateDescriptorSets" update_descriptor_sets: vk::PFN_vkUpdateDescriptorSets, (
        of: vk::Device,
        write_count: u32,
        writes: *const vk::WriteDescriptorSet<'_>,
        copy_count: u32,
        copies: *const vk::CopyDescriptorSet<'_>
    ) {
        (device().update_descriptor_sets)(of, write_count, writes, copy_count, copies);
        let mut seen = seen();
        for write in slice::from_raw_parts(writes, write_count as usize) {
            if write.dst_array_element == 0 {
                let vk::DescriptorBufferInfo { buffer, offset, range } = *write.p_buffer_info;
                let range = seen.range(buffer, offset, range);
                seen.sets.entry(write.dst_set).or_default().insert(write.dst_binding, range);
            }
        }
    }

    b"vkBeginCommandBuffer" begin_command_buffer: vk::PFN_vkBeginCommandBuffer, (
        commands: vk::CommandBuffer,
        info: *const vk::CommandBufferBeginInfo<'_>
    ) -> vk::Result {
        seen().recordings.insert(commands, Recording::default());
        (device().begin_command_buffer)(commands, info)
    }

    b"vkCmdBindPipeline" bind_pipeline: vk::PFN_vkCmdBindPipeline, (
        commands: vk::CommandBuffer,
        point: vk::PipelineBindPoint,
        pipeline: vk::Pipeline
    ) {
        (device().cmd_bind_pipeline)(commands, point, pipeline);
        let mut seen = seen();
        let kernel = seen.pipelines[&pipeline].clone();
        seen.recording(commands).kernel = Some(kernel);
    }

    b"vkCmdBindDescriptorSets" bind_descriptor_sets: vk::PFN_vkCmdBindDescriptorSets, (
        commands: vk::CommandBuffer,
        point: vk::PipelineBindPoint,
        layout: vk::PipelineLayout,
        first: u32,
        count: u32,
        sets: *const vk::DescriptorSet,
        offset_count: u32,
        offsets: *const u32
    ) {
        (device().cmd_bind_descriptor_sets)(
            commands, point, layout, first, count, sets, offset_count, offsets,
        );
        let mut seen = seen();
        let bound = seen.sets[&*sets].clone();
        seen.recording(commands).bound = bound;
    }

    b"vkCmdPushConstants" push_constants: vk::PFN_vkCmdPushConstants, (
        commands: vk::CommandBuffer,
        layout: vk::PipelineLayout,
        stages: vk::ShaderStageFlags,
        offset: u32,
        size: u32,
        values: *const c_void
    ) {
        (device().cmd_push_constants)(commands, layout, stages, offset, size, values);
        let constants = slice::from_raw_parts(values.cast(), size as usize).to_vec();
        seen().recording(commands).constants = constants;
    }

    b"vkCmdDispatch" dispatch: vk::PFN_vkCmdDispatch, (
        commands: vk::CommandBuffer,
        x: u32,
        y: u32,
        z: u32
    ) {
        (device().cmd_dispatch)(commands, x, y, z);
        let mut seen = seen();
        let recording = seen.recording(commands);
        let Recording { kernel, bound, constants, .. } = &*recording;
        let kernel = kernel.clone().expect("a pipeline is bound");
        let (bound, constants) = (bound.clone(), constants.clone());
        let dispatch = Dispatch { kernel, bound, constants, groups: [x, y, z] };
        recording.commands.push(Command::Dispatch(dispatch));
    }

    b"vkCmdDispatchIndirect" dispatch_indirect: vk::PFN_vkCmdDispatchIndirect, (
        commands: vk::CommandBuffer,
        buffer: vk::Buffer,
        offset: u64
    ) {
        (device().cmd_dispatch_indirect)(commands, buffer, offset);
        seen().recording(commands).commands.push(Command::Scheduled);
    }

    b"vkCmdFillBuffer" fill_buffer: vk::PFN_vkCmdFillBuffer, (
        commands: vk::CommandBuffer,
        buffer: vk::Buffer,
        offset: u64,
        size: u64,
        word: u32
    ) {
        (device().cmd_fill_buffer)(commands, buffer, offset, size, word);
        assert_eq!(word, 0, "vkscan fills buffers with zeros alone");
        let mut seen = seen();
        let range = seen.range(buffer, offset, size);
        seen.recording(commands).commands.push(Command::Clear(range));
    }

    b"vkQueueSubmit" queue_submit: vk::PFN_vkQueueSubmit, (
        queue: vk::Queue,
        count: u32,
        submits: *const vk::SubmitInfo<'_>,
        fence: vk::Fence
    ) -> vk::Result {
        for submit in slice::from_raw_parts(submits, count as usize) {
            let count = submit.command_buffer_count as usize;
            seen().submitted.extend(slice::from_raw_parts(submit.p_command_buffers, count));
        }
        (device().queue_submit)(queue, count, submits, fence)
    }
}

/// Pairs of id and value, of values that are 32 bits each.
unsafe fn specialisation(info: &vk::SpecializationInfo) -> Vec<(u32, u32)> {
    // SAFETY: as many as it says; and without any the pointer may be null, of which nothing is read.
    let entries =
        (0..info.map_entry_count as usize).map(|index| unsafe { *info.p_map_entries.add(index) });
    let value = |entry: vk::SpecializationMapEntry| unsafe {
        info.p_data.byte_add(entry.offset as usize).cast::<u32>().read_unaligned()
    };
    entries.map(|entry| (entry.constant_id, value(entry))).collect()
}
