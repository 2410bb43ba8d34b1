//! Which files are scanned.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use ignore::{DirEntry, WalkBuilder, WalkState};

use crate::args::{ScanArgs, Sort};
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
    let entry = entry.map_err(|error| error.to_string())?;
    if let Some(error) = entry.error() {
        tracing::warn!("{error}");
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
    let is_skipped = skip_binary && begins_as_binary(&mut file)?;
    Ok((!is_skipped).then_some(file))
}

/// Bytes by which binary files are told.
const TELLING_BYTES: usize = 8 << 10;

/// Whether there is a NUL byte in the first 8 KiB, by which git and ripgrep tell binary files too.
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(TELLING_BYTES)].contains(&0)
}

/// Whether a file is binary. Leaves it at its start.
fn begins_as_binary(file: &mut File) -> io::Result<bool> {
    let mut block = Vec::new();
    file.take(TELLING_BYTES as u64).read_to_end(&mut block)?;
    file.rewind()?;
    Ok(is_binary(&block))
}
