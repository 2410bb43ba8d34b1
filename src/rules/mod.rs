//! From regex text to automaton tables. Nothing here knows about Vulkan.
//!
//! | file or folder | story |
//! |---|---|
//! | `options.rs` | how patterns are read |
//! | `rule.rs` | one rule: its automata, and what compiling it may cost |
//! | `split.rs` | where a rule is looked for |
//! | `front.rs` | which starts decide about all others, where it begins with a run |
//! | `effort.rs` | steps that compiling may take |
//! | `prefilter/` | what every match contains, to look for first |
//! | `automata/` | what tells whether there is a match, and where it ends |
//! | `tables/` | rules laid out as the buffers that kernels read, and as bytes |
//! | `captures.rs` | the groups of matches |
//! | `explain.rs` | how each rule is looked for, for those who write rules |
//! | `dump.rs` | all that a rule was compiled to, as a graph |
//! | `oracle.rs` | the same matches by definition, slowly, on the CPU |
//! | `error.rs` | what may be wrong with a pattern |

pub(crate) mod automata;
mod captures;
mod dump;
mod effort;
mod error;
mod explain;
mod front;
mod options;
mod oracle;
pub(crate) mod prefilter;
mod rule;
mod split;
pub(crate) mod tables;

use rayon::prelude::*;

pub use captures::{Captures, CapturesError};
pub(crate) use effort::Spent;
pub use error::BuildError;
pub use explain::{Factor, RuleBound, RulePlan};
pub use options::{PipelineOptions, UnicodePolicy};
pub(crate) use rule::Rule;
pub use split::Anchor;
pub(crate) use split::{Run, Split};
pub use tables::laid_out::{LaidOutTables, TableLayout};

use captures::Regexes;
use options::Room;
use tables::laid_out::KeptTables;
use tables::pack;

/// Rules compiled to automaton tables, ready to be made resident on a device.
///
/// # Examples
///
/// Compiling and looking into it takes no device:
///
/// ```
/// use vkscan::{Match, PipelineOptions, RulePipeline};
///
/// let rules = RulePipeline::new(&["[a-c]+", r"\bfoo\b"])?;
/// let matches = rules.reference_scan(b"abc foo food");
/// assert_eq!(matches, [
///     Match { pattern_id: 0, start: 0, end: 3 },
///     Match { pattern_id: 1, start: 4, end: 7 },
/// ]);
/// // With matches of up to two bytes.
/// assert_eq!(rules.reference_scan_bounded(b"abc", 2)[0], Match { pattern_id: 0, start: 0, end: 2 });
///
/// let options = PipelineOptions::default().case_insensitive(true);
/// let rules = RulePipeline::with_options(&["foo"], options)?;
/// assert_eq!(rules.reference_scan(b"Foo").len(), 1);
/// assert!(rules.options().case_insensitive);
/// assert!(rules.patterns().eq(["foo"]));
///
/// // Compiled rules can be kept in a file.
/// assert_eq!(RulePipeline::from_bytes(&rules.to_bytes())?, rules);
/// # Ok::<(), vkscan::BuildError>(())
/// ```
///
/// A single haystack can be scanned at once; for many of them, tables are made resident first:
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline};
/// use vkscan::SessionOptions;
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// let rules = RulePipeline::new(&[r"\d+"])?;
/// assert_eq!(rules.scan(&backend, b"12 345")?.len(), 2);
/// assert_eq!(rules.scan_bounded(&backend, b"12 345", 2)?.len(), 3); // 12, 34 and 5
///
/// let options = SessionOptions::new(1 << 16, 1000).scans_in_flight(Some(2));
/// let session = rules.prepare_resident_with(&backend, &options)?;
/// # session.free(&backend)?;
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RulePipeline {
    options: PipelineOptions,
    rules: Vec<Rule>,
    /// What finds the groups of their matches.
    regexes: Regexes,
    tables: KeptTables,
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
    ///
    /// # Examples
    ///
    /// ```
    /// use vkscan::{PipelineOptions, RulePipeline};
    ///
    /// let errors = RulePipeline::compile(&["(", "a", "*"], PipelineOptions::default()).unwrap_err();
    /// for error in &errors {
    ///     eprintln!("{error}");
    /// }
    /// assert_eq!(errors.len(), 2);
    /// ```
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
        tracing::debug!(
            rules = rules.len(),
            larger = larger.len(),
            "rules whose tables may be larger"
        );
        let larger: Vec<(usize, Rule)> = larger
            .into_par_iter()
            .with_max_len(1)
            .filter_map(|index| {
                let rule = Rule::new(index, patterns[index], &options, Room::Enough);
                rule.ok().map(|(rule, _)| (index, rule))
            })
            .collect();
        larger.into_iter().for_each(|(index, rule)| rules[index] = rule);
        Ok(RulePipeline::of(options, rules))
    }

    fn of(options: PipelineOptions, rules: Vec<Rule>) -> RulePipeline {
        let regexes = Regexes::new(rules.len());
        RulePipeline { options, rules, regexes, tables: KeptTables::default() }
    }

    /// Tables that were laid out for sessions.
    pub(crate) fn kept_tables(&self) -> &KeptTables {
        &self.tables
    }

    /// The options that it was compiled with.
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

/// The rules whose tables may be larger than they are, by bytes that these did not get: those that are met most
/// first, as long as the tables of the set do not take too much together.
fn rules_with_room(rules: &[Rule], forgone: &[usize]) -> Vec<usize> {
    /// Of tables, for each rule on average; what rules share comes on top.
    const BYTES: usize = 56 << 10;
    /// Rules that a smaller set counts as.
    const FEW: usize = 64;

    let taken: u64 = rules.iter().map(pack::own_bytes).sum();
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
