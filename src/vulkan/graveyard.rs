//! What was dropped while the device was still at it.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::vk;

use super::deadline::Deadline;
use super::device::DeviceRef;
use super::memory::Buffer;
use super::pipeline::{ComputePipeline, DescriptorSet};
use super::query::Timestamps;
use super::timeline::Timeline;

/// Something that commands name.
#[derive(Clone)]
pub(super) enum Kept {
    Buffer(Buffer),
    Set(Arc<DescriptorSet>),
    Pipeline(Arc<ComputePipeline>),
    Timestamps(Arc<Timestamps>),
}

impl Kept {
    /// Whether both are handles of one object.
    pub(super) fn is(&self, other: &Kept) -> bool {
        match (self, other) {
            (Kept::Buffer(one), Kept::Buffer(other)) => one.is(other),
            (Kept::Set(one), Kept::Set(other)) => Arc::ptr_eq(one, other),
            (Kept::Pipeline(one), Kept::Pipeline(other)) => Arc::ptr_eq(one, other),
            (Kept::Timestamps(one), Kept::Timestamps(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn buffers(&self) -> Vec<&Buffer> {
        match self {
            Kept::Buffer(buffer) => vec![buffer],
            Kept::Set(set) => set.buffers().collect(),
            Kept::Pipeline(_) | Kept::Timestamps(_) => Vec::new(),
        }
    }
}

/// A submission that is not known to have run.
pub(super) struct Pending {
    pub(super) timeline: Arc<Timeline>,
    /// What the timeline reaches when it has run.
    pub(super) value: u64,
    /// What it waits for itself.
    pub(super) _waited: Option<Arc<Timeline>>,
}

/// A command pool, and what its commands name.
pub(super) struct Work {
    pub(super) device: DeviceRef,
    pub(super) pool: vk::CommandPool,
    pub(super) kept: Vec<Kept>,
    /// Their last submission, until it is known to have run.
    pub(super) pending: Option<Pending>,
}

impl Work {
    /// Whether the device is done with it, or will never be: a lost device runs nothing. Waits for that until `deadline`.
    pub(super) fn ends_by(&mut self, deadline: Deadline) -> bool {
        let Some(Pending { timeline, value, .. }) = &self.pending else { return true };
        let has_ended = match timeline.wait_raw(*value, deadline.left()) {
            Ok(()) | Err(vk::Result::ERROR_DEVICE_LOST) => true,
            // The driver cannot say at the moment.
            Err(_) => false,
        };
        if has_ended {
            self.pending = None;
        }
        has_ended
    }

    /// All of it, with nothing left to drop.
    pub(super) fn take(&mut self) -> Work {
        Work {
            device: self.device.clone(),
            pool: take(&mut self.pool),
            kept: take(&mut self.kept),
            pending: self.pending.take(),
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: whoever drops it has seen it end, or has taken the pool out: a null one is ignored.
        unsafe { self.device.raw().destroy_command_pool(self.pool, None) };
    }
}

/// What a device holds of things that were dropped while it was still at them: it gives them back once it has answered.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// let held = backend.held_back();
/// println!("{} bytes and {} objects wait for the device", held.bytes, held.objects);
/// # Ok::<(), vkscan::BackendError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldBack {
    /// Bytes of buffers.
    pub bytes: u64,
    /// Command buffers, and what they name.
    pub objects: usize,
}

/// Work that was dropped before it had run. It lives with the device, and what is in it must not hold the device itself.
#[derive(Default)]
pub(super) struct Graveyard(Mutex<Vec<Work>>);

impl Graveyard {
    pub(super) fn bury(&self, work: Work) {
        self.lock().push(work);
    }

    /// Gives back all that the device is done with by `deadline`.
    pub(super) fn sweep(&self, deadline: Deadline) {
        let mut works = self.lock();
        let ended: Vec<Work> = works.extract_if(.., |work| work.ends_by(deadline)).collect();
        drop(works);
        // Not under the lock, for it may take a while.
        drop(ended);
    }

    pub(super) fn held_back(&self) -> HeldBack {
        let works = self.lock();
        let mut kept: Vec<&Kept> = Vec::new();
        let mut buffers: Vec<&Buffer> = Vec::new();
        for one in works.iter().flat_map(|work| &work.kept) {
            if kept.iter().any(|other| other.is(one)) {
                continue;
            }
            kept.push(one);
            for buffer in one.buffers() {
                if !buffers.iter().any(|other| other.is(buffer)) {
                    buffers.push(buffer);
                }
            }
        }
        let bytes = buffers.iter().map(|buffer| buffer.size()).sum();
        HeldBack { bytes, objects: works.len() + kept.len() }
    }

    /// All that is left.
    pub(super) fn into_rest(self) -> Vec<Work> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
