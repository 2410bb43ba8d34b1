#version 460
#extension GL_GOOGLE_include_directive : require

// Drops the candidate suffixes that cannot match, and hands on the starts of those that may.
//
// Reads candidate suffixes, the tables, the haystack and, where items are packed, their slots; writes candidate starts
// and counts them in Control, which also says what was listed, and writes hits.
// Grid: invocation i of n takes candidates i, i + n and so on, and the host gives a grid wide enough that these are few;
// where there are fewer candidates than invocations, one in up to 2^MOST_SPREAD_LOG2 takes one. A suffix passes if its
// DFA accepts, is not built far enough, or has not come to an end after SUFFIX_STEPS bytes. The prefix is then
// walked back to all the places where it may begin. Where prefix and suffix are exact, or the prefix has one length,
// and params.is_direct says so, that is a hit already. Rules with unbounded prefixes that are too long for that are
// listed. Loops, for each candidate: a fourth of SUFFIX_STEPS, PREFIX_STEPS, what prefixes of one split may vary by,
// MOST_LISTED while a rule is listed, and the bits of params.slot_count; and for all of them params.most_pieces times a
// fourth of PIECE_STEPS. CPU twin: src/twin/confirm.rs.

#include "bindings.glsl"
#include "walk.glsl"
#include "listed.glsl"

layout(local_size_x = WORKGROUP) in;

const uint NO_START = 0xFFFFFFFFu;
const uint NO_END = 0xFFFFFFFFu;

SplitRecord split_record(uint split) {
    uint at = tables.header.splits + split * SPLIT_WORDS;
    return SplitRecord(tables.words[at], tables.words[at + 1u], tables.words[at + 2u],
                        tables.words[at + 3u], tables.words[at + 4u], tables.words[at + 5u],
                        tables.words[at + 6u], tables.words[at + 7u], tables.words[at + 8u],
                        tables.words[at + 9u]);
}

// Whether the suffix is the haystack's end.
bool is_at_end(SplitRecord split) {
    return (split.report & REPORT_AT_END) != 0u;
}

// What a walk over a suffix tells.
const uint NO_MATCH = 0u;
const uint MAY_MATCH = 1u;
const uint MATCH = 2u;

// Walks from `start`, for `steps` bytes at most: over the suffix, or over all of the rule where the prefix has one length.
// With `to_the_end` only a MATCH tells the match's end, in `end`; else any match will do.
uint walk(SplitRecord split, uint start, uint steps, bool to_the_end, out uint end) {
    Dfa dfa = Dfa(split.classes, split.first_entry, split.stride);
    uint row = first_row(dfa, start);
    if (row == ROW_DEAD) {
        return NO_MATCH;
    }
    uint at = start;
    end = NO_END;
    walk_words(dfa, !to_the_end, min(start + steps, text_end()), row, at, end);
    uint verdict = end == NO_END ? NO_MATCH : MATCH;
    for (; at < start + steps; ++at) {
        if (row == ROW_DEAD) {
            return verdict;
        }
        bool at_end = at == text_end();
        if (row == ROW_ESCAPE || (at_end && params.is_final == 0u)) {
            return MAY_MATCH;
        }
        uint byte_class = at_end ? dfa.stride - 1u : class_of(dfa.classes, byte_at(at));
        uint entry = dfa_entry(dfa.first_entry, dfa.stride, row, byte_class);
        row = entry >> 1;
        if (row != ROW_ESCAPE && (entry & ENTRY_MATCH) != 0u) {
            verdict = MATCH;
            end = at;
            if (!to_the_end) {
                return verdict;
            }
        }
        if (at_end && row != ROW_ESCAPE) {
            return verdict;
        }
    }
    return MAY_MATCH;
}

// Pieces that this invocation may walk on over.
uint pieces_left = params.most_pieces;

// Whether a walk may go on for so many pieces.
bool pays_for(uint pieces) {
    uint most = max(haystack_len() / PIECE_STEPS, params.most_pieces);
    if (pieces_left < pieces || control.pieces >= most) {
        return false;
    }
    pieces_left -= pieces;
    return atomicAdd(control.pieces, pieces) < most;
}

// Hands a start on. False if there is no room for more: then no more starts of the same candidate are handed on, so that
// the counter, which candidates are too few to wrap, does not either.
bool push_start(uint rule, uint start) {
    if (start < params.first_start || start >= end_start()) {
        return true;
    }
    uint index = atomicAdd(control.start_count, 1u);
    if (index < params.start_capacity) {
        candidates.suffixes_then_starts[params.candidate_capacity + index] = Candidate(rule, start);
    }
    return index < params.start_capacity;
}

// Hands on all starts of a prefix whose length is bounded.
void push_all_starts(SplitRecord split, uint suffix) {
    uint before = suffix - text_begin();
    uint first = before < split.prefix_max ? text_begin() : suffix - split.prefix_max;
    for (uint start = first; start <= suffix - split.prefix_min; ++start) {
        if (!push_start(split.rule, start)) {
            return;
        }
    }
}

// Hands on all starts from which the prefix may lead to `suffix`; or, if what suffixes tell `is_direct` and this one `is` a
// MATCH that ends at `end`, reports the least of them.
void walk_back(SplitRecord split, uint suffix, bool is_direct, uint is, uint end) {
    uint end_class = split.reverse_prefix_stride - 1u;
    // The prefix's DFA has no assertions, so the byte behind it does not matter.
    uint row = dfa_entry(split.reverse_prefix_first_entry, split.reverse_prefix_stride, 0u, end_class) >> 1;
    uint at = suffix;
    uint least = NO_START;
    uint first_start = max(params.first_start, text_begin());
    uint most = PREFIX_STEPS;
    uint starts = 0u;
    bool has_exact_end = is_direct && is == MATCH;
    bool goes_on = true;
    while (goes_on) {
        if (has_exact_end) {
            uint stop = max(first_start, suffix - min(suffix, most));
            walk_words_back(Dfa(split.reverse_prefix_classes, split.reverse_prefix_first_entry, split.reverse_prefix_stride), stop,
                            end_start(), row, at, least);
        }
        while (row != ROW_DEAD && suffix - at < most) {
            uint byte_class = at == text_begin() ? end_class : class_of(split.reverse_prefix_classes, byte_at(at - 1u));
            uint entry = dfa_entry(split.reverse_prefix_first_entry, split.reverse_prefix_stride, row, byte_class);
            row = entry >> 1;
            if ((entry & ENTRY_MATCH) != 0u) {
                least = at < end_start() ? at : least;
                starts += 1u;
                if (!has_exact_end && !push_start(split.rule, at)) {
                    return;
                }
            }
            if (at <= first_start) {
                row = ROW_DEAD;
            } else {
                at -= 1u;
            }
        }
        if (row != ROW_DEAD && most == PREFIX_STEPS && is_direct && !has_exact_end
            && pays_for(LONG_SUFFIX_STEPS / PIECE_STEPS)) {
            is = walk(split, suffix, LONG_SUFFIX_STEPS, true, end);
            if (is == NO_MATCH) {
                return;
            }
            has_exact_end = is == MATCH;
        }
        bool is_worth_it = most < LONG_PREFIX_STEPS && (has_exact_end || starts <= LONG_PREFIX_STARTS);
        goes_on = row != ROW_DEAD && is_worth_it && pays_for(has_exact_end ? 1u : 4u);
        most += PIECE_STEPS;
    }
    if (row != ROW_DEAD) {
        // Still in the prefix, which is long.
        if (split.prefix_max == UNBOUNDED) {
            if (!list_rule(split.rule)) {
                atomicOr(control.retry_reasons, RETRY_PREFIXES);
            }
        } else {
            push_all_starts(split, suffix);
        }
    } else if (has_exact_end && least < end) {
        // Nothing but this start leads to the haystack's end first.
        uint report = is_at_end(split) ? NO_SUFFIX : suffix | split.report - 1u << REPORT_SHIFT;
        emit_report(rule_record(split.rule).pattern_id, least, end, report);
    }
}

void confirm_one(Candidate candidate) {
    SplitRecord split = split_record(candidate.of);
    // What is in an item is told by its last byte: its end may be where the next one begins.
    uint suffix = candidate.at + (is_at_end(split) ? 1u : 0u);
    if (!enter_text(candidate.at) || suffix - text_begin() < split.prefix_min) {
        return;
    }
    uint end;
    if (split.prefix_min == split.prefix_max) {
        uint start = suffix - split.prefix_min;
        if (start < params.first_start || start >= end_start()) {
            return;
        }
        uint verdict = walk(split, start, SUFFIX_STEPS, params.is_direct != 0u, end);
        if (verdict == MATCH && params.is_direct != 0u) {
            // An empty match is none.
            if (end > start) {
                emit(rule_record(split.rule).pattern_id, start, end);
            }
        } else if (verdict != NO_MATCH) {
            push_start(split.rule, start);
        }
        return;
    }
    bool is_direct = params.is_direct != 0u && (split.report & ~REPORT_AT_END) != 0u;
    uint verdict = walk(split, suffix, SUFFIX_STEPS, is_direct, end);
    if (verdict == NO_MATCH) {
        return;
    }
    if (split.reverse_prefix_stride != 0u) {
        walk_back(split, suffix, is_direct, verdict, end);
        return;
    }
    push_all_starts(split, suffix);
}

void main() {
    if (control.pass != params.pass || control.prefiltered != 0u) {
        return;
    }
    uint count = min(control.candidate_count, params.candidate_capacity);
    uint width = gl_NumWorkGroups.x * WORKGROUP;
    uint spread = spread(width, count);
    if (gl_GlobalInvocationID.x % spread != 0u) {
        return;
    }
    for (uint id = gl_GlobalInvocationID.x / spread; id < count; id += width) {
        confirm_one(candidates.suffixes_then_starts[id]);
    }
}
