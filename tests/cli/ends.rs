//! How the command ends, and what it says then.

use super::*;

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
    assert_eq!((code, output.stdout.as_slice()), (2, b"hit:1:3: needle: needle\n".as_slice()));
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
fn the_summary_counts() {
    let folder = Folder::new();
    folder.write("tree/hit", "needle, needle");
    folder.write("tree/binary", b"\0needle");
    let (code, output) = run(folder.scan("needle").args(["--stats", "tree", "missing"]));
    assert_eq!(code, 2);
    let stderr = stderr(&output);
    for line in [
        "inputs    1 scanned, 1 skipped as binary, 0 left out by rules, 1 failed\n",
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
    assert_eq!(line, "many:1:1: needle: needle\n");
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

/// What takes no bytes.
#[cfg(target_os = "linux")]
fn full() -> Stdio {
    fs::File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads.
#[cfg(unix)]
fn broken() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

/// Warnings, errors of inputs, the summary and a log of everything, none of which can be written.
#[cfg(target_os = "linux")]
#[test]
fn errors_that_cannot_be_written_lose_no_match() {
    let folder = Folder::new();
    folder.write("hit", "needle");
    let rules = "rules:\n- id: x\n  pattern: needle\n- id: y\n  pattern: y\n  confidence: low\n";
    let rules = folder.write("rules.yml", rules);
    let scan = |args: &[&str], stderr: Stdio| {
        let mut scan = vkscan();
        scan.args(["scan", "--rules"]).arg(&rules).args(args).current_dir(folder.0.path());
        let output = scan.env_remove("RUST_LOG").stdin(Stdio::null()).stderr(stderr).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let hit = "hit:1:1: x: needle\n";
    for stderr in [full, broken] {
        assert_eq!(scan(&["hit"], stderr()), (Some(0), hit.to_owned()));
        assert_eq!(scan(&["--stats", "-vvv", "hit"], stderr()), (Some(0), hit.to_owned()));
        assert_eq!(
            scan(&["missing", "hit", "/proc/self/mem"], stderr()),
            (Some(2), hit.to_owned())
        );
        assert_eq!(scan(&["--no-such-option"], stderr()), (Some(2), String::new()));
        assert_eq!(scan(&[], stderr()), (Some(1), String::new()));
    }
    let mut closed = Command::new("sh");
    closed.args([
        "-c",
        r#"exec "$0" scan --rules "$1" --stats hit 2>&-"#,
        env!("CARGO_BIN_EXE_vkscan"),
    ]);
    let closed = closed.arg(&rules).current_dir(folder.0.path()).output().unwrap();
    assert_eq!((closed.status.code(), &*closed.stdout), (Some(0), hit.as_bytes()));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let folder = Folder::new();
    folder.write("hit", "needle");
    folder.write("rules/rules.regex", "needle");
    for args in [
        &["scan", "--rules", "rules/rules.regex", "hit"][..],
        &["scan", "--rules", "rules/rules.regex", "--window-bytes", "1024", "hit"],
        &["explain", "--rules", "rules/rules.regex"],
        &["devices"],
        &["--help"],
        &["scan", "--help"],
        &["--version"],
    ] {
        let run = |stdout: Stdio| {
            let mut command = vkscan();
            command.args(args).current_dir(folder.0.path()).env("RUST_LOG", "error");
            let output = command.stdin(Stdio::null()).stdout(stdout).output().unwrap();
            (output.status.code(), stderr(&output))
        };
        let (code, stderr) = run(full());
        assert_eq!(code, Some(2), "{args:?}");
        assert_eq!(stderr, "vkscan: standard output: No space left on device (os error 28)\n");
        assert_eq!(run(broken()), (Some(0), String::new()), "{args:?}");
    }
}

/// Whatever names, ids and patterns hold, none of it is an order to the terminal.
#[cfg(target_os = "linux")]
#[test]
fn names_are_shown_without_what_does_not_print() {
    let folder = Folder::new();
    let name = "\x1b]0;owned\x07\r\u{9b}31m\u{202e}";
    let shown = r"\u{1b}]0;owned\u{7}\r\u{9b}31m\u{202e}";
    folder.write(&format!("tree/{name}"), "needle needle");
    folder.write("many", "needle");
    std::os::unix::fs::symlink("nowhere", folder.path(&format!("tree/link{name}"))).unwrap();
    fs::write(folder.path(&format!("{name}.toml")), "[[rules]]\nid='a(b'\nregex='('").unwrap();
    let quoted = name.replace('\x1b', "\\u001b").replace('\x07', "\\u0007").replace('\r', "\\r");
    let toml = format!("[[rules]]\nid = \"{quoted}\"\nregex = '(?s)needle.*'\n");
    folder.write("rules.toml", &toml);
    folder.write("unknown.toml", format!("{toml}\"{quoted}\" = 1\n"));
    folder.write("bad.regex", format!("({name}\u{1}\n").replace('\r', ""));
    let tree = format!("tree/{name}");
    let missing = format!("missing{name}");
    let option = format!("--{name}");
    let rules = format!("{name}.toml");
    for (args, status, parts) in [
        (&["--rules", "rules.toml", &missing][..], 2, 1),
        (&["--rules", "rules.toml", "--follow", "tree"], 2, 2),
        (&["--rules", "rules.toml", "--max-matches", "0", &tree], 2, 1),
        (&["--rules", "rules.toml", "-vvv", "--stats", "--window-bytes", "1024", &tree], 0, 1),
        (&["--rules", "unknown.toml", "many"], 2, 1),
        (&["--rules", &missing, "many"], 2, 1),
        (&["--rules", &rules, "many"], 2, 1),
        (&["--rules", "rules.toml", &option], 2, 0),
    ] {
        let (code, output) = run(vkscan().arg("scan").args(args).current_dir(folder.0.path()));
        let both = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(code, status, "{both}");
        assert!(!both.contains(|char: char| char != '\n' && char.is_control()), "{both:?}");
        assert!(!both.contains('\u{202e}') && both.matches(shown).count() >= parts, "{both}");
    }
    let (_, output) =
        run(vkscan().args(["explain", "--rules", "bad.regex"]).current_dir(folder.0.path()));
    let stderr = stderr(&output);
    assert!(stderr.contains(r"of (\u{1b}]0;owned") && !stderr.contains('\x1b'), "{stderr}");
    let mut scan = vkscan();
    scan.args(["scan", "--format", "json", "--rules", "rules.toml", &tree]);
    let json = scan_stdout(0, scan.current_dir(folder.0.path()));
    assert!(!json.contains(|char: char| char != '\n' && char.is_control()), "{json:?}");
    assert_eq!(records(json.as_bytes())[0]["path"], *tree);
}

#[cfg(target_os = "linux")]
#[test]
fn a_damaged_manifest_of_a_driver_is_called_so() {
    let folder = Folder::new();
    folder.write("hit", "needle");
    let driver = |path: &str| {
        format!(
            r#"{{"file_format_version":"1.0.0","ICD":{{"library_path":"{path}","api_version":"1.3"}}}}"#
        )
    };
    for manifest in [
        "{".to_owned(),
        String::new(),
        "[]".to_owned(),
        driver("/no/such/driver.so"),
        driver("/dev/null"),
    ] {
        let path = folder.write("driver.json", &manifest);
        let mut scan = folder.scan("needle");
        let mut devices = vkscan();
        for command in [scan.arg("hit"), devices.arg("devices")] {
            command.env("VKSCAN_VALIDATION", "0");
            for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
                command.env(variable, &path);
            }
            let stderr = scan_error(command);
            assert!(stderr.contains("VK_LOADER_DEBUG=all"), "{manifest}: {stderr}");
            assert!(!stderr.contains("out of host memory"), "{manifest}: {stderr}");
        }
    }
}

/// On a terminal, and there alone, there are signs of life while rules are compiled.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_that_rules_are_being_compiled() {
    use std::io::Read;
    let folder = Folder::new();
    let (mut end, terminal) = terminal();
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&terminal, size).unwrap();
    let rules: String = (0..1000).map(|index| format!("rule{index}[a-z]{{1,9}}x\n")).collect();
    let rules = folder.write("rules.regex", rules);
    let mut explain = vkscan();
    explain.args(["explain", "--rules"]).arg(&rules).env("TERM", "xterm");
    let quiet = run(&mut explain);
    assert_eq!((quiet.0, stderr(&quiet.1)), (0, String::new()));
    let mut child = explain.stdin(Stdio::null()).stdout(Stdio::null()).stderr(terminal).spawn();
    // It holds the terminal open.
    drop(explain);
    let mut shown = Vec::new();
    let _ = end.read_to_end(&mut shown);
    assert_eq!(child.as_mut().unwrap().wait().unwrap().code(), Some(0));
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("compiling 1000 rules"), "{shown:?}");
}

#[test]
fn a_trace_is_in_order_and_nests() {
    let folder = Folder::new();
    folder.write("small", "key\n");
    folder.write("large", "some key\n".repeat(1 << 15));
    let trace = folder.path("trace.json");
    let mut command = folder.scan("key");
    // The large one takes several windows.
    command.args(["--window-bytes", "100000", "--trace"]).arg(&trace).args(["small", "large"]);
    scan_stdout(0, &mut command);
    let text = fs::read_to_string(&trace).unwrap();
    let trace: Value = serde_json::from_str(&text).expect("it is JSON");
    let events = trace["traceEvents"].as_array().unwrap();
    let number = |event: &Value, key: &str| event[key].as_f64().expect("a number");
    let of_phase = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);

    let named = |what: &'static str| of_phase("M").filter(move |event| event["name"] == what);
    let processes: Vec<_> = named("process_name").map(|event| &event["args"]["name"]).collect();
    for process in ["host", "scans in flight", "device, queue for kernels"] {
        assert!(processes.iter().any(|name| **name == process), "{processes:?}");
    }
    assert!(of_phase("X").all(|span| {
        named("thread_name").any(|name| name["pid"] == span["pid"] && name["tid"] == span["tid"])
    }));
    let timed = events.iter().filter(|event| event["ph"] != "M");
    assert!(timed.map(|event| number(event, "ts")).is_sorted(), "by when they begin");

    // On each track a span is within the one before, or behind it. Microseconds of f64 are a nanosecond off at most.
    let mut open: Vec<(&Value, &Value, f64)> = Vec::new();
    for span in of_phase("X") {
        let (pid, tid) = (&span["pid"], &span["tid"]);
        let (begin, end) = (number(span, "ts"), number(span, "ts") + number(span, "dur"));
        open.retain(|&(process, thread, until)| {
            (process, thread) != (pid, tid) || until > begin + 0.001
        });
        let around = open.iter().filter(|&&(process, thread, _)| (process, thread) == (pid, tid));
        assert!(around.clone().all(|&(_, _, until)| end <= until + 0.001), "{span}");
        open.push((pid, tid, end));
    }
    for name in ["compile rules", "open device", "prepare session", "submit", "wait", "scan"] {
        assert!(of_phase("X").any(|span| span["name"] == name), "{name}");
    }
    let windows = of_phase("X").filter(|span| span["name"] == "scan").count();
    assert!(windows >= 4, "a small file, and a large one's windows: {windows}");
    let mut in_flight = of_phase("C").filter(|counter| counter["name"] == "scans in flight");
    assert_eq!(in_flight.next_back().unwrap()["args"]["value"], 0);
}

#[test]
fn a_trace_that_cannot_be_written_keeps_nothing_from_being_said() {
    let folder = Folder::new();
    folder.write("text", "key\n");
    let mut command = folder.scan("key");
    command.args(["--trace", "nowhere/trace.json", "text"]);
    let message = scan_error(&mut command);
    assert!(message.contains("the trace nowhere/trace.json: No such file"), "{message}");

    // Rules that were named by mistake are still there, and a trace is written anew.
    let with_trace = |path: &str| run(folder.scan("key").args(["--trace", path, "text"]));
    let (code, output) = with_trace("rules/rules.regex");
    assert_eq!(code, 2);
    assert!(stderr(&output).contains("it is there and is no trace"), "{}", stderr(&output));
    assert_eq!(fs::read(folder.path("rules/rules.regex")).unwrap(), b"key");
    for _ in 0..2 {
        assert_eq!(with_trace("trace.json").0, 0);
        let trace = fs::read(folder.path("trace.json")).unwrap();
        serde_json::from_slice::<Value>(&trace).expect("it is JSON");
    }
}

#[test]
fn ceilings_are_measured_kept_and_compared_with() {
    let folder = Folder::new();
    folder.write("text", "some key\n".repeat(1 << 12));
    let cache = folder.path("cache");
    let with_cache = |mut command: Command| {
        command.env("XDG_CACHE_HOME", &cache);
        command
    };
    let stats = || {
        let mut command = with_cache(folder.scan("key"));
        let (code, output) = run(command.args(["--stats", "text"]));
        assert_eq!(code, 0);
        stderr(&output)
    };
    assert!(stats().contains("`vkscan ceilings` does that once"), "{}", stats());

    let mut command = with_cache(vkscan());
    let json = records(scan_stdout(0, command.args(["ceilings", "--format", "json"])).as_bytes());
    let [ceilings] = &json[..] else { panic!("{json:?}") };
    for key in ["device_read", "host_read", "empty_submission_ns", "walk_step_ns"] {
        assert!(ceilings[key].as_f64().unwrap() > 0.0, "{key}");
    }
    for key in ["copies_up", "copies_down", "host_copies"] {
        let rates = ceilings[key].as_array().unwrap();
        assert!(!rates.is_empty() && rates.iter().all(|rate| rate[1].as_f64().unwrap() > 0.0));
    }
    let with_ceilings = stats();
    assert!(with_ceilings.contains("/s that are copied to the device at best"), "{with_ceilings}");
    let line = |told: &str, stage: &str| {
        let line = told.lines().find(|line| line.contains(stage)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{told}"))
    };
    for stage in ["upload", "prefilter", "together"] {
        let line = line(&with_ceilings, stage);
        assert!(line.contains(" GB/s, ") && line.ends_with("the ceiling"), "{line}");
    }
    // What goes by candidates has no ceiling.
    let confirm = line(&with_ceilings, "confirm");
    assert!(confirm.ends_with(" GB/s"), "{confirm}");
    // Where nothing is prefiltered, that has no rate.
    let mut command = with_cache(folder.scan("[a-z]+"));
    let (code, output) = run(command.args(["--stats", "text"]));
    let unfiltered = stderr(&output);
    assert!(code == 0 && unfiltered.contains("are copied to the device at best"), "{unfiltered}");
    let prefilter = line(&unfiltered, "prefilter");
    assert!(prefilter.ends_with(" 0 %"), "{prefilter}");

    // Those of another driver are none.
    // Beside what the rules and kernels were compiled to.
    let mut files = fs::read_dir(cache.join("vkscan")).unwrap().map(|file| file.unwrap().path());
    let kept = files.find(|path| path.extension().is_some_and(|of| of == "json")).unwrap();
    let mut other: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    other["driver"] = "another 1.0".into();
    fs::write(&kept, other.to_string()).unwrap();
    assert!(stats().contains("`vkscan ceilings` does that once"));
    fs::write(&kept, "{").unwrap();
    assert!(stats().contains("`vkscan ceilings` does that once"));
}

#[test]
fn pipelines_are_kept_in_a_file() {
    let folder = Folder::new();
    folder.write("hit", "a needle");
    let scan = |file: &str| {
        let (code, output) = run(folder.scan("needle").args(["--pipeline-cache", file, "hit"]));
        assert_eq!((code, &*output.stdout), (0, &b"hit:1:3: needle: needle\n"[..]));
        stderr(&output).lines().filter(|line| line.contains("cache")).collect::<Vec<_>>().join("\n")
    };
    for _ in 0..2 {
        assert_eq!(scan("kept"), "");
    }
    let good = fs::read(folder.path("kept")).unwrap();
    fs::write(folder.path("kept"), &good[..good.len() - 1]).unwrap();
    let warned = scan("kept");
    assert!(warned.contains("\"kept\" is ignored: it is cut off"), "{warned}");
    assert_eq!(fs::read(folder.path("kept")).unwrap(), good);
    // Not even rules that were named by mistake are lost.
    let warned = scan("rules/rules.regex");
    assert!(warned.contains("is ignored: it is no pipeline cache"), "{warned}");
    assert!(warned.contains("was not written"), "{warned}");
    assert_eq!(fs::read(folder.path("rules/rules.regex")).unwrap(), b"needle");
}

#[test]
fn kernels_are_told_with_what_the_driver_says() {
    let folder = Folder::new();
    let rules = folder.write("rules", "ab+\n[0-9a-f]{32}\n");
    let kernels = |args: &[&str]| {
        let (code, output) = run(vkscan().arg("kernels").args(args));
        assert_eq!(code, 0, "{}", stderr(&output));
        output.stdout
    };
    let text = String::from_utf8(kernels(&["--asm"])).unwrap();
    let json = records(&kernels(&["--format", "json", "--rules", rules.to_str().unwrap()]));
    // Every kernel but those that measure the device, and those of both sessions.
    let names: std::collections::BTreeSet<&str> =
        json.iter().map(|kernel| kernel["name"].as_str().unwrap()).collect();
    let of_scans = |kernel: &&&vkscan::shaders::Kernel| !kernel.name.starts_with("measure_");
    assert_eq!(names.len(), vkscan::shaders::ALL.iter().filter(of_scans).count());
    let packed = |kernel: &&Value| kernel["specialisation"]["PACKED"] == 1;
    assert!(json.iter().any(|kernel| packed(&kernel)));
    for kernel in &json {
        let name = kernel["name"].as_str().unwrap();
        assert!(text.lines().any(|line| line == name), "{name} in {text}");
        assert!(kernel["workgroup_size"][0].as_u64().unwrap() > 0);
        assert!(kernel["made_in_ns"].as_u64().unwrap() > 0);
    }
    // As with lavapipe, which has no VK_KHR_pipeline_executable_properties.
    let is_silent = json.iter().all(|kernel| kernel["executables"].is_null());
    assert_eq!(is_silent, text.contains("    statistics: not reported by this driver\n"));

    let missing = scan_error(vkscan().args(["kernels", "--rules", "no such file"]));
    assert!(missing.contains("no such file: "), "{missing}");
    let foreign = scan_error(vkscan().args(["kernels", "--device", "no such device"]));
    assert!(foreign.contains("no Vulkan device fits"), "{foreign}");
    assert_eq!(run(vkscan().args(["kernels", "--rules-format", "toml"])).0, 2);
}
