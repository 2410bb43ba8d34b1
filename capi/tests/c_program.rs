//! The library as C programs meet it: installed, found by pkg-config, linked, run, and used wrongly under sanitizers.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/vkscan.h"));
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const FOUND: &str = "rule 0 at 38: AKIA0123456789ABCDEF\nrule 1 at 13: password = hunter2\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in a folder of the repository")
}

/// Runs a program that has to be there and to succeed.
fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{program:?} does not run ({error}): `scripts/setup test` installs what the tests need"
        )
    });
    let Output { stdout, stderr, status } = &output;
    let text = [&stdout[..], stderr].map(String::from_utf8_lossy).concat();
    assert!(status.success(), "{command:?}: {status}\n{text}");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Where the library is installed, once for all tests: what `cargo test` has built.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prefix");
        let _ = fs::remove_dir_all(&prefix);
        run(Command::new(root().join("scripts/install-capi"))
            .arg(&prefix)
            .env("VKSCAN_PROFILE", "dev"));
        prefix
    })
}

/// What pkg-config says of the library.
fn pkg_config(options: &[&str]) -> Vec<String> {
    let folder = prefix().join("lib/pkgconfig");
    let output =
        run(Command::new("pkg-config").args(options).arg("vkscan").env("PKG_CONFIG_PATH", folder));
    text(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

/// Compiles a program, with the library's flags behind its sources.
fn compile(name: &str, sources: &[&str], flags: &[&str], library: &[String]) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let sources = sources.iter().map(|source| root().join(source));
    run(Command::new("cc")
        .args(["-std=c99", "-g", "-o"])
        .arg(&program)
        .args(WARNINGS)
        .args(flags)
        .args(sources)
        .args(library));
    program
}

/// A program that finds the shared library.
fn with_library(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", prefix().join("lib"));
    command
}

#[test]
fn the_kept_header_is_the_generated_one() {
    let kept =
        fs::read_to_string(root().join("capi/include/vkscan.h")).expect("the header is kept");
    assert!(
        kept == GENERATED,
        "capi/include/vkscan.h is not what capi/src makes: VKSCAN_UPDATE_HEADER=1 cargo build -p vkscan-capi"
    );
}

#[test]
fn the_header_is_c_and_cpp() {
    let header = root().join("capi/include/vkscan.h");
    for (compiler, language) in
        [("cc", ["-std=c99", "-xc"]), ("cc", ["-std=c11", "-xc"]), ("c++", ["-std=c++11", "-xc++"])]
    {
        run(Command::new(compiler).args(language).args(WARNINGS).arg("-fsyntax-only").arg(&header));
    }
}

#[test]
fn the_page_on_embedding_has_code_that_compiles() {
    let page = fs::read_to_string(root().join("docs/EMBEDDING.md")).expect("the page is there");
    let blocks = page.split("\n```c\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let code = blocks.collect::<Vec<_>>().join("\n");
    assert!(code.contains("#include <vkscan.h>"), "{code}");
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedding.c");
    fs::write(&source, code).expect("it is ours");
    run(Command::new("cc")
        .args(["-std=c99", "-fsyntax-only", "-I"])
        .arg(root().join("capi/include"))
        .args(WARNINGS)
        .arg(&source));
}

#[test]
fn the_example_finds_what_there_is() {
    let flags = pkg_config(&["--cflags", "--libs"]);
    let program = compile("scan", &["examples/c/scan.c"], &[], &flags);
    assert_eq!(text(&run(&mut with_library(&program)).stdout), FOUND);
}

#[test]
fn the_example_links_to_the_archive_alone() {
    let flags = pkg_config(&["--static", "--cflags", "--libs"]);
    let flags: Vec<String> = flags
        .into_iter()
        .map(|flag| if flag == "-lvkscan" { "-l:libvkscan.a".to_owned() } else { flag })
        .collect();
    let program = compile("scan-static", &["examples/c/scan.c"], &[], &flags);
    assert_eq!(text(&run(&mut Command::new(program)).stdout), FOUND);
}

#[test]
fn what_happens_is_captured() {
    if !Command::new("renderdoccmd").arg("version").output().is_ok_and(|run| run.status.success()) {
        // Past the test harness, which swallows what a passing test prints.
        let _ =
            writeln!(io::stderr().lock(), "NOT RUN: captures from C, for there is no renderdoccmd");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("captures");
    let _ = fs::remove_dir_all(&folder);
    let flags = pkg_config(&["--cflags", "--libs"]);
    let program = compile("capture", &["capi/tests/capture.c"], &[], &flags);
    let mut program = with_library(&program);
    let output = run(program.arg(&folder).env("ENABLE_VULKAN_RENDERDOC_CAPTURE", "1"));
    let files = fs::read_dir(&folder).expect("it was made").map(|file| file.unwrap().path());
    assert_eq!(files.collect::<Vec<_>>(), [PathBuf::from(text(&output.stdout).trim())]);
}

#[test]
fn the_shared_library_has_its_name_and_shows_its_own_functions_alone() {
    let library = prefix().join("lib/libvkscan.so");
    let dynamic = text(&run(Command::new("readelf").arg("-d").arg(&library)).stdout);
    assert!(dynamic.contains("Library soname: [libvkscan.so.0]"), "{dynamic}");
    let symbols =
        text(&run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library)).stdout);
    let names: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert!(names.len() > 60, "{symbols}");
    for name in names {
        assert!(name.starts_with("vkscan_") && GENERATED.contains(&format!("{name}(")), "{name}");
    }
}

#[test]
fn packages_are_put_together_elsewhere() {
    let stage = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stage");
    let _ = fs::remove_dir_all(&stage);
    prefix();
    let install = root().join("scripts/install-capi");
    run(Command::new(install).arg("/usr").env("DESTDIR", &stage).env("VKSCAN_PROFILE", "dev"));
    let package =
        fs::read_to_string(stage.join("usr/lib/pkgconfig/vkscan.pc")).expect("it is there");
    assert!(package.starts_with("prefix=/usr\n") && !package.contains('@'), "{package}");
    assert!(
        stage.join("usr/lib/libvkscan.so.0").exists()
            && stage.join("usr/include/vkscan.h").exists()
    );
    fs::remove_dir_all(&stage).expect("it is ours");
}

#[test]
fn wrong_use_is_refused_and_leaves_nothing() {
    let flags = pkg_config(&["--cflags", "--libs"]);
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-pthread"];
    let sources = [
        "misuse",
        "raw_device",
        "program",
        "recording",
        "semaphores",
        "memory",
        "external",
        "ring",
        "threads",
    ]
    .map(|name| format!("capi/tests/{name}.c"));
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let program = compile("misuse", &sources, &sanitizers, &flags);
    let suppressions = format!("suppressions={}", root().join("capi/tests/leaks.supp").display());
    let output = run(with_library(&program)
        .env("ASAN_OPTIONS", "detect_leaks=1")
        .env("LSAN_OPTIONS", format!("{suppressions}:print_suppressions=0"))
        .env("UBSAN_OPTIONS", "print_stacktrace=1"));
    assert_eq!(text(&output.stdout), "all is refused that is wrong, and nothing is left\n");
}
