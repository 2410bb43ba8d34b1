//! Rules that are resident on a device, and scans with them.

use std::ffi::c_char;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vkscan::{
    Backend, DeviceInfo, Match, ResidentRulePipeline, ScanError, ScanScratch, ScanStats,
    SessionOptions, TuningProfile,
};

use crate::backend::{self, VKSCAN_UNKNOWN, vkscan_backend};
use crate::border::{self, HandleOut, MatchArray, Out, SizedOut, sized, vkscan_match};
use crate::haystack::{self, vkscan_haystack};
use crate::rules::{self, vkscan_rules};
use crate::status::{Failure, get, run, vkscan_status};

/// Lets matches be as long as they are.
pub const VKSCAN_UNBOUNDED: u32 = u32::MAX;

/// Longest haystack that a session can be prepared for, in bytes: 1 GiB.
pub const VKSCAN_MAX_HAYSTACK_BYTES: u32 = 1 << 30;

const _: () = assert!(VKSCAN_MAX_HAYSTACK_BYTES as usize == vkscan::MAX_HAYSTACK_BYTES);

/// Rules whose tables are resident on a device, ready to scan. Many threads may scan through one session at a time.
pub struct vkscan_session {
    pub(crate) session: Arc<Session>,
}

impl vkscan_session {
    pub(crate) fn new(resident: ResidentRulePipeline, backend: &Backend) -> vkscan_session {
        let session = Session { resident, backend: backend.clone(), spare: Mutex::default() };
        vkscan_session { session: Arc::new(session) }
    }
}

/// What a session, its tickets and its recordings share.
pub(crate) struct Session {
    pub(crate) resident: ResidentRulePipeline,
    pub(crate) backend: Backend,
    /// Host memory that scans are done with, and that none uses at the moment.
    spare: Mutex<Vec<Scratch>>,
}

/// Host memory of a scan.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) matches: Vec<Match>,
    pub(crate) scratch: ScanScratch,
}

impl Session {
    /// Has host memory used that an earlier scan has used, if there is any.
    pub(crate) fn with_scratch<T>(&self, scan: impl FnOnce(&mut Scratch) -> T) -> T {
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = spare().pop().unwrap_or_default();
        let result = scan(&mut scratch);
        spare().push(scratch);
        result
    }

    /// Whether so many bytes are within the session's capacity.
    pub(crate) fn check_len(&self, bytes: usize) -> Result<(), Failure> {
        let capacity = self.resident.haystack_capacity();
        if bytes > capacity {
            return Err(ScanError::HaystackTooLarge { bytes, capacity }.into());
        }
        Ok(())
    }
}

/// What a session is prepared for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_session_options {
    /// sizeof(vkscan_session_options).
    pub struct_size: u32,
    /// Scans that may be under way at the same time, 256 at most; further ones wait for one to be over. Each takes
    /// device memory for a haystack and its hits, and staging memory for a haystack. 0, the default, is 4 for haystacks
    /// of up to 4 MiB, 2 up to 64 MiB, and 1 for larger ones.
    pub scans_in_flight: u32,
    /// Longest haystack, in bytes; at most VKSCAN_MAX_HAYSTACK_BYTES. There is no default: it is 0.
    pub haystack_capacity_bytes: usize,
    /// Most matches that a scan may have. There is no default: it is 0.
    pub max_matches: usize,
    /// A profile that `vkscan tune` wrote on this device, with this driver and this version of vkscan. NULL, the default,
    /// is what is built in.
    pub tuning_profile: *const c_char,
}

/// What a scan moved and how long it took; times are in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_scan_stats {
    /// sizeof(vkscan_scan_stats).
    pub struct_size: u32,
    /// Ranges uploaded: two for a scan, one where the haystack was on the device; more where it was done in parts.
    pub uploads: u32,
    /// Submissions that were waited for.
    pub submissions: u32,
    /// Rounds of kernels that had work to do.
    pub rounds: u32,
    /// Bytes uploaded: the haystack, padded to a word, unless it was on the device, and a counter of 4 bytes.
    pub bytes_up: u64,
    /// Bytes read back: a header of 28 bytes for each submission, and 12 for each match.
    pub bytes_down: u64,
    /// From the call to its return; of a ticket, without the time between the two calls.
    pub wall_ns: u64,
    /// Of that, copying the haystack to staging memory, recording and submitting.
    pub enqueue_ns: u64,
    /// Of that, waiting for the device.
    pub wait_ns: u64,
    /// On the device, staging memory to device memory. This and the following are VKSCAN_UNKNOWN where the device's
    /// queue has no timestamps.
    pub upload_ns: u64,
    /// On the device, every byte's gram against those of the rules.
    pub prefilter_ns: u64,
    /// On the device, suffixes and prefixes of candidates.
    pub confirm_ns: u64,
    /// On the device, candidate starts on partial DFAs.
    pub verify_dfa_ns: u64,
    /// On the device, position NFAs.
    pub verify_nfa_ns: u64,
    /// On the device, matches selected from hits, and written to host memory.
    pub select_ns: u64,
}

sized!(vkscan_session_options, vkscan_scan_stats);

/// A time as C has it.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl From<&ScanStats> for vkscan_scan_stats {
    fn from(stats: &ScanStats) -> vkscan_scan_stats {
        let on_device = stats.device.map(|times| {
            [
                times.upload,
                times.prefilter,
                times.confirm,
                times.verify_dfa,
                times.verify_nfa,
                times.select,
            ]
            .map(nanoseconds)
        });
        let [upload_ns, prefilter_ns, confirm_ns, verify_dfa_ns, verify_nfa_ns, select_ns] =
            on_device.unwrap_or([VKSCAN_UNKNOWN; 6]);
        vkscan_scan_stats {
            struct_size: 0,
            uploads: stats.uploads,
            submissions: stats.submissions,
            rounds: stats.rounds,
            bytes_up: stats.bytes_up,
            bytes_down: stats.bytes_down,
            wall_ns: nanoseconds(stats.wall),
            enqueue_ns: nanoseconds(stats.enqueue),
            wait_ns: nanoseconds(stats.wait),
            upload_ns,
            prefilter_ns,
            confirm_ns,
            verify_dfa_ns,
            verify_nfa_ns,
            select_ns,
        }
    }
}

/// Fills in defaults. `size` is sizeof(vkscan_session_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_options_init(
    options: *mut vkscan_session_options,
    size: usize,
) -> vkscan_status {
    let defaults = vkscan_session_options {
        struct_size: 0,
        scans_in_flight: 0,
        haystack_capacity_bytes: 0,
        max_matches: 0,
        tuning_profile: ptr::null(),
    };
    // SAFETY: as the header asks of the caller.
    run(|| unsafe { border::init(options, size, defaults) })
}

/// Moves the rules' tables to the device and makes all that scans need there. The session is freed with
/// vkscan_session_free; it holds a share in the backend, and needs the rules no more.
///
/// It fails with VKSCAN_STATUS_LIMIT_EXCEEDED where it cannot be made that large, on any device or on this one, with
/// VKSCAN_STATUS_RULE_TOO_LARGE, and with VKSCAN_STATUS_TUNING where the profile is none or was measured on something
/// else. Nothing is left behind then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_prepare(
    backend: Option<&vkscan_backend>,
    rules: Option<&vkscan_rules>,
    options: *const vkscan_session_options,
    session: *mut *mut vkscan_session,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(session, "session") }?;
        let (backend, rules) = (backend::of(backend)?, rules::of(rules)?);
        // SAFETY: as the header asks of the caller.
        let options = unsafe { read_options(options, backend.device_info()) }?;
        to.set(vkscan_session::new(rules.prepare_resident_with(backend, &options)?, backend));
        Ok(())
    })
}

/// The options that C speaks of.
///
/// # Safety
///
/// `options` is null or points to as many bytes as the struct says it has, and its text ends with a zero byte.
pub(crate) unsafe fn read_options(
    options: *const vkscan_session_options,
    device: &DeviceInfo,
) -> Result<SessionOptions, Failure> {
    // SAFETY: as the caller promises.
    let (options, profile) = unsafe {
        let options = border::read(options, "options")?;
        (options, border::text(options.tuning_profile, "tuning_profile")?)
    };
    let tuning = |path: &str| TuningProfile::read(Path::new(path))?.tuning(device);
    let tuning = profile.map(tuning).transpose().map_err(ScanError::from)?;
    let vkscan_session_options { haystack_capacity_bytes, max_matches, scans_in_flight, .. } =
        options;
    let scans_in_flight = (scans_in_flight > 0).then_some(scans_in_flight as usize);
    let options = SessionOptions::new(haystack_capacity_bytes, max_matches);
    Ok(options.scans_in_flight(scans_in_flight).tuning(tuning))
}

/// Pays what a first scan costs beyond later ones, on all that scans in flight have for their own: by a scan of one
/// byte on each. Nobody else scans with the session meanwhile.
///
/// It fails as vkscan_scan_haystack does, where a device or a limit is at fault.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_warm_up(session: Option<&vkscan_session>) -> vkscan_status {
    run(|| {
        let session = of(session)?;
        Ok(session.resident.warm_up(&session.backend)?)
    })
}

/// Frees all that a session holds, on device and host, and waits for scans that run. The session is gone whatever comes
/// back; NULL is ignored.
///
/// It fails with VKSCAN_STATUS_STILL_IN_USE where tickets or recordings are left that were not freed, and the session
/// goes with the last of them; or where the device has not answered in time and still holds something, which it gives
/// back once it has (vkscan_backend_held_back). Any other status is the first fault; what can be freed is freed all the
/// same.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_free(session: Option<Box<vkscan_session>>) -> vkscan_status {
    run(|| {
        let Some(session) = session else { return Ok(()) };
        let Some(session) = Arc::into_inner(session.session) else {
            let message =
                "tickets or recordings of the session are left: it is freed with the last of them";
            return Err(Failure::new(vkscan_status::StillInUse, message));
        };
        Ok(session.resident.free(&session.backend)?)
    })
}

/// Finds all matches in a haystack, wherever it is. `matches` has room for `capacity` of them and gets them sorted by
/// pattern, then by start, then by end; `count` gets their number. Matches have at most `max_scan_bytes` bytes:
/// a leftmost-first one is the most preferred of those; VKSCAN_UNBOUNDED lets them be any length. `stats` may be NULL.
///
/// It fails with VKSCAN_STATUS_HAYSTACK_TOO_LARGE, and with VKSCAN_STATUS_WRONG_BACKEND; with
/// VKSCAN_STATUS_TOO_MANY_MATCHES where there are more than the session was prepared for, with
/// VKSCAN_STATUS_BUFFER_TOO_SMALL where there are more than `capacity`, and `count` says how many there are then, or
/// were until the scan was given up; and with VKSCAN_STATUS_ALL_IN_FLIGHT where tickets that nobody waits for hold the
/// session for as long as a call waits. `matches` is as it was then, and except after VKSCAN_STATUS_DEVICE_LOST the
/// session goes on working. With a `capacity` of the session's `max_matches` the array is never too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_scan_haystack(
    session: Option<&vkscan_session>,
    haystack: *const vkscan_haystack,
    max_scan_bytes: u32,
    matches: *mut vkscan_match,
    capacity: usize,
    count: *mut usize,
    stats: *mut vkscan_scan_stats,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, source) = unsafe {
            (Results::new(matches, capacity, count, stats)?, haystack::source(haystack)?)
        };
        let session = of(session)?;
        session.check_len(source.haystack().len())?;
        session.with_scratch(|Scratch { matches, scratch }| {
            let Session { resident, backend, .. } = &**session;
            let haystack = source.haystack();
            let scanned =
                resident.scan_bounded_into(backend, haystack, max_scan_bytes, matches, scratch);
            to.give(&scanned.map_err(|error| to.fail(error))?, matches)
        })
    })
}

/// Where a scan's results go.
pub(crate) struct Results {
    matches: MatchArray,
    stats: Option<SizedOut<vkscan_scan_stats>>,
}

impl Results {
    /// # Safety
    ///
    /// As long as this lives, `matches` has room for `capacity` matches, `count` can be written to, and `stats` is as
    /// large as it says; each may be null.
    pub(crate) unsafe fn new(
        matches: *mut vkscan_match,
        capacity: usize,
        count: *mut usize,
        stats: *mut vkscan_scan_stats,
    ) -> Result<Results, Failure> {
        // SAFETY: as the caller promises.
        unsafe {
            let matches = MatchArray::new(matches, capacity, count)?;
            Ok(Results { matches, stats: SizedOut::optional(stats, "stats")? })
        }
    }

    /// Gives the caller what a scan found.
    pub(crate) fn give(&self, stats: &ScanStats, matches: &[Match]) -> Result<(), Failure> {
        if let Some(to) = &self.stats {
            to.set(stats.into());
        }
        self.matches.give(matches)
    }

    /// Tells the caller how many matches there are, if it is these that a scan failed for.
    pub(crate) fn fail(&self, error: ScanError) -> Failure {
        if let ScanError::TooManyMatches { found, .. } = error {
            self.matches.too_many(found);
        }
        error.into()
    }
}

/// Frees memory that is only kept to be used again: staging memory that is not lent at the moment, and host memory.
/// `freed_bytes`, which may be NULL, gets the bytes of staging memory that were given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_session_trim(
    session: Option<&vkscan_session>,
    freed_bytes: *mut u64,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { Out::optional(freed_bytes, "freed_bytes") }?;
        let session = of(session)?;
        session.spare.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let bytes = session.resident.trim()?;
        if let Some(to) = to {
            to.set(bytes);
        }
        Ok(())
    })
}

/// Longest haystack, in bytes; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_haystack_capacity(session: Option<&vkscan_session>) -> usize {
    get(0, || Ok(of(session)?.resident.haystack_capacity()))
}

/// Most matches that a scan may have; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_max_matches(session: Option<&vkscan_session>) -> usize {
    get(0, || Ok(of(session)?.resident.max_matches()))
}

/// Scans that may be under way at the same time; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_scans_in_flight(session: Option<&vkscan_session>) -> usize {
    get(0, || Ok(of(session)?.resident.scans_in_flight()))
}

/// Bytes of tables on the device; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_session_table_bytes(session: Option<&vkscan_session>) -> u64 {
    get(0, || Ok(of(session)?.resident.table_bytes()))
}

/// The session of a handle.
pub(crate) fn of(session: Option<&vkscan_session>) -> Result<&Arc<Session>, Failure> {
    Ok(&session.ok_or_else(|| Failure::null("session"))?.session)
}
