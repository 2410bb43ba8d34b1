#version 460
#extension GL_GOOGLE_include_directive : require

// Walks over all chunks of the haystack at once, for the rules and rows that long walks have named.
//
// Reads Control, the tables, the haystack and, where items are packed, their slots; writes what each chunk
// begins and ends with. Grid: Control::chunk_summaries_*, a row of workgroups for each summary that has been made, and an invocation for each chunk. A
// chunk that needs the NFA or, where all matches are asked for, has any, or lies in several items, is left to the
// walks. Loops: the quads of a chunk, and of SUMMARY_WARM_UP before, and once the bytes of a word. Each invocation is in
// a chunk of its own, so a look at the haystack costs the same for a word as for a quad.
// CPU twin: src/twin/chunk_summaries.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"

layout(local_size_x = WORKGROUP) in;

// By byte, where the entry for it is in the DFA's first row.
shared uint places[256];

void load_places(RuleRecord rule) {
    uint begin = gl_LocalInvocationID.x * 4u;
    uint word = tables.words[rule.classes + gl_LocalInvocationID.x];
    for (uint index = 0u; index < 4u; ++index) {
        places[begin + index] = rule.first_entry + (word >> index * 8u & 0xFFu);
    }
    barrier();
}

bool goes_on(uint row) {
    return row != ROW_DEAD && row != ROW_ESCAPE;
}

// The entry for a byte, if `row` is one; else anything.
uint entry_ahead(uint stride, uint row, uint byte) {
    return entry_at(min(places[byte] + row * stride, 2u * uint(tables.words.length()) - 1u));
}

// Walks on over four bytes, unless no row follows. That is looked at for all of them at once: most go on.
void walk_word(uint stride, uint word, inout uint at, inout uint row, inout uint last) {
    if (!goes_on(row)) {
        return;
    }
    uint first = entry_ahead(stride, row, word & 0xFFu);
    uint second = entry_ahead(stride, first >> 1, word >> 8 & 0xFFu);
    uint third = entry_ahead(stride, second >> 1, word >> 16 & 0xFFu);
    uint fourth = entry_ahead(stride, third >> 1, word >> 24);
    uint least = min(min(first, second), min(third, fourth));
    uint greatest = max(max(first, second), max(third, fourth));
    if (least >> 1 != ROW_DEAD && greatest >> 1 != ROW_ESCAPE) {
        uint matches = (first & ENTRY_MATCH) | (second & ENTRY_MATCH) << 1 | (third & ENTRY_MATCH) << 2
            | (fourth & ENTRY_MATCH) << 3;
        last = matches != 0u ? at + uint(findMSB(matches)) : last;
        row = fourth >> 1;
        at += 4u;
        return;
    }
    for (uint shift = 0u; shift < 32u && goes_on(row); shift += 8u) {
        uint entry = entry_ahead(stride, row, word >> shift & 0xFFu);
        row = entry >> 1;
        last = (entry & ENTRY_MATCH) != 0u ? at : last;
        at += 1u;
    }
}

// Walks from `at` up to `end`, both at a quad's begin, unless no row follows. `last` is where it matched last.
void walk(RuleRecord rule, uint at, uint end, inout uint row, out uint last) {
    last = 0u;
    uvec4 next = unit_at(at);
    while (at < end && goes_on(row)) {
        uvec4 quad = next;
        next = unit_at(min(at + 16u, end - 16u));
        if (rule.has_counter_steps != 0u && (at & (COUNTER_STEP_BYTES - 1u)) == 0u) {
            row = dfa_entry(rule.first_entry, rule.stride, row, rule.stride - 2u) >> 1;
        }
        walk_word(rule.stride, quad.x, at, row, last);
        walk_word(rule.stride, quad.y, at, row, last);
        walk_word(rule.stride, quad.z, at, row, last);
        walk_word(rule.stride, quad.w, at, row, last);
    }
}

void main() {
    if (control.pass != params.pass || gl_WorkGroupID.y >= control.made_count) {
        return;
    }
    uint summary = control.made[gl_WorkGroupID.y];
    uint name = control.summaries[summary];
    RuleRecord rule = rule_record(rule_of_summary(name));
    load_places(rule);
    uint chunk = gl_GlobalInvocationID.x;
    if (chunk >= chunk_count()) {
        return;
    }
    uint named = name - 1u & ((1u << SUMMARY_ROW_BITS) - 1u);
    uint begin = chunk << params.chunk_log2;
    uint end = begin + (1u << params.chunk_log2);
    uint row = named;
    uint last;
    walk(rule, begin < SUMMARY_WARM_UP ? 0u : begin - SUMMARY_WARM_UP, begin, row, last);
    // A row that comes to nothing says nothing about others.
    row = row == ROW_DEAD || row == ROW_ESCAPE ? named : row;
    uint first = row;
    walk(rule, begin, end, row, last);
    bool is_inside = enter_text(begin) && end <= text_end();
    bool is_known = is_inside && row != ROW_ESCAPE && (MATCH_ALL == 0u || last == 0u);
    summaries.chunks[summary * chunk_count() + chunk] =
        ChunkSummary((is_known ? first : CHUNK_NO_ROW) | row << CHUNK_ROW_BITS, chunk + 1u, last);
}
