// The tables of a pass: a head, and behind it words that the head and the records lead into by offsets.
//
//   PassHeader -> rules: RuleRecord[]       -> classes, DFA rows, nodes, GlushkovRecord
//              -> firsts, pairs: lists of rules by the first two bytes of a match
//              -> nodes: NfaNode[]          -> edges
//              -> bitmap, gram_table, gram_lists -> lists of postings -> splits: SplitRecord[]
//              -> class_reaches, byte_classes, class_window_lists (where has_class_windows is 1) -> likewise
//
//   gram table slot: | gram, or NO_GRAM |
//   its gram list:   | list, or posting with GRAM_ONLY_POSTING | confirm mask of the only posting |
//   list of a gram:  | length | posting | confirm mask | posting | confirm mask | ...
//   posting:         | 31: only | 30..24: offset of the gram | 23..0: split |
//   confirm mask:    | 31..27: distance + CONFIRM_ZERO | 26..0: a bit for each hash that will do |
//                    | 31..27: CONFIRM_KINDS_* | 24..0: five bits for each of five bytes |
//   DFA entry:       | 15..1: row | 0: ENTRY_MATCH |, two to a word, the first one low

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
// Of a shared exception's third word, the bits below which there is the number of the word that is led to.
const uint GLUSHKOV_SOURCE_SHIFT = 16u;
// Most exceptions that are all shared, though but one position leads there: NFA_SMALL_EDGES words of shared memory.
const uint GLUSHKOV_FEW_EXCEPTIONS = 256u;
const uint GLUSHKOV_MANY = 0xFFFFFFFFu;
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

// Words of a RuleRecord, a SplitRecord and an NfaNode, which kernels read word by word.
const uint RULE_WORDS = 16u;
const uint SPLIT_WORDS = 10u;
const uint NODE_WORDS = 5u;

// A slot of the hash table that has no gram. Letters in grams are in lower case, and these are not.
const uint NO_GRAM = 0x41414141u;
// Words that lead from a gram to its postings.
const uint GRAM_LIST_WORDS = 2u;

// A gram is four bytes as a little-endian word, with ASCII letters in lower case. Its product with this,
// which is Knuth's multiplicative hashing (The Art of Computer Programming, volume 3, section 6.4), has high
// bits that choose a slot of the hash table.
const uint GRAM_HASH = 0x9E3779B1u;
// A pass's bitmap is a blocked Bloom filter (F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and
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
// Before that, at every byte, Shift-And over four buckets that class windows are divided among. The reach of a byte has a bit
// for each of its places in each bucket, the last place lowest.
const uint CLASS_WINDOW_BUCKETS = 4u;

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
// Where these would be too many strings, it has in the place of the distance one of these, for the bytes right before the
// gram, or right behind it, and below it for each of CONFIRM_KIND_BYTES of them a bit for each of BYTE_KINDS that will do.
const uint CONFIRM_KINDS_BEFORE = 29u;
const uint CONFIRM_KINDS_BEHIND = 30u;
const uint CONFIRM_KIND_BYTES = 5u;
const uint BYTE_KINDS = 5u;
// Any bytes will do, anywhere.
const uint CONFIRM_ANY = 0xFFFFFFFFu;

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
    // Hash table of grams, of 2^gram_table_log2 slots of a word. Apart from it, as most that is looked up is not there,
    // GRAM_LIST_WORDS words for each slot: the offset of its gram's list (its length, and then pairs of a posting and its
    // confirm mask), or its only posting; and the confirm mask of the only posting.
    uint gram_table;
    uint gram_table_log2;
    uint gram_lists;
    // The kind of every byte, letters in either case alike, eight to a word.
    uint byte_kinds;
    // 1, or 2 if each rule has a gram among every two bytes in a row, so that every other byte will do.
    uint gram_stride;
    // SplitRecord array, and lists of the splits whose suffixes are at the start of the haystack only, and at its end.
    uint splits;
    uint at_start;
    uint at_end;
    // 1 if there are class windows. Then: the reach of every byte; the byte class of every byte, four to a word; and for
    // every class window the offset of its list, or 0.
    uint has_class_windows;
    uint class_reaches;
    uint byte_classes;
    uint class_window_lists;
    // As firsts and pairs, for the rules without splits alone, and whether there are any: 0 or 1.
    uint rest_firsts;
    uint rest_pairs;
    uint has_rest;
    // As these, for rules with unbounded prefixes too.
    uint long_firsts;
    uint long_pairs;
    uint has_long;
    // Patterns of all passes.
    uint pattern_count;
    // Whether any rule has a front: 0 or 1.
    uint has_fronts;
};

// One rule of a pass.
struct RuleRecord {
    // What walks on its DFA look at: with the records aligned, these are in one cache sector of 32 bytes.
    uint pattern_id;
    // Word offset of the byte class map.
    uint classes;
    // Where its DFA's first row is, in entries: those are two to a word, low half first, and are counted as the words
    // are that they lie in.
    uint first_entry;
    // Entries in a row: byte classes, and the end of the haystack as the last.
    uint stride;
    // Word offset of the 256-bit set of bytes of a run that it begins with, where the first start in a run decides about all
    // others (src/rules/front.rs); 0 if there is none.
    uint front;
    // Index of another record, which has but a DFA: that one matches wherever the rule does, and elsewhere, and
    // tells walks that leave the rule's own DFA whether a match may follow. 0 if there is none.
    uint relaxed;
    // 1 if its DFA takes counter steps, as such another record's does: at every multiple of COUNTER_STEP_BYTES, before a byte is
    // read. A row's entry for it is the last but one.
    uint has_counter_steps;
    // Bytes of the longest match, or UNBOUNDED.
    uint longest;
    // Index of the first node. Node 0 is a jump to where the rule starts.
    uint first_node;
    // Bytes that must follow a position before its look-arounds can be judged: 1, or UTF8_MAX.
    uint lookahead;
    uint node_count;
    // Index of the first edge of its nodes, and how many there are.
    uint first_edge;
    uint edge_count;
    // Word offset of the GlushkovRecord; 0 if there is none.
    uint glushkov;
    // Makes it as long as two sectors.
    uint unused[2];
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
    // All shared exceptions, one word's behind the other's, and how many these are: at most GLUSHKOV_FEW_EXCEPTIONS where
    // there are no others, else GLUSHKOV_MANY.
    uint shared_exceptions;
    uint shared_exception_count;
    // All that exceptions lead to, each a turn.
    uint target_count;
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
    // then a guard, the word's number and, below it, that of the word which is led to, and the positions in that.
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
    // REPORT_*, with 1 added, if that DFA tells exactly where the prefix begins, and the suffix's the preferred match's
    // end; else 0. With REPORT_AT_END where the suffix is the haystack's end, of which the candidate is at the last byte.
    uint report;
};

struct NfaNode {
    uint kind;
    uint operand;
    // Index range in the pass's edges, in order of preference.
    uint edges_begin;
    uint edges_end;
    // Its position in the rule's Glushkov automaton, if there is one and the node reads a byte.
    uint position;
};
