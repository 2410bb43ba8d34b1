//! What typical text is made of.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::nfa::{ByteSet, contains};
use crate::shaders::layout;

/// How often a byte comes in the text that scanners mostly see (source code, configuration, logs), with
/// a floor for all others. It decides what is built and looked for first, so its error costs speed alone.
pub(super) fn byte_probability(byte: u8) -> f64 {
    const FLOOR: f64 = 0.1 / 256.0;
    FLOOR
        + match byte {
            b' ' => 0.108,
            b'e' | b't' | b's' | b'r' | b'i' | b'n' | b'a' | b'o' => 0.0348,
            b'a'..=b'z' => 0.0128,
            b'_' | b'\n' | b'0' | b'1' | b'\t' => 0.0139,
            b'2'..=b'9' => 0.0047,
            b'!'..=b'~' => 0.0031,
            _ => 0.0,
        }
}

/// A set of bytes, with what typical text has of it.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) set: ByteSet,
    /// The symbols of the set's bytes in either case, each with the share of it that these hold.
    symbols: Vec<(usize, f64)>,
    /// How often a byte is in the set.
    pub(super) probability: f64,
    /// The set's bytes, letters in lower case.
    pub(super) folded: Vec<u8>,
}

impl Letter {
    pub(super) fn new(set: ByteSet) -> Letter {
        let bytes = || (0..=255).filter(|&byte| contains(&set, byte));
        let folded: BTreeSet<u8> = bytes().map(|byte| byte.to_ascii_lowercase()).collect();
        let mut shares = [0.0; SYMBOLS];
        for byte in (0..=255_u8).filter(|byte| folded.contains(&byte.to_ascii_lowercase())) {
            shares[symbol(byte)] += MODEL.shares[usize::from(byte)];
        }
        let symbols = shares.into_iter().enumerate().filter(|(_, share)| *share > 0.0).collect();
        Letter {
            set,
            symbols,
            probability: bytes().map(byte_probability).sum(),
            folded: folded.into_iter().collect(),
        }
    }
}

/// How often typical text has three or four bytes in a row, the first in the first set and so on.
///
/// Grams are looked up among those that are frequent, one by one if they are few. Else, and for those that
/// are not, by a trigram model: letters follow letters as they do in words, so that `call` is far more
/// frequent than `lcla`. Sets of many different symbols are taken as independent of each other.
pub(super) fn window_probability(window: &[&Letter]) -> f64 {
    /// Strings of symbols, and of folded bytes, that are summed up one by one.
    const MOST_STRINGS: usize = 1 << 10;
    const MOST_GRAMS: usize = 1 << 8;
    /// Bytes that begin four of a kind, about as many as in C source and far fewer than in binaries.
    const OF_RUNS: f64 = 0.02;

    // Rulers, padding and zeroes: no model of words sees how often a byte repeats itself.
    let of_one_byte =
        |letter: &Letter| letter.set.iter().map(|word| word.count_ones()).sum::<u32>() == 1;
    if of_one_byte(window[0]) && window.windows(2).all(|pair| pair[0].set == pair[1].set) {
        return OF_RUNS;
    }
    let [first, second, third, rest @ ..] = window else { return 1.0 };
    if window.iter().map(|letter| letter.symbols.len()).product::<usize>() > MOST_STRINGS {
        return window.iter().map(|letter| letter.probability).product();
    }
    let modelled = modelled_probability(first, second, third, rest);
    let [fourth] = rest else { return modelled };
    let letters = [first, second, third, fourth];
    if letters.iter().map(|letter| letter.folded.len()).product::<usize>() > MOST_GRAMS {
        return modelled;
    }
    let mut counted = 0.0;
    for &a in &first.folded {
        for &b in &second.folded {
            for &c in &third.folded {
                let gram = |&d: &u8| frequency_of(u32::from_le_bytes([a, b, c, d]));
                counted += fourth.folded.iter().map(gram).sum::<f64>();
            }
        }
    }
    // What is not among the frequent ones may still be all that the model expects, up to their threshold.
    let unseen =
        LEAST_COUNTED * letters.iter().map(|letter| letter.folded.len()).product::<usize>() as f64;
    counted + modelled.min(unseen)
}

/// How often typical text has a folded gram, if that is often.
fn frequency_of(gram: u32) -> f64 {
    // Counted over 16 MiB of Linux source and 4 MiB of logs, by the high half of the gram's hash; each byte
    // is -8 log2 of a frequency, or 0.
    let packed = include_bytes!("grams.bin");
    match packed[(gram.wrapping_mul(layout::GRAM_HASH) >> 16) as usize] {
        0 => 0.0,
        value => (-f64::from(value) / 8.0).exp2(),
    }
}

/// The least frequency of grams that were counted.
const LEAST_COUNTED: f64 = 4e-6;

fn modelled_probability(first: &Letter, second: &Letter, third: &Letter, rest: &[&Letter]) -> f64 {
    let model = &*MODEL;
    let mut sum = 0.0;
    for &(a, of_a) in &first.symbols {
        for &(b, of_b) in &second.symbols {
            for &(c, of_c) in &third.symbols {
                let start = model.trigrams[a][b][c] * of_a * of_b * of_c;
                sum += match rest {
                    [] => start,
                    [fourth, ..] => {
                        let next = |&(d, of_d): &(usize, f64)| model.trigrams[b][c][d] * of_d;
                        start * fourth.symbols.iter().map(next).sum::<f64>() / model.bigrams[b][c]
                    }
                };
            }
        }
    }
    sum
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

#[cfg(test)]
mod tests {
    use super::*;

    fn probability(text: &str) -> f64 {
        let letter = |byte: u8| {
            let mut set = [0; 8];
            set[usize::from(byte >> 5)] |= 1 << (byte & 31);
            Letter::new(set)
        };
        let letters: Vec<Letter> = text.bytes().map(letter).collect();
        window_probability(&letters.iter().collect::<Vec<_>>())
    }

    #[test]
    fn some_byte_is_certain() {
        let total: f64 = (0..=255).map(byte_probability).sum();
        assert!((total - 1.0).abs() < 0.01, "{total}");
    }

    #[test]
    fn words_are_likelier_than_their_letters() {
        assert!(probability("call") > 20.0 * probability("lcla"));
        assert!(probability("tion") > 20.0 * probability("nqti"));
        assert!(probability("zqxj") < 1e-5);
        let total: f64 = MODEL.trigrams.iter().flatten().flatten().sum();
        assert!((total - 1.0).abs() < 0.05, "{total}");
    }
}
