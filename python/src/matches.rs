//! What comes of a scan: for each row its matches, as an Arrow array.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, ListArray, StructArray, UInt32Array, UInt64Array};
use arrow_buffer::{NullBuffer, NullBufferBuilder, OffsetBuffer};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyList, PySlice, PyTuple, PyType};
use vkscan::Match;

use crate::arrow::{self, ITEM, MATCH};
use crate::error::Error;

/// Matches of rows in the making.
pub struct Builder {
    /// Where each row's matches end.
    ends_of_rows: Vec<i32>,
    nulls: NullBufferBuilder,
    rules: Vec<u32>,
    starts: Vec<u64>,
    ends: Vec<u64>,
}

impl Builder {
    pub fn new(rows: usize) -> Builder {
        let mut ends_of_rows = Vec::with_capacity(rows + 1);
        ends_of_rows.push(0);
        let nulls = NullBufferBuilder::new(rows);
        Builder { ends_of_rows, nulls, rules: Vec::new(), starts: Vec::new(), ends: Vec::new() }
    }

    /// Adds a match to the row that is to be ended next.
    pub fn push(&mut self, rule: u32, start: u64, end: u64) {
        self.rules.push(rule);
        self.starts.push(start);
        self.ends.push(end);
    }

    /// Adds matches likewise.
    pub fn extend(&mut self, matches: &[Match]) {
        for found in matches {
            self.push(found.pattern_id, found.start.into(), found.end.into());
        }
    }

    pub fn end_row(&mut self) -> PyResult<()> {
        self.nulls.append_non_null();
        self.end()
    }

    pub fn null_row(&mut self) -> PyResult<()> {
        self.nulls.append_null();
        self.end()
    }

    fn end(&mut self) -> PyResult<()> {
        let end = i32::try_from(self.rules.len()).map_err(|_| {
            Error::new_err(format!(
                "there are more than {} matches, the most of an Arrow list array: scan fewer rows at a time",
                i32::MAX
            ))
        })?;
        self.ends_of_rows.push(end);
        Ok(())
    }

    pub fn finish(mut self) -> PyResult<ListArray> {
        let matches = StructArray::try_new(
            MATCH.iter().cloned().collect(),
            vec![
                Arc::new(UInt32Array::from(self.rules)),
                Arc::new(UInt64Array::from(self.starts)),
                Arc::new(UInt64Array::from(self.ends)),
            ],
            None,
        );
        let nulls: Option<NullBuffer> = self.nulls.finish();
        let offsets = OffsetBuffer::new(self.ends_of_rows.into());
        let matches = Arc::new(matches.map_err(arrow::invalid)?);
        ListArray::try_new(ITEM.clone(), offsets, matches, nulls).map_err(arrow::invalid)
    }
}

/// The matches of each row, in chunks as the rows were.
///
/// It is a sequence: of each row a list of `Match`, sorted by rule, start and end, or `None` if the row was null. For
/// Arrow it is a stream of `list<struct<rule: uint32, start: uint64, end: uint64>>`, as by `pyarrow.chunked_array(matches)`
/// or `polars.Series(matches)`.
#[pyclass(module = "vkscan", frozen, subclass, sequence)]
pub struct ChunkedMatches {
    chunks: Vec<ListArray>,
}

/// The matches of each row of one array: as `ChunkedMatches`, and for Arrow an array as well.
#[pyclass(module = "vkscan", frozen, extends = ChunkedMatches)]
pub struct Matches;

impl Matches {
    pub fn new(py: Python<'_>, rows: ListArray) -> PyResult<Py<Matches>> {
        Py::new(py, (Matches, ChunkedMatches { chunks: vec![rows] }))
    }
}

impl ChunkedMatches {
    pub fn new(chunks: Vec<ListArray>) -> ChunkedMatches {
        ChunkedMatches { chunks }
    }

    /// The list of a row, or `None`.
    fn row<'py>(&self, py: Python<'py>, mut row: usize) -> PyResult<Bound<'py, PyAny>> {
        for chunk in &self.chunks {
            if row < chunk.len() {
                return list(py, chunk, row);
            }
            row -= chunk.len();
        }
        Err(PyIndexError::new_err("there is no such row"))
    }
}

fn list<'py>(py: Python<'py>, chunk: &ListArray, row: usize) -> PyResult<Bound<'py, PyAny>> {
    if chunk.is_null(row) {
        return Ok(py.None().into_bound(py));
    }
    let matches = chunk.value(row);
    let matches = matches.as_struct();
    let rules = matches.column(0).as_primitive::<UInt32Type>().values();
    let [starts, ends] =
        [1, 2].map(|column| matches.column(column).as_primitive::<UInt64Type>().values());
    let all = rules.iter().zip(starts).zip(ends);
    let all = all.map(|((&rule, &start), &end)| new_match(py, rule, start, end));
    Ok(PyList::new(py, all.collect::<PyResult<Vec<_>>>()?)?.into_any())
}

/// A `vkscan.Match`.
pub fn new_match(py: Python<'_>, rule: u32, start: u64, end: u64) -> PyResult<Bound<'_, PyAny>> {
    static MATCH: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    MATCH.import(py, "vkscan", "Match")?.call1((rule, start, end))
}

#[pymethods]
impl ChunkedMatches {
    /// How many matches there are, of all rows together.
    #[getter]
    fn match_count(&self) -> usize {
        let of_chunk = |chunk: &ListArray| chunk.offsets()[chunk.len()] - chunk.offsets()[0];
        self.chunks.iter().map(|chunk| of_chunk(chunk).unsigned_abs() as usize).sum()
    }

    fn __len__(&self) -> usize {
        self.chunks.iter().map(Array::len).sum()
    }

    fn __getitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, len) = (index.py(), self.__len__());
        if let Ok(slice) = index.cast::<PySlice>() {
            let slice = slice.indices(len.try_into()?)?;
            let rows = (0..slice.slicelength).map(|step| slice.start + step as isize * slice.step);
            let rows = rows.map(|row| self.row(py, row.unsigned_abs()));
            return Ok(PyList::new(py, rows.collect::<PyResult<Vec<_>>>()?)?.into_any());
        }
        let row: isize = index.extract().map_err(|_| {
            PyTypeError::new_err("rows are numbered: give an integer or a slice of integers")
        })?;
        let row = if row < 0 { row.checked_add_unsigned(len) } else { Some(row) };
        match row.and_then(|row| usize::try_from(row).ok()) {
            Some(row) => self.row(py, row),
            None => Err(PyIndexError::new_err("there is no such row")),
        }
    }

    fn __repr__(&self) -> String {
        format!("<vkscan matches: {} in {} rows>", self.match_count(), self.__len__())
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::export_schema(py)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // There is one schema, which the interface lets a producer stay with.
        drop(requested_schema);
        arrow::export_stream(py, self.chunks.clone())
    }
}

#[pymethods]
impl Matches {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        slf: PyRef<'py, Matches>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        drop(requested_schema);
        arrow::export_array(slf.py(), &slf.as_super().chunks[0])
    }
}
