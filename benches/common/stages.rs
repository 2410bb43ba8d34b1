//! Where the time of a scan went.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vkscan::ScanStats;

#[derive(Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    pub seconds: f64,
}

/// By stage on the device, and the rest of the call.
pub fn stages(passed: Duration, stats: &ScanStats) -> Vec<Stage> {
    let device = stats.device.unwrap_or_default();
    let host = ("host", passed.saturating_sub(device.total()));
    let stage = |(name, passed): (&str, Duration)| Stage {
        name: name.to_owned(),
        seconds: passed.as_secs_f64(),
    };
    device.by_stage().into_iter().chain([host]).map(stage).collect()
}
