//! Runs a family through its steps and keeps what was measured.

pub mod recording;

pub use recording::Recording;
