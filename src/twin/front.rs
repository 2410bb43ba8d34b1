//! The twin of `shaders/include/front.glsl`.

use super::{Buffers, Text};
use crate::MatchKind;
use crate::shaders::layout::{self, ScanParams};

/// Whether another start decides about this one.
pub(super) fn is_left_to_another(
    buffers: &Buffers,
    params: &ScanParams,
    text: Text,
    front: u32,
    start: u32,
) -> bool {
    let is_in_run = || {
        let byte = buffers.byte(start - 1);
        buffers.word(front + u32::from(byte >> 5)) >> (byte & 31) & 1 != 0
    };
    buffers.match_kind == MatchKind::LeftmostFirst
        && front != 0
        && params.max_scan == layout::UNBOUNDED
        && start > text.begin
        && is_in_run()
}
