//! Copying host memory to mapped memory, by as many threads as there are.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A copy that any number of threads take part in. They take pieces from the front, one at a time, so that what
/// comes first is there first.
pub(crate) struct ParallelCopy<'a> {
    pieces: Pieces,
    borrowed: PhantomData<(&'a [u8], &'a mut [u8])>,
}

/// How copies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stores {
    /// Through the caches, in which what the device reads soon may still be.
    Cached,
    /// Past the caches, where the processor can: memory that is written is not read first, which much of it is not cached for
    /// anyhow.
    Streaming,
}

struct Pieces {
    from: NonNull<u8>,
    to: NonNull<u8>,
    len: usize,
    piece_bytes: usize,
    stores: Stores,
    /// Pieces taken so far, and those of them that have been copied.
    taken: AtomicUsize,
    copied: AtomicUsize,
}

// SAFETY: each piece of `to` is written by the one thread that took it, and nobody writes `from`: that both are borrowed
// so while pieces are copied is up to whoever calls `copy_next`.
unsafe impl Send for Pieces {}
// SAFETY: as above.
unsafe impl Sync for Pieces {}

impl Pieces {
    /// Pieces of a copy of `from` to the front of `to`.
    fn new(from: &[u8], to: &mut [u8], piece_bytes: usize, stores: Stores) -> Pieces {
        assert!(from.len() <= to.len() && piece_bytes > 0);
        let len = from.len();
        let [taken, copied] = Default::default();
        let (from, to) = (NonNull::from(from).cast(), NonNull::from(to).cast());
        Pieces { from, to, len, piece_bytes, stores, taken, copied }
    }

    fn count(&self) -> usize {
        self.len.div_ceil(self.piece_bytes)
    }

    /// As [`ParallelCopy::copy_next`].
    ///
    /// # Safety
    ///
    /// Until as many pieces have been copied as there are, `from` and `to` stay borrowed.
    unsafe fn copy_next(&self) -> Option<Range<usize>> {
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        if index >= self.count() {
            // The counter must not wrap, however often it is asked.
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let first = index * self.piece_bytes;
        let size = self.piece_bytes.min(self.len - first);
        // SAFETY: both are borrowed, for this piece has yet to be copied. `to` has room for all of `from`, and nobody else
        // has this index. The two do not overlap: `to` is borrowed exclusively.
        unsafe {
            let (from, to) = (self.from.add(first), self.to.add(first));
            match self.stores {
                Stores::Cached => to.copy_from_nonoverlapping(from, size),
                Stores::Streaming => copy_streaming(from, to, size),
            }
        }
        self.copied.fetch_add(1, Ordering::Release);
        Some(first..first + size)
    }
}

/// Copies with stores that go past the caches, all of which are done when it ends.
///
/// # Safety
///
/// `from` can be read and `to` be written for `len` bytes, and they do not overlap.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_streaming(from: NonNull<u8>, to: NonNull<u8>, len: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};

    const WORD: usize = size_of::<__m128i>();
    /// A cache line's.
    const WORDS: usize = 4;

    // Streaming stores are to aligned addresses.
    let head = to.align_offset(WORD).min(len);
    let body = (len - head) / (WORD * WORDS) * (WORD * WORDS);
    let tail = head + body;
    // SAFETY: head, body and tail are `len` bytes together, of both. SSE2 is part of x86-64, and in the body each word of
    // `to` is aligned.
    unsafe {
        to.copy_from_nonoverlapping(from, head);
        for line in (head..tail).step_by(WORD * WORDS) {
            let words: [__m128i; WORDS] = std::array::from_fn(|word| {
                _mm_loadu_si128(from.add(line + word * WORD).cast().as_ptr())
            });
            for (word, value) in words.into_iter().enumerate() {
                _mm_stream_si128(to.add(line + word * WORD).cast().as_ptr(), value);
            }
        }
        to.add(tail).copy_from_nonoverlapping(from.add(tail), len - tail);
        // What follows is not seen before these are.
        _mm_sfence();
    }
}

/// As it is, where the processor leaves no choice.
///
/// # Safety
///
/// `from` can be read and `to` be written for `len` bytes, and they do not overlap.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_streaming(from: NonNull<u8>, to: NonNull<u8>, len: usize) {
    // SAFETY: as above.
    unsafe { to.copy_from_nonoverlapping(from, len) };
}

impl<'a> ParallelCopy<'a> {
    /// Copies `from` to the front of `to`, in pieces of `piece_bytes`.
    pub(crate) fn new(
        from: &'a [u8],
        to: &'a mut [u8],
        piece_bytes: usize,
        stores: Stores,
    ) -> ParallelCopy<'a> {
        ParallelCopy { pieces: Pieces::new(from, to, piece_bytes, stores), borrowed: PhantomData }
    }

    pub(crate) fn piece_count(&self) -> usize {
        self.pieces.count()
    }

    /// Copies the next piece and says which bytes that were; `None` once all have been taken.
    pub(crate) fn copy_next(&self) -> Option<Range<usize>> {
        // SAFETY: they are borrowed as long as this lives.
        unsafe { self.pieces.copy_next() }
    }
}

/// Who takes part in a copy, on any thread and whenever it likes.
#[derive(Clone)]
pub(crate) struct Helper(Arc<Pieces>);

impl Helper {
    /// Copies pieces until all have been taken.
    pub(crate) fn help(&self) {
        // SAFETY: `copy_with_help`, which alone makes helpers, does not end before all pieces have been copied.
        while unsafe { self.0.copy_next() }.is_some() {}
    }
}

/// Copies `from` to the front of `to`, in pieces of `piece_bytes`, with as many helpers as `call` likes to have. Those that
/// come late are not waited for: they find nothing to do.
pub(crate) fn copy_with_help(
    from: &[u8],
    to: &mut [u8],
    piece_bytes: usize,
    call: impl FnOnce(&Helper),
) {
    /// Goes only once all has been copied, whatever becomes of `call`.
    struct Own(Helper);

    impl Drop for Own {
        fn drop(&mut self) {
            self.0.help();
            let pieces = &self.0.0;
            while pieces.copied.load(Ordering::Acquire) < pieces.count() {
                std::hint::spin_loop();
            }
        }
    }

    let own = Own(Helper(Arc::new(Pieces::new(from, to, piece_bytes, Stores::Cached))));
    call(&own.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_copy() {
        let from: Vec<u8> = (0..10_001_u32).map(|index| ((index * 7) >> 3) as u8).collect();
        let mut to = vec![0; from.len() + 3];
        let copied = AtomicUsize::new(0);
        let copy = ParallelCopy::new(&from, &mut to, 64, Stores::Cached);
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
    fn helpers_may_come_in_time_or_late() {
        let from: Vec<u8> = (0..10_001_u32).map(|index| ((index * 7) >> 3) as u8).collect();
        let mut late = Vec::new();
        for in_time in 0..3 {
            let mut to = vec![0; from.len() + 3];
            copy_with_help(&from, &mut to, 64, |helper| {
                for _ in 0..in_time {
                    let helper = helper.clone();
                    std::thread::spawn(move || helper.help());
                }
                late.push(helper.clone());
            });
            assert_eq!(to[..from.len()], from);
            assert_eq!(to[from.len()..], [0; 3]);
        }
        // What they would have copied is gone.
        late.iter().for_each(Helper::help);
    }

    /// Wherever it begins and ends.
    #[test]
    fn streaming_stores_copy_all_of_it() {
        let from: Vec<u8> = (0..700_u32).map(|index| ((index * 7) >> 3) as u8).collect();
        for (begin, len) in
            (0..33).flat_map(|begin| [0, 1, 15, 16, 63, 64, 65, 200, 600].map(|len| (begin, len)))
        {
            let mut to = vec![0; 700];
            let from = &from[..len];
            let copy = ParallelCopy::new(from, &mut to[begin..], 150, Stores::Streaming);
            while copy.copy_next().is_some() {}
            assert!(to[begin..begin + len] == *from, "{len} bytes at {begin}");
            assert!(to[..begin].iter().chain(&to[begin + len..]).all(|&byte| byte == 0));
        }
    }

    #[test]
    fn an_empty_copy_has_no_pieces() {
        copy_with_help(&[], &mut [], 64, |_| {});
        let copy = ParallelCopy::new(&[], &mut [], 64, Stores::Streaming);
        assert_eq!((copy.piece_count(), copy.copy_next()), (0, None));
    }
}
