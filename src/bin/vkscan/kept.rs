//! Files that are kept from one run to the next, beside those of other programs' caches.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use vkscan::DeviceSelector;

/// The folder that they are in, unless they are asked for elsewhere.
pub fn folder() -> io::Result<PathBuf> {
    let caches =
        dirs::cache_dir().ok_or_else(|| io::Error::other("there is no folder for caches"))?;
    Ok(caches.join("vkscan"))
}

/// What a device is called in the names of files, by how it is asked for.
pub fn of_device(device: Option<&DeviceSelector>) -> String {
    let of_environment = || std::env::var("VKSCAN_DEVICE").unwrap_or_else(|_| "default".to_owned());
    let name = device.map_or_else(of_environment, DeviceSelector::to_string);
    name.replace(|char: char| !char.is_ascii_alphanumeric(), "-")
}

/// The folder that a file is in, which is made if it is not there.
pub fn folder_of(path: &Path) -> io::Result<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    Ok(folder)
}

/// Puts JSON in the place of what is there, as [`replace`] does.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    replace(path, &text)
}

/// Puts a file in the place of what is there: whoever reads it meanwhile finds the one or the other. What is there and no file,
/// as a pipe, is written to.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = std::fs::metadata(path).ok();
    if before.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        return std::fs::write(path, bytes);
    }
    // Where a link leads to.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut builder = tempfile::Builder::new();
    // Of temporary files they would be for nobody else.
    #[cfg(unix)]
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(all);
    let mut file = builder.tempfile_in(folder_of(&path)?)?;
    file.write_all(bytes)?;
    if let Some(before) = before {
        file.as_file().set_permissions(before.permissions())?;
    }
    file.persist(path)?;
    Ok(())
}
