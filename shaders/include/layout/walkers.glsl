// What walks leave behind when they stop, and what stages leave for each other.
//
//   candidates: | Candidate * candidate_capacity: splits, and suffixes | Candidate * start_capacity: rules, and starts |
//   queue:      | Task * queue_capacity |, a ring by queue_head and queue_tail
//   summaries:  | ChunkSummary * chunks of the haystack | for each summary that there is room for

// StartWalker::mode.
const uint START_FIRSTS = 0u;
const uint START_PAIRS = 1u;
const uint START_WALKING = 2u;
const uint START_ESCAPED = 4u;
const uint START_DONE = 8u;
const uint START_CANDIDATES = 16u;
// A walk has waited for a summary; then it goes on as best it can.
const uint START_WAITED = 32u;
const uint START_LISTED = 64u;
// A walk that has left its rule's DFA is on that of RuleRecord::relaxed, from its start on.
const uint START_RELAXED = 128u;

// An invocation of `verify_dfa`: where it stopped.
struct StartWalker {
    uint generation;
    // The list that `entry` runs through (START_FIRSTS, START_PAIRS, START_LISTED or START_CANDIDATES), and flags.
    uint mode;
    uint start;
    // Word offsets in the tables: the next entry of the list, and the list's end. For START_CANDIDATES the next
    // candidate start's index, for START_LISTED the next rule's.
    uint entry;
    uint entry_end;
    uint row;
    uint at;
    // End of the preferred match so far, `start` if there is none.
    uint last;
    // Once the walk has left its rule's DFA: all that ends before is known.
    uint from;
};

// A suffix that may match: a split, and the suffix's start. Or, behind all suffixes, a start that may match: a
// rule, and the start.
struct Candidate {
    uint of;
    uint at;
};

// What a walk does in a chunk, which lies in the haystack as a whole, and in those that it is composed with.
struct ChunkSummary {
    // The row that it begins in and, above CHUNK_ROW_BITS, the one that the last of them ends in.
    uint rows;
    // The first chunk behind them.
    uint stop;
    // End of their last match; 0 if there is none.
    uint last;
};

// A walk for the NFA: matches that end before `from` are out already.
struct Task {
    uint rule;
    uint start;
    uint from;
};

const uint NFA_IDLE = 0u;
const uint NFA_WALKING = 1u;
const uint NFA_CLEARING = 2u;
// On sets of positions, without an order of preference.
const uint NFA_GLUSHKOV = 3u;
// Backwards, on live sets: shaders/include/live_sets.glsl.
const uint NFA_BACKWARDS = 4u;

// NfaWalker::block: no block's sets are there, or not those at borders either.
const uint BLOCK_NONE = 0xFFFFFFFFu;
const uint BLOCK_NO_BORDERS = 0xFFFFFFFEu;
// Bytes of a block, as a power of two, at least and at most.
const uint LEAST_BLOCK_LOG2 = 4u;
const uint MOST_BLOCK_LOG2 = 15u;
// Steps that a search is charged by.
const uint SPENT_STEPS = 64u;

// A stamp is an epoch, and below it so many bits for the invocation that put it there: the first one has the
// highest, NFA_MOST_LANES less one. Epochs go on from one walk of a walker to the next, and stamps are cleared when
// they get to the limit, so that none comes twice.
const uint NFA_LANE_BITS = 7u;
const uint NFA_MOST_LANES = 1u << NFA_LANE_BITS;
const uint NFA_EPOCH_LIMIT = 1u << 25;
// Most nodes of a rule whose lists and stamps are kept in shared memory, and most edges if these are, too: what
// the least that a device may have, 16 KiB, has room for.
const uint NFA_SMALL_NODES = 768u;
const uint NFA_SMALL_EDGES = 1024u;

// A workgroup of `verify_nfa`: where it stopped. Its scratch holds, one after the other, a stamp for each node of a large
// rule, two thread lists, and a stack of edge ranges. What walks keep in shared memory is in the place of the lists
// from one round to the next: lists and stamps of a small rule; or, of a Glushkov automaton, the set of positions that have read the
// byte before.
struct NfaWalker {
    uint generation;
    uint mode;
    uint rule;
    uint start;
    uint from;
    uint last;
    // The position whose closure is being computed.
    uint at;
    // Which list holds the threads that read the byte before `at`: 0 or 1.
    uint side;
    uint cur_len;
    // Threads of it whose edges have been looked at, or are being.
    uint batch;
    uint next_len;
    uint stack_len;
    // Edges to look at next, and what waits for them: in a batch where is_flat is 1, else in the pass's edges.
    uint edge;
    uint edge_end;
    uint is_flat;
    uint flat_edge;
    uint flat_end;
    // A node whose stamp has this is in the closure already.
    uint epoch;
    // 1 once a hit that ends at `at` is out. For a Glushkov automaton, once a match was met which may not have pruned all that it
    // should: the position from which on the walk is done again in order. Of a search, 1 once it has taken up the start at `at`.
    uint emitted;
    // 1 of a search, for matches that start at `start` or later: `start` and `last` tell the match found, once they differ, and
    // `from` the start of the thread whose edges are looked at.
    uint is_search;
    // Of a search, how many SPENT_STEPS it has taken so far.
    uint spent;
    // Of a search with live sets: bytes of a block, as a power of two, or 0 if it has none; the block whose sets are there, or that is
    // walked over, or BLOCK_*; and how far that walk has come.
    uint block_log2;
    uint block;
    uint back_at;
};
