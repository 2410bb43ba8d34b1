//! What is measured: rules, a haystack, and the matches that have to come out.

use std::collections::HashMap;
use std::fmt;
use std::process::Command;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use vkscan::{Match, MatchKind, PipelineOptions, RulePipeline};

use crate::Result;
use crate::data::{folder, patterns, read, tiled, unpacked, without_size};
use crate::numbers::size;

/// `workloads.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    #[serde(rename = "workload")]
    pub workloads: Vec<Workload>,
    pub items: Vec<Items>,
    pub sweep: Sweep,
    pub ceiling: Ceiling,
}

/// Where the haystack is before a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Ordinary,
    Staged,
    Device,
}

pub const SOURCES: [Source; 3] = [Source::Ordinary, Source::Staged, Source::Device];

/// Rules over the first bytes of a haystack, which is repeated as often as needed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Names of rule files, of which the patterns are numbered in this order.
    pub rules: Vec<String>,
    pub haystack: String,
    pub bytes: usize,
    #[serde(default)]
    pub kind: Kind,
    #[serde(default = "usually_enough")]
    pub max_matches: usize,
    pub digest: String,
    #[serde(default)]
    pub floor: Floor,
}

fn usually_enough() -> usize {
    1 << 21
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    #[default]
    LeftmostFirst,
    All,
}

/// What is asked of a workload.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Floor {
    /// GB/s from ordinary memory.
    pub ordinary: Option<f64>,
    /// GB/s from lent staging memory.
    pub staged: Option<f64>,
    /// GB/s in device memory.
    pub device: Option<f64>,
    /// Times the GB/s of Hyperscan's 16 threads, from ordinary memory.
    pub hyperscan: Option<f64>,
    /// Most microseconds of a call, from ordinary memory.
    pub call_us: Option<f64>,
}

/// Rules over many small haystacks, cut from the front of a large one, which is repeated as often as needed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Items {
    pub rules: Vec<String>,
    pub haystack: String,
    /// Of each item.
    pub bytes: usize,
    pub count: usize,
    pub digest: String,
    #[serde(default)]
    pub floor: ItemsFloor,
}

/// What is asked of small haystacks.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ItemsFloor {
    pub per_second: Option<f64>,
    pub gbps: Option<f64>,
    /// Most microseconds of one item alone.
    pub one_us: Option<f64>,
}

impl Items {
    /// All of them together.
    pub fn workload(&self) -> Workload {
        Workload {
            rules: self.rules.clone(),
            haystack: self.haystack.clone(),
            bytes: self.bytes * self.count,
            kind: Kind::default(),
            max_matches: usually_enough(),
            digest: self.digest.clone(),
            floor: Floor::default(),
        }
    }
}

impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} x {}", self.workload().without_size(), self.count, size(self.bytes))
    }
}

/// One workload at many sizes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    rules: Vec<String>,
    haystack: String,
    sizes: Vec<Size>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    bytes: usize,
    digest: String,
}

/// GB/s that the hardware allows.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// From host memory to the device.
    pub host: f64,
    /// In device memory.
    pub device: f64,
}

impl Plan {
    pub fn read() -> Result<Plan> {
        Ok(toml::from_str(include_str!("../workloads.toml"))?)
    }
}

impl Floor {
    pub fn gbps(&self, source: Source) -> Option<f64> {
        match source {
            Source::Ordinary => self.ordinary,
            Source::Staged => self.staged,
            Source::Device => self.device,
        }
    }
}

impl Ceiling {
    pub fn of(&self, source: Source) -> f64 {
        match source {
            Source::Ordinary | Source::Staged => self.host,
            Source::Device => self.device,
        }
    }
}

impl Sweep {
    pub fn workloads(&self) -> impl Iterator<Item = Workload> {
        self.sizes.iter().map(|Size { bytes, digest }| Workload {
            rules: self.rules.clone(),
            haystack: self.haystack.clone(),
            bytes: *bytes,
            kind: Kind::default(),
            max_matches: usually_enough(),
            digest: digest.clone(),
            floor: Floor::default(),
        })
    }
}

impl Workload {
    pub fn without_size(&self) -> String {
        format!("{} x {}", self.rules.join(" + "), without_size(&self.haystack))
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.without_size(), size(self.bytes))?;
        if self.kind == Kind::All {
            f.write_str(", all matches")?;
        }
        Ok(())
    }
}

/// 64-bit FNV-1a over the count and the words of all matches, sorted.
pub fn digest(matches: &[Match]) -> String {
    let words = matches.iter().flat_map(|found| [found.pattern_id, found.start, found.end]);
    let hash = std::iter::once(matches.len() as u32)
        .chain(words)
        .flat_map(u32::to_le_bytes)
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
    format!("{hash:016x}")
}

/// Rules and haystacks, each read once.
#[derive(Default)]
pub struct Data {
    haystacks: HashMap<String, Vec<u8>>,
    pipelines: HashMap<(Vec<String>, Kind), Rc<RulePipeline>>,
}

impl Data {
    pub fn patterns(&self, workload: &Workload) -> Result<Vec<String>> {
        let of_each = workload.rules.iter().map(|name| patterns(name));
        Ok(of_each.collect::<Result<Vec<_>>>()?.concat())
    }

    pub fn pipeline(&mut self, workload: &Workload) -> Result<Rc<RulePipeline>> {
        let key = (workload.rules.clone(), workload.kind);
        if let Some(pipeline) = self.pipelines.get(&key) {
            return Ok(pipeline.clone());
        }
        let match_kind = match workload.kind {
            Kind::LeftmostFirst => MatchKind::LeftmostFirst,
            Kind::All => MatchKind::All,
        };
        let options = PipelineOptions::default().match_kind(match_kind);
        let pipeline = Rc::new(RulePipeline::with_options(&self.patterns(workload)?, options)?);
        self.pipelines.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    pub fn haystack(&mut self, workload: &Workload) -> Result<Vec<u8>> {
        let name = &workload.haystack;
        if !self.haystacks.contains_key(name) {
            let whole =
                if name == "linux-planted" { planted()? } else { unpacked(name, usize::MAX)? };
            self.haystacks.insert(name.clone(), whole);
        }
        Ok(tiled(&self.haystacks[name], workload.bytes))
    }
}

fn planted() -> Result<Vec<u8>> {
    let script = folder().join("haystacks/make_planted.py");
    let made = tempfile::tempdir()?;
    let haystack = made.path().join("linux-planted");
    let mut python = Command::new("python3");
    let output = python.arg(script).args([&haystack, &made.path().join("index")]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    read(&haystack)
}
