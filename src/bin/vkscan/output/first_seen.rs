//! What is told of a history: each finding once, with the commit that has brought it.
//!
//! A secret is in every version of a file from the one on that it came with, and only that is told of it. As often as a version
//! has a text more than those before it of the same path, or of a path that was removed for it, it has it anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::findings::Finding;
use crate::inputs::history::History;
use crate::inputs::{Commit, Origin};

/// What is found, by the rule and the text that it matches.
type Text = (u32, Vec<u8>);

pub struct FirstSeen<'h> {
    history: &'h History,
    /// What was found and is not looked at, in the order of the history.
    held: BTreeMap<(i64, PathBuf), (Origin, Vec<Finding>)>,
    /// What was looked at, by blob, rule and place.
    decided: HashSet<(usize, u32, u64, u64)>,
    /// How often each text was found in the versions of a path, with the lines around.
    known: HashMap<Text, HashMap<PathBuf, Vec<u64>>>,
    /// What a commit has removed, of the last that was asked for.
    removed: Option<(Arc<Commit>, HashSet<PathBuf>)>,
}

impl<'h> FirstSeen<'h> {
    pub fn new(history: &'h History) -> FirstSeen<'h> {
        FirstSeen {
            history,
            held: BTreeMap::new(),
            decided: HashSet::new(),
            known: HashMap::new(),
            removed: None,
        }
    }

    /// Takes note of what was found at a place.
    pub fn hold(&mut self, origin: &Origin, findings: Vec<Finding>) {
        let Some(turn) = origin.turn else { return };
        let held = self.held.entry((turn.order, origin.path.clone()));
        held.or_insert_with(|| (origin.clone(), Vec::new())).1.extend(findings);
    }

    /// What is new among what was found, before a turn if one is given: all that comes is of that or a later one.
    pub fn take(&mut self, before: Option<i64>) -> Vec<(Origin, Vec<Finding>)> {
        let later = match before {
            Some(turn) => self.held.split_off(&(turn, PathBuf::new())),
            None => BTreeMap::new(),
        };
        let due = std::mem::replace(&mut self.held, later);
        let new = due.into_values().map(|(origin, findings)| {
            let new = self.new_of(&origin, findings);
            (origin, new)
        });
        new.filter(|(_, findings)| !findings.is_empty()).collect()
    }

    fn new_of(&mut self, origin: &Origin, findings: Vec<Finding>) -> Vec<Finding> {
        let mut by_text: HashMap<Text, Vec<Finding>> = HashMap::new();
        for finding in findings {
            by_text.entry((finding.rule, finding.text.clone())).or_default().push(finding);
        }
        let mut new = Vec::new();
        for (text, findings) in by_text {
            new.extend(self.new_of_text(origin, text, findings));
        }
        new
    }

    fn new_of_text(&mut self, origin: &Origin, text: Text, found: Vec<Finding>) -> Vec<Finding> {
        let before = match self.known.get(&text) {
            Some(paths) if paths.contains_key(&origin.path) => Some(origin.path.clone()),
            // Of a path that is new it may be another's.
            Some(paths) => {
                let paths: Vec<PathBuf> = paths.keys().cloned().collect();
                self.removed_for(origin, &paths)
            }
            None => None,
        };
        let paths = self.known.entry(text).or_default();
        let before = before.and_then(|path| paths.remove(&path)).unwrap_or_default();
        let lines: Vec<u64> = found.iter().map(|finding| finding.line_digest).collect();
        let more = found.len().saturating_sub(before.len());
        let mut old = before.clone();
        paths.insert(origin.path.clone(), if more > 0 { lines } else { before });
        let Some(turn) = origin.turn.filter(|turn| turn.order >= 0) else { return Vec::new() };
        let mut others = Vec::new();
        for finding in found {
            // Of a blob that is elsewhere, too, it was decided there.
            let key = (turn.blob, finding.rule, finding.start, finding.end);
            let is_decided = !self.decided.insert(key);
            match old.iter().position(|&line| line == finding.line_digest) {
                Some(index) => {
                    old.swap_remove(index);
                }
                None => others.push((is_decided, finding)),
            }
        }
        // Of the others some lines were only changed.
        let new = others.into_iter().rev().take(more);
        new.filter(|(is_decided, _)| !is_decided).map(|(_, finding)| finding).collect()
    }

    /// The first of some paths that a commit has removed where it has brought another.
    fn removed_for(&mut self, origin: &Origin, paths: &[PathBuf]) -> Option<PathBuf> {
        let commit = origin.commit.as_ref()?;
        if self.removed.as_ref().is_none_or(|(of, _)| of != commit) {
            self.removed = Some((commit.clone(), self.history.removed_by(&commit.id)));
        }
        let (_, removed) = self.removed.as_ref()?;
        paths.iter().filter(|path| removed.contains(*path)).min().cloned()
    }
}
