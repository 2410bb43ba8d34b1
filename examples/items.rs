//! How fast a ring session scans many small haystacks, all of one length:
//! `cargo run --release --example items -- RULES ITEMS BYTES`, of a file with a regex a line and a file with the items one
//! after the other, of `BYTES` bytes each. Without arguments, of a few that it makes itself.

use std::env;
use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use vkscan::{
    Backend, BackendOptions, MegakernelSession, MegakernelSessionConfig, RingItem, RingResults,
    RulePipeline,
};

const LONG_ENOUGH: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (rules, haystack, bytes) = match &arguments[..] {
        [rules, items, bytes] => (fs::read_to_string(rules)?, fs::read(items)?, bytes.parse()?),
        [] => (r"\btoken=\S+".to_owned(), b"user=1 token=abc; ".repeat(1000), 18),
        _ => return Err("give a file of rules, one of items, and their bytes; or nothing".into()),
    };
    if bytes == 0 {
        return Err("items have a byte or more".into());
    }
    let rules: Vec<&str> = rules.lines().collect();
    let rules = RulePipeline::new(&rules)?;
    let items: Vec<RingItem> =
        (0..).zip(haystack.chunks_exact(bytes)).map(|(id, item)| RingItem::new(id, item)).collect();

    let backend = Backend::new(&BackendOptions::default())?;
    // A round holds a fourth of the slots.
    let config = MegakernelSessionConfig::default().slot_count(1 << 18);
    let made = MegakernelSession::new(&backend, &rules, config)?;
    let mut session = made.ok_or("the device cannot run ring sessions")?;
    let mut results = RingResults::default();
    session.submit_scan_into(&items, &mut results)?;
    for result in results.iter() {
        result.matches.map_err(Clone::clone)?;
    }

    let mut seconds = Vec::new();
    let began = Instant::now();
    while seconds.is_empty() || began.elapsed() < LONG_ENOUGH {
        let before = Instant::now();
        session.submit_scan_into(&items, &mut results)?;
        seconds.push(before.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let seconds = seconds[seconds.len() / 2];
    println!(
        "{} items, {} matches, {seconds:.6} s, {:.3} GB/s",
        results.len(),
        results.match_count(),
        (items.len() * bytes) as f64 / seconds / 1e9
    );
    Ok(session.shutdown()?)
}
