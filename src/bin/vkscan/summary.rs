//! What `--stats` tells.

use std::time::Duration;

use indicatif::{DecimalBytes, HumanBytes};
use vkscan::{Backend, PoolShare, ScanStats, StageTimes};

use crate::ceilings::Kept;
use crate::rules::Rules;

#[derive(Default)]
pub struct Summary {
    /// Inputs scanned to their end.
    pub inputs: u64,
    /// Files passed over because they are binary.
    pub skipped_binary: u64,
    /// Files that no rule looks for anything in.
    pub left_out: u64,
    /// Inputs that could not be scanned.
    pub failed: u64,
    pub matches: u64,
    pub window_bytes: usize,
    pub stats: ScanStats,
    /// What each of several devices has done.
    pub shares: Vec<PoolShare>,
    /// How long the rules took to compile.
    pub compiled: Duration,
    /// How long the devices took to be opened.
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
    pub fn describe(&self, rules: &Rules, backends: &[Backend]) -> String {
        let device = backends[0].device_info();
        let names = backends.iter().map(|backend| backend.device_info());
        let names: Vec<String> =
            names.map(|device| format!("{}, {}", device.name, device.kind)).collect();
        let Summary { inputs, skipped_binary, left_out, failed, matches, stats, .. } = self;
        let bytes_per_second = stats.bytes_up as f64 / self.scanned.as_secs_f64().max(1e-9);
        let mut text = format!(
            "device    {}, opened in {:.3?}\n\
             tuning    {}\n\
             rules     {} of {}, compiled in {:.3?}\n\
             session   {} a window, prepared in {:.3?}, of which kernels {:.3?} in all threads\n\
             inputs    {inputs} scanned, {skipped_binary} skipped as binary, {left_out} left out by rules, {failed} failed\n\
             matches   {matches}\n\
             moved     {} up, {} down, {} submissions\n\
             time      {:.3?}, {}/s; enqueue {:.3?}, wait {:.3?}\n",
            names.join("\n          "),
            self.opened,
            self.tuned_by,
            rules.len(),
            rules.from(),
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
        for share in &self.shares {
            text += &share_of(share);
        }
        let ceilings = Kept::of(device);
        if let Some(times) = stats.device {
            text += &stages(times, stats.bytes_up, ceilings.as_ref());
        }
        text + &rate(self, ceilings.as_ref())
    }
}

/// What one of several devices has done, and how fast.
fn share_of(share: &PoolShare) -> String {
    let PoolShare { device, haystacks, bytes, busy, .. } = share;
    let rate = *bytes as f64 / busy.as_secs_f64().max(1e-9) / 1e9;
    let bytes = HumanBytes(*bytes);
    format!("share     {device}: {haystacks} haystacks, {bytes} in {busy:.3?}, {rate:.3} GB/s\n")
}

/// Each stage's time, its share of the device's, and how fast the haystacks went through it, beside what is possible.
fn stages(times: StageTimes, bytes: u64, ceilings: Option<&Kept>) -> String {
    let total = times.total();
    let lines = times.by_stage().into_iter().chain([("together", total)]);
    let lines = lines.map(|(name, time)| {
        let seconds = time.as_secs_f64();
        let share = 100.0 * seconds / total.as_secs_f64().max(1e-9);
        let line = format!("{name:<10} {:>10} {share:3.0} %", format!("{time:.3?}"));
        if time.is_zero() {
            return line + "\n";
        }
        let rate = bytes as f64 / seconds;
        // Of what moves or reads every byte: other stages go by candidates.
        let ceiling = ceilings.and_then(|ceilings| match name {
            "upload" | "together" => Some(ceilings.copy_up()),
            "prefilter" => Some(ceilings.device_read()),
            _ => None,
        });
        let of_ceiling = ceiling.map_or(String::new(), |ceiling| {
            let ceiling_rate = DecimalBytes(ceiling as u64);
            format!(", {:.1} % of {ceiling_rate}/s, the ceiling", 100.0 * rate / ceiling)
        });
        format!("{line} {:>9.3} GB/s{of_ceiling}\n", rate / 1e9)
    });
    format!("on device {}", lines.collect::<Vec<_>>().join("          "))
}

/// How fast the haystacks went through all of it, beside what the device can do at best.
fn rate(summary: &Summary, ceilings: Option<&Kept>) -> String {
    let Some(ceilings) = ceilings else {
        return String::from("ceilings  not measured: `vkscan ceilings` does that once\n");
    };
    let rate = summary.stats.bytes_up as f64 / summary.scanned.as_secs_f64().max(1e-9);
    let ceiling = ceilings.copy_up();
    let (percent, ceiling) = (100.0 * rate / ceiling, DecimalBytes(ceiling as u64));
    format!("ceilings  {percent:.1} % of the {ceiling}/s that are copied to the device at best\n")
}
