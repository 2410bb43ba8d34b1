// What the host reads where a run ends.

layout(set = 0, binding = BINDING_READBACK) writeonly buffer Readback {
    ReadbackHeader header;
    uint words[];
} readback;

// By one invocation, of a run that is done or not and has counted so many hits.
void write_header(bool is_done, uint hit_count, uint selected, uint match_count) {
    uint pass = is_done ? params.pass_count : control.pass;
    readback.header =
        ReadbackHeader(pass, hit_count, control.rounds, run_retry_reasons(), selected, match_count);
}

// A hit with its suffix, for the host to select from.
void read_back_hit(uint index) {
    for (uint word = 0u; word < 3u; ++word) {
        readback.words[index * 3u + word] = hits.words[index * 3u + word];
    }
    uint suffix = params.hit_capacity * 3u + index;
    readback.words[suffix] = hits.words[suffix];
}
