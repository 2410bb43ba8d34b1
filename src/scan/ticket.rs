//! Scans in flight: submitted, waited for, and done again in parts where that is needed.

use std::marker::PhantomData;
use std::time::Instant;

use super::ScanError;
use super::frame::{Frame, Source};
use super::haystack::Haystack;
use super::session::{Carried, Range, ResidentRulePipeline, ScanScratch, Slots};
use super::sort;
use super::stats::ScanStats;
use crate::narrow::narrow;
use crate::shaders::layout::{self, Hit, ScanParams};
use crate::vulkan::deadline::Deadline;
use crate::vulkan::memory::Span;
use crate::vulkan::timeline::Milestone;
use crate::{Backend, Match, MatchKind, RawSemaphore};

/// A part of so many starts or fewer that has too many candidates is not prefiltered.
const LEAST_PREFILTERED: u32 = 1 << 12;

/// Hits beyond capacity after which a scan that can only fail is given up instead of counted to its end.
const COUNTED_BEYOND: u32 = 1 << 24;

/// A scan that has been submitted.
///
/// Dropping it drops what the scan finds. Until it is waited for or dropped, the session can have one scan fewer
/// in flight.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// let haystack = b"aa b a";
/// let ticket = session.submit(&backend, haystack)?;
/// // The device is at it; this thread is free for something else.
/// let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
/// let stats = ticket.wait_into(&mut matches, &mut scratch)?;
/// println!("{} matches, after {:?} of waiting", matches.len(), stats.wait);
/// # assert_eq!(matches.len(), 2);
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[must_use = "what the scan finds is dropped with its ticket"]
pub struct Ticket<'a> {
    session: &'a ResidentRulePipeline,
    /// None if there is nothing to scan, or it is over.
    scan: Option<Scan>,
    stats: ScanStats,
    /// What is signalled when the scan is over.
    signals: Vec<RawSemaphore>,
    /// The device may read it until the scan is over.
    haystack: PhantomData<Haystack<'a>>,
}

/// A scan in flight, and the frame that it is on.
pub(crate) struct Scan {
    frame: Frame,
    range: Range,
    /// The same for all parts.
    params: ScanParams,
    part: Part,
}

impl Scan {
    /// What is reached when all that has been submitted for it so far has run.
    pub(crate) fn milestone(&self) -> Milestone {
        self.frame.milestone()
    }
}

/// What is scanned at once: all of a range, or as much as hits fit of.
struct Part {
    first_start: u32,
    /// Starts, as far as there are any.
    size: u32,
    /// How rules are looked for, where any are.
    prefilter: u32,
    is_prefiltered: bool,
    /// Whether the part before had too many candidates.
    is_flood: bool,
    /// Whether rules have been listed, whose prefixes are long in this haystack, or whose candidates are too many.
    has_listed: bool,
    is_direct: bool,
}

/// What a part has come to.
enum Judged {
    Matches(u32),
    Again,
    /// More than fit, from a single start, or where that is the answer.
    TooMany {
        found: u32,
        at_least: bool,
    },
}

impl<'a> Ticket<'a> {
    /// Submits a scan of a range of starts, but for those in what is `carried`, to begin once all of `waits` are reached.
    pub(crate) fn begin(
        session: &'a ResidentRulePipeline,
        backend: &Backend,
        haystack: Haystack<'a>,
        range: Range,
        carried: &[Carried],
        waits: &[RawSemaphore],
    ) -> Result<Ticket<'a>, ScanError> {
        let began = Instant::now();
        session.check(backend, haystack.len())?;
        if !haystack.is_on(session.device()) {
            return Err(ScanError::WrongBackend);
        }
        let stats = ScanStats::default();
        let signals = Vec::new();
        let mut ticket = Ticket { session, scan: None, stats, signals, haystack: PhantomData };
        let nothing = range.first_start >= range.end_start || range.max_scan_bytes == 0;
        if session.has_rules() && !nothing {
            let deadline = session.device().deadline();
            let stats = &mut ticket.stats;
            let scan = session.submit_scan(haystack, range, carried, waits, deadline, stats)?;
            ticket.scan = Some(scan);
            session.frames.count_ticket(true);
        }
        ticket.stats.wall = began.elapsed();
        Ok(ticket)
    }

    /// Has semaphores of the caller's signalled when the scan is over.
    pub(super) fn signalling(mut self, signals: &[RawSemaphore]) -> Ticket<'a> {
        self.signals.extend_from_slice(signals);
        self
    }

    /// Whether all that has been submitted for the scan so far has run, so that waiting for it takes no longer than it takes
    /// to fetch the matches; but for the few scans that go on then, which [`Ticket::wait_into`] sees to. After the loss of the
    /// device it is ready: there is an error to fetch.
    pub fn is_ready(&self) -> bool {
        let is_over = |scan: &Scan| scan.frame.is_ready() || self.session.device().is_lost();
        self.scan.as_ref().is_none_or(is_over)
    }

    /// A `VkSemaphore`, which is a timeline of the session's, and the value that it reaches when [`Ticket::is_ready`] says so, to
    /// wait for among others on the same device. None if there is nothing to wait for. It goes with the session.
    pub fn timeline(&self) -> Option<(u64, u64)> {
        self.scan.as_ref().map(|scan| scan.frame.timeline())
    }

    /// Signals what is to be signalled when the scan is over.
    fn signal(&mut self) -> Result<(), ScanError> {
        let signals = std::mem::take(&mut self.signals);
        if signals.is_empty() {
            return Ok(());
        }
        Ok(self.session.device().submit_signals(&signals)?)
    }

    /// Waits for the scan's end. All matches are in `matches` then, sorted; what it held before is dropped.
    ///
    /// # Errors
    ///
    /// More matches than [`ResidentRulePipeline::max_matches`], or a fault of the device. `matches` is empty then.
    pub fn wait_into(
        self,
        matches: &mut Vec<Match>,
        scratch: &mut ScanScratch,
    ) -> Result<ScanStats, ScanError> {
        scratch.carried.clear();
        let (stats, _) = self.finish(matches, scratch)?;
        Ok(stats)
    }

    /// Waits for the scan's end. Where the haystack goes on elsewhere, says the first start that has to be scanned again
    /// with more of it, leaves out all that starts from there on, and leaves in `scratch` what is carried on.
    pub(crate) fn finish(
        mut self,
        matches: &mut Vec<Match>,
        scratch: &mut ScanScratch,
    ) -> Result<(ScanStats, Option<Undecided>), ScanError> {
        matches.clear();
        let began = Instant::now();
        let mut undecided = None;
        if let Some(mut scan) = self.take_scan() {
            let mut sink =
                Whole { matches, found: 0, is_sorted: true, max_matches: self.session.max_matches };
            scan.frame.wait_until(self.session.device().deadline());
            let finished = self.session.finish_on(&mut scan, &mut sink, scratch, &mut self.stats);
            let finished = finished.and_then(|undecided| {
                sink.end(scratch)?;
                Ok(undecided)
            });
            scan.frame.end_traced(&self.stats);
            self.session.frames.give_back(scan.frame);
            undecided = finished
                .and_then(|undecided| {
                    self.signal()?;
                    Ok(undecided)
                })
                .inspect_err(|_| matches.clear())?;
        }
        self.stats.wall += began.elapsed();
        Ok((self.stats, undecided))
    }

    /// What is in flight, which is nobody's to wait for any more.
    fn take_scan(&mut self) -> Option<Scan> {
        self.scan.take().inspect(|_| self.session.frames.count_ticket(false))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(scan) = self.take_scan() {
            // Who takes the frame next waits for what runs on it.
            self.session.frames.give_back(scan.frame);
        }
        if let Err(error) = self.signal() {
            tracing::error!(%error, "semaphores that wait for a scan were not signalled");
        }
    }
}

impl std::fmt::Debug for Ticket<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("stats", &self.stats).finish_non_exhaustive()
    }
}

/// Who takes the matches of a scan, part by part.
pub(crate) trait Sink {
    /// Takes the matches of a part, and gives the least start of the next part, at or after `next_start`.
    fn take(&mut self, found: &[Hit], next_start: u32) -> Result<u32, ScanError>;

    /// Takes note that from these starts there are `found` matches, or more than that, which are more than fit; and gives
    /// the least start of the next part.
    fn take_too_many(
        &mut self,
        starts: std::ops::Range<u32>,
        found: u32,
        at_least: bool,
    ) -> Result<u32, ScanError>;
}

/// Takes the matches of one haystack, up to a number.
struct Whole<'m> {
    matches: &'m mut Vec<Match>,
    found: u64,
    is_sorted: bool,
    max_matches: usize,
}

impl Whole<'_> {
    fn too_many(&self, found: u64, at_least: bool) -> ScanError {
        ScanError::TooManyMatches { found, at_least, max_matches: self.max_matches }
    }

    fn end(self, scratch: &mut ScanScratch) -> Result<(), ScanError> {
        if self.found > self.max_matches as u64 {
            return Err(self.too_many(self.found, false));
        }
        if !self.is_sorted {
            sort::sort(self.matches, &mut scratch.spare);
        }
        Ok(())
    }
}

impl Sink for Whole<'_> {
    fn take(&mut self, found: &[Hit], next_start: u32) -> Result<u32, ScanError> {
        self.found += found.len() as u64;
        if self.found <= self.max_matches as u64 {
            self.is_sorted = self.matches.is_empty();
            sort::append(self.matches, found, to_match);
        } else if self.found > self.max_matches as u64 + u64::from(COUNTED_BEYOND) {
            return Err(self.too_many(self.found, true));
        }
        Ok(next_start)
    }

    fn take_too_many(
        &mut self,
        starts: std::ops::Range<u32>,
        found: u32,
        at_least: bool,
    ) -> Result<u32, ScanError> {
        self.found += u64::from(found);
        if at_least || self.found > self.max_matches as u64 + u64::from(COUNTED_BEYOND) {
            return Err(self.too_many(self.found, true));
        }
        Ok(starts.end)
    }
}

impl ResidentRulePipeline {
    /// Submits a scan of a range of starts, of which there are some, on a frame of its own, to begin once all of `waits` are
    /// reached.
    pub(crate) fn submit_scan(
        &self,
        haystack: Haystack,
        range: Range,
        carried: &[Carried],
        waits: &[RawSemaphore],
        deadline: Deadline,
        stats: &mut ScanStats,
    ) -> Result<Scan, ScanError> {
        let mut frame = self.frames.take(self.device(), deadline)?;
        let began = Instant::now();
        let idle = frame.wait_idle(deadline).and_then(|()| frame.wait_for(waits));
        frame.begin_traced(began, haystack.len());
        let idle = idle.map_err(ScanError::from);
        match idle.and_then(|()| self.submit_on(&mut frame, haystack, range, carried, stats)) {
            Ok((params, part)) => Ok(Scan { frame, range, params, part }),
            Err(error) => {
                self.frames.give_back(frame);
                Err(error)
            }
        }
    }

    /// Waits for the end of a scan of packed items, whose matches go to `sink`. Says what has become of their slots.
    pub(crate) fn finish_packed(
        &self,
        mut scan: Scan,
        deadline: Deadline,
        sink: &mut impl Sink,
        scratch: &mut ScanScratch,
        stats: &mut ScanStats,
        slot_states: &mut Vec<u32>,
    ) -> Result<(), ScanError> {
        scratch.carried.clear();
        scan.frame.wait_until(deadline);
        let finished = self.finish_on(&mut scan, sink, scratch, stats).and_then(|_| {
            let count = scan.range.slots.map_or(0, |slots| slots.count);
            slot_states.clear();
            slot_states.extend_from_slice(scan.frame.slot_states(count, stats)?);
            Ok(())
        });
        scan.frame.end_traced(stats);
        self.frames.give_back(scan.frame);
        finished
    }

    /// Waits for what runs of a scan, and drops what it finds.
    pub(crate) fn abandon(&self, mut scan: Scan, deadline: Deadline) {
        if let Err(error) = scan.frame.wait_idle(deadline) {
            tracing::debug!(%error, "an abandoned scan did not end");
        }
        self.frames.give_back(scan.frame);
    }

    /// What is the same for all parts of a scan.
    fn params_of(&self, haystack_len: usize, range: Range) -> ScanParams {
        let counted_beyond = if self.all_count(range) { COUNTED_BEYOND } else { 0 };
        ScanParams {
            haystack_len: narrow(haystack_len),
            is_final: range.is_final.into(),
            max_scan: range.max_scan_bytes,
            hit_stop: self.shape.hit_capacity.saturating_add(counted_beyond),
            chunk_log2: self.chunk_log2(haystack_len, range),
            ..self.shape.params(self.pass_count)
        }
    }

    /// All of a range, as it is tried first.
    fn whole_part(&self, haystack_len: usize, range: Range) -> Part {
        Part {
            first_start: range.first_start,
            size: range.end_start - range.first_start,
            prefilter: self.prefilter_for(haystack_len, range),
            is_prefiltered: true,
            is_flood: false,
            has_listed: false,
            is_direct: self.match_kind == MatchKind::LeftmostFirst
                && range.max_scan_bytes == u32::MAX,
        }
    }

    /// The parameters of a scan that is tried once, of a haystack that ends with its `haystack_len` bytes.
    pub(super) fn recorded_params(&self, haystack_len: usize, max_scan_bytes: u32) -> ScanParams {
        let range = Range::whole(narrow(haystack_len), max_scan_bytes);
        let params = self.params_of(haystack_len, range);
        self.part_params(&params, &self.whole_part(haystack_len, range), range)
    }

    /// Submits the scan of all of a range at once.
    fn submit_on(
        &self,
        frame: &mut Frame,
        haystack: Haystack,
        range: Range,
        carried: &[Carried],
        stats: &mut ScanStats,
    ) -> Result<(ScanParams, Part), ScanError> {
        let since = Instant::now();
        let params = self.params_of(haystack.len(), range);
        let params = match range.slots {
            Some(Slots { first, count, epoch, tenant }) => {
                ScanParams { first_slot: first, slot_count: count, epoch, tenant, ..params }
            }
            None => params,
        };
        let source = match haystack {
            Haystack::Bytes(bytes) => {
                let padded = bytes.len().next_multiple_of(4) as u64;
                let is_direct = frame.takes_directly(bytes.len());
                let span = (!is_direct).then(|| frame.acquire_staging(padded)).transpose()?;
                Source::Host { bytes, span }
            }
            Haystack::Staged(staged) => Source::Staged {
                span: Span::whole(staged.buffer()),
                len: haystack.len(),
                resident: staged.resident(),
            },
            Haystack::Imported(imported) => {
                imported.add_user(self.frames.clone());
                Source::Staged { span: imported.span(), len: haystack.len(), resident: &[] }
            }
            Haystack::Resident(resident) => {
                resident.add_user(self.frames.clone());
                Source::Resident(resident)
            }
        };
        let part = self.whole_part(haystack.len(), range);
        let part_params = self.part_params(&params, &part, range);
        let carried = carried_hits(carried, range.base, part.first_start);
        frame.begin(source, part_params, &carried, since, stats)?;
        Ok((params, part))
    }

    /// Whether every hit is a match of its own, so that too many of them are the answer. Elsewhere the scan is
    /// done again in parts, and need not count on.
    fn all_count(&self, range: Range) -> bool {
        self.match_kind == MatchKind::All && range.is_final && range.slots.is_none()
    }

    /// The parameters of a part.
    fn part_params(&self, params: &ScanParams, part: &Part, range: Range) -> ScanParams {
        // Where even few starts have too many candidates, each start is verified instead.
        let use_prefilter =
            if part.is_prefiltered { part.prefilter } else { layout::PREFILTER_NONE };
        self.prefilter_range(ScanParams {
            first_start: part.first_start,
            end_start: part.first_start + part.size.min(range.end_start - part.first_start),
            use_prefilter,
            has_listed: (part.has_listed && use_prefilter == layout::PREFILTER_ALL).into(),
            is_direct: part.is_direct.into(),
            ..*params
        })
    }

    /// Waits for what has been submitted and goes on, in as many parts as it takes.
    fn finish_on(
        &self,
        scan: &mut Scan,
        sink: &mut impl Sink,
        scratch: &mut ScanScratch,
        stats: &mut ScanStats,
    ) -> Result<Option<Undecided>, ScanError> {
        let Scan { frame, range, params: all, part } = scan;
        let range = *range;
        loop {
            let params = self.part_params(all, part, range);
            let judged = self.judge(frame, &params, part, range, stats)?;
            let mut undecided = None;
            let next_start = match judged {
                Judged::Again => None,
                Judged::TooMany { found, at_least } => {
                    let starts = params.first_start..params.end_start;
                    Some(sink.take_too_many(starts, found, at_least)?)
                }
                Judged::Matches(count) => {
                    let reading = Instant::now();
                    let mut found = frame.matches(count, stats)?;
                    if !range.is_final {
                        undecided = first_undecided(found, &mut scratch.decided);
                        found = &scratch.decided;
                    }
                    let next_start = sink.take(found, params.end_start)?;
                    let goes_on = next_start < params.haystack_len || !range.is_final;
                    if goes_on && self.match_kind == MatchKind::LeftmostFirst {
                        let next = undecided.map_or(next_start, |undecided| undecided.start);
                        carry(&mut scratch.carried, found, range.base, next);
                    }
                    frame.trace(
                        "read back",
                        reading,
                        Some(u64::from(count) * size_of::<Hit>() as u64),
                    );
                    Some(next_start)
                }
            };
            if let Some(next_start) = next_start {
                if undecided.is_some() || next_start >= range.end_start {
                    return Ok(undecided);
                }
                part.first_start = next_start;
                // After a part that had too many candidates, the next is not divided either if it has.
                part.is_flood = !part.is_prefiltered;
                part.is_prefiltered = true;
                part.size = part.size.saturating_mul(2);
            }
            let params = self.part_params(all, part, range);
            let carried = carried_hits(&scratch.carried, range.base, part.first_start);
            frame.begin(Source::AsBefore, params, &carried, Instant::now(), stats)?;
        }
    }

    /// Waits for a part, whose parameters these are. If it has to be scanned again, that is as it is `part` then.
    fn judge(
        &self,
        frame: &mut Frame,
        params: &ScanParams,
        part: &mut Part,
        range: Range,
        stats: &mut ScanStats,
    ) -> Result<Judged, ScanError> {
        let outcome = frame.finish(*params, stats)?;
        let count = outcome.hit_count;
        let starts = params.end_start - params.first_start;
        let is_prefiltered = params.use_prefilter != layout::PREFILTER_NONE;
        if outcome.retry_reasons != 0 || count > self.shape.hit_capacity {
            tracing::trace!(
                first_start = params.first_start,
                end_start = params.end_start,
                retry_reasons = outcome.retry_reasons,
                hits = count,
                hit_capacity = self.shape.hit_capacity,
                "a part of a scan is to be done again"
            );
        }
        if outcome.retry_reasons & layout::RETRY_PREFIXES != 0 {
            part.prefilter = layout::PREFILTER_BOUNDED;
        } else if outcome.retry_reasons & layout::RETRY_LISTED != 0 {
            part.has_listed = true;
        } else if outcome.retry_reasons != 0 && !outcome.is_judged {
            // Once more, with a judge: a flood may be a single rule's.
        } else if is_prefiltered && (outcome.retry_reasons != 0 || count > self.shape.hit_capacity)
        {
            // Starts that several candidates lead to make several hits: counts are not right here.
            if starts > LEAST_PREFILTERED && !part.is_flood {
                part.size = starts / 2;
            } else {
                part.is_prefiltered = false;
            }
        } else if count > self.shape.hit_capacity {
            if self.all_count(range) || starts == 1 {
                let at_least = count > params.hit_stop;
                return Ok(Judged::TooMany { found: count, at_least });
            }
            part.size = starts / 2;
        } else if let Some(match_count) = outcome.match_count {
            return Ok(Judged::Matches(match_count));
        } else {
            tracing::trace!(
                first_start = params.first_start,
                end_start = params.end_start,
                "a part of a scan leaves too many starts open, and is done again without direct hits"
            );
            part.is_direct = false;
        }
        Ok(Judged::Again)
    }

    /// As in [`ScanParams`]. Walks that may end anywhere share nothing.
    fn chunk_log2(&self, haystack_len: usize, range: Range) -> u32 {
        let chunk_log2 = self.shape.chunk_log2;
        let has_chunks = haystack_len >> chunk_log2 > 0;
        if has_chunks && range.max_scan_bytes == u32::MAX { chunk_log2 } else { 0 }
    }

    /// Which rules to look for by their grams: those whose grams have to be in the haystack.
    fn prefilter_for(&self, haystack_len: usize, range: Range) -> u32 {
        let rest = haystack_len - range.end_start as usize;
        let is_within = self.reach.is_some_and(|reach| rest >= reach as usize);
        if range.is_final && (self.has_long || self.reach.is_some()) {
            layout::PREFILTER_ALL
        } else if is_within {
            layout::PREFILTER_BOUNDED
        } else {
            layout::PREFILTER_NONE
        }
    }

    /// Sets where to look for the grams of matches that start in the range of `params`.
    fn prefilter_range(&self, params: ScanParams) -> ScanParams {
        let ScanParams { first_start, end_start, haystack_len, .. } = params;
        let prefilter_end = if self.has_long && params.use_prefilter == layout::PREFILTER_ALL {
            haystack_len
        } else {
            end_start.saturating_add(self.reach.unwrap_or(0)).min(haystack_len)
        };
        // A gram may begin a byte before its suffix.
        let prefilter_first = first_start.saturating_sub(1);
        let prefilter_turns = self.shape.prefilter_turns(prefilter_end - prefilter_first);
        ScanParams { prefilter_first, prefilter_end, prefilter_turns, ..params }
    }
}

fn to_match(&Hit { pattern_id, start, end }: &Hit) -> Match {
    Match { pattern_id, start, end }
}

/// A start from which a pattern may match or not: the haystack went on where its walk ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undecided {
    pub(crate) pattern_id: u32,
    pub(crate) start: u32,
}

/// The first of the matches that are not decided. Those that start before it are in `decided` then.
fn first_undecided(found: &[Hit], decided: &mut Vec<Hit>) -> Option<Undecided> {
    let undecided = found.iter().filter(|found| found.end == layout::UNDECIDED);
    let first = undecided.min_by_key(|found| (found.start, found.pattern_id));
    let end_start = first.map_or(u32::MAX, |first| first.start);
    decided.clear();
    decided.extend(found.iter().filter(|found| found.start < end_start));
    first.map(|&Hit { pattern_id, start, .. }| Undecided { pattern_id, start })
}

/// Takes note of the matches that reach beyond `next_start`, of which there is one for a pattern at most, beside those that
/// earlier parts have carried on. `base` is the offset of what starts count from.
fn carry(carried: &mut Vec<Carried>, found: &[Hit], base: u64, next_start: u32) {
    carried.retain(|carried| carried.end > base + u64::from(next_start));
    let reaching = found.iter().filter(|found| found.end > next_start);
    carried.extend(
        reaching.map(|found| Carried {
            pattern_id: found.pattern_id,
            end: base + u64::from(found.end),
        }),
    );
}

/// Hits that stand for what is carried beyond `first_start`.
fn carried_hits(carried: &[Carried], base: u64, first_start: u32) -> Vec<Hit> {
    let reaching = carried.iter().filter(|carried| carried.end > base + u64::from(first_start));
    reaching
        .map(|carried| Hit {
            pattern_id: carried.pattern_id,
            start: 0,
            end: narrow(carried.end - base),
        })
        .collect()
}
