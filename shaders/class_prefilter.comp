#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_vote : require

// Finds the class windows that a match of a rule without grams could contain.
//
// Reads the haystack, from params.prefilter_first up to params.prefilter_end, and the tables; writes candidate
// suffixes and counts them in Control. Grid: that of gram_prefilter, divided alike (for passes that a run does not begin
// with, Control::class_prefilter_*). Each byte's reach, in shared memory, takes Shift-And a step on. Where that leaves a
// bucket's class window, the classes of the eight bytes make an index of what is to be handed on. Loops: the turns, four
// at a time, with at most PREFILTER_BYTES class windows in each of these; and candidates, which count down from
// PREFILTER_STEPS. CPU twin: src/twin/class_prefilter.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"
#include "lockstep.glsl"
#include "candidates.glsl"
#include "survivors.glsl"

layout(local_size_x = 256, local_size_x_id = SPEC_PREFILTER_WORKGROUP) in;

// Of each bucket, the places of a class window, the first of them highest.
shared uint reaches[256];
const uint FIRST_PLACES = 0x80808080u;
const uint LAST_PLACES = 0x01010101u;

// The places that the bytes up to here leave, from the last place on.
uint places = 0u;

// Takes the step of one byte of a word.
void take(uint word, uint byte) {
    places = (places << 1 | LAST_PLACES) & reaches[word >> 8u * byte & 0xFFu];
}

// Takes the steps of a word from its last byte to the first. Says of each byte, in each bucket and from the lowest bit on,
// whether a class window begins there.
uint take_word(uint word) {
    take(word, 3u);
    uint found = (places & FIRST_PLACES) >> 4;
    take(word, 2u);
    found |= (places & FIRST_PLACES) >> 5;
    take(word, 1u);
    found |= (places & FIRST_PLACES) >> 6;
    take(word, 0u);
    return found | (places & FIRST_PLACES) >> 7;
}

// As `take_word` for two words, with all buckets together.
uint take_words(uint low, uint high) {
    uint found = take_word(high) << 4;
    found |= take_word(low);
    found |= found >> 16;
    return (found | found >> 8) & 0xFFu;
}

// As that for a unit.
uint take_unit(uvec4 unit) {
    uint high = take_words(unit.z, unit.w);
    return high << 8 | take_words(unit.x, unit.y);
}

// The word of classes that four bytes have, the first one highest.
uint classes_of(uint bytes) {
    uint classes = 0u;
    for (uint byte = 0u; byte < 4u; ++byte) {
        classes = classes << CLASS_WINDOW_CLASS_BITS
            | class_of(tables.header.byte_classes, bytes >> 8u * byte & 0xFFu);
    }
    return classes;
}

uint survivor_at(uint tests, uint at, uint turn_bytes) {
    return at + uint(findMSB(tests));
}

// Hands on the suffixes of `count` survivors from `first` on, one for each invocation of the subgroup.
void look_up(uint first, uint count) {
    uint at = 0u;
    uint list = 0u;
    uint postings = 0u;
    sync_subgroup();
    if (lane < count) {
        at = survivors[own_queue + first + lane];
        uvec2 bytes = bytes_at(at, CLASS_WINDOW_BYTES);
        uint row = classes_of(bytes.x) << 4u * CLASS_WINDOW_CLASS_BITS | classes_of(bytes.y);
        list = tables.words[tables.header.class_window_lists + row];
        postings = list == 0u ? 0u : min(tables.words[list], steps_left);
        steps_left -= postings;
    }
    sync_subgroup();
    for (uint index = 1u; subgroupAny(index <= postings); ++index) {
        uint posting = index <= postings ? tables.words[list + index] : 0u;
        push_together(index <= postings && is_possible(posting, at), posting, at);
    }
}

void main() {
    uint local = gl_LocalInvocationID.x;
    for (uint byte = local; byte < 256u; byte += params.prefilter_workgroup) {
        reaches[byte] = tables.words[tables.header.class_reaches + byte];
    }
    barrier();
    enter_subgroup();
    // An invocation takes four units in a row, so that few bytes are looked at twice.
    uint bytes = 4u * PREFILTER_BYTES;
    uint turn_bytes = gl_NumWorkGroups.x * params.prefilter_workgroup * PREFILTER_BYTES;
    uint at = (params.prefilter_first & ~(PREFILTER_BYTES - 1u))
        + (gl_WorkGroupID.x * params.prefilter_workgroup + local) * bytes;
    for (uint turn = 0u; turn < params.prefilter_turns && subgroupAny(at < prefilter_end()); turn += 4u) {
        uvec4 first = clamped_unit_at(at);
        uvec4 second = clamped_unit_at(at + PREFILTER_BYTES);
        uvec4 third = clamped_unit_at(at + 2u * PREFILTER_BYTES);
        uvec4 fourth = clamped_unit_at(at + 3u * PREFILTER_BYTES);
        uvec4 next = clamped_unit_at(at + bytes);
        places = 0u;
        take_words(next.x, next.y);
        uint high = take_unit(fourth);
        high = high << 16 | take_unit(third);
        uint low = take_unit(second);
        low = low << 16 | take_unit(first);
        queue_survivors(low, at, at + bytes / 2u - 1u, 0u);
        queue_survivors(high, at + bytes / 2u, at + bytes - 1u, 0u);
        at += 4u * turn_bytes;
    }
    look_up(0u, queued);
    flag_overflow();
}
