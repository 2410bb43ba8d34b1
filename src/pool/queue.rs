//! What is still to be scanned, from which every device takes when it is free.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A thing to be scanned, and which one it is.
pub(super) struct Numbered<T> {
    pub(super) number: u64,
    pub(super) item: T,
}

/// Items that come from an iterator, and those that have come back from a device that was lost.
pub(super) struct Queue<I: Iterator> {
    state: Mutex<State<I>>,
    changed: Condvar,
    /// Items that may be ahead of those whose results have been passed on.
    most_ahead: u64,
}

struct State<I: Iterator> {
    items: I,
    /// Whether the iterator has come to its end.
    is_at_end: bool,
    returned: VecDeque<Numbered<I::Item>>,
    /// Items that were taken from the iterator.
    taken: u64,
    /// Items before this one are done with, by those who take the results.
    passed_on: u64,
    /// Items that a device has, and whose results nobody has yet.
    out: usize,
    is_closed: bool,
}

/// What there is for a device to do.
pub(super) enum Next<T> {
    Item(Numbered<T>),
    /// Nothing now: something may come back.
    Later,
    /// Nothing any more.
    End,
}

impl<I: Iterator> Queue<I> {
    pub(super) fn new(items: I, most_ahead: u64) -> Queue<I> {
        let state = State {
            items,
            is_at_end: false,
            returned: VecDeque::new(),
            taken: 0,
            passed_on: 0,
            out: 0,
            is_closed: false,
        };
        Queue { state: Mutex::new(state), changed: Condvar::new(), most_ahead }
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
        if self.is_held_up(&state) {
            return Next::Later;
        }
        if !state.is_at_end {
            if let Some(item) = state.items.next() {
                let number = state.taken;
                state.taken += 1;
                state.out += 1;
                return Next::Item(Numbered { number, item });
            }
            state.is_at_end = true;
            self.changed.notify_all();
        }
        if state.out > 0 { Next::Later } else { Next::End }
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

    fn is_held_up(&self, state: &State<I>) -> bool {
        !state.is_at_end && state.taken - state.passed_on >= self.most_ahead
    }

    /// Takes note that an item has been scanned.
    pub(super) fn done(&self) {
        self.lock().out -= 1;
        self.changed.notify_all();
    }

    /// Takes items back that have not been scanned.
    pub(super) fn give_back(&self, items: impl Iterator<Item = Numbered<I::Item>>) {
        let mut state = self.lock();
        for item in items {
            state.out -= 1;
            state.returned.push_back(item);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Takes note that the results of all items before `number` have been passed on.
    pub(super) fn pass_on(&self, number: u64) {
        self.lock().passed_on = number;
        self.changed.notify_all();
    }

    /// Gives nothing out any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Whether items are left that nobody has scanned.
    pub(super) fn has_left(&self) -> bool {
        let mut state = self.lock();
        if !state.returned.is_empty() || state.out > 0 {
            return true;
        }
        if state.is_at_end {
            return false;
        }
        let next = state.items.next();
        state.is_at_end = next.is_none();
        next.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
