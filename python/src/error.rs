//! Exceptions: the library's errors, with their texts.

use std::path::Path;

use pyo3::PyErr;
use pyo3::exceptions::PyOSError;
use vkscan::{BackendError, BuildError, RingError, RingItemError, ScanError, StreamError};

// `vkscan/_errors.py` has them.
pyo3::import_exception!(vkscan, Error);
pyo3::import_exception!(vkscan, RuleError);
pyo3::import_exception!(vkscan, DeviceError);
pyo3::import_exception!(vkscan, TooManyMatches);

/// All that is wrong with rules, a line each.
pub fn of_rules(errors: &[BuildError]) -> PyErr {
    let lines: Vec<String> = errors.iter().map(BuildError::to_string).collect();
    let rules: Vec<usize> = errors.iter().filter_map(index).collect();
    RuleError::new_err((lines.join("\n"), rules))
}

fn index(error: &BuildError) -> Option<usize> {
    match error {
        BuildError::Syntax { index, .. } | BuildError::TooLarge { index, .. } => Some(*index),
        _ => None,
    }
}

pub fn of_backend(error: &BackendError) -> PyErr {
    DeviceError::new_err(error.to_string())
}

pub fn of_scan(error: &ScanError) -> PyErr {
    with_text(error, error.to_string(), None)
}

/// What is wrong with one row, from 0.
pub fn of_row(row: u64, error: &ScanError) -> PyErr {
    with_text(error, format!("row {row}: {error}"), Some(row))
}

pub fn of_stream(error: &StreamError) -> PyErr {
    with_text(&error.error, error.to_string(), None)
}

fn with_text(error: &ScanError, text: String, row: Option<u64>) -> PyErr {
    match error {
        ScanError::Backend(_) => DeviceError::new_err(text),
        ScanError::RuleTooLarge { pattern_id, .. } => RuleError::new_err((text, vec![*pattern_id])),
        ScanError::TooManyMatches { .. } => TooManyMatches::new_err((text, row)),
        _ => Error::new_err(text),
    }
}

pub fn of_ring(error: &RingError) -> PyErr {
    match error {
        RingError::Scan(error) => of_scan(error),
        // It ended when its device was lost.
        RingError::Closed => DeviceError::new_err(error.to_string()),
        _ => Error::new_err(error.to_string()),
    }
}

/// What is wrong with one row, from 0, that was an item of a ring session.
pub fn of_item(row: u64, error: &RingItemError) -> PyErr {
    let text = format!("row {row}: {error}");
    match error {
        RingItemError::TooManyMatches { .. } => TooManyMatches::new_err((text, row)),
        _ => Error::new_err(text),
    }
}

/// As Python's own `open` tells it.
pub fn of_file(error: &std::io::Error, path: &Path) -> PyErr {
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((number, text, path.to_owned()))
        }
        None => PyOSError::new_err(error.to_string()),
    }
}
