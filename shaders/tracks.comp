#version 460
#extension GL_GOOGLE_include_directive : require

// Walks over all segments of the haystack at once, for the rules and rows that long walks have named.
//
// Reads Control, the tables and the haystack; writes what each segment begins and ends with. Grid:
// Control::tracks_*, a row of workgroups for each track that has been made, and an invocation for each segment. A
// segment that needs the NFA or, where all matches are asked for, has any, or lies in several items, is left to the
// walks. Loops: the quads of a segment, and of TRACK_WARM_UP before. Each invocation is in a segment of its own, so a
// look at the haystack costs the same for a word as for a quad.
// CPU twin: src/twin/tracks.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"

layout(local_size_x = WORKGROUP) in;

bool goes_on(uint row) {
    return row != ROW_DEAD && row != ROW_ESCAPE;
}

// Walks on over four bytes, unless no row follows.
void walk_word(RuleRecord rule, uint word, inout uint at, inout uint row, inout uint last) {
    uint shift = 0u;
    while (shift < 32u && goes_on(row)) {
        uint entry = dfa_entry(rule.first_entry, rule.stride, row, class_of(rule.classes, word >> shift & 0xFFu));
        row = entry >> 1;
        last = (entry & ENTRY_MATCH) != 0u ? at : last;
        at += 1u;
        shift += 8u;
    }
}

// Walks from `at` up to `end`, both at a quad's begin, unless no row follows. `last` is where it matched last.
void walk(RuleRecord rule, uint at, uint end, inout uint row, out uint last) {
    last = 0u;
    uvec4 next = unit_at(at);
    while (at < end && goes_on(row)) {
        uvec4 quad = next;
        next = unit_at(min(at + 16u, end - 16u));
        if (rule.has_ticks != 0u && (at & (TICK_BYTES - 1u)) == 0u) {
            row = dfa_entry(rule.first_entry, rule.stride, row, rule.stride - 2u) >> 1;
        }
        walk_word(rule, quad.x, at, row, last);
        walk_word(rule, quad.y, at, row, last);
        walk_word(rule, quad.z, at, row, last);
        walk_word(rule, quad.w, at, row, last);
    }
}

void main() {
    uint segment = gl_GlobalInvocationID.x;
    if (control.pass != params.pass || gl_WorkGroupID.y >= control.made_count || segment >= segment_count()) {
        return;
    }
    uint track = control.made[gl_WorkGroupID.y];
    uint name = control.tracks[track];
    RuleRecord rule = rule_record(rule_of_track(name));
    uint named = name - 1u & ((1u << TRACK_ROW_BITS) - 1u);
    uint begin = segment << params.segment_log2;
    uint end = begin + (1u << params.segment_log2);
    uint row = named;
    uint last;
    walk(rule, begin < TRACK_WARM_UP ? 0u : begin - TRACK_WARM_UP, begin, row, last);
    // A row that comes to nothing says nothing about others.
    row = row == ROW_DEAD || row == ROW_ESCAPE ? named : row;
    uint first = row;
    walk(rule, begin, end, row, last);
    bool is_inside = enter_text(begin) && end <= text_end();
    bool is_known = is_inside && row != ROW_ESCAPE && (MATCH_ALL == 0u || last == 0u);
    tracks.segments[track * segment_count() + segment] =
        TrackSegment((is_known ? first : SEGMENT_NO_ROW) | row << SEGMENT_ROW_BITS, segment + 1u, last);
}
