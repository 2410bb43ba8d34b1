//! Copying host memory to mapped memory, by as many threads as there are.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A copy that any number of threads take part in. They take pieces from the front, one at a time, so that what
/// comes first is there first.
pub(crate) struct ParallelCopy<'a> {
    from: &'a [u8],
    to: NonNull<u8>,
    piece_bytes: usize,
    /// Pieces taken so far.
    taken: AtomicUsize,
    exclusive: PhantomData<&'a mut [u8]>,
}

// SAFETY: each piece of `to`, which is borrowed exclusively, is written by the one thread that took it.
unsafe impl Sync for ParallelCopy<'_> {}

impl<'a> ParallelCopy<'a> {
    /// Copies `from` to the front of `to`, in pieces of `piece_bytes`.
    pub(crate) fn new(from: &'a [u8], to: &'a mut [u8], piece_bytes: usize) -> ParallelCopy<'a> {
        assert!(from.len() <= to.len() && piece_bytes > 0);
        let to = NonNull::from(to).cast();
        ParallelCopy { from, to, piece_bytes, taken: AtomicUsize::new(0), exclusive: PhantomData }
    }

    pub(crate) fn piece_count(&self) -> usize {
        self.from.len().div_ceil(self.piece_bytes)
    }

    /// Copies the next piece and says which bytes that were; `None` once all have been taken.
    pub(crate) fn copy_next(&self) -> Option<Range<usize>> {
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        if index >= self.piece_count() {
            // The counter must not wrap, however often it is asked.
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let first = index * self.piece_bytes;
        let piece = &self.from[first..self.from.len().min(first + self.piece_bytes)];
        // SAFETY: `to` has room for all of `from`, and nobody else has this index. The two do not overlap:
        // `to` is borrowed exclusively.
        unsafe {
            let to = self.to.as_ptr().add(first);
            std::ptr::copy_nonoverlapping(piece.as_ptr(), to, piece.len());
        }
        Some(first..first + piece.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_copy() {
        let from: Vec<u8> = (0..10_001_u32).map(|index| ((index * 7) >> 3) as u8).collect();
        let mut to = vec![0; from.len() + 3];
        let copied = AtomicUsize::new(0);
        let copy = ParallelCopy::new(&from, &mut to, 64);
        assert_eq!(copy.piece_count(), 157);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(piece) = copy.copy_next() {
                        copied.fetch_add(piece.len(), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(copy.copy_next(), None);
        assert_eq!(copied.into_inner(), from.len());
        assert_eq!(to[..from.len()], from);
        assert_eq!(to[from.len()..], [0; 3]);
    }

    #[test]
    fn an_empty_copy_has_no_pieces() {
        let copy = ParallelCopy::new(&[], &mut [], 64);
        assert_eq!((copy.piece_count(), copy.copy_next()), (0, None));
    }
}
