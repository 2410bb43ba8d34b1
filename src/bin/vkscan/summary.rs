//! What `--stats` tells.

use std::time::Duration;

use indicatif::{DecimalBytes, HumanBytes};
use vkscan::{DeviceInfo, ScanStats, StageTimes};

use crate::ceilings::Kept;
use crate::rules_file::RulesFile;
use crate::terminal;

#[derive(Default)]
pub struct Summary {
    /// Inputs scanned to their end.
    pub inputs: u64,
    /// Files passed over because they are binary.
    pub skipped_binary: u64,
    /// Inputs that could not be scanned.
    pub failed: u64,
    pub matches: u64,
    pub window_bytes: usize,
    pub stats: ScanStats,
    /// How long the rules took to compile.
    pub compiled: Duration,
    /// How long the device took to be opened.
    pub opened: Duration,
    /// Where the parameters of its sessions come from.
    pub tuned_by: String,
    /// How long sessions took to be prepared, and of that the driver with their kernels.
    pub prepared: Duration,
    pub kernels_made: Duration,
    /// How long the scan took from first to last input, reading and printing included.
    pub scanned: Duration,
}

impl Summary {
    pub fn describe(&self, rules: &RulesFile, device: &DeviceInfo) -> String {
        let Summary { inputs, skipped_binary, failed, matches, stats, .. } = self;
        let path = terminal::path(rules.path());
        let bytes_per_second = stats.bytes_up as f64 / self.scanned.as_secs_f64().max(1e-9);
        let mut text = format!(
            "device    {}, {}, opened in {:.3?}\n\
             tuning    {}\n\
             rules     {} of {path}, compiled in {:.3?}\n\
             session   {} a window, prepared in {:.3?}, of which kernels {:.3?}\n\
             inputs    {inputs} scanned, {skipped_binary} skipped as binary, {failed} failed\n\
             matches   {matches}\n\
             moved     {} up, {} down, {} submissions\n\
             time      {:.3?}, {}/s; enqueue {:.3?}, wait {:.3?}\n",
            device.name,
            device.kind,
            self.opened,
            self.tuned_by,
            rules.len(),
            self.compiled,
            HumanBytes(self.window_bytes as u64),
            self.prepared,
            self.kernels_made,
            HumanBytes(stats.bytes_up),
            HumanBytes(stats.bytes_down),
            stats.submissions,
            self.scanned,
            DecimalBytes(bytes_per_second as u64),
            stats.enqueue,
            stats.wait,
        );
        if let Some(times) = stats.device {
            text += &stages(times);
        }
        text + &rates(self, device)
    }
}

/// Each stage's time and its share of the device's.
fn stages(times: StageTimes) -> String {
    let total = times.total();
    let lines = times.by_stage().into_iter().chain([("together", total)]);
    let lines = lines.map(|(name, time)| {
        let share = 100.0 * time.as_secs_f64() / total.as_secs_f64().max(1e-9);
        format!("{name:<10} {:>10} {share:3.0} %\n", format!("{time:.3?}"))
    });
    format!("on device {}", lines.collect::<Vec<_>>().join("          "))
}

/// How fast the haystacks went through all of it, and through the prefilter, beside what the device can do at best.
fn rates(summary: &Summary, device: &DeviceInfo) -> String {
    let bytes = summary.stats.bytes_up as f64;
    let per_second = |time: Duration| bytes / time.as_secs_f64().max(1e-9);
    let Some(ceilings) = Kept::of(device) else {
        return String::from("ceilings  not measured: `vkscan ceilings` does that once\n");
    };
    let of = |rate: f64, ceiling: f64, what: &str| {
        let (percent, ceiling) = (100.0 * rate / ceiling, DecimalBytes(ceiling as u64));
        format!("{percent:.1} % of the {ceiling}/s that {what} at best")
    };
    let scanned = per_second(summary.scanned);
    let scanned = of(scanned, ceilings.copy_up(), "are copied to the device");
    let prefilter = summary.stats.device.filter(|times| !times.prefilter.is_zero());
    let prefilter = prefilter.map_or(String::new(), |times| {
        let rate = per_second(times.prefilter);
        format!("; the prefilter {}", of(rate, ceilings.device_read(), "kernels read"))
    });
    format!("ceilings  {scanned}{prefilter}\n")
}
