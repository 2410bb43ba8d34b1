//! What was measured, kept from one run to the next.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vkscan::{Tuning, TuningError, TuningProfile};

use super::statistics::{self, Interval};
use crate::kept;

/// A point of the space: the parameters whose values are not the defaults'.
pub type Point = BTreeMap<String, u64>;

/// The tuning that a point is.
pub fn tuning(defaults: &Tuning, point: &Point) -> Result<Tuning, TuningError> {
    let mut tuning = *defaults;
    point.iter().try_for_each(|(name, value)| tuning.set(name, *value))?;
    Ok(tuning)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tried {
    pub point: Point,
    /// How long it took, as often as it was measured, in multiples of what the defaults took right before or after.
    pub ratios: Vec<f64>,
    /// Why it is out of the question: what it found was wrong, or it failed.
    pub refused: Option<String>,
}

impl Tried {
    pub fn interval(&self) -> Interval {
        statistics::median(&self.ratios)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The defaults: of which device, driver and kernels, and what was scanned.
    of: TuningProfile,
    pub tried: Vec<Tried>,
}

impl Record {
    pub fn new(of: TuningProfile) -> Record {
        Record { of, tried: Vec::new() }
    }

    /// Goes on with what is in a file, if that was measured with the same of everything.
    pub fn open(path: &Path, of: TuningProfile) -> Record {
        let read = || {
            let text = match std::fs::read(path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.to_string()),
            };
            let record: Record =
                serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            match record.of == of {
                true => Ok(Some(record)),
                false => Err("it is of another device, driver, version of vkscan, or data".into()),
            }
        };
        match read() {
            Ok(record) => record,
            Err(reason) => {
                tracing::warn!("what was measured before is left out ({path:?}): {reason}");
                None
            }
        }
        .unwrap_or_else(|| Record::new(of))
    }

    /// Writes it in the place of what is there.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        kept::write(path, self)
    }

    /// The place of a point, which is tried from now on.
    pub fn place(&mut self, point: &Point) -> usize {
        let known = self.tried.iter().position(|tried| tried.point == *point);
        known.unwrap_or_else(|| {
            let tried = Tried { point: point.clone(), ratios: Vec::new(), refused: None };
            self.tried.push(tried);
            self.tried.len() - 1
        })
    }

    pub fn of_point(&self, point: &Point) -> Option<&Tried> {
        self.tried.iter().find(|tried| tried.point == *point)
    }

    /// Points that may be better than the defaults, the best first, with as many samples as are enough for it.
    pub fn best(&self, samples: usize) -> Vec<&Tried> {
        let fits = |tried: &&Tried| {
            tried.refused.is_none()
                && !tried.point.is_empty()
                && tried.ratios.len() >= samples
                && tried.interval().median < 1.0
        };
        let mut found: Vec<&Tried> = self.tried.iter().filter(fits).collect();
        found.sort_by(|one, other| one.interval().median.total_cmp(&other.interval().median));
        found
    }
}
