//! Runs a family through its steps and keeps what was measured.

pub mod recording;
#[doc(hidden)]
pub mod synthetic;

pub use recording::Recording;
