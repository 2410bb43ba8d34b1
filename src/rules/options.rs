//! How patterns are read: the options, and the parser and the compiler that they make.

use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::look::LookMatcher;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use super::automata::partial_dfa::Budget;
use super::error;
use crate::MatchKind;
use crate::setters::setters;

/// How patterns are read and compiled. The defaults are those of `regex::bytes::RegexBuilder`, except
/// for [`UnicodePolicy`].
///
/// # Examples
///
/// ```
/// use vkscan::{MatchKind, PipelineOptions, RulePipeline, UnicodePolicy};
///
/// let options = PipelineOptions::default()
///     .match_kind(MatchKind::LeftmostFirst)
///     .unicode(UnicodePolicy::Never)
///     .case_insensitive(true)
///     .multi_line(true)
///     .dot_matches_new_line(false)
///     .crlf(false)
///     .ignore_whitespace(true)
///     .swap_greed(false)
///     .line_terminator(b';')
///     .size_limit(1 << 20)
///     .dfa_budget(16 << 10);
/// let rules = RulePipeline::with_options(&["^ b . + # on a line of its own"], options)?;
/// let found = rules.reference_scan(b"ab;Bc;d");
/// assert_eq!((found[0].start, found[0].end), (3, 5));
/// # Ok::<(), vkscan::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineOptions {
    /// Which matches of each pattern a scan reports.
    pub match_kind: MatchKind,
    /// Whether patterns are about bytes or code points.
    pub unicode: UnicodePolicy,
    /// `(?i)` for every pattern.
    pub case_insensitive: bool,
    /// `(?m)` for every pattern.
    pub multi_line: bool,
    /// `(?s)` for every pattern.
    pub dot_matches_new_line: bool,
    /// `(?R)` for every pattern.
    pub crlf: bool,
    /// `(?x)` for every pattern.
    pub ignore_whitespace: bool,
    /// `(?U)` for every pattern.
    pub swap_greed: bool,
    /// What ends a line for `(?m:^)`, `(?m:$)` and `.`.
    pub line_terminator: u8,
    /// Most bytes that the NFA of one pattern may take, 10 MiB by default.
    pub size_limit: usize,
    /// Most bytes of DFA table a rule may take, 32 KiB by default; what candidates are walked on, a suffix or the
    /// rule itself, may take eight times as much, and so may the rule without its counts, where it may well be the whole
    /// DFA then or the set's tables take no more than 56 KiB a rule. Less is never wrong: it moves work from the DFA to
    /// the slower NFA.
    pub dfa_budget: usize,
}

/// What a rule's tables may take.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Room {
    /// As much as any table, and what comes to be a whole DFA some more.
    Little,
    /// So much in any case.
    Enough,
}

impl PipelineOptions {
    pub(super) fn budget(&self) -> Budget {
        let entries = self.dfa_budget / size_of::<u16>();
        Budget { least: entries, most: entries }
    }

    /// For what candidates are walked on, and for a rule without its counts.
    pub(super) fn suffix_budget(&self, room: Room) -> Budget {
        let entries = self.budget().most;
        let most = entries.saturating_mul(8);
        Budget { least: if room == Room::Enough { most } else { entries / 2 }, most }
    }
}

setters!(PipelineOptions {
    match_kind: MatchKind,
    unicode: UnicodePolicy,
    case_insensitive: bool,
    multi_line: bool,
    dot_matches_new_line: bool,
    crlf: bool,
    ignore_whitespace: bool,
    swap_greed: bool,
    line_terminator: u8,
    size_limit: usize,
    dfa_budget: usize,
});

impl Default for PipelineOptions {
    fn default() -> PipelineOptions {
        PipelineOptions {
            match_kind: MatchKind::default(),
            unicode: UnicodePolicy::default(),
            case_insensitive: false,
            multi_line: false,
            dot_matches_new_line: false,
            crlf: false,
            ignore_whitespace: false,
            swap_greed: false,
            line_terminator: b'\n',
            size_limit: 10 << 20,
            dfa_budget: 32 << 10,
        }
    }
}

/// Whether `.`, `\w`, `(?i)` and their like speak of bytes or of code points.
///
/// # Examples
///
/// ```
/// use vkscan::{PipelineOptions, RulePipeline, UnicodePolicy};
///
/// let end = |pattern, unicode| {
///     let options = PipelineOptions::default().unicode(unicode);
///     let rules = RulePipeline::with_options(&[pattern], options).ok()?;
///     rules.reference_scan("aλ".as_bytes()).first().map(|found| found.end)
/// };
/// assert_eq!(end(r"\w+", UnicodePolicy::WhenNeeded), Some(1));
/// assert_eq!(end(r"\w+", UnicodePolicy::Always), Some(3));
/// assert_eq!(end(r"\w\p{Greek}", UnicodePolicy::WhenNeeded), Some(3));
/// assert_eq!(end(r"\w\p{Greek}", UnicodePolicy::Never), None); // an error
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnicodePolicy {
    /// Bytes; code points for a pattern that only parses that way, such as `\p{Greek}`.
    #[default]
    WhenNeeded,
    /// Bytes. A pattern that needs code points is an error.
    Never,
    /// Code points. Inline `(?-u)` still switches to bytes.
    Always,
}

pub(super) fn compiler(options: &PipelineOptions) -> thompson::Compiler {
    let mut look_matcher = LookMatcher::new();
    look_matcher.set_line_terminator(options.line_terminator);
    let config = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(options.size_limit))
        .which_captures(WhichCaptures::None)
        .look_matcher(look_matcher);
    let mut compiler = thompson::Compiler::new();
    compiler.configure(config);
    compiler
}

/// Parses a pattern as [`UnicodePolicy`] asks.
pub(super) fn parse(pattern: &str, options: &PipelineOptions) -> Result<Hir, String> {
    let parse = |unicode| {
        ParserBuilder::new()
            .utf8(false)
            .unicode(unicode)
            .case_insensitive(options.case_insensitive)
            .multi_line(options.multi_line)
            .dot_matches_new_line(options.dot_matches_new_line)
            .crlf(options.crlf)
            .ignore_whitespace(options.ignore_whitespace)
            .swap_greed(options.swap_greed)
            .line_terminator(options.line_terminator)
            .build()
            .parse(pattern)
            .map_err(|error| error::reason(&error))
    };
    match options.unicode {
        UnicodePolicy::Never => parse(false),
        UnicodePolicy::Always => parse(true),
        UnicodePolicy::WhenNeeded => parse(false).or_else(|_| parse(true)),
    }
}
