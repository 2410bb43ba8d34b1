// The digits that many hits are sorted by: of their end first, if all matches are wanted, and then of whether a hit is a
// report, its position, whether its report is of a run, and its pattern.

// Bits of a number below `limit`.
uint bits_below(uint limit) {
    return uint(findMSB(max(limit, 1u) - 1u) + 1);
}

// Digits of an end, which may be UNDECIDED.
uint end_digits() {
    uint end_bits = params.is_final == 0u ? 32u : bits_below(params.haystack_len + 1u);
    return MATCH_ALL == 0u ? 0u : (end_bits + DIGIT_BITS - 1u) / DIGIT_BITS;
}

// The digit that params.stage counts, from 0 on.
uint digit_of(Found found) {
    uint digit = params.stage;
    if (digit < end_digits()) {
        return found.end >> digit * DIGIT_BITS & DIGITS - 1u;
    }
    uint shift = (digit - end_digits()) * DIGIT_BITS;
    uint low = (report_of(found) == REPORT_NONE ? 0u : 1u) | position(found) << 1;
    uint kind = kind_of(found);
    uint kind_shift = 1u + bits_below(params.haystack_len);
    low |= kind << kind_shift;
    uint high = kind >> 32u - kind_shift;
    return (shift < 32u ? low >> shift : high >> shift - 32u) & DIGITS - 1u;
}

// Every other digit is sorted by from the hit buffer, and the others from the selection buffer.
Found unsorted(uint index) {
    return params.stage % 2u == 0u ? hit(index) : record(index);
}
