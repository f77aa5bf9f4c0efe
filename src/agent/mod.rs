//! The agent: a small freestanding library inside the watched processes.
//!
//! It is preloaded into a zygote, runs in every worker from the first instructions after the fork, and
//! logs every page fault into memory that it shares with us. `library/` is compiled by `build.rs` on
//! its own, without the standard library: it allocates nothing, starts no thread, and knows `CPython`
//! only by layouts. [`wire`] is what both sides agree on.

pub mod wire;

/// The library, as it is written to a file to be preloaded. Empty where it was not built.
pub const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libforkprint_agent.so"));

/// The file name of the library, by which its own pages are told from those of the program.
pub const FILE_NAME: &str = "libforkprint_agent.so";
