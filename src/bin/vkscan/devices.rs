//! `vkscan devices`.

use std::error::Error;
use std::io::{self, Write};

use indicatif::HumanBytes;
use serde_json::json;
use vkscan::{Backend, DeviceInfo};

use crate::Status;
use crate::args::{DevicesArgs, Format};
use crate::errors;
use crate::terminal;

pub fn run(args: &DevicesArgs) -> Result<Status, Box<dyn Error>> {
    let options = args.device.backend_options();
    let devices = Backend::devices(&options).map_err(|error| errors::backend(&error))?;
    let mut stdout = io::stdout().lock();
    for device in &devices {
        match args.format {
            Format::Text => print_text(&mut stdout, device)?,
            Format::Json => stdout.write_all(terminal::json(&to_json(device)).as_bytes())?,
        }
    }
    if devices.iter().all(|device| device.preference.is_none()) {
        // It says why.
        Backend::new(&options).map_err(|error| errors::backend(&error))?;
    }
    Ok(Status::Found)
}

fn print_text(to: &mut impl Write, device: &DeviceInfo) -> io::Result<()> {
    let (major, minor, patch) = device.api_version;
    writeln!(to, "{}: {}", device.index, device.name)?;
    writeln!(
        to,
        "    {}, Vulkan {major}.{minor}.{patch}, {} {}",
        device.kind, device.driver_name, device.driver_info
    )?;
    writeln!(to, "    UUID {}", device.uuid)?;
    write!(to, "    device memory {}", HumanBytes(device.device_local_bytes))?;
    if let Some(bytes) = device.device_local_budget_bytes {
        write!(to, ", {} free", HumanBytes(bytes))?;
    }
    writeln!(
        to,
        "; largest binding {}, largest allocation {}",
        HumanBytes(device.max_storage_buffer_range),
        HumanBytes(device.max_allocation_bytes)
    )?;
    writeln!(
        to,
        "    subgroups of {}, {} of shared memory, device times {}",
        device.subgroup_size,
        HumanBytes(device.shared_memory_bytes.into()),
        if device.timestamp_valid_bits() == 0 { "unknown" } else { "measured" }
    )?;
    if let Some(missing) = &device.unsuitable {
        writeln!(to, "    cannot be used: {missing}")?;
    }
    if let Some(reason) = &device.preference {
        writeln!(to, "    picked: {reason}")?;
    }
    Ok(())
}

fn to_json(device: &DeviceInfo) -> serde_json::Value {
    let (major, minor, patch) = device.api_version;
    json!({
        "index": device.index,
        "name": device.name,
        "kind": device.kind.to_string(),
        "uuid": device.uuid.to_string(),
        "vulkan": format!("{major}.{minor}.{patch}"),
        "driver": device.driver_name,
        "driver_info": device.driver_info,
        "device_local_bytes": device.device_local_bytes,
        "device_local_budget_bytes": device.device_local_budget_bytes,
        "max_storage_buffer_range": device.max_storage_buffer_range,
        "max_allocation_bytes": device.max_allocation_bytes,
        "subgroup_size": device.subgroup_size,
        "shared_memory_bytes": device.shared_memory_bytes,
        "timestamp_valid_bits": device.timestamp_valid_bits(),
        "unsuitable": device.unsuitable,
        "picked": device.preference,
    })
}
