//! Where the memory of buffers comes from: blocks that the device shares out, or an allocator of the caller's.

use std::ffi::c_void;
use std::mem::take;
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::vk::Handle as _;
use ash::{ext, vk};
use gpu_allocator::vulkan::{
    Allocation as PoolAllocation, AllocationCreateDesc, AllocationScheme, Allocator,
};
use gpu_allocator::{AllocationError, MemoryLocation as PoolLocation};

use super::debug::Names;
use super::error::{BackendError, Result};

/// Where a buffer's memory lies, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MemoryLocation {
    /// Fastest for kernels; the host cannot be sure to see it.
    DeviceLocal,
    /// As fast for kernels, and mapped where all of the device's memory is within the host's reach.
    DeviceLocalMapped,
    /// Host memory the device reads; persistently mapped, for streaming writes.
    Upload,
    /// Host memory the device writes; persistently mapped, cached where possible, for host reads.
    Readback,
    /// Little memory that both write to and read at any time: persistently mapped and coherent, on the device where
    /// the host can reach it there.
    Shared,
}

impl MemoryLocation {
    /// Whether the host has to see it.
    pub(super) fn is_mapped(self) -> bool {
        matches!(self, MemoryLocation::Upload | MemoryLocation::Readback | MemoryLocation::Shared)
    }
}

/// An allocator that a backend takes all of its memory from: [`RawDevice::allocator`](crate::RawDevice::allocator).
///
/// # Safety
///
/// A range that [`MemoryAllocator::allocate`] gives
///
/// - is of memory allocated from the backend's device, of the type that was asked for, and not for one resource alone
///   (`VkMemoryDedicatedAllocateInfo`);
/// - has at least as many bytes as were asked for, from an offset that is aligned as was asked;
/// - is mapped for as long as it lives where its type is host-visible, and is then where `mapped` says;
/// - is nobody else's until it is given to [`MemoryAllocator::free`].
///
/// Both may be called by several threads at a time.
pub unsafe trait MemoryAllocator: Send + Sync {
    /// A range of memory; none where that type has no room left: another type may be asked for next.
    fn allocate(&self, request: &MemoryRequest<'_>) -> Option<MemoryRange>;

    /// Takes back what [`MemoryAllocator::allocate`] gave: nothing is bound to it any more.
    fn free(&self, range: MemoryRange);
}

/// What is asked of a [`MemoryAllocator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryRequest<'a> {
    /// What the memory is for.
    pub name: &'a str,
    /// Where it is to lie; the memory type is one that serves this.
    pub location: MemoryLocation,
    /// The index of a memory type of the physical device.
    pub memory_type: u32,
    /// Bytes.
    pub size: u64,
    /// What its offset has to be a multiple of, in bytes; a power of two.
    pub alignment: u64,
}

/// A range of a `VkDeviceMemory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRange {
    /// The `VkDeviceMemory`.
    pub memory: u64,
    /// Where the range begins in it, in bytes.
    pub offset: u64,
    /// Where the host finds the range's first byte; null where the memory is not host-visible.
    pub mapped: *mut c_void,
    /// Whatever its allocator knows it by.
    pub token: u64,
}

// SAFETY: a name for memory that any thread may use: who reads or writes it sees to the rest.
unsafe impl Send for MemoryRange {}
// SAFETY: as above.
unsafe impl Sync for MemoryRange {}

/// Where a device's memory comes from.
pub(super) enum MemorySource {
    Pool(Box<Mutex<Allocator>>),
    Caller(Arc<dyn MemoryAllocator>),
}

/// What of a device imports host memory.
pub(super) struct HostImport {
    pub(super) functions: ext::external_memory_host::Device,
    /// Imported ranges begin and end at multiples of it, in bytes.
    pub(super) alignment: u64,
    /// Whether the driver has found an import too much: see `quirks::STOPS_IMPORTING`.
    pub(super) refused: AtomicBool,
}

/// Keeps bytes where they are.
pub(crate) type Owner = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Memory of a buffer.
#[derive(Default)]
pub(super) enum Allocation {
    /// None: it was given back, or was never ours.
    #[default]
    None,
    Pool(PoolAllocation),
    Caller {
        range: MemoryRange,
        properties: vk::MemoryPropertyFlags,
    },
    /// Host memory that was imported, and what it is part of.
    Imported {
        memory: vk::DeviceMemory,
        _owner: Owner,
    },
    /// A memory object of its own, which others share, and the queue family that stands for them.
    Shared {
        memory: vk::DeviceMemory,
        outside: u32,
    },
}

impl MemorySource {
    /// Allocates memory of one type.
    pub(super) fn allocate(
        &self,
        request: &MemoryRequest,
        properties: vk::MemoryPropertyFlags,
        names: &Names,
    ) -> std::result::Result<Allocation, AllocationFailure> {
        match self {
            MemorySource::Pool(pool) => {
                let requirements = vk::MemoryRequirements {
                    size: request.size,
                    alignment: request.alignment,
                    memory_type_bits: 1 << request.memory_type,
                };
                let mut pool = lock(pool);
                let before = pool.capacity();
                let allocation = pool.allocate(&AllocationCreateDesc {
                    name: request.name,
                    requirements,
                    // The one type that is left decides; gpu-allocator maps it if it is host-visible.
                    location: PoolLocation::Unknown,
                    linear: true,
                    allocation_scheme: AllocationScheme::GpuAllocatorManaged,
                })?;
                if pool.capacity() > before {
                    // SAFETY: the memory exists, and was made for this allocation: it is only given a name.
                    names.set(unsafe { allocation.memory() }, "memory block");
                }
                Ok(Allocation::Pool(allocation))
            }
            MemorySource::Caller(allocator) => {
                let range = allocator.allocate(request).ok_or(AllocationError::OutOfMemory)?;
                if let Some(reason) = fault_of(&range, request, properties) {
                    let what = format!("memory of the caller's allocator for {}", request.name);
                    allocator.free(range);
                    return Err(AllocationFailure::Refused(BackendError::invalid(what, reason)));
                }
                Ok(Allocation::Caller { range, properties })
            }
        }
    }

    pub(super) fn free(
        &self,
        allocation: &mut Allocation,
    ) -> std::result::Result<(), AllocationError> {
        match (self, take(allocation)) {
            (MemorySource::Pool(pool), Allocation::Pool(allocation)) => lock(pool).free(allocation),
            (MemorySource::Caller(allocator), Allocation::Caller { range, .. }) => {
                allocator.free(range);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Bytes of all blocks, in use or not; none if they are the caller's.
    pub(super) fn block_bytes(&self) -> Option<u64> {
        match self {
            MemorySource::Pool(pool) => Some(lock(pool).capacity()),
            MemorySource::Caller(_) => None,
        }
    }
}

/// Why there is no memory.
pub(super) enum AllocationFailure {
    Failed(AllocationError),
    /// The caller's allocator gave what cannot be used.
    Refused(BackendError),
}

impl From<AllocationError> for AllocationFailure {
    fn from(error: AllocationError) -> AllocationFailure {
        AllocationFailure::Failed(error)
    }
}

/// What of a range is not as it was asked for, as far as that can be told.
fn fault_of(
    range: &MemoryRange,
    request: &MemoryRequest,
    properties: vk::MemoryPropertyFlags,
) -> Option<String> {
    let is_visible = properties.contains(vk::MemoryPropertyFlags::HOST_VISIBLE);
    if range.memory == 0 {
        Some("it has a null VkDeviceMemory".to_owned())
    } else if !range.offset.is_multiple_of(request.alignment) {
        let (offset, alignment) = (range.offset, request.alignment);
        Some(format!("its offset {offset} is no multiple of {alignment}"))
    } else if request.location.is_mapped() && is_visible && range.mapped.is_null() {
        Some("it is host-visible and not mapped".to_owned())
    } else {
        None
    }
}

impl Allocation {
    /// The memory and where in it the allocation begins.
    pub(super) fn place(&self) -> Result<(vk::DeviceMemory, u64)> {
        match self {
            // SAFETY: only names the memory, which the allocation keeps.
            Allocation::Pool(pool) => Ok((unsafe { pool.memory() }, pool.offset())),
            Allocation::Caller { range, .. } => {
                Ok((vk::DeviceMemory::from_raw(range.memory), range.offset))
            }
            Allocation::Imported { memory, .. } | Allocation::Shared { memory, .. } => {
                Ok((*memory, 0))
            }
            Allocation::None => {
                Err(BackendError::invalid("memory of a buffer", "it is the caller's"))
            }
        }
    }

    pub(super) fn properties(&self) -> vk::MemoryPropertyFlags {
        match self {
            Allocation::Pool(pool) => pool.memory_properties(),
            Allocation::Caller { properties, .. } => *properties,
            Allocation::Imported { .. } => vk::MemoryPropertyFlags::HOST_COHERENT,
            Allocation::Shared { .. } | Allocation::None => vk::MemoryPropertyFlags::empty(),
        }
    }

    /// Where the host finds it.
    pub(super) fn mapped(&self) -> Option<NonNull<u8>> {
        match self {
            Allocation::Pool(pool) => pool.mapped_ptr().map(NonNull::cast),
            Allocation::Caller { range, .. } => NonNull::new(range.mapped.cast()),
            Allocation::Imported { .. } | Allocation::Shared { .. } | Allocation::None => None,
        }
    }
}

fn lock(pool: &Mutex<Allocator>) -> MutexGuard<'_, Allocator> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}
