//! What can be wrong with rules.

/// Why rules could not be compiled, or serialised tables not be read.
///
/// # Examples
///
/// ```
/// use vkscan::{BuildError, RulePipeline};
///
/// let error = RulePipeline::new(&["a|b", "a(b"]).unwrap_err();
/// assert_eq!(error.to_string(), "pattern 1 does not parse: unclosed group, at byte 1 of a(b");
/// assert!(matches!(error, BuildError::Syntax { index: 1, .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The pattern is not a regular expression that the `regex` crate accepts. The reason is one line, with as much of
    /// the pattern as shows where.
    #[error("pattern {index} does not parse: {reason}")]
    Syntax {
        /// Its place in the list of patterns, from 0: what would have been its id.
        index: usize,
        /// All of its text, as it was given.
        pattern: String,
        /// What the regex parser said, with the place in the pattern.
        reason: String,
    },
    /// The pattern's NFA is larger than [`PipelineOptions::size_limit`](super::PipelineOptions).
    #[error(
        "pattern {index} ({}) compiles to more than {limit} bytes of NFA: shrink its repeats or raise \
         `size_limit`",
        excerpt(pattern, 0)
    )]
    TooLarge {
        /// Its place in the list of patterns, from 0: what would have been its id.
        index: usize,
        /// All of its text, as it was given.
        pattern: String,
        /// Most bytes that its NFA may take: `size_limit` of the options.
        limit: usize,
    },
    /// The bytes are no pipeline that this version wrote, or they were damaged.
    #[error("not a vkscan pipeline: {reason}; compile the rules again")]
    Malformed {
        /// The first thing found wrong, with the rule's number where it is in one.
        reason: String,
    },
}

/// Why a pattern does not parse.
pub(super) fn reason(error: &regex_syntax::Error) -> String {
    let (kind, pattern, span) = match error {
        regex_syntax::Error::Parse(error) => {
            (error.kind().to_string(), error.pattern(), error.span())
        }
        regex_syntax::Error::Translate(error) => {
            (error.kind().to_string(), error.pattern(), error.span())
        }
        error => return error.to_string(),
    };
    let at = span.start.offset;
    format!("{kind}, at byte {at} of {}", excerpt(pattern, at))
}

/// A pattern from shortly before byte `at` on, in one line that is safe to print.
fn excerpt(pattern: &str, at: usize) -> String {
    const BEFORE: usize = 40;
    const CHARS: usize = 100;

    let from = (0..=at.saturating_sub(BEFORE)).rev().find(|&from| pattern.is_char_boundary(from));
    let (before, text) = pattern.split_at(from.unwrap_or(0));
    let mut shown = if before.is_empty() { "" } else { "…" }.to_owned();
    for char in text.chars().take(CHARS) {
        match char {
            '\'' | '"' | '\\' => shown.push(char),
            char => shown.extend(char.escape_debug()),
        }
    }
    if text.chars().nth(CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use crate::{BuildError, PipelineOptions, RulePipeline};

    #[test]
    fn a_pattern_is_shown_once_and_cut_and_without_what_does_not_print() {
        let long = "é[a-z]".repeat(6000);
        for (pattern, least, most) in [
            ("a(b".to_owned(), "unclosed group, at byte 1 of a(b", 80),
            (format!("{long}\x1b[31m("), "\\u{1b}[31m(", 300),
            (format!("\r\n({long}"), "at byte 2 of \\r\\n(é[a-z]é", 400),
            (format!("(?u)\\pX{long}"), "Unicode property not found, at byte 4", 400),
        ] {
            let error = RulePipeline::new(&[&pattern]).unwrap_err().to_string();
            assert!(error.contains(least), "{error}");
            assert!(error.len() < most && !error.contains(char::is_control), "{error}");
        }
        let options = PipelineOptions { size_limit: 1000, ..PipelineOptions::default() };
        let error = RulePipeline::with_options(&[&long], options).unwrap_err();
        assert!(matches!(error, BuildError::TooLarge { .. }) && error.to_string().len() < 300);
    }

    #[test]
    fn every_bad_pattern_is_named() {
        let options = PipelineOptions { size_limit: 1000, ..PipelineOptions::default() };
        let errors = RulePipeline::compile(&["a", "(", "[0-9]{500}", "b", "*"], options);
        let of = |error: &BuildError| match error {
            BuildError::Syntax { index, .. } | BuildError::TooLarge { index, .. } => *index,
            error => panic!("{error}"),
        };
        assert_eq!(errors.unwrap_err().iter().map(of).collect::<Vec<_>>(), [1, 2, 4]);
    }
}
