//! Which files are scanned.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::packed::{self, Packing};
use super::{FileId, From, Input, Origin, file_id, read_head, stdin, stdout};
use crate::args::{ResultArgs, ScanArgs, Sort};
use crate::rules::Rules;
use crate::terminal;

/// Everything to scan. Where inputs are sorted, they come in the order of the arguments, and by path within each; else in the
/// order in which several threads find them.
#[derive(Default)]
pub struct Found {
    pub inputs: Vec<Input>,
    /// What could not be looked at, and why.
    pub faults: Vec<String>,
}

/// What one thread finds, until it is through.
struct Part {
    found: Found,
    to: Sender<Found>,
}

impl Found {
    fn push(&mut self, found: Result<Option<Input>, String>) {
        match found {
            Ok(input) => self.inputs.extend(input),
            Err(fault) => self.faults.push(fault),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // The receiver is there until all threads are through.
        let _ = self.to.send(std::mem::take(&mut self.found));
    }
}

pub fn find(args: &ScanArgs) -> Found {
    let mut found = Found::default();
    if args.git.is_some() {
        return found;
    }
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
    match args.sort {
        Some(Sort::Path) => {
            for entry in walk.sort_by_file_path(Path::cmp).build() {
                found.push(input(entry, args));
            }
        }
        None => {
            let (to, parts) = mpsc::channel();
            walk.build_parallel().run(|| {
                let mut part = Part { found: Found::default(), to: to.clone() };
                Box::new(move |entry| {
                    part.found.push(input(entry, args));
                    WalkState::Continue
                })
            });
            drop(to);
            for Found { inputs, faults } in parts {
                found.inputs.extend(inputs);
                found.faults.extend(faults);
            }
        }
    }
    found
}

fn input(entry: Result<DirEntry, ignore::Error>, args: &ScanArgs) -> Result<Option<Input>, String> {
    // They name files.
    let shown = |error: &ignore::Error| terminal::shown(error.to_string().as_bytes());
    let entry = entry.map_err(|error| shown(&error))?;
    if let Some(error) = entry.error() {
        tracing::warn!("{}", shown(error));
    }
    if entry.is_stdin() {
        return Ok(Some(Input::stdin(args.search_zip)));
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
    // What comes by a pipe tells when it is read.
    let is_packed = args.search_zip && (bytes.is_none() || is_packed(&path));
    let from = From::File { bytes, is_named, id: file_id(&metadata), is_packed };
    let skip_binary = !args.binary && !is_named;
    Ok(Some(Input { skip_binary, ..Input::new(Origin::of_path(path), from) }))
}

/// Whether a file begins as what is compressed, or an archive. What cannot be read is told of where it is scanned.
fn is_packed(path: &Path) -> bool {
    let mut head = Vec::new();
    let read =
        File::open(path).and_then(|mut file| read_head(&mut file, packed::HEAD_BYTES, &mut head));
    read.is_ok() && Packing::of(&head).is_some()
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
        let (id, is_named) = match &input.from {
            From::Stdin { .. } => {
                let metadata = stdin().and_then(|stdin| stdin.metadata());
                (metadata.ok().and_then(|metadata| file_id(&metadata)), true)
            }
            From::File { is_named, id, .. } => (*id, *is_named),
            From::Held(_) | From::Stream(_) => return false,
        };
        if self.outputs.contains(&id) {
            tracing::warn!("{}: findings are printed to it, and it is not scanned", input.origin);
            return true;
        }
        !is_named && self.others.contains(&id)
    }
}
