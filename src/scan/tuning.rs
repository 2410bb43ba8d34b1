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
    /// Most bytes for the live sets of all searches. Where these take more a search is slower.
    pub(crate) live_set_bytes: u64,
    /// Steps of `verify_nfa` for each byte of a haystack, after which rules are searched for: about as many as it takes, all its
    /// walkers together, while one of them searches a byte.
    pub(crate) search_after: u32,
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
    /// Invocations of a workgroup that selects from hits, and hits that it takes at a time: powers of two, the second not less
    /// than the first.
    pub(crate) select_lanes: u32,
    pub(crate) select_tile: u32,
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
            live_set_bytes: 16 << 20,
            search_after: 4 << 10,
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
            select_lanes: select_lanes(info),
            select_tile: select_tile(info.shared_memory_bytes),
            bitmap_log2: bitmap_log2(info.shared_memory_bytes),
        };
        match info.kind {
            DeviceKind::Cpu => Tuning {
                start_walkers: 1 << 12,
                nfa_walkers: 1 << 6,
                nfa_scratch_bytes: 16 << 20,
                live_set_bytes: 8 << 20,
                search_after: 4,
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
        /// Hits that are many.
        const CRAMPED_TILE: u32 = 64;

        Tuning {
            start_walkers: 64,
            nfa_walkers: 3,
            search_after: 1,
            queue_capacity: 4,
            step_budget: 200,
            nfa_step_budget: 200,
            rounds: [1, 2],
            candidate_hits: 1,
            bytes_per_candidate: 256,
            least_candidates: 2,
            slice_bytes: 32,
            direct_bytes: 0,
            select_lanes: select_lanes(info).min(CRAMPED_TILE),
            select_tile: CRAMPED_TILE,
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

/// As many invocations as have their subgroups count digits at the same time.
fn select_lanes(info: &DeviceInfo) -> u32 {
    const MOST: u32 = 512;
    let of_subgroups = layout::COUNTER_SUBGROUPS * info.subgroup_size;
    let lanes = of_subgroups.min(info.max_workgroup_invocations).min(MOST);
    1 << lanes.ilog2()
}

/// The most hits that shared memory has room for: their keys, what is ahead of them, and where their matches start.
fn select_tile(shared_memory_bytes: u32) -> u32 {
    const WORDS: u32 = 5;
    const OTHERS: u32 = 4 << 10;
    let hits = (shared_memory_bytes - OTHERS) / (4 * WORDS);
    (1 << hits.ilog2()).min(layout::MOST_TILE)
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

    /// Those of the kernels that select, where each invocation has as many hits as there are: `select_tiles` has most of them.
    #[test]
    fn selection_ends_in_time() {
        /// As many as a buffer of 4 GiB holds.
        const HIT_BITS: u32 = 28;

        let Tuning { select_lanes, select_tile, .. } = of_cpu();
        let each = select_tile / select_lanes;
        let tile_bits = select_tile.ilog2();
        let network = each * tile_bits * (tile_bits + 1) / 2;
        let search = 2 * HIT_BITS;
        // A search for what comes next, one for whether reports are mixed, and one where a run's match starts; jumps; and
        // for a report whether its start has been verified.
        let chains = each * (3 * search + tile_bits + 1 + search);
        let sums = (each + 1) * layout::SELECT_SUBGROUPS;
        let turns = network + chains + sums + layout::MOST_VERIFIED_AGAIN;
        assert!(turns < LAVAPIPE_LOOP_TURNS, "{turns}");
    }

    #[test]
    fn bitmaps_fit_beside_survivors() {
        let sizes = [16, 32, 48, 64, 100].map(|kib| bitmap_log2(kib << 10));
        assert_eq!(sizes, [10, 12, 13, 13, 13]);
    }
}
