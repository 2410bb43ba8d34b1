// How the kernels that look through the haystack hand candidate suffixes on.

#include "listed.glsl"

// Candidates and look-ups that are left to this invocation.
uint steps_left = PREFILTER_STEPS;

bool is_left_out(uint split) {
    if (params.use_prefilter == PREFILTER_BOUNDED) {
        return tables.words[tables.header.splits + split * SPLIT_WORDS + 2u] == UNBOUNDED;
    }
    return params.has_listed != 0u && is_listed(rule_of(split));
}

// Whether the byte at `at` is to be looked at.
bool is_inside(uint at) {
    return at >= params.prefilter_first && at < prefilter_end();
}

// Whether the suffix of a posting whose gram is at `at` can be a candidate at all.
bool is_possible(uint posting, uint at) {
    return (posting >> GRAM_OFFSET_SHIFT & GRAM_MOST_OFFSET) <= at + 1u
        && !is_left_out(posting & ((1u << GRAM_OFFSET_SHIFT) - 1u));
}

// Writes the candidate of a posting. An invocation that finds no room for one stops, which keeps the counter
// from wrapping.
void write_candidate(uint index, uint posting, uint at) {
    if (index < params.candidate_capacity) {
        uint offset = posting >> GRAM_OFFSET_SHIFT & GRAM_MOST_OFFSET;
        uint split = posting & ((1u << GRAM_OFFSET_SHIFT) - 1u);
        candidates.suffixes_then_starts[index] = Candidate(split, at + 1u - offset);
    } else {
        steps_left = 0u;
    }
}

// Hands on the suffix of a posting where it `passes`, for all of a subgroup together.
void push_together(bool passes, uint posting, uint at) {
    uvec4 ballot = subgroupBallot(passes);
    uint passing = subgroupBallotBitCount(ballot);
    if (passing != 0u) {
        uint place = 0u;
        if (subgroupElect()) {
            place = atomicAdd(control.candidate_count, passing);
        }
        place = subgroupBroadcastFirst(place) + subgroupBallotExclusiveBitCount(ballot);
        if (passes) {
            write_candidate(place, posting, at);
        }
    }
}

// Hands on the suffixes of a list of splits, of which this invocation has found what is looked for at `at`.
void push_candidates(uint list, uint at) {
    uint end = list + tables.words[list];
    while (list < end && steps_left != 0u) {
        list += 1u;
        steps_left -= 1u;
        if (is_possible(tables.words[list], at)) {
            write_candidate(atomicAdd(control.candidate_count, 1u), tables.words[list], at);
        }
    }
}

// Ends the scan if this invocation has not handed all on.
void flag_overflow() {
    if (steps_left == 0u) {
        atomicMax(control.candidate_count, params.candidate_capacity + 1u);
    }
}
