// What the host reads where a run ends.

layout(set = 0, binding = BINDING_READBACK) writeonly buffer Readback {
    ReadbackHeader header;
    uint words[];
} readback;

// By one invocation, of a run that is done or not and has counted so many hits.
void write_header(bool is_done, uint retry_reasons, uint hit_count, uint selected, uint match_count) {
    uint pass = is_done ? params.pass_count : control.pass;
    readback.header = ReadbackHeader(pass, hit_count, control.rounds, retry_reasons, selected, match_count,
                                     control.verified_again);
}

// What hits leave open decides what has been selected.
uint selected_of(uint opened) {
    if (opened == 0u) {
        return SELECTED_ALL;
    }
    bool goes_on = (opened & OPENED_TOO_MUCH) == 0u && control.verified_again < MOST_AGAIN;
    return goes_on ? SELECTED_OPEN : SELECTED_UNTOLD;
}

// Where items are packed, by one invocation.
void tally_matches(uint count) {
    if (PACKED == 1u && count != 0u) {
        tally(TALLY_HITS, count);
    }
}
