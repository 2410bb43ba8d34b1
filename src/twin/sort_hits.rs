//! The twins of `shaders/count_digits.comp`, `sum_digits.comp` and `move_hits.comp`, which sort many hits.

use super::Buffers;
use super::chains::Found;
use crate::MatchKind;
use crate::shaders::bits_below;
use crate::shaders::layout::{self, Hit, ScanParams};

impl Buffers {
    /// Digits that hits are sorted by.
    pub(super) fn digits(&self, params: &ScanParams) -> u32 {
        params.digits(self.match_kind == MatchKind::All, self.header().pattern_count)
    }

    /// The digit that `params.stage` counts.
    fn digit(&self, params: &ScanParams, found: &Found) -> u32 {
        let end_digits = params.end_digits(self.match_kind == MatchKind::All);
        if params.stage < end_digits {
            return found.hit.end >> (params.stage * layout::DIGIT_BITS) & (layout::DIGITS - 1);
        }
        let (pattern_id, is_run, position, is_report) = found.key();
        let kind = u64::from(pattern_id) << 1 | u64::from(is_run);
        let position = u64::from(position) << 1 | u64::from(is_report);
        let key = kind << (1 + bits_below(params.haystack_len)) | position;
        let digit = key >> ((params.stage - end_digits) * layout::DIGIT_BITS);
        digit as u32 & (layout::DIGITS - 1)
    }

    /// A hit that is sorted by that digit next.
    fn unsorted(&self, params: &ScanParams, index: u32) -> Found {
        let index = index as usize;
        if params.stage.is_multiple_of(2) { self.found(index) } else { self.record_at(index) }
    }

    /// Where the counts of a digit begin in the selection buffer.
    fn counts_at(&self, digit: u32) -> usize {
        let most_tiles = self.tiles(self.hits.len() as u32);
        self.tile_at(most_tiles) + (digit * self.tiles(self.control.many)) as usize
    }

    fn sum_at(&self, digit: u32) -> usize {
        self.counts_at(layout::DIGITS) + digit as usize
    }

    /// Hits of a tile.
    fn of_tile(&self, tile: u32) -> std::ops::Range<u32> {
        let end = (tile + 1) * self.select_tile;
        tile * self.select_tile..end.min(self.control.many)
    }
}

pub(crate) fn count_digits(buffers: &mut Buffers, params: &ScanParams) {
    for tile in 0..buffers.tiles(buffers.control.many) {
        let mut counts = [0; layout::DIGITS as usize];
        for index in buffers.of_tile(tile) {
            counts[buffers.digit(params, &buffers.unsorted(params, index)) as usize] += 1;
        }
        for (digit, count) in (0..).zip(counts) {
            let at = buffers.counts_at(digit) + tile as usize;
            buffers.selection[at] = count;
        }
    }
}

pub(crate) fn sum_digits(buffers: &mut Buffers, _: &ScanParams) {
    for digit in 0..layout::DIGITS {
        let mut sum = 0;
        let counts = buffers.counts_at(digit)..buffers.counts_at(digit + 1);
        for count in &mut buffers.selection[counts] {
            sum += std::mem::replace(count, sum);
        }
        let at = buffers.sum_at(digit);
        buffers.selection[at] = sum;
    }
}

pub(crate) fn move_hits(buffers: &mut Buffers, params: &ScanParams) {
    let before = buffers.clone();
    let mut end = 0;
    let begins = (0..layout::DIGITS).map(|digit| {
        let begin = end;
        end += before.selection[before.sum_at(digit)];
        begin
    });
    let begins: Vec<u32> = begins.collect();
    for tile in 0..before.tiles(before.control.many) {
        let of_tile = |digit: u32| before.selection[before.counts_at(digit) + tile as usize];
        let mut places: Vec<u32> =
            (0..).zip(&begins).map(|(digit, begin)| begin + of_tile(digit)).collect();
        for index in before.of_tile(tile) {
            let found = before.unsorted(params, index);
            let place = &mut places[before.digit(params, &found) as usize];
            let to = *place as usize;
            *place += 1;
            if params.stage.is_multiple_of(2) {
                buffers.set_record(to, found);
            } else {
                buffers.set_found(to, found);
            }
        }
    }
}

impl Buffers {
    /// A hit in the selection buffer.
    pub(super) fn record_at(&self, index: usize) -> Found {
        let word = |at: usize| self.selection[at];
        let [pattern_id, start, end] = [0, 1, 2].map(|field| word(index * 3 + field));
        Found { hit: Hit { pattern_id, start, end }, word: word(self.hits.len() * 3 + index) }
    }

    pub(super) fn set_record(&mut self, index: usize, found: Found) {
        let Hit { pattern_id, start, end } = found.hit;
        self.selection[index * 3..index * 3 + 3].copy_from_slice(&[pattern_id, start, end]);
        let at = self.hits.len() * 3 + index;
        self.selection[at] = found.word;
    }

    pub(super) fn set_found(&mut self, index: usize, found: Found) {
        (self.hits[index], self.hit_suffixes[index]) = (found.hit, found.word);
    }
}
