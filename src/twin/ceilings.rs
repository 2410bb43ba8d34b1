//! The twins of `shaders/measure_read.comp` and `shaders/measure_walk.comp`.

use super::Buffers;
use crate::shaders;
use crate::shaders::layout::ScanParams;

/// Workgroups of `measure_read`.
pub(crate) const READ_GROUPS: u32 = 3;

pub(crate) fn measure_read(buffers: &mut Buffers, params: &ScanParams) {
    let invocations = (READ_GROUPS * shaders::MEASURE_READ.local_size[0]) as usize;
    let mut sums = vec![0_u32; invocations];
    let bytes = &buffers.haystack[..params.haystack_len as usize];
    for (index, unit) in bytes.chunks_exact(16).enumerate() {
        for word in unit.as_chunks::<4>().0 {
            let sum = &mut sums[index % invocations];
            *sum = sum.wrapping_add(u32::from_le_bytes(*word));
        }
    }
    buffers.selection[..invocations].copy_from_slice(&sums);
}

pub(crate) fn measure_walk(buffers: &mut Buffers, params: &ScanParams) {
    let words = &buffers.tables.words;
    buffers.selection[0] = (0..params.step_budget).fold(0, |at: u32, _| words[at as usize]);
}
