//! `--trace`: what was done when, in the Trace Event Format that Perfetto and chrome://tracing open.

use std::cmp::Reverse;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use vkscan::{Trace, TraceCounter, TraceEvent, TraceSpan, TraceTrack};

use crate::terminal;

/// A file that a trace is written to.
pub struct TraceFile {
    path: PathBuf,
    file: File,
}

impl TraceFile {
    /// Makes the file now, so that nothing is scanned in vain where that cannot be done. What is there is replaced if it is
    /// a trace, or empty: nobody's rules are lost to a slip.
    pub fn create(path: &Path) -> Result<TraceFile, String> {
        let file = open(path).map_err(|error| message(path, &error))?;
        Ok(TraceFile { path: path.to_owned(), file })
    }

    /// Writes what has been noted.
    pub fn write(self, trace: &Trace) -> Result<(), String> {
        let TraceFile { path, file } = self;
        write(BufWriter::new(file), trace.take()).map_err(|error| message(&path, &error))
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.is_file() {
        let mut head = Vec::new();
        (&mut file).take(HEAD.len() as u64).read_to_end(&mut head)?;
        if !head.is_empty() && head != HEAD.as_bytes() {
            return Err(io::Error::other("it is there and is no trace: name another file"));
        }
        file.set_len(0)?;
        file.rewind()?;
    }
    Ok(file)
}

/// What a trace begins with.
const HEAD: &str = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";

fn message(path: &Path, error: &io::Error) -> String {
    format!("the trace {}: {error}", terminal::path(path))
}

/// One event a line, in the order in which they begin.
fn write(mut to: impl Write, mut events: Vec<TraceEvent>) -> io::Result<()> {
    // What is around others comes before them.
    events.sort_by_key(|event| match event {
        TraceEvent::Span(span) => (span.begin, Reverse(span.end)),
        TraceEvent::Counter(counter) => (counter.at, Reverse(counter.at)),
        _ => Default::default(),
    });
    let mut lines = names(&events);
    lines.extend(events.iter().filter_map(to_json));
    to.write_all(HEAD.as_bytes())?;
    for (index, line) in lines.iter().enumerate() {
        let comma = if index + 1 < lines.len() { "," } else { "" };
        writeln!(to, "{line}{comma}")?;
    }
    writeln!(to, "]}}")?;
    to.flush()
}

/// Where a track is shown: by process, of which there is one for each kind, and thread.
fn place(track: TraceTrack) -> Option<(u32, u64)> {
    match track {
        TraceTrack::Thread { number } => Some((1, number)),
        TraceTrack::Scans { lane } => Some((2, lane.into())),
        TraceTrack::Copies { lane } => Some((3, lane.into())),
        TraceTrack::Kernels { lane } => Some((4, lane.into())),
        _ => None,
    }
}

/// What the processes and threads that occur are called.
fn names(events: &[TraceEvent]) -> Vec<Value> {
    const PROCESSES: [(u32, &str, &str); 4] = [
        (1, "host", "thread"),
        (2, "scans in flight", "lane"),
        (3, "device, queue for copies", "lane"),
        (4, "device, queue for kernels", "lane"),
    ];
    let mut places: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TraceEvent::Span(span) => place(span.track),
            _ => None,
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    let named = |what: &str, pid, tid, name: String| json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}});
    let mut lines = Vec::new();
    for (pid, process, thread) in PROCESSES {
        let threads = places.iter().filter(|place| place.0 == pid);
        let threads: Vec<_> = threads
            .map(|&(_, tid)| named("thread_name", pid, tid, format!("{thread} {tid}")))
            .collect();
        if !threads.is_empty() {
            lines.push(named("process_name", pid, 0, process.to_owned()));
            lines.extend(threads);
        }
    }
    lines
}

fn to_json(event: &TraceEvent) -> Option<Value> {
    match event {
        TraceEvent::Span(TraceSpan {
            track, name, scan, begin, end, bytes, is_estimated, ..
        }) => {
            let (pid, tid) = place(*track)?;
            let mut args = json!({});
            if let Some(scan) = scan {
                args["scan"] = json!(scan);
            }
            if let Some(bytes) = bytes {
                args["bytes"] = json!(bytes);
            }
            if *is_estimated {
                args["estimated"] = json!(true);
            }
            let (ts, dur) = (microseconds(*begin), microseconds(end.saturating_sub(*begin)));
            Some(
                json!({"ph": "X", "name": name, "pid": pid, "tid": tid, "ts": ts, "dur": dur, "args": args}),
            )
        }
        TraceEvent::Counter(TraceCounter { name, at, value, .. }) => {
            let ts = microseconds(*at);
            Some(json!({"ph": "C", "name": name, "pid": 1, "ts": ts, "args": {"value": value}}))
        }
        _ => None,
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
