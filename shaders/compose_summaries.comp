#version 460
#extension GL_GOOGLE_include_directive : require

// Composes each chunk of a summary with the next one of any summary that begins in the row that it ends in.
//
// Reads Control; reads and writes the summaries' chunks, of which some may be composed already. Grid: Control::compose_summaries_*, a
// workgroup for each part of the haystack, which takes the part's chunks from the last to the first, with an invocation
// for each summary. Loops: a part's chunks, and for each of them the summaries. CPU twin: src/twin/compose_summaries.rs.

#define SUMMARIES_ACCESS coherent
#include "bindings.glsl"

layout(local_size_x = MOST_SUMMARIES) in;

// Of each summary its name, and the next one in its list, with 1 added; and its chunk that was looked at before.
shared uint names[MOST_SUMMARIES];
shared uint nexts[MOST_SUMMARIES];
shared ChunkSummary before[MOST_SUMMARIES];

void main() {
    if (control.pass != params.pass) {
        return;
    }
    uint summary = gl_LocalInvocationID.x;
    uint count = chunk_count();
    uint share = (count + compose_parts() - 1u) / compose_parts();
    uint begin = min(gl_WorkGroupID.x * share, count);
    uint end = min(begin + share, count);
    bool is_made = summary < control.summary_count;
    uint rule = is_made ? rule_of_summary(control.summaries[summary]) : 0u;
    names[summary] = is_made ? control.summaries[summary] : 0u;
    nexts[summary] = is_made ? control.next_summaries[summary] : 0u;
    barrier();
    for (uint chunk = end; chunk > begin; --chunk) {
        uint at = summary * count + chunk - 1u;
        ChunkSummary own = ChunkSummary(CHUNK_NO_ROW, end, 0u);
        if (is_made) {
            own = summaries.chunks[at];
        }
        uint row = own.rows >> CHUNK_ROW_BITS;
        bool is_open = own.stop < end && row != ROW_DEAD;
        for (uint next = is_open ? control.first_summaries[rule % SUMMARY_LISTS] : 0u; next != 0u; next = nexts[next - 1u]) {
            uint other = next - 1u;
            if (rule_of_summary(names[other]) != rule) {
                continue;
            }
            ChunkSummary behind = before[other];
            if (own.stop != chunk) {
                behind = summaries.chunks[other * count + own.stop];
            }
            if ((behind.rows & CHUNK_BEGIN_ROW) == row) {
                uint rows = own.rows & CHUNK_BEGIN_ROW | behind.rows & ~CHUNK_BEGIN_ROW;
                own = ChunkSummary(rows, behind.stop, max(own.last, behind.last));
                summaries.chunks[at] = own;
                break;
            }
        }
        // The chunks before may be composed with this one.
        memoryBarrierBuffer();
        barrier();
        before[summary] = own;
        barrier();
    }
}
