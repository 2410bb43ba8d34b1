// Rules that begin with a run, of whose starts the first decides about all others: src/rules/front.rs.

// Whether starts are left out at all.
bool has_fronts() {
    return MATCH_ALL == 0u && params.max_scan == UNBOUNDED && control.carried <= MOST_CARRIED;
}

// Whether a rule whose match ends at `at` may match from there on, and nobody else sees to that.
bool goes_on_at(uint front, uint at) {
    return front != 0u && has_fronts() && at < text_end() && at < end_start() && is_in_set(front, byte_at(at - 1u));
}

// Whether a match of an earlier part of the haystack ends at `start`.
bool is_carried_to(uint pattern_id, uint start) {
    bool is_carried = false;
    for (uint hit = 0u; hit < control.carried; ++hit) {
        is_carried = is_carried || (hits.words[hit * 3u] == pattern_id && hits.words[hit * 3u + 2u] == start);
    }
    return is_carried;
}

// Whether another start decides about this one, where starts are left out at all.
bool is_left_to_another(uint front, uint pattern_id, uint start) {
    return front != 0u && start > text_begin() && start != params.first_start
        && is_in_set(front, byte_at(start - 1u)) && !is_carried_to(pattern_id, start);
}
