//! Regular expressions of Go's, in the dialect of the `regex` crate. Both are RE2's in all but a few characters, which mean
//! something else or nothing: `{` that begins no repetition, `[`, `&&`, `--` and `~~` in a class, `\<` and `\>`, and `\Q`.
//!
//! Grammar: <https://pkg.go.dev/regexp/syntax> and <https://docs.rs/regex/latest/regex/#syntax>.

use std::iter::Peekable;
use std::str::Chars;

use regex_syntax::escape_into;

/// What Go takes for white space: all but the vertical tab.
const SPACE: &str = r"\t\n\f\r ";

/// The same expression for the `regex` crate. What does not parse in Go, it leaves for that to find out.
pub fn to_rust(pattern: &str) -> String {
    let mut rust = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '\\' if rest.next_if_eq(&'Q').is_some() => quoted(&mut rest, &mut rust),
            '\\' => escaped(&mut rest, &mut rust),
            '[' => class(&mut rest, &mut rust),
            '{' if !is_repetition(rest.clone()) => rust.push_str(r"\{"),
            char => rust.push(char),
        }
    }
    rust
}

/// What is behind `\Q`, up to `\E`.
fn quoted(rest: &mut Peekable<Chars>, rust: &mut String) {
    while let Some(char) = rest.next() {
        if char == '\\' && rest.next_if_eq(&'E').is_some() {
            return;
        }
        escape_into(char.encode_utf8(&mut [0; 4]), rust);
    }
}

/// Whether `N}`, `N,}` or `N,M}` follows.
fn is_repetition(mut rest: Peekable<Chars>) -> bool {
    let digits = |rest: &mut Peekable<Chars>| {
        let mut count = 0;
        while rest.next_if(char::is_ascii_digit).is_some() {
            count += 1;
        }
        count
    };
    if digits(&mut rest) == 0 {
        return false;
    }
    if rest.next_if_eq(&',').is_some() {
        digits(&mut rest);
    }
    rest.next() == Some('}')
}

/// What is behind a backslash, in a class or elsewhere.
fn escaped(rest: &mut Peekable<Chars>, rust: &mut String) {
    match rest.next() {
        // Of words, in the `regex` crate.
        Some(char @ ('<' | '>')) => rust.push(char),
        Some('s') => *rust += &format!("[{SPACE}]"),
        Some('S') => *rust += &format!("[^{SPACE}]"),
        Some(char) => rust.extend(['\\', char]),
        None => rust.push('\\'),
    }
}

/// A class, behind its bracket.
fn class(rest: &mut Peekable<Chars>, rust: &mut String) {
    rust.push('[');
    rust.extend(rest.next_if_eq(&'^'));
    let mut is_first = true;
    while let Some(char) = rest.next() {
        match char {
            ']' if !is_first => {
                rust.push(']');
                return;
            }
            '\\' => escaped(rest, rust),
            '[' => match named(rest.clone()) {
                Some(name) => {
                    rest.nth(name.chars().count() - 1);
                    rust.push('[');
                    rust.push_str(&name);
                }
                None => rust.push_str(r"\["),
            },
            // The bound of a range.
            '-' if !is_first && rest.peek().is_some_and(|&next| next != ']') => {
                rust.push('-');
                if let Some(char) = rest.next_if(|char| "[&~-".contains(*char)) {
                    rust.extend(['\\', char]);
                }
            }
            ']' | '&' | '~' | '-' => rust.extend(['\\', char]),
            char => rust.push(char),
        }
        is_first = false;
    }
}

/// The name of a class in a class, as `:alpha:]`, if one follows.
fn named(rest: Peekable<Chars>) -> Option<String> {
    let mut name: String = rest.take_while(|&char| char != ']').collect();
    let inner = name.strip_prefix(':')?.strip_suffix(':')?;
    let inner = inner.strip_prefix('^').unwrap_or(inner);
    let is_name = !inner.is_empty() && inner.chars().all(|char| char.is_ascii_lowercase());
    name.push(']');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_written_otherwise() {
        for (go, rust) in [
            (r"^\$(?:\d+|{\d+})$", r"^\$(?:\d+|\{\d+})$"),
            ("a{2}b{2,}c{2,3}d{,3}e{x}", r"a{2}b{2,}c{2,3}d\{,3}e\{x}"),
            (r"\<a\>\\<", r"<a>\\<"),
            (r"\Qa.b\E.\Q*", r"a\.b.\*"),
            (r"[\s\S-]{64,}?", r"[[\t\n\f\r ][^\t\n\f\r ]\-]{64,}?"),
            (r"\s[^\S\w]", r"[\t\n\f\r ][^[^\t\n\f\r ]\w]"),
            ("[[a]", r"[\[a]"),
            ("[^[:alpha:][:^digit:][:x]", r"[^[:alpha:][:^digit:]\[:x]"),
            ("[]a]", r"[\]a]"),
            ("[^]a]", r"[^\]a]"),
            ("[a&&b~~c]", r"[a\&\&b\~\~c]"),
            ("[+--]", r"[+-\-]"),
            ("[-a-z-]", r"[\-a-z\-]"),
            (r"[\w.-]{0,50}?(?i)[\]\[]", r"[\w.\-]{0,50}?(?i)[\]\[]"),
            ("[a", "[a"),
            (r"a\", r"a\"),
        ] {
            assert_eq!(to_rust(go), rust, "{go}");
        }
    }

    /// What both take as it is stays what it is.
    #[test]
    fn what_is_the_same_means_the_same() {
        let long = to_rust(&r"\Q\E".repeat(100_000));
        assert_eq!(long, "");
        for pattern in [
            r"(?i)\b[a-z0-9_.,-]{0,25}(?:key)(?:[ \t\w.-]{0,20})[\s'\x22]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)",
            r"\b([0-9]{15,25}-[a-zA-Z0-9]{20,40})(?:[\x60'\x22\s;]|\\[nr]|$)",
            r"[[:word:]]+@[^\s@]+",
            r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----",
        ] {
            // White space is the one thing that means less.
            let hir = |pattern: &str| {
                regex_syntax::parse(
                    &pattern.replace(r"\s", " ").replace(&format!("[{SPACE}]"), " "),
                )
                .unwrap()
            };
            assert_eq!(hir(&to_rust(pattern)), hir(pattern), "{pattern}");
        }
    }
}
