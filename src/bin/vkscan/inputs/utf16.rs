//! Text in UTF-16 that begins with a byte order mark: it is scanned as UTF-8. Places in it are told as they are in UTF-16, which
//! they can be by themselves: whatever is no character is decoded to U+FFFD, which stands for one unit, too.

use std::io::{self, ErrorKind, Read};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;

/// Bytes of the mark, and of each unit.
pub const UNIT: u64 = 2;

/// How the mark at the beginning says that text is encoded.
fn encoding(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [0xff, 0xfe, ..] => Some(UTF_16LE),
        [0xfe, 0xff, ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// Whether text begins as UTF-16 does.
pub fn is_marked(head: &[u8]) -> bool {
    encoding(head).is_some()
}

/// Decodes text in its place, if there is room; says how long it is then.
pub fn decode(place: &mut [u8], len: usize) -> Option<usize> {
    let encoding = encoding(&place[..len])?;
    let (text, _) = encoding.decode_without_bom_handling(&place[UNIT as usize..len]);
    let text = text.into_owned();
    place.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(text.len())
}

/// Decodes text that begins with the mark.
pub fn decoder<'r>(reader: impl Read + Send + 'r) -> Box<dyn Read + Send + 'r> {
    // The mark tells it which.
    let reader = DecodeReaderBytesBuilder::new().build(reader);
    Box::new(Decoder { reader, has_given: false })
}

/// What is decoded as it comes.
struct Decoder<R> {
    reader: R,
    /// Whether it has given anything since it last said that it waits.
    has_given: bool,
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(to) {
                // What has come is a part of a character.
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.has_given => {}
                read => {
                    self.has_given = read.as_ref().is_ok_and(|&count| count > 0);
                    return read;
                }
            }
        }
    }
}

/// Units that text in UTF-8 takes in UTF-16.
pub fn units(text: &[u8]) -> u64 {
    // Of a code point the first byte counts, and twice where it takes two.
    let of = |&byte: &u8| u64::from(byte & 0xC0 != 0x80) + u64::from(byte >= 0xF0);
    text.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_and_its_units_are_counted() {
        let text = "a\u{e9}\u{20ac}\u{1f600}b\n";
        for is_big in [false, true] {
            let unit = |unit: u16| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let marked = format!("\u{feff}{text}");
            let bytes: Vec<u8> = marked.encode_utf16().flat_map(unit).collect();
            let mut place = [&bytes[..], &[0; 3]].concat();
            let len = decode(&mut place, bytes.len()).unwrap();
            assert_eq!(&place[..len], text.as_bytes());
            let mut read = Vec::new();
            decoder(&bytes[..]).read_to_end(&mut read).unwrap();
            assert_eq!(read, text.as_bytes());
            assert_eq!(UNIT * (units(&read) + 1), bytes.len() as u64);
        }
    }

    #[test]
    fn what_is_no_text_is_as_long_as_it_was() {
        // A lone surrogate in each half, and half a unit.
        let mut bytes = vec![0xff, 0xfe, 0x00, 0xd8, b'a', 0, 0x00, 0xdc, b'x'];
        let mut place = bytes.clone();
        place.resize(99, 0);
        let len = decode(&mut place, bytes.len()).unwrap();
        assert_eq!(&place[..len], "\u{fffd}a\u{fffd}\u{fffd}".as_bytes());
        assert_eq!(units(&place[..len]), 4);
        // More text than room.
        bytes.truncate(4);
        assert_eq!(decode(&mut bytes, 4), Some(3));
        let mut short = [0xff, 0xfe, 0xac, 0x20, 0xac, 0x20];
        assert_eq!(decode(&mut short, 6), Some(6));
        let mut short = [0xff, 0xfe, 0xac, 0x20, 0xac, 0x20, 0xac, 0x20];
        assert_eq!(decode(&mut short, 8), None);
    }
}
