//! The twin of `shaders/schedule.comp`.

use super::{Buffers, SEARCH_AFTER, chunk_count, compose_parts, rule_of_summary};
use crate::MatchKind;
use crate::shaders::layout::{self, Control, ScanParams, SplitRecord};

fn begin_pass(buffers: &mut Buffers, params: &ScanParams, pass: u32) {
    let control = &mut buffers.control;
    control.pass = pass;
    control.generation = control.generation.wrapping_add(1);
    control.queue_tail = 0;
    control.queue_head = 0;
    control.candidate_count = 0;
    control.start_count = 0;
    control.prefiltered = 0;
    forget_names(control);
    if pass < params.pass_count && pass != control.summary_pass {
        control.summary_count = 0;
        control.summary_pass = pass;
        list_summaries(control);
    }
    control.used_summaries.fill(0);
    control.make_count = 0;
    control.made_at = control.rounds;
}

fn forget_names(control: &mut Control) {
    control.named = [0; layout::MOST_SUMMARIES as usize];
    control.has_named = 0;
}

fn most_summaries(params: &ScanParams, rounds: u32) -> u32 {
    let steps = (params.start_walkers >> 6) * params.step_budget;
    let of_round = (steps / (params.haystack_len >> 6).max(1)).min(layout::MOST_SUMMARIES);
    (of_round * rounds.clamp(1, layout::MOST_SUMMARIES)).clamp(4, layout::MOST_SUMMARIES)
}

fn list_summaries(control: &mut Control) {
    control.first_summaries = [0; layout::SUMMARY_LISTS as usize];
    for summary in 0..control.summary_count {
        let list = rule_of_summary(control.summaries[summary as usize]) % layout::SUMMARY_LISTS;
        let first = &mut control.first_summaries[list as usize];
        control.next_summaries[summary as usize] = std::mem::replace(first, summary + 1);
    }
}

fn make_summaries(control: &mut Control, most: u32) {
    let mut unused = 0;
    for name in control.named.into_iter().filter(|&name| name != 0) {
        let mut place = control.summary_count;
        if place < most {
            control.summary_count += 1;
        } else {
            while unused < place
                && control.used_summaries[unused as usize / 32] >> (unused % 32) & 1 != 0
            {
                unused += 1;
            }
            if unused == place {
                break;
            }
            place = unused;
            unused += 1;
        }
        control.summaries[place as usize] = name;
        control.used_summaries[place as usize / 32] |= 1 << (place % 32);
        control.made[control.made_count as usize] = place;
        control.made_count += 1;
    }
    list_summaries(control);
    control.used_summaries.fill(0);
    control.make_count += 1;
    control.made_at = control.rounds;
    forget_names(control);
}

/// Whether walks on NFAs take so long that rules are searched for instead, and for which walkers wait: those at which a fair share of
/// these are.
fn search_instead(buffers: &mut Buffers, params: &ScanParams) -> bool {
    let control = &mut buffers.control;
    let may_search = params.slot_count == 0
        && buffers.match_kind == MatchKind::LeftmostFirst
        && params.pass_count == 1
        && params.is_final != 0
        && params.max_scan == layout::UNBOUNDED
        && params.use_prefilter != layout::PREFILTER_BOUNDED
        && control.restarted == 0
        && control.verified_again == 0;
    control.nfa_kilosteps = (control.nfa_kilosteps + (control.nfa_steps >> 10)).min(1 << 31);
    control.nfa_steps &= 1023;
    let is_much = control.nfa_kilosteps >= layout::SEARCH_LEAST_KILOSTEPS
        && control.nfa_kilosteps as f32 * 1024.0 > SEARCH_AFTER as f32 * params.haystack_len as f32;
    let most = params.nfa_walkers.min(layout::MOST_SEARCHED);
    let mut has_any = false;
    for (&rule, &count) in control.held_up.iter().zip(&control.held_up_count) {
        let is_share = count * layout::MOST_SEARCHED >= params.nfa_walkers;
        let free = control.searched[..most as usize].iter().position(|&searched| searched == 0);
        if let Some(place) = free.filter(|_| may_search && is_much && rule != 0 && is_share) {
            control.searched[place] = rule;
            has_any = true;
        }
    }
    control.held_up.fill(0);
    control.held_up_count.fill(0);
    has_any
}

fn end_round(buffers: &mut Buffers, params: &ScanParams) {
    let control = &mut buffers.control;
    control.rounds += 1;
    control.made_count = 0;
    let filled = (control.queue_tail - control.queue_base).min(params.queue_capacity);
    control.queue_tail = control.queue_base + filled;
    control.queue_head = control.queue_base + (control.queue_head - control.queue_base).min(filled);
    if buffers.hit_count > params.hit_stop {
        begin_pass(buffers, params, params.pass_count);
    } else if search_instead(buffers, params) {
        buffers.control.retry_reasons |= layout::RETRY_LISTED;
        begin_pass(buffers, params, params.pass_count);
    } else if buffers.control.unfinished == 0
        && buffers.control.queue_head == buffers.control.queue_tail
    {
        let next = buffers.control.pass + 1;
        begin_pass(buffers, params, next);
    }
}

/// Of more candidates than there is room for, or starts, of which `total` were counted, lists the rules that have the largest
/// shares. True if there is any.
fn list_floods(
    buffers: &mut Buffers,
    params: &ScanParams,
    [first, capacity, total]: [u32; 3],
    are_starts: bool,
) -> bool {
    let rule_of = |sample: u32| {
        let samples = layout::FLOOD_SAMPLES;
        let place = first + sample * (capacity / samples) + sample * (capacity % samples) / samples;
        let of = buffers.candidates[place as usize].of;
        if are_starts {
            of
        } else {
            buffers.record::<SplitRecord>(buffers.header().splits, of).rule
        }
    };
    let rules: Vec<u32> = (0..layout::FLOOD_SAMPLES).map(rule_of).collect();
    let mut tracked = [(0, 0_u32); layout::FLOOD_RULES as usize];
    for &rule in &rules {
        let own = tracked.iter().position(|&(name, count)| count > 0 && name == rule);
        match own.or_else(|| tracked.iter().rposition(|&(_, count)| count == 0)) {
            Some(place) => tracked[place] = (rule, tracked[place].1 + 1),
            None => tracked.iter_mut().for_each(|(_, count)| *count -= 1),
        }
    }
    let of_rule = |rule| rules.iter().filter(|&&other| other == rule).count() as u32;
    let mut shares: Vec<(u32, u32)> = tracked
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(rule, _)| (rule, of_rule(rule)))
        .collect();
    shares.sort_by_key(|&(_, share)| std::cmp::Reverse(share));
    let mut left = layout::FLOOD_SAMPLES;
    let fitting = capacity / (total / (layout::FLOOD_SAMPLES / 2)).max(1);
    let mut has_any = false;
    for (rule, share) in shares {
        let is_flood = left > fitting && share >= layout::FLOOD_SHARE;
        if !is_flood || buffers.is_listed(rule) || !buffers.list_rule(params, rule) {
            break;
        }
        has_any = true;
        left -= share;
    }
    has_any
}

/// What there is to do again.
fn reasons_to_retry(buffers: &mut Buffers, params: &ScanParams) -> u32 {
    let reasons = buffers.retry_reasons(params);
    if reasons & layout::RETRY_CANDIDATES == 0 || params.use_prefilter != layout::PREFILTER_ALL {
        return reasons;
    }
    let ScanParams { candidate_capacity, start_capacity, .. } = *params;
    let are_starts = buffers.control.candidate_count <= candidate_capacity;
    let has_floods = match are_starts {
        true => {
            let total = buffers.control.start_count;
            list_floods(buffers, params, [candidate_capacity, start_capacity, total], true)
        }
        false => {
            let total = buffers.control.candidate_count;
            list_floods(buffers, params, [0, candidate_capacity, total], false)
        }
    };
    if has_floods { layout::RETRY_LISTED } else { reasons }
}

fn end_confirmed(buffers: &mut Buffers, params: &ScanParams) {
    buffers.control.prefiltered = 1;
    buffers.control.generation = buffers.control.generation.wrapping_add(1);
    buffers.control.retry_reasons = reasons_to_retry(buffers, params);
    if buffers.control.retry_reasons != 0 {
        begin_pass(buffers, params, params.pass_count);
    } else if buffers.leaves_nothing(params) {
        let next = buffers.control.pass + 1;
        begin_pass(buffers, params, next);
    }
}

/// Begins to verify again what hits have left open.
fn begin_again(control: &mut Control, params: &ScanParams) {
    control.verified_again += 1;
    control.selected = layout::SELECTED_NONE;
    control.pass = params.pass;
    control.prefiltered = 1;
    control.generation += 1;
}

/// Begins anew with every start, which has no candidates, unless that has been done.
fn restart(buffers: &mut Buffers, params: &ScanParams) {
    let control = &mut buffers.control;
    let is_over = control.pass >= params.pass_count;
    let overflows = control.retry_reasons != 0
        || control.selected == layout::SELECTED_UNTOLD
        || buffers.hit_count > params.hit_capacity;
    if !is_over || !overflows || control.restarted != 0 {
        return;
    }
    control.restarted = 1;
    control.retry_reasons = 0;
    control.selected = layout::SELECTED_NONE;
    control.verified_again = 0;
    buffers.hit_count = 0;
    begin_pass(buffers, params, 0);
}

pub(crate) fn schedule(buffers: &mut Buffers, params: &ScanParams) {
    let control = &mut buffers.control;
    let begins_again =
        params.stage == layout::SCHEDULE_SELECTED && control.selected == layout::SELECTED_OPEN;
    let is_again = params.end_start == 0;
    if is_again && !begins_again && control.verified_again == 0 {
        return;
    }
    if begins_again {
        begin_again(control, params);
    }
    // What it began with or, where nothing is looked for, began anew.
    let is_anew = [layout::SCHEDULE_RESTART, layout::SCHEDULE_ANEW].contains(&params.stage);
    let is_current = |control: &Control| match is_anew {
        true => control.restarted != 0,
        false => control.restarted == 0 || params.use_prefilter == layout::PREFILTER_NONE,
    };
    let is_prefiltered = buffers.control.pass != params.pass || buffers.control.prefiltered != 0;
    let is_prefiltered = is_prefiltered || !is_current(&buffers.control);
    match params.stage {
        layout::SCHEDULE_BEGIN => begin_pass(buffers, params, 0),
        layout::SCHEDULE_RESTART => restart(buffers, params),
        layout::SCHEDULE_ROUND | layout::SCHEDULE_ANEW if buffers.control.verify_dfa_x != 0 => {
            end_round(buffers, params);
        }
        layout::SCHEDULE_CONFIRMED if !is_prefiltered => end_confirmed(buffers, params),
        _ => {}
    }
    let has_lists = buffers.has_lists(params);
    let has_class_windows = buffers.header().has_class_windows != 0;
    let spread = buffers.spread(params);
    let control = &mut buffers.control;
    control.queue_base = control.queue_head;
    control.unfinished = 0;

    let runs = control.pass == params.pass
        && is_again == (control.verified_again != 0)
        && is_current(control);
    let prefilters =
        runs && params.use_prefilter != layout::PREFILTER_NONE && control.prefiltered == 0;
    let groups = |runs: bool, walkers: u32| {
        if runs { walkers.div_ceil(layout::WORKGROUP) } else { 0 }
    };
    control.gram_prefilter_x = if prefilters { params.gram_prefilter_groups() } else { 0 };
    control.class_prefilter_x = if has_class_windows { control.gram_prefilter_x } else { 0 };
    let walks = runs && !prefilters;
    let of_starts = control.start_count * spread;
    let walkers =
        if has_lists { params.start_walkers } else { of_starts.min(params.start_walkers) };
    control.verify_dfa_x = groups(walks, walkers.max(1));
    control.verify_nfa_x = if walks { params.nfa_walkers } else { 0 };
    let is_crowded =
        control.make_count >= layout::FREE_MAKES && control.rounds < 2 * control.made_at;
    control.is_crowded = is_crowded.into();
    if walks && control.has_named != 0 && !is_crowded {
        make_summaries(control, most_summaries(params, control.rounds));
    }
    let has_new = walks && control.made_count != 0;
    control.chunk_summaries_x = groups(has_new, chunk_count(params));
    control.chunk_summaries_y = control.made_count;
    control.compose_summaries_x = if has_new { compose_parts(params) } else { 0 };
    [control.chunk_summaries_z, control.compose_summaries_y, control.compose_summaries_z] = [1; 3];
    [
        control.gram_prefilter_y,
        control.class_prefilter_y,
        control.verify_dfa_y,
        control.verify_nfa_y,
    ] = [1; 4];
    [
        control.gram_prefilter_z,
        control.class_prefilter_z,
        control.verify_dfa_z,
        control.verify_nfa_z,
    ] = [1; 4];
}
