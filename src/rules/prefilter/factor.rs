//! Factors: what every match of a rule has to contain.
//!
//! Running automata from every byte is slow; finding the few bytes where a match could be is fast. So a rule
//! is split in two: a *prefix*, and a *suffix*, whose first bytes are one of few strings of byte classes. Four
//! bytes in a row of each such string, its *gram*, are chosen to be rare. A match can only be where one of the grams is, at a known distance from the suffix's start; how far the prefix reaches back from
//! there is known too, or walked backwards. This is the required-literal analysis of RE2's
//! `prefilter.cc` and Hyperscan's `ng_literal_analysis.cpp`, with byte classes in the place of characters.
//!
//! Grams are compared with ASCII letters in lower case, so that a letter in either case is one gram.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use crate::narrow::narrow;
use crate::rules::automata::position_nfa::ByteSet;
use crate::rules::effort::Effort;
use crate::rules::prefilter::confirm;
use crate::rules::prefilter::frequency::{
    ByteSetModel, byte_probability, independent_probability, window_probability,
};
use crate::rules::prefilter::walk_cost::{self, Direction, Walk};
use crate::shaders::layout;

/// Bytes of a gram.
pub(crate) const GRAM: usize = 4;

/// Bytes of a suffix that are looked at for a gram: the fewer, the fewer strings there are to it.
const SUFFIX_BYTES: [usize; 3] = [12, 8, 5];

/// Where a gram may lie: a literal among alternatives is one string, however long it is.
const MOST_OFFSET: usize = layout::GRAM_MOST_OFFSET as usize;

/// Strings of byte classes that a suffix may begin with, and grams of one of them and of a rule, at most.
pub(crate) const MOST_PATHS: usize = 512;
const MOST_WINDOW_GRAMS: usize = 1 << 12;
pub(crate) const MOST_GRAMS: usize = 1 << 14;

/// Places of a rule that it may be split at: nested repetitions have many.
const MOST_PARTS: usize = 256;

/// Steps that finding the strings may take: nested repetitions have many ways to match nothing.
const MOST_STEPS: usize = 32 * MOST_PATHS;

/// Bytes that a prefix's length may vary by to count as bounded.
pub(crate) const MOST_SPREAD: usize = 512;

/// Candidates for each byte of typical data beyond which looking for grams does not pay.
const MOST_FREQUENT: f64 = 5e-2;

/// One alternative of a rule, split into prefix and suffix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SplitHir {
    /// Least and greatest length of the prefix, in bytes; [`UNBOUNDED`] if there is no greatest.
    pub(crate) prefix: [usize; 2],
    /// What the prefix matches, and more if it has assertions, which are left out.
    pub(crate) prefix_hir: Hir,
    pub(crate) prefix_is_exact: bool,
    pub(crate) suffix: Hir,
    /// The suffix begins with one of these: grams or, where there are no rare ones, class windows.
    pub(crate) grams: Vec<Gram>,
    /// And with one of these, which lie an odd number of bytes away from the former: of both, every other
    /// byte has one. None if they would be too many or too common.
    pub(crate) other_grams: Option<Vec<Gram>>,
    pub(crate) class_windows: BTreeSet<ClassWindow>,
    /// Expected candidates for each byte of typical data.
    pub(crate) frequency: f64,
}

pub(crate) const UNBOUNDED: usize = usize::MAX;

/// Four bytes, letters in lower case, and where they lie, counted from the byte before the suffix's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gram {
    pub(crate) bytes: [u8; GRAM],
    pub(crate) offset: u8,
    /// What has to be near it, as a word: see [`crate::rules::prefilter::confirm`].
    pub(crate) confirm_mask: u32,
}

/// Bytes of a class window.
pub(crate) const CLASS_WINDOW: usize = layout::CLASS_WINDOW_BYTES as usize;

/// A byte of each of these sets in a row, and where they lie from the suffix's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassWindow {
    pub(crate) sets: [ByteSet; CLASS_WINDOW],
    pub(crate) offset: u8,
}

/// For each alternative of a rule, one of which every match is, the places to split it at; none if some
/// alternative has no usable factors.
pub(crate) fn factors(hir: &Hir, effort: &Effort) -> Option<Vec<SplitCandidates>> {
    /// Alternations, one inside the other or one after the other, that a rule without factors as a whole is
    /// taken apart at, and the alternatives of all but the first.
    const DEEPEST: usize = 2;
    const MOST_ALTERNATIVES: usize = 8;

    /// What a rule as a whole may cost before its alternatives are tried one by one.
    const DEAR: f64 = 1e-3;

    fn of_alternatives(
        hir: &Hir,
        effort: &Effort,
        depth: usize,
        is_needed: bool,
    ) -> Option<Vec<SplitCandidates>> {
        let parts = parts(hir, MOST_PARTS);
        let alternatives = parts.iter().enumerate().find_map(|(at, part)| match part.kind() {
            HirKind::Alternation(subs) => Some((at, subs)),
            _ => None,
        });
        let (at, subs) = alternatives.filter(|_| depth < DEEPEST)?;
        if (depth > 0 || !is_needed) && subs.len() > MOST_ALTERNATIVES {
            return None;
        }
        let mut all = Vec::new();
        for sub in subs {
            let rest = [&parts[..at], std::slice::from_ref(sub), &parts[at + 1..]];
            all.extend(of(&Hir::concat(rest.concat()), effort, depth + 1)?);
        }
        Some(all)
    }

    fn of(hir: &Hir, effort: &Effort, depth: usize) -> Option<Vec<SplitCandidates>> {
        let whole = SplitCandidates::by(hir, windows, effort);
        let cost = whole.least_cost().unwrap_or(f64::INFINITY);
        if cost > DEAR
            && let Some(all) = of_alternatives(hir, effort, depth, cost == f64::INFINITY)
            && all.iter().filter_map(SplitCandidates::least_cost).sum::<f64>() < cost / 2.0
        {
            return Some(all);
        }
        (cost < f64::INFINITY).then(|| vec![whole])
    }

    of(hir, effort, 0)
}

/// As [`factors`], by class windows, for a rule as a whole.
pub(crate) fn by_class_windows(hir: &Hir, effort: &Effort) -> Option<Vec<SplitCandidates>> {
    let mut candidates = SplitCandidates::by(hir, best_class_windows, effort);
    candidates.list.retain(|candidate| !candidate.is_unbounded());
    (!candidates.list.is_empty()).then(|| vec![candidates])
}

/// The places where an alternative can be split at, best first.
pub(crate) struct SplitCandidates {
    parts: Vec<Hir>,
    alphabet: Alphabet,
    list: Vec<SplitCandidate>,
}

impl SplitCandidates {
    fn by(
        hir: &Hir,
        windows: fn(&[Shape], &mut Alphabet, &Effort) -> Option<Windows>,
        effort: &Effort,
    ) -> SplitCandidates {
        /// Ten candidates a MiB.
        const GOOD_ENOUGH: f64 = 1e-4;
        /// What it is worth to look for something else than what is behind an endless prefix: where it occurs at all, more
        /// often than bytes that have nothing to do with each other would have it, every start is verified.
        const OF_RISK: f64 = 3e-2;

        let parts = parts(hir, MOST_PARTS);
        let mut alphabet = Alphabet::new();
        let mut list = Vec::new();
        let mut prefix = [0_usize; 2];
        let walks = Walks::of(&parts);
        let shapes: Vec<Shape> = parts.iter().map(|part| Shape::of(part, &mut alphabet)).collect();
        for (at, part) in parts.iter().enumerate().take(MOST_PARTS) {
            if let Some(windows) = windows(&shapes[at..], &mut alphabet, effort) {
                let walked = walks.of_candidate(at, prefix, windows.end());
                let cost = cost(windows.frequency, windows.gram_count, walked);
                let risk = if walks.is_endless[..at].contains(&true) { OF_RISK } else { 0.0 };
                list.push(SplitCandidate { score: cost + risk, at, prefix, windows });
                // Behind an endless part all others are at risk too.
                if cost <= GOOD_ENOUGH {
                    break;
                }
            }
            let properties = part.properties();
            let Some(least) = properties.minimum_len() else { break };
            prefix[0] = prefix[0].saturating_add(least);
            prefix[1] = prefix[1].saturating_add(properties.maximum_len().unwrap_or(UNBOUNDED));
            if prefix[1] - prefix[0] > MOST_SPREAD {
                prefix[1] = UNBOUNDED;
            }
        }
        list.sort_by(|one, other| one.score.total_cmp(&other.score));
        SplitCandidates { parts, alphabet, list }
    }

    fn least_cost(&self) -> Option<f64> {
        self.list.first().map(|candidate| candidate.score)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SplitCandidate> {
        self.list.iter()
    }

    pub(crate) fn split(&self, candidate: &SplitCandidate) -> SplitHir {
        let SplitCandidate { at, prefix, windows, .. } = candidate;
        let of_paths = &windows.of_paths;
        let mut grams = Vec::new();
        let mut other_grams = Some(Vec::new());
        let mut class_windows = BTreeSet::new();
        if windows.gram_count == 0 {
            class_windows = of_paths.iter().map(|of_path| self.class_window(of_path)).collect();
        } else {
            grams = self.grams(of_paths.iter().map(|of_path| (&of_path.path, of_path.offset)));
            let others = of_paths.iter().map(|of_path| Some((&of_path.path, of_path.other?)));
            let others: Option<Vec<_>> = others.collect();
            other_grams = others
                .map(|others| self.grams(others.into_iter()))
                .filter(|grams| grams.len() <= MOST_GRAMS);
        }
        let prefix_hir = Hir::concat(self.parts[..*at].to_vec());
        SplitHir {
            prefix: *prefix,
            prefix_is_exact: prefix_hir.properties().look_set().is_empty(),
            prefix_hir: without_looks(&prefix_hir),
            suffix: Hir::concat(self.parts[*at..].to_vec()),
            grams,
            other_grams,
            class_windows,
            frequency: windows.frequency,
        }
    }

    fn class_window(&self, OfPath { path, offset, .. }: &OfPath) -> ClassWindow {
        let sets: Vec<ByteSet> = self.alphabet.models_of(path).map(|model| model.set).collect();
        let set = |at| sets.get(offset + at).copied().unwrap_or(ANY);
        ClassWindow { sets: std::array::from_fn(set), offset: narrow(*offset) }
    }

    /// The grams at these places of strings of byte sets, each with its confirm mask.
    fn grams<'p>(&self, paths: impl Iterator<Item = (&'p Path, usize)>) -> Vec<Gram> {
        let any = Alphabet::ANY;
        let mut by_offset: BTreeMap<usize, Vec<Vec<&ByteSetModel>>> = BTreeMap::new();
        for (path, offset) in paths {
            let padded = [any].into_iter().chain(path.iter().copied()).chain([any]);
            let models = padded.map(|number| &self.alphabet.models[usize::from(number)]);
            by_offset.entry(offset).or_default().push(models.collect());
        }
        let mut grams = Vec::new();
        for (offset, strings) in by_offset {
            let distance = confirm::distance(&strings, offset);
            let mut windows: BTreeMap<[&[u8]; GRAM], u32> = BTreeMap::new();
            for string in &strings {
                let confirm_mask = confirm::word(string, offset, distance);
                let window = std::array::from_fn(|at| &string[offset + at].folded[..]);
                let known = windows.entry(window).or_insert(confirm_mask);
                *known = confirm::either(*known, confirm_mask);
            }
            let mut found: BTreeMap<[u8; GRAM], u32> = BTreeMap::new();
            for (window, confirm_mask) in windows {
                for_each_gram(window, |bytes| {
                    let known = found.entry(bytes).or_insert(confirm_mask);
                    *known = confirm::either(*known, confirm_mask);
                });
            }
            let offset = narrow(offset);
            grams.extend(found.into_iter().map(|(bytes, confirm_mask)| Gram {
                bytes,
                offset,
                confirm_mask,
            }));
        }
        grams
    }
}

/// What it costs to look for so many grams that are so frequent, each of which begins a walk of so many
/// bytes. A gram costs what others are taken for it in the bitmap.
fn cost(frequency: f64, gram_count: usize, walked: f64) -> f64 {
    /// A candidate costs about as much as so many bytes of a walk.
    const OF_CANDIDATE: f64 = 10.0;
    const OF_GRAM: f64 = 1e-5;
    frequency * (OF_CANDIDATE + walked) + OF_GRAM * gram_count as f64
}

/// What `hir` matches if all assertions hold.
fn without_looks(hir: &Hir) -> Hir {
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

/// Walks over the parts of a rule.
struct Walks {
    forwards: Vec<Walk>,
    backwards: Vec<Walk>,
    /// Least length of each part.
    least: Vec<usize>,
    /// Whether it repeats without end what hardly any byte ends, and what none ends that is frequent in text.
    runs_on: Vec<bool>,
    is_endless: Vec<bool>,
}

impl Walks {
    fn of(parts: &[Hir]) -> Walks {
        let walks = |direction| parts.iter().map(|part| Walk::of(part, direction)).collect();
        let least = |part: &Hir| part.properties().minimum_len().unwrap_or(UNBOUNDED);
        Walks {
            forwards: walks(Direction::Forwards),
            backwards: walks(Direction::Backwards),
            least: parts.iter().map(least).collect(),
            runs_on: parts.iter().map(|part| repeats(part, &is_wide)).collect(),
            is_endless: parts.iter().map(|part| repeats(part, &is_endless)).collect(),
        }
    }

    /// Bytes that are walked for a candidate where the rule is split before part `at`, and what is looked for
    /// ends so many bytes into the suffix.
    fn of_candidate(&self, at: usize, prefix: [usize; 2], known_end: usize) -> f64 {
        /// A prefix without bounds is longer, once in a while, than is walked; then a scan begins again, and
        /// verifies such rules from every start. Where hardly any byte ends it, that is to be expected.
        const OF_LONG: f64 = 1000.0;
        const OF_ENDLESS: f64 = 64e6;
        /// Long walks forwards share what is behind them.
        const OF_SUFFIX: f64 = 256.0;

        let mut length = 0_usize;
        let suffix = self.forwards[at..].iter().zip(&self.least[at..]).map(|(walk, least)| {
            let known = known_end.saturating_sub(length).min(*least);
            length = length.saturating_add(*least);
            walk.known(known as f64 / (*least).max(1) as f64)
        });
        if prefix[0] == prefix[1] {
            // Walked from the prefix's start.
            let walk = Walk::over(self.forwards[..at].iter().copied().chain(suffix));
            return walk.bytes.min(OF_SUFFIX);
        }
        let suffix = Walk::over(suffix);
        let suffix_bytes = suffix.bytes.min(OF_SUFFIX);
        let reverse_prefix = Walk::over(self.backwards[..at].iter().rev().copied());
        let of_long = match prefix[1] {
            UNBOUNDED if self.runs_on[..at].contains(&true) => OF_ENDLESS,
            UNBOUNDED => OF_LONG,
            _ => 0.0,
        };
        suffix_bytes + suffix.chance() * (reverse_prefix.bytes + of_long)
    }
}

/// Whether hardly any byte is not in the class.
fn is_wide(class: &Class) -> bool {
    /// Of the 128 of ASCII.
    const NEARLY_ALL: usize = 100;

    let holds = walk_cost::holds(class);
    (0..128).filter(|&byte| holds(byte)).count() >= NEARLY_ALL
}

/// Whether typical text goes on in the class for longer than prefixes are walked over at little cost.
fn is_endless(class: &Class) -> bool {
    let holds = walk_cost::holds(class);
    let ends: f64 = (0..=255).filter(|&byte| !holds(byte)).map(byte_probability).sum();
    ends * f64::from(layout::PREFIX_STEPS) < 1.0
}

/// Whether something repeats such a class without end.
fn repeats(hir: &Hir, is_such: &impl Fn(&Class) -> bool) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            let is_class = matches!(repetition.sub.kind(), HirKind::Class(class) if is_such(class));
            (repetition.max.is_none() && is_class) || repeats(&repetition.sub, is_such)
        }
        HirKind::Capture(capture) => repeats(&capture.sub, is_such),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => {
            subs.iter().any(|sub| repeats(sub, is_such))
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => false,
    }
}

/// A place to split a rule at, and what it would cost.
pub(crate) struct SplitCandidate {
    score: f64,
    at: usize,
    prefix: [usize; 2],
    windows: Windows,
}

impl SplitCandidate {
    pub(crate) fn is_unbounded(&self) -> bool {
        self.prefix[1] == UNBOUNDED
    }
}

/// A string of byte sets, by their numbers in an alphabet.
type Path = Vec<u16>;

/// The byte sets of a rule, and what is known of each, and of each four in a row.
struct Alphabet {
    models: Vec<ByteSetModel>,
    numbers: HashMap<ByteSet, u16>,
    /// How many grams four in a row make, and how often typical data has them.
    costs: HashMap<Path, (usize, f64)>,
}

impl Alphabet {
    /// Of the set of all bytes.
    const ANY: u16 = 0;

    fn new() -> Alphabet {
        let mut alphabet =
            Alphabet { models: Vec::new(), numbers: HashMap::new(), costs: HashMap::new() };
        alphabet.number(ANY);
        alphabet
    }

    /// None if there are more sets than numbers.
    fn number(&mut self, set: ByteSet) -> Option<u16> {
        match self.numbers.entry(set) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) => {
                let number = u16::try_from(self.models.len()).ok()?;
                self.models.push(ByteSetModel::new(set));
                Some(*entry.insert(number))
            }
        }
    }

    fn models_of<'a>(&'a self, path: &'a [u16]) -> impl Iterator<Item = &'a ByteSetModel> {
        path.iter().map(|&number| &self.models[usize::from(number)])
    }

    fn cost(&mut self, window: &[u16]) -> (usize, f64) {
        if let Some(cost) = self.costs.get(window) {
            return *cost;
        }
        let models: Vec<&ByteSetModel> = self.models_of(window).collect();
        let count = models.iter().map(|model| model.folded.len()).product::<usize>();
        let cost = (count, window_probability(&models));
        self.costs.insert(window.to_vec(), cost);
        cost
    }
}

/// Every byte.
const ANY: ByteSet = [u32::MAX; 8];

/// Where the grams lie in each string that a suffix may begin with; or the class windows, if there are no grams.
struct Windows {
    of_paths: Vec<OfPath>,
    gram_count: usize,
    frequency: f64,
}

impl Windows {
    /// The least bytes of a suffix that end with what is looked for.
    fn end(&self) -> usize {
        let bytes = if self.gram_count == 0 { CLASS_WINDOW } else { GRAM - 1 };
        self.of_paths.iter().map(|of_path| of_path.offset + bytes).min().unwrap_or(0)
    }
}

struct OfPath {
    path: Path,
    /// Where its gram lies, as [`Gram::offset`] counts; or its class window, from the suffix's start.
    offset: usize,
    /// Where its other gram lies, if there is one.
    other: Option<usize>,
}

/// The parts of a concatenation, single bytes wherever possible, so that it can be split anywhere; from the `most`th
/// part on as they are.
fn parts(hir: &Hir, most: usize) -> Vec<Hir> {
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
fn unroll(repetition: &Repetition) -> (u32, Option<Hir>) {
    let copies = repetition.min.min(narrow(SUFFIX_BYTES[0]));
    let rest = Repetition {
        min: repetition.min - copies,
        max: repetition.max.map(|max| max - copies),
        ..repetition.clone()
    };
    let is_empty = rest.max == Some(0);
    (copies, (!is_empty).then(|| Hir::repetition(rest)))
}

/// The rarest grams that what `parts` match has to begin with; none if they are too many or too common.
fn windows(parts: &[Shape], alphabet: &mut Alphabet, effort: &Effort) -> Option<Windows> {
    SUFFIX_BYTES.into_iter().find_map(|bytes| {
        let mut windows = Windows { of_paths: Vec::new(), gram_count: 0, frequency: 0.0 };
        // Paths often share a window.
        let mut known = HashSet::new();
        for path in paths(parts, bytes, effort)? {
            if !effort.spend(path.len()) {
                return None;
            }
            let padded = padded(&path);
            // The start of the haystack has no byte before it, and a byte behind is a poor one.
            let last = (path.len() + 1).saturating_sub(GRAM).clamp(1, MOST_OFFSET);
            let Window { offset, count, frequency } =
                rarest_window(&padded, alphabet, |offset| (1..=last).contains(&offset))?;
            let is_other = |at: usize| at <= MOST_OFFSET && at % 2 != offset % 2;
            let other = rarest_window(&padded, alphabet, is_other)
                .filter(|other| other.frequency <= MOST_FREQUENT)
                .map(|other| other.offset);
            let window_at = |offset: usize| padded[offset..offset + GRAM].to_vec();
            if known.insert((window_at(offset), None)) {
                windows.gram_count += count;
            }
            if known.insert((window_at(offset), Some(offset))) {
                windows.frequency += frequency;
            }
            windows.of_paths.push(OfPath { path, offset, other });
            if windows.gram_count > MOST_GRAMS || windows.frequency > MOST_FREQUENT {
                return None;
            }
        }
        Some(windows)
    })
}

/// As [`windows`], for class windows.
fn best_class_windows(
    parts: &[Shape],
    alphabet: &mut Alphabet,
    effort: &Effort,
) -> Option<Windows> {
    let mut windows = Windows { of_paths: Vec::new(), gram_count: 0, frequency: 0.0 };
    let mut known = HashSet::new();
    for path in paths(parts, SUFFIX_BYTES[0], effort)? {
        if !effort.spend(path.len() * CLASS_WINDOW) {
            return None;
        }
        let models: Vec<&ByteSetModel> = alphabet.models_of(&path).collect();
        let probability =
            |at: usize| independent_probability(models.iter().copied().skip(at).take(CLASS_WINDOW));
        let offsets = 0..=path.len().saturating_sub(CLASS_WINDOW).min(MOST_OFFSET - 1);
        let offset = offsets.min_by(|a, b| probability(*a).total_cmp(&probability(*b)))?;
        let window: Path = path.iter().skip(offset).take(CLASS_WINDOW).copied().collect();
        if known.insert((window, offset)) {
            windows.frequency += probability(offset);
            windows.of_paths.push(OfPath { path, offset, other: None });
        }
    }
    (windows.frequency <= MOST_FREQUENT).then_some(windows)
}

/// What strings of byte sets see of a syntax tree.
enum Shape {
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
    fn of(hir: &Hir, alphabet: &mut Alphabet) -> Shape {
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
fn paths(parts: &[Shape], bytes: usize, effort: &Effort) -> Option<BTreeSet<Path>> {
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
    fn read(&mut self, path: &mut OpenPath, set: u16) {
        self.read.push((set, path.last));
        path.last = Some(self.read.len() - 1);
        path.len += 1;
    }

    fn follow(&mut self, path: &mut OpenPath, shape: Option<&'s Shape>) {
        self.follows.push((shape, path.follows));
        path.follows = Some(self.follows.len() - 1);
    }

    /// What comes next, which does not then any more; none at the end, or if that is not looked into.
    fn take(&self, path: &mut OpenPath, parts: &'s [Shape]) -> Option<&'s Shape> {
        if let Some(first) = path.follows {
            let (shape, rest) = self.follows[first];
            path.follows = rest;
            return shape;
        }
        path.next_part += 1;
        parts.get(path.next_part - 1)
    }

    fn path(&self, path: &OpenPath) -> Path {
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

/// Four bytes in a row of a padded string: where, how many grams they make, and how often typical data has
/// them.
struct Window {
    offset: usize,
    count: usize,
    frequency: f64,
}

/// A string with any byte before and behind it.
fn padded(path: &[u16]) -> Path {
    let any = [Alphabet::ANY];
    any.into_iter().chain(path.iter().copied()).chain(any).collect()
}

/// The window of which typical data has fewest, among those at places that will do.
fn rarest_window(
    padded: &[u16],
    alphabet: &mut Alphabet,
    will_do: impl Fn(usize) -> bool,
) -> Option<Window> {
    let windows = padded.windows(GRAM).enumerate().filter(|(offset, _)| will_do(*offset));
    windows
        .map(|(offset, window)| {
            let (count, frequency) = alphabet.cost(window);
            Window { offset, count, frequency }
        })
        .filter(|window| (1..=MOST_WINDOW_GRAMS).contains(&window.count))
        .min_by(|one, other| {
            let cost = |window: &Window| cost(window.frequency, window.count, 0.0);
            cost(one).total_cmp(&cost(other))
        })
}

/// Calls `visit` with all strings of one byte of each of these.
fn for_each_gram([first, second, third, fourth]: [&[u8]; GRAM], mut visit: impl FnMut([u8; GRAM])) {
    for &a in first {
        for &b in second {
            for &c in third {
                fourth.iter().for_each(|&d| visit([a, b, c, d]));
            }
        }
    }
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
    use regex_syntax::hir::Look;

    use super::*;

    fn parse(pattern: &str) -> Hir {
        ParserBuilder::new().utf8(false).unicode(false).build().parse(pattern).unwrap()
    }

    fn enough() -> Effort {
        Effort::new(u64::MAX)
    }

    fn one(pattern: &str) -> SplitHir {
        let alternatives = factors(&parse(pattern), &enough()).unwrap();
        let [candidates] = &alternatives[..] else { panic!("{pattern}") };
        candidates.split(&candidates.list[0])
    }

    fn texts(split: &SplitHir) -> Vec<String> {
        split.grams.iter().map(|gram| String::from_utf8(gram.bytes.to_vec()).unwrap()).collect()
    }

    #[test]
    fn cuts_before_the_rarest_bytes() {
        let split = one(r"[\w.-]{0,50}?(?i:adafruit)[ \t\w.-]{0,20}=");
        assert_eq!(split.prefix, [0, 50]);
        assert_eq!(split.grams.len(), 1);
        assert!("adafruit".contains(&texts(&split)[0]));

        let split = one(r"\bghp_[0-9A-Za-z]{36}\b");
        assert_eq!((split.prefix[1], texts(&split)), (0, vec!["ghp_".to_owned()]));

        let split = one("(?:foo|bar)[xy]z");
        assert_eq!(split.prefix, [0, 0]);
        assert_eq!(split.grams.len(), 4);
    }

    /// Rare as what follows may be: where it occurs, the prefix goes on to nobody knows where.
    #[test]
    fn does_not_cut_behind_what_nothing_ends() {
        assert_eq!(one(r"filename=[^\n]*\.chm").prefix, [2, 2]);
        // Never in typical text, and where it is all the same it is everywhere.
        let prefix = one(r"(?is)table=.*%0d%0a.*HTTP/1").prefix;
        assert_eq!(prefix[0], prefix[1]);
        // Typical text ends this soon.
        assert_eq!(one(r"[a-z0-9]+\.azconfig\.io").prefix[1], UNBOUNDED);
    }

    #[test]
    fn says_where_there_is_nothing_to_look_for() {
        for pattern in ["a+", ".*", "ab", "x|yyyy", "(?:abc)?", r"\w{20}", "[a-z]+xy"] {
            assert!(factors(&parse(pattern), &enough()).is_none(), "{pattern}");
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
        /// Every match has, in some split, a prefix of allowed length, then the suffix, with one of the
        /// grams at its place.
        #[test]
        fn every_match_contains_a_factor(
            pattern in pattern(),
            haystack in prop::collection::vec(prop::sample::select(&b"aabbccddABCDxyz "[..]), 0..30),
        ) {
            let hir = parse(&pattern);
            let Some(alternatives) = factors(&hir, &enough()) else { return Ok(()) };
            for place in 0..alternatives.iter().map(|candidates| candidates.list.len()).max().unwrap_or(0) {
            let splits: Vec<SplitHir> = alternatives
                .iter()
                .map(|candidates| candidates.split(&candidates.list[place.min(candidates.list.len() - 1)]))
                .collect();
            let config = || meta::Config::new().utf8_empty(false);
            let build =
                |hir: &Hir| meta::Builder::new().configure(config()).build_from_hir(hir).unwrap();
            let whole = build(&hir);
            let suffixes: Vec<_> =
                splits.iter().map(|split| build(&split.suffix)).collect();
            let ended = |hir: &Hir| Hir::concat(vec![hir.clone(), Hir::look(Look::End)]);
            let prefixes: Vec<_> =
                splits.iter().map(|split| build(&ended(&split.prefix_hir))).collect();
            for start in 0..haystack.len() {
                let input = Input::new(&haystack).range(start..).anchored(Anchored::Yes);
                let Some(found) = whole.find(input) else { continue };
                // Before the start and past the end, three bytes are met by anything.
                let is_at = |gram: &Gram, suffix: usize| {
                    (0..GRAM).all(|byte| {
                        let at = (suffix + usize::from(gram.offset) + byte).checked_sub(1);
                        match at.and_then(|at| haystack.get(at)) {
                            Some(found) => found.to_ascii_lowercase() == gram.bytes[byte],
                            None => byte == 0 || byte == GRAM - 1,
                        }
                    })
                };
                let is_confirmed = |gram: &Gram, suffix: usize| {
                    let distance = gram.confirm_mask >> layout::CONFIRM_BITS;
                    let at = suffix + usize::from(gram.offset) + distance as usize;
                    let at = at.checked_sub(1 + layout::CONFIRM_ZERO as usize);
                    let confirm_mask = at.and_then(|at| haystack.get(at..at + GRAM)).map(|bytes| {
                        let bytes = bytes.to_ascii_lowercase().try_into().unwrap();
                        u32::from_le_bytes(bytes).wrapping_mul(layout::GRAM_HASH) >> layout::GRAM_BIT
                    });
                    gram.confirm_mask == layout::CONFIRM_ANY
                        || confirm_mask.is_some_and(|bit| bit >= layout::CONFIRM_BITS || gram.confirm_mask >> bit & 1 == 1)
                };
                let is_at = |gram: &Gram, suffix: usize| is_at(gram, suffix) && is_confirmed(gram, suffix);
                let gram_at = |split: &SplitHir, suffix: usize| {
                    split.grams.iter().filter(|gram| is_at(gram, suffix)).any(|gram| {
                        let is_other = |other: &Gram| {
                            (gram.offset + other.offset) % 2 == 1 && is_at(other, suffix)
                        };
                        split.other_grams.as_ref().is_none_or(|grams| grams.iter().any(is_other))
                    })
                };
                let explained = splits.iter().zip(&suffixes).zip(&prefixes).any(|((split, suffix_regex), prefix_regex)| {
                    let most = split.prefix[1].min(haystack.len() - start);
                    (split.prefix[0]..=most).map(|prefix| start + prefix).any(|suffix| {
                        let input = Input::new(&haystack).range(suffix..).anchored(Anchored::Yes);
                        let prefix = Input::new(&haystack[start..suffix]).anchored(Anchored::Yes);
                        gram_at(split, suffix)
                            && suffix_regex.is_match(input)
                            && prefix_regex.is_match(prefix)
                    })
                });
                prop_assert!(explained, "{} at {:?}: {:?}", pattern, found, splits);
            }
            }
        }
    }
}
