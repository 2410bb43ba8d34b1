//! What every match of a rule contains, so that a scan need not walk from every byte.
//!
//! | file | story |
//! |---|---|
//! | `split_candidates.rs` | where a rule can be split |
//! | `parts.rs` | its parts, and the strings of byte sets that they begin with |
//! | `alphabet.rs` | these byte sets, by number |
//! | `windows.rs` | where in the strings the rarest grams, or class windows, lie |
//! | `gram.rs` | what these are |
//! | `cost.rs` | what it costs to look for them |
//! | `walk_cost.rs` | how far walks go there |
//! | `confirm.rs` | what has to be near a gram |
//! | `byte_classes.rs` | the byte classes that class windows are told by |
//! | `reaches.rs` | what tells, before that, that there is none |
//! | `frequency.rs` | what text and binaries are made of, by the models in `data/` |

pub(crate) mod alphabet;
pub(crate) mod byte_classes;
pub(crate) mod confirm;
mod cost;
pub(crate) mod frequency;
pub(crate) mod gram;
pub(crate) mod parts;
pub(crate) mod reaches;
pub(crate) mod split_candidates;
mod walk_cost;
mod windows;
