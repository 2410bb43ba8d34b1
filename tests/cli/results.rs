//! How findings are told.

use super::*;

const RULES: &str = "[[rules]]\nid = 'token'\ndescription = 'A token'\ntags = ['x']\nregex = '(?P<kind>tok|key)_([a-z]+)(\\d)?'\nsecretGroup = 2\n";
const TEXT: &[u8] = b"one\ntwo \xc3\xa4 tok_abc\nthree\nfour\nkey_de5 tok_abc\nsix";

/// `vkscan scan` of `TEXT` in a folder of its own.
fn scan(folder: &Folder, args: &[&str]) -> (i32, String) {
    let mut scan = vkscan();
    // That the device is slow is said to no one.
    scan.env("RUST_LOG", "error").args(["scan", "--rules"]).arg(folder.write("rules.toml", RULES));
    folder.write("input", TEXT);
    folder.write("other", "nothing");
    let (code, output) = run(scan
        .args(args)
        .args(["--sort", "path", "input", "other"])
        .current_dir(folder.0.path()));
    assert_eq!(stderr(&output), "");
    (code, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn findings_are_told_as_is_asked_for() {
    let folder = Folder::new();
    for (args, expected) in [
        (
            &[][..],
            "input:2:8: token: tok_abc\ninput:5:1: token: key_de5\ninput:5:9: token: tok_abc\n",
        ),
        (&["-o"], "abc\nde\nabc\n"),
        (&["-c"], "input:3\n"),
        (&["-l"], "input\n"),
        (
            &["--redact"],
            "input:2:8: token: tok_REDACTED\ninput:5:1: token: key_REDACTED5\ninput:5:9: token: tok_REDACTED\n",
        ),
        (&["-o", "--redact"], "REDACTED\nREDACTED\nREDACTED\n"),
        (
            &["-B", "1", "-A", "1"],
            "input:2:8: token: tok_abc\ninput-1-one\ninput:2:two ä tok_abc\ninput-3-three\n--\n\
             input:5:1: token: key_de5\ninput-4-four\ninput:5:key_de5 tok_abc\ninput-6-six\n--\n\
             input:5:9: token: tok_abc\ninput-4-four\ninput:5:key_de5 tok_abc\ninput-6-six\n--\n",
        ),
    ] {
        assert_eq!(scan(&folder, args), (0, expected.to_owned()), "{args:?}");
    }
    let colored = scan(&folder, &["--color", "always"]).1;
    assert!(
        colored.contains("\x1b[35minput\x1b[0m:\x1b[32m2\x1b[0m:\x1b[32m8\x1b[0m: "),
        "{colored:?}"
    );
    assert!(colored.contains("tok_\x1b[1m\x1b[31mabc\x1b[0m\n"), "{colored:?}");
    for args in [["-c", "--json"], ["-o", "-l"], ["-c", "-A1"], ["-C1", "--redact"]] {
        let wrong = scan_error(vkscan().args(["scan", "-e", "x"]).args(args));
        assert!(wrong.contains("cannot be used with"), "{wrong}");
    }
}

#[test]
fn json_has_what_was_found_and_its_groups() {
    let folder = Folder::new();
    let (code, stdout) = scan(&folder, &["--json"]);
    let records = records(stdout.as_bytes());
    assert_eq!((code, records.len()), (0, 3));
    let expected = serde_json::json!({
        "path": "input", "pattern": 0, "rule": "token", "start": 11, "end": 18,
        "line": 2, "column": 8, "end_line": 2, "end_column": 14, "text": "tok_abc",
        "secret": { "start": 15, "end": 18, "text": "abc" },
        "groups": [
            { "name": "kind", "start": 11, "end": 14, "text": "tok" },
            { "start": 15, "end": 18, "text": "abc" },
            null,
        ],
    });
    assert_eq!(records[0], expected);
    assert_eq!(records[1]["groups"][2], serde_json::json!({ "start": 36, "end": 37, "text": "5" }));
    let redacted = scan(&folder, &["--json", "--redact"]).1;
    assert!(redacted.contains("tok_REDACTED") && !redacted.contains("abc"), "{redacted}");

    // What is no UTF-8 is there as it is.
    let mut bytes = folder.scan("x(?-u:.)y");
    let (_, output) = run_with(bytes.arg("--json"), b"x\xffy");
    let record = &super::records(&output.stdout)[0];
    assert_eq!(
        (&record["text"], &record["bytes"]),
        (&"x\u{fffd}y".into(), &serde_json::json!([120, 255, 121]))
    );
}

#[test]
fn groups_are_the_regex_crates_however_a_file_is_scanned() {
    let folder = Folder::new();
    let pattern = r"\b(\w+?)(\d*)\b(?:(!)|$)?";
    let text = "ab12! c3 d! 77\n".repeat(700);
    folder.write("input", &text);
    let regex = RegexBuilder::new(pattern).unicode(false).build().unwrap();
    let expected: Vec<Vec<Option<(u64, u64)>>> = regex
        .captures_iter(text.as_bytes())
        .map(|groups| {
            let spans = groups
                .iter()
                .skip(1)
                .map(|group| group.map(|group| (group.start() as u64, group.end() as u64)));
            spans.collect()
        })
        .collect();
    for args in [
        &[][..],
        &["--window-bytes", "1024"],
        &["--max-scan-bytes", "100", "--window-bytes", "4096"],
    ] {
        let mut scan = folder.scan(pattern);
        let stdout = scan_stdout(0, scan.args(["--json", "input"]).args(args));
        let groups = records(stdout.as_bytes()).into_iter().map(|record| {
            let group = |group: &Value| Some((group["start"].as_u64()?, group["end"].as_u64()?));
            record["groups"].as_array().unwrap().iter().map(group).collect::<Vec<_>>()
        });
        assert!(groups.eq(expected.iter().cloned()), "{args:?}");
    }
}

#[test]
fn what_is_known_is_not_told_again() {
    let folder = Folder::new();
    let (code, stdout) = scan(&folder, &["--write-baseline", "known.json"]);
    assert_eq!((code, stdout.lines().count()), (0, 3));
    let known = fs::read_to_string(folder.path("known.json")).unwrap();
    assert!(!known.contains("abc") && known.contains("\"token\""), "{known}");
    assert_eq!(scan(&folder, &["--baseline", "known.json"]), (1, String::new()));
    // In another place it is the same, and what is new is told.
    folder.write("more", "x tok_abc tok_new");
    let mut more = vkscan();
    more.args([
        "scan",
        "-r",
        "rules.toml",
        "--baseline",
        "known.json",
        "--write-baseline",
        "known.json",
        "more",
    ]);
    assert_eq!(scan_stdout(0, more.current_dir(folder.0.path())), "more:1:11: token: tok_new\n");
    assert_eq!(scan_stdout(1, more.current_dir(folder.0.path())), "");
    for (text, what) in [
        ("{}", "no baseline that --write-baseline wrote"),
        ("{\"version\":2,\"findings\":[]}", "has version 2"),
    ] {
        folder.write("other.json", text);
        let mut scan = vkscan();
        let stderr = scan_error(
            scan.args(["scan", "-e", "x", "--baseline", "other.json", "more"])
                .current_dir(folder.0.path()),
        );
        assert!(stderr.contains(what), "{stderr}");
    }
}

#[test]
fn findings_go_to_a_file() {
    let folder = Folder::new();
    assert_eq!(scan(&folder, &["-o", "--output", "found"]), (0, String::new()));
    assert_eq!(fs::read_to_string(folder.path("found")).unwrap(), "abc\nde\nabc\n");
    let mut nowhere = vkscan();
    nowhere.args(["scan", "-e", "x", "--output", "missing/found", "input"]);
    let stderr = scan_error(nowhere.current_dir(folder.0.path()));
    assert!(stderr.contains("vkscan: missing/found: No such file"), "{stderr}");
    #[cfg(target_os = "linux")]
    {
        let mut full = vkscan();
        full.args(["scan", "-e", "o", "--output", "/dev/full", "input"]);
        let stderr = scan_error(full.current_dir(folder.0.path()));
        assert!(stderr.contains("vkscan: /dev/full: No space left"), "{stderr}");
    }
}

/// The schema as its authors publish it, which the crate that is made of it comes with.
fn sarif_schema() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    // Packages of other platforms need not be there.
    let platform = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let platform = String::from_utf8(platform).unwrap();
    let platform = platform.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let args = ["metadata", "--format-version", "1", "--offline", "--filter-platform", platform];
    let output =
        Command::new(cargo).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo tells of the packages");
    let packages = metadata["packages"].as_array().unwrap();
    let of_it = packages.iter().find(|package| package["name"] == "serde-sarif").unwrap();
    let manifest = Path::new(of_it["manifest_path"].as_str().unwrap());
    let schema = fs::read(manifest.with_file_name("src").join("schema.json")).unwrap();
    let mut schema: Value = serde_json::from_slice(&schema).unwrap();
    // One bracket too many makes it no regular expression but in JavaScript.
    for of in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][of]["properties"]["language"];
        assert!(language.as_object_mut().unwrap().remove("pattern").is_some());
    }
    schema
}

#[test]
fn sarif_is_as_its_schema_says() {
    let folder = Folder::new();
    let validator = jsonschema::validator_for(&sarif_schema()).unwrap();
    let (code, stdout) = scan(&folder, &["--format", "sarif"]);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!((code, errors), (0, Vec::<String>::new()));
    let run = &document["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "token");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    // Columns are code points: one fewer than bytes.
    let region = &results[0]["locations"][0]["physicalLocation"]["region"];
    let [line, column, end_column] =
        ["startLine", "startColumn", "endColumn"].map(|key| region[key].as_u64().unwrap());
    assert_eq!((line, column, end_column), (2, 7, 14));
    let redacted = scan(&folder, &["--format", "sarif", "--redact"]).1;
    assert!(redacted.contains("tok_REDACTED") && !redacted.contains("tok_abc"), "{redacted}");
    // Nothing found is a document, too, and so is a file as a whole.
    let mut none = vkscan();
    let none = scan_stdout(
        1,
        none.args(["scan", "-e", "absent", "--format", "sarif", "input"])
            .current_dir(folder.0.path()),
    );
    assert!(validator.is_valid(&serde_json::from_str(&none).unwrap()), "{none}");
    let rules = folder.write("paths.toml", "[[rules]]\nid = 'p'\npath = 'input$'\n");
    let mut whole = vkscan();
    whole.args(["scan", "--format", "sarif", "input", "--rules"]).arg(rules);
    let whole = scan_stdout(0, whole.current_dir(folder.0.path()));
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert!(validator.is_valid(&whole), "{whole}");
    assert_eq!(whole["runs"][0]["results"][0]["ruleId"], "p");
}

/// Neither the same secret a second time, nor one that is nothing.
#[test]
fn no_secret_is_left_where_they_are_redacted() {
    let folder = Folder::new();
    let rules = folder.write(
        "rules.toml",
        "[[rules]]\nid = 'twice'\nregex = 'a=(\\w+) b=\\w+'\n\
         [[rules]]\nid = 'none'\nregex = 'tok_(x)?(\\w+)'\nsecretGroup = 1\n",
    );
    folder.write("input", "\u{e4} a=hunter2 b=hunter2 tok_abcd");
    for format in ["text", "json", "sarif"] {
        let mut scan = vkscan();
        scan.args(["scan", "--redact", "--format", format, "input", "--rules"]).arg(&rules);
        let stdout = scan_stdout(0, scan.current_dir(folder.0.path()));
        assert!(!stdout.contains("hunter2") && !stdout.contains("abcd"), "{stdout}");
        assert_eq!(stdout.matches("a=REDACTED b=REDACTED").count(), 1, "{stdout}");
        if format == "sarif" {
            // Where it is has nothing to do with what is told of it.
            assert!(stdout.contains(r#""startColumn":3,"startLine":1"#), "{stdout}");
            assert!(stdout.contains(r#""endColumn":22"#), "{stdout}");
        }
    }
}

#[test]
fn documents_have_nothing_that_does_not_print() {
    let folder = Folder::new();
    folder.write("input", "tok_a\u{9b}\u{202e}\x7f tok_b");
    for format in ["text", "json", "sarif"] {
        let stdout = scan_stdout(0, folder.scan("tok_\\S+").args(["--format", format, "input"]));
        assert!(!stdout.contains(|char: char| char != '\n' && char.is_control()), "{stdout:?}");
        assert!(!stdout.contains('\u{202e}'), "{stdout:?}");
    }
}

/// A line of a megabyte is looked at once, whatever is found in it.
#[test]
fn many_findings_of_one_line_take_time_in_proportion() {
    let folder = Folder::new();
    let rules = folder.write(
        "rules.toml",
        "[[rules]]\nid = 'token'\nregex = 'tok_[a-z0-9]+'\n[[rules]]\nid = 'generic'\nregex = '[a-z]ok_[a-z0-9]+'\n\
         [[rules]]\nid = 'pair'\nregex = 'key_[a-z0-9]+'\n[[rules.required]]\nid = 'token'\nwithinColumns = 20\n\
         [[rules.allowlists]]\nregexTarget = 'line'\nregexes = ['nowhere']\n",
    );
    let count = 50_000;
    let line: String = (0..count).map(|index| format!("tok_{index:x};key_{index:x};")).collect();
    folder.write("input", &line);
    for args in [&["-c"][..], &["--format", "sarif"]] {
        let began = std::time::Instant::now();
        let mut scan = vkscan();
        scan.args(["scan", "input", "--rules"]).arg(&rules).args(args);
        let stdout = scan_stdout(0, scan.current_dir(folder.0.path()));
        assert_eq!(stdout.lines().count(), 1);
        assert!(began.elapsed().as_secs() < 60, "{:?} for {args:?}", began.elapsed());
        if args == ["-c"] {
            assert_eq!(stdout, format!("input:{}\n", 2 * count));
        }
    }
}

#[test]
fn lines_around_are_all_there_however_far_they_are() {
    let folder = Folder::new();
    let text = format!("needle\n{}end", format!("{}\n", "y".repeat(99)).repeat(2000));
    folder.write("input", text);
    let stdout = scan_stdout(0, folder.scan("needle").args(["-A3000", "input"]));
    assert_eq!(stdout.lines().filter(|line| line.starts_with("input-")).count(), 2001);
    let (_, output) = run_with(
        folder.scan("needle").args(["-A3000", "-B1"]),
        &fs::read(folder.path("input")).unwrap(),
    );
    let stdin = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdin, stdout.replace("input", "<stdin>"));
}

#[test]
fn what_findings_are_printed_to_is_not_scanned() {
    let folder = Folder::new();
    folder.write("tree/a", "needle");
    folder.write("tree/found", "needle needle");
    let mut scan = folder.scan("needle");
    scan.args(["--output", "tree/found", "--sort", "path", "tree", "tree/found"]);
    scan_stdout(0, scan.env_remove("RUST_LOG"));
    assert_eq!(
        fs::read_to_string(folder.path("tree/found")).unwrap(),
        "tree/a:1:1: needle: needle\n"
    );
    // What is known is read before it may be written to.
    let mut scan = folder.scan("needle");
    let stderr =
        scan_error(scan.args(["--output", "tree/found", "--baseline", "tree/found", "tree"]));
    assert!(stderr.contains("no baseline"), "{stderr}");
    assert_eq!(
        fs::read_to_string(folder.path("tree/found")).unwrap(),
        "tree/a:1:1: needle: needle\n"
    );
}

#[cfg(unix)]
#[test]
fn who_reads_no_more_still_has_a_baseline() {
    let folder = Folder::new();
    folder.write("many", "needle\n".repeat(1000));
    let (_, writer) = std::io::pipe().unwrap();
    let mut scan = folder.scan("needle");
    let status = scan.args(["--write-baseline", "known", "many"]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(fs::read_to_string(folder.path("known")).unwrap().contains("needle"));
}

#[test]
fn files_that_are_findings_count_like_others() {
    let folder = Folder::new();
    let rules = folder.write(
        "rules.toml",
        "[[rules]]\nid = 'pem'\npath = '\\.pem$'\n[[rules]]\nid = 'word'\nregex = 'word'\n",
    );
    folder.write("tree/a.pem", "word");
    folder.write("tree/b.pem", b"\0");
    folder.write("tree/c.txt", "word");
    let scan = |args: &[&str]| {
        let mut scan = vkscan();
        scan.args(["scan", "--sort", "path", "tree", "--rules"]).arg(&rules).args(args);
        let (code, output) = run(scan.current_dir(folder.0.path()));
        (code, String::from_utf8(output.stdout).unwrap())
    };
    for device in [&[][..], &["--device", "0,0"]] {
        for (args, expected) in [
            (
                &[][..],
                "tree/a.pem: pem\ntree/a.pem:1:1: word: word\ntree/b.pem: pem\ntree/c.txt:1:1: word: word\n",
            ),
            (&["-c"], "tree/a.pem:2\ntree/b.pem:1\ntree/c.txt:1\n"),
            (&["-l"], "tree/a.pem\ntree/b.pem\ntree/c.txt\n"),
            (&["-o"], "tree/a.pem\nword\ntree/b.pem\nword\n"),
        ] {
            assert_eq!(scan(&[args, device].concat()), (0, expected.to_owned()), "{args:?}");
        }
    }
    // Each is known by itself.
    scan(&["--write-baseline", "known"]);
    folder.write("tree/d.pem", "");
    assert_eq!(scan(&["--baseline", "known"]), (0, "tree/d.pem: pem\n".to_owned()));
}

#[test]
fn columns_of_documents_are_code_points() {
    let folder = Folder::new();
    folder.write("input", "ab \u{e9}\u{e9} x\n");
    for (pattern, columns) in
        [("\u{e9}", "4 5"), ("\u{e9}{2}", "4 6"), (" x\\n", "6 9"), ("b", "2 3")]
    {
        let mut scan = vkscan();
        scan.args(["scan", "--format", "sarif", "input", "-e", pattern]);
        let stdout = scan_stdout(0, scan.current_dir(folder.0.path()));
        let document: Value = serde_json::from_str(&stdout).unwrap();
        let location = &document["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        let region = &location["region"];
        assert_eq!(
            format!("{} {}", region["startColumn"], region["endColumn"]),
            columns,
            "{pattern}"
        );
    }
}

#[cfg(unix)]
#[test]
fn what_is_read_is_not_written_to() {
    let folder = Folder::new();
    let path = folder.write("file", "needle\n".repeat(3000));
    let output = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let mut scan = folder.scan("needle");
    scan.args(["--window-bytes", "8192", "-"]).stdin(fs::File::open(&path).unwrap());
    let output =
        scan.stdout(output).stderr(Stdio::piped()).env_remove("RUST_LOG").output().unwrap();
    assert!(stderr(&output).contains("<stdin>: findings are printed to it"), "{}", stderr(&output));
    assert_eq!(fs::metadata(&path).unwrap().len(), 21_000);
}

#[cfg(unix)]
#[test]
fn baselines_are_files_of_their_owners() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new();
    folder.write("hit", "needle");
    let known = folder.write("known", "");
    fs::set_permissions(&known, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("known", folder.path("link")).unwrap();
    scan_stdout(0, folder.scan("needle").args(["--write-baseline", "link", "hit"]));
    assert!(fs::symlink_metadata(folder.path("link")).unwrap().is_symlink());
    assert_eq!(fs::metadata(&known).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&known).unwrap().contains("needle"));
    // What is no file stays what it is.
    scan_stdout(0, folder.scan("needle").args(["--write-baseline", "/dev/null", "hit"]));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}
