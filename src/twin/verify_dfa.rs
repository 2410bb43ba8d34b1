//! The twin of `shaders/verify_dfa.comp`.

use super::front::is_left_to_another;
use super::{Buffers, Text, chunk_count, enter_steps, rule_of_summary, summary_name};
use crate::MatchKind;
use crate::shaders::layout::{self, Control, Hit, RuleRecord, ScanParams, StartWalker, Task};

pub(crate) fn verify_dfa(buffers: &mut Buffers, params: &ScanParams) {
    (0..params.start_walkers).for_each(|id| invocation(buffers, params, id));
}

fn open_list(buffers: &Buffers, walker: &mut StartWalker, index: u32) {
    let list = buffers.word(index);
    walker.entry = list + 1;
    walker.entry_end = walker.entry + buffers.word(list);
}

/// What a walker takes its starts from.
const SOURCE: u32 = layout::START_PAIRS | layout::START_LISTED | layout::START_CANDIDATES;

/// The rule at `entry` of the list that a walker runs through.
fn listed_in(buffers: &Buffers, walker: &StartWalker, entry: u32) -> u32 {
    match walker.mode & layout::START_LISTED {
        0 => buffers.word(entry),
        _ => buffers.control.listed[entry as usize] - 1,
    }
}

/// Whether a walk may share what is behind it.
fn is_long(params: &ScanParams, text: Text, walker: &StartWalker, rule: &RuleRecord) -> bool {
    params.chunk_log2 != 0
        && rule.longest == layout::UNBOUNDED
        && walker.at.is_multiple_of(1 << params.chunk_log2)
        && walker.at - walker.start >= layout::LONG_STEPS
        && (text.end - walker.at) >> params.chunk_log2 != 0
}

/// Leaps over the chunks that a summary knows. False if there is none, and then the walk names a new one.
fn leap(
    buffers: &mut Buffers,
    params: &ScanParams,
    walker: &mut StartWalker,
    rule: u32,
    step: &mut u32,
) -> bool {
    let name = summary_name(rule, walker.row);
    let mut is_known = false;
    let chunk = walker.at >> params.chunk_log2;
    let control = &mut buffers.control;
    let mut next = control.first_summaries[(rule % layout::SUMMARY_LISTS) as usize];
    while next != 0 {
        *step += 1;
        let summary = next - 1;
        next = control.next_summaries[summary as usize];
        let other = control.summaries[summary as usize];
        is_known |= other == name;
        if rule_of_summary(other) != rule {
            continue;
        }
        let found = buffers.summaries[(summary * chunk_count(params) + chunk) as usize];
        if found.rows & layout::CHUNK_BEGIN_ROW == walker.row {
            control.used_summaries[(summary / 32) as usize] |= 1 << (summary % 32);
            walker.at = found.stop << params.chunk_log2;
            walker.row = found.rows >> layout::CHUNK_ROW_BITS;
            walker.mode &= !layout::START_WAITED;
            if walker.mode & layout::START_RELAXED == 0 {
                walker.last = walker.last.max(found.last);
            } else if found.last >= walker.from {
                walker.mode |= layout::START_ESCAPED;
            }
            return true;
        }
    }
    let mut slot = rule + walker.row;
    let mut probe = 0;
    while !is_known && probe < layout::NAME_PROBES {
        slot %= layout::MOST_SUMMARIES;
        let named = &mut control.named[slot as usize];
        is_known = *named == name;
        if !is_known {
            control.has_named = 1;
            is_known = *named == 0;
            *named = if is_known { name } else { *named };
        }
        slot += 1;
        probe += 1;
    }
    false
}

/// Walks on by words, unless the walk is short yet, or takes a counter step. Charges every word. True where the walk has
/// come to what may be a chunk.
fn walk_on(
    buffers: &Buffers,
    params: &ScanParams,
    text: Text,
    walker: &mut StartWalker,
    rule: &RuleRecord,
    step: &mut u32,
) -> bool {
    let takes_step =
        rule.has_counter_steps != 0 && walker.at.is_multiple_of(layout::COUNTER_STEP_BYTES);
    let has_matched = buffers.match_kind == MatchKind::All && walker.last + 1 == walker.at;
    if walker.at - walker.start < layout::SHORT_STEPS || takes_step || has_matched {
        return false;
    }
    let heeds = buffers.match_kind == MatchKind::All || walker.mode & layout::START_RELAXED != 0;
    let before = walker.at;
    let border = (walker.at | (layout::WALK_BYTES - 1)) + 1;
    let most = params.max_scan.min(rule.longest);
    let stop = border.min(walker.start + most.min(text.end - walker.start));
    'words: while walker.at + 4 <= stop {
        for _ in 0..4 {
            let (row, matches) = buffers.step(rule, walker.row, walker.at);
            if row == layout::ROW_DEAD || row == layout::ROW_ESCAPE || (heeds && matches) {
                break 'words;
            }
            walker.last = if matches { walker.at } else { walker.last };
            walker.row = row;
            walker.at += 1;
        }
    }
    *step += (walker.at - before) / 4;
    walker.at == border
}

/// Ends a walk, and reports what it has found.
fn finish(buffers: &mut Buffers, params: &ScanParams, walker: &mut StartWalker, pattern_id: u32) {
    walker.mode &= SOURCE;
    if buffers.match_kind != MatchKind::All && walker.last > walker.start {
        let hit = Hit { pattern_id, start: walker.start, end: walker.last };
        if !buffers.emit(params, hit) {
            walker.mode = layout::START_DONE;
        }
    }
}

fn invocation(buffers: &mut Buffers, params: &ScanParams, id: u32) {
    if buffers.control.pass != params.pass {
        return;
    }
    let all = buffers.match_kind == MatchKind::All;
    let mut walker = buffers.start_walkers[id as usize];
    if walker.generation != buffers.control.generation {
        let spread = buffers.spread(params);
        walker = StartWalker {
            generation: buffers.control.generation,
            mode: layout::START_CANDIDATES,
            entry: if id.is_multiple_of(spread) { id / spread } else { params.start_walkers },
            ..StartWalker::default()
        };
    }
    if walker.mode & layout::START_DONE != 0 {
        return;
    }
    let header = *buffers.header();
    let (firsts, pairs, has_pairs) = match params.use_prefilter {
        layout::PREFILTER_NONE => (header.firsts, header.pairs, true),
        layout::PREFILTER_BOUNDED => (header.long_firsts, header.long_pairs, header.has_long != 0),
        _ => (header.rest_firsts, header.rest_pairs, header.has_rest != 0),
    };
    let has_lists = buffers.has_lists(params);
    let listed = buffers.control.listed.iter().take_while(|&&rule| rule != 0);
    let listed_count = if params.has_listed != 0 { listed.count() as u32 } else { 0 };
    let start_count = buffers.control.start_count;
    let start_of = |buffers: &Buffers, entry: u32| {
        buffers.candidates[(params.candidate_capacity + entry) as usize]
    };
    let mut rule_index = 0;
    let mut record = 0;
    let mut rule = RuleRecord::default();
    let mut own_text = buffers.text(params, walker.start);
    // Looked at only where there is a walk or a list, and so a rule.
    let mut text = own_text.unwrap_or(Text { begin: 0, end: 0 });
    if walker.mode & layout::START_WALKING != 0 {
        rule_index = if walker.mode & layout::START_CANDIDATES != 0 {
            start_of(buffers, walker.entry - params.start_walkers).of
        } else {
            listed_in(buffers, &walker, walker.entry - 1)
        };
        record = rule_index;
        rule = buffers.rule(record);
        if walker.mode & layout::START_RELAXED != 0 {
            record = rule.relaxed;
            rule = buffers.rule(record);
        }
    }
    if buffers.hit_count > params.hit_stop {
        walker.mode = layout::START_DONE;
    }

    let mut step = 0;
    while step < params.step_budget && walker.mode & layout::START_DONE == 0 {
        step += 1;
        let start = walker.start;
        let hit = |end| Hit { pattern_id: rule.pattern_id, start, end };
        if walker.mode & layout::START_ESCAPED != 0 {
            let at = buffers.control.queue_tail;
            buffers.control.queue_tail += 1;
            if at - buffers.control.queue_base >= params.queue_capacity {
                break;
            }
            buffers.queue[(at & (params.queue_capacity - 1)) as usize] =
                Task { rule: rule_index, start: walker.start, from: walker.from };
            walker.mode &= SOURCE;
        } else if walker.mode & layout::START_WALKING != 0 {
            if is_long(params, text, &walker, &rule) && record < layout::SUMMARY_MOST_RULES {
                if leap(buffers, params, &mut walker, record, &mut step) {
                    if walker.row == layout::ROW_DEAD && walker.mode & layout::START_ESCAPED == 0 {
                        finish(buffers, params, &mut walker, rule.pattern_id);
                    }
                    continue;
                }
                let Control { rounds, is_crowded, .. } = buffers.control;
                let patience = layout::PATIENT_STEPS.min(layout::PATIENT_SUM / start_count.max(1));
                let waits = rounds > 0 || walker.at - walker.start >= patience;
                if waits && is_crowded == 0 && walker.mode & layout::START_WAITED == 0 {
                    walker.mode |= layout::START_WAITED;
                    break;
                }
                walker.mode &= !layout::START_WAITED;
            }
            if walk_on(buffers, params, text, &mut walker, &rule, &mut step) {
                continue;
            }
            let at_end = walker.at == text.end;
            if at_end && params.is_final == 0 && walker.mode & layout::START_RELAXED != 0 {
                walker.mode |= layout::START_ESCAPED;
                continue;
            }
            if at_end && params.is_final == 0 {
                let going = buffers.emit(params, hit(layout::UNDECIDED));
                walker.mode = if going { walker.mode & SOURCE } else { layout::START_DONE };
                continue;
            }
            let class = if at_end {
                rule.stride - 1
            } else {
                buffers.class_of(rule.classes, buffers.byte(walker.at))
            };
            let entry = buffers.walk_entry(&rule, walker.row, walker.at, class);
            walker.row = entry >> 1;
            let escapes = walker.row == layout::ROW_ESCAPE;
            let matches = entry & layout::ENTRY_MATCH != 0 && !escapes;
            if walker.mode & layout::START_RELAXED != 0 {
                if escapes || (matches && walker.at >= walker.from) {
                    walker.mode |= layout::START_ESCAPED;
                    continue;
                }
            } else if escapes {
                walker.from = walker.at.max(walker.start + 1);
                if rule.relaxed == 0 {
                    walker.mode |= layout::START_ESCAPED;
                    continue;
                }
                walker.mode = (walker.mode | layout::START_RELAXED) & !layout::START_WAITED;
                record = rule.relaxed;
                rule = buffers.rule(record);
                walker.at = walker.start;
                let dfa = [rule.classes, rule.first_entry, rule.stride];
                walker.row = buffers.first_row(text, dfa, walker.start);
                continue;
            } else if matches {
                if all && walker.at > walker.start && !buffers.emit(params, hit(walker.at)) {
                    walker.mode = layout::START_DONE;
                    continue;
                }
                walker.last = walker.at;
            }
            let is_longest = walker.at - walker.start == params.max_scan.min(rule.longest);
            if walker.row == layout::ROW_DEAD || at_end || is_longest {
                finish(buffers, params, &mut walker, rule.pattern_id);
            } else {
                walker.at += 1;
            }
        } else if walker.mode & layout::START_CANDIDATES != 0 && walker.entry < start_count
            || walker.mode & layout::START_CANDIDATES == 0 && walker.entry < walker.entry_end
        {
            if walker.mode & layout::START_CANDIDATES != 0 {
                let candidate = start_of(buffers, walker.entry);
                rule_index = candidate.of;
                walker.start = candidate.at;
                walker.entry += params.start_walkers;
                own_text = buffers.text(params, walker.start);
                text = own_text.unwrap_or(text);
                step += enter_steps(params);
            } else {
                rule_index = listed_in(buffers, &walker, walker.entry);
                walker.entry += 1;
            }
            record = rule_index;
            rule = buffers.rule(record);
            let dfa = [rule.classes, rule.first_entry, rule.stride];
            let is_left = is_left_to_another(buffers, params, text, rule.front, walker.start)
                || buffers.is_searched(rule_index);
            walker.row = match own_text.filter(|_| !is_left) {
                Some(text) => buffers.first_row(text, dfa, walker.start),
                None => layout::ROW_DEAD,
            };
            walker.at = walker.start;
            walker.last = walker.start;
            if walker.row != layout::ROW_DEAD {
                walker.mode |= layout::START_WALKING;
            }
        } else if walker.mode & layout::START_CANDIDATES != 0 {
            walker.mode = if has_lists { layout::START_LISTED } else { layout::START_DONE };
            walker.start = params.first_start.wrapping_add(id).wrapping_sub(params.start_walkers);
            walker.entry = 0;
            walker.entry_end = 0;
        } else if walker.mode == layout::START_FIRSTS {
            walker.mode = layout::START_PAIRS;
            let second = match walker.start + 1 {
                next if next < text.end => u32::from(buffers.byte(next)),
                _ => 256,
            };
            let first = u32::from(buffers.byte(walker.start));
            let index = pairs + first * layout::PAIR_COLUMNS + second;
            open_list(buffers, &mut walker, index);
        } else if walker.mode == layout::START_PAIRS && listed_count > 0 {
            walker.mode = layout::START_LISTED;
            walker.entry = 0;
            walker.entry_end = listed_count;
        } else {
            walker.start = walker.start.wrapping_add(params.start_walkers);
            own_text = buffers.text(params, walker.start);
            text = own_text.unwrap_or(text);
            own_text = own_text.filter(|text| walker.start < text.end);
            step += enter_steps(params);
            if walker.start >= params.end_start {
                walker.mode = layout::START_DONE;
            } else if own_text.is_none() {
                // Between two items.
            } else if has_pairs {
                walker.mode = layout::START_FIRSTS;
                let index = firsts + u32::from(buffers.byte(walker.start));
                open_list(buffers, &mut walker, index);
            } else {
                walker.entry = 0;
                walker.entry_end = listed_count;
            }
        }
    }

    buffers.start_walkers[id as usize] = walker;
    if walker.mode & layout::START_DONE == 0 {
        buffers.control.unfinished += 1;
    }
}
