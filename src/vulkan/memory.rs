//! Buffers and the memory they live in.

use std::cmp::Reverse;
use std::mem::take;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use ash::vk;
use ash::vk::Handle as _;
use gpu_allocator::AllocationError;

use super::allocator::{Allocation, AllocationFailure, MemoryLocation, MemoryRequest};
use super::device::{Core, Device, DeviceRef};
use super::error::{BackendError, Memory, Result};
use super::raw::RawBuffer;
use crate::narrow::narrow;

/// A buffer with its memory, freed with its last handle. Command buffers and descriptor sets that
/// name it hold a handle each.
#[derive(Clone)]
pub(crate) struct Buffer(Arc<Owned>);

struct Owned {
    device: DeviceRef,
    raw: vk::Buffer,
    allocation: Allocation,
    /// The heap that it is in.
    heap: u32,
    size: u64,
    name: String,
    whose: Whose,
}

/// Who a buffer belongs to, and its memory.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    /// Both to us.
    Ours,
    /// The buffer to us, and the memory is imported.
    Imported,
    /// Both to the caller.
    Callers,
}

impl Buffer {
    /// Makes a buffer of `size` bytes, at least 1. Its contents are undefined.
    pub(crate) fn new(
        device: &Arc<Device>,
        name: &str,
        size: u64,
        location: MemoryLocation,
        usage: vk::BufferUsageFlags,
    ) -> Result<Buffer> {
        assert!(size > 0, "Vulkan has no empty buffers");
        device.sweep();
        let limit = device.info().max_allocation_bytes;
        if size > limit {
            return Err(BackendError::LimitExceeded {
                what: format!("buffer {name} (bytes in one allocation)"),
                asked: size,
                limit,
            });
        }
        device.ledger().reserve(size, name)?;
        // From here on, dropping it cleans up.
        let mut owned = Owned::new(device, vk::Buffer::null(), size, name, Whose::Ours);
        let info = create_info(device, size, usage);
        owned.raw = device
            .call("vkCreateBuffer", || {
                // SAFETY: size and usage are not empty.
                unsafe { device.raw().create_buffer(&info, None) }
            })
            .map_err(|error| for_buffer(error, size, name))?;
        device.names().set(owned.raw, name);
        (owned.allocation, owned.heap) = allocate(device, owned.raw, name, location)
            .map_err(|error| for_buffer(error, size, name))?;
        device.ledger().enter(name, owned.heap, size);
        let (memory, offset) = owned.allocation.place()?;
        device.call("vkBindBufferMemory", || {
            // SAFETY: memory and offset meet the buffer's requirements: they were allocated for
            // them. The buffer is not bound yet.
            unsafe { device.raw().bind_buffer_memory(owned.raw, memory, offset) }
        })?;
        Ok(Buffer(Arc::new(owned)))
    }

    /// A buffer of the caller's, which is not null.
    pub(crate) fn of_caller(device: &Arc<Device>, name: &str, raw: RawBuffer) -> Buffer {
        let handle = vk::Buffer::from_raw(raw.handle());
        Buffer(Arc::new(Owned::new(device, handle, raw.size(), name, Whose::Callers)))
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.size
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Its memory, and where in that it begins.
    #[cfg(unix)]
    pub(super) fn place(&self) -> Result<(vk::DeviceMemory, u64)> {
        self.0.allocation.place()
    }

    /// The queue family that stands for the others who share its memory, if there are any.
    pub(super) fn outside(&self) -> Option<u32> {
        match self.0.allocation {
            Allocation::Shared { outside, .. } => Some(outside),
            _ => None,
        }
    }

    /// Whether the host can see its memory.
    pub(crate) fn is_mapped(&self) -> bool {
        self.0.allocation.mapped().is_some()
    }

    /// Whether both are handles of one buffer.
    pub(crate) fn is(&self, other: &Buffer) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn raw(&self) -> vk::Buffer {
        self.0.raw
    }

    /// The `VkBuffer`, for others to use.
    pub(crate) fn handle(&self) -> u64 {
        self.0.raw.as_raw()
    }

    /// The bytes in `range` of an upload or readback buffer.
    ///
    /// The caller has waited for the device's writes to them and has invalidated them, and nobody
    /// writes them while the slice lives.
    pub(crate) fn mapped(&self, range: Range<u64>) -> &[u8] {
        let (start, bytes) = self.mapped_range(range);
        // SAFETY: `mapped_range` checked that the bytes lie in this buffer's mapping, which lives as
        // long as the buffer. That they do not change meanwhile is the caller's promise, above.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), bytes) }
    }

    /// The word at `offset` of an upload or readback buffer, whoever is writing it.
    pub(super) fn peek(&self, offset: u64) -> u32 {
        let (start, _) = self.mapped_range(offset..offset + 4);
        // SAFETY: `mapped_range` checked that the word lies in this buffer's mapping, and mappings are aligned to more than
        // words. The device may write it meanwhile, which is why the compiler is to read it once, and as it is.
        unsafe { start.cast::<u32>().read_volatile() }
    }

    /// Copies `bytes` to `offset` of an upload or readback buffer. No one else uses that range meanwhile.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) {
        let (start, len) = self.mapped_range(offset..offset + bytes.len() as u64);
        // SAFETY: `mapped_range` checked the range, and a slice of the caller's cannot overlap it but
        // by `mapped`, whose contract forbids that.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr(), len) };
    }

    /// Start and length of `range` in the mapping. Panics if it is not inside the buffer, or the
    /// buffer not mapped.
    pub(super) fn mapped_range(&self, range: Range<u64>) -> (NonNull<u8>, usize) {
        self.check(&range);
        let base = self.0.allocation.mapped();
        let base = base.expect("only upload and readback buffers are mapped");
        // SAFETY: the mapping covers the whole buffer, and the range was found to lie inside it.
        let start = unsafe { base.add(narrow(range.start)) };
        (start, narrow(range.end - range.start))
    }

    pub(super) fn check(&self, range: &Range<u64>) {
        assert!(
            range.start <= range.end && range.end <= self.size(),
            "{range:?} is not inside {}, {} bytes",
            self.name(),
            self.size()
        );
    }

    /// Makes host writes to `range` visible to commands submitted from now on. Does nothing on
    /// coherent memory.
    pub(crate) fn flush(&self, range: Range<u64>) -> Result<()> {
        let Some(range) = self.non_coherent(range) else {
            return Ok(());
        };
        let device = &self.0.device;
        device.call("vkFlushMappedMemoryRanges", || {
            // SAFETY: the range is mapped and rounded as Vulkan asks.
            unsafe { device.raw().flush_mapped_memory_ranges(&[range]) }
        })
    }

    /// Makes device writes to `range` that have been waited for visible to the host. Does nothing on
    /// coherent memory.
    pub(crate) fn invalidate(&self, range: Range<u64>) -> Result<()> {
        let Some(range) = self.non_coherent(range) else {
            return Ok(());
        };
        let device = &self.0.device;
        device.call("vkInvalidateMappedMemoryRanges", || {
            // SAFETY: the range is mapped and rounded as Vulkan asks.
            unsafe { device.raw().invalidate_mapped_memory_ranges(&[range]) }
        })
    }

    /// `range` as a range of the memory object, in whole atoms; `None` if there is nothing to do.
    fn non_coherent(&self, range: Range<u64>) -> Option<vk::MappedMemoryRange<'static>> {
        self.check(&range);
        let allocation = &self.0.allocation;
        let coherent = vk::MemoryPropertyFlags::HOST_COHERENT;
        if range.is_empty() || allocation.properties().contains(coherent) {
            return None;
        }
        let atoms = whole_atoms(range, self.0.device.info().non_coherent_atom_bytes);
        let (memory, offset) = allocation.place().ok()?;
        Some(
            vk::MappedMemoryRange::default()
                .memory(memory)
                .offset(offset + atoms.start)
                .size(atoms.end - atoms.start),
        )
    }

    /// Tells later whether the buffer is still there.
    pub(crate) fn watch(&self) -> WatchedBuffer {
        WatchedBuffer { owned: Arc::downgrade(&self.0), size: self.size() }
    }

    /// Frees the buffer, or leaves that to the last of its handles where there are others.
    pub(crate) fn destroy(self) -> Result<()> {
        match Arc::into_inner(self.0) {
            Some(mut owned) => owned.free(),
            None => Ok(()),
        }
    }
}

/// A buffer that is being made, of memory that comes from elsewhere or goes there. Dropping it cleans up.
pub(super) struct Unbound(Owned);

impl Unbound {
    /// Makes a buffer for memory of that type. Its memory is counted if it is not imported.
    pub(super) fn new(
        device: &Arc<Device>,
        name: &str,
        size: u64,
        usage: vk::BufferUsageFlags,
        kind: vk::ExternalMemoryHandleTypeFlags,
        is_imported: bool,
    ) -> Result<Unbound> {
        if !is_imported {
            device.ledger().reserve(size, name)?;
        }
        let whose = if is_imported { Whose::Imported } else { Whose::Ours };
        let mut owned = Owned::new(device, vk::Buffer::null(), size, name, whose);
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(kind);
        let info = create_info(device, size, usage).push_next(&mut external);
        owned.raw = device
            .call("vkCreateBuffer", || {
                // SAFETY: size and usage are not empty, and the handle type is one of an extension that is enabled.
                unsafe { device.raw().create_buffer(&info, None) }
            })
            .map_err(|error| for_buffer(error, size, name))?;
        device.names().set(owned.raw, name);
        Ok(Unbound(owned))
    }

    pub(super) fn requirements(&self) -> vk::MemoryRequirements {
        // SAFETY: the buffer was made from this device.
        unsafe { self.0.device.raw().get_buffer_memory_requirements(self.0.raw) }
    }

    /// Binds it to memory, from an offset on, that was allocated for it alone.
    pub(super) fn bind(
        mut self,
        allocation: Allocation,
        memory_type: u32,
        offset: u64,
    ) -> Result<Buffer> {
        let Unbound(owned) = &mut self;
        owned.allocation = allocation;
        let device = &owned.device;
        owned.heap = device.memory_properties().memory_types[memory_type as usize].heap_index;
        if owned.whose == Whose::Ours {
            device.ledger().enter(&owned.name, owned.heap, owned.size);
        }
        let (memory, _) = owned.allocation.place()?;
        device.names().set(memory, format_args!("{} memory", owned.name));
        device.call("vkBindBufferMemory", || {
            // SAFETY: the memory is of a type that the buffer allows and, from the offset on, as large and aligned as it
            // asks: the caller has made sure. Nothing is bound to it yet.
            unsafe { device.raw().bind_buffer_memory(owned.raw, memory, offset) }
        })?;
        Ok(Buffer(Arc::new(self.0)))
    }
}

/// A part of a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    pub(crate) buffer: &'a Buffer,
    /// In bytes, a multiple of the device's `storage_buffer_alignment`.
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl<'a> Span<'a> {
    pub(crate) fn whole(buffer: &'a Buffer) -> Span<'a> {
        Span { buffer, offset: 0, size: buffer.size() }
    }
}

/// A buffer that was to be freed.
pub(crate) struct WatchedBuffer {
    owned: Weak<Owned>,
    size: u64,
}

impl WatchedBuffer {
    /// Bytes that are not freed yet.
    pub(crate) fn bytes(&self) -> u64 {
        if self.owned.strong_count() > 0 { self.size } else { 0 }
    }
}

impl Owned {
    /// One that has no memory yet.
    fn new(device: &Arc<Device>, raw: vk::Buffer, size: u64, name: &str, whose: Whose) -> Owned {
        let (device, name) = (DeviceRef::new(device), name.to_owned());
        Owned { device, raw, allocation: Allocation::None, heap: 0, size, name, whose }
    }

    /// Destroys buffer and memory; what is left is empty, and freeing it again does nothing.
    fn free(&mut self) -> Result<()> {
        if self.whose == Whose::Callers {
            return Ok(());
        }
        let device = &self.device;
        // SAFETY: commands and descriptor sets that name the buffer hold a handle, so none is left. A null one is
        // ignored.
        unsafe { device.raw().destroy_buffer(take(&mut self.raw), None) };
        if let Allocation::Imported { memory, .. } | Allocation::Shared { memory, .. } =
            &self.allocation
        {
            // SAFETY: the buffer that was bound to it is gone. Its owner goes after it.
            unsafe { device.raw().free_memory(*memory, None) };
        }
        if self.whose == Whose::Imported {
            self.allocation = Allocation::None;
            return Ok(());
        }
        let is_entered = !matches!(self.allocation, Allocation::None);
        let freed = device.memory().free(&mut self.allocation);
        let size = take(&mut self.size);
        device.ledger().release(size);
        if is_entered {
            device.ledger().leave(&self.name, self.heap, size);
        }
        #[cfg(test)]
        device.injected_free_fault()?;
        freed.map_err(|error| allocation_error(device, error))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Err(error) = self.free() {
            tracing::error!(buffer = self.name, %error, "a buffer could not be freed");
        }
    }
}

/// Describes a buffer that all queues use.
pub(super) fn create_info(
    device: &Core,
    size: u64,
    usage: vk::BufferUsageFlags,
) -> vk::BufferCreateInfo<'_> {
    let info = vk::BufferCreateInfo::default().size(size).usage(usage);
    match device.queue_families() {
        [_] => info.sharing_mode(vk::SharingMode::EXCLUSIVE),
        families => info.sharing_mode(vk::SharingMode::CONCURRENT).queue_family_indices(families),
    }
}

/// Allocates for the buffer from the best memory type that has room, and says which heap that is on.
fn allocate(
    device: &Core,
    buffer: vk::Buffer,
    name: &str,
    location: MemoryLocation,
) -> Result<(Allocation, u32)> {
    // SAFETY: the buffer was just made from this device.
    let requirements = unsafe { device.raw().get_buffer_memory_requirements(buffer) };
    // No two buffers share an atom, so a flush never touches a neighbour or leaves the allocation.
    let atom = device.info().non_coherent_atom_bytes;
    let allowed = requirements.memory_type_bits;
    let types = device.memory_properties().memory_types_as_slice();

    let mut last = AllocationError::NoCompatibleMemoryTypeFound;
    for index in preferred_types(device.memory_properties(), location) {
        if allowed & (1 << index) == 0 {
            continue;
        }
        let request = MemoryRequest {
            name,
            location,
            memory_type: narrow(index),
            size: requirements.size.next_multiple_of(atom),
            alignment: requirements.alignment.max(atom),
        };
        let vk::MemoryType { property_flags, heap_index } = types[index];
        match device.memory().allocate(&request, property_flags, device.names()) {
            Ok(allocation) => return Ok((allocation, heap_index)),
            Err(AllocationFailure::Failed(error)) => last = error,
            Err(AllocationFailure::Refused(error)) => return Err(error),
        }
    }
    let error = allocation_error(device, last);
    Err(match (error, location) {
        (
            BackendError::OutOfMemory { bytes, what, .. },
            MemoryLocation::Upload | MemoryLocation::Readback,
        ) => BackendError::OutOfMemory { memory: Memory::Host, bytes, what },
        (error, _) => error,
    })
}

/// The memory types that serve `location`, best first. There is no stepping down from device-local
/// to host memory: that would only look like a slow device.
pub(super) fn preferred_types(
    memory: &vk::PhysicalDeviceMemoryProperties,
    location: MemoryLocation,
) -> Vec<usize> {
    use vk::MemoryPropertyFlags as P;
    let types = memory.memory_types_as_slice();
    let heap_bytes =
        |memory_type: &vk::MemoryType| memory.memory_heaps[memory_type.heap_index as usize].size;
    let is_local =
        |memory_type: &&vk::MemoryType| memory_type.property_flags.contains(P::DEVICE_LOCAL);
    let most_local = types.iter().filter(is_local).map(heap_bytes).max().unwrap_or(0);
    let needed = match location {
        MemoryLocation::DeviceLocal | MemoryLocation::DeviceLocalMapped => P::DEVICE_LOCAL,
        MemoryLocation::Upload | MemoryLocation::Readback => P::HOST_VISIBLE,
        MemoryLocation::Shared => P::HOST_VISIBLE | P::HOST_COHERENT,
    };
    // Protected memory is closed to us, lazily allocated is for attachments, uncached is for debugging.
    let excluded = P::PROTECTED | P::LAZILY_ALLOCATED | P::DEVICE_UNCACHED_AMD | P::RDMA_CAPABLE_NV;
    let mut fit: Vec<usize> = (0..types.len())
        .filter(|&index| types[index].property_flags.contains(needed))
        .filter(|&index| !types[index].property_flags.intersects(excluded))
        .collect();
    fit.sort_by_key(|&index| {
        let has = |flag| types[index].property_flags.contains(flag);
        let wishes = match location {
            // A host-visible window onto device memory can be small; leave it to who needs it.
            MemoryLocation::DeviceLocal => [!has(P::HOST_VISIBLE), false, false],
            MemoryLocation::DeviceLocalMapped => {
                let is_small = heap_bytes(&types[index]) < most_local;
                let is_mapped = has(P::HOST_VISIBLE);
                [is_mapped && !is_small, !is_mapped, has(P::HOST_COHERENT)]
            }
            // The bus is crossed by the copy, not by the host's writes.
            MemoryLocation::Upload => {
                [!has(P::DEVICE_LOCAL), has(P::HOST_COHERENT), !has(P::HOST_CACHED)]
            }
            // The host reads uncached memory at a fraction of the speed.
            MemoryLocation::Readback => {
                [has(P::HOST_CACHED), !has(P::DEVICE_LOCAL), has(P::HOST_COHERENT)]
            }
            MemoryLocation::Shared => [has(P::DEVICE_LOCAL), !has(P::HOST_CACHED), false],
        };
        Reverse(wishes)
    });
    fit
}

/// `range` widened to whole atoms.
fn whole_atoms(range: Range<u64>, atom: u64) -> Range<u64> {
    range.start - range.start % atom..range.end.next_multiple_of(atom)
}

fn allocation_error(device: &Core, error: AllocationError) -> BackendError {
    let result = match error {
        AllocationError::OutOfMemory => vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        // The host's address space has no room for the mapping.
        AllocationError::FailedToMap(_) => vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        // gpu-allocator hands on other results of vkAllocateMemory as text only.
        AllocationError::Internal(text) if text.contains("ERROR_DEVICE_LOST") => {
            return device.lose("vkAllocateMemory");
        }
        AllocationError::Internal(text) if text.contains("ERROR_OUT_OF_HOST_MEMORY") => {
            vk::Result::ERROR_OUT_OF_HOST_MEMORY
        }
        _ => vk::Result::ERROR_UNKNOWN,
    };
    BackendError::from_vk("vkAllocateMemory", result)
}

/// Adds to an out-of-memory error what the memory was for.
pub(super) fn for_buffer(error: BackendError, size: u64, name: &str) -> BackendError {
    match error {
        BackendError::OutOfMemory { memory, .. } => {
            BackendError::OutOfMemory { memory, bytes: Some(size), what: format!("buffer {name}") }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestBackend;
    use super::*;
    use vk::MemoryPropertyFlags as P;

    const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::TRANSFER_DST;

    /// Memory types on one heap, except for the last, whose heap is smaller.
    fn types(flags: &[P]) -> vk::PhysicalDeviceMemoryProperties {
        let mut memory = vk::PhysicalDeviceMemoryProperties {
            memory_type_count: flags.len() as u32,
            ..Default::default()
        };
        [memory.memory_heaps[0].size, memory.memory_heaps[1].size] = [8 << 30, 256 << 20];
        for (index, &property_flags) in flags.iter().enumerate() {
            let heap_index = u32::from(index + 1 == flags.len());
            memory.memory_types[index] = vk::MemoryType { property_flags, heap_index };
        }
        memory
    }

    #[test]
    fn memory_types_of_a_discrete_gpu() {
        let types = types(&[
            P::empty(),
            P::DEVICE_LOCAL | P::HOST_VISIBLE | P::HOST_COHERENT,
            P::DEVICE_LOCAL,
            P::HOST_VISIBLE | P::HOST_COHERENT | P::HOST_CACHED,
            P::HOST_VISIBLE | P::HOST_COHERENT,
            P::DEVICE_LOCAL | P::PROTECTED,
        ]);
        assert_eq!(preferred_types(&types, MemoryLocation::DeviceLocal), [2, 1]);
        assert_eq!(preferred_types(&types, MemoryLocation::DeviceLocalMapped), [1, 2]);
        assert_eq!(preferred_types(&types, MemoryLocation::Upload), [4, 3, 1]);
        assert_eq!(preferred_types(&types, MemoryLocation::Readback), [3, 4, 1]);
        assert_eq!(preferred_types(&types, MemoryLocation::Shared), [1, 4, 3]);
    }

    #[test]
    fn a_small_window_is_left_alone() {
        let types = types(&[P::DEVICE_LOCAL, P::DEVICE_LOCAL | P::HOST_VISIBLE | P::HOST_COHERENT]);
        assert_eq!(preferred_types(&types, MemoryLocation::DeviceLocalMapped), [0, 1]);
        assert_eq!(preferred_types(&types, MemoryLocation::Shared), [1]);
    }

    #[test]
    fn memory_types_of_a_device_without_coherent_cached_memory() {
        let types = types(&[
            P::DEVICE_LOCAL | P::HOST_VISIBLE | P::HOST_CACHED,
            P::DEVICE_LOCAL | P::HOST_VISIBLE | P::HOST_COHERENT,
        ]);
        assert_eq!(preferred_types(&types, MemoryLocation::DeviceLocal), [0, 1]);
        assert_eq!(preferred_types(&types, MemoryLocation::Upload), [1, 0]);
        assert_eq!(preferred_types(&types, MemoryLocation::Readback), [0, 1]);
    }

    #[test]
    fn flushes_cover_whole_atoms() {
        assert_eq!(whole_atoms(0..64, 64), 0..64);
        assert_eq!(whole_atoms(63..65, 64), 0..128);
        assert_eq!(whole_atoms(64..65, 64), 64..128);
        assert_eq!(whole_atoms(7..9, 1), 7..9);
    }

    #[test]
    fn freed_with_the_last_handle() {
        let backend = TestBackend::new();
        let device = backend.device();
        let make = |size| Buffer::new(device, "test", size, MemoryLocation::Upload, USAGE).unwrap();
        let (small, large) = (make(1), make(64 << 20));
        assert_eq!(device.allocated_bytes(), (64 << 20) + 1);
        assert_eq!(device.live_objects(), 2);
        let other = small.clone();
        small.destroy().unwrap();
        assert_eq!(device.live_objects(), 2);
        other.write(0, b"x");
        other.flush(0..1).unwrap();
        assert_eq!(other.mapped(0..1), b"x");
        drop(other);
        assert_eq!(device.allocated_bytes(), 64 << 20);
        large.destroy().unwrap();
        assert_eq!((device.live_objects(), device.allocated_bytes()), (0, 0));
    }

    #[test]
    fn a_failed_allocation_says_how_much_and_leaves_nothing() {
        let backend = TestBackend::new();
        let device = backend.device();
        let make = |size| Buffer::new(device, "huge", size, MemoryLocation::DeviceLocal, USAGE);
        let over = device.info().max_allocation_bytes + 1;
        for size in [over, 1 << 60] {
            let Err(error) = make(size) else { panic!("{size} bytes were allocated") };
            assert!(matches!(error, BackendError::LimitExceeded { asked, .. } if asked == size));
            assert!(error.to_string().contains(&size.to_string()), "{error}");
        }
        assert_eq!((device.live_objects(), device.allocated_bytes()), (0, 0));
        make(4096).unwrap();
    }

    #[test]
    fn running_out_of_device_memory_is_told_as_such() {
        let backend = TestBackend::new();
        let device = backend.device();
        let error =
            for_buffer(allocation_error(device, AllocationError::OutOfMemory), 123, "tables");
        assert_eq!(
            error,
            BackendError::OutOfMemory {
                memory: Memory::Device,
                bytes: Some(123),
                what: "buffer tables".to_owned()
            }
        );
        assert!(error.to_string().contains("123 bytes"), "{error}");
        assert!(!device.is_lost());
        let lost = AllocationError::Internal("... ERROR_DEVICE_LOST".to_owned());
        let error = allocation_error(device, lost);
        assert!(matches!(error, BackendError::DeviceLost { .. }), "{error:?}");
        assert!(device.is_lost());
    }
}
