//! What is around matches: the lines that they are in.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;

use crate::inputs::utf16::{UNIT, units};

/// Bytes that are read at a time to count lines in.
const BLOCK: u64 = 1 << 20;

/// Bytes that are read at a time to look for a line's end in, or for lines around a match.
const NEAR: u64 = 64 << 10;

/// Bytes of a line that are kept to be shown.
const SHOWN: usize = 1 << 10;

/// What is scanned, to be looked at again.
pub trait Text {
    /// The bytes of a range, as far as there are and they are known.
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>>;

    /// From where on they are known. Whether they were decoded from UTF-16 tells this, too.
    fn known_from(&self) -> Position {
        Position::default()
    }

    /// Up to where its lines are known, if that is not its end: behind the last line feed that has come so far.
    fn lines_end(&self) -> Option<u64> {
        None
    }

    /// Whether all of it can be read, and not only what has come so far.
    fn is_whole(&self) -> bool {
        self.lines_end().is_none()
    }
}

/// A place in a text, and the line that it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    offset: u64,
    lines_before: u64,
    line_start: u64,
    /// Code points of its line before it; what is no UTF-8 counts as it comes.
    line_chars: u64,
    /// Units of UTF-16 before it, if they are counted.
    units: Option<u64>,
}

/// A line and a column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u64,
    /// In bytes.
    pub column: u64,
    /// In code points.
    pub character: u64,
}

/// A line, with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: u64,
    pub text: Vec<u8>,
}

impl Position {
    /// The start of text that was decoded from UTF-16.
    pub fn of_utf16() -> Position {
        Position { units: Some(0), ..Position::default() }
    }

    /// Where it is in what the text was decoded from, if it was: behind the mark.
    pub fn encoded(&self) -> u64 {
        self.units.map_or(self.offset, |units| UNIT * (1 + units))
    }

    /// The same of what is behind these bytes, too.
    pub fn encoded_behind(&self, bytes: &[u8]) -> u64 {
        let before = self.encoded();
        match self.units {
            Some(_) => before + UNIT * units(bytes),
            None => before + bytes.len() as u64,
        }
    }

    /// Goes on behind these bytes.
    pub fn advance(&mut self, bytes: &[u8]) {
        let is_first = |byte: &&u8| **byte & 0xC0 != 0x80;
        let mut of_line = bytes;
        if let Some(last) = memchr::memrchr(b'\n', bytes) {
            self.lines_before += memchr::memchr_iter(b'\n', bytes).count() as u64;
            self.line_start = self.offset + last as u64 + 1;
            self.line_chars = 0;
            of_line = &bytes[last + 1..];
        }
        self.line_chars += of_line.iter().filter(is_first).count() as u64;
        if let Some(before) = &mut self.units {
            *before += units(bytes);
        }
        self.offset += bytes.len() as u64;
    }

    /// Goes on to an offset, or back to one.
    pub fn go_to(&mut self, text: &dyn Text, offset: u64) -> io::Result<()> {
        let known = text.known_from();
        let is_of_another = self.units.is_some() != known.units.is_some();
        if offset < self.offset || self.offset < known.offset || is_of_another {
            *self = known;
        }
        if offset < self.offset {
            return Err(forgotten());
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

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where its line begins.
    pub fn line_start(&self) -> u64 {
        self.line_start
    }

    pub fn place(&self) -> Place {
        let [line, column] =
            [self.lines_before, self.offset - self.line_start].map(|before| before + 1);
        Place { line, column, character: self.line_chars + 1 }
    }

    /// All bytes of the lines that `range`, which begins here, is in, and where they end.
    pub fn lines(&self, text: &dyn Text, range: Range<u64>) -> io::Result<(Vec<u8>, u64)> {
        if self.line_start < text.known_from().offset {
            return Err(forgotten());
        }
        let mut lines = text.read(self.line_start..range.end)?.into_owned();
        // A line feed that ends the range ends its last line.
        if range.end > range.start && lines.last() == Some(&b'\n') {
            lines.pop();
        } else {
            Position::finish_line(text, range.end, &mut lines)?;
        }
        let end = self.line_start + lines.len() as u64;
        Ok((lines, end))
    }

    /// Adds what there is of a line from `at` on.
    fn finish_line(text: &dyn Text, mut at: u64, line: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let block = text.read(at..at + NEAR)?;
            if let Some(end) = memchr::memchr(b'\n', &block) {
                line.extend_from_slice(&block[..end]);
                return Ok(());
            }
            if block.is_empty() {
                return Ok(());
            }
            line.extend_from_slice(&block);
            at += block.len() as u64;
        }
    }

    /// The last lines before this one.
    pub fn lines_before(&self, text: &dyn Text, most: usize) -> io::Result<Vec<Line>> {
        let most = most.min(usize::try_from(self.lines_before).unwrap_or(usize::MAX));
        let known = text.known_from().offset;
        // The last byte is the line feed of the last of them.
        let (mut from, mut bytes) = (self.line_start, Vec::new());
        let count = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count();
        let mut feeds = 0;
        while most > 0 && from > 0 && feeds <= most {
            let begin = from.saturating_sub(NEAR);
            if begin < known && from == known {
                return Err(forgotten());
            }
            let block = text.read(begin.max(known)..from)?.into_owned();
            from = begin.max(known);
            feeds += count(&block);
            bytes.splice(..0, block);
        }
        let Some(before) = bytes.strip_suffix(b"\n") else { return Ok(Vec::new()) };
        let lines = before.rsplit(|&byte| byte == b'\n').take(most);
        let numbers = (1..=self.lines_before).rev();
        let mut lines: Vec<Line> =
            numbers.zip(lines).map(|(number, line)| Line::new(number, line)).collect();
        lines.reverse();
        Ok(lines)
    }
}

/// The first lines behind `line_end`, which a line ends at, as many as there are, numbered from `number` on.
pub fn lines_behind(
    text: &dyn Text,
    line_end: u64,
    number: u64,
    most: usize,
) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut at = line_end + 1;
    let mut line = Vec::new();
    while lines.len() < most {
        let block = text.read(at..at + NEAR)?;
        if block.is_empty() {
            break;
        }
        at += block.len() as u64;
        for part in block.split_inclusive(|&byte| byte == b'\n') {
            if lines.len() == most {
                break;
            }
            let room = SHOWN.saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                let number = number + lines.len() as u64;
                lines.push(Line::new(number, line.strip_suffix(b"\n").unwrap_or(&line)));
                line.clear();
            }
        }
    }
    if lines.len() < most && !line.is_empty() {
        lines.push(Line::new(number + lines.len() as u64, &line));
    }
    Ok(lines)
}

/// What comes of asking for what is not kept any more.
fn forgotten() -> io::Error {
    io::Error::other(
        "a line goes on for longer than is kept of what is read once, or too many are asked for around a match: raise \
         --window-bytes",
    )
}

impl Line {
    /// As much of it as is shown.
    pub fn new(number: u64, text: &[u8]) -> Line {
        Line { number, text: text[..text.len().min(SHOWN)].to_vec() }
    }
}

impl<T: Text + ?Sized> Text for &T {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        (**self).read(range)
    }

    fn known_from(&self) -> Position {
        (**self).known_from()
    }

    fn lines_end(&self) -> Option<u64> {
        (**self).lines_end()
    }
}

impl Text for [u8] {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let [start, end] = [range.start, range.end].map(|at| (at as usize).min(self.len()));
        Ok(self[start..end].into())
    }
}

/// What was decoded from UTF-16.
pub struct Decoded<'t>(pub &'t [u8]);

impl Text for Decoded<'_> {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        self.0.read(range)
    }

    fn known_from(&self) -> Position {
        Position::of_utf16()
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
    use std::io::{Seek, SeekFrom};
    // It moves to where the file is read next.
    let next = (&mut &*file).stream_position()?;
    let count = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
    (&mut &*file).seek(SeekFrom::Start(next))?;
    Ok(count)
}

/// The last bytes of what is read once.
pub struct Recent {
    bytes: Vec<u8>,
    from: Position,
    keep: usize,
    lines_end: u64,
    has_ended: bool,
}

impl Recent {
    /// Keeps so many bytes at least, and those of some lines before them.
    pub fn new(keep: usize, is_utf16: bool) -> Recent {
        let from = if is_utf16 { Position::of_utf16() } else { Position::default() };
        let (bytes, keep) = (Vec::new(), keep + NEAR as usize);
        Recent { bytes, from, keep, lines_end: 0, has_ended: false }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        // Not at every push, for the rest is moved.
        if self.bytes.len() > 2 * self.keep {
            let forgotten = self.bytes.len() - self.keep;
            self.from.advance(&self.bytes[..forgotten]);
            self.bytes.drain(..forgotten);
        }
        if let Some(last) = memchr::memrchr(b'\n', bytes) {
            self.lines_end = self.from.offset + (self.bytes.len() + last) as u64 + 1;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Nothing follows.
    pub fn end(&mut self) {
        self.has_ended = true;
    }
}

impl Text for Recent {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        if range.start < self.from.offset {
            return Err(forgotten());
        }
        let within = |at: u64| at.saturating_sub(self.from.offset);
        self.bytes.as_slice().read(within(range.start)..within(range.end))
    }

    fn known_from(&self) -> Position {
        self.from
    }

    fn lines_end(&self) -> Option<u64> {
        (!self.has_ended).then_some(self.lines_end)
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
                    assert_eq!(
                        position.place(),
                        Place { line, column, character: column },
                        "{offset}"
                    );
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
        assert_eq!(at.lines(text, 11..12).unwrap(), (b"three 3".to_vec(), 12));
        assert_eq!(at.lines(text, 11..13).unwrap(), (b"three 3".to_vec(), 12));
        assert_eq!(at.lines(text, 11..14).unwrap(), (b"three 3\nfour".to_vec(), 17));
        assert_eq!(lines(&at.lines_before(text, 1).unwrap()), [(2, &b""[..])]);
        assert_eq!(lines(&at.lines_before(text, 9).unwrap()), [(1, &b"one"[..]), (2, b"")]);
        assert_eq!(lines(&lines_behind(text, 12, 4, 9).unwrap()), [(4, &b"four"[..])]);
        at.go_to(text, 0).unwrap();
        assert_eq!(lines(&at.lines_before(text, 2).unwrap()), []);
        assert_eq!(lines(&lines_behind(text, 3, 2, 2).unwrap()), [(2, &b""[..]), (3, b"three 3")]);
        assert_eq!(lines(&lines_behind(text, 3, 2, 0).unwrap()), []);
        let ended: &dyn Text = &&b"a\nb\n"[..];
        at.go_to(ended, 2).unwrap();
        assert_eq!(lines(&lines_behind(ended, 3, 3, 2).unwrap()), []);
        // However far they are away.
        let much = [&b"a\n".repeat(100_000)[..], &b"x".repeat(200_000), b"\n"].concat();
        let text: &dyn Text = &&much[..];
        at.go_to(text, 0).unwrap();
        let behind = lines_behind(text, 1, 2, 1 << 20).unwrap();
        assert_eq!((behind.len(), behind[99_999].number), (100_000, 100_001));
        assert_eq!(behind[99_999].text.len(), SHOWN);
        at.go_to(text, much.len() as u64).unwrap();
        let before = at.lines_before(text, 1 << 20).unwrap();
        assert_eq!((before.len(), before[0].number, before[100_000].number), (100_001, 1, 100_001));
        assert_eq!(lines(&at.lines_before(text, 1).unwrap()), [(100_001, &b"x".repeat(SHOWN)[..])]);
    }

    #[test]
    fn what_was_forgotten_is_counted() {
        let mut recent = Recent::new(8, false);
        let line = b"0123456\n".repeat(1 << 12);
        let mut position = Position::default();
        for block in 0..32 {
            recent.push(&line);
            let offset = (block + 1) * line.len() as u64 - 3;
            // Not every time: what lies between is counted all the same.
            if block % 3 == 0 {
                position.go_to(&recent, offset).unwrap();
                let place = Place { line: (block + 1) << 12, column: 6, character: 6 };
                assert_eq!(position.place(), place);
                assert_eq!(position.lines(&recent, offset..offset + 1).unwrap().0, b"0123456");
            }
        }
        assert!(recent.bytes.len() < 8 << 15 && recent.from.offset > 0);
        assert_eq!(recent.lines_end(), Some(32 * line.len() as u64));
        assert!(position.go_to(&recent, 0).is_err());
    }
}
