//! What is scanned: rows of bytes, some of which may be null.

use std::iter;
use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, LargeBinaryArray, new_empty_array,
};
use arrow_schema::DataType;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyString};

use crate::arrow::Exported;

/// Rows, where their owner has them.
pub enum Rows {
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    Objects(Vec<Option<Object>>),
}

/// Chunks of rows, one after the other.
#[derive(Default)]
pub struct Batch {
    chunks: Vec<Rows>,
    /// Of each chunk, how many rows there are up to its end.
    ends: Vec<usize>,
    bytes: usize,
}

/// A row of its own.
pub enum Object {
    Bytes(PyBackedBytes),
    Text(PyBackedStr),
    Buffer(Exported),
}

impl Rows {
    /// The rows of an Arrow array. Texts are as good as their bytes.
    pub fn of_array(array: &ArrayRef) -> PyResult<Rows> {
        Ok(match array.data_type() {
            DataType::Binary => Rows::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Rows::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Rows::BinaryView(array.as_binary_view().clone()),
            DataType::Utf8 => Rows::Binary(array.as_string::<i32>().clone().into()),
            DataType::LargeUtf8 => Rows::LargeBinary(array.as_string::<i64>().clone().into()),
            DataType::Utf8View => Rows::BinaryView(array.as_string_view().clone().to_binary_view()),
            DataType::Null => Rows::Objects((0..array.len()).map(|_| None).collect()),
            DataType::Struct(columns) if columns.len() == 1 && array.null_count() == 0 => {
                Rows::of_array(array.as_struct().column(0))?
            }
            other => return Err(unfit_type(other)),
        })
    }

    /// Whether arrays of such a type have rows.
    pub fn check_type(of: &DataType) -> PyResult<()> {
        Rows::of_array(&new_empty_array(of)).map(drop)
    }

    /// The one row that an object is, or the rows that it lists.
    pub fn of_object(object: &Bound<PyAny>) -> PyResult<Rows> {
        if let Some(row) = Object::get(object)? {
            return Ok(Rows::Objects(vec![Some(row)]));
        }
        let listed = object.try_iter().map_err(|_| unfit(object, "haystacks"))?;
        let rows = listed.map(|row| {
            let row = row?;
            if row.is_none() {
                return Ok(None);
            }
            Object::get(&row)?.map(Some).ok_or_else(|| unfit(&row, "a row"))
        });
        rows.collect::<PyResult<_>>().map(Rows::Objects)
    }

    fn len(&self) -> usize {
        match self {
            Rows::Binary(array) => array.len(),
            Rows::LargeBinary(array) => array.len(),
            Rows::BinaryView(array) => array.len(),
            Rows::Objects(rows) => rows.len(),
        }
    }

    /// The bytes of a row; none of a null.
    fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Rows::Binary(array) => array.is_valid(row).then(|| array.value(row)),
            Rows::LargeBinary(array) => array.is_valid(row).then(|| array.value(row)),
            Rows::BinaryView(array) => array.is_valid(row).then(|| array.value(row)),
            Rows::Objects(rows) => rows[row].as_ref().map(Object::bytes),
        }
    }
}

impl Batch {
    pub fn push(&mut self, chunk: Rows) {
        self.bytes +=
            (0..chunk.len()).filter_map(|row| chunk.get(row)).map(<[u8]>::len).sum::<usize>();
        self.ends.push(self.len() + chunk.len());
        self.chunks.push(chunk);
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where each chunk begins and ends among the rows.
    pub fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let begins = iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| begin..end)
    }

    /// The bytes of each row from one on; none of a null.
    pub fn rows_from(&self, row: usize) -> impl Iterator<Item = Option<&[u8]>> {
        let first = self.ends.partition_point(|&end| end <= row);
        let within = row - first.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.chunks[first..].iter().enumerate().flat_map(move |(index, chunk)| {
            let skipped = if index == 0 { within } else { 0 };
            (skipped..chunk.len()).map(|row| chunk.get(row))
        })
    }
}

impl From<Rows> for Batch {
    fn from(rows: Rows) -> Batch {
        let mut batch = Batch::default();
        batch.push(rows);
        batch
    }
}

impl Object {
    /// None if it is not one row.
    fn get(object: &Bound<PyAny>) -> PyResult<Option<Object>> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Some(Object::Bytes(bytes.clone().into())));
        }
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Some(Object::Text(text.clone().try_into()?)));
        }
        Ok(Exported::get(object)?.map(Object::Buffer))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Object::Bytes(bytes) => bytes,
            Object::Text(text) => text.as_bytes(),
            Object::Buffer(buffer) => buffer.bytes(),
        }
    }
}

fn unfit_type(of: &DataType) -> PyErr {
    PyTypeError::new_err(format!(
        "Arrow data of {of} is not rows of bytes: give binary, string, or their large or view types, such as one column of \
         a table"
    ))
}

fn unfit(object: &Bound<PyAny>, what: &str) -> PyErr {
    let name = object.get_type().name().map_or_else(|_| "this".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "`{name}` is not {what}: give an Arrow array of binary or string, `bytes`, a buffer, `str`, or a list of these \
         and None"
    ))
}
