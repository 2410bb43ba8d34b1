//! A scan from its submission to the header of what it found.

use std::time::Instant;

use bytemuck::pod_read_unaligned;

use super::replay::{
    Extent, Forecast, GoesOn, Key, MOST_AGAIN_AHEAD, MOST_ROUNDS_AHEAD, Stage, mark_begin,
    stage_times,
};
use super::shape::HIT_WORDS;
use super::upload::{Source, Upload, copy_bytes};
use super::{Frame, Outcome};
use crate::BackendError;
use crate::scan::stats::ScanStats;
use crate::shaders::layout::{self, Hit, ReadbackHeader, ScanParams};
use crate::vulkan::memory::Span;

impl Frame {
    /// Submits a scan over what `params` names of the haystack in `source`, with hits that are `carried`. Its
    /// preparation began at `since`.
    pub(crate) fn begin(
        &mut self,
        source: Source,
        params: ScanParams,
        carried: &[Hit],
        since: Instant,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        self.bind(&source)?;
        if let Some(traced) = &mut self.traced {
            traced.submits();
        }
        self.stages.clear();
        self.stages.push(Stage::Begin);
        let is_same = matches!(source, Source::AsBefore);
        // What is done again is judged on the device.
        let expected = self.forecast.rounds.max(is_same.into());
        let rounds = self.resources.first_rounds(params, expected);
        self.is_judged = rounds != 0;
        self.resumes_at =
            if rounds == 0 { layout::SCHEDULE_CONFIRMED } else { layout::SCHEDULE_ROUND };
        let mut upload = None;
        match source {
            Source::Host { bytes, span: None } => {
                let window = self.window.as_mut().expect("asked for by `takes_directly`");
                let copying = Instant::now();
                copy_bytes(bytes, window);
                let size = (bytes.len() as u64).next_multiple_of(4);
                window.buffer().flush(0..size)?;
                self.trace("copy", copying, Some(size));
                stats.bytes_up += size;
                stats.uploads += 1;
            }
            Source::Host { bytes, span: Some(mut span) } => {
                span[bytes.len()..].fill(0);
                let (buffer, offset) = (span.buffer().clone(), span.offset());
                self.staged = Some(span);
                let (len, bytes) = (bytes.len(), Some(bytes));
                upload = Some(Upload { buffer, offset, len, bytes, resident: &[] });
            }
            Source::Staged { span: Span { buffer, offset, .. }, len, resident } => {
                let buffer = buffer.clone();
                upload = Some(Upload { buffer, offset, len, bytes: None, resident });
            }
            Source::Resident(_) | Source::AsBefore => {}
        }
        match upload {
            Some(upload) if self.is_cut(&upload) => {
                self.begin_in_slices(upload, params, rounds, carried, stats)?;
            }
            upload => self.begin_whole(upload, is_same, params, rounds, carried, stats)?,
        }
        stats.bytes_up += 4 + (carried.len() * HIT_WORDS * 4) as u64;
        stats.uploads += 1;
        stats.enqueue += since.elapsed();
        self.trace("submit", since, None);
        Ok(())
    }

    /// Uploads the haystack, if there is anything to upload, and scans it in one submission.
    fn begin_whole(
        &mut self,
        upload: Option<Upload>,
        is_same: bool,
        params: ScanParams,
        rounds: u32,
        carried: &[Hit],
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        let Frame {
            device, resources, open, copy, whole, stages, staged, traced, forecast, ..
        } = self;
        let forecast = *forecast;
        let marks = resources.timestamps.clone();
        let is_prefiltered = params.use_prefilter != layout::PREFILTER_NONE;
        let key = Key { is_same, forecast, ..Key::new(params, 1) };
        whole.record_for(carried, key, marks.as_ref(), |to, marks| {
            resources.take_over(to);
            resources.record_start(to, params, is_same, carried);
            if is_prefiltered {
                resources.record_prefilter(to, marks, params);
            }
            resources.record_rest(to, marks, params, rounds, is_prefiltered, forecast);
            resources.hand_back(to);
        })?;
        stages.extend_from_slice(&whole.stages);
        let first = match &upload {
            None => open,
            Some(upload) => {
                if let (Some(span), Some(bytes)) = (staged, upload.bytes) {
                    let copying = Instant::now();
                    copy_bytes(bytes, span);
                    if let Some(traced) = traced {
                        traced.by_thread("copy", copying, Some(bytes.len() as u64));
                    }
                }
                let region = upload.region(0..upload.len)?;
                stats.bytes_up += region.size;
                stats.uploads += 1;
                copy.record(|to| {
                    mark_begin(to, marks.as_ref());
                    resources.record_upload(to, upload, region);
                    to.transfer_to_compute();
                })?;
                copy
            }
        };
        self.submitted = device.submit(&mut [first, &mut whole.commands], &self.timeline)?;
        Ok(())
    }

    /// Waits for what was begun with the same parameters, and goes on until it is done.
    pub(crate) fn finish(
        &mut self,
        params: ScanParams,
        stats: &mut ScanStats,
    ) -> Result<Outcome, BackendError> {
        let mut header = self.header(stats)?;
        while header.pass < params.pass_count
            || [layout::SELECTED_MANY, layout::SELECTED_OPEN].contains(&header.selected)
        {
            let since = Instant::now();
            self.go_on(header, params)?;
            stats.enqueue += since.elapsed();
            self.trace("submit", since, None);
            header = self.header(stats)?;
        }
        stats.rounds += header.rounds;
        let is_told = header.selected != layout::SELECTED_UNTOLD;
        if header.selected == layout::SELECTED_ALL {
            let rounds = header.rounds.saturating_sub(header.verified_again);
            self.forecast = Forecast {
                hits: Extent::of(header.hit_count, &self.resources.shape),
                rounds: rounds.div_ceil(params.pass_count).min(MOST_ROUNDS_AHEAD),
                again: header.verified_again.min(MOST_AGAIN_AHEAD),
            };
        }
        Ok(Outcome {
            hit_count: header.hit_count,
            retry_reasons: header.retry_reasons,
            is_judged: self.is_judged,
            match_count: is_told.then_some(header.match_count),
        })
    }

    /// Submits what a run goes on with that was begun with these parameters and has come so far.
    fn go_on(&mut self, header: ReadbackHeader, params: ScanParams) -> Result<(), BackendError> {
        tracing::trace!(
            pass = header.pass,
            rounds = header.rounds,
            hits = header.hit_count,
            selected = header.selected,
            verified_again = header.verified_again,
            "a run goes on in another submission"
        );
        if let Some(traced) = &mut self.traced {
            traced.submits();
        }
        let Frame { device, resources, open, resume, end, stages, forecast, resumes_at, .. } = self;
        let marks = resources.timestamps.clone();
        let goes_on = match header.selected {
            _ if header.pass < params.pass_count && header.verified_again > 0 => {
                GoesOn::RoundsAgain
            }
            _ if header.pass < params.pass_count => GoesOn::Rounds,
            layout::SELECTED_MANY => GoesOn::MoreHits,
            _ => GoesOn::OpenStarts,
        };
        let is_resumed = [GoesOn::Rounds, GoesOn::RoundsAgain].contains(&goes_on);
        let stage = match goes_on {
            // As the run was judged when it ended.
            GoesOn::MoreHits => *resumes_at,
            GoesOn::OpenStarts => layout::SCHEDULE_ROUND,
            GoesOn::Rounds | GoesOn::RoundsAgain => {
                std::mem::replace(resumes_at, layout::SCHEDULE_ROUND)
            }
        };
        let pass = header.pass.min(params.pass_count - 1);
        let params = ScanParams { pass, stage, ..params };
        let hits = Extent::of(header.hit_count, &resources.shape).max(forecast.hits);
        let forecast = Forecast { hits, ..*forecast };
        let rounds = resources.shape.rounds[1];
        let key = Key { forecast, goes_on: Some(goes_on), ..Key::new(params, 1) };
        let recording = if is_resumed { resume } else { end };
        recording.record(key, marks.as_ref(), |to, marks| {
            resources.take_over(to);
            match goes_on {
                GoesOn::Rounds => resources.record_resume(to, marks, params, rounds, forecast),
                GoesOn::RoundsAgain => {
                    resources.record_resume_again(to, marks, params, rounds, forecast);
                }
                GoesOn::MoreHits => resources.record_end(to, marks, params, forecast),
                GoesOn::OpenStarts => resources.record_again(to, marks, params, forecast),
            }
            resources.hand_back(to);
        })?;
        stages.clear();
        stages.push(Stage::Begin);
        stages.extend_from_slice(&recording.stages);
        let mut commands = [open, &mut recording.commands];
        self.submitted = device.submit(&mut commands, &self.timeline)?;
        Ok(())
    }

    /// Waits for the last submission, and says how far the scan has come.
    pub(super) fn header(&mut self, stats: &mut ScanStats) -> Result<ReadbackHeader, BackendError> {
        let waiting = Instant::now();
        self.wait_idle(self.deadline)?;
        self.deadline = self.device.deadline();
        stats.wait += waiting.elapsed();
        stats.submissions += 1;
        self.trace("wait", waiting, None);
        let Frame { resources, stages, nanoseconds, traced, .. } = self;
        if let Some(timestamps) = &resources.timestamps {
            nanoseconds.resize(stages.len(), 0);
            let first = timestamps.read(nanoseconds)?;
            *stats.device.get_or_insert_default() += stage_times(stages, nanoseconds);
            if let Some(traced) = traced {
                traced.ran(timestamps, first, stages, nanoseconds)?;
            }
        }
        let readback = &self.resources.readback;
        let head = 0..(ReadbackHeader::WORDS * 4) as u64;
        readback.invalidate(head.clone())?;
        stats.bytes_down += head.end;
        Ok(pod_read_unaligned(readback.mapped(head)))
    }
}
