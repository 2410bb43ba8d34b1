//! What `--stats` tells.

use std::time::Duration;

use indicatif::{DecimalBytes, HumanBytes};
use vkscan::{DeviceInfo, ScanStats, StageTimes};

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
            let StageTimes { upload, prefilter, confirm, verify_dfa, verify_nfa, select, .. } =
                times;
            text += &format!(
                "on device upload {upload:.3?}, prefilter {prefilter:.3?}, confirm {confirm:.3?}, \
                 verify DFA {verify_dfa:.3?}, verify NFA {verify_nfa:.3?}, select {select:.3?}\n"
            );
        }
        text
    }
}
