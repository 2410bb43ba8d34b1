// Hits as they were found, and as they are once they are sorted, and what they tell.

// Invocations of the workgroup.
layout(constant_id = SPEC_SELECT_LANES) const uint SELECT_LANES = 64;
layout(constant_id = SPEC_SELECT_TILE) const uint SELECT_TILE = 64;

layout(set = 0, binding = BINDING_SELECTION) buffer Selection {
    uint words[];
} selection;

struct Found {
    uint pattern_id;
    uint start;
    uint end;
    // As in the hit buffer.
    uint suffix;
};

Found hit(uint index) {
    return Found(hits.words[index * 3u], hits.words[index * 3u + 1u], hits.words[index * 3u + 2u],
                 hits.words[params.hit_capacity * 3u + index]);
}

void set_hit(uint index, Found found) {
    hits.words[index * 3u] = found.pattern_id;
    hits.words[index * 3u + 1u] = found.start;
    hits.words[index * 3u + 2u] = found.end;
    hits.words[params.hit_capacity * 3u + index] = found.suffix;
}

// A hit in the selection buffer: one of many that are sorted.
Found record(uint index) {
    return Found(selection.words[index * 3u], selection.words[index * 3u + 1u], selection.words[index * 3u + 2u],
                 selection.words[params.hit_capacity * 3u + index]);
}

void set_record(uint index, Found found) {
    selection.words[index * 3u] = found.pattern_id;
    selection.words[index * 3u + 1u] = found.start;
    selection.words[index * 3u + 2u] = found.end;
    selection.words[params.hit_capacity * 3u + index] = found.suffix;
}

uint link_at(uint index) {
    return params.hit_capacity * 4u + index * 2u;
}

uint tile_at(uint tile) {
    return params.hit_capacity * 6u + tile * 5u;
}

uint tile_count() {
    return (control.many + SELECT_TILE - 1u) / SELECT_TILE;
}

// Where the counts of a digit begin, one for each tile, and where its sum is.
uint counts_at(uint digit) {
    return tile_at((params.hit_capacity + SELECT_TILE - 1u) / SELECT_TILE) + digit * tile_count();
}

uint sum_at(uint digit) {
    return counts_at(DIGITS) + digit;
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

// The pattern, times two, and 1 for a report of a run.
uint kind_of(Found found) {
    return found.pattern_id << 1 | (is_run(found) ? 1u : 0u);
}

bool is_alike(Found one, Found other) {
    return kind_of(one) == kind_of(other);
}

// What the hits of a pattern are sorted by, those that are reports of runs behind the others: the least starts of a run's
// suffixes ascend with these. Of hits with the same start those come first that are no reports.
uint position(Found found) {
    return is_run(found) ? suffix_of(found) : found.start;
}

// Where the next match may start.
uint behind(Found found) {
    return is_run(found) ? max(found.end, suffix_of(found) + 1u) : found.end;
}
