//! What can be wrong with rules.

/// Why rules could not be compiled, or serialised tables not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The pattern is not a regular expression that the `regex` crate accepts.
    #[error("pattern {index} ({pattern:?}) does not parse: {reason}")]
    Syntax { index: usize, pattern: String, reason: String },
    /// The pattern's NFA is larger than [`PipelineOptions::size_limit`](super::PipelineOptions).
    #[error(
        "pattern {index} ({pattern:?}) compiles to more than {limit} bytes of NFA: shrink its repeats or \
         raise `size_limit`"
    )]
    TooLarge { index: usize, pattern: String, limit: usize },
    /// The bytes are no pipeline that this version wrote, or they were damaged.
    #[error("not a vkscan pipeline: {reason}; compile the rules again")]
    Malformed { reason: String },
}
