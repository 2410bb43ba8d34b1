//! The twin of `shaders/chains.comp`.

use super::{Buffers, rule_of_track, segment_count};
use crate::shaders::layout::{self, Control, ScanParams, TrackSegment};

pub(crate) fn chains(buffers: &mut Buffers, params: &ScanParams) {
    let Control { pass, tracks, track_count, .. } = buffers.control;
    let count = segment_count(params);
    if pass != params.pass {
        return;
    }
    let rule = |track: u32| rule_of_track(tracks[track as usize]);
    let share = count.div_ceil(layout::CHAIN_PARTS).max(1);
    for segment in (0..count).rev() {
        let is_last_of_part = (segment + 1) % share == 0 || segment + 1 == count;
        for track in 0..track_count {
            let at = |track, segment| (track * count + segment) as usize;
            let own = buffers.tracks[at(track, segment)];
            let end = own.rows >> layout::SEGMENT_ROW_BITS;
            let joins = |other: &u32| {
                let begin =
                    buffers.tracks[at(*other, segment + 1)].rows & layout::SEGMENT_BEGIN_ROW;
                rule(*other) == rule(track) && begin == end && begin != layout::ROW_DEAD
            };
            if is_last_of_part {
                continue;
            }
            // In the order of the list.
            if let Some(other) = (0..track_count).rev().find(joins) {
                let next = buffers.tracks[at(other, segment + 1)];
                let rows =
                    own.rows & layout::SEGMENT_BEGIN_ROW | next.rows & !layout::SEGMENT_BEGIN_ROW;
                buffers.tracks[at(track, segment)] =
                    TrackSegment { rows, stop: next.stop, last: own.last.max(next.last) };
            }
        }
    }
}
