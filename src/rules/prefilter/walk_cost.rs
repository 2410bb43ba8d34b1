//! How far walks go, which tells a good place to split a rule at from a bad one.
//!
//! A walk reads byte after byte until there is no way on, so most end within the first few bytes of what
//! they are over: a part counts only as far as the parts before it let a walk through.
//!
//! Bytes are taken as independent of each other, which those of words and keys are not; so what is far off
//! is never taken as out of reach.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::rules::prefilter::frequency::byte_probability;

/// Bytes that stand for what goes on and on.
const ENDLESS: f64 = 1e6;

/// Which way a walk reads what it is over.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Direction {
    Forwards,
    Backwards,
}

/// What to expect, in typical text, of a walk over something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// Bytes that it reads.
    pub(crate) bytes: f64,
    /// Places where it may go on with what follows: below one, the chance that there is one.
    pub(crate) ways: f64,
}

impl Walk {
    /// Over nothing.
    const NONE: Walk = Walk { bytes: 0.0, ways: 1.0 };

    pub(crate) fn of(hir: &Hir, direction: Direction) -> Walk {
        let of = |sub: &Hir| Walk::of(sub, direction);
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Walk::NONE,
            HirKind::Literal(literal) => {
                let letter = |&byte: &u8| Walk::over_byte(byte_probability(byte));
                Walk::in_row(literal.0.iter().map(letter), direction)
            }
            HirKind::Class(class) => Walk::over_byte(probability(class)),
            HirKind::Capture(capture) => of(&capture.sub),
            HirKind::Concat(subs) => Walk::in_row(subs.iter().map(of), direction),
            // All alternatives are walked at once.
            HirKind::Alternation(subs) => {
                subs.iter().map(of).fold(Walk { bytes: 0.0, ways: 0.0 }, |all, one| Walk {
                    bytes: all.bytes.max(one.bytes),
                    ways: all.ways + one.ways,
                })
            }
            HirKind::Repetition(repetition) => {
                of(&repetition.sub).repeated(repetition.min, repetition.max)
            }
        }
    }

    fn over_byte(probability: f64) -> Walk {
        Walk { bytes: 1.0, ways: probability }
    }

    fn in_row(walks: impl DoubleEndedIterator<Item = Walk>, direction: Direction) -> Walk {
        match direction {
            Direction::Forwards => Walk::over(walks),
            Direction::Backwards => Walk::over(walks.rev()),
        }
    }

    /// Over one after the other.
    pub(crate) fn over(walks: impl IntoIterator<Item = Walk>) -> Walk {
        let all = walks.into_iter().fold(Walk::NONE, |all, next| Walk {
            bytes: all.bytes + all.chance() * next.bytes,
            ways: (all.ways * next.ways).min(ENDLESS),
        });
        Walk { bytes: all.bytes.min(ENDLESS), ..all }
    }

    fn repeated(self, min: u32, max: Option<u32>) -> Walk {
        let most = max.map_or(f64::INFINITY, f64::from);
        let min = f64::from(min);
        let chance = self.ways.min(1.0);
        Walk {
            bytes: (self.bytes * sum_of_powers(chance, most)).min(ENDLESS),
            ways: chance.powf(min) * sum_of_powers(chance, most - min + 1.0),
        }
    }

    /// That the walk comes to what follows.
    pub(crate) fn chance(&self) -> f64 {
        /// One in so many of what looks like a match to begin with goes on to look like one.
        const LEAST: f64 = 1e-3;
        self.ways.clamp(LEAST, 1.0)
    }

    /// As it is where such a share of its bytes is known to match.
    pub(crate) fn known(self, share: f64) -> Walk {
        let ways = if self.ways < 1.0 { self.ways.powf(1.0 - share) } else { self.ways };
        Walk { ways, ..self }
    }
}

/// `chance`^0 + `chance`^1 and so on, so many terms.
fn sum_of_powers(chance: f64, terms: f64) -> f64 {
    /// Beyond so many in a row, typical text is not what ends them.
    const MOST: f64 = 100.0;

    let endless = 1.0 / (1.0 - chance);
    if endless > MOST { terms.min(ENDLESS) } else { endless * (1.0 - chance.powf(terms)) }
}

/// How often a character of typical text is in the class.
fn probability(class: &Class) -> f64 {
    let holds = holds(class);
    (0..=255).filter(|&byte| holds(byte)).map(byte_probability).sum()
}

/// Whether a class has a byte; all beyond ASCII if it has any character there.
pub(crate) fn holds(class: &Class) -> impl Fn(u8) -> bool {
    let ranges: Vec<[u32; 2]> = match class {
        Class::Bytes(class) => {
            class.iter().map(|range| [range.start(), range.end()].map(u32::from)).collect()
        }
        Class::Unicode(class) => {
            let widened = class.iter().map(|range| {
                let [start, end] = [range.start(), range.end()].map(u32::from);
                if end < 0x80 { [start, end] } else { [start.min(0x80), 0xFF] }
            });
            widened.collect()
        }
    };
    move |byte| ranges.iter().any(|[start, end]| (*start..=*end).contains(&u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use regex_syntax::ParserBuilder;

    use super::*;

    fn walk(pattern: &str, direction: Direction) -> Walk {
        let hir = ParserBuilder::new().utf8(false).unicode(false).build().parse(pattern).unwrap();
        Walk::of(&hir, direction)
    }

    #[test]
    fn what_hardly_matches_ends_walks() {
        let port = |direction| walk("[^/]+:[0-9]+", direction).bytes;
        assert!(port(Direction::Backwards) < port(Direction::Forwards) / 100.0);
        assert!(walk("q[a-z]+", Direction::Forwards).bytes < 1.1);
        assert!(walk("q[a-z]+", Direction::Backwards).bytes > 2.0);
    }

    #[test]
    fn what_always_matches_goes_on() {
        for pattern in [r"(?s:.*)END", r"[\s\S]*?END", "(?s:.|ab)+", "[^/]+"] {
            assert_eq!(walk(pattern, Direction::Forwards).bytes, ENDLESS, "{pattern}");
        }
        assert_eq!(walk(r"(?s:.{20})(?s:.{0,30})", Direction::Forwards).bytes.round(), 50.0);
        assert!((10.0..100.0).contains(&walk(".*", Direction::Forwards).bytes));
    }

    /// However unlikely, a key may be followed by what never ends.
    #[test]
    fn nothing_is_out_of_reach() {
        let key = walk("[0-9a-f]{32}(?s:.*)", Direction::Forwards);
        assert!(key.bytes > ENDLESS / 2000.0);
    }
}
