//! Pipelines as bytes, so that rules are compiled once and loaded many times.
//!
//! Little-endian words: magic, version, the length and FNV-1a checksum of what follows, the options, and
//! then each rule. Whatever is read back is checked piece by piece before it is used: an index that leads
//! outside its table is an error here, so that no kernel meets one.
//!
//! Bytes may come from anywhere, and what is made of them has to stay in proportion to them, in memory and in time.
//! So tables have to be as the compiler lays them out, where every part has its one place and its use: the nodes'
//! edges follow each other, sets are in the order in which nodes first read them, classes in that of the bytes, a
//! row has an entry for each of them and is led to by another, grams and class windows ascend and are no more than a
//! rule is compiled to. Whether tables match what the rule's text says is not checked, for that takes the compiler.

use bytemuck::allocation::pod_collect_to_vec;
use bytemuck::cast_slice;

use super::checks::{HasCounterSteps, check_dfa, check_factors, check_nfa, check_prefix};
use crate::MatchKind;
use crate::narrow::narrow;
use crate::rules::automata::partial_dfa::PartialDfa;
use crate::rules::automata::position_nfa::{ByteSet, Node, PositionNfa};
use crate::rules::prefilter::confirm;
use crate::rules::prefilter::gram::{CLASS_WINDOW, ClassWindow, Gram};
use crate::rules::prefilter::parts::MOST_PATHS;
use crate::rules::{
    Anchor, BuildError, PipelineOptions, Rule, RulePipeline, Run, Spent, Split, UnicodePolicy,
};
use crate::shaders::layout;

const MAGIC: [u8; 8] = *b"vkscan\0\n";
/// Goes up with every change of the format.
const VERSION: u32 = 8;
/// Bytes of magic, version, length and checksum.
const HEAD: usize = 8 + 4 + 8 + 8;

impl RulePipeline {
    /// The compiled pipeline as bytes, for [`RulePipeline::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Writer(Vec::new());
        let options = &self.options;
        body.word(match options.match_kind {
            MatchKind::All => 0,
            MatchKind::LeftmostFirst => 1,
        });
        body.word(match options.unicode {
            UnicodePolicy::WhenNeeded => 0,
            UnicodePolicy::Never => 1,
            UnicodePolicy::Always => 2,
        });
        body.word(flags(options).iter().rev().fold(0, |bits, flag| bits << 1 | u32::from(*flag)));
        body.word(options.line_terminator.into());
        body.long(options.size_limit as u64);
        body.long(options.dfa_budget as u64);
        body.word(narrow::<_, u32>(self.rules.len()));
        for rule in &self.rules {
            body.bytes(rule.pattern.as_bytes());
            body.bytes(cast_slice(&rule.nfa.sets));
            let nodes: Vec<[u32; 3]> = rule
                .nfa
                .nodes
                .iter()
                .map(|node| [node.kind, node.operand, node.edges_end - node.edges_begin])
                .collect();
            body.bytes(cast_slice(&nodes));
            body.bytes(cast_slice(&rule.nfa.edges));
            body.dfa(&rule.dfa);
            body.some_dfa(&rule.relaxed);
            body.word(rule.spent.search.into());
            body.word(rule.spent.tables.into());
            body.word(rule.front.is_some().into());
            rule.front.iter().flatten().for_each(|&word| body.word(word));
            body.word(narrow::<_, u32>(rule.splits.len()));
            for split in &rule.splits {
                body.word(split.prefix[0]);
                body.word(split.prefix[1]);
                body.grams(&split.grams);
                body.word(split.other_grams.is_some().into());
                split.other_grams.iter().for_each(|grams| body.grams(grams));
                let class_windows: Vec<[ByteSet; CLASS_WINDOW]> =
                    split.class_windows.iter().map(|class_window| class_window.sets).collect();
                body.bytes(cast_slice(&class_windows));
                let offsets: Vec<u8> =
                    split.class_windows.iter().map(|class_window| class_window.offset).collect();
                body.bytes(&offsets);
                body.long(split.frequency.to_bits());
                body.some_dfa(&split.suffix);
                body.some_dfa(&split.reverse_prefix);
                body.word(split.is_exact.into());
                body.word(match split.run {
                    None => 0,
                    Some(Run::Lazy) => 1,
                    Some(Run::Greedy) => 2,
                });
                body.word(match split.anchor {
                    None => 0,
                    Some(Anchor::Start) => 1,
                    Some(Anchor::End) => 2,
                });
            }
        }
        let body = body.0;
        let mut bytes = Writer(Vec::with_capacity(HEAD + body.len()));
        bytes.0.extend_from_slice(&MAGIC);
        bytes.word(VERSION);
        bytes.long(body.len() as u64);
        bytes.long(checksum(&body));
        bytes.0.extend_from_slice(&body);
        bytes.0
    }

    /// Reads what [`RulePipeline::to_bytes`] wrote.
    ///
    /// Bytes that somebody else has written, with the right checksum, do no harm: to read them, to make them resident and
    /// to scan with them takes memory and time in proportion to their number, as much as if rules had been compiled to
    /// tables of that size. But they match whatever they match. The patterns' texts are for show, and for
    /// [`RulePipeline::reference_scan`], which makes sure first that the rules' automata come of them: they are not
    /// compiled here, or even parsed, and tables may tell of other matches than the texts do. Read what you trust to
    /// have been written by `to_bytes`.
    ///
    /// # Errors
    ///
    /// [`BuildError::Malformed`] for anything else: a foreign or newer format, missing or surplus bytes, a
    /// wrong checksum, or tables that do not hold together or are not laid out as compiled ones are.
    pub fn from_bytes(bytes: &[u8]) -> Result<RulePipeline, BuildError> {
        read(bytes).map_err(|reason| BuildError::Malformed { reason })
    }
}

fn flags(options: &PipelineOptions) -> [bool; 6] {
    [
        options.case_insensitive,
        options.multi_line,
        options.dot_matches_new_line,
        options.crlf,
        options.ignore_whitespace,
        options.swap_greed,
    ]
}

fn read(bytes: &[u8]) -> Result<RulePipeline, String> {
    let mut reader = Reader(bytes);
    if reader.take(MAGIC.len())? != MAGIC {
        return Err("it does not begin with the magic bytes".into());
    }
    let version = reader.word()?;
    if version != VERSION {
        return Err(format!("its version is {version}, this is {VERSION}"));
    }
    let length = reader.long()?;
    let expected = reader.long()?;
    if length != reader.0.len() as u64 {
        return Err(format!("{length} bytes should follow its head, {} do", reader.0.len()));
    }
    if checksum(reader.0) != expected {
        return Err("its checksum is wrong".into());
    }
    let match_kind = match reader.word()? {
        0 => MatchKind::All,
        1 => MatchKind::LeftmostFirst,
        other => return Err(format!("match kind {other} is unknown")),
    };
    let unicode = match reader.word()? {
        0 => UnicodePolicy::WhenNeeded,
        1 => UnicodePolicy::Never,
        2 => UnicodePolicy::Always,
        other => return Err(format!("Unicode policy {other} is unknown")),
    };
    let bits = reader.word()?;
    if bits >> 6 != 0 {
        return Err(format!("option bits {bits:#x} are unknown"));
    }
    let flag = |bit: u32| bits >> bit & 1 == 1;
    let narrow = |value: u64| usize::try_from(value).map_err(|_| "a limit is too large".to_owned());
    let options = PipelineOptions {
        match_kind,
        unicode,
        case_insensitive: flag(0),
        multi_line: flag(1),
        dot_matches_new_line: flag(2),
        crlf: flag(3),
        ignore_whitespace: flag(4),
        swap_greed: flag(5),
        line_terminator: reader.byte()?,
        size_limit: narrow(reader.long()?)?,
        dfa_budget: narrow(reader.long()?)?,
    };
    let count = reader.word()?;
    let mut rules = Vec::new();
    for index in 0..count {
        let rule = rule(&mut reader, options.line_terminator);
        rules.push(rule.map_err(|reason| format!("rule {index}: {reason}"))?);
    }
    if !reader.0.is_empty() {
        return Err(format!("{} bytes follow its last rule", reader.0.len()));
    }
    Ok(RulePipeline::of(options, rules))
}

fn rule(reader: &mut Reader, line_terminator: u8) -> Result<Rule, String> {
    let pattern = str::from_utf8(reader.bytes()?).map_err(|error| error.to_string())?.to_owned();
    let nfa = nfa(reader)?;
    check_nfa(&nfa, line_terminator)?;
    let dfa = reader.dfa(HasCounterSteps(false))?;
    let relaxed = reader.some_dfa(HasCounterSteps(true))?;
    if relaxed.is_some() && !dfa.escapes() {
        return Err("a DFA without counts is of no use".into());
    }
    let spent = Spent { search: reader.flag()?, tables: reader.flag()? };
    let mut front = reader.flag()?.then(ByteSet::default);
    for word in front.iter_mut().flatten() {
        *word = reader.word()?;
    }
    let mut splits = Vec::new();
    for _ in 0..reader.word()? {
        splits.push(split(reader)?);
    }
    let is_at_start = |split: &Split| split.anchor == Some(Anchor::Start);
    if splits.iter().any(is_at_start) && splits != [Split::anchored(Anchor::Start)] {
        return Err("a split at the start has something else beside it".into());
    }
    // Class windows are only looked for by rules as a whole.
    if splits.len() > 1 && splits.iter().any(|split| !split.class_windows.is_empty()) {
        return Err("it has other splits beside one with class windows".into());
    }
    Ok(Rule { pattern, nfa, dfa, relaxed, splits, front, spent })
}

fn nfa(reader: &mut Reader) -> Result<PositionNfa, String> {
    let sets: Vec<ByteSet> = reader.array("byte sets")?;
    let drafts: Vec<[u32; 3]> = reader.array("nodes")?;
    let edges: Vec<u32> = reader.array("edges")?;
    let mut nodes = Vec::with_capacity(drafts.len());
    // One after the other, so that no two nodes share edges and none is nobody's.
    let mut edges_begin = 0_u32;
    for [kind, operand, edge_count] in drafts {
        let edges_end = edges_begin.checked_add(edge_count).ok_or("it has too many edges")?;
        nodes.push(Node { kind, operand, edges_begin, edges_end });
        edges_begin = edges_end;
    }
    if edges_begin as usize != edges.len() {
        return Err(format!("its nodes have {edges_begin} edges, and there are {}", edges.len()));
    }
    Ok(PositionNfa { nodes, edges, sets })
}

fn split(reader: &mut Reader) -> Result<Split, String> {
    let prefix = [reader.word()?, reader.word()?];
    let grams = reader.grams()?;
    let other_grams = if reader.flag()? { Some(reader.grams()?) } else { None };
    let sets: Vec<[ByteSet; CLASS_WINDOW]> = reader.array("class windows")?;
    let offsets: Vec<u8> = reader.array("offsets")?;
    if sets.len() != offsets.len() {
        return Err("its class windows are cut off".into());
    }
    if offsets.iter().any(|&offset| u32::from(offset) >= layout::GRAM_MOST_OFFSET) {
        return Err("a class window lies too far from its suffix's start".into());
    }
    let class_windows: Vec<ClassWindow> =
        sets.into_iter().zip(offsets).map(|(sets, offset)| ClassWindow { sets, offset }).collect();
    if class_windows.len() > MOST_PATHS || !class_windows.is_sorted_by(|one, next| one < next) {
        return Err("its class windows do not ascend, or are too many".into());
    }
    let frequency = f64::from_bits(reader.long()?);
    if !(0.0..=f64::MAX).contains(&frequency) {
        return Err(format!("a frequency of {frequency} makes no sense"));
    }
    let suffix = reader.some_dfa(HasCounterSteps(false))?;
    let reverse_prefix = reader.some_dfa(HasCounterSteps(false))?;
    let is_exact = reader.flag()?;
    let run = match reader.word()? {
        0 => None,
        1 => Some(Run::Lazy),
        2 => Some(Run::Greedy),
        other => return Err(format!("a run of kind {other} is unknown")),
    };
    let anchor = match reader.word()? {
        0 => None,
        1 => Some(Anchor::Start),
        2 => Some(Anchor::End),
        other => return Err(format!("an anchor of kind {other} is unknown")),
    };
    let split = Split {
        prefix,
        grams,
        other_grams,
        class_windows,
        frequency,
        suffix,
        reverse_prefix,
        is_exact,
        run,
        anchor,
    };
    check_factors(&split)?;
    check_prefix(&split)?;
    Ok(split)
}

/// 64-bit FNV-1a (Fowler, Noll and Vo), over little-endian words of eight bytes and then the bytes left.
fn checksum(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words
        .chain(rest.iter().map(|byte| u64::from(*byte)))
        .fold(OFFSET_BASIS, |hash, unit| (hash ^ unit).wrapping_mul(PRIME))
}

struct Writer(Vec<u8>);

impl Writer {
    fn word(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn long(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn grams(&mut self, grams: &[Gram]) {
        let words =
            |gram: &Gram| [u32::from_le_bytes(gram.bytes), gram.offset.into(), gram.confirm_mask];
        self.bytes(cast_slice(&grams.iter().map(words).collect::<Vec<[u32; 3]>>()));
    }

    fn dfa(&mut self, dfa: &PartialDfa) {
        self.bytes(&dfa.classes);
        self.word(dfa.stride);
        self.bytes(cast_slice(&dfa.entries));
    }

    fn some_dfa(&mut self, dfa: &Option<PartialDfa>) {
        self.word(dfa.is_some().into());
        dfa.iter().for_each(|dfa| self.dfa(dfa));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.long(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.word()?.try_into().map_err(|_| "a byte is larger than 255".to_owned())
    }

    fn long(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.long()?;
        self.take(usize::try_from(length).map_err(|_| "it ends too early")?)
    }

    fn dfa(&mut self, has_counter_steps: HasCounterSteps) -> Result<PartialDfa, String> {
        let classes =
            self.bytes()?.try_into().map_err(|_| "its class map is not 256 bytes long")?;
        let dfa = PartialDfa { classes, stride: self.word()?, entries: self.array("entries")? };
        check_dfa(&dfa, has_counter_steps)?;
        Ok(dfa)
    }

    fn grams(&mut self) -> Result<Vec<Gram>, String> {
        let grams: Vec<[u32; 3]> = self.array("grams")?;
        let gram = |[bytes, offset, confirm_mask]: [u32; 3]| {
            let fits = offset <= layout::GRAM_MOST_OFFSET && confirm::is_near(confirm_mask);
            fits.then(|| Gram { bytes: bytes.to_le_bytes(), offset: narrow(offset), confirm_mask })
        };
        let grams: Option<_> = grams.into_iter().map(gram).collect();
        grams.ok_or_else(|| {
            "a gram lies too far from its suffix's start, or from what its confirm mask asks for"
                .to_owned()
        })
    }

    fn some_dfa(
        &mut self,
        has_counter_steps: HasCounterSteps,
    ) -> Result<Option<PartialDfa>, String> {
        if self.flag()? { self.dfa(has_counter_steps).map(Some) } else { Ok(None) }
    }

    fn flag(&mut self) -> Result<bool, String> {
        match self.word()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("{other} is neither yes nor no")),
        }
    }

    fn array<T: bytemuck::Pod>(&mut self, what: &str) -> Result<Vec<T>, String> {
        let bytes = self.bytes()?;
        if !bytes.len().is_multiple_of(size_of::<T>()) {
            return Err(format!("its {what} are cut off"));
        }
        Ok(pod_collect_to_vec(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::automata::look;
    use crate::rules::prefilter::gram::MOST_GRAMS;
    use proptest::prelude::*;

    fn pipeline() -> RulePipeline {
        RulePipeline::new(&[r"(?m)^\w+\b.{3,300}x$", "a|bc|", r"\p{Greek}{2}"]).unwrap()
    }

    #[test]
    fn comes_back_the_same() {
        let options = PipelineOptions {
            match_kind: MatchKind::All,
            unicode: UnicodePolicy::Always,
            swap_greed: true,
            line_terminator: 0,
            ..PipelineOptions::default()
        };
        let other = RulePipeline::with_options(&["(?m)a+?$"], options).unwrap();
        for pipeline in [pipeline(), other, RulePipeline::new::<&str>(&[]).unwrap()] {
            assert_eq!(RulePipeline::from_bytes(&pipeline.to_bytes()).unwrap(), pipeline);
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = pipeline().to_bytes();
        for length in 0..bytes.len().min(2000) {
            RulePipeline::from_bytes(&bytes[..length]).unwrap_err();
        }
        RulePipeline::from_bytes(&[&bytes[..], &[0]].concat()).unwrap_err();
    }

    /// A pipeline as it is read back once something has been done to its rules.
    fn damaged(
        patterns: &[&str],
        damage: impl FnOnce(&mut Vec<Rule>),
    ) -> Result<RulePipeline, BuildError> {
        let mut pipeline = RulePipeline::new(patterns).unwrap();
        RulePipeline::from_bytes(&pipeline.to_bytes()).unwrap();
        damage(&mut pipeline.rules);
        RulePipeline::from_bytes(&pipeline.to_bytes())
    }

    fn assert_refused(patterns: &[&str], reason: &str, damage: impl FnOnce(&mut Rule)) {
        match damaged(patterns, |rules| damage(&mut rules[0])) {
            Err(BuildError::Malformed { reason: told }) if told.contains(reason) => {}
            Err(other) => panic!("{reason:?} should have been said, not {other}"),
            Ok(_) => panic!("{reason:?} should have been said, and it was accepted"),
        }
    }

    #[test]
    fn a_prefix_that_offsets_cannot_hold_is_refused() {
        for prefix in [[u32::MAX; 2], [2, 1], [0, 5000], [0, layout::UNBOUNDED], [1, 2]] {
            assert_refused(&["zebra"], "a prefix of", |rule| rule.splits[0].prefix = prefix);
        }
    }

    #[test]
    fn sets_that_no_node_reads_are_refused() {
        let patterns = [r"(?s)a.{20}[bc]"];
        for count in [1, 40_000] {
            assert_refused(&patterns, "byte sets", |rule| {
                rule.nfa.sets.extend((0..count).map(|set| [set + 1, 1, 1, 1, 1, 1, 1, 1]));
            });
        }
        assert_refused(&patterns, "byte sets", |rule| rule.nfa.sets[1] = rule.nfa.sets[0]);
        assert_refused(&patterns, "byte sets", |rule| rule.nfa.sets.truncate(1));
        assert_refused(&patterns, "makes no sense", |rule| {
            let reader = rule.nfa.nodes.iter_mut().find(|node| node.kind == layout::NODE_BYTE);
            reader.unwrap().operand = 1;
        });
    }

    /// Each of the nodes would lead to all that are: a closure would look at the square of them.
    #[test]
    fn nodes_that_share_their_edges_are_refused() {
        assert_refused(&[r"(?s)a.{2000}[bc]"], "edges", |rule| {
            let count = rule.nfa.nodes.len() as u32;
            rule.nfa.edges = (1..count).collect();
            for node in &mut rule.nfa.nodes {
                (node.edges_begin, node.edges_end) = (0, count - 1);
            }
        });
        assert_refused(&["abc"], "edges", |rule| rule.nfa.edges.push(1));
        assert_refused(&["abc"], "node 0", |rule| rule.nfa.edges[0] = 0);
        assert_refused(&["abc"], "makes no sense", |rule| rule.nfa.nodes[1].kind = 20);
        assert_refused(&["^abc"], "makes no sense", |rule| {
            let look = rule.nfa.nodes.iter_mut().find(|node| look::is_look(node.kind));
            look.unwrap().operand = 11;
        });
    }

    /// What is listed by pairs of first bytes takes a rule's classes cubed.
    #[test]
    fn rows_of_more_than_their_classes_are_refused() {
        assert_refused(&["[a-y]z"], "rows of", |rule| {
            rule.dfa.stride = 3000;
            rule.dfa.entries = vec![0; 3000 * 100];
        });
        assert_refused(&["[a-y]z"], "class", |rule| rule.dfa.classes[7] = 200);
        assert_refused(&["[a-y]z"], "nothing leads to row", |rule| {
            rule.dfa.entries.extend(vec![0; rule.dfa.stride as usize]);
        });
        assert_refused(&["[a-y]z"], "an entry leads outside", |rule| rule.dfa.entries[0] = 1);
        let patterns = ["[ab]{0,9}zebra.+x"];
        assert_refused(&patterns, "a suffix may be empty", |rule| {
            let suffix = rule.splits[0].suffix.as_mut().unwrap();
            let initial = suffix.entry(0, 0) >> 1;
            suffix.entries[(u32::from(initial) * suffix.stride) as usize] |= 1;
        });
    }

    #[test]
    fn factors_that_no_rule_is_compiled_to_are_refused() {
        let gram = Gram { bytes: *b"abcd", offset: 1, confirm_mask: layout::CONFIRM_ANY };
        let gram_of = |index: u32| Gram { bytes: index.to_be_bytes(), ..gram };
        for grams in [vec![gram; 2], vec![Gram { offset: 2, ..gram }, gram]] {
            assert_refused(&["zebra"], "ascend", |rule| rule.splits[0].grams = grams);
        }
        assert_refused(&["zebra"], "too many", |rule| {
            rule.splits[0].grams = (0..=MOST_GRAMS as u32).map(gram_of).collect();
        });
        assert_refused(&["zebra"], "together", |rule| rule.splits[0].other_grams = Some(vec![]));
        assert_refused(&["zebra"], "confirm mask", |rule| rule.splits[0].grams[0].confirm_mask = 0);
        for anchor in [Anchor::Start, Anchor::End] {
            assert_refused(&["zebra"], "look for", |rule| rule.splits[0].anchor = Some(anchor));
        }
        assert_refused(&["zebra"], "beside it", |rule| {
            rule.splits.push(Split::anchored(Anchor::Start));
        });
        assert_refused(&["zebra$"], "look for", |rule| rule.splits[0].anchor = None);

        let class_window = |index: u32| ClassWindow { sets: [[index; 8]; CLASS_WINDOW], offset: 0 };
        let patterns = ["[a-f0-9]{30}"];
        for class_windows in [vec![class_window(1); 2], (1..=513).map(class_window).collect()] {
            assert_refused(&patterns, "ascend", |rule| {
                rule.splits[0].class_windows = class_windows
            });
        }
        assert_refused(&patterns, "other splits", |rule| {
            rule.splits.push(rule.splits[0].clone());
        });
    }

    /// They are for show; and for the oracle, which says so.
    #[test]
    fn texts_are_not_looked_into() {
        for text in ["(", "fooo", "(?:a{1000}){1000}", ""] {
            let pipeline = damaged(&["foo"], |rules| rules[0].pattern = text.into()).unwrap();
            assert_eq!(pipeline.patterns().collect::<Vec<_>>(), [text]);
            let judged = std::panic::catch_unwind(|| pipeline.reference_scan(b"foo"));
            let said = judged.unwrap_err();
            let said = said.downcast_ref::<String>().unwrap();
            assert!(said.contains("do not come of its text"), "{said}");
        }
    }

    /// A word that is too large for what it is read into is refused as any other.
    #[test]
    fn no_word_makes_reading_panic() {
        let bytes =
            RulePipeline::new(&[r"\bzebra[0-9]{2}", "[a-f0-9]{9}", "x.{9}"]).unwrap().to_bytes();
        for at in HEAD..bytes.len() - 3 {
            for word in [0, 256, 1 << 16, u32::MAX] {
                let mut damaged = bytes.clone();
                damaged[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
                let sum = checksum(&damaged[HEAD..]).to_le_bytes();
                damaged[HEAD - 8..HEAD].copy_from_slice(&sum);
                let _ = RulePipeline::from_bytes(&damaged);
            }
        }
    }

    proptest! {
        /// Damage that a forged checksum hides is refused, or leaves tables that hold together.
        #[test]
        fn damage_is_refused_or_harmless(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = pipeline().to_bytes();
            for (at, value) in &edits {
                let at = HEAD + at.index(bytes.len() - HEAD);
                bytes[at] = *value;
            }
            let sum = checksum(&bytes[HEAD..]).to_le_bytes();
            bytes[HEAD - 8..HEAD].copy_from_slice(&sum);
            if let Ok(pipeline) = RulePipeline::from_bytes(&bytes) {
                for rule in pipeline.rules() {
                    check_nfa(&rule.nfa, b'\n').unwrap();
                    check_dfa(&rule.dfa, HasCounterSteps(false)).unwrap();
                }
            }
        }
    }
}
