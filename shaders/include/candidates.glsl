// How the kernels that look through the haystack hand candidate tails on.

// Candidates and look-ups that are left to this invocation.
uint steps_left = FILTER_STEPS;

bool is_left_out(uint branch) {
    return params.use_filter == FILTER_BOUNDED
        && tables.words[tables.header.branches + branch * BRANCH_WORDS + 2u] == UNBOUNDED;
}

// Of a bit for each byte from `at` on, those of bytes that are to be looked at.
uint inside(uint found, uint at) {
    found &= at < params.filter_first ? 0xFFFFu << (params.filter_first - at) : 0xFFFFu;
    return found & (params.filter_end - at < FILTER_BYTES ? (1u << (params.filter_end - at)) - 1u : 0xFFFFu);
}

// Hands on the tails of a list of branches whose grams are at `at`. Once there are more than there is room
// for, every invocation stops, which keeps the counter from wrapping.
void hand_on(uint list, uint at) {
    uint end = list + tables.words[list];
    for (; list < end && steps_left != 0u; --steps_left) {
        list += 1u;
        uint item = tables.words[list];
        uint offset = item >> GRAM_OFFSET_SHIFT;
        uint branch = item & ((1u << GRAM_OFFSET_SHIFT) - 1u);
        if (offset <= at && !is_left_out(branch)) {
            uint index = atomicAdd(control.candidate_count, 1u);
            if (index < params.candidate_capacity) {
                candidates.tails_then_items[index] = Candidate(branch, at - offset);
            } else {
                steps_left = 1u;
            }
        }
    }
}

// Ends the scan if this invocation has not handed all on.
void own_up() {
    if (steps_left == 0u) {
        atomicMax(control.candidate_count, params.candidate_capacity + 1u);
    }
}
