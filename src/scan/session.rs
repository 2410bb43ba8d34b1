//! The resident session.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use ash::vk;
use bytemuck::{bytes_of, cast_slice};

use super::haystack::{Haystack, StagedHaystack, StagingPool};
use super::kernels::{Kernels, Specialisation};
use super::lane::{Lane, LaneShape, Source};
use super::stats::ScanStats;
use super::tuning::Tuning;
use super::{ScanError, SessionOptions};
use crate::matches::{self, Chains, Undecided, Unsettled};
use crate::rules::pass::{self, Pass};
use crate::rules::{Branch, Rule};
use crate::shaders::layout::{self, Candidate, Hit, ScanParams};
use crate::sort;
use crate::vulkan::device::Device;
use crate::vulkan::memory::{Buffer, Location};
use crate::vulkan::staging::StagingRing;
use crate::{Backend, BackendError, Match, MatchKind, RulePipeline};

/// Longest haystack that a session can be prepared for: 1 GiB.
pub const MAX_HAYSTACK_BYTES: usize = 1 << 30;

/// Most scans in flight: more lanes would only take memory.
const MOST_LANES: usize = 256;

/// What spans in the staging ring are rounded up to, or a multiple of it, in bytes.
const STAGING_UNIT: u64 = 4096;

/// Least staging memory, in bytes.
const LEAST_STAGING: u64 = 1 << 20;

/// Starts below which a part that has too many candidates is not filtered.
const LEAST_FILTERED: u32 = 1 << 12;

/// Ranges of starts, and starts in them, that are verified one by one before all of the part is.
const MOST_SETTLED: usize = 256;
const MOST_VERIFIED: usize = 4096;

/// Hits beyond capacity after which a scan that can only fail is given up instead of counted to its end.
const COUNTED_BEYOND: u32 = 1 << 24;

/// A pipeline whose tables are resident on a device, ready to scan.
///
/// It can be shared: many threads may scan through one session at the same time, as many at once as it
/// has lanes ([`SessionOptions::scans_in_flight`]), and each gets exactly its own matches. Dropping it
/// frees everything; [`ResidentRulePipeline::free`] does the same and reports what goes wrong.
pub struct ResidentRulePipeline {
    device: Arc<Device>,
    match_kind: MatchKind,
    haystack_capacity: usize,
    max_matches: usize,
    pass_count: u32,
    /// Bytes from a match's start within which its gram lies, if its rule's fronts are bounded; none if no
    /// rule has any.
    reach: Option<u32>,
    /// Whether there are rules whose fronts are not bounded.
    has_long: bool,
    /// Of each rule, whether the tails kernel may report its matches.
    is_direct: Vec<bool>,
    shape: LaneShape,
    tables: Vec<Buffer>,
    ring: Option<Arc<StagingRing>>,
    staging: Arc<StagingPool>,
    lanes: Mutex<Vec<Lane>>,
    lane_count: usize,
    returned: Condvar,
}

/// Host memory that scans reuse, so that none of them allocates once warm. One for each thread.
#[derive(Debug, Default)]
pub struct ScanScratch {
    pub(super) candidates: Vec<Match>,
    pub(super) spare: Vec<Match>,
    pub(super) undecided: Vec<Undecided>,
    pub(super) chains: Chains,
    pub(super) settled: Vec<Unsettled>,
    pub(super) verified: Vec<Candidate>,
    pub(super) window: Vec<u8>,
}

/// What to scan of a haystack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) first_start: u32,
    pub(super) end_start: u32,
    pub(super) is_final: bool,
    pub(super) max_scan_bytes: u32,
    /// The haystack's offset in what its matches are chained over.
    pub(super) base: u64,
}

impl ResidentRulePipeline {
    pub(super) fn new(
        pipeline: &RulePipeline,
        backend: &Backend,
        options: &SessionOptions,
        tuning: &Tuning,
    ) -> Result<ResidentRulePipeline, ScanError> {
        let device = backend.device();
        device.alive()?;
        let info = device.info();
        let match_kind = pipeline.options().match_kind;
        let SessionOptions { haystack_capacity_bytes, max_matches, .. } = *options;
        limit(
            "haystack capacity",
            haystack_capacity_bytes,
            MAX_HAYSTACK_BYTES,
            "vkscan scans at once",
        )?;

        // Leftmost-first matches are picked on the host among the preferred matches of all starts, which
        // may be many more. A single start has one for each rule at most, and so many undecided ones where a
        // haystack goes on elsewhere; they have to fit.
        let candidates = match match_kind {
            MatchKind::All => max_matches.saturating_add(pipeline.rules().len()),
            MatchKind::LeftmostFirst => max_matches
                .saturating_mul(2)
                .max(tuning.candidate_hits as usize)
                .max(pipeline.rules().len()),
        };
        let range = info.max_storage_buffer_range.min(info.max_allocation_bytes);
        let most_hits = (range - 16) as usize / size_of::<Hit>();
        limit("match capacity", max_matches, most_hits, "this device binds in one buffer")?;
        let hit_capacity = candidates.clamp(1, most_hits) as u32;

        let passes =
            pass::pack(pipeline.rules(), match_kind, tuning.pass_bytes, tuning.bitmap_log2);
        let passes = passes.map_err(|pass::RuleTooLarge { pattern_id, bytes }| {
            ScanError::RuleTooLarge { pattern_id, bytes, limit: tuning.pass_bytes }
        })?;
        let nfa_words = passes.first().map_or(0, Pass::walker_words);
        // The filter reads whole units.
        let unit = u64::from(layout::FILTER_BYTES);
        let haystack_bytes = (haystack_capacity_bytes.max(1) as u64).next_multiple_of(unit);
        let segments = if haystack_bytes <= info.max_storage_buffer_range {
            1
        } else {
            haystack_bytes.div_ceil(1 << layout::SEGMENT_SHIFT) as u32
        };
        let most_walks = haystack_bytes.saturating_mul(pipeline.rules().len() as u64);
        let shape =
            LaneShape::new(tuning, haystack_bytes, segments, hit_capacity, nfa_words, most_walks);
        // However many passes there are, a submission stays about as long.
        let pass_count = passes.len() as u32;
        let rounds = tuning.rounds.map(|rounds| rounds.div_ceil(pass_count.max(1)));
        let has_sequences = passes.first().is_some_and(|pass| pass.header.has_sequences != 0);
        let may_end_early = matches!(&passes[..], [pass] if pass.header.has_rest == 0);
        let shape = LaneShape { rounds, has_sequences, may_end_early, ..shape };
        let lane_count =
            options.scans_in_flight.unwrap_or_else(|| default_lanes(haystack_bytes)).max(1);
        limit("number of scans in flight", lane_count, MOST_LANES, "a session has lanes for")?;

        let mut session = ResidentRulePipeline {
            device: device.clone(),
            match_kind,
            haystack_capacity: haystack_capacity_bytes,
            max_matches,
            pass_count,
            reach: pass::reach(pipeline.rules()),
            has_long: pipeline
                .rules()
                .iter()
                .flat_map(|rule| &rule.branches)
                .any(Branch::is_unbounded),
            is_direct: pipeline.rules().iter().map(is_direct).collect(),
            shape,
            tables: Vec::new(),
            ring: None,
            staging: Arc::default(),
            lanes: Mutex::new(Vec::new()),
            lane_count,
            returned: Condvar::new(),
        };
        if passes.is_empty() {
            return Ok(session);
        }
        let specialisation = Specialisation {
            segments,
            match_kind,
            bitmap_log2: tuning.bitmap_log2,
            filter_workgroup: tuning.filter_workgroup,
            gram_stride: passes[0].header.gram_stride,
            nfa_lanes: tuning.nfa_lanes,
        };
        let kernels = Arc::new(Kernels::new(backend, specialisation)?);
        // A haystack for every lane where the device allows it, one at least, and never so little that
        // tables go up in crumbs.
        let haystack = haystack_bytes.next_multiple_of(STAGING_UNIT);
        let ring_bytes = (haystack * session.lane_count as u64)
            .min(info.max_allocation_bytes / STAGING_UNIT * STAGING_UNIT)
            .max(haystack)
            .max(LEAST_STAGING);
        let ring = StagingRing::new(device, "staging", ring_bytes)?;
        session.tables = passes
            .iter()
            .map(|pass| upload_tables(device, &ring, pass))
            .collect::<Result<_, _>>()?;
        session.ring = Some(ring);
        session.lanes = (0..session.lane_count)
            .map(|index| {
                let name = format!("lane {index}");
                Lane::new(device, &kernels, &session.tables, &session.shape, &name)
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Mutex::new)?;
        tracing::debug!(
            rules = pipeline.rules().len(),
            passes = session.pass_count,
            table_bytes = session.table_bytes(),
            lanes = session.lane_count,
            "session prepared"
        );
        Ok(session)
    }

    /// Most matches that a scan may have.
    pub fn max_matches(&self) -> usize {
        self.max_matches
    }

    /// Longest haystack, in bytes.
    pub fn haystack_capacity(&self) -> usize {
        self.haystack_capacity
    }

    /// Bytes of tables on the device.
    pub fn table_bytes(&self) -> u64 {
        self.tables.iter().map(Buffer::size).sum()
    }

    /// Lends staging memory for a haystack of `bytes` bytes, which hold anything at first. A scan of it saves
    /// the copy that one of a byte slice begins with.
    ///
    /// # Errors
    ///
    /// More bytes than [`ResidentRulePipeline::haystack_capacity`], another backend than the session's, lack
    /// of memory, or a fault of the device.
    pub fn staging(&self, backend: &Backend, bytes: usize) -> Result<StagedHaystack, ScanError> {
        self.check(backend, bytes)?;
        Ok(self.staging.lend(backend, self.shape.haystack_bytes, bytes)?)
    }

    /// Finds all matches in `haystack`, sorted; what `matches` held before is dropped.
    ///
    /// # Errors
    ///
    /// A haystack over capacity, more matches than [`ResidentRulePipeline::max_matches`], another backend
    /// than the session's, or a fault of the device. `matches` is empty then, and except after the loss of
    /// the device the session goes on working.
    pub fn scan_into<'h>(
        &self,
        backend: &Backend,
        haystack: impl Into<Haystack<'h>>,
        matches: &mut Vec<Match>,
        scratch: &mut ScanScratch,
    ) -> Result<ScanStats, ScanError> {
        self.scan_bounded_into(backend, haystack, u32::MAX, matches, scratch)
    }

    /// As [`ResidentRulePipeline::scan_into`], with matches of at most `max_scan_bytes` bytes. A
    /// leftmost-first match is then the most preferred one of those.
    pub fn scan_bounded_into<'h>(
        &self,
        backend: &Backend,
        haystack: impl Into<Haystack<'h>>,
        max_scan_bytes: u32,
        matches: &mut Vec<Match>,
        scratch: &mut ScanScratch,
    ) -> Result<ScanStats, ScanError> {
        let haystack = haystack.into();
        let range = Range {
            first_start: 0,
            end_start: haystack.len() as u32,
            is_final: true,
            max_scan_bytes,
            base: 0,
        };
        scratch.chains.clear();
        let (stats, _) = self.scan_range(backend, haystack, range, matches, scratch)?;
        Ok(stats)
    }

    /// Scans a range of starts, and chains the leftmost-first matches to those that `scratch` has seen.
    /// Where the haystack goes on elsewhere, says the first start that has to be scanned again with more of
    /// it, and leaves out all that starts from there on.
    pub(super) fn scan_range(
        &self,
        backend: &Backend,
        haystack: Haystack,
        range: Range,
        matches: &mut Vec<Match>,
        scratch: &mut ScanScratch,
    ) -> Result<(ScanStats, Option<Undecided>), ScanError> {
        matches.clear();
        let began = Instant::now();
        let mut stats = ScanStats::default();
        self.check(backend, haystack.len())?;
        if !haystack.is_on(&self.device) {
            return Err(ScanError::WrongBackend);
        }
        let mut undecided = None;
        let nothing = range.first_start >= range.end_start || range.max_scan_bytes == 0;
        if let (Some(ring), false) = (&self.ring, nothing) {
            let mut lane = self.take_lane();
            let scanned =
                self.scan_on(&mut lane, ring, haystack, range, matches, scratch, &mut stats);
            self.return_lane(lane);
            undecided = scanned.inspect_err(|_| matches.clear())?;
        }
        stats.wall = began.elapsed();
        Ok((stats, undecided))
    }

    /// Whether so many bytes can be scanned, on that backend.
    fn check(&self, backend: &Backend, bytes: usize) -> Result<(), ScanError> {
        if !Arc::ptr_eq(backend.device(), &self.device) {
            return Err(ScanError::WrongBackend);
        }
        self.device.alive()?;
        if bytes > self.haystack_capacity {
            return Err(ScanError::HaystackTooLarge { bytes, capacity: self.haystack_capacity });
        }
        Ok(())
    }

    /// Scans on a lane: at once or, where hits do not fit, in as many parts as it takes.
    #[expect(clippy::too_many_arguments, reason = "the second half of `scan_range`")]
    fn scan_on(
        &self,
        lane: &mut Lane,
        ring: &Arc<StagingRing>,
        haystack: Haystack,
        range: Range,
        matches: &mut Vec<Match>,
        scratch: &mut ScanScratch,
        stats: &mut ScanStats,
    ) -> Result<Option<Undecided>, ScanError> {
        lane.settle()?;
        let since = Instant::now();
        // Where every hit is a match of its own, too many of them are the answer; elsewhere the scan is
        // done again in parts, and need not count on.
        let all_count = self.match_kind == MatchKind::All && range.is_final;
        let counted_beyond = if all_count { COUNTED_BEYOND } else { 0 };
        let mut filter = self.filter_for(haystack.len(), range);
        let params = ScanParams {
            haystack_len: haystack.len() as u32,
            is_final: range.is_final.into(),
            max_scan: range.max_scan_bytes,
            hit_stop: self.shape.hit_capacity.saturating_add(counted_beyond),
            segment_log2: self.segment_log2(haystack.len(), range),
            ..self.shape.params(self.pass_count)
        };
        let mut source = Some(match haystack {
            Haystack::Bytes(bytes) => {
                let padded = bytes.len().next_multiple_of(4) as u64;
                let acquire = || ring.acquire(padded, self.device.wait_timeout());
                let is_direct = lane.takes_directly(bytes.len());
                Source::Host { bytes, span: (!is_direct).then(acquire).transpose()? }
            }
            Haystack::Staged(staged) => {
                Source::Staged { buffer: staged.buffer(), len: staged.len() }
            }
            Haystack::Resident(resident) => Source::Resident(resident.buffer()),
        });
        let mut since = Some(since);
        let mut found = 0;
        let mut is_sorted = true;
        let mut first_undecided = None;
        let mut first_start = range.first_start;
        let mut part = range.end_start - range.first_start;
        let mut filter_part = true;
        let mut is_flood = false;
        // Whether rules have been listed, whose fronts are long in this haystack.
        let mut has_listed = false;
        let mut is_direct =
            self.match_kind == MatchKind::LeftmostFirst && range.max_scan_bytes == u32::MAX;
        while first_start < range.end_start {
            let end_start = first_start + part.min(range.end_start - first_start);
            // Where even few starts have too many candidates, each start is verified instead.
            let use_filter = if filter_part { filter } else { layout::FILTER_NONE };
            let params = ScanParams {
                first_start,
                end_start,
                use_filter,
                has_listed: (has_listed && use_filter == layout::FILTER_ALL).into(),
                is_direct: is_direct.into(),
                ..params
            };
            let params = self.filter_range(params);
            let since = since.take().unwrap_or_else(Instant::now);
            lane.begin(source.take().unwrap_or(Source::AsBefore), params, since, stats)?;
            let outcome = lane.finish(params, stats)?;
            let count = outcome.hit_count;
            if outcome.overflowed & layout::OVERFLOW_FRONTS != 0 {
                filter = layout::FILTER_BOUNDED;
                continue;
            }
            if outcome.overflowed & layout::OVERFLOW_LISTED != 0 {
                has_listed = true;
                continue;
            }
            let is_filtered = use_filter != layout::FILTER_NONE;
            if is_filtered && (outcome.overflowed != 0 || count > self.shape.hit_capacity) {
                // Starts that several candidates lead to make several hits: counts are not right here.
                if end_start - first_start > LEAST_FILTERED && !is_flood {
                    part = (end_start - first_start) / 2;
                } else {
                    filter_part = false;
                }
                continue;
            }
            if count > self.shape.hit_capacity {
                if all_count || end_start - first_start == 1 {
                    return Err(self.too_many(count.into(), count > params.hit_stop));
                }
                part = (end_start - first_start) / 2;
                continue;
            }
            scratch.candidates.clear();
            scratch.undecided.clear();
            sort_hits(lane.hits(count, stats)?, range.is_final, scratch);
            if is_direct && !self.settle(lane, params, range.base, scratch, stats)? {
                is_direct = false;
                continue;
            }
            let ScanScratch { candidates, undecided, chains, .. } = scratch;
            first_undecided = match self.match_kind {
                MatchKind::LeftmostFirst => {
                    chains.first_undecided(candidates, undecided, range.base).copied()
                }
                MatchKind::All => undecided.iter().min_by_key(|undecided| undecided.start).copied(),
            };
            if let Some(Undecided { start, .. }) = first_undecided {
                candidates.retain(|candidate| candidate.start < start);
            }
            let picked = match self.match_kind {
                MatchKind::LeftmostFirst => chains.select(candidates, range.base),
                MatchKind::All => matches::distinct(candidates),
            };
            found += picked.len() as u64;
            if found <= self.max_matches as u64 {
                is_sorted = matches.is_empty();
                picked.append_to(matches);
            } else if found > self.max_matches as u64 + u64::from(COUNTED_BEYOND) {
                return Err(self.too_many(found, true));
            }
            if first_undecided.is_some() {
                break;
            }
            first_start = end_start;
            // After a part that had too many candidates, the next is not divided either if it has.
            is_flood = !filter_part;
            filter_part = true;
            part = part.saturating_mul(2);
        }
        if found > self.max_matches as u64 {
            return Err(self.too_many(found, false));
        }
        if !is_sorted {
            sort::sort(matches, &mut scratch.spare);
        }
        Ok(first_undecided)
    }

    /// Verifies what the hits of a part leave open where tails were reported with their least start alone.
    /// False if that is too much to do start by start.
    fn settle(
        &self,
        lane: &mut Lane,
        params: ScanParams,
        base: u64,
        scratch: &mut ScanScratch,
        stats: &mut ScanStats,
    ) -> Result<bool, ScanError> {
        let may_be = |pattern_id: u32| self.is_direct[pattern_id as usize];
        scratch.settled.clear();
        loop {
            let ScanScratch { candidates, chains, settled, verified, .. } = scratch;
            if chains.is_settled(candidates, base, may_be, settled) {
                return Ok(true);
            }
            let known = settled.len();
            for range in chains.unsettled(candidates, base, may_be) {
                if settled.contains(&range) {
                    continue;
                }
                if settled.len() == MOST_SETTLED || self.pass_count > 1 {
                    return Ok(false);
                }
                settled.push(range);
            }
            let open = &settled[known..];
            // All of them at once: each of their starts in this part, for its pattern.
            let starts = open.iter().flat_map(|unsettled| {
                let [first, end] = unsettled.starts;
                let of = unsettled.pattern_id;
                (first..end.min(params.end_start)).map(move |at| Candidate { of, at })
            });
            verified.clear();
            verified.extend(starts.take(MOST_VERIFIED + 1));
            if verified.len() > MOST_VERIFIED.min(self.shape.item_capacity as usize) {
                return Ok(false);
            }
            matches::remove_held(candidates, open);
            if verified.is_empty() {
                continue;
            }
            let outcome = lane.verify(verified, params, stats)?;
            if outcome.hit_count > self.shape.hit_capacity {
                return Ok(false);
            }
            sort_hits(lane.hits(outcome.hit_count, stats)?, params.is_final != 0, scratch);
        }
    }

    /// As in [`ScanParams`]. Walks that may end anywhere share nothing.
    fn segment_log2(&self, haystack_len: usize, range: Range) -> u32 {
        let segment_log2 = self.shape.segment_log2;
        let has_segments = haystack_len >> segment_log2 > 0;
        if has_segments && range.max_scan_bytes == u32::MAX { segment_log2 } else { 0 }
    }

    /// Which rules to look for by their grams: those whose grams have to be in the haystack.
    fn filter_for(&self, haystack_len: usize, range: Range) -> u32 {
        let rest = haystack_len - range.end_start as usize;
        let is_within = self.reach.is_some_and(|reach| rest >= reach as usize);
        if range.is_final && (self.has_long || self.reach.is_some()) {
            layout::FILTER_ALL
        } else if is_within {
            layout::FILTER_BOUNDED
        } else {
            layout::FILTER_NONE
        }
    }

    /// Sets where to look for the grams of matches that start in the range of `params`.
    fn filter_range(&self, params: ScanParams) -> ScanParams {
        let ScanParams { first_start, end_start, haystack_len, .. } = params;
        let filter_end = if self.has_long && params.use_filter == layout::FILTER_ALL {
            haystack_len
        } else {
            end_start.saturating_add(self.reach.unwrap_or(0)).min(haystack_len)
        };
        // A gram may begin a byte before its tail.
        let filter_first = first_start.saturating_sub(1);
        let filter_turns = self.shape.filter_turns(filter_end - filter_first);
        ScanParams { filter_first, filter_end, filter_turns, ..params }
    }

    /// Bytes before a window's end whose starts are left to the next window.
    pub(super) fn margin(&self) -> usize {
        let reach = self.reach.unwrap_or(0) as usize;
        // In small windows filtering would leave too little.
        if reach <= self.haystack_capacity / 4 { reach } else { 0 }
    }

    fn too_many(&self, found: u64, at_least: bool) -> ScanError {
        ScanError::TooManyMatches { found, at_least, max_matches: self.max_matches }
    }

    /// Waits for a lane: scans end, if only by their own time-out.
    fn take_lane(&self) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match lanes.pop() {
                Some(lane) => return lane,
                None => lanes = self.returned.wait(lanes).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn return_lane(&self, lane: Lane) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        self.returned.notify_one();
    }

    /// Leaves every lane as a scan does that has timed out: its staging memory is still taken.
    #[cfg(test)]
    pub(super) fn strand_staging(&self) {
        let ring = self.ring.as_ref().expect("a session with rules");
        for lane in &mut *self.lanes.lock().unwrap() {
            lane.staged = Some(ring.acquire(ring.capacity(), std::time::Duration::ZERO).unwrap());
        }
    }

    /// Frees all that the session holds, on device and host.
    ///
    /// # Errors
    ///
    /// The first fault; everything that can be freed is freed all the same. Another backend than the
    /// session's is an error too, and frees the session nevertheless.
    pub fn free(self, backend: &Backend) -> Result<(), ScanError> {
        let is_own = Arc::ptr_eq(backend.device(), &self.device);
        let ResidentRulePipeline { tables, ring, staging, lanes, .. } = self;
        let lanes = lanes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let lanes = lanes.into_iter().map(Lane::free).fold(Ok(()), Result::and);
        let ring = ring.map_or(Ok(()), StagingRing::destroy);
        let tables = tables.into_iter().map(Buffer::destroy).fold(Ok(()), Result::and);
        lanes.and(ring).and(staging.free()).and(tables)?;
        if is_own { Ok(()) } else { Err(ScanError::WrongBackend) }
    }
}

impl std::fmt::Debug for ResidentRulePipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResidentRulePipeline")
            .field("match_kind", &self.match_kind)
            .field("haystack_capacity", &self.haystack_capacity)
            .field("max_matches", &self.max_matches)
            .field("table_bytes", &self.table_bytes())
            .finish_non_exhaustive()
    }
}

/// Adds hits to candidates and undecided starts, sorted. Only where the haystack goes on is a start
/// undecided.
fn sort_hits(hits: &[Hit], is_final: bool, scratch: &mut ScanScratch) {
    let ScanScratch { candidates, spare, undecided, .. } = scratch;
    sort::append(candidates, hits, |&Hit { pattern_id, start, end }| Match {
        pattern_id,
        start,
        end,
    });
    sort::sort(candidates, spare);
    if !is_final {
        candidates.retain(|&Match { pattern_id, start, end }| {
            if end == layout::UNDECIDED {
                undecided.push(Undecided { pattern_id, start });
            }
            end != layout::UNDECIDED
        });
        undecided.sort_unstable();
    }
}

fn is_direct(rule: &Rule) -> bool {
    rule.branches.iter().any(|branch| branch.is_exact)
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
fn default_lanes(haystack_bytes: u64) -> usize {
    const MIB: u64 = 1 << 20;
    if haystack_bytes <= 4 * MIB {
        4
    } else if haystack_bytes <= 64 * MIB {
        2
    } else {
        1
    }
}

/// Moves the tables of a pass to device memory, through as much staging memory as there is.
fn upload_tables(
    device: &Arc<Device>,
    ring: &Arc<StagingRing>,
    pass: &Pass,
) -> Result<Buffer, BackendError> {
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
    let buffer = Buffer::new(device, "tables", pass.bytes(), Location::DeviceLocal, usage)?;
    ring.upload(c"upload tables", &[bytes_of(&pass.header), cast_slice(&pass.words)], &buffer)?;
    Ok(buffer)
}
