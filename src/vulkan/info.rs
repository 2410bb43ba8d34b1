//! What a device is, as far as a scan is concerned, and whether it can run one.

use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;

use ash::{ext, khr, vk};

use super::diagnostics;
use super::error::{BackendError, Result};
use super::instance::Instance;
use super::report::MemoryHeap;
use crate::narrow::narrow;
use crate::shaders::layout;

const MIN_STORAGE_BUFFERS: u32 = layout::BINDING_HAYSTACK + layout::MAX_SEGMENTS;
const MIN_PUSH_CONSTANT_BYTES: u32 = 128;
const MIN_WORKGROUP_INVOCATIONS: u32 = 256;
/// What kernels do with subgroups.
const SUBGROUP_OPERATIONS: vk::SubgroupFeatureFlags = vk::SubgroupFeatureFlags::from_raw(
    vk::SubgroupFeatureFlags::BASIC.as_raw()
        | vk::SubgroupFeatureFlags::VOTE.as_raw()
        | vk::SubgroupFeatureFlags::ARITHMETIC.as_raw()
        | vk::SubgroupFeatureFlags::BALLOT.as_raw()
        | vk::SubgroupFeatureFlags::SHUFFLE.as_raw(),
);

/// Device extensions that are of use where a device has them.
const OPTIONAL: [&CStr; 7] = [
    ext::external_memory_host::NAME,
    khr::external_memory_fd::NAME,
    ext::external_memory_dma_buf::NAME,
    ext::queue_family_foreign::NAME,
    khr::external_semaphore_fd::NAME,
    khr::calibrated_timestamps::NAME,
    ext::calibrated_timestamps::NAME,
];

/// A Vulkan device: its identity and the limits that matter for a scan.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions};
///
/// for device in Backend::devices(&BackendOptions::default())? {
///     let (major, minor, _) = device.api_version;
///     println!("{}, {}, with Vulkan {major}.{minor}", device.name, device.kind);
///     if let Some(missing) = &device.unsuitable {
///         println!("it cannot run vkscan: {missing}");
///     }
///     if let Some(family) = device.compute_family() {
///         let count = device.queue_families[family].count;
///         println!("kernels run on one of {count} queues, of family {family}");
///     }
///     println!("copies have a queue of their own: {}", device.transfer_family().is_some());
///     println!("stages can be timed: {}", device.timestamp_valid_bits() > 0);
/// }
/// # Ok::<(), vkscan::BackendError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Position in the loader's enumeration.
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// Discrete GPU, integrated GPU, ...
    pub kind: DeviceKind,
    /// Stays the same across processes and, with most drivers, across restarts. Zero before Vulkan
    /// 1.2.
    pub uuid: DeviceUuid,
    /// That of the driver and its version. What goes by opaque file descriptors goes between devices of which both this and
    /// `uuid` are the same. Zero before Vulkan 1.2.
    pub driver_uuid: DeviceUuid,
    /// PCI vendor id, or a Khronos vendor id above 0xFFFF.
    pub vendor_id: u32,
    /// Vulkan version: major, minor, patch.
    pub api_version: (u32, u32, u32),
    /// Name of the driver.
    pub driver_name: String,
    /// Version of the driver, as it words it.
    pub driver_info: String,
    /// Largest range one storage buffer binding can cover, in bytes.
    pub max_storage_buffer_range: u64,
    /// Largest single allocation, in bytes.
    pub max_allocation_bytes: u64,
    /// Size of the largest device-local heap, in bytes.
    pub device_local_bytes: u64,
    /// How much of that heap this process may use now, in bytes; `None` without
    /// `VK_EXT_memory_budget`.
    pub device_local_budget_bytes: Option<u64>,
    /// Storage buffers one kernel may bind.
    pub max_storage_buffers: u32,
    /// Alignment of a storage buffer binding's offset, in bytes.
    pub storage_buffer_alignment: u64,
    /// Granularity of flushes of memory that is not host-coherent, in bytes.
    pub non_coherent_atom_bytes: u64,
    /// Push constants one kernel may take, in bytes.
    pub max_push_constant_bytes: u32,
    /// Invocations in one workgroup.
    pub max_workgroup_invocations: u32,
    /// Workgroups in one dispatch, in x.
    pub max_workgroups_x: u32,
    /// Invocations in one subgroup.
    pub subgroup_size: u32,
    /// Memory shared by a workgroup, in bytes.
    pub shared_memory_bytes: u32,
    /// Length of one timestamp tick, in nanoseconds.
    pub timestamp_period_ns: f32,
    /// Queue families, in Vulkan's order.
    pub queue_families: Vec<QueueFamily>,
    /// Why it cannot run vkscan; `None` if it can.
    pub unsuitable: Option<String>,
    /// Host memory is imported in ranges that begin and end at multiples of so many bytes
    /// ([`ImportedHaystack`](crate::ImportedHaystack)); none if the device does not import any.
    pub host_import_alignment: Option<u64>,
    /// Set on the device that the options at hand pick: the reason for the choice.
    pub preference: Option<String>,
    /// Those of [`OPTIONAL`] that it has.
    pub(crate) extensions: Vec<&'static CStr>,
    /// The feature hostQueryReset.
    pub(crate) has_host_query_reset: bool,
    /// What it has of those in `diagnostics.rs`.
    pub(crate) diagnostics: Vec<&'static CStr>,
    pub(crate) callers_queues: Option<CallersQueues>,
}

/// Families of the queues that a device of the caller's is used by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CallersQueues {
    compute: u32,
    transfer: Option<u32>,
}

/// A set of queues with the same abilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueFamily {
    /// Queues in it.
    pub count: u32,
    /// Runs graphics.
    pub graphics: bool,
    /// Runs compute.
    pub compute: bool,
    /// Runs transfers.
    pub transfer: bool,
    /// Meaningful bits of a timestamp; 0 where there are no timestamps.
    pub timestamp_valid_bits: u32,
}

/// What kind of device it is; the order is the order of preference.
///
/// # Examples
///
/// ```
/// use vkscan::DeviceKind;
///
/// assert!(DeviceKind::Discrete < DeviceKind::Cpu);
/// assert_eq!(DeviceKind::Discrete.to_string(), "discrete GPU");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// A GPU with its own memory.
    Discrete,
    /// A GPU that shares the host's memory.
    Integrated,
    /// A GPU of a virtual machine.
    Virtual,
    /// A driver that runs on the CPU.
    Cpu,
    /// Anything else.
    Other,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceKind::Discrete => "discrete GPU",
            DeviceKind::Integrated => "integrated GPU",
            DeviceKind::Virtual => "virtual GPU",
            DeviceKind::Cpu => "CPU device",
            DeviceKind::Other => "other device",
        })
    }
}

/// The UUID of a device or of a driver, written as 32 hexadecimal digits in groups of 8-4-4-4-12.
///
/// # Examples
///
/// ```
/// use vkscan::{DeviceUuid, NotAUuid};
///
/// let uuid: DeviceUuid = "6d65736132322e332e36000000000001".parse()?;
/// assert_eq!(uuid.to_string(), "6d657361-3232-2e33-2e36-000000000001");
/// assert_eq!("6d657361".parse::<DeviceUuid>(), Err(NotAUuid));
/// # Ok::<(), NotAUuid>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceUuid(pub [u8; 16]);

impl fmt::Display for DeviceUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&at) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The text is not 32 hexadecimal digits, with or without hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a UUID is 32 hexadecimal digits, with or without hyphens")]
pub struct NotAUuid;

impl FromStr for DeviceUuid {
    type Err = NotAUuid;

    fn from_str(text: &str) -> Result<DeviceUuid, NotAUuid> {
        let digits: String = text.chars().filter(|&c| c != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NotAUuid);
        }
        let value = u128::from_str_radix(&digits, 16).map_err(|_| NotAUuid)?;
        Ok(DeviceUuid(value.to_be_bytes()))
    }
}

impl DeviceInfo {
    /// The family that kernels run on: of a device that vkscan opens, compute without graphics before compute with it,
    /// because such queues run beside a display's work.
    pub fn compute_family(&self) -> Option<usize> {
        if let Some(queues) = &self.callers_queues {
            return Some(queues.compute as usize);
        }
        let families = self.queue_families.iter();
        families
            .enumerate()
            .filter(|(_, family)| family.compute && family.count > 0)
            .min_by_key(|(_, family)| family.graphics)
            .map(|(index, _)| index)
    }

    /// The family that copies run on beside kernels, if there is one: of a device that vkscan opens, one whose queues do
    /// nothing else.
    pub fn transfer_family(&self) -> Option<usize> {
        if let Some(queues) = &self.callers_queues {
            return queues.transfer.map(|family| family as usize);
        }
        let is_plain = |family: &QueueFamily| {
            family.transfer && !family.compute && !family.graphics && family.count > 0
        };
        self.queue_families.iter().position(is_plain)
    }

    /// What a device is best made with of [`OPTIONAL`]: of two names for one extension the older, which more layers know.
    pub(super) fn wanted_extensions(&self) -> Vec<&'static CStr> {
        let mut wanted = self.extensions.clone();
        if wanted.contains(&ext::calibrated_timestamps::NAME) {
            wanted.retain(|name| *name != khr::calibrated_timestamps::NAME);
        }
        wanted
    }

    /// With families that the caller has chosen.
    pub(super) fn with_queues(self, compute: u32, transfer: Option<u32>) -> DeviceInfo {
        DeviceInfo { callers_queues: Some(CallersQueues { compute, transfer }), ..self }
    }

    /// Meaningful bits of a timestamp on the family that kernels run on; 0 where stages cannot be timed.
    pub fn timestamp_valid_bits(&self) -> u32 {
        self.compute_family().map_or(0, |family| self.queue_families[family].timestamp_valid_bits)
    }
}

/// Asks every device for its description, in the loader's order.
pub(super) fn describe_all(
    instance: &Instance,
    devices: &[vk::PhysicalDevice],
) -> Result<Vec<DeviceInfo>> {
    devices
        .iter()
        .enumerate()
        .map(|(index, &physical)| describe(instance, physical, index))
        .collect()
}

pub(super) fn describe(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    index: usize,
) -> Result<DeviceInfo> {
    let raw = instance.raw();
    // SAFETY: `physical` comes from this instance, here and below.
    let basics = unsafe { raw.get_physical_device_properties(physical) };
    let limits = &basics.limits;
    let has_1_2 = basics.api_version >= vk::API_VERSION_1_2;

    // Structures of Vulkan 1.2 may only be chained where the device has it; elsewhere they stay
    // zero, and the version is reported as missing.
    let mut v11 = vk::PhysicalDeviceVulkan11Properties::default();
    let mut v12 = vk::PhysicalDeviceVulkan12Properties::default();
    let mut v12_features = vk::PhysicalDeviceVulkan12Features::default();
    if has_1_2 {
        let mut properties =
            vk::PhysicalDeviceProperties2::default().push_next(&mut v11).push_next(&mut v12);
        // SAFETY: as above; the chain holds structures of Vulkan 1.2 only.
        unsafe { raw.get_physical_device_properties2(physical, &mut properties) };
        let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut v12_features);
        // SAFETY: as above.
        unsafe { raw.get_physical_device_features2(physical, &mut features) };
    }

    let (mut extensions, mut diagnostics) = (Vec::new(), Vec::new());
    if has_1_2 {
        let there = self::extensions(instance, physical)?;
        let is_there = |name: &CStr| is_among(&there, name);
        extensions.extend(OPTIONAL.into_iter().filter(|name| is_there(name)));
        diagnostics = diagnostics::of(instance, physical, is_there);
    }
    let (device_local_bytes, device_local_budget_bytes) = device_local_heap(instance, physical)?;
    // SAFETY: as above.
    let families = unsafe { raw.get_physical_device_queue_family_properties(physical) };
    let mut info = DeviceInfo {
        index,
        name: text(basics.device_name_as_c_str()),
        kind: match basics.device_type {
            vk::PhysicalDeviceType::DISCRETE_GPU => DeviceKind::Discrete,
            vk::PhysicalDeviceType::INTEGRATED_GPU => DeviceKind::Integrated,
            vk::PhysicalDeviceType::VIRTUAL_GPU => DeviceKind::Virtual,
            vk::PhysicalDeviceType::CPU => DeviceKind::Cpu,
            _ => DeviceKind::Other,
        },
        uuid: DeviceUuid(v11.device_uuid),
        driver_uuid: DeviceUuid(v11.driver_uuid),
        vendor_id: basics.vendor_id,
        api_version: (
            vk::api_version_major(basics.api_version),
            vk::api_version_minor(basics.api_version),
            vk::api_version_patch(basics.api_version),
        ),
        driver_name: text(v12.driver_name_as_c_str()),
        driver_info: text(v12.driver_info_as_c_str()),
        max_storage_buffer_range: limits.max_storage_buffer_range.into(),
        max_allocation_bytes: v11.max_memory_allocation_size,
        device_local_bytes,
        device_local_budget_bytes,
        max_storage_buffers: limits
            .max_per_stage_descriptor_storage_buffers
            .min(limits.max_descriptor_set_storage_buffers),
        storage_buffer_alignment: limits.min_storage_buffer_offset_alignment,
        non_coherent_atom_bytes: limits.non_coherent_atom_size,
        max_push_constant_bytes: limits.max_push_constants_size,
        max_workgroup_invocations: limits
            .max_compute_work_group_invocations
            .min(limits.max_compute_work_group_size[0]),
        max_workgroups_x: limits.max_compute_work_group_count[0],
        subgroup_size: v11.subgroup_size,
        shared_memory_bytes: limits.max_compute_shared_memory_size,
        timestamp_period_ns: limits.timestamp_period,
        queue_families: families.iter().map(queue_family).collect(),
        unsuitable: None,
        host_import_alignment: host_import_alignment(instance, physical, &extensions),
        preference: None,
        extensions,
        has_host_query_reset: v12_features.host_query_reset == vk::TRUE,
        diagnostics,
        callers_queues: None,
    };
    let has_subgroups = v11.subgroup_supported_stages.contains(vk::ShaderStageFlags::COMPUTE)
        && v11.subgroup_supported_operations.contains(SUBGROUP_OPERATIONS);
    let missing =
        missing_requirements(&info, v12_features.timeline_semaphore == vk::TRUE, has_subgroups);
    if !missing.is_empty() {
        info.unsuitable = Some(missing.join("; "));
    }
    Ok(info)
}

/// Everything that the device lacks, each with what is needed and what is there.
fn missing_requirements(
    info: &DeviceInfo,
    timeline_semaphore: bool,
    has_subgroups: bool,
) -> Vec<String> {
    let mut missing = Vec::new();
    let (major, minor, _) = info.api_version;
    if (major, minor) < (1, 2) {
        // The rest of the description was not asked for.
        missing.push(format!("Vulkan 1.2 is needed, it has {major}.{minor}"));
        return missing;
    }
    if info.compute_family().is_none() {
        missing.push("a queue for compute is needed, it has none".to_owned());
    }
    if !timeline_semaphore {
        missing.push("the feature timelineSemaphore is needed".to_owned());
    }
    if !has_subgroups {
        missing.push(
            "subgroups are needed that vote, ballot, shuffle and do arithmetic in compute shaders"
                .to_owned(),
        );
    }
    for (what, needed, found) in [
        ("storage buffers in a kernel", MIN_STORAGE_BUFFERS, info.max_storage_buffers),
        ("bytes of push constants", MIN_PUSH_CONSTANT_BYTES, info.max_push_constant_bytes),
        ("invocations in a workgroup", MIN_WORKGROUP_INVOCATIONS, info.max_workgroup_invocations),
    ] {
        if found < needed {
            missing.push(format!("{needed} {what} are needed, it has {found}"));
        }
    }
    missing
}

fn queue_family(family: &vk::QueueFamilyProperties) -> QueueFamily {
    let has = |flags| family.queue_flags.contains(flags);
    let (graphics, compute) = (has(vk::QueueFlags::GRAPHICS), has(vk::QueueFlags::COMPUTE));
    QueueFamily {
        count: family.queue_count,
        graphics,
        compute,
        // Graphics and compute imply transfer, and drivers need not say so.
        transfer: has(vk::QueueFlags::TRANSFER) || graphics || compute,
        timestamp_valid_bits: family.timestamp_valid_bits,
    }
}

/// Size of the largest device-local heap and, where the driver tells, this process's share of it.
fn device_local_heap(
    instance: &Instance,
    physical: vk::PhysicalDevice,
) -> Result<(u64, Option<u64>)> {
    let heaps = heaps(instance, physical)?;
    let largest = heaps.iter().filter(|heap| heap.device_local).max_by_key(|heap| heap.size);
    Ok(largest.map_or((0, None), |heap| (heap.size, heap.budget)))
}

/// The heaps of a device and, where the driver tells, what this process uses of them and may use.
pub(super) fn heaps(instance: &Instance, physical: vk::PhysicalDevice) -> Result<Vec<MemoryHeap>> {
    let raw = instance.raw();
    let has_budget = is_among(&extensions(instance, physical)?, ext::memory_budget::NAME);
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceMemoryProperties2::default();
    if has_budget {
        properties = properties.push_next(&mut budget);
    }
    // SAFETY: `physical` comes from this instance; the budget is chained only where the device knows it.
    unsafe { raw.get_physical_device_memory_properties2(physical, &mut properties) };
    let memory = properties.memory_properties;
    let heap = |(index, heap): (usize, &vk::MemoryHeap)| MemoryHeap {
        index: narrow(index),
        device_local: heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL),
        size: heap.size,
        budget: has_budget.then(|| budget.heap_budget[index]),
        process_usage: has_budget.then(|| budget.heap_usage[index]),
    };
    Ok(memory.memory_heaps_as_slice().iter().enumerate().map(heap).collect())
}

/// What imported ranges of host memory are aligned to, where the device imports any.
fn host_import_alignment(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    extensions: &[&CStr],
) -> Option<u64> {
    if !extensions.contains(&ext::external_memory_host::NAME) {
        return None;
    }
    let mut import = vk::PhysicalDeviceExternalMemoryHostPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut import);
    // SAFETY: `physical` comes from this instance, and has the extension that the structure is of.
    unsafe { instance.raw().get_physical_device_properties2(physical, &mut properties) };
    Some(import.min_imported_host_pointer_alignment)
}

/// The extensions that the device has.
fn extensions(
    instance: &Instance,
    physical: vk::PhysicalDevice,
) -> Result<Vec<vk::ExtensionProperties>> {
    // SAFETY: `physical` comes from this instance.
    unsafe { instance.raw().enumerate_device_extension_properties(physical) }
        .map_err(|result| BackendError::from_vk("vkEnumerateDeviceExtensionProperties", result))
}

fn is_among(extensions: &[vk::ExtensionProperties], name: &CStr) -> bool {
    extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name))
}

/// A text of the driver's; empty where it has no end.
pub(super) fn text(text: std::result::Result<&CStr, std::ffi::FromBytesUntilNulError>) -> String {
    text.map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A made-up discrete GPU that meets every requirement.
    pub(in crate::vulkan) fn fake(index: usize, name: &str) -> DeviceInfo {
        DeviceInfo {
            index,
            name: name.to_owned(),
            kind: DeviceKind::Discrete,
            uuid: DeviceUuid([index as u8; 16]),
            driver_uuid: DeviceUuid::default(),
            vendor_id: 0,
            api_version: (1, 2, 0),
            driver_name: String::new(),
            driver_info: String::new(),
            max_storage_buffer_range: 1 << 27,
            max_allocation_bytes: 1 << 30,
            device_local_bytes: 1 << 30,
            device_local_budget_bytes: None,
            max_storage_buffers: 32,
            storage_buffer_alignment: 16,
            non_coherent_atom_bytes: 64,
            max_push_constant_bytes: 128,
            max_workgroup_invocations: 256,
            max_workgroups_x: 65_535,
            subgroup_size: 32,
            shared_memory_bytes: 16_384,
            timestamp_period_ns: 1.0,
            queue_families: vec![family(true, true), family(false, true), family(false, false)],
            unsuitable: None,
            host_import_alignment: None,
            preference: None,
            extensions: Vec::new(),
            has_host_query_reset: false,
            diagnostics: Vec::new(),
            callers_queues: None,
        }
    }

    fn family(graphics: bool, compute: bool) -> QueueFamily {
        QueueFamily { count: 1, graphics, compute, transfer: true, timestamp_valid_bits: 64 }
    }

    #[test]
    fn prefers_the_compute_only_family() {
        let mut info = fake(0, "gpu");
        assert_eq!(info.compute_family(), Some(1));
        assert_eq!(info.transfer_family(), Some(2));
        info.queue_families.truncate(1);
        assert_eq!(info.compute_family(), Some(0));
        assert_eq!(info.transfer_family(), None);
        info.queue_families[0].compute = false;
        assert_eq!(info.compute_family(), None);
    }

    #[test]
    fn names_everything_that_is_missing() {
        let mut info = fake(0, "gpu");
        assert!(missing_requirements(&info, true, true).is_empty());
        info.queue_families.clear();
        info.max_storage_buffers = 4;
        info.max_push_constant_bytes = 32;
        info.max_workgroup_invocations = 1;
        let missing = missing_requirements(&info, false, false).join("; ");
        for part in [
            "queue for compute",
            "timelineSemaphore",
            "subgroups are needed",
            "20 storage buffers in a kernel are needed, it has 4",
            "128 bytes of push constants are needed, it has 32",
            "256 invocations in a workgroup are needed, it has 1",
        ] {
            assert!(missing.contains(part), "{part:?} not in {missing:?}");
        }
        info.api_version = (1, 1, 200);
        assert_eq!(missing_requirements(&info, true, true), ["Vulkan 1.2 is needed, it has 1.1"]);
    }

    #[test]
    fn uuids_read_what_they_write() {
        let uuid = DeviceUuid([
            0x6d, 0x65, 0x73, 0x61, 0x32, 0x32, 0x2e, 0x33, 0x2e, 0x36, 0, 0, 0, 0, 0, 1,
        ]);
        assert_eq!(uuid.to_string(), "6d657361-3232-2e33-2e36-000000000001");
        assert_eq!(uuid.to_string().parse(), Ok(uuid));
        assert_eq!(uuid.to_string().replace('-', "").parse(), Ok(uuid));
        assert_eq!("6d657361".parse::<DeviceUuid>(), Err(NotAUuid));
    }
}
