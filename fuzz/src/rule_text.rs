//! Whatever text: what it is compiled to comes back from bytes, or there is a typed error, where the `regex` crate has one.

use regex::bytes::RegexBuilder;
use vkscan::{BuildError, MatchKind, PipelineOptions, RulePipeline, UnicodePolicy};

use super::generate;
use super::source::Source;
use super::watchdog::watch;

/// Says how many rules were compiled.
pub fn run(bytes: &[u8]) -> usize {
    let source = &mut Source::new(bytes);
    let match_kind = source.one_of(&[MatchKind::LeftmostFirst, MatchKind::All]);
    let mut options = generate::options(source, match_kind);
    options.crlf = source.once_in(6);
    options.ignore_whitespace = source.once_in(6);
    options.line_terminator = source.one_of(&[b'\n', b'\n', b'\n', b'b', 0, 255]);
    options.unicode =
        source.one_of(&[UnicodePolicy::WhenNeeded, UnicodePolicy::Never, UnicodePolicy::Always]);
    options.size_limit = source.one_of(&[10 << 20, 10 << 20, 1 << 20, 1000, 0]);
    let texts = source.list(1..=4, text);
    check(&texts, options)
}

pub fn check(texts: &[String], options: PipelineOptions) -> usize {
    let what = || format!("to compile {texts:?} with {options:?}");
    let rules = watch(what, || RulePipeline::with_options(texts, options.clone()));
    let read_by_regex = |text: &String| {
        let build = |unicode| {
            let built = RegexBuilder::new(text)
                .unicode(unicode)
                .case_insensitive(options.case_insensitive)
                .multi_line(options.multi_line)
                .dot_matches_new_line(options.dot_matches_new_line)
                .crlf(options.crlf)
                .ignore_whitespace(options.ignore_whitespace)
                .swap_greed(options.swap_greed)
                .line_terminator(options.line_terminator)
                // It parses before it compiles.
                .size_limit(0)
                .build();
            !matches!(built, Err(regex::Error::Syntax(_)))
        };
        match options.unicode {
            UnicodePolicy::Never => build(false),
            UnicodePolicy::Always => build(true),
            UnicodePolicy::WhenNeeded => build(false) || build(true),
        }
    };
    match rules {
        Ok(rules) => {
            assert!(texts.iter().all(read_by_regex), "{texts:?} compile with {options:?}");
            assert_eq!(rules.explain().len(), texts.len());
            let read = RulePipeline::from_bytes(&rules.to_bytes());
            let read = read.unwrap_or_else(|error| panic!("{texts:?} with {options:?}: {error}"));
            assert_eq!(read, rules, "{texts:?} with {options:?}");
            texts.len()
        }
        Err(BuildError::Syntax { index, reason, .. }) => {
            let text = &texts[index];
            assert!(!read_by_regex(text), "{text:?} with {options:?}: {reason}");
            0
        }
        Err(BuildError::TooLarge { index, limit, .. }) => {
            assert!(limit == options.size_limit && read_by_regex(&texts[index]));
            0
        }
        Err(other) => panic!("{texts:?} with {options:?}: {other}"),
    }
}

/// A pattern, or one that something was done to.
fn text(source: &mut Source) -> String {
    let mut text: Vec<char> = generate::pattern(source).chars().collect();
    for _ in 0..source.within(0..=5).saturating_sub(2) {
        let at = source.within(0..=text.len());
        match source.within(0..=4) {
            0 | 1 => {
                let piece = source.one_of(&[
                    "(",
                    ")",
                    "[",
                    "]",
                    "{",
                    "}",
                    "|",
                    "*",
                    "\\",
                    "(?",
                    "(?x)",
                    "(?P<n>",
                    "{,5}",
                    "{1001}",
                    "{65536}",
                    r"\p{L}",
                    r"\pN{30}",
                    "[[:",
                    "&&",
                    "--",
                    "~~",
                    "-",
                    "^",
                    r"\u{10FFFF}",
                    r"\Q",
                    "\0",
                    "é",
                    "#",
                    " ",
                    "(?i-u)",
                    "(?R)",
                    r"\xFF",
                    "[^\\x00-\\xff]",
                    "(?-u:\\xff)",
                    "{0}",
                    "{0,0}",
                    "**",
                ]);
                text.splice(at..at, piece.chars());
            }
            2 if at < text.len() => {
                text.remove(at);
            }
            3 => text.truncate(at),
            _ => {
                let copied = text[at.saturating_sub(8)..at].to_vec();
                text.splice(at..at, copied);
            }
        }
    }
    text.into_iter().collect()
}
