#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Sorts the hits of a scan, selects the matches among them, and writes these, as `readback` does.
//
// Reads Control, the tables' head and the hits; writes the matches where the hits were, and the readback buffer; sorts in the
// candidates' place. One workgroup, for up to MOST_SELECTED hits and half of what fits among the candidates. A
// scan that is over, begins with the haystack and ends with it is selected from, unless hits leave open which
// of them count: then they are left as they are, and the header says so (SELECTED_*).
//
// Sorting is by radix, least digit first: each subgroup has a part of the hits, counts its digits and moves its hits behind
// those that other subgroups count of the digit before. Few hits are ranked by comparing each with all.
//
// The matches of a pattern are a chain: its first hit, and from each one the first hit that lies behind its end. Hits that no
// hit before them reaches into begin chains of their own, whatever is selected before; from these the rest is
// found by pointer jumping (J. JaJa, An Introduction to Parallel Algorithms, 1992, section 2.2).
//
// Loops: hits by invocations or by subgroups, once for each digit and each jump, of which there are the bits of MOST_SELECTED at
// most; searches among hits; and what the counters have by invocations. CPU twin: src/twin/select.rs.

#define CANDIDATES_ACCESS coherent
#include "bindings.glsl"

layout(local_size_x = 256, local_size_x_id = SPEC_SELECT_LANES) in;

layout(set = 0, binding = BINDING_READBACK) writeonly buffer Readback {
    ReadbackHeader header;
    uint words[];
} readback;

const uint LANES = gl_WorkGroupSize.x;
const uint NONE = 0xFFFFFFFFu;

// How often each digit comes in each subgroup's part, digit by digit; or the keys of few hits, three words each.
shared uint counters[SELECT_WORDS];
// What each subgroup adds to a scan.
shared uvec2 sums[SELECT_SUBGROUPS];
// The greatest pattern; whether there are reports of least starts alone; whether hits leave anything open; whether jumps go on.
shared uint most_pattern;
shared uint has_least;
shared uint is_open;
shared uint is_jumping[2];
shared uint match_count;

// Of invocations, in the order of their subgroups.
uint lane;

// Hits, and where the sorted ones are, and what is known of each of these, among the candidates.
uint count;
uint sorted_at;
uint known_at;

struct Found {
    uint pattern_id;
    uint start;
    uint end;
    // As in the hit buffer.
    uint suffix;
};

// Of a sorted hit, two of each: jumps; flags and the match's start.
const uint SELECTED = 1u;
const uint BEGINS = 2u;

Found hit(uint index) {
    return Found(hits.words[index * 3u], hits.words[index * 3u + 1u], hits.words[index * 3u + 2u],
                 hits.words[params.hit_capacity * 3u + index]);
}

Found moved(uint at, uint index) {
    Candidate first = candidates.suffixes_then_starts[at + 2u * index];
    Candidate second = candidates.suffixes_then_starts[at + 2u * index + 1u];
    return Found(first.of, first.at, second.of, second.at);
}

void move_to(uint at, uint index, Found found) {
    candidates.suffixes_then_starts[at + 2u * index] = Candidate(found.pattern_id, found.start);
    candidates.suffixes_then_starts[at + 2u * index + 1u] = Candidate(found.end, found.suffix);
}

void wait_for_all() {
    memoryBarrierBuffer();
    barrier();
}

uint report_of(Found found) {
    return found.suffix >> REPORT_SHIFT;
}

bool is_run(Found found) {
    return report_of(found) == REPORT_LAZY || report_of(found) == REPORT_GREEDY;
}

uint suffix_of(Found found) {
    return found.suffix & (1u << REPORT_SHIFT) - 1u;
}

// What the hits of a pattern are sorted by: the least starts of a run's suffixes ascend with these.
uint position(Found found) {
    return is_run(found) ? suffix_of(found) : found.start;
}

// Where the next match may start.
uint behind(Found found) {
    return is_run(found) ? max(found.end, suffix_of(found) + 1u) : found.end;
}

uint bits(uint value) {
    return uint(findMSB(value) + 1);
}

// What an invocation's subgroup, and those before it, add up to before it.
uint sum_before(uint value) {
    uint before = subgroupExclusiveAdd(value);
    barrier();
    if (gl_SubgroupInvocationID == gl_SubgroupSize - 1u) {
        sums[gl_SubgroupID] = uvec2(before + value, 0u);
    }
    barrier();
    for (uint other = 0u; other < gl_SubgroupID; ++other) {
        before += sums[other].x;
    }
    return before;
}

uvec2 greater(uvec2 one, uvec2 other) {
    return one.x > other.x || (one.x == other.x && one.y > other.y) ? one : other;
}

// The greatest of the invocations before: by the first word and then the second; 0 if there are none.
uvec2 greatest_before(uvec2 value) {
    for (uint step = 1u; step < gl_SubgroupSize; step *= 2u) {
        uint id = gl_SubgroupInvocationID;
        uvec2 other = subgroupShuffle(value, id >= step ? id - step : id);
        value = greater(value, other);
    }
    barrier();
    if (gl_SubgroupInvocationID == gl_SubgroupSize - 1u) {
        sums[gl_SubgroupID] = value;
    }
    barrier();
    uvec2 before = subgroupShuffle(value, max(gl_SubgroupInvocationID, 1u) - 1u);
    before = gl_SubgroupInvocationID == 0u ? uvec2(0u) : before;
    for (uint other = 0u; other < gl_SubgroupID; ++other) {
        before = greater(before, sums[other]);
    }
    return before;
}

// Each invocation ranks one hit.
void sort_few() {
    uint index = lane;
    Found own = Found(NONE, NONE, NONE, NONE);
    if (index < count) {
        own = hit(index);
        counters[index * 3u] = own.pattern_id;
        counters[index * 3u + 1u] = position(own);
        counters[index * 3u + 2u] = own.end;
    }
    barrier();
    uint rank = 0u;
    for (uint other = 0u; other < count; ++other) {
        uvec3 key = uvec3(counters[other * 3u], counters[other * 3u + 1u], counters[other * 3u + 2u]);
        bool is_before = key.x != own.pattern_id ? key.x < own.pattern_id
            : key.y != position(own) ? key.y < position(own)
            : key.z != own.end ? key.z < own.end
            : other < index;
        rank += is_before ? 1u : 0u;
    }
    if (index < count) {
        move_to(sorted_at, rank, own);
    }
}

// A digit of the match's end; or of pattern and position, this in the lowest bits.
uint digit(Found found, bool of_end, uint position_bits, uint shift) {
    uint value;
    if (of_end) {
        value = found.end >> shift;
    } else if (shift >= position_bits) {
        value = found.pattern_id >> shift - position_bits;
    } else {
        value = position(found) >> shift | found.pattern_id << position_bits - shift;
    }
    return value & SELECT_DIGITS - 1u;
}

Found take(uint from, uint index) {
    if (from == NONE) {
        return hit(index);
    }
    return moved(from, index);
}

// Sorts by one digit; what is alike in it keeps its order.
void sort_by(uint from, uint to, bool of_end, uint position_bits, uint shift) {
    for (uint word = lane; word < SELECT_WORDS; word += LANES) {
        counters[word] = 0u;
    }
    barrier();
    uint share = (count + gl_NumSubgroups - 1u) / gl_NumSubgroups;
    uint begin = min(gl_SubgroupID * share, count);
    uint end = min(begin + share, count);
    for (uint index = begin + gl_SubgroupInvocationID; index < end; index += gl_SubgroupSize) {
        uint place = digit(take(from, index), of_end, position_bits, shift) * SELECT_SUBGROUPS + gl_SubgroupID;
        atomicAdd(counters[place], 1u);
    }
    barrier();
    const uint words = SELECT_DIGITS * SELECT_SUBGROUPS;
    const uint each = (words + LANES - 1u) / LANES;
    uint first = lane * each;
    uint sum = 0u;
    for (uint word = first; word < min(first + each, words); ++word) {
        sum += counters[word];
    }
    sum = sum_before(sum);
    for (uint word = first; word < min(first + each, words); ++word) {
        uint own = counters[word];
        counters[word] = sum;
        sum += own;
    }
    barrier();
    for (uint round = begin; round < end; round += gl_SubgroupSize) {
        uint index = round + gl_SubgroupInvocationID;
        bool is_hit = index < end;
        Found found = Found(0u, 0u, 0u, 0u);
        uint own = 0u;
        if (is_hit) {
            found = take(from, index);
            own = digit(found, of_end, position_bits, shift);
        }
        // Those of the same digit.
        uvec4 alike = subgroupBallot(is_hit);
        for (uint bit = 1u; bit < SELECT_DIGITS; bit <<= 1) {
            uvec4 has = subgroupBallot((own & bit) != 0u);
            alike &= (own & bit) != 0u ? has : ~has;
        }
        uint place = own * SELECT_SUBGROUPS + gl_SubgroupID;
        uint base = counters[place];
        uint before = subgroupBallotBitCount(alike & gl_SubgroupLtMask);
        subgroupBarrier();
        if (is_hit && before == 0u) {
            counters[place] = base + subgroupBallotBitCount(alike);
        }
        subgroupBarrier();
        if (is_hit) {
            move_to(to, base + before, found);
        }
    }
    wait_for_all();
}

void sort_hits(uint most) {
    if (count <= LANES) {
        sort_few();
        wait_for_all();
        return;
    }
    uint from = NONE;
    uint to = known_at;
    uint position_bits = bits(params.haystack_len);
    uint end_bits = MATCH_ALL == 1u ? position_bits : 0u;
    uint all_bits = end_bits + position_bits + bits(most);
    for (uint shift = 0u; shift < all_bits;) {
        bool of_end = shift < end_bits;
        sort_by(from, to, of_end, position_bits, of_end ? shift : shift - end_bits);
        shift = of_end ? min(shift + SELECT_DIGIT_BITS, end_bits) : shift + SELECT_DIGIT_BITS;
        from = to;
        to = from == known_at ? sorted_at : known_at;
    }
    known_at = to;
    sorted_at = from;
}

uint jump(uint index, uint which) {
    Candidate jumps = candidates.suffixes_then_starts[known_at + 2u * index];
    return which == 0u ? jumps.of : jumps.at;
}

void set_jump(uint index, uint which, uint to) {
    if (which == 0u) {
        candidates.suffixes_then_starts[known_at + 2u * index].of = to;
    } else {
        candidates.suffixes_then_starts[known_at + 2u * index].at = to;
    }
}

uint flags(uint index) {
    return candidates.suffixes_then_starts[known_at + 2u * index + 1u].of;
}

void flag(uint index, uint flags) {
    atomicOr(candidates.suffixes_then_starts[known_at + 2u * index + 1u].of, flags);
}

void select_from(uint index, uint start) {
    flag(index, SELECTED);
    candidates.suffixes_then_starts[known_at + 2u * index + 1u].at = start;
}

bool lies_before(uint index, uint pattern_id, uint at, bool by_start) {
    Found other = moved(sorted_at, index);
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
    Found found = moved(sorted_at, index);
    uint next = first_not_before(index, found.pattern_id, behind(found), false);
    if (next == count || (flags(next) & BEGINS) != 0u) {
        return NONE;
    }
    Found first = moved(sorted_at, next);
    start = max(first.start, behind(found));
    return first.pattern_id == found.pattern_id && start < params.end_start ? preferred(next, first, start) : NONE;
}

void begin_chains(uint begin, uint end) {
    uvec2 most = uvec2(0u);
    for (uint index = begin; index < end; ++index) {
        Found found = moved(sorted_at, index);
        candidates.suffixes_then_starts[known_at + 2u * index + 1u] = Candidate(0u, 0u);
        most = greater(most, uvec2(found.pattern_id + 1u, behind(found)));
        if (report_of(found) == REPORT_LEAST) {
            has_least = 1u;
        }
    }
    most = greatest_before(most);
    wait_for_all();
    for (uint index = begin; index < end; ++index) {
        Found found = moved(sorted_at, index);
        if (most.x == found.pattern_id + 1u) {
            Found before = moved(sorted_at, index - 1u);
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
    wait_for_all();
}

void follow_chains() {
    uint start;
    for (uint index = lane; index < count; index += LANES) {
        set_jump(index, 0u, successor(index, start));
    }
    wait_for_all();
    // Before each turn, jumps are over 2^turn hits of a chain, of which so many are selected.
    for (uint turn = 0u; turn <= MOST_SELECTED_LOG2; ++turn) {
        uint which = turn & 1u;
        bool goes_on = false;
        for (uint index = lane; index < count; index += LANES) {
            uint next = jump(index, which);
            bool is_last = next == NONE;
            if (!is_last && (flags(index) & SELECTED) != 0u) {
                flag(next, SELECTED);
            }
            next = is_last ? NONE : jump(next, which);
            set_jump(index, which ^ 1u, next);
            goes_on = goes_on || next != NONE;
        }
        if (goes_on) {
            is_jumping[which] = 1u;
        }
        wait_for_all();
        if (is_jumping[which] == 0u) {
            break;
        }
        if (lane == 0u) {
            is_jumping[which ^ 1u] = 0u;
        }
        barrier();
    }
    for (uint index = lane; index < count; index += LANES) {
        if ((flags(index) & SELECTED) != 0u) {
            uint next = successor(index, start);
            if (next != NONE) {
                select_from(next, start);
            }
        }
    }
    wait_for_all();
}

// Whether a least start that is covered may hide later ones that are not.
void look_behind_matches(uint begin, uint end) {
    uint last = 0u;
    for (uint index = begin; index < end; ++index) {
        last = (flags(index) & SELECTED) != 0u ? index + 1u : last;
    }
    uint before = greatest_before(uvec2(last, 0u)).x;
    for (uint index = begin; index < end; ++index) {
        if ((flags(index) & SELECTED) != 0u) {
            before = index + 1u;
            continue;
        }
        Found found = moved(sorted_at, index);
        if (report_of(found) == REPORT_LEAST && suffix_of(found) >= behind(moved(sorted_at, before - 1u))) {
            is_open = 1u;
        }
    }
    barrier();
}

void keep_distinct(uint begin, uint end) {
    for (uint index = begin; index < end; ++index) {
        Found found = moved(sorted_at, index);
        bool is_new = true;
        if (index > 0u) {
            Found before = moved(sorted_at, index - 1u);
            is_new = before.pattern_id != found.pattern_id || before.start != found.start || before.end != found.end;
        }
        candidates.suffixes_then_starts[known_at + 2u * index + 1u] = Candidate(is_new ? SELECTED : 0u, found.start);
    }
}

// Writes what is selected, and says how much that is, with what the invocations before write.
uint write_matches(uint begin, uint end) {
    uint own = 0u;
    for (uint index = begin; index < end; ++index) {
        own += flags(index) & SELECTED;
    }
    uint place = sum_before(own);
    for (uint index = begin; index < end; ++index) {
        if ((flags(index) & SELECTED) != 0u) {
            Found found = moved(sorted_at, index);
            uint start = candidates.suffixes_then_starts[known_at + 2u * index + 1u].at;
            uint words[3] = uint[3](found.pattern_id, start, found.end);
            for (uint word = 0u; word < 3u; ++word) {
                hits.words[place * 3u + word] = words[word];
                readback.words[place * 3u + word] = words[word];
            }
            place += 1u;
        }
    }
    return place;
}

void write_header(uint found, bool is_done, uint selected, uint matches) {
    uint pass = is_done ? params.pass_count : control.pass;
    readback.header = ReadbackHeader(pass, found, control.rounds, run_retry_reasons(), selected, matches);
}

void main() {
    lane = gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID;
    count = hits.count;
    bool is_done = is_over(tables.header);
    uint room = min((params.candidate_capacity + params.start_capacity) / 4u, MOST_SELECTED);
    if (!is_done || run_retry_reasons() != 0u || count > min(params.hit_capacity, room) || count == 0u) {
        if (lane == 0u) {
            write_header(count, is_done, count == 0u ? SELECTED_ALL : SELECTED_NONE, 0u);
        }
        return;
    }
    sorted_at = 0u;
    known_at = 2u * room;
    if (lane == 0u) {
        most_pattern = 0u;
        has_least = 0u;
        is_open = 0u;
        is_jumping[0] = 0u;
        is_jumping[1] = 0u;
    }
    barrier();
    for (uint index = lane; index < count; index += LANES) {
        atomicMax(most_pattern, hits.words[index * 3u]);
    }
    barrier();
    sort_hits(most_pattern);
    uint share = (count + LANES - 1u) / LANES;
    uint begin = min(lane * share, count);
    uint end = min(begin + share, count);
    if (MATCH_ALL == 1u) {
        keep_distinct(begin, end);
    } else {
        begin_chains(begin, end);
        follow_chains();
        if (has_least != 0u) {
            look_behind_matches(begin, end);
        }
    }
    if (is_open != 0u) {
        if (lane == 0u) {
            write_header(count, true, SELECTED_OPEN, 0u);
        }
        return;
    }
    uint matches_so_far = write_matches(begin, end);
    if (lane == LANES - 1u) {
        match_count = matches_so_far;
    }
    barrier();
    if (lane == 0u) {
        write_header(count, true, SELECTED_ALL, match_count);
        hits.count = match_count;
    }
}
