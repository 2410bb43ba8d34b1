// Which of a tile's sorted hits are selected.
//
// The matches of a pattern are a chain: its first hit, and from each one the first hit that lies behind its end. Chains are
// followed by pointer jumping (J. JaJa, An Introduction to Parallel Algorithms, 1992, section 2.2), within a tile.
// What includes this says before where hits are, and how many: `sorted`, `is_before` and `count`.
//
// Loops: hits by invocations, once for each jump, of which there are the bits of SELECT_TILE; searches among hits, by doubling
// steps and then by halves; and starts of an open report, up to MOST_VERIFIED_AGAIN.

#include "scan.glsl"

// Of each hit of the tile the next one of its chain there; and where its match starts if it is selected.
shared uint ahead[SELECT_TILE];
shared uint starts[SELECT_TILE];
// Whether jumps go on, by turns; and whether there are reports of least starts, or of runs among other hits.
shared uint is_jumping[2];
shared uint has_reports;

// The first hit behind `index` that is not of its pattern and kind, or not before `at`.
uint first_not_before(uint index, Found found, uint at) {
    uint step = 1u;
    while (index + step < count && is_before(index + step, found, at)) {
        step *= 2u;
    }
    uint low = index + step / 2u + 1u;
    uint high = min(index + step, count);
    while (low < high) {
        uint middle = (low + high) / 2u;
        if (is_before(middle, found, at)) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

// The last of the hits from `index` on, all of a run, that lead to the start.
uint last_that_leads_to(uint index, Found found, uint start) {
    uint low = index + 1u;
    uint high = count;
    uint step = 1u;
    while (index + step < count) {
        Found other = sorted(index + step);
        if (!is_alike(found, other) || other.start > start) {
            high = index + step;
            break;
        }
        low = index + step + 1u;
        step *= 2u;
    }
    while (low < high) {
        uint middle = (low + high) / 2u;
        Found other = sorted(middle);
        if (is_alike(found, other) && other.start <= start) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low - 1u;
}

// Of hits from `index` on that are alike, the one that is selected for a match from the start.
uint preferred(uint index, Found found, uint start) {
    return report_of(found) == REPORT_GREEDY ? last_that_leads_to(index, found, start) : index;
}

// The hit that is selected first of a pattern, or behind another, and where its match starts: `from` is as Tile::left_from.
// SELECT_NONE if there is none.
uint selected_from(uint from, out uint start) {
    uint index = from / 2u;
    Found found = sorted(index);
    if ((from & FROM_FIRST) != 0u) {
        start = found.start;
        return preferred(index, found, start);
    }
    uint next = first_not_before(index, found, behind(found));
    if (next >= count) {
        return SELECT_NONE;
    }
    Found first = sorted(next);
    start = max(first.start, behind(found));
    if (!is_alike(found, first) || start >= end_start()) {
        return SELECT_NONE;
    }
    return preferred(next, first, start);
}

// Whether a hit is the first of its pattern.
bool is_first(uint index, Found found) {
    return index == 0u || sorted(index - 1u).pattern_id != found.pattern_id;
}

// Up to a hit, the first one of its pattern that does not start before `start`: 0, or the start of a hit that is no report of
// a run, for those are sorted by their starts, and come first.
Found first_from(uint index, uint pattern_id, uint start) {
    uint low = 0u;
    uint high = index;
    while (low < high) {
        uint middle = (low + high) / 2u;
        Found other = sorted(middle);
        bool is_less = other.pattern_id != pattern_id ? other.pattern_id < pattern_id : other.start < start;
        if (is_less) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return sorted(low);
}

// Whether a report's pattern has reports of runs and other hits: these come first.
bool is_mixed(uint index, Found found) {
    if (report_of(found) == REPORT_NONE) {
        return false;
    }
    if (is_run(found)) {
        return !is_run(first_from(index, found.pattern_id, 0u));
    }
    uint behind_all = first_not_before(index, found, SELECT_NONE);
    return behind_all < count && sorted(behind_all).pattern_id == found.pattern_id;
}

// The hit that is selected behind a hit, as in Link::next.
uint next_of(uint index) {
    Found found = sorted(index);
    if (is_mixed(index, found)) {
        return SELECT_MIXED;
    }
    uint start;
    return selected_from(index * 2u, start);
}

// To be called before what follows, by all invocations.
void begin_chains() {
    if (lane() == 0u) {
        is_jumping[0] = 0u;
        is_jumping[1] = 0u;
        has_reports = 0u;
    }
    barrier();
}

// Begins to tell which hits of the tile from `first` on are selected: the first of each pattern that begins there.
void select_firsts(uint first, uint size) {
    for (uint index = lane(); index < size; index += SELECT_LANES) {
        starts[index] = SELECT_NONE;
    }
    barrier();
    for (uint index = lane(); index < size; index += SELECT_LANES) {
        Found found = sorted(first + index);
        if (report_of(found) != REPORT_NONE) {
            has_reports = 1u;
        }
        if (is_first(first + index, found)) {
            uint start = found.start;
            uint place = preferred(first + index, found, start) - first;
            if (place < size) {
                starts[place] = start;
            }
        }
    }
}

// Hits of a tile for each invocation, at most.
const uint SHARE = SELECT_TILE / SELECT_LANES;

// Makes each hit of the tile lead to what the next one leads to. Says whether any leads further than before; `turn` counts
// calls, from 0 on.
bool jump(uint size, uint turn) {
    uint further[SHARE];
    bool goes_on = false;
    for (uint item = 0u; item < SHARE; ++item) {
        uint index = item * SELECT_LANES + lane();
        further[item] = SELECT_NONE;
        if (index < size && ahead[index] != SELECT_NONE) {
            further[item] = ahead[ahead[index]];
            goes_on = goes_on || further[item] != SELECT_NONE;
        }
    }
    if (goes_on) {
        is_jumping[turn & 1u] = 1u;
    }
    barrier();
    for (uint item = 0u; item < SHARE; ++item) {
        uint index = item * SELECT_LANES + lane();
        if (index < size) {
            ahead[index] = further[item];
        }
    }
    bool any = is_jumping[turn & 1u] != 0u;
    if (lane() == 0u) {
        is_jumping[turn & 1u ^ 1u] = 0u;
    }
    barrier();
    return any;
}

// Selects what chains lead to from hits of the tile that are selected.
void follow_chains(uint first, uint size) {
    barrier();
    // Before each turn, hits lead to those 2^turn further on in their chain, of which so many are selected.
    bool goes_on = true;
    for (uint turn = 0u; goes_on; ++turn) {
        for (uint index = lane(); index < size; index += SELECT_LANES) {
            if (ahead[index] != SELECT_NONE && starts[index] != SELECT_NONE) {
                atomicMin(starts[ahead[index]], 0u);
            }
        }
        goes_on = jump(size, turn);
    }
    for (uint index = lane(); index < size; index += SELECT_LANES) {
        if (starts[index] == SELECT_NONE) {
            continue;
        }
        Found found = sorted(first + index);
        if (!is_run(found)) {
            starts[index] = found.start;
            continue;
        }
        uint start;
        uint next = selected_from((first + index) * 2u, start);
        if (next != SELECT_NONE && next - first < size) {
            starts[next - first] = start;
        }
    }
    barrier();
}

// Selects each hit of the tile once.
void select_distinct(uint first, uint size) {
    for (uint index = lane(); index < size; index += SELECT_LANES) {
        Found found = sorted(first + index);
        bool is_new = is_first(first + index, found);
        if (!is_new) {
            Found before = sorted(first + index - 1u);
            is_new = before.start != found.start || before.end != found.end;
        }
        starts[index] = is_new ? found.start : SELECT_NONE;
    }
    barrier();
}

// Lists starts of a pattern to be verified again.
void list_starts(uint pattern_id, uint first, uint end) {
    uint most = min(params.start_capacity, MOST_VERIFIED_AGAIN);
    end = min(end, end_start());
    uint wanted = end - min(first, end);
    // The counter cannot wrap: each invocation adds to it once more at most after it has passed what there may be.
    if (wanted > most || control.start_count > most) {
        atomicOr(control.opened, OPENED_TOO_MUCH);
        return;
    }
    uint at = atomicAdd(control.start_count, wanted);
    if (at + wanted > most) {
        atomicOr(control.opened, OPENED_TOO_MUCH);
        return;
    }
    atomicOr(control.opened, OPENED);
    for (uint index = 0u; index < wanted; ++index) {
        candidates.suffixes_then_starts[params.candidate_capacity + at + index] = Candidate(pattern_id, first + index);
    }
}

// Whether a report of least starts has another end than the one before, for the same start, which has not been verified. Of
// many that tell of one start that is so where ends begin to differ, and not of all.
bool has_two_ends(uint index, Found found) {
    if (index == 0u) {
        return false;
    }
    Found before = sorted(index - 1u);
    bool differs = before.pattern_id == found.pattern_id && before.start == found.start && before.end != found.end
        && report_of(before) == REPORT_LEAST;
    if (!differs) {
        return false;
    }
    // What has been verified comes first.
    Found first = first_from(index, found.pattern_id, found.start);
    return report_of(first) != REPORT_NONE && before.end == first.end;
}

// Whether later starts lead to a report's suffix that a match over its least start leaves uncovered.
bool outlasts(Found found, Found cover) {
    return cover.pattern_id == found.pattern_id && found.start < behind(cover) && suffix_of(found) >= behind(cover);
}

// Opens what the tile's reports leave open. `entered_from` is as in its Tile. Where reports of runs are mixed with other
// hits they become reports of least starts.
void open_reports(uint first, uint size, uint entered_from) {
    if (has_reports == 0u) {
        return;
    }
    uint share = (size + SELECT_LANES - 1u) / SELECT_LANES;
    uint begin = min(lane() * share, size);
    uint end = min(begin + share, size);
    // The last hit that is selected before, with 1 added.
    uint before = 0u;
    for (uint index = begin; index < end; ++index) {
        before = starts[index] != SELECT_NONE ? first + index + 1u : before;
    }
    before = greatest_before(uvec2(before, 0u)).x;
    if (before == 0u && (entered_from & FROM_FIRST) == 0u) {
        before = entered_from / 2u + 1u;
    }
    // How far starts behind it are listed, with 1 added.
    uvec2 listed = uvec2(0u);
    uint last = before;
    for (uint index = begin; index < end; ++index) {
        Found found = sorted(first + index);
        if (starts[index] != SELECT_NONE) {
            last = first + index + 1u;
        } else if (report_of(found) == REPORT_LEAST && last != 0u && outlasts(found, sorted(last - 1u))) {
            listed = greater(listed, uvec2(last, suffix_of(found) + 1u));
        }
    }
    listed = greatest_before(listed);
    last = before;
    for (uint index = begin; index < end; ++index) {
        Found found = sorted(first + index);
        ahead[index] = SELECT_NONE;
        bool is_selected = starts[index] != SELECT_NONE;
        if (report_of(found) != REPORT_NONE && is_known_mixed(first + index, found)) {
            ahead[index] = is_run(found) ? suffix_of(found) | REPORT_LEAST << REPORT_SHIFT : SELECT_NONE;
        } else if (report_of(found) == REPORT_LEAST) {
            if (has_two_ends(first + index, found)) {
                list_starts(found.pattern_id, found.start, found.start + 1u);
            }
            Found cover = sorted(max(last, 1u) - 1u);
            if (!is_selected && last != 0u && outlasts(found, cover)) {
                uint from = max(behind(cover), listed.x == last ? listed.y : 0u);
                if (from <= suffix_of(found)) {
                    list_starts(found.pattern_id, from, suffix_of(found) + 1u);
                }
                listed = greater(listed, uvec2(last, suffix_of(found) + 1u));
                // Once they are verified, these starts are the report's no more.
                ahead[index] = behind(cover) - 1u | REPORT_LEAST << REPORT_SHIFT;
            }
        }
        last = is_selected ? first + index + 1u : last;
    }
    barrier();
    for (uint index = begin; index < end; ++index) {
        if (ahead[index] != SELECT_NONE) {
            set_suffix(first + index, ahead[index]);
            atomicOr(control.opened, OPENED);
        }
    }
}
