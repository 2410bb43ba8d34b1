//! Every kernel against its twin, on the same buffers, stage by stage.

use ash::vk;
use bytemuck::{Pod, bytes_of, cast_slice, pod_read_unaligned};

use super::*;
use crate::rules::tables::pack;
use crate::scan::frame::pipelines::{Kernels, SlotKernels, Specialisation};
use crate::shaders::layout::{self, ReadbackHeader};
use crate::vulkan::allocator::MemoryLocation;
use crate::vulkan::command::Commands;
use crate::vulkan::memory::Buffer;
use crate::vulkan::pipeline::{Binding, ComputePipeline, DescriptorSet};
use crate::vulkan::testing::TestBackend;
use crate::vulkan::timeline::Timeline;
use crate::{Backend, PipelineOptions, RulePipeline};

mod cases;
mod ceilings;
mod searches;
mod selection;

const BITMAP_LOG2: u32 = 11;
const PREFILTER_WORKGROUP: u32 = 64;
const CONFIRM_GROUPS: u32 = 2;
const SLOT_WORKGROUP: u32 = 4;

/// Bytes of what is read back in front of the hits.
const HEADER: usize = size_of::<ReadbackHeader>();

type Twin = fn(&mut Buffers, &ScanParams);

/// What lies behind a haystack on the device.
const PAST_END: u8 = 0xEE;

/// Device buffers with the contents of a twin's.
struct OnDevice<'a> {
    backend: &'a Backend,
    buffers: Vec<(u32, Buffer)>,
}

impl<'a> OnDevice<'a> {
    fn new(backend: &'a Backend, twin: &Buffers) -> OnDevice<'a> {
        let tables = [bytes_of(twin.header()), cast_slice(&twin.tables.words)].concat();
        let hits =
            [bytes_of(&twin.hit_count), cast_slice(&twin.hits), cast_slice(&twin.hit_suffixes)];
        let hits = hits.concat();
        let readback = vec![0xEE; HEADER + 12 * twin.hits.len() + 4 * twin.slots.len()];
        let ring = [cast_slice(&twin.tallies), cast_slice::<_, u8>(&twin.slots)].concat();
        let mut haystack = twin.haystack.clone();
        haystack.resize(haystack.len().next_multiple_of(16).max(16), PAST_END);
        let contents: [(u32, &[u8]); 13] = [
            (layout::BINDING_TABLES, &tables),
            (layout::BINDING_HITS, &hits),
            (layout::BINDING_CONTROL, bytes_of(&twin.control)),
            (layout::BINDING_START_WALKERS, cast_slice(&twin.start_walkers)),
            (layout::BINDING_QUEUE, cast_slice(&twin.queue)),
            (layout::BINDING_NFA_WALKERS, cast_slice(&twin.nfa_walkers)),
            (layout::BINDING_SCRATCH, cast_slice(&twin.scratch)),
            (layout::BINDING_READBACK, &readback),
            (layout::BINDING_CANDIDATES, cast_slice(&twin.candidates)),
            (layout::BINDING_SUMMARIES, cast_slice(&twin.summaries)),
            (layout::BINDING_RING, &ring),
            (layout::BINDING_SELECTION, cast_slice(&twin.selection)),
            (layout::BINDING_HAYSTACK, &haystack),
        ];
        let buffers = contents.map(|(binding, bytes)| {
            let (usage, location) =
                (vk::BufferUsageFlags::STORAGE_BUFFER, MemoryLocation::Readback);
            let size = (bytes.len() as u64).max(4);
            let name = format!("binding {binding}");
            let buffer = Buffer::new(backend.device(), &name, size, location, usage).unwrap();
            buffer.write(0, bytes);
            buffer.flush(0..size).unwrap();
            (binding, buffer)
        });
        OnDevice { backend, buffers: buffers.into() }
    }

    fn run(
        &self,
        kernels: &Kernels,
        kernel: &std::sync::Arc<ComputePipeline>,
        params: &ScanParams,
        grid: [u32; 2],
    ) {
        let device = self.backend.device();
        let bindings: Vec<Binding> = self
            .buffers
            .iter()
            .flat_map(|(binding, buffer)| {
                let is_haystack = *binding == layout::BINDING_HAYSTACK;
                let count = if is_haystack { layout::MAX_SEGMENTS } else { 1 };
                (0..count).map(|array_index| Binding {
                    binding: *binding,
                    array_index,
                    buffer,
                    offset: 0,
                    range: buffer.size(),
                })
            })
            .collect();
        let set = DescriptorSet::new(device, "set", &kernels.set_layout, &bindings).unwrap();
        let mut commands = Commands::new(device, "kernel").unwrap();
        commands
            .record(|to| {
                to.bind(kernel, &set);
                to.push_constants(bytes_of(params));
                to.dispatch(grid);
                to.compute_to_host();
            })
            .unwrap();
        let timeline = Timeline::new(device, "kernel").unwrap();
        let value = device.submit(&mut [&mut commands], &timeline).unwrap();
        timeline.wait(value, device.deadline()).unwrap();
    }

    fn bytes(&self, binding: u32) -> &[u8] {
        let (_, buffer) = self.buffers.iter().find(|(at, _)| *at == binding).unwrap();
        buffer.invalidate(0..buffer.size()).unwrap();
        buffer.mapped(0..buffer.size())
    }

    fn array<T: Pod>(&self, binding: u32, count: usize) -> Vec<T> {
        let bytes = &self.bytes(binding)[..count * size_of::<T>()];
        bytemuck::allocation::pod_collect_to_vec(bytes)
    }

    /// Compares what is read back, what the hits have become, and starts that they leave open.
    fn compare_selected(
        &self,
        twin: &Buffers,
        header: ReadbackHeader,
        matches: &[Hit],
        slot_states: &[u32],
    ) {
        let bytes = self.bytes(layout::BINDING_READBACK);
        assert_eq!(pod_read_unaligned::<ReadbackHeader>(&bytes[..HEADER]), header);
        let (of_hits, of_slots) = bytes[HEADER..].split_at(12 * twin.hits.len());
        let (found, behind) = of_hits.split_at(12 * matches.len());
        assert_eq!(found, cast_slice::<_, u8>(matches));
        let (states, others) = of_slots.split_at(4 * slot_states.len());
        assert_eq!(states, cast_slice::<_, u8>(slot_states));
        let mut untouched = behind.iter().chain(others);
        assert!(untouched.all(|&byte| byte == 0xEE), "more than that was written");
        let [mut ours, mut theirs] = [twin.clone(), self.read(twin)];
        if ours.control.opened & layout::OPENED_TOO_MUCH != 0 {
            // Invocations race for what is left.
            (theirs.control.start_count, theirs.candidates) = (0, Vec::new());
            (ours.control.start_count, ours.candidates) = (0, Vec::new());
        }
        for buffers in [&mut ours, &mut theirs] {
            buffers.candidates.sort_unstable_by_key(|start| (start.of, start.at));
        }
        let of_selection =
            |control: &Control| (control.selected, control.opened, control.start_count);
        assert_eq!(of_selection(&theirs.control), of_selection(&ours.control));
        assert_eq!(theirs.control, ours.control);
        assert_eq!(theirs.candidates, ours.candidates);
        assert_eq!((theirs.slots, theirs.tallies), (ours.slots, ours.tallies));
        assert_eq!(theirs.hit_count, ours.hit_count);
        let count = ours.hits.len().min(ours.hit_count as usize);
        assert_eq!(theirs.hits[..count], ours.hits[..count]);
        if header.selected != layout::SELECTED_ALL {
            assert_eq!(theirs.hit_suffixes[..count], ours.hit_suffixes[..count]);
        }
    }

    /// What the kernel left, as a twin's buffers.
    fn read(&self, before: &Buffers) -> Buffers {
        let hits = self.bytes(layout::BINDING_HITS);
        let ring_head = size_of_val(&before.tallies[..]);
        Buffers {
            hit_count: pod_read_unaligned(&hits[..4]),
            hits: bytemuck::allocation::pod_collect_to_vec(&hits[4..4 + 12 * before.hits.len()]),
            hit_suffixes: bytemuck::allocation::pod_collect_to_vec(
                &hits[4 + 12 * before.hits.len()..],
            ),
            control: self.array(layout::BINDING_CONTROL, 1)[0],
            start_walkers: self.array(layout::BINDING_START_WALKERS, before.start_walkers.len()),
            queue: self.array(layout::BINDING_QUEUE, before.queue.len()),
            candidates: self.array(layout::BINDING_CANDIDATES, before.candidates.len()),
            summaries: self.array(layout::BINDING_SUMMARIES, before.summaries.len()),
            selection: self.array(layout::BINDING_SELECTION, before.selection.len()),
            nfa_walkers: self.array(layout::BINDING_NFA_WALKERS, before.nfa_walkers.len()),
            scratch: self.array(layout::BINDING_SCRATCH, before.scratch.len()),
            tallies: self.array(layout::BINDING_RING, before.tallies.len()),
            slots: bytemuck::allocation::pod_collect_to_vec(
                &self.bytes(layout::BINDING_RING)[ring_head..][..size_of_val(&before.slots[..])],
            ),
            ..before.clone()
        }
    }
}

/// Runs kernel and twin on the same buffers and compares all that they leave. Hits and tasks may
/// come in another order, for invocations race for them.
fn compare(
    backend: &Backend,
    kernels: &Kernels,
    state: &mut Buffers,
    params: &ScanParams,
    stage: &str,
) {
    let device = OnDevice::new(backend, state);
    let groups = |walkers: u32| [walkers.div_ceil(layout::WORKGROUP), 1];
    let Control { chunk_summaries_x, chunk_summaries_y, compose_summaries_x, .. } = state.control;
    let (kernel, grid, twin): (_, _, Twin) = match stage {
        "schedule" => (&kernels.schedule, [1, 1], schedule),
        "verify_dfa" => (&kernels.verify_dfa, groups(params.start_walkers), verify_dfa),
        "gram_prefilter" => {
            (&kernels.gram_prefilter, [params.gram_prefilter_groups(), 1], gram_prefilter)
        }
        "class_prefilter" => {
            (&kernels.class_prefilter, [params.gram_prefilter_groups(), 1], class_prefilter)
        }
        "confirm" => (&kernels.confirm, [CONFIRM_GROUPS, 1], confirm),
        "chunk_summaries" => {
            (&kernels.chunk_summaries, [chunk_summaries_x, chunk_summaries_y], chunk_summaries)
        }
        "compose_summaries" => {
            (&kernels.compose_summaries, [compose_summaries_x, 1], compose_summaries)
        }
        "claim" => (&slot_kernels(kernels).claim, slot_groups(params), claim),
        other => panic!("no kernel {other}"),
    };
    device.run(kernels, kernel, params, grid);
    let mut theirs = device.read(state);
    twin(state, params);
    let mut ours = state.clone();
    let sort = |buffers: &mut Buffers| {
        let count = buffers.hit_count.min(params.hit_capacity) as usize;
        let hits = buffers.hits.iter().copied().zip(buffers.hit_suffixes.iter().copied());
        let mut hits: Vec<(Hit, u32)> = hits.take(count).collect();
        hits.sort_unstable_by_key(|(hit, suffix)| (hit.pattern_id, hit.start, hit.end, *suffix));
        for (at, (hit, suffix)) in hits.into_iter().enumerate() {
            (buffers.hits[at], buffers.hit_suffixes[at]) = (hit, suffix);
        }
        buffers.queue.sort_unstable_by_key(|task| (task.rule, task.start, task.from));
        let (suffixes, starts) =
            buffers.candidates.split_at_mut(params.candidate_capacity as usize);
        for list in [suffixes, starts] {
            list.sort_unstable_by_key(|found| (found.of, found.at));
        }
        buffers.control.named.sort_unstable();
        buffers.control.claimed = buffers.control.claimed.min(params.slot_count);
        buffers.control.listed.sort_unstable_by(|one, other| other.cmp(one));
    };
    sort(&mut ours);
    sort(&mut theirs);
    assert_eq!(theirs.hit_count, ours.hit_count, "{stage}");
    assert_eq!(theirs.hits, ours.hits, "{stage}");
    assert_eq!(theirs.hit_suffixes, ours.hit_suffixes, "{stage}");
    assert_eq!(theirs.queue, ours.queue, "{stage}");
    assert_eq!(theirs.candidates, ours.candidates, "{stage}");
    assert_eq!(theirs.control, ours.control, "{stage}");
    assert_eq!(theirs.start_walkers, ours.start_walkers, "{stage}");
    assert_eq!(theirs.summaries, ours.summaries, "{stage}");
    assert_eq!(theirs.nfa_walkers, ours.nfa_walkers, "{stage}");
    assert_eq!(theirs.scratch, ours.scratch, "{stage}");
    assert_eq!(theirs.tallies, ours.tallies, "{stage}");
    assert_eq!(theirs.slots, ours.slots, "{stage}");
}

/// Compares every stage of a whole scan.
fn compare_scan(
    backend: &Backend,
    rules: &RulePipeline,
    haystack: &[u8],
    params: ScanParams,
) -> Buffers {
    let kind = rules.options().match_kind;
    compare_tables(backend, kind, &tables_of(rules), haystack, &[], params)
}

fn tables_of(rules: &RulePipeline) -> Pass {
    let kind = rules.options().match_kind;
    let mut passes =
        pack::pack(rules.rules(), kind, u64::MAX, pack::Grams::of_bitmap(BITMAP_LOG2)).unwrap();
    assert_eq!(passes.len(), 1);
    passes.remove(0)
}

/// Buffers as walks before have left them: with old stamps, and epochs that are about to begin again.
fn used_buffers(kind: MatchKind, tables: &Pass, haystack: &[u8], params: &ScanParams) -> Buffers {
    let mut state = Buffers::new(kind, tables.clone(), haystack, params);
    state.past_end = PAST_END;
    for (walker, before) in state.nfa_walkers.iter_mut().zip([3, 0].into_iter().cycle()) {
        walker.epoch = layout::NFA_EPOCH_LIMIT - before;
    }
    // The kernel's stamps have a lane below the epoch, the twin's have not.
    for (word, epoch) in state.scratch.iter_mut().zip((1..9).cycle()) {
        *word = if epoch % 2 == 0 { epoch << layout::NFA_LANE_BITS } else { epoch };
    }
    state
}

fn kernels_of(backend: &Backend, kind: MatchKind, tables: &Pass, has_slots: bool) -> Kernels {
    let specialisation = Specialisation {
        segments: 1,
        match_kind: kind,
        bitmap_log2: BITMAP_LOG2,
        prefilter_workgroup: PREFILTER_WORKGROUP,
        gram_stride: tables.header.gram_stride,
        nfa_lanes: backend.device_info().subgroup_size,
        search_after: SEARCH_AFTER,
        select_lanes: SELECT_TILE / 2,
        select_tile: SELECT_TILE,
        slot_workgroup: has_slots.then_some(SLOT_WORKGROUP),
        is_recorded: false,
    };
    Kernels::new(backend, specialisation).unwrap()
}

fn compare_tables(
    backend: &Backend,
    kind: MatchKind,
    tables: &Pass,
    haystack: &[u8],
    slots: &[Slot],
    params: ScanParams,
) -> Buffers {
    let kernels = kernels_of(backend, kind, tables, !slots.is_empty());
    let mut state = used_buffers(kind, tables, haystack, &params);
    state.slots = slots.to_vec();
    if !slots.is_empty() {
        compare(backend, &kernels, &mut state, &params, "claim");
    }
    let mut params = params;
    let mut before_rounds = vec!["gram_prefilter", "class_prefilter", "confirm"];
    before_rounds
        .retain(|&stage| stage != "class_prefilter" || tables.header.has_class_windows != 0);
    if params.use_prefilter == layout::PREFILTER_NONE {
        let begin = ScanParams { stage: layout::SCHEDULE_BEGIN, ..params };
        compare(backend, &kernels, &mut state, &begin, "schedule");
    } else {
        for stage in &before_rounds {
            compare(backend, &kernels, &mut state, &params, stage);
        }
        if state.control.retry_reasons == layout::RETRY_LISTED {
            // As the next run begins.
            let listed = state.control.listed;
            state = used_buffers(kind, tables, haystack, &params);
            state.control.listed = listed;
            assert!(slots.is_empty(), "those would have to be claimed again");
            params.has_listed = 1;
            for stage in &before_rounds {
                compare(backend, &kernels, &mut state, &params, stage);
            }
        }
        let end_confirmed = ScanParams { stage: layout::SCHEDULE_CONFIRMED, ..params };
        compare_select(backend, &kernels, &mut state.clone(), &end_confirmed);
        compare(backend, &kernels, &mut state, &end_confirmed, "schedule");
        assert_eq!(state.control.retry_reasons, 0);
        let has_more = params.is_direct != 0 || params.has_listed != 0;
        assert!(state.control.start_count > 0 || has_more);
    }
    let mut summary_count = 0;
    while state.control.pass == 0 {
        if state.control.compose_summaries_x > 0 {
            compare(backend, &kernels, &mut state, &params, "chunk_summaries");
            compare(backend, &kernels, &mut state, &params, "compose_summaries");
            summary_count += state.control.compose_summaries_x;
        }
        compare(backend, &kernels, &mut state, &params, "verify_dfa");
        compare_nfa(backend, &kernels, &mut state, &params);
        compare(backend, &kernels, &mut state, &params, "schedule");
    }
    assert!(state.hit_count > 0);
    assert_eq!(summary_count > 0, params.chunk_log2 != 0, "{summary_count} summaries");
    compare_restart(backend, &kernels, &mut state.clone(), &params);
    let mut at_end = state.clone();
    compare_selection(backend, &kernels, &mut at_end, &params);
    Buffers { slots: at_end.slots, tallies: at_end.tallies, ..state }
}

/// Compares how a scan that is over begins anew, once, as if there had been no room for its candidates.
fn compare_restart(backend: &Backend, kernels: &Kernels, state: &mut Buffers, params: &ScanParams) {
    state.control.retry_reasons = layout::RETRY_CANDIDATES;
    let use_prefilter = layout::PREFILTER_NONE;
    let restart = ScanParams { stage: layout::SCHEDULE_RESTART, use_prefilter, ..*params };
    for _ in 0..2 {
        compare(backend, kernels, state, &restart, "schedule");
        let Control { pass, restarted, retry_reasons, verify_dfa_x, .. } = state.control;
        assert_eq!((pass, restarted, retry_reasons, state.hit_count), (0, 1, 0, 0));
        assert!(verify_dfa_x > 0);
    }
    // Nothing is looked for any more, nor judged that was not.
    for stage in [layout::SCHEDULE_ROUND, layout::SCHEDULE_CONFIRMED] {
        state.control.verify_dfa_x = 0;
        let before = state.control.generation;
        compare(backend, kernels, state, &ScanParams { stage, ..*params }, "schedule");
        if params.use_prefilter != use_prefilter {
            assert_eq!(state.control.verify_dfa_x, 0);
            assert_eq!((state.control.generation, state.control.pass), (before, 0));
        }
    }
}

/// Compares the hits once all tasks are through: the kernel's walkers stop elsewhere than the twin's, and
/// take other tasks. These are the kernel's in the end.
fn compare_nfa(
    backend: &Backend,
    kernels: &Kernels,
    state: &mut Buffers,
    params: &ScanParams,
) -> Vec<NfaWalker> {
    // Of the starts; the next `schedule` has to know.
    let unfinished = std::mem::take(&mut state.control.unfinished);
    let mut theirs = state.clone();
    while nfa_is_left(&mut theirs, params) {
        let device = OnDevice::new(backend, &theirs);
        device.run(kernels, &kernels.verify_nfa, params, [params.nfa_walkers, 1]);
        theirs = device.read(&theirs);
    }
    while nfa_is_left(state, params) {
        verify_nfa(state, params);
    }
    let hits = |buffers: &Buffers| {
        let mut hits = buffers.hits[..buffers.hit_count as usize].to_vec();
        hits.sort_unstable_by_key(|hit| (hit.pattern_id, hit.start, hit.end));
        hits
    };
    assert_eq!(hits(&theirs), hits(state), "verify_nfa");
    // Steps are others'.
    for buffers in [&mut theirs, state] {
        let Control { nfa_steps, held_up, held_up_count, .. } = &mut buffers.control;
        *nfa_steps = 0;
        held_up.fill(0);
        held_up_count.fill(0);
    }
    assert_eq!(theirs.control, state.control, "verify_nfa");
    let is_idle = |walker: &NfaWalker| walker.mode == layout::NFA_IDLE;
    assert!(theirs.nfa_walkers.iter().all(is_idle), "verify_nfa");
    // Beyond the limit a stamp has no room for its epoch.
    let has_stamps = |walker: &NfaWalker| walker.epoch <= layout::NFA_EPOCH_LIMIT;
    assert!(theirs.nfa_walkers.iter().all(has_stamps), "verify_nfa");
    state.control.unfinished = unfinished;
    theirs.nfa_walkers
}

/// Whether walkers or tasks are left; puts the counters right for another round, if so.
fn nfa_is_left(buffers: &mut Buffers, params: &ScanParams) -> bool {
    let control = &mut buffers.control;
    let filled = (control.queue_tail - control.queue_base).min(params.queue_capacity);
    let begins =
        control.searched[0] != 0 && buffers.nfa_walkers[0].generation != control.generation;
    let is_left =
        begins || control.unfinished > 0 || control.queue_head != control.queue_base + filled;
    control.unfinished = 0;
    control.queue_head = control.queue_head.min(control.queue_base + filled);
    is_left
}

/// Compares what is selected, as often as hits leave starts open.
fn compare_selection(
    backend: &Backend,
    kernels: &Kernels,
    state: &mut Buffers,
    params: &ScanParams,
) -> ReadbackHeader {
    let of_open_starts = params.of_open_starts();
    loop {
        let header = compare_select(backend, kernels, state, params);
        if header.selected != layout::SELECTED_OPEN {
            return header;
        }
        let begin = ScanParams { stage: layout::SCHEDULE_SELECTED, ..of_open_starts };
        compare(backend, kernels, state, &begin, "schedule");
        while state.control.pass < params.pass_count {
            compare(backend, kernels, state, &of_open_starts, "verify_dfa");
            compare_nfa(backend, kernels, state, &of_open_starts);
            compare(backend, kernels, state, &of_open_starts, "schedule");
        }
    }
}

/// Compares what is selected from hits, and what becomes of them.
fn compare_select(
    backend: &Backend,
    kernels: &Kernels,
    state: &mut Buffers,
    params: &ScanParams,
) -> ReadbackHeader {
    let device = OnDevice::new(backend, state);
    // Of packed items, other workgroups retire the slots.
    let groups =
        if state.slots.is_empty() { 0 } else { params.slot_count.div_ceil(SELECT_TILE / 2) };
    device.run(kernels, &kernels.select, params, [1 + groups, 1]);
    let retired = if groups > 0 { retire(state, params) } else { None }.unwrap_or_default();
    let (header, matches) = select(state, params).expect("nothing has been selected");
    device.compare_selected(state, header, &matches, &retired);
    if header.selected != layout::SELECTED_MANY {
        return header;
    }
    let Control { tiles_x, sum_digits_x, enter_tiles_x, write_matches_x, .. } = state.control;
    for digit in 0..state.digits(params) {
        let params = ScanParams { stage: digit, ..*params };
        compare_many(
            backend,
            kernels,
            state,
            &params,
            &kernels.count_digits,
            tiles_x,
            count_digits,
        );
        compare_many(
            backend,
            kernels,
            state,
            &params,
            &kernels.sum_digits,
            sum_digits_x,
            sum_digits,
        );
        compare_many(backend, kernels, state, &params, &kernels.move_hits, tiles_x, move_hits);
    }
    if state.match_kind == MatchKind::LeftmostFirst {
        compare_many(backend, kernels, state, params, &kernels.link_tiles, tiles_x, link_tiles);
        let enter = &kernels.enter_tiles;
        compare_many(backend, kernels, state, params, enter, enter_tiles_x, enter_tiles);
    }
    compare_many(backend, kernels, state, params, &kernels.select_tiles, tiles_x, select_tiles);
    let device = OnDevice::new(backend, state);
    device.run(kernels, &kernels.write_matches, params, [write_matches_x, 1]);
    let (header, matches) = write_matches(state, params);
    device.compare_selected(state, header, &matches, &[]);
    header
}

/// Compares a step on the way from many hits to what is selected from them.
fn compare_many(
    backend: &Backend,
    kernels: &Kernels,
    state: &mut Buffers,
    params: &ScanParams,
    kernel: &std::sync::Arc<ComputePipeline>,
    groups: u32,
    twin: Twin,
) {
    let device = OnDevice::new(backend, state);
    device.run(kernels, kernel, params, [groups, 1]);
    let theirs = device.read(state);
    twin(state, params);
    assert_eq!(theirs.hits, state.hits);
    assert_eq!(theirs.hit_suffixes, state.hit_suffixes);
    assert_eq!(theirs.control.opened, state.control.opened);
    if state.control.opened == 0 {
        assert_eq!(theirs.selection, state.selection);
        return;
    }
    // What is selected does not matter then, and invocations race for what is left of starts.
    let records = 4 * state.hits.len();
    assert_eq!(theirs.selection[..records], state.selection[..records]);
    let [mut ours, mut theirs] = [state.clone(), theirs];
    for buffers in [&mut ours, &mut theirs] {
        buffers.candidates.sort_unstable_by_key(|start| (start.of, start.at));
    }
    if state.control.opened & layout::OPENED_TOO_MUCH == 0 {
        assert_eq!(theirs.candidates, ours.candidates);
        assert_eq!(theirs.control, state.control);
    }
}

fn slot_kernels(kernels: &Kernels) -> &SlotKernels {
    kernels.slots.as_ref().expect("items are packed")
}

fn slot_groups(params: &ScanParams) -> [u32; 2] {
    [params.slot_count.div_ceil(SLOT_WORKGROUP), 1]
}
