//! The kernels' CPU twins: one function for each file in `shaders/`, on the same buffers.
//!
//! They are what the kernels are compared with, stage by stage, and the easiest place to watch one at
//! work. Invocations run one after the other here, so where kernels race for tasks the order of hits
//! and tasks differs, and nothing else.

mod ceilings;
mod chains;
mod chunk_summaries;
mod claim;
mod class_prefilter;
mod compose_summaries;
mod confirm;
mod front;
mod glushkov;
mod gram_prefilter;
mod look;
mod retire;
mod schedule;
mod select;
mod select_many;
mod sort_hits;
mod verify_dfa;
mod verify_nfa;

pub(crate) use ceilings::{READ_GROUPS, measure_read, measure_walk};
pub(crate) use chunk_summaries::chunk_summaries;
pub(crate) use claim::claim;
pub(crate) use class_prefilter::class_prefilter;
pub(crate) use compose_summaries::compose_summaries;
pub(crate) use confirm::confirm;
pub(crate) use gram_prefilter::gram_prefilter;
pub(crate) use retire::retire;
pub(crate) use schedule::schedule;
pub(crate) use select::select;
pub(crate) use select_many::{enter_tiles, link_tiles, select_tiles, write_matches};
pub(crate) use sort_hits::{count_digits, move_hits, sum_digits};
pub(crate) use verify_dfa::verify_dfa;
pub(crate) use verify_nfa::verify_nfa;

use crate::MatchKind;
use crate::rules::tables::pack::Pass;
use crate::shaders::layout::{
    self, Candidate, ChunkSummary, Control, Hit, Link, NfaNode, NfaWalker, PassHeader,
    ReadbackHeader, RuleRecord, ScanParams, Slot, StartWalker, Tally, Task, Tile,
};

/// The name of a summary.
fn summary_name(rule: u32, row: u32) -> u32 {
    (rule << layout::SUMMARY_ROW_BITS | row) + 1
}

/// The rule that a summary is named by.
fn rule_of_summary(name: u32) -> u32 {
    (name - 1) >> layout::SUMMARY_ROW_BITS
}

/// Chunks that lie in the haystack as a whole.
fn chunk_count(params: &ScanParams) -> u32 {
    if params.chunk_log2 == 0 { 0 } else { params.haystack_len >> params.chunk_log2 }
}

/// Parts of the haystack that compositions end with.
fn compose_parts(params: &ScanParams) -> u32 {
    layout::COMPOSE_PARTS.max(chunk_count(params).div_ceil(layout::COMPOSE_CHUNKS))
}

/// Hits of a tile, unless a test says otherwise.
const SELECT_TILE: u32 = 64;

/// Steps of `verify_nfa` for each byte of a haystack, after which rules are searched for.
const SEARCH_AFTER: u32 = 2;

/// Words of the selection buffer for so many hits.
fn selection_words(hits: u32) -> usize {
    let of_hits = hits as usize * (Hit::WORDS + 1 + Link::WORDS);
    let of_tile = Tile::WORDS + layout::DIGITS as usize;
    of_hits + hits.div_ceil(SELECT_TILE) as usize * of_tile + layout::DIGITS as usize
}

/// What the kernels bind.
#[derive(Clone)]
pub(crate) struct Buffers {
    pub(crate) match_kind: MatchKind,
    pub(crate) tables: Pass,
    pub(crate) haystack: Vec<u8>,
    /// The bytes behind it.
    pub(crate) past_end: u8,
    pub(crate) hit_count: u32,
    pub(crate) hits: Vec<Hit>,
    pub(crate) hit_suffixes: Vec<u32>,
    pub(crate) control: Control,
    pub(crate) start_walkers: Vec<StartWalker>,
    pub(crate) queue: Vec<Task>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) summaries: Vec<ChunkSummary>,
    /// Words of shaders/include/layout/selection.glsl, and hits of a tile.
    pub(crate) selection: Vec<u32>,
    pub(crate) select_tile: u32,
    pub(crate) nfa_walkers: Vec<NfaWalker>,
    pub(crate) scratch: Vec<u32>,
    /// The ring; empty unless items are packed.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) slots: Vec<Slot>,
}

/// Where what a walk sees begins and ends.
#[derive(Clone, Copy)]
struct Text {
    begin: u32,
    end: u32,
}

/// The place of a slot of this scan in the ring.
fn slot_place(params: &ScanParams, index: u32) -> usize {
    (params.ring_first + (params.first_slot + index) % params.ring_slots) as usize
}

/// Whether a slot's item is looked at in this scan.
fn is_claimed(params: &ScanParams, slot: Slot) -> bool {
    matches!(slot.state, layout::SLOT_CLAIMED | layout::SLOT_DONE)
        && slot.epoch == params.epoch
        && slot.tenant == params.tenant
}

/// Budget that entering a packed item is charged to.
fn enter_steps(params: &ScanParams) -> u32 {
    layout::SEARCH_STEPS * (u32::BITS - params.slot_count.leading_zeros())
}

impl Buffers {
    /// Buffers as they are when a session is made, of the sizes that `params` tells.
    pub(crate) fn new(
        match_kind: MatchKind,
        tables: Pass,
        haystack: &[u8],
        params: &ScanParams,
    ) -> Buffers {
        let walker_words = tables.walker_words();
        let live_set_words = tables.live_set_words(haystack.len() as u64) as u32;
        let search_words = tables.search_words() + live_set_words;
        Buffers {
            match_kind,
            tables,
            haystack: haystack.to_vec(),
            past_end: 0,
            hit_count: 0,
            hits: vec![Hit::default(); params.hit_capacity as usize],
            hit_suffixes: vec![0; params.hit_capacity as usize],
            control: Control::default(),
            start_walkers: vec![StartWalker::default(); params.start_walkers as usize],
            queue: vec![Task::default(); params.queue_capacity as usize],
            candidates: vec![
                Candidate::default();
                (params.candidate_capacity + params.start_capacity) as usize
            ],
            summaries: vec![
                ChunkSummary::default();
                (layout::MOST_SUMMARIES * chunk_count(params)) as usize
            ],
            selection: vec![0; selection_words(params.hit_capacity)],
            select_tile: SELECT_TILE,
            nfa_walkers: vec![NfaWalker::default(); params.nfa_walkers as usize],
            scratch: vec![0; (walker_words * params.nfa_walkers + search_words) as usize],
            tallies: vec![Tally::default(); layout::MOST_TENANTS as usize],
            slots: vec![Slot::default(); (params.ring_first + params.ring_slots) as usize],
        }
    }

    fn header(&self) -> &PassHeader {
        &self.tables.header
    }

    fn word(&self, at: u32) -> u32 {
        self.tables.words[at as usize]
    }

    fn record<T: bytemuck::Pod>(&self, table: u32, index: u32) -> T {
        let words = size_of::<T>() / 4;
        let at = table as usize + index as usize * words;
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&self.tables.words[at..at + words]))
    }

    fn rule(&self, index: u32) -> RuleRecord {
        self.record(self.header().rules, index)
    }

    fn node(&self, index: u32) -> NfaNode {
        self.record(self.header().nodes, index)
    }

    fn class_of(&self, classes: u32, byte: u8) -> u32 {
        self.word(classes + u32::from(byte >> 2)).to_le_bytes()[usize::from(byte & 3)].into()
    }

    fn dfa_entry(&self, first_entry: u32, stride: u32, row: u32, class: u32) -> u32 {
        let at = first_entry + row * stride + class;
        self.word(at >> 1) >> ((at & 1) * 16) & 0xFFFF
    }

    /// What walks in the item see that `at` lies in, its end included; all of the haystack, unless items are packed.
    fn text(&self, params: &ScanParams, at: u32) -> Option<Text> {
        if params.ring_slots == 0 {
            return Some(Text { begin: 0, end: params.haystack_len });
        }
        let slots = (0..params.slot_count).map(|index| self.slots[slot_place(params, index)]);
        let slot = slots.take_while(|slot| slot.begin <= at).last()?;
        (is_claimed(params, slot) && at <= slot.end)
            .then_some(Text { begin: slot.begin, end: slot.end })
    }

    /// The row that a walk from `start` begins in.
    fn first_row(&self, text: Text, [classes, first_entry, stride]: [u32; 3], start: u32) -> u32 {
        let before = if start == text.begin {
            stride - 1
        } else {
            self.class_of(classes, self.byte(start - 1))
        };
        self.dfa_entry(first_entry, stride, 0, before) >> 1
    }

    /// The entry for what a walk in a row comes to at `at`, over a byte of that class.
    fn walk_entry(&self, rule: &RuleRecord, mut row: u32, at: u32, class: u32) -> u32 {
        if rule.has_counter_steps != 0 && at.is_multiple_of(layout::COUNTER_STEP_BYTES) {
            row = self.dfa_entry(rule.first_entry, rule.stride, row, rule.stride - 2) >> 1;
            if row == layout::ROW_DEAD || row == layout::ROW_ESCAPE {
                return row << 1;
            }
        }
        self.dfa_entry(rule.first_entry, rule.stride, row, class)
    }

    fn byte(&self, at: u32) -> u8 {
        self.haystack[at as usize]
    }

    /// Walks on from a row over a byte: the row it leads to, and whether the rule matches before the byte.
    fn step(&self, rule: &RuleRecord, row: u32, at: u32) -> (u32, bool) {
        let class = self.class_of(rule.classes, self.byte(at));
        let entry = self.walk_entry(rule, row, at, class);
        (entry >> 1, entry & layout::ENTRY_MATCH != 0)
    }

    /// Whether there are rules that have to be verified from every start.
    fn has_lists(&self, params: &ScanParams) -> bool {
        match params.use_prefilter {
            _ if params.has_listed != 0 => true,
            layout::PREFILTER_NONE => true,
            layout::PREFILTER_BOUNDED => self.header().has_long != 0,
            _ => self.header().has_rest != 0,
        }
    }

    /// The `RETRY_*` bits of a pass whose suffixes have been looked at.
    fn retry_reasons(&self, params: &ScanParams) -> u32 {
        let Control { candidate_count, start_count, retry_reasons, .. } = self.control;
        let fits =
            candidate_count <= params.candidate_capacity && start_count <= params.start_capacity;
        retry_reasons | if fits { 0 } else { layout::RETRY_CANDIDATES }
    }

    /// Has a rule verified from every start, in the next run. False if there is no room.
    fn list_rule(&mut self, params: &ScanParams, rule: u32) -> bool {
        let listed = &mut self.control.listed;
        let place = listed.iter().position(|&known| known == 0 || known == rule + 1);
        let place = place.filter(|_| params.pass_count == 1);
        if let Some(place) = place {
            listed[place] = rule + 1;
            self.control.retry_reasons |= layout::RETRY_LISTED;
        }
        place.is_some()
    }

    fn is_listed(&self, rule: u32) -> bool {
        self.control.listed.contains(&(rule + 1)) || self.is_searched(rule)
    }

    fn is_searched(&self, rule: u32) -> bool {
        self.control.searched.contains(&(rule + 1))
    }

    /// Adds to a counter of the tenant.
    fn tally(&mut self, params: &ScanParams, counter: u32, value: u32) {
        let Tally { low, high } = &mut self.tallies[params.tenant as usize];
        let (low, high) = (&mut low[counter as usize], &mut high[counter as usize]);
        let sum = (u64::from(*high) << 32 | u64::from(*low)) + u64::from(value);
        (*low, *high) = (sum as u32, (sum >> 32) as u32);
    }

    /// Whether a scan is over, where a run ends.
    fn is_over(&self, params: &ScanParams) -> bool {
        match params.stage {
            layout::SCHEDULE_CONFIRMED => {
                self.retry_reasons(params) != 0 || self.leaves_nothing(params)
            }
            _ => self.control.pass >= params.pass_count,
        }
    }

    /// The `RETRY_*` bits where a run ends.
    fn run_retry_reasons(&self, params: &ScanParams) -> u32 {
        match params.stage {
            layout::SCHEDULE_CONFIRMED => self.retry_reasons(params),
            _ => self.control.retry_reasons,
        }
    }

    /// The head of what is read back where a run ends.
    fn readback_header(&self, params: &ScanParams) -> ReadbackHeader {
        ReadbackHeader {
            pass: if self.is_over(params) { params.pass_count } else { self.control.pass },
            hit_count: self.hit_count,
            rounds: self.control.rounds,
            retry_reasons: self.run_retry_reasons(params),
            verified_again: self.control.verified_again,
            ..ReadbackHeader::default()
        }
    }

    /// Whether the suffixes of a pass have left nothing to do.
    fn leaves_nothing(&self, params: &ScanParams) -> bool {
        self.retry_reasons(params) == 0 && self.control.start_count == 0 && !self.has_lists(params)
    }

    /// How many of the start walkers there are for each candidate start.
    fn spread(&self, params: &ScanParams) -> u32 {
        let for_each = params.start_walkers / self.control.start_count.max(1);
        1 << for_each.checked_ilog2().unwrap_or(0).min(layout::MOST_SPREAD_LOG2)
    }

    /// Reports a hit. False if the scan has been given up.
    fn emit(&mut self, params: &ScanParams, hit: Hit) -> bool {
        self.emit_report(params, hit, layout::NO_SUFFIX)
    }

    /// Reports a hit, and the suffix that told of it. False if the scan has been given up.
    fn emit_report(&mut self, params: &ScanParams, hit: Hit, suffix: u32) -> bool {
        let at = self.hit_count;
        if self.hit_count < params.hit_capacity {
            self.hits[self.hit_count as usize] = hit;
            self.hit_suffixes[self.hit_count as usize] = suffix;
        }
        self.hit_count += 1;
        at <= params.hit_stop
    }
}

mod kernels;
mod loaded;
mod tests;
