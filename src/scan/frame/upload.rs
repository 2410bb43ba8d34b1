//! How a haystack comes to the device: as a whole, or in slices under the prefilter of those before.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ash::vk;

use super::replay::Key;
use super::{COPY_PIECE, CUT, Frame, MOST_SLICES};
use crate::BackendError;
use crate::narrow::narrow;
use crate::parallel::pool;
use crate::scan::haystack::{ResidentHaystack, ResidentPart};
use crate::scan::stats::ScanStats;
use crate::shaders::layout::{self, Hit, ScanParams};
use crate::vulkan::command::Commands;
use crate::vulkan::copy::{ParallelCopy, Stores, copy_with_help};
use crate::vulkan::memory::{Buffer, Span};
use crate::vulkan::staging::StagingSpan;

/// Where a haystack is.
pub(crate) enum Source<'a> {
    /// In the caller's memory; it goes to the device through the span, or without one where it is taken
    /// directly.
    Host { bytes: &'a [u8], span: Option<StagingSpan> },
    /// In upload memory, from the beginning of a span on.
    Staged {
        span: Span<'a>,
        len: usize,
        /// What is copied over it from elsewhere on the device.
        resident: &'a [ResidentPart],
    },
    /// In device memory of its own.
    Resident(&'a ResidentHaystack),
    /// Where the run before had it.
    AsBefore,
}

/// A haystack's way to the device.
pub(super) struct Upload<'a> {
    /// Staging memory, and where in it.
    pub(super) buffer: Buffer,
    pub(super) offset: u64,
    pub(super) len: usize,
    /// What has to be copied to it first.
    pub(super) bytes: Option<&'a [u8]>,
    /// What is copied over it on the device.
    pub(super) resident: &'a [ResidentPart],
}

impl Upload<'_> {
    /// What to copy for a part that staging memory holds. The device copies whole words.
    pub(super) fn region(&self, part: Range<usize>) -> Result<vk::BufferCopy, BackendError> {
        let src_offset = self.offset + part.start as u64;
        // Of imported memory there may be no whole word left.
        let rest = self.buffer.size() - src_offset;
        let size = (part.len() as u64).next_multiple_of(4).min(rest);
        self.buffer.flush(src_offset..src_offset + size)?;
        Ok(vk::BufferCopy { src_offset, dst_offset: part.start as u64, size })
    }
}

impl Frame {
    /// Whether a haystack goes up in slices. What is copied over it has to wait for all of it.
    pub(super) fn is_cut(&self, upload: &Upload) -> bool {
        let is_large = upload.len > CUT * self.resources.shape.slice_bytes as usize;
        is_large && upload.resident.is_empty()
    }

    /// Uploads the haystack in slices, each while the prefilter looks through the ones before.
    pub(super) fn begin_in_slices(
        &mut self,
        upload: Upload,
        params: ScanParams,
        rounds: u32,
        carried: &[Hit],
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        stats.uploads += 1;
        let Frame { resources, start, .. } = self;
        start.record_for(carried, Key::new(params, 0), None, |to, _| {
            resources.record_start(to, params, false, carried);
        })?;
        let slice_bytes = self.resources.shape.slice_bytes as usize;
        let Some(bytes) = upload.bytes else {
            // All is there: as few slices as will keep the last one short.
            let mut begin = 0;
            for index in 0.. {
                let rest = upload.len - begin;
                let is_cut = rest > CUT * slice_bytes && index + 1 < MOST_SLICES;
                let size = if is_cut { rest / 2 } else { rest };
                let part = begin..begin + size.next_multiple_of(slice_bytes).min(rest);
                begin = part.end;
                self.submit_slice(&upload, index, part, params, rounds, stats)?;
                if begin == upload.len {
                    break;
                }
            }
            return Ok(());
        };
        let size = upload.len.div_ceil(MOST_SLICES).next_multiple_of(slice_bytes);
        let piece_bytes = if size.is_multiple_of(COPY_PIECE) { COPY_PIECE } else { slice_bytes };
        let mut span = self.staged.take().expect("taken by `begin`");
        let stores = match self.resources.shape.streamed_bytes {
            1.. if bytes.len() >= self.resources.shape.streamed_bytes as usize => Stores::Streaming,
            _ => Stores::Cached,
        };
        let copy = ParallelCopy::new(bytes, &mut span, piece_bytes, stores);
        let counts = std::mem::take(&mut self.copied);
        counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        let copy_piece = || {
            let piece = copy.copy_next();
            let count = |piece: &Range<usize>| {
                counts[piece.start / size].fetch_add(piece.len(), Ordering::Release);
            };
            piece.inspect(count)
        };
        let threads = pool().current_num_threads().min(self.resources.shape.copy_threads as usize);
        let submitted = pool().in_place_scope(|scope| {
            for _ in 1..threads.min(copy.piece_count()) {
                scope.spawn(|_| while copy_piece().is_some() {});
            }
            (0..upload.len.div_ceil(size)).try_for_each(|index| {
                let copying = Instant::now();
                let part = index * size..upload.len.min((index + 1) * size);
                while counts[index].load(Ordering::Acquire) < part.len() {
                    if copy_piece().is_none() {
                        std::thread::yield_now();
                    }
                }
                self.trace("copy", copying, Some(part.len() as u64));
                self.submit_slice(&upload, index, part, params, rounds, stats)
            })
        });
        self.copied = counts;
        self.staged = Some(span);
        submitted
    }

    /// Submits the copy of a part that is in staging memory, the prefilter for what can be looked through then
    /// and, with the last part, all that follows.
    fn submit_slice(
        &mut self,
        upload: &Upload,
        index: usize,
        part: Range<usize>,
        params: ScanParams,
        rounds: u32,
        stats: &mut ScanStats,
    ) -> Result<(), BackendError> {
        let Frame { device, resources, slices, open, start, rest, stages, traced, .. } = self;
        let forecast = self.forecast;
        let [is_first, is_last] = [index == 0, part.end == upload.len];
        let slice = &mut slices[index];
        let marks = resources.timestamps.clone();
        let is_prefiltered = params.use_prefilter != layout::PREFILTER_NONE;
        let by_transfer_queue = device.has_transfer_queue();
        let mut commands: [Option<&mut Commands>; 5] = Default::default();
        if is_first {
            commands[0] = Some(open);
            commands[2] = Some(&mut start.commands);
        }
        let region = upload.region(part.clone())?;
        stats.bytes_up += region.size;
        let copy = if by_transfer_queue { &mut slice.transfer } else { &mut slice.copy };
        let times = match (by_transfer_queue, traced) {
            (true, Some(traced)) => traced.copies(region.size),
            _ => None,
        };
        copy.record(|to| {
            if let Some((timestamps, first)) = times {
                to.write_timestamp(timestamps, first, vk::PipelineStageFlags::TOP_OF_PIPE);
            }
            resources.record_upload(to, upload, region);
            if let Some((timestamps, first)) = times {
                to.write_timestamp(timestamps, first + 1, vk::PipelineStageFlags::BOTTOM_OF_PIPE);
            }
            if !by_transfer_queue {
                to.transfer_to_compute();
            }
        })?;
        let mut uploaded = None;
        if by_transfer_queue {
            // The other queue has no part in what this one waits for.
            let held = self.held_until.map(|value| (&self.timeline, value));
            let copy = std::iter::once(copy);
            self.transferred = device.submit_after(held, copy, &self.uploads)?;
            uploaded = Some((&self.uploads, self.transferred));
        } else {
            commands[1] = Some(copy);
        }
        let range = resources.slice_params(params, part, is_first, is_last);
        // Where nothing is prefiltered, nothing can be done before all of it is there.
        if is_prefiltered && range.prefilter_first < range.prefilter_end {
            let key = Key::new(range, narrow(stages.len()));
            slice.prefilter.record(key, marks.as_ref(), |to, marks| {
                resources.record_prefilter(to, marks, range);
            })?;
            stages.extend_from_slice(&slice.prefilter.stages);
            commands[3] = Some(&mut slice.prefilter.commands);
        }
        if is_last {
            let key = Key { forecast, ..Key::new(params, narrow(stages.len())) };
            rest.record(key, marks.as_ref(), |to, marks| {
                resources.record_rest(to, marks, params, rounds, is_prefiltered, forecast);
            })?;
            stages.extend_from_slice(&rest.stages);
            commands[4] = Some(&mut rest.commands);
        }
        if commands.iter().any(Option::is_some) {
            let commands = commands.into_iter().flatten();
            self.submitted = device.submit_after(uploaded, commands, &self.timeline)?;
        }
        Ok(())
    }
}

/// Copies to the front of mapped memory, with several threads where it is much.
pub(super) fn copy_bytes(from: &[u8], to: &mut [u8]) {
    /// Below this a thread alone is done sooner.
    const LITTLE: usize = 512 << 10;
    /// More than these are awake too late, or in each other's way.
    const HELPERS: usize = 3;
    const PIECE: usize = 64 << 10;

    if from.len() < LITTLE {
        to[..from.len()].copy_from_slice(from);
    } else {
        copy_with_help(from, to, PIECE, |helper| {
            for _ in 0..HELPERS {
                let helper = helper.clone();
                pool().spawn(move || helper.help());
            }
        });
    }
}
