//! Rules and haystacks of the kinds that sets of rules lack, or have few of.

use std::fmt::Write as _;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use vkscan::{MatchKind, PipelineOptions, UnicodePolicy};

use super::source::Source;
use pieces::{LEAVES, LOOKS, ODD_BYTES, ODD_TEXTS, RARE};

#[path = "../../tests/common/pieces.rs"]
mod pieces;

/// Options that change what patterns mean, or how they are looked for.
pub fn options(source: &mut Source, match_kind: MatchKind) -> PipelineOptions {
    let unicode = source.one_of(&[
        UnicodePolicy::WhenNeeded,
        UnicodePolicy::WhenNeeded,
        UnicodePolicy::Always,
    ]);
    // The usual, none at all, a few states.
    let dfa_budget = match source.within(0..=7) {
        0..5 => 32 << 10,
        5 => 0,
        _ => source.within(64..=4096),
    };
    let mut flag = || source.once_in(6);
    PipelineOptions::default()
        .match_kind(match_kind)
        .unicode(unicode)
        .dfa_budget(dfa_budget)
        .case_insensitive(flag())
        .multi_line(flag())
        .dot_matches_new_line(flag())
        .swap_greed(flag())
}

/// A pattern that mostly parses.
pub fn pattern(source: &mut Source) -> String {
    match source.within(0..=9) {
        0 | 1 => expression(source, 4),
        2 => rare_bytes(source),
        3 => nibbles(source),
        4 => short_literal(source),
        5 => many_alternatives(source),
        6 => class_window(source),
        7 => looks_beside_repeats(source),
        8 => counts_in_counts(source),
        _ => list(source, 1..=3, |source| expression(source, 2)).join("|"),
    }
}

fn list(
    source: &mut Source,
    len: std::ops::RangeInclusive<usize>,
    item: impl FnMut(&mut Source) -> String,
) -> Vec<String> {
    source.list(len, item)
}

/// A byte as the inside or outside of a class has it.
fn byte(byte: usize) -> String {
    format!("\\x{byte:02x}")
}

fn leaf(source: &mut Source) -> String {
    // Letters that haystacks have none of, but where a pattern is what they are made of.
    let leaves = if source.once_in(12) { &["x", "y", "zq"] } else { LEAVES };
    source.one_of(leaves).to_owned()
}

fn look(source: &mut Source) -> &'static str {
    source.one_of(LOOKS)
}

fn repeat(source: &mut Source, most: usize) -> String {
    let least = source.within(0..=most);
    let mut repeat = match source.within(0..=6) {
        0 => "*".to_owned(),
        1 => "+".to_owned(),
        2 => "?".to_owned(),
        3 => format!("{{{least}}}"),
        4 => format!("{{{least},}}"),
        _ => format!("{{{least},{}}}", least + source.within(0..=most)),
    };
    if source.once_in(3) {
        repeat.push('?');
    }
    repeat
}

/// Anything in anything.
fn expression(source: &mut Source, depth: usize) -> String {
    if depth == 0 || source.is_empty() {
        return leaf(source);
    }
    let part = |source: &mut Source| expression(source, depth - 1);
    match source.within(0..=9) {
        0 | 1 => leaf(source),
        2 => look(source).to_owned(),
        3..6 => list(source, 2..=4, part).concat(),
        6 => format!("(?:{})", list(source, 2..=4, part).join("|")),
        7 => format!("(?i:{})", part(source)),
        _ => format!("(?:{}){}", part(source), repeat(source, 4)),
    }
}

/// Few bytes of which typical text has few, with runs around them.
fn rare_bytes(source: &mut Source) -> String {
    let run = |source: &mut Source| format!("(?:{}){}", leaf(source), repeat(source, 40));
    let prefix = list(source, 0..=2, run).concat();
    let suffix = list(source, 0..=2, run).concat();
    let rare = source.one_of(RARE);
    let ends = [source.once_in(4), source.once_in(4)].map(|is| if is { look(source) } else { "" });
    format!("{}{prefix}{rare}{suffix}{}", ends[0], ends[1])
}

/// A string of bytes of which some have a nibble that may be anything, as in YARA's hexadecimal strings.
fn nibbles(source: &mut Source) -> String {
    let jump = |source: &mut Source| {
        let least = source.within(0..=9);
        format!("(?s:.{{{least},{}}})", least + source.within(0..=20))
    };
    let byte_of = |source: &mut Source| {
        let nibble = source.within(0..=15);
        match source.within(0..=7) {
            0..3 => byte(source.within(0..=255)),
            3 | 4 => format!("[{}-{}]", byte(16 * nibble), byte(16 * nibble + 15)),
            5 | 6 => {
                let bytes: String = (0..16).map(|high| byte(16 * high + nibble)).collect();
                format!("[{bytes}]")
            }
            _ => jump(source),
        }
    };
    format!("(?-u:{})", list(source, 2..=16, byte_of).concat())
}

/// One byte to three.
fn short_literal(source: &mut Source) -> String {
    let literal = list(source, 1..=3, |source| {
        source.one_of(&["a", "b", "e", " ", "0", "q", r"\x00", r"\xff", r"\n", "Z"]).to_owned()
    });
    let literal = literal.concat();
    let suffix = match source.within(0..=3) {
        0 => leaf(source),
        1 => format!("(?:{}){}", leaf(source), repeat(source, 30)),
        _ => String::new(),
    };
    format!("(?-u:{literal}){suffix}")
}

fn many_alternatives(source: &mut Source) -> String {
    let count = source.within(2..=400);
    let letters = source.one_of(&["ab", "abcdefgh", "\x01\x02qz01", "etaoin shrdlu"]).as_bytes();
    let longest = source.within(1..=9);
    // A word each of its number, so that few bytes choose many.
    let mut state = source.within(0..=0xFFFF) as u64;
    let words = (0..count).map(|_| {
        let len = 1 + next(&mut state) as usize % longest;
        let letter = |_| letters[next(&mut state) as usize % letters.len()];
        (0..len).map(letter).fold(String::new(), |word, letter| word + &byte(letter.into()))
    });
    let words: Vec<String> = words.collect();
    let prefix = source.one_of(&["", "", "[a-z]", r"\b", ".{0,5}?", r"\s*"]);
    let suffix = source.one_of(&["", "", "x", r"\d+", "[^a]{3,9}", r"\b"]);
    format!("{prefix}(?:{}){suffix}", words.join("|"))
}

/// Steele, Lea and Flood's SplitMix, 2014.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// Classes in a row, which together tell many bytes apart.
fn class_window(source: &mut Source) -> String {
    let class = |source: &mut Source| {
        let mut class = String::from(if source.once_in(8) { "[^" } else { "[" });
        let mut state = source.within(0..=0xFFFF) as u64;
        match source.within(0..=2) {
            // Some bit of a byte's number.
            0 => {
                let bit = source.within(0..=7);
                (0..256).filter(|at| at >> bit & 1 == 1).for_each(|at| class += &byte(at));
            }
            // Ranges.
            1 => {
                for _ in 0..source.within(1..=12) {
                    let first = next(&mut state) as usize % 256;
                    let last = (first + next(&mut state) as usize % 40).min(255);
                    write!(class, "{}-{}", byte(first), byte(last)).expect("strings have room");
                }
            }
            // Bytes here and there.
            _ => {
                for _ in 0..source.within(1..=60) {
                    class += &byte(next(&mut state) as usize % 256);
                }
            }
        }
        class.push(']');
        if source.once_in(5) {
            class += &repeat(source, 3);
        }
        class
    };
    format!("(?-u:{})", list(source, 4..=12, class).concat())
}

fn looks_beside_repeats(source: &mut Source) -> String {
    let run = |source: &mut Source| {
        let class =
            source.one_of(&[r"\w", r"[^\n]", "(?s:.)", "[aé]", r"(?u:\w)", "[a-z ]", "(?-u:.)"]);
        format!("{}{class}{}{}", look(source), repeat(source, 60), look(source))
    };
    let literal = source.one_of(&["", "a", "zebra", "é", "key7"]);
    format!("{}{literal}{}", run(source), run(source))
}

fn counts_in_counts(source: &mut Source) -> String {
    let inner = leaf(source);
    let sub = format!("(?:{inner}{}{}){}", repeat(source, 12), leaf(source), repeat(source, 8));
    let end = source.one_of(&["", "x", "zq7k", r"\b"]);
    format!("(?:{sub}{}){}{end}", leaf(source), repeat(source, 4))
}

/// A haystack in which patterns match, now and then, one beside another and one in another.
pub fn haystack(source: &mut Source, patterns: &[String], longest: usize) -> Vec<u8> {
    let hirs: Vec<Hir> = patterns.iter().filter_map(|pattern| parse(pattern)).collect();
    let mut haystack = Vec::new();
    let pieces = source.within(0..=24);
    for _ in 0..pieces {
        let mut piece = Vec::new();
        match source.within(0..=9) {
            0..6 if !hirs.is_empty() => {
                let hir = &hirs[source.within(0..=hirs.len() - 1)];
                sample(source, hir, &mut piece);
                match source.within(0..=5) {
                    0 => piece.truncate(source.within(0..=piece.len())),
                    1 if !piece.is_empty() => {
                        let at = source.within(0..=piece.len() - 1);
                        piece[at] = source.byte();
                    }
                    2 => piece = piece.repeat(source.within(1..=5)),
                    _ => {}
                }
            }
            6 => piece.extend_from_slice(source.one_of(ODD_TEXTS).as_bytes()),
            7 => piece.extend_from_slice(source.one_of(ODD_BYTES)),
            8 => piece = source.list(1..=8, Source::byte),
            _ => {
                let filler = source.one_of(b"ab qx\n");
                let most = if source.once_in(12) { 2000 } else { 40 };
                piece = vec![filler; source.within(1..=most)];
            }
        }
        let at = if source.once_in(4) { source.within(0..=haystack.len()) } else { haystack.len() };
        haystack.splice(at..at, piece);
    }
    haystack.truncate(longest);
    haystack
}

fn parse(pattern: &str) -> Option<Hir> {
    let parse = |unicode| {
        let mut parser = ParserBuilder::new();
        parser.utf8(false).unicode(unicode).build().parse(pattern).ok()
    };
    parse(false).or_else(|| parse(true))
}

/// Appends something that matches, if all look-arounds hold.
fn sample(source: &mut Source, hir: &Hir, to: &mut Vec<u8>) {
    const LONGEST: usize = 3000;

    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => to.extend_from_slice(&literal.0),
        HirKind::Class(Class::Bytes(class)) if !class.ranges().is_empty() => {
            let range = class.ranges()[source.within(0..=class.ranges().len() - 1)];
            to.push(source.within(range.start().into()..=range.end().into()) as u8);
        }
        HirKind::Class(Class::Unicode(class)) if !class.ranges().is_empty() => {
            let range = class.ranges()[source.within(0..=class.ranges().len() - 1)];
            let code = source.within(range.start() as usize..=range.end() as usize);
            let character = char::from_u32(code as u32).unwrap_or(range.start());
            to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        HirKind::Class(_) => {}
        HirKind::Capture(capture) => sample(source, &capture.sub, to),
        HirKind::Concat(subs) => subs.iter().for_each(|sub| sample(source, sub, to)),
        HirKind::Alternation(subs) => {
            let sub = &subs[source.within(0..=subs.len() - 1)];
            sample(source, sub, to);
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.map_or(usize::MAX, |max| (max - repetition.min) as usize);
            let many = if source.once_in(8) { 60 } else { 3 };
            let more = source.within(0..=most.min(many));
            for _ in 0..repetition.min as usize + more {
                if to.len() > LONGEST {
                    break;
                }
                sample(source, &repetition.sub, to);
            }
        }
    }
}
