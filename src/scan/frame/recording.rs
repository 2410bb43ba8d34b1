//! Commands that are recorded once and submitted again, and the marks in them that time stages.

use std::sync::Arc;
use std::time::Duration;

use ash::vk;

use crate::BackendError;
use crate::narrow::narrow;
use crate::scan::stats::StageTimes;
use crate::shaders::layout::ScanParams;
use crate::vulkan::command::{Commands, Recorder};
use crate::vulkan::device::Device;
use crate::vulkan::query::Timestamps;

/// Commands that serve again as long as parameters stay the same.
pub(super) struct Recording {
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
    pub(super) ending: Ending,
}

/// What a run ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The hits, as they were found.
    Hits,
    /// The matches, if hits are few; or hits, if they leave open which of them count.
    Matches,
    /// The matches, also where hits are many.
    MatchesOfMany,
}

impl Key {
    pub(super) fn new(params: ScanParams, first_timestamp: u32) -> Key {
        Key { params, first_timestamp, is_same: false, ending: Ending::Hits }
    }
}

impl Recording {
    pub(super) fn new(device: &Arc<Device>, name: &str) -> Result<Recording, BackendError> {
        Ok(Recording { commands: Commands::new(device, name)?, key: None, stages: Vec::new() })
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
        let mut marks = Marks { timestamps, first: key.first_timestamp, stages: &mut self.stages };
        self.commands.record(|to| body(to, &mut marks))?;
        self.key = Some(key);
        Ok(())
    }
}

/// Writes timestamps.
pub(super) struct Marks<'a> {
    timestamps: Option<&'a Arc<Timestamps>>,
    first: u32,
    pub(super) stages: &'a mut Vec<Stage>,
}

impl Marks<'_> {
    pub(super) fn mark(&mut self, to: &mut Recorder, ended: Stage) {
        if let Some(timestamps) = self.timestamps {
            let index = self.first + narrow::<_, u32>(self.stages.len());
            to.write_timestamp(timestamps, index, vk::PipelineStageFlags::BOTTOM_OF_PIPE);
        }
        self.stages.push(ended);
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
    Readback,
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
        // The clock's wrap is taken care of, but two marks of no work may be out of order by a tick.
        let passed = Duration::from_nanos(pair[1].saturating_sub(pair[0]));
        match stage {
            Stage::Begin => {}
            Stage::Upload => times.upload += passed,
            Stage::Prefilter => times.prefilter += passed,
            Stage::Confirm => times.confirm += passed,
            Stage::VerifyDfa => times.verify_dfa += passed,
            Stage::VerifyNfa => times.verify_nfa += passed,
            Stage::Select => times.select += passed,
            Stage::Readback => times.readback += passed,
        }
    }
    times
}
