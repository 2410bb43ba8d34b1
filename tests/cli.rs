//! The `vkscan` command from end to end: what it prints and how it ends, on good input and on bad. Runs on
//! the device that the command picks by itself.

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
    Command::new(env!("CARGO_BIN_EXE_vkscan"))
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

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

#[test]
fn the_examples_give_what_the_regex_crate_finds() {
    let rules: toml::Table =
        toml::from_str(&fs::read_to_string(example("rules/secrets.toml")).unwrap()).unwrap();
    let rules = rules["rules"].as_array().unwrap();
    let text = |key: &'static str| rules.iter().map(move |rule| rule[key].as_str().unwrap());
    let patterns: Vec<&str> = text("regex").collect();
    let ids: Vec<&str> = text("id").collect();
    let scan = |args: &[&str]| {
        let mut command = vkscan();
        command.args(["scan", "--rules", "rules/secrets.toml"]).args(args);
        let stdout = scan_stdout(0, command.current_dir(example("")));
        assert!(stdout.ends_with('\n'));
        stdout
    };

    let records = records(scan(&["--format", "json", "--sort", "path", "files"]).as_bytes());
    let mut files = Vec::new();
    for group in records.chunk_by(|a, b| a["path"] == b["path"]) {
        let path = group[0]["path"].as_str().unwrap();
        assert_eq!(found(group), expected(&patterns, &fs::read(example(path)).unwrap()), "{path}");
        for record in group {
            assert_eq!(record["rule"], ids[record["pattern"].as_u64().unwrap() as usize]);
            assert_eq!(record.as_object().unwrap().len(), 5, "{record}");
        }
        files.push(path);
    }
    let expected_files =
        ["ci.yml", "deploy.env", "keys/deploy_key.pem", "server.log", "settings.py"];
    assert_eq!(files, expected_files.map(|file| format!("files/{file}")));
    assert!(found(&records).len() >= 12);

    let text = scan(&["files/deploy.env", "files/keys"]);
    assert!(
        text.contains("files/deploy.env:93-113: aws-access-key-id: AKIAIOSFODNN7EXAMPLE\n"),
        "{text}"
    );
    assert!(text.contains(r"-----BEGIN EXAMPLE PRIVATE KEY-----\nRVhB"), "{text}");
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn rules_are_lines() {
    let folder = Folder::new();
    let input = folder.write("input", "#x  x y\r\n");
    // Nothing is trimmed, `#` is no comment, and the index counts what is not empty.
    let mut scan = folder.scan("#x\r\n\r\n\n x\ny");
    scan.args(["--format", "json"]).arg(&input);
    let unnamed = records(scan_stdout(0, &mut scan).as_bytes());
    assert_eq!(found(&unnamed), [(0, 2, 0), (3, 5, 1), (6, 7, 2)]);
    let names = |records: &[Value]| {
        records.iter().map(|record| record["rule"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&unnamed), ["#x", " x", "y"]);

    folder.write("rules/rules.ids", "hash\n\n\n\nwhy\n");
    assert_eq!(names(&records(scan_stdout(0, &mut scan).as_bytes())), ["hash", " x", "why"]);
}

#[test]
fn rules_are_toml() {
    let folder = Folder::new();
    let rules = folder.write(
        "rules.toml",
        r#"
            title = "test"
            [extend]
            useDefault = true
            [allowlist]
            paths = ["x"]
            [[rules]]
            id = "first"
            description = "d"
            regex = '''a\d'''
            keywords = ["a"]
            entropy = 3.5
            [[rules]]
            id = "path-only"
            path = "x"
            [[rules]]
            id = "second"
            regex = "b\\d"
            keywords = ["b"]
            [[rules.allowlists]]
            stopwords = ["b1"]
        "#,
    );
    let input = folder.write("input", "a1b1");
    let mut scan = vkscan();
    scan.args(["scan", "--rules"]).args([&rules, &input]);
    let (code, output) = run(&mut scan);
    assert_eq!(code, 0);
    let input = input.display();
    let expected = format!("{input}:0-2: first: a1\n{input}:2-4: second: b1\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    let stderr = stderr(&output);
    for warning in [
        "not honoured: allowlist, extend, allowlists of 1 rule, entropy of 1 rule, keywords of 2 \
         rules, path of 1 rule\n",
        "rules.toml:13: rule path-only has no regex and is skipped",
    ] {
        assert!(stderr.contains(warning), "{warning:?} not in {stderr}");
    }
}

#[test]
fn bad_rules_say_what_and_where() {
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("bad.regex", b"ok\n\na(b\n", &["bad.regex:3: ", "a(b", "unclosed group"]),
        ("large.regex", b"ok\n(?:\\w{1000}){1000}{100}", &["large.regex:2: "]),
        ("latin.regex", b"ok\n\xe9t\xe9\n", &["latin.regex:2: the line is not UTF-8"]),
        ("empty.regex", b"", &["empty.regex: there is no regular expression in it"]),
        ("blank.regex", b"\n\r\n", &["blank.regex: there is no regular expression in it"]),
        ("bad.toml", b"[[rules]]\nid = 'x\n", &["bad.toml:2: "]),
        ("type.toml", b"[[rules]]\nid = 'x'\nregex = 7\n", &["type.toml:3: ", "expected a string"]),
        ("flat.toml", b"rules = 'x'\n", &["flat.toml:1: "]),
        ("regex.toml", b"[[rules]]\nid = 'x'\n\nregex = '+'", &["regex.toml:4: ", "repetition"]),
        ("none.toml", b"[[rules]]\nid = 'x'\n", &["none.toml: there is no regular expression"]),
    ];
    let folder = Folder::new();
    let scan = |rules: &Path| {
        scan_error(vkscan().args(["scan", "--rules"]).arg(rules).current_dir(folder.0.path()))
    };
    for (name, rules, parts) in cases {
        let stderr = scan(&folder.write(name, rules));
        for part in *parts {
            assert!(stderr.contains(part), "{part:?} not in {stderr}");
        }
    }
    let missing = scan(Path::new("missing.regex"));
    assert!(missing.contains("vkscan: missing.regex: "), "{missing}");
    let is_folder = scan(folder.0.path());
    assert!(is_folder.contains("directory"), "{is_folder}");

    folder.write("two.ids", "a\nb\n");
    let stderr = scan(&folder.write("two.regex", "a\nb\nc\n"));
    assert!(stderr.contains("two.ids: 2 lines cannot name the 3 lines of"), "{stderr}");
}

/// Paths of the files with matches, in the order in which they come if sorted.
fn paths(command: &mut Command) -> Vec<String> {
    let stdout = scan_stdout(0, command.args(["--format", "json", "--sort", "path"]));
    let mut paths: Vec<String> = records(stdout.as_bytes())
        .iter()
        .map(|record| record["path"].as_str().unwrap().to_owned())
        .collect();
    paths.dedup();
    paths
}

#[test]
fn folders_are_walked_as_ripgrep_walks_them() {
    let folder = Folder::new();
    fs::create_dir(folder.path("tree")).unwrap();
    fs::create_dir(folder.path("tree/.git")).unwrap();
    folder.write("tree/.gitignore", "*.log\n");
    folder.write("tree/.ignore", "ignored/\n");
    for name in ["b.txt", "a/z.txt", "a/b/c.txt", "x.log", "ignored/x", ".hidden", ".dir/x"] {
        folder.write(&format!("tree/{name}"), "a needle");
    }
    folder.write("tree/binary", b"a\0needle");
    folder.write("tree/late-binary", [&[b' '; 8192], b"\0needle".as_slice()].concat());
    folder.write("outside/x", "needle");
    let scan = |args: &[&str]| {
        let mut command = folder.scan("needle");
        paths(command.args(args))
    };
    let plain = ["tree/a/b/c.txt", "tree/a/z.txt", "tree/b.txt", "tree/late-binary"];
    let with = |more: &[&str]| {
        let mut all: Vec<PathBuf> = plain.iter().chain(more).map(PathBuf::from).collect();
        all.sort();
        all.into_iter().map(|path| path.into_os_string().into_string().unwrap()).collect::<Vec<_>>()
    };

    assert_eq!(scan(&["tree"]), plain);
    assert_eq!(scan(&["--hidden", "tree"]), with(&["tree/.dir/x", "tree/.hidden"]));
    assert_eq!(scan(&["--no-ignore", "tree"]), with(&["tree/ignored/x", "tree/x.log"]));
    assert_eq!(scan(&["--binary", "tree"]), with(&["tree/binary"]));
    assert_eq!(scan(&["--text", "tree"]), with(&["tree/binary"]));
    // What is named is scanned, in the order in which it is named.
    let named = ["tree/x.log", "tree/binary", "tree/.hidden", "tree/.dir/x", "tree/a/z.txt"];
    assert_eq!(scan(&named), named);
    assert_eq!(scan(&["tree/b.txt", "outside"]), ["tree/b.txt", "outside/x"]);

    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("../outside", folder.path("tree/link")).unwrap();
        symlink("../outside/x", folder.path("tree/x-link")).unwrap();
        assert_eq!(scan(&["tree"]), plain);
        assert_eq!(scan(&["--follow", "tree"]), with(&["tree/link/x", "tree/x-link"]));
        assert_eq!(scan(&["tree/x-link", "tree/link"]), ["tree/x-link", "tree/link/x"]);
    }
}

#[test]
fn the_exit_status_is_that_of_grep() {
    let folder = Folder::new();
    folder.write("hit", "a needle");
    folder.write("miss", "nothing");
    folder.write("empty", "");
    let scan = |args: &[&str]| run(folder.scan("needle").args(args));

    assert_eq!(scan(&["hit", "miss"]).0, 0);
    assert_eq!(scan(&["miss", "empty"]).0, 1);
    let (code, output) = scan(&["missing", "hit"]);
    assert_eq!((code, output.stdout.as_slice()), (2, b"hit:2-8: needle: needle\n".as_slice()));
    assert!(stderr(&output).contains("vkscan: missing: "), "{}", stderr(&output));
    assert_eq!(scan(&["--no-such-option"]).0, 2);
    assert_eq!(scan(&["--window-bytes", "1", "hit"]).0, 2);
    assert_eq!(scan(&["--match-kind", "longest", "hit"]).0, 2);
    assert_eq!(run(&mut vkscan()).0, 2);

    fs::create_dir(folder.path("nothing")).unwrap();
    let (code, output) = scan(&["nothing"]);
    assert_eq!(code, 1);
    assert!(stderr(&output).contains("there is no file to scan"), "{}", stderr(&output));
}

#[test]
fn standard_input_is_scanned() {
    let folder = Folder::new();
    folder.write("hit", "needle");
    let stdin = |args: &[&str]| {
        let (code, output) = run_with(folder.scan("needle").args(args), b"another needle\n");
        assert_eq!(code, 0, "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(stdin(&[]), "<stdin>:8-14: needle: needle\n");
    assert_eq!(stdin(&["-"]), "<stdin>:8-14: needle: needle\n");
    let both = "hit:0-6: needle: needle\n<stdin>:8-14: needle: needle\n";
    assert_eq!(stdin(&["hit", "-"]), both);
    assert_eq!(run(&mut folder.scan("needle")).0, 1, "empty input");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_read_is_reported_and_the_rest_scanned() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.write("tree/hit", "needle");
    symlink("loop", folder.path("loop")).unwrap();
    symlink(".", folder.path("tree/a")).unwrap();
    symlink("nowhere", folder.path("tree/dangling")).unwrap();
    // Opening the memory of a process works, and reading it at 0 does not.
    for (args, complaints) in [
        (["loop", "tree/hit"], ["vkscan: loop: ", "symbolic links"]),
        (["/proc/self/mem", "tree/hit"], ["vkscan: /proc/self/mem: ", "error"]),
        (["--follow", "tree"], ["tree/a", "tree/dangling"]),
    ] {
        let (code, output) = run(folder.scan("needle").args(args));
        assert_eq!(code, 2);
        assert_eq!(output.stdout, b"tree/hit:0-6: needle: needle\n");
        let stderr = stderr(&output);
        for complaint in complaints {
            assert!(stderr.contains(complaint), "{complaint:?} not in {stderr}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn paths_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let name = OsStr::from_bytes(b"caf\xe9\n");
    fs::write(folder.0.path().join(name), "needle").unwrap();
    let text = scan_stdout(0, folder.scan("needle").arg(name));
    assert_eq!(text, "caf\\xe9\\n:0-6: needle: needle\n");
    let json = scan_stdout(0, folder.scan("needle").args(["--format", "json"]).arg(name));
    let record = &records(json.as_bytes())[0];
    assert_eq!(record["path"], "caf\u{fffd}\n");
    let bytes: Vec<u8> = serde_json::from_value(record["path_bytes"].clone()).unwrap();
    assert_eq!(bytes, name.as_bytes());
}

/// Words and numbers, from a fixed seed.
fn prose(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut byte = || {
        // The generator of Numerical Recipes; its high bits are good enough.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"aaabcde 0123\n.-_"[(state >> 28) as usize]
    };
    (0..bytes).map(|_| byte()).collect()
}

#[test]
fn files_larger_than_the_window_are_scanned_exactly() {
    let folder = Folder::new();
    let patterns = [r"(?m)^\d+[a-c]?", r"\bab+\b", "a{2,5}?b", r"[0-9]{3,}", r"e[^\n]*_"];
    let haystack = prose(100_000);
    folder.write("file", &haystack);
    let scan = |args: &[&str]| {
        let mut command = folder.scan(&patterns.join("\n"));
        let stdout = scan_stdout(0, command.args(["--format", "json", "file"]).args(args));
        found(&records(stdout.as_bytes()))
    };
    let whole = expected(&patterns, &haystack);
    assert_eq!(scan(&[]), whole);
    for window in ["4096", "10007", "99999", "100000"] {
        assert_eq!(scan(&["--window-bytes", window]), whole, "{window}");
    }

    let options = PipelineOptions { match_kind: MatchKind::All, ..PipelineOptions::default() };
    let rules = RulePipeline::with_options(&patterns, options).unwrap();
    let mut all: Vec<Found> = rules
        .reference_scan_bounded(&haystack, 9)
        .iter()
        .map(|found| (found.start.into(), found.end.into(), found.pattern_id.into()))
        .collect();
    all.sort_unstable();
    let kind_all = ["--match-kind", "all", "--max-scan-bytes", "9"];
    assert_eq!(scan(&kind_all), all);
    assert_eq!(scan(&[&kind_all[..], &["--window-bytes", "4096"]].concat()), all);
}

#[test]
fn many_small_files_are_scanned_together() {
    let folder = Folder::new();
    let patterns = [r"(?m)^\d+[a-c]?", r"\bab+\b", "a{2,5}?b", r"[0-9]{3,}", r"^[a-e]", r"[^\n]$"];
    let haystack = prose(200_000);
    // More than one round takes, of every length, and some that take windows, or are passed over.
    let mut whole = Vec::new();
    for index in 0..5000_usize {
        let len = if index.is_multiple_of(1250) { 50_000 } else { index % 397 };
        let bytes = &haystack[index * 29..][..len];
        folder.write(&format!("tree/{:02}/{index:04}", index % 20), bytes);
        whole.push((format!("tree/{:02}/{index:04}", index % 20), expected(&patterns, bytes)));
    }
    for index in 0..30 {
        folder.write(&format!("tree/07/binary {index}"), [&[b'1'; 900][..], b"\0"].concat());
    }
    whole.retain(|(_, found)| !found.is_empty());
    whole.sort();
    let scan = |args: &[&str]| {
        let mut command = folder.scan(&patterns.join("\n"));
        let stdout = scan_stdout(0, command.args(["--format", "json", "tree"]).args(args));
        let records = records(stdout.as_bytes());
        let of_files = records.chunk_by(|one, next| one["path"] == next["path"]);
        let of_file =
            |group: &[Value]| (group[0]["path"].as_str().unwrap().to_owned(), found(group));
        of_files.map(of_file).collect::<Vec<_>>()
    };
    for window in ["32768", "67108864"] {
        let args = ["--window-bytes", window];
        assert_eq!(scan(&[&args[..], &["--sort", "path"]].concat()), whole);
        let mut unsorted = scan(&args);
        unsorted.sort();
        assert_eq!(unsorted, whole);
    }
}

#[test]
fn a_file_of_70_mib_is_scanned_exactly() {
    let folder = Folder::new();
    let patterns = [r"token-[0-9a-f]{8,64}", r"(?s)<<.*?>>"];
    let mut haystack = vec![b'.'; 70 << 20];
    let mut plant = |at: usize, text: &[u8]| haystack[at..at + text.len()].copy_from_slice(text);
    let edge = 64 << 20;
    plant(0, b"token-00000000");
    plant(edge - 7, b"token-0123456789abcdef");
    plant(edge - 3_000_000, b"<<");
    plant(edge + 3_000_000, b">>");
    plant((70 << 20) - 14, b"token-ffffffff");
    let input = folder.write("large", &haystack);
    let mut command = folder.scan(&patterns.join("\n"));
    let stdout = scan_stdout(0, command.args(["--format", "json"]).arg(&input));
    assert_eq!(found(&records(stdout.as_bytes())), expected(&patterns, &haystack));
}

#[test]
fn a_rule_that_no_window_decides_is_named() {
    let folder = Folder::new();
    let patterns = ["needle", "(?s)BEGIN.*"];
    let mut haystack = vec![b'.'; 20_000];
    for at in [100, 4_000, 6_000, 15_000] {
        haystack[at..at + 6].copy_from_slice(b"needle");
    }
    haystack[5_000..5_005].copy_from_slice(b"BEGIN");
    folder.write("file", &haystack);
    let mut scan = folder.scan(&patterns.join("\n"));
    scan.args(["--format", "json", "--window-bytes", "2048"]);

    // Standard input is read once only. What was found until then is true.
    let (code, output) = run_with(&mut scan, &haystack);
    assert_eq!(code, 2);
    assert_eq!(found(&records(&output.stdout)), [(100, 106, 0), (4_000, 4_006, 0)]);
    let stderr = stderr(&output);
    assert!(stderr.contains("rule (?s)BEGIN.* cannot be decided"), "{stderr}");
    assert!(stderr.contains("offset 5000"), "{stderr}");

    // A file is scanned again in larger windows, and no match printed twice.
    let stdout = scan_stdout(0, scan.arg("file"));
    assert_eq!(found(&records(stdout.as_bytes())), expected(&patterns, &haystack));
}

#[test]
fn too_many_matches_are_an_error() {
    let folder = Folder::new();
    folder.write("many", "needle".repeat(20));
    folder.write("one", "needle");
    let (code, output) = run(folder.scan("needle").args(["--max-matches", "19", "many", "one"]));
    assert_eq!(code, 2);
    assert_eq!(output.stdout, b"one:0-6: needle: needle\n");
    let stderr = stderr(&output);
    assert!(stderr.contains("vkscan: many: 20 matches"), "{stderr}");
    assert!(stderr.contains("room for 19: raise --max-matches"), "{stderr}");
    scan_stdout(0, folder.scan("needle").args(["--max-matches", "20", "many"]));
}

#[test]
fn the_summary_counts() {
    let folder = Folder::new();
    folder.write("tree/hit", "needle, needle");
    folder.write("tree/binary", b"\0needle");
    let (code, output) = run(folder.scan("needle").args(["--stats", "tree", "missing"]));
    assert_eq!(code, 2);
    let stderr = stderr(&output);
    for line in [
        "inputs    1 scanned, 1 skipped as binary, 1 failed\n",
        "matches   2\n",
        "rules     1 of ",
        "device    ",
    ] {
        assert!(stderr.contains(line), "{line:?} not in {stderr}");
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = Folder::new();
    folder.write("many", "needle ".repeat(100_000));
    let mut child = folder
        .scan("needle")
        .arg("many")
        .env("RUST_LOG", "error")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "many:0-6: needle: needle\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn devices_are_listed_and_one_is_picked() {
    let (code, output) = run(vkscan().arg("devices"));
    assert_eq!(code, 0, "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("    picked: ").count(), 1, "{text}");

    let devices = |args: &[&str]| {
        let (code, output) = run(vkscan().args(["devices", "--format", "json"]).args(args));
        (code, records(&output.stdout), stderr(&output))
    };
    let (code, all, _) = devices(&[]);
    let picked: Vec<&Value> = all.iter().filter(|device| !device["picked"].is_null()).collect();
    assert_eq!((code, picked.len()), (0, 1));
    let uuid = picked[0]["uuid"].as_str().unwrap();
    let (code, selected, _) = devices(&["--device", uuid]);
    assert_eq!((code, selected.len()), (0, all.len()));
    assert!(selected.iter().any(|device| {
        device["picked"].as_str().is_some_and(|reason| reason.contains("selected by UUID"))
    }));

    let (code, listed, stderr) = devices(&["--device", "no such device"]);
    assert_eq!((code, listed.len()), (2, all.len()));
    assert!(stderr.contains("no Vulkan device fits name \"no such device\""), "{stderr}");
}

#[test]
fn no_device_is_an_error_that_says_what_to_install() {
    let folder = Folder::new();
    folder.write("hit", "needle");
    let mut scan = folder.scan("needle");
    let mut devices = vkscan();
    for command in [scan.arg("hit"), devices.arg("devices")] {
        // Layers come by other ways than drivers; validation would be found, and be of no use.
        command.env("VKSCAN_VALIDATION", "0");
        for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
            command.env(variable, folder.path("no-driver.json"));
        }
        let stderr = scan_error(command);
        assert!(stderr.contains("vkscan: no Vulkan device"), "{stderr}");
        assert!(stderr.contains("mesa-vulkan-drivers"), "{stderr}");
    }
    let stderr = scan_error(folder.scan("needle").args(["hit", "--device", "no such device"]));
    assert!(stderr.contains("no Vulkan device fits"), "{stderr}");
}

/// The dynamic linker takes the first file of the name, and this one is no library.
#[cfg(target_os = "linux")]
#[test]
fn no_loader_is_an_error_that_says_what_to_install() {
    let folder = Folder::new();
    folder.write("hit", "needle");
    folder.write("lib/libvulkan.so.1", "no library ".repeat(100));
    let mut scan = folder.scan("needle");
    scan.arg("hit").env("LD_LIBRARY_PATH", folder.path("lib"));
    let stderr = scan_error(&mut scan);
    assert!(stderr.contains("vkscan: no usable Vulkan loader"), "{stderr}");
    assert!(stderr.contains("libvulkan1"), "{stderr}");
}

#[test]
fn rules_are_explained_costliest_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.regex");
    fs::write(&file, "zebra[0-9]\n[a-z]+\n[x-z]{0,9}?tion\n").unwrap();
    let (status, output) =
        run(vkscan().args(["explain", "--format", "json", "--rules"]).arg(&file));
    assert_eq!(status, 0);
    let plans = records(&output.stdout);
    let order: Vec<_> = plans.iter().map(|plan| plan["pattern"].as_u64().unwrap()).collect();
    assert_eq!(order, [1, 2, 0]);
    assert!(plans[0]["factor"].is_null());
    assert_eq!(plans[1]["factor"]["most_starts"], 10);
    assert_eq!(plans[2]["factor"]["grams"], 1);
    let (status, output) = run(vkscan().args(["explain", "--rules"]).arg(&file));
    assert_eq!(status, 0);
    assert!(String::from_utf8(output.stdout).unwrap().contains("no factor"));
}
