//! What tools are told of objects and commands, as the layer for tests sees it go by.

use std::ffi::CStr;
use std::sync::Mutex;

use ash::vk;

use super::layer::{get, special};

/// What tools are told.
#[derive(Default)]
pub(crate) struct Told {
    /// Objects and their names, in the order in which they were given.
    pub(crate) names: Vec<(vk::ObjectType, u64, String)>,
    /// Labels of commands, in the order in which they were begun; and how many have not been ended.
    pub(crate) labels: Vec<String>,
    pub(crate) open_labels: isize,
}

static TOLD: Mutex<Option<Told>> = Mutex::new(None);

/// From now on, notes what tools are told.
pub(crate) fn listen() {
    *get(&TOLD) = Some(Told::default());
}

/// What tools have been told. Notes no more of it.
pub(crate) fn told() -> Told {
    get(&TOLD).take().expect("somebody has listened")
}

pub(super) unsafe extern "system" fn set_object_name(
    device: vk::Device,
    info: *const vk::DebugUtilsObjectNameInfoEXT<'_>,
) -> vk::Result {
    // SAFETY: a call that goes to who it was meant for; the name is a C string.
    unsafe {
        if let Some(told) = get(&TOLD).as_mut() {
            let name = CStr::from_ptr((*info).p_object_name).to_str().unwrap().to_owned();
            told.names.push(((*info).object_type, (*info).object_handle, name));
        }
        let real: vk::PFN_vkSetDebugUtilsObjectNameEXT =
            special::vkSetDebugUtilsObjectNameEXT.real();
        real(device, info)
    }
}

pub(super) unsafe extern "system" fn begin_label(
    commands: vk::CommandBuffer,
    info: *const vk::DebugUtilsLabelEXT<'_>,
) {
    // SAFETY: a call that goes to who it was meant for; the label is a C string.
    unsafe {
        if let Some(told) = get(&TOLD).as_mut() {
            let label = CStr::from_ptr((*info).p_label_name).to_str().unwrap().to_owned();
            told.labels.push(label);
            told.open_labels += 1;
        }
        special::vkCmdBeginDebugUtilsLabelEXT.real::<vk::PFN_vkCmdBeginDebugUtilsLabelEXT>()(
            commands, info,
        );
    }
}

pub(super) unsafe extern "system" fn end_label(commands: vk::CommandBuffer) {
    if let Some(told) = get(&TOLD).as_mut() {
        told.open_labels -= 1;
    }
    // SAFETY: a call that goes to who it was meant for.
    unsafe {
        special::vkCmdEndDebugUtilsLabelEXT.real::<vk::PFN_vkCmdEndDebugUtilsLabelEXT>()(commands)
    }
}
