//! What generated patterns and haystacks are made of: by `strategies.rs`, and by the fuzz targets.

/// Parts of patterns that match something, or nothing: the letters that haystacks are full of, classes, and dots.
pub const LEAVES: &[&str] = &[
    "a",
    "a",
    "b",
    "b",
    "c",
    "ab",
    "k",
    "0",
    "_",
    " ",
    "é",
    "δ",
    r"\xff",
    r"(?-u:\xff)",
    ".",
    "(?s:.)",
    "(?-u:.)",
    "(?s-u:.)",
    "[ab]",
    "[^a]",
    "(?-u:[^a])",
    "[a-cé-λ]",
    r"[^\n]",
    "[a-y&&[^m]]",
    "[[:alpha:]]",
    r"\w",
    r"\W",
    r"\d",
    r"\s",
    r"(?-u:\w)",
    r"\PL",
    "(?i:k)",
    "(?:)",
];

/// Looks around a place.
pub const LOOKS: &[&str] = &[
    r"\b",
    r"\B",
    r"(?u:\b)",
    r"(?u:\B)",
    r"(?-u:\b)",
    r"(?-u:\B)",
    r"\b{start}",
    r"\b{end}",
    r"\b{start-half}",
    r"(?u:\b{start})",
    r"(?u:\b{end-half})",
    r"(?-u:\b{start-half})",
    r"(?-u:\b{end-half})",
    "^",
    "$",
    "(?m:^)",
    "(?m:$)",
    "(?mR:^)",
    "(?mR:$)",
    r"\A",
    r"\z",
];

/// Few bytes of which typical text has few.
pub const RARE: &[&str] = &["abcd", "(?:abcd|bcda)", "key7", "(?i:abcd)", "abcd(?:key7)?", "zqxj"];

/// Pieces of haystacks that are more than a byte, and that folding cases or ends of lines ask about.
pub const ODD_TEXTS: &[&str] = &["é", "δ", "\u{212a}", "💩", "\r\n"];

/// Pieces of haystacks that are no text.
pub const ODD_BYTES: &[&[u8]] = &[b"\xff", b"\xc3", b"\xe2\x84", b"\0"];
