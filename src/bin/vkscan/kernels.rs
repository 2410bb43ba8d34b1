//! `vkscan kernels`: what the driver has made of the kernels that scans run.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;
use vkscan::{
    Backend, BackendError, KernelExecutable, KernelReport, KernelStatisticValue, KernelStatistics,
    MatchKind, MegakernelSession, MegakernelSessionConfig, RingError, RulePipeline, ScanError,
    SessionOptions, Tuning,
};

use crate::Status;
use crate::args::{Format, KernelsArgs};
use crate::errors;
use crate::profiles;
use crate::rules::Rules;
use crate::terminal;

/// Rules that are looked for in different ways, where none are given.
const RULES: [&str; 3] = ["needle", "[0-9a-f]{32}", "[a-z]*[ab].{14}"];

/// What sessions hold has no part in how kernels are made.
const HAYSTACK_BYTES: usize = 64 << 10;
const MATCHES: usize = 1 << 10;

const NOT_REPORTED: &str = "not reported by this driver";

pub fn run(args: &KernelsArgs) -> Result<Status, Box<dyn Error>> {
    let rules = match args.rules.are_given() {
        true => Rules::read(&args.rules)?.compile(MatchKind::default())?,
        false => RulePipeline::new(&RULES)?,
    };
    let statistics = match args.asm {
        true => KernelStatistics::Representations,
        false => KernelStatistics::Statistics,
    };
    let options =
        args.open.backend_options(args.device.device.clone()).kernel_statistics(statistics);
    let described = |error: RingError| match error {
        // There is nothing here that could be lowered.
        RingError::Scan(ScanError::Backend(error @ BackendError::OutOfMemory { .. })) => {
            error.to_string()
        }
        RingError::Scan(ScanError::Backend(error)) => errors::backend(&error),
        error => error.to_string(),
    };
    let backend = Backend::new(&options).map_err(|error| described(error.into()))?;
    let tuning = profiles::choose(&args.profile, backend.device_info())?.tuning;
    let kernels = kernels(&backend, tuning, &rules).map_err(described)?;
    let mut stdout = io::stdout().lock();
    for kernel in &kernels {
        match args.format {
            Format::Text => print_text(&mut stdout, kernel, args.asm)?,
            Format::Json => stdout.write_all(terminal::json(&to_json(kernel)).as_bytes())?,
        }
    }
    Ok(Status::Found)
}

/// The kernels of both sessions that a scan may have.
fn kernels(
    backend: &Backend,
    tuning: Option<Tuning>,
    rules: &RulePipeline,
) -> Result<Vec<KernelReport>, RingError> {
    let options = SessionOptions::new(HAYSTACK_BYTES, MATCHES).tuning(tuning);
    let session = rules.prepare_resident_with(backend, &options)?;
    let config = MegakernelSessionConfig::default().tuning(tuning);
    let ring = MegakernelSession::new(backend, rules, config)?;
    let kernels = backend.kernels()?;
    ring.map_or(Ok(()), |mut ring| ring.shutdown())?;
    session.free(backend)?;
    Ok(kernels)
}

fn print_text(to: &mut impl Write, kernel: &KernelReport, with_asm: bool) -> io::Result<()> {
    let [x, y, z] = kernel.workgroup_size;
    let values = kernel.specialisation.iter().map(|(name, value)| format!("{name} {value}"));
    writeln!(to, "{}", kernel.name)?;
    writeln!(to, "    specialised by {}", values.collect::<Vec<_>>().join(", "))?;
    writeln!(
        to,
        "    workgroups of {x} x {y} x {z}, subgroups of {}, {} bytes of shared memory, {} bytes of SPIR-V",
        kernel.subgroup_size, kernel.shared_memory_bytes, kernel.spirv_bytes
    )?;
    let by_driver = match (kernel.driver_made_in, kernel.was_cached) {
        (None, _) => NOT_REPORTED.to_owned(),
        (Some(time), Some(true)) => format!("{time:.3?}, from the pipeline cache"),
        (Some(time), _) => format!("{time:.3?}"),
    };
    writeln!(to, "    made in {:.3?}; by the driver's account: {by_driver}", kernel.made_in)?;
    match &kernel.executables {
        None => writeln!(to, "    statistics: {NOT_REPORTED}"),
        Some(executables) => {
            executables.iter().try_for_each(|one| print_executable(to, one, with_asm))
        }
    }
}

fn print_executable(
    to: &mut impl Write,
    executable: &KernelExecutable,
    with_asm: bool,
) -> io::Result<()> {
    let shown = |text: &str| terminal::shown(text.as_bytes());
    let KernelExecutable { name, subgroup_size, statistics, representations, .. } = executable;
    writeln!(to, "    {}, subgroups of {subgroup_size}", shown(name))?;
    for statistic in statistics {
        writeln!(to, "        {}: {}", shown(&statistic.name), statistic.value)?;
    }
    if with_asm && representations.is_empty() {
        writeln!(to, "        representations: {NOT_REPORTED}")?;
    }
    for representation in representations {
        writeln!(to, "        {}:", shown(&representation.name))?;
        if !representation.is_text {
            writeln!(to, "            {} bytes that are no text", representation.data.len())?;
            continue;
        }
        for line in String::from_utf8_lossy(&representation.data).lines() {
            writeln!(to, "            {}", shown(&line.replace('\t', "    ")))?;
        }
    }
    Ok(())
}

fn to_json(kernel: &KernelReport) -> serde_json::Value {
    json!({
        "name": kernel.name,
        "specialisation": kernel.specialisation.iter().cloned().collect::<BTreeMap<_, _>>(),
        "workgroup_size": kernel.workgroup_size,
        "subgroup_size": kernel.subgroup_size,
        "shared_memory_bytes": kernel.shared_memory_bytes,
        "spirv_bytes": kernel.spirv_bytes,
        "made_in_ns": nanoseconds(kernel.made_in),
        "driver_made_in_ns": kernel.driver_made_in.map(nanoseconds),
        "was_cached": kernel.was_cached,
        "executables": kernel.executables.as_ref().map(|executables| {
            executables.iter().map(executable_json).collect::<Vec<_>>()
        }),
    })
}

fn executable_json(executable: &KernelExecutable) -> serde_json::Value {
    let statistics = executable.statistics.iter().map(|statistic| {
        json!({
            "name": statistic.name,
            "description": statistic.description,
            "value": match statistic.value {
                KernelStatisticValue::Bool(value) => json!(value),
                KernelStatisticValue::Signed(value) => json!(value),
                KernelStatisticValue::Unsigned(value) => json!(value),
                KernelStatisticValue::Float(value) => json!(value),
                other => json!(other.to_string()),
            },
        })
    });
    let representations = executable.representations.iter().map(|one| {
        let text = one.is_text.then(|| String::from_utf8_lossy(&one.data));
        json!({
            "name": one.name,
            "description": one.description,
            "bytes": one.data.len(),
            "text": text,
        })
    });
    json!({
        "name": executable.name,
        "description": executable.description,
        "subgroup_size": executable.subgroup_size,
        "statistics": statistics.collect::<Vec<_>>(),
        "representations": representations.collect::<Vec<_>>(),
    })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
