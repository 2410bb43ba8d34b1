//! Scans that are recorded into a program's command buffers: exact each time they are executed, whatever they come to; and
//! wrong use is refused.

mod common;
#[path = "../examples/common/mod.rs"]
mod program;
#[path = "common/strategies.rs"]
mod strategies;

use std::cell::Cell;

use ash::vk;
use ash::vk::Handle as _;
use program::{Memory, Program};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use vkscan::{
    Backend, BackendError, Match, MatchKind, PipelineOptions, RawBuffer, RawCommandBuffer,
    RawScope, RecordOptions, RecordedScan, RecordedState, Recording, RecordingOptions,
    ResidentHaystack, ResidentRulePipeline, RulePipeline, ScanError, ScanScratch, SessionOptions,
    hits_bytes, read_hits,
};

const STORAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::STORAGE_BUFFER;
const SOURCE: vk::BufferUsageFlags = vk::BufferUsageFlags::TRANSFER_SRC;

/// A program, with a backend on its device.
struct Setting {
    program: Program,
    backend: Backend,
}

/// What the tests scan with.
struct Scanner {
    rules: RulePipeline,
    session: ResidentRulePipeline,
    recording: Recording,
}

impl Setting {
    fn new() -> Setting {
        let program = Program::new().expect("a device");
        // SAFETY: the program outlives the backend: `end`.
        let backend = unsafe { Backend::from_raw(program.raw_device()) }.unwrap();
        Setting { program, backend }
    }

    fn scanner(&self, rules: RulePipeline, capacity: usize, max_matches: usize) -> Scanner {
        let session = rules.prepare_resident(&self.backend, capacity, max_matches).unwrap();
        let options = RecordingOptions::default().copied_bytes(capacity);
        let recording = session.recording(&self.backend, &options).unwrap();
        Scanner { rules, session, recording }
    }

    fn memory(&self, size: u64, usage: vk::BufferUsageFlags) -> Memory {
        self.program.buffer(size, usage).unwrap()
    }

    /// A haystack, with other bytes of the same kind before and behind.
    fn haystack(&self, bytes: &[u8], offset: usize, usage: vk::BufferUsageFlags) -> Memory {
        let memory = self.memory((offset + bytes.len()).next_multiple_of(16) as u64 + 64, usage);
        let junk: Vec<u8> =
            bytes.iter().copied().chain([b'a']).cycle().take(memory.size as usize).collect();
        memory.write(0, &junk);
        memory.write(offset, bytes);
        memory
    }

    /// Ends it, once all else has.
    fn end(self) {
        assert_eq!(self.backend.allocated_bytes(), 0);
        drop(self.backend);
        self.program.end().unwrap();
    }
}

impl Scanner {
    fn record(
        &mut self,
        commands: vk::CommandBuffer,
        haystack: (RawBuffer, u64, usize),
        hits: (RawBuffer, u64, u32),
        options: &RecordOptions,
    ) -> Result<RecordedScan, ScanError> {
        self.session.record(&mut self.recording, raw(commands), haystack, hits, options)
    }

    /// Records and executes a scan, and then how it goes on, until it does not. Says how often it went on, and what it came to.
    fn run(
        &mut self,
        setting: &Setting,
        text: &[u8],
        room: u32,
        options: &RecordOptions,
    ) -> (usize, RecordedState, Vec<Match>) {
        let haystack = setting.haystack(text, 0, STORAGE);
        let hits = setting.memory(hits_bytes(room), STORAGE);
        let mut scan = None;
        let commands = recorded(setting.program.record(|commands| {
            let (haystack, hits) = ((haystack.raw(), 0, text.len()), (hits.raw(), 0, room));
            scan = Some(self.record(commands, haystack, hits, options)?);
            Ok(())
        }));
        let again = recorded(setting.program.record(|commands| {
            let Scanner { session, recording, .. } = self;
            session.record_continue(recording, raw(commands), scan.unwrap(), 2)?;
            Ok(())
        }));
        setting.program.execute(&commands).unwrap();
        let mut times = 0;
        while found(&hits, 0, room).0 == RecordedState::GoesOn {
            setting.program.execute(&again).unwrap();
            times += 1;
            assert!(times < 10_000);
        }
        let (state, matches) = found(&hits, 0, room);
        // What is over stays so.
        setting.program.execute(&again).unwrap();
        assert_eq!(found(&hits, 0, room), (state, matches.clone()));
        drop((commands, again));
        self.recording.clear();
        (times, state, matches)
    }

    fn end(self, setting: &Setting) {
        drop(self.recording);
        self.session.free(&setting.backend).unwrap();
    }
}

fn raw(commands: vk::CommandBuffer) -> RawCommandBuffer {
    // SAFETY: it is recorded by this thread, and executed alone, before what it names goes.
    unsafe { RawCommandBuffer::new(commands.as_raw() as *mut _) }
}

fn rules(kind: MatchKind, patterns: &[&str]) -> RulePipeline {
    RulePipeline::with_options(patterns, PipelineOptions::default().match_kind(kind)).unwrap()
}

fn found(hits: &Memory, offset: usize, max_matches: u32) -> (RecordedState, Vec<Match>) {
    let words = hits.words(offset, hits_bytes(max_matches) as usize / 4);
    let (state, matches) = read_hits(&words, max_matches);
    // Who trusts the counter alone finds nothing where not all is there.
    assert_eq!(words[0] as usize, matches.len());
    (state, matches)
}

/// Recorded for as much as any of these scans takes.
fn generous() -> RecordOptions {
    RecordOptions::default().rounds(4).many_matches(true)
}

/// Unwraps what `Program::record` gives where nothing but a scan may fail.
fn recorded(result: Result<program::Recorded, Failed>) -> program::Recorded {
    result.unwrap_or_else(|Failed(error)| panic!("{error}"))
}

#[derive(Debug)]
struct Failed(String);

impl From<vk::Result> for Failed {
    fn from(error: vk::Result) -> Failed {
        Failed(error.to_string())
    }
}

impl From<ScanError> for Failed {
    fn from(error: ScanError) -> Failed {
        Failed(error.to_string())
    }
}

const PATTERNS: [&str; 12] = [
    r"\bfoobar\b",
    "[ab]{0,3}abcd",
    r"xyzkey[a-f]*\d{2,}",
    r"[\w.-]{0,50}?(?i:adafruit)[ \t]{0,20}=",
    "[0-9a-f]{12}",
    "a.*b",
    r"\A\w+",
    r"\w+\z",
    r"(?m)^$|^b+$",
    r"(?:ab|a)*?x",
    r"(?s)foo.{3,40}bar",
    r"[a-z]+=",
];

fn texts() -> Vec<Vec<u8>> {
    let one = b"foobar ababcd xyzkeyab12 -- foobar bar ababcdabcd xyzkey c, foobarfoo foobar";
    let two = b"my.adafruit_key = 0123456789abcdef0123\nAdaFruit\t= abbbx\nbb\n\naab=";
    vec![
        one.to_vec(),
        two.to_vec(),
        one.repeat(30),
        [&two[..], one].concat().repeat(20),
        b"a".to_vec(),
        b"bar".to_vec(),
    ]
}

#[test]
fn recorded_scans_are_exact_each_time() {
    let setting = Setting::new();
    for kind in [MatchKind::LeftmostFirst, MatchKind::All] {
        let patterns: &[&str] = if kind == MatchKind::All { &PATTERNS[..5] } else { &PATTERNS };
        let mut scanner = setting.scanner(rules(kind, patterns), 1 << 13, 20_000);
        const ROOM: u32 = 20_000;
        let texts = texts();
        // Where it can be bound; where the offset is not aligned; and where the buffer is for copies alone.
        let places = [(256, STORAGE), (3, STORAGE | SOURCE), (64, SOURCE)];
        let haystacks: Vec<(usize, Memory)> = texts
            .iter()
            .zip(places.iter().cycle())
            .map(|(text, &(offset, usage))| (offset, setting.haystack(text, offset, usage)))
            .collect();
        let hits: Vec<Memory> =
            texts.iter().map(|_| setting.memory(256 + hits_bytes(ROOM), STORAGE)).collect();
        let commands = recorded(setting.program.record(|commands| {
            for ((text, (offset, haystack)), hits) in texts.iter().zip(&haystacks).zip(&hits) {
                let haystack = (haystack.raw(), *offset as u64, text.len());
                let options = generous();
                scanner.record(commands, haystack, (hits.raw(), 256, ROOM), &options)?;
            }
            Ok(())
        }));
        for round in 0..3 {
            setting.program.execute(&commands).unwrap();
            for ((text, (offset, haystack)), hits) in texts.iter().zip(&haystacks).zip(&hits) {
                // What is there is scanned, whatever was when it was recorded.
                let turned = |round: usize| {
                    let mut turned = text.clone();
                    turned.rotate_left((text.len() / 3 * round) % text.len());
                    turned
                };
                let expected = scanner.rules.reference_scan(&turned(round));
                assert_eq!(found(hits, 256, ROOM), (RecordedState::Complete, expected), "{round}");
                haystack.write(*offset, &turned(round + 1));
            }
        }
        drop(commands);
        scanner.end(&setting);
    }
    setting.end();
}

/// Cases that once failed.
#[test]
fn kept_cases() {
    let setting = Setting::new();
    // What was begun anew was judged as if it had been prefiltered, when it went on.
    let text = ["abcdabcd".to_owned(), "q".repeat(400), "xkey7".to_owned()].concat();
    let rules = rules(MatchKind::LeftmostFirst, &[r"key7\b", r"[a-z]*abcd[0-9]?\b"]);
    let options = SessionOptions::new(text.len(), 4000);
    let session = rules.prepare_resident_cramped(&setting.backend, &options).unwrap();
    let recording = session.recording(&setting.backend, &RecordingOptions::default()).unwrap();
    let mut scanner = Scanner { rules, session, recording };
    let expected = scanner.rules.reference_scan(text.as_bytes());
    let options = RecordOptions::default();
    let (times, state, matches) = scanner.run(&setting, text.as_bytes(), 4000, &options);
    assert!(times > 1, "{times}");
    assert_eq!((state, matches), (RecordedState::Complete, expected));
    scanner.end(&setting);
    // What hits had left open was selected from once more before it was verified, now and then.
    let begin = "ABCDkey7abABCDabcdabxabxababcdabxababcdabcdxx";
    let text = [begin, &"q".repeat(187), "xxabcdabcdabcdABCDaxabcd"].concat();
    let patterns = [
        r"[a-z]*[^ y]{0,60}?(?i:abcd)(?s:.){2,}\b",
        r"[a-z]*[^ y](?:abcd|bcda)\B|[a-z]?(?i:abcd)\B",
    ];
    let rules = self::rules(MatchKind::LeftmostFirst, &patterns);
    let mut scanner = setting.scanner(rules, text.len(), 4000);
    let expected = scanner.rules.reference_scan(text.as_bytes());
    for _ in 0..200 {
        let options = RecordOptions::default();
        let (times, state, matches) = scanner.run(&setting, text.as_bytes(), 4000, &options);
        assert!(times > 0);
        assert_eq!((state, matches), (RecordedState::Complete, expected.clone()));
    }
    scanner.end(&setting);
    setting.end();
}

/// Recorded for as little as possible, so that scans go on in all ways, also with so little room that they begin anew.
#[test]
fn generated_rules_go_on_to_the_same_matches() {
    const ROOM: u32 = 4000;

    let setting = Setting::new();
    let pattern = prop_oneof![strategies::pattern(), strategies::cut_pattern()];
    let haystack = prop_oneof![strategies::haystack(), strategies::crowded_haystack()];
    let cases = (vec(pattern, 1..5), vec(haystack, 2..6), any::<bool>(), any::<bool>());
    let config =
        ProptestConfig { failure_persistence: None, cases: 96, ..ProptestConfig::default() };
    let (went_on, complete, by_host) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let outcome =
        TestRunner::new(config).run(&cases, |(patterns, haystacks, is_all, is_cramped)| {
            let kind = if is_all { MatchKind::All } else { MatchKind::LeftmostFirst };
            let options = PipelineOptions::default().match_kind(kind);
            let Ok(rules) = RulePipeline::with_options(&patterns, options) else { return Ok(()) };
            let longest = haystacks.iter().map(Vec::len).max().unwrap().max(1);
            let options = SessionOptions::new(longest, ROOM as usize).scans_in_flight(Some(1));
            let session = match is_cramped {
                true => rules.prepare_resident_cramped(&setting.backend, &options),
                false => rules.prepare_resident_with(&setting.backend, &options),
            };
            let session = session.unwrap();
            if haystacks.iter().all(Vec::is_empty) || session.table_bytes() == 0 {
                session.free(&setting.backend).unwrap();
                return Ok(());
            }
            let recording =
                session.recording(&setting.backend, &RecordingOptions::default()).unwrap();
            let mut scanner = Scanner { rules, session, recording };
            for text in haystacks.iter().filter(|text| !text.is_empty()) {
                let options = RecordOptions::default();
                let (times, state, matches) = scanner.run(&setting, text, ROOM, &options);
                went_on.set(went_on.get() + usize::from(times > 0));
                let expected = scanner.rules.reference_scan(text);
                match state {
                    RecordedState::NeedsHost => by_host.set(by_host.get() + 1),
                    RecordedState::TooMany { found } => {
                        prop_assert_eq!(found as usize, expected.len())
                    }
                    state => {
                        prop_assert_eq!(state, RecordedState::Complete);
                        let haystack = text.escape_ascii();
                        prop_assert_eq!(&matches, &expected, "haystack \"{}\"", haystack);
                        complete.set(complete.get() + 1);
                    }
                }
            }
            scanner.end(&setting);
            Ok(())
        });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let [went_on, complete, by_host] = [went_on, complete, by_host].map(Cell::into_inner);
    common::say(&format!("{complete} complete, {went_on} went on, {by_host} are left to the host"));
    assert!(complete > 100 && went_on > 30 && by_host < complete / 4);
    setting.end();
}

#[test]
fn a_word_on_the_device_tells_the_length() {
    let setting = Setting::new();
    let mut scanner = setting.scanner(rules(MatchKind::LeftmostFirst, &PATTERNS), 1 << 13, 5000);
    let text = &texts()[3];
    let haystack = setting.haystack(text, 0, STORAGE | SOURCE);
    let length = setting.memory(8, SOURCE);
    let hits = setting.memory(hits_bytes(5000), STORAGE);
    for offset in [0, 1] {
        let haystack = (haystack.raw(), offset, text.len() - 1);
        let options = generous().length(Some((length.raw(), 4)));
        let commands = recorded(setting.program.record(|commands| {
            scanner.record(commands, haystack, (hits.raw(), 0, 5000), &options)?;
            Ok(())
        }));
        for len in [0, 1, 2, 15, 16, 17, 100, 777, text.len() - 2, text.len() - 1] {
            length.write(4, &(len as u32).to_le_bytes());
            setting.program.execute(&commands).unwrap();
            let text = &text[offset as usize..][..len];
            let expected = scanner.rules.reference_scan(text);
            assert_eq!(found(&hits, 0, 5000), (RecordedState::Complete, expected), "{len}");
        }
        for bytes in [text.len() as u32, u32::MAX] {
            length.write(4, &bytes.to_le_bytes());
            setting.program.execute(&commands).unwrap();
            assert_eq!(found(&hits, 0, 5000), (RecordedState::TooLong { bytes }, vec![]));
        }
    }
    drop(haystack);
    drop((length, hits));
    scanner.end(&setting);
    setting.end();
}

#[test]
fn a_recorded_scan_is_exact_a_thousand_times() {
    let setting = Setting::new();
    let mut scanner = setting.scanner(rules(MatchKind::LeftmostFirst, &PATTERNS), 1 << 10, 500);
    let text = &texts()[0];
    let haystack = setting.haystack(text, 0, STORAGE);
    let hits = setting.memory(hits_bytes(500), STORAGE);
    let commands = recorded(setting.program.record(|commands| {
        let (haystack, hits) = ((haystack.raw(), 0, text.len()), (hits.raw(), 0, 500));
        scanner.record(commands, haystack, hits, &generous())?;
        Ok(())
    }));
    let mut text = text.clone();
    for _ in 0..1000 {
        setting.program.execute(&commands).unwrap();
        assert_eq!(
            found(&hits, 0, 500),
            (RecordedState::Complete, scanner.rules.reference_scan(&text))
        );
        text.rotate_left(1);
        haystack.write(0, &text);
    }
    drop((commands, haystack, hits));
    scanner.end(&setting);
    setting.end();
}

#[test]
fn haystacks_of_vkscans_are_recorded_too() {
    let setting = Setting::new();
    let mut scanner = setting.scanner(rules(MatchKind::LeftmostFirst, &PATTERNS), 1 << 13, 5000);
    let text = &texts()[2];
    let resident = ResidentHaystack::new(&setting.backend, text).unwrap();
    let (handle, offset, size) = resident.raw_buffer();
    // SAFETY: the haystack is there until the end of the test, and its buffer as it says.
    let haystack = unsafe { RawBuffer::new(handle, size, (STORAGE | SOURCE).as_raw()) };
    let hits = setting.memory(hits_bytes(5000), STORAGE);
    let commands = recorded(setting.program.record(|commands| {
        let (haystack, room) = ((haystack, offset, text.len()), (hits.raw(), 0, 5000));
        scanner.record(commands, haystack, room, &generous())?;
        Ok(())
    }));
    setting.program.execute(&commands).unwrap();
    let expected = scanner.rules.reference_scan(text);
    assert_eq!(found(&hits, 0, 5000), (RecordedState::Complete, expected));
    drop((commands, hits, resident));
    scanner.end(&setting);
    setting.end();
}

#[test]
fn barriers_may_be_the_programs() {
    let setting = Setting::new();
    let mut scanner = setting.scanner(rules(MatchKind::LeftmostFirst, &PATTERNS), 1 << 13, 5000);
    let device = setting.program.device.clone();
    let text = &texts()[2];
    let source = setting.haystack(text, 0, SOURCE);
    let storage = STORAGE | vk::BufferUsageFlags::TRANSFER_DST;
    let haystack = setting.memory(text.len().next_multiple_of(16) as u64, storage);
    let hits = setting.memory(hits_bytes(5000), STORAGE | SOURCE);
    let copied = setting.memory(hits.size, vk::BufferUsageFlags::TRANSFER_DST);
    let [before, behind] = scanner.recording.required_barriers();
    let transfer = vk::PipelineStageFlags::TRANSFER;
    let copy = |commands, from: &Memory, to: &Memory, size| {
        let regions = [vk::BufferCopy { src_offset: 0, dst_offset: 0, size }];
        // SAFETY: the commands are being recorded, and the buffers large enough.
        unsafe { device.cmd_copy_buffer(commands, from.buffer, to.buffer, &regions) };
    };
    let barrier = |commands,
                   from: (vk::PipelineStageFlags, vk::AccessFlags),
                   to: (vk::PipelineStageFlags, vk::AccessFlags)| {
        let barriers = [vk::MemoryBarrier::default().src_access_mask(from.1).dst_access_mask(to.1)];
        let none = vk::DependencyFlags::empty();
        // SAFETY: the commands are being recorded, outside of a render pass.
        unsafe { device.cmd_pipeline_barrier(commands, from.0, to.0, none, &barriers, &[], &[]) };
    };
    let scope = |scope: RawScope| {
        let access = vk::AccessFlags::from_raw(scope.access);
        (vk::PipelineStageFlags::from_raw(scope.stages), access)
    };
    // Twice: what the second one writes comes after what the first one read.
    let commands = recorded(setting.program.record(|commands| {
        for _ in 0..2 {
            copy(commands, &source, &haystack, text.len() as u64);
            barrier(commands, (transfer, vk::AccessFlags::TRANSFER_WRITE), scope(before));
            let options = generous().barriers(false);
            let (haystack, room) = ((haystack.raw(), 0, text.len()), (hits.raw(), 0, 5000));
            scanner.record(commands, haystack, room, &options)?;
            barrier(
                commands,
                scope(behind),
                (transfer, vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE),
            );
            copy(commands, &hits, &copied, hits.size);
            barrier(
                commands,
                (transfer, vk::AccessFlags::TRANSFER_WRITE),
                (transfer, vk::AccessFlags::TRANSFER_WRITE),
            );
        }
        barrier(
            commands,
            (transfer, vk::AccessFlags::TRANSFER_WRITE),
            (vk::PipelineStageFlags::HOST, vk::AccessFlags::HOST_READ),
        );
        Ok(())
    }));
    setting.program.execute(&commands).unwrap();
    let expected = scanner.rules.reference_scan(text);
    assert_eq!(found(&copied, 0, 5000), (RecordedState::Complete, expected));
    drop((commands, source, haystack, hits, copied));
    scanner.end(&setting);
    setting.end();
}

#[test]
fn matches_that_do_not_fit_are_counted() {
    let setting = Setting::new();
    let mut scanner =
        setting.scanner(rules(MatchKind::LeftmostFirst, &["[ab]", "b"]), 1 << 14, 40_000);
    for len in [10, 500, 9000] {
        let text = b"ab".repeat(len / 2);
        let haystack = setting.haystack(&text, 0, STORAGE);
        let expected = scanner.rules.reference_scan(&text);
        let count = expected.len() as u32;
        for room in [0, 1, count - 1, count] {
            let hits = setting.memory(hits_bytes(room) + 64, STORAGE);
            hits.write(0, &vec![0xAB; hits.size as usize]);
            let commands = recorded(setting.program.record(|commands| {
                let (haystack, hits) = ((haystack.raw(), 0, text.len()), (hits.raw(), 0, room));
                scanner.record(commands, haystack, hits, &generous())?;
                Ok(())
            }));
            setting.program.execute(&commands).unwrap();
            if room < count {
                let state = RecordedState::TooMany { found: count };
                assert_eq!(found(&hits, 0, room), (state, vec![]));
            } else {
                assert_eq!(found(&hits, 0, room), (RecordedState::Complete, expected.clone()));
            }
            let behind = hits.words(hits_bytes(room) as usize, 16);
            assert!(behind.iter().all(|&word| word == 0xABAB_ABAB), "{behind:x?}");
            drop(commands);
            scanner.recording.clear();
        }
    }
    scanner.end(&setting);
    setting.end();
}

#[test]
fn what_goes_on_comes_to_the_same_end() {
    let setting = Setting::new();
    // Long walks; starts that hits leave open; hits that are many; and candidates that there is no room for.
    let cases: [(&[&str], Vec<u8>); 6] = [
        (&["KEY=(?:[abc]{31})+;", "a+;"], [b"KEY=", &b"abc".repeat(5000)[..], b";"].concat()),
        (&["[ab]{0,3}?abcd", "(?:ab|b)?abc"], b"ababcdabababcdcdaababcdbcd".repeat(100)),
        (&["[ab]", "b", "ab"], b"ab".repeat(4000)),
        (&["[ab]", "[ab]{1,2}"], b"ab".repeat(4000)),
        (&["[a-z]*?key[a-z]{0,9}x?", "key.*"], b"keykeyxabckeyxx keykeykey\n".repeat(300)),
        (&["(?s)key.*?mid.{0,20}?(?:left|right)[0-9]{4}"], b"key mid left right ".repeat(400)),
    ];
    let mut went_on = 0;
    for (patterns, text) in cases {
        let mut scanner =
            setting.scanner(rules(MatchKind::LeftmostFirst, patterns), 1 << 14, 40_000);
        let expected = scanner.rules.reference_scan(&text);
        let room = expected.len() as u32 + 1;
        for many in [false, true] {
            let options = RecordOptions::default().many_matches(many);
            let (times, state, matches) = scanner.run(&setting, &text, room, &options);
            went_on += usize::from(times > 0);
            common::say(&format!("{patterns:?}, many {many}: went on {times} times, {state:?}"));
            assert_eq!((state, &matches), (RecordedState::Complete, &expected), "{patterns:?}");
        }
        scanner.end(&setting);
    }
    assert!(went_on >= 3, "{went_on}");
    setting.end();
}

#[test]
fn only_what_ran_last_can_go_on() {
    let setting = Setting::new();
    let mut scanner = setting.scanner(rules(MatchKind::LeftmostFirst, &["[ab]"]), 1 << 13, 20_000);
    let text = b"ab".repeat(4000);
    let haystack = setting.haystack(&text, 0, STORAGE);
    let hits = [(); 2].map(|()| setting.memory(hits_bytes(9000), STORAGE));
    let options = generous().many_matches(false);
    let mut scans = Vec::new();
    let commands = recorded(setting.program.record(|commands| {
        for hits in &hits {
            let (haystack, hits) = ((haystack.raw(), 0, text.len()), (hits.raw(), 0, 9000));
            scans.push(scanner.record(commands, haystack, hits, &options)?);
        }
        Ok(())
    }));
    setting.program.execute(&commands).unwrap();
    for (index, scan) in scans.into_iter().enumerate() {
        assert_eq!(found(&hits[index], 0, 9000).0, RecordedState::GoesOn);
        let again = recorded(setting.program.record(|commands| {
            let Scanner { session, recording, .. } = &mut scanner;
            session.record_continue(recording, raw(commands), scan, 1)?;
            Ok(())
        }));
        setting.program.execute(&again).unwrap();
        let expected = [RecordedState::NeedsHost, RecordedState::Complete][index];
        assert_eq!(found(&hits[index], 0, 9000).0, expected);
    }
    drop((commands, haystack, hits));
    scanner.end(&setting);
    setting.end();
}

#[test]
fn what_overflows_is_finished_by_the_host() {
    let setting = Setting::new();
    // More hits than a session for few matches has room for, and more candidates.
    let patterns = ["[ab]{3}", r"\wpassword"];
    let options = SessionOptions::new(1 << 20, 10);
    let rules = rules(MatchKind::LeftmostFirst, &patterns);
    let session = rules.prepare_resident_with(&setting.backend, &options).unwrap();
    let recording = session.recording(&setting.backend, &RecordingOptions::default()).unwrap();
    let mut scanner = Scanner { rules, session, recording };
    let mut text = vec![b'a'; 1 << 20];
    text[1 << 19] = b'-';
    let haystack = setting.haystack(&text, 0, STORAGE | SOURCE);
    let hits = setting.memory(hits_bytes(10), STORAGE);
    let mut scan = None;
    let commands = recorded(setting.program.record(|commands| {
        let (haystack, hits) = ((haystack.raw(), 0, text.len()), (hits.raw(), 0, 10));
        scan = Some(scanner.record(commands, haystack, hits, &generous())?);
        Ok(())
    }));
    setting.program.execute(&commands).unwrap();
    let again = recorded(setting.program.record(|commands| {
        let Scanner { session, recording, .. } = &mut scanner;
        session.record_continue(recording, raw(commands), scan.unwrap(), 16)?;
        Ok(())
    }));
    for _ in 0..100 {
        if found(&hits, 0, 10).0 != RecordedState::GoesOn {
            break;
        }
        setting.program.execute(&again).unwrap();
    }
    assert_eq!(found(&hits, 0, 10).0, RecordedState::NeedsHost);
    let resident =
        ResidentHaystack::from_raw(&setting.backend, haystack.raw(), 0, text.len()).unwrap();
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let count = scanner.rules.reference_scan(&text).len() as u64;
    let error = scanner
        .session
        .scan_into(&setting.backend, &resident, &mut matches, &mut scratch)
        .unwrap_err();
    let is_count = |error: &ScanError| matches!(error, ScanError::TooManyMatches { found, at_least: false, .. } if *found == count);
    assert!(is_count(&error), "{error}");
    drop((commands, again, resident, haystack, hits));
    scanner.end(&setting);
    setting.end();
}

#[test]
fn haystacks_of_the_programs_are_scanned_where_they_lie() {
    let setting = Setting::new();
    let scanner = setting.scanner(rules(MatchKind::LeftmostFirst, &PATTERNS), 1 << 13, 5000);
    let alignment = setting.backend.device_info().storage_buffer_alignment;
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    for (index, text) in (1..).zip(texts()) {
        let offset = index * alignment;
        let haystack = setting.haystack(&text, offset as usize, STORAGE | SOURCE);
        let resident =
            ResidentHaystack::from_raw(&setting.backend, haystack.raw(), offset, text.len())
                .unwrap();
        for _ in 0..2 {
            scanner
                .session
                .scan_into(&setting.backend, &resident, &mut matches, &mut scratch)
                .unwrap();
            assert_eq!(matches, scanner.rules.reference_scan(&text));
        }
        let from_raw = |raw, offset, len| {
            ResidentHaystack::from_raw(&setting.backend, raw, offset, len)
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        if alignment > 1 {
            assert!(from_raw(haystack.raw(), offset + 1, 1).contains("multiple"));
        }
        assert!(from_raw(haystack.raw(), offset, haystack.size as usize).contains("are asked for"));
        let other = setting.memory(64, STORAGE);
        assert!(from_raw(other.raw(), 0, 1).contains("TRANSFER_SRC"));
    }
    scanner.end(&setting);
    setting.end();
}

#[test]
fn wrong_use_is_refused() {
    let setting = Setting::new();
    let mut scanner = setting.scanner(rules(MatchKind::LeftmostFirst, &["a+"]), 1 << 10, 100);
    let other = setting.scanner(rules(MatchKind::LeftmostFirst, &["a+"]), 1 << 10, 100);
    let alignment = setting.backend.device_info().storage_buffer_alignment;
    let haystack = setting.haystack(b"aaaa", 0, STORAGE);
    let copied = setting.haystack(b"aaaa", 0, vk::BufferUsageFlags::TRANSFER_DST);
    let hits = setting.memory(hits_bytes(10), STORAGE);
    let source = setting.memory(64, SOURCE);
    // SAFETY: it is null, which is refused.
    let null = unsafe { RawBuffer::new(0, 1 << 20, u32::MAX) };
    let usual = generous();
    let refused = |scanner: &mut Scanner, haystack, hits, options: &RecordOptions| {
        let mut error = None;
        recorded(setting.program.record(|commands| {
            error = scanner.record(commands, haystack, hits, options).err();
            Ok(())
        }));
        error.expect("it is refused").to_string()
    };
    let (text, room) = ((haystack.raw(), 0, 4), (hits.raw(), 0, 10));
    let cases = [
        ((null, 0, 4), room, usual.clone(), "haystack's buffer cannot be used: it is null"),
        (text, (null, 0, 10), usual.clone(), "buffer for hits cannot be used: it is null"),
        ((haystack.raw(), 0, 0), room, usual.clone(), "nothing to record"),
        (text, room, usual.clone().rounds(0), "rounds"),
        ((haystack.raw(), 0, 2000), room, usual.clone(), "larger session"),
        ((haystack.raw(), 100, 4), room, usual.clone(), "are asked for"),
        ((haystack.raw(), u64::MAX, 4), room, usual.clone(), "are asked for"),
        (text, (hits.raw(), 0, 11), usual.clone(), "are asked for"),
        (text, (source.raw(), 0, 1), usual.clone(), "STORAGE_BUFFER"),
        ((copied.raw(), 0, 4), room, usual.clone(), "TRANSFER_SRC"),
        (text, room, usual.clone().length(Some((source.raw(), 2))), "multiple of 4"),
        (text, room, usual.clone().length(Some((source.raw(), 64))), "are asked for"),
        (text, room, usual.clone().length(Some((hits.raw(), 0))), "TRANSFER_SRC"),
    ];
    for (haystack, hits, options, word) in cases {
        let error = refused(&mut scanner, haystack, hits, &options);
        assert!(error.contains(word), "{error}");
    }
    if alignment > 4 {
        let error = refused(&mut scanner, text, (hits.raw(), 4, 1), &usual);
        assert!(error.contains("multiple"), "{error}");
    }
    // A haystack that has to be copied, without room for that.
    let options = RecordingOptions::default().recordings(1);
    scanner.recording = scanner.session.recording(&setting.backend, &options).unwrap();
    let error = refused(&mut scanner, (source.raw(), 0, 40), room, &usual);
    assert!(error.contains("copied_bytes"), "{error}");
    // Null commands; a recording of another session; and one that is full, until it is cleared.
    // SAFETY: it is null, which is refused.
    let commands = unsafe { RawCommandBuffer::new(std::ptr::null_mut()) };
    let Scanner { session, recording, .. } = &mut scanner;
    let error = session.record(recording, commands, text, room, &usual).unwrap_err();
    assert!(error.to_string().contains("null"), "{error}");
    let error = other.session.record(recording, commands, text, room, &usual).unwrap_err();
    assert!(error.to_string().contains("another session"), "{error}");
    let mut first = None;
    let commands = recorded(setting.program.record(|commands| {
        let scan = session.record(recording, raw(commands), text, room, &usual)?;
        let error = session.record(recording, raw(commands), text, room, &usual).unwrap_err();
        let is_limit = |error: &ScanError| {
            matches!(
                error,
                ScanError::Backend(BackendError::LimitExceeded { asked: 2, limit: 1, .. })
            )
        };
        assert!(is_limit(&error), "{error}");
        first = Some(scan);
        Ok(())
    }));
    drop(commands);
    recording.clear();
    let commands = recorded(setting.program.record(|commands| {
        let first = first.unwrap();
        session.record(recording, raw(commands), text, room, &usual)?;
        let error = session.record_continue(recording, raw(commands), first, 1).unwrap_err();
        assert!(error.to_string().contains("go on"), "{error}");
        Ok(())
    }));
    drop(commands);
    // A session without rules.
    let empty =
        RulePipeline::new::<&str>(&[]).unwrap().prepare_resident(&setting.backend, 16, 1).unwrap();
    let error = empty.recording(&setting.backend, &options).unwrap_err();
    assert!(error.to_string().contains("no rules"), "{error}");
    let error = scanner.session.recording(&setting.backend, &options.recordings(0)).unwrap_err();
    assert!(error.to_string().contains("recordings"), "{error}");
    empty.free(&setting.backend).unwrap();
    drop((haystack, copied, hits, source));
    other.end(&setting);
    scanner.end(&setting);
    setting.end();
}
