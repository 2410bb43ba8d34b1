//! What users can name, kept in `docs/public-api.txt`: a change of it is seen, and said in the changelog.
//! `UPDATE_SNAPSHOTS=yes cargo test --test public_api` writes it anew.
//!
//! It has a `main` of its own, so that what did not run is told and not captured.

use std::fs;
use std::path::Path;
use std::process::Command;

use vkscan::{
    Backend, Capture, MegakernelSession, ResidentHaystack, ResidentRulePipeline, RingBatch,
    RulePipeline, ScanError, ScanScratch, StagedHaystack, Ticket,
};

/// The format of rustdoc's JSON that the kept list was made from; it changes with Rust.
const FORMAT: u64 = 57;

/// Which auto traits a type has is not written anywhere else, and another Rust has more of them than the list.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    const fn is_sent<T: Send>() {}
    is_shared::<Backend>();
    is_shared::<Capture>();
    is_shared::<RulePipeline>();
    is_shared::<ResidentRulePipeline>();
    is_shared::<ResidentHaystack>();
    is_shared::<StagedHaystack>();
    is_shared::<ScanScratch>();
    is_shared::<ScanError>();
    is_shared::<MegakernelSession>();
    #[cfg(unix)]
    is_shared::<vkscan::ExternalBuffer>();
    #[cfg(unix)]
    is_shared::<vkscan::ExternalSemaphore>();
    is_sent::<Ticket<'static>>();
    is_sent::<RingBatch>();
};

fn main() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A folder of its own: the variable below would make cargo build everything else again.
    let target = manifest.join("target/public-api");
    let status = Command::new(env!("CARGO"))
        .current_dir(manifest)
        .args(["rustdoc", "--quiet", "--lib", "--no-default-features"])
        .args(["--features", "prebuilt-shaders", "--target-dir"])
        .arg(&target)
        .args(["--", "-Zunstable-options", "--output-format=json"])
        // The JSON is unstable; stable compilers write it only when told that they may.
        .env("RUSTC_BOOTSTRAP", "1")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "rustdoc: {status}");

    let json = target.join("doc/vkscan.json");
    let text = fs::read_to_string(&json).expect("rustdoc has written it");
    let format =
        serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON")["format_version"]
            .as_u64()
            .expect("it tells its format");
    if format != FORMAT {
        eprintln!(
            "NOT RUN: the public interface was not compared with docs/public-api.txt, for this Rust writes format \
             {format} of rustdoc's JSON and tests/public_api.rs reads {FORMAT}"
        );
        return;
    }
    public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .expect("rustdoc's JSON is read")
        .assert_eq_or_update(manifest.join("docs/public-api.txt"));
}
