//! The position NFA: what every rule can fall back on.
//!
//! It is Thompson's NFA as `regex_automata` compiles it, with the epsilon transitions that cost nothing
//! to leave out left out. A *byte* node reads one byte of its set and goes on along its edges; *look*
//! nodes go on if their assertion holds, *jump* nodes always. Edges are in order of preference, so that a
//! walk which expands them depth first, and skips nodes it has met at the same position, keeps its
//! threads in the order of a backtracking matcher. That is the Pike VM, which makes leftmost-first ends
//! exact (R. Cox, "Regular Expression Matching: the Virtual Machine Approach", 2009).
//!
//! A union of alternatives is spliced into the edges that lead to it, except where that would change the
//! order (it lies on an epsilon cycle, where "met already" prunes mid-way) or repeat long lists (it is
//! long, and several edges lead to it). There it stays, as a jump node. A state that reads many bytes, each to go on
//! elsewhere, as the classes of Unicode do, is such a union of byte nodes.

use std::collections::HashMap;
use std::fmt;

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

use crate::narrow::narrow;
use crate::rules::automata::look;
use crate::shaders::layout;

/// A set of bytes, one bit each.
pub(crate) type ByteSet = [u32; 8];

pub(crate) fn contains(set: &ByteSet, byte: u8) -> bool {
    set[usize::from(byte >> 5)] >> (byte & 31) & 1 == 1
}

pub(crate) fn insert(set: &mut ByteSet, byte: u8) {
    set[usize::from(byte >> 5)] |= 1 << (byte & 31);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// One of `layout::NODE_*`.
    pub(crate) kind: u32,
    /// A byte node's index in `sets`, a look-around's line terminator, 0 for a jump.
    pub(crate) operand: u32,
    pub(crate) edges_begin: u32,
    pub(crate) edges_end: u32,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct PositionNfa {
    /// Node 0 is a jump to where the rule starts.
    pub(crate) nodes: Vec<Node>,
    /// Node indices, or `layout::EDGE_MATCH`.
    pub(crate) edges: Vec<u32>,
    pub(crate) sets: Vec<ByteSet>,
}

/// Unions longer than this that several edges lead to become jump nodes.
const SPLICE_LIMIT: usize = 8;

impl fmt::Debug for PositionNfa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PositionNfa")
            .field("nodes", &self.nodes.len())
            .field("edges", &self.edges.len())
            .field("sets", &self.sets.len())
            .finish_non_exhaustive()
    }
}

impl PositionNfa {
    pub(crate) fn new(nfa: &NFA) -> PositionNfa {
        PositionNfa::with_states(nfa).0
    }

    /// Says of each node too which state it is made from.
    pub(crate) fn with_states(nfa: &NFA) -> (PositionNfa, Vec<usize>) {
        Builder::new(nfa).build()
    }

    pub(crate) fn edges_of(&self, node: u32) -> &[u32] {
        let node = &self.nodes[node as usize];
        &self.edges[node.edges_begin as usize..node.edges_end as usize]
    }

    pub(crate) fn has_looks(&self) -> bool {
        self.nodes.iter().any(|node| look::is_look(node.kind))
    }

    /// Bytes that must follow a position before all assertions there can be judged.
    pub(crate) fn lookahead(&self) -> u32 {
        if self.nodes.iter().any(|node| look::is_unicode(node.kind)) { layout::UTF8_MAX } else { 1 }
    }

    /// Whether a walk may come to each node.
    pub(crate) fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        let mut open = vec![0];
        reached[0] = true;
        while let Some(node) = open.pop() {
            for &target in self.edges_of(node) {
                if let Some(reached @ false) = reached.get_mut(target as usize) {
                    *reached = true;
                    open.push(target);
                }
            }
        }
        reached
    }

    /// Length of the longest match, in bytes; none if a walk may come back to a node, so that there is no longest.
    /// Sorts the nodes by what leads to them (A. B. Kahn, "Topological sorting of large networks", 1962).
    pub(crate) fn longest_match(&self) -> Option<u32> {
        let targets = |node: u32| {
            self.edges_of(node).iter().copied().filter(|&edge| edge != layout::EDGE_MATCH)
        };
        let reached: Vec<u32> =
            (0..).zip(self.reached()).filter_map(|(node, is)| is.then_some(node)).collect();
        // Edges to each node, from those that a walk may come to.
        let mut entering = vec![0_u32; self.nodes.len()];
        for target in reached.iter().flat_map(|&node| targets(node)) {
            entering[target as usize] += 1;
        }
        let mut open: Vec<u32> = (entering[0] == 0).then_some(0).into_iter().collect();
        let mut sorted = 0;
        // Bytes on the longest way to each node, and on the longest of all that are read to the end.
        let mut read = vec![0; self.nodes.len()];
        let mut longest = 0;
        while let Some(node) = open.pop() {
            sorted += 1;
            let is_reader = self.nodes[node as usize].kind == layout::NODE_BYTE;
            let length = read[node as usize] + u32::from(is_reader);
            longest = longest.max(length);
            for target in targets(node) {
                read[target as usize] = read[target as usize].max(length);
                entering[target as usize] -= 1;
                if entering[target as usize] == 0 {
                    open.push(target);
                }
            }
        }
        (sorted == reached.len()).then_some(longest)
    }

    /// Nodes that are not byte nodes: as many edge ranges may be pending in one closure.
    pub(crate) fn stack_depth(&self) -> usize {
        self.nodes.iter().filter(|node| node.kind != layout::NODE_BYTE).count()
    }
}

/// What edges to a Thompson state become.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// Left out: edges to it are edges to what it leads to.
    Spliced,
    /// Edges to one node, or for a byte state to one a target, from this index on.
    Nodes { first: u32, count: u32 },
}

struct Builder<'a> {
    nfa: &'a NFA,
    roles: Vec<Role>,
    /// The state that marks a spliced state as met, by splice number.
    met: Vec<u32>,
    splice: u32,
    sets: Vec<ByteSet>,
    set_index: HashMap<ByteSet, u32>,
}

impl<'a> Builder<'a> {
    fn new(nfa: &'a NFA) -> Builder<'a> {
        Builder {
            nfa,
            roles: vec![Role::Spliced; nfa.states().len()],
            met: vec![0; nfa.states().len()],
            splice: 0,
            sets: Vec::new(),
            set_index: HashMap::new(),
        }
    }

    fn build(mut self) -> (PositionNfa, Vec<usize>) {
        let start = self.nfa.start_anchored();
        let jumps = self.jump_states();
        // Kind, operand and the state that edges come from, in node order.
        let mut drafts = vec![(layout::NODE_JUMP, 0, start)];
        let mut states = vec![start.as_usize()];
        let line_terminator = u32::from(self.nfa.look_matcher().get_line_terminator());
        for (index, state) in self.nfa.states().iter().enumerate() {
            let first = narrow::<_, u32>(drafts.len());
            match state {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => {
                    if jumps[index] {
                        drafts.push((layout::NODE_JUMP, 0, StateID::must(index)));
                    }
                    for (set, next) in byte_transitions(state) {
                        let set = self.intern(set);
                        drafts.push((layout::NODE_BYTE, set, next));
                    }
                }
                State::Look { look, next } => {
                    drafts.push((look::node_kind(*look), line_terminator, *next));
                }
                State::Union { .. } | State::BinaryUnion { .. } if jumps[index] => {
                    drafts.push((layout::NODE_JUMP, 0, StateID::must(index)));
                }
                _ => continue,
            }
            states.resize(drafts.len(), index);
            let count = if jumps[index] { 1 } else { narrow::<_, u32>(drafts.len()) - first };
            self.roles[index] = Role::Nodes { first, count };
        }

        let mut nodes = Vec::with_capacity(drafts.len());
        let mut edges = Vec::new();
        for (kind, operand, from) in drafts {
            let edges_begin = narrow::<_, u32>(edges.len());
            self.splice += 1;
            if kind == layout::NODE_JUMP && !nodes.is_empty() {
                self.splice_alternates(from, narrow(nodes.len()), &mut edges);
            } else {
                self.splice(from, &mut edges);
            }
            nodes.push(Node {
                kind,
                operand,
                edges_begin,
                edges_end: narrow::<_, u32>(edges.len()),
            });
        }
        (PositionNfa { nodes, edges, sets: self.sets }, states)
    }

    fn intern(&mut self, set: ByteSet) -> u32 {
        *self.set_index.entry(set).or_insert_with(|| {
            self.sets.push(set);
            narrow::<_, u32>(self.sets.len()) - 1
        })
    }

    /// Appends the edges that an edge to `root` stands for.
    fn splice(&mut self, root: StateID, edges: &mut Vec<u32>) {
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            match self.roles[id.as_usize()] {
                Role::Nodes { first, count } => {
                    // A node twice in one list is skipped by whoever walks it; the first counts.
                    edges.extend(first..first + count);
                }
                Role::Spliced => {
                    if std::mem::replace(&mut self.met[id.as_usize()], self.splice) == self.splice {
                        continue;
                    }
                    if let State::Match { .. } = self.nfa.state(id) {
                        edges.push(layout::EDGE_MATCH);
                    }
                    let from = stack.len();
                    for_each_epsilon(self.nfa.state(id), |next| stack.push(next));
                    stack[from..].reverse();
                }
            }
        }
    }

    /// Appends what the jump node that a state became leads to.
    fn splice_alternates(&mut self, state: StateID, jump: u32, edges: &mut Vec<u32>) {
        let state = self.nfa.state(state);
        // The byte nodes of a state lie behind its jump.
        edges.extend((jump + 1..).take(byte_transitions(state).len()));
        let mut alternates = Vec::new();
        for_each_epsilon(state, |next| alternates.push(next));
        for next in alternates {
            self.splice(next, edges);
        }
    }

    /// Which unions stay as jump nodes, and which states that read bytes get one.
    fn jump_states(&self) -> Vec<bool> {
        let states = self.nfa.states();
        let mut jumps = on_epsilon_cycle(self.nfa);
        let mut incoming = vec![0_u32; states.len()];
        let mut reads_long = vec![false; states.len()];
        for (state, reads_long) in states.iter().zip(&mut reads_long) {
            for_each_epsilon(state, |next| incoming[next.as_usize()] += 1);
            let transitions = byte_transitions(state);
            *reads_long = transitions.len() > SPLICE_LIMIT;
            transitions.iter().for_each(|(_, next)| incoming[next.as_usize()] += 1);
        }
        for (index, reads_long) in reads_long.into_iter().enumerate() {
            jumps[index] |= reads_long && incoming[index] > 1;
        }
        // What an edge to the state would splice in, smallest first: states are visited after those
        // they lead to.
        let mut spliced = vec![usize::MAX; states.len()];
        for root in 0..states.len() {
            let mut stack = vec![(root, false)];
            while let Some((index, expanded)) = stack.pop() {
                if spliced[index] != usize::MAX {
                    continue;
                }
                let state = &states[index];
                if jumps[index] || !is_spliceable(state) {
                    spliced[index] = 1;
                } else if !expanded {
                    stack.push((index, true));
                    for_each_epsilon(state, |next| stack.push((next.as_usize(), false)));
                } else {
                    let mut length = 0_usize;
                    for_each_epsilon(state, |next| length += spliced[next.as_usize()]);
                    let is_union = matches!(state, State::Union { .. } | State::BinaryUnion { .. });
                    if is_union && length > SPLICE_LIMIT && incoming[index] > 1 {
                        jumps[index] = true;
                        length = 1;
                    }
                    spliced[index] = length.max(1);
                }
            }
        }
        jumps
    }
}

fn is_spliceable(state: &State) -> bool {
    matches!(state, State::Union { .. } | State::BinaryUnion { .. } | State::Capture { .. })
}

/// Calls `visit` with every state that a union or capture leads to, most preferred first.
fn for_each_epsilon(state: &State, mut visit: impl FnMut(StateID)) {
    match state {
        State::Union { alternates } => alternates.iter().copied().for_each(visit),
        State::BinaryUnion { alt1, alt2 } => {
            visit(*alt1);
            visit(*alt2);
        }
        State::Capture { next, .. } => visit(*next),
        _ => {}
    }
}

/// The targets of a byte state and the bytes that lead to each. The sets are disjoint.
fn byte_transitions(state: &State) -> Vec<(ByteSet, StateID)> {
    let mut targets: Vec<(ByteSet, StateID)> = Vec::new();
    let mut add = |first: u8, last: u8, next: StateID| {
        let at = targets.iter().position(|target| target.1 == next).unwrap_or_else(|| {
            targets.push(([0; 8], next));
            targets.len() - 1
        });
        for byte in first..=last {
            insert(&mut targets[at].0, byte);
        }
    };
    match state {
        State::ByteRange { trans } => add(trans.start, trans.end, trans.next),
        State::Sparse(sparse) => {
            sparse.transitions.iter().for_each(|trans| add(trans.start, trans.end, trans.next));
        }
        State::Dense(dense) => {
            let next_of = |byte| dense.matches_byte(byte).map(|next| (byte, next));
            (0..=255).filter_map(next_of).for_each(|(byte, next)| add(byte, byte, next));
        }
        _ => {}
    }
    targets
}

/// Unions from which epsilon transitions lead back to themselves, look-arounds included.
fn on_epsilon_cycle(nfa: &NFA) -> Vec<bool> {
    // Tarjan's strongly connected components over epsilon transitions, without recursion.
    const UNSEEN: u32 = u32::MAX;
    let states = nfa.states();
    let next_of = |index: usize| {
        let mut next = Vec::new();
        if let State::Look { next: only, .. } = &states[index] {
            next.push(only.as_usize());
        }
        for_each_epsilon(&states[index], |id| next.push(id.as_usize()));
        next
    };
    let mut order = vec![UNSEEN; states.len()];
    let mut low = vec![0_u32; states.len()];
    let mut open = vec![false; states.len()];
    let mut cyclic = vec![false; states.len()];
    let mut component = Vec::new();
    let mut count = 0;
    for root in 0..states.len() {
        if order[root] != UNSEEN {
            continue;
        }
        let mut frames = vec![(root, next_of(root), 0_usize)];
        while let Some((index, next, done)) = frames.last_mut() {
            let index = *index;
            if *done == 0 && order[index] == UNSEEN {
                order[index] = count;
                low[index] = count;
                count += 1;
                open[index] = true;
                component.push(index);
            }
            if let Some(&target) = next.get(*done) {
                *done += 1;
                if order[target] == UNSEEN {
                    let targets = next_of(target);
                    frames.push((target, targets, 0));
                } else if open[target] {
                    low[index] = low[index].min(order[target]);
                    cyclic[index] |= target == index;
                }
                continue;
            }
            frames.pop();
            if let Some((parent, ..)) = frames.last() {
                low[*parent] = low[*parent].min(low[index]);
            }
            if low[index] == order[index] {
                let at = component.iter().rposition(|&member| member == index).expect("open");
                let is_cycle = component.len() - at > 1;
                for member in component.drain(at..) {
                    open[member] = false;
                    cyclic[member] |= is_cycle;
                }
            }
        }
    }
    for (index, state) in states.iter().enumerate() {
        cyclic[index] &= matches!(state, State::Union { .. } | State::BinaryUnion { .. });
    }
    cyclic
}
