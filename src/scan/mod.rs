//! One scan, from haystack to matches.

mod error;

pub use error::ScanError;
