// How kernels that read the haystack in units cut grams out of it.

// Four bytes with ASCII letters in lower case.
uint lower_case(uint bytes) {
    uint low = bytes & 0x7F7F7F7Fu;
    // Bit 7 of each byte: at least 'A', more than 'Z'.
    uint upper = (low + 0x3F3F3F3Fu) & ~(low + 0x25252525u) & ~bytes & 0x80808080u;
    return bytes | upper >> 2;
}

// The word at `at`, a multiple of four. What lies past the end makes candidates too many, never too few: a
// gram that a match contains ends before it, or is taken with whatever follows.
uint word_at(uint at) {
    uint last = (params.haystack_len - 1u) & ~3u;
    return unit_at(min(at, last))[(min(at, last) >> 2) & 3u];
}

// The gram that begins at `at`.
uint gram_at(uint at) {
    uint shift = (at & 3u) * 8u;
    uint low = word_at(at & ~3u);
    uint gram = shift == 0u ? low : low >> shift | word_at((at & ~3u) + 4u) << (32u - shift);
    return lower_case(gram);
}
