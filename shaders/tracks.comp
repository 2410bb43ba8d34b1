#version 460
#extension GL_GOOGLE_include_directive : require

// Walks over all segments of the haystack at once, for the rules and rows that long walks have named.
//
// Reads Control, the tables and the haystack; writes what each segment begins and ends with. Grid:
// Control::tracks_*, a row of workgroups for each track that has been made, and an invocation for each segment. A
// segment that needs the NFA or, where all matches are asked for, has any, or lies in several items, is left to the
// walks. Loops: the bytes of a segment, and TRACK_WARM_UP before, by words where there are no ticks between.
// CPU twin: src/twin/tracks.rs.

#include "bindings.glsl"
#include "walk.glsl"

layout(local_size_x = WORKGROUP) in;

// Walks from `at` up to `end`, unless no row follows. `last` is where it matched last.
void walk(RuleRecord rule, uint at, uint end, inout uint row, out uint last) {
    last = 0u;
    while (at < end && row != ROW_DEAD && row != ROW_ESCAPE) {
        bool has_ticks = rule.has_ticks != 0u;
        if (!has_ticks || (at & (TICK_BYTES - 1u)) != 0u) {
            uint border = has_ticks ? min((at | (TICK_BYTES - 1u)) + 1u, end) : end;
            walk_words(Dfa(rule.classes, rule.first_entry, rule.stride), false, border, row, at, last);
            if (at == border) {
                continue;
            }
        }
        uint entry = walk_entry(rule, row, at, class_of(rule.classes, byte_at(at)));
        row = entry >> 1;
        last = (entry & ENTRY_MATCH) != 0u ? at : last;
        at += 1u;
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
