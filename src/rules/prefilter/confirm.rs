//! Confirm masks: what has to be near a gram.
//!
//! Text has a gram far more often than what a rule asks for around it, and a candidate costs a walk. So a gram
//! has a *confirm mask*: it names four more bytes at some distance from its own, which in a match are among a few
//! strings, by 27 bits that tell most others and go into one word with the distance.

use crate::narrow::narrow;
use crate::rules::prefilter::frequency::ByteSetModel;
use crate::rules::prefilter::gram::GRAM;
use crate::shaders::layout;

/// Strings that a confirm mask may stand for: more would set most bits.
const MOST_STRINGS: usize = 24;

/// How far away what a confirm mask asks for may be. The prefilter has so many bytes behind a gram at hand, whatever part of a
/// haystack it looks through.
const FARTHEST: isize = 12;

/// The distance at which a confirm mask tells most, seen from the gram at `offset` of strings of byte sets; none if
/// there is no place where all of them have one.
pub(crate) fn distance(strings: &[Vec<&ByteSetModel>], offset: usize) -> Option<isize> {
    let expected = |distance: &isize| -> Option<f64> {
        strings.iter().map(|string| chance(string, offset, *distance)).sum()
    };
    (-FARTHEST..=FARTHEST)
        .filter_map(|distance| Some((expected(&distance)?, distance)))
        .min_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, distance)| distance)
}

/// The word that holds a distance, and the bits of what a string of byte sets has there.
pub(crate) fn word(string: &[&ByteSetModel], offset: usize, distance: Option<isize>) -> u32 {
    let Some(distance) = distance else { return layout::CONFIRM_ANY };
    let window =
        window(string, offset, distance).expect("`distance` was found for this string too");
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

/// What a word asks for, for people.
pub(crate) fn describe(word: u32) -> String {
    if word == layout::CONFIRM_ANY {
        return "with anything around it".to_owned();
    }
    let distance = i64::from(word >> layout::CONFIRM_BITS) - i64::from(layout::CONFIRM_ZERO);
    let bits = (word & ((1 << layout::CONFIRM_BITS) - 1)).count_ones();
    format!("with one of {bits} hashes {distance} bytes from there")
}

/// Whether a word's distance is no more than [`FARTHEST`], if it has one.
pub(crate) fn is_near(word: u32) -> bool {
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
