//! What is known of `CPython` from outside its API: memory layouts and the interpreter's life cycle.

pub mod blocks;
pub mod census;
pub mod code;
pub mod dicts;
pub mod fields;
#[cfg(feature = "embed")]
mod home;
pub mod lifecycle;
pub mod lines;
pub mod memory;
pub mod object;
pub mod offsets;
pub mod pymalloc;
pub mod strings;
pub mod types;
pub mod version;
