//! Host memory that the device reads where it lies: `VK_EXT_external_memory_host`.

use std::sync::Arc;

use ash::vk;

use super::allocator::{Allocation, HostImport, Owner};
use super::device::Device;
use super::error::{BackendError, Memory, Result};
use super::memory::{Buffer, Unbound};

/// Makes the bytes of `owner` the source of copies: a buffer, and where in it they begin. The owner is kept until the device is
/// done with the buffer.
pub(crate) fn import(device: &Arc<Device>, name: &str, owner: Owner) -> Result<(Buffer, u64)> {
    device.sweep();
    let Some(HostImport { functions, alignment }) = device.host_import() else {
        return Err(BackendError::Unsupported {
            what: "importing host memory",
            needed: "VK_EXT_external_memory_host",
        });
    };
    let bytes = (*owner).as_ref();
    let (begin, len) = (bytes.as_ptr() as u64, bytes.len() as u64);
    let outer = begin - begin % alignment;
    let offset = begin - outer;
    let size = (offset + len.max(1)).next_multiple_of(*alignment);
    let limit = device.info().max_allocation_bytes;
    if size > limit {
        let what = format!("{name} (bytes in one import)");
        return Err(BackendError::LimitExceeded { what, asked: size, limit });
    }
    let kind = vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;
    let host = outer as *mut std::ffi::c_void;
    let mut found = vk::MemoryHostPointerPropertiesEXT::default();
    device
        .call("vkGetMemoryHostPointerPropertiesEXT", || {
            // SAFETY: the pointer is aligned as the device asks, and the pages that it points into are there: `owner`.
            let result = unsafe {
                (functions.fp().get_memory_host_pointer_properties_ext)(
                    device.raw().handle(),
                    kind,
                    host,
                    &mut found,
                )
            };
            result.result()
        })
        .map_err(|error| refused(error, size))?;

    let usage = vk::BufferUsageFlags::TRANSFER_SRC;
    let buffer = Unbound::new(device, name, size, usage, kind, true)?;
    let needs = buffer.requirements();
    let coherent = vk::MemoryPropertyFlags::HOST_COHERENT;
    let types = device.memory_properties().memory_types_as_slice();
    let fits = |index: &u32| {
        let allowed = needs.memory_type_bits & found.memory_type_bits;
        let flags = types[*index as usize].property_flags;
        allowed >> index & 1 != 0 && flags.contains(coherent)
    };
    let memory_type = (0..device.memory_properties().memory_type_count).find(fits);
    let memory_type = memory_type.ok_or_else(|| {
        BackendError::invalid(
            "the host memory",
            "the device takes it into no memory type that is coherent: scan it as a byte slice",
        )
    })?;
    let mut import =
        vk::ImportMemoryHostPointerInfoEXT::default().handle_type(kind).host_pointer(host);
    let allocate = vk::MemoryAllocateInfo::default()
        .allocation_size(size)
        .memory_type_index(memory_type)
        .push_next(&mut import);
    let memory = device
        .call("vkAllocateMemory", || {
            // SAFETY: the pages of the range are there and stay until the memory is freed: `owner` goes with it.
            unsafe { device.raw().allocate_memory(&allocate, None) }
        })
        .map_err(|error| refused(error, size))?;
    let allocation = Allocation::Imported { memory, _owner: owner };
    Ok((buffer.bind(allocation, memory_type, 0)?, offset))
}

/// What an import is refused with, in words that say what to do.
fn refused(error: BackendError, size: u64) -> BackendError {
    match error {
        BackendError::OutOfMemory { .. } => BackendError::OutOfMemory {
            memory: Memory::Host,
            bytes: Some(size),
            what: "importing host memory, which has to be pinned (some drivers pin for writing, and take \
                   no mapping that is read-only)"
                .to_owned(),
        },
        error => error.of_external(
            "the host memory",
            "the driver does not import memory of this kind: scan it as a byte slice",
        ),
    }
}
