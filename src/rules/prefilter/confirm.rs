//! Confirm masks: what has to be near a gram.
//!
//! Text has a gram far more often than what a rule asks for around it, and a candidate costs a walk. So a gram
//! has a *confirm mask*: it names four more bytes at some distance from its own, which in a match are among a few
//! strings, by 27 bits that tell most others and go into one word with the distance. Where there are no few strings, it
//! tells the five bytes right before or right behind the gram by their kinds: `pat` and letters or digits is in
//! `compatible`, and there a quote or a space soon follows.

use std::sync::LazyLock;

use crate::narrow::narrow;
use crate::rules::automata::position_nfa::{ByteSet, insert};
use crate::rules::prefilter::frequency::{ByteSetModel, models};
use crate::rules::prefilter::gram::GRAM;
use crate::shaders::layout;

/// Strings that a confirm mask may stand for: more would set most bits.
const MOST_STRINGS: usize = 24;

/// How far away what a confirm mask asks for may be. The prefilter has so many bytes behind a gram at hand, whatever part of a
/// haystack it looks through.
const FARTHEST: isize = 12;

/// What a confirm mask is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Four bytes at this distance, by their hashes.
    Hashes(isize),
    /// Bytes from this distance on, right before the gram or right behind it, by their kinds.
    Kinds(isize),
}

/// Right before a gram, and right behind it.
const KINDS: [(isize, u32); 2] = [
    (-(layout::CONFIRM_KIND_BYTES as isize), layout::CONFIRM_KINDS_BEFORE),
    (GRAM as isize, layout::CONFIRM_KINDS_BEHIND),
];

/// Where a confirm mask tells most, seen from the gram at `offset` of strings of byte sets: hashes if there is a place where all
/// of them have few strings, else kinds. None if most of typical data would meet these.
pub(crate) fn place(strings: &[Vec<&ByteSetModel>], offset: usize) -> Option<Place> {
    let expected = |distance: isize| -> Option<f64> {
        strings.iter().map(|string| chance(string, offset, distance)).sum()
    };
    let hashes = (-FARTHEST..=FARTHEST).filter_map(|at| Some((expected(at)?, Place::Hashes(at))));
    let of_kinds = |distance: isize| -> f64 {
        strings.iter().map(|string| chance_of_kinds(&kinds(string, offset, distance))).sum()
    };
    let best = hashes.min_by(|(one, _), (other, _)| one.total_cmp(other));
    let kinds = KINDS.into_iter().map(|(at, _)| (of_kinds(at), Place::Kinds(at)));
    let few = kinds.filter(|(expected, _)| *expected < strings.len() as f64 / 2.0);
    let best = best.or_else(|| few.min_by(|(one, _), (other, _)| one.total_cmp(other)));
    best.map(|(_, place)| place)
}

/// The word for a string of byte sets: a place, and the bits of what the string has there.
pub(crate) fn word(string: &[&ByteSetModel], offset: usize, place: Option<Place>) -> u32 {
    match place {
        None => layout::CONFIRM_ANY,
        Some(Place::Hashes(distance)) => hashes_word(string, offset, distance),
        Some(Place::Kinds(distance)) => {
            let kinds = kinds(string, offset, distance);
            let bits = (0..).zip(kinds.into_iter().flatten());
            let bits = bits.fold(0, |all, (bit, is_met)| all | u32::from(is_met) << bit);
            let (_, code) = KINDS.into_iter().find(|(at, _)| *at == distance).expect("a side");
            code << layout::CONFIRM_BITS | bits
        }
    }
}

fn hashes_word(string: &[&ByteSetModel], offset: usize, distance: isize) -> u32 {
    let window = window(string, offset, distance).expect("the place was found for this string too");
    let mut grams: Vec<u32> = vec![0];
    for model in window {
        let append =
            |gram: u32| model.folded.iter().map(move |&byte| gram >> 8 | u32::from(byte) << 24);
        grams = grams.into_iter().flat_map(append).collect();
    }
    let bits = grams.iter().map(|gram| 1 << (gram.wrapping_mul(layout::GRAM_HASH) >> 27));
    let bits = bits.fold(0_u32, |all, bit| all | bit) & ((1 << layout::CONFIRM_BITS) - 1);
    let distance: u32 = narrow(distance + layout::CONFIRM_ZERO as isize);
    distance << layout::CONFIRM_BITS | bits
}

/// The kinds that each byte may be of.
type Kinds = [[bool; layout::BYTE_KINDS as usize]; layout::CONFIRM_KIND_BYTES as usize];

/// Those of a string of byte sets, so far from the gram at `offset`. Outside of the string all will do.
fn kinds(string: &[&ByteSetModel], offset: usize, distance: isize) -> Kinds {
    std::array::from_fn(|byte| {
        let place = offset.checked_add_signed(distance + byte as isize);
        let mut met = [false; layout::BYTE_KINDS as usize];
        match place.and_then(|place| string.get(place)) {
            Some(model) => model.folded.iter().for_each(|&byte| met[kind(byte)] = true),
            None => met.fill(true),
        }
        met
    })
}

/// Hexadecimal digits that are letters, other letters, digits, what joins these, and all else.
fn kind(byte: u8) -> usize {
    match byte.to_ascii_lowercase() {
        b'a'..=b'f' => 0,
        b'g'..=b'z' => 1,
        b'0'..=b'9' => 2,
        b'_' | b'-' | b'.' | b'+' | b'/' | b'=' | b'~' => 3,
        _ => 4,
    }
}

/// The kind of every byte, eight to a word.
pub(crate) fn byte_kinds() -> [u32; 32] {
    std::array::from_fn(|word| {
        let of = |place: usize| narrow::<_, u32>(kind(narrow(8 * word + place))) << (4 * place);
        (0..8).map(of).sum()
    })
}

/// How likely a gram in text, or in binaries, whichever has more, is near bytes of these kinds.
fn chance_of_kinds(kinds: &Kinds) -> f64 {
    type Shares = [f64; layout::BYTE_KINDS as usize];
    static SHARES: LazyLock<[Shares; 2]> = LazyLock::new(|| {
        models().map(|model| {
            let mut sets = [ByteSet::default(); layout::BYTE_KINDS as usize];
            (0..=255).for_each(|byte| insert(&mut sets[kind(byte)], byte));
            sets.map(|set| model.probability_of(&set))
        })
    });
    let share = |met: &[bool; layout::BYTE_KINDS as usize], shares: &Shares| -> f64 {
        met.iter().zip(shares).filter(|(is_met, _)| **is_met).map(|(_, share)| share).sum()
    };
    let of_model = |shares: &Shares| kinds.iter().map(|met| share(met, shares)).product();
    SHARES.iter().map(of_model).fold(0.0, f64::max)
}

/// Whether the bytes so far from a gram are what a word asks for. What is not there may be anything.
#[cfg(test)]
pub(crate) fn meets(word: u32, byte_at: impl Fn(isize) -> Option<u8>) -> bool {
    let code = word >> layout::CONFIRM_BITS;
    if word == layout::CONFIRM_ANY {
        return true;
    }
    if let Some((distance, _)) = KINDS.into_iter().find(|(_, of)| *of == code) {
        let bytes = (0..).map_while(|place| {
            (place < layout::CONFIRM_KIND_BYTES).then(|| byte_at(distance + place as isize))
        });
        let bit = |(place, byte): (u32, Option<u8>)| {
            byte.is_none_or(|byte| {
                word >> (place * layout::BYTE_KINDS + kind(byte) as u32) & 1 == 1
            })
        };
        return (0..).zip(bytes).all(bit);
    }
    let distance = code as isize - layout::CONFIRM_ZERO as isize;
    let bytes = [0, 1, 2, 3].map(|place| byte_at(distance + place));
    let [Some(a), Some(b), Some(c), Some(d)] = bytes else { return false };
    let gram = u32::from_le_bytes([a, b, c, d].map(|byte| byte.to_ascii_lowercase()));
    let bit = gram.wrapping_mul(layout::GRAM_HASH) >> layout::GRAM_BIT;
    bit >= layout::CONFIRM_BITS || word >> bit & 1 == 1
}

/// What a word asks for, for people.
pub(crate) fn describe(word: u32) -> String {
    if word == layout::CONFIRM_ANY {
        return "with anything around it".to_owned();
    }
    let of_kinds = |side| format!("with bytes of certain kinds right {side}");
    match word >> layout::CONFIRM_BITS {
        layout::CONFIRM_KINDS_BEFORE => return of_kinds("before"),
        layout::CONFIRM_KINDS_BEHIND => return of_kinds("behind"),
        _ => {}
    }
    let distance = i64::from(word >> layout::CONFIRM_BITS) - i64::from(layout::CONFIRM_ZERO);
    let bits = (word & ((1 << layout::CONFIRM_BITS) - 1)).count_ones();
    format!("with one of {bits} hashes {distance} bytes from there")
}

/// Whether a word's distance is no more than [`FARTHEST`], if it has one.
pub(crate) fn is_near(word: u32) -> bool {
    if KINDS.iter().any(|(_, code)| *code == word >> layout::CONFIRM_BITS) {
        return true;
    }
    let distance = (word >> layout::CONFIRM_BITS) as isize - layout::CONFIRM_ZERO as isize;
    word == layout::CONFIRM_ANY || distance.abs() <= FARTHEST
}

/// The word for a gram of two strings.
pub(crate) fn either(one: u32, other: u32) -> u32 {
    let is_alike = (one ^ other) >> layout::CONFIRM_BITS == 0;
    if is_alike { one | other } else { layout::CONFIRM_ANY }
}

fn window<'s, 'l>(
    string: &'s [&'l ByteSetModel],
    offset: usize,
    distance: isize,
) -> Option<&'s [&'l ByteSetModel]> {
    let first = offset.checked_add_signed(distance)?;
    string.get(first..first + GRAM)
}

/// How likely typical text that has the gram meets its confirm mask, too, or seems to.
fn chance(string: &[&ByteSetModel], offset: usize, distance: isize) -> Option<f64> {
    let models = window(string, offset, distance)?;
    let strings: usize = models.iter().map(|model| model.folded.len()).product();
    let new = models.iter().enumerate().filter(|(index, _)| {
        let place = *index as isize + distance;
        !(0..GRAM as isize).contains(&place)
    });
    let told: f64 = new.map(|(_, model)| model.most_probable()).product();
    let is_few = strings <= MOST_STRINGS && distance != 0;
    is_few.then(|| told + (1.0 - told) * strings as f64 / 32.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::automata::position_nfa::contains;

    fn set(bytes: impl Iterator<Item = u8>) -> ByteSetModel {
        let mut set = ByteSet::default();
        bytes.for_each(|byte| insert(&mut set, byte));
        ByteSetModel::new(set)
    }

    /// `pat` and letters or digits, as access tokens have.
    #[test]
    fn kinds_let_pass_what_strings_have() {
        let any = set(0..=255);
        let alphanumeric = set((0..=255).filter(u8::is_ascii_alphanumeric));
        let letters = [b'p', b'a', b't'].map(|byte| set(std::iter::once(byte)));
        let mut string = vec![&any];
        string.extend(&letters);
        string.extend([&alphanumeric; 9]);
        string.push(&any);
        let place = place(&[string.clone()], 1);
        assert_eq!(place, Some(Place::Kinds(GRAM as isize)));
        let word = word(&string, 1, place);
        assert!(is_near(word));
        let meets_text = |text: &[u8]| meets(word, |at| text.get(at as usize).copied());
        assert!(meets_text(b"pat4Xy0zQ1 "));
        assert!(meets_text(b"patible"), "the haystack may go on");
        assert!(!meets_text(b"patible with"));
        assert!(!meets_text(b"patterns."));
        for byte in 0..=255 {
            let text = [b'p', b'a', b't', b'a', b'a', byte, b'a', b'a', b'a'];
            let has = contains(&alphanumeric.set, byte);
            assert_eq!(meets_text(&text), has, "{byte}");
        }
    }

    #[test]
    fn what_text_is_full_of_is_not_asked_for() {
        let any = set(0..=255);
        let string = vec![&any; 12];
        assert_eq!(place(std::slice::from_ref(&string), 4), None);
        assert_eq!(word(&string, 4, None), layout::CONFIRM_ANY);
    }
}
