// What every kernel may bind, and how it reads bytes and reports hits.

#include "layout/limits.glsl"
#include "layout/tables.glsl"
#include "layout/params.glsl"
#include "layout/control.glsl"
#include "layout/ring.glsl"
#include "layout/walkers.glsl"
#include "layout/selection.glsl"

layout(constant_id = SPEC_SEGMENTS) const uint SEGMENTS = 1;
// 1 for MatchKind::All, 0 for MatchKind::LeftmostFirst.
layout(constant_id = SPEC_MATCH_ALL) const uint MATCH_ALL = 0;

// 1 if the haystack is made of packed items, which are haystacks of their own: of the slots from params.first_slot on.
layout(constant_id = SPEC_PACKED) const uint PACKED = 0;

// 1 if the commands are recorded for others to submit: they tell of the haystack's length, and have the matches.
layout(constant_id = SPEC_RECORDED) const uint RECORDED = 0;

layout(push_constant) uniform Push {
    ScanParams params;
};

layout(set = 0, binding = BINDING_TABLES) readonly buffer Tables {
    PassHeader header;
    uint words[];
} tables;

layout(set = 0, binding = BINDING_HITS) buffer Hits {
    uint count;
    uint words[];
} hits;

layout(set = 0, binding = BINDING_CONTROL) buffer ControlBuffer {
    Control control;
};

// Bytes of the haystack.
uint haystack_len() {
    return RECORDED == 1u ? min(control.haystack_len, params.haystack_len) : params.haystack_len;
}

// The end of the starts that are verified.
uint end_start() {
    return RECORDED == 1u ? min(params.end_start, control.haystack_len) : params.end_start;
}

// The end of the bytes that grams are looked for at.
uint prefilter_end() {
    return RECORDED == 1u ? min(params.prefilter_end, control.haystack_len) : params.prefilter_end;
}

// The last of the units that there are, of a size that is a power of two.
uint last_unit(uint unit) {
    return (max(haystack_len(), 1u) - 1u) & ~(unit - 1u);
}

layout(set = 0, binding = BINDING_QUEUE) buffer Queue {
    Task tasks[];
} queue;

// A kernel of which invocations write here what others read says so before it includes this.
#ifndef CANDIDATES_ACCESS
#define CANDIDATES_ACCESS
#endif

layout(set = 0, binding = BINDING_CANDIDATES) CANDIDATES_ACCESS buffer Candidates {
    Candidate suffixes_then_starts[];
} candidates;

// A kernel of which invocations write summaries that others read says so before it includes this.
#ifndef SUMMARIES_ACCESS
#define SUMMARIES_ACCESS
#endif

// The chunks of each summary, one summary after the other.
layout(set = 0, binding = BINDING_SUMMARIES) SUMMARIES_ACCESS buffer Summaries {
    ChunkSummary chunks[];
} summaries;

layout(set = 0, binding = BINDING_RING) buffer Ring {
    Tally tallies[MOST_TENANTS];
    Slot slots[];
} ring;

// The place of a slot of this scan in the ring.
uint slot_place(uint index) {
    uint place = params.first_slot + index;
    return params.ring_first + (place < params.ring_slots ? place : place - params.ring_slots);
}

// Adds to a counter of the tenant.
void tally(uint counter, uint value) {
    uint before = atomicAdd(ring.tallies[params.tenant].low[counter], value);
    if (before + value < before) {
        atomicAdd(ring.tallies[params.tenant].high[counter], 1u);
    }
}

// Whether a slot's item is looked at in this scan.
bool is_claimed(Slot slot) {
    return (slot.state == SLOT_CLAIMED || slot.state == SLOT_DONE) && slot.epoch == params.epoch
        && slot.tenant == params.tenant;
}

// The item that walks are in.
uvec2 item_text;

// Where what walks see begins and ends: all of the haystack or, where items are packed, one of them.
uint text_begin() {
    return PACKED == 1u ? item_text.x : 0u;
}

uint text_end() {
    return PACKED == 1u ? item_text.y : haystack_len();
}

// What `enter_text` is charged with.
uint enter_steps() {
    return PACKED * SEARCH_STEPS * uint(findMSB(params.slot_count) + 1);
}

// Enters the item that `at` lies in, its end included. False if there is none. Loop: the bits of params.slot_count.
bool enter_text(uint at) {
    if (PACKED == 0u) {
        return true;
    }
    // The first slot whose item begins behind.
    uint low = 0u;
    uint high = params.slot_count;
    while (low < high) {
        uint middle = (low + high) / 2u;
        if (ring.slots[slot_place(middle)].begin > at) {
            high = middle;
        } else {
            low = middle + 1u;
        }
    }
    if (low == 0u) {
        return false;
    }
    Slot slot = ring.slots[slot_place(low - 1u)];
    item_text = uvec2(slot.begin, slot.end);
    return is_claimed(slot) && at <= slot.end;
}

// The name of a summary.
uint summary_name(uint rule, uint row) {
    return (rule << SUMMARY_ROW_BITS | row) + 1u;
}

// The rule that a summary is named by.
uint rule_of_summary(uint name) {
    return name - 1u >> SUMMARY_ROW_BITS;
}

// Chunks that lie in the haystack as a whole.
uint chunk_count() {
    return params.chunk_log2 == 0u ? 0u : haystack_len() >> params.chunk_log2;
}

// Parts of the haystack that compositions end with.
uint compose_parts() {
    return max(COMPOSE_PARTS, (chunk_count() + COMPOSE_CHUNKS - 1u) / COMPOSE_CHUNKS);
}

// Kernels that read the haystack in other pieces say so before they include this.
#ifndef HAYSTACK_UNIT
#define HAYSTACK_UNIT uint
#define HAYSTACK_UNIT_LOG2 2
#endif

layout(set = 0, binding = BINDING_HAYSTACK) readonly buffer Haystack {
    HAYSTACK_UNIT words[];
} haystack[MAX_SEGMENTS];

// Constant indices: a device need not index descriptors dynamically.
HAYSTACK_UNIT segment_word(uint segment, uint word) {
    switch (segment) {
        case 0u: return haystack[0].words[word];
        case 1u: return haystack[1].words[word];
        case 2u: return haystack[2].words[word];
        case 3u: return haystack[3].words[word];
        case 4u: return haystack[4].words[word];
        case 5u: return haystack[5].words[word];
        case 6u: return haystack[6].words[word];
        default: return haystack[7].words[word];
    }
}

// The unit that holds the byte at `at`.
HAYSTACK_UNIT unit_at(uint at) {
    if (SEGMENTS == 1u) {
        return haystack[0].words[at >> HAYSTACK_UNIT_LOG2];
    }
    uint within = at & ((1u << SEGMENT_SHIFT) - 1u);
    return segment_word(at >> SEGMENT_SHIFT, within >> HAYSTACK_UNIT_LOG2);
}

#if HAYSTACK_UNIT_LOG2 == 2
uint byte_at(uint at) {
    return (unit_at(at) >> ((at & 3u) * 8u)) & 0xFFu;
}
#endif

// The class of a byte in the map at `classes`.
uint class_of(uint classes, uint byte) {
    return (tables.words[classes + (byte >> 2)] >> ((byte & 3u) * 8u)) & 0xFFu;
}

// The entry at a place, of which a word has two.
uint entry_at(uint at) {
    return (tables.words[at >> 1] >> ((at & 1u) * 16u)) & 0xFFFFu;
}

// The entry of a DFA that begins at `first_entry`, with rows of `stride` entries.
uint dfa_entry(uint first_entry, uint stride, uint row, uint byte_class) {
    return entry_at(first_entry + row * stride + byte_class);
}

RuleRecord rule_record(uint rule) {
    uint at = tables.header.rules + rule * RULE_WORDS;
    return RuleRecord(tables.words[at], tables.words[at + 1u], tables.words[at + 2u],
                      tables.words[at + 3u], tables.words[at + 4u], tables.words[at + 5u],
                      tables.words[at + 6u], tables.words[at + 7u], tables.words[at + 8u],
                      tables.words[at + 9u], tables.words[at + 10u], tables.words[at + 11u],
                      tables.words[at + 12u], tables.words[at + 13u], uint[2](0u, 0u));
}

// Whether a byte is in the 256-bit set at `set`.
bool is_in_set(uint set, uint byte) {
    return (tables.words[set + (byte >> 5)] >> (byte & 31u) & 1u) != 0u;
}

// Whether there are rules that have to be verified from every start.
bool has_lists(PassHeader header) {
    return params.use_prefilter == PREFILTER_NONE || params.has_listed != 0u
        || (params.use_prefilter == PREFILTER_ALL ? header.has_rest : header.has_long) != 0u;
}

// The RETRY_* bits of a pass whose suffixes have been looked at.
uint retry_reasons() {
    bool fits = control.candidate_count <= params.candidate_capacity && control.start_count <= params.start_capacity;
    return control.retry_reasons | (fits ? 0u : RETRY_CANDIDATES);
}

// Whether the suffixes of a pass have left nothing to do.
bool leaves_nothing(PassHeader header) {
    return retry_reasons() == 0u && control.start_count == 0u && !has_lists(header);
}

// Whether a scan is over, where a run ends: with SCHEDULE_CONFIRMED, the only pass's suffixes have yet to be judged.
bool is_over(PassHeader header) {
    bool is_done = control.pass >= params.pass_count;
    return params.stage == SCHEDULE_CONFIRMED ? retry_reasons() != 0u || leaves_nothing(header) : is_done;
}

// The RETRY_* bits where a run ends.
uint run_retry_reasons() {
    return params.stage == SCHEDULE_CONFIRMED ? retry_reasons() : control.retry_reasons;
}

// Of so many invocations, how many there are for each of `count` things to do, as a power of two: few are spread
// out, so that no two of them share a subgroup of up to 2^MOST_SPREAD_LOG2, whose invocations wait for each other.
uint spread(uint invocations, uint count) {
    return 1u << clamp(findMSB(invocations / max(count, 1u)), 0, int(MOST_SPREAD_LOG2));
}

// Reports a hit, and the suffix that told of it. False if the scan has been given up.
bool emit_report(uint pattern_id, uint start, uint end, uint suffix) {
    uint at = atomicAdd(hits.count, 1u);
    if (at < params.hit_capacity) {
        hits.words[at * 3u] = pattern_id;
        hits.words[at * 3u + 1u] = start;
        hits.words[at * 3u + 2u] = end;
        hits.words[params.hit_capacity * 3u + at] = suffix;
    }
    // The counter cannot wrap: each invocation adds to it once more at most after it has passed hit_stop.
    return at <= params.hit_stop;
}

// Reports a hit. False if the scan has been given up.
bool emit(uint pattern_id, uint start, uint end) {
    return emit_report(pattern_id, start, end, NO_SUFFIX);
}
