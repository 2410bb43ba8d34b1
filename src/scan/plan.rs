//! What a session will be: all that can be worked out on the host, before anything is made on a device.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::frame::FrameShape;
use super::frame::pipelines::Specialisation;
use super::tuning::{MOST_FRAMES, Tuning};
use super::{ScanError, SessionOptions};
use crate::narrow::narrow;
use crate::rules::Split;
use crate::rules::tables::pack::{self, Pass};
use crate::shaders::layout::{self, Hit, ReadbackHeader};
use crate::vulkan::staging::StagingBuffer;
use crate::{Backend, DeviceInfo, MatchKind, RulePipeline};

/// Longest haystack that a session can be prepared for: 1 GiB.
pub const MAX_HAYSTACK_BYTES: usize = layout::MAX_HAYSTACK_BYTES as usize;

/// Least staging memory of a frame, in bytes: tables go up through it, too.
const LEAST_STAGING: u64 = 1 << 20;

/// A session that has been worked out for a device, and is yet to be made there: the rules' tables, and the size of every
/// buffer. It can be made elsewhere, and at another time, as often as wanted.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, PlannedMemory, RulePipeline, SessionOptions};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// let rules = RulePipeline::new(&["a+"])?;
/// // The host's part, for which a description of the device is enough.
/// let plan = rules.plan_resident(backend.device_info(), &SessionOptions::new(1 << 20, 1000))?;
/// for PlannedMemory { purpose, buffers, bytes, .. } in plan.memory() {
///     println!("{bytes} bytes for {buffers} of {purpose}");
/// }
/// // The device's part takes what was planned, to the byte.
/// let session = plan.prepare(&backend)?;
/// assert_eq!(backend.allocated_bytes(), plan.bytes());
/// session.free(&backend)?;
/// # Ok::<(), vkscan::ScanError>(())
/// ```
pub struct SessionPlan {
    /// The device that it is for, as far as that decides: UUID and driver.
    device: ([u8; 16], String, String),
    pub(super) haystack_capacity: usize,
    pub(super) max_matches: usize,
    pub(super) passes: Arc<Vec<Pass>>,
    /// Bytes from a match's start within which what its rule is looked for by lies, if its prefixes are bounded; none if no
    /// rule is looked for so.
    pub(super) reach: Option<u32>,
    /// Whether there are rules whose prefixes are not bounded.
    pub(super) has_long: bool,
    pub(super) shape: FrameShape,
    pub(super) specialisation: Specialisation,
    /// Of each frame.
    pub(super) staging_bytes: u64,
    pub(super) frame_count: usize,
}

/// Buffers for one purpose that a session will have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedMemory {
    /// What the buffers are for, as [`MemoryUse::purpose`](crate::MemoryUse::purpose) says it.
    pub purpose: &'static str,
    /// Number of buffers.
    pub buffers: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// The ring that a session's haystacks have their slots in, if they are made of packed items.
#[derive(Clone, Copy)]
pub(crate) struct RingShape {
    /// The slots that are this session's: the first one, and how many.
    pub(crate) first: u32,
    pub(crate) slots: u32,
    /// Invocations of a workgroup that looks at slots.
    pub(crate) workgroup: u32,
}

impl RulePipeline {
    /// Works out a session for a device: the host's part of [`RulePipeline::prepare_resident_with`].
    ///
    /// # Errors
    ///
    /// Options over a limit of vkscan's or the device's, or a rule whose tables the device cannot bind.
    pub fn plan_resident(
        &self,
        device: &DeviceInfo,
        options: &SessionOptions,
    ) -> Result<SessionPlan, ScanError> {
        SessionPlan::new(self, device, options, None)
    }
}

impl SessionPlan {
    /// Plans a session whose haystacks, where there is a ring, are made of packed items.
    pub(crate) fn new(
        pipeline: &RulePipeline,
        info: &DeviceInfo,
        options: &SessionOptions,
        ring: Option<RingShape>,
    ) -> Result<SessionPlan, ScanError> {
        let tuning = &options.tuning.unwrap_or_else(|| Tuning::for_device(info));
        tuning.check(info)?;
        let match_kind = pipeline.options().match_kind;
        let SessionOptions { haystack_capacity_bytes, max_matches, .. } = *options;
        limit(
            "haystack capacity",
            haystack_capacity_bytes,
            MAX_HAYSTACK_BYTES,
            "vkscan scans at once",
        )?;

        // Leftmost-first matches are selected among the preferred matches of all starts, which may be many
        // more. A single start has one for each rule at most, and so many are carried from the part before; they
        // have to fit.
        let candidates = match match_kind {
            MatchKind::All => max_matches.saturating_add(pipeline.rules().len()),
            MatchKind::LeftmostFirst => max_matches
                .saturating_mul(2)
                .max(tuning.candidate_hits as usize)
                .max(pipeline.rules().len().saturating_mul(2)),
        };
        let range = info.max_storage_buffer_range.min(info.max_allocation_bytes);
        // Behind the hits that are read back is a word for each slot.
        let slots = ring.map_or(0, |ring| u64::from(ring.slots));
        let read_back = range.saturating_sub(size_of::<ReadbackHeader>() as u64 + 4 * slots);
        let most_hits =
            FrameShape::most_hits(tuning, range).min(read_back / size_of::<Hit>() as u64);
        let most_hits = usize::try_from(most_hits).unwrap_or(usize::MAX);
        limit("match capacity", max_matches, most_hits, "this device binds in one buffer")?;
        let hit_capacity = narrow(candidates.clamp(1, most_hits));

        limit(
            "number of patterns",
            pipeline.rules().len(),
            layout::MOST_PATTERNS as usize,
            "vkscan sorts matches by",
        )?;
        let tables = pipeline.lay_out(tuning.table_layout())?;
        let passes = tables.passes().clone();
        // The prefilter reads whole units.
        let unit = u64::from(layout::PREFILTER_BYTES);
        let haystack_bytes = (haystack_capacity_bytes.max(1) as u64).next_multiple_of(unit);
        let segments = if haystack_bytes <= info.max_storage_buffer_range {
            1
        } else {
            narrow(haystack_bytes.div_ceil(1 << layout::SEGMENT_SHIFT))
        };
        let may_search =
            passes.len() == 1 && match_kind == MatchKind::LeftmostFirst && ring.is_none();
        let search_words = match passes.first() {
            Some(pass) if may_search => {
                let most = tuning.live_set_bytes / 4;
                pass.search_words()
                    + narrow::<_, u32>(pass.live_set_words(haystack_bytes).min(most))
            }
            _ => 0,
        };
        let nfa_words = [passes.first().map_or(0, Pass::walker_words), search_words];
        let most_walks = haystack_bytes.saturating_mul(pipeline.rules().len() as u64);
        let shape =
            FrameShape::new(tuning, haystack_bytes, segments, hit_capacity, nfa_words, most_walks);
        // However many passes there are, a submission stays about as long.
        let pass_count: u32 = narrow(passes.len());
        let rounds = [tuning.first_rounds, tuning.later_rounds]
            .map(|rounds| rounds.div_ceil(pass_count.max(1)));
        let has_class_windows =
            passes.first().is_some_and(|pass| pass.header.has_class_windows != 0);
        let may_end_early = matches!(&passes[..], [pass] if pass.header.has_rest == 0);
        let ring_slots = ring.map_or([0; 2], |ring| [ring.first, ring.slots]);
        let shape = FrameShape {
            rounds,
            has_class_windows,
            may_end_early,
            ring_slots,
            pattern_count: narrow(pipeline.rules().len()),
            match_kind,
            ..shape
        };
        let frame_count = options.scans_in_flight.unwrap_or_else(|| match tuning.scans_in_flight {
            0 => default_frames(haystack_bytes),
            count => count as usize,
        });
        let frame_count = frame_count.max(1);
        limit("number of scans in flight", frame_count, MOST_FRAMES, "a session has frames for")?;

        let specialisation = Specialisation {
            segments,
            match_kind,
            bitmap_log2: tuning.bitmap_log2,
            prefilter_workgroup: tuning.prefilter_workgroup,
            gram_stride: passes.first().map_or(1, |pass| pass.header.gram_stride),
            nfa_lanes: info.subgroup_size.min(layout::NFA_MOST_LANES),
            search_after: tuning.search_after,
            select_lanes: tuning.select_lanes,
            select_tile: tuning.select_tile,
            slot_workgroup: ring.map(|ring| ring.workgroup),
            is_recorded: false,
        };
        // Packed items are in memory of their own.
        let staging_bytes = if ring.is_some() { 0 } else { haystack_bytes };
        let splits = pipeline.rules().iter().flat_map(|rule| &rule.splits);
        Ok(SessionPlan {
            device: device_key(info),
            haystack_capacity: haystack_capacity_bytes,
            max_matches,
            reach: pack::reach(pipeline.rules()),
            has_long: splits.into_iter().any(Split::is_unbounded),
            passes,
            shape,
            specialisation,
            staging_bytes: StagingBuffer::bytes_for(staging_bytes.max(LEAST_STAGING), info),
            frame_count,
        })
    }

    /// The buffers that the session will have, by what they are for, in the order of their names.
    pub fn memory(&self) -> Vec<PlannedMemory> {
        let mut uses = BTreeMap::<&'static str, (u64, u64)>::new();
        let mut add = |purpose, buffers: u64, bytes: u64| {
            let one = uses.entry(purpose).or_default();
            one.0 += buffers;
            one.1 += buffers * bytes;
        };
        if !self.passes.is_empty() {
            self.passes.iter().for_each(|pass| add("tables", 1, pass.bytes()));
            let frames = self.frame_count as u64;
            add("staging", frames, self.staging_bytes);
            for (purpose, bytes) in self.shape.buffer_bytes().by_purpose() {
                add(purpose, frames, bytes);
            }
        }
        let planned = |(purpose, (buffers, bytes))| PlannedMemory { purpose, buffers, bytes };
        uses.into_iter().map(planned).collect()
    }

    /// Bytes of all buffers that the session will have.
    pub fn bytes(&self) -> u64 {
        self.memory().iter().map(|one| one.bytes).sum()
    }

    /// Whether it was worked out for the device that a backend is on, and the driver there.
    pub(super) fn is_for(&self, backend: &Backend) -> bool {
        device_key(backend.device_info()) == self.device
    }
}

impl std::fmt::Debug for SessionPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionPlan")
            .field("haystack_capacity", &self.haystack_capacity)
            .field("max_matches", &self.max_matches)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

fn device_key(info: &DeviceInfo) -> ([u8; 16], String, String) {
    (info.uuid.0, info.driver_name.clone(), info.driver_info.clone())
}

fn limit(
    what: &'static str,
    asked: usize,
    limit: usize,
    whose: &'static str,
) -> Result<(), ScanError> {
    if asked > limit {
        return Err(ScanError::Limit { what, asked: asked as u64, limit: limit as u64, whose });
    }
    Ok(())
}

/// Small sessions can afford to have several scans under way.
fn default_frames(haystack_bytes: u64) -> usize {
    const MIB: u64 = 1 << 20;
    if haystack_bytes <= 4 * MIB {
        4
    } else if haystack_bytes <= 64 * MIB {
        2
    } else {
        1
    }
}
