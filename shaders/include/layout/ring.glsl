// The ring of slots that many small haystacks, its items, are packed by.
//
//   ring buffer: | Tally * MOST_TENANTS | Slot * slots of all tenants |
//   haystack:    | item | ITEM_GAP or more | item | ... |, each at a multiple of ITEM_ALIGNMENT

// Slot::state. A ring begins with empty slots. The host publishes a slot; a workgroup claims it before its item is looked at, or finds it at fault;
// and once the item's matches are known it is done. A slot whose epoch is not that of the dispatch is stale.
const uint SLOT_EMPTY = 0u;
const uint SLOT_PUBLISHED = 1u;
const uint SLOT_CLAIMED = 2u;
const uint SLOT_DONE = 3u;
const uint SLOT_FAULTED = 4u;

// A slot of the ring: an item, packed into the haystack from `begin` up to, and without, `end`. Items ascend, with a
// byte at least between two of them.
struct Slot {
    uint state;
    uint epoch;
    uint tenant;
    uint begin;
    uint end;
};

// Bytes behind an item at least, and the multiple that items begin at.
const uint ITEM_GAP = 1u;
const uint ITEM_ALIGNMENT = 4u;

// Counters of a tenant's items, which only grow and which the host may read at any time: items whose matches are known,
// their bytes, hits, and slots that were at fault.
const uint TALLY_ITEMS = 0u;
const uint TALLY_BYTES = 1u;
const uint TALLY_HITS = 2u;
const uint TALLY_FAULTS = 3u;
const uint TALLY_COUNTERS = 4u;

// The lower and the higher words of these.
struct Tally {
    uint low[TALLY_COUNTERS];
    uint high[TALLY_COUNTERS];
};
const uint MOST_TENANTS = 64u;
