//! Several devices, which are one that is named twice here.

use super::*;

/// Small files, some that fit a window, some that do not, binary ones, and rules that look across windows.
fn tree() -> Folder {
    let folder = Folder::new();
    for index in 0..40 {
        let text = format!("a key, needle{index} {}\n", "-".repeat(index * 50));
        folder.write(&format!("tree/small/{index}"), text);
    }
    let words = ["needle7 ", "key ", "x----b ", "- ", "long", "er "];
    let text = |words_count: usize, seed: usize| -> String {
        (0..words_count)
            .map(|index| words[(index * index + index / 7 + seed) % words.len()])
            .collect()
    };
    folder.write("tree/whole/one", text(250, 1));
    folder.write("tree/whole/two", text(260, 2));
    folder.write("tree/large/one", text(1500, 3));
    folder.write("tree/large/two", text(700, 4));
    folder.write("tree/binary", [&b"needle1\0"[..], &vec![b'-'; 3000]].concat());
    folder
}

const RULES: &str = "needle[0-9]+\n\\bkey\\b\nx.{0,40}b\nlong+er\n";

fn scan_on(folder: &Folder, devices: &str, more: &[&str]) -> Command {
    let mut command = folder.scan(RULES);
    command.args(["--device", devices, "--format", "json", "--window-bytes", "2048"]).args(more);
    command
}

#[test]
fn several_devices_find_what_one_finds() {
    let folder = tree();
    for more in
        [&["tree", "--sort", "path"][..], &["tree", "--sort", "path", "--max-scan-bytes", "6"]]
    {
        let one = scan_stdout(0, &mut scan_on(&folder, "0", more));
        assert!(one.lines().count() > 500);
        assert_eq!(scan_stdout(0, &mut scan_on(&folder, "0,0", more)), one, "{more:?}");
        // In any order of files.
        let lines = |stdout: &str| {
            let mut lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let unsorted = scan_stdout(0, &mut scan_on(&folder, "all", &more[..1]));
        let by_three = scan_stdout(0, &mut scan_on(&folder, "0,0,0", &more[..1]));
        assert_eq!(lines(&unsorted), lines(&by_three));
    }
    // What comes bit by bit, on the first of them.
    let (code, output) = run_with(&mut scan_on(&folder, "0,0", &["-"]), b"needle1 key");
    assert_eq!((code, records(&output.stdout).len()), (0, 2));
}

#[test]
fn several_devices_say_what_each_has_done() {
    let folder = tree();
    let (code, output) = run(&mut scan_on(&folder, "0,0", &["tree", "--stats"]));
    let stderr = stderr(&output);
    assert_eq!(code, 0, "{stderr}");
    let shares: Vec<&str> = stderr.lines().filter(|line| line.starts_with("share ")).collect();
    assert_eq!(shares.len(), 2, "{stderr}");
    assert!(
        stderr.contains("44 scanned, 1 skipped as binary, 0 left out by rules, 0 failed"),
        "{stderr}"
    );
}

#[test]
fn what_windows_cannot_hold_is_scanned_in_larger_ones() {
    let folder = Folder::new();
    folder.write("long", [&b"a "[..], b"x", &vec![b'-'; 5000], b"y a", &vec![b'-'; 5000]].concat());
    let mut command = folder.scan("x[^y]*y\na\n");
    command.args(["--device", "0,0", "--format", "json", "--window-bytes", "2048", "long"]);
    let found = found(&records(scan_stdout(0, &mut command).as_bytes()));
    assert_eq!(found, [(0, 1, 1), (2, 5004, 0), (5005, 5006, 1)]);
}

#[test]
fn what_several_devices_cannot_do_is_an_error() {
    let folder = tree();
    let captured = scan_error(&mut scan_on(&folder, "0,0", &["tree", "--capture", "captures"]));
    assert!(captured.contains("one device"), "{captured}");
    let missing = scan_error(&mut scan_on(&folder, "0,no such device", &["tree"]));
    assert!(missing.contains("no such device"), "{missing}");
    // What is wrong with one file is its own.
    let (code, output) = run(&mut scan_on(&folder, "0,0", &["tree", "--max-matches", "5"]));
    let stderr = stderr(&output);
    assert_eq!(code, 2, "{stderr}");
    for failed in ["whole/one", "whole/two", "large/one", "large/two"] {
        let line = stderr.lines().find(|line| line.contains(failed));
        assert!(line.is_some_and(|line| line.contains("--max-matches")), "{stderr}");
    }
    let of_small = records(&output.stdout);
    let of_small = of_small.iter().filter(|one| one["path"].as_str().unwrap().contains("small"));
    assert_eq!(of_small.count(), 80);
}
