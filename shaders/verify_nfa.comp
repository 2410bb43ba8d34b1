#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_vote : require

// Finishes the walks that left a DFA, on position NFAs.
//
// Takes tasks from the queue; reads the tables, the haystack, Control, the hit counter and, where items are packed, their
// slots; writes hits, its own walkers, scratch and, in Control, counts. Grid:
// Control::verify_nfa_*, a workgroup for each walker, of which one subgroup works. The main loop is bounded by
// params.nfa_step_budget, and what is left goes on in the next round.
//
// A walk begins on sets of positions, if the rule has a GlushkovRecord: two sets of positions in shared memory, those that have read
// the byte before and those that they lead to, of which each invocation has words; the first waits in scratch from
// one round to the next. A step is a byte. Where leftmost-first order matters and the sets do not tell, the walk
// begins again in order.
//
// A walk in order keeps two thread lists in order of preference and the stamps of the nodes met at the position: in
// shared memory where its rule is small, with the edges, else in scratch, where small ones wait from one round to
// the next; and a stack of edge ranges in scratch. Stamps in scratch stay there from one walk to the next, each with
// the epoch that it is of, so that a walk begins at once however large its rule is. The invocations look at as many edges at a time as there are of
// them. Of a node that several reach, the first keeps it; a node that reads no byte is followed before the edges
// behind it are looked at.
//
// A search (Control::searched) takes all starts of a rule in one walk: behind the threads in the list it puts, at each byte, those
// of a start there, until one has led to a match; that is the leftmost one, and the search goes on behind it. Of two threads at a node
// the one of the later start goes, as in a walk that which is less preferred. This is Pike's simulation with a start for each thread
// (R. Cox, "Regular Expression Matching: the Virtual Machine Approach", 2009), and linear however long matches are, but where one is
// known only once a longer one has come to nothing. A search that takes long goes on with live sets (include/live_sets.glsl), and then
// knows.
//
// Charged to the budget are the turns that Unicode look-arounds take, over bytes and in the ranges of `\w`; those
// over a small rule's edges; and on such sets those over words, over what they lead to, and over look-arounds. Other loops:
// in each step a search among the invocations or twice the words of a set, in each round twice what shared memory
// holds, and where a search begins the hits that stand for matches of earlier parts. CPU twins: src/twin/glushkov.rs, and
// src/twin/verify_nfa.rs, one edge at a time.

#include "bindings.glsl"
#include "lockstep.glsl"

layout(local_size_x = 32, local_size_x_id = SPEC_NFA_LANES) in;

layout(set = 0, binding = BINDING_NFA_WALKERS) buffer NfaWalkers {
    NfaWalker walkers[];
} state;

layout(set = 0, binding = BINDING_SCRATCH) buffer Scratch {
    uint words[];
} scratch;

// Lists and stamps of a small rule.
shared uint small[3u * NFA_SMALL_NODES];
shared uint small_edges[NFA_SMALL_EDGES];
// For each thread of a batch: how many edges it and those before it have, and its first edge.
shared uvec2 owners[NFA_MOST_LANES];

NfaWalker walker;
RuleRecord rule;
GlushkovRecord glushkov;
// That of the first word of a set that this invocation looks at.
GlushkovWord own_word;
// Where this walker's scratch begins, that is its stamps, and the lists and the stack in it.
uint own_scratch;
uint own_lists;
uint stack;
// Where the starts of a search's threads are.
uint own_starts;
uint lanes;
uint lane;
uint step_count;

bool is_small() {
    return rule.node_count <= NFA_SMALL_NODES;
}

uint load(uint word) {
    return is_small() ? small[word] : scratch.words[own_lists + word];
}

void store(uint word, uint value) {
    if (is_small()) {
        small[word] = value;
    } else {
        scratch.words[own_lists + word] = value;
    }
}

// Where the stamps of a small rule are, behind its lists.
uint small_stamp(uint node) {
    return 2u * rule.node_count + node;
}

uint load_stamp(uint node) {
    return is_small() ? small[small_stamp(node)] : scratch.words[own_scratch + node];
}

bool is_met(uint node) {
    return load_stamp(node) >> NFA_LANE_BITS == walker.epoch;
}

// Of the invocations that mark a node, whether this is the first; nobody else has met it at this position.
bool marks_first(uint node, bool is_new) {
    uint stamp = walker.epoch << NFA_LANE_BITS | (NFA_MOST_LANES - 1u - lane);
    sync_subgroup();
    if (is_new) {
        if (is_small()) {
            atomicMax(small[small_stamp(node)], stamp);
        } else {
            atomicMax(scratch.words[own_scratch + node], stamp);
        }
    }
    sync_subgroup();
    return is_new && load_stamp(node) == stamp;
}

NfaNode node_record(uint node) {
    uint at = tables.header.nodes + node * NODE_WORDS;
    return NfaNode(tables.words[at], tables.words[at + 1u], tables.words[at + 2u], tables.words[at + 3u],
                   tables.words[at + 4u]);
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
    uint more;
    uint code;
    if (lead >= 0xC0u && lead < 0xE0u) {
        more = 1u;
        code = lead & 0x1Fu;
    } else if (lead >= 0xE0u && lead < 0xF0u) {
        more = 2u;
        code = lead & 0x0Fu;
    } else if (lead >= 0xF0u && lead < 0xF8u) {
        more = 3u;
        code = lead & 0x07u;
    } else {
        return NO_CHAR;
    }
    if (end - at <= more) {
        return NO_CHAR;
    }
    for (uint i = 1u; i <= more; ++i) {
        uint next = byte_at(at + i);
        if ((next & 0xC0u) != 0x80u) {
            return NO_CHAR;
        }
        code = code << 6 | (next & 0x3Fu);
    }
    // Overlong, surrogate, or past the last code point.
    uint least = more == 1u ? 0x80u : more == 2u ? 0x800u : 0x10000u;
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
    bool valid_before = at == text_begin();
    bool word_before = false;
    if (at > text_begin()) {
        uint least = at - min(at - text_begin(), UTF8_MAX);
        uint start = at - 1u;
        while (start > least && (byte_at(start) & 0xC0u) == 0x80u) {
            start -= 1u;
        }
        uint code = char_at(start, at);
        valid_before = code != NO_CHAR;
        word_before = is_word_char(code);
    }
    bool valid_after = at == text_end();
    bool word_after = false;
    if (!valid_after) {
        uint code = char_at(at, text_end());
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

// The bytes before and behind `at`, or NO_BYTE.
uint byte_before(uint at) {
    return at == text_begin() ? NO_BYTE : byte_at(at - 1u);
}

uint byte_after(uint at) {
    return at == text_end() ? NO_BYTE : byte_at(at);
}

// Whether a look-around holds at `at`, between these two bytes.
bool look_holds(uint kind, uint line_terminator, uint at, uint before, uint after) {
    if (kind >= NODE_WORD_UNICODE) {
        return unicode_look_holds(kind, at);
    }
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
    return params.is_final != 0u || text_end() - at >= lookahead;
}

// Reports a hit, once for all invocations. False if the scan has been given up.
bool emit_once(uint end) {
    bool going = false;
    if (subgroupElect()) {
        going = emit(rule.pattern_id, walker.start, end);
    }
    return subgroupBroadcastFirst(going);
}

// Finds the edges that a batch of threads follows: all have read the byte before `at`. Says how many that are.
uint load_batch(uint batch) {
    uint count = 0u;
    uint first = 0u;
    if (batch + lane < walker.cur_len) {
        NfaNode node = node_record(rule.first_node + load(walker.side * rule.node_count + batch + lane));
        count = node.edges_end - node.edges_begin;
        first = node.edges_begin;
    }
    sync_subgroup();
    owners[lane] = uvec2(subgroupInclusiveAdd(count), first);
    sync_subgroup();
    return subgroupAdd(count);
}

// The thread of a batch that the edge at `index` is of.
uint owner_in_batch(uint index) {
    uint low = 0u;
    uint high = lanes - 1u;
    while (low < high) {
        uint middle = (low + high) / 2u;
        if (owners[middle].x > index) {
            high = middle;
        } else {
            low = middle + 1u;
        }
    }
    return low;
}

// The edge at `index` of a batch, of this thread.
uint edge_of_batch(uint owner, uint index) {
    return owners[owner].y + index - (owner == 0u ? 0u : owners[owner - 1u].x);
}

// Where the start of a search's thread is, by its place in a list.
uint place_of_start(uint side, uint place) {
    return own_starts + side * rule.node_count + place;
}

// Loads the edges of a small rule.
void load_edges() {
    if (rule.edge_count <= NFA_SMALL_EDGES) {
        uint from = tables.header.edges + rule.first_edge;
        for (uint edge = lane; edge < rule.edge_count; edge += lanes) {
            small_edges[edge] = tables.words[from + edge];
        }
        // The same for all invocations, which leave the main loop together.
        step_count += (rule.edge_count + lanes - 1u) / lanes;
    }
    sync_subgroup();
}

uint load_edge(uint edge) {
    return rule.edge_count <= NFA_SMALL_EDGES ? small_edges[edge - rule.first_edge]
                                              : tables.words[tables.header.edges + edge];
}

// Begins a walk of the rule in the order of preference. The stamps that walks before left in scratch are of older
// epochs; those in shared memory may be anything.
void begin_in_order(Task task) {
    load_edges();
    // Node 0 leads to where the rule starts.
    NfaNode root = node_record(rule.first_node);
    uint epoch = walker.epoch + 1u;
    uint mode = is_small() || epoch >= NFA_EPOCH_LIMIT ? NFA_CLEARING : NFA_WALKING;
    walker = NfaWalker(walker.generation, mode, task.rule, task.start, task.from, task.start, task.start,
                       0u, 0u, 0u, 0u, 0u, root.edges_begin, root.edges_end, 0u, 0u, 0u, epoch, 0u, 0u, 0u, 0u, 0u, 0u);
}

// Goes on with a search, for matches from `at` on.
void search_from(uint at) {
    uint epoch = walker.epoch + 1u;
    uint mode = walker.is_search == 0u && is_small() || epoch >= NFA_EPOCH_LIMIT ? NFA_CLEARING : NFA_WALKING;
    walker = NfaWalker(walker.generation, mode, walker.rule, at, at, at, at,
                       0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, epoch, 0u, 1u,
                       walker.spent, walker.block_log2, walker.block, walker.back_at);
}

GlushkovWord load_glushkov_word(uint word) {
    uint at = glushkov.of_words + word * GLUSHKOV_WORD_WORDS;
    return GlushkovWord(tables.words[at], tables.words[at + 1u], tables.words[at + 2u], tables.words[at + 3u],
                    tables.words[at + 4u], tables.words[at + 5u], tables.words[at + 6u], tables.words[at + 7u]);
}

GlushkovWord glushkov_word(uint word) {
    if (word == lane) {
        return own_word;
    }
    return load_glushkov_word(word);
}

// Acceptance, if that is in the word of a set.
uint accept_bit(uint word) {
    return word == glushkov.accept >> 5 ? 1u << (glushkov.accept & 31u) : 0u;
}

// Whether each invocation can hold a word of the set, and shared memory what positions lead to.
bool walks_in_registers() {
    return glushkov.word_count <= lanes && glushkov.shared_exception_count <= GLUSHKOV_FEW_EXCEPTIONS;
}

// Of a rule that has one.
void load_glushkov_record() {
    uint at = rule.glushkov;
    glushkov = GlushkovRecord(tables.words[at], tables.words[at + 1u], tables.words[at + 2u], tables.words[at + 3u],
                      tables.words[at + 4u], tables.words[at + 5u], tables.words[at + 6u],
                      tables.words[at + 7u], tables.words[at + 8u], tables.words[at + 9u]);
    own_word = load_glushkov_word(min(lane, glushkov.word_count - 1u));
}

// Loads what a walk on sets of positions reads.
void load_glushkov() {
    load_glushkov_record();
    for (uint word = lane; word < glushkov.word_count; word += lanes) {
        small[glushkov.word_count + word] = 0u;
    }
    if (walks_in_registers()) {
        uint count = glushkov.shared_exception_count * GLUSHKOV_SHARED_WORDS;
        for (uint word = lane; word < count; word += lanes) {
            small_edges[word] = tables.words[glushkov.shared_exceptions + word];
        }
        step_count += (count + lanes - 1u) / lanes;
    }
    sync_subgroup();
}

// Begins a walk of the rule on sets of positions.
void begin_glushkov(Task task) {
    walker = NfaWalker(walker.generation, NFA_GLUSHKOV, task.rule, task.start, task.from, task.start, task.start,
                       0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, walker.epoch, 0u, 0u, 0u, 0u, 0u, 0u);
    load_glushkov();
    for (uint word = lane; word < glushkov.word_count; word += lanes) {
        small[word] = word == 0u ? 1u : 0u;
    }
    sync_subgroup();
}

// Which look-arounds of the rule hold at `at`: a bit for each.
uint looks_that_hold(uint at) {
    uint holding = 0u;
    uint before = byte_before(at);
    uint after = byte_after(at);
    for (uint look = 0u; look < glushkov.look_count; ++look) {
        uint kind = tables.words[glushkov.looks + look];
        holding |= look_holds(kind, glushkov.line_terminator, at, before, after) ? 1u << look : 0u;
    }
    step_count += glushkov.look_count;
    return holding;
}

// Adds positions to those that come next.
void add_next(uint guard, uint holding, uint word, uint positions) {
    if ((guard & ~holding) == 0u) {
        atomicOr(small[glushkov.word_count + word], positions);
    }
}

// The number of the word that a shared exception leads to.
uint target_word(uvec4 exception) {
    return exception.z & (1u << GLUSHKOV_SOURCE_SHIFT) - 1u;
}

// From the positions that have read the byte before, finds those that they lead to.
void lead_on(uint holding) {
    uint turns = 0u;
    for (uint word = lane; word < glushkov.word_count; word += lanes) {
        uint set = small[word];
        turns += 2u;
        if (set == 0u) {
            continue;
        }
        GlushkovWord of_word = glushkov_word(word);
        uint shift = set & of_word.shift;
        uint next = shift << 1 | (set & of_word.self_loop);
        if (next != 0u) {
            atomicOr(small[glushkov.word_count + word], next);
        }
        if (shift >> 31 != 0u) {
            atomicOr(small[glushkov.word_count + word + 1u], 1u);
        }
        for (uint entry = of_word.shared_exceptions; entry < of_word.shared_exceptions_end; entry += GLUSHKOV_SHARED_WORDS) {
            uvec4 target = uvec4(tables.words[entry], tables.words[entry + 1u], tables.words[entry + 2u],
                                 tables.words[entry + 3u]);
            if ((set & target.x) != 0u) {
                add_next(target.y, holding, target_word(target), target.w);
            }
            turns += 1u;
        }
        for (uint left = set & of_word.exceptions; left != 0u; left &= left - 1u) {
            uint before = of_word.exceptions & ((left & -left) - 1u);
            uint list = tables.words[of_word.exception_lists + uint(bitCount(before))];
            uint end = list + 1u + GLUSHKOV_TARGET_WORDS * tables.words[list];
            for (uint target = list + 1u; target < end; target += GLUSHKOV_TARGET_WORDS) {
                add_next(tables.words[target], holding, tables.words[target + 1u], tables.words[target + 2u]);
                turns += 1u;
            }
            turns += 1u;
        }
    }
    sync_subgroup();
    // The same for all invocations, which leave the main loop together.
    step_count += subgroupMax(turns);
}

// Follows a match: cuts off what it is preferred to. False if the scan has been given up.
bool accept_glushkov() {
    if (MATCH_ALL == 1u) {
        return walker.at < walker.from || emit_once(walker.at);
    }
    if (walker.emitted != 0u) {
        // Whether this match counts depends on what the one before should have pruned.
        walker.emitted = walker.at;
        return true;
    }
    walker.last = walker.at;
    bool is_doubtful = false;
    for (uint word = lane; word < glushkov.word_count; word += lanes) {
        GlushkovWord of_word = glushkov_word(word);
        uint left = small[glushkov.word_count + word] & ~of_word.pruned;
        small[glushkov.word_count + word] = left;
        is_doubtful = is_doubtful || (left & of_word.doubtful) != 0u;
    }
    walker.emitted = subgroupAny(is_doubtful) ? walker.at + max(walker.at - walker.start, GLUSHKOV_DOUBTED) : 0u;
    return true;
}

// Ends a walk, and reports what it has found. False if the scan has been given up.
bool finish() {
    walker.mode = NFA_IDLE;
    return MATCH_ALL == 1u || walker.last == walker.start || emit_once(walker.last);
}

// A shared exception of the rule, or none where there are no more.
uvec4 exception_at(uint index) {
    uint at = index * GLUSHKOV_SHARED_WORDS;
    return index < glushkov.shared_exception_count
        ? uvec4(small_edges[at], small_edges[at + 1u], small_edges[at + 2u], small_edges[at + 3u]) : uvec4(0u);
}

// What a byte reaches, of the word that this invocation has; `reads` are the bytes' classes by invocation, from the rule's `reach` on.
uint reached_by(uint reads, uint index) {
    return tables.words[subgroupShuffle(reads, index) + min(lane, glushkov.word_count - 1u)];
}

// Walks on, on a set in registers, over bytes that end nothing: to one that no position reads, or behind which the walk may have to be
// done in order, or may end. What does not depend on the set is loaded ahead. False if the scan has been given up.
bool walk_in_registers() {
    bool has_word = lane < glushkov.word_count;
    GlushkovWord word = own_word;
    uint set = has_word ? small[lane] : 0u;
    uint accept = accept_bit(lane);
    uvec4 own_exception = exception_at(lane);
    uint exception_turns = (glushkov.shared_exception_count + lanes - 1u) / lanes;
    uint at = walker.at;
    uint stop = walker.start + min(params.max_scan, text_end() - walker.start);
    if (params.is_final == 0u) {
        stop = min(stop, text_end() - min(text_end(), rule.lookahead));
    }
    bool goes_on = true;
    bool going = true;
    while (goes_on && at < stop) {
        // A byte for each invocation.
        uint count = min(lanes, stop - at);
        uint own_at = min(at + lane, stop - 1u);
        uint reads = glushkov.reach + class_of(rule.classes, byte_at(own_at)) * glushkov.word_count;
        uint holds = 0u;
        if (glushkov.look_count > 0u) {
            holds = looks_that_hold(own_at);
            step_count = subgroupMax(step_count);
        }
        uvec4 ahead = uvec4(reached_by(reads, 0u), reached_by(reads, min(1u, count - 1u)),
                            reached_by(reads, min(2u, count - 1u)), reached_by(reads, min(3u, count - 1u)));
        for (uint index = 0u; goes_on && index < count; ++index) {
            uint reached = ahead.x;
            ahead = uvec4(ahead.yzw, reached_by(reads, min(index + 4u, count - 1u)));
            uint holding = subgroupShuffle(holds, index);
            uint shift = set & word.shift;
            uint next = shift << 1 | (set & word.self_loop);
            if (glushkov.word_count > 1u) {
                uint carried = subgroupShuffle(shift >> 31, max(lane, 1u) - 1u);
                next |= lane == 0u ? 0u : carried;
            }
            bool is_led = false;
            for (uint turn = 0u; turn < exception_turns; ++turn) {
                uvec4 exception = turn == 0u ? own_exception : exception_at(turn * lanes + lane);
                uint source = subgroupShuffle(set, exception.z >> GLUSHKOV_SOURCE_SHIFT);
                bool leads = (source & exception.x) != 0u && (exception.y & ~holding) == 0u;
                if (glushkov.word_count == 1u) {
                    next |= subgroupOr(leads ? exception.w : 0u);
                } else if (leads) {
                    atomicOr(small[glushkov.word_count + target_word(exception)], exception.w);
                    is_led = true;
                }
            }
            if (subgroupAny(is_led)) {
                sync_subgroup();
                if (has_word) {
                    next |= small[glushkov.word_count + lane];
                    small[glushkov.word_count + lane] = 0u;
                }
                sync_subgroup();
            }
            bool accepts = subgroupAny(has_word && (next & accept) != 0u);
            uint emitted = walker.emitted;
            next &= ~accept;
            if (MATCH_ALL == 0u && accepts) {
                next &= ~word.pruned;
                bool is_doubtful = subgroupAny(has_word && (next & word.doubtful) != 0u);
                emitted = is_doubtful ? at + max(at - walker.start, GLUSHKOV_DOUBTED) : 0u;
            }
            uint read = has_word ? next & reached : 0u;
            bool is_doubted = walker.emitted != 0u && (accepts || at >= walker.emitted);
            goes_on = subgroupAny(read != 0u) && !is_doubted && step_count < params.nfa_step_budget;
            if (goes_on) {
                if (accepts && MATCH_ALL == 0u) {
                    walker.last = at;
                    walker.emitted = emitted;
                } else if (accepts && at >= walker.from) {
                    going = emit_once(at);
                    goes_on = going;
                }
                set = read;
                at += 1u;
                step_count += 1u + exception_turns;
            }
        }
    }
    walker.at = at;
    if (has_word) {
        small[lane] = set;
    }
    sync_subgroup();
    return going;
}

// A step of a walk on sets of positions, over one byte. False if the scan has been given up.
bool step_glushkov() {
    bool is_alive = walker.at < text_end() && walker.at - walker.start < params.max_scan;
    uint after = byte_after(walker.at);
    uint read = glushkov.reach + (is_alive ? class_of(rule.classes, after) * glushkov.word_count : 0u);
    // Of the first word, ahead of its use: memory is slow.
    uint first_read = tables.words[read + min(lane, glushkov.word_count - 1u)];
    lead_on(looks_that_hold(walker.at));
    uint accept_word = glushkov.word_count + (glushkov.accept >> 5);
    if ((small[accept_word] >> (glushkov.accept & 31u) & 1u) != 0u) {
        sync_subgroup();
        if (subgroupElect()) {
            small[accept_word] &= ~(1u << (glushkov.accept & 31u));
        }
        sync_subgroup();
        if (!accept_glushkov()) {
            return false;
        }
        sync_subgroup();
    }
    if (MATCH_ALL == 0u && walker.emitted != 0u && walker.at >= walker.emitted) {
        begin_in_order(Task(walker.rule, walker.start, walker.from));
        return true;
    }
    bool goes_on = false;
    bool reads = false;
    for (uint word = lane; word < glushkov.word_count; word += lanes) {
        uint next = small[glushkov.word_count + word];
        small[glushkov.word_count + word] = 0u;
        goes_on = goes_on || next != 0u;
        uint set = next & (word == lane ? first_read : tables.words[read + word]);
        small[word] = is_alive ? set : 0u;
        reads = reads || (is_alive && set != 0u);
    }
    sync_subgroup();
    if (is_alive && subgroupAny(goes_on) && !can_judge(walker.at + 1u, rule.lookahead)) {
        if (MATCH_ALL == 0u && walker.emitted != 0u) {
            // What is left may be pruned.
            begin_in_order(Task(walker.rule, walker.start, walker.from));
            return true;
        }
        walker.mode = NFA_IDLE;
        return emit_once(UNDECIDED);
    }
    if (!subgroupAny(reads)) {
        return finish();
    }
    walker.at += 1u;
    return true;
}

// Takes a task from the queue. False if there is none.
bool take(uint queue_end) {
    uint taken = 0u;
    if (subgroupElect()) {
        // Most find nothing to do, and need not meet at the counter to see it. The value may be stale, but it
        // only ever grows.
        taken = control.queue_head;
        if (int(queue_end - taken) > 0) {
            taken = atomicAdd(control.queue_head, 1u);
        }
    }
    taken = subgroupBroadcastFirst(taken);
    if (int(queue_end - taken) <= 0) {
        return false;
    }
    Task task = queue.tasks[taken & (params.queue_capacity - 1u)];
    rule = rule_record(task.rule);
    if (!enter_text(task.start)) {
        return true;
    }
    step_count += enter_steps();
    if (rule.glushkov != 0u) {
        begin_glushkov(task);
    } else {
        begin_in_order(task);
    }
    return true;
}

// Whether an edge to acceptance means anything at this position.
bool counts_here() {
    return MATCH_ALL == 0u || (walker.at >= walker.from && walker.emitted == 0u);
}

// Follows an edge to acceptance. False if the scan has been given up.
bool accept() {
    if (MATCH_ALL == 1u) {
        walker.emitted = 1u;
        return emit_once(walker.at);
    }
    if (walker.is_search != 0u) {
        if (walker.from == walker.at) {
            // What this start prefers to nothing is there; an empty match is none.
            walker.edge = walker.edge_end;
            walker.stack_len = 0u;
            return true;
        }
        walker.start = walker.from;
    }
    // Threads less preferred than this one are pruned.
    walker.last = walker.at;
    walker.edge = walker.edge_end;
    walker.flat_edge = walker.flat_end;
    walker.stack_len = 0u;
    walker.batch = walker.cur_len;
    return true;
}

// Follows an edge to a node that reads no byte, if its assertion holds: its edges come next, and then those
// behind it.
void follow(uint target) {
    sync_subgroup();
    if (subgroupElect()) {
        uint stamp = walker.epoch << NFA_LANE_BITS;
        if (is_small()) {
            small[small_stamp(target)] = stamp;
        } else {
            scratch.words[own_scratch + target] = stamp;
        }
    }
    sync_subgroup();
    NfaNode node = node_record(rule.first_node + target);
    if (node.kind != NODE_JUMP
        && !look_holds(node.kind, node.operand, walker.at, byte_before(walker.at), byte_after(walker.at))) {
        return;
    }
    if (walker.is_flat != 0u) {
        walker.is_flat = 0u;
        walker.flat_edge = walker.edge;
        walker.flat_end = walker.edge_end;
    } else if (walker.edge < walker.edge_end) {
        if (subgroupElect()) {
            scratch.words[stack + 2u * walker.stack_len] = walker.edge;
            scratch.words[stack + 2u * walker.stack_len + 1u] = walker.edge_end;
        }
        sync_subgroup();
        walker.stack_len += 1u;
    }
    walker.edge = node.edges_begin;
    walker.edge_end = node.edges_end;
}

#include "live_sets.glsl"

// Room for the live sets of this search.
uint sets_room;

// Finds where the starts and the live sets of a search are, behind what walkers have of scratch. What is loaded from there has to be
// in scratch for others, too: a CPU device loads what is the same for all of a subgroup whether it is asked for or not.
void find_search_room(uint id, uint of_walkers) {
    own_starts = 0u;
    own_sets = 0u;
    sets_room = 0u;
    if (id < MOST_SEARCHED && control.searched[min(id, MOST_SEARCHED - 1u)] != 0u) {
        uint searches = 0u;
        for (uint place = 0u; place < MOST_SEARCHED; ++place) {
            searches += control.searched[place] != 0u ? 1u : 0u;
        }
        uint first_set = of_walkers + MOST_SEARCHED * tables.header.nfa_lists;
        own_starts = of_walkers + id * tables.header.nfa_lists;
        sets_room = (uint(scratch.words.length()) - first_set) / searches;
        own_sets = first_set + id * sets_room;
    }
}

// Begins a search, behind what matches of earlier parts of the haystack cover.
void begin_search() {
    walker.rule = control.searched[gl_WorkGroupID.x] - 1u;
    walker.is_search = 0u;
    rule = rule_record(walker.rule);
    load_edges();
    uint from = params.first_start;
    for (uint first = 0u; first < control.carried; first += lanes) {
        uint index = min(first + lane, control.carried - 1u);
        bool is_own = hits.words[index * 3u] == rule.pattern_id;
        from = max(from, subgroupMax(is_own ? hits.words[index * 3u + 2u] : 0u));
    }
    search_from(from);
    walker.spent = 0u;
    walker.block_log2 = 0u;
}

// Whether a node reads the next byte, and may be of use.
bool reads_on(uint number) {
    NfaNode node = node_record(rule.first_node + number);
    return walker.at < text_end() && is_in_set(node.operand, byte_at(walker.at)) && may_live(node.position);
}

// Looks at edges, as many as there are invocations. False if the scan has been given up.
bool visit_edges() {
    uint index = walker.edge + lane;
    bool is_edge = index < walker.edge_end;
    uint edge = EDGE_MATCH;
    uint start = walker.from;
    if (is_edge && walker.is_flat != 0u) {
        uint owner = owner_in_batch(index);
        edge = load_edge(edge_of_batch(owner, index));
        if (walker.is_search != 0u) {
            start = scratch.words[place_of_start(walker.side, walker.batch - lanes + owner)];
        }
    } else if (is_edge) {
        edge = load_edge(index);
    }
    uint target = edge & ~EDGE_OTHER;
    // Those before the first one that leads to acceptance, or to a node that reads no byte and has not been met.
    bool is_new = is_edge && (edge == EDGE_MATCH ? counts_here() : !is_met(target));
    if (is_new && (edge & EDGE_OTHER) == 0u) {
        is_new = reads_on(target);
    }
    uvec4 others = subgroupBallot(is_new && (edge & EDGE_OTHER) != 0u);
    uint count = others == uvec4(0u) ? lanes : subgroupBallotFindLSB(others);
    is_new = is_new && lane < count;
    bool is_first = marks_first(target, is_new);
    uvec4 kept = subgroupBallot(is_first);
    if (is_first) {
        uint place = walker.next_len + subgroupBallotExclusiveBitCount(kept);
        store((1u - walker.side) * rule.node_count + place, target);
        if (walker.is_search != 0u) {
            scratch.words[place_of_start(1u - walker.side, place)] = start;
        }
    }
    walker.next_len += subgroupBallotBitCount(kept);
    walker.edge = min(walker.edge + count, walker.edge_end);
    sync_subgroup();
    if (count == lanes) {
        return true;
    }
    walker.edge += 1u;
    if (walker.is_search != 0u) {
        walker.from = subgroupShuffle(start, count);
    }
    uint other = subgroupShuffle(edge, count);
    if (other == EDGE_MATCH) {
        return accept();
    }
    follow(other & ~EDGE_OTHER);
    return true;
}

// Goes on to the next byte.
void advance() {
    walker.side = 1u - walker.side;
    walker.cur_len = walker.next_len;
    walker.batch = 0u;
    walker.next_len = 0u;
    walker.at += 1u;
    walker.epoch += 1u;
    walker.emitted = 0u;
    if (walker.epoch >= NFA_EPOCH_LIMIT) {
        walker.mode = NFA_CLEARING;
    }
}

// All edges of a search's threads at this position have been looked at: takes up those of a start here, or goes on, behind a match or
// to the next byte. False if the scan has been given up.
bool end_search_position() {
    bool has_match = walker.last != walker.start;
    bool has_start = walker.at < min(end_start(), text_end());
    if (has_start && !has_match && walker.emitted == 0u && may_start()) {
        NfaNode root = node_record(rule.first_node);
        walker.emitted = 1u;
        walker.from = walker.at;
        walker.is_flat = 0u;
        walker.edge = root.edges_begin;
        walker.edge_end = root.edges_end;
        return true;
    }
    bool is_over = walker.next_len == 0u || walker.at == text_end();
    if (is_over && has_match) {
        bool going = emit_once(walker.last);
        search_from(walker.last);
        return going;
    }
    if (is_over && !has_start) {
        walker.mode = NFA_IDLE;
        return true;
    }
    advance();
    if (rule.glushkov != 0u && walker.block_log2 == 0u && pays_for_live_sets()) {
        walker.block_log2 = block_log2_of(sets_room);
        walker.block = BLOCK_NO_BORDERS;
    }
    return true;
}

// All edges at this position have been looked at: ends the walk or goes on to the next byte. False if the scan
// has been given up.
bool end_position() {
    if (walker.is_search != 0u) {
        return end_search_position();
    }
    if (walker.next_len == 0u || walker.at == text_end()
        || walker.at - walker.start == params.max_scan) {
        return finish();
    }
    if (!can_judge(walker.at + 1u, rule.lookahead)) {
        walker.mode = NFA_IDLE;
        return emit_once(UNDECIDED);
    }
    advance();
    return true;
}

// A step of a walk. False if the scan has been given up.
bool step_on() {
    if (walker.mode == NFA_BACKWARDS) {
        step_backwards();
        return true;
    }
    if (needs_block()) {
        // The borders of the blocks come first.
        begin_backwards(walker.block == BLOCK_NO_BORDERS ? BLOCK_NO_BORDERS : walker.at >> walker.block_log2);
        return true;
    }
    if (walker.mode == NFA_GLUSHKOV) {
        return (!walks_in_registers() || walk_in_registers()) && step_glushkov();
    }
    if (walker.mode == NFA_CLEARING) {
        // `batch` counts the stamps cleared: those of a small rule and, before epochs begin again, all in scratch.
        uint node = walker.batch + lane;
        uint small_count = is_small() ? rule.node_count : 0u;
        uint old_count = walker.epoch >= NFA_EPOCH_LIMIT ? tables.header.nfa_stamps : 0u;
        if (node < small_count) {
            small[small_stamp(node)] = 0u;
        }
        if (node < old_count) {
            scratch.words[own_scratch + node] = 0u;
        }
        sync_subgroup();
        walker.batch += lanes;
        if (walker.batch >= max(small_count, old_count)) {
            walker.batch = 0u;
            walker.epoch = walker.epoch >= NFA_EPOCH_LIMIT ? 1u : walker.epoch;
            walker.mode = NFA_WALKING;
        }
    } else if (walker.edge < walker.edge_end) {
        return visit_edges();
    } else if (walker.stack_len > 0u) {
        walker.stack_len -= 1u;
        walker.edge = scratch.words[stack + 2u * walker.stack_len];
        walker.edge_end = scratch.words[stack + 2u * walker.stack_len + 1u];
    } else if (walker.flat_edge < walker.flat_end) {
        walker.is_flat = 1u;
        walker.edge = walker.flat_edge;
        walker.edge_end = walker.flat_end;
        walker.flat_edge = walker.flat_end;
    } else if (walker.batch < walker.cur_len) {
        walker.is_flat = 1u;
        walker.edge = 0u;
        walker.edge_end = load_batch(walker.batch);
        walker.batch += lanes;
    } else {
        return end_position();
    }
    return true;
}

// Words of shared memory that a walk needs in the next round.
uint kept_words() {
    if (walker.mode == NFA_GLUSHKOV) {
        return glushkov.word_count;
    }
    return is_small() ? 3u * rule.node_count : 0u;
}

void main() {
    uint id = gl_WorkGroupID.x;
    lanes = subgroupBallotBitCount(subgroupBallot(true));
    lane = gl_SubgroupInvocationID;
    // A device may make more subgroups of a workgroup than one.
    if (control.pass != params.pass || id >= params.nfa_walkers || gl_SubgroupID != 0u) {
        return;
    }
    uint own_words = tables.header.nfa_stamps + tables.header.nfa_lists + 2u * tables.header.nfa_stack;
    own_scratch = id * own_words;
    find_search_room(id, params.nfa_walkers * own_words);
    glushkov = GlushkovRecord(0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u);
    own_lists = own_scratch + tables.header.nfa_stamps;
    stack = own_lists + tables.header.nfa_lists;
    walker = state.walkers[id];
    bool begins = walker.generation != control.generation;
    if (begins) {
        walker.generation = control.generation;
        walker.mode = NFA_IDLE;
    }
    if (begins && id < MOST_SEARCHED && control.searched[id] != 0u && control.verified_again == 0u) {
        begin_search();
    } else if (walker.mode != NFA_IDLE) {
        rule = rule_record(walker.rule);
        // A slot that has been published anew meanwhile is of a scan that nobody waits for.
        walker.mode = enter_text(walker.start) ? walker.mode : NFA_IDLE;
        bool is_glushkov = walker.mode == NFA_GLUSHKOV;
        if (is_glushkov) {
            load_glushkov();
        }
        uint kept = kept_words();
        for (uint word = lane; word < kept; word += lanes) {
            small[word] = scratch.words[own_lists + word];
        }
        if (walker.is_search != 0u && rule.glushkov != 0u) {
            load_glushkov_record();
        }
        if (walker.mode == NFA_BACKWARDS) {
            uint from = set_in_block(walker.back_at);
            for (uint word = lane; word < glushkov.word_count; word += lanes) {
                small_edges[word] = scratch.words[from + word];
            }
        } else if (!is_glushkov) {
            load_edges();
        }
        sync_subgroup();
        if (walker.batch >= lanes && walker.mode == NFA_WALKING && walker.at > walker.start) {
            load_batch(walker.batch - lanes);
        }
    }
    // Overshot by walks that found the queue full.
    uint queue_end =
        control.queue_base + min(control.queue_tail - control.queue_base, params.queue_capacity);
    bool going = subgroupAll(hits.count <= params.hit_stop);
    for (step_count = 0u; step_count < params.nfa_step_budget && going; ++step_count) {
        if (walker.mode != NFA_IDLE) {
            going = step_on();
        } else if (!take(queue_end)) {
            break;
        } else if (!can_judge(walker.start, rule.lookahead)) {
            walker.mode = NFA_IDLE;
            going = emit_once(UNDECIDED);
        }
    }

    if (!going) {
        walker.mode = NFA_IDLE;
    }
    if (walker.mode != NFA_IDLE) {
        uint kept = kept_words();
        for (uint word = lane; word < kept; word += lanes) {
            scratch.words[own_lists + word] = small[word];
        }
        if (walker.mode == NFA_BACKWARDS) {
            uint to = set_in_block(walker.back_at);
            for (uint word = lane; word < glushkov.word_count; word += lanes) {
                scratch.words[to + word] = small_edges[word];
            }
        }
    }
    if (subgroupElect()) {
        bool is_left = walker.mode != NFA_IDLE;
        walker.spent = min(walker.spent + step_count / SPENT_STEPS, 0x7FFFFFFFu);
        state.walkers[id] = walker;
        if (is_left) {
            atomicAdd(control.unfinished, 1u);
        }
        if (!is_left || walker.is_search == 0u) {
            atomicAdd(control.nfa_steps, step_count);
        }
        if (is_left && walker.is_search == 0u) {
            atomicExchange(control.held_up[walker.rule % MOST_SEARCHED], walker.rule + 1u);
            atomicAdd(control.held_up_count[walker.rule % MOST_SEARCHED], 1u);
        }
    }
}
