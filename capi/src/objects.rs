//! Single Vulkan objects of the caller's: buffers, semaphores, and halves of barriers.

use vkscan::{RawBuffer, RawScope, RawSemaphore};

use crate::border;
use crate::status::Failure;

/// A VkBuffer of the caller's. Handed over, it promises: it is a buffer of the backend's device, was made so, is bound
/// to memory, is shared with or owned by the family of the queue that it is used on, and outlives its use, which is
/// that of what is made with it, and each execution of commands that are recorded with it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_raw_buffer {
    /// The VkBuffer.
    pub buffer: u64,
    /// Bytes that it was made with.
    pub size: u64,
    /// VkBufferUsageFlags that it was made with.
    pub usage: u32,
    /// 0.
    pub reserved: u32,
}

impl vkscan_raw_buffer {
    pub(crate) const NONE: vkscan_raw_buffer =
        vkscan_raw_buffer { buffer: 0, size: 0, usage: 0, reserved: 0 };

    /// Whether there is nothing in it at all.
    pub(crate) fn is_none(self) -> bool {
        let vkscan_raw_buffer { buffer, size, usage, reserved } = self;
        buffer == 0 && size == 0 && usage == 0 && reserved == 0
    }

    /// What the library calls so.
    ///
    /// # Safety
    ///
    /// It is what its documentation says, or null.
    pub(crate) unsafe fn get(self, name: &str) -> Result<RawBuffer, Failure> {
        border::unused(self.reserved, &format!("{name}.reserved"), border::ZERO)?;
        // SAFETY: as the caller promises.
        Ok(unsafe { RawBuffer::new(self.buffer, self.size, self.usage) })
    }
}

/// A VkSemaphore, and what it is to reach. Handed over, it promises:
/// - It is a semaphore of the backend's device, and outlives that use.
/// - A timeline semaphore that is waited for will reach the value; one that is signalled has reached less, and is
///   signalled with less before.
/// - What signals a binary semaphore that is waited for has been submitted; one that is signalled is not signalled
///   then.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_raw_semaphore {
    /// The VkSemaphore.
    pub semaphore: u64,
    /// The value of a timeline semaphore; 0 for a binary one.
    pub value: u64,
}

impl vkscan_raw_semaphore {
    /// Nothing to wait for.
    pub(crate) const NONE: vkscan_raw_semaphore = vkscan_raw_semaphore { semaphore: 0, value: 0 };
}

impl From<(u64, u64)> for vkscan_raw_semaphore {
    fn from((semaphore, value): (u64, u64)) -> vkscan_raw_semaphore {
        vkscan_raw_semaphore { semaphore, value }
    }
}

/// A caller's semaphores.
///
/// # Safety
///
/// `from` is null or points to `count` of them, each of which is what its documentation says, or null.
pub(crate) unsafe fn semaphores(
    from: *const vkscan_raw_semaphore,
    count: usize,
    name: &str,
) -> Result<Vec<RawSemaphore>, Failure> {
    // SAFETY: as the caller promises.
    let semaphores = unsafe { border::slice(from, count, name) }?;
    // SAFETY: as the caller promises.
    let get = |one: &vkscan_raw_semaphore| unsafe {
        match one.value {
            0 => RawSemaphore::binary(one.semaphore),
            value => RawSemaphore::timeline(one.semaphore, value),
        }
    };
    Ok(semaphores.iter().map(get).collect())
}

/// One half of a barrier.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_raw_scope {
    /// VkPipelineStageFlags.
    pub stages: u32,
    /// VkAccessFlags.
    pub access: u32,
}

impl From<RawScope> for vkscan_raw_scope {
    fn from(scope: RawScope) -> vkscan_raw_scope {
        let RawScope { stages, access } = scope;
        vkscan_raw_scope { stages, access }
    }
}
