//! Small haystacks, wherever they are.

use std::ops::Deref;
use std::sync::Arc;

use vkscan::{ResidentHaystack, RingItem, RingItemBytes};

use crate::border;
use crate::haystack::vkscan_resident_haystack;
use crate::status::Failure;

/// A small haystack: its matches are exactly those that a scan of its bytes alone has. It is in `len` bytes at `bytes`,
/// or else in so many of `resident`, from `offset` on, which are copied on the device. What is not needed is zero, as
/// in `vkscan_ring_item item = {.id = 7, .bytes = bytes, .len = len};`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_ring_item {
    /// The caller's own; it comes back with the result.
    pub id: u64,
    /// Whose rules it is scanned with, from 0.
    pub tenant: u32,
    /// Most matches of this item, if that is fewer than its tenant's; 0 for as many as its tenant may have.
    pub max_matches: u32,
    /// In memory of the caller's.
    pub bytes: *const u8,
    /// Bytes. They fit a round: 1 to 4 fewer than `round_bytes` of vkscan_ring_options.
    pub len: usize,
    /// On the device of the ring (vkscan_ring_backend). A buffer of the caller's that it was made from outlives the
    /// ticket's being waited for, or, where that is freed instead, the next vkscan_ring_flush.
    pub resident: *const vkscan_resident_haystack,
    /// Where the item begins in that, in bytes.
    pub offset: usize,
}

/// Items, with shares in what is on the device.
pub(super) struct Items {
    /// Behind a pointer of its own, which moves with nothing.
    items: Arc<[RingItem<'static>]>,
    /// Goes after the items, which borrow it.
    _haystacks: Vec<Arc<ResidentHaystack>>,
}

impl Items {
    /// Reads a caller's items.
    ///
    /// # Safety
    ///
    /// `items` is null or points to `count` of them, whose handles are alive, and whose bytes are there as long as the
    /// result is used.
    pub(super) unsafe fn read(
        items: *const vkscan_ring_item,
        count: usize,
    ) -> Result<Items, Failure> {
        // SAFETY: as the caller promises.
        let items = unsafe { border::slice(items, count, "items") }?;
        let mut haystacks = Vec::new();
        let read = |(index, item): (usize, &vkscan_ring_item)| {
            // SAFETY: as the caller promises.
            let bytes = unsafe { read_bytes(item, &mut haystacks) };
            let bytes = bytes.map_err(|Failure { status, message }| Failure {
                status,
                message: format!("item {index}: {message}"),
            })?;
            let max_matches = max_matches(item.max_matches);
            Ok(RingItem { id: item.id, tenant: item.tenant, max_matches, bytes })
        };
        let items = items.iter().enumerate().map(read).collect::<Result<_, Failure>>()?;
        Ok(Items { items, _haystacks: haystacks })
    }
}

impl Deref for Items {
    type Target = [RingItem<'static>];

    fn deref(&self) -> &[RingItem<'static>] {
        &self.items
    }
}

/// # Safety
///
/// The item's handle is alive or null, and its bytes are there as long as the result is used.
unsafe fn read_bytes(
    item: &vkscan_ring_item,
    haystacks: &mut Vec<Arc<ResidentHaystack>>,
) -> Result<RingItemBytes<'static>, Failure> {
    let &vkscan_ring_item { bytes, len, resident, offset, .. } = item;
    // SAFETY: as the caller promises.
    let Some(resident) = (unsafe { resident.as_ref() }) else {
        if offset != 0 {
            return Err(Failure::argument("`offset` is not 0, and `resident` is null"));
        }
        // SAFETY: as the caller promises.
        return Ok(RingItemBytes::Host(unsafe { border::slice(bytes, len, "bytes") }?));
    };
    if !bytes.is_null() {
        return Err(Failure::argument("it is in more than one place: set the others to zero"));
    }
    let share = resident.share();
    // SAFETY: it is behind an `Arc` that is held for longer than the item.
    let haystack = unsafe { &*Arc::as_ptr(&share) };
    haystacks.push(share);
    Ok(RingItemBytes::Resident { haystack, range: offset..offset.saturating_add(len) })
}

/// 0 is as many as the tenant may have.
pub(super) fn max_matches(most: u32) -> u32 {
    if most == 0 { u32::MAX } else { most }
}
