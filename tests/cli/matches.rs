//! What is found.

use super::*;

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
            assert_eq!(record.as_object().unwrap().len(), 12, "{record}");
        }
        files.push(path);
    }
    let expected_files =
        ["ci.yml", "deploy.env", "keys/deploy_key.pem", "server.log", "settings.py"];
    assert_eq!(files, expected_files.map(|file| format!("files/{file}")));
    assert!(found(&records).len() >= 12);

    let text = scan(&["files/deploy.env", "files/keys"]);
    assert!(
        text.contains("files/deploy.env:3:19: aws-access-key-id: AKIAIOSFODNN7EXAMPLE\n"),
        "{text}"
    );
    assert!(text.contains(r"-----BEGIN EXAMPLE PRIVATE KEY-----\nRVhB"), "{text}");
    assert_eq!(text.lines().count(), 5);
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

    let options = PipelineOptions::default().match_kind(MatchKind::All);
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
    assert_eq!(output.stdout, b"one:1:1: needle: needle\n");
    let stderr = stderr(&output);
    assert!(stderr.contains("vkscan: many: 20 matches"), "{stderr}");
    assert!(stderr.contains("room for 19: raise --max-matches"), "{stderr}");
    scan_stdout(0, folder.scan("needle").args(["--max-matches", "20", "many"]));
}

/// What the error advises is of use, whichever way a file is scanned.
#[test]
fn dense_matches_take_smaller_windows() {
    let folder = Folder::new();
    let bytes = vec![b'a'; 1 << 18];
    folder.write("dense", &bytes);
    let scan = |args: &[&str]| {
        run(folder
            .scan("a")
            .args(["--max-matches", "5000", "--format", "json", "dense"])
            .args(args))
    };
    for args in [&[][..], &["--window-bytes", "65536"]] {
        let (code, output) = scan(args);
        let stderr = stderr(&output);
        assert_eq!((code, output.stdout.len()), (2, 0), "{stderr}");
        assert!(stderr.contains("raise --max-matches, or lower --window-bytes"), "{stderr}");
    }
    let (code, output) = scan(&["--window-bytes", "5000"]);
    assert_eq!((code, output.stdout.split(|&byte| byte == b'\n').count() - 1), (0, bytes.len()));
}
