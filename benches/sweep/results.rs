//! What was measured, as it is kept in JSON.

use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::rules::Rule;
use crate::run::Run;
use crate::stages::Stage;

/// What is asked of a rule, in GB/s, unless its matches bound it.
pub const ASKED: f64 = 20.0;

#[derive(Serialize)]
pub struct Results {
    pub run: Run,
    /// Of each haystack.
    pub bytes: usize,
    pub haystacks: Vec<String>,
    pub alone: Vec<Entry>,
    pub together: Vec<Entry>,
}

/// A rule, or several together.
#[derive(Default, Serialize)]
pub struct Entry {
    pub rules: Vec<Rule>,
    pub looked_for: String,
    pub compile_seconds: f64,
    /// To make it resident.
    pub prepare_seconds: f64,
    /// By haystack, or why there is none.
    pub scans: Vec<Result<Scan, String>>,
}

/// The median of a few scans.
#[derive(Default, Serialize)]
pub struct Scan {
    /// First bytes, of which the matches were compared with the oracle's.
    pub checked_bytes: usize,
    /// First bytes that were scanned: all of them, unless that would have taken too long.
    pub bytes: usize,
    pub candidates_per_mib: f64,
    pub matches: u64,
    /// None if there were more matches than the session holds.
    pub seconds: Option<f64>,
    pub repetitions: usize,
    pub submissions: u32,
    pub stages: Vec<Stage>,
}

impl Results {
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        Ok(std::fs::write(folder.join("sweep.json"), serde_json::to_string(self)?)?)
    }

    /// A line for each scan that failed.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for entry in self.alone.iter().chain(&self.together) {
            for (haystack, scan) in self.haystacks.iter().zip(&entry.scans) {
                let failure = scan.as_ref().err();
                failures.extend(
                    failure.map(|why| format!("{} x {haystack}: FAILED: {why}", entry.name())),
                );
            }
        }
        failures
    }
}

impl Entry {
    pub fn name(&self) -> String {
        self.rules.iter().map(Rule::name).collect::<Vec<_>>().join(" + ")
    }
}

impl Scan {
    pub fn gbps(&self) -> Option<f64> {
        Some(self.bytes as f64 / self.seconds? / 1e9)
    }

    /// Whether over one byte in a hundred begins a match.
    pub fn is_bounded_by_matches(&self) -> bool {
        self.matches > self.bytes as u64 / 100
    }

    pub fn is_fast(&self) -> bool {
        self.gbps().is_some_and(|gbps| gbps >= ASKED)
    }
}
