//! Whether tables that came from bytes are as the compiler lays them out.

use std::collections::HashSet;

use crate::rules::Split;
use crate::rules::automata::look;
use crate::rules::automata::partial_dfa::{self, PartialDfa};
use crate::rules::automata::position_nfa::{ByteSet, PositionNfa};
use crate::rules::prefilter::gram::{Gram, MOST_GRAMS};
use crate::rules::prefilter::split_candidates::MOST_SPREAD;
use crate::shaders::layout;

pub(super) fn check_factors(split: &Split) -> Result<(), String> {
    let Split { grams, other_grams, class_windows, .. } = split;
    let others_fit = match other_grams {
        // Without grams there are no others either.
        Some(others) => others.is_empty() == grams.is_empty(),
        None => !grams.is_empty(),
    };
    if !others_fit || !(grams.is_empty() || class_windows.is_empty()) {
        return Err("its grams and class windows do not go together".into());
    }
    if split.anchor.is_some() != (grams.is_empty() && class_windows.is_empty()) {
        return Err("either it is at one place, or there is something to look for".into());
    }
    for grams in [grams].into_iter().chain(other_grams) {
        let place = |gram: &Gram| (gram.offset, gram.bytes);
        if !grams.is_sorted_by(|one, next| place(one) < place(next)) {
            return Err("its grams do not ascend".into());
        }
        let mut strings: Vec<_> = grams.iter().map(|gram| gram.bytes).collect();
        strings.sort_unstable();
        strings.dedup();
        if strings.len() > MOST_GRAMS {
            return Err(format!("{} grams are too many", strings.len()));
        }
    }
    Ok(())
}

pub(super) fn check_prefix(split: &Split) -> Result<(), String> {
    let [least, most] = split.prefix;
    let Split { suffix, reverse_prefix, .. } = split;
    // Offsets of a haystack and a prefix are added up in 32 bits.
    let is_short = |length: u32| length <= layout::MAX_HAYSTACK_BYTES;
    let fits = if split.is_unbounded() {
        is_short(least) && suffix.is_some() && reverse_prefix.is_some()
    } else {
        let spread = most.checked_sub(least);
        let is_close = spread.is_some_and(|spread| spread as usize <= MOST_SPREAD);
        is_short(most) && is_close && suffix.is_some() == (least != most)
    };
    if !fits {
        return Err(format!("a prefix of {least} to {most} bytes makes no sense"));
    }
    if split.run.is_some() && !split.is_exact {
        return Err("a run is not exact".into());
    }
    if reverse_prefix.is_none() && split.is_exact {
        return Err("an exact prefix has no DFA".into());
    }
    if reverse_prefix.as_ref().is_some_and(|dfa| dfa.escapes() || least == most) {
        return Err("a prefix's DFA is incomplete or of no use".into());
    }
    // It holds what is looked for; and what an empty prefix and an empty suffix match is no match.
    if split.anchor.is_none() && suffix.as_ref().is_some_and(matches_empty) {
        return Err("a suffix may be empty".into());
    }
    Ok(())
}

/// Whether a walk may match before it has read anything.
fn matches_empty(dfa: &PartialDfa) -> bool {
    let rows = || dfa.entries.chunks_exact(dfa.stride as usize);
    let initial = rows().next().expect("there are initial states");
    initial.iter().any(|&entry| match partial_dfa::target(entry) {
        layout::ROW_DEAD => false,
        row => {
            let mut row = rows().nth(row as usize).expect("it was checked").iter();
            row.any(|&entry| {
                partial_dfa::is_match(entry) && partial_dfa::target(entry) != layout::ROW_ESCAPE
            })
        }
    })
}

pub(super) fn check_nfa(nfa: &PositionNfa, line_terminator: u8) -> Result<(), String> {
    let count = nfa.nodes.len();
    if nfa.nodes.first().is_none_or(|node| node.kind != layout::NODE_JUMP) {
        return Err("its first node is not a jump".into());
    }
    if count > layout::EDGE_OTHER as usize {
        return Err(format!("{count} nodes are too many"));
    }
    // Sets are in the order of the nodes that are the first to read them, and so each is read.
    let mut set_count = 0;
    for node in &nfa.nodes {
        let operand_fits = match node.kind {
            layout::NODE_BYTE => {
                let is_new = node.operand == set_count;
                set_count += u32::from(is_new);
                node.operand < set_count
            }
            layout::NODE_JUMP => node.operand == 0,
            kind if look::is_look(kind) => node.operand == u32::from(line_terminator),
            _ => false,
        };
        if !operand_fits {
            return Err(format!("{node:?} makes no sense"));
        }
    }
    let different: HashSet<&ByteSet> = nfa.sets.iter().collect();
    if set_count as usize != nfa.sets.len() || different.len() != nfa.sets.len() {
        return Err(format!("its {} byte sets are not each read, and once", nfa.sets.len()));
    }
    // Nothing leads back to where the rule starts.
    let is_edge =
        |edge: &u32| *edge == layout::EDGE_MATCH || (1..count).contains(&(*edge as usize));
    match nfa.edges.iter().find(|edge| !is_edge(edge)) {
        Some(edge) => Err(format!("an edge leads to node {edge} of {count}")),
        None => Ok(()),
    }
}

/// Whether rows have an entry for a counter step.
#[derive(Clone, Copy)]
pub(super) struct HasCounterSteps(pub(super) bool);

pub(super) fn check_dfa(
    dfa: &PartialDfa,
    HasCounterSteps(has_counter_steps): HasCounterSteps,
) -> Result<(), String> {
    // Classes are in the order of the bytes that are the first to have them, and so each has one.
    let mut class_count = 0;
    for &class in &dfa.classes {
        let class = u32::from(class);
        if class > class_count {
            return Err(format!("class {class} has no byte before"));
        }
        class_count = class_count.max(class + 1);
    }
    // And then one for the end of the haystack.
    let columns = class_count + u32::from(has_counter_steps) + 1;
    if dfa.stride != columns {
        return Err(format!("rows of {} are not the {columns} there should be", dfa.stride));
    }
    let stride = dfa.stride as usize;
    let rows = dfa.entries.len() / stride;
    let can_be_told = (1..=layout::ROW_ESCAPE as usize).contains(&rows);
    if !can_be_told || rows * stride != dfa.entries.len() {
        return Err(format!("{} entries do not make rows of {stride}", dfa.entries.len()));
    }
    let mut reached = vec![false; rows];
    reached[0] = true;
    let mut open = vec![0];
    while let Some(row) = open.pop() {
        let entries = &dfa.entries[row * stride..][..stride];
        let (end, others) = entries.split_last().expect("a row has its end");
        let mut is_row = |entry: u16| {
            let row = partial_dfa::target(entry) as usize;
            if let Some(reached @ false) = reached.get_mut(row) {
                *reached = true;
                open.push(row);
            }
            row < rows
        };
        // An initial state exists and follows no match; the end of the haystack leads nowhere.
        let fits = if row == 0 {
            entries.iter().all(|&entry| is_row(entry) && !partial_dfa::is_match(entry))
        } else {
            let is_escape = |entry: u16| partial_dfa::target(entry) == layout::ROW_ESCAPE;
            others.iter().all(|&entry| is_row(entry) || is_escape(entry))
                && (partial_dfa::target(*end) == layout::ROW_DEAD || is_escape(*end))
        };
        if !fits {
            return Err(format!("an entry leads outside its {rows} rows"));
        }
    }
    match reached.iter().position(|reached| !reached) {
        Some(row) => Err(format!("nothing leads to row {row} of {rows}")),
        None => Ok(()),
    }
}
