//! Kernels and what they are bound to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ash::{ext, khr, vk};

use super::KernelStatistics;
use super::cache_file::CacheFile;
use super::device::{Device, DeviceRef};
use super::error::{BackendError, Result};
use super::memory::Buffer;

/// The storage buffer bindings of set 0, shared by all kernels that agree on them.
pub(crate) struct SetLayout {
    device: DeviceRef,
    raw: vk::DescriptorSetLayout,
    /// Storage buffers in all, arrays counted by their length.
    buffers: u32,
}

impl SetLayout {
    /// `bindings` lists (binding, array length); a plain buffer is an array of 1.
    pub(crate) fn new(
        device: &Arc<Device>,
        name: &str,
        bindings: &[(u32, u32)],
    ) -> Result<Arc<SetLayout>> {
        let buffers = bindings.iter().map(|(_, count)| count).sum();
        within(
            || format!("set layout {name} (storage buffers)"),
            buffers,
            device.info().max_storage_buffers,
        )?;
        let bindings: Vec<_> = bindings
            .iter()
            .map(|&(binding, count)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .descriptor_count(count)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        let raw = device.call("vkCreateDescriptorSetLayout", || {
            // SAFETY: `info` is complete and within the device's limits.
            unsafe { device.raw().create_descriptor_set_layout(&info, None) }
        })?;
        device.names().set(raw, format_args!("{name} layout"));
        Ok(Arc::new(SetLayout { device: DeviceRef::new(device), raw, buffers }))
    }
}

impl Drop for SetLayout {
    fn drop(&mut self) {
        // SAFETY: pipelines and sets made with it hold it, so none is left.
        unsafe {
            self.device.raw().destroy_descriptor_set_layout(self.raw, None);
        }
    }
}

/// Pipelines made so far, so that another session does not wait for the driver to compile them again.
#[derive(Default)]
pub(crate) struct PipelineCache {
    made: Mutex<HashMap<PipelineKey, Arc<ComputePipeline>>>,
    /// What another process does not wait for, either.
    file: Option<CacheFile>,
    /// What the driver is asked to tell of them.
    statistics: KernelStatistics,
}

/// A pipeline, and what of.
pub(super) struct Made {
    pub(super) name: String,
    /// (constant id, value).
    pub(super) specialization: Vec<(u32, u32)>,
    pub(super) pipeline: Arc<ComputePipeline>,
}

/// Name and specialisation.
type PipelineKey = (String, Vec<(u32, u32)>);

impl PipelineCache {
    pub(super) fn new(file: Option<CacheFile>, statistics: KernelStatistics) -> PipelineCache {
        PipelineCache { made: Mutex::default(), file, statistics }
    }

    /// All of them, by name and specialisation.
    pub(super) fn all(&self) -> Vec<Made> {
        let of = |(key, pipeline): (&PipelineKey, &Arc<ComputePipeline>)| {
            let ((name, specialization), pipeline) = (key.clone(), pipeline.clone());
            Made { name, specialization, pipeline }
        };
        let mut all: Vec<Made> = self.lock().iter().map(of).collect();
        all.sort_by(|one, other| {
            (&one.name, &one.specialization).cmp(&(&other.name, &other.specialization))
        });
        all
    }

    pub(super) fn statistics(&self) -> KernelStatistics {
        self.statistics
    }

    pub(super) fn file(&self) -> Option<&CacheFile> {
        self.file.as_ref()
    }

    /// The pipeline for `kernel`. A kernel's name stands for its words and its set layout.
    pub(crate) fn get(
        &self,
        device: &Arc<Device>,
        kernel: &KernelDesc,
    ) -> Result<Arc<ComputePipeline>> {
        let key = (kernel.name.to_owned(), kernel.specialization.to_vec());
        if let Some(pipeline) = self.lock().get(&key) {
            return Ok(pipeline.clone());
        }
        // Not under the lock: a driver takes seconds, and several threads compile at a time.
        let cache = self.file.as_ref().map_or(device.pipeline_cache(), CacheFile::raw);
        let pipeline = ComputePipeline::new(device, cache, self.statistics, kernel)?;
        Ok(self.lock().entry(key).or_insert(pipeline).clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PipelineKey, Arc<ComputePipeline>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a compute pipeline is made of. The entry point is `main`.
pub(crate) struct KernelDesc<'a> {
    pub(crate) name: &'a str,
    /// SPIR-V for Vulkan 1.2.
    pub(crate) words: &'a [u32],
    pub(crate) layout: &'a Arc<SetLayout>,
    pub(crate) push_constant_bytes: u32,
    /// (constant id, value); booleans and signed integers as their 32 bits.
    pub(crate) specialization: &'a [(u32, u32)],
}

pub(crate) struct ComputePipeline {
    device: DeviceRef,
    raw: vk::Pipeline,
    layout: vk::PipelineLayout,
    push_constant_bytes: u32,
    set_layout: Arc<SetLayout>,
    times: Times,
}

/// How long a pipeline took to make.
#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    /// By the host's clock.
    pub(super) wall: Duration,
    /// What the driver says.
    pub(super) feedback: Option<vk::PipelineCreationFeedback>,
}

impl ComputePipeline {
    /// `cache` is the driver's, or null.
    pub(super) fn new(
        device: &Arc<Device>,
        cache: vk::PipelineCache,
        statistics: KernelStatistics,
        kernel: &KernelDesc,
    ) -> Result<Arc<ComputePipeline>> {
        let name = kernel.name;
        within(
            || format!("kernel {name} (push constant bytes)"),
            kernel.push_constant_bytes,
            device.info().max_push_constant_bytes,
        )?;
        let set_layouts = [kernel.layout.raw];
        let push_constants = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size(kernel.push_constant_bytes)];
        let mut info = vk::PipelineLayoutCreateInfo::default().set_layouts(&set_layouts);
        if kernel.push_constant_bytes > 0 {
            info = info.push_constant_ranges(&push_constants);
        }
        let layout = device.call("vkCreatePipelineLayout", || {
            // SAFETY: `info` is complete and within the device's limits.
            unsafe { device.raw().create_pipeline_layout(&info, None) }
        })?;
        device.names().set(layout, format_args!("{name} layout"));
        // From here on, dropping it cleans up.
        let mut pipeline = ComputePipeline {
            device: DeviceRef::new(device),
            raw: vk::Pipeline::null(),
            layout,
            push_constant_bytes: kernel.push_constant_bytes,
            set_layout: kernel.layout.clone(),
            times: Times::default(),
        };

        let info = vk::ShaderModuleCreateInfo::default().code(kernel.words);
        let module = device.call("vkCreateShaderModule", || {
            // SAFETY: the words are valid SPIR-V: the build validates every kernel.
            unsafe { device.raw().create_shader_module(&info, None) }
        })?;
        device.names().set(module, format_args!("{name} module"));
        let values: Vec<u32> = kernel.specialization.iter().map(|(_, value)| *value).collect();
        let entries: Vec<_> = (0u32..)
            .zip(kernel.specialization)
            .map(|(at, &(id, _))| vk::SpecializationMapEntry {
                constant_id: id,
                offset: at * 4,
                size: 4,
            })
            .collect();
        let specialization = vk::SpecializationInfo::default()
            .map_entries(&entries)
            .data(bytemuck::cast_slice(&values));
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main")
            .specialization_info(&specialization);
        let (mut feedback, mut of_stage) = Default::default();
        let mut told = vk::PipelineCreationFeedbackCreateInfo::default()
            .pipeline_creation_feedback(&mut feedback)
            .pipeline_stage_creation_feedbacks(std::slice::from_mut(&mut of_stage));
        let mut info = vk::ComputePipelineCreateInfo::default()
            .layout(layout)
            .flags(captured(device, statistics))
            .stage(stage);
        let has_feedback = device.has(ext::pipeline_creation_feedback::NAME);
        if has_feedback {
            info = info.push_next(&mut told);
        }
        let infos = [info];
        let begin = Instant::now();
        let created = device.call("vkCreateComputePipelines", || {
            // SAFETY: module, layout and cache exist and every pointer outlives the call.
            unsafe { device.raw().create_compute_pipelines(cache, &infos, None) }
                .map_err(|(_, result)| result)
        });
        let wall = begin.elapsed();
        // SAFETY: pipelines do not need their module once they are made.
        unsafe { device.raw().destroy_shader_module(module, None) };
        pipeline.raw = created?[0];
        let is_valid = feedback.flags.contains(vk::PipelineCreationFeedbackFlags::VALID);
        pipeline.times = Times { wall, feedback: (has_feedback && is_valid).then_some(feedback) };
        device.names().set(pipeline.raw, name);
        Ok(Arc::new(pipeline))
    }

    pub(super) fn raw(&self) -> vk::Pipeline {
        self.raw
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    pub(super) fn layout(&self) -> vk::PipelineLayout {
        self.layout
    }

    /// Whether what is bound for one may stay bound for the other.
    pub(super) fn has_layout_of(&self, other: &ComputePipeline) -> bool {
        Arc::ptr_eq(&self.set_layout, &other.set_layout)
            && self.push_constant_bytes == other.push_constant_bytes
    }

    pub(super) fn push_constant_bytes(&self) -> u32 {
        self.push_constant_bytes
    }
}

impl Drop for ComputePipeline {
    fn drop(&mut self) {
        // SAFETY: commands that use it hold it, so none is left. A null pipeline is ignored.
        unsafe {
            self.device.raw().destroy_pipeline(self.raw, None);
            self.device.raw().destroy_pipeline_layout(self.layout, None);
        }
    }
}

/// What of a pipeline the driver keeps, to tell of it.
fn captured(device: &Device, statistics: KernelStatistics) -> vk::PipelineCreateFlags {
    let numbers = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR;
    match statistics {
        _ if !device.has(khr::pipeline_executable_properties::NAME) => {
            vk::PipelineCreateFlags::empty()
        }
        KernelStatistics::Off => vk::PipelineCreateFlags::empty(),
        KernelStatistics::Statistics => numbers,
        KernelStatistics::Representations => {
            numbers | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR
        }
    }
}

/// One buffer range at one place of a descriptor set.
pub(crate) struct Binding<'a> {
    pub(crate) binding: u32,
    /// 0 for a plain buffer.
    pub(crate) array_index: u32,
    pub(crate) buffer: &'a Buffer,
    /// In bytes, a multiple of the device's `storage_buffer_alignment`.
    pub(crate) offset: u64,
    /// In bytes, at least 1.
    pub(crate) range: u64,
}

/// The same, once it is bound.
struct Bound {
    binding: u32,
    array_index: u32,
    buffer: Buffer,
    offset: u64,
    range: u64,
}

impl Bound {
    fn new(one: &Binding) -> Bound {
        let &Binding { binding, array_index, offset, range, .. } = one;
        Bound { binding, array_index, buffer: one.buffer.clone(), offset, range }
    }

    /// A buffer of the caller's is another one each time: its handle may be that of one that is no more.
    fn is(&self, one: &Binding) -> bool {
        let place = (one.binding, one.array_index, one.offset, one.range);
        (self.binding, self.array_index, self.offset, self.range) == place
            && self.buffer.is(one.buffer)
    }
}

/// Buffers bound to a layout: it can be used by any number of command buffers at the same time.
pub(crate) struct DescriptorSet {
    device: DeviceRef,
    pool: vk::DescriptorPool,
    raw: vk::DescriptorSet,
    name: String,
    _layout: Arc<SetLayout>,
    bound: Vec<Bound>,
}

impl DescriptorSet {
    /// Bindings that are not listed must not be used by the kernels it is bound for.
    pub(crate) fn new(
        device: &Arc<Device>,
        name: &str,
        layout: &Arc<SetLayout>,
        bindings: &[Binding],
    ) -> Result<Arc<DescriptorSet>> {
        let mut set = DescriptorSet::unbound(device, name, layout)?;
        set.bind(bindings)?;
        Ok(Arc::new(set))
    }

    /// A set that nothing is bound to yet.
    pub(crate) fn unbound(
        device: &Arc<Device>,
        name: &str,
        layout: &Arc<SetLayout>,
    ) -> Result<DescriptorSet> {
        let sizes = [vk::DescriptorPoolSize::default()
            .ty(vk::DescriptorType::STORAGE_BUFFER)
            .descriptor_count(layout.buffers)];
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(1).pool_sizes(&sizes);
        let pool = device.call("vkCreateDescriptorPool", || {
            // SAFETY: `info` is complete.
            unsafe { device.raw().create_descriptor_pool(&info, None) }
        })?;
        device.names().set(pool, format_args!("{name} pool"));
        // From here on, dropping it cleans up.
        let mut set = DescriptorSet {
            device: DeviceRef::new(device),
            pool,
            raw: vk::DescriptorSet::null(),
            name: name.to_owned(),
            _layout: layout.clone(),
            bound: Vec::new(),
        };
        let layouts = [layout.raw];
        let info =
            vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        set.raw = device.call("vkAllocateDescriptorSets", || {
            // SAFETY: the pool was made for exactly this set, and no other thread sees it.
            unsafe { device.raw().allocate_descriptor_sets(&info) }
        })?[0];
        device.names().set(set.raw, name);
        Ok(set)
    }

    /// Binds buffers in place of those that were bound, and leaves alone what stays the same. Commands that use the set would
    /// hold it, so there are none.
    pub(crate) fn bind(&mut self, bindings: &[Binding]) -> Result<()> {
        let stays =
            |index: usize, one: &Binding| self.bound.get(index).is_some_and(|bound| bound.is(one));
        let other = bindings.iter().enumerate().filter(|(index, one)| !stays(*index, one));
        let other: Vec<_> = other.map(|(_, one)| one).collect();
        let info = self.device.info();
        for binding in &other {
            let what =
                || format!("{} in descriptor set {} (bytes)", binding.buffer.name(), self.name);
            within(what, binding.range, info.max_storage_buffer_range)?;
            assert!(
                binding.offset.is_multiple_of(info.storage_buffer_alignment),
                "{} starts at unaligned {}",
                what(),
                binding.offset
            );
            assert!(binding.range > 0, "{} is empty", what());
            binding.buffer.check(&(binding.offset..binding.offset + binding.range));
        }
        let infos: Vec<_> = other
            .iter()
            .map(|one| {
                vk::DescriptorBufferInfo::default()
                    .buffer(one.buffer.raw())
                    .offset(one.offset)
                    .range(one.range)
            })
            .collect();
        // Elements of an array that follow each other are one write.
        let follows = |one: &&Binding, next: &&Binding| {
            (next.binding, next.array_index) == (one.binding, one.array_index + 1)
        };
        let mut before = 0;
        let writes: Vec<_> = other
            .chunk_by(follows)
            .map(|run| {
                let infos = &infos[before..before + run.len()];
                before += run.len();
                vk::WriteDescriptorSet::default()
                    .dst_set(self.raw)
                    .dst_binding(run[0].binding)
                    .dst_array_element(run[0].array_index)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .buffer_info(infos)
            })
            .collect();
        // SAFETY: the set is not in use: `&mut self`. The buffers live as long as it does.
        unsafe { self.device.raw().update_descriptor_sets(&writes, &[]) };
        self.bound.clear();
        self.bound.extend(bindings.iter().map(Bound::new));
        Ok(())
    }

    pub(super) fn raw(&self) -> vk::DescriptorSet {
        self.raw
    }

    /// The buffers that are bound, each as often as it is.
    pub(super) fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.bound.iter().map(|one| &one.buffer)
    }
}

impl Drop for DescriptorSet {
    fn drop(&mut self) {
        // SAFETY: commands that use the set hold it, so none is left. The set goes with its pool.
        unsafe { self.device.raw().destroy_descriptor_pool(self.pool, None) };
    }
}

fn within(
    what: impl FnOnce() -> String,
    asked: impl Into<u64>,
    limit: impl Into<u64>,
) -> Result<()> {
    let (asked, limit) = (asked.into(), limit.into());
    if asked > limit {
        return Err(BackendError::LimitExceeded { what: what(), asked, limit });
    }
    Ok(())
}
