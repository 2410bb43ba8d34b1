//! The buffers that a run needs, and what is bound of them.

use std::sync::Arc;

use ash::vk;

use super::Resident;
use super::pipelines::Kernels;
use super::shape::FrameShape;
use crate::BackendError;
use crate::shaders::layout;
use crate::vulkan::allocator::MemoryLocation;
use crate::vulkan::command::{Recorder, Scope};
use crate::vulkan::device::Device;
use crate::vulkan::memory::Buffer;
use crate::vulkan::pipeline::DescriptorSet;
use crate::vulkan::query::Timestamps;

/// What is the same for all frames of a session, or for all its recordings.
#[derive(Clone, Copy)]
pub(crate) struct Common<'s> {
    pub(crate) device: &'s Arc<Device>,
    pub(crate) kernels: &'s Arc<Kernels>,
    /// Of each pass.
    pub(crate) tables: &'s [Buffer],
    pub(crate) shape: &'s FrameShape,
    /// The ring, where haystacks are made of packed items.
    pub(crate) ring: Option<&'s Buffer>,
}

/// What commands name.
pub(super) struct Resources {
    /// What its objects are called by.
    pub(super) name: String,
    pub(super) kernels: Arc<Kernels>,
    pub(super) tables: Vec<Buffer>,
    pub(super) shape: FrameShape,
    /// One for each pass, with the frame's own haystack, or with the resident one that was scanned last.
    pub(super) own_sets: Vec<Arc<DescriptorSet>>,
    pub(super) resident: Option<Resident>,
    pub(super) is_resident: bool,
    pub(super) haystack: Buffer,
    /// All that is bound, but the haystack.
    pub(super) bound: Vec<(u32, Buffer)>,
    pub(super) hits: Buffer,
    pub(super) control: Buffer,
    pub(super) readback: Buffer,
    pub(super) timestamps: Option<Arc<Timestamps>>,
}

/// Buffers that kernels use, and nobody reads back.
pub(super) type Others = [Buffer; 7];

impl Resources {
    /// Makes the buffers beside haystack and readback. Nothing is bound yet.
    pub(super) fn new(
        common: &Common,
        haystack: Buffer,
        readback: Buffer,
        timestamps: Option<Arc<Timestamps>>,
        name: &str,
    ) -> Result<(Resources, Others), BackendError> {
        let Common { device, kernels, tables, shape, ring } = *common;
        let storage = vk::BufferUsageFlags::STORAGE_BUFFER;
        let local = |what: &str, bytes: u64, usage| {
            let name = format!("{name}/{what}");
            Buffer::new(device, &name, bytes, MemoryLocation::DeviceLocal, storage | usage)
        };
        let none = vk::BufferUsageFlags::empty();
        let copied = vk::BufferUsageFlags::TRANSFER_DST;
        let grids = vk::BufferUsageFlags::INDIRECT_BUFFER;
        let bytes = shape.buffer_bytes();
        let hits = local("hits", bytes.hits, copied)?;
        let control = local("control", bytes.control, copied | grids)?;
        let starts = local("start walkers", bytes.start_walkers, copied)?;
        let queue = local("queue", bytes.queue, none)?;
        let candidates = local("candidates", bytes.candidates, copied)?;
        let selection = local("selection", bytes.selection, none)?;
        let summaries = local("summaries", bytes.summaries, none)?;
        let nfa = local("nfa walkers", bytes.nfa_walkers, copied)?;
        let scratch = local("scratch", bytes.scratch, copied)?;
        let bound = [
            (layout::BINDING_HITS, &hits),
            (layout::BINDING_CONTROL, &control),
            (layout::BINDING_START_WALKERS, &starts),
            (layout::BINDING_QUEUE, &queue),
            (layout::BINDING_NFA_WALKERS, &nfa),
            (layout::BINDING_SCRATCH, &scratch),
            (layout::BINDING_READBACK, &readback),
            (layout::BINDING_CANDIDATES, &candidates),
            (layout::BINDING_SUMMARIES, &summaries),
            (layout::BINDING_SELECTION, &selection),
            // Without one no kernel looks there.
            (layout::BINDING_RING, ring.unwrap_or(&control)),
        ];
        let resources = Resources {
            name: name.to_owned(),
            kernels: kernels.clone(),
            tables: tables.to_vec(),
            shape: shape.clone(),
            own_sets: Vec::new(),
            resident: None,
            is_resident: false,
            bound: bound.map(|(binding, buffer)| (binding, buffer.clone())).to_vec(),
            haystack,
            hits,
            control,
            readback,
            timestamps,
        };
        Ok((resources, [starts, nfa, scratch, queue, candidates, summaries, selection]))
    }

    /// Records what each submission begins with that reads a resident haystack, for others may share its memory.
    pub(super) fn take_over(&self, to: &mut Recorder) {
        if let (true, Some(Resident { buffer, .. })) = (self.is_resident, &self.resident) {
            to.take_over(buffer, Scope::COMPUTE);
        }
    }

    /// Records what it ends with.
    pub(super) fn hand_back(&self, to: &mut Recorder) {
        if let (true, Some(Resident { buffer, .. })) = (self.is_resident, &self.resident) {
            to.hand_back(buffer, Scope::COMPUTE);
        }
    }

    /// Records what zeroes that kernels rely on across scans: generations and stamps.
    pub(super) fn record_clear(&self, to: &mut Recorder, others: &Others) {
        let [starts, nfa, scratch, ..] = others;
        to.label_begin(format_args!("clear"));
        for buffer in [&self.control, starts, nfa, scratch] {
            to.fill_buffer(buffer, 0, buffer.size(), 0);
        }
        to.label_end();
        to.transfer_to_compute();
    }
}
