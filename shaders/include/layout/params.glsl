// What a dispatch is told: bindings, specialisation constants and push constants.
//
// Push constants have 128 bytes, the least that maxPushConstantsSize may be, and ScanParams takes all of them.

// Storage buffers of descriptor set 0.
const uint BINDING_TABLES = 0u;
const uint BINDING_HITS = 1u;
const uint BINDING_CONTROL = 2u;
const uint BINDING_START_WALKERS = 3u;
const uint BINDING_QUEUE = 4u;
const uint BINDING_NFA_WALKERS = 5u;
const uint BINDING_SCRATCH = 6u;
const uint BINDING_READBACK = 7u;
const uint BINDING_CANDIDATES = 8u;
const uint BINDING_SUMMARIES = 9u;
const uint BINDING_RING = 10u;
const uint BINDING_SELECTION = 11u;
const uint BINDING_HAYSTACK = 12u;

// Specialisation constants, by id.
const uint SPEC_SEGMENTS = 0u;
const uint SPEC_MATCH_ALL = 1u;
const uint SPEC_BITMAP_WORDS = 2u;
const uint SPEC_PREFILTER_WORKGROUP = 3u;
const uint SPEC_GRAM_STRIDE = 4u;
const uint SPEC_NFA_LANES = 5u;
const uint SPEC_PACKED = 6u;
const uint SPEC_SLOT_WORKGROUP = 7u;
const uint SPEC_SELECT_LANES = 8u;
const uint SPEC_SELECT_TILE = 9u;
const uint SPEC_RECORDED = 10u;
const uint SPEC_LOCKSTEP = 11u;
const uint SPEC_SEARCH_AFTER = 12u;

// ScanParams::use_prefilter. Where the haystack goes on elsewhere, or the prefixes of too many rules turn out long, all
// rules with unbounded prefixes are verified from every start.
const uint PREFILTER_NONE = 0u;
const uint PREFILTER_BOUNDED = 1u;
const uint PREFILTER_ALL = 2u;

// Push constants of every kernel.
struct ScanParams {
    // Bytes; of a recording, at most: Control::haystack_len.
    uint haystack_len;
    // Starts from first_start up to, and without, end_start are verified.
    uint first_start;
    uint end_start;
    // 1 if the haystack ends at haystack_len; 0 if it goes on elsewhere.
    uint is_final;
    // Longest match, in bytes.
    uint max_scan;
    // Hits that the hit buffer holds.
    uint hit_capacity;
    // The scan is given up once there are more hits than this.
    uint hit_stop;
    // Tasks that the queue holds; a power of two.
    uint queue_capacity;
    uint start_walkers;
    uint nfa_walkers;
    // The pass that the dispatch (for `schedule`, the one after it) belongs to.
    uint pass;
    uint pass_count;
    // Loop iterations that an invocation may take before it stops until the next round; and one of `verify_nfa`.
    uint step_budget;
    uint nfa_step_budget;
    // What a `schedule` comes after: SCHEDULE_*. Of a kernel that sorts hits, the digit.
    uint stage;
    // Bytes of a chunk, as a power of two; 0 if long walks share nothing.
    uint chunk_log2;
    // 1 to verify the rules that have been listed from every start.
    uint has_listed;
    // Which rules to look for by their grams: PREFILTER_*. The others are verified from every start.
    uint use_prefilter;
    // Grams are looked for that begin from prefilter_first up to, and without, prefilter_end, by workgroups of so
    // many invocations that take so many turns each.
    uint prefilter_first;
    uint prefilter_end;
    uint prefilter_workgroup;
    uint prefilter_turns;
    // Candidate suffixes, and candidate starts, that there is room for.
    uint candidate_capacity;
    uint start_capacity;
    // 1 to report right away what the suffixes tell exactly. Where prefix and suffix are exact that is the least
    // start of a suffix. Two suffixes may then tell different ends of one start, and starts other than the least are
    // left out: where the prefix is a run the suffixes tell which count, and else these are verified.
    uint is_direct;
    // Pieces that an invocation of `confirm` may walk on over.
    uint most_pieces;
    // Where items are packed: the tenant's part of the ring, and how many slots that has; where in it the first of the
    // items' slots is, and how many there are; and the epoch and the tenant that they have to be of. Of a recording the
    // epoch is Control::recording, and the slots are matches that there is room for.
    uint ring_first;
    uint ring_slots;
    uint first_slot;
    uint slot_count;
    uint epoch;
    uint tenant;
};

// ScanParams::stage.
const uint SCHEDULE_ROUND = 0u;
const uint SCHEDULE_BEGIN = 1u;
const uint SCHEDULE_CONFIRMED = 2u;
const uint SCHEDULE_SELECTED = 3u;
const uint SCHEDULE_RESTART = 4u;
// A round of what has been begun anew.
const uint SCHEDULE_ANEW = 5u;
