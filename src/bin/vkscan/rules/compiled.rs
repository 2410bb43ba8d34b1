//! Compiled rules, kept from one run to the next in the folder for caches: by what they were compiled from, and with.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use vkscan::{BuildError, PipelineOptions, RulePipeline};

use crate::{kept, terminal};

/// Sets of rules that are kept, at most.
const MOST_FILES: usize = 16;

const PREFIX: &str = "rules-";

/// Compiles rules, or takes what they were compiled to before.
pub fn compile(
    patterns: &[&str],
    options: &PipelineOptions,
) -> Result<RulePipeline, Vec<BuildError>> {
    let path = match kept::folder() {
        Ok(folder) => folder.join(format!("{PREFIX}{}.vkscan", key(patterns, options))),
        Err(error) => {
            tracing::debug!("compiled rules are not kept: {error}");
            return RulePipeline::compile(patterns, options.clone());
        }
    };
    if let Some(pipeline) = read(&path, patterns, options) {
        return Ok(pipeline);
    }
    let pipeline = RulePipeline::compile(patterns, options.clone())?;
    if let Err(error) = write(&path, &pipeline.to_bytes()) {
        tracing::info!("compiled rules are not kept: {}: {error}", terminal::path(&path));
    }
    Ok(pipeline)
}

/// A name for all that compiling depends on.
fn key(patterns: &[&str], options: &PipelineOptions) -> String {
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    // Another build may compile them otherwise.
    if let Ok(metadata) = env::current_exe().and_then(fs::metadata) {
        hash.update(format!("{} {:?}", metadata.len(), metadata.modified().ok()));
    }
    hash.update(format!("{options:?}"));
    for pattern in patterns {
        hash.update((pattern.len() as u64).to_le_bytes());
        hash.update(pattern);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What is in a file, if that is what it is said to be.
fn read(path: &Path, patterns: &[&str], options: &PipelineOptions) -> Option<RulePipeline> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!("{}: {error}; the rules are compiled again", terminal::path(path));
            return None;
        }
    };
    match RulePipeline::from_bytes(&bytes) {
        Ok(pipeline)
            if pipeline.options() == options
                && pipeline.patterns().eq(patterns.iter().copied()) =>
        {
            // So that what is used stays.
            let touched = fs::File::options().append(true).open(path);
            let _ = touched.and_then(|file| file.set_modified(SystemTime::now()));
            Some(pipeline)
        }
        Ok(_) => {
            tracing::warn!(
                "{}: these are other rules; they are compiled again",
                terminal::path(path)
            );
            None
        }
        Err(error) => {
            tracing::warn!("{}: {error}", terminal::path(path));
            None
        }
    }
}

/// Puts a file in the place of what is there, and leaves out those that were used longest ago.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    kept::replace(path, bytes)?;
    let folder = kept::folder_of(path)?;
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    files.sort();
    let too_many = files.len().saturating_sub(MOST_FILES);
    files[..too_many].iter().try_for_each(|(_, path)| fs::remove_file(path))
}
