//! What is known of how a device was lost: which submissions had not ended, and what the driver says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::{ext, vk};

use super::info::text;

/// Of the things of one kind, so many are told.
const MOST_TOLD: usize = 4;

/// How far the submissions of a timeline have come.
pub(super) struct Progress {
    pub(super) name: String,
    pub(super) semaphore: vk::Semaphore,
    /// The value the newest submission will signal. Raised under the queue's lock only.
    pub(super) submitted: AtomicU64,
    /// The highest value seen.
    pub(super) seen: AtomicU64,
    /// The name of what was submitted last, where that has one.
    newest: Mutex<Option<Arc<str>>>,
}

impl Progress {
    pub(super) fn new(name: &str, semaphore: vk::Semaphore) -> Progress {
        Progress {
            name: name.to_owned(),
            semaphore,
            submitted: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            newest: Mutex::default(),
        }
    }

    /// Notes that a submission signals `value`, and what it is.
    pub(super) fn submit(&self, value: u64, what: Option<Arc<str>>) {
        self.submitted.store(value, Ordering::Relaxed);
        *lock(&self.newest) = what;
    }

    /// How far it has come, if that is not its end.
    fn describe(&self, device: &ash::Device) -> Option<String> {
        let submitted = self.submitted.load(Ordering::Relaxed);
        // SAFETY: the semaphore is a timeline of this device, and there as long as its progress is listed.
        let now = unsafe { device.get_semaphore_counter_value(self.semaphore) };
        // A lost device's may have any value, such as the greatest that there is.
        let now = now.ok().filter(|&now| now <= submitted);
        let ended = self.seen.load(Ordering::Relaxed).max(now.unwrap_or(0));
        let newest = lock(&self.newest).as_ref().map(|newest| format!(", the last is {newest}"));
        let (name, newest) = (&self.name, newest.unwrap_or_default());
        (ended < submitted)
            .then(|| format!("{name} ({ended} of {submitted} submissions ended{newest})"))
    }
}

/// The progress of all timelines of a device.
#[derive(Default)]
pub(super) struct Timelines(Mutex<Vec<Arc<Progress>>>);

impl Timelines {
    pub(super) fn enter(&self, one: &Arc<Progress>) {
        lock(&self.0).push(one.clone());
    }

    /// Forgets a timeline. Nobody looks at its semaphore from then on.
    pub(super) fn leave(&self, one: &Arc<Progress>) {
        lock(&self.0).retain(|other| !Arc::ptr_eq(one, other));
    }

    /// Which of them have submissions that have not ended.
    pub(super) fn describe(&self, device: &ash::Device) -> String {
        let running: Vec<String> =
            lock(&self.0).iter().filter_map(|one| one.describe(device)).collect();
        match running.is_empty() {
            true => "no submission was under way".to_owned(),
            false => format!("under way: {}", some_of(&running)),
        }
    }
}

/// What the driver says, where the device was made with VK_EXT_device_fault. It is lost.
pub(super) fn fault(instance: &ash::Instance, device: &ash::Device) -> Option<String> {
    let functions = ext::device_fault::Device::new(instance, device);
    let get = functions.fp().get_device_fault_info_ext;
    let mut counts = vk::DeviceFaultCountsEXT::default();
    // SAFETY: the device is lost, and was made with the extension and its feature.
    let counted = unsafe { get(device.handle(), &mut counts, std::ptr::null_mut()) };
    counted.result().ok()?;
    // It is for tools, and may be large.
    counts.vendor_binary_size = 0;
    let mut addresses =
        vec![vk::DeviceFaultAddressInfoEXT::default(); counts.address_info_count as usize];
    let mut vendors =
        vec![vk::DeviceFaultVendorInfoEXT::default(); counts.vendor_info_count as usize];
    let mut info = vk::DeviceFaultInfoEXT {
        p_address_infos: addresses.as_mut_ptr(),
        p_vendor_infos: vendors.as_mut_ptr(),
        ..Default::default()
    };
    // SAFETY: as above; there is room for as many as the counts say.
    let told = unsafe { get(device.handle(), &mut counts, &mut info) };
    if told.as_raw() < 0 {
        return None;
    }
    addresses.truncate(counts.address_info_count as usize);
    vendors.truncate(counts.vendor_info_count as usize);
    let description = text(info.description_as_c_str());
    let addresses: Vec<String> = addresses.iter().map(address).collect();
    let vendors: Vec<String> = vendors
        .iter()
        .map(|one| {
            let (code, data) = (one.vendor_fault_code, one.vendor_fault_data);
            format!("{} (code {code:#x}, data {data:#x})", text(one.description_as_c_str()))
        })
        .collect();
    let parts = [description, some_of(&addresses), some_of(&vendors)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn address(info: &vk::DeviceFaultAddressInfoEXT) -> String {
    use vk::DeviceFaultAddressTypeEXT as Kind;
    let what = match info.address_type {
        Kind::READ_INVALID => "invalid read",
        Kind::WRITE_INVALID => "invalid write",
        Kind::EXECUTE_INVALID => "invalid execution",
        Kind::INSTRUCTION_POINTER_FAULT => "fault of an instruction",
        Kind::INSTRUCTION_POINTER_INVALID | Kind::INSTRUCTION_POINTER_UNKNOWN => "instruction",
        _ => "address",
    };
    let (at, within) = (info.reported_address, info.address_precision);
    format!("{what} at {at:#x} (within {within:#x} bytes)")
}

/// The first of them, and how many more there are.
fn some_of(texts: &[String]) -> String {
    let told = texts.iter().take(MOST_TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(MOST_TOLD) {
        0 => told,
        more => format!("{told}, and {more} more"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestBackend;
    use super::super::{BackendError, Validation, layer, pretence};
    use super::*;
    use crate::{Backend, RulePipeline, ScanError, ScanScratch};

    /// The report on a device that is lost in the second scan of a session, by a call of that name.
    fn report(call: &'static str) -> String {
        report_on(&TestBackend::layered(Validation::Off), call)
    }

    fn report_on(backend: &Backend, call: &'static str) -> String {
        let rules = RulePipeline::new(&["ab+"]).unwrap();
        let session = rules.prepare_resident(backend, 16, 10).unwrap();
        let scan = || {
            let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
            session.scan_into(backend, b"-abb-", &mut matches, &mut scratch)
        };
        scan().unwrap();
        layer::fail(call, vk::Result::ERROR_DEVICE_LOST, 1);
        let errors = [scan(), scan()].map(|scanned| match scanned.unwrap_err() {
            ScanError::Backend(error) => error,
            error => panic!("{error}"),
        });
        assert!(layer::stop_failing() && backend.is_lost());
        // Every later call says the same.
        assert_eq!(errors[0], errors[1]);
        backend.device().undo_lost();
        let [BackendError::DeviceLost { report }, _] = &errors else { panic!("{errors:?}") };
        assert!(errors[0].to_string().contains(report), "{}", errors[0]);
        report.clone()
    }

    #[test]
    fn the_error_says_what_was_under_way() {
        let _layer = layer::lock();
        let told = report("vkWaitSemaphores");
        let begin = "vkWaitSemaphores says so; under way: ";
        let (frame, rest) = told.strip_prefix(begin).unwrap().split_once(" (").unwrap();
        assert!(frame.starts_with("frame "), "{told}");
        // How many there were is the session's business.
        let numbers: Vec<u64> = rest.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(matches!(numbers[..], [ended, submitted] if ended + 1 == submitted), "{told}");
        let end = format!("submissions ended, the last is {frame}/whole)");
        assert!(rest.ends_with(&end), "{told}");
    }

    #[test]
    fn the_error_says_which_stage_it_was_in_where_they_are_marked() {
        let _layer = layer::lock();
        let backend = TestBackend::layered(Validation::Off);
        backend.device().mark_stages().unwrap();
        let told = report_on(&backend, "vkWaitSemaphores");
        // What was submitted may have run since, and then all of it has.
        let stages =
            told.split("; ").find(|part| part.contains("the compute queue began")).unwrap();
        assert!(stages.contains(" last, and ended \""), "{told}");
    }

    #[test]
    fn the_error_says_where_nothing_was_under_way() {
        let _layer = layer::lock();
        let told = report("vkQueueSubmit");
        assert_eq!(told, "vkQueueSubmit says so; no submission was under way");
    }

    #[test]
    fn the_error_says_what_the_driver_says() {
        let _layer = layer::lock();
        pretence::pretend(true);
        let told = report("vkQueueSubmit");
        pretence::pretend(false);
        let expected = "; the driver says: a made-up fault, invalid write at 0x1000 (within 0x100 bytes), \
                        shader stopped (code 0x7, data 0x2a)";
        assert!(told.ends_with(expected), "{told}");
    }

    #[test]
    fn reports_are_short() {
        let texts: Vec<String> = (0..9).map(|number: i32| number.to_string()).collect();
        assert_eq!(some_of(&texts), "0, 1, 2, 3, and 5 more");
        assert_eq!(some_of(&texts[..2]), "0, 1");
    }
}
