//! The groups of matches, found on the CPU: scans tell where a match is, and how its pattern's groups share it is worked out
//! for those matches alone that somebody asks about.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use regex_automata::util::captures;
use regex_automata::{Anchored, Input, meta};

use super::options::parse;
use super::{PipelineOptions, Rule, RulePipeline};
use crate::Match;

/// Where the groups of a match are, as [`RulePipeline::captures`] finds them.
#[derive(Clone, Debug)]
pub struct Captures {
    captures: captures::Captures,
}

/// Why there are no groups of what was given as a match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapturesError {
    /// There is no such rule.
    #[error("there is no pattern {pattern_id} among {rules}")]
    UnknownPattern {
        /// As the match has it.
        pattern_id: u32,
        /// How many rules there are.
        rules: usize,
    },
    /// The haystack has no such range.
    #[error("a match from {start} to {end} is not within a haystack of {bytes} bytes")]
    OutOfBounds {
        /// Offset of its first byte.
        start: u32,
        /// Offset after its last byte.
        end: u32,
        /// Length of the haystack.
        bytes: usize,
    },
    /// The pattern does not match there, or prefers to match less of it, as some do of what [`MatchKind::All`] reports.
    ///
    /// [`MatchKind::All`]: crate::MatchKind::All
    #[error(
        "from {start} to {end} is no leftmost-first match of pattern {pattern_id}: give it with the haystack that it was found in"
    )]
    NotAMatch {
        /// The pattern's index in the list that the pipeline was built from.
        pattern_id: u32,
        /// Offset of the first byte.
        start: u32,
        /// Offset after the last byte.
        end: u32,
    },
}

impl RulePipeline {
    /// Where the groups of a match are in `haystack`, as the `regex` crate's `captures` tells. It takes the CPU as long as
    /// matching the rule from the match's start on; the first time for a rule, its regular expression is compiled, too.
    ///
    /// `haystack` need not be all that was scanned: the match itself, and four bytes before and behind it where there are such,
    /// are as good, with the match's offsets in these.
    ///
    /// # Errors
    ///
    /// [`CapturesError`] if this is no leftmost-first match of one of the rules.
    ///
    /// # Examples
    ///
    /// ```
    /// use vkscan::RulePipeline;
    ///
    /// let rules = RulePipeline::new(&[r"(?<key>\w+)=(\d+)?"])?;
    /// let haystack = b"size=42";
    /// let found = rules.reference_scan(haystack)[0]; // or a scan of a device's
    /// let groups = rules.captures(haystack, &found).unwrap();
    /// assert_eq!(groups.get(0), Some(0..7));
    /// assert_eq!(groups.name("key"), Some(0..4));
    /// assert_eq!(groups.get(2), Some(5..7));
    /// assert!(groups.names().eq([None, Some("key"), None]));
    /// # Ok::<(), vkscan::BuildError>(())
    /// ```
    pub fn captures(&self, haystack: &[u8], found: &Match) -> Result<Captures, CapturesError> {
        let &Match { pattern_id, start, end } = found;
        let not_a_match = CapturesError::NotAMatch { pattern_id, start, end };
        let rules = self.rules.len();
        let rule = self
            .rules
            .get(pattern_id as usize)
            .ok_or(CapturesError::UnknownPattern { pattern_id, rules })?;
        let range = start as usize..end as usize;
        if range.start > range.end || range.end > haystack.len() {
            return Err(CapturesError::OutOfBounds { start, end, bytes: haystack.len() });
        }
        // Of tables that were read, texts may be anything.
        let regex = self.regexes.get(pattern_id, rule, &self.options);
        let regex = regex.ok_or_else(|| not_a_match.clone())?;
        // No path that is preferred ends within the match, or it would be the match.
        let input = Input::new(haystack).span(range).anchored(Anchored::Yes);
        let mut captures = regex.create_captures();
        regex.search_captures(&input, &mut captures);
        match captures.get_match() {
            Some(found) if found.end() == end as usize && start < end => Ok(Captures { captures }),
            _ => Err(not_a_match),
        }
    }
}

impl RulePipeline {
    /// Compiles what [`RulePipeline::captures`] takes for some patterns, by their ids, with as many threads as rayon has. Else each
    /// is compiled when it is asked for first.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vkscan::RulePipeline;
    /// let rules = RulePipeline::new(&["(a)", "(b)"])?;
    /// let haystack = b"ba";
    /// let found = rules.reference_scan(haystack); // or a scan of a device's
    /// rules.prepare_captures(&found.iter().map(|found| found.pattern_id).collect::<Vec<_>>());
    /// assert_eq!(rules.captures(haystack, &found[0]).unwrap().get(1), Some(1..2));
    /// # Ok::<(), vkscan::BuildError>(())
    /// ```
    pub fn prepare_captures(&self, pattern_ids: &[u32]) {
        pattern_ids.par_iter().for_each(|&id| {
            if let Some(rule) = self.rules.get(id as usize) {
                self.regexes.get(id, rule, &self.options);
            }
        });
    }
}

impl Captures {
    /// Where a group is in the haystack; 0 is the match. `None` if it took no part in the match, or there is no such group.
    pub fn get(&self, group: usize) -> Option<Range<usize>> {
        self.captures.get_group(group).map(Range::from)
    }

    /// Where the group of a name is, likewise.
    pub fn name(&self, name: &str) -> Option<Range<usize>> {
        self.captures.get_group_by_name(name).map(Range::from)
    }

    /// How many groups there are, with the match, whether or not they took part in it.
    #[expect(clippy::len_without_is_empty, reason = "there is the match at least")]
    pub fn len(&self) -> usize {
        self.captures.group_len()
    }

    /// All groups, in order; the match is the first.
    pub fn iter(&self) -> impl Iterator<Item = Option<Range<usize>>> {
        self.captures.iter().map(|group| group.map(Range::from))
    }

    /// The names of all groups, in order; the match has none.
    pub fn names(&self) -> impl Iterator<Item = Option<&str>> {
        let names = self
            .captures
            .pattern()
            .map(|pattern| self.captures.group_info().pattern_names(pattern));
        names.into_iter().flatten()
    }
}

/// A regular expression with groups for each rule, made when it is asked for first; none if its text is none.
#[derive(Clone)]
pub(super) struct Regexes(Arc<[OnceLock<Option<meta::Regex>>]>);

impl Regexes {
    pub(super) fn new(rules: usize) -> Regexes {
        Regexes((0..rules).map(|_| OnceLock::new()).collect())
    }

    fn get(&self, id: u32, rule: &Rule, options: &PipelineOptions) -> Option<&meta::Regex> {
        self.0[id as usize].get_or_init(|| capturing(&rule.pattern, options)).as_ref()
    }
}

/// They follow from the rules.
impl PartialEq for Regexes {
    fn eq(&self, _: &Regexes) -> bool {
        true
    }
}

impl fmt::Debug for Regexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Regexes").finish_non_exhaustive()
    }
}

fn capturing(pattern: &str, options: &PipelineOptions) -> Option<meta::Regex> {
    let hir = parse(pattern, options).ok()?;
    // The rule has kept the limit of sizes without its groups.
    let config = meta::Config::new()
        .utf8_empty(false)
        .auto_prefilter(false)
        .nfa_size_limit(None)
        .line_terminator(options.line_terminator);
    meta::Builder::new().configure(config).build_from_hir(&hir).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::RegexBuilder;

    use super::*;

    /// The groups of all matches of a pattern, by the `regex` crate and by pipelines that see little around matches.
    fn compare(pattern: &str, haystack: &[u8]) {
        let rules = RulePipeline::new(&[pattern]).unwrap();
        let regex = RegexBuilder::new(pattern).unicode(false).build().unwrap();
        for expected in regex.captures_iter(haystack) {
            let whole = expected.get(0).unwrap();
            if whole.is_empty() {
                continue;
            }
            let expected: Vec<_> =
                expected.iter().map(|group| group.map(|group| group.range())).collect();
            for context in [4, usize::MAX] {
                let from = whole.start().saturating_sub(context);
                let to = whole.end().saturating_add(context).min(haystack.len());
                let [start, end] = [whole.start(), whole.end()].map(|at| (at - from) as u32);
                let found = Match { pattern_id: 0, start, end };
                let groups = rules.captures(&haystack[from..to], &found).unwrap();
                let moved = groups.iter().map(|group| group.map(|g| g.start + from..g.end + from));
                assert!(moved.eq(expected.iter().cloned()), "{pattern} {whole:?}");
                assert_eq!(groups.len(), regex.captures_len());
                assert!(groups.names().eq(regex.capture_names()));
            }
        }
    }

    #[test]
    fn groups_are_the_regex_crates() {
        for pattern in [
            r"(a)|(b)",
            r"(a+)(b*)(?<c>c)?",
            r"a(?:b$|(b))",
            r"(?:(a)|b)+",
            r"\b(\w+?)(\d*)\b",
            r"(?m)^(a*)(b?)$",
            r"(a|ab)(c|bcd)(d*)",
            r"(?:(a)|(ab))(?:(c)|(bcd))?(.*)",
            r"(\Aa)?(b)(c\z)?",
        ] {
            compare(pattern, b"ab abcd\nabcbcdd aab\nb1 a22 bc");
        }
    }

    #[test]
    fn what_is_no_match_has_no_groups() {
        let rules = RulePipeline::new(&["a+", "(b)"]).unwrap();
        let found = |pattern_id, start, end| {
            let found = Match { pattern_id, start, end };
            rules.captures(b"aab", &found).map(|groups| groups.len())
        };
        assert_eq!(found(0, 0, 2), Ok(1));
        assert_eq!(found(1, 2, 3), Ok(2));
        assert_eq!(found(2, 0, 2), Err(CapturesError::UnknownPattern { pattern_id: 2, rules: 2 }));
        for (start, end) in [(0, 4), (2, 1), (u32::MAX, u32::MAX)] {
            assert_eq!(
                found(0, start, end),
                Err(CapturesError::OutOfBounds { start, end, bytes: 3 })
            );
        }
        for (pattern_id, start, end) in [(0, 0, 3), (0, 2, 3), (1, 0, 1), (0, 1, 1)] {
            let expected = CapturesError::NotAMatch { pattern_id, start, end };
            assert_eq!(found(pattern_id, start, end), Err(expected));
        }
    }

    #[test]
    fn options_count() {
        let options = PipelineOptions::default().case_insensitive(true).ignore_whitespace(true);
        let rules = RulePipeline::with_options(&["( a ) # comment"], options).unwrap();
        let found = rules.reference_scan(b"xA")[0];
        assert_eq!(rules.captures(b"xA", &found).unwrap().get(1), Some(1..2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn groups_of_generated_patterns_are_the_regex_crates(
            pattern in "(\\(?[abc.](\\)|\\(|\\||[+*?]\\??|\\$|\\^|\\\\b)?){1,6}",
            haystack in "[abc\n ]{0,24}",
        ) {
            if RegexBuilder::new(&pattern).unicode(false).build().is_ok() {
                compare(&pattern, haystack.as_bytes());
            }
        }
    }
}
