//! What is known of `CPython` from outside its API: memory layouts and the interpreter's life cycle.

#[cfg(feature = "embed")]
mod home;
pub mod lifecycle;
pub mod pymalloc;
pub mod version;
