//! The twin of `shaders/readback.comp`.

use super::Buffers;
use crate::shaders::layout::{self, Hit, ReadbackHeader, ScanParams};

/// The head, the hits and, if they are read back, their tails.
pub(crate) fn readback(
    buffers: &Buffers,
    params: &ScanParams,
) -> (ReadbackHeader, Vec<Hit>, Vec<u32>) {
    let mut header = ReadbackHeader {
        pass: buffers.control.pass,
        hit_count: buffers.hit_count,
        rounds: buffers.control.rounds,
        overflowed: buffers.control.overflowed,
    };
    if params.stage == layout::ADVANCE_TAILS {
        header.overflowed = buffers.overflows(params);
        if header.overflowed != 0 || buffers.is_settled(params) {
            header.pass = params.pass_count;
        }
    }
    let is_done = header.pass >= params.pass_count && header.hit_count <= params.hit_capacity;
    let count = if is_done { header.hit_count as usize } else { 0 };
    let tail_count = if params.is_direct != 0 { count } else { 0 };
    (header, buffers.hits[..count].to_vec(), buffers.hit_tails[..tail_count].to_vec())
}
