#version 460
#extension GL_GOOGLE_include_directive : require

// Chains each segment of a track to the next one of any track that begins in the row that it ends in.
//
// Reads Control; reads and writes the tracks' segments, of which some may be chained already. Grid: Control::chains_*, a
// workgroup for each part of the haystack, which takes the part's segments from the last to the first, with an invocation
// for each track. Loops: a part's segments, and for each of them the tracks. CPU twin: src/twin/compose_summaries.rs.

#define TRACKS_ACCESS coherent
#include "bindings.glsl"

layout(local_size_x = MOST_TRACKS) in;

// Of each track its name, and the next one in its list, with 1 added; and its segment that was looked at before.
shared uint names[MOST_TRACKS];
shared uint nexts[MOST_TRACKS];
shared TrackSegment before[MOST_TRACKS];

void main() {
    if (control.pass != params.pass) {
        return;
    }
    uint track = gl_LocalInvocationID.x;
    uint count = segment_count();
    uint share = (count + chain_parts() - 1u) / chain_parts();
    uint begin = min(gl_WorkGroupID.x * share, count);
    uint end = min(begin + share, count);
    bool is_made = track < control.track_count;
    uint rule = is_made ? rule_of_track(control.tracks[track]) : 0u;
    names[track] = is_made ? control.tracks[track] : 0u;
    nexts[track] = is_made ? control.next_tracks[track] : 0u;
    barrier();
    for (uint segment = end; segment > begin; --segment) {
        uint at = track * count + segment - 1u;
        TrackSegment own = TrackSegment(SEGMENT_NO_ROW, end, 0u);
        if (is_made) {
            own = tracks.segments[at];
        }
        uint row = own.rows >> SEGMENT_ROW_BITS;
        bool is_open = own.stop < end && row != ROW_DEAD;
        for (uint next = is_open ? control.first_tracks[rule % TRACK_LISTS] : 0u; next != 0u; next = nexts[next - 1u]) {
            uint other = next - 1u;
            if (rule_of_track(names[other]) != rule) {
                continue;
            }
            TrackSegment behind = before[other];
            if (own.stop != segment) {
                behind = tracks.segments[other * count + own.stop];
            }
            if ((behind.rows & SEGMENT_BEGIN_ROW) == row) {
                uint rows = own.rows & SEGMENT_BEGIN_ROW | behind.rows & ~SEGMENT_BEGIN_ROW;
                own = TrackSegment(rows, behind.stop, max(own.last, behind.last));
                tracks.segments[at] = own;
                break;
            }
        }
        // The segments before may be chained to this one.
        memoryBarrierBuffer();
        barrier();
        before[track] = own;
        barrier();
    }
}
