//! GLSL to SPIR-V with shaderc.

use shaderc::{
    CompileOptions, Compiler, EnvVersion, Error, OptimizationLevel, ResolvedInclude, ShaderKind,
    SpirvVersion, TargetEnv,
};
use shaderc_link as _;

use crate::source::{self, Kernel};
use crate::spirv;

/// Compiles every kernel; the error has one line a diagnostic, with file and line, over all kernels.
pub fn all(kernels: &[Kernel], debug: bool) -> Result<Vec<Vec<u32>>, String> {
    let compiler = Compiler::new().map_err(|error| error.to_string())?;
    let mut options = CompileOptions::new().map_err(|error| error.to_string())?;
    options.set_target_env(TargetEnv::Vulkan, EnvVersion::Vulkan1_2 as u32);
    options.set_target_spirv(SpirvVersion::V1_5);
    options.set_optimization_level(OptimizationLevel::Performance);
    options.set_warnings_as_errors();
    // Without it the optimiser drops the names that reflection reports; the rest is taken out below.
    options.set_generate_debug_info();
    options.set_include_callback(|name, _, _, _| {
        let path = source::include_path(name);
        let content = source::read(&path)?;
        Ok(ResolvedInclude { resolved_name: path.display().to_string(), content })
    });

    let (mut compiled, mut problems) = (Vec::new(), String::new());
    for kernel in kernels {
        let file = kernel.path.display().to_string();
        let text = source::read(&kernel.path)?;
        match compiler.compile_into_spirv(&text, ShaderKind::Compute, &file, "main", Some(&options))
        {
            Ok(artifact) if debug => compiled.push(artifact.as_binary().to_vec()),
            Ok(artifact) => compiled.push(without_source(artifact.as_binary())),
            Err(Error::CompilationError(_, diagnostics)) => problems += &diagnostics,
            Err(error) => problems += &format!("{file}: {error}\n"),
        }
    }
    if problems.is_empty() { Ok(compiled) } else { Err(problems) }
}

/// The module without the GLSL text and the line numbers. Names stay: they are small, and validation
/// messages, RenderDoc and `spirv::reflect` use them.
fn without_source(words: &[u32]) -> Vec<u32> {
    // OpSourceContinued, OpSource, OpSourceExtension, OpString, OpLine, OpNoLine, OpModuleProcessed.
    const SOURCE: [u32; 7] = [2, 3, 4, 7, 8, 317, 330];
    let mut kept = words[..spirv::HEADER_WORDS].to_vec();
    for instruction in spirv::instructions(words) {
        if !SOURCE.contains(&(instruction[0] & 0xffff)) {
            kept.extend(instruction);
        }
    }
    kept
}
