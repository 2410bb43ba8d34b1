#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_vote : require

// Finds where a gram could be that a match contains.
//
// Reads the haystack, from params.filter_first up to params.filter_end, and the tables; writes survivors and
// counts them in Control. Grid: params.filter_workgroup invocations in a workgroup, and a workgroup for as
// many bytes as they look at in params.filter_turns turns (for passes but the first, Control::filter_*). The
// gram of every byte, or of every other one, is tested against a bitmap in shared memory. Survivors are queued
// there, for each subgroup on its own, and written as soon as there is one for each of its invocations.
// Loops: the turns, with at most FILTER_BYTES survivors each. CPU twin: src/twin/filter.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"
#include "grams.glsl"

layout(constant_id = 2) const uint BITMAP_WORDS = 2048;
// As PassHeader::gram_stride.
layout(constant_id = 4) const uint GRAM_STRIDE = 1;

layout(local_size_x = 256, local_size_x_id = 3) in;

shared uint bitmap[BITMAP_WORDS];
// Where they are.
shared uint survivors[FILTER_SURVIVORS];

// This subgroup's part of the queue, and how many are in it.
uint own_queue;
uint queued = 0u;
// Invocations of this subgroup, and this one's place among them.
uint lanes;
uint lane;
// Once there are more than there is room for, every invocation stops, which keeps the counter from wrapping.
bool has_room = true;

// Writes `count` survivors from `first` on, one for each invocation of the subgroup.
void write_survivors(uint first, uint count) {
    uint place = 0u;
    if (subgroupElect()) {
        place = atomicAdd(control.survivor_count, count);
    }
    place = subgroupBroadcastFirst(place);
    has_room = place + count <= params.survivor_capacity;
    if (has_room && lane < count) {
        uint at = survivors[own_queue + first + lane];
        candidates.of_all_kinds[place + lane] = Candidate(gram_at(at), at);
    }
}

// Folds four bytes as the bitmap does.
uint fold(uint bytes) {
    return bytes | (bytes >> 1 & GRAM_FOLD);
}

// A folded gram survives if the highest bit is set.
uint test(uint gram) {
    uint hash = gram * GRAM_HASH;
    uint word = bitmap[hash >> GRAM_WORD_BIT & (BITMAP_WORDS - 1u)];
    return word << (hash >> GRAM_BIT) & word << ((hash * GRAM_REHASH) >> GRAM_BIT);
}

// Appends the tests of the grams that begin in `word` to those before.
uint test_word(uint tests, uint word, uint next) {
    tests = tests << 1 | test(word) >> 31;
    if (GRAM_STRIDE == 1u) {
        tests = tests << 1 | test(word >> 8 | next << 24) >> 31;
    }
    tests = tests << 1 | test(word >> 16 | next << 16) >> 31;
    if (GRAM_STRIDE == 1u) {
        tests = tests << 1 | test(word >> 24 | next << 8) >> 31;
    }
    return tests;
}

// Queues the survivors of a turn, and looks up as many as there are invocations whenever there are.
void queue_survivors(uint tests, uint at) {
    while (subgroupAny(tests != 0u)) {
        int last = findMSB(tests);
        uint survivor = at + (FILTER_BYTES - GRAM_STRIDE) - uint(last) * GRAM_STRIDE;
        bool survives = tests != 0u && is_inside(survivor);
        uvec4 ballot = subgroupBallot(survives);
        if (survives) {
            survivors[own_queue + queued + subgroupBallotExclusiveBitCount(ballot)] = survivor;
        }
        tests &= ~(1u << (last & 31));
        queued += subgroupBallotBitCount(ballot);
        subgroupBarrier();
        if (queued >= lanes) {
            queued -= lanes;
            write_survivors(queued, lanes);
            subgroupBarrier();
        }
    }
}

// Loads the bitmap. Four words at a time wait for memory together.
void load_bitmap(uint local) {
    uint from = tables.header.bitmap;
    for (uint word = local; word < BITMAP_WORDS; word += 4u * gl_WorkGroupSize.x) {
        uvec4 at = word + gl_WorkGroupSize.x * uvec4(0u, 1u, 2u, 3u);
        at = min(at, uvec4(BITMAP_WORDS - 1u));
        uvec4 loaded = uvec4(tables.words[from + at.x], tables.words[from + at.y],
                             tables.words[from + at.z], tables.words[from + at.w]);
        bitmap[at.x] = loaded.x;
        bitmap[at.y] = loaded.y;
        bitmap[at.z] = loaded.z;
        bitmap[at.w] = loaded.w;
    }
}

void main() {
    uint local = gl_LocalInvocationID.x;
    load_bitmap(local);
    barrier();
    uvec4 all = subgroupBallot(true);
    lanes = subgroupBallotBitCount(all);
    lane = subgroupBallotExclusiveBitCount(all);
    own_queue = gl_SubgroupID * (FILTER_SURVIVORS / gl_NumSubgroups);
    uint last_unit = (params.haystack_len - 1u) & ~(FILTER_BYTES - 1u);
    uint turn_bytes = gl_WorkGroupSize.x * FILTER_BYTES;
    uint at = (params.filter_first & ~(FILTER_BYTES - 1u))
        + gl_WorkGroupID.x * turn_bytes * params.filter_turns + local * FILTER_BYTES;
    for (uint turn = 0u; turn < params.filter_turns && has_room; ++turn) {
        // A subgroup stays together, so past the end the last unit is looked at in vain.
        uvec4 unit = unit_at(min(at, last_unit));
        uint next = unit_at(min(at + FILTER_BYTES, last_unit)).x;
        uvec4 folded = uvec4(fold(unit.x), fold(unit.y), fold(unit.z), fold(unit.w));
        uint tests = test_word(0u, folded.x, folded.y);
        tests = test_word(tests, folded.y, folded.z);
        tests = test_word(tests, folded.z, folded.w);
        tests = test_word(tests, folded.w, fold(next));
        queue_survivors(tests, at);
        at += turn_bytes;
    }
    if (queued != 0u) {
        write_survivors(0u, queued);
    }
}
