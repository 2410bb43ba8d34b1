//! What there is to tell of kernels: how they were specialised, and what the driver has made of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ash::{khr, vk};

use super::KernelStatistics;
use super::device::Device;
use super::error::Result;
use super::info::text;
use super::pipeline::Made;
use crate::shaders;

/// A kernel as it was made for sessions: [`Backend::kernels`](crate::Backend::kernels).
///
/// # Examples
///
/// ```
/// use vkscan::{
///     Backend, BackendOptions, KernelExecutable, KernelReport, KernelRepresentation, KernelStatistic,
///     KernelStatistics, RulePipeline,
/// };
///
/// let options = BackendOptions::default().kernel_statistics(KernelStatistics::Representations);
/// let backend = Backend::new(&options)?;
/// RulePipeline::new(&["a+"])?.prepare_resident(&backend, 1 << 16, 100)?;
/// for KernelReport { name, specialisation, shared_memory_bytes, made_in, executables, .. } in backend.kernels()? {
///     println!("{name}, by {specialisation:?}: {shared_memory_bytes} bytes shared, made in {made_in:?}");
///     let Some(executables) = executables else {
///         println!("    this driver does not report what it has made of it");
///         continue;
///     };
///     for KernelExecutable { name, statistics, representations, .. } in executables {
///         for KernelStatistic { name: statistic, value, .. } in statistics {
///             println!("    {name}: {statistic} {value}");
///         }
///         for KernelRepresentation { name: what, is_text, data, .. } in representations {
///             println!("    {name}: {what}, {} bytes, as text: {is_text}", data.len());
///         }
///     }
/// }
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KernelReport {
    /// The name of its source: `shaders/NAME.comp`.
    pub name: String,
    /// Names of specialisation constants, and their values.
    pub specialisation: Vec<(String, u32)>,
    /// Invocations of a workgroup along x, y and z.
    pub workgroup_size: [u32; 3],
    /// Invocations of a subgroup, as the device has them. A [`KernelExecutable`] may have others.
    pub subgroup_size: u32,
    /// Bytes of shared memory that its source asks for. The driver may take more.
    pub shared_memory_bytes: u32,
    /// Bytes of its SPIR-V.
    pub spirv_bytes: usize,
    /// How long the call took that made it, while others may have been made.
    pub made_in: Duration,
    /// How long that took by the driver's account; none where the driver does not say, or was not asked.
    pub driver_made_in: Option<Duration>,
    /// Whether it was found in the pipeline cache; none where the driver does not say, or was not asked.
    pub was_cached: Option<bool>,
    /// What the driver has made of it; none where the driver does not say (`VK_KHR_pipeline_executable_properties`), or was
    /// not asked.
    pub executables: Option<Vec<KernelExecutable>>,
}

/// What a driver has made of a kernel, or of a part of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KernelExecutable {
    /// The driver's name for it.
    pub name: String,
    /// What it is, in the driver's words.
    pub description: String,
    /// Invocations of a subgroup.
    pub subgroup_size: u32,
    /// Numbers, such as registers.
    pub statistics: Vec<KernelStatistic>,
    /// What it was compiled to on the way; empty unless the driver was asked ([`KernelStatistics::Representations`]).
    pub representations: Vec<KernelRepresentation>,
}

/// A number that a driver tells of a kernel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KernelStatistic {
    /// The driver's name for it.
    pub name: String,
    /// What it means, in the driver's words.
    pub description: String,
    /// The number.
    pub value: KernelStatisticValue,
}

/// The value of a [`KernelStatistic`].
///
/// # Examples
///
/// ```
/// assert_eq!(vkscan::KernelStatisticValue::Unsigned(32).to_string(), "32");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum KernelStatisticValue {
    /// Yes or no.
    Bool(bool),
    /// A number that may be negative.
    Signed(i64),
    /// A number that may not.
    Unsigned(u64),
    /// A number with a fraction.
    Float(f64),
}

impl fmt::Display for KernelStatisticValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelStatisticValue::Bool(value) => value.fmt(f),
            KernelStatisticValue::Signed(value) => value.fmt(f),
            KernelStatisticValue::Unsigned(value) => value.fmt(f),
            KernelStatisticValue::Float(value) => value.fmt(f),
        }
    }
}

/// What a kernel is on its way from SPIR-V to the device.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KernelRepresentation {
    /// The driver's name for it.
    pub name: String,
    /// What it is, in the driver's words.
    pub description: String,
    /// Whether `data` is text.
    pub is_text: bool,
    /// Text without the zero byte behind it, or bytes.
    pub data: Vec<u8>,
}

/// Tells of a kernel. The driver was asked for `statistics` when it made it.
pub(super) fn of(
    device: &Arc<Device>,
    made: &Made,
    statistics: KernelStatistics,
) -> Result<KernelReport> {
    let Made { name, specialization, pipeline } = made;
    let kernel = shaders::ALL.iter().find(|kernel| kernel.name == name);
    let kernel = kernel.expect("sessions have the kernels of the build");
    let value = |id| {
        let given = specialization.iter().find(|(given, _)| *given == id);
        let default = kernel.spec_constants.iter().find(|constant| constant.id == id);
        given.map(|(_, value)| *value).or(default.map(|constant| constant.default))
    };
    let value = |id| value(id).expect("a kernel declares the constants that it uses");
    let named = |&(id, value): &(u32, u32)| {
        let name = shaders::layout::SPEC_NAMES.iter().find(|(other, _)| *other == id);
        (name.map_or_else(|| id.to_string(), |(_, name)| name.to_string()), value)
    };
    let mut workgroup_size = kernel.local_size;
    for (size, id) in workgroup_size.iter_mut().zip(kernel.local_size_ids) {
        *size = id.map_or(*size, value);
    }
    let times = pipeline.times();
    let cached = vk::PipelineCreationFeedbackFlags::APPLICATION_PIPELINE_CACHE_HIT;
    let has_executables = device.has(khr::pipeline_executable_properties::NAME);
    Ok(KernelReport {
        name: name.clone(),
        specialisation: specialization.iter().map(named).collect(),
        workgroup_size,
        subgroup_size: device.info().subgroup_size,
        shared_memory_bytes: (kernel.shared_bytes)(&value),
        spirv_bytes: size_of_val(kernel.words),
        made_in: times.wall,
        driver_made_in: times.feedback.map(|feedback| Duration::from_nanos(feedback.duration)),
        was_cached: times.feedback.map(|feedback| feedback.flags.contains(cached)),
        executables: match has_executables {
            true => Some(Driver::new(device, statistics).executables(pipeline.raw())?),
            false => None,
        },
    })
}

/// A driver that tells what it has made.
struct Driver<'a> {
    device: &'a Device,
    functions: khr::pipeline_executable_properties::Device,
    has_representations: bool,
}

impl Driver<'_> {
    fn new(device: &Device, statistics: KernelStatistics) -> Driver<'_> {
        let functions =
            khr::pipeline_executable_properties::Device::new(device.instance().raw(), device.raw());
        let has_representations = statistics == KernelStatistics::Representations;
        Driver { device, functions, has_representations }
    }

    fn executables(&self, pipeline: vk::Pipeline) -> Result<Vec<KernelExecutable>> {
        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        let properties = self.device.call("vkGetPipelineExecutablePropertiesKHR", || {
            // SAFETY: the pipeline is there, and the device was made with the extension and its feature.
            unsafe { self.functions.get_pipeline_executable_properties(&info) }
        })?;
        let executable = |(index, one): (u32, &vk::PipelineExecutablePropertiesKHR)| {
            let info =
                vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(index);
            let representations = match self.has_representations {
                true => self.representations(&info)?,
                false => Vec::new(),
            };
            Ok(KernelExecutable {
                name: text(one.name_as_c_str()),
                description: text(one.description_as_c_str()),
                subgroup_size: one.subgroup_size,
                statistics: self.statistics(&info)?,
                representations,
            })
        };
        (0..).zip(&properties).map(executable).collect()
    }

    fn statistics(&self, info: &vk::PipelineExecutableInfoKHR) -> Result<Vec<KernelStatistic>> {
        let statistics = self.device.call("vkGetPipelineExecutableStatisticsKHR", || {
            // SAFETY: as above; the pipeline was made to have its statistics captured, and has the executable.
            unsafe { self.functions.get_pipeline_executable_statistics(info) }
        })?;
        let statistic = |one: &vk::PipelineExecutableStatisticKHR| {
            use vk::PipelineExecutableStatisticFormatKHR as Format;
            // SAFETY: the format says which one it is, and each has its bits.
            let value = unsafe {
                match one.format {
                    Format::BOOL32 => KernelStatisticValue::Bool(one.value.b32 == vk::TRUE),
                    Format::INT64 => KernelStatisticValue::Signed(one.value.i64),
                    Format::FLOAT64 => KernelStatisticValue::Float(one.value.f64),
                    _ => KernelStatisticValue::Unsigned(one.value.u64),
                }
            };
            KernelStatistic {
                name: text(one.name_as_c_str()),
                description: text(one.description_as_c_str()),
                value,
            }
        };
        Ok(statistics.iter().map(statistic).collect())
    }

    fn representations(
        &self,
        info: &vk::PipelineExecutableInfoKHR,
    ) -> Result<Vec<KernelRepresentation>> {
        const NAME: &str = "vkGetPipelineExecutableInternalRepresentationsKHR";

        let mut found = self.device.call(NAME, || {
            // SAFETY: as above; the pipeline was made to have them captured. Without data it tells their sizes.
            unsafe { self.functions.get_pipeline_executable_internal_representations(info) }
        })?;
        let mut buffers: Vec<Vec<u8>> = found.iter().map(|one| vec![0; one.data_size]).collect();
        for (one, buffer) in found.iter_mut().zip(&mut buffers) {
            one.p_data = buffer.as_mut_ptr().cast();
        }
        let mut count = u32::try_from(found.len()).expect("Vulkan counts them so");
        self.device.call(NAME, || {
            let get = self.functions.fp().get_pipeline_executable_internal_representations_khr;
            let handle = self.device.raw().handle();
            // SAFETY: as above; each has a buffer of its size.
            unsafe { get(handle, info, &mut count, found.as_mut_ptr()) }.result()
        })?;
        let representation =
            |(one, mut data): (&vk::PipelineExecutableInternalRepresentationKHR, Vec<u8>)| {
                let is_text = one.is_text == vk::TRUE;
                data.truncate(one.data_size);
                if is_text && data.last() == Some(&0) {
                    data.pop();
                }
                let (name, description) =
                    (text(one.name_as_c_str()), text(one.description_as_c_str()));
                KernelRepresentation { name, description, is_text, data }
            };
        Ok(found.iter().zip(buffers).map(representation).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestBackend;
    use super::super::{Backend, BackendOptions, Validation, layer, pretence};
    use super::*;
    use crate::shaders::layout;
    use crate::{RulePipeline, ScanScratch};

    fn kernels(options: &BackendOptions) -> Vec<KernelReport> {
        let backend = TestBackend::open(options);
        let rules = RulePipeline::new(&["ab+"]).unwrap();
        let session = rules.prepare_resident(&backend, 16, 10).unwrap();
        let kernels = backend.kernels().unwrap();
        let mut matches = Vec::new();
        session.scan_into(&backend, b"-abb-", &mut matches, &mut ScanScratch::default()).unwrap();
        assert_eq!(matches, rules.reference_scan(b"-abb-"));
        kernels
    }

    fn options(statistics: KernelStatistics) -> BackendOptions {
        TestBackend::options().kernel_statistics(statistics)
    }

    #[test]
    fn a_report_has_what_a_kernel_was_made_with() {
        let kernels = kernels(&options(KernelStatistics::Statistics));
        assert_eq!(kernels.iter().filter(|kernel| kernel.name == "select").count(), 2);
        for KernelReport { name, specialisation, workgroup_size, shared_memory_bytes, .. } in
            &kernels
        {
            let value = |name: &str| {
                let found = specialisation.iter().find(|(other, _)| other == name);
                found.unwrap_or_else(|| panic!("{name} in {specialisation:?}")).1
            };
            let expected = match name.as_str() {
                // As their sources have it.
                "gram_prefilter" => {
                    assert_eq!(workgroup_size, &[value("PREFILTER_WORKGROUP"), 1, 1]);
                    4 * value("BITMAP_WORDS") + 24 * layout::PREFILTER_LANES
                }
                "class_prefilter" => 4 * 256 + 8 * layout::PREFILTER_LANES,
                "compose_summaries" => {
                    let summary = 4 * layout::ChunkSummary::WORDS as u32;
                    (8 + summary) * layout::MOST_SUMMARIES
                }
                "confirm" | "schedule" | "enter_tiles" | "verify_dfa" => 0,
                "verify_nfa" => {
                    assert_eq!(workgroup_size, &[value("NFA_LANES"), 1, 1]);
                    continue;
                }
                _ => continue,
            };
            assert_eq!(*shared_memory_bytes, expected, "{name} by {specialisation:?}");
        }
    }

    #[test]
    fn drivers_are_asked_where_they_have_an_answer() {
        let backend = TestBackend::new();
        let there = backend.device_info().diagnostics.clone();
        drop(backend);
        for (statistics, is_asked) in
            [(KernelStatistics::Off, false), (KernelStatistics::Representations, true)]
        {
            let has = |name| is_asked && there.contains(&name);
            for kernel in kernels(&options(statistics)) {
                assert!(kernel.made_in > Duration::ZERO);
                let has_executables = has(khr::pipeline_executable_properties::NAME);
                assert_eq!(kernel.executables.is_some(), has_executables);
                if let Some(time) = kernel.driver_made_in {
                    assert!(has(ash::ext::pipeline_creation_feedback::NAME));
                    assert!(time <= kernel.made_in, "{kernel:?}");
                }
            }
        }
    }

    #[test]
    fn all_that_a_driver_tells_is_told() {
        let _layer = layer::lock();
        pretence::pretend(true);
        let layered = |statistics| {
            kernels(&TestBackend::layered_options(Validation::Off).kernel_statistics(statistics))
        };
        let [off, numbers, all] = [
            KernelStatistics::Off,
            KernelStatistics::Statistics,
            KernelStatistics::Representations,
        ]
        .map(layered);
        pretence::pretend(false);
        assert!(off.iter().all(|kernel| kernel.executables.is_none()));
        for (kernel, has_representations) in numbers
            .iter()
            .map(|kernel| (kernel, false))
            .chain(all.iter().map(|kernel| (kernel, true)))
        {
            let [executable] = &kernel.executables.as_ref().unwrap()[..] else { panic!() };
            assert_eq!((&*executable.name, executable.subgroup_size), ("main", 32));
            let told: Vec<String> = executable
                .statistics
                .iter()
                .map(|KernelStatistic { name, value, .. }| format!("{name} {value}"))
                .collect();
            assert_eq!(told, ["Registers 40", "Spilled true", "Balance -7", "Occupancy 0.75"]);
            let told: Vec<_> = executable
                .representations
                .iter()
                .map(|one| (&*one.name, one.is_text, &*one.data))
                .collect();
            let expected: &[(&str, bool, &[u8])] =
                &[("Assembly", true, b"add\tr0, \x1b[31m\nret\n"), ("Binary", false, &[1, 2, 0])];
            assert_eq!(told, if has_representations { expected } else { &[] });
        }
    }

    #[test]
    fn a_device_of_the_callers_is_asked_nothing() {
        let backend = TestBackend::open(&options(KernelStatistics::Statistics));
        let callers: Backend = backend.as_callers();
        let rules = RulePipeline::new(&["ab+"]).unwrap();
        rules.prepare_resident(&callers, 16, 10).unwrap().free(&callers).unwrap();
        let kernels = callers.kernels().unwrap();
        assert!(!kernels.is_empty());
        let is_silent =
            |kernel: &KernelReport| kernel.driver_made_in.is_none() && kernel.executables.is_none();
        assert!(kernels.iter().all(is_silent));
    }
}
