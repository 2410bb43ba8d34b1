//! The twin of `shaders/readback.comp`.

use super::Buffers;
use crate::shaders::layout::{Hit, ReadbackHeader, ScanParams};

/// The head, the hits and, if they are read back, their suffixes.
pub(crate) fn readback(
    buffers: &Buffers,
    params: &ScanParams,
) -> (ReadbackHeader, Vec<Hit>, Vec<u32>) {
    let header = buffers.readback_header(params);
    let is_done = buffers.is_over(params) && header.hit_count <= params.hit_capacity;
    let count = if is_done { header.hit_count as usize } else { 0 };
    let suffix_count = if params.is_direct != 0 { count } else { 0 };
    (header, buffers.hits[..count].to_vec(), buffers.hit_suffixes[..suffix_count].to_vec())
}
