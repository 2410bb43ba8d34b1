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

// How many items there are in a list, or in the place of one. One that is too long for this invocation counts
// as far as it may go on.
uint item_count(uint list) {
    if ((list & GRAM_ONLY_ITEM) != 0u) {
        return min(steps_left, 1u);
    }
    return list == 0u ? 0u : min(tables.words[list], min(steps_left, FILTER_ITEMS));
}

// Writes the candidates of so many items of a list, whose grams are at `at`, from `index` on. Once there are
// more than there is room for, every invocation stops, which keeps the counter from wrapping.
void write_candidates(uint list, uint count, uint at, uint index) {
    for (uint i = 0u; i < count; ++i) {
        uint item = (list & GRAM_ONLY_ITEM) != 0u ? list : tables.words[list + 1u + i];
        uint offset = item >> GRAM_OFFSET_SHIFT & GRAM_MOST_OFFSET;
        uint branch = item & ((1u << GRAM_OFFSET_SHIFT) - 1u);
        bool is_left = offset > at + 1u || is_left_out(branch);
        if (index + i < params.candidate_capacity) {
            candidates.tails_then_items[index + i] =
                is_left ? Candidate(NO_BRANCH, 0u) : Candidate(branch, at + 1u - offset);
        }
    }
    bool is_whole = (list & GRAM_ONLY_ITEM) != 0u || list == 0u || count == tables.words[list];
    steps_left = is_whole && index + count <= params.candidate_capacity ? steps_left - count : 0u;
}

// Hands on the tails of a list of branches, of which this invocation has a gram at `at`.
void hand_on(uint list, uint at) {
    uint count = item_count(list);
    write_candidates(list, count, at, atomicAdd(control.candidate_count, count));
}

// Ends the scan if this invocation has not handed all on.
void own_up() {
    if (steps_left == 0u) {
        atomicMax(control.candidate_count, params.candidate_capacity + 1u);
    }
}
