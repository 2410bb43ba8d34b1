//! Many small haystacks through a ring session: how many a second, once each has its own matches.

use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vkscan::{
    Backend, Match, MegakernelSession, MegakernelSessionConfig, RingItem, RingResults, RulePipeline,
};

use crate::Result;
use crate::hyperscan::Hyperscan;
use crate::regex_crate;
use crate::workload::{Items, digest};

/// A round holds a fourth of them.
const SLOTS: u32 = 1 << 18;

const WARM_UP: Duration = Duration::from_millis(500);
const LONG_ENOUGH: Duration = Duration::from_secs(1);
const OFTEN_ENOUGH: usize = 5;

#[derive(Serialize, Deserialize)]
pub struct Row {
    pub items: Items,
    pub measured: Option<Measured>,
    /// Why it was not.
    pub failed: Option<String>,
    pub hyperscan: Option<Hyperscan>,
}

#[derive(Serialize, Deserialize)]
pub struct Measured {
    pub matches: usize,
    pub rounds: u32,
    /// From publishing items in ordinary memory to their matches: the median of all of them.
    pub seconds: f64,
    /// The first item alone.
    pub one_seconds: f64,
}

pub fn row(backend: &Backend, items: &Items, rules: &RulePipeline, haystack: &[u8]) -> Row {
    let (measured, failed) = match measure(backend, items, rules, haystack) {
        Ok(measured) => (Some(measured), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Row { items: items.clone(), measured, failed, hyperscan: None }
}

fn measure(
    backend: &Backend,
    items: &Items,
    rules: &RulePipeline,
    haystack: &[u8],
) -> Result<Measured> {
    let work: Vec<RingItem> = (0..)
        .zip(haystack.chunks_exact(items.bytes))
        .map(|(id, item)| RingItem::new(id, item))
        .collect();
    let config = MegakernelSessionConfig::default().slot_count(SLOTS);
    let made = MegakernelSession::new(backend, rules, config)?;
    let mut session = made.ok_or("the device cannot run ring sessions")?;
    let mut results = RingResults::default();
    session.submit_scan_into(&work, &mut results)?;
    let found = digest(&matches(items, &results)?);
    if found != items.digest {
        return Err(
            format!("the matches' digest is {found}, and {} was recorded", items.digest).into()
        );
    }
    let (matches, rounds) = (results.match_count(), results.stats().rounds);
    let seconds = median(|| Ok(session.submit_scan_into(&work, &mut results)?))?;
    let one_seconds = median(|| Ok(session.submit_scan_into(&work[..1], &mut results)?))?;
    session.shutdown()?;
    Ok(Measured { matches, rounds, seconds, one_seconds })
}

fn median(mut scan: impl FnMut() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    while began.elapsed() < WARM_UP {
        scan()?;
    }
    let mut samples = Vec::new();
    let began = Instant::now();
    while samples.len() < OFTEN_ENOUGH || began.elapsed() < LONG_ENOUGH {
        let before = Instant::now();
        scan()?;
        samples.push(before.elapsed());
    }
    samples.sort();
    Ok(samples[samples.len() / 2].as_secs_f64())
}

/// Matches of all items, as offsets in all of them together.
fn matches(items: &Items, results: &RingResults) -> Result<Vec<Match>> {
    let mut all = Vec::with_capacity(results.match_count());
    for (index, result) in results.iter().enumerate() {
        let base = (index * items.bytes) as u32;
        let moved =
            |found: &Match| Match { start: found.start + base, end: found.end + base, ..*found };
        all.extend(result.matches.map_err(Clone::clone)?.iter().map(moved));
    }
    Ok(all)
}

/// The right matches, by the `regex` crate.
pub fn find_all(items: &Items, patterns: &[String], haystack: &[u8]) -> Result<Vec<Match>> {
    let regexes = patterns.iter().map(|pattern| regex_crate::compile(pattern));
    let regexes = regexes.collect::<Result<Vec<_>, _>>()?;
    let of_item = |(index, item): (usize, &[u8])| {
        let base = index * items.bytes;
        let mut found = Vec::new();
        for (id, regex) in regexes.iter().enumerate() {
            let spans = regex.find_iter(item).filter(|found| !found.is_empty());
            found.extend(spans.map(|found| Match {
                pattern_id: id as u32,
                start: (base + found.start()) as u32,
                end: (base + found.end()) as u32,
            }));
        }
        found
    };
    let of_items: Vec<Vec<Match>> =
        haystack.par_chunks_exact(items.bytes).enumerate().map(of_item).collect();
    Ok(of_items.concat())
}
