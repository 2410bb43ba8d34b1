//! A scan from its submission to the header of what it found.

use std::mem::offset_of;
use std::time::Instant;

use bytemuck::{bytes_of, cast_slice, pod_read_unaligned};

use super::passes::FirstPass;
use super::recording::{Ending, Key, Stage, mark_begin, stage_times};
use super::shape::FrameShape;
use super::upload::{Source, Upload, copy_bytes};
use super::{CANDIDATES, Frame, Outcome, ReadBack};
use crate::BackendError;
use crate::narrow::narrow;
use crate::scan::stats::ScanStats;
use crate::shaders::layout::{self, Candidate, Control, ReadbackHeader, ScanParams};
use crate::vulkan::command::Scope;

impl Frame {
    /// Submits a scan over what `params` names of the haystack in `source`. Its preparation began at `since`.
    pub(crate) fn begin(
        &mut self,
        source: Source,
        params: ScanParams,
        ending: Ending,
        since: Instant,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        let FrameShape { least_selected, most_selected, .. } = self.resources.shape;
        let is_in_range = (least_selected..=most_selected).contains(&self.expected_hits);
        let by_host = !is_in_range || self.expects_open && least_selected > 0;
        self.ending = match ending {
            Ending::Matches if by_host => Ending::Hits,
            Ending::Matches if self.expected_hits > layout::SELECT_LANES => Ending::MatchesOfMany,
            ending => ending,
        };
        self.bind(&source)?;
        self.stages.clear();
        self.stages.push(Stage::Begin);
        let rounds = self.resources.first_rounds(params);
        self.resumes_at =
            if rounds == 0 { layout::SCHEDULE_CONFIRMED } else { layout::SCHEDULE_ROUND };
        let mut upload = None;
        let is_same = matches!(source, Source::AsBefore);
        match source {
            Source::Host { bytes, span: None } => {
                let window = self.window.as_mut().expect("asked for by `takes_directly`");
                copy_bytes(bytes, window);
                let size = (bytes.len() as u64).next_multiple_of(4);
                window.buffer().flush(0..size)?;
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
            Source::Staged { buffer, len, resident } => {
                let buffer = buffer.clone();
                upload = Some(Upload { buffer, offset: 0, len, bytes: None, resident });
            }
            Source::Resident(_) | Source::AsBefore => {}
        }
        match upload {
            Some(upload) if self.is_cut(&upload) => {
                self.begin_in_slices(upload, params, rounds, stats)?;
            }
            upload => self.begin_whole(upload, is_same, params, rounds, stats)?,
        }
        stats.bytes_up += 4;
        stats.uploads += 1;
        stats.enqueue += since.elapsed();
        Ok(())
    }

    /// Uploads the haystack, if there is anything to upload, and scans it in one submission.
    fn begin_whole(
        &mut self,
        upload: Option<Upload>,
        is_same: bool,
        params: ScanParams,
        rounds: u32,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        let Frame { device, resources, open, copy, whole, stages, staged, ending, .. } = self;
        let ending = *ending;
        let marks = resources.timestamps.clone();
        let is_prefiltered = params.use_prefilter != layout::PREFILTER_NONE;
        let key = Key { is_same, ending, ..Key::new(params, 1) };
        whole.record(key, marks.as_ref(), |to, marks| {
            resources.record_start(to, params, is_same);
            if is_prefiltered {
                resources.record_prefilter(to, marks, params);
            }
            resources.record_rest(to, marks, params, rounds, is_prefiltered, ending);
        })?;
        stages.extend_from_slice(&whole.stages);
        let first = match &upload {
            None => open,
            Some(upload) => {
                if let (Some(span), Some(bytes)) = (staged, upload.bytes) {
                    copy_bytes(bytes, span);
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

    /// Verifies starts of rules of the only pass, each exactly, in the haystack of the run before, whose
    /// parameters these are.
    pub(crate) fn verify(
        &mut self,
        starts: &[Candidate],
        params: ScanParams,
        stats: &mut ScanStats,
    ) -> Result<Outcome, BackendError> {
        tracing::trace!(starts = starts.len(), "starts in ambiguous ranges are verified exactly");
        let since = Instant::now();
        // No start but these, and nothing to look for.
        let params = ScanParams {
            first_start: 0,
            end_start: 0,
            prefilter_first: 0,
            prefilter_end: 0,
            use_prefilter: layout::PREFILTER_ALL,
            has_listed: 0,
            ..params
        };
        let Frame { device, resources, open, start, rest, stages, .. } = self;
        let candidates = &self.others[CANDIDATES];
        let marks = resources.timestamps.clone();
        start.key = None;
        start.commands.record(|to| {
            let first_start = u64::from(params.candidate_capacity) * size_of::<Candidate>() as u64;
            to.update_buffer(candidates, first_start, cast_slice(starts));
            resources.reset(to, true);
            to.barrier(Scope::TRANSFER, Scope::TRANSFER);
            let count: u32 = narrow(starts.len());
            let start_count = offset_of!(Control, start_count) as u64;
            to.update_buffer(&resources.control, start_count, bytes_of(&count));
            to.transfer_to_compute();
            resources.schedule(to, ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params });
        })?;
        self.resumes_at = layout::SCHEDULE_ROUND;
        self.ending = Ending::Hits;
        let rounds = resources.shape.rounds[0];
        rest.record(Key::new(params, 1), marks.as_ref(), |to, marks| {
            resources.record_rounds(to, marks, params, rounds, FirstPass::Prefiltered);
            resources.record_end(to, marks, params, Ending::Hits);
        })?;
        stages.clear();
        stages.push(Stage::Begin);
        stages.extend_from_slice(&rest.stages);
        let mut commands = [open, &mut start.commands, &mut rest.commands];
        self.submitted = device.submit(&mut commands, &self.timeline)?;
        stats.bytes_up += 8 + size_of_val(starts) as u64;
        stats.uploads += 3;
        stats.enqueue += since.elapsed();
        self.finish(params, stats)
    }

    /// Waits for what was begun with the same parameters, and goes on until it is done.
    pub(crate) fn finish(
        &mut self,
        params: ScanParams,
        stats: &mut ScanStats,
    ) -> Result<Outcome, BackendError> {
        let mut header = self.header(stats)?;
        while header.pass < params.pass_count {
            tracing::trace!(
                pass = header.pass,
                rounds = header.rounds,
                "a run goes on in another submission"
            );
            let since = Instant::now();
            let params = ScanParams { pass: header.pass, stage: self.resumes_at, ..params };
            self.resumes_at = layout::SCHEDULE_ROUND;
            let Frame { device, resources, open, resume, stages, ending, .. } = self;
            let ending = *ending;
            let marks = resources.timestamps.clone();
            stages.clear();
            stages.push(Stage::Begin);
            let rounds = resources.shape.rounds[1];
            let key = Key { ending, ..Key::new(params, 1) };
            resume.record(key, marks.as_ref(), |to, marks| {
                resources.record_resume(to, marks, params, rounds, ending);
            })?;
            stages.extend_from_slice(&resume.stages);
            let mut commands = [open, &mut resume.commands];
            self.submitted = device.submit(&mut commands, &self.timeline)?;
            stats.enqueue += since.elapsed();
            header = self.header(stats)?;
        }
        if header.selected == layout::SELECTED_MANY {
            tracing::trace!(hits = header.hit_count, "many hits are divided in another submission");
            self.submit_end(params, Ending::MatchesOfMany, stats)?;
            header = self.header(stats)?;
        }
        stats.rounds += header.rounds;
        Ok(Outcome {
            hit_count: header.hit_count,
            retry_reasons: header.retry_reasons,
            read_back: match header.selected {
                layout::SELECTED_ALL => ReadBack::Matches(header.match_count),
                layout::SELECTED_OPEN => ReadBack::OpenHits,
                _ if self.ending == Ending::Hits => ReadBack::Hits,
                _ => ReadBack::Nothing,
            },
        })
    }

    /// Takes it that the next scan comes to about as many hits as this one, and that these leave open which of them count if
    /// this one's did: that decides who selects among them.
    pub(crate) fn expect(&mut self, hits: u32, are_open: bool) {
        self.expected_hits = hits;
        self.expects_open = are_open;
    }

    /// Fetches the hits of a run that was to end with matches, and did not.
    pub(crate) fn fetch_hits(
        &mut self,
        params: ScanParams,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        tracing::trace!("hits are fetched, for the device cannot select among them");
        self.submit_end(params, Ending::Hits, stats)?;
        self.header(stats).map(drop)
    }

    /// Submits what a run ends with instead of what it has ended with; of many hits what comes behind `select`, which has run.
    fn submit_end(
        &mut self,
        params: ScanParams,
        ending: Ending,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        let since = Instant::now();
        let Frame { device, resources, open, end, stages, resumes_at, .. } = self;
        // As the run was judged when it ended.
        let params = ScanParams { stage: *resumes_at, pass: params.pass_count, ..params };
        let marks = resources.timestamps.clone();
        let key = Key { ending, ..Key::new(params, 1) };
        end.record(key, marks.as_ref(), |to, marks| match ending {
            Ending::MatchesOfMany => resources.record_division(to, marks, params),
            _ => resources.record_end(to, marks, params, ending),
        })?;
        stages.clear();
        stages.push(Stage::Begin);
        stages.extend_from_slice(&end.stages);
        self.submitted = device.submit(&mut [open, &mut end.commands], &self.timeline)?;
        stats.enqueue += since.elapsed();
        Ok(())
    }

    /// Waits for the last submission, and says how far the scan has come.
    pub(super) fn header(&mut self, stats: &mut ScanStats) -> Result<ReadbackHeader, BackendError> {
        let waiting = Instant::now();
        self.wait_idle(self.deadline)?;
        self.deadline = self.device.deadline();
        stats.wait += waiting.elapsed();
        stats.submissions += 1;
        if let Some(timestamps) = &self.resources.timestamps {
            self.nanoseconds.resize(self.stages.len(), 0);
            timestamps.read(&mut self.nanoseconds)?;
            *stats.device.get_or_insert_default() += stage_times(&self.stages, &self.nanoseconds);
        }
        let readback = &self.resources.readback;
        let head = 0..(ReadbackHeader::WORDS * 4) as u64;
        readback.invalidate(head.clone())?;
        stats.bytes_down += head.end;
        Ok(pod_read_unaligned(readback.mapped(head)))
    }
}
