#version 460
#extension GL_GOOGLE_include_directive : require

// Begins a scan, and after every round decides what comes next.
//
// One invocation. Reads and writes Control: judges the round that ran, if one did, by putting the queue's
// counters right and going on to the next pass once no walker and no queue item is left; then sets the
// grids of the round that follows, which are empty if that round belongs to a pass that is over or not yet
// begun. CPU twin: src/twin/advance.rs.

#include "bindings.glsl"

layout(local_size_x = 1) in;

uint groups(uint walkers) {
    return (walkers + WORKGROUP - 1u) / WORKGROUP;
}

void main() {
    Control next = control;
    if (params.begin != 0u) {
        next.pass = 0u;
        next.generation += 1u;
        next.rounds = 0u;
        next.queue_tail = 0u;
        next.queue_head = 0u;
    } else if (next.starts_x != 0u) {
        next.rounds += 1u;
        next.queue_tail = next.queue_base + min(next.queue_tail - next.queue_base, params.queue_capacity);
        next.queue_head =
            next.queue_base + min(next.queue_head - next.queue_base, next.queue_tail - next.queue_base);
        bool given_up = hits.count > params.hit_stop;
        if (given_up || (next.unfinished == 0u && next.queue_head == next.queue_tail)) {
            next.pass = given_up ? params.pass_count : next.pass + 1u;
            next.generation += 1u;
            next.queue_tail = 0u;
            next.queue_head = 0u;
        }
    }
    next.queue_base = next.queue_head;
    next.unfinished = 0u;
    // Never 0 in a round that runs: that is how the next `advance` knows.
    bool runs = next.pass == params.pass;
    next.starts_x = runs ? groups(params.start_walkers) : 0u;
    next.starts_y = 1u;
    next.starts_z = 1u;
    next.nfa_x = runs ? groups(params.nfa_walkers) : 0u;
    next.nfa_y = 1u;
    next.nfa_z = 1u;
    control = next;
}
