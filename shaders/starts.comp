#version 460
#extension GL_GOOGLE_include_directive : require

// Verifies candidate starts on the partial DFAs.
//
// Reads the tables, the haystack and the queue's fill; writes hits, queue items for walks that leave the
// DFA, and its own walkers. Grid: Control::starts_*, params.start_walkers invocations; invocation i takes
// the starts first_start + i, first_start + i + start_walkers, ... and for each the rules of its two
// candidate lists. The one loop is bounded by params.step_budget; what is left then, and a walk that finds
// the queue full, goes on in the next round. CPU twin: src/twin/starts.rs.

#include "bindings.glsl"

layout(local_size_x = WORKGROUP) in;

layout(set = 0, binding = BINDING_START_WALKERS) buffer StartWalkers {
    StartWalker walkers[];
} state;

// Points the walker at the list that the index word at `index` names.
void open_list(inout StartWalker walker, uint index) {
    uint list = tables.words[index];
    walker.entry = list + 1u;
    walker.entry_end = walker.entry + tables.words[list];
}

uint class_of(RuleRecord rule, uint byte) {
    return (tables.words[rule.classes + (byte >> 2)] >> ((byte & 3u) * 8u)) & 0xFFu;
}

uint dfa_entry(uint entries, RuleRecord rule, uint row, uint byte_class) {
    uint at = rule.first_entry + row + byte_class;
    return (tables.words[entries + (at >> 1)] >> ((at & 1u) * 16u)) & 0xFFFFu;
}

void main() {
    uint id = gl_GlobalInvocationID.x;
    if (control.pass != params.pass || id >= params.start_walkers) {
        return;
    }
    StartWalker walker = state.walkers[id];
    if (walker.generation != control.generation) {
        // Before the first start, with both lists behind it. The addition may wrap, and wraps back.
        walker = StartWalker(control.generation, START_PAIRS,
                             params.first_start + id - params.start_walkers, 0u, 0u, 0u, 0u, 0u);
    }
    if ((walker.mode & START_DONE) != 0u) {
        return;
    }
    uint firsts = tables.header.firsts;
    uint pairs = tables.header.pairs;
    uint entries = tables.header.entries;
    RuleRecord rule;
    uint rule_index = 0u;
    if ((walker.mode & START_WALKING) != 0u) {
        rule_index = tables.words[walker.entry - 1u];
        rule = rule_record(rule_index);
    }
    if (hits.count > params.hit_stop) {
        walker.mode = START_DONE;
    }

    for (uint step = 0u; step < params.step_budget && (walker.mode & START_DONE) == 0u; ++step) {
        if ((walker.mode & START_ESCAPED) != 0u) {
            uint at = atomicAdd(control.queue_tail, 1u);
            if (at - control.queue_base >= params.queue_capacity) {
                break;
            }
            queue.items[at & (params.queue_capacity - 1u)] =
                QueueItem(rule_index, walker.start, max(walker.at, walker.start + 1u));
            walker.mode &= START_PAIRS;
        } else if ((walker.mode & START_WALKING) != 0u) {
            bool at_end = walker.at == params.haystack_len;
            if (at_end && params.is_final == 0u) {
                bool going = emit(rule.pattern_id, walker.start, UNDECIDED);
                walker.mode = going ? walker.mode & START_PAIRS : START_DONE;
                continue;
            }
            uint byte_class = at_end ? rule.stride - 1u : class_of(rule, byte_at(walker.at));
            uint entry = dfa_entry(entries, rule, walker.row, byte_class);
            bool escapes = entry >> 1 == ROW_ESCAPE;
            if ((entry & ENTRY_MATCH) != 0u && !escapes) {
                if (MATCH_ALL == 1u && walker.at > walker.start) {
                    if (!emit(rule.pattern_id, walker.start, walker.at)) {
                        walker.mode = START_DONE;
                        continue;
                    }
                }
                walker.last = walker.at;
            }
            walker.row = entry >> 1;
            if (escapes) {
                walker.mode |= START_ESCAPED;
            } else if (walker.row == ROW_DEAD || at_end || walker.at - walker.start == params.max_scan) {
                walker.mode &= START_PAIRS;
                if (MATCH_ALL == 0u && walker.last > walker.start) {
                    if (!emit(rule.pattern_id, walker.start, walker.last)) {
                        walker.mode = START_DONE;
                    }
                }
            } else {
                walker.at += 1u;
            }
        } else if (walker.entry < walker.entry_end) {
            rule_index = tables.words[walker.entry];
            rule = rule_record(rule_index);
            walker.entry += 1u;
            uint before = walker.start == 0u ? rule.stride - 1u : class_of(rule, byte_at(walker.start - 1u));
            walker.row = dfa_entry(entries, rule, 0u, before) >> 1;
            walker.at = walker.start;
            walker.last = walker.start;
            if (walker.row != ROW_DEAD) {
                walker.mode |= START_WALKING;
            }
        } else if ((walker.mode & START_PAIRS) == 0u) {
            walker.mode = START_PAIRS;
            uint second = walker.start + 1u < params.haystack_len ? byte_at(walker.start + 1u) : 256u;
            open_list(walker, pairs + byte_at(walker.start) * PAIR_COLUMNS + second);
        } else {
            walker.start += params.start_walkers;
            // Less than a grid's width is left, so the next start would lie outside: the addition above
            // cannot have wrapped, except for the first start, where it is meant to.
            if (walker.start >= params.end_start) {
                walker.mode = START_DONE;
            } else {
                walker.mode = START_FIRSTS;
                open_list(walker, firsts + byte_at(walker.start));
            }
        }
    }

    state.walkers[id] = walker;
    if ((walker.mode & START_DONE) == 0u) {
        atomicAdd(control.unfinished, 1u);
    }
}
