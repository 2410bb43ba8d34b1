//! Patterns compiled to tables, and tables as bytes.

use std::ffi::c_char;

use vkscan::{BuildError, MatchKind, PipelineOptions, RulePipeline, UnicodePolicy};

use crate::border::{self, HandleOut, MatchArray, Out, sized, vkscan_match};
use crate::status::{Failure, free, get, run, vkscan_status};

/// Compiled rules, ready to be made resident on a device.
pub struct vkscan_rules {
    pub(crate) rules: RulePipeline,
}

/// Which matches of a pattern a scan reports.
#[repr(C)]
pub enum vkscan_match_kind {
    /// For each pattern on its own, the non-empty matches that the `regex` crate's `find_iter` yields: leftmost first,
    /// preferring earlier alternatives and greedy repeats, without overlaps.
    LeftmostFirst = 0,
    /// Every non-empty range that the pattern matches, overlapping ones included.
    All = 1,
}

/// Whether `.`, `\w`, `(?i)` and their like speak of bytes or of code points.
#[repr(C)]
pub enum vkscan_unicode_policy {
    /// Bytes; code points for a pattern that only parses that way, such as `\p{Greek}`.
    WhenNeeded = 0,
    /// Bytes. A pattern that needs code points is an error.
    Never = 1,
    /// Code points. Inline `(?-u)` still switches to bytes.
    Always = 2,
}

/// How patterns are read and compiled. What is yes or no is 1 or 0, and 0 by default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_pipeline_options {
    /// sizeof(vkscan_pipeline_options).
    pub struct_size: u32,
    /// A vkscan_match_kind; by default VKSCAN_MATCH_KIND_LEFTMOST_FIRST.
    pub match_kind: u32,
    /// A vkscan_unicode_policy; by default VKSCAN_UNICODE_POLICY_WHEN_NEEDED.
    pub unicode: u32,
    /// `(?i)` for every pattern.
    pub case_insensitive: u8,
    /// `(?m)` for every pattern.
    pub multi_line: u8,
    /// `(?s)` for every pattern.
    pub dot_matches_new_line: u8,
    /// `(?R)` for every pattern.
    pub crlf: u8,
    /// `(?x)` for every pattern.
    pub ignore_whitespace: u8,
    /// `(?U)` for every pattern.
    pub swap_greed: u8,
    /// What ends a line for `(?m:^)`, `(?m:$)` and `.`; by default '\n'.
    pub line_terminator: u8,
    /// 0.
    pub reserved: u8,
    /// Most bytes that the NFA of one pattern may take; by default 10 MiB.
    pub size_limit: usize,
    /// Most bytes of DFA table that a rule may take; by default 32 KiB. What candidates are walked on may take eight
    /// times as much. Less is never wrong, and slower to scan.
    pub dfa_budget: usize,
}

sized!(vkscan_pipeline_options);

/// A pattern: a regular expression in the syntax of the `regex` crate.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vkscan_pattern {
    /// Its text, in UTF-8. It needs no zero byte at its end.
    pub text: *const c_char,
    /// Bytes.
    pub len: usize,
}

/// Fills in defaults. `size` is sizeof(vkscan_pipeline_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_pipeline_options_init(
    options: *mut vkscan_pipeline_options,
    size: usize,
) -> vkscan_status {
    // SAFETY: as the header asks of the caller.
    run(|| unsafe { border::init(options, size, default_options()) })
}

/// Compiles patterns, with as many threads as there are cores. A match names its pattern by its index in `patterns`.
/// `options` may be NULL for the defaults. The rules are freed with vkscan_rules_free; patterns are not needed any
/// more.
///
/// It fails with VKSCAN_STATUS_SYNTAX, VKSCAN_STATUS_PATTERN_TOO_LARGE or VKSCAN_STATUS_INVALID_UTF8: the first
/// pattern's that is wrong, whose index is stored in `wrong_pattern` then unless that is NULL. vkscan_last_error() has
/// a line for every pattern that does not compile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_rules_compile(
    patterns: *const vkscan_pattern,
    pattern_count: usize,
    options: *const vkscan_pipeline_options,
    rules: *mut *mut vkscan_rules,
    wrong_pattern: *mut usize,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, patterns, options, wrong) = unsafe {
            let wrong =
                (!wrong_pattern.is_null()).then(|| Out::new(wrong_pattern, "wrong_pattern"));
            (
                HandleOut::new(rules, "rules")?,
                border::slice(patterns, pattern_count, "patterns")?,
                border::read_or(options, "options", default_options())?,
                wrong.transpose()?,
            )
        };
        let blame = |index| {
            if let Some(wrong) = &wrong {
                wrong.set(index);
            }
        };
        // SAFETY: as the header asks of the caller.
        let text =
            |(index, pattern)| unsafe { text_of(pattern, index) }.inspect_err(|_| blame(index));
        let texts = patterns.iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?;
        let rules = RulePipeline::compile(&texts, from_c(&options)?).map_err(|errors| {
            if let Some(BuildError::Syntax { index, .. } | BuildError::TooLarge { index, .. }) =
                errors.first()
            {
                blame(*index);
            }
            failure_of(errors)
        })?;
        to.set(vkscan_rules { rules });
        Ok(())
    })
}

/// # Safety
///
/// The pattern points to as many bytes as it says, as long as the text is used.
unsafe fn text_of<'a>(pattern: &vkscan_pattern, index: usize) -> Result<&'a str, Failure> {
    let name = format!("patterns[{index}].text");
    // SAFETY: as the caller promises.
    let bytes = unsafe { border::slice(pattern.text.cast::<u8>(), pattern.len, &name) }?;
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes[at];
        let message = format!(
            "pattern {index} is not UTF-8, for its byte {at} is 0x{byte:02x}: write what is to match that byte as \
             (?-u:\\x{byte:02x})"
        );
        Failure::new(vkscan_status::InvalidUtf8, message)
    })
}

/// The first error's status, and all errors' texts.
fn failure_of(errors: Vec<BuildError>) -> Failure {
    let failures: Vec<Failure> = errors.into_iter().map(Failure::from).collect();
    let status = failures.first().map_or(vkscan_status::Other, |failure| failure.status);
    let lines: Vec<String> = failures.into_iter().map(|failure| failure.message).collect();
    Failure::new(status, lines.join("\n"))
}

fn default_options() -> vkscan_pipeline_options {
    let options = PipelineOptions::default();
    vkscan_pipeline_options {
        struct_size: 0,
        match_kind: vkscan_match_kind::LeftmostFirst as u32,
        unicode: vkscan_unicode_policy::WhenNeeded as u32,
        case_insensitive: 0,
        multi_line: 0,
        dot_matches_new_line: 0,
        crlf: 0,
        ignore_whitespace: 0,
        swap_greed: 0,
        line_terminator: options.line_terminator,
        reserved: 0,
        size_limit: options.size_limit,
        dfa_budget: options.dfa_budget,
    }
}

fn from_c(options: &vkscan_pipeline_options) -> Result<PipelineOptions, Failure> {
    let match_kind = match options.match_kind {
        0 => MatchKind::LeftmostFirst,
        1 => MatchKind::All,
        other => {
            return Err(Failure::argument(format!("`match_kind` {other} is no vkscan_match_kind")));
        }
    };
    let unicode = match options.unicode {
        0 => UnicodePolicy::WhenNeeded,
        1 => UnicodePolicy::Never,
        2 => UnicodePolicy::Always,
        other => {
            return Err(Failure::argument(format!(
                "`unicode` {other} is no vkscan_unicode_policy"
            )));
        }
    };
    border::unused(
        options.reserved.into(),
        "reserved",
        "fill the options by vkscan_pipeline_options_init first",
    )?;
    Ok(PipelineOptions::default()
        .match_kind(match_kind)
        .unicode(unicode)
        .case_insensitive(options.case_insensitive != 0)
        .multi_line(options.multi_line != 0)
        .dot_matches_new_line(options.dot_matches_new_line != 0)
        .crlf(options.crlf != 0)
        .ignore_whitespace(options.ignore_whitespace != 0)
        .swap_greed(options.swap_greed != 0)
        .line_terminator(options.line_terminator)
        .size_limit(options.size_limit)
        .dfa_budget(options.dfa_budget))
}

/// Gives compiled rules as bytes, for vkscan_rules_from_bytes of the same version. They are freed with
/// vkscan_bytes_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_rules_to_bytes(
    rules: Option<&vkscan_rules>,
    bytes: *mut *mut u8,
    len: *mut usize,
) -> vkscan_status {
    run(|| {
        let rules = of(rules)?;
        // SAFETY: as the header asks of the caller.
        let (to, to_len) = unsafe { (Out::new(bytes, "bytes")?, Out::new(len, "len")?) };
        let bytes = rules.to_bytes().into_boxed_slice();
        to_len.set(bytes.len());
        to.set(Box::into_raw(bytes).cast::<u8>());
        Ok(())
    })
}

/// Frees bytes that vkscan_rules_to_bytes gave, with their length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_bytes_free(bytes: *mut u8, len: usize) {
    if !bytes.is_null() {
        // SAFETY: they are a boxed slice of that length, which the caller has not freed yet.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes, len)) });
    }
}

/// Reads what vkscan_rules_to_bytes wrote. Bytes from elsewhere do no harm, but match whatever they match. The rules
/// are freed with vkscan_rules_free; the bytes are not needed any more.
///
/// It fails with VKSCAN_STATUS_MALFORMED for anything else: another version's bytes, damaged ones, missing ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_rules_from_bytes(
    bytes: *const u8,
    len: usize,
    rules: *mut *mut vkscan_rules,
) -> vkscan_status {
    run(|| {
        // SAFETY: as the header asks of the caller.
        let (to, bytes) =
            unsafe { (HandleOut::new(rules, "rules")?, border::slice(bytes, len, "bytes")?) };
        let rules = RulePipeline::from_bytes(bytes)?;
        to.set(vkscan_rules { rules });
        Ok(())
    })
}

/// Number of patterns; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_rules_pattern_count(rules: Option<&vkscan_rules>) -> usize {
    get(0, || Ok(of(rules)?.patterns().len()))
}

/// Finds the matches by definition, on the CPU: slowly, and with no device. It gives what vkscan_scan_haystack gives.
/// Matches have at most `max_scan_bytes` bytes; VKSCAN_UNBOUNDED lets them be any length. `matches` has room for
/// `capacity` of them, and `count` gets their number.
///
/// It fails with VKSCAN_STATUS_BUFFER_TOO_SMALL where there are more than `capacity`; `count` says how many then, and
/// `matches` is as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkscan_rules_reference_scan(
    rules: Option<&vkscan_rules>,
    haystack: *const u8,
    len: usize,
    max_scan_bytes: u32,
    matches: *mut vkscan_match,
    capacity: usize,
    count: *mut usize,
) -> vkscan_status {
    run(|| {
        let rules = of(rules)?;
        // SAFETY: as the header asks of the caller.
        let (to, haystack) = unsafe {
            (MatchArray::new(matches, capacity, count)?, border::slice(haystack, len, "haystack")?)
        };
        if u32::try_from(len).is_err() {
            return Err(Failure::argument(format!(
                "`haystack` has {len} bytes: offsets of matches have 32 bits"
            )));
        }
        to.give(&rules.reference_scan_bounded(haystack, max_scan_bytes))
    })
}

/// Frees rules. Sessions that were prepared with them go on working.
#[unsafe(no_mangle)]
pub extern "C" fn vkscan_rules_free(rules: Option<Box<vkscan_rules>>) {
    free(rules);
}

/// The rules of a handle.
pub(crate) fn of(rules: Option<&vkscan_rules>) -> Result<&RulePipeline, Failure> {
    Ok(&rules.ok_or_else(|| Failure::null("rules"))?.rules)
}
