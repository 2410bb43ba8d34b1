//! What can be said of times that vary.

/// A median, and where it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// The median of samples that may have any distribution: its bounds are the samples whose ranks a binomial distribution gives
/// (Conover, Practical Nonparametric Statistics, 3rd edition, section 3.2). Fewer than six say nothing of it.
pub fn median(samples: &[f64]) -> Interval {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let count = sorted.len();
    if count == 0 {
        return Interval { low: 0.0, median: f64::INFINITY, high: f64::INFINITY };
    }
    let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
    match rank(count) {
        0 => Interval { low: 0.0, median, high: f64::INFINITY },
        rank => Interval { low: sorted[rank - 1], median, high: sorted[count - rank] },
    }
}

/// The largest rank, from 1, that so few of `count` samples lie below that the median does with a chance of 2.5 % at most; 0
/// if there is none.
fn rank(count: usize) -> usize {
    const TAIL: f64 = 0.025;

    let mut chance = 0.5_f64.powi(count as i32);
    let mut below = 0.0;
    for rank in 0..count {
        below += chance;
        if below > TAIL {
            return rank;
        }
        chance *= (count - rank) as f64 / (rank + 1) as f64;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_lie_where_tables_say() {
        // The ranks of the tables for 95 %.
        for (count, expected) in [(5, 0), (6, 1), (9, 2), (20, 6), (31, 10), (100, 40)] {
            assert_eq!(rank(count), expected, "{count}");
        }
        let samples: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(median(&samples), Interval { low: 6.0, median: 10.5, high: 15.0 });
        assert_eq!(median(&[3.0]), Interval { low: 0.0, median: 3.0, high: f64::INFINITY });
    }
}
