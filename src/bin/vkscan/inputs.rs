//! Which files are scanned.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ignore::{DirEntry, WalkBuilder, WalkState};

use crate::args::{ResultArgs, ScanArgs, Sort};
use crate::around;
use crate::findings;
use crate::rules::Rules;
use crate::terminal::{self, report};

/// One thing to scan.
pub enum Input {
    Stdin,
    File {
        path: PathBuf,
        /// As the file system tells; `None` for pipes and devices, which have none.
        bytes: Option<u64>,
        /// Whether it is passed over if it turns out to be binary.
        skip_binary: bool,
        /// Whether it was asked for by its name.
        is_named: bool,
        id: FileId,
    },
}

impl Input {
    pub fn path(&self) -> &Path {
        match self {
            Input::Stdin => Path::new("<stdin>"),
            Input::File { path, .. } => path,
        }
    }

    /// Whether no rule looks for anything in it.
    pub fn is_left_out(&self, rules: &Rules) -> bool {
        match self {
            Input::Stdin => false,
            Input::File { path, .. } => rules.leave_out(&findings::slashed(path)),
        }
    }

    pub fn bytes(&self) -> Option<u64> {
        match self {
            Input::Stdin => None,
            Input::File { bytes, .. } => *bytes,
        }
    }
}

/// Everything to scan, and how many inputs could not be looked at; those are reported here. Where they are sorted, they
/// come in the order of the arguments, and by path within each; else in the order in which several threads find them.
pub fn find(args: &ScanArgs) -> (Vec<Input>, u64) {
    let mut paths = args.paths.iter();
    // The walker takes `-` for standard input itself.
    let mut walk = WalkBuilder::new(paths.next().map_or(Path::new("-"), PathBuf::as_path));
    for path in paths {
        walk.add(path);
    }
    let respect_ignores = !args.no_ignore;
    walk.hidden(!args.hidden)
        .parents(respect_ignores)
        .ignore(respect_ignores)
        .git_ignore(respect_ignores)
        .git_global(respect_ignores)
        .git_exclude(respect_ignores)
        .follow_links(args.follow);
    let found: Vec<Result<Input, String>> = match args.sort {
        Some(Sort::Path) => {
            let entries = walk.sort_by_file_path(Path::cmp).build();
            entries.filter_map(|entry| input(entry, args.binary).transpose()).collect()
        }
        None => {
            let (sender, receiver) = mpsc::channel();
            walk.build_parallel().run(|| {
                let sender = sender.clone();
                Box::new(move |entry| {
                    let found = input(entry, args.binary).transpose();
                    // The receiver is there until all threads are through.
                    found.map(|found| sender.send(found));
                    WalkState::Continue
                })
            });
            drop(sender);
            receiver.into_iter().collect()
        }
    };
    let mut failed = 0;
    let looked_at = found.into_iter().filter_map(|input| match input {
        Ok(input) => Some(input),
        Err(error) => {
            report(&error);
            failed += 1;
            None
        }
    });
    (looked_at.collect(), failed)
}

fn input(entry: Result<DirEntry, ignore::Error>, binary: bool) -> Result<Option<Input>, String> {
    // They name files.
    let shown = |error: &ignore::Error| terminal::shown(error.to_string().as_bytes());
    let entry = entry.map_err(|error| shown(&error))?;
    if let Some(error) = entry.error() {
        tracing::warn!("{}", shown(error));
    }
    if entry.is_stdin() {
        return Ok(Some(Input::Stdin));
    }
    let is_named = entry.depth() == 0;
    let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
    if !is_named && !is_file {
        return Ok(None);
    }
    let path = entry.into_path();
    // Not the entry's own: what is named may be a link.
    let metadata =
        fs::metadata(&path).map_err(|error| format!("{}: {error}", terminal::path(&path)))?;
    if metadata.is_dir() {
        return Ok(None);
    }
    let bytes = metadata.is_file().then_some(metadata.len());
    let (skip_binary, id) = (!binary && !is_named, file_id(&metadata));
    Ok(Some(Input::File { path, bytes, skip_binary, is_named, id }))
}

/// Which file it is, whatever it is called; where systems do not tell, nobody knows.
type FileId = Option<(u64, u64)>;

#[cfg(unix)]
fn file_id(metadata: &fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_id(_: &fs::Metadata) -> FileId {
    None
}

/// Files that are about a scan.
pub struct OwnFiles {
    /// What findings are printed to, which would have no end.
    outputs: Vec<FileId>,
    /// What is known of them, and rules, which have examples of what they find: not scanned unless they are named.
    others: Vec<FileId>,
}

impl OwnFiles {
    pub fn of(args: &ScanArgs, rules: &Rules) -> OwnFiles {
        let ResultArgs { output, baseline, write_baseline, .. } = &args.results;
        let of = |path: &PathBuf| fs::metadata(path).ok().and_then(|metadata| file_id(&metadata));
        let stdout = stdout().and_then(|stdout| stdout.metadata());
        let stdout = stdout.ok().and_then(|metadata| file_id(&metadata));
        let outputs = output.iter().map(of).chain([stdout]).filter(Option::is_some).collect();
        let others = baseline.iter().chain(write_baseline).chain(rules.own_files());
        OwnFiles { outputs, others: others.map(of).filter(Option::is_some).collect() }
    }

    /// Whether an input is one of these that is not scanned.
    pub fn have(&self, input: &Input) -> bool {
        let (id, is_named) = match input {
            Input::Stdin => {
                let metadata = stdin().and_then(|stdin| stdin.metadata());
                (metadata.ok().and_then(|metadata| file_id(&metadata)), true)
            }
            Input::File { is_named, id, .. } => (*id, *is_named),
        };
        if self.outputs.contains(&id) {
            tracing::warn!(
                "{}: findings are printed to it, and it is not scanned",
                terminal::path(input.path())
            );
            return true;
        }
        !is_named && self.others.contains(&id)
    }
}

/// Opens an input: standard input without its buffer, which would have what comes wait.
///
/// # Errors
///
/// What was a file when it was found and is none any more is an error: to open a pipe in its place would wait for
/// somebody to write to it.
pub fn open(input: &Input) -> io::Result<File> {
    let Input::File { path, bytes, .. } = input else { return stdin() };
    let mut options = OpenOptions::new();
    options.read(true);
    let is_file = bytes.is_some();
    #[cfg(unix)]
    if is_file {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    if is_file && !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file any more"));
    }
    Ok(file)
}

/// As [`open`]; none if it is binary and to be passed over then.
pub fn open_text(input: &Input) -> io::Result<Option<File>> {
    let mut file = open(input)?;
    if input.bytes().is_some() {
        warn_of_utf16(input.path(), &around::Text::read(&file, 0..2)?);
    }
    let skip_binary = matches!(input, Input::File { skip_binary: true, .. });
    let is_skipped = skip_binary && begins_as_binary(&mut file)?;
    Ok((!is_skipped).then_some(file))
}

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

/// Reads all there is of a file, or as much as fits, and says how much that was.
pub fn read(file: &mut File, to: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < to.len() {
        match file.read(&mut to[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// A file that may give bytes now and then. When it has given some and no more come for a moment, it says so by
/// [`ErrorKind::WouldBlock`] once, for what has come to be scanned meanwhile.
pub struct Live {
    file: File,
    /// Whether bytes have come since it last said so.
    has_come: bool,
    /// When it last said so.
    said: Option<Instant>,
    /// Least time without bytes after which it says so.
    moment: Duration,
}

impl Live {
    /// Soon enough for people, and long enough for a program that has more to say.
    const MOMENT: Duration = Duration::from_millis(100);

    pub fn new(file: File) -> Live {
        Live { file, has_come: false, said: None, moment: Live::MOMENT }
    }

    /// Waits a moment for bytes, or their end. Says whether there are any.
    #[cfg(unix)]
    fn wait(&self) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, poll};
        let moment = self.moment.try_into().map_err(io::Error::other)?;
        let mut files = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut files, Some(&moment)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(unix))]
    fn wait(&self) -> io::Result<bool> {
        Ok(true)
    }
}

impl Read for Live {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if let Some(said) = self.said.take() {
            // What has to be looked at again and again takes longer and longer.
            self.moment = said.elapsed().max(Live::MOMENT);
        }
        if self.has_come && !self.wait()? {
            self.has_come = false;
            self.said = Some(Instant::now());
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.file.read(to)?;
        self.has_come |= count > 0;
        Ok(count)
    }
}

/// Bytes by which binary files are told.
const TELLING_BYTES: usize = 8 << 10;

/// Whether there is a NUL byte in the first 8 KiB, by which git and ripgrep tell binary files too.
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(TELLING_BYTES)].contains(&0)
}

/// Says that a file is text that is not looked through as such.
pub fn warn_of_utf16(path: &Path, begin: &[u8]) {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = begin {
        tracing::warn!(
            "{}: this begins as UTF-16 does, which is not decoded: its text is not searched",
            terminal::path(path)
        );
    }
}

/// Whether a file is binary. Leaves it at its start.
fn begins_as_binary(file: &mut File) -> io::Result<bool> {
    let mut block = Vec::new();
    file.take(TELLING_BYTES as u64).read_to_end(&mut block)?;
    file.rewind()?;
    Ok(is_binary(&block))
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
        let input = Input::File {
            path: path.clone(),
            bytes: Some(6),
            skip_binary: true,
            is_named: true,
            id: None,
        };
        assert!(open_text(&input).unwrap().is_some());
        fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for opened in [open(&input).err(), open_text(&input).err()] {
            assert_eq!(opened.unwrap().to_string(), "it is no file any more");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(open(&input).is_err());
    }

    #[test]
    fn what_comes_bit_by_bit_is_told_from_what_comes_at_once() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut live = Live::new(std::os::fd::OwnedFd::from(reader).into());
        let mut bytes = [0; 9];
        io::Write::write_all(&mut writer, b"some").unwrap();
        assert_eq!(live.read(&mut bytes).unwrap(), 4);
        assert_eq!(live.read(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
        // The second time it waits.
        io::Write::write_all(&mut writer, b"more").unwrap();
        assert_eq!(live.read(&mut bytes).unwrap(), 4);
        drop(writer);
        assert_eq!(live.read(&mut bytes).unwrap(), 0);
    }
}
