//! Reads `shaders/include/layout/`, the part of GLSL that has an exact Rust twin:
//!
//! ```text
//! // A comment above an item or beside a field documents it.
//! const uint NAME = 4u * OTHER;
//! struct Name {
//!     uint field;
//!     uint several[4]; // The length is a number or a constant.
//! };
//! ```
//!
//! and an include guard. Everything else is an error with its line.

/// The files, in the order in which kernels include them: what one declares the next may use.
pub const FILES: [&str; 7] = [
    "layout/limits.glsl",
    "layout/tables.glsl",
    "layout/params.glsl",
    "layout/control.glsl",
    "layout/ring.glsl",
    "layout/walkers.glsl",
    "layout/selection.glsl",
];

/// What the files declare, in their order.
#[derive(Default)]
pub struct Layout {
    pub consts: Vec<Const>,
    pub structs: Vec<Struct>,
}

pub struct Const {
    pub docs: Vec<String>,
    pub name: String,
    /// As Rust writes it.
    pub value: String,
}

pub struct Struct {
    pub docs: Vec<String>,
    pub name: String,
    pub fields: Vec<Field>,
}

pub struct Field {
    pub docs: Vec<String>,
    pub name: String,
    /// An array's length as Rust writes it.
    pub length: Option<String>,
}

impl Layout {
    /// Adds what a file declares; the error starts with the line's number.
    pub fn parse(&mut self, text: &str) -> Result<(), String> {
        let mut open: Option<Struct> = None;
        let mut docs = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let wrong = |what: &str| format!("{number}: {what}: `{}`", line.trim());
            let (code, comment) = match line.split_once("//") {
                Some((code, comment)) => {
                    (code.trim(), Some(comment.strip_prefix(' ').unwrap_or(comment).to_string()))
                }
                None => (line.trim(), None),
            };
            if code.is_empty() {
                match comment {
                    Some(comment) => docs.push(comment),
                    None => docs.clear(), // a comment that stands alone belongs to nothing
                }
                continue;
            }
            docs.extend(comment);
            let docs = std::mem::take(&mut docs);
            let words =
                tokens(code).ok_or_else(|| wrong("a character that has no business here"))?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();

            match (&mut open, &words[..]) {
                (None, ["#", "ifndef" | "define", _] | ["#", "endif"]) => {}
                (None, ["const", "uint", name, "=", value @ .., ";"]) => {
                    let value = expression(value, self)
                        .ok_or_else(|| wrong("not a constant expression of `uint`"))?;
                    self.consts.push(Const { docs, name: name.to_string(), value });
                }
                (None, ["struct", name, "{"]) => {
                    open = Some(Struct { docs, name: name.to_string(), fields: Vec::new() });
                }
                (Some(item), ["uint", name, ";"]) => {
                    item.fields.push(Field { docs, name: name.to_string(), length: None });
                }
                (Some(item), ["uint", name, "[", length, "]", ";"]) => {
                    let length = expression(&[length], self)
                        .ok_or_else(|| wrong("not an array's length"))?;
                    item.fields.push(Field { docs, name: name.to_string(), length: Some(length) });
                }
                (Some(_), ["}", ";"]) => self.structs.extend(open.take()),
                (Some(_), _) => {
                    return Err(wrong(
                        "a field is `uint name;` or `uint name[N];`, each on its line",
                    ));
                }
                (None, _) => {
                    return Err(wrong("expected `const uint NAME = ...;` or `struct Name {`"));
                }
            }
        }
        match open {
            Some(item) => {
                Err(format!("{}: struct {} is not closed", text.lines().count(), item.name))
            }
            None => Ok(()),
        }
    }
}

/// Splits a line into names, numbers and operators; nothing for a character that starts none.
fn tokens(code: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if first.is_ascii_alphanumeric() || first == '_' => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            '<' if rest.starts_with("<<") => 2,
            '#' | '{' | '}' | '[' | ']' | '(' | ')' | '=' | ';' | '+' | '-' | '*' | '|' => 1,
            _ => return None,
        };
        found.push(rest[..length].to_string());
        rest = rest[length..].trim_start();
    }
    Some(found)
}

/// A constant expression as Rust writes it: precedence and meaning of these operators are the same in both
/// languages, and Rust refuses to overflow where GLSL would wrap.
fn expression(tokens: &[&str], layout: &Layout) -> Option<String> {
    let mut rust = Vec::new();
    for &token in tokens {
        rust.push(match token {
            "+" | "-" | "*" | "<<" | "|" | "(" | ")" => token.to_string(),
            _ if token.starts_with(|c: char| c.is_ascii_digit()) => {
                let digits = token.strip_suffix(['u', 'U']).unwrap_or(token);
                let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    // In GLSL a leading zero means octal.
                    None if digits.len() > 1 && digits.starts_with('0') => return None,
                    None => digits.parse(),
                };
                value.ok()?; // and written as it was
                digits.to_string()
            }
            _ if layout.consts.iter().any(|earlier| earlier.name == token) => token.to_string(),
            _ => return None,
        });
    }
    (!rust.is_empty()).then(|| rust.join(" "))
}
