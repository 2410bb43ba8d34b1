//! Rules laid out as the buffers that kernels read, and as bytes.
//!
//! | file | story |
//! |---|---|
//! | `start_pairs.rs` | the first two bytes of a rule's matches |
//! | `pack.rs` | rules as the tables of one pass or several |
//! | `laid_out.rs` | tables that are laid out once for all sessions that take the same |
//! | `wire.rs` | pipelines as bytes, and back |
//! | `checks.rs` | whether tables from bytes are as the compiler lays them out |

mod checks;
pub(crate) mod laid_out;
pub(crate) mod pack;
mod start_pairs;
mod wire;
