//! Which of several devices to use.

use std::cmp::Reverse;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use super::error::{BackendError, Result};
use super::info::{DeviceInfo, DeviceUuid};

/// Names a device. As text: an index (`0`), a UUID (32 hexadecimal digits, with or without hyphens),
/// or else a part of its name in any case (`h100`, `llvmpipe`).
///
/// # Examples
///
/// ```
/// use vkscan::{DeviceSelector, DeviceUuid};
///
/// assert_eq!("1".parse(), Ok(DeviceSelector::Index(1)));
/// assert_eq!("llvmpipe".parse(), Ok(DeviceSelector::Name("llvmpipe".to_owned())));
/// let uuid = DeviceUuid([0xAB; 16]);
/// assert_eq!(uuid.to_string().parse(), Ok(DeviceSelector::Uuid(uuid)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceSelector {
    /// Position in the loader's enumeration.
    Index(usize),
    /// Part of the name, in any case. Where it fits several devices, the preferred of them.
    Name(String),
    /// The device's UUID.
    Uuid(DeviceUuid),
}

impl FromStr for DeviceSelector {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<DeviceSelector, Infallible> {
        Ok(if let Ok(uuid) = text.parse() {
            DeviceSelector::Uuid(uuid)
        } else if let Ok(index) = text.parse() {
            DeviceSelector::Index(index)
        } else {
            DeviceSelector::Name(text.to_owned())
        })
    }
}

impl fmt::Display for DeviceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceSelector::Index(index) => write!(f, "index {index}"),
            DeviceSelector::Name(name) => write!(f, "name {name:?}"),
            DeviceSelector::Uuid(uuid) => write!(f, "UUID {uuid}"),
        }
    }
}

impl DeviceSelector {
    fn fits(&self, device: &DeviceInfo) -> bool {
        match self {
            DeviceSelector::Index(index) => device.index == *index,
            DeviceSelector::Name(part) => device.name.to_lowercase().contains(&part.to_lowercase()),
            DeviceSelector::Uuid(uuid) => device.uuid == *uuid,
        }
    }
}

/// The chosen device and why it was chosen.
#[derive(Debug, PartialEq)]
pub(super) struct Choice {
    /// Position in the list given to `choose`.
    pub(super) position: usize,
    pub(super) reason: String,
}

/// Picks a device: of those that fit the selector and can run vkscan, discrete before integrated
/// before virtual before CPU before other; within a kind the larger device-local heap, then the
/// lower index.
pub(super) fn choose(devices: &[DeviceInfo], selector: Option<&DeviceSelector>) -> Result<Choice> {
    if devices.is_empty() {
        return Err(BackendError::NoDevice);
    }
    let mut candidates: Vec<(usize, &DeviceInfo)> = devices
        .iter()
        .enumerate()
        .filter(|(_, device)| selector.is_none_or(|selector| selector.fits(device)))
        .collect();
    candidates.sort_by_key(|(_, device)| {
        let unusable = device.unsuitable.is_some();
        (unusable, device.kind, Reverse(device.device_local_bytes))
    });
    let Some(&(position, best)) = candidates.first() else {
        return Err(BackendError::DeviceNotFound {
            selector: selector.map(ToString::to_string).unwrap_or_default(),
            available: devices
                .iter()
                .map(|device| format!("{}: {}", device.index, device.name))
                .collect(),
        });
    };
    if let Some(missing) = &best.unsuitable {
        return Err(BackendError::UnsupportedDevice {
            device: best.name.clone(),
            missing: missing.clone(),
        });
    }
    candidates.retain(|(_, device)| device.unsuitable.is_none());
    let same_kind = candidates.iter().filter(|(_, device)| device.kind == best.kind).count();
    let reason = if candidates.len() == 1 {
        "the only one that fits".to_owned()
    } else if same_kind == 1 {
        format!("a {}, preferred to the other kinds there are", best.kind)
    } else {
        let mib = best.device_local_bytes >> 20;
        format!(
            "of {same_kind} of its kind ({}) none has more device-local memory ({mib} MiB)",
            best.kind
        )
    };
    let reason = match selector {
        Some(selector) => format!("selected by {selector}: {reason}"),
        None => reason,
    };
    Ok(Choice { position, reason })
}

#[cfg(test)]
mod tests {
    use super::super::info::{DeviceKind, tests::fake};
    use super::*;

    fn device(index: usize, name: &str, kind: DeviceKind, gib: u64) -> DeviceInfo {
        let mut device = fake(index, name);
        device.kind = kind;
        device.device_local_bytes = gib << 30;
        device
    }

    fn picked(devices: &[DeviceInfo], selector: &str) -> usize {
        let selector = (!selector.is_empty()).then(|| selector.parse().unwrap());
        choose(devices, selector.as_ref()).unwrap().position
    }

    fn machine() -> Vec<DeviceInfo> {
        vec![
            device(0, "llvmpipe (LLVM 15)", DeviceKind::Cpu, 64),
            device(1, "Virtio", DeviceKind::Virtual, 1),
            device(2, "Intel UHD", DeviceKind::Integrated, 32),
            device(3, "NVIDIA A", DeviceKind::Discrete, 8),
            device(4, "NVIDIA B", DeviceKind::Discrete, 24),
            device(5, "NVIDIA C", DeviceKind::Discrete, 24),
            device(6, "Toaster", DeviceKind::Other, 128),
        ]
    }

    #[test]
    fn prefers_kind_then_memory_then_index() {
        let mut devices = machine();
        for expected in [4, 5, 3, 2, 1, 0, 6] {
            assert_eq!(picked(&devices, ""), expected);
            devices[expected].unsuitable = Some("broken".to_owned());
        }
        assert_eq!(
            choose(&devices, None),
            Err(BackendError::UnsupportedDevice {
                device: "NVIDIA B".to_owned(),
                missing: "broken".to_owned()
            })
        );
        assert_eq!(choose(&[], None), Err(BackendError::NoDevice));
    }

    #[test]
    fn selects_by_index_name_and_uuid() {
        let mut devices = machine();
        assert_eq!(picked(&devices, "0"), 0);
        assert_eq!(picked(&devices, "LLVM"), 0);
        assert_eq!(picked(&devices, "nvidia"), 4);
        assert_eq!(picked(&devices, &devices[2].uuid.to_string()), 2);
        devices[4].unsuitable = Some("broken".to_owned());
        assert_eq!(picked(&devices, "nvidia"), 5);
    }

    #[test]
    fn a_selector_that_fits_nothing_lists_what_there_is() {
        for selector in ["7", "radeon", "00000000-0000-0000-0000-0000000000ff"] {
            let selector: DeviceSelector = selector.parse().unwrap();
            let error = choose(&machine(), Some(&selector)).unwrap_err().to_string();
            assert!(error.contains(&selector.to_string()), "{error}");
            for device in machine() {
                assert!(error.contains(&device.name), "{error}");
            }
        }
    }

    #[test]
    fn the_choice_is_explained() {
        let reason = |selector: Option<&str>, devices: &[DeviceInfo]| {
            let selector = selector.map(|text| text.parse().unwrap());
            choose(devices, selector.as_ref()).unwrap().reason
        };
        assert!(reason(None, &machine()[..1]).contains("only"));
        assert!(reason(None, &machine()[..2]).contains("virtual GPU"));
        assert!(reason(None, &machine()).contains("24576 MiB"));
        assert!(reason(Some("uhd"), &machine()).contains("name \"uhd\""));
    }
}
