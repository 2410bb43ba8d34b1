// What a run keeps between kernels, the hits, and what is read back.
//
//   hit buffer: | count | Hit * hit_capacity | suffix * hit_capacity |, or the matches once they are selected
//   readback:   | ReadbackHeader | Hit * hit_capacity | slot states |
//   of a recording, instead of that: | count | Hit * match_capacity | RecordedState |

// The end of a hit whose walk met the end of a haystack that goes on elsewhere (ScanParams::is_final
// is 0): with more bytes the start may match or not.
const uint UNDECIDED = 0xFFFFFFFFu;

// Control::retry_reasons, a bit each: more candidates than there is room for; rules that have been listed, because a
// prefix of theirs is too long to be walked over, or that are to be searched for; more of these than there is room for.
const uint RETRY_CANDIDATES = 1u;
const uint RETRY_LISTED = 2u;
const uint RETRY_PREFIXES = 4u;
const uint MOST_LISTED = 32u;

// Of more candidates than there is room for so many are looked at, of rules that may have more of these than others so many,
// and a rule that has so many of the samples may be listed.
const uint FLOOD_SAMPLES = 256u;
const uint FLOOD_RULES = 16u;
const uint FLOOD_SHARE = 32u;

// Rules that may be searched for: each by a walker of `verify_nfa` that finds one match behind the other.
const uint MOST_SEARCHED = 8u;
// Steps of `verify_nfa`, in 1,024s, below which there is nothing to gain in any haystack.
const uint SEARCH_LEAST_KILOSTEPS = 8u;

// What rounds and passes have come to, and the grids of the next round.
struct Control {
    // Changes with every run and pass: a walker that carries another one starts afresh. A run begins with all that
    // follows zeroed, but what is kept.
    uint generation;
    // Of a recording, bytes of the haystack, and which one of several it is: set before a run begins.
    uint haystack_len;
    uint recording;
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
    // Hits in front of all others that stand for matches which an earlier part of the haystack ended with.
    uint carried;
    // Steps of `verify_nfa` so far, but for searches: in 1,024s, and those that are left of them. For each place of rules that
    // share it, one that walkers had not done with when the round ended, with 1 added, and how many walkers those were.
    uint nfa_kilosteps;
    uint nfa_steps;
    uint held_up[MOST_SEARCHED];
    uint held_up_count[MOST_SEARCHED];
    // RETRY_* bits.
    uint retry_reasons;
    // 1 once the scan has been begun anew, without a prefilter.
    uint restarted;
    // Pieces that walks of suffixes and prefixes have gone on for, or tried to.
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
    // SELECTED_*; OPENED_* bits; how often starts have been verified again; and hits that are many.
    uint selected;
    uint opened;
    uint verified_again;
    uint many;
    // The grids of what selects from many hits: for tiles, for digits, for invocations that have a tile each, and for what
    // writes matches.
    uint tiles_x;
    uint tiles_y;
    uint tiles_z;
    uint sum_digits_x;
    uint sum_digits_y;
    uint sum_digits_z;
    uint enter_tiles_x;
    uint enter_tiles_y;
    uint enter_tiles_z;
    uint write_matches_x;
    uint write_matches_y;
    uint write_matches_z;
    // Which summaries these are.
    uint made[MOST_SUMMARIES];
    // All that follows is kept from run to run of a scan with one pass: the rules that are searched for, and those that have
    // been listed, with 1 added, and then 0; the summaries' names, how many there are, and the pass that they belong to.
    uint searched[MOST_SEARCHED];
    uint listed[MOST_LISTED];
    uint summaries[MOST_SUMMARIES];
    uint summary_count;
    // The first summary of each list, and the one behind each summary, with 1 added; 0 if there is none.
    uint first_summaries[SUMMARY_LISTS];
    uint next_summaries[MOST_SUMMARIES];
    uint summary_pass;
};

struct Hit {
    uint pattern_id;
    uint start;
    uint end;
};

// Behind all hits that there is room for is a word for each: the suffix that told of it, from which its prefix was walked
// back, or NO_SUFFIX or CARRIED. The two highest bits say what a report tells: REPORT_* less one. A hit that is no report
// has both: all of its start is known. A carried one stands for a match that an earlier part of the haystack ended with.
const uint NO_SUFFIX = 0xFFFFFFFFu;
const uint CARRIED = 0xFFFFFFFEu;
const uint REPORT_SHIFT = 30u;
const uint SUFFIX_MASK = 0x3FFFFFFFu;
const uint REPORT_LEAST = 0u;
const uint REPORT_LAZY = 1u;
const uint REPORT_GREEDY = 2u;
const uint REPORT_NONE = 3u;
const uint REPORT_AT_END = 8u;

// RecordedState::state: nothing has been recorded here, or it has not run; the matches are there; the recording has to go on;
// the matches are more than there is room for; the scan takes the host, which does it in parts; the haystack is longer than
// was recorded.
const uint RECORDED_NOTHING = 0u;
const uint RECORDED_COMPLETE = 1u;
const uint RECORDED_GOES_ON = 2u;
const uint RECORDED_TOO_MANY = 3u;
const uint RECORDED_NEEDS_HOST = 4u;
const uint RECORDED_FAULT = 5u;

// What a recording says behind the matches that there is room for.
struct RecordedState {
    // RECORDED_*.
    uint state;
    // The number of the matches, if they are there or too many; of a haystack that is too long, its bytes; else 0.
    uint count;
};

// Control::selected, ReadbackHeader::selected: nothing has been selected; hits are many, and yet to be sorted; hits leave
// starts open, which have yet to be verified again; what follows are the matches; or hits leave too much open.
const uint SELECTED_NONE = 0u;
const uint SELECTED_MANY = 1u;
const uint SELECTED_OPEN = 2u;
const uint SELECTED_ALL = 3u;
const uint SELECTED_UNTOLD = 4u;

// Control::opened: hits leave something open; they leave open more than is verified again.
const uint OPENED = 1u;
const uint OPENED_TOO_MUCH = 2u;

// The head of the readback buffer; the matches follow once they are selected.
struct ReadbackHeader {
    uint pass;
    uint hit_count;
    uint rounds;
    // RETRY_* bits: nothing has been found out if there are any.
    uint retry_reasons;
    // SELECTED_*, and the number of the matches, if that is what follows.
    uint selected;
    uint match_count;
    // How often starts have been verified again.
    uint verified_again;
};
const uint READBACK_HEADER_WORDS = 7u;
