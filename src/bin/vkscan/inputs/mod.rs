//! What is scanned.
//!
//! | file | story |
//! |---|---|
//! | `walk.rs` | which files |
//! | `live.rs` | what comes bit by bit |
//! | `utf16.rs` | text in UTF-16 |
//! | `feed.rs` | what is read out of something else, while what came before is scanned |
//! | `packed.rs` | compressed files and archives |
//! | `history/` | a git repository's history |

pub mod feed;
pub mod history;
mod live;
pub mod packed;
pub mod utf16;
pub mod walk;

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, ErrorKind, IsTerminal, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::around::{self, Text};
use crate::findings;
use crate::rules::{Rules, Source};
use crate::terminal;
use live::Live;

/// One thing to scan.
pub struct Input {
    pub origin: Origin,
    /// Where else the same is in a history.
    pub others: Vec<Origin>,
    pub from: From,
    /// Whether it is passed over if it turns out to be binary.
    pub skip_binary: bool,
}

/// What an input is called, and since when it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub path: PathBuf,
    /// None outside of a history, and of what was there before the part of it that is asked for.
    pub commit: Option<Arc<Commit>>,
    /// None outside of a history.
    pub turn: Option<Turn>,
    /// What it is in, if that is an archive or compressed.
    pub container: Option<PathBuf>,
}

/// When something comes in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Below 0 if it was there before the part that is asked for.
    pub order: i64,
    /// The number of the blob that it is.
    pub blob: usize,
}

/// A commit, as it is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Commit {
    /// Hexadecimal digits.
    pub id: String,
    pub author: String,
    pub email: String,
    /// Of the author, in ISO 8601.
    pub date: String,
}

/// What an input is read from.
pub enum From {
    Stdin {
        /// Whether what is in it is asked for, if it turns out to be packed.
        is_packed: bool,
    },
    File {
        /// As the file system tells; `None` for pipes and devices, which have none.
        bytes: Option<u64>,
        /// Whether it was asked for by its name.
        is_named: bool,
        id: FileId,
        /// Whether it is compressed, or an archive, and what is in it is asked for.
        is_packed: bool,
    },
    /// All of it is here: it was read out of something else.
    Held(Vec<u8>),
    /// It comes as it is read out of something else, once.
    Stream(Mutex<Option<Box<dyn Read + Send>>>),
}

/// Which file it is, whatever it is called; where systems do not tell, nobody knows.
pub type FileId = Option<(u64, u64)>;

impl Origin {
    pub fn of_path(path: PathBuf) -> Origin {
        Origin { path, commit: None, turn: None, container: None }
    }

    /// As rules look at it; standard input has no path.
    pub fn rules_path(&self) -> Option<String> {
        (self.path.as_os_str() != STDIN).then(|| findings::slashed(&self.path))
    }

    /// What is behind the path of its container, if it is in one.
    pub fn within_container(&self) -> &[u8] {
        let before = self.container.as_ref().map_or(0, |container| container.as_os_str().len());
        let path = self.path.as_os_str().as_encoded_bytes();
        if before > 0 { &path[before..] } else { b"" }
    }

    pub fn commit_id(&self) -> Option<&str> {
        self.commit.as_ref().map(|commit| commit.id.as_str())
    }
}

/// As it is shown to people: in a history as `commit:path`, which git takes, too.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(commit) = &self.commit {
            write!(f, "{}:", commit.short())?;
        }
        f.write_str(&terminal::path(&self.path))
    }
}

impl Commit {
    /// As many digits as tell commits apart.
    fn short(&self) -> &str {
        &self.id[..12]
    }

    /// Year, month and day.
    pub fn day(&self) -> &str {
        self.date.split('T').next().unwrap_or_default()
    }
}

/// What standard input is called.
const STDIN: &str = "<stdin>";

impl Input {
    fn stdin(is_packed: bool) -> Input {
        Input::new(Origin::of_path(STDIN.into()), From::Stdin { is_packed })
    }

    fn new(origin: Origin, from: From) -> Input {
        Input { origin, others: Vec::new(), from, skip_binary: false }
    }

    /// Where it is: once but in a history.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        [&self.origin].into_iter().chain(&self.others)
    }

    /// Whether no rule looks for anything in it. What is in something packed has a path of its own; and what a commit leaves out
    /// is known from there on.
    pub fn is_left_out(&self, rules: &Rules) -> bool {
        let leave_out = |path: String| rules.leave_out(Source { path: Some(&path), commit: None });
        !self.is_packed() && self.origins().all(|origin| origin.rules_path().is_some_and(leave_out))
    }

    /// How many bytes it has, if that is known.
    pub fn bytes(&self) -> Option<u64> {
        match &self.from {
            From::Stdin { .. } | From::Stream(_) => None,
            From::File { bytes, .. } => *bytes,
            From::Held(bytes) => Some(bytes.len() as u64),
        }
    }

    pub fn is_packed(&self) -> bool {
        matches!(self.from, From::File { is_packed: true, .. } | From::Stdin { is_packed: true })
    }

    /// Opens it to be read from its start.
    fn open(&self) -> io::Result<Opened<'_>> {
        Ok(match &self.from {
            From::Stdin { .. } => Opened::Once(Once::live(stdin()?)),
            From::File { bytes: Some(_), .. } => {
                Opened::Whole(Content::File(open_file(&self.origin.path)?))
            }
            From::File { .. } => Opened::Once(Once::live(File::open(&self.origin.path)?)),
            From::Held(bytes) => Opened::Whole(Content::Bytes(bytes)),
            From::Stream(reader) => {
                let reader = reader.lock().unwrap_or_else(PoisonError::into_inner).take();
                let reader = reader.ok_or_else(|| io::Error::other("it was read already"))?;
                Opened::Once(Once::new(reader))
            }
        })
    }

    /// Opens it as text; none if it is binary and to be passed over then.
    pub fn open_text(&self) -> io::Result<Option<Opened<'_>>> {
        let opened = match self.open()? {
            Opened::Whole(content) => {
                if utf16::is_marked(&content.read(0..2)?) {
                    let reader = content.into_reader();
                    Opened::Once(Once::new(reader).decoded()?)
                } else if self.skip_binary && is_binary(&content.read(0..TELLING_BYTES)?) {
                    return Ok(None);
                } else {
                    return Ok(Some(Opened::Whole(content)));
                }
            }
            Opened::Once(once) => Opened::Once(once.decoded()?),
        };
        let Opened::Once(mut once) = opened else { return Ok(Some(opened)) };
        if self.skip_binary {
            let mut head = Vec::new();
            read_head(&mut once.reader, TELLING_BYTES as usize, &mut head)?;
            if is_binary(&head) {
                return Ok(None);
            }
            once.reader = Box::new(Cursor::new(head).chain(once.reader));
        }
        Ok(Some(Opened::Once(once)))
    }

    /// Reads it, of which the length is known, into its place, which has a byte more.
    pub fn load(&self, place: &mut [u8]) -> io::Result<Loaded> {
        let is_binary = |bytes: &[u8]| self.skip_binary && is_binary(bytes);
        let len = match self.open()? {
            Opened::Whole(Content::Bytes(bytes)) => {
                place[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            }
            Opened::Whole(Content::File(mut file)) => {
                // Much is not read only to be passed over.
                let most = place.len().min(MUCH_BYTES);
                let head = read(&mut file, &mut place[..most])?;
                if !utf16::is_marked(&place[..head]) && is_binary(&place[..head]) {
                    return Ok(Loaded::Binary);
                }
                if head < most { head } else { head + read(&mut file, &mut place[most..])? }
            }
            Opened::Once(_) => place.len(),
        };
        if len == place.len() {
            return Ok(Loaded::Grown);
        }
        let is_utf16 = utf16::is_marked(&place[..len]);
        let len = if is_utf16 { utf16::decode(place, len) } else { Some(len) };
        // Where there is too little room for text, it is read as it comes.
        let Some(len) = len else { return Ok(Loaded::Grown) };
        if is_binary(&place[..len]) {
            return Ok(Loaded::Binary);
        }
        Ok(Loaded::Whole { len, is_utf16 })
    }
}

/// How an input was read into its place.
#[derive(Clone, Copy)]
pub enum Loaded {
    Whole {
        len: usize,
        /// Whether it was decoded from that.
        is_utf16: bool,
    },
    Binary,
    /// There is more to read than was known before.
    Grown,
}

/// An input to be read.
pub enum Opened<'i> {
    Whole(Content<'i>),
    Once(Once<'i>),
}

/// What can be read at any place.
pub enum Content<'i> {
    File(File),
    Bytes(&'i [u8]),
}

/// What is read once.
pub struct Once<'i> {
    pub reader: Box<dyn Read + Send + 'i>,
    /// Whether it is decoded from that.
    pub is_utf16: bool,
    /// Whether somebody types it.
    pub is_terminal: bool,
}

impl<'i> Content<'i> {
    pub fn len(&self) -> io::Result<u64> {
        match self {
            Content::File(file) => Ok(file.metadata()?.len()),
            Content::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Reads from the start.
    pub fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Content::File(file) => {
                (&mut &*file).rewind()?;
                Box::new(file)
            }
            Content::Bytes(bytes) => Box::new(*bytes),
        })
    }

    fn into_reader(self) -> Box<dyn Read + Send + 'i> {
        match self {
            Content::File(file) => Box::new(file),
            Content::Bytes(bytes) => Box::new(bytes),
        }
    }
}

impl Text for Content<'_> {
    fn read(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Content::File(file) => around::Text::read(file, range),
            Content::Bytes(bytes) => around::Text::read(*bytes, range),
        }
    }
}

impl<'i> Once<'i> {
    fn new(reader: Box<dyn Read + Send + 'i>) -> Once<'i> {
        Once { reader, is_utf16: false, is_terminal: false }
    }

    /// A file that may give bytes now and then.
    fn live(file: File) -> Once<'i> {
        Once { is_terminal: file.is_terminal(), ..Once::new(Box::new(Live::new(file))) }
    }

    /// As text.
    fn decoded(mut self) -> io::Result<Once<'i>> {
        // More of what does not begin as UTF-16 does is not waited for.
        let mut head = Vec::new();
        read_head(&mut self.reader, 1, &mut head)?;
        if let [0xfe | 0xff] = head[..] {
            read_head(&mut self.reader, 2, &mut head)?;
        }
        let is_utf16 = utf16::is_marked(&head);
        let reader = Cursor::new(head).chain(self.reader);
        let reader = if is_utf16 { utf16::decoder(reader) } else { Box::new(reader) as _ };
        Ok(Once { reader, is_utf16, ..self })
    }
}

/// Opens a file that was one when it was found.
///
/// # Errors
///
/// What is none any more is an error: to open a pipe in its place would wait for somebody to write to it.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file any more"));
    }
    Ok(file)
}

/// Standard input without its buffer, which would have what comes wait.
fn stdin() -> io::Result<File> {
    duplicate(io::stdin())
}

fn stdout() -> io::Result<File> {
    duplicate(io::stdout())
}

/// A stream as a file of its own.
#[cfg(unix)]
fn duplicate(stream: impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn duplicate(stream: impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(stream.as_handle().try_clone_to_owned()?.into())
}

#[cfg(unix)]
fn file_id(metadata: &fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_id(_: &fs::Metadata) -> FileId {
    None
}

/// A path as somebody else has it.
#[cfg(unix)]
pub fn path_of(name: &[u8]) -> PathBuf {
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    name.into()
}

#[cfg(not(unix))]
pub fn path_of(name: &[u8]) -> PathBuf {
    String::from_utf8_lossy(name).into_owned().into()
}

/// Reads all there is, or as much as fits, and says how much that was.
fn read(from: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < to.len() {
        match from.read(&mut to[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Adds the next bytes of what is read to `head`, so many if there are; what comes before an error is there, too.
fn read_head(from: &mut impl Read, most: usize, head: &mut Vec<u8>) -> io::Result<()> {
    let mut left = from.take(most as u64);
    loop {
        match left.read_to_end(head) {
            // What is live says so when it waits.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read.map(drop),
        }
    }
}

/// Bytes by which binary files are told.
const TELLING_BYTES: u64 = 8 << 10;

/// Bytes that are worth a look at their first ones before the others are read.
const MUCH_BYTES: usize = 64 << 10;

/// Whether there is a NUL byte in the first 8 KiB, by which git and ripgrep tell binary files too.
fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(TELLING_BYTES as usize)].contains(&0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// To open it would wait for a writer, for good.
    #[test]
    fn what_is_no_file_any_more_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "needle").unwrap();
        let from = From::File { bytes: Some(6), is_named: true, id: None, is_packed: false };
        let input = Input::new(Origin::of_path(path.clone()), from);
        assert!(input.open_text().unwrap().is_some());
        fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for opened in [input.open_text().err(), input.load(&mut [0; 7]).err()] {
            assert_eq!(opened.unwrap().to_string(), "it is no file any more");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(input.open_text().is_err());
    }
}
