//! Tables as kernels read them, laid out on the host: once for all sessions that take the same.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::{Deserialize, Serialize};

use super::ScanError;
use super::tuning::{LEAST_BITMAP_LOG2, MOST_BITMAP_LOG2, Tuning};
use crate::rules::tables::pack::{self, Grams, Pass};
use crate::{BackendError, RulePipeline};

/// What of a [`Tuning`] the tables depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TableLayout {
    /// Most bytes of one pass's tables.
    pub pass_bytes: u64,
    /// Words of the prefilter's bitmap, as a power of two.
    pub bitmap_log2: u32,
    /// Bytes from one gram that the prefilter looks at to the next, at most.
    pub gram_stride: u32,
}

/// A pipeline's tables, laid out before there is a session. As long as they are kept, sessions whose tuning asks for the same
/// layout take them.
///
/// # Examples
///
/// ```
/// use vkscan::{Backend, BackendOptions, RulePipeline, Tuning};
///
/// let rules = RulePipeline::new(&["a+"])?;
/// let backend = Backend::new(&BackendOptions::default())?;
/// // As it was on the same device before, it could be known before that is opened.
/// let layout = Tuning::for_device(backend.device_info()).table_layout();
/// let tables = rules.lay_out(layout)?;
/// let session = rules.prepare_resident(&backend, 1 << 16, 100)?;
/// assert_eq!(session.table_bytes(), tables.bytes());
/// # session.free(&backend)?;
/// # Ok::<(), vkscan::ScanError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LaidOutTables(Arc<Vec<Pass>>);

impl LaidOutTables {
    /// Bytes of all tables.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(Pass::bytes).sum()
    }

    pub(super) fn passes(&self) -> &Arc<Vec<Pass>> {
        &self.0
    }
}

/// Tables that somebody keeps, by layout.
type Kept = Vec<(TableLayout, Weak<Vec<Pass>>)>;

/// Those of one pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptTables(Arc<Mutex<Kept>>);

/// They follow from the rules.
impl PartialEq for KeptTables {
    fn eq(&self, _: &KeptTables) -> bool {
        true
    }
}

impl RulePipeline {
    /// Lays tables out, which takes no device; or takes those that somebody keeps. Whoever asks meanwhile waits.
    ///
    /// # Errors
    ///
    /// A rule whose tables are larger than [`TableLayout::pass_bytes`], or a layout that no device has.
    pub fn lay_out(&self, layout: TableLayout) -> Result<LaidOutTables, ScanError> {
        let TableLayout { pass_bytes, bitmap_log2, gram_stride } = layout;
        let is_possible = (LEAST_BITMAP_LOG2..=MOST_BITMAP_LOG2).contains(&bitmap_log2)
            && (1..=2).contains(&gram_stride);
        if !is_possible {
            let reason = format!("no device has {layout:?}");
            return Err(BackendError::invalid("the layout of tables", reason).into());
        }
        let mut kept = self.kept_tables().0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, tables)| tables.strong_count() > 0);
        let known =
            kept.iter().find(|(of, _)| *of == layout).and_then(|(_, known)| known.upgrade());
        if let Some(known) = known {
            return Ok(LaidOutTables(known));
        }
        let grams = Grams { bitmap_log2, most_stride: gram_stride };
        let passes = pack::pack(self.rules(), self.options().match_kind, pass_bytes, grams);
        let passes = passes.map_err(|pack::RuleTooLarge { pattern_id, bytes }| {
            ScanError::RuleTooLarge { pattern_id, bytes, limit: pass_bytes }
        })?;
        let passes = Arc::new(passes);
        kept.push((layout, Arc::downgrade(&passes)));
        Ok(LaidOutTables(passes))
    }
}

impl Tuning {
    /// How tables are laid out by it.
    pub fn table_layout(&self) -> TableLayout {
        let Tuning { pass_bytes, bitmap_log2, gram_stride, .. } = *self;
        TableLayout { pass_bytes, bitmap_log2, gram_stride }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_laid_out_once_while_somebody_keeps_them() {
        let rules = RulePipeline::new(&["needle", "a[bc]+d"]).unwrap();
        let layout = TableLayout { pass_bytes: 1 << 30, bitmap_log2: 11, gram_stride: 2 };
        let one = rules.lay_out(layout).unwrap();
        let again = rules.clone().lay_out(layout).unwrap();
        assert!(Arc::ptr_eq(&one.0, &again.0));
        let other = rules.lay_out(TableLayout { bitmap_log2: 12, ..layout }).unwrap();
        assert!(!Arc::ptr_eq(&one.0, &other.0) && one.bytes() < other.bytes());
        let place = Arc::downgrade(&one.0);
        drop((one, again));
        assert!(place.upgrade().is_none());
        assert_eq!(rules.lay_out(layout).unwrap().0.len(), 1);
        for wrong in [
            TableLayout { bitmap_log2: 31, ..layout },
            TableLayout { bitmap_log2: 0, ..layout },
            TableLayout { gram_stride: 3, ..layout },
        ] {
            assert!(rules.lay_out(wrong).is_err());
        }
        let small = rules.lay_out(TableLayout { pass_bytes: 100, ..layout }).unwrap_err();
        assert!(matches!(small, ScanError::RuleTooLarge { limit: 100, .. }), "{small}");
    }
}
