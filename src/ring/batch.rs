//! Items of one tenant, packed into lent staging memory one after the other.

use std::ops::Range;
use std::sync::Arc;

use super::item::RingItemBytes;
use crate::narrow::narrow;
use crate::scan::{ResidentPart, StagedHaystack};
use crate::shaders::layout;

/// Staging memory that items are read straight into, by any number of threads:
/// [`MegakernelSession::lend`](super::MegakernelSession::lend) lends it, and
/// [`MegakernelSession::publish_batch`](super::MegakernelSession::publish_batch) publishes what is in it.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, MegakernelSession, MegakernelSessionConfig, RulePipeline};
/// use std::io::Read;
/// use vkscan::RingResults;
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let rules = RulePipeline::new(&[r"\d+"])?;
/// # let config = MegakernelSessionConfig::default();
/// # let Some(mut session) = MegakernelSession::new(&backend, &rules, config)? else { return Ok(()) };
/// let mut files = [&b"one 22"[..], b"333"];
/// let mut batch = session.lend(0)?;
/// for id in 0..2 {
///     assert!(batch.reserve(id, 100, u32::MAX), "there is room for items of 100 bytes");
/// }
/// let mut lens = Vec::new();
/// for (part, file) in batch.parts().into_iter().zip(&mut files) {
///     lens.push(file.read(part)?);
/// }
/// for (index, len) in lens.into_iter().enumerate() {
///     batch.truncate(index, len);
/// }
/// assert!(batch.len() == 2 && batch.bytes(1) == b"333");
///
/// let mut results = RingResults::default();
/// let published = session.publish_batch(batch)?;
/// let mut batch = session.collect_batch(published, &mut results)?;
/// assert_eq!(results.match_count(), 2);
/// batch.clear();
/// assert!(batch.is_empty());
/// session.give_back(batch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RingBatch {
    pub(super) tenant: u32,
    pub(super) memory: StagedHaystack,
    pub(super) items: Vec<Packed>,
    capacity: usize,
    most_items: usize,
    /// Whose memory it is.
    pub(super) lender: Arc<()>,
}

/// A packed item.
#[derive(Clone, Copy)]
pub(super) struct Packed {
    pub(super) id: u64,
    /// Bytes in the memory.
    pub(super) begin: u32,
    pub(super) end: u32,
    pub(super) max_matches: u32,
}

/// Where an item of so many bytes is packed behind what ends at `end`, or at the beginning.
pub(crate) fn place(end: Option<usize>, len: usize) -> Range<usize> {
    let begin = end.map_or(0, packed_len);
    begin..begin.saturating_add(len)
}

/// Bytes of all items that end at `end`, with the gap behind the last one; too many to fit anything where these have no
/// number.
pub(crate) fn packed_len(end: usize) -> usize {
    let len = end.checked_add(layout::ITEM_GAP as usize);
    len.and_then(|len| len.checked_next_multiple_of(layout::ITEM_ALIGNMENT as usize))
        .unwrap_or(usize::MAX)
}

impl RingBatch {
    pub(super) fn new(
        tenant: u32,
        memory: StagedHaystack,
        most_items: usize,
        lender: Arc<()>,
    ) -> RingBatch {
        let (capacity, items) = (memory.len(), Vec::with_capacity(most_items));
        RingBatch { tenant, memory, items, capacity, most_items, lender }
    }

    /// Makes room for an item of `len` bytes, which hold anything at first, and of at most `max_matches` matches or as
    /// many as its tenant may have. False if there is no more room.
    pub fn reserve(&mut self, id: u64, len: usize, max_matches: u32) -> bool {
        let Range { start, end } = place(self.items.last().map(|last| last.end as usize), len);
        let fits = self.items.len() < self.most_items && packed_len(end) <= self.capacity;
        if fits {
            self.memory.set_len(self.capacity);
            let [begin, end] = [start, end].map(narrow);
            self.items.push(Packed { id, begin, end, max_matches });
        }
        fits
    }

    /// Items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The bytes of every item, in order, each to be written by whichever thread.
    pub fn parts(&mut self) -> Vec<&mut [u8]> {
        let mut rest = &mut self.memory[..];
        let mut before = 0;
        let mut parts = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let (_, behind) = rest.split_at_mut(item.begin as usize - before);
            let (part, behind) = behind.split_at_mut((item.end - item.begin) as usize);
            parts.push(part);
            rest = behind;
            before = item.end as usize;
        }
        parts
    }

    /// Makes an item shorter: what is left out is not scanned. Panics if there is no such item.
    pub fn truncate(&mut self, index: usize, len: usize) {
        let item = &mut self.items[index];
        item.end = item.end.min(item.begin.saturating_add(u32::try_from(len).unwrap_or(u32::MAX)));
    }

    /// The bytes of an item. Panics if there is no such item.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let Packed { begin, end, .. } = self.items[index];
        &self.memory[begin as usize..end as usize]
    }

    /// The same, to be written. Panics if there is no such item.
    pub fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        let Packed { begin, end, .. } = self.items[index];
        &mut self.memory[begin as usize..end as usize]
    }

    /// Forgets all items.
    pub fn clear(&mut self) {
        self.items.clear();
        self.memory.set_resident(Vec::new());
        self.memory.set_len(self.capacity);
    }

    /// Ends the memory with the last item.
    pub(super) fn close(&mut self) {
        self.memory.set_len(self.packed_len());
    }

    /// Bytes of all items, and of the gaps behind them.
    pub(super) fn packed_len(&self) -> usize {
        self.items.last().map_or(0, |last| packed_len(last.end as usize))
    }

    /// The memory of all items, and of the gaps behind them, in pieces to be filled.
    pub(super) fn pieces(&mut self) -> impl Iterator<Item = Piece<'_>> + Send {
        let len = self.packed_len();
        let RingBatch { items, memory, .. } = self;
        let pieces = memory[..len].chunks_mut(PIECE_BYTES).enumerate();
        pieces.map(|(index, bytes)| Piece { first: index * PIECE_BYTES, bytes, items })
    }

    /// Takes note of which items are on the device, of those whose bytes `bytes` tells.
    pub(super) fn set_resident<'i>(&mut self, bytes: impl Fn(usize) -> &'i RingItemBytes<'i>) {
        let items = self.items.iter().enumerate();
        let on_device = items.filter_map(|(index, item)| match bytes(index) {
            RingItemBytes::Resident { haystack, range } if !range.is_empty() => {
                Some(ResidentPart::new(haystack, range.start, item.begin as usize, range.len()))
            }
            _ => None,
        });
        let on_device = on_device.collect();
        self.memory.set_resident(on_device);
    }
}

/// Bytes that a thread fills before it looks for more.
pub(super) const PIECE_BYTES: usize = 128 << 10;

/// A piece of a batch's memory.
pub(super) struct Piece<'b> {
    first: usize,
    bytes: &'b mut [u8],
    items: &'b [Packed],
}

impl Piece<'_> {
    /// Fills it with the bytes of items, which `bytes` tells, and gaps with zeros.
    pub(super) fn fill<'i>(self, bytes: impl Fn(usize) -> &'i RingItemBytes<'i>) {
        let Piece { first, bytes: piece, items } = self;
        let behind = first + piece.len();
        let from = items.partition_point(|item| item.end as usize <= first);
        let mut at = first;
        let in_reach = |(_, item): &(usize, &Packed)| (item.begin as usize) < behind;
        for (index, item) in items.iter().enumerate().skip(from).take_while(in_reach) {
            let [begin, end] = [item.begin, item.end].map(|at| (at as usize).clamp(first, behind));
            piece[at - first..begin - first].fill(0);
            if let RingItemBytes::Host(bytes) = bytes(index) {
                let within = begin - item.begin as usize;
                piece[begin - first..end - first]
                    .copy_from_slice(&bytes[within..within + (end - begin)]);
            }
            at = end;
        }
        piece[at - first..].fill(0);
    }
}

impl std::fmt::Debug for RingBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingBatch")
            .field("tenant", &self.tenant)
            .field("items", &self.items.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Wherever pieces are cut, each item's bytes are where they belong, and zeros between them.
        #[test]
        fn pieces_make_a_whole(
            lens in prop::collection::vec(prop_oneof![0_usize..9, 1000_usize..1100], 0..12),
            piece_bytes in 1_usize..200,
        ) {
            let mut end = None;
            let items: Vec<Packed> = lens
                .iter()
                .map(|&len| {
                    let Range { start, end: behind } = place(end, len);
                    end = Some(behind);
                    Packed { id: 0, begin: start as u32, end: behind as u32, max_matches: 0 }
                })
                .collect();
            let bytes: Vec<Vec<u8>> =
                lens.iter().enumerate().map(|(index, &len)| vec![index as u8 + 1; len]).collect();
            let hosts: Vec<RingItemBytes> = bytes.iter().map(|bytes| RingItemBytes::Host(bytes)).collect();
            let mut memory = vec![0xEE; end.map_or(0, packed_len)];
            for (index, piece) in memory.chunks_mut(piece_bytes).enumerate() {
                let piece = Piece { first: index * piece_bytes, bytes: piece, items: &items };
                piece.fill(|index| &hosts[index]);
            }
            let mut expected = vec![0; memory.len()];
            for (item, bytes) in items.iter().zip(&bytes) {
                expected[item.begin as usize..item.end as usize].copy_from_slice(bytes);
            }
            prop_assert_eq!(memory, expected);
            for pair in items.windows(2) {
                prop_assert!(pair[0].end + layout::ITEM_GAP <= pair[1].begin);
            }
        }
    }
}
