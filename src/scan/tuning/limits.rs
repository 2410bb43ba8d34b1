//! Which values of the parameters a device can do.

use super::Tuning;
use crate::narrow::narrow;
use crate::rules::prefilter::split_candidates::MOST_SPREAD;
use crate::shaders::layout;
use crate::vulkan::quirks::LAVAPIPE_LOOP_TURNS;
use crate::{DeviceInfo, DeviceKind};

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
        /// `device`, `driver` or `kernels`.
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
            let may_be_none = ["direct_bytes", "scans_in_flight"].contains(&parameter.name());
            let value = self.get(parameter.name()).expect("a parameter of ours");
            needs(value > 0 || may_be_none, parameter.name(), &text("1 or more"))?;
        }
        for name in ["queue_capacity", "prefilter_workgroup", "select_lanes", "select_tile"] {
            let value = self.get(name).expect("a parameter of ours");
            needs(value.is_power_of_two(), name, &text("a power of two"))?;
        }

        let lanes = info.subgroup_size.min(layout::NFA_MOST_LANES);
        needs(self.nfa_lanes == lanes, "nfa_lanes", &|| format!("{lanes} here"))?;
        let groups = info.max_workgroups_x;
        for (name, value) in [
            ("nfa_walkers", self.nfa_walkers),
            ("gram_prefilter_groups", self.gram_prefilter_groups),
            ("confirm_groups", self.confirm_groups),
            ("start_walkers", self.start_walkers.div_ceil(layout::WORKGROUP)),
        ] {
            needs(value <= groups, name, &most(groups.into()))?;
        }
        // `schedule` counts in 32 bits what all walkers can do in a round.
        let steps = u64::from(self.start_walkers / layout::WORKGROUP) * u64::from(self.step_budget);
        let fewer = text("less beside so many start_walkers");
        needs(steps <= u32::MAX.into(), "step_budget", &fewer)?;
        let most_bytes = info.max_storage_buffer_range.min(info.max_allocation_bytes);
        needs(self.pass_bytes <= most_bytes, "pass_bytes", &most(most_bytes))?;

        let unit = layout::PREFILTER_BYTES;
        let is_cut = self.slice_bytes > unit && self.slice_bytes.is_multiple_of(unit);
        needs(is_cut, "slice_bytes", &|| format!("a multiple of {unit}, and more"))?;
        needs(self.gram_stride <= 2, "gram_stride", &text("1 or 2"))?;
        let lanes = info.max_workgroup_invocations.min(layout::PREFILTER_LANES);
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
            for (name, turns) in self.loop_turns() {
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

    #[test]
    fn defaults_can_be_done() {
        let backend = TestBackend::new();
        let info = backend.device_info();
        for kind in [DeviceKind::Cpu, DeviceKind::Discrete, DeviceKind::Integrated] {
            let info = DeviceInfo { kind, ..info.clone() };
            Tuning::for_device(&info).check(&info).unwrap();
            Tuning::cramped(&info).check(&info).unwrap();
        }
    }

    /// Every restriction refuses something, and says which parameter it is about.
    #[test]
    fn what_cannot_be_done_is_told() {
        let backend = TestBackend::new();
        let info = DeviceInfo { kind: DeviceKind::Cpu, ..backend.device_info().clone() };
        let most = u64::from(u32::MAX);
        for (name, value, needed) in [
            ("first_rounds", 0, "1 or more"),
            ("queue_capacity", 3, "a power of two"),
            ("nfa_lanes", 1, "here"),
            ("nfa_walkers", most, "at most"),
            ("pass_bytes", u64::MAX, "at most"),
            ("slice_bytes", 24, "a multiple of 16"),
            ("slice_bytes", 16, "a multiple of 16"),
            ("gram_stride", 3, "1 or 2"),
            ("prefilter_workgroup", 1024, "to 512"),
            ("bitmap_log2", 9, "10 to"),
            ("bitmap_log2", 20, "10 to"),
            ("select_lanes", 1 << 20, "here"),
            ("select_tile", 1 << 20, "here"),
            ("step_budget", 4 << 10, "less: loops take"),
            ("nfa_step_budget", 4 << 10, "less: loops take"),
            ("confirm_most", 64, "less: loops take"),
        ] {
            let mut tuning = Tuning::for_kind(&info);
            tuning.set(name, value).unwrap();
            let error = tuning.check(&info).unwrap_err();
            let TuningError::Impossible { name: told, .. } = &error else { panic!("{error}") };
            assert!(*told == name && error.to_string().contains(needed), "{error}");
        }
        let mut tuning = Tuning { start_walkers: 1 << 20, ..Tuning::for_kind(&info) };
        tuning.set("step_budget", 1 << 18).unwrap();
        let gpu = DeviceInfo { kind: DeviceKind::Discrete, max_workgroups_x: 1 << 16, ..info };
        assert!(tuning.check(&gpu).unwrap_err().to_string().contains("start_walkers"));
        assert!(matches!(tuning.set("pace", 1), Err(TuningError::Unknown { .. })));
        assert!(matches!(tuning.set("step_budget", 1 << 32), Err(TuningError::Impossible { .. })));
    }

    #[test]
    fn bitmaps_fit_beside_survivors() {
        let sizes = [16, 32, 48, 64, 100].map(|kib| super::super::bitmap_log2(kib << 10));
        assert_eq!(sizes, [10, 12, 13, 13, 13]);
    }
}
