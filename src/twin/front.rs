//! The twin of `shaders/include/front.glsl`.

use super::{Buffers, Text};
use crate::MatchKind;
use crate::shaders::layout::{self, RuleRecord, ScanParams};

pub(super) fn has_fronts(buffers: &Buffers, params: &ScanParams) -> bool {
    buffers.match_kind == MatchKind::LeftmostFirst
        && params.max_scan == layout::UNBOUNDED
        && buffers.control.carried <= layout::MOST_CARRIED
}

fn is_in_set(buffers: &Buffers, set: u32, byte: u8) -> bool {
    buffers.word(set + u32::from(byte >> 5)) >> (byte & 31) & 1 != 0
}

/// Whether a rule whose match ends at `at` may match from there on, and nobody else sees to that.
pub(super) fn goes_on_at(
    buffers: &Buffers,
    params: &ScanParams,
    text: Text,
    front: u32,
    at: u32,
) -> bool {
    front != 0
        && has_fronts(buffers, params)
        && at < text.end.min(params.end_start)
        && is_in_set(buffers, front, buffers.byte(at - 1))
}

/// Whether another start decides about this one.
pub(super) fn is_left_to_another(
    buffers: &Buffers,
    params: &ScanParams,
    text: Text,
    rule: &RuleRecord,
    start: u32,
) -> bool {
    let carried = &buffers.hits[..buffers.control.carried as usize];
    let is_carried =
        |pattern_id| carried.iter().any(|hit| (hit.pattern_id, hit.end) == (pattern_id, start));
    rule.front != 0
        && has_fronts(buffers, params)
        && start > text.begin
        && start != params.first_start
        && is_in_set(buffers, rule.front, buffers.byte(start - 1))
        && !is_carried(rule.pattern_id)
}
