//! All that a rule was compiled to, as text that Graphviz draws.

use std::fmt::{self, Write};

use regex_automata::util::look::LookSet;

use super::automata::look;
use super::automata::partial_dfa::{self, PartialDfa};
use super::automata::position_nfa::{ByteSet, PositionNfa, contains, insert};
use super::prefilter::confirm;
use super::tables::pack;
use super::{Anchor, Rule, RulePipeline, Split};
use crate::narrow::narrow;
use crate::shaders::layout;

impl RulePipeline {
    /// All that a rule was compiled to: its splits with what is looked for, its position NFA and its DFAs, and the bytes
    /// of its tables. The text is a graph in the DOT language, which Graphviz's `dot` draws; what is no state or edge is
    /// in its comments. None if there is no such pattern.
    ///
    /// # Examples
    ///
    /// ```
    /// let rules = vkscan::RulePipeline::new(&[r"[a-z]{0,9}?zebra\d"])?;
    /// let graph = rules.dump(0).unwrap();
    /// assert!(graph.contains("// split 0: a prefix of 0 to 9 bytes"));
    /// # Ok::<(), vkscan::BuildError>(())
    /// ```
    pub fn dump(&self, pattern_id: u32) -> Option<String> {
        let rule = self.rules().get(pattern_id as usize)?;
        let mut text = String::new();
        write_rule(&mut text, pattern_id, rule).expect("strings take what is written");
        Some(text)
    }
}

fn write_rule(to: &mut String, pattern_id: u32, rule: &Rule) -> fmt::Result {
    writeln!(to, "digraph rule_{pattern_id} {{")?;
    writeln!(to, "    label={}; rankdir=LR; node [shape=box];", quoted(&rule.pattern))?;
    writeln!(to, "    // {} bytes of tables of its own", pack::own_bytes(rule))?;
    if rule.splits.is_empty() {
        writeln!(to, "    // no split: every start is verified")?;
    }
    if let Some(front) = &rule.front {
        let front = bytes_of(front);
        writeln!(to, "    // of starts in a run of [{front}] the first decides about all others")?;
    }
    for (index, split) in rule.splits.iter().enumerate() {
        write_split(to, index, split)?;
    }
    write_nfa(to, &rule.nfa)?;
    write_dfa(to, "dfa", "the rule", &rule.dfa)?;
    if let Some(relaxed) = &rule.relaxed {
        write_dfa(to, "relaxed", "the rule without its counts", relaxed)?;
    }
    for (index, split) in rule.splits.iter().enumerate() {
        if let Some(suffix) = &split.suffix {
            write_dfa(to, &format!("suffix_{index}"), "the suffix", suffix)?;
        }
        if let Some(prefix) = &split.reverse_prefix {
            write_dfa(to, &format!("prefix_{index}"), "the prefix, backwards", prefix)?;
        }
    }
    writeln!(to, "}}")
}

fn write_split(to: &mut String, index: usize, split: &Split) -> fmt::Result {
    if split.anchor == Some(Anchor::Start) {
        return writeln!(to, "    // split {index}: at the start of the haystack");
    }
    let [least, most] = split.prefix;
    let most = match most {
        layout::UNBOUNDED => "any number of".to_owned(),
        most => most.to_string(),
    };
    write!(to, "    // split {index}: a prefix of {least} to {most} bytes, ")?;
    match split.anchor {
        Some(_) => write!(to, "at the end of the haystack, ")?,
        None => {
            let frequency = split.frequency * f64::from(1 << 20);
            write!(to, "{frequency:.3} candidates a MiB of typical data, ")?;
        }
    }
    let is_exact = split.is_exact || least == split.prefix[1];
    writeln!(to, "{}", if is_exact { "told exactly by its DFAs" } else { "to be verified" })?;
    let others = split.other_grams.iter().flatten().map(|gram| ("other gram", gram));
    for (what, gram) in split.grams.iter().map(|gram| ("gram", gram)).chain(others) {
        let bytes = gram.bytes.escape_ascii();
        let from = i32::from(gram.offset) - 1;
        let mask = confirm::describe(gram.confirm_mask);
        writeln!(to, "    //   {what} \"{bytes}\" from byte {from} of the suffix on, {mask}")?;
    }
    for window in &split.class_windows {
        let classes: String =
            window.sets.iter().map(|set| format!("[{}]", bytes_of(set))).collect();
        writeln!(
            to,
            "    //   class window {classes} from byte {} of the suffix on",
            window.offset
        )?;
    }
    Ok(())
}

fn write_nfa(to: &mut String, nfa: &PositionNfa) -> fmt::Result {
    writeln!(to, "    subgraph cluster_nfa {{")?;
    writeln!(to, "        label=\"position NFA, {} nodes\";", nfa.nodes.len())?;
    writeln!(to, "        nfa_match [label=\"match\", shape=doublecircle];")?;
    for (index, node) in (0_u32..).zip(&nfa.nodes) {
        let label = match node.kind {
            layout::NODE_BYTE => format!("[{}]", bytes_of(&nfa.sets[node.operand as usize])),
            layout::NODE_JUMP => "jump".to_owned(),
            kind => {
                let looks = LookSet::full();
                let known = looks.iter().find(|look| look::node_kind(*look) == kind);
                known.map_or_else(|| format!("look-around {kind}"), |look| format!("{look:?}"))
            }
        };
        writeln!(to, "        nfa_{index} [label={}];", quoted(&format!("{index}: {label}")))?;
        for (rank, &target) in nfa.edges_of(index).iter().enumerate() {
            let target = match target {
                layout::EDGE_MATCH => "match".to_owned(),
                target => target.to_string(),
            };
            writeln!(to, "        nfa_{index} -> nfa_{target} [label=\"{}\"];", rank + 1)?;
        }
    }
    writeln!(to, "    }}")
}

/// Rows, and for each of them the bytes that lead to another. Those of row 0 are before the walk.
fn write_dfa(to: &mut String, name: &str, what: &str, dfa: &PartialDfa) -> fmt::Result {
    let stride = dfa.stride as usize;
    let class_count = usize::from(*dfa.classes.iter().max().expect("256 bytes")) + 1;
    let mut classes = vec![ByteSet::default(); class_count];
    for byte in 0..=255_u8 {
        insert(&mut classes[usize::from(dfa.classes[usize::from(byte)])], byte);
    }
    let mut columns: Vec<String> = classes.iter().map(bytes_of).collect();
    // What is left is the end of the haystack, and before it a counter step if there are any.
    columns.extend((class_count + 1..stride).map(|_| "counter step".to_owned()));
    columns.push("end".to_owned());
    writeln!(to, "    subgraph cluster_{name} {{")?;
    let rows = dfa.entries.len() / stride;
    writeln!(to, "        label=\"DFA of {what}, {rows} rows, {class_count} byte classes\";")?;
    writeln!(to, "        {name}_0 [label=\"by the byte before\", shape=circle];")?;
    if dfa.escapes() {
        writeln!(to, "        {name}_nfa [label=\"NFA\", shape=octagon];")?;
    }
    for (row, entries) in dfa.entries.chunks(stride).enumerate() {
        let mut by_entry: Vec<(u16, Vec<&str>)> = Vec::new();
        for (&entry, column) in entries.iter().zip(&columns) {
            match by_entry.iter_mut().find(|(known, _)| *known == entry) {
                Some((_, columns)) => columns.push(column),
                None => by_entry.push((entry, vec![column])),
            }
        }
        for (entry, columns) in by_entry {
            let matched = if partial_dfa::is_match(entry) { "match before " } else { "" };
            let target = match partial_dfa::target(entry) {
                layout::ROW_DEAD if matched.is_empty() => continue,
                layout::ROW_DEAD => "dead".to_owned(),
                layout::ROW_ESCAPE => "nfa".to_owned(),
                row => row.to_string(),
            };
            let label = quoted(&format!("{matched}[{}]", columns.join(" ")));
            writeln!(to, "        {name}_{row} -> {name}_{target} [label={label}];")?;
        }
    }
    writeln!(to, "    }}")
}

/// A set's bytes as in a class of a pattern.
fn bytes_of(set: &ByteSet) -> String {
    let mut text = String::new();
    let mut byte = 0_u16;
    let holds = |byte: u16| u8::try_from(byte).is_ok_and(|byte| contains(set, byte));
    let escaped = |byte: u16| narrow::<_, u8>(byte).escape_ascii().to_string();
    while byte < 256 {
        if !holds(byte) {
            byte += 1;
            continue;
        }
        let first = byte;
        while holds(byte + 1) {
            byte += 1;
        }
        text += &escaped(first);
        if byte > first {
            text += if byte > first + 1 { "-" } else { "" };
            text += &escaped(byte);
        }
        byte += 1;
    }
    text
}

/// A string of the DOT language.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => {
                quoted += &char.escape_default().to_string().replace('\\', "\\\\")
            }
            char => quoted.push(char),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_in_it() {
        let pattern = r#"[\w.-]{0,50}?(?i:adafruit)[ \t]{0,20}=""#;
        let rules = RulePipeline::new(&[pattern, "[a-z]+", "^x", "(?:[a-f0-9]{9}){9}"]).unwrap();
        let graph = rules.dump(0).unwrap();
        for part in [
            "digraph rule_0 {",
            r#"label="[\\w.-]{0,50}?(?i:adafruit)[ \\t]{0,20}=\"";"#,
            "// split 0: a prefix of 0 to 50 bytes",
            "//   gram \"",
            "cluster_nfa",
            "cluster_dfa",
            "cluster_suffix_0",
            "cluster_prefix_0",
            "[label=\"match before [",
        ] {
            assert!(graph.contains(part), "{part}: {graph}");
        }
        assert!(rules.dump(1).unwrap().contains("every start is verified"));
        assert!(rules.dump(2).unwrap().contains("at the start of the haystack"));
        assert!(rules.dump(3).unwrap().contains("class window [0-9a-f]"));
        assert!(rules.dump(4).is_none());
    }

    #[test]
    fn sets_are_written_as_classes() {
        let mut set = ByteSet::default();
        b"acdxyz\n\xff".iter().for_each(|&byte| insert(&mut set, byte));
        assert_eq!(bytes_of(&set), r"\nacdx-z\xff");
        assert_eq!(bytes_of(&[u32::MAX; 8]), r"\x00-\xff");
        assert_eq!(quoted("a\"\\\u{7}"), "\"a\\\"\\\\\\\\u{7}\"");
    }
}
