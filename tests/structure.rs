//! How the library is built: folders in one order, no file that imports what imports it, and none that is too long.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each may import from those before it, and from itself.
const ORDER: [&str; 7] = ["matches", "rules", "vulkan", "ceilings", "scan", "ring", "pool"];

/// Lines of a file, at most.
const MOST_LINES: usize = 700;

/// A module's path in the crate, such as `["scan", "frame", "upload"]`.
type Module = Vec<String>;

/// What each module of the product imports, by full paths; tests are left out.
fn imports() -> BTreeMap<Module, Vec<Module>> {
    let mut imports = BTreeMap::new();
    for file in files(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let module = module_of(&file);
        if is_for_tests(&module) {
            continue;
        }
        let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        imports
            .insert(module.clone(), uses(text).iter().map(|path| resolve(&module, path)).collect());
    }
    imports
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn module_of(file: &Path) -> Module {
    let path = file.strip_prefix("src").unwrap().with_extension("");
    let mut module: Module = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if ["mod", "lib"].contains(&module.last().unwrap().as_str()) {
        module.pop();
    }
    module
}

/// Modules that `cfg(test)` or another crate has.
fn is_for_tests(module: &[String]) -> bool {
    const FOLDERS: [&str; 6] = ["bin", "twin", "faults", "named", "narrowed", "soak"];
    const FILES: [&str; 8] =
        ["injected", "layer", "narrowing", "pretence", "testing", "told", "held_up", "tests"];

    module.first().is_some_and(|first| FOLDERS.contains(&first.as_str()))
        || module.iter().any(|name| FILES.contains(&name.as_str()))
}

/// The paths of all `use` declarations, braces taken apart, and those that begin with `crate` elsewhere.
fn uses(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let is_start = rest[..at]
            .rsplit('\n')
            .next()
            .is_some_and(|before| ["", "pub ", "pub(crate) ", "pub(super) "].contains(&before));
        rest = &rest[at + 4..];
        if is_start && let Some(end) = rest.find(';') {
            expand(&[], &rest[..end], &mut paths);
        }
    }
    // What is named in place.
    let code: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with("//")).collect();
    let code = code.join("\n");
    for (at, _) in code.match_indices("crate::") {
        let is_path = |char: char| char.is_alphanumeric() || char == '_' || char == ':';
        let path = code[at..].split(|char| !is_path(char)).next().unwrap();
        expand(&[], path.trim_end_matches(':'), &mut paths);
    }
    paths
}

fn expand(before: &[String], text: &str, paths: &mut Vec<Vec<String>>) {
    let text = text.trim();
    let names = |text: &str| -> Vec<String> {
        let names =
            text.split("::").map(|name| name.split(" as ").next().unwrap().trim().to_owned());
        names.filter(|name| !name.is_empty() && name != "self" && name != "*").collect()
    };
    match text.split_once('{') {
        None => paths.push([before, &names(text)].concat()),
        Some((prefix, list)) => {
            let before = [before, &names(prefix)].concat();
            let list = list.trim_end().strip_suffix('}').unwrap();
            let (mut depth, mut start) = (0, 0);
            for (at, char) in list.char_indices().chain([(list.len(), ',')]) {
                match char {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        if !list[start..at].trim().is_empty() {
                            expand(&before, &list[start..at], paths);
                        }
                        start = at + 1;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A path from the crate's root; empty if it leads out of the crate.
fn resolve(module: &[String], path: &[String]) -> Module {
    let mut at = module.to_vec();
    match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("super") => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            at.truncate(at.len() - ups);
            [&at[..], &path[ups..]].concat()
        }
        // A child of this module, or another crate: only what exists counts later.
        Some(_) => [&at[..], path].concat(),
        None => Vec::new(),
    }
}

#[test]
fn folders_import_in_one_order() {
    // What the crate's root shows is its folder's.
    let root = fs::read_to_string("src/lib.rs").unwrap();
    let shown: BTreeMap<String, String> = uses(&root)
        .into_iter()
        .filter(|path| path.len() == 2)
        .map(|path| (path[1].clone(), path[0].clone()))
        .collect();
    let rank = |name: &str| ORDER.iter().position(|folder| *folder == name);
    let mut seen = 0;
    for (module, imported) in imports() {
        let Some(own) = module.first().and_then(|name| rank(name)) else { continue };
        for path in imported.iter().filter(|path| !path.is_empty()) {
            let folder = shown.get(&path[0]).filter(|_| path.len() == 1).unwrap_or(&path[0]);
            if let Some(other) = rank(folder) {
                seen += 1;
                assert!(other <= own, "{} imports {}", module.join("::"), path.join("::"));
            }
        }
    }
    assert!(seen > 100, "{seen} imports were understood");
}

/// A module and those in it may know each other: that is how Rust shares what is private. And a device keeps, until it is
/// done with them, objects that hold a share in it.
#[test]
fn nothing_imports_what_imports_it() {
    let imports = imports();
    let modules: BTreeSet<&Module> = imports.keys().filter(|module| !module.is_empty()).collect();
    let target = |path: &Module| {
        (1..=path.len()).rev().map(|len| path[..len].to_vec()).find(|path| modules.contains(path))
    };
    let graveyard: Module = ["vulkan", "graveyard"].map(String::from).into();
    let is_family = |one: &Module, other: &Module| {
        one.starts_with(other) || other.starts_with(one) || *one == graveyard
    };
    let mut edges: BTreeMap<&Module, BTreeSet<Module>> = BTreeMap::new();
    for module in &modules {
        let targets = imports[*module].iter().filter_map(target);
        edges.insert(module, targets.filter(|to| !is_family(module, to)).collect());
    }
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 100);
    // What nothing is left to wait for goes, until nothing more can.
    loop {
        let left: BTreeSet<Module> = edges.keys().map(|module| (*module).clone()).collect();
        let before = edges.len();
        edges.retain(|_, targets| targets.iter().any(|target| left.contains(target)));
        if edges.len() == before {
            break;
        }
    }
    // What is left imports a circle, or is in one.
    let circles: Vec<String> = edges
        .iter()
        .map(|(module, targets)| {
            let targets =
                targets.iter().filter(|to| edges.contains_key(to)).map(|to| to.join("::"));
            format!("{} -> {}", module.join("::"), targets.collect::<Vec<_>>().join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    for file in files(Path::new("src")) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", file.display());
    }
}

#[test]
fn paths_are_understood() {
    let text = "use std::fs;\npub use a::{self, b::{C, D as E}, f};\nfn x() { let use_it = crate::h::I; }\nuse super::g::*;\n";
    let found: Vec<String> = uses(text).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["std::fs", "a", "a::b::C", "a::b::D", "a::f", "super::g", "crate::h::I"]);
    let module: Module = ["scan", "frame"].map(String::from).into();
    let resolved = |path: &str| {
        let path: Vec<String> = path.split("::").map(String::from).collect();
        resolve(&module, &path).join("::")
    };
    assert_eq!(resolved("super::ticket::Scan"), "scan::ticket::Scan");
    assert_eq!(resolved("crate::rules"), "rules");
}
