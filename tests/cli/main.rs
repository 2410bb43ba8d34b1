//! The `vkscan` command from end to end: what it prints and how it ends, on good input and on bad. Runs on
//! the device that the command picks by itself.

mod devices;
mod ends;
mod findings;
#[cfg(unix)]
mod history;
mod inputs;
mod matches;
mod reference;
mod results;
mod rules;
mod sources;
mod tune;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use regex::bytes::RegexBuilder;
use serde_json::Value;
use tempfile::TempDir;
use vkscan::{MatchKind, PipelineOptions, RulePipeline};

/// Start, end and pattern of a match, in the order in which they are printed.
type Found = (u64, u64, u64);

fn vkscan() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vkscan"));
    // What these tests keep is none of the user's.
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs to the end, with `stdin` on standard input.
fn run_with(command: &mut Command, stdin: &[u8]) -> (i32, Output) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut pipe = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // It need not read all of it.
        scope.spawn(move || pipe.write_all(stdin).ok());
        child.wait_with_output().unwrap()
    });
    let stderr = stderr(&output);
    assert!(!stderr.contains("Vulkan validation"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code().expect("no signal ended it"), output)
}

fn run(command: &mut Command) -> (i32, Output) {
    run_with(command, b"")
}

/// A terminal of its own: what is on the far side of it, and the terminal.
#[cfg(target_os = "linux")]
fn terminal() -> (fs::File, fs::File) {
    use rustix::pty;
    let end = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&end).unwrap();
    pty::unlockpt(&end).unwrap();
    let name = pty::ptsname(&end, Vec::new()).unwrap().into_string().unwrap();
    let terminal = fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    (end.into(), terminal)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a scan that must end with `status`, and gives what it printed.
fn scan_stdout(status: i32, command: &mut Command) -> String {
    let (code, output) = run(command);
    assert_eq!(code, status, "{}", stderr(&output));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// Runs a scan that must fail, and gives its complaint.
fn scan_error(command: &mut Command) -> String {
    let (code, output) = run(command);
    assert_eq!(code, 2, "{}", stderr(&output));
    assert_eq!(output.stdout, b"", "nothing is found");
    stderr(&output)
}

fn records(stdout: &[u8]) -> Vec<Value> {
    stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("each line is JSON"))
        .collect()
}

fn found(records: &[Value]) -> Vec<Found> {
    let number = |record: &Value, key| record[key].as_u64().unwrap();
    records
        .iter()
        .map(|record| (number(record, "start"), number(record, "end"), number(record, "pattern")))
        .collect()
}

/// What the `regex` crate finds.
fn expected(patterns: &[impl AsRef<str>], haystack: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for (id, pattern) in patterns.iter().enumerate() {
        let regex = RegexBuilder::new(pattern.as_ref()).unicode(false).build().unwrap();
        let matches = regex.find_iter(haystack).filter(|found| !found.is_empty());
        found.extend(matches.map(|found| (found.start() as u64, found.end() as u64, id as u64)));
    }
    found.sort_unstable();
    found
}

/// A folder of its own for one test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders that lead to it.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// `vkscan scan` in this folder, with rules of this text.
    fn scan(&self, rules: &str) -> Command {
        let mut command = vkscan();
        command.args(["scan", "--rules"]).arg(self.write("rules/rules.regex", rules));
        command.current_dir(self.0.path());
        command
    }
}
