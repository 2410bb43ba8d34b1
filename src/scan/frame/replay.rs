//! Commands that are recorded once and submitted again, and the marks in them that time stages.

use std::sync::Arc;
use std::time::Duration;

use ash::vk;

use super::pipelines::FEW_HITS;
use super::shape::FrameShape;
use crate::BackendError;
use crate::narrow::narrow;
use crate::scan::stats::StageTimes;
use crate::shaders::layout::{Hit, ScanParams};
use crate::vulkan::command::{Commands, Recorder};
use crate::vulkan::device::Device;
use crate::vulkan::query::Timestamps;

/// Commands that serve again as long as parameters stay the same.
pub(super) struct Replay {
    pub(super) commands: Commands,
    /// What they were recorded for.
    pub(super) key: Option<Key>,
    /// What ended at each timestamp.
    pub(super) stages: Vec<Stage>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) struct Key {
    /// With the pass they begin with.
    pub(super) params: ScanParams,
    pub(super) first_timestamp: u32,
    /// Whether the haystack is that of the run before.
    pub(super) is_same: bool,
    pub(super) forecast: Forecast,
    pub(super) goes_on: Option<GoesOn>,
}

/// What a submission goes on with that does not begin a run.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum GoesOn {
    /// Rounds, which were not enough.
    Rounds,
    /// Rounds that verify starts which hits have left open.
    RoundsAgain,
    /// Hits that turned out to be more.
    MoreHits,
    /// Starts that hits have left open.
    OpenStarts,
}

/// What a run is expected to come to, by the run before: that decides what is recorded ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forecast {
    pub(super) hits: Extent,
    /// Rounds of each pass.
    pub(super) rounds: u32,
    /// How often hits leave starts open.
    pub(super) again: u32,
}

/// How many hits there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// At most [`FEW_HITS`].
    #[default]
    Few,
    /// As one workgroup selects from.
    Tile,
    Many,
}

impl Extent {
    pub(super) fn of(hits: u32, shape: &FrameShape) -> Extent {
        match hits {
            _ if hits <= FEW_HITS.min(shape.select_tile) => Extent::Few,
            _ if hits <= shape.select_tile => Extent::Tile,
            _ => Extent::Many,
        }
    }
}

/// What is recorded ahead at most: rounds of each pass, and of verifying open starts.
pub(super) const MOST_ROUNDS_AHEAD: u32 = 16;
pub(super) const MOST_AGAIN_AHEAD: u32 = 4;

impl Key {
    pub(super) fn new(params: ScanParams, first_timestamp: u32) -> Key {
        Key {
            params,
            first_timestamp,
            is_same: false,
            forecast: Forecast::default(),
            goes_on: None,
        }
    }
}

impl Replay {
    pub(super) fn new(device: &Arc<Device>, name: &str) -> Result<Replay, BackendError> {
        Ok(Replay { commands: Commands::new(device, name)?, key: None, stages: Vec::new() })
    }

    /// Records anew if it was for something else.
    pub(super) fn record(
        &mut self,
        key: Key,
        timestamps: Option<&Arc<Timestamps>>,
        body: impl FnOnce(&mut Recorder, &mut Marks),
    ) -> Result<(), BackendError> {
        if self.key == Some(key) {
            return Ok(());
        }
        self.key = None;
        self.stages.clear();
        let mut marks =
            Marks { timestamps, first: key.first_timestamp, stages: Some(&mut self.stages) };
        self.commands.record(|to| body(to, &mut marks))?;
        self.key = Some(key);
        Ok(())
    }

    /// Records a run that begins with what is carried: that serves no other.
    pub(super) fn record_for(
        &mut self,
        carried: &[Hit],
        key: Key,
        timestamps: Option<&Arc<Timestamps>>,
        body: impl FnOnce(&mut Recorder, &mut Marks),
    ) -> Result<(), BackendError> {
        if !carried.is_empty() {
            self.key = None;
        }
        self.record(key, timestamps, body)?;
        if !carried.is_empty() {
            self.key = None;
        }
        Ok(())
    }
}

/// Writes timestamps.
pub(super) struct Marks<'a> {
    timestamps: Option<&'a Arc<Timestamps>>,
    first: u32,
    /// None where nobody wants to know.
    stages: Option<&'a mut Vec<Stage>>,
}

impl Marks<'_> {
    /// Marks that are not written.
    pub(super) fn none() -> Marks<'static> {
        Marks { timestamps: None, first: 0, stages: None }
    }

    pub(super) fn mark(&mut self, to: &mut Recorder, ended: Stage) {
        let Some(stages) = &mut self.stages else { return };
        if let Some(timestamps) = self.timestamps {
            let index = self.first + narrow::<_, u32>(stages.len());
            to.write_timestamp(timestamps, index, vk::PipelineStageFlags::BOTTOM_OF_PIPE);
        }
        stages.push(ended);
    }
}

/// What ended at a timestamp.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Stage {
    Begin,
    Upload,
    Prefilter,
    Confirm,
    VerifyDfa,
    VerifyNfa,
    Select,
}

impl Stage {
    /// As traces name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::Begin => "begin",
            Stage::Upload => "upload",
            Stage::Prefilter => "prefilter",
            Stage::Confirm => "confirm",
            Stage::VerifyDfa => "verify DFA",
            Stage::VerifyNfa => "verify NFA",
            Stage::Select => "select",
        }
    }
}

pub(super) fn mark_begin(to: &mut Recorder, timestamps: Option<&Arc<Timestamps>>) {
    if let Some(timestamps) = timestamps {
        to.reset_timestamps(timestamps);
        to.write_timestamp(timestamps, 0, vk::PipelineStageFlags::TOP_OF_PIPE);
    }
}

/// Adds up what passed before each timestamp.
pub(super) fn stage_times(stages: &[Stage], nanoseconds: &[u64]) -> StageTimes {
    let mut times = StageTimes::default();
    for (stage, pair) in stages[1..].iter().zip(nanoseconds.windows(2)) {
        let passed = Duration::from_nanos(pair[1] - pair[0]);
        match stage {
            Stage::Begin => {}
            Stage::Upload => times.upload += passed,
            Stage::Prefilter => times.prefilter += passed,
            Stage::Confirm => times.confirm += passed,
            Stage::VerifyDfa => times.verify_dfa += passed,
            Stage::VerifyNfa => times.verify_nfa += passed,
            Stage::Select => times.select += passed,
        }
    }
    times
}
