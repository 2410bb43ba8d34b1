// Rules that begin with a run, of whose starts the first decides about all others: src/rules/front.rs.

// Whether another start decides about this one.
bool is_left_to_another(uint front, uint start) {
    return MATCH_ALL == 0u && front != 0u && params.max_scan == UNBOUNDED && start > text_begin()
        && is_in_set(front, byte_at(start - 1u));
}
