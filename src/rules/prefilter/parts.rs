//! The parts of a rule, and the strings of byte sets that some of them begin with.

use std::collections::BTreeSet;

use regex_syntax::hir::{Hir, HirKind, Repetition};

use super::alphabet::{Alphabet, Path, byte_set, set_of};
use crate::narrow::narrow;
use crate::rules::effort::Effort;

/// The greatest length of what has none.
pub(crate) const UNBOUNDED: usize = usize::MAX;

/// Strings of byte sets that a suffix may begin with, at most.
pub(crate) const MOST_PATHS: usize = 512;

/// Steps that finding the strings may take: nested repetitions have many ways to match nothing.
const MOST_STEPS: usize = 32 * MOST_PATHS;

/// Bytes of a suffix that are looked at for a gram: the fewer, the fewer strings there are to it.
pub(crate) const SUFFIX_BYTES: [usize; 3] = [12, 8, 5];

/// The parts of a concatenation, single bytes wherever possible, so that it can be split anywhere; from the `most`th
/// part on as they are.
pub(crate) fn parts(hir: &Hir, most: usize) -> Vec<Hir> {
    fn add(hir: &Hir, most: usize, parts: &mut Vec<Hir>) {
        match hir.kind() {
            _ if parts.len() >= most => parts.push(hir.clone()),
            HirKind::Concat(subs) => subs.iter().for_each(|sub| add(sub, most, parts)),
            HirKind::Capture(capture) => add(&capture.sub, most, parts),
            HirKind::Literal(literal) => {
                parts.extend(literal.0.iter().map(|&byte| Hir::literal([byte])));
            }
            HirKind::Repetition(repetition) if repetition.min > 0 => {
                let (copies, rest) = unroll(repetition);
                (0..copies).for_each(|_| add(&repetition.sub, most, parts));
                parts.extend(rest);
            }
            _ => parts.push(hir.clone()),
        }
    }

    let mut parts = Vec::new();
    add(hir, most, &mut parts);
    parts
}

/// How many copies of a repetition come first, as far as a gram needs them, and what is left of it.
pub(crate) fn unroll(repetition: &Repetition) -> (u32, Option<Hir>) {
    let copies = repetition.min.min(narrow(SUFFIX_BYTES[0]));
    let rest = Repetition {
        min: repetition.min - copies,
        max: repetition.max.map(|max| max - copies),
        ..repetition.clone()
    };
    let is_empty = rest.max == Some(0);
    (copies, (!is_empty).then(|| Hir::repetition(rest)))
}

/// What strings of byte sets see of a syntax tree.
pub(crate) enum Shape {
    /// Bytes in a row, each of a set, by its number.
    Sets(Path),
    /// What is not looked into.
    Opaque,
    Concat(Vec<Shape>),
    Alternation(Vec<Shape>),
    Repetition {
        min: u32,
        max: Option<u32>,
        sub: Box<Shape>,
    },
}

impl Shape {
    pub(crate) fn of(hir: &Hir, alphabet: &mut Alphabet) -> Shape {
        let mut all = |subs: &[Hir]| subs.iter().map(|sub| Shape::of(sub, alphabet)).collect();
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Shape::Sets(Path::new()),
            HirKind::Literal(literal) => {
                let number = |&byte: &u8| alphabet.number(set_of(&[[byte; 2]]));
                let numbers: Option<Path> = literal.0.iter().map(number).collect();
                numbers.map_or(Shape::Opaque, Shape::Sets)
            }
            HirKind::Class(class) => {
                let number = byte_set(class).and_then(|set| alphabet.number(set));
                number.map_or(Shape::Opaque, |number| Shape::Sets(vec![number]))
            }
            HirKind::Capture(capture) => Shape::of(&capture.sub, alphabet),
            HirKind::Concat(subs) => Shape::Concat(all(subs)),
            HirKind::Alternation(subs) => Shape::Alternation(all(subs)),
            HirKind::Repetition(repetition) => Shape::Repetition {
                min: repetition.min,
                max: repetition.max,
                sub: Box::new(Shape::of(&repetition.sub, alphabet)),
            },
        }
    }
}

/// The strings of byte sets, of up to so many bytes, that what `parts` match begins with. A string ends
/// early where something of any length follows. None if there are too many.
pub(crate) fn paths(parts: &[Shape], bytes: usize, effort: &Effort) -> Option<BTreeSet<Path>> {
    let mut done = BTreeSet::new();
    let mut search = PathSearch::default();
    let mut open = vec![OpenPath { last: None, len: 0, follows: None, next_part: 0 }];
    let mut step_count = 0;
    while let Some(mut path) = open.pop() {
        step_count += 1;
        let is_too_much = done.len() + open.len() > MOST_PATHS || step_count > MOST_STEPS;
        if is_too_much || !effort.spend(1) {
            return None;
        }
        let next = if path.len < bytes { search.take(&mut path, parts) } else { None };
        let Some(shape) = next else {
            done.insert(search.path(&path));
            continue;
        };
        match shape {
            Shape::Opaque => search.follow(&mut path, None),
            Shape::Sets(sets) => sets.iter().for_each(|&set| search.read(&mut path, set)),
            Shape::Concat(subs) => {
                subs.iter().rev().for_each(|sub| search.follow(&mut path, Some(sub)));
            }
            Shape::Alternation(subs) => {
                let (first, others) = subs.split_first().expect("an alternation has alternatives");
                for sub in others {
                    let mut other = path;
                    search.follow(&mut other, Some(sub));
                    open.push(other);
                }
                search.follow(&mut path, Some(first));
            }
            Shape::Repetition { min, max, sub } => {
                let copies = (*min as usize).min(bytes);
                let left = max.map(|max| (max - min) as usize);
                // What may come more often is not followed beyond the third time.
                let most = left.unwrap_or(MOST_COPIES).min(MOST_COPIES);
                let is_whole = copies == *min as usize;
                for more in 1..=if is_whole { most } else { 0 } {
                    let mut other = path;
                    if more == MOST_COPIES && left != Some(MOST_COPIES) {
                        search.follow(&mut other, None);
                    }
                    (0..copies + more).for_each(|_| search.follow(&mut other, Some(sub)));
                    open.push(other);
                }
                if !is_whole {
                    search.follow(&mut path, None);
                }
                (0..copies).for_each(|_| search.follow(&mut path, Some(sub)));
            }
        }
        open.push(path);
    }
    Some(done)
}

/// A string that has not been followed to its end.
#[derive(Clone, Copy)]
struct OpenPath {
    /// Its last set, and how many there are.
    last: Option<usize>,
    len: usize,
    /// What follows, before the parts from this one on.
    follows: Option<usize>,
    next_part: usize,
}

/// What open strings share: lists, each of which goes on with an older one.
#[derive(Default)]
struct PathSearch<'s> {
    read: Vec<(u16, Option<usize>)>,
    /// None stands for what is not looked into.
    follows: Vec<(Option<&'s Shape>, Option<usize>)>,
}

impl<'s> PathSearch<'s> {
    pub(crate) fn read(&mut self, path: &mut OpenPath, set: u16) {
        self.read.push((set, path.last));
        path.last = Some(self.read.len() - 1);
        path.len += 1;
    }

    pub(crate) fn follow(&mut self, path: &mut OpenPath, shape: Option<&'s Shape>) {
        self.follows.push((shape, path.follows));
        path.follows = Some(self.follows.len() - 1);
    }

    /// What comes next, which does not then any more; none at the end, or if that is not looked into.
    pub(crate) fn take(&self, path: &mut OpenPath, parts: &'s [Shape]) -> Option<&'s Shape> {
        if let Some(first) = path.follows {
            let (shape, rest) = self.follows[first];
            path.follows = rest;
            return shape;
        }
        path.next_part += 1;
        parts.get(path.next_part - 1)
    }

    pub(crate) fn path(&self, path: &OpenPath) -> Path {
        let mut sets = Path::with_capacity(path.len);
        let mut next = path.last;
        while let Some(at) = next {
            let (set, before) = self.read[at];
            sets.push(set);
            next = before;
        }
        sets.reverse();
        sets
    }
}

/// Times that an optional part is tried.
const MOST_COPIES: usize = 3;

/// What `hir` matches if all assertions hold.
pub(crate) fn without_looks(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Look(_) => Hir::empty(),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
        HirKind::Capture(capture) => without_looks(&capture.sub),
        HirKind::Concat(subs) => Hir::concat(subs.iter().map(without_looks).collect()),
        HirKind::Alternation(subs) => Hir::alternation(subs.iter().map(without_looks).collect()),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(without_looks(&repetition.sub)),
            ..repetition.clone()
        }),
    }
}
