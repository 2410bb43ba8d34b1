//! Errors of the library in the command's words: options for its parameters, and names for its patterns.

use std::error::Error;

use vkscan::{BackendError, BuildError, RingError, RingItemError, ScanError, StreamError};

use crate::rules::Rules;

/// The least that `--window-bytes` takes.
pub const LEAST_WINDOW: usize = 1 << 10;

/// What is wrong, and what to do about it.
pub fn describe(error: &(dyn Error + 'static), rules: &Rules) -> String {
    if let Some(error) = error.downcast_ref::<BackendError>() {
        backend(error)
    } else if let Some(error) = error.downcast_ref::<ScanError>() {
        scan(error, rules)
    } else if let Some(RingError::Scan(error)) = error.downcast_ref() {
        scan(error, rules)
    } else {
        error.to_string()
    }
}

pub fn stream(StreamError { error, scanned }: &StreamError, rules: &Rules) -> String {
    let error = scan(error, rules);
    match scanned {
        0 => error,
        scanned => format!("{error}; what starts at offset {scanned} or behind was not scanned"),
    }
}

pub fn scan(error: &ScanError, rules: &Rules) -> String {
    match error {
        ScanError::Undecided { pattern_id, start, capacity } => format!(
            "rule {} cannot be decided: {capacity} bytes after offset {start} it may still match; raise \
             --window-bytes, or bound matches with --max-scan-bytes",
            rules.shown_name(*pattern_id)
        ),
        ScanError::TooManyMatches { found, at_least, max_matches } => format!(
            "{}{found} matches in one window, and room for {max_matches}: raise --max-matches, or lower \
             --window-bytes",
            at_least_of(*at_least)
        ),
        ScanError::HaystackTooLarge { bytes, capacity } => {
            format!("a window takes {capacity} bytes, not {bytes}: raise --window-bytes")
        }
        ScanError::WindowTooSmall { capacity, least } => {
            format!(
                "a window of {capacity} bytes is too small: raise --window-bytes to {least} or more"
            )
        }
        ScanError::RuleTooLarge { pattern_id, bytes, limit } => format!(
            "the tables of rule {} take {bytes} bytes and this device binds {limit} at most: shrink its repeats",
            rules.shown_name(*pattern_id)
        ),
        ScanError::Limit { what: "match capacity", asked, limit, .. } => format!(
            "this device has room for {limit} matches at most, not {asked}: lower --max-matches"
        ),
        ScanError::Limit { asked, limit, .. } => {
            format!("a window has {limit} bytes at most, not {asked}: lower --window-bytes")
        }
        ScanError::Read(error) => error.to_string(),
        ScanError::Backend(error) => backend(error),
        error => error.to_string(),
    }
}

/// As [`scan`], for a small file of so many bytes.
pub fn item(error: &RingItemError, bytes: usize) -> String {
    match error {
        RingItemError::TooManyMatches { found, at_least, max_matches } => format!(
            "{}{found} matches in {bytes} bytes, and room for {max_matches}: raise --max-matches{}",
            at_least_of(*at_least),
            // A window is not less than the file otherwise.
            if bytes > LEAST_WINDOW { ", or lower --window-bytes" } else { "" }
        ),
        error => error.to_string(),
    }
}

pub fn backend(error: &BackendError) -> String {
    match error {
        BackendError::Timeout { waited, what } => {
            format!("timed out after {waited:.3?} waiting for {what}: raise --wait-timeout")
        }
        BackendError::StillInUse { .. } => {
            "the device has not answered in time: raise --wait-timeout".to_owned()
        }
        BackendError::OutOfMemory { .. } => {
            format!("{error}: lower --window-bytes or --max-matches")
        }
        BackendError::DeviceLost { report } => format!(
            "the Vulkan device is lost: its driver was reset, it hung, or it was removed ({report}): run \
             the command again"
        ),
        error => error.to_string(),
    }
}

/// What is wrong with a rule.
pub fn build(error: &BuildError) -> String {
    match error {
        BuildError::Syntax { reason, .. } => format!("does not parse: {reason}"),
        BuildError::TooLarge { limit, .. } => format!(
            "compiles to more than {limit} bytes of NFA: shrink its repeats, or raise --size-limit"
        ),
        error => error.to_string(),
    }
}

fn at_least_of(at_least: bool) -> &'static str {
    if at_least { "at least " } else { "" }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::time::Duration;

    use vkscan::Memory;

    use super::*;
    use crate::args::{Confidence, RulesArgs};

    /// Of everything that an input, or the command as a whole, may fail with.
    #[test]
    fn what_is_advised_can_be_done() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules");
        fs::write(&rules, "a\nb\n").unwrap();
        let args = RulesArgs {
            rules: vec![rules],
            regexps: Vec::new(),
            rules_format: None,
            default_rules: None,
            confidence: Confidence::Low,
            size_limit: 1,
            no_cache: true,
        };
        let rules = Rules::read(&args);
        let rules = rules.unwrap();
        let (bytes, capacity, found, at_least, max_matches) = (9, 9, 9, true, 9);
        let limit = |what| ScanError::Limit { what, asked: 9, limit: 8, whose: "this device has" };
        let waited = Duration::from_secs(60);
        let timeout = BackendError::Timeout { waited, what: "a frame".to_owned() };
        let memory = Memory::Device;
        let out_of = BackendError::OutOfMemory { memory, bytes: None, what: "hits".to_owned() };
        let scan_errors = [
            (ScanError::HaystackTooLarge { bytes, capacity }, "--window-bytes"),
            (ScanError::TooManyMatches { found, at_least, max_matches }, "--max-matches"),
            (ScanError::WindowTooSmall { capacity, least: 10 }, "--window-bytes to 10"),
            (ScanError::Undecided { pattern_id: 1, start: 7, capacity }, "rule b "),
            (ScanError::RuleTooLarge { pattern_id: 1, bytes: 9, limit: 8 }, "rule b "),
            (limit("match capacity"), "--max-matches"),
            (limit("haystack capacity"), "--window-bytes"),
            (ScanError::Read(ErrorKind::NotFound.into()), "not found"),
            (timeout.into(), "--wait-timeout"),
            (BackendError::StillInUse { bytes: 9 }.into(), "--wait-timeout"),
            (out_of.into(), "--window-bytes"),
            (BackendError::DeviceLost { report: "frame 0: 1 of 2".to_owned() }.into(), "1 of 2"),
        ];
        for (error, part) in scan_errors {
            let mut texts = vec![describe(&error, &rules), scan(&error, &rules)];
            if let ScanError::Backend(error) = &error {
                texts.extend([describe(error, &rules), backend(error)]);
            }
            let ring = RingError::Scan(error);
            texts.push(describe(&ring, &rules));
            let RingError::Scan(error) = ring else { unreachable!() };
            texts.push(stream(&StreamError { error, scanned: 70 }, &rules));
            assert!(texts.last().unwrap().contains("offset 70"));
            for text in texts {
                assert!(text.contains(part), "{part:?} not in {text}");
                for theirs in ["prepare", "`", "session", "pattern", "backend", "haystack"] {
                    assert!(!text.contains(theirs), "{theirs:?} in {text}");
                }
            }
        }
        let many = RingItemError::TooManyMatches { found, at_least, max_matches: 9 };
        assert!(item(&many, 1025).contains("--window-bytes"));
        assert!(!item(&many, 1024).contains("--window-bytes"));
    }
}
