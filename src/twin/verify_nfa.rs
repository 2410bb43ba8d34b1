//! The twin of `shaders/verify_nfa.comp`, one edge at a time: it leaves the same hits, and walkers of its own.

use super::{Buffers, Text, enter_steps, glushkov, look};
use crate::MatchKind;
use crate::rules::automata::look::{is_unicode, is_word_byte};
use crate::shaders::layout::{
    self, Control, GlushkovRecord, Hit, NfaNode, NfaWalker, RuleRecord, ScanParams,
};

pub(crate) fn verify_nfa(buffers: &mut Buffers, params: &ScanParams) {
    (0..params.nfa_walkers).for_each(|id| invocation(buffers, params, id));
}

fn can_judge(params: &ScanParams, text: Text, at: u32, lookahead: u32) -> bool {
    params.is_final != 0 || text.end - at >= lookahead
}

fn look_holds(
    buffers: &Buffers,
    text: Text,
    node: &NfaNode,
    at: u32,
    step_count: &mut u32,
) -> bool {
    if is_unicode(node.kind) {
        *step_count += layout::UNICODE_LOOK_STEPS;
    }
    let haystack = &buffers.haystack[text.begin as usize..text.end as usize];
    let at = (at - text.begin) as usize;
    look::holds(node.kind, node.operand as u8, haystack, at, |character| {
        is_word(buffers, character, step_count)
    })
}

/// Searches the ranges of `\w`, and charges every turn to the budget.
fn is_word(buffers: &Buffers, character: char, step_count: &mut u32) -> bool {
    if let Ok(byte @ 0..0x80) = u8::try_from(character) {
        return is_word_byte(byte);
    }
    let range = |index: u32| {
        let at = buffers.header().word_ranges + index * 2;
        [buffers.word(at), buffers.word(at + 1)]
    };
    let (mut low, mut high) = (0, buffers.header().word_range_count);
    while low < high {
        *step_count += 1;
        let middle = (low + high) / 2;
        if range(middle)[1] < character as u32 {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low < buffers.header().word_range_count && range(low)[0] <= character as u32
}

fn is_small(rule: &RuleRecord) -> bool {
    rule.node_count <= layout::NFA_SMALL_NODES
}

/// Begins the walk in the order of preference.
fn begin_in_order(buffers: &Buffers, rule: &RuleRecord, walker: &mut NfaWalker) {
    // Node 0 leads to where the rule starts.
    let root = buffers.node(rule.first_node);
    let epoch = walker.epoch + 1;
    let is_ready = !is_small(rule) && epoch < layout::NFA_EPOCH_LIMIT;
    *walker = NfaWalker {
        generation: walker.generation,
        mode: if is_ready { layout::NFA_WALKING } else { layout::NFA_CLEARING },
        epoch,
        rule: walker.rule,
        start: walker.start,
        from: walker.from,
        last: walker.start,
        at: walker.start,
        edge: root.edges_begin,
        edge_end: root.edges_end,
        ..NfaWalker::default()
    };
}

/// Goes on with a search, for matches from `at` on.
fn search_from(rule: &RuleRecord, walker: &mut NfaWalker, at: u32) {
    let epoch = walker.epoch + 1;
    let is_ready = (walker.is_search == 1 || !is_small(rule)) && epoch < layout::NFA_EPOCH_LIMIT;
    *walker = NfaWalker {
        generation: walker.generation,
        mode: if is_ready { layout::NFA_WALKING } else { layout::NFA_CLEARING },
        epoch,
        rule: walker.rule,
        start: at,
        from: at,
        last: at,
        at,
        is_search: 1,
        ..NfaWalker::default()
    };
}

/// Where a search begins: behind what matches of earlier parts of the haystack cover.
fn search_begin(buffers: &Buffers, params: &ScanParams, rule: &RuleRecord) -> u32 {
    let carried = buffers.hits[..buffers.control.carried as usize].iter();
    let own = carried.filter(|hit| hit.pattern_id == rule.pattern_id);
    own.map(|hit| hit.end).fold(params.first_start, u32::max)
}

fn invocation(buffers: &mut Buffers, params: &ScanParams, id: u32) {
    if buffers.control.pass != params.pass {
        return;
    }
    let all = buffers.match_kind == MatchKind::All;
    let slot = |word: u32| (word * params.nfa_walkers + id) as usize;
    let mut walker = buffers.nfa_walkers[id as usize];
    if walker.generation != buffers.control.generation {
        walker.generation = buffers.control.generation;
        walker.mode = layout::NFA_IDLE;
        let Control { searched, verified_again, .. } = &buffers.control;
        if let Some(rule @ 1..) = searched.get(id as usize).filter(|_| *verified_again == 0) {
            walker.rule = rule - 1;
            walker.is_search = 0;
            let rule = buffers.rule(walker.rule);
            search_from(&rule, &mut walker, search_begin(buffers, params, &rule));
        }
    }
    let starts =
        buffers.tables.walker_words() * params.nfa_walkers + id * buffers.header().nfa_lists;
    let edges = buffers.header().edges;
    let large_stamps = buffers.header().nfa_stamps;
    let lists = large_stamps;
    let stack = lists + buffers.header().nfa_lists;
    let stamp_of = |rule: &RuleRecord, node: u32| {
        if is_small(rule) { lists + 2 * rule.node_count + node } else { node }
    };
    let control = &buffers.control;
    let filled = (control.queue_tail - control.queue_base).min(params.queue_capacity);
    let queue_end = control.queue_base + filled;
    let mut rule = RuleRecord::default();
    let text_of = |buffers: &Buffers, start| buffers.text(params, start).expect("of a walk");
    let mut text = Text { begin: 0, end: 0 };
    if walker.mode != layout::NFA_IDLE {
        rule = buffers.rule(walker.rule);
        text = text_of(buffers, walker.start);
    }
    let mut given_up = buffers.hit_count > params.hit_stop;

    let mut step_count = 0;
    while step_count < params.nfa_step_budget && !given_up {
        let hit = |end| Hit { pattern_id: rule.pattern_id, start: walker.start, end };
        if walker.mode == layout::NFA_IDLE {
            let taken = buffers.control.queue_head;
            if taken >= queue_end {
                break;
            }
            buffers.control.queue_head += 1;
            let task = buffers.queue[(taken & (params.queue_capacity - 1)) as usize];
            rule = buffers.rule(task.rule);
            text = text_of(buffers, task.start);
            step_count += enter_steps(params);
            walker = NfaWalker {
                generation: walker.generation,
                mode: layout::NFA_GLUSHKOV,
                epoch: walker.epoch,
                rule: task.rule,
                start: task.start,
                from: task.from,
                last: task.start,
                at: task.start,
                ..NfaWalker::default()
            };
            if rule.glushkov == 0 {
                begin_in_order(buffers, &rule, &mut walker);
            } else {
                let word_count = buffers.record::<GlushkovRecord>(rule.glushkov, 0).word_count;
                for word in 0..word_count {
                    buffers.scratch[slot(lists + word)] = u32::from(word == 0);
                }
            }
            if !can_judge(params, text, task.start, rule.lookahead) {
                let end = layout::UNDECIDED;
                let hit = Hit { pattern_id: rule.pattern_id, start: task.start, end };
                given_up = !buffers.emit(params, hit);
                walker.mode = layout::NFA_IDLE;
            }
        } else if walker.mode == layout::NFA_GLUSHKOV {
            let mut walk = glushkov::Walk::new(buffers, &rule);
            for (word, set) in (lists..).zip(&mut walk.set) {
                *set = buffers.scratch[slot(word)];
            }
            let at = walker.at;
            let mut holds = |kind, line_terminator| {
                let node = NfaNode { kind, operand: line_terminator, ..NfaNode::default() };
                look_holds(buffers, text, &node, at, &mut step_count)
            };
            let limits = [text.end, params.max_scan];
            let judges = at == text.end || can_judge(params, text, at + 1, rule.lookahead);
            let mut emits = false;
            let step = walk.step(&mut walker, limits, &mut holds, judges, || emits = true);
            let set = walk.set;
            for (word, set) in (lists..).zip(set) {
                buffers.scratch[slot(word)] = set;
            }
            let last = match step {
                glushkov::Step::Open => Some(layout::UNDECIDED),
                glushkov::Step::Ended if !all && walker.last > walker.start => Some(walker.last),
                _ => None,
            };
            for end in emits.then_some(at).into_iter().chain(last) {
                let hit = Hit { pattern_id: rule.pattern_id, start: walker.start, end };
                given_up |= !buffers.emit(params, hit);
            }
            match step {
                glushkov::Step::GoesOn => {}
                glushkov::Step::Ended | glushkov::Step::Open => walker.mode = layout::NFA_IDLE,
                glushkov::Step::Doubtful => begin_in_order(buffers, &rule, &mut walker),
            }
        } else if walker.mode == layout::NFA_CLEARING {
            let is_spent = walker.epoch >= layout::NFA_EPOCH_LIMIT;
            let small_count = if is_small(&rule) { rule.node_count } else { 0 };
            let old_count = if is_spent { large_stamps } else { 0 };
            if walker.batch < small_count {
                buffers.scratch[slot(stamp_of(&rule, walker.batch))] = 0;
            }
            if walker.batch < old_count {
                buffers.scratch[slot(walker.batch)] = 0;
            }
            walker.batch += 1;
            if walker.batch >= small_count.max(old_count) {
                walker.batch = 0;
                walker.epoch = if is_spent { 1 } else { walker.epoch };
                walker.mode = layout::NFA_WALKING;
            }
        } else if walker.edge < walker.edge_end {
            let edge = buffers.word(edges + walker.edge);
            let target = edge & !layout::EDGE_OTHER;
            walker.edge += 1;
            if edge == layout::EDGE_MATCH {
                if walker.is_search == 1 && walker.from == walker.at {
                    // An empty match is none.
                    walker.edge = walker.edge_end;
                    walker.stack_len = 0;
                } else if all {
                    if walker.at >= walker.from && walker.emitted == 0 {
                        walker.emitted = 1;
                        let hit = Hit {
                            pattern_id: rule.pattern_id,
                            start: walker.start,
                            end: walker.at,
                        };
                        given_up = !buffers.emit(params, hit);
                    }
                } else {
                    if walker.is_search == 1 {
                        walker.start = walker.from;
                    }
                    walker.last = walker.at;
                    walker.edge = walker.edge_end;
                    walker.stack_len = 0;
                    walker.batch = walker.cur_len;
                }
            } else if buffers.scratch[slot(stamp_of(&rule, target))] != walker.epoch {
                buffers.scratch[slot(stamp_of(&rule, target))] = walker.epoch;
                let node = buffers.node(rule.first_node + target);
                if node.kind == layout::NODE_BYTE {
                    let side = 1 - walker.side;
                    buffers.scratch[slot(lists + side * rule.node_count + walker.next_len)] =
                        target;
                    if walker.is_search == 1 {
                        let place = starts + side * rule.node_count + walker.next_len;
                        buffers.scratch[place as usize] = walker.from;
                    }
                    walker.next_len += 1;
                } else if node.kind == layout::NODE_JUMP
                    || look_holds(buffers, text, &node, walker.at, &mut step_count)
                {
                    if walker.edge < walker.edge_end {
                        let top = stack + 2 * walker.stack_len;
                        buffers.scratch[slot(top)] = walker.edge;
                        buffers.scratch[slot(top + 1)] = walker.edge_end;
                        walker.stack_len += 1;
                    }
                    walker.edge = node.edges_begin;
                    walker.edge_end = node.edges_end;
                }
            }
        } else if walker.stack_len > 0 {
            walker.stack_len -= 1;
            let top = stack + 2 * walker.stack_len;
            walker.edge = buffers.scratch[slot(top)];
            walker.edge_end = buffers.scratch[slot(top + 1)];
        } else if walker.batch < walker.cur_len {
            let thread =
                buffers.scratch[slot(lists + walker.side * rule.node_count + walker.batch)];
            if walker.is_search == 1 {
                let place = starts + walker.side * rule.node_count + walker.batch;
                walker.from = buffers.scratch[place as usize];
            }
            walker.batch += 1;
            let node = buffers.node(rule.first_node + thread);
            let byte = buffers.byte(walker.at - 1);
            if buffers.word(node.operand + u32::from(byte >> 5)) >> (byte & 31) & 1 == 1 {
                walker.edge = node.edges_begin;
                walker.edge_end = node.edges_end;
            }
        } else if walker.is_search == 1
            && walker.emitted == 0
            && walker.last == walker.start
            && walker.at < params.end_start.min(text.end)
        {
            let root = buffers.node(rule.first_node);
            walker.emitted = 1;
            walker.from = walker.at;
            (walker.edge, walker.edge_end) = (root.edges_begin, root.edges_end);
        } else if walker.is_search == 1
            && (walker.next_len == 0 || walker.at == text.end)
            && (walker.last > walker.start || walker.at >= params.end_start.min(text.end))
        {
            if walker.last > walker.start {
                given_up = !buffers.emit(params, hit(walker.last));
                let last = walker.last;
                search_from(&rule, &mut walker, last);
            } else {
                walker.mode = layout::NFA_IDLE;
            }
        } else if walker.is_search == 0
            && (walker.next_len == 0
                || walker.at == text.end
                || walker.at - walker.start == params.max_scan)
        {
            if !all && walker.last > walker.start {
                given_up = !buffers.emit(params, hit(walker.last));
            }
            walker.mode = layout::NFA_IDLE;
        } else if !can_judge(params, text, walker.at + 1, rule.lookahead) {
            given_up = !buffers.emit(params, hit(layout::UNDECIDED));
            walker.mode = layout::NFA_IDLE;
        } else {
            walker.side = 1 - walker.side;
            walker.cur_len = walker.next_len;
            walker.batch = 0;
            walker.next_len = 0;
            walker.at += 1;
            walker.epoch += 1;
            walker.emitted = 0;
            if walker.epoch >= layout::NFA_EPOCH_LIMIT {
                walker.mode = layout::NFA_CLEARING;
            }
        }
        step_count += 1;
    }

    if given_up {
        walker.mode = layout::NFA_IDLE;
    }
    buffers.nfa_walkers[id as usize] = walker;
    if walker.mode != layout::NFA_IDLE {
        buffers.control.unfinished += 1;
    }
}
