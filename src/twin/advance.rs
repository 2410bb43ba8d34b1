//! The twin of `shaders/advance.comp`.

use super::Buffers;
use crate::shaders::layout::{self, ScanParams};

pub(crate) fn advance(buffers: &mut Buffers, params: &ScanParams) {
    let next = &mut buffers.control;
    if params.begin != 0 {
        next.pass = 0;
        next.generation = next.generation.wrapping_add(1);
        next.rounds = 0;
        next.queue_tail = 0;
        next.queue_head = 0;
    } else if next.starts_x != 0 {
        next.rounds += 1;
        let filled = (next.queue_tail - next.queue_base).min(params.queue_capacity);
        next.queue_tail = next.queue_base + filled;
        next.queue_head = next.queue_base + (next.queue_head - next.queue_base).min(filled);
        let given_up = buffers.hit_count > params.hit_stop;
        if given_up || (next.unfinished == 0 && next.queue_head == next.queue_tail) {
            next.pass = if given_up { params.pass_count } else { next.pass + 1 };
            next.generation = next.generation.wrapping_add(1);
            next.queue_tail = 0;
            next.queue_head = 0;
        }
    }
    next.queue_base = next.queue_head;
    next.unfinished = 0;
    let runs = u32::from(next.pass == params.pass);
    [next.starts_x, next.starts_y, next.starts_z] =
        [runs * params.start_walkers.div_ceil(layout::WORKGROUP), 1, 1];
    [next.nfa_x, next.nfa_y, next.nfa_z] =
        [runs * params.nfa_walkers.div_ceil(layout::WORKGROUP), 1, 1];
}
