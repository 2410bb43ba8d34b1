#version 460
#extension GL_GOOGLE_include_directive : require

// Finishes the walks that left a DFA, on position NFAs.
//
// Takes items from the queue; reads the tables and the haystack; writes hits and its own walkers. Each
// walker keeps two thread lists in order of preference, the stamps of the nodes met at the position, and
// a stack of edge ranges, in scratch. Grid: Control::nfa_*, params.nfa_walkers invocations. The main loop
// is bounded by params.step_budget, and what is left goes on in the next round; the turns that
// Unicode look-arounds take, over bytes and in the ranges of `\w`, are charged to the budget. CPU twin:
// src/twin/nfa.rs.

#include "bindings.glsl"

layout(local_size_x = WORKGROUP) in;

layout(set = 0, binding = BINDING_NFA_WALKERS) buffer NfaWalkers {
    NfaWalker walkers[];
} state;

layout(set = 0, binding = BINDING_SCRATCH) buffer Scratch {
    uint words[];
} scratch;

// Offsets of a walker's scratch, in words of its own.
uint stamps;
uint stack;
uint step_count;

uint slot(uint word) {
    return word * params.nfa_walkers + gl_GlobalInvocationID.x;
}

NfaNode node_record(uint node) {
    uint at = tables.header.nodes + node * NODE_WORDS;
    return NfaNode(tables.words[at], tables.words[at + 1u], tables.words[at + 2u], tables.words[at + 3u]);
}

bool is_word_byte(uint byte) {
    return (byte >= 0x30u && byte <= 0x39u) || (byte >= 0x41u && byte <= 0x5Au)
        || byte == 0x5Fu || (byte >= 0x61u && byte <= 0x7Au);
}

const uint NO_BYTE = 256u;
const uint NO_CHAR = 0xFFFFFFFFu;

// The character that begins at `at` and ends at or before `end`; NO_CHAR if there is none.
uint char_at(uint at, uint end) {
    if (at >= end) {
        return NO_CHAR;
    }
    uint lead = byte_at(at);
    if (lead < 0x80u) {
        return lead;
    }
    uint tail;
    uint code;
    if (lead >= 0xC0u && lead < 0xE0u) {
        tail = 1u;
        code = lead & 0x1Fu;
    } else if (lead >= 0xE0u && lead < 0xF0u) {
        tail = 2u;
        code = lead & 0x0Fu;
    } else if (lead >= 0xF0u && lead < 0xF8u) {
        tail = 3u;
        code = lead & 0x07u;
    } else {
        return NO_CHAR;
    }
    if (end - at <= tail) {
        return NO_CHAR;
    }
    for (uint i = 1u; i <= tail; ++i) {
        uint next = byte_at(at + i);
        if ((next & 0xC0u) != 0x80u) {
            return NO_CHAR;
        }
        code = code << 6 | (next & 0x3Fu);
    }
    // Overlong, surrogate, or past the last code point.
    uint least = tail == 1u ? 0x80u : tail == 2u ? 0x800u : 0x10000u;
    if (code < least || (code >= 0xD800u && code <= 0xDFFFu) || code > 0x10FFFFu) {
        return NO_CHAR;
    }
    return code;
}

bool is_word_char(uint code) {
    if (code < 0x80u) {
        return is_word_byte(code);
    }
    if (code == NO_CHAR) {
        return false;
    }
    // The first range that does not end before the code point.
    uint low = 0u;
    uint high = tables.header.word_range_count;
    while (low < high) {
        step_count += 1u;
        uint middle = (low + high) / 2u;
        if (tables.words[tables.header.word_ranges + middle * 2u + 1u] < code) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low < tables.header.word_range_count && tables.words[tables.header.word_ranges + low * 2u] <= code;
}

bool unicode_look_holds(uint kind, uint at) {
    step_count += UNICODE_LOOK_STEPS;
    bool valid_before = at == 0u;
    bool word_before = false;
    if (at > 0u) {
        uint least = at < UTF8_MAX ? 0u : at - UTF8_MAX;
        uint start = at - 1u;
        while (start > least && (byte_at(start) & 0xC0u) == 0x80u) {
            start -= 1u;
        }
        uint code = char_at(start, at);
        valid_before = code != NO_CHAR;
        word_before = is_word_char(code);
    }
    bool valid_after = at == params.haystack_len;
    bool word_after = false;
    if (!valid_after) {
        uint code = char_at(at, params.haystack_len);
        valid_after = code != NO_CHAR;
        word_after = is_word_char(code);
    }
    switch (kind) {
        case NODE_WORD_UNICODE: return word_before != word_after;
        case NODE_WORD_UNICODE_NEGATE: return valid_before && valid_after && word_before == word_after;
        case NODE_WORD_START_UNICODE: return !word_before && word_after;
        case NODE_WORD_END_UNICODE: return word_before && !word_after;
        case NODE_WORD_START_HALF_UNICODE: return valid_before && !word_before;
        default: return valid_after && !word_after;
    }
}

bool look_holds(uint kind, uint line_terminator, uint at) {
    if (kind >= NODE_WORD_UNICODE) {
        return unicode_look_holds(kind, at);
    }
    uint before = at == 0u ? NO_BYTE : byte_at(at - 1u);
    uint after = at == params.haystack_len ? NO_BYTE : byte_at(at);
    bool word_before = is_word_byte(before);
    bool word_after = is_word_byte(after);
    switch (kind) {
        case NODE_START: return before == NO_BYTE;
        case NODE_END: return after == NO_BYTE;
        case NODE_START_LF: return before == NO_BYTE || before == line_terminator;
        case NODE_END_LF: return after == NO_BYTE || after == line_terminator;
        case NODE_START_CRLF: return before == NO_BYTE || before == 0x0Au || (before == 0x0Du && after != 0x0Au);
        case NODE_END_CRLF: return after == NO_BYTE || after == 0x0Du || (after == 0x0Au && before != 0x0Du);
        case NODE_WORD_ASCII: return word_before != word_after;
        case NODE_WORD_ASCII_NEGATE: return word_before == word_after;
        case NODE_WORD_START_ASCII: return !word_before && word_after;
        case NODE_WORD_END_ASCII: return word_before && !word_after;
        case NODE_WORD_START_HALF_ASCII: return !word_before;
        default: return !word_after;
    }
}

// Whether the bytes are there that look-arounds at `at` may ask for.
bool can_judge(uint at, uint lookahead) {
    return params.is_final != 0u || params.haystack_len - at >= lookahead;
}

void main() {
    uint id = gl_GlobalInvocationID.x;
    if (control.pass != params.pass || id >= params.nfa_walkers) {
        return;
    }
    NfaWalker walker = state.walkers[id];
    if (walker.generation != control.generation) {
        walker.generation = control.generation;
        walker.mode = NFA_IDLE;
    }
    uint node_limit = tables.header.nfa_nodes;
    uint edges = tables.header.edges;
    stamps = 2u * node_limit;
    stack = 3u * node_limit;
    // Overshot by walks that found the queue full.
    uint queue_end =
        control.queue_base + min(control.queue_tail - control.queue_base, params.queue_capacity);
    RuleRecord rule;
    if (walker.mode != NFA_IDLE) {
        rule = rule_record(walker.rule);
    }
    bool given_up = hits.count > params.hit_stop;

    for (step_count = 0u; step_count < params.step_budget && !given_up; ++step_count) {
        if (walker.mode == NFA_IDLE) {
            // Most find nothing to do, and need not meet at the counter to see it. The value may be stale,
            // but it only ever grows.
            if (int(queue_end - control.queue_head) <= 0) {
                break;
            }
            uint taken = atomicAdd(control.queue_head, 1u);
            if (int(queue_end - taken) <= 0) {
                break;
            }
            QueueItem item = queue.items[taken & (params.queue_capacity - 1u)];
            rule = rule_record(item.rule);
            walker.mode = walker.epoch < EPOCH_LIMIT ? NFA_WALKING : NFA_CLEARING;
            walker.rule = item.rule;
            walker.start = item.start;
            walker.from = item.from;
            walker.last = item.start;
            walker.at = item.start;
            walker.side = 0u;
            walker.cur_len = 0u;
            walker.cur = 0u;
            walker.next_len = 0u;
            walker.stack_len = 0u;
            // Node 0 leads to where the rule starts.
            NfaNode root = node_record(rule.first_node);
            walker.edge = root.edges_begin;
            walker.edge_end = root.edges_end;
            walker.epoch += 1u;
            walker.emitted = 0u;
            if (!can_judge(item.start, rule.lookahead)) {
                given_up = !emit(rule.pattern_id, item.start, UNDECIDED);
                walker.mode = NFA_IDLE;
            }
        } else if (walker.mode == NFA_CLEARING) {
            // `cur` counts the stamps cleared.
            scratch.words[slot(stamps + walker.cur)] = 0u;
            walker.cur += 1u;
            if (walker.cur == node_limit) {
                walker.cur = 0u;
                walker.epoch = 1u;
                walker.mode = NFA_WALKING;
            }
        } else if (walker.edge < walker.edge_end) {
            uint target = tables.words[edges + walker.edge];
            walker.edge += 1u;
            if (target == EDGE_MATCH) {
                if (MATCH_ALL == 1u) {
                    if (walker.at >= walker.from && walker.emitted == 0u) {
                        walker.emitted = 1u;
                        given_up = !emit(rule.pattern_id, walker.start, walker.at);
                    }
                } else {
                    // Threads less preferred than this one are cut off.
                    walker.last = walker.at;
                    walker.edge = walker.edge_end;
                    walker.stack_len = 0u;
                    walker.cur = walker.cur_len;
                }
            } else if (scratch.words[slot(stamps + target)] != walker.epoch) {
                scratch.words[slot(stamps + target)] = walker.epoch;
                NfaNode node = node_record(rule.first_node + target);
                if (node.kind == NODE_BYTE) {
                    uint side = 1u - walker.side;
                    scratch.words[slot(side * node_limit + walker.next_len)] = target;
                    walker.next_len += 1u;
                } else if (node.kind == NODE_JUMP || look_holds(node.kind, node.operand, walker.at)) {
                    if (walker.edge < walker.edge_end) {
                        scratch.words[slot(stack + 2u * walker.stack_len)] = walker.edge;
                        scratch.words[slot(stack + 2u * walker.stack_len + 1u)] = walker.edge_end;
                        walker.stack_len += 1u;
                    }
                    walker.edge = node.edges_begin;
                    walker.edge_end = node.edges_end;
                }
            }
        } else if (walker.stack_len > 0u) {
            walker.stack_len -= 1u;
            walker.edge = scratch.words[slot(stack + 2u * walker.stack_len)];
            walker.edge_end = scratch.words[slot(stack + 2u * walker.stack_len + 1u)];
        } else if (walker.cur < walker.cur_len) {
            uint thread = scratch.words[slot(walker.side * node_limit + walker.cur)];
            walker.cur += 1u;
            NfaNode node = node_record(rule.first_node + thread);
            uint byte = byte_at(walker.at - 1u);
            if (((tables.words[node.operand + (byte >> 5)] >> (byte & 31u)) & 1u) != 0u) {
                walker.edge = node.edges_begin;
                walker.edge_end = node.edges_end;
            }
        } else if (walker.next_len == 0u || walker.at == params.haystack_len
                   || walker.at - walker.start == params.max_scan) {
            if (MATCH_ALL == 0u && walker.last > walker.start) {
                given_up = !emit(rule.pattern_id, walker.start, walker.last);
            }
            walker.mode = NFA_IDLE;
        } else if (!can_judge(walker.at + 1u, rule.lookahead)) {
            given_up = !emit(rule.pattern_id, walker.start, UNDECIDED);
            walker.mode = NFA_IDLE;
        } else {
            walker.side = 1u - walker.side;
            walker.cur_len = walker.next_len;
            walker.cur = 0u;
            walker.next_len = 0u;
            walker.at += 1u;
            walker.epoch += 1u;
            walker.emitted = 0u;
        }
    }

    if (given_up) {
        walker.mode = NFA_IDLE;
    }
    state.walkers[id] = walker;
    if (walker.mode != NFA_IDLE) {
        atomicAdd(control.unfinished, 1u);
    }
}
