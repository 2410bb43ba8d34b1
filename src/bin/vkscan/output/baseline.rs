//! Findings that are known already, and are not told again: each by its rule and its secret, of which only a digest is kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ResultsError;
use crate::kept;

/// The version of the form that is written here.
const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    findings: Vec<Known>,
}

/// A finding. Where it was found says nothing about what it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    rule: String,
    /// SHA-256 of the secret, in hexadecimal digits.
    secret_sha256: String,
    /// Where it was found first.
    path: String,
}

#[derive(Default)]
pub struct Baseline {
    findings: Vec<Known>,
    known: BTreeSet<(String, String)>,
}

impl Known {
    pub fn new(rule: &str, secret: &[u8], path: &Path) -> Known {
        let digest = Sha256::digest(secret);
        let secret_sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Known { rule: rule.to_owned(), secret_sha256, path: path.to_string_lossy().into_owned() }
    }

    /// What it is by.
    fn key(&self) -> (String, String) {
        (self.rule.clone(), self.secret_sha256.clone())
    }

    pub fn secret_sha256(&self) -> &str {
        &self.secret_sha256
    }
}

impl Baseline {
    pub fn read(path: &Path) -> Result<Baseline, ResultsError> {
        let error = |reason: String| ResultsError::new(path, reason);
        let text = fs::read_to_string(path).map_err(|reason| error(reason.to_string()))?;
        let file: File = serde_json::from_str(&text).map_err(|reason| {
            error(format!("this is no baseline that --write-baseline wrote: {reason}"))
        })?;
        if file.version != VERSION {
            return Err(error(format!(
                "this baseline has version {}, and {VERSION} is read",
                file.version
            )));
        }
        let mut baseline = Baseline::default();
        file.findings.into_iter().for_each(|known| baseline.insert(known));
        Ok(baseline)
    }

    pub fn contains(&self, finding: &Known) -> bool {
        self.known.contains(&finding.key())
    }

    pub fn insert(&mut self, finding: Known) {
        if self.known.insert(finding.key()) {
            self.findings.push(finding);
        }
    }

    /// Writes it in the place of what is there, all of it or none.
    pub fn write(&self, path: &Path) -> Result<(), ResultsError> {
        let mut findings = self.findings.clone();
        findings.sort_by_key(Known::key);
        let written = kept::write(path, &File { version: VERSION, findings });
        written.map_err(|reason| ResultsError::new(path, reason))
    }
}
