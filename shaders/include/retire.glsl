// Retires the slots of packed items once all that is known of their matches has been found.
//
// Reads the tables' head, Control and the hit counter; reads and writes the ring's slots and the tenant's tally; writes what has
// become of each slot into memory that the host reads, behind the matches. A run that found nothing out, or that starts
// were left out of, retires none. CPU twin: src/twin/retire.rs.

// By an invocation for each slot.
void retire(uint index) {
    bool is_known = is_over(tables.header) && run_retry_reasons() == 0u && hits.count <= params.hit_capacity;
    if (!is_known || params.end_start != params.haystack_len) {
        return;
    }
    bool is_done = false;
    uint bytes = 0u;
    if (index < params.slot_count) {
        uint place = slot_place(index);
        Slot slot = ring.slots[place];
        bool is_own = is_claimed(slot);
        if (is_own && slot.state == SLOT_CLAIMED) {
            ring.slots[place].state = SLOT_DONE;
            is_done = true;
            bytes = slot.end - slot.begin;
        }
        write_word(params.hit_capacity * 3u + index, is_own ? SLOT_DONE : SLOT_FAULTED);
    }
    uint items = subgroupAdd(is_done ? 1u : 0u);
    bytes = subgroupAdd(bytes);
    if (subgroupElect()) {
        tally(TALLY_ITEMS, items);
        tally(TALLY_BYTES, bytes);
    }
}
