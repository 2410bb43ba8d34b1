//! Compressed files and archives: what is in them, and in what that holds, is read out and handed on. What a file is tells its
//! content, and not its name.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder as ZstdDecoder};
use zip::ZipArchive;
use zip::result::ZipError;

use super::feed::{Closed, Feed, FeedError};
use super::{From, Input, Once, Origin, open_file, read_head, stdin};

/// Bytes that tell what something is: of a tar archive those up to behind its magic number.
pub const HEAD_BYTES: usize = 262;

/// Compressed files and archives that may be in each other.
const MOST_NESTED: usize = 8;

/// Bytes of an archive in another one that are kept in memory, and not in a file, to be read at any place.
const SPOOLED_BYTES: usize = 64 << 20;

/// KiB that a decoder may ask for.
const DICTIONARY_KIB: u32 = 1 << 20;

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
}

impl Packing {
    /// By the numbers that it begins with.
    pub fn of(head: &[u8]) -> Option<Packing> {
        const MAGIC: [(&[u8], Packing); 7] = [
            (b"\x1f\x8b\x08", Packing::Gzip),
            (b"BZh", Packing::Bzip2),
            (b"\xfd7zXZ\0", Packing::Xz),
            (b"\x28\xb5\x2f\xfd", Packing::Zstandard),
            (b"\x04\x22\x4d\x18", Packing::Lz4),
            (b"PK\x03\x04", Packing::Zip),
            (b"PK\x05\x06", Packing::Zip),
        ];
        let found = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
        let tar = || (head.get(257..262) == Some(b"ustar")).then_some(Packing::Tar);
        found.map(|&(_, packing)| packing).or_else(tar)
    }
}

/// Reads out of packed files what is in them, several at a time if they need not be `in_order`.
pub fn unpack(inputs: &[Input], most_bytes: u64, in_order: bool, mut feed: Feed) {
    if in_order {
        let _ = inputs.iter().try_for_each(|input| unpack_one(input, most_bytes, &mut feed));
        return;
    }
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(inputs.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (mut feed, next) = (feed.another(), &next);
            scope.spawn(move || {
                let taken = std::iter::from_fn(|| {
                    inputs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                });
                let _ = taken
                    .map(|input| unpack_one(input, most_bytes, &mut feed))
                    .find(Result::is_err);
            });
        }
    });
}

/// Reads what is in something that is packed.
pub fn unpack_held(
    origin: &Origin,
    bytes: &[u8],
    most_bytes: u64,
    feed: &mut Feed,
) -> Result<(), Closed> {
    let mut unpacker = Unpacker { feed, left: Rc::new(Cell::new(most_bytes)), most_bytes };
    let mut reader = bytes;
    let unpacked = unpacker.packed(Packed::of(origin, &mut reader));
    unpacker.told(origin, unpacked).map(drop)
}

fn unpack_one(input: &Input, most_bytes: u64, feed: &mut Feed) -> Result<(), Closed> {
    let mut unpacker = Unpacker { feed, left: Rc::new(Cell::new(most_bytes)), most_bytes };
    let origin = &input.origin;
    let unpacked = match &input.from {
        From::Stdin { .. } => unpacker.stdin(origin),
        _ => match open_file(&origin.path) {
            Ok(file) => unpacker.file(origin, file),
            Err(error) => Err(FeedError::Read(error)),
        },
    };
    unpacker.told(origin, unpacked)?;
    feed.flush()
}

/// Reads what is in one file.
struct Unpacker<'f> {
    feed: &'f mut Feed,
    /// Bytes that may still be decoded.
    left: Rc<Cell<u64>>,
    most_bytes: u64,
}

/// What is read, what it is called by itself, and what what is in it is called by.
struct Packed<'r> {
    reader: &'r mut dyn Read,
    origin: Origin,
    container: PathBuf,
    /// In how many others it is.
    nested: usize,
}

impl Unpacker<'_> {
    fn stdin(&mut self, origin: &Origin) -> Result<(), FeedError> {
        let mut file = stdin().map_err(FeedError::Read)?;
        let head = read_head(&mut file, HEAD_BYTES).map_err(FeedError::Read)?;
        if Packing::of(&head).is_none() {
            return Ok(self.feed.live(origin.clone(), Once::live(file, &head).reader)?);
        }
        self.packed(Packed::of(origin, &mut Cursor::new(head).chain(file)))
    }

    fn file(&mut self, origin: &Origin, mut file: File) -> Result<(), FeedError> {
        let head = read_head(&mut file, HEAD_BYTES).map_err(FeedError::Read)?;
        file.rewind().map_err(FeedError::Read)?;
        match Packing::of(&head) {
            Some(Packing::Zip) => self.zip(BufReader::new(file), origin, &origin.path, 0),
            _ => self.packed(Packed::of(origin, &mut file)),
        }
    }

    fn packed(&mut self, packed: Packed) -> Result<(), FeedError> {
        let Packed { reader, origin, container, nested } = packed;
        let head = read_head(&mut &mut *reader, HEAD_BYTES).map_err(FeedError::Read)?;
        let packing = Packing::of(&head);
        let mut reader = BufReader::new(Cursor::new(head).chain(reader));
        let Some(packing) = packing else { return self.feed.read(origin, &mut reader) };
        if nested == MOST_NESTED {
            let reason = format!(
                "{nested} archives and compressed files are in each other, and what is in this one is not read"
            );
            return Err(FeedError::Read(io::Error::other(reason)));
        }
        let decoder: Box<dyn Read + '_> = match packing {
            Packing::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Packing::Bzip2 => Box::new(MultiBzDecoder::new(reader)),
            Packing::Xz => Box::new(XzReader::new_mem_limit(reader, true, DICTIONARY_KIB)),
            Packing::Zstandard => Box::new(Zstandard::new(reader)),
            Packing::Lz4 => {
                Box::new(Lz4 { decoder: Lz4Decoder::new(Endless(reader)), is_in_frame: false })
            }
            Packing::Tar => return self.tar(&mut reader, &origin, &container, nested),
            Packing::Zip => {
                let mut file = tempfile::SpooledTempFile::new(SPOOLED_BYTES);
                io::copy(&mut reader, &mut file).map_err(FeedError::Read)?;
                file.rewind().map_err(FeedError::Read)?;
                return self.zip(file, &origin, &container, nested);
            }
        };
        let path = member(&origin.path, Path::new(&without_suffix(&origin.path)));
        let origin = Origin { path, ..origin };
        let reader = &mut self.bounded(decoder);
        self.packed(Packed { reader, origin, container, nested: nested + 1 })
    }

    fn tar(
        &mut self,
        reader: &mut dyn Read,
        origin: &Origin,
        container: &Path,
        nested: usize,
    ) -> Result<(), FeedError> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(FeedError::Read)? {
            let mut entry = entry.map_err(FeedError::Read)?;
            let kind = entry.header().entry_type();
            if !(kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse()) {
                continue;
            }
            let path = member(container, &path_of(&entry.path_bytes()));
            let origin = Origin { path, ..origin.clone() };
            let container = origin.path.clone();
            let packed = Packed {
                reader: &mut entry,
                origin: origin.clone(),
                container,
                nested: nested + 1,
            };
            let unpacked = self.packed(packed);
            // What is behind it can be read all the same, or that fails, too.
            if !self.told(&origin, unpacked)? {
                return Err(FeedError::Told);
            }
        }
        Ok(())
    }

    fn zip(
        &mut self,
        reader: impl Read + Seek,
        origin: &Origin,
        container: &Path,
        nested: usize,
    ) -> Result<(), FeedError> {
        let mut archive = ZipArchive::new(reader).map_err(zip_error)?;
        for index in 0..archive.len() {
            let name = archive.name_for_index(index).and_then(Result::ok);
            let name = name.unwrap_or_default().into_owned();
            let (path, unpacked) = match archive.by_index(index) {
                Ok(entry) if !entry.is_file() => continue,
                Ok(entry) => {
                    let path = member(container, &path_of(entry.name_raw()));
                    let own = Origin { path: path.clone(), ..origin.clone() };
                    let reader = &mut self.bounded(Box::new(entry));
                    let container = path.clone();
                    (
                        path,
                        self.packed(Packed { reader, origin: own, container, nested: nested + 1 }),
                    )
                }
                Err(error) => (member(container, Path::new(&name)), Err(zip_error(error))),
            };
            self.told(&Origin { path, ..origin.clone() }, unpacked)?;
            if self.left.get() == 0 {
                return Err(FeedError::Told);
            }
        }
        Ok(())
    }

    /// Says what has kept something from being read. Whether nothing has.
    fn told(&mut self, origin: &Origin, read: Result<(), FeedError>) -> Result<bool, Closed> {
        match read {
            Ok(()) => Ok(true),
            Err(FeedError::Told) => Ok(false),
            Err(FeedError::Closed) => Err(Closed),
            Err(FeedError::Read(error)) => {
                let error: &dyn std::fmt::Display = match error.kind() {
                    ErrorKind::UnexpectedEof => &"it ends too early: it was cut off",
                    _ => &error,
                };
                self.feed.failed(origin, error).map(|()| false)
            }
        }
    }

    fn bounded<'r>(&self, reader: Box<dyn Read + 'r>) -> Bounded<'r> {
        Bounded { reader, left: self.left.clone(), most_bytes: self.most_bytes }
    }
}

impl<'r> Packed<'r> {
    /// What is in no other.
    fn of(origin: &Origin, reader: &'r mut dyn Read) -> Packed<'r> {
        let origin = origin.clone();
        Packed { reader, container: origin.path.clone(), origin, nested: 0 }
    }
}

/// What is in something that is packed, as gitleaks calls it.
fn member(container: &Path, name: &Path) -> PathBuf {
    let mut path = container.as_os_str().to_owned();
    path.push("!");
    path.push(name);
    path.into()
}

/// What a compressed file is called without that.
fn without_suffix(path: &Path) -> std::ffi::OsString {
    let is_known = |suffix: &std::ffi::OsStr| {
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

#[cfg(unix)]
fn path_of(name: &[u8]) -> PathBuf {
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    name.into()
}

#[cfg(not(unix))]
fn path_of(name: &[u8]) -> PathBuf {
    String::from_utf8_lossy(name).into_owned().into()
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
    left: Rc<Cell<u64>>,
    most_bytes: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(to)?;
        match self.left.get().checked_sub(count as u64) {
            Some(left) => self.left.set(left),
            None => {
                self.left.set(0);
                return Err(io::Error::other(format!(
                    "more than {} bytes are decoded from this file, and the rest is not read: raise --max-decoded-bytes",
                    self.most_bytes
                )));
            }
        }
        Ok(count)
    }
}

/// What ends too early if it ends while it is read.
struct Endless<R>(R);

impl<R: Read> Read for Endless<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.0.read(to)? {
            // Not as an unexpected end, which decoders take for one that is expected.
            0 if !to.is_empty() => {
                Err(io::Error::new(ErrorKind::InvalidData, "it ends too early: it was cut off"))
            }
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
