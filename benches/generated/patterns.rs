//! Patterns of all kinds of parts in all kinds of repeats, and haystacks made of what they are made of.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// The same numbers for the same seed (G. Marsaglia, "Xorshift RNGs", 2003).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The low bits are the weaker ones.
        (self.0 >> 33) as usize % limit
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const PARTS: &[&str] = &[
    "secret",
    "fox",
    "client",
    "token",
    "key",
    "password",
    "aws",
    "id",
    "a",
    "b",
    "=",
    "_",
    "-",
    "://",
    "(?i:foo)",
    "[ab]",
    "[a-z]",
    "[a-z0-9]",
    "[0-9a-f]",
    "[A-Za-z0-9+/]",
    "[ =:'\"]",
    "[ -~]",
    r"[^'\x22]",
    r"[^\n]",
    r"[^\.]",
    r"[\x00-\xff]",
    r"\w",
    r"\S",
    r"\s",
    r"\d",
    ".",
    "(?s:.)",
    r"(?u:\w)",
    r"\p{Greek}",
];

const LOOKS: &[&str] = &[r"\b", r"(?u:\b)", r"\B", "^", "$", "(?m:^)", "(?m:$)"];

/// Characters of a pattern at most.
const LONGEST: usize = 200;

/// A pattern; not all of them parse.
pub fn pattern(numbers: &mut Numbers) -> String {
    loop {
        let mut pattern = numbers.one_of(&["", "", "", "(?i)", "(?s)", "(?is)"]).to_owned();
        for _ in 0..1 + numbers.below(4) {
            pattern += &expression(numbers, 3);
        }
        if pattern.len() <= LONGEST {
            return pattern;
        }
    }
}

fn expression(numbers: &mut Numbers, depth: usize) -> String {
    let several = |numbers: &mut Numbers, most: usize| -> Vec<String> {
        (0..2 + numbers.below(most)).map(|_| expression(numbers, depth - 1)).collect()
    };
    match numbers.below(if depth == 0 { 12 } else { 40 }) {
        0 => numbers.one_of(LOOKS).to_owned(),
        1..12 => numbers.one_of(PARTS).to_owned(),
        12..24 => several(numbers, 3).concat(),
        24..32 => format!("(?:{})", several(numbers, 2).join("|")),
        _ => format!("(?:{}){}", expression(numbers, depth - 1), repeat(numbers)),
    }
}

fn repeat(numbers: &mut Numbers) -> String {
    let most = numbers.one_of(&[4, 10, 20, 50, 250]);
    let least = numbers.below(most);
    let repeat = match numbers.below(8) {
        0 | 1 => "*".to_owned(),
        2 | 3 => "+".to_owned(),
        4 => "?".to_owned(),
        5 => format!("{{{least}}}"),
        6 => format!("{{{least},}}"),
        _ => format!("{{{least},{}}}", least + numbers.below(most)),
    };
    repeat + numbers.one_of(&["", "", "", "?"])
}

/// So many bytes of the words and characters that a pattern asks for, in any order; none if it asks for none.
pub fn haystack(pattern: &str, bytes: usize, numbers: &mut Numbers) -> Option<Vec<u8>> {
    let parse =
        |unicode| ParserBuilder::new().utf8(false).unicode(unicode).build().parse(pattern).ok();
    let hir = parse(false).or_else(|| parse(true))?;
    let mut words = Vec::new();
    collect_words(&hir, &mut words, numbers);
    let spaces = numbers.one_of(&[0, 1, 10]);
    let mut haystack = Vec::new();
    while haystack.len() < bytes && !words.is_empty() {
        haystack.extend_from_slice(&words[numbers.below(words.len())]);
        if numbers.below(10) < spaces {
            haystack.push(b' ');
        }
    }
    haystack.truncate(bytes);
    (haystack.len() == bytes).then_some(haystack)
}

fn collect_words(hir: &Hir, words: &mut Vec<Vec<u8>>, numbers: &mut Numbers) {
    /// Ranges of a class that a character is taken of.
    const RANGES: usize = 4;

    match hir.kind() {
        HirKind::Literal(literal) => words.push(literal.0.to_vec()),
        HirKind::Class(Class::Bytes(class)) => {
            words.extend(class.ranges().iter().take(RANGES).map(|range| {
                let count = usize::from(range.end() - range.start()) + 1;
                vec![range.start() + numbers.below(count) as u8]
            }));
        }
        HirKind::Class(Class::Unicode(class)) => {
            let firsts = class.ranges().iter().take(RANGES).map(|range| range.start());
            words.extend(firsts.map(|first| first.to_string().into_bytes()));
        }
        HirKind::Repetition(repetition) => collect_words(&repetition.sub, words, numbers),
        HirKind::Capture(capture) => collect_words(&capture.sub, words, numbers),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => {
            subs.iter().for_each(|sub| collect_words(sub, words, numbers));
        }
        HirKind::Empty | HirKind::Look(_) => {}
    }
}
