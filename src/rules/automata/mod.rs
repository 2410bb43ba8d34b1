//! What tells whether a rule matches somewhere, and where the match ends.
//!
//! | file | story |
//! |---|---|
//! | `position_nfa.rs` | a pattern as a position NFA, which every rule can fall back on |
//! | `look.rs` | what `\b`, `^` and their like mean |
//! | `glushkov.rs` | its Glushkov automaton on sets of positions, where order does not matter |
//! | `partial_dfa.rs` | the likely part of the pattern's DFA, where most walks end |
//! | `dfa_states.rs` | the states of that DFA while it is built |
//! | `relaxed.rs` | the pattern without its counts, for walks that come to the end of that part |

mod dfa_states;
pub(crate) mod glushkov;
pub(crate) mod look;
pub(crate) mod partial_dfa;
pub(crate) mod position_nfa;
pub(crate) mod relaxed;
