//! The twin of `shaders/advance.comp`.

use super::Buffers;
use crate::shaders::layout::{self, ScanParams};

fn begin_pass(buffers: &mut Buffers, pass: u32) {
    let control = &mut buffers.control;
    control.pass = pass;
    control.generation = control.generation.wrapping_add(1);
    control.queue_tail = 0;
    control.queue_head = 0;
    control.candidate_count = 0;
    control.item_count = 0;
    control.filtered = 0;
}

fn end_round(buffers: &mut Buffers, params: &ScanParams) {
    let control = &mut buffers.control;
    control.rounds += 1;
    let filled = (control.queue_tail - control.queue_base).min(params.queue_capacity);
    control.queue_tail = control.queue_base + filled;
    control.queue_head = control.queue_base + (control.queue_head - control.queue_base).min(filled);
    if buffers.hit_count > params.hit_stop {
        begin_pass(buffers, params.pass_count);
    } else if control.unfinished == 0 && control.queue_head == control.queue_tail {
        let next = control.pass + 1;
        begin_pass(buffers, next);
    }
}

pub(crate) fn advance(buffers: &mut Buffers, params: &ScanParams) {
    match params.stage {
        layout::ADVANCE_BEGIN => {
            buffers.control.rounds = 0;
            buffers.control.overflowed = 0;
            begin_pass(buffers, 0);
        }
        layout::ADVANCE_ROUND if buffers.control.starts_x != 0 => end_round(buffers, params),
        layout::ADVANCE_FILTER if buffers.control.filter_x != 0 => buffers.control.filtered = 1,
        _ => {}
    }
    let candidates = buffers.control.candidate_count.max(buffers.control.item_count);
    if candidates > params.candidate_capacity {
        buffers.control.overflowed = 1;
        begin_pass(buffers, params.pass_count);
    }
    let lists = params.use_filter == 0 || buffers.header().has_rest != 0;
    let control = &mut buffers.control;
    control.queue_base = control.queue_head;
    control.unfinished = 0;

    let runs = control.pass == params.pass;
    let filters = runs && params.use_filter != 0 && control.filtered == 0;
    let tails = runs && params.stage == layout::ADVANCE_FILTER && control.filter_x != 0;
    let groups = |runs: bool, walkers: u32| {
        if runs { walkers.div_ceil(layout::WORKGROUP) } else { 0 }
    };
    let bytes = layout::FILTER_WORKGROUP * layout::FILTER_BYTES * layout::FILTER_TURNS;
    let begin = params.first_start & !(layout::FILTER_BYTES - 1);
    let end = (params.end_start + params.reach).min(params.haystack_len);
    control.filter_x = if filters { (end - begin).div_ceil(bytes) } else { 0 };
    control.tails_x = groups(tails, control.candidate_count);
    let walkers =
        if lists { params.start_walkers } else { control.item_count.min(params.start_walkers) };
    control.starts_x = groups(runs, walkers.max(1));
    control.nfa_x = groups(runs, params.nfa_walkers);
    [control.filter_y, control.tails_y, control.starts_y, control.nfa_y] = [1; 4];
    [control.filter_z, control.tails_z, control.starts_z, control.nfa_z] = [1; 4];
}
