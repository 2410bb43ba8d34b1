//! What a git repository's history holds: each blob once, with the first commit that has it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix::bstr::{self, BStr, BString, ByteSlice};
use gix::date::time::format::ISO8601_STRICT;
use gix::diff::tree::Recorder;
use gix::diff::tree::recorder::Change;
use gix::objs::tree::EntryKind;
use gix::objs::{CommitRef, Kind, TreeRefIter};
use gix::revision::plumbing::Spec;
use gix::{ObjectId, Repository, ThreadSafeRepository};
use rayon::prelude::*;

use super::feed::{Closed, Feed};
use super::packed::{self, Packing};
use super::{Commit, Origin, Turn};
use crate::terminal;

/// Blobs whose sizes are looked at together, and bytes of those that are read together.
const BLOBS: usize = 1 << 12;
const TOGETHER_BYTES: u64 = 64 << 20;

/// Bytes of trees and what they differ by that are kept while these are read.
const CACHE_BYTES: usize = 64 << 20;

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
    /// Commits that are asked for with all before them, but for those of others.
    tips: Vec<ObjectId>,
    hidden: Hidden,
    /// References that lead nowhere, and what is wrong with them.
    faults: Vec<String>,
    /// Most bytes that are decoded from one blob that is packed, if that is asked for.
    unpack_bytes: Option<u64>,
}

/// Commits that were not asked for.
enum Hidden {
    /// These, and all before them.
    Of(Vec<ObjectId>),
    /// All that are before both.
    OfBoth([ObjectId; 2]),
}

/// What counts of a commit.
struct Node {
    id: ObjectId,
    tree: ObjectId,
    parents: Vec<ObjectId>,
    /// When it was committed, in seconds.
    time: i64,
}

/// A blob, and where it is.
struct Blob {
    id: ObjectId,
    origins: Vec<Origin>,
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
        let repository = gix::discover(path).map_err(|reason| error(causes(&reason)))?;
        let within = within(&repository, path).map_err(|reason| error(reason.to_string()))?;
        let mut faults = Vec::new();
        let (tips, hidden) = match range {
            None => {
                let all = references(&repository, &mut faults);
                (all.map_err(|reason| error(causes(&reason)))?, Hidden::Of(Vec::new()))
            }
            Some(range) => of_range(&repository, range).map_err(|reason| {
                let hint = match Path::new(range).exists() {
                    true => "; --git stands behind the path of a repository",
                    false => "",
                };
                let range = terminal::shown(range.as_bytes());
                error(format!("{range} is no range of commits: {}{hint}", causes(&reason)))
            })?,
        };
        let (repository, path) = (repository.into_sync(), path.to_owned());
        Ok(History { repository, path, within, tips, hidden, faults, unpack_bytes })
    }

    /// Hands on all blobs, in the order of their commits, each with all paths that have had it.
    pub fn read(&self, mut feed: Feed) {
        // Where nobody listens any more nothing is left to do.
        let _ = self.try_read(&mut feed);
    }

    fn try_read(&self, feed: &mut Feed) -> Result<(), Closed> {
        let repository = self.local();
        let mut walk = Walk::new(self, &repository);
        let (commits, boundary) = walk.commits();
        // What was there before is nothing new.
        for node in &boundary {
            walk.tree(node.tree, None);
        }
        walk.known = std::mem::take(&mut walk.blobs).into_iter().map(|blob| blob.id).collect();
        walk.indices.clear();
        for (id, node) in &commits {
            walk.tree(node.tree, Some(*id));
        }
        let mut blobs =
            if boundary.is_empty() { Vec::new() } else { walk.before(&commits, &boundary) };
        let Walk { faults, blobs: new, .. } = walk;
        blobs.extend(new);
        let own = Origin::of_path(self.path.clone());
        for fault in &self.faults {
            feed.failed(&own, fault)?;
        }
        for (origin, fault) in &faults {
            feed.failed(origin.as_ref().unwrap_or(&own), fault)?;
        }
        // Not the pool that scans work with, which may wait for what comes from here.
        let threads = rayon::ThreadPoolBuilder::new().build();
        let threads = threads.map_err(|error| error.to_string());
        while !blobs.is_empty() {
            let rest = blobs.split_off(blobs.len().min(BLOBS));
            let bytes = |repository: &mut Repository, blob: &Blob| {
                repository.find_header(blob.id).map_or(0, |header| header.size())
            };
            let bytes = self.each(&threads, &blobs, bytes);
            let mut left = blobs.into_iter().zip(bytes).peekable();
            while left.peek().is_some() {
                let mut sum = 0;
                let mut fits = |(_, bytes): &(Blob, u64)| {
                    let is_first = sum == 0;
                    sum += bytes;
                    is_first || sum <= TOGETHER_BYTES
                };
                let part: Vec<Blob> =
                    std::iter::from_fn(|| left.next_if(&mut fits)).map(|(blob, _)| blob).collect();
                self.hand_on(&threads, part, feed)?;
            }
            blobs = rest;
        }
        feed.flush()
    }

    /// Hands on some blobs.
    fn hand_on(&self, threads: &Threads, blobs: Vec<Blob>, feed: &mut Feed) -> Result<(), Closed> {
        let read =
            |repository: &mut Repository, blob: &Blob| object(repository, blob.id, Kind::Blob);
        let contents = self.each(threads, &blobs, read);
        for (Blob { origins, .. }, content) in blobs.into_iter().zip(contents) {
            let mut origins = origins.into_iter();
            let Some(origin) = origins.next() else { continue };
            match (content, self.unpack_bytes) {
                (Ok(bytes), Some(most)) if Packing::of(&bytes).is_some() => {
                    packed::unpack_held(&origin, &bytes, most, feed)?;
                }
                (Ok(bytes), _) => feed.held(origin, origins.collect(), bytes)?,
                (Err(fault), _) => feed.failed(&origin, &fault)?,
            }
        }
        Ok(())
    }

    /// Does something with each of some blobs, by several threads if there can be any.
    fn each<R: Send>(
        &self,
        threads: &Threads,
        blobs: &[Blob],
        of: impl Fn(&mut Repository, &Blob) -> R + Sync + Send,
    ) -> Vec<R> {
        match threads {
            Ok(threads) => {
                threads.install(|| blobs.par_iter().map_init(|| self.local(), of).collect())
            }
            Err(_) => {
                let mut repository = self.local();
                blobs.iter().map(|blob| of(&mut repository, blob)).collect()
            }
        }
    }

    /// The paths that a commit, by its hexadecimal digits, has removed.
    pub fn removed_by(&self, commit: &str) -> HashSet<PathBuf> {
        let repository = self.repository.to_thread_local();
        let node = |id: ObjectId| Walk::new(self, &repository).node(id).ok();
        let Some(commit) = ObjectId::from_hex(commit.as_bytes()).ok().and_then(node) else {
            return HashSet::new();
        };
        let parents = commit.parents.iter().filter_map(|parent| node(*parent));
        let changes = parents.flat_map(|parent| changes(&repository, parent.tree, commit.tree));
        let removed = changes.filter_map(|change| match change {
            Change::Deletion { path, .. } => Some(path_of(&path)),
            _ => None,
        });
        removed.collect()
    }

    /// Whether a path is in the folder that is asked for.
    fn has(&self, path: &BString) -> bool {
        let rest = path.strip_prefix(self.within.as_slice());
        self.within.is_empty() || rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }

    /// The repository for one thread.
    fn local(&self) -> Repository {
        let mut repository = self.repository.to_thread_local();
        repository.object_cache_size_if_unset(CACHE_BYTES);
        repository
    }
}

/// The folder in a repository that a path leads to.
fn within(repository: &Repository, path: &Path) -> std::io::Result<BString> {
    let Some(folder) = repository.workdir() else { return Ok(BString::default()) };
    let (folder, path) = (folder.canonicalize()?, path.canonicalize()?);
    // It may be the repository's own folder, besides.
    let within = path.strip_prefix(folder).unwrap_or(Path::new(""));
    let is_own = within.starts_with(".git");
    let within = if is_own { Path::new("") } else { within };
    Ok(BString::from(within.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")))
}

/// The commits that HEAD and all references lead to.
fn references(repository: &Repository, faults: &mut Vec<String>) -> gix::Result<Vec<ObjectId>> {
    let mut tips = Vec::new();
    // It leads nowhere before the first commit.
    if let Ok(id) = repository.head_id() {
        tips.push(id.detach());
    }
    for reference in repository.references()?.all()? {
        let mut reference = match reference {
            Ok(reference) => reference,
            Err(error) => {
                faults.push(error.to_string());
                continue;
            }
        };
        let name = terminal::shown(reference.name().as_bstr());
        let led_to = reference.peel_to_id().and_then(|id| id.header());
        match led_to {
            Ok(header) if header.kind() == Kind::Commit => {
                tips.extend(reference.peel_to_id().map(|id| id.detach()));
            }
            Ok(header) => tracing::warn!(
                "{name} leads to a {}, and not to a commit: it is not looked through",
                header.kind()
            ),
            Err(error) => faults.push(format!("{name} leads nowhere: {}", causes(&error))),
        }
    }
    Ok(tips)
}

/// The commits that a range begins with, and those that it is without.
fn of_range(repository: &Repository, range: &str) -> gix::Result<(Vec<ObjectId>, Hidden)> {
    let commit = |id: ObjectId| -> gix::Result<ObjectId> {
        Ok(repository.find_object(id)?.peel_to_kind(Kind::Commit)?.id)
    };
    let parents = |id: ObjectId| -> gix::Result<Vec<ObjectId>> {
        Ok(repository.find_commit(commit(id)?)?.parent_ids().map(|id| id.detach()).collect())
    };
    let spec = repository.rev_parse(range)?.detach();
    Ok(match spec {
        Spec::Include(id) => (vec![commit(id)?], Hidden::Of(Vec::new())),
        Spec::Exclude(id) => {
            (references(repository, &mut Vec::new())?, Hidden::Of(vec![commit(id)?]))
        }
        Spec::Range { from, to } => (vec![commit(to)?], Hidden::Of(vec![commit(from)?])),
        Spec::Merge { theirs, ours } => {
            let both = [commit(theirs)?, commit(ours)?];
            (both.to_vec(), Hidden::OfBoth(both))
        }
        Spec::IncludeOnlyParents(id) => (parents(id)?, Hidden::Of(Vec::new())),
        Spec::ExcludeParents(id) => (vec![commit(id)?], Hidden::Of(parents(id)?)),
    })
}

/// What two trees differ in; nothing if one of them cannot be read, which is told of elsewhere.
fn changes(repository: &Repository, before: ObjectId, after: ObjectId) -> Vec<Change> {
    let trees = [before, after].map(|id| object(repository, id, Kind::Tree));
    let [Ok(one), Ok(other)] = &trees else { return Vec::new() };
    let mut recorder = Recorder::default();
    let [one, other] = [one, other].map(|data| TreeRefIter::from_bytes(data, before.kind()));
    let state = gix::diff::tree::State::default();
    match gix::diff::tree(one, other, state, &repository.objects, &mut recorder) {
        Ok(()) => recorder.records,
        Err(_) => Vec::new(),
    }
}

fn path_of(path: &BString) -> PathBuf {
    let path = gix::path::from_bstr(path.as_bstr());
    path.map_or_else(|_| PathBuf::new(), |path| path.into_owned())
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

/// A folder or a file, by the one that it is in.
struct Place {
    parent: usize,
    name: BString,
    children: HashMap<BString, usize>,
}

/// Goes through commits and trees.
struct Walk<'h> {
    history: &'h History,
    repository: &'h Repository,
    /// What could not be read, where that is known.
    faults: Vec<(Option<Origin>, String)>,
    /// Commits that could not.
    lost: HashSet<ObjectId>,
    /// All places, the root first.
    places: Vec<Place>,
    /// What was seen where.
    seen: HashSet<(ObjectId, usize)>,
    /// Blobs that are nothing new.
    known: HashSet<ObjectId>,
    blobs: Vec<Blob>,
    indices: HashMap<ObjectId, usize>,
    turns: i64,
    /// Commits without those before them.
    shallow: HashSet<ObjectId>,
}

impl<'h> Walk<'h> {
    fn new(history: &'h History, repository: &'h Repository) -> Walk<'h> {
        let shallow = repository.shallow_commits().ok().flatten();
        let shallow = shallow.map(|commits| commits.iter().copied().collect()).unwrap_or_default();
        let root = Place { parent: 0, name: BString::default(), children: HashMap::new() };
        Walk {
            history,
            repository,
            faults: Vec::new(),
            lost: HashSet::new(),
            places: vec![root],
            seen: HashSet::new(),
            known: HashSet::new(),
            blobs: Vec::new(),
            indices: HashMap::new(),
            turns: 0,
            shallow,
        }
    }

    /// All commits that are asked for, each behind those that it is based on and older ones first; and those that they are based
    /// on and that are not asked for.
    fn commits(&mut self) -> (Vec<(ObjectId, Node)>, Vec<Node>) {
        let none = HashMap::new();
        let mut hidden = match &self.history.hidden {
            Hidden::Of(tips) => self.reached(tips, &none),
            Hidden::OfBoth([one, other]) => {
                let other = self.reached(&[*other], &none);
                let mut both = self.reached(&[*one], &none);
                both.retain(|id, _| other.contains_key(id));
                both
            }
        };
        let mut asked = self.reached(&self.history.tips, &hidden);
        let mut based_on_it: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
        let mut waits_for: HashMap<ObjectId, usize> = HashMap::new();
        let mut boundary = Vec::new();
        for (&id, node) in &asked {
            for parent in &node.parents {
                if asked.contains_key(parent) {
                    based_on_it.entry(*parent).or_default().push(id);
                    *waits_for.entry(id).or_default() += 1;
                } else {
                    boundary.extend(hidden.remove(parent));
                }
            }
        }
        let is_ready = |(id, _): &(&ObjectId, &Node)| !waits_for.contains_key(*id);
        let ready = asked.iter().filter(is_ready).map(|(id, node)| Reverse((node.time, *id)));
        let mut ready: BinaryHeap<Reverse<(i64, ObjectId)>> = ready.collect();
        let mut commits = Vec::with_capacity(asked.len());
        while let Some(Reverse((_, id))) = ready.pop() {
            for next in based_on_it.remove(&id).unwrap_or_default() {
                let waits = waits_for.get_mut(&next).expect("it was counted");
                *waits -= 1;
                if *waits == 0 {
                    ready.push(Reverse((asked[&next].time, next)));
                }
            }
            commits.push((id, asked.remove(&id).expect("each is ready once")));
        }
        (commits, boundary)
    }

    /// These commits and all before them, but for those of `without`.
    fn reached(
        &mut self,
        tips: &[ObjectId],
        without: &HashMap<ObjectId, Node>,
    ) -> HashMap<ObjectId, Node> {
        let mut reached = HashMap::new();
        let mut left = tips.to_vec();
        while let Some(id) = left.pop() {
            if reached.contains_key(&id) || without.contains_key(&id) || self.lost.contains(&id) {
                continue;
            }
            match self.node(id) {
                Ok(node) => {
                    left.extend(&node.parents);
                    reached.insert(id, node);
                }
                Err(fault) => {
                    self.lost.insert(id);
                    self.faults.push((None, fault));
                }
            }
        }
        reached
    }

    fn node(&self, id: ObjectId) -> Result<Node, String> {
        let data = object(self.repository, id, Kind::Commit)?;
        let wrong = |error: gix::Error| format!("the commit {id} is damaged: {}", causes(&error));
        let commit = CommitRef::from_bytes(&data, id.kind()).map_err(wrong)?;
        let time = commit.time().map_or(0, |time| time.seconds);
        let parents =
            if self.shallow.contains(&id) { Vec::new() } else { commit.parents().collect() };
        Ok(Node { id, tree: commit.tree(), parents, time })
    }

    /// What was there before: the blobs that commits have changed or removed, and that are nothing new.
    fn before(&self, commits: &[(ObjectId, Node)], boundary: &[Node]) -> Vec<Blob> {
        let trees = commits.iter().map(|(id, node)| (*id, node.tree));
        let trees = trees.chain(boundary.iter().map(|node| (node.id, node.tree)));
        let trees: HashMap<ObjectId, ObjectId> = trees.collect();
        let mut before = BTreeSet::new();
        for (_, node) in commits {
            for parent in node.parents.iter().filter_map(|parent| trees.get(parent)) {
                for change in changes(self.repository, *parent, node.tree) {
                    let (Change::Deletion { oid, path, .. }
                    | Change::Modification { previous_oid: oid, path, .. }) = change
                    else {
                        continue;
                    };
                    if self.known.contains(&oid) && self.history.has(&path) {
                        before.insert((path, oid));
                    }
                }
            }
        }
        let first = -(before.len() as i64);
        let origin = |order, path: &BString, blob| Origin {
            path: path_of(path),
            commit: None,
            turn: Some(Turn { order, blob }),
        };
        let blobs = (first..).zip(before).enumerate().map(|(index, (order, (path, id)))| {
            let origins = vec![origin(order, &path, self.blobs.len() + index)];
            Blob { id, origins }
        });
        blobs.collect()
    }

    /// Takes note of all blobs in a commit's tree that were not seen.
    fn tree(&mut self, tree: ObjectId, commit: Option<ObjectId>) {
        let mut told = None;
        let mut left = vec![(tree, 0)];
        while let Some((id, place)) = left.pop() {
            if !self.is_new(id, place) {
                continue;
            }
            let data = match object(self.repository, id, Kind::Tree) {
                Ok(data) => data,
                Err(fault) => {
                    let origin = self.origin(place, commit, &mut told);
                    self.faults.push((Some(origin), fault));
                    continue;
                }
            };
            for entry in TreeRefIter::from_bytes(&data, id.kind()) {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        let fault = format!("the tree {id} is damaged: {}", causes(&error));
                        let origin = self.origin(place, commit, &mut told);
                        self.faults.push((Some(origin), fault));
                        break;
                    }
                };
                let own = self.place(place, entry.filename);
                if !self.is_within(own) {
                    continue;
                }
                let id = entry.oid.to_owned();
                match entry.mode.kind() {
                    EntryKind::Tree => left.push((id, own)),
                    EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => {
                        self.blob(id, own, commit, &mut told);
                    }
                    // Another repository's.
                    EntryKind::Commit => {}
                }
            }
        }
    }

    fn blob(
        &mut self,
        id: ObjectId,
        place: usize,
        commit: Option<ObjectId>,
        told: &mut Option<Arc<Commit>>,
    ) {
        if self.known.contains(&id) || !self.is_new(id, place) {
            return;
        }
        let origin = self.origin(place, commit, told);
        let next = self.blobs.len();
        let index = *self.indices.entry(id).or_insert(next);
        if index == next {
            self.blobs.push(Blob { id, origins: Vec::new() });
        }
        let turn = Some(Turn { order: self.turns, blob: index });
        self.turns += 1;
        self.blobs[index].origins.push(Origin { turn, ..origin });
    }

    fn is_new(&mut self, id: ObjectId, place: usize) -> bool {
        self.seen.insert((id, place))
    }

    /// What is called so in a folder.
    fn place(&mut self, parent: usize, name: &BStr) -> usize {
        let next = self.places.len();
        let children = &mut self.places[parent].children;
        if let Some(&place) = children.get(name) {
            return place;
        }
        children.insert(name.to_owned(), next);
        self.places.push(Place { parent, name: name.to_owned(), children: HashMap::new() });
        next
    }

    fn path(&self, mut place: usize) -> BString {
        let mut names = Vec::new();
        while place != 0 {
            names.push(self.places[place].name.as_bstr());
            place = self.places[place].parent;
        }
        names.reverse();
        BString::from(bstr::join("/", names))
    }

    /// Whether something is in the folder that is asked for, or on the way there.
    fn is_within(&self, place: usize) -> bool {
        let within = &self.history.within;
        if within.is_empty() {
            return true;
        }
        let path = self.path(place);
        let is_on_the_way =
            within.strip_prefix(path.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
        is_on_the_way || self.history.has(&path)
    }

    /// Where something is, and since which commit.
    fn origin(
        &self,
        place: usize,
        commit: Option<ObjectId>,
        told: &mut Option<Arc<Commit>>,
    ) -> Origin {
        let commit = commit.map(|id| told.get_or_insert_with(|| self.commit(id)).clone());
        Origin { path: path_of(&self.path(place)), commit, turn: None }
    }

    fn commit(&self, id: ObjectId) -> Arc<Commit> {
        let data = object(self.repository, id, Kind::Commit).unwrap_or_default();
        let commit = CommitRef::from_bytes(&data, id.kind()).ok();
        let author = commit.as_ref().and_then(|commit| commit.author().ok());
        let text = |text: Option<&BStr>| text.map(ToString::to_string).unwrap_or_default();
        let time = author.and_then(|author| author.time().ok());
        Arc::new(Commit {
            id: id.to_string(),
            author: text(author.map(|author| author.name)),
            email: text(author.map(|author| author.email)),
            date: time.map(|time| time.format_or_unix(ISO8601_STRICT)).unwrap_or_default(),
        })
    }
}
