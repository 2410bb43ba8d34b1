//! Sorts matches: by radix, which takes the same few instructions whatever their order, and in parallel
//! where there are many.

use rayon::prelude::*;

use crate::Match;
use crate::narrow::narrow;
use crate::parallel::pool;

/// Matches from which on threads share the work.
pub(crate) const MANY: usize = 1 << 15;

/// Matches up to which comparing beats counting.
const FEW: usize = 1 << 7;

/// Most matches of a range of [`merge`] that is sorted at once: so many stay in a core's cache.
const LEAF: usize = 1 << 13;

/// Runs that are sorted on their own before they are merged.
const RUNS: usize = 64;

/// Bits that a round of counting goes by.
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;

const NONE: Match = Match { pattern_id: 0, start: 0, end: 0 };

/// Sorts `matches`. What `spare` holds does not count: it keeps its memory, and its length, from one call to
/// the next.
pub(crate) fn sort(matches: &mut Vec<Match>, spare: &mut Vec<Match>) {
    let count = matches.len();
    if spare.len() < count {
        spare.resize(count, NONE);
    }
    if count < MANY {
        return sort_run(matches, &mut spare[..count]);
    }
    spare.truncate(count);
    let run_len = count.div_ceil(RUNS);
    pool().install(|| {
        let runs = matches.par_chunks_mut(run_len).zip(spare.par_chunks_mut(run_len));
        runs.for_each(|(run, spare)| sort_run(run, spare));
        let mut runs = matches.chunks(run_len);
        merge(std::array::from_fn(|_| runs.next().unwrap_or_default()), spare);
    });
    std::mem::swap(matches, spare);
}

/// Appends what `to_match` makes of `hits`.
pub(crate) fn append<T: Sync>(
    matches: &mut Vec<Match>,
    hits: &[T],
    to_match: impl Fn(&T) -> Match + Send + Sync,
) {
    if hits.len() < MANY {
        matches.extend(hits.iter().map(to_match));
    } else {
        pool().install(|| matches.par_extend(hits.par_iter().map(to_match)));
    }
}

/// Merges sorted runs: those parts of them that come before one of their matches, and meanwhile those that
/// do not, until a range is small enough to be sorted anew.
fn merge(runs: [&[Match]; RUNS], merged: &mut [Match]) {
    if merged.len() > LEAF {
        let pivot = pivot(runs);
        let halves =
            runs.map(|run| run.split_at(run.partition_point(|found| order(found) < pivot)));
        let [before, after] = [halves.map(|(before, _)| before), halves.map(|(_, after)| after)];
        let (left, right) = merged.split_at_mut(before.iter().map(|run| run.len()).sum());
        // Of very many that are the same, all may lie on one side.
        if !left.is_empty() {
            rayon::join(|| merge(before, left), || merge(after, right));
            return;
        }
    }
    let mut rest = &mut *merged;
    for run in runs {
        let (to, behind) = rest.split_at_mut(run.len());
        to.copy_from_slice(run);
        rest = behind;
    }
    sort_leaf(merged);
}

/// A function of its own so that its memory is on the stack once, and not at every level of [`merge`].
#[inline(never)]
fn sort_leaf(matches: &mut [Match]) {
    match [NONE; LEAF].get_mut(..matches.len()) {
        Some(spare) => sort_run(matches, spare),
        None => matches.sort_unstable_by_key(order),
    }
}

/// The median of the runs' medians: a quarter of all or so come before it, and as many after.
fn pivot(mut runs: [&[Match]; RUNS]) -> u128 {
    let median = |run: &&[Match]| run.get(run.len() / 2).map(order);
    runs.sort_unstable_by_key(median);
    let empty = runs.partition_point(|run| run.is_empty());
    median(&runs[(empty + RUNS) / 2]).expect("there are matches to merge")
}

/// Sorts by two rounds of counting, on the first bits that tell patterns and starts apart, and what those
/// leave together by comparing.
fn sort_run(matches: &mut [Match], spare: &mut [Match]) {
    if matches.len() < FEW {
        return matches.sort_unstable_by_key(order);
    }
    let (mut least, mut most, mut starts) = (u32::MAX, 0, 0);
    for found in &*matches {
        least = least.min(found.pattern_id);
        most = most.max(found.pattern_id);
        starts |= found.start;
    }
    let start_bits = bits(starts);
    let shift = (bits(most - least) + start_bits).saturating_sub(2 * DIGIT_BITS);
    let prefix = |found: &Match| {
        (u64::from(found.pattern_id - least) << start_bits | u64::from(found.start)) >> shift
    };
    count_into(spare, matches, |found| narrow(prefix(found) % DIGITS as u64));
    count_into(matches, spare, |found| narrow(prefix(found) / DIGITS as u64 % DIGITS as u64));
    for same in matches.chunk_by_mut(|one, next| prefix(one) == prefix(next)) {
        if same.len() > 1 {
            same.sort_unstable_by_key(order);
        }
    }
}

/// A round of counting: writes `from` in the order of a digit, and where that is equal in the order it has.
fn count_into(to: &mut [Match], from: &[Match], digit: impl Fn(&Match) -> usize) {
    let mut next = [0_u32; DIGITS];
    for found in from {
        next[digit(found)] += 1;
    }
    let mut sum = 0;
    for next in &mut next {
        sum += std::mem::replace(next, sum);
    }
    for found in from {
        let next = &mut next[digit(found)];
        to[*next as usize] = *found;
        *next += 1;
    }
}

/// A number that orders as matches do, in fewer and steadier steps.
fn order(found: &Match) -> u128 {
    let Match { pattern_id, start, end } = *found;
    u128::from(pattern_id) << 64 | u128::from(start) << 32 | u128::from(end)
}

fn bits(number: u32) -> u32 {
    u32::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// As the standard library does, whatever is sorted before: few and many, of few patterns or starts
        /// or of as many as there can be, with hardly any that are there twice or nothing else.
        #[test]
        fn sorts(
            cases in prop::collection::vec(
                (
                    prop::sample::select(vec![0, 1, FEW - 1, FEW, 5000, LEAF, MANY - 1, MANY, 3 * MANY]),
                    prop::sample::select(vec![1, 3, 2338, u32::MAX]),
                    prop::sample::select(vec![1, 7, 1 << 26, u32::MAX]),
                    prop::sample::select(vec![1, 2, u32::MAX]),
                    any::<u64>(),
                ),
                1..4,
            ),
        ) {
            let (mut matches, mut spare) = (Vec::new(), Vec::new());
            for (count, patterns, starts, ends, mut seed) in cases {
                let mut below = |limit| random(&mut seed) % limit;
                let mut unsorted: Vec<_> = (0..count)
                    .map(|_| Match {
                        pattern_id: below(patterns),
                        start: below(starts),
                        end: below(ends),
                    })
                    .collect();
                matches.clear();
                append(&mut matches, &unsorted, |found| *found);
                prop_assert!(matches == unsorted);
                sort(&mut matches, &mut spare);
                unsorted.sort();
                prop_assert!(matches == unsorted);
            }
        }
    }

    fn random(state: &mut u64) -> u32 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 32) as u32
    }
}
