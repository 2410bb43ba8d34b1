//! Where, when and how something was measured.

use std::process::Command;

use serde::{Deserialize, Serialize};
use vkscan::Backend;

use crate::Result;

#[derive(Serialize, Deserialize)]
pub struct Run {
    pub device: String,
    pub driver: String,
    pub host_cores: usize,
    pub date: String,
    pub command: String,
}

impl Run {
    pub fn new(backend: &Backend, command: String) -> Result<Run> {
        let info = backend.device_info();
        let today = Command::new("date").arg("-I").output()?.stdout;
        Ok(Run {
            device: info.name.clone(),
            driver: format!("{} {}", info.driver_name, info.driver_info),
            host_cores: std::thread::available_parallelism()?.get(),
            date: String::from_utf8(today)?.trim().to_owned(),
            command,
        })
    }
}
