//! Which commits are asked for, and in which order they come.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use gix::objs::{CommitRef, Kind};
use gix::refs::TargetRef;
use gix::revision::plumbing::Spec;
use gix::{ObjectId, Repository};

use super::{causes, object};
use crate::terminal;

/// Seconds by which a commit may be older than one that it is based on, by clocks that are wrong, before it counts.
const SKEW: i64 = 30 * 24 * 60 * 60;

/// Whence a commit is reached: what is reached in both ways is not asked for.
type Ways = u8;
const ONE: Ways = 1;
const OTHER: Ways = 2;
const BOTH: Ways = 3;

/// Where a history begins.
pub struct Tips {
    /// Commits, and in which ways what they are based on is reached.
    commits: Vec<(ObjectId, Ways)>,
    /// What references lead to that are no commits, with their names.
    pub others: Vec<(String, ObjectId, Kind)>,
    /// References that lead nowhere, and what is wrong with them.
    pub faults: Vec<String>,
}

/// What counts of a commit.
pub struct Node {
    pub id: ObjectId,
    pub tree: ObjectId,
    pub parents: Vec<ObjectId>,
    /// When it was committed, in seconds.
    time: i64,
}

/// Commits of a history.
pub struct Commits {
    /// Those that are asked for, each behind those that it is based on, and older ones first.
    pub asked: Vec<Node>,
    /// Those that they are based on, and that are not asked for.
    pub before: Vec<Node>,
    /// What could not be read.
    pub faults: Vec<String>,
}

impl Tips {
    /// HEAD and all references.
    pub fn all(repository: &Repository) -> gix::Result<Tips> {
        let mut tips = Tips { commits: Vec::new(), others: Vec::new(), faults: Vec::new() };
        match repository.head()?.try_into_peeled_id() {
            Ok(Some(id)) => tips.commits.push((id.detach(), ONE)),
            // There is no commit yet.
            Ok(None) => {}
            Err(error) => tips.faults.push(format!("HEAD leads nowhere: {}", causes(&error))),
        }
        for worktree in repository.worktrees()? {
            let name = terminal::path(worktree.git_dir());
            let head = worktree.into_repo_with_possibly_inaccessible_worktree();
            match head.and_then(|worktree| {
                Ok(worktree.head()?.try_into_peeled_id()?.map(|id| id.detach()))
            }) {
                Ok(head) => tips.commits.extend(head.map(|id| (id, ONE))),
                Err(error) => {
                    tips.faults.push(format!(
                        "HEAD of the worktree {name} leads nowhere: {}",
                        causes(&error)
                    ));
                }
            }
        }
        for reference in repository.references()?.all()? {
            let mut reference = match reference {
                Ok(reference) => reference,
                Err(error) => {
                    tips.faults.push(error.to_string());
                    continue;
                }
            };
            let name = terminal::shown(reference.name().as_bstr());
            // A remote's default branch may be gone, and nothing is lost.
            if let TargetRef::Symbolic(target) = reference.target()
                && matches!(repository.try_find_reference(target), Ok(None))
            {
                tracing::warn!("{name} leads to {target}, which is not there");
                continue;
            }
            let peeled = reference.peel_to_id().map(|id| id.detach());
            let header = peeled.and_then(|id| Ok((id, repository.find_header(id)?.kind())));
            match header {
                Ok((id, Kind::Commit)) => tips.commits.push((id, ONE)),
                Ok((id, kind)) => tips.others.push((name, id, kind)),
                Err(error) => tips.faults.push(format!("{name} leads nowhere: {}", causes(&error))),
            }
        }
        Ok(tips)
    }

    /// A range of commits: <https://git-scm.com/docs/gitrevisions#_specifying_ranges>.
    pub fn of_range(repository: &Repository, range: &str) -> gix::Result<Tips> {
        let commit = |id: ObjectId| -> gix::Result<ObjectId> {
            Ok(repository.find_object(id)?.peel_to_kind(Kind::Commit)?.id)
        };
        let parents = |id: ObjectId, ways: Ways| -> gix::Result<Vec<(ObjectId, Ways)>> {
            let parents = node(repository, commit(id)?).map(|node| node.parents);
            Ok(parents.unwrap_or_default().into_iter().map(|parent| (parent, ways)).collect())
        };
        let commits = match repository.rev_parse(range)?.detach() {
            Spec::Include(id) => vec![(commit(id)?, ONE)],
            Spec::Exclude(id) => {
                let mut tips = Tips::all(repository)?;
                tips.commits.push((commit(id)?, BOTH));
                return Ok(tips);
            }
            Spec::Range { from, to } => vec![(commit(to)?, ONE), (commit(from)?, BOTH)],
            Spec::Merge { theirs, ours } => vec![(commit(theirs)?, ONE), (commit(ours)?, OTHER)],
            Spec::IncludeOnlyParents(id) => parents(id, ONE)?,
            Spec::ExcludeParents(id) => [parents(id, BOTH)?, vec![(commit(id)?, ONE)]].concat(),
        };
        Ok(Tips { commits, others: Vec::new(), faults: Vec::new() })
    }
}

impl Commits {
    /// All that tips lead to.
    pub fn reached(repository: &Repository, tips: &Tips) -> Commits {
        let Search { nodes, ways, faults, .. } = Search::from(repository, tips);
        let is_asked = |node: &Node| ways[&node.id] != BOTH;
        let (asked, mut others): (Vec<Node>, Vec<Node>) =
            nodes.into_values().partition(|node| is_asked(node));
        let based_on: HashSet<ObjectId> =
            asked.iter().flat_map(|node| &node.parents).copied().collect();
        others.retain(|node| based_on.contains(&node.id));
        others.sort_by_key(|node| (node.time, node.id));
        let (asked, circles) = in_order(asked);
        let mut faults = faults;
        if circles > 0 {
            faults.push(format!("{circles} commits are based on each other"));
        }
        Commits { asked, before: others, faults }
    }
}

/// Commits, each behind those that it is based on, and how many there are that cannot be.
fn in_order(commits: Vec<Node>) -> (Vec<Node>, usize) {
    let mut commits: HashMap<ObjectId, Node> =
        commits.into_iter().map(|node| (node.id, node)).collect();
    let mut based_on_it: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
    let mut waits_for: HashMap<ObjectId, usize> = HashMap::new();
    for (&id, node) in &commits {
        for parent in node.parents.iter().filter(|parent| commits.contains_key(*parent)) {
            based_on_it.entry(*parent).or_default().push(id);
            *waits_for.entry(id).or_default() += 1;
        }
    }
    let is_ready = |(id, _): &(&ObjectId, &Node)| !waits_for.contains_key(*id);
    let ready = commits.iter().filter(is_ready).map(|(id, node)| Reverse((node.time, *id)));
    let mut ready: BinaryHeap<Reverse<(i64, ObjectId)>> = ready.collect();
    let mut ordered = Vec::with_capacity(commits.len());
    while let Some(Reverse((_, id))) = ready.pop() {
        for next in based_on_it.remove(&id).unwrap_or_default() {
            let waits = waits_for.get_mut(&next).expect("it was counted");
            *waits -= 1;
            if *waits == 0 {
                ready.push(Reverse((commits[&next].time, next)));
            }
        }
        ordered.push(commits.remove(&id).expect("each is ready once"));
    }
    (ordered, commits.len())
}

/// A search from tips on, newer commits first, until nothing that is asked for is left.
struct Search<'r> {
    repository: &'r Repository,
    nodes: HashMap<ObjectId, Node>,
    ways: HashMap<ObjectId, Ways>,
    left: BinaryHeap<(i64, ObjectId)>,
    /// Those that are left and asked for.
    open: HashSet<ObjectId>,
    /// Those that cannot be read.
    lost: HashSet<ObjectId>,
    faults: Vec<String>,
}

impl<'r> Search<'r> {
    fn from(repository: &'r Repository, tips: &Tips) -> Search<'r> {
        let mut search = Search {
            repository,
            nodes: HashMap::new(),
            ways: HashMap::new(),
            left: BinaryHeap::new(),
            open: HashSet::new(),
            lost: HashSet::new(),
            faults: Vec::new(),
        };
        for &(id, ways) in &tips.commits {
            search.reach(id, ways);
        }
        let mut oldest_asked = i64::MAX;
        while let Some((time, id)) = search.left.pop() {
            // What is older than this by more than clocks are wrong has no say in what is asked for.
            if search.open.is_empty() && time < oldest_asked.saturating_sub(SKEW) {
                break;
            }
            search.open.remove(&id);
            let ways = search.ways[&id];
            if ways != BOTH {
                oldest_asked = oldest_asked.min(time);
            }
            for parent in search.nodes[&id].parents.clone() {
                search.reach(parent, ways);
            }
        }
        search
    }

    fn reach(&mut self, id: ObjectId, ways: Ways) {
        let before = self.ways.get(&id).copied().unwrap_or_default();
        let ways = before | ways;
        if ways == before || self.lost.contains(&id) {
            return;
        }
        let time = match self.nodes.get(&id) {
            Some(node) => node.time,
            None => match node(self.repository, id) {
                Ok(node) => {
                    let time = node.time;
                    self.nodes.insert(id, node);
                    time
                }
                Err(fault) => {
                    self.lost.insert(id);
                    self.faults.push(fault);
                    return;
                }
            },
        };
        self.ways.insert(id, ways);
        if ways == BOTH {
            self.open.remove(&id);
        } else {
            self.open.insert(id);
        }
        self.left.push((time, id));
    }
}

pub fn node(repository: &Repository, id: ObjectId) -> Result<Node, String> {
    let data = object(repository, id, Kind::Commit)?;
    let wrong = |error: gix::Error| format!("the commit {id} is damaged: {}", causes(&error));
    let commit = CommitRef::from_bytes(&data, id.kind()).map_err(wrong)?;
    let time = commit.time().map_or(0, |time| time.seconds);
    let shallow = repository.shallow_commits().map_err(wrong)?;
    let is_cut_off = shallow.is_some_and(|commits| commits.iter().any(|commit| *commit == id));
    let parents = if is_cut_off { Vec::new() } else { commit.parents().collect() };
    Ok(Node { id, tree: commit.tree(), parents, time })
}
