//! What typical data is made of: text, and binaries. `data/README.md` says how the models of it were made.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::narrow::narrow;
use crate::rules::automata::position_nfa::{ByteSet, contains};
use crate::shaders::layout;

/// How often a byte comes in the text that scanners mostly see (source code, configuration, logs), with
/// a floor for all others. It decides what is built and looked for first, so its error costs speed alone.
pub(crate) fn byte_probability(byte: u8) -> f64 {
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

/// A set of bytes, with what each model has of it.
#[derive(Clone, Debug)]
pub(crate) struct ByteSetModel {
    pub(crate) set: ByteSet,
    /// The set's bytes, letters in lower case.
    pub(crate) folded: Vec<u8>,
    /// By model: the symbols of the set's bytes in either case, each with the share of it that these hold.
    symbols: [Vec<(usize, f64)>; 2],
    /// By model: how often a byte is in the set.
    probability: [f64; 2],
}

impl ByteSetModel {
    pub(crate) fn new(set: ByteSet) -> ByteSetModel {
        let folded: BTreeSet<u8> = bytes_of(&set).map(|byte| byte.to_ascii_lowercase()).collect();
        let either_case = || {
            let bytes = folded.iter().flat_map(|byte| [*byte, byte.to_ascii_uppercase()]);
            bytes.collect::<BTreeSet<u8>>()
        };
        ByteSetModel {
            set,
            symbols: models().map(|model| model.symbols_of(either_case())),
            probability: models().map(|model| model.probability_of(&set)),
            folded: folded.into_iter().collect(),
        }
    }

    /// How often a byte is in the set, in text or in binaries, whichever has more.
    pub(crate) fn most_probable(&self) -> f64 {
        self.probability[0].max(self.probability[1])
    }

    /// Its byte, if that is the only one.
    fn only_byte(&self) -> Option<u8> {
        let mut bytes = bytes_of(&self.set);
        bytes.next().filter(|_| bytes.next().is_none())
    }

    fn is_text(&self) -> bool {
        self.folded.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
    }
}

fn bytes_of(set: &ByteSet) -> impl Iterator<Item = u8> + '_ {
    (0..=255).filter(|&byte| contains(set, byte))
}

/// How often three or four bytes in a row, the first in the first set and so on, letters in either case,
/// come in text and in binaries: the sum of the two, so that what is rare is rare in both.
///
/// Grams are looked up among those that are frequent, one by one if they are few. Else, and for those that
/// are not, by a trigram model: letters follow letters as they do in words, so that `call` is far more
/// frequent than `lcla`. Sets of many different symbols are taken as independent of each other.
pub(crate) fn window_probability(window: &[&ByteSetModel]) -> f64 {
    /// Bytes that begin four of a kind, about as many as in C source: rulers and padding, of which no model
    /// of words knows.
    const OF_RUNS: f64 = 0.02;

    let [text, binaries] = models();
    // What text there is in binaries is like other text.
    let is_text = window.iter().all(|set| set.is_text());
    let in_binaries = if is_text { 0.0 } else { binaries.window_probability(window, 1) };
    let expected = text.window_probability(window, 0) + in_binaries;
    if is_run(window) { expected.max(OF_RUNS) } else { expected }
}

/// Whether the same byte in a row is all that most of the window may be.
fn is_run(window: &[&ByteSetModel]) -> bool {
    let only: Vec<u8> = window.iter().filter_map(|set| set.only_byte()).collect();
    let is_in_all = |byte: &u8| window.iter().all(|set| contains(&set.set, *byte));
    only.len() >= 3 && only.first().is_some_and(is_in_all)
}

/// As [`window_probability`], for sets that are taken as independent of each other but for runs of one byte.
pub(crate) fn class_window_probability<'a>(sets: impl Iterator<Item = &'a ByteSet> + Clone) -> f64 {
    let of = |model: &Model| {
        let independent = sets.clone().map(|set| model.probability_of(set)).product();
        model.with_runs(independent, sets.clone().all(|set| contains(set, model.run.0)))
    };
    models().map(of).into_iter().sum()
}

/// As [`class_window_probability`], for what is known of the sets already.
pub(crate) fn independent_probability<'a>(
    sets: impl Iterator<Item = &'a ByteSetModel> + Clone,
) -> f64 {
    let of = |(at, model): (usize, &Model)| {
        let independent = sets.clone().map(|set| set.probability[at]).product();
        let is_run = sets.clone().all(|set| contains(&set.set, model.run.0));
        model.with_runs(independent, is_run)
    };
    models().into_iter().enumerate().map(of).sum()
}

/// What one kind of data is made of: the symbols its bytes stand for, how often they follow each other, and
/// what is frequent.
pub(crate) struct Model {
    /// The symbol of every byte.
    symbol: [u8; 256],
    count: usize,
    /// How often three symbols, or two, come in a row: rows of `count`.
    trigrams: Vec<f64>,
    bigrams: Vec<f64>,
    /// How often a byte comes, and how often it is what its symbol stands for.
    bytes: [f64; 256],
    shares: [f64; 256],
    /// Frequencies of folded grams, by the high bits of their hashes; each is -8 log2 of one, or 0.
    grams: &'static [u8],
    /// The least frequency of grams that were counted.
    least_counted: f64,
    /// The byte that most often comes eight times in a row, and how often it does.
    pub(crate) run: (u8, f64),
}

impl Model {
    fn new(
        symbol: impl Fn(u8) -> u8,
        trigrams: &[u8],
        bytes: [f64; 256],
        (grams, least_counted): (&'static [u8], f64),
        run: (u8, f64),
    ) -> Model {
        let symbol = std::array::from_fn(|byte| symbol(narrow(byte)));
        let count = usize::from(*symbol.iter().max().expect("256 bytes")) + 1;
        let trigrams: Vec<f64> = trigrams.iter().map(|&packed| unpacked(packed)).collect();
        let bigrams = trigrams.chunks(count).map(|third| third.iter().sum()).collect();
        let mut of_symbol = vec![0.0; count];
        (0..256).for_each(|byte| of_symbol[usize::from(symbol[byte])] += bytes[byte]);
        let shares = std::array::from_fn(|byte| bytes[byte] / of_symbol[usize::from(symbol[byte])]);
        Model { symbol, count, trigrams, bigrams, bytes, shares, grams, least_counted, run }
    }

    fn symbols_of(&self, bytes: BTreeSet<u8>) -> Vec<(usize, f64)> {
        let mut shares = vec![0.0; self.count];
        for byte in bytes.into_iter().map(usize::from) {
            shares[usize::from(self.symbol[byte])] += self.shares[byte];
        }
        shares.into_iter().enumerate().filter(|(_, share)| *share > 0.0).collect()
    }

    /// How often a byte is in the set.
    pub(crate) fn probability_of(&self, set: &ByteSet) -> f64 {
        bytes_of(set).map(|byte| self.bytes[usize::from(byte)]).sum()
    }

    /// How often eight sets in a row are met which are so often if they are independent of each other, and which a run
    /// of the byte that comes in runs meets, or not.
    pub(crate) fn with_runs(&self, independent: f64, is_run: bool) -> f64 {
        if is_run { independent.max(self.run.1) } else { independent }
    }

    /// The model's own number says which view of the letters is its own.
    fn window_probability(&self, window: &[&ByteSetModel], own: usize) -> f64 {
        /// Strings of symbols, and of folded bytes, that are summed up one by one.
        const MOST_STRINGS: usize = 1 << 10;
        const MOST_GRAMS: usize = 1 << 8;

        let symbols: Vec<&[(usize, f64)]> = window.iter().map(|set| &*set.symbols[own]).collect();
        if symbols.len() < 3 {
            return 1.0;
        }
        if symbols.iter().map(|symbols| symbols.len()).product::<usize>() > MOST_STRINGS {
            return window.iter().map(|set| set.probability[own]).product();
        }
        let modelled = self.modelled(&symbols);
        let grams: usize = window.iter().map(|set| set.folded.len()).product();
        let [first, second, third, fourth] = window else { return modelled };
        if grams > MOST_GRAMS {
            return modelled;
        }
        let mut counted = 0.0;
        for &a in &first.folded {
            for &b in &second.folded {
                for &c in &third.folded {
                    let gram = |&d: &u8| self.frequency_of(u32::from_le_bytes([a, b, c, d]));
                    counted += fourth.folded.iter().map(gram).sum::<f64>();
                }
            }
        }
        // What is not among the frequent ones may still be all that the model expects, up to their threshold.
        counted + modelled.min(self.least_counted * grams as f64)
    }

    /// How often the data has a folded gram, if that is often.
    fn frequency_of(&self, gram: u32) -> f64 {
        let log2 = self.grams.len().trailing_zeros();
        match self.grams[(gram.wrapping_mul(layout::GRAM_HASH) >> (32 - log2)) as usize] {
            0 => 0.0,
            packed => unpacked(packed),
        }
    }

    fn modelled(&self, window: &[&[(usize, f64)]]) -> f64 {
        let [first, second, third, rest @ ..] = window else { return 1.0 };
        let trigram = |a, b, c| self.trigrams[(a * self.count + b) * self.count + c];
        let mut sum = 0.0;
        for &(a, of_a) in *first {
            for &(b, of_b) in *second {
                for &(c, of_c) in *third {
                    let start = trigram(a, b, c) * of_a * of_b * of_c;
                    let next = rest.first().map_or(1.0, |fourth| {
                        let next = |&(d, of_d): &(usize, f64)| trigram(b, c, d) * of_d;
                        fourth.iter().map(next).sum::<f64>() / self.bigrams[b * self.count + c]
                    });
                    sum += start * next;
                }
            }
        }
        sum
    }
}

fn unpacked(packed: u8) -> f64 {
    (-f64::from(packed) / 8.0).exp2()
}

/// Letters without case, digits, white space, `_`, other ASCII graphics, control characters, and the rest.
fn symbol_of_text(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => byte - b'a',
        b'A'..=b'Z' => byte - b'A',
        b'0'..=b'9' => 26,
        b' ' | b'\t' | b'\n' | b'\r' => 27,
        b'_' => 28,
        b'!'..=b'~' => 29,
        0..=0x7F => 30,
        _ => 31,
    }
}

/// Small numbers, parts of text, and bytes that machine code and tables have about alike.
fn symbol_of_binaries(byte: u8) -> u8 {
    match byte {
        0 => 0,
        1 => 1,
        2..=7 => 2,
        8..=0xF => 3,
        0x10..=0x1F => 4,
        b' ' => 5,
        b'0'..=b'9' => 7,
        b'A'..=b'Z' | b'a'..=b'z' => 9,
        b'!'..=b'/' => 6,
        b':'..=b'~' => 8,
        0x7F..=0x87 => 10,
        0x88..=0x8F => 11,
        0x90..=0xBF => 12,
        0xC0..=0xDF => 13,
        0xE0..=0xFE => 14,
        0xFF => 15,
    }
}

/// Text and binaries.
pub(crate) fn models() -> [&'static Model; 2] {
    /// Trigrams over 8 MiB of Linux source and 2 MiB of logs, grams over 16 MiB and 4 MiB.
    static TEXT: LazyLock<Model> = LazyLock::new(|| {
        let bytes = std::array::from_fn(|byte| byte_probability(narrow(byte)));
        let grams = (&include_bytes!("data/grams.bin")[..], 4e-6);
        Model::new(symbol_of_text, include_bytes!("data/trigrams.bin"), bytes, grams, (b' ', 0.02))
    });
    /// Bytes, trigrams and grams over 20 MiB of ELF files, 3 MiB of Python's byte code, 5 MiB of images,
    /// archives and catalogues, and 2 MiB of text in UTF-16.
    static BINARIES: LazyLock<Model> = LazyLock::new(|| {
        let (bytes, rest) = include_bytes!("data/binaries.bin").split_at(256);
        let (trigrams, grams) = rest.split_at(16 * 16 * 16);
        let bytes = std::array::from_fn(|byte| unpacked(bytes[byte]));
        Model::new(symbol_of_binaries, trigrams, bytes, (grams, 1e-5), (0, 0.07))
    });
    [&*TEXT, &*BINARIES]
}

/// The grams that text and binaries have most of, and how often they have them.
pub(crate) fn most_frequent_grams() -> impl Iterator<Item = (u32, f64)> {
    // 1,024 each, counted over 12 MiB of Linux source and 3 MiB of logs, and over 12 MiB of ELF files: a gram,
    // letters in lower case, and -8 log2 of its frequency.
    let packed = include_bytes!("data/frequent.bin").as_chunks::<5>().0;
    packed.iter().map(|&[a, b, c, d, frequency]| {
        (u32::from_le_bytes([a, b, c, d]), (-f64::from(frequency) / 8.0).exp2())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::automata::position_nfa::insert;

    fn set(bytes: &[u8]) -> ByteSet {
        let mut set = [0; 8];
        bytes.iter().for_each(|&byte| insert(&mut set, byte));
        set
    }

    fn probability(gram: &[u8]) -> f64 {
        let sets: Vec<ByteSetModel> =
            gram.iter().map(|byte| ByteSetModel::new(set(&[*byte]))).collect();
        window_probability(&sets.iter().collect::<Vec<_>>())
    }

    #[test]
    fn something_is_certain() {
        for model in models() {
            let trigrams = model.trigrams.iter().sum::<f64>();
            for total in [model.bytes.iter().sum(), trigrams] {
                assert!((total - 1.0_f64).abs() < 0.05, "{total}");
            }
        }
    }

    #[test]
    fn words_are_likelier_than_their_letters() {
        assert!(probability(b"call") > 20.0 * probability(b"lcla"));
        assert!(probability(b"tion") > 20.0 * probability(b"nqti"));
        assert!(probability(b"zqxj") < 1e-5);
    }

    #[test]
    fn numbers_and_instructions_are_likely() {
        assert!(probability(b"\0\0\0\0") > 0.05);
        assert!(probability(b"\0\0\x01\0") > 1e-4);
        // mov rax, [rsp + ..] and its like.
        assert!(probability(b"\x48\x8B\x44\x24") > 1e-4);
        assert!(probability(b"\xA7\x13\xFB\xE9") < 1e-5);
        let zeroes = [set(&[0, 1]); 8];
        assert!(class_window_probability(zeroes.iter()) > 0.05);
        assert!(class_window_probability([set(b"q"); 8].iter()) < 1e-12);
    }
}
