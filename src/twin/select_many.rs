//! The twins of `shaders/link_tiles.comp`, `enter_tiles.comp`, `select_tiles.comp` and `write_matches.comp`, which select from
//! many sorted hits.

use std::ops::Range;

use super::Buffers;
use super::chains::{Chains, Found};
use crate::MatchKind;
use crate::shaders::layout::{self, Hit, Link, ReadbackHeader, ScanParams, Tile};

impl Buffers {
    fn sorted(&self) -> Vec<Found> {
        (0..self.control.many as usize).map(|index| self.record_at(index)).collect()
    }

    fn link_at(&self, index: usize) -> usize {
        self.hits.len() * 4 + index * Link::WORDS
    }

    pub(super) fn tile_at(&self, tile: u32) -> usize {
        self.link_at(self.hits.len()) + tile as usize * Tile::WORDS
    }

    fn link(&self, index: usize) -> Link {
        let at = self.link_at(index);
        Link { next: self.selection[at], last: self.selection[at + 1] }
    }

    fn set_link(&mut self, index: usize, Link { next, last }: Link) {
        let at = self.link_at(index);
        self.selection[at..at + Link::WORDS].copy_from_slice(&[next, last]);
    }

    fn tile(&self, tile: u32) -> Tile {
        let at = self.tile_at(tile);
        *bytemuck::from_bytes(bytemuck::cast_slice(&self.selection[at..at + Tile::WORDS]))
    }

    fn set_tile(&mut self, index: u32, tile: Tile) {
        let at = self.tile_at(index);
        self.selection[at..at + Tile::WORDS].copy_from_slice(bytemuck::cast_slice(&[tile]));
    }

    /// Each tile, and its hits.
    fn each_tile(&self) -> impl Iterator<Item = (u32, Range<usize>)> + use<> {
        let (many, size) = (self.control.many as usize, self.select_tile as usize);
        let of_tile = move |tile: u32| {
            let first = tile as usize * size;
            (tile, first..many.min(first + size))
        };
        (0..self.tiles(self.control.many)).map(of_tile)
    }
}

pub(crate) fn link_tiles(buffers: &mut Buffers, params: &ScanParams) {
    let sorted = buffers.sorted();
    let chains = Chains { sorted: &sorted, end_start: params.end_start };
    let is_first = |index: &usize| {
        *index == 0 || sorted[index - 1].hit.pattern_id != sorted[*index].hit.pattern_id
    };
    for (tile, hits) in buffers.each_tile() {
        let mut lasts = vec![0; hits.len()];
        for index in hits.clone().rev() {
            let next = chains.next_of(index);
            let is_inner = hits.contains(&(next as usize));
            let last = if is_inner { lasts[next as usize - hits.start] } else { index as u32 };
            lasts[index - hits.start] = last;
            buffers.set_link(index, Link { next, last });
        }
        let none = layout::SELECT_NONE;
        let [mut left_from, mut left_to] = [none; 2];
        if let Some(first) = hits.clone().rfind(is_first) {
            left_from = (2 * first as u32) | layout::FROM_FIRST;
            let (to, _) = chains.selected_from(left_from).expect("a pattern's first hit");
            left_to = to as u32;
            if hits.contains(&to) {
                let last = lasts[to - hits.start];
                left_from = 2 * last;
                left_to = chains.next_of(last as usize);
            }
        }
        let match_count = buffers.tile(tile).match_count;
        let entered = Tile { entry: none, entered_from: none, left_from, left_to, match_count };
        buffers.set_tile(tile, entered);
    }
}

pub(crate) fn enter_tiles(buffers: &mut Buffers, _: &ScanParams) {
    let tiles = buffers.tiles(buffers.control.many);
    for tile in 0..tiles {
        let Tile { left_from, left_to, .. } = buffers.tile(tile);
        if left_from == layout::SELECT_NONE {
            continue;
        }
        let [mut from, mut next] = [left_from, left_to];
        for behind in tile + 1..tiles {
            let entered = buffers.tile(behind);
            buffers.set_tile(behind, Tile { entry: next, entered_from: from, ..entered });
            if entered.left_from != layout::SELECT_NONE {
                break;
            }
            if next / buffers.select_tile == behind {
                let last = buffers.link(next as usize).last;
                (from, next) = (2 * last, buffers.link(last as usize).next);
            }
        }
    }
}

pub(crate) fn select_tiles(buffers: &mut Buffers, params: &ScanParams) {
    let sorted = buffers.sorted();
    let chains = Chains { sorted: &sorted, end_start: params.end_start };
    for (tile, hits) in buffers.each_tile() {
        let Tile { entry, entered_from, .. } = buffers.tile(tile);
        let starts = if buffers.match_kind == MatchKind::All {
            chains.distinct_starts(hits.clone())
        } else {
            let entry = hits
                .contains(&(entry as usize))
                .then(|| chains.selected_from(entered_from).expect("a chain goes on in this tile"));
            let next_of = |index: usize| buffers.link(index).next;
            let starts = chains.starts(hits.clone(), next_of, entry);
            for (index, open) in chains.open(hits.clone(), &starts, entered_from) {
                let Found { hit, .. } = sorted[index];
                if let Some(word) = buffers.open(params, hit.pattern_id, open) {
                    buffers.set_record(index, Found { hit, word });
                }
            }
            starts
        };
        let mut match_count = 0;
        for (index, start) in hits.zip(starts) {
            let is_match = start != layout::SELECT_NONE && sorted[index].word != layout::CARRIED;
            let last = if is_match { start } else { layout::SELECT_NONE };
            match_count += u32::from(is_match);
            let next = buffers.link(index).next;
            buffers.set_link(index, Link { next, last });
        }
        let selected = Tile { match_count, ..buffers.tile(tile) };
        buffers.set_tile(tile, selected);
    }
}

/// The head and, if it says so, the matches, which are where the hits were then, too; else the hits are there, sorted.
pub(crate) fn write_matches(
    buffers: &mut Buffers,
    params: &ScanParams,
) -> (ReadbackHeader, Vec<Hit>) {
    let selected = buffers.selected(params);
    let header = ReadbackHeader {
        pass: params.pass_count,
        hit_count: buffers.control.many,
        selected,
        ..buffers.readback_header(params)
    };
    buffers.control.selected = selected;
    let sorted = buffers.sorted();
    if selected != layout::SELECTED_ALL {
        sorted.iter().enumerate().for_each(|(index, found)| buffers.set_found(index, *found));
        buffers.hit_count = buffers.control.many;
        return (header, Vec::new());
    }
    let starts = (0..sorted.len()).map(|index| buffers.link(index).last);
    let matches: Vec<Hit> = sorted
        .iter()
        .zip(starts)
        .filter(|(_, start)| *start != layout::SELECT_NONE)
        .map(|(found, start)| Hit { start, ..found.hit })
        .collect();
    buffers.hits[..matches.len()].copy_from_slice(&matches);
    buffers.hit_count = matches.len() as u32;
    buffers.tally_matches(params);
    (ReadbackHeader { match_count: buffers.hit_count, ..header }, matches)
}
