//! Devices and rules, told in Python's own types.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use vkscan::{Anchor, Backend, BackendOptions, DeviceInfo, RuleBound, RulePipeline, RulePlan};

use crate::{error, shared};

/// Lists Vulkan devices, usable or not, in the loader's order.
///
/// Each is a dict: `index`, `name`, `kind` (such as "discrete GPU"), `uuid`, `vulkan` (version), `driver`, `driver_info`,
/// `device_local_bytes`, `unsuitable` (why it cannot be used, or None) and `picked` (why a `Scanner` without `device` takes
/// it, or None).
///
/// Raises `DeviceError` where there is no Vulkan loader or no driver.
#[pyfunction]
pub fn devices(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let found = py.detach(|| {
        shared::refuse_forked()?;
        let found = Backend::devices(&BackendOptions::default());
        found.map_err(|error| error::of_backend(&error))
    })?;
    let told = found.iter().map(|device| self::device(py, device));
    PyList::new(py, told.collect::<PyResult<Vec<_>>>()?)
}

pub fn device<'py>(py: Python<'py>, device: &DeviceInfo) -> PyResult<Bound<'py, PyDict>> {
    let (major, minor, patch) = device.api_version;
    let told = PyDict::new(py);
    told.set_item("index", device.index)?;
    told.set_item("name", &device.name)?;
    told.set_item("kind", device.kind.to_string())?;
    told.set_item("uuid", device.uuid.to_string())?;
    told.set_item("vulkan", format!("{major}.{minor}.{patch}"))?;
    told.set_item("driver", &device.driver_name)?;
    told.set_item("driver_info", &device.driver_info)?;
    told.set_item("device_local_bytes", device.device_local_bytes)?;
    told.set_item("unsuitable", &device.unsuitable)?;
    told.set_item("picked", &device.preference)?;
    Ok(told)
}

pub fn plans<'py>(py: Python<'py>, rules: &RulePipeline) -> PyResult<Bound<'py, PyList>> {
    let plans = py.detach(|| rules.explain());
    let told = plans.iter().zip(rules.patterns()).map(|(plan, pattern)| told(py, plan, pattern));
    PyList::new(py, told.collect::<PyResult<Vec<_>>>()?)
}

fn told<'py>(py: Python<'py>, plan: &RulePlan, pattern: &str) -> PyResult<Bound<'py, PyDict>> {
    let factor = match &plan.factor {
        None => None,
        Some(factor) => {
            let anchor = factor.anchor.map(|anchor| match anchor {
                Anchor::Start => "start",
                Anchor::End => "end",
            });
            let grams = factor.grams.iter().map(|gram| PyBytes::new(py, gram));
            let told = PyDict::new(py);
            told.set_item("anchor", anchor)?;
            told.set_item("grams", PyList::new(py, grams)?)?;
            told.set_item("expected_per_mib", factor.expected_per_mib)?;
            told.set_item("most_starts", factor.most_starts)?;
            Some(told)
        }
    };
    let bounds = plan.bounds.iter().map(|bound| match bound {
        RuleBound::Search => "search",
        RuleBound::TableTime => "table time",
        RuleBound::TableBytes => "table bytes",
        _ => "another",
    });
    let told = PyDict::new(py);
    told.set_item("rule", plan.pattern_id)?;
    told.set_item("pattern", pattern)?;
    told.set_item("factor", factor)?;
    told.set_item("dfa_bytes", plan.dfa_bytes)?;
    told.set_item("nfa_nodes", plan.nfa_nodes)?;
    told.set_item("bounds", PyList::new(py, bounds)?)?;
    Ok(told)
}
