#version 460
#extension GL_GOOGLE_include_directive : require

// Drops the candidate tails that cannot match, and hands on the starts of those that may.
//
// Reads candidate tails, the tables and the haystack; writes candidate starts and counts them in Control.
// Grid: Control::tails_*, an invocation for each candidate. Nothing is decided here: a tail passes if its
// DFA accepts, is not built far enough, or has not come to an end after TAIL_STEPS bytes. Loops: that many
// steps, and the starts of one tail. CPU twin: src/twin/tails.rs.

#include "bindings.glsl"

layout(local_size_x = WORKGROUP) in;

BranchRecord branch_record(uint branch) {
    uint at = tables.header.branches + branch * BRANCH_WORDS;
    return BranchRecord(tables.words[at], tables.words[at + 1u], tables.words[at + 2u],
                        tables.words[at + 3u], tables.words[at + 4u], tables.words[at + 5u]);
}

bool may_match(BranchRecord branch, uint start) {
    uint end_class = branch.stride - 1u;
    uint before = start == 0u ? end_class : class_of(branch.classes, byte_at(start - 1u));
    uint row = dfa_entry(branch.first_entry, 0u, before) >> 1;
    for (uint step = 0u; step < TAIL_STEPS; ++step) {
        uint at = start + step;
        bool at_end = at == params.haystack_len;
        if (row == ROW_DEAD) {
            return false;
        }
        if (row == ROW_ESCAPE || (at_end && params.is_final == 0u)) {
            return true;
        }
        uint entry =
            dfa_entry(branch.first_entry, row, at_end ? end_class : class_of(branch.classes, byte_at(at)));
        row = entry >> 1;
        if ((entry & ENTRY_MATCH) != 0u) {
            return true;
        }
        if (at_end) {
            return row == ROW_ESCAPE;
        }
    }
    return true;
}

void main() {
    uint id = gl_GlobalInvocationID.x;
    if (id >= min(control.candidate_count, params.candidate_capacity)) {
        return;
    }
    QueueItem candidate = queue.items[params.queue_capacity + id];
    BranchRecord branch = branch_record(candidate.rule);
    uint tail = candidate.start;
    if (tail < branch.front_min || !may_match(branch, tail)) {
        return;
    }
    uint first = tail < branch.front_max ? 0u : tail - branch.front_max;
    first = max(first, params.first_start);
    uint end = min(tail - branch.front_min + 1u, params.end_start);
    if (first >= end) {
        return;
    }
    uint index = atomicAdd(control.item_count, end - first);
    for (uint start = first; start < end; ++start, ++index) {
        if (index < params.candidate_capacity) {
            queue.items[params.queue_capacity + params.candidate_capacity + index] =
                QueueItem(branch.rule, start, 0u);
        }
    }
}
