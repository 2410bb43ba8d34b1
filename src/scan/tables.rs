//! How tables are laid out for a device.

use super::ScanError;
use super::tuning::{LEAST_BITMAP_LOG2, MOST_BITMAP_LOG2, Tuning};
use crate::rules::tables::pack;
use crate::{BackendError, LaidOutTables, RulePipeline, TableLayout};

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
        self.kept_tables().get_or(layout, |grams| {
            let passes = pack::pack(self.rules(), self.options().match_kind, pass_bytes, grams);
            passes.map_err(|pack::RuleTooLarge { pattern_id, bytes }| ScanError::RuleTooLarge {
                pattern_id,
                bytes,
                limit: pass_bytes,
            })
        })
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
    use std::sync::Arc;

    use super::*;

    #[test]
    fn tables_are_laid_out_once_while_somebody_keeps_them() {
        let rules = RulePipeline::new(&["needle", "a[bc]+d"]).unwrap();
        let layout = TableLayout { pass_bytes: 1 << 30, bitmap_log2: 11, gram_stride: 2 };
        let one = rules.lay_out(layout).unwrap();
        let again = rules.clone().lay_out(layout).unwrap();
        assert!(Arc::ptr_eq(one.passes(), again.passes()));
        let other = rules.lay_out(TableLayout { bitmap_log2: 12, ..layout }).unwrap();
        assert!(!Arc::ptr_eq(one.passes(), other.passes()) && one.bytes() < other.bytes());
        let place = Arc::downgrade(one.passes());
        drop((one, again));
        assert!(place.upgrade().is_none());
        assert_eq!(rules.lay_out(layout).unwrap().passes().len(), 1);
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
