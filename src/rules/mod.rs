//! From regex text to automaton tables. Nothing here knows about Vulkan.
//!
//! | file | story |
//! |---|---|
//! | `nfa.rs` | a pattern as a position NFA, which every rule can fall back on |
//! | `look.rs` | what `\b`, `^` and their like mean |
//! | `glushkov.rs` | its Glushkov automaton on sets of positions, where order does not matter |
//! | `dfa.rs` | the likely part of the pattern's DFA, where most walks end |
//! | `relaxed.rs` | the pattern without its counts, for walks that come to the end of that part |
//! | `effort.rs` | what compiling a rule may cost |
//! | `factor.rs` | what every match contains, to look for first |
//! | `confirm.rs` | what has to be near what is looked for |
//! | `frequency.rs` | what text and binaries are made of |
//! | `walk.rs` | how far walks go there |
//! | `beginnings.rs` | the first two bytes of a rule's matches |
//! | `byte_classes.rs` | the byte classes that class windows are told by |
//! | `explain.rs` | how each rule is looked for, for those who write rules |
//! | `pass.rs` | rules laid out as the buffers that kernels read |
//! | `wire.rs` | pipelines as bytes, and back |
//! | `oracle.rs` | the same matches by definition, slowly, on the CPU |

mod beginnings;
mod byte_classes;
pub(crate) mod confirm;
pub(crate) mod dfa;
mod effort;
mod error;
mod explain;
pub(crate) mod factor;
mod frequency;
mod glushkov;
pub(crate) mod look;
pub(crate) mod nfa;
mod oracle;
pub(crate) mod pass;
mod relaxed;
mod walk;
mod wire;

use rayon::prelude::*;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::look::LookMatcher;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind, Look};

pub use error::BuildError;
pub use explain::{Factor, RuleBound, RulePlan};

use crate::MatchKind;
use crate::shaders::layout;
use dfa::{Budget, PartialDfa};
use effort::Effort;
use factor::{ClassWindow, Gram};
use nfa::PositionNfa;

/// How patterns are read and compiled. The defaults are those of `regex::bytes::RegexBuilder`, except
/// for [`UnicodePolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineOptions {
    pub match_kind: MatchKind,
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

impl PipelineOptions {
    fn budget(&self) -> Budget {
        let entries = self.dfa_budget / size_of::<u16>();
        Budget { least: entries, most: entries }
    }

    /// For what candidates are walked on, and for a rule without its counts.
    fn suffix_budget(&self, room: Room) -> Budget {
        let entries = self.budget().most;
        let most = entries.saturating_mul(8);
        Budget { least: if room == Room::Enough { most } else { entries / 2 }, most }
    }
}

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

/// Rules compiled to automaton tables, ready to be made resident on a device.
///
/// ```
/// use vkscan::{Match, RulePipeline};
///
/// let rules = RulePipeline::new(&["[a-c]+", r"\bfoo\b"])?;
/// let matches = rules.reference_scan(b"abc foo food");
/// assert_eq!(matches, [
///     Match { pattern_id: 0, start: 0, end: 3 },
///     Match { pattern_id: 1, start: 4, end: 7 },
/// ]);
/// # Ok::<(), vkscan::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RulePipeline {
    options: PipelineOptions,
    rules: Vec<Rule>,
}

/// One compiled pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) pattern: String,
    pub(crate) nfa: PositionNfa,
    pub(crate) dfa: PartialDfa,
    /// Tells most walks that leave `dfa` that no match follows.
    pub(crate) relaxed: Option<PartialDfa>,
    /// Where to look for matches; none if that is everywhere.
    pub(crate) splits: Vec<Split>,
    pub(crate) spent: Spent,
}

/// Which of a rule's efforts did not suffice, so that it takes longer to scan than it might.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// That of finding where to look for it.
    pub(crate) search: bool,
    /// That of making its tables.
    pub(crate) tables: bool,
}

/// One alternative of a rule: a prefix, and a suffix that begins with one of few grams or class windows, or, if
/// there are none, at the start of the haystack.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split {
    /// Least and greatest length of the prefix, in bytes; [`layout::UNBOUNDED`] if there is no greatest.
    pub(crate) prefix: [u32; 2],
    pub(crate) grams: Vec<Gram>,
    /// Grams at an odd distance from those, if there are any: of both, every other byte has one.
    pub(crate) other_grams: Option<Vec<Gram>>,
    pub(crate) class_windows: Vec<ClassWindow>,
    /// Expected candidates for each byte of typical data.
    pub(crate) frequency: f64,
    /// Tells most candidates of which the suffix cannot match. None where the prefix has but one length: the
    /// rule's own DFA tells then.
    pub(crate) suffix: Option<PartialDfa>,
    /// Tells, walking backwards from the suffix, where the prefix may begin. None where that is in one place
    /// only, or this is no cheaper than trying all.
    pub(crate) reverse_prefix: Option<PartialDfa>,
    /// Whether `reverse_prefix` is exact, so that it and `suffix` tell a match without the rule's own automata.
    pub(crate) is_exact: bool,
    /// Where the prefix is a run of bytes of one class, or of none: which of several suffixes behind a start it prefers.
    pub(crate) run: Option<Run>,
}

/// What a run of bytes prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// To end with the first suffix.
    Lazy,
    /// To end with the last one.
    Greedy,
}

impl Split {
    /// What matches at the start of the haystack only needs nothing to look for.
    fn anchored() -> Split {
        Split {
            prefix: [0; 2],
            grams: Vec::new(),
            other_grams: Some(Vec::new()),
            class_windows: Vec::new(),
            frequency: 0.0,
            suffix: None,
            reverse_prefix: None,
            is_exact: false,
            run: None,
        }
    }

    pub(crate) fn is_anchored(&self) -> bool {
        self.grams.is_empty() && self.class_windows.is_empty()
    }

    pub(crate) fn is_unbounded(&self) -> bool {
        self.prefix[1] == layout::UNBOUNDED
    }
}

impl RulePipeline {
    /// Compiles patterns with the default options. A match names its pattern by its index here.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for the first pattern that does not parse or is too large.
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<RulePipeline, BuildError> {
        RulePipeline::with_options(patterns, PipelineOptions::default())
    }

    /// Compiles patterns, with as many threads as rayon has. A match names its pattern by its index here.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for the first pattern that does not parse or is too large.
    pub fn with_options<P: AsRef<str>>(
        patterns: &[P],
        options: PipelineOptions,
    ) -> Result<RulePipeline, BuildError> {
        // There is one at least.
        RulePipeline::compile(patterns, options).map_err(|mut errors| errors.swap_remove(0))
    }

    /// As [`RulePipeline::with_options`], for lists that people write: says what is wrong with each pattern.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for every pattern that does not parse or is too large, in their order; at least one.
    pub fn compile<P: AsRef<str>>(
        patterns: &[P],
        options: PipelineOptions,
    ) -> Result<RulePipeline, Vec<BuildError>> {
        let patterns: Vec<&str> = patterns.iter().map(AsRef::as_ref).collect();
        // A few take most of the time, so each is one thread's.
        let compiled = patterns.par_iter().enumerate().with_max_len(1);
        let compiled: Vec<_> = compiled
            .map(|(index, pattern)| Rule::new(index, pattern, &options, Room::Little))
            .collect();
        let mut errors = Vec::new();
        let compiled =
            compiled.into_iter().filter_map(|rule| rule.map_err(|e| errors.push(e)).ok());
        let (mut rules, forgone): (Vec<Rule>, Vec<usize>) = compiled.collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let larger = rules_with_room(&rules, &forgone);
        let larger: Vec<(usize, Rule)> = larger
            .into_par_iter()
            .with_max_len(1)
            .filter_map(|index| {
                let rule = Rule::new(index, patterns[index], &options, Room::Enough);
                rule.ok().map(|(rule, _)| (index, rule))
            })
            .collect();
        larger.into_iter().for_each(|(index, rule)| rules[index] = rule);
        Ok(RulePipeline { options, rules })
    }

    pub fn options(&self) -> &PipelineOptions {
        &self.options
    }

    /// The patterns, in order of their ids.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.rules.iter().map(|rule| rule.pattern.as_str())
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    #[cfg(test)]
    pub(crate) fn rules_mut(&mut self) -> &mut [Rule] {
        &mut self.rules
    }
}

/// What a rule's tables may take.
#[derive(Clone, Copy, PartialEq)]
enum Room {
    /// As much as any table, and what comes to be a whole DFA some more.
    Little,
    /// So much in any case.
    Enough,
}

/// The rules whose tables may be larger than they are, by bytes that these did not get: those that are met most
/// first, as long as the tables of the set do not take too much together.
fn rules_with_room(rules: &[Rule], forgone: &[usize]) -> Vec<usize> {
    /// Of tables, for each rule on average; what rules share comes on top.
    const BYTES: usize = 56 << 10;
    /// Rules that a smaller set counts as.
    const FEW: usize = 64;

    let taken: u64 = rules.iter().map(pass::own_bytes).sum();
    let mut left = (rules.len().max(FEW) * BYTES) as u64;
    left = left.saturating_sub(taken);
    let frequency = |index: &usize| match &rules[*index].splits[..] {
        [] => f64::INFINITY,
        splits => splits.iter().map(|split| split.frequency).sum(),
    };
    let mut larger: Vec<usize> = (0..rules.len()).filter(|&index| forgone[index] > 0).collect();
    larger.sort_by(|one, other| frequency(other).total_cmp(&frequency(one)));
    larger.retain(|&index| {
        let rest = left.checked_sub(forgone[index] as u64);
        left = rest.unwrap_or(left);
        rest.is_some()
    });
    larger
}

/// What compiling one rule may cost.
struct Efforts {
    search: Effort,
    tables: Effort,
}

impl Efforts {
    /// Of 14,346 rules of nine public sets, 24 need more for their search and six for their tables; the median needs a
    /// thousandth. It is about a tenth of a second of one core.
    fn new() -> Efforts {
        Efforts { search: Effort::new(1 << 19), tables: Effort::new(1 << 22) }
    }

    fn spent(&self) -> Spent {
        Spent { search: self.search.is_spent(), tables: self.tables.is_spent() }
    }
}

impl Rule {
    /// The rule, and the bytes that its tables might yet make use of.
    fn new(
        index: usize,
        pattern: &str,
        options: &PipelineOptions,
        room: Room,
    ) -> Result<(Rule, usize), BuildError> {
        let hir = parse(pattern, options).map_err(|reason| BuildError::Syntax {
            index,
            pattern: pattern.to_owned(),
            reason,
        })?;
        if is_always_empty(&hir) {
            tracing::warn!(index, pattern, "left out, for it can only match nothing at all");
        }
        let hir = without_empty(hir);
        let thompson = compiler(options).build_from_hir(&hir).map_err(|error| {
            let pattern = pattern.to_owned();
            match error.size_limit() {
                Some(limit) => BuildError::TooLarge { index, pattern, limit },
                None => BuildError::Syntax { index, pattern, reason: error.to_string() },
            }
        })?;
        let nfa = PositionNfa::new(&thompson);
        let efforts = Efforts::new();
        let splits = choose_splits(&hir, options, room, &efforts).unwrap_or_default();
        // Where a prefix has but one length, candidates are walked on the rule's own DFA.
        let is_suffix = |split: &Split| split.suffix.is_none() && !split.is_anchored();
        let budget = match splits.iter().any(is_suffix) {
            true => options.suffix_budget(room),
            false => options.budget(),
        };
        let dfa = PartialDfa::new(&nfa, options.match_kind, budget, &efforts.tables);
        let relaxed =
            || relaxed::dfa(&hir, compiler(options), options.suffix_budget(room), &efforts.tables);
        let relaxed = dfa.escapes().then(relaxed).flatten();
        let spent = efforts.spent();
        let rule = Rule { pattern: pattern.to_owned(), nfa, dfa, relaxed, splits, spent };
        Ok((rule, efforts.tables.forgone()))
    }

    /// What walks from a match's start are on.
    fn dfas(&self) -> impl Iterator<Item = &PartialDfa> {
        [&self.dfa].into_iter().chain(&self.relaxed)
    }
}

/// Whether a pattern matches no bytes, wherever it matches: no scan reports that.
fn is_always_empty(hir: &Hir) -> bool {
    hir.properties().maximum_len() == Some(0)
}

/// A pattern that never matches in the place of one that always matches nothing.
fn without_empty(hir: Hir) -> Hir {
    if is_always_empty(&hir) { Hir::fail() } else { hir }
}

/// Splits every alternative of a rule where it costs least, among the places where automata can tell what
/// prefix and suffix may be; none if there is no such place.
fn choose_splits(
    hir: &Hir,
    options: &PipelineOptions,
    room: Room,
    efforts: &Efforts,
) -> Option<Vec<Split>> {
    /// Automata are not cheap to try.
    const MOST_TRIED: usize = 4;

    let best_of = |candidates: factor::SplitCandidates| {
        let others =
            candidates.iter().skip(MOST_TRIED).filter(|candidate| !candidate.is_unbounded());
        let mut tried = candidates.iter().take(MOST_TRIED).chain(others.take(1));
        tried.find_map(|candidate| {
            Split::new(candidates.split(candidate), options, room, &efforts.tables)
        })
    };
    type Factors = fn(&Hir, &Effort) -> Option<Vec<factor::SplitCandidates>>;
    let by = |factors: Factors| -> Option<Vec<Split>> {
        factors(hir, &efforts.search)?.into_iter().map(best_of).collect()
    };
    // What never matches is looked for where that costs least.
    let is_never = hir.properties().minimum_len().is_none();
    if is_never || hir.properties().look_set_prefix().contains(Look::Start) {
        return Some(vec![Split::anchored()]);
    }
    by(factor::factors).or_else(|| by(factor::by_class_windows))
}

impl Split {
    /// None if suffix or prefix take too large an automaton, though the rule does not.
    fn new(
        hirs: factor::SplitHir,
        options: &PipelineOptions,
        room: Room,
        effort: &Effort,
    ) -> Option<Split> {
        let prefix = hirs.prefix.map(|length| u32::try_from(length).unwrap_or(layout::UNBOUNDED));
        let mut split = Split {
            prefix,
            grams: hirs.grams,
            other_grams: hirs.other_grams,
            class_windows: hirs.class_windows.into_iter().collect(),
            frequency: hirs.frequency,
            ..Split::anchored()
        };
        if prefix[0] == prefix[1] {
            return Some(split);
        }
        let dfa = |compiler: &thompson::Compiler, hir, kind, budget| {
            let nfa = PositionNfa::new(&compiler.build_from_hir(hir).ok()?);
            Some(PartialDfa::new(&nfa, kind, budget, effort))
        };
        let mut backwards = compiler(options);
        backwards.configure(thompson::Config::new().reverse(true));
        // Where the prefix may begin is all that counts, and that takes no order of preference.
        let reverse_prefix = dfa(&backwards, &hirs.prefix_hir, MatchKind::All, options.budget());
        split.reverse_prefix = reverse_prefix.filter(|dfa| !dfa.escapes());
        if split.reverse_prefix.is_none() && split.is_unbounded() {
            return None;
        }
        split.is_exact = hirs.prefix_is_exact && split.reverse_prefix.is_some();
        split.run = if split.is_exact { run(&hirs.prefix_hir) } else { None };
        split.suffix = Some(dfa(
            &compiler(options),
            &hirs.suffix,
            options.match_kind,
            options.suffix_budget(room),
        )?);
        Some(split)
    }
}

/// Which suffix a prefix prefers; none if it is more than a run.
fn run(prefix: &Hir) -> Option<Run> {
    let HirKind::Repetition(repetition) = prefix.kind() else { return None };
    let of_byte = repetition.sub.properties();
    let is_byte = [of_byte.minimum_len(), of_byte.maximum_len()] == [Some(1); 2];
    (is_byte && repetition.min == 0).then_some(if repetition.greedy {
        Run::Greedy
    } else {
        Run::Lazy
    })
}

fn compiler(options: &PipelineOptions) -> thompson::Compiler {
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
fn parse(pattern: &str, options: &PipelineOptions) -> Result<Hir, String> {
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
