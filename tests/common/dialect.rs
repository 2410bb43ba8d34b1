//! Perl's dialect, as PCRE, Hyperscan and RE2 read it, in the syntax of the `regex` crate.
//!
//! Whatever cannot be said there is an error that names it, so that a suite can count what it skips.

/// How a peer reads a pattern.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// Pattern and haystack are code points, not bytes.
    pub utf8: bool,
    /// `\d`, `\s`, `\w`, `\b` and POSIX classes go by Unicode properties, not by ASCII.
    pub properties: bool,
    /// Letters match whatever their case.
    pub caseless: bool,
}

/// A pattern in the syntax of the `regex` crate.
#[derive(Default)]
pub struct Translated {
    pub pattern: String,
    /// There is a `$` that `(?m)` may change.
    pub dollar: bool,
    /// There is a `\Z`.
    pub before_final_newline: bool,
    /// Some of it goes by Unicode properties.
    pub properties: bool,
    /// There is a `\b` or `\B`.
    pub word_boundary: bool,
}

impl Dialect {
    pub fn translate(self, pattern: &[u8]) -> Result<Translated, String> {
        let chars = match self.utf8 {
            true => {
                std::str::from_utf8(pattern).map_err(|_| "pattern is not UTF-8")?.chars().collect()
            }
            false => pattern.iter().map(|&byte| char::from(byte)).collect(),
        };
        let translated = Translated { properties: self.properties, ..Translated::default() };
        let mut translator = Translator { dialect: self, chars, at: 0, out: translated };
        translator.pattern()?;
        Ok(translator.out)
    }
}

struct Translator {
    dialect: Dialect,
    chars: Vec<char>,
    at: usize,
    out: Translated,
}

impl Translator {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = self.chars[self.at..].iter();
        let found = text.chars().count() <= rest.len()
            && text.chars().eq(rest.copied().take(text.chars().count()));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// Takes characters up to `end`, and `end`.
    fn until(&mut self, end: char) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some(next) if next == end => return Ok(text),
                Some(next) => text.push(next),
                None => return Err(format!("no closing {end}")),
            }
        }
    }

    /// Takes at most `most` digits.
    fn digits(&mut self, radix: u32, most: usize) -> String {
        let digits: String = self.chars[self.at..]
            .iter()
            .take(most)
            .take_while(|digit| digit.is_digit(radix))
            .collect();
        self.at += digits.len();
        digits
    }

    fn literal(&mut self, literal: char) {
        if literal.is_ascii_punctuation() {
            self.out.pattern.push('\\');
        }
        if literal == '<' || literal == '>' {
            // `\<` and `\>` are word edges.
            self.out.pattern.pop();
        }
        if literal.is_ascii() && !literal.is_control() || u32::from(literal) > 0xff {
            self.out.pattern.push(literal);
        } else {
            self.out.pattern += &format!("\\x{:02x}", u32::from(literal));
        }
    }

    fn code(&mut self, digits: &str, radix: u32) -> Result<(), String> {
        let code = match digits {
            "" => 0,
            digits => u32::from_str_radix(digits, radix).map_err(|_| "code point out of range")?,
        };
        self.literal(char::from_u32(code).ok_or("code point out of range")?);
        Ok(())
    }

    fn pattern(&mut self) -> Result<(), String> {
        let mut repeated = false;
        while let Some(next) = self.next() {
            let repeats = match next {
                '*' | '?' | '+' if repeated => match next {
                    '?' => {
                        self.out.pattern.push('?');
                        false
                    }
                    '+' => return Err("possessive repeat".into()),
                    _ => return Err("repeat of a repeat".into()),
                },
                '*' | '?' | '+' => {
                    self.out.pattern.push(next);
                    true
                }
                '{' => self.counted(),
                '\\' => {
                    self.escape(false)?;
                    false
                }
                '[' => {
                    self.class()?;
                    false
                }
                '(' => {
                    self.group()?;
                    false
                }
                '$' => {
                    self.out.dollar = true;
                    self.out.pattern.push('$');
                    false
                }
                ')' | '|' | '^' | '.' => {
                    self.out.pattern.push(next);
                    false
                }
                _ => {
                    self.literal(next);
                    false
                }
            };
            repeated = repeats;
        }
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`; any other brace is a literal.
    fn counted(&mut self) -> bool {
        let from = self.at;
        let least = self.digits(10, usize::MAX);
        let range = self.eat(",");
        let most = self.digits(10, usize::MAX);
        if least.is_empty() || !self.eat("}") || (!range && !most.is_empty()) {
            self.at = from;
            self.literal('{');
            return false;
        }
        self.out.pattern.push('{');
        self.out.pattern.extend(&self.chars[from..self.at]);
        true
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.pattern.push('(');
        if self.peek() == Some('*') {
            return Err("verb".into());
        }
        if !self.eat("?") {
            return Ok(());
        }
        let kinds = [
            ("=", "look-around"),
            ("!", "look-around"),
            ("<=", "look-around"),
            ("<!", "look-around"),
            (">", "atomic group"),
            ("(", "conditional"),
            ("P=", "back-reference"),
        ];
        if let Some((_, what)) = kinds.iter().find(|(start, _)| self.eat(start)) {
            return Err((*what).into());
        }
        // Names say nothing about what matches.
        for (start, end) in [("P<", '>'), ("<", '>'), ("'", '\'')] {
            if self.eat(start) {
                self.until(end)?;
                return Ok(());
            }
        }
        if self.eat("#") {
            self.until(')')?;
            self.out.pattern.pop();
            return Ok(());
        }
        self.out.pattern.push('?');
        loop {
            match self.next() {
                Some(flag @ ('i' | 'm' | 's' | 'U' | '-')) => self.out.pattern.push(flag),
                Some(end @ (':' | ')')) => {
                    self.out.pattern.push(end);
                    return Ok(());
                }
                _ => return Err("group of another kind".into()),
            }
        }
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.pattern.push('[');
        if self.eat("^") {
            self.out.pattern.push('^');
        }
        let first = self.at;
        // Whether what is before is a character that a range may begin with.
        let mut begins_range = false;
        loop {
            let at = self.at;
            match self.next().ok_or("class without end")? {
                ']' if at > first => break,
                '-' if begins_range && self.peek() != Some(']') => {
                    let hyphen = self.out.pattern.len();
                    let end = self.next().ok_or("class without end")?;
                    self.class_item(end)?;
                    // Before a class it is a literal.
                    let literal = if self.is_class_at(hyphen) { "\\-" } else { "-" };
                    self.out.pattern.insert_str(hyphen, literal);
                    begins_range = false;
                }
                item => {
                    let from = self.out.pattern.len();
                    self.class_item(item)?;
                    begins_range = self.out.pattern.len() > from && !self.is_class_at(from);
                }
            }
        }
        self.out.pattern.push(']');
        Ok(())
    }

    /// A character of a class, or a class in it.
    fn class_item(&mut self, item: char) -> Result<(), String> {
        match item {
            '[' => self.posix_or_literal(),
            '\\' => self.escape(true),
            literal => {
                self.literal(literal);
                Ok(())
            }
        }
    }

    /// Whether what has been written from there on is a class.
    fn is_class_at(&self, from: usize) -> bool {
        self.out.pattern[from..].starts_with('[')
    }

    /// What follows a backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let escaped = self.next().ok_or("backslash at the end")?;
        match escaped {
            'd' | 's' | 'w' | 'h' | 'v' | 'D' | 'S' | 'W' | 'H' | 'V' => {
                let members = self.members(escaped.to_ascii_lowercase());
                self.members_class(escaped.is_ascii_uppercase(), &members);
            }
            'N' if !in_class => self.out.pattern.push_str("[^\\n]"),
            'p' | 'P' => {
                self.out.properties = true;
                let name = match self.next().ok_or("property without a name")? {
                    '{' => self.until('}')?,
                    name => name.into(),
                };
                let (caret, name) = match name.strip_prefix('^') {
                    Some(name) => (true, name),
                    None => (false, &*name),
                };
                let members = match name {
                    "L&" => r"\p{Lu}\p{Ll}\p{Lt}".into(),
                    "Xan" => r"\p{L}\p{N}".into(),
                    "Xsp" | "Xps" => Translator::SPACE.into(),
                    "Xwd" => r"\p{L}\p{N}_".into(),
                    // No surrogate is a code point here.
                    "Cs" => r"\p{Any}".into(),
                    name => format!(r"\p{{{name}}}"),
                };
                let negated = (caret != (escaped == 'P')) != (name == "Cs");
                match in_class {
                    true => self.members_class(negated, &members),
                    // Properties do not fold case.
                    false => {
                        self.out.pattern += "(?-i:";
                        self.members_class(negated, &members);
                        self.out.pattern.push(')');
                    }
                }
            }
            'b' if in_class => self.literal('\x08'),
            'b' | 'B' => {
                self.out.word_boundary = true;
                match self.dialect.properties {
                    true => self.out.pattern.extend(['\\', escaped]),
                    false => self.out.pattern += &format!(r"(?-u:\{escaped})"),
                }
            }
            'A' | 'z' if !in_class => self.out.pattern.extend(['\\', escaped]),
            'Z' if !in_class => {
                self.out.before_final_newline = true;
                self.out.pattern += r"\z";
            }
            'C' if !in_class => self.out.pattern += "(?s-u:.)",
            'a' => self.literal('\x07'),
            'e' => self.literal('\x1b'),
            'f' => self.literal('\x0c'),
            'n' => self.literal('\n'),
            'r' => self.literal('\r'),
            't' => self.literal('\t'),
            'c' => {
                let control =
                    self.next().filter(char::is_ascii).ok_or("\\c without a character")?;
                self.literal(char::from(control.to_ascii_uppercase() as u8 ^ 0x40));
            }
            'x' if self.eat("{") => {
                let digits = self.until('}')?;
                self.code(&digits, 16)?;
            }
            'x' => {
                let digits = self.digits(16, 2);
                self.code(&digits, 16)?;
            }
            'o' if self.eat("{") => {
                let digits = self.until('}')?;
                self.code(&digits, 8)?;
            }
            '0' => {
                let digits = self.digits(8, 2);
                self.code(&digits, 8)?;
            }
            '1'..='9' => self.number()?,
            'Q' => {
                while !self.eat("\\E") {
                    match self.next() {
                        Some(literal) => self.literal(literal),
                        None => break,
                    }
                }
            }
            'E' => {}
            'k' | 'g' => return Err("back-reference".into()),
            letter if letter.is_ascii_alphanumeric() => return Err(format!("escape \\{letter}")),
            literal => self.literal(literal),
        }
        Ok(())
    }

    /// A backslash and a number above zero is a back-reference where it is one digit, and otherwise up to
    /// three octal digits.
    fn number(&mut self) -> Result<(), String> {
        self.at -= 1;
        let from = self.at;
        let number = self.digits(10, usize::MAX);
        self.at = from;
        if number.len() == 1 && *number < *"8" {
            return Err("back-reference".into());
        }
        match self.digits(8, 3) {
            // `\8` and `\9` stand for themselves.
            digits if digits.is_empty() => {
                let digit = self.next().expect("there is a digit");
                self.literal(digit);
                Ok(())
            }
            digits => self.code(&digits, 8),
        }
    }

    /// Separators, and the control characters that PCRE calls space.
    const SPACE: &str = r"\p{Z}\t\n\x0b\x0c\r\x85";

    fn members(&self, class: char) -> String {
        let Dialect { utf8, properties, .. } = self.dialect;
        let code_points = utf8 || properties;
        match class {
            'd' if properties => r"\p{Nd}",
            'd' => "0-9",
            's' if properties => Translator::SPACE,
            's' => r"\t\n\x0b\x0c\r\x20",
            'w' if properties => r"\p{L}\p{N}_",
            'w' => "0-9A-Za-z_",
            'h' if code_points => {
                r"\t\x20\xa0\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}"
            }
            'h' => r"\t\x20\xa0",
            'v' if code_points => r"\n\x0b\x0c\r\x85\x{2028}\x{2029}",
            'v' => r"\n\x0b\x0c\r\x85",
            _ => unreachable!("no class {class}"),
        }
        .into()
    }

    /// A class of its own, or inside another.
    fn members_class(&mut self, negated: bool, members: &str) {
        self.out.pattern += if negated { "[^" } else { "[" };
        self.out.pattern += members;
        self.out.pattern.push(']');
    }

    fn posix_or_literal(&mut self) -> Result<(), String> {
        let from = self.at;
        let begins = self.eat(":");
        let negated = self.eat("^");
        let mut name = String::new();
        while let Some(letter) = self.peek().filter(char::is_ascii_lowercase) {
            name.push(letter);
            self.at += 1;
        }
        if !begins || !self.eat(":]") {
            self.at = from;
            self.literal('[');
            return Ok(());
        }
        if self.dialect.caseless && (self.dialect.utf8 || self.dialect.properties) {
            // There case is folded as in ASCII.
            return Err("caseless POSIX class of code points".into());
        }
        let name = &*name;
        let members = match name {
            _ if !self.dialect.properties => format!("[:{name}:]"),
            "alpha" => r"\p{L}".into(),
            "lower" => r"\p{Ll}".into(),
            "upper" => r"\p{Lu}".into(),
            "alnum" => r"\p{L}\p{N}".into(),
            "blank" => self.members('h'),
            "space" | "digit" | "word" => self.members(name.chars().next().expect("it has a name")),
            "cntrl" => r"\p{Cc}".into(),
            "ascii" | "xdigit" => format!("[:{name}:]"),
            "punct" => r"\p{P}$+<=>^`|~".into(),
            "graph" => r"\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}".into(),
            "print" => r"\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Zs}".into(),
            _ => return Err("POSIX class of another name".into()),
        };
        self.members_class(negated, &members);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::Regex;

    /// Pairs of hyphens, ampersands and tildes, and brackets, stand for themselves; the `regex` crate takes them for
    /// operators.
    #[test]
    fn classes_hold_what_they_hold_in_perl() {
        let dialect = Dialect { utf8: false, properties: false, caseless: false };
        for (class, members) in [
            ("[a--]", ""),
            ("[+--]", "+,-"),
            ("[--/]", "-./"),
            ("[---]", "-"),
            ("[a-c--/]", "abc-./"),
            ("[a--b]", ""),
            ("[\\w--]", "\\w-"),
            ("[\\d-z]", "\\d-z"),
            ("[a-\\d]", "a-\\d"),
            ("[[:digit:]-z]", "\\d-z"),
            ("[a-[:digit:]]", "a-\\d"),
            ("[a-c-e]", "abc-e"),
            ("[-a]", "-a"),
            ("[a-]", "-a"),
            ("[]-a]", "]^_`a"),
            ("[^]-a]", "^]^_`a"),
            ("[a&&b]", "a&b"),
            ("[&&]", "&"),
            ("[a~~b]", "a~b"),
            ("[[a]", "[a"),
            ("[a[b]", "a[b"),
            ("[[b-d[]", "[bcd"),
            ("[Z-[]", "Z["),
            ("[\\Qa-c\\E]", "a-c"),
            ("[\\x2b-\\x2d]", "+,-"),
            ("[\\--/]", "-./"),
            ("[!-\\-]", "!\"#$%&'()*+,-"),
        ] {
            let Ok(pattern) = dialect.translate(class.as_bytes()) else { panic!("{class}") };
            let regex = Regex::new(&format!("(?-u){}", pattern.pattern));
            let Ok(regex) = regex else {
                assert_eq!(members, "", "{class} as {}", pattern.pattern);
                continue;
            };
            let (negated, members) = match members.strip_prefix('^') {
                Some(rest) if class.starts_with("[^") => (true, rest),
                _ => (false, members),
            };
            let members = members
                .replace("\\d", "0123456789")
                .replace("\\w", &format!("_{}", alphanumerics()));
            for byte in 0..=u8::MAX {
                let is_member = members.as_bytes().contains(&byte) != negated;
                assert_eq!(regex.is_match(&[byte]), is_member, "{class}, {byte:#x}");
            }
        }
    }

    fn alphanumerics() -> String {
        (0..128_u8).map(char::from).filter(char::is_ascii_alphanumeric).collect()
    }
}
