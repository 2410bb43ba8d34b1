//! Rules: how they are read, and what is said of those that cannot be.

use super::*;

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
fn bad_rules_say_what_and_where() {
    let cases: &[(&str, &[u8], &[&str])] = &[
        (
            "bad.regex",
            b"ok\n\na(b\n",
            &["bad.regex:3: the rule does not parse: unclosed group, at byte 1 of a(b\n"],
        ),
        ("large.regex", b"ok\n(?:\\w{1000}){1000}{100}", &["large.regex:2: ", "--size-limit\n"]),
        ("latin.regex", b"ok\n\xe9t\xe9\n", &["latin.regex:2: the line is not UTF-8"]),
        ("empty.regex", b"", &["empty.regex: there is no rule in it"]),
        ("blank.regex", b"\n\r\n", &["blank.regex: there is no rule in it"]),
        ("bad.toml", b"[[rules]]\nid = 'x\n", &["bad.toml:2: "]),
        ("type.toml", b"[[rules]]\nid = 'x'\nregex = 7\n", &["type.toml:3: ", "expected a string"]),
        ("flat.toml", b"rules = 'x'\n", &["flat.toml:1: "]),
        ("regex.toml", b"[[rules]]\nid = 'x'\n\nregex = '+'", &["regex.toml:4: ", "repetition"]),
        ("none.toml", b"[[rules]]\nid = 'x'\n", &["rule x has neither a regex nor a path"]),
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

    folder.write("two.ids", "a\nb\n");
    let stderr = scan(&folder.write("two.regex", "a\nb\nc\n"));
    assert!(stderr.contains("two.ids: 2 lines cannot name the 3 lines of"), "{stderr}");
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

/// What a scan with the rules in `rules` says is wrong with them, which is all that it says.
fn complaint(folder: &Folder, rules: &Path) -> String {
    scan_error(vkscan().args(["scan", "--rules"]).arg(rules).current_dir(folder.0.path()))
}

#[test]
fn every_bad_rule_is_reported() {
    let folder = Folder::new();
    folder.write("many.ids", "one\ntwo\nthree\nfour\n");
    let rules = folder.write("many.regex", "ok\na(b\n[0-9]{9999}\n*\n");
    let toml = "[[rules]]\nid = 'x'\nregex = 'a('\n[[rules]]\nid = 7\nregex = '*'\n";
    let limited = |rules: &Path| {
        let mut scan = vkscan();
        scan.args(["scan", "--size-limit", "10000", "--rules"]).arg(rules);
        scan_error(&mut scan)
    };
    let stderr = limited(&rules);
    let faults = [
        "many.regex:2: rule two does not parse: unclosed group, at byte 1 of a(b",
        "many.regex:3: rule three compiles to more than 10000 bytes of NFA: shrink its repeats, or raise \
         --size-limit",
        "many.regex:4: rule four does not parse: repetition operator missing expression",
    ];
    assert_eq!(stderr.lines().count(), faults.len(), "{stderr}");
    for (line, fault) in stderr.lines().zip(faults) {
        assert!(line.starts_with("vkscan: ") && line.contains(fault), "{fault:?} not in {line}");
    }
    let stderr = complaint(&folder, &folder.write("many.toml", toml));
    for fault in ["many.toml:3: rule x does not", "many.toml:6: rule 7 does not"] {
        assert!(stderr.contains(fault), "{fault:?} not in {stderr}");
    }
    // The limit that is raised is the one that is applied.
    let wide = folder.write("wide.regex", "[0-9]{9999}");
    assert!(limited(&wide).contains("--size-limit"));
    folder.write("input", "0");
    let mut scan = vkscan();
    scan.args(["scan", "--size-limit", "100000000", "--rules"])
        .args([&wide, &folder.path("input")]);
    scan_stdout(1, &mut scan);
}

#[test]
fn a_long_pattern_is_shown_once_and_cut() {
    let folder = Folder::new();
    let long = "[a-z]x".repeat(6000);
    for (rules, name) in [
        (format!("{long}("), "long.regex"),
        (format!("[[rules]]\nid = \"{long}\"\nregex = '('\n"), "long.toml"),
        (format!("[[rules]]\nid = 'x'\nregex = '{long}('\n"), "other.toml"),
    ] {
        let stderr = complaint(&folder, &folder.write(name, rules));
        assert!(stderr.contains("unclosed group") && stderr.len() < 700, "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn rules_in_another_format_are_refused_and_not_searched_for() {
    let folder = Folder::new();
    folder.write("hay", "1:/needle/i needle");
    let of = |name: &str, text: &str, args: &[&str]| {
        let rules = folder.write(name, text);
        let mut scan = vkscan();
        scan.args(["scan", "--rules"]).arg(rules).args(args).arg("hay");
        run(scan.current_dir(folder.0.path()))
    };
    for (name, text, what) in [
        ("np.yml", "rules:\n- name: x\n  id: x.1\n  regex: |\n    needle\n", "YAML"),
        ("np.rules", "rules:\n- name: x\n  id: x.1\n  regex: |\n    needle\n", "YAML"),
        ("x.csv", "needle\n", "CSV"),
        ("x.txt", "id,regex\nx,needle\n", "CSV"),
        ("hs", "1:/needle/i\n", "Hyperscan"),
        ("rules", "[{\"id\": \"x\", \"regex\": \"needle\"}]", "JSON"),
    ] {
        let (code, output) = of(name, text, &[]);
        let stderr = stderr(&output);
        assert_eq!((code, output.stdout.len()), (2, 0), "{stderr}");
        assert!(stderr.contains(&format!("{name}: this looks like {what}")), "{stderr}");
        assert!(stderr.contains("--rules-format lines"), "{stderr}");
    }
    // Said otherwise, they are what they are said to be.
    let (code, output) = of("hs", "1:/needle/i\n", &["--rules-format", "lines"]);
    assert_eq!((code, &*output.stdout), (0, &b"hay:1:1: 1:/needle/i: 1:/needle/i\n"[..]));
    // TOML by another name is TOML.
    let toml = "[[rules]]\nid = 'found'\nregex = 'needle$'\n";
    for name in ["rules.toml.bak", "rules", "rules.regex"] {
        let (code, output) = of(name, toml, &[]);
        assert_eq!((code, &*output.stdout), (0, &b"hay:1:13: found: needle\n"[..]), "{name}");
    }
    let (code, _) = of("lines.toml", "needle\n", &["--rules-format", "lines"]);
    assert_eq!(code, 0);
    let (code, output) = of("rules", "needle\n", &["--rules-format", "toml"]);
    assert_eq!((code, stderr(&output).contains("rules:1: ")), (2, true));
}

#[cfg(unix)]
#[test]
fn rules_come_through_a_pipe() {
    let folder = Folder::new();
    folder.write("hay", "needle");
    let mut scan = vkscan();
    scan.args(["scan", "--rules", "/dev/stdin", "hay"]).current_dir(folder.0.path());
    let (code, output) = run_with(&mut scan, b"[[rules]]\nid = 'found'\nregex = 'needle'\n");
    assert_eq!((code, &*output.stdout), (0, &b"hay:1:1: found: needle\n"[..]));
    let (code, output) = run_with(&mut scan, b"rules:\n- id: found\n  pattern: needle\n");
    assert_eq!((code, &*output.stdout), (0, &b"hay:1:1: found: needle\n"[..]));
    let (code, output) = run_with(&mut scan, b"rules:\n- id: x\n  regex: needle\n");
    assert_eq!(code, 2);
    assert!(stderr(&output).contains("/dev/stdin: this looks like YAML"), "{}", stderr(&output));
}

/// Every list of rules that there is is taken for lines: with a limit that no rule keeps, that is what is complained of.
#[test]
fn lists_of_rules_are_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/rules");
    let Ok(files) = fs::read_dir(&folder) else {
        let why = format!("{} is missing, its lists are not checked", folder.display());
        assert!(std::env::var_os("VKSCAN_REQUIRE_DATA").is_none(), "{why}");
        // Past the harness, which swallows what a passing test prints.
        let _ = writeln!(std::io::stderr().lock(), "NOT RUN: {why}");
        return;
    };
    let is_list = |path: &PathBuf| path.extension().is_some_and(|of| of == "regex");
    let lists: Vec<PathBuf> = files.map(|file| file.unwrap().path()).filter(is_list).collect();
    assert!(lists.len() >= 10, "{lists:?}");
    for list in lists {
        let stderr =
            scan_error(vkscan().args(["explain", "--size-limit", "1", "--rules"]).arg(&list));
        assert!(
            stderr.contains("more than 1 bytes of NFA") && !stderr.contains("this looks like"),
            "{stderr}"
        );
    }
}

#[test]
fn marks_and_line_ends_are_taken_as_people_mean_them() {
    let folder = Folder::new();
    folder.write("hay", "one two three");
    let scan = |rules: &[u8], ids: Option<&[u8]>| {
        let ids_path = folder.path("rules.ids");
        let _ = fs::remove_file(&ids_path);
        ids.inspect(|ids| fs::write(&ids_path, ids).unwrap());
        let mut scan = vkscan();
        scan.args(["scan", "--rules"]).arg(folder.write("rules.regex", rules)).arg("hay");
        run(scan.current_dir(folder.0.path()))
    };
    let named = "hay:1:1: 1st: one\nhay:1:5: 2nd: two\nhay:1:9: 3rd: three\n";
    for [rules, ids] in [
        ["one\ntwo\nthree\n", "1st\n2nd\n3rd\n"],
        ["\u{feff}one\ntwo\nthree\n", "\u{feff}1st\n2nd\n3rd"],
        ["one\rtwo\rthree\r", "1st\r2nd\r3rd"],
        ["\u{feff}one\r\ntwo\r\nthree", "\u{feff}1st\r\n2nd\r\n3rd\r\n"],
        [
            "\u{feff}[[rules]]\nid='1st'\nregex='one'\n[[rules]]\nid='2nd'\nregex='two'\n[[rules]]\nid='3rd'\nregex='three'\n",
            "",
        ],
    ] {
        let ids = (!ids.is_empty()).then_some(ids.as_bytes());
        let (code, output) = scan(rules.as_bytes(), ids);
        assert_eq!((code, &*String::from_utf8(output.stdout).unwrap()), (0, named), "{rules:?}");
    }
    for (rules, ids, part) in [
        (&b"ok\none\rtwo\n"[..], None, "rules.regex:2: there is a carriage return"),
        (b"ok\n\xef\xbb\xbfone\n", None, "rules.regex:2: there is a byte order mark"),
        (b"o\0n\0e\0\n\0", None, "rules.regex:1: there is a NUL byte, as of UTF-16"),
        (b"\xff\xfeo\0n\0e\0\n\0", None, "rules.regex: this is UTF-16"),
        (b"\xfe\xff\0o\0n\0e", None, "rules.regex: this is UTF-16"),
        (b"one\n", Some(&b"a\rb\n"[..]), "rules.ids:1: there is a carriage return"),
        (b"one\n", Some(b"\xff\xfea\0"), "rules.ids: this is UTF-16"),
    ] {
        let (code, output) = scan(rules, ids);
        let stderr = stderr(&output);
        assert_eq!((code, output.stdout.len()), (2, 0), "{stderr}");
        assert!(stderr.contains(part), "{part:?} not in {stderr}");
    }
}

#[test]
fn no_rule_goes_without_a_name() {
    let folder = Folder::new();
    folder.write("hay", "a b c d");
    let toml = "[[rules]]\nid = ''\nregex = 'a'\n[[rules]]\nregex = 'b'\n[[rules]]\nid = 7\nregex = 'c'\n\
                [[rules]]\nid = ' '\nregex = 'd'\n";
    let rules = folder.write("rules.toml", toml);
    let mut scan = vkscan();
    scan.args(["scan", "--rules"]).arg(&rules).arg("hay").current_dir(folder.0.path());
    let named = "hay:1:1: #0: a\nhay:1:3: b: b\nhay:1:5: 7: c\nhay:1:7: #3: d\n";
    assert_eq!(scan_stdout(0, &mut scan), named);

    folder.write("rules.ids", "\n \nx\n");
    let mut scan = vkscan();
    scan.args(["scan", "--rules"]).arg(folder.write("rules.regex", "a\nb\nc\n")).arg("hay");
    let named = "hay:1:1: a: a\nhay:1:3: #1: b\nhay:1:5: x: c\n";
    assert_eq!(scan_stdout(0, scan.current_dir(folder.0.path())), named);

    let other = folder.write("other.toml", "[[rules]]\nid = [1]\nregex = 'a'\n");
    let stderr = complaint(&folder, &other);
    assert!(stderr.contains("other.toml:2: the id is a array: put it in quotes"), "{stderr}");
}

#[test]
fn what_rules_are_compiled_to_is_kept() {
    let folder = Folder::new();
    folder.write("hay", "a needle");
    let cache = folder.path("cache");
    let scan = |args: &[&str]| {
        let mut scan = folder.scan("ne+dle");
        let (code, output) = run(scan.args(args).arg("hay").env("XDG_CACHE_HOME", &cache));
        assert_eq!((code, &*output.stdout), (0, &b"hay:1:3: ne+dle: needle\n"[..]));
        stderr(&output)
    };
    let kept = || {
        let files = fs::read_dir(cache.join("vkscan")).into_iter().flatten();
        let paths = files.map(|file| file.unwrap().path());
        let is_rules =
            |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("rules-");
        paths.filter(is_rules).collect::<Vec<PathBuf>>()
    };
    scan(&["--no-cache"]);
    assert!(kept().is_empty());
    scan(&[]);
    let files = kept();
    assert_eq!(files.len(), 1);
    let bytes = fs::read(&files[0]).unwrap();
    assert!(!scan(&[]).contains("compile"));
    // What is damaged, or of other rules, is compiled again.
    let other = RulePipeline::new(&["other"]).unwrap().to_bytes();
    for (bad, what) in [
        (&bytes[..bytes.len() - 1], "not a vkscan pipeline"),
        (&b"x"[..], "not a vkscan pipeline"),
        (&other, "these are other rules"),
    ] {
        fs::write(&files[0], bad).unwrap();
        assert!(scan(&[]).contains(what), "{what}");
        assert_eq!(fs::read(&files[0]).unwrap(), bytes);
    }
    // Those that were used last are kept.
    for index in 0..20 {
        folder.write(&format!("cache/vkscan/rules-{index}"), "old");
    }
    scan(&["--match-kind", "all"]);
    assert_eq!(kept().len(), 16);
    // Where nothing can be kept, nothing is.
    let mut scan = folder.scan("ne+dle");
    scan_stdout(0, scan.arg("hay").env("XDG_CACHE_HOME", folder.path("hay")));
}

#[test]
fn help_says_what_rules_are_about() {
    let help = scan_stdout(0, vkscan().args(["scan", "--help"]));
    for part in ["about bytes", r"\p{Greek}", "--rules-format", "--size-limit", "--wait-timeout"] {
        assert!(help.contains(part), "{part:?} not in {help}");
    }
}
