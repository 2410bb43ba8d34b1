//! Factors: what every match of a rule has to contain.
//!
//! Running automata from every byte is slow; finding the few bytes where a match could be is fast. So a
//! rule is cut in two: a *front*, whose length is bounded, and a *tail*, whose first bytes are one of few
//! strings of byte classes. Four bytes in a row of each such string, its *gram*, are chosen to be rare.
//! A match can only be where one of the grams is, at a known distance from the tail's start, which in turn
//! is at a bounded distance from the match's start. This is the required-literal analysis of RE2's
//! `prefilter.cc` and Hyperscan's `ng_literal_analysis.cpp`, with byte classes in the place of letters.
//!
//! Grams are compared with bit 5 of every byte set, which folds ASCII case, so that a letter in either
//! case is one gram.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::frequency::window_probability;
use super::nfa::{ByteSet, contains};

/// Bytes of a gram.
pub(crate) const GRAM: usize = 4;

/// Bytes of a tail that are looked at for a gram.
const TAIL_BYTES: usize = 12;

/// Strings of byte classes that a tail may begin with, grams of a rule, and bytes that a front's length
/// may vary by, all at most.
const MOST_PATHS: usize = 256;
const MOST_GRAMS: usize = 1 << 11;
pub(super) const MOST_SPREAD: usize = 512;

/// Candidates for each byte of typical text beyond which looking for grams does not pay.
const MOST_FREQUENT: f64 = 1e-2;

/// Bit 5 of every byte, which tells an ASCII letter's case.
const FOLD: u8 = 0x20;

/// One alternative of a rule, cut into front and tail.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Branch {
    /// Least and greatest length of the front, in bytes.
    pub(crate) front: [usize; 2],
    pub(crate) tail: Hir,
    /// The tail begins with one of these.
    pub(crate) grams: BTreeSet<Gram>,
    /// Expected candidates for each byte of typical text.
    pub(crate) frequency: f64,
}

/// Four bytes, folded, and where they lie from the tail's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gram {
    pub(crate) bytes: [u8; GRAM],
    pub(crate) offset: u8,
}

/// The alternatives of a rule, of which every match is one; none if it has no usable factors.
pub(crate) fn factors(hir: &Hir) -> Option<Vec<Branch>> {
    let alternatives = match hir.kind() {
        HirKind::Alternation(alternatives) => alternatives.as_slice(),
        HirKind::Capture(capture) => return factors(&capture.sub),
        _ => std::slice::from_ref(hir),
    };
    alternatives.iter().map(branch).collect()
}

/// Cuts an alternative where its grams cost least.
fn branch(hir: &Hir) -> Option<Branch> {
    let parts = parts(hir);
    let mut best: Option<Cut> = None;
    let mut front = [0_usize; 2];
    for (at, part) in parts.iter().enumerate() {
        if let Some(windows) = windows(&parts[at..]) {
            // A candidate costs a walk over the tail, and now and then one from every start; a gram costs
            // what others are taken for it in a bitmap of this many bits.
            const BITMAP: f64 = (1 << 18) as f64;
            let [frequency, grams] = [windows.frequency, windows.gram_count as f64];
            let score = frequency * (10.0 + 0.1 * (front[1] - front[0]) as f64) + grams / BITMAP;
            if best.as_ref().is_none_or(|best| score < best.score) {
                best = Some(Cut { score, at, front, windows });
            }
        }
        // Beyond a part of unbounded length no cut is any good.
        let properties = part.properties();
        front[0] += properties.minimum_len()?;
        let Some(most) = properties.maximum_len() else { break };
        front[1] += most;
        if front[1] - front[0] > MOST_SPREAD {
            break;
        }
    }
    let Cut { at, front, windows, .. } = best?;
    let mut grams = BTreeSet::new();
    for (path, offset) in &windows.of_paths {
        add_grams(path, *offset, &mut grams);
    }
    let tail = Hir::concat(parts[at..].to_vec());
    Some(Branch { front, tail, grams, frequency: windows.frequency })
}

/// A place to cut a rule, and what it would cost.
struct Cut {
    score: f64,
    at: usize,
    front: [usize; 2],
    windows: Windows,
}

/// Where the grams lie in each string that a tail may begin with.
struct Windows {
    of_paths: Vec<(Vec<ByteSet>, usize)>,
    gram_count: usize,
    frequency: f64,
}

/// The parts of a concatenation, single bytes wherever possible, so that it can be cut anywhere.
fn parts(hir: &Hir) -> Vec<Hir> {
    match hir.kind() {
        HirKind::Concat(subs) => subs.iter().flat_map(parts).collect(),
        HirKind::Capture(capture) => parts(&capture.sub),
        HirKind::Literal(literal) => literal.0.iter().map(|&byte| Hir::literal([byte])).collect(),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            let (copies, rest) = unroll(repetition);
            let mut all: Vec<Hir> = Vec::new();
            for _ in 0..copies {
                all.extend(parts(&repetition.sub));
            }
            all.extend(rest);
            all
        }
        _ => vec![hir.clone()],
    }
}

/// How many copies of a repetition come first, as far as a gram needs them, and what is left of it.
fn unroll(repetition: &Repetition) -> (u32, Option<Hir>) {
    let copies = repetition.min.min(TAIL_BYTES as u32);
    let rest = Repetition {
        min: repetition.min - copies,
        max: repetition.max.map(|max| max - copies),
        ..repetition.clone()
    };
    let is_empty = rest.max == Some(0);
    (copies, (!is_empty).then(|| Hir::repetition(rest)))
}

/// The rarest grams that what `parts` match has to begin with; none if they are too many or too common.
fn windows(parts: &[Hir]) -> Option<Windows> {
    let mut windows = Windows { of_paths: Vec::new(), gram_count: 0, frequency: 0.0 };
    for path in paths(parts)? {
        let (offset, count, frequency) = rarest_window(&path)?;
        windows.gram_count += count;
        windows.frequency += frequency;
        windows.of_paths.push((path, offset));
    }
    let is_usable = windows.gram_count <= MOST_GRAMS && windows.frequency <= MOST_FREQUENT;
    is_usable.then_some(windows)
}

/// The strings of byte classes, of up to [`TAIL_BYTES`], that what `parts` match begins with. A string
/// ends early where something of any length follows.
fn paths(parts: &[Hir]) -> Option<BTreeSet<Vec<ByteSet>>> {
    let mut done = BTreeSet::new();
    // What follows is a stack; `None` stands for what is not looked into.
    let rest: Vec<Option<&Hir>> = parts.iter().rev().map(Some).collect();
    let mut open = vec![(Vec::new(), rest)];
    while let Some((mut path, mut rest)) = open.pop() {
        if done.len() + open.len() > MOST_PATHS {
            return None;
        }
        let next = if path.len() < TAIL_BYTES { rest.pop().flatten() } else { None };
        let Some(hir) = next else {
            done.insert(path);
            continue;
        };
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => {
                path.extend(literal.0.iter().map(|&byte| set_of(&[[byte; 2]])));
            }
            HirKind::Class(class) => match byte_set(class) {
                Some(set) => path.push(set),
                None => rest.push(None),
            },
            HirKind::Capture(capture) => rest.push(Some(&capture.sub)),
            HirKind::Concat(subs) => rest.extend(subs.iter().rev().map(Some)),
            HirKind::Alternation(subs) => {
                let (first, others) = subs.split_first().expect("an alternation has alternatives");
                for sub in others {
                    let mut rest = rest.clone();
                    rest.push(Some(sub));
                    open.push((path.clone(), rest));
                }
                rest.push(Some(first));
            }
            HirKind::Repetition(repetition) => {
                let (copies, left) = unroll(repetition);
                let sub = std::iter::repeat(Some(&*repetition.sub));
                match left.as_ref().map(Hir::kind) {
                    // What comes a few times at most is worth trying each way.
                    Some(HirKind::Repetition(Repetition { max: Some(most @ ..=2), .. }))
                        if copies == 0 =>
                    {
                        for copies in 1..=*most {
                            let mut rest = rest.clone();
                            rest.extend(sub.clone().take(copies as usize));
                            open.push((path.clone(), rest));
                        }
                    }
                    left => {
                        rest.extend(left.map(|_| None));
                        rest.extend(sub.take(copies as usize));
                    }
                }
            }
        }
        open.push((path, rest));
    }
    Some(done)
}

/// The four bytes in a row of which typical text has fewest: where, how many grams they make, and how
/// often it has them. A string of three bytes is taken with whatever follows.
fn rarest_window(path: &[ByteSet]) -> Option<(usize, usize, f64)> {
    if path.len() == GRAM - 1 {
        return Some((
            0,
            window_grams(path, 0).iter().map(BTreeSet::len).product(),
            window_probability(path),
        ));
    }
    path.windows(GRAM)
        .enumerate()
        .map(|(offset, window)| {
            let count = window_grams(path, offset).iter().map(BTreeSet::len).product();
            (offset, count, window_probability(window))
        })
        .filter(|(_, count, _)| (1..=MOST_GRAMS).contains(count))
        .min_by(|one, other| one.2.total_cmp(&other.2))
}

/// The folded bytes at each place of the window at `offset`.
fn window_grams(path: &[ByteSet], offset: usize) -> [BTreeSet<u8>; GRAM] {
    let any = [u32::MAX; 8];
    std::array::from_fn(|at| {
        let set = path.get(offset + at).unwrap_or(&any);
        bytes_of(set).map(|byte| byte | FOLD).collect()
    })
}

fn add_grams(path: &[ByteSet], offset: usize, grams: &mut BTreeSet<Gram>) {
    let [first, second, third, fourth] = window_grams(path, offset);
    for &a in &first {
        for &b in &second {
            for &c in &third {
                let with = |&d: &u8| Gram { bytes: [a, b, c, d], offset: offset as u8 };
                grams.extend(fourth.iter().map(with));
            }
        }
    }
}

fn bytes_of(set: &ByteSet) -> impl Iterator<Item = u8> + '_ {
    (0..=255).filter(|&byte| contains(set, byte))
}

fn set_of(ranges: &[[u8; 2]]) -> ByteSet {
    let mut set = [0; 8];
    for byte in ranges.iter().flat_map(|[first, last]| *first..=*last) {
        set[usize::from(byte >> 5)] |= 1 << (byte & 31);
    }
    set
}

/// The bytes of a class; none if it has characters of several bytes.
fn byte_set(class: &Class) -> Option<ByteSet> {
    match class {
        Class::Bytes(class) => {
            let ranges: Vec<_> =
                class.ranges().iter().map(|range| [range.start(), range.end()]).collect();
            Some(set_of(&ranges))
        }
        Class::Unicode(class) => class.to_byte_class().filter(|_| class.is_ascii()).map(|class| {
            let ranges: Vec<_> =
                class.ranges().iter().map(|range| [range.start(), range.end()]).collect();
            set_of(&ranges)
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_automata::{Anchored, Input, meta};
    use regex_syntax::ParserBuilder;

    use super::*;

    fn parse(pattern: &str) -> Hir {
        ParserBuilder::new().utf8(false).unicode(false).build().parse(pattern).unwrap()
    }

    fn one(pattern: &str) -> Branch {
        let mut branches = factors(&parse(pattern)).unwrap();
        assert_eq!(branches.len(), 1, "{pattern}");
        branches.remove(0)
    }

    fn texts(branch: &Branch) -> Vec<String> {
        branch.grams.iter().map(|gram| String::from_utf8(gram.bytes.to_vec()).unwrap()).collect()
    }

    #[test]
    fn cuts_before_the_rarest_bytes() {
        let branch = one(r"[\w.-]{0,50}?(?i:adafruit)[ \t\w.-]{0,20}=");
        assert_eq!(branch.front, [0, 50]);
        assert_eq!(branch.grams.len(), 1);
        assert!("adafruit".contains(&texts(&branch)[0]));

        let branch = one(r"\bghp_[0-9A-Za-z]{36}\b");
        assert_eq!((branch.front[1], texts(&branch)), (0, vec!["ghp\x7f".to_owned()]));

        let branch = one("(?:foo|bar)[xy]z");
        assert_eq!(branch.front, [0, 0]);
        assert_eq!(branch.grams.len(), 4);
    }

    #[test]
    fn says_where_there_is_nothing_to_look_for() {
        for pattern in ["a+", ".*", "ab", "x|yyyy", "(?:abc)?", r"\w{20}", "[a-z]+foo_"] {
            let found = factors(&parse(pattern));
            assert_eq!(found, None, "{pattern}");
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "a", "b", "abcd", "[ab]", "(?i:bc)", "[^a]", ".", r"\b", "^", "", "xyz", "[a-d]{4}",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(4, 16, 4, |inner| {
            let repeats = vec!["*", "+", "?", "{2}", "{1,3}", "{0,2}?", "{3,}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..5).prop_map(|parts| parts.concat()),
                prop::collection::vec(inner.clone(), 2..4)
                    .prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (inner, prop::sample::select(repeats))
                    .prop_map(|(sub, repeat)| format!("(?:{sub}){repeat}")),
            ]
        })
    }

    proptest! {
        /// Every match has, in some branch, a front of allowed length, then the tail, with one of the
        /// grams at its place.
        #[test]
        fn every_match_contains_a_factor(
            pattern in pattern(),
            haystack in prop::collection::vec(prop::sample::select(&b"aabbccddABCDxyz "[..]), 0..30),
        ) {
            let hir = parse(&pattern);
            let Some(branches) = factors(&hir) else { return Ok(()) };
            let config = || meta::Config::new().utf8_empty(false);
            let build =
                |hir: &Hir| meta::Builder::new().configure(config()).build_from_hir(hir).unwrap();
            let whole = build(&hir);
            let tails: Vec<_> =
                branches.iter().map(|branch| build(&branch.tail)).collect();
            for start in 0..haystack.len() {
                let input = Input::new(&haystack).range(start..).anchored(Anchored::Yes);
                let Some(found) = whole.find(input) else { continue };
                let gram_at = |branch: &Branch, tail: usize| {
                    branch.grams.iter().any(|gram| {
                        let at = tail + usize::from(gram.offset);
                        // Past the end, a gram of three bytes is met by anything.
                        (0..GRAM).all(|byte| match haystack.get(at + byte) {
                            Some(found) => found | FOLD == gram.bytes[byte],
                            None => byte == GRAM - 1,
                        })
                    })
                };
                let explained = branches.iter().zip(&tails).any(|(branch, tail_regex)| {
                    (branch.front[0]..=branch.front[1]).map(|front| start + front).any(|tail| {
                        let input = || Input::new(&haystack).range(tail..).anchored(Anchored::Yes);
                        tail <= haystack.len()
                            && gram_at(branch, tail)
                            && tail_regex.is_match(input())
                    })
                });
                prop_assert!(explained, "{} at {:?}: {:?}", pattern, found, branches);
            }
        }
    }
}
