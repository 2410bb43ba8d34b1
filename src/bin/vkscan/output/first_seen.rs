//! What is told of a history: each finding once, with the commit that has brought it.
//!
//! A secret is in every version of a file from the one on that it came with, and only that is told of it. As often as a version
//! has a text more than those before it of the same path, or of a path that was removed for it, it has it anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::findings::Finding;
use crate::inputs::history::History;
use crate::inputs::{Commit, Origin, path_of};

/// What is found, by the rule and the text that it matches.
type Text = (u32, Vec<u8>);

/// How often it is in each line, by what tells lines apart.
type Lines = HashMap<u64, usize>;

pub struct FirstSeen<'h> {
    history: &'h History,
    /// What was found and is not looked at, in the order of the history.
    held: BTreeMap<(i64, PathBuf), (Origin, Vec<Finding>)>,
    /// What was looked at: by blob, what it is called within that, text and place.
    decided: HashSet<(usize, Vec<u8>, Text, u64, u64)>,
    /// In which lines each text was found in the versions of a path.
    known: HashMap<Text, HashMap<PathBuf, Lines>>,
    /// What a commit has removed, of the last that was asked for.
    removed: Option<(Arc<Commit>, Vec<PathBuf>)>,
    faults: Vec<String>,
}

impl<'h> FirstSeen<'h> {
    pub fn new(history: &'h History) -> FirstSeen<'h> {
        FirstSeen {
            history,
            held: BTreeMap::new(),
            decided: HashSet::new(),
            known: HashMap::new(),
            removed: None,
            faults: Vec::new(),
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

    /// What could not be read to tell what is new.
    pub fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    fn new_of(&mut self, origin: &Origin, findings: Vec<Finding>) -> Vec<Finding> {
        let mut by_text: BTreeMap<Text, Vec<Finding>> = BTreeMap::new();
        for finding in findings {
            by_text.entry((finding.rule, finding.text.clone())).or_default().push(finding);
        }
        let mut new = Vec::new();
        for (text, findings) in by_text {
            new.extend(self.new_of_text(origin, text, findings));
        }
        new.retain(|finding| !finding.is_allowed);
        new
    }

    fn new_of_text(&mut self, origin: &Origin, text: Text, found: Vec<Finding>) -> Vec<Finding> {
        let Some(turn) = origin.turn else { return Vec::new() };
        // Of a file as a whole its path is what is found.
        let is_whole = found.iter().any(|finding| finding.places.is_none());
        let before = match self.known.get(&text) {
            Some(paths) if paths.contains_key(&origin.path) => Some(origin.path.clone()),
            // Of a path that is new it may be another's.
            Some(_) if !is_whole => {
                let removed = self.removed_for(origin);
                let paths = &self.known[&text];
                removed.into_iter().find(|path| paths.contains_key(path))
            }
            _ => None,
        };
        let paths = self.known.entry(text.clone()).or_default();
        let before = before.and_then(|path| paths.get(&path)).cloned().unwrap_or_default();
        let known: usize = before.values().sum();
        let more = found.len().saturating_sub(known);
        let mut lines = Lines::new();
        for finding in &found {
            *lines.entry(finding.line_digest).or_default() += 1;
        }
        let mut old = before.clone();
        // What is removed stays known.
        paths.insert(origin.path.clone(), if found.len() >= known { lines } else { before });
        let within = origin.within_container();
        let mut others = Vec::new();
        for finding in found {
            // Of a blob that is elsewhere, too, it was decided there.
            let key = (turn.blob, within.to_vec(), text.clone(), finding.start, finding.end);
            let is_decided = !is_whole && !self.decided.insert(key);
            match old.get_mut(&finding.line_digest) {
                Some(count @ 1..) => *count -= 1,
                _ => others.push((is_decided, finding)),
            }
        }
        // Of the others some lines were only changed; and what was there before is nothing new.
        let more = if turn.order >= 0 { more } else { 0 };
        let new = others.into_iter().rev().take(more);
        new.filter(|(is_decided, _)| !is_decided).map(|(_, finding)| finding).collect()
    }

    /// What the paths that a commit has removed would be called, if it had brought another in the place of one of them.
    fn removed_for(&mut self, origin: &Origin) -> Vec<PathBuf> {
        let Some(commit) = &origin.commit else { return Vec::new() };
        if self.removed.as_ref().is_none_or(|(of, _)| of != commit) {
            let removed = self.history.removed_by(&commit.id).unwrap_or_else(|fault| {
                self.faults.push(format!("{origin}: {fault}"));
                HashSet::new()
            });
            let mut removed: Vec<PathBuf> = removed.into_iter().collect();
            removed.sort();
            self.removed = Some((commit.clone(), removed));
        }
        let within = origin.within_container();
        let called =
            |path: &PathBuf| path_of(&[path.as_os_str().as_encoded_bytes(), within].concat());
        self.removed.iter().flat_map(|(_, removed)| removed).map(called).collect()
    }
}
