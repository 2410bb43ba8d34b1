// How much a kernel does in one go: steps, turns and places, each with what bounds it.
//
// Host and kernels share the files of this folder: the build script generates the host's twin from them, so they
// keep to structs of uint, constants and line comments.

// Invocations in a workgroup of `confirm`, `verify_dfa`, `chunk_summaries` and `readback`. `schedule` is a single one;
// `compose_summaries` has one for each summary, and the others' workgroups are specialised.
const uint WORKGROUP = 64u;

// The haystack is bound in segments of 128 MiB, the least that maxStorageBufferRange may be.
const uint SEGMENT_SHIFT = 27u;
const uint MAX_SEGMENTS = 8u;
// Of one haystack.
const uint MAX_HAYSTACK_BYTES = MAX_SEGMENTS << SEGMENT_SHIFT;

// Most loop turns over bytes that a Unicode look-around takes.
const uint UNICODE_LOOK_STEPS = 15u;

// Bytes that an invocation of a prefilter looks at in a turn, invocations that a workgroup of it has at most, and words
// of shared memory that each of them has beside the bitmap.
const uint PREFILTER_BYTES = 16u;
const uint PREFILTER_LANES = 512u;
const uint PREFILTER_LANE_WORDS = 6u;
// Turns are taken four at a time.
const uint PREFILTER_TURNS = 4u;
// Candidates, and look-ups, of an invocation of a prefilter; one that has more says that they do not fit.
const uint PREFILTER_STEPS = 0x1000u;

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

// Steps that a search among slots is charged with, for each bit of their number: twice its turns, as invocations that
// run together search one after the other.
const uint SEARCH_STEPS = 2u;
