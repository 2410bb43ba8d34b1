//! The pipelines of a session.

use std::sync::Arc;

use rayon::prelude::*;

use crate::shaders::{self, Kernel, layout};
use crate::vulkan::pipeline::{ComputePipeline, KernelDesc, SetLayout};
use crate::{Backend, BackendError, MatchKind};

/// Ids of the specialisation constants in `shaders/include/bindings.glsl`.
const SEGMENTS: u32 = 0;
const MATCH_ALL: u32 = 1;
/// Declared in `shaders/filter.comp` and `shaders/sequences.comp`.
const BITMAP_WORDS: u32 = 2;
const FILTER_WORKGROUP: u32 = 3;
const GRAM_STRIDE: u32 = 4;
/// Declared in `shaders/nfa.comp`.
const NFA_LANES: u32 = 5;
const PACKED: u32 = 6;
/// Declared in `shaders/claim.comp` and `shaders/retire.comp`.
const SLOT_WORKGROUP: u32 = 7;

/// What every session has.
const OF_ALL: [&Kernel; 9] = [
    &shaders::ADVANCE,
    &shaders::STARTS,
    &shaders::NFA,
    &shaders::READBACK,
    &shaders::FILTER,
    &shaders::SEQUENCES,
    &shaders::TAILS,
    &shaders::TRACKS,
    &shaders::CHAINS,
];

/// What pipelines are specialised by.
#[derive(Clone, Copy)]
pub(crate) struct Specialisation {
    pub(crate) segments: u32,
    pub(crate) match_kind: MatchKind,
    pub(crate) bitmap_log2: u32,
    pub(crate) filter_workgroup: u32,
    pub(crate) gram_stride: u32,
    pub(crate) nfa_lanes: u32,
    /// Invocations of a workgroup that looks at slots, where haystacks are made of packed items.
    pub(crate) slot_workgroup: Option<u32>,
}

pub(crate) struct Kernels {
    pub(crate) set_layout: Arc<SetLayout>,
    pub(crate) advance: Arc<ComputePipeline>,
    pub(crate) starts: Arc<ComputePipeline>,
    pub(crate) nfa: Arc<ComputePipeline>,
    pub(crate) readback: Arc<ComputePipeline>,
    pub(crate) filter: Arc<ComputePipeline>,
    pub(crate) sequences: Arc<ComputePipeline>,
    pub(crate) tails: Arc<ComputePipeline>,
    pub(crate) tracks: Arc<ComputePipeline>,
    pub(crate) chains: Arc<ComputePipeline>,
    /// Of packed items alone.
    pub(crate) slots: Option<SlotKernels>,
}

pub(crate) struct SlotKernels {
    pub(crate) claim: Arc<ComputePipeline>,
    pub(crate) retire: Arc<ComputePipeline>,
    pub(crate) workgroup: u32,
}

impl Kernels {
    pub(crate) fn new(
        backend: &Backend,
        specialisation: Specialisation,
    ) -> Result<Kernels, BackendError> {
        let mut bindings: Vec<(u32, u32)> =
            (0..layout::BINDING_HAYSTACK).map(|binding| (binding, 1)).collect();
        bindings.push((layout::BINDING_HAYSTACK, layout::MAX_SEGMENTS));
        let set_layout = SetLayout::new(backend.device(), "kernels", &bindings)?;
        let values = [
            (SEGMENTS, specialisation.segments),
            (MATCH_ALL, u32::from(specialisation.match_kind == MatchKind::All)),
            (BITMAP_WORDS, 1 << specialisation.bitmap_log2),
            (FILTER_WORKGROUP, specialisation.filter_workgroup),
            (GRAM_STRIDE, specialisation.gram_stride),
            (NFA_LANES, specialisation.nfa_lanes),
            (PACKED, specialisation.slot_workgroup.is_some().into()),
            (SLOT_WORKGROUP, specialisation.slot_workgroup.unwrap_or(1)),
        ];
        let pipeline = |kernel: &Kernel| {
            // A kernel declares only the constants it uses.
            let declared = |id| kernel.spec_constants.iter().any(|constant| constant.id == id);
            let specialization: Vec<_> =
                values.iter().copied().filter(|(id, _)| declared(*id)).collect();
            let kernel = KernelDesc {
                name: kernel.name,
                words: kernel.words,
                layout: &set_layout,
                push_constant_bytes: kernel.push_constant_bytes,
                specialization: &specialization,
            };
            backend.pipelines().get(backend.device(), &kernel)
        };
        // A driver takes long over each, and remembers: several threads first.
        let of_slots: &[&Kernel] = match specialisation.slot_workgroup {
            Some(_) => &[&shaders::CLAIM, &shaders::RETIRE],
            None => &[],
        };
        let wanted: Vec<&Kernel> = [&OF_ALL[..], of_slots].concat();
        wanted.par_iter().with_max_len(1).try_for_each(|kernel| pipeline(kernel).map(drop))?;
        let slots = |workgroup| {
            let [claim, retire] = [pipeline(&shaders::CLAIM)?, pipeline(&shaders::RETIRE)?];
            Ok::<_, BackendError>(SlotKernels { claim, retire, workgroup })
        };
        Ok(Kernels {
            advance: pipeline(&shaders::ADVANCE)?,
            starts: pipeline(&shaders::STARTS)?,
            nfa: pipeline(&shaders::NFA)?,
            readback: pipeline(&shaders::READBACK)?,
            filter: pipeline(&shaders::FILTER)?,
            sequences: pipeline(&shaders::SEQUENCES)?,
            tails: pipeline(&shaders::TAILS)?,
            tracks: pipeline(&shaders::TRACKS)?,
            chains: pipeline(&shaders::CHAINS)?,
            slots: specialisation.slot_workgroup.map(slots).transpose()?,
            set_layout: set_layout.clone(),
        })
    }
}
