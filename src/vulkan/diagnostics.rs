//! Extensions that tell what drivers make of kernels, and how a device was lost, for devices that vkscan opens itself.

use std::ffi::CStr;

use ash::{ext, khr, vk};

use super::instance::Instance;
use super::{BackendOptions, KernelStatistics};

const EXECUTABLES: &CStr = khr::pipeline_executable_properties::NAME;
const FAULT: &CStr = ext::device_fault::NAME;
const FEEDBACK: &CStr = ext::pipeline_creation_feedback::NAME;

/// Features of these extensions.
#[derive(Default)]
pub(super) struct Features<'a> {
    executables: vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR<'a>,
    fault: vk::PhysicalDeviceFaultFeaturesEXT<'a>,
}

/// Those that a device has, with their features. `is_there` says whether it has an extension.
pub(super) fn of(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    is_there: impl Fn(&CStr) -> bool,
) -> Vec<&'static CStr> {
    let mut found = Features::default();
    let mut features = vk::PhysicalDeviceFeatures2::default();
    if is_there(EXECUTABLES) {
        features = features.push_next(&mut found.executables);
    }
    if is_there(FAULT) {
        features = features.push_next(&mut found.fault);
    }
    // SAFETY: `physical` comes from this instance, and has the extensions that structures are chained of.
    unsafe { instance.raw().get_physical_device_features2(physical, &mut features) };
    let has_executables = found.executables.pipeline_executable_info == vk::TRUE;
    let has_fault = found.fault.device_fault == vk::TRUE;
    let all = [(EXECUTABLES, has_executables), (FEEDBACK, is_there(FEEDBACK)), (FAULT, has_fault)];
    all.into_iter().filter_map(|(name, is_usable)| is_usable.then_some(name)).collect()
}

/// Those that a device is made with as the options ask.
pub(super) fn wanted(there: &[&'static CStr], options: &BackendOptions) -> Vec<&'static CStr> {
    let is_wanted =
        |name: &&CStr| *name == FAULT || options.kernel_statistics != KernelStatistics::Off;
    there.iter().copied().filter(is_wanted).collect()
}

impl<'a> Features<'a> {
    /// Chains to `create` what these extensions take.
    pub(super) fn chain(
        &'a mut self,
        mut create: vk::DeviceCreateInfo<'a>,
        extensions: &[&CStr],
    ) -> vk::DeviceCreateInfo<'a> {
        if extensions.contains(&EXECUTABLES) {
            self.executables.pipeline_executable_info = vk::TRUE;
            create = create.push_next(&mut self.executables);
        }
        if extensions.contains(&FAULT) {
            self.fault.device_fault = vk::TRUE;
            create = create.push_next(&mut self.fault);
        }
        create
    }
}
