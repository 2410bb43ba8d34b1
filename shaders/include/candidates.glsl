// How the kernels that look through the haystack hand candidate tails on.

// Candidates and look-ups that are left to this invocation.
uint steps_left = FILTER_STEPS;

bool is_left_out(uint branch) {
    return params.use_filter == FILTER_BOUNDED
        && tables.words[tables.header.branches + branch * BRANCH_WORDS + 2u] == UNBOUNDED;
}

// Whether the byte at `at` is to be looked at.
bool is_inside(uint at) {
    return at >= params.filter_first && at < params.filter_end;
}

// Hands on the tail of an item whose gram is at `at`. Once there are more than there is room for, every
// invocation stops, which keeps the counter from wrapping.
void hand_on_item(uint item, uint at) {
    uint offset = item >> GRAM_OFFSET_SHIFT & GRAM_MOST_OFFSET;
    uint branch = item & ((1u << GRAM_OFFSET_SHIFT) - 1u);
    if (offset <= at + 1u && !is_left_out(branch)) {
        uint index = atomicAdd(control.candidate_count, 1u);
        if (index < params.candidate_capacity) {
            candidates.tails_then_items[index] = Candidate(branch, at + 1u - offset);
        } else {
            steps_left = 0u;
        }
    }
}

// Hands on the tails of a list, or of the only item in its place, as above.
void hand_on(uint list, uint at) {
    if ((list & GRAM_ONLY_ITEM) != 0u) {
        hand_on_item(list, at);
        return;
    }
    uint end = list + tables.words[list];
    while (list < end && steps_left != 0u) {
        list += 1u;
        steps_left -= 1u;
        hand_on_item(tables.words[list], at);
    }
}

// Ends the scan if this invocation has not handed all on.
void own_up() {
    if (steps_left == 0u) {
        atomicMax(control.candidate_count, params.candidate_capacity + 1u);
    }
}
