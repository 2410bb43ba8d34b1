//! The ring session: many small haystacks in one dispatch, each with its own matches.
//!
//! | file | story |
//! |---|---|
//! | `item.rs` | what is scanned, and what has come of it |
//! | `batch.rs` | items packed into staging memory |
//! | `round.rs` | items in flight, until their matches are dealt out |
//! | `live.rs` | what is on the device: the ring, in which slots are published, and the tenants' tables |
//! | `session/` | rounds from publishing to collecting, and what happens when the device is lost |
//! | `config.rs` | what a session is made for |
//! | `error.rs` | what may be wrong with a session, and with a batch |
//! | `tally.rs` | counters that can be read while work is in flight |
//!
//! Items are packed into one haystack, which is scanned as any other is: the prefilter looks at all bytes, wherever items
//! begin and end, so that work is divided by bytes and candidates and no item holds another up. A walk enters the item
//! that it begins in, by a search among the slots, and sees its bytes alone.

mod batch;
mod config;
mod error;
mod item;
mod live;
mod round;
mod session;
mod tally;

#[cfg(test)]
mod tests;

pub use batch::RingBatch;
pub(crate) use batch::{packed_len, place};
pub use config::MegakernelSessionConfig;
pub use error::{RingError, RingNotPublished};
pub use item::{
    RingItem, RingItemBytes, RingItemError, RingItemMatches, RingItemResult, RingResults, RingStats,
};
pub use round::{RingPublished, RingPublishedBatch};
pub use session::{MegakernelSession, RingSession};
pub use tally::RingObservable;
