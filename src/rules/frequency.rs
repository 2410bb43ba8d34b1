//! What typical text is made of.

use std::sync::LazyLock;

use super::nfa::{ByteSet, contains};

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

/// How often typical text has four bytes in a row, the first in the first set and so on.
///
/// By a trigram model: letters follow letters as they do in words, so that `call` is far more frequent
/// than `lcla`. Sets of many different symbols are taken as independent of each other.
pub(super) fn window_probability(window: &[ByteSet]) -> f64 {
    /// Strings of symbols that are summed up one by one.
    const MOST_STRINGS: usize = 1 << 10;
    /// Bytes that begin four of a kind, about as many as in C source and far fewer than in binaries.
    const OF_RUNS: f64 = 0.02;

    // Rulers, padding and zeroes: no model of words sees how often a byte repeats itself.
    if window.windows(2).all(|pair| pair[0] == pair[1]) && count(&window[0]) == 1 {
        return OF_RUNS;
    }
    let model = &*MODEL;
    let places: Vec<Vec<(usize, f64)>> = window.iter().map(|set| model.symbols_of(set)).collect();
    let strings = places.iter().map(Vec::len).product::<usize>();
    let [first, second, third, rest @ ..] = &places[..] else { return 1.0 };
    if strings > MOST_STRINGS {
        let bytes = |set: &ByteSet| {
            (0..=255).filter(|&byte| contains(set, byte)).map(byte_probability).sum::<f64>()
        };
        return window.iter().map(bytes).product();
    }
    let mut sum = 0.0;
    for &(a, of_a) in first {
        for &(b, of_b) in second {
            for &(c, of_c) in third {
                let start = model.trigrams[a][b][c] * of_a * of_b * of_c;
                sum += match rest {
                    [] => start,
                    [fourth, ..] => {
                        let next = |&(d, of_d): &(usize, f64)| model.trigrams[b][c][d] * of_d;
                        start * fourth.iter().map(next).sum::<f64>() / model.bigrams[b][c]
                    }
                };
            }
        }
    }
    sum
}

fn count(set: &ByteSet) -> u32 {
    set.iter().map(|word| word.count_ones()).sum()
}

/// Letters without case, digits, white space, `_`, other ASCII graphics, control characters, and the rest.
const SYMBOLS: usize = 32;

fn symbol(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => usize::from(byte - b'a'),
        b'A'..=b'Z' => usize::from(byte - b'A'),
        b'0'..=b'9' => 26,
        b' ' | b'\t' | b'\n' | b'\r' => 27,
        b'_' => 28,
        b'!'..=b'~' => 29,
        0..=0x7F => 30,
        _ => 31,
    }
}

struct Model {
    trigrams: Box<[[[f64; SYMBOLS]; SYMBOLS]; SYMBOLS]>,
    bigrams: [[f64; SYMBOLS]; SYMBOLS],
    /// How often a byte is what its symbol stands for.
    shares: [f64; 256],
}

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    // Counted over 8 MiB of Linux source and 2 MiB of logs; each byte is -8 log2 of a probability.
    let packed = include_bytes!("trigrams.bin");
    let mut trigrams = Box::new([[[0.0; SYMBOLS]; SYMBOLS]; SYMBOLS]);
    for (to, from) in trigrams.as_flattened_mut().as_flattened_mut().iter_mut().zip(packed) {
        *to = (-f64::from(*from) / 8.0).exp2();
    }
    let bigrams = trigrams.map(|second| second.map(|third| third.iter().sum()));
    let mut of_symbol = [0.0; SYMBOLS];
    (0..=255).for_each(|byte| of_symbol[symbol(byte)] += byte_probability(byte));
    let shares =
        std::array::from_fn(|byte| byte_probability(byte as u8) / of_symbol[symbol(byte as u8)]);
    Model { trigrams, bigrams, shares }
});

impl Model {
    /// The symbols in a set, each with the share of it that the set holds.
    fn symbols_of(&self, set: &ByteSet) -> Vec<(usize, f64)> {
        let mut shares = [0.0; SYMBOLS];
        for byte in (0..=255).filter(|&byte| contains(set, byte)) {
            shares[symbol(byte)] += self.shares[usize::from(byte)];
        }
        shares.into_iter().enumerate().filter(|(_, share)| *share > 0.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probability(text: &str) -> f64 {
        let set = |byte: u8| {
            let mut set = [0; 8];
            set[usize::from(byte >> 5)] |= 1 << (byte & 31);
            set
        };
        window_probability(&text.bytes().map(set).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_likelier_than_their_letters() {
        assert!(probability("call") > 20.0 * probability("lcla"));
        assert!(probability("tion") > 20.0 * probability("nqti"));
        assert!(probability("zqxj") < 1e-7);
        let total: f64 = MODEL.trigrams.iter().flatten().flatten().sum();
        assert!((total - 1.0).abs() < 0.05, "{total}");
    }
}
