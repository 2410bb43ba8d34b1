//! The Vulkan loader and instance, with validation where it was asked for.

use std::ffi::{CStr, c_void};
use std::mem::{forget, transmute};
use std::path::Path;
use std::sync::Arc;

use ash::vk::Handle as _;
use ash::{ext, vk};

use super::debug::ValidationLog;
use super::error::{BackendError, Result};
use super::{Validation, quirks};

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

pub(crate) struct Instance {
    raw: ash::Instance,
    /// Whether it is the caller's.
    is_callers: bool,
    messenger: Option<(ext::debug_utils::Instance, vk::DebugUtilsMessengerEXT)>,
    has_debug_utils: bool,
    validation: Validation,
    /// The messenger points at it.
    log: ValidationLog,
    /// Keeps the loader's library open; the last to go.
    entry: ash::Entry,
}

impl Instance {
    /// Opens the loader (the system's, or the one at `loader_path`) and creates an instance.
    pub(super) fn new(loader_path: Option<&Path>, validation: Validation) -> Result<Arc<Instance>> {
        let entry = open_loader(loader_path)?;
        let mut extensions = Vec::new();
        let has_debug_utils = has_extension(&entry, None, ext::debug_utils::NAME)?;
        if has_debug_utils {
            extensions.push(ext::debug_utils::NAME.as_ptr());
        }
        let mut layers = Vec::new();
        let validates = validation != Validation::Off;
        if validates {
            require_validation(&entry, has_debug_utils)?;
            layers.push(VALIDATION_LAYER.as_ptr());
            extensions.push(ext::validation_features::NAME.as_ptr());
        }

        let log = ValidationLog::default();
        let application = vk::ApplicationInfo::default()
            .application_name(c"vkscan")
            .engine_name(c"vkscan")
            .api_version(vk::API_VERSION_1_2);
        let mut messenger_info = log.messenger();
        let synchronisation = [vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION];
        let mut features =
            vk::ValidationFeaturesEXT::default().enabled_validation_features(&synchronisation);
        let mut info = vk::InstanceCreateInfo::default()
            .application_info(&application)
            .enabled_layer_names(&layers)
            .enabled_extension_names(&extensions);
        if validates {
            // The messenger is chained here too, for what happens before and after its own life.
            info = info.push_next(&mut messenger_info).push_next(&mut features);
        }
        // SAFETY: every pointer in `info` outlives the call, and the layer and extensions are there.
        let raw = unsafe { entry.create_instance(&info, None) }.map_err(|result| match result {
            vk::Result::ERROR_INCOMPATIBLE_DRIVER => BackendError::NoDevice,
            result => of_loader("vkCreateInstance", result),
        })?;
        let mut instance = Instance {
            raw,
            is_callers: false,
            messenger: None,
            has_debug_utils,
            validation,
            log,
            entry: entry.clone(),
        };
        if validates {
            let debug_utils = ext::debug_utils::Instance::new(&entry, &instance.raw);
            // SAFETY: `Drop` destroys the messenger before the log it points at.
            let messenger = unsafe {
                debug_utils.create_debug_utils_messenger(&instance.log.messenger(), None)
            }
            .map_err(|result| BackendError::from_vk("vkCreateDebugUtilsMessengerEXT", result))?;
            instance.messenger = Some((debug_utils, messenger));
        }
        Ok(Arc::new(instance))
    }

    /// Takes an instance of the caller's.
    ///
    /// # Safety
    ///
    /// `get_instance_proc_addr` is that of the loader which made `instance`, and neither is null or goes before what this
    /// returns. `has_debug_utils` says whether the instance was made with VK_EXT_debug_utils.
    pub(super) unsafe fn of_caller(
        get_instance_proc_addr: *const c_void,
        instance: *mut c_void,
        has_debug_utils: bool,
    ) -> Result<Arc<Instance>> {
        let handle = vk::Instance::from_raw(instance as u64);
        // SAFETY: the pointer is that function, as the caller says.
        let get_instance_proc_addr: vk::PFN_vkGetInstanceProcAddr =
            unsafe { transmute(get_instance_proc_addr) };
        let static_fn = ash::StaticFn { get_instance_proc_addr };
        // SAFETY: as above; the instance is alive.
        let (entry, raw) = unsafe {
            (ash::Entry::from_static_fn(static_fn.clone()), ash::Instance::load(&static_fn, handle))
        };
        // SAFETY: as above.
        let newest = unsafe { get_instance_proc_addr(handle, c"vkWaitSemaphores".as_ptr()) };
        if newest.is_none() {
            let reason = "it has no vkWaitSemaphores; make it for Vulkan 1.2 or later \
                          (VkApplicationInfo::apiVersion)";
            return Err(BackendError::invalid("the instance", reason));
        }
        Ok(Arc::new(Instance {
            raw,
            is_callers: true,
            messenger: None,
            has_debug_utils,
            validation: Validation::Off,
            log: ValidationLog::default(),
            entry,
        }))
    }

    pub(super) fn raw(&self) -> &ash::Instance {
        &self.raw
    }

    pub(super) fn entry(&self) -> &ash::Entry {
        &self.entry
    }

    pub(super) fn has_debug_utils(&self) -> bool {
        self.has_debug_utils
    }

    pub(super) fn validation(&self) -> Validation {
        self.validation
    }

    pub(super) fn log(&self) -> &ValidationLog {
        &self.log
    }

    pub(super) fn physical_devices(&self) -> Result<Vec<vk::PhysicalDevice>> {
        // SAFETY: no preconditions.
        unsafe { self.raw.enumerate_physical_devices() }.map_err(|result| match result {
            // What loaders say when not one driver could be initialised.
            vk::Result::ERROR_INITIALIZATION_FAILED => BackendError::NoDevice,
            result => of_loader("vkEnumeratePhysicalDevices", result),
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.is_callers {
            return;
        }
        // SAFETY: devices hold an `Arc<Instance>`, so all of them are gone, and nothing uses the instance
        // from here on.
        unsafe {
            if let Some((debug_utils, messenger)) = self.messenger.take() {
                debug_utils.destroy_debug_utils_messenger(messenger, None);
            }
            let devices = self.raw.enumerate_physical_devices().unwrap_or_default();
            let properties = |device| self.raw.get_physical_device_properties(device);
            let devices: Vec<_> = devices.into_iter().map(properties).collect();
            if quirks::keeps_instance(&devices) {
                // What it is made of stays open with it.
                forget(self.entry.clone());
            } else {
                self.raw.destroy_instance(None);
            }
        }
    }
}

fn open_loader(path: Option<&Path>) -> Result<ash::Entry> {
    #[cfg(test)]
    let layered = path.and_then(super::layer::entry);
    #[cfg(not(test))]
    let layered = None;
    // SAFETY: this runs the library's initialisers, so it is as sound as the library is: the
    // system's loader, or the one the user names.
    let entry = unsafe {
        match (layered, path) {
            (Some(layered), _) => Ok(layered),
            (None, Some(path)) => ash::Entry::load_from(path),
            (None, None) => ash::Entry::load(),
        }
    }
    .map_err(|error| BackendError::LoaderMissing { reason: error.to_string() })?;
    // SAFETY: no preconditions.
    let version = unsafe { entry.try_enumerate_instance_version() }
        .map_err(|result| BackendError::from_vk("vkEnumerateInstanceVersion", result))?
        .unwrap_or(vk::API_VERSION_1_0);
    if version < vk::API_VERSION_1_2 {
        return Err(BackendError::LoaderMissing {
            reason: format!(
                "the loader implements Vulkan {}.{}",
                vk::api_version_major(version),
                vk::api_version_minor(version)
            ),
        });
    }
    Ok(entry)
}

fn require_validation(entry: &ash::Entry, has_debug_utils: bool) -> Result<()> {
    let missing = |reason: &str| Err(BackendError::ValidationMissing { reason: reason.to_owned() });
    // SAFETY: no preconditions.
    let layers = unsafe { entry.enumerate_instance_layer_properties() }
        .map_err(|result| of_loader("vkEnumerateInstanceLayerProperties", result))?;
    if !layers.iter().any(|layer| layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER)) {
        return missing("VK_LAYER_KHRONOS_validation is not installed");
    }
    if !has_extension(entry, Some(VALIDATION_LAYER), ext::validation_features::NAME)? {
        return missing("the layer lacks VK_EXT_validation_features (synchronisation validation)");
    }
    if !has_debug_utils {
        return missing("the loader lacks VK_EXT_debug_utils, so its messages could not be seen");
    }
    Ok(())
}

fn has_extension(entry: &ash::Entry, layer: Option<&CStr>, name: &CStr) -> Result<bool> {
    // SAFETY: a layer that is named here has been enumerated.
    let extensions = unsafe { entry.enumerate_instance_extension_properties(layer) }
        .map_err(|result| of_loader("vkEnumerateInstanceExtensionProperties", result))?;
    Ok(extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name)))
}

/// The error of a call that the loader answers, with what it has read of drivers and layers.
fn of_loader(call: &'static str, result: vk::Result) -> BackendError {
    match result {
        // A manifest that is no JSON counts as no memory, too.
        vk::Result::ERROR_OUT_OF_HOST_MEMORY | vk::Result::ERROR_INITIALIZATION_FAILED => {
            BackendError::LoaderFailed { call, result }
        }
        result => BackendError::from_vk(call, result),
    }
}
