#version 460
#extension GL_GOOGLE_include_directive : require

// Walks over all segments of the haystack at once, for the rules and rows that long walks have named.
//
// Reads Control, the tables and the haystack; writes what each segment begins and ends with. Grid:
// Control::tracks_*, a row of workgroups for each track, and an invocation for each segment. A segment that
// needs the NFA or, where all matches are asked for, has any, or lies in several items, is left to the walks. Loops: the bytes of a
// segment, and TRACK_WARM_UP before. CPU twin: src/twin/tracks.rs.

#include "bindings.glsl"
#include "walk.glsl"

layout(local_size_x = WORKGROUP) in;

void main() {
    uint segment = gl_GlobalInvocationID.x;
    uint track = gl_WorkGroupID.y;
    if (control.pass != params.pass || track >= control.track_count || segment >= segment_count()) {
        return;
    }
    uint name = control.tracks[track];
    RuleRecord rule = rule_record(rule_of_track(name));
    uint named = name - 1u & ((1u << TRACK_ROW_BITS) - 1u);
    uint begin = segment << params.segment_log2;
    uint end = begin + (1u << params.segment_log2);
    uint first = named;
    uint row = named;
    uint last = 0u;
    uint classes = 0u;
    for (uint at = begin < TRACK_WARM_UP ? 0u : begin - TRACK_WARM_UP; at < end; ++at) {
        if (at == begin) {
            // A row that comes to nothing says nothing about others.
            row = row == ROW_DEAD || row == ROW_ESCAPE ? named : row;
            first = row;
        }
        if (row != ROW_DEAD && row != ROW_ESCAPE) {
            // Whole words, as warm-up and segments are.
            if ((at & 3u) == 0u) {
                classes = classes_of(rule.classes, unit_at(at));
            }
            uint entry = walk_entry(rule, row, at, classes >> ((at & 3u) * 8u) & 0xFFu);
            row = entry >> 1;
            last = at >= begin && (entry & ENTRY_MATCH) != 0u ? at : last;
        }
    }
    bool is_inside = enter_text(begin) && end <= text_end();
    bool is_known = is_inside && row != ROW_ESCAPE && (MATCH_ALL == 0u || last == 0u);
    tracks.segments[track * segment_count() + segment] =
        TrackSegment((is_known ? first : SEGMENT_NO_ROW) | row << SEGMENT_ROW_BITS, segment + 1u, last);
}
