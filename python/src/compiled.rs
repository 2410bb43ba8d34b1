//! Rules with the options of their scans, and the sessions that scan for them.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::ListArray;
use pyo3::prelude::*;
use vkscan::{
    Backend, BackendError, BackendOptions, DeviceInfo, DeviceKind, DeviceSelector,
    MAX_HAYSTACK_BYTES, Match, MegakernelSessionConfig, PoolOrder, PoolReport,
    ResidentRulePipeline, RingItem, RingItemResult, RingPool, RulePipeline, ScanError, ScanScratch,
    StreamMatch,
};

use crate::matches::Builder;
use crate::rows::Batch;
use crate::{error, shared};

/// Bytes of a ring session's round, and the longest row that is scanned in one.
const ROUND_BYTES: usize = 16 << 20;
const MOST_ITEM_BYTES: usize = ROUND_BYTES - 4;
/// A round holds a fourth of them.
const SLOTS: u32 = 1 << 18;

/// Rows are scanned in turns, between which other threads come in and interrupts are seen: of so many bytes at first, and of as many later as take about
/// this long.
const FIRST_TURN_BYTES: usize = 4 << 20;
const MOST_TURN_BYTES: usize = 1 << 30;
const TURN: Duration = Duration::from_millis(500);

/// Rows between which a turn looks at the time.
const ROWS_BETWEEN: usize = 1 << 12;

/// Longest row that a driver on the CPU is given at once, so that it answers in time.
const MOST_CPU_BYTES: usize = 64 << 20;

/// How rules are scanned for.
#[derive(Clone, PartialEq)]
pub struct Options {
    pub device: Option<DeviceSelector>,
    /// Of a row, or of a window of a file.
    pub max_matches: u32,
    pub wait_timeout: Duration,
}

/// Rules, and what is open to scan for them.
pub struct Compiled {
    pub rules: RulePipeline,
    pub options: Options,
    /// The device that they were opened on.
    pub device: DeviceInfo,
    bytes: OnceLock<Vec<u8>>,
    /// Whoever is next to have the sessions: who has had them comes behind who waits.
    next: Mutex<()>,
    /// None once the device was lost, until the next scan.
    sessions: Mutex<Option<Sessions>>,
}

struct Sessions {
    backend: Backend,
    /// None where the device cannot run it.
    ring: Option<RingPool>,
    /// For rows that fit no round, and for files. None until there is one.
    resident: Option<Arc<Resident>>,
    /// Capacity that the device has for it, in bytes, as far as that is known.
    most_capacity: usize,
    turn_bytes: usize,
    matches: Vec<Match>,
    scratch: ScanScratch,
}

struct Resident {
    session: ResidentRulePipeline,
    backend: Backend,
}

impl Compiled {
    /// Opens the device and makes the rules' tables resident.
    pub fn new(rules: RulePipeline, options: Options) -> PyResult<Compiled> {
        let sessions = Sessions::open(&rules, &options)?;
        let device = sessions.backend.device_info().clone();
        let (bytes, next) = (OnceLock::new(), Mutex::default());
        Ok(Compiled { rules, options, device, bytes, next, sessions: Mutex::new(Some(sessions)) })
    }

    /// The rules, to be made anew elsewhere.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get_or_init(|| self.rules.to_bytes())
    }

    /// Scans rows, of which the first is number `first_row`. Python is not attached.
    pub fn scan(&self, rows: &Batch, first_row: u64) -> PyResult<ListArray> {
        let mut built = Builder::new(rows.len());
        let mut next = 0;
        while next < rows.len() {
            if next > 0 {
                Python::attach(|py| py.check_signals())?;
            }
            next = self.with_sessions(|sessions| {
                sessions.scan_turn(self, rows, next, first_row, &mut built)
            })?;
        }
        built.finish()
    }

    /// Scans a file in windows of `window_bytes`. Python is not attached.
    pub fn scan_file(&self, path: &Path, window_bytes: usize) -> PyResult<Vec<StreamMatch>> {
        let file = File::open(path).map_err(|error| error::of_file(&error, path))?;
        // What is no plain file has no length.
        let len = file.metadata().ok().filter(|about| about.is_file()).map(|about| about.len());
        let len = len.and_then(|len| usize::try_from(len).ok()).unwrap_or(window_bytes);
        let resident = self.with_sessions(|sessions| {
            let resident = sessions.resident(self, len.min(window_bytes));
            resident.map_err(|error| error::of_scan(&error))
        })?;
        let (mut found, mut scratch) = (Vec::new(), ScanScratch::default());
        let mut reader = Interruptible { reader: file, interrupt: None };
        let Resident { session, backend } = &*resident;
        let scanned =
            session.scan_reader(backend, &mut reader, u32::MAX, &mut scratch, |one, _| {
                found.push(one);
            });
        match (scanned, reader.interrupt) {
            (Ok(_), _) => {
                found.sort_unstable();
                Ok(found)
            }
            (Err(_), Some(interrupt)) => Err(interrupt),
            (Err(failed), None) => {
                self.forget_if_lost();
                Err(match &failed.error {
                    ScanError::Read(error) => error::of_file(error, path),
                    _ => error::of_stream(&failed),
                })
            }
        }
    }

    /// Does something with the sessions, alone; after the loss of their device with new ones.
    fn with_sessions<T>(&self, work: impl FnOnce(&mut Sessions) -> PyResult<T>) -> PyResult<T> {
        shared::refuse_forked()?;
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sessions = self.lock();
        drop(next);
        let open = match &mut *sessions {
            Some(open) => open,
            none => none.insert(Sessions::open(&self.rules, &self.options)?),
        };
        let done = work(open);
        if done.is_err() && open.are_lost() {
            *sessions = None;
        }
        done
    }

    fn forget_if_lost(&self) {
        let mut sessions = self.lock();
        if sessions.as_ref().is_some_and(Sessions::are_lost) {
            *sessions = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sessions>> {
        self.sessions.lock().unwrap_or_else(|poisoned| {
            // A panic has left them anyhow.
            self.sessions.clear_poison();
            let mut sessions = poisoned.into_inner();
            *sessions = None;
            sessions
        })
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // The device is the parent's, and its driver would wait here for threads that only the parent has.
        if shared::is_forked() {
            let sessions = std::mem::replace(&mut self.sessions, Mutex::new(None));
            std::mem::forget(sessions);
        }
    }
}

impl Sessions {
    fn open(rules: &RulePipeline, options: &Options) -> PyResult<Sessions> {
        let Options { device, max_matches, wait_timeout } = options.clone();
        let backend = BackendOptions::default().device(device).wait_timeout(wait_timeout);
        let backend = Backend::new(&backend).map_err(|error| error::of_backend(&error))?;
        let config = MegakernelSessionConfig::default()
            .slot_count(SLOTS)
            .round_bytes(ROUND_BYTES)
            .max_matches(max_matches);
        let ring = RingPool::new(rules, std::slice::from_ref(&backend), config);
        let is_cpu = backend.device_info().kind == DeviceKind::Cpu;
        Ok(Sessions {
            backend,
            ring: ring.map_err(|error| error::of_ring(&error))?,
            resident: None,
            most_capacity: if is_cpu { MOST_CPU_BYTES } else { MAX_HAYSTACK_BYTES },
            turn_bytes: FIRST_TURN_BYTES,
            matches: Vec::new(),
            scratch: ScanScratch::default(),
        })
    }

    /// Whether something of them cannot scan any more.
    fn are_lost(&self) -> bool {
        let of_ring = self.ring.as_ref().and_then(|ring| ring.backends().next());
        self.backend.is_lost() || of_ring.is_some_and(|one| one.is_none_or(|one| one.is_lost()))
    }

    /// Goes on where the ring is, which may have been made anew.
    fn follow_ring(&mut self) {
        if self.backend.is_lost()
            && let Some(anew) = self.ring.as_ref().and_then(|ring| ring.backends().flatten().next())
        {
            self.backend = anew;
            self.resident = None;
        }
    }

    /// Scans rows from `first` on, as many as there is time for, and says which is next.
    fn scan_turn(
        &mut self,
        compiled: &Compiled,
        rows: &Batch,
        first: usize,
        first_row: u64,
        built: &mut Builder,
    ) -> PyResult<usize> {
        let began = Instant::now();
        self.follow_ring();
        let mut ring = self.ring.take();
        let has_ring = ring.is_some();
        let is_item = |bytes: &[u8]| has_ring && bytes.len() <= MOST_ITEM_BYTES;
        // Where the turn ends, and whether it does so at once: rows are asked for by other threads, ahead of what is told here.
        let (end, is_over) = (AtomicUsize::new(rows.len()), AtomicBool::new(false));
        let (most_bytes, mut bytes) = (self.turn_bytes, 0);
        let items = (first..).zip(rows.rows_from(first)).map_while(|(index, row)| {
            let is_late = index.is_multiple_of(ROWS_BETWEEN) && began.elapsed() > TURN;
            if index > first && (bytes >= most_bytes || is_late || is_over.load(Ordering::Relaxed))
            {
                end.fetch_min(index, Ordering::Relaxed);
                return None;
            }
            bytes += row.map_or(0, <[u8]>::len);
            Some(row.filter(|row| is_item(row)).map(|row| RingItem::new(index as u64, row)))
        });
        let items = items.flatten();
        let mut next = first;
        let mut told: PyResult<()> = Ok(());
        let mut tell = |sessions: &mut Sessions, result: RingItemResult| {
            let index = result.id as usize;
            if next < index {
                sessions.add_others(compiled, rows, next..index, first_row, built)?;
            }
            let matches =
                result.matches.map_err(|error| error::of_item(first_row + result.id, error));
            built.extend(matches?);
            built.end_row()?;
            next = index + 1;
            Ok(())
        };
        let scanned = match &mut ring {
            Some(ring) => ring.scan(items, PoolOrder::AsGiven, |result| {
                if told.is_ok() {
                    told = tell(self, result);
                    if told.is_err() {
                        is_over.store(true, Ordering::Relaxed);
                    }
                }
            }),
            None => {
                items.for_each(drop);
                Ok(PoolReport::default())
            }
        };
        self.ring = ring;
        told?;
        scanned.map_err(|error| error::of_ring(&error))?;
        let end = end.into_inner();
        self.add_others(compiled, rows, next..end, first_row, built)?;
        self.adapt(end < rows.len(), began.elapsed());
        Ok(end)
    }

    /// Adds rows that are not items.
    fn add_others(
        &mut self,
        compiled: &Compiled,
        rows: &Batch,
        range: Range<usize>,
        first_row: u64,
        built: &mut Builder,
    ) -> PyResult<()> {
        for (index, row) in range.clone().zip(rows.rows_from(range.start)) {
            let Some(bytes) = row else {
                built.null_row()?;
                continue;
            };
            let scanned = self.scan_alone(compiled, bytes, built);
            scanned.map_err(|error| error::of_row(first_row + index as u64, &error))?;
            built.end_row()?;
        }
        Ok(())
    }

    /// Makes turns longer, or shorter, after one that took so long, and was full or not.
    fn adapt(&mut self, is_full: bool, took: Duration) {
        if took < TURN / 2 && is_full {
            self.turn_bytes = (self.turn_bytes * 2).min(MOST_TURN_BYTES);
        } else if took > TURN * 2 {
            self.turn_bytes = (self.turn_bytes / 2).max(1 << 20);
        }
    }

    /// Scans a row that is not an item.
    fn scan_alone(
        &mut self,
        compiled: &Compiled,
        bytes: &[u8],
        built: &mut Builder,
    ) -> Result<(), ScanError> {
        let resident = self.resident(compiled, bytes.len())?;
        let Resident { session, backend } = &*resident;
        if bytes.len() <= session.haystack_capacity() {
            session.scan_into(backend, bytes, &mut self.matches, &mut self.scratch)?;
            built.extend(&self.matches);
            return Ok(());
        }
        // What a window takes is not kept.
        let (mut reader, mut found, mut scratch) = (bytes, Vec::new(), ScanScratch::default());
        session.scan_reader(backend, &mut reader, u32::MAX, &mut scratch, |one, _| {
            found.push(one);
        })?;
        let max_matches = session.max_matches();
        if found.len() > max_matches {
            let found = found.len() as u64;
            return Err(ScanError::TooManyMatches { found, at_least: false, max_matches });
        }
        found.sort_unstable();
        for StreamMatch { pattern_id, start, end } in found {
            built.push(pattern_id, start, end);
        }
        Ok(())
    }

    /// A session for haystacks of `len` bytes, or of as many as the device has room for.
    fn resident(&mut self, compiled: &Compiled, len: usize) -> Result<Arc<Resident>, ScanError> {
        self.follow_ring();
        let wanted = len.checked_next_power_of_two().unwrap_or(usize::MAX);
        let mut capacity = wanted.clamp(ROUND_BYTES, self.most_capacity);
        if let Some(resident) = &self.resident
            && resident.session.haystack_capacity() >= capacity
        {
            return Ok(resident.clone());
        }
        self.resident = None;
        let max_matches = compiled.options.max_matches as usize;
        let session = loop {
            match compiled.rules.prepare_resident(&self.backend, capacity, max_matches) {
                Err(error) if is_too_large(&error) && capacity > ROUND_BYTES => {
                    capacity /= 2;
                    self.most_capacity = capacity;
                }
                made => break made?,
            }
        };
        let resident = Arc::new(Resident { session, backend: self.backend.clone() });
        Ok(self.resident.insert(resident).clone())
    }
}

/// Whether a smaller session might do.
fn is_too_large(error: &ScanError) -> bool {
    matches!(
        error,
        ScanError::Limit { .. }
            | ScanError::Backend(
                BackendError::LimitExceeded { .. } | BackendError::OutOfMemory { .. }
            )
    )
}

/// Reads as long as Python wants it to.
struct Interruptible {
    reader: File,
    interrupt: Option<PyErr>,
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(interrupt) = Python::attach(|py| py.check_signals()) {
            self.interrupt = Some(interrupt);
            return Err(io::Error::other("interrupted"));
        }
        self.reader.read(buffer)
    }
}
