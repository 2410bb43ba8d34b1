//! What typical text is made of.

/// How often a byte comes in the text that scanners mostly see (source code, configuration, logs), with
/// a floor for all others. It
/// decides what is built and looked for first, so its error costs speed alone.
pub(super) fn byte_probability(byte: u8) -> f64 {
    const FLOOR: f64 = 0.1 / 256.0;
    FLOOR
        + 0.9
            * match byte {
                b' ' => 0.14,
                b'e' | b't' | b's' | b'r' | b'i' | b'n' | b'a' | b'o' => 0.045,
                b'a'..=b'z' => 0.0165,
                b'_' | b'\n' | b'0' | b'1' | b'\t' => 0.018,
                b'2'..=b'9' => 0.006,
                b'A'..=b'Z' => 0.004,
                b'!'..=b'~' => 0.004,
                _ => 0.0,
            }
}
