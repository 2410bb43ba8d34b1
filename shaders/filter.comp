#version 460
#extension GL_GOOGLE_include_directive : require

// Finds the grams that a match could contain.
//
// Reads the haystack, from params.first_start to what a match that starts before params.end_start can
// reach, and the tables; writes candidate tails and counts them in Control. Grid:
// Control::filter_*, a workgroup for every FILTER_WORKGROUP * FILTER_BYTES * FILTER_TURNS bytes. Every
// byte's gram is tested against a bitmap in shared memory; a survivor is looked up in the hash table, and
// each branch that has the gram gets a candidate. Loops: FILTER_TURNS turns, in each at most FILTER_BYTES
// look-ups, whose probing the table's fill bounds (it is half empty), and the gram's list.
// CPU twin: src/twin/filter.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"

layout(local_size_x = FILTER_WORKGROUP) in;

shared uint bitmap[BITMAP_WORDS];

// Hands the tails that the gram at `at` may belong to on. False once there are more than there is room
// for, which ends the scan; that every invocation stops then keeps the counter from wrapping.
bool look_up(uint gram, uint at) {
    uint mask = (1u << tables.header.gram_table_log2) - 1u;
    uint slot = (gram * GRAM_HASH) >> (32u - tables.header.gram_table_log2);
    for (;;) {
        uint entry = tables.header.gram_table + slot * 2u;
        uint list = tables.words[entry + 1u];
        if (list == 0u) {
            return true;
        }
        if (tables.words[entry] == gram) {
            uint count = tables.words[list];
            for (uint i = 1u; i <= count; ++i) {
                uint item = tables.words[list + i];
                uint offset = item >> GRAM_OFFSET_SHIFT;
                if (offset <= at) {
                    uint index = atomicAdd(control.candidate_count, 1u);
                    if (index >= params.candidate_capacity) {
                        return false;
                    }
                    uint branch = item & ((1u << GRAM_OFFSET_SHIFT) - 1u);
                    queue.items[params.queue_capacity + index] = QueueItem(branch, at - offset, 0u);
                }
            }
            return true;
        }
        slot = (slot + 1u) & mask;
    }
}

void main() {
    uint local = gl_LocalInvocationID.x;
    for (uint word = local; word < BITMAP_WORDS; word += FILTER_WORKGROUP) {
        bitmap[word] = tables.words[tables.header.bitmap + word];
    }
    barrier();
    uint last_unit = (params.haystack_len - 1u) & ~(FILTER_BYTES - 1u);
    uint base = (params.first_start & ~(FILTER_BYTES - 1u))
        + gl_WorkGroupID.x * (FILTER_WORKGROUP * FILTER_BYTES * FILTER_TURNS);
    uint end = filter_end();
    for (uint turn = 0u; turn < FILTER_TURNS; ++turn) {
        uint at = base + (turn * FILTER_WORKGROUP + local) * FILTER_BYTES;
        if (at >= end) {
            break;
        }
        uvec4 unit = unit_at(at);
        // What lies past the end makes candidates too many, never too few: a gram that a match contains
        // ends before it, or is taken with whatever follows.
        uint next = unit_at(min(at + FILTER_BYTES, last_unit)).x;
        uint words[5] = uint[](unit.x, unit.y, unit.z, unit.w, next);
        uint survivors = 0u;
        for (uint i = 0u; i < FILTER_BYTES; ++i) {
            uint low = words[i >> 2];
            uint shift = (i & 3u) * 8u;
            uint gram = shift == 0u ? low : low >> shift | words[(i >> 2) + 1u] << (32u - shift);
            uint hash = ((gram | GRAM_FOLD) * GRAM_HASH) >> (32u - BITMAP_LOG2);
            survivors |= ((bitmap[hash >> 5] >> (hash & 31u)) & 1u) << i;
        }
        while (survivors != 0u) {
            uint i = uint(findLSB(survivors));
            survivors &= survivors - 1u;
            if (at + i >= params.first_start && at + i < end) {
                uint shift = (i & 3u) * 8u;
                uint low = words[i >> 2];
                uint gram = shift == 0u ? low : low >> shift | words[(i >> 2) + 1u] << (32u - shift);
                if (!look_up(gram | GRAM_FOLD, at + i)) {
                    return;
                }
            }
        }
    }
}
