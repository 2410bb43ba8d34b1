//! Numbers for people.

/// Three digits.
pub fn significant(value: f64) -> String {
    let decimals = if value > 0.0 { (2.0 - value.log10().floor()).clamp(0.0, 6.0) } else { 0.0 };
    format!("{value:.0$}", decimals as usize)
}

/// Seconds, in whatever unit has few digits.
pub fn time(seconds: f64) -> String {
    match seconds {
        ..1e-3 => significant(1e6 * seconds) + " µs",
        ..1.0 => significant(1e3 * seconds) + " ms",
        _ => significant(seconds) + " s",
    }
}

/// Bytes as people say them.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..0x400 => format!("{bytes} bytes"),
        0x400..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
