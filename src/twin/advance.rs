//! The twin of `shaders/advance.comp`.

use super::Buffers;
use crate::shaders::layout::{self, Control, ScanParams};

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
    let Control { candidate_count, item_count, .. } = buffers.control;
    if candidate_count > params.candidate_capacity || item_count > params.item_capacity {
        buffers.control.overflowed |= layout::OVERFLOW_CANDIDATES;
    }
    if buffers.control.overflowed != 0 {
        begin_pass(buffers, params.pass_count);
    }
    let lists = match params.use_filter {
        layout::FILTER_NONE => true,
        layout::FILTER_BOUNDED => buffers.header().has_long != 0,
        _ => buffers.header().has_rest != 0,
    };
    let has_sequences = buffers.header().has_sequences != 0;
    let control = &mut buffers.control;
    control.queue_base = control.queue_head;
    control.unfinished = 0;

    let runs = control.pass == params.pass;
    let filters = runs && params.use_filter != layout::FILTER_NONE && control.filtered == 0;
    let tails = runs && params.stage == layout::ADVANCE_FILTER && control.filter_x != 0;
    let groups = |runs: bool, walkers: u32| {
        if runs { walkers.div_ceil(layout::WORKGROUP) } else { 0 }
    };
    control.filter_x = if filters { params.filter_groups() } else { 0 };
    control.sequences_x = if has_sequences { control.filter_x } else { 0 };
    control.tails_x = groups(tails, control.candidate_count);
    let walkers =
        if lists { params.start_walkers } else { control.item_count.min(params.start_walkers) };
    control.starts_x = groups(runs, walkers.max(1));
    control.nfa_x = groups(runs, params.nfa_walkers);
    [control.filter_y, control.sequences_y, control.tails_y] = [1; 3];
    [control.starts_y, control.nfa_y] = [1; 2];
    [control.filter_z, control.sequences_z, control.tails_z] = [1; 3];
    [control.starts_z, control.nfa_z] = [1; 2];
}
