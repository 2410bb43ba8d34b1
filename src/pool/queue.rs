//! What is still to be scanned, from which every device takes when it is free.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A thing to be scanned, and which one it is.
pub(super) struct Numbered<T> {
    pub(super) number: u64,
    pub(super) item: T,
    /// Whether a device has not answered in time while it had it.
    pub(super) was_slow: bool,
}

/// Items that come from an iterator, and those that have come back from a device that was at fault.
pub(super) struct Queue<I: Iterator> {
    /// Locked by whoever asks for an item, which may take a while.
    items: Mutex<I>,
    state: Mutex<State<I::Item>>,
    changed: Condvar,
    /// Items that may be ahead of those whose results have been passed on.
    most_ahead: u64,
}

struct State<T> {
    /// Whether somebody is asking for an item.
    is_asked: bool,
    /// Whether there are none left.
    is_at_end: bool,
    returned: VecDeque<Numbered<T>>,
    /// Items that were taken from the iterator.
    taken: u64,
    /// Items whose results have been passed on.
    passed_on: u64,
    /// Items that a device has, and whose results nobody has yet.
    out: usize,
    is_closed: bool,
}

/// What there is for a device to do.
pub(super) enum Next<T> {
    Item(Numbered<T>),
    /// Nothing now: something may come, or come back.
    Later,
    /// Nothing any more.
    End,
}

impl<I: Iterator> Queue<I> {
    pub(super) fn new(items: I, most_ahead: u64) -> Queue<I> {
        let state = State {
            is_asked: false,
            is_at_end: false,
            returned: VecDeque::new(),
            taken: 0,
            passed_on: 0,
            out: 0,
            is_closed: false,
        };
        let (items, state) = (Mutex::new(items), Mutex::new(state));
        Queue { items, state, changed: Condvar::new(), most_ahead }
    }

    /// The next item, if there is one and not too many are ahead of what has been passed on.
    pub(super) fn next(&self) -> Next<I::Item> {
        let mut state = self.lock();
        if state.is_closed {
            return Next::End;
        }
        if let Some(item) = state.returned.pop_front() {
            state.out += 1;
            return Next::Item(item);
        }
        if state.is_at_end && state.out == 0 {
            return Next::End;
        }
        if state.is_at_end || self.is_held_up(&state) {
            return Next::Later;
        }
        state.is_asked = true;
        drop(state);
        // If the iterator panics, nothing more is given out, and nobody waits for it.
        let closing = Closing(self);
        let item = self.items.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::mem::forget(closing);
        let mut state = self.lock();
        state.is_asked = false;
        let next = match item {
            Some(item) => {
                let number = state.taken;
                state.taken += 1;
                state.out += 1;
                Next::Item(Numbered { number, item, was_slow: false })
            }
            None => {
                state.is_at_end = true;
                if state.out > 0 { Next::Later } else { Next::End }
            }
        };
        drop(state);
        self.changed.notify_all();
        next
    }

    /// Waits until something may have changed for a device that has nothing to do.
    pub(super) fn wait(&self) {
        let mut state = self.lock();
        while !state.is_closed
            && state.returned.is_empty()
            && (self.is_held_up(&state) || state.is_at_end && state.out > 0)
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_held_up(&self, state: &State<I::Item>) -> bool {
        let is_ahead = state.taken - state.passed_on >= self.most_ahead;
        !state.is_at_end && (state.is_asked || is_ahead)
    }

    /// Takes note that an item has been scanned.
    pub(super) fn done(&self) {
        self.lock().out -= 1;
        self.changed.notify_all();
    }

    /// Takes an item back that has not been scanned.
    pub(super) fn give_back(&self, item: Numbered<I::Item>) {
        let mut state = self.lock();
        state.out -= 1;
        state.returned.push_back(item);
        drop(state);
        self.changed.notify_all();
    }

    /// Takes note that the results of so many items have been passed on: in order, of the first ones.
    pub(super) fn pass_on(&self, count: u64) {
        self.lock().passed_on = count;
        self.changed.notify_all();
    }

    /// Gives nothing out any more.
    fn close(&self) {
        let mut state = self.lock();
        (state.is_closed, state.is_asked) = (true, false);
        drop(state);
        self.changed.notify_all();
    }

    /// Whether items are left that nobody has scanned, when nobody scans any more. One is asked for to tell.
    pub(super) fn has_left(&self) -> bool {
        let state = self.lock();
        let (is_left, is_at_end) = (!state.returned.is_empty(), state.is_at_end);
        drop(state);
        let ask = || self.items.lock().unwrap_or_else(PoisonError::into_inner).next();
        is_left || !is_at_end && ask().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State<I::Item>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a queue when it goes.
pub(super) struct Closing<'q, I: Iterator>(pub(super) &'q Queue<I>);

impl<I: Iterator> Drop for Closing<'_, I> {
    fn drop(&mut self) {
        self.0.close();
    }
}
