//! Pipelines as bytes, so that rules are compiled once and loaded many times.
//!
//! Little-endian words: magic, version, the length and FNV-1a checksum of what follows, the options, and
//! then each rule. Whatever is read back is checked piece by piece before it is used: an index that leads
//! outside its table is an error here, so that no kernel meets one.

use bytemuck::allocation::pod_collect_to_vec;
use bytemuck::cast_slice;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::dfa::{self, PartialDfa};
use super::factor::{self, Gram, SEQUENCE, Sequence};
use super::look;
use super::nfa::{ByteSet, Node, PositionNfa};
use super::{Branch, BuildError, PipelineOptions, Rule, RulePipeline, Run, Spent, UnicodePolicy};
use crate::MatchKind;
use crate::shaders::layout;

const MAGIC: [u8; 8] = *b"vkscan\0\n";
/// Goes up with every change of the format.
const VERSION: u32 = 5;
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
        body.word(self.rules.len() as u32);
        for rule in &self.rules {
            body.bytes(rule.pattern.as_bytes());
            body.bytes(cast_slice(&rule.nfa.sets));
            let nodes: Vec<[u32; 4]> = rule
                .nfa
                .nodes
                .iter()
                .map(|node| [node.kind, node.operand, node.edges_begin, node.edges_end])
                .collect();
            body.bytes(cast_slice(&nodes));
            body.bytes(cast_slice(&rule.nfa.edges));
            body.dfa(&rule.dfa);
            body.some_dfa(&rule.loose);
            body.word(rule.spent.search.into());
            body.word(rule.spent.tables.into());
            body.word(rule.branches.len() as u32);
            for branch in &rule.branches {
                body.word(branch.front[0]);
                body.word(branch.front[1]);
                body.grams(&branch.grams);
                body.word(branch.other_grams.is_some().into());
                branch.other_grams.iter().for_each(|grams| body.grams(grams));
                let sequences: Vec<[ByteSet; SEQUENCE]> =
                    branch.sequences.iter().map(|sequence| sequence.sets).collect();
                body.bytes(cast_slice(&sequences));
                let offsets: Vec<u8> =
                    branch.sequences.iter().map(|sequence| sequence.offset).collect();
                body.bytes(&offsets);
                body.long(branch.frequency.to_bits());
                body.some_dfa(&branch.tail);
                body.some_dfa(&branch.back);
                body.word(branch.is_exact.into());
                body.word(match branch.run {
                    None => 0,
                    Some(Run::Lazy) => 1,
                    Some(Run::Greedy) => 2,
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
    /// # Errors
    ///
    /// [`BuildError::Malformed`] for anything else: a foreign or newer format, missing or surplus bytes, a
    /// wrong checksum, or tables that do not hold together.
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
        rules.push(rule(&mut reader).map_err(|reason| format!("rule {index}: {reason}"))?);
    }
    if !reader.0.is_empty() {
        return Err(format!("{} bytes follow its last rule", reader.0.len()));
    }
    // Parsing takes longer than everything else.
    let parses = |(index, rule): (usize, &Rule)| match super::parse(&rule.pattern, &options) {
        Ok(_) => Ok(()),
        Err(reason) => Err(format!("rule {index} does not parse: {reason}")),
    };
    rules.par_iter().enumerate().map(parses).collect::<Result<(), _>>()?;
    Ok(RulePipeline { options, rules })
}

fn rule(reader: &mut Reader) -> Result<Rule, String> {
    let pattern = str::from_utf8(reader.bytes()?).map_err(|error| error.to_string())?.to_owned();
    let sets: Vec<ByteSet> = reader.array("byte sets")?;
    let nodes: Vec<[u32; 4]> = reader.array("nodes")?;
    let nodes = nodes
        .into_iter()
        .map(|[kind, operand, edges_begin, edges_end]| Node {
            kind,
            operand,
            edges_begin,
            edges_end,
        })
        .collect();
    let nfa = PositionNfa { nodes, edges: reader.array("edges")?, sets };
    check_nfa(&nfa)?;
    let dfa = reader.dfa()?;
    let loose = reader.some_dfa()?;
    // The last class but one is a tick.
    let is_byte =
        |loose: &PartialDfa| loose.classes.iter().all(|&class| u32::from(class) + 2 < loose.stride);
    if !loose.as_ref().is_none_or(is_byte) {
        return Err("a byte is taken for a tick".into());
    }
    let spent = Spent { search: reader.flag()?, tables: reader.flag()? };
    let mut branches = Vec::new();
    for _ in 0..reader.word()? {
        let front = [reader.word()?, reader.word()?];
        let grams = reader.grams()?;
        let other_grams = if reader.flag()? { Some(reader.grams()?) } else { None };
        let sets: Vec<[ByteSet; SEQUENCE]> = reader.array("sequences")?;
        let offsets: Vec<u8> = reader.array("offsets")?;
        if sets.len() != offsets.len() {
            return Err("its sequences are cut off".into());
        }
        if offsets.iter().any(|&offset| u32::from(offset) >= layout::GRAM_MOST_OFFSET) {
            return Err("a sequence lies too far from its tail's start".into());
        }
        let sequences =
            sets.into_iter().zip(offsets).map(|(sets, offset)| Sequence { sets, offset }).collect();
        let frequency = f64::from_bits(reader.long()?);
        if !(0.0..=f64::MAX).contains(&frequency) {
            return Err(format!("a frequency of {frequency} makes no sense"));
        }
        let [tail, back] = [reader.some_dfa()?, reader.some_dfa()?];
        let is_exact = reader.flag()?;
        let run = match reader.word()? {
            0 => None,
            1 => Some(Run::Lazy),
            2 => Some(Run::Greedy),
            other => return Err(format!("a run of kind {other} is unknown")),
        };
        let branch =
            Branch { front, grams, other_grams, sequences, frequency, tail, back, is_exact, run };
        check_front(&branch)?;
        branches.push(branch);
    }
    Ok(Rule { pattern, nfa, dfa, loose, branches, spent })
}

fn check_front(branch: &Branch) -> Result<(), String> {
    let [least, most] = branch.front;
    let Branch { tail, back, sequences, .. } = branch;
    // Offsets of a haystack and a front are added up in 32 bits.
    let is_short = |length: u32| length as usize <= crate::MAX_HAYSTACK_BYTES;
    let fits = if branch.is_unbounded() {
        is_short(least) && tail.is_some() && back.is_some() && sequences.is_empty()
    } else {
        let spread = most.checked_sub(least);
        let is_close = spread.is_some_and(|spread| spread <= factor::MOST_SPREAD as u32);
        is_short(most) && is_close && tail.is_some() == (least != most)
    };
    if !fits {
        return Err(format!("a front of {least} to {most} bytes makes no sense"));
    }
    if branch.run.is_some() && !branch.is_exact {
        return Err("a run is not exact".into());
    }
    if back.is_none() && branch.is_exact {
        return Err("an exact front has no DFA".into());
    }
    if back.as_ref().is_some_and(|back| back.escapes() || least == most) {
        return Err("a front's DFA is incomplete or of no use".into());
    }
    Ok(())
}

fn check_nfa(nfa: &PositionNfa) -> Result<(), String> {
    let [nodes, edges, sets] = [nfa.nodes.len(), nfa.edges.len(), nfa.sets.len()];
    if nfa.nodes.first().is_none_or(|node| node.kind != layout::NODE_JUMP) {
        return Err("its first node is not a jump".into());
    }
    for node in &nfa.nodes {
        let operand_fits = match node.kind {
            layout::NODE_BYTE => (node.operand as usize) < sets,
            layout::NODE_JUMP => node.operand == 0,
            kind if look::is_look(kind) => node.operand < 256,
            _ => false,
        };
        if !operand_fits {
            return Err(format!("{node:?} makes no sense"));
        }
        if node.edges_begin > node.edges_end || node.edges_end as usize > edges {
            return Err(format!("{node:?} has edges outside the {edges} there are"));
        }
    }
    let is_edge = |edge: &u32| *edge == layout::EDGE_MATCH || (*edge as usize) < nodes;
    match nfa.edges.iter().find(|edge| !is_edge(edge)) {
        Some(edge) => Err(format!("an edge leads to node {edge} of {nodes}")),
        None => Ok(()),
    }
}

fn check_dfa(dfa: &PartialDfa) -> Result<(), String> {
    let stride = dfa.stride as usize;
    let rows = dfa.entries.len().checked_div(stride).unwrap_or(0);
    let can_be_told = (1..=layout::ROW_ESCAPE as usize).contains(&rows);
    if !can_be_told || rows * stride != dfa.entries.len() {
        return Err(format!("{} entries do not make rows of {stride}", dfa.entries.len()));
    }
    if dfa.classes.iter().any(|&class| usize::from(class) + 1 >= stride) {
        return Err(format!("a byte class is outside rows of {stride}"));
    }
    // An initial state exists and follows no match; the end of the haystack leads nowhere.
    let (initial, others) = dfa.entries.split_at(stride);
    let is_row = |entry: u16| (dfa::target(entry) as usize) < rows;
    let begins = |entry: u16| is_row(entry) && entry != layout::ENTRY_MATCH as u16;
    let is_no_row =
        |entry: u16| [layout::ROW_DEAD, layout::ROW_ESCAPE].contains(&dfa::target(entry));
    let goes_on = |entry: u16| is_row(entry) || dfa::target(entry) == layout::ROW_ESCAPE;
    let fits = initial.iter().all(|&entry| begins(entry))
        && others.chunks_exact(stride).all(|row| {
            let (end, row) = row.split_last().expect("a row has its end");
            is_no_row(*end) && row.iter().all(|&entry| goes_on(entry))
        });
    if fits { Ok(()) } else { Err(format!("an entry leads outside its {rows} rows")) }
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
            |gram: &Gram| [u32::from_le_bytes(gram.bytes), gram.offset.into(), gram.witness];
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

    fn dfa(&mut self) -> Result<PartialDfa, String> {
        let classes =
            self.bytes()?.try_into().map_err(|_| "its class map is not 256 bytes long")?;
        let dfa = PartialDfa { classes, stride: self.word()?, entries: self.array("entries")? };
        check_dfa(&dfa)?;
        Ok(dfa)
    }

    fn grams(&mut self) -> Result<Vec<Gram>, String> {
        let grams: Vec<[u32; 3]> = self.array("grams")?;
        let gram = |[bytes, offset, witness]: [u32; 3]| {
            let fits = offset <= layout::GRAM_MOST_OFFSET;
            fits.then_some(Gram { bytes: bytes.to_le_bytes(), offset: offset as u8, witness })
        };
        let grams: Option<_> = grams.into_iter().map(gram).collect();
        grams.ok_or_else(|| "a gram lies too far from its tail's start".to_owned())
    }

    fn some_dfa(&mut self) -> Result<Option<PartialDfa>, String> {
        if self.flag()? { self.dfa().map(Some) } else { Ok(None) }
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

    #[test]
    fn a_front_that_offsets_cannot_hold_is_refused() {
        let mut pipeline = RulePipeline::new(&["zebra"]).unwrap();
        for front in [[u32::MAX; 2], [2, 1], [0, 5000], [0, layout::UNBOUNDED], [1, 2]] {
            pipeline.rules[0].branches[0].front = front;
            RulePipeline::from_bytes(&pipeline.to_bytes()).unwrap_err();
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
                    check_nfa(&rule.nfa).unwrap();
                    check_dfa(&rule.dfa).unwrap();
                }
            }
        }
    }
}
