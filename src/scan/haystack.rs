//! Where a haystack may be: in the caller's memory, in staging memory, or on the device.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ash::vk;

use super::ScanError;
#[cfg(unix)]
use crate::ExternalBuffer;
use crate::shaders::layout;
use crate::vulkan::allocator::{MemoryLocation, Owner};
use crate::vulkan::device::Device;
use crate::vulkan::import::import;
use crate::vulkan::memory::{Buffer, Span, WatchedBuffer};
use crate::vulkan::staging::{MappedBuffer, StagingBuffer};
use crate::{Backend, BackendError, MAX_HAYSTACK_BYTES, RawBuffer};

/// A haystack, wherever it is. Byte slices, and references to the others, turn into one.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
/// use vkscan::{Haystack, ResidentHaystack};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
/// let session = RulePipeline::new(&["b+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// let mut staged = session.staging(&backend, 3)?;
/// staged.copy_from_slice(b"abb");
/// let resident = ResidentHaystack::new(&backend, b"abb")?;
/// for haystack in [Haystack::from(b"abb"), Haystack::from(&staged), Haystack::from(&resident)] {
///     assert!(haystack.len() == 3 && !haystack.is_empty());
///     session.scan_into(&backend, haystack, &mut matches, &mut scratch)?;
///     assert_eq!(matches[0].start, 1);
/// }
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Haystack<'h> {
    /// In ordinary memory: it is copied to staging memory and then to the device.
    Bytes(&'h [u8]),
    /// In staging memory: it is copied to the device.
    Staged(&'h StagedHaystack),
    /// On the device: it is scanned where it lies.
    Resident(&'h ResidentHaystack),
    /// In host memory that the device copies from itself.
    Imported(&'h ImportedHaystack),
}

impl Haystack<'_> {
    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Haystack::Bytes(bytes) => bytes.len(),
            Haystack::Staged(staged) => staged.len(),
            Haystack::Resident(resident) => resident.len(),
            Haystack::Imported(imported) => imported.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a scan on that device can read it.
    pub(super) fn is_on(&self, device: &Arc<Device>) -> bool {
        match self {
            Haystack::Bytes(_) => true,
            Haystack::Staged(staged) => Arc::ptr_eq(&staged.device, device),
            Haystack::Resident(resident) => Arc::ptr_eq(&resident.device, device),
            Haystack::Imported(imported) => Arc::ptr_eq(&imported.device, device),
        }
    }
}

impl<'h> From<&'h [u8]> for Haystack<'h> {
    fn from(bytes: &'h [u8]) -> Haystack<'h> {
        Haystack::Bytes(bytes)
    }
}

impl<'h> From<&&'h [u8]> for Haystack<'h> {
    fn from(bytes: &&'h [u8]) -> Haystack<'h> {
        Haystack::Bytes(bytes)
    }
}

impl<'h, const N: usize> From<&'h [u8; N]> for Haystack<'h> {
    fn from(bytes: &'h [u8; N]) -> Haystack<'h> {
        Haystack::Bytes(bytes)
    }
}

impl<'h> From<&'h Vec<u8>> for Haystack<'h> {
    fn from(bytes: &'h Vec<u8>) -> Haystack<'h> {
        Haystack::Bytes(bytes)
    }
}

impl<'h> From<&'h StagedHaystack> for Haystack<'h> {
    fn from(staged: &'h StagedHaystack) -> Haystack<'h> {
        Haystack::Staged(staged)
    }
}

impl<'h> From<&'h ResidentHaystack> for Haystack<'h> {
    fn from(resident: &'h ResidentHaystack) -> Haystack<'h> {
        Haystack::Resident(resident)
    }
}

impl<'h> From<&'h ImportedHaystack> for Haystack<'h> {
    fn from(imported: &'h ImportedHaystack) -> Haystack<'h> {
        Haystack::Imported(imported)
    }
}

/// Staging memory lent by [`ResidentRulePipeline::staging`](crate::ResidentRulePipeline::staging), to read
/// a file or a socket straight into. It goes back to the session when it is dropped, to be lent again;
/// [`ResidentRulePipeline::trim`](crate::ResidentRulePipeline::trim) frees what is not lent.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
/// # let backend = Backend::new(&BackendOptions::default())?;
/// use std::io::Read;
///
/// # let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
/// let session = RulePipeline::new(&["[0-9]+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// let mut file = &b"one 2 three 44"[..];
/// let mut haystack = session.staging(&backend, session.haystack_capacity())?;
/// let len = file.read(&mut haystack)?;
/// haystack.truncate(len);
/// session.scan_into(&backend, &haystack, &mut matches, &mut scratch)?;
/// assert_eq!(matches.len(), 2);
/// # Ok::<(), vkscan::ScanError>(())
/// ```
pub struct StagedHaystack {
    /// Taken by `drop` alone.
    memory: Option<MappedBuffer>,
    len: usize,
    /// What of it comes from elsewhere on the device.
    resident: Vec<ResidentPart>,
    device: Arc<Device>,
    pool: Arc<StagingPool>,
}

impl StagedHaystack {
    /// Makes it shorter. What is left out is not scanned.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes it as long as that, within its memory.
    pub(crate) fn set_len(&mut self, len: usize) {
        assert!(len <= self.memory().len());
        self.len = len;
    }

    /// Has parts of it copied from elsewhere on the device, whatever it holds there itself.
    pub(crate) fn set_resident(&mut self, parts: Vec<ResidentPart>) {
        self.resident = parts;
    }

    pub(super) fn resident(&self) -> &[ResidentPart] {
        &self.resident
    }

    fn memory(&self) -> &MappedBuffer {
        self.memory.as_ref().expect("there until dropped")
    }

    pub(super) fn buffer(&self) -> &Buffer {
        self.memory().buffer()
    }
}

impl Deref for StagedHaystack {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory()[..self.len]
    }
}

impl DerefMut for StagedHaystack {
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        &mut self.memory.as_mut().expect("there until dropped")[..len]
    }
}

impl Drop for StagedHaystack {
    fn drop(&mut self) {
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).extend(self.memory.take());
    }
}

impl std::fmt::Debug for StagedHaystack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StagedHaystack").field("len", &self.len).finish_non_exhaustive()
    }
}

/// A part of a resident haystack that is copied, on the device, to where it belongs in another.
pub(crate) struct ResidentPart {
    pub(super) buffer: Buffer,
    pub(super) region: vk::BufferCopy,
}

impl ResidentPart {
    /// `len` bytes, which are not none, from one offset to another.
    pub(crate) fn new(from: &ResidentHaystack, src: usize, dst: usize, len: usize) -> ResidentPart {
        let [src, dst_offset, size] = [src, dst, len].map(|bytes| bytes as u64);
        let src_offset = from.offset + src;
        let region = vk::BufferCopy { src_offset, dst_offset, size };
        ResidentPart { buffer: from.buffer.clone(), region }
    }
}

/// Staging memory that is not lent at the moment.
#[derive(Default)]
pub(super) struct StagingPool {
    free: Mutex<Vec<MappedBuffer>>,
}

impl StagingPool {
    /// Lends `len` bytes, of pieces of `capacity`.
    pub(super) fn lend(
        self: &Arc<Self>,
        backend: &Backend,
        capacity: u64,
        len: usize,
    ) -> Result<StagedHaystack, BackendError> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = match free {
            Some(memory) => memory,
            None => MappedBuffer::new(backend.device(), "lent staging", capacity)?,
        };
        let device = backend.device().clone();
        let resident = Vec::new();
        Ok(StagedHaystack { memory: Some(memory), len, resident, device, pool: self.clone() })
    }

    /// Frees what is not lent, and says how many bytes that is. What the device still holds of it is in `watched` then.
    pub(super) fn free(&self, watched: &mut Vec<WatchedBuffer>) -> Result<u64, BackendError> {
        let free = std::mem::take(&mut *self.free.lock().unwrap_or_else(PoisonError::into_inner));
        watched.extend(free.iter().map(|memory| memory.buffer().watch()));
        let bytes = free.iter().map(|memory| memory.len() as u64).sum();
        free.into_iter().map(MappedBuffer::destroy).fold(Ok(()), Result::and).map(|()| bytes)
    }
}

/// A haystack in device memory, to be scanned by any session of its backend, as often as needed. Its memory is given back
/// when it is dropped or, where a scan of it is still under way then, when that has ended.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, ResidentHaystack, RulePipeline, ScanScratch};
/// let backend = Backend::new(&BackendOptions::default())?;
/// let haystack = ResidentHaystack::new(&backend, b"one 2 three 44")?;
/// assert!(haystack.len() == 14 && !haystack.is_empty());
/// let session = RulePipeline::new(&[r"\d+"])?.prepare_resident(&backend, haystack.len(), 10)?;
/// let mut matches = Vec::new();
/// session.scan_into(&backend, &haystack, &mut matches, &mut ScanScratch::default())?;
/// assert_eq!(matches.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ResidentHaystack {
    device: Arc<Device>,
    buffer: Buffer,
    /// Where it begins in the buffer.
    offset: u64,
    len: usize,
    users: Arc<Users>,
}

/// Bytes of a haystack, rounded up to what kernels read at once.
pub(super) fn padded(len: usize) -> u64 {
    (len.max(1) as u64).next_multiple_of(layout::PREFILTER_BYTES.into())
}

/// The error of an offset that is not aligned.
pub(super) fn unaligned(what: &str, offset: u64, alignment: u64) -> BackendError {
    BackendError::invalid(what, format!("{offset} is no multiple of {alignment}, as it has to be"))
}

/// A haystack in ordinary host memory that the device copies from by itself, at whatever address it begins: no copy by the host
/// comes before, as one does for a byte slice. Importing it takes a while, for its pages are pinned: that pays for memory that
/// is scanned more than once, or is large, such as a file mapping.
///
/// Drivers may pin pages for writing, as NVIDIA's does: files are best mapped privately and writable (pages that are pinned are
/// copied by the kernel then, once), or lie in memory (tmpfs), where a shared mapping that is writable is pinned as it is. After
/// a mapping that it cannot pin, NVIDIA's driver takes no other memory until the device is opened again.
///
/// It keeps what owns the memory until no scan reads it any more.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
/// use vkscan::ImportedHaystack;
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
/// let session = RulePipeline::new(&[r"\d+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// if backend.device_info().host_import_alignment.is_some() {
///     let haystack = ImportedHaystack::new(&backend, b"one 2 three 44".to_vec())?;
///     assert!(haystack.len() == 14 && !haystack.is_empty());
///     session.scan_into(&backend, &haystack, &mut matches, &mut scratch)?;
///     assert_eq!(matches.len(), 2);
/// }
/// # Ok::<(), vkscan::ScanError>(())
/// ```
pub struct ImportedHaystack {
    device: Arc<Device>,
    /// With where it begins there; none if there is nothing in it.
    buffer: Option<(Buffer, u64)>,
    len: usize,
    users: Arc<Users>,
}

impl ImportedHaystack {
    /// Imports the bytes of `owner`: a vector, a file mapping, or whatever else keeps them where they are.
    ///
    /// # Errors
    ///
    /// A device without `VK_EXT_external_memory_host`, or one of the caller's that was made without
    /// ([`BackendError::Unsupported`]); a driver that does not take this memory ([`BackendError::InvalidHandle`], or
    /// [`BackendError::OutOfMemory`] as NVIDIA's says of what it cannot pin for writing); a haystack of more than
    /// [`MAX_HAYSTACK_BYTES`], lack of memory, or a fault of the device. The owner is dropped then.
    pub fn new(
        backend: &Backend,
        owner: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<ImportedHaystack, ScanError> {
        let device = backend.device();
        device.alive()?;
        // Where it is from now on, its bytes stay.
        let owner: Owner = Box::new(owner);
        let len = (*owner).as_ref().len();
        if len > MAX_HAYSTACK_BYTES {
            return Err(ScanError::HaystackTooLarge { bytes: len, capacity: MAX_HAYSTACK_BYTES });
        }
        let name = "imported haystack";
        let buffer = (len > 0).then(|| import(device, name, owner)).transpose()?;
        Ok(ImportedHaystack { device: device.clone(), buffer, len, users: Arc::default() })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes note of who scans it.
    pub(super) fn add_user(&self, user: Arc<dyn User>) {
        self.users.add(user);
    }

    /// Where its bytes are, of which there are some.
    pub(super) fn span(&self) -> Span<'_> {
        let (buffer, offset) = self.buffer.as_ref().expect("what is empty is not scanned");
        Span { buffer, offset: *offset, size: self.len as u64 }
    }
}

impl Drop for ImportedHaystack {
    fn drop(&mut self) {
        self.buffer = None;
        std::mem::take(&mut self.users).let_go();
    }
}

impl std::fmt::Debug for ImportedHaystack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportedHaystack").field("len", &self.len).finish_non_exhaustive()
    }
}

/// What may be bound to a haystack.
pub(super) trait User: Send + Sync {
    /// Lets go of haystacks that are gone.
    fn let_go(&self);
}

/// Those of one haystack.
#[derive(Default)]
pub(super) struct Users(Mutex<Vec<Weak<dyn User>>>);

impl Users {
    fn add(&self, user: Arc<dyn User>) {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !users.iter().any(|known| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(&user))) {
            users.retain(|known| known.strong_count() > 0);
            users.push(Arc::downgrade(&user));
        }
    }

    /// Has all of them let go: those that do not scan see at once that nobody wants the haystack, the others when they are done.
    fn let_go(self: Arc<Users>) {
        let users = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(self);
        users.iter().filter_map(Weak::upgrade).for_each(|user| user.let_go());
    }
}

impl ResidentHaystack {
    /// Moves `haystack` to the device.
    ///
    /// # Errors
    ///
    /// A haystack of more than [`MAX_HAYSTACK_BYTES`], lack of memory, or a fault of the device.
    pub fn new(backend: &Backend, haystack: &[u8]) -> Result<ResidentHaystack, ScanError> {
        /// Staging memory for it, in bytes.
        const STAGING: usize = 16 << 20;

        let device = backend.device();
        if haystack.len() > MAX_HAYSTACK_BYTES {
            let (bytes, capacity) = (haystack.len(), MAX_HAYSTACK_BYTES);
            return Err(ScanError::HaystackTooLarge { bytes, capacity });
        }
        let size = padded(haystack.len());
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST;
        let buffer =
            Buffer::new(device, "resident haystack", size, MemoryLocation::DeviceLocal, usage)?;
        let staging =
            StagingBuffer::new(device, "resident haystack/staging", size.min(STAGING as u64))?;
        staging.upload("upload haystack", &[haystack], &buffer)?;
        let (device, len) = (device.clone(), haystack.len());
        Ok(ResidentHaystack { device, buffer, offset: 0, len, users: Arc::default() })
    }

    /// A haystack of `len` bytes in a buffer of the caller's, from `offset` on, to be scanned where it lies. The caller sees to
    /// it that what it holds has been written, as by semaphores
    /// ([`ResidentRulePipeline::submit_with_semaphores`](crate::ResidentRulePipeline::submit_with_semaphores)), and that it
    /// stays as it is while it is scanned.
    ///
    /// # Errors
    ///
    /// A haystack of more than [`MAX_HAYSTACK_BYTES`], a buffer that is null, was not made with
    /// `VK_BUFFER_USAGE_STORAGE_BUFFER_BIT` and `VK_BUFFER_USAGE_TRANSFER_SRC_BIT`, or does not have the bytes rounded up to
    /// whole 16 ones, an `offset` that is no multiple of [`DeviceInfo::storage_buffer_alignment`](crate::DeviceInfo), or a
    /// lost device.
    pub fn from_raw(
        backend: &Backend,
        buffer: RawBuffer,
        offset: u64,
        len: usize,
    ) -> Result<ResidentHaystack, ScanError> {
        let device = backend.device();
        check_place(device, buffer, offset, len)?;
        let buffer = Buffer::of_caller(device, "the caller's haystack", buffer);
        Ok(ResidentHaystack { device: device.clone(), buffer, offset, len, users: Arc::default() })
    }

    /// A haystack of `len` bytes in memory that others share, from `offset` on, to be scanned where it lies. What it holds has to
    /// be written before it is scanned, and to stay as it is meanwhile, as for [`ResidentHaystack::from_raw`].
    ///
    /// # Errors
    ///
    /// A haystack of more than [`MAX_HAYSTACK_BYTES`], a buffer that does not have the bytes rounded up to whole 16 ones, an
    /// `offset` that is no multiple of [`DeviceInfo::storage_buffer_alignment`](crate::DeviceInfo), or a lost device.
    #[cfg(unix)]
    pub fn from_external(
        buffer: &ExternalBuffer,
        offset: u64,
        len: usize,
    ) -> Result<ResidentHaystack, ScanError> {
        let (device, raw, buffer) = (buffer.device(), buffer.raw(), buffer.buffer().clone());
        check_place(device, raw, offset, len)?;
        Ok(ResidentHaystack { device: device.clone(), buffer, offset, len, users: Arc::default() })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `VkBuffer` that it is in, where in that it begins, and how large that is, in bytes: for kernels of the program's, or to
    /// be scanned by a recording. One that vkscan has made is a storage buffer, and for transfers both ways, and goes with the
    /// haystack.
    pub fn raw_buffer(&self) -> (u64, u64, u64) {
        (self.buffer.handle(), self.offset, self.buffer.size())
    }

    pub(super) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// What is bound of its buffer.
    pub(super) fn span(&self) -> Span<'_> {
        Span { buffer: &self.buffer, offset: self.offset, size: padded(self.len) }
    }

    /// What is gone once nobody can scan it any more.
    pub(super) fn users(&self) -> Weak<Users> {
        Arc::downgrade(&self.users)
    }

    /// Takes note of who scans it.
    pub(super) fn add_user(&self, user: Arc<dyn User>) {
        self.users.add(user);
    }

    /// Whether it is on that device.
    pub(crate) fn is_on(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(&self.device, device)
    }
}

/// Fails if there can be no haystack of `len` bytes at that place.
fn check_place(
    device: &Device,
    buffer: RawBuffer,
    offset: u64,
    len: usize,
) -> Result<(), ScanError> {
    device.alive()?;
    if len > MAX_HAYSTACK_BYTES {
        return Err(ScanError::HaystackTooLarge { bytes: len, capacity: MAX_HAYSTACK_BYTES });
    }
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC;
    buffer.check("the haystack's buffer", usage, offset, padded(len))?;
    let alignment = device.info().storage_buffer_alignment;
    if !offset.is_multiple_of(alignment) {
        return Err(unaligned("the haystack's offset", offset, alignment).into());
    }
    Ok(())
}

impl Drop for ResidentHaystack {
    fn drop(&mut self) {
        std::mem::take(&mut self.users).let_go();
    }
}

impl std::fmt::Debug for ResidentHaystack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResidentHaystack").field("len", &self.len).finish_non_exhaustive()
    }
}
