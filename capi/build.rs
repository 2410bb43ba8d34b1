//! Makes the C header of the sources, and names the shared library.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    println!("cargo::rerun-if-env-changed=VKSCAN_UPDATE_HEADER");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let generated = Path::new(&out).join("vkscan.h");
    let bindings = cbindgen::generate(".").expect("the sources and cbindgen.toml are understood");
    bindings.write_to_file(&generated);
    if env::var_os("VKSCAN_UPDATE_HEADER").is_some_and(|value| value == "1") {
        fs::copy(&generated, "include/vkscan.h").expect("include/vkscan.h can be written");
    }
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        let abi = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets it");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libvkscan.so.{abi}");
    }
}
