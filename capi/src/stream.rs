//! Haystacks of any length, read bit by bit.

use std::ffi::c_void;
use std::io::{self, ErrorKind, Read};

use vkscan::StreamMatch;

use crate::border::{Out, SizedOut};
use crate::session::{self, Scratch, vkscan_scan_stats, vkscan_session};
use crate::status::{Failure, run, vkscan_status};

/// What a vkscan_read_fn returns where reading failed.
pub const VKSCAN_READ_FAILED: isize = -1;

/// What a vkscan_read_fn returns where there is nothing for now: what came before is scanned, as far as nothing that
/// follows can change it, and then the function is called again. To wait is its own part: where it returns this twice
/// without a byte in between, reading has failed.
pub const VKSCAN_READ_NOTHING_YET: isize = -2;

/// Reads up to `capacity` bytes into `buffer`, and returns how many; 0 at the stream's end, or VKSCAN_READ_FAILED or
/// VKSCAN_READ_NOTHING_YET.
pub type vkscan_read_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, buffer: *mut u8, capacity: usize) -> isize>;

/// A match in a stream: `end - start` bytes, at offsets that count from where the stream began.
#[repr(C)]
pub struct vkscan_stream_match {
    /// The pattern's index in the array that the rules were compiled from.
    pub pattern_id: u32,
    /// Offset of the first byte.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
}

/// Is told a match, and its bytes. Both are valid until it returns.
pub type vkscan_match_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        found: *const vkscan_stream_match,
        bytes: *const u8,
    ),
>;

/// A stream that C reads.
struct Reader {
    read: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> isize,
    user_data: *mut c_void,
    /// Bytes that have come.
    bytes: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer has so many bytes, and what else the function needs is for whoever gave it.
        let read = unsafe { (self.read)(self.user_data, buffer.as_mut_ptr(), buffer.len()) };
        match usize::try_from(read) {
            Ok(read) if read <= buffer.len() => {
                self.bytes += read as u64;
                Ok(read)
            }
            Ok(read) => {
                let capacity = buffer.len();
                Err(io::Error::other(format!(
                    "`read` returned {read}, which is more than {capacity}"
                )))
            }
            Err(_) if read == VKSCAN_READ_NOTHING_YET => {
                Err(io::Error::new(ErrorKind::WouldBlock, "`read` has nothing yet"))
            }
            Err(_) => Err(io::Error::other(format!("`read` returned {read}"))),
        }
    }
}

/// Scans all that `read` gives, however long, in windows of the session's capacity, with matches of at most
/// `max_scan_bytes` bytes. `on_match` is called with every match: sorted within a window, and windows in order. Both
/// are called by this thread, with `user_data`, and must return. The session's `max_matches` bounds the matches of one
/// window. `scanned` gets the bytes that were scanned to the end; it and `stats` may be NULL.
///
/// It fails as vkscan_scan_haystack does; with VKSCAN_STATUS_READ; with VKSCAN_STATUS_UNDECIDED where a pattern cannot be
/// decided within a window; and with VKSCAN_STATUS_WINDOW_TOO_SMALL. The matches that `on_match` was told until then
/// are exactly those that start before `scanned`, which is set then, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_scan_reader(
    session: Option<&vkscan_session>,
    read: vkscan_read_fn,
    on_match: vkscan_match_fn,
    user_data: *mut c_void,
    max_scan_bytes: u32,
    scanned: *mut u64,
    stats: *mut vkscan_scan_stats,
) -> vkscan_status {
    run(|| {
        let session = session::of(session)?;
        let read = read.ok_or_else(|| Failure::null("read"))?;
        let on_match = on_match.ok_or_else(|| Failure::null("on_match"))?;
        // SAFETY: as the header asks of the caller.
        let (to_scanned, to_stats) =
            unsafe { (Out::optional(scanned, "scanned")?, SizedOut::optional(stats, "stats")?) };
        let mut reader = Reader { read, user_data, bytes: 0 };
        let tell = |found: StreamMatch, bytes: &[u8]| {
            let StreamMatch { pattern_id, start, end } = found;
            let found = vkscan_stream_match { pattern_id, start, end };
            // SAFETY: both live until it returns, and what else the function needs is for whoever gave it.
            unsafe { on_match(user_data, &raw const found, bytes.as_ptr()) };
        };
        let result = session.with_scratch(|Scratch { scratch, .. }| {
            session.resident.scan_reader(
                &session.backend,
                &mut reader,
                max_scan_bytes,
                scratch,
                tell,
            )
        });
        if let Some(to) = to_scanned {
            to.set(result.as_ref().map_or_else(|error| error.scanned, |_| reader.bytes));
        }
        let stats = result?;
        if let Some(to) = to_stats {
            to.set((&stats).into());
        }
        Ok(())
    })
}
