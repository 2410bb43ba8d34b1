//! Lines for people: `path:line:column: rule: text`, and for what comes from a history `date commit:path:...`.

use anstyle::{AnsiColor, Style};

use crate::findings::Finding;
use crate::inputs::Origin;
use crate::rules::Rules;
use crate::terminal::{self, TEXT_CHARS};

const PATH: Style = AnsiColor::Magenta.on_default();
const PLACE: Style = AnsiColor::Green.on_default();
const RULE: Style = AnsiColor::Cyan.on_default();
const SECRET: Style = AnsiColor::Red.on_default().bold();

fn styled(text: &str, style: Style, has_color: bool) -> String {
    if has_color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

pub fn finding(
    to: &mut Vec<u8>,
    rules: &Rules,
    origin: &Origin,
    finding: &Finding,
    has_color: bool,
) {
    let name = styled(&origin.to_string(), PATH, has_color);
    // Of what comes from a history it is good to know how old it is.
    let day = origin.commit.as_ref().map(|commit| format!("{} ", commit.day())).unwrap_or_default();
    let name = day + &name;
    let rule = styled(&rules.shown_name(finding.rule), RULE, has_color);
    let Some([begin, end]) = finding.places else {
        to.extend_from_slice(format!("{name}: {rule}\n").as_bytes());
        return;
    };
    let [line, column] =
        [begin.line, begin.column].map(|at| styled(&at.to_string(), PLACE, has_color));
    let text = match has_color {
        false => terminal::cut(&finding.text, TEXT_CHARS),
        true => {
            let secret = finding.secret.clone();
            let parts = [
                (&finding.text[..secret.start], Style::new()),
                (&finding.text[secret.clone()], SECRET),
                (&finding.text[secret.end..], Style::new()),
            ];
            let parts =
                parts.map(|(part, style)| styled(&terminal::cut(part, TEXT_CHARS), style, true));
            parts.concat()
        }
    };
    to.extend_from_slice(format!("{name}:{line}:{column}: {rule}: {text}\n").as_bytes());
    for line in &finding.lines {
        let is_own = (begin.line..=end.line).contains(&line.number);
        let separator = if is_own { ':' } else { '-' };
        let number = styled(&line.number.to_string(), PLACE, has_color);
        let text = terminal::cut(&line.text, TEXT_CHARS);
        to.extend_from_slice(format!("{name}{separator}{number}{separator}{text}\n").as_bytes());
    }
    if !finding.lines.is_empty() {
        to.extend_from_slice(b"--\n");
    }
}

/// The secret, or the file as a whole.
pub fn only(to: &mut Vec<u8>, origin: &Origin, finding: &Finding) {
    let secret = match finding.places {
        Some(_) => terminal::shown(&finding.text[finding.secret.clone()]),
        None => origin.to_string(),
    };
    to.extend_from_slice(secret.as_bytes());
    to.push(b'\n');
}

pub fn name(to: &mut Vec<u8>, origin: &Origin) {
    to.extend_from_slice(origin.to_string().as_bytes());
    to.push(b'\n');
}

pub fn count(origin: &Origin, count: u64) -> String {
    format!("{origin}:{count}\n")
}
