//! What is recorded: the kernels of each pass, round by round.

use std::fmt;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::Arc;

use ash::vk;
use bytemuck::{bytes_of, cast_slice};

use super::Resident;
use super::pipelines::{FEW_HITS, FEW_LANES, Kernels};
use super::replay::{Extent, Forecast, Marks, Stage};
use super::resources::Resources;
use super::upload::Upload;
use crate::MatchKind;
use crate::narrow::narrow;
use crate::shaders::layout::{self, Control, Hit, ScanParams};
use crate::vulkan::command::{Recorder, Scope};
use crate::vulkan::pipeline::{ComputePipeline, DescriptorSet};

/// How far the first of the passes has come whose commands are recorded.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum FirstPass {
    Whole,
    Prefiltered,
    /// Anywhere: an earlier submission ended in it.
    Resumed,
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

    /// Rounds of each pass in a scan's first submission, if so many are expected. Where little is looked through, the suffixes
    /// seldom leave anything to do, and a submission more is cheaper than kernels that find nothing.
    pub(super) fn first_rounds(&self, params: ScanParams, expected: u32) -> u32 {
        /// Bytes.
        const LITTLE: u32 = 1 << 20;

        let is_little = params.prefilter_end - params.prefilter_first <= LITTLE;
        let is_prefiltered = params.use_prefilter == layout::PREFILTER_ALL;
        if self.shape.may_end_early && is_prefiltered && is_little && expected == 0 {
            0
        } else {
            self.shape.rounds[0].max(expected)
        }
    }

    /// Zeroes the counters of hits and all of Control but the generation and, where the haystack is the same,
    /// what has been found out about it, which is then of the only pass.
    pub(super) fn reset(&self, to: &mut Recorder, is_same: bool) {
        let keeps = is_same && self.tables.len() == 1;
        let begin = offset_of!(Control, pass) as u64;
        let end = if keeps { offset_of!(Control, searched) as u64 } else { self.control.size() };
        to.fill_buffer(&self.hits, 0, 4, 0);
        to.fill_buffer(&self.control, begin, end - begin, 0);
    }

    pub(super) fn record_upload(&self, to: &mut Recorder, upload: &Upload, region: vk::BufferCopy) {
        to.label_begin(format_args!("upload {} bytes", region.size));
        to.copy_buffer(&upload.buffer, &self.haystack, &[region]);
        if !upload.resident.is_empty() {
            to.transfer_to_transfer();
        }
        for part in upload.resident {
            to.label_begin(format_args!("copy {} resident bytes", part.region.size));
            to.take_over(&part.buffer, Scope::TRANSFER);
            to.copy_buffer(&part.buffer, &self.haystack, &[part.region]);
            to.hand_back(&part.buffer, Scope::TRANSFER);
            to.label_end();
        }
        to.label_end();
    }

    /// Records what a run begins with: with hits that stand for matches which an earlier part of the haystack ended with.
    pub(super) fn record_start(
        &self,
        to: &mut Recorder,
        params: ScanParams,
        is_same: bool,
        carried: &[Hit],
    ) {
        to.label_begin(format_args!("reset, {} hits carried", carried.len()));
        self.reset(to, is_same);
        if !carried.is_empty() {
            to.transfer_to_transfer();
            self.record_carried(to, carried);
        }
        to.label_end();
        to.transfer_to_compute();
        if let Some(slots) = &self.kernels.slots {
            let grid = Grid::Groups(params.slot_count.div_ceil(slots.workgroup));
            self.dispatch(
                to,
                format_args!("claim {} slots", params.slot_count),
                &slots.claim,
                params,
                grid,
            );
            to.compute_to_compute();
        }
        if params.use_prefilter == layout::PREFILTER_NONE {
            self.schedule(to, ScanParams { stage: layout::SCHEDULE_BEGIN, ..params });
        }
    }

    fn record_carried(&self, to: &mut Recorder, carried: &[Hit]) {
        /// As many as an update takes.
        const MOST: usize = 4096;

        let suffixes = [layout::CARRIED; MOST];
        let count: u32 = narrow(carried.len());
        to.update_buffer(&self.hits, 0, bytes_of(&count));
        to.update_buffer(&self.control, offset_of!(Control, carried) as u64, bytes_of(&count));
        let first_suffix = 4 + u64::from(self.shape.hit_capacity) * size_of::<Hit>() as u64;
        for (index, part) in (0..).zip(carried.chunks(MOST)) {
            let before = index * MOST as u64;
            let at = 4 + before * size_of::<Hit>() as u64;
            to.update_buffer(&self.hits, at, cast_slice(part));
            let suffixes = &suffixes[..part.len()];
            to.update_buffer(&self.hits, first_suffix + 4 * before, cast_slice(suffixes));
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
            .then_some(("class_prefilter", &self.kernels.class_prefilter));
        let prefilter = Some(("gram_prefilter", &self.kernels.gram_prefilter));
        let ScanParams { pass, prefilter_first: first, prefilter_end: end, .. } = params;
        for (name, kernel) in prefilter.into_iter().chain(of_classes) {
            self.dispatch(
                to,
                format_args!("{name} pass {pass}, bytes {first}..{end}"),
                kernel,
                params,
                Grid::Groups(params.gram_prefilter_groups()),
            );
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
        forecast: Forecast,
    ) {
        if !is_prefiltered {
            marks.mark(to, Stage::Upload);
        }
        let first = if is_prefiltered { FirstPass::Prefiltered } else { FirstPass::Whole };
        self.record_passes(to, marks, params, rounds, first, forecast);
    }

    /// Records how a run goes on whose rounds were not enough.
    pub(super) fn record_resume(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        forecast: Forecast,
    ) {
        to.label_begin(format_args!("resumed"));
        self.schedule(to, params);
        let params = ScanParams { stage: layout::SCHEDULE_ROUND, ..params };
        self.record_passes(to, marks, params, rounds, FirstPass::Resumed, forecast);
        to.label_end();
    }

    /// Records how a run goes on whose rounds were not enough to verify the starts that hits have left open.
    pub(super) fn record_resume_again(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        forecast: Forecast,
    ) {
        let walked = params.of_open_starts();
        to.label_begin(format_args!("open starts resumed"));
        self.schedule(to, walked);
        self.record_rounds(to, marks, walked, rounds, FirstPass::Resumed);
        to.label_end();
        let params = ScanParams { stage: layout::SCHEDULE_ROUND, ..params };
        self.record_end(to, marks, params, forecast);
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
        forecast: Forecast,
    ) {
        let params = self.record_all_rounds(to, marks, params, rounds, first);
        self.record_end(to, marks, params, forecast);
    }

    /// Records all of a scan but its end, and says by what parameters that judges it.
    pub(super) fn record_all_rounds(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        rounds: u32,
        first: FirstPass,
    ) -> ScanParams {
        for pass in params.pass..params.pass_count {
            let first = if pass == params.pass { first } else { FirstPass::Whole };
            let params = ScanParams { pass, ..params };
            if params.use_prefilter != layout::PREFILTER_NONE {
                if first != FirstPass::Prefiltered {
                    let ScanParams { prefilter_first: first, prefilter_end: end, .. } = params;
                    let grid = offset_of!(Control, gram_prefilter_x);
                    self.walk(
                        to,
                        format_args!("gram_prefilter pass {pass}, bytes {first}..{end}"),
                        &self.kernels.gram_prefilter,
                        params,
                        grid,
                    );
                    let grid = offset_of!(Control, class_prefilter_x);
                    self.walk(
                        to,
                        format_args!("class_prefilter pass {pass}, bytes {first}..{end}"),
                        &self.kernels.class_prefilter,
                        params,
                        grid,
                    );
                    marks.mark(to, Stage::Prefilter);
                }
                let grid = Grid::Groups(self.shape.confirm_groups);
                self.dispatch(
                    to,
                    format_args!("confirm pass {pass}"),
                    &self.kernels.confirm,
                    params,
                    grid,
                );
                to.compute_to_compute();
                let params = ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params };
                if rounds == 0 {
                    marks.mark(to, Stage::Confirm);
                    return params;
                }
                self.schedule(to, params);
                marks.mark(to, Stage::Confirm);
            }
            self.record_rounds(to, marks, params, rounds, first);
        }
        params
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
        let pass = params.pass;
        for round in 0..rounds {
            // Before its first round a pass has no long walks.
            let may_share = params.chunk_log2 != 0;
            if may_share && (round > 0 || first == FirstPass::Resumed) {
                let grid = offset_of!(Control, chunk_summaries_x);
                self.walk(
                    to,
                    format_args!("chunk_summaries pass {pass} round {round}"),
                    &self.kernels.chunk_summaries,
                    params,
                    grid,
                );
                let grid = offset_of!(Control, compose_summaries_x);
                self.walk(
                    to,
                    format_args!("compose_summaries pass {pass} round {round}"),
                    &self.kernels.compose_summaries,
                    params,
                    grid,
                );
            }
            let grid = offset_of!(Control, verify_dfa_x);
            self.walk(
                to,
                format_args!("verify_dfa pass {pass} round {round}"),
                &self.kernels.verify_dfa,
                params,
                grid,
            );
            marks.mark(to, Stage::VerifyDfa);
            if params.nfa_walkers > 0 {
                let grid = offset_of!(Control, verify_nfa_x);
                self.walk(
                    to,
                    format_args!("verify_nfa pass {pass} round {round}"),
                    &self.kernels.verify_nfa,
                    params,
                    grid,
                );
            }
            let next = if round + 1 < rounds { pass } else { pass + 1 };
            self.schedule(to, ScanParams { pass: next, ..params });
            marks.mark(to, Stage::VerifyNfa);
        }
    }

    /// Records what selects the matches and brings them to the host: where hits leave starts open, once more when these have
    /// been verified, as often as is expected.
    pub(super) fn record_end(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        forecast: Forecast,
    ) {
        for again in 0..=forecast.again {
            if again > 0 {
                self.verify_again(to, marks, params);
            }
            self.select(to, params, forecast.hits);
            marks.mark(to, Stage::Select);
        }
        to.compute_to_host();
    }

    pub(super) fn select(&self, to: &mut Recorder, params: ScanParams, hits: Extent) {
        let Kernels { select, select_few, slots, .. } = &*self.kernels;
        let (select, lanes) = match hits {
            Extent::Few => (select_few, self.shape.select_lanes.min(FEW_LANES)),
            Extent::Tile | Extent::Many => (select, self.shape.select_lanes),
        };
        // Slots are retired by the workgroups behind the first one.
        let of_slots = slots.as_ref().map_or(0, |_| params.slot_count.div_ceil(lanes));
        let tile = self.shape.select_tile;
        let (bound, count) = match hits {
            Extent::Few => ("up to", tile.min(FEW_HITS)),
            Extent::Tile => ("up to", tile),
            Extent::Many => ("over", tile),
        };
        self.dispatch(
            to,
            format_args!("select from {bound} {count} hits"),
            select,
            params,
            Grid::Groups(1 + of_slots),
        );
        to.compute_to_indirect();
        if hits == Extent::Many {
            self.select_from_many(to, params);
        }
    }

    /// Records what comes behind an earlier submission's selection, whose hits left starts open.
    pub(super) fn record_again(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        forecast: Forecast,
    ) {
        to.compute_to_indirect();
        self.verify_again(to, marks, params);
        self.record_end(to, marks, params, forecast);
    }

    /// Records kernels that verify the starts which hits have left open.
    pub(super) fn verify_again(&self, to: &mut Recorder, marks: &mut Marks, params: ScanParams) {
        let walked = params.of_open_starts();
        to.label_begin(format_args!("open starts"));
        self.schedule(to, ScanParams { stage: layout::SCHEDULE_SELECTED, ..walked });
        self.record_rounds(to, marks, walked, self.shape.rounds[0], FirstPass::Prefiltered);
        to.label_end();
    }

    /// Records what sorts many hits and selects from them.
    fn select_from_many(&self, to: &mut Recorder, params: ScanParams) {
        let Kernels { count_digits, sum_digits, move_hits, .. } = &*self.kernels;
        let Kernels { link_tiles, enter_tiles, select_tiles, write_matches, .. } = &*self.kernels;
        let tiles = offset_of!(Control, tiles_x);
        let match_all = self.shape.match_kind == MatchKind::All;
        for digit in 0..params.digits(match_all, self.shape.pattern_count) {
            let params = ScanParams { stage: digit, ..params };
            self.walk(to, format_args!("count_digits digit {digit}"), count_digits, params, tiles);
            let grid = offset_of!(Control, sum_digits_x);
            self.walk(to, format_args!("sum_digits digit {digit}"), sum_digits, params, grid);
            self.walk(to, format_args!("move_hits digit {digit}"), move_hits, params, tiles);
        }
        if !match_all {
            self.walk(to, format_args!("link_tiles"), link_tiles, params, tiles);
            let grid = offset_of!(Control, enter_tiles_x);
            self.walk(to, format_args!("enter_tiles"), enter_tiles, params, grid);
        }
        self.walk(to, format_args!("select_tiles"), select_tiles, params, tiles);
        let grid = Grid::Scheduled(offset_of!(Control, write_matches_x));
        self.dispatch(to, format_args!("write_matches"), write_matches, params, grid);
        to.compute_to_indirect();
    }

    /// Records the kernel that decides what comes next, which belongs to `params.pass`.
    pub(super) fn schedule(&self, to: &mut Recorder, params: ScanParams) {
        let after = match params.stage {
            layout::SCHEDULE_BEGIN => "begin",
            layout::SCHEDULE_CONFIRMED => "confirm",
            layout::SCHEDULE_SELECTED => "select",
            layout::SCHEDULE_RESTART => "a run",
            _ => "a round",
        };
        self.dispatch(
            to,
            format_args!("schedule after {after}, to pass {}", params.pass),
            &self.kernels.schedule,
            params,
            Grid::Groups(1),
        );
        to.compute_to_indirect();
    }

    /// Records a kernel whose grid `schedule` has set, so many bytes into `Control`.
    fn walk(
        &self,
        to: &mut Recorder,
        label: fmt::Arguments,
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
        label: fmt::Arguments,
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
