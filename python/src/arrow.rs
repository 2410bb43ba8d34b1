//! The Arrow C data interface, in Python's capsules: <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>.
//! All of the crate's `unsafe` is here.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::LazyLock;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, ArrayRef, ListArray, make_array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// The fields of a match.
pub static MATCH: LazyLock<[Field; 3]> = LazyLock::new(|| {
    [("rule", DataType::UInt32), ("start", DataType::UInt64), ("end", DataType::UInt64)]
        .map(|(name, data_type)| Field::new(name, data_type, true))
});

/// A row's matches.
pub static ITEM: LazyLock<FieldRef> = LazyLock::new(|| {
    let matches = DataType::Struct(MATCH.iter().cloned().collect());
    Field::new_list_field(matches, true).into()
});

/// Many rows' matches.
pub static LIST: LazyLock<DataType> = LazyLock::new(|| DataType::List(ITEM.clone()));

/// The array of an object that has `__arrow_c_array__`.
pub fn import_array(object: &Bound<PyAny>) -> PyResult<ArrayRef> {
    let capsules = object.call_method0("__arrow_c_array__")?;
    let (schema, array): (Bound<PyCapsule>, Bound<PyCapsule>) = capsules.extract()?;
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast();
    let array = array.pointer_checked(Some(ARRAY))?.cast();
    // SAFETY: capsules of these names hold such structs, and are alive; both structs are moved out of them, and name what
    // the interface says, as far as any consumer can know.
    let data = unsafe {
        let schema = FFI_ArrowSchema::from_raw(schema.as_ptr());
        from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), &schema)
    };
    data.map(make_array).map_err(invalid)
}

/// The chunks of an object that has `__arrow_c_stream__`.
pub fn import_stream(object: &Bound<PyAny>) -> PyResult<ArrayStreamReader> {
    let capsule: Bound<PyCapsule> = object.call_method0("__arrow_c_stream__")?.extract()?;
    let stream = capsule.pointer_checked(Some(STREAM))?.cast();
    // SAFETY: a capsule of this name holds such a struct, and is alive; the struct is moved out of it.
    unsafe { ArrayStreamReader::from_raw(stream.as_ptr()) }.map_err(invalid)
}

pub fn invalid(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The type of matches.
pub fn export_schema(py: Python<'_>) -> PyResult<Bound<'_, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(&*LIST).map_err(invalid)?;
    PyCapsule::new_with_value(py, schema, SCHEMA)
}

/// The type of matches, and those of some rows.
pub fn export_array<'py>(py: Python<'py>, rows: &ListArray) -> PyResult<Bound<'py, PyTuple>> {
    let array = PyCapsule::new_with_value(py, FFI_ArrowArray::new(&rows.to_data()), ARRAY)?;
    PyTuple::new(py, [export_schema(py)?, array])
}

/// The matches of all rows, chunk by chunk.
pub fn export_stream(py: Python<'_>, chunks: Vec<ListArray>) -> PyResult<Bound<'_, PyCapsule>> {
    let chunks: Box<Chunks> = Box::new(chunks.into());
    // SAFETY: the callbacks are those that go with a box of chunks, which they own from here on.
    let stream = unsafe {
        FFI_ArrowArrayStream::new_unchecked(
            Some(stream_schema),
            Some(stream_next),
            Some(stream_error),
            Some(stream_release),
            Box::into_raw(chunks).cast(),
        )
    };
    PyCapsule::new_with_value(py, stream, STREAM)
}

type Chunks = VecDeque<ListArray>;

unsafe extern "C" fn stream_schema(
    _: *mut FFI_ArrowArrayStream,
    out: *mut FFI_ArrowSchema,
) -> c_int {
    /// EINVAL.
    const INVALID: c_int = 22;

    let Ok(schema) = FFI_ArrowSchema::try_from(&*LIST) else { return INVALID };
    // SAFETY: the consumer's place for it, which holds nothing yet.
    unsafe { out.write(schema) };
    0
}

unsafe extern "C" fn stream_next(
    stream: *mut FFI_ArrowArrayStream,
    out: *mut FFI_ArrowArray,
) -> c_int {
    // SAFETY: a consumer calls it with a stream of `export_stream` that has not been released, from one thread at a time.
    let chunks = unsafe { &mut *(*stream).private_data().cast::<Chunks>() };
    let next = chunks.pop_front();
    let array =
        next.map_or_else(FFI_ArrowArray::empty, |rows| FFI_ArrowArray::new(&rows.to_data()));
    // SAFETY: the consumer's place for it, which holds nothing yet.
    unsafe { out.write(array) };
    0
}

unsafe extern "C" fn stream_error(_: *mut FFI_ArrowArrayStream) -> *const c_char {
    std::ptr::null()
}

unsafe extern "C" fn stream_release(stream: *mut FFI_ArrowArrayStream) {
    // SAFETY: it is called once, with a stream of `export_stream`, which owned the box.
    unsafe {
        drop(Box::from_raw((*stream).private_data().cast::<Chunks>()));
        (*stream).set_private_data(std::ptr::null_mut::<c_void>());
        (*stream).set_release(None);
    }
}

/// The memory of an object that exports it by the buffer protocol, for as long as this is there.
pub struct Exported(PyUntypedBuffer);

impl Exported {
    /// None if it exports none.
    pub fn get(object: &Bound<PyAny>) -> PyResult<Option<Exported>> {
        let Ok(buffer) = PyUntypedBuffer::get(object) else { return Ok(None) };
        if buffer.item_size() != 1 {
            let size = buffer.item_size();
            return Err(PyTypeError::new_err(format!(
                "the buffer has items of {size} bytes: scan one of bytes, `memoryview(buffer).cast(\"B\")`"
            )));
        }
        if !buffer.is_c_contiguous() {
            return Err(PyValueError::new_err(
                "the buffer is not contiguous: scan a copy, `bytes(buffer)`",
            ));
        }
        Ok(Some(Exported(buffer)))
    }

    pub fn bytes(&self) -> &[u8] {
        let (begin, len) = (self.0.buf_ptr().cast::<u8>(), self.0.len_bytes());
        if begin.is_null() || len == 0 {
            return &[];
        }
        // SAFETY: so many bytes are contiguous and stay where they are as long as they are exported. Whoever writes to them
        // meanwhile, which the documentation forbids, changes what is found there; lengths and offsets never come from them.
        unsafe { std::slice::from_raw_parts(begin, len) }
    }
}
