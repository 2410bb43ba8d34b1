//! The same scan through wgpu: written, encoded, submitted, mapped and read each time, as programs on wgpu do.

use std::collections::HashMap;
use std::error::Error;
use std::num::NonZero;
use std::time::{Duration, Instant};

use ash::vk;
use bytemuck::{cast_slice, pod_read_unaligned};
use vkscan::Match;
use vkscan::shaders::Binding;
use vkscan::shaders::layout::{self, Hit, ReadbackHeader};
use wgpu::util::{BufferInitDescriptor, DeviceExt as _};

use crate::captured::{Command, Dispatch, Range};
use crate::common::Program;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The program's device once more, as one of wgpu's.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl Gpu {
    /// Without what checks a program that is being written.
    pub fn new(program: &Program) -> Result<Gpu> {
        // SAFETY: the instance is alive, and the device one of its.
        let wanted = unsafe { program.instance.get_physical_device_properties(program.physical) };
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::VULKAN,
            flags: wgpu::InstanceFlags::empty(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        let is_wanted = |adapter: &wgpu::Adapter| {
            let info = adapter.get_info();
            (info.vendor, info.device) == (wanted.vendor_id, wanted.device_id)
        };
        let adapter =
            adapters.into_iter().find(is_wanted).ok_or("wgpu does not show the device")?;
        let (device, queue) =
            pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
                required_features: wgpu::Features::IMMEDIATES | wgpu::Features::PASSTHROUGH_SHADERS,
                required_limits: adapter.limits(),
                ..Default::default()
            }))?;
        Ok(Gpu { device, queue })
    }

    fn buffer(&self, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let descriptor =
            wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }
}

/// What is encoded for each scan.
pub struct Scan<'g> {
    gpu: &'g Gpu,
    /// Buffer, offset and bytes.
    cleared: Vec<(wgpu::Buffer, u64, u64)>,
    dispatches: Vec<Prepared>,
    haystack: wgpu::Buffer,
    readback: wgpu::Buffer,
    mapped: wgpu::Buffer,
}

struct Prepared {
    pipeline: wgpu::ComputePipeline,
    bound: wgpu::BindGroup,
    constants: Vec<u8>,
    groups: [u32; 3],
}

impl<'g> Scan<'g> {
    /// A scan by the same commands, for up to `max_matches` matches. Tables are copied from vkscan's; all else begins zeroed.
    pub fn new(
        gpu: &'g Gpu,
        program: &Program,
        commands: &[Command],
        max_matches: u32,
    ) -> Result<Scan<'g>> {
        let mut buffers = Buffers { gpu, program, made: HashMap::new() };
        let (mut cleared, mut dispatches, mut bound) = (Vec::new(), Vec::new(), None);
        for command in commands {
            match command {
                Command::Clear(range) if dispatches.is_empty() => {
                    cleared.push((buffers.of(range), range.offset, range.size));
                }
                Command::Dispatch(dispatch) => {
                    dispatches.push(prepared(&mut buffers, dispatch)?);
                    bound = Some(&dispatch.bound);
                }
                // wgpu refuses grids in a buffer that is bound for writing, too.
                _ => return Err("a warm scan does more than clear buffers and dispatch".into()),
            }
        }
        let bound = bound.ok_or("a scan dispatches kernels")?;
        let bytes = (ReadbackHeader::WORDS + max_matches as usize * Hit::WORDS) as u64 * 4;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Scan {
            gpu,
            cleared,
            dispatches,
            haystack: buffers.of(&bound[&layout::BINDING_HAYSTACK]),
            readback: buffers.of(&bound[&layout::BINDING_READBACK]),
            mapped: gpu.buffer(bytes, usage),
        })
    }

    /// Scans, and says how long it has waited.
    pub fn scan(&self, haystack: &[u8], matches: &mut Vec<Match>) -> Result<Duration> {
        let Gpu { device, queue } = self.gpu;
        queue.write_buffer(&self.haystack, 0, haystack);
        let mut encoder = device.create_command_encoder(&Default::default());
        for (buffer, offset, bytes) in &self.cleared {
            encoder.clear_buffer(buffer, *offset, Some(*bytes));
        }
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for Prepared { pipeline, bound, constants, groups: [x, y, z] } in &self.dispatches {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bound, &[]);
            pass.set_immediates(0, constants);
            pass.dispatch_workgroups(*x, *y, *z);
        }
        drop(pass);
        encoder.copy_buffer_to_buffer(&self.readback, 0, &self.mapped, 0, self.mapped.size());
        let submitted = queue.submit([encoder.finish()]);
        self.mapped.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("it can be mapped"));
        let waiting = Instant::now();
        let wait = wgpu::PollType::Wait { submission_index: Some(submitted), timeout: None };
        device.poll(wait)?;
        let waited = waiting.elapsed();
        let bytes = self.mapped.get_mapped_range(..)?;
        let (header, found) = bytes.split_at(ReadbackHeader::WORDS * 4);
        let header: ReadbackHeader = pod_read_unaligned(header);
        matches.clear();
        if header.selected == layout::SELECTED_ALL {
            let found = &cast_slice::<_, Hit>(found)[..header.match_count as usize];
            matches.extend(found.iter().map(|&Hit { pattern_id, start, end }| Match {
                pattern_id,
                start,
                end,
            }));
        }
        drop(bytes);
        self.mapped.unmap();
        Ok(waited)
    }
}

/// Of all buffers that are bound.
const USAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);

/// The buffers of wgpu's, each in the place of one of vkscan's.
struct Buffers<'a> {
    gpu: &'a Gpu,
    program: &'a Program,
    made: HashMap<vk::Buffer, wgpu::Buffer>,
}

impl Buffers<'_> {
    /// One that begins zeroed, if it is not there yet.
    fn of(&mut self, range: &Range) -> wgpu::Buffer {
        let make = || self.gpu.buffer(range.buffer_bytes, USAGE);
        self.made.entry(range.buffer).or_insert_with(make).clone()
    }

    /// One that begins with what is in vkscan's.
    fn copy_of(&mut self, range: &Range) -> Result<wgpu::Buffer> {
        if !self.made.contains_key(&range.buffer) {
            let contents = &contents(self.program, range)?;
            let descriptor = BufferInitDescriptor { label: None, contents, usage: USAGE };
            let buffer = self.gpu.device.create_buffer_init(&descriptor);
            self.made.insert(range.buffer, buffer);
        }
        Ok(self.of(range))
    }
}

/// A kernel, with a layout of what it is bound to.
fn prepared(buffers: &mut Buffers, dispatch: &Dispatch) -> Result<Prepared> {
    let device = &buffers.gpu.device;
    let Dispatch { kernel, bound, constants, groups } = dispatch;
    let used = kernel.kernel.bindings;
    let entries: Vec<_> = (0..)
        .zip(used)
        .map(|(binding, one)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: one.read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let set_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &entries,
    });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&set_layout)],
        immediate_size: kernel.kernel.push_constant_bytes,
    });
    let entry_point = wgpu::PassthroughShaderEntryPoint {
        name: "main".into(),
        workgroup_size: kernel.kernel.local_size.into(),
    };
    // SAFETY: the kernel is valid, and accesses what it is bound to as vkscan's does.
    let module = unsafe {
        device.create_shader_module_passthrough(wgpu::ShaderModuleDescriptorPassthrough {
            entry_points: vec![entry_point].into(),
            spirv: Some(kernel.frozen().into()),
            ..Default::default()
        })
    };
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: Some(&layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: None,
    });
    let resources = used.iter().map(|&Binding { binding, .. }| {
        let range = &bound[&binding];
        let is_tables = binding == layout::BINDING_TABLES;
        let buffer = if is_tables { buffers.copy_of(range)? } else { buffers.of(range) };
        Ok((buffer, range.offset, NonZero::new(range.size)))
    });
    let resources = resources.collect::<Result<Vec<_>>>()?;
    let entries: Vec<_> = (0..)
        .zip(&resources)
        .map(|(binding, (buffer, offset, size))| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: *offset,
                size: *size,
            }),
        })
        .collect();
    let bound = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &set_layout,
        entries: &entries,
    });
    Ok(Prepared { pipeline, bound, constants: constants.clone(), groups: *groups })
}

/// What is in a buffer of vkscan's.
fn contents(program: &Program, range: &Range) -> Result<Vec<u8>> {
    let copy = program.buffer(range.buffer_bytes, vk::BufferUsageFlags::TRANSFER_DST)?;
    let region = [vk::BufferCopy::default().size(range.buffer_bytes)];
    let recorded = program.record(|commands| {
        // SAFETY: it is being recorded, and both buffers are there until it has run.
        unsafe { program.device.cmd_copy_buffer(commands, range.buffer, copy.buffer, &region) };
        Ok::<(), vk::Result>(())
    })?;
    program.execute(&recorded)?;
    Ok(cast_slice(&copy.words(0, range.buffer_bytes as usize / 4)).to_vec())
}
