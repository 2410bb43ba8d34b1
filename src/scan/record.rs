//! Scans in command buffers of the caller's: recorded, not submitted.

use std::sync::Arc;

use ash::vk;

use super::ScanError;
use super::frame::pipelines::Kernels;
use super::frame::{Appended, Appender, Common};
use super::haystack::{padded, unaligned};
use super::session::ResidentRulePipeline;
use crate::setters::setters;
use crate::shaders::layout::{self, Hit, RecordedState as StateWords, ScanParams};
use crate::vulkan::command::Scope;
use crate::vulkan::memory::{Buffer, Span};
use crate::{Backend, BackendError, Match, RawBuffer, RawCommandBuffer, RawScope};

/// What recordings of a session have for their own: device memory for one scan at a time, as a frame of the session has it,
/// and descriptor sets for several. It outlives the execution of what was recorded with it.
///
/// One `Recording` is for one queue, on which what was recorded with it is executed one after the other.
///
/// # Examples
///
/// A program that has a haystack on the device, and a kernel of its own that reads the matches there, is
/// `examples/redact.rs`.
///
/// ```no_run
/// # use vkscan::{Backend, BackendOptions, RulePipeline};
/// use vkscan::{RawBuffer, RawCommandBuffer, RecordOptions, RecordedState, RecordingOptions, ScanError, hits_bytes};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let commands: RawCommandBuffer = unsafe { RawCommandBuffer::new(std::ptr::null_mut()) };
/// # let haystack: RawBuffer = unsafe { RawBuffer::new(0, 0, 0) };
/// # let hits: RawBuffer = haystack;
/// let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 20, 1000)?;
/// let mut recording = session.recording(&backend, &RecordingOptions::default())?;
/// // 4096 bytes of a buffer, and up to 100 matches into another one, which has `hits_bytes(100)` for it.
/// let (haystack, hits) = ((haystack, 0, 4096), (hits, 0, 100));
/// let scan = session.record(&mut recording, commands, haystack, hits, &RecordOptions::default())?;
/// // Once it was submitted and has run, and the hits have come to the host:
/// # let words: Vec<u32> = vec![0; 4];
/// match vkscan::read_hits(&words, 100) {
///     (RecordedState::Complete, matches) => println!("{matches:?}"),
///     (RecordedState::GoesOn, _) => session.record_continue(&mut recording, commands, scan, 16)?,
///     (state, _) => println!("{state:?}: scan it by `scan_into`, as a `ResidentHaystack::from_raw`"),
/// }
/// # Ok::<(), ScanError>(())
/// ```
pub struct Recording(Appender);

/// How a [`Recording`] is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordingOptions {
    /// Scans that can be recorded until [`Recording::clear`]: 16, unless told otherwise.
    pub recordings: usize,
    /// Bytes of the largest haystack that has to be copied first, because its buffer was made without
    /// `VK_BUFFER_USAGE_STORAGE_BUFFER_BIT`, its offset is not aligned, or the buffer ends in the middle of its last 16 bytes.
    /// 0, the default, takes no memory for that.
    pub copied_bytes: usize,
}

setters!(RecordingOptions { recordings: usize, copied_bytes: usize });

impl Default for RecordingOptions {
    fn default() -> RecordingOptions {
        RecordingOptions { recordings: 16, copied_bytes: 0 }
    }
}

/// How a scan is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordOptions {
    /// Longest match, in bytes. By default there is no limit.
    pub max_scan_bytes: u32,
    /// Rounds of verifying that are recorded, at least 1, which is the default and all that most scans take. Where there are
    /// more, starts that hits leave open are verified, too. What is not finished goes on ([`RecordedState::GoesOn`]). Each
    /// round takes the host some 3 microseconds to record, and the device a few where there is nothing to do.
    pub rounds: u32,
    /// Whether what sorts and selects from more hits than one workgroup takes, which are some 2,000, is recorded. By default it
    /// is not: it costs host and device some tens of microseconds. Without it, more hits go on.
    pub many_matches: bool,
    /// A word, at an offset in bytes that is a multiple of 4, that tells the haystack's length when the scan is executed, which
    /// is at most the one that is recorded. Its buffer was made with `VK_BUFFER_USAGE_TRANSFER_SRC_BIT`.
    pub length: Option<(RawBuffer, u64)>,
    /// Whether barriers are recorded that order the scan between all that comes before and behind. Without these the caller
    /// records what [`Recording::required_barriers`] says.
    pub barriers: bool,
}

setters!(RecordOptions {
    max_scan_bytes: u32,
    rounds: u32,
    many_matches: bool,
    length: Option<(RawBuffer, u64)>,
    barriers: bool,
});

impl Default for RecordOptions {
    fn default() -> RecordOptions {
        RecordOptions {
            max_scan_bytes: u32::MAX,
            rounds: 1,
            many_matches: false,
            length: None,
            barriers: true,
        }
    }
}

/// A scan that was recorded with a [`Recording`], until that is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedScan(u64);

/// What an executed recording has come to: the first of two words behind the matches that there is room for. The second is the
/// number of matches where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordedState {
    /// It has not run.
    NotRun,
    /// All matches are there.
    Complete,
    /// [`ResidentRulePipeline::record_continue`] takes it further: rounds, starts or matches were more than was recorded for, or
    /// candidates more than there is room for. Then every start is verified, which takes long; a scan by the host does as
    /// much as it has to.
    GoesOn,
    /// There are so many matches, more than there is room for.
    TooMany {
        /// Their exact number.
        found: u32,
    },
    /// Hits are more than there is room for, which is set by the session's
    /// [`SessionOptions::max_matches`](crate::SessionOptions). So it has to be done in parts, as the host does: by [`ResidentRulePipeline::scan_into`], of a
    /// [`ResidentHaystack::from_raw`](crate::ResidentHaystack::from_raw). Or another recording has run since, and this one
    /// cannot go on.
    NeedsHost,
    /// The haystack was to be longer than was recorded.
    TooLong {
        /// Its bytes.
        bytes: u32,
    },
}

/// Bytes that a recording writes for up to `max_matches` matches: a counter, these, each a pattern and where it starts and ends,
/// and two words of [`RecordedState`]; all little-endian words of 32 bits.
pub const fn hits_bytes(max_matches: u32) -> u64 {
    let words = 1 + max_matches as u64 * Hit::WORDS as u64 + StateWords::WORDS as u64;
    words * 4
}

/// Reads what a recording with room for `max_matches` matches has written: words of `hits_bytes(max_matches)`. There are no
/// matches unless it is complete; and it has not run if there are fewer words.
pub fn read_hits(words: &[u32], max_matches: u32) -> (RecordedState, Vec<Match>) {
    let behind = 1 + max_matches as usize * Hit::WORDS;
    let Some(&[state, count]) = words.get(behind..behind + StateWords::WORDS) else {
        return (RecordedState::NotRun, Vec::new());
    };
    let state = match state {
        layout::RECORDED_COMPLETE if words[0] <= max_matches => RecordedState::Complete,
        layout::RECORDED_GOES_ON => RecordedState::GoesOn,
        layout::RECORDED_TOO_MANY => RecordedState::TooMany { found: count },
        layout::RECORDED_NEEDS_HOST => RecordedState::NeedsHost,
        layout::RECORDED_FAULT => RecordedState::TooLong { bytes: count },
        _ => RecordedState::NotRun,
    };
    let found = if state == RecordedState::Complete { words[0] as usize } else { 0 };
    let matches = words[1..1 + found * Hit::WORDS].chunks_exact(Hit::WORDS);
    let to_match = |hit: &[u32]| Match { pattern_id: hit[0], start: hit[1], end: hit[2] };
    (state, matches.map(to_match).collect())
}

impl Recording {
    /// Lets go of all that was recorded, so that as much can be recorded again. It is not executed any more: command buffers
    /// that have it are reset before something else is recorded.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What barriers of the caller's have to be made of around a scan that is recorded without
    /// ([`RecordOptions::barriers`]): the one before has the first as its second half, for the haystack, its length and the
    /// hits, and the one behind has the second as its first half, for all of them.
    pub fn required_barriers(&self) -> [RawScope; 2] {
        [Scope::ALL_OF_SCAN.into(), Scope::ALL_OF_SCAN.into()]
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (places, recorded) = self.0.places();
        f.debug_struct("Recording")
            .field("recordings", &places)
            .field("recorded", &recorded)
            .finish_non_exhaustive()
    }
}

impl ResidentRulePipeline {
    /// Makes what scans are recorded with. Kernels that others submit are compiled when this is called first.
    ///
    /// # Errors
    ///
    /// Another backend than the session's, no recordings, more bytes to copy than
    /// [`ResidentRulePipeline::haystack_capacity`], a session without rules, lack of memory, or a fault of the device.
    pub fn recording(
        &self,
        backend: &Backend,
        options: &RecordingOptions,
    ) -> Result<Recording, ScanError> {
        let &RecordingOptions { recordings, copied_bytes } = options;
        self.check(backend, copied_bytes)?;
        if recordings == 0 {
            return Err(BackendError::invalid(
                "RecordingOptions::recordings",
                "it is 0: ask for one at least",
            )
            .into());
        }
        if !self.has_rules() {
            return Err(BackendError::invalid(
                "the session",
                "it has no rules, so that there is nothing to record",
            )
            .into());
        }
        let kernels = Arc::new(Kernels::new(backend, self.recorded_specialisation())?);
        let copied = if copied_bytes == 0 { 0 } else { padded(copied_bytes) };
        let common = Common {
            device: self.device(),
            kernels: &kernels,
            tables: self.tables(),
            shape: &self.shape,
            ring: None,
        };
        Ok(Recording(Appender::new(&common, recordings, copied)?))
    }

    /// Records a scan of `haystack`, (buffer, offset in bytes, length in bytes), whose matches come to `hits`, (buffer, offset
    /// in bytes, matches that there is room for): [`hits_bytes`] says what is written there. Nothing is submitted, allocated on
    /// the device or waited for. The same commands can be executed any number of times, one after the other, and each time
    /// scan what is there then.
    ///
    /// It changes what is bound as compute pipeline, descriptor set 0 and push constants. It begins with transfers and kernels,
    /// and ends with a kernel.
    ///
    /// # Errors
    ///
    /// - A null handle, a range outside of its buffer, a haystack without any bytes, or over
    ///   [`ResidentRulePipeline::haystack_capacity`], and [`RecordOptions::rounds`] of 0.
    /// - A haystack that has to be copied first, and either more bytes than
    ///   [`RecordingOptions::copied_bytes`] or a buffer that was made without `VK_BUFFER_USAGE_TRANSFER_SRC_BIT`.
    /// - A buffer for hits that was made without `VK_BUFFER_USAGE_STORAGE_BUFFER_BIT`, or an offset in it that is no multiple of
    ///   [`DeviceInfo::storage_buffer_alignment`](crate::DeviceInfo).
    /// - A `recording` of another session, or with no room left; a lost device.
    pub fn record(
        &self,
        recording: &mut Recording,
        commands: RawCommandBuffer,
        haystack: (RawBuffer, u64, usize),
        hits: (RawBuffer, u64, u32),
        options: &RecordOptions,
    ) -> Result<RecordedScan, ScanError> {
        let Recording(appender) = recording;
        self.check_recording(appender)?;
        let (places, recorded) = appender.places();
        if recorded == places {
            let what = "recordings (RecordingOptions::recordings)".to_owned();
            let (asked, limit) = (places as u64 + 1, places as u64);
            return Err(BackendError::LimitExceeded { what, asked, limit }.into());
        }
        let (haystack, haystack_at, len) = haystack;
        let (hits, hits_at, max_matches) = hits;
        if len == 0 || options.rounds == 0 {
            let what = if len == 0 { "the haystack" } else { "RecordOptions::rounds" };
            return Err(BackendError::invalid(what, "it is 0: there is nothing to record").into());
        }
        let capacity = self.haystack_capacity();
        if len > capacity {
            return Err(ScanError::HaystackTooLarge { bytes: len, capacity });
        }
        let device = self.device();
        let alignment = device.info().storage_buffer_alignment;
        let storage = vk::BufferUsageFlags::STORAGE_BUFFER;
        let source = vk::BufferUsageFlags::TRANSFER_SRC;

        let hit_bytes = hits_bytes(max_matches);
        hits.check("the buffer for hits", storage, hits_at, hit_bytes)?;
        if !hits_at.is_multiple_of(alignment) {
            return Err(unaligned("the offset for hits", hits_at, alignment).into());
        }
        haystack.check(
            "the haystack's buffer",
            vk::BufferUsageFlags::empty(),
            haystack_at,
            len as u64,
        )?;
        let is_whole = haystack_at + padded(len) <= haystack.size();
        let is_copied =
            !haystack.is_for(storage) || !haystack_at.is_multiple_of(alignment) || !is_whole;
        if is_copied {
            haystack.check("the haystack's buffer", source, haystack_at, len as u64)?;
            if padded(len) > appender.copied_bytes() {
                let what =
                    "a haystack that has to be copied (RecordingOptions::copied_bytes)".to_owned();
                let (asked, limit) = (len as u64, appender.copied_bytes());
                return Err(BackendError::LimitExceeded { what, asked, limit }.into());
            }
        }
        let length = match options.length {
            None => None,
            Some((buffer, at)) => {
                buffer.check("the length's buffer", source, at, 4)?;
                if !at.is_multiple_of(4) {
                    return Err(unaligned("the length's offset", at, 4).into());
                }
                Some((Buffer::of_caller(device, "the caller's length", buffer), at))
            }
        };
        let haystack = Buffer::of_caller(device, "the caller's haystack", haystack);
        let hits = Buffer::of_caller(device, "the caller's hits", hits);
        let params = ScanParams {
            slot_count: max_matches,
            ..self.recorded_params(len, options.max_scan_bytes)
        };
        let what = Appended {
            haystack: Span { buffer: &haystack, offset: haystack_at, size: padded(len) },
            is_copied,
            length: length.as_ref().map(|(buffer, at)| Span { buffer, offset: *at, size: 4 }),
            hits: Span { buffer: &hits, offset: hits_at, size: hit_bytes },
            rounds: options.rounds,
            has_many: options.many_matches,
            has_barriers: options.barriers,
        };
        Ok(RecordedScan(appender.append(commands, params, &what)?))
    }

    /// Records how a scan goes on that has run and left [`RecordedState::GoesOn`], for so many rounds, at least 1, with barriers
    /// before and behind. A scan that is complete stays so. If another one of the same `recording` has run since, its state
    /// becomes [`RecordedState::NeedsHost`].
    ///
    /// # Errors
    ///
    /// A null command buffer, no rounds, a scan that was not recorded since the last [`Recording::clear`], a `recording` of
    /// another session, or a lost device.
    pub fn record_continue(
        &self,
        recording: &mut Recording,
        commands: RawCommandBuffer,
        scan: RecordedScan,
        rounds: u32,
    ) -> Result<(), ScanError> {
        let Recording(appender) = recording;
        self.check_recording(appender)?;
        let index = appender.index_of(scan.0).filter(|_| rounds > 0).ok_or_else(|| {
            let what = if rounds == 0 { "rounds" } else { "the scan" };
            BackendError::invalid(what, "there is nothing to go on with")
        })?;
        Ok(appender.go_on(commands, index, rounds)?)
    }

    fn check_recording(&self, appender: &Appender) -> Result<(), ScanError> {
        if !appender.is_on(self.device()) {
            return Err(ScanError::WrongBackend);
        }
        if !appender.is_of(self.tables()) {
            return Err(
                BackendError::invalid("the recording", "it was made with another session").into()
            );
        }
        Ok(())
    }
}
