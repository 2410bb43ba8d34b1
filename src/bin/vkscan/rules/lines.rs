//! One regular expression a line, as `rg -f` reads them: nothing is trimmed but the line's end, `#` is no comment, and empty
//! lines are skipped. A rule without a name is called by its text.

use std::path::Path;

use super::{Rule, RulesError, Text, error, name_by_index, read_text};
use crate::terminal;

pub fn rules(file: &Text) -> Result<Vec<Rule>, RulesError> {
    let ids_path = file.path.with_extension("ids");
    let ids = match read_text(&ids_path) {
        Ok(_) if ids_path == file.path => None,
        Ok(ids) => Some(ids),
        Err(_) if !ids_path.exists() => None,
        Err(error) => return Err(error),
    };
    let patterns = lines(file.path, &file.text)?;
    let names = ids.as_deref().map(|ids| lines(&ids_path, ids)).transpose()?;
    if let Some(names) = &names
        && names.len() != patterns.len()
    {
        let reason = format!(
            "{} lines cannot name the {} lines of {}",
            names.len(),
            patterns.len(),
            terminal::path(file.path)
        );
        return Err(error(&ids_path, None, reason));
    }
    let mut rules = Vec::new();
    for (index, &pattern) in patterns.iter().enumerate() {
        let name = names.as_ref().map(|names| names[index]).filter(|name| !name.is_empty());
        let name = name.map(|name| match name.trim() {
            "" => name_by_index(rules.len()),
            _ => name.to_owned(),
        });
        if !pattern.is_empty() {
            rules.push(Rule::new(name, Some(pattern.to_owned()), file.origin(index + 1)));
        }
    }
    Ok(rules)
}

/// The lines of a text, whichever of the three usual ways they end.
fn lines<'t>(path: &Path, text: &'t str) -> Result<Vec<&'t str>, RulesError> {
    let lines: Vec<&str> = match text.contains('\n') {
        true => text.lines().collect(),
        false => text.split_terminator('\r').collect(),
    };
    let stray = [
        (
            '\r',
            "a carriage return inside a line, where others end in line feeds: write \\r for one",
        ),
        ('\u{feff}', "a byte order mark behind the start: remove it, or write \\x{feff} for one"),
        ('\0', "a NUL byte, as of UTF-16: save the file as UTF-8, or write \\x00 for one"),
    ];
    for (index, line) in lines.iter().enumerate() {
        for (char, what) in stray {
            if line.contains(char) {
                return Err(error(path, Some(index + 1), format!("there is {what}")));
            }
        }
    }
    Ok(lines)
}
