//! Device memory that others share by a file descriptor, on other devices, in other processes or by other interfaces:
//! `VK_KHR_external_memory_fd` and `VK_EXT_external_memory_dma_buf`.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::Arc;

use ash::{ext, khr, vk};

use super::Backend;
use super::allocator::{Allocation, MemoryLocation};
use super::device::{Core, Device};
use super::error::{BackendError, Result};
use super::memory::{Buffer, Unbound, for_buffer, preferred_types};
use super::quirks;
use super::raw::RawBuffer;
use crate::narrow::narrow;
use crate::setters::setters;

/// How a file descriptor stands for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryHandle {
    /// As Vulkan devices of the same [`DeviceInfo::uuid`](crate::DeviceInfo) and `driver_uuid` know it among themselves, and
    /// CUDA on the same device: `VK_KHR_external_memory_fd`.
    OpaqueFd,
    /// A Linux dma-buf, which other devices and drivers know, too: `VK_EXT_external_memory_dma_buf`.
    DmaBuf,
}

impl MemoryHandle {
    fn kind(self) -> vk::ExternalMemoryHandleTypeFlags {
        match self {
            MemoryHandle::OpaqueFd => vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD,
            MemoryHandle::DmaBuf => vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT,
        }
    }

    /// The functions for it, if buffers can be shared in that direction.
    fn functions(
        self,
        device: &Core,
        wanted: vk::ExternalMemoryFeatureFlags,
        what: &'static str,
    ) -> Result<khr::external_memory_fd::Device> {
        let missing = |needed| Err(BackendError::Unsupported { what, needed });
        if !device.has(khr::external_memory_fd::NAME) {
            return missing("VK_KHR_external_memory_fd");
        }
        if self == MemoryHandle::DmaBuf && !device.has(ext::external_memory_dma_buf::NAME) {
            return missing("VK_EXT_external_memory_dma_buf");
        }
        let instance = device.instance().raw();
        let info =
            vk::PhysicalDeviceExternalBufferInfo::default().usage(USAGE).handle_type(self.kind());
        let mut found = vk::ExternalBufferProperties::default();
        // SAFETY: the physical device is of that instance, and has the extension that the handle type is of.
        unsafe {
            instance.get_physical_device_external_buffer_properties(
                device.physical(),
                &info,
                &mut found,
            );
        }
        let features = found.external_memory_properties.external_memory_features;
        let is_alone = features.contains(vk::ExternalMemoryFeatureFlags::DEDICATED_ONLY);
        if !features.contains(wanted) || is_alone {
            return missing(match self {
                MemoryHandle::OpaqueFd => "opaque file descriptors of storage buffers' memory",
                MemoryHandle::DmaBuf => "dma-bufs of storage buffers' memory",
            });
        }
        Ok(khr::external_memory_fd::Device::new(instance, device.raw()))
    }

    /// The queue family that stands for whoever shares such memory.
    fn outside(self, device: &Core) -> u32 {
        match self {
            MemoryHandle::DmaBuf if device.has(ext::queue_family_foreign::NAME) => {
                vk::QUEUE_FAMILY_FOREIGN_EXT
            }
            MemoryHandle::OpaqueFd | MemoryHandle::DmaBuf => vk::QUEUE_FAMILY_EXTERNAL,
        }
    }
}

/// What whoever imports memory has to know of it beside its file descriptor, and which part of it is meant.
///
/// # Examples
///
/// ```
/// use vkscan::{ExternalMemory, MemoryHandle};
///
/// // The second of two pages that another Vulkan program has allocated of its memory type 7.
/// let memory = ExternalMemory::new(MemoryHandle::OpaqueFd, 8192).memory_type(Some(7)).offset(4096).bytes(4096);
/// assert_eq!((memory.allocation_bytes, memory.offset, memory.bytes), (8192, 4096, 4096));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExternalMemory {
    /// What the file descriptor is.
    pub handle: MemoryHandle,
    /// Bytes of all of it, as it was allocated.
    pub allocation_bytes: u64,
    /// Index of the memory type that it was allocated of. None, the default, where it has none, because it is no Vulkan device
    /// that it was allocated by, or another one.
    pub memory_type: Option<u32>,
    /// Where the buffer begins in it, in bytes; by default 0.
    pub offset: u64,
    /// Bytes of the buffer; by default all.
    pub bytes: u64,
}

setters!(ExternalMemory { memory_type: Option<u32>, offset: u64, bytes: u64 });

impl ExternalMemory {
    /// All of a piece of memory.
    pub fn new(handle: MemoryHandle, allocation_bytes: u64) -> ExternalMemory {
        let (memory_type, offset, bytes) = (None, 0, allocation_bytes);
        ExternalMemory { handle, allocation_bytes, memory_type, offset, bytes }
    }
}

/// A buffer in device memory that others share: another device, another process, CUDA. They write haystacks there
/// ([`ResidentHaystack::from_external`](crate::ResidentHaystack::from_external)), or read hits
/// ([`ResidentRulePipeline::record`](crate::ResidentRulePipeline::record)).
///
/// Who may use it when is theirs to agree on, by semaphores such as an [`ExternalSemaphore`](crate::ExternalSemaphore), or by
/// waiting. Each submission of a scan takes the memory over from `VK_QUEUE_FAMILY_EXTERNAL`, or of a dma-buf from
/// `VK_QUEUE_FAMILY_FOREIGN_EXT` where the device has that, and hands it back; so does whoever else uses it by Vulkan (*Queue
/// Family Ownership Transfer*), commands with a [`Recording`](crate::Recording) in them included.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendError, BackendOptions, ExternalBuffer, MemoryHandle, ResidentHaystack};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// match ExternalBuffer::new(&backend, MemoryHandle::OpaqueFd, 1 << 16) {
///     Ok(buffer) => {
///         let fd = buffer.export_fd()?;
///         let haystack = ResidentHaystack::from_external(&buffer, 0, 60_000)?;
///         println!("{fd:?} is {:?}, to be filled by another process", buffer.memory());
///     }
///     Err(BackendError::Unsupported { needed, .. }) => println!("there is no {needed}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok::<(), vkscan::ScanError>(())
/// ```
pub struct ExternalBuffer {
    device: Arc<Device>,
    buffer: Buffer,
    memory: ExternalMemory,
    is_imported: bool,
}

/// What a buffer is for.
const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::STORAGE_BUFFER.as_raw()
        | vk::BufferUsageFlags::TRANSFER_SRC.as_raw()
        | vk::BufferUsageFlags::TRANSFER_DST.as_raw(),
);

/// Buffers that are made are of whole pieces of so many bytes, as kernels read haystacks.
const PIECE: u64 = 16;

const NAME: &str = "external buffer";

impl ExternalBuffer {
    /// Makes a buffer of so many bytes, rounded up to whole 16 ones, whose memory others can import. What it holds is undefined.
    ///
    /// # Errors
    ///
    /// A device that does not export memory so, or one of the caller's that was made without the extension
    /// ([`BackendError::Unsupported`]); no bytes, or more than one allocation or the backend's limit has; lack of memory, or a
    /// fault of the device.
    pub fn new(backend: &Backend, handle: MemoryHandle, bytes: u64) -> Result<ExternalBuffer> {
        let device = backend.device();
        let bytes = bytes.saturating_add(PIECE - 1) / PIECE * PIECE;
        begin(device, bytes)?;
        let wanted = vk::ExternalMemoryFeatureFlags::EXPORTABLE;
        handle.functions(device, wanted, "exporting memory")?;
        let buffer = Unbound::new(device, NAME, bytes, USAGE, handle.kind(), false)?;
        let needs = buffer.requirements();
        let types = preferred_types(device.memory_properties(), MemoryLocation::DeviceLocal);
        let memory_type = first_of(types, needs.memory_type_bits).ok_or_else(no_memory_type)?;
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(handle.kind());
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(memory_type)
            .push_next(&mut export);
        let memory = device
            .call("vkAllocateMemory", || {
                // SAFETY: the type is one of the device's, and memory for such buffers can be exported so.
                unsafe { device.raw().allocate_memory(&info, None) }
            })
            .map_err(|error| for_buffer(error, needs.size, NAME))?;
        let allocation = Allocation::Shared { memory, outside: handle.outside(device) };
        let buffer = buffer.bind(allocation, memory_type, 0)?;
        let memory =
            ExternalMemory::new(handle, needs.size).memory_type(Some(memory_type)).bytes(bytes);
        Ok(ExternalBuffer { device: device.clone(), buffer, memory, is_imported: false })
    }

    /// Makes a buffer of memory that others have exported, which stays as it is. The file descriptor is taken, and closed where
    /// this fails.
    ///
    /// # Errors
    ///
    /// A device that does not import memory so, or one of the caller's that was made without the extension
    /// ([`BackendError::Unsupported`]); a part of no bytes, one that the memory does not have, an offset that buffers cannot
    /// begin at, a memory type that they cannot be in, or what the driver does not know as such memory
    /// ([`BackendError::InvalidHandle`]); lack of memory, or a fault of the device.
    ///
    /// # Safety
    ///
    /// The file descriptor is what `memory` says it is, of memory that was not allocated for one resource alone
    /// (`VkMemoryDedicatedAllocateInfo`). What an opaque one stands for was allocated on a device with the same
    /// [`DeviceInfo::uuid`](crate::DeviceInfo) and `driver_uuid`, with that size, and by Vulkan of that memory type.
    pub unsafe fn import(
        backend: &Backend,
        fd: OwnedFd,
        memory: &ExternalMemory,
    ) -> Result<ExternalBuffer> {
        let device = backend.device();
        let ExternalMemory { handle, allocation_bytes, offset, bytes, .. } = *memory;
        begin(device, bytes)?;
        let wanted = vk::ExternalMemoryFeatureFlags::IMPORTABLE;
        let functions = handle.functions(device, wanted, "importing memory")?;
        let buffer = Unbound::new(device, NAME, bytes, USAGE, handle.kind(), true)?;
        let needs = buffer.requirements();
        check_place(memory, needs)?;
        let mut allowed = needs.memory_type_bits;
        if handle == MemoryHandle::DmaBuf {
            let mut found = vk::MemoryFdPropertiesKHR::default();
            device
                .call("vkGetMemoryFdPropertiesKHR", || {
                    // SAFETY: the file descriptor is open and, as the caller promises, a dma-buf.
                    unsafe {
                        functions.get_memory_fd_properties(
                            handle.kind(),
                            fd.as_raw_fd(),
                            &mut found,
                        )
                    }
                })
                .map_err(refused)?;
            allowed &= found.memory_type_bits;
        }
        let memory_type = match memory.memory_type {
            Some(memory_type) => first_of([memory_type as usize], allowed),
            None => {
                let properties = device.memory_properties();
                let local = preferred_types(properties, MemoryLocation::DeviceLocal);
                let all = 0..properties.memory_types_as_slice().len();
                first_of(local.into_iter().chain(all), allowed)
            }
        };
        let memory_type = memory_type.ok_or_else(no_memory_type)?;
        let mut import =
            vk::ImportMemoryFdInfoKHR::default().handle_type(handle.kind()).fd(fd.as_raw_fd());
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(allocation_bytes)
            .memory_type_index(memory_type)
            .push_next(&mut import);
        let allocated = quirks::give_fd(&device.info().driver_name, fd, || {
            device.call("vkAllocateMemory", || {
                // SAFETY: the file descriptor is open, and what the caller promises it to be; the type is one that it allows.
                unsafe { device.raw().allocate_memory(&info, None) }
            })
        });
        let allocation = Allocation::Shared {
            memory: allocated.map_err(refused)?,
            outside: handle.outside(device),
        };
        let buffer = buffer.bind(allocation, memory_type, offset)?;
        let memory = ExternalMemory { memory_type: Some(memory_type), ..*memory };
        Ok(ExternalBuffer { device: device.clone(), buffer, memory, is_imported: true })
    }

    /// Makes a file descriptor for the memory, for others to import with what [`ExternalBuffer::memory`] says. The memory lives
    /// as long as anybody has it.
    ///
    /// # Errors
    ///
    /// A buffer whose memory was imported ([`BackendError::InvalidHandle`]): whoever exported that can do so again. Too many
    /// open files, lack of memory, or a fault of the device.
    pub fn export_fd(&self) -> Result<OwnedFd> {
        if self.is_imported {
            let reason = "its memory was imported: export it where it was allocated, or duplicate that file descriptor";
            return Err(BackendError::invalid("the external buffer", reason));
        }
        let device = &self.device;
        let (memory, _) = self.buffer.place()?;
        let info =
            vk::MemoryGetFdInfoKHR::default().memory(memory).handle_type(self.memory.handle.kind());
        let functions = khr::external_memory_fd::Device::new(device.instance().raw(), device.raw());
        let fd = device.call("vkGetMemoryFdKHR", || {
            // SAFETY: the memory was allocated to be exported so, and the extension is enabled.
            unsafe { functions.get_memory_fd(&info) }
        })?;
        // SAFETY: it was just made, and is nobody else's.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// What whoever imports the memory has to know, beside the device's [`DeviceInfo::uuid`](crate::DeviceInfo) and
    /// `driver_uuid`.
    pub fn memory(&self) -> ExternalMemory {
        self.memory
    }

    /// The `VkBuffer`, its size in bytes and its `VkBufferUsageFlags`, which are those of a storage buffer and of transfers both
    /// ways: for commands of the program's, and for [`RawBuffer::new`](crate::RawBuffer::new). It goes with the last of this and
    /// the haystacks in it.
    pub fn raw_buffer(&self) -> (u64, u64, u32) {
        (self.buffer.handle(), self.buffer.size(), USAGE.as_raw())
    }

    pub(crate) fn raw(&self) -> RawBuffer {
        let (buffer, size, usage) = self.raw_buffer();
        // SAFETY: it is of this device, was made so, is bound, and is shared by the device's queues. Who uses it keeps it.
        unsafe { RawBuffer::new(buffer, size, usage) }
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}

impl std::fmt::Debug for ExternalBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalBuffer").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// Fails if there can be no buffer of so many bytes.
fn begin(device: &Device, bytes: u64) -> Result<()> {
    device.alive()?;
    device.sweep();
    let limit = device.info().max_allocation_bytes;
    match bytes {
        0 => Err(BackendError::invalid("the external memory", "it is of no bytes")),
        _ if bytes > limit => {
            let what = format!("buffer {NAME} (bytes in one allocation)");
            Err(BackendError::LimitExceeded { what, asked: bytes, limit })
        }
        _ => Ok(()),
    }
}

/// Fails if a buffer of those needs cannot be where it is to be.
fn check_place(memory: &ExternalMemory, needs: vk::MemoryRequirements) -> Result<()> {
    let ExternalMemory { allocation_bytes, offset, bytes, .. } = *memory;
    let reason = if offset.checked_add(needs.size).is_none_or(|end| end > allocation_bytes) {
        format!(
            "a buffer of {bytes} bytes from {offset} on takes {}, and it has {allocation_bytes} altogether",
            needs.size
        )
    } else if !offset.is_multiple_of(needs.alignment) {
        format!("buffers begin at multiples of {}, and not at {offset}", needs.alignment)
    } else {
        return Ok(());
    };
    Err(BackendError::invalid("the external memory", reason))
}

/// The first of memory types that is among those that are allowed.
fn first_of(types: impl IntoIterator<Item = usize>, allowed: u32) -> Option<u32> {
    let types = types.into_iter().map(narrow::<usize, u32>);
    types.into_iter().find(|&index| allowed.checked_shr(index).is_some_and(|bits| bits & 1 != 0))
}

fn no_memory_type() -> BackendError {
    let reason =
        "the device has no memory type that is both the memory's and one that haystacks can be in";
    BackendError::invalid("the external memory", reason)
}

/// What an import is refused with, in words that say what to do.
fn refused(error: BackendError) -> BackendError {
    let reason = "the driver knows it as no memory of that kind and size on this device";
    error.of_external("the file descriptor", reason)
}
