// What is kept where many hits are selected from: the hits once more, what is known of each once they are sorted, and of
// each tile of so many (SPEC_SELECT_TILE).
//
//   selection: | Hit * hit_capacity | suffix * hit_capacity | Link * hit_capacity | Tile * tiles |
//              | hits with a digit, for each tile; of all tiles | for each digit

// Subgroups that a workgroup has at most which selects from hits.
const uint SELECT_SUBGROUPS = 128u;
// Hits are sorted by digits of so many bits, least first. So many subgroups have counters of each digit at a time, two of
// 16 bits in a word.
const uint DIGIT_BITS = 8u;
const uint DIGITS = 1u << DIGIT_BITS;
const uint COUNTER_SUBGROUPS = 16u;
// Few hits are sorted by two words. From the lowest bit: a hit's place among them, below the most that a tile has; 1 if it
// is a report; its position, below MAX_HAYSTACK_BYTES; 1 if its report is of a run; its pattern.
const uint KEY_INDEX_BITS = 11u;
const uint MOST_TILE = 1u << KEY_INDEX_BITS;
const uint KEY_LOW_POSITION_BITS = 31u - KEY_INDEX_BITS;
const uint KEY_HIGH_POSITION_BITS = 30u - KEY_LOW_POSITION_BITS;
const uint MOST_PATTERNS = 1u << (31u - KEY_HIGH_POSITION_BITS);
// Workgroups that take tiles in turns, and those that write matches, at most.
const uint MOST_TILE_GROUPS = 0x8000u;
const uint MOST_WRITE_GROUPS = 1024u;
// Starts that are verified again at a time, and how often, at most.
const uint MOST_VERIFIED_AGAIN = 4096u;
const uint MOST_AGAIN = 16u;

// Of a sorted hit: the one that is selected behind it, if it is selected; and the last one of its tile that is selected then.
// In the end `last` is where the match starts that the hit stands for; SELECT_NONE if it stands for none.
struct Link {
    uint next;
    uint last;
};
const uint SELECT_NONE = 0xFFFFFFFFu;
// Link::next of a report whose pattern has reports of runs, and other hits, too.
const uint SELECT_MIXED = 0xFFFFFFFEu;

// Of so many hits.
struct Tile {
    // The first hit that is selected of a pattern that began in an earlier tile, and what it is selected behind.
    uint entry;
    uint entered_from;
    // What a hit of a later tile is selected behind, if a pattern begins in this one; and that hit.
    uint left_from;
    uint left_to;
    uint match_count;
};
// Tile::entered_from and Tile::left_from are a hit's number, times two, and this if it is the first of its pattern, and what
// follows is selected as that is.
const uint FROM_FIRST = 1u;
