//! Tables that are laid out once for all sessions that take the same.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::{Deserialize, Serialize};

use super::pack::{Grams, Pass};

/// What of a [`Tuning`](crate::Tuning) the tables depend on.
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

    pub(crate) fn passes(&self) -> &Arc<Vec<Pass>> {
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

impl KeptTables {
    /// Tables that somebody keeps, or else those that are laid out now. Whoever asks meanwhile waits.
    pub(crate) fn get_or<E>(
        &self,
        layout: TableLayout,
        lay_out: impl FnOnce(Grams) -> Result<Vec<Pass>, E>,
    ) -> Result<LaidOutTables, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, tables)| tables.strong_count() > 0);
        let known = kept.iter().find(|(of, _)| *of == layout);
        if let Some(known) = known.and_then(|(_, known)| known.upgrade()) {
            return Ok(LaidOutTables(known));
        }
        let TableLayout { bitmap_log2, gram_stride: most_stride, .. } = layout;
        let passes = Arc::new(lay_out(Grams { bitmap_log2, most_stride })?);
        kept.push((layout, Arc::downgrade(&passes)));
        Ok(LaidOutTables(passes))
    }
}
