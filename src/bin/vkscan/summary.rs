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
    /// How long the tables took to get onto the device.
    pub prepared: Duration,
    /// How long the scan took from first to last input, reading and printing included.
    pub scanned: Duration,
}

impl Summary {
    pub fn describe(&self, rules: &RulesFile, device: &DeviceInfo) -> String {
        let Summary { inputs, skipped_binary, failed, matches, stats, .. } = self;
        let path = terminal::path(rules.path());
        let bytes_per_second = stats.bytes_up as f64 / self.scanned.as_secs_f64().max(1e-9);
        let mut text = format!(
            "device    {}, {}\n\
             rules     {} of {path}, compiled in {:.3?}\n\
             session   {} a window, prepared in {:.3?}\n\
             inputs    {inputs} scanned, {skipped_binary} skipped as binary, {failed} failed\n\
             matches   {matches}\n\
             moved     {} up, {} down, {} submissions\n\
             time      {:.3?}, {}/s; enqueue {:.3?}, wait {:.3?}\n",
            device.name,
            device.kind,
            rules.len(),
            self.compiled,
            HumanBytes(self.window_bytes as u64),
            self.prepared,
            HumanBytes(stats.bytes_up),
            HumanBytes(stats.bytes_down),
            stats.submissions,
            self.scanned,
            DecimalBytes(bytes_per_second as u64),
            stats.enqueue,
            stats.wait,
        );
        if let Some(times) = stats.device {
            text += &stages(times, stats.bytes_up, device);
        }
        text
    }
}

/// Each stage's time, its share of the device's, and how fast `bytes` went through it; beside what the device can do at best,
/// where that is known. Scans in flight at a time count each for itself.
fn stages(times: StageTimes, bytes: u64, device: &DeviceInfo) -> String {
    let StageTimes { upload, prefilter, confirm, verify_dfa, verify_nfa, select, .. } = times;
    let ceilings = Kept::of(device);
    let [of_copies, of_reads] =
        [Kept::copy_up, Kept::device_read].map(|of| ceilings.as_ref().map(of));
    let total = times.total().as_secs_f64().max(1e-9);
    let mut text = String::from("on device");
    for (name, time, ceiling) in [
        ("upload", upload, of_copies),
        ("prefilter", prefilter, of_reads),
        ("confirm", confirm, None),
        ("verify DFA", verify_dfa, None),
        ("verify NFA", verify_nfa, None),
        ("select", select, None),
        ("together", times.total(), None),
    ] {
        let seconds = time.as_secs_f64();
        let rate = bytes as f64 / seconds.max(1e-9);
        let of_ceiling = ceiling.map_or(String::new(), |ceiling| {
            format!(", {:.0} % of what the device can do", 100.0 * rate / ceiling)
        });
        text += &format!(
            " {name:<10} {:>9} {:3.0} %, {}/s{of_ceiling}\n         ",
            format!("{time:.3?}"),
            100.0 * seconds / total,
            DecimalBytes(rate as u64)
        );
    }
    text.truncate(text.trim_end().len());
    text + match ceilings {
        Some(_) => "\n",
        None => {
            "\n          `vkscan ceilings` measures what the device can do, to compare these with\n"
        }
    }
}
