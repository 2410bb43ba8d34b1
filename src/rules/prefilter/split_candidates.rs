//! Split candidates: where a rule can be looked for by what every match of it has to contain.
//!
//! Running automata from every byte is slow; finding the few bytes where a match could be is fast. So a rule
//! is split in two: a *prefix*, and a *suffix*, whose first bytes are one of few strings of byte classes. Four
//! bytes in a row of each such string, its *gram*, are chosen to be rare. A match can only be where one of the grams is, at a known distance from the suffix's start; how far the prefix reaches back from
//! there is known too, or walked backwards. This is the required-literal analysis of RE2's
//! `prefilter.cc` and Hyperscan's `ng_literal_analysis.cpp`, with byte classes in the place of characters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use regex_syntax::hir::{Hir, HirKind, Look};

use super::alphabet::{ANY, Alphabet, Path};
use super::confirm;
use super::cost::{Walks, cost};
use super::frequency::ByteSetModel;
use super::gram::{ClassWindow, GRAM, Gram, MOST_GRAMS, for_each_gram};
use super::parts::{Shape, UNBOUNDED, parts, without_looks};
use super::windows::{OfPath, Windows, best_class_windows, frequent_windows, windows};
use crate::narrow::narrow;
use crate::rules::automata::position_nfa::ByteSet;
use crate::rules::effort::Effort;

/// Places of a rule that it may be split at: nested repetitions have many.
const MOST_PARTS: usize = 256;

/// Bytes that a prefix's length may vary by to count as bounded.
pub(crate) const MOST_SPREAD: usize = 512;

/// One alternative of a rule, split into prefix and suffix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SplitHir {
    /// Least and greatest length of the prefix, in bytes; [`UNBOUNDED`] if there is no greatest.
    pub(crate) prefix: [usize; 2],
    /// What the prefix matches, and more if it has assertions, which are left out.
    pub(crate) prefix_hir: Hir,
    pub(crate) prefix_is_exact: bool,
    pub(crate) suffix: Hir,
    /// The suffix begins with one of these: grams or, where there are no rare ones, class windows. If there are neither, it is
    /// the haystack's end.
    pub(crate) grams: Vec<Gram>,
    /// And with one of these, which lie an odd number of bytes away from the former: of both, every other
    /// byte has one. None if they would be too many or too common.
    pub(crate) other_grams: Option<Vec<Gram>>,
    pub(crate) class_windows: BTreeSet<ClassWindow>,
    /// Expected candidates for each byte of typical data.
    pub(crate) frequency: f64,
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

/// As [`factors`], by class windows, for a rule as a whole. Prefixes are bounded, or end soon in typical data.
pub(crate) fn by_class_windows(hir: &Hir, effort: &Effort) -> Option<Vec<SplitCandidates>> {
    let mut candidates = SplitCandidates::by(hir, best_class_windows, effort);
    candidates.list.retain(|candidate| !candidate.is_unbounded() || !candidate.is_endless);
    (!candidates.list.is_empty()).then(|| vec![candidates])
}

/// As [`factors`], by grams that may be frequent, for a rule as a whole. Prefixes are bounded, or end soon in typical data.
pub(crate) fn by_frequent_grams(hir: &Hir, effort: &Effort) -> Option<Vec<SplitCandidates>> {
    let mut candidates = SplitCandidates::by(hir, frequent_windows, effort);
    candidates.list.retain(|candidate| !candidate.is_unbounded() || !candidate.is_endless);
    (!candidates.list.is_empty()).then(|| vec![candidates])
}

/// A rule of which every match ends where the haystack does, split there: the suffix is that place alone. None if there are
/// other matches.
pub(crate) fn at_end(hir: &Hir) -> Option<SplitHir> {
    let properties = hir.properties();
    if !properties.look_set_suffix().contains(Look::End) {
        return None;
    }
    let (least, most) = (properties.minimum_len()?, properties.maximum_len().unwrap_or(UNBOUNDED));
    let mut parts = parts(hir, MOST_PARTS);
    parts.pop_if(|part| matches!(part.kind(), HirKind::Look(Look::End)));
    let prefix_hir = Hir::concat(parts);
    Some(SplitHir {
        prefix: [least, if most - least > MOST_SPREAD { UNBOUNDED } else { most }],
        prefix_is_exact: prefix_hir.properties().look_set().is_empty(),
        prefix_hir: without_looks(&prefix_hir),
        suffix: Hir::look(Look::End),
        grams: Vec::new(),
        other_grams: Some(Vec::new()),
        class_windows: BTreeSet::new(),
        frequency: 0.0,
    })
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
                let is_endless = walks.is_endless[..at].contains(&true);
                let risk = if is_endless { OF_RISK } else { 0.0 };
                list.push(SplitCandidate { score: cost + risk, at, prefix, is_endless, windows });
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
            let place = confirm::place(&strings, offset);
            let mut windows: BTreeMap<[&[u8]; GRAM], u32> = BTreeMap::new();
            for string in &strings {
                let confirm_mask = confirm::word(string, offset, place);
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

/// A place to split a rule at, and what it would cost.
pub(crate) struct SplitCandidate {
    score: f64,
    at: usize,
    prefix: [usize; 2],
    /// Whether typical text may go on in the prefix for longer than it is walked over.
    is_endless: bool,
    windows: Windows,
}

impl fmt::Display for SplitCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, most] = self.prefix;
        write!(f, "before part {}, a prefix of {least} to ", self.at)?;
        match most {
            UNBOUNDED => write!(f, "any number of bytes")?,
            most => write!(f, "{most} bytes")?,
        }
        let Windows { of_paths, gram_count, frequency } = &self.windows;
        write!(f, ", {} strings, {gram_count} grams, ", of_paths.len())?;
        write!(f, "{frequency:.2e} candidates a byte, cost {:.2e}", self.score)
    }
}

impl SplitCandidate {
    pub(crate) fn is_unbounded(&self) -> bool {
        self.prefix[1] == UNBOUNDED
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
                    let at = suffix + usize::from(gram.offset);
                    confirm::meets(gram.confirm_mask, |distance| {
                        haystack.get((at as isize + distance - 1) as usize).copied()
                    })
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
