//! Look-around assertions anywhere in a haystack: the twin of `look_holds` in `shaders/verify_nfa.comp`.
//!
//! The meaning is that of `regex_automata::util::look`, down to how invalid UTF-8 is read.

use crate::rules::automata::look::{holds_between, is_unicode};
use crate::shaders::layout;

/// Whether the assertion holds at `at` in `haystack`.
///
/// `is_word` judges characters, the one before first.
pub(super) fn holds(
    kind: u32,
    line_terminator: u8,
    haystack: &[u8],
    at: usize,
    mut is_word: impl FnMut(char) -> bool,
) -> bool {
    if !is_unicode(kind) {
        let before = at.checked_sub(1).map(|before| haystack[before]);
        return holds_between(kind, line_terminator, before, haystack.get(at).copied());
    }
    let mut side = |character: Option<char>, is_end| Side {
        valid: is_end || character.is_some(),
        word: character.is_some_and(&mut is_word),
    };
    let before = side(char_before(haystack, at), at == 0);
    let after = side(char_after(haystack, at), at == haystack.len());
    match kind {
        layout::NODE_WORD_UNICODE => before.word != after.word,
        layout::NODE_WORD_UNICODE_NEGATE => {
            before.valid && after.valid && before.word == after.word
        }
        layout::NODE_WORD_START_UNICODE => !before.word && after.word,
        layout::NODE_WORD_END_UNICODE => before.word && !after.word,
        layout::NODE_WORD_START_HALF_UNICODE => before.valid && !before.word,
        layout::NODE_WORD_END_HALF_UNICODE => after.valid && !after.word,
        _ => unreachable!("not a Unicode look-around: {kind}"),
    }
}

/// What a Unicode assertion sees on one side: whether it is the haystack's end or a whole character,
/// and whether that is a word character.
struct Side {
    valid: bool,
    word: bool,
}

fn char_after(haystack: &[u8], at: usize) -> Option<char> {
    let length = match *haystack.get(at)? {
        0x00..=0x7F => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => return None,
    };
    std::str::from_utf8(haystack.get(at..at + length)?).ok()?.chars().next()
}

/// The character whose first byte is the last one before `at`, within four bytes, that is no
/// continuation byte. It may end before `at`: `regex_automata` reads stray continuation bytes so.
fn char_before(haystack: &[u8], at: usize) -> Option<char> {
    let least = at.saturating_sub(layout::UTF8_MAX as usize);
    let mut start = at.checked_sub(1)?;
    while start > least && haystack[start] & 0xC0 == 0x80 {
        start -= 1;
    }
    char_after(&haystack[..at], start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::automata::look::node_kind;
    use proptest::prelude::*;
    use regex_automata::util::look::{Look, LookMatcher};

    fn every_look() -> Vec<Look> {
        (0..18).map(|bit| Look::from_repr(1 << bit).expect("18 assertions")).collect()
    }

    fn hard_byte() -> impl Strategy<Value = u8> {
        // Pieces of valid, truncated and overlong UTF-8, line ends, and word bytes.
        prop::sample::select(
            &b"a_ \n\r\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF7\xFF\xED\xA0\xC0"[..],
        )
    }

    proptest! {
        #[test]
        fn agrees_with_regex_automata(haystack in prop::collection::vec(hard_byte(), 0..9)) {
            let matcher = LookMatcher::new();
            for look in every_look() {
                for at in 0..=haystack.len() {
                    let is_word = regex_syntax::is_word_character;
                    let ours = holds(node_kind(look), b'\n', &haystack, at, is_word);
                    let theirs = matcher.matches(look, &haystack, at);
                    prop_assert_eq!(ours, theirs, "{:?} at {}", look, at);
                }
            }
        }
    }
}
