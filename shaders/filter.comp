#version 460
#extension GL_GOOGLE_include_directive : require

// Finds the grams that a match could contain.
//
// Reads the haystack, from params.filter_first up to params.filter_end, and the tables; writes candidate
// tails and counts them in Control. Grid: Control::filter_*, a workgroup for every FILTER_WORKGROUP *
// FILTER_BYTES * params.filter_turns bytes. Every byte's gram is tested against a bitmap in shared memory;
// survivors are queued there, and every FILTER_DRAIN turns the workgroup looks them up in the hash table,
// where each branch that has the gram gets a candidate. Branches that match at the start of the haystack
// only get theirs from the first invocation. Loops: the turns, with at most FILTER_BYTES
// survivors each; look-ups and candidates, which count down from FILTER_STEPS. CPU twin: src/twin/filter.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"
#include "candidates.glsl"

layout(constant_id = 2) const uint BITMAP_WORDS = 2048;

layout(local_size_x = FILTER_WORKGROUP) in;

shared uint bitmap[BITMAP_WORDS];
// Where they are.
shared uint survivors[FILTER_SURVIVORS];
shared uint survivor_count;

// Four bytes with ASCII letters in lower case.
uint lower_case(uint bytes) {
    uint low = bytes & 0x7F7F7F7Fu;
    // Bit 7 of each byte: at least 'A', more than 'Z'.
    uint upper = (low + 0x3F3F3F3Fu) & ~(low + 0x25252525u) & ~bytes & 0x80808080u;
    return bytes | upper >> 2;
}

// The word at `at`, a multiple of four. What lies past the end makes candidates too many, never too few: a
// gram that a match contains ends before it, or is taken with whatever follows.
uint word_at(uint at) {
    uint last = (params.haystack_len - 1u) & ~3u;
    return unit_at(min(at, last))[(min(at, last) >> 2) & 3u];
}

// The folded gram that begins at `at`.
uint gram_at(uint at) {
    uint shift = (at & 3u) * 8u;
    uint low = word_at(at & ~3u);
    uint gram = shift == 0u ? low : low >> shift | word_at((at & ~3u) + 4u) << (32u - shift);
    return lower_case(gram);
}

// Hands on the tails that the gram at `at` may belong to.
void look_up(uint at) {
    uint gram = gram_at(at);
    uint mask = (1u << tables.header.gram_table_log2) - 1u;
    uint slot = (gram * GRAM_HASH) >> (32u - tables.header.gram_table_log2);
    for (; steps_left != 0u; --steps_left) {
        uint entry = tables.header.gram_table + slot * 2u;
        uint list = tables.words[entry + 1u];
        if (list == 0u) {
            return;
        }
        if (tables.words[entry] == gram) {
            hand_on(list, at);
            return;
        }
        slot = (slot + 1u) & mask;
    }
}

void drain() {
    barrier();
    uint count = min(survivor_count, FILTER_SURVIVORS);
    for (uint i = gl_LocalInvocationID.x; i < count; i += FILTER_WORKGROUP) {
        look_up(survivors[i]);
    }
    barrier();
    if (gl_LocalInvocationID.x == 0u) {
        survivor_count = 0u;
    }
    barrier();
}

void main() {
    uint local = gl_LocalInvocationID.x;
    for (uint word = local; word < BITMAP_WORDS; word += FILTER_WORKGROUP) {
        bitmap[word] = tables.words[tables.header.bitmap + word];
    }
    if (local == 0u) {
        survivor_count = 0u;
    }
    barrier();
    if (gl_GlobalInvocationID.x == 0u && params.first_start == 0u && params.filter_first == 0u) {
        hand_on(tables.header.anchored, 0u);
    }
    uint word_shift = 32u - tables.header.bitmap_log2;
    uint last_unit = (params.haystack_len - 1u) & ~(FILTER_BYTES - 1u);
    uint base = (params.filter_first & ~(FILTER_BYTES - 1u))
        + gl_WorkGroupID.x * (FILTER_WORKGROUP * FILTER_BYTES * params.filter_turns);
    for (uint turn = 0u; turn < params.filter_turns; ++turn) {
        uint at = base + (turn * FILTER_WORKGROUP + local) * FILTER_BYTES;
        if (at < params.filter_end) {
            uvec4 unit = unit_at(at);
            uint next = unit_at(min(at + FILTER_BYTES, last_unit)).x;
            uint words[5] = uint[](lower_case(unit.x), lower_case(unit.y), lower_case(unit.z),
                                   lower_case(unit.w), lower_case(next));
            uint found = 0u;
            for (uint i = 0u; i < FILTER_BYTES; ++i) {
                uint gram = words[i >> 2];
                if ((i & 3u) != 0u) {
                    gram = gram >> ((i & 3u) * 8u) | words[(i >> 2) + 1u] << (32u - (i & 3u) * 8u);
                }
                uint hash = gram * GRAM_HASH;
                uint word = bitmap[hash >> word_shift];
                uint hit = word >> ((hash >> GRAM_FIRST_BIT) & 31u) & word >> ((hash >> GRAM_SECOND_BIT) & 31u);
                found |= (hit & 1u) << i;
            }
            found = inside(found, at);
            while (found != 0u) {
                uint i = uint(findLSB(found));
                found &= found - 1u;
                uint slot = atomicAdd(survivor_count, 1u);
                if (slot < FILTER_SURVIVORS) {
                    survivors[slot] = at + i;
                } else {
                    look_up(at + i);
                }
            }
        }
        if (turn % FILTER_DRAIN == FILTER_DRAIN - 1u || turn + 1u == params.filter_turns) {
            drain();
        }
    }
    own_up();
}
