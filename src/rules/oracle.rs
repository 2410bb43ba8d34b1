//! The CPU oracle: the matches of a pipeline by definition.
//!
//! It shares no table and no algorithm with the kernels. Leftmost-first matches are those that
//! `regex_automata` finds, which is how the `regex` crate finds them. All matches come from the meaning of
//! the syntax tree, as sets of ends: a concatenation ends where its last part does when each part begins
//! where the one before ended, and so on.

use rayon::prelude::*;
use regex_automata::util::look::{Look, LookMatcher};
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::automata::position_nfa::PositionNfa;
use super::options::{compiler, parse};
use super::rule::without_empty;
use super::{PipelineOptions, Rule, RulePipeline};
use crate::narrow::narrow;
use crate::{Match, MatchKind};

impl RulePipeline {
    /// The matches in `haystack` by definition, found on the CPU: what every scan has to equal. Slow.
    ///
    /// # Panics
    ///
    /// If `haystack` has 4 GiB or more, or if the rules' automata do not come of the patterns' texts, which may only be
    /// in what [`RulePipeline::from_bytes`] has read.
    pub fn reference_scan(&self, haystack: &[u8]) -> Vec<Match> {
        self.reference_scan_bounded(haystack, u32::MAX)
    }

    /// As [`RulePipeline::reference_scan`], with matches of at most `max_scan_bytes` bytes. A
    /// leftmost-first match is then the most preferred one of those.
    ///
    /// # Panics
    ///
    /// As [`RulePipeline::reference_scan`].
    pub fn reference_scan_bounded(&self, haystack: &[u8], max_scan_bytes: u32) -> Vec<Match> {
        assert!(u32::try_from(haystack.len()).is_ok(), "offsets are 32 bits wide");
        let of_rule = |(id, rule): (usize, &Rule)| {
            let hir = self.meaning_of(rule).unwrap_or_else(|| {
                panic!("the automata of rule {id} do not come of its text: {:?}", rule.pattern)
            });
            let mut matches = Vec::new();
            let mut report = |start: usize, end: usize| {
                if start < end {
                    let [start, end] = [start, end].map(narrow);
                    matches.push(Match { pattern_id: narrow(id), start, end });
                }
            };
            match self.options.match_kind {
                MatchKind::LeftmostFirst => {
                    leftmost_first(&hir, &self.options, haystack, max_scan_bytes, &mut report);
                }
                MatchKind::All => all(&hir, &self.options, haystack, max_scan_bytes, &mut report),
            }
            matches
        };
        let mut matches: Vec<Match> =
            self.rules.par_iter().enumerate().flat_map_iter(of_rule).collect();
        matches.sort_unstable();
        matches
    }

    /// The syntax tree of a rule's text, if the rule's automata come of it.
    fn meaning_of(&self, rule: &Rule) -> Option<Hir> {
        let hir = without_empty(parse(&rule.pattern, &self.options).ok()?);
        let thompson = compiler(&self.options).build_from_hir(&hir).ok()?;
        (PositionNfa::new(&thompson) == rule.nfa).then_some(hir)
    }
}

fn leftmost_first(
    hir: &Hir,
    options: &PipelineOptions,
    haystack: &[u8],
    max_scan_bytes: u32,
    report: &mut impl FnMut(usize, usize),
) {
    let config = meta::Config::new()
        .utf8_empty(false)
        // Its literal optimisations are wrong for some patterns (0.4.18), and this goes by definition.
        .auto_prefilter(false)
        // As in the `regex` crate. DFAs get `\B` and `$` wrong beside a line terminator that is a letter: full ones the
        // first, lazy ones the second.
        .dfa(false)
        .hybrid(options.line_terminator == b'\n')
        .line_terminator(options.line_terminator)
        .nfa_size_limit(None);
    let regex =
        meta::Builder::new().configure(config).build_from_hir(hir).expect("it compiled before");
    let max = max_scan_bytes as usize;
    if max >= haystack.len() {
        regex.find_iter(haystack).for_each(|found| report(found.start(), found.end()));
        return;
    }
    let mut start = 0;
    while start < haystack.len() {
        let end = haystack.len().min(start + max);
        let input = Input::new(haystack).range(start..end).anchored(Anchored::Yes);
        match regex.find(input) {
            Some(found) if !found.is_empty() => {
                report(start, found.end());
                start = found.end();
            }
            _ => start += 1,
        }
    }
}

fn all(
    hir: &Hir,
    options: &PipelineOptions,
    haystack: &[u8],
    max_scan_bytes: u32,
    report: &mut impl FnMut(usize, usize),
) {
    let mut looks = LookMatcher::new();
    looks.set_line_terminator(options.line_terminator);
    for start in 0..haystack.len() {
        let end = haystack.len().min(start.saturating_add(max_scan_bytes as usize));
        let meaning = Meaning { haystack, end, looks: &looks };
        meaning.ends(hir, start).into_iter().for_each(|end| report(start, end));
    }
}

/// Every end of a match of `hir` that starts at `start`.
#[cfg(test)]
pub(super) fn ends_from(hir: &Hir, haystack: &[u8], start: usize) -> Vec<usize> {
    Meaning { haystack, end: haystack.len(), looks: &LookMatcher::new() }.ends(hir, start)
}

/// What syntax trees mean over a haystack, for matches that end at or before `end`.
struct Meaning<'a> {
    haystack: &'a [u8],
    end: usize,
    looks: &'a LookMatcher,
}

impl Meaning<'_> {
    /// Every end of a match of `hir` that starts at `at`, ascending, each once.
    fn ends(&self, hir: &Hir, at: usize) -> Vec<usize> {
        let window = &self.haystack[at..self.end];
        match hir.kind() {
            HirKind::Empty => vec![at],
            HirKind::Literal(literal) if window.starts_with(&literal.0) => {
                vec![at + literal.0.len()]
            }
            HirKind::Literal(_) => vec![],
            HirKind::Class(Class::Bytes(class)) => {
                let holds = |byte: &u8| {
                    class.iter().any(|range| (range.start()..=range.end()).contains(byte))
                };
                if window.first().is_some_and(holds) { vec![at + 1] } else { vec![] }
            }
            HirKind::Class(Class::Unicode(class)) => {
                let first = first_char(window);
                let holds = |character: &char| {
                    class.iter().any(|range| (range.start()..=range.end()).contains(character))
                };
                first.filter(holds).map(|character| at + character.len_utf8()).into_iter().collect()
            }
            HirKind::Look(look) => {
                let look = Look::from_repr(look.as_repr()).expect("both crates number them alike");
                if self.looks.matches(look, self.haystack, at) { vec![at] } else { vec![] }
            }
            HirKind::Capture(capture) => self.ends(&capture.sub, at),
            HirKind::Concat(parts) => {
                let begin = self.ends(&parts[0], at);
                parts[1..].iter().fold(begin, |from, part| self.ends_of_any(part, &from))
            }
            HirKind::Alternation(alternates) => {
                sorted(alternates.iter().flat_map(|hir| self.ends(hir, at)).collect())
            }
            HirKind::Repetition(repetition) => self.repetition_ends(repetition, at),
        }
    }

    fn ends_of_any(&self, hir: &Hir, starts: &[usize]) -> Vec<usize> {
        match starts {
            [] => vec![],
            [only] => self.ends(hir, *only),
            _ => sorted(starts.iter().flat_map(|&start| self.ends(hir, start)).collect()),
        }
    }

    fn repetition_ends(&self, repetition: &Repetition, at: usize) -> Vec<usize> {
        let mut latest = vec![at];
        for _ in 0..repetition.min {
            let next = self.ends_of_any(&repetition.sub, &latest);
            if next == latest || next.is_empty() {
                // More of the same changes nothing.
                latest = next;
                break;
            }
            latest = next;
        }
        let mut ends = latest.clone();
        let mut count = repetition.min;
        while !latest.is_empty() && repetition.max.is_none_or(|max| count < max) {
            // An end that fewer repeats reach has been gone on from already.
            latest = self.ends_of_any(&repetition.sub, &latest);
            latest.retain(|end| ends.binary_search(end).is_err());
            ends.extend(&latest);
            ends = sorted(ends);
            count += 1;
        }
        ends
    }
}

fn sorted(mut ends: Vec<usize>) -> Vec<usize> {
    ends.sort_unstable();
    ends.dedup();
    ends
}

fn first_char(bytes: &[u8]) -> Option<char> {
    let bytes = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).expect("valid up to here"),
    };
    valid.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside a line terminator that is a letter, `$` holds nowhere but before that and at the end.
    #[test]
    fn lines_may_end_with_a_letter() {
        let options = PipelineOptions { line_terminator: b'b', ..PipelineOptions::default() };
        let rules = RulePipeline::with_options(&[r"(?:a.(?m:$)|\PL)"], options).unwrap();
        let found = |start, end| Match { pattern_id: 0, start, end };
        assert_eq!(rules.reference_scan(b"a\r\n"), [found(1, 2), found(2, 3)]);
        assert_eq!(rules.reference_scan(b"a\rb"), [found(0, 2)]);
    }
}
