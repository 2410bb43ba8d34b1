//! One document, in SARIF 2.1.0: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use std::path::Path;

use serde_json::{Value, json};

use crate::findings::Finding;
use crate::inputs::{Commit, Origin};
use crate::rules::Rules;
use crate::terminal;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

#[derive(Default)]
pub struct Document {
    results: Vec<Value>,
}

impl Document {
    pub fn push(&mut self, rules: &Rules, origin: &Origin, finding: &Finding, digest: &str) {
        let name = rules.name(finding.rule);
        let uri = json!({ "uri": uri(&origin.path) });
        let mut location = json!({ "artifactLocation": uri });
        if let Some([begin, last]) = finding.places {
            // Columns here are code points, and the last is behind the match (section 3.30.8).
            location["region"] = json!({
                "startLine": begin.line,
                "startColumn": begin.character,
                "endLine": last.line,
                "endColumn": last.character + 1,
                "byteOffset": finding.start,
                "byteLength": finding.end - finding.start,
                "snippet": { "text": String::from_utf8_lossy(&finding.text) },
            });
        }
        let mut result = json!({
            "ruleId": name,
            "ruleIndex": finding.rule,
            "level": "error",
            "message": { "text": format!("{name} found here") },
            "locations": [{ "physicalLocation": location }],
            "partialFingerprints": { "ruleAndSecretSha256/v1": digest },
        });
        if let Some(commit) = &origin.commit {
            let Commit { id, author, email, date } = &**commit;
            result["properties"] =
                json!({ "commit": id, "author": author, "email": email, "date": date });
        }
        self.results.push(result);
    }

    /// The text of all of it.
    pub fn finish(self, rules: &Rules) -> String {
        let described = rules.iter().map(|(id, rule)| {
            let name = rules.name(id);
            let mut of = json!({
                "id": name,
                "shortDescription": { "text": rule.description.as_deref().unwrap_or(name) },
            });
            if !rule.tags.is_empty() {
                of["properties"] = json!({ "tags": rule.tags });
            }
            of
        });
        let document = json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": {
                    "driver": {
                        "name": "vkscan",
                        "version": env!("CARGO_PKG_VERSION"),
                        "semanticVersion": env!("CARGO_PKG_VERSION"),
                        "rules": described.collect::<Vec<_>>(),
                    },
                },
                "columnKind": "unicodeCodePoints",
                "results": self.results,
            }],
        });
        terminal::json(&document)
    }
}

/// A path as a relative reference, or a file's absolute address (RFC 3986, section 2).
fn uri(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "" });
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(byte.into())
            }
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_addresses() {
        assert_eq!(uri(Path::new("./a b/ü:1")), "a%20b/%C3%BC%3A1");
        if cfg!(unix) {
            assert_eq!(uri(Path::new("/a/b")), "file:///a/b");
        }
    }
}
