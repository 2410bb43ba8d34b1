// Rules that are verified from every start, for looking for them is of no use in this haystack.

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

bool is_listed(uint rule) {
    bool found = false;
    for (uint place = 0u; !found && place < MOST_LISTED && control.listed[place] != 0u; ++place) {
        found = control.listed[place] == rule + 1u;
    }
    return found;
}

// The rule of a split.
uint rule_of(uint split) {
    return tables.words[tables.header.splits + split * SPLIT_WORDS];
}
