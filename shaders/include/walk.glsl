// How walks go over the haystack on DFAs.

// The classes of the four bytes of a word: looked up together, they are there when a walk comes to them.
uint classes_of(uint classes, uint word) {
    return class_of(classes, word & 0xFFu) | class_of(classes, word >> 8 & 0xFFu) << 8
        | class_of(classes, word >> 16 & 0xFFu) << 16 | class_of(classes, word >> 24) << 24;
}

// The word that holds the byte at `at`, or the last one.
uint word_at(uint at) {
    return unit_at(min(at, last_unit(1u)));
}

// The entry for what a walk in a row comes to at `at`, over a byte of that class.
uint walk_entry(RuleRecord rule, uint row, uint at, uint byte_class) {
    if (rule.has_counter_steps != 0u && (at & (COUNTER_STEP_BYTES - 1u)) == 0u) {
        row = dfa_entry(rule.first_entry, rule.stride, row, rule.stride - 2u) >> 1;
        if (row == ROW_DEAD || row == ROW_ESCAPE) {
            return row << 1;
        }
    }
    return dfa_entry(rule.first_entry, rule.stride, row, byte_class);
}

// Four bytes that begin somewhere in a word, by the word and the one behind it.
uint bytes_of(uint word, uint behind, uint shift) {
    return shift == 0u ? word : word >> shift | behind << (32u - shift);
}

// A DFA: its class map, and where its rows are.
struct Dfa {
    uint classes;
    uint first_entry;
    uint stride;
};

// The row that a walk from `start` begins in.
uint first_row(Dfa dfa, uint start) {
    uint before = start == text_begin() ? dfa.stride - 1u : class_of(dfa.classes, byte_at(start - 1u));
    return dfa_entry(dfa.first_entry, dfa.stride, 0u, before) >> 1;
}

// Walks on over a byte of that class, unless it decides something.
void walk_byte(Dfa dfa, uint byte_class, bool heeds, inout bool goes_on, inout uint row, inout uint at,
               inout uint last) {
    if (goes_on) {
        uint entry = dfa_entry(dfa.first_entry, dfa.stride, row, byte_class);
        bool matches = (entry & ENTRY_MATCH) != 0u;
        goes_on = (entry >> 1) - 1u < ROW_ESCAPE - 1u && !(heeds && matches);
        if (goes_on) {
            row = entry >> 1;
            last = matches ? at : last;
            at += 1u;
        }
    }
}

// Walks on over four bytes at a time, up to `stop` and not beyond: to where fewer are left, or a byte that
// decides something. That is one that leads to no row, or, if a walk `heeds` matches, before which there is one;
// else `last` is the last of these. One turn for a word.
void walk_words(Dfa dfa, bool heeds, uint stop, inout uint row, inout uint at, inout uint last) {
    uint shift = (at & 3u) * 8u;
    uint here = word_at(at);
    uint next = word_at(at + 4u);
    uint of_bytes = classes_of(dfa.classes, bytes_of(here, next, shift));
    bool goes_on = true;
    while (goes_on && at + 4u <= stop) {
        here = next;
        next = word_at(at + 8u);
        uint ahead = classes_of(dfa.classes, bytes_of(here, next, shift));
        walk_byte(dfa, of_bytes & 0xFFu, heeds, goes_on, row, at, last);
        walk_byte(dfa, of_bytes >> 8 & 0xFFu, heeds, goes_on, row, at, last);
        walk_byte(dfa, of_bytes >> 16 & 0xFFu, heeds, goes_on, row, at, last);
        walk_byte(dfa, of_bytes >> 24, heeds, goes_on, row, at, last);
        of_bytes = ahead;
    }
}

// Walks back over the byte before `at`, which is of that class.
void walk_byte_back(Dfa dfa, uint byte_class, uint below, inout uint row, inout uint at, inout uint least) {
    if (row != ROW_DEAD) {
        uint entry = dfa_entry(dfa.first_entry, dfa.stride, row, byte_class);
        row = entry >> 1;
        least = (entry & ENTRY_MATCH) != 0u && at < below ? at : least;
        at -= 1u;
    }
}

// Walks back from `at` over four bytes at a time, down to `stop` and not beyond: to where fewer are left, or no
// row follows. `least` is the least place below `below` where the walk matched. One turn for a word.
void walk_words_back(Dfa dfa, uint stop, uint below, inout uint row, inout uint at, inout uint least) {
    uint shift = (at & 3u) * 8u;
    uint behind = word_at(at);
    uint here = word_at(max(at, 4u) - 4u);
    uint of_bytes = classes_of(dfa.classes, bytes_of(here, behind, shift));
    while (row != ROW_DEAD && at >= stop + 4u) {
        behind = here;
        here = word_at(max(at, 8u) - 8u);
        uint ahead = classes_of(dfa.classes, bytes_of(here, behind, shift));
        walk_byte_back(dfa, of_bytes >> 24, below, row, at, least);
        walk_byte_back(dfa, of_bytes >> 16 & 0xFFu, below, row, at, least);
        walk_byte_back(dfa, of_bytes >> 8 & 0xFFu, below, row, at, least);
        walk_byte_back(dfa, of_bytes & 0xFFu, below, row, at, least);
        of_bytes = ahead;
    }
}
