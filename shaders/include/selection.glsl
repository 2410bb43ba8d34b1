// Selects the matches among the hits of some patterns, by one workgroup.
//
// The matches of a pattern are a chain: its first hit, and from each one the first hit that lies behind its end. Hits that no
// hit before them reaches into begin chains of their own, whatever is selected before; from these the rest is
// found by pointer jumping (J. JaJa, An Introduction to Parallel Algorithms, 1992, section 2.2).
//
// Loops: hits by invocations, once for each jump, of which there are the bits of a number of hits at most; and searches
// among hits.

#include "scan.glsl"

const uint NONE = 0xFFFFFFFFu;

// Few hits, sorted, and what is known of each, field by field.
shared uint small[SELECT_LANES * SELECT_HIT_WORDS];
// Whether there are reports of least starts alone; whether hits leave anything open; whether jumps go on.
shared uint has_least;
shared uint is_open;
shared uint is_jumping[2];

// How many hits there are, and where they are if they are many: sorted, and what is known of them.
uint count;
bool are_few;
uint sorted_at;
uint known_at;

// What is known of a hit: jumps, flags, and where the match starts if it is selected.
const uint JUMP = 0u;
const uint FLAGS = 2u;
const uint START = 3u;
const uint SELECTED = 1u;
const uint BEGINS = 2u;

void wait_for_selection() {
    if (!are_few) {
        memoryBarrierBuffer();
    }
    barrier();
}

Found sorted(uint index) {
    if (are_few) {
        return Found(small[index], small[SELECT_LANES + index], small[2u * SELECT_LANES + index], small[3u * SELECT_LANES + index]);
    }
    return record(sorted_at, index);
}

uint known(uint index, uint field) {
    if (are_few) {
        return small[(4u + field) * SELECT_LANES + index];
    }
    Candidate pair = candidates.suffixes_then_starts[known_at + 2u * index + field / 2u];
    return field % 2u == 0u ? pair.of : pair.at;
}

void set_known(uint index, uint field, uint value) {
    if (are_few) {
        small[(4u + field) * SELECT_LANES + index] = value;
    } else if (field % 2u == 0u) {
        candidates.suffixes_then_starts[known_at + 2u * index + field / 2u].of = value;
    } else {
        candidates.suffixes_then_starts[known_at + 2u * index + field / 2u].at = value;
    }
}

void flag(uint index, uint flags) {
    if (are_few) {
        atomicOr(small[(4u + FLAGS) * SELECT_LANES + index], flags);
    } else {
        atomicOr(candidates.suffixes_then_starts[known_at + 2u * index + FLAGS / 2u].of, flags);
    }
}

bool is_selected(uint index) {
    return (known(index, FLAGS) & SELECTED) != 0u;
}

void select_from(uint index, uint start) {
    flag(index, SELECTED);
    set_known(index, START, start);
}

uint report_of(Found found) {
    return found.suffix >> REPORT_SHIFT;
}

bool is_run(Found found) {
    return report_of(found) == REPORT_LAZY || report_of(found) == REPORT_GREEDY;
}

uint suffix_of(Found found) {
    return found.suffix & SUFFIX_MASK;
}

// What the hits of a pattern are sorted by: the least starts of a run's suffixes ascend with these.
uint position(Found found) {
    return is_run(found) ? suffix_of(found) : found.start;
}

// Where the next match may start.
uint behind(Found found) {
    return is_run(found) ? max(found.end, suffix_of(found) + 1u) : found.end;
}

// Sorts few hits, of which each invocation has one: by how many come before.
void sort_few(Found own) {
    uint index = lane();
    uvec3 key = uvec3(own.pattern_id, position(own), own.end);
    if (index < count) {
        small[4u * SELECT_LANES + index] = key.x;
        small[5u * SELECT_LANES + index] = key.y;
        small[6u * SELECT_LANES + index] = key.z;
    }
    barrier();
    uint rank = 0u;
    for (uint other = 0u; other < count; ++other) {
        uvec3 theirs = uvec3(small[4u * SELECT_LANES + other], small[5u * SELECT_LANES + other], small[6u * SELECT_LANES + other]);
        bool is_before = theirs.x != key.x ? theirs.x < key.x
            : theirs.y != key.y ? theirs.y < key.y
            : theirs.z != key.z ? theirs.z < key.z
            : other < index;
        rank += is_before ? 1u : 0u;
    }
    if (index < count) {
        small[rank] = own.pattern_id;
        small[SELECT_LANES + rank] = own.start;
        small[2u * SELECT_LANES + rank] = own.end;
        small[3u * SELECT_LANES + rank] = own.suffix;
    }
    barrier();
}

bool lies_before(uint index, uint pattern_id, uint at, bool by_start) {
    Found other = sorted(index);
    return other.pattern_id == pattern_id && (by_start ? other.start : position(other)) < at;
}

// The first hit behind `index` that is not of the pattern or not before `at`, by its position or by its start.
uint first_not_before(uint index, uint pattern_id, uint at, bool by_start) {
    uint step = 1u;
    while (index + step < count && lies_before(index + step, pattern_id, at, by_start)) {
        step *= 2u;
    }
    uint low = index + step / 2u + 1u;
    uint high = min(index + step, count);
    while (low < high) {
        uint middle = (low + high) / 2u;
        if (lies_before(middle, pattern_id, at, by_start)) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

// Of the hits from `index` on that lead to the start, the one that is preferred.
uint preferred(uint index, Found found, uint start) {
    return report_of(found) == REPORT_GREEDY ? first_not_before(index, found.pattern_id, start + 1u, true) - 1u : index;
}

// The hit that is selected after one, and its match's start; NONE if there is none, or if it begins a chain.
uint successor(uint index, out uint start) {
    Found found = sorted(index);
    uint next = first_not_before(index, found.pattern_id, behind(found), false);
    if (next == count || (known(next, FLAGS) & BEGINS) != 0u) {
        return NONE;
    }
    Found first = sorted(next);
    start = max(first.start, behind(found));
    return start < params.end_start ? preferred(next, first, start) : NONE;
}

void begin_chains(uint begin, uint end) {
    uvec2 most = uvec2(0u);
    for (uint index = begin; index < end; ++index) {
        Found found = sorted(index);
        set_known(index, FLAGS, 0u);
        most = greater(most, uvec2(found.pattern_id + 1u, behind(found)));
        if (report_of(found) == REPORT_LEAST) {
            has_least = 1u;
        }
    }
    most = greatest_before(most);
    wait_for_selection();
    for (uint index = begin; index < end; ++index) {
        Found found = sorted(index);
        if (most.x == found.pattern_id + 1u) {
            Found before = sorted(index - 1u);
            bool are_alike = !is_run(found) && before.start == found.start && before.end != found.end;
            if (are_alike || is_run(found) != is_run(before)) {
                is_open = 1u;
            }
        }
        if (most.x != found.pattern_id + 1u || found.start >= most.y) {
            flag(index, BEGINS);
            select_from(preferred(index, found, found.start), found.start);
        }
        most = greater(most, uvec2(found.pattern_id + 1u, behind(found)));
    }
    wait_for_selection();
}

void follow_chains() {
    uint start;
    bool jumps = false;
    for (uint index = lane(); index < count; index += SELECT_LANES) {
        uint next = successor(index, start);
        set_known(index, JUMP, next);
        jumps = jumps || next != NONE;
    }
    if (jumps) {
        is_jumping[1] = 1u;
    }
    wait_for_selection();
    if (is_jumping[1] == 0u) {
        return;
    }
    // Before each turn, jumps are over 2^turn hits of a chain, of which so many are selected.
    for (uint turn = 0u; turn < 32u; ++turn) {
        uint which = turn & 1u;
        bool goes_on = false;
        for (uint index = lane(); index < count; index += SELECT_LANES) {
            uint next = known(index, JUMP + which);
            bool is_last = next == NONE;
            if (!is_last && is_selected(index)) {
                flag(next, SELECTED);
            }
            next = is_last ? NONE : known(next, JUMP + which);
            set_known(index, JUMP + (which ^ 1u), next);
            goes_on = goes_on || next != NONE;
        }
        if (goes_on) {
            is_jumping[which] = 1u;
        }
        wait_for_selection();
        if (is_jumping[which] == 0u) {
            break;
        }
        if (lane() == 0u) {
            is_jumping[which ^ 1u] = 0u;
        }
        barrier();
    }
    for (uint index = lane(); index < count; index += SELECT_LANES) {
        if (is_selected(index)) {
            uint next = successor(index, start);
            if (next != NONE) {
                select_from(next, start);
            }
        }
    }
    wait_for_selection();
}

// Whether a least start that is covered may hide later ones that are not.
void look_behind_matches(uint begin, uint end) {
    uint last = 0u;
    for (uint index = begin; index < end; ++index) {
        last = is_selected(index) ? index + 1u : last;
    }
    uint before = greatest_before(uvec2(last, 0u)).x;
    for (uint index = begin; index < end; ++index) {
        if (is_selected(index)) {
            before = index + 1u;
            continue;
        }
        Found found = sorted(index);
        if (report_of(found) == REPORT_LEAST && before != 0u && suffix_of(found) >= behind(sorted(before - 1u))) {
            is_open = 1u;
        }
    }
    barrier();
}

void keep_distinct(uint begin, uint end) {
    for (uint index = begin; index < end; ++index) {
        Found found = sorted(index);
        bool is_new = true;
        if (index > 0u) {
            Found before = sorted(index - 1u);
            is_new = before.pattern_id != found.pattern_id || before.start != found.start || before.end != found.end;
        }
        set_known(index, FLAGS, is_new ? SELECTED : 0u);
        set_known(index, START, found.start);
    }
    wait_for_selection();
}

// To be called before anything else, by all invocations.
void begin_selection() {
    if (lane() == 0u) {
        has_least = 0u;
        is_open = 0u;
        is_jumping[0] = 0u;
        is_jumping[1] = 0u;
    }
    barrier();
}

// Selects among sorted hits. False if they leave anything open.
bool select_sorted() {
    uint share = (count + SELECT_LANES - 1u) / SELECT_LANES;
    uint begin = min(lane() * share, count);
    uint end = min(begin + share, count);
    if (MATCH_ALL == 1u) {
        keep_distinct(begin, end);
        return true;
    }
    begin_chains(begin, end);
    follow_chains();
    if (has_least != 0u) {
        look_behind_matches(begin, end);
    }
    return is_open == 0u;
}
