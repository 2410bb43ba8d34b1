//! Captures, as RenderDoc shows them to somebody who looks for what a scan did. Each is made in a process of its own, for
//! RenderDoc is there from the start of one or not at all.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;
use vkscan::{
    Backend, BackendError, BackendOptions, ResidentRulePipeline, RulePipeline, ScanScratch,
};

/// The system's: another one does not find Debian's `renderdoc`.
const PYTHON: &str = "/usr/bin/python3";

/// Whether the kernels were compiled with their source, as `scripts/test` has it.
const HAS_SOURCES: bool = cfg!(feature = "compile-shaders")
    && (cfg!(feature = "shader-debug-info") || option_env!("VKSCAN_SHADER_DEBUG").is_some());

/// Whether RenderDoc is installed; says what goes unchecked otherwise.
fn has_renderdoc() -> bool {
    let ends_well = |command: &mut Command| {
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        ended.is_ok_and(|status| status.success())
    };
    let is_there = ends_well(Command::new("renderdoccmd").arg("version"))
        && ends_well(Command::new(PYTHON).args(["-c", "import renderdoc"]));
    let device = vkscan::Backend::new(&Default::default()).expect("tests have a device");
    if device.device_info().kind != vkscan::DeviceKind::Cpu {
        common::not_run("captures, for what is in them is known of CPU drivers alone");
        return false;
    }
    if !is_there {
        common::not_run(
            "captures, for there is no RenderDoc with its module for Python (Debian: renderdoccmd python3-renderdoc)",
        );
    }
    is_there
}

/// A command with RenderDoc attached.
fn attached(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env("ENABLE_VULKAN_RENDERDOC_CAPTURE", "1");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs to the end, without any message of the validation layers.
fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("Vulkan validation"), "{stderr}");
    output
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

/// Bytes that hold the text at 20,000, and none of its letters elsewhere.
fn haystack(text: &[u8]) -> Vec<u8> {
    let mut haystack = vec![b'.'; 40_000];
    haystack[20_000..20_000 + text.len()].copy_from_slice(text);
    haystack
}

/// Has `vkscan scan` captured, and RenderDoc show these labels and, in the end, a hit of the second rule that ends there.
fn check_scan(rules: &str, needle: &[u8], end: usize, options: &[&str], labels: &[&str]) {
    if !has_renderdoc() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("rules.regex"), rules).unwrap();
    fs::write(path("haystack"), haystack(needle)).unwrap();
    let mut scan = attached(env!("CARGO_BIN_EXE_vkscan"));
    scan.current_dir(folder.path()).args(["scan", "--rules", "rules.regex", "haystack"]);
    let scanned = output(scan.args(["--capture", "captures"]).args(options));
    let (stdout, stderr) = (text(&scanned.stdout), text(&scanned.stderr));
    assert!(scanned.status.success(), "{stderr}");
    assert!(stdout.starts_with("haystack:1:20001: "), "{stdout}");
    let captures = files(&path("captures"));
    let [capture] = &captures[..] else { panic!("{captures:?}") };
    let said = format!("captured to {}\n", fs::canonicalize(capture).unwrap().display());
    assert!(stderr.contains(&said), "{stderr}");

    let sources = HAS_SOURCES.then_some(env!("CARGO_MANIFEST_DIR"));
    if sources.is_none() {
        common::not_run("the source of kernels in captures: build with VKSCAN_SHADER_DEBUG=1");
    }
    let wanted = json!({ "labels": labels, "hit": [1, 20_000, end], "sources": sources });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/capture/check.py");
    let checked = Command::new(PYTHON).arg(script).arg(capture).arg(wanted.to_string()).output();
    let checked = checked.unwrap();
    let shown = format!("{}\n{}", text(&checked.stdout), text(&checked.stderr));
    assert!(checked.status.success(), "{shown}");
}

#[test]
fn a_small_file_is_captured_from_its_upload_to_its_hits() {
    check_scan(
        "unseen_[0-9]{4}\nghp_[0-9A-Za-z]{36}\n",
        b"ghp_0123456789abcdefghijABCDEFGHIJ012345",
        20_040,
        &[],
        &[
            r"upload 400\d\d bytes",
            "reset, 0 hits carried",
            "claim 1 slots",
            r"gram_prefilter pass 0, bytes 0\.\.400\d\d",
            "confirm pass 0",
            r"select from up to \d+ hits",
        ],
    );
}

/// A rule that is verified from every start, in a file that is not scanned with others.
#[test]
fn rounds_are_captured_one_by_one() {
    let mut labels = vec![
        "upload 40000 bytes".to_owned(),
        "reset, 0 hits carried".to_owned(),
        r"gram_prefilter pass 0, bytes 0\.\.40000".to_owned(),
        "confirm pass 0".to_owned(),
        "schedule after confirm, to pass 0".to_owned(),
    ];
    for round in 0..ROUNDS {
        let summaries = ["chunk_summaries", "compose_summaries"];
        let kernels = summaries.iter().filter(|_| round > 0).chain(&["verify_dfa", "verify_nfa"]);
        labels.extend(kernels.map(|kernel| format!("{kernel} pass 0 round {round}")));
        let next = u32::from(round + 1 == ROUNDS);
        labels.push(format!("schedule after a round, to pass {next}"));
    }
    labels.push(r"select from up to \d+ hits".to_owned());
    check_scan(
        "unseen_[0-9]{4}\n[a-z]*[ab].{14}\n",
        b"xyxa",
        20_018,
        &["--window-bytes", "65536"],
        &labels.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

/// Rounds of a scan's first submission, where the device does not make it more.
const ROUNDS: u32 = 8;

#[test]
fn a_scan_without_renderdoc_says_how_to_attach_it() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rules.regex"), "needle\n").unwrap();
    fs::write(folder.path().join("haystack"), "a needle").unwrap();
    let mut scan = Command::new(env!("CARGO_BIN_EXE_vkscan"));
    scan.current_dir(folder.path()).args(["scan", "--rules", "rules.regex", "haystack"]);
    let scanned = output(scan.args(["--capture", "captures"]));
    assert_eq!(scanned.status.code(), Some(2));
    let stderr = text(&scanned.stderr);
    assert!(stderr.contains("ENABLE_VULKAN_RENDERDOC_CAPTURE=1"), "{stderr}");
    assert!(!folder.path().join("captures").exists());
}

/// Nothing to scan is nothing to capture.
#[test]
fn a_scan_of_nothing_leaves_no_capture() {
    if !has_renderdoc() {
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rules.regex"), "needle\n").unwrap();
    fs::create_dir(folder.path().join("tree")).unwrap();
    let mut scan = attached(env!("CARGO_BIN_EXE_vkscan"));
    scan.current_dir(folder.path()).args(["scan", "--rules", "rules.regex", "tree"]);
    let scanned = output(scan.args(["--capture", "captures"]));
    assert_eq!(scanned.status.code(), Some(2));
    let stderr = text(&scanned.stderr);
    assert!(stderr.contains("nothing was submitted"), "{stderr}");
    assert_eq!(files(&folder.path().join("captures")), [""; 0].map(PathBuf::from));
}

#[test]
fn captures_begin_end_and_are_discarded() {
    if !has_renderdoc() {
        return;
    }
    let mut test = attached(std::env::current_exe().unwrap());
    let tested = output(test.args(["--exact", "with_renderdoc_attached", "--ignored"]));
    let shown = format!("{}\n{}", text(&tested.stdout), text(&tested.stderr));
    assert!(tested.status.success() && shown.contains("1 passed"), "{shown}");
}

fn scan(backend: &Backend, session: &ResidentRulePipeline) {
    let mut matches = Vec::new();
    session.scan_into(backend, b"one 2", &mut matches, &mut ScanScratch::default()).unwrap();
    assert_eq!(matches.len(), 1);
}

#[track_caller]
fn failed(result: Result<impl Sized, BackendError>, reason: &str) {
    let error = result.err().expect("no capture can be made");
    assert!(matches!(error, BackendError::CaptureFailed { .. }), "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
#[ignore = "captures_begin_end_and_are_discarded runs it, in a process with RenderDoc"]
fn with_renderdoc_attached() {
    let options = BackendOptions::default();
    let [backend, other] = [(); 2].map(|()| Backend::new(&options).unwrap());
    let rules = RulePipeline::new(&[r"\d+"]).unwrap();
    let sessions = [&backend, &other].map(|on| rules.prepare_resident(on, 100, 10).unwrap());
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("a/b");

    let first = backend.capture(&directory).unwrap();
    failed(backend.capture(&directory), "under way");
    failed(other.capture(&directory), "under way");
    scan(&backend, &sessions[0]);
    let first = first.end().unwrap();
    assert!(first.is_absolute() && fs::metadata(&first).unwrap().len() > 1000);

    // What is dropped, or empty, leaves nothing, and is in the way of nothing.
    let dropped = backend.capture(&directory).unwrap();
    scan(&backend, &sessions[0]);
    drop(dropped);
    let empty = backend.capture(&directory).unwrap();
    scan(&other, &sessions[1]);
    failed(empty.end(), "nothing was submitted");
    assert_eq!(files(&directory), [fs::canonicalize(&first).unwrap()]);

    let second = other.capture(&directory).unwrap();
    scan(&other, &sessions[1]);
    let second = second.end().unwrap();
    assert_ne!(first, second);
    assert_eq!(files(&directory).len(), 2);

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    failed(backend.capture(&file), "file");

    // Its directory is no directory any more when it is written.
    let gone = folder.path().join("gone");
    let capture = backend.capture(&gone).unwrap();
    scan(&backend, &sessions[0]);
    fs::remove_dir_all(&gone).unwrap();
    fs::write(&gone, "").unwrap();
    failed(capture.end(), "could not write");

    // None of that is in the way of the next one.
    let third = backend.capture(&directory).unwrap();
    scan(&backend, &sessions[0]);
    third.end().unwrap();
    assert_eq!(files(&directory).len(), 3);
}
