//! What compiling a rule may cost.
//!
//! Some rules have many more ways to be looked at than bytes: the strings that nested repetitions begin with, the
//! states of counts within counts. Whatever walks over these spends steps of the rule's effort, and makes do with
//! what it has when none are left: that costs speed in scans, and never a match.

use std::cell::Cell;

/// Steps that are left, each of a few dozen nanoseconds.
pub(crate) struct Effort {
    left: Cell<u64>,
    /// Bytes that tables were not given, which they might yet make use of.
    forgone: Cell<usize>,
}

impl Effort {
    pub(crate) fn new(steps: u64) -> Effort {
        Effort { left: Cell::new(steps), forgone: Cell::new(0) }
    }

    /// `false` if there are not so many steps left, and none are any more.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        let left = self.left.get().checked_sub(steps as u64);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    pub(crate) fn forgo(&self, bytes: usize) {
        self.forgone.set(self.forgone.get().saturating_add(bytes));
    }

    pub(crate) fn forgone(&self) -> usize {
        self.forgone.get()
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }
}

/// Which of a rule's efforts did not suffice, so that it takes longer to scan than it might.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// That of finding where to look for it.
    pub(crate) search: bool,
    /// That of making its tables.
    pub(crate) tables: bool,
}

/// What compiling one rule may cost.
pub(super) struct Efforts {
    pub(super) search: Effort,
    pub(super) tables: Effort,
}

impl Efforts {
    /// Of 14,346 rules of nine public sets, 24 need more for their search and six for their tables; the median needs a
    /// thousandth. It is about a tenth of a second of one core.
    pub(super) fn new() -> Efforts {
        Efforts { search: Effort::new(1 << 19), tables: Effort::new(1 << 22) }
    }

    pub(super) fn spent(&self) -> Spent {
        Spent { search: self.search.is_spent(), tables: self.tables.is_spent() }
    }
}
