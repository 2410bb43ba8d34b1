// What the host reads where a run ends.

// What follows the header; of a recording, the counter.
layout(set = 0, binding = BINDING_READBACK) writeonly buffer Readback {
    uint words[];
} readback;

// Writes a word of the matches, if there is room for it.
void write_word(uint word, uint value) {
    if (RECORDED == 0u) {
        readback.words[READBACK_HEADER_WORDS + word] = value;
    } else if (word < 3u * params.slot_count) {
        readback.words[1u + word] = value;
    }
}

// What a recording has come to.
RecordedState state_of(uint retry_reasons, uint hit_count, uint selected, uint match_count) {
    if (control.recording != params.epoch) {
        return RecordedState(RECORDED_NEEDS_HOST, 0u);
    }
    if (control.haystack_len > params.haystack_len) {
        return RecordedState(RECORDED_FAULT, control.haystack_len);
    }
    if (selected == SELECTED_ALL) {
        bool fits = match_count <= params.slot_count;
        return RecordedState(fits ? RECORDED_COMPLETE : RECORDED_TOO_MANY, match_count);
    }
    bool overflows = retry_reasons != 0u || hit_count > params.hit_capacity || selected == SELECTED_UNTOLD;
    bool is_hopeless = overflows && control.restarted != 0u;
    return RecordedState(is_hopeless ? RECORDED_NEEDS_HOST : RECORDED_GOES_ON, 0u);
}

// By one invocation, of a run that is done or not and has counted so many hits.
void write_header(bool is_done, uint retry_reasons, uint hit_count, uint selected, uint match_count) {
    if (RECORDED == 1u) {
        RecordedState recorded = state_of(retry_reasons, hit_count, selected, match_count);
        uint behind = 1u + 3u * params.slot_count;
        readback.words[0] = recorded.state == RECORDED_COMPLETE ? match_count : 0u;
        readback.words[behind] = recorded.state;
        readback.words[behind + 1u] = recorded.count;
        return;
    }
    uint pass = is_done ? params.pass_count : control.pass;
    ReadbackHeader header = ReadbackHeader(pass, hit_count, control.rounds, retry_reasons, selected, match_count,
                                           control.verified_again);
    readback.words[0] = header.pass;
    readback.words[1] = header.hit_count;
    readback.words[2] = header.rounds;
    readback.words[3] = header.retry_reasons;
    readback.words[4] = header.selected;
    readback.words[5] = header.match_count;
    readback.words[6] = header.verified_again;
}

// What hits leave open decides what has been selected.
uint selected_of(uint opened) {
    if (opened == 0u) {
        return SELECTED_ALL;
    }
    // Starts are verified again in an only pass alone.
    bool goes_on = params.pass_count == 1u && (opened & OPENED_TOO_MUCH) == 0u && control.verified_again < MOST_AGAIN;
    return goes_on ? SELECTED_OPEN : SELECTED_UNTOLD;
}

// Where items are packed, by one invocation.
void tally_matches(uint count) {
    if (PACKED == 1u && count != 0u) {
        tally(TALLY_HITS, count);
    }
}
