//! What is scanned: files, folders and pipes.

use super::*;

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
fn standard_input_is_scanned() {
    let folder = Folder::new();
    folder.write("hit", "needle");
    let stdin = |args: &[&str]| {
        let (code, output) = run_with(folder.scan("needle").args(args), b"another needle\n");
        assert_eq!(code, 0, "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(stdin(&[]), "<stdin>:1:9: needle: needle\n");
    assert_eq!(stdin(&["-"]), "<stdin>:1:9: needle: needle\n");
    let both = "hit:1:1: needle: needle\n<stdin>:1:9: needle: needle\n";
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
        assert_eq!(output.stdout, b"tree/hit:1:1: needle: needle\n");
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
    assert_eq!(text, "caf\\xe9\\n:1:1: needle: needle\n");
    let json = scan_stdout(0, folder.scan("needle").args(["--format", "json"]).arg(name));
    let record = &records(json.as_bytes())[0];
    assert_eq!(record["path"], "caf\u{fffd}\n");
    let bytes: Vec<u8> = serde_json::from_value(record["path_bytes"].clone()).unwrap();
    assert_eq!(bytes, name.as_bytes());
}

/// Lines as they come, each within minutes of now: what they are waited for has come already.
#[cfg(unix)]
struct Lines(std::sync::mpsc::Receiver<String>);

#[cfg(unix)]
impl Lines {
    fn of(stdout: impl std::io::Read + Send + 'static) -> Lines {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Lines(receiver)
    }

    fn next(&self) -> Option<String> {
        match self.0.recv_timeout(std::time::Duration::from_secs(300)) {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_live_pipe_is_scanned_while_it_is_open() {
    let folder = Folder::new();
    let mut scan = folder.scan("needle\nm[a-z]{0,20}e\n(?m)^end$");
    let mut child = scan.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    let mut write = |text: &str| pipe.write_all(text.as_bytes()).unwrap();
    write("a needle\n");
    assert_eq!(lines.next().unwrap(), "<stdin>:1:3: needle: needle");
    write("a need");
    std::thread::sleep(std::time::Duration::from_millis(300));
    write("le and mor");
    assert_eq!(lines.next().unwrap(), "<stdin>:2:3: needle: needle");
    // What may still go on waits.
    write("e");
    std::thread::sleep(std::time::Duration::from_millis(300));
    write("e\nend");
    assert_eq!(lines.next().unwrap(), "<stdin>:2:14: m[a-z]{0,20}e: moree");
    drop(pipe);
    assert_eq!(lines.next().unwrap(), "<stdin>:3:1: (?m)^end$: end");
    assert_eq!(lines.next(), None);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("there is mkfifo");
    assert!(made.success());
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_scanned_and_one_in_a_folder_passed_over() {
    let folder = Folder::new();
    folder.write("tree/hit", "needle");
    make_fifo(&folder.path("tree/fifo"));
    let plain = "tree/hit:1:1: needle: needle\n";
    assert_eq!(scan_stdout(0, folder.scan("needle").arg("tree")), plain);
    let fifo = folder.path("tree/fifo");
    let writer = std::thread::spawn(move || fs::write(fifo, "a needle"));
    let named = "tree/fifo:1:3: needle: needle\n";
    assert_eq!(scan_stdout(0, folder.scan("needle").arg("tree/fifo")), named);
    writer.join().unwrap().unwrap();
}

/// What reads a terminal's other end fails when the terminal is gone, after all that was written to it.
#[cfg(target_os = "linux")]
#[test]
fn an_error_half_way_says_what_was_not_scanned() {
    let folder = Folder::new();
    let (end, mut terminal) = terminal();
    terminal.write_all(b"a needle\nand be").unwrap();
    let mut scan = folder.scan("needle\nb[a-z]*");
    let mut child = scan.stdin(end).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = Lines::of(child.stdout.take().unwrap());
    assert_eq!(stdout.next().unwrap(), "<stdin>:1:3: needle: needle");
    terminal.write_all(b"e, needle, be").unwrap();
    drop(terminal);
    // The line's end takes two bytes there.
    assert_eq!(stdout.next().unwrap(), "<stdin>:2:5: b[a-z]*: bee");
    assert_eq!(stdout.next().unwrap(), "<stdin>:2:10: needle: needle");
    assert_eq!(stdout.next(), None);
    let output = child.wait_with_output().unwrap();
    let stderr = stderr(&output);
    let part = "vkscan: <stdin>: Input/output error (os error 5); what starts at offset 27 or behind was \
                not scanned\n";
    assert!(stderr.contains(part), "{part:?} not in {stderr}");
    assert_eq!(output.status.code(), Some(2));
}
