//! Runs a family through its steps and keeps what was measured.

mod evidence;
pub mod measure;
mod pages;
pub(crate) mod regions;

pub use measure::{Baseline, MeasureOptions, Measurement};
pub mod progress;
pub mod run;
pub mod server;

pub use crate::family::recording::{self, Recording};
pub use run::{RunOptions, RunOutcome, run};
