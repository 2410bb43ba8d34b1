#version 460
#extension GL_GOOGLE_include_directive : require

// Finds the class windows that a match of a rule without grams could contain.
//
// Reads the haystack, from params.prefilter_first up to params.prefilter_end, and the tables; writes candidate
// suffixes and counts them in Control. Grid: that of gram_prefilter, divided alike (for passes that a run does not begin
// with, Control::class_prefilter_*). The classes of every eight bytes in a row make an index, which is tested against a
// bitmap in shared memory. Loops: the bitmap and the classes by invocations; the turns, with at most PREFILTER_BYTES class
// windows each; and candidates, which count down from PREFILTER_STEPS. CPU twin: src/twin/class_prefilter.rs.

#define HAYSTACK_UNIT uvec4
#define HAYSTACK_UNIT_LOG2 4
#include "bindings.glsl"
#include "candidates.glsl"

layout(local_size_x = 256, local_size_x_id = SPEC_PREFILTER_WORKGROUP) in;

shared uint bitmap[CLASS_WINDOW_WORDS];
shared uint byte_classes[256];

void main() {
    uint local = gl_LocalInvocationID.x;
    for (uint word = local; word < CLASS_WINDOW_WORDS; word += params.prefilter_workgroup) {
        bitmap[word] = tables.words[tables.header.class_windows + word];
    }
    for (uint byte = local; byte < 256u; byte += params.prefilter_workgroup) {
        byte_classes[byte] = class_of(tables.header.byte_classes, byte);
    }
    barrier();
    uint last_unit = (params.haystack_len - 1u) & ~(PREFILTER_BYTES - 1u);
    uint turn_bytes = gl_NumWorkGroups.x * params.prefilter_workgroup * PREFILTER_BYTES;
    uint base = (params.prefilter_first & ~(PREFILTER_BYTES - 1u))
        + (gl_WorkGroupID.x * params.prefilter_workgroup + local) * PREFILTER_BYTES;
    for (uint turn = 0u; turn < params.prefilter_turns; ++turn) {
        uint at = base + turn * turn_bytes;
        if (at >= params.prefilter_end) {
            break;
        }
        uvec4 unit = unit_at(at);
        uvec4 next = unit_at(min(at + PREFILTER_BYTES, last_unit));
        uint words[6] = uint[](unit.x, unit.y, unit.z, unit.w, next.x, next.y);
        uint index = 0u;
        uint found = 0u;
        for (uint i = 0u; i < PREFILTER_BYTES + CLASS_WINDOW_BYTES - 1u; ++i) {
            uint byte_class = byte_classes[(words[i >> 2] >> ((i & 3u) * 8u)) & 0xFFu];
            index = (index << CLASS_WINDOW_CLASS_BITS | byte_class) & 0xFFFFu;
            if (i >= CLASS_WINDOW_BYTES - 1u) {
                found |= ((bitmap[index >> 5] >> (index & 31u)) & 1u) << (i - (CLASS_WINDOW_BYTES - 1u));
            }
        }
        while (found != 0u) {
            uint i = uint(findLSB(found));
            found &= found - 1u;
            if (!is_inside(at + i)) {
                continue;
            }
            uint class_window = 0u;
            for (uint k = i; k < i + CLASS_WINDOW_BYTES; ++k) {
                class_window = class_window << CLASS_WINDOW_CLASS_BITS | byte_classes[(words[k >> 2] >> ((k & 3u) * 8u)) & 0xFFu];
            }
            push_candidates(tables.words[tables.header.class_window_lists + class_window], at + i);
        }
    }
    flag_overflow();
}
