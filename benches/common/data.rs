//! The folder of rules and haystacks: `VKSCAN_DATA`, or `../shared/data` without it.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::Result;

pub fn folder() -> PathBuf {
    std::env::var_os("VKSCAN_DATA").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into(),
        PathBuf::from,
    )
}

/// The patterns of a rule file, there or beside the benchmarks.
pub fn patterns(rules: &str) -> Result<Vec<String>> {
    let name = format!("rules/{rules}.regex");
    let own = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches")).join(&name);
    let path = if own.exists() { own } else { folder().join(name) };
    let text = String::from_utf8(read(&path)?)?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The first bytes of a haystack, as many as asked for if it has them.
pub fn unpacked(haystack: &str, bytes: usize) -> Result<Vec<u8>> {
    let packed = read(&folder().join(format!("haystacks/{haystack}.xz")))?;
    let unpacking = xz4rust::XzReader::new(std::io::Cursor::new(packed));
    let mut unpacked = Vec::new();
    unpacking.take(bytes as u64).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// So many bytes, repeated as often as needed.
pub fn tiled(whole: &[u8], bytes: usize) -> Vec<u8> {
    let mut tiled = whole.repeat(bytes.div_ceil(whole.len()));
    tiled.truncate(bytes);
    tiled
}

/// A haystack's name without its size, which says nothing where it is cut or repeated.
pub fn without_size(haystack: &str) -> &str {
    let stem = haystack.split('.').next().unwrap_or_default();
    stem.trim_end_matches(|c: char| c.is_ascii_digit() || "-M".contains(c))
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}
