//! The SPIR-V kept in `shaders/spirv`, for builds without a shader compiler. `SOURCES` there has a line a
//! kernel, the hash of its sources and its name, so that stale SPIR-V is noticed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::Kernel;

const SOURCES: &str = "shaders/spirv/SOURCES";

/// The kept SPIR-V of every kernel, if it was made from these sources.
#[cfg(not(feature = "compile-shaders"))]
pub fn load(kernels: &[Kernel]) -> Result<Vec<Vec<u32>>, String> {
    if crate::source::read(Path::new(SOURCES))? != sources_text(kernels) {
        return Err("shaders/spirv was made from other sources than those in shaders: run scripts/update-spirv".into());
    }
    kernels.iter().map(|kernel| read_words(&spirv_path(&kernel.name))).collect()
}

/// Replaces the kept SPIR-V with what was just compiled from `kernels`.
#[cfg(feature = "compile-shaders")]
pub fn update(kernels: &[Kernel], compiled: &[Vec<u32>]) -> Result<(), String> {
    let folder = Path::new(SOURCES).parent().expect("SOURCES is in a folder");
    let write = || {
        let _ = fs::remove_dir_all(folder); // kernels that are no more
        fs::create_dir(folder)?;
        for (kernel, words) in kernels.iter().zip(compiled) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            fs::write(spirv_path(&kernel.name), bytes)?;
        }
        fs::write(SOURCES, sources_text(kernels))
    };
    write().map_err(|error| format!("{}: {error}", folder.display()))
}

fn sources_text(kernels: &[Kernel]) -> String {
    kernels.iter().map(|kernel| format!("{:016x}  {}\n", kernel.hash, kernel.name)).collect()
}

fn spirv_path(name: &str) -> PathBuf {
    PathBuf::from(format!("shaders/spirv/{name}.spv"))
}

#[cfg(not(feature = "compile-shaders"))]
fn read_words(path: &Path) -> Result<Vec<u32>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let words =
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    Ok(words.collect())
}
