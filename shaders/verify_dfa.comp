#version 460
#extension GL_GOOGLE_include_directive : require

// Verifies candidate starts on the partial DFAs.
//
// Reads the tables, the haystack, candidate starts, summaries, Control, the hit counter and, where items are packed, their
// slots; writes hits, tasks for walks that leave the DFA, its own walkers and, in Control, names and counts.
// Grid: Control::verify_dfa_*, params.start_walkers invocations; invocation i takes the candidate starts i, i + start_walkers, ..., if there is a prefilter (where they are fewer than invocations, one
// in up to 2^MOST_SPREAD_LOG2 takes one), then for the rules that cannot be prefiltered the starts first_start + i,
// first_start + i + start_walkers, ... and for each the rules of its two lists, and those that have been listed for
// their long prefixes; but none of the rules that are searched for, and of rules that begin with a run only the first start in
// it. A walk that leaves its rule's DFA begins again on that of RuleRecord::relaxed, if there is one,
// and is left to the NFA where that one matches. A long walk that comes to a chunk as a summary does leaps over it,
// and what it is composed with; else it names its rule and row. The main loop is bounded by params.step_budget, and
// the search among summaries is charged to it (that among names is not, and has NAME_PROBES turns at a border), and
// the search for the item that a start lies in; what is left then, and a walk that finds the queue full, goes on in
// the next round.
// CPU twin: src/twin/verify_dfa.rs.

#include "bindings.glsl"
#include "walk.glsl"
#include "front.glsl"
#include "listed.glsl"

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

// What a walker takes its starts from.
const uint SOURCE = START_PAIRS | START_LISTED | START_CANDIDATES;

// Whether a walk may share what is behind it.
bool is_long(StartWalker walker, RuleRecord rule) {
    return params.chunk_log2 != 0u && rule.longest == UNBOUNDED
        && (walker.at & ((1u << params.chunk_log2) - 1u)) == 0u
        && walker.at - walker.start >= LONG_STEPS && text_end() - walker.at >> params.chunk_log2 != 0u;
}

// Leaps over the chunks that a summary knows. False if there is none, and then the walk names a new one.
bool leap(inout StartWalker walker, uint rule, inout uint step) {
    uint name = summary_name(rule, walker.row);
    bool is_known = false;
    uint chunk = walker.at >> params.chunk_log2;
    uint next = control.first_summaries[rule % SUMMARY_LISTS];
    while (next != 0u) {
        step += 1u;
        uint summary = next - 1u;
        next = control.next_summaries[summary];
        uint other = control.summaries[summary];
        is_known = is_known || other == name;
        if (rule_of_summary(other) != rule) {
            continue;
        }
        ChunkSummary found = summaries.chunks[summary * chunk_count() + chunk];
        if ((found.rows & CHUNK_BEGIN_ROW) == walker.row) {
            if ((control.used_summaries[summary / 32u] >> summary % 32u & 1u) == 0u) {
                atomicOr(control.used_summaries[summary / 32u], 1u << summary % 32u);
            }
            walker.at = found.stop << params.chunk_log2;
            walker.row = found.rows >> CHUNK_ROW_BITS;
            walker.mode &= ~START_WAITED;
            if ((walker.mode & START_RELAXED) == 0u) {
                walker.last = max(walker.last, found.last);
            } else if (found.last >= walker.from) {
                walker.mode |= START_ESCAPED;
            }
            return true;
        }
    }
    uint slot = rule + walker.row;
    for (uint probe = 0u; !is_known && probe < NAME_PROBES; ++probe) {
        slot %= MOST_SUMMARIES;
        // Most find it there: a look is cheaper.
        is_known = control.named[slot] == name;
        if (!is_known) {
            atomicOr(control.has_named, 1u);
            uint before = atomicCompSwap(control.named[slot], 0u, name);
            is_known = before == 0u || before == name;
        }
        slot += 1u;
    }
    return false;
}

Dfa dfa_of(RuleRecord rule) {
    return Dfa(rule.classes, rule.first_entry, rule.stride);
}

// Walks on by words, unless the walk is short yet, or takes a counter step. Charges every word. True where the walk has
// come to what may be a chunk.
bool walk_on(inout StartWalker walker, RuleRecord rule, bool is_relaxed, uint most, inout uint step) {
    bool takes_step = rule.has_counter_steps != 0u && (walker.at & (COUNTER_STEP_BYTES - 1u)) == 0u;
    // Where there is a match before every byte, words are of no use.
    bool has_matched = MATCH_ALL == 1u && walker.last + 1u == walker.at;
    if (walker.at - walker.start < SHORT_STEPS || takes_step || has_matched) {
        return false;
    }
    uint before = walker.at;
    uint border = (walker.at | (WALK_BYTES - 1u)) + 1u;
    uint stop = min(border, walker.start + min(most, text_end() - walker.start));
    walk_words(dfa_of(rule), MATCH_ALL == 1u || is_relaxed, stop, walker.row, walker.at, walker.last);
    step += (walker.at - before) >> 2;
    return walker.at == border;
}

// Ends a walk, and reports what it has found.
void finish(inout StartWalker walker, uint pattern_id) {
    walker.mode &= SOURCE;
    if (MATCH_ALL == 0u && walker.last > walker.start) {
        if (!emit(pattern_id, walker.start, walker.last)) {
            walker.mode = START_DONE;
        }
    }
}

void main() {
    uint id = gl_GlobalInvocationID.x;
    if (control.pass != params.pass || id >= params.start_walkers) {
        return;
    }
    StartWalker walker = state.walkers[id];
    if (walker.generation != control.generation) {
        uint spread = spread(params.start_walkers, control.start_count);
        uint first = id % spread == 0u ? id / spread : params.start_walkers;
        walker = StartWalker(control.generation, START_CANDIDATES, 0u, first, 0u, 0u, 0u, 0u, 0u);
    }
    if ((walker.mode & START_DONE) != 0u) {
        return;
    }
    uint firsts = tables.header.firsts;
    uint pairs = tables.header.pairs;
    bool has_pairs = true;
    if (params.use_prefilter == PREFILTER_ALL) {
        firsts = tables.header.rest_firsts;
        pairs = tables.header.rest_pairs;
        has_pairs = tables.header.has_rest != 0u;
    } else if (params.use_prefilter == PREFILTER_BOUNDED) {
        firsts = tables.header.long_firsts;
        pairs = tables.header.long_pairs;
        has_pairs = tables.header.has_long != 0u;
    }
    uint start_count = control.start_count;
    bool has_searched = control.searched[0] != 0u;
    bool has_fronts = tables.header.has_fronts != 0u;
    uint listed_count = 0u;
    while (params.has_listed != 0u && listed_count < MOST_LISTED && control.listed[listed_count] != 0u) {
        listed_count += 1u;
    }
    // The walk's rule; and what it walks on, that or what RuleRecord::relaxed names.
    uint rule_index = 0u;
    uint record = 0u;
    RuleRecord rule;
    bool has_text = enter_text(walker.start);
    if ((walker.mode & START_WALKING) != 0u) {
        rule_index = (walker.mode & START_CANDIDATES) != 0u
            ? candidates.suffixes_then_starts[params.candidate_capacity + walker.entry - params.start_walkers].of
            : (walker.mode & START_LISTED) != 0u ? control.listed[walker.entry - 1u] - 1u
            : tables.words[walker.entry - 1u];
        record = rule_index;
        rule = rule_record(record);
        if ((walker.mode & START_RELAXED) != 0u) {
            record = rule.relaxed;
            rule = rule_record(record);
        }
    }
    // A slot that has been published anew meanwhile is of a scan that nobody waits for.
    bool is_stale = (walker.mode & START_WALKING) != 0u && !has_text;
    if (hits.count > params.hit_stop || is_stale) {
        walker.mode = START_DONE;
    }

    for (uint step = 0u; step < params.step_budget && (walker.mode & START_DONE) == 0u; ++step) {
        if ((walker.mode & START_ESCAPED) != 0u) {
            uint at = atomicAdd(control.queue_tail, 1u);
            if (at - control.queue_base >= params.queue_capacity) {
                break;
            }
            queue.tasks[at & (params.queue_capacity - 1u)] =
                Task(rule_index, walker.start, walker.from);
            walker.mode &= SOURCE;
        } else if ((walker.mode & START_WALKING) != 0u) {
            if (is_long(walker, rule) && record < SUMMARY_MOST_RULES) {
                if (leap(walker, record, step)) {
                    if (walker.row == ROW_DEAD && (walker.mode & START_ESCAPED) == 0u) {
                        finish(walker, rule.pattern_id);
                    }
                    continue;
                }
                // In the first round most walks come to an end without. Then it pays to wait for the next.
                uint patience = min(PATIENT_STEPS, PATIENT_SUM / max(start_count, 1u));
                bool waits = control.rounds > 0u || walker.at - walker.start >= patience;
                if (waits && control.is_crowded == 0u && (walker.mode & START_WAITED) == 0u) {
                    walker.mode |= START_WAITED;
                    break;
                }
                walker.mode &= ~START_WAITED;
            }
            bool is_relaxed = (walker.mode & START_RELAXED) != 0u;
            uint most = min(params.max_scan, rule.longest);
            if (walk_on(walker, rule, is_relaxed, most, step)) {
                continue;
            }
            bool at_end = walker.at == text_end();
            if (at_end && params.is_final == 0u && is_relaxed) {
                // The NFA may have come to an end before.
                walker.mode |= START_ESCAPED;
                continue;
            }
            if (at_end && params.is_final == 0u) {
                bool going = emit(rule.pattern_id, walker.start, UNDECIDED);
                walker.mode = going ? walker.mode & SOURCE : START_DONE;
                continue;
            }
            uint byte_class = at_end ? rule.stride - 1u : class_of(rule.classes, byte_at(walker.at));
            uint entry = walk_entry(rule, walker.row, walker.at, byte_class);
            walker.row = entry >> 1;
            bool escapes = walker.row == ROW_ESCAPE;
            bool matches = (entry & ENTRY_MATCH) != 0u && !escapes;
            if (is_relaxed) {
                if (escapes || (matches && walker.at >= walker.from)) {
                    walker.mode |= START_ESCAPED;
                    continue;
                }
            } else if (escapes) {
                walker.from = max(walker.at, walker.start + 1u);
                if (rule.relaxed == 0u) {
                    walker.mode |= START_ESCAPED;
                    continue;
                }
                walker.mode = (walker.mode | START_RELAXED) & ~START_WAITED;
                record = rule.relaxed;
                rule = rule_record(record);
                walker.at = walker.start;
                walker.row = first_row(dfa_of(rule), walker.start);
                continue;
            } else if (matches) {
                if (MATCH_ALL == 1u && walker.at > walker.start) {
                    if (!emit(rule.pattern_id, walker.start, walker.at)) {
                        walker.mode = START_DONE;
                        continue;
                    }
                }
                walker.last = walker.at;
            }
            if (walker.row == ROW_DEAD || at_end || walker.at - walker.start == most) {
                finish(walker, rule.pattern_id);
            } else {
                walker.at += 1u;
            }
        } else if ((walker.mode & START_CANDIDATES) != 0u
                   ? walker.entry < start_count : walker.entry < walker.entry_end) {
            if ((walker.mode & START_CANDIDATES) != 0u) {
                Candidate candidate = candidates.suffixes_then_starts[params.candidate_capacity + walker.entry];
                rule_index = candidate.of;
                walker.start = candidate.at;
                walker.entry += params.start_walkers;
                has_text = enter_text(walker.start);
                step += enter_steps();
            } else {
                rule_index = (walker.mode & START_LISTED) != 0u
                    ? control.listed[walker.entry] - 1u : tables.words[walker.entry];
                walker.entry += 1u;
            }
            record = rule_index;
            rule = rule_record(record);
            walker.row = has_text ? first_row(dfa_of(rule), walker.start) : ROW_DEAD;
            // What few sets have is asked last: a load that decides holds up those behind it.
            if (walker.row != ROW_DEAD
                && ((has_fronts && is_left_to_another(rule.front, walker.start))
                    || (has_searched && is_searched(rule_index)))) {
                walker.row = ROW_DEAD;
            }
            walker.at = walker.start;
            walker.last = walker.start;
            if (walker.row != ROW_DEAD) {
                walker.mode |= START_WALKING;
            }
        } else if ((walker.mode & START_CANDIDATES) != 0u) {
            // Before the first start, with all lists behind it. The addition may wrap, and wraps back.
            walker.mode = has_lists(tables.header) ? START_LISTED : START_DONE;
            walker.start = params.first_start + id - params.start_walkers;
            walker.entry = 0u;
            walker.entry_end = 0u;
        } else if (walker.mode == START_FIRSTS) {
            walker.mode = START_PAIRS;
            uint second = walker.start + 1u < text_end() ? byte_at(walker.start + 1u) : 256u;
            open_list(walker, pairs + byte_at(walker.start) * PAIR_COLUMNS + second);
        } else if (walker.mode == START_PAIRS && listed_count > 0u) {
            walker.mode = START_LISTED;
            walker.entry = 0u;
            walker.entry_end = listed_count;
        } else {
            walker.start += params.start_walkers;
            // Less than a grid's width is left, so the next start would lie outside: the addition above
            // cannot have wrapped, except for the first start, where it is meant to.
            has_text = enter_text(walker.start) && (PACKED == 0u || walker.start < text_end());
            step += enter_steps();
            if (walker.start >= end_start()) {
                walker.mode = START_DONE;
            } else if (!has_text) {
                // Between two items. The lists are behind it, so the next start comes next.
            } else if (has_pairs) {
                walker.mode = START_FIRSTS;
                open_list(walker, firsts + byte_at(walker.start));
            } else {
                walker.entry = 0u;
                walker.entry_end = listed_count;
            }
        }
    }

    state.walkers[id] = walker;
    if ((walker.mode & START_DONE) == 0u) {
        atomicAdd(control.unfinished, 1u);
    }
}
