//! How much work goes into one dispatch, and how large what it works in is: by default, and as it was measured to be best.
//!
//! | file | story |
//! |---|---|
//! | `mod.rs` | every parameter once, and what it is by default |
//! | `limits.rs` | which values a device can do |
//! | `profile.rs` | values that were found by measuring, in a file |
//! | `devices/` | such files for devices that were measured: their defaults |

mod limits;
mod profile;

use crate::shaders::layout::{self, Hit, Link, Tile};
use crate::{DeviceInfo, DeviceKind};

pub use limits::TuningError;
pub use profile::TuningProfile;

/// A parameter of [`Tuning`].
#[derive(Clone, Copy)]
pub struct TuningParameter {
    name: &'static str,
    doc: &'static str,
    values: fn() -> Vec<u64>,
    get: fn(&Tuning) -> u64,
    set: fn(&mut Tuning, u64) -> bool,
}

impl TuningParameter {
    /// Its name, such as `step_budget`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it says, and in which unit.
    pub fn doc(&self) -> &'static str {
        self.doc.trim_ascii_start()
    }

    /// Values that may be worth trying on some device, in ascending order; none where speed is not what it is about.
    pub fn values(&self) -> Vec<u64> {
        (self.values)()
    }
}

impl std::fmt::Debug for TuningParameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TuningParameter").field("name", &self.name).finish_non_exhaustive()
    }
}

macro_rules! parameters {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $values:expr;)+) => {
        /// Parameters that decide how fast sessions are, and how much memory they take; never what they find. Each session goes
        /// by the device's own ([`Tuning::for_device`]), unless it is told others.
        ///
        /// # Examples
        ///
        /// ```
        /// use vkscan::{Backend, BackendOptions, RulePipeline, SessionOptions, Tuning};
        ///
        /// let backend = Backend::new(&BackendOptions::default())?;
        /// let mut tuning = Tuning::for_device(backend.device_info());
        /// for parameter in Tuning::parameters() {
        ///     println!("{}: {:?}, {}", parameter.name(), tuning.get(parameter.name()), parameter.doc());
        /// }
        /// tuning.set("first_rounds", 4)?;
        /// let options = SessionOptions::new(1 << 16, 100).tuning(Some(tuning));
        /// let session = RulePipeline::new(&["a+"])?.prepare_resident_with(&backend, &options)?;
        /// # session.free(&backend)?;
        /// # Ok::<(), vkscan::ScanError>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Tuning {
            $($(#[doc = $doc])+ pub(crate) $name: $type,)+
        }

        const PARAMETERS: &[TuningParameter] = &[$(TuningParameter {
            name: stringify!($name),
            doc: concat!($($doc),+),
            values: || $values,
            get: |tuning| tuning.$name.into(),
            set: |tuning, value| value.try_into().map(|value| tuning.$name = value).is_ok(),
        },)+];
    };
}

parameters! {
    /// Most invocations of `verify_dfa`.
    start_walkers: u32 = powers(12..=20);
    /// Most workgroups of `verify_nfa`.
    nfa_walkers: u32 = powers(6..=13);
    /// Most scratch bytes for all workgroups of `verify_nfa`.
    nfa_scratch_bytes: u64 = vec![];
    /// Most bytes for the live sets of all searches. Where these take more a search is slower.
    live_set_bytes: u64 = vec![];
    /// Steps of `verify_nfa` for each byte of a haystack, after which rules are searched for: about as many as it takes,
    /// all its walkers together, while one of them searches a byte.
    search_after: u32 = powers(2..=16).into_iter().step_by(2).collect();
    /// Walks on NFAs that wait for a workgroup, at most: a power of two.
    queue_capacity: u32 = powers(14..=22);
    /// Steps of an invocation of `verify_dfa` in a round.
    step_budget: u32 = powers(8..=18);
    /// Steps of a workgroup of `verify_nfa` in a round.
    nfa_step_budget: u32 = powers(8..=18);
    /// Rounds of each pass in the first submission of a scan.
    first_rounds: u32 = powers(0..=4);
    /// Rounds of each pass in every submission after the first.
    later_rounds: u32 = powers(2..=6);
    /// Most bytes of one pass's tables.
    pass_bytes: u64 = vec![];
    /// Least hits that the hit buffer holds where matches are selected among them.
    candidate_hits: u32 = powers(14..=20);
    /// Bytes of the haystack for each candidate suffix that there is room for. For candidate starts, of which there are
    /// fewer, there is a fourth of it.
    bytes_per_candidate: u32 = powers(1..=6);
    /// Room that there is for candidates at least.
    least_candidates: u32 = vec![];
    /// Bytes of the haystack that are uploaded at a time, or a multiple of it; a multiple of the prefilter's unit, and more
    /// than one.
    slice_bytes: u32 = powers(17..=23);
    /// Bytes up to which the host writes a haystack to the device's memory itself, where it can: that saves a copy on the
    /// device, and is slower where it is much.
    direct_bytes: u32 = [vec![0], powers(16..=26)].concat();
    /// Threads that copy a haystack that goes up in slices, at most.
    copy_threads: u32 = powers(0..=6);
    /// Bytes from which on a haystack that goes up in slices is copied past the host's caches, where its processor can; 0 is
    /// never.
    streamed_bytes: u32 = [vec![0], powers(20..=26)].concat();
    /// Scans that a session takes at a time where its options do not say; 0 is by the haystacks' size.
    scans_in_flight: u32 = vec![0, 1, 2, 3, 4, 6, 8];
    /// Workgroups that the prefilter divides a haystack among, as far as each has enough to do.
    gram_prefilter_groups: u32 = powers(4..=13);
    /// Invocations of a workgroup of the prefilter.
    prefilter_workgroup: u32 = powers(6..=9);
    /// Words of a pass's gram bitmap, as a power of two.
    bitmap_log2: u32 = (10..=13).collect();
    /// Bytes from one gram that the prefilter looks at to the next, at most.
    gram_stride: u32 = vec![1, 2];
    /// Workgroups of `confirm`, as far as that leaves no invocation too many candidates.
    confirm_groups: u32 = powers(4..=14);
    /// Candidates of an invocation of `confirm`, at most.
    confirm_most: u32 = powers(3..=6);
    /// Pieces of a haystack that each invocation of `confirm` may walk on over.
    most_pieces: u32 = powers(2..=6);
    /// Invocations of a workgroup that selects from hits: a power of two.
    select_lanes: u32 = powers(6..=9);
    /// Hits that a workgroup selects from at a time: a power of two, not less than its invocations.
    select_tile: u32 = powers(8..=11);
}

fn powers(exponents: std::ops::RangeInclusive<u32>) -> Vec<u64> {
    exponents.map(|exponent| 1 << exponent).collect()
}

/// Devices whose defaults were found by measuring: their names, and profiles.
const MEASURED: &[(&str, &str)] = &[("NVIDIA H200", include_str!("devices/nvidia-h200.json"))];

/// Candidate suffixes that there is room for, at most.
pub(crate) const MOST_CANDIDATES: u32 = 1 << 23;

/// Scans that a session takes at a time, at most: more frames would only take memory.
pub(crate) const MOST_FRAMES: usize = 256;

/// Turns of a workgroup of the prefilter, at most: more would keep a device too long with too little.
pub(crate) const MOST_PREFILTER_TURNS: u32 = 64;

/// Words of the selection buffer for the hits of a tile: `shaders/include/layout/selection.glsl`.
pub(crate) fn tile_words(tile: u32) -> u64 {
    let of_hit = Hit::WORDS + 1 + Link::WORDS;
    u64::from(tile) * of_hit as u64 + Tile::WORDS as u64 + u64::from(layout::DIGITS)
}

impl Tuning {
    /// What sessions on a device go by unless they are told otherwise: as it was measured on one of its kind, or what suits
    /// devices of that sort.
    pub fn for_device(info: &DeviceInfo) -> Tuning {
        let measured = MEASURED.iter().find(|(name, _)| info.name == *name);
        let tuning =
            measured.map(|(_, profile)| TuningProfile::from_json(profile)?.values_on(info));
        match tuning {
            None => Tuning::for_kind(info),
            Some(Ok(tuning)) => tuning,
            Some(Err(error)) => {
                tracing::warn!(device = info.name, "its own defaults are left out: {error}");
                Tuning::for_kind(info)
            }
        }
    }

    /// All parameters.
    pub fn parameters() -> &'static [TuningParameter] {
        PARAMETERS
    }

    /// The value of a parameter; none if there is no parameter of that name.
    pub fn get(&self, name: &str) -> Option<u64> {
        parameter(name).map(|parameter| (parameter.get)(self))
    }

    /// Sets a parameter. Which values a device can do is looked at when a session is prepared there.
    ///
    /// # Errors
    ///
    /// No parameter of that name, or a value that it cannot have on any device.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), TuningError> {
        let parameter =
            parameter(name).ok_or_else(|| TuningError::Unknown { name: name.to_owned() })?;
        if (parameter.set)(self, value) {
            return Ok(());
        }
        let needed = "at most 4294967295".to_owned();
        Err(TuningError::Impossible { name: parameter.name, value, needed })
    }

    /// Parameters whose values are not those of `other`.
    pub fn difference(&self, other: &Tuning) -> Vec<(&'static str, u64)> {
        let differing = PARAMETERS.iter().filter(|one| (one.get)(self) != (one.get)(other));
        differing.map(|one| (one.name, (one.get)(self))).collect()
    }

    fn for_kind(info: &DeviceInfo) -> Tuning {
        let gpu = Tuning {
            start_walkers: 1 << 18,
            nfa_walkers: 1 << 11,
            nfa_scratch_bytes: 64 << 20,
            live_set_bytes: 16 << 20,
            search_after: 4 << 10,
            queue_capacity: 1 << 20,
            step_budget: 16 << 10,
            nfa_step_budget: 16 << 10,
            first_rounds: 1,
            later_rounds: 16,
            pass_bytes: info.max_storage_buffer_range.min(info.max_allocation_bytes),
            candidate_hits: 1 << 18,
            bytes_per_candidate: 8,
            least_candidates: 1 << 10,
            slice_bytes: 1 << 20,
            direct_bytes: 32 << 20,
            copy_threads: 1 << 8,
            streamed_bytes: 64 << 20,
            scans_in_flight: 0,
            gram_prefilter_groups: 1 << 10,
            prefilter_workgroup: prefilter_workgroup(info),
            confirm_groups: 1 << 12,
            confirm_most: 32,
            most_pieces: 40,
            select_lanes: select_lanes(info),
            select_tile: select_tile(info.shared_memory_bytes),
            bitmap_log2: bitmap_log2(info.shared_memory_bytes),
            gram_stride: 2,
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
                first_rounds: 8,
                candidate_hits: 1 << 16,
                streamed_bytes: 0,
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
                first_rounds: 8,
                later_rounds: 32,
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
            first_rounds: 1,
            later_rounds: 2,
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

fn parameter(name: &str) -> Option<&'static TuningParameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name)
}

pub(crate) const LEAST_BITMAP_LOG2: u32 = 10;
pub(crate) const MOST_BITMAP_LOG2: u32 = 13;

/// The largest bitmap, as words and a power of two, that fits beside the survivors.
fn bitmap_log2(shared_memory_bytes: u32) -> u32 {
    let survivors = layout::PREFILTER_LANES * layout::PREFILTER_LANE_WORDS;
    let words = (shared_memory_bytes / 4).saturating_sub(survivors);
    words.max(1).ilog2().clamp(LEAST_BITMAP_LOG2, MOST_BITMAP_LOG2)
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
