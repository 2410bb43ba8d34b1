//! Turns `shaders/` into the Rust module that `src/shaders.rs` includes: every kernel's SPIR-V with what
//! it binds, and the Rust twin of `shaders/include/layout/`.

#[cfg(feature = "compile-shaders")]
#[path = "build/compile.rs"]
mod compile;
#[path = "build/emit.rs"]
mod emit;
#[path = "build/layout.rs"]
mod layout;
#[path = "build/prebuilt.rs"]
mod prebuilt;
#[path = "build/source.rs"]
mod source;
#[path = "build/spirv.rs"]
mod spirv;

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=shaders");
    println!("cargo::rerun-if-env-changed=VKSCAN_SHADER_DEBUG");
    println!("cargo::rerun-if-env-changed=VKSCAN_UPDATE_SPIRV");
    match shaders_module() {
        Ok(module) => {
            let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
            fs::write(Path::new(&out).join("shaders.rs"), module).expect("OUT_DIR is writable");
        }
        Err(message) => message.lines().for_each(|line| println!("cargo::error={line}")),
    }
}

/// The text of the generated module, or what is wrong with the shaders.
fn shaders_module() -> Result<String, String> {
    let mut layout = layout::Layout::default();
    for name in layout::FILES {
        let path = source::include_path(name);
        layout
            .parse(&source::read(&path)?)
            .map_err(|error| format!("{}:{error}", path.display()))?;
    }
    let sources = source::kernels()?;
    let mut kernels = Vec::new();
    for (words, source) in all_words(&sources)?.into_iter().zip(&sources) {
        let interface = spirv::reflect(&words)
            .map_err(|error| format!("{}: {error}", source.path.display()))?;
        kernels.push(emit::Kernel { name: source.name.clone(), words, interface });
    }
    Ok(emit::module(&kernels, &layout))
}

/// Each kernel's SPIR-V, compiled now.
#[cfg(feature = "compile-shaders")]
fn all_words(sources: &[source::Kernel]) -> Result<Vec<Vec<u32>>, String> {
    if env::var_os("VKSCAN_UPDATE_SPIRV").is_some() {
        prebuilt::update(sources, &compile::all(sources, false)?)?;
    }
    let debug = cfg!(feature = "shader-debug-info") || env::var_os("VKSCAN_SHADER_DEBUG").is_some();
    compile::all(sources, debug)
}

/// Each kernel's SPIR-V as it is kept in the repository.
#[cfg(not(feature = "compile-shaders"))]
fn all_words(sources: &[source::Kernel]) -> Result<Vec<Vec<u32>>, String> {
    prebuilt::load(sources)
}

#[cfg(not(any(feature = "compile-shaders", feature = "prebuilt-shaders")))]
compile_error!(
    "vkscan needs its kernels: turn on the feature compile-shaders (the default) or prebuilt-shaders"
);
