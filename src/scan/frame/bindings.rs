//! The descriptor sets of a frame.

use std::sync::Arc;

use super::pipelines::Kernels;
use super::shape::FrameShape;
use crate::BackendError;
use crate::shaders::layout;
use crate::vulkan::device::Device;
use crate::vulkan::memory::Buffer;
use crate::vulkan::pipeline::{Binding, DescriptorSet};

/// A descriptor set for each pass's tables.
pub(super) fn descriptor_sets(
    device: &Arc<Device>,
    kernels: &Kernels,
    tables: &[Buffer],
    bound: &[(u32, Buffer)],
    shape: &FrameShape,
    haystack: &Buffer,
) -> Result<Vec<Arc<DescriptorSet>>, BackendError> {
    let of_pass = |tables: &Buffer| {
        let plain = bound.iter().map(|(binding, buffer)| (*binding, buffer));
        let mut bindings: Vec<Binding> = std::iter::once((layout::BINDING_TABLES, tables))
            .chain(plain)
            .map(|(binding, buffer)| Binding {
                binding,
                array_index: 0,
                buffer,
                offset: 0,
                range: buffer.size(),
            })
            .collect();
        bindings.extend((0..layout::MAX_SEGMENTS).map(|index| {
            let (offset, range) = segment(shape, haystack, index);
            let binding = layout::BINDING_HAYSTACK;
            Binding { binding, array_index: index, buffer: haystack, offset, range }
        }));
        DescriptorSet::new(device, "frame", &kernels.set_layout, &bindings)
    };
    tables.iter().map(of_pass).collect()
}

/// Offset and length of the part of the haystack that is bound at `index` of the array. Elements that no
/// kernel indexes are bound to the first part.
fn segment(shape: &FrameShape, haystack: &Buffer, index: u32) -> (u64, u64) {
    if shape.segments == 1 {
        return (0, haystack.size());
    }
    let segment = 1_u64 << layout::SEGMENT_SHIFT;
    let offset = u64::from(index) * segment;
    let offset = if offset < haystack.size() { offset } else { 0 };
    (offset, segment.min(haystack.size() - offset))
}
