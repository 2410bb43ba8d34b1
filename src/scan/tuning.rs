//! How much work a session puts into one dispatch, by kind of device.

use crate::shaders::layout;
use crate::{DeviceInfo, DeviceKind};

#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    /// Most invocations of `verify_dfa`.
    pub(crate) start_walkers: u32,
    /// Most workgroups of `verify_nfa`, invocations of each, and most scratch bytes for all of them.
    pub(crate) nfa_walkers: u32,
    pub(crate) nfa_lanes: u32,
    pub(crate) nfa_scratch_bytes: u64,
    /// A power of two.
    pub(crate) queue_capacity: u32,
    /// Steps of an invocation in a round, and of one of `verify_nfa`. On a CPU there is room for 20 turns of loops a step
    /// within `quirks::LAVAPIPE_LOOP_TURNS`, and for 63 in `verify_nfa`, where a step takes about 25.
    pub(crate) step_budget: u32,
    pub(crate) nfa_step_budget: u32,
    /// Rounds of each pass in the first submission of a scan, and in each one after it.
    pub(crate) rounds: [u32; 2],
    /// Most bytes of one pass's tables.
    pub(crate) pass_bytes: u64,
    /// Least hits that the hit buffer holds where matches are selected among them on the host.
    pub(crate) candidate_hits: u32,
    /// Bytes of the haystack for each candidate suffix that there is room for, and room that there is at least. For
    /// candidate starts, of which there are fewer, there is a fourth of it, and the same at least.
    pub(crate) bytes_per_candidate: u32,
    pub(crate) least_candidates: u32,
    /// Bytes of the haystack that are uploaded at a time, or a multiple of it; a multiple of the prefilter's unit,
    /// and more than one.
    pub(crate) slice_bytes: u32,
    /// Bytes up to which the host writes a haystack to the device's memory itself, where it can: that saves a
    /// copy on the device, and is slower where it is much.
    pub(crate) direct_bytes: u32,
    /// Workgroups of `gram_prefilter` that a haystack is divided among, as far as each has enough to do, and
    /// invocations of each.
    pub(crate) gram_prefilter_groups: u32,
    pub(crate) prefilter_workgroup: u32,
    /// Workgroups of `confirm`, as far as that leaves no invocation more than so many candidates; and pieces that each may
    /// walk on over: `quirks::LAVAPIPE_LOOP_TURNS` bounds both.
    pub(crate) confirm_groups: u32,
    pub(crate) confirm_most: u32,
    pub(crate) most_pieces: u32,
    /// Hits of a scan from which on the device selects among those of the next one. Fewer are selected from sooner by the
    /// host: on one H200 2,000 hits take the device 90 to 160 microseconds and the host 40 to 200, and 20,000 take 250 and
    /// 700.
    pub(crate) least_selected: u32,
    /// Hits that the device selects from, at most: all of them may be one workgroup's, which takes about as long for each as
    /// one thread of the host, and from here on the host has several (`select::sort::MANY`). On a CPU
    /// `quirks::LAVAPIPE_LOOP_TURNS` bounds them, too.
    pub(crate) most_selected: u32,
    /// Words of a pass's gram bitmap, as a power of two.
    pub(crate) bitmap_log2: u32,
}

impl Tuning {
    pub(crate) fn for_device(info: &DeviceInfo) -> Tuning {
        let gpu = Tuning {
            start_walkers: 1 << 18,
            nfa_walkers: 1 << 11,
            nfa_lanes: info.subgroup_size.min(layout::NFA_MOST_LANES),
            nfa_scratch_bytes: 64 << 20,
            queue_capacity: 1 << 20,
            step_budget: 16 << 10,
            nfa_step_budget: 16 << 10,
            rounds: [1, 16],
            pass_bytes: info.max_storage_buffer_range.min(info.max_allocation_bytes),
            candidate_hits: 1 << 18,
            bytes_per_candidate: 8,
            least_candidates: 1 << 10,
            slice_bytes: 1 << 20,
            direct_bytes: 32 << 20,
            gram_prefilter_groups: 1 << 10,
            prefilter_workgroup: prefilter_workgroup(info),
            confirm_groups: 1 << 12,
            confirm_most: 32,
            most_pieces: 40,
            least_selected: 1 << 12,
            most_selected: 1 << 15,
            bitmap_log2: bitmap_log2(info.shared_memory_bytes),
        };
        match info.kind {
            DeviceKind::Cpu => Tuning {
                start_walkers: 1 << 12,
                nfa_walkers: 1 << 6,
                nfa_scratch_bytes: 16 << 20,
                queue_capacity: 1 << 14,
                step_budget: 3 << 10,
                nfa_step_budget: 1 << 10,
                rounds: [8, 16],
                candidate_hits: 1 << 16,
                gram_prefilter_groups: 1 << 4,
                prefilter_workgroup: 256,
                confirm_groups: 1 << 4,
                confirm_most: 12,
                most_pieces: 5,
                least_selected: 0,
                ..gpu
            },
            DeviceKind::Discrete => gpu,
            // A dispatch must not last long: a slow device's watchdog may take it for hung.
            _ => Tuning {
                start_walkers: 1 << 15,
                step_budget: 4 << 10,
                nfa_step_budget: 4 << 10,
                rounds: [8, 32],
                ..gpu
            },
        }
    }

    /// So little of everything that it runs out in the smallest haystack, which goes up in crumbs.
    pub(crate) fn cramped(info: &DeviceInfo) -> Tuning {
        Tuning {
            start_walkers: 64,
            nfa_walkers: 3,
            queue_capacity: 4,
            step_budget: 200,
            nfa_step_budget: 200,
            rounds: [1, 2],
            candidate_hits: 1,
            bytes_per_candidate: 256,
            least_candidates: 2,
            slice_bytes: 32,
            direct_bytes: 0,
            least_selected: 0,
            ..Tuning::for_device(info)
        }
    }
}

/// The largest bitmap, as words and a power of two, that fits beside the survivors.
fn bitmap_log2(shared_memory_bytes: u32) -> u32 {
    let survivors = layout::PREFILTER_LANES * layout::PREFILTER_LANE_WORDS;
    let words = (shared_memory_bytes / 4).saturating_sub(survivors);
    words.max(1).ilog2().clamp(10, 13)
}

/// As many invocations as may share a bitmap, and have room for their survivors: the more do, the more of
/// them are there to hide the latency of memory.
fn prefilter_workgroup(info: &DeviceInfo) -> u32 {
    info.max_workgroup_invocations.min(layout::PREFILTER_LANES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrow::narrow;
    use crate::rules::prefilter::split_candidates::MOST_SPREAD;
    use crate::vulkan::quirks::LAVAPIPE_LOOP_TURNS;
    use crate::vulkan::testing::TestBackend;

    fn of_cpu() -> Tuning {
        let backend = TestBackend::new();
        Tuning::for_device(&DeviceInfo { kind: DeviceKind::Cpu, ..backend.device_info().clone() })
    }

    /// Those of `confirm`, which no budget of steps bounds, on lavapipe: a byte takes two turns there where it may hand on a
    /// start, and so does every start of a prefix that is long, but bounded.
    #[test]
    fn loops_end_in_time() {
        const LANES: u32 = 16;
        /// Of the most slots that a ring has, the bits.
        const SLOT_BITS: u32 = 20;

        let Tuning { confirm_most, most_pieces, .. } = of_cpu();
        let starts = layout::PREFIX_STEPS + narrow::<_, u32>(MOST_SPREAD);
        let of_lists = 3 * layout::MOST_LISTED + layout::SEARCH_STEPS * SLOT_BITS;
        let of_candidate = layout::SUFFIX_STEPS / 4 + 2 * starts + of_lists;
        let of_pieces = LANES * most_pieces * layout::PIECE_STEPS / 4;
        assert!(confirm_most * of_candidate + of_pieces < LAVAPIPE_LOOP_TURNS);
    }

    /// Those of `select_groups`, for a single group of all hits that a CPU device selects from.
    #[test]
    fn selection_ends_in_time() {
        /// Of places in a haystack, and of patterns.
        const PLACE_BITS: u32 = 31;
        const PATTERN_BITS: u32 = 20;

        let most = of_cpu().most_selected;
        let each = most.div_ceil(layout::SELECT_LANES);
        let counters = layout::SELECT_HIT_WORDS;
        let sum = layout::SELECT_SUBGROUPS;
        let digits = (2 * PLACE_BITS + PATTERN_BITS).div_ceil(layout::SELECT_DIGIT_BITS) + 1;
        let sorting = digits * (each * (2 + layout::SELECT_DIGIT_BITS) + 3 * counters + sum);
        // Hits are searched for by doubling steps, and then by halves.
        let search = 2 * (most.ilog2() + 1);
        // Where chains begin one search, from hit to hit two, and these once more for the starts; and a turn for each jump.
        let chains = each * (2 + 1 + 2 + 5 * search + most.ilog2() + 1);
        let writing = each * (1 + sum);
        assert!(sorting + chains + writing < LAVAPIPE_LOOP_TURNS);
    }

    #[test]
    fn bitmaps_fit_beside_survivors() {
        let sizes = [16, 32, 48, 64, 100].map(|kib| bitmap_log2(kib << 10));
        assert_eq!(sizes, [10, 12, 13, 13, 13]);
    }
}
