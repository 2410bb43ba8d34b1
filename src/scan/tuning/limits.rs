//! Which values of the parameters a device can do.

use super::{MOST_CANDIDATES, MOST_FRAMES, MOST_PREFILTER_TURNS, Tuning, tile_words};
use crate::narrow::narrow;
use crate::rules::prefilter::split_candidates::MOST_SPREAD;
use crate::shaders::layout::{self, MAX_HAYSTACK_BYTES};
use crate::vulkan::quirks::LAVAPIPE_LOOP_TURNS;
use crate::{DeviceInfo, DeviceKind};

/// More would take more timestamps and commands than they are worth.
const MOST_ROUNDS: u32 = 1 << 10;

/// Slots of a ring, at most.
const MOST_SLOTS: u32 = 1 << 20;

/// Words of scratch are counted in 32 bits.
const MOST_SCRATCH_BYTES: u64 = 4 << 32;

/// Why a tuning does not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuningError {
    /// There is no such parameter.
    #[error("there is no parameter {name:?}: `Tuning::parameters` lists them")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A value that a parameter cannot have on this device, or not beside the values of others.
    #[error("{name} of {value} does not do: it has to be {needed}")]
    Impossible {
        /// The parameter.
        name: &'static str,
        /// The value that it was given.
        value: u64,
        /// What it has to be, such as `a power of two`.
        needed: String,
    },
    /// A file or text that is no profile.
    #[error("it is no tuning profile: {reason}")]
    NoProfile {
        /// What is wrong with it.
        reason: String,
    },
    /// A profile that was measured on something else.
    #[error(
        "the profile was measured on the {what} {measured}, and this is {found}: run `vkscan tune` again"
    )]
    Stale {
        /// `device`, `driver`, `version of vkscan` or `kernels`.
        what: &'static str,
        /// What the profile says.
        measured: String,
        /// What there is.
        found: String,
    },
    /// A file that cannot be read or written.
    #[error("the tuning profile: {0}")]
    File(#[from] std::io::Error),
}

impl Tuning {
    /// Whether a device can do it: what its limits and the kernels ask of each value, and of values together.
    ///
    /// # Errors
    ///
    /// The first value that does not do ([`TuningError::Impossible`]).
    pub fn check(&self, info: &DeviceInfo) -> Result<(), TuningError> {
        let needs = |does: bool, name: &'static str, needed: &dyn Fn() -> String| {
            let value = self.get(name).expect("a parameter of ours");
            if does {
                Ok(())
            } else {
                Err(TuningError::Impossible { name, value, needed: needed() })
            }
        };
        let text = |needed: &'static str| move || needed.to_owned();
        let most = |limit: u64| move || format!("at most {limit} here");

        for parameter in Tuning::parameters() {
            let may_be_none =
                ["direct_bytes", "scans_in_flight", "streamed_bytes"].contains(&parameter.name());
            let value = self.get(parameter.name()).expect("a parameter of ours");
            needs(value > 0 || may_be_none, parameter.name(), &text("1 or more"))?;
        }
        for name in ["queue_capacity", "select_lanes", "select_tile"] {
            let value = self.get(name).expect("a parameter of ours");
            needs(value.is_power_of_two(), name, &text("a power of two"))?;
        }
        for (name, value, limit) in [
            ("scans_in_flight", self.scans_in_flight, narrow(MOST_FRAMES)),
            ("least_candidates", self.least_candidates, MOST_CANDIDATES),
            ("first_rounds", self.first_rounds, MOST_ROUNDS),
            ("later_rounds", self.later_rounds, MOST_ROUNDS),
        ] {
            needs(value <= limit, name, &most(limit.into()))?;
        }

        // Grids, of the largest haystack, and of the most slots and candidates.
        let groups = info.max_workgroups_x;
        let units = MAX_HAYSTACK_BYTES / (layout::PREFILTER_BYTES * MOST_PREFILTER_TURNS);
        let candidates = MOST_CANDIDATES / layout::WORKGROUP;
        for (name, of_grid) in [
            ("nfa_walkers", self.nfa_walkers),
            ("gram_prefilter_groups", self.gram_prefilter_groups),
            ("confirm_groups", self.confirm_groups),
            ("start_walkers", self.start_walkers.div_ceil(layout::WORKGROUP)),
            ("confirm_most", candidates.div_ceil(self.confirm_most)),
            ("prefilter_workgroup", units.div_ceil(self.prefilter_workgroup)),
            ("select_lanes", 1 + MOST_SLOTS.div_ceil(self.select_lanes)),
        ] {
            needs(of_grid <= groups, name, &|| {
                format!("such that there are {groups} workgroups at most, not {of_grid}")
            })?;
        }
        // `schedule` counts in 32 bits what all walkers can do in a round.
        let steps = u64::from(self.start_walkers / layout::WORKGROUP) * u64::from(self.step_budget);
        let fewer = text("less beside so many start_walkers");
        needs(steps <= u32::MAX.into(), "step_budget", &fewer)?;
        let most_bytes = info.max_storage_buffer_range.min(info.max_allocation_bytes);
        for (name, value, limit) in [
            ("pass_bytes", self.pass_bytes, most_bytes),
            ("nfa_scratch_bytes", self.nfa_scratch_bytes, most_bytes.min(MOST_SCRATCH_BYTES) / 2),
            ("live_set_bytes", self.live_set_bytes, most_bytes.min(MOST_SCRATCH_BYTES) / 4),
        ] {
            needs(value <= limit, name, &most(limit))?;
        }

        let unit = layout::PREFILTER_BYTES;
        let is_cut = self.slice_bytes > unit && self.slice_bytes.is_multiple_of(unit);
        needs(is_cut, "slice_bytes", &|| format!("a multiple of {unit}, and more"))?;
        needs(self.gram_stride <= 2, "gram_stride", &text("1 or 2"))?;
        let lanes = super::prefilter_workgroup(info);
        let does =
            self.prefilter_workgroup <= lanes && self.prefilter_workgroup >= info.subgroup_size;
        needs(does, "prefilter_workgroup", &|| format!("{} to {lanes} here", info.subgroup_size))?;
        let [least, largest] =
            [super::LEAST_BITMAP_LOG2, super::bitmap_log2(info.shared_memory_bytes)];
        let does = (least..=largest).contains(&self.bitmap_log2);
        needs(does, "bitmap_log2", &|| format!("{least} to {largest} here"))?;

        let lanes = super::select_lanes(info);
        let does = (info.subgroup_size.min(lanes)..=lanes).contains(&self.select_lanes);
        needs(does, "select_lanes", &|| format!("{} to {lanes} here", info.subgroup_size))?;
        let [least, largest] = [self.select_lanes, super::select_tile(info.shared_memory_bytes)];
        let does = (least..=largest).contains(&self.select_tile);
        needs(does, "select_tile", &|| format!("{least} to {largest} here"))?;

        if info.kind == DeviceKind::Cpu {
            // `enter_tiles` looks at one after the other.
            let tiles = most_bytes / 4 / tile_words(self.select_tile);
            let tiles = [("select_tile", tiles)];
            for (name, turns) in self.loop_turns().into_iter().chain(tiles) {
                needs(turns < LAVAPIPE_LOOP_TURNS.into(), name, &|| {
                    format!(
                        "less: loops take {turns} turns, and the driver ends them after {LAVAPIPE_LOOP_TURNS}"
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Turns that loops take at most while a subgroup of lavapipe's is in a kernel, and by what they are bounded.
    fn loop_turns(&self) -> [(&'static str, u64); 4] {
        // A step of a walk takes so many, one of `verify_nfa` about 25.
        const STEP_TURNS: u64 = 20;
        const NFA_STEP_TURNS: u64 = 63;
        [
            ("step_budget", u64::from(self.step_budget) * STEP_TURNS),
            ("nfa_step_budget", u64::from(self.nfa_step_budget) * NFA_STEP_TURNS),
            ("confirm_most", self.confirm_turns()),
            ("select_tile", self.select_turns()),
        ]
    }

    /// Those of `confirm`, which no budget of steps bounds: a byte takes two turns where it may hand on a start, and so does
    /// every start of a prefix that is long, but bounded.
    fn confirm_turns(&self) -> u64 {
        const LANES: u64 = 16;
        /// Of the most slots that a ring has, the bits.
        const SLOT_BITS: u32 = 20;

        let starts = layout::PREFIX_STEPS + narrow::<_, u32>(MOST_SPREAD);
        let of_lists = 3 * layout::MOST_LISTED + layout::SEARCH_STEPS * SLOT_BITS;
        let of_candidate = layout::SUFFIX_STEPS / 4 + 2 * starts + of_lists;
        let of_pieces = LANES * u64::from(self.most_pieces) * u64::from(layout::PIECE_STEPS / 4);
        u64::from(self.confirm_most) * u64::from(of_candidate) + of_pieces
    }

    /// Those of the kernels that select, where each invocation has as many hits as there are: `select_tiles` has most of them.
    fn select_turns(&self) -> u64 {
        /// As many as a buffer of 4 GiB holds.
        const HIT_BITS: u64 = 28;

        let each = u64::from(self.select_tile / self.select_lanes);
        let tile_bits = u64::from(self.select_tile.ilog2());
        let network = each * tile_bits * (tile_bits + 1) / 2;
        let search = 2 * HIT_BITS;
        // A search for what comes next, one for whether reports are mixed, and one where a run's match starts; jumps; and
        // for a report whether its start has been verified.
        let chains = each * (3 * search + tile_bits + 1 + search);
        let sums = (each + 1) * u64::from(layout::SELECT_SUBGROUPS);
        network + chains + sums + u64::from(layout::MOST_VERIFIED_AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vulkan::testing::TestBackend;

    /// Devices that there may be: of every kind, with more and with less than most have.
    fn devices() -> Vec<DeviceInfo> {
        let backend = TestBackend::new();
        let kinds = [DeviceKind::Cpu, DeviceKind::Discrete, DeviceKind::Integrated];
        let mut devices = Vec::new();
        for kind in kinds {
            for (lanes, invocations, shared, groups) in [
                (8, 1024, 32 << 10, 65_535),
                (32, 1024, 48 << 10, u32::MAX >> 1),
                (16, 384, 32 << 10, 65_535),
                (64, 256, 16 << 10, 65_535),
            ] {
                devices.push(DeviceInfo {
                    kind,
                    subgroup_size: lanes,
                    max_workgroup_invocations: invocations,
                    shared_memory_bytes: shared,
                    max_workgroups_x: groups,
                    max_storage_buffer_range: 128 << 20,
                    ..backend.device_info().clone()
                });
            }
        }
        devices
    }

    #[test]
    fn defaults_can_be_done() {
        for info in devices() {
            let names = super::super::MEASURED.iter().map(|(name, _)| (*name).to_owned());
            for name in names.chain([info.name.clone()]) {
                let info = DeviceInfo { name, ..info.clone() };
                for tuning in [Tuning::for_device(&info), Tuning::cramped(&info)] {
                    tuning.check(&info).unwrap_or_else(|error| panic!("{error}: {info:?}"));
                }
            }
        }
    }

    /// Every restriction refuses something, and says which parameter it is about.
    #[test]
    fn what_cannot_be_done_is_told() {
        let [cpu, gpu] = [&devices()[0], &devices()[5]];
        let few = &DeviceInfo { max_workgroups_x: 65_535, ..gpu.clone() };
        let narrow = &devices()[11];
        let most = u64::from(u32::MAX);
        for (info, name, value, needed) in [
            (gpu, "first_rounds", 0, "1 or more"),
            (gpu, "queue_capacity", 3, "a power of two"),
            (gpu, "select_lanes", 96, "a power of two"),
            (gpu, "select_tile", 1000, "a power of two"),
            (gpu, "scans_in_flight", 257, "at most 256"),
            (gpu, "least_candidates", (1 << 23) + 1, "at most"),
            (gpu, "first_rounds", 1025, "at most 1024"),
            (gpu, "later_rounds", most, "at most 1024"),
            (few, "nfa_walkers", 1 << 16, "65535 workgroups"),
            (few, "gram_prefilter_groups", 1 << 16, "65535 workgroups"),
            (few, "confirm_groups", 1 << 16, "65535 workgroups"),
            (few, "start_walkers", 1 << 22, "65535 workgroups"),
            (few, "confirm_most", 1, "65535 workgroups"),
            (few, "prefilter_workgroup", 16, "65535 workgroups"),
            (few, "select_lanes", 16, "65535 workgroups"),
            (gpu, "step_budget", 1 << 22, "less beside so many start_walkers"),
            (gpu, "pass_bytes", u64::MAX, "at most"),
            (gpu, "nfa_scratch_bytes", (64 << 20) + 1, "at most"),
            (gpu, "live_set_bytes", (32 << 20) + 1, "at most"),
            (gpu, "slice_bytes", 24, "a multiple of 16"),
            (gpu, "slice_bytes", 16, "a multiple of 16"),
            (gpu, "gram_stride", 3, "1 or 2"),
            (gpu, "prefilter_workgroup", 1024, "32 to 512"),
            (narrow, "prefilter_workgroup", 512, "64 to 256"),
            (gpu, "prefilter_workgroup", 31, "32 to 512"),
            (gpu, "bitmap_log2", 9, "10 to"),
            (gpu, "bitmap_log2", 20, "10 to"),
            (gpu, "select_lanes", 1 << 20, "here"),
            (gpu, "select_tile", 1 << 20, "here"),
            (cpu, "step_budget", 4 << 10, "less: loops take"),
            (cpu, "nfa_step_budget", 4 << 10, "less: loops take"),
            (cpu, "confirm_most", 64, "less: loops take"),
        ] {
            let mut tuning = Tuning::for_kind(info);
            tuning.set(name, value).unwrap();
            let error = tuning.check(info).unwrap_err();
            let TuningError::Impossible { name: told, .. } = &error else { panic!("{error}") };
            assert!(*told == name && error.to_string().contains(needed), "{name} {value}: {error}");
        }
        let tuning = Tuning { select_lanes: 32, select_tile: 32, ..Tuning::for_kind(cpu) };
        let error = tuning.check(cpu).unwrap_err().to_string();
        assert!(error.starts_with("select_tile of 32") && error.contains("loops take"), "{error}");
        let mut tuning = Tuning::for_kind(gpu);
        assert!(matches!(tuning.set("pace", 1), Err(TuningError::Unknown { .. })));
        assert!(matches!(tuning.set("step_budget", 1 << 32), Err(TuningError::Impossible { .. })));
    }

    #[test]
    fn bitmaps_fit_beside_survivors() {
        let sizes = [16, 32, 48, 64, 100].map(|kib| super::super::bitmap_log2(kib << 10));
        assert_eq!(sizes, [10, 12, 13, 13, 13]);
    }
}
