//! Host memory that the device reads where it lies: `VK_EXT_external_memory_host`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ash::vk;

use super::allocator::{Allocation, HostImport, Owner};
use super::device::Device;
use super::error::{BackendError, Memory, Result};
use super::memory::{Buffer, Unbound};
use super::quirks;

/// Makes the bytes of `owner` the source of copies: a buffer, and where in it they begin. The owner is kept until the device is
/// done with the buffer.
pub(crate) fn import(device: &Arc<Device>, name: &str, owner: Owner) -> Result<(Buffer, u64)> {
    device.sweep();
    let Some(imports @ HostImport { functions, alignment, .. }) = device.host_import() else {
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
        .map_err(|error| refused(error, size, imports))?;

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
        .map_err(|error| refused(error, size, imports))?;
    imports.refused.store(false, Ordering::Relaxed);
    let allocation = Allocation::Imported { memory, _owner: owner };
    Ok((buffer.bind(allocation, memory_type, 0)?, offset))
}

/// What an import is refused with, in words that say what to do.
fn refused(error: BackendError, size: u64, imports: &HostImport) -> BackendError {
    let what = match error {
        BackendError::OutOfMemory { .. } if imports.refused.swap(true, Ordering::Relaxed) => {
            quirks::STOPS_IMPORTING
        }
        BackendError::OutOfMemory { .. } => {
            "importing host memory, which has to be pinned (where a driver pins for writing: map a file privately and \
             writable, or copy it)"
        }
        error => {
            return error.of_external(
                "the host memory",
                "the driver does not import memory of this kind: scan it as a byte slice",
            );
        }
    };
    BackendError::OutOfMemory { memory: Memory::Host, bytes: Some(size), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use ash::vk;

    use crate::vulkan::layer;
    use crate::vulkan::testing::TestBackend;
    use crate::{BackendError, ImportedHaystack, Memory, ScanError, Validation};

    #[test]
    fn a_driver_that_stops_importing_is_told_from_lack_of_memory() {
        let _layer = layer::lock();
        let backend = TestBackend::layered(Validation::Off);
        let import = || ImportedHaystack::new(&backend, b"bytes".to_vec());
        let refused = || {
            layer::fail("vkAllocateMemory", vk::Result::ERROR_OUT_OF_DEVICE_MEMORY, 1);
            let error = import().unwrap_err();
            assert!(layer::stop_failing());
            error
        };
        for told in ["map a file privately", "open the device again"] {
            let error = refused();
            let ScanError::Backend(BackendError::OutOfMemory {
                memory: Memory::Host, what, ..
            }) = &error
            else {
                panic!("{error}");
            };
            assert!(what.contains(told), "{what}");
        }
        import().unwrap();
    }
}
