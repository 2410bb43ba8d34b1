//! The twin of `shaders/starts.comp`.

use super::Buffers;
use crate::MatchKind;
use crate::shaders::layout::{self, Hit, QueueItem, RuleRecord, ScanParams, StartWalker};

pub(crate) fn starts(buffers: &mut Buffers, params: &ScanParams) {
    (0..params.start_walkers).for_each(|id| invocation(buffers, params, id));
}

fn open_list(buffers: &Buffers, walker: &mut StartWalker, index: u32) {
    let list = buffers.word(index);
    walker.entry = list + 1;
    walker.entry_end = walker.entry + buffers.word(list);
}

/// What a walker takes its starts from.
const SOURCE: u32 = layout::START_PAIRS | layout::START_ITEMS;

fn invocation(buffers: &mut Buffers, params: &ScanParams, id: u32) {
    if buffers.control.pass != params.pass {
        return;
    }
    let all = buffers.match_kind == MatchKind::All;
    let mut walker = buffers.start_walkers[id as usize];
    if walker.generation != buffers.control.generation {
        walker = StartWalker {
            generation: buffers.control.generation,
            mode: layout::START_ITEMS,
            entry: id,
            ..StartWalker::default()
        };
    }
    if walker.mode & layout::START_DONE != 0 {
        return;
    }
    let header = *buffers.header();
    let (firsts, pairs) = match params.use_filter {
        layout::FILTER_NONE => (header.firsts, header.pairs),
        layout::FILTER_BOUNDED => (header.long_firsts, header.long_pairs),
        _ => (header.rest_firsts, header.rest_pairs),
    };
    let has_lists = buffers.has_lists(params);
    let item_count = buffers.control.item_count;
    let item_of = |buffers: &Buffers, entry: u32| {
        buffers.candidates[(params.candidate_capacity + entry) as usize]
    };
    let mut rule = RuleRecord::default();
    let mut rule_index = 0;
    if walker.mode & layout::START_WALKING != 0 {
        rule_index = if walker.mode & layout::START_ITEMS != 0 {
            item_of(buffers, walker.entry - params.start_walkers).of
        } else {
            buffers.word(walker.entry - 1)
        };
        rule = buffers.rule(rule_index);
    }
    if buffers.hit_count > params.hit_stop {
        walker.mode = layout::START_DONE;
    }

    for _ in 0..params.step_budget {
        if walker.mode & layout::START_DONE != 0 {
            break;
        }
        let hit = |end| Hit { pattern_id: rule.pattern_id, start: walker.start, end };
        if walker.mode & layout::START_ESCAPED != 0 {
            let at = buffers.control.queue_tail;
            buffers.control.queue_tail += 1;
            if at - buffers.control.queue_base >= params.queue_capacity {
                break;
            }
            buffers.queue[(at & (params.queue_capacity - 1)) as usize] = QueueItem {
                rule: rule_index,
                start: walker.start,
                from: walker.at.max(walker.start + 1),
            };
            walker.mode &= SOURCE;
        } else if walker.mode & layout::START_WALKING != 0 {
            let at_end = walker.at == params.haystack_len;
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
            let entry = buffers.dfa_entry(rule.first_entry, rule.stride, walker.row, class);
            let escapes = entry >> 1 == layout::ROW_ESCAPE;
            if entry & layout::ENTRY_MATCH != 0 && !escapes {
                if all && walker.at > walker.start && !buffers.emit(params, hit(walker.at)) {
                    walker.mode = layout::START_DONE;
                    continue;
                }
                walker.last = walker.at;
            }
            walker.row = entry >> 1;
            let is_longest = walker.at - walker.start == params.max_scan;
            if escapes {
                walker.mode |= layout::START_ESCAPED;
            } else if walker.row == layout::ROW_DEAD || at_end || is_longest {
                walker.mode &= SOURCE;
                if !all
                    && walker.last > walker.start
                    && !buffers.emit(
                        params,
                        Hit { pattern_id: rule.pattern_id, start: walker.start, end: walker.last },
                    )
                {
                    walker.mode = layout::START_DONE;
                }
            } else {
                walker.at += 1;
            }
        } else if walker.mode & layout::START_ITEMS != 0 && walker.entry < item_count
            || walker.mode & layout::START_ITEMS == 0 && walker.entry < walker.entry_end
        {
            if walker.mode & layout::START_ITEMS != 0 {
                let item = item_of(buffers, walker.entry);
                rule_index = item.of;
                walker.start = item.at;
                walker.entry += params.start_walkers;
            } else {
                rule_index = buffers.word(walker.entry);
                walker.entry += 1;
            }
            rule = buffers.rule(rule_index);
            let before = match walker.start {
                0 => rule.stride - 1,
                start => buffers.class_of(rule.classes, buffers.byte(start - 1)),
            };
            walker.row = buffers.dfa_entry(rule.first_entry, rule.stride, 0, before) >> 1;
            walker.at = walker.start;
            walker.last = walker.start;
            if walker.row != layout::ROW_DEAD {
                walker.mode |= layout::START_WALKING;
            }
        } else if walker.mode & layout::START_ITEMS != 0 {
            walker.mode = if has_lists { layout::START_PAIRS } else { layout::START_DONE };
            walker.start = params.first_start.wrapping_add(id).wrapping_sub(params.start_walkers);
            walker.entry = 0;
            walker.entry_end = 0;
        } else if walker.mode & layout::START_PAIRS == 0 {
            walker.mode = layout::START_PAIRS;
            let second = match walker.start + 1 {
                next if next < params.haystack_len => u32::from(buffers.byte(next)),
                _ => 256,
            };
            let first = u32::from(buffers.byte(walker.start));
            let index = pairs + first * layout::PAIR_COLUMNS + second;
            open_list(buffers, &mut walker, index);
        } else {
            walker.start = walker.start.wrapping_add(params.start_walkers);
            if walker.start >= params.end_start {
                walker.mode = layout::START_DONE;
            } else {
                walker.mode = layout::START_FIRSTS;
                let index = firsts + u32::from(buffers.byte(walker.start));
                open_list(buffers, &mut walker, index);
            }
        }
    }

    buffers.start_walkers[id as usize] = walker;
    if walker.mode & layout::START_DONE == 0 {
        buffers.control.unfinished += 1;
    }
}
