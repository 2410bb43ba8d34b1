// Sums and maxima over the invocations of a workgroup that selects, in the order of their subgroups.

// What each subgroup adds.
shared uvec2 sums[SELECT_SUBGROUPS];

// Invocations of each subgroup: there may be fewer than gl_SubgroupSize says.
uint lanes() {
    return SELECT_LANES / gl_NumSubgroups;
}

uint lane() {
    return gl_SubgroupID * lanes() + gl_SubgroupInvocationID;
}

// What the invocations before add up to.
uint sum_before(uint value) {
    uint before = subgroupExclusiveAdd(value);
    barrier();
    if (gl_SubgroupInvocationID == lanes() - 1u) {
        sums[gl_SubgroupID] = uvec2(before + value, 0u);
    }
    barrier();
    for (uint other = 0u; other < gl_SubgroupID; ++other) {
        before += sums[other].x;
    }
    return before;
}

uvec2 greater(uvec2 one, uvec2 other) {
    return one.x > other.x || (one.x == other.x && one.y > other.y) ? one : other;
}

// The greatest of the invocations before: by the first word and then the second; 0 if there are none.
uvec2 greatest_before(uvec2 value) {
    for (uint step = 1u; step < lanes(); step *= 2u) {
        uint id = gl_SubgroupInvocationID;
        uvec2 other = subgroupShuffle(value, id >= step ? id - step : id);
        value = greater(value, other);
    }
    barrier();
    if (gl_SubgroupInvocationID == lanes() - 1u) {
        sums[gl_SubgroupID] = value;
    }
    barrier();
    uvec2 before = subgroupShuffle(value, max(gl_SubgroupInvocationID, 1u) - 1u);
    before = gl_SubgroupInvocationID == 0u ? uvec2(0u) : before;
    for (uint other = 0u; other < gl_SubgroupID; ++other) {
        before = greater(before, sums[other]);
    }
    return before;
}
