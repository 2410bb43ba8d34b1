//! What was measured, as it is kept in JSON.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::hyperscan::Hyperscan;
use crate::items;
use crate::measure::{Flight, Scan, Stop};
use crate::regex_crate;
use crate::run::Run;
use crate::workload::{Ceiling, Source, Workload};

#[derive(Serialize, Deserialize)]
pub struct Results {
    pub run: Run,
    pub ceiling: Ceiling,
    pub workloads: Vec<Row>,
    /// Many small haystacks.
    #[serde(default)]
    pub items: Vec<items::Row>,
    /// One workload at many sizes, without competition.
    pub sweep: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
pub struct Row {
    pub workload: Workload,
    /// From ordinary memory, staging memory and device memory, as far as that went.
    pub scans: Vec<Scan>,
    /// Several in flight, from ordinary and staging memory.
    pub flights: Vec<Flight>,
    pub empty_seconds: Option<f64>,
    pub stopped: Option<Stop>,
    pub peers: Option<Peers>,
}

/// The competition.
#[derive(Serialize, Deserialize)]
pub struct Peers {
    pub hyperscan: Hyperscan,
    pub regex: regex_crate::Rate,
}

impl Results {
    pub fn read(file: &Path) -> Result<Results> {
        let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        Ok(std::fs::write(folder.join("results.json"), serde_json::to_string_pretty(self)?)?)
    }

    /// A line for each workload that failed.
    pub fn failures(&self) -> Vec<String> {
        let rows = self.workloads.iter().chain(&self.sweep);
        let failed = |row: &Row| {
            let stop = row.stopped.as_ref().filter(|stop| stop.is_failure())?;
            Some(format!("{}: {stop}", row.workload))
        };
        let items = self.items.iter().filter_map(|row| {
            row.failed.as_ref().map(|why| format!("{}: FAILED: {why}", row.items))
        });
        rows.filter_map(failed).chain(items).collect()
    }
}

impl Row {
    pub fn scan(&self, source: Source) -> Option<&Scan> {
        self.scans.iter().find(|scan| scan.source == source)
    }

    /// Scans of which the stages are shown. Staging memory only saves the host a copy.
    pub fn by_stage(&self) -> impl Iterator<Item = &Scan> {
        self.scans.iter().filter(|scan| scan.source != Source::Staged)
    }

    pub fn gbps(&self, source: Source) -> Option<f64> {
        Some(self.workload.bytes as f64 / self.scan(source)?.seconds / 1e9)
    }

    /// With several scans in flight.
    pub fn gbps_in_flight(&self, source: Source) -> Option<f64> {
        let flight = self.flights.iter().find(|flight| flight.source == source)?;
        Some(self.workload.bytes as f64 / flight.seconds / 1e9)
    }

    /// Hyperscan's GB/s with end offsets and 16 threads.
    pub fn hyperscan(&self) -> Option<f64> {
        self.peers.as_ref()?.hyperscan.ends.as_ref().ok()?.with_most_threads()
    }
}
