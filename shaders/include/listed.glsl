// Rules that are verified from every start, or searched for, for looking for them is of no use in this haystack.

// Lists a rule, which ends this run: the next one verifies the rule from every start. False if there is no room.
bool list_rule(uint rule) {
    uint most = params.pass_count == 1u ? MOST_LISTED : 0u;
    for (uint place = 0u; place < most; ++place) {
        uint before = atomicCompSwap(control.listed[place], 0u, rule + 1u);
        if (before == 0u || before == rule + 1u) {
            atomicOr(control.retry_reasons, RETRY_LISTED);
            return true;
        }
    }
    return false;
}

// Whether a rule is in one of eight places from `place` on.
bool is_in(uint place, uint rule) {
    uvec4 low = uvec4(control.listed[place], control.listed[place + 1u], control.listed[place + 2u], control.listed[place + 3u]);
    place += 4u;
    uvec4 high = uvec4(control.listed[place], control.listed[place + 1u], control.listed[place + 2u], control.listed[place + 3u]);
    uvec4 name = uvec4(rule + 1u);
    return any(equal(low, name)) || any(equal(high, name));
}

// Whether a rule is searched for.
bool is_searched(uint rule) {
    uvec4 low = uvec4(control.searched[0], control.searched[1], control.searched[2], control.searched[3]);
    uvec4 high = uvec4(control.searched[4], control.searched[5], control.searched[6], control.searched[MOST_SEARCHED - 1u]);
    uvec4 name = uvec4(rule + 1u);
    return any(equal(low, name)) || any(equal(high, name));
}

// Without a loop, which a CPU device would end: this is asked for each posting (`LAVAPIPE_LOOP_TURNS` in src/vulkan/quirks.rs).
bool is_listed(uint rule) {
    return is_in(0u, rule) || is_in(8u, rule) || is_in(16u, rule) || is_in(MOST_LISTED - 8u, rule)
        || is_searched(rule);
}

// The rule of a split.
uint rule_of(uint split) {
    return tables.words[tables.header.splits + split * SPLIT_WORDS];
}
