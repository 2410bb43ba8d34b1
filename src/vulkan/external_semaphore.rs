//! Semaphores that others share by a file descriptor, on other devices, in other processes or by other interfaces:
//! `VK_KHR_external_semaphore_fd`.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use ash::vk::Handle as _;
use ash::{khr, vk};

use super::Backend;
use super::device::{Core, DeviceRef};
use super::error::{BackendError, Result};
use super::quirks;

/// What semaphore it is, and how a file descriptor stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SemaphoreHandle {
    /// A binary one, as Vulkan devices of the same [`DeviceInfo::uuid`](crate::DeviceInfo) and `driver_uuid` know it among
    /// themselves, and CUDA on the same device.
    OpaqueBinary,
    /// A timeline, likewise. It begins at 0.
    OpaqueTimeline,
    /// A binary one, of which each signal is a Linux sync file of its own, which other devices and drivers know, too.
    SyncFd,
}

impl SemaphoreHandle {
    fn kind(self) -> vk::ExternalSemaphoreHandleTypeFlags {
        match self {
            SemaphoreHandle::OpaqueBinary | SemaphoreHandle::OpaqueTimeline => {
                vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD
            }
            SemaphoreHandle::SyncFd => vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD,
        }
    }

    fn type_info(self) -> vk::SemaphoreTypeCreateInfo<'static> {
        vk::SemaphoreTypeCreateInfo::default().semaphore_type(match self {
            SemaphoreHandle::OpaqueTimeline => vk::SemaphoreType::TIMELINE,
            SemaphoreHandle::OpaqueBinary | SemaphoreHandle::SyncFd => vk::SemaphoreType::BINARY,
        })
    }

    /// Fails unless such semaphores can be shared in that direction.
    fn check(
        self,
        device: &Core,
        wanted: vk::ExternalSemaphoreFeatureFlags,
        what: &'static str,
    ) -> Result<()> {
        let missing = |needed| Err(BackendError::Unsupported { what, needed });
        if !device.has(khr::external_semaphore_fd::NAME) {
            return missing("VK_KHR_external_semaphore_fd");
        }
        let mut type_info = self.type_info();
        let info = vk::PhysicalDeviceExternalSemaphoreInfo::default()
            .handle_type(self.kind())
            .push_next(&mut type_info);
        let mut found = vk::ExternalSemaphoreProperties::default();
        // SAFETY: the physical device is of that instance, and has the extension that the handle type is of.
        unsafe {
            device.instance().raw().get_physical_device_external_semaphore_properties(
                device.physical(),
                &info,
                &mut found,
            );
        }
        if found.external_semaphore_features.contains(wanted) {
            return Ok(());
        }
        missing(match self {
            SemaphoreHandle::OpaqueBinary => "opaque file descriptors of binary semaphores",
            SemaphoreHandle::OpaqueTimeline => "opaque file descriptors of timeline semaphores",
            SemaphoreHandle::SyncFd => "sync files of binary semaphores",
        })
    }
}

/// A semaphore that others share: for
/// [`ResidentRulePipeline::submit_with_semaphores`](crate::ResidentRulePipeline::submit_with_semaphores), by way of
/// [`RawSemaphore`](crate::RawSemaphore) and [`ExternalSemaphore::handle`].
///
/// It has to outlive its use. What waits for it has done so when its scan is over; what signals it has run when a later scan of
/// the same backend is over, for they are on one queue.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, ResidentHaystack, RulePipeline, ScanScratch};
/// use vkscan::{BackendError, ExternalSemaphore, RawSemaphore, SemaphoreHandle};
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
/// let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// match ExternalSemaphore::new(&backend, SemaphoreHandle::OpaqueTimeline) {
///     Ok(over) => {
///         // SAFETY: it is a timeline.
///         let fd = unsafe { over.export_fd() }?;
///         println!("{fd:?} is for another process, which waits until it is 1");
///         // SAFETY: it is on this device, outlives the scan, and is at 0.
///         let one = unsafe { RawSemaphore::timeline(over.handle(), 1) };
///         let ticket = session.submit_with_semaphores(&backend, b"aa b", u32::MAX, &[], &[one])?;
///         ticket.wait_into(&mut matches, &mut scratch)?;
/// #       // What signals it is behind that, and a scan behind what signals it.
/// #       session.scan_into(&backend, b"a", &mut matches, &mut scratch)?;
///     }
///     Err(BackendError::Unsupported { needed, .. }) => println!("there is no {needed}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok::<(), vkscan::ScanError>(())
/// ```
pub struct ExternalSemaphore {
    device: DeviceRef,
    raw: vk::Semaphore,
    handle: SemaphoreHandle,
    is_imported: bool,
}

impl ExternalSemaphore {
    /// Makes a semaphore that others can import.
    ///
    /// # Errors
    ///
    /// A device that does not export such semaphores, or one of the caller's that was made without the extension
    /// ([`BackendError::Unsupported`]); lack of memory, or a fault of the device.
    pub fn new(backend: &Backend, handle: SemaphoreHandle) -> Result<ExternalSemaphore> {
        let wanted = vk::ExternalSemaphoreFeatureFlags::EXPORTABLE;
        handle.check(backend.device(), wanted, "exporting a semaphore")?;
        ExternalSemaphore::create(backend, handle, false)
    }

    /// Makes a semaphore of one that others have exported. The file descriptor is taken, and closed where this fails.
    ///
    /// A [`SemaphoreHandle::SyncFd`] can be waited for once: it stands for one signal.
    ///
    /// # Errors
    ///
    /// A device that does not import such semaphores, or one of the caller's that was made without the extension
    /// ([`BackendError::Unsupported`]); what the driver does not know as such a semaphore ([`BackendError::InvalidHandle`]);
    /// lack of memory, or a fault of the device.
    ///
    /// # Safety
    ///
    /// The file descriptor is what `handle` says it is, and an opaque one was exported on a device with the same
    /// [`DeviceInfo::uuid`](crate::DeviceInfo) and `driver_uuid`.
    pub unsafe fn import(
        backend: &Backend,
        handle: SemaphoreHandle,
        fd: OwnedFd,
    ) -> Result<ExternalSemaphore> {
        let wanted = vk::ExternalSemaphoreFeatureFlags::IMPORTABLE;
        handle.check(backend.device(), wanted, "importing a semaphore")?;
        let semaphore = ExternalSemaphore::create(backend, handle, true)?;
        let device = &semaphore.device;
        let flags = match handle {
            SemaphoreHandle::SyncFd => vk::SemaphoreImportFlags::TEMPORARY,
            SemaphoreHandle::OpaqueBinary | SemaphoreHandle::OpaqueTimeline => {
                vk::SemaphoreImportFlags::empty()
            }
        };
        let info = vk::ImportSemaphoreFdInfoKHR::default()
            .semaphore(semaphore.raw)
            .flags(flags)
            .handle_type(handle.kind())
            .fd(fd.as_raw_fd());
        let functions = functions(device);
        let imported = quirks::give_fd(&device.info().driver_name, fd, || {
            device.call("vkImportSemaphoreFdKHR", || {
                // SAFETY: the semaphore is of that type, and nobody uses it yet; the file descriptor is open, and what the
                // caller promises it to be.
                unsafe { functions.import_semaphore_fd(&info) }
            })
        });
        imported.map_err(|error| {
            let reason = "the driver knows it as no such semaphore on this device";
            error.of_external("the file descriptor", reason)
        })?;
        Ok(semaphore)
    }

    fn create(
        backend: &Backend,
        handle: SemaphoreHandle,
        is_imported: bool,
    ) -> Result<ExternalSemaphore> {
        let device = backend.device();
        device.sweep();
        let mut type_info = handle.type_info();
        let mut export = vk::ExportSemaphoreCreateInfo::default().handle_types(handle.kind());
        let mut info = vk::SemaphoreCreateInfo::default().push_next(&mut type_info);
        if !is_imported {
            info = info.push_next(&mut export);
        }
        let raw = device.call("vkCreateSemaphore", || {
            // SAFETY: the feature timelineSemaphore is on, and such semaphores can be exported if they are to be.
            unsafe { device.raw().create_semaphore(&info, None) }
        })?;
        device.names().set(raw, "external semaphore");
        Ok(ExternalSemaphore { device: DeviceRef::new(device), raw, handle, is_imported })
    }

    /// Makes a file descriptor for others to import. None stands for a [`SemaphoreHandle::SyncFd`] that is signalled already.
    ///
    /// That of a [`SemaphoreHandle::SyncFd`] is for the signal that was submitted last, and takes it from the semaphore, as
    /// waiting for it does. A scan's signals are submitted when its ticket has been waited for or dropped.
    ///
    /// # Errors
    ///
    /// A semaphore that was imported ([`BackendError::InvalidHandle`]): whoever exported it can do so again. Too many open
    /// files, lack of memory, or a fault of the device.
    ///
    /// # Safety
    ///
    /// What signals a [`SemaphoreHandle::SyncFd`] has been submitted, and nothing that waits for that.
    pub unsafe fn export_fd(&self) -> Result<Option<OwnedFd>> {
        if self.is_imported {
            let reason =
                "it was imported: export it where it was made, or duplicate that file descriptor";
            return Err(BackendError::invalid("the external semaphore", reason));
        }
        let device = &self.device;
        let info = vk::SemaphoreGetFdInfoKHR::default()
            .semaphore(self.raw)
            .handle_type(self.handle.kind());
        let functions = functions(device);
        let fd = device.call("vkGetSemaphoreFdKHR", || {
            // SAFETY: the semaphore was made to be exported so; the rest is the caller's promise.
            unsafe { functions.get_semaphore_fd(&info) }
        })?;
        // SAFETY: it was just made, and is nobody else's.
        Ok((fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The `VkSemaphore`. It goes with this.
    pub fn handle(&self) -> u64 {
        self.raw.as_raw()
    }
}

impl Drop for ExternalSemaphore {
    fn drop(&mut self) {
        // SAFETY: who has made a `RawSemaphore` of it has promised that nothing uses it any more.
        unsafe { self.device.raw().destroy_semaphore(self.raw, None) };
    }
}

impl std::fmt::Debug for ExternalSemaphore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalSemaphore").field("handle", &self.handle).finish_non_exhaustive()
    }
}

fn functions(device: &Core) -> khr::external_semaphore_fd::Device {
    khr::external_semaphore_fd::Device::new(device.instance().raw(), device.raw())
}
