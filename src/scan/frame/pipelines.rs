//! The pipelines of a session.

use std::sync::Arc;

use rayon::prelude::*;

use crate::shaders::{self, Kernel, layout};
use crate::vulkan::pipeline::{ComputePipeline, KernelDesc, SetLayout};
use crate::{Backend, BackendError, DeviceKind, MatchKind};

/// What every session has.
const OF_ALL: [&Kernel; 16] = [
    &shaders::SCHEDULE,
    &shaders::VERIFY_DFA,
    &shaders::VERIFY_NFA,
    &shaders::SELECT,
    &shaders::COUNT_DIGITS,
    &shaders::SUM_DIGITS,
    &shaders::MOVE_HITS,
    &shaders::LINK_TILES,
    &shaders::ENTER_TILES,
    &shaders::SELECT_TILES,
    &shaders::WRITE_MATCHES,
    &shaders::GRAM_PREFILTER,
    &shaders::CLASS_PREFILTER,
    &shaders::CONFIRM,
    &shaders::CHUNK_SUMMARIES,
    &shaders::COMPOSE_SUMMARIES,
];

/// Hits that are few, and invocations that select from them: a larger workgroup takes longer to begin.
pub(crate) const FEW_HITS: u32 = 128;
pub(super) const FEW_LANES: u32 = 64;

/// What pipelines are specialised by.
#[derive(Clone, Copy)]
pub(crate) struct Specialisation {
    pub(crate) segments: u32,
    pub(crate) match_kind: MatchKind,
    pub(crate) bitmap_log2: u32,
    pub(crate) prefilter_workgroup: u32,
    pub(crate) gram_stride: u32,
    pub(crate) nfa_lanes: u32,
    /// Steps of NFA walks for each byte of a haystack, after which rules are searched for.
    pub(crate) search_after: u32,
    /// Invocations of a workgroup that selects, and hits that it takes at a time.
    pub(crate) select_lanes: u32,
    pub(crate) select_tile: u32,
    /// Invocations of a workgroup that looks at slots, where haystacks are made of packed items.
    pub(crate) slot_workgroup: Option<u32>,
    /// Whether others submit what is recorded.
    pub(crate) is_recorded: bool,
}

pub(crate) struct Kernels {
    pub(crate) set_layout: Arc<SetLayout>,
    pub(crate) schedule: Arc<ComputePipeline>,
    pub(crate) verify_dfa: Arc<ComputePipeline>,
    pub(crate) verify_nfa: Arc<ComputePipeline>,
    pub(crate) select: Arc<ComputePipeline>,
    /// The same, for few hits.
    pub(crate) select_few: Arc<ComputePipeline>,
    pub(crate) count_digits: Arc<ComputePipeline>,
    pub(crate) sum_digits: Arc<ComputePipeline>,
    pub(crate) move_hits: Arc<ComputePipeline>,
    pub(crate) link_tiles: Arc<ComputePipeline>,
    pub(crate) enter_tiles: Arc<ComputePipeline>,
    pub(crate) select_tiles: Arc<ComputePipeline>,
    pub(crate) write_matches: Arc<ComputePipeline>,
    pub(crate) gram_prefilter: Arc<ComputePipeline>,
    pub(crate) class_prefilter: Arc<ComputePipeline>,
    pub(crate) confirm: Arc<ComputePipeline>,
    pub(crate) chunk_summaries: Arc<ComputePipeline>,
    pub(crate) compose_summaries: Arc<ComputePipeline>,
    /// Of packed items alone.
    pub(crate) slots: Option<SlotKernels>,
}

pub(crate) struct SlotKernels {
    pub(crate) claim: Arc<ComputePipeline>,
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
            (layout::SPEC_SEGMENTS, specialisation.segments),
            (layout::SPEC_MATCH_ALL, u32::from(specialisation.match_kind == MatchKind::All)),
            (layout::SPEC_BITMAP_WORDS, 1 << specialisation.bitmap_log2),
            (layout::SPEC_PREFILTER_WORKGROUP, specialisation.prefilter_workgroup),
            (layout::SPEC_GRAM_STRIDE, specialisation.gram_stride),
            (layout::SPEC_NFA_LANES, specialisation.nfa_lanes),
            (layout::SPEC_SEARCH_AFTER, specialisation.search_after),
            (layout::SPEC_SELECT_LANES, specialisation.select_lanes),
            (layout::SPEC_SELECT_TILE, specialisation.select_tile),
            (layout::SPEC_RECORDED, specialisation.is_recorded.into()),
            (layout::SPEC_LOCKSTEP, runs_in_lockstep(backend.device_info().kind).into()),
            (layout::SPEC_PACKED, specialisation.slot_workgroup.is_some().into()),
            (layout::SPEC_SLOT_WORKGROUP, specialisation.slot_workgroup.unwrap_or(1)),
        ];
        let few = values.map(|(id, value)| match id {
            layout::SPEC_SELECT_LANES => (id, specialisation.select_lanes.min(FEW_LANES)),
            layout::SPEC_SELECT_TILE => (id, specialisation.select_tile.min(FEW_HITS)),
            _ => (id, value),
        });
        let specialised = |kernel: &Kernel, values: &[(u32, u32)]| {
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
        let pipeline = |kernel: &Kernel| specialised(kernel, &values);
        // A driver takes long over each, and remembers: several threads first.
        let of_slots: &[&Kernel] = match specialisation.slot_workgroup {
            Some(_) => &[&shaders::CLAIM],
            None => &[],
        };
        let wanted = OF_ALL.iter().chain(of_slots).map(|&kernel| (kernel, &values));
        let wanted: Vec<_> = wanted.chain([(&shaders::SELECT, &few)]).collect();
        let wanted = wanted.par_iter().with_max_len(1);
        wanted.try_for_each(|(kernel, values)| specialised(kernel, *values).map(drop))?;
        let slots = |workgroup| {
            let claim = pipeline(&shaders::CLAIM)?;
            Ok::<_, BackendError>(SlotKernels { claim, workgroup })
        };
        Ok(Kernels {
            schedule: pipeline(&shaders::SCHEDULE)?,
            verify_dfa: pipeline(&shaders::VERIFY_DFA)?,
            verify_nfa: pipeline(&shaders::VERIFY_NFA)?,
            select: pipeline(&shaders::SELECT)?,
            select_few: specialised(&shaders::SELECT, &few)?,
            count_digits: pipeline(&shaders::COUNT_DIGITS)?,
            sum_digits: pipeline(&shaders::SUM_DIGITS)?,
            move_hits: pipeline(&shaders::MOVE_HITS)?,
            link_tiles: pipeline(&shaders::LINK_TILES)?,
            enter_tiles: pipeline(&shaders::ENTER_TILES)?,
            select_tiles: pipeline(&shaders::SELECT_TILES)?,
            write_matches: pipeline(&shaders::WRITE_MATCHES)?,
            gram_prefilter: pipeline(&shaders::GRAM_PREFILTER)?,
            class_prefilter: pipeline(&shaders::CLASS_PREFILTER)?,
            confirm: pipeline(&shaders::CONFIRM)?,
            chunk_summaries: pipeline(&shaders::CHUNK_SUMMARIES)?,
            compose_summaries: pipeline(&shaders::COMPOSE_SUMMARIES)?,
            slots: specialisation.slot_workgroup.map(slots).transpose()?,
            set_layout: set_layout.clone(),
        })
    }
}

/// Whether kernels leave out barriers among the invocations of a subgroup.
///
/// On a CPU these are lanes of one vector, which need none. And lavapipe (seen with Mesa 25.0.7, not with 22.3.6) takes such
/// a barrier for one of the workgroup: where some subgroups come to more of them than others do, it leaves out, without a
/// word, all that the former would have done behind those.
fn runs_in_lockstep(kind: DeviceKind) -> bool {
    kind == DeviceKind::Cpu
}
