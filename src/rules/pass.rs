//! Rules laid out as the buffers that kernels read.
//!
//! A pass is as many rules as one table buffer holds. Beside the automata it carries, for every first
//! byte and pair of first bytes, the list of rules that could match there, so that a candidate start
//! meets only those; and for the rules that can be filtered the grams to look for.

use std::collections::{BTreeMap, HashMap};

use bytemuck::cast_slice;

use super::dfa::{self, PartialDfa};
use super::factor::GRAM;
use super::{Branch, Rule, look};
use crate::shaders::layout::{self, BranchRecord, NfaNode, PassHeader, RuleRecord};

/// The tables of one pass.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) header: PassHeader,
    /// What the header points to. The header comes right before it in the buffer.
    pub(crate) words: Vec<u32>,
}

impl Pass {
    pub(crate) fn bytes(&self) -> u64 {
        (PassHeader::WORDS + self.words.len()) as u64 * 4
    }

    /// Scratch words that an NFA walker needs: two thread lists, stamps, and a stack of edge ranges.
    pub(crate) fn walker_words(&self) -> u32 {
        3 * self.header.nfa_nodes + 2 * self.header.nfa_stack
    }
}

/// A single rule's tables are larger than a buffer of this device may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RuleTooLarge {
    pub(crate) pattern_id: u32,
    pub(crate) bytes: u64,
}

/// Splits rules into passes whose tables take at most `limit` bytes each.
pub(crate) fn pack(rules: &[Rule], limit: u64) -> Result<Vec<Pass>, RuleTooLarge> {
    let mut passes = Vec::new();
    let mut first = 0;
    while first < rules.len() {
        // Sizes are known only once a pass is laid out, because rules share sets, class maps and lists;
        // the sum of their own tables is a close guess.
        let mut count = 0;
        let mut guess = 0;
        while first + count < rules.len() && (count == 0 || guess < limit) {
            guess += own_bytes(&rules[first + count]);
            count += 1;
        }
        let pass = loop {
            let pass = Layout::new(first, &rules[first..first + count]).finish();
            let bytes = pass.bytes();
            if bytes <= limit {
                break pass;
            }
            if count == 1 {
                return Err(RuleTooLarge { pattern_id: first as u32, bytes });
            }
            count = (count as u64 * limit * 9 / 10 / bytes).clamp(1, count as u64 - 1) as usize;
        };
        passes.push(pass);
        first += count;
    }
    // Passes take turns with the same scratch, and stamps have to stay stamps from one to the next.
    let nodes = passes.iter().map(|pass| pass.header.nfa_nodes).max().unwrap_or(0);
    let stack = passes.iter().map(|pass| pass.header.nfa_stack).max().unwrap_or(0);
    for pass in &mut passes {
        (pass.header.nfa_nodes, pass.header.nfa_stack) = (nodes, stack);
    }
    Ok(passes)
}

fn own_bytes(rule: &Rule) -> u64 {
    let nfa =
        if rule.dfa.escapes() { rule.nfa.nodes.len() * 16 + rule.nfa.edges.len() * 4 } else { 0 };
    let branches: usize = rule
        .branches
        .iter()
        .map(|branch| branch.tail.entries.len() * 2 + branch.grams.len() * 24)
        .sum();
    (nfa + branches + rule.dfa.entries.len() * 2) as u64
}

/// Bytes from a match's start within which its gram ends, whatever the rule; none if no rule has any.
pub(crate) fn reach(rules: &[Rule]) -> Option<u32> {
    let branches = rules.iter().flat_map(|rule| &rule.branches);
    branches
        .flat_map(|branch| {
            branch
                .grams
                .iter()
                .map(|gram| branch.front[1].saturating_add(u32::from(gram.offset) + GRAM as u32))
        })
        .max()
}

struct Layout<'a> {
    first_id: usize,
    rules: &'a [Rule],
    words: Vec<u32>,
    header: PassHeader,
}

impl<'a> Layout<'a> {
    fn new(first_id: usize, rules: &'a [Rule]) -> Layout<'a> {
        Layout { first_id, rules, words: Vec::new(), header: PassHeader::default() }
    }

    fn finish(mut self) -> Pass {
        let filtered = self.filtered_rules();
        let rules = self.rules;
        let branches: Vec<(u32, &Branch)> = (0..)
            .zip(rules)
            .filter(|(rule, _)| filtered[*rule as usize])
            .flat_map(|(index, rule)| rule.branches.iter().map(move |branch| (index, branch)))
            .collect();
        let dfas: Vec<&PartialDfa> = rules
            .iter()
            .map(|rule| &rule.dfa)
            .chain(branches.iter().map(|(_, branch)| &branch.tail))
            .collect();
        let placed = self.dfas(&dfas);
        let mut records: Vec<RuleRecord> = (self.first_id as u32..)
            .zip(&placed)
            .take(rules.len())
            .map(|(pattern_id, &[classes, first_entry, stride])| RuleRecord {
                pattern_id,
                classes,
                first_entry,
                stride,
                ..RuleRecord::default()
            })
            .collect();
        self.nfas(&mut records);
        self.header.rules = self.append(cast_slice(&records));
        self.grams(&branches, &placed[rules.len()..]);
        self.candidate_lists(&filtered);
        if rules.iter().any(|rule| rule.nfa.nodes.iter().any(|node| look::is_unicode(node.kind))) {
            let ranges = look::word_ranges();
            self.header.word_ranges = self.append(cast_slice(&ranges));
            self.header.word_range_count = ranges.len() as u32;
        }
        Pass { header: self.header, words: self.words }
    }

    /// The rules to look for by gram: those that have any, as long as there are not too many in all.
    fn filtered_rules(&self) -> Vec<bool> {
        /// Grams at which half of the bitmap would be set.
        const MOST_GRAMS: usize = 1 << (layout::BITMAP_LOG2 - 1);

        let grams_of = |rule: &Rule| rule.branches.iter().map(|branch| branch.grams.len()).sum();
        let mut by_grams: Vec<(usize, usize)> =
            self.rules.iter().map(grams_of).zip(0..).filter(|(grams, _)| *grams > 0).collect();
        by_grams.sort_unstable();
        let mut filtered = vec![false; self.rules.len()];
        let mut total = 0;
        for (grams, index) in by_grams {
            total += grams;
            filtered[index] = total <= MOST_GRAMS;
        }
        filtered
    }

    /// Appends words and says where they begin.
    fn append(&mut self, words: &[u32]) -> u32 {
        let at = self.words.len() as u32;
        self.words.extend_from_slice(words);
        at
    }

    /// Appends DFAs, and says of each where its class map and its first entry are, and its stride.
    fn dfas(&mut self, dfas: &[&PartialDfa]) -> Vec<[u32; 3]> {
        let mut known: HashMap<[u8; 256], u32> = HashMap::new();
        let mut entries = Vec::new();
        let mut placed = Vec::with_capacity(dfas.len());
        for dfa in dfas {
            let classes = *known.entry(dfa.classes).or_insert_with(|| {
                let words = dfa.classes.as_chunks::<4>().0;
                let words: Vec<u32> =
                    words.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
                self.append(&words)
            });
            placed.push([classes, entries.len() as u32, dfa.stride]);
            entries.extend_from_slice(&dfa.entries);
        }
        if entries.len() % 2 == 1 {
            entries.push(0);
        }
        self.header.entries = self.words.len() as u32;
        let pairs = entries.as_chunks::<2>().0;
        self.words.extend(pairs.iter().map(|[low, high]| u32::from(*low) | u32::from(*high) << 16));
        placed
    }

    /// Appends branches, a bitmap of their grams' hashes, and a hash table of lists of branches.
    fn grams(&mut self, branches: &[(u32, &Branch)], tails: &[[u32; 3]]) {
        let records: Vec<BranchRecord> = branches
            .iter()
            .zip(tails)
            .map(|((rule, branch), &[classes, first_entry, stride])| {
                let [front_min, front_max] = branch.front;
                BranchRecord { rule: *rule, front_min, front_max, classes, first_entry, stride }
            })
            .collect();
        self.header.branches = self.append(cast_slice(&records));

        let mut lists: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (index, (_, branch)) in (0..).zip(branches) {
            for gram in &branch.grams {
                let item = index | u32::from(gram.offset) << layout::GRAM_OFFSET_SHIFT;
                lists.entry(u32::from_le_bytes(gram.bytes)).or_default().push(item);
            }
        }
        let mut bitmap = vec![0_u32; layout::BITMAP_WORDS as usize];
        // At most half full, so that probing ends soon.
        let log2 = (lists.len() * 2).next_power_of_two().trailing_zeros().max(1);
        let mut table = vec![[0_u32; 2]; 1 << log2];
        let mut known = HashMap::new();
        for (&gram, list) in &lists {
            let hash = gram.wrapping_mul(layout::GRAM_HASH);
            let bit = hash >> (32 - layout::BITMAP_LOG2);
            bitmap[(bit >> 5) as usize] |= 1 << (bit & 31);
            let mut slot = (hash >> (32 - log2)) as usize;
            while table[slot][1] != 0 {
                slot = (slot + 1) % table.len();
            }
            table[slot] = [gram, self.list(list, &mut known)];
        }
        self.header.bitmap = self.append(&bitmap);
        self.header.gram_table = self.append(cast_slice(&table));
        self.header.gram_table_log2 = log2;
    }

    fn nfas(&mut self, records: &mut [RuleRecord]) {
        let mut known: HashMap<super::nfa::ByteSet, u32> = HashMap::new();
        let mut nodes: Vec<NfaNode> = Vec::new();
        let mut edges: Vec<u32> = Vec::new();
        for (rule, record) in self.rules.iter().zip(records) {
            record.lookahead = rule.nfa.lookahead();
            if !rule.dfa.escapes() {
                continue;
            }
            record.first_node = nodes.len() as u32;
            let first_edge = edges.len() as u32;
            for node in &rule.nfa.nodes {
                let operand = match node.kind {
                    layout::NODE_BYTE => {
                        let set = rule.nfa.sets[node.operand as usize];
                        *known.entry(set).or_insert_with(|| {
                            let at = self.words.len() as u32;
                            self.words.extend_from_slice(&set);
                            at
                        })
                    }
                    _ => node.operand,
                };
                nodes.push(NfaNode {
                    kind: node.kind,
                    operand,
                    edges_begin: first_edge + node.edges_begin,
                    edges_end: first_edge + node.edges_end,
                });
            }
            edges.extend_from_slice(&rule.nfa.edges);
            self.header.nfa_nodes = self.header.nfa_nodes.max(rule.nfa.nodes.len() as u32);
            self.header.nfa_stack = self.header.nfa_stack.max(rule.nfa.stack_depth() as u32);
        }
        self.header.nodes = self.append(cast_slice(&nodes));
        self.header.edges = self.append(&edges);
    }

    /// For every first byte, and for every pair of first bytes, the rules that could match there.
    ///
    /// A rule that many pairs may begin (as `\w+` would) is listed by its first byte, the others by pair:
    /// that keeps the lists small.
    fn candidate_lists(&mut self, filtered: &[bool]) {
        let mut known = HashMap::new();
        let all = vec![true; filtered.len()];
        [self.header.firsts, self.header.pairs] = self.candidate_index(&all, &mut known);
        let rest: Vec<bool> = filtered.iter().map(|filtered| !filtered).collect();
        self.header.has_rest = rest.contains(&true).into();
        if self.header.has_rest != 0 {
            let index = self.candidate_index(&rest, &mut known);
            [self.header.rest_firsts, self.header.rest_pairs] = index;
        }
    }

    /// Appends the lists of the rules that are `included`, and says where their two indices begin.
    fn candidate_index(
        &mut self,
        included: &[bool],
        known: &mut HashMap<Vec<u32>, u32>,
    ) -> [u32; 2] {
        /// Pairs from which a rule is better listed by first byte.
        const WIDE: usize = 512;
        const PAIR_COLUMNS: usize = layout::PAIR_COLUMNS as usize;

        let mut by_first = vec![Vec::new(); 256];
        let mut by_pair = vec![Vec::new(); 256 * PAIR_COLUMNS];
        for (index, rule) in self.rules.iter().enumerate().filter(|(index, _)| included[*index]) {
            let begin = Beginnings::of(&rule.dfa);
            let is_wide = begin.pair_count() > WIDE;
            for first in 0..256 {
                let row = begin.row(first as u8);
                if is_wide {
                    if row.contains(&true) {
                        by_first[first].push(index as u32);
                    }
                    continue;
                }
                for second in 0..PAIR_COLUMNS {
                    let column = begin.column(second);
                    if row[column] {
                        by_pair[first * PAIR_COLUMNS + second].push(index as u32);
                    }
                }
            }
        }
        [self.lists(&by_first, known), self.lists(&by_pair, known)]
    }

    /// Appends lists and then an index of them; says where the index begins.
    fn lists(&mut self, lists: &[Vec<u32>], known: &mut HashMap<Vec<u32>, u32>) -> u32 {
        let index: Vec<u32> = lists.iter().map(|list| self.list(list, known)).collect();
        self.append(&index)
    }

    /// Appends a list, its length first, unless it is known; says where it is.
    fn list(&mut self, list: &[u32], known: &mut HashMap<Vec<u32>, u32>) -> u32 {
        if let Some(&at) = known.get(list) {
            return at;
        }
        let at = self.append(&[list.len() as u32]);
        self.append(list);
        known.insert(list.to_vec(), at);
        at
    }
}

/// Which pairs of first bytes may begin a match of a rule, by byte class.
struct Beginnings<'a> {
    dfa: &'a PartialDfa,
    /// A row for every class of the first byte, a column for every class of the second and the end.
    alive: Vec<Vec<bool>>,
}

impl Beginnings<'_> {
    fn of(dfa: &PartialDfa) -> Beginnings<'_> {
        let class_count = dfa.stride - 1;
        let mut initial: Vec<u32> =
            (0..dfa.stride).map(|before| dfa::target(dfa.entry(0, before))).collect();
        initial.sort_unstable();
        initial.dedup();
        initial.retain(|&row| row != layout::ROW_DEAD);
        let alive = (0..class_count)
            .map(|first| {
                let mut row = vec![false; dfa.stride as usize];
                for &start in &initial {
                    match dfa::target(dfa.entry(start, first)) {
                        layout::ROW_DEAD => {}
                        layout::ROW_ESCAPE => row.fill(true),
                        next => {
                            for second in 0..dfa.stride {
                                let entry = dfa.entry(next, second);
                                row[second as usize] |=
                                    dfa::is_match(entry) || dfa::target(entry) != layout::ROW_DEAD;
                            }
                        }
                    }
                }
                row
            })
            .collect();
        Beginnings { dfa, alive }
    }

    fn row(&self, first: u8) -> &[bool] {
        &self.alive[usize::from(self.dfa.classes[usize::from(first)])]
    }

    fn column(&self, second: usize) -> usize {
        self.dfa.classes.get(second).map_or(self.dfa.stride as usize - 1, |&class| class.into())
    }

    fn pair_count(&self) -> usize {
        let mut width = vec![0_usize; self.dfa.stride as usize];
        (0..layout::PAIR_COLUMNS as usize).for_each(|second| width[self.column(second)] += 1);
        let rows = self.alive.iter().map(|row| {
            row.iter().zip(&width).filter(|(alive, _)| **alive).map(|(_, width)| width).sum()
        });
        let by_class: Vec<usize> = rows.collect();
        (0..=255_u8).map(|first| by_class[usize::from(self.dfa.classes[usize::from(first)])]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PipelineOptions, RulePipeline};

    /// A stamp of one pass must not lie where another keeps its lists: an epoch would come to equal what
    /// was left there, and a thread be taken for one that was met already.
    #[test]
    fn passes_divide_their_scratch_alike() {
        let options = PipelineOptions { dfa_budget: 0, ..PipelineOptions::default() };
        let patterns = ["ab", "(?:[ab]?){200}c", r"(?:\b|a)*b"];
        let rules = RulePipeline::with_options(&patterns, options).unwrap();
        let alone = |rule| pack(std::slice::from_ref(rule), u64::MAX).unwrap()[0].bytes();
        let limit = rules.rules().iter().map(alone).max().unwrap();
        let passes = pack(rules.rules(), limit).unwrap();
        assert!(passes.len() > 1);
        for pass in &passes {
            assert!(pass.bytes() <= limit);
            assert_eq!(pass.header.nfa_nodes, passes[0].header.nfa_nodes);
            assert_eq!(pass.header.nfa_stack, passes[0].header.nfa_stack);
        }
        assert!(passes[0].header.nfa_nodes > 200);
        let RuleTooLarge { pattern_id, bytes } = pack(rules.rules(), 1000).unwrap_err();
        assert_eq!(pattern_id, 0);
        assert!(bytes > 1000);
    }
}
