//! How large the buffers of a frame are, and how much work a dispatch takes.

use crate::MatchKind;
use crate::narrow::narrow;
use crate::scan::tuning::{MOST_CANDIDATES, MOST_PREFILTER_TURNS, Tuning, tile_words};
use crate::shaders::layout::{
    self, Candidate, ChunkSummary, Control, Hit, NfaWalker, ReadbackHeader, ScanParams,
    StartWalker, Task,
};

/// Sizes of a frame's buffers, alike for all frames of a session.
#[derive(Clone, Debug)]
pub(crate) struct FrameShape {
    /// Bytes, whole units of the prefilter.
    pub(crate) haystack_bytes: u64,
    /// Storage buffers that the haystack is bound as.
    pub(crate) segments: u32,
    pub(crate) hit_capacity: u32,
    pub(crate) start_walkers: u32,
    pub(crate) nfa_walkers: u32,
    pub(crate) nfa_scratch_words: u32,
    pub(crate) queue_capacity: u32,
    pub(crate) candidate_capacity: u32,
    pub(crate) start_capacity: u32,
    /// Invocations of a workgroup that selects from hits, and hits that it takes at a time.
    pub(crate) select_lanes: u32,
    pub(crate) select_tile: u32,
    pub(crate) pattern_count: u32,
    pub(crate) match_kind: MatchKind,
    pub(crate) gram_prefilter_groups: u32,
    pub(crate) prefilter_workgroup: u32,
    pub(crate) confirm_groups: u32,
    pub(crate) most_pieces: u32,
    /// Whether the first pass looks for class windows.
    pub(crate) has_class_windows: bool,
    /// Whether the only pass has nothing to verify from every start, if all rules are looked for by their
    /// grams, so that the suffixes may well leave nothing to do.
    pub(crate) may_end_early: bool,
    /// A haystack is uploaded in slices of so many bytes, or a multiple of it, and those before are looked
    /// through meanwhile.
    pub(crate) slice_bytes: u32,
    /// Threads that copy slices, at most.
    pub(crate) copy_threads: u32,
    pub(crate) streamed_bytes: u32,
    /// Bytes up to which the host writes a haystack to the device's memory itself, where it can.
    pub(crate) direct_bytes: u32,
    pub(crate) step_budget: u32,
    pub(crate) nfa_step_budget: u32,
    pub(crate) rounds: [u32; 2],
    /// Bytes of a chunk, as a power of two.
    pub(crate) chunk_log2: u32,
    /// The first slot of the ring that is the session's, and how many those are; 0 where haystacks are not made of
    /// packed items.
    pub(crate) ring_slots: [u32; 2],
}

impl FrameShape {
    /// The part of the parameters that is the same for every scan.
    pub(crate) fn params(&self, pass_count: u32) -> ScanParams {
        ScanParams {
            hit_capacity: self.hit_capacity,
            queue_capacity: self.queue_capacity,
            candidate_capacity: self.candidate_capacity,
            start_capacity: self.start_capacity,
            start_walkers: self.start_walkers,
            nfa_walkers: self.nfa_walkers,
            prefilter_workgroup: self.prefilter_workgroup,
            step_budget: self.step_budget,
            nfa_step_budget: self.nfa_step_budget,
            most_pieces: self.most_pieces,
            pass_count,
            ring_first: self.ring_slots[0],
            ring_slots: self.ring_slots[1],
            ..ScanParams::default()
        }
    }

    /// Turns of a workgroup of the prefilter over so many bytes.
    pub(crate) fn prefilter_turns(&self, bytes: u32) -> u32 {
        let turns = bytes.div_ceil(self.prefilter_workgroup * layout::PREFILTER_BYTES);
        let turns =
            turns.div_ceil(self.gram_prefilter_groups).next_multiple_of(layout::PREFILTER_TURNS);
        turns.clamp(layout::PREFILTER_TURNS, MOST_PREFILTER_TURNS)
    }

    /// Sizes a frame for rules that need `nfa_words` of scratch for a walker, or no NFA at all, and `search_words` for all
    /// searches, and that can have `most_walks` under way at once.
    pub(crate) fn new(
        tuning: &Tuning,
        haystack_bytes: u64,
        segments: u32,
        hit_capacity: u32,
        [nfa_words, search_words]: [u32; 2],
        most_walks: u64,
    ) -> FrameShape {
        let nfa_walkers = match nfa_words {
            0 => 0,
            words => narrow(
                (tuning.nfa_scratch_bytes / (u64::from(words) * 4))
                    .min(tuning.nfa_walkers.into())
                    .min(most_walks)
                    .max(1),
            ),
        };
        let queue_capacity =
            narrow(most_walks.next_power_of_two().min(tuning.queue_capacity.into()));
        let starts = haystack_bytes.next_multiple_of(u64::from(layout::WORKGROUP));
        let candidates = haystack_bytes.div_ceil(tuning.bytes_per_candidate.into());
        let candidates =
            narrow(candidates.clamp(tuning.least_candidates.into(), MOST_CANDIDATES.into()));
        FrameShape {
            haystack_bytes,
            segments,
            hit_capacity,
            start_walkers: narrow(starts.min(u64::from(tuning.start_walkers))),
            nfa_walkers,
            nfa_scratch_words: nfa_words * nfa_walkers + search_words,
            queue_capacity: if nfa_walkers == 0 { 1 } else { queue_capacity },
            candidate_capacity: candidates,
            start_capacity: (candidates / 4).max(tuning.least_candidates),
            select_lanes: tuning.select_lanes,
            select_tile: tuning.select_tile,
            pattern_count: 0,
            match_kind: MatchKind::LeftmostFirst,
            gram_prefilter_groups: tuning.gram_prefilter_groups,
            prefilter_workgroup: tuning.prefilter_workgroup,
            confirm_groups: confirm_groups(tuning, candidates),
            most_pieces: tuning.most_pieces,
            has_class_windows: false,
            may_end_early: false,
            slice_bytes: tuning.slice_bytes,
            copy_threads: tuning.copy_threads,
            streamed_bytes: tuning.streamed_bytes,
            direct_bytes: tuning.direct_bytes,
            step_budget: tuning.step_budget,
            nfa_step_budget: tuning.nfa_step_budget,
            rounds: [tuning.first_rounds, tuning.later_rounds],
            chunk_log2: chunk_log2(haystack_bytes),
            ring_slots: [0; 2],
        }
    }

    /// The most hits that can be selected from in so many bytes.
    pub(crate) fn most_hits(tuning: &Tuning, bytes: u64) -> u64 {
        let words = (bytes / 4).saturating_sub(layout::DIGITS.into());
        words / tile_words(tuning.select_tile) * u64::from(tuning.select_tile)
    }

    /// Bytes of each buffer of a frame but its staging memory.
    pub(crate) fn buffer_bytes(&self) -> BufferBytes {
        let records = |count: u32, words: usize| (u64::from(count) * words as u64 * 4).max(16);
        let candidates = self.candidate_capacity + self.start_capacity;
        BufferBytes {
            haystack: self.haystack_bytes.max(16),
            hits: 4 + records(self.hit_capacity, HIT_WORDS),
            control: records(1, Control::WORDS),
            start_walkers: records(self.start_walkers, StartWalker::WORDS),
            queue: records(self.queue_capacity, Task::WORDS),
            candidates: records(candidates, Candidate::WORDS),
            selection: self.selection_bytes().max(16),
            summaries: self.summary_bytes().max(16),
            nfa_walkers: records(self.nfa_walkers, NfaWalker::WORDS),
            scratch: records(self.nfa_scratch_words, 1),
            readback: (ReadbackHeader::WORDS * 4) as u64
                + records(self.hit_capacity, Hit::WORDS)
                + u64::from(self.ring_slots[1]) * 4,
        }
    }

    /// Bytes to select in.
    pub(super) fn selection_bytes(&self) -> u64 {
        let tiles = u64::from(self.hit_capacity.div_ceil(self.select_tile));
        (tiles * tile_words(self.select_tile) + u64::from(layout::DIGITS)) * 4
    }

    /// Bytes of all summaries.
    pub(super) fn summary_bytes(&self) -> u64 {
        let chunks = (self.haystack_bytes >> self.chunk_log2) * u64::from(layout::MOST_SUMMARIES);
        chunks * size_of::<ChunkSummary>() as u64
    }
}

/// Words of a hit, with its suffix.
pub(super) const HIT_WORDS: usize = Hit::WORDS + 1;

/// Bytes of the buffers of a frame.
pub(crate) struct BufferBytes {
    pub(super) haystack: u64,
    pub(super) hits: u64,
    pub(super) control: u64,
    pub(super) start_walkers: u64,
    pub(super) queue: u64,
    pub(super) candidates: u64,
    pub(super) selection: u64,
    pub(super) summaries: u64,
    pub(super) nfa_walkers: u64,
    pub(super) scratch: u64,
    pub(super) readback: u64,
}

impl BufferBytes {
    /// With the names that the buffers have.
    pub(crate) fn by_purpose(&self) -> [(&'static str, u64); 11] {
        [
            ("haystack", self.haystack),
            ("hits", self.hits),
            ("control", self.control),
            ("start walkers", self.start_walkers),
            ("queue", self.queue),
            ("candidates", self.candidates),
            ("selection", self.selection),
            ("summaries", self.summaries),
            ("nfa walkers", self.nfa_walkers),
            ("scratch", self.scratch),
            ("readback", self.readback),
        ]
    }
}

/// The shortest chunks whose summaries take no more memory than the haystack, or than FEW_BYTES where it is smaller, within
/// what every device binds as one buffer.
fn chunk_log2(haystack_bytes: u64) -> u32 {
    const SHORTEST: u32 = 8;
    const FEW_BYTES: u64 = 32 << 20;
    const MOST_BYTES: u64 = 128 << 20;

    let of_byte = u64::from(layout::MOST_SUMMARIES) * size_of::<ChunkSummary>() as u64;
    let most_bytes = haystack_bytes.clamp(FEW_BYTES, MOST_BYTES);
    let shortest = (haystack_bytes * of_byte).div_ceil(most_bytes).next_power_of_two();
    shortest.ilog2().max(SHORTEST)
}

/// One candidate for an invocation as far as that makes no more workgroups than a device wants.
fn confirm_groups(tuning: &Tuning, candidates: u32) -> u32 {
    let all = candidates.div_ceil(layout::WORKGROUP);
    all.min(tuning.confirm_groups).max(all.div_ceil(tuning.confirm_most))
}
