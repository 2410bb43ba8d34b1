//! Devices: which there are, and one that is open.

use std::ffi::{CString, c_char};
use std::path::PathBuf;
use std::ptr;
use std::time::Duration;

use vkscan::{Backend, BackendOptions, DeviceInfo, DeviceKind, HeldBack, Validation};

use crate::border::{self, HandleOut, Out, SizedOut, element, sized};
use crate::status::{Failure, free, get, run, vkscan_status};

/// Stands for a number of bytes that is not known.
pub const VKSCAN_UNKNOWN: u64 = u64::MAX;

/// Whether to run under the Khronos validation layer: its core checks and its synchronisation checks. That is slow, and
/// meant for tests.
#[repr(C)]
pub enum vkscan_validation {
    /// As the environment variable VKSCAN_VALIDATION says: `0`, `1` or `robust-access`; without it, off.
    FromEnvironment = 0,
    /// Off.
    Off = 1,
    /// On.
    On = 2,
    /// On, and what kernels access outside of buffers is harmless.
    RobustAccess = 3,
}

/// How to open a device.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_backend_options {
    /// sizeof(vkscan_backend_options).
    pub struct_size: u32,
    /// A vkscan_validation; by default VKSCAN_VALIDATION_FROM_ENVIRONMENT.
    pub validation: u32,
    /// Which device: its index, a part of its name, or its UUID. NULL, the default, takes the environment variable
    /// VKSCAN_DEVICE, and without that the best device there is.
    pub device: *const c_char,
    /// The Vulkan loader's library. NULL, the default, takes the system's.
    pub loader_path: *const c_char,
    /// Milliseconds that a call waits for a device that does not answer, anew whenever it has answered; by default
    /// 60000.
    pub wait_timeout_ms: u64,
    /// Bytes that all buffers may have together: what would be more fails with VKSCAN_STATUS_LIMIT_EXCEEDED before it
    /// is allocated. 0, the default, is as many as there is memory for.
    pub memory_limit: u64,
    /// A file that is read when the device is opened, and written when the backend is freed: what the driver has made of
    /// kernels, so that another process does not wait for that. It is made if it is not there. What cannot be used is
    /// ignored and replaced, and what is no such file at all is left as it is. NULL, the default, is none.
    pub pipeline_cache: *const c_char,
    /// Not 0: have the device write down which stages it begins and ends, so that the text of VKSCAN_STATUS_DEVICE_LOST
    /// says where it was. Scans take longer. 0 is the default.
    pub stage_marks: u32,
}

/// What kind of device it is, the most preferred first.
#[repr(C)]
pub enum vkscan_device_kind {
    /// A GPU with its own memory.
    Discrete = 0,
    /// A GPU that shares the host's memory.
    Integrated = 1,
    /// A GPU of a virtual machine.
    Virtual = 2,
    /// A driver that runs on the CPU.
    Cpu = 3,
    /// Anything else.
    Other = 4,
}

/// A device. Texts are valid as long as the handle that they were asked of.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_device_info {
    /// sizeof(vkscan_device_info).
    pub struct_size: u32,
    /// Position in the loader's enumeration.
    pub index: u32,
    /// The driver's name for it.
    pub name: *const c_char,
    /// Name of the driver.
    pub driver_name: *const c_char,
    /// Version of the driver, as it words it.
    pub driver_info: *const c_char,
    /// Why it cannot run vkscan; NULL if it can.
    pub unsuitable: *const c_char,
    /// Why it is the one that the options at hand pick; NULL if it is not.
    pub preference: *const c_char,
    /// A vkscan_device_kind.
    pub kind: u32,
    /// PCI vendor id, or a Khronos vendor id above 0xFFFF.
    pub vendor_id: u32,
    /// Stays the same across processes and, with most drivers, across restarts; zero before Vulkan 1.2.
    pub uuid: [u8; 16],
    /// Vulkan version.
    pub api_version_major: u32,
    /// Vulkan version.
    pub api_version_minor: u32,
    /// Vulkan version.
    pub api_version_patch: u32,
    /// Storage buffers that one kernel may bind.
    pub max_storage_buffers: u32,
    /// Largest range that one storage buffer can cover, in bytes.
    pub max_storage_buffer_range: u64,
    /// Largest single allocation, in bytes.
    pub max_allocation_bytes: u64,
    /// Size of the largest heap of the device's own, in bytes.
    pub device_local_bytes: u64,
    /// Bytes of that heap that this process may use now, or VKSCAN_UNKNOWN.
    pub device_local_budget_bytes: u64,
    /// What the offset of a buffer that kernels bind has to be a multiple of, in bytes.
    pub storage_buffer_alignment: u64,
    /// Host memory is imported in ranges that begin and end at multiples of so many bytes, which vkscan sees to
    /// (vkscan_imported_haystack_new); 0 if the device does not import any.
    pub host_import_alignment: u64,
    /// That of the driver and its version: what goes by opaque file descriptors goes between devices of which both this
    /// and `uuid` are the same. Zero before Vulkan 1.2.
    pub driver_uuid: [u8; 16],
}

sized!(vkscan_backend_options, vkscan_device_info);

/// All devices there are.
pub struct vkscan_device_list {
    devices: Vec<Device>,
}

/// An open device. Sessions hold a share in it.
pub struct vkscan_backend {
    pub(crate) backend: Backend,
    device: Device,
}

impl vkscan_backend {
    pub(crate) fn new(backend: Backend) -> vkscan_backend {
        let device = Device::new(backend.device_info());
        vkscan_backend { backend, device }
    }
}

/// What is told of a device, with its texts as C has them.
struct Device {
    info: DeviceInfo,
    name: CString,
    driver_name: CString,
    driver_info: CString,
    unsuitable: Option<CString>,
    preference: Option<CString>,
}

impl Device {
    fn new(info: &DeviceInfo) -> Device {
        Device {
            info: info.clone(),
            name: c_text(&info.name),
            driver_name: c_text(&info.driver_name),
            driver_info: c_text(&info.driver_info),
            unsuitable: info.unsuitable.as_deref().map(c_text),
            preference: info.preference.as_deref().map(c_text),
        }
    }

    fn describe(&self) -> vkscan_device_info {
        let info = &self.info;
        let kind = match info.kind {
            DeviceKind::Discrete => vkscan_device_kind::Discrete,
            DeviceKind::Integrated => vkscan_device_kind::Integrated,
            DeviceKind::Virtual => vkscan_device_kind::Virtual,
            DeviceKind::Cpu => vkscan_device_kind::Cpu,
            DeviceKind::Other => vkscan_device_kind::Other,
        };
        let optional =
            |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
        vkscan_device_info {
            struct_size: 0,
            index: u32::try_from(info.index).unwrap_or(u32::MAX),
            name: self.name.as_ptr(),
            driver_name: self.driver_name.as_ptr(),
            driver_info: self.driver_info.as_ptr(),
            unsuitable: optional(&self.unsuitable),
            preference: optional(&self.preference),
            kind: kind as u32,
            vendor_id: info.vendor_id,
            uuid: info.uuid.0,
            api_version_major: info.api_version.0,
            api_version_minor: info.api_version.1,
            api_version_patch: info.api_version.2,
            max_storage_buffers: info.max_storage_buffers,
            max_storage_buffer_range: info.max_storage_buffer_range,
            max_allocation_bytes: info.max_allocation_bytes,
            device_local_bytes: info.device_local_bytes,
            device_local_budget_bytes: info.device_local_budget_bytes.unwrap_or(VKSCAN_UNKNOWN),
            storage_buffer_alignment: info.storage_buffer_alignment,
            host_import_alignment: info.host_import_alignment.unwrap_or(0),
            driver_uuid: info.driver_uuid.0,
        }
    }
}

/// A text for C, which cannot have zero bytes.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// The options that C speaks of.
///
/// # Safety
///
/// `options` is null or points to as many bytes as the struct says it has, and its texts end with a zero byte.
unsafe fn read_options(options: *const vkscan_backend_options) -> Result<BackendOptions, Failure> {
    // SAFETY: as the caller promises.
    let (options, device, loader_path, pipeline_cache) = unsafe {
        let options = border::read_or(options, "options", default_options())?;
        (
            options,
            border::text(options.device, "device")?,
            border::text(options.loader_path, "loader_path")?,
            border::text(options.pipeline_cache, "pipeline_cache")?,
        )
    };
    let validation = match options.validation {
        0 => Validation::FromEnvironment,
        1 => Validation::Off,
        2 => Validation::On,
        3 => Validation::RobustAccess,
        other => {
            return Err(Failure::argument(format!("`validation` {other} is no vkscan_validation")));
        }
    };
    let device = device.map(|selector| {
        let Ok(selector) = selector.parse();
        selector
    });
    Ok(BackendOptions::default()
        .device(device)
        .validation(validation)
        .wait_timeout(Duration::from_millis(options.wait_timeout_ms))
        .loader_path(loader_path.map(PathBuf::from))
        .memory_limit(some_limit(options.memory_limit))
        .pipeline_cache(pipeline_cache.map(PathBuf::from))
        .stage_marks(options.stage_marks != 0))
}

/// 0 is no limit.
pub(crate) fn some_limit(bytes: u64) -> Option<u64> {
    (bytes > 0).then_some(bytes)
}

/// How long calls wait by default, in milliseconds.
pub(crate) fn default_timeout_ms() -> u64 {
    u64::try_from(BackendOptions::default().wait_timeout.as_millis()).unwrap_or(u64::MAX)
}

fn default_options() -> vkscan_backend_options {
    vkscan_backend_options {
        struct_size: 0,
        validation: vkscan_validation::FromEnvironment as u32,
        device: ptr::null(),
        loader_path: ptr::null(),
        wait_timeout_ms: default_timeout_ms(),
        memory_limit: 0,
        pipeline_cache: ptr::null(),
        stage_marks: 0,
    }
}

/// Fills in defaults. `size` is sizeof(vkscan_backend_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_options_init(
    options: *mut vkscan_backend_options,
    size: usize,
) -> vkscan_status {
    // SAFETY: as the header asks of the caller.
    run(|| unsafe { border::init(options, size, default_options()) })
}

/// Lists all devices, usable or not, in the loader's order. `options` says which would be picked; NULL stands for the
/// defaults. The list is freed with vkscan_device_list_free.
///
/// It fails with VKSCAN_STATUS_LOADER_MISSING, VKSCAN_STATUS_LOADER_FAILED, VKSCAN_STATUS_NO_DEVICE,
/// VKSCAN_STATUS_VALIDATION_MISSING or VKSCAN_STATUS_INVALID_UTF8. A selector that fits nothing is no error here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_devices(
    options: *const vkscan_backend_options,
    list: *mut *mut vkscan_device_list,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (list, options) = unsafe { (HandleOut::new(list, "list")?, read_options(options)?) };
        let devices = Backend::devices(&options)?.iter().map(Device::new).collect();
        list.set(vkscan_device_list { devices });
        Ok(())
    })
}

/// Number of devices in a list; 0 if it is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_device_list_count(list: Option<&vkscan_device_list>) -> usize {
    get(0, || Ok(list.ok_or_else(|| Failure::null("list"))?.devices.len()))
}

/// Tells of the device at `index` of a list, from 0. Its texts are valid until the list is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_device_list_get(
    list: Option<&vkscan_device_list>,
    index: usize,
    info: *mut vkscan_device_info,
) -> vkscan_status {
    run(|| {
        let devices = &list.ok_or_else(|| Failure::null("list"))?.devices;
        // SAFETY: as the header asks of the caller.
        let info = unsafe { SizedOut::new(info, "info") }?;
        info.set(element(devices, index, "devices")?.describe());
        Ok(())
    })
}

/// The device at an index of a list.
pub(crate) fn device(
    list: Option<&vkscan_device_list>,
    index: usize,
) -> Result<&DeviceInfo, Failure> {
    let devices = &list.ok_or_else(|| Failure::null("list"))?.devices;
    Ok(&element(devices, index, "devices")?.info)
}

/// Frees a list, and the texts that were asked of it.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_device_list_free(list: Option<Box<vkscan_device_list>>) {
    free(list);
}

/// Opens the device that the options select; NULL stands for the defaults. It is freed with vkscan_backend_free.
///
/// It fails as vkscan_devices does, with VKSCAN_STATUS_DEVICE_NOT_FOUND where the selector fits nothing, and with
/// VKSCAN_STATUS_UNSUPPORTED_DEVICE where what it fits cannot run vkscan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_open(
    options: *const vkscan_backend_options,
    backend: *mut *mut vkscan_backend,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, options) =
            unsafe { (HandleOut::new(backend, "backend")?, read_options(options)?) };
        to.set(vkscan_backend::new(Backend::new(&options)?));
        Ok(())
    })
}

/// Opens the same physical device anew, with the same options, after it was lost: what was made from the lost one stays
/// lost.
///
/// It fails as vkscan_backend_open does, and with VKSCAN_STATUS_CALLERS_DEVICE where the device is the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_reopen(
    backend: Option<&vkscan_backend>,
    anew: *mut *mut vkscan_backend,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let to = unsafe { HandleOut::new(anew, "anew") }?;
        to.set(vkscan_backend::new(of(backend)?.reopen()?));
        Ok(())
    })
}

/// Writes what the driver has made of kernels so far to the options' `pipeline_cache`, unless the file has it already.
///
/// It fails with VKSCAN_STATUS_PIPELINE_CACHE if no file was named or it cannot be written, and with
/// VKSCAN_STATUS_CALLERS_DEVICE where the device is the caller's.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_backend_save_pipeline_cache(
    backend: Option<&vkscan_backend>,
) -> vkscan_status {
    run(|| Ok(of(backend)?.save_pipeline_cache()?))
}

/// Frees a backend. Sessions, tickets and haystacks that were made from it go on working: the device is closed with the
/// last of them.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_backend_free(backend: Option<Box<vkscan_backend>>) {
    free(backend);
}

/// Tells of the open device. Its texts are valid until the backend is freed, and its budget is that of when it was
/// opened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_device_info(
    backend: Option<&vkscan_backend>,
    info: *mut vkscan_device_info,
) -> vkscan_status {
    run(|| {
        let backend = backend.ok_or_else(|| Failure::null("backend"))?;
        // SAFETY: as the header asks of the caller.
        unsafe { SizedOut::new(info, "info") }?.set(backend.device.describe());
        Ok(())
    })
}

/// Whether the device has been lost. It stays so. Of NULL it is not.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_backend_is_lost(backend: Option<&vkscan_backend>) -> bool {
    get(false, || Ok(of(backend)?.is_lost()))
}

/// Bytes of all buffers that sessions and haystacks on the device hold at the moment; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_backend_allocated_bytes(backend: Option<&vkscan_backend>) -> u64 {
    get(0, || Ok(of(backend)?.allocated_bytes()))
}

/// What the device still holds of sessions, haystacks and scans that were freed while it was at them: bytes of buffers,
/// and objects. They are given back by any later call, once it has answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_backend_held_back(
    backend: Option<&vkscan_backend>,
    bytes: *mut u64,
    objects: *mut usize,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to_bytes, to_objects) =
            unsafe { (Out::new(bytes, "bytes")?, Out::new(objects, "objects")?) };
        let HeldBack { bytes, objects, .. } = of(backend)?.held_back();
        to_bytes.set(bytes);
        to_objects.set(objects);
        Ok(())
    })
}

/// The backend of a handle.
pub(crate) fn of(backend: Option<&vkscan_backend>) -> Result<&Backend, Failure> {
    Ok(&backend.ok_or_else(|| Failure::null("backend"))?.backend)
}
