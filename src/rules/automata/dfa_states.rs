//! The states of a DFA that is being built: what each is, how likely a walk is to meet it, and which has no row yet.

use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::narrow::narrow;

/// A transition's target before rows have offsets.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) state: u32,
    pub(super) matched: bool,
}

impl Target {
    pub(super) const NO_STATE: u32 = u32::MAX;
    pub(super) const NOT_BUILT: u32 = u32::MAX - 1;
    pub(super) const DEAD: Target = Target { state: Target::NO_STATE, matched: false };
    pub(super) const ESCAPE: Target = Target { state: Target::NOT_BUILT, matched: false };
}

/// States, and what is known of each.
///
/// A state is a list of members (nodes, or `EDGE_MATCH`, most preferred first) and, where a member asks for it, the byte
/// before: one that stands for all that look-arounds do not tell apart, none at the haystack's start.
pub(super) struct States {
    /// The members of all states, one state's after the other's, and where each ends.
    members: Vec<u32>,
    ends: Vec<usize>,
    pub(super) before: Vec<Option<u8>>,
    /// By hash the newest state, and by state the one before it with the same hash.
    newest: HashMap<u64, u32, BuildHasherDefault<WordHasher>>,
    older: Vec<Option<u32>>,
    /// How likely a walk is to meet the state, as far as explored: in typical text, and where all that goes on is as
    /// likely.
    pub(super) weights: Vec<[f64; 2]>,
    /// Which row a state has, if it has been built.
    pub(super) rows: Vec<Option<u32>>,
    /// By either weight.
    queues: [BinaryHeap<Candidate>; 2],
}

impl States {
    pub(super) fn new() -> States {
        States {
            members: Vec::new(),
            ends: Vec::new(),
            before: Vec::new(),
            newest: HashMap::default(),
            older: Vec::new(),
            weights: Vec::new(),
            rows: Vec::new(),
            queues: Default::default(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn members_of(&self, state: usize) -> &[u32] {
        let begin = state.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.members[begin..self.ends[state]]
    }

    /// Leads to the state that these members are, with weights more than it had.
    pub(super) fn reach(
        &mut self,
        members: &[u32],
        before: Option<u8>,
        weights: [f64; 2],
    ) -> Target {
        let state = self.state(members, before);
        let known = &mut self.weights[state];
        known.iter_mut().zip(weights).for_each(|(known, weight)| *known += weight);
        if self.rows[state].is_none() {
            for (queue, weight) in self.queues.iter_mut().zip(*known) {
                queue.push(Candidate { weight, state });
            }
        }
        Target { state: narrow(state), matched: false }
    }

    fn state(&mut self, members: &[u32], before: Option<u8>) -> usize {
        let mut hasher = WordHasher::default();
        members.iter().for_each(|&member| hasher.write_u64(member.into()));
        hasher.write_u64(before.map_or(256, u64::from));
        let newest = self.newest.get(&hasher.finish()).copied();
        let mut known = newest;
        while let Some(state) = known {
            let state = state as usize;
            if self.before[state] == before && self.members_of(state) == members {
                return state;
            }
            known = self.older[state];
        }
        let state = self.count();
        self.newest.insert(hasher.finish(), narrow(state));
        self.members.extend_from_slice(members);
        self.ends.push(self.members.len());
        self.before.push(before);
        self.older.push(newest);
        self.weights.push([0.0; 2]);
        self.rows.push(None);
        state
    }

    /// The likeliest state by one of the weights that has no row.
    pub(super) fn next(&mut self, by: usize) -> Option<usize> {
        while let Some(Candidate { weight, state }) = self.queues[by].pop() {
            if self.rows[state].is_none() && weight == self.weights[state][by] {
                return Some(state);
            }
        }
        None
    }
}

/// States are long lists of small numbers, for which the standard hasher is slow: multiplies and rotates, as
/// FxHash does.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }

    /// The high bits are the best mixed, and tables look at the low ones too.
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// A state to build, likeliest first and then oldest first.
struct Candidate {
    weight: f64,
    state: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Candidate) -> std::cmp::Ordering {
        self.weight.total_cmp(&other.weight).then(other.state.cmp(&self.state))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Candidate) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}
