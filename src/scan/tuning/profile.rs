//! Values that were found by measuring, in a file: JSON of [`TuningProfile`]'s fields.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{Tuning, TuningError};
use crate::{DeviceInfo, shaders};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A tuning that was measured to be good on one device, with one version of its driver and of the kernels.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, Tuning, TuningProfile};
///
/// let backend = Backend::new(&BackendOptions::default())?;
/// let mut tuning = Tuning::for_device(backend.device_info());
/// tuning.set("first_rounds", 2)?;
/// let profile = TuningProfile::new(backend.device_info(), &tuning, "tried by hand".to_owned());
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("profile.json");
/// profile.write(&path)?;
/// assert_eq!(TuningProfile::read(&path)?.tuning(backend.device_info())?, tuning);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuningProfile {
    /// The device's name.
    device: String,
    /// Its UUID, and its driver's name and version.
    uuid: String,
    driver: String,
    /// Of vkscan, and a hash of all its kernels.
    version: String,
    kernels: String,
    /// On what it was measured, and what it gained.
    note: String,
    /// The parameters whose values are not what suits devices of its sort.
    values: BTreeMap<String, u64>,
}

impl TuningProfile {
    /// What was measured on a device, with a note that says how.
    pub fn new(info: &DeviceInfo, tuning: &Tuning, note: String) -> TuningProfile {
        let values = tuning.difference(&Tuning::for_kind(info));
        TuningProfile {
            device: info.name.clone(),
            uuid: info.uuid.to_string(),
            driver: driver(info),
            version: VERSION.to_owned(),
            kernels: kernels(),
            note,
            values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    /// Reads a profile.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or is no profile.
    pub fn read(path: &Path) -> Result<TuningProfile, TuningError> {
        TuningProfile::from_json(&std::fs::read_to_string(path)?)
    }

    pub(super) fn from_json(text: &str) -> Result<TuningProfile, TuningError> {
        serde_json::from_str(text)
            .map_err(|error| TuningError::NoProfile { reason: error.to_string() })
    }

    /// Writes it to a file, in the place of what is there: whoever reads meanwhile finds the one or the other.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written to.
    pub fn write(&self, path: &Path) -> Result<(), TuningError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        serde_json::to_writer_pretty(&mut file, self).map_err(std::io::Error::from)?;
        file.write_all(b"\n")?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// What a session on a device goes by with it.
    ///
    /// # Errors
    ///
    /// Another device, driver, or version of vkscan or its kernels than those that it was measured on ([`TuningError::Stale`]), or values
    /// that the device cannot do.
    pub fn tuning(&self, info: &DeviceInfo) -> Result<Tuning, TuningError> {
        for (what, measured, found) in [
            ("device", &self.uuid, info.uuid.to_string()),
            ("driver", &self.driver, driver(info)),
            ("version of vkscan", &self.version, VERSION.to_owned()),
            ("kernels", &self.kernels, kernels()),
        ] {
            if *measured != found {
                return Err(TuningError::Stale { what, measured: measured.clone(), found });
            }
        }
        self.values_on(info)
    }

    /// Its values, wherever they were measured.
    pub(super) fn values_on(&self, info: &DeviceInfo) -> Result<Tuning, TuningError> {
        let mut tuning = Tuning::for_kind(info);
        for (name, value) in &self.values {
            tuning.set(name, *value)?;
        }
        tuning.check(info)?;
        Ok(tuning)
    }

    /// On what it was measured, and what it gained.
    pub fn note(&self) -> &str {
        &self.note
    }
}

fn driver(info: &DeviceInfo) -> String {
    format!("{} {}", info.driver_name, info.driver_info)
}

fn kernels() -> String {
    format!("{:016x}", shaders::hash())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vulkan::testing::TestBackend;

    #[test]
    fn profiles_that_are_stale_are_refused() {
        let backend = TestBackend::new();
        let info = backend.device_info();
        let tuning = Tuning { first_rounds: 3, ..Tuning::for_kind(info) };
        let profile = TuningProfile::new(info, &tuning, "by hand".to_owned());
        assert_eq!(profile.tuning(info).unwrap(), tuning);
        assert_eq!(profile.values, [("first_rounds".to_owned(), 3)].into());
        let other = || "other".to_owned();
        for (what, stale) in [
            ("device", TuningProfile { uuid: other(), ..profile.clone() }),
            ("driver", TuningProfile { driver: other(), ..profile.clone() }),
            ("version of vkscan", TuningProfile { version: other(), ..profile.clone() }),
            ("kernels", TuningProfile { kernels: other(), ..profile.clone() }),
        ] {
            let error = stale.tuning(info).unwrap_err();
            assert!(matches!(&error, TuningError::Stale { what: told, .. } if *told == what));
            assert!(error.to_string().contains("other"), "{error}");
        }
        for (values, told) in [("pace", "no parameter"), ("slice_bytes", "multiple")] {
            let values = [(values.to_owned(), 7)].into();
            let error = TuningProfile { values, ..profile.clone() }.tuning(info).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn other_files_are_no_profiles() {
        for text in ["", "{", "[]", "{}", r#"{"device": 1}"#] {
            let error = TuningProfile::from_json(text).unwrap_err();
            assert!(matches!(error, TuningError::NoProfile { .. }), "{error}");
        }
        let missing = TuningProfile::read(Path::new("no such folder/profile.json"));
        assert!(matches!(missing, Err(TuningError::File(_))));
    }

    #[test]
    fn defaults_of_measured_devices_are_theirs() {
        let backend = TestBackend::new();
        for (name, text) in super::super::MEASURED {
            let profile = TuningProfile::from_json(text).unwrap();
            assert_eq!(profile.device, *name);
            let info = DeviceInfo { name: profile.device.clone(), ..backend.device_info().clone() };
            let tuning = Tuning::for_device(&info);
            assert_eq!(tuning, profile.values_on(&info).unwrap());
            assert_ne!(tuning, Tuning::for_kind(&info));
        }
    }
}
