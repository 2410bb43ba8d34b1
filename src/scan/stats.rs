//! What a scan moved and how long it took.

use std::ops::AddAssign;
use std::time::Duration;

/// What a scan moved and how long it took. `+=` sums scans up.
///
/// # Examples
///
/// ```
/// # use vkscan::{Backend, BackendOptions, RulePipeline, ScanScratch};
/// use vkscan::ScanStats;
///
/// # let backend = Backend::new(&BackendOptions::default())?;
/// # let session = RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// # let (mut matches, mut scratch) = (Vec::new(), ScanScratch::default());
/// let mut total = ScanStats::default();
/// for haystack in [b"aa b", b"b aa"] {
///     total += session.scan_into(&backend, haystack, &mut matches, &mut scratch)?;
/// }
/// assert_eq!((total.bytes_up, total.uploads), (2 * (4 + 4), 2 * 2));
/// println!("{} bytes down, {} submissions, {:?}", total.bytes_down, total.submissions, total.wall);
/// if let Some(times) = total.device {
///     println!("{:?} of that on the device, {:?} in the prefilter", times.total(), times.prefilter);
/// }
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanStats {
    /// Bytes uploaded: the haystack, padded to a word, unless it was on the device, and the 4-byte hit
    /// counter. It is 4 more for each further part, and 16 more for each match that reaches into the next one.
    pub bytes_up: u64,
    /// Bytes read back: a header of 28 bytes for each submission, and 12 for each match.
    pub bytes_down: u64,
    /// Ranges uploaded: two for a scan, one where the haystack was on the device; more where it was done in
    /// parts.
    pub uploads: u32,
    /// Submissions that were waited for: one, unless walks went on for long, hits had to be found in parts, or there
    /// were more of them, or these left more open, than in the scan before. The slices of a large haystack do not count.
    pub submissions: u32,
    /// Rounds of kernels that had work to do.
    pub rounds: u32,
    /// From the call to its return; of a ticket, `submit` and `wait_into` without the time between.
    pub wall: Duration,
    /// Of that, copying the haystack to staging memory, recording and submitting.
    pub enqueue: Duration,
    /// Of that, waiting for the device.
    pub wait: Duration,
    /// Time on the device by stage; `None` where its queue has no timestamps.
    pub device: Option<StageTimes>,
}

/// Time on the device, by stage. `+=` sums scans up.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vkscan::StageTimes;
///
/// let mut times = StageTimes::default();
/// times.upload = Duration::from_micros(2);
/// times.confirm = Duration::from_micros(3);
/// times += times;
/// assert_eq!(times.total(), Duration::from_micros(10));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageTimes {
    /// Staging memory to device memory, and waiting for it.
    pub upload: Duration,
    /// Every byte's gram against those of the rules.
    pub prefilter: Duration,
    /// Suffixes and prefixes of candidates.
    pub confirm: Duration,
    /// Candidate starts on partial DFAs, and the summaries that long walks share.
    pub verify_dfa: Duration,
    /// Position NFAs, and the kernel that ends a round.
    pub verify_nfa: Duration,
    /// Matches selected from hits, and written to host memory.
    pub select: Duration,
}

impl StageTimes {
    /// Each stage by name, in the order in which a scan comes to them first.
    pub fn by_stage(&self) -> [(&'static str, Duration); 6] {
        [
            ("upload", self.upload),
            ("prefilter", self.prefilter),
            ("confirm", self.confirm),
            ("verify DFA", self.verify_dfa),
            ("verify NFA", self.verify_nfa),
            ("select", self.select),
        ]
    }

    /// All stages together.
    pub fn total(&self) -> Duration {
        self.by_stage().iter().map(|(_, time)| *time).sum()
    }
}

impl AddAssign for StageTimes {
    fn add_assign(&mut self, other: StageTimes) {
        self.upload += other.upload;
        self.prefilter += other.prefilter;
        self.confirm += other.confirm;
        self.verify_dfa += other.verify_dfa;
        self.verify_nfa += other.verify_nfa;
        self.select += other.select;
    }
}

impl AddAssign for ScanStats {
    fn add_assign(&mut self, other: ScanStats) {
        self.bytes_up += other.bytes_up;
        self.bytes_down += other.bytes_down;
        self.uploads += other.uploads;
        self.submissions += other.submissions;
        self.rounds += other.rounds;
        self.wall += other.wall;
        self.enqueue += other.enqueue;
        self.wait += other.wait;
        if let Some(times) = other.device {
            *self.device.get_or_insert_default() += times;
        }
    }
}
