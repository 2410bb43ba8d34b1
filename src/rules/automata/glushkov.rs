//! The Glushkov automaton: sets of positions as bits, where an NFA may be, without an order of preference.
//!
//! A walk on sets of bits takes a few operations a byte however many threads it has: those that read the byte
//! are an AND with what its class reaches, and what they lead to is a shift where positions follow each other,
//! and a table for the rest (V. M. Glushkov, "The abstract theory of automata", 1961; G. Navarro and M. Raffinot,
//! "Compact DFA representation for fast regular expression search", 2001). Such a walk finds every end of a match,
//! but not which of two is preferred. It does find that mostly there is none, or only one. For the rest, it is
//! worked out here which positions' threads can be preferred to one that matches, and which it can be preferred
//! to: where the set at the first match is all of one kind or the other, the preferred end is known; else the walk
//! is done again in order.

use std::collections::BTreeMap;
use std::fmt;

use crate::MatchKind;
use crate::narrow::narrow;
use crate::rules::automata::look;
use crate::rules::automata::position_nfa::{PositionNfa, contains};
use crate::shaders::layout::{self, GlushkovRecord, GlushkovWord};

/// Most positions: what shared memory has room for, as two sets.
const MOST_POSITIONS: usize = 32 * layout::GLUSHKOV_MOST_WORDS as usize;

/// Edges that read nothing and are followed, with what they lead to compared with what is known; and nodes on a way
/// of such edges.
const MOST_STEPS: usize = 1 << 23;
const DEEPEST: usize = 1000;

/// Words of sets that finding the order of positions may take.
const MOST_ORDERED: usize = 1 << 24;

type Bits = Vec<u32>;

fn is_set(bits: &[u32], position: usize) -> bool {
    bits[position / 32] >> (position % 32) & 1 == 1
}

fn set(bits: &mut [u32], position: usize) {
    bits[position / 32] |= 1 << (position % 32);
}

/// What a position leads to, by reading nothing more, where all look-arounds of `guard` hold: a bit for each of
/// [`Glushkov::looks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Follower {
    guard: u32,
    position: usize,
}

/// The nodes that read a byte, and are reached.
fn readers(nfa: &PositionNfa) -> Vec<u32> {
    let reached = nfa.reached();
    let is_reader =
        |node: &u32| nfa.nodes[*node as usize].kind == layout::NODE_BYTE && reached[*node as usize];
    (1..narrow::<_, u32>(nfa.nodes.len())).filter(is_reader).collect()
}

/// An NFA's positions: first where a walk begins, then the nodes that read a byte, and last acceptance.
#[derive(Clone, PartialEq)]
pub(crate) struct Glushkov {
    /// The set that each position reads, by its number in the NFA; the first and the last read nothing.
    sets: Vec<Option<u32>>,
    /// Kinds of the look-around nodes.
    looks: Vec<u32>,
    line_terminator: u32,
    /// In order of preference.
    followers: Vec<Vec<Follower>>,
    /// The positions of which no thread can be preferred to one that matches; and those of which one may be, or
    /// may not.
    pruned: Bits,
    doubtful: Bits,
}

impl fmt::Debug for Glushkov {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Glushkov")
            .field("positions", &self.sets.len())
            .field("looks", &self.looks.len())
            .finish_non_exhaustive()
    }
}

impl Glushkov {
    /// None if it has too many positions, or ways from one to another.
    pub(crate) fn new(nfa: &PositionNfa, kind: MatchKind) -> Option<Glushkov> {
        let mut looks: Vec<u32> =
            nfa.nodes.iter().map(|node| node.kind).filter(|&kind| look::is_look(kind)).collect();
        looks.sort_unstable();
        looks.dedup();
        let look_node = nfa.nodes.iter().find(|node| look::is_look(node.kind));
        let readers = readers(nfa);
        if readers.len() + 2 > MOST_POSITIONS {
            return None;
        }
        let mut closure = Closure {
            nfa,
            looks: &looks,
            position_of: vec![0; nfa.nodes.len()],
            accept: readers.len() + 1,
            path: Vec::new(),
            steps: 0,
        };
        for (position, &node) in (1..).zip(&readers) {
            closure.position_of[node as usize] = position;
        }
        let mut followers = Vec::with_capacity(readers.len() + 2);
        for &node in [0].iter().chain(&readers) {
            let mut found = Vec::new();
            closure.follow(node, 0, &mut found)?;
            followers.push(found);
        }
        followers.push(Vec::new());
        let set_of = |&node: &u32| Some(nfa.nodes[node as usize].operand);
        let sets = [None].into_iter().chain(readers.iter().map(set_of)).chain([None]).collect();
        let line_terminator = look_node.map_or(0, |node| node.operand);
        let mut bits = Glushkov {
            sets,
            looks,
            line_terminator,
            followers,
            pruned: Vec::new(),
            doubtful: Vec::new(),
        };
        bits.pruned = bits.none();
        bits.doubtful = bits.none();
        if kind == MatchKind::LeftmostFirst {
            bits.find_order(nfa);
        }
        Some(bits)
    }

    fn none(&self) -> Bits {
        vec![0; self.sets.len().div_ceil(32)]
    }

    /// Words of a set.
    pub(crate) fn set_words(&self) -> u32 {
        narrow(self.pruned.len())
    }

    /// The position of each node of the NFA that reads a byte, and 0 of the others.
    pub(crate) fn positions(&self, nfa: &PositionNfa) -> Vec<u32> {
        let mut positions = vec![0; nfa.nodes.len()];
        for (position, &node) in (1..).zip(&readers(nfa)) {
            positions[node as usize] = position;
        }
        positions
    }

    fn accept(&self) -> usize {
        self.sets.len() - 1
    }

    /// Finds out which positions' threads can be before one that matches, in order of preference, and which
    /// behind it.
    ///
    /// Two threads are in the order of the edges where their ways parted. Pairs of positions that two threads can
    /// be at, in order, are found from those before. What the first thread comes to, too, the second does not: it
    /// is met already. Some pairs that are found may not come about, none is missed.
    fn find_order(&mut self, nfa: &PositionNfa) {
        let accept = self.accept();
        let reached = |followers: &[Follower], is_sure: bool| {
            let mut found = self.none();
            let will_do = |follower: &&Follower| !is_sure || follower.guard == 0;
            followers.iter().filter(will_do).for_each(|to| set(&mut found, to.position));
            found
        };
        let may_reach: Vec<Bits> = self.followers.iter().map(|list| reached(list, false)).collect();
        let must_reach: Vec<Bits> = self.followers.iter().map(|list| reached(list, true)).collect();
        let meet = |one: u32, other: u32| {
            let [one, other] = [one, other].map(|set| &nfa.sets[set as usize]);
            one.iter().zip(other).any(|(one, other)| one & other != 0)
        };

        let mut pairs = Pairs { behind: vec![None; self.sets.len()], open: Vec::new() };
        let mut word_count = 0;
        for list in &self.followers {
            for (index, first) in list.iter().enumerate() {
                pairs.add(first.position, &reached(&list[index + 1..], false));
            }
        }
        while let Some((first, second)) = pairs.open.pop() {
            word_count += self.pruned.len() * (1 + self.followers[first].len());
            if word_count > MOST_ORDERED {
                self.doubtful.fill(u32::MAX);
                return;
            }
            let [Some(one), Some(other)] = [first, second].map(|position| self.sets[position])
            else {
                continue;
            };
            if meet(one, other) {
                let both = may_reach[second].iter().zip(&must_reach[first]);
                let new: Bits = both.map(|(second, first)| second & !first).collect();
                for to in &self.followers[first] {
                    pairs.add(to.position, &new);
                }
            }
        }
        for position in 0..self.sets.len() {
            let is_behind = |first: usize, second: usize| {
                pairs.behind[first].as_ref().is_some_and(|behind| is_set(behind, second))
            };
            match [is_behind(position, accept), is_behind(accept, position)] {
                [false, true] => set(&mut self.pruned, position),
                [true, true] => set(&mut self.doubtful, position),
                _ => {}
            }
        }
    }

    /// Lays it out as kernels read it, for the byte classes of the rule's DFA, `at` words into the tables.
    pub(crate) fn words(
        &self,
        nfa: &PositionNfa,
        classes: &[u8; 256],
        class_count: u32,
        at: u32,
    ) -> Vec<u32> {
        let mut words = vec![GlushkovWord::default(); self.pruned.len()];
        for ((word, &pruned), &doubtful) in words.iter_mut().zip(&self.pruned).zip(&self.doubtful) {
            (word.pruned, word.doubtful) = (pruned, doubtful);
        }
        // By what is followed, whom from.
        let mut sources: BTreeMap<Follower, Vec<usize>> = BTreeMap::new();
        for (position, followers) in self.followers.iter().enumerate() {
            let word = &mut words[position / 32];
            for &follower in followers {
                if follower.guard == 0 && follower.position == position + 1 {
                    word.shift |= 1 << (position % 32);
                } else if follower.guard == 0 && follower.position == position {
                    word.self_loop |= 1 << (position % 32);
                } else {
                    sources.entry(follower).or_default().push(position);
                }
            }
        }
        let mut exceptions: BTreeMap<usize, Targets> = BTreeMap::new();
        // What positions of a word lead to, all of them.
        let mut shared_exceptions: BTreeMap<(usize, u32), Targets> = BTreeMap::new();
        for (to, sources) in sources {
            if let [source] = sources[..] {
                add(exceptions.entry(source).or_default(), to);
                continue;
            }
            for of_word in sources.chunk_by(|one, next| one / 32 == next / 32) {
                let positions = of_word.iter().fold(0, |bits, source| bits | 1 << (source % 32));
                add(shared_exceptions.entry((of_word[0] / 32, positions)).or_default(), to);
            }
        }

        let count = |targets: &Targets| targets.len();
        let all = exceptions.values().chain(shared_exceptions.values()).map(count).sum::<usize>();
        let are_few = all <= layout::GLUSHKOV_FEW_EXCEPTIONS as usize;
        if are_few {
            for (position, targets) in std::mem::take(&mut exceptions) {
                let of_word = (position / 32, 1 << (position % 32));
                let shared = shared_exceptions.entry(of_word).or_default();
                for (to, bits) in targets {
                    *shared.entry(to).or_default() |= bits;
                }
            }
        }

        let mut laid_out = vec![0; GlushkovRecord::WORDS];
        let mut append = |words: &[u32]| {
            let offset = at + narrow::<_, u32>(laid_out.len());
            laid_out.extend_from_slice(words);
            offset
        };
        let looks = append(&self.looks);
        let reach = append(&self.reach(nfa, classes, class_count).concat());
        for (index, word) in words.iter_mut().enumerate() {
            let mut lists = Vec::new();
            for (position, targets) in exceptions.range(32 * index..32 * (index + 1)) {
                word.exceptions |= 1 << (position % 32);
                let triples = targets.iter().flat_map(|(&[guard, to], &bits)| [guard, to, bits]);
                let count = narrow::<_, u32>(targets.len());
                lists.push(append(&[count].into_iter().chain(triples).collect::<Bits>()));
            }
            word.exception_lists = append(&lists);
        }
        let mut shared: Vec<u32> = Vec::new();
        for (index, word) in words.iter_mut().enumerate() {
            word.shared_exceptions = narrow(shared.len());
            for (&(_, positions), targets) in shared_exceptions.range((index, 0)..(index + 1, 0)) {
                let of_word = narrow::<_, u32>(index) << layout::GLUSHKOV_SOURCE_SHIFT;
                let quadruple = |(&[guard, to], &bits): (&[u32; 2], &u32)| {
                    [positions, guard, of_word | to, bits]
                };
                shared.extend(targets.iter().flat_map(quadruple));
            }
            word.shared_exceptions_end = narrow(shared.len());
        }
        let first = append(&shared);
        let count = narrow::<_, u32>(shared.len()) / layout::GLUSHKOV_SHARED_WORDS;
        for word in &mut words {
            word.shared_exceptions += first;
            word.shared_exceptions_end += first;
        }
        let of_words = append(bytemuck::cast_slice(&words));
        let record = GlushkovRecord {
            word_count: narrow::<_, u32>(words.len()),
            accept: narrow::<_, u32>(self.accept()),
            looks,
            look_count: narrow::<_, u32>(self.looks.len()),
            line_terminator: self.line_terminator,
            reach,
            of_words,
            shared_exceptions: first,
            shared_exception_count: if are_few { count } else { layout::GLUSHKOV_MANY },
            target_count: narrow(all),
        };
        laid_out[..GlushkovRecord::WORDS].copy_from_slice(bytemuck::cast_slice(&[record]));
        laid_out
    }

    /// For every byte class the positions that read it.
    fn reach(&self, nfa: &PositionNfa, classes: &[u8; 256], class_count: u32) -> Vec<Bits> {
        let of_class = |class| {
            let byte = (0..=255_u8).find(|&byte| u32::from(classes[usize::from(byte)]) == class);
            let mut reached = self.none();
            for (position, read) in self.sets.iter().enumerate() {
                if let (Some(byte), Some(read)) = (byte, read)
                    && contains(&nfa.sets[*read as usize], byte)
                {
                    set(&mut reached, position);
                }
            }
            reached
        };
        (0..class_count).map(of_class).collect()
    }
}

/// Positions that are led to, by guard and word.
type Targets = BTreeMap<[u32; 2], u32>;

fn add(targets: &mut Targets, to: Follower) {
    let word = narrow(to.position / 32);
    *targets.entry([to.guard, word]).or_default() |= 1 << (to.position % 32);
}

/// Follows edges that read nothing.
struct Closure<'a> {
    nfa: &'a PositionNfa,
    looks: &'a [u32],
    position_of: Vec<usize>,
    accept: usize,
    /// Nodes on the way, to which it does not lead back.
    path: Vec<u32>,
    steps: usize,
}

impl Closure<'_> {
    /// Appends what `node` leads to if `guard` holds. None if that is too much.
    fn follow(&mut self, node: u32, guard: u32, found: &mut Vec<Follower>) -> Option<()> {
        let nfa = self.nfa;
        for &edge in nfa.edges_of(node) {
            self.steps += 1 + found.len() + self.path.len();
            if self.steps > MOST_STEPS || self.path.len() > DEEPEST {
                return None;
            }
            let kind = nfa.nodes.get(edge as usize).map(|node| node.kind);
            let position = match kind {
                None => Some(self.accept),
                Some(layout::NODE_BYTE) => Some(self.position_of[edge as usize]),
                Some(_) => None,
            };
            if let Some(position) = position {
                let is_known = |known: &Follower| {
                    known.position == position && known.guard & guard == known.guard
                };
                if !found.iter().any(is_known) {
                    found.push(Follower { guard, position });
                }
            } else if !self.path.contains(&edge) {
                let look = self.looks.iter().position(|&look| Some(look) == kind);
                self.path.push(edge);
                self.follow(edge, guard | look.map_or(0, |look| 1 << look), found)?;
                self.path.pop();
            }
        }
        Some(())
    }
}

/// Pairs of positions that two threads can be at, the preferred one first.
struct Pairs {
    /// By the first.
    behind: Vec<Option<Bits>>,
    open: Vec<(usize, usize)>,
}

impl Pairs {
    fn add(&mut self, first: usize, seconds: &[u32]) {
        let behind = self.behind[first].get_or_insert_with(|| vec![0; seconds.len()]);
        for (index, (known, &seconds)) in behind.iter_mut().zip(seconds).enumerate() {
            let mut new = seconds & !*known;
            if first / 32 == index {
                new &= !(1 << (first % 32));
            }
            *known |= new;
            while new != 0 {
                self.open.push((first, 32 * index + new.trailing_zeros() as usize));
                new &= new - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{PipelineOptions, RulePipeline};

    fn bits(pattern: &str) -> Option<Glushkov> {
        let options = PipelineOptions { dfa_budget: 0, ..PipelineOptions::default() };
        let rules = RulePipeline::with_options(&[pattern], options).unwrap();
        Glushkov::new(&rules.rules()[0].nfa, MatchKind::LeftmostFirst)
    }

    fn read<T: bytemuck::Pod>(words: &[u32], at: u32) -> T {
        let at = at as usize;
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&words[at..at + size_of::<T>() / 4]))
    }

    /// What the words say that a position leads to, if nothing lies before them.
    fn followers_in(words: &[u32], position: usize) -> BTreeSet<Follower> {
        let mut found = BTreeSet::new();
        let mut add = |guard: u32, word: u32, bits: u32| {
            let positions = (0..32).filter(|bit| bits >> bit & 1 == 1);
            let position = |bit| 32 * word as usize + bit;
            found.extend(positions.map(|bit| Follower { guard, position: position(bit) }));
        };
        let record: GlushkovRecord = read(words, 0);
        let (index, bit) = ((position / 32) as u32, 1 << (position % 32));
        let of_word = record.of_words + index * GlushkovWord::WORDS as u32;
        let word: GlushkovWord = read(words, of_word);
        if word.shift & bit != 0 {
            let next = position as u32 + 1;
            add(0, next / 32, 1 << (next % 32));
        }
        if word.self_loop & bit != 0 {
            add(0, index, bit);
        }
        for at in (word.shared_exceptions..word.shared_exceptions_end).step_by(4) {
            let [positions, guard, words_of, bits]: [u32; 4] = read(words, at);
            assert_eq!(words_of >> layout::GLUSHKOV_SOURCE_SHIFT, index);
            if positions & bit != 0 {
                add(guard, words_of & ((1 << layout::GLUSHKOV_SOURCE_SHIFT) - 1), bits);
            }
        }
        if word.exceptions & bit != 0 {
            let before = (word.exceptions & (bit - 1)).count_ones();
            let list: u32 = read(words, word.exception_lists + before);
            for target in 0..read::<u32>(words, list) {
                let [guard, word, bits] = read(words, list + 1 + 3 * target);
                add(guard, word, bits);
            }
        }
        found
    }

    /// Many positions lead to one from several words, and one leads to where others of its word do.
    #[test]
    fn words_lead_where_positions_do() {
        let few = [
            "[ab]{0,60}?(?:x{1,40}|y)?z{0,40}c",
            r"(?:a{0,9}b\b|[cd]{30,40}){1,3}(?:e|$)f?",
            "(?:a{35}|b{33}|c{2})+(?:d|e{40})?(?:f|g)",
            "(?:b{20}|a{43}(?:u{3})?v?)w",
        ];
        let many: String = (0..60).map(|at| format!("(?:a{{{at}}}b|c)?")).collect();
        for pattern in few.into_iter().chain([&*many]) {
            let options = PipelineOptions { dfa_budget: 0, ..PipelineOptions::default() };
            let rules = RulePipeline::with_options(&[pattern], options).unwrap();
            let rule = &rules.rules()[0];
            let Some(glushkov) = Glushkov::new(&rule.nfa, MatchKind::LeftmostFirst) else {
                panic!("{pattern}")
            };
            let classes = u32::from(*rule.dfa.classes.iter().max().unwrap()) + 1;
            let words = glushkov.words(&rule.nfa, &rule.dfa.classes, classes, 0);
            for (position, followers) in glushkov.followers.iter().enumerate() {
                let followers: BTreeSet<Follower> = followers.iter().copied().collect();
                assert_eq!(followers_in(&words, position), followers, "{pattern}, {position}");
            }
            let record: GlushkovRecord = read(&words, 0);
            let last = record.of_words + (record.word_count - 1) * GlushkovWord::WORDS as u32;
            let end = read::<GlushkovWord>(&words, last).shared_exceptions_end;
            let count = (end - record.shared_exceptions) / layout::GLUSHKOV_SHARED_WORDS;
            let count = if pattern == many { layout::GLUSHKOV_MANY } else { count };
            assert_eq!(record.shared_exception_count, count, "{pattern}");
        }
    }

    fn count(set: &[u32]) -> u32 {
        set.iter().map(|word| word.count_ones()).sum()
    }

    /// Positions: the start, one for each letter, acceptance.
    #[test]
    fn tells_what_a_match_cuts_off() {
        let order = |pattern| {
            let bits = bits(pattern).unwrap();
            (count(&bits.pruned), count(&bits.doubtful))
        };
        // A lazy loop goes on only if there is no match, a greedy one first of all.
        assert_eq!(order("ab+?"), (1, 0));
        assert_eq!(order("ab+"), (0, 0));
        assert_eq!(order("(?:a|ab)(?:b|[^\n]*z)"), (1, 2));
    }

    #[test]
    fn is_not_there_for_what_is_too_much() {
        assert!(bits("[a-z]{9000}").is_none());
        assert!(bits(&(r"\b".repeat(2000) + "a")).is_none());
    }

    #[test]
    fn gives_up_on_an_order_that_takes_long_to_find() {
        let bits = bits("(?:[a-z]{0,100}[a-z]){13}").unwrap();
        assert_eq!(count(&bits.doubtful), 32 * bits.doubtful.len() as u32);
    }
}
