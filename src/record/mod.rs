//! Runs a family through its steps and keeps what was measured.

mod evidence;
pub mod measure;
mod pages;
pub mod recording;
mod regions;

pub use measure::{Baseline, MeasureOptions, Measurement};
pub use recording::Recording;
