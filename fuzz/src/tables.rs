//! Tables from bytes that were damaged under a right checksum: they are refused, or come back as they are and can be
//! scanned with, whatever they find.
//!
//! `src/twin/loaded.rs` damages tables with more knowledge of them, and scans where nothing outside of them goes unnoticed.

use vkscan::{BuildError, MatchKind, RulePipeline, ScanError, ScanScratch};

use super::source::Source;
use super::watchdog::watch;
use super::{assert_valid, backend, generate};

/// Bytes of magic, version, length and checksum.
const HEAD: usize = 28;

/// Says whether they are accepted.
pub fn run(bytes: &[u8]) -> usize {
    let source = &mut Source::new(bytes);
    let match_kind = source.one_of(&[MatchKind::LeftmostFirst, MatchKind::All]);
    let options = generate::options(source, match_kind);
    let patterns = source.list(1..=2, generate::pattern);
    let Ok(rules) = RulePipeline::with_options(&patterns, options) else { return 0 };
    // Short: walks of nested Unicode repeats on the NFA, which damage leads to, take the square of it.
    let haystack = generate::haystack(source, &patterns, 200);
    let mut body = rules.to_bytes().split_off(HEAD);
    for _ in 0..source.within(1..=4) {
        // The heads of tables are where most is decided.
        let words = if source.once_in(2) { 200.min(body.len() / 4) } else { body.len() / 4 };
        let at = 4 * source.within(0..=words.saturating_sub(1));
        match source.within(0..=5) {
            0..3 => {
                let byte = source.byte();
                body[at + source.within(0..=3)] = byte;
            }
            3 => {
                let value = source.one_of(&[0, 1, 2, u32::MAX, 1 << 31, 0x7FFF, 1 << 16, 255]);
                body[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            4 => {
                body.drain(at..at + 4);
            }
            _ => {
                let piece = body[at..body.len().min(at + 4 * source.within(1..=16))].to_vec();
                body.splice(at..at, piece);
            }
        }
    }
    let sealed = seal(&body);
    match watch(|| format!("to read {sealed:?}"), || RulePipeline::from_bytes(&sealed)) {
        Ok(read) => {
            assert_eq!(read.to_bytes(), sealed);
            let what = || format!("to scan {haystack:?} with {sealed:?}");
            // There may be more matches than there is room for.
            if let Err(ScanError::Backend(error)) = watch(what, || scan(&read, &haystack)) {
                panic!("{error}, where {}", what());
            }
            assert_valid();
            1
        }
        Err(BuildError::Malformed { .. }) => 0,
        Err(other) => panic!("{other}"),
    }
}

fn scan(rules: &RulePipeline, haystack: &[u8]) -> Result<(), ScanError> {
    let session = rules.prepare_resident(backend(), haystack.len(), 1 << 16)?;
    let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
    let scanned = session.scan_into(backend(), haystack, &mut matches, &mut scratch);
    let is_inside = |end: u32| end as usize <= haystack.len();
    assert!(matches.iter().all(|found| found.start < found.end && is_inside(found.end)));
    session.free(backend())?;
    scanned.map(|_| ())
}

/// Puts a body under a head that is right.
fn seal(body: &[u8]) -> Vec<u8> {
    let empty = RulePipeline::new::<&str>(&[]).unwrap().to_bytes();
    assert_eq!(checksum(&empty[HEAD..]).to_le_bytes(), empty[HEAD - 8..HEAD]);
    let mut sealed = empty[..HEAD - 16].to_vec();
    sealed.extend_from_slice(&(body.len() as u64).to_le_bytes());
    sealed.extend_from_slice(&checksum(body).to_le_bytes());
    sealed.extend_from_slice(body);
    sealed
}

/// 64-bit FNV-1a, over words of eight bytes and then the bytes left.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words
        .chain(rest.iter().map(|byte| u64::from(*byte)))
        .fold(0xCBF2_9CE4_8422_2325, |hash, unit| (hash ^ unit).wrapping_mul(0x0100_0000_01B3))
}
