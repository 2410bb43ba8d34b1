//! What the host does for rules before they are scanned for: compiled, what is right, and what will be looked at.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use vkscan::{Match, RulePipeline, RulePlan};

use crate::Result;
use crate::measure::Loaded;
use crate::rules::Rule;

/// First bytes of a haystack that the oracle scans: the second number where it is quick with the first one.
const PREFIXES: [usize; 2] = [64 << 10, 1 << 20];
const QUICK: Duration = Duration::from_millis(5);

pub struct Work {
    pub pipeline: RulePipeline,
    pub plans: Vec<RulePlan>,
    pub compiled_in: Duration,
    /// By haystack.
    pub expected: Vec<Expected>,
}

/// What is so of a haystack.
pub struct Expected {
    /// First bytes, of which the matches are known.
    pub bytes: usize,
    pub matches: Vec<Match>,
    /// In a mebibyte of the whole haystack: grams are counted, class windows are as many as in typical data, and every
    /// byte is one of a rule that has neither.
    pub candidates_per_mib: f64,
}

impl Work {
    pub fn new(rules: &[Rule], haystacks: &[Loaded]) -> Result<Work, String> {
        caught(|| {
            let patterns: Vec<&str> = rules.iter().map(|rule| rule.pattern.as_str()).collect();
            let began = Instant::now();
            let pipeline = RulePipeline::new(&patterns)?;
            let compiled_in = began.elapsed();
            let plans = pipeline.explain();
            let expected =
                haystacks.iter().map(|one| Expected::new(&pipeline, &plans, one)).collect();
            Ok(Work { pipeline, plans, compiled_in, expected })
        })
    }
}

impl Expected {
    fn new(pipeline: &RulePipeline, plans: &[RulePlan], haystack: &Loaded) -> Expected {
        let [few, many] = PREFIXES.map(|bytes| bytes.min(haystack.bytes.len()));
        let began = Instant::now();
        let (mut bytes, mut matches) = (few, pipeline.reference_scan(&haystack.bytes[..few]));
        if began.elapsed() < QUICK && few < many {
            (bytes, matches) = (many, pipeline.reference_scan(&haystack.bytes[..many]));
        }
        Expected { bytes, matches, candidates_per_mib: candidates_per_mib(plans, &haystack.bytes) }
    }
}

fn candidates_per_mib(plans: &[RulePlan], haystack: &[u8]) -> f64 {
    let mebibyte = f64::from(1 << 20);
    let (mut grams, mut others) = (Vec::new(), 0.0);
    for plan in plans {
        match &plan.factor {
            Some(factor) if factor.grams.is_empty() => others += factor.expected_per_mib,
            Some(factor) => grams.extend(&factor.grams),
            None => others += mebibyte,
        }
    }
    others + count_grams(grams, haystack) as f64 * mebibyte / haystack.len() as f64
}

/// Positions where one of the grams begins, whatever the case of ASCII letters.
fn count_grams(grams: Vec<[u8; 4]>, haystack: &[u8]) -> usize {
    let mut grams: Vec<u32> = grams.into_iter().map(u32::from_be_bytes).collect();
    grams.sort_unstable();
    // Most other bytes are told from these by a look at a table.
    let bucket = |gram: u32| (gram.wrapping_mul(0x9E37_79B1) >> 16) as usize;
    let mut may_be = vec![false; 1 << 16];
    grams.iter().for_each(|&gram| may_be[bucket(gram)] = true);
    let (mut last, mut count) = (0, 0);
    for (index, byte) in haystack.iter().enumerate() {
        last = last << 8 | u32::from(byte.to_ascii_lowercase());
        count +=
            usize::from(may_be[bucket(last)] && index >= 3 && grams.binary_search(&last).is_ok());
    }
    count
}

/// What it returns; of an error or a panic, what that says.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T, String> {
    let returned = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without words")).into())
    });
    returned.map_err(|error| error.to_string())
}
