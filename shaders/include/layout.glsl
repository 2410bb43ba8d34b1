// Every layout that host and kernels share. The build script generates the host's twin from this file,
// so it keeps to structs of uint, constants and line comments.

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
const uint BINDING_HAYSTACK = 11u;

// Invocations in a workgroup of every kernel but `schedule`, which is a single invocation.
const uint WORKGROUP = 64u;

// The haystack is bound in segments of 128 MiB, the least that maxStorageBufferRange may be.
const uint SEGMENT_SHIFT = 27u;
const uint MAX_SEGMENTS = 8u;

// The end of a hit whose walk met the end of a haystack that goes on elsewhere (ScanParams::is_final
// is 0): with more bytes the start may match or not.
const uint UNDECIDED = 0xFFFFFFFFu;

// A DFA entry is a row's number, shifted left by one, and this flag: the rule matches up to, and without,
// the byte that was just read.
const uint ENTRY_MATCH = 1u;
// Row 0 is the row of initial states, which nothing leads back to: as a target it means that
// no match can follow.
const uint ROW_DEAD = 0u;
// The NFA takes over: the target was not built, or a look-around needs more than the DFA sees. Whether
// the rule matches before the byte that was read is left to the NFA too.
const uint ROW_ESCAPE = 0x7FFFu;

// Most words of a set of positions.
const uint GLUSHKOV_MOST_WORDS = 256u;
// Words of a GlushkovWord, and of what a position, or several, lead to.
const uint GLUSHKOV_WORD_WORDS = 8u;
const uint GLUSHKOV_TARGET_WORDS = 3u;
const uint GLUSHKOV_SHARED_WORDS = 4u;
// Bytes that a walk on Glushkov sets goes on for after a match that may not have pruned all that it should, or as many
// as before it, if these are more.
const uint GLUSHKOV_DOUBTED = 64u;

// Bytes between two counter steps, a power of two.
const uint COUNTER_STEP_BYTES = 128u;

// An NFA edge that leads to acceptance instead of to a node.
const uint EDGE_MATCH = 0xFFFFFFFFu;
// An edge in the tables that leads to a node which reads no byte has this flag; acceptance has it too.
const uint EDGE_OTHER = 0x80000000u;

// NfaNode::kind. The operand of a byte node is the word offset of its 256-bit set in the tables; that
// of a look-around node is the line terminator.
const uint NODE_BYTE = 0u;
const uint NODE_JUMP = 1u;
const uint NODE_START = 2u;
const uint NODE_END = 3u;
const uint NODE_START_LF = 4u;
const uint NODE_END_LF = 5u;
const uint NODE_START_CRLF = 6u;
const uint NODE_END_CRLF = 7u;
const uint NODE_WORD_ASCII = 8u;
const uint NODE_WORD_ASCII_NEGATE = 9u;
const uint NODE_WORD_START_ASCII = 10u;
const uint NODE_WORD_END_ASCII = 11u;
const uint NODE_WORD_START_HALF_ASCII = 12u;
const uint NODE_WORD_END_HALF_ASCII = 13u;
const uint NODE_WORD_UNICODE = 14u;
const uint NODE_WORD_UNICODE_NEGATE = 15u;
const uint NODE_WORD_START_UNICODE = 16u;
const uint NODE_WORD_END_UNICODE = 17u;
const uint NODE_WORD_START_HALF_UNICODE = 18u;
const uint NODE_WORD_END_HALF_UNICODE = 19u;

// Longest encoding of a code point in UTF-8, in bytes: how far a Unicode look-around sees.
const uint UTF8_MAX = 4u;

// Most loop turns over bytes that such a look-around takes.
const uint UNICODE_LOOK_STEPS = 15u;

// Words of a RuleRecord, a SplitRecord and an NfaNode, which kernels read word by word.
const uint RULE_WORDS = 13u;
const uint SPLIT_WORDS = 10u;
const uint NODE_WORDS = 4u;

// Words of a slot of the hash table of grams.
const uint GRAM_SLOT_WORDS = 3u;

// A gram is four bytes as a little-endian word, with ASCII letters in lower case. Its product with this,
// which is Knuth's multiplicative hashing (The Art of Computer Programming, volume 3, section 6.4), has high
// bits that choose a slot of the hash table.
const uint GRAM_HASH = 0x9E3779B1u;
// A pass's bitmap is a blocked Bloom prefilter (F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and
// Space-Efficient Bloom Filters", 2007). It folds grams more coarsely, in two operations: bytes whose bit 6
// is set get bit 5. The product of such a word with GRAM_HASH, plus a salt, chooses a word of the bitmap by its
// highest bits. Its products with these two choose two bits there by their bits from GRAM_BIT on, counted from the
// highest. A gram sets both. Only the highest bits of a product depend on all of its factor's: with lower
// ones, a few words had most of the grams.
const uint GRAM_FOLD = 0x20202020u;
const uint GRAM_FIRST_REHASH = 0x85EBCA6Bu;
const uint GRAM_SECOND_REHASH = 0xC2B2AE35u;
const uint GRAM_BIT = 27u;
// Where a rule has no rare grams, eight bytes in a row are looked for, of which a pass tells apart but four
// byte classes: that makes an index of 16 bits.
const uint CLASS_WINDOW_BYTES = 8u;
const uint CLASS_WINDOW_CLASS_BITS = 2u;
const uint CLASS_WINDOW_WORDS = 2048u;

// A posting of a gram's or a class window's list is a split, and above it how far the gram lies from the byte
// before the suffix's start, at most this. In the place of a gram's list that has but one posting there is that
// posting, with this flag.
const uint GRAM_OFFSET_SHIFT = 24u;
const uint GRAM_MOST_OFFSET = 127u;
const uint GRAM_ONLY_POSTING = 0x80000000u;

// Beside each of a gram's postings is its confirm mask: four bytes, so far away, of whose product with GRAM_HASH the
// bits from GRAM_BIT on choose a bit here that has to be set; beyond CONFIRM_BITS any will do. Above
// those bits is the distance, plus CONFIRM_ZERO.
const uint CONFIRM_BITS = 27u;
const uint CONFIRM_ZERO = 16u;
// Any bytes will do, anywhere.
const uint CONFIRM_ANY = 0xFFFFFFFFu;

// Bytes that an invocation of `gram_prefilter` looks at in a turn, invocations that a workgroup has at most, and words
// of shared memory that each of them has beside the bitmap.
const uint PREFILTER_BYTES = 16u;
const uint PREFILTER_LANES = 512u;
const uint PREFILTER_LANE_WORDS = 6u;
// Turns are taken four at a time.
const uint PREFILTER_TURNS = 4u;
// Candidates and look-ups of an invocation of `gram_prefilter`; one that has more says that they do not fit.
const uint PREFILTER_STEPS = 0x1000u;

// ScanParams::use_prefilter. Where the haystack goes on elsewhere, or the prefixes of too many rules turn out long, all
// rules with unbounded prefixes are verified from every start.
const uint PREFILTER_NONE = 0u;
const uint PREFILTER_BOUNDED = 1u;
const uint PREFILTER_ALL = 2u;

// Control::retry_reasons, a bit each: more candidates than there is room for; rules that have been listed, because a
// prefix of theirs is too long to be walked over; more of these than there is room for.
const uint RETRY_CANDIDATES = 1u;
const uint RETRY_LISTED = 2u;
const uint RETRY_PREFIXES = 4u;
const uint MOST_LISTED = 32u;

// Bytes of a suffix that are walked before it passes unchecked, and of a prefix before it counts as long.
const uint SUFFIX_STEPS = 256u;
const uint PREFIX_STEPS = 1024u;
// Long prefixes are walked on over, up to so many bytes, before which a suffix that may match is walked on over for up to so
// many: by pieces of so many bytes, of which an invocation has params.most_pieces, and all of them together no more than
// one has, or the haystack. A prefix that tells starts to be verified, instead of a match, may have so many of them, and is
// walked over by single bytes, not words, so that its pieces count four times.
const uint PIECE_STEPS = 1024u;
const uint LONG_PREFIX_STEPS = 16u * PIECE_STEPS;
const uint LONG_SUFFIX_STEPS = 24u * PIECE_STEPS;
const uint LONG_PREFIX_STARTS = 64u;

// Invocations that there are for each of few things to do, of which one works, at most: a power of two.
const uint MOST_SPREAD_LOG2 = 5u;

// A walk on the DFA of a rule whose matches may have any length is long after so many bytes. What loops
// forgets where it began, so long walks share what is behind them: the haystack is divided into chunks, and
// a summary says for each of them what a walk that comes to it in a certain row does there.
const uint LONG_STEPS = 256u;
// In a run's first round, walks wait for a summary once they have gone so far, or sooner where all candidate starts
// together would take more steps than this.
const uint PATIENT_STEPS = 0x2000u;
const uint PATIENT_SUM = 0x8000000u;
// Most walks are over after fewer bytes than this. Those that are not go on by words, up to the next multiple of
// WALK_BYTES, which divides COUNTER_STEP_BYTES and the chunks of summaries.
const uint SHORT_STEPS = 16u;
const uint WALK_BYTES = 64u;
// Words of a bit for each summary.
const uint SUMMARY_WORDS = 4u;
const uint MOST_SUMMARIES = 32u * SUMMARY_WORDS;
// Lists of summaries, by their rules' numbers.
const uint SUMMARY_LISTS = 64u;
// Places that are looked at for a name.
const uint NAME_PROBES = 16u;
// Summaries are made so often, and then once more whenever the rounds have doubled: so that they take a bounded part of a
// scan's time, however little use they are.
const uint FREE_MAKES = 8u;
// A summary is named by a rule and a row, which is below ROW_ESCAPE: the row in its lowest bits, the rule above
// these, and 1 added, for 0 is none.
const uint SUMMARY_ROW_BITS = 15u;
const uint SUMMARY_MOST_RULES = 0x1FFFFu;
// A chunk is begun in the row that the summary's leads to within so many bytes before; of quads, as chunks and these steps are.
const uint SUMMARY_WARM_UP = 64u;
// A chunk is composed with the next one of any summary of the rule that begins as it ends. Compositions end where parts of the
// haystack do: there are so many parts, or more, so that none has more chunks than this.
const uint COMPOSE_PARTS = 64u;
const uint COMPOSE_CHUNKS = 128u;
// ChunkSummary::rows: the bits of the row that it begins in, and in the place of that row what no walk is in.
const uint CHUNK_ROW_BITS = 16u;
const uint CHUNK_BEGIN_ROW = 0xFFFFu;
const uint CHUNK_NO_ROW = CHUNK_BEGIN_ROW;

// SplitRecord::prefix_max of a prefix, and RuleRecord::longest of a rule, whose length has no bound.
const uint UNBOUNDED = 0xFFFFFFFFu;

// Second bytes of a candidate, and the end of the haystack.
const uint PAIR_COLUMNS = 257u;

// The head of a pass's tables. Offsets count words from the end of this head.
struct PassHeader {
    // RuleRecord array, those that `relaxed` names behind all others.
    uint rules;
    // 256 words, one for each first byte of a candidate: the offset of its list, which is a length and
    // then as many rule indices.
    uint firsts;
    // PAIR_COLUMNS words for each first byte, one for each second byte and one for the end of the haystack.
    uint pairs;
    // NfaNode array.
    uint nodes;
    // Edges of the nodes: node indices within the rule, with EDGE_OTHER where that is so, or EDGE_MATCH.
    uint edges;
    // Code point ranges of `\w`, two words each (first, last), sorted.
    uint word_ranges;
    uint word_range_count;
    // What a walker's scratch holds, one after the other: words for the stamps of a large rule's nodes, words for its
    // lists, and two words for each of a stack's ranges. As many as any rule of any pass needs, for they share it.
    uint nfa_stamps;
    uint nfa_lists;
    uint nfa_stack;
    // Bitmap of gram hashes, of 2^bitmap_log2 words.
    uint bitmap;
    uint bitmap_log2;
    uint gram_salt;
    // Hash table of grams, of 2^gram_table_log2 slots of GRAM_SLOT_WORDS words: the gram; the offset of its
    // list (its length, and then pairs of a posting and its confirm mask), its only posting, or 0; and the confirm mask of
    // the only posting.
    uint gram_table;
    uint gram_table_log2;
    // 1, or 2 if each rule has a gram among every two bytes in a row, so that every other byte will do.
    uint gram_stride;
    // SplitRecord array, and a list of the splits that match at the start of the haystack only.
    uint splits;
    uint anchored;
    // 1 if there are class windows. Then: the byte class of every byte, four to a word; a bitmap of class windows; and
    // for every class window the offset of its list.
    uint has_class_windows;
    uint byte_classes;
    uint class_windows;
    uint class_window_lists;
    // As firsts and pairs, for the rules without splits alone, and whether there are any: 0 or 1.
    uint rest_firsts;
    uint rest_pairs;
    uint has_rest;
    // As these, for rules with unbounded prefixes too.
    uint long_firsts;
    uint long_pairs;
    uint has_long;
};

// One rule of a pass.
struct RuleRecord {
    uint pattern_id;
    // Word offset of the byte class map.
    uint classes;
    // Where its DFA's first row is, in entries: those are two to a word, low half first, and are counted as the words
    // are that they lie in.
    uint first_entry;
    // Entries in a row: byte classes, and the end of the haystack as the last.
    uint stride;
    // Index of the first node. Node 0 is a jump to where the rule starts.
    uint first_node;
    // Bytes that must follow a position before its look-arounds can be judged: 1, or UTF8_MAX.
    uint lookahead;
    uint node_count;
    // Index of the first edge of its nodes, and how many there are.
    uint first_edge;
    uint edge_count;
    // Bytes of the longest match, or UNBOUNDED.
    uint longest;
    // Word offset of the GlushkovRecord; 0 if there is none.
    uint glushkov;
    // Index of another record, which has but a DFA: that one matches wherever the rule does, and elsewhere, and
    // tells walks that leave the rule's own DFA whether a match may follow. 0 if there is none.
    uint relaxed;
    // 1 if its DFA takes counter steps, as such another record's does: at every multiple of COUNTER_STEP_BYTES, before a byte is
    // read. A row's entry for it is the last but one.
    uint has_counter_steps;
};

// An NFA whose sets of positions are bits, `word_count` words of them: the first one is where walks begin, the
// last one, `accept`, is acceptance. Offsets count words, as in PassHeader.
struct GlushkovRecord {
    uint word_count;
    uint accept;
    // Kinds of look-around nodes, and what ends a line for them. A guard has a bit for each that must hold.
    uint looks;
    uint look_count;
    uint line_terminator;
    // For every byte class the positions that read it.
    uint reach;
    // GlushkovWord array.
    uint of_words;
};

// Positions in a word of a set, and what they lead to. Offsets count words, as in PassHeader.
struct GlushkovWord {
    // Those that lead to the next position.
    uint shift;
    // That lead back to themselves.
    uint self_loop;
    // That lead elsewhere as no other does; and for each of them, from this offset on, the offset of its list: the
    // length, and then GLUSHKOV_TARGET_WORDS each of a guard, a word's number and the positions in that word.
    uint exceptions;
    uint exception_lists;
    // What several lead to, in an array up to, and without, shared_exceptions_end: GLUSHKOV_SHARED_WORDS each of these positions, and
    // then a guard, a word's number and the positions in that word.
    uint shared_exceptions;
    uint shared_exceptions_end;
    // That a match prunes, for its thread is preferred to theirs; and that it may prune, or not.
    uint pruned;
    uint doubtful;
};

// One alternative of a rule: where its matches begin, seen from a suffix, and DFAs that tell most of those
// that do not match.
struct SplitRecord {
    uint rule;
    // Least and greatest distance of a match's start from the suffix's, which may be UNBOUNDED. If they are
    // the same, the DFA is the rule's, and walks begin at the start; else it is the suffix's.
    uint prefix_min;
    uint prefix_max;
    // As in RuleRecord.
    uint classes;
    uint first_entry;
    uint stride;
    // The DFA that walks back from the suffix over the prefix; stride 0 if there is none.
    uint reverse_prefix_classes;
    uint reverse_prefix_first_entry;
    uint reverse_prefix_stride;
    // 1 if that DFA tells exactly where the prefix begins, and the suffix's the preferred match's end.
    uint is_exact;
};

struct NfaNode {
    uint kind;
    uint operand;
    // Index range in the pass's edges, in order of preference.
    uint edges_begin;
    uint edges_end;
};

// Push constants of every kernel.
struct ScanParams {
    // Bytes.
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
    // What an `schedule` comes after: SCHEDULE_*.
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
    // left out: where the prefix is a run the host sees by the suffixes which count, and else it verifies them.
    uint is_direct;
    // Pieces that an invocation of `confirm` may walk on over.
    uint most_pieces;
    // Where items are packed: the tenant's part of the ring, and how many slots that has; where in it the first of the
    // items' slots is, and how many there are; and the epoch and the tenant that they have to be of.
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

// What rounds and passes have come to, and the grids of the next round.
struct Control {
    // Changes with every run and pass: a walker that carries another one starts afresh. A run begins with all that
    // follows zeroed, but what is kept.
    uint generation;
    // The pass under way; pass_count once the scan is done.
    uint pass;
    // Walkers that stopped before they were done, in this round.
    uint unfinished;
    // Tasks reserved and taken. Both may overshoot within a round; `schedule` puts that right.
    uint queue_tail;
    uint queue_head;
    // queue_head when the round began.
    uint queue_base;
    uint rounds;
    // Candidate suffixes and starts of the pass. More than there is room for end the scan.
    uint candidate_count;
    uint start_count;
    // 1 once the pass has been prefiltered and its suffixes looked at.
    uint prefiltered;
    // RETRY_* bits.
    uint retry_reasons;
    // Pieces that walks of suffixes have gone on for, or tried to.
    uint pieces;
    // Slots that workgroups have claimed, or tried to.
    uint claimed;
    // What long walks have named, by hash, since summaries were walked last; and whether there is any: 0 or 1.
    uint named[MOST_SUMMARIES];
    uint has_named;
    // How many summaries have been made that the round's first kernels have yet to walk.
    uint made_count;
    // Summaries that walks have begun to leap on since then, a bit each.
    uint used_summaries[SUMMARY_WORDS];
    // How often summaries have been made in this pass, and after how many rounds the last time; and 1 while that is not
    // to be done again: then walks do not wait for theirs.
    uint make_count;
    uint made_at;
    uint is_crowded;
    uint verify_dfa_x;
    uint verify_dfa_y;
    uint verify_dfa_z;
    uint verify_nfa_x;
    uint verify_nfa_y;
    uint verify_nfa_z;
    uint gram_prefilter_x;
    uint gram_prefilter_y;
    uint gram_prefilter_z;
    uint class_prefilter_x;
    uint class_prefilter_y;
    uint class_prefilter_z;
    uint chunk_summaries_x;
    uint chunk_summaries_y;
    uint chunk_summaries_z;
    uint compose_summaries_x;
    uint compose_summaries_y;
    uint compose_summaries_z;
    // Which summaries these are.
    uint made[MOST_SUMMARIES];
    // All that follows is kept from run to run of a scan with one pass: the rules that have been listed, with 1 added,
    // and then 0; the summaries' names, how many there are, and the pass that they belong to.
    uint listed[MOST_LISTED];
    uint summaries[MOST_SUMMARIES];
    uint summary_count;
    // The first summary of each list, and the one behind each summary, with 1 added; 0 if there is none.
    uint first_summaries[SUMMARY_LISTS];
    uint next_summaries[MOST_SUMMARIES];
    uint summary_pass;
};

// Byte offsets of the grids in Control, for indirect dispatch.
const uint CONTROL_VERIFY_DFA_GRID = 600u;
const uint CONTROL_VERIFY_NFA_GRID = 612u;
const uint CONTROL_GRAM_PREFILTER_GRID = 624u;
const uint CONTROL_CLASS_PREFILTER_GRID = 636u;
const uint CONTROL_CHUNK_SUMMARIES_GRID = 648u;
const uint CONTROL_COMPOSE_SUMMARIES_GRID = 660u;

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

// Steps that a search among slots is charged with, for each bit of their number: twice its turns, as invocations that
// run together search one after the other.
const uint SEARCH_STEPS = 2u;

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
    // should: the position from which on the walk is done again in order.
    uint emitted;
};

struct Hit {
    uint pattern_id;
    uint start;
    uint end;
};

// Behind all hits that there is room for, in the hit buffer and, if params.is_direct, in what is read back, is a word
// for each: the suffix that told of it, from which its prefix was walked back, or this.
const uint NO_SUFFIX = 0xFFFFFFFFu;

// The head of the readback buffer; the hits follow once the scan is done.
struct ReadbackHeader {
    uint pass;
    uint hit_count;
    uint rounds;
    // RETRY_* bits: nothing has been found out if there are any.
    uint retry_reasons;
};
