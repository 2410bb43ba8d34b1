//! Scans in command buffers of the caller's: recorded, not submitted.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vkscan::{
    BackendError, RawCommandBuffer, RecordOptions, RecordedScan, RecordedState, Recording,
    RecordingOptions,
};

use crate::border::{self, HandleOut, MatchArray, Out, sized, vkscan_match};
use crate::objects::{vkscan_raw_buffer, vkscan_raw_scope};
use crate::session::{self, Session, VKSCAN_UNBOUNDED, vkscan_session};
use crate::status::{Failure, free, run, vkscan_status};

/// What scans are recorded with: device memory for one scan at a time, and descriptor sets for several. It holds a
/// share in its session. A thread that uses it while another one does waits until that is done.
pub struct vkscan_recording {
    recorded: Mutex<Recorded>,
    /// Goes after the recording, which was made with it.
    session: Arc<Session>,
}

struct Recorded {
    recording: Recording,
    /// Since it was cleared.
    scans: Vec<RecordedScan>,
    /// Scans before it was cleared: those of C are numbered on.
    cleared: u64,
}

/// How a recording is made.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_recording_options {
    /// sizeof(vkscan_recording_options).
    pub struct_size: u32,
    /// Scans that can be recorded until vkscan_recording_clear, at least 1; by default 16.
    pub recordings: u32,
    /// Bytes of the largest haystack that has to be copied first, because its buffer was made without
    /// VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, its offset is not aligned, or the buffer ends in the middle of its last 16
    /// bytes. 0, the default, takes no memory for that.
    pub copied_bytes: usize,
}

/// A scan to be recorded: from where to where, and how.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_record_options {
    /// sizeof(vkscan_record_options).
    pub struct_size: u32,
    /// Longest match, in bytes; by default VKSCAN_UNBOUNDED.
    pub max_scan_bytes: u32,
    /// Rounds of verifying that are recorded, at least 1, which is the default and all that most scans take. Where there
    /// are more, starts that hits leave open are verified, too. What is not finished goes on
    /// (VKSCAN_RECORDED_STATE_GOES_ON). Each round takes the host some 3 microseconds to record, and the device a few
    /// where there is nothing to do.
    pub rounds: u32,
    /// 1 if what sorts and selects from more hits than one workgroup takes, which are some 2,000, is recorded: it costs
    /// host and device some tens of microseconds. 0, the default, if not; then more hits go on.
    pub many_matches: u32,
    /// 1, the default, if barriers are recorded that order the scan between all that comes before and behind; or else
    /// 0, and then the caller records what vkscan_recording_required_barriers says.
    pub barriers: u32,
    /// Matches that there is room for in `hits`. There is no default: it is 0.
    pub max_matches: u32,
    /// The buffer that the haystack is in. There is no default: it is null.
    pub haystack: vkscan_raw_buffer,
    /// Where the haystack begins in it, in bytes; by default 0.
    pub haystack_offset: u64,
    /// Bytes of the haystack, from 1 to the session's capacity. There is no default: it is 0.
    pub haystack_len: u64,
    /// The buffer that gets vkscan_hits_bytes(max_matches) bytes, made with VK_BUFFER_USAGE_STORAGE_BUFFER_BIT. There
    /// is no default: it is null.
    pub hits: vkscan_raw_buffer,
    /// Where they begin in it, in bytes: a multiple of `storage_buffer_alignment` of vkscan_device_info; by default 0.
    pub hits_offset: u64,
    /// The buffer of a word of 32 bits that tells the haystack's length, `haystack_len` at most, when the scan is
    /// executed, made with VK_BUFFER_USAGE_TRANSFER_SRC_BIT. All zero, the default, if there is none.
    pub length: vkscan_raw_buffer,
    /// Where the word is in it, in bytes: a multiple of 4; by default 0.
    pub length_offset: u64,
}

sized!(vkscan_recording_options, vkscan_record_options);

/// What an executed recording has come to.
#[repr(C)]
pub enum vkscan_recorded_state {
    /// It has not run.
    NotRun = 0,
    /// All matches are there.
    Complete = 1,
    /// vkscan_recording_continue takes it further: rounds, starts or matches were more than was recorded for, or
    /// candidates more than there is room for. Then every start is verified, which takes long; a scan by the host does
    /// as much as it has to.
    GoesOn = 2,
    /// There are more matches than there is room for.
    TooMany = 3,
    /// It has to be done in parts, as the host does it: by vkscan_scan_haystack of what
    /// vkscan_resident_haystack_from_raw makes. Or another recording has run since, and this one cannot go on.
    NeedsHost = 4,
    /// The haystack was to be longer than was recorded.
    TooLong = 5,
}

impl vkscan_recording {
    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorded {
    /// The scan that C knows by that number.
    fn scan(&self, number: u64) -> Result<RecordedScan, Failure> {
        let index = number.checked_sub(self.cleared).and_then(|index| usize::try_from(index).ok());
        let scan = index.and_then(|index| self.scans.get(index));
        scan.copied().ok_or_else(|| {
            let what = format!("scan {number}");
            let reason = "it was not recorded since the recording was made or cleared".to_owned();
            BackendError::InvalidHandle { what, reason }.into()
        })
    }
}

/// Fills in defaults. `size` is sizeof(vkscan_recording_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_recording_options_init(
    options: *mut vkscan_recording_options,
    size: usize,
) -> vkscan_status {
    // SAFETY: as the header asks of the caller.
    run(|| unsafe { border::init(options, size, default_recording_options()) })
}

fn default_recording_options() -> vkscan_recording_options {
    let RecordingOptions { recordings, copied_bytes, .. } = RecordingOptions::default();
    let recordings = u32::try_from(recordings).unwrap_or(u32::MAX);
    vkscan_recording_options { struct_size: 0, recordings, copied_bytes }
}

/// Fills in defaults, and zeros for what there is none for. `size` is sizeof(vkscan_record_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_record_options_init(
    options: *mut vkscan_record_options,
    size: usize,
) -> vkscan_status {
    let RecordOptions { rounds, many_matches, barriers, .. } = RecordOptions::default();
    let defaults = vkscan_record_options {
        struct_size: 0,
        max_scan_bytes: VKSCAN_UNBOUNDED,
        rounds,
        many_matches: many_matches.into(),
        barriers: barriers.into(),
        max_matches: 0,
        haystack: vkscan_raw_buffer::NONE,
        haystack_offset: 0,
        haystack_len: 0,
        hits: vkscan_raw_buffer::NONE,
        hits_offset: 0,
        length: vkscan_raw_buffer::NONE,
        length_offset: 0,
    };
    // SAFETY: as the header asks of the caller.
    run(|| unsafe { border::init(options, size, defaults) })
}

/// Makes what scans are recorded with; NULL stands for the default options. Kernels that others submit are compiled
/// when a session's first one is made. It is freed with vkscan_recording_free.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for no recordings, or a session without rules; and with
/// VKSCAN_STATUS_HAYSTACK_TOO_LARGE for more bytes to copy than the session's capacity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_recording(
    session: Option<&vkscan_session>,
    options: *const vkscan_recording_options,
    recording: *mut *mut vkscan_recording,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, options) = unsafe {
            let to = HandleOut::new(recording, "recording")?;
            (to, border::read_or(options, "options", default_recording_options())?)
        };
        let session = session::of(session)?.clone();
        let options = RecordingOptions::default()
            .recordings(options.recordings as usize)
            .copied_bytes(options.copied_bytes);
        let recording = session.resident.recording(&session.backend, &options)?;
        let recorded = Mutex::new(Recorded { recording, scans: Vec::new(), cleared: 0 });
        to.set(vkscan_recording { recorded, session });
        Ok(())
    })
}

/// Records a scan into `commands`. Nothing is submitted, allocated on the device or waited for. The same commands can
/// be executed any number of times, one after the other, and each time scan what is there then. They change what is
/// bound as compute pipeline, descriptor set 0 and push constants; they begin with transfers and kernels, and end with
/// a kernel. `scan`, which may be NULL, gets a number for vkscan_recording_continue. The caller sees to all of this:
/// - `commands` is a VkCommandBuffer of the backend's device, in the recording state, outside of a render pass. Its
///   pool is for the family of the backend's compute queue, and nobody else uses it or its pool meanwhile.
/// - What is recorded is executed only while the recording is there, on the backend's compute queue, and never two of
///   the same recording's at once: not with VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT.
/// - The haystack and its length stay as they are while it is executed.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for a null handle, a buffer that was made without what it is for, a range
/// outside of its buffer, an offset that is not aligned, a haystack of no bytes, or no rounds; with
/// VKSCAN_STATUS_HAYSTACK_TOO_LARGE; and with VKSCAN_STATUS_LIMIT_EXCEEDED where as many scans are recorded as there
/// can be, or where a haystack that has to be copied first has more than `copied_bytes` of vkscan_recording_options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_recording_record(
    recording: Option<&vkscan_recording>,
    commands: *mut c_void,
    options: *const vkscan_record_options,
    scan: *mut u64,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (options, to) =
            unsafe { (border::read(options, "options")?, Out::optional(scan, "scan")?) };
        let vkscan_recording { session, .. } = of(recording)?;
        let len = usize::try_from(options.haystack_len).unwrap_or(usize::MAX);
        // SAFETY: as the header asks of the caller.
        let (commands, haystack, hits, length) = unsafe {
            (
                RawCommandBuffer::new(commands),
                options.haystack.get("haystack")?,
                options.hits.get("hits")?,
                options.length.get("length")?,
            )
        };
        let how = RecordOptions::default()
            .max_scan_bytes(options.max_scan_bytes)
            .rounds(options.rounds)
            .many_matches(options.many_matches != 0)
            .barriers(options.barriers != 0)
            .length((!options.length.is_none()).then_some((length, options.length_offset)));
        let haystack = (haystack, options.haystack_offset, len);
        let hits = (hits, options.hits_offset, options.max_matches);
        let mut recorded = of(recording)?.lock();
        let scan =
            session.resident.record(&mut recorded.recording, commands, haystack, hits, &how)?;
        if let Some(to) = to {
            to.set(recorded.cleared + recorded.scans.len() as u64);
        }
        recorded.scans.push(scan);
        Ok(())
    })
}

/// Records how a scan goes on that has run and left VKSCAN_RECORDED_STATE_GOES_ON, for so many rounds, at least 1, with
/// barriers before and behind. A scan that is complete stays so. If another one of the same recording has run since,
/// its state becomes VKSCAN_RECORDED_STATE_NEEDS_HOST. Of `commands` the same is asked as by vkscan_recording_record.
///
/// It fails with VKSCAN_STATUS_INVALID_HANDLE for a null command buffer, no rounds, or a scan that was not recorded
/// since the recording was made or cleared.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_recording_continue(
    recording: Option<&vkscan_recording>,
    commands: *mut c_void,
    scan: u64,
    rounds: u32,
) -> vkscan_status {
    run(|| {
        let vkscan_recording { session, .. } = of(recording)?;
        let mut recorded = of(recording)?.lock();
        let scan = recorded.scan(scan)?;
        // SAFETY: as the header asks of the caller.
        let commands = unsafe { RawCommandBuffer::new(commands) };
        Ok(session.resident.record_continue(&mut recorded.recording, commands, scan, rounds)?)
    })
}

/// Lets go of all that was recorded, so that as much can be recorded again. It is not executed any more: command
/// buffers that have it are reset before something else is recorded.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_recording_clear(recording: Option<&vkscan_recording>) -> vkscan_status {
    run(|| {
        let mut recorded = of(recording)?.lock();
        recorded.recording.clear();
        recorded.cleared += recorded.scans.len() as u64;
        recorded.scans.clear();
        Ok(())
    })
}

/// Tells what barriers of the caller's have to be made of around a scan that is recorded without. The one before it has
/// `before` as its second half, for the haystack, its length and the hits; the one behind it has `behind` as its first
/// half, for all of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_recording_required_barriers(
    recording: Option<&vkscan_recording>,
    before: *mut vkscan_raw_scope,
    behind: *mut vkscan_raw_scope,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to_before, to_behind) =
            unsafe { (Out::new(before, "before")?, Out::new(behind, "behind")?) };
        let [before, behind] = of(recording)?.lock().recording.required_barriers();
        to_before.set(before.into());
        to_behind.set(behind.into());
        Ok(())
    })
}

/// Frees a recording. What was recorded with it has been executed, and is not executed any more.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_recording_free(recording: Option<Box<vkscan_recording>>) {
    free(recording);
}

/// Bytes that a recording writes for up to `max_matches` matches, in words of 32 bits: a counter, which is 0 unless the
/// scan is complete; that many times a pattern and where its match starts and ends; a vkscan_recorded_state; and for
/// VKSCAN_RECORDED_STATE_TOO_MANY the number of matches, for VKSCAN_RECORDED_STATE_TOO_LONG the length.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_hits_bytes(max_matches: u32) -> u64 {
    vkscan::hits_bytes(max_matches)
}

/// Reads `word_count` words that a recording with room for `max_matches` matches has written. `state` gets what it has
/// come to, and `detail`, which may be NULL, the last word where that state says something by it, or else 0. Matches
/// come as from vkscan_scan_haystack; there are none unless the scan is complete. With fewer words than
/// vkscan_hits_bytes(max_matches) / 4 it has not run.
///
/// It fails with VKSCAN_STATUS_BUFFER_TOO_SMALL where there are more than `capacity`; `count` says how many then, and
/// `state` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_read_hits(
    words: *const u32,
    word_count: usize,
    max_matches: u32,
    state: *mut vkscan_recorded_state,
    detail: *mut u32,
    matches: *mut vkscan_match,
    capacity: usize,
    count: *mut usize,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (words, to_state, to_detail, to_matches) = unsafe {
            (
                border::slice(words, word_count, "words")?,
                Out::new(state, "state")?,
                Out::optional(detail, "detail")?,
                MatchArray::new(matches, capacity, count)?,
            )
        };
        let (state, found) = vkscan::read_hits(words, max_matches);
        let (state, detail) = match state {
            RecordedState::NotRun => (vkscan_recorded_state::NotRun, 0),
            RecordedState::Complete => (vkscan_recorded_state::Complete, 0),
            RecordedState::GoesOn => (vkscan_recorded_state::GoesOn, 0),
            RecordedState::TooMany { found } => (vkscan_recorded_state::TooMany, found),
            RecordedState::NeedsHost => (vkscan_recorded_state::NeedsHost, 0),
            RecordedState::TooLong { bytes } => (vkscan_recorded_state::TooLong, bytes),
            other => {
                return Err(Failure::new(vkscan_status::Other, format!("the state is {other:?}")));
            }
        };
        to_state.set(state);
        if let Some(to) = to_detail {
            to.set(detail);
        }
        to_matches.give(&found)
    })
}

fn of(recording: Option<&vkscan_recording>) -> Result<&vkscan_recording, Failure> {
    recording.ok_or_else(|| Failure::null("recording"))
}
