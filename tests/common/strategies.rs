//! Strategies for patterns, and for haystacks that are full of what these look for.

use proptest::collection::vec;
use proptest::prelude::*;

use pieces::{LEAVES, LOOKS, ODD_BYTES, ODD_TEXTS, RARE};

#[path = "pieces.rs"]
mod pieces;

/// Text that such patterns are likely to match: few letters, the characters that looks ask about, and
/// broken UTF-8.
pub fn haystack() -> impl Strategy<Value = Vec<u8>> {
    let letters = ["a", "a", "b", "b", "ab", "c", "A", "K", "0", "_", " ", "\n", "\r"];
    let texts = letters.iter().chain(ODD_TEXTS).map(|text| text.as_bytes());
    let piece = prop::sample::select(texts.chain(ODD_BYTES.iter().copied()).collect::<Vec<_>>());
    let pieces = |most: usize| vec(piece.clone(), 0..=most).prop_map(|pieces| pieces.concat());
    // A period repeated gives long walks.
    let repeated = (pieces(4), 1_usize..60).prop_map(|(piece, count)| piece.repeat(count));
    prop_oneof![3 => pieces(24), 1 => (repeated, pieces(3)).prop_map(|(a, b)| [a, b].concat())]
}

pub fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![2 => prop::sample::select(LEAVES), 1 => prop::sample::select(LOOKS)]
        .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 4, |inner| {
        let suffix = prop_oneof![
            prop::sample::select(vec!["*", "+", "?", "*?", "+?", "??"]).prop_map(str::to_owned),
            (0_u32..4, 0_u32..4, any::<bool>()).prop_map(|(least, more, lazy)| {
                format!("{{{least},{}}}{}", least + more, if lazy { "?" } else { "" })
            }),
            (1_u32..4).prop_map(|least| format!("{{{least},}}")),
        ];
        prop_oneof![
            3 => vec(inner.clone(), 2..5).prop_map(|parts| parts.concat()),
            2 => vec(inner.clone(), 2..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            3 => (inner.clone(), suffix).prop_map(|(inner, suffix)| format!("(?:{inner}){suffix}")),
            1 => inner.prop_map(|inner| format!("(?i:{inner})")),
        ]
    })
}

/// Rare bytes between a prefix and a suffix.
pub fn cut_pattern() -> impl Strategy<Value = String> {
    let one_of = |choices: &[&'static str]| prop::sample::select(choices.to_vec());
    let part = one_of(&[
        "x",
        "[a-z]",
        "[a-x]",
        "[^ y]",
        "(?:ab|b)",
        "(?:[a-d]|x y)",
        r"\w",
        "(?s:.)",
        "[ab]",
        "y",
    ]);
    let repeat = one_of(&[
        "", "*", "*?", "+", "+?", "?", "{0,5}", "{0,9}?", "{2,}", "{1,40}?", "{3}", "{0,60}?",
    ]);
    let part = (part, repeat).prop_map(|(part, repeat)| part.to_owned() + repeat);
    let parts = move |most| vec(part.clone(), 0..most).prop_map(|parts| parts.concat());
    let rare = one_of(RARE);
    let look = one_of(&[r"\b", r"\B", "(?m:$)", "^", ""]);
    let one = (parts.clone()(4), rare, parts(3), look)
        .prop_map(|(prefix, rare, suffix, look)| format!("{prefix}{rare}{suffix}{look}"));
    vec(one, 1..3).prop_map(|alternatives| alternatives.join("|"))
}

pub fn crowded_haystack() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        20 => prop::sample::select(vec!["x", "y", "a", "b", "ab", "cd", "d", " ", "\n", "q", "ABCD"])
            .prop_map(str::to_owned),
        12 => prop::sample::select(vec!["abcd", "bcda", "key7", "zqxj", "xabcd", "abcdabcd"])
            .prop_map(str::to_owned),
        1 => (40_usize..320).prop_map(|count| "q".repeat(count)),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}
