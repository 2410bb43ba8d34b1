//! What is new in the trees of commits.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use gix::bstr::{self, BStr, BString, ByteSlice};
use gix::date::time::format::ISO8601_STRICT;
use gix::diff::tree::recorder::Change;
use gix::objs::{CommitRef, Kind, TreeRefIter};
use gix::{ObjectId, Repository};

use super::commits::Node;
use super::{causes, changes, object};
use crate::inputs::{Commit, Origin, Turn, path_of};

/// Folders in each other, and paths of all commits: no more of either are looked at, as trees may have the same one over and over.
const MOST_DEEP: usize = 4096;
const MOST_PLACES: usize = 1 << 26;

/// Bits of a tree entry's mode that tell what it is.
const KIND: u16 = 0o170_000;
const FOLDER: u16 = 0o040_000;
const SUBMODULE: u16 = 0o160_000;

/// A blob, and where it is.
pub struct Blob {
    pub id: ObjectId,
    /// One at least.
    pub origins: Vec<Origin>,
}

/// A folder or a file, by the one that it is in.
struct Place {
    parent: usize,
    name: BString,
    depth: usize,
    children: HashMap<BString, usize>,
}

/// Whose tree it is.
enum Of<'n> {
    /// What was there before the commits that are asked for.
    Before,
    Commit(&'n Node),
    /// No commit's.
    Other,
}

/// Goes through commits and trees.
pub struct Walk<'h> {
    repository: &'h Repository,
    /// The folder that is asked for; empty if all is.
    within: &'h BString,
    /// What could not be read, and where that is.
    faults: Vec<(Origin, String)>,
    told_faults: HashSet<String>,
    /// All places, the root first.
    places: Vec<Place>,
    /// What was seen where.
    seen: HashSet<(ObjectId, usize)>,
    /// Blobs that were there before, and where.
    known: HashMap<ObjectId, Vec<usize>>,
    blobs: Vec<Blob>,
    indices: HashMap<ObjectId, usize>,
    /// The next turn, and the one for what was there before.
    turns: i64,
    turns_before: i64,
    /// The commit that was told last.
    told: Option<(ObjectId, Arc<Commit>)>,
    /// What is to be told if there are too many places.
    too_many: Option<String>,
}

impl<'h> Walk<'h> {
    pub fn new(repository: &'h Repository, within: &'h BString) -> Walk<'h> {
        let root =
            Place { parent: 0, name: BString::default(), depth: 0, children: HashMap::new() };
        Walk {
            repository,
            within,
            faults: Vec::new(),
            told_faults: HashSet::new(),
            places: vec![root],
            seen: HashSet::new(),
            known: HashMap::new(),
            blobs: Vec::new(),
            indices: HashMap::new(),
            turns: 0,
            turns_before: -1,
            told: None,
            too_many: None,
        }
    }

    /// Takes note of what was there before: it is nothing new.
    pub fn before(&mut self, tree: ObjectId) {
        self.tree(tree, 0, &Of::Before);
    }

    /// Takes note of all blobs of a commit that were not seen.
    pub fn commit(&mut self, commit: &Node) {
        self.tree(commit.tree, 0, &Of::Commit(commit));
    }

    /// The same of what a reference leads to that is no commit.
    pub fn other(&mut self, name: &str, id: ObjectId, kind: Kind) {
        match kind {
            Kind::Tree => self.tree(id, 0, &Of::Other),
            _ => {
                if let Some(place) = self.place(0, name.into()) {
                    self.blob(id, place, &Of::Other);
                }
            }
        }
    }

    /// Takes note of what was there before and was changed or removed: what is found in it is nothing new where it is now.
    pub fn changed(&mut self, asked: &[Node], before: &[Node]) {
        let trees = asked.iter().chain(before).map(|node| (node.id, node.tree));
        let trees: HashMap<ObjectId, ObjectId> = trees.collect();
        let mut changed = BTreeSet::new();
        for node in asked {
            for parent in node.parents.iter().filter_map(|parent| trees.get(parent)) {
                let changes = match changes(self.repository, *parent, node.tree) {
                    Ok(changes) => changes,
                    Err(fault) => {
                        let origin = self.origin(0, &Of::Commit(node));
                        self.fault(origin, fault);
                        continue;
                    }
                };
                for change in changes {
                    if let Change::Deletion { oid, path, .. }
                    | Change::Modification { previous_oid: oid, path, .. } = change
                        && self.known.contains_key(&oid)
                        && is_in(&path, self.within)
                    {
                        changed.insert((path, oid));
                    }
                }
            }
        }
        // Of others it is noted already where they were.
        changed.retain(|(_, id)| !self.indices.contains_key(id));
        for (path, id) in changed {
            self.push(id, Origin::of_path(path_of(&path)), true);
        }
    }

    /// All blobs, in the order of their turns, and what could not be read.
    pub fn finish(mut self) -> (Vec<Blob>, Vec<(Origin, String)>) {
        if let Some(fault) = self.too_many.take() {
            let origin = self.origin(0, &Of::Other);
            self.faults.push((origin, fault));
        }
        let mut blobs = self.blobs;
        let first = |blob: &Blob| {
            blob.origins.iter().filter_map(|origin| origin.turn).map(|turn| turn.order).min()
        };
        blobs.sort_by_key(first);
        (blobs, self.faults)
    }

    fn tree(&mut self, tree: ObjectId, place: usize, of: &Of) {
        let mut left = vec![(tree, place)];
        while let Some((id, place)) = left.pop() {
            if !self.seen.insert((id, place)) {
                continue;
            }
            let data = match self.places[place].depth {
                0..MOST_DEEP => object(self.repository, id, Kind::Tree),
                depth => Err(format!(
                    "{depth} folders are in each other, and what is in this one is not read"
                )),
            };
            let data = match data {
                Ok(data) => data,
                Err(fault) => {
                    let origin = self.origin(place, of);
                    self.fault(origin, fault);
                    continue;
                }
            };
            let mut folders = Vec::new();
            for entry in TreeRefIter::from_bytes(&data, id.kind()) {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        let fault = format!("the tree {id} is damaged: {}", causes(&error));
                        let origin = self.origin(place, of);
                        self.fault(origin, fault);
                        break;
                    }
                };
                if entry.mode.value() & KIND == SUBMODULE {
                    // Another repository's.
                    continue;
                }
                let is_folder = entry.mode.value() & KIND == FOLDER;
                let Some(own) = self.place(place, entry.filename) else { continue };
                if !self.is_within(own, is_folder) {
                    continue;
                }
                match is_folder {
                    true => folders.push((entry.oid.to_owned(), own)),
                    false => self.blob(entry.oid.to_owned(), own, of),
                }
            }
            // The first one comes next.
            left.extend(folders.into_iter().rev());
        }
    }

    fn blob(&mut self, id: ObjectId, place: usize, of: &Of) {
        if !self.seen.insert((id, place)) {
            return;
        }
        if let Of::Before = of {
            self.known.entry(id).or_default().push(place);
            return;
        }
        // Where it is new, only what rules look at there alone is.
        if !self.indices.contains_key(&id) {
            for before in self.known.get(&id).cloned().unwrap_or_default() {
                let origin = self.origin(before, &Of::Before);
                self.push(id, origin, true);
            }
        }
        let origin = self.origin(place, of);
        self.push(id, origin, false);
    }

    fn push(&mut self, id: ObjectId, origin: Origin, was_before: bool) {
        let next = self.blobs.len();
        let blob = *self.indices.entry(id).or_insert(next);
        if blob == next {
            self.blobs.push(Blob { id, origins: Vec::new() });
        }
        let (turn, step) =
            if was_before { (&mut self.turns_before, -1) } else { (&mut self.turns, 1) };
        let order = *turn;
        *turn += step;
        self.blobs[blob].origins.push(Origin { turn: Some(Turn { order, blob }), ..origin });
    }

    /// Takes note of a fault that was not met before.
    fn fault(&mut self, origin: Origin, fault: String) {
        if self.told_faults.insert(fault.clone()) {
            self.faults.push((origin, fault));
        }
    }

    /// What is called so in a folder; none if there are too many places.
    fn place(&mut self, parent: usize, name: &BStr) -> Option<usize> {
        let next = self.places.len();
        let Place { children, depth, .. } = &mut self.places[parent];
        if let Some(&place) = children.get(name) {
            return Some(place);
        }
        if next == MOST_PLACES {
            let fault = format!("there are more than {MOST_PLACES} paths, and others are not read");
            self.too_many.get_or_insert(fault);
            return None;
        }
        let depth = *depth + 1;
        children.insert(name.to_owned(), next);
        self.places.push(Place { parent, name: name.to_owned(), depth, children: HashMap::new() });
        Some(next)
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
    fn is_within(&self, place: usize, is_folder: bool) -> bool {
        if self.within.is_empty() {
            return true;
        }
        let path = self.path(place);
        is_in(&path, self.within) || (is_folder && is_in(self.within, &path))
    }

    /// Where something is, and since when.
    fn origin(&mut self, place: usize, of: &Of) -> Origin {
        let path = path_of(&self.path(place));
        let commit = match of {
            Of::Commit(node) => Some(self.told(node.id)),
            Of::Before | Of::Other => None,
        };
        Origin { commit, ..Origin::of_path(path) }
    }

    fn told(&mut self, id: ObjectId) -> Arc<Commit> {
        match &self.told {
            Some((of, told)) if *of == id => told.clone(),
            _ => {
                let told = Arc::new(told(self.repository, id));
                self.told = Some((id, told.clone()));
                told
            }
        }
    }
}

/// Whether a path is that of a folder, or in it.
fn is_in(path: &BString, folder: &BString) -> bool {
    let rest = path.strip_prefix(folder.as_slice());
    folder.is_empty() || rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

fn told(repository: &Repository, id: ObjectId) -> Commit {
    let data = object(repository, id, Kind::Commit).unwrap_or_default();
    let commit = CommitRef::from_bytes(&data, id.kind()).ok();
    let author = commit.as_ref().and_then(|commit| commit.author().ok());
    let text = |text: Option<&BStr>| text.map(ToString::to_string).unwrap_or_default();
    let time = author.and_then(|author| author.time().ok());
    Commit {
        id: id.to_string(),
        author: text(author.map(|author| author.name)),
        email: text(author.map(|author| author.email)),
        date: time.map(|time| time.format_or_unix(ISO8601_STRICT)).unwrap_or_default(),
    }
}
