//! The `regex` crate, which says what the matches are, and is slow at it.

use std::time::{Duration, Instant};

use rayon::prelude::*;
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use vkscan::Match;

use crate::Result;

/// How fast `find_iter` is, of each rule in turn on one core.
#[derive(Serialize, Deserialize)]
pub struct Rate {
    /// Bytes that were searched, the first of the haystack.
    pub bytes: usize,
    pub gbps: f64,
}

/// The non-empty items of `find_iter` of every pattern, sorted.
pub fn find_all(patterns: &[String], haystack: &[u8]) -> Result<Vec<Match>> {
    let of_rule = |(id, pattern): (usize, &String)| -> Result<Vec<Match>, regex::Error> {
        let regex = compile(pattern)?;
        let found = regex.find_iter(haystack).filter(|found| !found.is_empty());
        let matches = found.map(|found| Match {
            pattern_id: id as u32,
            start: found.start() as u32,
            end: found.end() as u32,
        });
        Ok(matches.collect())
    };
    let of_rules: Vec<_> =
        patterns.par_iter().enumerate().map(of_rule).collect::<Result<_, _>>()?;
    let mut matches = of_rules.concat();
    matches.sort_unstable();
    Ok(matches)
}

/// Measures over the first 1 MiB, or 64 KiB where that takes long.
pub fn rate(patterns: &[String], haystack: &[u8]) -> Result<Rate> {
    const LONG: usize = 1 << 20;
    const SHORT: usize = 1 << 16;
    const PATIENCE: Duration = Duration::from_millis(200);

    let start = |bytes: usize| &haystack[..bytes.min(haystack.len())];
    let mut searched = start(SHORT);
    let mut passed = search(patterns, searched)?;
    if passed < PATIENCE && haystack.len() > SHORT {
        searched = start(LONG);
        passed = search(patterns, searched)?;
    }
    let gbps = searched.len() as f64 / passed.as_secs_f64() / 1e9;
    Ok(Rate { bytes: searched.len(), gbps })
}

/// The time of one search for each pattern, its caches warm.
fn search(patterns: &[String], haystack: &[u8]) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for pattern in patterns {
        let regex = compile(pattern)?;
        regex.find_iter(haystack).count();
        let before = Instant::now();
        std::hint::black_box(regex.find_iter(haystack).count());
        total += before.elapsed();
    }
    Ok(total)
}

pub fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).build().or_else(|_| Regex::new(pattern))
}
