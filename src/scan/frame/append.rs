//! A scan's commands for command buffers of the caller's: made once, recorded as often as there are sets for.

use std::mem::offset_of;
use std::sync::Arc;

use ash::vk;
use bytemuck::bytes_of;

use super::bindings::bindings;
use super::passes::FirstPass;
use super::replay::{Extent, Marks};
use super::resources::{Common, Others, Resources};
use crate::BackendError;
use crate::narrow::narrow;
use crate::shaders::layout::{self, Control, ScanParams};
use crate::vulkan::RawCommandBuffer;
use crate::vulkan::allocator::MemoryLocation;
use crate::vulkan::command::{Commands, Keep, Recorder, Scope};
use crate::vulkan::device::Device;
use crate::vulkan::memory::{Buffer, Span};
use crate::vulkan::pipeline::DescriptorSet;
use crate::vulkan::timeline::Timeline;

/// Buffers for one run at a time, and descriptor sets for several recordings.
pub(crate) struct Appender {
    device: Arc<Device>,
    resources: Resources,
    _others: Others,
    places: Vec<Place>,
    recorded: usize,
    /// Recordings that were let go of before these.
    forgotten: u64,
}

/// What one recording has for its own.
struct Place {
    /// One for each pass.
    sets: Vec<Arc<DescriptorSet>>,
    keep: Keep,
    /// What was recorded.
    params: ScanParams,
}

/// Where a recording finds things, and what it does about others' commands.
pub(crate) struct Appended<'a> {
    /// The haystack, with as many bytes behind it as make the last unit whole; or where to copy it from.
    pub(crate) haystack: Span<'a>,
    pub(crate) is_copied: bool,
    /// A word with the haystack's length.
    pub(crate) length: Option<Span<'a>>,
    /// Counter, matches and state.
    pub(crate) hits: Span<'a>,
    pub(crate) rounds: u32,
    pub(crate) has_many: bool,
    pub(crate) has_barriers: bool,
}

impl Appender {
    /// `copied_bytes` are those of the largest haystack that has to be copied.
    pub(crate) fn new(
        common: &Common,
        places: usize,
        copied_bytes: u64,
    ) -> Result<Appender, BackendError> {
        let name = "recording";
        let Common { device, kernels, tables, .. } = *common;
        let buffer = |what: &str, bytes: u64| {
            let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
            let name = format!("{name}/{what}");
            Buffer::new(device, &name, bytes.max(16), MemoryLocation::DeviceLocal, usage)
        };
        let haystack = buffer("haystack", copied_bytes)?;
        // The caller's takes its place.
        let readback = haystack.clone();
        let (resources, others) = Resources::new(common, haystack, readback, None, name)?;
        let place = |place: usize| {
            let set = |pass: usize| {
                let name = format!("{name}/place {place}/pass {pass}");
                DescriptorSet::unbound(device, &name, &kernels.set_layout).map(Arc::new)
            };
            let sets = (0..tables.len()).map(set).collect::<Result<_, _>>()?;
            Ok(Place { sets, keep: Keep::default(), params: ScanParams::default() })
        };
        let places = (0..places).map(place).collect::<Result<_, BackendError>>()?;
        let timeline = Timeline::new(device, name)?;
        let mut clear = Commands::new(device, name)?;
        clear.record(|to| resources.record_clear(to, &others))?;
        let cleared = device.submit(&mut [&mut clear], &timeline)?;
        timeline.wait(cleared, device.deadline())?;
        let device = device.clone();
        Ok(Appender { device, resources, _others: others, places, recorded: 0, forgotten: 0 })
    }

    /// Bytes of a haystack that can be copied.
    pub(crate) fn copied_bytes(&self) -> u64 {
        self.resources.haystack.size()
    }

    /// Recordings that there is room for, and how many there are.
    pub(crate) fn places(&self) -> (usize, usize) {
        (self.places.len(), self.recorded)
    }

    /// Whether it was made with these tables.
    pub(crate) fn is_of(&self, tables: &[Buffer]) -> bool {
        let own = &self.resources.tables;
        own.len() == tables.len() && own.iter().zip(tables).all(|(one, other)| one.is(other))
    }

    pub(crate) fn is_on(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(&self.device, device)
    }

    /// Lets go of all recordings: none of them is executed any more.
    pub(crate) fn clear(&mut self) {
        self.resources.own_sets.clear();
        for place in &mut self.places {
            place.keep.clear();
        }
        self.forgotten += self.recorded as u64;
        self.recorded = 0;
    }

    /// The place of a recording, by its number, unless it has been let go of.
    pub(crate) fn index_of(&self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.forgotten)?).ok()?;
        (index < self.recorded).then_some(index)
    }

    /// Records a scan, which is the next recording, and gives its number. There is room for it.
    pub(crate) fn append(
        &mut self,
        commands: RawCommandBuffer,
        params: ScanParams,
        what: &Appended,
    ) -> Result<u64, BackendError> {
        let index = self.recorded;
        let number = self.forgotten + index as u64;
        // Never 0, as Control begins; and not that of a recording before, of which something may be left there.
        let epoch = narrow(number % u64::from(u32::MAX) + 1);
        let params = ScanParams { epoch, ..params };
        let Appender { device, resources, places, .. } = self;
        let place = &mut places[index];
        place.keep.clear();
        resources.own_sets.clear();
        let mut to = Recorder::for_caller(device, commands, &mut place.keep)?;
        let own = Span::whole(&resources.haystack);
        let haystack = if what.is_copied { own } else { what.haystack };
        for (set, tables) in place.sets.iter_mut().zip(&resources.tables) {
            let plain = resources.bound.iter().map(|(binding, buffer)| match *binding {
                layout::BINDING_READBACK => (layout::BINDING_READBACK, what.hits),
                binding => (binding, Span::whole(buffer)),
            });
            let bindings = bindings(tables, plain, &resources.shape, haystack);
            let set = Arc::get_mut(set).expect("nothing that is recorded names it");
            set.bind(&bindings)?;
        }
        resources.own_sets.extend(place.sets.iter().cloned());
        place.params = params;
        let most = params.haystack_len;
        to.label_begin(format_args!("vkscan recording {number}, up to {most} bytes"));
        begin(&mut to, what.has_barriers);
        resources.append_start(&mut to, params, what);
        let mut marks = Marks::none();
        let first = if params.use_prefilter == layout::PREFILTER_NONE {
            let begun = ScanParams { stage: layout::SCHEDULE_BEGIN, ..params };
            resources.schedule(&mut to, begun);
            FirstPass::Whole
        } else {
            resources.record_prefilter(&mut to, &mut marks, params);
            FirstPass::Prefiltered
        };
        let params = resources.record_all_rounds(&mut to, &mut marks, params, what.rounds, first);
        resources.append_end(&mut to, &mut marks, params, what.rounds > 1, what.has_many);
        end(&mut to, what.has_barriers);
        to.label_end();
        self.recorded += 1;
        Ok(number)
    }

    /// Records how a recording goes on, between barriers.
    pub(crate) fn go_on(
        &mut self,
        commands: RawCommandBuffer,
        index: usize,
        rounds: u32,
    ) -> Result<(), BackendError> {
        let Appender { device, resources, places, .. } = self;
        let place = &mut places[index];
        resources.own_sets.clear();
        resources.own_sets.extend(place.sets.iter().cloned());
        let mut to = Recorder::for_caller(device, commands, &mut place.keep)?;
        let params = ScanParams { stage: layout::SCHEDULE_ROUND, ..place.params };
        to.label_begin(format_args!("vkscan recording goes on, {rounds} rounds"));
        begin(&mut to, true);
        resources.append_go_on(&mut to, &mut Marks::none(), params, rounds);
        end(&mut to, true);
        to.label_end();
        Ok(())
    }
}

/// What came before has ended: others' commands, if these are waited for, and the recording before, for both use the same
/// buffers.
fn begin(to: &mut Recorder, has_barriers: bool) {
    let before = if has_barriers { Scope::OTHERS } else { Scope::ALL_OF_SCAN };
    to.barrier(before, Scope::ALL_OF_SCAN);
}

fn end(to: &mut Recorder, has_barriers: bool) {
    if has_barriers {
        to.barrier(Scope::ALL_OF_SCAN, Scope::OTHERS);
    }
}

impl Resources {
    /// Records what a recording begins with: the haystack's length, and the haystack if it is copied.
    fn append_start(&self, to: &mut Recorder, params: ScanParams, what: &Appended) {
        let len_at = offset_of!(Control, haystack_len);
        let control = Control {
            haystack_len: params.haystack_len,
            recording: params.epoch,
            ..Control::default()
        };
        to.label_begin(format_args!("reset"));
        to.fill_buffer(&self.hits, 0, 4, 0);
        to.update_buffer(&self.control, len_at as u64, &bytes_of(&control)[len_at..]);
        if what.is_copied {
            let Span { buffer, offset, .. } = what.haystack;
            let size = params.haystack_len.into();
            let region = vk::BufferCopy { src_offset: offset, dst_offset: 0, size };
            to.copy_buffer(buffer, &self.haystack, &[region]);
        }
        if let Some(Span { buffer, offset, .. }) = what.length {
            to.transfer_to_transfer();
            let region = vk::BufferCopy { src_offset: offset, dst_offset: len_at as u64, size: 4 };
            to.copy_buffer(buffer, &self.control, &[region]);
        }
        to.label_end();
        to.transfer_to_compute();
    }

    /// Records how a run goes on, wherever it has come to: with the rounds of its passes, with starts that hits have left
    /// open, with hits that are many, or all anew.
    fn append_go_on(&self, to: &mut Recorder, marks: &mut Marks, params: ScanParams, rounds: u32) {
        self.schedule(to, params);
        self.record_all_rounds(to, marks, params, rounds, FirstPass::Resumed);
        self.append_end(to, marks, params, true, true);

        // What there was no room for is done anew, with every start.
        let (use_prefilter, stage) = (layout::PREFILTER_NONE, layout::SCHEDULE_ANEW);
        let params = ScanParams { use_prefilter, stage, has_listed: 0, ..params };
        self.schedule(to, ScanParams { stage: layout::SCHEDULE_RESTART, ..params });
        self.record_all_rounds(to, marks, params, rounds, FirstPass::Resumed);
        self.append_end(to, marks, params, true, true);
    }

    /// Records the end of a run, with open starts verified once if they are verified `again`. Hits that are many wait for the
    /// last selection.
    fn append_end(
        &self,
        to: &mut Recorder,
        marks: &mut Marks,
        params: ScanParams,
        again: bool,
        has_many: bool,
    ) {
        if again {
            self.select(to, params, Extent::Tile);
            self.verify_again(to, marks, params);
        }
        self.select(to, params, if has_many { Extent::Many } else { Extent::Tile });
    }
}
