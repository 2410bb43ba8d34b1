//! What a git repository's history holds: each blob once, with the first commit that has it.
//!
//! | file | story |
//! |---|---|
//! | `commits.rs` | which commits are asked for, and in which order |
//! | `walk.rs` | what is new in their trees |

mod commits;
mod walk;

use std::collections::HashSet;
use std::error::Error;
use std::path::{Path, PathBuf};

use gix::bstr::BString;
use gix::diff::tree::Recorder;
use gix::diff::tree::recorder::Change;
use gix::objs::{Kind, TreeRefIter};
use gix::{ObjectId, Repository, ThreadSafeRepository};
use rayon::prelude::*;

use super::feed::{Closed, Feed};
use super::packed::{self, Packing};
use super::{Origin, path_of};
use crate::terminal;
use commits::{Commits, Tips};
use walk::{Blob, Walk};

/// Blobs whose sizes are looked at together, and bytes of those that are read together.
const BLOBS: usize = 1 << 12;
const TOGETHER_BYTES: u64 = 64 << 20;

/// Bytes of trees that are kept while trees are read.
const CACHE_BYTES: usize = 64 << 20;

/// Blobs that cannot be read of which each is told by itself: a partial clone may lack millions.
const TOLD_BLOBS: u64 = 100;

/// What keeps a history from being read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct HistoryError {
    path: String,
    reason: String,
}

/// Threads of its own, if there can be any.
type Threads = Result<rayon::ThreadPool, String>;

/// A part of a repository's history.
pub struct History {
    repository: ThreadSafeRepository,
    path: PathBuf,
    /// The folder that was asked for; empty if all was.
    within: BString,
    tips: Tips,
    /// Most bytes that are decoded from one blob that is packed, if that is asked for.
    unpack_bytes: Option<u64>,
}

impl History {
    /// The history that leads to `range`, as git takes it, or else to HEAD and all references; of the folder at `path`, if that is
    /// one in the repository.
    pub fn open(
        path: &Path,
        range: Option<&str>,
        unpack_bytes: Option<u64>,
    ) -> Result<History, HistoryError> {
        let error = |reason: String| HistoryError { path: terminal::path(path), reason };
        let repository = discover(path).map_err(|reason| error(causes(&reason)))?;
        let within = within(&repository, path).map_err(error)?;
        let tips = match range {
            None => Tips::all(&repository).map_err(|reason| error(causes(&reason)))?,
            Some(range) => Tips::of_range(&repository, range).map_err(|reason| {
                let hint = match Path::new(range).exists() {
                    true => "; --git stands behind the path of a repository",
                    false => "",
                };
                let range = terminal::shown(range.as_bytes());
                error(format!("{range} is no range of commits: {}{hint}", causes(&reason)))
            })?,
        };
        let (repository, path) = (repository.into_sync(), path.to_owned());
        Ok(History { repository, path, within, tips, unpack_bytes })
    }

    /// Hands on all blobs, in the order of their commits, each with all paths that have had it.
    pub fn read(&self, mut feed: Feed) {
        // Where nobody listens any more nothing is left to do.
        let _ = self.try_read(&mut feed);
    }

    fn try_read(&self, feed: &mut Feed) -> Result<(), Closed> {
        let mut repository = self.repository.to_thread_local();
        repository.object_cache_size_if_unset(CACHE_BYTES);
        let Commits { asked, before, faults } = Commits::reached(&repository, &self.tips);
        let own = Origin::of_path(self.path.clone());
        for fault in self.tips.faults.iter().chain(&faults) {
            feed.failed(&own, fault)?;
        }
        let mut walk = Walk::new(&repository, &self.within);
        for commit in &before {
            walk.before(commit.tree);
        }
        for commit in &asked {
            walk.commit(commit);
        }
        for (name, id, kind) in &self.tips.others {
            walk.other(name, *id, *kind);
        }
        if !before.is_empty() {
            walk.changed(&asked, &before);
        }
        let (blobs, faults) = walk.finish();
        for (origin, fault) in &faults {
            feed.failed(origin, fault)?;
        }
        // Not the pool that scans work with, which may wait for what comes from here.
        let threads = rayon::ThreadPoolBuilder::new().build();
        let threads = threads.map_err(|error| error.to_string());
        let mut failed = 0;
        let mut blobs = blobs.into_iter();
        loop {
            let some: Vec<Blob> = blobs.by_ref().take(BLOBS).collect();
            if some.is_empty() {
                break;
            }
            let bytes = |repository: &mut Repository, blob: &Blob| {
                repository.find_header(blob.id).map_or(0, |header| header.size())
            };
            let bytes = self.each(&threads, &some, bytes);
            let mut left = some.into_iter().zip(bytes).peekable();
            while left.peek().is_some() {
                let mut sum = 0;
                let mut fits = |(_, bytes): &(Blob, u64)| {
                    let is_first = sum == 0;
                    sum += bytes;
                    is_first || sum <= TOGETHER_BYTES
                };
                let part: Vec<Blob> =
                    std::iter::from_fn(|| left.next_if(&mut fits)).map(|(blob, _)| blob).collect();
                failed = self.hand_on(&threads, part, failed, feed)?;
            }
        }
        if failed > TOLD_BLOBS {
            let more = failed - TOLD_BLOBS;
            feed.failed(&own, &format!("{more} more blobs are missing or cannot be read"))?;
        }
        feed.flush()
    }

    /// Hands on some blobs; says how many could not be read so far.
    fn hand_on(
        &self,
        threads: &Threads,
        blobs: Vec<Blob>,
        mut failed: u64,
        feed: &mut Feed,
    ) -> Result<u64, Closed> {
        let read =
            |repository: &mut Repository, blob: &Blob| object(repository, blob.id, Kind::Blob);
        let contents = self.each(threads, &blobs, read);
        for (Blob { origins, .. }, content) in blobs.into_iter().zip(contents) {
            match (content, self.unpack_bytes) {
                (Ok(bytes), Some(most)) if Packing::of(&bytes).is_some() => {
                    packed::unpack_held(origins, &bytes, most, feed)?;
                }
                (Ok(bytes), _) => feed.held(origins, bytes)?,
                (Err(fault), _) => {
                    failed += 1;
                    if failed <= TOLD_BLOBS {
                        feed.failed(&origins[0], &fault)?;
                    }
                    feed.path(origins)?;
                }
            }
        }
        Ok(failed)
    }

    /// Does something with each of some blobs, by several threads if there can be any.
    fn each<R: Send>(
        &self,
        threads: &Threads,
        blobs: &[Blob],
        of: impl Fn(&mut Repository, &Blob) -> R + Sync + Send,
    ) -> Vec<R> {
        let local = || {
            let mut repository = self.repository.to_thread_local();
            // What is missing is not looked for again and again.
            repository.objects.refresh_never();
            repository
        };
        let some = |blobs: &[Blob]| {
            let mut repository = local();
            blobs.iter().map(|blob| of(&mut repository, blob)).collect::<Vec<R>>()
        };
        match threads {
            Ok(threads) => {
                let parts = 2 * threads.current_num_threads();
                let parts = blobs.par_chunks(blobs.len().div_ceil(parts).max(1));
                threads.install(|| parts.flat_map_iter(some).collect())
            }
            Err(_) => some(blobs),
        }
    }

    /// The paths that a commit, by its hexadecimal digits, has removed.
    pub fn removed_by(&self, commit: &str) -> Result<HashSet<PathBuf>, String> {
        let repository = self.repository.to_thread_local();
        let id = ObjectId::from_hex(commit.as_bytes()).map_err(|error| error.to_string())?;
        let commit = commits::node(&repository, id)?;
        let mut removed = HashSet::new();
        for parent in &commit.parents {
            let parent = commits::node(&repository, *parent)?;
            for change in changes(&repository, parent.tree, commit.tree)? {
                if let Change::Deletion { path, .. } = change {
                    removed.insert(path_of(&path));
                }
            }
        }
        Ok(removed)
    }
}

/// The repository at a path, or around it. Nothing that its configuration names is run, whoever has written that.
fn discover(path: &Path) -> gix::Result<Repository> {
    let options = gix::open::Options::default().config_overrides([
        // Others get what was replaced, too.
        "core.useReplaceRefs=false",
        "core.deltaBaseCacheLimit=64m",
        // What somebody else owns is read as well as what is one's own.
        "gitoxide.objects.allocLimitIfReducedTrust=0",
    ]);
    let by_trust = gix::sec::trust::Mapping { full: options.clone(), reduced: options };
    let repository = ThreadSafeRepository::discover_opts(path, Default::default(), by_trust)?;
    Ok(repository.to_thread_local())
}

/// The folder in a repository that a path leads to.
fn within(repository: &Repository, path: &Path) -> Result<BString, String> {
    let Some(folder) = repository.workdir() else { return Ok(BString::default()) };
    let canonical = |path: &Path| path.canonicalize().map_err(|error| error.to_string());
    let (folder, path) = (canonical(folder)?, canonical(path)?);
    // It may be the repository's own folder, too.
    let within = path.strip_prefix(folder).unwrap_or(Path::new(""));
    let within = if within.starts_with(".git") { Path::new("") } else { within };
    let within = gix::path::into_bstr(within).map_err(|error| error.to_string())?;
    Ok(gix::path::to_unix_separators_on_windows(within).into_owned())
}

/// What two trees differ in.
fn changes(
    repository: &Repository,
    before: ObjectId,
    after: ObjectId,
) -> Result<Vec<Change>, String> {
    let [one, other] = [before, after].map(|id| object(repository, id, Kind::Tree));
    let (one, other) = (one?, other?);
    let [one, other] = [&one, &other].map(|data| TreeRefIter::from_bytes(data, before.kind()));
    let mut recorder = Recorder::default();
    let state = gix::diff::tree::State::default();
    match gix::diff::tree(one, other, state, &repository.objects, &mut recorder) {
        Ok(()) => Ok(recorder.records),
        Err(error) => {
            Err(format!("what {before} and {after} differ in cannot be read: {}", causes(&error)))
        }
    }
}

/// An object's content.
fn object(repository: &Repository, id: ObjectId, kind: Kind) -> Result<Vec<u8>, String> {
    match repository.try_find_object(id) {
        Ok(Some(object)) if object.kind == kind => Ok(object.detach().data),
        Ok(Some(object)) => Err(format!("{id} is a {}, and no {kind}", object.kind)),
        Ok(None) => Err(format!("the {kind} {id} is missing in the repository")),
        Err(error) => Err(format!("the {kind} {id} cannot be read: {}", causes(&error))),
    }
}

/// An error with what it comes from.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let of = error.to_string();
        // Some tell it themselves.
        if !text.contains(&of) {
            text = format!("{text}: {of}");
        }
        cause = error.source();
    }
    text
}
