//! Devices that tests do not have, as far as the one that they have can stand in for them.

use ash::vk;
use vk::MemoryPropertyFlags as P;

/// What a device says of itself, made less.
pub(crate) struct Narrowing {
    pub(crate) name: &'static str,
    pub(super) properties: fn(&mut vk::PhysicalDeviceProperties),
    pub(super) v11: fn(&mut vk::PhysicalDeviceVulkan11Properties<'_>),
    pub(super) v12: fn(&mut vk::PhysicalDeviceVulkan12Features<'_>),
    pub(super) family: fn(&mut vk::QueueFamilyProperties),
    /// Memory types instead of the one that lavapipe has; none if that is as it is.
    pub(super) memory: &'static [P],
}

/// The only memory type of lavapipe, which can all that others can.
pub(super) const REAL_MEMORY_TYPE: u32 = 0;

const AS_IT_IS: Narrowing = Narrowing {
    name: "as it is",
    properties: |_| (),
    v11: |_| (),
    v12: |_| (),
    family: |_| (),
    memory: &[],
};

impl Narrowing {
    pub(super) fn narrow_memory(&self, to: &mut vk::PhysicalDeviceMemoryProperties) {
        if self.memory.is_empty() {
            return;
        }
        assert_eq!(to.memory_type_count, 1, "lavapipe's memory");
        to.memory_type_count = self.memory.len() as u32;
        for (to, &property_flags) in to.memory_types.iter_mut().zip(self.memory) {
            *to = vk::MemoryType { property_flags, heap_index: 0 };
        }
    }
}

/// Devices that are narrower and will do.
///
/// Kernels learn from the device, not from what it says, how many invocations of a workgroup really go together: all of
/// those that there are where it says fewer, and the first of several subgroups where it says more.
pub(crate) static SUITABLE: &[Narrowing] = &[
    Narrowing {
        name: "the least of everything: subgroups of 4, 16 KiB of shared memory, storage buffers of 128 MiB, 20 of them, \
               65,535 workgroups of 256, no timestamps, and device memory that the host cannot see",
        properties: |properties| {
            let limits = &mut properties.limits;
            limits.max_compute_shared_memory_size = 16 << 10;
            limits.max_storage_buffer_range = 128 << 20;
            limits.max_compute_work_group_count = [65_535; 3];
            limits.max_compute_work_group_invocations = 256;
            limits.max_compute_work_group_size = [256, 256, 64];
            limits.max_per_stage_descriptor_storage_buffers = 20;
            limits.max_descriptor_set_storage_buffers = 20;
            limits.max_push_constants_size = 128;
            limits.min_storage_buffer_offset_alignment = 256;
        },
        v11: |v11| v11.subgroup_size = 4,
        family: |family| family.timestamp_valid_bits = 0,
        memory: &[P::DEVICE_LOCAL, P::from_raw(HOST.as_raw() | P::HOST_CACHED.as_raw())],
        ..AS_IT_IS
    },
    Narrowing {
        name: "subgroups of 16, timestamps of 36 bits, and memory that is cached or coherent, in atoms of 256",
        properties: |properties| properties.limits.non_coherent_atom_size = 256,
        v11: |v11| v11.subgroup_size = 16,
        family: |family| family.timestamp_valid_bits = 36,
        memory: &[
            P::DEVICE_LOCAL,
            HOST,
            P::from_raw(P::HOST_VISIBLE.as_raw() | P::HOST_CACHED.as_raw()),
        ],
        ..AS_IT_IS
    },
    Narrowing {
        name: "subgroups of 64, device memory that the host sees, and nothing cached",
        v11: |v11| v11.subgroup_size = 64,
        memory: &[P::from_raw(HOST.as_raw() | P::DEVICE_LOCAL.as_raw()), HOST],
        ..AS_IT_IS
    },
];

const HOST: P = P::from_raw(P::HOST_VISIBLE.as_raw() | P::HOST_COHERENT.as_raw());

/// Devices that will not do, and by what they are refused.
pub(crate) static UNSUITABLE: &[(Narrowing, &str)] = &[
    (
        Narrowing {
            name: "no queue for compute",
            family: |family| family.queue_flags &= !vk::QueueFlags::COMPUTE,
            ..AS_IT_IS
        },
        "a queue for compute is needed, it has none",
    ),
    (
        Narrowing {
            name: "workgroups of 128",
            properties: |properties| properties.limits.max_compute_work_group_invocations = 128,
            ..AS_IT_IS
        },
        "256 invocations in a workgroup are needed, it has 128",
    ),
    (
        Narrowing {
            name: "18 storage buffers",
            properties: |properties| {
                properties.limits.max_per_stage_descriptor_storage_buffers = 19;
            },
            ..AS_IT_IS
        },
        "20 storage buffers in a kernel are needed, it has 19",
    ),
    (
        Narrowing {
            name: "no subgroup operations",
            v11: |v11| v11.subgroup_supported_operations = vk::SubgroupFeatureFlags::BASIC,
            ..AS_IT_IS
        },
        "subgroups are needed that vote",
    ),
    (
        Narrowing {
            name: "no timeline semaphores",
            v12: |v12| v12.timeline_semaphore = vk::FALSE,
            ..AS_IT_IS
        },
        "the feature timelineSemaphore is needed",
    ),
    (
        Narrowing {
            name: "Vulkan 1.1",
            properties: |properties| properties.api_version = vk::API_VERSION_1_1,
            ..AS_IT_IS
        },
        "Vulkan 1.2 is needed, it has 1.1",
    ),
];
