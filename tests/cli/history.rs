//! What a git repository's history has. The repositories are made by git itself.

use super::*;

const SECRET: &str = r"key_[a-z0-9]{8}";

/// A repository that a test makes.
struct Repository {
    folder: Folder,
    /// Seconds, by which each commit is older than the next.
    now: u64,
}

impl Repository {
    fn new() -> Repository {
        let repository = Repository { folder: Folder::new(), now: 1_600_000_000 };
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        // Nothing but what is asked for here has a say.
        git.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        git.env("HOME", self.folder.0.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        let date = format!("{} +0100", self.now);
        git.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Ann O. Ther");
            git.env(format!("GIT_{role}_EMAIL"), "ann@example.com");
        }
        let output = git.arg("-C").arg(self.folder.0.path()).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits all that is there, and gives the commit.
    fn commit(&mut self) -> String {
        self.now += 100;
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.folder.write(name, bytes);
    }

    fn scan(&self, args: &[&str]) -> Command {
        let mut scan = vkscan();
        scan.args(["scan", "-e", SECRET, "--json"]).args(args).current_dir(self.folder.0.path());
        scan
    }

    /// The commit, path, line and text of all findings, in the order in which they come.
    fn found(&self, args: &[&str]) -> Vec<(String, String, u64, String)> {
        of(&records(scan_stdout(0, &mut self.scan(args)).as_bytes()))
    }
}

fn of(records: &[Value]) -> Vec<(String, String, u64, String)> {
    let text = |record: &Value, key| record[key].as_str().unwrap().to_owned();
    let of = |record: &Value| {
        let line = record["line"].as_u64().unwrap();
        (text(record, "commit"), text(record, "path"), line, text(record, "text"))
    };
    records.iter().map(of).collect()
}

/// These fields of all findings; those without one have none.
fn fields<const N: usize>(stdout: &[u8], keys: [&str; N]) -> Vec<[String; N]> {
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    records(stdout).iter().map(|record| keys.map(|key| text(record, key))).collect()
}

fn finding(commit: &str, path: &str, line: u64, text: &str) -> (String, String, u64, String) {
    (commit.to_owned(), path.to_owned(), line, text.to_owned())
}

#[test]
fn each_finding_is_told_once_with_the_commit_that_brought_it() {
    let mut repository = Repository::new();
    repository.write("a.txt", "one\nkey_aaaaaaaa\n");
    let first = repository.commit();
    // Other lines, another secret, the first one twice, and one less.
    repository.write("a.txt", "zero\none\nkey_aaaaaaaa\n");
    repository.commit();
    repository.write("a.txt", "zero\nkey_bbbbbbbb\none\nkey_aaaaaaaa\n");
    let second = repository.commit();
    repository.write("a.txt", "key_aaaaaaaa!\nkey_bbbbbbbb\none\nkey_aaaaaaaa\n");
    let third = repository.commit();
    repository.write("a.txt", "key_bbbbbbbb\n");
    repository.commit();
    // Moved as it is; moved and changed; copied as it is; and copied with a change, which is another file's own.
    fs::create_dir(repository.folder.path("sub")).unwrap();
    repository.git(&["mv", "a.txt", "sub/b.txt"]);
    repository.commit();
    repository.git(&["mv", "sub/b.txt", "c.txt"]);
    repository.write("c.txt", "moved\nkey_bbbbbbbb\n");
    repository.commit();
    repository.write("d.txt", "moved\nkey_bbbbbbbb\n");
    repository.commit();
    repository.write("e.txt", "not moved\nkey_bbbbbbbb\n");
    let copied = repository.commit();
    // Binary, and a link to what is a secret.
    repository.write("binary", b"key_cccccccc\0");
    std::os::unix::fs::symlink("key_dddddddd", repository.folder.path("link")).unwrap();
    let link = repository.commit();
    let expected = [
        finding(&first, "a.txt", 2, "key_aaaaaaaa"),
        finding(&second, "a.txt", 2, "key_bbbbbbbb"),
        finding(&third, "a.txt", 1, "key_aaaaaaaa"),
        finding(&copied, "e.txt", 2, "key_bbbbbbbb"),
        finding(&link, "link", 1, "key_dddddddd"),
    ];
    assert_eq!(repository.found(&["--git"]), expected);
    // However it is kept.
    repository.git(&["gc", "-q", "--aggressive", "--prune=now"]);
    assert_eq!(repository.found(&["--git"]), expected);
    let mut with_binary = expected.to_vec();
    with_binary.insert(4, finding(&link, "binary", 1, "key_cccccccc"));
    assert_eq!(repository.found(&["--git", "-a"]), with_binary);
    // From a folder in it only that, and in a bare one all.
    assert_eq!(repository.scan(&["--git", "--", "sub"]).status().unwrap().code(), Some(0));
    let bare = Folder::new();
    let path = bare.0.path().to_str().unwrap();
    repository.git(&["clone", "-q", "--bare", ".", path]);
    assert_eq!(repository.found(&["--git", "HEAD", path]), expected);

    let records = records(scan_stdout(0, &mut repository.scan(&["--git"])).as_bytes());
    let told = ["author", "email", "date"].map(|key| records[0][key].as_str().unwrap());
    assert_eq!(told, ["Ann O. Ther", "ann@example.com", "2020-09-13T13:28:20+01:00"]);
    let scan = |args: &[&str]| {
        let mut scan = vkscan();
        scan.args(["scan", "-e", SECRET, "--git"])
            .args(args)
            .current_dir(repository.folder.0.path());
        scan_stdout(0, &mut scan)
    };
    let text = scan(&[]);
    let line = format!("2020-09-13 {}:a.txt:2:1: {SECRET}: key_aaaaaaaa", &first[..12]);
    assert_eq!(text.lines().next(), Some(&*line));
    assert_eq!(scan(&["-c"]).lines().next(), Some(&*format!("{}:a.txt:1", &first[..12])));
    let sarif: Value = serde_json::from_str(&scan(&["--format", "sarif"])).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["properties"]["commit"], first);
}

#[test]
fn merges_bring_what_neither_side_had() {
    let mut repository = Repository::new();
    repository.write("a", "key_aaaaaaaa\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let base = repository.commit();
    repository.git(&["checkout", "-q", "-b", "side"]);
    repository.write("a", "key_aaaaaaaa\n1\n2\n3\n4\n5\n6\n7\n8\n9\nkey_bbbbbbbb\n");
    let side = repository.commit();
    repository.git(&["checkout", "-q", "main"]);
    repository.write("a", "key_cccccccc\nkey_aaaaaaaa\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let main = repository.commit();
    repository.now += 100;
    repository.git(&["merge", "-q", "--no-commit", "side"]);
    repository.write("merged", "key_eeeeeeee\n");
    let merge = repository.commit();
    assert_eq!(repository.git(&["show", "-s", "--format=%P"]).len(), 81);
    repository.git(&["branch", "-q", "-D", "side"]);
    // Only a tag leads there.
    repository.git(&["checkout", "-q", "--detach", &base]);
    repository.write("tagged", "key_ffffffff\n");
    let tagged = repository.commit();
    repository.git(&["tag", "-a", "-m", "tag", "v1"]);
    repository.git(&["checkout", "-q", "main"]);
    let [a, b, c, e, f] = ["a", "b", "c", "e", "f"].map(|of| format!("key_{}", of.repeat(8)));
    let expected = [
        finding(&base, "a", 1, &a),
        finding(&side, "a", 11, &b),
        finding(&main, "a", 1, &c),
        finding(&merge, "merged", 1, &e),
        finding(&tagged, "tagged", 1, &f),
    ];
    assert_eq!(repository.found(&["--git"]), expected);
    assert_eq!(repository.found(&["--git", "main"]), expected[..4]);
    assert_eq!(repository.found(&["--git", &format!("{base}..main")]), expected[1..4]);
    assert_eq!(
        repository.found(&["--git", &format!("{main}..")]),
        [expected[1].clone(), expected[3].clone()]
    );
    assert_eq!(repository.found(&["--git", "v1...main"]), expected[1..]);
    assert_eq!(repository.found(&["--git", "main^!"]), expected[3..4]);
    assert_eq!(repository.found(&["--git", "main^@"]), expected[..3]);
    assert_eq!(repository.found(&["--git", "^main"]), expected[4..]);
    assert_eq!(scan_stdout(1, &mut repository.scan(&["--git", "main..main"])), "");
    let wrong = scan_error(&mut repository.scan(&["--git", "nowhere"]));
    assert!(wrong.contains("nowhere is no range of commits: "), "{wrong}");
    // What takes its place is a range.
    let wrong = scan_error(&mut repository.scan(&["--git", "merged"]));
    assert!(wrong.contains("--git stands behind the path of a repository"), "{wrong}");
}

#[test]
fn a_range_has_what_it_brought() {
    let mut repository = Repository::new();
    repository.write("old", "key_aaaaaaaa\n");
    repository.write("other", "key_bbbbbbbb\n");
    let base = repository.commit();
    // Only lines around it, a new place for it, and another beside.
    repository.write("old", "line\nkey_aaaaaaaa\n");
    repository.commit();
    repository.git(&["mv", "other", "moved"]);
    repository.write("moved", "line\nkey_bbbbbbbb\n");
    repository.commit();
    repository.git(&["mv", "moved", "once more"]);
    let moved = repository.commit();
    let range = format!("{base}..");
    assert_eq!(scan_stdout(1, &mut repository.scan(&["--git", &range])), "");
    // What two paths had alike, each with a line of its own.
    repository.write("one", "key_cccccccc\n");
    repository.write("other one", "key_cccccccc\n");
    let alike = repository.commit();
    repository.write("one", "key_cccccccc\n1\n");
    repository.write("other one", "key_cccccccc\n2\n");
    repository.commit();
    assert_eq!(scan_stdout(1, &mut repository.scan(&["--git", &format!("{alike}..")])), "");
    repository.git(&["rm", "-q", "one", "other one"]);
    repository.git(&["reset", "-q", "--hard", &moved]);
    repository.write("old", "line\nkey_aaaaaaaa key_aaaaaaaa\n");
    let twice = repository.commit();
    let expected = [finding(&twice, "old", 2, "key_aaaaaaaa")];
    assert_eq!(repository.found(&["--git", &range]), expected);
    assert_eq!(repository.found(&["--git", &format!("{moved}..")]), expected);
    assert_eq!(repository.found(&["--git"]).len(), 3);
}

#[test]
fn rules_look_at_paths_and_commits() {
    let mut repository = Repository::new();
    repository.write("a.txt", "key_aaaaaaaa\n");
    repository.write("b.txt", "key_bbbbbbbb\n");
    let allowed = repository.commit();
    // The same blob where a rule looks.
    repository.git(&["mv", "a.txt", "a.env"]);
    let moved = repository.commit();
    repository.write("c.txt", "key_cccccccc\n");
    let last = repository.commit();
    let rules = format!(
        "[allowlist]\ncommits = ['{allowed}']\n[[rules]]\nid = 'env'\nregex = '{SECRET}'\npath = '\\.env$'\n\
         [[rules]]\nid = 'any'\nregex = 'key_[bc]+'\n[[rules]]\nid = 'file'\npath = '\\.(env|txt)$'\n"
    );
    let rules_file = Folder::new();
    let mut scan = vkscan();
    scan.args(["scan", "--json", "--git", "-r"]).arg(rules_file.write("rules.toml", rules));
    let stdout = scan_stdout(0, scan.current_dir(repository.folder.0.path()));
    let told = fields(stdout.as_bytes(), ["commit", "path", "rule", "text"]);
    let expected = [
        [&moved, "a.env", "file", ""],
        [&moved, "a.env", "env", "key_aaaaaaaa"],
        [&last, "c.txt", "file", ""],
        [&last, "c.txt", "any", "key_cccccccc"],
    ];
    assert_eq!(told, expected.map(|of: [&str; 4]| of.map(str::to_owned)));
}

/// What a rule does not look at, or a commit leaves out, is no less known for that; and a rule that looks at it where it is then
/// finds it anew.
#[test]
fn what_is_known_depends_on_rules() {
    let mut repository = Repository::new();
    repository.write("a.txt", "key_aaaaaaaa\n");
    repository.write("test/fixture", "key_ffffffff\n");
    repository.write("x/.empty", "");
    let allowed = repository.commit();
    // Only another line of it.
    repository.write("a.txt", "line\nkey_aaaaaaaa\n");
    let edited = repository.commit();
    // On one branch it moves, on the other it is edited.
    repository.git(&["checkout", "-q", "-b", "side"]);
    repository.git(&["mv", "a.txt", "b.txt"]);
    repository.commit();
    repository.git(&["checkout", "-q", "main"]);
    repository.write("a.txt", "line\nline\nkey_aaaaaaaa\n");
    repository.commit();
    repository.write("src/copied", "key_ffffffff\n");
    repository.write("y/.empty", "");
    let copied = repository.commit();
    let rules = Folder::new();
    let rules = rules.write(
        "rules.toml",
        format!(
            "[[rules]]\nid = 'any'\nregex = '{SECRET}'\n[[rules.allowlists]]\ncommits = ['{allowed}']\n\
             [[rules.allowlists]]\npaths = ['^test/']\n[[rules]]\nid = 'empty'\npath = '\\.empty$'\n"
        ),
    );
    let scan = |range: &str| {
        let mut scan = vkscan();
        scan.args(["scan", "--json", "-r"]).arg(&rules).args(["--git", range]);
        let (_, output) = run(scan.current_dir(repository.folder.0.path()));
        fields(&output.stdout, ["commit", "path", "rule"])
    };
    let own = |of: &[[&str; 3]]| -> Vec<[String; 3]> {
        of.iter().map(|of| of.map(str::to_owned)).collect()
    };
    let new = [[&copied, "src/copied", "any"], [&copied, "y/.empty", "empty"]];
    let all = [&[[&*allowed, "x/.empty", "empty"]][..], &new].concat();
    assert_eq!(scan("main"), own(&all));
    assert_eq!(scan("side"), own(&all[..1]));
    assert_eq!(scan(&format!("{edited}..main")), own(&new));
    assert_eq!(scan(&format!("{allowed}..main")), own(&new));
}

#[test]
fn archives_have_a_history_too() {
    let mut repository = Repository::new();
    let archive = |members: &[(&str, &str)]| {
        let members: Vec<(&str, &[u8])> =
            members.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        sources::zip(&members)
    };
    let [a, b] = ["key_aaaaaaaa\n", "key_bbbbbbbb\n"];
    repository.write("one.zip", archive(&[("x/.env", a), ("y/.env", b)]));
    let first = repository.commit();
    // Moved as it is, and then changed; and moved and changed at once.
    repository.git(&["mv", "one.zip", "two.zip"]);
    repository.commit();
    repository.write("two.zip", archive(&[("more", "text"), ("x/.env", a), ("y/.env", b)]));
    repository.commit();
    repository.git(&["mv", "two.zip", "three.zip"]);
    repository.write("three.zip", archive(&[("x/.env", a), ("y/.env", b), ("z", a)]));
    let last = repository.commit();
    let expected = [
        finding(&first, "one.zip!x/.env", 1, a.trim_end()),
        finding(&first, "one.zip!y/.env", 1, b.trim_end()),
        finding(&last, "three.zip!z", 1, a.trim_end()),
    ];
    assert_eq!(repository.found(&["--git", "-z"]), expected);
    assert_eq!(scan_stdout(1, &mut repository.scan(&["--git"])), "");
    let mut of_path = vkscan();
    let rules = Folder::new();
    let rules = rules.write("rules.toml", "[[rules]]\nid = 'zip'\npath = '\\.zip$'\n");
    of_path.args(["scan", "--json", "-z", "-r"]).arg(rules).arg("--git");
    let stdout = scan_stdout(0, of_path.current_dir(repository.folder.0.path()));
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
}

#[test]
fn what_is_missing_is_told_and_the_rest_is_scanned() {
    let mut repository = Repository::new();
    repository.write("a", "key_aaaaaaaa\n");
    let first = repository.commit();
    repository.write("b", "key_bbbbbbbb\n");
    repository.write("sub/c", "key_cccccccc\n");
    let second = repository.commit();
    let object =
        |id: &str| repository.folder.path(&format!(".git/objects/{}/{}", &id[..2], &id[2..]));
    let expected = |of: &[(&str, &str)]| -> Vec<_> {
        let texts = of.iter().map(|(path, text)| {
            finding(
                if *path == "a" { &first } else { &second },
                path,
                1,
                &format!("key_{}", text.repeat(8)),
            )
        });
        texts.collect()
    };
    let scan = || {
        let (code, output) = run(&mut repository.scan(&["--git"]));
        assert_eq!(code, 2, "{}", stderr(&output));
        (of(&records(&output.stdout)), stderr(&output))
    };
    let lose = |what: &str| {
        let id = repository.git(&["rev-parse", what]);
        let bytes = fs::read(object(&id)).unwrap();
        fs::remove_file(object(&id)).unwrap();
        (id, bytes)
    };
    let back = |(id, bytes): (String, Vec<u8>)| fs::write(object(&id), bytes).unwrap();
    let blob = lose("HEAD:b");
    let (found, told) = scan();
    assert_eq!(found, expected(&[("a", "a"), ("sub/c", "c")]));
    let fault = format!("{}:b: the blob {} is missing in the repository", &second[..12], blob.0);
    assert!(told.contains(&fault), "{told}");
    back(blob);
    let tree = lose("HEAD:sub");
    let (found, told) = scan();
    assert_eq!(found, expected(&[("a", "a"), ("b", "b")]));
    assert!(
        told.contains(&format!("{}:sub: the tree {} is missing", &second[..12], tree.0)),
        "{told}"
    );
    // Damaged.
    fs::write(object(&tree.0), "no object").unwrap();
    let (found, told) = scan();
    assert_eq!(found, expected(&[("a", "a"), ("b", "b")]));
    assert!(told.contains(&format!("the tree {} cannot be read: ", tree.0)), "{told}");
    fs::remove_file(object(&tree.0)).unwrap();
    back(tree);
    let commit = lose("HEAD^");
    let (found, told) = scan();
    let all: Vec<String> = found.into_iter().map(|(_, path, ..)| path).collect();
    assert_eq!(all, ["a", "b", "sub/c"]);
    assert!(told.contains(&format!("the commit {first} is missing")), "{told}");
    back(commit);
    // A reference that leads nowhere, and one to no commit.
    repository.write(".git/refs/heads/broken", format!("{}\n", "1".repeat(40)));
    let (found, told) = scan();
    assert_eq!(found.len(), 3);
    assert!(told.contains("refs/heads/broken leads nowhere: "), "{told}");
    let (code, output) = run(&mut repository.scan(&["--git", "^HEAD"]));
    assert!(code == 2 && stderr(&output).contains("refs/heads/broken"), "{}", stderr(&output));
    fs::remove_file(repository.folder.path(".git/refs/heads/broken")).unwrap();
    // What a remote called its main branch may be gone.
    repository.write(".git/refs/remotes/origin/HEAD", "ref: refs/remotes/origin/gone\n");
    assert_eq!(repository.found(&["--git"]).len(), 3);
    repository.write(".git/HEAD", format!("{}\n", "1".repeat(40)));
    let (_, told) = scan();
    assert!(told.contains("HEAD leads nowhere: "), "{told}");
    repository.write(".git/HEAD", "ref: refs/heads/main\n");

    let empty = Folder::new();
    let path = empty.0.path().to_str().unwrap();
    let wrong = scan_error(&mut repository.scan(&["--git", "--", path]));
    assert!(wrong.contains(path), "{wrong}");
    let wrong = scan_error(&mut repository.scan(&["--git", "--", "a", "b"]));
    assert!(wrong.contains("one repository at a time"), "{wrong}");
    let wrong = scan_error(&mut repository.scan(&["--git", "--hidden"]));
    assert!(wrong.contains("cannot be used with"), "{wrong}");
}

#[test]
fn a_shallow_clone_ends_where_it_was_cut_off() {
    let mut repository = Repository::new();
    repository.write("a", "key_aaaaaaaa\n");
    repository.commit();
    repository.write("b", "key_bbbbbbbb\n");
    let last = repository.commit();
    let clone = Folder::new();
    let (from, path) = (
        format!("file://{}", repository.folder.0.path().display()),
        clone.0.path().to_str().unwrap(),
    );
    repository.git(&["clone", "-q", "--depth", "1", &from, path]);
    let expected = [finding(&last, "a", 1, "key_aaaaaaaa"), finding(&last, "b", 1, "key_bbbbbbbb")];
    assert_eq!(repository.found(&["--git", "--", path]), expected);
    assert_eq!(repository.found(&["--git", "HEAD^!", "--", path]), expected);
}

/// Tags may lead to what no commit has, and what is replaced is what others get.
#[test]
fn what_only_references_lead_to_is_scanned() {
    let mut repository = Repository::new();
    repository.write("a", "key_aaaaaaaa\n");
    let first = repository.commit();
    repository.write("tree", "key_bbbbbbbb\n");
    repository.git(&["add", "-A"]);
    let tree = repository.git(&["write-tree"]);
    repository.git(&["tag", "tree", &tree]);
    repository.write("blob", "key_cccccccc\n");
    let blob = repository.git(&["hash-object", "-w", "blob"]);
    repository.git(&["tag", "blob", &blob]);
    repository.write("clean", "nothing\n");
    let clean = repository.git(&["hash-object", "-w", "clean"]);
    repository.git(&["replace", "HEAD:a", &clean]);
    let stdout = scan_stdout(0, &mut repository.scan(&["--git"]));
    let told = fields(stdout.as_bytes(), ["commit", "path", "text"]);
    let expected = [
        [&*first, "a", "key_aaaaaaaa"],
        ["", "refs/tags/blob", "key_cccccccc"],
        ["", "tree", "key_bbbbbbbb"],
    ];
    assert_eq!(told, expected.map(|of| of.map(str::to_owned)));
}

/// By what git itself says of this repository.
#[test]
fn all_texts_are_told_where_they_came() {
    const PATTERN: &str = r"\bfn [a-z_]*scan[a-z_]*\b";

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = |args: &[&str], stdin: &[u8]| {
        let (code, output) = run_with(Command::new("git").arg("-C").arg(root).args(args), stdin);
        (code == 0).then_some(output.stdout)
    };
    let Some(commits) = git(&["rev-list", "--all", "--objects", "--no-object-names"], b"") else {
        eprintln!(
            "NOT RUN: this is no git repository, as it is where it was unpacked from an archive"
        );
        return;
    };
    let regex = RegexBuilder::new(PATTERN).unicode(false).build().unwrap();
    let texts = |bytes: &[u8]| -> Vec<String> {
        let is_binary = bytes[..bytes.len().min(8 << 10)].contains(&0);
        let found = regex.find_iter(if is_binary { b"" } else { bytes });
        found.map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned()).collect()
    };
    let all = git(&["cat-file", "--batch=%(objecttype) %(objectsize)"], &commits).unwrap();
    let mut expected = std::collections::BTreeSet::new();
    let mut rest = &all[..];
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let (kind, bytes) = head.split_once(' ').unwrap();
        let (object, left) = rest[end + 1..].split_at(bytes.parse().unwrap());
        if kind == "blob" {
            expected.extend(texts(object));
        }
        rest = &left[1..];
    }
    let mut scan = vkscan();
    scan.args(["scan", "--json", "-e", PATTERN, "--git"]).current_dir(root);
    let told = of(&records(scan_stdout(0, &mut scan).as_bytes()));
    assert!(expected.len() > 10, "{expected:?}");
    let found: std::collections::BTreeSet<_> = told.iter().map(|(.., text)| text.clone()).collect();
    assert_eq!(found, expected);
    let version = |commit: &str, path: &str| {
        git(&["show", &format!("{commit}:{path}")], b"").unwrap_or_default()
    };
    let count = |bytes: &[u8], text: &str| texts(bytes).iter().filter(|of| *of == text).count();
    // Some of them, for each takes a moment.
    for (commit, path, line, text) in told.iter().step_by(told.len().div_ceil(60)) {
        let own = version(commit, path);
        let lines: Vec<&[u8]> = own.split(|&byte| byte == b'\n').collect();
        assert!(count(lines[*line as usize - 1], text) > 0, "{commit}:{path}:{line} {text}");
        let parents = git(&["rev-list", "--parents", "-n1", commit], b"").unwrap();
        for parent in std::str::from_utf8(&parents).unwrap().split_whitespace().skip(1) {
            let before = version(parent, path);
            assert!(count(&before, text) < count(&own, text), "{commit}:{path} {text}");
        }
    }
}
