//! `vkscan ceilings`: what a device can do at best, measured once and kept for `--stats`.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::HumanBytes;
use serde::{Deserialize, Serialize};
use vkscan::{Backend, Ceilings, DeviceInfo};

use crate::Status;
use crate::args::{CeilingsArgs, Format};
use crate::errors;
use crate::kept;
use crate::terminal;

/// Ceilings of a device, as they are printed in JSON, and kept. Rates are bytes a second, times nanoseconds.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    device: String,
    uuid: String,
    driver: String,
    device_read: f64,
    host_read: f64,
    copies_up: Vec<(usize, f64)>,
    copies_down: Vec<(usize, f64)>,
    host_copies: Vec<(usize, f64)>,
    empty_submission_ns: f64,
    walk_step_ns: f64,
}

pub fn run(args: &CeilingsArgs) -> Result<Status, Box<dyn Error>> {
    let backend = Backend::new(&args.device.backend_options());
    let backend = backend.map_err(|error| errors::backend(&error))?;
    let ceilings = Ceilings::measure(&backend).map_err(|error| errors::backend(&error))?;
    let kept = Kept::new(backend.device_info(), &ceilings);
    if let Err(error) = kept.keep() {
        tracing::warn!("these ceilings are not kept for --stats: {error}");
    }
    let mut stdout = io::stdout().lock();
    match args.format {
        Format::Text => print_text(&mut stdout, &kept)?,
        Format::Json => {
            stdout.write_all(terminal::json(&serde_json::to_value(&kept)?).as_bytes())?
        }
    }
    Ok(Status::Found)
}

fn driver(device: &DeviceInfo) -> String {
    format!("{} {}", device.driver_name, device.driver_info)
}

/// Where the ceilings of a device are kept.
fn path(device_uuid: &str) -> io::Result<PathBuf> {
    Ok(kept::folder()?.join(format!("ceilings-{device_uuid}.json")))
}

impl Kept {
    fn new(device: &DeviceInfo, ceilings: &Ceilings) -> Kept {
        let nanoseconds = |time: Duration| time.as_secs_f64() * 1e9;
        Kept {
            device: device.name.clone(),
            uuid: device.uuid.to_string(),
            driver: driver(device),
            device_read: ceilings.device_read,
            host_read: ceilings.host_read,
            copies_up: ceilings.copies_up.clone(),
            copies_down: ceilings.copies_down.clone(),
            host_copies: ceilings.host_copies.clone(),
            empty_submission_ns: nanoseconds(ceilings.empty_submission),
            walk_step_ns: nanoseconds(ceilings.walk_step),
        }
    }

    /// Those that were measured on a device with the driver that it has, if they are kept.
    pub fn of(device: &DeviceInfo) -> Option<Kept> {
        let text = std::fs::read(path(&device.uuid.to_string()).ok()?).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        (kept.driver == driver(device)).then_some(kept)
    }

    /// Bytes a second that kernels read at best.
    pub fn device_read(&self) -> f64 {
        self.device_read
    }

    /// Bytes a second that go up at best.
    pub fn copy_up(&self) -> f64 {
        self.copies_up.iter().map(|(_, rate)| *rate).fold(0.0, f64::max)
    }

    fn keep(&self) -> io::Result<()> {
        kept::write(&path(&self.uuid)?, self)
    }
}

fn print_text(to: &mut impl Write, kept: &Kept) -> io::Result<()> {
    let gigabytes = |rate: &f64| rate / 1e9;
    writeln!(to, "{}, {}", kept.device, kept.driver)?;
    writeln!(to, "kernels read, GB/s")?;
    writeln!(to, "    device memory           {:9.1}", gigabytes(&kept.device_read))?;
    writeln!(to, "    host memory in place    {:9.1}", gigabytes(&kept.host_read))?;
    for (name, rates) in
        [("host to device", &kept.copies_up), ("device to host", &kept.copies_down)]
    {
        writeln!(to, "copies {name}, each submitted and waited for, GB/s")?;
        for (bytes, rate) in rates {
            writeln!(
                to,
                "    {:<24}{:9.2}",
                HumanBytes(*bytes as u64).to_string(),
                gigabytes(rate)
            )?;
        }
    }
    writeln!(to, "copies of host memory by threads, GB/s")?;
    for (threads, rate) in &kept.host_copies {
        writeln!(to, "    {threads:<24}{:9.1}", gigabytes(rate))?;
    }
    writeln!(to, "an empty submission, us     {:9.1}", kept.empty_submission_ns / 1e3)?;
    writeln!(to, "a dependent load, ns        {:9.1}", kept.walk_step_ns)
}
