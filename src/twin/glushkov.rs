//! The part of `shaders/verify_nfa.comp` that walks on sets of bits: a byte at a time.

use super::Buffers;
use crate::MatchKind;
use crate::shaders::layout::{self, GlushkovRecord, GlushkovWord, NfaWalker, RuleRecord};

/// What one byte did to a walk.
pub(super) enum Step {
    GoesOn,
    /// There is nothing to read on.
    Ended,
    /// The haystack goes on elsewhere.
    Open,
    /// In leftmost-first order it has to be done again.
    Doubtful,
}

/// A rule's sets, and the one of the positions that have read the byte before.
pub(super) struct Walk<'b> {
    buffers: &'b Buffers,
    rule: &'b RuleRecord,
    record: GlushkovRecord,
    pub(super) set: Vec<u32>,
}

impl<'b> Walk<'b> {
    pub(super) fn new(buffers: &'b Buffers, rule: &'b RuleRecord) -> Walk<'b> {
        let record: GlushkovRecord = buffers.record(rule.glushkov, 0);
        Walk { buffers, rule, record, set: vec![0; record.word_count as usize] }
    }

    fn of_word(&self, word: usize) -> GlushkovWord {
        self.buffers.record(self.record.of_words, word as u32)
    }

    /// What the positions lead to.
    fn lead_on(&self, holds: &mut impl FnMut(u32, u32) -> bool) -> Vec<u32> {
        let GlushkovRecord { looks, look_count, line_terminator, .. } = self.record;
        let mut holding = 0;
        for look in 0..look_count {
            let kind = self.buffers.word(looks + look);
            holding |= u32::from(holds(kind, line_terminator)) << look;
        }
        let mut next = vec![0; self.set.len()];
        let mut add = |guard: u32, word: u32, positions| {
            if guard & !holding == 0 {
                next[word as usize] |= positions;
            }
        };
        let at = |at: u32| self.buffers.word(at);
        for (index, &set) in self.set.iter().enumerate().filter(|(_, set)| **set != 0) {
            let word = self.of_word(index);
            let shift = set & word.shift;
            add(0, index as u32, shift << 1 | set & word.self_loop);
            if shift >> 31 == 1 {
                add(0, index as u32 + 1, 1);
            }
            for entry in (word.shared_exceptions..word.shared_exceptions_end)
                .step_by(layout::GLUSHKOV_SHARED_WORDS as usize)
            {
                if set & at(entry) != 0 {
                    let to = at(entry + 2) & ((1 << layout::GLUSHKOV_SOURCE_SHIFT) - 1);
                    add(at(entry + 1), to, at(entry + 3));
                }
            }
            for bit in (0..32).filter(|bit| set & word.exceptions & 1 << bit != 0) {
                let before = (word.exceptions & ((1 << bit) - 1)).count_ones();
                let list = at(word.exception_lists + before);
                for target in 0..at(list) {
                    let target = list + 1 + layout::GLUSHKOV_TARGET_WORDS * target;
                    add(at(target), at(target + 1), at(target + 2));
                }
            }
        }
        next
    }

    /// Goes on over a byte. `holds` judges look-arounds, `emit` reports an end, and `can_judge` says whether the
    /// next position's look-arounds can be judged.
    pub(super) fn step(
        &mut self,
        walker: &mut NfaWalker,
        [haystack_len, max_scan]: [u32; 2],
        holds: &mut impl FnMut(u32, u32) -> bool,
        can_judge: bool,
        mut emit: impl FnMut(),
    ) -> Step {
        let mut next = self.lead_on(holds);
        let [word, bit] = [self.record.accept / 32, self.record.accept % 32];
        let accepts = next[word as usize] >> bit & 1 == 1;
        next[word as usize] &= !(1 << bit);
        if accepts && self.buffers.match_kind == MatchKind::All {
            if walker.at >= walker.from {
                emit();
            }
        } else if accepts {
            if walker.emitted != 0 {
                return Step::Doubtful;
            }
            walker.last = walker.at;
            let mut is_doubtful = false;
            for (index, next) in next.iter_mut().enumerate() {
                let GlushkovWord { pruned, doubtful, .. } = self.of_word(index);
                *next &= !pruned;
                is_doubtful |= *next & doubtful != 0;
            }
            if is_doubtful {
                walker.emitted =
                    walker.at + (walker.at - walker.start).max(layout::GLUSHKOV_DOUBTED);
            }
        }
        if self.buffers.match_kind == MatchKind::LeftmostFirst
            && (1..=walker.at).contains(&walker.emitted)
        {
            return Step::Doubtful;
        }
        let goes_on = next.iter().any(|&word| word != 0);
        if !goes_on || walker.at == haystack_len || walker.at - walker.start == max_scan {
            return Step::Ended;
        }
        if !can_judge {
            // What is left may be pruned.
            let is_doubtful =
                self.buffers.match_kind == MatchKind::LeftmostFirst && walker.emitted != 0;
            return if is_doubtful { Step::Doubtful } else { Step::Open };
        }
        let class = self.buffers.class_of(self.rule.classes, self.buffers.byte(walker.at));
        let reach = self.record.reach + class * self.record.word_count;
        for (index, word) in (0..).zip(&mut self.set) {
            *word = next[index as usize] & self.buffers.word(reach + index);
        }
        walker.at += 1;
        if self.set.iter().any(|&word| word != 0) { Step::GoesOn } else { Step::Ended }
    }
}
