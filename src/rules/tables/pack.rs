//! Rules laid out as the buffers that kernels read.
//!
//! A pass is as many rules as one table buffer holds. Beside the automata it carries, for every first
//! byte and pair of first bytes, the list of rules that could match there, so that a candidate start
//! meets only those; and for the rules that can be prefiltered the grams to look for.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytemuck::cast_slice;
use rayon::prelude::*;

use crate::MatchKind;
use crate::narrow::narrow;
use crate::rules::automata::glushkov::Glushkov;
use crate::rules::automata::look;
use crate::rules::automata::partial_dfa::PartialDfa;
use crate::rules::automata::position_nfa::ByteSet;
use crate::rules::prefilter::byte_classes::ByteClasses;
use crate::rules::prefilter::confirm;
use crate::rules::prefilter::frequency::most_frequent_grams;
use crate::rules::prefilter::gram::{CLASS_WINDOW, GRAM};
use crate::rules::prefilter::reaches::Buckets;
use crate::rules::tables::start_pairs::StartPairs;
use crate::rules::{Anchor, Rule, Run, Split};
use crate::shaders::layout::{self, NfaNode, PassHeader, RuleRecord, SplitRecord};

/// The tables of one pass.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) header: PassHeader,
    /// What the header points to. The header comes right before it in the buffer.
    pub(crate) words: Vec<u32>,
    /// Words of the largest set of positions.
    pub(crate) set_words: u32,
}

impl Pass {
    pub(crate) fn bytes(&self) -> u64 {
        (PassHeader::WORDS + self.words.len()) as u64 * 4
    }

    /// Scratch words that an NFA walker needs.
    pub(crate) fn walker_words(&self) -> u32 {
        self.header.nfa_stamps + self.header.nfa_lists + 2 * self.header.nfa_stack
    }

    /// Scratch words behind those, for all searches: a start for each thread of their lists.
    pub(crate) fn search_words(&self) -> u32 {
        layout::MOST_SEARCHED * self.header.nfa_lists
    }

    /// Scratch words behind those, for live sets of all searches over so many bytes: `shaders/include/live_sets.glsl`.
    pub(crate) fn live_set_words(&self, bytes: u64) -> u64 {
        let fits = |log2: &u32| 1 << (2 * log2) >= bytes;
        let log2 = (layout::LEAST_BLOCK_LOG2..layout::MOST_BLOCK_LOG2).find(fits);
        let log2 = log2.unwrap_or(layout::MOST_BLOCK_LOG2);
        let sets = (bytes >> log2) + 1 + (1 << log2);
        u64::from(layout::MOST_SEARCHED) * sets * u64::from(self.set_words)
    }
}

/// A single rule's tables are larger than a buffer of this device may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RuleTooLarge {
    pub(crate) pattern_id: u32,
    pub(crate) bytes: u64,
}

/// Words that a GPU fetches at least, of 32 bytes: a cache sector.
const SECTOR_WORDS: usize = 8;

/// How grams are looked for.
#[derive(Clone, Copy)]
pub(crate) struct Grams {
    /// Words of a pass's bitmap, as a power of two.
    pub(crate) bitmap_log2: u32,
    /// Bytes from one gram that is looked at to the next, at most: 1 or 2.
    pub(crate) most_stride: u32,
}

#[cfg(test)]
impl Grams {
    pub(crate) fn of_bitmap(bitmap_log2: u32) -> Grams {
        Grams { bitmap_log2, most_stride: 2 }
    }
}

/// Splits rules into passes whose tables take at most `limit` bytes each.
pub(crate) fn pack(
    rules: &[Rule],
    kind: MatchKind,
    limit: u64,
    Grams { bitmap_log2, most_stride }: Grams,
) -> Result<Vec<Pass>, RuleTooLarge> {
    let stride = gram_stride(rules, bitmap_log2).min(most_stride);
    let of_rule =
        |rule: &Rule| rule.dfa.escapes().then(|| Glushkov::new(&rule.nfa, kind)).flatten();
    let automata: Vec<Option<Glushkov>> = rules.par_iter().map(of_rule).collect();
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
            let part = first..first + count;
            let (rules, automata) = (&rules[part.clone()], &automata[part]);
            let pass = Layout::new(first, rules, automata, bitmap_log2, stride).finish();
            let bytes = pass.bytes();
            if bytes <= limit {
                break pass;
            }
            if count == 1 {
                return Err(RuleTooLarge { pattern_id: narrow(first), bytes });
            }
            count = narrow((count as u64 * limit * 9 / 10 / bytes).clamp(1, count as u64 - 1));
        };
        passes.push(pass);
        first += count;
    }
    // Passes take turns with the same scratch, and stamps have to stay stamps from one to the next.
    let most =
        |of: fn(&PassHeader) -> u32| passes.iter().map(|pass| of(&pass.header)).max().unwrap_or(0);
    let stamps = most(|header| header.nfa_stamps);
    let lists = most(|header| header.nfa_lists);
    let stack = most(|header| header.nfa_stack);
    for Pass { header, .. } in &mut passes {
        header.pattern_count = narrow(rules.len());
        (header.nfa_stamps, header.nfa_lists, header.nfa_stack) = (stamps, lists, stack);
    }
    Ok(passes)
}

/// Whether to look at every byte's gram or at every other one's: at these only if all rules have grams there,
/// and few enough that the bitmap stays sparse.
fn gram_stride(rules: &[Rule], bitmap_log2: u32) -> u32 {
    /// Bits of the bitmap for each gram.
    const SPARSE: usize = 8;

    let mut known = HashSet::new();
    for split in rules.iter().flat_map(|rule| &rule.splits) {
        let Some(others) = &split.other_grams else { return 1 };
        known.extend(split.grams.iter().chain(others).map(|gram| gram.bytes));
    }
    if known.len() <= (32 << bitmap_log2) / SPARSE { 2 } else { 1 }
}

/// The word of the bitmap that a gram's bits are in, folded or not, and those bits.
pub(crate) fn bitmap_bits(gram: u32, header: &PassHeader) -> (u32, u32) {
    let folded = gram | gram >> 1 & layout::GRAM_FOLD;
    let hash = folded.wrapping_mul(layout::GRAM_HASH).wrapping_add(header.gram_salt);
    let bit = |rehash| 1 << (31 - (hash.wrapping_mul(rehash) >> layout::GRAM_BIT));
    let bits = bit(layout::GRAM_FIRST_REHASH) | bit(layout::GRAM_SECOND_REHASH);
    (hash >> (32 - header.bitmap_log2), bits)
}

/// What a hit tells that a split's automata tell exactly. With several splits, a start would have to choose among these
/// first, so that a run tells no more than others.
fn report(split: &Split, is_only: bool) -> u32 {
    let at_end = if split.anchor == Some(Anchor::End) { layout::REPORT_AT_END } else { 0 };
    if !split.is_exact {
        return at_end;
    }
    at_end
        + 1
        + match split.run {
            Some(Run::Lazy) if is_only => layout::REPORT_LAZY,
            Some(Run::Greedy) if is_only => layout::REPORT_GREEDY,
            _ => layout::REPORT_LEAST,
        }
}

/// Bytes of a rule's own tables, about.
pub(crate) fn own_bytes(rule: &Rule) -> u64 {
    let nfa =
        if rule.dfa.escapes() { rule.nfa.nodes.len() * 16 + rule.nfa.edges.len() * 4 } else { 0 };
    let splits: usize = rule
        .splits
        .iter()
        .map(|split| {
            let dfas = split.suffix.iter().chain(&split.reverse_prefix);
            split.grams.len() * 24 + dfas.map(|dfa| dfa.entries.len() * 2).sum::<usize>()
        })
        .sum();
    (nfa + splits + rule.dfas().map(|dfa| dfa.entries.len() * 2).sum::<usize>()) as u64
}

/// Bytes from a match's start within which its gram or class window ends, for every rule whose prefixes are bounded; none
/// if no rule has splits.
pub(crate) fn reach(rules: &[Rule]) -> Option<u32> {
    let splits = rules.iter().flat_map(|rule| &rule.splits);
    let offsets = |split: &Split| {
        let grams = split.grams.iter().map(|gram| u32::from(gram.offset) + narrow::<_, u32>(GRAM));
        let class_windows = split
            .class_windows
            .iter()
            .map(|found| u32::from(found.offset) + narrow::<_, u32>(CLASS_WINDOW));
        grams.chain(class_windows).max()
    };
    splits
        .filter(|split| !split.is_unbounded())
        .map(|split| split.prefix[1].saturating_add(offsets(split).unwrap_or(0)))
        .max()
}

struct Layout<'a> {
    first_id: usize,
    rules: &'a [Rule],
    automata: &'a [Option<Glushkov>],
    words: Vec<u32>,
    header: PassHeader,
}

impl<'a> Layout<'a> {
    fn new(
        first_id: usize,
        rules: &'a [Rule],
        automata: &'a [Option<Glushkov>],
        bitmap_log2: u32,
        gram_stride: u32,
    ) -> Layout<'a> {
        let header = PassHeader { bitmap_log2, gram_stride, ..PassHeader::default() };
        Layout { first_id, rules, automata, words: Vec::new(), header }
    }

    fn finish(mut self) -> Pass {
        let mut prefiltered = self.prefiltered_rules();
        let rules = self.rules;
        let byte_classes = ByteClasses::of(rules, &mut prefiltered);
        let splits: Vec<(u32, &Split)> = (0..)
            .zip(rules)
            .filter(|(rule, _)| prefiltered[*rule as usize])
            .flat_map(|(index, rule)| rule.splits.iter().map(move |split| (index, split)))
            .collect();
        let own = rules.iter().map(|rule| &rule.dfa);
        let relaxed = rules.iter().flat_map(|rule| &rule.relaxed);
        let of_splits =
            splits.iter().flat_map(|(_, split)| split.suffix.iter().chain(&split.reverse_prefix));
        let placed = self.dfas(&own.chain(relaxed).chain(of_splits).collect::<Vec<_>>());
        let (of_rules, others) = placed.split_at(rules.len());
        let record = |(pattern_id, &[classes, first_entry, stride]): (u32, &[u32; 3])| RuleRecord {
            pattern_id,
            classes,
            first_entry,
            stride,
            ..RuleRecord::default()
        };
        let mut records: Vec<RuleRecord> =
            (narrow(self.first_id)..).zip(of_rules).map(record).collect();
        self.fronts(&mut records);
        self.nfas(&mut records);
        let mut of_splits = others.iter();
        for index in (0..rules.len()).filter(|&index| rules[index].relaxed.is_some()) {
            let place = of_splits.next().expect("all DFAs have places");
            records[index].relaxed = narrow::<_, u32>(records.len());
            let RuleRecord { pattern_id, longest, .. } = records[index];
            records.push(RuleRecord {
                longest,
                has_counter_steps: 1,
                ..record((pattern_id, place))
            });
        }
        // Behind the header, each begins with a cache sector.
        while !(PassHeader::WORDS + self.words.len()).is_multiple_of(SECTOR_WORDS) {
            self.words.push(0);
        }
        self.header.rules = self.append(cast_slice(&records));
        self.splits(&splits, of_rules, of_splits.as_slice());
        self.grams(&splits);
        self.class_windows(&splits, &byte_classes);
        self.candidate_lists(&prefiltered);
        if rules.iter().any(|rule| rule.nfa.nodes.iter().any(|node| look::is_unicode(node.kind))) {
            let ranges = look::word_ranges();
            self.header.word_ranges = self.append(cast_slice(&ranges));
            self.header.word_range_count = narrow::<_, u32>(ranges.len());
        }
        Pass {
            header: self.header,
            words: self.words,
            set_words: self.automata.iter().flatten().map(Glushkov::set_words).max().unwrap_or(0),
        }
    }

    /// The rules to look for by gram: those that have any, as long as there are not too many in all.
    fn prefiltered_rules(&self) -> Vec<bool> {
        const MOST_GRAMS: usize = 1 << 20;
        /// A posting has so many bits for its split.
        const MOST_SPLITS: usize = 1 << layout::GRAM_OFFSET_SHIFT;

        let grams_of = |rule: &Rule| rule.splits.iter().map(|split| split.grams.len()).sum();
        let rules = self.rules.iter().zip(0..).filter(|(rule, _)| !rule.splits.is_empty());
        let mut by_grams: Vec<(usize, usize)> =
            rules.map(|(rule, index)| (grams_of(rule), index)).collect();
        by_grams.sort_unstable();
        let mut prefiltered = vec![false; self.rules.len()];
        let mut known = HashSet::new();
        let mut split_count = 0;
        for (_, index) in by_grams {
            split_count += self.rules[index].splits.len();
            let grams = self.rules[index].splits.iter().flat_map(|split| &split.grams);
            known.extend(grams.map(|gram| gram.bytes));
            if known.len() > MOST_GRAMS || split_count > MOST_SPLITS {
                break;
            }
            prefiltered[index] = true;
        }
        prefiltered
    }

    /// Appends words and says where they begin.
    fn append(&mut self, words: &[u32]) -> u32 {
        let at = narrow::<_, u32>(self.words.len());
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
            placed.push([classes, narrow::<_, u32>(entries.len()), dfa.stride]);
            entries.extend_from_slice(&dfa.entries);
        }
        if entries.len() % 2 == 1 {
            entries.push(0);
        }
        let first = 2 * narrow::<_, u32>(self.words.len());
        placed.iter_mut().for_each(|[_, first_entry, _]| *first_entry += first);
        let pairs = entries.as_chunks::<2>().0;
        self.words.extend(pairs.iter().map(|[low, high]| u32::from(*low) | u32::from(*high) << 16));
        placed
    }

    /// Appends splits. Where the DFAs are of all rules, and then of the splits, is known.
    fn splits(
        &mut self,
        splits: &[(u32, &Split)],
        of_rules: &[[u32; 3]],
        mut of_splits: &[[u32; 3]],
    ) {
        let mut take = || of_splits.split_off_first().copied().expect("all DFAs have places");
        let records: Vec<SplitRecord> = splits
            .iter()
            .map(|(rule, split)| {
                let [prefix_min, prefix_max] = split.prefix;
                let [classes, first_entry, stride] = match split.suffix {
                    Some(_) => take(),
                    None => of_rules[*rule as usize],
                };
                let [reverse_prefix_classes, reverse_prefix_first_entry, reverse_prefix_stride] =
                    match split.reverse_prefix {
                        Some(_) => take(),
                        None => [0; 3],
                    };
                SplitRecord {
                    rule: *rule,
                    prefix_min,
                    prefix_max,
                    classes,
                    first_entry,
                    stride,
                    reverse_prefix_classes,
                    reverse_prefix_first_entry,
                    reverse_prefix_stride,
                    report: report(split, self.rules[*rule as usize].splits.len() == 1),
                }
            })
            .collect();
        self.header.splits = self.append(cast_slice(&records));
        let anchored = |anchor| -> Vec<u32> {
            (0..)
                .zip(splits)
                .filter(|(_, (_, split))| split.anchor == Some(anchor))
                .map(|(index, _)| index | 1 << layout::GRAM_OFFSET_SHIFT)
                .collect()
        };
        let mut known = HashMap::new();
        self.header.at_start = self.list(&anchored(Anchor::Start), &mut known);
        self.header.at_end = self.list(&anchored(Anchor::End), &mut known);
    }

    /// Appends a bitmap of the grams' hashes, and a hash table of lists of splits.
    fn grams(&mut self, splits: &[(u32, &Split)]) {
        let mut lists: BTreeMap<u32, Vec<[u32; 2]>> = BTreeMap::new();
        for (index, (_, split)) in (0..).zip(splits) {
            let others = if self.header.gram_stride == 1 { &None } else { &split.other_grams };
            for gram in split.grams.iter().chain(others.iter().flatten()) {
                let posting = index | u32::from(gram.offset) << layout::GRAM_OFFSET_SHIFT;
                let list = lists.entry(u32::from_le_bytes(gram.bytes)).or_default();
                list.push([posting, gram.confirm_mask]);
            }
        }
        let (salt, bitmap) = self.bitmap(&lists.keys().copied().collect::<Vec<_>>());
        self.header.gram_salt = salt;
        // At most a fourth full: as many are looked up together as a subgroup has invocations, and wait for the last one.
        let log2 = (lists.len() * 4).next_power_of_two().trailing_zeros().max(1);
        let mut table = vec![layout::NO_GRAM; 1 << log2];
        let mut gram_lists = vec![[0_u32; layout::GRAM_LIST_WORDS as usize]; 1 << log2];
        let mut known = HashMap::new();
        for (&gram, list) in &lists {
            let mut slot = (gram.wrapping_mul(layout::GRAM_HASH) >> (32 - log2)) as usize;
            while table[slot] != layout::NO_GRAM {
                slot = (slot + 1) % table.len();
            }
            table[slot] = gram;
            gram_lists[slot] = match list[..] {
                [[posting, confirm_mask]] => [posting | layout::GRAM_ONLY_POSTING, confirm_mask],
                _ => [self.pairs(list, &mut known), 0],
            };
        }
        self.header.bitmap = self.append(&bitmap);
        self.header.gram_table = self.append(&table);
        self.header.gram_table_log2 = log2;
        self.header.gram_lists = self.append(gram_lists.as_flattened());
        self.header.byte_kinds = self.append(&confirm::byte_kinds());
    }

    /// A bitmap of grams, and its salt: of those that were tried, the one with which it takes the fewest of the most frequent
    /// grams of typical data for one of its own.
    fn bitmap(&self, grams: &[u32]) -> (u32, Vec<u32>) {
        const TRIED: u32 = 16;

        let bitmap = |salt: u32| {
            let header = PassHeader { gram_salt: salt, ..self.header };
            let mut bitmap = vec![0_u32; 1 << header.bitmap_log2];
            for &gram in grams {
                let (word, bits) = bitmap_bits(gram, &header);
                bitmap[word as usize] |= bits;
            }
            let passes = |(gram, share): (u32, f64)| {
                let (word, bits) = bitmap_bits(gram, &header);
                if bitmap[word as usize] & bits == bits { share } else { 0.0 }
            };
            let expected: f64 = most_frequent_grams().map(passes).sum();
            (expected, salt, bitmap)
        };
        let tried = (1..=TRIED).map(|index| bitmap(index.wrapping_mul(layout::GRAM_FIRST_REHASH)));
        let best = tried.min_by(|(one, ..), (other, ..)| one.total_cmp(other));
        let (_, salt, bitmap) = best.expect("several are tried");
        (salt, bitmap)
    }

    /// Appends what tells that there is no class window, what tells them apart, and their lists of splits.
    fn class_windows(&mut self, splits: &[(u32, &Split)], byte_classes: &ByteClasses) {
        let mut lists: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (index, (_, split)) in (0..).zip(splits) {
            for class_window in &split.class_windows {
                // Counted from the byte before, as grams' offsets are.
                let offset = u32::from(class_window.offset) + 1;
                let posting = index | offset << layout::GRAM_OFFSET_SHIFT;
                for number in byte_classes.spell(class_window) {
                    lists.entry(number).or_default().push(posting);
                }
            }
        }
        self.header.has_class_windows = (!lists.is_empty()).into();
        if lists.is_empty() {
            return;
        }
        let classes = byte_classes.of_byte.as_chunks::<4>().0;
        let classes: Vec<u32> = classes.iter().map(|four| u32::from_le_bytes(*four)).collect();
        self.header.byte_classes = self.append(&classes);
        let all = splits.iter().flat_map(|(_, split)| &split.class_windows);
        self.header.class_reaches = self.append(&Buckets::of(all).reaches());
        let rows = layout::CLASS_WINDOW_BYTES * layout::CLASS_WINDOW_CLASS_BITS;
        let mut index = vec![0_u32; 1 << rows];
        let mut known = HashMap::new();
        for (number, mut list) in lists {
            list.sort_unstable();
            list.dedup();
            index[number as usize] = self.list(&list, &mut known);
        }
        self.header.class_window_lists = self.append(&index);
    }

    fn fronts(&mut self, records: &mut [RuleRecord]) {
        let mut known: HashMap<ByteSet, u32> = HashMap::new();
        for (rule, record) in self.rules.iter().zip(records) {
            if let Some(front) = rule.front {
                // Behind the DFAs, and so never at 0.
                record.front = *known.entry(front).or_insert_with(|| self.append(&front));
                self.header.has_fronts = 1;
            }
        }
    }

    fn nfas(&mut self, records: &mut [RuleRecord]) {
        let mut known: HashMap<ByteSet, u32> = HashMap::new();
        let mut nodes: Vec<NfaNode> = Vec::new();
        let mut edges: Vec<u32> = Vec::new();
        for ((rule, record), glushkov) in self.rules.iter().zip(records).zip(self.automata) {
            record.lookahead = rule.nfa.lookahead();
            record.longest = rule.nfa.longest_match().unwrap_or(layout::UNBOUNDED);
            if !rule.dfa.escapes() {
                continue;
            }
            record.node_count = narrow::<_, u32>(rule.nfa.nodes.len());
            record.first_node = narrow::<_, u32>(nodes.len());
            let first_edge = narrow::<_, u32>(edges.len());
            record.first_edge = first_edge;
            record.edge_count = narrow::<_, u32>(rule.nfa.edges.len());
            let positions = glushkov.as_ref().map(|glushkov| glushkov.positions(&rule.nfa));
            for (index, node) in rule.nfa.nodes.iter().enumerate() {
                let operand = match node.kind {
                    layout::NODE_BYTE => {
                        let set = rule.nfa.sets[node.operand as usize];
                        *known.entry(set).or_insert_with(|| {
                            let at = narrow::<_, u32>(self.words.len());
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
                    position: positions.as_ref().map_or(0, |positions| positions[index]),
                });
            }
            edges.extend(rule.nfa.edges.iter().map(
                |&edge| match rule.nfa.nodes.get(edge as usize) {
                    Some(node) if node.kind != layout::NODE_BYTE => edge | layout::EDGE_OTHER,
                    _ => edge,
                },
            ));
            if let Some(glushkov) = glushkov {
                let at = narrow::<_, u32>(self.words.len());
                let classes = record.stride - 1;
                record.glushkov = at;
                self.words.extend(glushkov.words(&rule.nfa, &rule.dfa.classes, classes, at));
            }
            let [stamps, lists] = match record.node_count {
                // In shared memory, and with the lists from one round to the next.
                count @ ..=layout::NFA_SMALL_NODES => [0, 3 * count],
                count => [count, 2 * count],
            };
            self.header.nfa_stamps = self.header.nfa_stamps.max(stamps);
            self.header.nfa_lists = self.header.nfa_lists.max(lists);
            self.header.nfa_stack =
                self.header.nfa_stack.max(narrow::<_, u32>(rule.nfa.stack_depth()));
        }
        self.header.nodes = self.append(cast_slice(&nodes));
        self.header.edges = self.append(&edges);
    }

    /// For every first byte, and for every pair of first bytes, the rules that could match there.
    ///
    /// A rule that many pairs may begin (as `\w+` would) is listed by its first byte, the others by pair:
    /// that keeps the lists small.
    fn candidate_lists(&mut self, prefiltered: &[bool]) {
        let mut known = HashMap::new();
        let all = vec![true; prefiltered.len()];
        let rest: Vec<bool> = prefiltered.iter().map(|prefiltered| !prefiltered).collect();
        let is_long = |rule: &Rule| rule.splits.iter().any(Split::is_unbounded);
        let long: Vec<bool> =
            rest.iter().zip(self.rules).map(|(rest, rule)| *rest || is_long(rule)).collect();
        self.header.has_rest = rest.contains(&true).into();
        self.header.has_long = long.contains(&true).into();
        let [all, rest, long] = {
            let mut indices: HashMap<Vec<bool>, [u32; 2]> = HashMap::new();
            [all, rest, long].map(|included| match indices.get(&included) {
                Some(index) => *index,
                None if !included.contains(&true) => [0; 2],
                None => {
                    let index = self.candidate_index(&included, &mut known);
                    indices.insert(included, index);
                    index
                }
            })
        };
        [self.header.firsts, self.header.pairs] = all;
        [self.header.rest_firsts, self.header.rest_pairs] = rest;
        [self.header.long_firsts, self.header.long_pairs] = long;
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
            let begin = StartPairs::of(&rule.dfa);
            let is_wide = begin.pair_count() > WIDE;
            for first in 0..256 {
                let row = begin.row(narrow(first));
                if is_wide {
                    if row.contains(&true) {
                        by_first[first].push(narrow(index));
                    }
                    continue;
                }
                for second in 0..PAIR_COLUMNS {
                    let column = begin.column(second);
                    if row[column] {
                        by_pair[first * PAIR_COLUMNS + second].push(narrow(index));
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

    /// Appends a list of pairs, their number first, unless it is known; says where it is.
    fn pairs(&mut self, pairs: &[[u32; 2]], known: &mut HashMap<Vec<[u32; 2]>, u32>) -> u32 {
        if let Some(&at) = known.get(pairs) {
            return at;
        }
        let at = self.append(&[narrow::<_, u32>(pairs.len())]);
        self.append(pairs.as_flattened());
        known.insert(pairs.to_vec(), at);
        at
    }

    /// Appends a list, its length first, unless it is known; says where it is.
    fn list(&mut self, list: &[u32], known: &mut HashMap<Vec<u32>, u32>) -> u32 {
        if let Some(&at) = known.get(list) {
            return at;
        }
        let at = self.append(&[narrow::<_, u32>(list.len())]);
        self.append(list);
        known.insert(list.to_vec(), at);
        at
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
        let kind = MatchKind::LeftmostFirst;
        let alone = |rule| {
            pack(std::slice::from_ref(rule), kind, u64::MAX, Grams::of_bitmap(11)).unwrap()[0]
                .bytes()
        };
        let limit = rules.rules().iter().map(alone).max().unwrap();
        let passes = pack(rules.rules(), kind, limit, Grams::of_bitmap(11)).unwrap();
        assert!(passes.len() > 1);
        for pass in &passes {
            assert!(pass.bytes() <= limit);
            assert_eq!(pass.header.nfa_stamps, passes[0].header.nfa_stamps);
            assert_eq!(pass.header.nfa_lists, passes[0].header.nfa_lists);
            assert_eq!(pass.header.nfa_stack, passes[0].header.nfa_stack);
        }
        assert!(passes[0].header.nfa_lists > 3 * 200);
        let RuleTooLarge { pattern_id, bytes } =
            pack(rules.rules(), kind, 1000, Grams::of_bitmap(11)).unwrap_err();
        assert_eq!(pattern_id, 0);
        assert!(bytes > 1000);
    }
}
