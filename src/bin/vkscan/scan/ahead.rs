//! Tables that are laid out while devices are opened: as the same devices have taken them the last time.

use std::path::PathBuf;

use vkscan::{Backend, LaidOutTables, RulePipeline, TableLayout, Tuning};

use crate::args::{ScanArgs, ScanDevices};
use crate::{kept, terminal};

/// Where it is kept how the devices that are asked for take tables.
fn path(args: &ScanArgs) -> Option<PathBuf> {
    if args.rules.no_cache {
        return None;
    }
    let devices = match &args.devices.devices {
        None => vec![kept::of_device(None)],
        Some(ScanDevices::All) => vec!["all".to_owned()],
        Some(ScanDevices::These(these)) => {
            these.iter().map(|device| kept::of_device(Some(device))).collect()
        }
    };
    Some(kept::folder().ok()?.join(format!("tables-{}.json", devices.join("-"))))
}

fn layouts(args: &ScanArgs) -> Vec<TableLayout> {
    let bytes = path(args).and_then(|path| std::fs::read(path).ok());
    // It is only a guess: devices that take others have them laid out when they are known.
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Lays out what is likely to be taken, to be kept until sessions are prepared.
pub fn lay_out(args: &ScanArgs, pipeline: &RulePipeline) -> Vec<LaidOutTables> {
    let layouts = layouts(args).into_iter();
    layouts.filter_map(|layout| pipeline.lay_out(layout).ok()).collect()
}

/// Takes note of what the devices take.
pub fn remember(args: &ScanArgs, backends: &[Backend], tuning: Option<Tuning>) {
    let of = |backend: &Backend| {
        tuning.unwrap_or_else(|| Tuning::for_device(backend.device_info())).table_layout()
    };
    let mut taken: Vec<TableLayout> = Vec::new();
    for layout in backends.iter().map(of) {
        if !taken.contains(&layout) {
            taken.push(layout);
        }
    }
    if let Some(path) = path(args).filter(|_| layouts(args) != taken)
        && let Err(error) = kept::write(&path, &taken)
    {
        tracing::info!("{}: {error}", terminal::path(&path));
    }
}
