//! A ring buffer of host memory that uploads are written to, shared by all threads.
//!
//! Spans are handed out first come, first served, and may come back in any order; the room of one
//! is reused once every older span is back too. Whoever finds no room waits.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ash::vk;

use super::allocator::MemoryLocation;
use super::command::Commands;
use super::device::Device;
use super::error::{BackendError, Result};
use super::info::DeviceInfo;
use super::memory::{Buffer, WatchedBuffer};
use super::timeline::Timeline;
use crate::narrow::narrow;

/// Spans start at multiples of this (or of the device's non-coherent atom, if larger).
const ALIGNMENT: u64 = 256;

/// What spans start at multiples of, in bytes.
fn alignment(device: &DeviceInfo) -> u64 {
    ALIGNMENT.max(device.non_coherent_atom_bytes)
}

pub(crate) struct StagingBuffer {
    device: Arc<Device>,
    buffer: Buffer,
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    spans: Spans,
    /// Tickets of those who wait, oldest first: a large request is not starved by small ones.
    waiting: VecDeque<u64>,
    next_ticket: u64,
}

impl StagingBuffer {
    /// Makes a buffer of `bytes`, rounded up to whole alignment units.
    pub(crate) fn new(device: &Arc<Device>, name: &str, bytes: u64) -> Result<Arc<StagingBuffer>> {
        let alignment = alignment(device.info());
        let capacity = StagingBuffer::bytes_for(bytes, device.info());
        let usage = vk::BufferUsageFlags::TRANSFER_SRC;
        Ok(Arc::new(StagingBuffer {
            device: device.clone(),
            buffer: Buffer::new(device, name, capacity, MemoryLocation::Upload, usage)?,
            state: Mutex::new(State {
                spans: Spans::new(capacity, alignment),
                waiting: VecDeque::new(),
                next_ticket: 0,
            }),
            returned: Condvar::new(),
        }))
    }

    /// Bytes of a buffer that is made with `bytes`.
    pub(crate) fn bytes_for(bytes: u64, device: &DeviceInfo) -> u64 {
        bytes.max(1).next_multiple_of(alignment(device))
    }

    /// Tells later whether its memory is still there.
    pub(crate) fn watch(&self) -> WatchedBuffer {
        self.buffer.watch()
    }

    /// Frees the buffer, or leaves that to the last of its spans where there are any.
    pub(crate) fn destroy(self: Arc<Self>) -> Result<()> {
        Arc::into_inner(self).map_or(Ok(()), |staging| staging.buffer.destroy())
    }

    /// Bytes the buffer holds in all.
    pub(crate) fn capacity(&self) -> u64 {
        self.buffer.size()
    }

    /// Takes a span of `bytes`, waiting up to `timeout` for room.
    pub(crate) fn acquire(self: &Arc<Self>, bytes: u64, timeout: Duration) -> Result<StagingSpan> {
        if bytes > self.capacity() {
            return Err(BackendError::LimitExceeded {
                what: format!("staging span in {} (bytes)", self.buffer.name()),
                asked: bytes,
                limit: self.capacity(),
            });
        }
        let start = Instant::now();
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        let outcome = loop {
            if let Err(lost) = self.device.alive() {
                break Err(lost);
            }
            if state.waiting.front() == Some(&ticket)
                && let Some(offset) = state.spans.acquire(bytes)
            {
                break Ok(offset);
            }
            let waited = start.elapsed();
            let Some(left) = timeout.checked_sub(waited).filter(|left| !left.is_zero()) else {
                break Err(BackendError::Timeout {
                    waited,
                    what: format!("{bytes} free bytes in {}", self.buffer.name()),
                });
            };
            state =
                self.returned.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting.retain(|&other| other != ticket);
        drop(state);
        // The next in line may find room now, or has become the first.
        self.returned.notify_all();
        Ok(StagingSpan { offset: outcome?, bytes, staging: self.clone() })
    }

    /// Moves bytes to the start of a buffer, padded to whole words, through as much of the buffer as there is,
    /// and waits for them to be there. What they are for is in `name`.
    pub(crate) fn upload(self: &Arc<Self>, name: &str, parts: &[&[u8]], to: &Buffer) -> Result<()> {
        let timeline = Timeline::new(&self.device, name)?;
        let mut commands = Commands::new(&self.device, name)?;
        let mut deadline = self.device.deadline();
        let mut offset = 0;
        for chunk in parts.iter().flat_map(|part| part.chunks(narrow(self.capacity()))) {
            let size = (chunk.len() as u64).next_multiple_of(4);
            let mut span = self.acquire(size, Duration::ZERO)?;
            span[..chunk.len()].copy_from_slice(chunk);
            span[chunk.len()..].fill(0);
            span.flush()?;
            let region = vk::BufferCopy { src_offset: span.offset(), dst_offset: offset, size };
            commands.record(|commands| {
                commands.label_begin(format_args!("{name}, {size} bytes"));
                commands.copy_buffer(span.buffer(), to, &[region]);
                commands.transfer_to_compute();
                commands.label_end();
            })?;
            let value = self.device.submit(&mut [&mut commands], &timeline)?;
            timeline.wait(value, deadline)?;
            deadline = self.device.deadline();
            offset += size;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the buffer that is the holder's alone until it is dropped. Keep it until the commands
/// that read it have run.
pub(crate) struct StagingSpan {
    offset: u64,
    bytes: u64,
    staging: Arc<StagingBuffer>,
}

impl StagingSpan {
    /// Where it starts in `buffer()`, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What spans are parts of.
    pub(crate) fn buffer(&self) -> &Buffer {
        &self.staging.buffer
    }

    /// Makes what was written visible to commands submitted from now on.
    pub(crate) fn flush(&self) -> Result<()> {
        self.buffer().flush(self.offset..self.offset + self.bytes)
    }
}

impl Deref for StagingSpan {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer().mapped(self.offset..self.offset + self.bytes)
    }
}

impl DerefMut for StagingSpan {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (start, bytes) = self.buffer().mapped_range(self.offset..self.offset + self.bytes);
        // SAFETY: the range is mapped as long as the buffer lives, which `self` sees to, and no two
        // spans overlap, so that `&mut self` is the only way to it.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), bytes) }
    }
}

impl Drop for StagingSpan {
    fn drop(&mut self) {
        self.staging.lock().spans.release(self.offset);
        self.staging.returned.notify_all();
    }
}

/// Upload memory of one holder.
pub(crate) struct MappedBuffer(Buffer);

impl MappedBuffer {
    /// Its contents are zero at first.
    pub(crate) fn new(device: &Arc<Device>, name: &str, bytes: u64) -> Result<MappedBuffer> {
        let usage = vk::BufferUsageFlags::TRANSFER_SRC;
        let mut memory =
            MappedBuffer(Buffer::new(device, name, bytes, MemoryLocation::Upload, usage)?);
        memory.fill(0);
        Ok(memory)
    }

    /// The memory of a buffer that the device only reads, if the host can see it. Nobody else maps it, and
    /// who writes to it has waited for the device.
    pub(crate) fn of(buffer: &Buffer) -> Option<MappedBuffer> {
        buffer.is_mapped().then(|| MappedBuffer(buffer.clone()))
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.0
    }

    pub(crate) fn destroy(self) -> Result<()> {
        self.0.destroy()
    }
}

impl Deref for MappedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.mapped(0..self.0.size())
    }
}

impl DerefMut for MappedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (start, bytes) = self.0.mapped_range(0..self.0.size());
        // SAFETY: the range is mapped as long as the buffer lives. Handles that commands hold do not touch
        // the mapping, and the device only reads it, so that `&mut self` is the only way to it.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), bytes) }
    }
}

/// Which parts of the buffer are taken.
struct Spans {
    capacity: u64,
    alignment: u64,
    /// Where the newest span ends.
    head: u64,
    /// Spans that are out, and those behind an older one that is still out, oldest first. The room
    /// in use runs from the first of them to `head`, around the end if need be.
    spans: VecDeque<Span>,
}

struct Span {
    offset: u64,
    released: bool,
}

impl Spans {
    fn new(capacity: u64, alignment: u64) -> Spans {
        assert!(capacity.is_multiple_of(alignment));
        Spans { capacity, alignment, head: 0, spans: VecDeque::new() }
    }

    /// Offset of a new span of `bytes`, or `None` while there is no room. A span never wraps: where
    /// the rest of the buffer is too short it stays unused this time.
    fn acquire(&mut self, bytes: u64) -> Option<u64> {
        let bytes = bytes.max(1).next_multiple_of(self.alignment);
        let offset = match self.spans.front() {
            None => (bytes <= self.capacity).then_some(0),
            Some(oldest) if self.head > oldest.offset => {
                if bytes <= self.capacity - self.head {
                    Some(self.head)
                } else {
                    (bytes <= oldest.offset).then_some(0)
                }
            }
            // The room in use wraps around; it is all of it if `head` has reached the oldest.
            Some(oldest) => (bytes <= oldest.offset - self.head).then_some(self.head),
        }?;
        self.head = offset + bytes;
        self.spans.push_back(Span { offset, released: false });
        Some(offset)
    }

    fn release(&mut self, offset: u64) {
        let mut out = self.spans.iter_mut();
        // Offsets of released spans may come again only after these are gone from the queue.
        if let Some(span) = out.find(|span| span.offset == offset) {
            span.released = true;
        }
        while self.spans.front().is_some_and(|span| span.released) {
            self.spans.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestBackend;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wraps_around_and_leaves_the_short_end_unused() {
        let mut spans = Spans::new(1024, 256);
        assert_eq!(spans.acquire(300), Some(0));
        assert_eq!(spans.acquire(256), Some(512));
        assert_eq!(spans.acquire(512), None);
        spans.release(0);
        assert_eq!(spans.acquire(512), Some(0));
        assert_eq!(spans.acquire(1), None, "the end stays unused");
        spans.release(512);
        assert_eq!(spans.acquire(512), Some(512));
        assert_eq!(spans.acquire(0), None);
        spans.release(512);
        spans.release(0);
        assert_eq!(spans.acquire(1024), Some(0));
    }

    #[test]
    fn room_comes_back_in_order_of_acquisition() {
        let mut spans = Spans::new(768, 256);
        let taken = [(); 3].map(|()| spans.acquire(1).unwrap());
        spans.release(taken[2]);
        spans.release(taken[1]);
        assert_eq!(spans.acquire(1), None);
        spans.release(taken[0]);
        assert_eq!(spans.acquire(768), Some(0));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Acquire(u64),
        Release(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0u64..=12).prop_map(Step::Acquire),
            any::<prop::sample::Index>().prop_map(Step::Release),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// The model marks units in use: a span goes where the last one ended if the units there are
        /// free, else to the start; units are free once no span in the queue covers them.
        #[test]
        fn behaves_as_the_model(capacity in 1u64..12, steps in steps()) {
            let mut spans = Spans::new(capacity, 1);
            let mut queue: Vec<(u64, u64, bool)> = Vec::new();
            let mut head = 0;
            for step in steps {
                match step {
                    Step::Acquire(bytes) => {
                        let len = bytes.max(1);
                        if queue.is_empty() {
                            head = 0;
                        }
                        let free = |at: u64| {
                            at + len <= capacity
                                && queue.iter().all(|&(o, l, _)| at + len <= o || o + l <= at)
                        };
                        let expected = [head, 0].into_iter().find(|&at| free(at));
                        prop_assert_eq!(spans.acquire(bytes), expected);
                        if let Some(at) = expected {
                            head = at + len;
                            queue.push((at, len, true));
                        }
                    }
                    Step::Release(which) => {
                        let mut out: Vec<_> = queue.iter_mut().filter(|span| span.2).collect();
                        if out.is_empty() {
                            continue;
                        }
                        let which = which.index(out.len());
                        out[which].2 = false;
                        spans.release(out[which].0);
                        let gone = queue.iter().take_while(|span| !span.2).count();
                        queue.drain(..gone);
                    }
                }
            }
        }
    }

    #[test]
    fn a_request_larger_than_the_ring_names_both() {
        let backend = TestBackend::new();
        let staging = StagingBuffer::new(backend.device(), "staging", 1000).unwrap();
        assert_eq!(staging.capacity(), 1024);
        let error = staging.acquire(1025, Duration::ZERO).err().unwrap();
        let text = error.to_string();
        assert!(text.contains("1025") && text.contains("1024"), "{text}");
    }

    #[test]
    fn a_full_ring_times_out_and_recovers() {
        let backend = TestBackend::new();
        let staging = StagingBuffer::new(backend.device(), "staging", 1024).unwrap();
        let mut span = staging.acquire(1000, Duration::ZERO).unwrap();
        span.fill(7);
        assert_eq!((span.len(), span.offset(), span[999]), (1000, 0, 7));
        span.flush().unwrap();
        let error = staging.acquire(100, Duration::from_millis(10)).err().unwrap();
        assert!(matches!(error, BackendError::Timeout { .. }), "{error}");
        drop(span);
        staging.acquire(1024, Duration::ZERO).unwrap();
    }

    #[test]
    fn threads_wait_for_each_other_and_never_share_bytes() {
        let backend = TestBackend::new();
        let staging = StagingBuffer::new(backend.device(), "staging", 4096).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                let staging = &staging;
                scope.spawn(move || {
                    for round in 0..200u64 {
                        let bytes = (u64::from(thread) * 331 + round * 97) % 4097;
                        let mut span = staging.acquire(bytes, Duration::from_secs(600)).unwrap();
                        span.fill(thread);
                        std::thread::yield_now();
                        assert!(span.iter().all(|&byte| byte == thread));
                    }
                });
            }
        });
        assert!(staging.lock().waiting.is_empty() && staging.lock().spans.spans.is_empty());
        staging.acquire(4096, Duration::ZERO).unwrap();
    }
}
