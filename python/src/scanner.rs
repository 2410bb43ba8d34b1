//! `Scanner`: rules, a device, and scans.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_array::ArrayReader as _;
use pyo3::exceptions::{PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use vkscan::{
    DeviceKind, DeviceSelector, MAX_HAYSTACK_BYTES, MatchKind, PipelineOptions, RulePipeline,
};

use crate::compiled::{Compiled, Options};
use crate::error::{self, Error};
use crate::matches::{self, ChunkedMatches, Matches};
use crate::rows::{Batch, Rows};
use crate::{arrow, shared, told};

/// Bytes of a stream's chunks that are scanned together, and a chunk more.
const BATCH_BYTES: usize = 256 << 20;

/// Rules, compiled and resident on a device.
///
/// Rules are in the syntax of Rust's `regex` crate and about bytes: `.`, `\w`, `\b` and `(?i)` know ASCII alone. A rule that
/// asks for Unicode anywhere, as by `\p{Greek}`, goes by code points as a whole, and `(?u)` in front asks for that.
///
/// Args:
///     rules: The rules' regexes, as `str` or as UTF-8 in `bytes`. A match names its rule by its place here, from 0.
///     kind: "leftmost-first", the matches of the `regex` crate, for each rule on its own and without empty ones; or "all",
///         every non-empty range that a rule matches.
///     device: Index, UUID, or part of the name. None takes the environment variable `VKSCAN_DEVICE`, and without that the
///         best device there is.
///     max_matches: Most matches of a row, or of a window of a file.
///     size_limit: Most bytes that a rule's NFA may take.
///     wait_timeout: Seconds that a call waits for a device that does not answer.
///
/// Raises `RuleError` for rules that do not compile, each on a line of the text, and `DeviceError` where the device cannot
/// be opened or has too little memory. Warns with `RuntimeWarning` of a Vulkan driver that runs on the CPU: it is exact, but
/// slow.
///
/// A scanner is a context manager, which closes it. Any number of threads may use one at a time; they take turns, and others
/// run meanwhile. It can be pickled: scanners that were pickled alike share what is open in the process that they are
/// unpickled in, and what was unpickled last stays open there. A process that is forked once vkscan was used cannot use it.
#[pyclass(module = "vkscan", frozen, weakref)]
pub struct Scanner {
    /// None once it is closed.
    compiled: Mutex<Option<Arc<Compiled>>>,
}

#[pymethods]
impl Scanner {
    #[new]
    #[pyo3(signature = (
        rules, *, kind="leftmost-first", device=None, max_matches=65536, size_limit=10485760, wait_timeout=60.0
    ))]
    fn new(
        py: Python<'_>,
        rules: &Bound<PyAny>,
        kind: &str,
        device: Option<Device>,
        max_matches: u32,
        size_limit: usize,
        wait_timeout: f64,
    ) -> PyResult<Scanner> {
        let patterns = patterns(rules)?;
        let kind = match kind {
            "leftmost-first" => MatchKind::LeftmostFirst,
            "all" => MatchKind::All,
            other => {
                return Err(PyValueError::new_err(format!(
                    "`kind` of {other:?} is neither \"leftmost-first\" nor \"all\""
                )));
            }
        };
        let options = options(device, max_matches, wait_timeout)?;
        let compiled = py.detach(|| {
            shared::refuse_forked()?;
            let how = PipelineOptions::default().match_kind(kind).size_limit(size_limit);
            let rules = RulePipeline::compile(&patterns, how);
            Compiled::new(rules.map_err(|errors| error::of_rules(&errors))?, options)
        })?;
        warn_of_cpu(py, &compiled)?;
        Ok(Scanner::of(compiled.into()))
    }

    /// Finds each row's matches.
    ///
    /// Args:
    ///     haystacks: An Arrow array or stream of binary or string, or of their large or view types, or a table of one such
    ///         column: anything that speaks the Arrow PyCapsule interface. Or `bytes`, `str` or a contiguous buffer of
    ///         bytes, which is one row; or an iterable of these and None, a row each. No bytes are copied before the device
    ///         does, but for the UTF-8 of a `str` that is not ASCII; a buffer is not to be written to meanwhile.
    ///
    /// Returns `Matches`, or `ChunkedMatches` for an Arrow stream: for each row its matches, sorted by rule, start and end, or
    /// null where the row is null. Offsets count bytes from the row's beginning; those of `str` are into its UTF-8.
    ///
    /// A row may have any length. Beyond 1 GiB, what the device has room for, or 64 MiB on a CPU, it goes through in windows,
    /// and a match that is not decided within one is an error.
    ///
    /// Raises `TooManyMatches` for a row that has more than `max_matches`, which it names; `DeviceError` for a fault of the
    /// device; `TypeError` for what is not rows of bytes. No row's matches are returned then, and the scanner goes on
    /// working.
    fn scan<'py>(
        &self,
        py: Python<'py>,
        haystacks: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let compiled = self.compiled()?;
        let scan = |rows: &Batch, first: u64| py.detach(|| compiled.scan(rows, first));
        let whole = |rows: Rows| {
            let found = scan(&rows.into(), 0)?;
            Ok(Matches::new(py, found)?.into_bound(py).into_any())
        };
        if haystacks.hasattr("__arrow_c_array__")? {
            return whole(Rows::of_array(&arrow::import_array(haystacks)?)?);
        }
        if !haystacks.hasattr("__arrow_c_stream__")? {
            return whole(Rows::of_object(haystacks)?);
        }
        let mut stream = arrow::import_stream(haystacks)?;
        Rows::check_type(stream.field().data_type())?;
        let (mut found, mut first, mut is_over) = (Vec::new(), 0, false);
        while !is_over {
            // Chunks that are small are scanned together.
            let mut batch = Batch::default();
            while batch.bytes() < BATCH_BYTES && !is_over {
                // Whoever makes the chunks may need Python.
                match py.detach(|| stream.next()).transpose().map_err(arrow::invalid)? {
                    Some(chunk) => batch.push(Rows::of_array(&chunk)?),
                    None => is_over = true,
                }
            }
            let matches = scan(&batch, first)?;
            found.extend(batch.chunks().map(|rows| matches.slice(rows.start, rows.len())));
            first += batch.len() as u64;
        }
        Ok(Bound::new(py, ChunkedMatches::new(found))?.into_any())
    }

    /// Finds a file's matches, whatever its length, without holding it in memory.
    ///
    /// Args:
    ///     path: The file.
    ///     window_bytes: Bytes that are looked through at a time, from 16 MiB to 1 GiB, or fewer where the device has no room
    ///         for so many: a driver on the CPU takes 64 MiB. A match that is not decided within so many bytes is an error.
    ///
    /// Returns a list of `Match`, sorted by rule, start and end.
    ///
    /// Raises `OSError` for a file that cannot be read, and as `scan` does; `max_matches` bounds the matches of a window.
    #[pyo3(signature = (path, *, window_bytes=67108864))]
    fn scan_file<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        window_bytes: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let compiled = self.compiled()?;
        let allowed = 16 << 20..=MAX_HAYSTACK_BYTES;
        if !allowed.contains(&window_bytes) {
            return Err(PyValueError::new_err(format!(
                "window_bytes of {window_bytes} is not within {} to {}: choose one that is",
                allowed.start(),
                allowed.end()
            )));
        }
        let found = py.detach(|| compiled.scan_file(&path, window_bytes))?;
        let found =
            found.iter().map(|one| matches::new_match(py, one.pattern_id, one.start, one.end));
        PyList::new(py, found.collect::<PyResult<Vec<_>>>()?)
    }

    /// Tells how each rule is looked for, in order of the rules.
    ///
    /// Each is a dict: `rule`; `pattern`; `factor`, what a match must contain, or None where every start has to be verified;
    /// `dfa_bytes`; `nfa_nodes`, or None where no walk needs the NFA; and `bounds`, which of the compiler's the rule came
    /// to ("search", "table time", "table bytes"): it is slower to scan then, and as exact. A factor is a dict: `anchor`
    /// ("start" or "end" of a haystack, or None), `grams` (strings of four bytes, letters in lower case), `expected_per_mib`
    /// (how many of a mebibyte's bytes begin one in typical data) and `most_starts` (starts that one makes candidates, or
    /// None for any number).
    fn explain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        told::plans(py, &self.compiled()?.rules)
    }

    /// The rules' regexes.
    #[getter]
    fn rules<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.compiled()?.rules.patterns())
    }

    /// The device, as `devices` tells it.
    #[getter]
    fn device<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        told::device(py, &self.compiled()?.device)
    }

    /// Gives the device's memory back, once scans that other threads are at have ended. Scanners that were pickled alike
    /// keep what they share. To close it again does nothing; anything else raises `Error` from then on.
    fn close(&self, py: Python<'_>) {
        let compiled = self.lock().take();
        py.detach(|| drop(compiled));
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().compiled()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<PyTuple>) {
        self.close(py);
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let compiled = self.compiled()?;
        py.detach(|| {
            compiled.bytes();
            shared::share(&compiled);
        });
        let Options { device, max_matches, wait_timeout } = &compiled.options;
        let restore = py.import("vkscan._vkscan")?.getattr("_restore")?;
        let rules = PyBytes::new(py, compiled.bytes());
        let device = device.as_ref().map(|device| match device {
            DeviceSelector::Index(index) => index.to_string(),
            DeviceSelector::Name(part) => part.clone(),
            DeviceSelector::Uuid(uuid) => uuid.to_string(),
        });
        (restore, (rules, device, max_matches, wait_timeout.as_secs_f64())).into_pyobject(py)
    }

    fn __repr__(&self) -> String {
        match &*self.lock() {
            None => "<vkscan.Scanner, closed>".to_owned(),
            Some(compiled) => {
                let rules = compiled.rules.patterns().len();
                format!("<vkscan.Scanner for {rules} rules on {}>", compiled.device.name)
            }
        }
    }
}

/// What was pickled, made again.
#[pyfunction(name = "_restore")]
pub fn restore(
    py: Python<'_>,
    rules: &[u8],
    device: Option<Device>,
    max_matches: u32,
    wait_timeout: f64,
) -> PyResult<Scanner> {
    let options = options(device, max_matches, wait_timeout)?;
    let (compiled, is_made) = py.detach(|| shared::restore(rules, &options))?;
    if is_made {
        warn_of_cpu(py, &compiled)?;
    }
    Ok(Scanner::of(compiled))
}

impl Scanner {
    fn of(compiled: Arc<Compiled>) -> Scanner {
        Scanner { compiled: Mutex::new(Some(compiled)) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Compiled>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compiled(&self) -> PyResult<Arc<Compiled>> {
        let compiled = self.lock().clone();
        compiled.ok_or_else(|| Error::new_err("the scanner has been closed: make another one"))
    }
}

/// Which device.
#[derive(FromPyObject)]
pub enum Device {
    Index(usize),
    Text(String),
}

fn options(device: Option<Device>, max_matches: u32, wait_timeout: f64) -> PyResult<Options> {
    let device = device.map(|device| match device {
        Device::Index(index) => DeviceSelector::Index(index),
        Device::Text(text) => {
            let Ok(selector) = text.parse();
            selector
        }
    });
    let wait_timeout = Duration::try_from_secs_f64(wait_timeout)
        .map_err(|error| PyValueError::new_err(format!("`wait_timeout`: {error}")))?;
    Ok(Options { device, max_matches, wait_timeout })
}

fn patterns(rules: &Bound<PyAny>) -> PyResult<Vec<String>> {
    if rules.is_instance_of::<PyString>() || rules.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err("`rules` are a list: give `[rule]` for a single one"));
    }
    let pattern = |rule: PyResult<Bound<PyAny>>| -> PyResult<String> {
        let rule = rule?;
        match rule.cast::<PyBytes>() {
            Ok(bytes) => bytes.call_method0("decode")?.extract(),
            Err(_) => rule.extract(),
        }
    };
    rules.try_iter()?.map(pattern).collect()
}

fn warn_of_cpu(py: Python<'_>, compiled: &Compiled) -> PyResult<()> {
    if compiled.device.kind != DeviceKind::Cpu {
        return Ok(());
    }
    let name = compiled.device.name.replace('\0', "");
    let text = format!(
        "{name} is a Vulkan driver that runs on the CPU: scans are exact, but slow; `vkscan.devices()` lists what there is"
    );
    PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &CString::new(text)?, 1)
}
