//! What the layer for tests has devices pretend: extensions that tell of kernels and of lost devices, which drivers that run
//! on CPUs do not have.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use ash::{ext, khr, vk};
use vk::Result as R;

static PRETENDS: AtomicBool = AtomicBool::new(false);

/// What devices pretend to have.
pub(super) const EXTENSIONS: [&CStr; 2] =
    [khr::pipeline_executable_properties::NAME, ext::device_fault::NAME];

/// From now on, devices pretend, or do not.
pub(crate) fn pretend(pretends: bool) {
    PRETENDS.store(pretends, Ordering::Relaxed);
}

pub(super) fn pretends() -> bool {
    PRETENDS.load(Ordering::Relaxed)
}

/// The functions of these extensions.
pub(super) fn function(name: &CStr) -> vk::PFN_vkVoidFunction {
    type Function = unsafe extern "system" fn();
    // SAFETY: whoever asks for a function calls it as what the specification says it is.
    unsafe {
        Some(match name.to_str().ok().filter(|_| pretends())? {
            "vkGetPipelineExecutablePropertiesKHR" => std::mem::transmute::<
                vk::PFN_vkGetPipelineExecutablePropertiesKHR,
                Function,
            >(executables),
            "vkGetPipelineExecutableStatisticsKHR" => std::mem::transmute::<
                vk::PFN_vkGetPipelineExecutableStatisticsKHR,
                Function,
            >(statistics),
            "vkGetPipelineExecutableInternalRepresentationsKHR" => std::mem::transmute::<
                vk::PFN_vkGetPipelineExecutableInternalRepresentationsKHR,
                Function,
            >(representations),
            "vkGetDeviceFaultInfoEXT" => {
                std::mem::transmute::<vk::PFN_vkGetDeviceFaultInfoEXT, Function>(fault)
            }
            _ => return None,
        })
    }
}

const EXECUTABLE_FEATURES: vk::StructureType =
    vk::StructureType::PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR;
const FAULT_FEATURES: vk::StructureType = vk::StructureType::PHYSICAL_DEVICE_FAULT_FEATURES_EXT;

/// Sets the extensions' features, in a structure that is chained to others.
///
/// # Safety
///
/// `chained` is what it says that it is.
pub(super) unsafe fn set_features(chained: *mut vk::BaseOutStructure<'_>) {
    // SAFETY: the caller's promise.
    unsafe {
        match (*chained).s_type {
            EXECUTABLE_FEATURES => {
                let features: *mut vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR<'_> =
                    chained.cast();
                (*features).pipeline_executable_info = vk::TRUE;
            }
            FAULT_FEATURES => {
                let features: *mut vk::PhysicalDeviceFaultFeaturesEXT<'_> = chained.cast();
                (*features).device_fault = vk::TRUE;
            }
            _ => {}
        }
    }
}

/// A chain without those features, which drivers would refuse.
///
/// # Safety
///
/// Structures of the chain are what they say that they are, and may be chained anew.
pub(super) unsafe fn without_features(chain: *const c_void) -> *const c_void {
    let one = chain.cast_mut().cast::<vk::BaseOutStructure<'_>>();
    // SAFETY: the caller's promise.
    unsafe {
        let Some(one) = one.as_mut() else { return chain };
        let rest = without_features(one.p_next.cast());
        if [EXECUTABLE_FEATURES, FAULT_FEATURES].contains(&one.s_type) {
            return rest;
        }
        one.p_next = rest.cast_mut().cast();
        chain
    }
}

/// Tells how many there are, or writes them.
///
/// # Safety
///
/// `to` is null or has room for `count`.
unsafe fn tell<T>(count: *mut u32, to: *mut T, all: &[fn(&mut T)]) -> R {
    // SAFETY: the caller's promise.
    unsafe {
        if to.is_null() {
            *count = all.len() as u32;
            return R::SUCCESS;
        }
        *count = (*count).min(all.len() as u32);
        for (index, write) in all.iter().take(*count as usize).enumerate() {
            write(&mut *to.add(index));
        }
        if (*count as usize) < all.len() { R::INCOMPLETE } else { R::SUCCESS }
    }
}

fn write(to: &mut [c_char], text: &str) {
    to.fill(0);
    to.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte as c_char);
}

unsafe extern "system" fn executables(
    _: vk::Device,
    _: *const vk::PipelineInfoKHR<'_>,
    count: *mut u32,
    to: *mut vk::PipelineExecutablePropertiesKHR<'_>,
) -> R {
    let one = |to: &mut vk::PipelineExecutablePropertiesKHR<'_>| {
        write(&mut to.name, "main");
        write(&mut to.description, "all of it");
        to.subgroup_size = 32;
    };
    // SAFETY: the caller's promise, likewise below.
    unsafe { tell(count, to, &[one]) }
}

unsafe extern "system" fn statistics(
    _: vk::Device,
    _: *const vk::PipelineExecutableInfoKHR<'_>,
    count: *mut u32,
    to: *mut vk::PipelineExecutableStatisticKHR<'_>,
) -> R {
    use vk::PipelineExecutableStatisticFormatKHR as Format;
    type To<'a> = vk::PipelineExecutableStatisticKHR<'a>;
    fn set(to: &mut To<'_>, name: &str, format: Format, value: u64) {
        write(&mut to.name, name);
        to.format = format;
        to.value.u64 = value;
    }
    let all: [fn(&mut To<'static>); 4] = [
        |to| set(to, "Registers", Format::UINT64, 40),
        |to| set(to, "Spilled", Format::BOOL32, vk::TRUE.into()),
        |to| set(to, "Balance", Format::INT64, -7_i64 as u64),
        |to| set(to, "Occupancy", Format::FLOAT64, 0.75_f64.to_bits()),
    ];
    // SAFETY: as above.
    unsafe { tell(count, to.cast(), &all) }
}

/// A text and bytes; only what a pipeline was made for is asked.
unsafe extern "system" fn representations(
    _: vk::Device,
    _: *const vk::PipelineExecutableInfoKHR<'_>,
    count: *mut u32,
    to: *mut vk::PipelineExecutableInternalRepresentationKHR<'_>,
) -> R {
    type To<'a> = vk::PipelineExecutableInternalRepresentationKHR<'a>;
    fn set(to: &mut To<'_>, name: &str, is_text: bool, data: &[u8]) {
        write(&mut to.name, name);
        to.is_text = is_text.into();
        if !to.p_data.is_null() {
            assert!(to.data_size >= data.len());
            // SAFETY: there is room for as many bytes as it says.
            unsafe { to.p_data.cast::<u8>().copy_from(data.as_ptr(), data.len()) };
        }
        to.data_size = data.len();
    }
    let all: [fn(&mut To<'static>); 2] = [
        |to| set(to, "Assembly", true, b"add\tr0, \x1b[31m\nret\n\0"),
        |to| set(to, "Binary", false, &[1, 2, 0]),
    ];
    // SAFETY: as above.
    unsafe { tell(count, to.cast(), &all) }
}

unsafe extern "system" fn fault(
    _: vk::Device,
    counts: *mut vk::DeviceFaultCountsEXT<'_>,
    to: *mut vk::DeviceFaultInfoEXT<'_>,
) -> R {
    // SAFETY: as above; there is room for as many as the counts say.
    unsafe {
        if to.is_null() {
            ((*counts).address_info_count, (*counts).vendor_info_count) = (1, 1);
            (*counts).vendor_binary_size = 1 << 20;
            return R::SUCCESS;
        }
        assert_eq!((*counts).vendor_binary_size, 0, "nobody wants it");
        write(&mut (*to).description, "a made-up fault");
        (*to).p_address_infos.write(
            vk::DeviceFaultAddressInfoEXT::default()
                .address_type(vk::DeviceFaultAddressTypeEXT::WRITE_INVALID)
                .reported_address(0x1000)
                .address_precision(0x100),
        );
        let vendor = &mut *(*to).p_vendor_infos;
        write(&mut vendor.description, "shader stopped");
        (vendor.vendor_fault_code, vendor.vendor_fault_data) = (7, 0x2a);
        R::INCOMPLETE
    }
}
