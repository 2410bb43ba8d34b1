#version 460
#extension GL_GOOGLE_include_directive : require

// Chains each segment of a track to the next one of any track that begins in the row that it ends in.
//
// Reads Control; reads and writes the tracks' segments. Grid: Control::chains_*, a workgroup for each part of
// the haystack, which takes the part's segments from the last to the first, with an invocation for each
// track. Loops: a part's segments, and for each of them the tracks. CPU twin: src/twin/chains.rs.

#include "bindings.glsl"

layout(local_size_x = MOST_TRACKS) in;

// Of the segment looked at before, which lies behind, on each track: the row that it begins in, as a track is
// named, or 0; and what it is chained to.
shared uint begins[MOST_TRACKS];
shared TrackSegment chains[MOST_TRACKS];

void main() {
    if (control.pass != params.pass) {
        return;
    }
    uint track = gl_LocalInvocationID.x;
    uint share = (segment_count() + CHAIN_PARTS - 1u) / CHAIN_PARTS;
    uint begin = min(gl_WorkGroupID.x * share, segment_count());
    uint end = min(begin + share, segment_count());
    uint rule = track < control.track_count ? rule_of_track(control.tracks[track]) : 0u;
    begins[track] = 0u;
    barrier();
    for (uint segment = end; segment > begin; --segment) {
        uint at = track * segment_count() + segment - 1u;
        TrackSegment own = TrackSegment(SEGMENT_NO_ROW, 0u, 0u);
        if (track < control.track_count) {
            own = tracks.segments[at];
            uint ends = track_name(rule, own.rows >> SEGMENT_ROW_BITS);
            for (uint next = control.first_tracks[rule % TRACK_LISTS]; next != 0u;
                 next = control.next_tracks[next - 1u]) {
                uint other = next - 1u;
                if (begins[other] == ends) {
                    TrackSegment behind = chains[other];
                    uint rows = own.rows & SEGMENT_BEGIN_ROW | behind.rows & ~SEGMENT_BEGIN_ROW;
                    own = TrackSegment(rows, behind.stop, max(own.last, behind.last));
                    tracks.segments[at] = own;
                    break;
                }
            }
        }
        barrier();
        uint row = own.rows & SEGMENT_BEGIN_ROW;
        begins[track] = row == SEGMENT_NO_ROW || row == ROW_DEAD ? 0u : track_name(rule, row);
        chains[track] = own;
        barrier();
    }
}
