//! Compressed files and archives: what is in them, and in what that holds, is read out and handed on. What a file is tells its
//! content, and not its name.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder as ZstdDecoder};
use zip::ZipArchive;
use zip::result::ZipError;

use super::feed::{Closed, Feed, FeedError};
use super::live::Live;
use super::{From, Input, Origin, open_file, path_of, read_head, stdin};

/// Bytes that tell what something is: a header of a tar archive.
pub const HEAD_BYTES: usize = 512;

/// Compressed files and archives that may be in each other.
const MOST_NESTED: usize = 8;

/// Bytes of an archive in another one that are kept to be read at any place; of these so many in memory, and not in a file.
const SPOOLED_BYTES: u64 = 1 << 30;
const SPOOLED_IN_MEMORY: usize = 64 << 20;

/// KiB that a decoder may ask for: four times as much as `xz -9` does.
const DICTIONARY_KIB: u32 = 256 << 10;

/// Bytes of a tar archive from one entry to the next, with what is told of it there.
const TAR_HEADERS: u64 = 16 << 20;

/// Bytes that are decoded at a time: what is wrong with them has no say in those before.
const DECODED_BYTES: usize = 64 << 10;

/// How something is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    Bzip2,
    /// <https://tukaani.org/xz/xz-file-format.txt>
    Xz,
    /// RFC 8878.
    Zstandard,
    /// <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>
    Lz4,
    /// As POSIX has it, or GNU.
    Tar,
    Zip,
    /// In a way that is not read.
    Other(&'static str),
}

impl Packing {
    /// By the numbers that it begins with.
    pub fn of(head: &[u8]) -> Option<Packing> {
        const MAGIC: [(&[u8], Packing); 10] = [
            (b"\x1f\x8b\x08", Packing::Gzip),
            (b"\xfd7zXZ\0", Packing::Xz),
            (b"\x28\xb5\x2f\xfd", Packing::Zstandard),
            (b"\x04\x22\x4d\x18", Packing::Lz4),
            (b"\x02\x21\x4c\x18", Packing::Other("an old form of LZ4")),
            (b"PK\x03\x04", Packing::Zip),
            (b"PK\x05\x06", Packing::Zip),
            (b"7z\xbc\xaf\x27\x1c", Packing::Other("7z")),
            (b"Rar!\x1a\x07", Packing::Other("RAR")),
            (b"\x1f\x9d", Packing::Other("compress")),
        ];
        let found = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
        found.map(|&(_, packing)| packing).or_else(|| match head {
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
                if rest.starts_with(b"1AY&SY") || rest.starts_with(b"\x17rE8P\x90") =>
            {
                Some(Packing::Bzip2)
            }
            // A frame to be skipped, as of what was compressed by several threads.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Packing::Zstandard),
            _ => is_tar(head).then_some(Packing::Tar),
        })
    }
}

/// Whether it is the header of an archive's entry: its checksum is as if there were blanks in its own place.
fn is_tar(head: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;

    if head.len() < HEAD_BYTES || head[257..262] != *b"ustar" {
        return false;
    }
    let digits: String = head[CHECKSUM].iter().map(|&byte| char::from(byte)).collect();
    let digits = digits.trim_matches([' ', '\0']);
    let of =
        |(at, &byte): (usize, &u8)| u32::from(if CHECKSUM.contains(&at) { b' ' } else { byte });
    let sum: u32 = head[..HEAD_BYTES].iter().enumerate().map(of).sum();
    u32::from_str_radix(digits, 8) == Ok(sum)
}

/// Reads out of packed files what is in them, several at a time if they need not be `in_order`.
pub fn unpack(inputs: &[Input], most_bytes: u64, in_order: bool, feed: Feed) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if in_order { 1 } else { threads.min(inputs.len()) };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (mut feed, next) = (feed.one_of(threads), &next);
            scope.spawn(move || -> Result<(), Closed> {
                while let Some(input) = inputs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    unpack_one(input, most_bytes, &mut feed)?;
                }
                feed.flush()
            });
        }
    });
}

/// Reads what is in something that is packed, and in several places.
pub fn unpack_held(
    origins: Vec<Origin>,
    bytes: &[u8],
    most_bytes: u64,
    feed: &mut Feed,
) -> Result<(), Closed> {
    feed.path(origins.clone())?;
    let mut unpacker = Unpacker { feed, budget: Budget::new(most_bytes) };
    let mut reader = bytes;
    let unpacked = unpacker.packed(&mut reader, Packed::of(origins.clone()));
    unpacker.told(&origins, unpacked)
}

fn unpack_one(input: &Input, most_bytes: u64, feed: &mut Feed) -> Result<(), Closed> {
    let mut unpacker = Unpacker { feed, budget: Budget::new(most_bytes) };
    let origins = vec![input.origin.clone()];
    let unpacked = match &input.from {
        From::Stdin { .. } => {
            stdin().map_err(FeedError::Read).and_then(|file| unpacker.pipe(&origins, file))
        }
        From::File { bytes: None, .. } => File::open(&input.origin.path)
            .map_err(FeedError::Read)
            .and_then(|file| unpacker.pipe(&origins, file)),
        _ => open_file(&input.origin.path)
            .map_err(FeedError::Read)
            .and_then(|file| unpacker.file(&origins, file)),
    };
    unpacker.told(&origins, unpacked)
}

/// Bytes that may be decoded from one file.
struct Budget {
    most: u64,
    left: Cell<u64>,
    /// Whether there were more.
    is_exceeded: Cell<bool>,
}

impl Budget {
    fn new(most: u64) -> Rc<Budget> {
        Rc::new(Budget { most, left: Cell::new(most), is_exceeded: Cell::new(false) })
    }
}

/// Reads what is in one file.
struct Unpacker<'f> {
    feed: &'f mut Feed,
    budget: Rc<Budget>,
}

/// What something is called that may be packed.
struct Packed {
    /// What it is called by itself, in each place that it is in.
    origins: Vec<Origin>,
    /// What it is in is called so there, and what is in it begins with that.
    names: Vec<PathBuf>,
    /// In how many others it is.
    nested: usize,
}

impl Unpacker<'_> {
    /// What comes by a pipe, which may come bit by bit.
    fn pipe(&mut self, origins: &[Origin], file: File) -> Result<(), FeedError> {
        let mut live = Live::new(file);
        let mut head = Vec::new();
        let is_over = loop {
            let mut block = [0; HEAD_BYTES];
            match live.read(&mut block[head.len()..]) {
                Ok(0) => break true,
                Ok(count) => head.extend_from_slice(&block[head.len()..][..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Packing::of(&head).is_none() {
                        break false;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(FeedError::Read(error)),
            }
            if head.len() == HEAD_BYTES {
                break false;
            }
        };
        if Packing::of(&head).is_none() {
            if !is_over {
                live.wake();
            }
            let reader = Box::new(Cursor::new(head).chain(live));
            return Ok(self.feed.once(origins[0].clone(), reader, false)?);
        }
        let mut reader = Cursor::new(head).chain(Patient(live));
        self.packed(&mut reader, Packed::of(origins.to_vec()))
    }

    fn file(&mut self, origins: &[Origin], mut file: File) -> Result<(), FeedError> {
        let mut head = Vec::new();
        read_head(&mut file, HEAD_BYTES, &mut head).map_err(FeedError::Read)?;
        file.rewind().map_err(FeedError::Read)?;
        let packed = Packed::of(origins.to_vec());
        match Packing::of(&head) {
            Some(Packing::Zip) => self.zip(BufReader::new(file), &packed),
            _ => self.packed(&mut file, packed),
        }
    }

    fn packed(&mut self, reader: &mut dyn Read, packed: Packed) -> Result<(), FeedError> {
        let mut head = Vec::new();
        let read = read_head(&mut &mut *reader, HEAD_BYTES, &mut head);
        let packing = Packing::of(&head);
        if let Err(error) = read {
            match packing {
                Some(_) => self.feed.path(packed.origins)?,
                None => self.feed.held(packed.origins, head)?,
            }
            return Err(FeedError::Read(error));
        }
        let mut reader = BufReader::new(Cursor::new(head).chain(reader));
        let Some(packing) = packing else { return self.feed.read(packed.origins, &mut reader) };
        if packed.nested > 0 {
            self.feed.path(packed.origins.clone())?;
        }
        if packed.nested == MOST_NESTED {
            let reason = format!(
                "{MOST_NESTED} archives and compressed files are in each other, and what is in this one is not read"
            );
            return Err(FeedError::Read(io::Error::other(reason)));
        }
        let decoder: Box<dyn Read + '_> = match packing {
            Packing::Gzip => Box::new(Gzip { decoder: Some(GzDecoder::new(reader)) }),
            Packing::Bzip2 => Box::new(MultiBzDecoder::new(reader)),
            Packing::Xz => Box::new(XzReader::new_mem_limit(reader, true, DICTIONARY_KIB)),
            Packing::Zstandard => Box::new(Zstandard::new(reader)),
            Packing::Lz4 => {
                Box::new(Lz4 { decoder: Lz4Decoder::new(Endless(reader)), is_in_frame: false })
            }
            Packing::Tar => return self.tar(&mut reader, &packed),
            Packing::Zip => {
                let mut file = tempfile::SpooledTempFile::new(SPOOLED_IN_MEMORY);
                let copied = io::copy(&mut reader.take(SPOOLED_BYTES + 1), &mut file);
                if copied.map_err(FeedError::Read)? > SPOOLED_BYTES {
                    let reason = format!(
                        "an archive in another one of more than {SPOOLED_BYTES} bytes is not read"
                    );
                    return Err(FeedError::Read(io::Error::other(reason)));
                }
                file.rewind().map_err(FeedError::Read)?;
                return self.zip(file, &packed);
            }
            Packing::Other(name) => {
                let reason = format!("it is packed by {name}, which is not read");
                return Err(FeedError::Read(io::Error::other(reason)));
            }
        };
        let decoded = |origin: &Origin| {
            let path = member(&origin.path, Path::new(&without_suffix(&origin.path)));
            in_container(origin, path)
        };
        let origins = packed.origins.iter().map(decoded).collect();
        let nested = packed.nested + 1;
        self.packed(&mut self.bounded(decoder), Packed { origins, nested, ..packed })
    }

    fn tar(&mut self, mut reader: &mut dyn Read, container: &Packed) -> Result<(), FeedError> {
        let left = Rc::new(Cell::new(TAR_HEADERS));
        let is_broken = Rc::new(Cell::new(false));
        let headers =
            Headers { reader: &mut reader, left: left.clone(), is_broken: is_broken.clone() };
        let mut archive = tar::Archive::new(headers);
        // Behind the end of one there may be another.
        archive.set_ignore_zeros(true);
        for entry in archive.entries().map_err(FeedError::Read)? {
            let entry = entry.map_err(FeedError::Read)?;
            left.set(u64::MAX);
            let kind = entry.header().entry_type();
            let name = path_of(&entry.path_bytes());
            // A sparse one may be larger than what it is read from.
            let mut entry = self.bounded_if(kind.is_gnu_sparse(), entry);
            if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                let member = container.member(&name);
                let origins = member.origins.clone();
                let unpacked = self.packed(&mut entry, member);
                let is_told = unpacked.is_err();
                self.told(&origins, unpacked)?;
                if self.budget.is_exceeded.get() || (is_told && is_broken.get()) {
                    return Err(FeedError::Told);
                }
            }
            io::copy(&mut entry, &mut io::sink()).map_err(FeedError::Read)?;
            left.set(TAR_HEADERS);
        }
        drop(archive);
        // Whoever reads all of it sees whether it is as it was.
        io::copy(reader, &mut io::sink()).map(drop).map_err(FeedError::Read)
    }

    fn zip(&mut self, reader: impl Read + Seek, container: &Packed) -> Result<(), FeedError> {
        let mut archive = ZipArchive::new(reader).map_err(zip_error)?;
        if archive.has_duplicate_names() {
            let reason =
                "several entries have the same name, and only the last one of each is read";
            self.feed.failed(&container.origins[0], &reason)?;
        }
        for index in 0..archive.len() {
            let name = archive.name_for_index(index).and_then(Result::ok);
            let name = name.unwrap_or_default().into_owned();
            let (origins, unpacked) = match archive.by_index(index) {
                Ok(entry) if entry.is_dir() && entry.size() == 0 => continue,
                Ok(entry) => {
                    let member = container.member(&path_of(entry.name_raw()));
                    let reader = &mut self.bounded(Box::new(entry));
                    (member.origins.clone(), self.packed(reader, member))
                }
                Err(error) => {
                    let origins = container.member(Path::new(&name)).origins;
                    self.feed.path(origins.clone())?;
                    (origins, Err(zip_error(error)))
                }
            };
            self.told(&origins, unpacked)?;
            if self.budget.is_exceeded.get() {
                return Err(FeedError::Told);
            }
        }
        Ok(())
    }

    /// Says what has kept something from being read.
    fn told(&mut self, origins: &[Origin], read: Result<(), FeedError>) -> Result<(), Closed> {
        match read {
            Ok(()) | Err(FeedError::Told) => Ok(()),
            Err(FeedError::Closed) => Err(Closed),
            Err(FeedError::Read(error)) => {
                let error: &dyn std::fmt::Display = match error.kind() {
                    ErrorKind::UnexpectedEof => &CUT_OFF,
                    _ => &error,
                };
                self.feed.failed(&origins[0], error)
            }
        }
    }

    fn bounded<'r>(&self, reader: Box<dyn Read + 'r>) -> Bounded<'r> {
        Bounded { reader, budget: Some(self.budget.clone()) }
    }

    fn bounded_if<'r>(&self, is_bounded: bool, reader: impl Read + 'r) -> Bounded<'r> {
        let budget = is_bounded.then(|| self.budget.clone());
        Bounded { reader: Box::new(reader), budget }
    }
}

impl Packed {
    /// What is in no other.
    fn of(origins: Vec<Origin>) -> Packed {
        let names = origins.iter().map(|origin| origin.path.clone()).collect();
        Packed { origins, names, nested: 0 }
    }

    /// What is called so in it.
    fn member(&self, name: &Path) -> Packed {
        let of = |(origin, container): (&Origin, &PathBuf)| {
            in_container(origin, member(container, name))
        };
        let origins = self.origins.iter().zip(&self.names).map(of).collect();
        Packed { nested: self.nested + 1, ..Packed::of(origins) }
    }
}

const CUT_OFF: &str = "it ends too early: it was cut off";

/// What is in something that is packed, as gitleaks calls it.
fn member(container: &Path, name: &Path) -> PathBuf {
    let mut path = container.as_os_str().to_owned();
    path.push("!");
    path.push(name);
    path.into()
}

/// Where something is that is in something else, or in what that is in.
fn in_container(origin: &Origin, path: PathBuf) -> Origin {
    let container = origin.container.clone().unwrap_or_else(|| origin.path.clone());
    Origin { path, container: Some(container), ..origin.clone() }
}

/// What a compressed file is called without that.
fn without_suffix(path: &Path) -> OsString {
    let is_known = |suffix: &OsStr| {
        let known = ["gz", "bz2", "xz", "zst", "lz4"];
        known.iter().any(|known| suffix.eq_ignore_ascii_case(known))
    };
    let name = match path.extension() {
        Some(suffix) if is_known(suffix) => path.file_stem(),
        _ => path.file_name(),
    };
    let name = name.unwrap_or_default().to_owned();
    // It may be the name of something in an archive without any folders.
    match name.to_str().and_then(|name| name.rsplit_once('!')) {
        Some((_, own)) => own.into(),
        None => name,
    }
}

fn zip_error(error: ZipError) -> FeedError {
    FeedError::Read(match error {
        ZipError::Io(error) => error,
        error => io::Error::other(error),
    })
}

/// What is decoded, up to a bound for all that is in one file.
struct Bounded<'r> {
    reader: Box<dyn Read + 'r>,
    budget: Option<Rc<Budget>>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let some = to.len().min(DECODED_BYTES);
        let Some(budget) = &self.budget else { return self.reader.read(to) };
        let left = budget.left.get();
        if left > 0 || to.is_empty() {
            let some = some.min(usize::try_from(left).unwrap_or(some));
            let count = self.reader.read(&mut to[..some])?;
            // What it is decoded from may be, too, and has its share.
            budget.left.set(budget.left.get().saturating_sub(count as u64));
            return Ok(count);
        }
        // What comes to its end just there has not gone beyond it.
        if self.reader.read(&mut [0])? == 0 {
            return Ok(0);
        }
        budget.is_exceeded.set(true);
        Err(io::Error::other(format!(
            "more than {} bytes are decoded from this file, and the rest is not read: raise --max-decoded-bytes",
            budget.most
        )))
    }
}

/// A tar archive, of which what is told of an entry may not be long without end.
struct Headers<'r> {
    reader: &'r mut dyn Read,
    /// Bytes that may be read until there is an entry.
    left: Rc<Cell<u64>>,
    /// Whether it could not be read.
    is_broken: Rc<Cell<bool>>,
}

impl Read for Headers<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        let some = to.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if some == 0 && !to.is_empty() {
            let reason = format!("what it tells of an entry is longer than {TAR_HEADERS} bytes");
            return Err(io::Error::other(reason));
        }
        let read = self.reader.read(&mut to[..some]);
        self.is_broken.set(self.is_broken.get() || read.is_err());
        let count = read?;
        // Zeros are between archives, as many as there are.
        if left != u64::MAX && to[..count].iter().any(|byte| *byte != 0) {
            self.left.set(left - count as u64);
        }
        Ok(count)
    }
}

/// What comes bit by bit, and is waited for.
struct Patient(Live);

impl Read for Patient {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(to) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// Members, one behind the other, and zeros behind them, as tapes have.
struct Gzip<R> {
    /// None behind the last one.
    decoder: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let count = decoder.read(to)?;
            if count > 0 || to.is_empty() {
                return Ok(count);
            }
            let mut rest = self.decoder.take().map(GzDecoder::into_inner);
            while let Some(reader) = &mut rest {
                let block = reader.fill_buf()?;
                let zeros = block.iter().take_while(|byte| **byte == 0).count();
                let (is_over, is_more) = (block.is_empty(), zeros < block.len());
                reader.consume(zeros);
                if is_over {
                    rest = None;
                } else if is_more {
                    self.decoder = rest.take().map(GzDecoder::new);
                }
            }
        }
        Ok(0)
    }
}

/// What ends too early if it ends while it is read.
struct Endless<R>(R);

impl<R: Read> Read for Endless<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.0.read(to)? {
            // Not as an unexpected end, which decoders take for one that is expected.
            0 if !to.is_empty() => Err(io::Error::new(ErrorKind::InvalidData, CUT_OFF)),
            count => Ok(count),
        }
    }
}

/// Frames, one behind the other.
struct Lz4<R: Read> {
    decoder: Lz4Decoder<Endless<R>>,
    is_in_frame: bool,
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.is_in_frame || !self.decoder.get_mut().0.fill_buf()?.is_empty() {
            let count = self.decoder.read(to)?;
            self.is_in_frame = count > 0;
            if count > 0 || to.is_empty() {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

/// Frames, one behind the other.
struct Zstandard<R> {
    source: Endless<R>,
    decoder: ZstdDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Zstandard<R> {
    fn new(source: R) -> Zstandard<R> {
        Zstandard { source: Endless(source), decoder: ZstdDecoder::new(), is_in_frame: false }
    }

    /// Begins with the next frame that is not one to be skipped.
    fn begin(&mut self) -> io::Result<()> {
        while !self.is_in_frame && !self.source.0.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => self.is_in_frame = true,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstandard<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            self.begin()?;
            if !self.is_in_frame || to.is_empty() {
                return Ok(0);
            }
            let Zstandard { source, decoder, .. } = self;
            while decoder.can_collect() == 0 && !decoder.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                decoder.decode_blocks(&mut *source, strategy).map_err(io::Error::other)?;
            }
            let count = decoder.read(to)?;
            if count > 0 {
                return Ok(count);
            }
            let [told, own] = [decoder.get_checksum_from_data(), decoder.get_calculated_checksum()];
            if told.is_some() && told != own {
                return Err(io::Error::new(ErrorKind::InvalidData, "its checksum is wrong"));
            }
            self.is_in_frame = false;
        }
    }
}
