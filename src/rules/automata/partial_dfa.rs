//! The partial DFA: most walks end here.
//!
//! A rule's whole DFA can be exponentially larger than its NFA. Nearly all walks, though, die within a few
//! likely bytes, so the likeliest states are built first: determinisation takes states in order of the
//! probability that a walk over typical text meets them, and stops when the table's budget is spent. Walks
//! that find a match are not over typical text, though: one row in [`ONE_IN`] goes to the state that is likeliest
//! where all that a rule goes on with is as likely.
//! Transitions to states that were not built lead to [`layout::ROW_ESCAPE`], where the NFA takes over, so
//! a budget costs speed and never a match.
//!
//! A state is a list of NFA nodes in order of preference (in any order for [`MatchKind::All`]), with
//! look-arounds still unjudged: those need the next byte, which is why a match is reported by the
//! transition that reads the byte *after* it, or the end of the haystack.

use std::fmt;
use std::ops::Range;

use super::dfa_states::{States, Target};
use crate::MatchKind;
use crate::narrow::narrow;
use crate::rules::automata::look;
use crate::rules::automata::position_nfa::{ByteSet, PositionNfa, contains};
use crate::rules::effort::Effort;
use crate::rules::prefilter::frequency::byte_probability;
use crate::shaders::layout;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PartialDfa {
    /// The class of every byte.
    pub(crate) classes: [u8; 256],
    /// Entries in a row: one for every class, one for a counter step if there are any, and the end of the haystack as the last.
    pub(crate) stride: u32,
    /// Rows. Row 0 leads to the initial state for the byte (or the haystack's start) before the walk;
    /// every other row belongs to a state. See [`layout::ENTRY_MATCH`] for what an entry says.
    pub(crate) entries: Vec<u16>,
}

pub(crate) fn target(entry: u16) -> u32 {
    u32::from(entry) >> 1
}

pub(crate) fn is_match(entry: u16) -> bool {
    u32::from(entry) & layout::ENTRY_MATCH != 0
}

impl fmt::Debug for PartialDfa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialDfa")
            .field("rows", &(self.entries.len() / self.stride as usize))
            .field("stride", &self.stride)
            .field("escapes", &self.escapes())
            .finish_non_exhaustive()
    }
}

impl PartialDfa {
    pub(crate) fn new(
        nfa: &PositionNfa,
        kind: MatchKind,
        budget: Budget,
        effort: &Effort,
    ) -> PartialDfa {
        Determiniser::new(nfa, kind, None).run(budget, effort)
    }

    /// For [`MatchKind::All`], and with an entry for a counter step as the last but one of each row, as if it was a class.
    pub(crate) fn with_counter_steps(
        nfa: &PositionNfa,
        counter_steps: CounterSteps,
        budget: Budget,
        effort: &Effort,
    ) -> PartialDfa {
        Determiniser::new(nfa, MatchKind::All, Some(counter_steps)).run(budget, effort)
    }

    pub(crate) fn entry(&self, row: u32, class: u32) -> u16 {
        self.entries[(row * self.stride + class) as usize]
    }

    /// Whether some walk has to be finished by the NFA.
    pub(crate) fn escapes(&self) -> bool {
        self.entries.iter().any(|&entry| target(entry) == layout::ROW_ESCAPE)
    }
}

/// Entries that a table may take. The initial states are built regardless.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    /// In any case.
    pub(crate) least: usize,
    /// As long as it may well come to be the whole DFA.
    pub(crate) most: usize,
}

impl Budget {
    /// Whether a table of so many entries in so many rows, whose states lead to so many that have none, may take more.
    ///
    /// Where counts run beside each other, every state that is built finds some more to the end, and the budget is
    /// spent on states that hardly any walk meets. A DFA that can be built as a whole finds fewer and fewer.
    /// Measured over nine rule sets (some 1,400 tables over 32 KiB): at an eighth of the budget, nearly all that came
    /// to their end had less than one open state for two rows, and the median of the others had as many or more.
    fn has_room(&self, entries: usize, rows: usize, open: usize) -> bool {
        let left = self.most.saturating_sub(entries);
        entries <= self.least || open as f64 * self.most as f64 <= rows as f64 * left as f64
    }
}

/// What becomes of nodes at a counter step.
pub(crate) struct CounterSteps {
    /// By node, which one it becomes; [`CounterSteps::GONE`] if none.
    pub(crate) next: Vec<u32>,
    /// By node, which one becomes it after some counter steps, and nothing becomes that one: it does all that this one does.
    /// Of several that a node becomes, the older ones come later.
    pub(crate) youngest: Vec<u32>,
}

impl CounterSteps {
    pub(crate) const GONE: u32 = u32::MAX;
}

/// With one row in two, rules that count to a thousand left the table too soon over typical text.
const ONE_IN: usize = 4;

struct Determiniser<'a> {
    nfa: &'a PositionNfa,
    kind: MatchKind,
    counter_steps: Option<CounterSteps>,
    has_looks: bool,
    line_terminator: u8,
    /// The least byte that look-arounds do not tell from this one.
    looks_like: [u8; 256],
    classes: [u8; 256],
    /// A byte of every class.
    samples: Vec<u8>,
    weights: Vec<f64>,
    /// By class, and nothing for the end of the haystack, the NFA's sets that have it, a bit for each; none if those
    /// are more than bits.
    sets: Option<Vec<u128>>,
    /// Marks nodes as met, by closure number.
    met: Vec<u32>,
    closure: u32,
    /// Lists of nodes that are still to be met; empty between closures.
    pending: Vec<&'a [u32]>,
    /// What the last row took.
    steps: usize,
    /// Rooms that serve again for each state: its members, those of one that it leads to, what is judged, what is read,
    /// and threads of the readings.
    members: Vec<u32>,
    next: Vec<u32>,
    judged: Vec<Judged>,
    readings: Vec<Reading>,
    threads: Vec<u32>,
}

/// Where a walk is in a state once what waits there is judged, between the byte before and one like this behind.
#[derive(Default)]
struct Judged {
    looks_like: Option<u8>,
    /// None if one byte to each side does not tell.
    matched: Option<bool>,
    /// Byte nodes, most preferred first.
    threads: Vec<u32>,
    /// The sets that these read, where bits are enough.
    sets: u128,
}

/// Transitions of one state that the same threads take.
struct Reading {
    /// Which of the judged.
    judged: usize,
    /// Which sets of those are read, where bits are enough.
    sets: u128,
    /// In the room for threads.
    threads: Range<usize>,
    matched: bool,
    /// A byte that is read, for all that look-arounds do not tell apart; none at the end of the haystack.
    byte: Option<u8>,
    /// How likely they are, all together.
    share: f64,
}

impl<'a> Determiniser<'a> {
    fn new(
        nfa: &'a PositionNfa,
        kind: MatchKind,
        counter_steps: Option<CounterSteps>,
    ) -> Determiniser<'a> {
        let line_terminator = nfa
            .nodes
            .iter()
            .find(|node| look::is_look(node.kind))
            .map_or(b'\n', |node| narrow(node.operand));
        let has_looks = nfa.has_looks();
        let classes = byte_classes(nfa, has_looks.then_some(line_terminator));
        let count = usize::from(*classes.iter().max().expect("256 bytes")) + 1;
        let mut samples = vec![0; count];
        let mut weights = vec![0.0; count];
        for byte in (0..=255_u8).rev() {
            let class = usize::from(classes[usize::from(byte)]);
            samples[class] = byte;
            weights[class] += byte_probability(byte);
        }
        let in_sets = |sample: Option<&u8>| {
            let holds = |set: &ByteSet| sample.is_some_and(|&byte| contains(set, byte));
            let sets = nfa.sets.iter().enumerate().filter(|(_, set)| holds(set));
            sets.fold(0, |all, (at, _)| all | 1 << at)
        };
        let bits_are_enough = nfa.sets.len() <= u128::BITS as usize;
        let sets = || samples.iter().map(Some).chain([None]).map(in_sets).collect();
        let sets = bits_are_enough.then(sets);
        Determiniser {
            nfa,
            sets,
            kind,
            counter_steps,
            has_looks,
            line_terminator,
            looks_like: if has_looks { looks_like(line_terminator) } else { [0; 256] },
            classes,
            samples,
            weights,
            met: vec![0; nfa.nodes.len()],
            closure: 0,
            pending: Vec::new(),
            steps: 0,
            members: Vec::new(),
            next: Vec::new(),
            judged: Vec::new(),
            readings: Vec::new(),
            threads: Vec::new(),
        }
    }

    fn run(mut self, budget: Budget, effort: &Effort) -> PartialDfa {
        let class_count = self.samples.len();
        let stride = class_count + 1 + usize::from(self.counter_steps.is_some());
        let mut states = States::new();

        let mut initial = Vec::with_capacity(stride);
        for class in 0..stride {
            let before = self.samples.get(class).copied();
            let weight = self.weights.get(class).copied().unwrap_or(1e-3);
            // A walk that begins behind `before`.
            self.closure += 1;
            self.next.clear();
            self.reach_edges(0);
            initial.push(self.reach(before, [weight; 2], &mut states));
        }

        // Rows as targets; they become entries once it is known which states have rows.
        let mut rows = vec![initial];
        for index in 0..states.count() {
            rows.push(self.row(index, narrow::<_, u32>(rows.len()), &mut states));
        }
        while let Some(state) = states.next(usize::from(rows.len().is_multiple_of(ONE_IN))) {
            let open = states.count() + 1 - rows.len();
            let entries = (rows.len() + 1) * stride;
            let is_full = rows.len() == layout::ROW_ESCAPE as usize || entries > budget.most;
            if is_full || !effort.spend(self.steps) {
                break;
            }
            if !budget.has_room(entries, rows.len(), open) {
                effort.forgo((budget.most - entries) * size_of::<u16>());
                break;
            }
            rows.push(self.row(state, narrow::<_, u32>(rows.len()), &mut states));
        }

        let entry = |target: &Target| {
            let row = match target.state {
                Target::NO_STATE => layout::ROW_DEAD,
                Target::NOT_BUILT => layout::ROW_ESCAPE,
                state => states.rows[state as usize].unwrap_or(layout::ROW_ESCAPE),
            };
            narrow(row << 1 | if target.matched { layout::ENTRY_MATCH } else { 0 })
        };
        PartialDfa {
            classes: self.classes,
            stride: narrow(stride),
            entries: rows.iter().flatten().map(entry).collect(),
        }
    }

    /// Builds a state's row, the table's `number`th.
    fn row(&mut self, index: usize, number: u32, states: &mut States) -> Vec<Target> {
        states.rows[index] = Some(number);
        let weights = states.weights[index];
        self.members.clear();
        self.members.extend_from_slice(states.members_of(index));
        self.steps = self.samples.len() + self.members.len();
        let of_classes = self.read_all(states.before[index]);
        let live = self.readings.iter().filter(|reading| !reading.threads.is_empty()).count();
        let mut targets = Vec::with_capacity(self.readings.len());
        for at in 0..self.readings.len() {
            let Reading { ref threads, matched, byte, share, .. } = self.readings[at];
            let weights = [weights[0] * share, weights[1] / live as f64];
            self.closure += 1;
            self.next.clear();
            self.steps += threads.len();
            for thread in threads.clone() {
                if !self.reach_edges(self.threads[thread]) {
                    break;
                }
            }
            self.steps += self.next.len();
            targets.push(Target { matched, ..self.reach(byte, weights, states) });
        }
        let of_class = |at: Option<usize>| at.map_or(Target::ESCAPE, |at| targets[at]);
        let mut row: Vec<Target> = of_classes.into_iter().map(of_class).collect();
        if let Some(counter_steps) = &self.counter_steps {
            let older = |&member: &u32| match counter_steps.next.get(member as usize) {
                None => Some(member),
                Some(&next) => (next != CounterSteps::GONE).then_some(next),
            };
            self.next.clear();
            self.next.extend(self.members.iter().filter_map(older));
            let weights = weights.map(|weight| weight / f64::from(layout::COUNTER_STEP_BYTES));
            let counter_step = self.reach(states.before[index], weights, states);
            row.insert(row.len() - 1, counter_step);
        }
        row
    }

    /// Leaves what every class of bytes is to the state whose members there are, and says of each class, and of the end
    /// of the haystack, which reading it is; none where one byte to each side does not tell.
    fn read_all(&mut self, before: Option<u8>) -> Vec<Option<usize>> {
        self.readings.clear();
        self.threads.clear();
        let waits = self.waits(&self.members);
        let mut judged_count = 0;
        let mut of_classes = Vec::with_capacity(self.samples.len() + 1);
        for class in 0..=self.samples.len() {
            let byte = self.samples.get(class).copied();
            let looks_like = byte.map(|byte| self.looks_like[usize::from(byte)]);
            let known = &self.judged[..judged_count];
            let known = known.iter().position(|judged| judged.looks_like == looks_like);
            let judged = known.unwrap_or_else(|| {
                judged_count += 1;
                if self.judged.len() < judged_count {
                    self.judged.push(Judged::default());
                }
                self.judge(judged_count - 1, waits, before, looks_like, byte);
                judged_count - 1
            });
            let share = self.weights.get(class).copied().unwrap_or(0.0);
            of_classes.push(self.read(judged, class, share));
        }
        of_classes
    }

    /// Judges what waits in the state, now that both neighbours of the position are known.
    fn judge(
        &mut self,
        at: usize,
        waits: bool,
        before: Option<u8>,
        looks_like: Option<u8>,
        next: Option<u8>,
    ) {
        let mut judged = std::mem::take(&mut self.judged[at]);
        judged.looks_like = looks_like;
        judged.threads.clear();
        match self.judged[..at].first() {
            // Nothing depends on the byte behind.
            Some(first) if !waits => {
                judged.matched = first.matched;
                judged.threads.extend_from_slice(&first.threads);
                judged.sets = first.sets;
            }
            _ => {
                judged.matched = self.follow(before, next, &mut judged.threads);
                if self.sets.is_some() {
                    let set_of = |thread: &u32| 1_u128 << self.nfa.nodes[*thread as usize].operand;
                    judged.sets = judged.threads.iter().map(set_of).fold(0, |all, set| all | set);
                }
            }
        }
        self.judged[at] = judged;
    }

    /// Appends the threads that the state's members are, most preferred first, and says whether one of those matches;
    /// none if one byte to each side does not tell.
    fn follow(
        &mut self,
        before: Option<u8>,
        next: Option<u8>,
        threads: &mut Vec<u32>,
    ) -> Option<bool> {
        self.closure += 1;
        self.pending.clear();
        let mut matched = false;
        for &root in &self.members {
            let mut node = Some(root);
            while let Some(member) = node {
                let is_met = member != layout::EDGE_MATCH
                    && std::mem::replace(&mut self.met[member as usize], self.closure)
                        == self.closure;
                if member == layout::EDGE_MATCH {
                    matched = true;
                    if self.kind == MatchKind::LeftmostFirst {
                        return Some(true);
                    }
                } else if !is_met {
                    match self.nfa.nodes[member as usize].kind {
                        layout::NODE_BYTE => threads.push(member),
                        layout::NODE_JUMP => self.pending.push(self.nfa.edges_of(member)),
                        kind => {
                            if self.holds(kind, before, next)? {
                                self.pending.push(self.nfa.edges_of(member));
                            }
                        }
                    }
                }
                node = next_of(&mut self.pending);
            }
        }
        Some(matched)
    }

    /// What a class of bytes, or the end of the haystack, is to threads: which reading.
    fn read(&mut self, judged: usize, class: usize, share: f64) -> Option<usize> {
        let Judged { matched, looks_like, ref threads, sets } = self.judged[judged];
        let matched = matched?;
        let set_of = |thread: &u32| self.nfa.nodes[*thread as usize].operand;
        let first = self.threads.len();
        let mut read = 0;
        let known = if let Some(of_classes) = &self.sets {
            read = sets & of_classes[class];
            let is_like = |other: &Reading| other.judged == judged && other.sets == read;
            let known = self.readings.iter().position(is_like);
            if known.is_none() {
                let reads = |thread: &u32| read >> set_of(thread) & 1 == 1;
                self.threads.extend(threads.iter().copied().filter(reads));
            }
            known
        } else {
            let byte = self.samples.get(class);
            let reads = |thread: &u32| {
                byte.is_some_and(|&byte| contains(&self.nfa.sets[set_of(thread) as usize], byte))
            };
            self.threads.extend(threads.iter().copied().filter(reads));
            let (known, read) = self.threads.split_at(first);
            let is_like =
                |other: &Reading| other.judged == judged && known[other.threads.clone()] == *read;
            self.readings.iter().position(is_like)
        };
        if let Some(known) = known {
            self.threads.truncate(first);
            self.readings[known].share += share;
            return Some(known);
        }
        let threads = first..self.threads.len();
        self.readings.push(Reading {
            judged,
            sets: read,
            threads,
            matched,
            byte: looks_like,
            share,
        });
        Some(self.readings.len() - 1)
    }

    /// Brings what comes next into its one form, and leads to the state that it is.
    fn reach(&mut self, before: Option<u8>, weights: [f64; 2], states: &mut States) -> Target {
        if self.kind == MatchKind::All {
            self.next.sort_unstable();
            self.next.dedup();
        }
        if let Some(counter_steps) = &self.counter_steps {
            self.closure += 1;
            let (met, closure) = (&mut self.met, self.closure);
            self.next.retain(|&member| {
                let youngest = counter_steps.youngest.get(member as usize);
                youngest.is_none_or(|&node| {
                    std::mem::replace(&mut met[node as usize], closure) != closure
                })
            });
        }
        if self.next.is_empty() {
            return Target::DEAD;
        }
        let before = before.map(|byte| self.looks_like[usize::from(byte)]);
        states.reach(&self.next, before.filter(|_| self.waits(&self.next)), weights)
    }

    /// Whether something has to be judged before a byte is read.
    fn waits(&self, members: &[u32]) -> bool {
        let waits = |member: &u32| {
            *member != layout::EDGE_MATCH
                && self.nfa.nodes[*member as usize].kind != layout::NODE_BYTE
        };
        self.has_looks && members.iter().any(waits)
    }

    /// Appends what the edges of `node` lead to to what comes next, look-arounds unjudged. Where there are look-arounds,
    /// jump nodes wait too, because a judged one may lead back to them. `false` if nothing less
    /// preferred can count any more.
    fn reach_edges(&mut self, node: u32) -> bool {
        // A match may have left lists behind that are not to be met any more.
        self.pending.clear();
        self.pending.push(self.nfa.edges_of(node));
        while let Some(edge) = next_of(&mut self.pending) {
            if edge == layout::EDGE_MATCH {
                self.next.push(layout::EDGE_MATCH);
                if self.kind == MatchKind::LeftmostFirst {
                    self.pending.clear();
                    return false;
                }
                continue;
            }
            if std::mem::replace(&mut self.met[edge as usize], self.closure) == self.closure {
                continue;
            }
            let is_jump = self.nfa.nodes[edge as usize].kind == layout::NODE_JUMP;
            if !is_jump || self.has_looks {
                self.next.push(edge);
            } else {
                self.pending.push(self.nfa.edges_of(edge));
            }
        }
        true
    }

    /// Whether an assertion holds; none if one byte to each side does not tell.
    fn holds(&self, kind: u32, before: Option<u8>, after: Option<u8>) -> Option<bool> {
        let is_ascii = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii());
        let told = !look::is_unicode(kind) || (is_ascii(before) && is_ascii(after));
        told.then(|| look::holds_between(kind, self.line_terminator, before, after))
    }
}

/// Takes the first edge of the lists that are pending.
fn next_of(pending: &mut Vec<&[u32]>) -> Option<u32> {
    while let Some(list) = pending.pop() {
        if let Some((&first, rest)) = list.split_first() {
            if !rest.is_empty() {
                pending.push(rest);
            }
            return Some(first);
        }
    }
    None
}

/// Splits the bytes into classes that no set and, where there are any, no look-around tells apart.
fn byte_classes(nfa: &PositionNfa, looks: Option<u8>) -> [u8; 256] {
    let mut classes = [0_u8; 256];
    let mut refine = |holds: &dyn Fn(u8) -> bool| {
        let mut renamed = [[None; 2]; 256];
        let mut count = 0..=255;
        for byte in 0..=255_u8 {
            let class = &mut classes[usize::from(byte)];
            let name = &mut renamed[usize::from(*class)][usize::from(holds(byte))];
            *class = *name.get_or_insert_with(|| count.next().expect("no more classes than bytes"));
        }
    };
    for set in &nfa.sets {
        refine(&|byte| contains(set, byte));
    }
    if let Some(line_terminator) = looks {
        refine(&|byte| look::is_word_byte(byte));
        refine(&|byte| byte.is_ascii());
        for end in [line_terminator, b'\n', b'\r'] {
            refine(&|byte| byte == end);
        }
    }
    classes
}

/// For every byte the least one that no look-around tells from it.
fn looks_like(line_terminator: u8) -> [u8; 256] {
    let key = |byte: u8| {
        let exact = [line_terminator, b'\n', b'\r'].contains(&byte).then_some(byte);
        (exact, look::is_word_byte(byte), byte.is_ascii())
    };
    let mut least = [0; 256];
    for byte in 0..=255_u8 {
        let first = (0..=byte).find(|&other| key(other) == key(byte));
        least[usize::from(byte)] = first.expect("the byte itself, at the latest");
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RulePipeline;

    /// However unlikely the bytes that lead there.
    #[test]
    fn matches_end_in_the_table() {
        let pattern = "(?i)-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----[\\s\\S-]{64,}?KEY(?: BLOCK)?-----";
        let body = "MIIEvgIBADANBgkqhkiG9w0BAQEFAASC".repeat(20);
        let text =
            format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n");
        let rules = RulePipeline::new(&[pattern]).unwrap();
        let dfa = &rules.rules()[0].dfa;
        assert!(dfa.escapes(), "the whole DFA fits");
        let mut row = target(dfa.entry(0, dfa.stride - 1));
        let mut end = None;
        for (at, byte) in text.bytes().enumerate() {
            let entry = dfa.entry(row, dfa.classes[usize::from(byte)].into());
            row = target(entry);
            assert_ne!(row, layout::ROW_ESCAPE, "at {at}");
            end = if is_match(entry) { Some(at) } else { end };
            if row == layout::ROW_DEAD {
                break;
            }
        }
        assert_eq!(end, Some(text.len() - 1));
    }
}
