//! Runs a family through its steps and keeps what was measured.

mod compare;
mod evidence;
pub mod measure;
mod options;
mod pages;
pub(crate) mod regions;

pub use measure::Measurement;
pub use options::{Baseline, MeasureOptions};
pub mod progress;
pub mod run;
pub mod server;

pub use crate::family::recording::{self, Recording};
pub use run::{RunOptions, RunOutcome, run};
