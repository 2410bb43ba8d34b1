// A search's live sets: the positions of the rule's Glushkov automaton that read the byte at a place and go on to a match.
//
// They are walked backwards, from the haystack's end on, and a search takes up no thread that is not live. So it needs no thread that
// comes to nothing, and no byte behind a match to know that it is preferred: two passes over the haystack, and one with few threads
// (A. Frisch and L. Cardelli, "Greedy Regular Expression Matching", 2004). The first pass leaves the set at each border of blocks of
// bytes, the second one walks over a block once more, when the search comes there, and leaves all of its sets. A set whose
// first bit, of the position where a walk begins, is 1 says that a match starts there.
//
//   of a search, in scratch: | set * blocks | set * bytes of a block |
//
// What includes this has a search's walker, its GlushkovRecord, and shared memory for two sets: `small_edges`, which is loaded anew
// behind it.

// Where this search's sets begin in scratch.
uint own_sets;

uint set_at_border(uint block) {
    return own_sets + block * glushkov.word_count;
}

// The set at a place in the block that is there.
uint set_in_block(uint at) {
    uint borders = (text_end() >> walker.block_log2) + 1u;
    uint set = walker.block_log2 == 0u ? 0u : borders + (at & (1u << walker.block_log2) - 1u);
    return own_sets + set * glushkov.word_count;
}

// Whether a search has taken as many steps as live sets would take for all of the haystack: then it may well take far more without.
bool pays_for_live_sets() {
    uint turns = (2u * glushkov.word_count + glushkov.target_count) / lanes + 3u;
    return float(walker.spent) * float(SPENT_STEPS) > 2.0 * float(turns) * float(text_end());
}

// How many bytes a block has, as a power of two, so that its sets and those at borders take the least room; 0 if there is not so much.
uint block_log2_of(uint room) {
    uint log2 = LEAST_BLOCK_LOG2;
    while (1u << 2u * log2 < text_end() && log2 < MOST_BLOCK_LOG2) {
        log2 += 1u;
    }
    uint sets = (text_end() >> log2) + 1u + (1u << log2);
    return sets <= room / glushkov.word_count ? log2 : 0u;
}

// Where the block that is walked over, or the haystack, ends.
uint end_of_walk() {
    return walker.block >= BLOCK_NO_BORDERS ? text_end()
        : min((walker.block << walker.block_log2) + (1u << walker.block_log2), text_end());
}

// Begins to walk over a block, or to all borders.
void begin_backwards(uint block) {
    walker.mode = NFA_BACKWARDS;
    walker.block = block;
    walker.back_at = end_of_walk();
    bool is_end = walker.back_at == text_end();
    uint border = is_end ? own_sets : set_at_border(block + 1u);
    for (uint word = lane; word < glushkov.word_count; word += lanes) {
        small_edges[word] = (is_end ? 0u : scratch.words[border + word]) | accept_bit(word);
    }
    sync_subgroup();
}

// The positions of a word that lead to a set, to the left of them, at a place where look-arounds hold.
uint leads_to_set(GlushkovWord of_word, uint word, uint holding, inout uint turns) {
    uint set = small_edges[word];
    uint behind = word + 1u < glushkov.word_count ? small_edges[word + 1u] : 0u;
    uint leading = ((set >> 1 | behind << 31) & of_word.shift) | (set & of_word.self_loop);
    for (uint entry = of_word.shared_exceptions; entry < of_word.shared_exceptions_end; entry += GLUSHKOV_SHARED_WORDS) {
        uvec4 target = uvec4(tables.words[entry], tables.words[entry + 1u], tables.words[entry + 2u], tables.words[entry + 3u]);
        bool leads = (small_edges[target_word(target)] & target.w) != 0u && (target.y & ~holding) == 0u;
        leading |= leads ? target.x : 0u;
        turns += 1u;
    }
    for (uint left = of_word.exceptions & ~leading; left != 0u; left &= left - 1u) {
        uint before = of_word.exceptions & ((left & -left) - 1u);
        uint list = tables.words[of_word.exception_lists + uint(bitCount(before))];
        uint end = list + 1u + GLUSHKOV_TARGET_WORDS * tables.words[list];
        bool leads = false;
        for (uint target = list + 1u; target < end && !leads; target += GLUSHKOV_TARGET_WORDS) {
            leads = (small_edges[tables.words[target + 1u]] & tables.words[target + 2u]) != 0u
                && (tables.words[target] & ~holding) == 0u;
            turns += 1u;
        }
        leading |= leads ? left & -left : 0u;
        turns += 1u;
    }
    return leading;
}

// Walks on over a byte.
void step_backwards() {
    bool is_first = walker.block >= BLOCK_NO_BORDERS;
    uint begin = (is_first ? walker.start : walker.at) >> walker.block_log2 << walker.block_log2;
    bool is_over = walker.back_at == begin;
    uint holding = looks_that_hold(walker.back_at);
    uint reach = is_over ? 0u : glushkov.reach + class_of(rule.classes, byte_at(max(walker.back_at, 1u) - 1u)) * glushkov.word_count;
    uint turns = 0u;
    for (uint word = lane; word < glushkov.word_count; word += lanes) {
        turns += 2u;
        uint leading = leads_to_set(glushkov_word(word), word, holding, turns);
        small_edges[glushkov.word_count + word] = leading;
    }
    sync_subgroup();
    // The same for all invocations, which leave the main loop together.
    step_count += subgroupMax(turns);
    if (!is_first && walker.back_at < end_of_walk() && subgroupElect()) {
        scratch.words[set_in_block(walker.back_at)] |= small_edges[glushkov.word_count] & 1u;
    }
    if (is_over) {
        sync_subgroup();
        walker.mode = NFA_WALKING;
        walker.block = is_first ? BLOCK_NONE : walker.block;
        if (!is_first) {
            load_edges();
        }
        return;
    }
    walker.back_at -= 1u;
    bool is_border = is_first && (walker.back_at & (1u << walker.block_log2) - 1u) == 0u;
    uint to = is_border ? set_at_border(walker.back_at >> walker.block_log2) : set_in_block(walker.back_at);
    for (uint word = lane; word < glushkov.word_count; word += lanes) {
        uint set = small_edges[glushkov.word_count + word] & tables.words[reach + word];
        if (is_border || !is_first) {
            scratch.words[to + word] = set;
        }
        small_edges[word] = set | accept_bit(word);
    }
    sync_subgroup();
}

// Whether a search has live sets and has come to a block whose sets are not there: then it is for these to be walked first.
bool needs_block() {
    return walker.is_search != 0u && walker.block_log2 != 0u && walker.mode == NFA_WALKING && walker.at < text_end()
        && walker.at >> walker.block_log2 != walker.block;
}

// Whether a match starts at the search's place, as far as that is known.
bool may_start() {
    return walker.block_log2 == 0u || (scratch.words[set_in_block(walker.at)] & 1u) != 0u;
}

// Whether a search's node is live at its place, as far as that is known.
bool may_live(uint position) {
    return walker.is_search == 0u || walker.block_log2 == 0u
        || (scratch.words[set_in_block(walker.at) + (position >> 5)] >> (position & 31u) & 1u) != 0u;
}
