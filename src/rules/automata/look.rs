//! Look-around assertions, judged on bytes.
//!
//! The meaning is that of `regex_automata::util::look`, down to how invalid UTF-8 is read, because a
//! match has to be the same one that the `regex` crate reports.

use regex_automata::util::look::Look;

use crate::shaders::layout;

/// The node kind that stands for `look` in the tables.
pub(crate) fn node_kind(look: Look) -> u32 {
    match look {
        Look::Start => layout::NODE_START,
        Look::End => layout::NODE_END,
        Look::StartLF => layout::NODE_START_LF,
        Look::EndLF => layout::NODE_END_LF,
        Look::StartCRLF => layout::NODE_START_CRLF,
        Look::EndCRLF => layout::NODE_END_CRLF,
        Look::WordAscii => layout::NODE_WORD_ASCII,
        Look::WordAsciiNegate => layout::NODE_WORD_ASCII_NEGATE,
        Look::WordStartAscii => layout::NODE_WORD_START_ASCII,
        Look::WordEndAscii => layout::NODE_WORD_END_ASCII,
        Look::WordStartHalfAscii => layout::NODE_WORD_START_HALF_ASCII,
        Look::WordEndHalfAscii => layout::NODE_WORD_END_HALF_ASCII,
        Look::WordUnicode => layout::NODE_WORD_UNICODE,
        Look::WordUnicodeNegate => layout::NODE_WORD_UNICODE_NEGATE,
        Look::WordStartUnicode => layout::NODE_WORD_START_UNICODE,
        Look::WordEndUnicode => layout::NODE_WORD_END_UNICODE,
        Look::WordStartHalfUnicode => layout::NODE_WORD_START_HALF_UNICODE,
        Look::WordEndHalfUnicode => layout::NODE_WORD_END_HALF_UNICODE,
    }
}

pub(crate) fn is_look(kind: u32) -> bool {
    (layout::NODE_START..=layout::NODE_WORD_END_HALF_UNICODE).contains(&kind)
}

pub(crate) fn is_unicode(kind: u32) -> bool {
    (layout::NODE_WORD_UNICODE..=layout::NODE_WORD_END_HALF_UNICODE).contains(&kind)
}

pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether an assertion that sees one byte to each side holds between `before` and `after` (`None` at
/// the haystack's ends). Unicode assertions are judged as their ASCII counterparts, which is right
/// between ASCII bytes and at the ends.
pub(crate) fn holds_between(
    kind: u32,
    line_terminator: u8,
    before: Option<u8>,
    after: Option<u8>,
) -> bool {
    let word_before = before.is_some_and(is_word_byte);
    let word_after = after.is_some_and(is_word_byte);
    match kind {
        layout::NODE_START => before.is_none(),
        layout::NODE_END => after.is_none(),
        layout::NODE_START_LF => before.is_none_or(|byte| byte == line_terminator),
        layout::NODE_END_LF => after.is_none_or(|byte| byte == line_terminator),
        layout::NODE_START_CRLF => match before {
            None | Some(b'\n') => true,
            Some(b'\r') => after != Some(b'\n'),
            Some(_) => false,
        },
        layout::NODE_END_CRLF => match after {
            None | Some(b'\r') => true,
            Some(b'\n') => before != Some(b'\r'),
            Some(_) => false,
        },
        layout::NODE_WORD_ASCII | layout::NODE_WORD_UNICODE => word_before != word_after,
        layout::NODE_WORD_ASCII_NEGATE | layout::NODE_WORD_UNICODE_NEGATE => {
            word_before == word_after
        }
        layout::NODE_WORD_START_ASCII | layout::NODE_WORD_START_UNICODE => {
            !word_before && word_after
        }
        layout::NODE_WORD_END_ASCII | layout::NODE_WORD_END_UNICODE => word_before && !word_after,
        layout::NODE_WORD_START_HALF_ASCII | layout::NODE_WORD_START_HALF_UNICODE => !word_before,
        layout::NODE_WORD_END_HALF_ASCII | layout::NODE_WORD_END_HALF_UNICODE => !word_after,
        _ => unreachable!("not a look-around: {kind}"),
    }
}

/// The code point ranges of `\w`, first and last of each, sorted.
pub(crate) fn word_ranges() -> Vec<[u32; 2]> {
    let hir = regex_syntax::parse(r"\w").expect("a class that regex-syntax defines");
    match hir.kind() {
        regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            class.ranges().iter().map(|range| [range.start() as u32, range.end() as u32]).collect()
        }
        other => unreachable!("\\w is a Unicode class, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_ranges_are_those_of_regex_syntax() {
        let ranges = word_ranges();
        for character in (0..0x11_0000).filter_map(char::from_u32) {
            let code = character as u32;
            let at = ranges.partition_point(|range| range[1] < code);
            let inside = ranges.get(at).is_some_and(|range| range[0] <= code);
            assert_eq!(inside, regex_syntax::is_word_character(character), "{character:?}");
        }
    }
}
