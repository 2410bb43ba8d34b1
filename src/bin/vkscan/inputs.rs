//! Which files are scanned.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

use crate::args::ScanArgs;
use crate::report;

/// One thing to scan.
pub enum Input {
    Stdin,
    File {
        path: PathBuf,
        /// As the file system tells; `None` for pipes and devices, which have none.
        bytes: Option<u64>,
        /// Whether it is passed over if it turns out to be binary.
        skip_binary: bool,
    },
}

impl Input {
    pub fn path(&self) -> &Path {
        match self {
            Input::Stdin => Path::new("<stdin>"),
            Input::File { path, .. } => path,
        }
    }

    pub fn bytes(&self) -> Option<u64> {
        match self {
            Input::Stdin => None,
            Input::File { bytes, .. } => *bytes,
        }
    }
}

/// Everything to scan, in the order of the arguments and sorted by path within each, and how many of them
/// could not be looked at; those are reported here.
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
        .follow_links(args.follow)
        .sort_by_file_path(Path::cmp);

    let mut inputs = Vec::new();
    let mut failed = 0;
    for entry in walk.build() {
        let input = entry.map_err(|error| error.to_string()).and_then(|entry| {
            if let Some(error) = entry.error() {
                tracing::warn!("{error}");
            }
            input(entry, args.binary)
        });
        match input {
            Ok(input) => inputs.extend(input),
            Err(error) => {
                report(&error);
                failed += 1;
            }
        }
    }
    (inputs, failed)
}

fn input(entry: DirEntry, binary: bool) -> Result<Option<Input>, String> {
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
    let metadata = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if metadata.is_dir() {
        return Ok(None);
    }
    let bytes = metadata.is_file().then_some(metadata.len());
    Ok(Some(Input::File { path, bytes, skip_binary: !binary && !is_named }))
}

/// Opens a file; none if it is binary and to be passed over then.
pub fn open(path: &Path, skip_binary: bool) -> io::Result<Option<File>> {
    let mut file = File::open(path)?;
    let is_skipped = skip_binary && is_binary(&mut file)?;
    Ok((!is_skipped).then_some(file))
}

/// Whether there is a NUL byte in the first 8 KiB, by which git and ripgrep tell binary files too.
/// Leaves the file at its start.
fn is_binary(file: &mut File) -> io::Result<bool> {
    let mut block = Vec::new();
    file.take(8 << 10).read_to_end(&mut block)?;
    file.rewind()?;
    Ok(block.contains(&0))
}
