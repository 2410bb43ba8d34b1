#version 460
#extension GL_GOOGLE_include_directive : require

// Decides what comes next: when a scan begins without a prefilter, after the candidates are confirmed, after a round, after
// hits have left starts open, and where a recording begins anew because there is no room for what it came to.
//
// One invocation. Reads the tables' head and the hit counter, reads and writes Control. After a round it judges the round, if one
// ran, by putting the queue's counters right and going on to the next pass once no walker and no task
// is left; after the suffixes it sees whether candidates fit, and whether they left anything to do. Before a
// round it makes summaries of what long walks have named. It sets the grids of what follows, which are empty if
// that belongs to a pass that is over or not yet begun. Loops: MOST_SUMMARIES, SUMMARY_LISTS, FLOOD_SAMPLES by FLOOD_RULES,
// MOST_SEARCHED squared.
// CPU twin: src/twin/schedule.rs.

#include "bindings.glsl"
#include "listed.glsl"

layout(local_size_x = 1) in;

// Steps of `verify_nfa` for each byte of the haystack after which a search, which takes a walker over all of it, is cheaper.
layout(constant_id = SPEC_SEARCH_AFTER) const uint SEARCH_AFTER = 1;

uint groups(uint walkers) {
    return (walkers + WORKGROUP - 1u) / WORKGROUP;
}

void forget_names() {
    for (uint slot = 0u; control.has_named != 0u && slot < MOST_SUMMARIES; ++slot) {
        control.named[slot] = 0u;
    }
    control.has_named = 0u;
}

// Summaries that take as many steps as all rounds so far.
uint most_summaries() {
    uint steps = (params.start_walkers >> 6) * params.step_budget;
    uint of_round = min(steps / max(haystack_len() >> 6, 1u), MOST_SUMMARIES);
    return clamp(of_round * clamp(control.rounds, 1u, MOST_SUMMARIES), 4u, MOST_SUMMARIES);
}

void forget_use() {
    for (uint word = 0u; word < SUMMARY_WORDS; ++word) {
        control.used_summaries[word] = 0u;
    }
}

void list_summaries() {
    for (uint list = 0u; list < SUMMARY_LISTS; ++list) {
        control.first_summaries[list] = 0u;
    }
    for (uint summary = 0u; summary < control.summary_count; ++summary) {
        uint list = rule_of_summary(control.summaries[summary]) % SUMMARY_LISTS;
        control.next_summaries[summary] = control.first_summaries[list];
        control.first_summaries[list] = summary + 1u;
    }
}

// Makes summaries of what has been named, as far as there is room beside those that are of use.
void make_summaries() {
    uint most = most_summaries();
    uint unused = 0u;
    for (uint slot = 0u; slot < MOST_SUMMARIES; ++slot) {
        if (control.named[slot] == 0u) {
            continue;
        }
        uint place = control.summary_count;
        if (place < most) {
            control.summary_count += 1u;
        } else {
            while (unused < place && (control.used_summaries[unused / 32u] >> unused % 32u & 1u) != 0u) {
                unused += 1u;
            }
            if (unused == place) {
                break;
            }
            place = unused;
            unused += 1u;
        }
        control.summaries[place] = control.named[slot];
        // Not to be taken for unused.
        control.used_summaries[place / 32u] |= 1u << place % 32u;
        control.made[control.made_count] = place;
        control.made_count += 1u;
    }
    list_summaries();
    forget_use();
    control.make_count += 1u;
    control.made_at = control.rounds;
    forget_names();
}

void begin_pass(uint pass) {
    control.pass = pass;
    control.generation += 1u;
    control.queue_tail = 0u;
    control.queue_head = 0u;
    control.candidate_count = 0u;
    control.start_count = 0u;
    control.prefiltered = 0u;
    forget_names();
    if (pass < params.pass_count && pass != control.summary_pass) {
        control.summary_count = 0u;
        control.summary_pass = pass;
        list_summaries();
    }
    forget_use();
    control.make_count = 0u;
    control.made_at = control.rounds;
}

// Has a rule searched for, in the next run. False if there is no room.
bool search_rule(uint rule) {
    uint most = min(params.nfa_walkers, MOST_SEARCHED);
    for (uint place = 0u; place < most; ++place) {
        if (control.searched[place] == 0u) {
            control.searched[place] = rule + 1u;
            return true;
        }
    }
    return false;
}

// Whether walks on NFAs take so long that rules are searched for instead, and for which walkers wait: those at which a fair share
// of these are. A search takes all starts together, and knows no other limit than the haystack's end.
bool search_instead() {
    bool may_search = params.pass_count == 1u && params.is_final != 0u && params.max_scan == UNBOUNDED
        && params.use_prefilter != PREFILTER_BOUNDED && PACKED == 0u && MATCH_ALL == 0u && control.restarted == 0u
        && control.verified_again == 0u;
    // A recording would begin anew without a prefilter.
    may_search = may_search && (params.use_prefilter == PREFILTER_NONE || RECORDED == 0u);
    control.nfa_kilosteps = min(control.nfa_kilosteps + (control.nfa_steps >> 10), 1u << 31);
    control.nfa_steps &= 1023u;
    bool is_much = control.nfa_kilosteps >= SEARCH_LEAST_KILOSTEPS
        && float(control.nfa_kilosteps) * 1024.0 > float(SEARCH_AFTER) * float(haystack_len());
    bool has_any = false;
    for (uint place = 0u; place < MOST_SEARCHED; ++place) {
        bool is_share = control.held_up_count[place] * MOST_SEARCHED >= params.nfa_walkers;
        if (may_search && is_much && control.held_up[place] != 0u && is_share) {
            has_any = search_rule(control.held_up[place] - 1u) || has_any;
        }
        control.held_up[place] = 0u;
        control.held_up_count[place] = 0u;
    }
    return has_any;
}

// Judges the round that has run.
void end_round() {
    control.rounds += 1u;
    control.made_count = 0u;
    uint filled = min(control.queue_tail - control.queue_base, params.queue_capacity);
    control.queue_tail = control.queue_base + filled;
    control.queue_head = control.queue_base + min(control.queue_head - control.queue_base, filled);
    if (hits.count > params.hit_stop) {
        begin_pass(params.pass_count);
    } else if (search_instead()) {
        control.retry_reasons |= RETRY_LISTED;
        begin_pass(params.pass_count);
    } else if (control.unfinished == 0u && control.queue_head == control.queue_tail) {
        begin_pass(control.pass + 1u);
    }
}

// Of more candidates than there is room for, or starts, of which `total` were counted, lists the rules that have the largest
// shares, until what the others have fits twice over. True if there is any.
//
// A rule that has more of the samples than FLOOD_RULES + 1 others could have each is found by counting up, for each of
// FLOOD_RULES, and down, for all of them, where another comes (J. Misra and D. Gries, "Finding repeated elements", 1982).
bool list_floods(uint first, uint capacity, uint total, bool are_starts) {
    uint rules[FLOOD_SAMPLES];
    uint names[FLOOD_RULES];
    uint counts[FLOOD_RULES];
    for (uint place = 0u; place < FLOOD_RULES; ++place) {
        names[place] = 0u;
        counts[place] = 0u;
    }
    for (uint taken = 0u; taken < FLOOD_SAMPLES; ++taken) {
        uint place = taken * (capacity / FLOOD_SAMPLES) + taken * (capacity % FLOOD_SAMPLES) / FLOOD_SAMPLES;
        uint of = candidates.suffixes_then_starts[first + place].of;
        uint rule = are_starts ? of : rule_of(of);
        rules[taken] = rule;
        uint own = FLOOD_RULES;
        uint free = FLOOD_RULES;
        for (uint place = 0u; place < FLOOD_RULES; ++place) {
            own = counts[place] != 0u && names[place] == rule ? place : own;
            free = counts[place] == 0u ? place : free;
        }
        own = own == FLOOD_RULES ? free : own;
        for (uint place = 0u; place < FLOOD_RULES; ++place) {
            names[place] = place == own ? rule : names[place];
            counts[place] = place == own ? counts[place] + 1u : own == FLOOD_RULES ? counts[place] - 1u : counts[place];
        }
    }
    for (uint place = 0u; place < FLOOD_RULES; ++place) {
        uint share = 0u;
        for (uint taken = 0u; counts[place] != 0u && taken < FLOOD_SAMPLES; ++taken) {
            share += rules[taken] == names[place] ? 1u : 0u;
        }
        counts[place] = share;
    }
    uint left = FLOOD_SAMPLES;
    uint fitting = capacity / max(total / (FLOOD_SAMPLES / 2u), 1u);
    bool has_any = false;
    bool goes_on = true;
    for (uint turn = 0u; goes_on && turn < FLOOD_RULES; ++turn) {
        uint most = 0u;
        uint rule = 0u;
        for (uint place = 0u; place < FLOOD_RULES; ++place) {
            rule = counts[place] > most ? names[place] : rule;
            most = max(most, counts[place]);
        }
        goes_on = left > fitting && most >= FLOOD_SHARE && !is_listed(rule) && list_rule(rule);
        has_any = has_any || goes_on;
        left -= most;
        for (uint place = 0u; place < FLOOD_RULES; ++place) {
            counts[place] = names[place] == rule ? 0u : counts[place];
        }
    }
    return has_any;
}

// What there is to do again. A flood is its own rule's: that is listed, and the others go on as they are.
uint reasons_to_retry() {
    uint reasons = retry_reasons();
    if ((reasons & RETRY_CANDIDATES) == 0u || params.use_prefilter != PREFILTER_ALL) {
        return reasons;
    }
    bool are_starts = control.candidate_count <= params.candidate_capacity;
    bool has_floods = are_starts
        ? list_floods(params.candidate_capacity, params.start_capacity, control.start_count, true)
        : list_floods(0u, params.candidate_capacity, control.candidate_count, false);
    return has_floods ? RETRY_LISTED : reasons;
}

// After the suffixes of a pass, unless it has come further already.
void end_confirmed() {
    control.prefiltered = 1u;
    control.generation += 1u;
    control.retry_reasons = reasons_to_retry();
    if (control.retry_reasons != 0u) {
        begin_pass(params.pass_count);
    } else if (leaves_nothing(tables.header)) {
        begin_pass(control.pass + 1u);
    }
}

// Begins to verify again what hits have left open.
void begin_again() {
    control.verified_again += 1u;
    control.selected = SELECTED_NONE;
    control.pass = params.pass;
    control.prefiltered = 1u;
    control.generation += 1u;
}

// Begins anew with every start, which has no candidates, unless that has been done.
void restart() {
    bool is_over = control.pass >= params.pass_count;
    bool overflows = control.retry_reasons != 0u || control.selected == SELECTED_UNTOLD || hits.count > params.hit_capacity;
    if (!is_over || !overflows || control.restarted != 0u) {
        return;
    }
    control.restarted = 1u;
    control.retry_reasons = 0u;
    control.selected = SELECTED_NONE;
    control.verified_again = 0u;
    hits.count = 0u;
    begin_pass(0u);
}

// Whether the scan is at what this belongs to: what it began with or, where nothing is looked for, began anew.
bool is_current() {
    bool is_anew = params.stage == SCHEDULE_RESTART || params.stage == SCHEDULE_ANEW;
    return is_anew ? control.restarted != 0u : control.restarted == 0u || params.use_prefilter == PREFILTER_NONE;
}

void main() {
    // Of no starts but those that are listed to be verified again, if there are any.
    bool is_again = params.end_start == 0u;
    bool begins_again = params.stage == SCHEDULE_SELECTED && control.selected == SELECTED_OPEN;
    if (is_again && !begins_again && control.verified_again == 0u) {
        return;
    }
    if (begins_again) {
        begin_again();
    } else if (params.stage == SCHEDULE_BEGIN) {
        begin_pass(0u);
    } else if (params.stage == SCHEDULE_RESTART) {
        restart();
    } else if ((params.stage == SCHEDULE_ROUND || params.stage == SCHEDULE_ANEW) && control.verify_dfa_x != 0u) {
        end_round();
    } else if (params.stage == SCHEDULE_CONFIRMED && is_current() && control.pass == params.pass && control.prefiltered == 0u) {
        end_confirmed();
    }
    control.queue_base = control.queue_head;
    control.unfinished = 0u;

    // Once hits have left starts open, none but these are verified.
    bool runs = control.pass == params.pass && is_again == (control.verified_again != 0u) && is_current();
    bool prefilters = runs && params.use_prefilter != PREFILTER_NONE && control.prefiltered == 0u;
    uint bytes = params.prefilter_workgroup * PREFILTER_BYTES * params.prefilter_turns;
    uint begin = params.prefilter_first & ~(PREFILTER_BYTES - 1u);
    control.gram_prefilter_x = prefilters ? (params.prefilter_end - begin + bytes - 1u) / bytes : 0u;
    control.class_prefilter_x = tables.header.has_class_windows != 0u ? control.gram_prefilter_x : 0u;
    bool walks = runs && !prefilters;
    uint of_starts = control.start_count * spread(params.start_walkers, control.start_count);
    uint walkers = has_lists(tables.header) ? params.start_walkers : min(of_starts, params.start_walkers);
    // Never 0 in a round that runs: that is how the next `schedule` knows.
    control.verify_dfa_x = walks ? groups(max(walkers, 1u)) : 0u;
    control.verify_nfa_x = walks ? params.nfa_walkers : 0u;
    control.is_crowded = control.make_count >= FREE_MAKES && control.rounds < 2u * control.made_at ? 1u : 0u;
    if (walks && control.has_named != 0u && control.is_crowded == 0u) {
        make_summaries();
    }
    bool has_new = walks && control.made_count != 0u;
    control.chunk_summaries_x = has_new ? groups(chunk_count()) : 0u;
    control.chunk_summaries_y = control.made_count;
    control.compose_summaries_x = has_new ? compose_parts() : 0u;
    control.gram_prefilter_y = control.class_prefilter_y = control.verify_dfa_y = control.verify_nfa_y = 1u;
    control.gram_prefilter_z = control.class_prefilter_z = control.verify_dfa_z = control.verify_nfa_z = 1u;
    control.chunk_summaries_z = control.compose_summaries_y = control.compose_summaries_z = 1u;
}
