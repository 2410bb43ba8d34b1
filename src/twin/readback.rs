//! The twin of `shaders/readback.comp`.

use super::Buffers;
use crate::shaders::layout::{Hit, ReadbackHeader, ScanParams};

pub(crate) fn readback(buffers: &Buffers, params: &ScanParams) -> (ReadbackHeader, Vec<Hit>) {
    let header = ReadbackHeader {
        pass: buffers.control.pass,
        hit_count: buffers.hit_count,
        rounds: buffers.control.rounds,
        overflowed: buffers.control.overflowed,
    };
    let is_done = header.pass >= params.pass_count && header.hit_count <= params.hit_capacity;
    let count = if is_done { header.hit_count as usize } else { 0 };
    (header, buffers.hits[..count].to_vec())
}
