//! What is recorded: the kernels of each pass, round by round.

use std::ffi::CStr;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::Arc;

use ash::vk;
use bytemuck::bytes_of;

use super::pipelines::Kernels;
use super::recording::{Ending, Marks, Stage};
use super::shape::FrameShape;
use super::upload::Upload;
use super::{HIT_WORDS, Resident, Resources};
use crate::narrow::narrow;
use crate::shaders::layout::{self, Control, ScanParams};
use crate::vulkan::command::Recorder;
use crate::vulkan::pipeline::{ComputePipeline, DescriptorSet};

/// How far the first of the passes has come whose commands are recorded.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum FirstPass {
    Whole,
    Prefiltered,
    /// Anywhere: an earlier submission ended in it.
    Resumed,
}

/// Enough workgroups that the copying loop stays far below what lavapipe has of turns for any hit buffer.
pub(super) fn readback_groups(shape: &FrameShape) -> u32 {
    const MOST: u32 = 1024;
    let words = u64::from(shape.hit_capacity) * HIT_WORDS as u64;
    narrow(words.div_ceil(u64::from(layout::WORKGROUP) * 4).clamp(1, u64::from(MOST)))
}

/// Workgroups of a dispatch.
enum Grid {
    Groups(u32),
    /// As many as `schedule`, or `select`, has left so many bytes into `Control`.
    Scheduled(usize),
}

impl Resources {
    pub(super) fn sets(&self) -> &[Arc<DescriptorSet>] {
        match &self.resident {
            Some(Resident { sets, .. }) if self.is_resident => sets,
            _ => &self.own_sets,
        }
    }

    /// What of the prefilter's range can be looked through once the bytes in `part` are there, and all before.
    pub(super) fn slice_params(
        &self,
        params: ScanParams,
        part: Range<usize>,
        is_first: bool,
        is_last: bool,
    ) -> ScanParams {
        // A look at a unit reads the one behind it too.
        let unit = layout::PREFILTER_BYTES;
        let begin = if is_first { 0 } else { narrow::<_, u32>(part.start) - unit };
        let end = if is_last { u32::MAX } else { narrow::<_, u32>(part.end) - unit };
        let prefilter_first = params.prefilter_first.max(begin);
        let prefilter_end = params.prefilter_end.min(end);
        let prefilter_turns =
            self.shape.prefilter_turns(prefilter_end.saturating_sub(prefilter_first));
        ScanParams { prefilter_first, prefilter_end, prefilter_turns, ..params }
    }

    /// Rounds in a scan's first submission. Where little is looked through, the suffixes seldom leave anything to
    /// do, and a submission more is cheaper than kernels that find nothing.
    pub(super) fn first_rounds(&self, params: ScanParams) -> u32 {
        /// Bytes.
        const LITTLE: u32 = 1 << 20;

        let is_little = params.prefilter_end - params.prefilter_first <= LITTLE;
        let is_prefiltered = params.use_prefilter == layout::PREFILTER_ALL;
        if self.shape.may_end_early && is_prefiltered && is_little {
            0
        } else {
            self.shape.rounds[0]
        }
    }

    /// Zeroes the counters of hits and all of Control but the generation and, where the haystack is the same,
    /// what has been found out about it, which is then of the only pass.
    pub(super) fn reset(&self, to: &mut Recorder, is_same: bool) {
        let keeps = is_same && self.tables.len() == 1;
        let begin = offset_of!(Control, pass) as u64;
        let end = if keeps { offset_of!(Control, listed) as u64 } else { self.control.size() };
        to.fill_buffer(&self.hits, 0, 4, 0);
        to.fill_buffer(&self.control, begin, end - begin, 0);
    }

    pub(super) fn record_upload(&self, to: &mut Recorder, upload: &Upload, region: vk::BufferCopy) {
        to.label_begin(c"upload");
        to.copy_buffer(&upload.buffer, &self.haystack, &[region]);
        if !upload.resident.is_empty() {
            to.transfer_to_transfer();
        }
        for part in upload.resident {
            to.copy_buffer(&part.buffer, &self.haystack, &[part.region]);
        }
        to.label_end();
    }

    pub(super) fn record_start(&self, to: &mut Recorder, params: ScanParams, is_same: bool) {
        self.reset(to, is_same);
        to.transfer_to_compute();
        if let Some(slots) = &self.kernels.slots {
            self.visit_slots(to, c"claim", &slots.claim, params);
            to.compute_to_compute();
        }
        if params.use_prefilter == layout::PREFILTER_NONE {
            self.schedule(to, ScanParams { stage: layout::SCHEDULE_BEGIN, ..params });
        }
    }

    /// Records the first pass's prefilter over a part of its range.
    pub(super) fn record_prefilter(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
    ) {
        marks.mark(to, Stage::Upload);
        let of_classes = self
            .shape
            .has_class_windows
            .then_some((c"class_prefilter", &self.kernels.class_prefilter));
        let prefilter = Some((c"gram_prefilter", &self.kernels.gram_prefilter));
        for (label, kernel) in prefilter.into_iter().chain(of_classes) {
            self.dispatch(to, label, kernel, params, Grid::Groups(params.gram_prefilter_groups()));
        }
        to.compute_to_compute();
        marks.mark(to, Stage::Prefilter);
    }

    /// Records all that comes once the haystack is there and, where it `is_prefiltered`, the first pass's prefilter
    /// has looked through it.
    pub(super) fn record_rest(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        is_prefiltered: bool,
        ending: Ending,
    ) {
        if !is_prefiltered {
            marks.mark(to, Stage::Upload);
        }
        let first = if is_prefiltered { FirstPass::Prefiltered } else { FirstPass::Whole };
        self.record_passes(to, marks, params, rounds, first, ending);
    }

    pub(super) fn record_resume(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        ending: Ending,
    ) {
        self.schedule(to, params);
        let params = ScanParams { stage: layout::SCHEDULE_ROUND, ..params };
        self.record_passes(to, marks, params, rounds, FirstPass::Resumed, ending);
    }

    /// Records a scan from `params.pass` on, with so many rounds for each pass: what a round does not
    /// finish the next one does, and rounds of a pass that is done cost next to nothing. Without any rounds
    /// it is for the next submission to judge the only pass's suffixes.
    fn record_passes(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        first: FirstPass,
        ending: Ending,
    ) {
        for pass in params.pass..params.pass_count {
            let first = if pass == params.pass { first } else { FirstPass::Whole };
            let params = ScanParams { pass, ..params };
            if params.use_prefilter != layout::PREFILTER_NONE {
                if first != FirstPass::Prefiltered {
                    let grid = offset_of!(Control, gram_prefilter_x);
                    self.walk(to, c"gram_prefilter", &self.kernels.gram_prefilter, params, grid);
                    let grid = offset_of!(Control, class_prefilter_x);
                    self.walk(to, c"class_prefilter", &self.kernels.class_prefilter, params, grid);
                    marks.mark(to, Stage::Prefilter);
                }
                let grid = Grid::Groups(self.shape.confirm_groups);
                self.dispatch(to, c"confirm", &self.kernels.confirm, params, grid);
                to.compute_to_compute();
                let params = ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params };
                if rounds == 0 {
                    marks.mark(to, Stage::Confirm);
                    self.record_end(to, marks, params, ending);
                    return;
                }
                self.schedule(to, params);
                marks.mark(to, Stage::Confirm);
            }
            self.record_rounds(to, marks, params, rounds, first);
        }
        self.record_end(to, marks, params, ending);
    }

    /// Records rounds of the pass that `params` names.
    pub(super) fn record_rounds(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        first: FirstPass,
    ) {
        for round in 0..rounds {
            // Before its first round a pass has no long walks.
            let may_share = params.chunk_log2 != 0;
            if may_share && (round > 0 || first == FirstPass::Resumed) {
                let grid = offset_of!(Control, chunk_summaries_x);
                self.walk(to, c"chunk_summaries", &self.kernels.chunk_summaries, params, grid);
                let grid = offset_of!(Control, compose_summaries_x);
                self.walk(to, c"compose_summaries", &self.kernels.compose_summaries, params, grid);
            }
            let grid = offset_of!(Control, verify_dfa_x);
            self.walk(to, c"verify_dfa", &self.kernels.verify_dfa, params, grid);
            marks.mark(to, Stage::VerifyDfa);
            if params.nfa_walkers > 0 {
                let grid = offset_of!(Control, verify_nfa_x);
                self.walk(to, c"verify_nfa", &self.kernels.verify_nfa, params, grid);
            }
            let pass = if round + 1 < rounds { params.pass } else { params.pass + 1 };
            self.schedule(to, ScanParams { pass, ..params });
            marks.mark(to, Stage::VerifyNfa);
        }
    }

    /// Records what brings the outcome to the host.
    pub(super) fn record_end(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        ending: Ending,
    ) {
        if ending != Ending::Hits {
            self.dispatch(to, c"select", &self.kernels.select, params, Grid::Groups(1));
            to.compute_to_host();
            marks.mark(to, Stage::Select);
            if ending == Ending::MatchesOfMany {
                self.record_division(to, marks, params);
            }
            return;
        }
        let grid = Grid::Groups(self.readback_groups);
        self.dispatch(to, c"readback", &self.kernels.readback, params, grid);
        if let Some(slots) = &self.kernels.slots {
            self.visit_slots(to, c"retire", &slots.retire, params);
        }
        to.compute_to_host();
        marks.mark(to, Stage::Readback);
    }

    /// Records what selects among many hits, if there are as many.
    pub(super) fn record_division(&self, to: &mut Recorder, marks: &mut Marks, params: ScanParams) {
        let Kernels { count_hits, group_hits, scatter_hits, select_groups, .. } = &*self.kernels;
        to.compute_to_indirect();
        let hits_x = offset_of!(Control, hits_x);
        self.walk(to, c"count_hits", count_hits, params, hits_x);
        let grid = offset_of!(Control, group_hits_x);
        self.walk(to, c"group_hits", group_hits, params, grid);
        self.walk(to, c"scatter_hits", scatter_hits, params, hits_x);
        let grid = offset_of!(Control, select_groups_x);
        self.walk(to, c"select_groups", select_groups, params, grid);
        let grid = Grid::Scheduled(offset_of!(Control, collect_matches_x));
        self.dispatch(to, c"collect_matches", &self.kernels.collect_matches, params, grid);
        to.compute_to_host();
        marks.mark(to, Stage::Select);
    }

    /// Records a kernel that looks at each slot of packed items.
    fn visit_slots(
        &self,
        to: &mut Recorder,
        label: &CStr,
        kernel: &Arc<ComputePipeline>,
        params: ScanParams,
    ) {
        let workgroup = self.kernels.slots.as_ref().map_or(1, |slots| slots.workgroup);
        let grid = Grid::Groups(params.slot_count.div_ceil(workgroup));
        self.dispatch(to, label, kernel, params, grid);
    }

    /// Records the kernel that decides what comes next, which belongs to `params.pass`.
    pub(super) fn schedule(&self, to: &mut Recorder, params: ScanParams) {
        self.dispatch(to, c"schedule", &self.kernels.schedule, params, Grid::Groups(1));
        to.compute_to_indirect();
    }

    /// Records a kernel whose grid `schedule` has set, so many bytes into `Control`.
    fn walk(
        &self,
        to: &mut Recorder,
        label: &CStr,
        kernel: &Arc<ComputePipeline>,
        params: ScanParams,
        grid: usize,
    ) {
        self.dispatch(to, label, kernel, params, Grid::Scheduled(grid));
        to.compute_to_compute();
    }

    /// Records one kernel, on the tables of the pass that `params` names.
    fn dispatch(
        &self,
        to: &mut Recorder,
        label: &CStr,
        kernel: &Arc<ComputePipeline>,
        params: ScanParams,
        grid: Grid,
    ) {
        // After the last pass any tables serve.
        let pass = params.pass.min(params.pass_count - 1);
        to.label_begin(label);
        to.bind(kernel, &self.sets()[pass as usize]);
        to.push_constants(bytes_of(&params));
        match grid {
            Grid::Groups(count) => to.dispatch([count, 1]),
            Grid::Scheduled(at) => to.dispatch_indirect(&self.control, at as u64),
        }
        to.label_end();
    }
}
