//! The part of `shaders/nfa.comp` that walks on sets of bits: a byte at a time.

use super::Buffers;
use crate::MatchKind;
use crate::shaders::layout::{self, BitsRecord, NfaWalker, RuleRecord};

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
    record: BitsRecord,
    pub(super) set: Vec<u32>,
}

impl<'b> Walk<'b> {
    pub(super) fn new(buffers: &'b Buffers, rule: &'b RuleRecord) -> Walk<'b> {
        let record: BitsRecord = buffers.record(rule.bits, 0);
        Walk { buffers, rule, record, set: vec![0; record.word_count as usize] }
    }

    fn mask(&self, kind: u32, word: usize) -> u32 {
        self.buffers.word(self.record.masks + kind * self.record.word_count + word as u32)
    }

    fn lead_to(&self, list: u32, holding: u32, next: &mut [u32]) {
        for target in 0..self.buffers.word(list) {
            let at = list + 1 + layout::BITS_TARGET_WORDS * target;
            let [guard, word, positions] = [0, 1, 2].map(|field| self.buffers.word(at + field));
            if guard & !holding == 0 {
                next[word as usize] |= positions;
            }
        }
    }

    /// What the positions lead to.
    fn lead_on(&self, holds: &mut impl FnMut(u32, u32) -> bool) -> Vec<u32> {
        let record = &self.record;
        let mut holding = 0;
        for look in 0..record.look_count {
            let kind = self.buffers.word(record.looks + look);
            holding |= u32::from(holds(kind, record.line_terminator)) << look;
        }
        let mut next = vec![0; self.set.len()];
        for word in 0..self.set.len() {
            let chained = self.set[word] & self.mask(layout::BITS_CHAINED, word);
            next[word] |= chained << 1 | self.set[word] & self.mask(layout::BITS_LOOPED, word);
            if let Some(after) = next.get_mut(word + 1) {
                *after |= chained >> 31;
            }
        }
        for word in 0..self.set.len() {
            let lonely = self.mask(layout::BITS_LONELY, word);
            let first = self.buffers.word(record.firsts + word as u32);
            for bit in (0..32).filter(|bit| self.set[word] & lonely & 1 << bit != 0) {
                let before = (lonely & ((1 << bit) - 1)).count_ones();
                let list = self.buffers.word(record.lists + first + before);
                self.lead_to(list, holding, &mut next);
            }
        }
        for group in 0..record.group_count {
            let at = record.groups + layout::BITS_GROUP_WORDS * group;
            let [first, count, sources, list] =
                [0, 1, 2, 3].map(|field| self.buffers.word(at + field));
            let is_met = |word: u32| {
                self.set[(first + word) as usize] & self.buffers.word(sources + word) != 0
            };
            if (0..count).any(is_met) {
                self.lead_to(list, holding, &mut next);
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
            for (word, next) in next.iter_mut().enumerate() {
                *next &= !self.mask(layout::BITS_CUT, word);
                let doubtful = *next & self.mask(layout::BITS_DOUBTFUL, word);
                walker.emitted |= u32::from(doubtful != 0);
            }
        }
        let goes_on = next.iter().any(|&word| word != 0);
        if !goes_on || walker.at == haystack_len || walker.at - walker.start == max_scan {
            return Step::Ended;
        }
        if !can_judge {
            return Step::Open;
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
