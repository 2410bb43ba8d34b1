// How a subgroup's invocations wait for each other.

// 1 if the device runs them in lockstep, and must not be asked for more: `runs_in_lockstep` in src/scan/frame/pipelines.rs.
layout(constant_id = SPEC_LOCKSTEP) const uint LOCKSTEP = 0;

// A subgroup's invocations wait for each other, and see what each has written.
void sync_subgroup() {
    if (LOCKSTEP == 1u) {
        subgroupMemoryBarrier();
    } else {
        subgroupBarrier();
    }
}
