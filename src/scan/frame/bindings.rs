//! The descriptor sets of a frame.

use std::sync::Arc;

use super::resources::Resources;
use super::shape::FrameShape;
use crate::BackendError;
use crate::shaders::layout;
use crate::vulkan::device::Device;
use crate::vulkan::memory::{Buffer, Span};
use crate::vulkan::pipeline::{Binding, DescriptorSet};

/// A descriptor set for each pass's tables.
pub(super) fn descriptor_sets(
    device: &Arc<Device>,
    resources: &Resources,
    haystack: Span,
) -> Result<Vec<Arc<DescriptorSet>>, BackendError> {
    let Resources { name, kernels, tables, bound, shape, .. } = resources;
    let of_pass = |(pass, tables): (usize, &Buffer)| {
        let plain = bound.iter().map(|(binding, buffer)| (*binding, Span::whole(buffer)));
        let bindings = bindings(tables, plain, shape, haystack);
        let name = format!("{name}/pass {pass}");
        DescriptorSet::new(device, &name, &kernels.set_layout, &bindings)
    };
    tables.iter().enumerate().map(of_pass).collect()
}

/// What is bound for a pass with these tables.
pub(super) fn bindings<'a>(
    tables: &'a Buffer,
    plain: impl Iterator<Item = (u32, Span<'a>)>,
    shape: &FrameShape,
    haystack: Span<'a>,
) -> Vec<Binding<'a>> {
    let plain = std::iter::once((layout::BINDING_TABLES, Span::whole(tables))).chain(plain);
    let plain = plain.map(|(binding, span)| (binding, 0, span));
    let segments = (0..layout::MAX_SEGMENTS)
        .map(|index| (layout::BINDING_HAYSTACK, index, segment(shape, haystack, index)));
    plain
        .chain(segments)
        .map(|(binding, array_index, Span { buffer, offset, size })| Binding {
            binding,
            array_index,
            buffer,
            offset,
            range: size,
        })
        .collect()
}

/// The part of the haystack that is bound at `index` of the array. Elements that no kernel indexes are bound to the first
/// part.
fn segment<'a>(shape: &FrameShape, haystack: Span<'a>, index: u32) -> Span<'a> {
    if shape.segments == 1 {
        return haystack;
    }
    let segment = 1_u64 << layout::SEGMENT_SHIFT;
    let before = u64::from(index) * segment;
    let before = if before < haystack.size { before } else { 0 };
    let (offset, size) = (haystack.offset + before, segment.min(haystack.size - before));
    Span { buffer: haystack.buffer, offset, size }
}
