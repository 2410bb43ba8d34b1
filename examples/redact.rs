//! A Vulkan program scans a haystack that is on its device, and a kernel of its own redacts what was found: in one command
//! buffer, with nothing of it seen by the host in between.

mod common;

use std::error::Error;

use ash::vk;
use ash::vk::Handle as _;
use common::{Memory, Program};
use vkscan::{
    Backend, RawCommandBuffer, RecordOptions, RecordedState, RecordingOptions, RulePipeline,
    hits_bytes, read_hits,
};

const TEXT: &[u8] = b"user=1 token=ghp_0123456789abcdefghijABCDEFGHIJ012345\n\
                      user=2 password = hunter2\n\
                      user=3 nothing to hide\n";
const MAX_MATCHES: u32 = 100;

/// Writes a `*` over each first byte of a match, of which the hits have a counter and then three words each.
const REDACT: &str = "
    @group(0) @binding(0) var<storage, read> hits: array<u32>;
    @group(0) @binding(1) var<storage, read_write> haystack: array<atomic<u32>>;

    @compute @workgroup_size(64)
    fn main(@builtin(local_invocation_index) index: u32) {
        for (var hit = index; hit < hits[0]; hit += 64u) {
            let start = hits[2u + 3u * hit];
            let shift = start % 4u * 8u;
            atomicAnd(&haystack[start / 4u], ~(255u << shift));
            atomicOr(&haystack[start / 4u], 42u << shift);
        }
    }
";

fn main() -> Result<(), Box<dyn Error>> {
    let program = Program::new()?;
    // SAFETY: `program` outlives the backend and all that is made from it, and tells the truth about its device.
    let backend = unsafe { Backend::from_raw(program.raw_device()) }?;
    let rules = RulePipeline::new(&[r"\bghp_[0-9A-Za-z]{36}\b", r"(?i)password\s*=\s*\S+"])?;
    let session = rules.prepare_resident(&backend, 1 << 16, MAX_MATCHES as usize)?;
    let mut recording = session.recording(&backend, &RecordingOptions::default())?;

    // Kernels read 16 bytes at a time.
    let size = TEXT.len().next_multiple_of(16) as u64;
    let haystack = program.buffer(size, vk::BufferUsageFlags::STORAGE_BUFFER)?;
    let hits = program.buffer(hits_bytes(MAX_MATCHES), vk::BufferUsageFlags::STORAGE_BUFFER)?;
    let redact = Redact::new(&program, &hits, &haystack)?;
    let recorded = program.record(|commands| {
        // SAFETY: nobody else has it, and it is executed by `execute` alone, which waits.
        let raw = unsafe { RawCommandBuffer::new(commands.as_raw() as *mut _) };
        let (text, room) = ((haystack.raw(), 0, TEXT.len()), (hits.raw(), 0, MAX_MATCHES));
        session.record(&mut recording, raw, text, room, &RecordOptions::default())?;
        // A barrier comes with it, so that what follows sees the matches, and may write to the haystack.
        redact.record(commands);
        Ok::<(), Box<dyn Error>>(())
    })?;

    for text in [TEXT.to_vec(), TEXT.to_ascii_uppercase()] {
        haystack.write(0, &text);
        program.execute(&recorded)?;
        let words = hits.words(0, hits.size as usize / 4);
        let (state, matches) = read_hits(&words, MAX_MATCHES);
        assert_eq!(state, RecordedState::Complete);
        assert_eq!(matches, rules.reference_scan(&text));
        let mut expected = text;
        matches.iter().for_each(|found| expected[found.start as usize] = b'*');
        let words = haystack.words(0, size as usize / 4);
        let redacted: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!(redacted[..TEXT.len()], expected);
        println!("{}", String::from_utf8_lossy(&expected));
    }

    drop((recorded, redact, haystack, hits, recording));
    session.free(&backend)?;
    drop(backend);
    program.end()
}

/// The program's own kernel.
struct Redact {
    device: ash::Device,
    set_layout: vk::DescriptorSetLayout,
    pool: vk::DescriptorPool,
    set: vk::DescriptorSet,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
}

impl Redact {
    fn new(program: &Program, hits: &Memory, haystack: &Memory) -> Result<Redact, Box<dyn Error>> {
        let device = program.device.clone();
        let words = spirv(REDACT)?;
        let binding = |binding| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let bindings = [binding(0), binding(1)];
        let sizes = [vk::DescriptorPoolSize::default()
            .ty(vk::DescriptorType::STORAGE_BUFFER)
            .descriptor_count(2)];
        // SAFETY: what is made is complete, and is destroyed by `drop`, when nothing executes it.
        unsafe {
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let set_layout = device.create_descriptor_set_layout(&info, None)?;
            let set_layouts = [set_layout];
            let info = vk::DescriptorPoolCreateInfo::default().max_sets(1).pool_sizes(&sizes);
            let pool = device.create_descriptor_pool(&info, None)?;
            let info = vk::DescriptorSetAllocateInfo::default()
                .descriptor_pool(pool)
                .set_layouts(&set_layouts);
            let set = device.allocate_descriptor_sets(&info)?[0];
            let buffers = [hits, haystack].map(|memory| {
                [vk::DescriptorBufferInfo::default().buffer(memory.buffer).range(vk::WHOLE_SIZE)]
            });
            let write = |binding: usize| {
                vk::WriteDescriptorSet::default()
                    .dst_set(set)
                    .dst_binding(binding as u32)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .buffer_info(&buffers[binding])
            };
            device.update_descriptor_sets(&[write(0), write(1)], &[]);

            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&set_layouts);
            let layout = device.create_pipeline_layout(&info, None)?;
            let info = vk::ShaderModuleCreateInfo::default().code(&words);
            let module = device.create_shader_module(&info, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let infos = [vk::ComputePipelineCreateInfo::default().layout(layout).stage(stage)];
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &infos, None);
            device.destroy_shader_module(module, None);
            let pipeline = made.map_err(|(_, error)| error)?[0];
            Ok(Redact { device, set_layout, pool, set, layout, pipeline })
        }
    }

    fn record(&self, commands: vk::CommandBuffer) {
        let compute = vk::PipelineBindPoint::COMPUTE;
        let barrier = [vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::SHADER_WRITE)
            .dst_access_mask(vk::AccessFlags::HOST_READ)];
        // SAFETY: the commands are being recorded, and all they name lives until they have run.
        unsafe {
            self.device.cmd_bind_pipeline(commands, compute, self.pipeline);
            let sets = [self.set];
            self.device.cmd_bind_descriptor_sets(commands, compute, self.layout, 0, &sets, &[]);
            self.device.cmd_dispatch(commands, 1, 1, 1);
            self.device.cmd_pipeline_barrier(
                commands,
                vk::PipelineStageFlags::COMPUTE_SHADER,
                vk::PipelineStageFlags::HOST,
                vk::DependencyFlags::empty(),
                &barrier,
                &[],
                &[],
            );
        }
    }
}

impl Drop for Redact {
    fn drop(&mut self) {
        // SAFETY: nothing executes it any more.
        unsafe {
            self.device.destroy_pipeline(self.pipeline, None);
            self.device.destroy_pipeline_layout(self.layout, None);
            self.device.destroy_descriptor_pool(self.pool, None);
            self.device.destroy_descriptor_set_layout(self.set_layout, None);
        }
    }
}

/// The SPIR-V of a kernel in WGSL.
fn spirv(wgsl: &str) -> Result<Vec<u32>, Box<dyn Error>> {
    let module = naga::front::wgsl::parse_str(wgsl)?;
    let (flags, capabilities) =
        (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    let info = naga::valid::Validator::new(flags, capabilities).validate(&module)?;
    Ok(naga::back::spv::write_vec(&module, &info, &Default::default(), None)?)
}
