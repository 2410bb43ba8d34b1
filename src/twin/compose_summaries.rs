//! The twin of `shaders/compose_summaries.comp`.

use super::{Buffers, chain_parts, rule_of_track, segment_count};
use crate::shaders::layout::{self, Control, ScanParams, TrackSegment};

pub(crate) fn compose_summaries(buffers: &mut Buffers, params: &ScanParams) {
    let Control { pass, tracks, track_count, .. } = buffers.control;
    let count = segment_count(params);
    if pass != params.pass {
        return;
    }
    let rule = |track: u32| rule_of_track(tracks[track as usize]);
    let share = count.div_ceil(chain_parts(params)).max(1);
    for segment in (0..count).rev() {
        let end = (segment / share * share + share).min(count);
        for track in 0..track_count {
            let at = |track, segment| (track * count + segment) as usize;
            let own = buffers.tracks[at(track, segment)];
            let row = own.rows >> layout::SEGMENT_ROW_BITS;
            if own.stop >= end || row == layout::ROW_DEAD {
                continue;
            }
            let behind = |other: u32| buffers.tracks[at(other, own.stop)];
            let joins = |&other: &u32| {
                rule(other) == rule(track) && behind(other).rows & layout::SEGMENT_BEGIN_ROW == row
            };
            // In the order of the list.
            if let Some(other) = (0..track_count).rev().find(joins) {
                let TrackSegment { rows, stop, last } = behind(other);
                let rows = own.rows & layout::SEGMENT_BEGIN_ROW | rows & !layout::SEGMENT_BEGIN_ROW;
                buffers.tracks[at(track, segment)] =
                    TrackSegment { rows, stop, last: own.last.max(last) };
            }
        }
    }
}
