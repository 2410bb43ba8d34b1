//! Memory that host and device both write to while work is in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ash::vk;
use bytemuck::NoUninit;

use super::allocator::MemoryLocation;
use super::device::Device;
use super::error::Result;
use super::memory::Buffer;
use crate::narrow::narrow;

/// A storage buffer in mapped, coherent memory. Host and device agree elsewhere on whose turn it is with which words.
pub(crate) struct SharedBuffer(Buffer);

impl SharedBuffer {
    /// Its contents are zero at first.
    pub(crate) fn new(device: &Arc<Device>, name: &str, bytes: u64) -> Result<SharedBuffer> {
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER;
        let shared = SharedBuffer(Buffer::new(device, name, bytes, MemoryLocation::Shared, usage)?);
        let words = vec![0_u32; narrow::<_, usize>(bytes) / 4];
        shared.write(0, &words);
        Ok(shared)
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.0
    }

    /// Writes records at a byte offset. What is submitted from now on sees them.
    pub(crate) fn write<T: NoUninit>(&self, offset: u64, records: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(records);
        let (start, len) = self.0.mapped_range(offset..offset + bytes.len() as u64);
        // SAFETY: `mapped_range` checked that the range lies in the mapping, which lives as long as the buffer; no
        // reference into it is ever made, so the slice does not overlap it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr(), len) };
    }

    /// The word at a byte offset, as it is right now.
    pub(crate) fn load(&self, offset: u64) -> u32 {
        assert!(offset.is_multiple_of(4), "words are aligned");
        let (start, _) = self.0.mapped_range(offset..offset + 4);
        // SAFETY: the word lies in the mapping, which is aligned to more than words, and no reference into it is
        // made but this one, through which the device's writes may be seen.
        unsafe { AtomicU32::from_ptr(start.as_ptr().cast()) }.load(Ordering::Relaxed)
    }

    pub(crate) fn destroy(self) -> Result<()> {
        self.0.destroy()
    }
}
