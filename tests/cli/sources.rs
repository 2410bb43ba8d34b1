//! What is in compressed files and archives, and text in UTF-16.

use std::io::Read;

use super::*;

const SECRET: &str = r"key_[a-z]{3}";

/// Text with a finding in its second line.
fn text(name: &str) -> Vec<u8> {
    format!("some {name}\n.. key_{name}\n").into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut to = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default()).unwrap();
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut to = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        to.append_data(&mut header, name, *bytes).unwrap();
    }
    to.into_inner().unwrap()
}

pub fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut to = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (index, (name, bytes)) in members.iter().enumerate() {
        let method = [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored][index % 2];
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        to.start_file(*name, options).unwrap();
        to.write_all(bytes).unwrap();
    }
    to.finish().unwrap().into_inner()
}

/// A scan of a folder for the secret.
fn scan(folder: &Folder, args: &[&str]) -> Command {
    let mut scan = vkscan();
    scan.args(["scan", "-e", SECRET, "--json", "-z"]).args(args).current_dir(folder.0.path());
    scan
}

/// The path, line, start and text of all findings, by path.
fn of(stdout: &[u8]) -> Vec<(String, u64, u64, String)> {
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let records = records(stdout);
    let number = |record: &Value, key: &str| record[key].as_u64().unwrap();
    let of = |record: &Value| {
        let [line, start] = ["line", "start"].map(|key| number(record, key));
        (text(record, "path"), line, start, text(record, "text"))
    };
    let mut found: Vec<_> = records.iter().map(of).collect();
    found.sort();
    found
}

fn finding(path: &str, name: &str) -> (String, u64, u64, String) {
    (path.to_owned(), 2, 12, format!("key_{name}"))
}

#[test]
fn what_is_packed_is_scanned_as_what_is_in_it() {
    let folder = Folder::new();
    folder.write("plain", text("abc"));
    for (name, packed) in [
        ("b.txt.gz", gzip(&text("gzi"))),
        // Several streams or frames are one file.
        ("c.bz2", [bzip2(b"some bzi\n"), bzip2(b".. key_bzi\n")].concat()),
        ("d.xz", [xz(b"some xzx\n"), xz(b".. key_xzx\n")].concat()),
        (
            "e.ZST",
            [zstd(b"some zst\n"), b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(b".. key_zst\n")]
                .concat(),
        ),
        ("f.lz4", [lz4(b"some lzl\n"), lz4(b".. key_lzl\n")].concat()),
        ("g", [gzip(b"some nam\n"), gzip(b".. key_nam\n")].concat()),
        ("empty.gz", gzip(b"")),
        ("empty.zip", zip(&[])),
    ] {
        folder.write(name, packed);
    }
    let inner = zip(&[("z1", &text("zip")), ("dir/z2.gz", &gzip(&text("zgz")))]);
    let (tar_bytes, plain) =
        (tar(&[("in tar", &text("tar")), ("dir/inner.zip", &inner)]), text("bin"));
    let binary = [&plain[..], b"\0"].concat();
    folder.write("h.tar", &tar_bytes);
    folder.write("i.tar.xz", xz(&tar_bytes));
    folder.write(
        "j.zip",
        zip(&[("k.tar.gz", &gzip(&tar_bytes)), ("binary", &binary), ("l", &text("lll"))]),
    );
    let of_tar = |container: &str| {
        [("in tar", "tar"), ("dir/inner.zip!z1", "zip"), ("dir/inner.zip!dir/z2.gz!z2", "zgz")]
            .map(|(path, name)| finding(&format!("{container}!{path}"), name))
    };
    let mut expected = vec![
        finding("plain", "abc"),
        finding("b.txt.gz!b.txt", "gzi"),
        finding("c.bz2!c", "bzi"),
        finding("d.xz!d", "xzx"),
        finding("e.ZST!e", "zst"),
        finding("f.lz4!f", "lzl"),
        finding("g!g", "nam"),
        finding("j.zip!l", "lll"),
    ];
    for container in ["h.tar", "i.tar.xz", "j.zip!k.tar.gz"] {
        expected.extend(of_tar(container));
    }
    expected.sort();
    for args in [
        &["."][..],
        &["--sort", "path", "."],
        &["--device", "all", "."],
        &["--window-bytes", "1024", "."],
    ] {
        let stdout = scan_stdout(0, &mut scan(&folder, args)).replace("\"./", "\"");
        assert_eq!(of(stdout.as_bytes()), expected, "{args:?}");
    }
    let with_binary = scan_stdout(0, &mut scan(&folder, &["-a", "j.zip"]));
    assert!(with_binary.contains("j.zip!binary"), "{with_binary}");
    // Of standard input, too; and without -z nothing but what is plain.
    let (code, output) = run_with(&mut scan(&folder, &["-"]), &xz(&tar_bytes));
    assert_eq!(
        (code, of(&output.stdout)),
        (0, {
            let mut of = of_tar("<stdin>").to_vec();
            of.sort();
            of
        })
    );
    let (code, output) = run_with(&mut scan(&folder, &["-"]), &text("abc"));
    assert_eq!((code, of(&output.stdout)), (0, vec![finding("<stdin>", "abc")]));
    let mut without = vkscan();
    let stdout = scan_stdout(
        0,
        without.args(["scan", "-e", SECRET, "--json", "."]).current_dir(folder.0.path()),
    );
    assert_eq!(of(stdout.replace("\"./", "\"").as_bytes()), [finding("plain", "abc")]);
}

/// Larger than what is held as a whole, and than a window.
#[test]
fn large_members_come_as_they_are_read() {
    let folder = Folder::new();
    let line = [&b"x".repeat(99)[..], b"\n"].concat();
    let large = [&line.repeat(60_000)[..], b"key_end\n"].concat();
    folder.write(
        "a.tar.gz",
        gzip(&tar(&[("first", &text("one")), ("large", &large), ("last", &text("two"))])),
    );
    let expected = [
        finding("a.tar.gz!first", "one"),
        ("a.tar.gz!large".to_owned(), 60_001, 6_000_000, "key_end".to_owned()),
        finding("a.tar.gz!last", "two"),
    ];
    for args in [
        &["a.tar.gz"][..],
        &["--window-bytes", "65536", "a.tar.gz"],
        &["--sort", "path", "a.tar.gz"],
    ] {
        assert_eq!(of(scan_stdout(0, &mut scan(&folder, args)).as_bytes()), expected, "{args:?}");
    }
}

#[test]
fn what_cannot_be_unpacked_is_told_and_the_rest_is_scanned() {
    let folder = Folder::new();
    folder.write("plain", text("abc"));
    // It does not shrink, so that it is cut off in the middle of it.
    let noise: Vec<u8> =
        (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 | 1).collect();
    let long = [&text("beg")[..], &noise].concat();
    let packed = [
        ("cut.gz", gzip(&long)),
        ("cut.bz2", bzip2(&long)),
        ("cut.xz", xz(&long)),
        ("cut.zst", zstd(&long)),
        ("cut.lz4", lz4(&long)),
        ("cut.tar", tar(&[("beg", &text("beg")), ("long", &noise)])),
        ("cut.zip", zip(&[("beg", &text("beg")), ("long", &noise)])),
    ];
    for (missing, what) in [(2, "half"), (usize::MAX, "all but a byte")] {
        for (name, bytes) in &packed {
            folder.write(name, &bytes[..bytes.len() - (bytes.len() / missing).max(1)]);
        }
        let (code, output) = run(&mut scan(&folder, &["."]));
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
        assert_eq!(code, 2, "{stderr}");
        assert!(stdout.contains("key_abc"), "{what}: {stdout}");
        for (name, _) in &packed {
            // Tar archives end with what counts for nothing.
            let is_whole = *name == "cut.tar" && what != "half";
            assert!(is_whole || stderr.contains(name), "{name}, {what}: {stderr}");
            // What came before is scanned, where it is not packed in one block.
            let is_read = is_whole || ["cut.gz", "cut.tar"].contains(name);
            assert!(!is_read || stdout.contains(&format!("{name}!")), "{name}, {what}: {stdout}");
        }
    }
    // A byte that is another one: an error, or as it was.
    for (name, bytes) in &packed {
        for at in (0..bytes.len()).step_by(bytes.len() / 40) {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x55;
            folder.write(&format!("{at}-{name}"), wrong);
        }
        fs::remove_file(folder.path(name)).unwrap();
    }
    let (code, output) = run(&mut scan(&folder, &["."]));
    assert_eq!(code, 2, "{}", stderr(&output));
    folder.write("small.gz", &gzip(&text("sma"))[..gzip(&text("sma")).len() - 1]);
    let wrong = zip(&[("a", &text("aaa")), ("b", &text("bbb"))]);
    let at = wrong.windows(7).position(|part| part == b"key_bbb").unwrap();
    folder.write("crc.zip", [&wrong[..at], b"key_ccc", &wrong[at + 7..]].concat());
    let (code, output) = run(&mut scan(&folder, &["."]));
    assert_eq!(code, 2);
    assert!(String::from_utf8_lossy(&output.stdout).contains("key_aaa"));
    assert!(stderr(&output).contains("crc.zip!b: "), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("key_sma"));
}

/// One that cannot be read keeps no other from being scanned, wherever it is.
#[test]
fn what_is_beside_what_is_wrong_is_scanned() {
    let folder = Folder::new();
    let bad = &gzip(&text("bad"))[..20];
    folder.write("a.tar", tar(&[("bad.gz", bad), ("good", &text("goo"))]));
    folder.write("b.zip", zip(&[("bad.gz", bad), ("good", &text("goz"))]));
    // Two archives, and what tapes have behind them.
    let two = [tar(&[("one", &text("one"))]), tar(&[("two", &text("two"))])].concat();
    folder.write("c.tar.gz", [gzip(&two), vec![0; 1000]].concat());
    folder.write("d.7z", b"7z\xbc\xaf\x27\x1c and more");
    // What only looks packed.
    folder.write("e", "BZh is no word\n.. key_bzh\n");
    let mut wrong = gzip(&tar(&[("sum", &text("sum"))]));
    let at = wrong.len() - 8;
    wrong[at] ^= 1;
    folder.write("f.tar.gz", wrong);
    let expected = [
        finding("a.tar!good", "goo"),
        finding("b.zip!good", "goz"),
        finding("c.tar.gz!one", "one"),
        finding("c.tar.gz!two", "two"),
        ("e".to_owned(), 2, 18, "key_bzh".to_owned()),
        finding("f.tar.gz!sum", "sum"),
    ];
    let (code, output) = run(&mut scan(&folder, &["--sort", "path", "."]));
    let stdout = String::from_utf8(output.stdout.clone()).unwrap().replace("\"./", "\"");
    let stderr = stderr(&output);
    assert_eq!((code, of(stdout.as_bytes())), (2, expected.to_vec()), "{stderr}");
    for fault in [
        "./a.tar!bad.gz: it ends too early",
        "./b.zip!bad.gz: it ends too early",
        "./d.7z: it is packed by 7z, which is not read",
        "./f.tar.gz: ",
    ] {
        assert!(stderr.contains(fault), "{fault}: {stderr}");
    }
    assert_eq!(stderr.matches("vkscan: ").count(), 4, "{stderr}");
}

#[test]
fn rules_look_at_paths_in_archives() {
    let folder = Folder::new();
    let archive =
        zip(&[("prod/.env", &text("env")), ("prod/other", &text("oth")), ("id_rsa", b"")]);
    folder.write("a.zip", &archive);
    let rules = folder.write(
        "rules.toml",
        format!("[[rules]]\nid = 'env'\nregex = '{SECRET}'\npath = '\\.env$'\n[[rules]]\nid = 'rsa'\npath = 'id_rsa$'\n"),
    );
    let mut scan = vkscan();
    scan.args(["scan", "-z", "-r"]).arg(rules).arg("a.zip").current_dir(folder.0.path());
    let mut told: Vec<String> = scan_stdout(0, &mut scan).lines().map(str::to_owned).collect();
    told.sort();
    assert_eq!(told, ["a.zip!id_rsa: rsa", "a.zip!prod/.env:2:4: env: key_env"]);
}

/// What comes by a pipe and is not packed is scanned as without -z: as it comes, whatever it is.
#[test]
fn pipes_are_looked_into_too() {
    let folder = Folder::new();
    let (code, output) = run_with(&mut scan(&folder, &["-"]), b"\0key_nul");
    assert_eq!((code, records(&output.stdout).len()), (0, 1));
    let mut child =
        scan(&folder, &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for name in ["one", "two"] {
        stdin.write_all(format!("key_{name}\n").as_bytes()).unwrap();
        assert!(lines.next().unwrap().unwrap().contains(&format!("key_{name}")));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    #[cfg(target_os = "linux")]
    {
        let pipe = folder.path("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let bytes = gzip(&text("abc"));
        std::thread::scope(|scope| {
            scope.spawn(|| fs::write(&pipe, bytes).unwrap());
            let stdout = scan_stdout(0, &mut scan(&folder, &["pipe"]));
            assert_eq!(of(stdout.as_bytes()), [finding("pipe!pipe", "abc")]);
        });
    }
}

#[test]
fn bombs_are_told_and_the_rest_is_scanned() {
    let folder = Folder::new();
    folder.write("plain", text("abc"));
    let zeros = vec![b' '; 64 << 20];
    let (one, deep) = (gzip(&zeros), (0..12).fold(text("dee"), |bytes, _| gzip(&bytes)));
    folder.write("bomb.gz", &one);
    folder.write("twice.gz", gzip(&one));
    folder.write("many.zip", zip(&[("a", &one), ("b", &one), ("c", &one), ("d", &text("ddd"))]));
    folder.write("deep.gz", deep);
    // Much that comes to little, again and again: it counts as what it is.
    let gaps: Vec<u8> = (0..4).flat_map(|_| [gzip(b" "), vec![0; 20_000_000]].concat()).collect();
    folder.write("gaps.gz", gzip(&gaps));
    let stdout = scan_stdout(2, &mut scan(&folder, &[".", "--sort", "path"]));
    assert_eq!(
        of(stdout.replace("\"./", "\"").as_bytes()),
        [finding("many.zip!d", "ddd"), finding("plain", "abc")]
    );
    let (code, output) = run(&mut scan(&folder, &[".", "--max-decoded-bytes", "50000000"]));
    let stderr = stderr(&output);
    assert_eq!(code, 2, "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("key_abc"));
    for name in ["bomb.gz!bomb", "twice.gz!twice!twice", "many.zip!a!a", "gaps.gz"] {
        let fault = format!(
            "{name}: more than 50000000 bytes are decoded from this file, and the rest is not read"
        );
        assert!(stderr.contains(&fault), "{name}: {stderr}");
    }
    assert!(stderr.contains("8 archives and compressed files are in each other"), "{stderr}");
    assert_eq!(stderr.matches("more than 50000000 bytes").count(), 4, "{stderr}");
}

/// As Windows writes it.
#[test]
fn utf16_is_decoded_and_places_are_those_of_the_file() {
    let text = "Ünï\u{1f600}\r\n\u{20ac} tok_abc\r\nlast";
    let folder = Folder::new();
    let little: Vec<u8> =
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> =
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    // More bytes as UTF-8 than before.
    let asian: Vec<u8> = format!("\u{feff}{}\n\u{20ac} tok_abc", "\u{6f22}".repeat(50_000))
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    folder.write("little", &little);
    folder.write("big.gz", gzip(&big));
    folder.write("asian", &asian);
    folder.write(
        "utf32",
        text.chars().flat_map(|char| (char as u32).to_le_bytes()).collect::<Vec<u8>>(),
    );
    let at = |before: &str| 2 * (1 + before.encode_utf16().count() as u64);
    let start = at("Ünï\u{1f600}\r\n\u{20ac} ");
    let record = |path: &str, start: u64| {
        serde_json::json!({
            "path": path, "pattern": 0, "rule": "tok_(abc)", "start": start, "end": start + 14,
            "line": 2, "column": 5, "end_line": 2, "end_column": 11, "text": "tok_abc",
            "secret": { "start": start, "end": start + 14, "text": "tok_abc" },
            "groups": [{ "start": start + 8, "end": start + 14, "text": "abc" }],
        })
    };
    let expected = [
        record("asian", at(&"\u{6f22}".repeat(50_000)) + 6),
        record("big.gz!big", start),
        record("little", start),
    ];
    for args in [
        &["."][..],
        &["--device", "all", "."],
        &["--window-bytes", "1024", "."],
        &["--max-scan-bytes", "9", "."],
    ] {
        let mut scan = vkscan();
        scan.args(["scan", "-e", "tok_(abc)", "--json", "-z", "--sort", "path"])
            .args(args)
            .current_dir(folder.0.path());
        let stdout = scan_stdout(0, &mut scan).replace("\"./", "\"");
        assert_eq!(records(stdout.as_bytes()), expected, "{args:?}");
    }
    for bytes in [&little, &big] {
        let mut scan = vkscan();
        let (code, output) = run_with(scan.args(["scan", "-e", "tok_(abc)", "--json"]), bytes);
        assert_eq!((code, records(&output.stdout)), (0, vec![record("<stdin>", start)]));
    }
    // Bit by bit.
    let mut child = vkscan()
        .args(["scan", "-e", "tok_(abc)", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for part in little.chunks(little.len() / 3) {
        stdin.write_all(part).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    drop(stdin);
    let mut stdout = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(records(&stdout), [record("<stdin>", start)]);
}
