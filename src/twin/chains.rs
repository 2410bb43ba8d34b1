//! The twin of `shaders/include/hits.glsl` and `chains.glsl`: what hits tell, and which of them are selected.

use std::ops::Range;

use crate::shaders::layout::{self, Hit};

/// A hit, and the word beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) hit: Hit,
    pub(super) word: u32,
}

impl Found {
    pub(super) fn report(&self) -> u32 {
        self.word >> layout::REPORT_SHIFT
    }

    fn is_report(&self) -> bool {
        self.report() != layout::REPORT_NONE
    }

    pub(super) fn is_run(&self) -> bool {
        [layout::REPORT_LAZY, layout::REPORT_GREEDY].contains(&self.report())
    }

    fn suffix(&self) -> u32 {
        self.word & layout::SUFFIX_MASK
    }

    /// What the hits of a pattern are sorted by.
    pub(super) fn position(&self) -> u32 {
        if self.is_run() { self.suffix() } else { self.hit.start }
    }

    /// Where the next match may start.
    fn behind(&self) -> u32 {
        if self.is_run() { self.hit.end.max(self.suffix() + 1) } else { self.hit.end }
    }

    fn is_alike(&self, other: &Found) -> bool {
        self.hit.pattern_id == other.hit.pattern_id && self.is_run() == other.is_run()
    }

    /// Hits are sorted by this, those that are alike by where they were found.
    pub(super) fn key(&self) -> (u32, bool, u32, bool) {
        (self.hit.pattern_id, self.is_run(), self.position(), self.is_report())
    }
}

/// What a report leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// Starts are to be verified again.
    Starts(Range<u32>),
    /// A report tells something else from now on: the word beside it.
    Word(u32),
}

/// Sorted hits.
pub(super) struct Chains<'s> {
    pub(super) sorted: &'s [Found],
    pub(super) end_start: u32,
}

impl Chains<'_> {
    fn is_first(&self, index: usize) -> bool {
        let pattern_id = |index: usize| self.sorted[index].hit.pattern_id;
        index == 0 || pattern_id(index - 1) != pattern_id(index)
    }

    /// Of the hits from `index` on, the one that is selected for a match from the start.
    fn preferred(&self, index: usize, start: u32) -> usize {
        let first = &self.sorted[index];
        let leads = |other: &Found| first.is_alike(other) && other.hit.start <= start;
        match first.report() {
            layout::REPORT_GREEDY => index + self.sorted[index + 1..].partition_point(leads),
            _ => index,
        }
    }

    /// The hit that is selected first of a pattern, or behind another, and where its match starts; `from` is as in a `Tile`.
    pub(super) fn selected_from(&self, from: u32) -> Option<(usize, u32)> {
        let index = from as usize / 2;
        let found = &self.sorted[index];
        if from & layout::FROM_FIRST != 0 {
            return Some((self.preferred(index, found.hit.start), found.hit.start));
        }
        let behind = found.behind();
        let is_before = |other: &Found| found.is_alike(other) && other.position() < behind;
        let next = index + 1 + self.sorted[index + 1..].partition_point(is_before);
        let first = self.sorted.get(next).filter(|first| found.is_alike(first))?;
        let start = first.hit.start.max(behind);
        (start < self.end_start).then(|| (self.preferred(next, start), start))
    }

    /// Whether a report's pattern has reports of runs and other hits.
    fn is_mixed(&self, index: usize) -> bool {
        let found = &self.sorted[index];
        let pattern_id = found.hit.pattern_id;
        let first = self.sorted.partition_point(|other| other.hit.pattern_id < pattern_id);
        let end = self.sorted.partition_point(|other| other.hit.pattern_id <= pattern_id);
        // Those that are of runs come last.
        found.is_report() && self.sorted[first].is_run() != self.sorted[end - 1].is_run()
    }

    /// As in `Link::next`.
    pub(super) fn next_of(&self, index: usize) -> u32 {
        if self.is_mixed(index) {
            return layout::SELECT_MIXED;
        }
        let next = self.selected_from(2 * index as u32);
        next.map_or(layout::SELECT_NONE, |(next, _)| next as u32)
    }

    /// Where the matches start that hits of a tile stand for, `SELECT_NONE` for those that stand for none. The chain of a
    /// pattern that began before goes on at `entry`.
    pub(super) fn starts(
        &self,
        tile: Range<usize>,
        next_of: impl Fn(usize) -> u32,
        entry: Option<(usize, u32)>,
    ) -> Vec<u32> {
        let mut starts = vec![layout::SELECT_NONE; tile.len()];
        let firsts = tile.clone().filter(|&index| self.is_first(index)).map(|index| {
            let start = self.sorted[index].hit.start;
            (self.preferred(index, start), start)
        });
        for (mut index, mut start) in entry.into_iter().chain(firsts) {
            while tile.contains(&index) {
                starts[index - tile.start] = start;
                let next = next_of(index);
                if next >= layout::SELECT_MIXED {
                    break;
                }
                let (_, next_start) = self.selected_from(2 * index as u32).expect("a hit is next");
                (index, start) = (next as usize, next_start);
            }
        }
        starts
    }

    /// As `starts`, where all matches are wanted.
    pub(super) fn distinct_starts(&self, tile: Range<usize>) -> Vec<u32> {
        let hit = |index: usize| self.sorted[index].hit;
        let is_new = |index: usize| index == 0 || hit(index - 1) != hit(index);
        let start = |index| if is_new(index) { hit(index).start } else { layout::SELECT_NONE };
        tile.map(start).collect()
    }

    /// What reports among a tile's hits leave open, of which hits are selected whose matches have `starts`. What they stand
    /// behind is `entered_from`, as in a `Tile`.
    pub(super) fn open(
        &self,
        tile: Range<usize>,
        starts: &[u32],
        entered_from: u32,
    ) -> Vec<(usize, Open)> {
        let mut cover =
            (entered_from & layout::FROM_FIRST == 0).then_some(entered_from as usize / 2);
        let mut open = Vec::new();
        // Starts behind the cover up to this one are listed.
        let mut listed = 0;
        for (index, &start) in tile.zip(starts) {
            let found = &self.sorted[index];
            let is_selected = start != layout::SELECT_NONE;
            if self.is_mixed(index) {
                if found.is_run() {
                    open.push((index, Open::Word(found.suffix())));
                }
            } else if found.report() == layout::REPORT_LEAST {
                if self.has_two_ends(index) {
                    open.push((index, Open::Starts(found.hit.start..found.hit.start + 1)));
                }
                let cover = cover.filter(|_| !is_selected).map(|cover| &self.sorted[cover]);
                let cover = cover.filter(|cover| cover.hit.pattern_id == found.hit.pattern_id);
                let free = cover.map_or(0, Found::behind);
                if found.hit.start < free && found.suffix() >= free {
                    let end = found.suffix() + 1;
                    open.push((index, Open::Starts(listed.max(free)..end)));
                    open.push((index, Open::Word(free - 1)));
                    listed = listed.max(end);
                }
            }
            if is_selected {
                (cover, listed) = (Some(index), 0);
            }
        }
        open
    }

    /// Whether a report of least starts has another end than the one before, for the same start, which has not been verified. Of
    /// many that tell of one start that is so where ends begin to differ, and not of all.
    fn has_two_ends(&self, index: usize) -> bool {
        let found = &self.sorted[index];
        let Some(before) = index.checked_sub(1).map(|before| &self.sorted[before]) else {
            return false;
        };
        let is_same_start = found.is_alike(before) && before.hit.start == found.hit.start;
        let differs = is_same_start && before.is_report() && before.hit.end != found.hit.end;
        let (pattern_id, is_run, start, _) = found.key();
        let first =
            self.sorted.partition_point(|other| other.key() < (pattern_id, is_run, start, false));
        let first = &self.sorted[first];
        differs && first.is_report() && before.hit.end == first.hit.end
    }
}
