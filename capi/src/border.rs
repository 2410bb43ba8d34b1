//! What comes over the border: pointers, lengths and structs that tell their own size, each looked at before it is
//! used.

use std::ffi::{CStr, c_char};
use std::mem::offset_of;
use std::sync::{Mutex, MutexGuard, TryLockError};

use vkscan::Match;

use crate::status::{Failure, vkscan_status};

/// Largest size of a struct that is believed: what is more was never set.
const MOST_STRUCT_BYTES: usize = 4096;

/// A struct that begins with its size.
///
/// # Safety
///
/// It is `repr(C)`, its first field is a `u32` for its size, and any bytes make a valid value of it.
pub(crate) unsafe trait SizedStruct: Copy {
    /// Its name in C.
    const NAME: &'static str;
}

/// Says that structs are [`SizedStruct`]s.
macro_rules! sized {
    ($($name:ident),*) => {
        $(
            // SAFETY: a `repr(C)` struct of a size and then numbers, pointers and functions that may be null.
            unsafe impl $crate::border::SizedStruct for $name {
                const NAME: &'static str = stringify!($name);
            }
        )*
    };
}
pub(crate) use sized;

/// Fails if something that is not used is set; `instead` is what to do.
pub(crate) fn unused(reserved: u32, name: &str, instead: &str) -> Result<(), Failure> {
    match reserved {
        0 => Ok(()),
        _ => Err(Failure::argument(format!("`{name}` is not 0: {instead}"))),
    }
}

/// What to do about parts of plain structs that are not used.
pub(crate) const ZERO: &str = "set what is not used to zero";

/// What a mutex holds, unless another thread is at it.
pub(crate) fn peek<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(state) => Some(state),
        Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// What a pointer must point to.
fn check<T>(pointer: *const T, name: &str) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::null(name));
    }
    if !pointer.is_aligned() {
        return Err(Failure::argument(format!(
            "`{name}` is not aligned to {} bytes",
            align_of::<T>()
        )));
    }
    Ok(())
}

/// The size that a struct says it has, as far as it can be.
///
/// # Safety
///
/// `of` points to its size, or is null.
unsafe fn size_of_struct<T: SizedStruct>(of: *const T, name: &str) -> Result<usize, Failure> {
    check(of, name)?;
    // SAFETY: as the caller promises, and it is not null.
    let size = unsafe { of.cast::<u32>().read() };
    check_size::<T>(size as usize, name)
}

fn check_size<T: SizedStruct>(size: usize, name: &str) -> Result<usize, Failure> {
    if (size_of::<T>()..=MOST_STRUCT_BYTES).contains(&size) {
        return Ok(size);
    }
    let (least, of) = (size_of::<T>(), T::NAME);
    Err(Failure::argument(format!(
        "`{name}` has a `struct_size` of {size}, and {of} takes {least}: set it to sizeof({of})"
    )))
}

/// Reads options; null stands for `otherwise`.
///
/// # Safety
///
/// `from` is null or points to as many bytes as the struct says it has.
pub(crate) unsafe fn read_or<T: SizedStruct>(
    from: *const T,
    name: &str,
    otherwise: T,
) -> Result<T, Failure> {
    if from.is_null() {
        return Ok(otherwise);
    }
    // SAFETY: as the caller promises.
    unsafe { read(from, name) }
}

/// Reads a struct, whose fields that are not known here must be zero.
///
/// # Safety
///
/// `from` is null or points to as many bytes as the struct says it has.
pub(crate) unsafe fn read<T: SizedStruct>(from: *const T, name: &str) -> Result<T, Failure> {
    // SAFETY: as the caller promises.
    let size = unsafe { size_of_struct(from, name) }?;
    let beyond = size - size_of::<T>();
    // SAFETY: there are so many bytes behind the fields that are known.
    let beyond = unsafe { std::slice::from_raw_parts(from.add(1).cast::<u8>(), beyond) };
    if beyond.iter().any(|&byte| byte != 0) {
        return Err(Failure::argument(format!(
            "`{name}` has fields that this version of vkscan does not know, and they are not zero"
        )));
    }
    // SAFETY: it is not null and aligned, and any bytes are valid.
    Ok(unsafe { from.read() })
}

/// Fills options with their defaults, as much of them as the caller knows of.
///
/// # Safety
///
/// `to` is null or points to `size` bytes.
pub(crate) unsafe fn init<T: SizedStruct>(
    to: *mut T,
    size: usize,
    defaults: T,
) -> Result<(), Failure> {
    check(to, "options")?;
    let size = check_size::<T>(size, "options")?;
    // SAFETY: as the caller promises, and the size is enough.
    unsafe { write(to, size, defaults) };
    Ok(())
}

/// Writes a struct of so many bytes, and zeros behind what is known of it.
///
/// # Safety
///
/// `to` is aligned and points to `size` bytes, which are no fewer than the struct has and no more than a `u32` holds.
unsafe fn write<T: SizedStruct>(to: *mut T, size: usize, value: T) {
    // SAFETY: as the caller promises; the size is the first field.
    unsafe {
        to.write(value);
        to.cast::<u32>().write(size as u32);
        to.add(1).cast::<u8>().write_bytes(0, size - size_of::<T>());
    }
}

/// Where a result goes.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    ///
    /// `to` is null or can be written to, as long as this lives.
    pub(crate) unsafe fn new(to: *mut T, name: &str) -> Result<Out<T>, Failure> {
        check(to, name)?;
        Ok(Out(to))
    }

    /// As [`Out::new`], for a result that need not be wanted.
    ///
    /// # Safety
    ///
    /// As [`Out::new`].
    pub(crate) unsafe fn optional(to: *mut T, name: &str) -> Result<Option<Out<T>>, Failure> {
        // SAFETY: as the caller promises.
        (!to.is_null()).then(|| unsafe { Out::new(to, name) }).transpose()
    }

    /// Overwrites what was there, which may be nothing.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: it is not null and aligned, and can be written to as `new` was promised.
        unsafe { self.0.write(value) };
    }
}

/// Where a handle goes.
pub(crate) struct HandleOut<T>(Out<*mut T>);

impl<T> HandleOut<T> {
    /// It is null there until there is one: whatever fails, nothing is freed by mistake.
    ///
    /// # Safety
    ///
    /// `to` is null or can be written to, as long as this lives.
    pub(crate) unsafe fn new(to: *mut *mut T, name: &str) -> Result<HandleOut<T>, Failure> {
        // SAFETY: as the caller promises.
        let to = unsafe { Out::new(to, name) }?;
        to.set(std::ptr::null_mut());
        Ok(HandleOut(to))
    }

    pub(crate) fn set(&self, handle: T) {
        self.0.set(Box::into_raw(Box::new(handle)));
    }
}

/// Where a struct that tells its size goes.
pub(crate) struct SizedOut<T> {
    to: *mut T,
    size: usize,
}

impl<T: SizedStruct> SizedOut<T> {
    /// # Safety
    ///
    /// `to` is null or points to as many bytes as the struct says it has, which can be written to as long as this
    /// lives.
    pub(crate) unsafe fn new(to: *mut T, name: &str) -> Result<SizedOut<T>, Failure> {
        // SAFETY: as the caller promises.
        let size = unsafe { size_of_struct(to, name) }?;
        Ok(SizedOut { to, size })
    }

    /// As [`SizedOut::new`], for a result that need not be wanted.
    ///
    /// # Safety
    ///
    /// As [`SizedOut::new`].
    pub(crate) unsafe fn optional(to: *mut T, name: &str) -> Result<Option<SizedOut<T>>, Failure> {
        // SAFETY: as the caller promises.
        (!to.is_null()).then(|| unsafe { SizedOut::new(to, name) }).transpose()
    }

    pub(crate) fn set(&self, value: T) {
        // SAFETY: as `new` was promised and has checked.
        unsafe { write(self.to, self.size, value) };
    }
}

/// The elements of a caller's array.
///
/// # Safety
///
/// `from` is null or points to `len` elements, as long as the slice is used.
pub(crate) unsafe fn slice<'a, T>(
    from: *const T,
    len: usize,
    name: &str,
) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    check_array(from, len, name)?;
    // SAFETY: as the caller promises; it is not null and aligned, and as large as memory can be.
    Ok(unsafe { std::slice::from_raw_parts(from, len) })
}

/// A caller's struct that does not tell its size.
///
/// # Safety
///
/// `from` is null or points to one, of which any bytes make a valid value.
pub(crate) unsafe fn value<T: Copy>(from: *const T, name: &str) -> Result<T, Failure> {
    check(from, name)?;
    // SAFETY: as the caller promises; it is not null and aligned.
    Ok(unsafe { from.read() })
}

fn check_array<T>(from: *const T, len: usize, name: &str) -> Result<(), Failure> {
    check(from, name)?;
    match len.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(Failure::argument(format!(
            "`{name}` cannot have {len} elements: memory is not that large"
        ))),
    }
}

/// A caller's text; null is none.
///
/// # Safety
///
/// `from` is null or points to a text that ends with a zero byte, as long as it is used.
pub(crate) unsafe fn text<'a>(from: *const c_char, name: &str) -> Result<Option<&'a str>, Failure> {
    if from.is_null() {
        return Ok(None);
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(from) };
    let not_utf8 = |_| Failure::new(vkscan_status::InvalidUtf8, format!("`{name}` is not UTF-8"));
    text.to_str().map(Some).map_err(not_utf8)
}

/// One match of one pattern: the bytes from `start` to before `end`. It is never empty.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_match {
    /// The pattern's index in the array that the rules were compiled from.
    pub pattern_id: u32,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

const _: () = {
    assert!(size_of::<Match>() == size_of::<vkscan_match>());
    assert!(offset_of!(Match, pattern_id) == offset_of!(vkscan_match, pattern_id));
    assert!(offset_of!(Match, start) == offset_of!(vkscan_match, start));
    assert!(offset_of!(Match, end) == offset_of!(vkscan_match, end));
};

/// Matches of ours as C has them; null if there are none.
pub(crate) fn matches_of(found: &[Match]) -> *const vkscan_match {
    // They are laid out the same.
    if found.is_empty() { std::ptr::null() } else { found.as_ptr().cast() }
}

/// A caller's array for matches.
pub(crate) struct MatchArray {
    to: *mut vkscan_match,
    capacity: usize,
    count: Out<usize>,
}

impl MatchArray {
    /// Sets the count to 0.
    ///
    /// # Safety
    ///
    /// `to` is null or points to room for `capacity` matches, and `count` is null or can be written to, as long as this
    /// lives.
    pub(crate) unsafe fn new(
        to: *mut vkscan_match,
        capacity: usize,
        count: *mut usize,
    ) -> Result<MatchArray, Failure> {
        // SAFETY: as the caller promises.
        let count = unsafe { Out::new(count, "count") }?;
        count.set(0);
        if capacity > 0 {
            check_array(to, capacity, "matches")?;
        }
        Ok(MatchArray { to, capacity, count })
    }

    /// Gives the caller matches, if there is room for all.
    pub(crate) fn give(&self, found: &[Match]) -> Result<(), Failure> {
        self.count.set(found.len());
        if found.len() > self.capacity {
            let (needed, capacity) = (found.len(), self.capacity);
            return Err(Failure::new(
                vkscan_status::BufferTooSmall,
                format!(
                    "there are {needed} matches and `matches` has room for {capacity}: make it larger"
                ),
            ));
        }
        for (index, &Match { pattern_id, start, end }) in found.iter().enumerate() {
            let found = vkscan_match { pattern_id, start, end };
            // SAFETY: the array has room for more than `index` matches, as `new` was promised.
            unsafe { self.to.add(index).write(found) };
        }
        Ok(())
    }

    /// Tells the caller how many matches there are of which none can be had.
    pub(crate) fn too_many(&self, found: u64) {
        self.count.set(usize::try_from(found).unwrap_or(usize::MAX));
    }
}

/// An element of a list of ours.
pub(crate) fn element<'a, T>(of: &'a [T], index: usize, name: &str) -> Result<&'a T, Failure> {
    let count = of.len();
    of.get(index).ok_or_else(|| {
        Failure::argument(format!("`index` is {index}, and there are {count} {name}"))
    })
}
