//! What is around matches: the lines that they are in.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;

/// Bytes that are read at a time to count lines in.
const BLOCK: u64 = 1 << 20;

/// Bytes that are looked through for lines before or behind a match's own.
const NEAR: u64 = 64 << 10;

/// What is scanned, to be looked at again.
pub trait Text {
    /// The bytes of a range, as far as there are and they are known.
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>>;

    /// From where on they are known.
    fn known_from(&self) -> Position {
        Position::default()
    }

    /// Whether all of it can be read, and not only what has come so far.
    fn is_whole(&self) -> bool {
        true
    }
}

/// A place in a text, and the line that it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    offset: u64,
    lines_before: u64,
    line_start: u64,
}

/// A line and a column, both counted from 1; columns are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

/// A line, with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: u64,
    pub text: Vec<u8>,
}

impl Position {
    /// Goes on behind these bytes.
    pub fn advance(&mut self, bytes: &[u8]) {
        self.lines_before += memchr::memchr_iter(b'\n', bytes).count() as u64;
        if let Some(last) = memchr::memrchr(b'\n', bytes) {
            self.line_start = self.offset + last as u64 + 1;
        }
        self.offset += bytes.len() as u64;
    }

    /// Goes on to an offset, or back to one.
    pub fn go_to(&mut self, text: &dyn Text, offset: u64) -> io::Result<()> {
        let known = text.known_from();
        if offset < self.offset || self.offset < known.offset {
            *self = known;
        }
        while self.offset < offset {
            let block = text.read(self.offset..offset.min(self.offset + BLOCK))?;
            if block.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.advance(&block);
        }
        Ok(())
    }

    /// Where its line begins.
    pub fn line_start(&self) -> u64 {
        self.line_start
    }

    pub fn place(&self) -> Place {
        Place { line: self.lines_before + 1, column: self.offset - self.line_start + 1 }
    }

    /// All bytes of the lines that `range`, which begins here, is in.
    pub fn lines(&self, text: &dyn Text, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut lines = text.read(self.line_start..range.end)?.into_owned();
        // A line feed that ends the range ends its last line.
        if range.end > range.start && lines.last() == Some(&b'\n') {
            return Ok(lines);
        }
        let mut at = range.end;
        loop {
            let block = text.read(at..at + NEAR)?;
            match memchr::memchr(b'\n', &block) {
                Some(end) => {
                    lines.extend_from_slice(&block[..end]);
                    return Ok(lines);
                }
                None if block.is_empty() => return Ok(lines),
                None => lines.extend_from_slice(&block),
            }
            at += block.len() as u64;
        }
    }

    /// The last lines before this one, as far as they are near.
    pub fn lines_before(&self, text: &dyn Text, most: usize) -> io::Result<Vec<Line>> {
        let from = self.line_start.saturating_sub(NEAR).max(text.known_from().offset);
        let before = text.read(from..self.line_start)?;
        let Some(before) = before.strip_suffix(b"\n").filter(|_| most > 0) else {
            return Ok(Vec::new());
        };
        let lines = before.rsplit(|&byte| byte == b'\n').take(most);
        let numbers = (1..=self.lines_before).rev();
        let mut lines: Vec<Line> =
            numbers.zip(lines).map(|(number, line)| Line { number, text: line.to_vec() }).collect();
        lines.reverse();
        Ok(lines)
    }

    /// The first lines behind `line_end`, where the line of this place ends, as far as they are near.
    pub fn lines_behind(
        &self,
        text: &dyn Text,
        line_end: u64,
        most: usize,
    ) -> io::Result<Vec<Line>> {
        let behind = text.read(line_end..line_end + NEAR)?;
        let Some(behind) = behind.strip_prefix(b"\n").filter(|_| most > 0) else {
            return Ok(Vec::new());
        };
        // What is cut is no line, and neither is nothing.
        let is_cut = behind.len() as u64 == NEAR - 1;
        let mut lines: Vec<&[u8]> = behind.split(|&byte| byte == b'\n').collect();
        if is_cut || lines.last().is_some_and(|last| last.is_empty()) {
            lines.pop();
        }
        let numbers = self.lines_before + 2..;
        let lines = numbers.zip(lines).take(most);
        Ok(lines.map(|(number, line)| Line { number, text: line.to_vec() }).collect())
    }
}

impl<T: Text + ?Sized> Text for &T {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        (**self).read(range)
    }

    fn known_from(&self) -> Position {
        (**self).known_from()
    }

    fn is_whole(&self) -> bool {
        (**self).is_whole()
    }
}

impl Text for [u8] {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let [start, end] = [range.start, range.end].map(|at| (at as usize).min(self.len()));
        Ok(self[start..end].into())
    }
}

/// A file, which may be read at any place.
impl Text for File {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let mut len = 0;
        while len < bytes.len() {
            match read_at(self, &mut bytes[len..], range.start + len as u64) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(len);
        Ok(bytes.into())
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}

/// The last bytes of what is read once.
pub struct Recent {
    bytes: Vec<u8>,
    from: Position,
    keep: usize,
}

impl Recent {
    /// Keeps so many bytes at least, and those of some lines before them.
    pub fn new(keep: usize) -> Recent {
        Recent { bytes: Vec::new(), from: Position::default(), keep: keep + NEAR as usize }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        // Not at every push, for the rest is moved.
        if self.bytes.len() > 2 * self.keep {
            let forgotten = self.bytes.len() - self.keep;
            self.from.advance(&self.bytes[..forgotten]);
            self.bytes.drain(..forgotten);
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl Text for Recent {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let within = |at: u64| at.saturating_sub(self.from.offset);
        self.bytes.as_slice().read(within(range.start)..within(range.end))
    }

    fn known_from(&self) -> Position {
        self.from
    }

    fn is_whole(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"one\n\nthree 3\nfour";

    #[test]
    fn places_are_lines_and_columns() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(TEXT).unwrap();
        let texts: [&dyn Text; 2] = [&TEXT, &file];
        for text in texts {
            for order in [vec![0, 3, 4, 5, 11, 12, 13, 17], vec![17, 4, 5, 0]] {
                let mut position = Position::default();
                for offset in order {
                    position.go_to(text, offset).unwrap();
                    let before = &TEXT[..offset as usize];
                    let line = before.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
                    let start =
                        before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                    let column = (before.len() - start) as u64 + 1;
                    assert_eq!(position.place(), Place { line, column }, "{offset}");
                }
            }
            assert!(Position::default().go_to(text, 18).is_err());
        }
    }

    fn lines(lines: &[Line]) -> Vec<(u64, &[u8])> {
        lines.iter().map(|line| (line.number, &*line.text)).collect()
    }

    #[test]
    fn lines_around_are_those_that_there_are() {
        let text: &dyn Text = &TEXT;
        let mut at = Position::default();
        at.go_to(text, 11).unwrap();
        assert_eq!(at.lines(text, 11..12).unwrap(), b"three 3");
        assert_eq!(at.lines(text, 11..13).unwrap(), b"three 3\n");
        assert_eq!(at.lines(text, 11..14).unwrap(), b"three 3\nfour");
        assert_eq!(lines(&at.lines_before(text, 1).unwrap()), [(2, &b""[..])]);
        assert_eq!(lines(&at.lines_before(text, 9).unwrap()), [(1, &b"one"[..]), (2, b"")]);
        assert_eq!(lines(&at.lines_behind(text, 12, 9).unwrap()), [(4, &b"four"[..])]);
        at.go_to(text, 0).unwrap();
        assert_eq!(lines(&at.lines_before(text, 2).unwrap()), []);
        assert_eq!(lines(&at.lines_behind(text, 3, 2).unwrap()), [(2, &b""[..]), (3, b"three 3")]);
        assert_eq!(lines(&at.lines_behind(text, 3, 0).unwrap()), []);
        let ended: &dyn Text = &&b"a\nb\n"[..];
        at.go_to(ended, 2).unwrap();
        assert_eq!(lines(&at.lines_behind(ended, 3, 2).unwrap()), []);
    }

    #[test]
    fn what_was_forgotten_is_counted() {
        let mut recent = Recent::new(8);
        let line = b"0123456\n".repeat(1 << 12);
        let mut position = Position::default();
        for block in 0..32 {
            recent.push(&line);
            let offset = (block + 1) * line.len() as u64 - 3;
            // Not every time: what lies between is counted all the same.
            if block % 3 == 0 {
                position.go_to(&recent, offset).unwrap();
                assert_eq!(position.place(), Place { line: (block + 1) << 12, column: 6 });
                assert_eq!(position.lines(&recent, offset..offset + 1).unwrap(), b"0123456");
            }
        }
        assert!(recent.bytes.len() < 8 << 15 && recent.from.offset > 0);
    }
}
