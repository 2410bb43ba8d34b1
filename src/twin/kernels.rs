//! Every kernel against its twin, on the same buffers, stage by stage.

use ash::vk;
use bytemuck::{Pod, bytes_of, cast_slice, pod_read_unaligned};

use super::*;
use crate::rules::tables::pack;
use crate::scan::frame::pipelines::{Kernels, SlotKernels, Specialisation};
use crate::shaders::layout::{self, ReadbackHeader};
use crate::vulkan::command::Commands;
use crate::vulkan::memory::{Buffer, Location};
use crate::vulkan::pipeline::{Binding, ComputePipeline, DescriptorSet};
use crate::vulkan::testing::TestBackend;
use crate::vulkan::timeline::Timeline;
use crate::{Backend, PipelineOptions, RulePipeline};

const BITMAP_LOG2: u32 = 11;
const PREFILTER_WORKGROUP: u32 = 64;
const CONFIRM_GROUPS: u32 = 2;
const SLOT_WORKGROUP: u32 = 4;

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
        let readback = vec![0xEE; 16 + 16 * twin.hits.len() + 4 * twin.slots.len()];
        let ring = [cast_slice(&twin.tallies), cast_slice::<_, u8>(&twin.slots)].concat();
        let mut haystack = twin.haystack.clone();
        haystack.resize(haystack.len().next_multiple_of(16).max(16), PAST_END);
        let contents: [(u32, &[u8]); 12] = [
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
            (layout::BINDING_HAYSTACK, &haystack),
        ];
        let buffers = contents.map(|(binding, bytes)| {
            let (usage, location) = (vk::BufferUsageFlags::STORAGE_BUFFER, Location::Readback);
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
    let (kernel, grid, twin): (_, _, fn(&mut Buffers, &ScanParams)) = match stage {
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
    let mut passes = pack::pack(rules.rules(), kind, u64::MAX, BITMAP_LOG2).unwrap();
    assert_eq!(passes.len(), 1);
    passes.remove(0)
}

/// Buffers as walks before have left them: with old stamps, and epochs that are about to begin again.
fn used_buffers(kind: MatchKind, tables: &Pass, haystack: &[u8], params: &ScanParams) -> Buffers {
    let mut state = Buffers::new(kind, tables.clone(), haystack, params);
    state.past_end = PAST_END;
    for walker in &mut state.nfa_walkers {
        walker.epoch = layout::NFA_EPOCH_LIMIT - 3;
    }
    // The kernel's stamps have a lane below the epoch, the twin's have not.
    for (word, epoch) in state.scratch.iter_mut().zip((1..9).cycle()) {
        *word = if epoch % 2 == 0 { epoch << layout::NFA_LANE_BITS } else { epoch };
    }
    state
}

fn compare_tables(
    backend: &Backend,
    kind: MatchKind,
    tables: &Pass,
    haystack: &[u8],
    slots: &[Slot],
    params: ScanParams,
) -> Buffers {
    let specialisation = Specialisation {
        segments: 1,
        match_kind: kind,
        bitmap_log2: BITMAP_LOG2,
        prefilter_workgroup: PREFILTER_WORKGROUP,
        gram_stride: tables.header.gram_stride,
        nfa_lanes: backend.device_info().subgroup_size,
        slot_workgroup: (!slots.is_empty()).then_some(SLOT_WORKGROUP),
    };
    let kernels = Kernels::new(backend, specialisation).unwrap();
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
        compare_readback(backend, &kernels, &state, &end_confirmed);
        compare_retire(backend, &kernels, &mut state.clone(), &end_confirmed);
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
    let hits = compare_readback(backend, &kernels, &state, &params);
    compare_retire(backend, &kernels, &mut state, &params);
    assert!(hits > 0);
    assert_eq!(summary_count > 0, params.chunk_log2 != 0, "{summary_count} summaries");
    state
}

/// Compares the hits once all tasks are through: the kernel's walkers stop elsewhere than the twin's, and
/// take other tasks.
fn compare_nfa(backend: &Backend, kernels: &Kernels, state: &mut Buffers, params: &ScanParams) {
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
    assert_eq!(theirs.control, state.control, "verify_nfa");
    let is_idle = |walker: &NfaWalker| walker.mode == layout::NFA_IDLE;
    assert!(theirs.nfa_walkers.iter().all(is_idle), "verify_nfa");
    state.control.unfinished = unfinished;
}

/// Whether walkers or tasks are left; puts the counters right for another round, if so.
fn nfa_is_left(buffers: &mut Buffers, params: &ScanParams) -> bool {
    let control = &mut buffers.control;
    let filled = (control.queue_tail - control.queue_base).min(params.queue_capacity);
    let is_left = control.unfinished > 0 || control.queue_head != control.queue_base + filled;
    control.unfinished = 0;
    control.queue_head = control.queue_head.min(control.queue_base + filled);
    is_left
}

/// Compares what is read back, and says how many hits that is.
fn compare_readback(
    backend: &Backend,
    kernels: &Kernels,
    state: &Buffers,
    params: &ScanParams,
) -> usize {
    let device = OnDevice::new(backend, state);
    device.run(kernels, &kernels.readback, params, [2, 1]);
    let bytes = device.bytes(layout::BINDING_READBACK);
    let (header, hits, suffixes) = readback(state, params);
    assert_eq!(pod_read_unaligned::<ReadbackHeader>(&bytes[..16]), header);
    assert_eq!(&bytes[16..16 + 12 * hits.len()], cast_slice::<_, u8>(&hits));
    let (of_hits, of_suffixes) = bytes[16..].split_at(12 * params.hit_capacity as usize);
    assert_eq!(&of_suffixes[..4 * suffixes.len()], cast_slice::<_, u8>(&suffixes));
    let mut untouched = of_hits[12 * hits.len()..].iter().chain(&of_suffixes[4 * suffixes.len()..]);
    assert!(untouched.all(|&byte| byte == 0xEE), "more than the hits was written");
    hits.len()
}

fn slot_kernels(kernels: &Kernels) -> &SlotKernels {
    kernels.slots.as_ref().expect("items are packed")
}

fn slot_groups(params: &ScanParams) -> [u32; 2] {
    [params.slot_count.div_ceil(SLOT_WORKGROUP), 1]
}

/// Compares what becomes of slots, and of the tenant's tally.
fn compare_retire(
    backend: &Backend,
    kernels: &Kernels,
    state: &mut Buffers,
    params: &ScanParams,
) -> Option<Vec<u32>> {
    if state.slots.is_empty() {
        return None;
    }
    let device = OnDevice::new(backend, state);
    device.run(kernels, &slot_kernels(kernels).retire, params, slot_groups(params));
    let theirs = device.read(state);
    let retired = retire(state, params);
    assert_eq!(theirs.slots, state.slots);
    assert_eq!(theirs.tallies, state.tallies);
    let bytes = &device.bytes(layout::BINDING_READBACK)[16 + 16 * params.hit_capacity as usize..];
    let (written, rest) = bytes.split_at(4 * retired.as_ref().map_or(0, Vec::len));
    assert_eq!(written, cast_slice::<u32, u8>(retired.as_deref().unwrap_or(&[])));
    assert!(rest.iter().all(|&byte| byte == 0xEE), "states of other slots were written");
    retired
}

/// Items in a ring, from its third slot from the end on.
fn ring(items: &[&[u8]]) -> (Vec<u8>, Vec<Slot>, ScanParams) {
    let mut haystack = Vec::new();
    // Those of another tenant come first.
    let [own, count] = [1, items.len() + 2];
    let mut slots = vec![Slot::default(); own + count];
    let first = count - 3;
    for (index, item) in items.iter().enumerate() {
        let begin = haystack.len() as u32;
        haystack.extend_from_slice(item);
        let end = haystack.len() as u32;
        haystack.resize((haystack.len() + 1).next_multiple_of(4), 0);
        let place = own + (first + index) % count;
        slots[place] = Slot { state: layout::SLOT_PUBLISHED, epoch: 7, tenant: 1, begin, end };
    }
    let params = ScanParams {
        first_slot: first as u32,
        slot_count: items.len() as u32,
        ring_first: own as u32,
        ring_slots: count as u32,
        epoch: 7,
        tenant: 1,
        ..whole(&haystack)
    };
    (haystack, slots, params)
}

#[test]
fn packed_items_are_looked_at_alone() {
    let backend = TestBackend::new();
    let items: [&[u8]; 10] = [
        b"abcabc foo_bar",
        b"",
        b"food foo\n\xC3\xA9t\xC3",
        b"\xA9 \xFFaaab",
        b"b1-22-333",
        b"stale foo_bar",
        b"c foo_",
        b"a",
        b"x1-22-333 \xF0\x9F\x98\x80z",
        b"foo",
    ];
    let patterns = [
        "abc",
        "a+?b",
        r"\w+",
        r"(?mR)^.*$",
        "(?i)FOO|bar|",
        r"\b{start}f|o\b{end}",
        r"\Aabc|333\z|^$",
        r"(?u:\w+)\b",
        r"(?u)\B.\B",
        r"(?:\b|a)*b",
        r"(?s).{5,19}o",
        r"[a-z]*\d-22",
        r"[b-o_][b-o_ ]{6}[fo]{2}|[a-z ]{2,3}_[ab][ar\r\n]{3,9}[a-f]",
        r"(?:ab|\w)c{0,1}foo_",
    ];
    let (haystack, mut slots, whole) = ring(&items);
    let stale = slots.iter().position(|slot| haystack[slot.begin as usize..].starts_with(b"stale"));
    slots[stale.unwrap()].epoch = 6;
    let tight = tight(whole);
    let prefiltered = ScanParams { use_prefilter: layout::PREFILTER_ALL, ..whole };
    let part = ScanParams { end_start: 40, ..prefiltered };
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        for dfa_budget in [32 << 10, 64] {
            let options = PipelineOptions { match_kind, dfa_budget, ..PipelineOptions::default() };
            let rules = RulePipeline::with_options(&patterns, options).unwrap();
            let tables = tables_of(&rules);
            for params in [whole, tight, prefiltered, part] {
                let state =
                    compare_tables(&backend, match_kind, &tables, &haystack, &slots, params);
                let is_whole = params.end_start == whole.end_start;
                let done = slots.len() as u32 - 3 - 1;
                let tally = state.tallies[1];
                let counts =
                    [layout::TALLY_ITEMS, layout::TALLY_FAULTS].map(|at| tally.low[at as usize]);
                assert_eq!(counts, [if is_whole { done } else { 0 }, 1]);
            }
        }
    }
}

/// Long walks share what is behind them within an item, and leave it at the item's end.
#[test]
fn summaries_end_with_their_item() {
    let backend = TestBackend::new();
    let [long, other] = [b"abc".repeat(500), b"abc".repeat(300)];
    let (haystack, slots, params) = ring(&[b"abc", &long, &other, b"1"]);
    let params = ScanParams {
        step_budget: 600,
        chunk_log2: 6,
        use_prefilter: layout::PREFILTER_NONE,
        hit_capacity: 1 << 13,
        hit_stop: 1 << 13,
        ..params
    };
    let rules = RulePipeline::new(&["[a-z]+", r"[a-z]*\d", "(?:abc)+z|(?:abc)*"]).unwrap();
    let tables = tables_of(&rules);
    compare_tables(&backend, MatchKind::LeftmostFirst, &tables, &haystack, &slots, params);
}

/// A scan of all of a haystack, by every start, with room for all that it finds.
fn whole(haystack: &[u8]) -> ScanParams {
    ScanParams {
        haystack_len: haystack.len() as u32,
        end_start: haystack.len() as u32,
        is_final: 1,
        max_scan: u32::MAX,
        hit_capacity: 1 << 12,
        hit_stop: 1 << 12,
        queue_capacity: 1 << 10,
        start_walkers: 40,
        nfa_walkers: 64,
        pass_count: 1,
        step_budget: 1 << 15,
        nfa_step_budget: 1 << 10,
        candidate_capacity: 1 << 10,
        start_capacity: 1 << 10,
        prefilter_workgroup: PREFILTER_WORKGROUP,
        prefilter_turns: 4,
        prefilter_end: haystack.len() as u32,
        most_pieces: 40,
        ..ScanParams::default()
    }
}

/// The same scan in as many turns and rounds as it can take.
fn tight(scan: ScanParams) -> ScanParams {
    ScanParams {
        start_walkers: 1,
        nfa_walkers: 1,
        queue_capacity: 2,
        step_budget: 37,
        nfa_step_budget: 37,
        ..scan
    }
}

#[test]
fn kernels_do_what_their_twins_do() {
    let backend = TestBackend::new();
    let haystack = b"abcabc foo_bar\r\nfood foo\n\xC3\xA9t\xC3\xA9 \xFFaaab\xE2\x82\xAC x1-22-333 \xF0\x9F\x98\x80z";
    let patterns = [
        "abc",
        "a+?b",
        r"\w+",
        r"(?mR)^.*$",
        "(?i)FOO|bar|",
        r"\b{start}f|o\b{end}",
        r"\Aabc|333\z|^$",
        r"(?:b||a)+c",
        r"(?u:\w+)\b",
        r"(?u)\B.\B",
        r"(?u:\b{start-half})z|(?u:\b{end-half}).",
        r"(?:\b|a)*b",
        r"[^\n]{5,19}o",
        r"[a-z]*\d-22",
        r"[b-o_][b-o_ ]{6}[fo]{2}|[a-z ]{2,3}_[ab][ar\r\n]{3,9}[a-f]",
        r"(?:ab|\w)c{0,1}foo_",
    ];
    let whole = whole(haystack);
    // One walker each, which stops all the time and soon finds the queue full.
    let tight = tight(whole);
    let window = ScanParams {
        first_start: 4,
        end_start: whole.end_start - 4,
        is_final: 0,
        max_scan: 9,
        ..tight
    };
    let prefiltered = ScanParams { use_prefilter: layout::PREFILTER_ALL, ..whole };
    let filtered_tight = ScanParams { use_prefilter: layout::PREFILTER_ALL, ..tight };
    let bounded = ScanParams { use_prefilter: layout::PREFILTER_BOUNDED, is_direct: 1, ..whole };
    let part = ScanParams { first_start: 1, end_start: 40, prefilter_first: 1, ..prefiltered };
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        for dfa_budget in [32 << 10, 64] {
            let options = PipelineOptions { match_kind, dfa_budget, ..PipelineOptions::default() };
            let rules = RulePipeline::with_options(&patterns, options).unwrap();
            let unbounded = rules.rules().iter().flat_map(|rule| &rule.splits);
            assert_eq!(unbounded.filter(|split| split.is_unbounded()).count(), 1);
            for params in [whole, tight, window, prefiltered, filtered_tight, bounded, part] {
                compare_scan(&backend, &rules, haystack, params);
            }
        }
    }
}

#[test]
fn counts_are_let_go() {
    let backend = TestBackend::new();
    let haystack = tests::counted_haystack();
    let whole = whole(&haystack);
    let tight = ScanParams { start_walkers: 3, nfa_walkers: 1, step_budget: 37, ..whole };
    let window = ScanParams { is_final: 0, max_scan: 40, ..whole };
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
        let rules = RulePipeline::with_options(&tests::COUNTED, options).unwrap();
        for params in [whole, tight, window] {
            compare_scan(&backend, &rules, &haystack, params);
        }
    }
}

/// Where a rule without its counts goes on to a window's end, the rule itself may have come to an end before.
#[test]
fn counts_that_are_let_go_leave_no_start_undecided() {
    let backend = TestBackend::new();
    let rules = RulePipeline::new(&["(?s)x.{0,40}?y[a-y]{100}[^q]*q", "xy"]).unwrap();
    assert!(rules.rules()[0].relaxed.is_some());
    let haystack = [&b"xyaayyayayyaayyayayaayy"[..], &[b'-'; 300]].concat();
    let window = ScanParams { is_final: 0, ..whole(&haystack) };
    let state = compare_scan(&backend, &rules, &haystack, window);
    assert_eq!(state.hits[..state.hit_count as usize], [Hit { pattern_id: 1, start: 0, end: 2 }]);
}

/// As rules are walked whose sets take too many words, one of them with more nodes than fit shared memory.
#[test]
fn walks_in_order_do_what_their_twins_do() {
    let backend = TestBackend::new();
    let haystack =
        b"abcabc foo_bar\r\nfood foo\n\xC3\xA9t\xC3\xA9 \xFFaaab x1-22-333 \xF0\x9F\x98\x80z";
    let patterns = [
        "a+?b",
        r"\w+",
        r"(?mR)^.*$",
        "(?i)FOO|bar|",
        r"(?:b||a)+c",
        r"(?u:\w+)\b",
        r"(?:\b|a)*b",
        "[^ ]{0,800}o",
    ];
    let tight = ScanParams { nfa_walkers: 1, nfa_step_budget: 37, ..whole(haystack) };
    for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let options = PipelineOptions { match_kind, dfa_budget: 64, ..PipelineOptions::default() };
        let rules = RulePipeline::with_options(&patterns, options).unwrap();
        let mut tables = tables_of(&rules);
        let records = tables.header.rules as usize;
        let mut changed = 0;
        for record in tables.words[records..].chunks_mut(RuleRecord::WORDS).take(patterns.len()) {
            let mut rule: RuleRecord = pod_read_unaligned(cast_slice(record));
            changed += u32::from(std::mem::take(&mut rule.glushkov) != 0);
            record.copy_from_slice(cast_slice(&[rule]));
        }
        assert!(changed > 3, "{changed} rules have Glushkov automata");
        assert!(tables.header.nfa_stamps > 0, "no rule is large");
        for params in [whole(haystack), tight] {
            compare_tables(&backend, match_kind, &tables, haystack, &[], params);
        }
    }
}

#[test]
fn long_walks_share_tracks() {
    let backend = TestBackend::new();
    let mut haystack = b"abc".repeat(500);
    // Where walks come to nothing, match, or need the NFA.
    haystack[700] = b' ';
    haystack[1200] = b'1';
    haystack[1300] = 0xFF;
    let patterns =
        ["[a-z]+", r"[a-z]*\d", r"(?:abc)+z|(?:abc)*", r"(?:b|[^ ])*1", r"(?u)[a-z]+\b|c"];
    let params = ScanParams {
        hit_capacity: 1 << 13,
        hit_stop: 1 << 13,
        start_walkers: 64,
        step_budget: 500,
        chunk_log2: 6,
        ..whole(&haystack)
    };
    let options = PipelineOptions::default();
    let rules = RulePipeline::with_options(&patterns, options).unwrap();
    compare_scan(&backend, &rules, &haystack, params);
    // With all matches a walk leaps where it has none.
    let options = PipelineOptions { match_kind: MatchKind::All, ..PipelineOptions::default() };
    let rules = RulePipeline::with_options(&[r"[a-z]*\d", r"(?:abc)+z", "a"], options).unwrap();
    compare_scan(&backend, &rules, &haystack, params);
    // With counts let go.
    let patterns = ["b[abc]*?[ab][abc ]{22}[a-z]*(?:1|cab )"];
    let rules = RulePipeline::new(&patterns).unwrap();
    assert!(rules.rules()[0].relaxed.is_some());
    compare_scan(&backend, &rules, &haystack, params);
}

/// Rows of which each is known only once walks have leapt over the one before: compositions go on where they broke off.
#[test]
fn compositions_go_on_from_summary_to_summary() {
    let backend = TestBackend::new();
    let stage = b"abc".repeat(4000);
    let haystack = [b"xx", &stage[..], b"y", &stage, b"x", &stage, b"y", &stage, b"z"].concat();
    let params =
        ScanParams { start_walkers: 64, step_budget: 3000, chunk_log2: 6, ..whole(&haystack) };
    let rules = RulePipeline::new(&["x[a-x]*y[a-x]*y[a-x]*z", "y[a-z]+"]).unwrap();
    let state = compare_scan(&backend, &rules, &haystack, params);
    let count = chunk_count(&params) as usize;
    // The part of which a chunk has the first `y`, behind the others of an `x`'s summary.
    let share = count.div_ceil(compose_parts(&params) as usize);
    let border = (2 + stage.len()) >> params.chunk_log2;
    let part = border / share * share..(border / share + 1) * share;
    assert!(part.start < border && border + 1 < part.end);
    let mut composed = state.summaries.chunks(count).map(|of_summary| of_summary[part.start]);
    assert!(composed.any(|found| found.stop as usize == part.end && found.last == 0));
}

/// A haystack of more chunks than as few parts have.
#[test]
fn compositions_end_with_parts() {
    let backend = TestBackend::new();
    let chunks = (layout::COMPOSE_PARTS + 2) * layout::COMPOSE_CHUNKS;
    let haystack = [b"x", &b"abc".repeat(64 * chunks as usize / 3)[..], b"y"].concat();
    let params =
        ScanParams { start_walkers: 64, step_budget: 3000, chunk_log2: 6, ..whole(&haystack) };
    assert!(compose_parts(&params) > layout::COMPOSE_PARTS);
    let rules = RulePipeline::new(&["x[a-c]*y"]).unwrap();
    let state = compare_scan(&backend, &rules, &haystack, params);
    // The first part's chunks behind the `x` are composed up to where it ends.
    let count = chunk_count(&params);
    let end = count.div_ceil(compose_parts(&params));
    assert!(end <= layout::COMPOSE_CHUNKS);
    let part = &state.summaries[1..end as usize];
    assert!(part.iter().all(|found| found.stop == end));
}

#[test]
fn rules_with_long_prefixes_are_listed() {
    let backend = TestBackend::new();
    let [long, endless] = [1500, 20_000].map(|count| vec![b'x'; count]);
    let prefix = [&long, &b"5-22 abc9-22 abcd"[..]].concat();
    // Few starts each.
    let few = [b"y", &long[..], b"5-22 abcd"].concat();
    let beyond = [b"y", &endless[..], b"5-22 abcd"].concat();
    let with_suffix = |end: &[u8]| [b"y", &long[..], b"5-5-", &[b'A'; 400][..], end].concat();
    let [suffix, dead] = [b"2 abcd", b"3 abcd"].map(|end| with_suffix(end));
    // And whether the first rule is listed where suffixes tell matches, and where they do not.
    let cases: [(_, &[u8], _); 6] = [
        (r"[a-z]*\d-22", &prefix, [false, true]),
        (r"y[a-z]*\d-22", &few, [false, false]),
        (r"y[a-z]*\d-22", &beyond, [true, true]),
        (r"y[a-z]*5-5-[A-Z]*[12]", &suffix, [false, false]),
        (r"y[a-z]*5-5-[A-Z]*[12]", &dead, [false, false]),
        (r"[a-z]*5-5-[A-Z]*[12]", &dead, [false, true]),
    ];
    for (pattern, haystack, is_listed) in cases {
        let params = ScanParams {
            hit_capacity: 1 << 13,
            hit_stop: 1 << 13,
            start_walkers: 64,
            step_budget: 999,
            start_capacity: 1 << 12,
            use_prefilter: layout::PREFILTER_ALL,
            ..whole(haystack)
        };
        for match_kind in [MatchKind::LeftmostFirst, MatchKind::All] {
            let options = PipelineOptions { match_kind, ..PipelineOptions::default() };
            let patterns = [pattern, "abcd", "[a-wyz]*9-22"];
            let rules = RulePipeline::with_options(&patterns, options).unwrap();
            for is_direct in [false, true] {
                if is_direct && match_kind == MatchKind::All {
                    continue;
                }
                let params = ScanParams { is_direct: is_direct.into(), ..params };
                let state = compare_scan(&backend, &rules, haystack, params);
                let listed = is_listed[usize::from(!is_direct)];
                let expected = [u32::from(listed), 0];
                assert_eq!(state.control.listed[..2], expected, "{pattern} {is_direct}");
            }
        }
    }
}
