//! What every match of a rule contains, so that a scan need not walk from every byte.
//!
//! | file | story |
//! |---|---|
//! | `factor.rs` | where a rule can be split, and what is looked for there |
//! | `confirm.rs` | what has to be near a gram |
//! | `byte_classes.rs` | the byte classes that class windows are told by |
//! | `frequency.rs` | what text and binaries are made of, by the models in `data/` |
//! | `walk_cost.rs` | how far walks go there |

pub(crate) mod byte_classes;
pub(crate) mod confirm;
pub(crate) mod factor;
pub(crate) mod frequency;
pub(crate) mod walk_cost;
