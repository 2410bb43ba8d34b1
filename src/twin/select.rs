//! The twin of `shaders/select.comp`.

use super::Buffers;
use super::chains::{Chains, Found, Open};
use crate::MatchKind;
use crate::shaders::layout::{self, Candidate, Hit, ReadbackHeader, ScanParams};

/// The head and, if it says so, the matches, which are where the hits were then, too. None if an earlier call has selected
/// them, or left starts open that have yet to be verified.
pub(crate) fn select(
    buffers: &mut Buffers,
    params: &ScanParams,
) -> Option<(ReadbackHeader, Vec<Hit>)> {
    let count = buffers.hit_count;
    let settled = [layout::SELECTED_ALL, layout::SELECTED_OPEN, layout::SELECTED_UNTOLD];
    if settled.contains(&buffers.control.selected) {
        buffers.leave(0);
        return None;
    }
    let header = buffers.readback_header(params);
    if !buffers.is_over(params) || header.retry_reasons != 0 || count > params.hit_capacity {
        buffers.leave(0);
        return Some((header, Vec::new()));
    }
    buffers.control.opened = 0;
    buffers.control.start_count = 0;
    if count > buffers.select_tile {
        buffers.control.selected = layout::SELECTED_MANY;
        buffers.leave(count);
        return Some((ReadbackHeader { selected: layout::SELECTED_MANY, ..header }, Vec::new()));
    }
    buffers.leave(0);
    let mut order: Vec<usize> = (0..count as usize).collect();
    let is_all = buffers.match_kind == MatchKind::All;
    order.sort_by_key(|&index| {
        let found = buffers.found(index);
        (found.key(), if is_all { found.hit.end } else { 0 })
    });
    let sorted: Vec<Found> = order.iter().map(|&index| buffers.found(index)).collect();
    let chains = Chains { sorted: &sorted, end_start: params.end_start };
    let all = 0..sorted.len();
    let starts = if is_all {
        chains.distinct_starts(all)
    } else {
        let starts = chains.starts(all.clone(), |index| chains.next_of(index), None);
        for (place, open) in chains.open(all, &starts, layout::SELECT_NONE) {
            let pattern_id = sorted[place].hit.pattern_id;
            if let Some(word) = buffers.open(params, pattern_id, open) {
                buffers.hit_suffixes[order[place]] = word;
            }
        }
        starts
    };
    let selected = buffers.selected(params);
    buffers.control.selected = selected;
    if selected != layout::SELECTED_ALL {
        return Some((ReadbackHeader { selected, ..header }, Vec::new()));
    }
    let matches: Vec<Hit> = sorted
        .iter()
        .zip(starts)
        .filter(|(found, start)| *start != layout::SELECT_NONE && found.word != layout::CARRIED)
        .map(|(found, start)| Hit { start, ..found.hit })
        .collect();
    buffers.hits[..matches.len()].copy_from_slice(&matches);
    buffers.hit_count = matches.len() as u32;
    buffers.tally_matches(params);
    Some((ReadbackHeader { selected, match_count: buffers.hit_count, ..header }, matches))
}

impl Buffers {
    pub(super) fn found(&self, index: usize) -> Found {
        Found { hit: self.hits[index], word: self.hit_suffixes[index] }
    }

    /// Where items are packed.
    pub(super) fn tally_matches(&mut self, params: &ScanParams) {
        if !self.slots.is_empty() {
            self.tally(params, layout::TALLY_HITS, self.hit_count);
        }
    }

    /// Tiles of so many hits.
    pub(super) fn tiles(&self, hits: u32) -> u32 {
        hits.div_ceil(self.select_tile)
    }

    /// Leaves so many hits to other workgroups.
    fn leave(&mut self, many: u32) {
        let tiles = self.tiles(many);
        let control = &mut self.control;
        control.many = many;
        control.tiles_x = tiles.min(layout::MOST_TILE_GROUPS);
        control.sum_digits_x = if many == 0 { 0 } else { layout::DIGITS };
        control.enter_tiles_x = tiles.div_ceil(layout::WORKGROUP);
        control.write_matches_x = tiles.min(layout::MOST_WRITE_GROUPS);
        [control.tiles_y, control.tiles_z] = [1; 2];
        [control.sum_digits_y, control.sum_digits_z] = [1; 2];
        [control.enter_tiles_y, control.enter_tiles_z] = [1; 2];
        [control.write_matches_y, control.write_matches_z] = [1; 2];
    }

    /// Takes note of what a hit of a pattern leaves open. The word beside the hit, if that changes.
    pub(super) fn open(&mut self, params: &ScanParams, pattern_id: u32, open: Open) -> Option<u32> {
        let starts = match open {
            Open::Word(word) => {
                self.control.opened |= layout::OPENED;
                return Some(word);
            }
            Open::Starts(starts) if starts.is_empty() => return None,
            Open::Starts(starts) => starts.start..starts.end.min(params.end_start),
        };
        let most = params.start_capacity.min(layout::MOST_VERIFIED_AGAIN);
        let at = self.control.start_count;
        let wanted = starts.len() as u32;
        if wanted > most || at > most {
            self.control.opened |= layout::OPENED_TOO_MUCH;
            return None;
        }
        self.control.start_count += wanted;
        if at + wanted > most {
            self.control.opened |= layout::OPENED_TOO_MUCH;
            return None;
        }
        self.control.opened |= layout::OPENED;
        for (start, place) in starts.zip(params.candidate_capacity + at..) {
            self.candidates[place as usize] = Candidate { of: pattern_id, at: start };
        }
        None
    }

    /// What has been selected, by what hits have left open: `SELECTED_*`.
    pub(super) fn selected(&self, params: &ScanParams) -> u32 {
        // Starts are verified again in an only pass alone.
        let goes_on = params.pass_count == 1
            && self.control.opened & layout::OPENED_TOO_MUCH == 0
            && self.control.verified_again < layout::MOST_AGAIN;
        match self.control.opened {
            0 => layout::SELECTED_ALL,
            _ if goes_on => layout::SELECTED_OPEN,
            _ => layout::SELECTED_UNTOLD,
        }
    }
}
