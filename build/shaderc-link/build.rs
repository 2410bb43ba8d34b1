//! Finds how to link the system's shaderc and says what to install where that cannot be done.
//!
//! Distributions differ. Some ship a `libshaderc` that is complete; Debian 12's has undefined glslang and
//! SPIRV-Tools symbols, in the shared library and in the "combined" archive alike, and has to be linked
//! together with the archives of those two. So each way known is tried on a small program, and the first
//! that links is written to a linker script named `libvkscan_shaderc.so`. In this repository
//! `.cargo/config.toml` puts it in the place of shaderc-sys's own search; where vkscan is a dependency, and
//! that file is not read, it adds what shaderc-sys lacks.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Ways to link, the self-sufficient ones first. What the older glslang had besides comes last.
const WAYS: [&str; 4] = [
    "-l:libshaderc_combined.a",
    "-l:libshaderc.so",
    "-l:libshaderc_combined.a -lglslang -lMachineIndependent -lGenericCodeGen -lOSDependent -lSPIRV \
     -lSPIRV-Tools-opt -lSPIRV-Tools",
    "-l:libshaderc_combined.a -lglslang -lMachineIndependent -lGenericCodeGen -lOSDependent -lOGLCompiler \
     -lHLSL -lSPIRV -lSPIRV-Tools-opt -lSPIRV-Tools",
];

const PROBE: &str = "
    extern void *shaderc_compiler_initialize(void);
    extern void *shaderc_compile_into_spv(void);
    int main(void) { return !shaderc_compiler_initialize() || !shaderc_compile_into_spv; }
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SHADERC_LIB_DIR");
    println!("cargo::rerun-if-env-changed=VULKAN_SDK");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return; // shaderc-sys looks for the library itself
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let probe = out.join("probe.c");
    fs::write(&probe, PROBE).expect("OUT_DIR is writable");
    let library_dirs: Vec<PathBuf> = [
        env::var_os("SHADERC_LIB_DIR").map(PathBuf::from),
        env::var_os("VULKAN_SDK").map(|sdk| Path::new(&sdk).join("lib")),
    ]
    .into_iter()
    .flatten()
    .collect();

    let Some(way) = WAYS.iter().find(|way| links(&probe, &library_dirs, way)) else {
        println!(
            "cargo::error=shaderc, which compiles the kernels, cannot be linked on this machine."
        );
        println!(
            "cargo::error=Debian, Ubuntu: apt-get install g++ libshaderc-dev glslang-dev spirv-tools"
        );
        println!(
            "cargo::error=Elsewhere: set SHADERC_LIB_DIR to the folder of libshaderc_combined.a."
        );
        println!(
            "cargo::error=Without shaderc: cargo build --no-default-features --features prebuilt-shaders"
        );
        return;
    };
    fs::write(out.join("libvkscan_shaderc.so"), format!("INPUT ( {way} )\n"))
        .expect("OUT_DIR is writable");
    println!("cargo::rustc-link-lib=vkscan_shaderc");
    for dir in library_dirs.iter().chain([&out]) {
        println!("cargo::rustc-link-search=native={}", dir.display());
    }
}

/// Whether the probe links with the libraries that `way` names.
fn links(probe: &Path, library_dirs: &[PathBuf], way: &str) -> bool {
    Command::new("cc")
        .arg(probe)
        .args(library_dirs.iter().flat_map(|dir| [Path::new("-L"), dir]))
        .args(way.split_whitespace())
        .args(["-lstdc++", "-lm", "-lpthread", "-o"])
        .arg(probe.with_extension("out"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
