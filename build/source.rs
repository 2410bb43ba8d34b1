//! The kernels' source files, their includes, and a hash over both.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One `shaders/*.comp`.
pub struct Kernel {
    /// The file's stem.
    pub name: String,
    pub path: PathBuf,
    /// FNV-1a over the file's text and over every included file's name and text.
    pub hash: u64,
}

/// All kernels, by name.
pub fn kernels() -> Result<Vec<Kernel>, String> {
    let folder = fs::read_dir("shaders").map_err(|error| format!("shaders: {error}"))?;
    let mut paths: Vec<PathBuf> = folder
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "comp"))
        .collect();
    paths.sort();
    paths.into_iter().map(kernel).collect()
}

fn kernel(path: PathBuf) -> Result<Kernel, String> {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
    let is_identifier = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !is_identifier {
        return Err(format!(
            "{}: a kernel's file name becomes a Rust name, so it is in snake case",
            path.display()
        ));
    }
    let text = read(&path)?;
    let mut included = BTreeSet::new();
    find_includes(&path, &text, &mut included)?;
    let mut hash = fnv(0xcbf2_9ce4_8422_2325, text.as_bytes());
    for include in included {
        hash = fnv(hash, include.as_bytes());
        hash = fnv(hash, read(&include_path(&include))?.as_bytes());
    }
    Ok(Kernel { name, path, hash })
}

/// Where `#include "name"` finds its file.
pub fn include_path(name: &str) -> PathBuf {
    Path::new("shaders/include").join(name)
}

pub fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn find_includes(path: &Path, text: &str, found: &mut BTreeSet<String>) -> Result<(), String> {
    for (index, line) in text.lines().enumerate() {
        let Some(name) = line.trim().strip_prefix("#include") else {
            continue;
        };
        let name = name.split('"').nth(1).unwrap_or_default();
        if found.insert(name.to_string()) {
            let include = include_path(name);
            let text = read(&include)
                .map_err(|error| format!("{}:{}: {error}", path.display(), index + 1))?;
            find_includes(&include, &text, found)?;
        }
    }
    Ok(())
}

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
