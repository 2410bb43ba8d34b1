//! Files that are kept from one run to the next, beside those of other programs' caches.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The folder that they are in, unless they are asked for elsewhere.
pub fn folder() -> io::Result<PathBuf> {
    let caches =
        dirs::cache_dir().ok_or_else(|| io::Error::other("there is no folder for caches"))?;
    Ok(caches.join("vkscan"))
}

/// The folder that a file is in, which is made if it is not there.
pub fn folder_of(path: &Path) -> io::Result<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    Ok(folder)
}

/// Puts JSON in the place of what is there: whoever reads it meanwhile finds the one or the other.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder_of(path)?)?;
    serde_json::to_writer_pretty(&mut file, value)?;
    file.persist(path)?;
    Ok(())
}
