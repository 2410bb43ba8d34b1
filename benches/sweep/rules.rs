//! Which rules are scanned for.

use serde::Serialize;

use crate::Result;
use crate::data::{folder, patterns, read};

/// Rules that are scanned for together.
const TOGETHER: usize = 12;

#[derive(Clone, Serialize)]
pub struct Rule {
    pub set: String,
    pub id: String,
    pub pattern: String,
}

impl Rule {
    pub fn name(&self) -> String {
        format!("{}/{}", self.set, self.id)
    }
}

/// All rules of all sets, set by set.
pub fn all() -> Result<Vec<Rule>> {
    let mut sets = Vec::new();
    for entry in std::fs::read_dir(folder().join("rules"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        sets.extend(name.strip_suffix(".regex").map(str::to_owned));
    }
    sets.sort();
    let mut rules = Vec::new();
    for set in sets {
        let ids = String::from_utf8(read(&folder().join(format!("rules/{set}.ids")))?)?;
        let patterns = patterns(&set)?;
        if ids.lines().count() != patterns.len() {
            return Err(format!("{set} has other ids than patterns").into());
        }
        rules.extend(ids.lines().zip(patterns).map(|(id, pattern)| Rule {
            set: set.clone(),
            id: id.to_owned(),
            pattern,
        }));
    }
    Ok(rules)
}

/// So many, each alone, evenly over all of them.
pub fn every_nth(rules: &[Rule], count: usize) -> Vec<Vec<Rule>> {
    let count = count.min(rules.len());
    (0..count).map(|index| vec![rules[index * rules.len() / count].clone()]).collect()
}

/// Each alone.
pub fn named(rules: &[Rule], part: &str) -> Vec<Vec<Rule>> {
    let named = rules.iter().filter(|rule| rule.name().contains(part));
    named.map(|rule| vec![rule.clone()]).collect()
}

/// So many dozens, the same ones each time.
pub fn random_dozens(rules: &[Rule], count: usize) -> Vec<Vec<Rule>> {
    let mut state = 1_u64;
    // SplitMix64.
    let mut random = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as usize
    };
    let mut dozen =
        || (0..TOGETHER).map(|_| rules[random() % rules.len()].clone()).collect::<Vec<_>>();
    (0..count).map(|_| dozen()).collect()
}
