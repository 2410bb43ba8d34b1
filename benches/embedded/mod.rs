//! What the benchmarks of an embedded scanner have in common: rules, a haystack, and how times are told.

use std::time::Duration;

pub const PATTERNS: [&str; 3] =
    [r"\bghp_[0-9A-Za-z]{36}\b", r"(?i)password\s*=\s*\S+", r"\b[0-9a-f]{32}\b"];

/// A line that has something in it, and lines that do not.
const LINE: &[u8] = b"password = hunter2\n";
const REST: &[u8] = b"static int probe(struct device *dev) { return 0; }\n";

pub const MAX_MATCHES: u32 = 1000;

/// So many bytes with matches here and there.
pub fn text(bytes: usize) -> Vec<u8> {
    let piece = [&REST.repeat(100)[..], LINE].concat();
    LINE.iter().chain(piece.iter().cycle()).copied().take(bytes).collect()
}

/// The time, in microseconds, that so many hundredths of them are within.
pub fn percentile(times: &[Duration], share: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() - 1) * share / 100].as_secs_f64() * 1e6
}

/// Median and 99th percentile.
pub fn shown(times: &[Duration]) -> String {
    format!("{:.1} / {:.1} us", percentile(times, 50), percentile(times, 99))
}
