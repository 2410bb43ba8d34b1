//! What people see on a terminal: messages, progress, and names and texts from elsewhere, which may hold anything.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use tracing_subscriber::EnvFilter;

/// Characters of a rule's name, or of a match's text, that are shown.
pub const TEXT_CHARS: usize = 200;

/// All progress there is. It shows itself on a terminal only, and makes room for what else is printed there.
static PROGRESS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Shows how far something is.
pub fn progress(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    PROGRESS.add(bar.with_style(style))
}

/// Shows that something is being done that may take a while, until it is done.
pub fn working<R>(message: String, work: impl FnOnce() -> R) -> R {
    const TURN: Duration = Duration::from_millis(100);

    let spinner = progress(ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}");
    spinner.set_message(message);
    spinner.enable_steady_tick(TURN);
    let done = work();
    spinner.finish_and_clear();
    PROGRESS.remove(&spinner);
    done
}

/// Prints something where progress may be shown.
pub fn print<R>(to: impl FnOnce() -> R) -> R {
    PROGRESS.suspend(to)
}

/// Says what is wrong, a line for each of its lines.
pub fn report(error: &impl Display) {
    let lines = error.to_string();
    let lines = lines.lines().map(|line| format!("vkscan: {}\n", shown(line.as_bytes())));
    say(&lines.collect::<String>());
}

/// Writes to standard error. That nobody can read it is no reason not to scan.
pub fn say(text: &str) {
    let _ = Stderr.write_all(text.as_bytes());
}

/// Standard error, which takes everything, if only to lose it.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = print(|| io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs to standard error: warnings by default, more with `-v`; `RUST_LOG` has the last word.
pub fn log(verbose: u8) {
    let level =
        ["warn", "vkscan=info", "vkscan=debug", "vkscan=trace"][usize::from(verbose.min(3))];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_target(false)
        .without_time()
        .init();
}

/// A path as it is shown, everywhere.
pub fn path(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}

/// Bytes as one line that is safe to show on a terminal: invalid UTF-8, control characters and whatever
/// else does not print become escapes.
pub fn shown(bytes: &[u8]) -> String {
    cut(bytes, usize::MAX)
}

/// As [`shown`], without what is behind so many characters.
pub fn cut(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    let mut left = limit;
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if left == 0 {
                return text + "…";
            }
            left -= 1;
            match char {
                '\'' | '"' | '\\' => text.push(char),
                char => text.extend(char.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            if left == 0 {
                return text + "…";
            }
            left -= 1;
            text.extend(byte.escape_ascii().map(char::from));
        }
    }
    text
}

/// One line of JSON, in which whatever does not print is an escape, too.
pub fn json(value: &impl Serialize) -> String {
    let mut line = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut line, Printable);
    value.serialize(&mut serializer).expect("plain data can be written to memory");
    String::from_utf8(line).expect("JSON is UTF-8") + "\n"
}

struct Printable;

impl Formatter for Printable {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for char in fragment.chars() {
            let prints = char.is_ascii_graphic() || char.escape_debug().count() == 1;
            for unit in char.encode_utf16(&mut [0; 2]).iter().filter(|_| !prints) {
                write!(writer, "\\u{unit:04x}")?;
            }
            if prints {
                write!(writer, "{char}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_escaped() {
        let text = "a\"b'\\c\r\n\t\0\x1b[31m\u{9b}\u{202e}é".as_bytes();
        assert_eq!(shown(text), r#"a"b'\c\r\n\t\0\u{1b}[31m\u{9b}\u{202e}é"#);
        assert_eq!(shown(b"\xff\xe2\x82."), r"\xff\xe2\x82.");
        // What has been escaped once is shown as it is.
        assert_eq!(shown(shown(text).as_bytes()), shown(text));
    }

    #[test]
    fn what_does_not_print_is_escaped_in_json() {
        let text = "a\"b'\\c\r\n\0\x1b[31m\x7f\u{9b}\u{202e}\u{e0001} é\u{1f600}";
        let line = json(&text);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        assert_eq!(
            line,
            "\"a\\\"b'\\\\c\\r\\n\\u0000\\u001b[31m\\u007f\\u009b\\u202e\\udb40\\udc01 é\u{1f600}\"\n"
        );
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(cut(b"abc", 3), "abc");
        assert_eq!(cut("äbcd".as_bytes(), 3), "äbc…");
        assert_eq!(cut(b"\xff\xff", 1), "\\xff…");
    }
}
