// The queue of places that survive a prefilter's test at every byte, so that a subgroup's invocations look up as many at once
// as they are.

// Where survivors are, a part for each subgroup. Whatever lies behind as many as there are invocations is free while survivors
// are looked up.
shared uint survivors[2u * PREFILTER_LANES];

// Where this subgroup's part begins, and how many are in it.
uint own_queue;
uint queued = 0u;
// Invocations of this subgroup, and this one's place among them.
uint lanes;
uint lane;

// What the kernel does: where the survivor of the highest of these bits is, of 32 tests that begin at `at`; and what becomes
// of `count` survivors from `first` on, one for each invocation.
uint survivor_at(uint tests, uint at, uint turn_bytes);
void look_up(uint first, uint count);

// The unit that the byte at `at` is in, or the last one. What lies past the end makes candidates too many, never too few: what
// a match contains ends before it, or is taken with whatever follows.
uvec4 clamped_unit_at(uint at) {
    return unit_at(min(at, last_unit(PREFILTER_BYTES)));
}

// The eight bytes that begin at `at`, of which only so many are wanted.
uvec2 bytes_at(uint at, uint wanted) {
    uvec4 unit = clamped_unit_at(at);
    uint place = at & (PREFILTER_BYTES - 1u);
    uvec2 next = uvec2(0u);
    if (place + wanted > PREFILTER_BYTES) {
        next = clamped_unit_at(at + PREFILTER_BYTES).xy;
    }
    uvec4 words = place < 8u ? unit : uvec4(unit.zw, next);
    uvec3 from = (place & 4u) == 0u ? words.xyz : words.yzw;
    uint shift = (place & 3u) * 8u;
    return shift == 0u ? from.xy : from.xy >> shift | from.yz << (32u - shift);
}

void enter_subgroup() {
    uvec4 all = subgroupBallot(true);
    lanes = subgroupBallotBitCount(all);
    lane = subgroupBallotExclusiveBitCount(all);
    own_queue = 2u * gl_SubgroupID * (PREFILTER_LANES / gl_NumSubgroups);
}

// The tests of those survivors that are inside.
uint inside(uint tests, uint at, uint turn_bytes) {
    uint kept = 0u;
    while (tests != 0u) {
        uint test = 1u << findMSB(tests);
        tests &= ~test;
        kept |= is_inside(survivor_at(test, at, turn_bytes)) ? test : 0u;
    }
    return kept;
}

// Queues the survivors of 32 tests, which lie between `at` and `last`, one of each invocation at a time. Looks up as many as
// there are invocations whenever there are.
void queue_survivors(uint tests, uint at, uint last, uint turn_bytes) {
    if (!subgroupAny(tests != 0u)) {
        return;
    }
    if (!is_inside(at) || !is_inside(last)) {
        tests = inside(tests, at, turn_bytes);
    }
    while (subgroupAny(tests != 0u)) {
        uvec4 ballot = subgroupBallot(tests != 0u);
        if (tests != 0u) {
            survivors[own_queue + queued + subgroupBallotExclusiveBitCount(ballot)] = survivor_at(tests, at, turn_bytes);
            tests &= ~(1u << findMSB(tests));
        }
        queued += subgroupBallotBitCount(ballot);
        if (queued >= lanes) {
            queued -= lanes;
            look_up(queued, lanes);
        }
    }
}
